"""Columns with values so long that each is in a page of its own.

A text or BLOB of more than half a page is taken out of its row when the leaf would be too long otherwise: in its page
stand a head and the value in msgpack, and the leaf keeps where, so that whoever asks for other columns reads and
changes a few bytes a row, whatever stands beside them.  In the leaf such a column is

    'L' and msgpack   [values, slots, pages, bytes]

with NULL among its values in the slots of long ones, and of each of those the page and how long that is.  (Where rows are of
different widths the leaf keeps them as such, and a list of `Reference`s.)  As the page
of a long value is never written anew, many versions of a leaf lead to the same one; it is freed with the row.

Leaves in memory have `LongRow`s in such slots.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Annotated, Any

import msgspec

from btree.column_codec import LONG, decode_column, encode_column
from btree.node import LargeValues, LongRow, Node, Part
from btree.protocols import Value

_BIT_MAX = 62

LONG_LEAF_BYTES = 1 << 20
"""What the values of a leaf may take that are to be in pages of their own: whoever wants all of them has them all in memory."""

LongValues = Callable[[Sequence[int]], Sequence[Value]]
"""What reads long values, by the numbers of their pages."""

PageNumber = Annotated[int, msgspec.Meta(gt=0, lt=1 << 62)]
"""As a decoder is to ask it of the number of a page."""

Reference = tuple[int, int, PageNumber, int]
"""Where a leaf has a long value: the slot, the column, the page, and how many bytes that has."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[Any], list[int], list[PageNumber], list[int]]).decode


def bit_of(column: int) -> int:
    """A tree's `large` has this bit if the column may have long values.  The last one is for all that follow."""
    return 1 << min(column, _BIT_MAX)


def may_be_long(large: int, columns: Iterable[int]) -> bool:
    """Whether any of the columns (negative ones stand for keys) may have long values, by a tree's `large`."""
    return large != 0 and any(large & bit_of(column) for column in columns if column >= 0)


def has_long(leaf: Node, columns: Container[int]) -> bool:
    """Whether a leaf in memory has long values in any of the columns."""
    if leaf.values.__class__ is not LargeValues:
        return False
    rows = [row for row in list(leaf.values or ()) if isinstance(row, LongRow)]
    return any(column in columns for row in rows for column, _, _ in row.parts)


def is_long(value: Value, bytes_min: int) -> bool:
    """Whether a column's value takes more than so many bytes."""
    if value.__class__ is str:
        length = len(value)
        if length > bytes_min or 4 * length <= bytes_min:
            return length > bytes_min
        return not value.isascii() and len(value.encode()) > bytes_min
    return value.__class__ is bytes and len(value) > bytes_min


def heads_of(rows: LargeValues) -> list[Any]:
    """A leaf's rows with NULLs in the place of long values."""
    return [row.head if isinstance(row, LongRow) else row for row in list(rows)]


def references_of(rows: LargeValues) -> list[Reference]:
    """Where the long values are."""
    return [
        (slot, *part)
        for slot, row in enumerate(list(rows))
        if isinstance(row, LongRow)
        for part in row.parts
    ]


def encode_columns(rows: LargeValues) -> list[bytes] | None:
    """The columns of a leaf's rows; None if they are of different widths.  Errors as `encode_column`."""
    heads = heads_of(rows)
    if len(set(map(len, heads))) > 1:
        return None
    references: dict[int, tuple[list[int], list[int], list[int]]] = {}
    for slot, column, page, size in references_of(rows):
        slots, pages, sizes = references.setdefault(column, ([], [], []))
        slots.append(slot)
        pages.append(page)
        sizes.append(size)
    return [
        bytes((LONG,)) + _encode((values, *references[column]))
        if column in references
        else encode_column(values)
        for column, values in enumerate(zip(*heads, strict=True))
    ]


def taken_apart(column: bytes) -> tuple[list[Value], list[int], list[int], list[int]]:
    """The values of a column with long ones, NULL in their slots; those, their pages and lengths.  DecodeError or ValueError if it is
    no such column."""
    values, slots, pages, sizes = _decode(memoryview(column)[1:])
    if not len(slots) == len(pages) == len(sizes):
        raise ValueError("long values without pages")
    if slots and not 0 <= min(slots) <= max(slots) < len(values):
        raise ValueError("long values in slots that are not there")
    return values, slots, pages, sizes


def decoded(column: bytes, long_values: LongValues) -> list[Value]:
    """All values of such a column.  Errors as `taken_apart`, and those of reading."""
    values, slots, pages, _ = taken_apart(column)
    for slot, value in zip(slots, long_values(pages), strict=True):
        values[slot] = value
    return values


def decoded_rows(columns: Sequence[bytes]) -> LargeValues:
    """The rows of a leaf some of whose columns have long values.  Errors as `taken_apart` and `decode_column`."""
    references: list[Reference] = []
    lists = []
    for number, column in enumerate(columns):
        if column[0] != LONG:
            lists.append(decode_column(column))
            continue
        values, slots, pages, sizes = taken_apart(column)
        lists.append(values)
        for slot, page, size in zip(slots, pages, sizes, strict=True):
            references.append((slot, number, page, size))
    return long_rows(list(zip(*lists, strict=True)), references)


def long_rows(heads: list[Any], references: Iterable[Reference]) -> LargeValues:
    """A leaf's rows, some with values that are elsewhere.  LookupError for those of rows or columns that are not there."""
    parts: dict[int, list[Part]] = {}
    for slot, column, page, size in references:
        if slot < 0 or column < 0 or heads[slot][column] is not None:
            raise ValueError("a value in two places")
        parts.setdefault(slot, []).append((column, page, size))
    for slot, some in parts.items():
        heads[slot] = LongRow(heads[slot], tuple(some))
    return LargeValues(heads)
