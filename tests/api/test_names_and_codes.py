"""What statements call their columns, and how errors are told and coded, beside the sqlite3 module."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

import kvsh

SCRIPTS = {
    "a row that is there already": [
        "CREATE TABLE t(x)",
        "INSERT INTO t(rowid, x) VALUES (1, 2), (2, 3)",
        "INSERT INTO t(rowid, x) VALUES (1, 1)",
        "UPDATE t SET rowid = 2 WHERE rowid = 1",
        "CREATE TABLE u(a INTEGER PRIMARY KEY, b)",
        "INSERT INTO u VALUES (1, 1), (1, 2)",
        "CREATE TABLE w(a TEXT PRIMARY KEY) WITHOUT ROWID",
        "INSERT INTO w VALUES ('a'), ('a')",
        "CREATE TABLE v(a TEXT PRIMARY KEY)",
        "INSERT INTO v VALUES ('a'), ('a')",
        "INSERT INTO v(rowid) VALUES (5), (5)",
    ],
    "row ids that are returned": [
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b, c)",
        "INSERT INTO t(b, c) VALUES (5, 99) RETURNING b, c, a, rowid",
        "UPDATE t SET c = 1 RETURNING oid, b, '|'",
        "DELETE FROM t RETURNING _rowid_, *, rowid AS r",
        "CREATE TABLE u(a, b)",
        "INSERT INTO u VALUES (1, 2) RETURNING rowid, oid",
        "CREATE TABLE v(x INTEGER PRIMARY KEY, rowid)",
        "INSERT INTO v VALUES (1, 2) RETURNING rowid, oid",
        "CREATE TABLE w(a PRIMARY KEY, oid) WITHOUT ROWID",
        "INSERT INTO w VALUES (1, 2) RETURNING oid",
        "INSERT INTO w VALUES (2, 2) RETURNING rowid",
    ],
    "views have no index": [
        "CREATE TABLE t(a)",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE INDEX i ON t(a)",
        "SELECT * FROM v INDEXED BY i",
        "SELECT * FROM v NOT INDEXED",
        "SELECT * FROM t INDEXED BY i",
        "SELECT * FROM t INDEXED BY j",
    ],
    "temporary triggers": [
        "CREATE TABLE t(a)",
        "CREATE TEMP TRIGGER main.r AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE TEMP TRIGGER temp.r AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE TRIGGER temp.r AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE TEMP TRIGGER s UPDATE ON nope BEGIN SELECT 1; END",
        "CREATE TEMP TRIGGER s UPDATE ON main.nope BEGIN SELECT 1; END",
        "CREATE TRIGGER temp.s UPDATE ON nope BEGIN SELECT 1; END",
        "CREATE TRIGGER s UPDATE ON nope BEGIN SELECT 1; END",
    ],
    "foreign keys": [
        "PRAGMA foreign_keys = 1",
        "CREATE TABLE p(a INTEGER PRIMARY KEY, b UNIQUE)",
        "CREATE TABLE c(x REFERENCES p(b) ON DELETE RESTRICT ON UPDATE RESTRICT)",
        "INSERT INTO p VALUES (1, 1), (2, 2)",
        "INSERT INTO c VALUES (1)",
        "DELETE FROM p WHERE a = 1",
        "DELETE FROM p",
        "UPDATE p SET b = 7",
        "REPLACE INTO p VALUES (1, 9)",
        "INSERT INTO c VALUES (99)",
        "CREATE TABLE d(x REFERENCES p(b))",
        "INSERT INTO d VALUES (2)",
        "DELETE FROM p WHERE a = 2",
    ],
}


@pytest.mark.parametrize("subject", SCRIPTS)
def test_columns_messages_and_codes_are_those_of_sqlite3(subject: str) -> None:
    ours: Any = kvsh.connect(":memory:", isolation_level=None)
    theirs = sqlite3.connect(":memory:", isolation_level=None)
    for statement in SCRIPTS[subject]:
        assert (statement, _told(ours, statement)) == (statement, _told(theirs, statement))
    ours.close()
    theirs.close()


def _told(connection: Any, statement: str) -> Any:
    try:
        cursor = connection.execute(statement)
    except (kvsh.Error, sqlite3.Error) as error:
        return type(error).__name__, str(error), error.sqlite_errorname
    names = cursor.description and [column[0] for column in cursor.description]
    return names, cursor.fetchall()


def test_what_is_too_large_for_a_file_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    con = kvsh.connect(tmp_path / "a.db")
    con.execute("CREATE TABLE t(x)")
    monkeypatch.setattr("engine.writer.PAYLOAD_BYTES_MAX", 1 << 20)
    con.executemany("INSERT INTO t VALUES(?)", [("short",), (bytes(1 << 20),)])
    with pytest.raises(kvsh.DataError, match=r"^string or blob too big: 1,048,585 bytes") as caught:
        con.commit()
    assert caught.value.sqlite_errorname == "SQLITE_TOOBIG"
    assert con.execute("SELECT count(*) FROM t").fetchone() == (0,)
    con.close()
    with kvsh.open(tmp_path / "b.db") as db:
        with pytest.raises(kvsh.DataError, match=r"^string or blob too big"):
            db.put("key", bytes(1 << 20))
        db.put("key", bytes(1_000_000))
        assert len(db["key"]) == 1_000_000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda con: con.create_function(5, 1, int), "a function's name must be str, not int"),
        (lambda con: con.create_aggregate(None, 1, int), "name must be str, not NoneType"),
        (lambda con: con.create_function("f", "x", int), "'str' object cannot be interpreted"),
        (lambda con: con.executescript(b"SELECT 1"), r"executescript\(\) argument 1 must be str"),
        (lambda con: con.executemany(b"SELECT 1", []), r"executemany\(\) argument 1 must be str"),
        (lambda con: kvsh.complete_statement(b";"), "argument 'statement' must be str, not bytes"),
    ],
)
def test_an_argument_of_another_type_is_named(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(kvsh.connect(":memory:"))


@pytest.mark.parametrize(
    "call",
    [
        lambda con: con.blobopen("none", "x", 1),
        lambda con: con.blobopen("t", "none", 1),
        lambda con: con.blobopen("t", "x", 99),
        lambda con: con.blobopen("t", "x", 1),
        lambda con: con.blobopen("t", "x", 2, readonly=True).write(b"b"),
        lambda con: con.deserialize(b"garbage" * 1000),
    ],
)
def test_errors_of_calls_have_sqlite3s_codes(call: Any) -> None:
    found = []
    for module in (sqlite3, kvsh):
        con = module.connect(":memory:")
        con.execute("CREATE TABLE t(x)")
        con.execute("INSERT INTO t VALUES(5), (x'41')")
        with pytest.raises((sqlite3.Error, kvsh.Error)) as caught:
            call(con)
            con.execute("SELECT * FROM t")  # where sqlite3 reads the bytes
        found.append(
            (type(caught.value).__name__, str(getattr(caught.value, "sqlite_errorname", None)))
        )
    assert found[0] == found[1]
    assert "/" not in str(caught.value), "no path of a temporary file"
