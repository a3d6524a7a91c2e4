"""Subqueries and views that become part of the query around them give what they give to sqlite3."""

from __future__ import annotations

import random
import re
import sqlite3
from typing import Any

import pytest

import kvsh

SCHEMA = """
CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INT, c, n TEXT COLLATE NOCASE);
CREATE INDEX t_b ON t(b);
CREATE INDEX t_n ON t(n);
CREATE TABLE u(id INTEGER PRIMARY KEY, t INT, x);
CREATE INDEX u_t ON u(t);
CREATE VIEW v AS SELECT id, a, b * 2 AS d, b, c, n FROM t WHERE b <> 5;
CREATE VIEW w(i, d, e) AS SELECT id, d + 1, n FROM v WHERE id > 3;
CREATE VIEW j AS SELECT t.id, t.n, u.x, u.id AS k FROM t JOIN u ON u.t = t.id;
CREATE VIEW l AS SELECT t.id, u.x FROM t LEFT JOIN u ON u.t = t.id AND u.id % 2;
CREATE VIEW g AS SELECT b, count(*) AS m, max(c) AS c FROM t GROUP BY b;
CREATE VIEW s AS SELECT DISTINCT c FROM t;
CREATE VIEW p AS SELECT id, c FROM t UNION ALL SELECT t, x FROM u;
"""

MERGED = (
    "SELECT * FROM v WHERE id = 7",
    "SELECT a FROM v WHERE b = 7 AND d > 3",
    "SELECT * FROM w WHERE i BETWEEN 5 AND 9",
    "SELECT count(*), sum(d) FROM w WHERE e = 'N3'",
    "SELECT v.a, u.x FROM u JOIN v ON v.id = u.t WHERE u.id = 4",
    "SELECT * FROM j WHERE k = 3",
    "SELECT j.x, v.d FROM j, v WHERE j.id = v.id AND v.b = 3",
    "SELECT * FROM l WHERE id = 8",
    "SELECT * FROM u LEFT JOIN t ON t.id = u.t JOIN v ON v.id = u.id",
    "SELECT * FROM (SELECT * FROM (SELECT id AS i, n FROM t) WHERE i > 2) WHERE i < 9",
    "SELECT id FROM (SELECT id, b FROM t WHERE id < 40 ORDER BY b DESC, id) LIMIT 5",
    "WITH q AS (SELECT id, b FROM t) SELECT * FROM q WHERE id = 3",
    "SELECT n, count(*) FROM v GROUP BY n ORDER BY n",
    "SELECT DISTINCT n FROM v WHERE b = 3 ORDER BY n",
    "SELECT id, row_number() OVER (ORDER BY d, id) FROM v WHERE id < 9",
    "SELECT d, d FROM v WHERE id = 6 UNION SELECT b, c FROM v WHERE id = 9",
    "SELECT id, (SELECT max(x) FROM u WHERE u.t = v.id + v.d) FROM v WHERE id < 9",
    "SELECT count(*) FROM t WHERE EXISTS (SELECT 1 FROM v WHERE v.id = t.id AND v.d = 4)",
    "SELECT * FROM (SELECT 1 AS k, t.* FROM t) WHERE k = b AND id < 99",
    "SELECT * FROM (SELECT a || 'x' AS y, id FROM t) WHERE y = '7x'",
    "SELECT * FROM (SELECT n COLLATE BINARY AS y, n, id FROM t) WHERE y = 'N3' AND n = 'N3'",
    "SELECT typeof(y), y FROM (SELECT CAST(b AS TEXT) AS y FROM t WHERE id < 9) WHERE y > 3",
    "SELECT v.id FROM v JOIN json_each('[1, ' || v.d || ']') e WHERE v.id = 6 AND e.value = v.d",
)
KEPT = (
    "SELECT * FROM g WHERE b = 3",
    "SELECT * FROM g WHERE b = 3.0 AND m > 1",
    "SELECT * FROM g WHERE b IN (1, 2) AND c = 4",
    "SELECT * FROM g WHERE b LIKE '3%'",
    "SELECT * FROM (SELECT n, count(*) FROM t GROUP BY n) WHERE n = 'n3'",
    "SELECT * FROM (SELECT n, count(*) FROM t GROUP BY n) WHERE n = 'n3' COLLATE BINARY",
    "SELECT * FROM (SELECT count(*) AS m FROM t) WHERE m > 1",
    "SELECT * FROM (SELECT count(*) AS m, b % 0 AS z FROM t GROUP BY z) WHERE z IS NULL",
    "SELECT * FROM s WHERE c = 4",
    "SELECT * FROM s WHERE typeof(c) = 'text'",
    "SELECT * FROM p WHERE id = 4",
    "SELECT * FROM p WHERE c = '4'",
    "SELECT * FROM (SELECT id FROM t UNION SELECT t FROM u) WHERE id = 3",
    "SELECT * FROM (SELECT id, b FROM t ORDER BY id LIMIT 5) WHERE id > 3",
    "SELECT * FROM (SELECT id, sum(b) OVER (ORDER BY id) AS r FROM t) WHERE id = 6",
    "SELECT group_concat(n) FROM (SELECT n FROM t WHERE id < 9 ORDER BY n DESC, id)",
    "SELECT a.id, b.id FROM u b LEFT JOIN v a ON a.id = b.t WHERE b.id < 9",
    "SELECT * FROM u FULL JOIN (SELECT id, n FROM v WHERE id < 9) q ON q.id = u.t WHERE u.id < 6 OR q.id = 2",
    "WITH q AS (SELECT id, b FROM t) SELECT x.b FROM q x JOIN q y ON x.id = y.b WHERE y.id = 3",
    "WITH q AS MATERIALIZED (SELECT id, b FROM t) SELECT * FROM q WHERE id = 3",
    "SELECT * FROM (VALUES (1, 2), (3, 4)) WHERE column1 = 3",
    "SELECT * FROM (SELECT 1 AS k) WHERE k = 1",
)


