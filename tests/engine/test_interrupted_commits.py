"""Ctrl-C at every point of a durable commit, alone, in the line, or at its head: the others go on, and nothing that they
were told is lost."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path
from typing import Any

import pytest

import btree
import engine
from btree import open_store
from engine.hurry import HURRY
from tests.interrupting import Interrupting, Stop, folders

EVERY = int(os.environ.get("KVSH_TEST_POINTS", "3"))
"""Of the points, each one of so many is tried; `KVSH_TEST_POINTS=1` tries all."""

PLACES = folders(engine, btree)
BUT = ("__del__", "forget", "close")


def opened(path: Path) -> Any:
    store: Any = open_store(path, timeout=20)
    store.put(b"first", b"v")
    store.begin()  # from here on puts go to the log
    return store


def commit(store: Any, key: bytes) -> None:
    transaction = store.begin(write=True)
    try:
        transaction.tree(1).put(key, b"v")
        transaction.commit()
    finally:
        transaction.rollback()


def put_in_thread(store: Any, key: bytes) -> threading.Thread:
    thread = threading.Thread(target=store.put, args=(key, b"v"), daemon=True)
    thread.start()
    return thread


def ended(thread: threading.Thread) -> bool:
    thread.join(20)
    return not thread.is_alive()


def raw_keys(store: Any) -> set[bytes]:
    return {key for keys, _ in store.begin().tree(1).batches() for key in keys}


@pytest.mark.parametrize("at_work", [0, 2])
def test_alone(tmp_path: Path, at_work: int) -> None:
    """`at_work`: how many were before; by itself, or by the line."""
    store, other = opened(tmp_path / "db"), open_store(tmp_path / "db", timeout=20)
    at = random.Random(at_work).randrange(EVERY) + 1
    while True:
        store.pages._at_work = at_work
        mine = b"mine %d" % at
        try:
            with Interrupting(at, PLACES, but=BUT) as interrupting:
                store.put(mine, b"v")
        except Stop:
            later = b"later %d" % at
            assert ended(put_in_thread(store, later)), f"point {at}"
            other.begin(write=True).rollback()  # the file's lock was given back
            found = raw_keys(other)
            assert later in found and raw_keys(store) == found, f"point {at}"
        else:
            assert mine in raw_keys(other)
        if interrupting.count < at:
            break  # all of it has been gone through
        at += EVERY
    assert store.pages._leader is None and not store.pages.waiting
    other.close()
    store.close()


@pytest.mark.parametrize("durability", ["full", "normal", "off"])
def test_a_transaction(tmp_path: Path, durability: Any) -> None:
    """Whoever else writes next finds both locks free: the handle's, and the file's."""
    store, other = (open_store(tmp_path / "db", durability=durability, timeout=0) for _ in range(2))
    for number in range(3):
        commit(store, b"first %d" % number)
    at = random.Random(durability).randrange(EVERY) + 1
    while True:
        mine = b"mine %d" % at
        try:
            with Interrupting(at, PLACES, but=BUT) as interrupting:
                commit(store, mine)
        except Stop:
            for who, handle in enumerate([other, store]):
                commit(handle, b"later %d %d" % (who, at))
            assert raw_keys(store) == raw_keys(other), f"point {at}"
        else:
            assert mine in raw_keys(other)
        if interrupting.count < at:
            break  # all of it has been gone through
        at += EVERY
    assert store.check() == other.check() == []
    other.close()
    store.close()


def test_beside_others(tmp_path: Path) -> None:
    """Wherever it stands: the others' commits have their ends, and count."""
    store = opened(tmp_path / "db")
    stop = threading.Event()
    put: list[bytes] = []
    rng = random.Random(0)

    def work(name: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            key = b"%d:%d" % (name, number)
            store.put(key, b"v")
            put.append(key)

    threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in range(3)]
    for thread in threads:
        thread.start()
    stopped = 0
    for number in range(1200 // EVERY):
        at = rng.randrange(1, 130)
        mine = b"mine %d" % number
        try:
            with Interrupting(at, PLACES, but=BUT):
                store.put(mine, b"v")
            put.append(mine)
        except Stop:
            stopped += 1
    stop.set()
    assert all(ended(thread) for thread in threads)
    assert stopped
    assert store.pages._leader is None and not store.pages._gathers
    assert ended(put_in_thread(store, b"last"))
    found = raw_keys(store)
    assert found.issuperset(put) and b"last" in found
    assert store.check() == []
    store.close()
    again = open_store(tmp_path / "db", timeout=0)
    assert raw_keys(again) == found and again.check() == []
    again.close()


def test_haste_ends_with_the_next_commit(tmp_path: Path) -> None:
    store = opened(tmp_path / "db")
    idle = threading.Event()
    threading.Thread(target=idle.wait).start()
    try:
        for at in range(1, 100, EVERY):
            try:
                with Interrupting(at, PLACES, but=BUT):
                    store.put(b"mine", b"v")
            except Stop:
                store.put(b"next", b"v")
                assert not HURRY.inside, f"point {at}"
    finally:
        idle.set()
    store.close()
