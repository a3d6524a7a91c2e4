"""Correlated aggregates as groups: what a subquery says of each key, computed for all keys at once.

    (SELECT count(*) FROM o WHERE o.customer = c.id AND o.total > 5)

asks for one group of

    SELECT o.customer, count(*) FROM o WHERE o.total > 5 GROUP BY o.customer

and for what the aggregates are of no rows where there is no such group.  (W. Kim, On Optimizing an SQL-like Nested Query,
TODS 7(3), 1982; a group that is missing was the bug in it: R. Ganski, H. Wong, SIGMOD 1987.)
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from sql.expressions import Compare, Expression, Literal, SlotRef
from sql.optimise.terms import is_constant
from sql.plan import Block, Select, SortKey, TableRelation
from sql.plan.walk import free_references, map_expression, references, walk_block

GROUPS_MAX = 200_000
"""Groups that are kept in memory."""


class GroupedSubquery(NamedTuple):
    """`groups` gives rows of the keys' values and the subquery's column; `nothing` is the subquery over no rows; `probes`
    are the enclosing blocks' expressions that say which group is asked for."""

    groups: Select
    nothing: Select
    probes: tuple[Expression, ...]


def grouped_subquery(block: Block, column: int) -> GroupedSubquery | None:
    """The subquery, of which a column is asked, as groups; None where it aggregates nothing, or is bound to the rows around
    it by anything but equalities whose sides compare as they are."""
    if not isinstance(block, Select) or block.keys != () or not block.aggregates:
        return None
    if block.bare or block.having or block.windows or block.offset is not None:
        return None
    if block.limit is not None and not _leaves_one(block.limit):
        return None
    if any(item.join != "inner" for item in block.items):
        return None
    if not all(isinstance(item.relation, TableRelation) for item in block.items):
        return None
    own = frozenset(item.relation.source for item in block.items)
    keys: list[SortKey] = []
    probes: list[Expression] = []
    local: list[Expression] = []
    for conjunct in block.where:
        if references(conjunct) <= own:
            local.append(conjunct)
            continue
        sides = compared_sides(conjunct, own)
        if sides is None:
            return None
        keys.append(SortKey(sides[0]))
        probes.append(sides[1])
    if not keys or not all(map(is_constant, walk_block(block))):
        return None
    source, count = block.aggregate_source, len(keys)

    def moved(part: Expression) -> Expression:
        """Aggregates come behind the keys."""
        if isinstance(part, SlotRef) and part.source == source:
            return replace(part, slot=part.slot + count)
        return part

    key_slots = [SlotRef(source, place) for place in range(count)]
    groups = replace(
        block,
        where=tuple(local),
        keys=tuple(keys),
        outputs=(*key_slots, map_expression(block.outputs[column], moved)),
        distinct=False,
        order=(),
        limit=None,
    )
    nothing = replace(
        block, where=(Literal(0),), outputs=(block.outputs[column],), distinct=False, order=()
    )
    if free_references(groups) or free_references(nothing):
        return None
    return GroupedSubquery(groups, nothing, tuple(probes))


def _leaves_one(limit: Expression) -> bool:
    """Whether a LIMIT is known to let a row through."""
    return isinstance(limit, Literal) and limit.value.__class__ is int and limit.value != 0


def compared_sides(
    conjunct: Expression, own: frozenset[int]
) -> tuple[Expression, Expression] | None:
    """The subquery's own side of an equality and the other one; None of anything else."""
    if not isinstance(conjunct, Compare) or conjunct.op != "=" or conjunct.collation != "BINARY":
        return None
    if conjunct.left_affinity is not None or conjunct.right_affinity is not None:
        return None
    for mine, other in ((conjunct.left, conjunct.right), (conjunct.right, conjunct.left)):
        sources = references(mine), references(other)
        if sources[0] and sources[0] <= own and sources[1] and not sources[1] & own:
            return mine, other
    return None
