"""A leaf whose page is put together anew from the bytes of its columns, without making its rows.

In a column of fixed width new values are written over the old ones, for many leaves at once (`Numbers`), and then
over the column in the page, where it was read: nothing of the page is copied or encoded.  Any other column that
changes is decoded and encoded again, and what stays of the page goes into the new one as the bytes that it is.
Deleted rows stay in the columns, and their slots are listed behind them, up to half of them: to take them out of
the columns costs 25 us a leaf, the list nothing.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from operator import eq
from typing import Any

from msgspec.structs import replace

from btree.codec import (
    KEY_COLUMN,
    KeyForm,
    encode_columns_page,
    mask_without,
    not_storable,
    row_id_part,
)
from btree.column_codec import decode_column, encode_column, packer
from btree.column_pages import OpenPage, decoded_column, joined
from btree.errors import CorruptionError
from btree.node import Node
from btree.order import search_left
from btree.protocols import Key, TreeKind, Value
from btree.tree import Tree

_SEARCHED = 16
"""Keys of a leaf are searched for where they are fewer than one in so many of its own."""

GONE_SHARE = 2
"""Up to one of so many rows of a page may be deleted ones."""

_FIXED: dict[int, tuple[Any, type]] = {
    **{ord(code): (code, int) for code in "bhiq"},
    ord("d"): ("d", float),
}
"""By a column's first byte: its numbers' format and class."""

_NATIVE = sys.byteorder == "little"


class Place:
    """Where a leaf was when it was read: under a branch, in a slot; and where its page lay, 0 for one that has
    none which says what the leaf does."""

    __slots__ = ("branch", "child", "location", "page", "slot")

    def __init__(
        self, branch: Node | None, slot: int, child: Any, page: int, location: int
    ) -> None:
        self.branch = branch
        self.slot = slot
        self.child = child  # what stood in the branch for it
        self.page = page
        self.location = location

    rows: int
    """How many it has, of a leaf that goes."""

    def first_key(self) -> Key:
        """The key of its first row, or another one that belongs there."""
        return self.keys()[0]

    def keys(self) -> Sequence[Key]:
        """The keys of all rows, of a leaf that goes; else at least one."""
        raise NotImplementedError


class RewrittenLeaf(Place):
    """A leaf of a batch.  `opened`: its page; None if it has to be changed as a node, which is `node` then;
    `start`: the place of its first row in the batch; `slots`: those of the rows that are meant."""

    __slots__ = ("_decoded", "node", "opened", "place", "rows", "slots", "start")

    def __init__(
        self,
        branch: Node | None,
        slot: int,
        opened: OpenPage | None,
        node: Any = None,
        child: Any = None,
        location: int = 0,
        start: int = 0,
    ) -> None:
        self.branch = (
            branch  # as in `Place`: there are thousands, and a call of it takes a third longer
        )
        self.slot = slot
        self.child = child
        self.page = 0 if opened is None else opened.page
        self.location = location
        self.start = start
        self.opened = opened
        self.node = node
        self.rows = len(node.keys) if opened is None else opened.rows
        self.slots: Any = None
        self.place: Any = None  # its page as it was read, which may be written over
        self._decoded: dict[int, list[Value]] = {}

    def keys(self) -> Sequence[Key]:
        """The keys of all rows."""
        if self.opened is None:
            return self.node.keys  # type: ignore[no-any-return]
        return joined((self.opened,), KEY_COLUMN)

    def first_key(self) -> Key:
        opened = self.opened
        if opened is not None and opened.key_form is KeyForm.CONSECUTIVE:
            return opened.key_part  # of a deleted row, perhaps
        return self.keys()[0]

    def chosen_keys(self) -> list[Key]:
        """The keys of the chosen rows."""
        keys = self.keys()
        return list(keys) if len(self.slots) == len(keys) else [keys[slot] for slot in self.slots]

    def slots_of(self, wanted: Sequence[Key]) -> Sequence[int]:
        """The slots of the rows with these keys, which ascend.  CorruptionError if one is not there."""
        count = len(wanted)
        opened = self.opened
        if opened is not None and opened.key_form is KeyForm.CONSECUTIVE and not opened.gone:
            first = opened.key_part
            if wanted[0] >= first and wanted[-1] < first + self.rows:
                return [key - first for key in wanted]
        else:
            keys = self.keys()
            if count == len(keys):
                slots: Sequence[int] = range(count)
            elif count * _SEARCHED > len(keys):
                slots = [*compress(range(len(keys)), map({*wanted}.__contains__, keys))]
            else:
                slots = [search_left(keys, key) for key in wanted]
            found = map(keys.__getitem__, slots)
            if len(slots) == count and slots[-1] < len(keys) and all(map(eq, found, wanted)):
                return slots
        raise CorruptionError(f"page {self.page}: a row that was found is not there")

    def slots_there(self, wanted: Sequence[Key]) -> Sequence[int]:
        """The slots of the rows with such of these keys as are there."""
        opened = self.opened
        if opened is not None and opened.key_form is KeyForm.CONSECUTIVE and not opened.gone:
            first = opened.key_part
            if wanted[0] >= first and wanted[-1] < first + self.rows:
                return [key - first for key in wanted]
        keys = self.keys()
        return [*compress(range(len(keys)), map({*wanted}.__contains__, keys))]

    def kept_slots(self) -> Sequence[int]:
        """The slots of the chosen rows in the page's columns, which have the deleted rows, too."""
        opened = self.opened
        assert opened is not None
        if not opened.gone:
            return self.slots  # type: ignore[no-any-return]
        count = opened.rows + len(opened.gone)
        there = list(compress(range(count), mask_without(opened.gone, count)))
        return [there[slot] for slot in self.slots]

    def chosen(self, tree: Tree, column: int) -> Sequence[Value]:
        """The column's values in the chosen rows."""
        if column == KEY_COLUMN:
            return self.chosen_keys()
        if self.opened is None:
            rows = tree.values_of(self.node, 0, self.rows, (column,))
            return [rows[slot][column] for slot in self.slots]
        values = self._all(column)
        return [values[slot] for slot in self.kept_slots()]

    def know(self, column: int, values: Sequence[Value]) -> None:
        """Take a column that has been decoded."""
        self._decoded[column] = list(values)

    def _all(self, column: int) -> list[Value]:
        """The column as the page keeps it."""
        known = self._decoded
        if column not in known:
            assert self.opened is not None
            known[column] = decoded_column(self.opened, column)
        return known[column]

    def with_values(self, column: int, values: Sequence[Value]) -> bytes:
        """The bytes of the column with other values in the chosen rows."""
        assert self.opened is not None
        if len(values) == self.rows and not self.opened.gone:
            return encoded(list(values))  # they may be a range, being row ids
        new = self._all(column)
        for slot, value in zip(self.kept_slots(), values, strict=True):
            new[slot] = value
        return encoded(new)

    def to_write_over(self, columns: Mapping[int, Any]) -> list[Any] | None:
        """All columns as they stand in the page where it was read, if some may be written over with others as long."""
        opened = self.opened
        if opened is None or self._keys_are_of(columns):
            return None
        kept: list[Any] = opened.kept
        for column in columns:
            # One that was added to the table later is not in the page.
            if kept[column].__class__ is not memoryview:
                return None
        return kept

    def _keys_are_of(self, columns: Mapping[int, bytes]) -> bool:
        """Whether the keys are told from one of the columns."""
        opened = self.opened
        assert opened is not None
        if opened.key_form is not KeyForm.COLUMNS:
            return False
        part = opened.key_part
        return part in columns if part.__class__ is int else not columns.keys().isdisjoint(part)

    def page_with(self, kind: TreeKind, columns: Mapping[int, bytes]) -> bytearray | None:
        """The page with other columns; None if its keys are told from one of them."""
        opened = self.opened
        assert opened is not None
        if self._keys_are_of(columns):
            return None
        kept = opened.kept.copy()
        for column, new in columns.items():
            kept[column] = new
        return self._page(kind, opened.key_part, kept)

    def _page(self, kind: TreeKind, part: Any, kept: list[bytes]) -> bytearray:
        opened = self.opened
        assert opened is not None
        long = opened.long_values is not None
        return encode_columns_page(kind, opened.key_form, part, kept, opened.gone, long=long)

    def has_long(self, columns: Iterable[int]) -> bool:
        """Whether its page says of values in some columns that they are in pages of their own, which have to be freed if
        the values go."""
        opened = self.opened
        return (
            opened is not None
            and opened.long_values is not None
            and any(map(opened.is_long, columns))
        )

    def page_without_column(self, kind: TreeKind, column: int) -> bytearray | None:
        """The page with a column less; None if its keys are told from that, or it has long values."""
        opened = self.opened
        assert opened is not None
        if opened.is_long(column):
            return None
        part: Any = opened.key_part
        if opened.key_form is KeyForm.COLUMNS:
            places = [part] if part.__class__ is int else part
            if column in places:
                return None
            places = [place - (place > column) for place in places]
            part = places[0] if part.__class__ is int else places
        return self._page(kind, part, opened.kept[:column] + opened.kept[column + 1 :])

    def page_without(self, kind: TreeKind, gone: Sequence[int]) -> bytearray:
        """The page without rows in some slots of its columns, which are left out."""
        opened = self.opened
        assert opened is not None
        count = opened.rows + len(opened.gone)
        form, part, kept = opened.key_form, opened.key_part, opened.kept
        mask = mask_without(gone, count)
        if form is not KeyForm.COLUMNS:
            whole = joined((replace(opened, gone=(), rows=count),), KEY_COLUMN)
            part = list(compress(whole, mask))
            if kind is TreeKind.TABLE:
                form, part = row_id_part(part)
        kept = [_compressed(column, mask) for column in kept]
        return encode_columns_page(kind, form, part, kept)


