"""The rows of relations that are no stored tables: `kv`, the catalog, functions in FROM.

A provider may give a range of its first column's values; the conditions on that column are its bounds, and
are checked again on what it gives.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sql.expressions import ColumnRef, Compare, Expression, Literal, Match
from sql.plan import RowRelation
from sql.plan.operators import Level
from sql.plan.walk import references
from sql.run import ranges

if TYPE_CHECKING:
    from sql.compile.accesses import AccessCompiler


def provided_rows(accesses: AccessCompiler, relation: RowRelation, level: Level) -> str:
    """The source of a provider's batches of rows."""
    provider = accesses.module.constants.name(relation.provider, "provider")
    if provider_ranges(relation):
        bounds = _bounds(accesses, relation, level)
        if bounds is not None:
            return f"{provider}.range_rows(ctx, {', '.join(bounds)})"
    arguments = "".join(f"{accesses.scalar.value(item)}, " for item in relation.arguments)
    return f"{provider}.rows(ctx, ({arguments}))"


def _bounds(accesses: AccessCompiler, relation: RowRelation, level: Level) -> list[str] | None:
    """(lo, hi, lo inclusive, hi inclusive, reverse) of the conditions on the first column."""
    low, high = "None", "None"
    low_inclusive = high_inclusive = True
    for condition in (*level.filters, *level.on):
        found = first_column_condition(condition, relation.source)
        if found is None:
            continue
        op, value = found
        source = accesses.scalar.value(value)
        if op.endswith("prefix"):
            assert isinstance(value, Literal)
            start = str(value.value)
            # LIKE folds ASCII letters, and capitals sort first.
            first, last = (start, start) if op[0] == "G" else folded_range(start)
            low = accesses.module.constants.name(first)
            high = accesses.module.constants.name(ranges.text_after(last))
            low_inclusive, high_inclusive = True, False
            break
        if op == "=":
            low = high = source
            low_inclusive = high_inclusive = True
            break
        if op in (">", ">="):
            low, low_inclusive = source, op == ">="
        else:
            high, high_inclusive = source, op == "<="
    if low == high == "None":
        return None
    return [low, high, str(low_inclusive), str(high_inclusive), "False"]


def provider_ranges(relation: RowRelation) -> bool:
    """Whether the provider can give a range of its first column's values."""
    return getattr(relation.provider, "range_rows", None) is not None


def first_column_condition(condition: Expression, source: int) -> tuple[str, Expression] | None:
    """(op, value) of a condition that bounds the relation's first column."""
    match condition:
        case Compare(op="=" | "<" | "<=" | ">" | ">=") if condition.collation == "BINARY":
            left, right = condition.left, condition.right
            if _is_first(left, source) and source not in references(right):
                return condition.op, right
            if _is_first(right, source) and source not in references(left):
                flipped = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
                return flipped.get(condition.op, condition.op), left
        case Match(op="LIKE" | "GLOB", negated=False, escape=None):
            if _is_first(condition.operand, source) and isinstance(condition.pattern, Literal):
                text = str(condition.pattern.value)
                cut = re.match(r"[^%_]*" if condition.op == "LIKE" else r"[^*?\[]*", text)
                assert cut is not None
                if cut[0]:
                    return f"{condition.op} prefix", Literal(cut[0])
    return None


def folded_range(start: str) -> tuple[str, str]:
    """The least and the greatest spelling of a text whose ASCII letters fold."""
    upper = "".join(char.upper() if char.isascii() else char for char in start)
    return upper, "".join(char.lower() if char.isascii() else char for char in start)


def _is_first(node: Expression, source: int) -> bool:
    return isinstance(node, ColumnRef) and node.source == source and node.column == 0
