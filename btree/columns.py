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
columns of earlier versions (`Outdated`): the next scan takes over what stands in leaves that have not changed.
They count against the cache's budget, and the sweep takes them away as it does leaves.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress, count
from operator import itemgetter, ne
from typing import TYPE_CHECKING, NamedTuple

from btree.codec import KEY_COLUMN
from btree.column_pages import OpenPage, joined
from btree.node import LargeValues, Node
from btree.order import search_left, search_right
from btree.protocols import Key, Value

if TYPE_CHECKING:
    from btree.tree import Tree

BATCH_ROWS = 2048
"""Rows from which on a batch is full; it ends with a leaf."""

_ROWS_FIRST, _FIRST_PASSING = 4096, 128
"""Rows that a scan that may stop soon takes leaf by leaf, and those of its first batch of columns; the next ones have
twice as many each."""

_PAGES_AHEAD = 16
"""Leaves that are read at once, with one call of the system where they lie together."""

_FEW_ROWS = 512
"""Row ids of a range up to which its leaves are read as such, and stay in memory: others will be near."""

_SAMPLE_VALUES = 32

CHANGED_SHARE = 4
"""One of so many leaves below a branch may be another before its columns are fetched anew."""

Batch = tuple[list[Value], ...]


class Column(list[Value]):
    """A batch's values of one column.

    Who reads it may have it keep what was made of it, for the next one who reads it: while the column
    itself is kept, and where there is room.

    `shared`: whether equal values have been made one object.  A batch that takes the place of one where they were
    counts as such, too.  `to_stay`: it was just decoded and will be kept, if there still is room when the scan is
    through what lies below its branch; what is made of it now finds its values in the processor's cache.  `classes`: those
    of its values without NULL, `own_share`: of how many of them it has objects of its own, if somebody has looked."""

    __slots__ = (
        "_derived",
        "classes",
        "derived_bytes",
        "kept_in",
        "own_share",
        "shared",
        "to_stay",
        "value_bytes",
    )

    kept_in: Columns
    shared: bool
    to_stay: bool
    classes: set[type]
    own_share: float
    value_bytes: float
    derived_bytes: int
    _derived: dict[str, object]

    @property
    def is_kept(self) -> bool:
        """Whether it is kept in memory."""
        return getattr(self, "kept_in", None) is not None

    @property
    def is_to_stay(self) -> bool:
        """Whether it is kept in memory, or will be."""
        return self.is_kept or getattr(self, "to_stay", False)

    def derived(self, name: str) -> object:
        """What was kept under the name, else None."""
        try:
            return self._derived.get(name)
        except AttributeError:
            return None

    def keep(self, name: str, value: object, size_bytes: int) -> None:
        """Keep what was made of the column, and takes so much memory."""
        columns: Columns | None
        try:
            columns = self.kept_in
        except AttributeError:  # it may be kept once the scan that makes it is through
            columns = None
        if columns is not None and not columns.grow(size_bytes):
            return
        try:
            self._derived[name] = value
            self.derived_bytes += size_bytes
        except AttributeError:
            self._derived = {name: value}
            self.derived_bytes = size_bytes

    def shed(self, share: float) -> None:
        """That share of its values have become other columns' objects, and take no memory here any more."""
        self.own_share = 1 - share
        if not self.is_kept:
            return  # it counts as that when it is
        size_bytes = int(getattr(self, "value_bytes", 0) * share)
        if size_bytes > 0 and self.kept_in.grow(-size_bytes):
            self.value_bytes -= size_bytes


class Layout(NamedTuple):
    """How the leaves below a branch lie in a column's batches."""

    leaves: list[object]
    """What tells each of them from any other: see `leaves_of`."""

    counts: list[int]
    """Their rows."""

    ends: list[int]
    """Of each batch the slot behind its last leaf."""


