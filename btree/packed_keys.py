"""The keys of an INDEX leaf by column, for look-ups and ranges: no tuples but those that are asked for.

To find a key in a list of tuples, each step of the bisection goes to the tuple, then to its first element,
then compares tuples: 330 ns if all that is in the processor's cache, several times as much if it isn't, as in
an index of a million entries.  In a column of numbers of fixed width, which lie side by side as they do in the
page, it takes 150, and an entry takes 8 to 16 bytes of memory where a tuple and its numbers take 136.  Texts
are objects, with nothing around them.

A column is sorted among equal values of those before it.  So the keys that start with some parts are found
part by part, each between the bounds that the one before it left.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, overload

from btree.order import MAX, order_key, present_from
from btree.protocols import Key, Value

Pick = Callable[[Any], Any]
"""Makes a tuple of some parts of a key; of a list of columns, by the same steps, one of those of the columns."""


class PackedKeys(Sequence[Key]):
    """The keys of a leaf, in order, each made when it is asked for."""

    __slots__ = ("_count", "columns")

    def __init__(self, columns: list[Sequence[Value]]) -> None:
        self.columns = columns
        self._count = len(columns[0])

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, slot: int) -> Key: ...
    @overload
    def __getitem__(self, slot: slice) -> list[Key]: ...
    def __getitem__(self, slot: Any) -> Any:
        if slot.__class__ is int:
            return tuple([column[slot] for column in self.columns])
        return [*zip(*[column[slot] for column in self.columns])]  # noqa: B905  (as long as each other)

    def __iter__(self) -> Iterator[Key]:
        return zip(*self.columns, strict=True)

    def bytes_of_objects(self) -> int:
        """About what values that are objects take."""
        return sum(
            [
                (sys.getsizeof(column[self._count // 2]) + 8) * self._count
                for column in self.columns
                if column.__class__ is list
            ]
        )

    def bytes(self) -> int:
        """About what the columns take."""
        return sum(map(sys.getsizeof, self.columns)) + self.bytes_of_objects()

    def slot_of(self, key: tuple[Any, ...]) -> int:
        """The first slot whose key is >= `key`; `MAX` may be its last part."""
        try:
            return self._found(key)[0]
        except TypeError:  # parts of several kinds
            return bisect_left(self, order_key(key), key=order_key)

    def place(self, key: tuple[Any, ...], *, after: bool) -> int:
        """The slot of `key`, or `after` all that start with it."""
        if len(key) == 1:
            column, value = self.columns[0], key[0]
            search = bisect_right if after else bisect_left
            try:
                return search(column, value)
            except TypeError:  # beside NULLs, or others
                pass
            try:
                if value is not None:
                    return search(column, value, present_from(column))
                return present_from(column) if after else 0
            except TypeError:  # of several kinds
                pass
        return self.slot_of((*key, MAX) if after else key)

    def _found(self, key: tuple[Any, ...]) -> tuple[int, int]:
        """The slots of the keys that start with `key`: the first, and the one behind the last."""
        low, high = 0, self._count
        for column, part in zip(self.columns, key, strict=False):
            if part is MAX:
                return high, high
            try:
                low = bisect_left(column, part, low, high)
            except TypeError:  # beside NULLs, or others
                if part is None:
                    raise
                low = bisect_left(column, part, present_from(column, low, high), high)
            if low == high or column[low] != part:
                return low, low
            high = bisect_right(column, part, low, high)
        return (high, high) if len(key) > len(self.columns) else (low, high)

    def prefixed(self, prefix: tuple[Any, ...]) -> list[Key] | None:
        """See `Tree.prefixed`: None where keys that start so may stand in the next leaf, too."""
        columns = self.columns
        if len(prefix) == 1:
            try:
                low, high = _run(columns[0], prefix[0], 0)
            except IndexError:
                return None
            if high - low == 1:
                return [tuple([column[low] for column in columns])]
            return self[low:high] if low < high else []
        low, high = self._found(prefix)
        return None if high == self._count else self[low:high]

    def last_parts(self, prefix: tuple[Any, ...]) -> list[Any] | None:
        """See `Tree.last_parts`."""
        columns = self.columns
        if len(prefix) == 1:
            try:
                low, high = _run(columns[0], prefix[0], 0)
            except IndexError:
                return None
            column = columns[-1]
            return [column[low]] if high - low == 1 else [*column[low:high]]
        low, high = self._found(prefix)
        return None if high == self._count else [*columns[-1][low:high]]

    def prefixed_each(self, prefixes: Sequence[tuple[Any, ...]]) -> list[list[Key] | None]:
        """`prefixed` for each of some distinct ascending prefixes of one part."""
        columns = self.columns
        column = columns[0]
        found: list[list[Key] | None] = []
        low = 0
        for (value,) in prefixes:
            try:
                low, high = _run(column, value, low)
            except IndexError:  # all that follow are beyond this leaf
                return found + [None] * (len(prefixes) - len(found))
            if high - low == 1:
                found.append([tuple([column[low] for column in columns])])
            else:
                found.append(self[low:high] if low < high else [])
        return found


_BACKWARDS = slice(None, None, -1)


class KeySpan(Sequence[Key]):
    """Neighbouring keys of a leaf or a few: where they lie in each, and nothing of them that nobody asks for.

    A caller that wants the rows of a range asks for row ids alone, one that counts for nothing: to copy a column of texts goes to each
    of them."""

    __slots__ = ("_pieces", "_step")

    def __init__(
        self, pieces: list[tuple[Sequence[Key], int, int]], *, reverse: bool = False
    ) -> None:
        self._pieces = pieces
        self._step = -1 if reverse else 1

    def __len__(self) -> int:
        return sum([end - start for _, start, end in self._pieces])

    @overload
    def __getitem__(self, slot: int) -> Key: ...
    @overload
    def __getitem__(self, slot: slice) -> Sequence[Key]: ...
    def __getitem__(self, slot: Any) -> Any:
        if slot == _BACKWARDS:
            return KeySpan(self._pieces[::-1], reverse=self._step > 0)
        return [*self][slot]

    def __iter__(self) -> Iterator[Key]:
        step = self._step
        return chain.from_iterable([keys[start:end][::step] for keys, start, end in self._pieces])

    def picked(self, pick: Pick) -> list[Any]:
        """What `pick` makes of each key."""
        found: list[Any] = []
        for keys, start, end in self._pieces:
            found += cut(keys, start, end, pick)[:: self._step]
        return found

    def parts(self, at: int) -> list[Any]:
        """A part of each key."""
        found: list[Any] = []
        for keys, start, end in self._pieces:
            if keys.__class__ is PackedKeys:
                found += keys.columns[at][start:end][:: self._step]
            else:
                found += [key[at] for key in keys[start:end][:: self._step]]
        return found


def cut(keys: Sequence[Key], low: int, high: int, pick: Pick | None) -> list[Any]:
    """Some neighbouring keys of a leaf of an INDEX tree, as `pick` makes them: columns that it leaves out are not
    looked at."""
    if keys.__class__ is PackedKeys:
        columns = keys.columns if pick is None else pick(keys.columns)
        if high - low == 1 and high <= len(keys):
            return [tuple([column[low] for column in columns])]
        return [*zip(*[column[low:high] for column in columns])]  # noqa: B905  (as long as each other)
    found: Any = keys[low:high]
    return found if pick is None else [*map(pick, found)]


def picked_keys(keys: Sequence[Key], pick: Pick) -> list[Any]:
    """Some keys of an INDEX tree, as `pick` makes them."""
    return keys.picked(pick) if keys.__class__ is KeySpan else [*map(pick, keys)]


def key_parts(keys: Sequence[Key], at: int) -> list[Any]:
    """A part of each of some keys of an INDEX tree."""
    if keys.__class__ is KeySpan:
        return keys.parts(at)
    return [*keys.columns[at]] if keys.__class__ is PackedKeys else [key[at] for key in keys]


def slice_of(keys: Sequence[Key], start: int, end: int, *, reverse: bool = False) -> Any:
    """Some neighbouring keys of a leaf, the last ones first if `reverse`: a span where they stay as they are."""
    if keys.__class__ is PackedKeys:
        return KeySpan([(keys, start, end)], reverse=reverse)
    return keys[start:end][::-1] if reverse else keys[start:end]


def _run(column: Sequence[Value], value: Value, start: int) -> tuple[int, int]:
    """The first slot from `start` on of the value, and the one behind the last; IndexError if it may stand in
    the next leaf, too.  There are seldom many: to count them is quicker than another search."""
    try:
        low = bisect_left(column, value, start)
    except TypeError:  # beside NULLs, or others
        if value is None:
            raise
        low = bisect_left(column, value, max(start, present_from(column)))
    high = low
    while column[high] == value:
        high += 1
    return low, high
