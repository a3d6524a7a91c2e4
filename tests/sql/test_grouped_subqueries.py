"""Correlated aggregates, and EXISTS, that are asked of many rows are computed for all keys at once; against sqlite3."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.sql.engines import EngineError, KvshEngine, SqliteEngine, filled

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
_PRESENT = (
    "SELECT id, EXISTS (SELECT 1 FROM o WHERE o.c_id = c.id) FROM c ORDER BY id",
    "SELECT id, NOT EXISTS (SELECT 1 FROM o WHERE c.id = o.c_id AND o.kind = 'a') FROM c ORDER BY id",
    "SELECT id, EXISTS (SELECT * FROM o WHERE o.c_id = c.id AND o.kind = c.name ORDER BY n LIMIT 3) FROM c",
    "SELECT id, k, EXISTS (SELECT n FROM o WHERE o.k = c.k) FROM c",
    "SELECT id, k, EXISTS (SELECT n FROM o WHERE o.k = c.k AND o.kind = c.name) FROM c",
    "SELECT id, EXISTS (SELECT 1 FROM o WHERE o.total = c.r LIMIT -1) FROM c",
    "SELECT id, EXISTS (SELECT 1 FROM o, x WHERE x.o_id = o.id AND x.v = 3 AND o.c_id = c.id) FROM c",
    "SELECT id, EXISTS (SELECT NULL FROM o WHERE o.n + 1 = c.id) FROM c",
    "SELECT id, EXISTS (SELECT 1 FROM none WHERE none.c_id = c.id) FROM c",
    "SELECT CASE WHEN EXISTS (SELECT 1 FROM o WHERE o.c_id = c.id) THEN name END v, count(*) FROM c GROUP BY 1",
    "SELECT id FROM c WHERE r < 20 OR EXISTS (SELECT 1 FROM o WHERE o.c_id = c.id AND n > 300)",
    "SELECT c.id, d.id, EXISTS (SELECT 1 FROM o WHERE o.c_id = d.id) FROM c LEFT JOIN c d ON d.id = c.id * 2",
    "SELECT id, EXISTS (SELECT DISTINCT kind FROM o WHERE o.c_id = c.id AND o.n IN (SELECT v FROM x)) FROM c",
)
_ASKED_BY_ROW = (
    "SELECT id, EXISTS (SELECT 1 FROM o WHERE o.c_id > c.id + 400) FROM c",
    "SELECT id, EXISTS (SELECT 1 FROM o WHERE o.k IS c.k) FROM c",
    "SELECT id, EXISTS (SELECT 1 FROM o WHERE o.c_id = c.id LIMIT 0) FROM c",
    "SELECT id, EXISTS (SELECT 1 FROM o WHERE o.c_id = c.id LIMIT 1 OFFSET 5) FROM c",
    "SELECT id, EXISTS (SELECT count(*) FROM o WHERE o.c_id = c.id) FROM c",
    "SELECT id, EXISTS (SELECT 1 FROM o WHERE o.c_id = c.id GROUP BY kind HAVING count(*) > 3) FROM c",
    "SELECT id, EXISTS (SELECT 1 FROM o WHERE o.kind = c.name COLLATE NOCASE) FROM c",
    "SELECT id, EXISTS (SELECT 1 FROM o WHERE o.c_id = c.name) FROM c",
    "SELECT id, EXISTS (SELECT 1 FROM o WHERE o.c_id = c.id AND c.r > 50) FROM c",
    "SELECT id, EXISTS (SELECT 1 FROM o LEFT JOIN x ON x.o_id = o.id WHERE o.c_id = c.id) FROM c",
    "SELECT id, EXISTS (SELECT 1 FROM o WHERE o.c_id = c.id UNION ALL SELECT 1 FROM x WHERE x.v = c.id) FROM c",
    "SELECT id, EXISTS (SELECT 1 FROM o WHERE o.c_id = c.id AND random() IS NOT NULL) FROM c",
    "SELECT id, EXISTS (SELECT 1 FROM o WHERE o.c_id = c.id) FROM c WHERE id = 3",
    "SELECT id, r, EXISTS (SELECT 1 FROM o WHERE o.c_id = c.id) FROM c ORDER BY r, id LIMIT 2",
)


@pytest.fixture(scope="module")
def engines() -> tuple[KvshEngine, SqliteEngine]:
    draw = random.Random(4)
    mixed = [None, 1, 1.0, 2, "1", "a", b"a", 0, -0.0, 2.5, 1 << 60, float(1 << 60)]
    customers = [
        (draw.choice(mixed), draw.choice(["a", "b", "B", None]), number / 4)
        for number in range(600)
    ]
    orders = [
        (
            draw.choice([None, *range(1, 500)]),
            draw.choice(mixed),
            draw.choice(["a", "b", None]),
            draw.choice([None, draw.randrange(800) / 8]),
            draw.choice([None, draw.randrange(600)]),
        )
        for _ in range(2500)
    ]
    filling: dict[str, Any] = {
        "INSERT INTO c (k, name, r) VALUES (?, ?, ?)": customers,
        "INSERT INTO o (c_id, k, kind, total, n) VALUES (?, ?, ?, ?, ?)": orders,
        "INSERT INTO x VALUES (?, ?)": [(n * 7 % 2500, n % 10) for n in range(2500)],
        "CREATE INDEX o_c ON o (c_id)": [()],
        "CREATE INDEX x_o ON x (o_id)": [()],
    }
    return filled(_SCHEMA, filling)


@pytest.mark.parametrize("sql", [*_GROUPED, *_ROW_BY_ROW, *_PRESENT, *_ASKED_BY_ROW])
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


@pytest.mark.parametrize("sql", [*_PRESENT, *_ASKED_BY_ROW])
def test_which_ask_for_keys_that_are_there(
    sql: str, engines: tuple[KvshEngine, SqliteEngine]
) -> None:
    ours, _ = engines
    code = "\n".join(str(row[0]) for row in ours.execute(f"EXPLAIN CODE {sql}"))
    assert ("Present(" in code) == (sql in _PRESENT), code


def test_changes_between_runs_are_seen(engines: tuple[KvshEngine, SqliteEngine]) -> None:
    queries = (
        "SELECT sum((SELECT count(*) FROM o WHERE o.c_id = c.id)) FROM c",
        "SELECT sum(EXISTS (SELECT 1 FROM o WHERE o.c_id = c.id)) FROM c",
    )
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
        for query in queries:
            assert ours.execute(query) == oracle.execute(query), statement


@pytest.mark.parametrize(
    "value", ["sum(n)", "abs(min(n))", "sum(json_extract(kind, '$.a'))", "count(abs(n))"]
)
def test_groups_that_nobody_asks_for_may_fail(value: str) -> None:
    orders = [(n % 100, n, '{"a": 1}') for n in range(300)] + 2 * [(-1, -(1 << 63), "{")]
    filling: dict[str, Any] = {
        "INSERT INTO c (id) VALUES (?)": [(n,) for n in range(300)],
        "INSERT INTO o (c_id, n, kind) VALUES (?, ?, ?)": orders,
    }
    ours, oracle = filled(_SCHEMA, filling)
    query = f"SELECT id, (SELECT {value} FROM o WHERE o.c_id = c.id) FROM c"
    code = "\n".join(str(row[0]) for row in ours.execute(f"EXPLAIN CODE {query}"))
    assert "Grouped(" in code
    assert ours.execute(query) == oracle.execute(query)
    for engine in (ours, oracle):
        engine.execute("INSERT INTO c (id) VALUES (-1)")
        with pytest.raises(EngineError, match=r"integer overflow|malformed JSON"):
            engine.execute(query)
