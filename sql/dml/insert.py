"""INSERT and REPLACE into stored tables.

Three ways lead to the same rows, each falling back on the next where it meets something out of the
ordinary, with nothing written: one row whose columns and indexes ask for no decision (`_one`), many
rows in bulk (`bulk`), and row by row with all constraints, triggers, foreign keys and upserts (`rows`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from btree import CollectorPaused
from sql.compile.query import trees_of
from sql.dml.apart import apart
from sql.dml.bulk import BulkInsert, Loaded
from sql.dml.conflicts import resolutions
from sql.dml.filling import insert_columns
from sql.dml.insert_one import insert_one
from sql.dml.keyed import OneRow
from sql.dml.merge import Merge, merges
from sql.dml.programs import Change, with_state
from sql.dml.records import Row
from sql.dml.returning import Returning
from sql.dml.row_programs import RowPrograms, Starting
from sql.dml.rows import RowChanges, one_and_after
from sql.dml.sources import Source
from sql.dml.target import Target, Values, WritePlan
from sql.dml.triggers import fire_for_all
from sql.dml.undo import NOTED_ROWS, Undo, guarded, not_noted
from sql.dml.upsert import upsert_clauses
from sql.dml.writer import LargestRowid
from sql.errors import SqlError
from sql.result import WriteOutcome
from sql.run.spill import ROOM_PARTS, rows_within

if TYPE_CHECKING:
    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.parse.statements import Insert
    from sql.schema import Table
    from sql.session import Session

BULK_ROWS_MIN = 8
_ROWS_AT_ONCE = 8192
_SORTED_AT_ONCE = 262144
"""Rows that are written at once; where they have to be put in the order of a key or of indexes, or have turned out to come
in none, the more so: each leaf is searched and changed once for all that go there."""


_OF_ROW = re.compile(r"on\s+conflict.*\b(?:new|old)\b", re.IGNORECASE | re.DOTALL).search
"""An upsert that may ask for the row of its program: what that is, is not known any more when the values of many are."""


class InsertPlan(WritePlan):
    """A prepared INSERT."""

    is_insert = True
    single_step = True
    notes_writes = True

    def __init__(
        self, session: Session, statement: Insert, table: Table, env: BindEnvironment
    ) -> None:
        self.session = session
        self.database = table.database
        self.statement = statement
        self.table = table
        self.tree_id = table.tree_id
        self.source = Source(statement, table, env)
        self.query = self.source.query
        self.target = target = Target(session, env, table, "INSERT")
        triggers = target.triggers
        self._fires = bool(triggers.after) and not triggers.before and not table.without_rowid
        self._is_inner = bool(env.extra_scopes)  # a program's statement
        clauses = upsert_clauses(session, env, target, statement)
        records = target.records
        self.order = resolutions(records, statement.or_conflict, clauses)
        self.returning: Returning | None = None
        if statement.returning:
            self.returning = Returning(statement.returning, table, env, statement.with_)
            self.columns = self.returning.columns
        self.volatile = any(clause.volatile for clause in clauses) or (
            self.returning is not None and self.returning.volatile
        )
        self.bulk: BulkInsert | None = None
        self._merge: Merge | None = None
        self._waits = triggers.any and not table.without_rowid
        if not triggers.any or self._waits:
            removes_alone = self._removes_alone(env)
            self.bulk = BulkInsert(records, self.order, removes_alone=removes_alone)
            if not self._waits:
                self._merge = merges(records, self.order, removes_alone=removes_alone)
                if self._merge is not None and self.returning is None and not self._is_inner:
                    self._merge.apart = apart(records, self.order, self.bulk)
        if (
            self._is_inner
            and target.plain
            and self.source.values is not None
            and self.returning is None
            and (self._merge is not None or self._only_refuses())
        ):
            self.apart_tree = table.tree_id
        self._changes_by_row = bool(clauses) and _OF_ROW(statement.text) is not None
        self._may_join_sets = (
            self.source.values is not None and not self.volatile and not self.source.is_followed
        )
        self._buffers = not target.plain or (
            self.query is not None and self.tree_id in trees_of(self.query.block)
        )
        self._may_fill = self._concerns_table_alone()
        sorts = bool(records.indexes) or table.without_rowid or self._merge is not None
        self._at_once = _SORTED_AT_ONCE if sorts else _ROWS_AT_ONCE
        if sorts and self.bulk is not None and self.source.values is not None:
            self.sets_at_once = _SORTED_AT_ONCE
        self._one: OneRow | None = None
        self._starting: Starting | None = None
        programs = None
        if triggers.any and not table.without_rowid:
            programs = RowPrograms.of(target, env, "INSERT", statement.or_conflict)
        if not triggers.any or self._fires or programs is not None:
            self._one = insert_one(
                self.source,
                target,
                self.order,
                removes_alone=self._removes_alone(env),
                returning=self.returning,
                noted=self._is_inner or triggers.any,
                tells=triggers.any,
                programs=programs,
            )
        if programs is not None and self._one is not None:
            self._starting = Starting(self._one, programs)
            if not self._fires:
                self._one = None

    def _concerns_table_alone(self) -> bool:
        """Whether a query's rows are put into the table's tree and its indexes, and that is all."""
        records = self.target.records
        return (
            self.query is not None
            and self.bulk is not None
            and self.target.foreign_keys is None
            and self.returning is None
            and not (self._buffers or self._is_inner)
            and not (records.generated or records.has_checks)
            and not (self.table.without_rowid or self.table.autoincrement)
        )

    def _only_refuses(self) -> bool:
        """Whether a row in the way changes nothing of others."""
        return not {item.action for item in self.order} & {"REPLACE", "UPDATE"}

    def _removes_alone(self, env: BindEnvironment) -> bool:
        if not any(item.action == "REPLACE" for item in self.order):
            return False
        triggers, keys = self.target.removal(env.transaction)
        return keys is None and not triggers.any

    def is_still_valid(self, transaction: Transaction) -> bool:
        return not self.volatile and (self.query is None or self.query.is_still_valid(transaction))

    @property
    def one(self) -> OneRow | None:
        if self.volatile:
            return None
        if self._starting is not None:
            return self._starting.one
        return None if self._fires else self._one

    @property
    def within_program(self) -> OneRow | None:
        if self.volatile:
            return None
        if self._starting is not None:
            return self._starting.within_program
        return None if self._fires else self._one

    # -- running ---------------------------------------------------------------------------------

    def run(self, ctx: Context) -> WriteOutcome:
        if self._starting is not None:
            outcome = self._starting.one(ctx)
            if outcome is not None:
                return outcome
        one = self._one
        if one is not None:
            if self._fires:
                outcome = one_and_after(ctx, self.target, one, self.statement.or_conflict)
            else:
                outcome = one(ctx)
            if outcome is not None:
                return outcome
        if self._may_fill:
            columns = self.source.columns(ctx)
            if columns is not None:
                outcome = insert_columns(ctx, self.target.records, columns)
                if outcome is not None:
                    return outcome
        return self._insert(ctx, self.source.batches(ctx))

    def run_many(self, ctx: Context, parameter_sets: Iterable[Values]) -> WriteOutcome:
        if not self._may_join_sets:
            return super().run_many(ctx, parameter_sets)
        sets = parameter_sets if isinstance(parameter_sets, list) else list(parameter_sets)
        return self._insert(ctx, self._rows_of(ctx, sets), whole=len(sets) <= self._at_once)

    def _rows_of(self, ctx: Context, sets: list[Values]) -> Iterator[list[Row]]:
        if len(sets) <= self._at_once:
            yield self.source.of_sets(ctx, sets)
            return
        for start in range(0, len(sets), self._at_once):
            yield self.source.of_sets(ctx, sets[start : start + self._at_once])

    def _insert(
        self, ctx: Context, batches: Iterable[list[Row]], *, whole: bool = True
    ) -> WriteOutcome:
        """Write the rows of one execution; `whole`: VALUES come in one batch."""
        if self._buffers:
            batches = [[row for batch in batches for row in batch]]
        outcome = WriteOutcome(0)
        returned: list[Row] | None = None if self.returning is None else []
        with guarded(ctx) as undo:
            if self.query is not None or returned is not None or not whole:
                undo.needed()
            for rows in self._gathered(ctx, batches):
                ctx.check()
                try:
                    done = self._insert_rows(ctx, rows, undo)
                except SqlError as error:
                    error.changes += outcome.changes
                    raise
                outcome.changes += done.changes
                outcome.total_changes += done.total_changes
                if returned is not None:
                    returned += done.rows or ()
            if self.table.autoincrement and not outcome.changes:
                LargestRowid(ctx, self.table).write(undo.note)
        outcome.rows = returned
        return outcome

    def _gathered(self, ctx: Context, batches: Iterable[list[Row]]) -> Iterator[list[Row]]:
        """Small batches put together, so that each bulk load is worth its while."""
        pending: list[list[Row]] = []
        count = at_once = 0
        for batch in batches:
            if batch:
                pending.append(batch)
                count += len(batch)
            if pending and count >= at_once:
                at_once = rows_within(
                    pending[-1], ctx.memory_limit_bytes // ROOM_PARTS, self._at_once
                )
            if pending and count >= at_once:
                yield pending[0] if len(pending) == 1 else list(chain.from_iterable(pending))
                pending, count = [], 0
        if pending:
            yield pending[0] if len(pending) == 1 else list(chain.from_iterable(pending))

    def _insert_rows(self, ctx: Context, rows: list[Row], undo: Undo) -> WriteOutcome:
        if self.bulk is not None and len(rows) >= BULK_ROWS_MIN:
            if self._waits:
                done = self._with_triggers(ctx, self.bulk, rows, undo)
            else:
                done = self._in_bulk(ctx, self.bulk, rows, undo)
            if done is not None:
                return done
        if len(rows) > NOTED_ROWS:
            undo.needed()
        changes = RowChanges(
            ctx, self.target, undo, self.statement.or_conflict, self.order, self.returning
        )
        insert = changes.insert
        if self.source.rowid_last:
            changes.each(rows, lambda row: insert(row[:-1], row[-1]))
        else:
            changes.each(rows, insert)
        return changes.finished()

    # -- in bulk ---------------------------------------------------------------------------------

    def _with_triggers(
        self, ctx: Context, bulk: BulkInsert, rows: list[Row], undo: Undo
    ) -> WriteOutcome | None:
        """Insert many rows and run their triggers; None, with nothing written, if that is to be done row by row."""
        if self.volatile or not self._only_refuses():
            return None
        inner, outermost = with_state(ctx, undo)
        if not outermost:
            return None
        done: list[WriteOutcome] = []
        triggers = self.target.triggers

        def write() -> tuple[list[Change], list[Change]] | None:
            told: list[Change] = []
            outcome = self._in_bulk(ctx, bulk, rows, undo, told)
            if outcome is None or (triggers.before and len(told) < len(rows)):
                return None  # they are run for rows that OR IGNORE leaves out, too
            done.append(outcome)
            return self._shown(rows, told), told

        or_conflict = self.statement.or_conflict
        if not fire_for_all(triggers, inner, self.table, or_conflict, write):
            return None
        outcome = done[0]
        outcome.total_changes += inner.state.changed
        return outcome

    def _shown(self, given: list[Row], told: list[Change]) -> list[Change]:
        """What BEFORE triggers are shown of new rows: a rowid that was still to be chosen as -1."""
        alias = self.target.records.alias
        place = -1 if self.source.rowid_last else alias
        if not self.target.triggers.before or (place is not None and given[0][place] is not None):
            return told
        shown: list[Change] = []
        for _, new in told:
            assert new is not None
            row = new[1] if alias is None else (*new[1][:alias], -1, *new[1][alias + 1 :])
            shown.append((None, (-1, row)))
        return shown

    def run_each(self, ctx: Context, bound: Iterable[Context], changes: Sequence[Change]) -> int:
        if self._changes_by_row:
            return super().run_each(ctx, bound, changes)
        rows = self.source.of_changes(ctx, changes)
        if rows is None:
            values = self.source.values
            assert values is not None
            rows = [row for each in bound for row in values(each)]
        return self._insert(ctx, [rows]).changes

    def _in_bulk(
        self,
        ctx: Context,
        bulk: BulkInsert,
        rows: list[Row],
        undo: Undo,
        told: list[Change] | None = None,
    ) -> WriteOutcome | None:
        """Insert many rows at once; None, with nothing written, if they need a closer look.  `told`: what is told of
        them."""
        given = None
        stored: Sequence[Row] = rows
        if self.source.rowid_last:
            given = [row[-1] for row in rows]
            stored = [row[:-1] for row in rows]
        keys = self.target.foreign_keys
        if keys is not None and not keys.undisturbed(ctx, stored, in_order=bulk.refuses):
            return None
        sequence = None
        if self.table.autoincrement:
            sequence = LargestRowid(ctx, self.table)
        not_noted(ctx)
        if bulk.rebuilds(ctx, stored):
            undo.needed()
        merge, loaded = self._merge, None
        if merge is None or bulk.ignores or bulk.replaces:
            loaded = bulk.load(ctx, stored, given, sequence)
        if loaded is None and merge is not None:
            with CollectorPaused():
                loaded = merge.run(ctx, stored, given)
        if loaded is None:
            return None
        if bulk.is_scattered:
            self.sets_at_once = self._at_once = _SORTED_AT_ONCE
        if sequence is not None:
            sequence.write(undo.note)
        if told is not None:
            told += [(None, new) for new in zip(loaded.keys, loaded.rows, strict=True)]
        if loaded.inserted is not None and not self.table.without_rowid:
            self.session.last_insert_rowid = loaded.inserted
        return WriteOutcome(loaded.count, None, self._returned(ctx, loaded))

    def _returned(self, ctx: Context, loaded: Loaded) -> list[Row] | None:
        if self.returning is None:
            return None
        make = self.returning.row
        return [make(ctx, row, key) for row, key in zip(loaded.rows, loaded.keys, strict=True)]
