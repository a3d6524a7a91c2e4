"""What the arguments of `connect` come to: an isolation level, a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from btree import open_memory, open_store
from kvsh import LEGACY_TRANSACTION_CONTROL
from kvsh.uri import located

if TYPE_CHECKING:
    from btree import Store

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


def opened(
    name: str,
    timeout: float,
    durability: Literal["full", "normal", "off"],
    *,
    uri: bool,
    readonly: bool,
    at: int | None,
) -> Store:
    """The store in a file, or one in memory."""
    location = located(name, uri=uri, readonly=readonly)
    readonly = location.readonly
    if location.path is None:
        return open_memory(
            location.shared, durability=durability, readonly=readonly, timeout=timeout, at=at
        )
    return open_store(
        location.path,
        durability=durability,
        readonly=readonly,
        timeout=timeout,
        at=at,
        compacts=True,
    )
