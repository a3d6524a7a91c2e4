"""A file that is made anew, with the raw puts that wait taken in, between the commits of a while."""

from __future__ import annotations

import gc
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from btree import RAW_TREE_ID, open_store
from btree import disk_transaction as disk_transaction_module
from btree import renewal as renewal_module
from btree import renewals as renewals_module
from btree.node import Node
from btree.renewal import Renewal
from btree.tree_state import TreeState
from engine.compaction import Replacement
from engine.format import WORD_WAITING
from engine.writer import Writer
from tests.btree.test_waiting import Model, changed, content, drawn, filled, looked_at, opened
from tests.engine.crash import examine
from tests.engine.simulated import SimulatedDisk
from tests.engine.workload import Content, small_limits
from tests.engine.workload import opened as opened_on

COUNTED = ("__init__", "version_after", "close")


@pytest.fixture(autouse=True)
def small_renewals() -> Iterator[None]:
    with (
        mock.patch.object(disk_transaction_module, "TAKEN_IN", 20),
        mock.patch.object(renewals_module, "LEAVES_MIN", 4),
        mock.patch.object(renewals_module, "TOUCHED_SHARE", 0.1),
        mock.patch.object(renewals_module, "BEGIN_AT", 0.1),
        mock.patch.object(renewals_module, "END_AT", 0.3),
    ):
        yield


@pytest.fixture
def calls() -> Iterator[Counter[str]]:
    """How often a renewal was begun, went through, kept what is in memory, and ended."""
    counts: Counter[str] = Counter()

    def counted(name: str) -> Any:
        method = getattr(Renewal, name)

        def call(self: Renewal, *arguments: Any) -> Any:
            result = method(self, *arguments)
            counts[name] += name != "version_after" or result is not None
            return result

        return call

    take_place = Replacement.take_place

    def taken(self: Replacement) -> None:
        take_place(self)
        counts["through"] += 1

    with (
        mock.patch.multiple(Renewal, **{name: counted(name) for name in COUNTED}),
        mock.patch.object(Replacement, "take_place", taken),
    ):
        yield counts


def put(store: Any, rng: random.Random, model: Model, count: int = 30) -> None:
    """Commit some random puts, and now and then a delete."""
    transaction = store.begin(write=True)
    for _ in range(count):
        key, value = drawn(rng)
        transaction.put_raw(key, value)
        model[key] = value
        if rng.random() < 0.05:
            key = rng.choice(sorted(model))
            assert transaction.delete_raw(key)
            del model[key]
    transaction.commit()


