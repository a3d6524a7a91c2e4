"""Checks of the expressions that definitions keep: what may stand in them, and that their names resolve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlglot.expressions as exp
from msgspec.structs import replace

from sql.bind.expressions import ExpressionBinder
from sql.bind.queries import Binder
from sql.bind.scope import Scope, table_item
from sql.errors import SqlError

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.schema import Table

_QUERIES = (exp.Select, exp.SetOperation, exp.Subquery, exp.Exists, exp.Values)

_MOMENTS = frozenset(("date", "time", "datetime", "julianday", "unixepoch", "strftime"))
_CLOCKS = frozenset(("now", "localtime", "utc"))
"""Words of the date functions whose outcome is another one at another time, or place."""


_WITHOUT_ROWIDS = frozenset(("index expressions", "generated columns"))


def check_expression(
    tree: exp.Expression,
    table: Table,
    environment: BindEnvironment,
    *,
    what: str,
    deterministic: bool,
) -> None:
    """Raise SqlError if the expression is none that may stand in `what` of `table`."""
    for node in tree.walk():
        if isinstance(node, _QUERIES) or (isinstance(node, exp.In) and node.args.get("field")):
            raise SqlError(f"subqueries prohibited in {what}")
        if isinstance(node, exp.Placeholder):
            raise SqlError(f"parameters prohibited in {what}")
        if isinstance(node, exp.Column) and node.table and what in _WITHOUT_ROWIDS:
            raise SqlError(f'the "." operator prohibited in {what}')
        if deterministic and isinstance(node, exp.Anonymous):
            name = str(node.this).lower()
            function = environment.functions.lookup(name, len(node.expressions))
            if name.startswith("current_") or not getattr(function, "deterministic", True):
                raise SqlError(f"non-deterministic functions prohibited in {what}")
            if name in _MOMENTS and _asks_the_clock(name, node.expressions):
                place = "a generated column" if what == "generated columns" else "an index"
                raise SqlError(f"non-deterministic use of {name}() in {place}")
    # A table that has no tree has no row ids either; one that is about to be made will have.
    seen = replace(table, tree_id=0 if what in _WITHOUT_ROWIDS else table.tree_id or 1)
    scope = Scope()
    scope.items.append(table_item(seen, 1, table.name, (31,) * len(table.columns)))
    ExpressionBinder(Binder(environment), scope).bind(tree.copy())


def _asks_the_clock(name: str, arguments: list[exp.Expression]) -> bool:
    """Whether a date function's call, as it is written, means the present moment or the local time."""
    moment = arguments[1:] if name == "strftime" else arguments
    return not moment or any(
        isinstance(word, exp.Literal) and word.is_string and str(word.this).lower() in _CLOCKS
        for word in moment
    )


def is_constant(tree: exp.Expression) -> bool:
    """Whether a DEFAULT's expression names no column, query or parameter."""
    return not any(
        isinstance(node, (exp.Column, exp.Placeholder, *_QUERIES)) for node in tree.walk()
    )


def columns_named(tree: exp.Expression) -> set[str]:
    """The lower-case names of the columns in an expression."""
    return {node.name.lower() for node in tree.find_all(exp.Column)}
