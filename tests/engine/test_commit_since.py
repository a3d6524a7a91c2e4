"""Commits that were made of what was read before: they stand only if nobody has committed anything since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import PageStore
from tests.threads import in_threads


@pytest.fixture(params=["full", "normal", "off"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = PageStore.open(tmp_path / "db", durability=request.param)
    made.commit_redo(b"first")  # who has not had the lock yet has more to look at
    yield made
    made.close()


def test_one_after_another(store: PageStore) -> None:
    for number in range(5):
        state = store.newest()
        assert store.commit_redo_since(b"%d" % number, state) == state.lsn + 1
        assert not store.commit_redo_since(b"late", state)
        assert store.newest().lsn == state.lsn + 1
    assert [payload for _, payload in store.newest().redo_after(0)] == [
        b"first",
        b"0",
        b"1",
        b"2",
        b"3",
        b"4",
    ]


def test_whoever_has_committed_since(store: PageStore, tmp_path: Path) -> None:
    other = PageStore.open(tmp_path / "db", durability=store.durability)
    for by in (store, other):
        state = store.newest()
        by.commit_redo(b"another")
        assert not store.commit_redo_since(b"late", state)
    state = store.newest()
    assert store.commit_redo_since(b"in time", state)
    writer = other.begin()
    assert not store.commit_redo_since(b"beside a writer", store.newest())
    writer.rollback()
    assert store.newest().lsn == state.lsn + 1
    other.close()


def test_threads_that_count(store: PageStore) -> None:
    done: list[int] = []

    def work() -> None:
        for _ in range(40):
            while True:
                state = store.newest()
                count = len(state.redo_after(1))
                if store.commit_redo_since(b"%d" % count, state):
                    break
            done.append(count)

    in_threads(*[work] * 4)
    assert sorted(done) == list(range(160))
    found = [payload for _, payload in store.newest().redo_after(1)]
    assert found == [b"%d" % count for count in range(160)]


def test_not_for_who_only_reads(tmp_path: Path) -> None:
    with PageStore.open(tmp_path / "db") as store:
        store.commit_redo(b"first")
    with PageStore.open(tmp_path / "db", readonly=True) as reader:
        assert not reader.commit_redo_since(b"second", reader.newest())
