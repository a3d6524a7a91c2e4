"""Compaction behind the prompt: it starts when it is due, and stops when the shell is left."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import kvsh
from btree import Store, open_store
from kvsh.repl.upkeep import Upkeep

VALUE = b"x" * 4000


def test_a_file_of_dead_bytes_is_compacted_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    store = open_store(path, durability="off")
    for _ in range(30):
        with_writer = store.begin(write=True)
        tree = with_writer.tree(1)
        for number in range(300):
            tree.put(b"%04d" % number, VALUE)
        with_writer.commit()
    before = path.stat().st_size
    upkeep = Upkeep()
    upkeep.consider(store)
    reader = store.begin()
    assert reader.tree(1).get(b"0299") == VALUE
    reader.rollback()
    upkeep.wait()
    store.close()
    assert path.stat().st_size < before / 4
    with kvsh.open(path) as database:
        assert database.check() == [] and len(database) == 300


class SlowStore:
    """A store whose compaction goes on until it is told to stop."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.stopped = False

    def compaction_due(self) -> bool:
        return True

    def compact(self, *, progress: Callable[[int, int], Any]) -> None:
        self.started.set()
        try:
            while True:
                progress(0, 1)
        finally:
            self.stopped = True


def test_leaving_the_shell_stops_it() -> None:
    store = SlowStore()
    upkeep = Upkeep()
    upkeep.consider(cast(Store, store))
    assert store.started.wait(10)
    upkeep.stop()
    assert store.stopped
