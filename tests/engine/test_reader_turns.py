"""Readers beside a thread in haste take turns; nobody stands by for long for a turn that is not taken."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import kvsh
from engine import reader_turns
from engine.hurry import HURRY, _Hurry
from engine.reader_turns import PAUSE_SECONDS, READER_TURNS, _ReaderTurns

TURN_SECONDS = 60.0
"""Nobody's patience ends before the test says so."""

SHORT_SECONDS = 0.005


class Clock:
    """Stands for `time`: it goes on when it is told to."""

    def __init__(self) -> None:
        self._now = self._process_used = self._thread_used = 1000.0
        self.processor_share = 1.0  # that the process takes from now on
        self.thread_share = 1.0  # and each thread

    @property
    def now(self) -> float:
        return self._now

    @now.setter
    def now(self, now: float) -> None:
        self._process_used += (now - self._now) * self.processor_share
        self._thread_used += (now - self._now) * self.thread_share
        self._now = now

    def monotonic(self) -> float:
        return self._now

    def process_time(self) -> float:
        return self._process_used

    def thread_time(self) -> float:
        return self._thread_used


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(reader_turns, "time", made)
    monkeypatch.setattr(_Hurry, "usual_seconds", TURN_SECONDS)
    return made


@pytest.fixture
def short_turns(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Hurry, "usual_seconds", SHORT_SECONDS)


@pytest.fixture
def turns(clock: Clock) -> Iterator[_ReaderTurns]:
    """What has found out that the process is busy."""
    made = _ReaderTurns()
    made._measure(clock.now)
    clock.now += TURN_SECONDS
    yield made
    made._off_until = float("inf")
    made._let_all_go()


@pytest.fixture
def threads(turns: _ReaderTurns) -> Iterator[list[ThreadPoolExecutor]]:
    """Threads that do one thing after the other; they have passed before."""
    made = [ThreadPoolExecutor(1) for _ in range(3)]
    for each in made:
        each.submit(turns.wait).result(30)
    yield made
    turns._off_until = float("inf")
    turns._let_all_go()
    for each in made:
        each.shutdown()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def stands_by(turns: _ReaderTurns, thread: ThreadPoolExecutor, beside: int = 0) -> Future[None]:
    """Have a thread ask for its turn, `beside` others; it has to stand by."""
    asked = thread.submit(turns.wait)
    until(lambda: len(turns._waiting) == beside + 1)
    assert not asked.done()
    return asked


def test_turns_go_round(
    clock: Clock, turns: _ReaderTurns, threads: list[ThreadPoolExecutor]
) -> None:
    first, second, third = threads
    first.submit(turns.wait).result(30)
    waiting = [stands_by(turns, second), stands_by(turns, third, 1)]
    first.submit(turns.wait).result(30)  # its turn is not over
    for one, other in ((first, second), (second, third), (third, first)):
        clock.now += TURN_SECONDS
        waiting.append(one.submit(turns.wait))
        waiting.pop(0).result(30)
        until(lambda: len(turns._waiting) == 2)
        other.submit(turns.wait).result(30)
    clock.processor_share = 0.1
    clock.now += TURN_SECONDS
    first.submit(turns.wait).result(30)  # nobody is in anybody's way any more
    for each in waiting:
        each.result(30)
    assert not turns._waiting


@pytest.mark.usefixtures("short_turns")
def test_a_turn_that_is_not_taken_is_not_waited_for(
    clock: Clock, turns: _ReaderTurns, threads: list[ThreadPoolExecutor]
) -> None:
    first, second, third = threads
    for pause in (PAUSE_SECONDS, 2 * PAUSE_SECONDS):
        first.submit(turns.wait).result(30)
        waiting = [stands_by(turns, second), stands_by(turns, third, 1)]
        clock.now += 3 * SHORT_SECONDS
        for each in waiting:
            each.result(30)
        assert turns._off_until == clock.now + pause
        for each in threads:
            each.submit(turns.wait).result(30)  # and turns are left alone for a while
        clock.now += pause


def test_an_absent_reader_is_followed_by_who_comes(
    clock: Clock, turns: _ReaderTurns, threads: list[ThreadPoolExecutor]
) -> None:
    first, second, _ = threads
    first.submit(turns.wait).result(30)
    clock.now += TURN_SECONDS
    second.submit(turns.wait).result(30)
    asked = stands_by(turns, first)
    clock.now += TURN_SECONDS
    again = second.submit(turns.wait)
    asked.result(30)
    clock.now += TURN_SECONDS
    first.submit(turns.wait)
    again.result(30)
    clock.processor_share = 0
    clock.now += TURN_SECONDS
    second.submit(turns.wait).result(30)


