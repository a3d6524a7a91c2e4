"""SQLite's date and time functions: https://www.sqlite.org/lang_datefunc.html.

'now' is one moment throughout a statement: the first function that asks for it sets `ctx.now`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from sql.expressions import INTEGER, NULL, REAL, TEXT
from sql.functions.formats import format_text
from sql.functions.moments import (
    DAY_MS,
    EPOCH_MS,
    HALF_DAY_MS,
    Moment,
    moment_of,
    shifted_ms,
    text_of_ms,
)
from sql.functions.plain_moments import CLOCK_LENGTH, plain_moments
from sql.functions.registry import AnyFunction, Function
from sql.run.remembered import REMEMBERED_MAX, Known, Remembered
from sql.values import value_to_text


def _clock(ctx: Any) -> Callable[[], float]:
    def now() -> float:
        if ctx.now is None:
            ctx.now = time.time()
        return float(ctx.now)

    return now


def _moment(ctx: Any, arguments: tuple[Any, ...]) -> Moment | None:
    moment = moment_of(arguments, _clock(ctx))
    if moment is not None:
        moment.split()
    return moment


def _date(moment: Moment) -> str:
    sign = "-" if moment.year < 0 else ""
    return f"{sign}{abs(moment.year):04}-{moment.month:02}-{moment.day:02}"


def _time(moment: Moment) -> str:
    return f"{moment.hour:02}:{moment.minute:02}:{int(moment.second):02}"


_PLAIN = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:[ T](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])?"
).fullmatch
"""A moment as it is mostly written, of which each part stands in a place of its own: a quarter of the time."""
_PLACES = {
    "Y": slice(0, 4),
    "m": slice(5, 7),
    "d": slice(8, 10),
    "H": slice(11, 13),
    "M": slice(14, 16),
    "S": slice(17, 19),
}


def _plain(arguments: tuple[Any, ...]) -> str | None:
    """The moment of arguments that are no more than a plain one, or that moved by plain spans, with a time of day; None
    of others."""
    if len(arguments) != 1:
        ms = shifted_ms(arguments) if arguments else None
        return None if ms is None else text_of_ms(ms)
    if arguments[0].__class__ is not str:
        return None
    text: str = arguments[0]
    if _PLAIN(text) is None:
        return None
    return text if len(text) == CLOCK_LENGTH else f"{text} 00:00:00"


@lru_cache(maxsize=64)
def _parts(form: str) -> list[str | slice] | None:
    """The format as texts, and places in a plain moment; None if there is more to it."""
    parts: list[str | slice] = []
    for number, part in enumerate(form.split("%")):
        place = _PLACES.get(part[:1]) if number else None
        if "\0" in part or (number and place is None):
            return None
        parts += [part] if place is None else [place, part[1:]]
    return [part for part in parts if part]


def date(ctx: Any, *arguments: Any) -> Any:
    plain = _plain(arguments)
    if plain is not None:
        return plain[:10]
    moment = _moment(ctx, arguments)
    return None if moment is None else _date(moment)


def time_(ctx: Any, *arguments: Any) -> Any:
    plain = _plain(arguments)
    if plain is not None:
        return plain[11:]
    moment = _moment(ctx, arguments)
    return None if moment is None else _time(moment)


def datetime(ctx: Any, *arguments: Any) -> Any:
    plain = _plain(arguments)
    if plain is not None:
        return f"{plain[:10]} {plain[11:]}"
    moment = _moment(ctx, arguments)
    return None if moment is None else f"{_date(moment)} {_time(moment)}"


def julianday(ctx: Any, *arguments: Any) -> Any:
    ms = _julian_ms(ctx, arguments)
    return None if ms is None else ms / 86400000.0


def unixepoch(ctx: Any, *arguments: Any) -> Any:
    ms = _julian_ms(ctx, arguments)
    return None if ms is None else _unix_seconds(ms)


def _julian_ms(ctx: Any, arguments: tuple[Any, ...]) -> int | None:
    ms = shifted_ms(arguments) if arguments else None
    if ms is None:
        moment = moment_of(arguments, _clock(ctx))
        ms = None if moment is None else moment.julian_ms
    return ms


def _unix_seconds(julian_ms: int) -> int:
    return julian_ms // 1000 - EPOCH_MS // 1000


def strftime(ctx: Any, form: Any = None, *arguments: Any) -> Any:
    """The moment by the format's conversions; NULL if one of them is unknown."""
    if form is None:
        return None
    if form == "%s":
        seconds = unixepoch(ctx, *arguments)
        return None if seconds is None else str(seconds)
    plain = _plain(arguments)
    if plain is not None and form.__class__ is str:
        pieces = _parts(form)
        if pieces is not None:
            return "".join([plain[at] if at.__class__ is slice else at for at in pieces])  # type: ignore[misc]
    moment = _moment(ctx, arguments)
    if moment is None:
        return None
    text = (value_to_text(form) or "").partition("\0")[0]
    parts: list[str] = []
    at = 0
    while (found := text.find("%", at)) >= 0:
        parts.append(text[at:found])
        convert = _CONVERSIONS.get(text[found + 1 : found + 2])
        if convert is None:
            return None
        parts.append(convert(moment))
        at = found + 2
    return "".join([*parts, text[at:]])


