"""The difference of two states of a tree, and its reversal."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from btree import Tree, TreeKind, open_memory
from kvsh.difference import difference, reverse

KEYS = st.integers(0, 60)
VALUES = st.one_of(st.none(), st.integers(0, 3), st.floats(0, 3), st.text(max_size=2))


def contents(tree: Tree) -> dict[Any, Any]:
    return {
        key: value
        for keys, values in tree.batches()
        for key, value in zip(keys, values, strict=True)
    }


@settings(deadline=None, max_examples=60)
@given(
    before=st.dictionaries(KEYS, VALUES, max_size=40),
    after=st.dictionaries(KEYS, VALUES, max_size=40),
    limit=st.integers(2, 8),
)
def test_the_reverse_of_a_difference_restores_the_old_state(
    before: dict[int, Any], after: dict[int, Any], limit: int
) -> None:
    store = open_memory(leaf_limit=limit, branch_limit=4)
    writer = store.begin(write=True)
    tree_id = writer.create_tree(TreeKind.TABLE)
    for key, value in before.items():
        writer.tree(tree_id).put(key, (value,))
    writer.commit()
    old = store.begin()
    writer = store.begin(write=True)
    tree = writer.tree(tree_id)
    for key in before.keys() - after.keys():
        tree.delete(key)
    for key, value in after.items():
        tree.put(key, (value,))
    found = difference(old.tree(tree_id).batches(), tree.batches())
    assert set(found.removed) == before.keys() - after.keys()
    assert set(found.added) == after.keys() - before.keys()
    for key, (was, now) in found.changed.items():
        assert (was, now) == ((before[key],), (after[key],))
    reverse(tree, found)
    assert repr(contents(tree)) == repr(dict(sorted((k, (v,)) for k, v in before.items())))


def test_unchanged_leaves_are_passed_over() -> None:
    store = open_memory()
    writer = store.begin(write=True)
    tree_id = writer.create_tree(TreeKind.TABLE)
    writer.tree(tree_id).load(list(range(20_000)), [(i,) for i in range(20_000)])
    writer.commit()
    old = store.begin()
    writer = store.begin(write=True)
    writer.tree(tree_id).put(777, ("new",))
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    found = difference(old.tree(tree_id).batches(), writer.tree(tree_id).batches(), count)
    assert found.changed == {777: ((777,), ("new",))} and len(found) == 1
    assert steps < 1000


def test_a_number_of_another_kind_is_a_change() -> None:
    assert difference(iter([([1], [(1,)])]), iter([([1], [(1.0,)])])).changed == {1: ((1,), (1.0,))}
    assert difference(None, iter([([1], [(1,)])])).added == {1: (1,)}
