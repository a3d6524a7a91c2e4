"""What a forked child may do with what its parent has open: nothing to the file, and without waiting for anybody."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kvsh
from btree import open_memory, open_store
from engine import PageStore

PAGE = b"p" * 70_000


def outcome_in_child(work: Callable[[], object]) -> str:
    """What `work` comes to in a forked child: "done", or its error; a child that waits for 10 s is killed."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():  # the child touches none of the threads' work
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        told = "done"
        try:
            work()
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        os.write(writer, told.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told or "waits for ever"


def test_a_child_writes_nothing_early_into_the_transaction_of_its_parent(tmp_path: Path) -> None:
    store = PageStore.open(tmp_path / "db")
    writer = store.begin()
    pages = [writer.allocate() for _ in range(60)]

    def put(some: list[int], content: bytes) -> None:
        for page in some:
            writer.put(page, content)

    put(pages[:20], PAGE)
    told = outcome_in_child(lambda: put(pages, b"c" * len(PAGE)))
    size = os.path.getsize(tmp_path / "db")
    assert "before a fork" in told
    put(pages[20:40], PAGE)  # where the child would have written
    told = outcome_in_child(lambda: put(pages, b"d" * len(PAGE)))
    assert "before a fork" in told
    put(pages[40:], PAGE)
    writer.commit_pages().wait()
    assert os.path.getsize(tmp_path / "db") > size
    assert store.check() == []
    with store.snapshot() as seen:
        assert {seen.get(page) for page in pages} == {PAGE}
    store.close()


def _with_lock_of_another_thread(lock: Any, work: Callable[[], object]) -> str:
    """What `work` comes to in a child that was forked while another thread had the lock."""
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        return outcome_in_child(work)
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("name", ["mutex", "syncs", "writes", "_writing"])
def test_a_child_waits_for_no_lock_of_the_pages(tmp_path: Path, name: str) -> None:
    store = PageStore.open(tmp_path / "db")
    assert "before a fork" in _with_lock_of_another_thread(getattr(store, name), store.begin)
    assert "before a fork" in _with_lock_of_another_thread(getattr(store, name), store.snapshot)
    assert _with_lock_of_another_thread(getattr(store, name), store.close) == "done"
    store.close()


def test_a_child_waits_for_no_lock_of_the_trees(tmp_path: Path) -> None:
    store = open_store(tmp_path / "db")
    told = _with_lock_of_another_thread(store._lock, store.begin)  # type: ignore[attr-defined]
    assert "before a fork" in told
    store.close()


def test_a_child_goes_on_with_a_copy_of_a_store_in_memory() -> None:
    store = open_memory()
    store.put(b"k", b"v")
    told = _with_lock_of_another_thread(
        store.contents.mutex,  # type: ignore[attr-defined]
        lambda: store.put(b"k", b"w"),
    )
    assert told == "done"
    assert store.begin().tree(1).get(b"k") == b"v"


def test_a_child_waits_for_no_thread_that_uses_its_parents_database(tmp_path: Path) -> None:
    db = kvsh.open(tmp_path / "db")
    db.put("k", "v")
    lock = db._reads_lock
    assert "before a fork" in _with_lock_of_another_thread(lock, lambda: db.get("other"))
    assert "before a fork" in _with_lock_of_another_thread(lock, lambda: list(db.scan()))
    db.close()


def test_a_child_waits_for_no_statement_of_its_parents_connection(tmp_path: Path) -> None:
    con = kvsh.connect(tmp_path / "db", check_same_thread=False)
    con.execute("CREATE TABLE t(a)")
    told = _with_lock_of_another_thread(con._turn, lambda: con.execute("INSERT INTO t VALUES (1)"))
    assert "before a fork" in told
    assert _with_lock_of_another_thread(con._turn, con.close) == "done"
    con.close()


@pytest.mark.parametrize("begin", [False, True])
@pytest.mark.parametrize(
    "running",
    ["INSERT INTO t SELECT wait(a) FROM t", "UPDATE t SET a = wait(a)", "SELECT wait(a) FROM t"],
)
def test_a_child_takes_no_part_in_a_statement_that_another_thread_executes(
    tmp_path: Path, running: str, begin: bool
) -> None:
    """What it wrote joined the statement's transaction, went nowhere, and was said to be done."""
    con = kvsh.connect(tmp_path / "db", check_same_thread=False, isolation_level=None)
    con.execute("CREATE TABLE t(a)")
    con.execute("INSERT INTO t VALUES (1)")
    waiting, done = threading.Event(), threading.Event()

    def wait(value: int) -> int:
        waiting.set()
        done.wait()
        return value

    con.create_function("wait", 1, wait)
    if begin:
        con.execute("BEGIN")
    thread = threading.Thread(target=lambda: con.execute(running).fetchall())
    thread.start()
    waiting.wait()

    def write() -> None:
        con.execute("INSERT INTO t VALUES (2)")
        if begin:
            con.execute("COMMIT")

    try:
        told = [outcome_in_child(write), outcome_in_child(lambda: con.execute("DELETE FROM t"))]
        assert "before a fork" in told[0] and (begin or "before a fork" in told[1])
        assert outcome_in_child(con.close) == "done"
    finally:
        done.set()
        thread.join()
    if begin:
        con.execute("COMMIT")
    expected = [(1,), (1,)] if "INSERT" in running else [(1,)]
    assert con.execute("SELECT a FROM t").fetchall() == expected
    assert con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    con.close()


def test_every_error_in_a_child_is_one_of_the_packages(tmp_path: Path) -> None:
    con = kvsh.connect(tmp_path / "db")
    con.execute("CREATE TABLE t(a)")
    told = outcome_in_child(lambda: list(con.iterdump()))
    assert told.startswith("OperationalError: ") and "before a fork" in told
    con.close()


def test_a_child_opens_the_file_again(tmp_path: Path) -> None:
    db = kvsh.open(tmp_path / "db")
    db.put("parent", "1")

    def again() -> None:
        with kvsh.open(tmp_path / "db") as own:
            own.put("child", own["parent"])

    assert outcome_in_child(again) == "done"
    assert db["child"] == b"1"
    db.put("parent", "2")
    assert db.check() == []
    db.close()
