"""Columns that a tree is given after its rows: against dicts, whatever the pages lack and whoever reads them."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from btree import CorruptionError, TreeKind, open_memory, open_store, repair
from btree.added import Added
from btree.check import check_transaction
from btree.codec import KeyForm, decode_node, encode_columns_page, encode_node
from btree.column_codec import encode_column
from btree.column_pages import joined, open_pages
from btree.directory import decode_directory
from btree.disk import DiskStore
from btree.node import new_leaf
from tests.btree.fake_pages import FakeFile, FakePages, drawn_limits

Rows = dict[Any, tuple[Any, ...]]
ADDED = (None, 7, -1.5, "seven", b"\x00", 1 << 40, "")


def _value(draw: Random) -> Any:
    return draw.choice([None, 3, 2.5, "text", b"blob", draw.randrange(1 << 20), "x" * 40])


def _row(draw: Random, width: int, key: Any, *, large: bool) -> tuple[Any, ...]:
    row = [_value(draw) for _ in range(width)]
    if large:  # the keys stand in a column, too
        row[-1] = key if isinstance(key, int) else key[0]
        if not isinstance(key, int) and width > 2:
            row[-2] = key[1]
    if large and draw.random() < 0.02:
        row[0] = "large " * 500
    return tuple(row)


def _same(transaction: Any, tree_id: int, rows: Rows, width: int, draw: Random) -> None:
    tree = transaction.tree(tree_id)
    assert len(tree) == len(rows)
    ways = draw.sample(range(4), 2)
    wanted = sorted(rows)
    if 0 in ways:
        found = {
            key: row for keys, some in tree.batches() for key, row in zip(keys, some, strict=True)
        }
        assert repr(sorted(found.items(), key=lambda item: item[0])) == repr(
            [(key, rows[key]) for key in wanted]
        )
    if 1 in ways and rows:
        columns = draw.sample(range(width), min(3, width))
        lists = [list(part) for part in zip(*tree.column_batches((-1, *columns)), strict=True)]
        flat = [[value for batch in part for value in batch] for part in lists]
        assert flat[0] == wanted
        for column, values in zip(columns, flat[1:], strict=True):
            assert repr(values) == repr([rows[key][column] for key in wanted])
    if 2 in ways:
        for key in draw.sample(wanted, min(len(wanted), 20)):
            assert repr(tree.get(key)) == repr(rows[key])
    if 3 in ways:
        some = sorted(draw.sample(wanted, min(len(wanted), 60)))
        assert repr(tree.get_many(some)) == repr([rows[key] for key in some])


def _set_by_page(tree: Any, rows: Rows, width: int, draw: Random) -> None:
    column, rewrite = draw.randrange(width), tree.rewrite()
    if rewrite is None:
        return
    step, deletes = draw.choice([1, 3]), draw.random() < 0.3
    for batch in rewrite.batches((-1, column)):
        chosen = range(0, batch.count, step)
        keys = batch.lists[0][::step]
        if deletes:
            batch.choose(chosen if step == 1 else list(chosen))
            batch.delete()
            for key in keys:
                del rows[key]
            continue
        value = draw.randrange(100)
        batch.choose(chosen if step == 1 else list(chosen))
        batch.set({column: [value] * len(keys)}, {column: {int}})
        for key in keys:
            rows[key] = (*rows[key][:column], value, *rows[key][column + 1 :])
    rewrite.finish()


@pytest.mark.parametrize("kind", [TreeKind.TABLE, TreeKind.CLUSTERED])
@pytest.mark.parametrize("where", ["fake", "file", "memory"])
@pytest.mark.parametrize("seed", range(3))
def test_rows_have_the_columns_that_were_added(
    kind: TreeKind, where: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Random(seed)
    monkeypatch.setattr("btree.added.BY_PAGE_ROWS", draw.choice([0, 0, 5000]))
    monkeypatch.setattr("btree.rewritten_pages.LEAVES_MIN", draw.choice([1, 64]))
    monkeypatch.setattr("btree.rewritten_pages.ROWS_MIN", 1)
    file, limits = drawn_limits(draw)
    cache = draw.choice([20_000, 1 << 20])
    path = tmp_path / "a"

    def opened() -> Any:
        if where == "fake":
            return DiskStore(FakePages(file), "fake", **{**limits, "cache_bytes": cache})
        if where == "file":
            return open_store(path, page_bytes=512, cache_bytes=cache)
        return open_memory(leaf_limit=8)

    store = opened()
    transaction = store.begin(write=True)
    tree_id = transaction.create_tree(kind)
    transaction.commit()
    large = draw.random() < 0.5 and where != "memory"
    rows: Rows = {}
    width = 2
    readers: list[tuple[Any, Rows, int]] = []

    def key_of(number: int) -> Any:
        number *= 997 if large else 1
        return number if kind is TreeKind.TABLE else (number, "k")

    for _ in range(40):
        transaction = store.begin(write=True)
        tree = transaction.tree(tree_id)
        before = dict(rows), width
        savepoint = saved = None
        for _ in range(draw.choice([1, 1, 3])):
            match draw.randrange(9):
                case 8 if width > 1:
                    column, width = draw.randrange(width), width - 1
                    tree.drop_column(column, lambda: None)
                    rows = {key: row[:column] + row[column + 1 :] for key, row in rows.items()}
                case 0 | 1:
                    values = draw.choices(ADDED, k=draw.choice([1, 1, 2]))
                    width += len(values)
                    tree.lengthen(width, values)
                    rows = {key: (*row, *values) for key, row in rows.items()}
                case 2:
                    keys = sorted({key_of(draw.randrange(3000)) for _ in range(300)})
                    new = [_row(draw, width, key, large=large) for key in keys]
                    tree.load(keys, new)
                    rows.update(zip(keys, new, strict=True))
                case 3:
                    for _ in range(draw.choice([1, 10])):
                        key = key_of(draw.randrange(3000))
                        row = _row(draw, width, key, large=large)
                        transaction.put_row(tree_id, key, row)
                        rows[key] = row
                case 4 if rows:
                    for key in draw.sample(sorted(rows), min(10, len(rows))):
                        assert tree.delete(key)
                        del rows[key]
                case 5:
                    _set_by_page(transaction.tree(tree_id), rows, width, draw)
                case 6:
                    if savepoint is None:
                        savepoint, saved = transaction.savepoint(), (dict(rows), width)
                    else:
                        transaction.rollback_to(savepoint)
                        assert saved is not None
                        rows, width = dict(saved[0]), saved[1]
                case _:
                    pass
            tree = transaction.tree(tree_id)
            if draw.random() < 0.2:
                _same(transaction, tree_id, rows, width, draw)
        if draw.random() < 0.2:
            transaction.rollback()
            rows, width = before
        else:
            transaction.commit()
        match draw.randrange(6):
            case 0:
                store.checkpoint()
            case 1:
                readers.append((store.begin(), dict(rows), width))
            case 2 if where != "memory":
                for reader, _, _ in readers:
                    reader.rollback()
                readers = []
                if where == "file" and draw.random() < 0.3:
                    store.compact()
                store.close()
                store = opened()
            case _:
                pass
        for reader, seen, wide in readers[-3:]:
            _same(reader, tree_id, seen, wide, draw)
        now = store.begin()
        _same(now, tree_id, rows, width, draw)
        assert check_transaction(now) == []
        now.rollback()


def test_another_process_sees_the_columns_in_redo_and_in_pages(tmp_path: Path) -> None:
    one, other = open_store(tmp_path / "a"), open_store(tmp_path / "a")
    transaction = one.begin(write=True)
    tree_id = transaction.create_tree(TreeKind.TABLE)
    transaction.tree(tree_id).load(range(1000), [(number, "a") for number in range(1000)])
    transaction.commit()
    assert other.begin().tree(tree_id).get(5) == (5, "a")
    old = other.begin()
    transaction = one.begin(write=True)
    transaction.tree(tree_id).lengthen(3, ("b",))
    transaction.commit()
    assert other.begin().tree(tree_id).get(5) == (5, "a", "b")
    assert old.tree(tree_id).get(6) == (6, "a")
    one.checkpoint()
    assert other.begin().tree(tree_id).get(7) == (7, "a", "b")
    transaction = other.begin(write=True)
    transaction.tree(tree_id).lengthen(4, (None,))
    transaction.tree(tree_id).put(8, (8, "c", "d", "e"))
    transaction.commit()
    assert one.begin().tree(tree_id).get(7) == (7, "a", "b", None)
    assert one.begin().tree(tree_id).get(8) == (8, "c", "d", "e")
    assert old.tree(tree_id).get(7) == (7, "a")


def test_nothing_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "a"
    store = open_store(path)
    transaction = store.begin(write=True)
    tree_id = transaction.create_tree(TreeKind.TABLE)
    transaction.tree(tree_id).load(range(50_000), [(number, "a") for number in range(50_000)])
    transaction.commit()
    store.checkpoint()
    before = store.stats()["log_bytes"]
    transaction = store.begin(write=True)
    transaction.tree(tree_id).lengthen(3, ("b",))
    transaction.commit()
    store.checkpoint()
    after = store.stats()["log_bytes"]
    assert after - before < 20_000
    assert sum(len(rows) for _, rows in store.begin().tree(tree_id).batches()) == 50_000


@pytest.mark.parametrize("redo", [False, True])
def test_repair_keeps_the_columns(tmp_path: Path, redo: bool) -> None:
    store = open_store(tmp_path / "a", page_bytes=512)
    transaction = store.begin(write=True)
    tree_id = transaction.create_tree(TreeKind.TABLE)
    rows = {number: (number, "y" * (3000 if number % 50 == 0 else 3)) for number in range(500)}
    transaction.tree(tree_id).load(sorted(rows), [rows[key] for key in sorted(rows)])
    transaction.commit()
    store.checkpoint()
    transaction = store.begin(write=True)
    transaction.tree(tree_id).lengthen(3, ("b",))
    transaction.commit()
    transaction = store.begin(write=True)
    transaction.tree(tree_id).put(3, (3, "z", "c"))
    transaction.commit()
    expected: Rows = {key: (*row, "b") for key, row in rows.items()}
    expected[3] = (3, "z", "c")
    if not redo:
        store.checkpoint()
    store.close()
    assert "nothing was damaged" in repair(tmp_path / "a", tmp_path / "b")
    store = open_store(tmp_path / "b")
    found = {
        k: v
        for keys, some in store.begin().tree(tree_id).batches()
        for k, v in zip(keys, some, strict=True)
    }
    assert found == expected
    assert store.check() == []


def test_a_page_lacks_no_more_than_was_added() -> None:
    added = Added(5, ("a", "b"))
    assert added.row((1, 2, 3)) == (1, 2, 3, "a", "b")
    assert added.row((1, 2, 3, 4)) == (1, 2, 3, 4, "b")
    assert added.row((1, 2, 3, 4, 5)) == (1, 2, 3, 4, 5)
    rows = [(number, "x") for number in range(10)]
    payload = encode_node(TreeKind.TABLE, new_leaf(list(range(10)), rows, None))
    with pytest.raises(CorruptionError):
        decode_node(TreeKind.TABLE, payload, 1, 0, added)
    with pytest.raises(CorruptionError):
        open_pages([payload], [1], (0,), TreeKind.TABLE, added)
    columns = [encode_column(list(part)) for part in zip(*rows, strict=True)]
    page = encode_columns_page(TreeKind.TABLE, KeyForm.CONSECUTIVE, 0, columns, [2])
    opened = open_pages([page], [1], (2,), TreeKind.TABLE, Added(3, ("c",)))
    assert opened[0] is not None and joined([opened[0]], 2) == ["c"] * 9


def test_the_directory_tells_of_added_columns() -> None:
    pages = FakePages(FakeFile())
    store = DiskStore(pages, "fake")
    transaction = store.begin(write=True)
    tree_id = transaction.create_tree(TreeKind.TABLE)
    transaction.tree(tree_id).put(1, (1,))
    transaction.commit()
    store.checkpoint()

    def directory() -> bytes:
        snapshot = pages.snapshot()
        return bytes(snapshot.read(1, snapshot.locate(1)))

    assert decode_directory(directory())[1][tree_id].added is None
    transaction = store.begin(write=True)
    transaction.tree(tree_id).lengthen(2, (None,))
    transaction.commit()
    store.checkpoint()
    added = decode_directory(directory())[1][tree_id].added
    assert added is not None and (added.width, added.values) == (2, (None,))
    transaction = store.begin(write=True)
    transaction.tree(tree_id).clear()
    transaction.commit()
    store.checkpoint()
    assert decode_directory(directory())[1][tree_id].added is None
