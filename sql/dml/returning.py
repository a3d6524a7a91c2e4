"""RETURNING: expressions over the rows that a statement wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from sql.compile import compile_row_function
from sql.errors import SqlError
from sql.plan import ResultColumn

if TYPE_CHECKING:
    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.schema import Table

Row = tuple[Any, ...]


class Returning:
    """The terms of a RETURNING clause."""

    def __init__(
        self, terms: Sequence[exp.Expression], table: Table, alias: str | None, env: BindEnvironment
    ) -> None:
        trees: list[exp.Expression] = []
        columns: list[ResultColumn] = []
        for term in terms:
            if isinstance(term, exp.Star):
                for column in table.columns:
                    trees.append(exp.column(exp.to_identifier(column.name, quoted=True)))
                    columns.append(
                        ResultColumn(column.name, column.declared_type, table.name, column.name)
                    )
                continue
            if isinstance(term, exp.Column) and isinstance(term.this, exp.Star):
                raise SqlError('RETURNING may not use "TABLE.*" wildcards')
            name = term.meta.get("text")
            tree = term
            if isinstance(term, exp.Alias):
                name, tree = term.alias, term.this
            trees.append(tree)
            columns.append(ResultColumn(str(name if name is not None else tree.name)))
        self.columns = tuple(columns)
        self._function = compile_row_function(trees, table, env)

    def row(self, ctx: Context, row: Row, key: Any) -> Row:
        """The clause's values for one written row."""
        return self._function(ctx, row, key)
