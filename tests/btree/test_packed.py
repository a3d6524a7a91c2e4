"""Look-ups in leaves that are not in memory: rows made one at a time from a page's bytes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from btree import open_store
from btree.disk import DiskStore
from btree.packed import PackedLeaf
from btree.packed_rows import READS_MAX
from btree.protocols import TreeKind

_KEYS = {
    "consecutive": lambda n: n + 5,
    "differences": lambda n: 3 * n + n % 2 - 700,
    "in a column": lambda n: n * 1_000_003,
}


def _row(key: int, number: int, draw: random.Random) -> tuple[Any, ...]:
    mixed = draw.choice([None, 1, 2.5, "x", b"\xff", "é" * draw.randrange(90), 1 << 60])
    return (number % 7, key, draw.random(), f"name {draw.randrange(10**6)}", mixed)


def _rows(form: str, count: int) -> dict[int, tuple[Any, ...]]:
    draw = random.Random(count)
    keys = list(map(_KEYS[form], range(count)))
    return {key: _row(key, number, draw) for number, key in enumerate(keys)}


def _filled(path: Path, rows: dict[int, tuple[Any, ...]], **options: Any) -> tuple[DiskStore, int]:
    """A store that was just opened, and a tree in it."""
    store: Any = open_store(str(path), durability="off")
    with_rows = store.begin(write=True)
    tree_id = with_rows.create_tree(TreeKind.TABLE)
    with_rows.tree(tree_id).load(list(rows), list(rows.values()))
    with_rows.commit()
    store.close()
    reopened: Any = open_store(str(path), durability="off", **options)
    return reopened, tree_id


def _leaves(node: Any) -> list[Any]:
    found: list[Any] = []
    for child in node.children or ():
        found += [child] if isinstance(child, int) or not child.children else _leaves(child)
    return found


@pytest.mark.parametrize("form", list(_KEYS))
def test_rows_are_what_was_put(tmp_path: Path, form: str) -> None:
    rows = _rows(form, 3000)
    store, tree_id = _filled(tmp_path / "db", rows)
    tree = store.begin().tree(tree_id)
    draw = random.Random(1)
    wanted = draw.sample(list(rows), 600)
    for key in wanted:
        found = tree.get(key)
        assert found == rows[key]
        assert list(map(type, found)) == list(map(type, rows[key]))
        if key + 1 not in rows:
            assert tree.get(key + 1) is None
            assert tree.get(key + 1, "none") == "none"
    assert any(leaf.__class__ is PackedLeaf for leaf in _leaves(tree.root))
    assert (
        dict(zip(*[[*part] for part in next(tree.batches())], strict=True)).items() <= rows.items()
    )
    assert tree.get_many(wanted) == [rows[key] for key in wanted]
    assert [key for keys, _ in tree.batches() for key in keys] == sorted(rows)
    store.close()


def test_a_leaf_that_is_read_again_and_again_is_decoded(tmp_path: Path) -> None:
    rows = _rows("consecutive", 3000)
    store, tree_id = _filled(tmp_path / "db", rows)
    tree = store.begin().tree(tree_id)
    key = next(iter(rows))
    for _ in range(READS_MAX):
        assert tree.get(key) == rows[key]
    assert _leaves(tree.root)[0].__class__ is PackedLeaf
    for _ in range(3):
        assert tree.get(key) == rows[key]
    assert _leaves(tree.root)[0].keys[0] == key
    assert not isinstance(_leaves(tree.root)[0], int)
    used, roots = store.cache.used_bytes, store.roots([])
    store.cache.recount(roots)
    assert store.cache.used_bytes == used
    store.close()


def test_without_room_a_leaf_stays_packed(tmp_path: Path) -> None:
    rows = _rows("consecutive", 3000)
    store, tree_id = _filled(tmp_path / "db", rows)
    tree = store.begin().tree(tree_id)
    key = next(iter(rows))
    tree.get(key)
    store.cache.budget_bytes = store.cache.used_bytes + 100
    for _ in range(3 * READS_MAX):
        assert tree.get(key) == rows[key]
    assert _leaves(tree.root)[0].__class__ is PackedLeaf
    store.close()


def test_packed_leaves_count_and_go(tmp_path: Path) -> None:
    rows = _rows("differences", 20_000)
    store, tree_id = _filled(tmp_path / "db", rows)
    tree = store.begin().tree(tree_id)
    for key in list(rows)[::20]:
        tree.get(key)
    before = store.cache.used_bytes
    store.cache.recount(store.roots([]))
    assert store.cache.used_bytes == before
    assert before > sum(len(row[3]) for row in rows.values())
    store.cache.budget_bytes = before // 4
    store.cache.sweep(store.roots([]))
    assert store.cache.used_bytes <= before // 4
    assert {leaf.__class__ for leaf in _leaves(tree.root)} == {int, PackedLeaf}
    for key in list(rows)[7::20]:
        assert tree.get(key) == rows[key]
        assert store.cache.used_bytes < before
    store.close()


@pytest.mark.parametrize("form", list(_KEYS))
def test_changes_beside_packed_leaves(tmp_path: Path, form: str) -> None:
    """A writer changes leaves that readers look at packed; old readers see what was."""
    rows = _rows(form, 4000)
    store, tree_id = _filled(tmp_path / "db", rows, cache_bytes=200_000)
    draw = random.Random(2)
    spare = [key + 1 for key in rows if key + 1 not in rows]
    for round_ in range(12):
        reader = store.begin()
        old, known = reader.tree(tree_id), dict(rows)
        for key in draw.sample(list(rows), 80):
            assert old.get(key) == rows[key]
        writer = store.begin(write=True)
        tree = writer.tree(tree_id)
        for key in draw.sample(list(rows), 40):
            kind = draw.randrange(4)
            if kind == 0:
                assert tree.delete(key)
                del rows[key]
            elif kind == 1 and spare:
                new = spare.pop()
                rows[new] = _row(new, round_, draw)
                assert tree.insert(new, rows[new])
                assert not tree.insert(new, rows[new])
            else:
                rows[key] = _row(key, round_, draw)
                tree.put(key, rows[key])
        for key in draw.sample(list(known), 80):
            assert tree.get(key) == rows.get(key)
        writer.commit()
        for key in draw.sample(list(known), 80):
            assert old.get(key) == known[key]
        reader.rollback()
        now = store.begin()
        for key in draw.sample(list(known), 80):
            assert now.tree(tree_id).get(key) == rows.get(key)
        now.rollback()
        if round_ % 4 == 3:
            store.checkpoint()
    assert store.check() == []
    store.close()
