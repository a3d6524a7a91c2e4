"""Scans by column of a table whose rowid is a column: both names, beside others, after changes."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

import kvsh
from btree import open_memory, open_store
from sql import Session

COUNT = 5000
QUERIES = [
    "SELECT id FROM t WHERE id % 7 = 3",
    "SELECT rowid, id FROM t WHERE a % 7 = -3",
    "SELECT count(*), sum(id), min(rowid) FROM t WHERE b LIKE 'b1%'",
    "SELECT id, b FROM t WHERE rowid > 4000 AND a < 100",
    "SELECT a % 5, count(id), max(rowid) FROM t GROUP BY a % 5 ORDER BY 1",
    "SELECT id % 3, sum(a % 4) FROM t GROUP BY id % 3 ORDER BY 1",
    "SELECT DISTINCT id % 4 FROM t ORDER BY 1",
    "SELECT x.id, y.a FROM t x JOIN t y ON y.id = x.id + 1 WHERE x.id % 500 = 0 ORDER BY 1",
    "SELECT a % 0, a % 3, a % -3, -a % 3, id % 9223372036854775807 FROM t ORDER BY id LIMIT 50",
    "SELECT id FROM t ORDER BY a % 10, id DESC LIMIT 30",
]


@pytest.mark.parametrize("nulls", [False, True])
def test_queries_give_what_sqlite_gives(nulls: bool) -> None:
    rng = random.Random(2)
    rows = [
        (
            number * 3,
            None if nulls and number % 11 == 0 else rng.randrange(-999, 999),
            f"b{rng.randrange(99)}",
        )
        for number in range(-COUNT // 2, COUNT // 2)
    ]
    session, connection = Session(open_memory()), sqlite3.connect(":memory:")
    for execute, many in (
        (session.execute, session.execute_many),
        (connection.execute, connection.executemany),
    ):
        execute("CREATE TABLE t(a INTEGER, id INTEGER PRIMARY KEY, b TEXT)")
        many("INSERT INTO t(id, a, b) VALUES (?, ?, ?)", rows)
    for change in ("DELETE FROM t WHERE id % 10 = 0", "UPDATE t SET b = 'b1x' WHERE id % 100 = 1"):
        for query in QUERIES:
            assert (query, list(session.execute(query))) == (
                query,
                connection.execute(query).fetchall(),
            )
        assert session.execute(change).rowcount == connection.execute(change).rowcount


CLUSTERED_QUERIES = [
    "SELECT sum(n), count(*) FROM w WHERE n < 2000",
    "SELECT code, count(*), max(note) FROM w GROUP BY code",
    "SELECT DISTINCT code FROM w WHERE price > 50 ORDER BY code",
    "SELECT n, code FROM w WHERE note LIKE '%7%' AND n % 3 = 1 ORDER BY n",
    "SELECT note FROM w ORDER BY note, n LIMIT 20",
    "SELECT count(*) FROM w a JOIN w b ON b.n = a.n + 1 AND b.code = 'c3' WHERE a.price < 20",
    "SELECT count(*), sum(price) FROM w WHERE n IN (SELECT n FROM w WHERE code = 'c1')",
    "SELECT total(price) FROM w WHERE code BETWEEN 'c2' AND 'c5' AND price IS NOT NULL",
]


@pytest.mark.parametrize("key", ["code, n", "n", "n DESC, code"])
def test_tables_without_rowid_give_what_sqlite_gives(tmp_path: Path, key: str) -> None:
    rng = random.Random(3)
    rows = [
        (
            f"c{rng.randrange(9)}",
            number,
            rng.choice((None, rng.randrange(99), rng.randrange(99) / 4)),
            f"note {rng.randrange(200)}",
        )
        for number in range(COUNT)
    ]
    schema = (
        "CREATE TABLE w(code TEXT NOT NULL, n INTEGER NOT NULL, price, note TEXT,"
        f" PRIMARY KEY ({key})) WITHOUT ROWID"
    )
    connection = sqlite3.connect(":memory:")
    connection.execute(schema)
    connection.executemany("INSERT INTO w VALUES (?, ?, ?, ?)", rows)
    path = str(tmp_path / "db")
    session = Session(open_store(path, durability="off"))
    session.execute(schema)
    session.execute_many("INSERT INTO w VALUES (?, ?, ?, ?)", rows)
    for change in (
        "DELETE FROM w WHERE n % 10 = 0",
        "UPDATE w SET note = 'changed 7' WHERE n % 100 = 1",
    ):
        session.execute(change)
        connection.execute(change)
        session.store.close()
        for cache_bytes in (1 << 18, 1 << 26):
            session = Session(open_store(path, durability="off", cache_bytes=cache_bytes))
            for query in 2 * CLUSTERED_QUERIES:
                found = list(session.execute(query))
                assert (query, found) == (query, connection.execute(query).fetchall())
            if cache_bytes == 1 << 18:
                session.store.close()
    session.store.close()


RANGE_QUERIES = [
    "SELECT sum(a), count(*) FROM t WHERE id BETWEEN ? AND ?",
    "SELECT id, b FROM t WHERE id > ? AND id < ? AND a > 0",
    "SELECT count(*), max(a) FROM t WHERE rowid >= ? AND id <= ? AND b LIKE '%1%'",
    "SELECT b, count(*) FROM t WHERE id > ? AND ? IS NOT 'x' GROUP BY b ORDER BY b",
    "SELECT total(a) FROM t WHERE ? IS NOT 'x' AND id <= ?",
    "SELECT id, a FROM t WHERE id > ? AND id <= ? ORDER BY id DESC",
    "SELECT count(*), sum(y.a) FROM t x JOIN t y ON y.id = x.a WHERE x.id BETWEEN ? AND ?",
]
BOUNDS = [
    -10_000, 0, 2999, 3000.0, 3000.5, 4000, 90_000, 1e300, -1e300, 9.3e18, None, "4000", "text", b"blob",
    9223372036854775807, -9223372036854775808,
]  # fmt: skip


def test_ranges_of_rowids_give_what_sqlite_gives(tmp_path: Path) -> None:
    rng = random.Random(8)
    rows = [
        (3 * number + rng.randrange(3), rng.randrange(-999, 9999), f"b{rng.randrange(40)}")
        for number in range(-1000, 12_000)
    ]
    rows += [(1 << 62, 1, "far"), ((1 << 63) - 1, 2, "last"), (-(1 << 63), 3, "first")]
    connection = sqlite3.connect(":memory:")
    session = Session(open_store(str(tmp_path / "db"), durability="off", cache_bytes=1 << 20))
    for execute, many in (
        (session.execute, session.execute_many),
        (connection.execute, connection.executemany),
    ):
        execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT)")
        many("INSERT INTO t VALUES (?, ?, ?)", rows)
    for _ in range(12):
        for query in RANGE_QUERIES:
            bounds = (rng.choice(BOUNDS), rng.choice(BOUNDS))
            found = list(session.execute(query, bounds))
            assert (query, bounds, found) == (
                query,
                bounds,
                connection.execute(query, bounds).fetchall(),
            )
    session.store.close()


def test_aggregates_of_numbers_as_they_lie_in_pages(tmp_path: Path) -> None:
    """Each the first question that a connection asks, of columns of each width, with NULLs here and there, and mixed ones."""
    path = str(tmp_path / "a.kvsh")
    ours, theirs = kvsh.connect(path), sqlite3.connect(":memory:")
    rows = [
        (
            i,
            i * 7919 % 100 - 50,
            i * 7919 % 40_000 - 20_000,
            i * 7919 % 3_000_000,
            (i * 7919 % 5000) << 40,
            i * 7919 % 5000 / 8,
            None if 4000 < i < 4100 else i % 9,
            i % 700 if i < 9000 else f"t{i % 90}",
        )
        for i in range(12_000)
    ]
    for con in (ours, theirs):
        con.execute(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, b INT, h INT, i INT, q INT, d REAL, n INT, m)"
        )
        con.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        con.execute("DELETE FROM t WHERE id % 1000 = 7")
        con.commit()
    ours.close()
    queries = [
        "SELECT sum(b), avg(h), max(i), min(q), total(d), count(n), count(*) FROM t",
        "SELECT sum(i), max(i), min(i), sum(d), max(d), sum(id), sum(n) FROM t",
        "SELECT sum(i * b), sum(i), max(m), sum(d) FILTER (WHERE b > 3), count(DISTINCT h) FROM t",
        "SELECT b, sum(i), max(d), avg(q), count(*) FROM t GROUP BY b",
        "SELECT h, max(d), min(n) FROM t GROUP BY h",
        "SELECT d, sum(b) FROM t GROUP BY d HAVING sum(b) > 0",
        "SELECT n, sum(d), max(m) FROM t GROUP BY n",
        "SELECT b, n, count(*), sum(i) FROM t GROUP BY b, n",
        "SELECT i, count(*) FROM t GROUP BY i",
        "SELECT id, q, d FROM t",
        "SELECT d, n, d, i + 1, id FROM t",
        "SELECT h FROM t LIMIT 9000",
        "SELECT a.id, a.d, b.q FROM t a JOIN t b ON b.id = a.h",
        "SELECT DISTINCT d FROM t ORDER BY d",
        "SELECT DISTINCT h FROM t ORDER BY 1 DESC",
        "SELECT DISTINCT n FROM t ORDER BY n LIMIT 4",
        # Calls that are made for a batch at once are no columns of pages.
        "SELECT count(*) FROM (SELECT DISTINCT typeof(m) FROM t)",
        "SELECT typeof(m), count(*), sum(i) FROM t GROUP BY typeof(m)",
        "SELECT sum(length(m)), max(length(m)), sum(abs(b)) FROM t",
    ]
    for sql in queries:
        ours = kvsh.connect(path)
        wanted = theirs.execute(sql).fetchall()
        for _ in range(3):
            assert ours.execute(sql).fetchall() == wanted, sql
        ours.close()
