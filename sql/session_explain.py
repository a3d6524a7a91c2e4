"""EXPLAIN in its four forms, for queries and for the scans of INSERT, UPDATE and DELETE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sql.parse.statements import Delete, Explain, Insert, Query, Update
from sql.plan import ResultColumn
from sql.result import Result
from sql.session_plans import QueryPlan
from sql.session_writes import WriteStatement

if TYPE_CHECKING:
    from btree import Transaction
    from sql.session import Session
    from sql.session_plans import Values


def execute_explain(session: Session, statement: Explain, values: Values) -> Result:
    """The plan of the statement inside; mode analyze also runs it (a query only)."""
    from sql.explain import explain

    inner = statement.statement
    with session.reading() as transaction:
        compiled = _compiled(session, transaction, inner, values)
        if compiled is None:
            word = type(inner).__name__.upper()
            return Result((ResultColumn("plan"),), [[(word,)]])
        context = session.context(transaction, values)
        names, rows = explain(compiled, statement.mode, context)
    return Result(tuple(ResultColumn(name) for name in names), [list(rows)] if rows else [])


def _compiled(session: Session, transaction: Transaction, inner: Any, values: Values) -> Any:
    """The compiled query of a statement: its own, or the scan that feeds its writes; None without one."""
    if isinstance(inner, Query):
        query = QueryPlan(inner, None)
        query.keeps_planner = True
        return query.compiled(session, transaction, values)
    if isinstance(inner, (Insert, Update, Delete)):
        with session.running(transaction):
            plan = WriteStatement(inner).plan(session, transaction, values)
        made = getattr(plan, "query", None)
        if made is not None and not made.has_code:
            made.generate()
        return made
    return None
