"""Many rows of a TABLE tree changed by column, page by page, without making rows of them.

An UPDATE or DELETE of a part of a large table looks at one or two columns of every row, and changes as
many of some.  To make nodes of the leaves for that takes 50 us each, and as much to write them again.
Here a scan opens the pages (see `column_pages`), gives the columns asked for in batches, is told which
rows are meant, and puts those leaves' pages together anew from the bytes of the columns that stay and
the changed ones.  In a column of fixed width the new values are written over the old ones:

    find rows in 2 of 5 columns      6 us a leaf of 200 rows
    set one column of every tenth    8 us, a half of them the page's checksums and writing

A page goes to the log at once, under the number that it has.  What leads to its new place are this
transaction's branches alone: whoever asks for the page by its number gets the committed one
(`Writer.locate`).  A rollback to a savepoint puts the older pages back behind the newer ones (see
`DiskTransaction.rewrite_page`), any other leaves only dead bytes.

Leaves that have changes in memory, or large values, or would grow too long, or too short, are changed as
nodes (`load`, `delete_many`).  So are all if few leaves are touched: redo is shorter than their pages.
"""

from __future__ import annotations

import struct
import sys
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, compress
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from btree.codec import (
    KEY_COLUMN,
    KeyForm,
    encode_columns_page,
    mask_without,
    not_storable,
    row_id_part,
)
from btree.column_codec import decode_column, encode_column
from btree.column_pages import OpenPage, joined, open_pages
from btree.columns import lowest_branches
from btree.edit import own_child
from btree.errors import CorruptionError
from btree.flush import OVERFULL
from btree.node import Node
from btree.order import search_right
from btree.protocols import Key, Value

if TYPE_CHECKING:
    from btree.disk_transaction import DiskTransaction
    from btree.tree import Tree

LEAVES_MIN = 64
ROWS_MIN = 256
"""So many leaves with changes, and so many changed rows, are needed for pages to be written; fewer are changed
as nodes."""

SPARSE = 32
"""With fewer rows changed than one in so many of their leaves, pages are written only the first time: nodes
take time to be made, but from then on such changes cost their redo, where pages fill the file each time."""

GONE_SHARE = 2
"""Up to one of so many rows of a page may be deleted ones."""

_FIXED: dict[int, tuple[Any, type]] = {
    **{ord(code): (code, int) for code in "bhiq"},
    ord("d"): ("d", float),
}
"""By a column's first byte: its numbers' format and class."""

BATCH_ROWS = 8192
"""Rows of a batch, about: there is some work for each, and what it reads should stay in the cache."""

_NATIVE = sys.byteorder == "little"
_LEAVES_AT_FIRST, _LEAVES_AT_ONCE = 16, 128


_Values = dict[int, Sequence[Value]]
"""New values of a leaf's chosen rows, by column."""


