"""Parameters of statements, checked and adapted before the session gets them.

One set is looked at value by value.  The sets of `executemany` are looked at by thousands, a column at a
time, and go on as they are if nothing has to be done to any of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from kvsh import adapting
from kvsh.errors import ProgrammingError

if TYPE_CHECKING:
    from sql import Prepared, Session

Parameters = Sequence[Any] | Mapping[str, Any]

_PLAIN = adapting.PLAIN_TYPES
_INT_MIN, _INT_MAX = adapting.INTEGER_MIN, adapting.INTEGER_MAX
_SETS_AT_ONCE = 4096


def bound(parameters: Parameters) -> Parameters:
    """The parameters of one execution, adapted: a tuple of SQL values, or a mapping of them.

    Raises ProgrammingError, OverflowError and others."""
    kind: type = type(parameters)
    if kind is tuple or kind is list:
        value: Any
        for value in parameters:
            kind = value.__class__
            if kind is int:
                # Most are short, which is quick to find out: the interpreter compares ints of one digit by itself.
                if (value > 0x3FFFFFFF or value < -0x3FFFFFFF) and not (
                    _INT_MIN <= value <= _INT_MAX
                ):
                    break
            elif kind is str:
                if not value.isascii():
                    value.encode()  # lone surrogates: UnicodeEncodeError
            elif kind not in _PLAIN or value != value:  # a NaN is NULL
                break
        else:
            if not adapting.plain_adapters:
                return tuple(parameters)
    elif isinstance(parameters, Mapping):
        return _BoundMapping(parameters)
    elif not (hasattr(parameters, "__len__") and hasattr(parameters, "__getitem__")):
        raise ProgrammingError("parameters are of unsupported type")
    # An adapter may change a list under our feet: it is read by index.
    items: Any = parameters
    return tuple([adapting.bindable(items[i], i + 1) for i in range(len(items))])


def taken(sets: Iterator[Parameters]) -> Iterator[list[Any]]:
    """Thousands of sets at a time.  What fails is raised after the sets before it."""
    while True:
        chunk: list[Any] = []
        failure: BaseException | None = None
        try:
            chunk.extend(islice(sets, _SETS_AT_ONCE))
        except BaseException as error:  # raised below
            failure = error
        if chunk:
            yield chunk
        if failure is not None:
            raise failure
        if len(chunk) < _SETS_AT_ONCE:
            return


def undisturbed(chunks: Iterator[list[Any]], session: Session) -> Iterator[list[Any]]:
    """The chunks, for a statement that is at work while they are taken.  ProgrammingError if that ends its transaction."""
    begun = session.in_transaction
    for chunk in chunks:
        if begun and not session.in_transaction:
            raise ProgrammingError(
                "executemany(): what gives the parameters has ended its transaction"
            )
        yield chunk


def bound_sets(prepared: Prepared, chunks: Iterable[list[Any]]) -> Iterator[tuple[Any, ...]]:
    """Each set of what was `taken` as a tuple of SQL values."""
    for chunk in chunks:
        if set(map(type, chunk)) == {list}:
            chunk = list(map(tuple, chunk))
        if _are_plain(chunk, prepared.count):
            yield from chunk
        else:
            for parameters in chunk:
                yield prepared.bind(bound(parameters))


def _are_plain(chunk: list[Any], count: int) -> bool:
    """Whether all sets are tuples of `count` values that need neither adapting nor an error."""
    if set(map(type, chunk)) != {tuple} or set(map(len, chunk)) != {count}:
        return False
    if adapting.plain_adapters:
        return False
    return all(_is_plain(list(map(itemgetter(place), chunk))) for place in range(count))


def _is_plain(column: list[Any]) -> bool:
    kinds = set(map(type, column))
    if not kinds <= _PLAIN:
        return False
    alone = len(kinds) == 1
    if str in kinds:
        texts = column if alone else [value for value in column if value.__class__ is str]
        joined = "".join(texts)
        if not joined.isascii() and not _has_utf8(joined):
            return False
    if int in kinds:
        try:
            array("q", column if alone else [value for value in column if value.__class__ is int])
        except OverflowError:
            return False
    if float in kinds:
        total = sum([value for value in column if value.__class__ is float])
        return bool(total == total)  # a NaN is NULL; infinities of both signs go the slow way too
    return True


def _has_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _BoundMapping(Mapping[str, Any]):
    """Named parameters, adapted as they are looked up (a dict subclass may make them up)."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return adapting.bindable(self._values[name], name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
