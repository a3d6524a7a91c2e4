"""Transactions larger than memory, statement by statement: leaves are written early in spite of the savepoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from btree import TreeKind, open_store
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
