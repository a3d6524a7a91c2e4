"""The budget of memory while somebody writes: shared nodes count once, and go from all trees at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from btree import TreeKind, open_store
from btree.cache import Cache
from btree.disk import DiskStore
from btree.disk_transaction import DiskTransaction
from btree.node import Node

COUNT = 60_000


def _filled(path: Path) -> tuple[DiskStore, int]:
    store = open_store(str(path), durability="off")
    assert isinstance(store, DiskStore)
    writing = store.begin(write=True)
    tree_id = writing.create_tree(TreeKind.TABLE)
    writing.tree(tree_id).load(range(COUNT), [(n, f"row {n}") for n in range(COUNT)])
    writing.commit()
    store.view()
    return store, tree_id


def _writer(store: DiskStore, tree_id: int, step: int) -> DiskTransaction:
    writing = store.begin(write=True)
    keys = list(range(0, COUNT, step))
    writing.tree(tree_id).load(keys, [(n, "new") for n in keys])
    return writing


def _roots(writing: DiskTransaction) -> list[Node]:
    return [tree.root for tree in writing.open_trees.values()]


def _leaves(node: Any) -> set[int]:
    """The leaves in memory below a node, by their ids."""
    if node.__class__ is not Node:
        return set()
    if node.children is None:
        return {id(node)}
    return set().union(*map(_leaves, node.children))


def test_nodes_of_two_versions_count_once(tmp_path: Path) -> None:
    store, tree_id = _filled(tmp_path / "a.kvsh")
    store.cache.recount(store.roots([]))
    alone = store.cache.used_bytes
    writing = _writer(store, tree_id, COUNT // 8)
    store.cache.recount(store.roots(_roots(writing)))
    assert store.cache.used_bytes < alone * 1.1
    writing.rollback()
    store.close()


def test_a_sweep_takes_a_leaf_from_all_trees_that_share_it(tmp_path: Path) -> None:
    store, tree_id = _filled(tmp_path / "a.kvsh")
    writing = _writer(store, tree_id, COUNT // 8)
    store.cache.recount(store.roots([]))
    store.cache.budget_bytes = store.cache.used_bytes // 2
    store.make_room(_roots(writing))
    view = store.view().version.trees[tree_id].root
    shared = _leaves(view) & _leaves(writing.tree(tree_id).root)
    only = _leaves(view) ^ _leaves(writing.tree(tree_id).root)
    assert len(only) <= 2 * 8  # what the writer has copied
    assert shared
    assert store.cache.used_bytes <= store.cache.budget_bytes
    assert writing.tree(tree_id).count() == COUNT
    writing.commit()
    assert list(store.check()) == []
    store.close()


def test_sweeps_that_find_nothing_to_evict_become_rare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tree_id = _filled(tmp_path / "a.kvsh")
    sweeps = []
    plain = Cache._sweep
    monkeypatch.setattr(
        Cache, "_sweep", lambda self, roots, held: (sweeps.append(1), plain(self, roots, held))[1]
    )
    store.cache.budget_bytes = 1  # all at once: what is in memory goes
    store.make_room([])
    store.cache.recount(store.roots([]))
    store.cache.budget_bytes = 6 << 20
    sweeps.clear()
    writing = _writer(store, tree_id, 10)  # every leaf is loaded, and is the writer's then
    assert len(sweeps) < 60  # of 280 leaves that were loaded
    writing.commit()
    reading = store.begin()
    assert sum(row[1] == "new" for _, rows in reading.tree(tree_id).batches() for row in rows) == (
        COUNT // 10
    )
    reading.rollback()
    store.close()


def test_where_most_scans_come_once_the_second_one_keeps_what_it_loads(tmp_path: Path) -> None:
    store, tree_id = _filled(tmp_path / "a.kvsh")
    store.close()
    store = open_store(str(tmp_path / "a.kvsh"), scans_once=True)  # type: ignore[assignment]
    reading = store.begin()
    used, loads = [], []
    for _ in range(3):
        assert sum(len(keys) for keys, _ in reading.tree(tree_id).batches()) == COUNT
        used.append(store.cache.used_bytes)
        loads.append(store.cache.loads)
    assert used[0] < 200_000 < 2_000_000 < used[1] == used[2]
    assert loads[1] == loads[2]
    store.close()
