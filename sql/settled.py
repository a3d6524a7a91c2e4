"""Expressions that have their value before a run begins: of literals and parameters alone.

`o_orderdate < date(?, '+3 months')` has one value for all rows.  Code computes it once (`once` of
`sql.compile.module`), and the planner, which knows the parameters of the first run, knows how many rows it leaves.
Nothing counts as settled that may fail: where no row asks for it, it must not.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from sql import values as v
from sql.expressions import Arithmetic, Call, Cast, Collate, Expression, Literal, Parameter, Unary
from sql.run import arithmetic as a

OPERATORS = {**a.OPERATORS, "%": v.remainder}
"""Binary operators as functions."""

_DEPTH_MAX = 24
"""Operators within each other up to which an expression is looked at."""

_NEVER_FAIL = frozenset(
    (
        *("lower", "upper", "trim", "ltrim", "rtrim", "substr", "substring", "length", "instr"),
        *("round", "coalesce", "ifnull", "hex", "char", "unicode", "typeof"),
        *("greatest", "least", "like_prefix", "glob_prefix"),
    )
)
"""Builtin functions that only depend on their arguments, and give a value whatever those are."""


def is_plain_call(e: Call) -> bool:
    """Whether a call depends on its arguments alone, and gives a value whatever those are."""
    return e.function.builtin and e.name in _NEVER_FAIL and not e.function.needs_context


def is_settled(e: Expression, depth: int = _DEPTH_MAX) -> bool:
    """Whether the expression's value is known when a run begins, as plain as that of a literal."""
    match e:
        case Literal() | Parameter():
            return True
        case Collate() | Cast() | Unary():
            return depth > 0 and is_settled(e.operand, depth - 1)
        case Arithmetic():
            return depth > 0 and is_settled(e.right, depth - 1) and is_settled(e.left, depth - 1)
        case Call():
            function = e.function
            if not function.builtin or not (function.for_many or e.name in _NEVER_FAIL):
                return False
            return depth > 0 and all(is_settled(part, depth - 1) for part in e.arguments)
        case _:
            return False


class _Clock(Struct):
    """What a function that takes the context sees of it while a statement is planned."""

    now: float | None = None


def settled_value(e: Expression, parameters: Sequence[Any] | None) -> Any:
    """The value that a settled expression has under these parameters; NotImplemented if they are not known, or
    of any other expression."""
    match e:
        case Literal():
            return e.value
        case Parameter():
            if parameters is None or e.index >= len(parameters):
                return NotImplemented
            return parameters[e.index]
    if not is_settled(e):
        return NotImplemented
    parts = [settled_value(part, parameters) for part in _parts(e)]
    if any(part is NotImplemented for part in parts):
        return NotImplemented
    match e:
        case Arithmetic():
            return OPERATORS[e.op](*parts)
        case Call():
            if e.function.propagates_null and None in parts:
                return None
            if e.function.needs_context:
                parts = [_Clock(time.time()), *parts]
            return e.function.call(*parts)
        case Cast():
            return v.cast(parts[0], e.affinity)
        case Unary(op="-"):
            return a.negate(parts[0])
        case Unary(op="~"):
            return a.bit_not(parts[0])
        case _:
            return parts[0]


def call_of_many(
    e: Call, varying: Expression, values: Sequence[Any], parameters: Sequence[Any] | None
) -> list[Any] | None:
    """What a call gives for many values of the one argument that varies; None where others are not known, or it may fail."""
    function = e.function
    if not function.builtin or not (function.for_many or is_plain_call(e)):
        return None
    others = [settled_value(part, parameters) for part in e.arguments if part is not varying]
    if any(other is NotImplemented for other in others):
        return None
    at = next(place for place, part in enumerate(e.arguments) if part is varying)
    before, after = tuple(others[:at]), tuple(others[at:])
    if function.for_many is not None:
        known = function.for_many(_Clock(time.time()), before, after)
        return [known[value] for value in values]
    return [function.call(*before, value, *after) for value in values]


def _parts(e: Expression) -> Sequence[Expression]:
    match e:
        case Arithmetic():
            return e.left, e.right
        case Call():
            return e.arguments
        case Collate() | Cast() | Unary():
            return (e.operand,)
        case _:
            return ()
