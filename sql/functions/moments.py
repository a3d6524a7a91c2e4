"""Moments as SQLite's date functions reckon them: text and numbers parsed, modifiers applied.

https://www.sqlite.org/lang_datefunc.html.  A moment is a Julian day in whole milliseconds, a civil date
with a time of day, or both; which of them hold is noted, and the one that is missing is worked out
when it is asked for.  So `-12-31` plus a month stays December's 31st until the day is reckoned, and
fractions of a second below a millisecond live as long as nothing moves the moment, as in SQLite.

Years -4713 to 9999 of the proleptic Gregorian calendar, no leap seconds.  `Unreadable` is raised for what
is no moment; the functions then give NULL.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from copy import copy
from datetime import datetime
from functools import lru_cache
from typing import Any

from msgspec import Struct

from sql.values import bytes_to_text, text_to_number, value_to_text

DAY_MS = 86_400_000
HALF_DAY_MS = 43_200_000
EPOCH_MS = 210_866_760_000_000
"""1970-01-01 00:00:00 as a Julian day in milliseconds."""
_EPOCH_ORDINAL = datetime(1970, 1, 1).toordinal()
JULIAN_MS_MAX = 464_269_060_799_999
"""9999-12-31 23:59:59.999."""

_YEAR_1_MS = EPOCH_MS + (1 - _EPOCH_ORDINAL) * DAY_MS
_SPAN = re.compile(r"([+-]?[0-9]{1,6}) (day|hour|minute|second)s?").fullmatch
_SPANS_MS = {"day": DAY_MS, "hour": 3_600_000, "minute": 60_000, "second": 1000}

_SPACES = " \t\n\v\f\r"
_DATE = re.compile(r"(-?)([0-9]{4})-([0-9]{2})-([0-9]{2})[ \t\n\v\f\rT]*")
_CLOCK = re.compile(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?[ \t\n\v\f\r]*")
_ZONE = re.compile(r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))[ \t\n\v\f\r]*")
_AMOUNT = re.compile(r"[+\-0-9][^: \t\n\v\f\r]*")


class Unreadable(Exception):
    """The text, number or modifier is none that the date functions know."""


class Moment(Struct):
    """`julian_ms` counts if `has_julian`, the date if `has_date`, the time of day if `has_clock`.

    `number` is the argument that was a number and may yet be seconds; `zone` minutes are still to be
    subtracted if not 0; `is_utc` once a zone was named or `utc` applied; `broken` past the calendar's ends."""

    julian_ms: int = 0
    year: int = 0
    month: int = 0
    day: int = 0
    hour: int = 0
    minute: int = 0
    second: float = 0.0
    zone: int = 0
    number: float | None = None
    has_julian: bool = False
    has_date: bool = False
    has_clock: bool = False
    is_utc: bool = False
    broken: bool = False

    # -- one form from the other -----------------------------------------------------------------

    def reckon(self) -> None:
        """Have `julian_ms`, from the date and the time of day."""
        if self.has_julian:
            return
        year, month, day = (self.year, self.month, self.day) if self.has_date else (2000, 1, 1)
        if not -4713 <= year <= 9999 or self.number is not None:
            self._break()
            return
        if month <= 2:
            year -= 1
            month += 12
        century = int(year / 100)
        leap = 2 - century + int(century / 4)
        days = 36525 * (year + 4716) // 100 + 306001 * (month + 1) // 10000 + day + leap
        self.julian_ms = days * DAY_MS - 1524 * DAY_MS - HALF_DAY_MS
        self.has_julian = True
        if self.has_clock:
            clock = self.hour * 3_600_000 + self.minute * 60_000 + int(self.second * 1000 + 0.5)
            self.julian_ms += clock - self.zone * 60_000
            if self.zone:
                self._forget()

    def split(self) -> None:
        """Have the date and the time of day."""
        self._split_date()
        self._split_clock()

    def _split_date(self) -> None:
        if self.has_date:
            return
        if not self.has_julian:
            self.year, self.month, self.day = 2000, 1, 1
        elif not self.in_calendar():
            self._break()
            return
        else:
            days = (self.julian_ms + HALF_DAY_MS) // DAY_MS
            century = int((days - 1867216.25) / 36524.25)
            shifted = days + 1 + century - int(century / 4) + 1524
            years = int((shifted - 122.1) / 365.25)
            rest = shifted - 36525 * (years & 32767) // 100
            months = int(rest / 30.6001)
            self.day = rest - int(30.6001 * months)
            self.month = months - 1 if months < 14 else months - 13
            self.year = years - 4716 if self.month > 2 else years - 4715
        self.has_date = True

    def _split_clock(self) -> None:
        if self.has_clock:
            return
        self.reckon()
        milliseconds = (self.julian_ms + HALF_DAY_MS) % DAY_MS
        second = milliseconds / 1000.0
        whole = int(second)
        fraction = second - whole
        self.hour, whole = divmod(whole, 3600)
        self.minute, whole = divmod(whole, 60)
        self.second = fraction + whole
        self.number = None
        self.has_clock = True

    def in_calendar(self) -> bool:
        return 0 <= self.julian_ms <= JULIAN_MS_MAX

    def _forget(self) -> None:
        """Only `julian_ms` holds from here on."""
        self.has_date = self.has_clock = False
        self.zone = 0

    def _break(self) -> None:
        self._become(Moment(broken=True))

    def _become(self, other: Moment) -> None:
        for name in Moment.__struct_fields__:
            setattr(self, name, getattr(other, name))

    # -- modifiers -------------------------------------------------------------------------------

    def modify(self, modifier: str, *, first: bool) -> None:
        """Apply one modifier; `first`: no other came before it.  Raises Unreadable."""
        name = modifier.lower()
        match name[:1]:
            case "a" if name == "auto" and first:
                self._guess()
            case "j" if name == "julianday" and first and self.has_julian and _is_raw(self):
                self.number = None
            case "u" if name == "unixepoch" and first and self.number is not None:
                self._take_seconds(self.number)
            case "l" if name == "localtime":
                self._to_local()
            case "u" if name == "utc":
                self._to_utc()
            case "w" if name.startswith("weekday "):
                self._to_weekday(text_to_number(name[8:]))
            case "s" if name.startswith("start of "):
                self._to_start(name[9:])
            case character if character and character in "+-0123456789":
                self._shift(modifier)
            case _:
                raise Unreadable(modifier)

    def _guess(self) -> None:
        number = self.number
        if number is None or self.has_julian:
            self.number = None
        elif -210866760000 <= number <= 253402300799:
            self._take_seconds(number)

    def _take_seconds(self, seconds: float) -> None:
        milliseconds = seconds * 1000.0 + EPOCH_MS
        if not 0 <= milliseconds < JULIAN_MS_MAX + 1:
            raise Unreadable(str(seconds))
        self._forget()
        self.julian_ms = int(milliseconds + 0.5)
        self.has_julian = True
        self.number = None

    def _to_local(self) -> None:
        self.reckon()
        moved = 0
        moment = self
        if not 210_866_760_000_000 <= self.julian_ms <= 213_014_145_600_000:
            moment = copy(self)
            moment.split()
            moved = 2000 + _remainder(moment.year, 4) - moment.year
            moment.year += moved
            moment.has_julian = False
            moment.reckon()
        local = time.localtime(int(moment.julian_ms / 1000) - EPOCH_MS // 1000)
        fraction = _remainder(self.julian_ms, 1000) * 0.001
        self.year, self.month, self.day = local.tm_year - moved, local.tm_mon, local.tm_mday
        self.hour, self.minute = local.tm_hour, local.tm_min
        self.second = local.tm_sec + fraction
        self.has_date = self.has_clock = True
        self.has_julian = self.broken = False
        self.number = None
        self.zone = 0

    def _to_utc(self) -> None:
        """The moment whose local time this is, found by trying."""
        if self.is_utc:
            return
        self.reckon()
        wanted = guess = self.julian_ms
        for _ in range(4):
            local = Moment(julian_ms=guess, has_julian=True)
            local._to_local()
            local.reckon()
            error = (local.julian_ms - wanted + (1 << 31)) % (1 << 32) - (1 << 31)  # a C int
            if not error:
                break
            tried, guess = guess, guess - error
        else:
            guess = tried
        self._become(Moment(julian_ms=guess, has_julian=True, is_utc=True))

    def _to_weekday(self, wanted: int | float | None) -> None:
        if wanted is None or not 0 <= wanted < 7 or wanted != int(wanted):
            raise Unreadable(f"weekday {wanted}")
        self.split()
        self.zone = 0
        self.has_julian = False
        self.reckon()
        today = (self.julian_ms + DAY_MS + HALF_DAY_MS) // DAY_MS % 7
        self.julian_ms += (int(wanted) - today) % 7 * DAY_MS
        self._forget()

    def _to_start(self, unit: str) -> None:
        if not (self.has_julian or self.has_date or self.has_clock):
            raise Unreadable(unit)
        self._split_date()
        self.hour = self.minute = self.zone = 0
        self.second = 0.0
        self.number = None
        self.has_clock = True
        self.has_julian = False
        if unit == "month":
            self.day = 1
        elif unit == "year":
            self.month = self.day = 1
        elif unit != "day":
            raise Unreadable(unit)

    def _shift(self, modifier: str) -> None:
        match = _AMOUNT.match(modifier)
        amount = None if match is None else text_to_number(match[0])
        if match is None or amount is None:
            raise Unreadable(modifier)
        rest = modifier[match.end() :]
        if rest.startswith(":"):
            self._shift_clock(modifier)
            return
        unit = rest.lstrip(_SPACES).lower()
        if not 3 <= len(unit.encode()) <= 10:
            raise Unreadable(modifier)
        self.reckon()
        self._shift_units(float(amount), unit.removesuffix("s"))

    def _shift_clock(self, modifier: str) -> None:
        """`+HH:MM[:SS[.FFF]]`."""
        span = Moment()
        span.read_clock(modifier if modifier[0].isdigit() else modifier[1:])
        span.reckon()
        milliseconds = (span.julian_ms - HALF_DAY_MS) % DAY_MS
        self.reckon()
        self._forget()
        self.julian_ms += -milliseconds if modifier[0] == "-" else milliseconds

    def _shift_units(self, amount: float, unit: str) -> None:
        limit, seconds = _UNITS.get(unit, (0.0, 0.0))
        if not -limit < amount < limit:
            raise Unreadable(unit)
        rounder = -0.5 if amount < 0 else 0.5
        if unit in ("month", "year"):
            whole = int(amount)
            self.split()
            if unit == "year":
                self.year += whole
            else:
                years, month = divmod(self.month + whole - 1, 12)
                self.year += years
                self.month = month + 1
            self.has_julian = False
            amount -= whole
        self.reckon()
        self.julian_ms += int(amount * 1000.0 * seconds + rounder)
        self._forget()

    # -- reading ---------------------------------------------------------------------------------

    def read(self, text: str) -> None:
        """`[YYYY-MM-DD][ T]HH:MM[:SS[.SSS]][zone]`, or a number.  Raises Unreadable."""
        match = _DATE.match(text)
        if match is not None and 1 <= int(match[3]) <= 12 and 1 <= int(match[4]) <= 31:
            if match.end() < len(text):
                self.read_clock(text[match.end() :])
            year = int(match[2])
            self.year, self.month, self.day = (
                -year if match[1] else year,
                int(match[3]),
                int(match[4]),
            )
            self.has_date = True
            if self.zone:
                self.reckon()
            return
        number = text_to_number(text)
        if number is None:
            self.read_clock(text)
        else:
            self.take_number(float(number))

    def read_clock(self, text: str) -> None:
        """`HH:MM[:SS[.SSS]]` with an optional zone.  Raises Unreadable."""
        match = _CLOCK.match(text)
        if match is None or int(match[1]) > 24 or int(match[2]) > 59 or int(match[3] or 0) > 59:
            raise Unreadable(text)
        self.hour, self.minute, self.second = int(match[1]), int(match[2]), float(match[3] or 0)
        if match[4]:
            self.second += _fraction(match[4])
        self.has_clock = True
        if match.end() == len(text):
            return
        zone = _ZONE.fullmatch(text, match.end())
        if zone is None or (zone[1] and (int(zone[2]) > 14 or int(zone[3]) > 59)):
            raise Unreadable(text)
        self.is_utc = True
        if zone[1]:
            minutes = int(zone[2]) * 60 + int(zone[3])
            self.zone = -minutes if zone[1] == "-" else minutes

    def take_number(self, number: float) -> None:
        """A Julian day, unless a modifier says that it is seconds."""
        self.number = number
        if 0.0 <= number < 5373484.5:
            self.julian_ms = int(number * 86400000.0 + 0.5)
            self.has_julian = True


_UNITS = {
    "second": (464269992787968.0, 1.0),
    "minute": (7737900007424.0, 60.0),
    "hour": (128969998336.0, 3600.0),
    "day": (5373485.0, 86400.0),
    "month": (176546.0, 2592000.0),
    "year": (14713.0, 31536000.0),
}
"""By unit: amounts stay below the limit; seconds of one (of a fraction of months and years)."""


def _is_raw(moment: Moment) -> bool:
    return moment.number is not None


def _remainder(value: int, divisor: int) -> int:
    """C's `%`: of the dividend's sign."""
    return value % divisor if value >= 0 else -(-value % divisor)


def _fraction(digits: str) -> float:
    value, scale = 0.0, 1.0
    for digit in digits:
        value = value * 10.0 + int(digit)
        scale *= 10.0
    return value / scale


def current(seconds: float) -> Moment:
    """The moment of a POSIX time in seconds, to the millisecond."""
    return Moment(julian_ms=EPOCH_MS + int(seconds * 1000), has_julian=True)


def plain_ms(value: Any) -> int | None:
    """The Julian day in milliseconds of `YYYY-MM-DD` or `YYYY-MM-DD HH:MM:SS`, with a `T` perhaps; None of what Python
    does not take for such a moment: a fifth of the time that it takes to read one."""
    if value.__class__ is not str or len(value) not in (10, 19):
        return None
    if value[4] != "-" or value[7] != "-":
        return None
    if len(value) == 19 and not (value[10] in " T" and value[13] == value[16] == ":"):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None  # SQLite has a 30th of February, and a year 0
    seconds = found.hour * 3600 + found.minute * 60 + found.second
    return EPOCH_MS + (found.toordinal() - _EPOCH_ORDINAL) * DAY_MS + seconds * 1000


@lru_cache(maxsize=256)
def _span_ms(modifier: str) -> int | None:
    """The milliseconds of `+7 days`, `-1 hour` and the like; None of other modifiers."""
    match = _SPAN(modifier)
    return None if match is None else int(match[1]) * _SPANS_MS[match[2]]


def shifted_ms(arguments: Sequence[Any]) -> int | None:
    """The Julian day in milliseconds of a plain moment moved by whole days, hours, minutes or seconds, always between the
    years 1 and 9999; None of anything else."""
    ms = plain_ms(arguments[0])
    for modifier in arguments[1:]:
        span = _span_ms(modifier) if modifier.__class__ is str else None
        if ms is None or span is None:
            return None
        ms += span
        if not _YEAR_1_MS <= ms <= JULIAN_MS_MAX:
            return None
    return ms


def text_of_ms(julian_ms: int) -> str:
    """`YYYY-MM-DD HH:MM:SS` of a moment from the year 1 on."""
    days, ms = divmod(julian_ms - EPOCH_MS, DAY_MS)
    minutes, second = divmod(ms // 1000, 60)
    hour, minute = divmod(minutes, 60)
    day = datetime.fromordinal(_EPOCH_ORDINAL + days)
    return f"{day.year:04}-{day.month:02}-{day.day:02} {hour:02}:{minute:02}:{second:02}"


def moment_of(arguments: tuple[Any, ...], now: Any) -> Moment | None:
    """The moment that a date function's arguments tell of, reckoned; None where they don't.

    `now()` gives the statement's POSIX time in seconds; it is asked only where 'now' is meant."""
    if not arguments:
        return current(now())
    value, *modifiers = arguments
    moment = Moment()
    try:
        if value.__class__ is int or value.__class__ is float:
            moment.take_number(float(value))
        else:
            text = _cut(value)
            if text.lower() == "now":
                moment = current(now())
            else:
                moment.read(text)
        for place, modifier in enumerate(modifiers):
            moment.modify(_cut(modifier), first=place == 0)
    except Unreadable:
        return None
    moment.reckon()
    return None if moment.broken or not moment.in_calendar() else moment


def _cut(value: Any) -> str:
    """A value as C text, which ends at the first NUL character."""
    if value is None:
        raise Unreadable("NULL")
    text = bytes_to_text(value) if value.__class__ is bytes else value_to_text(value) or ""
    return text.partition("\0")[0]
