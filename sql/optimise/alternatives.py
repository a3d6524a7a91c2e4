"""Conditions that stand within every alternative of an OR, brought before it.

    (a.x = b.x AND a.y = 1 AND b.z > 2) OR (a.x = b.x AND a.y = 5)
    ->  a.x = b.x  AND  (a.y = 1 OR a.y = 5)  AND  ((a.y = 1 AND b.z > 2) OR a.y = 5)

What all alternatives say holds by itself (the law of distribution, which NULL does not break), so that it may join
relations and bound an index.  And where each of them says something about one relation of several alone, that
relation has one of those, which is told to it before it is joined; the OR still decides.

    t.x < ? OR (t.x = ? AND t.id < ?)     ->     t.x <= greatest(?, ?)  AND  the OR

So does a column that each alternative bounds on the same side lie before, or behind, one of the bounds: that is how
programs ask for the next page behind a row, and a range of an index then begins there.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from msgspec.structs import replace

from sql.expressions import (
    Affinity,
    And,
    Call,
    ColumnRef,
    Compare,
    Expression,
    Literal,
    Or,
    Parameter,
)
from sql.functions import Function
from sql.optimise.terms import is_constant
from sql.plan import Select, TableRelation, conjuncts
from sql.plan.walk import references
from sql.values import compared_as, sort_key

ALTERNATIVES_MAX = 16
"""Alternatives of which each is compared with the others; longer ORs are lists of values, mostly."""
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}


def with_common_conditions(block: Select) -> Select:
    """The block with what its ORs imply as conditions of their own."""
    if not any(isinstance(conjunct, Or) for conjunct in block.where):
        return block
    where: list[Expression] = []
    for conjunct in block.where:
        made = _factored(conjunct) if isinstance(conjunct, Or) else [conjunct]
        where += made
        if isinstance(made[-1], Or):
            where += _of_one_relation(made[-1], block)
            where += [bound for bound in _bounds(made[-1], block) if bound not in block.where]
    return replace(block, where=tuple(where))


def _factored(condition: Or) -> list[Expression]:
    """What all alternatives say, and then what is left of them, if anything is."""
    arms = [conjuncts(item) for item in condition.items]
    if len(arms) > ALTERNATIVES_MAX:
        return [condition]
    common = [
        part
        for part in arms[0]
        if all(part in other for other in arms[1:]) and is_constant(part) and references(part)
    ]
    if not common:
        return [condition]
    rests = [tuple(part for part in arm if part not in common) for arm in arms]
    if not all(rests):  # an alternative that says nothing else
        return common
    return [*common, Or(tuple(map(_conjunction, rests)))]


def _of_one_relation(condition: Or, block: Select) -> list[Expression]:
    """For each relation of several what the alternatives say about it alone, where all of them do."""
    own = references(condition) & {item.relation.source for item in block.items}
    if len(own) < 2 or len(condition.items) > ALTERNATIVES_MAX:
        return []
    arms = [conjuncts(item) for item in condition.items]
    found: list[Expression] = []
    for source in sorted(own):
        about = [
            tuple(part for part in arm if references(part) == {source} and is_constant(part))
            for arm in arms
        ]
        if all(about):
            found.append(Or(tuple(map(_conjunction, about))))
    return found


def _bounds(condition: Or, block: Select) -> list[Expression]:
    """The columns that all alternatives bound on one side, each under the greatest of its bounds, or over the least."""
    if len(condition.items) > ALTERNATIVES_MAX:
        return []
    tables = {i.relation.source for i in block.items if isinstance(i.relation, TableRelation)}
    first, *others = [
        [bound for part in conjuncts(item) if (bound := _bound(part, tables)) is not None]
        for item in condition.items
    ]
    found: list[Expression] = []
    for known in first:
        for sign in "<>":
            arms = [
                [bound for bound in arm if _is_beside(bound, known) and bound.op[0] in (sign, "=")]
                for arm in ([known], *others)
            ]
            # Values alone are looked up, each by itself.
            if all(arms) and any(arm[0].op != "=" for arm in arms):
                found.append(_outermost(sign, [arm[0] for arm in arms]))
    return found


def _bound(part: Expression, tables: set[int]) -> Compare | None:
    """A comparison of a table's column, on its left, with a value that is known before the statement runs."""
    if not isinstance(part, Compare) or part.op not in _FLIPPED or part.collation != "BINARY":
        return None
    if not isinstance(part.left, ColumnRef):
        left, affinity = part.right, part.right_affinity
        part = Compare(_FLIPPED[part.op], left, part.left, affinity, part.left_affinity)
    column, value = part.left, part.right
    is_mine = isinstance(column, ColumnRef) and column.source in tables
    is_known = isinstance(value, (Literal, Parameter)) and part.left_affinity is None
    return part if is_mine and is_known else None


def _is_beside(one: Compare, other: Compare) -> bool:
    return one.left == other.left and one.right_affinity == other.right_affinity


def _outermost(sign: str, group: list[Compare]) -> Expression:
    """What holds for a column that meets one of the comparisons."""
    values = tuple(dict.fromkeys([bound.right for bound in group]))
    column, affinity = group[0].left, group[0].right_affinity
    if len(values) == 1:
        return Compare(f"{sign}=", column, values[0], None, affinity)
    function = _outermost_function(sign, affinity)
    return Compare(f"{sign}=", column, Call(function.name, values, function))


@cache
def _outermost_function(sign: str, affinity: Affinity | None) -> Function:
    """The greatest or the least of values as they are compared with a column.  NULL, which nothing compares with, is
    none of them."""
    name, pick = ("greatest", max) if sign == "<" else ("least", min)

    def call(*values: Any) -> Any:
        there = [value for value in values if value is not None]
        if affinity is not None:
            there = [compared_as(value, affinity) for value in there]
        return pick(there, key=sort_key, default=None)

    return Function(name, call, 1, None)


def _conjunction(parts: tuple[Expression, ...]) -> Expression:
    return parts[0] if len(parts) == 1 else And(parts)
