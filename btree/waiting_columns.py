"""Scans by column of a tree with changes over its nodes: those of a range, or behind all of its rows, stay where they are.

To put one change into the nodes copies a leaf and the branches above it, and the next scan has then to find out, leaf by
leaf, what of a branch's columns it can go on with (`carried_columns`).  A scan of all rows is better off with that, for
the next one finds the columns of what has not changed.  A range of a thousand rows is not: it has the changed rows put
into copies of the batches that they lie in.  What was appended since is a batch of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from btree.codec import KEY_COLUMN
from btree.column_pages import picked
from btree.protocols import Key, Value
from btree.tree import DELETED, Tree
from btree.waiting import Waiting, in_range

if TYPE_CHECKING:
    from btree.overlay import OverlaidTree

_RANGE_MAX = 1 << 15
"""Rows of a range, about, up to which changes are put into its batches: for that, these come with their keys, which for a
larger range would be kept with each branch."""

Batch = tuple[Sequence[Value], ...]


def column_batches(
    tree: OverlaidTree,
    columns: Sequence[int],
    start: int | None,
    stop: int | None,
    *,
    passing: bool,
    stored: bool,
) -> Iterator[Batch]:
    """See `Tree.column_batches`."""
    if not (tree.own or tree.entries):
        nodes = tree.nodes()
        return nodes.column_batches(columns, start, stop, passing=passing, stored=stored)
    top = tree.largest()
    if top is None:  # no table with row ids
        tree.settle()
        return tree.column_batches(columns, start, stop, passing=passing, stored=stored)
    waiting = in_range(tree, start, stop, True, False)
    nodes = tree.nodes()
    if waiting is None:  # there is nothing in the range, or the tree has been settled
        return nodes.column_batches(columns, start, stop, passing=passing, stored=stored)
    if waiting.is_behind(tree.under.nodes_top):
        found = nodes.column_batches(columns, start, stop, passing=passing, stored=stored)
        return chain(found, _rest(waiting, columns))
    if (start is None and stop is None) or _rows(nodes, start, stop, top) > _RANGE_MAX:
        tree.settle()
        return tree.column_batches(columns, start, stop, passing=passing, stored=stored)
    found = nodes.column_batches((*columns, KEY_COLUMN), start, stop, passing=passing)
    return _over(found, waiting, columns)


def _rows(nodes: Tree, start: int | None, stop: int | None, top: int) -> int:
    """About how many rows there are in a range."""
    if start is None:
        return nodes.estimate(start, stop)
    return (top if stop is None else min(stop, top)) - start


def _over(found: Iterator[Batch], waiting: Waiting, columns: Sequence[int]) -> Iterator[Batch]:
    """Batches, of which the last column is the keys, without it and with the changes made."""
    for *batch, keys in found:
        if waiting:
            changes = waiting.changes_to(keys[-1])
            if changes:
                batch = _changed(batch, keys, changes, columns)
        if batch[0]:
            yield tuple(batch)
    yield from _rest(waiting, columns)


def _rest(waiting: Waiting, columns: Sequence[int]) -> Iterator[Batch]:
    """What was put behind the last row of the nodes."""
    rows = [change for change in waiting.changes_to(None) if change[1] is not DELETED]
    if rows:
        keys, values = zip(*rows, strict=True)
        yield tuple(picked([*keys], [*values], columns))


def _changed(
    batch: Sequence[Sequence[Value]],
    keys: Sequence[Key],
    changes: Sequence[tuple[Key, Value]],
    columns: Sequence[int],
) -> list[Sequence[Value]]:
    """Columns with changes made, in the order of their keys."""
    keys, made = [*keys], [[*values] for values in batch]
    slot = 0
    for key, row in changes:
        slot = bisect_left(keys, key, slot)
        is_there = slot < len(keys) and keys[slot] == key
        if row is DELETED:
            if is_there:
                del keys[slot]
                for values in made:
                    del values[slot]
            continue
        keys[slot : slot + is_there] = (key,)
        for values, column in zip(made, columns, strict=True):
            values[slot : slot + is_there] = (key if column == KEY_COLUMN else row[column],)
    return [*made]
