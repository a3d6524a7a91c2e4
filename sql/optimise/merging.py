"""Subqueries and views in FROM as parts of the query that they stand in.

    SELECT v.a FROM (SELECT t.a, t.id, t.b * 2 AS c FROM t WHERE t.b > 5) v WHERE v.id = ?
    ->  SELECT t.a FROM t WHERE t.b > 5 AND t.id = ?

What a relation's columns are stands in their place, its tables take part in the choice of accesses and join order, and
nothing is put together that nobody asks for.  A subquery that groups, or is a compound, stays one; but conditions on
its columns alone are told to it where rows that they refuse would make no difference to the others:

    SELECT * FROM (SELECT b, count(*) AS n FROM t GROUP BY b) v WHERE v.b = ?
    ->  SELECT * FROM (SELECT b, count(*) AS n FROM t WHERE t.b = ? GROUP BY b) v

The binder has decided on affinities and collations by then, so that an expression may stand for a column.

Source: "Query Flattening" and "Push-Down" in https://www.sqlite.org/optoverview.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from sql.expressions import (
    Affinity,
    Call,
    ColumnRef,
    Compare,
    Exists,
    Expression,
    InList,
    InSubquery,
    Literal,
    Parameter,
    SlotRef,
)
from sql.optimise.terms import is_constant
from sql.plan import Block, Compound, DerivedRelation, FromItem, Select
from sql.plan.walk import (
    SUBQUERIES,
    Visit,
    rebuild,
    rebuild_block,
    references,
    references_in,
    walk_flat,
)

RELATIONS_MAX = 12
"""How many relations may come together in one block: the search for a join order takes longer with each."""
NODES_MAX = 40
"""A longer expression is computed once, in the subquery, and not wherever its column is spoken of."""

Values = Sequence[Expression]


def with_merged_relations(block: Select, uses: Counter[int]) -> Select:
    """The block with what can be merged of its FROM, and of its EXISTS and IN, in place of it; `uses`: how often the
    statement has each CTE."""
    place = 0
    while place < len(block.items):
        merged = _merged(block, place, uses)
        if merged is None:
            place += 1
        else:
            block = merged  # and what has come may hold some, too
    return _with_told_conditions(_with_merged_conditions(block, uses), uses)


def _merged(block: Select, place: int, uses: Counter[int]) -> Select | None:
    """The block with its relation at `place` merged; None where that would be another query, or a slower one."""
    item = block.items[place]
    relation = item.relation
    if not isinstance(relation, DerivedRelation) or not _stands_alone(relation, uses):
        return None
    inner = relation.block
    if not isinstance(inner, Select) or not inner.items:
        return None
    if inner.keys is not None or inner.windows or inner.distinct:
        return None
    if inner.limit is not None or inner.offset is not None:
        return None
    if item.join != "inner" and (item.join != "cross" or len(inner.items) > 1):
        return None
    if len(block.items) + len(inner.items) - 1 > RELATIONS_MAX:
        return None
    order = block.order
    if inner.order:
        if len(block.items) > 1 or block.keys is not None or block.windows or block.distinct:
            return None
        order = order or inner.order
    if not all(map(_may_stand_anywhere, inner.outputs)) or not all(map(is_constant, inner.where)):
        return None
    if any(map(_is_json, inner.outputs)) and _takes_json(block):
        return None
    source = relation.source
    if any(
        node.source == source and not (isinstance(node, ColumnRef) and node.column >= 0)
        for node in references_in(block)
    ):
        return None
    first = inner.items[0]
    first = replace(first, join=item.join) if first.join == "inner" else first
    spliced = replace(
        block,
        items=(*block.items[:place], first, *inner.items[1:], *block.items[place + 1 :]),
        where=(*inner.where, *item.on, *block.where),
        order=order,
    )
    made = rebuild_block(spliced, _standing_for(source, inner.outputs))
    assert isinstance(made, Select)
    return made


def _stands_alone(relation: DerivedRelation, uses: Counter[int]) -> bool:
    """Whether nobody else reads the subquery, and the statement doesn't ask for it to be MATERIALIZED."""
    return relation.hint is not True and (relation.shared is None or uses[relation.shared] == 1)


def _may_stand_anywhere(output: Expression) -> bool:
    """Whether the expression may be computed as often as its column is spoken of."""
    if output.__class__ is ColumnRef:
        return True
    parts = walk_flat(output)
    return (
        len(parts) <= NODES_MAX
        and is_constant(output)
        and not any(part.__class__ in SUBQUERIES for part in parts)
    )


def _is_json(output: Expression) -> bool:
    """Whether the value is JSON to a function that takes it in; as a subquery's column it is a text."""
    return any(isinstance(part, Call) and part.function.returns_json for part in walk_flat(output))


