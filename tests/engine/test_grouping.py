"""Puts of several threads at the same time: one write and one sync for all who wait, one end for each."""

from __future__ import annotations

import errno
import random
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from btree import BusyError, StorageError, open_store
from engine import OsFile, PageStore
from engine.grouping import Waiting
from tests.engine.watched import FilesOf
from tests.threads import in_threads

THREADS = 6


class Gate:
    """What the file does next: each of its syncs waits until it is let go.  `one_call`: writes may carry theirs."""

    def __init__(self, *, one_call: bool = False) -> None:
        self.one_call = one_call
        self.open = threading.Event()
        self.syncing = threading.Event()
        self.writes: list[int] = []
        self.failing = ""

    def check(self, what: str) -> None:
        if self.failing == what:
            raise OSError(errno.EIO, "Input/output error")


GATE = Gate()


class GatedFile(OsFile):
    def write(self, data: bytes, offset: int) -> None:
        GATE.writes.append(len(data))
        GATE.check("write")
        super().write(data, offset)

    def sync(self) -> None:
        GATE.syncing.set()
        assert GATE.open.wait(30)
        GATE.check("sync")
        super().sync()

    def writes_synced(self) -> bool:
        return GATE.one_call

    def write_synced(self, data: bytes, offset: int) -> None:
        assert GATE.one_call
        self.write(data, offset)
        self.sync()


class Putter(threading.Thread):
    """Puts one key; `outcome` is True or the error."""

    def __init__(self, store: Any, key: bytes) -> None:
        super().__init__(daemon=True)
        self.store, self.key = store, key
        self.outcome: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.store.put(self.key, b"v" * 20)
            self.outcome = True
        except (Exception, KeyboardInterrupt) as error:
            self.outcome = error


@pytest.fixture(params=[False, True])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    global GATE
    GATE = Gate(one_call=request.param)
    GATE.open.set()
    made: Any = open_store(tmp_path / "db", files=FilesOf(GatedFile), timeout=60)
    made.put(b"first", b"v")  # a pages commit
    made.begin()  # from here on puts go to the log
    for _ in range(3):
        made.put(b"first", b"v")  # blocks are written ahead, and synced
    GATE.writes.clear()
    yield made
    GATE.open.set()
    made.close()


def line_up(store: Any) -> list[Putter]:
    """One thread that leads and waits for the disk, and the others behind it."""
    GATE.open.clear()
    GATE.syncing.clear()
    threads = [Putter(store, b"%d" % 0)]
    assert GATE.syncing.wait(30)
    threads += [Putter(store, b"%d" % number) for number in range(1, THREADS)]
    until(lambda: len(store.pages.waiting) == THREADS - 1)
    GATE.writes.clear()
    return threads


