"""What the catalog holds: tables, indexes, views and triggers as frozen records.

Expressions (defaults, checks, generated columns, partial and expression indexes) are kept as SQL text
and compiled on demand, so that a schema loads from the catalog without a parser.  All names are looked
up case-insensitively (ASCII), and keep the spelling of their creation.
"""

from __future__ import annotations

from operator import is_not
from typing import cast

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
    default_shown: str | None = None  # as written, where that is no expression (DEFAULT abc)
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
    on_main: bool = False  # a temporary one on a table or view that is not


SchemaObject = Table | View | Index | Trigger

TEMP_TREE_BASE = 1 << 40
"""Tree ids of temporary tables and indexes start here: they live in a store of the session's own."""


def database_of(table: Table) -> str:
    """Where a table is: "main" or "temp"."""
    return "temp" if table.tree_id >= TEMP_TREE_BASE else "main"


class Schema:
    """All objects of a database as of one catalog state; looked up by lower-case name.

    A session's schema overlays its temporary objects on the database's: `main` and `temp` are the
    layers, and the dictionaries hold what an unqualified name means.  `rowids` gives an object's row
    in its catalog, by (type, lower-case name)."""

    __slots__ = (
        "indexes",
        "indexes_of",
        "main",
        "rowids",
        "settings",
        "tables",
        "temp",
        "triggers",
        "triggers_of",
        "views",
    )

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.views: dict[str, View] = {}
        self.indexes: dict[str, Index] = {}
        self.triggers: dict[str, Trigger] = {}
        self.indexes_of: dict[str, list[Index]] = {}  # by table, in order of creation
        self.triggers_of: dict[str, list[Trigger]] = {}
        self.rowids: dict[tuple[str, str], int] = {}
        self.settings: dict[str, int] = {}  # user_version, application_id, schema_version
        self.main: Schema = self
        self.temp: Schema | None = None

    def table(self, name: str) -> Table | None:
        return self.tables.get(name.lower())

    def view(self, name: str) -> View | None:
        return self.views.get(name.lower())

    def indexes_on(self, table: str, database: str | None = None) -> list[Index]:
        layer = self.layer(database)
        return [] if layer is None else layer.indexes_of.get(table.lower(), [])

    def triggers_on(self, table: str) -> list[Trigger]:
        return self.triggers_of.get(table.lower(), [])

    def temporary_triggers_on(self, table: str, *, on_main: bool) -> list[Trigger]:
        """Temporary triggers on the database's table or view of the name, or on the temporary one."""
        found = [] if self.temp is None else self.temp.triggers_on(table)
        return [trigger for trigger in found if trigger.on_main == on_main]

    def layer(self, database: str | None) -> Schema | None:
        """The layer that `database` names (None: all of it); None if there is no such database."""
        if database is None:
            return self
        name = database.lower()
        if name == "main":
            return self.main
        return self.temp or _NOTHING if name == "temp" else None

    def find_table(self, name: str, database: str | None = None) -> Table | None:
        """The table `name`, or `database.name`."""
        layer = self.layer(database)
        return None if layer is None else layer.tables.get(name.lower())

    def find_view(self, name: str, database: str | None = None) -> View | None:
        layer = self.layer(database)
        return None if layer is None else layer.views.get(name.lower())

    def find_index(self, name: str, database: str | None = None) -> Index | None:
        layer = self.layer(database)
        return None if layer is None else layer.indexes.get(name.lower())

    def find_trigger(self, name: str, database: str | None = None) -> Trigger | None:
        layer = self.layer(database)
        return None if layer is None else layer.triggers.get(name.lower())

    def extended(self) -> Schema:
        """A copy to add to; settings are left out."""
        made = Schema()
        made.tables, made.views = self.tables.copy(), self.views.copy()
        made.indexes, made.triggers = self.indexes.copy(), self.triggers.copy()
        made.indexes_of, made.triggers_of = self.indexes_of.copy(), self.triggers_of.copy()
        made.rowids = {key: rowid for key, rowid in self.rowids.items() if key[0] != "setting"}
        return made

    def add(self, item: SchemaObject, rowid: int) -> None:
        """Put an object in; those of a table come after it.  For the catalog's loader."""
        name = item.name.lower()
        if item.__class__ is Table:
            self.tables[name] = item
            self.rowids["table", name] = rowid
        elif item.__class__ is Index:
            self.indexes[name] = item
            table = item.table.lower()
            self.indexes_of[table] = [*self.indexes_of.get(table, ()), item]
            self.rowids["index", name] = rowid
        elif item.__class__ is View:
            self.views[name] = item
            self.rowids["view", name] = rowid
        elif item.__class__ is Trigger:
            self.triggers[name] = item
            table = item.table.lower()
            self.triggers_of[table] = [*self.triggers_of.get(table, ()), item]
            self.rowids["trigger", name] = rowid


