"""The rows of a leaf that has just been read, out of its columns as they lie in the page.

Whoever changes or wants one row of each of many leaves should not pay for the others: to turn a leaf round
(`packed_rows`) takes as long as twenty rows by column.  So a leaf begins as its columns, and is turned round once some
of its rows were asked for.

A number in fixed width is where its slot says.  Of a column in msgpack nothing says where a value begins but those
before it.  Where all are texts of ASCII, each shorter than 32 bytes, the bytes that are not ASCII are the heads of the
texts, which tell their lengths: one call takes them out, and their sum is the place.  Else all are decoded, each time:
three times as long.

So what a column holds is found out behind all checks of a page that is read.  Here is where it is told from which
page it came, if it is no column.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from struct import Struct
from typing import Any

from btree.column_codec import SHORT_NULL, decode_all, row_count, short_lengths
from btree.errors import UNDECODABLE, CorruptionError, senseless
from btree.node import NotInMemoryError
from btree.order import search_left
from btree.packed_rows import PackedRows, SiftedRows, packed_rows
from btree.protocols import Value

ROWS_MAX = 16
"""Rows that are taken out of a leaf's columns before it is turned round; a column that has to be decoded for one counts
as one more, and of a row of which some columns are wanted each of these as its part of the row."""

_NUMBERS = {ord(code): Struct(f"<{code}") for code in "bhiqd"}


class PageRows(PackedRows):
    """The same for a leaf's first look-ups: `turned` are the rows for those to come.  `there`: the rows' places in the
    columns, where these have others, too, that are deleted.  CorruptionError, of any look-up: it names the `page`."""

    __slots__ = ("_columns", "_count", "_decoded", "_lengths", "_page", "_there", "_turned")

    def __init__(
        self, page: int, columns: Sequence[bytes], there: Sequence[int] | None = None
    ) -> None:
        count = row_count(columns[0])
        for column in columns:
            if row_count(column) != count:
                raise ValueError("columns of different lengths")
        self._page = page
        self._columns = columns
        self._count = count
        self._there = there
        # Of columns of short texts, by their places; empty for others.
        self._lengths: dict[int, bytes] = {}
        self._turned: PackedRows | None = None
        self._decoded = 0.0  # weighed as rows
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
            try:
                made = packed_rows(self._columns)
            except UNDECODABLE as error:
                raise self._damaged(error) from error
            if self._there is not None:
                made = SiftedRows(made, self._there)
            made.reads = min(self.reads, ROWS_MAX)
            self._turned, self._decoded = made, ROWS_MAX + 1
        return made

    def row(self, slot: int, columns: Iterable[int] | None = None) -> Value:
        if self._turned is not None:
            return self._turned.row(slot)
        if self._there is not None:
            slot = self._there[slot]
        row: list[Value] = [None] * len(self._columns)
        try:
            for place in range(len(row)) if columns is None else columns:
                column = self._columns[place]
                number = _NUMBERS.get(column[0])
                if number is not None:
                    (row[place],) = number.unpack_from(column, 1 + number.size * slot)
                    continue
                lengths = self._lengths.get(place)
                if lengths is None:
                    lengths = self._lengths[place] = short_lengths(column, self._count)
                if not lengths:
                    row[place] = decode_all(column)[slot]
                    self._decoded += 1
                elif lengths[slot] != SHORT_NULL:
                    nulls = lengths.count(SHORT_NULL, 0, slot)
                    begin = 4 + slot + sum(lengths[:slot]) - nulls * SHORT_NULL
                    row[place] = column[begin : begin + lengths[slot]].decode()
        except UNDECODABLE as error:
            raise self._damaged(error) from error
        return tuple(row)

    def _damaged(self, error: Exception) -> CorruptionError:
        return senseless(f"page {self._page}: columns that can't be decoded", error)

    def __getitem__(self, slot: int) -> Value:
        self.reads += 1
        if self.reads + self._decoded > ROWS_MAX:
            raise NotInMemoryError  # the slow path asks for the leaf anew
        return self.row(slot)

    def part(self, slot: int, columns: Collection[int]) -> Value:
        """The row in a slot, counted, with NULLs in all columns but some."""
        self._decoded += len(columns) / len(self._columns)
        if self.is_turning:
            raise NotInMemoryError
        return self.row(slot, columns)

    def rows(self, low: int, high: int) -> list[Value]:
        return self.turned().rows(low, high)

    def rows_at(
        self, keys: Sequence[int], wanted: Sequence[Any], columns: Collection[int] | None = None
    ) -> list[Value]:
        if columns is None or len(wanted) * len(columns) > len(self._columns) * ROWS_MAX / 2:
            return self.turned().rows_at(keys, wanted)
        self._decoded += len(wanted) * len(columns) / len(self._columns)
        slots = [search_left(keys, key) for key in wanted]
        count = len(keys)
        return [
            self.row(slot, columns) if slot < count and keys[slot] == key else None
            for slot, key in zip(slots, wanted, strict=True)
        ]
