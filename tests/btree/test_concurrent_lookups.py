"""Threads that look up in one transaction while leaves come and go: in a cache that holds a part of them."""

from __future__ import annotations

import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

from btree import open_store
from btree.protocols import TreeKind
from tests.threads import in_threads

COUNT = 20_000


def test_threads_find_what_is_there_while_leaves_come_and_go(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    store: Any = open_store(path, durability="off")
    filling = store.begin(write=True)
    index, table = filling.create_tree(TreeKind.INDEX), filling.create_tree(TreeKind.TABLE)
    filling.tree(index).load([(number * 2, number) for number in range(COUNT)])
    filling.tree(table).load(range(COUNT), [(number, f"row {number}") for number in range(COUNT)])
    filling.commit()
    store.close()

    store = open_store(path, durability="off", cache_bytes=200_000)

    def look(seed: int) -> None:
        draw = random.Random(seed)
        reading = store.begin()
        entries, rows = reading.tree(index), reading.tree(table)
        for _ in range(1500):
            number = draw.randrange(COUNT - 40)
            found = entries.last_parts((number * 2,))
            assert found is None or found == [number]
            assert rows.get(number) == (number, f"row {number}")
            match draw.randrange(4):
                case 0:
                    few = entries.following((number * 2,), 3)
                    assert few is None or few[0] == (number * 2, number)
                case 1:
                    batches = entries.batches((number * 2,), (number * 2 + 60,))
                    assert sum(len(keys) for keys, _ in batches) == 30
                case 2:
                    batches = rows.batches(number, number + 30)
                    assert sum(len(keys) for keys, _ in batches) == 30
                case 3:
                    wanted = [number + 7, number, number + 25]
                    assert [row[0] for row in rows.get_many(wanted)] == wanted
        reading.rollback()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        in_threads(*[partial(look, seed) for seed in range(4)])
    finally:
        sys.setswitchinterval(before)
    assert store.cache.evictions
    store.close()
