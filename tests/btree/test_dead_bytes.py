"""Damage to bytes that the newest commit doesn't need, and damage that only other evidence shows."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from btree import CorruptionError, StoreError, open_store, repair
from engine.format import KIND_TABLE, RECORD_BYTES, decode_header, location_offset, location_span
from engine.log import Log
from engine.salvaging import place, salvage
from tests.btree.test_damage import WORDS, small_database
from tests.engine.simulated import SimulatedDisk
from tests.engine.test_threads import bank
from tests.engine.workload import content_of, opened, small_limits


def disk_of(data: bytes, words: list[int] | None = None) -> SimulatedDisk:
    return SimulatedDisk.found({"db": 1}, {1: (data, list(words or WORDS))})


def log_of(data: bytes) -> Log:
    return Log(disk_of(data).open("db", readonly=True), "db")


def needed(data: bytes) -> set[int]:
    """The offsets of the bytes that opening and reading everything depends on."""
    log = log_of(data)
    start = log.table_hint[0]
    assert start, "a clean close leaves a page table"
    bytes_ = {*range(start, len(data))}  # the table, and the redo behind it
    for _, location in log.table.items(log.table.overlays):
        offset = location_offset(location)
        bytes_.update(range(offset, offset + location_span(location)))
    return bytes_


@pytest.mark.parametrize("redo", [False, True])
def test_a_file_closed_cleanly_opens_whatever_becomes_of_bytes_that_no_commit_needs_any_more(
    redo: bool,
) -> None:
    """Small files had no page table once: the scan from the log's start met the damage and refused."""
    data, content = small_database(3, redo=redo)
    dead = sorted(set(range(4096, len(data))) - needed(data))
    assert len(dead) > 500
    for at in dead[::3]:
        damaged = bytearray(data)
        damaged[at] ^= 0x55
        store = opened(disk_of(bytes(damaged)))
        assert content_of(store.begin()) == content, at
        store.close()


def test_check_and_log_tell_of_dead_bytes_that_are_damaged_and_compact_leaves_them_behind(
    tmp_path: Path,
) -> None:
    data, content = small_database(3)
    dead = sorted(set(range(4096, len(data))) - needed(data))
    damaged = bytearray(data)
    for at in range(dead[100], dead[100] + 64):
        damaged[at] = 0
    path = tmp_path / "db"
    path.write_bytes(damaged)
    store: Any = open_store(path, page_bytes=200)
    (problem,) = store.check()
    assert "needs none of it: .compact leaves it behind" in problem
    commits = list(store.log())
    assert [commit.kind for commit in commits].count("damaged") == 1
    assert commits[-1].lsn == store.begin().commit_number
    with pytest.raises(CorruptionError, match="damaged at offset"):  # not "has no commit"
        open_store(path, at=commits[-1].lsn - 3)
    store.compact()
    assert store.check() == []
    assert content_of(store.begin()) == content
    store.close()


def test_an_older_version_in_the_place_of_a_page_is_no_damage_to_dead_bytes(tmp_path: Path) -> None:
    """`.compact leaves it behind` was what the check said of it; it would have been the page's only version then."""
    path = tmp_path / "db"
    store: Any = open_store(path, page_bytes=200)
    for value in (b"first", b"older", b"newer"):
        transaction = store.begin(write=True)
        transaction.tree(1).put(b"key", value)
        transaction.commit()
        store.checkpoint()
    root = store.begin().tree(1).root.page
    store.close()
    found = salvage(str(path))
    found.file.close()
    (_, span), (old, _), (new, _) = (place(location) for _, location in found.versions[root])
    data = bytearray(path.read_bytes())
    data[new : new + span] = data[old : old + span]
    path.write_bytes(data)
    store = open_store(path)
    told = store.check()
    assert f"page {root} at offset {new} is damaged: its record is that of commit 3" in told[0]
    assert not any(".compact" in problem for problem in told)
    store.close()
    assert any("of commit" in sentence for sentence in repair(path, tmp_path / "new"))


