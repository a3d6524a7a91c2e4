"""The nodes of a tree as one transaction reaches them.

A transaction begins with the root of a committed state.  What is not in memory is loaded through it, what is
to be changed is copied first, and what falls away is noted for the commit; a savepoint takes the state and
goes back to it.  `Tree` is what can be asked of the entries; `edit` splits and merges.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any

from btree import kept_redo
from btree.errors import ReadOnlyError
from btree.node import InPages, LargeValues, LongRow, Node, copied
from btree.order import search_right
from btree.packed import child_to_read
from btree.protocols import Key, TreeKind, Value
from btree.tree_state import Mark, TreeState

if TYPE_CHECKING:
    from btree.changed_keys import ByPrefix
    from btree.transaction import LocalTransaction
    from btree.tree import Tree


class TreeNodes:
    """A tree's nodes, and what else a transaction keeps of its state."""

    __slots__ = (
        "_count",
        "_id",
        "_kind",
        "_kinds",
        "_mark",
        "_opened",
        "_pages",
        "added",
        "base",
        "below",
        "branch_limit",
        "descents",
        "entries",
        "freed",
        "large",
        "leaf_limit",
        "lsn",
        "own",
        "own_max",
        "own_order",
        "own_prefixes",
        "redo",
        "redo_max",
        "root",
        "tail",
        "token",
        "top",
        "transaction",
        "under",
    )

    # Of changes that lie over the nodes; see `overlay`.
    under: TreeState
    base: Node
    below: Tree | None
    own: dict[Key, Value]
    own_max: int
    own_order: list[Key] | None  # see `overlay.own_keys`
    own_prefixes: dict[int, ByPrefix] | None
    entries: dict[Key, Any]
    lsn: int
    top: int | None

    def __init__(self, transaction: LocalTransaction, state: TreeState, root: Node) -> None:
        self.transaction = transaction
        self.under = state
        self._id = state.id
        self.descents = self._pages = 0
        self.begin(state, root)

    def begin(self, state: TreeState, root: Node) -> None:
        """Be what `state` is, with nothing changed yet."""
        transaction = self.transaction
        self.token = transaction.token
        self.branch_limit = transaction.branch_limit
        self.redo: list[Any] | None = transaction.new_redo()
        self.redo_max = kept_redo.REDO_ENTRIES_MAX  # its length at which it is weighed again
        self._kind = state.kind
        self._opened = state.mark
        self.restore(state, root)

    def restore(self, state: TreeState, root: Node) -> None:
        """Go (back) to `state`."""
        self.root = root
        self.tail: Node | None = None  # the rightmost leaf, owned, after an append
        self.leaf_limit = state.leaf_limit
        self.large = state.large
        self.freed = state.freed
        self.added = state.added
        self._count = state.count
        self._kinds = state.kinds
        self._mark: Mark | None = state.mark

    @property
    def id(self) -> int:
        return self._id

    @property
    def kind(self) -> TreeKind:
        return self._kind

    def snapshot_state(self) -> TreeState:
        """What a version or a savepoint keeps of this tree."""
        return TreeState(
            self._id,
            self._kind,
            self.root,
            root_page=self.root.page,
            count=self._count,
            kinds=self._kinds,
            large=self.large,
            leaf_limit=self.leaf_limit,
            mark=self._mark or self._new_mark(),
            freed=self.freed,
            added=self.added,
        )

    def _new_mark(self) -> Mark:
        self._mark = Mark()
        return self._mark

    # -- to be read ------------------------------------------------------------------------------

    def visit(self, *, descents: int = 0, pages: int = 0) -> None:
        """Count nodes visited: from the root to a leaf, and single ones."""
        self.descents += descents
        self._pages += pages

    def leaf(self, key: Key) -> Any:
        """The leaf where `key` is or would be, to be read; loads what is not in memory."""
        node: Any = self.root
        try:
            children = node.children
            while children is not None:
                node = children[bisect_right(node.keys, key)]
                children = node.children
            if node.__class__ is Node or self._kind is TreeKind.INDEX:
                return node
        except (AttributeError, TypeError):  # a node to be loaded, or keys of several kinds
            pass
        node = self.root
        while node.children is not None:
            node = child_to_read(self, node, search_right(node.keys, key))
        return node

    def child(self, branch: Node, slot: int) -> Node:
        """Child `slot` of a branch, loaded if need be."""
        assert branch.children is not None
        child: Node | int = branch.children[slot]
        return self.loaded(branch, slot) if isinstance(child, int) else child

    def loaded(self, branch: Node, slot: int) -> Node:
        """Child `slot` that is not in memory, read from its page."""
        return self.transaction.load(self, branch, slot)

    def scanned_child(self, branch: Node, slot: int) -> Node:
        """Child `slot` for a scan, which keeps what it loads only while the cache has room."""
        assert branch.children is not None
        child: Node | int = branch.children[slot]
        if isinstance(child, int):
            return self.transaction.load(self, branch, slot, scan=True)
        return child

    def value(self, leaf: Node, slot: int, columns: Container[int] | None = None) -> Value:
        """The value in a slot of a leaf with values, read from its own page if it is large.  `columns`: see `values_of`."""
        assert leaf.values is not None
        value = list.__getitem__(leaf.values, slot)
        if isinstance(value, InPages):
            if columns is not None and isinstance(value, LongRow) and value.is_read(columns):
                return value.head
            return self.transaction.load_large(self, [value], columns)[0]
        return value

    def values_of(
        self, leaf: Node, start: int, end: int, columns: Container[int] | None = None
    ) -> list[Value]:
        """A slice of a leaf's values with the large ones read; [] in an INDEX tree.  `columns`: of rows with long values, NULLs
        will do for those of others."""
        values = leaf.values
        if values is None:
            return []
        if values.__class__ is list:
            return values if end - start == len(values) else values[start:end]
        found = list(values)[start:end]
        slots = [slot for slot, value in enumerate(found) if isinstance(value, InPages)]
        if slots:
            loaded = self.transaction.load_large(self, [found[slot] for slot in slots], columns)
            for slot, value in zip(slots, loaded, strict=True):
                found[slot] = value
        return found

    # -- to be changed ---------------------------------------------------------------------------

    def owned_root(self) -> Node:
        """The root, made the writer's own."""
        root = self.root
        if root.owner is not self.token:
            self.check_writable()
            root = self.root = copied(root, self.token)
        return root

    def check_writable(self) -> None:
        """Raise ReadOnlyError in a read transaction or after the end of one."""
        if not self.transaction.writable:
            raise ReadOnlyError(
                "this transaction is read-only"
                if self.transaction.active
                else "the transaction has ended"
            )

    def no_values(self) -> list[Value] | None:
        """The values of an empty leaf."""
        return None if self._kind is TreeKind.INDEX else []

    def free(self, page: int) -> None:
        """Note that a page is no longer part of the tree."""
        if page:
            self.transaction.freed.append(page)

    def free_large(self, values: Sequence[Value]) -> None:
        """Free the pages of those `values` that are large."""
        for value in values:
            if isinstance(value, InPages):
                for page in value.pages:
                    self.free(page)

    def _forget_large(self, values: list[Value], slot: int) -> None:
        if values.__class__ is LargeValues:
            self.free_large([list.__getitem__(values, slot)])

    def measure(self, leaf: Node) -> None:
        """Adapt the limit of a leaf's entries to the size of `leaf`'s."""
        self.transaction.measure(self, leaf)
