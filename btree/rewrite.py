"""Many rows of a table's tree changed by column, page by page, without making rows of them.

An UPDATE or DELETE of a part of a large table looks at one or two columns of every row, and changes as
many of some.  To make nodes of the leaves for that takes 50 us each, and as much to write them again.
Here a scan opens the pages (see `column_pages`), gives the columns asked for in batches, is told which
rows are meant, and has those leaves' pages changed where they were read, or put together anew (`rewritten_leaf`), and
written (`rewritten_pages`):

    find rows in 2 of 5 columns      6 us a leaf of 200 rows
    set one column of every tenth    7 us, more than half of them the page's checksums and writing

Where something else has found the rows, an index perhaps, only the leaves of their keys are opened (`rows`).

Leaves that lose all of their rows, or most of them, are taken out of their branches, and what was left in them is
put into others at the end.  Those that have changes in memory, or lose long values, or would grow too long, are changed
as nodes (`load`, `delete_many`).  So are all if few leaves are touched: redo is shorter than their pages.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from btree.added import without_column
from btree.build import build, build_rows
from btree.codec import KEY_COLUMN, note_gone
from btree.column_pages import OpenPage, joined, open_pages
from btree.columns import parts_of
from btree.edit import run_end
from btree.errors import CorruptionError
from btree.long_columns import may_be_long
from btree.node import Node
from btree.order import search_left, search_right
from btree.protocols import Key, RowColumns, Value
from btree.rewrite_entries import rewrite_entries
from btree.rewritten_leaf import (
    GONE_SHARE,
    Numbers,
    RewrittenLeaf,
    consecutive_keys,
    numbers_of,
    others_of,
)
from btree.rewritten_pages import RewrittenPages

if TYPE_CHECKING:
    from btree.disk_transaction import DiskTransaction
    from btree.tree import Tree

BATCH_ROWS = 8192
"""Rows of a batch, about: there is some work for each, and what it reads should stay in the cache."""

KEPT_MAX = 1 << 17
"""So many rows of leaves that lose most of theirs are kept in memory, to be put into leaves together."""

_LEAVES_AT_FIRST, _LEAVES_AT_ONCE = 16, 128
_LONG_LEAVES_AT_ONCE = 8

_Values = dict[int, Sequence[Value]]
"""New values of a leaf's chosen rows, by column."""


def runs_of(
    tree: Tree, branch: Node, keys: Sequence[Key], start: int, stop: int
) -> Iterator[tuple[Node, list[int], list[Sequence[Key]]]]:
    """Of the keys from `start` to before `stop`, which ascend and belong below a branch: the lowest branches, the slots
    of their leaves, and each leaf's keys."""
    separators = branch.keys
    assert branch.children is not None
    slots: list[int] = []
    runs: list[Sequence[Key]] = []
    slot = 0
    while start < stop:
        slot = search_right(separators, keys[start], slot)
        upper = (separators[slot],) if slot < len(separators) else None
        end = min(run_end(keys, upper, start), stop)
        if branch.level > 1:
            yield from runs_of(tree, tree.scanned_child(branch, slot), keys, start, end)
        else:
            slots.append(slot)
            runs.append(keys[start:end])
        start = end
        slot += 1
    if slots:
        yield branch, slots, runs


def _moved(positions: Sequence[int], by: int) -> Sequence[int]:
    if isinstance(positions, range):
        return range(positions.start + by, positions.stop + by, positions.step)
    return [position + by for position in positions]


