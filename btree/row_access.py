"""Rows by their keys, in trees that nobody has opened.

Most transactions change a row or two in each of a few tables, all by row id.  A tree that is opened for that takes
longer to be made, asked whether it has changed, and ended, than the change itself.  So those changes stay in a
dict for each tree, by its id, until somebody opens the tree and takes them over, or the commit takes them as they
are: what an `OverlaidTree` holds as its own changes, without the tree.

Only the writer has any, who builds on the newest commit: all that is pending over a state concerns him.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

from btree.overlay import NO_ROW, OWN_MAX
from btree.tree import DELETED

if TYPE_CHECKING:
    from btree.protocols import Key, Tree, Value
    from btree.tree_state import TreeState
    from btree.version import Version

_ROWID_MAX = (1 << 63) - 1


class RowAccess:
    """Rows of tables by tree id and key; see `protocols.Transaction`.  As the trees give them."""

    __slots__ = ()

    def tree(self, tree_id: int) -> Tree:
        raise NotImplementedError

    def row(self, tree_id: int, key: Key) -> Value:
        return self.tree(tree_id).get(key)

    def put_row(self, tree_id: int, key: Key, row: Value) -> None:
        self.tree(tree_id).put(key, row)

    def insert_row(self, tree_id: int, key: Key, row: Value) -> bool:
        return self.tree(tree_id).insert(key, row)

    def delete_row(self, tree_id: int, key: Key) -> bool:
        return self.tree(tree_id).delete(key)

    def next_rowid(self, tree_id: int) -> int | None:
        last = self.tree(tree_id).last()
        if last is None:
            return 1
        rowid: int = last[0]
        return None if rowid == _ROWID_MAX else rowid + 1

    def kinds_of(self, tree_id: int) -> tuple[int, ...]:
        return self.tree(tree_id).kinds


class UnopenedRows(RowAccess):
    """The part of a `LocalTransaction` that does without the trees."""

    version: Version
    open_trees: dict[int, Any]
    _states: dict[int, TreeState] | None
    _writable: bool
    row_changes: dict[int, dict[Key, Value]]
    """Rows that were put, and DELETED, in trees that are not open; no dict is empty."""

    def row(self, tree_id: int, key: Key) -> Value:
        if tree_id in self.open_trees or not self._writable:
            return self.tree(tree_id).get(key)
        changes = self.row_changes.get(tree_id)
        row = None if changes is None else changes.get(key)
        if row is None:
            state = (self._states or self.version.trees)[tree_id]
            entry = state.pending.get(key)
            if entry is None:
                try:
                    return _in_nodes(state.root, key)
                except (AttributeError, TypeError):  # a page has to be read
                    return self.tree(tree_id).get(key)
            row = entry[1]
        return None if row is DELETED else row

    def put_row(self, tree_id: int, key: Key, row: Value) -> None:
        changes = self.row_changes.get(tree_id)
        if changes is not None and len(changes) < OWN_MAX:
            changes[key] = row
        elif changes is None and self._writable and tree_id not in self.open_trees:
            self.row_changes[tree_id] = {key: row}
        else:
            self.tree(tree_id).put(key, row)

    def insert_row(self, tree_id: int, key: Key, row: Value) -> bool:
        if tree_id in self.open_trees:
            return super().insert_row(tree_id, key, row)
        if self.row(tree_id, key) is not None:
            return False
        self.put_row(tree_id, key, row)
        return True

    def delete_row(self, tree_id: int, key: Key) -> bool:
        if tree_id in self.open_trees:
            return super().delete_row(tree_id, key)
        if self.row(tree_id, key) is None:
            return False
        if tree_id in self.open_trees or not self._writable:
            return super().delete_row(tree_id, key)
        self.put_row(tree_id, key, DELETED)
        return True

    def next_rowid(self, tree_id: int) -> int | None:
        if self._writable and tree_id not in self.row_changes and tree_id not in self.open_trees:
            state = (self._states or self.version.trees)[tree_id]
            top = state.nodes_top
            if top is not None:
                if state.pending_top is not None and state.pending_top > top:
                    top = state.pending_top
                if NO_ROW != top != _ROWID_MAX and self.row(tree_id, top) is not None:
                    return top + 1
        return super().next_rowid(tree_id)

    def kinds_of(self, tree_id: int) -> tuple[int, ...]:
        tree = self.open_trees.get(tree_id)
        if tree is None:
            return (self._states or self.version.trees)[tree_id].kinds
        return tree.kinds  # type: ignore[no-any-return]


def _in_nodes(node: Any, key: Any) -> Value:
    """The row of a key; None if there is none.  AttributeError, TypeError where it is not in memory as it is."""
    children = node.children
    while children is not None:
        node = children[bisect_right(node.keys, key)]
        children = node.children
    keys = node.keys
    try:
        slot = key - keys[0]  # see `Tree.get`
        if not 0 <= slot < len(keys) or keys[slot] != key:
            slot = bisect_left(keys, key)
            if keys[slot] != key:
                return None
    except IndexError:  # beyond the last key
        return None
    return node.values[slot]
