"""Conditions that stand within every alternative of an OR, brought before it.

    (a.x = b.x AND a.y = 1 AND b.z > 2) OR (a.x = b.x AND a.y = 5)
    ->  a.x = b.x  AND  (a.y = 1 OR a.y = 5)  AND  ((a.y = 1 AND b.z > 2) OR a.y = 5)

What all alternatives say holds by itself (the law of distribution, which NULL does not break), so that it may join
relations and bound an index.  And where each of them says something about one relation of several alone, that
relation has one of those, which is told to it before it is joined; the OR still decides.
"""

from __future__ import annotations

from msgspec.structs import replace

from sql.expressions import And, Expression, Or
from sql.optimise.terms import is_constant
from sql.plan import Select, conjuncts
from sql.plan.walk import references

ALTERNATIVES_MAX = 16
"""Alternatives of which each is compared with the others; longer ORs are lists of values, mostly."""


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


def _conjunction(parts: tuple[Expression, ...]) -> Expression:
    return parts[0] if len(parts) == 1 else And(parts)