class Batch:
    """Some leaves' rows, or those of them whose keys lie in a range: `lists` has the values of the columns
    that the scan was asked for."""

    __slots__ = (
        "_all_rows",
        "_chosen",
        "_columns",
        "_first",
        "_leaves",
        "_lists",
        "_numbers",
        "_positions",
        "_rewrite",
        "_whole",
        "count",
        "lists",
    )

    def __init__(
        self, rewrite: Rewrite, leaves: list[RewrittenLeaf], columns: Sequence[int]
    ) -> None:
        self._rewrite = rewrite
        self._leaves = leaves
        self._columns = columns
        self.count = self._all_rows = sum([leaf.rows for leaf in leaves])
        self.lists = self._lists = [self._all(column) for column in columns]
        self._first = 0
        self._numbers: dict[int, Numbers | None] = {}
        self._whole: dict[int, Sequence[Value]] = {}
        # Of each leaf, from which of them to which.
        self._chosen: list[tuple[RewrittenLeaf, int, int]] = []
        self._positions: Sequence[int] = ()

    def cut(self, start: Key | None, stop: Key | None) -> None:
        """Leave out what lies before `start`, or from `stop` on."""
        keys = self._all(KEY_COLUMN)
        first = 0 if start is None else search_left(keys, start)
        end = self._all_rows if stop is None else search_left(keys, stop, first)
        if end - first < self._all_rows:
            self._first, self.count = first, end - first
            self.lists = [values[first:end] for values in self._lists]

    def _all(self, column: int) -> Sequence[Value]:
        if column == KEY_COLUMN:
            keys = consecutive_keys(self._leaves)
            if keys is not None:
                return keys
        found: list[Value] = []
        run: list[OpenPage] = []
        for leaf in self._leaves:
            if leaf.opened is not None:
                run.append(leaf.opened)
                continue
            found += joined(run, column)
            run = []
            if column == KEY_COLUMN:
                found += leaf.node.keys
            else:
                rows = self._rewrite.tree.values_of(leaf.node, 0, leaf.rows, (column,))
                found += map(itemgetter(column), rows)
        return found + joined(run, column) if found else joined(run, column)

    def choose(self, positions: Sequence[int]) -> None:
        """Say which rows are meant: ascending places in the lists, at least one; a range if their distances are equal."""
        first = self._first
        if first:
            positions = _moved(positions, first)
        rows = self._all_rows
        if len(positions) == rows:
            positions = range(rows)
        self._positions = positions
        at, count = 0, len(positions)
        chosen = self._chosen = []
        first, step = (positions.start, positions.step) if isinstance(positions, range) else (0, 0)
        for leaf in self._leaves:
            end = leaf.start + leaf.rows
            if end >= rows:
                until = count
            elif step:
                until = -((first - end) // step)
                if until > count:
                    until = count
            else:
                until = bisect_left(positions, end, at)
            if until > at:
                chosen.append((leaf, at, until))
                at = until

    def choose_keys(self, runs: Sequence[Sequence[Key]], known: bool) -> None:
        """Say which rows are meant: of each leaf those with the keys of a run, which are `known` to be there."""
        positions: list[int] = []
        at = 0
        for leaf, run in zip(self._leaves, runs, strict=True):
            slots = leaf.slots_of(run) if known else leaf.slots_there(run)
            if slots:
                leaf.slots = slots
                start = leaf.start
                positions += [start + slot for slot in slots]
                self._chosen.append((leaf, at, at + len(slots)))
                at += len(slots)
        self.count = at
        one_run = bool(positions) and positions[-1] - positions[0] == at - 1
        self._positions = range(positions[0], positions[-1] + 1) if one_run else positions

    def _of(self, column: int) -> Numbers | None:
        """The column as numbers, if all leaves of the batch have it so."""
        if column not in self._numbers:
            opened = [leaf.opened for leaf in self._leaves]
            whole = [page.kept[column] for page in opened if page is not None and not page.gone]
            found = numbers_of(whole) if len(whole) == len(opened) else None
            if found is not None and found.count != self._all_rows:
                raise CorruptionError(
                    f"column {column}: {found.count} values in {self._all_rows} rows"
                )
            self._numbers[column] = found
        return self._numbers[column]

    def _place(self) -> None:
        """Tell the leaves which of their rows are meant."""
        positions = self._positions
        first, step = (positions.start, positions.step) if isinstance(positions, range) else (0, 0)
        for leaf, at, until in self._chosen:
            if leaf.slots is None:
                start, rows = leaf.start, leaf.rows
                if until - at == rows:
                    leaf.slots = range(rows)
                elif step:
                    leaf.slots = range(
                        first + at * step - start, first + until * step - start, step
                    )
                else:
                    leaf.slots = [position - start for position in positions[at:until]]

    def values(self, column: int) -> Sequence[Value]:
        """The values of a column in the chosen rows, `KEY_COLUMN` for their keys."""
        positions = self._positions
        if column in self._columns:
            values = self._lists[self._columns.index(column)]
        else:
            numbers = None if column == KEY_COLUMN else self._of(column)
            if numbers is not None:
                return numbers.at(positions)
            if len(self._chosen) * 2 <= len(self._leaves):
                self._place()
                tree = self._rewrite.tree
                chosen = [leaf.chosen(tree, column) for leaf, _, _ in self._chosen]
                return list(chain.from_iterable(chosen))
            values = self._whole[column] = self._all(column)
        if len(positions) == self._all_rows:
            return values
        if isinstance(positions, range):
            return values[positions.start : positions.stop : positions.step]
        return list(map(values.__getitem__, positions))

    def set(self, columns: Mapping[int, Sequence[Value]], kinds: Mapping[int, set[type]]) -> None:
        """Give the chosen rows other values in some columns; `kinds` are the values' classes."""
        rewrite = self._rewrite
        if not rewrite.by_page(self._chosen, keeps_rows=True):
            self._place()
            for leaf, at, until in self._chosen:
                rewrite.wait(leaf, {column: new[at:until] for column, new in columns.items()})
            return
        written: dict[int, Numbers] = {}
        for column, new in columns.items():
            numbers = self._of(column)
            if numbers is not None and numbers.put(self._positions, new, kinds[column]):
                written[column] = numbers
        if len(written) < len(columns):
            self._place()
        for leaf, at, until in self._chosen:
            if leaf.has_long(columns):
                self._place()
                rewrite.later(leaf, {column: new[at:until] for column, new in columns.items()})
                continue
            kept = leaf.to_write_over(columns) if len(written) == len(columns) else None
            if kept is not None:
                start, end = leaf.start, leaf.start + leaf.rows
                for column, numbers in written.items():
                    numbers.write_over(kept[column], start, end)
                if rewrite.put_in_place(leaf, len(leaf.place[0])):
                    continue
            changed: dict[int, bytes] = {}
            for column, new in columns.items():
                numbers = written.get(column)
                if numbers is not None:
                    changed[column] = numbers.column(leaf.start, leaf.start + leaf.rows)
                elif leaf.opened is not None:
                    if column in self._columns:
                        read: Sequence[Value] | None = self._lists[self._columns.index(column)]
                    else:
                        read = self._whole.get(column)
                    if read is not None and not leaf.opened.gone:
                        leaf.know(column, read[leaf.start : leaf.start + leaf.rows])
                    changed[column] = leaf.with_values(column, new[at:until])
            page = leaf.page_with(rewrite.tree.kind, changed) if leaf.opened is not None else None
            if page is None or not rewrite.put(leaf, page):
                self._place()
                rewrite.later(leaf, {column: new[at:until] for column, new in columns.items()})
        self._numbers.clear()
        self._whole.clear()
        rewrite.batch_done()

    def delete(self) -> None:
        """Take the chosen rows away."""
        rewrite = self._rewrite
        self._place()
        by_page = rewrite.by_page(self._chosen)
        for leaf, _, _ in self._chosen:
            if not by_page:
                rewrite.wait(leaf, None)
            elif not rewrite.take_away(leaf):
                rewrite.later(leaf, None)
        rewrite.batch_done()


class Rewrite:
    """One statement's changes to a tree.  Nothing else may change the tree until it is finished."""

    def __init__(self, tree: Tree, transaction: DiskTransaction) -> None:
        self.tree = tree
        self._transaction = transaction
        self._reader = transaction.reader
        self._written = RewrittenPages(tree, transaction)
        self._by_page: bool | None = None  # not known yet
        self._leaves = self._rows = 0
        self._share = 1.0  # of what is gone through, so much has been
        self._waiting: list[tuple[RewrittenLeaf, _Values | None]] = []
        # What is changed as nodes in the end.
        self._few: list[tuple[list[Key], _Values | None]] = []
        self._later: list[tuple[list[Key], _Values | None]] = []
        # Leaves that go, and the few rows that were left in some of them.
        self._emptied: list[RewrittenLeaf] = []
        self._to_keep: list[RewrittenLeaf] = []
        self._kept_keys: list[Key] = []
        self._kept_rows: list[Value] = []
        self._rows_kept = 0
        self._taken_away = 0  # rows of this batch that pages say are deleted

    # -- reading ---------------------------------------------------------------------------------

    def batches(
        self, columns: Sequence[int], start: Key | None = None, stop: Key | None = None
    ) -> Iterator[Batch]:
        """All rows as they are now, in key order, or those with keys from `start` to before `stop`; of each batch
        some may be changed before the next one."""
        tree = self.tree
        # The root first: changes that lay over the nodes go into nodes of the writer's own.
        root = tree.root
        self._transaction.freeze()
        if root.children is None:
            if root.keys:
                batch = Batch(self, [RewrittenLeaf(None, 0, None, root)], columns)
                batch.cut(start, stop)
                if batch.count:
                    yield batch
            return
        at_once, most = _LEAVES_AT_FIRST, _LEAVES_AT_ONCE
        if tree.large:  # each may have a megabyte of what the caller wants to know
            at_once = most = 1 if may_be_long(tree.large, columns) else _LONG_LEAVES_AT_ONCE
        seen, count = 0, tree.estimate(start, stop)
        for branch, slots, low, high in parts_of(tree, root, start, stop):
            slot = slots.start
            while slot < slots.stop:
                end = min(slot + at_once, slots.stop)
                leaves = self._opened(tree, branch, range(slot, end), columns)
                batch = Batch(self, leaves, columns)
                if batch.count:
                    at_once = max(1, min(BATCH_ROWS * len(leaves) // batch.count, most))
                first, last = slot == slots.start, end == slots.stop
                if (first and low is not None) or (last and high is not None):
                    batch.cut(low, high)
                seen += batch.count
                self._share = min(seen / max(count, 1), 1.0)
                if batch.count:
                    yield batch
                slot = end

    def rows(self, keys: Sequence[Key], *, known: bool = True) -> Iterator[Batch]:
        """See `protocols.Rewrite.rows`."""
        tree = self.tree
        root = tree.root
        self._transaction.freeze()
        if root.children is None:
            batch = Batch(self, [RewrittenLeaf(None, 0, None, root)], ())
            batch.choose_keys([keys], known)
            if batch.count:
                yield batch
            return
        at_once = _LONG_LEAVES_AT_ONCE if tree.large else _LEAVES_AT_ONCE
        seen = 0
        for branch, slots, runs in runs_of(tree, root, keys, 0, len(keys)):
            for at in range(0, len(slots), at_once):
                end = at + at_once
                seen += sum(map(len, runs[at:end]))
                self._share = seen / len(keys)
                batch = Batch(self, self._opened(tree, branch, slots[at:end], ()), ())
                batch.choose_keys(runs[at:end], known)
                if batch.count:
                    yield batch

    def _opened(
        self, tree: Tree, branch: Node, slots: Sequence[int], columns: Sequence[int]
    ) -> list[RewrittenLeaf]:
        assert branch.children is not None and branch.pages is not None
        # Other threads may load some of them meanwhile.
        children = [branch.children[slot] for slot in slots]
        numbers = [branch.pages[slot] for slot in slots]
        locations = self._written.locations(children, numbers)
        there = [at for at, location in enumerate(locations) if location]
        opened: dict[int, OpenPage | None] = {}
        places: dict[int, Any] = {}
        if there:
            pages = [numbers[at] for at in there]
            places = self._transaction.read_in_place(pages, [locations[at] for at in there])
            payloads = [places[page][0] for page in pages]
            wanted = columns if KEY_COLUMN in columns else (KEY_COLUMN, *columns)
            found = open_pages(
                payloads,
                pages,
                wanted,
                tree.kind,
                tree.added,
                as_views=True,
                long_values=self._transaction.long_values(tree),
            )
            opened = dict(zip(there, found, strict=True))
        leaves, rows = [], 0
        for at, slot in enumerate(slots):
            page = opened.get(at)
            node = None if page is not None else tree.scanned_child(branch, slot)
            leaf = RewrittenLeaf(branch, slot, page, node, children[at], locations[at], rows)
            if page is not None:
                leaf.place = places[page.page]
            leaves.append(leaf)
            rows += leaf.rows
        return leaves

    def drop_column(self, before: Tree, column: int, check: Callable[[], None]) -> None:
        """Take a column out of all rows, as they are in the tree `before`, which is frozen."""
        tree = self.tree
        self._transaction.give_up_redo()
        tree.note_rewritten(0)
        tree.large |= tree.large >> 1  # the columns behind it have other numbers now
        for branch, slots, _, _ in parts_of(before, before.root, None, None):
            for slot in range(slots.start, slots.stop, _LEAVES_AT_ONCE):
                check()
                some = range(slot, min(slot + _LEAVES_AT_ONCE, slots.stop))
                as_nodes: list[Node] = []
                for leaf in self._opened(before, branch, some, ()):
                    page = leaf.page_without_column(tree.kind, column) if leaf.opened else None
                    if page is None or not self.put(leaf, page):
                        as_nodes.append(leaf.node or before.scanned_child(branch, leaf.slot))
                self._written.write()
                if as_nodes:
                    self._written.forget()
                for node in as_nodes:
                    rows = before.values_of(node, 0, len(node.keys))
                    without_column(tree, node.keys, rows, column)

    def change_entries(self, gone: Sequence[Key], new: Sequence[Key]) -> bool:
        """See `protocols.Rewrite.change_entries`."""
        return rewrite_entries(self.tree, self._transaction, gone, new)

    def build(self, runs: Iterable[Sequence[Sequence[Value]]]) -> None:
        """See `protocols.Tree.build`; the tree is empty."""
        build(self.tree, self._transaction, runs)

    def build_rows(self, parts: Iterable[RowColumns]) -> None:
        """See `protocols.Tree.build_rows`."""
        build_rows(self.tree, self._transaction, parts)

    # -- writing ---------------------------------------------------------------------------------

    def by_page(
        self, chosen: Sequence[tuple[RewrittenLeaf, int, int]], *, keeps_rows: bool = False
    ) -> bool:
        """Whether changes to so many more leaves are written to their pages; else they have to wait, until all
        of them are known to be few.  `keeps_rows`: they are changes of values, not deletes."""
        if self._by_page is None:
            self._leaves += sum([leaf.opened is not None for leaf, _, _ in chosen])
            self._rows += chosen[-1][2]
            self._by_page = self._written.is_worth(
                self._leaves, self._rows, share=self._share, keeps_rows=keeps_rows
            )
            if self._by_page is not None:
                self._decided()
        return self._by_page is True

    def _decided(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not self._by_page:
            self._few = [(leaf.chosen_keys(), values) for leaf, values in waiting]
            return
        for leaf, values in waiting:
            if not (self._set(leaf, values) if values is not None else self.take_away(leaf)):
                self.later(leaf, values)
        self.batch_done()

    def _set(self, leaf: RewrittenLeaf, values: _Values) -> bool:
        if leaf.opened is None or leaf.has_long(values):
            return False
        page = leaf.page_with(
            self.tree.kind,
            {column: leaf.with_values(column, new) for column, new in values.items()},
        )
        return page is not None and self.put(leaf, page)

    def take_away(self, leaf: RewrittenLeaf) -> bool:
        """Write a leaf's page without the chosen rows; False if it has to be changed as a node."""
        opened = leaf.opened
        if opened is None or opened.long_values is not None:
            return False
        count = len(leaf.slots)
        left = leaf.rows - count
        if left * 4 < self.tree.leaf_limit:
            if self._rows_kept + left > KEPT_MAX:
                return False
            if left:
                self._to_keep.append(leaf)
                self._rows_kept += left
            leaf.place = None  # the pages around it need not stay in memory
            self._emptied.append(leaf)
            return True
        before = opened.gone
        gone = sorted([*leaf.kept_slots(), *before]) if before else list(leaf.slots)
        if len(gone) * GONE_SHARE <= leaf.rows + len(before):
            done = self.put_in_place(leaf, *note_gone(leaf.place[0], before, gone))
        else:
            done = self.put(leaf, leaf.page_without(self.tree.kind, gone))
        if done:
            self._taken_away += count
        return done

    def wait(self, leaf: RewrittenLeaf, values: _Values | None) -> None:
        """Set the values of a leaf's chosen rows, or take these away, once it is known how."""
        if self._by_page is None:
            self._waiting.append((leaf, values))
        else:
            self._few.append((leaf.chosen_keys(), values))

    def later(self, leaf: RewrittenLeaf, values: _Values | None) -> None:
        """The same in its node, when the batch is done."""
        self._later.append((leaf.chosen_keys(), values))

    def put(self, leaf: RewrittenLeaf, payload: bytearray) -> bool:
        """Have a leaf's page written anew; False if it has to be changed as a node."""
        return self._written.put(leaf, payload)

    def put_in_place(self, leaf: RewrittenLeaf, length: int, tail: bytes = b"") -> bool:
        """The same for a page that has been changed where it was read: so many bytes of it, and a tail."""
        return self._written.put_in_place(leaf, length, tail)

    def batch_done(self) -> None:
        """Change as nodes what can't be changed in its page."""
        later, self._later = self._later, []
        if self._to_keep:
            self._keep()
        self._written.write()
        if self._taken_away:
            self.tree.note_rewritten(self._taken_away)
            self._taken_away = 0
        if later:
            self._written.forget()
            self._change(later)

    def _keep(self) -> None:
        """Take what is left in leaves that go, all of a batch's together where their rows are of one width."""
        leaves, self._to_keep = self._to_keep, []
        widths = {len(leaf.opened.kept) for leaf in leaves if leaf.opened is not None}
        for some in [leaves] if len(widths) == 1 else [[leaf] for leaf in leaves]:
            keys, rows = others_of(some)
            self._kept_keys += keys
            self._kept_rows += rows

    def _change(self, changes: Sequence[tuple[list[Key], _Values | None]]) -> None:
        tree, values = self.tree, changes[0][1]
        keys = list(chain.from_iterable([some for some, _ in changes]))
        if values is None:
            tree.delete_many(keys)
            return
        rows = list(map(list, tree.get_many(keys)))
        for column in values:
            new = chain.from_iterable([some[column] for _, some in changes if some is not None])
            for row, value in zip(rows, new, strict=True):
                row[column] = value
        tree.load(keys, list(map(tuple, rows)))

    def finish(self) -> None:
        """Make the changes that have waited."""
        if self._emptied:
            self._written.take_away(self._emptied)
            self.tree.load(self._kept_keys, self._kept_rows)
            self._emptied, self._kept_keys, self._kept_rows, self._rows_kept = [], [], [], 0
        few = [*self._few, *[(leaf.chosen_keys(), values) for leaf, values in self._waiting]]
        self._few, self._waiting = [], []
        if few:
            self._change(few)
