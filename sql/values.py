"""SQL values: affinities, casts, truth, text of numbers, and the order of all kinds.

A value is None, int (64 bits), float (never NaN), str or bytes.  The rules are SQLite's:
https://www.sqlite.org/datatype3.html and https://www.sqlite.org/lang_expr.html#castexpr.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from math import copysign
from typing import Any

from btree import Kind, order_key
from sql.decimals import exact_digits
from sql.expressions import Affinity, SqlValue

INT_MIN = -(1 << 63)
INT_MAX = (1 << 63) - 1
OVERFLOWED = b""
"""In the place of a sum() beyond 64 bits of a group that perhaps nobody asks for; no sum() is a BLOB."""
DIGITS_MAX = 40  # more digits than any integer of 64 bits has; Python refuses to read thousands
EXACT_CAST_MAX = 1 << 51  # CAST AS NUMERIC makes whole numbers below this INTEGER

_SPACES = " \t\n\v\f\r"
_PREFIX = re.compile(r"[ \t\n\v\f\r]*([+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?)")
_INTEGER_PREFIX = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")

sort_key = order_key
"""A key under which values of all kinds compare in SQL's order: NULL, numbers, text, blobs."""


@lru_cache(maxsize=512)
def affinity_of_type(declared: str | None) -> Affinity:
    """The affinity that a column's declared type gives it."""
    if not declared:
        return Affinity.BLOB
    text = declared.upper()
    if "INT" in text:
        return Affinity.INTEGER
    if "CHAR" in text or "CLOB" in text or "TEXT" in text:
        return Affinity.TEXT
    if "BLOB" in text:
        return Affinity.BLOB
    if "REAL" in text or "FLOA" in text or "DOUB" in text:
        return Affinity.REAL
    return Affinity.NUMERIC


def kind_of(value: Any) -> int:
    """The value's `btree.Kind` bit."""
    return _KINDS[value.__class__]


_KINDS: dict[type, int] = {
    type(None): int(Kind.NULL),
    int: int(Kind.INTEGER),
    float: int(Kind.REAL),
    str: int(Kind.TEXT),
    bytes: int(Kind.BLOB),
}


def real_to_text(value: float) -> str:
    """15 significant digits, always with a point or an exponent: SQLite's `%!.15g`.  Zero has no sign."""
    text = repr(value)
    if len(text) <= 16 and "e" not in text and "n" not in text and value:
        return text  # the shortest decimal that is the value has no more digits than that
    text = f"{value:.15g}" if value else "0"
    if float(text) != value and _is_between(value):
        # It decides by the errors of its arithmetic: Python takes the even digit, and SQLite usually, though not
        # always, the larger one.
        digits, exponent = exact_digits(abs(value), 14, 15)
        rounded = float(f"{digits[0]}.{digits[1:]}e{exponent}")
        text = f"{copysign(rounded, value):.15g}"
    if "." in text:
        return text
    if "e" in text:
        return text.replace("e", ".0e", 1)
    if text[-1] == "f":  # inf
        return "-Inf" if text[0] == "-" else "Inf"
    return text + ".0"


def _is_between(value: float) -> bool:
    """Whether two decimals of 15 digits are so nearly equally near that SQLite's errors decide.

    They are below one part in 10^17, but for its inexact 1e100."""
    digits, _, exponent = f"{abs(value):.15e}".partition("e")
    if digits[-1] != "5":
        return False
    middle, power = int(digits[0] + digits[2:]), int(exponent) - 15
    number, divisor = abs(value).as_integer_ratio()
    if power < 0:
        number *= 10**-power
    else:
        middle *= 10**power
    near: int = 10 ** (17 if power < 80 else 15)
    return abs(number - middle * divisor) * near < number


def value_to_text(value: Any) -> str | None:
    """The value as TEXT (CAST AS TEXT); None for NULL."""
    kind = value.__class__
    if kind is str or value is None:
        return value
    if kind is int:
        return str(value)
    if kind is float:
        return real_to_text(value)
    return bytes_to_text(value)


def bytes_to_text(value: bytes) -> str:
    """A blob read as text; bytes that are no UTF-8 become replacement characters."""
    return value.decode("utf-8", "replace")


def integral(value: float) -> int | float:
    """An int where the REAL is a whole number that 64 bits hold without loss, else itself."""
    if -9.3e18 < value < 9.3e18:
        whole = int(value)
        if whole == value and INT_MIN < whole < INT_MAX:
            return whole
    return value


def text_to_number(text: str) -> int | float | None:
    """The number that the whole text spells (blanks around it allowed), else None."""
    match = _PREFIX.match(text)
    if match is None or text[match.end() :].strip(_SPACES):
        return None
    return _number(match)


def _number(match: re.Match[str]) -> int | float:
    digits = match[1]
    if match[2] is None and match[3] is None and match[4] is None:
        whole = _clamped(digits)
        return whole if INT_MIN <= whole <= INT_MAX else float(digits)
    return float(digits)


def _clamped(digits: str) -> int:
    """The integer that the digits spell; any that 64 bits do not hold where they are too many."""
    if len(digits) <= DIGITS_MAX:
        return int(digits)
    negative, digits = digits[0] == "-", digits.lstrip("+-").lstrip("0")
    whole = int(digits or "0") if len(digits) <= DIGITS_MAX else INT_MAX + 2
    return -whole if negative else whole


