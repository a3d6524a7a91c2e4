"""One store in many threads: groups of commits, snapshots, one writer at a time, dead handles."""

from __future__ import annotations

import errno
import logging
import os
import random
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from btree import BusyError, ConflictError, ReadOnlyError, StorageError, StoreError, open_store
from btree.redo import encode_put
from engine import OsFile
from tests.engine.watched import FilesOf
from tests.threads import in_threads

ACCOUNTS = 10
FUNDS = 1000


class CountingFile(OsFile):
    """Counts its syncs; each waits until `gate` lets it go on."""

    syncs = 0
    failing = False

    def sync(self) -> None:
        if self.failing:
            raise OSError(errno.EIO, "Input/output error")
        CountingFile.syncs += 1
        super().sync()

    def write_synced(self, data: bytes, offset: int) -> None:
        self.write(data, offset)
        self.sync()


def test_the_commits_of_eight_threads_share_syncs(tmp_path: Path) -> None:
    """The first sync of a round lasts until all the others have come, however quick the disk is: they share the second."""
    is_first = False

    class SlowFile(CountingFile):
        def sync(self) -> None:
            nonlocal is_first
            if pages._syncing and is_first:
                is_first = False
                end = time.monotonic() + 30
                while pages._unsynced < 8:
                    assert time.monotonic() < end
                    time.sleep(0.0001)
            super().sync()

    def new_round() -> None:
        nonlocal is_first
        is_first = True

    store: Any = open_store(tmp_path / "db", files=FilesOf(SlowFile))
    pages = store.pages
    barrier = threading.Barrier(8, new_round)

    def work(number: int) -> None:
        for count in range(40):
            barrier.wait(60)
            transaction = store.begin(write=True, timeout=30)
            transaction.tree(1).put(b"%d:%d" % (number, count), b"v")
            transaction.commit()

    CountingFile.syncs = 0
    in_threads(*[partial(work, number) for number in range(8)])
    syncs = CountingFile.syncs
    store.close()
    store = open_store(tmp_path / "db", readonly=True)
    assert len(store.begin().tree(1)) == 320
    assert store.check() == []
    assert syncs < 100, "commits of a round did not share a sync"


def test_a_commit_is_not_seen_before_it_is_durable(tmp_path: Path) -> None:
    store: Any = open_store(tmp_path / "db")
    from tests.engine.workload import commit_without_waiting

    transaction = store.begin(write=True)
    transaction.tree(1).put(b"k", b"v")
    commit = commit_without_waiting(transaction)
    assert store.begin().tree(1).get(b"k") is None
    following = store.begin(write=True)  # the next writer of the process builds on it
    assert following.tree(1).get(b"k") == b"v"
    following.rollback()
    commit.wait()
    assert store.begin().tree(1).get(b"k") == b"v"


def test_a_put_is_not_seen_before_it_is_durable_and_the_next_writer_builds_on_it(
    tmp_path: Path,
) -> None:
    """Single puts are not applied to the trees when they are appended: whoever comes next does it."""
    store: Any = open_store(tmp_path / "db")
    store.put(b"a", b"1")
    store.put(b"b", b"1")
    assert store.begin().tree(1).get(b"b") == b"1"
    commit = store.pages.begin().commit_redo(encode_put(1, b"a", b"2"))
    assert store.begin().tree(1).get(b"a") == b"1"
    following = store.begin(write=True)
    assert following.tree(1).get(b"a") == b"2"
    following.tree(1).put(b"c", b"3")
    following.commit()
    commit.wait()
    reader = store.begin()
    assert [reader.tree(1).get(key) for key in (b"a", b"b", b"c")] == [b"2", b"1", b"3"]
    assert store.check() == []


def test_a_removed_file_is_noticed_within_a_moment(tmp_path: Path) -> None:
    store = open_store(tmp_path / "db", durability="off")
    store.put(b"a", b"1")
    (tmp_path / "db").unlink()
    end = time.monotonic() + 10
    with pytest.raises(StorageError, match="the file was removed while it was open"):
        while time.monotonic() < end:
            store.put(b"a", b"2")


def test_after_a_failed_sync_the_commits_are_taken_back_and_the_handle_is_dead(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path / "db", files=FilesOf(CountingFile))
    transaction = store.begin(write=True)
    transaction.tree(1).put(b"kept", b"v")
    transaction.commit()
    CountingFile.failing = True
    try:
        transaction = store.begin(write=True)
        transaction.tree(1).put(b"lost", b"v")
        with pytest.raises(StorageError, match="open the database again"):
            transaction.commit()
    finally:
        CountingFile.failing = False
    for write in (False, True):
        with pytest.raises(StorageError, match="dead"):
            store.begin(write=write)
    again = open_store(tmp_path / "db")
    assert [keys for keys, _ in again.begin().tree(1).batches()] == [[b"kept"]]
    store.close()