def others_of(leaves: Sequence[RewrittenLeaf]) -> tuple[list[Key], list[Value]]:
    """The keys of the rows that are not chosen, in leaves of rows of one width, and those rows."""
    pages = [leaf.opened for leaf in leaves if leaf.opened is not None]
    mask = bytearray().join([mask_without(leaf.slots, leaf.rows) for leaf in leaves])
    places = list(compress(range(len(mask)), mask))
    whole = not any(page.gone for page in pages)

    def left(column: int) -> Iterable[Value]:
        numbers = numbers_of([page.kept[column] for page in pages]) if whole else None
        values = [] if numbers is not None else joined(pages, column)
        count = len(values) if numbers is None else numbers.count
        if count != len(mask):
            raise CorruptionError(f"column {column}: {count} values in {len(mask)} rows")
        return compress(values, mask) if numbers is None else numbers.at(places)

    rows = zip(*map(left, range(len(pages[0].kept))), strict=True)
    return list(compress(joined(pages, KEY_COLUMN), mask)), list(rows)


def encoded(values: Sequence[Value]) -> bytes:
    """The bytes of a column; StoreError if it holds what no tree can keep."""
    try:
        return encode_column(values)
    except (TypeError, OverflowError, UnicodeError) as error:
        raise not_storable(error) from error


