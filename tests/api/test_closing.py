"""Handles that are closed, dropped or left by one thread while others are at work with them."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import kvsh
import sql.session_writes
from engine import ClosedError, PageStore, StorageError
from kvsh.transaction import Joined

CLOSED = "Cannot operate on a closed database"


class _Begun:
    """A thread in the middle of a transaction, which goes on when it is told to."""

    def __init__(self, db: kvsh.Database, work: Callable[[], object]) -> None:
        self._db, self._work = db, work
        self._is_in, self._goes_on = threading.Event(), threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._outcome = self._pool.submit(self._run)
        self._is_in.wait()

    def _run(self) -> None:
        with self._db.transaction():
            self._db.put("half", "1")
            self._is_in.set()
            self._goes_on.wait()
            self._work()

    def go_on(self) -> None:
        """Raises what the thread's work raises."""
        self._goes_on.set()
        self._pool.shutdown()
        self._outcome.result()


@pytest.mark.parametrize("size", [0, 3_000_000])
def test_a_transaction_whose_database_another_thread_closes_fails_and_keeps_nobody_out(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "db"
    db = kvsh.open(path, cache_bytes=1 << 20)

    def work() -> None:
        for at in range(0, size, 1000):
            db.put(f"key {at}", os.urandom(1000))

    begun = _Begun(db, work)
    db.close()
    with kvsh.open(path, timeout=0) as other:
        other.put("other", "1")  # the lock is free at once
        with pytest.raises(kvsh.ProgrammingError, match=CLOSED):
            begun.go_on()
        assert dict(other) == {b"other": b"1"}
        assert other.check() == []


def test_a_file_stays_open_for_the_writer_of_a_handle_that_is_closed(tmp_path: Path) -> None:
    store = PageStore.open(tmp_path / "db")
    file = store.current_log.file
    writer = store.begin()
    writer.put(writer.allocate(), b"page")
    store.close()
    assert (
        file.size() > 0
    )  # its descriptor is no other file's, whatever the writer's thread is doing with it
    with PageStore.open(tmp_path / "db", timeout=0) as other:
        other.begin().rollback()
        with pytest.raises(ClosedError):
            writer.commit_pages()
        other.begin().rollback()
    writer.rollback()
    with pytest.raises(OSError):
        file.size()


def test_a_thread_that_waits_for_the_lock_hears_that_the_handle_was_closed(tmp_path: Path) -> None:
    path = tmp_path / "db"
    db, other = kvsh.open(path, timeout=60), kvsh.open(path)
    with other.transaction():
        other.put("k", "1")
        pool = ThreadPoolExecutor(1)
        waiting = pool.submit(db.put, "k", "2")
        while not db._store.pages._writing.locked():  # type: ignore[attr-defined]
            time.sleep(0.001)
        time.sleep(0.01)
        db.close()
        with pytest.raises(kvsh.ProgrammingError, match=CLOSED):
            waiting.result()
        pool.shutdown()
    assert other["k"] == b"1"
    other.close()


@contextmanager
def _busy(work: Callable[[], object]) -> Iterator[list[BaseException]]:
    """Threads that do `work` again and again until it fails; what they met."""
    met: list[BaseException] = []

    def go() -> None:
        try:
            while True:
                work()
        except BaseException as error:
            met.append(error)

    threads = [threading.Thread(target=go) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield met
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("durability", ["full", "normal", "off"])
@pytest.mark.parametrize("what", ["put", "incr", "update", "scan", "compact", "check", "backup"])
def test_threads_at_work_hear_that_the_database_is_closed_and_nothing_else(
    tmp_path: Path, what: str, durability: Any
) -> None:
    db = kvsh.open(tmp_path / "db", durability, timeout=60)
    many = {str(at): b"v" * 2000 for at in range(1500)}
    works: dict[str, Callable[[], object]] = {
        "put": lambda: db.put("k", "v"),
        "incr": lambda: db.incr("n"),
        "update": lambda: db.update(many),
        "scan": lambda: list(db.scan()),
        "compact": db.compact,
        "check": db.check,
        "backup": lambda: db.backup(tmp_path / "copy"),
    }
    with _busy(works[what]) as met:
        time.sleep(0.02)
        db.close()
    for error in met:
        assert isinstance(error, kvsh.Error)
        assert CLOSED in str(error) or "another compaction was faster" in str(error)
    with kvsh.open(tmp_path / "db") as again:
        assert again.check() == []


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1, 2)",
        "SELECT a, count(*) FROM t GROUP BY a",
        "UPDATE t SET b = b + 1",
        "VACUUM",
    ],
)
def test_a_shared_connection_is_closed_between_two_statements(tmp_path: Path, sql: str) -> None:
    con = kvsh.connect(tmp_path / "db", check_same_thread=False, isolation_level=None)
    con.execute("CREATE TABLE t(a, b)")
    con.executemany("INSERT INTO t VALUES (?, 1)", [(at,) for at in range(500)])
    with _busy(lambda: con.execute(sql).fetchall()) as met:
        time.sleep(0.05)
        con.close()
    assert {(type(error), str(error)) for error in met} == {(kvsh.ProgrammingError, CLOSED + ".")}


