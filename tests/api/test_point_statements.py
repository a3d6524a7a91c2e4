"""Statements about one row, executed again and again: the short way gives what sqlite3 gives."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import kvsh

SCHEMA = """
CREATE TABLE plain(id INTEGER PRIMARY KEY, name TEXT, number INT, price REAL, data);
CREATE TABLE strict(id INTEGER PRIMARY KEY, n INT NOT NULL, t TEXT UNIQUE, CHECK (n < 100));
CREATE TABLE indexed(id INTEGER PRIMARY KEY, k INT, t TEXT);
CREATE INDEX by_k ON indexed(k);
CREATE UNIQUE INDEX by_t ON indexed(t);
CREATE TABLE bare(a, b);
"""
STATEMENTS = {
    "SELECT * FROM plain WHERE id = ?": 1,
    "SELECT name FROM plain WHERE ? = id": 1,
    "SELECT number, id, number FROM plain WHERE rowid = ?": 1,
    "SELECT number + 1 FROM plain WHERE id = ?": 1,
    "SELECT rowid, a FROM bare WHERE rowid = ?": 1,
    "SELECT a FROM bare WHERE rowid = ?": 1,
    "SELECT t FROM indexed WHERE id = ?": 1,
    "SELECT count(*), max(number) FROM plain": 0,
    "SELECT * FROM plain ORDER BY id DESC LIMIT 3": 0,
    "SELECT id FROM indexed WHERE k = 3 ORDER BY id": 0,
    "SELECT changes(), total_changes(), last_insert_rowid()": 0,
    "INSERT INTO plain VALUES (?, ?, ?, ?, ?)": 5,
    "INSERT INTO plain(name, number) VALUES (?, ?)": 2,
    "INSERT INTO plain(name, price, data) VALUES (?, 1, 'x')": 1,
    "INSERT OR REPLACE INTO plain(id, name) VALUES (?, ?)": 2,
    "INSERT OR IGNORE INTO strict VALUES (?, ?, ?)": 3,
    "INSERT INTO strict VALUES (?, ?, ?)": 3,
    "INSERT INTO indexed VALUES (NULL, ?, ?)": 2,
    "INSERT INTO bare VALUES (?, ?)": 2,
    "UPDATE plain SET number = number + ? WHERE id = ?": 2,
    "UPDATE plain SET name = ?, price = price * 2 WHERE id = ?": 2,
    "UPDATE strict SET n = ? WHERE id = ?": 2,
    "UPDATE OR ROLLBACK strict SET n = ? WHERE id = ?": 2,
    "UPDATE indexed SET k = ? WHERE id = ?": 2,
    "UPDATE indexed SET t = ? WHERE id = ?": 2,
    "UPDATE bare SET a = ? WHERE rowid = ?": 2,
    "DELETE FROM plain WHERE id = ?": 1,
    "DELETE FROM indexed WHERE id = ?": 1,
    "DELETE FROM bare WHERE rowid = ?": 1,
}
CHANGES_OF_SCHEMA = [
    ["ALTER TABLE plain ADD COLUMN extra DEFAULT 7"],
    ["ALTER TABLE plain DROP COLUMN extra"],
    ["CREATE INDEX by_number ON plain(number)"],
    ["DROP INDEX by_number"],
    [
        "CREATE TRIGGER counts AFTER UPDATE ON plain BEGIN INSERT INTO bare VALUES ('t', new.id); END"
    ],
    ["DROP TRIGGER counts"],
    ["DROP TABLE main.bare", "CREATE TABLE main.bare(b, a)"],
    ["DROP TABLE main.bare", "CREATE TABLE main.bare(a, b)"],
    ["CREATE TEMP TABLE IF NOT EXISTS bare(a TEXT, b)"],
    ["DROP TABLE IF EXISTS temp.bare"],
]
CONTROL = [
    "BEGIN",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "RELEASE s",
]


def value(rng: random.Random) -> Any:
    return rng.choice(
        [
            *[rng.randrange(30)] * 6,
            rng.randrange(-3, 200),
            str(rng.randrange(30)),
            float(rng.randrange(30)),
            rng.random(),
            float("nan"),
            None,
            True,
            b"blob",
            "text",
            1 << 62,
            -(1 << 63),
        ]
    )


def outcome(con: Any, cursor: Any, sql: str, parameters: Any, errors: Any) -> Any:
    """All that a program can see of one execution."""
    try:
        cursor.execute(sql, parameters)
        names = [column[0] for column in cursor.description or ()]
        rows = cursor.fetchall()
    except errors as error:
        return type(error).__name__, con.in_transaction
    counts = cursor.rowcount if not cursor.description else None, con.total_changes
    if not sql.startswith(("INSERT", "UPDATE", "DELETE")):
        counts = None, con.total_changes
    last = cursor.lastrowid if sql.startswith("INSERT") else None
    return names, [[*map(repr, row)] for row in rows], counts, last, con.in_transaction


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("level", ["", None, "IMMEDIATE"])
@pytest.mark.parametrize("seed", range(4))
def test_random_statements_are_answered_as_by_sqlite3(
    seed: int, level: str | None, on_disk: bool, tmp_path: Path
) -> None:
    rng = random.Random(f"{seed} {level}")
    ours: Any = kvsh.connect(tmp_path / "db" if on_disk else ":memory:", durability="off")
    theirs: Any = sqlite3.connect(":memory:", isolation_level=level)  # type: ignore[arg-type]
    ours.isolation_level = level
    ours.executescript(SCHEMA)
    theirs.executescript(SCHEMA)
    cursors = ours.cursor(), theirs.cursor()
    errors = kvsh.Error, sqlite3.Error
    for step in range(900):
        dice = rng.random()
        parameters: Any = ()
        statements: list[str] = []
        if dice < 0.05:
            statements = [rng.choice(CONTROL)]
        elif dice < 0.07:
            statements = rng.choice(CHANGES_OF_SCHEMA)
        else:
            sql, count = rng.choice([*STATEMENTS.items()])
            parameters = [value(rng) for _ in range(count)]
            if rng.random() < 0.02:
                parameters = parameters[1:]
            if rng.random() < 0.8:
                parameters = tuple(parameters)
            statements = [sql]
        if rng.random() < 0.02:
            ours.commit()
            theirs.commit()
        used: Any = cursors if rng.random() < 0.5 else (ours.cursor(), theirs.cursor())
        for sql in statements:
            mine, other = (
                outcome(con, cursor, sql, parameters, kind)
                for con, cursor, kind in zip((ours, theirs), used, errors, strict=True)
            )
            assert mine == other, (step, sql, parameters)
    assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ours.close()
    theirs.close()


@pytest.fixture
def con() -> Any:
    made = kvsh.connect(":memory:")
    made.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
    made.executemany("INSERT INTO t VALUES (?, ?)", [(n, n * n) for n in range(10)])
    made.commit()
    for _ in range(2):  # the second time goes the short way
        made.execute("SELECT v FROM t WHERE id = ?", (3,)).fetchall()
        made.execute("UPDATE t SET v = v + 0 WHERE id = ?", (3,))
    made.commit()
    return made


def test_factories_of_rows_and_texts_see_what_the_short_way_gives(con: Any) -> None:
    con.execute("UPDATE t SET v = 'text' WHERE id = ?", (4,))
    con.row_factory = kvsh.Row
    assert con.execute("SELECT v FROM t WHERE id = ?", (4,)).fetchone()["v"] == "text"
    con.row_factory = None
    con.text_factory = bytes
    assert con.execute("SELECT v FROM t WHERE id = ?", (4,)).fetchone() == (b"text",)


def test_a_statement_that_fails_leaves_no_rows_of_the_one_before(con: Any) -> None:
    cursor = con.execute("SELECT v FROM t WHERE id = ?", (3,))
    with pytest.raises(kvsh.ProgrammingError):
        cursor.execute("SELECT v FROM t WHERE id = ?", (3, 4))
    assert cursor.fetchone() is None
    assert cursor.description is None


def test_traces_and_progress_handlers_are_told_of_the_short_way(con: Any) -> None:
    seen: list[str] = []
    con.set_trace_callback(seen.append)
    con.execute("SELECT v FROM t WHERE id = ?", (3,))
    assert seen == ["SELECT v FROM t WHERE id = ?"]
    con.set_trace_callback(None)
    con.set_progress_handler(lambda: 1)
    with pytest.raises(kvsh.OperationalError, match="interrupted"):
        con.execute("SELECT v FROM t WHERE id = ?", (3,))
    con.set_progress_handler(None)
    assert con.execute("SELECT v FROM t WHERE id = ?", (3,)).fetchall() == [(9,)]


def test_each_statement_has_a_moment_of_its_own(con: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    sql = "UPDATE t SET v = strftime('%s', 'now') WHERE id = ?"
    con.execute(sql, (1,))
    con.execute(sql, (1,))
    plain = time.time
    monkeypatch.setattr(time, "time", lambda: plain() + 5000)
    con.execute(sql, (2,))
    first, second = (
        int(con.execute("SELECT v FROM t WHERE id = ?", (n,)).fetchone()[0]) for n in (1, 2)
    )
    assert second - first >= 5000


def test_another_process_s_changes_are_seen(tmp_path: Path) -> None:
    """By way of a second handle, which excludes the first as a process does."""
    one, two = (kvsh.connect(tmp_path / "db", timeout=0.1) for _ in range(2))
    one.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
    one.execute("INSERT INTO t VALUES (1, 1)")
    one.commit()
    for n in range(2, 6):
        for con in (one, two):
            con.execute("UPDATE t SET v = v + ? WHERE id = ?", (n, 1))
            con.commit()
    assert two.execute("SELECT v FROM t WHERE id = ?", (1,)).fetchone() == (29,)
    assert one.execute("SELECT v FROM t WHERE id = ?", (1,)).fetchone() == (29,)
    one.execute("UPDATE t SET v = v + ? WHERE id = ?", (1, 1))
    with pytest.raises(kvsh.OperationalError, match="locked"):
        two.execute("UPDATE t SET v = v + ? WHERE id = ?", (1, 1))
    assert two.execute("SELECT v FROM t WHERE id = ?", (1,)).fetchone() == (29,)
    two.rollback()
    one.execute("ALTER TABLE t ADD COLUMN w DEFAULT 5")
    one.commit()
    assert two.execute("SELECT * FROM t WHERE id = ?", (1,)).fetchone() == (1, 30, 5)
    one.close()
    two.close()


def test_a_query_only_connection_and_a_closed_one_refuse(con: Any) -> None:
    con.execute("PRAGMA query_only = 1")
    with pytest.raises(kvsh.OperationalError, match="readonly"):
        con.execute("UPDATE t SET v = v + 0 WHERE id = ?", (3,))
    con.execute("PRAGMA query_only = 0")
    con.execute("UPDATE t SET v = v + 0 WHERE id = ?", (3,))
    con.close()
    with pytest.raises(kvsh.ProgrammingError):
        con.execute("UPDATE t SET v = v + 0 WHERE id = ?", (3,))
