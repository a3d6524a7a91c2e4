"""Whether an access gives its rows in the order that is wanted, as it is or read backwards."""

from __future__ import annotations

from msgspec.structs import replace

from sql.expressions import ROWID, ColumnRef
from sql.optimise.access import Candidate, reversed_access
from sql.plan import Relation, SortKey, TableRelation
from sql.plan.walk import references


def in_order(
    candidate: Candidate, relation: Relation, order: tuple[SortKey, ...], own: frozenset[int]
) -> Candidate | None:
    """The candidate, reversed if need be, if its rows come in the wanted order; else None."""
    source = relation.source
    if not isinstance(relation, TableRelation):
        return None
    table = relation.table
    if candidate.unique:
        return candidate if all(references(key.expression) <= {source} for key in order) else None
    provided = list(candidate.order)
    direction: bool | None = None
    position = 0
    for place, key in enumerate(order):
        node = key.expression
        if not references(node):
            return None
        if isinstance(node, ColumnRef):
            if node.source != source:
                return None
            if node.column in candidate.constant_columns:
                continue
            if key.collation != node.collation:
                return None
        if key.nulls_first == key.descending and (
            not isinstance(node, ColumnRef) or node.kinds & 1
        ):
            return None
        if position >= len(provided):
            return None
        target = provided[position][0]
        if isinstance(target, int):
            if not isinstance(node, ColumnRef):
                return None
            same = node.column == target or (
                node.column in (ROWID, table.rowid_alias) and target in (ROWID, table.rowid_alias)
            )
        else:
            same = target == node
        if not same:
            return None
        position += 1
        if direction is None:
            direction = key.descending
        elif direction != key.descending:
            return None
        if isinstance(node, ColumnRef) and node.column in (ROWID, table.rowid_alias):
            # Nothing of this relation is left to sort by; rows of others are.
            if all(references(other.expression) <= own for other in order[place + 1 :]):
                break
            return None
    if direction:
        return (
            replace(candidate, access=reversed_access(candidate.access))
            if isinstance(reversed_access(candidate.access), type(candidate.access))
            and candidate.access != reversed_access(candidate.access)
            else None
        )
    return candidate