class _Leaf:
    """A leaf of a batch.  `opened`: its page; None if it has to be changed as a node, which is `node` then."""

    __slots__ = (
        "_decoded",
        "branch",
        "child",
        "location",
        "node",
        "opened",
        "rows",
        "slot",
        "slots",
        "start",
    )

    child: Any
    """What stood in the branch for it."""

    def __init__(
        self, branch: Node | None, slot: int, opened: OpenPage | None, node: Any = None
    ) -> None:
        self.branch = branch
        self.slot = slot
        self.location = self.start = 0
        self.opened = opened
        self.node = node
        self.rows = len(node.keys) if opened is None else opened.rows
        self.slots: Any = None  # of the chosen rows
        self._decoded: dict[int, list[Value]] = {}

    def keys(self) -> list[Key]:
        """The keys of all rows."""
        if self.opened is None:
            return self.node.keys  # type: ignore[no-any-return]
        return joined((self.opened,), KEY_COLUMN)

    def chosen_keys(self) -> list[Key]:
        """The keys of the chosen rows."""
        keys = self.keys()
        return keys if len(self.slots) == len(keys) else [keys[slot] for slot in self.slots]

    def kept_slots(self) -> Sequence[int]:
        """The slots of the chosen rows in the page's columns, which have the deleted rows, too."""
        opened = self.opened
        assert opened is not None
        if not opened.gone:
            return self.slots  # type: ignore[no-any-return]
        count = opened.rows + len(opened.gone)
        there = list(compress(range(count), mask_without(opened.gone, count)))
        return [there[slot] for slot in self.slots]

    def chosen(self, tree: Tree, column: int) -> Sequence[Value]:
        """The column's values in the chosen rows."""
        if column == KEY_COLUMN:
            return self.chosen_keys()
        if self.opened is None:
            rows = tree.values_of(self.node, 0, self.rows)
            return [rows[slot][column] for slot in self.slots]
        values = self._all(column)
        return [values[slot] for slot in self.kept_slots()]

    def know(self, column: int, values: Sequence[Value]) -> None:
        """Take a column that has been decoded."""
        self._decoded[column] = list(values)

    def _all(self, column: int) -> list[Value]:
        """The column as the page keeps it."""
        known = self._decoded
        if column not in known:
            assert self.opened is not None
            known[column] = decode_column(self.opened.kept[column])
        return known[column]

    def with_values(self, column: int, values: Sequence[Value]) -> bytes:
        """The bytes of the column with other values in the chosen rows."""
        assert self.opened is not None
        if len(values) == self.rows and not self.opened.gone:
            return _encoded(values)
        new = self._all(column)
        for slot, value in zip(self.kept_slots(), values, strict=True):
            new[slot] = value
        return _encoded(new)

    def page_with(self, columns: Mapping[int, bytes]) -> bytearray | None:
        """The page with other columns; None if its keys are told from one of them."""
        opened = self.opened
        assert opened is not None
        if opened.key_form is KeyForm.COLUMNS and opened.key_part in columns:
            return None
        kept = opened.kept.copy()
        for column, new in columns.items():
            kept[column] = new
        return encode_columns_page(opened.key_form, opened.key_part, kept, opened.gone)

    def page_without(self) -> bytearray:
        """The page without the chosen rows: they are noted as deleted, or left out where that is most of
        what it has."""
        opened = self.opened
        assert opened is not None
        gone, count = list(self.kept_slots()), opened.rows + len(opened.gone)
        if opened.gone:
            gone = sorted([*gone, *opened.gone])
        form, part, kept = opened.key_form, opened.key_part, opened.kept
        if len(gone) * GONE_SHARE <= count:
            return encode_columns_page(form, part, kept, gone)
        mask = mask_without(gone, count)
        if form is not KeyForm.COLUMNS:
            whole = joined((opened._replace(gone=(), rows=count),), KEY_COLUMN)
            form, part = row_id_part(list(compress(whole, mask)))
        kept = [_compressed(column, mask) for column in kept]
        return encode_columns_page(form, part, kept)


def _encoded(values: Sequence[Value]) -> bytes:
    try:
        return encode_column(values)
    except (TypeError, OverflowError, UnicodeError) as error:
        raise not_storable(error) from error


def _compressed(column: bytes, mask: bytearray) -> bytes:
    """A column without the values that the mask leaves out."""
    values = list(compress(decode_column(column), mask))
    fixed = _FIXED.get(column[0])
    if fixed is None or not _NATIVE:
        return _encoded(values)
    return column[:1] + struct.pack(f"{len(values)}{fixed[0]}", *values)


class _Numbers:
    """One column of a batch's leaves that all keep it in the same fixed width: the numbers end to end, as
    they are and to be written over.  What is done with them costs the same for one leaf as for many."""

    __slots__ = ("_bytes", "_code", "_kind", "_numbers", "_width")

    def __init__(self, columns: Sequence[bytes]) -> None:
        first = columns[0][0]
        self._code = bytes((first,))
        form, self._kind = _FIXED[first]
        self._bytes = bytearray().join([column[1:] for column in columns])
        self._numbers: Any = memoryview(self._bytes).cast(form)
        self._width = self._numbers.itemsize

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self._numbers)

    def at(self, positions: Sequence[int]) -> list[Value]:
        """The numbers in some places."""
        numbers = self._numbers
        if len(positions) == len(numbers):
            return numbers.tolist()  # type: ignore[no-any-return]
        return [numbers[position] for position in positions]

    def put(self, positions: Sequence[int], values: Sequence[Value], kinds: set[type]) -> bool:
        """Write numbers over others; False if they are of another kind, or too large."""
        numbers = self._numbers
        if kinds != {self._kind}:
            return False
        try:
            if len(positions) == len(numbers):
                struct.pack_into(f"{len(numbers)}{numbers.format}", self._bytes, 0, *values)
            else:
                for position, value in zip(positions, values, strict=True):
                    numbers[position] = value
        except (ValueError, struct.error):
            return False
        return True

    def column(self, start: int, end: int) -> bytes:
        """The column of a leaf, whose rows are those."""
        width = self._width
        return self._code + self._bytes[start * width : end * width]


