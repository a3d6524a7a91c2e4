"""RETURNING: expressions over the rows that a statement wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlglot.expressions as exp

from sql.compile import compile_row_function, compile_rows_function
from sql.dml.target import with_known
from sql.errors import SqlError, SqlNameError
from sql.plan import ResultColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sql.bind import BindEnvironment
    from sql.context import Context
    from sql.schema import Column, Table

    RowsFunction = Callable[[Context, Iterable["Row"], Iterable[Any]], list["Row"]]

Row = tuple[Any, ...]
_ROWID_NAMES = "rowid", "oid", "_rowid_"


class Returning:
    """The terms of a RETURNING clause; they see the table by its own name, not by an alias.

    `volatile`: they hold subqueries, whose code fits only the kinds of value of the moment.  `trees`: the terms, parsed."""

    def __init__(
        self,
        terms: Sequence[exp.Expression],
        table: Table,
        env: BindEnvironment,
        with_: exp.Expression | None = None,
    ) -> None:
        trees: list[exp.Expression] = []
        columns: list[ResultColumn] = []
        for term in terms:
            if isinstance(term, exp.Star):
                for column in table.columns:
                    trees.append(exp.column(exp.to_identifier(column.name, quoted=True)))
                    columns.append(_result(table, column))
                continue
            if isinstance(term, exp.Column) and isinstance(term.this, exp.Star):
                raise SqlError('RETURNING may not use "TABLE.*" wildcards')
            tree = term.this if isinstance(term, exp.Alias) else term
            _refuse_databases(tree)
            trees.append(with_known(tree.copy(), with_))
            columns.append(_named(term, tree, table))
        self.columns = tuple(columns)
        self.volatile = any(tree.find(exp.Select) is not None for tree in trees)
        self.trees = trees
        self.row = compile_row_function(trees, table, env)
        """(ctx, row, key) -> the clause's values for one written row."""
        self._table = table
        self._of_many: tuple[RowsFunction, frozenset[int]] | None = None

    def of_many(self, ctx: Context) -> tuple[RowsFunction, frozenset[int]]:
        """(ctx, rows, keys) -> the clause's values for many written rows, and the columns that they are made of."""
        if self._of_many is None:
            env = ctx.session.environment(ctx.transaction, parameters=ctx.parameters)
            self._of_many = compile_rows_function(self.trees, None, self._table, env, _as_tuple)
        return self._of_many


def _as_tuple(values: Sequence[str], row: str, key: str, name: Callable[[Any], str]) -> str:
    return f"({', '.join(values)},)"


def _result(table: Table, column: Column) -> ResultColumn:
    return ResultColumn(column.name, column.declared_type, table.name, column.name)


def _refuse_databases(tree: exp.Expression) -> None:
    """Raise SqlNameError if a column is named with its database: the written row is no table of one."""
    for node in tree.walk(prune=lambda node: isinstance(node, exp.Query)):
        if isinstance(node, exp.Column) and node.args.get("db") is not None:
            name = f"{node.args['db'].name}.{node.args['table'].name}.{node.name}"
            raise SqlNameError(f"no such column: {name}", token=node.name)


def _named(term: exp.Expression, tree: exp.Expression, table: Table) -> ResultColumn:
    """The result column of one term: its alias, a plain column's own name, or its text."""
    origin, is_row_id = None, False
    if isinstance(tree, exp.Column):
        wanted = tree.name.lower()
        origin = next((item for item in table.columns if item.name.lower() == wanted), None)
        if origin is None and wanted in _ROWID_NAMES:
            is_row_id = not table.without_rowid
            if table.rowid_alias is not None:
                origin = table.columns[table.rowid_alias]
    if isinstance(term, exp.Alias):
        name = term.alias
    elif origin is not None:
        name = origin.name
    elif is_row_id:
        name = "rowid"
    else:
        name = str(term.meta.get("text") or tree.name)
    if origin is None:
        return ResultColumn(name)
    return ResultColumn(name, origin.declared_type, table.name, origin.name)
