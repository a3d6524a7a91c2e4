"""Compactions, backups and new files meet each other: nobody's half-written file becomes the database."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from btree import StorageError, StoreError, open_store, repair
from engine import OsFile, OsFileSystem
from tests.engine.test_threads import ACCOUNTS, FUNDS, balance, bank
from tests.threads import in_threads


class Meeting(OsFileSystem):
    """Two compactions that have both begun to write before either of them renames."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2)

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)

    def create(self, path: str, content: bytes, *, replace: bool, like: str | None = None) -> None:
        super().create(path, content, replace=replace, like=like)
        if path.endswith("-compact"):
            self.barrier.wait(20)


def test_of_two_compactions_at_once_one_wins_and_the_database_stays_whole(tmp_path: Path) -> None:
    """They wrote to one temporary file once, and the first renamed the second's, begun anew: the
    database was empty then."""
    bank(tmp_path / "db").close()
    meeting = Meeting()
    stores: list[Any] = [open_store(tmp_path / "db", files=meeting) for _ in range(2)]
    outcomes: list[str] = []

    def compact(store: Any) -> None:
        try:
            store.compact()
            outcomes.append("compacted")
        except StorageError as error:
            outcomes.append(str(error))

    in_threads(*[partial(compact, store) for store in stores])
    assert sorted(outcomes)[1] == "compacted"
    assert "another compaction was faster" in sorted(outcomes)[0]
    for store in stores:
        assert balance(store) == ACCOUNTS * FUNDS
        assert store.check() == []
        store.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["db"]


def test_of_two_that_find_an_empty_file_neither_replaces_the_others_database(
    tmp_path: Path,
) -> None:
    """The second once renamed its new database over the first one's, commits and all."""
    path = tmp_path / "db"
    path.touch()
    one: list[Any] = []

    class Slow(OsFileSystem):
        """Another one opens the empty file, and commits, just after this one has found it empty."""

        def open(self, path: str, *, readonly: bool) -> OsFile:
            file = super().open(path, readonly=readonly)
            if not one:
                one.append(open_store(path))
                transaction = one[0].begin(write=True)
                transaction.tree(1).put(b"k", b"committed")
                transaction.commit()
            return file

    other = open_store(path, files=Slow())
    for store in (one[0], other, open_store(path)):
        assert store.begin().tree(1).get(b"k") == b"committed"
        store.close()


def test_an_empty_file_that_somebody_keeps_locked_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.touch()
    holder = OsFileSystem().open(str(path), readonly=False)
    assert holder.try_lock()
    with pytest.raises(StorageError, match="it is empty, and another process has it locked"):
        open_store(path, timeout=0.01)
    holder.close()
    open_store(path).close()


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_killed_backups_and_compactions_left_is_removed_and_nothing_else(
    tmp_path: Path,
) -> None:
    store = bank(tmp_path / "db")
    dead, alive = dead_process(), os.getpid()
    left = [f"{name}.{dead}-0123abcd.kvsh-{what}" for name in ("db", "old") for what in PURPOSES]
    kept = [
        f"db.{alive}-0123abcd.kvsh-backup",  # at work
        f"db.{dead}-0123abcd.kvsh-other",
        "db.kvsh-backup",
        f"mine.{dead}.kvsh-compact",
    ]
    for name in (*left, *kept):
        (tmp_path / name).write_bytes(b"x" * 5000)
    locked = tmp_path / f"db.{dead}-00000000.kvsh-backup"  # its process lives elsewhere
    locked.write_bytes(b"x" * 5000)
    holder = OsFileSystem().open(str(locked), readonly=False)
    assert holder.try_lock()
    odd = tmp_path / f"db.{dead}-11111111.kvsh-backup"
    odd.mkdir()
    store.backup(str(tmp_path / "copy"))
    there = {entry.name for entry in tmp_path.iterdir()}
    assert there == {"db", "copy", locked.name, odd.name, *kept}
    holder.close()
    store.compact()
    assert not locked.exists()
    assert balance(store) == ACCOUNTS * FUNDS
    store.close()


PURPOSES = ("backup", "compact", "salvage", "new")


