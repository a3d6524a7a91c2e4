"""What the arguments of `connect` come to: an isolation level, a path, a store."""

from __future__ import annotations

import os
import urllib.parse
from typing import TYPE_CHECKING, Literal

from btree import open_memory, open_store
from kvsh import LEGACY_TRANSACTION_CONTROL, errors
from sql import CannotOpenError

if TYPE_CHECKING:
    from btree import Store
    from sql import Session

_ISOLATION_LEVELS = frozenset(("", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"))


def checked_autocommit(mode: bool | int) -> bool | int:
    """A value of `Connection.autocommit`.  Raises ValueError."""
    if isinstance(mode, bool) or (isinstance(mode, int) and mode == LEGACY_TRANSACTION_CONTROL):
        return mode
    raise ValueError("autocommit must be True, False, or sqlite3.LEGACY_TRANSACTION_CONTROL")


def checked_level(level: str | None) -> str | None:
    """An isolation level as it is kept.  Raises TypeError, ValueError."""
    if level is None:
        return None
    if not isinstance(level, str):
        raise TypeError("isolation_level must be str or None")
    if str.upper(level) not in _ISOLATION_LEVELS:
        raise ValueError(
            "isolation_level string must be '', 'DEFERRED', 'IMMEDIATE', or 'EXCLUSIVE'"
        )
    return str.upper(level)


def parsed_path(
    database: str | bytes | os.PathLike[str] | os.PathLike[bytes], *, uri: bool, readonly: bool
) -> tuple[str | None, bool]:
    """(path or None for memory, readonly).  Raises OperationalError."""
    path = os.fsdecode(database)
    if uri and path.startswith("file:"):
        location, _, query = path[5:].partition("?")
        location = location.partition("#")[0]
        options = dict(urllib.parse.parse_qsl(query))
        if location.startswith("//"):
            location = "/" + location[2:].partition("/")[2]
        path = urllib.parse.unquote(location, errors="surrogateescape")
        mode = options.get("mode", "rwc")
        if mode not in ("ro", "rw", "rwc", "memory"):
            raise errors.OperationalError(f"no such access mode: {mode}")
        if mode == "memory":
            return None, readonly
        if mode == "rw" and not os.path.exists(path):
            raise errors.OperationalError("unable to open database file")
        readonly = readonly or mode == "ro" or options.get("immutable") == "1"
    if path in (":memory:", ""):
        return None, readonly
    return path, readonly


def opened_by_uri(session: Session, name: str) -> Store:
    """What ATTACH opens where names may be URIs."""
    from sql import open_attached

    try:
        path, readonly = parsed_path(name, uri=True, readonly=False)
    except errors.OperationalError as error:
        raise CannotOpenError(str(error)) from error
    return open_attached(session, path or "", readonly=readonly)


def opened(
    path: str | None,
    timeout: float,
    durability: Literal["full", "normal", "off"],
    *,
    readonly: bool,
    at: int | None,
) -> Store:
    """The store in a file, or one in memory."""
    if path is None:
        return open_memory()
    return open_store(
        path, durability=durability, readonly=readonly, timeout=timeout, at=at, compacts=True
    )
