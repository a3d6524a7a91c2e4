"""A signal's handler that raises, as that of Ctrl-C does, while a statement changes one row of an open transaction: the
program goes on and commits, and the statement was done, or was not, but not by half."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

import btree
import kvsh
import sql
from tests.interrupting import Interrupting, Stop, folders

EVERY = int(os.environ.get("KVSH_TEST_POINTS", "5"))
"""Of the points, each one of so many is tried; `KVSH_TEST_POINTS=1` tries all."""

PLACES = (*folders(btree, sql), "<kvsh plan")

SCHEMA = """
CREATE TABLE p(id INTEGER PRIMARY KEY);
INSERT INTO p VALUES (1), (2), (3);
CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT UNIQUE, n INT, p INT REFERENCES p);
CREATE INDEX tn ON t(n);
CREATE UNIQUE INDEX tpart ON t(n, p) WHERE n > 30;
CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT, k UNIQUE);
CREATE TABLE m(id INTEGER PRIMARY KEY, n INT, v INT);
INSERT INTO m WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 400) SELECT i, i / 2, i FROM c;
CREATE INDEX mn ON m(n);
CREATE INDEX mv ON m(v);
CREATE TABLE w(k TEXT PRIMARY KEY, n INT UNIQUE) WITHOUT ROWID;
CREATE TABLE g(id INTEGER PRIMARY KEY, k TEXT UNIQUE);
CREATE TABLE log(id INTEGER PRIMARY KEY, k TEXT, UNIQUE (k, id));
CREATE TRIGGER gi AFTER INSERT ON g BEGIN INSERT INTO log(k) VALUES (NEW.k); END;
CREATE TRIGGER gd AFTER DELETE ON g BEGIN DELETE FROM log WHERE id = OLD.id; END;
"""

STATEMENTS = {
    "INSERT INTO t(k, n, p) VALUES (?, ?, 1)": lambda at: (f"new {at}", at),
    "INSERT OR REPLACE INTO t(k, n, p) VALUES (?, ?, 2)": lambda at: (f"k{at}", at + 70),
    "INSERT INTO t(k, n) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET n = n + 50": lambda at: (
        f"k{at}",
        at,
    ),
    "UPDATE t SET k = k || 'x', n = n + 40 WHERE k = ?": lambda at: (f"k{at}",),
    "UPDATE m SET v = v + 1 WHERE n = ?": lambda at: (at + 5,),
    "DELETE FROM t WHERE id = ?": lambda at: (at + 5,),
    "INSERT INTO a(k) VALUES (?)": lambda at: (at,),
    "INSERT INTO w VALUES (?, ?)": lambda at: (f"k{at}", at),
    "INSERT INTO g(k) VALUES (?)": lambda at: (f"k{at}",),
}


def content(connection: Any) -> list[Any]:
    tables = ("t", "m", "a", "w", "g", "log", "sqlite_sequence")
    return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]


def outcome(statement: str, before: int, at: int) -> tuple[list[Any], bool]:
    """What there is when the statement has run so many times, and once more with an interruption at a point; whether it
    came to that."""
    connection = kvsh.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    for row in range(30):
        connection.execute("INSERT INTO t VALUES (?, ?, ?, ?)", (row + 1, f"k{row}", row % 5, None))
    connection.execute("PRAGMA foreign_keys = ON")
    values = STATEMENTS[statement]
    connection.execute("BEGIN")
    for number in range(before):
        connection.execute(statement, values(number))
    came = False
    try:
        with Interrupting(at, PLACES):
            connection.execute(statement, values(before))
    except Stop:
        came = True
    connection.execute("COMMIT")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], f"point {at}"
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    found = content(connection)
    connection.close()
    return found, came


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_that_is_interrupted_is_done_or_is_not(statement: str) -> None:
    for before in (1, 4):
        undone, _ = outcome(statement, before, 1)
        done, _ = outcome(statement, before, 0)
        assert undone != done
        at = random.Random(statement).randrange(EVERY) + 1
        came = True
        while came:
            found, came = outcome(statement, before, at)
            assert found in (undone, done), f"point {at}"
            at += EVERY