class ObservedSchema(Schema):
    """A schema that remembers what it was asked, so that a plan knows whether a change concerns it."""

    __slots__ = ("_asked",)

    def __init__(self, schema: Schema) -> None:
        self.tables, self.views = schema.tables, schema.views
        self.indexes, self.triggers = schema.indexes, schema.triggers
        self.indexes_of, self.triggers_of = schema.indexes_of, schema.triggers_of
        self.rowids, self.settings = schema.rowids, schema.settings
        self.main, self.temp = schema.main, schema.temp
        self._asked: dict[tuple[str, str, str | None], object] = {}

    def table(self, name: str) -> Table | None:
        return self.find_table(name)

    def view(self, name: str) -> View | None:
        return self.find_view(name)

    def find_table(self, name: str, database: str | None = None) -> Table | None:
        found = super().find_table(name, database)
        self._asked["find_table", name, database] = found
        return found

    def find_view(self, name: str, database: str | None = None) -> View | None:
        found = super().find_view(name, database)
        self._asked["find_view", name, database] = found
        return found

    def find_index(self, name: str, database: str | None = None) -> Index | None:
        found = super().find_index(name, database)
        self._asked["find_index", name, database] = found
        return found

    def indexes_on(self, table: str, database: str | None = None) -> list[Index]:
        found = super().indexes_on(table, database)
        self._asked["indexes_on", table, database] = found
        return found

    def answers_alike(self, schema: Schema) -> bool:
        """Whether `schema` gives the very same objects as answers to all that was asked."""
        for (method, name, database), answer in self._asked.items():
            if method == "indexes_on":
                now = schema.indexes_on(name, database)
                known = cast("list[Index]", answer)
                if len(now) != len(known) or any(map(is_not, now, known)):
                    return False
            elif getattr(schema, method)(name, database) is not answer:
                return False
        return True


_NOTHING = Schema()


def overlaid(main: Schema, temp: Schema) -> Schema:
    """What unqualified names mean where `temp` lies over `main`: temporary objects hide the others."""
    both = Schema()
    both.main, both.temp = main, temp
    both.settings, both.rowids = main.settings, main.rowids
    hidden = temp.tables.keys() | temp.views.keys()
    both.tables = {name: item for name, item in main.tables.items() if name not in hidden}
    both.views = {name: item for name, item in main.views.items() if name not in hidden}
    both.tables |= temp.tables
    both.views |= temp.views
    both.indexes = main.indexes | temp.indexes
    both.triggers = main.triggers | temp.triggers
    both.indexes_of = {
        name: items for name, items in main.indexes_of.items() if name not in hidden
    } | temp.indexes_of
    both.triggers_of = {
        name: items for name, items in main.triggers_of.items() if name not in hidden
    }
    for name, triggers in temp.triggers_of.items():
        both.triggers_of[name] = [*triggers, *both.triggers_of.get(name, [])]
    return both


def quoted(name: str) -> str:
    """The name in double quotes."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
