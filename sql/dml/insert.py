"""INSERT and REPLACE into stored tables: one row at a time, or many in bulk.

The bulk path takes rows whose columns and constraints leave nothing to decide row by row: conversions,
checks of classes and index entries are done per column and per index, and the rows are loaded into the
tree in key order.  Anything else (triggers, foreign keys, CHECK, generated columns, conflicts) goes row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from sql.compile import compile_values, prepare_select
from sql.dml.records import Row
from sql.dml.returning import Returning
from sql.dml.target import Target, Values, WritePlan, column_place
from sql.dml.triggers import fire
from sql.dml.upsert import Upserts
from sql.dml.writer import Skipped, TableWriter
from sql.errors import SqlError
from sql.parse import parse_expression
from sql.result import WriteOutcome
from sql.run.arithmetic import RaiseIgnore
from sql.values import INT_MAX

if TYPE_CHECKING:
    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.parse.statements import Insert
    from sql.schema import Table
    from sql.session import Session

BULK_ROWS_MIN = 8


class InsertPlan(WritePlan):
    """A prepared INSERT."""

    is_insert = True

    def __init__(
        self, session: Session, statement: Insert, table: Table, env: BindEnvironment
    ) -> None:
        self.session = session
        self.temporary = table.temporary
        self.statement = statement
        self.target = Target(session, env, table, "INSERT")
        self.table = table
        self.env = env
        self.places = self._places()
        self._query: Any = None
        self._values: Callable[[Context], list[Row]] | None = None
        source_width = self._prepare_source()
        self.arrange, self.rowid_at = self._arrangement(source_width)
        self.upserts = (
            Upserts(session, env, self.target, statement.upserts) if statement.upserts else None
        )
        self.returning: Returning | None = None
        if statement.returning:
            self.returning = Returning(statement.returning, table, statement.alias, env)
            self.columns = self.returning.columns
        records = self.target.records
        self.bulk = (
            self.target.plain
            and self.upserts is None
            and self.returning is None
            and statement.or_conflict in (None, "ABORT", "FAIL", "ROLLBACK")
            and not records.generated
            and not records.has_checks
            and not records.strict
            and not table.without_rowid
            and not table.autoincrement
            and self.rowid_at is None
            and table.rowid_conflict in (None, "ABORT")
            and all(index.condition is None for index in records.indexes)
            and all(
                not index.unique or index.index.conflict in (None, "ABORT")
                for index in records.indexes
            )
            and all(column.not_null_conflict in (None, "ABORT") for _, column in records.not_null)
        )
        self.single_step = (
            self._values is not None
            and isinstance(statement.source, exp.Values)
            and len(statement.source.expressions) == 1
            and self.target.plain
            and self.upserts is None
            and statement.or_conflict != "REPLACE"
            and not any(index.index.conflict == "REPLACE" for index in records.indexes)
            and table.rowid_conflict != "REPLACE"
        )

    # -- preparing -------------------------------------------------------------------------------

    def _places(self) -> list[int]:
        """Where the statement's values go: column positions, -1 for the rowid."""
        table = self.table
        if not self.statement.columns:
            return [place for place, column in enumerate(table.columns) if column.generated is None]
        places = []
        for name in self.statement.columns:
            try:
                place = column_place(table, name)
            except SqlError as error:
                made = type(error)(f"table {table.name} has no column named {name}", token=name)
                if hasattr(error, "suggestions"):
                    made.suggestions = error.suggestions  # type: ignore[attr-defined]
                raise made from None
            if place >= 0 and table.columns[place].generated is not None:
                raise SqlError(f'cannot INSERT into generated column "{table.columns[place].name}"')
            places.append(place)
        return places

    def _prepare_source(self) -> int:
        """Compile where the rows come from; how many values each has."""
        source = self.statement.source
        if source is None:
            self.places = []
            self._values = lambda ctx: [()]
            return 0
        if (
            isinstance(source, exp.Values)
            and not source.args.get("with_")
            and not (self.statement.with_)
        ):
            rows = [list(row.expressions) for row in source.expressions]
            for row in rows:
                self._check_count(len(row), rows)
            self._values = self._constant_rows(rows) or compile_values(
                [[item.copy() for item in row] for row in rows], self.env
            )
            return len(rows[0])
        tree = source.copy()
        if self.statement.with_ is not None:
            tree.set("with_", self.statement.with_.copy())
        self._query = prepare_select(tree, self.env)
        self._check_count(len(self._query.columns), None)
        return len(self._query.columns)

    def _constant_rows(
        self, rows: list[list[exp.Expression]]
    ) -> Callable[[Context], list[Row]] | None:
        """Rows of nothing but parameters, numbered from 0: slices of the bound values."""
        width = len(rows[0])
        number = 0
        for row in rows:
            for item in row:
                if not isinstance(item, (exp.Placeholder, exp.Parameter)):
                    return None
                if item.meta.get("index") != number:
                    return None
                number += 1
        if len(rows) == 1:
            return lambda ctx: [ctx.parameters]
        return lambda ctx: list(zip(*[iter(ctx.parameters)] * width, strict=True))

    def _check_count(self, count: int, rows: Any) -> None:
        if rows is not None and any(len(row) != len(rows[0]) for row in rows):
            raise SqlError("all VALUES must have the same number of terms")
        if count == len(self.places):
            return
        if self.statement.columns:
            raise SqlError(f"{count} values for {len(self.places)} columns")
        raise SqlError(
            f"table {self.table.name} has {len(self.places)} columns but {count} values were supplied"
        )

    def _arrangement(self, width: int) -> tuple[Any, int | None]:
        """A function (ctx, values) -> full row, None if it is the values; and the rowid's place."""
        table = self.table
        places = self.places
        rowid_at = places.index(-1) if -1 in places else None
        if places == list(range(len(table.columns))):
            return None, None
        names: dict[str, Any] = {}
        sources = []
        for place, column in enumerate(table.columns):
            if place in places:
                sources.append(f"values[{places.index(place)}]")
            elif column.default is not None and column.generated is None:
                tree = parse_expression(column.default)
                constant = _literal(tree)
                if constant is not NotImplemented:
                    names[f"d{place}"] = constant
                    sources.append(f"d{place}")
                else:
                    names[f"d{place}"] = compile_values([[tree]], self.env)
                    sources.append(f"d{place}(ctx)[0][0]")
            else:
                sources.append("None")
        return eval(f"lambda ctx, values: ({', '.join(sources)},)", names), rowid_at

    # -- running ---------------------------------------------------------------------------------

    def is_still_valid(self, transaction: Transaction) -> bool:
        return self._query is None or self._query.is_still_valid(transaction)

    def _batches(self, ctx: Context) -> Iterable[list[Row]]:
        if self._values is not None:
            return (self._values(ctx),)
        batches: Iterable[list[Row]] = self._query.run(ctx)
        return batches

    def run(self, ctx: Context) -> WriteOutcome:
        return self._insert(ctx, self._batches(ctx))

    def run_many(self, ctx: Context, parameter_sets: Iterable[Values]) -> WriteOutcome:
        if self._values is None or self.returning is not None:
            return super().run_many(ctx, parameter_sets)
        return self._insert(ctx, self._sets(ctx, parameter_sets))

    def _sets(self, ctx: Context, parameter_sets: Iterable[Values]) -> Iterator[list[Row]]:
        assert self._values is not None
        values = self._values
        sets = list(parameter_sets)
        if isinstance(self.statement.source, exp.Values) and self._is_parameters():
            yield sets
            return
        made: list[Row] = []
        for parameters in sets:
            ctx.parameters = parameters
            made += values(ctx)
        yield made

    def _is_parameters(self) -> bool:
        source = self.statement.source
        assert isinstance(source, exp.Values)
        if len(source.expressions) != 1:
            return False
        items = source.expressions[0].expressions
        return all(
            isinstance(item, (exp.Placeholder, exp.Parameter)) and item.meta.get("index") == place
            for place, item in enumerate(items)
        )

    def _insert(self, ctx: Context, batches: Iterable[list[Row]]) -> WriteOutcome:
        run = _Insertion(self, ctx)
        for batch in batches:
            ctx.check()
            if self.arrange is not None and self.rowid_at is None:
                arrange = self.arrange
                batch = [arrange(ctx, values) for values in batch]
            if self.bulk and len(batch) >= BULK_ROWS_MIN and run.in_bulk(batch):
                continue
            run.one_by_one(batch)
        return run.finished()


