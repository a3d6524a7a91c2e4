"""ATTACH and DETACH.  https://www.sqlite.org/lang_attach.html."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import sqlglot.expressions as exp

from btree import NotADatabaseError, Store, StoreError, open_memory, open_store
from sql.errors import CannotOpenError, SqlError
from sql.expressions import SqlValue
from sql.values import value_to_text

if TYPE_CHECKING:
    from sql.parse.statements import Attach, Detach
    from sql.session import Session
    from sql.session_plans import Values

ATTACHED_MAX = 10
_TEMP = 1


def attach(session: Session, statement: Attach, values: Values) -> None:
    """Open a database, which is made if it isn't there, under a name of its own.

    What is empty or ":memory:" is in memory.  It is open for reading alone if the session's own database is, or if the
    file can't be written."""
    path = _text(evaluated(session, statement.file, values))
    name = _text(evaluated(session, statement.name, values))
    if len(session.others) - (_TEMP in session.others) >= ATTACHED_MAX:
        raise SqlError(f"too many attached databases - max {ATTACHED_MAX}")
    taken = {"main", "temp", *(other.name.lower() for other in session.others.values())}
    if name.lower() in taken:
        raise SqlError(f"database {name} is already in use")
    store = (session.opener or open_attached)(session, path)
    try:
        databases = [session.store, *(other.store for other in session.others.values())]
        if store.name is not None and any(store.name == other.name for other in databases):
            raise SqlError("database is already attached")
        session.attach(name, store)
    except BaseException:
        store.close()
        raise
    session.forget_plans()


def detach(session: Session, statement: Detach, values: Values) -> None:
    """Let go of an attached database, which no open transaction and no result may depend on."""
    name = _text(evaluated(session, statement.name, values))
    found = [other for other in session.others.values() if other.name.lower() == name.lower()]
    if name.lower() == "main" or (found and found[0].number == _TEMP):
        raise SqlError(f"cannot detach database {name}")
    if not found:
        raise SqlError(f"no such database: {name}")
    session.detach(found[0].number)
    session.forget_plans()


def open_attached(
    session: Session,
    path: str,
    *,
    shared: str | None = None,
    readonly: bool = False,
    timeout: float | None = None,
) -> Store:
    """The store in a file, as durable as the session's own; in memory for "" and ":memory:".

    `shared`: the name of one in memory that sessions share.  `timeout`: seconds to wait for another writer, where the
    session has none of its own."""
    if path in ("", ":memory:"):
        return open_memory(shared, readonly=readonly)
    own = session.store
    if session.busy_timeout is not None:
        timeout = session.busy_timeout
    readonly = readonly or own.readonly
    if not readonly and os.path.exists(path) and not os.access(path, os.W_OK):
        readonly = True
    try:
        return open_store(
            path,
            durability=getattr(own, "durability", "full"),
            readonly=readonly,
            timeout=5.0 if timeout is None else timeout,
            compacts=True,
        )
    except NotADatabaseError as error:
        raise NotADatabaseError("file is not a database") from error
    except StoreError as error:
        if isinstance(error.__cause__, OSError):
            raise CannotOpenError(f"unable to open database: {path}") from error
        raise


def evaluated(session: Session, tree: exp.Expression, values: Values) -> SqlValue:
    """The value of an expression of a statement that has no rows; a single word stands for itself."""
    if isinstance(tree, exp.Column) and tree.args.get("table") is None:
        return tree.name
    if isinstance(tree, exp.Literal) and tree.is_string:
        return str(tree.this)
    from sql.compile import prepare_select

    name = exp.to_identifier("value")
    select = exp.Select(expressions=[exp.Alias(this=tree, alias=name)])
    with session.reading() as transaction:
        compiled = prepare_select(select, session.environment(transaction, parameters=values))
        batches = list(compiled.run(session.context(transaction, values)))
    value: SqlValue = batches[0][0][0]
    return value


def _text(value: SqlValue) -> str:
    return value_to_text(value) or ""
