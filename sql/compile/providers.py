"""The rows of relations that are no stored tables: `kv`, the catalog, functions in FROM.

A provider may give a range of its first column's values; the conditions on that column are its bounds, and
are checked again on what it gives.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sql.expressions import ColumnRef, Compare, Expression, Literal, Match, Parameter, SqlValue
from sql.plan import RowRelation
from sql.plan.operators import Level
from sql.plan.walk import references
from sql.run import ranges

if TYPE_CHECKING:
    from sql.compile.accesses import AccessCompiler


def leading_rows(accesses: AccessCompiler, relation: RowRelation) -> str:
    """The source of a provider's rows cut to their first columns, for a level behind others; "" where more is asked of
    them."""
    leads = getattr(relation.provider, "leads", 0)
    wanted = accesses.needed.get(relation.source, set())
    if relation.source == accesses.first or not all(0 <= column < leads for column in wanted):
        return ""
    if accesses.compiler.analysis is not None or not leads:
        return ""
    arguments = "".join(f"{accesses.scalar.value(item)}, " for item in relation.arguments)
    provider = accesses.module.constants.name(relation.provider, "provider")
    return f"{provider}.leading(({arguments}))"


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
        if op in _MATCHED:
            bounds = accesses.module.function(_MATCHED[op])
            return [f"*{bounds}({source})", "True", "False", "False"]
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
            if _is_first(condition.operand, source) and isinstance(
                condition.pattern, Literal | Parameter
            ):
                return condition.op, condition.pattern
    return None


def like_bounds(pattern: SqlValue) -> tuple[SqlValue, SqlValue]:
    """Between what values the texts are that LIKE matches, the second one excluded; None of both for anywhere."""
    start = _start(r"[^%_]*", pattern)
    if not start:
        return None, None
    # LIKE folds ASCII letters, and capitals sort first.
    upper = "".join(char.upper() if char.isascii() else char for char in start)
    lower = "".join(char.lower() if char.isascii() else char for char in start)
    return upper, ranges.text_after(lower)


def glob_bounds(pattern: SqlValue) -> tuple[SqlValue, SqlValue]:
    """The same of GLOB."""
    start = _start(r"[^*?\[]*", pattern)
    return (start, ranges.text_after(start)) if start else (None, None)


_MATCHED = {"LIKE": like_bounds, "GLOB": glob_bounds}


def _start(plain: str, pattern: SqlValue) -> str:
    found = re.match(plain, pattern) if isinstance(pattern, str) else None
    return found[0] if found else ""


def _is_first(node: Expression, source: int) -> bool:
    return isinstance(node, ColumnRef) and node.source == source and node.column == 0
