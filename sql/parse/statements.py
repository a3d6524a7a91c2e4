"""What a statement's text says, one frozen dataclass for each kind of statement.

Queries and expressions inside are sqlglot trees in the canonical form that `sql.parse` describes;
everything around them (DDL, DML, transactions, pragmas) is spelled out here, so that no layer above
needs to know how sqlglot would have put it.

Where SQL text is kept (defaults, checks, views, triggers) it is a slice of the original statement,
never a regenerated one.  Offsets (`start`, `end`) are characters in the statement's text, half-open.
Names are as spelled, without their quotes.  Conflict clauses are the upper-case words ROLLBACK, ABORT,
FAIL, IGNORE, REPLACE, or None where none was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    import sqlglot.expressions as exp


class ObjectName(Struct, frozen=True):
    """`name` or `schema.name`, with the place of `name` in the text."""

    name: str
    schema: str | None = None
    start: int = 0
    end: int = 0

    def __str__(self) -> str:
        return self.name if self.schema is None else f"{self.schema}.{self.name}"


class Statement(Struct, frozen=True, kw_only=True):
    """Root.  `parameter_names[i]` names parameter i as written (`:a`, `@a`, `$a`, `?3`), None for `?`."""

    text: str
    parameter_names: tuple[str | None, ...] = ()


class Empty(Statement, frozen=True, kw_only=True):
    """Nothing but whitespace, comments and semicolons."""


# Queries and data


class Query(Statement, frozen=True, kw_only=True):
    """SELECT, VALUES, compounds; `tree` is a Select, SetOperation or Values, WITH inside."""

    tree: exp.Expression


class Assignment(Struct, frozen=True):
    """`column = value`, or `(a, b) = row`: then several columns and a Tuple or Subquery as value."""

    columns: tuple[str, ...]
    value: exp.Expression
    start: int = 0


class IndexedColumn(Struct, frozen=True):
    """A key part: a plain column if `column` is given, else an expression with its text."""

    expression: exp.Expression
    column: str | None
    text: str
    collation: str | None = None
    descending: bool = False
    start: int = 0
    end: int = 0


class Upsert(Struct, frozen=True):
    """One ON CONFLICT clause.  `target` is empty for a bare ON CONFLICT; `assignments` None: DO NOTHING."""

    target: tuple[IndexedColumn, ...] = ()
    target_where: exp.Expression | None = None
    assignments: tuple[Assignment, ...] | None = None
    where: exp.Expression | None = None


class Insert(Statement, frozen=True, kw_only=True):
    """INSERT or REPLACE (`or_conflict` REPLACE).  `source` None: DEFAULT VALUES; exp.Values for VALUES.

    `columns` is empty where none were listed.  RETURNING's terms are like a select list's: each is an
    exp.Alias, a Star, or an expression with its text in `.meta["text"]`."""

    table: ObjectName
    alias: str | None = None
    columns: tuple[str, ...] = ()
    source: exp.Expression | None = None
    or_conflict: str | None = None
    upserts: tuple[Upsert, ...] = ()
    returning: tuple[exp.Expression, ...] = ()
    with_: exp.With | None = None


class Update(Statement, frozen=True, kw_only=True):
    """`indexed_by` is an index's name, False for NOT INDEXED, None for neither.

    UPDATE ... FROM a JOIN b: `from_` holds exp.From of a, `joins` the rest, as in exp.Select."""

    table: ObjectName
    alias: str | None = None
    indexed_by: str | bool | None = None
    or_conflict: str | None = None
    assignments: tuple[Assignment, ...] = ()
    from_: exp.From | None = None
    joins: tuple[exp.Join, ...] = ()
    where: exp.Expression | None = None
    returning: tuple[exp.Expression, ...] = ()
    order: exp.Expression | None = None
    limit: exp.Expression | None = None
    offset: exp.Expression | None = None
    with_: exp.With | None = None


class Delete(Statement, frozen=True, kw_only=True):
    table: ObjectName
    alias: str | None = None
    indexed_by: str | bool | None = None
    where: exp.Expression | None = None
    returning: tuple[exp.Expression, ...] = ()
    order: exp.Expression | None = None
    limit: exp.Expression | None = None
    offset: exp.Expression | None = None
    with_: exp.With | None = None


# Tables and their constraints


class Constraint(Struct, frozen=True, kw_only=True):
    """A column's or a table's constraint, in the order written.  `name` is what CONSTRAINT gave."""

    name: str | None = None


class PrimaryKey(Constraint, frozen=True, kw_only=True):
    """`columns` is empty as a column's constraint; `descending` is then PRIMARY KEY DESC."""

    columns: tuple[IndexedColumn, ...] = ()
    descending: bool = False
    autoincrement: bool = False
    conflict: str | None = None


class Unique(Constraint, frozen=True, kw_only=True):
    columns: tuple[IndexedColumn, ...] = ()
    conflict: str | None = None


class NotNull(Constraint, frozen=True, kw_only=True):
    conflict: str | None = None


