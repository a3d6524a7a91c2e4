"""INSERT, UPDATE and DELETE on views: their INSTEAD OF triggers do the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlglot import exp

from sql.compile import compile_values, prepare_select
from sql.dml.target import WritePlan, column_place, row_columns, scan_query
from sql.dml.triggers import Triggers, fire
from sql.dml.update import assigned
from sql.errors import SqlError
from sql.parse import parse_statement
from sql.parse.statements import Delete, Insert, Update
from sql.result import WriteOutcome
from sql.run.arithmetic import RaiseIgnore
from sql.schema import Column, Table

if TYPE_CHECKING:
    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.schema import View
    from sql.session import Session

Row = tuple[Any, ...]


class ViewPlan(WritePlan):
    """A prepared write to a view."""

    def __init__(
        self,
        session: Session,
        statement: Insert | Update | Delete,
        view: View,
        env: BindEnvironment,
    ) -> None:
        self.session = session
        self.temporary = view.temporary
        self.is_insert = isinstance(statement, Insert)
        self.table = _as_table(view, env)
        event = type(statement).__name__.upper()
        changed = None
        if isinstance(statement, Update):
            changed = frozenset(
                name.lower() for item in statement.assignments for name in item.columns
            )
        self.triggers = Triggers(session, env, self.table, event, changed)
        if not self.triggers.instead:
            raise SqlError(f"cannot modify {view.name} because it is a view")
        if statement.returning:
            raise SqlError("RETURNING is not available on views")
        self.width = len(self.table.columns)
        self.places: list[int] = []
        self._values: Any = None
        self.query: Any = None
        alias = statement.alias or statement.table.name
        match statement:
            case Insert():
                self._prepare_insert(statement, env)
            case Update():
                self.places, values = assigned(statement, self.table)
                outputs = [*row_columns(self.table, alias), *values]
                select = scan_query(
                    statement, alias, outputs, from_=statement.from_, joins=statement.joins
                )
                self.query = prepare_select(select, env)
            case Delete():
                self.query = prepare_select(
                    scan_query(statement, alias, row_columns(self.table, alias)), env
                )
        self.run_row = {"INSERT": self._insert, "UPDATE": self._update, "DELETE": self._delete}[
            event
        ]

    def _prepare_insert(self, statement: Insert, env: BindEnvironment) -> None:
        self.places = [column_place(self.table, name) for name in statement.columns] or list(
            range(self.width)
        )
        source = statement.source
        if isinstance(source, exp.Values) and statement.with_ is None:
            rows = [[item.copy() for item in row.expressions] for row in source.expressions]
            self._values = compile_values(rows, env)
            counts = {len(row) for row in rows}
        elif source is None:
            self._values = lambda ctx: [(None,) * len(self.places)]
            counts = {len(self.places)}
        else:
            tree = source.copy()
            if statement.with_ is not None:
                tree.set("with_", statement.with_.copy())
            self.query = prepare_select(tree, env)
            counts = {len(self.query.columns)}
        if counts != {len(self.places)}:
            raise SqlError(
                f"table {self.table.name} has {self.width} columns but"
                f" {max(counts)} values were supplied"
            )

    def is_still_valid(self, transaction: Transaction) -> bool:
        return self.query is None or bool(self.query.is_still_valid(transaction))

    def _insert(self, values: Row) -> tuple[Any, Any]:
        row: list[Any] = [None] * self.width
        for place, value in zip(self.places, values, strict=True):
            row[place] = value
        return None, (-1, tuple(row))

    def _update(self, values: Row) -> tuple[Any, Any]:
        row = list(values[: self.width])
        for place, value in zip(self.places, values[self.width :], strict=True):
            row[place] = value
        return (None, values[: self.width]), (None, tuple(row))

    def _delete(self, values: Row) -> tuple[Any, Any]:
        return (None, values), None

    def run(self, ctx: Context) -> WriteOutcome:
        if self._values is not None:
            found = self._values(ctx)
        else:
            found = [row for batch in self.query.run(ctx) for row in batch]
        changes = others = 0
        for values in found:
            old, new = self.run_row(values)
            changes += 1
            try:
                others += fire(self.triggers.instead, ctx, old, new)
            except RaiseIgnore:
                changes -= 1
        return WriteOutcome(changes, changes + others)


def _as_table(view: View, env: BindEnvironment) -> Table:
    """The view's columns as a table's record, for NEW and OLD."""
    name = view.name.replace('"', '""')
    statement: Any = parse_statement(f'SELECT * FROM "{name}"')
    columns = prepare_select(statement.tree, env).columns
    return Table(
        view.name,
        0,
        tuple(Column(column.name, column.declared_type) for column in columns),
        without_rowid=True,
        temporary=view.temporary,
    )
