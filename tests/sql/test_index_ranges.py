"""Ranges of indexes cut short by LIMIT, min() and max(), and look-ups, against sqlite3: on disk and just opened, where
leaves are searched as they lie in their pages, and in memory."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kvsh

VALUES = {
    "integers": lambda draw: draw.randrange(300),
    "texts": lambda draw: f"t{draw.randrange(400):x}é",
    "reals": lambda draw: draw.randrange(200) / 8,
    "nullable": lambda draw: draw.choice([None, draw.randrange(100), draw.randrange(100)]),
    "mixed": lambda draw: draw.choice([None, 1, 2.5, draw.randrange(40), "x", "y7", b"z"]),
}
QUERIES = [
    "SELECT id, name FROM t WHERE a = ?",
    "SELECT id FROM t WHERE a = ? ORDER BY id",
    "SELECT count(*), sum(id) FROM t WHERE a IN (?, 7, 't7é')",
    "SELECT a, id FROM t WHERE a > ? ORDER BY a, id LIMIT 10",
    "SELECT a, name FROM t WHERE a >= ? ORDER BY a, id LIMIT 3 OFFSET 2",
    "SELECT a, id FROM t WHERE a < ? ORDER BY a DESC, id DESC LIMIT 10",
    "SELECT a, id FROM t WHERE a <= ? ORDER BY a DESC, id DESC LIMIT 1",
    "SELECT a, id FROM t WHERE a > ? AND a <= 90 ORDER BY a, id LIMIT 4",
    "SELECT a, id FROM t WHERE a BETWEEN 5 AND ? ORDER BY a DESC, id DESC LIMIT 4",
    "SELECT a, id FROM t WHERE a < ? ORDER BY a, id LIMIT 4",
    "SELECT a, id FROM t WHERE a > ? ORDER BY a DESC, id DESC LIMIT 4",
    "SELECT b, a, id FROM t WHERE b = 3 AND a > ? ORDER BY a, id LIMIT 5",
    "SELECT b, a, id FROM t WHERE b = 3 AND a < ? ORDER BY a DESC, id DESC LIMIT 5",
    "SELECT b, a, id FROM t WHERE b = 4 AND ? IS NOT NULL ORDER BY a DESC, id DESC LIMIT 2",
    "SELECT b, a, id FROM t WHERE b = 99 AND a > ? ORDER BY a LIMIT 2",
    "SELECT min(a) FROM t WHERE a > ?",
    "SELECT max(a) FROM t WHERE a < ?",
    "SELECT max(a) FROM t WHERE b = 2 AND a <> ?",
    "SELECT min(a), ? FROM t UNION ALL SELECT max(a), 1 FROM t",
    "SELECT min(a) FROM t WHERE b = 2 UNION ALL SELECT max(id) FROM t WHERE a = ? LIMIT 5",
    "SELECT max(a) FROM t WHERE b = 77 AND ? IS NOT NULL",
]


def _fill(con: Any, rows: list[tuple[Any, ...]]) -> None:
    con.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b INTEGER, name TEXT)")
    con.execute("BEGIN")
    con.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    con.execute("COMMIT")
    con.execute("CREATE INDEX by_a ON t(a)")
    con.execute("CREATE INDEX by_b ON t(b, a)")


@pytest.mark.parametrize("kind", list(VALUES))
@pytest.mark.parametrize("where", ["memory", "opened"])
def test_the_answers_are_sqlite_s(tmp_path: Path, kind: str, where: str) -> None:
    draw = random.Random(kind)
    rows = [(n, VALUES[kind](draw), draw.randrange(6), f"row {n}") for n in range(1, 2501)]
    path = ":memory:" if where == "memory" else str(tmp_path / "db")
    ours: Any = kvsh.connect(path, isolation_level=None)
    theirs = sqlite3.connect(":memory:", isolation_level=None)
    for con in (ours, theirs):
        _fill(con, rows)
    if where == "opened":
        ours.close()
        ours = kvsh.connect(path, isolation_level=None)
    for sql in QUERIES:
        for _ in range(12):
            value = draw.choice([*[row[1] for row in draw.sample(rows, 4)], None, -1, 10**6, "zz"])
            expected = theirs.execute(sql, (value,)).fetchall()
            found = ours.execute(sql, (value,)).fetchall()
            if "ORDER BY" not in sql:
                expected, found = sorted(expected, key=repr), sorted(found, key=repr)
            assert found == expected, (sql, value)
    ours.execute("DELETE FROM t WHERE id % 3 = 0")
    ours.execute("INSERT INTO t SELECT id + 10000, a, b, name FROM t WHERE id % 7 = 0")
    theirs.execute("DELETE FROM t WHERE id % 3 = 0")
    theirs.execute("INSERT INTO t SELECT id + 10000, a, b, name FROM t WHERE id % 7 = 0")
    for sql in QUERIES:
        value = draw.choice(rows)[1]
        expected = sorted(theirs.execute(sql, (value,)).fetchall(), key=repr)
        assert sorted(ours.execute(sql, (value,)).fetchall(), key=repr) == expected, (sql, value)
    assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ours.close()


@pytest.fixture(scope="module")
def scattered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """A table whose rows lie in another order than its index's entries, as a file and in sqlite3."""
    ours = kvsh.connect(tmp_path_factory.mktemp("scattered") / "t.db", isolation_level=None)
    theirs = sqlite3.connect(":memory:", isolation_level=None)
    draw = random.Random(8)
    rows = [
        (
            number,
            draw.randrange(1000),
            draw.choice([None, draw.random()]),
            "x" * (number % 7),
            number,
        )
        for number in range(40_000)
    ]
    for each in (ours, theirs):
        each.execute(
            "CREATE TABLE s (id INTEGER PRIMARY KEY, k INTEGER, r REAL, t TEXT, u INTEGER)"
        )
        each.execute("BEGIN")
        each.executemany("INSERT INTO s VALUES (?, ?, ?, ?, ?)", rows)
        each.execute("CREATE INDEX by_k ON s(k)")
        each.execute("COMMIT")
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("bounds", ["k < 5", "k < 300", "k > 400", "k BETWEEN 20 AND 990"])
def test_rows_of_an_index_come_in_its_order_however_many_are_fetched_at_once(
    scattered: tuple[Any, Any], bounds: str
) -> None:
    ours, theirs = scattered
    for sql in (
        f"SELECT * FROM s INDEXED BY by_k WHERE {bounds} ORDER BY k, id",
        f"SELECT id, t FROM s INDEXED BY by_k WHERE {bounds}",
        f"SELECT r, t FROM s INDEXED BY by_k WHERE {bounds} AND r > 0.5 ORDER BY k DESC LIMIT 700",
        f"SELECT k, sum(r), max(t) FROM s INDEXED BY by_k WHERE {bounds} GROUP BY k",
    ):
        for _ in range(2):
            assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall(), sql


