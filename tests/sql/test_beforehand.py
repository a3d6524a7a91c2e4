"""What conditions compute of the rows before is computed once for all rows that a level finds; against sqlite3."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.sql.engines import KvshEngine, SqliteEngine, filled

_SCHEMA = (
    "CREATE TABLE a (id INTEGER PRIMARY KEY, k INT, at TEXT, n, doc TEXT)",
    "CREATE TABLE b (id INTEGER PRIMARY KEY, k INT, at TEXT, n, doc TEXT)",
    "CREATE INDEX b_k ON b (k)",
    "CREATE TABLE empty (k INT, at TEXT)",
)
BEFOREHAND = (
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND date(a.at) <> b.at",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND (date(a.at, '+1 day') > b.at OR a.n + 1 = b.n)",
    "SELECT a.id, b.id FROM a LEFT JOIN b ON b.k = a.k AND b.at LIKE substr(a.at, 1, 7) || '%'",
    "SELECT a.id, b.id, a.n + 1 FROM a LEFT JOIN b ON b.k = a.k AND b.n IN (a.n + 1, a.n * 2, NULL)",
    "SELECT a.id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.n <> a.n + 1)",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND CASE WHEN a.n > 3 THEN b.n > 1 ELSE upper(a.at) < b.at END",
    "SELECT a.k, count(*) FROM a JOIN b ON b.k = a.k AND b.n - (a.n + 1) <> 2 GROUP BY a.k",
    "SELECT a.id, c.id, b.id FROM a JOIN b ON b.k = a.k AND a.n * 2 <> b.n JOIN a c ON c.k = b.k AND a.n * 2 + b.n > c.n WHERE a.id < 40",
)
OTHERS = (
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND (b.n = 1 OR EXISTS (SELECT 1 FROM a x WHERE x.n + 1 = b.n))",
    "SELECT a.id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND date(b.at) = date(a.at))",
    "SELECT a.id, b.id FROM a CROSS JOIN b WHERE a.n % 3 = b.n AND a.id < 30",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND (a.at || 'x') COLLATE NOCASE < b.at ORDER BY 1, 2 LIMIT 30",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND json_array(json(a.doc)) <> b.doc",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND json_array(json(a.doc), b.k) > b.doc",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND b.n > (SELECT max(n) FROM b x WHERE x.k = a.id)",
    "SELECT a.id, b.id FROM a JOIN b ON b.k = a.k AND (a.n = 3 OR b.n = 2)",
    "SELECT a.id, e.at FROM a LEFT JOIN empty e ON e.k = a.k AND e.at > date(a.at)",
    "SELECT b.id FROM empty e JOIN b ON b.k = e.k AND b.at > date(e.at)",
)


def _rows(draw: random.Random, count: int) -> list[tuple[Any, ...]]:
    moments = ["2024-01-31", "2024-01-31 10:00", "2024-02-01", "A", "a", "", None]
    return [
        (
            draw.choice([*range(6), None]),
            draw.choice(moments),
            draw.choice([0, 1, 2, 3, 4.5, "5", "x", b"x", None]),
            draw.choice(["[1]", '{"a": 1}', "7"]),
        )
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def engines() -> tuple[KvshEngine, SqliteEngine]:
    draw = random.Random(11)
    filling: dict[str, Any] = {
        f"INSERT INTO {name} (k, at, n, doc) VALUES (?, ?, ?, ?)": _rows(draw, count)
        for name, count in (("a", 100), ("b", 300))
    }
    return filled(_SCHEMA, filling, leaf_limit=8)


@pytest.mark.parametrize("sql", [*BEFOREHAND, *OTHERS])
def test_the_rows_are_sqlites(sql: str, engines: tuple[KvshEngine, SqliteEngine]) -> None:
    ours, oracle = engines
    assert sorted(map(repr, ours.execute(sql))) == sorted(map(repr, oracle.execute(sql)))
    assert ours.execute(f"EXPLAIN ANALYZE {sql}")


@pytest.mark.parametrize("sql", BEFOREHAND)
def test_the_value_has_a_name(sql: str, engines: tuple[KvshEngine, SqliteEngine]) -> None:
    code = "\n".join(row[0] for row in engines[0].execute(f"EXPLAIN CODE {sql}"))
    assert " for m" in code
