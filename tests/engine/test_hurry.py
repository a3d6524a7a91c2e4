"""The interpreter's switch interval is short during durable commits, and the program's own afterwards."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kvsh
from engine import hurry
from engine.file import OsFile
from engine.hurry import HURRY, INTERVAL_SECONDS, INTERVAL_SECONDS_MAX, LATE_SECONDS, SOON_SECONDS

USUAL_SECONDS = 0.003


@pytest.fixture(autouse=True)
def interval() -> Iterator[None]:
    while HURRY._lingering:  # after another test
        time.sleep(0.001)
    before = sys.getswitchinterval()
    sys.setswitchinterval(USUAL_SECONDS)
    HURRY.interval_seconds = INTERVAL_SECONDS
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize("durability", ["full", "off"])
def test_a_durable_commit_is_hurried_beside_other_threads(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    started: list[Callable[[], None]],
    durability: str,
    in_transaction: bool,
    others: int,
) -> None:
    found = []
    sync, write_synced = OsFile.sync, OsFile.write_synced
    for module in ("store", "locking"):  # whatever other tests have left
        monkeypatch.setattr(f"engine.{module}.other_threads", lambda: others)

    def watched(self: OsFile) -> None:
        found.append(sys.getswitchinterval())
        sync(self)

    def watched_write(self: OsFile, data: bytes, offset: int) -> None:
        found.append(sys.getswitchinterval())
        write_synced(self, data, offset)

    with kvsh.open(tmp_path / "a.db", durability=durability) as db:  # type: ignore[arg-type]
        db.put("a", "b")
        with monkeypatch.context() as watching:
            watching.setattr(OsFile, "sync", watched)
            watching.setattr(OsFile, "write_synced", watched_write)
            if in_transaction:
                with db.transaction():
                    db.put("a", "c")
            else:
                db.put("a", "c")
        assert len(found) == (durability == "full")
        # The first commit may have been so quick that the interval has become longer.
        longest = INTERVAL_SECONDS_MAX if others else USUAL_SECONDS + 1e-6
        shortest = INTERVAL_SECONDS if others else USUAL_SECONDS
        assert all(shortest - 1e-6 <= during <= longest for during in found)
        for work in started:
            work()
        started.clear()
        assert is_usual()


@pytest.fixture
def beside() -> Iterator[None]:
    """Another thread."""
    leave = threading.Event()
    other = threading.Thread(target=leave.wait)
    other.start()
    yield
    leave.set()
    other.join()


def is_usual() -> bool:
    return sys.getswitchinterval() == pytest.approx(USUAL_SECONDS)


def until_usual() -> None:
    end = time.monotonic() + 30
    while not is_usual():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], None]]]:
    """What would be the work of threads, for a test to do in its own time."""
    works: list[Callable[[], None]] = []

    def start(work: Callable[[], None], arguments: tuple[()]) -> int:
        works.append(work)
        return len(works)

    monkeypatch.setattr(hurry, "start_new_thread", start)
    monkeypatch.setattr(hurry, "LINGER_SECONDS", 0)
    yield works
    for work in works:
        work()


@pytest.mark.usefixtures("beside")
def test_beside_other_threads_it_stays_short_from_commit_to_commit_and_is_restored_then(
    tmp_path: Path, started: list[Callable[[], None]]
) -> None:
    with kvsh.open(tmp_path / "a.db", durability="full") as db:
        for number in range(50):
            db.put("a", str(number))
            assert sys.getswitchinterval() <= INTERVAL_SECONDS_MAX
        assert len(started) == 1, "one thread for all of them"
        started.pop()()
        assert is_usual()
        db.put("a", "later")
        assert not is_usual()
        started.pop()()
        assert is_usual()


@pytest.mark.usefixtures("beside")
def test_what_the_program_sets_meanwhile_is_left_alone(started: list[Callable[[], None]]) -> None:
    with HURRY:
        pass
    sys.setswitchinterval(0.001)
    with HURRY:
        assert sys.getswitchinterval() == pytest.approx(INTERVAL_SECONDS)
    started.pop()()
    assert sys.getswitchinterval() == pytest.approx(0.001)
    with HURRY:
        sys.setswitchinterval(0.002)
    started.pop()()
    assert sys.getswitchinterval() == pytest.approx(0.002)


@pytest.mark.usefixtures("beside")
def test_a_thread_of_its_own_restores_it() -> None:
    with HURRY:
        assert not is_usual()
    until_usual()


@pytest.mark.usefixtures("beside")
def test_where_no_thread_can_be_started_it_is_restored_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*arguments: Any) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(hurry, "start_new_thread", refused)
    with HURRY:
        assert not is_usual()
    assert is_usual()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.usefixtures("beside")
def test_a_forked_child_has_the_programs_own(started: list[Callable[[], None]]) -> None:
    with HURRY:
        pass
    assert not is_usual()
    child = os.fork()
    if not child:
        os._exit(0 if is_usual() else 1)
    assert os.waitpid(child, 0)[1] == 0
    started.pop()()
    assert is_usual()


def test_it_is_as_long_as_commits_are_quick_in_spite_of_it() -> None:
    def during() -> float:
        with HURRY:
            return sys.getswitchinterval()

    for _ in range(30):
        HURRY.synced(SOON_SECONDS * 0.9)
    assert during() == pytest.approx(INTERVAL_SECONDS_MAX, abs=1e-6)
    HURRY.synced((SOON_SECONDS + LATE_SECONDS) / 2)
    assert during() == pytest.approx(INTERVAL_SECONDS_MAX, abs=1e-6)
    HURRY.synced(LATE_SECONDS * 1.1)
    assert during() == pytest.approx(INTERVAL_SECONDS_MAX / 2, abs=1e-6)
    for _ in range(30):
        HURRY.synced(LATE_SECONDS * 1.1)
    assert during() == pytest.approx(INTERVAL_SECONDS, abs=1e-6)
    sys.setswitchinterval(INTERVAL_SECONDS / 5)
    assert during() == pytest.approx(INTERVAL_SECONDS / 5), "never longer than the program's own"


@pytest.mark.usefixtures("beside")
def test_the_time_of_a_sync_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with kvsh.open(tmp_path / "a.db", durability="full") as db:
        db.put("a", "b")
        sync, write_synced, told = OsFile.sync, OsFile.write_synced, []

        def slow(self: OsFile) -> None:
            time.sleep(0.002)
            sync(self)

        def slow_write(self: OsFile, data: bytes, offset: int) -> None:
            time.sleep(0.002)
            write_synced(self, data, offset)

        monkeypatch.setattr(OsFile, "sync", slow)
        monkeypatch.setattr(OsFile, "write_synced", slow_write)
        monkeypatch.setattr(HURRY, "synced", told.append)
        db.put("a", "c")
        with db.transaction():
            db.put("a", "d")
        assert len(told) == 2
        assert min(told) >= 0.002


def test_the_last_one_out_restores_it() -> None:
    inside, leave = threading.Event(), threading.Event()

    def commit() -> None:
        with HURRY:
            inside.set()
            leave.wait()

    other = threading.Thread(target=commit)
    with pytest.raises(ZeroDivisionError), HURRY:
        other.start()
        inside.wait()
        raise ZeroDivisionError
    assert sys.getswitchinterval() == pytest.approx(INTERVAL_SECONDS)
    leave.set()
    other.join()
    until_usual()
