"""Tables that are large enough to be scanned by column, against sqlite3: from the file, from memory, amid changes."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kvsh
from btree import open_store
from sql import Session

Rows = list[tuple[Any, ...]]
COUNT = 6000
SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, r REAL NOT NULL, s TEXT NOT NULL,
                m, o TEXT, c TEXT COLLATE NOCASE, big INTEGER);
CREATE TABLE u (k INTEGER PRIMARY KEY, name TEXT)
"""
WORDS = ["alpha", "Beta", "GAMMA", "delta", "%x_", "\u00e9tude", "", "Alphabet", "10"]

ORDERED = [
    "SELECT id, r FROM t ORDER BY r, id",
    "SELECT id, r FROM t ORDER BY r DESC, id LIMIT 10",
    "SELECT id FROM t ORDER BY r LIMIT 5 OFFSET 1500",
    "SELECT id, s FROM t ORDER BY s DESC, id LIMIT 20",
    "SELECT id FROM t ORDER BY o, id LIMIT 3000",
    "SELECT id FROM t ORDER BY o DESC NULLS LAST, id LIMIT 30",
    "SELECT id, c FROM t ORDER BY c, id DESC LIMIT 40",
    "SELECT id, m FROM t ORDER BY m, id LIMIT 1300",
    "SELECT n, id FROM t WHERE n > 40 ORDER BY -n, id LIMIT 7",
    "SELECT t.id, u.name FROM t JOIN u ON u.k = t.n WHERE t.r > 500 ORDER BY t.r LIMIT 9",
    "SELECT id FROM t ORDER BY r LIMIT 0",
    "SELECT n, count(*) FROM t GROUP BY n ORDER BY 2 DESC, 1 LIMIT 5",
    "SELECT n, s FROM t GROUP BY n, s",
    "SELECT m, count(*), sum(r) FROM t GROUP BY m",
    "SELECT c, count(*) FROM t GROUP BY c",
    "SELECT r, sum(n) FROM t GROUP BY r",
    "SELECT n, sum(n) AS total FROM t GROUP BY n HAVING total > 4000",
    "SELECT n, avg(r), min(s), max(id), count(o) FROM t GROUP BY n",
    "SELECT n, max(r), id FROM t GROUP BY n",
    "SELECT s, o, count(*) FROM t WHERE n < 30 GROUP BY 1, 2",
]
UNORDERED = [
    "SELECT count(*), sum(r), total(n), avg(n), min(r), max(s) FROM t",
    "SELECT sum(r), count(*), max(n) FROM t WHERE n < 50",
    "SELECT sum(r) FROM t WHERE n < 50 AND r > 10 AND s <> 'alpha'",
    "SELECT count(o), count(DISTINCT o), sum(r * 2), sum(r * n) FILTER (WHERE n > 3) FROM t WHERE id > 9",
    "SELECT count(*), sum(DISTINCT n) FROM t WHERE m NOT IN (1, 2) OR n = 3",
    "SELECT sum(m), count(m), typeof(max(m)) FROM t",
    "SELECT count(*) FROM t WHERE r > 500 AND r <= 500 + 1",
    "SELECT count(*) FROM t WHERE r < 9007199254740993 AND r > -9007199254740993",
    "SELECT group_concat(s, '') FROM t WHERE id < 40",
    "SELECT DISTINCT n FROM t",
    "SELECT DISTINCT m FROM t",
    "SELECT DISTINCT c FROM t",
    "SELECT DISTINCT s, n FROM t WHERE r < 300",
    "SELECT id, s FROM t WHERE n = 7",
    "SELECT rowid, n FROM t WHERE rowid % 500 = 0",
    "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.n AND u.name <> t.s) AND id < 90",
    "SELECT (SELECT count(*) FROM t AS other WHERE other.n = u.k) FROM u WHERE k < 4",
    "SELECT count(*) FROM t JOIN u ON u.k = t.n AND u.name > t.s",
    "SELECT count(*) FROM t AS a JOIN t AS b ON b.id = a.n + 1",
    "SELECT n, rank() OVER (ORDER BY n) FROM t WHERE r < 100",
    *[
        f"SELECT count(*), min(id), max(n) FROM t WHERE {column} {op} '{pattern}'"
        for column in ("s", "o", "c")
        for op, pattern in [
            *[("LIKE", text) for text in ("al%", "%ET%", "%a", "%", "", "g_mma", "%_e%", "10")],
            *[("LIKE", text) for text in ("\u00e9%", "%\u00c9%", "%l%h%", "_", "%!%%")],
            *[("GLOB", text) for text in ("al*", "*ET*", "*a", "*", "[aA]l*", "?elta", "10")],
        ]
    ],
    "SELECT count(*) FROM t WHERE s LIKE '%a%' AND o LIKE '%e%' AND n > 5",
    "SELECT id FROM t WHERE s NOT LIKE '%a%' AND n = 5",
]


