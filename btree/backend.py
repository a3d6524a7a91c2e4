"""What transactions in memory and on disk differ in: where nodes and columns come from, and where a commit goes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from btree.column_pages import OpenPage
from btree.kept_columns import Layout, Lists
from btree.node import InPages, Node
from btree.packed import PackedLeaf
from btree.protocols import TreeKind, Value
from btree.tree_state import TreeState

if TYPE_CHECKING:
    from btree.hot import HotRows
    from btree.rewrite import Rewrite
    from btree.transaction import LocalTransaction
    from btree.tree import Tree
    from btree.tree_nodes import TreeNodes


class Backend(ABC):
    """The part of a `LocalTransaction` that a kind of store provides."""

    @abstractmethod
    def load(self, tree: TreeNodes, branch: Node, slot: int, *, scan: bool = False) -> Node:
        """Child `slot` of `branch` from its page."""

    @abstractmethod
    def load_packed(self, tree: TreeNodes, branch: Node, slot: int) -> Node | PackedLeaf:
        """Child `slot` of `branch`, a leaf, for a look-up of one key."""

    def raw_page(self, branch: Node, slot: int) -> bytes | None:
        """The page of a raw leaf, if it is not in memory as a node and need not be."""
        return None

    def hot_rows(self, state: TreeState) -> HotRows | None:
        """See `protocols.Tree.hot_rows`; those of a tree in this state."""
        return None

    @abstractmethod
    def open_pages(
        self, tree: Tree, branch: Node, slots: Sequence[int], columns: Sequence[int]
    ) -> list[OpenPage | None]:
        """The pages of children of a lowest branch, for the sake of some columns; None for one that is in
        memory by now, or does not keep columns apart."""

    @abstractmethod
    def scans_again(self, tree: Tree, columns: Sequence[int]) -> bool:
        """Some columns are about to be scanned: whether any of the tree's were before."""

    @abstractmethod
    def column_room(self) -> float:
        """Bytes of columns that may be kept."""

    @abstractmethod
    def number_room(self) -> float:
        """Bytes of them that are for numbers alone."""

    @property
    @abstractmethod
    def packs_columns(self) -> bool:
        """Whether numbers are to be packed."""

    @abstractmethod
    def pack_columns(self, *, has_numbers: bool) -> bool:
        """There was no room for more columns, some of them of numbers or none: have numbers packed.  Whether that has made
        room."""

    @abstractmethod
    def keep_columns(self, branch: Node, fresh: Lists, layout: Layout, size_bytes: int) -> None:
        """Keep columns that a scan has gathered with their branch."""

    @abstractmethod
    def load_root(self, state: TreeState) -> Node:
        """The root of a tree from its page."""

    @abstractmethod
    def load_large(
        self, tree: TreeNodes, values: Sequence[InPages], columns: Container[int] | None
    ) -> list[Value]:
        """Values from their pages: whole ones, or rows with what is wanted of their long values."""

    @abstractmethod
    def fresh_node(self, tree: Tree, page: int, location: int) -> Node:
        """A node read from its page, not from the cache, for `check`."""

    @abstractmethod
    def all_pages(self) -> set[int] | None:
        """Every page of the page table, None where there is none."""

    @abstractmethod
    def pages_below(self, root: Any, kind: TreeKind, *, has_large: bool) -> Iterator[int]:
        """Every page of a tree, in key order."""

    @abstractmethod
    def merging(self) -> LocalTransaction:
        """A transaction in which to merge pending changes, and that nobody commits."""

    @abstractmethod
    def replace_state(self, old: TreeState, made: TreeState) -> TreeState:
        """Put `made`, of the content that this transaction's version sees in `old`, in its place in this
        version and those after it; the one that is there now."""

    @abstractmethod
    def measure(self, tree: TreeNodes, leaf: Node) -> None:
        """Set `tree.leaf_limit` by the size of the entries in `leaf`."""

    @abstractmethod
    def new_redo(self) -> list[Any] | None:
        """A list that takes the changes of one tree, or None if nobody wants to know them."""

    @abstractmethod
    def give_up_redo(self) -> None:
        """The changes are too many: stop recording them."""

    held = 0.0
    """Bytes of memory that changes since the last spill take, about."""
    left_behind = 0.0
    """Of leaves that the last spill left in memory, for a savepoint."""
    left_number = 0
    """The latest token of those leaves."""

    @property
    def held_max(self) -> float:
        """So much may be held before leaves are written early."""
        return inf

    def hold(self, tree: TreeNodes, entries: float) -> None:  # noqa: B027
        """Note that so many entries were put into the nodes of a tree."""

    @abstractmethod
    def spill(self) -> None:
        """Write leaves early: more than `held_max` is held."""

    @abstractmethod
    def upgrade(self, timeout: float | None = None) -> None: ...

    def rewrite(self, tree: Tree) -> Rewrite | None:
        """See `protocols.Tree.rewrite`."""
        return None

    def restore_pages(self, count: int) -> None:  # noqa: B027
        """A rollback: all pages that were rewritten, but for the first so many, are as they were."""

    @abstractmethod
    def _publish(self) -> None:
        """Make the writer's trees the newest version, durable and visible."""

    @abstractmethod
    def _finish(self) -> None:
        """Give back locks and snapshots."""
