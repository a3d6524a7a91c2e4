"""What a key space has in common with a dict: pop, setdefault, clear; and that type checkers see its annotations."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

import btree
import engine
import kvsh
import sql


def test_pop_removes_a_key_and_gives_its_value() -> None:
    db = kvsh.open(":memory:")
    db["a"] = "1"
    assert db.pop("a") == b"1" and "a" not in db
    assert db.pop("a", None) is None and db.pop("a", b"x") == b"x"
    with pytest.raises(KeyError, match="a"):
        db.pop("a")
    db.put("empty", "")
    assert db.pop("empty") == b""


def test_setdefault_puts_only_what_is_absent() -> None:
    db = kvsh.open(":memory:")
    assert db.setdefault("a", "1") == b"1"
    assert db.setdefault("a", "2") == b"1"
    assert db["a"] == b"1"


def test_clear_removes_a_range_and_says_how_many() -> None:
    rng = random.Random(7)
    for bounds in ({}, {"prefix": "k1"}, {"lo": "k2", "hi": "k7"}, {"lo": "k15", "prefix": "k1"}):
        db = kvsh.open(":memory:")
        model = {f"k{rng.randrange(1000)}".encode(): b"v" for _ in range(500)}
        db.update(model)
        doomed = [key for key, _ in db.scan(**bounds)]
        assert db.clear(**bounds) == len(doomed) > 0
        assert list(db) == sorted(set(model) - set(doomed))
        assert db.clear(**bounds) == 0


def test_clear_counts_no_expired_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    db = kvsh.open(":memory:")
    db.put("a", "1")
    db.put("b", "2", ttl=60)
    db.put("c", "3", ttl=3600)
    monkeypatch.setattr("btree.keyspace.now_ms", lambda now=btree.keyspace.now_ms: now() + 120_000)
    assert db.clear() == 2 and len(db) == 0


def test_they_take_part_in_a_transaction(tmp_path: Path) -> None:
    with kvsh.open(tmp_path / "app.db") as db:
        db.update({"a": "1", "b": "2"})
        with pytest.raises(ZeroDivisionError), db.transaction():
            db.put("c", "3")
            assert db.pop("a") == b"1"
            assert db.setdefault("d", "4") == b"4"
            assert db.clear(prefix="c") == 1
            assert list(db) == [b"b", b"d"]
            raise ZeroDivisionError
        assert list(db) == [b"a", b"b"]
        db.clear()
    with kvsh.open(tmp_path / "app.db", readonly=True) as db:
        assert db.pop("a", None) is None
        for write in (db.clear, lambda: db.setdefault("a", "1")):
            with pytest.raises(kvsh.OperationalError):
                write()


def test_each_item_of_a_queue_is_popped_by_one_thread(tmp_path: Path) -> None:
    with kvsh.open(tmp_path / "app.db", durability="off") as db:
        db.update({f"item:{number:03}": "x" for number in range(200)})
        taken: list[bytes] = []

        def work() -> None:
            for key in list(db):
                if db.pop(key, None) is not None:
                    taken.append(key)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == len(set(taken)) == 200 and len(db) == 0


@pytest.mark.parametrize("package", [kvsh, sql, btree, engine])
def test_type_checkers_are_told_of_the_annotations(package: object) -> None:
    """Without the marker of PEP 561 a program that imports an installed kvsh has Any for all of it."""
    assert Path(str(package.__file__)).with_name("py.typed").is_file()  # type: ignore[attr-defined]


def test_keys_come_from_the_last_one_on() -> None:
    with kvsh.open(":memory:") as db:
        db.update((f"{number:04}", str(number)) for number in range(3000))
        assert list(reversed(db)) == [*db][::-1]
        assert next(reversed(db)) == b"2999"