def _numbers_of(columns: Sequence[bytes]) -> _Numbers | None:
    """None where the columns are not all numbers of one width."""
    first = columns[0][0]
    if first not in _FIXED or not _NATIVE or any(column[0] != first for column in columns):
        return None
    return _Numbers(columns)


def _consecutive(leaves: Sequence[_Leaf]) -> range | None:
    """The keys of leaves of consecutive row ids that follow each other; None if there are gaps."""
    first = end = None
    for leaf in leaves:
        opened = leaf.opened
        if opened is None or opened.key_form is not KeyForm.CONSECUTIVE or opened.gone:
            return None
        start: int = opened.key_part
        if first is None or end is None:
            first = start
        elif start != end:
            return None
        end = start + opened.rows
    return None if first is None or end is None else range(first, end)


class Batch:
    """Some leaves' rows: `lists` has the values of the columns that the scan was asked for."""

    __slots__ = (
        "_chosen",
        "_columns",
        "_leaves",
        "_numbers",
        "_positions",
        "_rewrite",
        "count",
        "lists",
    )

    def __init__(self, rewrite: Rewrite, leaves: list[_Leaf], columns: Sequence[int]) -> None:
        self._rewrite = rewrite
        self._leaves = leaves
        self._columns = columns
        self.count = sum([leaf.rows for leaf in leaves])
        self.lists = [self._all(column) for column in columns]
        self._numbers: dict[int, _Numbers | None] = {}
        self._chosen: list[tuple[_Leaf, int, int]] = []  # of each leaf, from which of them to which
        self._positions: Sequence[int] = ()

    def _all(self, column: int) -> Sequence[Value]:
        if column == KEY_COLUMN:
            keys = _consecutive(self._leaves)
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
                rows = self._rewrite.tree.values_of(leaf.node, 0, leaf.rows)
                found += map(itemgetter(column), rows)
        return found + joined(run, column) if found else joined(run, column)

    def choose(self, positions: Sequence[int]) -> None:
        """Say which rows are meant: ascending places in the lists, at least one."""
        self._positions = positions
        at, count = 0, len(positions)
        chosen = self._chosen = []
        for leaf in self._leaves:
            end = leaf.start + leaf.rows
            until = bisect_left(positions, end, at) if end < self.count else count
            if until > at:
                chosen.append((leaf, at, until))
                at = until

    def _of(self, column: int) -> _Numbers | None:
        """The column as numbers, if all leaves of the batch have it so."""
        if column not in self._numbers:
            opened = [leaf.opened for leaf in self._leaves]
            whole = [page.kept[column] for page in opened if page is not None and not page.gone]
            found = _numbers_of(whole) if len(whole) == len(opened) else None
            if found is not None and found.count != self.count:
                raise CorruptionError(f"column {column}: {found.count} values in {self.count} rows")
            self._numbers[column] = found
        return self._numbers[column]

    def _place(self) -> None:
        """Tell the leaves which of their rows are meant."""
        positions = self._positions
        for leaf, at, until in self._chosen:
            if leaf.slots is None:
                start = leaf.start
                if until - at == leaf.rows:
                    leaf.slots = range(leaf.rows)
                else:
                    leaf.slots = [position - start for position in positions[at:until]]

    def values(self, column: int) -> Sequence[Value]:
        """The values of a column in the chosen rows, `KEY_COLUMN` for their keys."""
        positions = self._positions
        if column in self._columns:
            values = self.lists[self._columns.index(column)]
            if len(positions) == self.count:
                return values
            return [values[position] for position in positions]
        numbers = None if column == KEY_COLUMN else self._of(column)
        if numbers is not None:
            return numbers.at(positions)
        self._place()
        tree = self._rewrite.tree
        return list(chain.from_iterable([leaf.chosen(tree, column) for leaf, _, _ in self._chosen]))

    def set(self, columns: Mapping[int, Sequence[Value]], kinds: Mapping[int, set[type]]) -> None:
        """Give the chosen rows other values in some columns; `kinds` are the values' classes."""
        rewrite = self._rewrite
        if not rewrite.by_page(self._chosen):
            self._place()
            for leaf, at, until in self._chosen:
                rewrite.wait(leaf, {column: new[at:until] for column, new in columns.items()})
            return
        written: dict[int, _Numbers] = {}
        for column, new in columns.items():
            numbers = self._of(column)
            if numbers is not None and numbers.put(self._positions, new, kinds[column]):
                written[column] = numbers
        if len(written) < len(columns):
            self._place()
        for leaf, at, until in self._chosen:
            changed: dict[int, bytes] = {}
            for column, new in columns.items():
                numbers = written.get(column)
                if numbers is not None:
                    changed[column] = numbers.column(leaf.start, leaf.start + leaf.rows)
                elif leaf.opened is not None:
                    if column in self._columns and not leaf.opened.gone:
                        read = self.lists[self._columns.index(column)]
                        leaf.know(column, read[leaf.start : leaf.start + leaf.rows])
                    changed[column] = leaf.with_values(column, new[at:until])
            page = leaf.page_with(changed) if leaf.opened is not None else None
            if page is None or not rewrite.put(leaf, page):
                self._place()
                rewrite.later(leaf, {column: new[at:until] for column, new in columns.items()})
        self._numbers.clear()
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
        self._page_bytes_max = transaction.store.page_bytes * OVERFULL
        self._by_page: bool | None = None  # not known yet
        self._leaves = self._rows = 0
        self._waiting: list[tuple[_Leaf, _Values | None]] = []
        # What is changed as nodes in the end.
        self._few: list[tuple[list[Key], _Values | None]] = []
        self._branch: Node | None = None  # owned, the latest that was changed
        self._scanned: Node | None = None  # the branch that it stands for
        self._pages: list[int] | None = None  # its children's, as long as they are the same ones
        self._later: list[tuple[list[Key], _Values | None]] = []

    # -- reading ---------------------------------------------------------------------------------

    def batches(self, columns: Sequence[int]) -> Iterator[Batch]:
        """All rows as they are now, in key order; of each batch some may be changed before the next one."""
        tree = self.tree
        # The root first: changes that lay over the nodes go into nodes of the writer's own.
        root = tree.root
        self._transaction.freeze()
        if root.children is None:
            if root.keys:
                yield Batch(self, [_Leaf(None, 0, None, root)], columns)
            return
        at_once = _LEAVES_AT_FIRST
        for branch in lowest_branches(tree, root):
            assert branch.children is not None
            slot, count = 0, len(branch.children)
            while slot < count:
                end = min(slot + at_once, count)
                leaves = self._opened(branch, slot, end, columns)
                batch = Batch(self, leaves, columns)
                if batch.count:
                    at_once = max(1, min(BATCH_ROWS * len(leaves) // batch.count, _LEAVES_AT_ONCE))
                    yield batch
                slot = end

    def _opened(self, branch: Node, start: int, end: int, columns: Sequence[int]) -> list[_Leaf]:
        assert branch.children is not None and branch.pages is not None
        tree = self.tree
        children = branch.children[start:end]  # other threads may load some of them meanwhile
        locations = list(map(self._location, children, branch.pages[start:end]))
        there = [at for at, location in enumerate(locations) if location]
        opened: dict[int, OpenPage | None] = {}
        if there:
            pages = [branch.pages[start + at] for at in there]
            payloads = self._reader.read_many(pages, [locations[at] for at in there])
            wanted = columns if KEY_COLUMN in columns else (KEY_COLUMN, *columns)
            opened = dict(zip(there, open_pages(payloads, pages, wanted), strict=True))
        leaves, rows = [], 0
        for at, child in enumerate(children):
            slot, page = start + at, opened.get(at)
            node = None if page is not None else tree.scanned_child(branch, slot)
            leaf = _Leaf(branch, slot, page, node)
            leaf.child, leaf.location, leaf.start = child, locations[at], rows
            leaves.append(leaf)
            rows += leaf.rows
        return leaves

    def _location(self, child: Any, page: int) -> int:
        """Where the page of a leaf lies that says what the leaf does; 0 if none does."""
        if child.__class__ is not Node:
            return int(child) or self._reader.locate(page)
        if child.unflushed or child.page != page:
            return 0
        return child.location or self._reader.locate(page)

    # -- writing ---------------------------------------------------------------------------------

    def by_page(self, chosen: Sequence[tuple[_Leaf, int, int]]) -> bool:
        """Whether changes to so many more leaves are written to their pages; else they have to wait, until all
        of them are known to be few."""
        if self._by_page is None:
            self._leaves += sum([leaf.opened is not None for leaf, _, _ in chosen])
            self._rows += chosen[-1][2]
            dense = self._rows * SPARSE >= self._leaves * self.tree.leaf_limit
            if self._leaves >= LEAVES_MIN and (dense or self._rows >= ROWS_MIN):
                self._decide(dense)
        return self._by_page is True

    def _decide(self, dense: bool) -> None:
        tree, known = self.tree, self._transaction.store.cache.rewritten
        self._by_page = dense or tree.id not in known
        waiting, self._waiting = self._waiting, []
        if not self._by_page:
            self._few = [(leaf.chosen_keys(), values) for leaf, values in waiting]
            return
        if not dense:
            known.add(tree.id)
        self._transaction.give_up_redo()
        tree.note_rewritten(0)
        for leaf, values in waiting:
            if not (self._set(leaf, values) if values is not None else self.take_away(leaf)):
                self.later(leaf, values)
        self.batch_done()

    def _set(self, leaf: _Leaf, values: _Values) -> bool:
        if leaf.opened is None:
            return False
        page = leaf.page_with(
            {column: leaf.with_values(column, new) for column, new in values.items()}
        )
        return page is not None and self.put(leaf, page)

    def take_away(self, leaf: _Leaf) -> bool:
        """Write a leaf's page without the chosen rows; False if it has to be changed as a node."""
        left = leaf.rows - len(leaf.slots)
        if leaf.opened is None or left * 4 < self.tree.leaf_limit or not left:
            return False
        if not self.put(leaf, leaf.page_without()):
            return False
        self.tree.note_rewritten(len(leaf.slots))
        return True

    def wait(self, leaf: _Leaf, values: _Values | None) -> None:
        """Set the values of a leaf's chosen rows, or take these away, once it is known how."""
        if self._by_page is None:
            self._waiting.append((leaf, values))
        else:
            self._few.append((leaf.chosen_keys(), values))

    def later(self, leaf: _Leaf, values: _Values | None) -> None:
        """The same in its node, when the batch is done."""
        self._later.append((leaf.chosen_keys(), values))

    def put(self, leaf: _Leaf, payload: bytearray) -> bool:
        """Write a leaf's page anew; False if it has to be changed as a node."""
        if len(payload) > self._page_bytes_max:
            return False
        branch = self._owned(leaf)
        if branch is None:
            return False
        assert branch.children is not None and leaf.opened is not None
        branch.children[leaf.slot] = self._transaction.rewrite_page(
            leaf.opened.page, payload, leaf.location
        )
        return True

    def _owned(self, leaf: _Leaf) -> Node | None:
        """The branch above a leaf, owned, with the leaf in the slot where it was; None if it is there no
        more, or is another one."""
        tree, old = self.tree, leaf.branch
        assert old is not None and leaf.opened is not None
        branch = self._branch
        if (
            branch is None
            or self._scanned is not old
            or branch.pages is not self._pages
            or branch.owner is not tree.token
        ):
            key = leaf.keys()[0]
            node = tree.owned_root()
            while node.level > 1:
                node = own_child(tree, node, search_right(node.keys, key))
            if node.pages != old.pages:
                return None
            self._branch, self._scanned, self._pages, branch = node, old, node.pages, node
        assert branch.children is not None
        child = branch.children[leaf.slot]
        if child is leaf.child or self._location(child, leaf.opened.page) == leaf.location:
            return branch
        return None

    def batch_done(self) -> None:
        """Change as nodes what can't be changed in its page."""
        later, self._later = self._later, []
        if later:
            self._branch = None  # it may be split, or go
            self._change(later)

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
        few = [*self._few, *[(leaf.chosen_keys(), values) for leaf, values in self._waiting]]
        self._few, self._waiting = [], []
        if few:
            self._change(few)
