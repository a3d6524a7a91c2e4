"""What the catalog holds: tables, indexes, views and triggers as frozen records.

Expressions (defaults, checks, generated columns, partial and expression indexes) are kept as SQL text
and compiled on demand, so that a schema loads from the catalog without a parser.  All names are looked
up case-insensitively (ASCII), and keep the spelling of their creation.
"""

from __future__ import annotations

import msgspec

from sql.expressions import Affinity


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """A column; its position in `Table.columns` is its position in the row tuple.

    Generated columns, VIRTUAL ones too, are computed at every write and stand in the row."""

    name: str
    declared_type: str | None = None
    affinity: Affinity = Affinity.BLOB
    collation: str = "BINARY"
    not_null: bool = False
    not_null_conflict: str | None = None  # ROLLBACK ABORT FAIL IGNORE REPLACE
    default: str | None = None  # SQL text of the expression
    generated: str | None = None  # SQL text
    stored: bool = False  # STORED rather than VIRTUAL


class IndexColumn(msgspec.Struct, frozen=True, omit_defaults=True):
    """One key part: a column's position (ROWID for the rowid), or an expression's text."""

    column: int | None = None
    expression: str | None = None
    collation: str = "BINARY"
    descending: bool = False  # as declared; trees are always stored ascending


class Index(msgspec.Struct, frozen=True, omit_defaults=True):
    """Keys of its tree: (value of each part under its collation's `collation_key`..., then the rowid,
    or for a WITHOUT ROWID table the elements of its tree key).  Unique ones too: uniqueness is looked
    up by prefix; keys with a NULL among the parts never conflict."""

    name: str
    table: str
    tree_id: int
    columns: tuple[IndexColumn, ...]
    unique: bool = False
    where: str | None = None
    origin: str = "c"  # c: CREATE INDEX, u: UNIQUE constraint, pk: PRIMARY KEY
    conflict: str | None = None
    sql: str | None = None


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    expression: str
    name: str | None = None


class ForeignKey(msgspec.Struct, frozen=True, omit_defaults=True):
    columns: tuple[int, ...]
    parent: str
    parent_columns: tuple[str, ...] | None = None  # None: the parent's primary key
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    deferred: bool = False
    name: str | None = None


class Table(msgspec.Struct, frozen=True, omit_defaults=True):
    """A table.  Rowid tables are TABLE trees (int -> row), WITHOUT ROWID ones CLUSTERED trees
    (primary key tuple under `collation_key` -> row).  The row tuple always holds every column; the
    INTEGER PRIMARY KEY column (`rowid_alias`) repeats the key."""

    name: str
    tree_id: int
    columns: tuple[Column, ...]
    primary_key: tuple[int, ...] = ()
    rowid_alias: int | None = None
    rowid_conflict: str | None = None
    without_rowid: bool = False
    autoincrement: bool = False
    strict: bool = False
    temporary: bool = False
    checks: tuple[Check, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    sql: str = ""


class View(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    select: str  # SQL text
    columns: tuple[str, ...] | None = None
    temporary: bool = False
    sql: str = ""


class Trigger(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    table: str
    timing: str  # BEFORE AFTER INSTEAD OF
    event: str  # INSERT UPDATE DELETE
    columns: tuple[str, ...] = ()  # UPDATE OF
    when: str | None = None
    body: tuple[str, ...] = ()  # statements' texts
    temporary: bool = False
    sql: str = ""


class Schema:
    """All objects of a database as of one catalog state; looked up by lower-case name."""

    __slots__ = ("indexes", "indexes_of", "tables", "triggers", "triggers_of", "views")

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.views: dict[str, View] = {}
        self.indexes: dict[str, Index] = {}
        self.triggers: dict[str, Trigger] = {}
        self.indexes_of: dict[str, list[Index]] = {}  # by table, in order of creation
        self.triggers_of: dict[str, list[Trigger]] = {}

    def table(self, name: str) -> Table | None:
        return self.tables.get(name.lower())

    def view(self, name: str) -> View | None:
        return self.views.get(name.lower())

    def indexes_on(self, table: str) -> list[Index]:
        return self.indexes_of.get(table.lower(), [])

    def triggers_on(self, table: str) -> list[Trigger]:
        return self.triggers_of.get(table.lower(), [])
