"""The rows of a leaf in few bytes, each in one place.

A page keeps rows by column.  To make one row of it, each column has to be gone to, behind an object or two: a
dozen of the processor's cache lines for five columns, and it waits for each.  So a leaf that is to be looked
at is turned round: what is of fixed width of a row lies side by side, numbers as they are, of texts and other
values where they begin and end.  One call of `struct` takes that apart, from one or two cache lines: 0.6 us for
a row of a million of them, 1.6 column by column, 0.2 if all is at hand.

    INTEGER, REAL      in fixed width, as the page has them
    the same or NULL   in eight bytes and one that tells
    TEXT, BLOB         two ends in the leaf's values, put together to one; of NULL the first is behind the second
    any others         two ends in the bytes of the column, in msgpack

To turn it round takes no look at single values: the n-th bytes of all values of a column go to their places in one
slice with a step.

What makes a row of a leaf of some layout is written as Python and compiled, once for each layout: to go over the
columns would cost three times as much.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate
from operator import add
from struct import Struct
from typing import Any

from btree.column_codec import (
    FIXED_WIDTHS,
    SHORT_NULL,
    decode_all,
    decode_value,
    encoded_lengths,
    row_count,
    short_lengths,
    short_texts,
)
from btree.node import NotInMemoryError
from btree.order import search_left
from btree.protocols import Value

READS_MAX = 256
"""Look-ups after which a leaf is worth decoding."""

_LAYOUTS_MAX = 512
_ENDS = {2: "H", 4: "I"}
_FLAGGED = {int: ("n", "q"), float: ("o", "d")}
_WITH_FLAG = frozenset("no")
_IS_NULL = bytes([length == SHORT_NULL for length in range(256)])
_NULL_IS_EMPTY = bytes([0 if length == SHORT_NULL else length for length in range(256)])


class PackedRows:
    """The rows of a leaf by their slots, each made when it is asked for.  Each layout has a class of its own."""

    __slots__ = ("ends", "parts", "reads")

    def __init__(self, parts: bytes, ends: tuple[Any, ...]) -> None:
        self.parts = parts  # of fixed width, row by row
        self.ends = ends  # the texts and the bytes that those speak of
        self.reads = 0

    @property
    def is_turning(self) -> bool:
        """Whether there is a better way to keep the rows by now, see `page_rows`."""
        return False

    @property
    def bytes(self) -> int:
        """About what they take in memory."""
        return sum(map(sys.getsizeof, (self.parts, *self.ends)))

    def row(self, slot: int, columns: Iterable[int] | None = None) -> Value:
        """The row in a slot, not counted as a look-up.  `columns`: NULLs will do for others."""
        raise NotImplementedError

    def __getitem__(self, slot: int) -> Value:
        self.reads += 1
        if self.reads > READS_MAX:
            raise NotInMemoryError  # the slow path asks for the leaf anew
        return self.row(slot)

    def rows(self, low: int, high: int) -> list[Value]:
        """The rows of neighbouring slots, not counted."""
        raise NotImplementedError

    def cut(self, low: int, high: int) -> list[Value]:
        """The same, counted."""
        self.reads += high - low
        return self.rows(low, high)

    def rows_at(
        self, keys: Sequence[int], wanted: Sequence[Any], columns: Collection[int] | None = None
    ) -> list[Value]:
        """The rows at the wanted ones of the leaf's keys, None where there is none.  `columns`: see `row`."""
        self.reads += len(wanted)
        count, first = len(keys), keys[0]
        row = self.row
        found: list[Value] = []
        for key in wanted:
            slot = key - first if key.__class__ is int else -1  # see `Tree.get`
            if not 0 <= slot < count or keys[slot] != key:
                slot = search_left(keys, key)
            found.append(row(slot) if slot < count and keys[slot] == key else None)
        return found


class SiftedRows(PackedRows):
    """Those of a leaf's rows that are not deleted: `there` are their slots among all."""

    __slots__ = ("_all", "_there")

    def __init__(self, rows: PackedRows, there: Sequence[int]) -> None:
        self._all = rows
        self._there = there
        self.reads = 0

    @property
    def bytes(self) -> int:
        return self._all.bytes + sys.getsizeof(self._there)

    def row(self, slot: int, columns: Iterable[int] | None = None) -> Value:
        return self._all.row(self._there[slot])

    def rows(self, low: int, high: int) -> list[Value]:
        row = self._all.row
        return [row(slot) for slot in self._there[low:high]]


def packed_rows(columns: Sequence[bytes]) -> PackedRows:
    """The rows whose columns these are, as they are encoded; there is at least one.

    msgspec.DecodeError, ValueError or LookupError if they are none, or of different lengths."""
    count = row_count(columns[0])
    layout = ""
    pieces: list[tuple[int, bytes]] = []  # widths, and values side by side
    ends: list[Any] = []
    for column in columns:
        if row_count(column) != count:
            raise ValueError("columns of different lengths")
        first = column[0]
        if first < 0x80:
            layout += chr(first)
            pieces.append((FIXED_WIDTHS[first], column[1:]))
            continue
        letter, whole, steps, nulls = _short_texts(column, count) or _others(column, count, pieces)
        if letter in _WITH_FLAG:
            layout += letter
            continue
        width = 2 if len(whole) < 0xFFFF else 4  # a NULL's first end is behind all others
        layout += letter if width == 2 else letter.upper()
        ends.append(whole)
        pieces += _ends_of(width, steps, nulls)
    made = _CLASSES.get(layout)
    if made is None:
        if len(_CLASSES) >= _LAYOUTS_MAX:
            _CLASSES.clear()
        made = _CLASSES[layout] = _class_of(layout)
    return made(_side_by_side(pieces, count), tuple(ends))


