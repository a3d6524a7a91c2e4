"""Look-ups and ranges in packed leaves of indexes, against a sorted list of the keys."""

from __future__ import annotations

import random
from bisect import bisect_left
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btree import open_store
from btree.column_codec import encode_column, values_to_search
from btree.order import MAX, in_order, order_key, search_left
from btree.packed import PackedLeaf
from btree.packed_keys import PackedKeys, key_parts, picked_keys
from btree.protocols import TreeKind

few = st.integers(-3, 3) | st.sampled_from([0.5, 2.0, -1e300])
parts = {
    "integers": st.integers(-3, 3),
    "long integers": st.integers(-(2**63), 2**63 - 1),
    "numbers": few,
    "texts": st.text("ab", max_size=3),
    "mixed": st.none() | few | st.text("ab", max_size=2) | st.binary(max_size=2),
}


@st.composite
def leaves(draw: st.DrawFn) -> tuple[list[Any], list[Any]]:
    """A leaf's keys, and keys or prefixes to look for."""
    of_parts = [parts[draw(st.sampled_from(list(parts)))] for _ in range(draw(st.integers(1, 2)))]
    keys = draw(st.lists(st.tuples(*of_parts), min_size=1, max_size=30))
    keys = in_order([(*key, number) for number, key in enumerate(keys)])
    wanted = [key[: draw(st.integers(0, len(key)))] for key in keys]
    wanted += [(*key, MAX) for key in wanted]
    wanted += draw(st.lists(st.tuples(parts["mixed"]) | st.tuples(*of_parts), max_size=5))
    return keys, wanted


@settings(max_examples=300, deadline=None)
@given(leaves())
def test_a_leaf_by_column_is_searched_as_a_list_is(leaf: tuple[list[Any], list[Any]]) -> None:
    keys, wanted = leaf
    packed = PackedKeys([values_to_search(encode_column(part)) for part in zip(*keys, strict=True)])
    assert list(packed) == packed[0 : len(keys)] == keys
    for key in wanted:
        assert packed.slot_of(key) == search_left(keys, key)
        if not key or key[-1] is MAX:
            continue
        expected = [there for there in keys if order_key(there[: len(key)]) == order_key(key)]
        try:
            found = packed.prefixed(key)
        except TypeError:
            continue
        lasts = packed.last_parts(key)
        assert lasts == (None if found is None else [there[-1] for there in found])
        assert (
            found == expected
            if found is not None
            else keys[-1:] == expected[-1:] or (order_key(key) > order_key(keys[-1]))
        )


def _value(kind: str, draw: random.Random) -> Any:
    match kind:
        case "integer":
            return draw.randrange(400)
        case "text":
            return f"é{draw.randrange(500)}"
        case "real":
            return draw.randrange(300) / 4
        case _:
            return draw.choice([None, None, draw.randrange(50), 2.5, "x", "y", b"z"])


