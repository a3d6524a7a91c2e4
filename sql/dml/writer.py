"""`TableWriter`: checks and writes rows of one table, one at a time, with their index entries.

A row is checked whole before anything of it is written; what happens to rows in its way is decided by
`conflicts`.  Triggers and foreign keys are not known here: `remove`, which REPLACE calls for a row in
the way, belongs to the caller.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sql.dml.conflicts import (
    Resolution,
    Skipped,
    constraint_error,
    datatype_mismatch,
    full,
)
from sql.dml.index_keys import IndexKeys, same
from sql.dml.records import Row, TableRecords, widen_by_classes
from sql.dml.undo import ABSENT
from sql.expressions import Affinity
from sql.values import INT_MAX, apply_affinity

if TYPE_CHECKING:
    from btree import Tree
    from sql.context import Context
    from sql.dml.undo import Undo
    from sql.schema import Column, Table

_ROWID_ATTEMPTS = 100


class Found:
    """A row in the way of another: its tree key, and what is to be done."""

    __slots__ = ("key", "resolution")

    def __init__(self, key: Any, resolution: Resolution) -> None:
        self.key = key
        self.resolution = resolution


class TableWriter:
    """Writes rows in one transaction, for one run of a statement."""

    def __init__(
        self, ctx: Context, records: TableRecords, or_conflict: str | None, undo: Undo
    ) -> None:
        self.ctx = ctx
        self.note = undo.note
        self.records = records
        self.table = records.table
        self.or_conflict = or_conflict
        transaction = ctx.transaction
        self.tree: Tree = transaction.tree(self.table.tree_id)
        self.index_trees: dict[int, Tree] = {
            index.tree_id: transaction.tree(index.tree_id) for index in records.indexes
        }
        self.unproved = False  # the row at hand may have values that STRICT refuses
        self.fresh = False  # the latest rowid that was chosen here: nothing can have it
        self.sequence: LargestRowid | None = None
        if self.table.autoincrement:
            self.sequence = LargestRowid(ctx, self.table)

    # -- checking a row --------------------------------------------------------------------------

    def prepared(self, row: Row, key: Any = None) -> tuple[Any, Row]:
        """(tree key, row as it is stored) of a row to insert.  Raises ConstraintError, `Skipped`.

        `key`: the rowid if it is given apart from the columns."""
        records = self.records
        if not self.table.without_rowid:
            key, row = self.with_rowid(row, key)
        row = records.convert(row)
        if records.generated:
            records.check_types(row)
            row = records.fill_generated(self.ctx, row, key)
        row = self.checked(row, key)
        if records.primary_key is not None:
            key = records.primary_key(row)
        return key, row

    def checked(self, row: Row, key: Any) -> Row:
        """NOT NULL and CHECK; the tree is made ready for the kinds of value of a row that is plainly right."""
        self.unproved = False
        records = self.records
        if not records.is_plain(row, self.tree):
            row = self._looked_at(row, key)
        has_checks = records.has_checks and not self.ctx.session.ignore_check_constraints
        if self.unproved and (has_checks or records.generated):
            self._prove(row)
        if has_checks:
            self._check(row, key)
        return row

    def with_rowid(self, row: Row, key: Any) -> tuple[int, Row]:
        """The row's rowid, a new one if none is given, and the row with it in place."""
        alias = self.table.rowid_alias
        value = key
        if value is None and alias is not None:
            value = row[alias]
        self.fresh = value is None
        value = self.new_rowid() if value is None else rowid_value(value)
        if self.sequence is not None:
            self.sequence.note(value)
        if alias is not None and row[alias] is not value:
            row = (*row[:alias], value, *row[alias + 1 :])
        return value, row

    def new_rowid(self) -> int:
        """One more than the largest; past the end of 64 bits a random one that is free."""
        last = self.tree.last()
        largest: int = 0 if last is None else last[0]
        if self.sequence is not None:
            self.sequence.refresh()  # triggers of this statement may have inserted rows meanwhile
            largest = max(largest, self.sequence.value)
            if largest == INT_MAX:
                raise full()
            return largest + 1
        if largest < INT_MAX:
            return largest + 1
        for _ in range(_ROWID_ATTEMPTS):
            candidate = random.randint(1, INT_MAX >> 1)
            if candidate not in self.tree:
                return candidate
        raise full()

    def _looked_at(self, row: Row, key: Any) -> Row:
        """NOT NULL of a row whose classes alone don't prove it right; its types are left for later."""
        records, given = self.records, row
        for place, column in records.not_null:
            if row[place] is None and column.generated is None:
                row = self._not_null(row, place, column)
        if row is not given and records.generated:
            row = records.fill_generated(self.ctx, row, key)
        for place, column in records.not_null:
            if row[place] is None:
                row = self._not_null(row, place, column)
        self.unproved = True
        return row

    def _prove(self, row: Row) -> None:
        """STRICT of a row that was looked at; the tree is made ready for it."""
        self.unproved = False
        self.records.check_types(row)
        widen_by_classes(self.tree, [(value.__class__,) for value in row])

    def _not_null(self, row: Row, place: int, column: Column) -> Row:
        conflict = self.or_conflict or column.not_null_conflict or "ABORT"
        if conflict == "IGNORE":
            raise Skipped
        if conflict == "REPLACE":
            value = self.records.default_value(self.ctx, place)
            if value is not None:
                value = apply_affinity(value, Affinity(column.affinity))
                return (*row[:place], value, *row[place + 1 :])
            conflict = "ABORT"
        message = f"NOT NULL constraint failed: {self.table.name}.{column.name}"
        raise constraint_error(message, "NOT NULL", conflict)

    def _check(self, row: Row, key: Any) -> None:
        message = self.records.failed_check(self.ctx, row, key)
        if message is None:
            return
        conflict = self.or_conflict or "ABORT"
        if conflict == "IGNORE":
            raise Skipped
        raise constraint_error(message, "CHECK", "ABORT" if conflict == "REPLACE" else conflict)

    # -- rows in the way -------------------------------------------------------------------------

    def make_way(
        self,
        order: Sequence[Resolution],
        key: Any,
        row: Row,
        remove: Callable[[Any], bool],
        old_key: Any = None,
    ) -> Found | None:
        """See that nothing is in the way of a row that was `checked` and is to be written (in the place of `old_key`).
        Types that were left to it come behind the row id: a row that OR IGNORE leaves out over that may have any.

        Raises ConstraintError or `Skipped`; gives what an upsert has to update instead.  `remove(key)`
        takes a row away and says whether programs ran that may have changed anything."""
        again = False
        for resolution in order:
            if self.unproved and (resolution.constraint is not None or self.table.without_rowid):
                self._prove(row)
            other = self.other(resolution.constraint, key, row, old_key)
            if other is None:
                continue
            action = resolution.action
            if action == "REPLACE":
                again = remove(other) or again
            elif action == "IGNORE":
                raise Skipped
            elif action == "UPDATE":
                return Found(other, resolution)
            else:
                raise self.violation(resolution.constraint, action)
        if self.unproved:
            self._prove(row)
        if again:
            self.fresh = False
            for resolution in order:
                if self.other(resolution.constraint, key, row, old_key) is not None:
                    raise self.violation(resolution.constraint, "ABORT")
        return None

    def other(self, constraint: IndexKeys | None, key: Any, row: Row, old_key: Any) -> Any:
        """The tree key of the row that has the same values in a unique constraint; None without."""
        if constraint is None:
            if self.fresh and old_key is None:
                return None
            return key if key != old_key and key in self.tree else None
        entry = constraint.entry(self.ctx, row, key)
        if entry is None:
            return None
        found = constraint.other(self.index_trees[constraint.tree_id], entry)
        return None if found == old_key else found

    def violation(self, constraint: IndexKeys | None, action: str) -> Exception:
        """The error of a row in the way."""
        kind = "UNIQUE"
        if constraint is None and self.table.rowid_alias is None and not self.table.without_rowid:
            kind = "ROWID"
        elif constraint is None or constraint.index.origin == "pk":
            kind = "PRIMARY KEY"
        return constraint_error(self.records.message(constraint), kind, action)

    # -- writing ---------------------------------------------------------------------------------

    def insert(self, key: Any, row: Row) -> None:
        """Write a row that nothing is in the way of."""
        ctx, trees, note = self.ctx, self.index_trees, self.note
        note(self.table.tree_id, key, ABSENT)
        self.tree.put(key, row)
        for index in self.records.indexes:
            entry = index.entry(ctx, row, key)
            if entry is not None:
                note(index.tree_id, entry, ABSENT)
                trees[index.tree_id].put(entry)

    def delete(self, key: Any, row: Row) -> None:
        """Take a row away."""
        ctx, trees, note = self.ctx, self.index_trees, self.note
        note(self.table.tree_id, key, row)
        self.tree.delete(key)
        for index in self.records.indexes:
            entry = index.entry(ctx, row, key)
            if entry is not None:
                note(index.tree_id, entry, None)
                trees[index.tree_id].delete(entry)

    def replace(
        self, old_key: Any, old_row: Row, key: Any, row: Row, indexes: Sequence[IndexKeys]
    ) -> None:
        """Write a row in the place of another; only the index entries that differ are touched.

        `indexes`: those that depend on columns that have changed, if the tree key has not."""
        ctx, note, tree_id = self.ctx, self.note, self.table.tree_id
        note(tree_id, old_key, old_row)
        if key != old_key:
            note(tree_id, key, ABSENT)
            self.tree.delete(old_key)
        self.tree.put(key, row)
        for index in indexes if key == old_key else self.records.indexes:
            old, new = index.entry(ctx, old_row, old_key), index.entry(ctx, row, key)
            if not same(old, new):
                tree = self.index_trees[index.tree_id]
                if old is not None:
                    note(index.tree_id, old, None)
                    tree.delete(old)
                if new is not None:
                    note(index.tree_id, new, ABSENT)
                    tree.put(new)

    def finish(self) -> None:
        """The statement is done: note the largest rowid given, for AUTOINCREMENT."""
        if self.sequence is not None:
            self.sequence.write(self.note)


