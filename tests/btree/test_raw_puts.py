"""Raw puts that a transaction puts off: whoever looks at the tree sees them made."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from btree import RAW_TREE_ID, ClosedError, ReadOnlyError, open_store, single_puts
from btree.disk import DiskStore
from tests.btree.fake_pages import FakeFile, FakePages


def content(transaction: Any) -> dict[bytes, bytes]:
    tree = transaction.tree(RAW_TREE_ID)
    found = {
        key: value
        for keys, values in tree.batches()
        for key, value in zip(keys, values, strict=True)
    }
    assert len(tree) == len(found)
    return found


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_they_are_made_before_anything_is_read_kept_or_undone(
    store: Any, seed: int, ascending: bool
) -> None:
    """Those that ascend wait as they came until one of them does not, is looked for, or is deleted."""
    rng = random.Random(seed)
    model: dict[bytes, bytes] = {}
    puts, waited = 0.96 if ascending else 0.8, 0
    for _ in range(12):
        transaction = store.begin(write=True)
        marks = [(None, dict(model))]
        number = rng.randrange(300)
        for _ in range(rng.choice([5, 100, 900])):
            number = number + rng.randrange(1, 4) if ascending else rng.randrange(400)
            key, dice = b"%05d" % number, (rng.random() - puts) / (1 - puts)
            if dice < 0:
                model[key] = b"%d" % rng.randrange(1000) * rng.choice([1, 1, 1, 400])
                transaction.put_raw(key, model[key])
                waited = max(waited, len(transaction.put_log))
                continue
            if rng.random() < 0.7:
                key = rng.choice([*model, b"-"])
            if dice < 0.15:  # there already, or before others
                model[key] = b"again"
                transaction.put_raw(key, model[key])
            elif dice < 0.3:
                assert transaction.delete_raw(key) == (model.pop(key, None) is not None)
            elif dice < 0.4:
                assert transaction.tree(RAW_TREE_ID).delete(key) == (
                    model.pop(key, None) is not None
                )
            elif dice < 0.5:
                assert (transaction.raw_puts.get(key) or None) in (None, model.get(key))
            elif dice < 0.6:
                assert transaction.tree(RAW_TREE_ID).get(key) == model.get(key)
            elif dice < 0.7:
                assert content(transaction) == model
            elif dice < 0.85:
                marks.append((transaction.savepoint(), dict(model)))
            elif len(marks) > 1:
                mark, model = marks[-1][0], dict(marks[-1][1])
                transaction.rollback_to(mark)
        if rng.random() < 0.3:
            transaction.rollback()
            model = marks[0][1]
        else:
            transaction.commit()
        assert content(store.begin()) == model
    assert waited > 60 or not ascending


def test_a_transaction_that_can_not_write_refuses_them_at_once(store: Any) -> None:
    reading = store.begin()
    with pytest.raises(ReadOnlyError):
        reading.put_raw(b"k", b"v")
    writing = store.begin(write=True)
    writing.put_raw(b"k", b"v")
    writing.commit()
    with pytest.raises(ReadOnlyError):
        writing.put_raw(b"k", b"v")


def test_they_stay_put_off_when_making_them_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction whose puts failed half-way must not commit the other half."""
    store = DiskStore(FakePages(FakeFile()), "fake", page_bytes=160)
    first = store.begin(write=True)
    for number in range(100):
        first.put_raw(b"%03d" % number, b"old")
    first.commit()
    transaction = store.begin(write=True)
    for number in range(100):
        transaction.put_raw(b"%03d" % number, b"new")
    with monkeypatch.context() as patched:

        def fail(*_: Any) -> None:
            raise OSError("a page can't be read")

        patched.setattr("btree.edit.load", fail)
        with pytest.raises(OSError, match="can't be read"):
            transaction.tree(RAW_TREE_ID)
    assert set(content(transaction).values()) == {b"new"}
    transaction.commit()
    assert set(content(store.begin()).values()) == {b"new"}


def test_nodes_of_a_transaction_that_wrote_early_and_rolled_back_are_forgotten(
    tmp_path: Path,
) -> None:
    """What it wrote lies where the next one writes: a node that is kept by its place in the file would be
    taken for another one."""
    store: Any = open_store(tmp_path / "db", cache_bytes=1 << 19, durability="off")
    transaction = store.begin(write=True)
    for first in range(3):
        for number in range(first, 20_000, 3):
            transaction.put_raw(b"%05d" % number, b"x" * 40)
        tree = transaction.tree(RAW_TREE_ID)
    assert transaction.spilled
    slot = next(at for at, child in enumerate(tree.root.children) if child.__class__ is int)
    location = tree.root.children[slot]
    store.cache._cooling[location] = tree.child(tree.root, slot)
    transaction.rollback()
    assert store.cache.revived(location) is None
    store.close()


