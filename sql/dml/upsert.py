"""ON CONFLICT clauses of INSERT: https://www.sqlite.org/lang_upsert.html."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import sqlglot.expressions as exp

from sql.bind.nodes import meaning
from sql.bind.positions import ordinal
from sql.compile import bind_to_row, calls_program, compile_bound_row
from sql.dml.assignments import assigned
from sql.dml.conflicts import resolutions, touched
from sql.dml.index_keys import IndexKeys
from sql.dml.target import Target, column_place, row_columns, with_known
from sql.errors import SqlError
from sql.parse import parse_expression
from sql.plan.walk import walk
from sql.values import truth

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.dml.records import Row
    from sql.dml.rows import RowChanges
    from sql.expressions import Expression
    from sql.parse.statements import IndexedColumn, Insert, Upsert
    from sql.schema import Table
    from sql.session import Session

EXCLUDED_SOURCE = 1_000_002
_ROWID_NAMES = frozenset(("rowid", "oid", "_rowid_"))


def upsert_clauses(
    session: Session, env: BindEnvironment, target: Target, statement: Insert
) -> list[UpsertClause]:
    """The clauses of a statement, in order.  SqlError for a target that is no constraint's."""
    clauses: list[UpsertClause] = []
    for number, clause in enumerate(statement.upserts, 1):
        which = "" if len(statement.upserts) == 1 else f"{number}{ordinal(number)[-2:]} "
        clauses.append(UpsertClause(session, env, target, clause, statement, which=which))
    return clauses


def with_excluded(env: BindEnvironment, table: Table) -> BindEnvironment:
    """The surroundings of a DO UPDATE: `excluded` is in scope."""
    return type(env)(
        env.schema,
        env.functions,
        env.transaction,
        extra_scopes={**env.extra_scopes, "excluded": (table, EXCLUDED_SOURCE)},
        relations=env.relations,
        parameters=env.parameters,
        parameter_kinds=env.parameter_kinds,
        parse=env.parse,
    )


class UpsertClause:
    """One clause: DO NOTHING or DO UPDATE.

    `everything`: it names no constraint.  `stays_in_place`: DO UPDATE that leaves the row its unique values, and
    concerns nothing but the table and its indexes.  `row` and `where` are what DO UPDATE makes of the row in the way,
    which it knows as one of `named`, and asks of it, parsed."""

    def __init__(
        self,
        session: Session,
        env: BindEnvironment,
        target: Target,
        clause: Upsert,
        statement: Insert,
        *,
        which: str,
    ) -> None:
        self.clause = clause
        self.everything = not clause.target
        self.constraint: IndexKeys | None = None
        if clause.target:
            self.constraint = _constraint(target, clause, statement.alias, which)
        self.volatile = self.stays_in_place = False
        if clause.assignments is not None:
            self._prepare(session, env, target, statement)

    def covers(self, constraint: IndexKeys | None) -> bool:
        """Whether the clause is for a conflict in this constraint."""
        return self.everything or constraint is self.constraint

    def _prepare(
        self, session: Session, env: BindEnvironment, target: Target, statement: Insert
    ) -> None:
        table, alias = target.table, statement.alias
        assert self.clause.assignments is not None
        self.places, trees = assigned(self.clause.assignments, table)
        trees = [with_known(tree, statement.with_) for tree in trees]
        self.assigned = frozenset(self.places)
        self.target = Target(session, env, table, "UPDATE", self.assigned, records=target.records)
        records = target.records
        self.order = touched(resolutions(records, "ABORT"), records, self.assigned)
        changed = self.assigned | set(records.generated)
        self.indexes = [index for index in records.indexes if index.depends_on(changed)]
        inner = with_excluded(env, table)
        named = table if alias is None else msgspec.structs.replace(table, name=alias)
        where = []
        if self.clause.where is not None:
            where = [with_known(self.clause.where, statement.with_)]
        self.volatile = any(tree.find(exp.Select) is not None for tree in [*trees, *where])
        values = dict(zip(self.places, trees, strict=True))
        row = [values.get(place, column) for place, column in enumerate(row_columns(named))]
        if -1 in values:
            row.append(values[-1])
        self.named, self.row, self.where = named, row, where
        bound, source = bind_to_row([tree.copy() for tree in row], named, inner)
        self._row = compile_bound_row(bound, source, inner)
        self._where: Any = None
        condition: Sequence[Expression] = ()
        if where:
            condition, source = bind_to_row([where[0].copy()], named, inner)
            self._where = compile_bound_row(condition, source, inner)
        self.stays_in_place = (
            not self.volatile
            and not self.order
            and self.target.plain
            and not any(map(calls_program, chain.from_iterable(map(walk, [*bound, *condition]))))
        )

    def successor(
        self, ctx: Context, old_row: Row, old_key: Any, new_key: Any, new_row: Row
    ) -> tuple[Any, Row] | None:
        """The rowid as assigned, or else the old tree key, and the row that takes the place of the one in the way of
        a new one; None if WHERE leaves it as it is."""
        ctx.outer_rows[EXCLUDED_SOURCE] = (new_key, new_row)
        if self._where is not None and not truth(self._where(ctx, old_row, old_key)[0]):
            return None
        row = self._row(ctx, old_row, old_key)
        return (row[-1], row[:-1]) if -1 in self.assigned else (old_key, row)

    def apply(self, run: RowChanges, old_key: Any, new_key: Any, new_row: Row) -> None:
        """Change the row in the way as the clause says."""
        from sql.dml.rows import RowChanges

        ctx = run.ctx
        old_row = run.writer.tree.get(old_key)
        changed = self.successor(ctx, old_row, old_key, new_key, new_row)
        if changed is None:
            return
        key, row = changed
        change = run.upserts.get(id(self))
        if change is None:
            change = run.upserts[id(self)] = RowChanges(
                ctx, self.target, run.undo, "ABORT", self.order, run.returning, self.indexes
            )
        change.changes = 0
        change.rows = run.rows
        change.update(old_key, old_row, key, row, self.assigned)
        run.changes += change.changes


