"""Bulk puts and deletes, leaf by leaf: every pattern of runs against a dictionary, in memory and on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from btree import Store, Transaction, TreeKind, open_memory, open_store, order_key

ROUNDS = 25
Key = Any


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        made = open_memory(leaf_limit=8, branch_limit=4)
    else:
        made = open_store(str(tmp_path / "a.kvsh"), durability="off", page_bytes=512)
    yield made
    assert list(made.check()) == []
    made.close()


def number(rng: Random, at: int) -> int:
    return at


def text(rng: Random, at: int) -> tuple[str]:
    return (f"{at:05}",)


def mixed(rng: Random, at: int) -> tuple[object, int]:
    """Keys of all kinds, whole REALs among them: equal to an INTEGER, and not the same."""
    one_of = (None, at, at, f"{at:05}", b"%05d" % at)
    value = one_of[at % 5]
    if value is at and rng.randrange(2):
        value = float(at)
    return (value, at)


KEYS = {TreeKind.TABLE: number, TreeKind.CLUSTERED: mixed, TreeKind.INDEX: text}


def run_of(rng: Random, known: list[Key], make: Any) -> list[Key]:
    """Keys of one bulk operation: neighbours, every n-th, a few, or ones that are not there yet."""
    at = rng.randrange(len(known))
    pattern = rng.randrange(5)
    if pattern == 0:
        return known[at : at + rng.randrange(1, 400)]
    if pattern == 1:
        return known[at :: rng.choice((2, 3, 7, 15))]
    if pattern == 2:
        chosen = rng.sample(known, min(len(known), 30))
    else:
        chosen = [make(rng, rng.randrange(6000)) for _ in range(rng.choice((5, 300)))]
        if pattern == 4:
            chosen += known[at : at + 50]
    return sorted(set(chosen), key=order_key)


@pytest.mark.parametrize("kind", KEYS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_any_run_of_puts_and_deletes(store: Store, kind: TreeKind, large: bool) -> None:
    rng = Random(kind + 10 * large)
    make = KEYS[kind]
    expected: dict[Key, Any] = {}
    with_tree = store.begin(write=True)
    tree_id = with_tree.create_tree(kind)
    first = sorted({make(rng, at) for at in range(0, 4000, 2)}, key=order_key)
    put(with_tree, tree_id, first, expected, rng, large=False)
    with_tree.commit()
    for _ in range(ROUNDS):
        transaction = store.begin(write=True)
        before = store.begin()
        was = contents(before, tree_id)
        for _ in range(rng.randrange(1, 4)):
            known = sorted(expected, key=order_key)
            if not known:
                known = first
            keys = run_of(rng, known, make)
            if rng.randrange(3):
                put(transaction, tree_id, keys, expected, rng, large=large)
            else:
                there = [expected.pop(key, None) is not None for key in keys]
                assert transaction.tree(tree_id).delete_many(keys) == sum(there)
        assert contents(transaction, tree_id) == shown(expected)
        assert contents(before, tree_id) == was  # older readers see nothing of it
        before.rollback()
        transaction.commit()
    reading = store.begin()
    assert contents(reading, tree_id) == shown(expected)
    reading.rollback()


def put(
    transaction: Transaction,
    tree_id: int,
    keys: list[Key],
    expected: dict[Key, Any],
    rng: Random,
    *,
    large: bool,
) -> None:
    """Load keys with new values, into the tree and into `expected`."""
    tree = transaction.tree(tree_id)
    if tree.kind is TreeKind.INDEX:
        tree.load(keys)
        expected.update((key, True) for key in keys)
        return
    size = 600 if large and rng.randrange(2) else 3
    values = [(rng.randrange(1000), "x" * rng.randrange(size)) for _ in keys]
    tree.load(keys, values)
    for key, value in zip(keys, values, strict=True):
        expected.pop(key, None)  # the key is replaced, too: 1 and 1.0
        expected[key] = value


def contents(transaction: Transaction, tree_id: int) -> list[str]:
    """All entries in their order, classes of numbers included."""
    found: list[str] = []
    for keys, values in transaction.tree(tree_id).batches():
        found += map(repr, zip(keys, values or [True] * len(keys), strict=True))
    return found


def shown(expected: dict[Key, Any]) -> list[str]:
    """The same of a dictionary."""
    return [repr((key, expected[key])) for key in sorted(expected, key=order_key)]


def test_an_equal_key_of_another_kind_takes_the_place_of_the_one_before(store: Store) -> None:
    transaction = store.begin(write=True)
    tree = transaction.tree(transaction.create_tree(TreeKind.INDEX))
    tree.load([(number, 1) for number in range(7)])
    tree.load([(0.0, 1), (2.0, 1), (2.5, 1), (6.0, 1), (6.5, 1)])
    expected = [0.0, 1, 2.0, 2.5, 3, 4, 5, 6.0, 6.5]
    assert [repr(key[0]) for keys, _ in tree.batches() for key in keys] == list(map(repr, expected))
    tree.load([(None, 1), (1.0, 1), (5.0, 1), ("x", 1), (b"x", 1)])
    expected = [None, 0.0, 1.0, 2.0, 2.5, 3, 4, 5.0, 6.0, 6.5, "x", b"x"]  # type: ignore[list-item]
    assert [repr(key[0]) for keys, _ in tree.batches() for key in keys] == list(map(repr, expected))
    assert len(tree) == len(expected)
    transaction.commit()


@pytest.mark.parametrize("kind", [TreeKind.RAW, TreeKind.TABLE, TreeKind.INDEX])
def test_runs_behind_the_last_key_make_full_leaves(store: Store, kind: TreeKind) -> None:
    """However many each has, and however long their values are: the last leaf before them is filled up first."""
    rng = Random(kind)
    transaction = store.begin(write=True)
    tree_id = 1 if kind is TreeKind.RAW else transaction.create_tree(kind)
    expected: dict[Key, Any] = {}
    at = 0
    for turn in range(25):
        count = rng.choice((1, 3, 9, 40, 300))
        size = rng.choice((1, 8, 60, 700)) if turn % 5 == 4 else 8
        keys: list[Key] = []
        for _ in range(count):
            at += rng.randrange(1, 5)
            keys.append(
                {TreeKind.RAW: b"%06d" % at, TreeKind.TABLE: at, TreeKind.INDEX: (at, "i")}[kind]
            )
        values: list[Any] = [b"v" * rng.randrange(size) for _ in keys]
        if kind is TreeKind.TABLE:
            values = [(value,) for value in values]
        transaction.tree(tree_id).load(keys, None if kind is TreeKind.INDEX else values)
        expected.update(zip(keys, values, strict=True))
        if rng.random() < 0.4:
            transaction.commit()
            transaction = store.begin(write=True)
    transaction.commit()
    reader = store.begin()
    tree: Any = reader.tree(tree_id)
    assert len(tree) == len(expected)
    found: dict[Key, Any] = {}
    for some, values in tree.batches():
        found.update(zip(some, values or [None] * len(some), strict=True))
    assert list(found) == list(expected)
    if kind is not TreeKind.INDEX:
        assert found == expected
