"""Proof that the trees are whole, from the pages alone.

Order within and between nodes, equal depth, separators, counts, no empty leaf, no branch with a single
child, every page of the file reachable exactly once or free.  Every problem is one sentence.  The
nodes are read from their pages, not from the cache, except those that are not written yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

from btree import directory
from btree.errors import CorruptionError, StoreError
from btree.node import InPages, LongRow, Node
from btree.order import less
from btree.protocols import Key, TreeKind

if TYPE_CHECKING:
    from btree.disk import DiskStore
    from btree.transaction import LocalTransaction
    from btree.tree import Tree

DEPTH_MAX = 64
_CLASSES = {type(None), int, float, str, bytes}
_INTEGERS = 1 << 63
PROBLEMS_MAX = 100
"""A check stops looking when it has found so many."""


class _TooManyError(Exception):
    """Enough problems have been found."""


def check_store(store: DiskStore) -> list[str]:
    """Every problem of the file and of its trees, first the engine's, then ours."""
    problems = list(store.pages.check())
    transaction = store.begin()
    try:
        problems += check_transaction(transaction)
    finally:
        transaction.rollback()
    return problems


def check_transaction(transaction: LocalTransaction) -> list[str]:
    """Every problem in the trees of a transaction."""
    checker = _Checker(transaction)
    try:
        checker.run()
    except _TooManyError:
        checker.problems.append(f"stopped after {PROBLEMS_MAX} problems")
    return checker.problems


def check_tree(tree: Tree) -> list[str]:
    """Every problem in one tree."""
    checker = _Checker(tree.transaction)
    try:
        checker.tree(tree)
    except _TooManyError:
        checker.problems.append(f"stopped after {PROBLEMS_MAX} problems")
    return checker.problems


def check_plain(kind: TreeKind, node: Node) -> None:
    """CorruptionError if there is a key or a value in the node that no tree of its kind holds: a decoder takes any
    value of msgpack's for one of SQL's, since to look at each would cost every reader."""
    keys: Iterable[Any] = node.keys
    rows: list[Any] = [] if node.values is None else list(node.values)
    if kind in (TreeKind.CLUSTERED, TreeKind.INDEX):
        keys = chain.from_iterable(keys)
    if kind is TreeKind.TABLE:
        keys = list(keys)
        if not set(map(type, keys)) <= {int}:
            raise CorruptionError(f"page {node.page}: keys that are no row ids")
    if kind is TreeKind.RAW:
        return  # decoded by type
    heads = [row.head if isinstance(row, LongRow) else row for row in rows]
    if not set(map(type, heads)) <= {tuple}:
        raise CorruptionError(f"page {node.page}: rows that are none")
    for value in chain(keys, chain.from_iterable(heads)):
        if value.__class__ not in _CLASSES:
            raise CorruptionError(f"page {node.page}: {value!r:.60} is no value of SQL's")
        if value.__class__ is int and not -_INTEGERS <= value < _INTEGERS:
            raise CorruptionError(f"page {node.page}: the integer {value} is too large")


class _Checker:
    def __init__(self, transaction: LocalTransaction) -> None:
        self.transaction = transaction
        self.problems: list[str] = []
        self.reached: dict[int, str] = {}

    def report(self, problem: str) -> None:
        self.problems.append(problem)
        if len(self.problems) >= PROBLEMS_MAX:
            raise _TooManyError

    def run(self) -> None:
        walked = True
        for tree_id in self.transaction.tree_ids():
            try:
                self.tree(self.transaction.tree(tree_id))
            except StoreError as error:
                self.report(f"tree {tree_id}: {error}")
                walked = False
        if walked:
            self._pages()

    def tree(self, tree: Tree) -> None:
        walk = _Walk(self, tree)
        self.reach(tree.root.page, walk.name)
        walk.node(tree.root, None, None, is_root=True)
        if walk.entries != len(tree):
            self.report(f"{walk.name}: {walk.entries} entries, but its count says {len(tree)}")

    def reach(self, page: int, name: str) -> None:
        """Note that a page belongs to the tree `name`."""
        if page == 0:
            return
        if page in self.reached:
            self.report(f"page {page}: reached from {self.reached[page]} and from {name}")
        self.reached[page] = name

    def _pages(self) -> None:
        """Every page reachable xor free, where there is a page table."""
        listed = self.transaction.all_pages()
        if listed is None:
            return
        version = self.transaction.version
        doomed = set(version.freed)
        for tree in self.transaction.open_trees.values():
            doomed.update(tree.freed)
        for root, has_large, kind in version.cleared:
            doomed.update(self.transaction.pages_below(root, kind, has_large=has_large))
        for page in sorted(listed - set(self.reached) - doomed - {directory.DIRECTORY_PAGE}):
            self.report(f"page {page}: neither reachable from a tree nor free")
        for page in sorted(set(self.reached) - listed):
            self.report(f"page {page}: part of {self.reached[page]}, but not in the page table")
        for page in sorted(set(self.reached) & doomed):
            self.report(f"page {page}: part of {self.reached[page]}, but given up")


