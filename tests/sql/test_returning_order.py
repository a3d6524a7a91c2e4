"""Rows of RETURNING come in the order of their keys, as SQLite's do, whatever index found them."""

from __future__ import annotations

import random

import pytest

from tests.sql.engines import KvshEngine, SqliteEngine, outcome

TABLE = "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c INT, d INT)"
INDEXES = (
    "CREATE INDEX ta ON t(a)",
    "CREATE INDEX tb ON t(b, d)",
    "CREATE UNIQUE INDEX tc ON t(c)",
    "CREATE INDEX tda ON t(d, a)",
)
CONDITIONS = (
    "a BETWEEN 3 AND 5",
    "b > 'w7'",
    "b = 'w33'",
    "c BETWEEN 40 AND 90",
    "c IN (9, 3, 500, 77)",
    "d = 7",
    "d = 7 AND a > 3",
    "b = 'w12' OR c = 4",
    "d < 3",
    "c < 9 OR a = 2",
)
CHANGES = ("d = d + 1", "a = -a", "b = b || 'x'", "c = -c", "id = -id", "d = 0, c = c + 100000")


@pytest.mark.parametrize("rows", [60, 4000])
def test_rows_come_in_the_order_of_their_keys(rows: int) -> None:
    chosen = random.Random(rows)
    ours, theirs = KvshEngine(), SqliteEngine()
    made = [
        (number, chosen.randrange(10), f"w{chosen.randrange(90)}", unique, chosen.randrange(9))
        for number, unique in enumerate(chosen.sample(range(rows), rows))
    ]
    for engine in (ours, theirs):
        for text in (TABLE, *INDEXES):
            engine.execute(text)
        for start in range(0, rows, 50):
            listed = ", ".join(map(repr, made[start : start + 50]))
            engine.execute(f"INSERT INTO t VALUES {listed}")
    returned = 0
    for condition in CONDITIONS:
        statements = [
            f"UPDATE t SET {change} WHERE {condition} RETURNING id, a, c" for change in CHANGES
        ]
        for statement in [*statements, f"DELETE FROM t WHERE {condition} RETURNING *"]:
            for engine in (ours, theirs):
                engine.execute("SAVEPOINT s")
            mine, expected = outcome(ours, statement), outcome(theirs, statement)
            assert (statement, mine) == (statement, expected)
            assert isinstance(expected, list)
            returned += len(expected)
            for engine in (ours, theirs):
                engine.execute("ROLLBACK TO s")
                engine.execute("RELEASE s")
    assert returned > rows
    ours.close()
    theirs.close()
