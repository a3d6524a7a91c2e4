"""Columns of a tree of rows: for scans that need some values of every row and no rows.

A column of everything below one lowest branch is kept with that branch, as lists of a few thousand
values: a scan of two columns of a million rows touches two lists of each, and no row.  Leaves that are
in memory give a column by picking it from their rows; of those that are not only the wanted columns are
decoded, and no node is made.  Two columns of 1M rows of five: 0.10 s to decode from the file, where the
rows took 0.50 s; 10 ms to go through again, where the rows took 40.

The first scan of a tree keeps nothing: values that are dropped at once are made in the processor's cache
again and again, which takes half the time, and a program that asks once has no use for more.

A branch's columns stay right for as long as the branch does: a scan freezes the writer's nodes, so
whoever changes anything below a branch afterwards copies the branch first, and a copy has what are the
columns of earlier versions: the next scan takes over what stands in leaves that have not changed (`carried_columns`).
"""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from btree.carried_columns import carried_over
from btree.codec import KEY_COLUMN
from btree.column_pages import OpenPage, extend, leaves_to_read, picked
from btree.kept_columns import (
    BATCH_ROWS,
    Column,
    Columns,
    Kept,
    Layout,
    Lists,
    Outdated,
    bytes_made_of,
    bytes_of,
    leaves_of,
)
from btree.long_columns import has_long, may_be_long
from btree.node import Node
from btree.order import search_left, search_right
from btree.packed_values import PackedColumn, PackedValues, pack, packed
from btree.protocols import Key, Kind, Value
from btree.stored_columns import StoredColumn, as_it_lies, listed

if TYPE_CHECKING:
    from btree.tree import Tree

_ROWS_FIRST, _FIRST_PASSING = 4096, 128
"""Rows that a scan that may stop soon takes leaf by leaf, and those of its first batch of columns; the next ones have
twice as many each."""

_FEW_ROWS = 512
"""Row ids of a range up to which its leaves are read as such, and stay in memory: others will be near."""

_SAMPLE_VALUES = 32

_MOST = 0.8
"""Of so many of a tree's lowest branches columns are kept: to read the others' takes no longer than to make objects of
packed numbers would."""

Batch = tuple[Sequence[Value], ...]


def column_batches(
    tree: Tree,
    columns: Sequence[int],
    start: int | None = None,
    stop: int | None = None,
    *,
    passing: bool = False,
    stored: bool = False,
) -> Iterator[Batch]:
    """See `Tree.column_batches`."""
    large = tree.has_long  # what has long values is never read as rows, which would have them all
    if start is not None and stop is not None and stop - start <= _FEW_ROWS and not large:
        return _of_rows(tree.batches(start, stop, hi_inclusive=False), columns)
    # The root first: changes that lay over the nodes go into nodes of the writer's own.
    root = tree.root
    if root.children is None:
        return _of_leaf(tree, root, columns, start, stop)
    tree.transaction.freeze()
    tree.visit(descents=1, pages=-1)  # the descent counts a leaf
    again = tree.transaction.scans_again(tree, columns)
    if passing and start is None and stop is None and not large:
        return _passing(tree, root, columns, tree.batches(), again, stored)
    return _batches(tree, root, columns, start, stop, again=again, stored=stored)


def number_batches(tree: Tree, columns: Sequence[int]) -> Iterator[Batch]:
    """See `Tree.number_batches`."""
    root = tree.root
    if root.children is None:
        yield from _of_leaf(tree, root, columns, None, None)
        return
    tree.transaction.freeze()
    tree.visit(descents=1, pages=-1)
    for batch in _batches(tree, root, columns, None, None, again=False, stored=True):
        yield tuple([as_it_lies(column) for column in batch])


def _of_rows(
    batches: Iterable[tuple[list[Key], list[Value]]], columns: Sequence[int]
) -> Iterator[Batch]:
    for keys, rows in batches:
        yield tuple(picked(keys, rows, columns))


