"""What a statement that fails leaves behind - rows, counters, a transaction - beside the sqlite3 module's."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

import kvsh

SCHEMA = """
    CREATE TABLE t(a PRIMARY KEY, b);
    INSERT INTO t VALUES (100, 0), (101, 0);
    CREATE TABLE w(a, b, PRIMARY KEY(a)) WITHOUT ROWID;
    CREATE VIEW v AS SELECT a FROM t;
    CREATE TRIGGER vi INSTEAD OF INSERT ON v BEGIN INSERT INTO t VALUES(abs(new.a), 3); END;
"""
LOWEST = -(2**63)


def sides(**options: Any) -> list[Any]:
    """A connection of each module on SCHEMA, the one to test first."""
    found = []
    for module in (kvsh, sqlite3):
        connection: Any = module.connect(":memory:", **options)
        connection.executescript(SCHEMA)
        connection.create_function("f", 1, lambda x: 1 // (x - 3))
        found.append(connection)
    return found


def outcome(run: Any, *arguments: Any) -> Any:
    try:
        return run(*arguments)
    except (kvsh.Error, sqlite3.Error) as error:
        return type(error).__name__, str(error)


def state(cursor: Any) -> list[Any]:
    """What the cursor and its connection tell, and all tables."""
    connection = cursor.connection
    told = [cursor.rowcount, cursor.lastrowid, connection.total_changes, connection.in_transaction]
    return [*told, *(connection.execute(f"SELECT * FROM {name}").fetchall() for name in "tw")]


@pytest.mark.parametrize("level", ["", None])
@pytest.mark.parametrize(
    ("sql", "sets"),
    [
        ("INSERT INTO t VALUES(abs(?), 1)", [(1,), (2,), (LOWEST,), (4,)]),
        ("INSERT INTO t VALUES(json(?), 1)", [("1",), ("2",), ("{",), ("4",)]),
        ("INSERT INTO t VALUES(?, f(?))", [(1, 2), (2, 4), (3, 3), (4, 4)]),
        ("UPDATE t SET b = abs(?)", [(1,), (2,), (LOWEST,), (4,)]),
        ("UPDATE t SET b = ? WHERE a = json(?)", [(1, "1"), (2, "{"), (3, "101")]),
        (
            "INSERT INTO t VALUES(?, 1) ON CONFLICT(a) DO UPDATE SET b = abs(excluded.a)",
            [(7,), (7,), (LOWEST,), (LOWEST,), (4,)],
        ),
        ("INSERT INTO v VALUES(?)", [(1,), (2,), (LOWEST,), (4,)]),
        ("INSERT INTO w VALUES(?, ?)", [(1, 2), (3, 4), (None, 5), (7, 8)]),
        ("INSERT OR ROLLBACK INTO t VALUES(?, ?)", [(1, 1), (2, 2), (100, 3), (4, 4)]),
        ("INSERT OR FAIL INTO t VALUES(?, ?)", [(1, 1), (2, 2), (100, 3), (4, 4)]),
        ("INSERT INTO nope VALUES(?)", [(1, 2)]),
        ("INSERT INTO t(nope) VALUES(?)", [("too", "many")]),
        ("INSERT INTO t VALUES(?, ?)", [(1, 2), (3,)]),
    ],
)
def test_sets_before_one_that_fails_stay(sql: str, sets: list[Any], level: str | None) -> None:
    ours, theirs = (connection.cursor() for connection in sides(isolation_level=level))
    assert outcome(lambda: ours.executemany(sql, sets).rowcount) == outcome(
        lambda: theirs.executemany(sql, sets).rowcount
    )
    assert state(ours) == state(theirs)


def test_a_failed_statement_has_changed_no_row_and_many_sets_have_no_last_row() -> None:
    steps: list[tuple[str, str, Any]] = [
        ("execute", "INSERT INTO t VALUES(1, 2)", ()),
        ("execute", "INSERT INTO t VALUES(1, 2, 3)", ()),
        ("execute", "INSERT INTO t VALUES(2, 2)", ()),
        ("execute", "INSERT INTO t VALUES(1, 2)", ()),
        ("executemany", "INSERT INTO t VALUES(?, 0)", [(7,), (8,), (9,)]),
        ("executemany", "INSERT INTO t VALUES(?, 0)", [(17,), (8,)]),
        ("execute", "UPDATE t SET b = ? WHERE a < ?", (5, 3)),
        ("execute", "UPDATE t SET b = ? WHERE a < ?", (5,)),
        ("execute", "INSERT INTO t VALUES(?, ?)", {"a": 1}),
    ]
    told = []
    for connection in sides():
        cursor = connection.cursor()
        seen = []
        for method, sql, parameters in steps:
            done = outcome(getattr(cursor, method), sql, parameters)
            seen.append(done if isinstance(done, tuple) else None)
            seen.append((cursor.rowcount, cursor.lastrowid, cursor.description))
        told.append(seen)
    assert told[0] == told[1]


def test_a_statement_of_other_literals_whose_table_is_gone_begins_no_transaction() -> None:
    """Its shape is known, its text isn't."""
    told: list[list[Any]] = []
    for connection in sides():
        for number in range(4):
            connection.execute(f"INSERT INTO w VALUES({number}, {number})")
            connection.execute(f"UPDATE w SET b = 'x' WHERE a = {number}")
            connection.execute(f"DELETE FROM w WHERE a = {number}")
        connection.commit()
        connection.execute("DROP TABLE w")
        seen = []
        for sql in (
            "INSERT INTO w VALUES(77, 77)",
            "UPDATE w SET b = 'y' WHERE a = 78",
            "DELETE FROM w WHERE a = 79",
        ):
            done = outcome(connection.execute, sql)
            seen.append((done, connection.in_transaction))
        told.append(seen)
    assert told[0] == told[1]


def test_an_error_is_where_it_is_in_the_text_and_not_in_its_shape() -> None:
    connection = sides()[0]
    session = connection.session
    for number in (1, 2, 3):
        session.execute(f"DELETE FROM w WHERE a = {number} AND b = 5").close()
    session.execute("ALTER TABLE w RENAME COLUMN b TO c").close()
    sql = "DELETE FROM w WHERE a = 123456789 AND b = 5"
    with pytest.raises(Exception, match="no such column: b") as caught:
        session.execute(sql)
    assert getattr(caught.value, "offset", None) == sql.index("b = 5")
