"""Statements about the one row that has a given rowid.

`WHERE id = ?` is what programs ask most often.  Which parameter the rowid is compared with is found here for
queries (`short`) and for UPDATE and DELETE (`dml.keyed`).
"""

from __future__ import annotations

from collections.abc import Callable

from sql.expressions import ROWID, ColumnRef, Compare, Expression, Parameter
from sql.plan import Block, Select, TableRelation


def parameter_number(value: Expression) -> int | None:
    """The number of a parameter."""
    return value.index if isinstance(value, Parameter) else None


def rowid_parameter(
    block: Block, number_of: Callable[[Expression], int | None] = parameter_number
) -> int | None:
    """The number of the parameter that a SELECT of one table compares the rowid with, where that is its
    only condition."""
    if not isinstance(block, Select) or len(block.items) != 1 or len(block.where) != 1:
        return None
    item, condition = block.items[0], block.where[0]
    relation = item.relation
    if not isinstance(relation, TableRelation) or relation.indexed_by is not None:
        return None
    table = relation.table
    if table.without_rowid or not isinstance(condition, Compare) or condition.op != "=":
        return None
    for column, value in (
        (condition.left, condition.right),
        (condition.right, condition.left),
    ):
        number = number_of(value)
        if isinstance(column, ColumnRef) and number is not None:
            is_rowid = column.column == ROWID or column.column == table.rowid_alias
            return number if is_rowid and column.source == relation.source else None
    return None