class Columns:
    """Columns of all leaves below a branch: per column the same number of lists, of the same lengths.

    `claim` is asked before it grows."""

    __slots__ = ("bytes", "claim", "layout", "lists")

    def __init__(
        self,
        lists: dict[int, list[Column]],
        layout: Layout,
        size_bytes: int,
        claim: Callable[[int], bool],
    ) -> None:
        self.lists = lists
        self.layout = layout
        self.bytes = size_bytes
        self.claim = claim
        for batches in lists.values():
            for column in batches:
                column.kept_in = self

    def grow(self, size_bytes: int) -> bool:
        """Take more memory, if there is room, or less."""
        if not self.claim(size_bytes):
            return False
        self.bytes += size_bytes
        return True

    @property
    def origin(self) -> Columns:
        """The columns that take the memory."""
        return self

    def outdated(self) -> Outdated:
        """What a copy of the branch has, whose leaves may become others."""
        return Outdated(self)


class Outdated:
    """In the place of columns: what were those of the branch that this one is a changed copy of."""

    __slots__ = ("origin",)

    def __init__(self, columns: Columns) -> None:
        self.origin = columns

    @property
    def bytes(self) -> int:
        """About what they take in memory."""
        return self.origin.bytes

    def outdated(self) -> Outdated:
        """The same for a copy of the copy."""
        return self


def column_batches(
    tree: Tree,
    columns: Sequence[int],
    start: int | None = None,
    stop: int | None = None,
    *,
    passing: bool = False,
) -> Iterator[Batch]:
    """See `Tree.column_batches`."""
    if start is not None and stop is not None and stop - start <= _FEW_ROWS:
        return _of_rows(tree.batches(start, stop, hi_inclusive=False), columns)
    # The root first: changes that lay over the nodes go into nodes of the writer's own.
    root = tree.root
    if root.children is None:
        return _of_rows(tree.batches(start, stop, hi_inclusive=False), columns)
    tree.transaction.freeze()
    tree.visit(descents=1, pages=-1)  # the descent counts a leaf
    if passing and start is None and stop is None:
        return _passing(tree, root, columns, tree.batches())
    return _batches(tree, root, columns, start, stop)


def _of_rows(
    batches: Iterable[tuple[list[Key], list[Value]]], columns: Sequence[int]
) -> Iterator[Batch]:
    for keys, rows in batches:
        yield tuple(picked(keys, rows, columns))


def _passing(
    tree: Tree,
    root: Node,
    columns: Sequence[int],
    leaves: Iterable[tuple[list[Key], list[Value]]],
) -> Iterator[Batch]:
    """The batches of a scan that may stop soon: unless its columns are kept, it begins leaf by leaf, with rows, since
    these stay in memory."""
    first = next(parts_of(tree, root, None, None), None)
    if first is not None and _has(first.branch, columns):
        yield from _batches(tree, root, columns, None, None, passing=True)
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
        yield from _batches(tree, root, columns, last + 1, None, passing=True)
        return
    for batch in _batches(tree, root, columns, None, None, passing=True):
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
    passing: bool = False,
) -> Iterator[Batch]:
    again = tree.transaction.scans_again(tree)
    is_first = True
    for part in parts_of(tree, root, start, stop):
        branch = part.branch
        kept = branch.columns
        if kept.__class__ is Outdated:
            kept = carried_over(tree, branch, kept.origin)
        assert kept is None or isinstance(kept, Columns)
        lists, layout = ({}, None) if kept is None else (kept.lists, kept.layout)
        tree.visit(pages=len(part.slots))
        is_cut = part.start is not None or part.stop is not None
        wanted = (*columns, KEY_COLUMN) if is_cut else columns
        missing = list(dict.fromkeys([column for column in wanted if column not in lists]))
        found: Iterator[Batch]
        if not missing:
            found = zip(*[lists[column] for column in wanted], strict=True)
        else:
            room = tree.transaction.column_room() if again else 0
            assert branch.children is not None
            if is_cut and room <= 0:
                lists, missing, slots = {}, list(dict.fromkeys(wanted)), part.slots
                layout = None
            else:
                slots = range(len(branch.children))
            full = _FIRST_PASSING if passing and is_first and room <= 0 else BATCH_ROWS
            found = _gathered(tree, branch, wanted, lists, missing, room, slots, layout, full)
            if passing and room > 0:
                found = iter([*found])  # they are kept when the last one is there
        yield from _cut(found, part.start, part.stop) if is_cut else found
        is_first = False
        if missing and again and not _has(branch, missing):
            again = False  # nor is there room for the next branch's