def until(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def ended(threads: list[Putter]) -> list[Any]:
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a thread hangs"
    return [thread.outcome for thread in threads]


def keys(store: Any) -> list[bytes]:
    reader = store.begin()
    return [key for keys, _ in reader.tree(1).batches() for key in keys]


def test_all_who_wait_are_written_at_once_and_each_is_a_commit(store: Any, tmp_path: Path) -> None:
    before = store.begin().commit_number
    threads = line_up(store)
    assert keys(store) == [b"first"], "nobody sees a commit before it is durable"
    GATE.open.set()
    assert ended(threads) == [True] * THREADS
    assert len(GATE.writes) == 1
    assert keys(store) == [*[b"%d" % number for number in range(THREADS)], b"first"]
    assert store.begin().commit_number == before + THREADS
    again = open_store(tmp_path / "db", readonly=True)
    assert keys(again) == keys(store)
    assert again.check() == []


def test_a_failed_write_fails_those_whose_it_was_and_others_go_on(store: Any) -> None:
    if GATE.one_call:
        pytest.skip("of a write that carries its sync nobody knows which of them failed: next test")
    threads = line_up(store)
    GATE.failing = "write"
    GATE.open.set()
    outcomes = ended(threads)
    assert outcomes[0] is True
    assert all(isinstance(outcome, StorageError) for outcome in outcomes[1:])
    GATE.failing = ""
    assert keys(store) == [b"0", b"first"]
    assert ended([Putter(store, b"later")]) == [True]
    assert keys(store) == [b"0", b"first", b"later"]


@pytest.mark.parametrize("failing", ["write", "sync"])
def test_a_failed_sync_fails_all_and_the_handle_is_dead(
    store: Any, tmp_path: Path, failing: str
) -> None:
    if failing == "write" and not GATE.one_call:
        pytest.skip("a failed write is none of a sync: see above")
    threads = line_up(store)
    GATE.failing = failing
    GATE.open.set()
    first, *others = ended(threads)
    assert (first is True) == (failing == "write")  # it was written when the others lined up
    assert all(isinstance(outcome, StorageError) for outcome in others)
    GATE.failing = ""
    with pytest.raises(StorageError, match="dead"):
        store.put(b"later", b"v")
    durable = [b"0", b"first"] if first is True else [b"first"]
    assert keys(open_store(tmp_path / "db")) == durable


def test_all_are_refused_after_their_own_time_while_another_handle_writes(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None waits anew when the one before it in the line has waited in vain: its own time has gone by then, too."""
    pages = store.pages
    waits: list[float] = []
    now = [1000.0]
    append_line, begin = pages._append_line, pages.begin

    def append_once_all_are_there(taken: list[Waiting], *others: Any) -> Any:
        if not waits:
            until(lambda: len(pages.waiting) + len(taken) == THREADS)
        return append_line(taken, *others)

    def begin_in(timeout: float) -> Any:
        waits.append(timeout)
        now[0] += timeout
        return begin(0)

    other = open_store(tmp_path / "db")
    writer = other.begin(write=True)
    monkeypatch.setattr(pages, "_append_line", append_once_all_are_there)
    monkeypatch.setattr(pages, "begin", begin_in)
    monkeypatch.setattr("engine.grouping.time", SimpleNamespace(monotonic=lambda: now[0]))
    threads = [Putter(store, b"%d" % number) for number in range(THREADS)]
    assert all(isinstance(outcome, BusyError) for outcome in ended(threads))
    assert waits == [store.pages.timeout] + [0] * (THREADS - 1)
    monkeypatch.undo()
    writer.rollback()
    assert ended([Putter(store, b"later")]) == [True]
    assert keys(store) == [b"first", b"later"]
    other.close()


@pytest.fixture
def heard() -> Iterator[threading.Event]:
    """Ctrl-C is heard, though a shell's background job, which the tests may be, is begun deaf to it; set once it was."""
    event = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not event.is_set():
            event.set()
            signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, interrupt)
    yield event
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("leads", [False, True])
def test_ctrl_c_ends_one_wait_and_no_other(
    store: Any, tmp_path: Path, heard: threading.Event, leads: bool
) -> None:
    """In the main thread: it leads, or stands in the line."""
    threads: list[Putter] = [] if leads else line_up(store)

    def interrupt() -> None:
        if leads:
            assert GATE.syncing.wait(30)
            threads.extend(Putter(store, b"%d" % number) for number in range(THREADS))
            until(lambda: len(store.pages.waiting) == THREADS)
        else:
            until(lambda: len(store.pages.waiting) == THREADS)
        # A signal that comes just before a thread falls asleep does not wake it: one more does.
        for _ in range(3000):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            if heard.wait(0.01):
                break
        if not leads:
            until(lambda: len(store.pages.waiting) == THREADS - 1)
        GATE.open.set()

    if leads:
        GATE.open.clear()
        GATE.syncing.clear()
    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        store.put(b"mine", b"v")
    helper.join(30)
    assert ended(threads) == [True] * THREADS
    assert ended([Putter(store, b"later")]) == [True]
    expected = [*[b"%d" % number for number in range(THREADS)], b"first", b"later"]
    assert [key for key in keys(store) if key != b"mine"] == expected
    assert (b"mine" in keys(store)) == leads  # appended, and then synced in spite of the signal
    open_store(tmp_path / "db", timeout=0).begin(write=True).rollback()  # the lock was given back


@pytest.mark.parametrize("step", ["append_at_once", "_wait_synced", "await_durable"])
@pytest.mark.parametrize("beside", [False, True])
def test_ctrl_c_between_the_steps_of_a_commit_leaves_it_durable_and_no_lock(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, beside: bool
) -> None:
    """`beside`: others have been at work, and the commit goes by the line."""
    pages = store.pages
    pages._at_work = 2 if beside else 0
    done = getattr(pages, step)

    def interrupted(*arguments: Any) -> Any:
        done(*arguments)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(pages, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.put(b"mine", b"v")
    open_store(tmp_path / "db", timeout=0).begin(write=True).rollback()  # the lock was given back
    found = keys(store)
    assert keys(open_store(tmp_path / "db", readonly=True)) == found
    assert b"mine" in found  # it was appended, and so it is synced
    assert ended([Putter(store, b"later")]) == [True]
    assert b"later" in keys(store)


def test_a_thread_alone_becomes_one_of_a_group_and_alone_again(store: Any) -> None:
    before = store.begin().commit_number
    for number in range(5):
        store.put(b"alone%d" % number, b"v")
    threads = line_up(store)
    GATE.open.set()
    assert ended(threads) == [True] * THREADS
    GATE.writes.clear()
    for number in range(5):
        store.put(b"again%d" % number, b"v")
    assert len(GATE.writes) == 5
    assert store.begin().commit_number == before + 10 + THREADS
    assert not store.pages.waiting
    assert store.pages._leader is None


def test_a_commit_that_another_thread_took_before_it_could_lead(
    store: Any,
) -> None:
    pages, waiting = store.pages, store.pages.waiting
    pages._at_work = 2  # or it would go by itself
    before = store.begin().commit_number

    class Line(deque[Waiting]):
        def append(self, entry: Waiting) -> None:
            super().append(entry)
            if b"mine" in entry.payload:
                assert ended([Putter(store, b"other")]) == [True]

    pages.waiting = Line(waiting)
    store.put(b"mine", b"v")
    assert ended([Putter(store, b"later"), Putter(store, b"last")]) == [True, True]
    assert keys(store) == [b"first", b"last", b"later", b"mine", b"other"]
    assert store.begin().commit_number == before + 4


def test_the_last_one_takes_over_from_who_gathers(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.grouping.GATHER_SECONDS_MAX", 20)
    pages, lead, leaders = store.pages, store.pages._lead, []
    pages._sync_seconds, pages._at_work = 40, 2

    def noted(mine: Waiting) -> None:
        leaders.append(mine.payload)
        lead(mine)

    monkeypatch.setattr(pages, "_lead", noted)
    threads = [Putter(store, b"gathers")]
    until(lambda: pages._gathers)
    store.put(b"takes over", b"v")
    assert ended(threads) == [True]
    assert len(leaders) == 1 and b"takes over" in leaders[0]
    assert keys(store) == [b"first", b"gathers", b"takes over"]
    assert pages._leader is None and not pages._gathers


@pytest.mark.parametrize("at", [1, 2])
def test_ctrl_c_while_the_others_are_woken(
    store: Any, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """By the leader, and by the first whom it has woken."""
    threads = line_up(store)
    wake, left = Waiting.wake, [at]

    def interrupted(entry: Waiting) -> None:
        if threading.current_thread() is not threads[0]:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
        wake(entry)

    monkeypatch.setattr(Waiting, "wake", interrupted)
    GATE.open.set()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert [thread.outcome for thread in threads].count(True) == THREADS - 1
    assert ended([Putter(store, b"later")]) == [True]
    assert keys(store) == [*[b"%d" % number for number in range(THREADS)], b"first", b"later"]


def test_nobody_waits_for_good_where_threads_change_places_at_any_moment(tmp_path: Path) -> None:
    store: Any = open_store(tmp_path / "db", timeout=30)
    store.put(b"first", b"v")
    store.begin()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work(number: int) -> None:
        rng = random.Random(number)
        for count in range(300):
            store.put(b"%d" % number, b"%d" % count)
            if rng.random() < 0.05:
                time.sleep(rng.random() * 0.001)

    try:
        in_threads(*[partial(work, number) for number in range(8)])
    finally:
        sys.setswitchinterval(before)
    assert store.begin().commit_number >= 8 * 300
    assert not store.pages.waiting and not store.pages._gathers
    assert store.pages._leader is None
    store.close()


def test_each_thread_finds_what_it_put_whatever_others_do(tmp_path: Path) -> None:
    store: Any = open_store(tmp_path / "db", timeout=30)
    store.put(b"first", b"v")
    store.begin()

    def work(number: int) -> None:
        rng = random.Random(number)
        for count in range(60):
            key, value = b"%d:%d" % (number, rng.randrange(9)), b"%d" % count
            if rng.random() < 0.2:
                transaction = store.begin(write=True)
                transaction.tree(1).put(key, value)
                transaction.commit()
            else:
                store.put(key, value)
            assert store.begin().tree(1).get(key) == value
            if rng.random() < 0.02:
                store.checkpoint()
            if rng.random() < 0.3:
                time.sleep(rng.random() * 0.001)

    in_threads(*[partial(work, number) for number in range(THREADS)])
    assert store.check() == []
    found = keys(store)
    store.close()
    assert keys(open_store(tmp_path / "db", readonly=True)) == found


def test_who_is_put_back_into_the_line_stands_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes behind that, where another process has the lock: twice in the line, a commit would be made twice."""
    other, pages = PageStore.open(tmp_path / "db"), PageStore.open(tmp_path / "db", timeout=0)
    mine, second, third = (Waiting(payload) for payload in (b"1", b"2", b"3"))
    put_back = pages._put_back

    def interrupted(entries: list[Waiting]) -> None:
        monkeypatch.undo()
        put_back(entries)
        raise KeyboardInterrupt

    monkeypatch.setattr(pages, "_put_back", interrupted)
    writer = other.begin()
    pages.waiting += (mine, second, third)
    pages._leader = mine
    with pytest.raises(KeyboardInterrupt):
        pages._lead(mine)
    assert list(pages.waiting) == [second, third]
    writer.rollback()
    pages.leave_line()
    pages.close()
    other.close()


def test_who_is_told_twice_to_lead_is_woken_once(tmp_path: Path) -> None:
    """Ctrl-C may come between the first time and the thread's return, which then hands over once more."""
    with PageStore.open(tmp_path / "db") as pages:
        first, second = Waiting(b"1"), Waiting(b"2")
        pages.waiting += (first, second)
        pages._hand_over()
        pages._hand_over()
        assert pages._leader is first
        assert first.turn.acquire(blocking=False), "it goes on"
        assert not first.turn.acquire(blocking=False), "once"
        pages.leave_line()