def transfer(store: Any, rng: random.Random) -> None:
    transaction = store.begin(write=True, timeout=30)
    tree = transaction.tree(1)
    one, other = rng.sample(range(ACCOUNTS), 2)
    amount = rng.randrange(50)
    tree.put(b"%d" % one, b"%d" % (int(tree.get(b"%d" % one)) - amount))
    tree.put(b"%d" % other, b"%d" % (int(tree.get(b"%d" % other)) + amount))
    tree.put(b"last%d" % rng.randrange(200), rng.randbytes(300))
    transaction.commit()


def balance(store: Any) -> int:
    reader = store.begin()
    tree = reader.tree(1)
    total = sum(int(tree.get(b"%d" % account)) for account in range(ACCOUNTS))
    reader.rollback()
    return total


def bank(path: Path) -> Any:
    store = open_store(path, page_bytes=512)
    transaction = store.begin(write=True)
    for account in range(ACCOUNTS):
        transaction.tree(1).put(b"%d" % account, b"%d" % FUNDS)
    transaction.commit()
    return store


def test_the_funds_of_a_bank_are_the_same_in_every_snapshot_while_it_is_compacted(
    tmp_path: Path,
) -> None:
    store = bank(tmp_path / "db")
    busy = threading.Event()
    left = [4]

    def write(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(40):
            transfer(store, rng)
        left[0] -= 1
        if not left[0]:
            busy.set()

    def read() -> None:
        while not busy.wait(0.0005):
            assert balance(store) == ACCOUNTS * FUNDS

    def compact() -> None:
        while not busy.is_set():
            store.compact()

    in_threads(*[partial(write, seed) for seed in range(4)], *[read] * 4, compact)
    assert balance(store) == ACCOUNTS * FUNDS
    assert store.check() == []
    store.close()


def test_two_handles_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    one, other = open_store(tmp_path / "db"), open_store(tmp_path / "db", timeout=0.01)
    writer = one.begin(write=True)
    with pytest.raises(BusyError, match=f"this process \\({os.getpid()}\\)"):
        other.begin(write=True)
    writer.tree(1).put(b"k", b"1")
    writer.commit()
    assert other.begin().tree(1).get(b"k") == b"1"
    writer = other.begin(write=True)
    writer.tree(1).put(b"k", b"2")
    writer.commit()
    assert one.begin().tree(1).get(b"k") == b"2"
    one.close()
    other.close()


def test_a_transaction_that_read_before_another_committed_cannot_write(tmp_path: Path) -> None:
    store = open_store(tmp_path / "db")
    reader = store.begin()
    writer = store.begin(write=True)
    writer.tree(1).put(b"k", b"v")
    writer.commit()
    with pytest.raises(ConflictError):
        reader.upgrade()
    assert reader.tree(1).get(b"k") is None
    store.begin(write=True, timeout=0).rollback()  # the lock was given back


def test_a_reader_keeps_its_snapshot_across_a_compaction(tmp_path: Path) -> None:
    store = bank(tmp_path / "db")
    store.checkpoint()
    reader = store.begin()
    rng = random.Random(1)
    for _ in range(50):
        transfer(store, rng)
    store.compact()
    assert [reader.tree(1).get(b"%d" % account) for account in range(ACCOUNTS)] == [b"1000"] * 10
    assert balance(store) == ACCOUNTS * FUNDS
    store.close()


def test_a_read_only_handle_writes_nothing_even_to_recover(tmp_path: Path) -> None:
    store = bank(tmp_path / "db")
    store.checkpoint()
    transfer(store, random.Random(1))
    torn = (tmp_path / "db").read_bytes() + b"torn tail"  # as a crash leaves it
    store.close()
    directory = tmp_path / "media"
    directory.mkdir()
    path = directory / "db"
    path.write_bytes(torn)
    os.utime(path, (1, 1))
    path.chmod(0o444)
    directory.chmod(0o555)
    reading = open_store(path, readonly=True)
    assert balance(reading) == ACCOUNTS * FUNDS
    assert reading.check() == []
    with pytest.raises(ReadOnlyError):
        reading.begin(write=True)
    with pytest.raises(ReadOnlyError):
        reading.compact()
    reading.close()
    assert path.read_bytes() == torn
    assert path.stat().st_mtime == 1
    directory.chmod(0o755)


def test_time_travel_shows_every_commit_as_it_was(tmp_path: Path) -> None:
    store = open_store(tmp_path / "db")
    seen = {}
    for number in range(1, 30):
        transaction = store.begin(write=True)
        transaction.tree(1).put(b"k", b"%d" % number)
        transaction.commit()
        if number % 10 == 0:
            store.checkpoint()
        seen[store.begin().commit_number] = b"%d" % number
    for commit, value in seen.items():
        past = open_store(tmp_path / "db", at=commit)
        assert past.begin().tree(1).get(b"k") == value
        with pytest.raises(ReadOnlyError):
            past.begin(write=True)
        past.close()
    with pytest.raises(StoreError, match="has no commit 999; the newest it holds is 31"):
        open_store(tmp_path / "db", at=999)
    store.compact()
    with pytest.raises(StoreError, match="has no commit 5; the oldest it still holds"):
        open_store(tmp_path / "db", at=5)
    store.close()


def test_a_closed_handle_says_so(tmp_path: Path) -> None:
    store = open_store(tmp_path / "db")
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.begin()


def test_checkpoints_compactions_and_recoveries_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kvsh")
    store = bank(tmp_path / "db")
    store.checkpoint()
    store.compact()
    store.close()
    with open(tmp_path / "db", "ab") as file:
        file.write(b"torn tail")
    open_store(tmp_path / "db").close()
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "checkpointed commit" in text
    assert "compacted from" in text
    assert "recovery cut a torn tail" in text


def test_an_interrupted_commit_leaves_no_lock_behind(tmp_path: Path) -> None:
    class InterruptedFile(CountingFile):
        interruptions = 1

        def sync(self) -> None:
            super().sync()
            if InterruptedFile.interruptions:
                InterruptedFile.interruptions -= 1
                raise KeyboardInterrupt

    InterruptedFile.interruptions = 0
    store = open_store(tmp_path / "db", files=FilesOf(InterruptedFile))
    transaction = store.begin(write=True)
    transaction.tree(1).put(b"k", b"v")
    InterruptedFile.interruptions = 1
    with pytest.raises(KeyboardInterrupt):
        transaction.commit()
    other = open_store(tmp_path / "db", timeout=0.05)
    writer = other.begin(write=True)
    assert writer.tree(1).get(b"k") == b"v"
    writer.rollback()
    other.close()
    store.close()


def test_a_handle_that_has_seen_commits_which_were_taken_back_does_not_build_on_them(
    tmp_path: Path,
) -> None:
    one = open_store(tmp_path / "db", durability="normal", files=FilesOf(CountingFile))
    other = open_store(tmp_path / "db", durability="normal")
    for number in range(3):
        transaction = one.begin(write=True)
        transaction.tree(1).put(b"%d" % number, b"v")
        transaction.commit()
    transaction = one.begin(write=True)
    transaction.tree(1).put(b"unsynced", b"v")
    transaction.commit()
    assert other.begin().tree(1).get(b"unsynced") == b"v"
    CountingFile.failing = True
    try:
        with pytest.raises(StorageError, match="sync failed"):
            one.checkpoint()
    finally:
        CountingFile.failing = False
    with pytest.raises(StorageError, match="taken back"):
        other.begin(write=True)
    again = open_store(tmp_path / "db")
    transaction = again.begin(write=True)
    transaction.tree(1).put(b"new", b"v")
    transaction.commit()
    again.close()
    assert open_store(tmp_path / "db").check() == []
    one.close()
    other.close()


def test_a_symbolic_link_stays_one_and_leads_to_the_compacted_database(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "db")  # nothing is there yet
    store = bank(tmp_path / "link")
    store.compact()
    (tmp_path / "backup").symlink_to(tmp_path / "real" / "backup")
    store.backup(str(tmp_path / "backup"))
    store.close()
    assert (tmp_path / "link").is_symlink() and (tmp_path / "backup").is_symlink()
    for name in ("db", "backup"):
        store = open_store(tmp_path / "real" / name)
        assert balance(store) == ACCOUNTS * FUNDS
        store.close()


def test_a_change_of_the_working_directory_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = bank(Path("db"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    transfer(store, random.Random(1))
    store.compact()
    transfer(store, random.Random(2))
    store.close()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="unable to open database file"):
        open_store(f"{tmp_path}/a\0b")


def test_compactions_and_backups_are_readable_to_whom_the_database_is(tmp_path: Path) -> None:
    store = bank(tmp_path / "db")
    (tmp_path / "db").chmod(0o600)
    store.compact()
    store.backup(str(tmp_path / "backup"))
    store.close()
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
