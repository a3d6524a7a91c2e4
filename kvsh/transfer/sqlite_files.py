"""A database of SQLite's into this one: its tables and their rows, then its indexes, views and triggers.

It is read through Python's own sqlite3 module, as of one moment, and not written to.  Texts that are no UTF-8 come as the blobs
that they are.  Rowids that no column names are given anew, as a dump
would.  What has no meaning here, such as a virtual table or an index with a function of the program that made it,
is left out and reported.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

from kvsh.transfer.formats import TransferError
from sql import SqlError, quoted

if TYPE_CHECKING:
    from sqlite3 import Connection

    from kvsh.transfer.load import Loading

_ROWS_PER_CHUNK = 4096
_SETTINGS = ("user_version", "application_id")


def begins(path: str, head: bytes) -> bool:
    """Whether there is a file that begins so."""
    if not os.path.isfile(path):
        return False  # a pipe would wait for its writer
    try:
        with open(path, "rb") as file:
            return file.read(len(head)) == head
    except OSError:
        return False


def load_sqlite(loading: Loading, path: str, table: str | None) -> None:
    """Load the whole database at `path`, or one `table` of it with its indexes and triggers.

    Raises TransferError if it can't be read, or something here is called as one of its tables is."""
    try:
        import sqlite3
    except ImportError as error:
        raise TransferError(f"this Python can't read SQLite's files: {error}") from error
    name = quote(os.fsencode(os.path.abspath(path)))
    try:
        with closing(sqlite3.connect(f"file:{name}?mode=ro", uri=True)) as origin:
            origin.text_factory = _text_or_bytes
            origin.execute("BEGIN")
            _copy(loading, origin, table)
    except sqlite3.Error as error:
        raise TransferError(f"{path}: {error}") from error


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _copy(loading: Loading, origin: Connection, table: str | None) -> None:
    session = loading.session
    kinds = dict(origin.execute("SELECT lower(name), type FROM pragma_table_list"))
    objects: list[tuple[str, str, str, str]] = origin.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master"
        " WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY rowid"
    ).fetchall()
    if table is not None:
        objects = [item for item in objects if item[2].lower() == table.lower()]
        if not any(kind == "table" for kind, *_ in objects):
            raise TransferError(f"{loading.source.name} has no table called {table}")
    session.execute(
        "PRAGMA defer_foreign_keys = ON"
    ).close()  # a parent may come after its children
    left_out = {name.lower() for name, kind in kinds.items() if kind in ("virtual", "shadow")}
    for kind, name, _, sql in objects:
        if kind != "table":
            continue
        if name.lower() in left_out:
            if kinds[name.lower()] == "virtual":
                loading.leave_out(f"table {name}", "it is virtual")
            continue
        try:
            session.execute(sql).close()
        except SqlError as error:
            raise TransferError(
                f"{loading.source.name}: table {name}: {error}; nothing was loaded"
            ) from error
        _copy_rows(loading, origin, name)
    _copy_sequences(loading, origin, table)
    for wanted in ("index", "view", "trigger"):
        for kind, name, of, sql in objects:
            if kind != wanted or of.lower() in left_out:
                continue
            try:
                session.execute(sql).close()
            except SqlError as error:
                loading.leave_out(f"{kind} {name}", str(error))
    if table is None:
        for setting in _SETTINGS:
            (value,) = origin.execute(f"PRAGMA {setting}").fetchone()
            if value:
                session.execute(f"PRAGMA {setting} = {value}").close()


def _copy_rows(loading: Loading, origin: Connection, table: str) -> None:
    """The rows, of all columns that are not computed."""
    described = origin.execute(f"PRAGMA table_xinfo({quoted(table)})").fetchall()
    columns = [quoted(name) for _, name, _, _, _, _, hidden in described if not hidden]
    listed = ", ".join(columns)
    statement = f"INSERT INTO {quoted(table)}({listed}) VALUES ({', '.join('?' * len(columns))})"
    rows = origin.execute(f"SELECT {listed} FROM {quoted(table)}")
    done = 0
    while chunk := rows.fetchmany(_ROWS_PER_CHUNK):
        loading.insert(statement, chunk, range(done + 1, done + 1 + len(chunk)).__getitem__)
        done += len(chunk)
        loading.progress.update(loading.outcome.rows)
        loading.session.cancellation.check()


def _copy_sequences(loading: Loading, origin: Connection, table: str | None) -> None:
    """Where AUTOINCREMENT goes on."""
    if not origin.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
        return
    sequences: Sequence[tuple[str, int]] = origin.execute(
        "SELECT name, seq FROM sqlite_sequence"
    ).fetchall()
    for name, number in sequences:
        if table is None or name.lower() == table.lower():
            loading.session.execute(
                "UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (number, name)
            ).close()
