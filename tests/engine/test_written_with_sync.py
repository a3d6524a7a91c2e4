"""Small commits that follow what is covered by their handle's own syncs are written with their sync, in one call."""

from __future__ import annotations

import contextlib
import dis
import errno
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import OsFile, OsFileSystem, PageStore
from engine.file import _SYNCING_FILE_SYSTEMS, _file_system
from tests.engine.watched import FilesOf

BLOCK_BYTES = 4096


class WatchedFile(OsFile):
    """Says what it is asked to do, of all files; may be made to wait, or to be interrupted, in a sync."""

    done: list[str] = []  # noqa: RUF012
    gate: threading.Event | None = None
    during: Any = None  # called within the next sync
    waits = threading.Event()
    interrupted = False
    pretends = True  # that writes may carry their sync, whatever the file system

    def writes_synced(self) -> bool:
        return WatchedFile.pretends

    def write(self, data: bytes, offset: int) -> None:
        if offset >= BLOCK_BYTES:  # not the header's
            WatchedFile.done.append("write" if any(data) else "zeros")
        super().write(data, offset)

    def sync(self) -> None:
        during, WatchedFile.during = WatchedFile.during, None
        if during is not None:
            during()
        WatchedFile.done.append("sync")
        if WatchedFile.gate is not None:
            WatchedFile.waits.set()
            assert WatchedFile.gate.wait(30)
        super().sync()

    def write_synced(self, data: bytes, offset: int) -> None:
        assert WatchedFile.pretends
        if WatchedFile.interrupted:
            WatchedFile.interrupted = False
            raise KeyboardInterrupt
        WatchedFile.done.append("both")
        super().write(data, offset)
        super().sync()


@pytest.fixture(autouse=True)
def nothing_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WatchedFile, "done", [])
    for name, value in (
        ("gate", None),
        ("during", None),
        ("interrupted", False),
        ("pretends", True),
    ):
        monkeypatch.setattr(WatchedFile, name, value)
    monkeypatch.setattr(WatchedFile, "waits", threading.Event())


def opened(path: Path, durability: Any = "full") -> PageStore:
    return PageStore.open(path, durability=durability, files=FilesOf(WatchedFile), timeout=1)


def covered(path: Path) -> PageStore:
    """A store whose next small commits need no whole sync."""
    store = opened(path)
    for _ in range(3):
        store.commit_redo(b"first")
    assert WatchedFile.done[-1] == "both"
    WatchedFile.done.clear()
    return store


def redo_of(path: Path) -> list[bytes]:
    """What another process would find."""
    with PageStore.open(path, readonly=True) as store, store.snapshot() as seen:
        assert store.check() == []
        return [payload for _, payload in seen.redo()]


def put_pages(store: PageStore, payload: bytes) -> Any:
    writer = store.begin()
    writer.put(writer.allocate(), payload)
    return writer.commit_pages()


def test_each_is_one_call_and_blocks_are_written_ahead_under_a_whole_sync(tmp_path: Path) -> None:
    store = covered(tmp_path / "db")
    for number in range(3000):
        store.commit_redo(b"%d" % number)
    done = WatchedFile.done
    assert done.count("both") > 2900
    assert set(done) == {"both", "zeros", "write", "sync"}
    for at, what in enumerate(done):
        if what == "zeros":  # they are synced at once, with the commit that met them
            assert done[at : at + 3] == ["zeros", "write", "sync"]
    assert redo_of(tmp_path / "db")[3:] == [b"%d" % number for number in range(3000)]
    store.close()


@pytest.mark.parametrize("durability", ["normal", "off"])
def test_commits_that_nobody_syncs_are_written_when_they_are_appended(
    tmp_path: Path, durability: str
) -> None:
    store = opened(tmp_path / "db", durability)
    put_pages(store, b"page").wait()
    for number in range(20):
        store.commit_redo(b"%d" % number)
        assert redo_of(tmp_path / "db")[-1] == b"%d" % number
    assert "both" not in WatchedFile.done


def test_without_such_a_call_they_are_written_and_synced(tmp_path: Path) -> None:
    WatchedFile.pretends = False
    store = opened(tmp_path / "db")
    for number in range(20):
        store.commit_redo(b"%d" % number)
    assert WatchedFile.done[-4:] == ["write", "sync"] * 2


def test_a_handle_syncs_all_before_it_relies_on_that(tmp_path: Path) -> None:
    path = tmp_path / "db"
    covered(path).close()
    store = opened(path)
    WatchedFile.done.clear()
    store.commit_redo(b"of the new handle")
    assert WatchedFile.done == ["write", "sync"]


