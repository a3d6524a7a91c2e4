"""Room in the cache goes to the columns that are asked for, and isn't taken from those that still are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from btree import TreeKind, open_store
from btree.cache import Cache
from btree.column_use import SCANS_MAX, ColumnUse
from btree.columns import parts_of
from btree.kept_columns import Column, Columns

ROWS = 60_000
WIDTH = 6
COLUMN_BYTES = ROWS * (8 + 49 + 24)
BUDGET = (
    3 * COLUMN_BYTES
)  # two columns of texts, which can't be packed, beside the share for numbers
MOST = 0.8  # of the branches: for the rest no column is dropped


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    path = str(tmp_path / "db")
    store: Any = open_store(path, durability="off")
    writing = store.begin(write=True)
    assert writing.create_tree(TreeKind.TABLE) == 3
    rows = [
        tuple([f"text {column} of row {number:8}" for column in range(WIDTH)])
        for number in range(ROWS)
    ]
    writing.tree(3).load(range(ROWS), rows)
    tree_id = writing.create_tree(TreeKind.INDEX)
    assert tree_id == 4
    writing.tree(4).load([(row[0], number) for number, row in enumerate(rows)])
    writing.commit()
    store.close()
    store = open_store(path, durability="off", cache_bytes=BUDGET)
    yield store
    store.close()


def scan(store: Any, column: int, times: int = 1) -> None:
    for _ in range(times):
        found = [
            value for (batch,) in store.begin().tree(3).column_batches((column,)) for value in batch
        ]
        assert found == [f"text {column} of row {number:8}" for number in range(ROWS)]


def kept(store: Any) -> dict[int, float]:
    """Of which share of the branches a column is kept as objects."""
    tree = store.begin().tree(3)
    parts = [part.branch.columns for part in parts_of(tree, tree.root, None, None)]
    found: dict[int, float] = {}
    for columns in parts:
        if isinstance(columns, Columns):
            for column, batches in columns.lists.items():
                if isinstance(batches[0], Column):
                    found[column] = found.get(column, 0) + 1 / len(parts)
    return found


def test_columns_that_nobody_asks_for_any_more_make_room(store: Any) -> None:
    scan(store, 0)
    scan(store, 0)
    scan(store, 1)
    assert kept(store).keys() == {0, 1}
    for column in (2, 3, 4, 0):
        scan(store, column, 4)
        assert kept(store)[column] >= MOST - 0.01
        assert len(kept(store)) <= 3
        assert store.cache.used_bytes <= BUDGET


def test_columns_that_are_asked_for_by_turns_stay(store: Any) -> None:
    scan(store, 0)
    scan(store, 0)
    scan(store, 1)
    seen = []
    for _ in range(6):
        for column in (2, 0, 3, 1, 4):
            scan(store, column)
        seen.append(kept(store))
    assert seen[1] == seen[-1]


def test_leaves_that_are_scanned_again_and_again_find_room(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan(store, 0)
    scan(store, 0)
    scan(store, 1)
    store.cache.budget_bytes = int(store.cache.used_bytes / 0.9)
    tree_loads = 0
    read = store.begin().__class__._read

    def counted(self: Any, tree_id: int, *arguments: Any) -> Any:
        nonlocal tree_loads
        tree_loads += tree_id == 4
        return read(self, tree_id, *arguments)

    monkeypatch.setattr(store.begin().__class__, "_read", counted)
    loads = []
    for _ in range(8):
        tree_loads = 0
        entries = sum(len(keys) for keys, _ in store.begin().tree(4).batches())
        assert entries == ROWS
        loads.append(tree_loads)
    assert loads[1] > 0
    assert loads[-1] < loads[1] / 2


def test_what_is_remembered_of_scans_is_bounded() -> None:
    use = ColumnUse()
    for number in range(3 * SCANS_MAX):
        use.begin(5, (number % 7, number))
        use.refuse()
        use.refuse_page(16 * number)
    assert len(use._scans) <= SCANS_MAX
    assert len(use._refused) <= SCANS_MAX
    assert len(use._pages) <= SCANS_MAX


def test_the_third_scan_that_is_refused_room_tells_who_has_been_idle_since_the_first() -> None:
    use = ColumnUse()
    assert not use.begin(5, (1,))
    use.begin(5, (2,))
    use.refuse()
    for _ in range(2):
        assert use.short_since() == 0 or use.short_since() == 0
        assert use.begin(5, (2,))
        use.refuse()
    since = use.short_since()
    assert [*use.stale(since)] == [(5, 1)]
    assert use.short_since() == 0  # it was told
    use.begin(5, (1,))
    assert [*use.stale(since)] == []


def test_no_column_is_dropped_while_there_is_room(tmp_path: Path) -> None:
    cache = Cache(1 << 20)
    cache.use.begin(5, (1,))
    cache.drop_stale(100, lambda tree_id: pytest.fail("somebody was asked for roots"))
    cache.used_bytes = 1 << 20
    cache.drop_stale(100, lambda tree_id: [])
    assert [*cache.use.stale(100)] == []
