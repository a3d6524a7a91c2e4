"""A pages commit: every unflushed node of every tree becomes a page.

A flush makes a new version of the branches above what it writes, and leaves the old ones to the
readers of older versions: a branch that has seen unflushed nodes below it is never evicted, because
only the slots in memory know them.  Leaves are written as they are and shared by both.

Leaves were split in memory by their count of entries; here they are fitted to pages.  One that is
far too long first gives its largest values pages of their own, then it is cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from btree.codec import encode_node, encoded_size
from btree.directory import DIRECTORY_PAGE, encode_directory
from btree.edit import Pieces, cut_branch, cut_leaf
from btree.errors import StoreError
from btree.large_values import encode_large, kept_of
from btree.long_columns import LONG_LEAF_BYTES, bit_of, is_long
from btree.node import (
    InPages,
    LargeReference,
    LargeValues,
    LongRow,
    Node,
    Part,
    new_branch,
    new_leaf,
)
from btree.protocols import TreeKind, Value
from btree.tree_state import TreeState
from btree.version import Version

if TYPE_CHECKING:
    from btree.cache import Cache
    from btree.disk_transaction import DiskTransaction
    from btree.pages import Commit, Writer

LEAVES_AT_ONCE = 32

OVERFULL = 2.0
"""Pages that a leaf may fill before it is cut."""


def _long_bytes(leaf: Node) -> int:
    rows = list(leaf.values or ()) if leaf.values.__class__ is LargeValues else ()
    return sum([row.size_bytes for row in rows if isinstance(row, LongRow)])


class Flush:
    """One pages commit in the making.  If it fails, `undo` takes the page ids back."""

    def __init__(
        self,
        writer: Writer,
        cache: Cache,
        *,
        page_bytes: int,
        branch_limit: int,
        early: bool = False,
    ) -> None:
        self.writer = writer
        self.cache = cache
        self.page_bytes = page_bytes
        self.branch_limit = branch_limit
        self.written: list[
            tuple[int, Node, int, int]
        ] = []  # tree id, node, its page's bytes and place
        self.large_count = 0  # pages of large values
        self.numbered: list[Node] = []  # got their page id here
        self.allocated: list[int] = []
        self.early = early  # written at once, for a spill
        self.found_large = 0  # see `TreeState.large`
        self._state: TreeState
        self._old: Version
        self._trees: dict[int, TreeState]

    def transaction(self, transaction: DiskTransaction) -> None:
        """Put all of a commit's pages, with nothing lying over any tree any more."""
        old = self._old = transaction.successor(0, 0)
        writer = self.writer
        try:
            trees = self._trees = self.trees(old.trees)
            self.directory(old.next_tree_id, trees)
            merged = [page for state in old.trees.values() for page in state.freed]
            for page in (*old.freed, *merged, *transaction.orphans):
                writer.delete(page)
            for root, has_large, kind in old.cleared:
                pages = list(transaction.pages_below(root, kind, has_large=has_large))
                for page in filter(None, pages):
                    writer.delete(page)
        except BaseException:
            self.undo()
            raise

    def version(self, lsn: int) -> Version:
        """What commit `lsn` makes of the version that `transaction` began at."""
        old = self._old
        return Version(lsn, self._trees, old.next_tree_id, base_lsn=lsn, shape=old.shape)

    def trees(self, states: dict[int, TreeState]) -> dict[int, TreeState]:
        """Put all that is unflushed; the states with their new roots.  StoreError if changes lie over one of them: they would
        be in no page."""
        for state in states.values():
            if state.pending:
                raise StoreError(f"changes lie over tree {state.id} as it is written as pages")
        self.writer.put_last()
        return {tree_id: self._tree(state) for tree_id, state in states.items()}

    def _tree(self, state: TreeState) -> TreeState:
        root = state.root
        if root.__class__ is int or not root.unflushed:
            return state
        flushed = TreeState(
            state.id,
            state.kind,
            root,
            count=state.count,
            kinds=state.kinds,
            large=state.large,
            leaf_limit=state.leaf_limit,
            mark=state.mark,
            added=state.added,
        )
        self.start(flushed)
        pieces = self._node(root)
        while len(pieces) > 1:
            top = new_branch(
                [key for key, _ in pieces[1:]],
                [node for _, node in pieces],
                [node.page for _, node in pieces],
                level=pieces[0][1].level + 1,
                owner=None,
            )
            pieces = self._written_branches(top)
        flushed.root = pieces[0][1]
        flushed.root_page = flushed.root.page
        return flushed

    def start(self, state: TreeState) -> None:
        """What follows belongs to the tree of `state`."""
        self._state = state
        self.found_large = 0

    def _node(self, node: Node) -> Pieces:
        return self.leaf(node) if node.children is None else self._branch(node)

    def _branch(self, branch: Node) -> Pieces:
        """The branch with everything below it put; in several pieces if it grew too wide."""
        assert branch.children is not None and branch.pages is not None
        children, keys, pages = branch.children.copy(), branch.keys, branch.pages.copy()
        location = branch.location
        slots = [
            slot
            for slot, child in enumerate(children)
            if child.__class__ is Node and child.unflushed
        ]
        nodes = [children[slot] for slot in slots]
        found = self._leaves(nodes) if branch.level == 1 else map(self._branch, nodes)
        wide: list[tuple[int, Pieces]] = []
        for slot, pieces in zip(slots, found, strict=True):
            ((_, first), *others) = pieces
            if others:
                wide.append((slot, pieces))
            children[slot] = first
            if pages[slot] != first.page:
                pages[slot] = first.page
                location = 0
        for slot, pieces in reversed(wide):  # from the right: slots on the left stay what they are
            children[slot : slot + 1] = [node for _, node in pieces]
            pages[slot : slot + 1] = [node.page for _, node in pieces]
            keys = [*keys[:slot], *[key for key, _ in pieces[1:]], *keys[slot:]]
            location = 0
        flushed = new_branch(keys, children, pages, level=branch.level, owner=None)
        flushed.page, flushed.location, flushed.bytes = branch.page, location, branch.bytes
        if location:
            flushed.unflushed = False
            return [(None, flushed)]
        return self._written_branches(flushed)

    def _written_branches(self, branch: Node) -> Pieces:
        pieces: Pieces = [(None, branch)]
        assert branch.children is not None
        if len(branch.children) > self.branch_limit:
            pieces = cut_branch(branch, self.branch_limit, full=False)
        for _, piece in pieces:
            self._put(piece, encode_node(self._state.kind, piece))
        return pieces

    def fits(self, payload: bytes) -> bool:
        """Whether a leaf may be this page."""
        return len(payload) <= self.page_bytes * OVERFULL

    def _leaves(self, leaves: list[Node]) -> Iterator[Pieces]:
        """`leaf` of several, some at once: what was made last is in the processor's cache when it is put."""
        kind = self._state.kind
        for at in range(0, len(leaves), LEAVES_AT_ONCE):
            some = leaves[at : at + LEAVES_AT_ONCE]
            payloads = [encode_node(kind, leaf) for leaf in some]
            if self.fits(max(payloads, key=len)):
                self._put_many(some, payloads)
                for leaf in some:
                    yield [(None, leaf)]
            else:
                for leaf, payload in zip(some, payloads, strict=True):
                    yield self._fitted(leaf, payload)

    def leaf(self, leaf: Node) -> Pieces:
        """The leaf put; in several pieces, and another node, if it was too long."""
        return self._fitted(leaf, encode_node(self._state.kind, leaf))

    def _fitted(self, leaf: Node, payload: bytes) -> Pieces:
        """The same of a leaf and what would be its page."""
        kind = self._state.kind
        if self.fits(payload):
            self._put(leaf, payload)
            return [(None, leaf)]
        # Older versions share the leaf, and this commit may fail: what is rearranged is a copy.
        fitted = new_leaf(leaf.keys, leaf.values, None, leaf.page)
        if leaf.values is not None:
            fitted.values = self._with_large_moved(leaf.values)
            self._state.large |= self.found_large
            payload = encode_node(kind, fitted)
        pieces: Pieces = [(None, fitted)]
        if not self.fits(payload) or _long_bytes(fitted) > LONG_LEAF_BYTES * OVERFULL:
            pieces = self._cut(fitted)
        for _, piece in pieces:
            self._put(piece, encode_node(kind, piece))
        return pieces

    def _with_large_moved(self, values: list[Value]) -> LargeValues:
        """The values, those that fill half a page or more put in pages of their own."""
        moved, kind, bytes_min = list(values), self._state.kind, self.page_bytes // 2
        if kind is TreeKind.RAW:
            for slot, value in enumerate(moved):
                if value.__class__ is not LargeReference:
                    payload = encode_large(kind, value)
                    if len(payload) > bytes_min:
                        page, location = self._put_large(payload)
                        moved[slot] = LargeReference(page, location, len(payload))
                        self.found_large = 1
            return LargeValues(moved)
        for slot, row in enumerate(moved):
            head, known = (row.head, row.parts) if isinstance(row, LongRow) else (row, ())
            parts: list[Part] = []
            for column, value in enumerate(head):
                if is_long(value, bytes_min):
                    payload = encode_large(kind, value)
                    parts.append((column, self._put_large(payload)[0], len(payload)))
                    self.found_large |= bit_of(column)
            if parts:
                kept = list(head)
                for column, _, _ in parts:
                    kept[column] = None
                moved[slot] = LongRow(tuple(kept), (*known, *parts))
        return LargeValues(moved)

    def _put_large(self, payload: bytearray) -> tuple[int, int]:
        """A page for a large value, and where it lies."""
        page = self._allocate()
        self.large_count += 1
        return page, self.writer.put_early(page, payload, self._state.id)

    def _allocate(self) -> int:
        page = self.writer.allocate()
        self.allocated.append(page)
        return page

    def _cut(self, leaf: Node) -> Pieces:
        """The leaf in pieces of about a page; at least one entry in each."""
        values = [None] * len(leaf.keys) if leaf.values is None else list(leaf.values)
        ends: list[int] = []
        size = long = 0
        for slot, (key, value) in enumerate(zip(leaf.keys, values, strict=True)):
            bytes_ = encoded_size(key)
            bytes_ += encoded_size(kept_of(value) if isinstance(value, InPages) else value)
            long_bytes = value.size_bytes if isinstance(value, LongRow) else 0
            if size and (size + bytes_ > self.page_bytes or long + long_bytes > LONG_LEAF_BYTES):
                ends.append(slot)
                size = long = 0
            size += bytes_
            long += long_bytes
        return cut_leaf(leaf, [*ends, len(leaf.keys)], owner=None)

    def _put(self, node: Node, payload: bytes) -> None:
        self._put_many([node], [payload])

    def _put_many(self, nodes: list[Node], payloads: list[bytes]) -> None:
        for node in nodes:
            if node.page == 0:
                node.page = self._allocate()
                self.numbered.append(node)
        locations = self.writer.put_many([node.page for node in nodes], payloads, self._state.id)
        for node, payload, location in zip(nodes, payloads, locations, strict=True):
            if self.early:
                node.location = location
                node.unflushed = False
            else:
                self.written.append((self._state.id, node, len(payload), location))

    def directory(self, next_tree_id: int, states: dict[int, TreeState]) -> None:
        """Put the directory."""
        self.writer.put(DIRECTORY_PAGE, encode_directory(next_tree_id, states))

    @property
    def count(self) -> int:
        """Pages put so far, large values and the directory included."""
        return len(self.written) + self.large_count + 1

    def settle(self, commit: Commit) -> None:
        """Note in the nodes where their pages lie."""
        for tree_id, node, page_bytes, location in self.written:
            node.location = location
            node.unflushed = False
            self.cache.account(tree_id, node, page_bytes)

    def undo(self) -> None:
        """The commit failed: the page ids given here are void."""
        for node in self.numbered:
            node.page = 0
