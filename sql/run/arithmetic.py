"""What generated code calls where an operand's kind is not known when it is compiled.

Every function takes and gives SQL values; NULL in, NULL out.  Integers that leave 64 bits become REAL.
https://www.sqlite.org/lang_expr.html#operators_and_parse_affecting_attributes
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sql.errors import ConstraintError, SqlError
from sql.expressions import SqlValue
from sql.values import (
    INT_MAX,
    INT_MIN,
    remainder,
    sort_key,
    text_to_number,
    to_integer,
    to_number,
    truth,
    value_to_text,
)


class RaiseIgnore(SqlError):
    """RAISE(IGNORE): the statement goes on without the row."""


class RaiseError(ConstraintError):
    """RAISE(ABORT | FAIL | ROLLBACK, message)."""

    def __init__(self, message: str, action: str) -> None:
        super().__init__(message, kind="TRIGGER")
        self.action = action


def raise_in_trigger(action: str, message: SqlValue) -> SqlValue:
    if action == "IGNORE":
        raise RaiseIgnore("RAISE(IGNORE) outside of a trigger")
    raise RaiseError(value_to_text(message) or "", action)


def add(left: SqlValue, right: SqlValue) -> SqlValue:
    a, b = to_number(left), to_number(right)
    if a is None or b is None:
        return None
    return checked(a + b, a, b, "+")


def subtract(left: SqlValue, right: SqlValue) -> SqlValue:
    a, b = to_number(left), to_number(right)
    if a is None or b is None:
        return None
    return checked(a - b, a, b, "-")


def multiply(left: SqlValue, right: SqlValue) -> SqlValue:
    a, b = to_number(left), to_number(right)
    if a is None or b is None:
        return None
    if a.__class__ is not b.__class__:
        a, b = float(a), float(b)
    try:
        return checked(a * b, a, b, "*")
    except OverflowError:
        return float(a) * float(b)


def checked(result: int | float, a: int | float, b: int | float, op: str) -> SqlValue:
    """The result, or REAL arithmetic's where the integer leaves 64 bits; NaN is NULL."""
    if result.__class__ is int:
        if INT_MIN <= result <= INT_MAX:
            return result
        return overflowed(a, b, op)
    return result if result == result else None


def overflowed(a: int | float, b: int | float, op: str) -> float:
    x, y = float(a), float(b)
    return x + y if op == "+" else x - y if op == "-" else x * y


def divide(left: SqlValue, right: SqlValue) -> SqlValue:
    a, b = to_number(left), to_number(right)
    if a is None or b is None or b == 0:
        return None
    if a.__class__ is int and b.__class__ is int:
        return int_divide(a, b)
    result = float(a) / float(b)
    return result if result == result else None


def int_divide(a: int, b: int) -> SqlValue:
    """Truncates toward zero; b is not 0."""
    quotient = abs(a) // abs(b)
    if (a < 0) != (b < 0):
        return -quotient
    return quotient if quotient <= INT_MAX else float(quotient)


def negate(value: SqlValue) -> SqlValue:
    number = to_number(value)
    if number is None:
        return None
    if number == INT_MIN and number.__class__ is int:
        return 9223372036854775808.0
    return 0 - number  # and no -0.0


def concat(left: Any, right: Any) -> SqlValue:
    if left is None or right is None:
        return None
    return f"{value_to_text(left)}{value_to_text(right)}"


def _wrapped(value: int) -> int:
    """A result of bit operations as a signed 64-bit integer."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value > INT_MAX else value


def bit_and(left: SqlValue, right: SqlValue) -> SqlValue:
    a, b = to_integer(left), to_integer(right)
    return None if a is None or b is None else a & b


def bit_or(left: SqlValue, right: SqlValue) -> SqlValue:
    a, b = to_integer(left), to_integer(right)
    return None if a is None or b is None else a | b


def bit_not(value: SqlValue) -> SqlValue:
    a = to_integer(value)
    return None if a is None else ~a


def shift_left(left: SqlValue, right: SqlValue) -> SqlValue:
    a, b = to_integer(left), to_integer(right)
    return None if a is None or b is None else _shifted(a, b)


def shift_right(left: SqlValue, right: SqlValue) -> SqlValue:
    a, b = to_integer(left), to_integer(right)
    return None if a is None or b is None else _shifted(a, -b)


def _shifted(value: int, places: int) -> int:
    if places >= 0:
        return _wrapped(value << places) if places < 64 else 0
    return value >> min(-places, 63)


def less(left: Any, right: Any) -> bool:
    """`left < right` by SQL's order; neither is NULL."""
    try:
        return bool(left < right)
    except TypeError:
        return sort_key(left) < sort_key(right)


def less_equal(left: Any, right: Any) -> bool:
    try:
        return bool(left <= right)
    except TypeError:
        return sort_key(left) <= sort_key(right)


def as_numeric(value: SqlValue) -> SqlValue:
    """A value under NUMERIC affinity, for a comparison."""
    if value.__class__ is str:
        number = text_to_number(value)
        return value if number is None else number
    return value


def as_text(value: SqlValue) -> SqlValue:
    """A value under TEXT affinity, for a comparison."""
    kind = value.__class__
    return value_to_text(value) if kind is int or kind is float else value


def logical_and(*values: SqlValue) -> SqlValue:
    unknown = False
    for value in values:
        true = truth(value)
        if true is None:
            unknown = True
        elif not true:
            return 0
    return None if unknown else 1


def logical_or(*values: SqlValue) -> SqlValue:
    unknown = False
    for value in values:
        true = truth(value)
        if true is None:
            unknown = True
        elif true:
            return 1
    return None if unknown else 0


def logical_not(value: SqlValue) -> SqlValue:
    true = truth(value)
    return None if true is None else 1 - true


def is_false(value: SqlValue) -> bool:
    """SQL-false: not NULL, and zero as a number."""
    return truth(value) is False


def call_strict(function: Callable[..., Any], *arguments: SqlValue) -> SqlValue:
    """Call a function that is NULL whenever an argument is."""
    for argument in arguments:
        if argument is None:
            return None
    result: SqlValue = function(*arguments)
    return result


def item_set(
    values: tuple[SqlValue, ...], convert: Callable[[SqlValue], SqlValue] | None
) -> frozenset[SqlValue]:
    """The distinct values of an IN list, converted, NULL left out."""
    present = [value for value in values if value is not None]
    return frozenset(present if convert is None else map(convert, present))


OPERATORS: dict[str, Callable[[Any, Any], SqlValue]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": remainder,
    "||": concat,
    "&": bit_and,
    "|": bit_or,
    "<<": shift_left,
    ">>": shift_right,
}
"""Binary operators as functions."""
