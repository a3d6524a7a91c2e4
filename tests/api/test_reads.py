"""Raw reads follow the commits of anybody: after each of them they say what a model says."""

from __future__ import annotations

import random
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Event
from typing import Any

import pytest

import kvsh
from btree.disk_transaction import DiskTransaction
from kvsh import reads
from kvsh.errors import OperationalError, ProgrammingError
from tests.threads import beside, in_threads

KEYS = [b"%02d" % number for number in range(60)]


def write(db: kvsh.Database, model: dict[bytes, bytes], numbers: random.Random) -> None:
    """One commit of some kind."""
    key = numbers.choice(KEYS)
    value = b"v%d" % numbers.randrange(10**6) * numbers.choice((1, 1, 100))
    kind = numbers.randrange(22)
    if kind < 9:
        db.put(key, value)
        model[key] = value
    elif kind < 13:
        assert db.delete(key) == (model.pop(key, None) is not None)
    elif kind < 15:
        with db.transaction():
            for key in numbers.sample(KEYS, numbers.choice((2, 30))):
                if key in model and numbers.random() < 0.5:
                    del db[key]
                    del model[key]
                else:
                    db.put(key, value)
                    model[key] = value
    elif kind == 15:
        db.execute("UPDATE kv SET value = ? WHERE key = ?", (value, key.decode()))
        if key in model:
            model[key] = value
    elif kind == 16:
        db.execute("INSERT INTO t VALUES (?)", (value,))  # nothing to do with raw keys
    elif kind == 17:
        db.put(key, value, ttl=3600)
        model[key] = value
    elif kind == 18 and numbers.random() < 0.3:
        db.checkpoint()
    elif kind == 19 and numbers.random() < 0.2:
        db.compact()
    elif kind > 19:
        if model.get(key, b"0").startswith(b"v"):
            with pytest.raises(kvsh.DataError):
                db.incr(key)
            db.put(key, b"")
            model[key] = b""
        step = numbers.randrange(-5, 6)
        assert db.incr(key, step) == int(model.get(key) or b"0") + step
        model[key] = b"%d" % (int(model.get(key) or b"0") + step)


