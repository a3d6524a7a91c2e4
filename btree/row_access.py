"""Rows by their keys, and entries of indexes, in trees that nobody has opened.

Most transactions change a row or two in each of a few tables, by row id or by a unique key.  A tree that is opened for that takes
longer to be made, asked whether it has changed, and ended, than the change itself.  So those changes stay in a
dict for each tree, by its id, until somebody opens the tree and takes them over, or the commit takes them as they
are: what an `OverlaidTree` holds as its own changes, without the tree.

Only the writer has any, and it builds on the newest commit: all that is pending over a state concerns it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from btree import few_keys, lookups
from btree.changed_keys import ByPrefix
from btree.overlay import LONG_OWN_BYTES, NO_ROW, size_of
from btree.packed import PackedLeaf, found_at, leaf_to_look_at
from btree.tree import DELETED

if TYPE_CHECKING:
    from btree.backend import Backend
    from btree.node import Node
    from btree.protocols import Key, Made, Tree, Value
    from btree.tree_state import TreeState
    from btree.version import Version

UNOPENED_MAX = 1 << 14
"""Changes of one tree that are held without it, unless they are long.  Those that are too many to lie over its nodes go into
them when the tree is opened, or at the commit, all at once: that takes a third of what each by itself takes."""

_MADE_MAX = 256
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

    def remove_row(self, tree_id: int, key: Key) -> None:
        self.tree(tree_id).remove(key)

    def entry_with(self, tree_id: int, prefix: tuple[Any, ...]) -> Any:
        found = self.tree(tree_id).prefixed(prefix)
        return found[0] if found else found if found is None else ()

    def put_entry(self, tree_id: int, entry: Key, parts: int) -> None:
        self.tree(tree_id).put(entry)

    def remove_entry(self, tree_id: int, entry: Key, parts: int) -> None:
        self.tree(tree_id).remove(entry)

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
    changes_max: int
    """So many for one tree: who has as many asks `_has_room`."""
    row_tops: dict[int, tuple[int, int]]
    """The largest row id of a tree, and how many changes of it there were when it was: only those that came since have to be
    looked at."""

    unique_entries: dict[int, dict[Key, Any]] | None
    """Of unique indexes among them that were looked into: which entry there is by how it begins, () where it was removed."""

    _made: dict[Any, Any] | None
    """What was made of it, by what made it."""

    if TYPE_CHECKING:

        @property
        def held_max(self) -> float: ...

    def made(self, make: Callable[[Any], Made]) -> Made:
        kept = self._made
        if kept is None:
            kept = self._made = {}
        found: Made | None = kept.get(make)
        if found is None:
            if len(kept) >= _MADE_MAX:  # a reader that follows commits may be asked for ever
                kept.clear()
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
            leaf, slot = place_in_memory(state.root, key)
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
                    return place_in_memory(state.root, key)[0] is not None
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
        if changes is None:
            if self._writable and tree_id not in self.open_trees:
                self.row_changes[tree_id] = {key: row}
                return
        elif len(changes) < self.changes_max or key in changes or self._has_room(changes):
            changes[key] = row
            return
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
        elif changes is not None and (len(changes) < self.changes_max or self._has_room(changes)):
            changes[key] = DELETED
        else:
            return super().delete_row(tree_id, key)
        return True

    def remove_row(self, tree_id: int, key: Key) -> None:
        changes = self.row_changes.get(tree_id)
        if changes is not None and (len(changes) < self.changes_max or self._has_room(changes)):
            changes[key] = DELETED
        elif changes is None and self._writable and tree_id not in self.open_trees:
            self.row_changes[tree_id] = {key: DELETED}
        else:
            super().remove_row(tree_id, key)

    def entry_with(self, tree_id: int, prefix: tuple[Any, ...]) -> Any:
        """Of the committed entries that ever began so one was there at most: a change that is the only one is the answer."""
        if tree_id in self.open_trees or not self._writable:
            return super().entry_with(tree_id, prefix)
        changes = self.row_changes.get(tree_id)
        if changes is not None:
            entry: Any = self._own_entries(tree_id, changes, len(prefix)).get(prefix)
            if entry is not None:
                return entry
        state = (self._states or self.version.trees)[tree_id]
        if state.pending:
            width = len(prefix)
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

    def _own_entries(
        self, tree_id: int, changes: Mapping[Key, Value], parts: int
    ) -> dict[Key, Any]:
        """`unique_entries` of a tree that has these changes."""
        entries = self.unique_entries
        if entries is None:
            entries = self.unique_entries = {}
        known = entries.get(tree_id)
        if known is None:
            known = {}
            for entry, value in changes.items():
                if value is not DELETED:
                    known[entry[:parts]] = entry
                else:
                    known.setdefault(entry[:parts], ())
            entries[tree_id] = known
        return known

    def put_entry(self, tree_id: int, entry: Key, parts: int) -> None:
        changes = self.row_changes.get(tree_id)
        if changes is None:
            if self._writable and tree_id not in self.open_trees:
                self.row_changes[tree_id] = {entry: True}
                return
        elif len(changes) < self.changes_max or self._has_room(changes):
            if entry in changes:
                del changes[entry]  # see `OverlaidTree.put`
            changes[entry] = True
            if parts and self.unique_entries is not None:
                known = self.unique_entries.get(tree_id)
                if known is not None:
                    known[entry[:parts]] = entry
            return
        self.tree(tree_id).put(entry)

    def remove_entry(self, tree_id: int, entry: Key, parts: int) -> None:
        self.remove_row(tree_id, entry)
        if parts and self.unique_entries is not None:
            known = self.unique_entries.get(tree_id)
            if known is not None:
                known[entry[:parts]] = ()

    def next_rowid(self, tree_id: int) -> int | None:
        changes = self.row_changes.get(tree_id)
        known = None if changes is None else self.row_tops.get(tree_id)
        if known is None:
            if tree_id in self.open_trees or not self._writable:
                return super().next_rowid(tree_id)
            # The largest row id that there ever was before this transaction, NO_ROW in an empty tree.
            state = (self._states or self.version.trees)[tree_id]
            top, pending_top = state.nodes_top, state.pending_top
            if top is None:
                top = _top_of_nodes(state)
                if top is None:
                    return super().next_rowid(tree_id)
            if pending_top is not None and pending_top > top:
                top = pending_top
            if changes is None:
                entry = state.pending.get(top)
                # A row that no change is about is there if it is in the nodes.
                is_there = (
                    top == state.nodes_top != NO_ROW if entry is None else entry[1] is not DELETED
                )
                return top + 1 if is_there and top != _ROWID_MAX else super().next_rowid(tree_id)
            known = 0, top
        assert changes is not None
        count, top = known
        now = len(changes)
        if now != count:
            # Keys are only ever added, and a dict keeps them in that order: the new ones are the last.
            new = reversed(changes)
            last = next(new) if now == count + 1 else max(islice(new, now - count))
            if last > top:
                top = last
        row = changes.get(top)
        if row is None:
            row = self.row(tree_id, top)
        if row is None or row is DELETED or top == _ROWID_MAX:
            return super().next_rowid(tree_id)
        self.row_tops[tree_id] = now, top
        return top + 1

    def _has_room(self, changes: Mapping[Key, Value]) -> bool:
        """Whether there is room for more changes of a tree without it; each has as much then."""
        count = self.changes_max
        if count >= UNOPENED_MAX or 2 * size_of(changes) > min(LONG_OWN_BYTES, self.held_max / 4):
            return False
        self.changes_max = 2 * count
        return True

    def kinds_of(self, tree_id: int) -> tuple[int, ...]:
        tree = self.open_trees.get(tree_id)
        if tree is None:
            return (self._states or self.version.trees)[tree_id].kinds
        return tree.kinds  # type: ignore[no-any-return]


def _top_of_nodes(state: TreeState) -> int | None:
    """The largest row id in the nodes, which the state keeps; NO_ROW if there is none, None if a node has to be loaded."""
    node = state.root
    try:
        while node.children is not None:
            node = node.children[-1]
        top: int = node.keys[-1] if node.keys else NO_ROW
    except AttributeError:
        return None
    state.nodes_top = top
    return top


def place_in_memory(node: Any, key: Any) -> tuple[Any, int]:
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
