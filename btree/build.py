"""A tree made at once, of what ascends: leaves are encoded and written as they fill up.

What was made last is in the processor's cache when it is encoded, and nothing of it stays in memory but where
the page lies.  Both come by column: no entry and no row is made of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from btree.codec import (
    BY_COLUMN_ROWS,
    encode_columns_page,
    encode_index_page,
    encode_node,
    row_id_part,
)
from btree.column_codec import encode_array
from btree.edit import cut_branch, own_path, plant, splice
from btree.flush import OVERFULL
from btree.node import new_branch, new_leaf
from btree.order import separator
from btree.protocols import Key, RowColumns, TreeKind, Value
from btree.rewritten_leaf import encoded

if TYPE_CHECKING:
    from btree.disk_transaction import DiskTransaction
    from btree.tree import Tree

IN_MEMORY = 1 << 15
"""Entries of an index up to which its leaves are built in memory, and stay there."""

ROWS_IN_MEMORY = 1 << 12
"""The same of a table's rows."""

_LEAVES_AT_ONCE = 64
_MEASURED = 64
_MEASURED_EACH = 8192
"""Of so many entries of an index as many are measured as `_MEASURED` says."""

KeyColumns = Sequence[Sequence[Value]]
"""Entries of an index by column: lists, or arrays of numbers."""

_Part = TypeVar("_Part")


def build(tree: Tree, transaction: DiskTransaction, runs: Iterable[KeyColumns]) -> None:
    """Put runs of keys by column, each above those before it, into an empty INDEX tree."""
    left, first, count = iter(runs), list[KeyColumns](), 0
    for run in left:
        first.append(run)
        count += len(run[0])
        if count > IN_MEMORY:
            break
    if count <= IN_MEMORY:
        tree.load(list(chain.from_iterable([zip(*run, strict=True) for run in first])))
        return
    leaves = _IndexLeaves(tree, transaction)
    for run in chain(_taken(first), left):
        leaves.add(run)
    leaves.finish()


def build_rows(tree: Tree, transaction: DiskTransaction, parts: Iterable[RowColumns]) -> None:
    """Put rows by column, each part's keys above those before it and above the tree's, into a TABLE tree."""
    left, first, count = iter(parts), list[RowColumns](), 0
    for part in left:
        first.append(part)
        count += len(part[0])
        if count > ROWS_IN_MEMORY:
            break
    if count <= ROWS_IN_MEMORY:
        for keys, columns in first:
            tree.load(keys, list(zip(*columns, strict=True)))
        return
    leaves = _RowLeaves(tree, transaction)
    for keys, columns in chain(_taken(first), left):
        leaves.add(keys, columns)
    leaves.finish()


def _taken(parts: list[_Part]) -> Iterator[_Part]:
    """The parts, which nobody has any more."""
    parts.reverse()
    while parts:
        yield parts.pop()


class _Leaves:
    """The leaves of one tree."""

    def __init__(self, tree: Tree, transaction: DiskTransaction) -> None:
        tree.check_writable()
        transaction.give_up_redo()
        self._tree = tree
        self._transaction = transaction
        self._bytes_max = transaction.store.page_bytes * OVERFULL
        self._count = 0
        self._payloads: list[bytes | bytearray] = []  # to be written
        _ = tree.root  # changes that lie over the nodes go into them
        there = tree.last()
        self._last: Key | None = None if there is None else there[0]
        # Of all leaves.
        self._separators: list[Key] = []
        self._pages: list[int] = []
        self._locations: list[int] = []

    def _add_leaf(self, first: Key, last: Key, payload: bytes | bytearray | None) -> None:
        """A leaf with those keys at its ends; None: it is written, and somebody adds where."""
        if self._last is not None:
            self._separators.append(separator(self._last, first))
        self._last = last
        if payload is not None:
            self._payloads.append(payload)
            if len(self._payloads) == _LEAVES_AT_ONCE:
                self._write()

    def _write(self) -> None:
        if self._payloads:
            pages, locations = self._transaction.put_new_pages(self._payloads, self._tree.id)
            self._payloads = []
            self._pages += pages
            self._locations += locations

    def _plant(self) -> None:
        """Make them the tree."""
        tree = self._tree
        self._write()
        if len(tree):
            self._append()
        else:
            above = new_branch(
                self._separators, list(self._locations), self._pages, level=1, owner=tree.token
            )
            tree.free(tree.root.page)
            plant(tree, cut_branch(above, tree.branch_limit, full=True), full=True)
        tree.note_rewritten(-self._count)

    def _append(self) -> None:
        """Put them behind the leaves of a tree."""
        tree = self._tree
        path, leaf = own_path(tree, self._separators[0])
        if path:
            branch, _ = path.pop()
            assert branch.children is not None and branch.pages is not None
            branch.keys = [*branch.keys, *self._separators]
            branch.children += self._locations
            branch.pages = [*branch.pages, *self._pages]
            branch.location = 0
        else:
            children = [leaf, *self._locations]
            pages = [leaf.page, *self._pages]
            branch = new_branch(self._separators, children, pages, level=1, owner=tree.token)
        pieces = cut_branch(branch, tree.branch_limit, full=True)
        if not path:
            plant(tree, pieces, full=True)
        elif len(pieces) > 1:
            splice(tree, path, pieces, full=True)


