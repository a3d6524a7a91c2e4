"""Each system call of some work fails, is cut short, kills its process or stops it, in turn, on real files.

Whatever happens: what was acknowledged is there, what was reported as failed is not, an error is one sentence that
names the file, and there is no other file left than what a killed process could not remove.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest

from btree import BusyError, StorageError, StoreError, open_store
from tests.engine.system_calls import WRITES, Work, held, is_left_over, system_calls
from tests.engine.workload import small_limits

EVERY = int(os.environ.get("KVSH_TEST_CALLS", "149"))
"""Of the calls, each one of so many is tried; `KVSH_TEST_CALLS=1` tries all."""

NOT_FAILING = {
    "close",  # what it says comes too late for any file that was synced
    "fstat",  # of an open file the kernel answers from memory
    "unlock",  # a lock that isn't given up keeps others out, until its file is closed
}
ERRORS = {
    errno.EIO: None,
    errno.ENOSPC: {*WRITES, "posix_fallocate", "open", "rename", "link", "fsync", "fdatasync", "ftruncate"},
    errno.EINTR: None,
    errno.ENOLCK: {"flock"},
    errno.ENODEV: {"mmap"},
    errno.EMFILE: {"open"},
    errno.EACCES: {"open", "stat", "rename", "link", "unlink", "listdir"},
}  # fmt: skip
"""What may fail so; None: every call."""


class Failing:
    """The call number `at`, and those of its name after it while `lasting`, fail."""

    def __init__(self, at: int, error: int, *, lasting: bool) -> None:
        self.at, self.error, self.lasting = at, error, lasting
        self.count = 0
        self.hit = ""
        self.over = False

    def before(self, name: str) -> int | None:
        self.count += 1
        which = ERRORS[self.error]
        if self.over or name in NOT_FAILING or not (which is None or name in which):
            return None
        if (self.count >= self.at and not self.hit) or (self.lasting and name == self.hit):
            self.hit = self.hit or name
            raise OSError(self.error, os.strerror(self.error))
        return None


def clear(error: StoreError, fault: str) -> None:
    message = str(error)
    assert isinstance(error, StorageError), repr(error)
    assert fault, f"without a fault: {message}"
    assert "/db" in message or "/copy" in message, message
    assert "\n" not in message


def live_through(work: Work, failing: Failing) -> None:
    """Do all steps, going on with a new handle where one is dead."""
    for step in work.STEPS:
        before = work.content
        try:
            work.do(step)
        except StoreError as error:
            clear(error, failing.hit)
            failing.over = True
            assert work.content is before
            if not os.path.exists(work.path):  # nor was it made
                assert work.store is None
                work.do(step)
            with_reader = work.opened(readonly=True)
            assert held(with_reader) == before, f"{step}: {error}"
            with_reader.close()
            revive(work)
            assert held(work.store) == before, f"{step}: {error}"
    failing.over = True
    store = work.opened()
    assert held(store) == work.content
    assert store.check() == []
    store.compact()
    store.close()


def revive(work: Work) -> None:
    """The handle goes on, or says why not."""
    try:
        if work.store is not None:
            work.store.begin(write=True).rollback()
            return
    except StoreError as error:
        assert "dead" in str(error) or "closed" in str(error), str(error)
        work.store.close()
    work.store = work.opened()


def calls_of(**options: Any) -> int:
    with small_limits(), tempfile.TemporaryDirectory() as directory:
        with system_calls(lambda name: None, **options) as calls:
            work = Work(directory)
            for step in work.STEPS:
                work.do(step)
        return calls.count


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("error", [errno.errorcode[number] for number in ERRORS])
def test_whatever_call_fails_nothing_acknowledged_is_lost(error: str, lasting: bool) -> None:
    number = getattr(errno, error)
    synced_writes = number != errno.EIO
    count = calls_of(synced_writes=synced_writes)
    start = random.Random(f"{error}{lasting}").randrange(EVERY)
    for at in range(1 + start, count, EVERY):
        failing = Failing(at, number, lasting=lasting)
        with small_limits(), tempfile.TemporaryDirectory() as directory:
            try:
                with system_calls(failing.before, synced_writes=synced_writes):
                    live_through(Work(directory), failing)
                    left = [name for name in os.listdir(directory) if is_left_over(name)]
                    assert not left or failing.hit in ("unlink", "listdir", "open"), left
            except BaseException as problem:
                problem.add_note(f"call {at} ({failing.hit})")
                raise


@pytest.mark.parametrize("synced_writes", [True, False])
def test_calls_that_do_only_a_part_are_gone_on_with(synced_writes: bool) -> None:
    rng = random.Random(int(synced_writes))

    def before(name: str) -> int | None:
        return rng.randrange(1, 700) if name in ("pread", "preadv", *WRITES) else None

    with small_limits(), tempfile.TemporaryDirectory() as directory:
        with system_calls(before, synced_writes=synced_writes):
            work = Work(directory)
            for step in work.STEPS:
                work.do(step)
                if step != "close":
                    assert held(work.store) == work.content
        for path in (work.path, work.copy):
            store = open_store(path)
            assert store.check() == []
            store.close()


def in_child(directory: Path, at: int, what: int, durability: str) -> tuple[int, int]:
    """Do the work in a process that is killed or stopped as it makes call number `at`; its pid and the pipe on which it
    tells of each step that is done."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():  # the runner has threads; the child touches none of theirs
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    status = 1
    try:
        os.close(reading)
        telling = os.write
        count = 0

        def before(name: str) -> int | None:
            nonlocal count
            count += 1
            if count == at:
                os.kill(os.getpid(), what)
            return None

        with small_limits(), system_calls(before):
            work = Work(str(directory))
            work.durability = durability
            for step in work.STEPS:
                while True:
                    try:
                        work.do(step)
                        break
                    except BusyError:
                        continue
                    except StorageError as error:
                        if "another compaction was faster" not in str(error):
                            raise
                        break
                telling(writing, b".")
        status = 0
    except BaseException as error:
        telling(writing, repr(error).encode())
    finally:
        os._exit(status)


