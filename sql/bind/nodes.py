"""Questions that all binders ask of the parser's nodes: where one stands, whether it is a query, what number
a literal is."""

from __future__ import annotations

from sql.errors import SqlError
from sql.parse import exp

MINIMUM_INTEGER = -(2**63)
MAXIMUM_INTEGER = 2**63 - 1


def offset_of(node: exp.Expression) -> int | None:
    """Where the node stands in the statement's text, if the parser noted it."""
    for part in (node, node.this if isinstance(node.this, exp.Expression) else None):
        if part is not None and part.start is not None:
            return part.start
    return None


def is_query(node: exp.Expression | None) -> bool:
    return isinstance(node, (exp.Select, exp.SetOperation, exp.Values, exp.Subquery))


def number(text: str) -> int | float:
    """The value of a numeric literal: an integer if it fits 64 bits, else a real."""
    if text.isdigit():
        value = int(text)
        return value if value <= MAXIMUM_INTEGER else float(value)
    if text[:2] in ("0x", "0X"):
        value = int(text, 16)
        if value >= 1 << 64:
            raise SqlError(f"hex literal too big: {text}")
        return value - (1 << 64) if value >= 1 << 63 else value
    return float(text)
