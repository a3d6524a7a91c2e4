"""VACUUM, and the checks behind PRAGMA integrity_check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from btree import purge_expired
from sql.attaching import evaluated
from sql.errors import SqlError

if TYPE_CHECKING:
    from sql.parse.statements import Vacuum
    from sql.session import Session
    from sql.session_plans import Values


def vacuum(session: Session, statement: Vacuum, values: Values) -> None:
    """VACUUM compacts the file, without the raw keys that have expired; VACUUM INTO makes a backup of it,
    which must not exist yet."""
    if session.in_transaction:
        raise SqlError("cannot VACUUM from within a transaction")
    database = (statement.schema or "main").lower()
    if database != "temp" and session.schema.layer(database) is None:
        raise SqlError(f"unknown database {statement.schema}")
    store = session.store if database == "temp" else session.store_of(database)
    if statement.into is None:
        purge_expired(store, session.busy_timeout)
        store.compact(progress=lambda done, total: session.cancellation.check())
        return
    path = evaluated(session, statement.into, values)
    if not isinstance(path, str):
        raise SqlError("non-text filename")
    import os

    if os.path.exists(path) and os.path.getsize(path) > 0:
        raise SqlError("output file already exists")
    store.backup(path)


def check_database(
    session: Session, limit: int, database: str | None = None, table: str | None = None
) -> list[str]:
    """Every problem found, at most `limit`: in the files and their trees, then in rows and indexes.

    `database`: look at that one alone."""
    from sql.dml import check_table

    problems: list[str] = []
    with session.reading() as transaction:
        context = session.context(transaction)
        layers = context.schema.layers()
        for name, layer in layers.items():
            if database not in (None, name):
                continue
            if table is None:
                problems += session.store_of(name).check()[: limit - len(problems)]
            for record in layer.tables.values():
                if table is not None and record.name.lower() != table.lower():
                    continue
                for line in check_table(session, context, record):
                    if len(problems) >= limit:
                        return problems
                    problems.append(line)
    return problems
