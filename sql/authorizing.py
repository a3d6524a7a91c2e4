"""The authorizer of a session: a program's function that is asked what each statement may do, before it is planned.

A statement is bound once for the asking alone, with a binder that tells what its names mean; the plan is made
afterwards, as if nobody had asked.  So nothing of this is in the way of a session without an authorizer.  With one no
plan is kept: each execution is asked for.  The actions and what is told of them are those of
https://www.sqlite.org/c3ref/c_alter_table.html, but for SQLite's own book-keeping in sqlite_master.  An answer IGNORE to
the reading of a column in a query shows it as NULL (`hidden`); to DELETE it changes nothing; anything else it refuses, as
DENY does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlglot.expressions as exp

from sql.bind.ctes import declare
from sql.bind.expressions import ExpressionBinder
from sql.bind.queries import Binder
from sql.bind.scope import Scope, ScopeColumn, table_item
from sql.dml import assigned, condition_of, find_target, scan_query, table_of_view, triggers_on
from sql.errors import NotAuthorizedError, SqlError
from sql.expressions import ROWID, ColumnRef
from sql.parse import parse_expression, parse_statement
from sql.parse.statements import (
    AddColumn,
    Analyze,
    Attach,
    Begin,
    Commit,
    CreateIndex,
    CreateTable,
    CreateTrigger,
    CreateView,
    Delete,
    Detach,
    Drop,
    DropColumn,
    Explain,
    Insert,
    ObjectName,
    Pragma,
    Query,
    Reindex,
    Release,
    RenameColumn,
    RenameTable,
    Rollback,
    Savepoint,
    Statement,
    Update,
    Vacuum,
)

if TYPE_CHECKING:
    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.schema import Table, Trigger
    from sql.session import Session

Ask = Callable[[int, "str | None", "str | None", "str | None", "str | None"], int]
"""(action, its two arguments, the database, the innermost view or trigger) -> OK, DENY or IGNORE."""

OK, DENY, IGNORE = 0, 1, 2

_ACTIONS = [
    "CREATE_INDEX", "CREATE_TABLE", "CREATE_TEMP_INDEX", "CREATE_TEMP_TABLE", "CREATE_TEMP_TRIGGER",
    "CREATE_TEMP_VIEW", "CREATE_TRIGGER", "CREATE_VIEW", "DELETE", "DROP_INDEX", "DROP_TABLE", "DROP_TEMP_INDEX",
    "DROP_TEMP_TABLE", "DROP_TEMP_TRIGGER", "DROP_TEMP_VIEW", "DROP_TRIGGER", "DROP_VIEW", "INSERT", "PRAGMA",
    "READ", "SELECT", "TRANSACTION", "UPDATE", "ATTACH", "DETACH", "ALTER_TABLE", "REINDEX", "ANALYZE",
    "CREATE_VTABLE", "DROP_VTABLE", "FUNCTION", "SAVEPOINT", "RECURSIVE",
]  # fmt: skip
_NUMBERS = {name: number for number, name in enumerate(_ACTIONS, 1)}

_EVENTS = {"INSERT": ("new",), "UPDATE": ("old", "new"), "DELETE": ("old",)}
_ROW = 1_000_000  # the number of a row that OLD, NEW or `excluded` names; nobody reads it


class Authorizer:
    """What the program answered; `hidden` are the columns that queries show as NULL, as (database, table, column,
    view or CTE that reads it)."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.hidden: set[tuple[str, str, str, str]] = set()

    def answer(
        self, action: str, first: str | None, second: str | None, database: str | None, source: str
    ) -> int:
        """OK, DENY or IGNORE.  SqlError of anything else."""
        found = self._ask(_NUMBERS[action], first, second, database, source or None)
        if found not in (OK, DENY, IGNORE):
            raise SqlError("authorizer malfunction")
        return found

    def transaction(self, word: str) -> None:
        """BEGIN, COMMIT or ROLLBACK.  NotAuthorizedError."""
        if self.answer("TRANSACTION", word, None, None, "") != OK:
            raise NotAuthorizedError("not authorized")

    def check(self, session: Session, statement: Statement) -> None:
        """Ask for all that a statement is to do.  NotAuthorizedError, and what binding raises."""
        with session.glance() as transaction:
            _Asking(self, session, transaction).statement(statement)


