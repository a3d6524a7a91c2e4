"""IN and NOT IN of a subquery as joins, where NULL and LIMIT leave that right; against sqlite3."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.sql.engines import KvshEngine, SqliteEngine, filled

_SCHEMA = (
    "CREATE TABLE a (id INTEGER PRIMARY KEY, x INT NOT NULL, y INT, t TEXT)",
    "CREATE TABLE b (id INTEGER PRIMARY KEY, x INT, y INT, z INT, t TEXT COLLATE NOCASE)",
    "CREATE INDEX b_x ON b (x)",
    "CREATE INDEX b_yx ON b (y, x)",
    "CREATE TABLE w (x INT, y INT, PRIMARY KEY (x, y)) WITHOUT ROWID",
    "CREATE TABLE empty (x INT)",
)
_JOINED = (
    "SELECT id FROM a WHERE x NOT IN (SELECT x FROM b)",
    "SELECT id FROM a WHERE x NOT IN (SELECT x FROM b WHERE y > 3) AND y < 7",
    "SELECT id FROM a WHERE x NOT IN (SELECT b.x FROM b WHERE b.y = a.y)",
    "SELECT id FROM a WHERE (x, y) NOT IN (SELECT x, y FROM b)",
    "SELECT id FROM a WHERE (y, x) NOT IN (SELECT x, y FROM w)",
    "SELECT id FROM a WHERE id NOT IN (SELECT x FROM b) AND x NOT IN (SELECT y FROM w WHERE x < 4)",
    "SELECT a.id, b.id FROM a JOIN b ON b.x = a.x WHERE a.y NOT IN (SELECT x FROM w WHERE y = 2)",
    "SELECT id FROM a WHERE y NOT IN (SELECT id FROM b)",
    "SELECT y, count(*) FROM a WHERE x NOT IN (SELECT x FROM w) GROUP BY y",
)
_TESTED = (
    "SELECT id FROM a WHERE x NOT IN (SELECT z FROM b)",
    "SELECT id FROM a WHERE x NOT IN (SELECT z FROM b WHERE z IS NOT NULL)",
    "SELECT id FROM a WHERE x NOT IN (SELECT x FROM empty)",
    "SELECT id FROM a WHERE x NOT IN (SELECT x FROM b ORDER BY x LIMIT 4)",
    "SELECT id FROM a WHERE x + 1 NOT IN (SELECT x FROM b)",
    "SELECT a.id, b.x FROM a LEFT JOIN b ON b.id = a.x * 3 WHERE b.x NOT IN (SELECT x FROM w WHERE y = 3)",
    "SELECT a.id, b.id FROM a LEFT JOIN b ON b.x = a.x AND a.y NOT IN (SELECT x FROM w WHERE y = 2)",
    "SELECT id, x NOT IN (SELECT x FROM b) FROM a",
    "SELECT id FROM a WHERE x NOT IN (SELECT x FROM b) OR y = 3",
    "SELECT id FROM a WHERE x IN (SELECT b.x FROM b WHERE b.y = a.y ORDER BY b.x LIMIT 1)",
    "SELECT id FROM a WHERE x IN (SELECT b.x FROM b WHERE b.y = a.y ORDER BY b.x DESC LIMIT 2)",
    "SELECT id FROM a WHERE x IN (SELECT b.x FROM b WHERE b.y = a.y)",
    "SELECT id FROM a WHERE t NOT IN (SELECT t FROM b)",
)


@pytest.fixture(scope="module", params=["one kind", "with NULL"])
def engines(request: pytest.FixtureRequest) -> tuple[KvshEngine, SqliteEngine]:
    draw = random.Random(1)
    some = [None] if request.param == "with NULL" else []
    words = ["x", "X", "y", "Yy", "YY"]
    rows = [
        (draw.randrange(30), draw.choice([*range(10), *some]), draw.choice(words))
        for _ in range(300)
    ]
    others = [
        (
            draw.choice([*range(25), *some]),
            draw.choice([*range(10), *some]),
            draw.choice([None, 1, 2, 3]),
            draw.choice(words[:3]),
        )
        for _ in range(80)
    ]
    filling: dict[str, Any] = {
        "INSERT INTO a (x, y, t) VALUES (?, ?, ?)": rows,
        "INSERT INTO b (x, y, z, t) VALUES (?, ?, ?, ?)": others,
        "INSERT INTO w VALUES (?, ?)": [(n % 9, n // 9) for n in range(60)],
    }
    return filled(_SCHEMA, filling, leaf_limit=8)


@pytest.mark.parametrize("sql", [*_JOINED, *_TESTED])
def test_the_rows_are_sqlites(sql: str, engines: tuple[KvshEngine, SqliteEngine]) -> None:
    ours, oracle = engines
    assert sorted(map(repr, ours.execute(sql))) == sorted(map(repr, oracle.execute(sql)))


@pytest.mark.parametrize("sql", [*_JOINED, *_TESTED])
def test_which_are_anti_joins(sql: str) -> None:
    ours = KvshEngine()
    for statement in _SCHEMA:
        ours.execute(statement)
    for n in range(50):
        ours.execute("INSERT INTO a (x, y, t) VALUES (?, ?, 't')", (n, n))
        ours.execute("INSERT INTO b (x, y, z) VALUES (?, ?, NULL)", (n % 7, n))
        ours.execute("INSERT INTO w VALUES (?, ?)", (n, n % 3))
    plan = "\n".join(str(row) for row in ours.execute(f"EXPLAIN {sql}"))
    assert ("Anti-join" in plan) == (sql in _JOINED), plan


def test_a_plan_is_made_anew_once_there_is_null() -> None:
    tables = ("CREATE TABLE a (x INT)", "CREATE TABLE b (x INT)")
    rows = {"INSERT INTO a VALUES (?)": [(1,), (2,), (3,)], "INSERT INTO b VALUES (?)": [(2,)]}
    ours, oracle = filled(tables, rows)
    query = "SELECT x FROM a WHERE x NOT IN (SELECT x FROM b)"
    for statement in (
        "INSERT INTO a VALUES (4)",
        "INSERT INTO a VALUES (NULL)",
        "INSERT INTO b VALUES (NULL)",
        "DELETE FROM b",
    ):
        assert ours.execute(query) == oracle.execute(query)
        for engine in (ours, oracle):
            engine.execute(statement)
        assert ours.execute(query) == oracle.execute(query), statement
