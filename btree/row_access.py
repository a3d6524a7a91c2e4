"""Rows by their keys, and entries of indexes, in trees that nobody has opened.

Most transactions change a row or two in each of a few tables, by row id or by a unique key.  A tree that is opened for that takes
longer to be made, asked whether it has changed, and ended, than the change itself.  So those changes stay in a
dict for each tree, by its id, until somebody opens the tree and takes them over, or the commit takes them as they
are: what an `OverlaidTree` holds as its own changes, without the tree.

Only the writer has any, and it builds on the newest commit: all that is pending over a state concerns it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from btree import few_keys, lookups
from btree.changed_keys import ByPrefix
from btree.overlay import NO_ROW, OWN_MAX
from btree.packed import PackedLeaf, found_at, leaf_to_look_at
from btree.tree import DELETED

if TYPE_CHECKING:
    from btree.backend import Backend
    from btree.node import Node
    from btree.protocols import Key, Made, Tree, Value
    from btree.tree_state import TreeState
    from btree.version import Version

_ROWID_MAX = (1 << 63) - 1
NONE_GIVEN = -1, 0, 0
"""`UnopenedRows.given_rowid` before `next_rowid` was asked for any."""


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

    def remove_row(self, tree_id: int, key: Key) -> None:
        self.tree(tree_id).remove(key)

    def entry_with(self, tree_id: int, prefix: tuple[Any, ...]) -> Any:
        found = self.tree(tree_id).prefixed(prefix)
        return found[0] if found else found if found is None else ()

    def put_entry(self, tree_id: int, entry: Key) -> None:
        self.tree(tree_id).put(entry)

    def next_rowid(self, tree_id: int) -> int | None:
        last = self.tree(tree_id).last()
        if last is None:
            return 1
        rowid: int = last[0]
        return None if rowid == _ROWID_MAX else rowid + 1

    def kinds_of(self, tree_id: int) -> tuple[int, ...]:
        return self.tree(tree_id).kinds

    def made(self, make: Callable[[Any], Made]) -> Made:
        return make(self)


class UnopenedRows(RowAccess):
    """The part of a `LocalTransaction` that does without the trees."""

    version: Version
    open_trees: dict[int, Any]
    _states: dict[int, TreeState] | None
    _writable: bool
    root_of: Callable[[TreeState], Node]
    row_changes: dict[int, dict[Key, Value]]
    """Rows that were put, and DELETED, in trees that are not open; no dict is empty."""
    given_rowid: tuple[int, int, int]
    """What `next_rowid` gave last: for which tree, how many changes of it there were then, and the row id.  Where the next
    change is the row of that id, it is the largest there is, and nobody has to look for that."""

    changes_alike: dict[int, ByPrefix]
    """Of indexes among them, the entries by how they begin."""

    _made: dict[Any, Any] | None
    """What was made of it, by what made it."""

    def made(self, make: Callable[[Any], Made]) -> Made:
        if not self._writable:  # another commit may be put under it: see `follow`
            return make(self)
        kept = self._made
        if kept is None:
            kept = self._made = {}
        found: Made | None = kept.get(make)
        if found is None:
            found = kept[make] = make(self)
        return found

    def row(self, tree_id: int, key: Key) -> Value:
        changes = self.row_changes.get(tree_id)
        if changes is not None:
            row = changes.get(key)
            if row is not None:
                return None if row is DELETED else row
        elif tree_id in self.open_trees or not self._writable:
            return self.tree(tree_id).get(key)
        state = (self._states or self.version.trees)[tree_id]
        entry = state.pending.get(key)
        if entry is not None:
            row = entry[1]
            return None if row is DELETED else row
        try:
            leaf, slot = _place(state.root, key)
            return None if leaf is None else leaf.values[slot]
        except (AttributeError, TypeError):
            return self._in_pages(state, key, wants_row=True)

    def _has_row(self, tree_id: int, key: Key) -> bool:
        """Whether there is a row of that key in a tree that is not open, which takes no look at the row."""
        changes = self.row_changes.get(tree_id)
        row = None if changes is None else changes.get(key)
        if row is None:
            state = (self._states or self.version.trees)[tree_id]
            entry = state.pending.get(key)
            if entry is None:
                try:
                    return _place(state.root, key)[0] is not None
                except (AttributeError, TypeError):
                    return self._in_pages(state, key, wants_row=False) is not None
            row = entry[1]
        return row is not DELETED

    def _in_pages(self, state: TreeState, key: Key, *, wants_row: bool) -> Value:
        """The row of a key for which a page may have to be read, or, if it is there and none is wanted, any value."""
        if state.large:
            return self.tree(state.id).get(key)
        root = self.root_of(state)
        leaf: Any
        leaf, slot = found_at(cast("Backend", self), state, root, key)
        if slot < 0:
            return None
        if not wants_row:
            return True
        values = leaf.values
        return values.row(slot) if isinstance(leaf, PackedLeaf) else values[slot]

    def put_row(self, tree_id: int, key: Key, row: Value) -> None:
        changes = self.row_changes.get(tree_id)
        if changes is not None and (len(changes) < OWN_MAX or key in changes):
            changes[key] = row
        elif changes is None and self._writable and tree_id not in self.open_trees:
            self.row_changes[tree_id] = {key: row}
        else:
            self.tree(tree_id).put(key, row)

    def insert_row(self, tree_id: int, key: Key, row: Value) -> bool:
        if tree_id in self.open_trees or not self._writable:
            return super().insert_row(tree_id, key, row)
        if self._has_row(tree_id, key):
            return False
        self.put_row(tree_id, key, row)
        return True

    def delete_row(self, tree_id: int, key: Key) -> bool:
        if tree_id in self.open_trees or not self._writable:
            return super().delete_row(tree_id, key)
        if not self._has_row(tree_id, key):
            return False
        changes = self.row_changes.get(tree_id)
        if changes is None and tree_id not in self.open_trees:
            self.row_changes[tree_id] = {key: DELETED}
        elif changes is not None and len(changes) < OWN_MAX:
            changes[key] = DELETED
        else:
            return super().delete_row(tree_id, key)
        return True

    def remove_row(self, tree_id: int, key: Key) -> None:
        changes = self.row_changes.get(tree_id)
        if changes is not None and len(changes) < OWN_MAX:
            changes[key] = DELETED
        elif changes is None and self._writable and tree_id not in self.open_trees:
            self.row_changes[tree_id] = {key: DELETED}
        else:
            super().remove_row(tree_id, key)

    def entry_with(self, tree_id: int, prefix: tuple[Any, ...]) -> Any:
        """What has changed is looked up by how it begins: of the entries that ever began so, one is there at most, so that a
        change which is the only one is the answer."""
        if tree_id in self.open_trees or not self._writable:
            return super().entry_with(tree_id, prefix)
        width = len(prefix)
        changes = self.row_changes.get(tree_id)
        if changes is not None:
            known = self.changes_alike.get(tree_id)
            if known is None:
                known = self.changes_alike[tree_id] = ByPrefix(width)
            entry: Any = known.found(changes, prefix)
            if entry is not None:
                if entry.__class__ is list:
                    return super().entry_with(tree_id, prefix)
                return () if changes[entry] is DELETED else entry
        state = (self._states or self.version.trees)[tree_id]
        if state.pending:
            known = state.pending_prefixes.get(width)
            if known is None:
                known = state.pending_prefixes.setdefault(width, ByPrefix(width))
            entry = known.found(state.pending, prefix)
            if entry is not None:
                if entry.__class__ is list:
                    return super().entry_with(tree_id, prefix)
                change = state.pending[entry]
                return () if change[1] is DELETED else change[3]
        entry = few_keys.one_below(state.root, prefix)
        return self._entry_in_pages(state, prefix) if entry is None else entry

    def _entry_in_pages(self, state: TreeState, prefix: tuple[Any, ...]) -> Any:
        """`entry_with` where a page may have to be read."""
        leaf = leaf_to_look_at(cast("Backend", self), state, self.root_of(state), prefix)
        found = lookups.prefixed_in(leaf.keys, prefix)
        return super().entry_with(state.id, prefix) if found is None else found[0] if found else ()

    def put_entry(self, tree_id: int, entry: Key) -> None:
        changes = self.row_changes.get(tree_id)
        if changes is None:
            if self._writable and tree_id not in self.open_trees:
                self.row_changes[tree_id] = {entry: True}
                return
        elif len(changes) < OWN_MAX:
            if entry in changes:
                del changes[entry]  # see `OverlaidTree.put`
            changes[entry] = True
            return
        self.tree(tree_id).put(entry)

    def next_rowid(self, tree_id: int) -> int | None:
        changes = self.row_changes.get(tree_id)
        if changes is None and (tree_id in self.open_trees or not self._writable):
            return super().next_rowid(tree_id)
        row = None
        count = 0
        if changes is not None:
            count = len(changes)
            given_for, given_count, top = self.given_rowid
            if count == given_count + 1 and given_for == tree_id:
                row = changes.get(top)
        if row is None:
            state = (self._states or self.version.trees)[tree_id]
            if state.nodes_top is None:
                return super().next_rowid(tree_id)
            top = state.nodes_top
            if state.pending_top is not None and state.pending_top > top:
                top = state.pending_top
            if changes is not None:
                top = max(top, max(changes))
                row = self.row(tree_id, top)
            else:
                entry = state.pending.get(top)
                row = self.row(tree_id, top) if entry is None else entry[1]
        if row is None or row is DELETED or not NO_ROW < top < _ROWID_MAX:
            return super().next_rowid(tree_id)
        self.given_rowid = tree_id, count, top + 1
        return top + 1

    def kinds_of(self, tree_id: int) -> tuple[int, ...]:
        tree = self.open_trees.get(tree_id)
        if tree is None:
            return (self._states or self.version.trees)[tree_id].kinds
        return tree.kinds  # type: ignore[no-any-return]


def _place(node: Any, key: Any) -> tuple[Any, int]:
    """The leaf that has a key, and where; (None, 0) if there is none.  AttributeError, TypeError where that is not in
    memory as it is."""
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
                return None, 0
    except IndexError:  # beyond the last key
        return None, 0
    return node, slot
