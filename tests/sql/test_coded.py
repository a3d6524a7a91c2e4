"""Conditions decided by codes, and columns that share their values: against each value by itself, and sqlite3."""

from __future__ import annotations

import operator
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kvsh
from sql.compile import found_rows
from sql.run.coded import Test as CodedTest
from sql.run.coded import coded, selected

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "IN": lambda value, items: value in items,
}
DRAWS: dict[str, Callable[[random.Random], Any]] = {
    "few": lambda draw: draw.randrange(5),
    "clustered": lambda draw: int(draw.gauss(0, 300)),
    "many": lambda draw: draw.randrange(10**6),
    "reals": lambda draw: draw.choice([0.0, -0.0, 1.5, draw.random(), 1e300, float("-inf")]),
    "numbers": lambda draw: draw.choice([draw.randrange(400), draw.randrange(400) + 0.0]),
    "texts": lambda draw: "abc"[: draw.randrange(4)] + str(draw.randrange(500)),
    "blobs": lambda draw: draw.randbytes(draw.randrange(3)),
    "one": lambda draw: 7,
    "one of many": lambda draw: draw.choice(["", str(draw.random())]),
    "zeros": lambda draw: draw.choice([0.0, 0.0, draw.random()]),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("nulls", [0, 0.3, 1])
def test_masks(name: str, nulls: float) -> None:
    draw = random.Random(f"{name} {nulls}")
    value = DRAWS[name]
    before = None
    for size in (0, 1, 2, 254, 256, 2100, 1900, 30, 2000):
        column = [None if draw.random() < nulls else value(draw) for _ in range(size)]
        codes = coded(column)
        if before is not None:  # of other values of the kind, all of which may fit, or not
            codes = coded(column, before.buckets, shared=draw.random() < 0.5)
        before = codes
        for _ in range(60):
            conditions: list[tuple[str, Any]] = []
            for _ in range(draw.randrange(1, 4)):
                word = draw.choice([*OPERATORS])
                pick = [*filter(lambda item: item is not None, column), value(draw)]
                items = tuple(draw.choice(pick) for _ in range(draw.randrange(5)))
                conditions.append((word, items if word == "IN" else draw.choice(pick)))
            wanted = [
                item is not None and all(OPERATORS[word](item, of) for word, of in conditions)
                for item in column
            ]
            mask = CodedTest(0, conditions).mask(codes, column)
            if isinstance(mask, bool):
                assert wanted == [mask] * size
            else:
                assert [*mask] == wanted


def test_nothing_equals_null() -> None:
    column = [1, None, 2]
    codes = coded(column)
    assert CodedTest(0, [("<>", None)]).mask(codes, column) is False
    assert CodedTest(0, [("IN", (None,))]).mask(codes, column) is False


SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, r REAL, day TEXT NOT NULL, o TEXT,
                c TEXT COLLATE NOCASE, m, b BLOB, far INTEGER NOT NULL);