class _Asking:
    """The questions about one statement; a `Binder` tells what it binds."""

    def __init__(self, authorizer: Authorizer, session: Session, transaction: Transaction) -> None:
        self._authorizer = authorizer
        self._session = session
        self._env: BindEnvironment = session.environment(transaction)
        self._transaction = transaction
        self._binder = self._made_binder(self._env)
        self._source = ""  # the trigger that it is about
        self._running: set[int] = set()
        self._is_query = False
        self._silent = 0  # SELECTs that stand for what is no query
        self._read: set[tuple[str, str]] = set()
        self._relations: list[tuple[str, str, str | None, str]] = []

    def _made_binder(self, env: BindEnvironment) -> Binder:
        binder = Binder(env)
        binder.asks = self
        return binder

    # -- what a binder tells ---------------------------------------------------------------------

    def select(self) -> None:
        """A SELECT begins."""
        if self._silent:
            self._silent -= 1
            return
        self._allow("SELECT")

    def function(self, name: str) -> None:
        """A function is called."""
        if self._answer("FUNCTION", None, name.lower()) != OK:
            raise SqlError(f"not authorized to use function: {name}")

    def recursive(self) -> None:
        """A CTE reads itself."""
        self._allow("RECURSIVE")

    def column(self, found: ScopeColumn) -> None:
        """A name means a column."""
        if found.stored is not None and found.table is not None:
            of_rowid = isinstance(found.expression, ColumnRef) and found.expression.column == ROWID
            name = "ROWID" if of_rowid else str(found.column)
            self._reads(found.table, name, found.stored, str(found.column))

    def of_row(self, table: Table, name: str) -> None:
        """A name means a column of NEW or OLD."""
        self._reads(table.name, name, table.database, name)

    def relation(self, name: str, database: str, written: str | None) -> None:
        """A table of FROM, which is read also where none of its columns is; `written`: the database that stands there."""
        source = self._binder.inside or self._source
        self._relations.append((name, database, written, source))

    def _reads(self, table: str, name: str, database: str, column: str) -> None:
        self._read.add((table, database))
        answer = self._answer("READ", table, name, database)
        if answer == IGNORE and self._is_query and not self._source and column:
            inside = self._binder.inside
            self._authorizer.hidden.add((database, table.lower(), column.lower(), inside))
        elif answer != OK:
            attached = f"{database}." if self._session.others or database != "main" else ""
            raise NotAuthorizedError(f"access to {attached}{table}.{name} is prohibited")

    def _answer(
        self, action: str, first: str | None, second: str | None, database: str | None = None
    ) -> int:
        source = self._binder.inside or self._source
        return self._authorizer.answer(action, first, second, database, source)

    def _allow(
        self,
        action: str,
        first: str | None = None,
        second: str | None = None,
        database: str | None = None,
    ) -> None:
        if self._answer(action, first, second, database) != OK:
            raise NotAuthorizedError("not authorized")

    # -- statements ------------------------------------------------------------------------------

    def statement(self, statement: Statement) -> None:
        match statement:
            case Query():
                self._is_query = True
                self._query(statement.tree)
            case Insert() | Update() | Delete():
                self._write(statement)
            case Explain():
                self.statement(statement.statement)
            case Begin():
                self._authorizer.transaction("BEGIN")
            case Commit():
                self._authorizer.transaction("COMMIT")
            case Rollback(savepoint=None):
                self._authorizer.transaction("ROLLBACK")
            case Rollback():
                self._allow("SAVEPOINT", "ROLLBACK", statement.savepoint)
            case Savepoint():
                self._allow("SAVEPOINT", "BEGIN", statement.name)
            case Release():
                self._allow("SAVEPOINT", "RELEASE", statement.name)
            case Pragma():
                self._allow("PRAGMA", statement.name, statement.value, statement.schema)
            case Attach():
                self._allow("ATTACH", _text(statement.file))
            case Vacuum() if statement.into is not None:
                self._allow("ATTACH", _text(statement.into))
            case Detach():
                self._allow("DETACH", _text(statement.name))
            case Analyze() | Reindex():
                action, name = type(statement).__name__.upper(), statement.name
                if name is None:
                    self._allow(action)
                else:
                    self._allow(action, name.name, None, name.schema)
            case _:
                self._definition(statement)

    def _definition(self, statement: Statement) -> None:
        match statement:
            case CreateTable():
                self._create("TABLE", statement.name, None, temporary=statement.temporary)
                if statement.select is not None:
                    self._query(statement.select)
            case CreateView():
                self._create("VIEW", statement.name, None, temporary=statement.temporary)
            case CreateTrigger():
                table = statement.table.name
                self._create("TRIGGER", statement.name, table, temporary=statement.temporary)
            case CreateIndex():
                on = ObjectName(statement.table.name, statement.name.schema)
                temporary = self._session.database_of(on) == "temp"
                self._create("INDEX", statement.name, statement.table.name, temporary=temporary)
            case RenameTable() | RenameColumn() | AddColumn() | DropColumn():
                table = statement.table.name
                self._allow("ALTER_TABLE", self._session.database_of(statement.table), table)
            case Drop():
                self._drop(statement)
            case _:
                pass

    def _create(self, kind: str, name: ObjectName, table: str | None, *, temporary: bool) -> None:
        database = "temp" if temporary else (name.schema or "main").lower()
        word = "TEMP_" if database == "temp" else ""
        self._allow(f"CREATE_{word}{kind}", name.name, table, database)

    def _drop(self, statement: Drop) -> None:
        schema, name = self._env.schema, statement.name
        find = {
            "TABLE": schema.find_table,
            "VIEW": schema.find_view,
            "INDEX": schema.find_index,
            "TRIGGER": schema.find_trigger,
        }
        found: Any = find[statement.kind](name.name, name.schema)
        if found is None:
            return
        table = getattr(found, "table", None)
        if statement.kind == "INDEX":
            owner = schema.find_table(found.table, name.schema)
            database = "main" if owner is None else owner.database
        else:
            database = found.database
        word = "TEMP_" if database == "temp" else ""
        self._allow(f"DROP_{word}{statement.kind}", found.name, table, database)
        if statement.kind in ("TABLE", "VIEW"):
            self._allow("DELETE", found.name, None, database)

    def _query(self, tree: exp.Expression) -> None:
        self._binder.query(tree, None)
        for name, database, written, source in self._relations:
            if (name, database) in self._read:
                continue
            if self._authorizer.answer("READ", name, "", written, source) != OK:
                raise NotAuthorizedError("not authorized")
        self._relations.clear()

    def _write(self, statement: Insert | Update | Delete) -> None:
        name = statement.table
        is_here = self._env.schema.find_table(name.name, name.schema) is not None
        if not is_here and name.name.lower() in ("kv", "sqlite_stat1"):
            self._write_apart(statement)
            return
        table, view = find_target(statement, self._env)
        if table is None:
            assert view is not None
            table = table_of_view(view, self._env)
        self._read.add((table.name, table.database))
        ctes = self._binder.ctes
        try:
            if statement.with_ is not None:
                declare(self._binder, statement.with_)
            match statement:
                case Insert():
                    self._insert(statement, table)
                case Update():
                    self._update(statement, table)
                case Delete():
                    if self._answer("DELETE", table.name, None, table.database) == DENY:
                        raise NotAuthorizedError("not authorized")
                    self._scan(statement, [exp.Literal.number(1)])
                    self._triggers(table, "DELETE")
            self._over_row(table, statement.alias, statement.returning)
        finally:
            self._binder.ctes = ctes

    def _write_apart(self, statement: Insert | Update | Delete) -> None:
        """Raw keys, and statistics that nobody keeps."""
        name = statement.table.name
        match statement:
            case Insert():
                self._allow("INSERT", name, None, "main")
                if statement.source is not None:
                    self._query(statement.source.copy())
            case Update():
                for assignment in statement.assignments:
                    for column in assignment.columns:
                        self._allow("UPDATE", name, column, "main")
                self._scan(statement, [item.value.copy() for item in statement.assignments])
            case Delete():
                self._allow("DELETE", name, None, "main")
                self._scan(statement, [exp.Literal.number(1)])

    def _insert(self, statement: Insert, table: Table) -> None:
        self._allow("INSERT", table.name, None, table.database)
        source = statement.source
        if isinstance(source, exp.Values):
            binder = ExpressionBinder(self._binder, Scope())
            for row in source.expressions:
                binder.bind_all(row.expressions if isinstance(row, exp.Tuple) else [row])
        elif source is not None:
            self._query(source.copy())
        self._triggers(table, "INSERT")
        if statement.or_conflict == "REPLACE" and self._session.recursive_triggers:
            self._triggers(table, "DELETE")
        for clause in statement.upserts:
            if clause.assignments is None:
                continue
            _, values = assigned(clause.assignments, table)
            parts = [value.copy() for value in values]
            if clause.where is not None:
                parts.append(condition_of(clause.where))
            with self._rows({"excluded": (table, _ROW)}, keeps=True):
                self._over_row(table, statement.alias, parts)
            self._sets(table, [name for item in clause.assignments for name in item.columns])

    def _update(self, statement: Update, table: Table) -> None:
        _, values = assigned(statement.assignments, table)
        self._scan(statement, [value.copy() for value in values])
        self._sets(table, [name for item in statement.assignments for name in item.columns])

    def _sets(self, table: Table, names: Sequence[str]) -> None:
        known = {column.name.lower(): column.name for column in table.columns}
        for name in names:
            self._allow("UPDATE", table.name, known.get(name.lower(), "ROWID"), table.database)
        self._triggers(table, "UPDATE", frozenset(name.lower() for name in names))

    def _scan(self, statement: Update | Delete, outputs: list[exp.Expression]) -> None:
        sources: dict[str, Any] = {}
        if isinstance(statement, Update):
            sources = {"from_": statement.from_, "joins": statement.joins}
        select = scan_query(statement, statement.alias or statement.table.name, outputs, **sources)
        self._silent += 1
        self._query(select.copy())

    def _over_row(self, table: Table, alias: str | None, parts: Sequence[exp.Expression]) -> None:
        """Expressions over the row of a table: RETURNING, DO UPDATE."""
        scope, masks = Scope(), tuple(31 for _ in table.columns)
        item = table_item(table, self._binder.next_source(), alias or table.name, masks)
        scope.items.append(item)
        for part in parts:
            inner = part.this if isinstance(part, exp.Alias) else part
            if isinstance(inner, exp.Star):
                for column in item.columns:
                    self.column(column)
            else:
                ExpressionBinder(self._binder, scope).bind(inner.copy())

    # -- triggers --------------------------------------------------------------------------------

    def _triggers(self, table: Table, event: str, changed: frozenset[str] | None = None) -> None:
        for trigger in triggers_on(self._session, self._env, table, event, changed):
            if id(trigger) not in self._running:
                self._running.add(id(trigger))
                self._trigger(trigger, table)
                self._running.discard(id(trigger))

    def _trigger(self, trigger: Trigger, table: Table) -> None:
        rows = {name: (table, _ROW + place) for place, name in enumerate(_EVENTS[trigger.event])}
        around, self._source = self._source, trigger.name
        is_query, self._is_query = self._is_query, False
        layer = None if trigger.database == "temp" else self._env.schema.layer(trigger.database)
        try:
            with self._rows(rows, layer=layer):
                if trigger.when is not None:
                    ExpressionBinder(self._binder, Scope()).bind(parse_expression(trigger.when))
                for text in trigger.body:
                    inner = parse_statement(text)
                    if isinstance(inner, Query):
                        self._query(inner.tree)
                    elif isinstance(inner, (Insert, Update, Delete)):
                        self._write(inner)
        finally:
            self._source, self._is_query = around, is_query

    @contextmanager
    def _rows(
        self, rows: dict[str, tuple[Table, int]], *, layer: Any = None, keeps: bool = False
    ) -> Iterator[None]:
        """Rows that expressions know by name; `keeps`: besides those that they know already."""
        env, binder = self._env, self._binder
        extra = {**env.extra_scopes, **rows} if keeps else rows
        self._env = self._session.environment(self._transaction, extra_scopes=extra)
        if layer is not None:
            self._env.schema = layer
        self._binder = self._made_binder(self._env)
        if keeps:
            self._binder.ctes = binder.ctes
        try:
            yield
        finally:
            self._env, self._binder = env, binder


def _text(node: exp.Expression) -> str | None:
    """A name that is given as a literal or an identifier; None of what is computed."""
    if isinstance(node, (exp.Literal, exp.Column, exp.Identifier)):
        return node.name
    return None
