"""UPDATE: the rows to change are found by a query, all of them, before the first is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlglot import exp

from sql.compile import prepare_select
from sql.dml.records import Row
from sql.dml.returning import Returning
from sql.dml.target import (
    Target,
    WritePlan,
    column_place,
    row_columns,
    scan_query,
    tree_key,
)
from sql.dml.triggers import Triggers, fire
from sql.dml.writer import Skipped, TableWriter
from sql.errors import ConstraintError, SqlError
from sql.result import WriteOutcome
from sql.run.arithmetic import RaiseIgnore
from sql.values import apply_affinity, integral

if TYPE_CHECKING:
    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.parse.statements import Update
    from sql.schema import Table
    from sql.session import Session


def assigned(statement: Update, table: Table) -> tuple[list[int], list[exp.Expression]]:
    """Positions (-1: the rowid) and expressions of SET, in order."""
    places: list[int] = []
    values: list[exp.Expression] = []
    for assignment in statement.assignments:
        columns = assignment.columns
        items: list[exp.Expression] = [assignment.value]
        if len(columns) > 1:
            items = _row_values(assignment.value, len(columns))
        for name, item in zip(columns, items, strict=True):
            place = column_place(table, name, assignment.start)
            if place >= 0 and table.columns[place].generated is not None:
                raise SqlError(f'cannot UPDATE generated column "{table.columns[place].name}"')
            places.append(place)
            values.append(item)
    return places, values


def _row_values(value: exp.Expression, count: int) -> list[exp.Expression]:
    """`(a, b) = (1, 2)` or `(a, b) = (SELECT 1, 2)`: one expression per column."""
    node = value
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Tuple):
        if len(node.expressions) != count:
            raise SqlError(f"{count} columns assigned {len(node.expressions)} values")
        return list(node.expressions)
    query = node.this if isinstance(node, exp.Subquery) else node
    if not isinstance(query, exp.Select):
        raise SqlError(f"{count} columns assigned 1 values")
    if len(query.expressions) != count:
        raise SqlError(f"{count} columns assigned {len(query.expressions)} values")
    made: list[exp.Expression] = []
    for place in range(count):
        one = query.copy()
        one.set("expressions", [one.expressions[place]])
        made.append(exp.Subquery(this=one))
    return made


class UpdatePlan(WritePlan):
    """A prepared UPDATE of a stored table."""

    def __init__(
        self, session: Session, statement: Update, table: Table, env: BindEnvironment
    ) -> None:
        self.session = session
        self.temporary = table.temporary
        self.statement = statement
        self.table = table
        self.target = Target(session, env, table, "UPDATE")
        alias = statement.alias or statement.table.name
        self.places, values = assigned(statement, table)
        changed = frozenset(
            table.columns[place].name.lower() for place in self.places if place >= 0
        )
        self.triggers = Triggers(session, env, table, "UPDATE", changed)
        outputs = [tree_key(alias), *row_columns(table, alias), *values]
        select = scan_query(statement, alias, outputs, from_=statement.from_, joins=statement.joins)
        self.query = prepare_select(select, env)
        self.returning: Returning | None = None
        if statement.returning:
            self.returning = Returning(statement.returning, table, statement.alias, env)
            self.columns = self.returning.columns
        records = self.target.records
        touched = set(self.places)
        key_places = set(table.primary_key) | (
            set() if table.rowid_alias is None else {table.rowid_alias}
        )
        self.bulk = (
            self.target.foreign_keys is None
            and not self.triggers.any
            and self.returning is None
            and statement.from_ is None
            and -1 not in touched
            and not touched & key_places
            and not records.generated
            and not records.has_checks
            and not records.strict
            and not any(place in touched for place, _ in records.not_null)
            and not any(_depends(index, touched) for index in records.indexes)
        )

    def is_still_valid(self, transaction: Transaction) -> bool:
        return self.query.is_still_valid(transaction)

    def run(self, ctx: Context) -> WriteOutcome:
        if self.bulk:
            return self._in_bulk(ctx)
        found = [row for batch in self.query.run(ctx) for row in batch]
        run = _Change(self, ctx)
        width = len(self.table.columns)
        seen: set[Any] = set()
        try:
            for item in found:
                key = item[0]
                if self.statement.from_ is not None:
                    if key in seen:
                        continue
                    seen.add(key)
                run.one(key, item[1 : width + 1], item[width + 1 :])
        except SqlError as error:
            if error.conflict == "FAIL":
                error.changes = run.changes
            raise
        return run.finished()

    def _in_bulk(self, ctx: Context) -> WriteOutcome:
        """Columns that no index, key, constraint or trigger looks at."""
        records = self.target.records
        tree = ctx.transaction.tree(self.table.tree_id)
        width = len(self.table.columns)
        last = {place: number for number, place in enumerate(self.places)}
        sources = ", ".join(
            f"item[{width + 1 + last[place]}]" if place in last else f"item[{place + 1}]"
            for place in range(width)
        )
        make = eval(f"lambda item: ({sources},)")
        changes = 0
        pending: list[tuple[list[Any], list[Row]]] = []
        for batch in self.query.run(ctx):
            rows, classes = records.convert_many([make(item) for item in batch])
            records.widen_classes(ctx.transaction, classes)
            pending.append(([item[0] for item in batch], rows))
            changes += len(rows)
        for keys, rows in pending:
            ctx.check()
            if any(not a < b for a, b in zip(keys, keys[1:], strict=False)):
                for key, row in zip(keys, rows, strict=True):
                    tree.put(key, row)
            else:
                tree.load(keys, rows)
        return WriteOutcome(changes)


def _depends(index: Any, touched: set[int]) -> bool:
    """Whether an index's entries may change with these columns."""
    if index.condition is not None:
        return True
    return any(part.column is None or part.column in touched for part in index.index.columns)


