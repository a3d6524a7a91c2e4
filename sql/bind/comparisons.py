"""Binding of comparisons: scalars, row values, BETWEEN and IN.

Row values are lowered here: comparisons of rows become comparisons of their elements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlglot import exp

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
    if isinstance(node, exp.Is) and isinstance(right, exp.Boolean):
        return Truth(binder.bind(left), bool(right.this), op == "IS NOT")
    left_row, right_row = row_of(binder, left), row_of(binder, right)
    if left_row is None and right_row is None:
        return compare(op, binder.bind(left), binder.bind(right))
    return compare_rows(op, *_of_one_length(left_row, right_row, node))


def _of_one_length(
    left: tuple[Expression, ...] | None, right: tuple[Expression, ...] | None, node: exp.Expression
) -> tuple[tuple[Expression, ...], tuple[Expression, ...]]:
    """The two row values; raises SqlError if one is none (None), or has more elements."""
    if left is None or right is None or len(left) != len(right):
        raise SqlError("row value misused", offset=offset_of(node))
    return left, right


def case(binder: ExpressionBinder, node: exp.Case) -> Expression:
    """CASE, of a row value too: each WHEN's comparison stands in the place of its value."""
    row = None if node.this is None else row_of(binder, node.this)
    base = binder.bind(node.this) if node.this is not None and row is None else None
    whens = []
    for branch in node.args["ifs"]:
        if row is not None:
            when = compare_rows("=", *_of_one_length(row, row_of(binder, branch.this), branch.this))
        else:
            when = binder.bind(branch.this)
            if base is not None:
                when = compare("=", base, when)
        whens.append((when, binder.bind(branch.args["true"])))
    default = node.args.get("default")
    return Case(tuple(whens), None if default is None else binder.bind(default))


def row_of(binder: ExpressionBinder, node: exp.Expression) -> tuple[Expression, ...] | None:
    """The elements of a row value (also a subquery of several columns), None for a scalar."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Tuple):
        return tuple(binder.scalar(item) for item in node.expressions)
    if isinstance(node, exp.Subquery) and is_query(node.this):
        block = binder.subquery_block(node)
        if width(block) > 1:
            return tuple(binder.scalar_subquery(block, slot) for slot in range(width(block)))
    return None


def between(binder: ExpressionBinder, node: exp.Between) -> Expression:
    low, high = node.args["low"], node.args["high"]
    row = row_of(binder, node.this)
    if row is not None:
        low_row, high_row = row_of(binder, low), row_of(binder, high)
        return And(
            (
                compare_rows(">=", *_of_one_length(row, low_row, node)),
                compare_rows("<=", *_of_one_length(row, high_row, node)),
            )
        )
    operand = binder.bind(node.this)
    return And(
        (compare(">=", operand, binder.bind(low)), compare("<=", operand, binder.bind(high)))
    )


def membership(binder: ExpressionBinder, node: exp.In) -> Expression:
    query = node.args.get("query")
    field = node.args.get("field")
    if query is None and field is not None:
        query = binder.statement.table_query(field)
    row = row_of(binder, node.this)
    operands = (binder.bind(node.this),) if row is None else row
    if query is None:
        items = node.expressions
        if row is not None:
            alternatives = []
            for item in items:
                pair = _of_one_length(row, row_of(binder, item), node)
                alternatives.append(compare_rows("=", *pair))
            return Or(tuple(alternatives)) if alternatives else Literal(0)
        return _in_list(binder, operands[0], items)
    return _in_block(binder, operands, binder.subquery_block(query), node)


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
    if bound and isinstance(operand, ColumnRef) and wanted is not None:
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