@pytest.mark.parametrize("seed", range(30))
def test_reads_are_what_was_committed_last(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = random.Random(seed)
    monkeypatch.setattr(reads, "CHANGED_MAX", numbers.choice((3, 30, 4096)))
    path = tmp_path / "a.db"
    handles = [kvsh.open(path, durability="off"), kvsh.open(path, durability="off")]
    handles[0].execute("CREATE TABLE t (x)")
    model: dict[bytes, bytes] = {}
    for db in handles:
        db._hot_max = numbers.choice((2, 1000))
    for _ in range(300):
        for _ in range(numbers.choice((0, 1, 1, 1, 5))):
            write(numbers.choice(handles), model, numbers)
        for db in handles:
            for key in numbers.sample(KEYS, 4):
                assert db.get(key) == model.get(key)
            if numbers.random() < 0.1:
                assert list(db.scan()) == sorted(model.items())
                assert len(db) == len(model)
            if numbers.random() < 0.1:
                key = numbers.choice(KEYS)
                assert (
                    list(db.scan(key, limit=3))
                    == sorted(item for item in model.items() if item[0] >= key)[:3]
                )
    for db in handles:
        assert {key: db.get(key) for key in KEYS} == {key: model.get(key) for key in KEYS}
        db.close()
        with pytest.raises(ProgrammingError):
            db.get(KEYS[0])


def test_a_get_after_a_put_makes_no_view(tmp_path: Path) -> None:
    with kvsh.open(tmp_path / "a.db", durability="off") as db:
        for key in KEYS:
            db[key] = b"old"
        db.checkpoint()
        assert db.get(KEYS[0]) == b"old"
        stands_on = db._reads
        for key in KEYS:
            db[key] = key
            assert db.get(key) == key
            assert db.get(KEYS[-1]) in {b"old", KEYS[-1]}
        del db[KEYS[3]]
        assert db.get(KEYS[3]) is None
        assert db._reads is stands_on


@pytest.mark.parametrize("durability", ["full", "off"])
def test_what_a_thread_has_seen_no_thread_sees_older(tmp_path: Path, durability: Any) -> None:
    """A writer counts two keys up, one after the other: nobody finds the second ahead of the first, or either
    going back."""
    with kvsh.open(tmp_path / "a.db", durability=durability) as db:
        db["first"] = db["second"] = b"0"
        db.checkpoint()

        def read(done: Event) -> None:
            last = 0
            while not done.is_set():
                second, first = int(db["second"]), int(db["first"])
                assert last <= first and second <= first, f"{first} after {second} and {last}"
                last = first

        with beside(*[read] * 4):
            for number in range(1, 300):
                db["first"] = b"%d" % number
                db["second"] = b"%d" % number
                if number % 100 == 0:
                    db.checkpoint()
                assert db["second"] == b"%d" % number


def test_a_commit_that_was_taken_back_is_not_read(tmp_path: Path) -> None:
    db = kvsh.open(tmp_path / "a.db", durability="off")
    db["key"] = b"value"
    assert db["key"] == b"value"
    store: Any = db._store
    with store.pages.mutex:
        store.pages.die(OSError(5, "Input/output error"))
    with pytest.raises(OperationalError):
        db.get("key")


def _count(path: str, keys: int, steps: int, seed: int) -> dict[bytes, int]:
    """Steps of one writer over shared counters; what it has added to each, less what went with deletes."""
    numbers = random.Random(seed)
    added: dict[bytes, int] = {}
    with kvsh.open(path, durability="off", timeout=60) as db:
        for _ in range(steps):
            key = KEYS[numbers.randrange(keys)]
            if numbers.randrange(4):
                db.incr(key)
                added[key] = added.get(key, 0) + 1
            else:
                with db.transaction():
                    value = int(db.get(key) or b"0")
                    db.put(key, b"%d" % (value + 10))
                added[key] = added.get(key, 0) + 10
    return added


@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("durability", ["off", "full"])
def test_no_step_of_a_counter_is_lost(tmp_path: Path, shares: bool, durability: str) -> None:
    """Of threads on one handle or on one each, beside each other."""
    path = tmp_path / "a.db"
    first = kvsh.open(path, durability=durability, timeout=60)  # type: ignore[arg-type]
    taken: list[bytes] = []

    def work(seed: int) -> None:
        numbers = random.Random(seed)
        db = first if shares else kvsh.open(path, durability=durability, timeout=60)  # type: ignore[arg-type]
        try:
            for step in range(150):
                db.incr(KEYS[numbers.randrange(3)])
                key = b"item %d" % numbers.randrange(5)
                db.put(key, b"%d %d" % (seed, step))
                if db.delete(key):
                    taken.append(key)
        finally:
            if db is not first:
                db.close()

    in_threads(*[partial(work, seed) for seed in range(4)])
    assert sum(int(first.get(key) or b"0") for key in KEYS[:3]) == 4 * 150
    assert len(first) == 3 + sum(first.get(b"item %d" % number) is not None for number in range(5))
    assert 0 < len(taken) <= 4 * 150
    first.close()
    with kvsh.open(path) as db:
        assert sum(int(db.get(key) or b"0") for key in KEYS[:3]) == 4 * 150
        assert db.check() == []


def test_no_step_of_a_counter_is_lost_between_processes(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    kvsh.open(path).close()
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        added = [pool.submit(_count, path, 2, 200, seed) for seed in range(3)]
        found = [each.result() for each in added]
    with kvsh.open(path) as db:
        for key in KEYS[:2]:
            assert int(db.get(key) or b"0") == sum(each.get(key, 0) for each in found)


@pytest.mark.parametrize("step", ["delete", "incr"])
def test_what_a_reader_held_is_not_kept_as_hot(tmp_path: Path, step: str) -> None:
    """A value that was read before a delete or a step, and would be kept after it."""
    db = kvsh.open(tmp_path / "a.db", durability="off")
    db.put(b"k", b"7")
    db.put(b"other", b"1")
    db.checkpoint()
    db.get(b"other")
    held = db._reads
    read = held.get

    def slow(key: bytes) -> Any:
        value = read(key)
        held.get = read
        assert db.delete(key) if step == "delete" else db.incr(key) == 8
        return value

    held.get = slow  # type: ignore[assignment]
    assert db.get(b"k") == b"7"
    assert db.get(b"k") == (None if step == "delete" else b"8")
    db.close()


def test_a_change_of_what_was_read_goes_on_where_another_thread_has_just_noted_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kvsh.open(tmp_path / "db") as db:
        db.update({"n": "1", "gone": "1"})
        db.checkpoint()
        follow = db._followed

        def followed() -> Any:
            found = follow()
            found.moment = reads.BETWEEN  # as `note` leaves it
            return found

        monkeypatch.setattr(db, "_followed", followed)
        for number in range(2, 5):
            assert db.incr("n") == number
        assert db.delete("gone")
        assert not db.delete("gone")
        assert dict(db) == {b"n": b"4"}


def test_threads_scan_while_one_of_them_puts_what_lies_over_the_tree_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {b"%03d" % number: b"old" for number in range(600)}
    with kvsh.open(tmp_path / "db", "off") as db, ThreadPoolExecutor(1) as other:
        db.update(model)
        db.checkpoint()
        for number in range(0, 600, 3):
            db.put(b"%03d" % number, b"new")
            model[b"%03d" % number] = b"new"
        merged = DiskTransaction.merged
        met: list[Any] = []

        def merged_beside_another(transaction: Any, state: Any) -> Any:
            if not met:
                met.append(state)
                assert other.submit(lambda: dict(db.scan())).result() == model
            return merged(transaction, state)

        monkeypatch.setattr(DiskTransaction, "merged", merged_beside_another)
        other.submit(db.__len__).result()  # there is another thread from now on
        for _ in range(40):
            assert dict(db.scan()) == model
            assert db.get(b"003") == b"new"
        assert met
