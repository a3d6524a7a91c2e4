"""Statements about the one row that has a given rowid.

`WHERE id = ?` is what programs ask most often.  Which parameter the rowid is compared with is found here for
queries and for UPDATE and DELETE (`dml.keyed`); of a query that asks for columns and nothing else, no
code need run but the look-up itself.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from btree import Row
from sql.expressions import ROWID, ColumnRef, Compare, Parameter
from sql.plan import Block, Select, TableRelation


class PointLookup:
    """A query of columns of the row whose rowid is parameter `number`.

    `pick` makes the result's row of the table's; None where it is the same."""

    __slots__ = ("number", "pick", "tree_id")

    def __init__(self, tree_id: int, number: int, pick: Callable[[Row], Row] | None) -> None:
        self.tree_id = tree_id
        self.number = number
        self.pick = pick


def point_lookup(block: Block) -> PointLookup | None:
    """The look-up that a query comes to; None if it does anything else."""
    if not isinstance(block, Select) or block.limit is not None or block.offset is not None:
        return None
    if block.keys is not None or block.aggregates or block.having or block.windows:
        return None
    number = rowid_parameter(block)
    if number is None:
        return None
    relation = block.items[0].relation
    assert isinstance(relation, TableRelation)
    places = []
    for output in block.outputs:
        if not isinstance(output, ColumnRef) or output.source != relation.source:
            return None
        places.append(output.column)
    if not places or ROWID in places:
        return None
    table = relation.table
    return PointLookup(table.tree_id, number, _picking(places, len(table.columns)))


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


def _picking(places: list[int], width: int) -> Callable[[Row], Row] | None:
    if places == list(range(width)):
        return None
    if len(places) > 1:
        pick: Any = itemgetter(*places)
        return pick  # type: ignore[no-any-return]
    place = places[0]
    return lambda row: (row[place],)
