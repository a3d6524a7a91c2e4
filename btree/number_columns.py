"""All of a table by column for who packs numbers anew: those of pages come as the arrays that they lie in.

An index that is made sorts the bytes of its integers and REALs.  As objects these took 100 ms a million and column: to be
made, looked at, and laid down as bytes again.  Nothing is kept of such a scan; what another one has kept is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from btree.codec import KEY_COLUMN, KeyForm
from btree.column_codec import array_joined
from btree.column_pages import OpenPage, joined, leaves_to_read, picked
from btree.columns import column_batches, parts_of
from btree.kept_columns import BATCH_ROWS, Columns
from btree.protocols import Value

if TYPE_CHECKING:
    from btree.tree import Tree

Numbers = Sequence[Value]
"""A list, an array (codes b h i q d) or, of consecutive row ids, a range."""


def number_batches(tree: Tree, columns: Sequence[int]) -> Iterator[tuple[Numbers, ...]]:
    """See `Tree.number_batches`."""
    root = tree.root
    if root.children is None:
        return iter(column_batches(tree, columns))
    tree.transaction.freeze()
    tree.visit(descents=1, pages=-1)
    return _batches(tree, columns)


def _batches(tree: Tree, columns: Sequence[int]) -> Iterator[tuple[Numbers, ...]]:
    for branch, slots, _, _ in parts_of(tree, tree.root, None, None):
        tree.visit(pages=len(slots))
        kept = branch.columns
        if isinstance(kept, Columns) and all(column in kept.lists for column in columns):
            yield from zip(*[kept.lists[column] for column in columns], strict=True)
            continue
        opened: list[OpenPage] = []
        rows = 0
        for leaf in leaves_to_read(tree, branch, slots, columns):
            if isinstance(leaf, OpenPage):
                opened.append(leaf)
                rows += leaf.rows
                if rows < BATCH_ROWS:
                    continue
            if opened:
                yield tuple([_numbers(opened, column) for column in columns])
                opened, rows = [], 0
            if not isinstance(leaf, OpenPage):
                yield tuple(picked(leaf.keys, tree.values_of(leaf, 0, len(leaf.keys)), columns))
        if opened:
            yield tuple([_numbers(opened, column) for column in columns])


def _numbers(leaves: Sequence[OpenPage], column: int) -> Numbers:
    """The column's values in all of the leaves."""
    if not any(leaf.gone for leaf in leaves):
        found: Numbers | None
        if column == KEY_COLUMN:
            found = _consecutive(leaves)
        else:
            found = array_joined([leaf.kept[column] for leaf in leaves])
        if found is not None:
            return found
    return joined(leaves, column)


def _consecutive(leaves: Sequence[OpenPage]) -> range | None:
    """Row ids that follow each other through all of the leaves."""
    if any(leaf.key_form is not KeyForm.CONSECUTIVE for leaf in leaves):
        return None
    first = leaves[0].key_part
    last = leaves[-1].key_part + leaves[-1].rows
    # Keys ascend, so that there are as many as rows only if none is missing.
    return range(first, last) if last - first == sum([leaf.rows for leaf in leaves]) else None