def _of_leaf(
    tree: Tree, leaf: Node, columns: Sequence[int], start: int | None, stop: int | None
) -> Iterator[Batch]:
    keys = leaf.keys
    low = 0 if start is None else search_left(keys, start)
    high = len(keys) if stop is None else search_left(keys, stop)
    tree.visit(descents=1)
    if low < high:
        rows = tree.values_of(leaf, low, high, columns)
        yield tuple(picked(keys[low:high], rows, columns))


def _passing(
    tree: Tree,
    root: Node,
    columns: Sequence[int],
    leaves: Iterable[tuple[list[Key], list[Value]]],
    again: bool,
    stored: bool,
) -> Iterator[Batch]:
    """The batches of a scan that may stop soon: unless its columns are kept, it begins leaf by leaf, with rows, since
    these stay in memory."""
    first = next(parts_of(tree, root, None, None), None)

    def batches(start: int | None) -> Iterator[Batch]:
        return _batches(tree, root, columns, start, None, again=again, passing=True, stored=stored)

    if first is not None and _has(first.branch, columns):
        yield from batches(None)
        return
    seen, last = 0, None
    for keys, rows in leaves:
        yield tuple(picked(keys, rows, columns))
        seen, last = seen + len(keys), keys[-1]
        if seen >= _ROWS_FIRST:
            break
    else:
        return
    if last.__class__ is int:
        yield from batches(last + 1)
        return
    for batch in batches(None):
        if seen < len(batch[0]):
            yield tuple([values[seen:] for values in batch]) if seen else batch
        seen = max(0, seen - len(batch[0]))


def _batches(
    tree: Tree,
    root: Node,
    columns: Sequence[int],
    start: int | None,
    stop: int | None,
    *,
    again: bool,
    passing: bool = False,
    stored: bool = False,
) -> Iterator[Batch]:
    """`again`: whether the columns are worth being kept; else, `stored`, they may come as they lie in their pages."""
    # Long values are not kept, nor given by the thousand.
    long = may_be_long(tree.large, columns)
    again = again and not long
    is_first = True
    for part in parts_of(tree, root, start, stop):
        branch = part.branch
        kept = branch.columns
        if kept.__class__ is Outdated:
            kept = carried_over(tree, branch, kept.origin)
        assert kept is None or isinstance(kept, Columns)
        lists, layout = ({}, None) if kept is None or long else (kept.lists, kept.layout)
        tree.visit(pages=len(part.slots))
        is_cut = part.start is not None or part.stop is not None
        wanted = (*columns, KEY_COLUMN) if is_cut else columns
        missing = list(dict.fromkeys([column for column in wanted if column not in lists]))
        found: Iterator[Batch]
        if not missing and layout is not None:
            # Of a branch's batches those that have any of the leaves.
            first = bisect_right(layout.ends, part.slots.start)
            last = bisect_left(layout.ends, part.slots.stop, first)
            found = zip(
                *[_given(lists[column][first : last + 1], stored) for column in wanted], strict=True
            )
        else:
            room = tree.transaction.column_room() if again else 0
            assert branch.children is not None
            if is_cut and room <= 0:
                lists, missing, slots = {}, list(dict.fromkeys(wanted)), part.slots
                layout = None
            else:
                slots = range(len(branch.children))
            full = _FIRST_PASSING if passing and is_first and room <= 0 else BATCH_ROWS
            found = _gathered(
                tree, branch, wanted, lists, missing, room, slots, layout, full, stored
            )
            if passing and room > 0:
                found = iter([*found])  # they are kept when the last one is there
        yield from _cut(found, part.start, part.stop) if is_cut else found
        is_first = False
        if missing and again and not _has_any(branch, missing):
            # Nor is there room for the next branch's, unless it can be made.
            again = _has_little(tree, root, missing) and tree.transaction.pack_columns(
                has_numbers=any(_is_number(tree, column) for column in missing)
            )


