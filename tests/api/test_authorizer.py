"""`set_authorizer`: what the callback is asked, statement by statement, and what its answers do, against sqlite3."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

import kvsh

SCHEMA = """
CREATE TABLE t (a INTEGER PRIMARY KEY, b, c DEFAULT 5 CHECK (c > 0), d AS (b || 'x'));
CREATE TABLE u (x, y UNIQUE);
CREATE TABLE log (m);
CREATE INDEX tb ON t (b) WHERE c > 1;
CREATE VIEW v AS SELECT a, b AS bb FROM t WHERE c > 1;
CREATE VIEW w AS SELECT bb, x FROM v JOIN u ON x = a;
CREATE TRIGGER ti AFTER INSERT ON t WHEN new.b NOTNULL BEGIN INSERT INTO log SELECT new.b || y FROM u; END;
CREATE TRIGGER tu AFTER UPDATE OF c ON t BEGIN UPDATE u SET y = old.c WHERE x = new.a; END;
CREATE TRIGGER vi INSTEAD OF INSERT ON v BEGIN INSERT INTO t (a, b) VALUES (new.a, new.bb); END;
INSERT INTO t (a, b) VALUES (1, 'one'), (2, 'two');
INSERT INTO u VALUES (1, 2);
"""

STATEMENTS = [
    "SELECT * FROM t",
    "SELECT a, b FROM t WHERE c = 1 ORDER BY d",
    "SELECT count(*) FROM t",
    "SELECT count(*) FROM main.t, u",
    "SELECT 1",
    "VALUES (1), (2)",
    "SELECT * FROM v",
    "SELECT bb FROM v ORDER BY bb",
    "SELECT u.rowid, x FROM u",
    "SELECT t.* FROM t JOIN u ON t.a = u.x",
    "SELECT b FROM t LEFT JOIN (SELECT x AS k FROM u) ON a = k",
    "SELECT (SELECT y FROM u WHERE x = b) FROM t",
    "SELECT b FROM t WHERE a IN (SELECT x FROM u)",
    "SELECT b FROM t WHERE EXISTS (SELECT 1 FROM u)",
    "WITH c AS (SELECT x FROM u) SELECT * FROM c",
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n",
    "SELECT upper(b), b LIKE 'x', b GLOB 'x', sum(c), '{}' -> '$.a' FROM t",
    "SELECT row_number() OVER (ORDER BY b) FROM t",
    "SELECT b FROM t UNION SELECT x FROM u",
    "SELECT b AS z FROM t AS other ORDER BY z",
    "SELECT value FROM json_each('[1]')",
    "INSERT INTO t (a, b) VALUES (3, 'x')",
    "INSERT INTO t (b) SELECT y FROM u",
    "INSERT INTO log VALUES ('a')",
    "INSERT INTO log VALUES (abs(-7))",
    "INSERT INTO v VALUES (10, 'v')",
    "INSERT INTO u VALUES (9, 9) RETURNING x",
    "UPDATE t SET b = 'q'",
    "UPDATE t SET c = c + 1 WHERE a = 1",
    "UPDATE u SET x = y, y = y + 100",
    "UPDATE log SET m = 1 RETURNING *",
    "DELETE FROM t WHERE b = 'q'",
    "DELETE FROM log",
    "CREATE TABLE n (a)",
    "CREATE TEMP TABLE n3 (a)",
    "CREATE VIEW vv AS SELECT * FROM t",
    "CREATE TRIGGER tt AFTER INSERT ON n BEGIN SELECT 1; END",
    "DROP TRIGGER tt",
    "DROP VIEW vv",
    "DROP TABLE n",
    "DROP TABLE n3",
    "DROP INDEX tb",
    "PRAGMA user_version",
    "PRAGMA table_info(t)",
    "BEGIN",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "RELEASE s",
    "COMMIT",
    "BEGIN IMMEDIATE",
    "ROLLBACK",
    "ATTACH ':memory:' AS z",
    "SELECT b FROM t",
    "DETACH z",
    "SELECT name FROM sqlite_master",
    "EXPLAIN QUERY PLAN SELECT b FROM t",
]


def both() -> list[Any]:
    made = [module.connect(":memory:", isolation_level=None) for module in (kvsh, sqlite3)]
    for connection in made:
        connection.executescript(SCHEMA)
    return made


def asked(connection: Any, statement: str) -> set[tuple[Any, ...]]:
    """What the callback is asked, without the book-keeping in sqlite_master."""
    calls: list[tuple[Any, ...]] = []

    def note(*question: Any) -> int:
        calls.append(question)
        return 0

    connection.set_authorizer(note)
    connection.execute(statement).fetchall()
    connection.set_authorizer(None)
    is_about_it = "sqlite_master" in statement
    own = ("sqlite_master", "sqlite_temp_master")
    return {call for call in calls if is_about_it or call[1] not in own}


def test_the_callback_is_asked_what_that_of_sqlite3_is() -> None:
    ours, theirs = both()
    for statement in STATEMENTS:
        assert (statement, asked(ours, statement)) == (statement, asked(theirs, statement))
    ours.close()
    theirs.close()


def outcome(connection: Any, statement: str) -> object:
    try:
        return connection.execute(statement).fetchall()
    except (kvsh.Error, sqlite3.Error) as error:
        return type(error).__name__, str(error), error.sqlite_errorname


def answers(connection: Any, answer: int, only: tuple[Any, ...]) -> list[object]:
    """The outcome of each statement where questions that begin like `only` get an answer of their own."""

    def say(*question: Any) -> int:
        return answer if question[: len(only)] == only else 0

    found: list[object] = []
    for statement in STATEMENTS:
        connection.set_authorizer(say)
        found.append(outcome(connection, statement))
        connection.set_authorizer(None)
        if connection.in_transaction and not statement.startswith(
            ("BEGIN", "SAVEP", "ROLLBACK T", "REL")
        ):
            connection.rollback()
    return found


@pytest.mark.parametrize(
    "only",
    [
        (sqlite3.SQLITE_READ, "t", "b"),
        (sqlite3.SQLITE_READ, "u"),
        (sqlite3.SQLITE_READ, "v", "bb"),
        (sqlite3.SQLITE_READ, "t", "a", "main", "v"),
        (sqlite3.SQLITE_SELECT,),
        (sqlite3.SQLITE_INSERT, "log"),
        (sqlite3.SQLITE_UPDATE, "t", "c"),
        (sqlite3.SQLITE_UPDATE, "u"),
        (sqlite3.SQLITE_DELETE, "log"),
        (sqlite3.SQLITE_FUNCTION, None, "abs"),
        (sqlite3.SQLITE_CREATE_TABLE,),
        (sqlite3.SQLITE_CREATE_VIEW,),
        (sqlite3.SQLITE_PRAGMA,),
        (sqlite3.SQLITE_TRANSACTION, "COMMIT"),
        (sqlite3.SQLITE_SAVEPOINT,),
        (sqlite3.SQLITE_ATTACH,),
    ],
)
def test_what_is_denied_is_refused_as_sqlite3_refuses_it(only: tuple[Any, ...]) -> None:
    ours, theirs = both()
    mine, expected = (answers(connection, 1, only) for connection in (ours, theirs))
    for statement, one, other in zip(STATEMENTS, mine, expected, strict=True):
        if not statement.startswith("EXPLAIN"):
            assert (statement, one) == (statement, other)
    ours.close()
    theirs.close()


@pytest.mark.parametrize("only", [("t", "b"), ("t", "a"), ("u", "x"), ("v", "bb")])
def test_columns_that_are_ignored_are_null_in_queries(only: tuple[str, str]) -> None:
    ours, theirs = both()
    queries = [item for item in STATEMENTS if item.startswith(("SELECT", "WITH"))]
    for statement in (
        *queries,
        "SELECT b FROM t WHERE b IS NULL",
        "SELECT bb, a FROM v ORDER BY a",
    ):
        for connection in (ours, theirs):
            connection.set_authorizer(
                lambda *call: 2 if call[0] == sqlite3.SQLITE_READ and call[1:3] == only else 0
            )
        mine, expected = (outcome(connection, statement) for connection in (ours, theirs))
        assert (statement, repr(mine)) == (statement, repr(expected))
    ours.close()
    theirs.close()


def test_a_write_with_an_ignored_column_is_refused_and_changes_nothing() -> None:
    connection = both()[0]
    connection.set_authorizer(lambda *call: 2 if call[1:3] == ("t", "b") else 0)
    for statement in (
        "UPDATE t SET c = 7 WHERE b = 'one'",
        "UPDATE t SET b = 1",
        "DELETE FROM t WHERE b = 'one'",
    ):
        with pytest.raises(kvsh.DatabaseError, match=r"prohibited|not authorized"):
            connection.execute(statement)
    connection.set_authorizer(None)
    assert connection.execute("SELECT a, b, c FROM t").fetchall() == [(1, "one", 5), (2, "two", 5)]
    connection.close()


def test_statements_that_ran_before_are_asked_for_again() -> None:
    connection = both()[0]
    for _ in range(5):
        connection.execute("SELECT b FROM t WHERE a = ?", (1,)).fetchall()
        connection.execute("INSERT INTO log VALUES (?)", (1,))
    connection.set_authorizer(lambda action, *call: 1 if call[0] in ("t", "log") else 0)
    for _ in range(2):
        with pytest.raises(kvsh.DatabaseError, match=r"access to t\.b is prohibited"):
            connection.execute("SELECT b FROM t WHERE a = ?", (1,))
        with pytest.raises(kvsh.DatabaseError, match="not authorized"):
            connection.execute("INSERT INTO log VALUES (?)", (1,))
        with pytest.raises(kvsh.DatabaseError, match="not authorized"):
            connection.execute("INSERT INTO log VALUES (7)")
        with pytest.raises(kvsh.DatabaseError, match="not authorized"):
            connection.executemany("INSERT INTO log VALUES (?)", [(1,), (2,)])
        with pytest.raises(kvsh.DatabaseError, match="not authorized"):
            connection.executescript("INSERT INTO log VALUES (1); INSERT INTO log VALUES (2);")
    connection.set_authorizer(None)
    assert connection.execute("SELECT count(*) FROM log").fetchone() == (5,)
    connection.close()


@pytest.mark.parametrize("answer", [3, -1, None, "x", 2**40, 0.0])
def test_other_answers(answer: object) -> None:
    ours, theirs = both()
    for connection in (ours, theirs):
        connection.set_authorizer(lambda *call: answer)
    mine, expected = (outcome(connection, "SELECT b FROM t") for connection in (ours, theirs))
    assert mine == expected
    ours.close()
    theirs.close()


def test_a_transaction_that_may_not_begin() -> None:
    found = []
    for module in (kvsh, sqlite3):
        connection: Any = module.connect(":memory:")
        connection.execute("CREATE TABLE t (a)")
        connection.set_authorizer(lambda action, *call: int(action == sqlite3.SQLITE_TRANSACTION))
        found.append((outcome(connection, "INSERT INTO t VALUES (1)"), connection.in_transaction))
        connection.close()
    assert found[0] == found[1]
