"""SQLite's functions on numbers: https://www.sqlite.org/lang_mathfunc.html."""

from __future__ import annotations

import math
import os
import random as random_numbers
from collections.abc import Callable
from typing import Any

from sql.errors import SqlError, TooBigError
from sql.expressions import BLOB, INTEGER, REAL
from sql.functions.formats import LENGTH_MAX, c_int, is_far_from_tie, real_digits
from sql.functions.registry import AnyFunction, Function, strict
from sql.values import INT_MAX, INT_MIN, to_integer, to_number, to_real


def abs_(value: Any) -> Any:
    if value.__class__ is int:
        if value == INT_MIN:
            raise SqlError("integer overflow")
        return abs(value)
    number = to_number(value)
    assert number is not None
    number = float(number)
    return -number if number < 0 else number


def round_(value: Any, digits: Any = 0) -> Any:
    """Half away from zero, at up to 30 digits; REAL always."""
    places = min(max(c_int(to_integer(digits) or 0), 0), 30)
    number = to_real(value) or 0.0
    if not -4503599627370496.0 <= number <= 4503599627370496.0:
        return number
    if places == 0:
        return float(int(number + (0.5 if number >= 0 else -0.5)))
    scaled = abs(number) * 10.0**places
    if is_far_from_tie(scaled):
        return round(number, places)
    rounded = float(real_digits(abs(number), "f", places))
    return rounded if number >= 0 else -rounded


def sign(value: Any) -> Any:
    if value.__class__ not in (int, float):
        from sql.values import text_to_number

        value = text_to_number(value) if value.__class__ is str else None
        if value is None:
            return None
    return (value > 0) - (value < 0)


def random() -> Any:
    return random_numbers.randint(INT_MIN, INT_MAX)


def randomblob(size: Any) -> Any:
    count = max(to_integer(size) or 0, 1)
    if count > LENGTH_MAX:
        raise TooBigError
    return os.urandom(count)


def _number(value: Any) -> int | float | None:
    """The argument of a math function: a number, or a text that is one as a whole."""
    if value.__class__ is int or value.__class__ is float:
        return value
    if value.__class__ is str:
        from sql.values import text_to_number

        return text_to_number(value)
    return None


def _math(function: Callable[..., float]) -> Callable[..., Any]:
    """A function of C's library: NULL where it is not defined."""

    def call(*arguments: Any) -> Any:
        numbers = [_number(argument) for argument in arguments]
        if None in numbers:
            return None
        try:
            result = function(*[float(number) for number in numbers if number is not None])
        except (ValueError, ZeroDivisionError):
            return None
        except OverflowError:
            return math.inf
        return None if result != result else result

    return call


def _rounding(function: Callable[[float], float]) -> Callable[[Any], Any]:
    """ceil, floor, trunc: integers stay integers."""

    def call(value: Any) -> Any:
        number = _number(value)
        if number is None or number.__class__ is int:
            return number
        if math.isinf(number):
            return number
        return math.copysign(function(number), number)

    return call


def log(*arguments: Any) -> Any:
    """log(x) of base 10, or log(base, x); the base is more than 1, and x the prefix that is a number."""
    first = _number(arguments[0])
    if first is None or first <= 0:
        return None
    if len(arguments) == 1:
        return math.log(first) / _LN10
    value = to_real(arguments[1]) or 0.0
    if first <= 1 or value <= 0:
        return None
    result = math.log(value) / math.log(first)
    return result if result == result else None


_LN10, _LN2 = math.log(10.0), math.log(2.0)


def _log_of(base_log: float) -> Callable[[Any], Any]:
    return _math(lambda value: math.log(value) / base_log)


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except (OverflowError, ValueError):
        if base < 0 and exponent != int(exponent):
            return math.nan
        odd = exponent == int(exponent) and int(exponent) % 2
        return math.copysign(math.inf, base) if odd else math.inf


def _atanh(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) == 1 else math.atanh(value)


def _sinh(value: float) -> float:
    try:
        return math.sinh(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def pi() -> Any:
    return math.pi


def _one(name: str, function: Callable[[float], float]) -> Function:
    return strict(name, _math(function), 1, 1, REAL)


FUNCTIONS: tuple[AnyFunction, ...] = (
    strict("abs", abs_, 1, 1, INTEGER | REAL),
    strict("round", round_, 1, 2, REAL),
    strict("sign", sign, 1, 1, INTEGER),
    Function("random", random, 0, 0, deterministic=False, kinds=INTEGER),
    Function("randomblob", randomblob, 1, 1, deterministic=False, kinds=BLOB),
    _one("acos", math.acos),
    _one("acosh", math.acosh),
    _one("asin", math.asin),
    _one("asinh", math.asinh),
    _one("atan", math.atan),
    _one("atanh", _atanh),
    strict("atan2", _math(math.atan2), 2, 2, REAL),
    strict("ceil", _rounding(math.ceil), 1, 1, INTEGER | REAL),
    strict("ceiling", _rounding(math.ceil), 1, 1, INTEGER | REAL),
    _one("cos", math.cos),
    _one("cosh", math.cosh),
    _one("degrees", math.degrees),
    _one("exp", math.exp),
    strict("floor", _rounding(math.floor), 1, 1, INTEGER | REAL),
    strict("ln", _log_of(1.0), 1, 1, REAL),
    strict("log", log, 1, 2, REAL),
    strict("log10", _log_of(_LN10), 1, 1, REAL),
    strict("log2", _log_of(_LN2), 1, 1, REAL),
    strict("mod", _math(math.fmod), 2, 2, REAL),
    Function("pi", pi, 0, 0, kinds=REAL),
    strict("pow", _math(_power), 2, 2, REAL),
    strict("power", _math(_power), 2, 2, REAL),
    _one("radians", math.radians),
    _one("sin", math.sin),
    _one("sinh", _sinh),
    _one("sqrt", math.sqrt),
    _one("tan", math.tan),
    _one("tanh", math.tanh),
    strict("trunc", _rounding(math.trunc), 1, 1, INTEGER | REAL),
)
