"""Ctrl-C at every point of a read that follows another handle's commits: the interpreter looks for it as a function
begins, and behind each call of a builtin one."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import btree
import engine
from btree import open_store

EVERY = int(os.environ.get("KVSH_TEST_POINTS", "7"))
"""Of the points, each one of so many is tried; `KVSH_TEST_POINTS=1` tries all."""

PLACES = tuple(os.path.dirname(str(module.__file__)) for module in (engine, btree))


class _Stop(BaseException):
    pass


class Interrupting:
    """Raises at the point number `at`; 0: counts them."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    def __enter__(self) -> Interrupting:
        sys.setprofile(self._pass)
        return self

    def __exit__(self, *exception: object) -> None:
        sys.setprofile(None)

    def _pass(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call" and (event != "c_return" or argument.__name__ == "acquire"):
            return
        code = frame.f_code
        if code.co_filename.startswith(PLACES) and code.co_name not in ("__del__", "forget"):
            self.count += 1
            if self.count == self.at:
                raise _Stop


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
            with Interrupting(at) as interrupting:
                held(store)
        except _Stop:
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