def test_every_byte_of_the_page_table_may_change_and_nothing_is_lost() -> None:
    for redo in (False, True):
        data, content = small_database(4, redo=redo)
        start = log_of(data).table_hint[0]
        record = log_of(data).record_at(start, len(data))
        assert record is not None and record.kind == KIND_TABLE
        assert record.span > RECORD_BYTES + 40
        for at in range(start, start + record.span):
            if at >= start + RECORD_BYTES + record.length:
                continue  # padding
            damaged = bytearray(data)
            damaged[at] ^= 0x21
            disk = disk_of(bytes(damaged))
            store = opened(disk)
            assert content_of(store.begin()) == content
            (problem,) = store.check()
            assert f"the page table at offset {start} is damaged; nothing is lost" in problem
            transaction = store.begin(write=True)
            transaction.tree(1).put(b"new", b"entry")
            transaction.commit()
            store.checkpoint()
            store.close()
            again = opened(disk_of(disk.content("db")))
            assert again.begin().tree(1).get(b"new") == b"entry"
            store = opened(disk)
            store.compact()
            assert store.check() == []
            store.close()
            again.close()


def test_a_cut_of_a_file_that_was_not_closed_loses_no_commit_silently() -> None:
    """Nothing but the live words knows how far such a file reached."""
    disk = SimulatedDisk()
    with small_limits():
        store = opened(disk, page_bytes=200)
        for number in range(12):
            transaction = store.begin(write=True)
            transaction.tree(1).put(b"%d" % number, b"x" * 50)
            transaction.commit()
        content = content_of(store.begin())
        end = store.pages.current_log.end
    data, words = disk.content("db"), list(disk.inodes[disk.names["db"]].words.values)
    for size in range(4096, len(data), 5):
        try:
            found = content_of(opened(disk_of(data[:size], words)).begin())
        except CorruptionError as error:
            assert size < end and f"reaches {end}, the file {size}" in str(error)
        else:
            assert size > end - 8 and found == content
    store.close()


def test_one_damaged_word_is_no_proof_of_damage() -> None:
    data, content = small_database()
    for number in range(len(WORDS)):
        for bit in range(64):
            words = list(WORDS)
            words[number] = 1 << bit
            store = opened(disk_of(data, words), timeout=0.01)
            assert content_of(store.begin()) == content
            store.close()


def test_a_damaged_file_that_another_process_is_writing_never_shows_an_older_commit(
    tmp_path: Path,
) -> None:
    """Whoever opened it then took what the scan reached before the damage for the newest commit."""
    path = tmp_path / "db"
    store = bank(path)
    store.close()
    store = open_store(path, page_bytes=512)
    commits = []
    for number in range(30):
        transaction = store.begin(write=True)
        transaction.tree(1).put(b"%d" % number, b"x" * 100)
        transaction.commit()
        commits.append(os.path.getsize(path))
    offsets = [commit.offset for commit in store.log()]
    writing = store.begin(write=True)
    with open(path, "r+b") as file:
        file.seek(offsets[10] + 40)
        file.write(b"damage")
    for readonly in (False, True):
        with pytest.raises(CorruptionError, match=f"process {os.getpid()}, which is writing"):
            open_store(path, readonly=readonly, timeout=0.1)
    writing.rollback()
    store.close()
    assert decode_header(path.read_bytes()[:4096], "db")


def test_an_older_commit_can_be_looked_at_while_another_one_writes(tmp_path: Path) -> None:
    store = bank(tmp_path / "db")
    transaction = store.begin(write=True)
    transaction.tree(1).put(b"0", b"newer")
    transaction.commit()
    writing = store.begin(write=True)
    past = open_store(tmp_path / "db", at=1, timeout=0)
    assert past.begin().tree(1).get(b"0") == b"1000"
    past.close()
    with pytest.raises(StoreError, match="has no commit 99"):
        open_store(tmp_path / "db", at=99, timeout=0)
    writing.rollback()
    store.close()


def test_repair_says_that_a_file_was_cut_short_and_that_its_end_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = bank(path)
    store.checkpoint()
    store.close()
    data = path.read_bytes()
    shutil.copy(path, tmp_path / "cut")
    os.truncate(tmp_path / "cut", len(data) - 200)
    sentences = repair(tmp_path / "cut", tmp_path / "new")
    assert any(f"cut short: it has {len(data) - 200} bytes" in line for line in sentences)
    (tmp_path / "zeroed").write_bytes(data[:-200] + bytes(200))
    sentences = repair(tmp_path / "zeroed", tmp_path / "newer")
    assert any("are damaged" in line for line in sentences)