def _compressed(column: bytes, mask: bytearray) -> bytes:
    """A column without the values that the mask leaves out."""
    values = list(compress(decode_column(column), mask))
    fixed = _FIXED.get(column[0])
    if fixed is None or not _NATIVE:
        return encoded(values)
    return bytes(column[:1]) + packer(len(values), fixed[0])(*values)


def consecutive_keys(leaves: Sequence[RewrittenLeaf]) -> range | None:
    """The keys of leaves of consecutive row ids that follow each other; None if there are gaps."""
    first = end = None
    for leaf in leaves:
        opened = leaf.opened
        if opened is None or opened.key_form is not KeyForm.CONSECUTIVE or opened.gone:
            return None
        start: int = opened.key_part
        if first is None or end is None:
            first = start
        elif start != end:
            return None
        end = start + opened.rows
    return None if first is None or end is None else range(first, end)


def without(values: list[Value], slots: Sequence[int]) -> list[Value]:
    """The values but for those in some slots, ascending."""
    left = values.copy()
    for slot in reversed(slots):
        del left[slot]
    return left


def edited(
    column: bytes,
    values: list[Value],
    slots: Sequence[int],
    puts: Sequence[int] = (),
    new: Sequence[Value] = (),
) -> bytes:
    """A column without the values in some slots, ascending, and then with `new` ones put before those in the slots
    `puts`.  `values`: what the column has; where something is put, without what has gone, and nobody else's."""
    fixed = _FIXED.get(column[0]) if _NATIVE else None
    if not puts:
        if fixed is None:
            return encoded(without(values, slots))
        width, data = struct.calcsize(fixed[0]), bytearray(column)
        for slot in reversed(slots):
            at = 1 + slot * width
            del data[at : at + width]
        return bytes(data)
    for slot, value in zip(reversed(puts), reversed(new), strict=True):
        values.insert(slot, value)
    if fixed is not None and set(map(type, new)) == {fixed[1]}:
        try:
            return column[:1] + packer(len(values), fixed[0])(*values)
        except struct.error:  # too large for the width
            pass
    return encoded(values)