def _literal(tree: exp.Expression) -> Any:
    """The value of a literal DEFAULT; NotImplemented for any other expression."""
    if isinstance(tree, exp.Null):
        return None
    if isinstance(tree, exp.Boolean):
        return int(bool(tree.this))
    if isinstance(tree, exp.Literal):
        if tree.is_string:
            return tree.this
        from sql.bind.expressions import number

        return number(tree.this)
    return NotImplemented


class _Insertion:
    """One execution of an InsertPlan."""

    def __init__(self, plan: InsertPlan, ctx: Context) -> None:
        self.plan = plan
        self.ctx = ctx
        self.target = plan.target
        self.changes = 0
        self.others = 0
        self.rows: list[Row] = []
        self.last: int | None = None
        self.writer = TableWriter(
            ctx, self.target.records, plan.statement.or_conflict, self._on_delete
        )
        if self.target.foreign_keys is not None:
            self.target.foreign_keys.start(ctx)

    def _on_delete(self, key: Any, row: Row) -> None:
        target = self.target
        if self.plan.session.recursive_triggers and target.delete_triggers.any:
            self.others += fire(target.delete_triggers.before, self.ctx, (key, row), None)
        if target.foreign_keys is not None:
            self.others += target.foreign_keys.deleted(self.ctx, key, row)

    # -- in bulk ---------------------------------------------------------------------------------

    def in_bulk(self, rows: list[Row]) -> bool:
        """Write all rows at once; False, with nothing written, if they need a closer look."""
        records = self.target.records
        rows, classes = records.convert_many(rows)
        nulls = type(None)
        if any(nulls in classes[place] for place, _ in records.not_null):
            return False
        tree = self.writer.tree
        keys, rows = self._keys(rows, classes)
        if keys is None:
            return False
        entries = []
        for index, index_tree in zip(records.indexes, self.writer.index_trees, strict=True):
            make = index.key
            made = (
                [make(None, row, key) for row, key in zip(rows, keys, strict=True)]
                if all(part.expression is None for part in index.index.columns)
                else [make(self.ctx, row, key) for row, key in zip(rows, keys, strict=True)]
            )
            try:
                made.sort()
            except TypeError:
                from btree import order_key

                made.sort(key=order_key)
            if index.unique and not self._all_new(index, index_tree, made):
                return False
            entries.append(made)
        records.widen_classes(self.ctx.transaction, classes)
        tree.load(keys, rows)
        for index_tree, made in zip(self.writer.index_trees, entries, strict=True):
            index_tree.load(made)
        self.changes += len(rows)
        self.last = keys[-1] if self.plan.table.rowid_alias is None else self._last_given
        return True

    def _keys(self, rows: list[Row], classes: list[set[type]]) -> tuple[Any, list[Row]]:
        """New rowids for the rows, ascending; (None, rows) if they can't be had simply."""
        alias = self.plan.table.rowid_alias
        last = self.writer.tree.last()
        largest = 0 if last is None else last[0]
        if alias is None or classes[alias] == {type(None)}:
            start = max(largest + 1, 1)
            if start + len(rows) > INT_MAX:
                return None, rows
            keys = list(range(start, start + len(rows)))
            if alias is not None:
                rows = [
                    (*row[:alias], key, *row[alias + 1 :])
                    for key, row in zip(keys, rows, strict=True)
                ]
                classes[alias] = {int}
            self._last_given = keys[-1]
            return keys, rows
        if classes[alias] != {int}:
            return None, rows
        keys = [row[alias] for row in rows]
        self._last_given = keys[-1]
        ordered = sorted(keys)
        if ordered != keys:
            rows = sorted(rows, key=lambda row: row[alias])
            keys = ordered
        if any(a == b for a, b in zip(keys, keys[1:], strict=False)):
            return None, rows
        if keys[0] <= largest and any(
            value is not None for value in self.writer.tree.get_many(keys)
        ):
            return None, rows
        return keys, rows

    def _all_new(self, index: Any, tree: Any, made: list[Row]) -> bool:
        """Whether no two entries, and none that is there, have the same unique part."""
        parts = index.parts
        before: Any = None
        last = tree.last()
        beyond = last is not None and len(made) > 0
        for entry in made:
            part = entry[:parts]
            if part == before and None not in part:
                return False
            before = part
        if last is None:
            return True
        try:
            beyond = made[0][:parts] > last[0][:parts]
        except TypeError:
            beyond = False
        if beyond:
            return True
        for entry in made:
            part = entry[:parts]
            if None in part:
                continue
            for _ in tree.batches(part, part, hi_inclusive=True):
                return False
        return True

    # -- row by row ------------------------------------------------------------------------------

    def one_by_one(self, batch: list[Row]) -> None:
        plan = self.plan
        arrange, rowid_at = plan.arrange, plan.rowid_at
        try:
            for values in batch:
                key = None
                row = values
                if rowid_at is not None:
                    key = values[rowid_at]
                    row = arrange(self.ctx, values)
                self._one(row, key)
        except SqlError as error:
            if error.conflict == "FAIL":
                error.changes = self.changes
            raise

    def _one(self, row: Row, key: Any) -> None:
        target = self.target
        writer = self.writer
        try:
            if target.triggers.before:
                shown = target.records.convert(row)
                alias = plan_alias(self.plan.table, shown, key)
                self.others += fire(target.triggers.before, self.ctx, None, (alias, shown))
            key, row = writer.prepared(row, key)
            if not self._make_way(key, row):
                return
        except (Skipped, RaiseIgnore):
            return
        writer.insert(key, row)
        if key.__class__ is int:
            self.last = key
            self.plan.session.last_insert_rowid = key
        self.changes += 1
        if target.foreign_keys is not None:
            target.foreign_keys.inserted(self.ctx, key, row)
        if target.triggers.after:
            try:
                self.others += fire(target.triggers.after, self.ctx, None, (key, row))
            except RaiseIgnore:
                pass
        if self.plan.returning is not None:
            self.rows.append(self.plan.returning.row(self.ctx, row, key))

    def _make_way(self, key: Any, row: Row) -> bool:
        """Resolve what is in the row's way; False if the row is done with (an upsert)."""
        writer = self.writer
        found = writer.conflicts(key, row)
        if not found:
            return True
        upserts = self.plan.upserts
        if upserts is not None:
            for conflict in found:
                clause = upserts.clause_for(conflict)
                if clause is not None:
                    changed = clause.apply(self, conflict, key, row)
                    self.changes += changed
                    return False
        for conflict in found:
            writer.resolve(conflict)
        return True

    def finished(self) -> WriteOutcome:
        self.writer.finish()
        if self.last is not None:
            self.plan.session.last_insert_rowid = self.last
        if self.target.foreign_keys is not None:
            self.others += self.target.foreign_keys.finish(self.ctx)
        rows = self.rows if self.plan.returning is not None else None
        return WriteOutcome(self.changes, self.changes + self.others, rows)


def plan_alias(table: Table, row: Row, key: Any) -> Any:
    """The rowid that a BEFORE INSERT trigger sees: -1 while it is not decided."""
    value = row[table.rowid_alias] if table.rowid_alias is not None else key
    return -1 if value is None else value
