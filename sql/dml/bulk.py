"""Many rows at once: conversions and checks per column, index entries sorted and loaded per index.

`BulkInsert.load` first looks at everything and writes only if every row goes in as it is (or, under OR
IGNORE, is left out for a row that is in its way).  For anything else it returns None with nothing
written, and the caller goes row by row, where errors and conflicts find their exact form.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import eq, itemgetter, lt
from typing import TYPE_CHECKING, Any

from btree import CollectorPaused
from sql.dml.entry_sorting import alike_behind, sort_entries
from sql.dml.index_keys import IndexKeys, present
from sql.dml.records import NULL, Row, TableRecords, widen_by_classes, with_columns
from sql.dml.undo import not_noted, noter
from sql.errors import ConstraintError
from sql.typed_rows import TypedRows
from sql.values import INT_MAX, apply_affinity_to_all

if TYPE_CHECKING:
    from btree import Tree
    from sql.context import Context
    from sql.dml.conflicts import Resolution
    from sql.dml.writer import LargestRowid

_FEW = 4
REBUILT_MIN = 4096
"""New rows from which on indexes may be built anew: sorted by column rather than as tuples, entries take half of the time."""

_SCATTERED = 60
"""Where a tree has this many times as many entries as are written to it, these rarely share a leaf."""


class Loaded:
    """What was written: tree keys and rows, in the order given.  `inserted`: the key of the last new row, None if all
    had been there.  `count`: of all rows that were written, which are not told where nobody asks."""

    __slots__ = ("count", "inserted", "keys", "rows")

    def __init__(self, keys: Sequence[Any], rows: Sequence[Row], inserted: Any) -> None:
        self.keys = keys
        self.rows = rows
        self.inserted = inserted
        self.count = len(rows)


def stored_rows(
    records: TableRecords, rows: Sequence[Row], places: Sequence[int] | None = None
) -> tuple[Sequence[Row], list[set[type]]]:
    """The rows as they are stored, and per column the classes of its values.

    `places`: the columns to look at, where the others are known to be stored so already; their sets of
    classes are empty then.  Columns are picked out one at a time: `zip(*rows)` would make an
    iterator for every row, all of them for the garbage collector to visit."""
    classes: list[set[type]] = [set() for _ in range(records.width)]
    converted: dict[int, Sequence[Any]] = {}
    for place in range(records.width) if places is None else places:
        known = rows.classes[place] if rows.__class__ is TypedRows else None
        if known is None:
            found = set(map(type, map(itemgetter(place), rows)))
        else:
            found = {known}
        if not found <= records.unchanged[place]:
            given = list(map(itemgetter(place), rows))
            values = apply_affinity_to_all(given, records.affinities[place], found)
            if values is not given:
                converted[place] = values
                found = set(map(type, values))
        classes[place] = found
    return with_columns(rows, records.width, converted), classes


def write_entries(tree: Tree, keys: Sequence[Any], values: Sequence[Any] | None = None) -> None:
    """Put ascending keys: leaf by leaf, or one by one where few of them fall in any one leaf."""
    if len(keys) > _FEW and len(tree) <= _SCATTERED * len(keys):
        tree.load(keys, values)
        return
    last = tree.last()
    if len(keys) > _FEW and last is not None and _above(keys[0], last[0]):
        tree.load(keys, values)
        return
    put = tree.put
    if values is None:
        for key in keys:
            put(key)
    else:
        for key, value in zip(keys, values, strict=True):
            put(key, value)


def change_entries(tree: Tree, gone: Sequence[Row], new: Sequence[Row]) -> None:
    """Remove entries of an index and put others, both sorted."""
    rewrite = tree.rewrite()
    if rewrite is None or not rewrite.change_entries(gone, new):
        tree.delete_many(gone)
        write_entries(tree, new)


def load_rows(tree: Tree, keys: list[Any], rows: Sequence[Row]) -> None:
    """Put rows in the place of those that are there."""
    if len(keys) <= _FEW:
        for key, row in zip(keys, rows, strict=True):
            tree.put(key, row)
        return
    try:
        # Where keys ascend, as those of a scan do, this costs half of what comparing them does.
        ordered = sorted(keys)
        if ordered != keys:
            latest = dict(zip(keys, rows, strict=True))
            rows = [latest[key] for key in ordered]
    except TypeError:
        for key, row in zip(keys, rows, strict=True):
            tree.put(key, row)
        return
    write_entries(tree, ordered, rows)


def rebuild_index(ctx: Context, records: TableRecords, index: IndexKeys) -> None:
    """Make an index anew of the table's rows.  Raises ConstraintError if it is unique and holds a value twice."""
    from sql.dml.indexing import fill_index

    tree = ctx.transaction.tree(index.tree_id)
    if len(tree):
        tree.clear()
    fill_index(ctx.session, ctx, records.table, index.index)


