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


@pytest.mark.parametrize("definition", ["", "WITHOUT ROWID", "indexed"])
@pytest.mark.parametrize("seed", range(3))
def test_updates_by_key_beside_long_values(tmp_path: Path, definition: str, seed: int) -> None:
    """What they don't read stays, whatever lies over it, is taken back or replayed."""
    draw = Random(seed)
    theirs = sqlite3.connect(":memory:", isolation_level=None)
    ours = kvsh.connect(tmp_path / "db", isolation_level=None)
    extra = "WITHOUT ROWID" if definition == "WITHOUT ROWID" else ""
    statements = [
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, name TEXT NOT NULL, body TEXT, image BLOB) {extra}"
    ]
    if definition == "indexed":
        statements += ["CREATE UNIQUE INDEX tname ON t (name)", "CREATE INDEX tn ON t (n, id)"]
    for connection in (theirs, ours):
        for statement in statements:
            connection.execute(statement)
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", _rows(seed, 120))
        connection.execute("COMMIT")
    ours.close()
    ours = kvsh.connect(tmp_path / "db", isolation_level=None)
    updates = (
        "UPDATE t SET n = n + 1 WHERE id = ?",
        "UPDATE t SET n = NULL, name = name || 'x' WHERE id = ?",
        "UPDATE t SET n = 'text' WHERE id = ? AND n > 20",
        "UPDATE t SET n = id * 2 WHERE name = 'name' || ?",
        "UPDATE t SET body = 'short' WHERE id = ?",
        "UPDATE t SET image = body, n = 5 WHERE id = ?",
        "UPDATE t SET n = length(body) WHERE id = ?",
        "UPDATE t SET name = NULL WHERE id = ?",
        "UPDATE t SET name = 'name7' WHERE id = ?",
        "UPDATE t SET n = n + 2 WHERE id = ? RETURNING *",
        "DELETE FROM t WHERE id = ?",
    )
    begun = False
    for _ in range(500):
        dice = draw.random()
        if dice < 0.05:
            statement, values = (
                ("COMMIT", "ROLLBACK")[draw.random() < 0.3] if begun else "BEGIN",
                (),
            )
            begun = not begun
        elif begun and dice < 0.1:
            statement, values = draw.choice(["SAVEPOINT s", "SELECT count(*), sum(n) FROM t"]), ()
        elif dice < 0.14:
            statement = "INSERT OR REPLACE INTO t VALUES (?, 3, 'name' || ?, ?, NULL)"
            number = draw.randrange(130)
            values = (number, number, "z" * draw.choice([5, 9000]))
        else:
            statement, values = draw.choice(updates), (draw.randrange(122),)
        outcomes = []
        for connection in (theirs, ours):
            try:
                cursor = connection.execute(statement, values)
                outcomes.append((cursor.fetchall(), cursor.rowcount))
            except (sqlite3.Error, kvsh.Error) as error:
                outcomes.append(type(error).__name__)
        assert outcomes[0] == outcomes[1], (statement, values)
        if not begun and draw.random() < 0.05:
            ours.close()
            ours = kvsh.connect(tmp_path / "db", isolation_level=None)
    if begun:
        for connection in (theirs, ours):
            connection.execute("COMMIT")
    wanted = "SELECT * FROM t ORDER BY id"
    assert ours.execute(wanted).fetchall() == theirs.execute(wanted).fetchall()
    assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
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
