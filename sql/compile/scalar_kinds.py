"""What kinds of value an expression may have, and its value where nothing but literals decides it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from sql import values as v
from sql.bind.typing import kinds_of
from sql.compile.scalar_reals import arithmetic_traits
from sql.expressions import (
    BLOB,
    INTEGER,
    NULL,
    REAL,
    TEXT,
    And,
    Arithmetic,
    Call,
    Case,
    Cast,
    Collate,
    ColumnRef,
    Compare,
    Exists,
    Expression,
    InList,
    InSubquery,
    Literal,
    Not,
    Or,
    Parameter,
    Raise,
    SlotRef,
    Truth,
    Unary,
)
from sql.run import arithmetic as a
from sql.settled import OPERATORS

NUMBER = INTEGER | REAL
ANY = 31

_NEVER_CONSTANT = frozenset((ColumnRef, SlotRef, Parameter, Compare, And, Or, Call, Case))
"""Most of what is asked for its value, which needs no look at its parts."""


class KindInference:
    """`parameter_kinds` are the masks of the parameters' kinds, as far as they are known."""

    def __init__(self, parameter_kinds: Sequence[int] | None = None) -> None:
        self.parameter_kinds = parameter_kinds or ()
        self._kinds: dict[int, tuple[Expression, int]] = {}  # by identity, which the node keeps
        self._constants: dict[int, tuple[Expression, Literal | None]] = {}

    def kinds(self, e: Expression) -> int:
        """Mask of the kinds the value may have."""
        if e.__class__ is ColumnRef or e.__class__ is SlotRef:
            return e.kinds
        known = self._kinds.get(id(e))
        if known is None:
            for part in spine(e):
                known = self._kinds[id(part)] = part, self._inferred(part)
        assert known is not None
        return known[1]

    def constant(self, e: Expression) -> Literal | None:
        """The value of an expression of nothing but literals, where that is plain to see."""
        kind = e.__class__
        if kind is Literal:
            return e  # type: ignore[return-value]
        if kind in _NEVER_CONSTANT:
            return None
        known = self._constants.get(id(e))
        if known is None:
            for part in spine(e):
                known = self._constants[id(part)] = part, self._folded(part)
        assert known is not None
        return known[1]

    def _folded(self, e: Expression) -> Literal | None:
        match e:
            case Literal():
                return e
            case InList(items=()):
                return Literal(int(e.negated))
            case Collate() | Unary() | Cast() | Not():
                inner = self.constant(e.operand)
                return None if inner is None else Literal(_applied(e, inner.value))
            case Arithmetic():
                left, right = self.constant(e.left), self.constant(e.right)
                if left is None or right is None:
                    return None
                return Literal(OPERATORS[e.op](left.value, right.value))
            case _:
                return None

    def _inferred(self, e: Expression) -> int:
        folded = self.constant(e)
        if folded is not None:
            return v.kind_of(folded.value)
        match e:
            case Parameter():
                if e.index < len(self.parameter_kinds):
                    return self.parameter_kinds[e.index]
                return ANY
            case Collate() | Unary(op="+"):
                return self.kinds(e.operand)
            case Unary(op="-"):
                return self._arithmetic_kinds(e.operand, e.operand)
            case Arithmetic(op="+" | "-" | "*" | "/"):
                traits = None if is_chain(e) else arithmetic_traits(e, self.kinds)
                if traits is not None:
                    return REAL | NULL if traits.nan else REAL
                return kinds_of(e) if e.op == "/" else self._arithmetic_kinds(e.left, e.right)
            case Arithmetic(op="%", right=Literal(value=int(divisor))) if divisor:
                kinds = self.kinds(e.left)
                return kinds_of(e) if kinds & ~(INTEGER | NULL) else kinds
            case Arithmetic(op="||"):
                return TEXT | ((self.kinds(e.left) | self.kinds(e.right)) & NULL)
            case Compare(op="IS" | "IS NOT") | Exists() | Truth():
                return INTEGER
            case Compare():
                return INTEGER | ((self.kinds(e.left) | self.kinds(e.right)) & NULL)
            case And() | Or():
                mask = INTEGER
                for item in e.items:
                    mask |= self.kinds(item) & NULL
                return mask
            case Not():
                return INTEGER | (self.kinds(e.operand) & NULL)
            case InList():
                mask = self.kinds(e.operand)
                for item in e.items:
                    mask |= self.kinds(item)
                return INTEGER | (mask & NULL)
            case InSubquery():
                return INTEGER | NULL
            case Case():
                mask = NULL if e.otherwise is None else self.kinds(e.otherwise)
                for _, then in e.whens:
                    mask |= self.kinds(then)
                return mask
            case Call(name="coalesce" | "ifnull") if e.function.builtin:
                masks = [self.kinds(argument) for argument in e.arguments]
                mask = reduce(or_, masks)
                return mask if all(other & NULL for other in masks) else mask & ~NULL
            case Raise():
                return NULL
            case _:
                return kinds_of(e)

    def _arithmetic_kinds(self, left: Expression, right: Expression) -> int:
        kinds = self.kinds(left) | self.kinds(right)
        mask = kinds & NULL
        if kinds & (TEXT | BLOB):
            return mask | NUMBER | NULL
        if kinds & REAL:
            mask |= REAL | NULL  # inf - inf
        if kinds & INTEGER:
            mask |= INTEGER | REAL
        return mask

    def nullable(self, e: Expression) -> bool:
        return bool(self.kinds(e) & NULL)


CHAIN_MAX = 24
"""Operands of a chain of operators: more would be nested too deeply."""


def is_chain(e: Expression) -> bool:
    """Whether it is a longer chain."""
    for _ in range(CHAIN_MAX):
        if not isinstance(e, Arithmetic):
            return False
        e = e.left
    return True


def spine(e: Expression) -> list[Expression]:
    """The left operands of a chain of operators, the innermost first, and `e`: no recursion along it."""
    parts = [e]
    while isinstance(e, Arithmetic):
        e = e.left
        parts.append(e)
    return parts[::-1]


def _applied(e: Collate | Unary | Cast | Not, value: Any) -> Any:
    match e:
        case Cast():
            return v.cast(value, e.affinity)
        case Not():
            return a.logical_not(value)
        case Unary(op="-"):
            return a.negate(value)
        case Unary(op="~"):
            return a.bit_not(value)
        case _:
            return value
