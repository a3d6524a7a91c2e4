"""`TableWriter`: inserts, changes and deletes rows of one table, its indexes and constraints included.

A row is checked whole before anything of it is written.  Conflicts are resolved as SQLite does: the
statement's OR clause wins over the constraint's own ON CONFLICT clause, which wins over ABORT.
https://www.sqlite.org/lang_conflict.html
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sql.dml.records import IndexKeys, Row, TableRecords
from sql.errors import ConstraintError, SqlError
from sql.values import INT_MAX, apply_affinity, integral

if TYPE_CHECKING:
    from btree import Tree
    from sql.context import Context

_ROWID_ATTEMPTS = 100


class Skipped(Exception):  # noqa: N818
    """OR IGNORE: the row is left out."""


class Conflict:
    """A row in the way: the unique constraint (None: the primary key) and the key of that row."""

    __slots__ = ("index", "key")

    def __init__(self, index: IndexKeys | None, key: Any) -> None:
        self.index = index
        self.key = key


def constraint_error(message: str, kind: str, conflict: str) -> ConstraintError:
    error = ConstraintError(message, kind=kind)
    error.conflict = conflict
    return error


class TableWriter:
    """Writes rows in one transaction, for one statement.

    `on_delete` is called with (key, row) for a row that REPLACE removes, before it goes."""

    def __init__(
        self,
        ctx: Context,
        records: TableRecords,
        or_conflict: str | None,
        on_delete: Callable[[Any, Row], None] | None = None,
    ) -> None:
        self.ctx = ctx
        self.records = records
        self.table = records.table
        self.or_conflict = or_conflict
        self.on_delete = on_delete
        transaction = ctx.transaction
        self.tree: Tree = transaction.tree(self.table.tree_id)
        self.index_trees: list[Tree] = [
            transaction.tree(index.tree_id) for index in records.indexes
        ]
        self.replaced = 0
        self._sequence: _Sequence | None = None
        if self.table.autoincrement:
            self._sequence = _Sequence(ctx, self.table.name)

    # -- preparing a row -------------------------------------------------------------------------

    def prepared(self, row: Row, key: Any = None, *, skip: bool = True) -> tuple[Any, Row]:
        """(key, row as it is stored) of a row to insert.  Raises ConstraintError, `Skipped`.

        `key`: the rowid if it is given apart from the columns."""
        records, table = self.records, self.table
        row = records.convert(row)
        if not table.without_rowid:
            key, row = self._rowid(row, key)
        if records.generated:
            row = records.fill_generated(self.ctx, row, key)
        row = self.checked(row, key)
        if records.primary_key is not None:
            key = records.primary_key(row)
        return key, row

    def _rowid(self, row: Row, key: Any) -> tuple[int, Row]:
        alias = self.table.rowid_alias
        value = row[alias] if alias is not None else key
        if alias is not None and value is None:
            value = key
        if value is None:
            value = self.new_rowid()
        elif value.__class__ is not int:
            value = apply_affinity(value, 3)  # type: ignore[arg-type]
            if value.__class__ is float:
                value = integral(value)
            if value.__class__ is not int:
                raise ConstraintError("datatype mismatch", kind="DATATYPE")
        if self._sequence is not None:
            self._sequence.note(value)
        if alias is not None and row[alias] is not value:
            row = (*row[:alias], value, *row[alias + 1 :])
        return value, row

    def new_rowid(self) -> int:
        """One more than the largest; past the end of 64 bits a random one that is free."""
        last = self.tree.last()
        largest = 0 if last is None else last[0]
        if self._sequence is not None:
            largest = max(largest, self._sequence.value)
            if largest == INT_MAX:
                raise SqlError("database or disk is full")
            return max(largest + 1, 1)
        if largest < INT_MAX:
            return max(largest + 1, 1)
        for _ in range(_ROWID_ATTEMPTS):
            candidate = random.randint(1, INT_MAX)
            if candidate not in self.tree:
                return candidate
        raise SqlError("database or disk is full")

    def checked(self, row: Row, key: Any) -> Row:
        """NOT NULL, STRICT and CHECK."""
        records = self.records
        for place, column in records.not_null:
            if row[place] is None:
                row = self._null(row, place, column)
        if records.strict:
            records.check_types(row)
        if records.has_checks and not self.ctx.session.ignore_check_constraints:
            message = records.failed_check(self.ctx, row, key)
            if message is not None:
                conflict = self.or_conflict or "ABORT"
                if conflict == "IGNORE":
                    raise Skipped
                if conflict == "REPLACE":
                    conflict = "ABORT"
                raise constraint_error(message, "CHECK", conflict)
        return row

    def _null(self, row: Row, place: int, column: Any) -> Row:
        conflict = self.or_conflict or column.not_null_conflict or "ABORT"
        if conflict == "IGNORE":
            raise Skipped
        if conflict == "REPLACE":
            if column.default is not None:
                from sql.dml.defaults import default_value

                value = default_value(self.ctx, self.records, place)
                if value is not None:
                    return (*row[:place], value, *row[place + 1 :])
            conflict = "ABORT"
        message = f"NOT NULL constraint failed: {self.table.name}.{column.name}"
        raise constraint_error(message, "NOT NULL", conflict)

    # -- conflicts -------------------------------------------------------------------------------

    def conflicts(self, key: Any, row: Row, old_key: Any = None) -> list[Conflict]:
        """Rows in the way of a row that is to be written in the place of `old_key` (None: inserted)."""
        found = []
        if key != old_key and key in self.tree:
            found.append(Conflict(None, key))
        for index, tree in zip(self.records.indexes, self.index_trees, strict=True):
            if index.unique:
                other = self._taken(index, tree, key, row)
                if other is not None and other != old_key:
                    found.append(Conflict(index, other))
        return found

    def _taken(self, index: IndexKeys, tree: Tree, key: Any, row: Row) -> Any:
        """The key of the row that has the same values in a unique index; None if there is none."""
        if not index.applies(self.ctx, row, key):
            return None
        prefix = index.key(self.ctx, row, key)[: index.parts]
        if None in prefix:
            return None
        for keys, _ in tree.batches(prefix, prefix, hi_inclusive=True):
            found = keys[0]
            return found[index.parts :] if self.table.without_rowid else found[index.parts]
        return None

    def resolve(self, found: Conflict) -> None:
        """Make way for a row, or raise: ConstraintError, `Skipped`."""
        conflict = self.or_conflict or self._own_conflict(found.index) or "ABORT"
        if conflict == "IGNORE":
            raise Skipped
        if conflict == "REPLACE":
            self.remove(found.key)
            return
        raise constraint_error(self.message(found.index), self.kind(found.index), conflict)

    def _own_conflict(self, index: IndexKeys | None) -> str | None:
        return self.table.rowid_conflict if index is None else index.index.conflict

    def message(self, index: IndexKeys | None) -> str:
        if index is None:
            return self.records.primary_key_message()
        return index.message(self.table)

    def kind(self, index: IndexKeys | None) -> str:
        return "PRIMARY KEY" if index is None or index.index.origin == "pk" else "UNIQUE"

    def remove(self, key: Any) -> None:
        """REPLACE: take a row away, with what hangs on it."""
        row = self.tree.get(key)
        if row is None:
            return
        if self.on_delete is not None:
            self.on_delete(key, row)
            row = self.tree.get(key)
            if row is None:
                return
        self.delete(key, row)
        self.replaced += 1

    # -- writing ---------------------------------------------------------------------------------

    def insert(self, key: Any, row: Row) -> None:
        """Write a row that nothing is in the way of."""
        ctx = self.ctx
        self.records.widen(ctx.transaction, row)
        self.tree.put(key, row)
        for index, tree in zip(self.records.indexes, self.index_trees, strict=True):
            if index.condition is None or index.applies(ctx, row, key):
                tree.put(index.key(ctx, row, key))

    def delete(self, key: Any, row: Row) -> None:
        """Take a row away."""
        ctx = self.ctx
        self.tree.delete(key)
        for index, tree in zip(self.records.indexes, self.index_trees, strict=True):
            if index.condition is None or index.applies(ctx, row, key):
                tree.delete(index.key(ctx, row, key))

    def replace(self, old_key: Any, old_row: Row, key: Any, row: Row) -> None:
        """Write a row in the place of another; only the index entries that differ are touched."""
        ctx = self.ctx
        self.records.widen(ctx.transaction, row)
        if key != old_key:
            self.tree.delete(old_key)
        self.tree.put(key, row)
        for index, tree in zip(self.records.indexes, self.index_trees, strict=True):
            had = index.condition is None or index.applies(ctx, old_row, old_key)
            has = index.condition is None or index.applies(ctx, row, key)
            old = index.key(ctx, old_row, old_key) if had else None
            new = index.key(ctx, row, key) if has else None
            if old != new:
                if old is not None:
                    tree.delete(old)
                if new is not None:
                    tree.put(new)

    def finish(self) -> None:
        """The statement is done: note the largest rowid given, for AUTOINCREMENT."""
        if self._sequence is not None:
            self._sequence.write()


class _Sequence:
    """A table's row of sqlite_sequence: the largest rowid it ever had."""

    def __init__(self, ctx: Context, name: str) -> None:
        self.name = name
        self.changed = False
        self.value = 0
        self.key: int | None = None
        table = ctx.schema.find_table("sqlite_sequence")
        assert table is not None, "made with the first AUTOINCREMENT table"
        self.tree: Tree = ctx.transaction.tree(table.tree_id)
        for keys, rows in self.tree.batches():
            for key, row in zip(keys, rows, strict=True):
                if row[0] == name:
                    self.key, self.value = key, row[1] if row[1].__class__ is int else 0

    def note(self, rowid: int) -> None:
        if rowid > self.value:
            self.value = rowid
            self.changed = True

    def write(self) -> None:
        if not self.changed:
            return
        if self.key is None:
            last = self.tree.last()
            self.key = 1 if last is None else last[0] + 1
        self.tree.widen((8, 2))
        self.tree.put(self.key, (self.name, self.value))
