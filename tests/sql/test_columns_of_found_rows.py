"""Rows that an index, or another table, leads to: of leaves that were read a moment ago the wanted columns alone are made.

Each query is asked of a handle that has read nothing yet, and again and again, until the leaves are turned round and
decoded; behind that, of a transaction that has changed some of the rows.
"""

from __future__ import annotations

import random
import sqlite3
from itertools import combinations
from typing import Any

import pytest

import kvsh

COLUMNS = ("a", "b", "c", "d", "e", "late")
ROWS = 3000


def values(draw: random.Random, key: int) -> tuple[Any, ...]:
    return (
        draw.randrange(40),
        draw.choice([None, key, -(1 << 50), 7]),
        draw.choice(["", "short", "ö", "x" * 40, None]),
        draw.choice([1.5, float(key), None]),
        draw.choice([b"", b"\xff\x00", "text", 3, None]),
    )


@pytest.fixture(scope="module", params=["rowid", "without rowid"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A path, and the sqlite3 connection with the same rows."""
    path = tmp_path_factory.mktemp("parts") / "t.db"
    other = sqlite3.connect(":memory:")
    draw = random.Random(7)
    rows = [(key, *values(draw, key)) for key in draw.sample(range(9000), ROWS)]
    wanted = [(draw.randrange(9000),) for _ in range(300)]
    with kvsh.connect(path) as own:
        for con in (own, other):
            tail = " WITHOUT ROWID" if request.param == "without rowid" else ""
            con.execute(f"CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c, d, e){tail}")
            con.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", rows)
            con.execute("ALTER TABLE t ADD COLUMN late DEFAULT 'later'")
            con.execute("CREATE INDEX t_a ON t(a)")
            con.execute("CREATE INDEX t_ab ON t(a, b)")
            con.execute("CREATE TABLE wanted(id, x)")
            con.executemany("INSERT INTO wanted(id, x) VALUES (?, 1)", wanted)
            con.commit()
    own.close()
    yield path, other
    other.close()


def queries() -> list[str]:
    found = []
    for count in (1, 2, 3):
        for names in combinations(COLUMNS, count):
            found.append(f"SELECT {', '.join(names)} FROM t INDEXED BY t_a WHERE a = 5")
    found += [
        "SELECT id FROM t INDEXED BY t_a WHERE a BETWEEN 3 AND 6 AND c = 'short'",
        "SELECT id, a, c FROM t INDEXED BY t_a WHERE a BETWEEN 3 AND 6 ORDER BY a DESC, id",
        "SELECT sum(d), count(b), max(c) FROM t INDEXED BY t_ab WHERE a > 30 AND b > 0",
        "SELECT a, count(e) FROM t INDEXED BY t_a WHERE a IN (1, 5, 9) GROUP BY a",
        "SELECT w.id, t.c FROM wanted w JOIN t ON t.id = w.id",
        "SELECT w.id, t.c, t.late FROM wanted w LEFT JOIN t ON t.id = w.id AND t.d > 100",
        "SELECT count(*) FROM wanted w WHERE EXISTS (SELECT 1 FROM t WHERE t.a = w.id AND d > 9)",
        "SELECT w.id, (SELECT max(c) FROM t WHERE t.a = w.id) FROM wanted w",
        "SELECT x.id, y.id, y.e FROM t x JOIN t y ON y.a = x.b WHERE x.id < 500",
        "SELECT d FROM t WHERE id IN (SELECT id FROM wanted)",
        "SELECT * FROM t WHERE a = 5",
        "SELECT t.rowid, t.d FROM t WHERE a = 5 OR b = 7",
        "SELECT d FROM t WHERE a = 5 OR (a = 6 AND b = 7)",
        "SELECT c FROM t WHERE a = 5 ORDER BY d, id LIMIT 3",
        "SELECT d, row_number() OVER (ORDER BY c, id) FROM t INDEXED BY t_a WHERE a = 8",
    ]
    return found


@pytest.mark.parametrize("query", queries())
def test_wanted_columns(pair: Any, query: str) -> None:
    path, other = pair
    if (
        "rowid" in query
        and "WITHOUT" in other.execute("SELECT sql FROM sqlite_master").fetchone()[0]
    ):
        query = query.replace("t.rowid", "t.id")

    def same() -> None:
        found, expected = con.execute(query).fetchall(), other.execute(query).fetchall()
        if "ORDER BY" not in query:
            found, expected = sorted(found, key=repr), sorted(expected, key=repr)
        assert list(map(repr, found)) == list(map(repr, expected))

    con = kvsh.connect(path)
    for _ in range(25):
        same()
    for each in (con, other):
        each.execute("BEGIN")
        each.execute("UPDATE t SET c = 'changed', d = -1.0 WHERE id % 5 = 0 AND a < 20")
        each.execute("DELETE FROM t WHERE id % 7 = 0 AND a = 5")
        each.execute("INSERT INTO t VALUES (90001, 5, 7, 'new', 2.5, 8, NULL)")
    same()
    for each in (con, other):
        each.execute("ROLLBACK")
    same()
    con.close()
