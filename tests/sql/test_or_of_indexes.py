"""OR over several indexes: the union of what they find, of which rows are fetched where they are asked for; against sqlite3."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.sql.engines import KvshEngine, SqliteEngine, filled

_SCHEMA = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b, c TEXT COLLATE NOCASE, d REAL)",
    "CREATE INDEX t_a ON t (a)",
    "CREATE INDEX t_b ON t (b, a)",
    "CREATE INDEX t_c ON t (c)",
    "CREATE INDEX t_d ON t (d) WHERE d > 50",
    "CREATE TABLE h (a INT, b INT)",
    "CREATE INDEX h_a ON h (a)",
    "CREATE INDEX h_b ON h (b)",
)
_COVERED = (
    "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM h WHERE h.a = t.a OR h.b = t.id)",
    "SELECT h.rowid, t.id FROM h JOIN t ON t.a = h.a OR t.b = h.b",
    "SELECT count(*) FROM t WHERE a = 5 OR b < 20",
    "SELECT id FROM t WHERE a IN (3, 4) OR b BETWEEN 50 AND 70",
    "SELECT rowid, id, _rowid_ FROM t WHERE a = 5 OR a = 7 OR id < 9",
    "SELECT rowid FROM h WHERE a = 3 OR b = 4",
    "SELECT count(id) FROM t WHERE (a = 5 AND id > 40) OR b = 7",
    "SELECT id FROM t WHERE a = 5 OR b IS NULL",
    "SELECT id FROM t WHERE a = 5 OR c = 'aX'",
    "SELECT id % 4, count(*) FROM t WHERE a = ?1 OR b = ?1 GROUP BY 1",
    "SELECT id FROM t WHERE a = 5 OR b = 6 ORDER BY id DESC LIMIT 7",
)
_FETCHED = (
    "SELECT count(id) FROM t WHERE (a = 5 AND id > 40) OR (b = 7 AND a > 2)",
    "SELECT rowid, id FROM t WHERE a = 5 OR id IN (50, 51, 20000) OR id = 30000",
    "SELECT count(*) FROM t WHERE a = 5 OR id = 20000",
    "SELECT id, d FROM t WHERE a = 5 OR b < 20",
    "SELECT id FROM t WHERE (a = 5 OR b < 20) AND d > 30",
    "SELECT id FROM t WHERE (a = 5 OR b < 20) AND a <> 6",
    "SELECT id FROM t WHERE (a = 5 AND d < 40) OR b = 3",
    "SELECT id FROM t WHERE a = 5 OR c LIKE 'ax%'",
    "SELECT c FROM t WHERE c = 'AX' OR a = 6",
    "SELECT id FROM t WHERE a = 5 OR d > 99",
    "SELECT a FROM t WHERE a = 5 OR b = 5",
    "SELECT h.rowid, t.id FROM h LEFT JOIN t ON (t.a = h.a AND t.b = h.b) OR t.id = h.b",
    # What an alternative computes stands in no comprehension's iterable.
    "SELECT h.rowid FROM h WHERE EXISTS (SELECT 1 FROM t WHERE t.id = h.a + 890 OR t.a = h.b)",
    "SELECT h.rowid FROM h WHERE NOT EXISTS (SELECT 1 FROM t WHERE t.id = h.a + 890 OR t.a = h.b)",
)
_LOOKED_UP = (
    "SELECT id, d FROM t WHERE id = 5 OR id = 900 OR id IN (3, 5, '7', 8.0, 8.5, NULL)",
    "SELECT id FROM t WHERE id = 5 OR id IN (9, 7) ORDER BY id DESC",
    "SELECT h.rowid, t.id, t.d FROM h JOIN t ON t.id = h.a OR t.id = h.b + 1",
    "SELECT h.rowid, t.d FROM h LEFT JOIN t ON t.id = h.a + 890 OR t.id IN (h.b + 899, h.b, h.a)",
    "SELECT h.rowid FROM h WHERE EXISTS (SELECT 1 FROM t WHERE t.id = h.a OR t.id = h.b AND d > 30)",
    "SELECT u.id, t.id FROM t u JOIN t ON t.id = u.a OR t.id = u.b WHERE u.id < 200",
    "SELECT count(*) FROM h, t WHERE t.id = h.a OR t.id = '12' OR t.id = 13.0",
)
"""Alternatives that are look-ups by row id alone."""
_CHANGES = (
    "DELETE FROM t WHERE id = 12 OR id = 15",
    "UPDATE t SET d = d + 1, id = id + 2000 WHERE id = 16 OR id IN (20, 2016)",
    "DELETE FROM t WHERE a = 5 OR b = 7",
    "UPDATE t SET d = d + 1, a = a + 1 WHERE a = 6 OR b < 10",
    "DELETE FROM h WHERE a = 3 OR b = 4",
    "UPDATE h SET b = b + 1 WHERE a = 2 OR b > 20",
)


@pytest.fixture(params=["small leaves", "large leaves"])
def engines(request: pytest.FixtureRequest) -> Iterator[tuple[KvshEngine, SqliteEngine]]:
    leaf_limit = 4 if request.param == "small leaves" else 64
    draw = random.Random(9)
    words = [None, "ax", "AX", "aX", "Axe", "b", "B"]
    rows = [
        (
            draw.choice([None, *range(40)]),
            draw.choice([None, *range(90), "text"]),
            draw.choice(words),
            draw.randrange(400) / 4,
        )
        for _ in range(900)
    ]
    filling = {
        "INSERT INTO t (a, b, c, d) VALUES (?, ?, ?, ?)": rows,
        "INSERT INTO h VALUES (?, ?)": [(n % 23, n * 7 % 31) for n in range(200)],
    }
    ours, oracle = filled(_SCHEMA, filling, leaf_limit=leaf_limit)
    yield ours, oracle
    ours.close()
    oracle.close()


def _parameters(sql: str) -> tuple[int, ...]:
    return (8,) if "?1" in sql else ()


def test_unions_find_what_sqlite_finds(engines: tuple[KvshEngine, SqliteEngine]) -> None:
    ours, oracle = engines
    for sql in (*_COVERED, *_FETCHED, *_LOOKED_UP):
        found = ours.execute(sql, _parameters(sql))
        expected = oracle.execute(sql, _parameters(sql))
        if "ORDER BY" in sql:
            assert found == expected, sql
        assert sorted(map(repr, found)) == sorted(map(repr, expected)), sql


def test_unions_find_the_rows_to_change(engines: tuple[KvshEngine, SqliteEngine]) -> None:
    ours, oracle = engines
    for sql in _CHANGES:
        for engine in engines:
            engine.execute(sql)
        for table in ("t", "h"):
            everything = f"SELECT rowid, * FROM {table} ORDER BY rowid"
            assert ours.execute(everything) == oracle.execute(everything), sql
        assert ours.execute("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("sql", [*_COVERED, *_FETCHED, *_LOOKED_UP[2:5]])
def test_where_no_row_is_fetched(sql: str) -> None:
    ours = KvshEngine()
    for statement in _SCHEMA:
        ours.execute(statement)
    ours.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000)"
        " INSERT INTO t SELECT i, i / 2, i / 3, 'c' || i, i / 80.0 FROM n"
    )
    ours.execute("INSERT INTO h SELECT a, b FROM t")
    lines = ours.execute(f"EXPLAIN CODE {sql}", _parameters(sql))
    code = "\n".join(str(line[0]) for line in lines)
    assert ("union_keys(" in code) == (sql in _COVERED), code
    assert ("rowids_of(" in code and "union(" not in code) == (sql in _LOOKED_UP), code