class _Change:
    """One execution of an UpdatePlan, row by row."""

    def __init__(self, plan: UpdatePlan, ctx: Context) -> None:
        self.plan = plan
        self.ctx = ctx
        self.target = plan.target
        self.changes = 0
        self.others = 0
        self.rows: list[Row] = []
        self.writer = TableWriter(
            ctx, self.target.records, plan.statement.or_conflict, self._on_delete
        )
        if self.target.foreign_keys is not None:
            self.target.foreign_keys.start(ctx)

    def _on_delete(self, key: Any, row: Row) -> None:
        if self.target.foreign_keys is not None:
            self.others += self.target.foreign_keys.deleted(self.ctx, key, row)

    def one(self, key: Any, old: Row, values: Row) -> None:
        plan = self.plan
        row = list(old)
        new_key = key
        if self.writer.tree.get(key) != old:  # a trigger changed or removed it meanwhile
            current = self.writer.tree.get(key)
            if current is None:
                return
            old = current
            row = list(old)
        for place, value in zip(plan.places, values, strict=True):
            if place < 0:
                new_key = value
            else:
                row[place] = value
        made = update_row(
            self.writer, self.target, plan.triggers, key, old, new_key, tuple(row), self
        )
        if made is not None:
            self.changes += 1
            if plan.returning is not None:
                self.rows.append(plan.returning.row(self.ctx, made[1], made[0]))

    def finished(self) -> WriteOutcome:
        self.writer.finish()
        if self.target.foreign_keys is not None:
            self.others += self.target.foreign_keys.finish(self.ctx)
        rows = self.rows if self.plan.returning is not None else None
        return WriteOutcome(self.changes, self.changes + self.others, rows)


def update_row(
    writer: TableWriter,
    target: Target,
    triggers: Triggers,
    old_key: Any,
    old: Row,
    key: Any,
    row: Row,
    run: Any,
) -> tuple[Any, Row] | None:
    """Change one row, triggers and foreign keys included; (key, row) as written, None if skipped."""
    ctx = writer.ctx
    records, table = target.records, target.table
    try:
        row = records.convert(row)
        key, row = _key_of(table, row, old_key, key)
        if triggers.before:
            run.others += fire(triggers.before, ctx, (old_key, old), (key, row))
            current = writer.tree.get(old_key)
            if current is None:
                return None
            old = current
        if records.generated:
            row = records.fill_generated(ctx, row, key)
        row = writer.checked(row, key)
        if records.primary_key is not None:
            key = records.primary_key(row)
        for conflict in writer.conflicts(key, row, old_key):
            writer.resolve(conflict)
    except (Skipped, RaiseIgnore):
        return None
    writer.replace(old_key, old, key, row)
    if target.foreign_keys is not None:
        run.others += target.foreign_keys.updated(ctx, old_key, old, key, row)
    if triggers.after:
        try:
            run.others += fire(triggers.after, ctx, (old_key, old), (key, row))
        except RaiseIgnore:
            pass
    return key, row


def _key_of(table: Table, row: Row, old_key: Any, key: Any) -> tuple[Any, Row]:
    """The rowid after the change, and the row with it in place."""
    if table.without_rowid:
        return old_key, row
    alias = table.rowid_alias
    value = row[alias] if alias is not None and key == old_key else key
    if value.__class__ is not int:
        value = apply_affinity(value, 3)  # type: ignore[arg-type]
        if value.__class__ is float:
            value = integral(value)
        if value.__class__ is not int:
            raise ConstraintError("datatype mismatch", kind="DATATYPE")
    if alias is not None and row[alias] != value:
        row = (*row[:alias], value, *row[alias + 1 :])
    return value, row
