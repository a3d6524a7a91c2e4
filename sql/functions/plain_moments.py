"""Moments of a whole column that are written alike: `2024-05-01` or `2024-05-01 12:30:00`, with a `T` perhaps.

Such texts lie one behind the other as bytes, and what is asked of one of them is asked of all by one call: that each
has its digits where they belong, and that no month is beyond 12.  30 ns a moment, where a regular expression takes 250.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

DATE_LENGTH = len("2000-01-01")
CLOCK_LENGTH = len("2000-01-01 00:00:00")

_SHAPES = {DATE_LENGTH: b"0000-00-00\n", CLOCK_LENGTH: b"0000-00-00 00:00:00\n"}
_DIGITS_ALIKE = bytes.maketrans(b"123456789T", b"000000000 ")
_DIGITS = bytes.maketrans(b"0123456789", bytes(range(10)))


class PlainMoments(Struct):
    """How long each text is, and of those with a time of day hours, minutes and seconds, a byte for each."""

    length: int
    hours: bytes = b""
    minutes: bytes = b""
    seconds: bytes = b""

    def day_seconds(self) -> list[int]:
        """Of each its seconds since midnight; of texts without a time of day an empty list."""
        parts = zip(self.hours, self.minutes, self.seconds, strict=True)
        return [hour * 3600 + minute * 60 + second for hour, minute, second in parts]


def plain_moments(texts: Sequence[object]) -> PlainMoments | None:
    """What there is to know of values that are all plain moments of one length; None of any others.

    A day is one up to 31 in any month, as SQLite takes it."""
    if not texts or texts[0].__class__ is not str:
        return None
    shape = _SHAPES.get(len(str(texts[0])))
    if shape is None:
        return None
    try:
        found = "\n".join([*texts, ""]).encode()  # type: ignore[list-item]
    except (TypeError, UnicodeEncodeError):
        return None  # not all of them are texts, or some are no UTF-8
    count = len(texts)
    if found.translate(_DIGITS_ALIKE) != shape * count:
        return None
    step = len(shape)
    if _numbers(found, 5, step, 1, 12) is None or _numbers(found, 8, step, 1, 31) is None:
        return None
    if step - 1 == DATE_LENGTH:
        return PlainMoments(DATE_LENGTH)
    clock = [_numbers(found, at, step, 0, most) for at, most in ((11, 23), (14, 59), (17, 59))]
    hours, minutes, seconds = clock
    if hours is None or minutes is None or seconds is None:
        return None
    return PlainMoments(CLOCK_LENGTH, hours, minutes, seconds)


def _numbers(found: bytes, at: int, step: int, least: int, most: int) -> bytes | None:
    """The numbers of two digits at a place of each text, a byte for each; None if one is out of bounds.

    All tens are one large integer, as are all units: no byte of ten times the one and the other passes 99."""
    tens, units = (
        int.from_bytes(found[place::step].translate(_DIGITS), "big") for place in (at, at + 1)
    )
    numbers = (tens * 10 + units).to_bytes(len(found) // step, "big")
    if numbers.translate(None, bytes(range(least, most + 1))):
        return None
    return numbers
