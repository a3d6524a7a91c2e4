"""Statements of unusual size, beside sqlite3: chains of CTEs and views, long lists, many columns."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from tests.sql.engines import EngineError, KvshEngine, SqliteEngine

SETUP = (
    "CREATE TABLE t(a INTEGER PRIMARY KEY, b, c TEXT)",
    "INSERT INTO t VALUES (1, 2, 'x'), (2, 3, 'y'), (3, 4, 'z')",
)
PAIRS = ", ".join(f"({i}, 'x{i}')" for i in range(3000))
TEXTS = ", ".join(f"'{i}', 'x'" for i in range(2000))


def chain(length: int) -> str:
    tables = ["c0 AS (SELECT a, b FROM t)"]
    tables += [f"c{i} AS (SELECT a, b + 1 AS b FROM c{i - 1})" for i in range(1, length)]
    return f"WITH {', '.join(tables)} SELECT * FROM c{length - 1}"


STATEMENTS = {
    "a chain of CTEs": chain(500),
    "correlated in a chain": "SELECT (SELECT max(b) FROM (SELECT b FROM (SELECT u.b + t.b AS b FROM t u"
    " WHERE u.a < t.a + 1) WHERE b > t.a)), (SELECT count(*) FROM t u, (SELECT a FROM t v WHERE v.a = t.a) w"
    " WHERE u.a > w.a AND EXISTS (SELECT 1 FROM t x WHERE x.b = t.b)) FROM t",
    "values": f"SELECT sum(column1), max(column2) FROM (VALUES {PAIRS})",
    "values of all kinds": "SELECT * FROM (VALUES (1, NULL), (2.5, x'00ff'), ('a', -7)) ORDER BY 2",
    "values, sorted in place": "SELECT * FROM (VALUES (3), (1), (2)) ORDER BY 1 DESC",
    "a list": f"SELECT a FROM t WHERE b IN ({', '.join(map(str, range(5000)))})",
    "a list of texts": f"SELECT a FROM t WHERE c IN ({TEXTS})",
    "aggregates": f"SELECT {', '.join(f'sum(b + {i % 300})' for i in range(600))} FROM t",
    "columns": f"SELECT {', '.join(f'b + {i}' for i in range(2000))} FROM t",
    "too many columns": f"SELECT {', '.join(f'b + {i}' for i in range(2001))} FROM t",
}


@pytest.fixture
def engines() -> Iterator[tuple[KvshEngine, SqliteEngine]]:
    frames = sys.getrecursionlimit()
    made = KvshEngine(), SqliteEngine()
    for engine in made:
        for statement in SETUP:
            engine.execute(statement)
    yield made
    for engine in made:
        engine.close()
    sys.setrecursionlimit(frames)


@pytest.mark.parametrize("name", STATEMENTS)
def test_it_gives_what_sqlite_gives(name: str, engines: tuple[KvshEngine, SqliteEngine]) -> None:
    told = []
    for engine in engines:
        try:
            told.append([engine.execute(STATEMENTS[name]) for _ in range(3)])
        except EngineError as error:
            told.append([[(str(error),)]])
    assert told[0] == told[1]


@pytest.mark.parametrize("nested", ["abs(", "- ", "coalesce(b, ", "(b || ", "NOT ("])
@pytest.mark.parametrize("depth", [12, 100, 119, 400])
def test_what_is_nested_deeply_is_computed_or_refused(
    nested: str, depth: int, engines: tuple[KvshEngine, SqliteEngine]
) -> None:
    closing = ")" * nested.count("(")
    statement = f"SELECT {nested * depth}b{closing * depth} FROM t"
    try:
        given = engines[0].execute(statement)
    except EngineError as error:
        assert depth >= 100 and ("nested too deeply" in str(error) or "overflow" in str(error))
    else:
        assert len(given) == 3
    if depth == 12:
        assert given == engines[1].execute(statement)


def test_views_over_views(engines: tuple[KvshEngine, SqliteEngine]) -> None:
    told = []
    for engine in engines:
        engine.execute("CREATE VIEW v0 AS SELECT a, b, c FROM t")
        for i in range(1, 150):
            engine.execute(f"CREATE VIEW v{i} AS SELECT a, b + 1 AS b, c FROM v{i - 1} WHERE a > 0")
        told.append(engine.execute("SELECT * FROM v149 WHERE a > 1"))
    assert told[0] == told[1] and len(told[0]) == 2


def test_rows_of_expressions_are_inserted(engines: tuple[KvshEngine, SqliteEngine]) -> None:
    rows = ", ".join(f"({i} + 1, lower('X{i}'))" for i in range(2000))
    told = []
    for engine in engines:
        engine.execute(f"INSERT INTO t(b, c) VALUES {rows}")
        told.append(engine.execute("SELECT * FROM t ORDER BY a"))
    assert told[0] == told[1]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was_behind_a_long_text(
    enabled: bool, engines: tuple[KvshEngine, SqliteEngine]
) -> None:
    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        engines[0].execute(STATEMENTS["a list"])
        with pytest.raises(EngineError):
            engines[0].execute(STATEMENTS["a list"].replace("FROM t", "FROM nothing"))
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was else gc.disable)()


@pytest.mark.parametrize("size", [900, 5_000, 70_000])
def test_long_values_in_the_text(size: int, engines: tuple[KvshEngine, SqliteEngine]) -> None:
    text = ("it''s (a) \"b\" [c], x'00' -- é\n" * size)[:size].rstrip("'") + "''"
    blob = ("00ff7A" * size)[: 2 * size]
    statements = (
        f"INSERT INTO t(b, c) VALUES (7, '{text}')",
        f"INSERT INTO t(b, c) VALUES (8, x'{blob}');",
        f"INSERT INTO t(b, c) VALUES (9, X'{blob}'), (10, '{text}'), (-11, 'x')",
        f"INSERT INTO t(b, c) VALUES (12, x'{blob}0')",
        f"SELECT a FROM t WHERE c = '{text}' ORDER BY a",
        f"SELECT length('{text}'), length(x'{blob}') FROM t",
        f"UPDATE t SET c = '{text}' WHERE a = 1",
        f"DELETE FROM t WHERE c = '{text}' AND a > 4",
        "SELECT * FROM t ORDER BY a",
    )
    told: list[list[object]] = [[], []]
    for engine, heard in zip(engines, told, strict=True):
        for statement in statements * 2:
            try:
                heard.append(engine.execute(statement))
            except EngineError as error:
                heard.append(str(error)[:20])
    assert told[0] == told[1]
