"""Correlated aggregates that are asked of many rows are computed as groups, all at once; against sqlite3."""

from __future__ import annotations

import random

import pytest

from tests.sql.engines import EngineError, KvshEngine, SqliteEngine

_SCHEMA = (
    "CREATE TABLE c (id INTEGER PRIMARY KEY, k, name TEXT, r REAL)",
    "CREATE TABLE o (id INTEGER PRIMARY KEY, c_id INT, k, kind TEXT, total REAL, n INT)",
    "CREATE TABLE x (o_id INT, v INT)",
    "CREATE TABLE none (c_id INT)",
)
_GROUPED = (
    "SELECT id, (SELECT count(*) FROM o WHERE o.c_id = c.id) FROM c",
    "SELECT id, (SELECT sum(n) FROM o WHERE c.id = o.c_id AND o.kind = 'a') FROM c",
    "SELECT id, (SELECT coalesce(sum(n), -1) + count(*) * 2 FROM o WHERE o.c_id = c.id) FROM c",
    "SELECT id, (SELECT max(total) FROM o WHERE o.c_id = c.id) m, (SELECT min(n) FROM o WHERE o.c_id = c.id) FROM c",
    "SELECT id FROM c WHERE (SELECT count(DISTINCT kind) FROM o WHERE o.c_id = c.id) > 1",
    "SELECT id FROM c WHERE (SELECT total(n) FROM o WHERE o.c_id = c.id) = 0",
    "SELECT id, (SELECT group_concat(n) FROM o WHERE o.c_id = c.id) FROM c ORDER BY id DESC",
    "SELECT id, (SELECT count(*) FROM o WHERE o.c_id = c.id AND o.kind = c.name) FROM c",
    "SELECT id, (SELECT count(*) FROM o WHERE o.n = c.id + 3) FROM c",
    "SELECT id, (SELECT sum(v) FROM o, x WHERE x.o_id = o.id AND o.c_id = c.id) FROM c",
    "SELECT id, (SELECT count(*) FROM none WHERE none.c_id = c.id) FROM c",
    "SELECT name, sum((SELECT count(*) FROM o WHERE o.c_id = c.id)) FROM c GROUP BY name",
    "SELECT id, (SELECT count(*) FROM o WHERE o.k = c.k) FROM c",
    "SELECT id, (SELECT count(total) FROM o WHERE o.total = c.r) FROM c",
    "SELECT id, CASE WHEN id % 2 THEN (SELECT count(*) FROM o WHERE o.c_id = c.id) ELSE -1 END FROM c",
    "SELECT id FROM c ORDER BY (SELECT count(*) FROM o WHERE o.c_id = c.id) DESC, id",
    "SELECT id, (SELECT count(*) FROM o WHERE o.c_id = c.id LIMIT 1) FROM c",
    "SELECT c.id, d.id, (SELECT count(*) FROM o WHERE o.c_id = d.id) FROM c LEFT JOIN c d ON d.id = c.id * 2",
)
_ROW_BY_ROW = (
    "SELECT id, (SELECT count(*) FROM o WHERE o.c_id > c.id) FROM c WHERE id < 30",
    "SELECT id, (SELECT count(*) FROM o WHERE o.c_id = c.id LIMIT 0) FROM c",
    "SELECT id, (SELECT count(*) FROM o WHERE o.c_id = c.id LIMIT '0') FROM c",
    "SELECT id, (SELECT count(*) FROM o WHERE o.c_id = c.id LIMIT 1 OFFSET 1) FROM c",
    "SELECT id, (SELECT count(*) + c.id FROM o WHERE o.c_id = c.id) FROM c",
    "SELECT id, (SELECT sum(n * c.id) FROM o WHERE o.c_id = c.id) FROM c",
    "SELECT id, (SELECT count(*) FROM o WHERE o.c_id IS c.id) FROM c",
    "SELECT id, (SELECT n FROM o WHERE o.c_id = c.id ORDER BY id LIMIT 1) FROM c",
    "SELECT id, (SELECT count(*) FROM o WHERE o.c_id = c.id HAVING count(*) > 2) FROM c",
    "SELECT id, (SELECT n FROM o WHERE o.c_id = c.id GROUP BY kind ORDER BY kind LIMIT 1) IS NULL FROM c",
    "SELECT id, (SELECT count(*) FROM o WHERE o.kind = c.name COLLATE NOCASE) FROM c",
    "SELECT id, (SELECT count(*) FROM o WHERE o.c_id = c.name) FROM c",
    "SELECT id, (SELECT count(*) FROM o LEFT JOIN x ON x.o_id = o.id WHERE o.c_id = c.id) FROM c",
    "SELECT id, (SELECT count(*) FROM o WHERE o.c_id = c.id) FROM c WHERE id = 3",
    "SELECT id, r, (SELECT count(*) FROM o WHERE o.c_id = c.id) FROM c ORDER BY r, id LIMIT 2",
)