def _has(branch: Node, columns: Sequence[int]) -> bool:
    kept = branch.columns
    return isinstance(kept, Columns) and all(column in kept.lists for column in columns)


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
    lists: dict[int, list[Column]],
    missing: list[int],
    room: float,
    slots: range,
    layout: Layout | None,
    full: int = BATCH_ROWS,
) -> Iterator[Batch]:
    """The batches of some leaves of a branch, of which `lists` has some columns, in this `layout`, and the
    `missing` ones have to be fetched; these are kept with it where there is room, which is to be asked for
    all leaves alone.  A batch is `full` with so many rows, the next ones with more and more."""
    fresh: dict[int, list[Column]] = {column: [] for column in missing}
    added_bytes = 0.0
    keep = room > 0
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
        else:
            _extend(batch, missing, opened)
            opened = []
            rows += len(leaf.keys)
            counts.append(len(leaf.keys))
            if leaf.values.__class__ is LargeValues:
                keep, large = False, True
            leaf_rows = tree.values_of(leaf, 0, len(leaf.keys))
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
        _extend(batch, missing, opened)
        if keep and decoded:
            for column in batch:
                column.to_stay = True
        new = dict(zip(missing, batch, strict=True))
        yield tuple([new[n] if n in new else lists[n][at] for n in columns])
        if keep:
            added_bytes += sum(map(sys.getsizeof, batch))
            if decoded:  # the values are nobody else's
                for column in batch:
                    own = decoded / rows * getattr(column, "own_share", 1)
                    column.value_bytes = _bytes_of_values(column) * own
                    added_bytes += column.value_bytes
            for number, column in zip(missing, batch, strict=True):
                fresh[number].append(column)
            if added_bytes >= room:
                keep = False
                fresh.clear()
        batch = [Column() for _ in missing]
        opened = []
        rows = decoded = 0
        at += 1
    if keep:
        if layout is None:
            layout = Layout(leaves_of(branch), counts, ends)
        size_bytes = int(added_bytes) + bytes_made_of(fresh)
        tree.transaction.keep_columns(branch, fresh, layout, size_bytes)


def leaves_to_read(
    tree: Tree, branch: Node, slots: range, columns: Sequence[int]
) -> Iterator[OpenPage | Node]:
    """What stands below a lowest branch, in order: pages of leaves that are not in memory, else nodes."""
    children = branch.children
    assert children is not None
    slot = slots.start
    while slot < slots.stop:
        child = children[slot]
        if child.__class__ is Node:
            yield child
            slot += 1
            continue
        end, stop = slot + 1, min(slots.stop, slot + _PAGES_AHEAD)
        while end < stop and children[end].__class__ is not Node:
            end += 1
        run = range(slot, end)
        for at, page in zip(
            run, tree.transaction.open_pages(tree, branch, run, columns), strict=True
        ):
            yield tree.scanned_child(branch, at) if page is None else page
        slot = end


def _extend(batch: list[Column], columns: Sequence[int], leaves: Sequence[OpenPage]) -> None:
    if leaves:
        for values, column in zip(batch, columns, strict=True):
            values += joined(leaves, column)


def picked(keys: list[Key], rows: list[Value], columns: Sequence[int]) -> list[list[Value]]:
    """The columns of a leaf that is in memory."""
    return [
        keys if column == KEY_COLUMN else list(map(itemgetter(column), rows)) for column in columns
    ]


