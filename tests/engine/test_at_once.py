"""Redo commits that wait for no sync: the short way writes what the long one does, and leaves to that one what is out
of the ordinary."""

from __future__ import annotations

import errno
import itertools
import random
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine import BusyError, OsFile, PageStore, StorageError
from engine.at_once import append_unsynced
from engine.format import WORD_HOLDER, WORD_WAITING
from engine.stored_redo import LONG_BYTES
from tests.engine.test_written_with_sync import interrupted, redo_of
from tests.threads import in_threads

LONG_WAY = "engine.grouping.Grouping.append_redo"


def opened(path: Path, **options: Any) -> PageStore:
    store = PageStore.open(path, durability="off", **options)
    store.commit_redo(b"first")  # who has not had the lock yet has more to look at
    store.commit_redo(b"second")
    return store


def payloads_of(store: PageStore) -> list[bytes]:
    return [payload for _, payload in store.newest().redo_after(0)]


@pytest.fixture
def _at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands, so that records are the same, and the path was always looked at just now."""
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    for module in ("at_once", "grouping"):
        monkeypatch.setattr(f"engine.{module}.time_ns", lambda: 1_700_000_000_000_000_000)


@pytest.mark.usefixtures("_at_one_moment")
def test_both_ways_write_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.format.os.urandom", bytes)
    found = []
    for way in ("short", "long"):
        rng = random.Random(7)
        with monkeypatch.context() as patch:
            if way == "long":
                for module in ("store", "grouping"):
                    patch.setattr(f"engine.{module}.append_unsynced", lambda *arguments: 0)
            store = opened(tmp_path / way)
            for _ in range(300):
                store.commit_redo(rng.randbytes(rng.choice((0, 1, 7, 8, 90, 5000))))
            end = store.newest().end
            found.append(((tmp_path / way).read_bytes()[4096:end], payloads_of(store)))
            store.close()
        assert redo_of(tmp_path / way) == found[-1][1]
    assert found[0] == found[1]


@pytest.mark.usefixtures("_at_one_moment")
def test_the_usual_commit_goes_the_short_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path / "db")
    long: list[int] = []
    appended = PageStore.append_redo

    def noted(self: Any, log: Any, payloads: Any, *appended_to: Any) -> int:
        long.append(log.lsn)
        return appended(self, log, payloads, *appended_to)

    monkeypatch.setattr(LONG_WAY, noted)
    for number in range(100):
        store.commit_redo(b"%d" % number)
    assert not long
    store.commit_redo(bytes(LONG_BYTES))
    assert len(long) == 1
    assert payloads_of(store)[2:-1] == [b"%d" % number for number in range(100)]
    store.close()


@pytest.mark.usefixtures("_at_one_moment")
def test_what_is_in_the_way_is_left_to_the_long_one(tmp_path: Path) -> None:
    store = opened(tmp_path / "db")
    log: Any = store.current_log
    assert append_unsynced(store, b"nothing in the way")
    writer = store.begin()
    assert not append_unsynced(store, b"beside a writer")
    writer.rollback()
    assert not append_unsynced(store, b"late", (log.lsn - 1, log.epoch))
    assert not append_unsynced(store, b"of another epoch", (log.lsn, object()))
    assert append_unsynced(store, b"in time", (log.lsn, log.epoch))
    for word, value in ((WORD_WAITING, time.time_ns() // 1_000_000), (WORD_HOLDER, 1 << 30)):
        log.words[word] = value
        assert not append_unsynced(store, b"others")
        assert log.words[word] == value
        log.words[word] = 0
    other = PageStore.open(tmp_path / "db", durability="off", timeout=0)
    theirs = other.begin()
    assert not append_unsynced(store, b"beside another's")
    theirs.commit_redo(b"another's")
    assert not append_unsynced(store, b"behind another's")
    store.commit_redo(b"behind it")
    assert append_unsynced(store, b"again")
    other.begin().rollback()  # nobody was left with the lock
    other.close()
    assert payloads_of(store)[2:] == [
        b"nothing in the way",
        b"in time",
        b"another's",
        b"behind it",
        b"again",
    ]
    store.close()
    assert not append_unsynced(store, b"closed")


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path / "db")
    before = payloads_of(store)

    def full(self: OsFile, data: bytes, offset: int) -> None:
        write(self, data[:20], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    write = OsFile.write
    with monkeypatch.context() as patch:
        patch.setattr(OsFile, "write", full)
        with pytest.raises(StorageError, match="No space left"):
            store.commit_redo(b"too much")
    assert payloads_of(store) == before
    other = PageStore.open(tmp_path / "db", durability="off", timeout=0)
    other.commit_redo(b"another's")
    store.commit_redo(b"later")
    assert payloads_of(store) == [*before, b"another's", b"later"]
    other.close()
    store.close()
    assert redo_of(tmp_path / "db") == [*before, b"another's", b"later"]


@pytest.mark.usefixtures("_at_one_moment")
@pytest.mark.parametrize("way", ["short", "long"])
def test_ctrl_c_leaves_all_of_a_commit_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    function: Any = append_unsynced
    if way == "long":
        function = PageStore.append_redo
        monkeypatch.setattr("engine.store.append_unsynced", lambda *arguments: 0)
    outcomes = set()
    for at in itertools.count(1):
        path = tmp_path / f"db{at}"
        store = opened(path)
        before = payloads_of(store)
        with interrupted(function, at) as interruption:
            store.commit_redo(b"interrupted, and longer than others")
        after = payloads_of(store)
        assert after in (before, [*before, b"interrupted, and longer than others"])
        outcomes.add(after == before)
        other = PageStore.open(path, durability="off", timeout=0)
        assert payloads_of(other) == after
        try:
            other.commit_redo(b"another's")
        except (
            BusyError
        ):  # Ctrl-C came just before the lock was given back: it is, by the next commit
            store.begin().rollback()
            other.commit_redo(b"another's")
        store.commit_redo(b"later")
        assert redo_of(path) == payloads_of(store) == [*after, b"another's", b"later"]
        other.close()
        store.close()
        if interruption.left > 0:
            break
    assert outcomes == {False, True}
    assert at > 5


def test_threads_and_handles_beside_each_other(tmp_path: Path) -> None:
    """Each has two handles by turns, and now and then a writer of its own."""
    stores = [PageStore.open(tmp_path / "db", durability="off", timeout=30) for _ in range(2)]

    def work(number: int) -> None:
        rng = random.Random(number)
        for count in range(150):
            store = stores[(number + count // 10) % 2]
            payload = b"%d:%d" % (number, count)
            if rng.random() < 0.1:
                store.begin().commit_redo(payload)
            else:
                store.commit_redo(payload)

    in_threads(*[partial(work, number) for number in range(4)])
    expected = {b"%d:%d" % (number, count) for number in range(4) for count in range(150)}
    found = payloads_of(stores[0])
    assert len(found) == len(expected)
    assert set(found) == expected
    for number in range(4):
        mine = [payload for payload in found if payload.startswith(b"%d:" % number)]
        assert mine == [b"%d:%d" % (number, count) for count in range(150)]
    for store in stores:
        store.close()
    assert redo_of(tmp_path / "db") == found


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_a_handle_that_appended_redo_alone_leaves_a_header_that_knows_of_it(
    tmp_path: Path, durability: Any
) -> None:
    """By which damage to it is told from a torn tail; at `normal` it is on the disk then."""
    for number in range(3):
        with PageStore.open(tmp_path / "db", durability=durability) as store:
            writer = store.begin()
            writer.commit_redo(b"%d" % number).wait()
            writer.rollback()
        log = store.current_log
        assert log.slot.synced == log.end == (tmp_path / "db").stat().st_size