CREATE TABLE u (k INTEGER PRIMARY KEY, v TEXT, w INTEGER);
"""
COUNT = 7000
CONDITIONS = [
    "n = 7",
    "n < 3 AND r > 100.5",
    "n IN (1, 5, 9, 1000)",
    "n IN (1, NULL)",
    "n <> 4 AND n < 8 AND n <> 2",
    "r BETWEEN 10 AND 90 AND day >= '2001-05-01' AND day < '2003-01-01'",
    "r = 0.0",
    "r < 9007199254740993 AND n < 10",
    "day > '2006-01-01' AND o <= 'm'",
    "o IN ('a', 'b')",
    "o = 'zzz'",
    "c = 'ALPHA'",
    "m > 5 AND n < 30",
    "b > x'41' AND n < 20",
    "far = 5000",
    "far > 20000 AND far < 20100",
    "far < 0",
    "far > 3 AND n < 20",
    "'2004-06' < day AND 5 > n",
    "n < 10 AND id > 3000",
    "n < 10 AND o < day",
    "n < '12'",
    "day < 20",
    "n = ? AND day > ?",
    "n IN (SELECT w FROM u WHERE v = 'x3')",
    "n NOT IN (SELECT k FROM u WHERE k > 2)",
    "n NOT IN (SELECT nullif(k, 3) FROM u)",
    "o IN (SELECT o FROM t AS other WHERE id < 9) AND n < 9",
    "o NOT IN (SELECT o FROM t AS other WHERE o > 'b')",
    "r IN (SELECT w FROM u) AND n IN (1, 2)",
    "far IN (SELECT far FROM t AS other WHERE day < '2000-02') AND r > 50",
]
SELECTS = [
    "SELECT count(*) FROM t WHERE {}",
    "SELECT sum(r), sum(n), max(day) FROM t WHERE {}",
    "SELECT id, day FROM t WHERE {} ORDER BY id",
    "SELECT n, o FROM t WHERE {} ORDER BY day, id LIMIT 9",
    "SELECT day, count(*), sum(r) FROM t WHERE {} GROUP BY day",
    "SELECT count(*), sum(v) FROM t JOIN u ON k = n WHERE {}",
    "SELECT v, count(*) FROM t JOIN u ON k = n WHERE v <> 'x3' AND {} GROUP BY v",
    "SELECT count(*), sum(n) FROM t JOIN u ON k = n AND v > 'x2' WHERE {}",
    "SELECT count(*), sum(n) FROM t WHERE EXISTS (SELECT * FROM u WHERE k = n AND v > 'x2') AND {}",
    "SELECT k FROM u WHERE EXISTS (SELECT * FROM t WHERE n = k AND {}) ORDER BY k",
    "SELECT v, count(*) FROM u WHERE NOT EXISTS (SELECT * FROM t WHERE n = w AND {}) GROUP BY v",
]


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[kvsh.Connection, sqlite3.Connection]]:
    path: Path = tmp_path_factory.mktemp("coded") / "t.db"
    ours = kvsh.connect(path, isolation_level=None)
    theirs = sqlite3.connect(":memory:", isolation_level=None)
    draw = random.Random(2)
    rows = [
        (
            number,
            draw.randrange(40),
            draw.choice([None, 0.0, -0.0, draw.randrange(400) / 4, draw.random() * 200]),
            f"{draw.randrange(2000, 2008)}-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}",
            draw.choice([None, "a", "b", "q", "zz"]),
            draw.choice(["alpha", "Alpha", "beta", ""]),
            draw.choice([None, 1, 1.0, 7, "7", "x", b"x"]),
            draw.randbytes(2),
            number * 3,
        )
        for number in range(COUNT)
    ]
    for connection in (ours, theirs):
        for statement in SCHEMA.strip().split(";")[:-1]:
            connection.execute(statement)
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * 9)})", rows)
        others = [(number, f"x{number % 5}", number) for number in range(-5, 30)]
        connection.executemany("INSERT INTO u VALUES (?, ?, ?)", others)
        connection.execute("COMMIT")
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_against_sqlite(both: tuple[kvsh.Connection, sqlite3.Connection], condition: str) -> None:
    ours, theirs = both
    values = [(7, "2003-01-01"), (2, "2007-01-01")] if "?" in condition else [()]
    for select in SELECTS:
        for parameters in values:
            sql = select.format(condition)
            wanted = theirs.execute(sql, parameters).fetchall()
            for _ in range(5):  # from the file, from memory, and by codes
                found = ours.execute(sql, parameters).fetchall()
                assert _exact(found) == _exact(wanted), sql


def test_codes_go_with_changes(both: tuple[kvsh.Connection, sqlite3.Connection]) -> None:
    ours, theirs = both
    sql = "SELECT count(*), sum(id), max(day) FROM t WHERE n = 3 AND day > '2002-01-01'"
    for change in (
        "UPDATE t SET n = 3 WHERE id % 50 = 1",
        "DELETE FROM t WHERE id BETWEEN 1000 AND 1500",
        "INSERT INTO t (id, n, day, far) VALUES (90000, 3, '2099-01-01', 0)",
    ):
        for _ in range(4):
            assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall()
        for connection in (ours, theirs):
            connection.execute("BEGIN")
            connection.execute(change)
        assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall()
        for connection in (ours, theirs):
            connection.execute("COMMIT")
    assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall()


def test_rows_are_picked_batch_by_batch() -> None:
    def places(numbers: list[int], texts: list[str]) -> list[int]:
        return [place for place, number in enumerate(numbers) if number < 2]

    def passing(numbers: list[int], texts: list[str]) -> list[str]:
        return [text for text, number in zip(texts, numbers, strict=True) if number < 2]

    batches = [([1, 5, 0], ["a", "b", "c"]), ([7, 7], ["d", "e"]), ([1], ["f"])]
    tests = [CodedTest(0, [("<", 2)])]
    assert [*selected(batches, tests, passing, (), (1,))] == [(["a", "c"],), (["f"],)]
    both = [*selected(batches, tests, places, (), (1, 0))]
    assert [tuple(map(list, columns)) for columns in both] == [(["a", "c"], [1, 0]), (["f"], [1])]
    assert [len(columns[0]) for columns in selected(batches, tests, places, (), ())] == [2, 1]


def test_shared_values_take_no_memory_of_their_own(tmp_path: Path) -> None:
    ours = kvsh.connect(tmp_path / "t.db", isolation_level=None)
    ours.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, day TEXT, n INTEGER, spare TEXT)")
    days = [f"2024-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]
    rows = [(number, days[number % len(days)], 1000 + number % 7) for number in range(30_000)]
    ours.execute("BEGIN")
    ours.executemany("INSERT INTO t (id, day, n) VALUES (?, ?, ?)", rows)
    ours.execute("COMMIT")
    ours.close()
    ours = kvsh.connect(tmp_path / "t.db", isolation_level=None)
    store: Any = ours._session.store  # type: ignore[union-attr]
    taken = []
    for _ in range(3):
        ours.execute("SELECT count(*) FROM t WHERE day || n > 'x'").fetchall()
        taken.append(store.cache.column_bytes)
    assert taken[0] == 0 and taken[1] == taken[2]
    assert 30_000 * 16 < taken[2] < 30_000 * 20  # two pointers a row, and the few values
    used = store.cache.used_bytes
    store.cache.recount(store.roots([]))
    assert store.cache.column_bytes == taken[2] and store.cache.used_bytes == used
    ours.close()


OWN = [
    "o < day",
    "n * 3 > far % 50",
    "NOT (o < day OR r > 50)",
    "n = 3 OR r < 20 OR day > '2005'",
    "n = 3 OR r < 20 AND o IS NOT NULL",
    "day NOT LIKE '%-0%'",
    "c = 'alpha' OR o LIKE 'a%' AND n < 5",
    "length(day) + n > 14 AND n < 9",
    "CASE WHEN r IS NULL THEN n ELSE far END > 6000",
    "n + ? > 6 AND (o IS NULL OR o = ?)",
    "m = 5 OR m = 5.0 OR m = '5'",
    "r = 0.0 OR r = -0.0 OR b > x'41'",
    "far / n > 500",
    "day LIKE '%-03-%' AND n < 9",
    "o LIKE 'A%'",
    "o GLOB '*'",
    "c LIKE '%nothing like it%'",
    "o LIKE ?",
]


@pytest.mark.parametrize("condition", OWN)
def test_conditions_are_remembered_with_their_columns(
    both: tuple[kvsh.Connection, sqlite3.Connection], condition: str
) -> None:
    ours, theirs = both
    for change in (
        "SELECT 1",
        "UPDATE t SET o = 'zz', r = 7.25 WHERE id % 1000 = 5",
        "DELETE FROM t WHERE id BETWEEN 3000 AND 3100",
    ):
        for connection in (ours, theirs):
            connection.execute("BEGIN")
            connection.execute(change)
            connection.execute("COMMIT")
        for select in SELECTS:
            sql = select.format(condition)
            for turn in range(4):
                parameters = (turn % 2, "ab"[turn % 2])[-sql.count("?") or 2 :]
                wanted = theirs.execute(sql, parameters).fetchall()
                found = ours.execute(sql, parameters).fetchall()
                assert _rounded(found) == _rounded(wanted), sql


def _exact(rows: list[tuple[Any, ...]]) -> list[str]:
    """What must be equal: to the last digit, but where Python's `sum` adds REALs more exactly than SQLite 3.40 does."""
    return list(map(repr, rows)) if sys.version_info < (3, 12) else _rounded(rows)


