"""Write transactions larger than memory: changed leaves are written before the commit.

A spilled leaf gets a page id of its own, so that nothing but this transaction's branches leads to it
and a rollback leaves only dead bytes.  It is clean then, and can be evicted like any other; touched
again, it is copied again.  Only leaves that this transaction made are spilled, and while savepoints
are open only those made since the newest of them, for an older root may still be wanted: the others go when that
savepoint has gone.  So that these are few, a savepoint begins with a spill where half of the room is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from btree.edit import own_child, replace_child
from btree.flush import Flush
from btree.node import Node, Owner
from btree.tree import Tree

if TYPE_CHECKING:
    from btree.disk_transaction import DiskTransaction


class Spill:
    """One round of early writing."""

    def __init__(self, transaction: DiskTransaction, flush: Flush) -> None:
        self.transaction = transaction
        self.flush = flush
        self.left = 0.0
        """Bytes of memory of changed leaves that a savepoint may still want."""
        self.left_number = 0
        """The latest token of those."""
        self._mark, self._wanted_before = transaction.mark, transaction.wanted_before

    def tree(self, tree: Tree) -> None:
        """Write and let go the changed leaves of a tree, but for the one that ascending keys go to."""
        if tree.root.children is not None and tree.root.unflushed:
            self.flush.start(tree.snapshot_state())
            self._branch(tree, tree.owned_root())
            tree.large |= self.flush.found_large

    def _branch(self, tree: Tree, branch: Node) -> None:
        children = branch.children
        assert children is not None
        if branch.level > 1:
            for slot, child in enumerate(children):
                if child.__class__ is Node and child.unflushed:
                    self._branch(tree, own_child(tree, branch, slot))
            return
        for slot in range(len(children) - 1, -1, -1):
            child = children[slot]
            if child.__class__ is not Node or child is tree.tail or not child.unflushed:
                continue
            owner = child.owner
            if owner.__class__ is not Owner or owner.writer is not self._mark:
                continue  # not this transaction's alone
            if owner.number >= self._wanted_before:
                self._leaf(tree, branch, slot, child)
            else:
                self.left += self.transaction.entry_bytes(tree) * len(child.keys)
                self.left_number = max(self.left_number, owner.number)

    def _leaf(self, tree: Tree, branch: Node, slot: int, leaf: Node) -> None:
        tree.free(leaf.page)
        leaf.page = 0
        pieces = self.flush.leaf(leaf)
        replace_child(branch, slot, pieces)
        children = branch.children
        assert children is not None
        for at, (_, piece) in enumerate(pieces, slot):
            piece.owner = None
            children[at] = piece.location
