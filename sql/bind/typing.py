"""Affinity, collation and possible kinds of bound expressions, and comparisons made by SQLite's rules.

https://www.sqlite.org/datatype3.html sections 3.2 (affinity of expressions), 4.2 (conversions before a
comparison) and 7.1 (which collation a comparison uses).
"""

from __future__ import annotations

from sql.expressions import (
    ANY_KIND,
    BLOB,
    INTEGER,
    NULL,
    REAL,
    TEXT,
    Affinity,
    Arithmetic,
    Call,
    Case,
    Cast,
    Collate,
    ColumnRef,
    Compare,
    Expression,
    InList,
    Literal,
    Match,
    ScalarSubquery,
    SlotRef,
    Unary,
)
from sql.plan.walk import children
from sql.values import apply_affinity

NUMERIC_AFFINITIES = (Affinity.NUMERIC, Affinity.INTEGER, Affinity.REAL)


def affinity_of(node: Expression) -> Affinity | None:
    """The expression's affinity; None for one that has none (a literal, an operator's result)."""
    match node:
        case ColumnRef() | Cast() | ScalarSubquery() | SlotRef():
            return None if node.affinity == Affinity.NONE else node.affinity
        case Collate():
            return affinity_of(node.operand)
        case _:
            return None


def carried_affinity(node: Expression) -> Affinity:
    """The affinity that a subquery's column or a stage's value has from the expression."""
    affinity = affinity_of(node)
    return Affinity.NONE if affinity is None else affinity


def explicit_collation(node: Expression) -> str | None:
    """The collation of a COLLATE operator anywhere in the expression (the leftmost), as SQLite has it."""
    if isinstance(node, Collate):
        return node.collation
    if isinstance(node, (ColumnRef, SlotRef, Literal, ScalarSubquery)):
        return None
    for child in children(node):
        found = explicit_collation(child)
        if found is not None:
            return found
    return None


def implicit_collation(node: Expression) -> str | None:
    """The collation a column brings with it, also through a CAST or a unary plus; not a subquery's."""
    match node:
        case ColumnRef() | SlotRef():
            return node.collation
        case Cast():
            return implicit_collation(node.operand)
        case Unary(op="+"):
            return implicit_collation(node.operand)
        case Collate():
            return node.collation
        case _:
            return None


def collated(value: Expression, arguments: tuple[Expression, ...]) -> Expression:
    """The value of a call, under the COLLATE that one of its arguments has, as any call has it."""
    for argument in arguments:
        found = explicit_collation(argument)
        if found is not None:
            return Collate(value, found)
    return value


def collation_of(node: Expression) -> str:
    """The collation that sorting or grouping by the expression uses."""
    return explicit_collation(node) or implicit_collation(node) or "BINARY"


def comparison_collation(left: Expression, right: Expression) -> str:
    return (
        explicit_collation(left)
        or explicit_collation(right)
        or implicit_collation(left)
        or implicit_collation(right)
        or "BINARY"
    )


def kinds_of(node: Expression) -> int:
    """A mask of the kinds the expression's value may have, as far as it is plain to see."""
    match node:
        case ColumnRef() | SlotRef() | ScalarSubquery():
            return node.kinds
        case Literal():
            return kind_of_value(node.value)
        case Collate():
            return kinds_of(node.operand)
        case Unary(op="+"):
            return kinds_of(node.operand)
        case Unary():
            return NULL | INTEGER | REAL
        case Arithmetic(op="||"):
            return NULL | TEXT
        case Arithmetic():
            return NULL | INTEGER | REAL
        case Compare() | InList() | Match():
            return NULL | INTEGER
        case Call():
            mask: int = getattr(node.function, "kinds", ANY_KIND) or ANY_KIND
            return mask
        case Case():
            mask = NULL if node.otherwise is None else kinds_of(node.otherwise)
            for _, then in node.whens:
                mask |= kinds_of(then)
            return mask
        case Cast():
            if node.affinity == Affinity.INTEGER:
                return NULL | INTEGER
            if node.affinity == Affinity.REAL:
                return NULL | REAL
            if node.affinity == Affinity.TEXT:
                return NULL | TEXT
            return ANY_KIND
        case _:
            return ANY_KIND


def kind_of_value(value: object) -> int:
    if value is None:
        return NULL
    if isinstance(value, int):
        return INTEGER
    if isinstance(value, float):
        return REAL
    return TEXT if isinstance(value, str) else BLOB


def needed_affinity(node: Expression, wanted: Affinity) -> tuple[Expression, Affinity | None]:
    """The node, and `wanted` if applying it to the node's value may change it, else None.

    A literal is converted here and now."""
    if isinstance(node, Literal):
        return Literal(apply_affinity(node.value, wanted)), None
    kinds = kinds_of(node)
    if wanted == Affinity.TEXT:
        return node, wanted if kinds & (INTEGER | REAL) else None
    if affinity_of(node) in NUMERIC_AFFINITIES and isinstance(node, ColumnRef) and node.converted:
        return node, None
    return node, Affinity.NUMERIC if kinds & TEXT else None


def common_affinity(left: Affinity | None, right: Affinity | None) -> Affinity | None:
    """The affinity applied to both sides of a comparison of operands with these affinities."""
    if left is not None and right is not None:
        if left in NUMERIC_AFFINITIES or right in NUMERIC_AFFINITIES:
            return Affinity.NUMERIC
        return None
    one = left if left is not None else right
    if one in NUMERIC_AFFINITIES:
        return Affinity.NUMERIC
    return Affinity.TEXT if one == Affinity.TEXT else None


def compare(op: str, left: Expression, right: Expression) -> Compare:
    """`left op right` with SQLite's conversions and collation decided."""
    collation = comparison_collation(left, right)
    wanted = common_affinity(affinity_of(left), affinity_of(right))
    left_affinity = right_affinity = None
    if wanted is not None:
        left, left_affinity = needed_affinity(left, wanted)
        right, right_affinity = needed_affinity(right, wanted)
    return Compare(op, left, right, left_affinity, right_affinity, collation)
