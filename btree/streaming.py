"""Many waiting changes taken into the leaves of the raw tree page by page, of which none stays behind.

Puts at random places wait over the nodes (see `overlay`) until there are several for each leaf.  If they
were taken in by way of nodes, all leaves would have to be in memory until the commit.  Here the changes are
walked in key order: the leaves below a branch that they fall in are read some at once (they lie side by side,
since they were written so the last time), changed, and written at once, each under the page number that it
has; what leads to their new places are this transaction's branches alone (as in `rewrite`).  A leaf that
was in memory stays there, changed and clean, if there is room; one that was not is forgotten again.  Leaves that
have lost most of their entries are brought together with their neighbours when all are done.

So it takes the memory of the branches, and about as long whatever the cache holds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from btree.codec import decode_node, encode_node
from btree.edit import (
    Pieces,
    cut_branch,
    cut_ends,
    cut_leaf,
    own_child,
    own_path,
    plant,
    put_run,
    rebalance,
    remove_run,
    replace_child,
)
from btree.errors import CorruptionError
from btree.node import Node, copied
from btree.order import values_at
from btree.overlay import apply
from btree.protocols import TreeKind, Value
from btree.tree import DELETED

if TYPE_CHECKING:
    from btree.disk_transaction import DiskTransaction
    from btree.tree import Tree

LEAVES_AT_ONCE = 32

Run = tuple[int, int, int]
"""The slot of a child, and which of the keys fall in it: the first, and the one behind the last."""


def take_in(tree: Tree, transaction: DiskTransaction, changes: Mapping[Any, Value]) -> None:
    """Make changes to a plain raw tree of a writer whose redo is given up."""
    tree.note_rewritten(0)
    if tree.root.children is None:
        apply(tree, changes)
    elif changes:
        keys = sorted(changes)
        _Stream(tree, transaction, keys, values_at(changes, keys)).run()


def change_leaf(
    tree: Tree, leaf: Node, keys: Sequence[bytes], values: Sequence[Value], *, deletes: bool
) -> bool:
    """Make changes in a leaf, of which some may be `deletes`; whether they were appended to it."""
    if deletes and DELETED in values:
        gone = [key for key, value in zip(keys, values, strict=True) if value is DELETED]
        remove_run(tree, leaf, gone)
        keys = [key for key, value in zip(keys, values, strict=True) if value is not DELETED]
        values = [value for value in values if value is not DELETED]
    return bool(keys) and put_run(tree, leaf, keys, values)[0]


def is_thin(tree: Tree, leaf: Node, before: int) -> bool:
    """Whether a leaf has lost so many of its entries that it is better brought together with a neighbour."""
    return len(leaf.keys) < before and len(leaf.keys) * 4 < tree.leaf_limit


class _Stream:
    """One pass over the leaves that some ascending keys fall in."""

    def __init__(
        self,
        tree: Tree,
        transaction: DiskTransaction,
        keys: Sequence[bytes],
        values: Sequence[Value],
    ) -> None:
        self.tree = tree
        self.transaction = transaction
        self.reader = transaction.reader
        self.cache = transaction.store.cache
        self.keys = keys
        self.values = values
        self.deletes = DELETED in values
        self.thin: list[
            bytes
        ] = []  # for each leaf that has lost most of its entries, a key that led there
        self.added = 0
        self.flush = transaction.early_flush()
        self.flush.start(tree.snapshot_state())

    def run(self) -> None:
        tree = self.tree
        tree.check_writable()
        tree.tail = None
        try:
            root = tree.owned_root()
            self._branch(root, 0, len(self.keys), is_last=True)
            if len(root.children or ()) > tree.branch_limit:
                plant(tree, cut_branch(root, tree.branch_limit, full=False), full=False)
        finally:
            self.transaction.spilled += self.flush.allocated
        tree.large |= self.flush.found_large
        tree.note_rewritten(-self.added)
        for key in self.thin:
            path, leaf = own_path(tree, key)
            rebalance(tree, path, leaf)

    def _branch(self, branch: Node, start: int, end: int, *, is_last: bool) -> None:
        """Put what falls below an owned branch, which may be too wide then; `is_last`: of its level."""
        runs = self._runs(branch, start, end)
        if branch.level == 1:
            self._leaves(branch, runs, is_last=is_last)
            return
        limit = self.tree.branch_limit
        found: list[tuple[int, Pieces]] = []
        for slot, first, last in runs:
            child = own_child(self.tree, branch, slot)
            self._branch(child, first, last, is_last=is_last and slot == len(branch.keys))
            if len(child.children or ()) > limit:
                found.append((slot, cut_branch(child, limit, full=False)))
        for slot, pieces in reversed(found):  # from the right: slots on the left stay what they are
            replace_child(branch, slot, pieces)

    def _runs(self, branch: Node, start: int, end: int) -> list[Run]:
        """The children of a branch that keys fall in."""
        keys, separators = self.keys, branch.keys
        runs = []
        while start < end:
            slot = bisect_right(separators, keys[start])
            upper = end
            if slot < len(separators):
                upper = bisect_left(keys, separators[slot], start, end)
            runs.append((slot, start, upper))
            start = upper
        return runs

    def _leaves(self, branch: Node, runs: Sequence[Run], *, is_last: bool) -> None:
        """Change the leaves below a lowest branch."""
        children = branch.children
        assert children is not None
        found: list[tuple[int, Pieces, list[Any]]] = []
        for at in range(0, len(runs), LEAVES_AT_ONCE):
            some = runs[at : at + LEAVES_AT_ONCE]
            whole: list[tuple[int, Node, bytes]] = []
            for (slot, start, end), leaf in zip(some, self._read(branch, some), strict=True):
                appended = self._change(leaf, start, end)
                page = self._page_of(leaf)
                if page is not None:
                    whole.append((slot, leaf, page))
                    continue
                is_outer = is_last and slot == len(branch.keys)
                pieces = self._written(leaf, full=appended and is_outer)
                found.append((slot, pieces, self._kept(children[slot], pieces)))
            self._write(whole)
            for slot, leaf, _ in whole:
                children[slot] = self._kept(children[slot], [(None, leaf)])[0]
        for slot, pieces, kept in reversed(found):
            replace_child(branch, slot, pieces)
            children[slot : slot + len(kept)] = kept

    def _page_of(self, leaf: Node) -> bytes | None:
        """The page of a leaf that stays one, under the number that it has; else None."""
        tree = self.tree
        if len(leaf.keys) > tree.leaf_limit:
            tree.measure(leaf)
        if not leaf.page or len(leaf.keys) > tree.leaf_limit:
            return None
        page = encode_node(TreeKind.RAW, leaf)
        return page if self.flush.fits(page) else None

    def _write(self, leaves: Sequence[tuple[int, Node, bytes]]) -> None:
        """Write leaves that have a page each, all at once: it costs half of what one by one does."""
        if not leaves:
            return
        numbers = [leaf.page for _, leaf, _ in leaves]
        self._note_rewritten(numbers)
        locations = self.flush.writer.put_many(
            numbers, [page for _, _, page in leaves], self.tree.id
        )
        for (_, leaf, _), location in zip(leaves, locations, strict=True):
            leaf.location = location
            leaf.unflushed = False

    def _note_rewritten(self, numbers: Sequence[int]) -> None:
        newest = self.reader.newest
        before = {number: location for number in numbers if (location := newest(number))}
        if before:
            self.transaction.note_rewritten(list(before), list(before.values()))

    def _read(self, branch: Node, runs: Sequence[Run]) -> list[Node]:
        """Leaves to be changed: copies of those in memory, the others read."""
        children, pages = branch.children, branch.pages
        assert children is not None and pages is not None
        wanted: dict[int, int] = {}  # page -> location
        for slot, _, _ in runs:
            child, page = children[slot], pages[slot]
            if child.__class__ is not Node:
                wanted[page] = location = int(child) or self.reader.locate(page)
                if not location:
                    raise CorruptionError(f"page {page} of tree {self.tree.id} is missing")
        read = {}
        if wanted:
            payloads = self.reader.read_many(list(wanted), list(wanted.values()))
            for (page, location), payload in zip(wanted.items(), payloads, strict=True):
                read[page] = leaf = decode_node(TreeKind.RAW, payload, page, location)
                if leaf.level:
                    raise CorruptionError(f"page {page}: a branch where a leaf should be")
        return [read.get(pages[slot]) or copied(children[slot], None) for slot, _, _ in runs]

    def _change(self, leaf: Node, start: int, end: int) -> bool:
        """Make the changes from `start` to before `end` in a leaf; whether they were appended to it."""
        before = len(leaf.keys)
        keys, values = self.keys[start:end], self.values[start:end]
        appended = change_leaf(self.tree, leaf, keys, values, deletes=self.deletes)
        self.added += len(leaf.keys) - before
        if is_thin(self.tree, leaf, before):
            self.thin.append(self.keys[start])
        return appended

    def _written(self, leaf: Node, *, full: bool) -> Pieces:
        """A leaf written that was not before, or is too long: in pieces, `full` ones if it has grown at its end."""
        limit = self.tree.leaf_limit
        if leaf.page:
            self._note_rewritten([leaf.page])
        ends = [len(leaf.keys)]
        if len(leaf.keys) > limit:
            ends = cut_ends(len(leaf.keys), limit, full=full, least=1)
        pieces: Pieces = []
        for low, piece in cut_leaf(leaf, ends, owner=None):
            (_, first), *others = self.flush.leaf(piece)
            pieces += (low, first), *others
        return pieces

    def _kept(self, known: Any, pieces: Pieces) -> list[Any]:
        """What to have in the branch for a leaf that was written: where it lies, or the leaf itself if it was
        in memory and there is room for it."""
        cache = self.cache
        if known.__class__ is not Node or not cache.has_room:
            return [node.location for _, node in pieces]
        entry_bytes = (known.bytes or self.transaction.store.leaf_bytes) / max(len(known.keys), 1)
        nodes = [node for _, node in pieces]
        for node in nodes:
            node.bytes = int(entry_bytes * len(node.keys))
            cache.used_bytes += node.bytes
        cache.used_bytes -= known.bytes
        return nodes