@pytest.mark.parametrize(
    "kinds", [["integer"], ["text"], ["real"], ["mixed"], ["integer", "text"], ["mixed", "integer"]]
)
def test_an_index_that_was_just_opened(tmp_path: Path, kinds: list[str]) -> None:
    draw = random.Random(len(kinds))
    keys = [(*[_value(kind, draw) for kind in kinds], number) for number in range(3000)]
    keys = in_order(keys)
    ranks = list(map(order_key, keys))
    path = str(tmp_path / "db")
    store: Any = open_store(path, durability="off")
    with_keys = store.begin(write=True)
    tree_id = with_keys.create_tree(TreeKind.INDEX)
    with_keys.tree(tree_id).load(keys)
    with_keys.commit()
    store.close()

    store = open_store(path, durability="off")
    tree = store.begin().tree(tree_id)
    assert (tree.first(), tree.last()) == ((keys[0], True), (keys[-1], True))
    width, said, spans, across = len(kinds), 0, 0, 0
    for at in range(0, len(keys), 41):
        key = draw.choice(keys)
        for size in range(1, width + 2):
            prefix = key[:size]
            rank = order_key(prefix)
            expected = [k for k in keys if order_key(k[:size]) == rank]
            found = tree.prefixed(prefix)
            assert found is None or found == expected
            said += found is not None
            lasts = tree.last_parts(prefix)
            assert lasts == [k[-1] for k in expected] or (found is None and lasts is None)
            low = bisect_left(ranks, rank)
            following = tree.following(prefix, 5)
            assert following is None or following == keys[low : low + 5]
            beyond = tree.following(prefix, 5, beyond=True)
            assert beyond is None or beyond == keys[low + len(expected) :][:5]
            for inclusive in (False, True):
                before = keys[: low + inclusive * len(expected)][::-1]
                for count in (1, 4):
                    preceding = tree.preceding(prefix, count, inclusive=inclusive)
                    assert preceding is None or preceding == before[:count]
            for place in (lambda key: key[::-1], lambda key: (key[-1],)):  # of columns, too
                for count in (5, 700):
                    following = tree.following(prefix, count, pick=place)
                    assert following is None or following == [*map(place, keys[low : low + count])]
                    preceding = tree.preceding(prefix, count, pick=place)
                    assert preceding is None or preceding == [
                        *map(place, keys[max(low - count, 0) : low][::-1])
                    ]
                    across += following is not None and preceding is not None and count == 700
                span = tree.between(prefix, keys[min(at + 300, len(keys) - 1)])
                assert span is None or picked_keys(span, place) == [*map(place, span)]
            batches = tree.batches(prefix, prefix, hi_inclusive=True)
            assert [k for found, _ in batches for k in found] == expected
            other = keys[min(at + 300, len(keys) - 1)]
            near = keys[min(at + 20, len(keys) - 1)]
            for ends in ((False, False), (True, False), (False, True), (True, True)):
                options = dict(zip(("lo_inclusive", "hi_inclusive"), ends, strict=True))
                for end in (near[:size], other[:size]):
                    span = tree.between(prefix, end, **options)
                    if span is None:
                        continue
                    spans += 1
                    batches = tree.batches(prefix, end, **options)
                    inside = [k for found, _ in batches for k in found]
                    assert ([*span], len(span)) == (inside, len(inside))
                    assert span[1:3] == inside[1:3]
                    assert [*span[::-1]] == inside[::-1] and [*span[::-1][::-1]] == inside
                    assert key_parts(span[::-1], 0) == [k[0] for k in inside[::-1]]
                    assert [*key_parts(span, -1)] == [k[-1] for k in inside]
                    assert [*key_parts(span, 0)] == [k[0] for k in inside]
            for reverse in (False, True):
                batches = tree.batches(prefix, other, lo_inclusive=False, reverse=reverse)
                within = keys[low + len(expected) : bisect_left(ranks, order_key(other))]
                found = [*batches]
                inside = within[:: -1 if reverse else 1]
                assert [k for keys_, _ in found for k in keys_] == inside
                assert [part for keys_, _ in found for part in key_parts(keys_, 0)] == [
                    k[0] for k in inside
                ]
        assert (*key[:-1], -1) not in tree
        assert key in tree
    for count in (1, 5):
        assert tree.following((), count) == keys[:count]
        assert tree.preceding((), count, inclusive=True) == keys[: -count - 1 : -1]
        assert tree.preceding((), count) is None
        assert tree.following((), count, beyond=True) is None
    assert said > 40 or kinds[0] == "mixed"  # whose branches take the slow path
    assert across > 10
    assert spans > 40
    wanted = in_order({key[:width] for key in keys[::3]})
    for prefix, many in zip(wanted, tree.prefixed_many(wanted), strict=True):
        assert many == [k for k in keys if order_key(k[:width]) == order_key(prefix)]
    packed = [child for child in tree.root.children if child.__class__ is PackedLeaf]
    assert len(packed) > len(tree.root.children) // 2
    assert [k for found, _ in tree.batches() for k in found] == keys
    assert store.check() == []

    changing = store.begin(write=True)
    changed = changing.tree(tree_id)
    gone, put = keys[::50], [(*key[:-1], key[-1] + 10_000) for key in keys[::70]]
    for key in gone:
        assert changed.delete(key)
        assert not changed.delete(key)
    for key in put:
        assert changed.insert(key)
        assert not changed.insert(key)
    expected = in_order({*keys, *put} - {*gone})
    assert [k for found, _ in changed.batches() for k in found] == expected
    changing.commit()
    assert [k for found, _ in tree.batches() for k in found] == keys
    assert [k for found, _ in store.begin().tree(tree_id).batches() for k in found] == expected
    assert store.check() == []
    store.close()


def test_a_small_cache_lets_packed_leaves_go(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    store: Any = open_store(path, durability="off")
    with_keys = store.begin(write=True)
    tree_id = with_keys.create_tree(TreeKind.INDEX)
    keys = [(number * 3, f"{number:09d}", number) for number in range(60_000)]
    with_keys.tree(tree_id).load(keys)
    with_keys.commit()
    store.close()

    budget = 1 << 20
    store = open_store(path, durability="off", cache_bytes=budget)
    tree = store.begin().tree(tree_id)
    draw = random.Random(3)
    for _ in range(3000):
        key = draw.choice(keys)
        found = tree.prefixed(key[:1])
        assert found is None or found == [key]
        assert store.cache.used_bytes < budget * 1.5
    assert store.cache.evictions
    store.close()
