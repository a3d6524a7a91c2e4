"""Correlated subqueries of many rows, which are computed once for each value that they depend on, against sqlite3."""

from __future__ import annotations

import random
import sqlite3

import pytest

import kvsh

QUERIES = (
    "SELECT count(*) FROM t a WHERE id = (SELECT max(id) FROM t b WHERE b.k = a.k)",
    "SELECT id, (SELECT typeof(a.v) || count(*) FROM t b WHERE b.k = a.k AND b.v = a.v) FROM t a WHERE id % 7 = 0",
    "SELECT id, (SELECT count(*) FROM t b WHERE b.t = a.t AND b.k = a.k) FROM t a WHERE id < 900",
    "SELECT k, (SELECT sum(id) FROM (SELECT id FROM t b WHERE b.k = a.k ORDER BY id LIMIT 3)) FROM t a WHERE id < 300",
    "SELECT id FROM t a WHERE EXISTS (SELECT 1 FROM t b WHERE b.k = a.k + 1 AND b.id < a.k * 3 LIMIT 1 OFFSET 1) OR id < 3",
    "SELECT id, (SELECT 1 / a.r FROM t b WHERE b.id = a.k) FROM t a WHERE id < 100",
    "SELECT a.t, (SELECT max(b.id) FROM t b WHERE b.t = a.t) FROM t a GROUP BY a.t",
    "SELECT id, (SELECT (SELECT count(*) FROM t c WHERE c.k = b.k AND c.t = a.t) FROM t b WHERE b.id = a.k) FROM t a WHERE id < 500",
    "SELECT count(*) FROM t a WHERE NOT EXISTS (SELECT 1 FROM t b WHERE b.k = a.k AND b.v = 2.5 AND b.id > a.k * 10)",
    "SELECT id, (SELECT a.k || b.t FROM t b WHERE b.id = a.k) FROM t a ORDER BY 2, 1 LIMIT 50",
    "SELECT a.id, b.id FROM t a JOIN t b ON b.id = a.k WHERE (SELECT count(*) FROM t c WHERE c.k = a.k AND c.id > b.id) = 9",
    "UPDATE t SET v = (SELECT count(*) FROM t b WHERE b.k = t.k) WHERE id % 3 = 0 RETURNING id, v",
)


@pytest.mark.parametrize("sql", QUERIES)
def test_subqueries_are_those_of_sqlite(sql: str) -> None:
    draw = random.Random(3)
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    odd = [None, 1, 1.0, 2, "1", "a", b"a", 2.5]
    rows = [
        (
            i,
            draw.choice([None, *range(40)]),
            draw.choice(odd),
            draw.choice(["x", "Z", None]),
            draw.choice([0.0, -0.0, 1.5]),
        )
        for i in range(3000)
    ]
    for con in (ours, theirs):
        con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, k INT, v, t TEXT, r REAL)")
        con.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
        con.execute("CREATE INDEX t_k ON t(k)")
    assert sorted(ours.execute(sql).fetchall(), key=repr) == sorted(
        theirs.execute(sql).fetchall(), key=repr
    )


def test_a_subquery_that_calls_a_program_is_run_for_each_row() -> None:
    calls = []
    con = kvsh.connect(":memory:")
    con.create_function("seen", 1, lambda value: calls.append(value) or value)
    con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, k INT NOT NULL)")
    con.executemany("INSERT INTO t VALUES (?, ?)", [(i, i % 2) for i in range(500)])
    con.execute("SELECT (SELECT seen(b.id) FROM t b WHERE b.id = a.k) FROM t a").fetchall()
    assert len(calls) == 500


def test_a_subquery_that_orders_what_it_is_shown_in_is_computed_once() -> None:
    con = kvsh.connect(":memory:")
    con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, k INT, x)")
    con.executemany("INSERT INTO t VALUES (?, ?, 0)", [(i, i % 20) for i in range(20_000)])
    con.execute("CREATE INDEX t_k ON t(k)")
    con.execute("CREATE TABLE u(i INT, j)")
    con.executemany("INSERT INTO u VALUES (?, 0)", [(i % 20_003,) for i in range(60_000)])
    con.execute("CREATE INDEX u_i ON u(i)")
    query = "SELECT t.*, (SELECT count(*) FROM u WHERE u.i = t.id) n FROM t WHERE k = 5 ORDER BY n DESC, id LIMIT 2"
    assert con.execute(query).fetchall() == [(5, 5, 0, 3), (25, 5, 0, 3)]
    code = "\n".join(row[0] for row in con.execute(f"EXPLAIN CODE {query}"))
    assert code.count("value = first_value(") == 1
