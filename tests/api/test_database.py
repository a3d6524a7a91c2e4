"""`kvsh.open`: the raw key space as a Python object."""

from __future__ import annotations

import gc
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

import kvsh
from btree.node import Node
from tests.threads import beside, in_threads


@pytest.fixture(params=["file", "memory"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[kvsh.Database]:
    path = ":memory:" if request.param == "memory" else str(tmp_path / "a.db")
    with kvsh.open(path, durability="off") as opened:
        yield opened


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the wall clock ahead by so many seconds."""
    ahead = [0]
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + ahead[0])

    def move(seconds: float) -> None:
        ahead[0] += int(seconds * 1e9)

    return move


def test_text_goes_in_as_utf8_and_bytes_come_back(db: kvsh.Database) -> None:
    db.put("ключ", "значение")
    assert db.get("ключ") == "значение".encode()
    assert db.get("ключ".encode()) == "значение".encode()
    db.put(bytearray(b"k"), memoryview(b"v"))
    assert db.get(b"k") == b"v"


def test_what_is_absent_is_none_or_the_default(db: kvsh.Database) -> None:
    assert db.get("no") is None
    assert db.get("no", b"x") == b"x"
    assert not db.exists("no")
    assert not db.delete("no")


def test_an_empty_value_is_not_absent(db: kvsh.Database) -> None:
    db.put("", "")
    assert db.get("") == b""
    assert db.exists("")
    assert list(db.scan()) == [(b"", b"")]


@pytest.mark.parametrize("wrong", [1, None, 1.5, ["a"]])
def test_other_types_of_key_and_value_are_refused(db: kvsh.Database, wrong: object) -> None:
    with pytest.raises(TypeError, match="bytes or str"):
        db.put(wrong, b"v")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="bytes or str"):
        db.put(b"k", wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="bytes or str"):
        db.get(wrong)  # type: ignore[arg-type]
    assert len(db) == 0


def test_it_is_a_mapping(db: kvsh.Database) -> None:
    db["b"] = "2"
    db["a"] = b"1"
    assert db["a"] == b"1"
    assert "a" in db
    assert b"c" not in db
    assert list(db) == [b"a", b"b"]
    assert list(db.items()) == [(b"a", b"1"), (b"b", b"2")]
    assert list(db.values()) == [b"1", b"2"]
    del db["a"]
    assert len(db) == 1
    with pytest.raises(KeyError):
        db["a"]
    with pytest.raises(KeyError):
        del db["a"]
    assert bool(db)


def test_a_scan_keeps_to_its_bounds_both_ways(db: kvsh.Database) -> None:
    db.update({f"k{number:04}": str(number) for number in range(1000)})
    assert [key for key, _ in db.scan("k0010", "k0013")] == [b"k0010", b"k0011", b"k0012"]
    backwards = list(db.scan("k0010", "k0013", reverse=True))
    assert backwards == list(db.scan("k0010", "k0013"))[::-1]
    assert len(list(db.scan(prefix="k00"))) == 100
    assert db.count(prefix="k00") == 100
    assert list(db.scan(prefix="k00", lo="k0098", limit=5)) == [
        (b"k0098", b"98"),
        (b"k0099", b"99"),
    ]
    assert list(db.scan(limit=0)) == []
    assert len(list(db.scan(limit=2000))) == 1000
    assert list(db.scan("z", "a")) == []
    assert list(db.scan(prefix=b"\xff")) == []


def test_a_scan_sees_one_moment(db: kvsh.Database) -> None:
    db.update({f"k{number:04}": "old" for number in range(1000)})
    scan = db.scan()
    next(scan)
    db.update({f"k{number:04}": "new" for number in range(1000)})
    db.put("k9999", "new")
    assert {value for _, value in scan} == {b"old"}
    assert db.get("k0000") == b"new"


def test_a_transaction_commits_or_leaves_no_trace(db: kvsh.Database) -> None:
    with db.transaction():
        db.put("a", "1")
        assert db.get("a") == b"1"
    with pytest.raises(ZeroDivisionError), db.transaction():
        db.put("a", "2")
        db.put("b", "2")
        db.delete("a")
        raise ZeroDivisionError
    assert list(db.scan()) == [(b"a", b"1")]


def test_a_transaction_in_a_transaction_is_a_savepoint(db: kvsh.Database) -> None:
    with db.transaction():
        db.put("a", "1")
        with pytest.raises(ZeroDivisionError), db.transaction():
            db.put("a", "2")
            with db.transaction():
                db.put("b", "2")
            raise ZeroDivisionError
        assert list(db.scan()) == [(b"a", b"1")]
        with db.transaction():
            db.put("c", "3")
    assert list(db.scan()) == [(b"a", b"1"), (b"c", b"3")]


def test_a_transaction_can_be_ended_within_its_block(db: kvsh.Database) -> None:
    with db.transaction() as transaction:
        db.put("a", "1")
        transaction.rollback()
    assert db.get("a") is None
    with db.transaction() as transaction:
        db.put("a", "1")
        transaction.commit()
    assert db.get("a") == b"1"
    with pytest.raises(kvsh.ProgrammingError, match="has ended"):
        transaction.commit()


def test_sql_and_raw_keys_share_transactions(db: kvsh.Database) -> None:
    db.execute("CREATE TABLE t(a)")
    with pytest.raises(ZeroDivisionError), db.transaction():
        db.put("a", "1")
        db.execute("INSERT INTO t VALUES (1)")
        assert db.execute("SELECT key, value FROM kv").fetchall() == [("a", "1")]
        raise ZeroDivisionError
    assert db.execute("SELECT * FROM t").fetchall() == []
    db.execute("BEGIN")
    db.put("a", "1")
    db.execute("INSERT INTO t VALUES (1)")
    db.execute("ROLLBACK")
    assert db.get("a") is None
    with db.transaction():
        db.put("a", "1")
        db.execute("COMMIT")
        db.put("b", "1")  # a transaction of its own by now
    assert db.count() == 2


def test_another_thread_does_not_join_the_transaction(tmp_path: Path) -> None:
    seen: list[object] = []
    with kvsh.open(tmp_path / "a.db", durability="off", timeout=0.05) as db:

        def other() -> None:
            seen.append(db.get("a"))
            try:
                db.put("b", "1")
            except kvsh.OperationalError as error:
                seen.append(error.sqlite_errorname)

        with db.transaction():
            db.put("a", "1")
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
        assert seen == [None, "SQLITE_BUSY"]
        assert db.get("a") == b"1"


def test_threads_that_write_lose_nothing(tmp_path: Path) -> None:
    with kvsh.open(tmp_path / "a.db", durability="normal") as db:

        def work(name: str) -> None:
            for number in range(50):
                db.put(f"{name}{number:03}", str(number))
                db.incr("total")
                assert db.get(f"{name}{number:03}") == str(number).encode()

        in_threads(*[partial(work, name) for name in "abcd"])
        assert db.get("total") == b"200"
        assert len(db) == 201
    with kvsh.open(tmp_path / "a.db") as db:
        assert db.get("total") == b"200"
        assert db.check() == []


def test_a_key_with_a_ttl_goes_when_its_time_has_come(
    db: kvsh.Database, clock: Callable[[float], None]
) -> None:
    db.put("a", "1", ttl=30)
    db.put("b", "2")
    left = db.ttl("a")
    assert left is not None and 29 < left <= 30
    assert db.ttl("b") is None
    assert db.expire("b", 60)
    assert not db.expire("no", 60)
    clock(31)
    assert db.get("a") is None
    assert "a" not in db
    assert list(db.scan()) == [(b"b", b"2")]
    assert db.count() == 1
    assert db.persist("b")
    assert not db.persist("b")
    clock(1000)
    assert db.get("b") == b"2"


def test_put_without_ttl_takes_an_expiry_away(
    db: kvsh.Database, clock: Callable[[float], None]
) -> None:
    db.put("a", "1", ttl=30)
    db.put("a", "2")
    clock(31)
    assert db.get("a") == b"2"


def test_incr_counts_and_keeps_the_expiry(db: kvsh.Database) -> None:
    assert db.incr("n") == 1
    assert db.incr("n", 41) == 42
    assert db.incr("n", -2) == 40
    db.expire("n", 30)
    assert db.incr("n") == 41
    assert db.ttl("n") is not None
    db.put("word", "x")
    with pytest.raises(kvsh.DataError, match="no whole number"):
        db.incr("word")
    db.put("wide", str(2**63 - 1))
    with pytest.raises(kvsh.DataError, match="64 bits"):
        db.incr("wide")
    assert db.get("wide") == str(2**63 - 1).encode()


@pytest.mark.parametrize("ttl", [1e30, 10**400, float("inf"), float("-inf"), float("nan")])
def test_a_moment_that_no_clock_reaches_is_no_expiry(db: kvsh.Database, ttl: float) -> None:
    db.put("k", "v")
    with pytest.raises(kvsh.DataError, match="expire"):
        db.expire("k", ttl)
    with pytest.raises(kvsh.DataError, match="expire"):
        db.put("k", "w", ttl=ttl)
    assert (db.get("k"), db.ttl("k")) == (b"v", None)


def test_times_and_steps_are_numbers(db: kvsh.Database) -> None:
    text: Any = "5"
    with pytest.raises(TypeError, match="a number of seconds, not str"):
        db.put("k", "v", ttl=text)
    with pytest.raises(TypeError, match="integer"):
        db.scan(limit=text)
    with pytest.raises(TypeError):
        db.incr("k", text)
    with pytest.raises(TypeError):
        db.incr("k", 1.5)  # type: ignore[arg-type]
    assert db.get("k") is None


def test_what_is_written_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with kvsh.open(path) as db:
        db.put("a", b"\x00" * 1_000_000)
        db.execute("CREATE TABLE t(a)")
    with kvsh.open(path, readonly=True) as db:
        assert db.get("a") == b"\x00" * 1_000_000
        with pytest.raises(kvsh.OperationalError) as caught:
            db.put("a", "1")
        assert caught.value.sqlite_errorname == "SQLITE_READONLY"
        with db.transaction():
            assert len(db) == 1


def test_a_read_after_another_handles_commit_sees_it(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with kvsh.open(path, durability="normal") as one, kvsh.open(path, durability="normal") as two:
        for number in range(20):
            one.put("n", str(number))
            assert two.get("n") == str(number).encode()
        two.execute("CREATE TABLE t(a)")
        assert one.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_looking_after_the_file(tmp_path: Path) -> None:
    with kvsh.open(tmp_path / "a.db", durability="off") as db:
        db.update({str(number): "x" * 100 for number in range(2000)})
        db.execute("CREATE TABLE t(a UNIQUE)")
        db.checkpoint()
        db.compact()
        calls: list[tuple[int, int]] = []
        db.backup(tmp_path / "b.db", progress=lambda done, total: calls.append((done, total)))
        assert calls and all(0 < done <= total for done, total in calls)
        assert db.check() == []
        with db.transaction(), pytest.raises(kvsh.OperationalError, match="within a transaction"):
            db.compact()
    with kvsh.open(tmp_path / "b.db") as copy:
        assert len(copy) == 2000


def test_a_closed_database_says_so(db: kvsh.Database) -> None:
    db.close()
    db.close()
    assert db.closed
    for use in (lambda: db.get("a"), lambda: db.put("a", "1"), db.scan, db.transaction, db.count):
        with pytest.raises(kvsh.ProgrammingError, match="closed"):
            use()


def test_every_error_of_open_is_the_packages_own(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"\x89PNG" * 5000)
    with pytest.raises(kvsh.DatabaseError, match="not a database"):
        kvsh.open(tmp_path / "image.png")
    with pytest.raises(kvsh.OperationalError):
        kvsh.open(tmp_path)
    with pytest.raises(kvsh.OperationalError):
        kvsh.open(tmp_path / "none.db", readonly=True)
    wrong: Any = "5"
    with pytest.raises(kvsh.OperationalError, match="full, normal or off, not '5'"):
        kvsh.open(tmp_path / "new.db", durability=wrong)
    for door in (kvsh.open, kvsh.connect):
        with pytest.raises(TypeError, match="timeout is a number of seconds, not str"):
            door(tmp_path / "new.db", timeout=wrong)
        with pytest.raises(TypeError, match="at is the number of a commit, not str"):
            door(tmp_path / "new.db", at=wrong)
    assert not (tmp_path / "new.db").exists()


def test_close_within_a_transaction_rolls_it_back(tmp_path: Path) -> None:
    db = kvsh.open(tmp_path / "a.db")
    with db.transaction():
        db.put("a", "1")
        db.close()
    with kvsh.open(tmp_path / "a.db") as again:
        assert again.get("a") is None


def test_puts_of_a_transaction_are_seen_however_one_looks(db: kvsh.Database) -> None:
    """Puts are put off until somebody looks at the keys; a cursor looks, too, and so does its COMMIT."""
    with db.transaction():
        for number in range(50):
            db.put(f"key:{number:02}", str(number))
        assert db.get("key:07") == b"7"
        assert db.delete("key:07") and not db.delete("key:07")
        assert db.get("key:07") is None and "key:08" in db
        assert db.incr("key:08") == 9
        db.put("key:07", "again", ttl=100)
        db.put("key:09", "short", ttl=100)
        db.put("key:09", "long")
        assert (db.ttl("key:09"), db.count(prefix="key:0")) == (None, 10)
        with pytest.raises(ZeroDivisionError), db.transaction():
            db.put("key:00", "gone")
            1 / 0  # noqa: B018
        assert db.get("key:00") == b"0"
    with db.transaction():
        db.put("a", "1")
        cursor = db.execute("SELECT count(*) FROM kv WHERE key = 'a'")
        db.put("b", "2")
        assert cursor.execute("SELECT value FROM kv WHERE key = 'b'").fetchone() == ("2",)
        db.put("c", "3")
        cursor.execute("COMMIT")
    assert [db.get(key) for key in "abc"] == [b"1", b"2", b"3"]


def test_keys_that_are_read_again_and_again_are_never_stale(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with kvsh.open(path, cache_bytes=1 << 20) as db, kvsh.open(path) as other:
        for number in range(2000):  # more than are kept
            other.put(f"k{number}", "old")
        for _ in range(2):
            assert {db.get(f"k{number}") for number in range(2000)} == {b"old"}
        for change in (lambda: other.put("k1999", "new"), lambda: db.put("k1999", "newer")):
            change()
            assert db.get("k1999") in (b"new", b"newer") and db.get("k1") == b"old"
        assert db.get("k1999") == b"newer"
        other.put("k1999", "mortal", ttl=0)
        assert db.get("k1999") is None and db.get("k1999", b"?") == b"?"
        assert other.delete("k1998") and db.get("k1998") is None


def test_what_was_read_before_is_read_anew_once_anybody_has_changed_it(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with kvsh.open(path) as db, kvsh.open(path) as other:
        db.update({f"k{number}": "old" for number in range(100)})

        def read(key: str) -> bytes | None:
            return [db.get(key), db.get(key)][1]  # the second time from the hash index

        assert read("k1") == read("k2") == b"old"
        other.put("k1", "new")
        assert read("k1") == b"new"
        assert read("k2") == b"old"
        db.put("k1", "newer")
        assert read("k1") == b"newer"
        db.execute("UPDATE kv SET value = 'sql' WHERE key = 'k1'")
        assert read("k1") == b"sql"
        other.delete("k2")
        assert read("k2") is None
        db.put("k3", "fleeting", ttl=0.01)
        time.sleep(0.02)
        assert read("k3") is None
        with other.transaction():
            for number in range(10, 20):
                other.put(f"k{number}", f"many {number}")
        assert read("k15") == b"many 15"
        other.checkpoint()
        other.put("k15", "after")
        assert read("k15") == b"after"
        with other.transaction():
            other.execute("DELETE FROM kv")
        assert read("k15") is None


def test_readers_never_go_back_while_others_write(tmp_path: Path) -> None:
    with kvsh.open(tmp_path / "a.db", durability="off") as db:
        keys = [b"%d" % number for number in range(50)]
        db.update(dict.fromkeys(keys, b"0"))

        def read(done: Event) -> None:
            seen = dict.fromkeys(keys, 0)
            while not done.is_set():
                for key in keys:
                    value = int(db.get(key) or b"-1")
                    assert value >= seen[key], key
                    seen[key] = value

        with beside(*[read] * 3):
            for turn in range(1, 41):
                for key in keys:
                    db.put(key, b"%d" % turn)
        assert {db.get(key) for key in keys} == {b"40"}


def test_a_transaction_that_deletes_all_that_it_has_put_commits(tmp_path: Path) -> None:
    with kvsh.open(tmp_path / "a.db") as db:
        with db.transaction():
            for number in range(1000):
                db.put(b"%04d" % number, b"v")
        assert db.count() == 1000
        with db.transaction():
            db.put("0500x", "v")
            assert db.delete("0500x")
        with db.transaction():
            db.put("0500", "w")
            db.put("0600x", "v")
            assert db.delete("0600x")
            assert db.delete("0700")
        assert db.get("0500") == b"w"
        assert db.count() == 999


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("seed", range(3))
def test_a_scan_that_was_begun_in_a_transaction_outlives_it(
    tmp_path: Path, end: str, seed: int
) -> None:
    rng = random.Random(seed)
    model: dict[bytes, bytes] = {}

    def change(db: kvsh.Database) -> None:
        pairs = {b"%05d" % rng.randrange(3000): bytes(rng.randrange(20_000)) for _ in range(20)}
        db.update(pairs)
        model.update(pairs)
        for key in rng.sample(sorted(model), 5):
            db.delete(key)
            del model[key]

    with kvsh.open(tmp_path / "db", durability="off", cache_bytes=1 << 20) as db:
        for _ in range(10):
            change(db)
        transaction = db.transaction()
        with transaction:
            for _ in range(30):
                change(db)
            every, keys, values = db.scan(), db.keys(), db.values()
            found = [next(every)]
            expected = sorted(model.items())
            change(db)
            if end == "rollback":
                transaction.rollback()
        for key in list(db)[::2]:
            db.delete(key)
        db.update([(key, b"other") for key in db])
        assert [*found, *every] == expected
        assert [*keys] == [key for key, _ in expected]
        assert [*values] == [value for _, value in expected]


def test_what_a_closed_handle_read_does_not_wait_for_the_collector(tmp_path: Path) -> None:
    """Neither a replay nor a plan nor a reader is left in a cycle with nodes: a program that opens and closes
    large files would take memory for many of them."""
    path, left = tmp_path / "a.db", tmp_path / "left.db"
    with kvsh.open(path) as database:
        database.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
        for number in range(200):
            database.put(f"k{number}", b"v")
            database.execute("INSERT INTO t VALUES(?, ?)", (number, f"b{number}"))
        shutil.copy(path, left)  # with commits to replay

    def read() -> None:
        with kvsh.open(left, readonly=True) as database:
            assert database.execute(
                "SELECT count(*) FROM t WHERE b LIKE '%1%' OR a > 190"
            ).fetchone()
            assert len(list(database.scan(prefix="k"))) == 200
            assert database.get("k7") == b"v"

    def nodes() -> int:
        return sum(isinstance(thing, Node) for thing in gc.get_objects())

    read()  # what is imported and remembered once
    gc.collect()
    gc.disable()
    try:
        before = nodes()
        read()
        assert nodes() == before
    finally:
        gc.enable()


def test_a_scan_of_fewer_than_no_pairs_is_refused() -> None:
    with kvsh.open(":memory:") as db:
        db.put("a", "b")
        assert list(db.scan(limit=0)) == []
        with pytest.raises(ValueError, match="limit is -1"):
            db.scan(limit=-1)
