"""Raw reads follow the commits of anybody: after each of them they say what a model says."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest

import kvsh
from kvsh import reads
from kvsh.errors import OperationalError, ProgrammingError

KEYS = [b"%02d" % number for number in range(60)]


def write(db: kvsh.Database, model: dict[bytes, bytes], numbers: random.Random) -> None:
    """One commit of some kind."""
    key = numbers.choice(KEYS)
    value = b"v%d" % numbers.randrange(10**6) * numbers.choice((1, 1, 100))
    kind = numbers.randrange(20)
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
    failures: list[str] = []
    done = threading.Event()
    with kvsh.open(tmp_path / "a.db", durability=durability) as db:
        db["first"] = db["second"] = b"0"
        db.checkpoint()

        def read() -> None:
            last = 0
            while not done.is_set():
                second, first = int(db["second"]), int(db["first"])
                if second > first or first < last:
                    failures.append(f"{first} after {second} and {last}")
                last = first

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(1, 300):
            db["first"] = b"%d" % number
            db["second"] = b"%d" % number
            if number % 100 == 0:
                db.checkpoint()
            assert db["second"] == b"%d" % number
        done.set()
        for thread in threads:
            thread.join(60)
    assert not failures


def test_a_commit_that_was_taken_back_is_not_read(tmp_path: Path) -> None:
    db = kvsh.open(tmp_path / "a.db", durability="off")
    db["key"] = b"value"
    assert db["key"] == b"value"
    store: Any = db._store
    with store.pages.mutex:
        store.pages.die(OSError(5, "Input/output error"))
    with pytest.raises(OperationalError):
        db.get("key")
