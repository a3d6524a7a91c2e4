"""The scratch store: the same trees and transactions with nothing underneath."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterator, Sequence
from math import inf
from typing import Any

from btree.column_pages import OpenPage
from btree.directory import FIRST_TREE_ID, initial_trees
from btree.errors import BusyError, ClosedError, ConflictError, StoreError
from btree.kept_columns import Column, Layout, kept_with
from btree.node import InPages, Node
from btree.packed import PackedLeaf
from btree.pending import add_pending, remove_pending
from btree.protocols import RAW_TREE_ID, Store, TreeKind, Value
from btree.transaction import LocalTransaction
from btree.tree import Tree
from btree.tree_nodes import TreeNodes
from btree.tree_state import TreeState
from btree.version import Version
from engine import call_in_child

LEAF_LIMIT = 64
BRANCH_LIMIT = 256


def open_memory(*, leaf_limit: int = LEAF_LIMIT, branch_limit: int = BRANCH_LIMIT) -> Store:
    """An empty store in memory, gone when the last reference to it goes.

    `leaf_limit`, `branch_limit`: entries of a leaf (>= 2) and children of a branch (>= 4) at most."""
    return MemoryStore(leaf_limit=leaf_limit, branch_limit=branch_limit)


class MemoryStore:
    """A store without a file; see `protocols.Store`."""

    path: str | None = None
    readonly = False
    memory_bytes = 256 << 20

    def __init__(self, *, leaf_limit: int, branch_limit: int, timeout: float = 5.0) -> None:
        self.leaf_limit = leaf_limit
        self.branch_limit = branch_limit
        self.timeout = timeout
        self.writer_lock = threading.Lock()
        self._renew_mutex()
        call_in_child(self, MemoryStore._renew_mutex)
        self.version = Version(
            0,
            initial_trees(leaf_limit),
            FIRST_TREE_ID,
        )
        self.closed = False

    def _renew_mutex(self) -> None:
        self.mutex = threading.RLock()  # guards the versions

    def begin(self, *, write: bool = False, timeout: float | None = None) -> MemoryTransaction:
        self.check_open()
        if write:
            self.lock(timeout)
        return MemoryTransaction(self, write=write)

    def begin_late(self, timeout: float | None = None) -> MemoryTransaction:
        return self.begin(write=True, timeout=timeout)

    def view(self) -> Version:
        """The same object as long as nothing is committed."""
        return self.version

    def is_newest(self, moment: Version) -> bool:
        return moment is self.version and not self.closed

    def await_turn(self) -> None:
        """At once: nobody waits for a disk."""

    def raw_changes(self, view: Version, after: int, until: Version | None = None) -> None:
        """Not told: a view costs nothing here."""

    def put(self, key: bytes, value: bytes) -> None:
        transaction = self.begin(write=True)
        try:
            transaction.tree(RAW_TREE_ID).put(key, value)
            transaction.commit()
        finally:
            transaction.rollback()

    def put_since(self, moment: Version, key: bytes, value: Any) -> int:
        """Not done: a transaction costs little here."""
        return 0

    def lock(self, timeout: float | None) -> None:
        """Take the writer's lock, waiting at most `timeout` seconds (None: the store's own)."""
        if not self.writer_lock.acquire(timeout=self.timeout if timeout is None else timeout):
            raise BusyError("the database is locked: another transaction of this process writes")

    def check_open(self) -> None:
        """Raise StoreError once the store is closed."""
        if self.closed:
            raise ClosedError("the database is closed")

    def checkpoint(self) -> None:
        self.check_open()

    def compact(self, *, progress: Callable[[int, int], None] | None = None) -> None:
        self.check_open()

    def backup(self, path: str, *, progress: Callable[[int, int], None] | None = None) -> None:
        raise StoreError("a database in memory can't be backed up to a file")

    def check(self) -> list[str]:
        from btree.check import check_transaction

        return check_transaction(self.begin())

    def close(self, *, ends: bool = False) -> None:
        self.closed = True


class MemoryTransaction(LocalTransaction):
    """A transaction on a `MemoryStore`."""

    def __init__(self, store: MemoryStore, *, write: bool) -> None:
        super().__init__(store, store.version, writable=write)
        self._locked = write

    def upgrade(self, timeout: float | None = None) -> None:
        if self._writable:
            return
        if not self.active:
            raise StoreError("the transaction has ended")
        self.store.lock(timeout)
        if self.store.version is not self.version:
            self.store.writer_lock.release()
            raise ConflictError("another transaction was committed since this one began")
        self._writable = self._locked = True
        self.became_writable()

    def load(self, tree: TreeNodes, branch: Node, slot: int, *, scan: bool = False) -> Node:
        raise AssertionError("a tree in memory has all its nodes")

    def load_packed(self, tree: TreeNodes, branch: Node, slot: int) -> Node | PackedLeaf:
        raise AssertionError("a tree in memory has all its nodes")

    def open_pages(
        self, tree: Tree, branch: Node, slots: Sequence[int], columns: Sequence[int]
    ) -> list[OpenPage | None]:
        raise AssertionError("a tree in memory has all its nodes")

    def scans_again(self, tree: Tree) -> bool:
        return True  # no value is decoded here

    def column_room(self) -> float:
        return inf

    def keep_columns(
        self, branch: Node, fresh: dict[int, list[Column]], layout: Layout, size_bytes: int
    ) -> None:
        kept_with(branch, fresh, layout, size_bytes, lambda size: True)

    def load_root(self, state: TreeState) -> Node:
        raise AssertionError("a tree in memory has its root")

    def load_large(
        self, tree: TreeNodes, values: Sequence[InPages], columns: Container[int] | None
    ) -> list[Value]:
        raise AssertionError("a tree in memory has its values")

    def fresh_node(self, tree: Tree, page: int, location: int) -> Node:
        raise AssertionError("a tree in memory has all its nodes")

    def all_pages(self) -> set[int] | None:
        return None

    def pages_below(self, root: Any, kind: TreeKind, *, has_large: bool) -> Iterator[int]:
        return iter(())

    def merging(self) -> MemoryTransaction:
        merging = MemoryTransaction(self.store, write=False)
        merging._writable = True
        return merging

    def replace_state(self, old: TreeState, made: TreeState) -> TreeState:
        with self.store.mutex:
            return self.swap_state((self.store.version,), old, made)

    def measure(self, tree: TreeNodes, leaf: Node) -> None:
        pass

    def new_redo(self) -> list[Any] | None:
        return None

    def give_up_redo(self) -> None:
        pass

    def spill(self) -> None:
        pass

    def _publish(self) -> None:
        changes = self.changes_laid_over()
        if changes is not None:
            states = self.states
            if any(self.is_full(states[tree_id], len(own)) for tree_id, own in changes.items()):
                changes = None
        if changes is None:
            if not self.has_changed():
                return
            self.settle_full()
        elif not changes:
            return
        lsn, shape = self.version.lsn + 1, self.shape
        with self.store.mutex:
            try:
                if changes is None:
                    states = self.states_at(lsn)
                else:
                    states = self.states
                    add_pending(states, changes, lsn)
                self.store.version = Version(lsn, states, self.next_tree_id, shape=shape)
            except BaseException:
                for state in (*self.states.values(), *self.version.trees.values()):
                    remove_pending(state, lsn)
                raise

    def _finish(self) -> None:
        if self._locked:
            self._locked = False
            self.store.writer_lock.release()
