"""DELETE: a query finds the rows to go; a whole table is cleared at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from sql.compile import compile_change, plan_select
from sql.compile.query import trees_of
from sql.dml.bulk import remove_rows
from sql.dml.collector import gathered
from sql.dml.entry_sorting import in_key_order
from sql.dml.records import KIND_BITS, Row
from sql.dml.target import (
    SETS_AT_ONCE,
    QueriedPlan,
    Target,
    Values,
    condition_of,
    is_plain,
    row_columns,
    scan_query,
    tree_key,
)
from sql.dml.triggers import AT_ONCE_MIN, fire_for_all
from sql.dml.undo import NOTED_ROWS, Undo, guarded, not_noted
from sql.dml.unique_keys import UniqueKey, key_run, unique_key
from sql.result import WriteOutcome

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.compile import CompiledChange, CompiledQuery
    from sql.context import Context
    from sql.dml.by_column import Rows, Tell
    from sql.dml.cascades import Cascade
    from sql.dml.keyed import OneRow
    from sql.dml.keyed_many import ManyRows
    from sql.dml.programs import Change
    from sql.dml.returning import Returning
    from sql.dml.row_programs import RowPrograms
    from sql.parse.statements import Delete
    from sql.schema import Table
    from sql.session import Session


_UNKNOWN: Any = object()


class DeletePlan(QueriedPlan):
    """A prepared DELETE from a stored table."""

    def __init__(
        self,
        session: Session,
        statement: Delete,
        table: Table,
        env: BindEnvironment,
        target: Target | None = None,
    ) -> None:
        self.session = session
        self.database = table.database
        self.table = table
        self.target = target or Target(session, env, table, "DELETE")
        alias = statement.alias or statement.table.name
        self.returning: Returning | None = None
        if statement.returning:
            from sql.dml.returning import Returning

            self.returning = Returning(statement.returning, table, env, statement.with_)
            self.columns = self.returning.columns
        keys = self.target.foreign_keys
        # What a subquery of RETURNING sees of the table is what each row leaves behind.
        by_row = self.returning is not None and self.returning.volatile
        self.plain = self.target.plain and not by_row
        self._children_only = (
            keys is not None and not keys.parents and not self.target.triggers.any and not by_row
        )
        self.whole = (
            self.plain
            and self.returning is None
            and statement.where is None
            and statement.limit is None
        )
        outputs = [tree_key(alias)]
        self.needs_rows = (self.plain or self._children_only) and (
            bool(self.target.records.indexes) or self.returning is not None
        )
        if self.needs_rows:
            outputs += row_columns(table, alias)
        self._select = scan_query(statement, alias, outputs)
        self.query = plan_select(self._select, env)
        self._by_column = self.plain or self._children_only
        self._compiled: tuple[CompiledQuery, tuple[int, ...], CompiledChange | None] | None = None
        self._keys: Rows | None = None
        self._cascade: Cascade | None = _UNKNOWN
        self._one: OneRow | None = None
        self._by_keys: tuple[UniqueKey, ManyRows] | None = None
        triggers = self.target.triggers
        self._fires = keys is None and bool(triggers.after) and not triggers.before
        self._noted = bool(env.extra_scopes)  # a program's statement
        programs = None
        if not by_row and (triggers.any or (keys is not None and keys.parents)):
            from sql.dml.row_programs import RowPrograms

            programs = RowPrograms.of(self.target, env, "DELETE")
        starts = programs is not None and (programs.any or triggers.any)
        if not by_row and (not triggers.any or self._fires or starts):
            self._key(statement, alias, programs if starts else None)
        if (
            self._noted
            and self.plain
            and self.returning is None
            and is_plain(self.query)
            and trees_of(self.query.block) == {table.tree_id}
        ):
            self.apart_tree = table.tree_id
        if self.needs_scan(env):
            self.query.generate()

    def _key(self, statement: Delete, alias: str, programs: RowPrograms | None) -> None:
        """Make the short way to a row, or to the few that an index finds, if the statement is of that form."""
        records, starts = self.target.records, self._fires or programs is not None
        noted = self._noted or starts
        if not is_plain(self.query):
            return
        found = unique_key(self.query, records)
        if found is None and not self.target.triggers.any and not (starts and self.returning):
            found = key_run(self.query, records)
        if found is None:
            return
        from sql.dml.keyed import keyed_delete

        one = keyed_delete(
            self.target,
            found,
            self.table if alias == self.table.name else replace(self.table, name=alias),
            where=statement.where and condition_of(statement.where),
            returning=self.returning,
            noted=noted,
            tells=starts,
            programs=programs,
            with_children=self._remove_with_children,
        )
        self.take_short_way(one, programs)
        if self._one is None or noted or not self.plain or self.returning is not None:
            return
        if found.is_all and found.is_given:
            from sql.dml.keyed_many import deletes_by_key

            self._by_keys = found, deletes_by_key(records, found)
            if found.is_unique:
                self.sets_at_once = SETS_AT_ONCE

    def _remove_with_children(self, ctx: Context, key: Any, row: Row) -> int | None:
        cascade = self._children(ctx)
        if cascade is None:
            return None
        with guarded(ctx):
            return cascade.run(ctx, [key], [row])

    def _children(self, ctx: Context) -> Cascade | None:
        """What deletes rows together with those that refer to them, if that is possible."""
        if self._cascade is _UNKNOWN:
            from sql.dml.cascades import Cascade

            env = self.session.environment(ctx.transaction)
            self._cascade = Cascade.of(self.session, env, self.table)
        return self._cascade

    def _changed(self, ctx: Context) -> WriteOutcome:
        if self.whole:
            return self._cleared(ctx)
        keys = self.target.foreign_keys
        if self.plain or (self._children_only and keys is not None and keys.undisturbed(ctx, ())):
            if self._by_column and self._change_by_column(ctx) is not None:
                from sql.dml.by_column import with_returned

                outcome = with_returned(
                    ctx, self.returning, len(self.table.columns), self._run_by_column
                )
                if outcome is not None:
                    return outcome
            try:
                found = gathered(self.query.run(ctx))
                if self.returning is not None:
                    found = in_key_order(found)
            except BaseException:
                ctx.session.changes = 0
                raise
            with guarded(ctx):
                return self._in_bulk(ctx, found)
        with guarded(ctx) as undo:
            outcome = self._by_column_and_after(ctx, undo)
            if outcome is not None:
                return outcome
            found = [row for batch in self.query.run(ctx) for row in batch]
            outcome = self._with_children(ctx, found) or self._and_after(ctx, found, undo)
            if outcome is not None:
                return outcome
            if len(found) > NOTED_ROWS:
                undo.needed()
            from sql.dml.rows import RowChanges

            changes = RowChanges(ctx, self.target, undo, returning=self.returning)
            changes.each(in_key_order(found), lambda item: changes.delete(item[0]))
            return changes.finished()

    def run_many(self, ctx: Context, parameter_sets: Iterable[Values]) -> WriteOutcome:
        if self._by_keys is None:
            return super().run_many(ctx, parameter_sets)
        from sql.dml.keyed_many import run_by_key

        unique, many = self._by_keys
        return run_by_key(self, ctx, parameter_sets, unique, many, ordered=False)

    @property
    def _may_wait(self) -> bool:
        """Whether there are triggers that may run when all rows are gone."""
        target = self.target
        return target.triggers.any and self.returning is None and target.foreign_keys is None

    def _by_column_and_after(self, ctx: Context, undo: Undo) -> WriteOutcome | None:
        """Delete from a large table by column, and then run its triggers; None, with nothing written, if that is not possible."""
        if not self._may_wait:
            return None
        from sql.dml.by_column import changes_into
        from sql.dml.programs import with_state

        inner, outermost = with_state(ctx, undo)
        if not outermost or self._change_by_column(ctx) is None:
            return None
        told: list[Change] = []

        def write() -> tuple[list[Change], list[Change]] | None:
            tell = changes_into(told, len(self.table.columns))
            return None if self._run_by_column(inner, tell) is None else (told, told)

        if not fire_for_all(self.target.triggers, inner, self.table, None, write):
            return None
        return WriteOutcome(len(told), len(told) + inner.state.changed)

    def _and_after(self, ctx: Context, found: list[Row], undo: Undo) -> WriteOutcome | None:
        """Delete many rows, and then run their triggers; None, with nothing written, if that is to be done row by row."""
        triggers = self.target.triggers
        if not self._may_wait or len(found) < AT_ONCE_MIN:
            return None
        from sql.dml.programs import with_state

        inner, outermost = with_state(ctx, undo)
        if not outermost:
            return None

        def write() -> tuple[list[Change], list[Change]]:
            keys = [item[0] for item in in_key_order(found)]
            rows = ctx.transaction.tree(self.table.tree_id).get_many(keys)
            remove_rows(inner, self.target.records, keys, rows)
            told: list[Change] = [(pair, None) for pair in zip(keys, rows, strict=True)]
            return told, told

        if not fire_for_all(triggers, inner, self.table, None, write):
            return None
        return WriteOutcome(len(found), len(found) + inner.state.changed)

    def _with_children(self, ctx: Context, found: list[Row]) -> WriteOutcome | None:
        """Delete rows that others refer to; None, with nothing written, if that is better done row by row."""
        keys = self.target.foreign_keys
        if (
            keys is None
            or not keys.parents
            or self.target.triggers.any
            or (self.returning is not None and self.returning.volatile)
            or not keys.undisturbed(ctx, ())
        ):
            return None
        cascade = self._children(ctx)
        if cascade is None:
            return None
        gone = [item[0] for item in in_key_order(found)]
        rows = ctx.transaction.tree(self.table.tree_id).get_many(gone)
        others = cascade.run(ctx, gone, rows)
        if others is None:
            return None
        returned: list[Row] | None = None
        if self.returning is not None:
            make = self.returning.row
            returned = [make(ctx, row, key) for key, row in zip(gone, rows, strict=True)]
        return WriteOutcome(len(gone), len(gone) + others, returned)

    def _cleared(self, ctx: Context) -> WriteOutcome:
        transaction = ctx.transaction
        tree = transaction.tree(self.table.tree_id)
        count = len(tree)
        if count:
            with guarded(ctx):
                not_noted(ctx)
                tree.clear()
                for index in self.target.records.indexes:
                    transaction.tree(index.tree_id).clear()
        return WriteOutcome(count)

    def _run_by_column(self, ctx: Context, tell: Tell | None = None) -> WriteOutcome | None:
        """Delete from a large table by column; None, with nothing written, if that is not possible.  `tell` is told of the
        rows."""
        change = self._change_by_column(ctx)
        if change is None:
            return None
        from sql.dml.by_column import delete_by_column

        return delete_by_column(ctx, change, self.target.records, self._found_keys, tell)

    def _change_by_column(self, ctx: Context) -> CompiledChange | None:
        """How the rows of a large table are found by column; None if they are not."""
        query, known = self.query, self._compiled
        kinds = tuple([KIND_BITS[value.__class__] for value in ctx.parameters])
        if known is not None and known[0] is query and known[1] == kinds:
            return known[2]
        change = compile_change(query, (), kinds, ctx.transaction)
        self._compiled, self._keys = (query, kinds, change), None
        return change

    def _found_keys(self, ctx: Context) -> list[Row]:
        if self._keys is None:
            select = self._select.copy()
            select.set("expressions", select.expressions[:1])
            from sql.dml.by_column import rows_function

            self._keys = rows_function(ctx, select, self.target.env)
        return self._keys(ctx)

    def _in_bulk(self, ctx: Context, found: Sequence[Row]) -> WriteOutcome:
        """Take rows away that nothing but the table and its indexes knows of."""
        returned: list[Row] | None = None
        if self.returning is not None:
            make = self.returning.row
            returned = [make(ctx, item[1:], item[0]) for item in found]
        keys = [item[0] for item in found]
        rows = [item[1:] for item in found] if self.target.records.indexes else ()
        remove_rows(ctx, self.target.records, keys, rows)
        return WriteOutcome(len(found), None, returned)
