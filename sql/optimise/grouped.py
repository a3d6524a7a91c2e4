"""Correlated subqueries as groups: what one says of each key, computed for all keys at once.

    (SELECT count(*) FROM o WHERE o.customer = c.id AND o.total > 5)

asks for one group of

    SELECT o.customer, count(*) FROM o WHERE o.total > 5 GROUP BY o.customer

and for what the aggregates are of no rows where there is no such group.  (W. Kim, On Optimizing an SQL-like Nested Query,
TODS 7(3), 1982; a group that is missing was the bug in it: R. Ganski, H. Wong, SIGMOD 1987.)

    EXISTS (SELECT 1 FROM o WHERE o.customer = c.id)

asks whether `SELECT DISTINCT o.customer FROM o` has that.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from sql.expressions import Compare, Expression, Literal, SlotRef
from sql.optimise.terms import is_constant
from sql.plan import Block, Select, SortKey, TableRelation
from sql.plan.walk import free_references, map_expression, references, walk_block

GROUPS_MAX, PRESENT_MAX = 200_000, 500_000
"""Groups that are kept in memory; keys of which no more is known than that they are there."""


class GroupedSubquery(NamedTuple):
    """`groups` gives rows of the keys' values and the subquery's column, if one is asked for; `nothing` is the subquery over
    no rows; `probes` are the enclosing blocks' expressions that say which group is asked for."""

    groups: Select
    nothing: Select
    probes: tuple[Expression, ...]
    rows_max: int = GROUPS_MAX


class _Bound(NamedTuple):
    """A subquery's conditions: what its `keys` are equal to are the `probes`, the others are `local`."""

    keys: tuple[Expression, ...]
    probes: tuple[Expression, ...]
    local: tuple[Expression, ...]


def grouped_subquery(block: Block, column: int) -> GroupedSubquery | None:
    """The subquery, of which a column is asked, as groups; None where it aggregates nothing, or is bound to the rows around
    it by anything but equalities whose sides compare as they are."""
    if not isinstance(block, Select) or block.keys != () or not block.aggregates:
        return None
    if block.bare or block.having or block.windows or block.offset is not None:
        return None
    if block.limit is not None and not _leaves_one(block.limit):
        return None
    bound = _bound(block)
    if bound is None:
        return None
    source, count = block.aggregate_source, len(bound.keys)

    def moved(part: Expression) -> Expression:
        """Aggregates come behind the keys."""
        if isinstance(part, SlotRef) and part.source == source:
            return replace(part, slot=part.slot + count)
        return part

    key_slots = [SlotRef(source, place) for place in range(count)]
    groups = replace(
        block,
        where=bound.local,
        keys=tuple(map(SortKey, bound.keys)),
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
    return GroupedSubquery(groups, nothing, bound.probes)


def present_subquery(block: Block) -> GroupedSubquery | None:
    """What EXISTS asks for as rows of the keys that there are; None where more than these decides."""
    if not isinstance(block, Select) or block.keys is not None or block.windows:
        return None
    if block.offset is not None or (block.limit is not None and not _leaves_one(block.limit)):
        return None
    bound = _bound(block)
    if bound is None:
        return None
    there = replace(
        block, where=bound.local, outputs=bound.keys, distinct=True, order=(), limit=None
    )
    if free_references(there):
        return None
    return GroupedSubquery(there, Select(outputs=(Literal(0),)), bound.probes, PRESENT_MAX)


def _bound(block: Select) -> _Bound | None:
    """How a block over stored tables is bound to the rows around it; None where that is not by equalities alone, whose sides
    compare as they are, or what it gives is not always the same."""
    if any(item.join != "inner" for item in block.items):
        return None
    if not all(isinstance(item.relation, TableRelation) for item in block.items):
        return None
    own = frozenset(item.relation.source for item in block.items)
    keys: list[Expression] = []
    probes: list[Expression] = []
    local: list[Expression] = []
    for conjunct in block.where:
        if references(conjunct) <= own:
            local.append(conjunct)
            continue
        sides = compared_sides(conjunct, own)
        if sides is None:
            return None
        keys.append(sides[0])
        probes.append(sides[1])
    if not keys or not all(map(is_constant, walk_block(block))):
        return None
    return _Bound(tuple(keys), tuple(probes), tuple(local))


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