def test_a_large_part_of_a_table_is_scanned_and_a_small_one_looked_up(
    scattered: tuple[Any, Any],
) -> None:
    ours, _ = scattered

    def plan(condition: str) -> str:
        sql = f"EXPLAIN QUERY PLAN SELECT sum(r) FROM s WHERE {condition} AND u > 7 AND t > 'xx'"
        return str(ours.execute(sql).fetchall()[0][3])

    assert plan("k > 700").startswith("SCAN s")
    assert plan("k BETWEEN 100 AND 240").startswith("SCAN s")
    assert plan("k BETWEEN 100 AND 110").startswith("SEARCH s USING INDEX by_k")
    assert plan("k = 5").startswith("SEARCH s USING INDEX by_k")


NEIGHBOURS = (
    "SELECT id, r, t FROM s WHERE u BETWEEN 4000 AND 4800",
    "SELECT sum(round(r * 1000)), max(t) FROM s WHERE u > 39000 AND r > 0.5",
    "SELECT id, t FROM s WHERE t > 'x' AND r > 0.9 ORDER BY u DESC LIMIT 40",
    "SELECT id, r FROM s WHERE k > 100 AND t > 'xx' ORDER BY u LIMIT 5",
)
FAR_APART = (
    "SELECT id, r, t FROM s WHERE k BETWEEN 100 AND 120",
    "SELECT id, t FROM s WHERE t > 'x' AND r > 0.9 ORDER BY k DESC LIMIT 40",
)


def test_rows_that_lie_beside_each_other_are_fetched_and_others_scanned_for(
    scattered: tuple[Any, Any],
) -> None:
    for con in scattered:
        con.execute("CREATE INDEX by_u ON s(u)")
    ours, theirs = scattered
    for sql in (*NEIGHBOURS, *FAR_APART):
        plan = "\n".join(row[0] for row in ours.execute(f"EXPLAIN {sql}"))
        assert ("index by_u" in plan) == (sql in NEIGHBOURS), plan
        for _ in range(3):
            found, wanted = ours.execute(sql).fetchall(), theirs.execute(sql).fetchall()
            assert sorted(found) == sorted(wanted), sql