def _day_of_year(moment: Moment) -> int:
    first = Moment(
        year=moment.year,
        month=1,
        day=1,
        hour=moment.hour,
        minute=moment.minute,
        second=moment.second,
        has_date=True,
        has_clock=True,
    )
    first.reckon()
    return (
        max(moment.julian_ms - first.julian_ms + HALF_DAY_MS, 0) // DAY_MS
    )  # a rounded year may begin late


def _week(moment: Moment) -> str:
    weekday = (moment.julian_ms + HALF_DAY_MS) // DAY_MS % 7
    return f"{(_day_of_year(moment) + 7 - weekday) // 7:02}"


_CONVERSIONS: dict[str, Callable[[Moment], str]] = {
    "d": lambda moment: f"{moment.day:02}",
    "f": lambda moment: format_text("%06.3f", [min(moment.second, 59.999)]),
    "H": lambda moment: f"{moment.hour:02}",
    "j": lambda moment: f"{_day_of_year(moment) + 1:03}",
    "J": lambda moment: format_text("%.16g", [moment.julian_ms / 86400000.0]),
    "m": lambda moment: f"{moment.month:02}",
    "M": lambda moment: f"{moment.minute:02}",
    "s": lambda moment: str(_unix_seconds(moment.julian_ms)),
    "S": lambda moment: f"{int(moment.second):02}",
    "w": lambda moment: str((moment.julian_ms + DAY_MS + HALF_DAY_MS) // DAY_MS % 7),
    "W": _week,
    "Y": lambda moment: f"{moment.year:04}",
    "%": lambda moment: "%",
}


# -- of many moments ------------------------------------------------------------------------------------------

_DAY_SECONDS = 86400
_GRAINS = {**dict.fromkeys("YmdjwW%", _DAY_SECONDS), "H": 3600, "M": 60}
"""By conversion: seconds in which its text does not change."""
_WHOLE_DAYS = re.compile(
    r"start of (?:day|month|year)|weekday [0-6]|[+-]?[0-9]{1,5} (?:day|month|year)s?"
).fullmatch
_EARLIEST, _LATEST = -210_866_000_000, 253_402_214_400
"""Seconds from 1970 on that a calendar has for certain."""


def _grain(call: Any, form: Any, modifiers: tuple[Any, ...]) -> int:
    """Seconds (a day, an hour or a minute) within which the function gives the same; 0 if it need not.

    Days that are added carry the time of day along, and do not look at it."""
    if not all(isinstance(each, str) and _WHOLE_DAYS(each) for each in modifiers):
        return 0
    if call is date:
        return _DAY_SECONDS
    if call is not strftime or form.__class__ is not str:
        return 0
    return min([_GRAINS.get(part[:1], 0) for part in re.findall("%(.?)", form, re.S)] or [0])


class _BySeconds(Remembered):
    """By seconds from 1970 on, what is the same for `grain` of them, and comes again after `period`, if that is not 0."""

    def __init__(self, call: Callable[[Any], Any], grain: int, period: int) -> None:
        super().__init__(call)
        self._grain = grain
        self._period = period
        self._known = Known(lambda number: call(number * grain))

    def __missing__(self, argument: Any) -> Any:
        if argument.__class__ is int and _EARLIEST <= argument <= _LATEST:
            seconds = argument % self._period if self._period else argument
            return self._known[seconds // self._grain]
        return super().__missing__(argument)

    def of_column(self, values: Sequence[Any]) -> tuple[list[Any], bool]:
        numbers = _without_nulls(values)
        if {*map(type, numbers)} != {int}:
            return super().of_column(values)
        if min(numbers) < _EARLIEST or max(numbers) > _LATEST:
            return super().of_column(values)
        known, grain, period = self._known, self._grain, self._period
        if period:
            found = [known[number % period // grain] for number in numbers]
        else:
            found = [known[number // grain] for number in numbers]
        return _beside_nulls(found, values), True


class _ByText(Remembered):
    """By plain moments, what is the same for all that have one part in common; `head` and `tail` make of that a plain
    moment again, and `size` is the length of one with a time of day, 0 where it needs none."""

    def __init__(
        self, call: Callable[[Any], Any], part: slice, head: str, tail: str, size: int
    ) -> None:
        super().__init__(call)
        self._part = part
        self._size = size
        self._known = Known(lambda text: call(f"{head}{text}{tail}"))

    def __missing__(self, argument: Any) -> Any:
        if argument.__class__ is str and _PLAIN(argument) and len(argument) >= self._size:
            value = self._known[argument[self._part]]
            if len(self) < REMEMBERED_MAX:
                self[argument] = value
            return value
        return super().__missing__(argument)

    def of_column(self, values: Sequence[Any]) -> tuple[list[Any], bool]:
        texts = _without_nulls(values)
        moments = plain_moments(texts)
        if moments is None or moments.length < self._size:
            return super().of_column(values)
        known, part = self._known, self._part
        return _beside_nulls([known[text[part]] for text in texts], values), True


class _ByDay(Remembered):
    """By plain moments, what `finish` makes of the milliseconds of each, and `finish_all` of those of many."""

    __slots__ = ("_days", "_finish", "_finish_all")

    def __init__(
        self,
        call: Callable[[Any], Any],
        finish: Callable[[int], Any],
        finish_all: Callable[[list[int]], list[Any]],
    ) -> None:
        super().__init__(call)
        self._finish = finish
        self._finish_all = finish_all
        self._days = Known(_plain_ms)

    def __missing__(self, argument: Any) -> Any:
        if argument.__class__ is not str:
            return super().__missing__(argument)
        try:
            ms = self._days[argument[:10]] + _CLOCKS[argument[10:16]] + _SECONDS[argument[16:]]
        except KeyError:  # there is more to it, or less
            return super().__missing__(argument)
        value = self._finish(ms)
        if len(self) < REMEMBERED_MAX:
            self[argument] = value
        return value

    def of_column(self, values: Sequence[Any]) -> tuple[list[Any], bool]:
        texts = _without_nulls(values)
        moments = plain_moments(texts)
        if moments is None:
            return super().of_column(values)
        days = self._days
        if moments.length == CLOCK_LENGTH:
            both = zip(texts, moments.day_seconds(), strict=True)
            found = [days[text[:10]] + 1000 * seconds for text, seconds in both]
        else:
            found = [days[text] for text in texts]
        return _beside_nulls(self._finish_all(found), values), True


def _clock_ms(part: str) -> int:
    """The milliseconds of what follows a plain moment's day, ` 12:30`, `T12:30` or nothing; KeyError of anything else."""
    found = _CLOCK(part)
    if found is None:
        raise KeyError(part)
    return (int(found[1] or 0) * 60 + int(found[2] or 0)) * 60_000


_CLOCK = re.compile(r"(?:[ T]([01][0-9]|2[0-3]):([0-5][0-9]))?").fullmatch
_CLOCKS = Known(_clock_ms)
_SECONDS = {"": 0} | {f":{second:02}": second * 1000 for second in range(60)}


def _plain_ms(day: str) -> int:
    """The milliseconds of a day; KeyError of what is none."""
    if _PLAIN(day) is None:
        raise KeyError(day)
    moment = moment_of((day,), time.time)
    assert moment is not None
    return moment.julian_ms


_FROM_MS: dict[Any, tuple[Callable[[int], Any], Callable[[list[int]], list[Any]]]] = {
    julianday: (
        lambda ms: ms / 86400000.0,
        lambda moments: [ms / 86400000.0 for ms in moments],
    ),
    unixepoch: (
        _unix_seconds,
        lambda moments: [ms // 1000 - EPOCH_MS // 1000 for ms in moments],
    ),
}


def _without_nulls(values: Sequence[Any]) -> Sequence[Any]:
    return [value for value in values if value is not None] if None in values else values


def _beside_nulls(found: list[Any], values: Sequence[Any]) -> list[Any]:
    """What was found of the values that are not NULL, and NULL for the others."""
    if len(found) == len(values):
        return found
    others = iter(found)
    return [None if value is None else next(others) for value in values]


def _is_of_clock(before: tuple[Any, ...]) -> bool:
    """Whether a format speaks of hours and minutes alone, so that the day does not count."""
    return bool(before) and {*re.findall("%(.)", before[0], re.S)} <= {*"HM"}


def _for_many(call: Any, ctx: Any, before: tuple[Any, ...], after: tuple[Any, ...]) -> Remembered:
    """What `call` gives by the argument between these.

    Rows of a log differ by the second, and few of them by the day that is asked for: what stands for a day, an hour or
    a minute is worked out once (a moment takes 3 us, a plain one 0.8, to find it by its day 0.4)."""

    def of_one(value: Any) -> Any:
        return call(ctx, *before, value, *after)

    finish = _FROM_MS.get(call)
    if finish is not None and not before and not after:
        return _ByDay(of_one, *finish)
    from_seconds = after[:1] == ("unixepoch",)
    grain = 0
    if len(before) == (call is strftime):
        grain = _grain(call, before[0] if before else None, after[from_seconds:])
    if not grain:
        return Remembered(of_one)
    if from_seconds:
        is_daily = len(after) == 1 and _is_of_clock(before)
        return _BySeconds(of_one, grain, _DAY_SECONDS if is_daily else 0)
    if grain == _DAY_SECONDS:
        return _ByText(of_one, slice(10), "", "", 0)
    end, tail = (13, ":00:00") if grain == 3600 else (16, ":00")
    if not after and _is_of_clock(before):
        return _ByText(of_one, slice(11, end), "2000-01-01 ", tail, CLOCK_LENGTH)
    return _ByText(of_one, slice(end), "", tail, CLOCK_LENGTH)


def _function(name: str, call: Any, high: int | None, kinds: int) -> Function:
    for_many = partial(_for_many, call)
    return Function(name, call, 0, high, kinds=kinds, needs_context=True, for_many=for_many)


FUNCTIONS: tuple[AnyFunction, ...] = (
    _function("date", date, None, NULL | TEXT),
    _function("time", time_, None, NULL | TEXT),
    _function("datetime", datetime, None, NULL | TEXT),
    _function("julianday", julianday, None, NULL | REAL),
    _function("unixepoch", unixepoch, None, NULL | INTEGER),
    _function("strftime", strftime, None, NULL | TEXT),
    _function("current_date", date, 0, TEXT),
    _function("current_time", time_, 0, TEXT),
    _function("current_timestamp", datetime, 0, TEXT),
)
