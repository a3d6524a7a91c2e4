"""Arithmetic on REALs as bare Python: NaN stands for NULL until the whole expression has its value.

SQL's arithmetic has no NaN: where IEEE's gives one (inf - inf, inf * 0) the value is NULL.  NaN goes through
all further arithmetic as NULL does, so it is enough to look for it once, at the outermost operation; and
not at all where none can come up, as in `1 - discount` or `amount / 100.0`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from msgspec import Struct

from sql.expressions import (
    INTEGER,
    REAL,
    Arithmetic,
    Expression,
    Literal,
)

NUMBER = INTEGER | REAL

EXACT = 1 << 53
"""Integers up to here are floats, too."""

Kinds = Callable[[Expression], int]


class Traits(Struct, frozen=True):
    """Of a number that is not NULL: whether it may be NaN, whether it is surely REAL."""

    nan: bool
    real: bool


def real_traits(e: Expression, kinds: Kinds) -> Traits | None:
    """What is known of the expression's value as bare Python; None if it may be NULL or no number."""
    traits = arithmetic_traits(e, kinds) if isinstance(e, Arithmetic) else None
    if traits is not None:
        return traits
    mask = kinds(e)
    if mask and not mask & ~NUMBER:
        return Traits(False, mask == REAL)
    return None


def arithmetic_traits(e: Arithmetic, kinds: Kinds) -> Traits | None:
    """The same of arithmetic on REALs; None for any other."""
    if e.op not in ("+", "-", "*", "/"):
        return None
    left, right = real_traits(e.left, kinds), real_traits(e.right, kinds)
    if left is None or right is None or not (left.real or right.real):
        return None
    if e.op == "/":
        return Traits(left.nan, True) if _is_finite(e.right, zero=False) else None
    zero = e.op != "*"
    exact = _is_finite(e.left, zero=zero) or _is_finite(e.right, zero=zero)
    return Traits(left.nan or right.nan or not exact, True)


def _is_finite(e: Expression, *, zero: bool) -> bool:
    """Whether it is a finite number's literal (0 too, or not)."""
    if not isinstance(e, Literal) or not isinstance(e.value, (int, float)):
        return False
    return isfinite(e.value) and (zero or e.value != 0)


def bare_source(e: Expression, kinds: Kinds, value: Callable[[Expression], str]) -> str:
    """Source of an expression that has `real_traits`; NaN is not yet NULL."""
    if isinstance(e, Arithmetic) and arithmetic_traits(e, kinds) is not None:
        # A float with a float is quicker than with the integer that Python would make a float of each time.
        left, right = as_real(e.left), as_real(e.right)
        return f"({bare_source(left, kinds, value)} {e.op} {bare_source(right, kinds, value)})"
    return value(e)


def as_real(e: Expression) -> Expression:
    """An integer's literal as the REAL that equals it; anything else as it is."""
    return Literal(same_real(e.value)) if isinstance(e, Literal) else e


def same_real(value: Any) -> Any:
    """The float that equals an integer; anything else, and an integer that no float need equal, as it is."""
    return float(value) if value.__class__ is int and -EXACT <= value <= EXACT else value
