"""Functions by name and argument count: SQLite's own, and those that a program adds.

A registry belongs to one session.  What the program registers hides a builtin of the same name and
argument count; builtins are shared by all registries and never copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from msgspec import Struct

from sql.expressions import ANY_KIND, NULL, SqlValue

JSON = 32
"""A bit of `kinds` beside those of `btree.Kind`: what is TEXT is JSON."""


class Accumulator(Protocol):
    """One group's state of an aggregate.  `step` is called per row, NULL arguments included."""

    def step(self, *arguments: SqlValue) -> None: ...

    def finish(self) -> SqlValue:
        """The group's value; may be called again after more steps (a window's frame that grows)."""


class SlidingAccumulator(Accumulator, Protocol):
    """An accumulator that can also lose its oldest rows, for window frames that move."""

    def inverse(self, *arguments: SqlValue) -> None: ...


class Function(Struct, frozen=True, eq=False):
    """A scalar function: `call(*arguments)`, or `call(ctx, *arguments)` with `needs_context`.

    `max_args` is None for any number.  `kinds`: mask of `btree.Kind` bits the result may have, and `JSON`.
    `propagates_null`: NULL whenever an argument is NULL, and `call` is never given one then.
    `for_many`, of one that takes microseconds and is asked for equal values again and again: from the context and the
    arguments before and behind the one in which rows differ to what it gives by that.
    `by_second`, of one with two arguments, the second of which is the same for all rows mostly: from that to a function of the
    first."""

    name: str
    call: Callable[..., Any]
    min_args: int
    max_args: int | None
    deterministic: bool = True
    propagates_null: bool = False
    kinds: int = ANY_KIND
    needs_context: bool = False
    returns_json: bool = False  # a `JsonText` where its value is another function's argument
    builtin: bool = True
    takes_json: bool = False  # wants JSON among its arguments marked as such, and not as plain text
    for_many: Callable[[Any, tuple[Any, ...], tuple[Any, ...]], Mapping[Any, Any]] | None = None
    by_second: Callable[[Any], Callable[[Any], Any]] | None = None


def strict(
    name: str, call: Callable[..., Any], low: int, high: int | None, kinds: int = ANY_KIND
) -> Function:
    """A function that is NULL whenever an argument is, and is never called then."""
    return Function(name, call, low, high, propagates_null=True, kinds=kinds | NULL)


class Aggregate(Struct, frozen=True, eq=False):
    """An aggregate function; `make()` gives one group's accumulator.

    `bulk`, if there is one, gives the value of a whole group from the list of its (only) argument's
    values, NULLs among them, in the order of the rows.  `slides`: the accumulators have `inverse`."""

    name: str
    make: Callable[[], Any]
    min_args: int
    max_args: int | None
    bulk: Callable[[list[Any]], Any] | None = None
    slides: bool = False
    kinds: int = ANY_KIND
    builtin: bool = True
    takes_json: bool = False


class WindowFunction(Struct, frozen=True, eq=False):
    """A function that has a meaning only with OVER (row_number, lag ...); `sql.run.windows` computes it."""

    name: str
    min_args: int
    max_args: int | None
    kinds: int = ANY_KIND


AnyFunction = Function | Aggregate | WindowFunction


ARGUMENTS_MAX = 127
"""Of one call, as SQLite is built."""


class FunctionRegistry:
    """What `lookup` finds: the program's functions first, then the builtins.

    `version` changes with every registration, so that plans compiled before it are not used again.
    `arguments_max`: how many arguments a call may have."""

    def __init__(self) -> None:
        self.version = 0
        self.arguments_max = ARGUMENTS_MAX
        self._own: dict[tuple[str, int], AnyFunction] = {}  # argument count -1: any number
        self.collations: dict[str, Callable[[str, str], int]] = {}

    def lookup(self, name: str, argument_count: int) -> AnyFunction | None:
        """The function that `name` (lower case) with so many arguments calls, or None."""
        from sql.functions import builtin

        own = self._own
        if own:
            found = own.get((name, argument_count)) or own.get((name, -1))
            if found is not None:
                return found
        return builtin(name, argument_count)

    def names(self) -> Iterator[str]:
        """Every function's name in lower case, without repetition."""
        from sql.functions import builtins

        yield from sorted({name for name, _ in self._own} | set(builtins()))

    def collation(self, name: str) -> Callable[[str, str], int] | None:
        """The program's collation of that name in any case, or None."""
        return self.collations.get(name.upper())

    def register(self, function: AnyFunction, argument_count: int) -> None:
        """Add a program's function for `argument_count` arguments (-1: any number)."""
        self._own[function.name.lower(), argument_count] = function
        self.version += 1

    def unregister(self, name: str, argument_count: int) -> None:
        self._own.pop((name.lower(), argument_count), None)
        self.version += 1
