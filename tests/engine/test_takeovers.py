"""What one handle does while another one is in the middle of something: a compaction, a sync that fails, a backup.

Each of these lost or hid commits once, or could have."""

from __future__ import annotations

import errno
import os
import signal
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import engine.compaction
from btree import BusyError, CorruptionError, StorageError, StoreError, open_store
from engine import EngineError, OsFile, OsFileSystem, PageStore
from engine.format import WORD_SYNCED
from tests.engine.system_calls import held
from tests.engine.watched import FilesOf


def put(store: Any, key: bytes, value: bytes = b"v") -> None:
    transaction = store.begin(write=True)
    try:
        transaction.tree(1).put(key, value)
        transaction.commit()
    except BaseException:
        transaction.rollback()
        raise


class Gate(OsFile):
    """A file whose syncs wait, or fail, when a test says so."""

    holding = threading.Event()
    released = threading.Event()
    held_thread: threading.Thread | None = None
    failure: OSError | None = None

    @classmethod
    def reset(cls) -> None:
        cls.holding, cls.released = threading.Event(), threading.Event()
        cls.held_thread = cls.failure = None

    def _pass(self) -> None:
        if threading.current_thread() is Gate.held_thread:
            Gate.holding.set()
            assert Gate.released.wait(20)
        if Gate.failure is not None:
            raise Gate.failure

    def sync(self) -> None:
        self._pass()
        super().sync()

    def write_synced(self, data: bytes, offset: int) -> None:
        self._pass()
        super().write_synced(data, offset)


@pytest.fixture
def gate() -> type[Gate]:
    Gate.reset()
    return Gate


def test_who_opened_the_file_before_a_compaction_and_locks_it_after_hides_nothing(
    tmp_path: Path,
) -> None:
    """It took the old file for the newest, and its word for that: no handle on the old file, its own included, was
    ever told of the new one, and each read what had been there for good."""

    class Late(OsFileSystem):
        then: Callable[[], None] | None = None

        def open(self, path: str, *, readonly: bool) -> OsFile:
            file = super().open(path, readonly=readonly)
            then, self.then = self.then, None
            if then is not None:
                then()
            return file

    path = tmp_path / "db"
    store, idle = open_store(path), open_store(path)
    put(store, b"before")
    assert held(idle) == {b"before": b"v"}
    files = Late()
    files.then = store.compact
    late = open_store(path, files=files)
    put(store, b"after")
    assert held(late) == held(idle) == {b"before": b"v", b"after": b"v"}
    for handle in (store, idle, late):
        handle.close()


