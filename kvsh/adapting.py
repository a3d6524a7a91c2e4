"""Python values on their way into a statement, and declared types on their way out.

Adapters turn objects of the caller's classes into SQL values; converters turn stored values, given as
bytes, into objects, by the declared type of their column (`PARSE_DECLTYPES`) or a name in brackets
after the column's alias (`PARSE_COLNAMES`).  Both registries are shared by all connections, as in the
sqlite3 module.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable
from typing import Any

from kvsh.errors import ProgrammingError

PLAIN_TYPES = frozenset((int, float, str, bytes, type(None)))
"""Types that bind as they are."""

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
Binary = memoryview


def DateFromTicks(ticks: float) -> datetime.date:
    """The local date of a POSIX time in seconds (PEP 249)."""
    return Date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> datetime.time:
    """The local time of day of a POSIX time in seconds (PEP 249)."""
    return Time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    """The local date and time of a POSIX time in seconds (PEP 249)."""
    return Timestamp(*time.localtime(ticks)[:6])


class PrepareProtocol:
    """The protocol an object's `__conform__` is asked for."""


PARSE_DECLTYPES = 1
PARSE_COLNAMES = 2

adapters: dict[tuple[type, type], Callable[[Any], Any]] = {}
plain_adapters: set[type] = set()
"""Plain types that somebody registered an adapter for all the same."""
converters: dict[str, Callable[[bytes], Any]] = {}


def register_adapter(kind: type, adapter: Callable[[Any], Any], /) -> None:
    """Bind objects of exactly the type `kind` as what `adapter` makes of them."""
    if not isinstance(kind, type):
        raise TypeError(f"register_adapter() argument 1 must be a type, not {kind!r}")
    adapters[kind, PrepareProtocol] = adapter
    if kind in PLAIN_TYPES:
        plain_adapters.add(kind)


def register_converter(type_name: str, converter: Callable[[bytes], Any], /) -> None:
    """Give values of columns declared `type_name` (any case) as what `converter` makes of their bytes."""
    if not isinstance(type_name, str):
        raise TypeError(
            f"register_converter() argument 1 must be str, not {type(type_name).__name__}"
        )
    converters[type_name.upper()] = converter


_MISSING = object()


def adapt(value: Any, protocol: type = PrepareProtocol, default: Any = _MISSING, /) -> Any:
    """`value` as `protocol` wants it; ProgrammingError if nothing can adapt it and no default is given."""
    adapter = adapters.get((type(value), protocol))
    if adapter is not None:
        return adapter(value)
    for source, method in ((protocol, "__adapt__"), (value, "__conform__")):
        hook = getattr(source, method, None)
        if hook is not None:
            try:
                adapted = hook(value if method == "__adapt__" else protocol)
            except TypeError:  # the hook says that it can't, as the protocol of PEP 246 lets it
                continue
            if adapted is not None:
                return adapted
    if default is _MISSING:
        raise ProgrammingError("can't adapt")
    return default


def bindable(value: Any, position: int | str) -> Any:
    """`value` as an SQL value: adapted, and narrowed to one of the five storage classes.

    Raises ProgrammingError for a type that has none, OverflowError for an integer over 64 bits."""
    kind = type(value)
    if kind not in PLAIN_TYPES or (kind, PrepareProtocol) in adapters:
        value = adapt(value, PrepareProtocol, value)
    if value is None:
        return value
    if type(value) is float:
        return value if value == value else None  # a NaN is NULL
    if isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return int(value)
    if isinstance(value, str):
        text = str(value) if type(value) is str else str.__str__(value)
        text.encode()  # a lone surrogate has no UTF-8 form: UnicodeEncodeError, as binding it gives
        return text
    if isinstance(value, float):
        return float(value) if value == value else None
    try:
        view = memoryview(value)
        if not view.c_contiguous:
            raise BufferError("memoryview: underlying buffer is not C-contiguous")
        return bytes(view)
    except TypeError:
        where = f"parameter {position}" if isinstance(position, int) else f"parameter ':{position}'"
        raise ProgrammingError(
            f"Error binding {where}: type '{kind.__name__}' is not supported"
        ) from None


def bind_all(values: Iterable[Any]) -> tuple[Any, ...]:
    """A whole sequence of parameters, ready to bind."""
    return tuple(bindable(value, position) for position, value in enumerate(values, start=1))


def _adapt_date(value: datetime.date) -> str:
    return value.isoformat()


def _adapt_datetime(value: datetime.datetime) -> str:
    return value.isoformat(" ")


def _convert_date(value: bytes) -> datetime.date:
    return datetime.date(*map(int, value.split(b"-")))


def _convert_timestamp(value: bytes) -> datetime.datetime:
    """`YYYY-MM-DD HH:MM:SS[.ffffff]`; a time zone's offset is left away, as the sqlite3 module does."""
    date, _, clock = value.partition(b" ")
    clock, _, fraction = clock.partition(b".")
    hours, minutes, seconds = map(int, clock.split(b":"))
    microseconds = int(f"{fraction.decode():0<6.6}") if fraction else 0
    year, month, day = map(int, date.split(b"-"))
    return datetime.datetime(year, month, day, hours, minutes, seconds, microseconds)


register_adapter(datetime.date, _adapt_date)
register_adapter(datetime.datetime, _adapt_datetime)
register_converter("date", _convert_date)
register_converter("timestamp", _convert_timestamp)
