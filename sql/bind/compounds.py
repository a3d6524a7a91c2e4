"""Binding of compounds: UNION, INTERSECT, EXCEPT, their collations and their ORDER BY."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlglot.expressions as exp
from msgspec import Struct
from msgspec.structs import replace

from sql.bind.expressions import ExpressionBinder
from sql.bind.nodes import offset_of
from sql.bind.positions import ordinal, out_of_range, position_of
from sql.bind.scope import Scope
from sql.bind.typing import (
    carried_affinity,
    explicit_collation,
    implicit_collation,
    kinds_of,
)
from sql.errors import SqlError
from sql.expressions import Expression, SlotRef
from sql.plan import Block, Compound, Recursive, ResultColumn, Select, SortKey, Values, width

if TYPE_CHECKING:
    from sql.bind.queries import Binder


class Arm(Struct):
    """A SELECT that may be an arm of a compound: what ORDER BY may mean by a name or an expression."""

    block: Select
    scope: Scope
    result: tuple[ResultColumn, ...]
    outputs: tuple[Expression, ...]


def operator_of(node: exp.SetOperation) -> str:
    if isinstance(node, exp.Union):
        return "UNION" if node.args.get("distinct") else "UNION ALL"
    return "INTERSECT" if isinstance(node, exp.Intersect) else "EXCEPT"


def mismatch(operator: str) -> SqlError:
    return SqlError(
        f"SELECTs to the left and right of {operator} do not have the same number of result columns"
    )


def implicit_or_explicit(output: Expression) -> str | None:
    return explicit_collation(output) or implicit_collation(output)


def compound(
    binder: Binder, node: exp.SetOperation, parent: Scope | None
) -> tuple[Block, tuple[ResultColumn, ...]]:
    arms: list[tuple[str, exp.Expression]] = []
    arm: exp.Expression = node
    while isinstance(arm, exp.SetOperation) and (
        arm is node or not any(arm.args.get(name) for name in ("order", "limit", "with_"))
    ):
        arms.append((operator_of(arm), arm.expression))
        arm = arm.this
    block, result = binder.query(arm, parent)
    blocks = [block]
    for operator, right_node in reversed(arms):
        right, _ = binder.query(right_node, parent)
        if width(block) != width(right):
            raise mismatch(operator)
        blocks.append(right)
    collations = compound_collations(binder, blocks)
    for (operator, _), right in zip(reversed(arms), blocks[1:], strict=True):
        block = Compound(operator, block, right, binder.next_source(), collations)
    return ordered_compound(binder, block, blocks, node, result), result


def compound_collations(binder: Binder, arms: list[Block]) -> tuple[str, ...]:
    """Per column the first collation that any arm brings: all of a chain compare by it."""
    collations = []
    for slot in range(width(arms[0])):
        outputs = [
            arm.rows[0][slot] if isinstance(arm, Values) else binder.output_of(arm, slot)
            for arm in arms
        ]
        found = [implicit_or_explicit(output) for output in outputs if output is not None]
        collations.append(next((name for name in found if name), "BINARY"))
    return tuple(collations)


def ordered_compound(
    binder: Binder,
    block: Block,
    arms: list[Block],
    node: exp.Expression,
    result: tuple[ResultColumn, ...],
) -> Block:
    """ORDER BY and LIMIT of a compound: terms are positions, names or expressions of an arm."""
    order = node.args.get("order")
    limit, offset = binder.limits(node)
    keys: list[SortKey] = []
    collations = compound_collations(binder, arms)
    assert isinstance(block, (Compound, Recursive))
    for place, item in enumerate(order.expressions if order is not None else ()):
        term = item.this if isinstance(item, exp.Ordered) else item
        collation = None
        inner = term
        while isinstance(inner, exp.Collate):
            if isinstance(inner, exp.Collate) and collation is None:
                collation = binder.collation(inner.expression.name)
            inner = inner.this
        slot = _compound_slot(binder, inner, arms, result, place)
        output = binder.output_of(block, slot)
        assert output is not None
        reference = SlotRef(
            block.source,
            slot,
            carried_affinity(output),
            collation or collations[slot],
            kinds_of(output),
        )
        key = ExpressionBinder(binder, Scope()).sort_key(item, reference)
        keys.append(key)
    return replace(block, order=tuple(keys), limit=limit, offset=offset)


def _compound_slot(
    binder: Binder,
    term: exp.Expression,
    arms: list[Block],
    result: tuple[ResultColumn, ...],
    place: int,
) -> int:
    position = position_of(term)
    if position is not None:
        slot = position - 1
        if not 0 <= slot < len(result):
            raise out_of_range("ORDER", place, len(result))
        return slot
    if isinstance(term, exp.Column) and term.args.get("table") is None:
        for slot, column in enumerate(result):
            if column.name.lower() == term.name.lower():
                return slot
    for arm in arms:
        known = binder.arms.get(id(arm))
        if known is None:
            continue
        if isinstance(term, exp.Column) and term.args.get("table") is None:
            for slot, column in enumerate(known.result):
                if column.name.lower() == term.name.lower():
                    return slot
        known.scope.aggregates_allowed = True  # those of the arm have their slots already
        try:
            bound = ExpressionBinder(binder, known.scope).bind(term)
        except SqlError:
            continue
        finally:
            known.scope.aggregates_allowed = False
        spelled = repr(bound)
        for slot, output in enumerate(known.outputs):
            if repr(output) == spelled:
                return slot
    raise SqlError(
        f"{ordinal(place + 1)} ORDER BY term does not match any column in the result set",
        offset=offset_of(term),
    )