@pytest.fixture(scope="module")
def engines() -> tuple[KvshEngine, SqliteEngine]:
    ours, oracle = KvshEngine(), SqliteEngine()
    draw = random.Random(4)
    mixed = [None, 1, 1.0, 2, "1", "a", b"a", 0, -0.0, 2.5, 1 << 60, float(1 << 60)]
    for engine in (ours, oracle):
        for statement in _SCHEMA:
            engine.execute(statement)
    for number in range(600):
        row = (draw.choice(mixed), draw.choice(["a", "b", "B", None]), number / 4)
        for engine in (ours, oracle):
            engine.execute("INSERT INTO c (k, name, r) VALUES (?, ?, ?)", row)
    for number in range(2500):
        order = (
            draw.choice([None, *range(1, 500)]),
            draw.choice(mixed),
            draw.choice(["a", "b", None]),
            draw.choice([None, draw.randrange(800) / 8]),
            draw.choice([None, draw.randrange(600)]),
        )
        for engine in (ours, oracle):
            engine.execute("INSERT INTO o (c_id, k, kind, total, n) VALUES (?, ?, ?, ?, ?)", order)
            engine.execute("INSERT INTO x VALUES (?, ?)", (number * 7 % 2500, number % 10))
    for engine in (ours, oracle):
        engine.execute("CREATE INDEX o_c ON o (c_id)")
        engine.execute("CREATE INDEX x_o ON x (o_id)")
    return ours, oracle


@pytest.mark.parametrize("sql", [*_GROUPED, *_ROW_BY_ROW])
def test_values_are_sqlites(sql: str, engines: tuple[KvshEngine, SqliteEngine]) -> None:
    ours, oracle = engines
    found, expected = ours.execute(sql), oracle.execute(sql)
    assert sorted(map(repr, found)) == sorted(map(repr, expected))
    if "ORDER BY id" in sql:
        assert found == expected


@pytest.mark.parametrize("sql", [*_GROUPED, *_ROW_BY_ROW])
def test_which_are_computed_as_groups(sql: str, engines: tuple[KvshEngine, SqliteEngine]) -> None:
    ours, _ = engines
    code = "\n".join(str(row[0]) for row in ours.execute(f"EXPLAIN CODE {sql}"))
    assert ("Grouped(" in code) == (sql in _GROUPED), code


def test_changes_between_runs_are_seen(engines: tuple[KvshEngine, SqliteEngine]) -> None:
    query = "SELECT sum((SELECT count(*) FROM o WHERE o.c_id = c.id)) FROM c"
    for statement in (
        "SAVEPOINT s",
        "DELETE FROM o WHERE id % 3 = 0",
        "UPDATE o SET c_id = (SELECT count(*) FROM c WHERE c.id = o.n)",
        "ROLLBACK TO s",
        "RELEASE s",
    ):
        for engine in engines:
            engine.execute(statement)
        ours, oracle = engines
        assert ours.execute(query) == oracle.execute(query), statement


@pytest.mark.parametrize(
    "value", ["sum(n)", "abs(min(n))", "sum(json_extract(kind, '$.a'))", "count(abs(n))"]
)
def test_groups_that_nobody_asks_for_may_fail(value: str) -> None:
    ours, oracle = KvshEngine(), SqliteEngine()
    query = f"SELECT id, (SELECT {value} FROM o WHERE o.c_id = c.id) FROM c"
    for engine in (ours, oracle):
        for statement in (
            *_SCHEMA,
            "INSERT INTO c WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT 300)"
            " SELECT n, 1, '', 1.5 FROM s",
            "INSERT INTO o (c_id, n, kind) SELECT id % 100, id, '{\"a\": 1}' FROM c",
            "INSERT INTO o (c_id, n, kind) SELECT -1, -9223372036854775807 - 1, '{' FROM c LIMIT 2",
        ):
            engine.execute(statement)
    code = "\n".join(str(row[0]) for row in ours.execute(f"EXPLAIN CODE {query}"))
    assert "Grouped(" in code
    assert ours.execute(query) == oracle.execute(query)
    for engine in (ours, oracle):
        engine.execute("INSERT INTO c VALUES (-1, 1, '', 1.5)")
        with pytest.raises(EngineError, match=r"integer overflow|malformed JSON"):
            engine.execute(query)
