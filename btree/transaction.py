"""Transactions: a version of the trees to read, and for the one writer a private successor of it.

A `Version` is everything that one commit made visible: for every tree its root and its counts.  A read
transaction holds a version and needs no lock, for its nodes never change.  The writer copies the
nodes it touches (see `node`), and its commit makes a new version of the old one and the changed trees.

Savepoints: the writer's nodes carry its token.  To mark a savepoint is to remember the roots and to
take a new token, so that nodes of before are copied when touched again; to roll back is to put the
remembered roots back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from btree.errors import ReadOnlyError, StoreError
from btree.node import LargeReference, Node, new_leaf
from btree.protocols import Savepoint, TreeKind, Value
from btree.tree import Mark, Tree, TreeState

OP_CREATE, OP_DROP, OP_WIDEN, OP_CLEAR = 1, 2, 3, 4
"""Operations on whole trees in redo.  Stored on disk, do not change."""


class Version:
    """The trees as one commit left them.  Immutable, but for roots that are loaded or evicted."""

    __slots__ = ("cleared", "freed", "lsn", "next_tree_id", "trees")

    def __init__(
        self,
        lsn: int,
        trees: dict[int, TreeState],
        next_tree_id: int,
        freed: tuple[int, ...] = (),
        cleared: tuple[tuple[Any, ...], ...] = (),
    ) -> None:
        self.lsn = lsn
        self.trees = trees
        self.next_tree_id = next_tree_id
        self.freed = freed  # pages that the next pages commit gives back
        self.cleared = cleared  # (root, whether it has large values): trees likewise


class TreeSavepoint:
    """A mark inside a write transaction."""

    __slots__ = ("cleared", "freed", "log", "next_tree_id", "states", "trees")

    def __init__(self, transaction: LocalTransaction) -> None:
        self.states = transaction.states
        self.next_tree_id = transaction.next_tree_id
        self.freed = len(transaction.freed)
        self.cleared = len(transaction.cleared)
        self.log = len(transaction.log)
        self.trees = {
            tree_id: (tree.snapshot_state(), None if tree.redo is None else len(tree.redo))
            for tree_id, tree in transaction.open_trees.items()
        }


class LocalTransaction(ABC):
    """What transactions in memory and on disk have in common; see `protocols.Transaction`."""

    def __init__(self, version: Version, *, writable: bool, leaf_limit: int, branch_limit: int):
        self.version = version
        self.token: object = object()
        self.active = True
        self.branch_limit = branch_limit
        self.states = version.trees
        self.next_tree_id = version.next_tree_id
        self.open_trees: dict[int, Tree] = {}
        self.freed: list[int] = []
        self.cleared: list[tuple[Any, ...]] = []
        self.log: list[Any] = []  # redo of whole trees: created, dropped, widened, cleared
        self._writable = writable
        self._leaf_limit = leaf_limit
        self._savepoints: list[TreeSavepoint] = []

    # -- what differs between memory and disk -------------------------------------------------------

    @abstractmethod
    def load(self, tree: Tree | None, branch: Node, slot: int, *, scan: bool = False) -> Node:
        """Child `slot` of `branch` from its page."""

    @abstractmethod
    def load_root(self, state: TreeState) -> Node:
        """The root of a tree from its page."""

    @abstractmethod
    def load_large(self, tree: Tree, reference: LargeReference) -> Value:
        """A large value from its page."""

    @abstractmethod
    def measure(self, tree: Tree, leaf: Node) -> None:
        """Set `tree.leaf_limit` by the size of the entries in `leaf`."""

    @abstractmethod
    def new_redo(self) -> list[Any] | None:
        """A list that takes the changes of one tree, or None if nobody wants to know them."""

    @abstractmethod
    def give_up_redo(self) -> None:
        """The changes are too many: stop recording them."""

    @abstractmethod
    def upgrade(self, timeout: float | None = None) -> None: ...

    @abstractmethod
    def _publish(self) -> None:
        """Make the writer's trees the newest version, durable and visible."""

    @abstractmethod
    def _finish(self) -> None:
        """Give back locks and snapshots."""

    # -- the transaction ----------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        return self._writable

    @property
    def commit_number(self) -> int:
        return self.version.lsn

    @property
    def pages_read(self) -> int:
        return sum([tree.pages_read for tree in self.open_trees.values()])

    def tree(self, tree_id: int) -> Tree:
        try:
            return self.open_trees[tree_id]
        except KeyError:
            state = self.states[tree_id]
            root = state.root
            if root.__class__ is int:
                root = self.load_root(state)
            tree = self.open_trees[tree_id] = Tree(self, state, root)
            return tree

    def tree_ids(self) -> list[int]:
        return sorted(self.states)

    def create_tree(self, kind: TreeKind) -> int:
        self._check_writable()
        tree_id = self.next_tree_id
        self.next_tree_id += 1
        self.states = {**self.states, tree_id: self._empty_state(tree_id, kind)}
        self.note_created(tree_id, kind)
        return tree_id

    def _empty_state(self, tree_id: int, kind: TreeKind) -> TreeState:
        values: list[Value] | None = None if kind is TreeKind.INDEX else []
        root = new_leaf([], values, None)
        return TreeState(tree_id, kind, root, leaf_limit=self._leaf_limit, mark=Mark())

    def drop_tree(self, tree_id: int) -> None:
        self._check_writable()
        tree = self.tree(tree_id)
        self.note_clear(tree)
        self.states = {key: state for key, state in self.states.items() if key != tree_id}
        del self.open_trees[tree_id]
        tree.token = object()
        self.note_dropped(tree_id)

    def savepoint(self) -> TreeSavepoint:
        self._check_writable()
        savepoint = TreeSavepoint(self)
        self._savepoints.append(savepoint)
        self.freeze()
        return savepoint

    def rollback_to(self, savepoint: Savepoint) -> None:
        self._check_writable()
        savepoint = self._forget_after(savepoint, keep=True)
        self.states = savepoint.states
        self.next_tree_id = savepoint.next_tree_id
        del self.freed[savepoint.freed :]
        del self.cleared[savepoint.cleared :]
        del self.log[savepoint.log :]
        for tree_id, tree in list(self.open_trees.items()):
            self._roll_back_tree(tree_id, tree, savepoint)
        self.freeze()

    def _roll_back_tree(self, tree_id: int, tree: Tree, savepoint: TreeSavepoint) -> None:
        state, redo_length = savepoint.trees.get(tree_id, (None, 0))
        if state is None:
            state = savepoint.states.get(tree_id)
        if state is None:
            del self.open_trees[tree_id]
            tree.token = object()
            return
        root = state.root
        tree.restore(state, self.load_root(state) if root.__class__ is int else root)
        if tree.redo is not None:
            del tree.redo[redo_length or 0 :]

    def release(self, savepoint: Savepoint) -> None:
        self._check_writable()
        self._forget_after(savepoint, keep=False)

    def _forget_after(self, savepoint: Savepoint, *, keep: bool) -> TreeSavepoint:
        for at, known in enumerate(self._savepoints):
            if known is savepoint:
                del self._savepoints[at + keep :]
                return known
        raise StoreError("no such savepoint: it was released, or rolled back with an older one")

    def freeze(self) -> None:
        """Take a new token: nodes of before this moment are copied before they change again."""
        if self._writable:
            token = self.token = object()
            for tree in self.open_trees.values():
                tree.token = token
                tree.tail = None

    def commit(self) -> None:
        if not self.active:
            raise StoreError("the transaction has ended")
        try:
            if self._writable:
                self._publish()
        finally:
            self._end()

    def rollback(self) -> None:
        if self.active:
            self._end()

    def _end(self) -> None:
        self.active = False
        self._writable = False
        self.token = object()
        for tree in self.open_trees.values():
            tree.token = self.token
            tree.tail = None
        self._finish()

    def _check_writable(self) -> None:
        if not self._writable:
            raise ReadOnlyError(
                "this transaction is read-only" if self.active else "the transaction has ended"
            )

    # -- for trees: what redo and the page table have to know ---------------------------------------

    def changed_states(self) -> dict[int, TreeState]:
        """The trees of the version to come."""
        states = self.states
        changed = {
            tree_id: tree.snapshot_state()
            for tree_id, tree in self.open_trees.items()
            if tree.state is not states[tree_id].mark
        }
        return {**states, **changed} if changed else states

    def note_created(self, tree_id: int, kind: TreeKind) -> None:
        """Log the creation of a tree."""
        self.log.append((OP_CREATE, tree_id, int(kind)))

    def note_dropped(self, tree_id: int) -> None:
        """Log the end of a tree."""
        self.log.append((OP_DROP, tree_id, None))

    def note_widening(self, tree_id: int, kinds: tuple[int, ...]) -> None:
        """Log the wider kinds of a tree."""
        self.log.append((OP_WIDEN, tree_id, kinds))

    def note_clear(self, tree: Tree) -> None:
        """Log that a tree is about to lose all its entries, and keep its root for the pages' sake."""
        self.cleared.append((tree.root, tree.large))
        self.log.append((OP_CLEAR, tree.id, None if tree.redo is None else len(tree.redo)))