def test_a_compaction_that_is_killed_right_behind_its_rename_hides_nothing(tmp_path: Path) -> None:
    """Others went on reading the file that it had replaced, for nobody was left to tell them."""

    class Deadly(OsFileSystem):
        def rename(self, source: str, target: str) -> None:
            os.rename(source, target)
            os.kill(os.getpid(), signal.SIGKILL)

    path = tmp_path / "db"
    reader, readonly = open_store(path), open_store(path, readonly=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            store = open_store(path, files=Deadly())
            put(store, b"before")
            store.compact()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    other = open_store(path)
    put(other, b"after")
    assert held(reader) == held(readonly) == {b"before": b"v", b"after": b"v"}
    for handle in (reader, readonly, other):
        handle.close()


def test_an_older_commit_that_is_looked_at_stays_that_one_across_a_compaction(
    tmp_path: Path,
) -> None:
    """The handle followed the compaction to the newest commit."""
    store = open_store(tmp_path / "db")
    put(store, b"a")
    number = store.begin().commit_number
    put(store, b"b")
    older = open_store(tmp_path / "db", at=number)
    assert held(older) == {b"a": b"v"}
    put(store, b"c")
    assert held(older) == {b"a": b"v"}
    store.compact()
    put(store, b"d")
    assert held(older) == {b"a": b"v"}
    older.close()
    store.close()


@pytest.mark.parametrize("fails", [False, True])
def test_a_sync_of_the_file_that_a_compaction_replaced_says_nothing_of_the_new_one(
    tmp_path: Path, gate: type[Gate], fails: bool
) -> None:
    """The new file was noted to be synced as far as the old one had been, or was cut there."""
    path = tmp_path / "db"
    store = PageStore.open(path, durability="normal", files=FilesOf(gate))
    for content in (b"x", b"y"):
        writer = store.begin()
        for page in range(2, 400):
            writer.put(page, content * 500)
        newest = writer.commit_pages()
    failed: list[BaseException] = []

    def wait() -> None:
        try:
            newest.wait()
        except EngineError as error:
            failed.append(error)

    gate.held_thread = thread = threading.Thread(target=wait)
    thread.start()
    assert gate.holding.wait(20)
    store.compact()
    if fails:
        gate.failure = OSError(errno.EIO, "Input/output error")
    gate.released.set()
    thread.join()
    gate.failure = None
    assert not failed
    log = store.current_log
    assert log.synced <= log.end and log.words[WORD_SYNCED] <= log.end
    store.begin().commit_redo(b"after").wait()
    store.close()
    again = PageStore.open(path)
    with again.snapshot() as seen:
        assert seen.get(399) == b"y" * 500 and seen.redo() == [(3, b"after")]
    assert again.check() == []
    again.close()


@pytest.mark.skipif(not hasattr(os, "RWF_DSYNC"), reason="no writes beside the lock here")
def test_a_commit_that_is_on_its_way_to_the_disk_when_another_sync_fails_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: type[Gate]
) -> None:
    """It was written behind the cut that took it back."""
    monkeypatch.setattr("engine.file._file_system", lambda device: b"ext4")

    class Full(gate):  # type: ignore[misc, valid-type]
        full = False

        def write(self, data: bytes, offset: int) -> None:
            if Full.full and len(data) > 50_000:
                Gate.failure = OSError(errno.EIO, "Input/output error")
                raise OSError(errno.ENOSPC, "No space left on device")
            if threading.current_thread() is Gate.held_thread:
                Gate.holding.set()
                assert Gate.released.wait(20)
            super().write(data, offset)

    path = tmp_path / "db"
    store: Any = open_store(path, files=FilesOf(Full))
    for number in range(5):
        put(store, b"%d" % number)
    before = held(store)
    failed: list[StoreError] = []

    def commit() -> None:
        try:
            put(store, b"on its way")
        except StoreError as error:
            failed.append(error)

    gate.held_thread = thread = threading.Thread(target=commit)
    thread.start()
    assert gate.holding.wait(20)
    Full.full = True
    with pytest.raises(StorageError):
        put(store, b"large", b"x" * 3_000_000)
    Full.full = False
    other: Any = open_store(path, timeout=0)
    with pytest.raises(BusyError):  # or it would write where the first one does yet
        other.begin(write=True)
    Gate.failure = None
    gate.released.set()
    thread.join()
    assert len(failed) == 1 and "taken back" in str(failed[0])
    put(other, b"other")
    assert held(other) == {**before, b"other": b"v"}
    store.close()
    other.close()
    again = open_store(path)
    assert held(again) == {**before, b"other": b"v"} and again.check() == []
    again.close()


def dead_after_a_failed_sync(store: Any, gate: type[Gate]) -> None:
    gate.failure = OSError(errno.EIO, "Input/output error")
    with pytest.raises(StorageError, match="a sync failed"):
        store.checkpoint()
    gate.failure = None


def test_others_in_the_place_of_commits_that_were_taken_back_are_not_taken_for_them(
    tmp_path: Path, gate: type[Gate]
) -> None:
    """They had the same sizes: a handle that had seen the first ones committed on top of them, which nothing could read
    again.  Without full durability commits are seen before they are synced."""
    path = tmp_path / "db"
    first: Any = open_store(path, durability="normal", files=FilesOf(gate))
    put(first, b"kept")  # the first commit of a file is one of pages, and synced
    seeing, reading = (open_store(path, durability="normal") for _ in range(2))
    put(first, b"taken back")
    assert held(seeing) == held(reading) == {b"kept": b"v", b"taken back": b"v"}
    dead_after_a_failed_sync(first, gate)
    first.close()
    second = open_store(path, durability="normal")
    put(second, b"another 1.")
    with pytest.raises(StorageError, match="commits that this handle had seen were taken back"):
        put(seeing, b"on top")
    put(second, b"another 2.")
    with pytest.raises(StorageError, match="commits that this handle had seen were taken back"):
        held(reading)
    both = {b"another 1.": b"v", b"another 2.": b"v", b"kept": b"v"}
    assert held(second) == both
    for handle in (second, seeing, reading):
        handle.close()
    again = open_store(path)
    assert held(again) == both
    again.close()


