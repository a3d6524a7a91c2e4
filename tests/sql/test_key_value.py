"""Many rows of `kv` written by SQL: as sqlite3 does it in a table with a primary key of text."""

from __future__ import annotations

import sqlite3
from random import Random
from typing import Any

import pytest

import kvsh

KEYS = 300

STATEMENTS = [
    "DELETE FROM kv WHERE key >= ? AND key < ?",
    "DELETE FROM kv WHERE key LIKE 'USER:1%' AND value < 'v2'",
    "DELETE FROM kv WHERE key GLOB 'user:2*' RETURNING key, value",
    "DELETE FROM kv WHERE value LIKE '%7'",
    "UPDATE kv SET value = value || '+' WHERE key > ? AND key <= ? RETURNING value",
    "UPDATE kv SET value = upper(value) WHERE value LIKE '%3%'",
    "UPDATE kv SET value = NULL WHERE key LIKE 'user:5%'",
    "UPDATE kv SET key = key || 'x' WHERE key < ? AND key > ?",
    "UPDATE kv SET key = 'one' WHERE key GLOB 'user:1*'",
    "UPDATE OR IGNORE kv SET key = 'one' WHERE key GLOB 'user:3*'",
    "INSERT INTO kv SELECT 'n' || key, value FROM kv WHERE key BETWEEN ? AND ?",
    "INSERT INTO kv SELECT key, 'again' FROM kv WHERE key BETWEEN ? AND ?",
    "INSERT OR IGNORE INTO kv SELECT replace(key, '1', '2'), 'ignored' FROM kv",
    "INSERT OR REPLACE INTO kv SELECT replace(key, '4', '5'), key FROM kv WHERE key > ? RETURNING key",
    "INSERT INTO kv(value, key) SELECT key, 'n' || key FROM kv WHERE key > ?"
    " ON CONFLICT DO UPDATE SET value = value || excluded.value",
    "INSERT INTO kv SELECT 'null' || key, nullif(value, 'v7') FROM kv WHERE key > ?",
]
MANY = [
    "INSERT OR REPLACE INTO kv VALUES (?, ?)",
    "INSERT INTO kv(value, key) VALUES (?, ?)",
    "INSERT OR IGNORE INTO kv VALUES (?, ?)",
    "INSERT INTO kv VALUES (?, (SELECT count(*) || ? FROM kv))",
    "DELETE FROM kv WHERE key = ? OR value = ?",
]
READ = [
    "SELECT key FROM kv WHERE key LIKE ?",
    "SELECT key FROM kv WHERE key GLOB ?",
    "SELECT count(*) FROM kv WHERE key LIKE ? AND key > 'user:2'",
]
PATTERNS = [
    "user:1%",
    "USER:2_%",
    "user:*",
    "user:[12]*",
    "u?er:33",
    "%7",
    "",
    None,
    5,
    "user:",
    "é%",
]


class Both:
    def __init__(self) -> None:
        self.ours = kvsh.connect(":memory:", isolation_level=None)
        self.theirs = sqlite3.connect(":memory:", isolation_level=None)
        self.theirs.execute(
            "CREATE TABLE kv(key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID"
        )

    def run(self, method: str, statement: str, values: Any) -> None:
        outcomes = []
        for connection, errors in ((self.ours, kvsh.Error), (self.theirs, sqlite3.Error)):
            cursor = connection.cursor()
            try:
                getattr(cursor, method)(statement, values)
                rows = sorted(cursor.fetchall())
                outcomes.append((rows, cursor.rowcount))
            except errors:
                outcomes.append("error")
        assert outcomes[0] == outcomes[1], (statement, values)

    def compare(self) -> None:
        select = "SELECT key, value FROM kv ORDER BY key"
        assert self.ours.execute(select).fetchall() == self.theirs.execute(select).fetchall()


@pytest.mark.parametrize("seed", range(8))
def test_many_rows_are_written_as_there(seed: int) -> None:
    draw = Random(seed)
    both = Both()
    pairs = [(f"user:{number}", f"v{number % 9}") for number in range(KEYS)]
    both.run("executemany", "INSERT INTO kv VALUES (?, ?)", pairs)
    both.compare()
    for _ in range(30):
        if draw.random() < 0.3:
            some = [
                (f"user:{draw.randrange(400)}", f"v{draw.randrange(9)}")
                for _ in range(draw.choice([3, 40]))
            ]
            both.run("executemany", draw.choice(MANY), some)
        else:
            statement = draw.choice(STATEMENTS)
            bounds = sorted(f"user:{draw.randrange(400)}" for _ in range(2))
            both.run("execute", statement, bounds[: statement.count("?")])
        both.compare()
        for pattern in draw.sample(PATTERNS, 2):
            both.run("execute", draw.choice(READ), (pattern,))


def test_keys_that_are_no_text_and_keys_that_expire() -> None:
    db = kvsh.open(":memory:")
    for number in range(20):
        db.put(b"\xff%d" % number, b"\x80")
        db.put(f"t{number}", "text", ttl=1000)
    assert db.execute("SELECT count(*) FROM kv WHERE key >= x'ff35'").fetchone() == (5,)
    assert db.execute("SELECT count(*) FROM kv WHERE key < x'ff3130'").fetchone() == (22,)
    assert db.execute("UPDATE kv SET value = 'new' WHERE key GLOB 't1*'").rowcount == 11
    assert db.ttl("t1") is None and db.ttl("t2") is not None
    assert db.execute("DELETE FROM kv WHERE key > x'ff'").rowcount == 20
    assert db.execute("INSERT INTO kv SELECT 'n' || key, value FROM kv").rowcount == 20
    assert len(db) == 40 and db.get("nt19") == b"new"