def _has(branch: Node, columns: Sequence[int]) -> bool:
    kept = branch.columns
    return isinstance(kept, Columns) and all(column in kept.lists for column in columns)


def _has_any(branch: Node, columns: Sequence[int]) -> bool:
    kept = branch.columns
    return isinstance(kept, Columns) and any(column in kept.lists for column in columns)


def _has_little(tree: Tree, root: Node, columns: Sequence[int]) -> bool:
    """Whether columns are kept of too little of a tree for the rest not to matter."""
    kept = [_has(part.branch, columns) for part in parts_of(tree, root, None, None)]
    return sum(kept) < _MOST * len(kept)


def _is_number(tree: Tree, column: int) -> bool:
    """Whether a column's values can be packed, as far as is known."""
    kinds = tree.kinds
    if column == KEY_COLUMN or not kinds:
        return True
    return column < len(kinds) and kinds[column] in (Kind.INTEGER, Kind.REAL)


def _given(batches: Iterable[Kept], stored: bool) -> Iterator[Sequence[Value]]:
    """Kept columns as a scan gives them."""
    for column in batches:
        if isinstance(column, Column):
            yield column
        else:
            yield StoredColumn.of(column) if stored else column.tolist()


class Part(NamedTuple):
    """Slots of a lowest branch below which a range of keys lies.  A bound only where it may cut through
    one of them."""

    branch: Node
    slots: range
    start: Key | None
    stop: Key | None


def parts_of(tree: Tree, branch: Node, start: Key | None, stop: Key | None) -> Iterator[Part]:
    """The lowest branches, below `branch` or itself, that have keys from `start` to before `stop`; in order."""
    keys = branch.keys
    assert branch.children is not None
    first = 0 if start is None else search_right(keys, start)
    last = len(keys) if stop is None else search_left(keys, stop)
    if branch.level == 1:
        if first <= last:
            yield Part(branch, range(first, last + 1), start, stop)
        return
    for slot in range(first, last + 1):
        child = tree.scanned_child(branch, slot)
        yield from parts_of(
            tree, child, start if slot == first else None, stop if slot == last else None
        )


def _cut(batches: Iterable[Batch], start: int | None, stop: int | None) -> Iterator[Batch]:
    """Batches whose last column is the keys, without it and cut to those within the bounds."""
    for *columns, keys in batches:
        low = 0 if start is None else bisect_left(keys, start)
        high = len(keys) if stop is None else bisect_left(keys, stop)
        if low < high:
            whole = high - low == len(keys)
            yield tuple(columns if whole else [column[low:high] for column in columns])


