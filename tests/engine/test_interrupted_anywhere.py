"""Ctrl-C at every point of a read that follows another handle's commits."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

import btree
import engine
from btree import open_store
from tests.interrupting import Interrupting, Stop, folders

EVERY = int(os.environ.get("KVSH_TEST_POINTS", "7"))
"""Of the points, each one of so many is tried; `KVSH_TEST_POINTS=1` tries all."""

PLACES = folders(engine, btree)
NOWHERE = ("acquire", "__del__", "forget")
"""A lock that was just taken would stay so; errors of finalizers, which call `forget`, are heard by nobody."""


def put(store: Any, number: int, size: int) -> None:
    transaction = store.begin(write=True)
    try:
        tree = transaction.tree(1)
        tree.put(b"first", b"%d" % number)
        for at in range(size):
            tree.put(b"%d" % at, b"%d" % number * 5)
        tree.put(b"last", b"%d" % number)
        transaction.commit()
    finally:
        transaction.rollback()


def held(store: Any) -> int:
    reading = store.begin()
    try:
        tree = reading.tree(1)
        first, last = tree.get(b"first", b"0"), tree.get(b"last", b"0")
        assert first == last, "half a transaction"
        return int(first)
    finally:
        reading.rollback()


@pytest.mark.parametrize("durability", ["full", "normal", "off"])
def test_an_interrupted_read_hides_nothing_from_the_next_one(
    tmp_path: Path, durability: Any
) -> None:
    store, other = (
        open_store(tmp_path / "db", durability=durability, timeout=0, page_bytes=512)
        for _ in range(2)
    )
    number = 1
    put(store, number, 50)
    put(other, number, 50)
    rng = random.Random(durability)
    at = rng.randrange(EVERY) + 1
    while True:
        number += 1
        put(other, number, number % 3 * 100)
        try:
            with Interrupting(at, PLACES, but=NOWHERE) as interrupting:
                held(store)
        except Stop:
            now = held(other)
            assert now == number, f"point {at}"
            assert held(store) == now, f"point {at}"
            put(other, number, 0)
            put(store, number, 3)
            assert held(other) == held(store) == number, f"point {at}"
        if interrupting.count < at:
            break  # all of it has been gone through
        at += EVERY
    assert store.check() == other.check() == []
    store.close()
    other.close()
    again = open_store(tmp_path / "db")
    assert held(again) == number and again.check() == []
    again.close()