class _Walk:
    """The walk through one tree."""

    def __init__(self, checker: _Checker, tree: Tree) -> None:
        self.checker = checker
        self.report = checker.report
        self.tree = tree
        self.name = f"tree {tree.id}"
        self.entries = 0

    def node(
        self, node: Node, lo: tuple[Key] | None, hi: tuple[Key] | None, *, is_root: bool
    ) -> None:
        """Check a node whose keys have to be in [lo, hi), boxed; None is no bound."""
        where = f"{self.name}, page {node.page}"
        keys = node.keys
        try:
            check_plain(self.tree.kind, node)
        except CorruptionError as error:
            self.report(f"{self.name}: {error}")
            return
        for slot in range(1, len(keys)):
            if not less(keys[slot - 1], keys[slot]):
                self.report(f"{where}: keys {slot - 1} and {slot} are out of order")
        if keys and lo is not None and less(keys[0], lo[0]):
            self.report(f"{where}: the first key lies below the separator to its left")
        if keys and hi is not None and not less(keys[-1], hi[0]):
            self.report(f"{where}: the last key lies above the separator to its right")
        if node.children is None:
            self._leaf(node, where, is_root=is_root)
        else:
            self._branch(node, where, lo, hi)

    def _leaf(self, leaf: Node, where: str, *, is_root: bool) -> None:
        if leaf.level != 0:
            self.report(f"{where}: a leaf of level {leaf.level}")
        self.entries += len(leaf.keys)
        if not leaf.keys and not is_root:
            self.report(f"{where}: an empty leaf")
        if (leaf.values is None) != (self.tree.kind is TreeKind.INDEX):
            self.report(f"{where}: values do not fit the kind of tree")
        if leaf.values is None:
            return
        values = list(leaf.values)
        if len(values) != len(leaf.keys):
            self.report(f"{where}: {len(leaf.keys)} keys for {len(values)} values")
        for value in values:
            if isinstance(value, InPages):
                self._large(value)

    def _large(self, value: InPages) -> None:
        for page in value.pages:
            self.checker.reach(page, self.name)
        try:
            self.tree.transaction.load_large(self.tree, [value], None)
        except StoreError as error:
            self.report(f"{self.name}: {error}")

    def _branch(
        self, branch: Node, where: str, lo: tuple[Key] | None, hi: tuple[Key] | None
    ) -> None:
        children = branch.children
        assert children is not None and branch.pages is not None
        if not 1 <= branch.level <= DEPTH_MAX:
            self.report(f"{where}: a branch of level {branch.level}")
            return
        if len(children) < 2:
            self.report(f"{where}: a branch with {len(children)} children")
        if not len(branch.keys) + 1 == len(children) == len(branch.pages):
            self.report(f"{where}: {len(branch.keys)} separators for {len(children)} children")
            return
        for slot in range(len(children)):
            child = self._child(branch, slot, where)
            if child is None:
                continue
            self.checker.reach(child.page, self.name)
            if child.level != branch.level - 1:
                self.report(f"{where}: child {slot} has level {child.level}")
                continue
            self.node(
                child,
                lo if slot == 0 else (branch.keys[slot - 1],),
                hi if slot == len(branch.keys) else (branch.keys[slot],),
                is_root=False,
            )

    def _child(self, branch: Node, slot: int, where: str) -> Node | None:
        """The child, from its page unless it is not written yet."""
        assert branch.children is not None and branch.pages is not None
        child: Any = branch.children[slot]
        if isinstance(child, Node) and child.unflushed:
            return child
        location = child.location if isinstance(child, Node) else child
        page = child.page if isinstance(child, Node) else branch.pages[slot]
        try:
            return self.tree.transaction.fresh_node(self.tree, page, location)
        except StoreError as error:
            self.report(f"{where}: child {slot}: {error}")
            return None