def _bytes_of_values(values: Column) -> float:
    """About what the values themselves take."""
    sample = values[:: len(values) // _SAMPLE_VALUES + 1]
    return sum(map(sys.getsizeof, sample)) * len(values) / max(len(sample), 1)


def kept_with(
    branch: Node,
    fresh: dict[int, list[Column]],
    layout: Layout,
    size_bytes: int,
    claim: Callable[[int], bool],
) -> None:
    """Put more columns with a branch."""
    known = branch.columns
    if isinstance(known, Columns) and known.layout.ends == layout.ends:
        fresh = {**known.lists, **fresh}
        size_bytes += known.bytes
    branch.columns = Columns(fresh, layout, size_bytes, claim)


def bytes_made_of(lists: dict[int, list[Column]]) -> int:
    """What was made of columns so far takes."""
    made = [column for batches in lists.values() for column in batches]
    return sum([getattr(column, "derived_bytes", 0) for column in made])


# -- columns of earlier versions ----------------------------------------------------------------------------


def leaves_of(branch: Node) -> list[object]:
    """What tells the leaves below a lowest branch from all others, in this version and in those that were made
    of it: where a leaf lies in the file, or the node itself if it was not written yet.  Of a leaf that nobody
    has looked for it is its page's number: a change would have put another in its slot."""
    children, pages = branch.children, branch.pages
    assert children is not None and pages is not None
    return [
        (child.location or child) if child.__class__ is Node else int(child) or -page
        for child, page in zip(children, pages, strict=True)
    ]


def carried_over(tree: Tree, branch: Node, before: Columns) -> Columns | None:
    """The columns of a branch that was copied and changed: batches of which no leaf is another stay as they are,
    with all that was made of them; the others are put together from the leaves that stay and from the changed
    ones.  None, and no columns any more, if those are too many."""
    branch.columns = None
    layout = before.layout
    old = [(leaf.location or leaf) if isinstance(leaf, Node) else leaf for leaf in layout.leaves]
    new = leaves_of(branch)
    runs = _runs(old, new)
    if sum([stop - start for is_old, start, stop in runs if not is_old]) * CHANGED_SHARE > len(new):
        return None
    numbers = list(before.lists)
    assert numbers
    counts: list[int] = []
    ends: list[int] = []
    lists: dict[int, list[Column]] = {number: [] for number in numbers}
    begun: list[Column] = []  # a batch that is being put together
    stale = set(range(len(layout.ends)))

    def end_batch() -> None:
        if begun:
            for number, column in zip(numbers, begun, strict=True):
                lists[number].append(column)
            begun.clear()
            ends.append(len(counts))

    for is_old, start, stop in runs:
        if not is_old:
            for leaf in leaves_to_read(tree, branch, range(start, stop), numbers):
                begun = begun or [Column() for _ in numbers]
                if isinstance(leaf, OpenPage):
                    _extend(begun, numbers, [leaf])
                    counts.append(leaf.rows)
                elif leaf.values.__class__ is LargeValues:
                    return None
                else:
                    rows = tree.values_of(leaf, 0, len(leaf.keys))
                    for column, values in zip(begun, picked(leaf.keys, rows, numbers), strict=True):
                        column += values
                    counts.append(len(leaf.keys))
                if len(begun[0]) > 2 * BATCH_ROWS:
                    end_batch()
            continue
        while start < stop:
            at = bisect_right(layout.ends, start)
            first, last = layout.ends[at - 1] if at else 0, layout.ends[at]
            if start == first:
                end_batch()
            if start == first and last <= stop:
                for number in numbers:
                    lists[number].append(before.lists[number][at])
                stale.discard(at)
            else:
                begun = begun or [Column() for _ in numbers]
                last = min(last, stop)
                low = sum(layout.counts[first:start])
                high = low + sum(layout.counts[start:last])
                for number, column in zip(numbers, begun, strict=True):
                    old_column = before.lists[number][at]
                    column += old_column[low:high]
                    column.shared = getattr(old_column, "shared", False)
            counts += layout.counts[start:last]
            if not begun:
                ends.append(len(counts))
            start = last
    end_batch()
    gone = {number: [before.lists[number][at] for at in stale] for number in numbers}
    size_bytes = before.bytes - bytes_made_of(gone)
    made = Columns(lists, Layout(new, counts, ends), size_bytes, before.claim)
    branch.columns = made
    return made


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
