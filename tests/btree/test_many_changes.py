"""Transactions of many scattered changes, in trees of which nothing is in memory: what they see, and what they leave."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from btree import TreeKind, open_memory, open_store, order_key
from btree.overlay import LONG_OWN_BYTES, OWN_MAX, OverlaidTree

ENTRIES = 20_000

Model = dict[Any, Any]


def key_of(kind: TreeKind, number: int) -> Any:
    if kind is TreeKind.TABLE:
        return 3 * number
    return (f"key {number % 97}", number) if kind is TreeKind.INDEX else (f"key {number:06}",)


def row_of(kind: TreeKind, number: int) -> Any:
    return (
        None if kind is TreeKind.INDEX else (f"key {number:06}", number, None, "x" * (number % 50))
    )


def opened(path: Path, kind: TreeKind, where: str) -> tuple[Any, int, Model]:
    """A store that was just opened, where it is in a file, with a tree of many entries."""
    store: Any = open_memory() if where == "memory" else open_store(path, durability="off")
    model = {key_of(kind, number): row_of(kind, number) for number in range(ENTRIES)}
    writing = store.begin(write=True)
    tree_id = writing.create_tree(kind)
    keys = sorted(model, key=order_key)
    writing.tree(tree_id).load(keys, [model[key] for key in keys])
    writing.commit()
    if where == "memory":
        return store, tree_id, model
    store.close()
    return open_store(path, durability="off"), tree_id, model


def assert_same(transaction: Any, tree_id: int, model: Model) -> None:
    tree = transaction.tree(tree_id)
    found = [
        (key, value)
        for keys, values in tree.batches()
        for key, value in zip(keys, values or [None] * len(keys), strict=True)
    ]
    assert found == sorted(model.items(), key=lambda entry: order_key(entry[0]))
    assert len(tree) == len(model)


def change(
    draw: random.Random, transaction: Any, tree_id: int, kind: TreeKind, model: Model
) -> None:
    number = draw.randrange(ENTRIES + 500)
    key, row = key_of(kind, number), row_of(kind, draw.randrange(ENTRIES))
    by_id = kind is TreeKind.TABLE and draw.random() < 0.7
    tree = None if by_id else transaction.tree(tree_id)
    match draw.randrange(4):
        case 0:
            if by_id:
                transaction.put_row(tree_id, key, row)
            else:
                tree.put(key, row)
            model[key] = row
        case 1:
            is_new = key not in model
            found = transaction.insert_row(tree_id, key, row) if by_id else tree.insert(key, row)
            assert found is is_new
            model.setdefault(key, row)
        case 2:
            is_there = key in model
            if is_there and draw.random() < 0.5:
                if by_id:
                    transaction.remove_row(tree_id, key)
                else:
                    tree.remove(key)
                del model[key]
                return
            assert (transaction.delete_row(tree_id, key) if by_id else tree.delete(key)) is is_there
            model.pop(key, None)
        case _:
            wanted = model.get(key, "none")
            if kind is TreeKind.INDEX:
                assert (key in tree) is (key in model)
            elif by_id:
                assert transaction.row(tree_id, key) == model.get(key)
            else:
                assert tree.get(key, "none") == wanted


@pytest.mark.parametrize("where", ["file", "memory"])
@pytest.mark.parametrize("kind", [TreeKind.TABLE, TreeKind.CLUSTERED, TreeKind.INDEX])
def test_changes_all_over_a_tree(tmp_path: Path, kind: TreeKind, where: str) -> None:
    store, tree_id, model = opened(tmp_path / "db", kind, where)
    draw = random.Random(kind)
    reading = store.begin()
    before = dict(model)
    for turn in range(3):
        writing = store.begin(write=True)
        for _ in range(3 * OWN_MAX if turn else 5 * OWN_MAX):
            change(draw, writing, tree_id, kind, model)
            if not draw.randrange(300):  # a range, and what is last
                low = key_of(kind, draw.randrange(ENTRIES))
                found = next(iter(writing.tree(tree_id).batches(low)), ([], []))[0]
                later = sorted(
                    (key for key in model if order_key(key) >= order_key(low)), key=order_key
                )
                assert [*found] == later[: len(found)]
                assert writing.tree(tree_id).last()[0] == max(model, key=order_key)
        if turn == 0:
            assert writing.tree(tree_id).__class__ is OverlaidTree
        kept = dict(model)
        savepoint = writing.savepoint()
        for _ in range(2 * OWN_MAX):
            change(draw, writing, tree_id, kind, model)
        if turn == 1:
            writing.rollback_to(savepoint)
            model = kept
            for _ in range(OWN_MAX):
                change(draw, writing, tree_id, kind, model)
        writing.release(savepoint)
        assert_same(writing, tree_id, model)
        writing.commit()
        assert_same(store.begin(), tree_id, model)
    assert_same(reading, tree_id, before)
    reading.rollback()
    assert store.check() == []
    store.close()
    if where == "file":
        store = open_store(tmp_path / "db")
        assert_same(store.begin(), tree_id, model)
        assert store.check() == []
        store.close()


def test_a_table_that_loses_many_rows_by_key(tmp_path: Path) -> None:
    """More than are held apart, the first time that anybody looks at it."""
    for where in ("file", "memory"):
        store, tree_id, model = opened(tmp_path / "db", TreeKind.TABLE, where)
        writing = store.begin(write=True)
        for key in [*model][: 2 * OWN_MAX + 10]:
            assert writing.delete_row(tree_id, key)
            assert not writing.delete_row(tree_id, key)
            del model[key]
        assert_same(writing, tree_id, model)
        writing.commit()
        assert_same(store.begin(), tree_id, model)
        assert store.check() == []
        store.close()


def test_long_rows_and_rows_at_the_end_go_into_leaves(tmp_path: Path) -> None:
    store, tree_id, model = opened(tmp_path / "db", TreeKind.TABLE, "file")
    long = "x" * (2 * LONG_OWN_BYTES // OWN_MAX)
    writing = store.begin(write=True)
    for key in [*model][:: ENTRIES // OWN_MAX]:
        writing.put_row(tree_id, key, (long, key, None, ""))
    assert writing.tree(tree_id).__class__ is not OverlaidTree
    writing.rollback()
    writing = store.begin(write=True)
    for number in range(ENTRIES, ENTRIES + OWN_MAX + 2):
        writing.put_row(tree_id, 3 * number, ("", number, None, ""))
    assert writing.tree(tree_id).__class__ is not OverlaidTree
    writing.rollback()
    assert_same(store.begin(), tree_id, model)
    store.close()


def test_a_savepoint_copies_few_changes(tmp_path: Path) -> None:
    store, tree_id, model = opened(tmp_path / "db", TreeKind.TABLE, "file")
    writing = store.begin(write=True)
    keys = random.Random(1).sample([*model], 2 * OWN_MAX)
    for key in keys:
        writing.delete_row(tree_id, key)
        del model[key]
    assert len(writing.tree(tree_id).own) == 2 * OWN_MAX
    savepoint = writing.savepoint()
    assert not writing.tree(tree_id).own
    writing.put_row(tree_id, keys[0], ("again", 1, None, ""))
    writing.rollback_to(savepoint)
    assert_same(writing, tree_id, model)
    writing.commit()
    store.close()


@pytest.mark.parametrize("kind", [TreeKind.TABLE, TreeKind.CLUSTERED, TreeKind.INDEX])
def test_single_changes_decode_no_leaf(tmp_path: Path, kind: TreeKind) -> None:
    store, tree_id, model = opened(tmp_path / "db", kind, "file")
    writing = store.begin(write=True)
    for key in random.Random(1).sample([*model], 2 * OWN_MAX):
        tree = writing.tree(tree_id)
        if kind is TreeKind.INDEX:
            assert key in tree
        else:
            assert tree.get(key) == model[key]
        if kind is TreeKind.TABLE or hash(key) % 2:
            assert tree.delete(key)
            del model[key]
        else:
            tree.put(key, model[key])
    assert store.cache.loads <= 3  # branches
    writing.commit()
    assert store.cache.loads <= 3
    assert_same(store.begin(), tree_id, model)
    store.close()
