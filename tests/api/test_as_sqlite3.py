"""What a program meets through the API is what the sqlite3 module would have it meet."""

from __future__ import annotations

import sqlite3
from types import ModuleType
from typing import Any

import pytest

import kvsh

SCHEMA = """
CREATE TABLE item(id INTEGER PRIMARY KEY, n INT, r REAL);
CREATE INDEX by_n ON item(n);
CREATE INDEX by_r ON item(r);
"""
INFINITY = float("inf")


def connected(module: ModuleType) -> Any:
    connection = module.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    connection.executemany(
        "INSERT INTO item VALUES (?, ?, ?)", [(i, i % 50, i * 0.5) for i in range(-300, 300)]
    )
    return connection


def outcome(connection: Any, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
    """The rows, or the error's class, name and text."""
    try:
        return connection.execute(sql, parameters).fetchall()
    except (sqlite3.Error, kvsh.Error) as error:
        return type(error).__name__, error.sqlite_errorname, str(error)


def test_infinite_bounds_of_row_ids_and_indexes_are_bounds() -> None:
    ours, theirs = connected(kvsh), connected(sqlite3)
    for column in ("id", "n", "r"):
        for operator in ("<", "<=", ">", ">=", "="):
            for value in (INFINITY, -INFINITY, 1e19, -1e19):
                for rest in ("", " ORDER BY id DESC LIMIT 3"):
                    sql = f"SELECT id FROM item WHERE {column} {operator} ?{rest}"
                    for _ in range(3):
                        assert outcome(ours, sql, (value,)) == outcome(theirs, sql, (value,)), sql
    sql = "SELECT count(*) FROM item WHERE id BETWEEN ? AND ?"
    assert outcome(ours, sql, (-INFINITY, INFINITY)) == outcome(theirs, sql, (-INFINITY, INFINITY))
    sql = "DELETE FROM item WHERE id > ? RETURNING id"
    assert outcome(ours, sql, (-INFINITY,)) == outcome(theirs, sql, (-INFINITY,))


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO item VALUES ('x', 1, 1)",
        "UPDATE item SET id = 'x' WHERE id = 1",
        "SELECT 1 LIMIT 'x'",
        "SELECT 1 LIMIT 1 OFFSET 1.5",
        "SELECT zeroblob(3000000000)",
        "INSERT INTO item (id) VALUES (1)",
        "SELECT * FROM nope",
    ],
)
def test_errors_have_sqlite3s_classes_and_codes(sql: str) -> None:
    assert outcome(connected(kvsh), sql) == outcome(connected(sqlite3), sql)
