"""Single raw puts: how many wait in the log, when that is asked, which do not wait, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from btree import StorageError, open_store, single_puts
from btree.disk import DiskStore
from btree.disk_transaction import REDO_BYTES_MAX, DiskTransaction
from engine import PageStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    """A store with a page, so that puts may wait, and nothing that waits."""
    store: Any = open_store(tmp_path / "db", durability="off")
    store.put(b"first", b"v")
    store.view()
    yield store
    store.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the values at which it was asked whether puts may go on to wait."""
    lengths: list[int] = []
    go_on = single_puts._may_go_on

    def noted(store: Any, value: bytes) -> bool:
        lengths.append(len(value))
        return go_on(store, value)

    monkeypatch.setattr(single_puts, "_may_go_on", noted)
    return lengths


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each transaction that begins to write."""
    transactions: list[bool] = []
    begin = DiskStore.begin

    def noted(self: Any, *, write: bool = False, timeout: float | None = None) -> Any:
        transactions.extend([write] if write else [])
        return begin(self, write=write, timeout=timeout)

    monkeypatch.setattr(DiskStore, "begin", noted)
    return transactions


def waiting(store: Any) -> int:
    """How many commits the store's own view lacks."""
    newest: int = store.pages.newest_appended()[0]
    return newest - int(store.known_view.version.lsn)


