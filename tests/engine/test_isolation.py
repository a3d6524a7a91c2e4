"""A history is recorded and checked: writers are serial, readers see exactly one commit.

Every transaction notes what it read, key by key and by ranges, and what it wrote; no value is written
twice.  Replayed in the order of their commit numbers, each one has to have read exactly what was there:
a lost update, write skew, a dirty, fuzzy or phantom read would each be a read of something else.
"""

from __future__ import annotations

import random
import threading
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from btree import BusyError, ConflictError, open_store
from tests.threads import in_threads

KEYS = [b"%02d" % number for number in range(12)]


class Event(NamedTuple):
    """A transaction that ended well: the commit it read, what it read there, what it made of it."""

    snapshot: int
    reads: list[tuple[bytes, bytes, dict[bytes, bytes]]]  # lo, hi, what was found
    writes: dict[bytes, bytes | None]


class History:
    """What all threads did."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.lock = threading.Lock()
        self.conflicts = 0

    def add(self, event: Event) -> None:
        with self.lock:
            self.events.append(event)

    def check(self) -> None:
        states: dict[int, dict[bytes, bytes]] = {}
        state: dict[bytes, bytes] = {}
        writers = sorted((event for event in self.events if event.writes), key=lambda e: e.snapshot)
        commits = [event.snapshot + 1 for event in writers]
        assert len(set(commits)) == len(commits), "two transactions built on the same commit"
        by_commit = dict(zip(commits, writers, strict=True))
        for number in range(max(commits) + 2):
            event = by_commit.get(number)
            if event is not None:
                state = dict(state)
                for key, value in event.writes.items():
                    if value is None:
                        state.pop(key, None)
                    else:
                        state[key] = value
            states[number] = state
        for event in self.events:
            seen = states[event.snapshot]
            for lo, hi, found in event.reads:
                expected = {key: value for key, value in seen.items() if lo <= key < hi}
                assert found == expected, f"commit {event.snapshot}: read of [{lo!r}, {hi!r})"


def read(transaction: Any, rng: random.Random) -> tuple[bytes, bytes, dict[bytes, bytes]]:
    lo, hi = sorted(rng.sample(KEYS, 2))
    if rng.random() < 0.5:
        value = transaction.tree(1).get(lo)
        return lo, lo + b"\0", {} if value is None else {lo: value}
    found = {}
    for keys, values in transaction.tree(1).batches(lo, hi):
        found.update(zip(keys, values, strict=True))
    return lo, hi, found


def one_transaction(store: Any, rng: random.Random, history: History, name: bytes) -> None:
    """Reads and writes; the lock is taken before the first read or later, by an upgrade."""
    late = rng.random() < 0.5
    try:
        transaction = store.begin() if late else store.begin(write=True, timeout=20)
        reads = [read(transaction, rng) for _ in range(rng.randint(1, 3))]
        if late:
            try:
                transaction.upgrade(20)
            except ConflictError:
                history.conflicts += 1
                transaction.rollback()
                history.add(Event(transaction.commit_number, reads, {}))
                return
        reads += [read(transaction, rng)]
        writes: dict[bytes, bytes | None] = {}
        for number, key in enumerate(rng.sample(KEYS, rng.randint(1, 3))):
            if rng.random() < 0.2:
                transaction.tree(1).delete(key)
                writes[key] = None
            else:
                writes[key] = name + b".%d" % number
                transaction.tree(1).put(key, writes[key])
        snapshot = transaction.commit_number
        if rng.random() < 0.1:
            transaction.rollback()
            return
        # A transaction that deletes what is not there leaves no commit.
        transaction.tree(1).put(b"name", name)
        transaction.commit()
        history.add(Event(snapshot, reads, writes))
    except BusyError:
        return


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_the_history_of_threads_and_handles_is_serial_for_writers_and_one_commit_for_readers(
    tmp_path: Path, durability: str
) -> None:
    stores: list[Any] = [
        open_store(tmp_path / "db", page_bytes=256, durability=durability, timeout=20)  # type: ignore[arg-type]
        for _ in range(2)
    ]
    history = History()
    working = threading.Event()

    def write(seed: int) -> None:
        rng = random.Random(seed)
        for number in range(120):
            one_transaction(stores[seed % 2], rng, history, b"%d-%d" % (seed, number))

    def watch(seed: int) -> None:
        rng = random.Random(seed)
        while not working.wait(0.002):
            transaction = stores[seed % 2].begin()
            reads = [read(transaction, rng) for _ in range(4)]
            transaction.rollback()
            history.add(Event(transaction.commit_number, reads, {}))

    def look_after() -> None:
        while not working.wait(0.02):
            try:
                stores[0].compact()
                stores[1].checkpoint()
            except BusyError:
                continue

    def all_writers() -> None:
        try:
            in_threads(*[partial(write, seed) for seed in range(4)])
        finally:
            working.set()

    in_threads(all_writers, partial(watch, 10), partial(watch, 11), look_after)
    assert len(history.events) > 80
    history.check()
    assert stores[0].check() == []
    for store in stores:
        store.close()


def test_the_checker_itself_notices_a_lost_update() -> None:
    history = History()
    nothing: list[tuple[bytes, bytes, dict[bytes, bytes]]] = [(b"00", b"01", {})]
    history.add(Event(0, nothing, {b"00": b"a"}))
    history.add(Event(1, nothing, {b"00": b"b"}))  # read before the first was committed
    with pytest.raises(AssertionError, match="commit 1"):
        history.check()
