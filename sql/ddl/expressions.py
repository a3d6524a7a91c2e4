"""Checks of the expressions that definitions keep: what may stand in them, and that their names resolve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from sql.bind.expressions import ExpressionBinder
from sql.bind.queries import Binder
from sql.bind.scope import Scope, table_item
from sql.errors import SqlError

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.schema import Table

_QUERIES = (exp.Select, exp.SetOperation, exp.Subquery, exp.Exists, exp.Values)


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
        if deterministic and isinstance(node, exp.Anonymous):
            function = environment.functions.lookup(str(node.this).lower(), len(node.expressions))
            if function is not None and not getattr(function, "deterministic", True):
                raise SqlError(f"non-deterministic functions prohibited in {what}")
    scope = Scope()
    scope.items.append(table_item(table, 1, table.name, (31,) * len(table.columns)))
    ExpressionBinder(Binder(environment), scope).bind(tree.copy())


def is_constant(tree: exp.Expression) -> bool:
    """Whether a DEFAULT's expression names no column, query or parameter."""
    return not any(
        isinstance(node, (exp.Column, exp.Placeholder, *_QUERIES)) for node in tree.walk()
    )


def columns_named(tree: exp.Expression) -> set[str]:
    """The lower-case names of the columns in an expression."""
    return {node.name.lower() for node in tree.find_all(exp.Column)}
