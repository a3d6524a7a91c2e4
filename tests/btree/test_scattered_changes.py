"""Bulk changes of a few entries in each of many leaves: committed as redo, and all there for others."""

from __future__ import annotations

from pathlib import Path

import pytest

from btree import TreeKind, open_store
from btree.disk import DiskStore
from btree.overlay import OverlaidTree

COUNT = 20_000
MANY = 120_000


def test_scattered_bulk_changes_are_committed_as_redo_and_seen_by_another_handle(
    tmp_path: Path,
) -> None:
    store = open_store(str(tmp_path / "a.kvsh"), durability="off")
    writing = store.begin(write=True)
    tree_id = writing.create_tree(TreeKind.TABLE)
    writing.tree(tree_id).load(range(COUNT), [(n, f"row {n}") for n in range(COUNT)])
    writing.commit()
    expected = {n: (n, f"row {n}") for n in range(COUNT)}

    writing = store.begin(write=True)
    tree = writing.tree(tree_id)
    changed = list(range(0, COUNT, 20))
    tree.load(changed, [(n, "new") for n in changed])
    gone = list(range(3, COUNT, 7))
    assert tree.delete_many(gone) == len(gone)
    writing.commit()
    expected.update({n: (n, "new") for n in changed})
    for n in gone:
        del expected[n]

    assert isinstance(store, DiskStore)
    assert store.pending_commits() == 1
    with_other = open_store(str(tmp_path / "a.kvsh"), durability="off")
    for handle in (store, with_other):
        reading = handle.begin()
        found = {
            key: row
            for keys, rows in reading.tree(tree_id).batches()
            for key, row in zip(keys, rows, strict=True)
        }
        reading.rollback()
        assert found == expected
        assert list(handle.check()) == []
    with_other.close()
    store.close()


def _filled(path: Path, cache_bytes: int) -> tuple[DiskStore, int]:
    store = open_store(str(path), durability="off", cache_bytes=cache_bytes)
    assert isinstance(store, DiskStore)
    writing = store.begin(write=True)
    tree_id = writing.create_tree(TreeKind.TABLE)
    writing.tree(tree_id).load(range(MANY), [(n, f"row {n}") for n in range(MANY)])
    writing.commit()
    assert store.pending_commits() == 0
    return store, tree_id


@pytest.mark.parametrize(
    ("step", "cache_bytes", "pending"),
    [
        (10, 256 << 20, 1),
        (2, 256 << 20, 0),  # not scattered: the leaves are no longer than the changes
        (10, 8 << 20, 0),  # the changed leaves would fill the memory until they are written
    ],
)
def test_what_is_committed_as_redo(
    tmp_path: Path, step: int, cache_bytes: int, pending: int
) -> None:
    store, tree_id = _filled(tmp_path / "a.kvsh", cache_bytes)
    writing = store.begin(write=True)
    keys = list(range(0, MANY, step))
    writing.tree(tree_id).load(keys, [(n, "new") for n in keys])
    writing.commit()
    assert store.pending_commits() == pending
    store.close()
    reopened = open_store(str(tmp_path / "a.kvsh"))
    reading = reopened.begin()
    tree = reading.tree(tree_id)
    assert sum(row[1] == "new" for _, rows in tree.batches() for row in rows) == len(keys)
    reading.rollback()
    assert list(reopened.check()) == []
    reopened.close()


@pytest.mark.parametrize(("step", "pending"), [(10, 1), (2, 0)])
def test_the_same_goes_for_changes_one_by_one(tmp_path: Path, step: int, pending: int) -> None:
    store, tree_id = _filled(tmp_path / "a.kvsh", 256 << 20)
    writing = store.begin(write=True)
    for number in range(0, MANY, step):
        assert writing.tree(tree_id).delete(number * 7 % MANY)
    writing.commit()
    assert store.pending_commits() == pending
    with_other = open_store(str(tmp_path / "a.kvsh"), readonly=True)
    assert len(with_other.begin().tree(tree_id)) == MANY - len(range(0, MANY, step))
    assert list(with_other.check()) == []
    with_other.close()
    store.close()


@pytest.mark.parametrize("kind", [TreeKind.TABLE, TreeKind.INDEX])
def test_scattered_keys_are_deleted_over_the_nodes_and_neighbours_in_them(
    kind: TreeKind, tmp_path: Path
) -> None:
    store, tree_id = _filled(tmp_path / "a.kvsh", 32 << 20)
    index = kind is TreeKind.INDEX
    if index:
        writing = store.begin(write=True)
        tree_id = writing.create_tree(kind)
        writing.tree(tree_id).load(sorted((n % 10, n) for n in range(MANY)))
        writing.commit()
    reading = store.begin()
    left = [key for keys, _ in reading.tree(tree_id).batches() for key in keys]
    reading.rollback()
    for at, step, laid_over in ((40, 300, True), (7, 1, False), (90_000, 50, True)):
        writing = store.begin(write=True)
        tree = writing.tree(tree_id)
        gone = left[at : at + 200 * step : step]
        missing = ([(11, 1)] if index else [MANY + 5]) if laid_over else []
        point = writing.savepoint()
        assert tree.delete_many([*gone, *missing]) == len(gone)
        assert (type(tree) is OverlaidTree) == laid_over
        writing.rollback_to(point)
        tree = writing.tree(tree_id)
        assert len(tree) == len(left)
        assert tree.delete_many(gone) == len(gone)
        assert len(tree) == len(left) - len(gone)
        if at == 40:
            writing.rollback()
            continue
        writing.commit()
        left = sorted(set(left) - set(gone))
        reading = store.begin()
        assert [key for keys, _ in reading.tree(tree_id).batches() for key in keys] == left
        reading.rollback()
    assert list(store.check()) == []
    store.close()
