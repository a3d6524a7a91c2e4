"""Small commits that are synced find their blocks written before; others, and other handles, cost nothing more."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from btree import StorageError, open_store
from engine import OsFile
from tests.engine.watched import FilesOf

BLOCK_BYTES = 4096


class WatchedFile(OsFile):
    """Notes its writes; those of zeros fail with `error`, if there is one."""

    zeros: list[tuple[int, int]] = []  # noqa: RUF012, of all files
    error = 0

    def write(self, data: bytes, offset: int) -> None:
        if not any(data):
            if WatchedFile.error:
                raise OSError(WatchedFile.error, os.strerror(WatchedFile.error))
            WatchedFile.zeros.append((offset, offset + len(data)))
        super().write(data, offset)


@pytest.fixture(autouse=True)
def nothing_written() -> Iterator[None]:
    WatchedFile.zeros, WatchedFile.error = [], 0
    yield
    WatchedFile.zeros, WatchedFile.error = [], 0


def opened(path: Path, durability: Any = "full") -> Any:
    store: Any = open_store(path, files=FilesOf(WatchedFile), durability=durability)
    store.put(b"first", b"v")  # a pages commit
    store.begin()  # from here on puts go to the log
    return store


def put(store: Any, count: int, size: int = 100) -> None:
    for number in range(count):
        store.put(b"%d" % number, b"v" * size)


def test_small_synced_commits_go_into_blocks_that_were_written(tmp_path: Path) -> None:
    store = opened(tmp_path / "db")
    log = store.pages.current_log
    ends = []
    for _ in range(2000):
        start = log.end
        put(store, 1)
        first_block = (start + BLOCK_BYTES - 1) & -BLOCK_BYTES
        if log.end > first_block:  # it reaches a block that no commit has reached before
            ends.append(log.end)
    filled = WatchedFile.zeros
    assert len(ends) > 50
    assert all(any(low <= end <= high for low, high in filled) for end in ends)
    assert len(filled) <= log.end // (64 << 10) + 1, "one write for many blocks"
    assert all(low % BLOCK_BYTES == 0 for low, _ in filled)
    assert max(high for _, high in filled) <= log.allocated, "the file does not grow by it"
    assert store.check() == []
    store.close()
    again: Any = open_store(tmp_path / "db")
    assert again.begin().tree(1).get(b"0") == b"v" * 100


@pytest.mark.parametrize(
    ("durability", "size"), [("off", 100), ("normal", 100), ("full", BLOCK_BYTES)]
)
def test_commits_without_a_sync_and_large_ones_do_without(
    tmp_path: Path, durability: str, size: int
) -> None:
    store = opened(tmp_path / "db", durability)
    put(store, 400, size)
    assert WatchedFile.zeros == []
    store.close()


def test_handles_that_take_turns_do_not_fill_for_each_commit(tmp_path: Path) -> None:
    one = opened(tmp_path / "db")
    other: Any = open_store(tmp_path / "db", files=FilesOf(WatchedFile))
    other.begin()
    for number in range(100):
        for store in (one, other):
            store.put(b"%d" % number, b"v" * 20)
            store.begin()
    assert one.pages.current_log.end > 5 * BLOCK_BYTES
    assert len(WatchedFile.zeros) <= one.pages.current_log.end // BLOCK_BYTES
    assert one.check() == other.check() == []


def test_without_room_to_fill_the_commit_stands(tmp_path: Path) -> None:
    store = opened(tmp_path / "db")
    WatchedFile.error = errno.ENOSPC
    put(store, 100)
    assert WatchedFile.zeros == []
    WatchedFile.error = 0
    put(store, 100)
    assert WatchedFile.zeros != []
    assert store.check() == []


def test_a_fill_that_fails_otherwise_refuses_the_commit_and_the_handle_goes_on(
    tmp_path: Path,
) -> None:
    store = opened(tmp_path / "db")
    WatchedFile.error = errno.EIO
    with pytest.raises(StorageError, match="Input/output error"):
        put(store, 100)
    done = store.begin().commit_number
    WatchedFile.error = 0
    put(store, 100, 50)
    assert store.begin().commit_number == done + 100
    assert store.check() == []
    store.close()
    again: Any = open_store(tmp_path / "db")
    assert again.begin().tree(1).get(b"99") == b"v" * 50