class Check(Constraint, frozen=True, kw_only=True):
    expression: exp.Expression
    text: str


class Default(Constraint, frozen=True, kw_only=True):
    """`text` is a literal, a signed number, or the expression inside of the parentheses."""

    expression: exp.Expression
    text: str


class Collation(Constraint, frozen=True, kw_only=True):
    collation: str


class Generated(Constraint, frozen=True, kw_only=True):
    expression: exp.Expression
    text: str
    stored: bool = False


class ForeignKey(Constraint, frozen=True, kw_only=True):
    """REFERENCES; `columns` is empty as a column's constraint, `parent_columns` None where not listed."""

    columns: tuple[str, ...] = ()
    parent: str
    parent_columns: tuple[str, ...] | None = None
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    deferred: bool = False


class ColumnDefinition(Struct, frozen=True, kw_only=True):
    """`declared_type` as written, inner whitespace kept to one blank as SQLite shows it; None without one.

    `text[start:end]` is the whole definition, `text[name_start:name_end]` the (quoted) name."""

    name: str
    declared_type: str | None = None
    constraints: tuple[Constraint, ...] = ()
    start: int = 0
    end: int = 0
    name_start: int = 0
    name_end: int = 0


class CreateTable(Statement, frozen=True, kw_only=True):
    """`select` is given for CREATE TABLE ... AS, and `columns` is empty then."""

    name: ObjectName
    temporary: bool = False
    if_not_exists: bool = False
    columns: tuple[ColumnDefinition, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    without_rowid: bool = False
    strict: bool = False
    select: exp.Expression | None = None


class CreateVirtualTable(Statement, frozen=True, kw_only=True):
    name: ObjectName
    module: str
    arguments: tuple[str, ...] = ()
    if_not_exists: bool = False


class CreateIndex(Statement, frozen=True, kw_only=True):
    name: ObjectName
    table: ObjectName
    columns: tuple[IndexedColumn, ...]
    unique: bool = False
    if_not_exists: bool = False
    where: exp.Expression | None = None
    where_text: str | None = None


class CreateView(Statement, frozen=True, kw_only=True):
    name: ObjectName
    select: exp.Expression
    select_text: str
    columns: tuple[str, ...] | None = None
    temporary: bool = False
    if_not_exists: bool = False


class CreateTrigger(Statement, frozen=True, kw_only=True):
    """`timing` BEFORE, AFTER or INSTEAD OF (BEFORE where none is written), `event` INSERT, UPDATE or DELETE.

    `body` holds Insert, Update, Delete and Query statements, each with its own `text`."""

    name: ObjectName
    table: ObjectName
    timing: str
    event: str
    columns: tuple[str, ...] = ()
    when: exp.Expression | None = None
    when_text: str | None = None
    body: tuple[Statement, ...] = ()
    temporary: bool = False
    if_not_exists: bool = False


class Drop(Statement, frozen=True, kw_only=True):
    """`kind` is TABLE, INDEX, VIEW or TRIGGER."""

    kind: str
    name: ObjectName
    if_exists: bool = False


class RenameTable(Statement, frozen=True, kw_only=True):
    table: ObjectName
    to: str


class RenameColumn(Statement, frozen=True, kw_only=True):
    table: ObjectName
    column: str
    to: str


class AddColumn(Statement, frozen=True, kw_only=True):
    table: ObjectName
    column: ColumnDefinition
    column_text: str


class DropColumn(Statement, frozen=True, kw_only=True):
    table: ObjectName
    column: str


# Transactions and the rest


class Begin(Statement, frozen=True, kw_only=True):
    mode: str = "DEFERRED"  # DEFERRED, IMMEDIATE, EXCLUSIVE


class Commit(Statement, frozen=True, kw_only=True):
    """COMMIT or END."""


class Rollback(Statement, frozen=True, kw_only=True):
    """`savepoint` is given for ROLLBACK TO."""

    savepoint: str | None = None


class Savepoint(Statement, frozen=True, kw_only=True):
    name: str


class Release(Statement, frozen=True, kw_only=True):
    name: str


class Pragma(Statement, frozen=True, kw_only=True):
    """`value` is the text after `=` or within `( )`, unquoted, with its sign; None where there is none."""

    name: str
    schema: str | None = None
    value: str | None = None
    form: str | None = None  # "=" or "("


class Explain(Statement, frozen=True, kw_only=True):
    """`mode` is tree (plain EXPLAIN), query plan, analyze or code."""

    mode: str
    statement: Statement


class Reindex(Statement, frozen=True, kw_only=True):
    name: ObjectName | None = None


class Analyze(Statement, frozen=True, kw_only=True):
    name: ObjectName | None = None


class Vacuum(Statement, frozen=True, kw_only=True):
    schema: str | None = None
    into: exp.Expression | None = None


class Attach(Statement, frozen=True, kw_only=True):
    file: exp.Expression
    name: exp.Expression


class Detach(Statement, frozen=True, kw_only=True):
    name: exp.Expression
