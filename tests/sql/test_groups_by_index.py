"""GROUP BY in the order of a covering index, group by group, against sqlite3: the same groups in the same order."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import pytest

import kvsh

GROUP_BY_GROUP = (
    "SELECT a, b, count(*) FROM t GROUP BY a, b",
    "SELECT b, count(*), max(c) FROM t WHERE a = 3 GROUP BY b, c",
    "SELECT s, count(*), min(a) FROM t GROUP BY s",
    "SELECT a, b, count(*) many FROM t GROUP BY a, b HAVING many > 3 ORDER BY many DESC, a, b LIMIT 10",
    "SELECT count(*), a + b FROM t WHERE a BETWEEN 2 AND 9 GROUP BY a, b ORDER BY 1, 2",
    "SELECT a, b, count(DISTINCT c), group_concat(c) FROM t GROUP BY a, b",
    "SELECT sum(n), max(n) FROM (SELECT count(*) n FROM t GROUP BY a, b)",
    "SELECT a, b, count(*), sum(count(*)) OVER (ORDER BY a, b) FROM t GROUP BY a, b",
    "SELECT DISTINCT count(*) FROM t GROUP BY a, b ORDER BY 1",
    "SELECT x.a, y.n FROM t x JOIN (SELECT s, count(*) n FROM t GROUP BY s) y ON y.s = x.s WHERE x.id < 20 ORDER BY x.id",
)
OTHERS = (
    "SELECT b, a, count(*) FROM t GROUP BY b, a",
    "SELECT a, b, sum(v) FROM t GROUP BY a, b",
    "SELECT a, count(*) FROM t GROUP BY a",
    "SELECT f, count(*) FROM t GROUP BY f",
    "SELECT d, e, count(*) FROM t GROUP BY d, e ORDER BY d, e",
    "SELECT n COLLATE NOCASE k, count(*) FROM t GROUP BY k",
    "SELECT n, count(*) FROM t GROUP BY n COLLATE NOCASE",
    "SELECT p, count(*) FROM t GROUP BY p",
    "SELECT a, b, count(*) FROM t GROUP BY a, b LIMIT 5",
    "SELECT a, b, count(*) FROM t GROUP BY a, b ORDER BY a DESC, b DESC LIMIT 5 OFFSET 2",
)


@pytest.fixture(scope="module")
def pair() -> Any:
    """kvsh and sqlite3 with 12,000 rows and indexes on several columns."""
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    draw = random.Random(5)
    rows = [
        (
            draw.choice([None, *range(60)]),
            draw.choice([None, *range(50)]),
            draw.randrange(3),
            draw.choice([None, "x", f"t{draw.randrange(3000)}", f"u{draw.randrange(3000)}"]),
            draw.randrange(90),
            draw.randrange(90),
            draw.choice(["few", "groups"]),
            draw.choice("abAB") + str(draw.randrange(900)),
            draw.choice([None, f"p{draw.randrange(2000)}"]),
            draw.randrange(9),
        )
        for _ in range(12_000)
    ]
    for con in (ours, theirs):
        con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c, s TEXT, d, e, f, n, p, v)")
        con.executemany(
            "INSERT INTO t(a, b, c, s, d, e, f, n, p, v) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        con.execute("CREATE INDEX t_abc ON t(a, b, c)")
        con.execute("CREATE INDEX t_s ON t(s, a)")
        con.execute("CREATE INDEX t_de ON t(d, e DESC)")
        con.execute("CREATE INDEX t_f ON t(f)")
        con.execute("CREATE INDEX t_n ON t(n)")
        con.execute("CREATE INDEX t_p ON t(p) WHERE p > 'p5'")
        con.commit()
    return ours, theirs


def compare(pair: Any, query: str) -> None:
    ours, theirs = [con.execute(query).fetchall() for con in pair]
    if "COLLATE" in query:  # which of several spellings is shown is left open
        ours, theirs = [
            [(str(row[0]).lower(), *row[1:]) for row in rows] for rows in (ours, theirs)
        ]
    if query.startswith("SELECT b, a"):
        theirs.sort(key=lambda row: [(v is not None, v or 0) for v in row])
    assert list(map(repr, ours)) == list(map(repr, theirs))


@pytest.mark.parametrize("query", [*GROUP_BY_GROUP, *OTHERS])
def test_groups_are_those_of_sqlite(pair: Any, query: str) -> None:
    compare(pair, query)
    for con in pair:
        con.execute("BEGIN")
    try:
        changed(pair)
        compare(pair, query)
    finally:
        for con in pair:
            con.execute("ROLLBACK")


def changed(pair: Any) -> None:
    for con in pair:
        con.execute("DELETE FROM t WHERE id % 50 = 0")
        con.execute("UPDATE t SET b = 7, s = 'changed' WHERE id % 91 = 0")
        con.execute("INSERT INTO t(a, b, c, s) VALUES (NULL, NULL, 1, NULL), (70, 70, 1, 'zz')")


@pytest.mark.parametrize("query", GROUP_BY_GROUP)
def test_they_are_made_one_behind_the_other(pair: Any, query: str) -> None:
    code = "\n".join(row[0] for row in pair[0].execute(f"EXPLAIN CODE {query}"))
    assert "latest" in code
