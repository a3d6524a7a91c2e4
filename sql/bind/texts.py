"""Expressions kept as SQL text in the catalog (partial indexes, expression indexes), bound to a table."""

from __future__ import annotations

from typing import Any

from sql.bind.environment import BindEnvironment
from sql.bind.expressions import ExpressionBinder
from sql.bind.queries import Binder
from sql.bind.scope import Scope, table_item
from sql.expressions import Expression
from sql.schema import Table


def expression_tree(text: str, env: BindEnvironment) -> Any:
    """The sqlglot tree of one expression's text."""
    if env.parse is not None:
        return env.parse(f"SELECT {text}").expressions[0]
    from sql.parse import parse_expression

    return parse_expression(text)


def bind_text(text: str, table: Table, source: int, env: BindEnvironment) -> Expression:
    """The expression of `text` over the columns of `table`, under source number `source`."""
    scope = Scope()
    scope.items.append(table_item(table, source, table.name, env.kinds_of(table)))
    return ExpressionBinder(Binder(env), scope).bind(expression_tree(text, env))