def contents_of_steps() -> list[dict[bytes, bytes]]:
    """What the database holds after each number of steps."""
    with small_limits(), tempfile.TemporaryDirectory() as directory:
        work = Work(directory)
        contents: list[dict[bytes, bytes]] = [{}]
        for step in work.STEPS:
            work.do(step)
            contents.append(work.content)
        return contents


@pytest.mark.parametrize("durability", ["full", "normal", "off"])
def test_a_process_that_is_killed_at_any_call_loses_nothing_it_has_acknowledged(
    tmp_path: Path, durability: str
) -> None:
    """Handles of another process that were open all the time see it too, the reader's without writing anything."""
    contents = contents_of_steps()
    count = calls_of()
    start = random.Random(durability).randrange(EVERY)
    for at in range(1 + start, count, EVERY):
        directory = tmp_path / str(at)
        directory.mkdir()
        path = directory / "db"
        reader, readonly = open_store(path, timeout=0), open_store(path, readonly=True)
        assert held(reader) == held(readonly) == {}
        child, reading = in_child(directory, at, signal.SIGKILL, durability)
        os.waitpid(child, 0)
        told = os.read(reading, 1000)
        os.close(reading)
        assert told.strip(b".") == b"", told
        may_be = contents[len(told)], contents[min(len(told) + 1, len(contents) - 1)]
        where = f"call {at}, step {len(told)}"
        assert held(readonly) in may_be, f"a reader that was open, {where}"
        assert held(reader) in may_be, f"another one, {where}"
        with small_limits():
            other = open_store(path, timeout=0)
            now = held(other)
            assert now in may_be, where
            writer = reader.begin(write=True)
            writer.tree(1).put(b"after", b"it")
            writer.commit()
            for store in (other, reader, readonly):
                assert held(store) == {**now, b"after": b"it"}, where
            assert reader.check() == []
            reader.compact()
            assert held(readonly) == held(other) == {**now, b"after": b"it"}, where
            for store in (other, reader, readonly):
                store.close()
        left = [name for name in os.listdir(directory) if is_left_over(name)]
        assert left == [], where


def beside_a_stopped_process(store: Any, pid: int) -> dict[bytes, bytes]:
    """Read, and write and compact if that is possible; what was written."""
    ours: dict[bytes, bytes] = {}
    for key in (b"a", b"b"):
        try:
            held(store)
            writer = store.begin(write=True)
        except BusyError as error:
            assert f"process {pid}" in str(error) or "another process" in str(error)
        except StorageError as error:
            # Between locking a file and saying so: it could as well be one that recovers after a power cut.
            assert "another process is recovering it; try again" in str(error)
        else:
            writer.tree(1).put(key, b"theirs")
            writer.commit()
            ours[key] = b"theirs"
            assert held(store).items() >= ours.items()
            store.compact()
            assert held(store).items() >= ours.items()
    return ours


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_a_process_that_is_stopped_at_any_call_keeps_others_waiting_at_most(
    tmp_path: Path, durability: str
) -> None:
    """Meanwhile others read, and write and compact if it holds no lock; then it goes on."""
    contents = contents_of_steps()
    count = calls_of()
    start = random.Random(durability + "stop").randrange(EVERY)
    for at in range(1 + start, count, EVERY):
        directory = tmp_path / str(at)
        directory.mkdir()
        path = directory / "db"
        store = open_store(path, timeout=0)
        child, reading = in_child(directory, at, signal.SIGSTOP, durability)
        where = f"call {at}"
        ours: dict[bytes, bytes] = {}
        try:
            _, status = os.waitpid(child, os.WUNTRACED)
            if os.WIFSTOPPED(status):
                ours = beside_a_stopped_process(store, child)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
        if os.WIFSTOPPED(status):
            os.kill(child, signal.SIGCONT)
            _, status = os.waitpid(child, 0)
        told = os.read(reading, 1000)
        os.close(reading)
        assert status == 0 and told == b"." * len(Work.STEPS), f"{where}: {told!r}"
        for handle in (store, open_store(path)):
            assert held(handle) == {**contents[-1], **ours}, where
            assert handle.check() == []
            handle.close()
        assert [name for name in os.listdir(directory) if is_left_over(name)] == [], where
