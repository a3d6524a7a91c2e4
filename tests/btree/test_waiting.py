"""Raw puts that wait over a tree that does not fit into the cache: read where they lie, and taken into the
leaves page by page."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from btree import RAW_TREE_ID, open_store
from btree import disk_transaction as disk_transaction_module
from btree.cache import unflushed_bytes
from btree.node import Node
from btree.overlay import OWN_MAX, OverlaidTree
from btree.tree import Tree

Model = dict[bytes, Any]

CACHE_BYTES = 1 << 17
PAGE_BYTES = 512


@pytest.fixture(autouse=True)
def taken_in_early() -> Iterator[None]:
    with mock.patch.object(disk_transaction_module, "TAKEN_IN", 20):
        yield


def opened(path: Path, **options: Any) -> Any:
    options.setdefault("cache_bytes", CACHE_BYTES)
    return open_store(path, page_bytes=PAGE_BYTES, durability="off", **options)


def filled(store: Any, model: Model) -> None:
    transaction = store.begin(write=True)
    keys = sorted(model)
    transaction.tree(RAW_TREE_ID).load(keys, [model[key] for key in keys])
    transaction.commit()
    store.checkpoint()


def range_of(tree: Any, lo: Any, hi: Any, **options: Any) -> list[tuple[bytes, Any]]:
    return [
        entry
        for keys, values in tree.batches(lo, hi, **options)
        for entry in zip(keys, values, strict=True)
    ]


def content(transaction: Any) -> Model:
    tree = transaction.tree(RAW_TREE_ID)
    found = dict(range_of(tree, None, None))
    assert len(tree) == tree.count() == len(found)
    return found


def drawn(rng: random.Random) -> tuple[bytes, Any]:
    value: Any = b"%d" % rng.randrange(1 << 30) * rng.choice([1, 1, 1, 1, 1, 1, 9, 60])
    return b"%05d" % rng.randrange(9000), value


def looked_at(rng: random.Random, tree: Any, model: Model) -> None:
    """One random look at a tree and its model."""
    dice = rng.random()
    if dice < 0.3:
        key, _ = drawn(rng)
        assert tree.get(key, "none") == model.get(key, "none")
        assert (key in tree) == (key in model)
    elif dice < 0.5:
        keys = sorted({drawn(rng)[0] for _ in range(rng.choice([3, 40, 400]))})
        assert tree.get_many(keys) == [model.get(key) for key in keys]
    elif dice < 0.6:
        assert len(tree) == len(model)
    else:
        lo = rng.choice([None, drawn(rng)[0]])
        hi = rng.choice([None, drawn(rng)[0], None if lo is None else lo + b"5"])
        lo_inclusive, hi_inclusive, reverse = [rng.random() < 0.5 for _ in range(3)]
        found = range_of(
            tree, lo, hi, lo_inclusive=lo_inclusive, hi_inclusive=hi_inclusive, reverse=reverse
        )
        wanted = [
            (key, model[key])
            for key in sorted(model, reverse=reverse)
            if (lo is None or lo < key or (lo_inclusive and lo == key))
            and (hi is None or key < hi or (hi_inclusive and hi == key))
        ]
        assert found == wanted
        assert tree.count(lo, hi, lo_inclusive=lo_inclusive, hi_inclusive=hi_inclusive) == len(
            wanted
        )


def changed(rng: random.Random, transaction: Any, model: Model) -> None:
    """Some random changes."""
    dice = rng.random()
    tree = transaction.tree(RAW_TREE_ID)
    if dice < 0.5:
        for _ in range(rng.choice([1, 30, 300, 900])):
            key, value = drawn(rng)
            transaction.put_raw(key, value)
            model[key] = value
            if dice < 0.2:
                key, _ = drawn(rng)
                assert transaction.delete_raw(key) == (model.pop(key, None) is not None)
    elif dice < 0.6:
        for _ in range(rng.choice([3, OWN_MAX + 50])):
            key, value = drawn(rng)
            tree.put(key, (value, 1 << 50))
            model[key] = (value, 1 << 50)
    elif dice < 0.7:
        key, value = drawn(rng)
        assert tree.insert(key, value) == (key not in model)
        model.setdefault(key, value)
    elif dice < 0.9:
        delete = tree.delete if dice < 0.8 else transaction.delete_raw
        for key in rng.sample(sorted(model), min(len(model), rng.choice([1, 40, OWN_MAX + 50]))):
            assert delete(key)
            del model[key]
    elif dice < 0.95 and model:
        keys = sorted(model)  # neighbours: leaves that lose all that they have
        first = rng.randrange(len(keys))
        for key in keys[first : first + rng.choice([30, 300])]:
            assert transaction.delete_raw(key)
            del model[key]
    else:
        keys = sorted({drawn(rng)[0] for _ in range(rng.choice([10, 200, 3000]))})
        assert tree.delete_many(keys) == sum(model.pop(key, None) is not None for key in keys)


@pytest.mark.parametrize("seed", range(12))
def test_they_are_what_a_model_says(tmp_path: Path, seed: int) -> None:
    """With savepoints and rollbacks, readers of older commits, other handles, and checkpoints in between."""
    rng = random.Random(seed)
    path = tmp_path / "db"
    store = opened(path)
    model: Model = {b"%05d" % number: b"first" * 4 for number in range(0, 9000, 3)}
    filled(store, model)
    readers: list[tuple[Any, Model]] = []
    waited = taken_in = 0
    for _ in range(50):
        transaction = store.begin(write=True)
        before, marks = dict(model), []
        for _ in range(rng.choice([1, 1, 3, 8])):
            dice = rng.random()
            if dice < 0.7:
                changed(rng, transaction, model)
            elif dice < 0.85:
                looked_at(rng, transaction.tree(RAW_TREE_ID), model)
            elif dice < 0.93 or not marks:
                marks.append((transaction.savepoint(), dict(model)))
            else:
                mark, model_then = marks[-1]
                model = dict(model_then)
                transaction.rollback_to(mark)
        if rng.random() < 0.1:
            transaction.rollback()
            model = before
        else:
            transaction.commit()
            taken_in += transaction.has_rewritten
        reader = store.begin()
        waited += len(reader.tree(RAW_TREE_ID).under.pending) > 20
        readers.append((reader, dict(model)))
        for _ in range(3):
            reader, model_then = rng.choice(readers)
            looked_at(rng, reader.tree(RAW_TREE_ID), model_then)
        dice = rng.random()
        if dice < 0.15:
            reader, model_then = readers.pop(rng.randrange(len(readers)))
            assert content(reader) == model_then
        elif dice < 0.22:
            store.checkpoint()
        elif dice < 0.27:
            other = opened(path, readonly=True)
            assert content(other.begin()) == model
            other.close()
    assert waited > 3
    assert taken_in > 3
    for reader, model_then in readers:
        assert content(reader) == model_then
    assert store.check() == []
    store.close()
    store = opened(path)
    assert content(store.begin()) == model
    assert store.check() == []
    store.close()


def _grown(store: Any, rng: random.Random, model: Model, count: int, value: bytes) -> None:
    transaction = store.begin(write=True)
    for _ in range(count):
        key = b"%08d" % rng.randrange(10**8)
        transaction.put_raw(key, value)
        model[key] = value
    transaction.commit()


def test_the_budget_holds_with_what_waits(tmp_path: Path) -> None:
    """And neither a scan nor a checkpoint has all leaves in memory at once."""
    budget = 1 << 20
    store = open_store(tmp_path / "db", page_bytes=2048, durability="off", cache_bytes=budget)
    rng, model, most = random.Random(1), dict[bytes, Any](), 0
    for _ in range(60):
        _grown(store, rng, model, 600, b"v" * 100)
        store.cache.recount(store.roots([]))
        most = max(most, store.cache.used_bytes)
        state = store.view().version.trees[RAW_TREE_ID]
        assert store.cache.waiting_bytes >= 300 * len(state.pending)
        assert unflushed_bytes([state.root]) <= budget // 2
    assert state.count * 100 > 3 * budget
    assert most < 1.1 * budget
    transaction = store.begin(write=True)
    transaction.put_raw(b"x", b"y")
    model[b"x"] = b"y"
    assert content(transaction) == model
    assert transaction.tree(RAW_TREE_ID).__class__ is OverlaidTree
    transaction.commit()
    assert content(store.begin()) == model
    store.cache.recount(store.roots([]))
    assert store.cache.used_bytes < 1.1 * budget
    store.close()


def test_who_opens_the_file_reads_them_and_leaves_the_pages_alone(tmp_path: Path) -> None:
    store, model = opened(tmp_path / "db"), {b"%08d" % n: b"v" for n in range(0, 10**8, 10_000)}
    filled(store, model)
    _grown(store, random.Random(2), model, 200, b"v" * 40)
    assert store.view().version.trees[RAW_TREE_ID].pending
    other = opened(tmp_path / "db", readonly=True)
    reading = other.begin()
    state = reading.version.trees[RAW_TREE_ID]
    assert len(state.pending) == 200
    assert unflushed_bytes([state.root]) == 0
    assert content(reading) == model
    other.close()
    store.close()


def test_leaves_that_were_in_memory_stay_there(tmp_path: Path) -> None:
    store = opened(tmp_path / "db", cache_bytes=1 << 24)
    model = {b"%08d" % n: b"v" * 20 for n in range(0, 10**8, 20_000)}
    filled(store, model)

    def leaves() -> list[Any]:
        root = store.view().version.trees[RAW_TREE_ID].root
        return [leaf for branch in root.children for leaf in branch.children]

    count = sum(leaf.__class__ is Node for leaf in leaves())
    assert count == len(leaves()) > 100
    _grown(store, random.Random(3), model, 200, b"v" * 40)
    store.checkpoint()
    assert all(leaf.__class__ is Node and not leaf.unflushed for leaf in leaves())
    assert content(store.begin()) == model
    store.close()


@pytest.mark.parametrize("leaves", [0, 1, 40])
def test_a_failure_half_way_leaves_them_waiting(
    tmp_path: Path, leaves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path / "db", cache_bytes=1 << 18)
    model = {b"%08d" % n: b"v" * 20 for n in range(0, 10**8, 10_000)}
    filled(store, model)
    _grown(store, random.Random(4), model, 200, b"v" * 40)
    transaction = store.begin(write=True)
    tree = transaction.tree(RAW_TREE_ID)
    assert tree.delete(min(model))
    with monkeypatch.context() as patched:
        from btree.flush import Flush

        put, count = Flush.leaf, 0

        def fails(self: Flush, leaf: Node) -> Any:
            nonlocal count
            count += 1
            if count > leaves:
                raise OSError("no page can be written")
            return put(self, leaf)

        patched.setattr(Flush, "leaf", fails)
        with pytest.raises(OSError, match="no page"):
            tree.settle()
    assert tree.__class__ is OverlaidTree
    assert tree.delete(max(model))
    del model[min(model)], model[max(model)]
    assert content(transaction) == model
    transaction.commit()
    assert content(store.begin()) == model
    assert store.check() == []
    store.close()
    store = opened(tmp_path / "db")
    assert content(store.begin()) == model
    assert store.check() == []
    store.close()


@pytest.mark.parametrize("seed", range(3))
def test_a_transaction_larger_than_memory(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rng = opened(tmp_path / "db"), random.Random(seed)
    model: Model = {b"%08d" % n: b"v" * 20 for n in range(0, 10**8, 10_000)}
    filled(store, model)
    transaction = store.begin(write=True)
    read, failures, is_putting = 0, rng.choice([0, 3]), False
    read_many = type(transaction.reader).read_many

    def fails(self: Any, pages: Any, locations: Any) -> Any:
        nonlocal read, failures
        read += is_putting
        if failures and is_putting and read % 40 == 0:
            failures -= 1
            raise OSError("no page can be read")
        return read_many(self, pages, locations)

    monkeypatch.setattr(type(transaction.reader), "read_many", fails)
    marks = []
    for number in range(20_000):
        key = b"%08d" % rng.randrange(10**8)
        model[key] = b"%d" % number
        is_putting = True
        try:
            transaction.put_raw(key, model[key])
        except OSError:
            assert transaction.raw_puts[key] == model[key]
        is_putting = False
        if rng.random() < 0.0002:
            marks.append((transaction.savepoint(), dict(model)))
        elif marks and rng.random() < 0.0002:
            mark, model = marks[-1][0], dict(marks[-1][1])
            transaction.rollback_to(mark)
    assert transaction.has_rewritten
    assert content(transaction) == model
    transaction.commit()
    assert content(store.begin()) == model
    assert store.check() == []
    store.close()


def test_appended_puts_fill_their_pages(tmp_path: Path) -> None:
    """Beside scattered ones, too."""
    store, model = (
        opened(tmp_path / "db", cache_bytes=1 << 24),
        {b"%08d" % n: b"v" * 20 for n in range(2000)},
    )
    filled(store, model)
    before = store.pages.stats()["pages"]
    transaction = store.begin(write=True)
    for number in range(2000):
        transaction.put_raw(b"%08d" % (number * 7919 % 2000), b"w" * 20)
        transaction.put_raw(b"x%08d" % number, b"w" * 20)
    transaction.commit()
    assert transaction.has_rewritten
    assert store.pages.stats()["pages"] <= before * 2 + 4
    store.close()


def test_a_tree_that_was_taken_in_is_a_plain_one(tmp_path: Path) -> None:
    store, model = (
        opened(tmp_path / "db"),
        {b"%08d" % n: b"v" * 20 for n in range(0, 10**8, 10_000)},
    )
    filled(store, model)
    _grown(store, random.Random(6), model, 200, b"v" * 40)
    transaction = store.begin(write=True)
    tree = transaction.tree(RAW_TREE_ID)
    mark = transaction.savepoint()
    tree.settle()
    assert tree.__class__ is Tree
    tree.put(b"k", b"v")
    assert tree.delete(min(model))
    transaction.rollback_to(mark)
    assert content(transaction) == model
    transaction.give_up_redo()
    transaction.commit()
    assert content(store.begin()) == model
    assert store.check() == []
    store.close()


def test_methods_that_somebody_has_kept_go_on_when_the_tree_is_a_plain_one(tmp_path: Path) -> None:
    store = opened(tmp_path / "db")
    transaction = store.begin(write=True)
    tree = transaction.tree(RAW_TREE_ID)
    put, insert, delete, delete_many = tree.put, tree.insert, tree.delete, tree.delete_many
    tree.settle()
    assert tree.__class__ is Tree
    put(b"a", b"1")
    assert insert(b"b", b"2")
    assert delete(b"a")
    assert delete_many([b"b", b"c"]) == 1
    transaction.commit()
    assert content(store.begin()) == {}
    store.close()
