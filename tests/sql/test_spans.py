"""Joins by equality and range: of a key's rows, which are in the order of a value, a span is wanted; against sqlite3.

What Python can't compare as SQL does goes the old way, and so does `<>` of several rows: `MIXED`.
Of `EITHER` estimates say how."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from sql.run.hashing import hash_table
from sql.run.spans import Spans
from tests.sql.engines import KvshEngine, SqliteEngine, filled

if TYPE_CHECKING:
    from sql.context import Context

_SCHEMA = (
    "CREATE TABLE a (id INTEGER PRIMARY KEY, k INT, i INT, r REAL, t TEXT, n TEXT COLLATE NOCASE, m)",
    "CREATE TABLE b (id INTEGER PRIMARY KEY, k INT, i INT, r REAL, t TEXT, n TEXT COLLATE NOCASE, m)",
    "CREATE TABLE c (id INTEGER PRIMARY KEY, k INT, i INT)",
    "CREATE TABLE d (id INTEGER PRIMARY KEY, k INT, v REAL, n INT)",
    "CREATE TABLE empty (k INT, i INT)",
)
SPANS = (
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND b.i > a.i",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND b.i >= a.i AND b.i < a.i + 4",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND a.i <= b.i AND b.i <= a.r AND b.t <> a.t",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND b.r BETWEEN a.i AND a.i + 3",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND b.t < a.t",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND b.n <= a.n AND b.n >= a.t",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND a.t < b.n",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND abs(b.i) > a.i AND abs(b.i) < a.i + 5",
    "SELECT a.id, b.id FROM a LEFT JOIN b ON b.k = a.k AND b.i > a.i AND b.i < a.i + 3",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND b.i - a.i BETWEEN 0 AND 3",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND a.i - b.i > 2",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND -2 >= a.r - b.i",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND abs(b.r - a.r) <= 0.5",
    "SELECT a.id, b.id FROM a LEFT JOIN b ON b.k = a.k AND abs(a.r - b.i) < a.i / 4",
    "SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.i - a.i < -1)",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND abs(a.i - b.i) < 1)",
    "SELECT a.id, d.id FROM a JOIN d ON d.k = a.k AND d.v - a.r < 1e300",
    "SELECT a.id, d.id FROM d JOIN a ON d.k = a.k AND a.r - d.v >= -9e999",
    "SELECT x.id, d.id FROM d JOIN d x ON d.k = x.k AND abs(d.v - x.v) <= 9e999 AND d.v - x.v > -1e18",
    "SELECT x.id, d.id FROM d JOIN d x ON d.k = x.k AND d.n - x.n >= 9223372036854775807",
    "SELECT x.id, d.id FROM d JOIN d x ON d.k = x.k AND x.n - d.n < d.v",
    "SELECT a.id, b.id, b.t FROM a LEFT JOIN b ON b.k = a.k AND b.i > a.i + 4 AND b.t > a.t WHERE a.id < 200",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.i > a.i)",
    "SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.i > a.i)",
    "SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.r <= a.r)",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.i > a.i AND b.i < a.i + 2)",
    "SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.i >= a.i AND b.i <= a.i + 2)",
    "SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.i > a.i AND b.t <> a.t)",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.n < a.n COLLATE BINARY)",
    "SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM a x WHERE x.k = a.k AND x.id > a.id)",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM a x WHERE x.k = a.k AND x.id <> a.id)",
    "SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.r <> a.i)",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND a.n <> b.n)",
    "SELECT a.id FROM a LEFT JOIN a x ON x.k = a.k AND x.id < a.id WHERE x.id IS NULL",
    "SELECT a.k, count(*), sum(b.i) FROM a JOIN b ON b.k = a.k AND b.i > a.i GROUP BY a.k",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND b.i > a.i ORDER BY a.id, b.id LIMIT 40 OFFSET 7",
    "SELECT id FROM c WHERE i < (SELECT count(*) FROM a JOIN b ON b.k = a.k AND b.i > a.i WHERE a.i = c.i)",
    "SELECT a.id, b.id FROM a JOIN (SELECT k + 0 AS k, i FROM b) x ON x.k = a.k AND x.i > a.i JOIN b ON b.id = x.i",
    "SELECT c.id FROM c JOIN b ON b.k = c.k AND b.i > c.i JOIN a ON a.k = b.k AND a.i < b.i AND a.i > c.i",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND b.i > a.i + ? AND b.i < a.i + ?",
)
EITHER = (
    "SELECT a.id, c.id, b.id FROM a LEFT JOIN b ON b.k = a.k AND b.r > a.r JOIN c ON c.i = a.i AND c.k = a.k",
    "SELECT a.id, e.i FROM a LEFT JOIN empty e ON e.k = a.k AND e.i > a.i",
    "SELECT a.id FROM a WHERE NOT EXISTS (SELECT 1 FROM empty e WHERE e.k = a.k AND e.i > a.i)",
    "SELECT b.id FROM empty e JOIN b ON b.k = e.k AND b.i > e.i",
)
MIXED = (
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND b.i <> a.i",
    "SELECT a.id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.m <> a.i)",
    "SELECT a.id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.i <> a.i AND b.t <> a.t)",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND b.m > a.m",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND b.m > a.i AND b.m < a.i + 5",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND b.t > a.i",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND b.i < a.t",
    "SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.m >= a.m)",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.i > a.m)",
    "SELECT a.id, b.id FROM a LEFT JOIN b ON b.k = a.k AND b.m < a.t",
)


def _rows(draw: random.Random, count: int, some: list[None]) -> list[tuple[Any, ...]]:
    words = ["", "a", "A", "b", "Bb", "bB", "ü", "z ", *some]
    return [
        (
            draw.choice([*range(12), *some]),
            draw.choice([*range(10), *some]),
            draw.choice([draw.randrange(10) / 2, float(draw.randrange(9)), *some]),
            draw.choice(words),
            draw.choice(words),
            draw.choice([1, 2.5, "3", "x", b"x", 7, None]),
        )
        for _ in range(count)
    ]


@pytest.fixture(scope="module", params=["no NULL", "with NULL"])
def engines(request: pytest.FixtureRequest) -> tuple[KvshEngine, SqliteEngine]:
    draw = random.Random(5)
    some: list[None] = [None] if request.param == "with NULL" else []
    far = [9e999, -9e999, 1e308, -1e308, 0.1, 0.30000000000000004, *some]
    whole = [2**63 - 1, -(2**63), 2**53 + 1, 2**53, 0, 1, -1]
    columns = "(k, i, r, t, n, m) VALUES (?, ?, ?, ?, ?, ?)"
    filling: dict[str, Any] = {
        f"INSERT INTO a {columns}": _rows(draw, 300, some),
        f"INSERT INTO b {columns}": _rows(draw, 250, some),
        "INSERT INTO c (k, i) VALUES (?, ?)": [(n % 13, n % 10) for n in range(40)],
        "INSERT INTO d (k, v, n) VALUES (?, ?, ?)": [
            (n % 4, draw.choice(far), draw.choice(whole)) for n in range(120)
        ],
    }
    return filled(_SCHEMA, filling, leaf_limit=8)


@pytest.mark.parametrize("sql", [*SPANS, *EITHER, *MIXED])
def test_the_rows_are_sqlites(sql: str, engines: tuple[KvshEngine, SqliteEngine]) -> None:
    ours, oracle = engines
    for values in [(1, 4), (2.5, 3), (None, 3)] if "?" in sql else [()]:
        found = ours.execute(sql, values)
        assert sorted(map(repr, found)) == sorted(map(repr, oracle.execute(sql, values)))


@pytest.mark.parametrize("sql", SPANS)
def test_a_keys_rows_are_in_order(sql: str, engines: tuple[KvshEngine, SqliteEngine]) -> None:
    found = engines[0].execute(f"EXPLAIN CODE {sql}", (1, 4)[: sql.count("?")])
    assert "Spans(" in "\n".join(row[0] for row in found)


@pytest.mark.parametrize("sql", MIXED)
def test_others_are_not(sql: str, engines: tuple[KvshEngine, SqliteEngine]) -> None:
    code = "\n".join(row[0] for row in engines[0].execute(f"EXPLAIN CODE {sql}"))
    assert "Spans(" not in code


def test_analysis_counts_the_rows_of_the_span(engines: tuple[KvshEngine, SqliteEngine]) -> None:
    ours, oracle = engines
    sql = "SELECT count(*) FROM a JOIN b ON b.k = a.k AND b.i > a.i"
    ((count,),) = oracle.execute(sql)
    text = "\n".join(str(row) for row in ours.execute(f"EXPLAIN ANALYZE {sql}"))
    assert f"{count:,}" in text


@pytest.mark.parametrize("limit", [1 << 30, 1 << 14])
def test_a_table_in_memory_and_one_on_disk_have_the_same_spans(limit: int) -> None:
    draw = random.Random(7)
    pairs = [(draw.randrange(50), (draw.choice([None, 1, 2, 2.0, 3]), n)) for n in range(9000)]
    ctx = cast("Context", SimpleNamespace(check=lambda: None, memory_limit_bytes=limit))
    batches = [pairs[at : at + 500] for at in range(0, len(pairs), 500)]
    spans = Spans(hash_table(batches, 1, False, ctx), lambda rows: [row[0] for row in rows], True)
    for key in [3, 3, 49, 3, 77, None, 0, 3]:
        values, rows = spans[key]
        own = [row for at, row in pairs if at == key and row[0] is not None]
        assert rows == sorted(own, key=lambda row: row[0])
        assert values == [row[0] for row in rows]
