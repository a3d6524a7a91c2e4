"""Pages of leaves written anew under the numbers that they have, and leaves taken away, without their nodes.

A page goes to the log before the commit.  What leads to its new place are this transaction's branches alone:
whoever asks for the page by its number gets the committed one (`Writer.locate`).  A rollback to a savepoint
puts the older pages back behind the newer ones (see `DiskTransaction.rewrite_pages`), any other leaves only
dead bytes.

Pages are written some dozens at a time, which halves the work for each.  In between nothing but `put` may
change the tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from btree import edit
from btree.flush import OVERFULL
from btree.node import Node
from btree.order import search_right
from btree.protocols import Key
from btree.rewritten_leaf import Place, RewrittenLeaf

if TYPE_CHECKING:
    from btree.disk_transaction import DiskTransaction
    from btree.tree import Tree


LEAVES_MIN = 64
ROWS_MIN = 256
"""At least this many leaves with changes, and this many changed rows, are needed for pages to be written; fewer are changed
as nodes: redo is shorter than their pages."""

LONG_ROWS_MIN = 8
"""The same of rows with long values, which stand in redo and not in their leaves."""

SPARSE = 32
"""With fewer rows changed than one in so many of their leaves, pages are written only the first time, or where there is no
room for all of their nodes: these take time to be made, but from then on such changes cost their redo, where pages fill
the file each time.  Nodes without room would be written as well, and made again the next time."""


class RewrittenPages:
    """The pages of one statement's changes to a tree."""

    def __init__(self, tree: Tree, transaction: DiskTransaction) -> None:
        self._tree = tree
        self._transaction = transaction
        self._reader = transaction.reader
        self._bytes_max = transaction.store.page_bytes * OVERFULL
        self._branch: Node | None = None  # owned, the latest that was changed
        self._scanned: Node | None = None  # the branch that it stands for
        self._pages: list[int] | None = None  # its children's, as long as they are the same ones
        self._waiting: list[tuple[Node, Place, bytes | bytearray]] = []
        self._in_place: list[tuple[Node, RewrittenLeaf, int, bytes]] = []

    def is_worth(
        self, leaves: int, rows: int, *, share: float = 1.0, keeps_rows: bool = False
    ) -> bool | None:
        """Whether pages are written for changes of so many rows in so many leaves; None as long as these are
        too few to say so.  If they are, there is no redo from then on.  `share`: of the rows that are gone through they
        were found in so many.  `keeps_rows`: redo has the rows."""
        tree, known = self._tree, self._transaction.store.cache.rewritten
        if keeps_rows and tree.large and rows >= LONG_ROWS_MIN:
            self._transaction.give_up_redo()
            tree.note_rewritten(0)
            return True
        dense = rows * SPARSE >= leaves * tree.leaf_limit
        if leaves < LEAVES_MIN or not (dense or rows >= ROWS_MIN):
            return None
        if not dense:
            if tree.id in known and self._has_room(leaves / share):
                return False
            known.add(tree.id)
        self._transaction.give_up_redo()
        tree.note_rewritten(0)
        return True

    def _has_room(self, leaves: float) -> bool:
        """Whether a transaction may hold the nodes of so many more leaves."""
        tree, transaction = self._tree, self._transaction
        if tree.id not in transaction.store.cache.entry_bytes:
            leaf = tree.root
            while leaf.children is not None:
                leaf = tree.scanned_child(leaf, 0)
            transaction.measure(tree, leaf)
        return leaves * tree.leaf_limit * transaction.entry_bytes(tree) <= transaction.room_bytes()

    def locations(self, children: Sequence[Any], pages: Sequence[int]) -> list[int]:
        """`location` of some children."""
        location, locate = self.location, self._reader.locate
        return [
            locate(page) if child == 0 else location(child, page)
            for child, page in zip(children, pages, strict=True)
        ]

    def location(self, child: Any, page: int) -> int:
        """Where the page of a leaf lies that says what the leaf does; 0 if none does."""
        if child.__class__ is not Node:
            # A packed leaf is not an int, but knows where it is from as a node does.
            return int(child) or self._reader.locate(page)
        if child.unflushed or child.page != page:
            return 0
        return child.location or self._reader.locate(page)

    def put(self, place: Place, payload: bytes | bytearray) -> bool:
        """Have a leaf's page written anew; False if it has to be changed as a node."""
        if len(payload) > self._bytes_max:
            return False
        branch = self._owned(place)
        if branch is None:
            return False
        self._waiting.append((branch, place, payload))
        return True

    def put_in_place(self, leaf: RewrittenLeaf, length: int, tail: bytes) -> bool:
        """The same for a page that has been changed where it was read: `length` bytes of it, and a tail."""
        if length + len(tail) > self._bytes_max:
            return False
        branch = self._owned(leaf)
        if branch is None:
            return False
        self._in_place.append((branch, leaf, length, tail))
        return True

    def write(self) -> None:
        """Write what was put."""
        if self._in_place:
            branches, leaves, lengths, tails = zip(*self._in_place, strict=True)
            self._in_place = []
            found = self._transaction.rewrite_in_place(
                [leaf.page for leaf in leaves],
                [leaf.place for leaf in leaves],
                lengths,
                tails,
                [leaf.location for leaf in leaves],
                self._tree.id,
            )
            for branch, leaf, location in zip(branches, leaves, found, strict=True):
                branch.children[leaf.slot] = location
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        locations = self._transaction.rewrite_pages(
            [place.page for _, place, _ in waiting],
            [payload for _, _, payload in waiting],
            [place.location for _, place, _ in waiting],
            self._tree.id,
        )
        for (branch, place, _), location in zip(waiting, locations, strict=True):
            assert branch.children is not None
            branch.children[place.slot] = location

    def forget(self) -> None:
        """The tree is changed by other means now: branches may be split, or go."""
        self.write()
        self._branch = None

    def _owned(self, place: Place) -> Node | None:
        """The branch above a leaf, owned, with the leaf in the slot where it was; None if it is there no
        more, or is another one."""
        tree, old = self._tree, place.branch
        assert old is not None
        branch = self._branch
        if (
            branch is None
            or self._scanned is not old
            or branch.pages is not self._pages
            or branch.owner is not tree.token
        ):
            branch = self._branch_above(place.first_key())[1]
            if branch.pages != old.pages:
                return None
            self._branch, self._scanned, self._pages = branch, old, branch.pages
        assert branch.children is not None
        child = branch.children[place.slot]
        if child is place.child or self.location(child, place.page) == place.location:
            return branch
        return None

    def _branch_above(self, key: Key) -> tuple[edit.Path, Node]:
        """The owned branch above the leaf of a key, and the path to it."""
        tree = self._tree
        node = tree.owned_root()
        path: edit.Path = []
        while node.level > 1:
            slot = search_right(node.keys, key)
            path.append((node, slot))
            node = edit.own_child(tree, node, slot)
        return path, node

    # -- leaves that go ------------------------------------------------------------------------------

    def take_away(self, leaves: Sequence[Place]) -> None:
        """Take whole leaves out of the tree, ascending, none of them changed before."""
        self.forget()
        tree, at = self._tree, 0
        while at < len(leaves):
            if tree.root.children is None:
                tree.delete_many(leaves[at].keys())
                at += 1
                continue
            path, branch = self._branch_above(leaves[at].first_key())
            slots: list[int] = []
            start = at
            while at < len(leaves):
                slot = search_right(branch.keys, leaves[at].first_key())
                if not self._stands_in(branch, slot, leaves[at]):
                    break
                slots.append(slot)
                at += 1
            if at == start:  # it was merged with a neighbour meanwhile
                tree.delete_many(leaves[at].keys())
                at += 1
                continue
            for leaf in leaves[start:at]:
                tree.free(leaf.page)
            tree.note_rewritten(sum([leaf.rows for leaf in leaves[start:at]]))
            edit.remove_children(tree, path, branch, slots)

    def _stands_in(self, branch: Node, slot: int, leaf: Place) -> bool:
        assert branch.children is not None and branch.pages is not None
        return (
            branch.pages[slot] == leaf.page
            and self.location(branch.children[slot], leaf.page) == leaf.location
        )