class Bare:
    """A session as a connection."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.rows: Rows = []

    def execute(self, sql: str) -> Bare:
        self.rows = list(self.session.execute(sql))
        return self

    def fetchall(self) -> Rows:
        return self.rows


def rows_of(rng: random.Random, start: int, count: int) -> Rows:
    return [
        (
            number,
            rng.randrange(100),
            float(rng.randrange(4000)) / 4,
            rng.choice(WORDS) + str(rng.randrange(20)) * rng.randrange(2),
            rng.choice((None, 1, 1.0, 2.5, "1", b"1", "text", -0.0)),
            rng.choice((None, *WORDS)),
            rng.choice(("x", "X", "y", "Yy")),
            rng.choice((None, 1 << 40, -(1 << 50))),
        )
        for number in range(start, start + count)
    ]


def insert(con: Any, rows: Rows) -> None:
    con.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def comparable(rows: Rows) -> Rows:
    return [
        tuple([float(f"{value:.9g}") if isinstance(value, float) else value for value in row])
        for row in rows
    ]


def compare(ours: Any, theirs: Any) -> None:
    for sql in (*ORDERED, *UNORDERED):
        expected = comparable(theirs.execute(sql).fetchall())
        found = comparable(ours.execute(sql).fetchall())
        if sql in UNORDERED:
            assert sorted(found, key=repr) == sorted(expected, key=repr), sql
        else:
            assert found == expected, sql


def path_of(directory: Path) -> str:
    path = str(directory / "db")
    con = kvsh.connect(path, isolation_level=None)
    fill(con)
    con.close()
    return path


def fill(con: Any) -> None:
    for statement in SCHEMA.split(";"):
        con.execute(statement)
    insert(con, rows_of(random.Random(1), 1, COUNT))
    con.executemany("INSERT INTO u VALUES (?, ?)", [(k, f"delta{k}") for k in range(60)])


@pytest.fixture(scope="module")
def oracle() -> Iterator[sqlite3.Connection]:
    con = sqlite3.connect(":memory:", isolation_level=None)
    fill(con)
    yield con
    con.close()


def test_from_the_file_and_from_memory(tmp_path: Path, oracle: sqlite3.Connection) -> None:
    con = kvsh.connect(path_of(tmp_path), isolation_level=None)
    for _ in range(3):  # nothing is kept, columns are kept, what was made of them is kept
        compare(con, oracle)
    con.close()


@pytest.mark.parametrize("cache_bytes", [1 << 18, 1 << 21])
def test_in_a_small_cache(tmp_path: Path, cache_bytes: int, oracle: sqlite3.Connection) -> None:
    store = open_store(path_of(tmp_path), cache_bytes=cache_bytes)
    for _ in range(2):
        compare(Bare(Session(store)), oracle)
    store.close()


def test_amid_changes(tmp_path: Path) -> None:
    ours = kvsh.connect(path_of(tmp_path), isolation_level=None)
    theirs = sqlite3.connect(":memory:", isolation_level=None)
    fill(theirs)
    reader = kvsh.connect(str(tmp_path / "db"), isolation_level=None)
    sums = "SELECT sum(id), sum(n), count(s) FROM t WHERE s LIKE '%a%'"
    rng = random.Random(2)
    for turn in range(4):
        reader.execute("BEGIN")
        before = reader.execute(sums).fetchall()
        more = rows_of(rng, COUNT + 1 + 900 * turn, 900)
        for con in (ours, theirs):
            con.execute("BEGIN")
            con.execute(f"UPDATE t SET n = n + 1, s = s || 'a' WHERE id % 7 = {turn}")
            con.execute(f"DELETE FROM t WHERE id % 50 = {turn}")
            insert(con, more)
        assert ours.execute(sums).fetchall() == theirs.execute(sums).fetchall()
        for con in (ours, theirs):
            con.execute("ROLLBACK" if turn == 1 else "COMMIT")
        compare(ours, theirs)
        assert reader.execute(sums).fetchall() == before
        reader.execute("COMMIT")
    for con in (ours, theirs, reader):
        con.close()


def test_explain_analyze_counts_rows_by_column(tmp_path: Path) -> None:
    con = kvsh.connect(path_of(tmp_path), isolation_level=None)
    text = "\n".join(
        str(row[0]) for row in con.execute("EXPLAIN ANALYZE SELECT sum(r) FROM t WHERE n = 7")
    )
    expected = con.execute("SELECT count(*) FROM t WHERE n = 7").fetchone()[0]
    assert f"{COUNT:,} rows" in text or f"{expected} rows" in text, text
    con.close()