def _takes_json(block: Select) -> bool:
    """Whether functions of the block ask what is JSON and what is text."""
    called: list[Any] = [call.function for call in block.aggregates]
    called += [call.function for call in block.windows]

    def visit(part: Expression) -> Expression:
        if isinstance(part, Call):
            called.append(part.function)
        return rebuild(part, visit)

    rebuild_block(block, visit)
    return any(getattr(function, "takes_json", False) for function in called)


def _standing_for(source: int, outputs: Values) -> Visit:
    def visit(part: Expression) -> Expression:
        if part.__class__ is ColumnRef:
            assert isinstance(part, ColumnRef)
            return outputs[part.column] if part.source == source else part
        return rebuild(part, visit)

    return visit


def _with_merged_conditions(block: Select, uses: Counter[int]) -> Select:
    """EXISTS and IN of the WHERE, which become joins where their subquery is over one table."""
    where = [_with_merged_plan(conjunct, uses) for conjunct in block.where]
    if all(made is known for made, known in zip(where, block.where, strict=True)):
        return block
    return replace(block, where=tuple(where))


def _with_merged_plan(conjunct: Expression, uses: Counter[int]) -> Expression:
    if not isinstance(conjunct, (Exists, InSubquery)) or not isinstance(conjunct.plan, Select):
        return conjunct
    plan = with_merged_relations(conjunct.plan, uses)
    return conjunct if plan is conjunct.plan else replace(conjunct, plan=plan)


# Conditions that are told to a subquery


def _with_told_conditions(block: Select, uses: Counter[int]) -> Select:
    items: list[FromItem] = []
    where = list(block.where)
    for item in block.items:
        relation = item.relation
        if (
            where
            and isinstance(relation, DerivedRelation)
            and _stands_alone(relation, uses)
            and item.join in ("inner", "cross")
        ):
            inner = relation.block
            for conjunct in [*where]:
                told = _told(inner, conjunct, relation.source)
                if told is not None:
                    inner = told
                    where = [other for other in where if other is not conjunct]
            if inner is not relation.block:
                item = replace(item, relation=replace(relation, block=inner))
        items.append(item)
    if len(where) == len(block.where):
        return block
    return replace(block, items=tuple(items), where=tuple(where))


def _told(block: Block, conjunct: Expression, source: int) -> Block | None:
    """The block without the rows that a condition on its columns, which are those of `source`, refuses."""
    if references(conjunct) != {source}:
        return None
    if any(isinstance(part, Call) and part.function.takes_json for part in walk_flat(conjunct)):
        return None  # what is a text here may be JSON there
    if any(isinstance(part, ColumnRef) and part.column < 0 for part in walk_flat(conjunct)):
        return None
    return _with_condition(block, lambda outputs: _standing_for(source, outputs)(conjunct))


def _with_condition(block: Block, of: Callable[[Values], Expression]) -> Block | None:
    if block.limit is not None or block.offset is not None:
        return None
    if isinstance(block, Compound):
        if block.operator != "UNION ALL":
            return None
        left, right = _with_condition(block.left, of), _with_condition(block.right, of)
        return None if left is None or right is None else replace(block, left=left, right=right)
    if not isinstance(block, Select) or block.windows:
        return None
    condition = of(block.outputs)
    if (block.distinct or block.keys is not None) and not _asks_for_no_spelling(condition):
        return None
    if block.keys is not None:
        asked = _asked_of_keys(block, condition)
        if asked is None:
            return None
        condition = asked
    if not _may_stand_anywhere(condition):
        return None
    return replace(block, where=(*block.where, condition))


def _asked_of_keys(block: Select, condition: Expression) -> Expression | None:
    """A condition on a group as one on its rows; None if it asks for more than the keys."""
    assert block.keys is not None
    keys = [key.expression for key in block.keys]
    slots = [part for part in walk_flat(condition) if isinstance(part, SlotRef)]
    own = [part.slot for part in slots if part.source == block.aggregate_source]
    if not own or len(own) < len(slots):
        return None
    if any(slot >= len(keys) or block.keys[slot].collation != "BINARY" for slot in own):
        return None

    def visit(part: Expression) -> Expression:
        return keys[part.slot] if isinstance(part, SlotRef) else rebuild(part, visit)

    return visit(condition)


def _asks_for_no_spelling(condition: Expression) -> bool:
    """Whether the condition is the same for values that are equal, as 5 and 5.0 are, of which a group shows one."""
    if isinstance(condition, Compare):
        if Affinity.TEXT in (condition.left_affinity, condition.right_affinity):
            return False
        sides: tuple[Expression, ...] = (condition.left, condition.right)
    elif isinstance(condition, InList) and condition.affinity != Affinity.TEXT:
        sides = (condition.operand, *condition.items)
    else:
        return False
    return all(isinstance(side, (ColumnRef, SlotRef, Literal, Parameter)) for side in sides)
