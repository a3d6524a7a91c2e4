"""Which changes of a tree are kept as redo, once they are in copies of its nodes.

A small transaction is committed as what it changed, a large one as the pages that it changed: those are written
once, and nobody has to replay them.  Where many leaves were touched lightly, the pages are many times as long as the
changes, and those are kept after all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from btree import edit
from btree.protocols import Key, Value

if TYPE_CHECKING:
    from btree.tree import Tree

REDO_ENTRIES_MAX = 4096
"""Changes of one tree in one transaction up to which a redo record is kept; beyond, pages are cheaper."""

REDO_SCATTERED_LEAVES_MAX = 1024
"""The same for changes made at once of a few entries in each of many leaves, whose pages are many times as
long as the entries: so many leaves could be filled with them.  Their bytes have a bound of their own."""


def record(tree: Tree, keys: Sequence[Key], values: Sequence[Value] | None, leaves: int) -> None:
    """Keep redo of many entries that went to so many leaves, if it is cheaper than the leaves."""
    redo = tree.redo
    assert redo is not None
    start, count = len(redo), 2 * len(keys)
    if start + count > REDO_ENTRIES_MAX and (
        not _is_scattered(len(keys), leaves, tree.leaf_limit)
        or (start + count) // 2 > REDO_SCATTERED_LEAVES_MAX * tree.leaf_limit
    ):
        tree.transaction.give_up_redo()
        return
    redo.extend([None] * count)
    redo[start::2] = keys
    if values is not None:
        redo[start + 1 :: 2] = values


def weigh(tree: Tree, redo: list[Any]) -> None:
    """Keep redo that has grown long, entry by entry, only if it is cheaper than the leaves."""
    leaves = tree.transaction.copies
    if _is_scattered(len(redo) // 2, leaves, tree.leaf_limit):
        # Again where it is twice as long, or no longer scattered over these leaves.
        tree.redo_max = 2 * min(len(redo), leaves * tree.leaf_limit // edit.SPARSE)
    else:
        tree.transaction.give_up_redo()


def _is_scattered(entries: int, leaves: int, leaf_limit: int) -> bool:
    """Whether changes of so many entries in so many leaves are few for each leaf, and not too many."""
    return (
        entries * edit.SPARSE <= leaves * leaf_limit
        and entries <= REDO_SCATTERED_LEAVES_MAX * leaf_limit
    )