@pytest.mark.parametrize("step", [1, 7919], ids=["ascending", "scattered"])
@pytest.mark.parametrize("value_bytes", [10, 500, 2000])
def test_as_many_are_put_off_as_there_is_memory_for(
    tmp_path: Path, value_bytes: int, step: int
) -> None:
    cache_bytes = 1 << 20
    store: Any = open_store(tmp_path / "db", cache_bytes=cache_bytes, durability="off")
    transaction = store.begin(write=True)
    most = 0
    for number in range(12_000):
        transaction.put_raw(b"%05d" % (number * step % 12_000), b"x" * value_bytes)
        most = max(most, transaction.puts_waiting())
    assert most > (store.raw_puts_max if value_bytes <= 500 else 100)
    assert most * (100 + 5 + value_bytes) < cache_bytes / 2
    transaction.commit()
    assert len(content(store.begin())) == 12_000
    assert store.check() == []
    store.close()


@pytest.mark.parametrize("seed", range(4))
def test_scattered_puts_wait_over_the_tree_and_every_reader_sees_its_own_commit(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    path = tmp_path / "db"
    store: Any = open_store(path, durability="off", cache_bytes=rng.choice([1 << 20, 1 << 24]))
    model = {b"%05d" % number: b"first" for number in range(0, 8000, 2)}
    transaction = store.begin(write=True)
    transaction.tree(RAW_TREE_ID).load(sorted(model), [b"first"] * len(model))
    transaction.commit()
    store.begin()
    readers: list[tuple[Any, dict[bytes, bytes]]] = []
    waited = 0
    for turn in range(60):
        transaction = store.begin(write=True)
        for _ in range(rng.choice([1, 30, 300, 900])):
            key, value = b"%05d" % rng.randrange(8000), b"%d" % rng.randrange(1 << 30)
            model[key] = value
            transaction.put_raw(key, value)
            if rng.random() < 0.3:
                key = b"%05d" % rng.randrange(8000)
                assert transaction.delete_raw(key) == (model.pop(key, None) is not None)
        if turn % 7 == 3:
            key = rng.choice(sorted(model))
            transaction.tree(RAW_TREE_ID).delete(key)
            del model[key]
        transaction.commit()
        waited += transaction.copies == 0
        reader = store.begin()
        for key in rng.sample(sorted(model), 20):
            assert reader.tree(RAW_TREE_ID).get(key) == model[key]
        for key in [b"%05d" % rng.randrange(8000) for _ in range(20)]:
            assert (key in reader.tree(RAW_TREE_ID)) == (key in model)
        readers.append((reader, dict(model)))
        dice = rng.random()
        if dice < 0.2:
            reader, content_then = readers.pop(rng.randrange(len(readers)))
            assert content(reader) == content_then
        elif dice < 0.25:
            store.checkpoint()
        elif dice < 0.3:
            other: Any = open_store(path, readonly=True)
            assert content(other.begin()) == model
            other.close()
    assert waited > 20
    for reader, content_then in readers:
        assert content(reader) == content_then
    assert store.check() == []
    store.close()
    store = open_store(path)
    assert content(store.begin()) == model
    store.close()


@pytest.mark.parametrize("cache_bytes", [1 << 20, 1 << 24])
def test_scattered_deletes_are_committed_as_they_are(tmp_path: Path, cache_bytes: int) -> None:
    """No leaf is copied for them, and what is deleted twice, or put in between, is told rightly."""
    rng = random.Random(1)
    store: Any = open_store(tmp_path / "db", durability="off", cache_bytes=cache_bytes)
    transaction = store.begin(write=True)
    keys = [b"%05d" % number for number in range(30_000)]
    transaction.tree(RAW_TREE_ID).load(keys, [b"v" * 50] * len(keys))
    transaction.commit()
    store.checkpoint()
    model = dict.fromkeys(keys, b"v" * 50)
    transaction = store.begin(write=True)
    for key in rng.sample(keys, 3000):
        assert transaction.delete_raw(key)
        assert not transaction.delete_raw(key)
        assert not transaction.delete_raw(key + b"-")
        del model[key]
        if rng.random() < 0.1:
            transaction.put_raw(key, b"again")
            model[key] = b"again"
    transaction.commit()
    assert transaction.copies == 0
    assert store.view().version.trees[RAW_TREE_ID].pending
    assert content(store.begin()) == model
    store.close()
    store = open_store(tmp_path / "db")
    assert content(store.begin()) == model
    assert store.check() == []
    store.close()


def test_ascending_and_dense_puts_go_to_the_leaves_at_once(tmp_path: Path) -> None:
    """They are as cheap to write as pages, which have to be written anyway."""
    store: Any = open_store(tmp_path / "db", durability="off")
    for first, count in ((0, 10_000), (10_000, 10_000), (2_500, 15_000)):
        transaction = store.begin(write=True)
        for number in range(first, first + count):
            transaction.put_raw(b"%05d" % number, b"v" * 100)
        transaction.commit()
        version = store.view().version
        assert not version.trees[RAW_TREE_ID].pending
    store.close()


def test_many_scattered_puts_are_one_redo_record_within_the_bound_of_the_tail(
    tmp_path: Path,
) -> None:
    store: Any = open_store(tmp_path / "db", durability="off")
    transaction = store.begin(write=True)
    keys = [b"%05d" % number for number in range(40_000)]
    transaction.tree(RAW_TREE_ID).load(keys, [b"v" * 100] * len(keys))
    transaction.commit()
    store.checkpoint()
    pages = store.pages
    model = dict.fromkeys(keys, b"v" * 100)
    redo = 0
    for turn in range(12):
        transaction = store.begin(write=True)
        for number in range(turn, 40_000, 9):
            transaction.put_raw(keys[number], b"%d" % turn * 50)
            model[keys[number]] = b"%d" % turn * 50
        transaction.commit()
        assert pages.stats()["redo_bytes"] < 6 << 20
        redo += pages.stats()["redo_bytes"] > 300 << 10
    assert 6 < redo < 12
    assert content(store.begin()) == model
    store.close()
    store = open_store(tmp_path / "db")
    assert content(store.begin()) == model
    store.close()


@pytest.mark.parametrize("reopened", [False, True])
def test_single_puts_that_nobody_reads_between_take_no_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reopened: bool
) -> None:
    store = open_store(tmp_path / "db", durability="off")
    store.put(b"first", b"v")
    if reopened:
        store.close()
        store = open_store(tmp_path / "db", durability="off")
    begun: list[bool] = []
    begin = DiskStore.begin

    def noted(self: DiskStore, *, write: bool = False, timeout: float | None = None) -> Any:
        begun.append(write)
        return begin(self, write=write, timeout=timeout)

    monkeypatch.setattr(DiskStore, "begin", noted)
    for number in range(300):
        store.put(b"%d" % number, b"v")
    assert not any(begun)
    assert len(content(store.begin())) == 301
    store.close()


