"""What the catalog holds: tables, indexes, views and triggers as frozen records.

Expressions (defaults, checks, generated columns, partial and expression indexes) are kept as SQL text
and compiled on demand, so that a schema loads from the catalog without a parser.  All names are looked
up case-insensitively (ASCII), and keep the spelling of their creation.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from operator import is_not
from typing import cast

import msgspec

from sql.expressions import Affinity

MAIN = "main"
"""The database that a session is opened on; what other databases' catalogs call their own objects', too."""

TEMP = 1
"""The number of the store of temporary objects (see `sql.joint`)."""

TREE_BITS = 40
TREE_BASE = 1 << TREE_BITS
"""Tree ids below it are those of the database's own store; the session's others begin at its multiples."""


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
    database: str = MAIN
    checks: tuple[Check, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    sql: str = ""
    key_collations: tuple[str, ...] = ()  # of the primary key, where they aren't its columns' own

    @property
    def key_parts(self) -> tuple[tuple[int, str], ...]:
        """The columns of the primary key, each with the collation under which it is one."""
        own = (self.columns[place].collation for place in self.primary_key)
        return tuple(zip(self.primary_key, self.key_collations or own, strict=True))


class View(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    select: str  # SQL text
    columns: tuple[str, ...] | None = None
    database: str = MAIN
    sql: str = ""


class Trigger(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    table: str
    timing: str  # BEFORE AFTER INSTEAD OF
    event: str  # INSERT UPDATE DELETE
    columns: tuple[str, ...] = ()  # UPDATE OF
    when: str | None = None
    body: tuple[str, ...] = ()  # statements' texts
    database: str = MAIN
    sql: str = ""
    on: str | None = None  # the database of its table or view, of a temporary one where that is not

    @property
    def table_database(self) -> str:
        """The database of the table or view that it stands on."""
        return self.on or self.database


SchemaObject = Table | View | Index | Trigger

_NONE_ATTACHED: Mapping[str, Schema] = {}


class Schema:
    """All objects of a database as of one catalog state; looked up by lower-case name.

    A session's schema overlays those of all its databases: `main`, `temp` and `attached`, by lower-case name, are the
    layers, and the dictionaries hold what an unqualified name means.  `rowids` gives an object's row
    in its catalog, by (type, lower-case name)."""

    __slots__ = (
        "attached",
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
        self.attached: Mapping[str, Schema] = _NONE_ATTACHED

    def table(self, name: str) -> Table | None:
        return self.tables.get(name.lower())

    def view(self, name: str) -> View | None:
        return self.views.get(name.lower())

    def indexes_on(self, table: str, database: str | None = None) -> list[Index]:
        layer = self.layer(database)
        return [] if layer is None else layer.indexes_of.get(table.lower(), [])

    def triggers_on(self, table: str) -> list[Trigger]:
        return self.triggers_of.get(table.lower(), [])

    def temporary_triggers_on(self, table: str, database: str) -> list[Trigger]:
        """Temporary triggers on the table or view of the name in a database."""
        found = [] if self.temp is None else self.temp.triggers_on(table)
        return [trigger for trigger in found if trigger.table_database == database]

    def layers(self) -> dict[str, Schema]:
        """The layers by the names of their databases, in SQLite's order."""
        temp = {} if self.temp is None else {"temp": self.temp}
        return {MAIN: self.main, **temp, **self.attached}

    def layer(self, database: str | None) -> Schema | None:
        """The layer that `database` names (None: all of it); None if there is no such database."""
        if database is None:
            return self
        name = database.lower()
        if name == MAIN:
            return self.main
        if name == "temp":
            return self.temp or _NOTHING
        return self.attached.get(name)

    def find_table(self, name: str, database: str | None = None) -> Table | None:
        """The table `name`, or `database.name`."""
        layer = self.layer(database)
        return None if layer is None else layer.tables.get(name.lower())

    def parted(self, name: str) -> tuple[str | None, str]:
        """(database, name) of what is called `database.name` outside of SQL; (None, name) of all else."""
        database, dot, rest = name.partition(".")
        is_name = bool(self.find_table(name) or self.find_view(name))
        if not dot or is_name or self.layer(database) is None:
            return None, name
        return database.lower(), rest

    def spelled(self, name: str) -> str:
        """`name` or `database.name`, quoted for SQL."""
        database, rest = self.parted(name)
        return quoted(rest) if database is None else f"{quoted(database)}.{quoted(rest)}"

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
        self.main, self.temp, self.attached = schema.main, schema.temp, schema.attached
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


def overlaid(main: Schema, temp: Schema | None, attached: Mapping[str, Schema]) -> Schema:
    """What unqualified names mean: temporary objects hide all others, main's those of attached databases, and these
    those of databases that were attached later."""
    joint = Schema()
    joint.main, joint.temp, joint.attached = main, temp, attached
    joint.settings, joint.rowids = main.settings, main.rowids
    hidden = set() if temp is None else temp.tables.keys() | temp.views.keys()
    for layer in (main, *attached.values()):
        _lay_under(joint, layer, hidden)
        hidden |= layer.tables.keys() | layer.views.keys()
    if temp is not None:
        joint.tables |= temp.tables
        joint.views |= temp.views
        joint.indexes |= temp.indexes
        joint.triggers |= temp.triggers
        joint.indexes_of |= temp.indexes_of
        for name, triggers in temp.triggers_of.items():
            joint.triggers_of[name] = [*triggers, *joint.triggers_of.get(name, [])]
    return joint


def _lay_under(joint: Schema, layer: Schema, hidden: Set[str]) -> None:
    """Add what no name of the databases before hides."""
    joint.tables |= {name: item for name, item in layer.tables.items() if name not in hidden}
    joint.views |= {name: item for name, item in layer.views.items() if name not in hidden}
    joint.indexes = layer.indexes | joint.indexes
    joint.triggers = layer.triggers | joint.triggers
    for name, indexes in layer.indexes_of.items():
        if name not in hidden:
            joint.indexes_of[name] = indexes
    for name, triggers in layer.triggers_of.items():
        if name not in hidden:
            joint.triggers_of[name] = triggers


def quoted(name: str) -> str:
    """The name in double quotes."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