def number_prefix(text: str) -> int | float:
    """The longest prefix that is a number; 0 if there is none."""
    match = _PREFIX.match(text)
    return 0 if match is None else _number(match)


def to_number(value: Any) -> int | float | None:
    """The value as an operand of arithmetic; None for NULL."""
    kind = value.__class__
    if kind is int or kind is float or value is None:
        return value
    if kind is bytes:
        value = bytes_to_text(value)
    return number_prefix(value)


def to_integer(value: Any) -> int | None:
    """CAST AS INTEGER; None for NULL."""
    kind = value.__class__
    if kind is int or value is None:
        return value
    if kind is float:
        return _truncated(value)
    if kind is bytes:
        value = bytes_to_text(value)
    match = _INTEGER_PREFIX.match(value)
    if match is None:
        return 0
    return min(max(_clamped(match[1]), INT_MIN), INT_MAX)


def _truncated(value: float) -> int:
    if value >= 9223372036854775807.0:
        return INT_MAX
    if value <= -9223372036854775808.0:
        return INT_MIN
    return int(value)


def remainder(left: Any, right: Any) -> SqlValue:
    """`left % right`: of the operands as integers, with the sign of the left; REAL if one is REAL."""
    a, b = to_number(left), to_number(right)
    if a is None or b is None:
        return None
    m, n = to_integer(left), to_integer(right)
    assert m is not None
    if not n:
        return None
    rest = abs(m) % abs(n)
    if m < 0:
        rest = -rest
    return float(rest) if a.__class__ is float or b.__class__ is float else rest


def to_real(value: Any) -> float | None:
    """CAST AS REAL; None for NULL."""
    number = to_number(value)
    return None if number is None else float(number)


def truth(value: Any) -> bool | None:
    """Whether the value is true; None for NULL."""
    if value is None:
        return None
    kind = value.__class__
    if kind is int or kind is float:
        return value != 0
    return to_number(value) != 0


def apply_affinity(value: Any, affinity: Affinity) -> SqlValue:
    """The value as a column of that affinity stores it, or a comparison sees it."""
    kind = value.__class__
    if affinity == Affinity.TEXT:
        if kind is int or kind is float:
            return value_to_text(value)
        return value
    if affinity == Affinity.BLOB:
        return value
    if kind is str:
        number = text_to_number(value)
        if number is None:
            return value
        value, kind = number, number.__class__
    if affinity == Affinity.REAL:
        return float(value) if kind is int else value
    if kind is float:
        return integral(value)
    return value


_DIGITS = str.maketrans("023456789", "111111111")


def apply_affinity_to_all(
    column: Sequence[Any], affinity: Affinity, classes: AbstractSet[type]
) -> Sequence[SqlValue]:
    """`apply_affinity` of every value, which have these `classes`; the column itself if none of them changes.

    Whether a text is a number does not depend on which digits it has: texts are looked at by what is left
    when all digits are alike, which of dates is the same for all."""
    if affinity in (Affinity.NUMERIC, Affinity.INTEGER, Affinity.REAL):
        wanted = affinity == Affinity.REAL
        alike: Any = ()
        if str in classes:
            texts = [value for value in column if value.__class__ is str]
            alike = set("\n".join(texts).translate(_DIGITS).split("\n"))
        if not any(text_to_number(text) is not None for text in alike):
            if (int if wanted else float) not in classes:
                return column
            if wanted:
                return [float(value) if value.__class__ is int else value for value in column]
            return [integral(value) if value.__class__ is float else value for value in column]
    return [apply_affinity(value, affinity) for value in column]


def compared_as(value: Any, affinity: Affinity) -> SqlValue:
    """`apply_affinity` before a comparison: numbers stay what they are, they compare exactly."""
    if affinity == Affinity.TEXT:
        return apply_affinity(value, affinity)
    if value.__class__ is str:
        number = text_to_number(value)
        return value if number is None else number
    return value


def cast(value: Any, affinity: Affinity) -> SqlValue:
    """CAST (value AS a type of that affinity)."""
    if value is None:
        return None
    if affinity == Affinity.INTEGER:
        return to_integer(value)
    if affinity == Affinity.REAL:
        return to_real(value)
    if affinity == Affinity.TEXT:
        return value_to_text(value)
    kind = value.__class__
    if affinity == Affinity.NUMERIC:
        if kind is int or kind is float:
            return value
        number = to_number(value)
        if number.__class__ is float and -EXACT_CAST_MAX <= number < EXACT_CAST_MAX:
            return integral(number)
        return number
    if kind is bytes:
        return value
    text = value_to_text(value)
    return None if text is None else text.encode("utf-8", "surrogatepass")


def compare(left: Any, right: Any) -> int:
    """-1, 0 or 1 by SQL's order of all kinds; NULL is less than everything here."""
    if left == right and left.__class__ is right.__class__:
        return 0
    a, b = sort_key(left), sort_key(right)
    return -1 if a < b else 1 if b < a else 0


def real(value: float) -> float | None:
    """The result of REAL arithmetic: NaN is NULL."""
    return value if value == value else None
