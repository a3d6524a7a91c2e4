"""ON CONFLICT clauses of INSERT: https://www.sqlite.org/lang_upsert.html."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlglot import exp

from sql.compile import compile_row_function
from sql.dml.records import IndexKeys, Row
from sql.dml.target import Target, column_place
from sql.dml.triggers import Triggers
from sql.errors import SqlError
from sql.values import truth

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.dml.writer import Conflict
    from sql.parse.statements import Upsert
    from sql.session import Session

EXCLUDED_SOURCE = 1_000_002


class Upserts:
    """The clauses of one statement, in order."""

    def __init__(
        self,
        session: Session,
        env: BindEnvironment,
        target: Target,
        clauses: tuple[Upsert, ...],
    ) -> None:
        self.clauses = [UpsertClause(session, env, target, clause) for clause in clauses]

    def clause_for(self, conflict: Conflict) -> UpsertClause | None:
        """The first clause that is for the constraint in conflict."""
        for clause in self.clauses:
            if clause.covers(conflict.index):
                return clause
        return None


class UpsertClause:
    """One clause: DO NOTHING or DO UPDATE."""

    def __init__(
        self, session: Session, env: BindEnvironment, target: Target, clause: Upsert
    ) -> None:
        self.session = session
        self.target = target
        self.clause = clause
        self.everything = not clause.target
        self.indexes: list[IndexKeys | None] = []
        if clause.target:
            self.indexes = self._matching()
            if not self.indexes:
                raise SqlError(
                    "ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint"
                )
        self.places: list[int] = []
        self.values: Any = None
        self.where: Any = None
        if clause.assignments is not None:
            self._prepare(env)

    def _matching(self) -> list[IndexKeys | None]:
        """The constraints on just the columns that the clause names; None is the primary key."""
        table = self.target.table
        wanted = {(item.column or item.text).lower() for item in self.clause.target}
        found: list[IndexKeys | None] = []
        if table.without_rowid:
            names = {table.columns[place].name.lower() for place in table.primary_key}
            if names == wanted:
                found.append(None)
        elif table.rowid_alias is not None:
            if wanted == {table.columns[table.rowid_alias].name.lower()} or (
                len(wanted) == 1 and wanted <= {"rowid", "oid", "_rowid_"}
            ):
                found.append(None)
        for keys in self.target.records.indexes:
            if not keys.unique:
                continue
            if keys.index.where is not None and self.clause.target_where is None:
                continue
            names = set()
            for part in keys.index.columns:
                if part.column is None:
                    names.add((part.expression or "").lower())
                elif part.column >= 0:
                    names.add(table.columns[part.column].name.lower())
            if names == wanted:
                found.append(keys)
        return found

    def covers(self, index: IndexKeys | None) -> bool:
        """Whether the clause is for a conflict in this constraint."""
        return self.everything or any(index is item for item in self.indexes)

    def _prepare(self, env: BindEnvironment) -> None:
        table = self.target.table
        scopes = {**env.extra_scopes, "excluded": (table, EXCLUDED_SOURCE)}
        inner = type(env)(
            env.schema,
            env.functions,
            env.transaction,
            extra_scopes=scopes,
            relations=env.relations,
            parameters=env.parameters,
            parameter_kinds=env.parameter_kinds,
            parse=env.parse,
        )
        trees: list[exp.Expression] = []
        assert self.clause.assignments is not None
        for assignment in self.clause.assignments:
            values = [assignment.value]
            if len(assignment.columns) > 1:
                if not isinstance(assignment.value, exp.Tuple):
                    raise SqlError("row values of subqueries are not supported in DO UPDATE")
                values = list(assignment.value.expressions)
                if len(values) != len(assignment.columns):
                    raise SqlError(
                        f"{len(assignment.columns)} columns assigned {len(values)} values"
                    )
            for name, value in zip(assignment.columns, values, strict=True):
                self.places.append(column_place(table, name))
                trees.append(value.copy())
        self.values = compile_row_function(trees, table, inner)
        if self.clause.where is not None:
            where = self.clause.where
            node = where.this if isinstance(where, exp.Where) else where
            self.where = compile_row_function([node.copy()], table, inner)
        changed = frozenset(
            table.columns[place].name.lower() for place in self.places if place >= 0
        )
        self.triggers = Triggers(self.session, env, table, "UPDATE", changed)

    def apply(self, run: Any, conflict: Conflict, new_key: Any, new_row: Row) -> int:
        """Do what the clause says to the row in the way; how many rows changed."""
        if self.clause.assignments is None:
            return 0
        ctx = run.ctx
        writer = run.writer
        old_row = writer.tree.get(conflict.key)
        ctx.outer_rows[EXCLUDED_SOURCE] = (new_key, new_row)
        if self.where is not None and not truth(self.where(ctx, old_row, conflict.key)[0]):
            return 0
        values = list(old_row)
        key = conflict.key
        for place, value in zip(self.places, self.values(ctx, old_row, conflict.key), strict=True):
            if place < 0:
                key = value
            else:
                values[place] = value
        from sql.dml.update import update_row

        row = update_row(
            writer, self.target, self.triggers, conflict.key, old_row, key, tuple(values), run
        )
        if row is None:
            return 0
        if run.plan.returning is not None:
            run.rows.append(run.plan.returning.row(ctx, row[1], row[0]))
        return 1
