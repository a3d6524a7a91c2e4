"""Columns that a tree of rows was given when it had rows already: those that lack them have the same values there.

To give every row of a million one more value is to write all pages anew.  Instead the tree says which values the
rows end with that were written before: it is said in the redo, then in the directory, and whatever takes rows or
columns out of a page puts the values behind them.  Pages that are written for another reason have them from then
on, so that a page may lack none, some or all of the columns.

Rows in memory have all columns, always.  So older nodes are left to older versions, which may be read: the tree
gets branches of its own, below which leaves are read anew.  Only what is not in pages yet is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from btree.column_codec import encode_column, row_count
from btree.node import LargeValues, LongRow, Node, copied
from btree.packed import PackedLeaf
from btree.protocols import Key, Value

if TYPE_CHECKING:
    from btree.tree import Tree

_KEPT_MAX = 64

BY_PAGE_ROWS = 4096
"""Rows from which on a column is dropped page by page."""


class Added:
    """What rows with fewer than `width` columns end with: the last of `values`, as many as they lack.

    Nodes that were made of pages know theirs by identity."""

    __slots__ = ("_encoded", "values", "width")

    def __init__(self, width: int, values: Sequence[Value]) -> None:
        self.width = width
        self.values = tuple(values)
        self._encoded: dict[tuple[int, int], list[bytes]] = {}

    def lengthened(self, width: int, values: Sequence[Value]) -> Added:
        """The same with more columns behind."""
        return Added(width, (*self.values, *values))

    def _tail(self, width: int) -> tuple[Value, ...]:
        """What a row of that width lacks.  ValueError if it never was whole."""
        missing = self.width - width
        if missing > len(self.values):
            raise ValueError(f"{width} columns, and {len(self.values)} added make {self.width}")
        return self.values[-missing:] if missing > 0 else ()

    def row(self, row: Any) -> Any:
        """A row with all columns."""
        return (*row, *self._tail(len(row)))

    def rows(self, rows: list[Value]) -> list[Value]:
        """Rows of a leaf with all columns."""
        if rows.__class__ is LargeValues:
            return LargeValues(
                [
                    LongRow(self.row(row.head), row.parts)
                    if isinstance(row, LongRow)
                    else self.row(row)
                    for row in list(rows)
                ]
            )
        widths = set(map(len, rows))
        if len(widths) > 1:
            return list(map(self.row, rows))
        tail = self._tail(widths.pop()) if widths else ()
        return [row + tail for row in rows] if tail else rows

    def columns(self, kept: list[bytes]) -> list[bytes]:
        """The columns of a leaf, as they are encoded, all of them."""
        if len(kept) >= self.width:
            return kept
        count = row_count(kept[0])
        known = self._encoded.get((len(kept), count))
        if known is None:
            if len(self._encoded) >= _KEPT_MAX:
                self._encoded.clear()
            known = [encode_column([value] * count) for value in self._tail(len(kept))]
            self._encoded[len(kept), count] = known
        return kept + known


def lengthen(tree: Tree, width: int, values: Sequence[Value]) -> None:
    """See `protocols.Tree.lengthen`."""
    tree.check_writable()
    if tree.redo:
        tree.transaction.give_up_redo()  # it has rows without the columns
    known = tree.added
    added = Added(width, values) if known is None else known.lengthened(width, values)
    tree.root = lengthened_node(tree, tree.root, added)
    tree.added = added
    tree.note_rewritten(0)
    tree.transaction.note_lengthening(tree.id, width, values)


def drop_column(tree: Tree, column: int, check: Callable[[], None]) -> None:
    """See `protocols.Tree.drop_column`: page by page, or as nodes where pages would take more than their redo."""
    tree.check_writable()
    root = tree.root
    tree.transaction.freeze()
    # What is read is the tree as it was: of what is written no row lacks a column.
    before = tree.__class__(tree.transaction, tree.snapshot_state(), root)
    if tree.added is not None:
        tree.transaction.give_up_redo()  # which would be applied to rows that lack columns
        tree.added = None
        tree.note_rewritten(0)
    rewrite = tree.rewrite() if len(tree) >= BY_PAGE_ROWS and root.children is not None else None
    if rewrite is not None:
        rewrite.drop_column(before, column, check)
        return
    for keys, rows in before.batches():
        check()
        without_column(tree, keys, rows, column)


def without_column(tree: Tree, keys: Sequence[Key], rows: Sequence[Value], column: int) -> None:
    """Put rows without a column in the place of these."""
    tree.load(list(keys), [row[:column] + row[column + 1 :] for row in rows])


def lengthened_node(tree: Tree, node: Node, added: Added) -> Node:
    """A node of a tree that has got columns, for the version with them: below branches stand the places of pages,
    and copies of leaves that are not written yet."""
    owner = tree.token if node.owner is tree.token else None
    made = copied(node, owner)
    made.unflushed = node.unflushed
    made.columns = None
    if made.children is None:
        assert made.values is not None
        made.values = added.rows(made.values)
        made.unflushed = True
        return made
    assert made.pages is not None
    for slot, child in enumerate(made.children):
        if child.__class__ is PackedLeaf:
            made.children[slot] = int(child)
        elif child.__class__ is Node:
            if child.children is None and is_written(child, made.pages[slot]):
                made.children[slot] = child.location
            else:
                made.children[slot] = lengthened_node(tree, child, added)
                made.unflushed |= made.children[slot].unflushed
    return made


def is_written(leaf: Node, page: int) -> bool:
    """Whether a leaf is what its page says, which is this one."""
    return not leaf.unflushed and leaf.location != 0 and leaf.page == page
