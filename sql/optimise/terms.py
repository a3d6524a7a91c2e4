"""Sargable conditions: those that bound a column (or an index's expression), and by what.

A condition is *sargable* for a column when it compares the column, unconverted and under the key
part's collation, with a value that does not depend on the relation itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from msgspec import Struct

from sql.expressions import (
    TEXT,
    Affinity,
    Call,
    ColumnRef,
    Compare,
    Expression,
    InList,
    InSubquery,
    Literal,
    Match,
    Parameter,
    Unary,
)
from sql.functions import Function, FunctionRegistry
from sql.plan.walk import references, walk_flat
from sql.settled import settled_value

_FLIP = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "IS": "IS"}


def is_constant(node: Expression) -> bool:
    """Whether the expression gives the same value however often it is evaluated in one run."""
    for part in walk_flat(node):
        if isinstance(part, Call) and not getattr(part.function, "deterministic", True):
            return False
    return True


class Term(Struct, frozen=True):
    """A sargable condition on one column (or on an index's expression): `conjunct` is the whole of it, which has to
    be checked again for a PREFIX."""

    conjunct: Expression
    target: Expression
    op: str  # = IS IN < <= > >= PREFIX
    value: Expression
    affinity: Affinity | None
    collation: str
    needs: frozenset[int]


def terms_of(
    conjunct: Expression,
    source: int,
    functions: FunctionRegistry,
    parameters: Sequence[Any] | None = None,
) -> Iterator[Term]:
    """The ways in which a conjunct bounds something of the relation; `parameters` are those of the first run."""
    match conjunct:
        case Compare(op=op) if op in _FLIP:
            left, right = conjunct.left, conjunct.right
            if conjunct.left_affinity is None and _mine(left, source):
                yield from _comparison(conjunct, left, op, right, conjunct.right_affinity, source)
            if conjunct.right_affinity is None and _mine(right, source):
                yield from _comparison(
                    conjunct, right, _FLIP[op], left, conjunct.left_affinity, source
                )
        case InList(negated=False) if _mine(conjunct.operand, source):
            needs: set[int] = set()
            for item in conjunct.items:
                needs |= references(item)
            if source not in needs:
                yield Term(
                    conjunct,
                    conjunct.operand,
                    "IN",
                    conjunct,
                    conjunct.affinity,
                    conjunct.collation,
                    frozenset(needs),
                )
        case InSubquery(negated=False) if len(conjunct.operands) == 1 and _mine(
            conjunct.operands[0], source
        ):
            if conjunct.left_affinities[0] is None:
                from sql.plan.walk import free_references

                needs = {reference.source for reference in free_references(conjunct.plan)}
                if source not in needs:
                    yield Term(
                        conjunct,
                        conjunct.operands[0],
                        "IN",
                        conjunct,
                        conjunct.right_affinities[0],
                        conjunct.collations[0],
                        frozenset(needs),
                    )
        case Match(op=op, negated=False) if op in ("GLOB", "LIKE") and conjunct.escape is None:
            operand = conjunct.operand
            if isinstance(operand, ColumnRef) and operand.source == source:
                prefix = _prefix(conjunct, parameters)
                collation = _matched_collation(op, functions)
                if prefix is not None and collation:
                    yield Term(conjunct, operand, "PREFIX", prefix, None, collation, frozenset())


def _mine(node: Expression, source: int) -> bool:
    if isinstance(node, ColumnRef):
        return node.source == source
    if isinstance(node, (Literal, Parameter)):
        return False
    return any(isinstance(part, ColumnRef) and part.source == source for part in walk_flat(node))


def _comparison(
    conjunct: Compare,
    target: Expression,
    op: str,
    value: Expression,
    affinity: Affinity | None,
    source: int,
) -> Iterator[Term]:
    needs = references(value)
    if source in needs:
        return
    if op == "IS" and not isinstance(target, ColumnRef):
        return
    if isinstance(value, (InList, InSubquery)):
        value = Unary("+", value)  # its truth is compared: an IN itself stands for the values in it
    yield Term(conjunct, target, op, value, affinity, conjunct.collation, frozenset(needs))


def _matched_collation(op: str, functions: FunctionRegistry) -> str:
    """By which collation LIKE or GLOB compares what stands before wildcards; "" if nobody knows."""
    from sql.compile.patterns import like_exactly

    function = functions.lookup(op.lower(), 2)
    if not isinstance(function, Function):
        return ""
    if function.call is like_exactly:  # PRAGMA case_sensitive_like
        return "BINARY"
    if not function.builtin:
        return ""
    return "BINARY" if op == "GLOB" else "NOCASE"


def _prefix(match: Match, parameters: Sequence[Any] | None) -> Expression | None:
    """What every text begins with that the pattern matches; None if that is nothing, as far as anybody knows.

    Of a parameter it is computed in each run.  Which has a wildcard first the next time is then the range's business."""
    operand, pattern = match.operand, match.pattern
    # A value that is a number is matched as text, but does not lie among texts in the key.
    if not isinstance(operand, ColumnRef) or operand.kinds & 6:
        return None
    function = _prefix_function(match.op)
    value = settled_value(pattern, parameters)
    prefix = "" if value is NotImplemented else function.call(value)
    if not prefix:
        return None
    return (
        Literal(prefix)
        if isinstance(pattern, Literal)
        else Call(function.name, (pattern,), function)
    )


@cache
def _prefix_function(op: str) -> Function:
    """What gives the text before a pattern's first wildcard; "" of what is no text."""
    wildcards = "%_" if op == "LIKE" else "*?["

    def call(pattern: Any) -> str:
        if pattern.__class__ is not str:
            return ""
        ends = [place for place in map(pattern.find, wildcards) if place >= 0]
        text: str = pattern[: min(ends)] if ends else pattern
        return text if op == "GLOB" or text.isascii() else ""

    return Function(f"{op.lower()}_prefix", call, 1, 1, kinds=TEXT)
