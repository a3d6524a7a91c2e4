"""Expressions kept as SQL text in the catalog (partial indexes, expression indexes), bound to a table."""

from __future__ import annotations

from typing import Any

from sql.bind.environment import BindEnvironment
from sql.bind.expressions import ExpressionBinder
from sql.bind.queries import Binder
from sql.bind.scope import Scope, table_item
from sql.expressions import Expression
from sql.schema import Table


def parse_expression(text: str, env: BindEnvironment) -> Any:
    """The sqlglot tree of one expression's text."""
    statement = f"SELECT {text}"
    if env.parse is not None:
        tree = env.parse(statement)
    else:
        from sql.parse import parse_statement

        tree = parse_statement(statement).tree
    return tree.expressions[0]


def bind_text(text: str, table: Table, source: int, env: BindEnvironment) -> Expression:
    """The expression of `text` over the columns of `table`, under source number `source`."""
    scope = Scope()
    scope.items.append(table_item(table, source, table.name, env.kinds_of(table)))
    return ExpressionBinder(Binder(env), scope).bind(parse_expression(text, env))