_Together = tuple[str, Any, Iterable[int], Iterable[int]]
"""A column's letter; its values put together; where the first of them begins, and their lengths; 1 for each that is NULL,
nothing if none may be."""


def _short_texts(column: bytes, count: int) -> _Together | None:
    """A column of short texts and NULLs, of which none is made."""
    lengths = short_lengths(column, count)
    if not lengths:
        return None
    whole = short_texts(column)
    if SHORT_NULL not in lengths:
        return "t", whole, b"\0" + lengths, b""
    nulls = lengths.translate(_IS_NULL)
    return "m", whole, b"\0" + lengths.translate(_NULL_IS_EMPTY), nulls


def _others(column: bytes, count: int, pieces: list[tuple[int, bytes]]) -> _Together:
    """Any column; `pieces` is given numbers that have NULLs."""
    values = decode_all(column)
    if len(values) != count:
        raise ValueError("columns of different lengths")
    kinds = {*map(type, values)}
    if kinds == {str}:
        return "t", "".join(values), (0, *map(len, values)), ()
    if kinds == {bytes}:
        return "x", b"".join(values), (0, *map(len, values)), ()
    if type(None) not in kinds or len(kinds) != 2:
        return "v", column, encoded_lengths(column, values), ()
    nulls = [value is None for value in values]
    numbers = _FLAGGED.get((kinds - {type(None)}).pop())
    if numbers is not None:
        letter, code = numbers
        pieces.append((8, _numbers(code, [0 if v is None else v for v in values])))
        pieces.append((1, bytes([not null for null in nulls])))
        return letter, None, (), ()
    lengths = [0, *[0 if value is None else len(value) for value in values]]
    present: list[Any] = [value for value in values if value is not None]
    if str in kinds:
        return "m", "".join(present), lengths, nulls
    return "y", b"".join(present), lengths, nulls


def _ends_of(width: int, steps: Iterable[int], nulls: Iterable[int]) -> list[tuple[int, bytes]]:
    """Where values begin and end in what they were put together to: see `_Together`."""
    code = _ENDS[width]
    places = [*accumulate(steps)]
    stops = array(code, places[1:])
    del places[-1]
    starts = array(code, map(add, places, nulls) if nulls else places)
    return [(width, _little(starts)), (width, _little(stops))]


def _numbers(code: str, numbers: list[Any]) -> bytes:
    return _little(array(code, numbers))


def _little(numbers: array[Any]) -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _side_by_side(pieces: list[tuple[int, bytes]], count: int) -> bytes:
    """Columns of fixed widths turned into rows: the first bytes of all their values, then the second ones."""
    stride = sum([width for width, _ in pieces])
    rows = bytearray(stride * count)
    place = 0
    for width, values in pieces:
        for part in range(width):
            rows[place::stride] = values[part::width]
            place += 1
    return bytes(rows)


_CLASSES: dict[str, type[PackedRows]] = {}
"""By layout, a letter for each column: of `struct`; n and o for INTEGER and REAL with NULLs; t and x for TEXT and
BLOB, m and y with NULLs, v for any values, and those in upper case where they are long."""


def _class_of(layout: str) -> type[PackedRows]:
    form, names, values = "<", [], []
    others = 0
    for place, letter in enumerate(layout):
        if letter in "no":
            form += "qB" if letter == "n" else "dB"
            names += [f"c{place}", f"f{place}"]
            values.append(f"(c{place} if f{place} else None)")
        elif letter in "txmyvTXMYV":
            form += "HH" if letter.islower() else "II"
            names += [f"s{place}", f"e{place}"]
            value = f"self.ends[{others}][s{place}:e{place}]"
            if letter in "vV":
                value = f"decode({value})"
            elif letter in "myMY":
                value = f"({value} if s{place} <= e{place} else None)"
            values.append(value)
            others += 1
        else:
            form += letter
            names.append(f"c{place}")
            values.append(f"c{place}")
    parts = Struct(form)
    taken, row = f"{', '.join(names)},", f"{', '.join(values)},"
    one = [f"unpack(self.parts, slot * {parts.size})"]
    many = f"each(self.parts[low * {parts.size} : high * {parts.size}])"
    if names != values:
        one = [f"{taken} = {one[0]}", f"return {row}"]
        many = f"[({row}) for {taken} in {many}]"
    else:
        one = [f"return {one[0]}"]
        many = f"[*{many}]"
    lines = [
        "def row(self, slot, columns=None):",
        *one,
        "def counted(self, slot):",
        "self.reads += 1",
        f"if self.reads > {READS_MAX}: raise NotInMemoryError",
        *one,
        "def rows(self, low, high):",
        f"return {many}",
    ]
    text = "\n".join([line if line.startswith("def ") else f"    {line}" for line in lines])
    space: dict[str, Any] = {
        "unpack": parts.unpack_from,
        "each": parts.iter_unpack,
        "decode": decode_value,
        "NotInMemoryError": NotInMemoryError,
    }
    exec(compile(text, f"<packed rows {layout}>", "exec"), space)
    return type(
        "PackedRows",
        (PackedRows,),
        {
            "__slots__": (),
            "row": space["row"],
            "rows": space["rows"],
            "__getitem__": space["counted"],
        },
    )
