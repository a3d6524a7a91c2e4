"""Index entries put in SQL's order by column: no tuple is made of any of them.

Comparisons of tuples that lie all over the memory wait for it.  Here the parts of an entry are packed
(`packed_columns`): what tells them apart is written into eight bytes, the first part in the highest of them, and in
the lowest where the entry stands.  The eight bytes are read as a REAL: a list sorts REALs fastest, and positive
ones order as their bytes do.

Where all columns are packed whole, nothing else is needed: sorted numbers are taken apart into columns.  Else the
columns are picked by where the entries stand, about as many at once as the processor keeps the addresses of, and
runs of entries with the same bytes are put in order by what their bytes don't tell.  Texts whose beginnings
tell too little are dealt by these, and sorted by themselves.  What doesn't compare with each other (NULLs,
numbers, texts, blobs) is parted before.

A million entries of an integer take 0.29 s, 0.65 where tuples were sorted, those of a text 0.78 and 0.96.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, compress, count, islice, repeat, starmap
from operator import eq, itemgetter, ne
from typing import Any

from btree import order_key
from sql.dml.packed_columns import BASE_MAX, in_array, packed_column
from sql.dml.packed_texts import GROUPS_OF_SAMPLE
from sql.dml.planes import (
    AT,
    SAMPLE_ENTRIES,
    Column,
    PackedColumn,
    Planes,
    array_of,
    counted,
    interleaved,
    on_top,
)

NULL = type(None)
_RANKS = {NULL: 0, bool: 1, int: 1, float: 1, str: 2, bytes: 3}

_FEW_ENTRIES = 256
"""Up to so many are sorted as tuples."""

_PIECE_ENTRIES = 1024
_RUN_ENTRIES = 1 << 14
_RUNS_MAX = 256
"""So many entries are packed and sorted at once, in the processor's cache, and then merged by buckets of as many;
more where there would be too many runs."""


_IS_ZERO = b"\1".ljust(256, b"\0")
_FEW_MOVED = 16
"""Where more runs than one of so many entries are to be put in order, all entries are picked anew."""

_PREFIX_MAX = 40


class Gathered:
    """A column that comes some values at a time, none of them empty.

    `values`: a range of consecutive keys, an array of integers (of the widest that came) or of REALs, or a list."""

    __slots__ = ("values",)

    def __init__(self, some: Sequence[Any], *, are_keys: bool) -> None:
        """`are_keys`: row ids, which ascend."""
        self.values: Any = None
        if are_keys and _is_consecutive(some):
            self.values = range(some[0], some[0] + len(some))
        else:
            found = in_array(some)
            self.values = list(some) if found is None else found

    def add(self, some: Sequence[Any]) -> None:
        """Go on with some values."""
        known = self.values
        if known.__class__ is range:
            if _is_consecutive(some) and some[0] == known.stop:
                self.values = range(known.start, known.stop + len(some))
                return
            self.values = known = array("q", known)
        if known.__class__ is array:
            found = in_array(some)
            if found is not None and _is_real(found) == _is_real(known):
                if found.itemsize > known.itemsize:
                    self.values = known = array(found.typecode, known)
                if found.typecode == known.typecode:
                    known += found
                else:
                    known.extend(found.tolist())
                return
            self.values = known = known.tolist()
        known += some


def _is_real(values: array[Any]) -> bool:
    return values.typecode == "d"


def _is_consecutive(keys: Sequence[Any]) -> bool:
    first, last = keys[0], keys[-1]
    return first.__class__ is int and last.__class__ is int and last - first == len(keys) - 1


def sorted_columns(columns: Sequence[Column], parts: int, place: int = 0) -> Iterator[list[Column]]:
    """Entries, given by column, in the order of their first `parts` columns, piece by piece.  What is behind these
    ascends from entry to entry, as the keys of a scan do, and goes on doing so where the parts are alike.

    `place`: NULL is all that the columns before have."""
    size = len(columns[0])
    if place == parts:
        for start in range(0, size, _PIECE_ENTRIES):
            yield [column[start : start + _PIECE_ENTRIES] for column in columns]
        return
    if size <= _FEW_ENTRIES:
        order = _order_of(columns[place:parts], range(size))
        yield [_picked(column, order) for column in columns]
        return
    packing = _packing(columns, parts, place)
    if packing is not None:
        yield from packing.pieces()
        return
    values = columns[place]
    kinds = {int} if values.__class__ is array else set(map(type, values))
    ranks = sorted({_RANKS[kind] for kind in kinds})
    if len(ranks) > 1:
        for rank in ranks:
            mask = [_RANKS[value.__class__] == rank for value in values]
            yield from sorted_columns([_there(column, mask) for column in columns], parts, place)
    elif ranks == [0]:
        yield from sorted_columns(columns, parts, place + 1)
    else:
        yield from _compared(columns, parts, place)


def alike_behind(columns: Sequence[Column], parts: int) -> bool:
    """Whether two sorted entries that follow each other are alike in so many parts, none of them NULL."""
    firsts = columns[0]
    same = map(eq, firsts, islice(firsts, 1, None))
    if parts == 1:
        return any(first is not None for first in compress(firsts, same))
    for at in compress(count(), same):
        prefix = [column[at] for column in columns[:parts]]
        if prefix == [column[at + 1] for column in columns[:parts]] and None not in prefix:
            return True
    return False


def _there(column: Column, mask: Sequence[bool]) -> Column:
    values = list(compress(column, mask))
    return in_array(values) or values


def _picked(column: Column, order: Sequence[int]) -> Column:
    if column.__class__ is range:
        first = column.start
        return [first + slot for slot in order]
    if len(order) == 1:
        return (column[order[0]],)
    return itemgetter(*order)(column)  # type: ignore[no-any-return]


def _order_of(columns: Sequence[Column], slots: Sequence[int]) -> list[int]:
    """Some slots in the order of what the columns have there."""
    keys: Sequence[Any] = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
    try:
        return sorted(slots, key=keys.__getitem__)
    except TypeError:
        return sorted(slots, key=lambda slot: order_key(keys[slot]))


def _compared(columns: Sequence[Column], parts: int, place: int) -> Iterator[list[Column]]:
    """Entries sorted by values of a column that compare, and where these are alike by what is behind."""
    values = columns[place]
    if values.__class__ is array:
        values = values.tolist()
    value_at = values.__getitem__
    order: list[int] = []
    for bucket in _dealt(values) or (list(range(len(values))),):
        bucket.sort(key=value_at)
        order += bucket
        start = 0
        while len(order) - start >= _PIECE_ENTRIES:
            end = start + _PIECE_ENTRIES
            if end < len(order) and place + 1 < parts:
                end = bisect_right(order, value_at(order[end - 1]), end, key=value_at)
            yield _piece(columns, parts, place, order[start:end])
            start = end
        del order[:start]
    if order:
        yield _piece(columns, parts, place, order)


def _piece(columns: Sequence[Column], parts: int, place: int, order: Sequence[int]) -> list[Column]:
    piece = [_picked(column, order) for column in columns]
    if place + 1 == parts:
        return piece
    firsts = piece[place]
    same = bytes(map(eq, firsts, islice(firsts, 1, None)))
    return _put_right(piece, parts, place + 1, same, place)


def _dealt(values: Column) -> list[list[int]] | None:
    """The places of texts, or blobs, in buckets that ascend: one for all that begin alike, as far as it takes to tell
    a few hundredths of them apart; None if they differ too late, or for other values.

    A bucket's values can be compared while they are in the processor's cache, and so can what is told of their
    addresses there: in one sort of all values every other comparison waits for the memory."""
    sample = values[:: len(values) // SAMPLE_ENTRIES + 1]
    if values[0].__class__ not in (str, bytes):
        return None
    length = _telling_prefix(sample)
    if not length:
        return None
    by_prefix: defaultdict[Any, list[int]] = defaultdict(list)
    for slot, value in enumerate(values):
        by_prefix[value[:length]].append(slot)
    return [by_prefix[prefix] for prefix in sorted(by_prefix)]


def _telling_prefix(sample: Sequence[Any]) -> int:
    """How long a beginning of texts, or blobs, tells them apart: so that few of a sample begin alike, but for those
    that are equal; 0 if they differ too late."""
    ends = zip(min(sample), max(sample), strict=False)
    alike = next(compress(count(), starmap(ne, ends)), len(min(sample)))
    different = set(sample)
    for length in range(alike + 1, alike + _PREFIX_MAX):
        texts = Counter([value[:length] for value in different])
        found = Counter([value[:length] for value in sample])
        largest = max([found[prefix] for prefix, many in texts.items() if many > 1], default=0)
        if largest * GROUPS_OF_SAMPLE <= len(sample):
            return length
    return 0


def _put_right(
    piece: list[Column], parts: int, place: int, same: bytes, known: int
) -> list[Column]:
    """Entries of which some that follow each other are the `same`, but for what is from `place` on, put in order.

    `known`: in so many columns these are not only equal, as 1 and 1.0 are."""
    if 1 not in same:
        return piece
    rest = piece[place:parts]
    keys: Sequence[Any] = rest[0] if len(rest) == 1 else list(zip(*rest, strict=True))
    try:
        moved = _runs_sorted(keys, same)
    except TypeError:
        moved = _runs_sorted(list(map(order_key, keys)), same)
    if not moved:
        return piece
    return [*piece[:known], *[_moved(column, moved) for column in piece[known:]]]


def _runs_sorted(keys: Sequence[Any], same: bytes) -> list[tuple[int, list[int]]]:
    """Of each run that is not in order: where it begins, and its slots in the order of their keys."""
    key_at, find = keys.__getitem__, same.find
    found, done = list[tuple[int, list[int]]](), 0
    for slot in compress(count(), same):
        if slot < done or not key_at(slot) > key_at(slot + 1):
            continue
        start = same.rfind(0, 0, slot) + 1
        end = find(0, slot)
        done = (len(same) if end < 0 else end) + 1
        if done - start == 2:
            found.append((start, [start + 1, start]))
        else:
            found.append((start, sorted(range(start, done), key=key_at)))
    return found


def _moved(column: Column, moved: Sequence[tuple[int, list[int]]]) -> Column:
    """A column with some slots in another order."""
    if len(moved) * _FEW_MOVED > len(column):
        order = list(range(len(column)))
        for start, slots in moved:
            order[start : start + len(slots)] = slots
        return _picked(column, order)
    made = list(column)
    for start, slots in moved:
        made[start : start + len(slots)] = [column[slot] for slot in slots]
    return made


# -- packing --------------------------------------------------------------------------------------------------


def _packing(columns: Sequence[Column], parts: int, place: int) -> _Packing | None:
    """How the entries are packed by the parts from `place` on; None where that tells too little."""
    found: list[PackedColumn] = []
    planes: Planes = []
    size, keys, base = len(columns[0]), columns[-1], 0
    if len(columns) > parts and keys.__class__ is range and 0 <= keys.start <= BASE_MAX:
        base = keys.start
    slots = counted(base, size)
    for at in range(place, len(columns)):
        room = 8 - len(slots) - len(planes)
        part = packed_column(columns[at], room, first=at == place) if len(planes) < 8 else None
        if part is None or (at >= parts and part.column is None):
            break
        found.append(part)
        planes += part.planes
        if part.column is None:
            break
    if not found:
        return None
    planes, from_top = on_top(planes, size)
    is_all = place + len(found) == len(columns) and found[-1].column is not None
    if not is_all or len(planes) > 8:
        # Behind the parts comes where an entry stands.
        planes = planes[: 8 - len(slots)] + slots
        return _Packing(columns, parts, place, found, planes, from_top, len(slots), base)
    return _Packing(columns, parts, place, found, planes, from_top, 0, 0)


class _Packing:
    """Entries as eight bytes each.

    `planes`: of the packed parts and of where the entry stands, which are the last `slots` of them (none where
    the parts are the whole entry).  That is counted from `base` on: the key itself where keys are consecutive, else
    0."""

    def __init__(
        self,
        columns: Sequence[Column],
        parts: int,
        place: int,
        packed: list[PackedColumn],
        planes: Planes,
        from_top: bytes,
        slots: int,
        base: int,
    ) -> None:
        self._parts = parts
        self._place = place
        self._planes = planes
        self._from_top = from_top
        self._slots = slots
        self._base = base
        self._first = 0 if from_top else 1  # of the parts' planes
        self._size = len(columns[0])
        room, self._known = len(planes) - slots - self._first, list[PackedColumn]()
        for part in packed[: None if not slots else parts - place]:
            room -= len(part.planes)
            if room < 0 or part.column is None:
                break
            self._known.append(part)
        # What the planes don't tell, by where entries stand.
        rest = columns[place + len(self._known) : -1 if base else None]
        self._columns = [_from(base, column) for column in rest] if slots else []

    def pieces(self) -> Iterator[list[Column]]:
        """The entries in order."""
        for packed in self._buckets():
            size, planes = len(packed) // 8, self._planes_in(packed)
            made = self._known_columns(planes, size)
            if not self._slots:
                yield made
                continue
            known, same = len(made), self._alike(planes, size)
            slots = array_of("i" if self._slots < 4 else "q", planes[-self._slots :])
            if self._base:
                made.append(slots)
            start = 0
            while start < size:
                end = min(start + _PIECE_ENTRIES, size)
                if end < size and 1 in same:
                    end = same.find(0, end - 1) + 1 or size
                piece = [column[start:end] for column in made]
                order = slots[start:end].tolist()
                piece[known:known] = [_picked(column, order) for column in self._columns]
                yield _put_right(piece, self._parts, known, same[start : end - 1], known)
                start = end

    def _buckets(self) -> Iterator[bytes]:
        """The eight bytes of all entries in order.  Entries whose parts are packed alike are in one bucket."""
        size, entries = self._size, _RUN_ENTRIES
        while size > entries * _RUNS_MAX:
            entries *= 2
        runs = [
            _sorted_numbers(interleaved([plane[start : start + entries] for plane in self._planes]))
            for start in range(0, size, entries)
        ]
        if len(runs) == 1:
            yield runs[0]
            return
        numbers = [memoryview(run).cast("q") for run in runs]
        lowest = ~((1 << 8 * (8 - len(self._planes) + self._slots)) - 1)
        sample = sorted(chain.from_iterable([some[::256].tolist() for some in numbers]))
        step = entries // 256
        bounds = sorted({number & lowest for number in sample[step::step]})
        starts = [0] * len(runs)
        for bound in [*bounds, None]:
            ends = [
                len(some) if bound is None else bisect_left(some, bound, start)
                for some, start in zip(numbers, starts, strict=True)
            ]
            slices = [
                run[start * 8 : end * 8] for run, start, end in zip(runs, starts, ends, strict=True)
            ]
            starts = ends
            packed = b"".join(slices)
            if packed:
                yield _sorted_numbers(packed)

    def _planes_in(self, packed: bytes) -> Planes:
        planes = [packed[AT[7 - at] :: 8] for at in range(len(self._planes))]
        if self._from_top:
            planes[0] = planes[0].translate(self._from_top)
        return planes

    def _alike(self, planes: Planes, size: int) -> bytes:
        """Which entries have the same in what is packed as the next one, and are not known to be in order."""
        if self._place + len(self._known) >= self._parts:
            return bytes(size - 1)
        different = 0
        for plane in planes[: -self._slots]:
            number = int.from_bytes(plane)
            different |= number ^ number >> 8  # of each byte and the one before it
        return different.to_bytes(size)[1:].translate(_IS_ZERO)

    def _known_columns(self, planes: Planes, size: int) -> list[Column]:
        """The columns that the planes tell."""
        at = self._first
        made: list[Column] = [(None,) * size] * self._place
        for part in self._known:
            assert part.column is not None
            made.append(part.column(planes[at : at + len(part.planes)], size))
            at += len(part.planes)
        return made


def _from(base: int, column: Column) -> Column:
    """A column whose values are counted from there on."""
    if column.__class__ is array:
        return array(column.typecode, bytes(column.itemsize * base)) + column
    if column.__class__ is range:
        return range(column.start - base, column.stop)
    return [*repeat(None, base), *column]


def _sorted_numbers(packed: bytes | bytearray) -> bytes:
    numbers = memoryview(packed).cast("d").tolist()
    numbers.sort()
    return struct.pack(f"{len(numbers)}d", *numbers)
