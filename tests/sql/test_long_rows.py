"""Queries and changes of tables with long texts and BLOBs: sqlite3's rows."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random
from typing import Any

import pytest

import kvsh

STATEMENTS = (
    "SELECT sum(n), count(*), max(name) FROM t",
    "SELECT id, n FROM t WHERE n < 40",
    "SELECT id, n FROM t WHERE id BETWEEN 20 AND 30 ORDER BY id DESC",
    "SELECT n, name FROM t WHERE id = 33",
    "SELECT id, length(body), length(image) FROM t WHERE body LIKE 'ab%'",
    "SELECT n % 3, count(*), max(length(body)), min(body) FROM t GROUP BY 1 ORDER BY 1",
    "SELECT a.id, b.n FROM t a JOIN t b ON b.id = a.n WHERE a.name < 'n5'",
    "SELECT id, body, image FROM t WHERE id % 7 = 2",
    "SELECT id FROM t WHERE image IS NULL LIMIT 3",
    "UPDATE t SET n = n + 1",
    "UPDATE t SET n = length(body) + id WHERE id % 3 = 0",
    "UPDATE t SET body = body || 'x' || id WHERE id % 10 = 4",
    "UPDATE t SET n = n + 1, image = NULL WHERE id = 21",
    "UPDATE t SET image = body WHERE id BETWEEN 50 AND 70",
    "DELETE FROM t WHERE id % 11 = 5",
    "DELETE FROM t WHERE body LIKE '%z%'",
    "INSERT INTO t SELECT id + 1000, n, name, body, image FROM t WHERE id % 5 = 1",
    "ALTER TABLE t ADD COLUMN more DEFAULT 'more'",
    "UPDATE t SET more = name WHERE id < 40",
    "ALTER TABLE t DROP COLUMN n",
    "CREATE INDEX t_body ON t (body)",
    "SELECT id, length(body), more FROM t WHERE body > 'd' ORDER BY body, id",
    "SELECT * FROM t ORDER BY id",
)


def _rows(seed: int, count: int) -> list[tuple[Any, ...]]:
    draw = Random(seed)
    letters = "".join(draw.choice("abcdefghijklmnopqrstuvwxy ") for _ in range(60_000))

    def text() -> str:
        start = draw.randrange(9000)
        return letters[start : start + draw.choice([0, 10, 4000, 4096, 4097, 10_000, 50_000])]

    return [
        (
            number,
            number * 7 % 100,
            f"name{number}",
            text(),
            draw.choice([None, draw.randbytes(draw.choice([3, 5000, 30_000]))]),
        )
        for number in range(count)
    ]


def _filled(directory: Path, rows: list[tuple[Any, ...]]) -> tuple[sqlite3.Connection, Any]:
    """A table of the rows in SQLite's memory, and in a file of ours."""
    theirs = sqlite3.connect(":memory:")
    ours = kvsh.connect(directory / "db")
    for connection in (theirs, ours):
        connection.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, name TEXT, body TEXT, image BLOB)"
        )
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
        connection.commit()
    return theirs, ours


@pytest.mark.parametrize("count", [4, 300])
def test_statements_beside_long_values_are_sqlites(tmp_path: Path, count: int) -> None:
    theirs, ours = _filled(tmp_path, _rows(count, count))
    for statement in STATEMENTS:
        expected = theirs.execute(statement).fetchall()
        for _ in range(2):
            assert sorted(map(repr, ours.execute(statement).fetchall())) == sorted(
                map(repr, expected)
            ), statement
            if not statement.startswith("SELECT"):
                break
        if statement.startswith("UPDATE"):
            theirs.commit()
            ours.commit()
            ours.close()
            ours = kvsh.connect(tmp_path / "db")
    theirs.commit()
    ours.commit()
    assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ours.execute("VACUUM")
    wanted = "SELECT * FROM t ORDER BY id"
    assert ours.execute(wanted).fetchall() == theirs.execute(wanted).fetchall()
    ours.close()
    theirs.close()


def test_look_ups_of_short_and_of_long_columns_by_turns(tmp_path: Path) -> None:
    """What a look-up leaves unread is there for the next, also beside changes that are not in the leaves yet."""
    theirs, ours = _filled(tmp_path, _rows(5, 300))
    ours.close()
    ours = kvsh.connect(tmp_path / "db")
    draw = Random(5)
    wanted = ("n", "n, name", "body", "image, n", "name, body, image", "length(body), n", "*")
    for step in range(2000):
        key = draw.randrange(-2, 303)
        query = f"SELECT {draw.choice(wanted)} FROM t WHERE id = ?"
        assert ours.execute(query, (key,)).fetchall() == theirs.execute(query, (key,)).fetchall(), (
            query,
            key,
        )
        if step % 40 == 39:
            change = f"UPDATE t SET {draw.choice(['n = n + 1', 'name = body', 'body = name'])} WHERE id = ?"
            for connection in (theirs, ours):
                connection.execute(change, (key,))
                if step % 120 == 119:
                    connection.commit()
    ours.close()
    theirs.close()
