"""Binding of comparisons: scalars, row values, BETWEEN and IN.

Row values are lowered here: comparisons of rows become comparisons of their elements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlglot.expressions as exp

from sql.bind.nodes import is_query, offset_of
from sql.bind.typing import (
    affinity_of,
    collation_of,
    common_affinity,
    compare,
    comparison_collation,
    explicit_collation,
    implicit_collation,
    needed_affinity,
)
from sql.errors import SqlError
from sql.expressions import (
    Affinity,
    And,
    Case,
    ColumnRef,
    Compare,
    Expression,
    InList,
    InSubquery,
    Literal,
    Or,
    Truth,
)
from sql.plan import Block, width

if TYPE_CHECKING:
    from sql.bind.expressions import ExpressionBinder

COMPARISONS: dict[Any, str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.Is: "IS",
    exp.NullSafeEQ: "IS",
    exp.NullSafeNEQ: "IS NOT",
}


def compare_rows(
    op: str, left: tuple[Expression, ...], right: tuple[Expression, ...]
) -> Expression:
    """The comparison of two row values of one length, element by element."""
    if op in ("=", "IS"):
        return And(tuple(compare(op, a, b) for a, b in zip(left, right, strict=True)))
    if op in ("<>", "IS NOT"):
        return Or(tuple(compare(op, a, b) for a, b in zip(left, right, strict=True)))
    strict = op[0]
    result: Expression = compare(op, left[-1], right[-1])
    for a, b in zip(reversed(left[:-1]), reversed(right[:-1]), strict=True):
        result = Or((compare(strict, a, b), And((compare("=", a, b), result))))
    if len(left) > 1:
        # Implied by the rest, and a range of an index on the first element.
        result = And((compare(strict + "=", left[0], right[0]), result))
    return result


def comparison(binder: ExpressionBinder, node: Any) -> Expression:
    op = COMPARISONS[type(node)]
    left, right = node.this, node.expression
    if op in ("IS", "IS NOT"):
        truth = right
        while isinstance(truth, exp.Collate):
            truth = truth.this
        if isinstance(truth, exp.Boolean):
            return Truth(binder.bind(left), bool(truth.this), op == "IS NOT")
    return _compared(op, _operand(binder, left), _operand(binder, right), node)


Operand = Expression | tuple[Expression, ...]
"""A scalar, or the elements of a row value."""


def _operand(binder: ExpressionBinder, node: exp.Expression) -> Operand:
    """What is compared, bound once: a subquery may hold others, which hold others."""
    if isinstance(node, exp.Tuple):
        return tuple(binder.scalar(item) for item in node.expressions)
    if isinstance(node, exp.Subquery) and is_query(node.this):
        block = binder.subquery_block(node)
        slots = tuple(binder.scalar_subquery(block, slot) for slot in range(width(block)))
        return slots if len(slots) > 1 else slots[0]
    return binder.bind(node)


def _compared(op: str, left: Operand, right: Operand, node: exp.Expression) -> Expression:
    """Their comparison; raises SqlError if one is a row value and the other none of its length."""
    if isinstance(left, tuple):
        if isinstance(right, tuple) and len(left) == len(right):
            return compare_rows(op, left, right)
    elif not isinstance(right, tuple):
        return compare(op, left, right)
    raise SqlError("row value misused", offset=offset_of(node))


def case(binder: ExpressionBinder, node: exp.Case) -> Expression:
    """CASE, of a row value too: each WHEN's comparison stands in the place of its value."""
    base = None if node.this is None else _operand(binder, node.this)
    whens = []
    for branch in node.args["ifs"]:
        if base is None:
            when = binder.bind(branch.this)
        else:
            when = _compared("=", base, _operand(binder, branch.this), branch.this)
        whens.append((when, binder.bind(branch.args["true"])))
    default = node.args.get("default")
    return Case(tuple(whens), None if default is None else binder.bind(default))


def between(binder: ExpressionBinder, node: exp.Between) -> Expression:
    operand = _operand(binder, node.this)
    low, high = _operand(binder, node.args["low"]), _operand(binder, node.args["high"])
    return And((_compared(">=", operand, low, node), _compared("<=", operand, high, node)))


def membership(binder: ExpressionBinder, node: exp.In) -> Expression:
    query = node.args.get("query")
    field = node.args.get("field")
    if query is None and field is not None:
        query = binder.statement.table_query(field)
    operand = _operand(binder, node.this)
    if query is not None:
        operands = operand if isinstance(operand, tuple) else (operand,)
        return _in_block(binder, operands, binder.subquery_block(query), node)
    if not isinstance(operand, tuple):
        return _in_list(binder, operand, node.expressions)
    alternatives = [
        _compared("=", operand, _operand(binder, item), node) for item in node.expressions
    ]
    return Or(tuple(alternatives))


def _in_list(
    binder: ExpressionBinder, operand: Expression, items: list[exp.Expression]
) -> Expression:
    wanted = affinity_of(operand)
    if wanted is not None:
        wanted = (
            Affinity.NUMERIC
            if wanted >= Affinity.NUMERIC
            else (Affinity.TEXT if wanted == Affinity.TEXT else None)
        )
    bound = []
    left_affinity = False
    for item in items:
        element = binder.scalar(item)
        affinity = None
        if wanted is not None:
            element, affinity = needed_affinity(element, wanted)
        left_affinity |= affinity is not None
        bound.append(element)
    collation = explicit_collation(operand) or implicit_collation(operand) or "BINARY"
    if isinstance(operand, ColumnRef) and wanted is not None:
        converted, own = needed_affinity(operand, wanted)
        if own is not None and not operand.converted:
            # The operand has to be converted, too, which comparisons do and sets do not.
            return Or(
                tuple(Compare("=", converted, item, own, wanted, collation) for item in bound)
            )
    return InList(operand, tuple(bound), False, wanted if left_affinity else None, collation)


def _in_block(
    binder: ExpressionBinder, operands: tuple[Expression, ...], block: Block, node: exp.Expression
) -> Expression:
    if width(block) != len(operands):
        raise SqlError(
            f"sub-select returns {width(block)} columns - expected {len(operands)}",
            offset=offset_of(node),
        )
    left: list[Affinity | None] = []
    right: list[Affinity | None] = []
    collations = []
    lowered = []
    for slot, operand in enumerate(operands):
        output = binder.statement.output_of(block, slot)
        inner = affinity_of(output) if output is not None else None
        wanted = common_affinity(affinity_of(operand), inner)
        left_affinity = right_affinity = None
        if wanted is not None:
            operand, left_affinity = needed_affinity(operand, wanted)
            if output is not None:
                right_affinity = needed_affinity(output, wanted)[1]
                if isinstance(output, Literal):
                    right_affinity = wanted
            else:
                right_affinity = wanted
        lowered.append(operand)
        left.append(left_affinity)
        right.append(right_affinity)
        collations.append(
            comparison_collation(operand, output) if output is not None else collation_of(operand)
        )
    return InSubquery(tuple(lowered), block, False, tuple(left), tuple(right), tuple(collations))