def test_who_had_not_seen_what_was_taken_back_goes_on(tmp_path: Path, gate: type[Gate]) -> None:
    path = tmp_path / "db"
    first: Any = open_store(path, durability="normal", files=FilesOf(gate))
    put(first, b"kept")
    first.checkpoint()
    other = open_store(path, durability="normal")
    put(first, b"taken back")
    dead_after_a_failed_sync(first, gate)
    put(other, b"other")
    assert held(other) == {b"kept": b"v", b"other": b"v"}
    first.close()
    other.close()


def test_a_compaction_that_has_copied_what_was_taken_back_since_is_abandoned(
    tmp_path: Path, gate: type[Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It left out what had been committed in its place."""
    path = tmp_path / "db"
    first: Any = open_store(path, durability="normal", files=FilesOf(gate))
    put(first, b"kept")
    first.checkpoint()
    compacting = open_store(path, durability="normal")
    monkeypatch.setattr(engine.compaction, "_CATCH_UP_BYTES", 0)
    catch_up = engine.compaction.Replacement.catch_up

    def and_then(made: engine.compaction.Replacement) -> None:
        put(first, b"taken back")
        catch_up(made)
        dead_after_a_failed_sync(first, gate)
        second = open_store(path, durability="normal")
        put(second, b"another 1.")
        second.close()

    monkeypatch.setattr(engine.compaction.Replacement, "catch_up", and_then)
    with pytest.raises(StorageError, match="taken back by another process since"):
        compacting.compact()
    assert held(compacting) == {b"kept": b"v", b"another 1.": b"v"}
    monkeypatch.undo()
    compacting.compact()
    assert held(compacting) == {b"kept": b"v", b"another 1.": b"v"}
    compacting.close()
    first.close()


def test_a_compaction_runs_after_no_writer_that_is_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It copied the commits of one round, in which there came more of them, for as long as that grew."""
    store: Any = open_store(tmp_path / "db", durability="normal")
    put(store, b"kept")
    store.checkpoint()
    monkeypatch.setattr(engine.compaction, "_CATCH_UP_BYTES", 0)
    replacement = engine.compaction.Replacement
    copy, catch_up, written = replacement._copy_commits, replacement.catch_up, [10]

    def slowly(made: engine.compaction.Replacement, end: int) -> None:
        copy(made, end)
        if catching_up:
            written.append(written[-1] * 2)
            for number in range(written[-1]):
                put(store, b"%d" % number)

    def and_then(made: engine.compaction.Replacement) -> None:
        for number in range(written[-1]):
            put(store, b"%d" % number)
        catch_up(made)
        catching_up.clear()

    catching_up = [True]
    monkeypatch.setattr(replacement, "_copy_commits", slowly)
    monkeypatch.setattr(replacement, "catch_up", and_then)
    store.compact()
    assert len(written) == 2
    assert len(held(store)) == 21
    assert store.check() == []
    store.close()


@pytest.mark.parametrize("readonly", [False, True])
def test_a_commit_of_another_that_is_damaged_is_an_error_and_not_missing(
    tmp_path: Path, readonly: bool
) -> None:
    """A handle that was open went on showing the commit before."""
    path = tmp_path / "db"
    store = open_store(path)
    put(store, b"a")
    reader = open_store(path, readonly=readonly)
    assert held(reader) == {b"a": b"v"}
    put(store, b"b", b"damaged soon")
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(content.rindex(b"damaged soon"))
        file.write(b"D")
    for _ in range(2):
        with pytest.raises(CorruptionError, match="another process has published"):
            held(reader)
    reader.close()


def test_a_word_of_before_a_power_cut_is_no_damage(tmp_path: Path) -> None:
    """It may say that more had been there, which nobody was promised."""
    path = tmp_path / "db"
    store = open_store(path, durability="normal")
    put(store, b"a")
    store.checkpoint()
    kept = path.read_bytes()
    put(store, b"b" * 100)
    later = path.read_bytes()
    cut = tmp_path / "cut"
    synced = later[1032:1040] if later[1032:1040] < later[1024:1032] else kept[1032:1040]
    cut.write_bytes(later[:1032] + synced + bytes(8) + later[1048:4096] + kept[4096:])
    reader = open_store(cut, readonly=True)
    assert held(reader) == held(reader) == {b"a": b"v"}
    writer = open_store(cut)
    put(writer, b"c")
    assert held(reader) == held(writer) == {b"a": b"v", b"c": b"v"}
    for handle in (store, reader, writer):
        handle.close()


def test_a_backup_that_somebody_writes_to_is_not_replaced_under_them(tmp_path: Path) -> None:
    """What was committed to it was lost, and its readers were never told."""
    store = open_store(tmp_path / "db", timeout=0.05)
    put(store, b"new")
    copy = str(tmp_path / "copy")
    older, reader = open_store(copy), open_store(copy)
    put(older, b"old")
    assert held(reader) == {b"old": b"v"}
    writer = older.begin(write=True)
    with pytest.raises(BusyError, match="copy"):
        store.backup(copy)
    writer.rollback()
    assert held(reader) == {b"old": b"v"}
    store.backup(copy)
    assert held(reader) == {b"new": b"v"}
    put(older, b"more")
    assert held(reader) == {b"new": b"v", b"more": b"v"}
    for handle in (store, older, reader):
        handle.close()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy", "db"]


@pytest.mark.parametrize("path", ["db/copy", "nowhere/copy", "a\0b"])
def test_a_backup_to_where_none_can_be_is_one_clear_error(tmp_path: Path, path: str) -> None:
    store = open_store(tmp_path / "db")
    put(store, b"k")
    with pytest.raises(StorageError, match=r"copy|null (byte|character)"):
        store.backup(str(tmp_path / path))
    assert held(store) == {b"k": b"v"}
    store.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["db"]


def test_a_handle_that_is_closed_lets_a_commit_of_another_thread_end_first(
    tmp_path: Path, gate: type[Gate]
) -> None:
    """Beside a third one's transaction the file was closed under it, and its number may be another file's by then."""
    path = tmp_path / "db"
    store: Any = open_store(path, files=FilesOf(gate))
    for number in range(5):
        put(store, b"%d" % number)
    done: list[int] = []

    def commit() -> None:
        put(store, b"late")
        done.append(1)

    gate.held_thread = thread = threading.Thread(target=commit)
    thread.start()
    assert gate.holding.wait(20)
    pages = store.pages
    open_one = pages.begin()
    closing = threading.Thread(target=pages.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    gate.released.set()
    thread.join()
    closing.join()
    assert done == [1]
    with pytest.raises(StoreError, match="closed"):
        open_one.put(2, b"page")
        open_one.commit_pages()
    again = open_store(path)
    assert b"late" in held(again)
    again.close()


def test_a_reader_keeps_its_snapshot_through_three_compactions(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store, other = open_store(path), open_store(path)
    snapshots = []
    expected: dict[bytes, bytes] = {}
    for number in range(4):
        for at in range(300):
            key, value = b"%d" % at, b"%d/%d" % (number, at) * 20
            expected[key] = value
        transaction = store.begin(write=True)
        for key, value in expected.items():
            transaction.tree(1).put(key, value)
        transaction.commit()
        for handle in (store, other):
            snapshots.append((handle.begin(), dict(expected)))
        (store, other)[number % 2].compact()
    for reading, content in snapshots:
        got = {
            key: value
            for keys, values in reading.tree(1).batches()
            for key, value in zip(keys, values, strict=True)
        }
        assert got == content
        reading.rollback()
    for handle in (store, other):
        assert handle.check() == []
        handle.close()


def test_a_copy_taken_while_commits_go_on_is_a_commit_or_is_refused(tmp_path: Path) -> None:
    """`cp` reads a file bit by bit: that is no backup, but it must not pass for one with commits missing inside."""
    path = tmp_path / "db"
    store = open_store(path)
    refused = 0
    for number in range(60):
        pieces = []
        with path.open("rb", buffering=0) as file:
            while piece := file.read(8192 if number % 3 else 512):
                pieces.append(piece)
                put(store, b"%d" % len(pieces), b"%d" % number * (number * 7 % 300))
                if len(pieces) > 40:
                    break
            pieces.append(file.read())
        copied = tmp_path / "copied"
        copied.write_bytes(b"".join(pieces))
        try:
            copy = open_store(copied)
        except CorruptionError as error:
            assert str(copied) in str(error)
            refused += 1
        else:
            assert copy.check() == []
            count = copy.begin().commit_number
            content = held(copy)
            copy.close()
            as_it_was = open_store(path, at=count)
            assert held(as_it_was) == content
            as_it_was.close()
    assert refused < 60
    store.close()
