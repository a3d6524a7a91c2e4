"""Handles leave files of a fitting size: what a close compacts, and what is compacted between two commits."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import kvsh
from btree import StoreError
from btree.disk import DiskStore
from btree.renewals import Renewals
from engine import PageStore
from engine import store as store_module


@pytest.fixture
def only_closing_compacts(monkeypatch: pytest.MonkeyPatch) -> None:
    compact = Renewals.compact

    def compact_closing(self: Renewals, store: DiskStore, *, closing: bool = False) -> None:
        if closing:
            compact(self, store, closing=True)

    monkeypatch.setattr(Renewals, "compact", compact_closing)


@pytest.mark.usefixtures("only_closing_compacts")
@pytest.mark.parametrize("how", ["open", "connect"])
def test_closing_leaves_a_small_file_after_much_was_overwritten(tmp_path: Path, how: str) -> None:
    path = tmp_path / "a.db"
    last = {b"k%d" % number: b"%d" % number * 2_000 for number in range(100)}
    db = kvsh.open(path, durability="off")
    other = kvsh.connect(path)
    for _ in range(100):
        db.update(last)
        db.checkpoint()
    assert path.stat().st_size > 16 << 20
    if how == "open":
        db.close()
    else:
        assert other.execute("SELECT count(*) FROM kv").fetchone() == (100,)
        other.close()
    assert path.stat().st_size < 2 << 20
    with kvsh.open(path) as again:
        assert dict(again.scan()) == last
        assert again.check() == []
    other.close()
    db.close()


def test_a_compaction_that_fails_behind_a_commit_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def fails(*_: object, **__: object) -> None:
        tries.append(1)
        raise StoreError("no room")

    path = tmp_path / "a.db"
    with kvsh.open(path, durability="off") as db:
        with monkeypatch.context() as patched:
            patched.setattr(PageStore, "compact", fails)
            for turn in range(100):
                db.update({f"k{number}": f"{turn:_<1000}" for number in range(500)})
        assert path.stat().st_size > 32 << 20
        assert tries == [1]  # nobody waits for it again
        assert db.get("k499") == f"{99:_<1000}".encode()
    assert path.stat().st_size < 2 << 20


@pytest.mark.parametrize("how", ["put", "transaction", "sql"])
def test_a_program_that_overwrites_for_long_keeps_its_file_small(tmp_path: Path, how: str) -> None:
    path = tmp_path / "a.db"
    with kvsh.open(path, durability="off") as db:
        db.put("untouched", "stays")
        early = db.execute("SELECT * FROM kv")
        assert early.fetchone() is not None
        if how == "sql":
            db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
            db.execute("INSERT INTO t SELECT value, 0 FROM generate_series(1, 500)")
        reading = db.scan()
        sizes = []
        for turn in range(150):
            if how == "sql":
                db.execute("UPDATE t SET v = ? || id", (f"{turn:_<1000}",))
            elif how == "transaction":
                db.update({f"k{number}": f"{turn:_<1000}" for number in range(500)})
            else:
                for number in range(500):
                    db.put(f"k{number}", f"{turn:_<1000}")
            sizes.append(path.stat().st_size)
        assert max(sizes) < 32 << 20  # 75 MB were written
        assert next(iter(reading))[0] == b"untouched"
        assert db.get("untouched") == b"stays"
        if how == "sql":
            count = "SELECT count(*) FROM t WHERE v = ? || id"
            assert db.execute(count, (f"{turn:_<1000}",)).fetchone() == (500,)
        else:
            assert db.get("k499") == f"{turn:_<1000}".encode()
        assert db.check() == []


@pytest.mark.parametrize("how", ["open", "connect", "shell"])
def test_a_load_in_many_transactions_leaves_no_more_than_one_in_one(
    tmp_path: Path, how: str
) -> None:
    numbers = random.Random(7).sample(range(20_000), 20_000)
    path, once = tmp_path / "many.db", tmp_path / "once.db"
    if how == "open":
        with kvsh.open(path, durability="off") as db:
            for start in range(0, len(numbers), 500):
                db.update({f"{number:08}": b"v" * 50 for number in numbers[start : start + 500]})
        with kvsh.open(once, durability="off") as db:
            db.update({f"{number:08}": b"v" * 50 for number in numbers})
    else:
        script = ["CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);"]
        rows = [f"INSERT INTO t VALUES ({number}, 'value {number}');" for number in numbers]
        for start in range(0, len(rows), 500):
            script += ["BEGIN;", *rows[start : start + 500], "COMMIT;"]
        one = ["BEGIN;", script[0], *rows, "COMMIT;"]
        for name, lines in ((path, script), (once, one)):
            text = "\n".join(lines)
            if how == "connect":
                connection = kvsh.connect(name, isolation_level=None)
                connection.executescript(text)
                connection.close()
            else:
                command = [sys.executable, "-m", "kvsh", str(name)]
                subprocess.run(command, input=text, text=True, check=True)
    assert path.stat().st_size < 1.25 * once.stat().st_size + (300 << 10)
    with kvsh.open(path) as db:
        assert db.check() == []


@pytest.mark.usefixtures("only_closing_compacts")
def test_closing_copies_a_large_file_for_who_has_written_much_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "QUICK_LIVE_BYTES_MAX", 1 << 10)  # all files are large
    path = tmp_path / "a.db"
    last = {b"k%d" % number: b"%d" % number * 2_000 for number in range(100)}
    with kvsh.open(path, durability="off") as db:
        for _ in range(100):
            db.update(last)
            db.checkpoint()
        factor = store_module.QUICK_GROWN_FACTOR
        monkeypatch.setattr(store_module, "QUICK_GROWN_FACTOR", 1 << 20)
    assert path.stat().st_size > 16 << 20
    monkeypatch.setattr(store_module, "QUICK_GROWN_FACTOR", factor)
    with kvsh.open(path, durability="off") as db:
        db.put("k", "little")
    assert path.stat().st_size > 16 << 20
    with kvsh.open(path, durability="off") as db:
        for _ in range(10):
            db.update(last)
            db.checkpoint()
    assert path.stat().st_size < 2 << 20
    with kvsh.open(path) as again:
        assert dict(again.scan()) == {**last, b"k": b"little"}
        assert again.check() == []


@pytest.mark.usefixtures("only_closing_compacts")
def test_closing_does_not_wait_for_another_writer_to_compact(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    db = kvsh.open(path, durability="off", timeout=60)
    for turn in range(100):
        db.update({f"k{number}": b"%d" % turn * 1_500 for number in range(100)})
        db.checkpoint()
    with kvsh.open(path) as other, other.transaction():
        other.put("k1", "kept")
        began = time.monotonic()
        db.close()
        assert time.monotonic() - began < 30
        assert path.stat().st_size > 16 << 20
    with kvsh.open(path) as again:
        assert again.get("k1") == b"kept"
