"""ORDER BY of expressions with LIMIT: rows behind the last one that counts are left out early, and none but those."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import kvsh
from btree import StoredColumn

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


def test_the_first_rows_by_columns_that_lie_in_pages_and_that_are_kept(tmp_path: Path) -> None:
    """Of batches all of whose rows lie behind, none are looked at, whether by their bytes or by what is kept of them."""
    draw = random.Random(32)
    path = str(tmp_path / "a.kvsh")
    ours, theirs = kvsh.connect(path), sqlite3.connect(":memory:")
    rows = [
        (
            i,
            draw.randrange(5000),
            draw.choice([None, i / 8, -i / 3, 0.0, -0.0]) if i > 6000 else i / 8,
            draw.random() - 0.5,
            f"t{i * 7919 % 997}",
            draw.choice([1, 2.5, -(1 << 62), "a"]) if i > 12_000 else i * 7919 % 9973,
            i // 9,
        )
        for i in range(20_000)
    ]
    for con in (ours, theirs):
        con.execute(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, k INT NOT NULL, x REAL, y REAL NOT NULL,"
            " t TEXT NOT NULL, z, n INT NOT NULL)"
        )
        con.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        con.commit()
    for number in range(60):
        if number % 6 == 0:
            ours.close()
            ours = kvsh.connect(path)
        if number % 10 == 9:
            change = "UPDATE t SET k = 4999 - k, x = -x, y = -y WHERE id % 4000 < 40"
            ours.execute(change)
            theirs.execute(change)
            ours.commit()
        first = draw.choice(["k", "x", "y", "t", "z", "n", "y"])
        way = draw.choice(["", " DESC", " NULLS LAST", " DESC NULLS FIRST"])
        where = draw.choice(["", "", "WHERE k > 900", "WHERE y > 0.4 AND n < 2000", "WHERE x > 9"])
        limit = f"LIMIT {draw.choice([1, 10, 300, 3000])} OFFSET {draw.choice([0, 0, 7])}"
        sql = f"SELECT id, {first}, n FROM t {where} ORDER BY {first}{way}, id {limit}"
        wanted = theirs.execute(sql).fetchall()
        for _ in range(4):
            assert ours.execute(sql).fetchall() == wanted, sql


def test_what_lies_behind_is_told_without_making_its_values(tmp_path: Path) -> None:
    path = str(tmp_path / "a.kvsh")
    con = kvsh.connect(path)
    con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x REAL NOT NULL, n INT)")
    con.executemany("INSERT INTO t VALUES (?, ?, ?)", ((i, i / 3, i) for i in range(20_000)))
    con.commit()
    con.close()
    made = 0

    def counted(column: StoredColumn) -> list[Any]:
        nonlocal made
        made += len(column)
        return values(column)

    values = StoredColumn.values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoredColumn, "values", counted)
        for sql in (
            "SELECT n, x FROM t ORDER BY x LIMIT 3",
            "SELECT n FROM t ORDER BY x, n LIMIT 1",
        ):
            con = kvsh.connect(path)
            made = 0
            assert con.execute(sql).fetchone()[0] == 0
            assert 0 < made < 10_000
            con.close()
