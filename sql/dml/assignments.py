"""SET lists of UPDATE and DO UPDATE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlglot.expressions as exp

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
    return [_one_column(value, place, count) for place in range(count)]


def _one_column(query: exp.Subquery, place: int, count: int) -> exp.Subquery:
    """One column of a query that gives `count`; all of them are bound as one query (`ExpressionBinder.subquery`)."""
    one = query.copy()
    one.meta["place"], one.meta["width"] = place, count
    return one
