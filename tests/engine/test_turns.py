"""Writers of several processes take turns: who waits is let in, and nobody gives way after each commit."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from btree import open_store
from btree.redo import encode_put
from engine import PageStore
from engine.format import WORD_WAITING
from engine.locking import Locking
from tests.threads import in_threads


def opened(path: Path) -> Any:
    """A handle that another one, as good as another process, has opened the same file with."""
    store = open_store(str(path), durability="off")
    store.put(b"first", b"v")  # a pages commit
    return store.pages


@pytest.fixture
def given_way(monkeypatch: pytest.MonkeyPatch) -> list[PageStore]:
    """The handles that have stayed away for others."""
    found: list[PageStore] = []
    stay_away = Locking._let_others_in

    def noted(self: Any) -> None:
        found.append(self)
        stay_away(self)

    monkeypatch.setattr(Locking, "_let_others_in", noted)
    return found


def somebody_waits(store: Any) -> None:
    store.current_log.words[WORD_WAITING] = time.time_ns() // 1_000_000


def commit(store: Any) -> None:
    store.commit_redo(encode_put(1, b"key", b"value"))


def test_a_writer_goes_on_for_a_turn_and_then_gives_way(
    tmp_path: Path, given_way: list[PageStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.locking._WAITING_MS", 3600_000)  # however long this takes
    store = opened(tmp_path / "db")
    commit(store)
    store._turn_ends = time.monotonic() + 3600
    somebody_waits(store)
    for _ in range(3):
        commit(store)
    assert not given_way
    store._turn_ends = 0.0
    commit(store)
    assert given_way == [store]
    store._turn_ends = 0.0
    store.current_log.words[WORD_WAITING] = 1  # long ago
    commit(store)
    assert given_way == [store]


def test_who_gets_the_lock_waits_no_longer(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "db"), opened(tmp_path / "db")
    commit(one)
    writer = one.begin()
    waiting = threading.Thread(target=commit, args=(other,))
    waiting.start()
    while not one.current_log.words[WORD_WAITING]:
        time.sleep(0.001)
    writer.rollback()
    waiting.join(60)
    assert one.current_log.words[WORD_WAITING] == 0
    assert other._turn_ends > 0


def test_busy_writers_starve_nobody(tmp_path: Path) -> None:
    """Each of two goes on until the other one is done, too: if one were never let in, it would fail as busy."""
    stores = [opened(tmp_path / "db"), opened(tmp_path / "db")]
    left = {0: 50, 1: 50}

    def work(number: int) -> None:
        try:
            while max(left.values()) > 0:
                commit(stores[number])
                left[number] -= 1
        except BaseException:
            left[0] = left[1] = 0
            raise

    in_threads(partial(work, 0), partial(work, 1))
    made = 100 - sum(left.values())
    newest = max(store.snapshot().lsn for store in stores)
    assert newest >= made, "commits were lost"