def _constraint(target: Target, clause: Upsert, alias: str | None, which: str) -> IndexKeys | None:
    """The constraint on just what the clause names; None is the tree's own key."""
    table = target.table
    known = alias or table.name
    wanted = [_part(item, known) for item in clause.target]
    named = sorted(name for name, _ in wanted)
    if not table.without_rowid and len(named) == 1 and wanted[0][1] is None:
        columns = [column.name.lower() for column in table.columns]
        alias_name = None if table.rowid_alias is None else columns[table.rowid_alias]
        if named[0] == alias_name or (named[0] in _ROWID_NAMES and named[0] not in columns):
            return None
    for item in clause.target:
        if item.column is not None:
            column_place(table, item.column)
    where = None
    if clause.target_where is not None:
        where = meaning(_unqualified(clause.target_where, known))
    for keys in target.records.constraints:
        if keys is not None:
            if _matches(keys, table, wanted, where):
                return keys
        elif table.without_rowid and _is_key(table, wanted):
            return None
    raise SqlError(f"{which}ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint")


Part = tuple[str, str | None]
"""A column or an expression, and the collation that is asked of it."""


def _part(item: IndexedColumn, table: str) -> Part:
    collation = None if item.collation is None else item.collation.upper()
    if item.column is not None:
        return item.column.lower(), collation
    tree = _unqualified(item.expression, table)
    if isinstance(tree, exp.Column) and not tree.table:
        return tree.name.lower(), collation
    return meaning(tree), collation


def _unqualified(tree: exp.Expression, table: str) -> exp.Expression:
    """The tree with columns of the table by their own names."""
    made = tree.copy()
    for column in made.find_all(exp.Column):
        if column.table.lower() == table.lower():
            column.set("table", None)
            column.set("db", None)
    return made


def _is_key(table: Table, wanted: list[Part]) -> bool:
    """Whether these are the parts of a WITHOUT ROWID table's own key."""
    parts = [(table.columns[place].name.lower(), collation) for place, collation in table.key_parts]
    return len(wanted) == len(parts) and all(_is_among(wanted, *part) for part in parts)


def _matches(keys: IndexKeys, table: Table, wanted: list[Part], where: str | None) -> bool:
    condition = keys.index.where
    if condition is not None and where != meaning(parse_expression(condition)):
        return False
    if len(keys.index.columns) != len(wanted):
        return False
    for part in keys.index.columns:
        if part.expression is not None:
            tree = parse_expression(part.expression)
            name = meaning(tree.this if isinstance(tree, exp.Collate) else tree)
        elif part.column is not None and part.column >= 0:
            name = table.columns[part.column].name.lower()
        else:
            name = "rowid"
        if not _is_among(wanted, name, part.collation):
            return False
    return True


def _is_among(wanted: list[Part], name: str, collation: str) -> bool:
    return (name, None) in wanted or (name, collation.upper()) in wanted