@pytest.mark.parametrize("durability", ["full", "off"])
def test_what_another_handle_has_committed_is_synced_first(tmp_path: Path, durability: str) -> None:
    path = tmp_path / "db"
    store, other = covered(path), opened(path, durability)
    other.commit_redo(b"of the other")
    WatchedFile.done.clear()
    store.commit_redo(b"mine")
    assert WatchedFile.done[-2:] == ["write", "sync"]
    assert redo_of(path)[-2:] == [b"of the other", b"mine"]


def test_pages_before_and_behind_a_small_commit_are_synced(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = covered(path)
    put_pages(store, b"page").wait()
    assert WatchedFile.done == ["write", "sync"]
    store.commit_redo(b"covered again")
    assert WatchedFile.done[2:] == ["both"]
    WatchedFile.done.clear()
    writer = store.begin()
    commits = [writer.commit_redo(b"waits"), put_pages(store, b"another")]
    assert WatchedFile.done == ["write"], "the pages; the small commit is not written yet"
    for commit in commits:
        commit.wait()
    assert WatchedFile.done == ["write", "write", "sync"]
    assert store.check() == []


def test_commits_appended_during_a_sync_go_where_they_belong(tmp_path: Path) -> None:
    """A small one, pages behind it, and, while both are being synced, further ones of both kinds."""
    path = tmp_path / "db"
    store = covered(path)
    commits = [store.begin().commit_redo(b"one"), put_pages(store, b"page")]
    WatchedFile.gate = threading.Event()
    waiting = threading.Thread(target=commits[0].wait)
    waiting.start()
    assert WatchedFile.waits.wait(30)
    commits.append(store.begin().commit_redo(b"two"))
    commits.append(store.begin().commit_redo(b"three"))
    commits.append(put_pages(store, b"page two"))
    commits.append(store.begin().commit_redo(b"four"))
    WatchedFile.gate.set()
    waiting.join(30)
    for commit in commits:
        commit.wait()
    assert store.check() == []
    assert redo_of(path) == [b"four"]
    store.commit_redo(b"five")
    assert redo_of(path) == [b"four", b"five"]
    store.close()


def test_those_appended_during_a_sync_are_the_next_call(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = opened(path)
    store.commit_redo(b"zero")
    first = store.begin().commit_redo(b"one")
    WatchedFile.done.clear()
    WatchedFile.gate = threading.Event()
    put_pages(store, b"page")
    waiting = threading.Thread(target=first.wait)
    waiting.start()
    assert WatchedFile.waits.wait(30)
    commits = [store.begin().commit_redo(b"%d" % number) for number in range(2)]
    WatchedFile.gate.set()
    waiting.join(30)
    WatchedFile.done.clear()
    for commit in commits:
        commit.wait()
    assert len(WatchedFile.done) == len(set(WatchedFile.done)), "one write, one sync"
    assert redo_of(path) == [b"0", b"1"]


def test_ctrl_c_before_the_write_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = covered(path)
    WatchedFile.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        store.commit_redo(b"interrupted")
    assert redo_of(path)[-1] == b"interrupted"
    store.commit_redo(b"later")
    assert redo_of(path)[-2:] == [b"interrupted", b"later"]


def test_ctrl_c_before_a_whole_sync_leaves_nothing_to_a_smaller_one(tmp_path: Path) -> None:
    """Another thread's commit, appended behind it meanwhile, relied on that sync."""
    path = tmp_path / "db"
    store = covered(path)

    def interrupt() -> None:
        store.begin().commit_redo(b"beside")
        WatchedFile.done.clear()
        raise KeyboardInterrupt

    commit = put_pages(store, b"page")
    WatchedFile.during = interrupt
    with pytest.raises(KeyboardInterrupt):
        commit.wait()
    assert WatchedFile.done == ["write", "sync"]
    assert redo_of(path) == [b"beside"]
    WatchedFile.done.clear()
    store.commit_redo(b"later")
    assert WatchedFile.done == ["both"]


class Interruption:
    """Ctrl-C at the n-th point of a function where the interpreter looks for signals: behind a call of its."""

    def __init__(self, function: Any, at: int) -> None:
        self.code = function.__code__
        self.names = {each.offset: each.opname for each in dis.get_instructions(self.code)}
        self.left = at
        self.last = ""
        sys._getframe().f_trace_opcodes = True  # Python 3.12 asks for it at settrace alone

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code is not self.code:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            last, self.last = self.last, self.names[frame.f_lasti]
            if last in ("RESUME", "CALL", "CALL_KW", "CALL_FUNCTION_EX", "JUMP_BACKWARD"):
                self.left -= 1
                if self.left == 0:
                    raise KeyboardInterrupt
        return self


@contextlib.contextmanager
def interrupted(function: Any, at: int) -> Iterator[Interruption]:
    """The block meets Ctrl-C at the n-th such point of the function, if it comes so far, and ends there."""
    interruption = Interruption(function, at)
    sys.settrace(interruption)
    try:
        yield interruption
    except KeyboardInterrupt:
        assert interruption.left == 0
    finally:
        sys.settrace(None)


def test_ctrl_c_while_it_is_appended_leaves_all_of_it_or_nothing(tmp_path: Path) -> None:
    outcomes = set()
    for at in range(1, 100):
        path = tmp_path / f"db{at}"
        store = covered(path)
        before = redo_of(path)
        with interrupted(PageStore.append_redo, at) as interruption:
            store.commit_redo(b"interrupted, and longer than others")
        after = redo_of(path)
        assert after in (before, [*before, b"interrupted, and longer than others"])
        for number in range(3):
            store.commit_redo(b"later%d" % number)
        assert redo_of(path) == [*after, b"later0", b"later1", b"later2"]
        store.close()
        if interruption.left > 0:
            break
        outcomes.add(after == before)
    else:
        raise AssertionError("it has no end")
    assert True in outcomes
    assert at > 5


def test_a_handle_that_is_closed_writes_what_nobody_waits_for(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = covered(path)
    store.begin().commit_redo(b"nobody waits")
    store.close()
    assert redo_of(path)[-1] == b"nobody waits"


def test_a_sync_that_fails_beside_another_takes_back_the_others_commits(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = covered(path)
    before = redo_of(path)
    WatchedFile.gate = threading.Event()
    put_pages(store, b"page")
    commit = store.begin().commit_redo(b"lost")
    failures: list[Exception] = []

    def wait() -> None:
        try:
            commit.wait()
        except Exception as error:
            failures.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert WatchedFile.waits.wait(30)
    gate, WatchedFile.gate = WatchedFile.gate, None
    with store.mutex:
        store.die(OSError(errno.EIO, "Input/output error"))
    gate.set()
    waiting.join(30)
    assert "a sync failed" in str(failures[0])
    assert redo_of(path) == before


@pytest.mark.skipif(not hasattr(os, "RWF_DSYNC"), reason="no such flag here")
@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM])
def test_where_the_kernel_refuses_the_flag_it_is_a_write_and_a_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*arguments: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("engine.file._file_system", lambda device: b"ext4")
    monkeypatch.setattr(os, "pwritev", refuse)
    synced = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    (tmp_path / "file").touch()
    file = OsFileSystem().open(str(tmp_path / "file"), readonly=False)
    assert file.writes_synced()
    for _ in range(2):
        file.write_synced(b"data", 4)
    assert not file.writes_synced()
    assert len(synced) == 2
    assert file.read(10, 0) == b"\0\0\0\0data"
    file.close()


@pytest.mark.skipif(not hasattr(os, "RWF_DSYNC"), reason="no such flag here")
def test_a_short_write_goes_on_and_an_error_is_no_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = []

    def short(descriptor: int, data: Any, offset: int, flag: int) -> int:
        flags.append(flag)
        return os.pwrite(descriptor, bytes(data[0])[:3], offset)

    monkeypatch.setattr("engine.file._file_system", lambda device: b"ext4")
    monkeypatch.setattr(os, "pwritev", short)
    (tmp_path / "file").touch()
    file = OsFileSystem().open(str(tmp_path / "file"), readonly=False)
    file.write_synced(b"0123456789", 0)
    assert file.read(20, 0) == b"0123456789"
    assert flags == [os.RWF_DSYNC] * 4

    def fail(*arguments: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pwritev", fail)
    with pytest.raises(OSError, match="Input/output error"):
        file.write_synced(b"data", 0)
    assert file.writes_synced()
    file.close()


def test_who_commits_once_does_not_ask_for_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def ask(device: int) -> bytes:
        asked.append(device)
        return b"unknown"

    monkeypatch.setattr("engine.file._file_system", ask)
    with PageStore.open(tmp_path / "db") as store:
        store.commit_redo(b"only one")
    assert asked == []
    with PageStore.open(tmp_path / "db") as store:
        for _ in range(9):
            store.commit_redo(b"one of many")
    assert len(asked) == hasattr(os, "RWF_DSYNC"), "once for a file"


@pytest.mark.skipif(not os.path.exists("/proc/self/mountinfo"), reason="no such list here")
def test_the_file_system_is_found_and_an_unknown_one_is_not_trusted(tmp_path: Path) -> None:
    assert _file_system(os.stat("/proc").st_dev) == b"proc"
    assert _file_system(os.makedev(4095, 7)) == b""
    assert b"fuse" not in _SYNCING_FILE_SYSTEMS
