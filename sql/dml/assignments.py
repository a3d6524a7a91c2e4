"""SET lists of UPDATE and DO UPDATE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from sql.dml.target import column_place
from sql.errors import SqlError

if TYPE_CHECKING:
    from sql.parse.statements import Assignment
    from sql.schema import Table


def assigned(
    assignments: Sequence[Assignment], table: Table
) -> tuple[list[int], list[exp.Expression]]:
    """Positions (-1: the rowid) and expressions of SET; of two assignments the last one counts."""
    found: dict[int, exp.Expression] = {}
    for assignment in assignments:
        columns = assignment.columns
        items = [assignment.value]
        if len(columns) > 1:
            items = _row_values(assignment.value, len(columns))
        for name, item in zip(columns, items, strict=True):
            place = column_place(table, name, assignment.start)
            if place >= 0 and table.columns[place].generated is not None:
                raise SqlError(f'cannot UPDATE generated column "{table.columns[place].name}"')
            found[place] = item
    return list(found), list(found.values())


def _row_values(value: exp.Expression, count: int) -> list[exp.Expression]:
    """`(a, b) = (1, 2)` or `(a, b) = (SELECT 1, 2)`: one expression per column."""
    if isinstance(value, exp.Tuple):
        if len(value.expressions) != count:
            raise SqlError(f"{count} columns assigned {len(value.expressions)} values")
        return list(value.expressions)
    if not isinstance(value, exp.Subquery):
        raise SqlError(f"{count} columns assigned 1 values")
    return [_one_column(value.this, place, count) for place in range(count)]


def _one_column(query: exp.Expression, place: int, count: int) -> exp.Expression:
    """A scalar subquery of one column of a query of several."""
    if isinstance(query, exp.Select) and not any(
        isinstance(item, exp.Star) or isinstance(item.this, exp.Star) for item in query.expressions
    ):
        if len(query.expressions) != count:
            raise SqlError(f"{count} columns assigned {len(query.expressions)} values")
        if not query.args.get("distinct") and not _orders_by_output(query):
            one = query.copy()
            one.set("expressions", [one.expressions[place]])
            return exp.Subquery(this=one)
    names = [f"column{number}" for number in range(count)]
    cte = exp.CTE(
        this=query.copy(),
        alias=exp.TableAlias(
            this=exp.to_identifier("values_", quoted=True),
            columns=[exp.to_identifier(name, quoted=True) for name in names],
        ),
    )
    outer = exp.Select(expressions=[exp.column(exp.to_identifier(names[place], quoted=True))])
    outer.set("from_", exp.From(this=exp.Table(this=exp.to_identifier("values_", quoted=True))))
    outer.set("with_", exp.With(expressions=[cte]))
    return exp.Subquery(this=outer)


def _orders_by_output(query: exp.Select) -> bool:
    """Whether ORDER BY may name the select list: by number or alias."""
    order = query.args.get("order")
    if order is None:
        return False
    aliased = any(isinstance(item, exp.Alias) for item in query.expressions)
    return aliased or any(isinstance(term.this, exp.Literal) for term in order.expressions)