def rowid_value(value: Any) -> int:
    """A value given for a rowid as an integer.  ConstraintError `datatype mismatch`."""
    if value.__class__ is not int:
        value = apply_affinity(value, Affinity.INTEGER)
        if value.__class__ is not int:
            raise datatype_mismatch()
    number: int = value
    return number


class LargestRowid:
    """A table's row of sqlite_sequence: the largest rowid it ever had."""

    def __init__(self, ctx: Context, owner: Table) -> None:
        self.name = owner.name
        self.changed = False
        self.value = 0
        self.key: int | None = None
        table = ctx.schema.find_table("sqlite_sequence", owner.database)
        assert table is not None, "made with the first AUTOINCREMENT table"
        self.tree_id = table.tree_id
        self.tree: Tree = ctx.transaction.tree(table.tree_id)
        self.refresh()

    def refresh(self) -> None:
        """Take in what other statements have stored: the triggers of the one that runs may insert, too."""
        row = None if self.key is None else self.tree.get(self.key)
        if row is None or row[0] != self.name:
            self.key, row = self._found()
        if row is not None and row[1].__class__ is int and row[1] > self.value:
            self.value, self.changed = row[1], False

    def _found(self) -> tuple[int | None, Row | None]:
        for keys, rows in self.tree.batches():
            for key, row in zip(keys, rows, strict=True):
                if row[0] == self.name:
                    return key, row
        return None, None

    def note(self, rowid: int) -> None:
        """A rowid was given."""
        if rowid > self.value:
            self.value = rowid
            self.changed = True

    def write(self, note: Callable[[int, Any, Any], None]) -> None:
        """Store the largest rowid; a row is made for a table's first."""
        self.refresh()
        if not self.changed and self.key is not None:
            return
        old = ABSENT
        if self.key is None:
            last = self.tree.last()
            self.key = 1 if last is None else last[0] + 1
        else:
            old = self.tree.get(self.key)
        note(self.tree_id, self.key, old)
        widen_by_classes(self.tree, ((str,), (int,)))
        self.tree.put(self.key, (self.name, self.value))
        self.changed = False
