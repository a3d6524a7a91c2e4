"""Rows with values in pages of their own: against a dict, whatever is changed beside them; damage; memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from random import Random
from typing import Any

import pytest

from btree import CorruptionError, TreeKind, open_store, repair
from btree.large_values import average_apart, average_entry_bytes
from btree.long_columns import is_long
from btree.node import LargeValues, LongRow, new_leaf
from engine.format import RECORD_BYTES, location_offset

Rows = dict[Any, tuple[Any, ...]]

COLUMNS = 4  # the key, a small number, and two that may be long


def _key(kind: TreeKind, number: int) -> Any:
    return number if kind is TreeKind.TABLE else (f"k{number:04}", number)


def _value(draw: Random, half_page: int) -> Any:
    size = draw.choice(
        [0, 5, half_page - 1, half_page, half_page + 1, half_page * 3, half_page * 40]
    )
    return draw.choice(
        [
            None,
            7,
            "x" * size,
            "é" * (size // 2),
            "\N{GRINNING FACE}" * (size // 4),
            draw.randbytes(size),
        ]
    )


def _row(draw: Random, key: Any, half_page: int) -> tuple[Any, ...]:
    number = key if key.__class__ is int else key[1]
    return (number, draw.randrange(99), _value(draw, half_page), _value(draw, half_page))


def _same(transaction: Any, tree_id: int, expected: Rows) -> None:
    tree = transaction.tree(tree_id)
    rows = {key: row for keys, some in tree.batches() for key, row in zip(keys, some, strict=True)}
    assert rows == expected
    for wanted in ([1], [2], [3, 1], [-1, 2], [0, 1, 2, 3]):
        found = [row for lists in tree.column_batches(wanted) for row in zip(*lists, strict=True)]
        assert found == [
            tuple([key if column < 0 else expected[key][column] for column in wanted])
            for key in rows
        ]
    for key in list(expected)[::5]:
        assert tree.get(key) == expected[key]
        for columns in ({1}, {0, 2}, {3}, {2, 3}):
            found = tree.get(key, None, columns)
            assert [found[column] for column in columns] == [
                expected[key][column] for column in columns
            ]
    assert tree.get_many(list(expected)[::3]) == list(expected.values())[::3]


def _changed(tree: Any, draw: Random, model: Rows, half_page: int) -> None:
    """One way or another to change some rows."""
    kind = tree.kind
    match draw.randrange(8):
        case 6 | 7:
            for key in draw.sample(sorted(model), min(draw.choice([1, 9, 40]), len(model))):
                columns = draw.choice([{1}, {1}, {1}, {2}, {1, 3}, {2, 3}])
                row = _row(draw, key, half_page)
                wanted = draw.choice([(), columns, {1, 2}, {3}, None])
                found = list(tree.get(key, None, wanted))
                kept = list(model[key])
                for column in columns:
                    found[column] = kept[column] = row[column]
                tree.change(key, tuple(found), columns)
                model[key] = tuple(kept)
        case 0:
            for _ in range(draw.choice([1, 9])):
                key = _key(kind, draw.randrange(200))
                model[key] = _row(draw, key, half_page)
                tree.put(key, model[key])
        case 1:
            keys = sorted({_key(kind, draw.randrange(200)) for _ in range(draw.choice([3, 70]))})
            model.update({key: _row(draw, key, half_page) for key in keys})
            tree.load(keys, [model[key] for key in keys])
        case 2:
            for key in draw.sample(sorted(model), min(3, len(model))):
                assert tree.delete(key)
                del model[key]
        case 3:
            keys = [key for key in sorted(model) if draw.random() < 0.2]
            assert tree.delete_many(keys) == len(keys)
            for key in keys:
                del model[key]
        case _:
            _by_column(tree, draw, model, half_page)


def _by_column(tree: Any, draw: Random, model: Rows, half_page: int) -> None:
    rewrite = tree.rewrite()
    column, share = draw.choice([1, 1, 1, 2, 3]), draw.choice([0.05, 0.5, 1])
    deletes = draw.random() < 0.2
    for batch in rewrite.batches(draw.choice([[-1], [-1, 1], [-1, 3]])):
        keys = list(batch.lists[0])
        positions = [at for at in range(batch.count) if draw.random() < share]
        if not positions:
            continue
        batch.choose(positions)
        chosen = [keys[at] for at in positions]
        assert list(batch.values(2)) == [model[key][2] for key in chosen]
        if deletes:
            batch.delete()
            for key in chosen:
                del model[key]
            continue
        new = [draw.randrange(200) if column == 1 else _value(draw, half_page) for _ in chosen]
        batch.set({column: new}, {column: set(map(type, new))})
        for key, value in zip(chosen, new, strict=True):
            row = model[key]
            model[key] = (*row[:column], value, *row[column + 1 :])
    rewrite.finish()


@pytest.mark.parametrize("page_bytes", [256, 2048, 8192])
@pytest.mark.parametrize("kind", [TreeKind.TABLE, TreeKind.CLUSTERED])
@pytest.mark.parametrize("seed", range(3))
def test_rows_are_what_a_model_says(
    tmp_path: Path, kind: TreeKind, page_bytes: int, seed: int
) -> None:
    draw, half_page = Random(f"{seed} {page_bytes} {kind}"), page_bytes // 2
    store: Any = open_store(tmp_path / "db", page_bytes=page_bytes, durability="off")
    transaction = store.begin(write=True)
    tree_id = transaction.create_tree(kind)
    model: Rows = {}
    for number in range(0, 160, 2):
        model[_key(kind, number)] = _row(draw, _key(kind, number), half_page)
    transaction.tree(tree_id).load(list(model), list(model.values()))
    transaction.commit()
    readers: list[tuple[Any, Rows]] = []
    for _ in range(25):
        transaction = store.begin(write=True)
        before, model = model, dict(model)
        for _ in range(draw.choice([1, 3])):
            savepoint, kept = transaction.savepoint(), dict(model)
            _changed(transaction.tree(tree_id), draw, model, half_page)
            if draw.random() < 0.2:
                transaction.rollback_to(savepoint)
                model = kept
            transaction.release(savepoint)
            if draw.random() < 0.3:
                transaction.spill()
        model = dict(sorted(model.items()))
        _same(transaction, tree_id, model)
        if draw.random() < 0.2:
            transaction.rollback()
            model = before
        else:
            transaction.commit()
        match draw.randrange(6):
            case 0:
                store.checkpoint()
            case 1:
                store.compact()
            case 2:
                readers.append((store.begin(), model))
            case 3 if not readers:
                store.close()
                store = open_store(tmp_path / "db", page_bytes=page_bytes, durability="off")
        for reader, seen in readers:
            _same(reader, tree_id, seen)
        if len(readers) > 2:
            readers.pop(0)[0].rollback()
        assert store.check() == []
    store.checkpoint()
    assert any_long(store, tree_id)
    while readers:
        readers.pop()[0].rollback()
    transaction = store.begin(write=True)
    transaction.tree(tree_id).clear()
    transaction.commit()
    store.checkpoint()
    assert store.check() == []
    assert store.pages.stats()["pages"] <= 4, "the pages of long values went with their rows"
    store.close()


def any_long(store: Any, tree_id: int) -> bool:
    return bool(store.begin().tree(tree_id).large)


def test_a_scan_of_other_columns_reads_no_long_value(tmp_path: Path) -> None:
    made(tmp_path / "db", rows=500, size=20_000)
    store: Any = open_store(tmp_path / "db")
    read = 0
    transaction = store.begin()
    log = transaction.reader.log
    before = log.file.read

    def counted(length: int, offset: int) -> bytes:
        nonlocal read
        read += length
        return bytes(before(length, offset))

    log.file.read = counted
    try:
        found = [n for (numbers,) in transaction.tree(3).column_batches((1,)) for n in numbers]
    finally:
        log.file.read = before
    assert found == list(range(500))
    assert read < 200_000, "of ten megabytes"
    store.close()


def test_values_of_megabytes_are_handled_within_a_small_budget(tmp_path: Path) -> None:
    """Also where their rows were put one by one."""
    store: Any = open_store(tmp_path / "db", cache_bytes=16 << 20, durability="off")
    size = 4 << 20
    tracemalloc.start()
    try:
        transaction = store.begin(write=True)
        transaction.create_tree(TreeKind.TABLE)
        for number in range(24):
            transaction.tree(3).put(number, (number, 1, bytes([number]) * size))
            transaction.commit()
            transaction = store.begin(write=True)
        transaction.tree(3).put(5, (5, 2, bytes([5]) * size))
        transaction.commit()
        tree = store.begin().tree(3)
        assert sum([n for lists in tree.column_batches((1,)) for n in lists[0]]) == 25
        for lists in tree.column_batches((0, 2)):
            for number, value in zip(*lists, strict=True):
                assert value == bytes([number]) * size
        del lists, value
        store.compact()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20, "of 96 MB of values"
    assert store.check() == []
    store.close()


def test_a_change_beside_long_values_does_not_copy_them(tmp_path: Path) -> None:
    made(tmp_path / "db", rows=500, size=20_000)
    store: Any = open_store(tmp_path / "db")
    before = (tmp_path / "db").stat().st_size
    for _ in range(10):
        transaction = store.begin(write=True)
        rewrite = transaction.tree(3).rewrite()
        for batch in rewrite.batches([1]):
            batch.choose(range(batch.count))
            batch.set({1: [n + 1 for n in batch.lists[0]]}, {1: {int}})
        rewrite.finish()
        transaction.commit()
    assert store.begin().tree(3).get(77) == (77, 87, "a" * 20_000)
    assert store.check() == []
    store.close()
    assert (tmp_path / "db").stat().st_size < before + 2_000_000


def test_changes_by_key_beside_long_values_neither_read_nor_write_them(tmp_path: Path) -> None:
    made(tmp_path / "db", rows=100, size=100_000)
    store: Any = open_store(tmp_path / "db")
    before = store.pages.stats()["log_bytes"]
    pages = store.pages.stats()["pages"]
    for number in (3, 50, 3, 99):
        transaction = store.begin(write=True)
        tree = transaction.tree(3)
        for key in (number, number - 1):
            row = tree.get(key, None, (0, 1))
            assert row[2] is None, "not read"
            tree.change(key, (key, -row[1], None), (1,))
            assert tree.get(key) == (key, -row[1], "abcdefghij"[key % 4 - key % 2] * 100_000)
        transaction.commit()
        assert store.pages.stats()["log_bytes"] < before + 50_000
    other: Any = open_store(tmp_path / "db", readonly=True)
    for reader in (store, other):
        tree = reader.begin().tree(3)
        assert [tree.get(key)[1] for key in (2, 3, 49, 50, 98, 99)] == [2, 3, -49, -50, -98, -99]
    transaction = store.begin(write=True)
    transaction.tree(3).change(50, (50, 7, "short"), (1, 2))
    transaction.commit()
    assert other.begin().tree(3).get(50) == (50, 7, "short")
    other.close()
    store.checkpoint()
    assert store.pages.stats()["pages"] == pages - 1, "the page of the long value that went"
    assert store.check() == []
    store.close()


def test_a_change_of_columns_that_was_committed_is_laid_over_others_of_its_row(
    tmp_path: Path,
) -> None:
    """As replayed records have them: before, between and behind whole rows, deleted and put again."""
    long = "y" * 9000
    for order in range(12):
        path = tmp_path / f"db{order}"
        made(path, rows=20, size=9000)
        store: Any = open_store(path)
        model = {n: (n, n, "abcdefghij"[n % 4 - n % 2] * 9000) for n in range(20)}
        draw = Random(order)
        for step in range(12):
            transaction = store.begin(write=True)
            tree = transaction.tree(3)
            key = draw.choice([4, 5])
            match draw.randrange(4) if key in model else 0:
                case 0:
                    model[key] = (key, step, draw.choice([long, "short", None]))
                    tree.put(key, model[key])
                case 1:
                    tree.delete(key)
                    del model[key]
                case _:
                    model[key] = (key, step, model[key][2])
                    tree.change(key, (key, step, tree.get(key, None, (1,))[2]), (1,))
            transaction.commit()
        store.pages.close()  # without a checkpoint
        again: Any = open_store(path)
        for keys, rows in again.begin().tree(3).batches():
            assert dict(zip(keys, rows, strict=True)) == model
        again.checkpoint()
        assert again.check() == []
        again.close()


def made(path: Path, *, rows: int, size: int) -> None:
    store: Any = open_store(path)
    transaction = store.begin(write=True)
    tree = transaction.tree(transaction.create_tree(TreeKind.TABLE))
    tree.load(range(rows), [(n, n, "abcdefghij"[n % 4 - n % 2] * size) for n in range(rows)])
    transaction.commit()
    store.checkpoint()
    store.close()


def test_each_byte_of_heads_and_long_values_that_is_damaged_is_an_error(tmp_path: Path) -> None:
    """And costs a repair that value alone, or, of a leaf, its rows."""
    path = tmp_path / "db"
    store: Any = open_store(path, page_bytes=1024)
    transaction = store.begin(write=True)
    tree = transaction.tree(transaction.create_tree(TreeKind.TABLE))
    rows = {n: (n, f"row {n}", chr(97 + n % 26) * (3000 if n == 5 else 20)) for n in range(60)}
    tree.load(list(rows), list(rows.values()))
    transaction.commit()
    store.checkpoint()
    store.compact()
    reader = store.begin()
    leaf = reader.tree(3).leaf(5)
    (long,) = [row for row in list(leaf.values) if isinstance(row, LongRow)]
    assert leaf.values.__class__ is LargeValues and long.parts[0][:1] == (2,)
    places = {page: reader.reader.locate(page) for page in (leaf.page, *long.pages)}
    store.close()
    data = path.read_bytes()
    for page, location in places.items():
        start = location_offset(location)
        length = int.from_bytes(data[start + 4 : start + 8], "little")
        for at in range(start, start + RECORD_BYTES + length, 7):
            damaged = bytearray(data)
            damaged[at] ^= 1 << at % 8
            (tmp_path / "damaged").write_bytes(damaged)
            store = open_store(tmp_path / "damaged", readonly=True)
            tree = store.begin().tree(3)
            with pytest.raises(CorruptionError, match=f"page {page} "):
                tree.get(5)
            if page != leaf.page:
                assert tree.get(6) == rows[6]
                found = [n for lists in tree.column_batches((1,)) for n in lists[0]]
                assert found == [row[1] for row in rows.values()]
            assert store.check() != []
            store.close()
        target = tmp_path / f"repaired{page}"
        notes = repair(tmp_path / "damaged", target)
        store = open_store(target)
        tree = store.begin().tree(3)
        found = {
            key: row for keys, some in tree.batches() for key, row in zip(keys, some, strict=True)
        }
        if page == leaf.page:
            assert 0 < len(found) < len(rows) and found.items() <= rows.items()
        else:
            assert found == {**rows, 5: (5, "row 5", None)}
            assert any("column 3 of 5" in note and "is lost" in note for note in notes)
        assert store.check() == []
        store.close()


@pytest.mark.parametrize("is_raw", [False, True])
def test_an_entry_takes_as_much_as_its_short_values_and_a_place_for_each_long_one(
    is_raw: bool,
) -> None:
    def leaf(*sizes: int) -> Any:
        texts = ["x" * size for size in sizes]
        values: list[Any] = [
            text.encode() if is_raw else (key, text, 2.5) for key, text in enumerate(texts)
        ]
        return new_leaf(list(range(len(texts))), values, None)

    short = leaf(900, 990)
    assert average_apart(short, 1000) == average_entry_bytes(short) > 900
    assert average_apart(leaf(900), 1000) == average_entry_bytes(leaf(900)) > 900
    assert average_apart(leaf(5000, 9000), 1000) == average_apart(leaf(1001, 70_000), 1000) < 40
    assert average_entry_bytes(leaf(5000, 9000)) > 7000
    assert average_apart(leaf(), 1000) < 8


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀"])
def test_a_value_is_long_by_the_bytes_that_it_is_stored_in(letter: str) -> None:
    for count in range(120):
        stored = (letter * count).encode()
        assert is_long(letter * count, 100) == (len(stored) > 100)
        assert is_long("x" + letter * count, 100) == (len(stored) + 1 > 100)
        assert is_long(stored, 100) == (len(stored) > 100)
    assert not any(is_long(value, 1) for value in (None, 1 << 62, 1e300))