def _rounded(rows: list[tuple[Any, ...]]) -> list[str]:
    return sorted(
        repr([f"{item + 0.0:.9g}" if isinstance(item, float) else item for item in row])
        for row in rows
    )


def test_a_condition_is_looked_at_row_by_row_twice(tmp_path: Path) -> None:
    ours = kvsh.connect(tmp_path / "t.db", isolation_level=None)
    ours.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, spare TEXT)")
    ours.execute("BEGIN")
    ours.executemany("INSERT INTO t (a, b) VALUES (?, ?)", [(n % 89, n % 97) for n in range(9000)])
    ours.execute("COMMIT")
    ours.close()
    ours = kvsh.connect(tmp_path / "t.db", isolation_level=None)
    wanted = sum(n % 89 < n % 97 for n in range(9000))
    for run in range(4):
        assert ours.execute("SELECT count(*) FROM t WHERE a < b").fetchall() == [(wanted,)]
        store: Any = ours._session.store  # type: ignore[union-attr]
        columns = [
            column
            for tree in store.cache.use._trees
            for batches in _kept(store, tree)
            for column in batches
        ]
        assert [column.derived("masks") is not None for column in columns].count(True) == (
            0 if run == 0 else len(columns) // 2
        )
    ours.close()


def _kept(store: Any, tree_id: int) -> list[Any]:
    reader = store.begin()
    try:
        columns = reader.tree(tree_id).root.columns
        return [] if columns is None else list(columns.lists.values())
    finally:
        reader.rollback()


