"""Rows changed and deleted by column: against a dict, whatever the leaves are and whatever comes between."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from btree import CorruptionError, StoreError, TreeKind, open_store
from btree.check import check_transaction, check_tree
from btree.codec import KeyForm, decode_node, encode_columns_page
from btree.column_codec import encode_column
from btree.disk import DiskStore
from btree.rewrite import Rewrite
from btree.rewritten_pages import LEAVES_MIN
from tests.btree.fake_pages import FakePages, counted_puts, drawn_limits, ended_by_chance

Rows = dict[Any, tuple[Any, ...]]


def _rows_of(tree: Any) -> Rows:
    return {key: row for keys, rows in tree.batches() for key, row in zip(keys, rows, strict=True)}


def _by_column(tree: Any) -> Rows:
    """The same by way of a scan of all columns."""
    return {
        values[0]: tuple(values[1:])
        for lists in tree.column_batches((-1, 0, 1, 2))
        for values in zip(*lists, strict=True)
    }


def _same(transaction: Any, tree_id: int, expected: Rows) -> None:
    tree = transaction.tree(tree_id)
    found = _by_column(tree)
    assert found == expected
    assert list(map(repr, found.values())) == list(map(repr, expected.values()))
    assert _rows_of(tree) == expected
    assert len(tree) == len(expected)
    for key in list(expected)[::97]:
        assert tree.get(key) == expected[key]
    assert check_tree(tree) == []


def _value(draw: Random, kind: int) -> Any:
    match kind:
        case 0:
            return draw.randrange(-100, 100)
        case 1:
            return draw.choice([draw.random() * 100, draw.randrange(1 << 40)])
        case 2:
            return float(draw.randrange(1000))
        case 3:
            return "x" * draw.randrange(12)
        case 4:
            return draw.choice([None, 1, 2.0, "three", b"four"])
        case _:
            return "long " * 300 if draw.random() < 0.02 else draw.randrange(5)


def _changed(tree: Any, rows: Rows, draw: Random) -> None:
    """Change or delete rows, in the tree and in the dict."""
    rewrite, before = tree.rewrite(), list(rows)
    column, read = draw.randrange(3), draw.choice([(-1,), (-1, 0), (2, -1), (-1, 0, 1, 2)])
    step, first = draw.choice([1, 2, 10, 10, 50]), draw.randrange(10)
    kind, gone = draw.randrange(6), draw.random() < 0.4
    start = stop = None
    if rows and draw.random() < 0.4:
        start, stop = sorted(draw.choices(sorted(rows), k=2))
    seen = []
    for batch in rewrite.batches(read, start, stop):
        keys = batch.lists[read.index(-1)]
        assert len(keys) == batch.count
        seen += keys
        chosen: Any = range(batch.count)
        if start is None or draw.random() < 0.3:
            chosen = chosen[first % max(batch.count, 1) :: step]
            if draw.random() < 0.5:
                chosen = list(chosen)
            if gone and draw.random() < 0.8:
                chosen = chosen[: len(chosen) // 2 + 1]
        if not chosen:
            continue
        batch.choose(chosen)
        for other in (0, 1, 2):
            assert list(batch.values(other)) == [rows[keys[at]][other] for at in chosen]
        new = [_value(draw, kind) for _ in chosen]
        if gone:
            batch.delete()
        else:
            batch.set({column: new}, {column: set(map(type, new))})
        for at, value in zip(chosen, new, strict=True):
            if gone:
                del rows[keys[at]]
            else:
                row = rows[keys[at]]
                rows[keys[at]] = (*row[:column], value, *row[column + 1 :])
    rewrite.finish()
    expected = [key for key in before if start is None or start <= key < stop]
    assert seen == sorted(expected)


def _filled(draw: Random, count: int, kind: TreeKind) -> Rows:
    gap = draw.choice([1, 1, 3, 1000])
    kinds = [draw.randrange(5) for _ in range(3)]
    keys = [n * gap for n in range(count)]
    if kind is TreeKind.CLUSTERED:
        made = {(n,): (n, *[_value(draw, kind) for kind in kinds[1:]]) for n in keys}
        return made if draw.random() < 0.5 else {key: ("x", *row[1:]) for key, row in made.items()}
    if draw.random() < 0.3:
        return {key: (key, *[_value(draw, kind) for kind in kinds[1:]]) for key in keys}
    return {key: tuple([_value(draw, kind) for kind in kinds]) for key in keys}


@pytest.mark.parametrize("seed", range(60))
def test_rows_are_what_a_dict_says(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Random(seed)
    monkeypatch.setattr("btree.rewritten_pages.LEAVES_MIN", draw.choice([1, 8, LEAVES_MIN]))
    monkeypatch.setattr("btree.rewritten_pages.ROWS_MIN", draw.choice([1, 100]))
    monkeypatch.setattr("btree.rewritten_pages.SPARSE", draw.choice([32, 10_000]))
    by_page = counted_puts(monkeypatch, Rewrite)
    file, options = drawn_limits(draw)
    store = DiskStore(FakePages(file), "x", **options)  # type: ignore[arg-type]
    writing = store.begin(write=True)
    kind = draw.choice([TreeKind.TABLE, TreeKind.TABLE, TreeKind.CLUSTERED])
    tree_id = writing.create_tree(kind)
    rows = _filled(draw, draw.choice([30, 3000]), kind)
    writing.tree(tree_id).load(list(rows), list(rows.values()))
    writing.commit()
    if draw.random() < 0.8:
        store.checkpoint()
    for _ in range(12):
        reader, before = store.begin(), dict(rows)
        if draw.random() < 0.5:
            _same(reader, tree_id, before)
        writing = store.begin(write=True)
        tree = writing.tree(tree_id)
        scan, scanned = tree.batches(), dict(rows)
        if draw.random() < 0.3:
            for key in draw.sample(sorted(rows), min(len(rows), 20)):
                tree.put(key, rows.setdefault(key, rows[key]))
        _changed(tree, rows, draw)
        kept = dict(rows)
        if draw.random() < 0.5:
            savepoint = writing.savepoint()
            for _ in range(draw.randrange(1, 3)):
                _changed(tree, rows, draw)
            if draw.random() < 0.6:
                writing.rollback_to(savepoint)
                rows = kept
            writing.release(savepoint)
        for key in draw.sample(sorted(rows), min(len(rows), 5)):
            assert tree.delete(key)
            del rows[key]
        if draw.random() < 0.3:
            _same(writing, tree_id, rows)
        assert {key for keys, _ in scan for key in keys} == set(scanned)
        if not ended_by_chance(writing, file, draw):
            rows = before
        _same(reader, tree_id, before)
        reader.rollback()
        if draw.random() < 0.3:
            store = DiskStore(FakePages(file), "x", **options)  # type: ignore[arg-type]
        reader = store.begin()
        _same(reader, tree_id, rows)
        assert check_transaction(reader) == []
        reader.rollback()
    # Where fewer than eight rows fill a page, they are not kept by column.
    assert any(by_page) or len(rows) < 1000 or options["page_bytes"] < 512


def _store(path: Path, count: int = 30_000) -> tuple[DiskStore, int, Rows]:
    store = open_store(str(path), durability="off")
    assert isinstance(store, DiskStore)
    writing = store.begin(write=True)
    tree_id = writing.create_tree(TreeKind.TABLE)
    rows = {n: (n, n / 2, f"row {n}") for n in range(count)}
    writing.tree(tree_id).load(list(rows), list(rows.values()))
    writing.commit()
    return store, tree_id, rows


def test_pages_are_written_under_their_own_numbers_and_another_handle_sees_them(
    tmp_path: Path,
) -> None:
    store, tree_id, rows = _store(tmp_path / "a.kvsh")
    pages = store.begin().all_pages()
    writing = store.begin(write=True)
    _some_changed(writing.tree(tree_id), rows)
    writing.commit()
    assert store.begin().all_pages() == pages
    other = open_store(str(tmp_path / "a.kvsh"), durability="off")
    for handle in (store, other):
        reading = handle.begin()
        _same(reading, tree_id, rows)
        reading.rollback()
        assert list(handle.check()) == []
        handle.close()


def _some_changed(tree: Any, rows: Rows, step: int = 10) -> None:
    rewrite = tree.rewrite()
    for batch in rewrite.batches((-1,)):
        chosen = [at for at, key in enumerate(batch.lists[0]) if key % step == 0]
        batch.choose(chosen)
        new = [-value for value in batch.values(1)]
        batch.set({1: new}, {1: {float}})
        for at, value in zip(chosen, new, strict=True):
            key = batch.lists[0][at]
            rows[key] = (key, value, rows[key][2])
    rewrite.finish()


def test_a_rollback_to_a_savepoint_puts_the_pages_back(tmp_path: Path) -> None:
    store, tree_id, rows = _store(tmp_path / "a.kvsh")
    writing = store.begin(write=True)
    tree = writing.tree(tree_id)
    _some_changed(tree, rows)
    first = dict(rows)
    savepoint = writing.savepoint()
    _some_changed(tree, rows)
    _some_changed(tree, rows)
    writing.rollback_to(savepoint)
    _same(writing, tree_id, first)
    tree.put(5, (5, 5.0, "five"))
    first[5] = (5, 5.0, "five")
    writing.commit()
    store.close()
    store = open_store(str(tmp_path / "a.kvsh"), durability="off")  # type: ignore[assignment]
    _same(store.begin(), tree_id, first)
    store.close()


def test_a_value_that_can_not_be_stored_is_an_error_of_the_store(tmp_path: Path) -> None:
    store, tree_id, rows = _store(tmp_path / "a.kvsh")
    writing = store.begin(write=True)
    savepoint = writing.savepoint()
    with pytest.raises(StoreError):
        for batch in (rewrite := writing.tree(tree_id).rewrite()).batches((-1,)):
            batch.choose(range(batch.count))
            batch.set({2: ["\ud800"] * batch.count}, {2: {str}})
        rewrite.finish()
    writing.rollback_to(savepoint)
    writing.commit()
    _same(store.begin(), tree_id, rows)
    store.close()


def test_a_tree_that_was_just_opened_is_changed_without_a_node_of_its_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tree_id, rows = _store(tmp_path / "a.kvsh", 90_000)  # more than one branch of leaves
    store.close()
    store = open_store(str(tmp_path / "a.kvsh"), durability="off")  # type: ignore[assignment]
    writing = store.begin(write=True)
    with monkeypatch.context() as patched:
        patched.setattr(Rewrite, "later", None)
        for _ in range(2):
            _some_changed(writing.tree(tree_id), rows)
    writing.commit()
    _same(store.begin(), tree_id, rows)
    store.close()


def test_few_changes_are_committed_as_redo(tmp_path: Path) -> None:
    store, tree_id, rows = _store(tmp_path / "a.kvsh", 2000)
    writing = store.begin(write=True)
    _some_changed(writing.tree(tree_id), rows)
    writing.commit()
    assert store.pending_commits() == 1
    _same(store.begin(), tree_id, rows)
    store.close()


def test_sparse_changes_go_to_pages_once_and_are_redo_from_then_on(tmp_path: Path) -> None:
    store, tree_id, rows = _store(tmp_path / "a.kvsh", 250_000)
    pending = []
    for _ in range(2):
        writing = store.begin(write=True)
        _some_changed(writing.tree(tree_id), rows, 100)
        writing.commit()
        pending.append(store.pending_commits())
    assert pending == [0, 1]
    _same(store.begin(), tree_id, rows)
    store.close()


def test_sparse_changes_whose_nodes_would_have_no_room_go_to_pages_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tree_id, rows = _store(tmp_path / "a.kvsh", 250_000)
    store.close()
    small = open_store(str(tmp_path / "a.kvsh"), durability="off", cache_bytes=8 << 20)
    assert isinstance(small, DiskStore)
    by_page = counted_puts(monkeypatch, Rewrite)
    for _ in range(3):
        writing = small.begin(write=True)
        _some_changed(writing.tree(tree_id), rows, 100)
        writing.commit()
        assert small.pending_commits() == 0
    assert len(by_page) > 2500
    assert all(by_page)
    # A scan finds them one after the other; keys are looked up in their leaves alone.
    for _ in range(2):
        by_page.clear()
        writing = small.begin(write=True)
        rewrite = writing.tree(tree_id).rewrite()
        keys = list(rows)[::100]
        for batch in rewrite.rows(keys):
            new = [rows[key][1] + 1 for key in batch.values(-1)]
            batch.set({1: new}, {1: {float}})
        rewrite.finish()
        rows.update({key: (rows[key][0], rows[key][1] + 1, rows[key][2]) for key in keys})
        writing.commit()
        assert len(by_page) > 900
    _same(small.begin(), tree_id, rows)
    small.close()


@pytest.mark.parametrize("gone", [[], [3, 3], [4, 2], [-1], [8], [1 << 63]])
def test_deleted_slots_that_make_no_sense_are_corruption(gone: list[int]) -> None:
    columns = [encode_column(list(range(8))), encode_column(["a"] * 8)]
    payload = encode_columns_page(TreeKind.TABLE, KeyForm.CONSECUTIVE, 1, columns, [1])
    node = decode_node(TreeKind.TABLE, payload, 1, 0)
    assert node.keys == [1, *range(3, 9)]
    whole = encode_columns_page(TreeKind.TABLE, KeyForm.CONSECUTIVE, 1, columns, gone or [1])
    if not gone:
        whole = whole[:-2] + b"\x90"
    with pytest.raises(CorruptionError):
        decode_node(TreeKind.TABLE, whole, 1, 0)


@pytest.mark.parametrize("stop", [350, 20_000, 29_990, None])
@pytest.mark.parametrize("step", [1, 3, 450])
def test_rows_at_equal_distances_go_up_to_where_the_range_ends(
    step: int, stop: int | None, tmp_path: Path
) -> None:
    store, tree_id, rows = _store(tmp_path / "a.kvsh")
    writing = store.begin(write=True)
    rewrite = writing.tree(tree_id).rewrite()
    assert rewrite is not None
    for batch in rewrite.batches((-1,), 5, stop):
        # The last ones of each batch stay, in the midst of a leaf.
        chosen = range(2, batch.count - 20, step)
        if chosen:
            for key in batch.lists[0][2 : batch.count - 20 : step]:
                del rows[key]
            batch.choose(chosen)
            batch.delete()
    rewrite.finish()
    _same(writing, tree_id, rows)
    writing.commit()
    store.close()
