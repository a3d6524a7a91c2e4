"""Random statements about one row, one by one, here and in sqlite3: each has the same outcome, and leaves the same."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import kvsh

Outcome = Callable[[Any, str, tuple[Any, ...]], Any]
"""What can be seen of a statement with its values on a connection.  Raises the connection's `Error`."""

Failure = Callable[[Any, Exception], Any]
"""What can be seen of an error and its connection."""


def tried(
    connection: Any, sql: str, values: tuple[Any, ...], outcome: Outcome, error: Failure
) -> Any:
    """The outcome of a statement, or what can be seen of its error."""
    try:
        return outcome(connection, sql, values)
    except (kvsh.Error, sqlite3.Error) as raised:
        return error(connection, raised)


def same_one_by_one(
    path: Path,
    schema: str,
    statements: Sequence[tuple[str, str]],
    domains: Mapping[str, Sequence[Any]],
    outcome: Outcome,
    *,
    seed: str,
    error: Failure,
    before_end: str = "SELECT 1",
) -> None:
    """Run 900 of the `statements`, by themselves and within transactions, with values drawn from `domains`.

    Of each statement the letters of its values' domains are given.  `before_end`: what to run before a transaction
    ends."""
    ours = kvsh.connect(path, isolation_level=None, durability="off")
    theirs = sqlite3.connect(":memory:", isolation_level=None)
    connections: tuple[Any, ...] = ours, theirs
    for connection in connections:
        connection.executescript(f"PRAGMA foreign_keys = ON; {schema}")
    rng = random.Random(seed)
    for number in range(900):
        if number % 70 in (20, 50):
            end = rng.choice(("COMMIT", "ROLLBACK"))
            for connection in connections:
                if connection.in_transaction:
                    connection.execute(before_end)
                connection.execute(end if connection.in_transaction else "BEGIN")
        sql, letters = rng.choice(statements)
        values = tuple([rng.choice(domains[letter]) for letter in letters])
        outcomes = []
        for connection in connections:
            outcomes.append(tried(connection, sql, values, outcome, error))
        assert (number, sql, values, outcomes[0]) == (number, sql, values, outcomes[1])
        if number % 30 == 29:
            assert contents(ours) == contents(theirs)
    assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ours.close()
    theirs.close()


def contents(connection: Any) -> list[Any]:
    """The rows of all tables, in an order of their own."""
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    return [
        (name, sorted(map(repr, connection.execute(f"SELECT * FROM {name}"))))
        for (name,) in connection.execute(tables).fetchall()
    ]