def remove_rows(
    ctx: Context, records: TableRecords, keys: Sequence[Any], rows: Sequence[Row]
) -> None:
    """Take rows away, and their entries in indexes; without any, `rows` may be left out."""
    transaction, indexes = ctx.transaction, records.indexes
    tree = transaction.tree(records.table.tree_id)
    if len(keys) > _FEW:
        not_noted(ctx)
        with CollectorPaused():
            for index in indexes:
                entries = index.entries(ctx, rows, keys)
                sort_entries(entries)
                change_entries(transaction.tree(index.tree_id), entries, ())
            ordered = list(keys)
            sort_entries(ordered)
            tree.delete_many(ordered)
        return
    note = noter(ctx)
    for place, key in enumerate(keys):
        if note is not None:
            note(records.table.tree_id, key, tree.get(key))
        for index in indexes:
            entry = index.entry(ctx, rows[place], key)
            if entry is not None:
                if note is not None:
                    note(index.tree_id, entry, None)
                transaction.tree(index.tree_id).delete(entry)
        tree.delete(key)


def _above(key: Any, last: Any) -> bool:
    try:
        return bool(key > last)
    except TypeError:
        return False


def breaks_types(records: TableRecords, classes: Sequence[set[type]]) -> bool:
    """Whether a column holds a NULL or a class that it may not."""
    for strict, found in zip(records.strict, classes, strict=True):
        if strict is not None and not found <= strict:
            return True
    return any(NULL in classes[place] for place, _ in records.not_null)


def breaks_checks(
    ctx: Context,
    records: TableRecords,
    rows: Sequence[Row],
    keys: Sequence[Any],
    classes: Sequence[set[type]],
    known: Sequence[int] = (),
) -> bool:
    """Whether a CHECK is false of any row, of columns that hold values of these `classes`, or if none are given of the
    kinds `known`."""
    if not records.has_checks or ctx.session.ignore_check_constraints:
        return False
    return records.breaks_checks(ctx, rows, keys, classes, known)


def entry_changes(
    index: IndexKeys, tree: Tree, before: Sequence[Row | None], after: Sequence[Row | None]
) -> tuple[list[Row], list[Row]] | None:
    """The entries to delete and to write, sorted, where rows that had the ones (None: no entry) get the others; None if a
    unique index has, at any moment of the statement, one of the new values already."""
    pairs = [
        (old, new)
        for old, new in zip(before, after, strict=True)
        if old != new
        or (old is not None and new is not None and [*map(type, old)] != [*map(type, new)])
    ]
    gone, new = present([old for old, _ in pairs]), present([new for _, new in pairs])
    sort_entries(gone)
    sort_entries(new)
    if index.unique and new:
        parts = index.parts
        if alike_behind(new, parts):
            return None
        if index.taken(tree, index.prefixes(new)):
            return None
    return gone, new


def _doubles(tree: Tree, rows: Sequence[Row]) -> bool:
    """Whether new rows are as many as those that are there, and so many that indexes are better built anew, if their values
    come in no order."""
    return len(rows) >= max(len(tree), REBUILT_MIN)


_Work = tuple["Tree", Sequence[Any], "Sequence[Row] | None"]
"""Entries to write to a tree, sorted: their keys, and their values, if they have any."""


