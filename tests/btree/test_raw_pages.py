"""Look-ups of raw keys in leaves that are not in memory: found in the bytes of their pages, or decoded."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from btree import RAW_TREE_ID, open_store
from btree.codec import encode_node
from btree.node import new_leaf
from btree.protocols import TreeKind
from btree.raw_pages import _ABSENT, _UNKNOWN, RecentPages, value_in
from tests.threads import in_threads

ABSENT = object()


def _page(entries: dict[bytes, Any]) -> bytes:
    keys = sorted(entries)
    return encode_node(TreeKind.RAW, new_leaf(keys, [entries[key] for key in keys], None))


def _drawn(rng: random.Random, lengths: list[int]) -> bytes:
    # Few different bytes, and those of which heads are made: keys lie across others and over heads.
    alphabet = rng.choice([b"\xc4\x04", b"\xc4\xc5\x00\x02\x03", b"ab", bytes(range(256))])
    return bytes(rng.choices(alphabet, k=rng.choice(lengths)))


@pytest.mark.parametrize("seed", range(60))
def test_a_page_tells_what_is_in_it(seed: int) -> None:
    rng = random.Random(seed)
    of_keys = rng.choice([[4], [16], [0, 1, 2, 3, 4], [255], [256], [300], [250, 260]])
    of_values = rng.choice([[0], [3], [100], [255], [256], [300], [0, 7], [200, 300], [255, 256]])
    count = rng.choice([1, 2, 14, 15, 16, 17, 60, 256])
    entries: dict[bytes, Any] = {_drawn(rng, of_keys): _drawn(rng, of_values) for _ in range(count)}
    if rng.random() < 0.2:
        key = rng.choice(sorted(entries))
        entries[key] = (entries[key], 1 << 40)
    page = _page(entries)
    found = {key: value_in(page, key) for key in entries}
    assert found == entries
    for _ in range(300):
        key = _drawn(rng, [*of_keys, 1, 4])
        assert value_in(page, key) == entries.get(key, _ABSENT)
    whole = b"".join(sorted(entries))
    for at in range(0, len(whole), 7):
        key = whole[at : at + of_keys[0]]
        assert value_in(page, key) == entries.get(key, _ABSENT)


@pytest.mark.parametrize("seed", range(20))
def test_a_page_that_is_none_gives_no_value_that_is_not_there(seed: int) -> None:
    """Whatever is cut off or changed: an answer, or that it is to be decoded, where the damage is told."""
    rng = random.Random(seed)
    entries = {b"%06d" % rng.randrange(10**6): b"v" * rng.choice([20, 20, 300]) for _ in range(60)}
    page = _page(entries)
    for cut in range(0, len(page), 3):
        for key in rng.sample(sorted(entries), 3):
            assert value_in(page[:cut], key) is _UNKNOWN
    for _ in range(500):
        damaged = bytearray(page)
        damaged[rng.randrange(13)] ^= 1 << rng.randrange(8)
        value_in(bytes(damaged), rng.choice(sorted(entries)))


def test_pages_that_were_asked_for_last_stay() -> None:
    pages = RecentPages()
    for location in range(10):
        pages.keep(location, b"%d" % location * 100)
    assert pages.keep(3, b"again") == 0
    assert pages.get(0) == b"0" * 100
    most = pages.bytes
    dropped = pages.drop(most / 2)
    assert dropped >= most / 2
    assert pages.bytes == most - dropped
    assert [location for location in range(10) if pages.get(location)] == [0, 6, 7, 8, 9]
    pages.clear()
    assert pages.bytes == len(pages) == 0


@pytest.mark.parametrize("seed", range(6))
def test_a_tree_larger_than_the_cache_is_what_a_model_says(tmp_path: Path, seed: int) -> None:
    """With values of all lengths, with commits in between and readers of before them."""
    rng = random.Random(seed)
    cache_bytes = 3 << 17
    store: Any = open_store(tmp_path / "db", durability="off", cache_bytes=cache_bytes)
    lengths = rng.choice([[20], [5, 50, 500], [30, 30, 30, 30, 9000]])
    keys = [b"%0*d" % (rng.choice([6, 9]), number * 7919 % 10**6) for number in range(12_000)]
    model: dict[bytes, Any] = {key: bytes(rng.choice(lengths)) for key in keys}
    transaction = store.begin(write=True)
    tree = transaction.tree(RAW_TREE_ID)
    order = sorted(model)
    tree.load(order, [model[key] for key in order])
    transaction.commit()
    store.checkpoint()
    most = kept = 0
    for _ in range(12):
        reader, model_then = store.begin(), dict(model)
        transaction = store.begin(write=True)
        for _ in range(rng.choice([1, 40, 400])):
            key = rng.choice(order)
            if rng.random() < 0.3:
                assert transaction.delete_raw(key) == (model.pop(key, None) is not None)
            else:
                model[key] = b"%d" % rng.randrange(10**6) * rng.choice([1, 4])
                transaction.put_raw(key, model[key])
        transaction.commit()
        if rng.random() < 0.3:
            store.checkpoint()
        for seen, content in ((reader, model_then), (store.begin(), model)):
            tree = seen.tree(RAW_TREE_ID)
            for key in rng.sample(order, 300):
                assert tree.get(key, ABSENT) == content.get(key, ABSENT)
                assert (key in tree) == (key in content)
                assert tree.get(key + b"!", ABSENT) is ABSENT
        kept = max(kept, len(store.cache.pages))
        most = max(most, store.cache.pages.bytes)
    assert kept > 5
    assert most < cache_bytes
    assert store.check() == []
    store.close()


def test_threads_look_up_beside_each_other(tmp_path: Path) -> None:
    store: Any = open_store(tmp_path / "db", durability="off", cache_bytes=1 << 19)
    keys = [b"%06d" % number for number in range(40_000)]
    transaction = store.begin(write=True)
    transaction.tree(RAW_TREE_ID).load(keys, [key * 5 for key in keys])
    transaction.commit()
    store.close()
    store = open_store(tmp_path / "db", durability="off", cache_bytes=1 << 19)

    def look(seed: int) -> None:
        tree = store.begin().tree(RAW_TREE_ID)
        rng = random.Random(seed)
        for _ in range(1500):
            key = rng.choice(keys)
            assert tree.get(key) == key * 5

    in_threads(*[partial(look, seed) for seed in range(4)])
    assert len(store.cache.pages) > 0
    assert store.cache.pages.bytes < 1 << 19
    store.close()
