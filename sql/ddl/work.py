"""What every definition needs at hand: its database's layer of the schema, catalog and trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sql.catalog import Catalog
from sql.context import Context
from sql.errors import SqlError, SqlNameError
from sql.loading import load
from sql.schema import TREE_BASE, Index, Schema, SchemaObject, Table

if TYPE_CHECKING:
    from btree import Transaction, TreeKind
    from sql.bind import BindEnvironment
    from sql.parse.statements import CreateTable, CreateView, ObjectName
    from sql.session import Session

RESERVED_NAMES = frozenset(
    ("sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema")
)


class Work:
    """One definition being carried out in `transaction`, in `database`."""

    __slots__ = ("catalog", "database", "on_text", "session", "transaction")

    def __init__(self, session: Session, transaction: Transaction, database: str) -> None:
        self.session = session
        self.transaction = transaction
        self.database = database
        self.on_text = session.on_text
        self.catalog = Catalog(session.part_of(transaction, database), self.layer)

    @property
    def temporary(self) -> bool:
        """Whether it is about a temporary object."""
        return self.database == "temp"

    @property
    def schema(self) -> Schema:
        """The schema as it is now, that of all databases."""
        return self.session.schema_of(self.transaction)

    @property
    def layer(self) -> Schema:
        """The part of it that belongs to the database worked on."""
        found = self.schema.layer(self.database)
        assert found is not None
        return found

    def within(self, database: str) -> Work:
        """The same in another database, which can be written then."""
        self.session.ensure_writable(self.transaction, database)
        return Work(self.session, self.transaction, database)

    def create_tree(self, kind: TreeKind) -> int:
        """A new tree in the database worked on."""
        number = self.session.numbers[self.database]
        part = self.session.part_of(self.transaction, self.database)
        return part.create_tree(kind) + number * TREE_BASE

    def knows(self, name: ObjectName) -> bool:
        """Whether there is the database that the name is qualified with."""
        return name.schema is None or self.schema.layer(name.schema) is not None

    def context(self, parameters: tuple[Any, ...] = ()) -> Context:
        return self.session.context(self.transaction, parameters)

    def environment(self) -> BindEnvironment:
        made = self.session.environment(self.transaction)
        made.on_text = self.on_text
        return made

    def fill_index(self, table: Table, index: Index) -> None:
        """Fill the empty tree of `index` from the table's rows."""
        if not len(self.transaction.tree(table.tree_id)):
            return
        load("sql.dml")
        from sql.dml import fill_index

        fill_index(self.session, self.context(), table, index)

    def is_there_already(self, statement: CreateTable | CreateView) -> bool:
        """Whether IF NOT EXISTS makes the statement do nothing.  Raises SqlError for a name that is
        qualified as no table or view can be."""
        name = statement.name
        check_database(self, name)
        if statement.temporary and name.schema is not None and name.schema.lower() != "temp":
            raise SqlError("temporary table name must be unqualified", offset=name.start)
        layer = self.layer
        return statement.if_not_exists and bool(layer.table(name.name) or layer.view(name.name))

    def check_new_name(self, name: ObjectName, *, what: str) -> None:
        """Raise SqlError if an object of the database has the name already."""
        if name.name.lower().startswith("sqlite_"):
            raise SqlError(
                f"object name reserved for internal use: {name.name}",
                offset=name.start,
                token=name.name,
            )
        layer = self.layer
        if layer.table(name.name) or layer.view(name.name):
            found = f"there is already a table named {name.name}"
            if what != "index":
                kind = "view" if layer.view(name.name) else "table"
                found = f"{kind} {name.name} already exists"
            raise SqlError(found, offset=name.start, token=name.name)
        if layer.find_index(name.name):
            raise SqlError(
                f"index {name.name} already exists"
                if what == "index"
                else f"there is already an index named {name.name}",
                offset=name.start,
                token=name.name,
            )


def check_collation(work: Work, name: str) -> None:
    """Raise SqlNameError if there is no such collation."""
    from sql.collations import collation_key

    collation_key(name, work.session.functions.collations)


def no_such(kind: str, name: ObjectName | str, known: list[str] | None = None) -> SqlNameError:
    """`no such table: t`, with the nearest of the known names."""
    from difflib import get_close_matches

    text = str(name)
    bare = name if isinstance(name, str) else name.name
    error = SqlNameError(
        f"no such {kind}: {text}",
        offset=None if isinstance(name, str) else name.start,
        token=bare,
    )
    lowered = {item.lower(): item for item in known or ()}
    error.suggestions = tuple(
        lowered[match] for match in get_close_matches(bare.lower(), list(lowered), 3)
    )
    return error


def check_database(work: Work, name: ObjectName) -> None:
    """Raise SqlError unless there is the database that the name is qualified with."""
    if not work.knows(name):
        raise SqlError(f"unknown database {name.schema}", offset=name.start)


def text_from_name(kind: str, text: str, start: int) -> str:
    """The text kept in sqlite_master: `CREATE kind` and everything from the name on.

    As in SQLite, a comment after the last token belongs to an index and a view, and to no other."""
    from sql.parse.lexer import tokens_of

    tokens = tokens_of(text)
    last = max(place for place, token in enumerate(tokens.kinds) if token not in ("", ";"))
    end = tokens.ends[last] if kind in ("TABLE", "TRIGGER") else tokens.starts[last + 1]
    found = text[start:end]
    return f"CREATE {kind} {found.rstrip() if kind == 'VIEW' else found}"


def objects_of(schema: Schema) -> list[SchemaObject]:
    """Every object of a layer."""
    return [
        *schema.tables.values(),
        *schema.indexes.values(),
        *schema.views.values(),
        *schema.triggers.values(),
    ]
