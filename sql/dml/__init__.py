"""Writing: INSERT, UPDATE, DELETE with constraints, triggers and foreign keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sql.dml.bulk import append_rows
from sql.dml.delete import DeletePlan
from sql.dml.foreign_keys import ForeignKeys, check_foreign_keys
from sql.dml.indexing import check_table, fill_index
from sql.dml.insert import InsertPlan
from sql.dml.key_value import KeyValueDelete, KeyValueInsert, KeyValueUpdate
from sql.dml.target import Target, WritePlan, find_target
from sql.dml.update import UpdatePlan
from sql.dml.views import ViewPlan
from sql.errors import SqlError
from sql.parse.statements import Delete, Insert, ObjectName, Update

if TYPE_CHECKING:
    from btree import Transaction
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.schema import Table
    from sql.session import Session

__all__ = [
    "WritePlan",
    "append_rows",
    "before_drop_table",
    "check_foreign_keys",
    "check_table",
    "fill_index",
    "prepare_write",
]


def prepare_write(
    session: Session,
    transaction: Transaction,
    statement: Insert | Update | Delete,
    environment: BindEnvironment,
) -> WritePlan:
    """The plan of a writing statement.  Raises SqlNameError, SqlError."""
    plan = _plan(session, statement, environment)

    def again(ctx: Context) -> WritePlan:
        fresh = session.environment(ctx.transaction, parameters=ctx.parameters)
        return prepare_write(session, ctx.transaction, statement, fresh)

    plan.again = again
    return plan


def _plan(
    session: Session, statement: Insert | Update | Delete, environment: BindEnvironment
) -> WritePlan:
    name = statement.table
    if name.name.lower() == "kv" and not _is_stored(environment, name):
        match statement:
            case Insert():
                return KeyValueInsert(statement, environment)
            case Update():
                return KeyValueUpdate(statement, environment)
            case Delete():
                return KeyValueDelete(statement, environment)
    table, view = find_target(statement, environment)
    if view is not None:
        return ViewPlan(session, statement, view, environment)
    assert table is not None
    if table.name.lower().startswith("sqlite_") and table.name.lower() not in (
        "sqlite_sequence",
        "sqlite_stat1",
    ):
        raise SqlError(f"table {table.name} may not be modified")
    match statement:
        case Insert():
            return InsertPlan(session, statement, table, environment)
        case Update():
            return UpdatePlan(session, statement, table, environment)
        case Delete():
            return DeletePlan(session, statement, table, environment)


def _is_stored(environment: BindEnvironment, name: ObjectName) -> bool:
    schema = environment.schema
    return bool(
        schema.find_table(name.name, name.schema) or schema.find_view(name.name, name.schema)
    )


def before_drop_table(session: Session, ctx: Context, table: Table) -> None:
    """With foreign keys on, a DROP TABLE deletes the rows first: their actions run, triggers do not.

    Raises ConstraintError if that leaves an immediate foreign key violated."""
    if not session.foreign_keys:
        return
    environment = session.environment(ctx.transaction)
    keys = ForeignKeys(session, environment, table, "DELETE", lenient=True)
    if not keys.parents and not any(
        child.key.deferred or session.defer_foreign_keys for child in keys.own
    ):
        return
    target = Target(session, environment, table, "DROP", foreign_keys=keys)
    statement = Delete(text="", table=ObjectName(table.name, "temp" if table.temporary else "main"))
    DeletePlan(session, statement, table, environment, target).run(ctx)
