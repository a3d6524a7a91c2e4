"""Subqueries in results are asked for the rows that LIMIT picks, and no others; against sqlite3."""

from __future__ import annotations

import random

import pytest

import kvsh
from tests.sql.engines import KvshEngine, SqliteEngine, filled

_SCHEMA = (
    "CREATE TABLE a (id INTEGER PRIMARY KEY, x INT, y REAL, t TEXT COLLATE NOCASE, n INT)",
    "CREATE TABLE b (k INT, v INT, w TEXT)",
    "CREATE INDEX b_k ON b (k, v)",
    "CREATE TABLE c (k INT, m INT, PRIMARY KEY (k, m)) WITHOUT ROWID",
)
_OUTPUTS = (
    "a.id, (SELECT count(*) FROM b WHERE b.k = a.x)",
    "(SELECT max(v) FROM b WHERE b.k = a.x) AS best, a.*",
    "a.t, EXISTS (SELECT 1 FROM b WHERE b.k = a.x AND b.v > a.n), a.y + 1",
    "a.id, a.x IN (SELECT k FROM b WHERE b.v = a.n), a.n NOT IN (SELECT m FROM c WHERE c.k = a.x)",
    "(SELECT group_concat(w) FROM (SELECT w FROM b WHERE b.k = a.x ORDER BY b.v, b.rowid LIMIT 3)), a.t || ''",
    "(SELECT (SELECT count(*) FROM c WHERE c.k = b.v AND c.m <> a.n) FROM b WHERE b.k = a.x ORDER BY b.rowid LIMIT 1)",
    "CASE WHEN a.n > 3 THEN (SELECT sum(v) FROM b WHERE b.k = a.n) ELSE a.t END, a.y",
    "(SELECT count(*) FROM c), a.id",
)
_FROM = (
    "FROM a",
    "FROM a WHERE a.n > 2",
    "FROM a JOIN c ON c.k = a.x",
    "FROM a LEFT JOIN c ON c.k = a.n AND c.m > 5",
    "FROM (SELECT id, x, y, t, n FROM a WHERE id % 2 = 0) a",
)
_ORDERS = (
    "a.y, a.id",
    "a.t DESC, a.id",
    "a.x IS NULL, a.n DESC, a.id DESC",
    "a.y * -1, a.id",
    "a.x NULLS LAST, a.id",
)


@pytest.fixture(scope="module")
def engines() -> tuple[KvshEngine, SqliteEngine]:
    draw = random.Random(4)
    rows = [
        (
            draw.choice([None, *range(30)]),
            draw.choice([None, draw.random()]),
            draw.choice([None, "a", "B", "b", "c"]),
            draw.randrange(9),
        )
        for _ in range(400)
    ]
    filling = {
        "INSERT INTO a (x, y, t, n) VALUES (?, ?, ?, ?)": rows,
        "INSERT INTO b VALUES (?, ?, ?)": [(n % 37, n % 11, f"w{n}") for n in range(300)],
        "INSERT OR IGNORE INTO c VALUES (?, ?)": [(n % 29, n % 13) for n in range(300)],
    }
    return filled(_SCHEMA, filling, leaf_limit=16)


@pytest.mark.parametrize("order", _ORDERS)
@pytest.mark.parametrize("source", _FROM)
def test_what_is_asked_behind_limit_is_what_sqlite_answers(
    source: str, order: str, engines: tuple[KvshEngine, SqliteEngine]
) -> None:
    ours, oracle = engines
    further = ", c.m" if "JOIN" in source else ""
    for outputs in _OUTPUTS:
        for limit in ("7", "5 OFFSET 3", "-1", "0"):
            sql = f"SELECT {outputs} {source} ORDER BY {order}{further} LIMIT {limit}"
            wanted = oracle.execute(sql)
            for _ in range(3):  # pages, columns that are kept
                assert ours.execute(sql) == wanted, sql


def test_groups_are_asked_behind_limit(engines: tuple[KvshEngine, SqliteEngine]) -> None:
    ours, oracle = engines
    for sql in (
        "SELECT n, count(*), (SELECT max(v) FROM b WHERE b.k = a.n) FROM a GROUP BY n ORDER BY count(*), n LIMIT 4",
        "SELECT t, (SELECT count(*) FROM b WHERE b.k = sum(a.n) % 37) FROM a GROUP BY t ORDER BY sum(n) DESC LIMIT 2",
        "SELECT a.id, (SELECT x.id FROM a x WHERE x.n = a.n AND x.id <> a.id ORDER BY (SELECT count(*) FROM b"
        " WHERE b.k = x.x), x.id LIMIT 1) FROM a WHERE a.id IN (SELECT y.id FROM a y ORDER BY y.t, y.id LIMIT 9)"
        " ORDER BY a.y DESC, a.id LIMIT 5",
    ):
        assert ours.execute(sql) == oracle.execute(sql), sql


def test_no_more_rows_are_asked_about_than_are_given() -> None:
    con = kvsh.connect(":memory:")
    asked: list[int] = []

    def noted(value: int) -> int:
        asked.append(value)
        return value

    con.create_function("noted", 1, noted)
    con.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, x INT, y INT)")
    con.execute("CREATE TABLE b (x INT)")
    con.executemany("INSERT INTO a (x, y) VALUES (?, ?)", [(n, -n) for n in range(5000)])
    sql = "SELECT id, (SELECT noted(a.x)) FROM a WHERE id > 3 ORDER BY y LIMIT 5 OFFSET 2"
    for _ in range(3):
        asked.clear()
        assert [row[1] for row in con.execute(sql)] == [4997, 4996, 4995, 4994, 4993]
        assert asked == [4997, 4996, 4995, 4994, 4993]


def test_tuples_that_wait_for_limit_may_go_to_disk() -> None:
    ours, theirs = KvshEngine(), SqliteEngine()
    ours.session.memory_limit_bytes = 1_000_000
    sql = "SELECT a.*, (SELECT count(*) FROM b WHERE b.x = a.x) FROM a LEFT JOIN b c ON c.x = a.id ORDER BY y, a.id LIMIT -1"
    for con in (ours, theirs):
        con.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, x INT, y INT, t TEXT)")
        con.execute("CREATE TABLE b (x INT)")
        con.execute(
            "INSERT INTO a (x, y, t) WITH RECURSIVE g(n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM g WHERE n < 20000)"
            " SELECT n % 50, n * 7919 % 30011, 'some text some text some text some text' || n FROM g"
        )
        con.execute("INSERT INTO b SELECT id FROM a WHERE id < 40")
    assert ours.execute(sql) == theirs.execute(sql)