def _gathered(
    tree: Tree,
    branch: Node,
    columns: Sequence[int],
    lists: Lists,
    missing: list[int],
    room: float,
    slots: range,
    layout: Layout | None,
    full: int = BATCH_ROWS,
    stored: bool = False,
) -> Iterator[Batch]:
    """The batches of some leaves of a branch, of which `lists` has some columns, in this `layout`, and the
    `missing` ones have to be fetched; these are kept with it where there is room, which is to be asked for
    all leaves alone.  A batch is `full` with so many rows, the next ones with more and more."""
    keeping = _Keeping(missing, room, tree) if room > 0 else None
    batch = [Column() for _ in missing]
    opened: list[OpenPage] = []
    rows = decoded = at = 0
    counts: list[int] = []
    ends: list[int] = []
    for slot, leaf in zip(slots, leaves_to_read(tree, branch, slots, missing), strict=True):
        large = False
        if isinstance(leaf, OpenPage):
            opened.append(leaf)
            rows += leaf.rows
            decoded += leaf.rows
            counts.append(leaf.rows)
            if leaf.long_values is not None and any(map(leaf.is_long, missing)):
                keeping, large = None, True
        else:
            extend(batch, missing, opened)
            opened = []
            rows += len(leaf.keys)
            counts.append(len(leaf.keys))
            if has_long(leaf, missing):
                keeping, large = None, True
            leaf_rows = tree.values_of(leaf, 0, len(leaf.keys), missing)
            for column, values in zip(batch, picked(leaf.keys, leaf_rows, missing), strict=True):
                column += values
        if layout is not None:
            is_full = slot + 1 == layout.ends[at]
        else:
            is_full = rows >= full or large or slot + 1 == slots.stop
        if not is_full:
            continue
        full = min(2 * full, BATCH_ROWS)
        ends.append(slot + 1)
        new: dict[int, Sequence[Value]]
        if stored and not batch[0] and (keeping is None or keeping.packs):  # nothing but pages
            new = {number: StoredColumn(opened, number, rows) for number in missing}
        else:
            extend(batch, missing, opened)
            if keeping is not None and decoded and not keeping.packs:
                for column in batch:
                    column.to_stay = True
            new = dict(zip(missing, batch, strict=True))
        kept = {n: next(_given(lists[n][at : at + 1], stored)) for n in columns if n not in new}
        yield tuple([new[n] if n in new else kept[n] for n in columns])
        if keeping is not None and not keeping.take(new, decoded / rows if rows else 0.0):
            keeping = None
        batch = [Column() for _ in missing]
        opened = []
        rows = decoded = 0
        at += 1
    if keeping is not None:
        if layout is None:
            layout = Layout(leaves_of(branch), counts, ends)
        size_bytes = keeping.added_bytes + bytes_made_of(keeping.fresh)
        tree.transaction.keep_columns(branch, keeping.fresh, layout, size_bytes)


class _Keeping:
    """Columns that a scan gathers below a branch, to be kept with it, in so much room."""

    def __init__(self, numbers: Iterable[int], room: float, tree: Tree) -> None:
        self.fresh: Lists = {number: [] for number in numbers}
        self.packs = tree.transaction.packs_columns
        # Of others that is known by trying, which makes objects of them.
        self._packed = {each for each in self.fresh if self.packs and _is_number(tree, each)}
        self._room = room
        self._has_room_for_all = room > tree.transaction.number_room()
        self._has_room_for_packed = room > tree.transaction.number_room() / 2
        self._bytes = 0.0

    @property
    def added_bytes(self) -> int:
        """What is kept takes, but for what was made of it."""
        return int(self._bytes)

    def take(self, batch: Mapping[int, Sequence[Value]], share: float) -> bool:
        """Keep a batch; `share`: of how many of its values nobody else has the objects.  False if there is not enough room
        for all that there is by now, or nothing of it is to be kept."""
        for number in [*self.fresh]:
            values = batch[number]
            made = self._pack(number, values)
            if made is not None:
                self._bytes += bytes_of(made)
                self.fresh[number].append(made)
            elif self._has_room_for_all:
                self._take_objects(number, values, share)
            else:
                del self.fresh[number]  # what was kept of it before is little, and still counts
        return bool(self.fresh) and self._bytes < self._room

    def _pack(self, number: int, values: Sequence[Value]) -> PackedColumn | PackedValues | None:
        if number in self._packed:
            return packed(as_it_lies(values))
        if not self.packs or not self._has_room_for_packed:
            return None
        return pack(listed(values))

    def _take_objects(self, number: int, values: Sequence[Value], share: float) -> None:
        column = values if isinstance(values, Column) else Column(listed(values))
        self._bytes += sys.getsizeof(column)
        if share:  # the values are nobody else's
            own = share * getattr(column, "own_share", 1)
            column.value_bytes = _bytes_of_values(column) * own
            self._bytes += column.value_bytes
        self.fresh[number].append(column)


def _bytes_of_values(values: Column) -> float:
    """About what the values themselves take."""
    sample = values[:: len(values) // _SAMPLE_VALUES + 1]
    return sum(map(sys.getsizeof, sample)) * len(values) / max(len(sample), 1)
