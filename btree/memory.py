"""The scratch store: the same trees and transactions with nothing underneath.

What is stored (`_Contents`) is kept apart from the handle on it (`MemoryStore`): those that are opened by one name share
it, within the process, and it is gone with the last of them.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Container, Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from btree.column_pages import OpenPage
from btree.directory import FIRST_TREE_ID, initial_trees
from btree.errors import BusyError, ClosedError, ConflictError, ReadOnlyError, StoreError
from btree.glance import row_of
from btree.kept_columns import Layout, Lists, kept_with
from btree.node import InPages, Node
from btree.packed import PackedLeaf
from btree.pending import add_pending, remove_pending
from btree.protocols import RAW_TREE_ID, Key, Store, TreeKind, Value
from btree.transaction import LocalTransaction
from btree.tree import Tree
from btree.tree_nodes import TreeNodes
from btree.tree_state import TreeState
from btree.version import Version
from engine import call_in_child, check_options

if TYPE_CHECKING:
    from engine import Durability

LEAF_LIMIT = 64
BRANCH_LIMIT = 256

BUSY = "the database is locked: another transaction of this process writes"


class _Contents:
    """What handles on one database share: its newest version and its locks."""

    def __init__(self, leaf_limit: int) -> None:
        self.writer_lock = threading.Lock()
        self._renew_mutex()
        call_in_child(self, _Contents._renew_mutex)
        self.version = Version(0, initial_trees(leaf_limit), FIRST_TREE_ID)
        self.handles: weakref.WeakSet[MemoryStore] = weakref.WeakSet()  # that are open, of a name's

    def _renew_mutex(self) -> None:
        self.mutex = threading.RLock()  # guards the versions


class _Named:
    """The contents that have names, as long as a handle is open.  A transaction, which an exception's traceback may keep
    alive, is none."""

    def __init__(self) -> None:
        self._contents: weakref.WeakValueDictionary[str, _Contents] = weakref.WeakValueDictionary()
        self._renew_lock()
        call_in_child(self, _Named._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def held(self, name: str, handle: MemoryStore) -> _Contents:
        """Those of this name, for one more handle; they are empty if none has them."""
        with self._lock:
            contents = self._contents.get(name)
            if contents is None or not contents.handles:
                contents = self._contents[name] = _Contents(handle.leaf_limit)
            contents.handles.add(handle)
            return contents


_named = _Named()


def open_memory(
    name: str | None = None,
    *,
    durability: Durability = "full",
    readonly: bool = False,
    timeout: float = 5.0,
    at: int | None = None,
    leaf_limit: int = LEAF_LIMIT,
    branch_limit: int = BRANCH_LIMIT,
) -> Store:
    """A store in memory, empty unless it has a name by which this process has it open already; it is gone when the last
    that is open is closed, or the last reference to it goes.

    `leaf_limit`, `branch_limit`: entries of a leaf (>= 2) and children of a branch (>= 4) at most.  The other options
    are those of `open_store`; `durability` means nothing here, `at` is an error.  Raises StoreError."""
    check_options(durability, timeout, at)
    if at is not None:
        raise StoreError(f"a database in memory has no earlier commits: at={at}")
    return MemoryStore(
        name, readonly=readonly, leaf_limit=leaf_limit, branch_limit=branch_limit, timeout=timeout
    )


class MemoryStore:
    """A store without a file; see `protocols.Store`."""

    path: str | None = None
    place = ""
    memory_bytes = 256 << 20

    def __init__(
        self,
        name: str | None,
        *,
        readonly: bool,
        leaf_limit: int,
        branch_limit: int,
        timeout: float,
    ) -> None:
        self.name = name
        self.readonly = readonly
        self.leaf_limit = leaf_limit
        self.branch_limit = branch_limit
        self.timeout = timeout
        self.closed = False
        self.contents = _Contents(leaf_limit) if name is None else _named.held(name, self)

    def begin(self, *, write: bool = False, timeout: float | None = None) -> MemoryTransaction:
        contents = self.contents
        self.check_open()
        if not write:
            return MemoryTransaction(self, contents, write=False)
        has = False
        try:
            for has in self.attempt(contents, timeout):
                if has:
                    return MemoryTransaction(self, contents, write=True)
            raise BusyError(BUSY)
        except BaseException:
            if has:  # Ctrl-C: nobody has the transaction, to end it
                contents.writer_lock.release()
            raise

    def begin_late(self, timeout: float | None = None) -> MemoryTransaction:
        return self.begin(write=True, timeout=timeout)

    def view(self) -> Version:
        """The same object as long as nothing is committed."""
        return self.contents.version

    def is_newest(self, moment: Version) -> bool:
        return moment is self.contents.version and not self.closed

    def await_turn(self) -> None:
        """At once: nobody waits for a disk."""

    def row_now(self, shape: object, tree_id: int, key: Key) -> Value:
        self.check_open()
        return row_of(self.contents.version, shape, tree_id, key)

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

    def attempt(self, contents: _Contents, timeout: float | None) -> Iterator[bool]:
        """One attempt at the writer's lock of what this store holds, waiting at most `timeout` seconds (None: the store's
        own): whether it was got.  A loop has that in one step with the lock; Ctrl-C could keep the outcome of a call from
        who makes it."""
        if self.readonly:
            raise ReadOnlyError("the database is open read-only")
        return map(
            contents.writer_lock.acquire, (True,), (self.timeout if timeout is None else timeout,)
        )

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
        if not self.closed:
            self.closed = True
            self.contents.handles.discard(self)
            self.contents = _Contents(self.leaf_limit)  # lets go of what others may still have


class MemoryTransaction(LocalTransaction):
    """A transaction on a `MemoryStore`."""

    def __init__(self, store: MemoryStore, contents: _Contents, *, write: bool) -> None:
        self._contents = contents
        super().__init__(store, contents.version, writable=write)
        self._locked = write

    def upgrade(self, timeout: float | None = None) -> None:
        if self._writable:
            return
        if not self.active:
            raise StoreError("the transaction has ended")
        has = False
        try:
            for has in self.store.attempt(self._contents, timeout):
                if not has:
                    raise BusyError(BUSY)
            if self._contents.version is not self.version:
                raise ConflictError("another transaction was committed since this one began")
            self._writable = self._locked = True  # from here on its end gives the lock back
            has = False  # one step with that
            self.became_writable()
        except BaseException:
            if has:
                self._contents.writer_lock.release()
            raise

    def rollback(self) -> None:
        super().rollback()
        self._finish()  # Ctrl-C may have come within the end, before this

    def load(self, tree: TreeNodes, branch: Node, slot: int, *, scan: bool = False) -> Node:
        raise AssertionError("a tree in memory has all its nodes")

    def load_packed(self, tree: TreeNodes, branch: Node, slot: int) -> Node | PackedLeaf:
        raise AssertionError("a tree in memory has all its nodes")

    def open_pages(
        self, tree: Tree, branch: Node, slots: Sequence[int], columns: Sequence[int]
    ) -> list[OpenPage | None]:
        raise AssertionError("a tree in memory has all its nodes")

    def scans_again(self, tree: Tree, columns: Sequence[int]) -> bool:
        return True  # no value is decoded here

    def column_room(self) -> float:
        return inf

    def number_room(self) -> float:
        return 0.0

    packs_columns = False

    def pack_columns(self, *, has_numbers: bool) -> bool:
        return False

    def keep_columns(self, branch: Node, fresh: Lists, layout: Layout, size_bytes: int) -> None:
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
        merging = MemoryTransaction(self.store, self._contents, write=False)
        merging._writable = True
        return merging

    def replace_state(self, old: TreeState, made: TreeState) -> TreeState:
        contents = self._contents
        with contents.mutex:
            return self.swap_state((contents.version,), old, made)

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
        contents = self._contents
        with contents.mutex:
            try:
                if changes is None:
                    states = self.states_at(lsn)
                else:
                    states = self.states
                    add_pending(states, changes, lsn)
                contents.version = Version(lsn, states, self.next_tree_id, shape=shape)
            except BaseException:
                for state in (*self.states.values(), *self.version.trees.values()):
                    remove_pending(state, lsn)
                raise

    def _finish(self) -> None:
        if self._locked:
            self._locked = False
            self._contents.writer_lock.release()
