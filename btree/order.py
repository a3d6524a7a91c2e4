"""SQL's order of keys on top of Python's comparisons.

NULL < numbers < text < blobs; numbers compare exactly, text by code point, blobs by byte; tuples
element by element, a proper prefix before its extensions.  Python agrees wherever it is willing to
compare, and raises TypeError where kinds meet (`None < 1`, `1 < "a"`).  So every search is a bare
`bisect` first, and only a TypeError sends it through `order_key`, which ranks the kinds.  That is
sound: a bisection that meets no two kinds has taken only comparisons that agree with SQL's order.

`MAX` is greater than every value; `key + (MAX,)` stands just above every extension of `key`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from btree.errors import CorruptionError
from btree.protocols import Key, Value


class _Maximum:
    """Greater than everything but itself; Python asks it through the reflected comparison."""

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        return False

    def __le__(self, other: object) -> bool:
        return other is self

    def __gt__(self, other: object) -> bool:
        return other is not self

    def __ge__(self, other: object) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return other is self

    def __hash__(self) -> int:
        return 0x4D4158

    def __repr__(self) -> str:
        return "MAX"


MAX = _Maximum()

_RANKS = {int: 1, float: 1, bool: 1, str: 2, bytes: 3}


def order_key(key: Key) -> tuple[Any, ...]:
    """A stand-in for `key` that compares with every other key's, of whatever kinds."""
    if key.__class__ is tuple:
        return tuple([_ranked(element) for element in key])
    return _ranked(key)


def _ranked(element: Any) -> tuple[Any, ...]:
    if element is None:
        return (0,)
    if element is MAX:
        return (4,)
    rank = _RANKS.get(element.__class__)
    if rank is None:  # decoders take all that msgpack knows
        raise CorruptionError(f"a key with {element!r:.60} in it, which no tree can hold")
    return rank, element


def search_left(keys: Sequence[Key], key: Key, start: int = 0) -> int:
    """The first slot from `start` on whose key is >= `key`."""
    try:
        return bisect_left(keys, key, start)
    except TypeError:
        pass
    try:
        return bisect_left(keys, key, _behind_nulls(keys, key, start))
    except TypeError:
        return bisect_left(keys, order_key(key), start, key=order_key)


def search_right(keys: Sequence[Key], key: Key, start: int = 0) -> int:
    """The first slot from `start` on whose key is > `key`."""
    try:
        return bisect_right(keys, key, start)
    except TypeError:
        pass
    try:
        return bisect_right(keys, key, _behind_nulls(keys, key, start))
    except TypeError:
        return bisect_right(keys, order_key(key), start, key=order_key)


def _behind_nulls(keys: Sequence[Key], key: Key, start: int) -> int:
    """Where the keys that begin with a value begin, for one that does.  An index with NULLs is the commonest of
    those with values of several kinds."""
    if key.__class__ is not tuple or not key or key[0] is None:
        raise TypeError
    return bisect_left(keys, True, start, key=_is_present)


def _is_present(key: Any) -> bool:
    return key[0] is not None


def present_from(column: Sequence[Any], low: int = 0, high: int | None = None) -> int:
    """The first slot from `low` to before `high`, between which a column is sorted, whose value is not NULL."""
    return bisect_left(column, True, low, high, key=_is_value)


def _is_value(value: Any) -> bool:
    return value is not None


def in_order(keys: Iterable[Key]) -> list[Key]:
    """The keys, sorted."""
    try:
        return sorted(keys)
    except TypeError:
        return sorted(keys, key=order_key)


def values_at(changes: Mapping[Key, Value], keys: Sequence[Key]) -> Sequence[Value]:
    """The values at some keys in their order.

    By one call: the processor then goes on to the next ones while it waits for those that are not in its cache,
    which are all where keys in order lie anywhere in the memory; a comprehension takes twice as long."""
    if len(keys) < 2:
        return [changes[key] for key in keys]
    found: Sequence[Value] = itemgetter(*keys)(changes)
    return found


def less(left: Key, right: Key) -> bool:
    """Whether `left` sorts before `right`."""
    try:
        return bool(left < right)
    except TypeError:
        return order_key(left) < order_key(right)


def separator(left: Key, right: Key) -> Key:
    """The shortest key that is > `left` and <= `right`, given left < right.

    Branches hold separators only, so a short one saves memory and page bytes (prefix B-trees:
    Bayer and Unterauer, 1977)."""
    if right.__class__ is bytes or right.__class__ is str:
        return _shortest(left, right)
    if right.__class__ is tuple:
        for at, (before, after) in enumerate(zip(left, right, strict=False)):
            if before != after:
                if before.__class__ is after.__class__ and after.__class__ in (bytes, str):
                    after = _shortest(before, after)
                return (*right[:at], after)
        return right[: len(left) + 1]
    return right


def _shortest(left: Any, right: Any) -> Any:
    """The shortest prefix of `right` (bytes or str) above `left`."""
    low, high = 0, min(len(left), len(right))
    if left[:high] == right[:high]:
        return right[: high + 1]
    while low < high:  # the length of the common prefix
        middle = (low + high) // 2
        if left[: middle + 1] == right[: middle + 1]:
            low = middle + 1
        else:
            high = middle
    return right[: low + 1]