def pair(four: float = 4.0) -> tuple[Any, Any]:
    """Two databases of the same rows; of a group of 4 and 4.0 either may be shown."""
    draw = random.Random(9)
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    values = [None, 4, four, "4", "x", 5.5, b"4", 7]
    rows = [
        (str(i), draw.randrange(12), draw.choice(values), f"{'nN'[i % 2]}{i % 6}")
        for i in range(90)
    ]
    for con in (ours, theirs):
        con.executescript(SCHEMA)
        con.executemany("INSERT INTO t(a, b, c, n) VALUES (?, ?, ?, ?)", rows)
        con.executemany(
            "INSERT INTO u(t, x) VALUES (?, ?)", [(i * 7 % 60, values[i % 8]) for i in range(80)]
        )
    return ours, theirs


def told(con: Any, sql: str) -> list[str]:
    rows = [repr(tuple(row)) for row in con.execute(sql)]
    return rows if "ORDER BY" in sql else sorted(rows)


@pytest.mark.parametrize("sql", [*MERGED, *KEPT])
def test_answers_are_those_of_sqlite(sql: str) -> None:
    ours, theirs = pair()
    assert told(ours, sql) == told(theirs, sql)


def plan(con: Any, sql: str) -> str:
    return "\n".join(str(row) for row in con.execute(f"EXPLAIN {sql}"))


@pytest.mark.parametrize("sql", MERGED)
def test_what_is_merged_is_no_subquery_of_the_plan(sql: str) -> None:
    assert not re.search(r"('|─ )Subquery (?!\d)", plan(pair()[0], sql))


@pytest.mark.parametrize("sql", KEPT)
def test_what_is_not_merged_is_one(sql: str) -> None:
    found = plan(pair()[0], sql)
    assert "Subquery" in found or "join" in found.lower()