class _IndexLeaves(_Leaves):
    """Of entries."""

    def __init__(self, tree: Tree, transaction: DiskTransaction) -> None:
        super().__init__(tree, transaction)
        self._columns: KeyColumns = ()  # of the next leaf
        self._measured_to = 0

    def add(self, run: KeyColumns) -> None:
        """Go on with a run of entries."""
        tree, count = self._tree, len(run[0])
        if not count:
            return
        if self._count >= self._measured_to:
            step = count // _MEASURED + 1
            some = [column[::step] for column in run]
            tree.measure(new_leaf(list(zip(*some, strict=True)), None, None))
            self._measured_to = self._count + _MEASURED_EACH
        self._count += count
        columns = list(map(_joined, self._columns, run)) if self._columns else run
        limit, start, end = tree.leaf_limit, 0, len(columns[0])
        while end - start > limit:
            self._leaf([column[start : start + limit] for column in columns])
            start += limit
        self._columns = [column[start:] for column in columns]

    def _leaf(self, columns: KeyColumns) -> None:
        count = len(columns[0])
        half = count // 2
        if count < BY_COLUMN_ROWS:
            entries = list(zip(*columns, strict=True))
            payload: bytes | bytearray = encode_node(TreeKind.INDEX, new_leaf(entries, None, None))
        else:
            payload = encode_index_page(list(map(_encoded, columns)))
        if len(payload) > self._bytes_max and half:
            self._leaf([column[:half] for column in columns])
            self._leaf([column[half:] for column in columns])
            return
        first, last = (tuple([column[at] for column in columns]) for at in (0, -1))
        self._add_leaf(first, last, payload)

    def finish(self) -> None:
        """Make them the tree."""
        if self._columns:
            self._leaf(self._columns)
        self._plant()


def _joined(some: Any, more: Any) -> Sequence[Value]:
    if some.__class__ is array and more.__class__ is array and some.typecode == more.typecode:
        return some + more
    return [*some, *more]


def _encoded(column: Any) -> bytes:
    return encode_array(column) if column.__class__ is array else encoded(column)


class _RowLeaves(_Leaves):
    """Of rows by column."""

    def __init__(self, tree: Tree, transaction: DiskTransaction) -> None:
        super().__init__(tree, transaction)
        self._flush = transaction.early_flush()
        self._flush.start(tree.snapshot_state())
        self._keys: list[Key] = []  # of rows that are in no leaf yet
        self._columns: list[list[Value]] = []

    def add(self, keys: Sequence[Key], columns: Sequence[Sequence[Value]]) -> None:
        """Go on with some rows."""
        if not keys:
            return
        tree = self._tree
        step = len(keys) // _MEASURED + 1
        rows = list(zip(*[column[::step] for column in columns], strict=True))
        tree.measure(new_leaf(list(keys[::step]), rows, None))
        self._count += len(keys)
        self._keys += keys
        if not self._columns:
            self._columns = [[] for _ in columns]
        for waiting, column in zip(self._columns, columns, strict=True):
            waiting += column
        self._make_leaves(tree.leaf_limit)

    def _make_leaves(self, left: int) -> None:
        """Make leaves of the rows that wait, until there are no more than `left`."""
        limit, start, count = self._tree.leaf_limit, 0, len(self._keys)
        while count - start > left:
            end = min(start + limit, count)
            self._leaf(start, end)
            start = end
        del self._keys[:start]
        for column in self._columns:
            del column[:start]

    def _leaf(self, start: int, end: int) -> None:
        keys = self._keys[start:end]
        columns = [column[start:end] for column in self._columns]
        payload = None
        if len(keys) >= BY_COLUMN_ROWS:
            form, part = row_id_part(keys)
            payload = encode_columns_page(TreeKind.TABLE, form, part, list(map(encoded, columns)))
        if payload is not None and len(payload) <= self._bytes_max:
            self._add_leaf(keys[0], keys[-1], payload)
            return
        # Few, or too large for a page, or with values that get pages of their own.
        self._write()
        flush = self._flush
        pieces = flush.leaf(new_leaf(keys, list(zip(*columns, strict=True)), None))
        self._transaction.spilled += flush.allocated
        flush.allocated.clear()
        for _, piece in pieces:
            self._add_leaf(piece.keys[0], piece.keys[-1], None)
            self._pages.append(piece.page)
            self._locations.append(piece.location)

    def finish(self) -> None:
        """Make them the tree."""
        self._make_leaves(0)
        self._tree.large |= self._flush.found_large
        self._plant()