def beside(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


@pytest.mark.parametrize("seed", range(12))
def test_it_is_what_a_model_says(tmp_path: Path, seed: int, calls: Counter[str]) -> None:
    """With readers of older commits, other handles that read and write, and checkpoints in between."""
    rng, path = random.Random(seed), tmp_path / "db"
    store = opened(path, cache_bytes=rng.choice([1 << 17, 1 << 20]))
    other = opened(path)
    model: Model = {b"%05d" % number: b"first" * 4 for number in range(0, 9000, 3)}
    filled(store, model)
    readers: list[tuple[Any, Model]] = []
    for number in range(120):
        writing = other if rng.random() < 0.1 else store
        if rng.random() < 0.9:
            put(writing, rng, model, rng.choice([1, 30, 100]))
        else:
            transaction = writing.begin(write=True)
            changed(rng, transaction, model)
            transaction.commit()
        if number % 5 == 0:
            readers.append((rng.choice([store, store, other]).begin(), dict(model)))
        for reader, model_then in rng.sample(readers, 1):
            looked_at(rng, reader.tree(RAW_TREE_ID), model_then)
        if len(readers) > 8:
            reader, model_then = readers.pop(rng.randrange(8))
            assert content(reader) == model_then
        if rng.random() < 0.02:
            store.checkpoint()
    assert calls["through"] > 0
    for reader, model_then in readers:
        assert content(reader) == model_then
    assert content(other.begin()) == content(store.begin()) == model
    assert store.check() == []
    store.close()
    other.close()
    assert calls["close"] == calls["__init__"]
    assert beside(path) == ["db"]
    store = opened(path)
    assert content(store.begin()) == model
    assert store.check() == []
    store.close()


def test_the_file_stays_as_small_as_what_is_in_it(tmp_path: Path) -> None:
    path, rng = tmp_path / "db", random.Random(1)
    store = open_store(path, page_bytes=2048, durability="off", cache_bytes=1 << 20)
    model: Model = {}
    for number in range(200):
        transaction = store.begin(write=True)
        for _ in range(300):
            key = b"%08d" % rng.randrange(10**8)
            transaction.put_raw(key, b"v" * 100)
            model[key] = b"v" * 100
        transaction.commit()
        if number > 10:
            assert path.stat().st_size < 2 * 125 * len(model) + (2 << 20)
    assert content(store.begin()) == model
    assert store.check() == []
    store.close()


@pytest.mark.parametrize("seed", range(4))
def test_a_power_cut_at_any_moment_of_it(seed: int, calls: Counter[str]) -> None:
    rng = random.Random(seed)
    with (
        small_limits(),
        mock.patch.object(renewal_module, "LEAVES_AT_ONCE", 2),
    ):
        disk = SimulatedDisk()
        store: Any = opened_on(disk, page_bytes=100)
        model: Model = {}
        commits: dict[int, Content] = {0: {RAW_TREE_ID: {}, 2: {}}}
        acknowledged = []
        for _ in range(24):
            transaction = store.begin(write=True)
            for _ in range(rng.choice([4, 9])):
                key = b"%d" % rng.randrange(60)
                model[key] = rng.randbytes(rng.choice([3, 3, 3, 150]))
                transaction.put_raw(key, model[key])
            if rng.random() < 0.4:
                key = rng.choice(sorted(model))
                assert transaction.delete_raw(key)
                del model[key]
            commits[transaction.commit_number + 1] = {RAW_TREE_ID: dict(model), 2: {}}
            transaction.commit()
            acknowledged.append((len(disk.operations), store.view().version.lsn))
        assert calls["version_after"] > 0
        workload: Any = SimpleNamespace(
            disk=disk, commits=commits, acknowledged=acknowledged, backups=[]
        )
        for cut in disk.cuts():
            if rng.random() < 0.3:
                examine(workload, cut, rng)
        store.close()


def test_a_checkpoint_makes_the_file_anew_where_that_is_no_more_work(
    tmp_path: Path, calls: Counter[str]
) -> None:
    path, rng, model = tmp_path / "db", random.Random(8), dict[bytes, Any]()
    store = opened(path, cache_bytes=1 << 24)
    model.update({b"%05d" % number: b"first" * 4 for number in range(0, 9000, 3)})
    filled(store, model)
    put(store, rng, model, 10)
    store.checkpoint()
    assert not calls["__init__"]  # for few changes
    put(store, rng, model, 1000)
    calls.clear()
    store.checkpoint()
    assert calls["through"] == calls["version_after"] == calls["close"] == 1
    assert not store.view().version.trees[RAW_TREE_ID].pending
    assert store.pending_commits() == 0
    stats = store.pages.stats()
    assert stats["dead_bytes"] < stats["live_bytes"] / 10
    assert content(store.begin()) == model
    store.close()
    store = opened(path)
    store.put(b"alone", b"1")
    for number in range(1000):
        model[b"%05d" % (number * 7)] = b"2"
        store.put(b"%05d" % (number * 7), b"2")
    store.close()  # by who has read nothing
    store = opened(path)
    assert content(store.begin()) == {**model, b"alone": b"1"}
    assert store.pending_commits() == 0
    store.close()


def test_large_values_and_deletes_of_most_keys(tmp_path: Path, calls: Counter[str]) -> None:
    store, rng = opened(tmp_path / "db", cache_bytes=1 << 20), random.Random(3)
    model: Model = {b"%05d" % n: b"%d" % n * rng.choice([1, 4, 400]) for n in range(2000)}
    filled(store, model)
    for _ in range(40):
        transaction = store.begin(write=True)
        for key in rng.sample(sorted(model), min(50, len(model))):
            if rng.random() < 0.8:
                assert transaction.delete_raw(key)
                del model[key]
            else:
                model[key] = b"n%d" % rng.randrange(99) * rng.choice([1, 400])
                transaction.put_raw(key, model[key])
        transaction.commit()
        for key in rng.sample(sorted(model), 20):
            assert store.begin().tree(RAW_TREE_ID).get(key) == model[key]
    assert calls["version_after"] > 1
    assert content(store.begin()) == model
    assert store.check() == []
    store.checkpoint()
    assert store.pages.stats()["pages"] < 2 * len(model)
    store.close()


@pytest.mark.parametrize("writes", [0, 1, 5, 40])
def test_a_failure_costs_no_commit(
    tmp_path: Path, writes: int, calls: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rng, model = tmp_path / "db", random.Random(writes), dict[bytes, Any]()
    store = opened(path)
    model.update({b"%05d" % number: b"first" * 4 for number in range(0, 9000, 3)})
    filled(store, model)
    left, put_many = writes, Writer.put_many

    def fails(self: Any, *arguments: Any) -> Any:
        nonlocal left
        if self._log is not store.pages.current_log:
            left -= 1
            if left < 0:
                raise OSError("no page can be written")
        return put_many(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "put_many", fails)
        while left >= 0:
            put(store, rng, model)
    assert calls["close"] == calls["__init__"]
    assert content(store.begin()) == model
    assert beside(path) == ["db"]
    store.checkpoint()
    calls.clear()
    for _ in range(60):
        put(store, rng, model)
    assert content(store.begin()) == model
    assert calls["version_after"] > 0
    store.close()


def test_leaves_that_were_in_memory_stay_there(tmp_path: Path, calls: Counter[str]) -> None:
    store = opened(tmp_path / "db", cache_bytes=1 << 22)
    model: Model = {b"%05d" % n: b"v" * 20 for n in range(9000)}
    filled(store, model)

    def leaves() -> list[Any]:
        root = store.view().version.trees[RAW_TREE_ID].root
        return [leaf for branch in root.children for leaf in branch.children]

    assert content(store.begin()) == model
    assert all(leaf.__class__ is Node for leaf in leaves())
    rng = random.Random(5)
    while not calls["version_after"]:
        put(store, rng, model, 100)
    assert all(leaf.__class__ is Node and not leaf.unflushed for leaf in leaves())
    assert content(store.begin()) == model
    store.close()


def test_nothing_of_it_waits_for_the_collector(tmp_path: Path, calls: Counter[str]) -> None:
    """What waited over the older tree is most of the memory that there is."""
    store, rng, model = opened(tmp_path / "db"), random.Random(9), dict[bytes, Any]()
    model.update({b"%05d" % number: b"first" * 4 for number in range(0, 9000, 3)})
    filled(store, model)
    gc.collect()
    gc.disable()
    try:
        while calls["version_after"] < 3:
            put(store, rng, model, 10)
        store.view()
        states = [found for found in gc.get_objects() if found.__class__ is TreeState]
        assert len([state for state in states if state.id == RAW_TREE_ID and state.count]) == 1
    finally:
        gc.enable()
    store.close()


def test_pages_that_are_committed_meanwhile_end_it(tmp_path: Path, calls: Counter[str]) -> None:
    path = tmp_path / "db"
    store, rng, model = opened(path), random.Random(6), dict[bytes, Any]()
    model.update({b"%05d" % number: b"first" * 4 for number in range(0, 9000, 3)})
    filled(store, model)
    while not calls["__init__"]:
        put(store, rng, model, 10)
    assert not calls["close"]
    assert len(beside(path)) == 2
    transaction = store.begin(write=True)
    transaction.give_up_redo()
    transaction.put_raw(b"k", b"v")
    transaction.commit()
    model[b"k"] = b"v"
    assert calls["close"] == calls["__init__"] == 1
    assert not calls["through"]
    assert beside(path) == ["db"]
    assert content(store.begin()) == model
    store.close()


def test_a_fork_leaves_its_parents_file_alone(tmp_path: Path, calls: Counter[str]) -> None:
    path = tmp_path / "db"
    store, rng, model = opened(path), random.Random(7), dict[bytes, Any]()
    model.update({b"%05d" % number: b"first" * 4 for number in range(0, 9000, 3)})
    filled(store, model)
    while not calls["__init__"]:
        put(store, rng, model, 10)
    child = os.fork()
    if not child:
        try:
            store.renewals.give_up()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(beside(path)) == 2
    while not calls["version_after"]:
        put(store, rng, model, 10)
    assert content(store.begin()) == model
    store.close()


@pytest.mark.parametrize("kept", [1, 2, 7, 40])
def test_branches_that_lose_most_of_their_leaves_are_brought_together(
    tmp_path: Path, kept: int, calls: Counter[str]
) -> None:
    """A lowest branch of which one leaf was left became a branch with one child, which the check takes for
    damage."""
    store, rng = opened(tmp_path / "db"), random.Random(kept)
    model: Model = {b"%05d" % n: b"%d" % n for n in range(3000)}
    filled(store, model)
    stay = set(rng.sample(sorted(model), kept))
    going = [key for key in sorted(model) if key not in stay]
    for start in range(0, len(going), 300):
        transaction = store.begin(write=True)
        for key in going[start : start + 300]:
            assert transaction.delete_raw(key)
            del model[key]
        transaction.commit()
        assert store.check() == []
        assert content(store.begin()) == model
    for _ in range(4):
        put(store, rng, model, 3)
    assert calls["through"]
    store.close()
    store = opened(tmp_path / "db")
    assert store.check() == [] and content(store.begin()) == model
    store.close()


def overwritten(path: Path) -> Any:
    """A store of little, most of which was overwritten."""
    store = open_store(path, durability="off", compacts=True)
    for _ in range(12):
        store.renewals.compacts = False
        transaction = store.begin(write=True)
        keys = [b"%05d" % n for n in range(2000)]
        transaction.tree(RAW_TREE_ID).load(keys, [os.urandom(1000)] * len(keys))
        transaction.commit()
        store.checkpoint()
    store.renewals.compacts = True
    assert store.compaction_due(quick=True)
    return store


def test_who_wants_to_compact_waits_for_a_turn(tmp_path: Path) -> None:
    """Of several processes that wrote by turns each gave way to whoever had the lock, and the file grew to
    fifty times what was in it."""
    store = overwritten(tmp_path / "db")
    other: Any = open_store(tmp_path / "db", durability="off")
    writer = other.begin(write=True)
    words = store.pages.current_log.words

    def let_go() -> None:
        while not words[WORD_WAITING]:
            pass
        writer.rollback()

    thread = threading.Thread(target=let_go)
    thread.start()
    store.renewals.compact(store)
    thread.join()
    assert not store.compaction_due(quick=True)
    assert os.path.getsize(tmp_path / "db") < 8 << 20
    assert other.check() == [] == store.check()
    other.close()
    store.close()


def test_who_finds_another_writing_for_long_compacts_later(tmp_path: Path) -> None:
    store = overwritten(tmp_path / "db")
    other: Any = open_store(tmp_path / "db", durability="off")
    writer = other.begin(write=True)
    store.renewals.compact(store)
    assert store.compaction_due(quick=True)
    writer.rollback()
    store.renewals.compact(store)
    assert not store.compaction_due(quick=True)
    other.close()
    store.close()


def test_who_was_slower_than_another_compaction_goes_on_to_compact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took that for a failure, and left all further ones to the close."""
    store = overwritten(tmp_path / "db")
    other: Any = open_store(tmp_path / "db", durability="off")
    first: list[Replacement] = []
    catch_up = Replacement.catch_up

    def overtaken(self: Replacement) -> None:
        catch_up(self)
        if not first:
            first.append(self)
            other.compact()

    monkeypatch.setattr(Replacement, "catch_up", overtaken)
    store.renewals.compact(store)
    assert store.renewals.compacts
    assert not store.compaction_due(quick=True)
    assert store.check() == []
    other.close()
    store.close()
