"""Transactions larger than memory, statement by statement: leaves are written early in spite of the savepoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from btree import TreeKind, open_store
from btree.cache import memory_of
from btree.node import Node

CACHE_BYTES = 1 << 20
ROWS, STATEMENTS = 2000, 30


def changed_leaves(node: Any) -> int:
    """How many leaves are in memory that were not written."""
    if node.__class__ is not Node:
        return 0
    if node.children is None:
        return int(node.unflushed)
    return sum(map(changed_leaves, node.children))


def rows_of(start: int) -> tuple[list[int], list[Any]]:
    keys = list(range(start, start + ROWS))
    return keys, [(key, f"row {key}", key * 0.5) for key in keys]


@pytest.mark.parametrize("undone", [False, True])
def test_each_statement_has_a_savepoint(undone: bool, tmp_path: Path) -> None:
    store = open_store(tmp_path / "a.kvsh", durability="off", cache_bytes=CACHE_BYTES)
    transaction = store.begin(write=True)
    tree_id = transaction.create_tree(TreeKind.TABLE)
    most = 0
    expected: list[int] = []
    for number in range(STATEMENTS):
        savepoint = transaction.savepoint()
        tree: Any = transaction.tree(tree_id)
        tree.load(*rows_of(number * ROWS))
        if undone and number % 3 == 1:
            transaction.rollback_to(savepoint)
        else:
            expected += range(number * ROWS, (number + 1) * ROWS)
        transaction.release(savepoint)
        most = max(most, changed_leaves(transaction.tree(tree_id).root))  # type: ignore[attr-defined]
    leaves = STATEMENTS * ROWS // 256
    assert most < leaves // 3
    transaction.commit()
    store.close()
    store = open_store(tmp_path / "a.kvsh")
    assert store.check() == []
    reading = store.begin()
    assert [key for keys, _ in reading.tree(tree_id).batches() for key in keys] == expected
    reading.rollback()
    store.close()


def test_an_outer_savepoint_keeps_what_it_may_want(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a.kvsh", durability="off", cache_bytes=CACHE_BYTES)
    transaction = store.begin(write=True)
    tree_id = transaction.create_tree(TreeKind.TABLE)
    transaction.tree(tree_id).load(*rows_of(0))
    outer = transaction.savepoint()
    for number in range(1, STATEMENTS):
        savepoint = transaction.savepoint()
        transaction.tree(tree_id).load(*rows_of(number * ROWS))
        transaction.tree(tree_id).delete_many(list(range(number)))
        transaction.release(savepoint)
    transaction.rollback_to(outer)
    transaction.release(outer)
    keys, values = rows_of(0)
    assert transaction.tree(tree_id).get_many(keys) == values
    transaction.commit()
    assert store.check() == []
    store.close()


def changed_bytes(node: Any, seen: set[int]) -> int:
    """Bytes of memory of leaves that were not written, each once."""
    if node.__class__ is not Node or id(node) in seen:
        return 0
    seen.add(id(node))
    if node.children is None:
        return memory_of(node) if node.unflushed else 0
    return sum(changed_bytes(child, seen) for child in node.children)


@pytest.mark.parametrize("outer", [False, True])
@pytest.mark.parametrize("scattered", [False, True])
def test_what_is_held_is_weighed_as_objects(outer: bool, scattered: bool, tmp_path: Path) -> None:
    """Rows of small numbers, and entries of an index, take far more memory than bytes of a page; with a savepoint
    around all statements, too."""
    budget = 4 << 20
    store = open_store(tmp_path / "a.kvsh", durability="off", cache_bytes=budget)
    transaction = store.begin(write=True)
    table, index = transaction.create_tree(TreeKind.TABLE), transaction.create_tree(TreeKind.INDEX)
    step = 7919 if scattered else 1
    if outer:
        transaction.savepoint()
    most = total = 0
    for number in range(STATEMENTS):
        savepoint = transaction.savepoint()
        keys, _ = rows_of(1000 + number * ROWS)
        transaction.tree(table).load(keys, [(key, float(key), key + 1000) for key in keys])
        entries = sorted((key * step % 1_000_003, key) for key in keys)
        transaction.tree(index).load(entries)
        transaction.release(savepoint)
        seen: set[int] = set()
        trees: list[Any] = [transaction.tree(table), transaction.tree(index)]
        held = sum(changed_bytes(tree.root, seen) for tree in trees)
        most, total = max(most, held), total + held
    assert most < budget, (most, total)
    transaction.commit()
    assert store.check() == []
    reading = store.begin()
    assert len(reading.tree(table)) == len(reading.tree(index)) == STATEMENTS * ROWS
    reading.rollback()
    store.close()


def test_copies_of_leaves_that_no_cache_holds_are_written_early(tmp_path: Path) -> None:
    """A few entries in each leaf of a tree larger than memory: what is held is the copies, rather than the entries."""
    budget = 4 << 20
    store = open_store(tmp_path / "a.kvsh", durability="off", cache_bytes=budget)
    transaction = store.begin(write=True)
    tree_id = transaction.create_tree(TreeKind.TABLE)
    keys = list(range(0, 400_000, 4))
    transaction.tree(tree_id).load(keys, [(key, f"row {key}", key * 0.5) for key in keys])
    transaction.commit()
    transaction = store.begin(write=True)
    most = 0
    tree: Any = transaction.tree(tree_id)
    tree.settle()
    for key in range(1, 400_000, 401):
        tree.put(key - key % 4 + 1, (key, "new", 1.5))
        most = max(most, changed_bytes(tree.root, set())) if key % 10 == 1 else most
    assert most < budget
    transaction.commit()
    assert store.check() == []
    store.close()
