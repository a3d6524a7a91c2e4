"""What a program gives for the parameters of statements about one row, compared with the sqlite3 module: values that are
SQL's as they are, others, and too many or too few.  Each statement has run before, so that it takes its short way."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kvsh
from kvsh import adapting


class Whole(int):
    """An integer of a class of the program's."""


class Text(str):
    """A text of one."""


class Conforming:
    """What says by itself how it is bound."""

    def __conform__(self, protocol: Any) -> int:
        return 77


VALUES: list[Any] = [
    0,
    -1,
    (1 << 30) - 1,
    1 << 30,
    -(1 << 30),
    (1 << 63) - 1,
    -(1 << 63),
    1 << 63,
    -(1 << 63) - 1,
    True,
    Whole(5),
    1.5,
    2.0,
    float("inf"),
    float("nan"),
    None,
    "a",
    "é",
    "\ud800",
    Text("t"),
    b"b",
    bytearray(b"ba"),
    memoryview(b"mv"),
    Conforming(),
    object(),
    [1],
]

STATEMENTS = [
    ("INSERT OR IGNORE INTO t (id, n, s) VALUES (?, ?, ?)", (7, 1, "x")),
    ("INSERT INTO t (n, s) VALUES (?, ?)", (1, "x")),
    ("INSERT INTO plain VALUES (?, ?)", (1, "x")),
    ("UPDATE t SET n = n + ?, s = ? WHERE id = ?", (1, "x", 1)),
    ("UPDATE t SET n = ? WHERE id = ?", (1, 1)),
    ("UPDATE u SET n = ? WHERE name = ?", (1, "a")),
    ("UPDATE t SET n = ? WHERE id = ? RETURNING id, n", (1, 1)),
    ("DELETE FROM t WHERE id = ?", (2,)),
    ("WITH w(x) AS (SELECT 1) UPDATE t SET n = ? WHERE id = ?", (1, 1)),
    ("SELECT n, s FROM t WHERE id = ?", (1,)),
    ("SELECT id, n FROM u WHERE name = ?", ("a",)),
    ("UPDATE t SET n = 5 WHERE id = 1", ()),
]

SETUP = """
    CREATE TABLE t (id INTEGER PRIMARY KEY, n, s TEXT);
    CREATE TABLE plain (a, b);
    CREATE TABLE u (id INTEGER PRIMARY KEY, name TEXT UNIQUE, n);
    INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b'), (3, NULL, NULL), (5, 1.5, 'e');
    INSERT INTO u VALUES (1, 'a', 1), (2, 'b', 2), (3, 't', 3);
"""


def _outcome(runner: Any, statement: str, parameters: Any) -> Any:
    """`runner`: a connection, or a cursor."""
    try:
        cursor = runner.execute(statement, parameters)
        rows = cursor.fetchall()
    except Exception as error:
        return type(error).__name__
    return rows, cursor.rowcount, cursor.lastrowid if "INSERT" in statement else None


def _content(con: Any) -> list[Any]:
    return [con.execute(f"SELECT * FROM {table}").fetchall() for table in ("t", "plain", "u")]


def _sets(usual: tuple[Any, ...]) -> Iterator[Any]:
    """Parameters with each value in each place, and what is no tuple of as many."""
    for place in range(len(usual)):
        for value in VALUES:
            yield (*usual[:place], value, *usual[place + 1 :])
    yield list(usual)
    yield (*usual, 1)
    yield usual[1:] if usual else (1,)
    yield "".join(map(str, usual))
    yield 5


@pytest.mark.parametrize("by_cursor", [False, True])
@pytest.mark.parametrize("level", [None, ""])
@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize(("statement", "usual"), STATEMENTS)
def test_parameters_are_taken_as_by_sqlite3(
    statement: str, usual: tuple[Any, ...], within: bool, level: str | None, by_cursor: bool
) -> None:
    pair = (
        kvsh.connect(":memory:", isolation_level=level),
        sqlite3.connect(":memory:", isolation_level=level),  # type: ignore[arg-type]
    )
    for con in pair:
        con.executescript(SETUP)
    runners = [con.cursor() if by_cursor else con for con in pair]
    for given in _sets(usual):
        for con, runner in zip(pair, runners, strict=True):
            con.commit()
            if within:
                con.execute("BEGIN")
            for _ in range(2):  # the second time it is known
                _outcome(runner, statement, usual)
        ours, theirs = [_outcome(runner, statement, given) for runner in runners]
        assert ours == theirs, given
        assert pair[0].in_transaction == pair[1].in_transaction, given
        assert repr(_content(pair[0])) == repr(_content(pair[1])), given
        for con in pair:
            con.rollback()
            con.execute(
                "DELETE FROM t WHERE id > 1000"
            )  # behind the largest row id they are random


def test_adapters_of_plain_types_are_asked() -> None:
    con = kvsh.connect(":memory:", isolation_level=None)
    con.executescript(SETUP)
    con.execute("BEGIN")
    update = "UPDATE t SET n = ? WHERE id = ?"
    for _ in range(3):
        con.execute(update, (1, 1))
    kvsh.register_adapter(int, lambda value: value + 1)
    try:
        con.execute(update, (10, 1))
        con.execute("SELECT n FROM t WHERE id = ?", (1,))
    finally:
        del adapting.adapters[int, adapting.PrepareProtocol]
        adapting.plain_adapters.discard(int)
    assert con.execute("SELECT id, n FROM t WHERE n = 11").fetchall() == [(2, 11)]


def test_a_connection_of_another_class_makes_its_own_cursors() -> None:
    class Cursor(kvsh.Cursor):
        pass

    class Connection(kvsh.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

    con = kvsh.connect(":memory:", factory=Connection)
    con.execute("CREATE TABLE t (a)")
    for _ in range(3):
        assert type(con.execute("INSERT INTO t VALUES (?)", (1,))) is Cursor
    assert con.in_transaction
    con.close()
    with pytest.raises(kvsh.ProgrammingError, match="closed"):
        con.execute("INSERT INTO t VALUES (?)", (1,))


def test_many_parameters_are_looked_at_too(tmp_path: Path) -> None:
    width = 40
    con = kvsh.connect(tmp_path / "wide.db", isolation_level=None)
    con.execute(f"CREATE TABLE t ({', '.join([f'c{n}' for n in range(width)])})")
    insert = f"INSERT INTO t VALUES ({', '.join('?' * width)})"
    con.execute("BEGIN")
    row = tuple(range(width))
    for _ in range(3):
        con.execute(insert, row)
    with pytest.raises(OverflowError):
        con.execute(insert, (*row[:-1], 1 << 63))
    con.execute(insert, (*row[:-1], float("nan")))
    con.execute(insert, (*row[:-1], True))
    con.execute("COMMIT")
    last = [found[-1] for found in con.execute("SELECT * FROM t")]
    assert last == [width - 1] * 3 + [None, 1]
