"""Rows that are fetched only when LIMIT has picked them are those that sqlite3 gives."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import pytest

import kvsh

SCHEMA = """
CREATE TABLE f(a INT, b INT, PRIMARY KEY(a, b)) WITHOUT ROWID;
CREATE TABLE p(id INTEGER PRIMARY KEY, u INT, t, body TEXT, n INT);
CREATE INDEX p_u ON p(u, t);
CREATE TABLE u(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE);
"""

FEED = "FROM f JOIN p ON p.u = f.b WHERE f.a = ?"
LATE = (
    f"SELECT p.id, p.t, p.body {FEED} ORDER BY p.t DESC, p.id LIMIT 5",
    f"SELECT * {FEED} ORDER BY p.t, p.id LIMIT 7 OFFSET 2",
    f"SELECT p.body, f.b * 10, p.t || 'x', 'k' {FEED} ORDER BY -p.id LIMIT 4",
    f"SELECT p.body {FEED} AND p.t > 3 ORDER BY f.b DESC, p.t NULLS LAST, p.id LIMIT 6",
    f"SELECT p.n, p.n {FEED} ORDER BY p.t, p.id LIMIT ?",
    "SELECT id, body FROM p WHERE u IN (SELECT b FROM f WHERE a = ? ORDER BY b LIMIT 3) ORDER BY t DESC, id LIMIT 6",
    "SELECT id, body FROM p WHERE u IN (1, 2, ?) ORDER BY t DESC, id DESC LIMIT 6",
    "SELECT p.body, u.name FROM f JOIN p ON p.u = f.b JOIN u ON u.id = p.u WHERE f.a = ? ORDER BY p.t, p.id LIMIT 5",
    "SELECT p.body, u.name FROM f JOIN p ON p.u = f.b LEFT JOIN u ON u.id = p.u AND u.name < 'n' WHERE f.a = ? ORDER BY p.t, p.id LIMIT 5",
    "SELECT (SELECT max(q.body) FROM (SELECT p.body FROM f JOIN p ON p.u = f.b WHERE f.a = ?1 ORDER BY p.t, p.id LIMIT 3) q), ?1",
    f"WITH q AS (SELECT p.id, p.n {FEED} ORDER BY p.t, p.id LIMIT 9) SELECT sum(a.n), count(*) FROM q a JOIN q b ON a.id <= b.id",
    f"SELECT p.body || p.n || f.b, p.id {FEED} ORDER BY p.t, p.id LIMIT 5",
    f"SELECT * FROM (SELECT p.body {FEED} ORDER BY p.t, p.id LIMIT 3) UNION ALL SELECT name FROM u WHERE id < 3",
)
OTHERS = (
    f"SELECT p.body {FEED} ORDER BY p.n, p.id LIMIT 5",
    f"SELECT p.body {FEED} AND p.n > 3 ORDER BY p.t, p.id LIMIT 5",
    f"SELECT p.body, (SELECT name FROM u WHERE u.id = p.u) {FEED} ORDER BY p.t, p.id LIMIT 5",
    f"SELECT DISTINCT p.body {FEED} ORDER BY p.t, p.id LIMIT 5",
    f"SELECT p.body, count(*) OVER () {FEED} ORDER BY p.t, p.id LIMIT 5",
    "SELECT u.name, (SELECT body FROM p WHERE p.u IN (u.id, u.id + 1) ORDER BY t DESC, id LIMIT 1) FROM u WHERE id < ?",
    "SELECT f.b, p.body FROM f LEFT JOIN p ON p.u = f.b WHERE f.a = ? ORDER BY p.t, p.id, f.b LIMIT 5",
)


def pair() -> tuple[Any, Any]:
    draw = random.Random(4)
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    follows = sorted({(draw.randrange(50), draw.randrange(600)) for _ in range(600)})
    posts = [
        (i, draw.randrange(600), draw.choice([None, i % 9, i % 7 + 0.5, "t"]), f"body {i}", i % 11)
        for i in range(12000)
    ]
    users = [(i, f"{'Nn'[i % 2]}ame {i}") for i in range(600)]
    for con in (ours, theirs):
        con.executescript(SCHEMA)
        con.executemany("INSERT INTO f VALUES (?, ?)", follows)
        con.executemany("INSERT INTO p VALUES (?, ?, ?, ?, ?)", posts)
        con.executemany("INSERT INTO u VALUES (?, ?)", users)
        con.commit()
    return ours, theirs


@pytest.mark.parametrize("sql", [*LATE, *OTHERS])
def test_they_are_those_of_sqlite(sql: str) -> None:
    ours, theirs = pair()
    for key in (3, 3, 7, 19, 400, 3, 0):
        values: tuple[int, ...] = (key, 4) if sql.endswith("LIMIT ?") else (key,)
        assert ours.execute(sql, values).fetchall() == theirs.execute(sql, values).fetchall()
    if sql.endswith("LIMIT ?"):
        for limit in (-1, 0, 1, 500):
            assert (
                ours.execute(sql, (3, limit)).fetchall()
                == theirs.execute(sql, (3, limit)).fetchall()
            )


@pytest.mark.parametrize("sql", [*LATE, *OTHERS])
def test_the_index_alone_finds_what_limit_picks(sql: str) -> None:
    ours, _ = pair()
    values = (3, 4) if sql.endswith("LIMIT ?") else (3,)
    plan = "\n".join(row[0] for row in ours.execute(f"EXPLAIN {sql}", values))
    is_late = "p by covering index p_u" in plan and "Search p by primary key" in plan
    assert is_late == (sql in LATE), plan


def test_columns_are_named_and_typed_as_they_were() -> None:
    ours, theirs = pair()
    sql = LATE[1]
    found, wanted = (con.execute(sql, (3,)) for con in (ours, theirs))
    assert [column[0] for column in found.description] == [c[0] for c in wanted.description]


SCANNED = (
    "SELECT * FROM p WHERE n > ? ORDER BY t DESC, id LIMIT 5",
    "SELECT body, n FROM p WHERE n <> ? ORDER BY n DESC, id LIMIT 6",
    "SELECT body || u, -n, t, body FROM p WHERE n > ? ORDER BY n, -id LIMIT 3 OFFSET 2",
    "SELECT p.body, w.name, p.id FROM p JOIN u w ON w.id = p.u WHERE p.n > ? ORDER BY p.n, w.name, p.id LIMIT 4",
    "SELECT body FROM p WHERE n > ? ORDER BY t NULLS LAST, n LIMIT 5",
)
NOT_SCANNED = (
    "SELECT n, id FROM p WHERE n > ? ORDER BY n, id LIMIT 5",
    "SELECT body FROM p WHERE n > ? ORDER BY n, id LIMIT 500",
    "SELECT body, (SELECT name FROM u WHERE u.id = p.n) FROM p WHERE n > ? ORDER BY n, id LIMIT 5",
    "SELECT body, random() * 0 FROM p WHERE n > ? LIMIT 5",
)


@pytest.mark.parametrize("sql", [*SCANNED, *NOT_SCANNED])
def test_a_scan_leaves_columns_for_the_rows_that_limit_picks(sql: str) -> None:
    ours, theirs = pair()
    plan = "\n".join(row[0] for row in ours.execute(f"EXPLAIN {sql}", (3,)))
    assert ("Search p by primary key" in plan) == (sql in SCANNED), plan
    for value in (3, 3, 0, 9, 99):
        assert ours.execute(sql, (value,)).fetchall() == theirs.execute(sql, (value,)).fetchall()
