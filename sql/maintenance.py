"""VACUUM, and the checks behind PRAGMA integrity_check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from btree import purge_expired
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
    if statement.schema is not None and statement.schema.lower() not in ("main", "temp"):
        raise SqlError(f"unknown database {statement.schema}")
    if statement.into is None:
        purge_expired(session.store, session.busy_timeout)
        session.store.compact(progress=lambda done, total: session.cancellation.check())
        return
    path = _value(session, statement, values)
    if not isinstance(path, str):
        raise SqlError("non-text filename")
    import os

    if os.path.exists(path) and os.path.getsize(path) > 0:
        raise SqlError("output file already exists")
    session.store.backup(path)


def _value(session: Session, statement: Vacuum, values: Values) -> object:
    """The value of the INTO expression, which names no columns."""
    from sqlglot import exp

    from sql.compile import prepare_select

    name = exp.to_identifier("file")
    tree = exp.Select(expressions=[exp.Alias(this=statement.into, alias=name)])
    with session.reading() as transaction:
        compiled = prepare_select(tree, session.environment(transaction, parameters=values))
        batches = list(compiled.run(session.context(transaction, values)))
    return batches[0][0][0]


def check_database(session: Session, limit: int, table: str | None = None) -> list[str]:
    """Every problem found, at most `limit`: in the file and its trees, then in rows and indexes."""
    problems: list[str] = []
    if table is None:
        problems += session.store.check()[:limit]
    from sql.dml import check_table

    with session.reading() as transaction:
        context = session.context(transaction)
        for record in context.schema.tables.values():
            if table is not None and record.name.lower() != table.lower():
                continue
            for line in check_table(session, context, record):
                if len(problems) >= limit:
                    return problems
                problems.append(line)
    return problems
