"""Entries of an index removed and put page by page: against a set, whatever the leaves are and whatever comes
between."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from btree import CorruptionError, TreeKind
from btree.check import check_transaction, check_tree
from btree.codec import encode_node, index_columns
from btree.disk import DiskStore
from btree.node import new_leaf
from btree.order import in_order, order_key
from btree.rewritten_pages import RewrittenPages
from tests.btree.fake_pages import FakeFile, FakePages, counted_puts, drawn_limits, ended_by_chance

Entries = dict[tuple[Any, ...], tuple[Any, ...]]


def _part(draw: Random, kind: int) -> Any:
    match kind:
        case 0:
            return draw.randrange(40)
        case 1:
            return draw.randrange(1 << draw.choice([3, 20, 40]))
        case 2:
            return draw.random() * 100
        case 3:
            return "text " * draw.randrange(3) + str(draw.randrange(300))
        case 4:
            return draw.choice([None, 1, 1.0, 2.5, "three", b"four", draw.randrange(1000)])
        case _:
            return "long " * 300 if draw.random() < 0.03 else draw.randrange(5)


def _same(transaction: Any, tree_id: int, expected: Entries) -> None:
    tree = transaction.tree(tree_id)
    found = [key for keys, _ in tree.batches() for key in keys]
    ordered = in_order(list(expected))
    assert found == ordered
    assert list(map(repr, found)) == [repr(expected[key]) for key in ordered]
    assert len(tree) == len(expected)
    for key in ordered[::97]:
        assert key in tree
    assert check_tree(tree) == []


def _changed(tree: Any, entries: Entries, draw: Random, kinds: list[int]) -> bool:
    """Change entries, in the tree and in the dict; whether that was done by page."""
    there = in_order(list(entries))
    if draw.random() < 0.3 and there:
        low, high = sorted(draw.choices(range(len(there) + 1), k=2))
        gone = there[low:high]
    else:
        gone = there[draw.randrange(10) :: draw.choice([1, 2, 10, 10, 50])]
    new: list[tuple[Any, ...]] = []
    if draw.random() < 0.7:
        # Entries of the same rows, or of new ones.
        first = max([key[-1] for key in there], default=0) + 1
        rows = [key[-1] for key in gone] if draw.random() < 0.7 else range(first, first + 500)
        new = [(*[_part(draw, kind) for kind in kinds], row) for row in rows]
    kept = {key: entry for key, entry in entries.items() if key not in set(gone)}
    new = [entry for entry in dict.fromkeys(new) if entry not in kept]
    new.sort(key=order_key)
    done = bool(tree.rewrite().change_entries(gone, new))
    if not done:
        tree.delete_many(gone)
        tree.load(new)
    for key in gone:
        del entries[key]
    entries.update((entry, entry) for entry in new)
    return done


@pytest.mark.parametrize("seed", range(24))
def test_entries_are_what_a_set_says(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Random(seed)
    monkeypatch.setattr("btree.rewritten_pages.LEAVES_MIN", 2)
    monkeypatch.setattr("btree.rewrite_entries.LEAVES_MIN", 2)
    monkeypatch.setattr("btree.rewritten_pages.ROWS_MIN", draw.choice([1, 100]))
    monkeypatch.setattr("btree.rewritten_pages.SPARSE", draw.choice([32, 10_000]))
    written = counted_puts(monkeypatch, RewrittenPages)
    file, options = drawn_limits(draw)
    store = DiskStore(FakePages(file), "x", **options)  # type: ignore[arg-type]
    writing = store.begin(write=True)
    tree_id = writing.create_tree(TreeKind.INDEX)
    kinds = [draw.randrange(6) for _ in range(draw.choice([1, 1, 2]))]
    made = [(*[_part(draw, kind) for kind in kinds], row) for row in range(draw.choice([30, 3000]))]
    made.sort(key=order_key)
    entries = {entry: entry for entry in made}
    runs = [list(zip(*run, strict=True)) for run in (made[:1000], made[1000:]) if run]
    writing.tree(tree_id).build(runs)
    writing.commit()
    if draw.random() < 0.8:
        store.checkpoint()
    for _ in range(8):
        reader, before = store.begin(), dict(entries)
        writing = store.begin(write=True)
        tree = writing.tree(tree_id)
        scan = tree.batches()
        _changed(tree, entries, draw, kinds)
        kept = dict(entries)
        if draw.random() < 0.5:
            savepoint = writing.savepoint()
            for _ in range(draw.randrange(1, 3)):
                _changed(tree, entries, draw, kinds)
            if draw.random() < 0.6:
                writing.rollback_to(savepoint)
                entries = kept
            writing.release(savepoint)
        for key in draw.sample(in_order(list(entries)), min(len(entries), 5)):
            assert tree.delete(key)
            del entries[key]
        if draw.random() < 0.3:
            _same(writing, tree_id, entries)
        assert {key for keys, _ in scan for key in keys} == set(before)
        if not ended_by_chance(writing, file, draw):
            entries = before
        _same(reader, tree_id, before)
        reader.rollback()
        if draw.random() < 0.3:
            store = DiskStore(FakePages(file), "x", **options)  # type: ignore[arg-type]
        reader = store.begin()
        _same(reader, tree_id, entries)
        assert check_transaction(reader) == []
        reader.rollback()
    assert any(written) or len(made) < 100 or options["page_bytes"] < 512


def test_an_entry_of_another_class_takes_the_place_of_an_equal_one() -> None:
    file = FakeFile(redo_max=0)
    store = DiskStore(FakePages(file), "x", page_bytes=512)  # type: ignore[arg-type]
    writing = store.begin(write=True)
    tree_id = writing.create_tree(TreeKind.INDEX)
    writing.tree(tree_id).build([[list(range(20_000))] * 2])
    writing.commit()
    store.checkpoint()
    writing = store.begin(write=True)
    old = [(n, n) for n in range(0, 20_000, 7)]
    new = [(float(n), n) for n in range(0, 20_000, 7)]
    assert writing.tree(tree_id).rewrite().change_entries(old, new)
    writing.commit()
    _same(store.begin(), tree_id, {(n, n): (n if n % 7 else float(n), n) for n in range(20_000)})


@pytest.mark.parametrize("seed", range(20))
def test_damaged_pages_are_errors(seed: int) -> None:
    draw = Random(seed)
    leaf = new_leaf([(n, f"row {n}", n) for n in range(50)], None, None)
    page = bytearray(encode_node(TreeKind.INDEX, leaf))
    assert index_columns(bytes(page), 7) is not None
    page[draw.randrange(8)] ^= 1 << draw.randrange(8)
    try:
        index_columns(bytes(page), 7)
    except CorruptionError as error:
        assert "page 7" in str(error)