@pytest.mark.parametrize(
    ("sql", "condition"),
    [
        ("SELECT * FROM g WHERE b = 3 AND m > 1", "t.b = 3"),
        ("SELECT * FROM (SELECT DISTINCT b, id FROM t) WHERE b = 3", "index t_b (b = 3)"),
        ("SELECT * FROM p WHERE id = 4", "primary key (id = 4)"),
        ("SELECT * FROM (SELECT * FROM g) q JOIN u ON u.id = q.m WHERE q.b IN (3, 4)", "t.b in"),
        ("SELECT * FROM g WHERE m = 3", "Filter g.m = 3"),
        ("SELECT * FROM s WHERE typeof(c) = 'text'", "Filter typeof(s.c)"),
    ],
)
def test_where_a_condition_on_columns_of_a_subquery_stands(sql: str, condition: str) -> None:
    assert condition in plan(pair()[0], sql)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1, n FROM w UNION ALL SELECT g, n FROM w WHERE g < '3'",
        "SELECT g FROM w WHERE g < '5' EXCEPT SELECT g FROM w WHERE g < '3'",
        "SELECT g FROM w INTERSECT SELECT g FROM w WHERE g > '3' ORDER BY 1",
        "SELECT (SELECT max(n) FROM w), (SELECT count(*) FROM w WHERE g = '3')",
        "SELECT a.n FROM w a LEFT JOIN w b ON a.g = b.g WHERE a.g = '3'",
    ],
)
def test_a_cte_of_two_arms_is_told_the_condition_of_neither(query: str) -> None:
    """Each arm of a compound, planned by itself, took the CTE for its own, and read the other's rows."""
    ours, theirs = pair()
    sql = f"WITH w(g, n) AS (SELECT b || '', count(*) FROM t GROUP BY 1) {query}"
    assert told(ours, sql) == told(theirs, sql)


def test_what_differs_each_time_is_computed_once() -> None:
    con = pair()[0]
    rows = con.execute("SELECT r, r FROM (SELECT random() AS r FROM t) WHERE r <> 0").fetchall()
    assert len(rows) == 90
    assert all(one == other for one, other in rows)
    groups = "SELECT random() % 2 = 0 AS r, count(*) FROM t GROUP BY r"
    for _ in range(5):
        assert {r for r, _ in con.execute(f"SELECT * FROM ({groups}) WHERE r = 1")} == {1}
    drawn = "SELECT id FROM t WHERE random() % 2 = 0"
    for (given,) in con.execute(
        f"SELECT count(*) FROM ({drawn}) q JOIN u ON u.id < 5 GROUP BY q.id"
    ):
        assert given == 4


@pytest.mark.parametrize("seed", range(6))
def test_random_layers(seed: int) -> None:
    """Queries over subqueries over views: each layer renames, computes, filters, joins or groups."""
    draw = random.Random(seed)
    ours, theirs = pair(four=4)
    for _ in range(80):
        sql = _layered(draw, draw.randrange(1, 4))
        assert told(ours, sql) == told(theirs, sql), sql


_SOURCES = {"t": "id b c n", "v": "id d c n", "j": "id n x", "l": "id x", "g": "b m c", "p": "id c"}


def _layered(draw: random.Random, depth: int) -> str:
    sql, columns = _source(draw)
    for _ in range(depth):
        picked = draw.sample(columns, draw.randrange(1, len(columns) + 1))
        outputs, names = [], []
        for place, column in enumerate(picked):
            form = draw.choice(
                ["{}", "{}", "{} || 'k'", "{} + 1", "coalesce({}, 4)", "CAST({} AS TEXT)"]
            )
            outputs.append(f"{form.format('q.' + column)} AS o{place}")
            names.append(f"o{place}")
        other = ""
        if draw.random() < 0.3:
            second, theirs = _source(draw)
            join = draw.choice(["JOIN", "LEFT JOIN", ","])
            other = f" {join} {second} r "
            other += f"ON r.{draw.choice(theirs)} = q.{draw.choice(columns)}" if join != "," else ""
            outputs.append(f"r.{draw.choice(theirs)} AS z")
            names.append("z")
        tail = ""
        if draw.random() < 0.7:
            test = draw.choice(["= 4", "> 3", "IS NULL", "IN (2, 4, '4')", "= '4'", "LIKE '%4%'"])
            tail = f" WHERE q.{draw.choice(columns)} {test}"
        elif draw.random() < 0.3:
            tail = f" GROUP BY {', '.join(str(place + 1) for place in range(len(outputs)))}"
        distinct = draw.choice(["", "", "", "DISTINCT "])
        sql = f"(SELECT {distinct}{', '.join(outputs)} FROM {sql} q{other}{tail})"
        columns = names
    return f"SELECT * FROM {sql} q WHERE q.{draw.choice(columns)} {draw.choice(['= 4', '> 2', 'IS NOT NULL'])}"


def _source(draw: random.Random) -> tuple[str, list[str]]:
    name, columns = draw.choice(list(_SOURCES.items()))
    return name, columns.split()
