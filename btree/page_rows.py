"""The rows of a leaf that has just been read, out of its columns as they lie in the page.

Who changes or wants one row of each of many leaves should not pay for the others: to turn a leaf round
(`packed_rows`) takes as long as twenty rows by column.  So a leaf begins as its columns, and is turned round once some
of its rows were asked for.

A number in fixed width is where its slot says.  Of a column in msgpack nothing says where a value begins but those
before it.  Where all are texts of ASCII, each shorter than 32 bytes, the bytes that are not ASCII are the heads of the
texts, which tell their lengths: one call takes them out, and their sum is the place.  Else all are decoded: three times as
long.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from btree.column_codec import decode_all, row_count
from btree.node import NotInMemoryError
from btree.packed_rows import PackedRows, packed_rows
from btree.protocols import Value

ROWS_MAX = 4
"""Rows that are taken out of a leaf's columns before it is turned round."""

_NUMBERS = {ord(code): Struct(f"<{code}") for code in "bhiqd"}
_ASCII = bytes(range(0x80))
_SHORT, _SHORT_END = 0xA0, 0xC0
"""The heads of texts of less than 32 bytes in msgpack are these numbers, the length added."""
_SHORT_HEADS = bytes(range(_SHORT, _SHORT_END))


class PageRows(PackedRows):
    """The same for a leaf's first look-ups: `turned` are the rows for those to come."""

    __slots__ = ("_columns", "_turned")

    def __init__(self, columns: Sequence[bytes]) -> None:
        count = row_count(columns[0])
        for column in columns:
            if row_count(column) != count:
                raise ValueError("columns of different lengths")
        self._columns = columns
        self._turned: PackedRows | None = None
        self.reads = 0

    @property
    def bytes(self) -> int:
        return sum(map(len, self._columns))

    @property
    def is_turning(self) -> bool:
        """Whether the leaf had better be turned round."""
        return self.reads > ROWS_MAX

    def turned(self) -> PackedRows:
        """The rows, each in one place."""
        made = self._turned
        if made is None:
            made = packed_rows(self._columns)
            made.reads = min(self.reads, ROWS_MAX)
            self._turned, self.reads = made, ROWS_MAX + 1
        return made

    def row(self, slot: int) -> Value:
        if self._turned is not None:
            return self._turned.row(slot)
        row: list[Value] = []
        for column in self._columns:
            number = _NUMBERS.get(column[0])
            if number is not None:
                row += number.unpack_from(column, 1 + number.size * slot)
            else:
                row.append(_value(column, slot))
        return tuple(row)

    def __getitem__(self, slot: int) -> Value:
        self.reads += 1
        if self.reads > ROWS_MAX:
            raise NotInMemoryError  # the slow path asks for the leaf anew
        return self.row(slot)

    def rows(self, low: int, high: int) -> list[Value]:
        return self.turned().rows(low, high)

    def rows_at(self, keys: Sequence[int], wanted: Sequence[Value]) -> list[Value]:
        return self.turned().rows_at(keys, wanted)


def _value(column: bytes, slot: int) -> Value:
    """One value of a column in msgpack."""
    if column[0] == 0xDC:  # of 16 entries and more
        heads = column[3:].translate(None, _ASCII)
        # No other value begins so, and text beyond ASCII has bytes of 0xc2 and more: so these are the heads of all
        # values that are no small integers, which have none.
        if len(heads) == row_count(column) and not heads.translate(None, _SHORT_HEADS):
            begin = 4 + slot + sum(heads[:slot]) - _SHORT * slot
            return column[begin : begin + heads[slot] - _SHORT].decode()
    return decode_all(column)[slot]