@pytest.mark.parametrize(("allowance", "length", "every"), [(128, 0, 3), (130, 0, 4), (200, 70, 2)])
def test_it_is_asked_once_for_so_many_bytes(
    store: Any,
    asked: list[int],
    monkeypatch: pytest.MonkeyPatch,
    allowance: int,
    length: int,
    every: int,
) -> None:
    monkeypatch.setattr(single_puts, "_ALLOWANCE_BYTES", allowance)
    store.put_allowance = 0
    counts = []
    for number in range(4 * every):
        store.put(b"%d" % number, bytes(length))
        counts.append(len(asked))
    assert counts == [1 + number // every for number in range(4 * every)]


def test_those_that_wait_are_taken_in_when_they_are_many(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_puts, "_ALLOWANCE_BYTES", 0)  # it is asked each time
    monkeypatch.setattr(single_puts, "UNREAD_COMMITS_MAX", 8)
    renewed: list[int] = []
    monkeypatch.setattr(DiskStore, "go_on_renewing", lambda _: renewed.append(waiting(store)))
    store.put_allowance = 0
    store.own_puts = {}
    found = []
    for number in range(30):
        store.put(b"%d" % number, b"v")
        found.append(waiting(store))
        assert len(store.own_puts) == found[-1]
    assert found == [*range(1, 10), *range(1, 10), *range(1, 10), 1, 2, 3]
    assert renewed == [0, 0, 0]


def test_what_readers_take_in_meanwhile_is_not_kept_for_ever(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_puts, "_ALLOWANCE_BYTES", 0)
    monkeypatch.setattr(single_puts, "UNREAD_COMMITS_MAX", 4)
    store.put_allowance = 0
    store.own_puts = {}
    kept = []
    for number in range(20):
        store.put(b"%d" % number, b"v")
        store.view()
        kept.append(len(store.own_puts))
    assert kept == [*range(1, 10), *range(1, 10), 1, 2]


def test_long_values_are_put_by_transactions(store: Any, begun: list[bool]) -> None:
    for length, expected in [(REDO_BYTES_MAX // 2, 0), (REDO_BYTES_MAX // 2 + 1, 1)]:
        store.put_allowance = 0
        store.put(b"long", bytes(length))
        assert len(begun) == expected
        assert store.begin().tree(1).get(b"long") == bytes(length)


def test_a_put_that_fails_lets_go_of_the_lock(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Any) -> None:
        raise StorageError("the disk is gone")

    store.put_allowance = 0
    with monkeypatch.context() as patch:
        patch.setattr(DiskTransaction, "commit", fails)
        with pytest.raises(StorageError, match="the disk is gone"):
            store.put(b"long", bytes(REDO_BYTES_MAX))
    store.begin(write=True, timeout=0).rollback()
    assert store.begin().tree(1).get(b"long") is None


@pytest.mark.parametrize("is_due", [True, False])
@pytest.mark.parametrize("is_light", [True, False])
def test_a_checkpoint_that_is_due_is_made_by_the_next_put(
    store: Any, begun: list[bool], monkeypatch: pytest.MonkeyPatch, is_due: bool, is_light: bool
) -> None:
    """Not one that is due but for what waits over the raw tree."""
    store.put_allowance = 0
    with monkeypatch.context() as patch:
        patch.setattr(PageStore, "checkpoint_due", lambda *_: is_due)
        patch.setattr(DiskStore, "checkpoint_due", lambda *_: not is_light)
        store.put(b"key", b"v")
    assert len(begun) == (is_due and not is_light)


def test_a_put_knows_of_another_handles_first_commit(tmp_path: Path, begun: list[bool]) -> None:
    store: Any = open_store(tmp_path / "db", durability="off")
    store.view()
    other = open_store(tmp_path / "db", durability="off")
    other.put(b"first", b"v")
    assert len(begun) == 1  # there is no page to replay redo into yet
    store.put(b"second", b"v")
    assert len(begun) == 1
    assert other.begin().tree(1).get(b"second") == b"v"
    other.close()
    store.close()


def test_what_was_made_of_an_older_value_is_not_put(store: Any) -> None:
    moment = store.view().moment
    lsn = store.put_since(moment, b"key", b"1")
    assert lsn == store.pages.newest_appended()[0] and store.own_puts[lsn] == (b"key", b"1")
    kept = dict(store.own_puts)
    assert store.put_since(moment, b"key", b"2") == 0
    assert store.pages.newest_appended()[0] == lsn and store.own_puts == kept
    gone = store.put_since(store.view().moment, b"key", False)
    assert gone == lsn + 1 and store.own_puts[gone] == (b"key", False)
    assert store.begin().tree(1).get(b"key") is None
    store.put_allowance = 0
    assert store.put_since(store.view().moment, b"key", bytes(REDO_BYTES_MAX)) == 0
    assert store.pages.newest_appended()[0] == gone


def test_changes_are_told_of_so_many_commits(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_puts, "TOLD_COMMITS_MAX", 4)
    monkeypatch.setattr(single_puts, "TOLD_BYTES_MAX", 0)  # of those that are not known here
    view = store.view()
    for number in range(4):
        store.put(b"%d" % number, b"v%d" % number)
    told = store.raw_changes(view, view.lsn)
    assert told.changes == {b"%d" % number: b"v%d" % number for number in range(4)}
    assert told.lsn == view.lsn + 4
    store.put(b"4", b"v")
    assert store.raw_changes(view, view.lsn) is None
    assert list(store.raw_changes(view, view.lsn + 3).changes) == [b"3", b"4"]
    until = store.view()
    store.put(b"5", b"v")
    assert list(store.raw_changes(view, view.lsn + 3, until).changes) == [b"3", b"4"]
    assert store.raw_changes(view, view.lsn + 6).changes == {}
    store.checkpoint()
    assert store.raw_changes(view, view.lsn + 5) is None  # the view's pages are no more the newest


def test_of_other_handles_changes_are_told_of_so_many_bytes(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other: Any = open_store(store.path, durability="off")
    other.view()
    view = store.view()
    store.put(b"own", b"v")
    other.put(b"key", b"v" * 50)
    records = [record for _, record in other.pages.newest().redo_after(view.lsn)]
    size = sum(map(len, records))
    assert len(records) == 2
    for most, expected in [(size, {b"own": b"v", b"key": b"v" * 50}), (size - 1, None)]:
        monkeypatch.setattr(single_puts, "TOLD_BYTES_MAX", most)
        told = store.raw_changes(view, view.lsn)
        assert (told and told.changes) == expected
    other.close()
