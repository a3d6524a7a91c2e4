"""Writing: INSERT, UPDATE, DELETE with constraints, triggers and foreign keys.

Each kind of statement is imported when the first of it comes: a first UPDATE waits for no more than UPDATE.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sql.dml.target import Target, WritePlan, condition_of, find_target, scan_query
from sql.errors import SqlError
from sql.loading import load
from sql.parse.statements import Delete, Insert, ObjectName, Update
from sql.result import WriteOutcome

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.dml.assignments import assigned
    from sql.dml.filling import fill_generated, fill_table, lengthen_rows
    from sql.dml.foreign_keys import check_foreign_keys
    from sql.dml.indexing import check_table, fill_index
    from sql.dml.triggers import triggers_on
    from sql.dml.views import table_of_view
    from sql.schema import ForeignKey, Table
    from sql.session import Session

__all__ = [
    "WritePlan",
    "assigned",
    "before_drop_table",
    "check_foreign_keys",
    "check_table",
    "condition_of",
    "fill_generated",
    "fill_index",
    "fill_table",
    "find_target",
    "lengthen_rows",
    "prepare_write",
    "scan_query",
    "table_of_view",
    "triggers_on",
]

_MODULES = {
    "fill_generated": "sql.dml.filling",
    "fill_table": "sql.dml.filling",
    "lengthen_rows": "sql.dml.filling",
    "check_foreign_keys": "sql.dml.foreign_keys",
    "check_table": "sql.dml.indexing",
    "fill_index": "sql.dml.indexing",
    "assigned": "sql.dml.assignments",
    "table_of_view": "sql.dml.views",
    "triggers_on": "sql.dml.triggers",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'sql.dml' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def prepare_write(
    session: Session, statement: Insert | Update | Delete, environment: BindEnvironment
) -> WritePlan:
    """The plan of a writing statement.  Raises SqlNameError, SqlError."""
    plan = _plan(session, statement, environment)

    def again(ctx: Context) -> WritePlan:
        fresh = session.environment(ctx.transaction, parameters=ctx.parameters)
        return prepare_write(session, statement, fresh)

    plan.again = again
    return plan


def _plan(
    session: Session, statement: Insert | Update | Delete, environment: BindEnvironment
) -> WritePlan:
    name = statement.table
    if name.name.lower() == "kv" and _is_raw(environment, name):
        from sql.dml.key_value import KeyValueDelete, KeyValueInsert, KeyValueUpdate

        match statement:
            case Insert():
                return KeyValueInsert(statement, environment)
            case Update():
                return KeyValueUpdate(statement, environment)
            case Delete():
                return KeyValueDelete(statement, environment)
    if isinstance(statement, Insert) and _is_for_statistics(environment, name):
        return StatisticsInsert()
    table, view = find_target(statement, environment)
    if view is not None:
        from sql.dml.views import ViewPlan

        return ViewPlan(session, statement, view, environment)
    assert table is not None
    if table.name.lower().startswith("sqlite_") and table.name.lower() not in (
        "sqlite_sequence",
        "sqlite_stat1",
    ):
        raise SqlError(f"table {table.name} may not be modified")
    match statement:
        case Insert():
            load("sql.dml.insert")
            from sql.dml.insert import InsertPlan

            return InsertPlan(session, statement, table, environment)
        case Update():
            load("sql.dml.update")
            from sql.dml.update import UpdatePlan

            return UpdatePlan(session, statement, table, environment)
        case Delete():
            load("sql.dml.delete")
            from sql.dml.delete import DeletePlan

            return DeletePlan(session, statement, table, environment)


class StatisticsInsert(WritePlan):
    """What a dump of SQLite's writes behind `ANALYZE sqlite_schema` into `sqlite_stat1`: there is no such table, since
    statistics are read from the trees, and the rows are passed over."""

    is_insert = True

    def run(self, ctx: Context) -> WriteOutcome:
        return WriteOutcome(0)


def _is_for_statistics(environment: BindEnvironment, name: ObjectName) -> bool:
    return (
        name.name.lower() in ("sqlite_stat1", "sqlite_stat3", "sqlite_stat4")
        and (name.schema is None or environment.schema.layer(name.schema) is not None)
        and environment.schema.find_table(name.name, name.schema) is None
    )


def _is_raw(environment: BindEnvironment, name: ObjectName) -> bool:
    """Whether `kv` means a raw key space: of a database that there is, which has no table or view of the name."""
    schema = environment.schema
    if name.schema is not None and schema.layer(name.schema) is None:
        return False
    found = schema.find_table(name.name, name.schema) or schema.find_view(name.name, name.schema)
    return found is None


def before_drop_table(session: Session, ctx: Context, table: Table) -> None:
    """With foreign keys on, a DROP TABLE deletes the rows first: their actions run, triggers do not.

    Raises ConstraintError if that leaves an immediate foreign key violated."""
    if not session.foreign_keys:
        return
    from sql.dml.delete import DeletePlan
    from sql.dml.foreign_keys import ForeignKeys, layer_of

    environment = session.environment(ctx.transaction)
    schema = layer_of(environment.schema, table)
    for key in table.foreign_keys:
        if (key.deferred or session.defer_foreign_keys) and schema.table(key.parent) is None:
            # It was dropped in this transaction, so that each row that refers to it is a violation, which goes with it.
            session.deferred_violations -= _referring(ctx, table, key)
    keys = ForeignKeys(session, environment, table, "DELETE", lenient=True)
    if not keys.parents and not any(
        child.key.deferred or session.defer_foreign_keys for child in keys.own
    ):
        return
    target = Target(session, environment, table, "DROP", foreign_keys=keys)
    statement = Delete(text="", table=ObjectName(table.name, table.database))
    DeletePlan(session, statement, table, environment, target).run(ctx)


def _referring(ctx: Context, table: Table, key: ForeignKey) -> int:
    """How many rows have no NULL in a foreign key."""
    places = [place for place in key.columns if place != table.rowid_alias]
    tree = ctx.transaction.tree(table.tree_id)
    return sum(
        [all(row[at] is not None for at in places) for _, rows in tree.batches() for row in rows]
    )
