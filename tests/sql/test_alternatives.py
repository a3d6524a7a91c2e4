"""ORs whose alternatives share conditions, or say something about one relation each, against sqlite3."""

from __future__ import annotations

import random
import re
import sqlite3
from typing import Any

import pytest

import kvsh
from kvsh import Connection

SCHEMA = """
CREATE TABLE a(id INTEGER PRIMARY KEY, k INT, t TEXT COLLATE NOCASE, x);
CREATE TABLE b(id INTEGER PRIMARY KEY, a_id INT, t TEXT, x);
CREATE INDEX b_a ON b(a_id);
CREATE INDEX a_k ON a(k);
"""
ATOMS = (
    "a.id = b.a_id",
    "a.t = b.t",
    "a.x < b.x",
    "a.k = 3",
    "a.k IN (1, 4)",
    "a.t = 'p'",
    "a.x IS NULL",
    "a.k BETWEEN 2 AND 5",
    "b.x > 4",
    "b.t <> 'Q'",
    "b.id < 40",
    "NOT b.x = 2",
    "b.x IN (SELECT k FROM a)",
)


def filled() -> tuple[Connection, sqlite3.Connection]:
    draw = random.Random(23)
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    texts = ["p", "P", "q", "Q", None]
    rows: list[Any] = [
        [
            (i, draw.randrange(8), draw.choice(texts), draw.choice([None, 1, 2.5, "z"]))
            for i in range(60)
        ],
        [
            (i, draw.randrange(70), draw.choice(texts), draw.choice([None, 2, 7, "z"]))
            for i in range(90)
        ],
    ]
    for con in (ours, theirs):
        con.executescript(SCHEMA)
        con.executemany("INSERT INTO a VALUES (?, ?, ?, ?)", rows[0])
        con.executemany("INSERT INTO b VALUES (?, ?, ?, ?)", rows[1])
    return ours, theirs


@pytest.mark.parametrize("column", ["x", "k", "id", "y", "t"])
def test_what_all_alternatives_bound_is_a_range(column: str) -> None:
    """Pages behind a row, as programs ask for them, with values of all kinds for the bounds."""
    draw = random.Random(7)
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    values = [None, 0, 3, 3.0, 4.5, "3", "10", "9", "a", "b", b"a", -2]
    rows = [[i, *[draw.choice(values) for _ in range(4)]] for i in range(300)]
    for con in (ours, theirs):
        con.execute(
            "CREATE TABLE c(id INTEGER PRIMARY KEY, k INT, t TEXT, x, y TEXT COLLATE NOCASE)"
        )
        con.executemany("INSERT INTO c VALUES (?, ?, ?, ?, ?)", rows)
        for name in "ktxy":
            con.execute(f"CREATE INDEX c_{name} ON c({name})")
    for _ in range(150):
        signs = draw.choice(["<<", "<=", ">>", ">=", "=<", "<>", "=="])
        arms = [f"{column} {sign} ?" for sign in signs]
        arms[1] += " AND id > ?"
        if draw.random() < 0.3:
            arms.append(f"? >= {column}")
        sql = f"SELECT id FROM c WHERE {' OR '.join(f'({arm})' for arm in arms)} ORDER BY {column}, id"
        sql += draw.choice(["", " LIMIT 7"])
        given = [draw.choice(values) for _ in range(sql.count("?"))]
        given[2] = draw.randrange(300)
        expected = theirs.execute(sql, given).fetchall()
        assert ours.execute(sql, given).fetchall() == expected, (sql, given)


def test_the_page_behind_a_row_is_a_range_of_the_index() -> None:
    con = kvsh.connect(":memory:")
    con.execute("CREATE TABLE c(id INTEGER PRIMARY KEY, day TEXT, n INT)")
    con.execute("CREATE INDEX c_day ON c(day)")
    con.executemany("INSERT INTO c(day, n) VALUES (?, ?)", [(str(n), n) for n in range(3000)])
    sql = "SELECT * FROM c WHERE day < ? OR (day = ? AND id < ?) ORDER BY day DESC, id DESC LIMIT 5"
    plan = str(con.execute("EXPLAIN " + sql, ("500", "500", 500)).fetchall())
    assert "c_day (day <= greatest(?1, ?2)) backwards" in plan


def condition(draw: random.Random) -> str:
    shared = draw.sample(ATOMS, draw.randrange(3))
    arms = []
    for _ in range(draw.randrange(2, 4)):
        parts = [*shared, *draw.sample(ATOMS, draw.randrange(0 if shared else 1, 4))]
        draw.shuffle(parts)
        arms.append(f"({' AND '.join(parts)})")
    return " OR ".join(arms)


@pytest.mark.parametrize("seed", range(8))
def test_rows_that_meet_an_or_are_those_that_sqlite_finds(seed: int) -> None:
    ours, theirs = filled()
    draw = random.Random(seed)
    for _ in range(40):
        where = condition(draw)
        join = draw.choice(["a, b", "a LEFT JOIN b ON b.a_id = a.id", "b CROSS JOIN a"])
        sql = f"SELECT a.id, b.id FROM {join} WHERE {where} ORDER BY 1, 2"
        assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall(), sql


def test_a_condition_of_all_alternatives_finds_rows_by_index() -> None:
    ours, _ = filled()
    sql = "SELECT * FROM a, b WHERE (a.id = b.a_id AND a.k = 3) OR (a.id = b.a_id AND b.x > 4)"
    plan = str(ours.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall())
    assert "a_id=?" in plan or "rowid=?" in plan or "(id=?)" in plan


def test_the_two_sides_of_a_self_join_are_not_one_row() -> None:
    con = kvsh.connect(":memory:")
    con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x INTEGER)")
    con.executemany("INSERT INTO t VALUES (?, ?)", [(i, i % 5) for i in range(500)])
    where = "a.x = 1 AND b.x = 2 OR a.x = 2 AND b.x = 1"
    plan = con.execute(f"EXPLAIN SELECT count(*) FROM t a, t b WHERE {where}").fetchall()
    (rows,) = re.findall(r"Join of 2 relations +~([0-9,]+) rows", str(plan))
    assert int(rows.replace(",", "")) > 5_000  # 20,000
