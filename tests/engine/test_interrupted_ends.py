"""Ctrl-C at every point of commits that go their own ways: without a sync, of one statement, in memory, in a `with`."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import btree
import engine
import engine.store
import engine.writer
import kvsh
import sql
from btree import ConflictError, open_memory, open_store
from engine.hurry import HURRY
from tests.engine.test_interrupted_commits import EVERY
from tests.interrupting import Interrupting, Stop, folders

PLACES = folders(engine, btree)
BUT = ("__del__", "forget", "close")
ENDS = (str(engine.writer.__file__), str(engine.store.__file__))
"""Where a writer is begun, commits and ends."""


def each_point(
    name: str,
    work: Callable[[int], Any],
    afterwards: Callable[[int], Any],
    places: tuple[str, ...] = PLACES,
    but: tuple[str, ...] = BUT,
) -> None:
    """Do the work with Ctrl-C at each point in turn, or each `EVERY`th, and what is to work behind that."""
    at = random.Random(name).randrange(EVERY) + 1
    while True:
        try:
            with Interrupting(at, places, but=but) as interrupting:
                work(at)
        except Stop:
            afterwards(at)
        if interrupting.count < at:
            return  # all of it has been gone through
        at += EVERY


@pytest.mark.parametrize("durability", ["normal", "off"])
def test_a_put_without_a_sync(tmp_path: Path, durability: Any) -> None:
    store, other = (open_store(tmp_path / "db", durability=durability, timeout=0) for _ in range(2))
    for handle in (store, other, store):
        handle.put(b"first", b"v")
        handle.begin().rollback()

    def afterwards(at: int) -> None:
        other.put(b"other", b"%d" % at)
        store.put(b"mine", b"%d" % at)
        for handle in (store, other):
            with_rows = handle.begin().tree(1)
            assert with_rows.get(b"other") == with_rows.get(b"mine") == b"%d" % at

    each_point(durability, lambda at: store.put(b"put", b"%d" % at), afterwards)
    assert store.check() == other.check() == []
    other.close()
    store.close()


@pytest.mark.parametrize("durability", ["full", "normal", "off"])
def test_a_statement_that_is_a_transaction(tmp_path: Path, durability: Any) -> None:
    """It takes the lock as it commits, and there is no writer whose end would give it back."""
    store, other = (kvsh.open(tmp_path / "db", durability=durability, timeout=0) for _ in range(2))
    store.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER)")
    store.execute("INSERT INTO t VALUES (1, 0)")
    told = begun = 0

    def count(handle: Any) -> None:
        nonlocal told, begun
        begun += 1
        handle.execute("UPDATE t SET n = n + 1 WHERE id = 1")
        told += 1

    def afterwards(at: int) -> None:
        count(other)
        count(store)
        found = {handle.execute("SELECT n FROM t").fetchone()[0] for handle in (store, other)}
        assert len(found) == 1 and told <= max(found) <= begun, f"point {at}"

    each_point(durability, lambda at: count(store), afterwards)
    assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    other.close()
    store.close()


def refused_upgrade(store: Any) -> None:
    """What a reader meets whose commit is not the newest any more."""
    reader = store.begin()
    store.put(b"newer", b"v")
    with pytest.raises(ConflictError):
        reader.upgrade()


WITH_A_WRITER: dict[str, Callable[[Any], Any]] = {
    "first put": lambda store: store.put(b"put", b"v"),
    "close": lambda store: store.pages._close_cleanly(),
    "seal": lambda store: store.pages.seal(),
    "compact": lambda store: store.compact(),
    "checkpoint": lambda store: store.checkpoint(),
    "upgrade": refused_upgrade,
}


@pytest.mark.parametrize("name", WITH_A_WRITER)
@pytest.mark.parametrize("durability", ["full", "off"])
def test_a_writer(tmp_path: Path, name: str, durability: Any) -> None:
    """Whoever has begun it ends it, also where Ctrl-C comes before it is rolled back, or as it is: else nobody could write
    by that handle any more, and it would keep the file open."""
    first = open_store(tmp_path / "db", durability=durability)
    first.put(b"first", b"v")
    first.checkpoint()
    first.close()
    at = 1
    while True:
        store = open_store(tmp_path / "db", durability=durability, timeout=0)
        if name != "first put":
            store.put(b"before", b"%d" % at)
        try:
            with Interrupting(at, ENDS, but=("__del__", "forget")) as interrupting:
                WITH_A_WRITER[name](store)
        except Stop:
            store.put(b"after", b"%d" % at)
        store.close()
        if interrupting.count < at:
            break
        at += 1
    assert at > 3


def refused(con: Any, sql: str, *sets: tuple[int, int]) -> None:
    with pytest.raises(kvsh.IntegrityError):
        if sets:
            con.executemany(sql, sets)
        else:
            con.execute(sql)


def executed(*statements: str) -> Callable[[Any], Any]:
    return lambda con: [con.execute(sql) for sql in statements]


STATEMENTS: dict[str, Callable[[Any], Any]] = {
    "of no row": executed("UPDATE t SET n = n + 1 WHERE n = -5"),
    "of no key": executed("DELETE FROM t WHERE id >= 10"),
    "of some rows": executed("DELETE FROM t WHERE id >= 8", "INSERT INTO t VALUES (8, 8), (9, 9)"),
    "refused": lambda con: refused(con, "INSERT INTO t VALUES (1, 1)"),
    "refused of many": lambda con: refused(con, "INSERT INTO t SELECT 1, n FROM t"),
    "refused set": lambda con: refused(con, "INSERT INTO t VALUES (?, ?)", (50, 1), (1, 3)),
    "begun": executed("BEGIN IMMEDIATE", "ROLLBACK"),
    "rolled back": executed("BEGIN IMMEDIATE", "UPDATE t SET n = n + 1", "ROLLBACK"),
    "definition": executed("CREATE TABLE IF NOT EXISTS other(a)", "DROP TABLE other"),
    "checkpoint": executed("PRAGMA wal_checkpoint"),
    "compaction": executed("VACUUM"),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize("durability", ["full", "off"])
def test_statements(tmp_path: Path, name: str, durability: Any) -> None:
    """Once its transaction has ended, or is rolled back, nobody is kept out, and the connection goes on."""
    con, other = (
        kvsh.connect(tmp_path / "db", isolation_level=None, durability=durability, timeout=0)
        for _ in range(2)
    )
    con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER)")
    con.executemany("INSERT INTO t VALUES (?, ?)", [(number, number) for number in range(10)])

    def afterwards(at: int) -> None:
        if con.in_transaction:
            con.execute("ROLLBACK")
        for connection in (other, con):
            connection.execute("UPDATE t SET n = ? WHERE id = 2", (at,))
        assert other.execute("SELECT n FROM t WHERE id = 2").fetchall() == [(at,)]
        con.execute("DELETE FROM t WHERE id >= 10")
        con.execute("INSERT OR IGNORE INTO t VALUES (8, 8), (9, 9)")

    # As `__exit__` begins nothing of it could catch it.
    but = (*BUT, "__exit__")
    places = folders(engine, btree, sql, kvsh)
    each_point(name + durability, lambda at: STATEMENTS[name](con), afterwards, places, but)
    afterwards(0)
    assert con.execute("SELECT count(*) FROM t").fetchone() == (10,)
    assert con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    other.close()
    con.close()


@pytest.mark.parametrize("upgrades", [False, True])
def test_a_transaction_in_memory(upgrades: bool) -> None:
    store = open_memory(timeout=0)

    def work(at: int) -> None:
        transaction = store.begin(write=not upgrades)
        try:
            if upgrades:
                transaction.upgrade()
            transaction.tree(1).put(b"put", b"%d" % at)
            transaction.commit()
        finally:
            transaction.rollback()

    each_point(str(upgrades), work, lambda at: store.put(b"later", b"v"))
    store.close()


@pytest.mark.parametrize("name", ["file", ":memory:"])
def test_a_transaction_of_a_with_statement(tmp_path: Path, name: str) -> None:
    """Whether it is being begun or ended: it is not left open, and another one can begin."""
    place = name if name == ":memory:" else tmp_path / "db"
    db = kvsh.open(place, timeout=0)
    other = db if name == ":memory:" else kvsh.open(place, timeout=0)
    db.put("first", "v")

    def work(at: int) -> None:
        with db.transaction():
            db.put("put", str(at))

    def afterwards(at: int) -> None:
        other.put("other", str(at))
        with db.transaction():
            db.put("mine", str(at))
        assert other.get("mine") == db.get("other") == str(at).encode()

    # As `__exit__` begins nothing of it could catch it.
    but = (*BUT, "__exit__")
    each_point(name, work, afterwards, folders(engine, btree, sql, kvsh), but)
    db.close()


class WhereHasteEnds(Interrupting):
    """Counts points within `_Hurry.__exit__`, and in what it calls, alone."""

    def _pass(self, frame: FrameType, event: str, argument: Any) -> None:
        caller: FrameType | None = frame if event != "call" else frame.f_back
        while caller is not None and caller.f_code is not type(HURRY).__exit__.__code__:
            caller = caller.f_back
        if caller is not None:
            super()._pass(frame, event, argument)


def test_haste_ends_though_its_end_is_torn_off() -> None:
    before = sys.getswitchinterval()
    idle = threading.Event()
    threading.Thread(target=idle.wait).start()
    at = 1
    try:
        while True:
            try:
                with WhereHasteEnds(at, PLACES) as interrupting, HURRY:
                    pass
            except Stop:
                assert not HURRY.inside, f"point {at}"
            end = time.monotonic() + 20
            while sys.getswitchinterval() != before:
                assert time.monotonic() < end, f"point {at}"
                time.sleep(0.001)
            if interrupting.count < at:
                break
            at += 1
    finally:
        idle.set()
        HURRY.inside.discard(threading.get_ident())
    assert at > 1
