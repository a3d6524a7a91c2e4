"""Checkpoints and compactions while other threads' commits wait for their sync: the visible commit is older than the newest,
and what lies over the trees between the two is neither lost nor seen too early."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from btree import NOT_AT_HAND, StoreError, TreeKind, open_store
from engine import OsFile
from tests.engine.watched import FilesOf
from tests.threads import in_threads

TREE = 3
OPEN = threading.Event()
SYNCING = threading.Event()


class SlowFile(OsFile):
    """Its syncs wait until they are let go."""

    def sync(self) -> None:
        SYNCING.set()
        assert OPEN.wait(30)
        super().sync()

    def writes_synced(self) -> bool:
        return False


def keys(store: Any) -> list[bytes]:
    return [key for keys, _ in store.begin().tree(1).batches() for key in keys]


def appended(store: Any, function: Any) -> threading.Thread:
    """A thread that makes a commit, once it waits for its sync."""
    before = store.pages.newest_appended()
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    while store.pages.newest_appended() == before:
        assert thread.is_alive()
    return thread


def put_row(store: Any, key: int) -> None:
    transaction = store.begin(write=True)
    transaction.tree(TREE).put(key, (key,))
    transaction.commit()


def write_pages(store: Any) -> None:
    """A checkpoint as a transaction makes one that is too large for redo: without having looked at what is visible."""
    transaction = store.begin(write=True)
    transaction.give_up_redo()
    transaction.tree(1).put(b"key", b"v")
    transaction.commit()


def rows(store: Any) -> list[int]:
    return [key for keys, _ in store.begin().tree(TREE).batches() for key in keys]


def test_pages_have_what_is_not_visible_yet(tmp_path: Path) -> None:
    """A handle knows the commits up to row 1; 2 is another handle's and visible, a put behind it waits for its sync."""
    OPEN.set()
    store: Any = open_store(tmp_path / "db", files=FilesOf(SlowFile))
    transaction = store.begin(write=True)
    assert transaction.create_tree(TreeKind.TABLE) == TREE
    transaction.tree(TREE).put(0, (0,))
    transaction.commit()
    store.checkpoint()
    put_row(store, 1)
    store.begin()
    other: Any = open_store(tmp_path / "db")
    put_row(other, 2)
    OPEN.clear()
    threads = [appended(store, partial(store.put, b"put", b"v"))]
    threads.append(appended(store, partial(write_pages, store)))
    OPEN.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert rows(store) == [0, 1, 2]
    assert rows(open_store(tmp_path / "db", readonly=True)) == [0, 1, 2]
    assert store.check() == []
    store.close()
    other.close()


def test_a_glance_at_a_row_sees_what_is_durable(tmp_path: Path) -> None:
    OPEN.set()
    store: Any = open_store(tmp_path / "db", files=FilesOf(SlowFile))
    transaction = store.begin(write=True)
    assert transaction.create_tree(TreeKind.TABLE) == TREE
    transaction.commit()
    store.checkpoint()
    put_row(store, 1)
    shape = store.begin().shape
    assert store.row_now(shape, TREE, 1) == (1,)
    assert store.row_now(shape, TREE, 2) is None
    assert store.row_now(object(), TREE, 1) is NOT_AT_HAND
    OPEN.clear()
    thread = appended(store, partial(put_row, store, 2))
    assert store.row_now(shape, TREE, 1) == (1,)
    assert store.row_now(shape, TREE, 2) is None
    OPEN.set()
    thread.join(30)
    assert store.row_now(shape, TREE, 2) == (2,)
    other: Any = open_store(tmp_path / "db")
    put_row(other, 3)
    assert store.row_now(shape, TREE, 3) is NOT_AT_HAND  # until somebody takes it in
    assert rows(store) == [1, 2, 3]
    transaction = store.begin(write=True)
    transaction.tree(TREE).delete(1)
    transaction.commit()
    assert store.row_now(shape, TREE, 3) == (3,)
    assert store.row_now(shape, TREE, 1) is None
    store.close()
    assert store.row_now(shape, TREE, 3) is NOT_AT_HAND
    other.close()


@pytest.fixture
def _quick_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_quick_switches")
@pytest.mark.parametrize("end", ["checkpoint", "compact"])
def test_nothing_is_lost_beside_checkpoints_and_compactions(tmp_path: Path, end: str) -> None:
    """One handle that all threads share, and one more for each of them."""
    store: Any = open_store(tmp_path / "db", timeout=60)
    store.put(b"first", b"v")
    put: list[bytes] = [b"first"]

    def work(number: int) -> None:
        rng = random.Random(number)
        own: Any = open_store(tmp_path / "db", timeout=60)
        for count in range(60):
            key = b"%d:%d" % (number, count)
            match rng.randrange(10):
                case 0:
                    try:
                        getattr(store, end)()
                    except StoreError as error:
                        assert "another compaction was faster" in str(error)
                case 1 | 2:
                    own.put(key, b"own")
                    put.append(key)
                case _:
                    store.put(key, b"shared")
                    put.append(key)
        own.close()

    in_threads(*[partial(work, number) for number in range(6)])
    assert keys(store) == sorted(put)
    assert keys(open_store(tmp_path / "db", readonly=True)) == sorted(put)
    assert store.check() == []
    store.close()
