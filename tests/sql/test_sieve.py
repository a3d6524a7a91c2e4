"""ORDER BY of expressions with LIMIT: rows behind the last one that counts are left out early, and none but those."""

from __future__ import annotations

import random
import sqlite3

import kvsh

KEYS = (
    "x * y",
    "x + k",
    "-k",
    "k % 7",
    "length(t)",
    "x / (k % 5)",
    "coalesce(x, k)",
    "CASE WHEN k % 3 THEN x END",
    "t || k",
    "upper(t)",
    "t COLLATE NOCASE",
    "abs(k - 2500)",
    "z",
    "z + 1",
    "-x",
)


def test_the_first_rows_by_expressions() -> None:
    draw = random.Random(31)
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    odd = [None, 1, 2.5, "a", b"b", "10"]
    rows = [
        (
            i,
            draw.randrange(5000),
            draw.choice([None, i / 8, -i / 3]),
            draw.random(),
            f"t{i % 97}",
            draw.choice(odd),
        )
        for i in range(9000)
    ]
    for con in (ours, theirs):
        con.execute(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, k INT NOT NULL, x REAL, y REAL NOT NULL, t TEXT, z)"
        )
        con.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", rows)
    for _ in range(150):
        first, second = draw.choice(KEYS), draw.choice(KEYS)
        one, two = (
            draw.choice(["", " DESC", " NULLS LAST", " DESC NULLS FIRST"]) for _ in range(2)
        )
        shown = draw.choice(
            [f"id, {first}", f"{second}, {first}, id", f"{first}", "id", "id, k + 1"]
        )
        limit = f"LIMIT {draw.choice([1, 5, 40, 700])} OFFSET {draw.choice([0, 0, 7])}"
        where = draw.choice(["", "WHERE k > 900", "WHERE x IS NULL", "WHERE y < 0.01"])
        sql = f"SELECT {shown} FROM t {where} ORDER BY {first}{one}, {second}{two}, id {limit}"
        assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall(), sql
