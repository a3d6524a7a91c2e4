"""Statements about the one row that has a given rowid.

`WHERE id = ?` is what programs ask most often.  Which parameter the rowid is compared with is found here for
queries (`short`) and for UPDATE and DELETE (`dml.keyed`).
"""

from __future__ import annotations

from sql.expressions import ROWID, ColumnRef, Compare, Parameter
from sql.plan import Block, Select, TableRelation


def rowid_parameter(block: Block) -> int | None:
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
        if isinstance(column, ColumnRef) and isinstance(value, Parameter):
            is_rowid = column.column == ROWID or column.column == table.rowid_alias
            return value.index if is_rowid and column.source == relation.source else None
    return None
