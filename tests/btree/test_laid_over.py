"""Small commits of others: laid over the trees as they are read, or replayed; either way what a model says."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from btree import RAW_TREE_ID, TreeKind, disk, open_store


def contents(store: Any, trees: dict[str, int]) -> dict[str, Any]:
    """All that a store holds in some trees, asked for in several ways."""
    transaction = store.begin()
    found: dict[str, Any] = {}
    try:
        for name, tree_id in trees.items():
            tree = transaction.tree(tree_id)
            # Before anything asks for the nodes.
            found[name, "looked up"] = {
                key: value for key in all_keys(name) if (value := tree.get(key)) is not None
            }
            found[name, "count"] = len(tree)
            batches = [(list(keys), list(values or ())) for keys, values in tree.batches()]
            keys = [key for some, _ in batches for key in some]
            found[name, "keys"] = keys
            found[name, "values"] = [tree.get(key) for key in keys]
            found[name, "absent"] = tree.get(absent(name))
            found[name, "last"] = tree.last()
    finally:
        transaction.rollback()
    return found


def all_keys(name: str) -> list[Any]:
    """Every key that `entry` may give."""
    numbers = range(200)
    match name:
        case "raw":
            return [b"%03d" % number for number in numbers]
        case "table":
            return list(numbers)
    return [(number, "x") for number in numbers]


def absent(name: str) -> Any:
    return {"raw": b"zz", "table": 10**9, "index": (10**9, "x")}[name]


def expected(model: dict[str, dict[Any, Any]]) -> dict[str, Any]:
    found: dict[Any, Any] = {}
    for name, entries in model.items():
        keys = sorted(entries)
        found[name, "looked up"] = entries
        found[name, "count"] = len(keys)
        found[name, "keys"] = keys
        found[name, "values"] = [entries[key] for key in keys]
        found[name, "absent"] = None
        found[name, "last"] = (keys[-1], entries[keys[-1]]) if keys else None
    return found


def entry(name: str, numbers: random.Random) -> tuple[Any, Any]:
    number = numbers.randrange(200)
    match name:
        case "raw":
            return b"%03d" % number, numbers.choice((b"", b"v%d" % number))
        case "table":
            return number, (number, numbers.choice((None, 0, False + 0, "text", 1.5, b"x")))
    return (numbers.choice((number, float(number))), "x"), True


@pytest.mark.parametrize("reads", [0.5, 0.02])
@pytest.mark.parametrize("seed", range(8))
def test_what_others_commit_is_read(
    seed: int, reads: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`reads`: how often, so that few commits are to be taken in or many."""
    laid: list[bool] = []
    lay_over = disk.DiskStore._lay_over

    def noted(self: Any, *arguments: Any) -> bool:
        laid.append(lay_over(self, *arguments))
        return laid[-1]

    monkeypatch.setattr(disk.DiskStore, "_lay_over", noted)
    numbers = random.Random(seed)
    path = str(tmp_path / "a.db")
    writer = open_store(path, durability="off")
    transaction = writer.begin(write=True)
    trees = {
        "raw": RAW_TREE_ID,
        "table": transaction.create_tree(TreeKind.TABLE),
        "index": transaction.create_tree(TreeKind.INDEX),
    }
    transaction.commit()
    writer.checkpoint()
    reader = open_store(path, durability="off")
    both = [writer, reader]
    model: dict[str, dict[Any, Any]] = {name: {} for name in trees}
    for step in range(250):
        transaction = numbers.choice(both if seed % 2 else both[:1]).begin(write=True)
        may_delete = numbers.random() < 0.4
        for _ in range(numbers.choice((1, 1, 2, 5, 60))):
            name = numbers.choice(tuple(trees))
            tree = transaction.tree(trees[name])
            key, value = entry(name, numbers)
            if may_delete and numbers.random() < 0.5:
                assert tree.delete(key) == (model[name].pop(key, None) is not None)
            else:
                tree.put(key, value)
                model[name].pop(key, None)  # 1 and 1.0 are one key
                model[name][key] = value
        if numbers.random() < 0.2:
            transaction.create_tree(TreeKind.TABLE)  # that takes a replay
        transaction.commit()
        if numbers.random() < 0.1:
            key, value = entry("raw", numbers)
            writer.put(key, value)
            model["raw"][key] = value
        if step % 100 == 99:
            writer.checkpoint()
        if numbers.random() < reads:
            for store in both:
                assert contents(store, trees) == expected(model)
    assert {True, False} == set(laid) or (reads < 0.1 and laid)
    for store in both:
        assert contents(store, trees) == expected(model)
    reader.close()
    writer.close()
