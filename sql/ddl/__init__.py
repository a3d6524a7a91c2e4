"""Definitions: CREATE, DROP, ALTER and their kin, on the catalog and the trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def is_temporary(session: Session, statement: Statement) -> bool:
    """Whether the statement defines or changes a temporary object."""
    match statement:
        case CreateTable() | CreateView():
            return statement.temporary or _names_temp(statement.name)
        case CreateTrigger():
            if statement.temporary or _names_temp(statement.name):
                return True
            return statement.name.schema is None and session.is_temporary(statement.table)
        case CreateIndex():
            if statement.name.schema is not None:
                return _names_temp(statement.name)
            return session.is_temporary(statement.table)
        case Drop():
            return _drops_temporary(session, statement)
        case RenameTable() | RenameColumn() | AddColumn() | DropColumn():
            return session.is_temporary(statement.table)
        case Reindex():
            return statement.name is not None and _names_temp(statement.name)
        case _:
            return False


def _names_temp(name: ObjectName) -> bool:
    return name.schema is not None and name.schema.lower() == "temp"


def _drops_temporary(session: Session, statement: Drop) -> bool:
    name = statement.name
    if name.schema is not None:
        return _names_temp(name)
    if not session.has_temporary_objects:
        return False
    temp = session.schema.temp
    if temp is None:
        return False
    if statement.kind in ("TABLE", "VIEW"):
        return bool(temp.table(name.name) or temp.view(name.name))
    if statement.kind == "INDEX":
        return temp.find_index(name.name) is not None
    return temp.find_trigger(name.name) is not None


def is_done_already(
    session: Session, transaction: Transaction, statement: Statement, *, temporary: bool
) -> bool:
    """Whether IF EXISTS or IF NOT EXISTS has a statement do nothing.

    Programs begin with such statements: they are to wait for no writer, and a database that can only be
    read is no reason to fail."""
    from sql.ddl import objects, tables
    from sql.ddl.work import Work

    work = Work(session, transaction, temporary=temporary)
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
    session: Session, transaction: Transaction, statement: Statement, *, temporary: bool
) -> None:
    """Carry out a definition in `transaction`, which is writable."""
    from sql.ddl import objects, rebuild, tables
    from sql.ddl.work import Work

    work = Work(session, transaction, temporary=temporary)
    match statement:
        case CreateTable():
            tables.create_table(work, statement)
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


__all__ = ["DEFINITIONS", "execute_definition", "is_done_already", "is_temporary"]
