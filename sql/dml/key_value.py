"""INSERT, UPDATE and DELETE on `kv`, the raw key space, whose key is its primary key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from btree import KeySpace
from sql.compile import compile_row_function, compile_values, prepare_select
from sql.dml.assignments import assigned
from sql.dml.returning import Returning
from sql.dml.target import WritePlan, column_place, scan_query
from sql.dml.upsert import EXCLUDED_SOURCE
from sql.errors import ConstraintError, SqlError
from sql.relations import raw, relation, shown
from sql.result import WriteOutcome
from sql.values import truth

if TYPE_CHECKING:
    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.parse.statements import Delete, Insert, Update
    from sql.schema import Table

Row = tuple[Any, ...]


def kv_table() -> Table:
    """The key space's columns as a table's record."""
    found = relation("kv")
    assert found is not None
    return found.table


def taken(conflict: str, changes: int) -> ConstraintError:
    """The error of a key that is there already."""
    error = ConstraintError("UNIQUE constraint failed: kv.key", kind="PRIMARY KEY")
    error.conflict, error.changes = conflict, changes
    return error


class _KeyValuePlan(WritePlan):
    def __init__(self, statement: Insert | Update | Delete, env: BindEnvironment) -> None:
        self.table = kv_table()
        self.query: Any = None
        self.returning: Returning | None = None
        if statement.returning:
            self.returning = Returning(statement.returning, self.table, env)
            self.columns = self.returning.columns

    def is_still_valid(self, transaction: Transaction) -> bool:
        return self.query is None or bool(self.query.is_still_valid(transaction))

    def outcome(self, ctx: Context, rows: list[Row]) -> WriteOutcome:
        """What was done to `rows`."""
        returned = None
        if self.returning is not None:
            returned = [self.returning.row(ctx, row, None) for row in rows]
        return WriteOutcome(len(rows), None, returned)


class KeyValueInsert(_KeyValuePlan):
    is_insert = True

    def __init__(self, statement: Insert, env: BindEnvironment) -> None:
        super().__init__(statement, env)
        self.statement = statement
        self.places = [column_place(self.table, name) for name in statement.columns] or [0, 1]
        if sorted(self.places) != [0, 1]:
            raise SqlError("INSERT INTO kv needs a key and a value")
        source = statement.source
        if source is None:
            raise SqlError("keys and values of kv can't be NULL")
        self._values: Any = None
        if isinstance(source, exp.Values) and statement.with_ is None:
            rows = [[item.copy() for item in row.expressions] for row in source.expressions]
            for row in rows:
                self._check(len(row))
            self._values = compile_values(rows, env)
        else:
            tree = source.copy()
            if statement.with_ is not None:
                tree.set("with_", statement.with_.copy())
            self.query = prepare_select(tree, env)
            self._check(len(self.query.columns))
        self._update: Any = None
        self._where: Any = None
        self._update_places: list[int] = []
        for clause in statement.upserts:
            if clause.assignments is not None:
                self._prepare_update(clause, env)

    def _check(self, count: int) -> None:
        if count != 2:
            raise SqlError(f"table kv has 2 columns but {count} values were supplied")

    def _prepare_update(self, clause: Any, env: BindEnvironment) -> None:
        inner = type(env)(
            env.schema,
            env.functions,
            env.transaction,
            extra_scopes={**env.extra_scopes, "excluded": (self.table, EXCLUDED_SOURCE)},
            relations=env.relations,
        )
        trees = []
        for assignment in clause.assignments:
            self._update_places += [column_place(self.table, name) for name in assignment.columns]
            value = assignment.value
            trees += list(value.expressions) if isinstance(value, exp.Tuple) else [value]
        self._update = compile_row_function([tree.copy() for tree in trees], self.table, inner)
        if clause.where is not None:
            node = clause.where.this if isinstance(clause.where, exp.Where) else clause.where
            self._where = compile_row_function([node.copy()], self.table, inner)

    def run(self, ctx: Context) -> WriteOutcome:
        space = KeySpace(ctx.transaction)
        done: list[Row] = []
        batches: Iterable[list[Row]] = (
            (self._values(ctx),) if self._values is not None else self.query.run(ctx)
        )
        key_at, value_at = self.places.index(0), self.places.index(1)
        for batch in batches:
            ctx.check()
            for values in batch:
                self._one(ctx, space, values[key_at], values[value_at], done)
        return self.outcome(ctx, done)

    def _one(self, ctx: Context, space: KeySpace, key: Any, value: Any, done: list[Row]) -> None:
        name = raw(key)
        old = space.get(name)
        if old is not None:
            conflict = self.statement.or_conflict or "ABORT"
            if self.statement.upserts:
                if self._update is not None:
                    self._change(ctx, space, name, old, (key, value), done)
                return
            if conflict == "IGNORE":
                return
            if conflict != "REPLACE":
                raise taken(conflict, len(done))
        space.put(name, raw(value))
        done.append((shown(name), value))

    def _change(
        self, ctx: Context, space: KeySpace, name: bytes, old: bytes, new: Row, done: list[Row]
    ) -> None:
        row = [shown(name), shown(old)]
        ctx.outer_rows[EXCLUDED_SOURCE] = (None, new)
        if self._where is not None and not truth(self._where(ctx, tuple(row), None)[0]):
            return
        for place, value in zip(
            self._update_places, self._update(ctx, tuple(row), None), strict=True
        ):
            row[place] = value
        if raw(row[0]) != name:
            space.delete(name)
        space.put(raw(row[0]), raw(row[1]))
        done.append(tuple(row))


class KeyValueUpdate(_KeyValuePlan):
    def __init__(self, statement: Update, env: BindEnvironment) -> None:
        super().__init__(statement, env)
        self.or_conflict = statement.or_conflict or "ABORT"
        alias = statement.alias or statement.table.name
        self.places, values = assigned(statement.assignments, self.table)
        outputs: list[exp.Expression] = [
            exp.column("key", table=exp.to_identifier(alias, quoted=True)),
            exp.column("value", table=exp.to_identifier(alias, quoted=True)),
            *values,
        ]
        select = scan_query(statement, alias, outputs, from_=statement.from_, joins=statement.joins)
        self.query = prepare_select(select, env)

    def run(self, ctx: Context) -> WriteOutcome:
        found = [row for batch in self.query.run(ctx) for row in batch]
        space = KeySpace(ctx.transaction)
        done: list[Row] = []
        for item in found:
            row = list(item[:2])
            for place, value in zip(self.places, item[2:], strict=True):
                row[place] = value
            old, name = raw(item[0]), raw(row[0])
            if name != old:
                if space.exists(name):
                    if self.or_conflict == "IGNORE":
                        continue
                    if self.or_conflict != "REPLACE":
                        raise taken(self.or_conflict, len(done))
                space.delete(old)
            space.put(name, raw(row[1]))
            done.append(tuple(row))
        return self.outcome(ctx, done)


class KeyValueDelete(_KeyValuePlan):
    def __init__(self, statement: Delete, env: BindEnvironment) -> None:
        super().__init__(statement, env)
        alias = statement.alias or statement.table.name
        outputs: list[exp.Expression] = [
            exp.column(name, table=exp.to_identifier(alias, quoted=True))
            for name in ("key", "value")
        ]
        self.query = prepare_select(scan_query(statement, alias, outputs), env)

    def run(self, ctx: Context) -> WriteOutcome:
        found = [row for batch in self.query.run(ctx) for row in batch]
        space = KeySpace(ctx.transaction)
        for row in found:
            space.delete(raw(row[0]))
        return self.outcome(ctx, found)
