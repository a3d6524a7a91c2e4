"""What a connection can be asked and told of itself: limits, and the options `SQLITE_DBCONFIG_*`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvsh.codes import DBCONFIG, LIMITS
from kvsh.errors import NotSupportedError, ProgrammingError

if TYPE_CHECKING:
    from kvsh.connection import Connection

_LIMIT_MAX = 1_000_000_000


def limit(connection: Connection, category: int) -> int:
    """The limit `SQLITE_LIMIT_*`.  Raises ProgrammingError."""
    if not 0 <= category < len(LIMITS):
        raise ProgrammingError("'category' is out of bounds")
    return connection.limits.get(category, _LIMIT_MAX)


def set_limit(connection: Connection, category: int, new: int) -> int:
    """Set a limit, unless it is negative: the previous one.  Raises ProgrammingError."""
    previous = limit(connection, category)
    if new >= 0:
        connection.limits[category] = new
        if category == LIMITS.index("FUNCTION_ARG"):
            functions = connection.session.functions
            functions.arguments_max = new
            functions.version += 1  # plans that were made under another limit
    return previous


def option(connection: Connection, number: int) -> bool:
    """Whether `SQLITE_DBCONFIG_*` is on.  Raises ValueError."""
    if number not in DBCONFIG.values():
        raise ValueError(f"unknown config 'op': {number}")
    if number == DBCONFIG["ENABLE_FKEY"]:
        return connection.session.foreign_keys
    return number in _ALWAYS_ON


def set_option(connection: Connection, number: int, *, on: bool) -> None:
    """Turn an option on or off.  Raises ValueError, NotSupportedError."""
    if option(connection, number) is on:
        return
    if number != DBCONFIG["ENABLE_FKEY"]:
        names = {value: name for name, value in DBCONFIG.items()}
        raise NotSupportedError(f"kvsh can't change SQLITE_DBCONFIG_{names[number]}")
    # Unlike the pragma, inside of a transaction, too.
    connection.session.foreign_keys = on
    connection.session.forget_plans()


_ALWAYS_ON = frozenset(
    DBCONFIG[name]
    for name in ("ENABLE_TRIGGER", "ENABLE_VIEW", "DQS_DML", "DQS_DDL", "TRUSTED_SCHEMA")
)
