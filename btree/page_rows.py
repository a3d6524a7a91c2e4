"""The rows of a leaf that has just been read, out of its columns as they lie in the page.

Whoever changes or wants one row of each of many leaves should not pay for the others: to turn a leaf round
(`packed_rows`) takes as long as twenty rows by column.  So a leaf begins as its columns, and is turned round once some
of its rows were asked for.

A number in fixed width is where its slot says.  Of a column in msgpack nothing says where a value begins but those
before it.  Where all are texts of ASCII, each shorter than 32 bytes, the bytes that are not ASCII are the heads of the
texts, which tell their lengths: one call takes them out, and their sum is the place.  Else all are decoded, each time:
three times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from btree.column_codec import decode_all, row_count
from btree.node import NotInMemoryError
from btree.packed_rows import PackedRows, SiftedRows, packed_rows
from btree.protocols import Value

ROWS_MAX = 12
"""Rows that are taken out of a leaf's columns before it is turned round; one for which a column has to be decoded counts
as several."""

_DECODED_ROWS = 4

_NUMBERS = {ord(code): Struct(f"<{code}") for code in "bhiqd"}
_ASCII = bytes(range(0x80))
_SHORT, _SHORT_END = 0xA0, 0xC0
"""The heads of texts of less than 32 bytes in msgpack are these numbers, the length added."""
_SHORT_HEADS = bytes(range(_SHORT, _SHORT_END))


class PageRows(PackedRows):
    """The same for a leaf's first look-ups: `turned` are the rows for those to come.  `there`: the rows' places in the
    columns, where these have others, too, that are deleted."""

    __slots__ = ("_columns", "_count", "_decoded", "_heads", "_there", "_turned")

    def __init__(self, columns: Sequence[bytes], there: Sequence[int] | None = None) -> None:
        count = row_count(columns[0])
        for column in columns:
            if row_count(column) != count:
                raise ValueError("columns of different lengths")
        self._columns = columns
        self._count = count
        self._there = there
        # Of columns of short texts, by their places; empty for others.
        self._heads: dict[int, bytes] = {}
        self._turned: PackedRows | None = None
        self._decoded = 0  # weighed as rows
        self.reads = 0

    @property
    def bytes(self) -> int:
        return sum(map(len, self._columns))

    @property
    def is_turning(self) -> bool:
        """Whether the leaf has been read so often that it should be turned round."""
        return self.reads + self._decoded > ROWS_MAX

    def turned(self) -> PackedRows:
        """The rows, each in one place."""
        made = self._turned
        if made is None:
            made = packed_rows(self._columns)
            if self._there is not None:
                made = SiftedRows(made, self._there)
            made.reads = min(self.reads, ROWS_MAX)
            self._turned, self._decoded = made, ROWS_MAX + 1
        return made

    def row(self, slot: int) -> Value:
        if self._turned is not None:
            return self._turned.row(slot)
        if self._there is not None:
            slot = self._there[slot]
        row: list[Value] = []
        for place, column in enumerate(self._columns):
            number = _NUMBERS.get(column[0])
            if number is not None:
                row += number.unpack_from(column, 1 + number.size * slot)
                continue
            heads = self._heads.get(place)
            if heads is None:
                heads = self._heads[place] = _heads(column, self._count)
            if heads:
                begin = 4 + slot + sum(heads[:slot]) - _SHORT * slot
                row.append(column[begin : begin + heads[slot] - _SHORT].decode())
            else:
                row.append(decode_all(column)[slot])
                self._decoded += _DECODED_ROWS
        return tuple(row)

    def __getitem__(self, slot: int) -> Value:
        self.reads += 1
        if self.reads + self._decoded > ROWS_MAX:
            raise NotInMemoryError  # the slow path asks for the leaf anew
        return self.row(slot)

    def rows(self, low: int, high: int) -> list[Value]:
        return self.turned().rows(low, high)

    def rows_at(self, keys: Sequence[int], wanted: Sequence[Value]) -> list[Value]:
        return self.turned().rows_at(keys, wanted)


def _heads(column: bytes, count: int) -> bytes:
    """The heads of all values of a column in msgpack, if these are short texts of ASCII; else nothing."""
    if column[0] != 0xDC:  # of 16 entries and more
        return b""
    heads = column[3:].translate(None, _ASCII)
    # No other value begins so, and text beyond ASCII has bytes of 0xc2 and more: so these are the heads of all
    # values that are no small integers, which have none.
    return heads if len(heads) == count and not heads.translate(None, _SHORT_HEADS) else b""
