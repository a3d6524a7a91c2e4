"""Kept columns carried over to a branch that was copied and changed.

    leaves before    a b | c d e | f g        | ends a batch
    leaves now       a b | c X e | f g        the first and the last batch stay as they are, with all that was made
                                              of them; the second is put together of c, X and e

A batch of which a leaf is another is put together from the values that stay and from the changed leaves.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import compress, count
from operator import ne
from typing import TYPE_CHECKING

from btree.column_pages import OpenPage, extend, leaves_to_read, picked
from btree.kept_columns import (
    BATCH_ROWS,
    Column,
    Columns,
    Kept,
    Layout,
    Lists,
    bytes_made_of,
    leaves_of,
)
from btree.long_columns import has_long
from btree.node import Node
from btree.packed_values import PackedColumn, PackedValues, pack, packed
from btree.protocols import Value

if TYPE_CHECKING:
    from btree.tree import Tree

CHANGED_SHARE = 4
"""One of so many leaves below a branch may be another before its columns are fetched anew."""


def carried_over(tree: Tree, branch: Node, before: Columns) -> Columns | None:
    """The columns of a branch that was copied and changed, from those of `before`.  None, and no columns any more, if
    too many leaves are others."""
    branch.columns = None
    old = [
        (leaf.location or leaf) if isinstance(leaf, Node) else leaf for leaf in before.layout.leaves
    ]
    new = leaves_of(branch)
    runs = _runs(old, new)
    if sum([stop - start for is_old, start, stop in runs if not is_old]) * CHANGED_SHARE > len(new):
        return None
    carrying = _Carrying(tree, branch, before)
    for is_old, start, stop in runs:
        if is_old:
            carrying.take_over(start, stop)
        elif not carrying.read(start, stop):
            return None
    branch.columns = made = carrying.columns(new)
    return made


class _Carrying:
    """The new batches, from leaf to leaf."""

    def __init__(self, tree: Tree, branch: Node, before: Columns) -> None:
        self._tree = tree
        self._branch = branch
        self._before = before
        self._numbers = list(before.lists)
        self._lists: Lists = {number: [] for number in self._numbers}
        self._counts: list[int] = []
        self._ends: list[int] = []
        self._codes = {
            number: column.typecode
            for number, batches in before.lists.items()
            for column in batches[:1]
            if isinstance(column, PackedColumn)
        }
        self._packed = {
            number
            for number, batches in before.lists.items()
            if any(isinstance(column, PackedValues) for column in batches[:1])
        }
        self._begun: list[Column | PackedColumn] = []  # a batch that is being put together
        self._stale = set(range(len(before.layout.ends)))

    def take_over(self, start: int, stop: int) -> None:
        """What stands in leaves that were at `start` to `stop`."""
        before, layout = self._before, self._before.layout
        while start < stop:
            at = bisect_right(layout.ends, start)
            first, last = layout.ends[at - 1] if at else 0, layout.ends[at]
            if start == first:
                self._end_batch()
            if start == first and last <= stop:
                for number in self._numbers:
                    self._lists[number].append(before.lists[number][at])
                self._stale.discard(at)
            else:
                last = min(last, stop)
                low = sum(layout.counts[first:start])
                high = low + sum(layout.counts[start:last])
                batch = self._batch()
                for place, number in enumerate(self._numbers):
                    old_column = before.lists[number][at]
                    self._extend(place, old_column[low:high])
                    column = batch[place]
                    if isinstance(column, Column):
                        column.shared = getattr(old_column, "shared", False)
            self._counts += layout.counts[start:last]
            if not self._begun:
                self._ends.append(len(self._counts))
            start = last

    def read(self, start: int, stop: int) -> bool:
        """What leaves have that are now at `start` to `stop`; False if a value is so large that it has a page of its own."""
        numbers, tree = self._numbers, self._tree
        for leaf in leaves_to_read(tree, self._branch, range(start, stop), numbers):
            batch = self._batch()
            found: list[Sequence[Value]]
            if isinstance(leaf, OpenPage):
                if leaf.long_values is not None and any(map(leaf.is_long, numbers)):
                    return False
                made = [Column() for _ in numbers]
                extend(made, numbers, [leaf])
                found = [*made]
                self._counts.append(leaf.rows)
            elif has_long(leaf, numbers):
                return False
            else:
                rows = tree.values_of(leaf, 0, len(leaf.keys), numbers)
                found = [*picked(leaf.keys, rows, numbers)]
                self._counts.append(len(leaf.keys))
            for place, values in enumerate(found):
                self._extend(place, values)
            if len(batch[0]) > 2 * BATCH_ROWS:
                self._end_batch()
        return True

    def columns(self, leaves: list[object]) -> Columns:
        """All of them; `leaves` are those of the branch now."""
        self._end_batch()
        before = self._before
        gone = {
            number: [before.lists[number][at] for at in self._stale] for number in self._numbers
        }
        size_bytes = before.bytes - bytes_made_of(gone)
        return Columns(
            self._lists, Layout(leaves, self._counts, self._ends), size_bytes, before.claim
        )

    def _batch(self) -> Sequence[Column | PackedColumn]:
        if not self._begun:
            self._begun = [
                PackedColumn(self._codes[number]) if number in self._codes else Column()
                for number in self._numbers
            ]
        return self._begun

    def _extend(self, place: int, values: Sequence[Value]) -> None:
        """Put values behind those of a column of the batch: of numbers that are packed, as long as all are of one kind."""
        column = self._begun[place]
        if isinstance(column, Column):
            column += values
            return
        more = packed(values)
        if more is None or (more.typecode == "d") != (column.typecode == "d"):
            self._begun[place] = Column([*column, *values])
        elif more.itemsize == column.itemsize:
            column += more
        else:
            code = max(column, more, key=lambda each: each.itemsize).typecode
            self._begun[place] = PackedColumn(code, [*column, *more])

    def _end_batch(self) -> None:
        if self._begun:
            for number, column in zip(self._numbers, self._begun, strict=True):
                made: Kept | None = None
                if number in self._packed:
                    made = pack(column) or packed(column)
                self._lists[number].append(column if made is None else made)
            self._begun = []
            self._ends.append(len(self._counts))


def _runs(old: list[object], new: list[object]) -> list[tuple[bool, int, int]]:
    """A sequence of leaves as runs of leaves that were there before, by their slots then, and of others, by theirs now."""
    runs: list[tuple[bool, int, int]] = []
    kept = 0
    if len(old) == len(new):
        changes = [(at, at + 1, at, at + 1) for at in compress(count(), map(ne, old, new))]
    else:
        most = min(len(old), len(new))
        head = next(compress(count(), map(ne, old, new)), most)
        tail = next(compress(count(), map(ne, reversed(old), reversed(new))), most)
        tail = min(tail, most - head)
        changes = [(head, len(old) - tail, head, len(new) - tail)]
    for start, stop, now_start, now_stop in changes:
        runs += [(True, kept, start), (False, now_start, now_stop)]
        kept = stop
    runs.append((True, kept, len(old)))
    return runs
