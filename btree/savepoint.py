"""A mark inside of a write transaction: what each of its trees was, to be put back by a rollback to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from btree.overlay import OverlaidTree
from btree.protocols import Key, Value
from btree.tree import Tree
from btree.tree_state import TreeState

if TYPE_CHECKING:
    from btree.transaction import LocalTransaction

TreeMark = tuple[Tree, TreeState | None, int | None, dict[Key, Value]]
"""A tree as it was: its nodes and the length of its redo, or the changes that lay over it."""


class TreeSavepoint:
    """A mark inside a write transaction."""

    __slots__ = (
        "cleared",
        "freed",
        "log",
        "next_tree_id",
        "number",
        "rewritten",
        "spilled",
        "states",
        "trees",
    )

    def __init__(self, transaction: LocalTransaction) -> None:
        self.states = transaction._states
        self.next_tree_id = transaction.next_tree_id
        token = transaction._token
        self.number = 0 if token is None else token.number + 1
        """Of the first token after it: nodes of older ones may be wanted again."""
        self.freed = len(transaction.freed)
        self.cleared = len(transaction.cleared)
        self.log = len(transaction.log)
        self.spilled = len(transaction.spilled)
        self.rewritten = len(transaction.rewritten)
        self.trees: dict[int, TreeMark] = {}
        for tree_id, tree in transaction.open_trees.items():
            if tree.__class__ is OverlaidTree:
                self.trees[tree_id] = tree, None, 0, dict(tree.own)
            else:
                redo_length = None if tree.redo is None else len(tree.redo)
                self.trees[tree_id] = tree, tree.snapshot_state(), redo_length, {}
