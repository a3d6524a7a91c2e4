"""Questions that all binders ask of sqlglot's nodes: where one stands, whether it is a query, what number
a literal is."""

from __future__ import annotations

from typing import Any

import sqlglot.expressions as exp

from sql.errors import SqlError

MINIMUM_INTEGER = -(2**63)
MAXIMUM_INTEGER = 2**63 - 1


def offset_of(node: exp.Expression) -> int | None:
    """Where the node stands in the statement's text, if the parser noted it."""
    for part in (node, node.this if isinstance(node.this, exp.Expression) else None):
        if part is not None:
            start = part.meta.get("start")
            if isinstance(start, int):
                return start
    return None


def is_query(node: exp.Expression | None) -> bool:
    return isinstance(node, (exp.Select, exp.SetOperation, exp.Values, exp.Subquery))


def meaning(tree: exp.Expression) -> str:
    """What trees that say the same have in common: letters' case outside of strings, and quotes, don't count."""
    return repr(_meaning(tree))


def _meaning(part: Any) -> Any:
    if isinstance(part, list):
        return [_meaning(item) for item in part]
    if not isinstance(part, exp.Expression):
        return part.lower() if isinstance(part, str) else part
    if isinstance(part, exp.Literal):
        return part.this, part.is_string
    said = {
        name: _meaning(value)
        for name, value in sorted(part.args.items())
        if value is not None and name != "quoted"
    }
    return part.key, said


def number(text: str) -> int | float:
    """The value of a numeric literal: an integer if it fits 64 bits, else a real."""
    if text.isdigit():
        value = int(text)
        return value if value <= MAXIMUM_INTEGER else float(text)
    if text[:2] in ("0x", "0X"):
        value = int(text, 16)
        if value >= 1 << 64:
            raise SqlError(f"hex literal too big: {text}")
        return value - (1 << 64) if value >= 1 << 63 else value
    return float(text)