def test_who_commits_and_an_idle_process_wait_for_nobody(
    clock: Clock,
    turns: _ReaderTurns,
    threads: list[ThreadPoolExecutor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, third = threads
    first.submit(turns.wait).result(30)
    monkeypatch.setattr(HURRY, "committers", {second.submit(threading.get_ident).result(30)})
    second.submit(turns.wait).result(30)
    assert third.submit(threading.get_ident).result(30) not in HURRY.committers
    clock.processor_share = 0.4
    clock.now += TURN_SECONDS
    first.submit(turns.wait).result(30)
    third.submit(turns.wait).result(30)
    assert not turns._waiting


def test_who_computes_little_passes_and_has_no_turn(
    clock: Clock, turns: _ReaderTurns, threads: list[ThreadPoolExecutor]
) -> None:
    first, second, third = threads
    first.submit(turns.wait).result(30)
    waiting = stands_by(turns, third)
    clock.thread_share = 0.04
    clock.now += TURN_SECONDS
    again = first.submit(turns.wait)
    waiting.result(30)
    until(lambda: len(turns._waiting) == 1)
    second.submit(turns.wait).result(30)
    assert len(turns._waiting) == 1
    clock.thread_share = 0.4
    clock.now += TURN_SECONDS
    third.submit(turns.wait).result(30)  # its turn is over, and was made no use of
    again.result(30)
    assert turns._off_until == clock.now + PAUSE_SECONDS


@pytest.mark.parametrize("is_used", [False, True])
def test_a_turn_for_which_nobody_stood_by_is_of_use_if_anybody_computes(
    clock: Clock, turns: _ReaderTurns, threads: list[ThreadPoolExecutor], is_used: bool
) -> None:
    """While the others come into line they take the interpreter, too."""
    first, second, _ = threads
    clock.now += TURN_SECONDS / 4
    first.submit(turns.wait).result(30)
    waiting = stands_by(turns, second)
    clock.thread_share = 0.1
    clock.processor_share = 1 if is_used else 0.5
    clock.now += TURN_SECONDS * 3 / 4
    turns._measure(clock.now)  # busy until now
    clock.processor_share = 1 if is_used else 0
    clock.now += TURN_SECONDS / 4
    first.submit(turns.wait)
    waiting.result(30)
    assert (turns._off_until > clock.now) is not is_used


@pytest.mark.usefixtures("short_turns")
@pytest.mark.parametrize("has_turn", [False, True])
def test_who_is_interrupted_leaves_the_line(
    clock: Clock, turns: _ReaderTurns, threads: list[ThreadPoolExecutor], has_turn: bool
) -> None:
    first, second, third = threads
    first.submit(turns.wait).result(30)
    ident = second.submit(threading.get_ident).result(30)
    interrupted = stands_by(turns, second)
    waiting = stands_by(turns, third, 1)
    entry = turns._waiting[0]
    if has_turn:  # handed over at the moment of the interrupt
        with turns._lock:
            turns._waiting.popleft()
            turns._begin(ident, clock.now, clock.thread_time())
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(ident), ctypes.py_object(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        interrupted.result(30)
    assert entry not in turns._waiting
    if not has_turn:
        clock.now += SHORT_SECONDS
        last = first.submit(turns.wait)
        waiting.result(30)
        turns._let_all_go()
        last.result(30)
    waiting.result(30)


@pytest.mark.usefixtures("short_turns")
def test_who_is_interrupted_with_a_turn_and_nobody_behind_just_goes(
    clock: Clock, turns: _ReaderTurns, threads: list[ThreadPoolExecutor]
) -> None:
    first, second, _ = threads
    first.submit(turns.wait).result(30)
    ident = second.submit(threading.get_ident).result(30)
    interrupted = stands_by(turns, second)
    with turns._lock:
        turns._waiting.popleft()
        turns._begin(ident, clock.now, clock.thread_time())
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(ident), ctypes.py_object(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        interrupted.result(30)
    assert not turns._waiting


@pytest.mark.usefixtures("short_turns")
def test_who_has_waited_long_goes_on_waiting_for_a_reader_that_still_passes(
    turns: _ReaderTurns, threads: list[ThreadPoolExecutor]
) -> None:
    """The clock stands still: the reader passed just now, however often the other has looked."""
    first, second, _ = threads
    first.submit(turns.wait).result(30)
    asked = stands_by(turns, second)
    with pytest.raises(TimeoutError):
        asked.result(10 * SHORT_SECONDS)
    assert len(turns._waiting) == 1
    assert turns._off_until == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_begins_anew() -> None:
    """Another thread may have had the lock, and the threads that stood by are not there."""
    entry = 1, threading.Lock()
    READER_TURNS._lock.acquire()
    READER_TURNS._waiting.append(entry)
    try:
        child = os.fork()
        if not child:
            is_new = READER_TURNS._lock.acquire(False) and not READER_TURNS._waiting
            os._exit(0 if is_new else 1)
    finally:
        READER_TURNS._waiting.remove(entry)
        READER_TURNS._lock.release()
    assert os.waitpid(child, 0)[1] == 0


def test_without_haste_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = _ReaderTurns()
    monkeypatch.setattr(_Hurry, "usual_seconds", 0.0)
    monkeypatch.setattr(turns, "_measure", lambda now: pytest.fail("asked"))
    turns.wait()
    assert turns._reader == 0


def test_readers_beside_a_durable_writer_see_its_commits(tmp_path: Path) -> None:
    """Threads on one handle, and sessions of their own, to which the writer is another handle."""
    path = str(tmp_path / "a.db")
    writer = kvsh.connect(path, durability="full", isolation_level=None)
    writer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INT)")
    writer.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
    db = kvsh.open(path, durability="full")
    db.put("n", "0")
    done = threading.Event()
    failures: list[str] = []

    def read(value: Callable[[], int]) -> None:
        before = 0
        while not done.is_set():
            found = value()
            if found < before:
                failures.append(f"{found} after {before}")
            before = found

    def by_key() -> int:
        return int(db.get("n") or b"-1")

    def by_sql() -> Callable[[], int]:
        reader = kvsh.connect(path)

        def value() -> int:
            row: Any = reader.execute("SELECT n FROM t WHERE id = ?", (1,)).fetchone()
            return int(row[0])

        return value

    readers = [threading.Thread(target=read, args=(by_key,)) for _ in range(3)]
    readers += [threading.Thread(target=lambda: read(by_sql())) for _ in range(2)]
    for each in readers:
        each.start()
    for number in range(1, 151):
        db.put("n", str(number))
        assert db.get("n") == str(number).encode()
        writer.execute("UPDATE t SET n = ? WHERE id = 1", (number,))
    done.set()
    for each in readers:
        each.join(60)
    assert not any(each.is_alive() for each in readers)
    assert not failures
    db.close()
    writer.close()