WHOLE = [
    "SELECT * FROM t WHERE {}",
    "SELECT *, rowid FROM t WHERE {} ORDER BY day DESC, id LIMIT 20",
    "SELECT * FROM t JOIN u ON k = n WHERE {}",
    "SELECT * FROM u LEFT JOIN t ON w = far AND {}",
]
LATE = [
    *CONDITIONS,
    *OWN,
    "day LIKE '%-03-0%' AND n <> 3",
    "o GLOB 'a*' AND EXISTS (SELECT 1 FROM u, u AS v WHERE u.k = t.n AND v.w = t.n)",
    "far > (SELECT avg(k) * 9000 FROM u WHERE u.k > t.n)",
    "o || day > 'b2004' AND random() IS NOT NULL",
]


@pytest.mark.parametrize("condition", LATE)
def test_whole_rows_are_fetched_where_conditions_leave_few(
    both: tuple[kvsh.Connection, sqlite3.Connection],
    condition: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(found_rows, "COLUMN_SHARE", 1.0)
    ours, theirs = both
    for select in WHOLE:
        sql = select.format(condition)
        parameters = (3, "2003") if "day > ?" in sql else (1, "a")[-sql.count("?") or 2 :]
        wanted = theirs.execute(sql, parameters).fetchall()
        for _ in range(3):
            assert _rounded(ours.execute(sql, parameters).fetchall()) == _rounded(wanted), sql


def test_rows_are_not_scanned_where_a_condition_leaves_few(
    both: tuple[kvsh.Connection, sqlite3.Connection],
) -> None:
    ours, _ = both
    sql = "EXPLAIN CODE SELECT * FROM t WHERE {}"
    few = str(ours.execute(sql.format("far = 5000 AND n > 0")).fetchall())
    assert "found_rows(" in few
    many = str(ours.execute(sql.format("far > 100 AND n > 0")).fetchall())
    assert "found_rows(" not in many
