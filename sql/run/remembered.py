"""Values of costly functions and of subqueries that are remembered by what they depend on, for the time of a run.

Dates, which most of such functions are asked about, repeat: the 19,000 orders of seven years have 2,400 of them.
To work one out takes 3 us, to find it among those that are known 0.05.  So do columns that refer to other tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sql.errors import Interrupted, SqlError

REMEMBERED_MAX = 1 << 14
"""Values of one function: where there are more, they will not come again soon."""


class Known(dict[Any, Any]):
    """By values that are the same wherever they are equal, what `call` gives for them."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[Any], Any]) -> None:
        self._call = call

    def __missing__(self, key: Any) -> Any:
        value = self._call(key)
        if len(self) < REMEMBERED_MAX:
            self[key] = value
        return value


class Grouped(dict[Any, Any]):
    """By their keys, the values that `make` gives for all groups; of a key without a group, what `nothing` gives.  NULL is no
    key: nothing equals it."""

    __slots__ = ("_keys", "_make", "_nothing", "made")

    def __init__(
        self, make: Callable[[], Iterable[list[Any]]], nothing: Callable[[], Any], keys: int
    ) -> None:
        """`make` gives batches of rows of so many `keys` and a value."""
        self._make: Callable[[], Iterable[list[Any]]] | None = make
        self._nothing = nothing
        self._keys = keys
        self.made = False

    def make(self) -> bool:
        """Make them at the first question; False if that failed, perhaps over a group that nobody will ask for."""
        if self._make is None:
            return False
        make, self._make = self._make, None
        try:
            self._fill(make())
        except Interrupted:
            raise
        except SqlError:
            self.clear()
            return False
        self.made = True
        return True

    def __missing__(self, key: Any) -> Any:
        value = self._nothing()
        if key is not None and len(self) < REMEMBERED_MAX:
            self[key] = value
        return value

    def _fill(self, batches: Iterable[list[Any]]) -> None:
        keys = self._keys
        for batch in batches:
            if keys == 1:
                self.update(batch)
            else:
                self.update([(row[:keys], row[keys]) for row in batch if None not in row[:keys]])
        self.pop(None, None)


class Present(Grouped):
    """The keys that `make` gives rows of; NULL is none of them."""

    __slots__ = ()

    def _fill(self, batches: Iterable[list[Any]]) -> None:
        for batch in batches:
            if self._keys == 1:
                self.update(dict.fromkeys([row[0] for row in batch]))
            else:
                self.update(dict.fromkeys([row for row in batch if None not in row]))
        self.pop(None, None)


class Remembered(dict[Any, Any]):
    """By a text, what `call` gives for it.  Of anything else nothing is kept: 1 and 1.0 are one key."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[Any], Any]) -> None:
        self._call = call

    def of_column(self, values: Sequence[Any]) -> tuple[list[Any], bool]:
        """What `call` gives for each of them, and whether it depends on these alone, as far as that is known."""
        return [self[value] for value in values], False

    def __missing__(self, argument: Any) -> Any:
        value = self._call(argument)
        if argument.__class__ is str and len(self) < REMEMBERED_MAX:
            self[argument] = value
        return value
