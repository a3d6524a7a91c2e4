"""kvsh's SQL layer and sqlite3 behind one face, for tests that compare them or run either."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

Rows = list[tuple[Any, ...]]

COUNTERS = "SELECT changes(), total_changes(), last_insert_rowid()"


class EngineError(Exception):
    """The engine refused the statement; the message is the engine's own."""


class Engine(Protocol):
    """One session on an empty database in memory, in autocommit."""

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Rows: ...

    @property
    def columns(self) -> list[str]: ...

    @property
    def in_transaction(self) -> bool: ...

    def close(self) -> None: ...


class SqliteEngine:
    """sqlite3, the oracle.  Text that is no UTF-8 comes back as bytes do, marked by a surrogate."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        self.columns: list[str] = []

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Rows:
        try:
            cursor = self.connection.execute(statement, parameters)
            self.columns = [entry[0] for entry in cursor.description or ()]
            return cursor.fetchall()
        except (sqlite3.Error, sqlite3.Warning, UnicodeError) as error:
            raise EngineError(str(error)) from error

    @property
    def in_transaction(self) -> bool:
        return self.connection.in_transaction

    def close(self) -> None:
        self.connection.close()


class KvshEngine:
    """The SQL layer on the store in memory."""

    def __init__(self, *, leaf_limit: int = 64) -> None:
        from btree import open_memory
        from sql import Session

        self.store = open_memory(leaf_limit=leaf_limit)
        self.session = Session(self.store)
        self.columns: list[str] = []

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Rows:
        from sql import SqlError

        try:
            result = self.session.execute(statement, parameters)
            self.columns = [column.name for column in result.columns or ()]
            rows = list(result)
            result.close()
            return rows
        except SqlError as error:
            raise EngineError(error.message) from error

    @property
    def in_transaction(self) -> bool:
        return bool(self.session.in_transaction)

    def close(self) -> None:
        self.store.close()


def filled(
    schema: Iterable[str], rows: Mapping[str, Iterable[Sequence[Any]]], *, leaf_limit: int = 64
) -> tuple[KvshEngine, SqliteEngine]:
    """Both engines with the same tables and, by the statement that takes one, the same rows."""
    ours, oracle = KvshEngine(leaf_limit=leaf_limit), SqliteEngine()
    for statement in schema:
        ours.execute(statement)
        oracle.execute(statement)
    for statement, each in rows.items():
        for row in each:
            ours.execute(statement, row)
            oracle.execute(statement, row)
    return ours, oracle


def open_both(directory: Path, schema: Iterable[str]) -> tuple[Any, Any]:
    """A connection to a file of kvsh's and one of sqlite3's in memory, both in autocommit, with the same tables."""
    import kvsh

    ours = kvsh.connect(directory / "t.db", isolation_level=None)
    oracle = sqlite3.connect(":memory:", isolation_level=None)
    for connection in (ours, oracle):
        for statement in schema:
            connection.execute(statement)
    return ours, oracle


def outcome(engine: Engine, statement: str, parameters: tuple[Any, ...] = ()) -> object:
    """The rows that a statement gives, or its error's message."""
    try:
        return engine.execute(statement, parameters)
    except EngineError as error:
        return f"error: {error}"


def same_answers(*script: str, after_each: str | None = None, at_end: str | None = None) -> None:
    """Run a script in both engines: rows with the classes of their values, messages, and whether a transaction
    is open must be the same after each statement.  So must what two queries give, where there are such."""
    ours, theirs = KvshEngine(), SqliteEngine()
    try:
        for statement in script:
            for query in (statement, *([after_each] if after_each else [])):
                mine, expected = (repr(outcome(engine, query)) for engine in (ours, theirs))
                assert (statement, mine) == (statement, expected)
            assert ours.in_transaction == theirs.in_transaction, statement
        if at_end is not None:
            assert ours.execute(at_end) == theirs.execute(at_end)
    finally:
        ours.close()
        theirs.close()