def test_of_two_that_create_a_file_by_name_neither_writes_into_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no files without a name.  Two threads shared a temporary file once: the second cut
    it to nothing when it was the first one's database already."""
    monkeypatch.setattr("engine.file._create_unnamed", lambda *_: False)
    link = os.link
    linked: list[str] = []
    stores: list[Any] = []

    def racing(source: str, target: str, **options: Any) -> None:
        linked.append(source)
        if len(linked) == 1:
            stores.append(open_store(target))  # another thread is faster
            transaction = stores[0].begin(write=True)
            transaction.tree(1).put(b"k", b"committed")
            transaction.commit()
        link(source, target, **options)

    monkeypatch.setattr(os, "link", racing)
    stores.append(open_store(tmp_path / "db"))
    assert len(set(linked)) == 2
    for store in stores:
        assert store.begin().tree(1).get(b"k") == b"committed"
        store.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["db"]


def test_a_repair_removes_what_killed_ones_left(tmp_path: Path) -> None:
    bank(tmp_path / "db").close()
    left = tmp_path / f"new.{dead_process()}-0123abcd.kvsh-salvage"
    left.touch()
    repair(tmp_path / "db", tmp_path / "new")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["db", "new"]


def test_a_backup_that_is_abandoned_leaves_the_older_one_and_no_other_file(tmp_path: Path) -> None:
    store = bank(tmp_path / "db")
    store.backup(str(tmp_path / "copy"))
    before = (tmp_path / "copy").read_bytes()
    transaction = store.begin(write=True)
    for number in range(2000):
        transaction.tree(1).put(b"more %d" % number, b"x" * 50)
    transaction.commit()
    store.checkpoint()
    calls: list[tuple[int, int]] = []

    def abandon(done: int, total: int) -> None:
        calls.append((done, total))
        if done * 2 > total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.backup(str(tmp_path / "copy"), progress=abandon)
    assert len(calls) > 1 and all(0 < done <= total for done, total in calls)
    assert (tmp_path / "copy").read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy", "db"]
    with pytest.raises(StoreError, match="onto itself"):
        store.backup(str(tmp_path / "db"))
    store.close()


_KILLED = """
import os, signal, sys
from btree import open_store
store = open_store(sys.argv[1])
store.compact(progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.parametrize("has_it_open", [False, True])
def test_what_a_killed_compaction_left_is_removed_by_who_opens_or_locks_the_database_next(
    tmp_path: Path, has_it_open: bool
) -> None:
    """It stayed until the next compaction, which may never be."""
    store: Any = open_store(tmp_path / "db")
    transaction = store.begin(write=True)
    transaction.tree(1).load([b"%06d" % i for i in range(20000)], [b"x" * 100] * 20000)
    transaction.commit()
    if not has_it_open:
        store.close()
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "db")], check=False)
    assert killed.returncode == -9
    assert len(os.listdir(tmp_path)) == 2
    if not has_it_open:
        readonly = open_store(tmp_path / "db", readonly=True)
        readonly.close()
        assert len(os.listdir(tmp_path)) == 2
        store = open_store(tmp_path / "db")
        assert os.listdir(tmp_path) == ["db"]
    transaction = store.begin(write=True)
    transaction.tree(1).put(b"k", b"v")
    transaction.commit()
    assert os.listdir(tmp_path) == ["db"]
    assert store.check() == []
    store.close()


def test_a_compaction_at_work_keeps_its_file_from_who_opens_the_database(tmp_path: Path) -> None:
    store: Any = open_store(tmp_path / "db")
    transaction = store.begin(write=True)
    transaction.tree(1).load([b"%06d" % i for i in range(20000)], [b"x" * 100] * 20000)
    transaction.commit()
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        open_store(tmp_path / "db").close()
        seen.append(len(os.listdir(tmp_path)))

    store.compact(progress=progress)
    assert set(seen) == {2}
    assert os.listdir(tmp_path) == ["db"]
    assert store.check() == []
    store.close()


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "\udce9" * 255, "db"])
def test_a_file_with_the_longest_of_names_is_compacted_and_backed_up(
    tmp_path: Path, name: str
) -> None:
    """The temporary file's name was too long: such a file could only grow."""
    (tmp_path / "copies").mkdir()
    store = bank(tmp_path / name)
    store.compact()
    store.backup(str(tmp_path / "copies" / name))
    assert balance(store) == ACCOUNTS * FUNDS
    store.close()
    repair(tmp_path / "copies" / name, tmp_path / name[:-1])
    assert sorted(os.listdir(tmp_path)) == sorted([name, name[:-1], "copies"])
