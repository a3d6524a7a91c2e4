"""`kvsh.connect`: what CPython's tests of the sqlite3 module leave out."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

import kvsh


@pytest.fixture
def con() -> kvsh.Connection:
    return kvsh.connect(":memory:")


def test_a_connection_and_a_key_space_share_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with kvsh.open(path) as db:
        db.put("k", "v")
    con = kvsh.connect(path, isolation_level=None)
    assert con.execute("SELECT key, value FROM kv").fetchall() == [("k", "v")]
    con.execute("INSERT INTO kv VALUES ('k2', 'v2')")
    con.close()
    with kvsh.open(path) as db:
        assert db.get("k2") == b"v2"


def test_text_beyond_ascii_and_wide_integers_bind(con: kvsh.Connection) -> None:
    row = ("ä€\U0001f600", 2**63 - 1, -(2**63), 1.5, b"\x00", None, "")
    assert con.execute("SELECT ?, ?, ?, ?, ?, ?, ?", row).fetchone() == row
    with pytest.raises(OverflowError):
        con.execute("SELECT ?", (2**63,))
    with pytest.raises(kvsh.ProgrammingError, match="type 'object' is not supported"):
        con.execute("SELECT ?", (object(),))
    assert con.execute("SELECT ?, ?", (True, bytearray(b"x"))).fetchone() == (1, b"x")


def test_named_parameters_may_be_made_up_by_the_mapping(con: kvsh.Connection) -> None:
    class Made(dict[str, str]):
        def __missing__(self, key: str) -> str:
            return key * 2

    assert con.execute("SELECT :ab, :c", Made()).fetchone() == ("abab", "cc")


def test_a_statement_seen_before_is_checked_all_the_same(con: kvsh.Connection) -> None:
    cursor = con.execute("SELECT 1")
    con.setlimit(kvsh.SQLITE_LIMIT_SQL_LENGTH, 5)
    with pytest.raises(kvsh.DataError, match="too large"):
        cursor.execute("SELECT 1")
    con.setlimit(kvsh.SQLITE_LIMIT_SQL_LENGTH, 100)
    cursor.execute("SELECT 1")
    cursor.close()
    with pytest.raises(kvsh.ProgrammingError, match="closed cursor"):
        cursor.execute("SELECT 1")
    cursor = con.execute("SELECT 1")
    con.close()
    with pytest.raises(kvsh.ProgrammingError, match="closed database"):
        cursor.execute("SELECT 1")
    with pytest.raises(kvsh.ProgrammingError, match="closed database"):
        cursor.fetchone()
    with pytest.raises(kvsh.ProgrammingError, match="closed database"):
        con.execute("SELECT 1")


def test_a_cursor_of_another_thread_is_refused(con: kvsh.Connection) -> None:
    cursor = con.execute("SELECT 1")
    errors: list[BaseException] = []

    def use() -> None:
        for call in (cursor.fetchone, lambda: con.execute("SELECT 1")):
            try:
                call()
            except kvsh.ProgrammingError as error:
                errors.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(errors) == 2


def test_the_description_names_the_columns(con: kvsh.Connection) -> None:
    cursor = con.execute("SELECT 1 AS one, 2 two")
    assert cursor.description is not None
    assert [column[0] for column in cursor.description] == ["one", "two"]
    cursor.execute("CREATE TABLE t(a)")
    assert cursor.description is None


def test_changes_are_counted(con: kvsh.Connection) -> None:
    con.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)")
    cursor = con.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(10)])
    assert cursor.rowcount == 10
    cursor = con.execute("DELETE FROM t WHERE a < 4")
    assert cursor.rowcount == 4
    assert con.total_changes == 14
    assert con.execute("INSERT INTO t VALUES (77)").lastrowid == 77
    cursor = con.execute("WITH n AS (SELECT 90) INSERT INTO t SELECT * FROM n")
    assert (cursor.rowcount, cursor.lastrowid) == (-1, 90)
    assert cursor.execute("SELECT 1").lastrowid == 90


def test_executemany_inside_a_failure_keeps_the_transaction(con: kvsh.Connection) -> None:
    con.execute("CREATE TABLE t(a UNIQUE)")
    con.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(kvsh.IntegrityError, match=r"UNIQUE constraint failed: t\.a") as caught:
        con.execute("INSERT INTO t VALUES (1)")
    assert caught.value.sqlite_errorname == "SQLITE_CONSTRAINT_UNIQUE"
    assert con.in_transaction
    con.commit()
    assert con.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_a_function_named_as_generated_code_names_its_own_works(con: kvsh.Connection) -> None:
    for name in ("run", "ctx", "rows", "keys", "out"):
        con.create_function(name, 1, lambda value: value * 2)
        assert con.execute(f"SELECT {name}(21)").fetchone() == (42,)


def test_an_aggregate_of_the_program_groups(con: kvsh.Connection) -> None:
    class Longest:
        def __init__(self) -> None:
            self.best = ""

        def step(self, word: str) -> None:
            self.best = max(self.best, word, key=len)

        def finalize(self) -> str:
            return self.best

    con.create_aggregate("longest", 1, Longest)
    con.execute("CREATE TABLE t(a, b)")
    con.executemany("INSERT INTO t VALUES (?, ?)", [(1, "a"), (1, "bcd"), (2, "ef"), (2, "g")])
    rows = con.execute("SELECT a, longest(b) FROM t GROUP BY a ORDER BY a").fetchall()
    assert rows == [(1, "bcd"), (2, "ef")]


def test_a_blob_is_read_and_written_in_place(con: kvsh.Connection) -> None:
    con.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
    con.execute("INSERT INTO t VALUES (1, zeroblob(8))")
    with con.blobopen("t", "b", 1) as blob:
        blob.write(b"abc")
        blob.seek(-1, os.SEEK_END)
        blob.write(b"z")
        blob[4:6] = b"xy"
        assert blob.tell() == 8
        assert len(blob) == 8
    assert con.execute("SELECT b FROM t").fetchone() == (b"abc\x00xy\x00z",)
    with pytest.raises(kvsh.OperationalError, match="no such column"):
        con.blobopen("t", "c", 1)


def test_a_database_is_dumped_and_copied(tmp_path: Path, con: kvsh.Connection) -> None:
    con.execute("CREATE TABLE t(a, b)")
    con.executemany("INSERT INTO t VALUES (?, ?)", [(1, "it's"), (None, b"\x01")])
    con.commit()
    other = kvsh.connect(tmp_path / "b.db")
    other.executescript("\n".join(con.iterdump()))
    assert list(other.iterdump()) == list(con.iterdump())
    third = kvsh.connect(tmp_path / "c.db")
    con.backup(third)
    assert list(third.iterdump()) == list(con.iterdump())
    other.close()
    third.close()


def test_a_backup_tells_how_far_it_is_and_can_be_abandoned(con: kvsh.Connection) -> None:
    con.execute("CREATE TABLE t(a, b)")
    con.executemany("INSERT INTO t VALUES (?, ?)", [(n, "x" * 50) for n in range(5000)])
    con.commit()
    other = kvsh.connect(":memory:")
    other.execute("CREATE TABLE mine(a)")
    told: list[tuple[int, int, int]] = []

    def progress(status: int, remaining: int, total: int) -> None:
        told.append((status, remaining, total))
        assert con.execute("SELECT count(*) FROM t").fetchone() == (5000,)
        if len(told) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        con.backup(other, pages=2, progress=progress)
    assert [status for status, _, _ in told] == [0, 0, 0]
    assert 5000 > told[0][1] > told[1][1] > told[2][1] > 0
    assert {total for _, _, total in told} == {5000}
    assert not other.in_transaction
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
    told.clear()
    con.backup(other, progress=lambda *figures: told.append(figures))
    assert told == [(101, 0, 5000)]
    assert list(other.iterdump()) == list(con.iterdump())


def test_a_database_is_bytes_and_back(tmp_path: Path, con: kvsh.Connection) -> None:
    con.execute("CREATE TABLE t(a PRIMARY KEY, b)")
    con.executemany("INSERT INTO t VALUES (?, ?)", [(number, "x") for number in range(1000)])
    con.execute("INSERT INTO kv VALUES ('k', 'v')")
    con.commit()
    data = con.serialize()
    (tmp_path / "copy.db").write_bytes(data)
    copy = kvsh.connect(tmp_path / "copy.db")
    assert list(copy.iterdump()) == list(con.iterdump())
    copy.execute("DROP TABLE t")
    copy.commit()
    copy.deserialize(data)
    assert copy.execute("SELECT count(*) FROM t").fetchone() == (1000,)
    with pytest.raises(kvsh.DatabaseError, match="not a database"):
        copy.deserialize(b"something else" * 100)
    assert copy.execute("SELECT count(*) FROM t").fetchone() == (1000,)
    copy.close()


def test_opening_errors_have_sqlite3s_codes(tmp_path: Path) -> None:
    with pytest.raises(kvsh.OperationalError, match="unable to open database file") as caught:
        kvsh.connect(tmp_path)
    assert caught.value.sqlite_errorname == "SQLITE_CANTOPEN"
    with pytest.raises(kvsh.OperationalError, match="unable to open database file"):
        kvsh.connect(f"file:{tmp_path}/none.db?mode=rw", uri=True)
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(kvsh.DatabaseError) as caught_other:
        kvsh.connect(tmp_path / "text.db")
    assert caught_other.value.sqlite_errorname == "SQLITE_NOTADB"


def test_read_only_and_time_travel(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    con = kvsh.connect(path)
    con.execute("CREATE TABLE t(a)")
    con.commit()
    con.close()
    con = kvsh.connect(f"file:{path}?mode=ro", uri=True)
    with pytest.raises(kvsh.OperationalError) as caught:
        con.execute("INSERT INTO t VALUES (1)")
    assert caught.value.sqlite_errorname == "SQLITE_READONLY"
    con.close()


def test_sets_of_every_kind_go_in_together(con: kvsh.Connection) -> None:
    con.execute("CREATE TABLE t(a, b)")
    sets = [(1, "ä"), [2, b"x"], {"a": 3, "b": float("nan")}, (4, bytearray(b"y")), (True, None)]
    con.executemany("INSERT INTO t VALUES (:a, :b)", sets)
    assert con.execute("SELECT a, b FROM t").fetchall() == [
        (1, "ä"),
        (2, b"x"),
        (3, None),
        (4, b"y"),
        (1, None),
    ]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ((2**63, 1), OverflowError),
        (("\ud800", 1), UnicodeEncodeError),
        ((1,), kvsh.ProgrammingError),
        ((object(), 1), kvsh.ProgrammingError),
        (7, kvsh.ProgrammingError),
    ],
)
def test_the_sets_before_a_wrong_one_are_in_the_transaction(
    con: kvsh.Connection, wrong: object, error: type[Exception]
) -> None:
    con.execute("CREATE TABLE t(a, b)")
    sets: list[object] = [(number, "x") for number in range(5000)]
    sets[4500] = wrong
    with pytest.raises(error):
        con.executemany("INSERT INTO t VALUES (?, ?)", sets)  # type: ignore[arg-type]
    assert con.execute("SELECT count(*) FROM t").fetchone() == (4500,)
    con.rollback()
    assert con.execute("SELECT count(*) FROM t").fetchone() == (0,)


@pytest.mark.parametrize("use", ["fetchone", "fetchmany", "fetchall", "__next__", "close"])
def test_a_function_can_not_use_the_cursor_whose_row_it_makes(
    con: kvsh.Connection, use: str
) -> None:
    con.executescript(
        "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000)"
        " INSERT INTO t SELECT i FROM n"
    )
    cursor = con.cursor()
    refused = []

    def echo(value: int) -> int:
        if value == 3000:
            with pytest.raises(kvsh.ProgrammingError, match="Recursive use of cursors") as caught:
                getattr(cursor, use)()
            refused.append(caught)
        return value

    con.create_function("echo", 1, echo)
    rows = list(cursor.execute("SELECT echo(x) FROM t"))
    assert refused
    assert rows == [(i,) for i in range(1, 5001)]


@pytest.mark.parametrize("factory", [None, kvsh.Row, lambda cursor, row: row])
@pytest.mark.parametrize("text", [str, bytes])
def test_a_cursor_that_is_dropped_is_gone_at_once(
    con: kvsh.Connection, factory: Any, text: type
) -> None:
    con.row_factory, con.text_factory = factory, text
    con.execute("CREATE TABLE t(x)")
    con.executemany("INSERT INTO t VALUES(?)", [(i,) for i in range(5000)])
    cursor = con.execute("SELECT x FROM t ORDER BY -x")
    assert tuple(next(cursor)) == (4999,)
    gone = weakref.ref(cursor)
    gc.disable()
    try:
        del cursor
        assert gone() is None
    finally:
        gc.enable()


def test_the_names_of_a_row_are_those_of_its_own_result(con: kvsh.Connection) -> None:
    con.row_factory = kvsh.Row
    con.execute('CREATE TABLE t(a, B, "É")')
    con.execute("INSERT INTO t VALUES(1, 2, 3)")
    for _ in range(2):
        row = con.execute("SELECT *, 4 AS A, 5 AS b FROM t").fetchone()
        assert [row["a"], row["A"], row["b"], row["B"], row["É"]] == [1, 1, 2, 2, 3]
        assert row.keys() == ["a", "B", "É", "A", "b"]
        assert dict(row) == {"a": 1, "A": 1, "B": 2, "b": 2, "É": 3}
        with pytest.raises(IndexError):
            row["é"]
        con.execute("SELECT * FROM t").fetchone().keys().clear()
    con.execute("ALTER TABLE t RENAME COLUMN a TO other")
    row = con.execute("SELECT * FROM t").fetchone()
    assert row.keys() == ["other", "B", "É"]
    assert row["OTHER"] == 1
    with pytest.raises(IndexError):
        row["a"]
    for number in range(600):  # more statements than are remembered
        row = con.execute(f"SELECT other AS n{number} FROM t").fetchone()
        assert row.keys() == [f"n{number}"]
        assert row[f"N{number}"] == 1
