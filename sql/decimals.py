"""Decimal digits of REALs as SQLite's printf works them out.

SQLite 3.40 scales the number into 1..10 and takes digit after digit, in the 80-bit reals of the x86's
floating point unit, after adding half of the last place (and for %f 3e-16 of the number).  At ties and beyond
the sixteenth digit that shows: round(2.675, 2) is 2.68.  Here the same steps are done on integers: an
`Extended` (mantissa, exponent) is mantissa * 2**exponent with a mantissa of at most 64 bits.

Nearly all numbers are far from a tie; Python's correctly rounded digits are then the same, and 30 times
faster to get.
"""

from __future__ import annotations

import math

Extended = tuple[int, int]

DIGITS_MAX = 16
DIGITS_MAX_ALTERNATE = 26
"""Significant digits; zeros follow."""

_ROUNDERS = (0.5, 5.0e-02, 5.0e-03, 5.0e-04, 5.0e-05, 5.0e-06, 5.0e-07, 5.0e-08, 5.0e-09, 5.0e-10)
_NEAR_TIE = 2000
"""Units of the eighteenth digit within which SQLite may round the other way than Python."""


def fixed_digits(number: float, places: int, count_max: int) -> tuple[str, int]:
    """The digits of `number` >= 0 to so many places, and the first one's power of ten.

    The power of a number that rounds to nothing is below -places.  At most `count_max` digits."""
    scaled = number * 10.0**places if places <= 15 else math.inf
    if scaled < 1e14 and abs(scaled % 1.0 - 0.5) > scaled * 2e-15 + 1e-9:
        whole, _, fraction = f"{number:.{places}f}".partition(".")
        if whole != "0":
            return whole + fraction, len(whole) - 1
        digits = fraction.lstrip("0")
        return digits, len(digits) - places - 1
    exponent = max(math.frexp(number)[1] - 1, -1023) if number else -1023
    rounder = _rounder(places)
    value = _extended(number)
    if places + int(exponent / 3) < 15:
        rounder = _double(_add(_extended(rounder), _multiply(value, _extended(3e-16))))
    value, power = _scaled(_add(value, _extended(rounder)))
    return _digits(value, min(power + 1 + places, count_max)), power


def general_digits(number: float, places: int, count_max: int) -> tuple[str, int]:
    """The digits of `number` >= 0 to so many places behind the first digit, and the first one's power."""
    if places <= 14:
        mantissa, _, power = f"{number:.17e}".partition("e")
        figures = mantissa[0] + mantissa[2:]
        tail = figures[places + 1 :]
        if abs(int(tail) - 5 * 10 ** (len(tail) - 1)) > _NEAR_TIE:
            mantissa, _, power = f"{number:.{places}e}".partition("e")
            return mantissa.replace(".", ""), int(power)
    return exact_digits(number, places, count_max)


def exact_digits(number: float, places: int, count_max: int) -> tuple[str, int]:
    """`general_digits` by SQLite's own steps, however far from a tie the number is."""
    value, exponent = _scaled(_extended(number))
    value = _add(value, _extended(_rounder(places)))
    if not _less(value, (10, 0)):
        value = _multiply(value, _extended(0.1))
        exponent += 1
    return _digits(value, min(1 + places, count_max)), exponent


def _rounder(places: int) -> float:
    """Half of the last place, as a double that SQLite gets by multiplying."""
    places &= 0xFFF
    rounder = _ROUNDERS[places % 10]
    for _ in range(places // 10):
        rounder *= 1.0e-10
    return rounder


def _digits(value: Extended, count: int) -> str:
    digits = []
    mantissa, exponent = value
    for _ in range(count):
        digit = mantissa >> -exponent if exponent < 0 else mantissa << exponent
        digits.append(chr(48 + digit))
        rest = mantissa - (digit << -exponent) if exponent < 0 else 0
        mantissa, exponent = _fit(rest * 10, exponent)
    return "".join(digits)


def _scaled(value: Extended) -> tuple[Extended, int]:
    """The number divided by a power of ten, 1 <= it < 10 (0 stays 0), and the power."""
    power = 0
    if not value[0]:
        return value, power
    scale: Extended = (1, 0)
    for step, factor in ((100, 1e100), (10, 1e10), (1, 10.0)):
        while power <= 350:
            larger = _multiply(_extended(factor), scale)
            if _less(value, larger):
                break
            scale = larger
            power += step
    value = _divide(value, scale)
    while _less(value, _extended(1e-8)):
        value = _multiply(value, _extended(1e8))
        power -= 8
    while _less(value, (1, 0)):
        value = _multiply(value, (10, 0))
        power -= 1
    return value, power


# -- 80-bit arithmetic ---------------------------------------------------------------------------


def _extended(number: float) -> Extended:
    mantissa, exponent = math.frexp(number)
    return int(mantissa * (1 << 53)), exponent - 53


def _double(value: Extended) -> float:
    mantissa, exponent = value
    return float(mantissa << exponent) if exponent >= 0 else mantissa / (1 << -exponent)


def _fit(mantissa: int, exponent: int) -> Extended:
    """Rounded to 64 bits, ties to even."""
    surplus = mantissa.bit_length() - 64
    if surplus <= 0:
        return mantissa, exponent
    half = 1 << (surplus - 1)
    rest = mantissa & ((1 << surplus) - 1)
    mantissa >>= surplus
    if rest > half or (rest == half and mantissa & 1):
        mantissa += 1
    return mantissa, exponent + surplus


def _multiply(left: Extended, right: Extended) -> Extended:
    return _fit(left[0] * right[0], left[1] + right[1])


def _divide(left: Extended, right: Extended) -> Extended:
    quotient, rest = divmod(left[0] << 140, right[0])
    return _fit(quotient * 2 + (rest > 0), left[1] - right[1] - 141)


def _add(left: Extended, right: Extended) -> Extended:
    low = min(left[1], right[1])
    return _fit((left[0] << (left[1] - low)) + (right[0] << (right[1] - low)), low)


def _less(left: Extended, right: Extended) -> bool:
    low = min(left[1], right[1])
    return left[0] << (left[1] - low) < right[0] << (right[1] - low)
