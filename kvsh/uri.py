"""Names of databases as URIs of SQLite's.  https://www.sqlite.org/uri.html."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from btree import StoreError

if TYPE_CHECKING:
    from btree import Store
    from sql import Session

SCHEME = "file:"
_ACCESS_MODES = ("ro", "rw", "rwc", "memory")
_CACHE_MODES = ("shared", "private")
_FILE_SYSTEMS = ("unix", "win32")  # beginnings of their names


class MissingError(StoreError):
    """`mode=rw`, and there is no file."""


class Location(NamedTuple):
    """What a name says is to be opened."""

    path: str | None
    """The file; None for memory."""
    readonly: bool
    shared: str | None = None
    """The name of a database in memory that connections of this process share."""


def located(name: str, *, uri: bool = True, readonly: bool = False) -> Location:
    """What `name`, a path or, with `uri`, a `file:` URI, says; "" and ":memory:" are in memory.

    `mode` (ro, rw, rwc, memory), `cache=shared` of databases in memory, `immutable` and `vfs=memdb` count; other
    parameters are ignored.  Raises StoreError for wrong ones, and MissingError.

    >>> located("file:data%20base.db?mode=ro")
    Location(path='data base.db', readonly=True, shared=None)
    >>> located("file:cache?mode=memory&cache=shared")
    Location(path=None, readonly=False, shared='cache')
    """
    if not (uri and name.startswith(SCHEME)):
        return Location(None if name in (":memory:", "") else name, readonly)
    import urllib.parse

    location, _, query = name[len(SCHEME) :].partition("#")[0].partition("?")
    options = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    if location.startswith("//"):
        authority, slash, rest = location[2:].partition("/")
        if authority not in ("", "localhost"):
            raise StoreError(f"invalid uri authority: {authority}")
        location = slash + rest
    path = urllib.parse.unquote(location, errors="surrogateescape")
    mode, cache = options.get("mode", "rwc"), options.get("cache", "private")
    system = options.get("vfs", "unix")
    if mode not in _ACCESS_MODES:
        raise StoreError(f"no such access mode: {mode}")
    if cache not in _CACHE_MODES:
        raise StoreError(f"no such cache mode: {cache}")
    if system != "memdb" and not system.startswith(_FILE_SYSTEMS):
        raise StoreError(f"no such vfs: {system}")
    readonly = readonly or mode == "ro"
    if system == "memdb":  # those that begin with a slash are shared
        return Location(None, readonly, f"memdb:{path}" if path.startswith("/") else None)
    if mode == "memory" or path in (":memory:", ""):
        return Location(None, readonly, path if cache == "shared" and path else None)
    if mode == "rw" and not os.path.exists(path):
        raise MissingError("unable to open database file")
    return Location(path, readonly or options.get("immutable") == "1")


def attached_by_uri(session: Session, name: str, *, timeout: float | None = None) -> Store:
    """What ATTACH opens where names may be URIs; `timeout` as of `sql.open_attached`."""
    from sql import CannotOpenError, open_attached

    try:
        location = located(name)
    except MissingError as error:
        raise CannotOpenError(f"unable to open database: {name}") from error
    except StoreError as error:
        raise CannotOpenError(str(error)) from error
    return open_attached(
        session,
        location.path or "",
        shared=location.shared,
        readonly=location.readonly,
        timeout=timeout,
    )
