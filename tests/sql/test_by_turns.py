"""Reads between single changes, in a file: what a query sees of what lies over the leaves is what sqlite3 sees."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

import kvsh
from btree import waiting, waiting_columns

ROWS = 6000
QUERIES = (
    "SELECT max(id) FROM t",
    "SELECT min(id) FROM t",
    "SELECT max(id) + 1, count(*) FROM t",
    "SELECT max(id) FILTER (WHERE n > 3) FROM t",
    "SELECT max(id), s FROM t",
    "SELECT max(id) FROM t WHERE id < ?1",
    "SELECT sum(n), count(s), min(s) FROM t WHERE id BETWEEN ?1 AND ?1 + 900",
    "SELECT count(*), sum(n) FROM t WHERE id < ?1",
    "SELECT count(*), sum(id) FROM t WHERE id >= ?1 AND n % 7 = 3",
    "SELECT sum(n), count(*) FROM t WHERE id > (SELECT max(id) FROM t) - 1000",
    "SELECT n, count(*), max(s) FROM t WHERE id BETWEEN ?1 AND ?1 + 700 GROUP BY n ORDER BY n",
    "SELECT sum(n), sum(length(s)), count(*) FROM t",
    "SELECT count(*) FROM t WHERE s LIKE '%7'",
    "SELECT id, n, s FROM t WHERE id BETWEEN ?1 - 5 AND ?1 + 5",
    "SELECT id, s FROM t ORDER BY id DESC LIMIT 10",
    "SELECT id, n FROM t WHERE n = ?1 % 100 ORDER BY id DESC LIMIT 5",
    "SELECT count(*) FROM t WHERE n BETWEEN 3 AND 9",
)
CHANGES = (
    "INSERT INTO t(n, s) VALUES (?1 % 100, 'new ' || ?1)",
    "INSERT OR REPLACE INTO t VALUES (?1, -1, NULL)",
    "UPDATE t SET n = n + 1 WHERE id = ?1",
    "UPDATE t SET s = 'changed ' || ?1 WHERE id = ?1",
    "DELETE FROM t WHERE id = ?1",
    "DELETE FROM t WHERE id = (SELECT max(id) FROM t)",
    "DELETE FROM t WHERE id = (SELECT min(id) FROM t)",
)


@pytest.mark.parametrize("seed", range(4))
def test_queries_between_changes_see_them(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)
    monkeypatch.setattr(waiting, "MET_MAX", draw.choice((1, 16, 10**9)))
    monkeypatch.setattr(waiting_columns, "_RANGE_MAX", draw.choice((500, 1 << 15)))
    path = str(tmp_path / "a.db")
    ours = kvsh.connect(path, isolation_level=None, durability=draw.choice(("off", "normal")))
    other = kvsh.connect(path, isolation_level=None, durability="off")
    theirs = sqlite3.connect(":memory:", isolation_level=None)
    rows = [(number, number % 100, f"text {number % 50}") for number in range(10, ROWS)]
    for con in (ours, theirs):
        con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, s TEXT)")
        con.execute("CREATE INDEX tn ON t(n)")
        con.execute("BEGIN")
        con.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        con.execute("COMMIT")
    in_transaction = False
    for _ in range(250):
        if draw.random() < 0.1:
            word = "COMMIT" if in_transaction and draw.random() < 0.6 else "ROLLBACK"
            for con in (ours, theirs):
                con.execute(word if in_transaction else "BEGIN")
            in_transaction = not in_transaction
        key = draw.randrange(1, ROWS + 50)
        change = draw.choice(CHANGES)
        writer = ours if in_transaction or draw.random() < 0.8 else other
        for con in (writer, theirs):
            con.execute(change, (key,) if "?1" in change else ())
        for query in draw.sample(QUERIES, 3):
            parameters = (draw.randrange(ROWS),) if "?1" in query else ()
            expected = theirs.execute(query, parameters).fetchall()
            assert ours.execute(query, parameters).fetchall() == expected, (change, query)
    for con in (ours, other, theirs):
        con.close()