@pytest.mark.parametrize("durability", ["off", "full"])
def test_what_single_puts_keep_is_what_their_records_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Any
) -> None:
    """Beside another handle's, deletes, transactions, checkpoints and reads, with few bytes allowed at a time."""
    monkeypatch.setattr(single_puts, "UNREAD_COMMITS_MAX", 8)
    monkeypatch.setattr(single_puts, "_ALLOWANCE_BYTES", 600)
    stores: Any = [open_store(tmp_path / "db", durability=durability) for _ in range(2)]
    model: dict[bytes, bytes] = {}
    kept = decoded = 0
    puts_of = single_puts.puts_of

    def noted(store: Any, commits: Any) -> Any:
        nonlocal kept, decoded
        found = puts_of(store, commits)
        kept += found is not None and bool(commits)
        decoded += found is None
        return found

    monkeypatch.setattr(single_puts, "puts_of", noted)
    rng = random.Random(3)
    for step in range(1500):
        store = stores[step // 40 % 2]
        key, value = b"%d" % rng.randrange(60), rng.randbytes(rng.choice((0, 3, 70)))
        what = rng.random()
        if what < 0.7:
            store.put(key, value)
            model[key] = value
        elif what < 0.8:
            view = store.view()
            if store.put_since(view.moment, key, False):
                model.pop(key, None)
        elif what < 0.86:
            transaction = store.begin(write=True)
            transaction.tree(RAW_TREE_ID).put(key, value)
            transaction.commit()
            model[key] = value
        elif what < 0.88:
            store.checkpoint()
        elif what < 0.94:
            view = store.view()
            news = store.raw_changes(view, max(view.lsn - 5, view.version.base_lsn))
            if news is not None:
                assert all(model.get(key, False) == found for key, found in news.changes.items())
        else:
            assert content(store.begin()) == model
    assert min(kept, decoded) > 20
    for store in stores:
        assert content(store.begin()) == model
        assert len(store.own_puts) < 100
        store.close()
    store = open_store(tmp_path / "db")
    assert content(store.begin()) == model
    store.close()


def test_puts_are_checkpointed_and_taken_in_though_it_is_asked_seldom(tmp_path: Path) -> None:
    store: Any = open_store(tmp_path / "db", durability="off")
    store.put(b"first", b"v")
    value = b"x" * 50_000
    longest = 0
    for number in range(300):
        store.put(b"%d" % (number % 40), value)
        longest = max(longest, store.pages.current_log.redo_bytes)
    assert longest < (4 << 20) + (256 << 10)
    for number in range(20_000):
        store.put(b"%d" % number, b"v")
        assert len(store.own_puts) <= 3 * single_puts.UNREAD_COMMITS_MAX
    unread = store.pages.current_log.lsn - store.known_view.version.lsn
    assert unread <= 2 * single_puts.UNREAD_COMMITS_MAX
    store.close()


def test_a_closed_store_takes_no_puts(tmp_path: Path) -> None:
    store = open_store(tmp_path / "db", durability="off")
    for _ in range(5):
        store.put(b"key", b"v")
    store.close()
    with pytest.raises(ClosedError):
        store.put(b"key", b"late")
    store = open_store(tmp_path / "db", readonly=True)
    with pytest.raises(ReadOnlyError):
        store.put(b"key", b"late")
    assert content(store.begin()) == {b"key": b"v"}
    store.close()