class BulkInsert:
    """Inserts many rows of one table; made per plan.  `order` is the statement's conflict resolution.

    `removes_alone`: rows that REPLACE removes concern no trigger and no foreign key."""

    def __init__(
        self, records: TableRecords, order: Sequence[Resolution], *, removes_alone: bool
    ) -> None:
        self.records = records
        self.replaces = removes_alone and [(item.constraint, item.action) for item in order] == [
            (None, "REPLACE")
        ]
        self.ignores = all(item.action == "IGNORE" for item in order)
        self.refuses = all(item.action in ("ABORT", "FAIL", "ROLLBACK") for item in order)
        """Whether a row in the way means that none is written here."""
        self.is_scattered = False
        """Whether rows have come with keys that had to be put among others."""

    def rebuilds(self, ctx: Context, rows: Sequence[Row]) -> bool:
        """Whether `load` may build indexes anew, and so be interrupted when rows are written."""
        tree = ctx.transaction.tree(self.records.table.tree_id)
        return bool(self.records.indexes) and _doubles(tree, rows)

    def load(
        self,
        ctx: Context,
        rows: Sequence[Row],
        given: Sequence[Any] | None = None,
        sequence: LargestRowid | None = None,
    ) -> Loaded | None:
        """Write all rows; None, with nothing written, if they need a closer look.

        `given` are rowids that stand apart from the columns."""
        with CollectorPaused():
            return self._loaded(ctx, rows, given, sequence)

    def load_free(
        self, ctx: Context, rows: Sequence[Row], given: Sequence[Any] | None = None
    ) -> Loaded | None:
        """`load` rows that nothing is known to be in the way of."""
        return self._load(ctx, rows, given, None, known_free=True)

    def _loaded(
        self,
        ctx: Context,
        rows: Sequence[Row],
        given: Sequence[Any] | None,
        sequence: LargestRowid | None,
    ) -> Loaded | None:
        if self.ignores and sequence is None:
            chosen = self._without_conflicts(ctx, rows, given)
            if chosen is not None:
                if not chosen:
                    return Loaded([], [], None)
                if len(chosen) < len(rows):
                    rows = [rows[place] for place in chosen]
                    given = None if given is None else [given[place] for place in chosen]
                return self._load(ctx, rows, given, None, known_free=True)
        return self._load(ctx, rows, given, sequence)

    def _load(
        self,
        ctx: Context,
        rows: Sequence[Row],
        given: Sequence[Any] | None,
        sequence: LargestRowid | None,
        *,
        known_free: bool = False,
    ) -> Loaded | None:
        records = self.records
        tree = ctx.transaction.tree(records.table.tree_id)
        rows, classes = stored_rows(records, rows)
        keys: Sequence[Any] | None
        if records.primary_key is None:
            keys = self._rowids(tree, rows, classes, given, sequence)
            if keys is None:
                return None
            rows = self._finished_rows(ctx, rows, classes, keys)
        else:
            rows = self._finished_rows(ctx, rows, classes, None)
            keys = list(map(records.primary_key, rows))
        if breaks_types(records, classes) or breaks_checks(ctx, records, rows, keys, classes):
            return None
        if self.replaces and keys.__class__ is not range:
            return self._replace(ctx, tree, rows, keys, classes, sequence)
        anew = []
        if _doubles(tree, rows):
            anew = [index for index in records.indexes if not index.are_ascending(rows, keys)]
        work = self._checked(ctx, tree, rows, keys, known_free, anew)
        if work is None:
            return None
        if anew:
            if not self._written_anew(ctx, work, anew, classes):
                return None
        else:
            widen_by_classes(tree, classes)
            for written, ordered, values in work:
                write_entries(written, ordered, values)
        if sequence is not None:
            sequence.note(max(keys))
        return Loaded(keys, rows, keys[-1])

    def _written_anew(
        self,
        ctx: Context,
        work: Sequence[_Work],
        indexes: Sequence[IndexKeys],
        classes: Sequence[set[type]],
    ) -> bool:
        """Write what `_checked` gives, and make some indexes anew of all rows, which tells of a unique one whether a value
        comes twice; False, with nothing written, if one does."""
        records, transaction = self.records, ctx.transaction
        savepoint = transaction.savepoint()
        try:
            widen_by_classes(transaction.tree(records.table.tree_id), classes)
            for written, ordered, values in work:
                write_entries(written, ordered, values)
            for index in indexes:
                rebuild_index(ctx, records, index)
        except ConstraintError:
            transaction.rollback_to(savepoint)
            return False
        finally:
            transaction.release(savepoint)
        return True

    def _replace(
        self,
        ctx: Context,
        tree: Tree,
        rows: Sequence[Row],
        keys: Sequence[Any],
        classes: list[set[type]],
        sequence: LargestRowid | None,
    ) -> Loaded | None:
        """Write rows in the place of those that have their keys, where the tree's own key is the only
        unique constraint: of rows with one key the last counts."""
        latest = dict(zip(keys, rows, strict=True))
        try:
            ordered = sorted(latest)
        except TypeError:
            return None
        new = [latest[key] for key in ordered]
        if self.records.primary_key is not None:
            # Of equal keys, the last one's classes.
            ordered = list(map(self.records.primary_key, new))
        old = tree.get_many(ordered) if self.records.indexes else []
        gone = [(key, row) for key, row in zip(ordered, old, strict=False) if row is not None]
        gone_keys, gone_rows = [key for key, _ in gone], [row for _, row in gone]
        widen_by_classes(tree, classes)
        write_entries(tree, ordered, new)
        for index in self.records.indexes:
            index_tree = ctx.transaction.tree(index.tree_id)
            old_entries = index.entries(ctx, gone_rows, gone_keys)
            sort_entries(old_entries)
            entries = index.entries(ctx, new, ordered)
            sort_entries(entries)
            change_entries(index_tree, old_entries, entries)
        if sequence is not None:
            sequence.note(max(keys))
        return Loaded(keys, rows, keys[-1])

    def _finished_rows(
        self,
        ctx: Context,
        rows: Sequence[Row],
        classes: list[set[type]],
        keys: Sequence[Any] | None,
    ) -> Sequence[Row]:
        """The rows with new rowids in place and generated columns computed."""
        records = self.records
        alias = records.alias
        if alias is not None and keys.__class__ is not list:
            assert keys is not None
            rows = with_columns(rows, records.width, {alias: keys})
            classes[alias] = {int}
        if records.generated:
            rows = records.fill_all_generated(ctx, rows, keys, classes)
        return rows

    def _rowids(
        self,
        tree: Tree,
        rows: Sequence[Row],
        classes: list[set[type]],
        given: Sequence[Any] | None,
        sequence: LargestRowid | None,
    ) -> Sequence[Any] | None:
        """The rows' rowids: those given by the column that stands for them (a list), or given apart (a
        tuple), or new ones (a range); None if it takes a look at each row."""
        alias = self.records.alias
        if given is not None:
            kinds = set(map(type, given))
        else:
            kinds = {NULL} if alias is None else classes[alias]
        if kinds == {int}:
            if given is not None:
                return tuple(given)
            assert alias is not None
            return list(map(itemgetter(alias), rows))
        if kinds != {NULL}:
            return None
        last = tree.last()
        largest = 0 if last is None else last[0]
        if sequence is not None:
            largest = max(largest, sequence.value)
        if largest + len(rows) > INT_MAX:
            return None
        return range(largest + 1, largest + 1 + len(rows))

    def _checked(
        self,
        ctx: Context,
        tree: Tree,
        rows: Sequence[Row],
        keys: Sequence[Any],
        known_free: bool,
        anew: Sequence[IndexKeys],
    ) -> list[_Work] | None:
        """What is to be written to the table's tree and the indexes', but for those that are built anew, in order; None if a
        unique constraint is in the way of a row."""
        ordered_keys, ordered_rows = keys, rows
        if keys.__class__ is not range and not ascending(keys):
            try:
                places = sorted(range(len(keys)), key=keys.__getitem__)
            except TypeError:
                return None
            ordered_keys = [keys[place] for place in places]
            ordered_rows = [rows[place] for place in places]
            self.is_scattered = True
            if not known_free and any(map(eq, ordered_keys, ordered_keys[1:])):
                return None
        if not known_free and self._keys_taken(tree, ordered_keys):
            return None
        work: list[_Work] = [(tree, ordered_keys, ordered_rows)]
        for index in self.records.indexes:
            if index in anew:
                continue
            index_tree = ctx.transaction.tree(index.tree_id)
            made = index.entries(ctx, rows, keys)
            sort_entries(made)
            if index.unique and not known_free and self._taken(index, index_tree, made):
                return None
            work.append((index_tree, made, None))
        return work

    def _keys_taken(self, tree: Tree, keys: Sequence[Any]) -> bool:
        """Whether one of ascending keys is there already."""
        if keys.__class__ is range:
            return False
        last = tree.last()
        if last is None:
            return False
        try:
            if keys[0] > last[0]:
                return False
        except TypeError:
            return True
        return any(value is not None for value in tree.get_many(keys))

    def _taken(self, index: IndexKeys, tree: Tree, entries: Sequence[Row]) -> bool:
        """Whether sorted entries break a unique index, among themselves or with what is there."""
        parts = index.parts
        if alike_behind(entries, parts):
            return True
        if not len(tree) or not entries:
            return False
        last = tree.last()
        assert last is not None
        try:
            if entries[0][:parts] > last[0][:parts]:
                return False
        except TypeError:
            pass  # of two kinds: looked up below
        return bool(index.taken(tree, index.prefixes(entries)))

    def _without_conflicts(
        self, ctx: Context, rows: Sequence[Row], given: Sequence[Any] | None
    ) -> list[int] | None:
        """OR IGNORE: the places of the rows that neither a stored row nor an earlier one is in the way
        of; None if that is not easily told."""
        records = self.records
        uniques = [index for index in records.indexes if index.unique]
        if (
            records.generated
            or records.has_checks
            or any(index.columns is None for index in uniques)
        ):
            return None
        tree = ctx.transaction.tree(records.table.tree_id)
        rows, classes = stored_rows(records, rows)
        if breaks_types(records, classes):
            return None
        if given is None and records.alias is not None:
            given = list(map(itemgetter(records.alias), rows))
        keys: Sequence[Any] = range(len(rows))
        marks: list[tuple[Sequence[Any], set[Any]]] = []
        if records.primary_key is not None:
            if any(NULL in classes[place] for place in records.table.primary_key):
                return None
            keys = list(map(records.primary_key, rows))
        elif given is not None:
            kinds = set(map(type, given))
            if kinds != {NULL}:
                if kinds != {int}:
                    return None
                keys = given
        if keys.__class__ is not range:
            found = tree.get_many(keys)
            there = {key for key, value in zip(keys, found, strict=True) if value is not None}
            marks.append((keys, there))
        for index in uniques:
            values = index.values_of(rows, keys)
            marks.append((values, set(index.owners(ctx.transaction.tree(index.tree_id), values))))
        return _first_of_each(len(rows), marks)


def _first_of_each(count: int, marks: Sequence[tuple[Sequence[Any], set[Any]]]) -> list[int]:
    """Places where no value is taken, by what was there or by an earlier place of these."""
    if len(marks) == 1:
        ((values, taken),) = marks
        first = dict(zip(reversed(values), range(count - 1, -1, -1), strict=True))
        for value in taken.intersection(first):
            del first[value]
        if None not in first:
            return sorted(first.values())
    chosen: list[int] = []
    for place in range(count):
        if any(values[place] in taken for values, taken in marks):
            continue
        for values, taken in marks:
            if values[place] is not None:
                taken.add(values[place])
        chosen.append(place)
    return chosen


def ascending(keys: Sequence[Any]) -> bool:
    """Whether keys ascend strictly, by Python's order alone."""
    try:
        return all(map(lt, keys, keys[1:]))
    except TypeError:
        return False
