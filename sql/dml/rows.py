"""`RowChanges`: one run of a statement, row by row, with triggers and foreign keys.

The order of steps for a row is SQLite's (insert.c, update.c, delete.c): BEFORE triggers, constraints,
foreign keys of the old row, the write, foreign keys of the new row, their actions, AFTER triggers.
RAISE(IGNORE) in a program leaves the rest of the row's steps out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sql.dml.conflicts import Resolution, Skipped, constraint_error, resolutions
from sql.dml.foreign_keys import failed
from sql.dml.keyed import OneRow
from sql.dml.programs import with_state
from sql.dml.triggers import fire, fire_after
from sql.dml.undo import guarded
from sql.dml.writer import Found, TableWriter, rowid_value
from sql.errors import SqlError
from sql.result import WriteOutcome
from sql.run.arithmetic import RaiseIgnore

if TYPE_CHECKING:
    from collections.abc import Callable

    from sql.context import Context
    from sql.dml.index_keys import IndexKeys
    from sql.dml.records import Row
    from sql.dml.returning import Returning
    from sql.dml.target import Target
    from sql.dml.undo import Undo


class RowChanges:
    """Counts and gathers what one run does.  `order` is the target's conflict resolution, `indexes` are
    those that an UPDATE may change where it leaves the tree key."""

    def __init__(
        self,
        ctx: Context,
        target: Target,
        undo: Undo,
        or_conflict: str | None = None,
        order: Sequence[Resolution] | None = None,
        returning: Returning | None = None,
        indexes: Sequence[IndexKeys] | None = None,
    ) -> None:
        self.target = target
        self.ctx, self.outermost = with_state(ctx, undo)
        self.undo = undo
        self.or_conflict = or_conflict
        self.order = resolutions(target.records, or_conflict) if order is None else order
        self.returning = returning
        self.indexes = target.records.indexes if indexes is None else indexes
        self.upserts: dict[int, RowChanges] = {}  # of DO UPDATE clauses, by their objects' id
        self.writer = TableWriter(self.ctx, target.records, or_conflict, undo)
        self.changes = 0
        self.rows: list[Row] = []
        self._removed: list[Any] = []  # keys of rows that REPLACE took away, with programs
        self._rowid_before = ctx.session.last_insert_rowid

    # -- the run as a whole ------------------------------------------------------------------------

    def each(self, rows: Sequence[Any], change: Callable[[Any], None]) -> None:
        """Call `change` for each of `rows`, stopping between them when cancelled."""
        try:
            for number, row in enumerate(rows):
                if not number & 255:
                    self.ctx.check()
                change(row)
        except SqlError as error:
            if self.outermost:
                self.ctx.session.total_changes += self.ctx.state.changed
                if error.conflict == "FAIL":
                    if self.ctx.state.violations > 0:  # what it would leave may not stay
                        raise failed() from error
                    error.changes = self.changes  # they stay, AUTOINCREMENT's largest rowid doesn't
            raise

    def finished(self) -> WriteOutcome:
        """The end of the statement.  ConstraintError if it leaves a foreign key violated."""
        self.writer.finish()
        if self.outermost and self.ctx.state.violations > 0:
            session = self.ctx.session
            session.total_changes += self.ctx.state.changed
            if self.changes == 1 and not self.target.triggers.any:
                session.last_insert_rowid = self._rowid_before
            raise failed()
        rows = self.rows if self.returning is not None else None
        others = self.ctx.state.changed if self.outermost else 0
        return WriteOutcome(self.changes, self.changes + others, rows)

    def _changed(self, row: Row, key: Any) -> None:
        self.changes += 1
        if self.returning is not None:
            self.rows.append(self.returning.row(self.ctx, row, key))

    # -- inserting ---------------------------------------------------------------------------------

    def insert(self, row: Row, key: Any = None) -> None:
        """Insert one row; `key` is a rowid that was given apart from the columns."""
        target, writer, ctx = self.target, self.writer, self.ctx
        try:
            if target.triggers.before:
                self._before_insert(row, key)
            key, row = writer.prepared(row, key)
            found = writer.make_way(self.order, key, row, self.remove)
        except (Skipped, RaiseIgnore):
            return
        if found is not None:
            self._upsert(found, key, row)
            return
        writer.insert(key, row)
        if key.__class__ is int:
            ctx.session.last_insert_rowid = key
        keys = target.foreign_keys
        if keys is not None:
            keys.after(ctx, (key, row))
        self._changed(row, key)
        if target.triggers.after:
            fire_after(target.triggers.after, ctx, None, (key, row), self.or_conflict)

    def _before_insert(self, row: Row, key: Any) -> None:
        """BEFORE INSERT triggers; a rowid that is still to be chosen shows as -1."""
        records = self.target.records
        alias = records.alias
        shown = records.convert(row)
        if alias is not None:
            rowid = shown[alias] if key is None else key
            rowid = -1 if rowid is None else rowid_value(rowid)
            shown = (*shown[:alias], rowid, *shown[alias + 1 :])
        else:
            rowid = -1 if key is None else rowid_value(key)
        records.check_types(shown)
        if records.generated:
            shown = records.fill_generated(self.ctx, shown, rowid)
        before = self.target.triggers.before
        fire(before, self.ctx, None, (rowid, shown), self.or_conflict)

    def _upsert(self, found: Found, key: Any, row: Row) -> None:
        clause = found.resolution.clause
        assert clause is not None
        clause.apply(self, found.key, key, row)

    # -- changing ----------------------------------------------------------------------------------

    def update(self, key: Any, old: Row, new_key: Any, row: Row, assigned: frozenset[int]) -> None:
        """Change one row.  `new_key` is its rowid from now on (as assigned), or its old tree key;
        `assigned` are the places of `row` that are new.  OLD stays what it was before the triggers that run first."""
        target, writer, ctx = self.target, self.writer, self.ctx
        records, triggers = target.records, target.triggers
        shown = old
        try:
            new_key, row = self._new_key(key, new_key, row, assigned)
            row = records.convert(row)
            if triggers.before or records.generated:
                records.check_types(row)
            if triggers.before:
                if records.generated:
                    row = records.fill_generated(ctx, row, new_key)
                before = triggers.before
                fire(before, ctx, (key, old), (new_key, row), self.or_conflict)
                current = writer.tree.get(key)
                if current is None:
                    return
                if current != old:
                    row = tuple(
                        [
                            new if place in assigned else now
                            for place, (new, now) in enumerate(zip(row, current, strict=True))
                        ]
                    )
                    old = current
            if records.generated:
                row = records.fill_generated(ctx, row, new_key)
            row = writer.checked(row, new_key)
            if records.primary_key is not None:
                new_key = records.primary_key(row)
            indexes = self.indexes
            self._removed.clear()
            writer.make_way(self.order, new_key, row, self.remove, key)
            if self._removed:
                current = self._left(key, old, new_key)
                if current is not old:
                    old, indexes = current, records.indexes
        except (Skipped, RaiseIgnore):
            return
        keys = target.foreign_keys
        if keys is not None:
            keys.before(ctx, (key, old), row)
        writer.replace(key, old, new_key, row, indexes)
        if keys is not None:
            keys.after(ctx, (new_key, row), old)
            keys.act(ctx, (key, old), (new_key, row))
        self._changed(row, new_key)
        if triggers.after:
            fire_after(triggers.after, ctx, (key, shown), (new_key, row), self.or_conflict)

    def _left(self, key: Any, old: Row, new_key: Any) -> Row:
        """The row to change, as the programs left it that ran for rows in its way.  `Skipped` if they took it away; an
        error, as in SQLite, if triggers did anything to it on behalf of an index's constraint."""
        current: Row | None = self.writer.tree.get(key)
        by_rowid = not self.target.table.without_rowid and self._removed == [new_key]
        triggers, _ = self.target.removal(self.ctx.transaction)
        if current != old and not by_rowid and self.ctx.session.recursive_triggers and triggers.any:
            raise constraint_error("constraint failed", "PINNED", "ABORT")
        if current is None:
            raise Skipped
        return old if current == old else current

    def _new_key(
        self, key: Any, new_key: Any, row: Row, assigned: frozenset[int]
    ) -> tuple[Any, Row]:
        """The rowid after the change, and the row with it in place."""
        alias = self.target.records.alias
        if alias is not None and alias in assigned:
            value = rowid_value(row[alias])
            if value is not row[alias]:
                row = (*row[:alias], value, *row[alias + 1 :])
            return value, row
        return (rowid_value(new_key) if -1 in assigned else key), row

    # -- deleting ----------------------------------------------------------------------------------

    def delete(self, key: Any) -> None:
        """Delete one row of the statement's own, if it is still there."""
        triggers = self.target.triggers
        row = self.writer.tree.get(key)
        if row is None:
            return
        try:
            if triggers.before:
                fire(triggers.before, self.ctx, (key, row), None)
            current = self.writer.tree.get(key)
            if current is None:
                return
        except RaiseIgnore:
            return
        self._delete(key, current, self.target.foreign_keys)
        self._changed(row, key)
        if triggers.after:
            fire_after(triggers.after, self.ctx, (key, row), None, self.or_conflict)

    def _delete(self, key: Any, row: Row, keys: Any) -> None:
        if keys is not None:
            keys.before(self.ctx, (key, row))
        self.writer.delete(key, row)
        if keys is not None:
            keys.act(self.ctx, (key, row), None)

    def remove(self, key: Any) -> bool:
        """REPLACE: take a row out of the way; whether programs ran.  REPLACE is what they do, too."""
        row = self.writer.tree.get(key)
        if row is None:
            return False
        triggers, keys = self.target.removal(self.ctx.transaction)
        if not self.ctx.session.recursive_triggers or not triggers.any:
            self._delete(key, row, keys)
            if keys is not None:
                self._removed.append(key)
            return keys is not None
        self._removed.append(key)
        try:
            fire(triggers.before, self.ctx, (key, row), None, "REPLACE")
        except RaiseIgnore:
            return True  # it stays in the way
        if self.writer.tree.get(key) is not None:
            self._delete(key, row, keys)
            fire_after(triggers.after, self.ctx, (key, row), None, "REPLACE")
        return True


def one_and_after(
    ctx: Context, target: Target, write: OneRow, or_conflict: str | None = None
) -> WriteOutcome | None:
    """One row, which `write` writes and tells (its key, the row before, the row, rows of RETURNING or None), and then its
    AFTER triggers; None, with nothing written, where the row needs a closer look."""
    with guarded(ctx) as undo:
        inner, outermost = with_state(ctx, undo)
        told: Any = write(inner)
        if told is None or told.__class__ is WriteOutcome:
            return told
        key, old, new, returned = told
        session, state = inner.session, inner.state
        before = None if old is None else (key, old)
        after = None if new is None else (key, new)
        try:
            fire_after(target.triggers.after, inner, before, after, or_conflict)
        except SqlError as error:
            if outermost:
                session.total_changes += state.changed
                if error.conflict == "FAIL":
                    if state.violations > 0:
                        raise failed() from error
                    error.changes = 1
            raise
        if not outermost:
            return WriteOutcome(1, 1, returned)
        if state.violations > 0:
            session.total_changes += state.changed
            raise failed()
        return WriteOutcome(1, 1 + state.changed, returned)
