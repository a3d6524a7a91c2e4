"""INSERT, UPDATE and DELETE on views: their INSTEAD OF triggers do the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sql.compile import prepare_select
from sql.dml.assignments import assigned
from sql.dml.foreign_keys import failed
from sql.dml.programs import Keyed, ProgramContext, with_state
from sql.dml.returning import Returning
from sql.dml.sources import Source
from sql.dml.target import WritePlan, row_columns, scan_query
from sql.dml.triggers import Triggers, fire
from sql.dml.undo import NOTED_ROWS, guarded
from sql.errors import SqlError
from sql.expressions import Affinity
from sql.parse import parse_statement
from sql.parse.statements import Delete, Insert, Update
from sql.result import WriteOutcome
from sql.run.arithmetic import RaiseIgnore
from sql.schema import Column, Table, quoted
from sql.values import affinity_of_type, apply_affinity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.schema import View
    from sql.session import Session

Row = tuple[Any, ...]


class ViewPlan(WritePlan):
    """A prepared write to a view."""

    single_step = True
    notes_writes = True

    def __init__(
        self,
        session: Session,
        statement: Insert | Update | Delete,
        view: View,
        env: BindEnvironment,
    ) -> None:
        self.database = view.database
        self.is_insert = isinstance(statement, Insert)
        event = type(statement).__name__.upper()
        changed = None
        if isinstance(statement, Update):
            changed = frozenset(
                name.lower() for item in statement.assignments for name in item.columns
            )
        self.table = table_of_view(view, env)
        self.triggers = Triggers(session, env, self.table, event, changed)
        if not self.triggers.instead:
            raise SqlError(f"cannot modify {view.name} because it is a view")
        self.width = len(self.table.columns)
        self.affinities = [column.affinity for column in self.table.columns]
        self.or_conflict = getattr(statement, "or_conflict", None)
        self.source: Source | None = None
        alias = statement.alias or statement.table.name
        columns = row_columns(self.table, alias)
        match statement:
            case Insert():
                if statement.upserts:
                    raise SqlError("cannot UPSERT a view")
                self.source = Source(statement, self.table, env)
                self.query = self.source.query
            case Update():
                places, values = assigned(statement.assignments, self.table)
                new = dict(zip(places, values, strict=True))
                outputs = [*columns, *[new.get(at, item) for at, item in enumerate(columns)]]
                select = scan_query(
                    statement, alias, outputs, from_=statement.from_, joins=statement.joins
                )
                self.query = prepare_select(select, env)
            case Delete():
                self.query = prepare_select(scan_query(statement, alias, columns), env)
        self.event = event
        self.returning: Returning | None = None
        if statement.returning:
            self.returning = Returning(statement.returning, self.table, env, statement.with_)
            self.columns = self.returning.columns

    def is_still_valid(self, transaction: Transaction) -> bool:
        return self.query is None or self.query.is_still_valid(transaction)

    def run(self, ctx: Context) -> WriteOutcome:
        with guarded(ctx) as undo:
            ctx, outermost = with_state(ctx, undo)
            returned = []
            found = self._found(ctx)
            if len(found) > NOTED_ROWS:
                undo.needed()
            for values in found:
                old, new = self._rows(values)
                try:
                    fire(self.triggers.instead, ctx, old, new, self.or_conflict)
                except RaiseIgnore:
                    continue
                except SqlError as error:
                    if outermost:
                        ctx.session.total_changes += ctx.state.changed
                        if error.conflict == "FAIL" and ctx.state.violations > 0:
                            raise failed() from error
                    raise
                if self.returning is not None:
                    shown = new or old
                    assert shown is not None
                    returned.append(self.returning.row(ctx, shown[1], None))
            if outermost and ctx.state.violations > 0:
                ctx.session.total_changes += ctx.state.changed
                raise failed()
        others = ctx.state.changed if outermost else 0
        return WriteOutcome(0, others, None if self.returning is None else returned)

    def _found(self, ctx: ProgramContext) -> list[Row]:
        batches: Iterable[list[Row]]
        if self.source is not None:
            batches = self.source.batches(ctx)
        else:
            assert self.query is not None
            batches = self.query.run(ctx)
        return [row for batch in batches for row in batch]

    def _rows(self, values: Row) -> tuple[Keyed | None, Keyed | None]:
        """OLD and NEW of one row.  An UPDATE's are under the affinities of the view's columns, of an INSERT's only
        the numbers of REAL columns are."""
        if self.event == "INSERT":
            return None, (-1, tuple(map(_as_real, values, self.affinities)))
        if self.event == "DELETE":
            return (None, values), None
        new = tuple(map(apply_affinity, values[self.width :], self.affinities))
        return (None, values[: self.width]), (None, new)


def _as_real(value: Any, affinity: Affinity) -> Any:
    return float(value) if value.__class__ is int and affinity == Affinity.REAL else value


def table_of_view(view: View, env: BindEnvironment) -> Table:
    """The view's columns as a table's record, for NEW and OLD."""
    name = f"{quoted(view.database)}.{quoted(view.name)}"
    statement: Any = parse_statement(f"SELECT * FROM {name}")
    columns = prepare_select(statement.tree, env).columns
    return Table(
        view.name,
        0,
        tuple(
            Column(column.name, column.declared_type, affinity_of_type(column.declared_type))
            for column in columns
        ),
        without_rowid=True,
        database=view.database,
    )
