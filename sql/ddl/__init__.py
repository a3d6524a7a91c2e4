"""Definitions: CREATE, DROP, ALTER and their kin, on the catalog and the trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sql.errors import SqlError
from sql.parse.statements import (
    AddColumn,
    Analyze,
    CreateIndex,
    CreateTable,
    CreateTrigger,
    CreateView,
    CreateVirtualTable,
    Drop,
    DropColumn,
    ObjectName,
    Reindex,
    RenameColumn,
    RenameTable,
    Statement,
)

if TYPE_CHECKING:
    from btree import Transaction
    from sql.ddl.work import Work
    from sql.schema import Schema
    from sql.session import Session

DEFINITIONS = (
    CreateTable,
    CreateIndex,
    CreateView,
    CreateTrigger,
    CreateVirtualTable,
    Drop,
    RenameTable,
    RenameColumn,
    AddColumn,
    DropColumn,
    Reindex,
    Analyze,
)


def database_of(session: Session, statement: Statement) -> str:
    """The lower-case name of the database in which the statement defines or changes an object.

    It is main for a name of a database that there is not: whoever looks for objects in it tells of it."""
    match statement:
        case CreateTable() | CreateView():
            return "temp" if statement.temporary else _named(session, statement.name)
        case CreateTrigger():
            if statement.temporary:
                return "temp"
            if statement.name.schema is not None:
                return _named(session, statement.name)
            return _temp_or_main(session, statement.table)
        case CreateIndex():
            if statement.name.schema is not None:
                return _named(session, statement.name)
            return _temp_or_main(session, statement.table)
        case Drop():
            return _database_of_dropped(session, statement)
        case RenameTable() | RenameColumn() | AddColumn() | DropColumn():
            return session.database_of(statement.table)
        case Reindex(name=ObjectName()):
            assert statement.name is not None
            return _named(session, statement.name)
        case _:
            return "main"


def _named(session: Session, name: ObjectName) -> str:
    """The database that a name is qualified with, if there is such; else main."""
    if name.schema is None:
        return "main"
    lowered = name.schema.lower()
    if lowered == "temp":
        return lowered
    return lowered if lowered in session.numbers else "main"


def _temp_or_main(session: Session, table: ObjectName) -> str:
    """Where what belongs to a table is made, if its own name does not say: as in SQLite, attached databases are to be
    named."""
    return "temp" if session.database_of(table) == "temp" else "main"


def _database_of_dropped(session: Session, statement: Drop) -> str:
    name = statement.name
    if name.schema is not None or not session.others:
        return _named(session, name)
    for database, layer in _in_order(session):
        if statement.kind in ("TABLE", "VIEW"):
            is_there = bool(layer.table(name.name) or layer.view(name.name))
        elif statement.kind == "INDEX":
            is_there = layer.find_index(name.name) is not None
        else:
            is_there = layer.find_trigger(name.name) is not None
        if is_there:
            return database
    return "main"


def _in_order(session: Session) -> list[tuple[str, Schema]]:
    """The databases in the order in which names are looked up."""
    layers = session.schema.layers()
    return sorted(layers.items(), key=lambda item: item[0] != "temp")


def is_done_already(
    session: Session, transaction: Transaction, statement: Statement, database: str
) -> bool:
    """Whether IF EXISTS or IF NOT EXISTS has a statement do nothing.

    Programs begin with such statements: they are to wait for no writer, and a database that can only be
    read is no reason to fail."""
    from sql.ddl import objects, tables
    from sql.ddl.work import Work

    work = Work(session, transaction, database)
    match statement:
        case CreateTable(if_not_exists=True):
            return tables.is_there_already(work, statement)
        case CreateView(if_not_exists=True):
            return work.is_there_already(statement)
        case CreateIndex(if_not_exists=True):
            return objects.is_index_there(work, statement)
        case CreateTrigger(if_not_exists=True):
            return objects.is_trigger_there(work, statement)
        case Drop(if_exists=True):
            return objects.is_gone_already(work, statement)
        case _:
            return False


def execute_definition(
    session: Session,
    transaction: Transaction,
    statement: Statement,
    database: str,
    values: tuple[Any, ...],
) -> None:
    """Carry out a definition in `transaction`, which is writable.

    `values` are those of its parameters, which the query of a CREATE TABLE ... AS may have."""
    from sql.ddl import objects, rebuild, tables
    from sql.ddl.work import Work

    work = Work(session, transaction, database)
    match statement:
        case CreateTable():
            tables.create_table(work, statement, values)
        case CreateIndex():
            objects.create_index(work, statement)
        case CreateView():
            objects.create_view(work, statement)
        case CreateTrigger():
            objects.create_trigger(work, statement)
        case CreateVirtualTable():
            raise SqlError(f"no such module: {statement.module}")
        case Drop():
            objects.drop(work, statement)
        case RenameTable() | RenameColumn() | AddColumn() | DropColumn():
            _alter(work, statement)
        case Reindex():
            rebuild.reindex(work, statement)
        case Analyze():
            rebuild.analyze(work, statement)
        case _:
            raise AssertionError(f"no definition: {type(statement).__name__}")


def _alter(work: Work, statement: Statement) -> None:
    from sql.ddl import alter

    match statement:
        case RenameTable():
            alter.rename_table(work, statement)
        case RenameColumn():
            alter.rename_column(work, statement)
        case AddColumn():
            alter.add_column(work, statement)
        case DropColumn():
            alter.drop_column(work, statement)
        case _:
            raise AssertionError(f"no ALTER TABLE: {type(statement).__name__}")


__all__ = ["DEFINITIONS", "database_of", "execute_definition", "is_done_already"]
