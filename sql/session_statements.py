"""Statements that need no plan: transactions, definitions, pragmas, EXPLAIN, VACUUM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sql.ddl import DEFINITIONS, database_of, execute_definition, is_done_already
from sql.parse.statements import (
    Attach,
    Begin,
    Commit,
    Detach,
    Empty,
    Explain,
    Pragma,
    Release,
    Rollback,
    Savepoint,
    Statement,
    Vacuum,
)
from sql.result import Result
from sql.session_writes import attempt

if TYPE_CHECKING:
    from sql.session import Session
    from sql.session_plans import Values


def execute_statement(session: Session, statement: Statement, values: Values) -> Result:
    """Carry out `statement`, which is no query and no INSERT, UPDATE or DELETE."""
    if isinstance(statement, DEFINITIONS):
        _define(session, statement, values)
        return Result()
    match statement:
        case Empty():
            pass
        case Begin():
            session.begin(statement.mode)
        case Commit():
            session.commit()
        case Rollback(savepoint=None):
            session.rollback()
        case Rollback():
            session.rollback_to(str(statement.savepoint))
        case Savepoint():
            session.savepoint(statement.name)
        case Release():
            session.release(statement.name)
        case Pragma():
            from sql.pragma import execute_pragma

            return execute_pragma(session, statement)
        case Explain():
            from sql.session_explain import execute_explain

            return execute_explain(session, statement, values)
        case Vacuum():
            from sql.maintenance import vacuum

            vacuum(session, statement, values)
        case Attach():
            from sql.attaching import attach

            attach(session, statement, values)
        case Detach():
            from sql.attaching import detach

            detach(session, statement, values)
        case _:
            raise AssertionError(f"no plan for {type(statement).__name__}")
    return Result()


def _define(session: Session, statement: Statement, values: Values) -> None:
    """Run a definition as a transaction of its own, or as a step of the open one."""
    database = database_of(session, statement)
    if database == "temp":
        session.make_temporary_store()
    with session.glance() as transaction:
        if is_done_already(session, transaction, statement, database):
            return
    with attempt(session, database) as (transaction, _):
        execute_definition(session, transaction, statement, database, values)