def test_what_a_thread_leaves_open_ends_with_it(tmp_path: Path) -> None:
    db = kvsh.open(tmp_path / "db", timeout=0)

    def leave() -> None:
        db.execute("BEGIN IMMEDIATE")
        db.put("half", "1")

    def put() -> None:  # a new thread often has the number of one that has ended
        db.put("whole", "1")

    for work in (leave, put):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    with kvsh.open(tmp_path / "db", timeout=0) as other:
        other.put("other", "1")
        assert dict(other) == {b"other": b"1", b"whole": b"1"}
    db.close()


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_handles_are_not_copied(tmp_path: Path, duplicate: Callable[[Any], object]) -> None:
    with kvsh.open(tmp_path / "db") as db, kvsh.connect(tmp_path / "db") as con:
        for handle in (db, db.transaction(), con, con.cursor()):
            with pytest.raises(TypeError, match=f"cannot pickle '{type(handle).__name__}' object"):
                duplicate(handle)


def test_the_writers_lock_is_not_held_while_what_a_first_statement_needs_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kvsh.connect(tmp_path / "db", isolation_level=None) as con:
        con.execute("CREATE TABLE t(a)")
    loaded: list[str] = []

    def load(module: str) -> None:
        if not loaded:  # later it is there
            loaded.append(module)
            with kvsh.open(tmp_path / "db", timeout=0) as other:
                other.put("loading", module)

    monkeypatch.setattr(sql.session_writes, "load", load)
    with kvsh.connect(tmp_path / "db", isolation_level=None) as first:
        first.execute("INSERT INTO t VALUES (1)")
    assert loaded == ["sql.dml"]


def _insert(con: kvsh.Connection) -> None:
    con.execute("INSERT INTO t VALUES (1)")


def _fail(con: kvsh.Connection, sql: str) -> None:
    con.execute("INSERT INTO t VALUES (1)")
    with suppress(kvsh.Error):
        con.execute(sql)


@pytest.mark.parametrize(
    "work",
    [
        _insert,
        lambda con: con.execute("BEGIN IMMEDIATE"),
        lambda con: con.execute("SELECT * FROM t WHERE a = ?", (1,)).fetchone(),
        *[
            partial(_fail, sql=sql)
            for sql in (
                "SELECT * FROM missing",
                "SELECT missing.* FROM t",
                "SELECT missing FROM t",
                "SELECT missing(1)",
                "INSERT INTO missing VALUES (1)",
                "UPDATE t SET missing = 1",
                "CREATE INDEX i ON t(missing)",
                "SELECT 1; SELECT 2",
                "SELEC",
                "DELETE FROM t WHERE a = json('{')",
            )
        ],
    ],
)
def test_a_connection_that_is_dropped_keeps_nobody_out(
    tmp_path: Path, work: Callable[[kvsh.Connection], object]
) -> None:
    with kvsh.connect(tmp_path / "db", isolation_level=None) as con:
        con.execute("CREATE TABLE t(a)")
    con.close()
    gc.collect()
    gc.disable()  # what waits for the collector may wait for long
    try:
        dropped = kvsh.connect(tmp_path / "db")
        work(dropped)
        del dropped
        with kvsh.connect(tmp_path / "db", timeout=0) as con:
            con.execute("INSERT INTO t VALUES (2)")
        assert con.execute("SELECT * FROM t").fetchall() == [(2,)]
        con.close()
    finally:
        gc.enable()


def test_a_finalizer_may_write_and_close(tmp_path: Path) -> None:
    class Owner:
        def __init__(self) -> None:
            self.db = kvsh.open(tmp_path / "db")
            self.me = self  # whom the collector finds, and empties weak references first

        def __del__(self) -> None:
            self.db.put("k", "v")
            self.db.close()

    unraisable: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", unraisable.append)
        owner = Owner()
        del owner
        gc.collect()
    assert not unraisable
    with kvsh.open(tmp_path / "db") as db:
        assert db["k"] == b"v"


def open_files(folder: Path) -> int:
    found = 0
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the list's own
            found += os.readlink(f"/proc/self/fd/{number}").startswith(f"{folder}/")
    return found


def test_the_file_of_a_database_that_is_dropped_is_closed_at_once(tmp_path: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        for work in (
            lambda db: db.put("k", "v"),
            lambda db: db.get("k"),
            lambda db: next(db.scan()),
            lambda db: db.execute("SELECT * FROM kv").fetchall(),
        ):
            db = kvsh.open(tmp_path / "db")
            work(db)
            del db
            assert open_files(tmp_path) == 0
    finally:
        gc.enable()


def test_the_files_of_attached_databases_are_closed_with_their_connection(tmp_path: Path) -> None:
    connection = kvsh.connect(tmp_path / "db", isolation_level=None)
    connection.execute("ATTACH ? AS o", (str(tmp_path / "other"),))
    connection.execute("CREATE TABLE t(a)")
    connection.execute("CREATE TABLE o.u(a)")
    gc.collect()
    gc.disable()
    try:
        for number in range(3):
            connection.execute("INSERT INTO t VALUES (?)", (number,))
            connection.execute("SELECT * FROM t, o.u").fetchall()
        connection.execute("VACUUM")
        connection.execute("SELECT * FROM t, o.u").fetchall()
        connection.close()
        assert open_files(tmp_path) == 0
    finally:
        gc.enable()


def test_an_error_in_the_middle_of_an_update_is_one_of_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kvsh.open(tmp_path / "db") as db:

        def fail(self: object, items: object) -> None:
            raise StorageError("database or disk is full")

        monkeypatch.setattr(Joined, "load", fail)
        with pytest.raises(kvsh.OperationalError, match="disk is full"):
            db.update({"k": "v"})
        assert len(db) == 0