class Numbers:
    """One column of a batch's leaves that all keep it in the same fixed width: the numbers end to end, as
    they are and to be written over.  What is done with them costs the same for one leaf as for many."""

    __slots__ = ("_bytes", "_code", "_kind", "_numbers", "_width")

    def __init__(self, columns: Sequence[bytes]) -> None:
        first = columns[0][0]
        self._code = bytes((first,))
        form, self._kind = _FIXED[first]
        self._bytes = bytearray().join([column[1:] for column in columns])
        self._numbers: Any = memoryview(self._bytes).cast(form)
        self._width = self._numbers.itemsize

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self._numbers)

    def at(self, positions: Sequence[int]) -> list[Value]:
        """The numbers in some places."""
        numbers = self._numbers
        if isinstance(positions, range):
            some = numbers[positions.start : positions.stop : positions.step]
            return some.tolist()  # type: ignore[no-any-return]
        if len(positions) == len(numbers):
            return numbers.tolist()  # type: ignore[no-any-return]
        return [numbers[position] for position in positions]

    def put(self, positions: Sequence[int], values: Sequence[Value], kinds: set[type]) -> bool:
        """Write numbers over others; False if they are of another kind, or too large."""
        numbers = self._numbers
        if kinds != {self._kind}:
            return False
        try:
            if isinstance(positions, range):
                data = struct.pack(f"{len(values)}{numbers.format}", *values)
                some = numbers[positions.start : positions.stop : positions.step]
                some[:] = memoryview(data).cast(numbers.format)
            else:
                for position, value in zip(positions, values, strict=True):
                    numbers[position] = value
        except (ValueError, struct.error):
            return False
        return True

    def write_over(self, column: memoryview, start: int, end: int) -> None:
        """Write the numbers of a leaf, whose rows are those, over its column."""
        width = self._width
        column[1:] = self._bytes[start * width : end * width]

    def column(self, start: int, end: int) -> bytes:
        """The column of a leaf, whose rows are those."""
        width = self._width
        return self._code + self._bytes[start * width : end * width]


def numbers_of(columns: Sequence[bytes]) -> Numbers | None:
    """None where the columns are not all numbers of one width."""
    first = columns[0][0]
    if first not in _FIXED or not _NATIVE or any(column[0] != first for column in columns):
        return None
    return Numbers(columns)
