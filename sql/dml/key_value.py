"""INSERT, UPDATE and DELETE on `kv`, the raw key space, whose key is its primary key.

All rows are found before the first is written.  Many are written in the order of their keys, each leaf once, as long
as no row stands in another's way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import sqlglot.expressions as exp

from btree import KeySpace
from sql.compile import compile_row_function, compile_values, prepare_select
from sql.dml.assignments import assigned
from sql.dml.collector import gathered
from sql.dml.returning import Returning
from sql.dml.target import Values, WritePlan, column_place, scan_query
from sql.dml.upsert import EXCLUDED_SOURCE
from sql.errors import ConstraintError, SqlError
from sql.relations import key_space, raw, raw_all, relation, shown, shown_all
from sql.result import WriteOutcome
from sql.values import truth

if TYPE_CHECKING:
    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.parse.statements import Delete, Insert, Update
    from sql.schema import Table

Row = tuple[Any, ...]

MANY = 8
"""Rows from which on they are written in the order of their keys."""

_SIMPLE = (exp.Placeholder, exp.Literal)


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
        database = (statement.table.schema or "main").lower()
        self.database = "main" if database == "temp" else database
        self.query: Any = None
        self.returning: Returning | None = None
        if statement.returning:
            self.returning = Returning(statement.returning, self.table, env, statement.with_)
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
        self._is_simple = False
        if isinstance(source, exp.Values) and statement.with_ is None:
            rows = [[item.copy() for item in row.expressions] for row in source.expressions]
            for row in rows:
                self._check(len(row))
            self._is_simple = all(isinstance(item, _SIMPLE) for row in rows for item in row)
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
        return self._insert(
            ctx, self._values(ctx) if self._values is not None else gathered(self.query.run(ctx))
        )

    def run_many(self, ctx: Context, parameter_sets: Iterable[Values]) -> WriteOutcome:
        if not self._is_simple or self.returning is not None or self.statement.upserts:
            return super().run_many(ctx, parameter_sets)
        sets = list(parameter_sets)
        rows: list[Row] = []
        for values in sets:
            ctx.parameters = values
            rows += self._values(ctx)
        done = self._in_bulk(ctx, key_space(ctx, self.database), rows)
        return super().run_many(ctx, sets) if done is None else done

    def _insert(self, ctx: Context, rows: list[Row]) -> WriteOutcome:
        space = key_space(ctx, self.database)
        outcome = self._in_bulk(ctx, space, rows)
        if outcome is not None:
            return outcome
        key_at, value_at = self.places.index(0), self.places.index(1)
        done: list[Row] = []
        for number, values in enumerate(rows):
            if not number & 1023:
                ctx.check()
            self._one(ctx, space, values[key_at], values[value_at], done)
        return self.outcome(ctx, done)

    def _in_bulk(self, ctx: Context, space: KeySpace, rows: Sequence[Row]) -> WriteOutcome | None:
        """Write many rows at once; None, with nothing written, if a conflict has to be looked at, or a value can't be
        written."""
        conflict = self.statement.or_conflict or "ABORT"
        if len(rows) < MANY or self.statement.upserts or conflict == "IGNORE":
            return None
        given = [[row[at] for row in rows] for at in (self.places.index(0), self.places.index(1))]
        if None in given[0] or None in given[1]:
            return None
        names = raw_all(given[0])
        items = dict(zip(names, raw_all(given[1]), strict=True))
        ordered = sorted(items)
        if conflict != "REPLACE" and (
            len(items) < len(rows) or space.get_many(ordered).count(None) < len(items)
        ):
            return None
        space.load(ordered, [items[name] for name in ordered])
        if self.returning is None:
            return WriteOutcome(len(rows))
        return self.outcome(ctx, list(zip(shown_all(names), given[1], strict=True)))

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
        found = gathered(self.query.run(ctx))
        space = key_space(ctx, self.database)
        done: list[Row] = []
        if self.places == [1] and len(found) >= MANY:
            values = [item[2] for item in found]
            if None not in values:
                latest = dict(zip(raw_all([item[0] for item in found]), values, strict=True))
                ordered = sorted(latest)
                space.load(ordered, raw_all([latest[name] for name in ordered]))
                if self.returning is not None:
                    done = [(shown(name), value) for name, value in latest.items()]
                    return self.outcome(ctx, done)
                return WriteOutcome(len(latest))
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
            for name in (("key",) if self.returning is None else ("key", "value"))
        ]
        self.query = prepare_select(scan_query(statement, alias, outputs), env)

    def run(self, ctx: Context) -> WriteOutcome:
        found = gathered(self.query.run(ctx))
        space = key_space(ctx, self.database)
        names = raw_all([row[0] for row in found])
        if len(names) < MANY:
            for name in names:
                space.delete(name)
        else:
            space.delete_many(sorted(names))
        return self.outcome(ctx, found)
