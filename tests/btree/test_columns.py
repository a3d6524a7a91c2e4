"""Scans by column give what scans by row give, whatever was changed, evicted or kept in between."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from btree import Column, TreeKind, carried_columns, open_memory, open_store
from btree import columns as columns_module
from btree.codec import KEY_COLUMN, decode_node, encode_node
from btree.column_pages import joined, open_pages
from btree.errors import CorruptionError
from btree.node import new_leaf
from btree.protocols import Store, Transaction, Tree

Row = tuple[Any, ...]
CHOICES = [(0,), (2, 1), (KEY_COLUMN,), (1, KEY_COLUMN), (KEY_COLUMN, 0, 1, 2)]


def by_row(tree: Tree, columns: tuple[int, ...]) -> list[Row]:
    return [
        tuple([key if column == KEY_COLUMN else row[column] for column in columns])
        for keys, rows in tree.batches()
        for key, row in zip(keys, rows, strict=True)
    ]


def by_column(
    tree: Tree,
    columns: tuple[int, ...],
    start: int | None = None,
    stop: int | None = None,
    *,
    passing: bool = False,
) -> list[Row]:
    batches = tree.column_batches(columns, start, stop, passing=passing)
    return [row for batch in batches for row in zip(*batch, strict=True)]


RANGES = [(0, 3000), (700, None), (None, 1900), (10, 2990), (1500, 1600), (900, 900), (2000, 1)]


def check(transaction: Transaction) -> None:
    tree = transaction.tree(3)
    for columns in CHOICES:
        numbers = [
            row for batch in tree.number_batches(columns) for row in zip(*batch, strict=True)
        ]
        assert list(map(repr, numbers)) == list(map(repr, by_row(tree, columns)))
        assert by_column(tree, columns) == by_row(tree, columns)
        assert by_column(tree, columns, passing=True) == by_row(tree, columns)
        keys = by_row(tree, (KEY_COLUMN,))
        for start, stop in RANGES:
            low = 0 if start is None else bisect_left(keys, (start,))
            high = len(keys) if stop is None else bisect_left(keys, (stop,))
            assert by_column(tree, columns, start, stop) == by_row(tree, columns)[low:high]


def row_of(rng: random.Random, *, large: bool) -> Row:
    text = "x" * (rng.choice((3, 9, 3000)) if large else rng.randrange(9))
    return rng.choice((None, rng.randrange(1 << 40), rng.random(), b"b")), text, rng.randrange(9)


def change(transaction: Transaction, rng: random.Random, *, large: bool) -> None:
    tree = transaction.tree(3)
    for _ in range(rng.randrange(60)):
        key = rng.randrange(3000)
        if rng.random() < 0.3:
            tree.delete(key)
        else:
            tree.put(key, row_of(rng, large=large))
    if rng.random() < 0.2:
        keys = range(rng.randrange(1000), rng.randrange(1000, 3000), rng.choice((1, 2, 7)))
        tree.load(keys, [row_of(rng, large=large) for _ in keys])


def exercise(store: Store, rng: random.Random, rounds: int, *, large: bool) -> None:
    for _ in range(rounds):
        reader = store.begin()
        columns = rng.choice(CHOICES)
        seen = by_column(reader.tree(3), columns)
        writer = store.begin(write=True)
        change(writer, rng, large=large)
        check(writer)
        savepoint = writer.savepoint()
        change(writer, rng, large=large)
        scan = writer.tree(3).column_batches(columns)
        wanted = by_row(writer.tree(3), columns)
        found = list(zip(*next(scan, ((),)), strict=True))
        change(writer, rng, large=large)
        found += [row for batch in scan for row in zip(*batch, strict=True)]
        assert found == wanted, "a scan sees the tree as it was when the scan began"
        check(writer)
        if rng.random() < 0.5:
            writer.rollback_to(savepoint)
            check(writer)
        if rng.random() < 0.8:
            writer.commit()
        else:
            writer.rollback()
        assert by_column(reader.tree(3), columns) == seen
        reader.rollback()
        if rng.random() < 0.3:
            store.checkpoint()
        after = store.begin()
        check(after)
        after.rollback()


def begun(store: Store) -> Store:
    transaction = store.begin(write=True)
    assert transaction.create_tree(TreeKind.TABLE) == 3
    transaction.commit()
    return store


@pytest.mark.parametrize("seed", range(3))
def test_in_memory(seed: int) -> None:
    store = begun(open_memory(leaf_limit=8, branch_limit=6))
    exercise(store, random.Random(seed), 12, large=False)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("cache_bytes", [1 << 16, 1 << 26])
def test_on_disk(tmp_path: Path, cache_bytes: int, large: bool) -> None:
    rng = random.Random(cache_bytes)
    path = str(tmp_path / "db")
    for _ in range(3):
        fresh = not (tmp_path / "db").exists()
        store = open_store(path, durability="off", cache_bytes=cache_bytes, page_bytes=512)
        exercise(begun(store) if fresh else store, rng, 4, large=large)
        assert store.check() == []
        store.close()


@pytest.mark.parametrize("seed", range(6))
def test_columns_of_before_are_carried_over_few_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Scans between single changes of all kinds, splits and merges of leaves among them."""
    for module in (columns_module, carried_columns):
        monkeypatch.setattr(module, "BATCH_ROWS", 40)
    rng = random.Random(seed)
    carried: list[bool] = []
    carry = columns_module.carried_over

    def counted(*arguments: Any) -> Any:
        made = carry(*arguments)
        carried.append(made is not None)
        return made

    monkeypatch.setattr(columns_module, "carried_over", counted)
    if seed % 2:
        store: Any = begun(open_memory(leaf_limit=8, branch_limit=200))
    else:
        budget = 1 << (26 if seed % 4 else 18)
        store = begun(
            open_store(tmp_path / "db", durability="off", page_bytes=1024, cache_bytes=budget)
        )
    writer = store.begin(write=True)
    writer.tree(3).load(range(0, 4000, 2), [row_of(rng, large=False) for _ in range(2000)])
    writer.commit()
    older: list[tuple[Transaction, list[Row]]] = []
    for number in range(150):
        writer = store.begin(write=True)
        tree = writer.tree(3)
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            key = rng.choice((rng.randrange(4000), 4000 + number, rng.randrange(300, 330)))
            if rng.random() < 0.3:
                tree.delete(key)
            else:
                tree.put(key, row_of(rng, large=False))
            if rng.random() < 0.2:
                columns = rng.choice(CHOICES)
                assert by_column(tree, columns) == by_row(tree, columns)
        if rng.random() < 0.9:
            writer.commit()
        else:
            writer.rollback()
        reader = store.begin()
        columns = rng.choice(CHOICES)
        seen = by_column(reader.tree(3), columns)
        assert seen == by_row(reader.tree(3), columns)
        low = rng.randrange(4000)
        part = by_column(reader.tree(3), (1, KEY_COLUMN), low, low + 900)
        assert part == [
            row for row in by_row(reader.tree(3), (1, KEY_COLUMN)) if low <= row[1] < low + 900
        ]
        if rng.random() < 0.2:
            older.append((reader, by_row(reader.tree(3), CHOICES[-1])))
        if rng.random() < 0.1:
            store.checkpoint()
        if len(older) > 3:
            reader, rows = older.pop(0)
            assert by_column(reader.tree(3), CHOICES[-1]) == rows
            reader.rollback()
    assert sum(carried) > (0 if seed % 4 == 0 else 50)  # a small cache seldom keeps any
    assert store.check() == []
    store.close()


def test_a_batch_without_a_changed_row_stays_with_what_was_made_of_it(tmp_path: Path) -> None:
    store: Any = begun(open_store(tmp_path / "db", durability="off"))
    writer = store.begin(write=True)
    writer.tree(3).load(range(20_000), [(n << 20, f"text {n}", n) for n in range(20_000)])
    writer.commit()
    for _ in range(3):
        before = list(store.begin().tree(3).column_batches((2,)))
    for ((column,),) in zip(before, strict=True):
        column.keep("sum", sum(column), 32)
    writer = store.begin(write=True)
    writer.tree(3).put(10_000, (1, "new", -5))
    writer.commit()
    after = list(store.begin().tree(3).column_batches((2,)))
    assert len(after) == len(before) > 5
    others = [at for at, (column,) in enumerate(after) if column is not before[at][0]]
    assert len(others) == 1
    (changed,) = after[others[0]]
    assert -5 in changed
    assert 10_000 not in changed
    assert changed.derived("sum") is None
    assert len(changed) == len(before[others[0]][0])
    store.close()


def test_columns_are_kept_within_the_budget(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    store = begun(open_store(path, durability="off"))
    writer = store.begin(write=True)
    writer.tree(3).load(range(60_000), [(n << 20, f"text {n}", n) for n in range(60_000)])
    writer.commit()
    store.close()
    budget = 4 << 20
    store = open_store(path, durability="off", cache_bytes=budget)
    reader = store.begin()
    assert sum(len(keys) for keys, _ in reader.tree(3).batches()) == 60_000
    for _ in range(3):
        for columns in CHOICES:
            assert len(by_column(reader.tree(3), columns)) == 60_000
            cache: Any = store.cache  # type: ignore[attr-defined]
            assert cache.used_bytes < 1.5 * budget
    assert cache.evictions, "rows made room for columns"
    assert reader.tree(3).root.columns  # type: ignore[attr-defined]
    store.close()


def test_a_scan_of_few_columns_makes_no_nodes_of_leaves(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    store = begun(open_store(path, durability="off"))
    writer = store.begin(write=True)
    writer.tree(3).load(range(60_000), [(n << 20, f"text {n}", n) for n in range(60_000)])
    writer.commit()
    store.close()
    store = open_store(path, durability="off")
    reader = store.begin()
    assert sum(map(sum, [batch[0] for batch in reader.tree(3).column_batches((2,))])) == 1799970000
    cache: Any = store.cache  # type: ignore[attr-defined]
    assert cache.loads < 20
    store.close()


def test_a_range_decodes_what_lies_in_it_and_is_kept_like_a_whole_scan(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    store = begun(open_store(path, durability="off"))
    rows = [(n << 20, f"text {n}", n) for n in range(60_000)]
    writer = store.begin(write=True)
    writer.tree(3).load(range(60_000), rows)
    writer.commit()
    store.close()
    rng = random.Random(5)
    store = open_store(path, durability="off")
    reader = store.begin()
    for _ in range(40):
        start, stop = sorted((rng.randrange(-9, 60_009), rng.randrange(-9, 60_009)))
        found = by_column(reader.tree(3), (2, 0), start, stop)
        assert found == [(row[2], row[0]) for row in rows[max(start, 0) : max(stop, 0)]]
    cache: Any = store.cache  # type: ignore[attr-defined]
    assert cache.loads < 20, "no nodes are made of leaves"
    assert cache.column_bytes
    before = reader.pages_read
    assert len(by_column(reader.tree(3), (1,), 30_000, 31_000)) == 1000
    assert reader.pages_read - before < 12
    store.close()


@pytest.mark.parametrize("seed", range(3))
def test_damaged_pages_are_errors(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(3000):
        head = bytes((1, 2, rng.choice((0, 0, 1)), rng.choice((64, 65, 66, 67, 0, 192, 80))))
        blob = rng.choice((b"\xc4\x02\x91\x05", b"\xc4\x03\x92\x05\x05", rng.randbytes(5)))
        body = b"\x92" + rng.choice((b"\x05", b"\x91\x05", b"\x92\x01\x02")) + b"\x92" + blob * 2
        wanted = (0, KEY_COLUMN, 1)
        columns = rows = None
        with suppress(CorruptionError):
            (leaf,) = open_pages([head + body], [1], wanted)
            if leaf is not None:
                columns = [joined([leaf, leaf], column) for column in wanted]
        with suppress(CorruptionError):
            rows = decode_node(TreeKind.TABLE, head + body, 1, 0)
        if columns is not None and rows is not None and rows.values:
            assert columns[1] == 2 * rows.keys
            assert columns[0] == 2 * [row[0] for row in rows.values]


def test_what_is_made_of_a_column_is_kept_with_it_and_counted(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    store = begun(open_store(path, durability="off"))
    writer = store.begin(write=True)
    writer.tree(3).load(range(9000), [(n, f"text {n}", n) for n in range(9000)])
    writer.commit()
    store.close()
    store = open_store(path, durability="off", cache_bytes=4 << 20)
    cache: Any = store.cache  # type: ignore[attr-defined]
    found = []
    for _ in range(4):
        reader = store.begin()
        for (column,) in reader.tree(3).column_batches((1,)):
            assert isinstance(column, Column)
            found.append(column.derived("length"))
            column.keep("length", len(column), 1000)
        reader.rollback()
    batches = len(found) // 4
    assert found[: 2 * batches] == [None] * 2 * batches, "the first scan keeps nothing"
    assert None not in found[2 * batches :]
    before = cache.column_bytes
    column.keep("more", 1, 1000)
    assert cache.column_bytes == before + 1000
    column.keep("too much", 1, 4 << 20)
    assert column.derived("too much") is None
    assert cache.column_bytes == before + 1000
    store.close()


def test_large_values_are_not_gathered_by_the_thousand(tmp_path: Path) -> None:
    store = begun(open_store(str(tmp_path / "db"), durability="off"))
    writer = store.begin(write=True)
    writer.tree(3).load(range(2000), [(n, "x" * 20_000, n) for n in range(2000)])
    writer.commit()
    store.close()
    store = open_store(str(tmp_path / "db"), durability="off")
    tree = store.begin().tree(3)
    for _ in range(3):
        sizes = [len(texts) for (texts,) in tree.column_batches((1,))]
        assert sum(sizes) == 2000
        assert max(sizes) < 500
    store.close()


@pytest.mark.parametrize("kind", [TreeKind.TABLE, TreeKind.CLUSTERED])
def test_a_page_of_a_tree_of_another_kind_is_an_error(kind: TreeKind) -> None:
    leaf = new_leaf([7, 8, 9, 10, 11, 12, 13, 14], [(7, "a")] * 8, None)
    if kind is TreeKind.CLUSTERED:
        leaf.keys = [(key,) for key in leaf.keys]
    payload = encode_node(kind, leaf)
    (opened,) = open_pages([payload], [5], (1,), kind)
    assert opened is not None
    assert joined([opened], 1) == ["a"] * 8
    other = TreeKind.TABLE if kind is TreeKind.CLUSTERED else TreeKind.CLUSTERED
    with pytest.raises(CorruptionError, match=f"page 5: not a node of a {other.name} tree"):
        open_pages([payload], [5], (1,), other)


def test_columns_of_two_versions_are_counted_once(tmp_path: Path) -> None:
    store: Any = begun(open_store(tmp_path / "db", durability="off"))
    writer = store.begin(write=True)
    writer.tree(3).load(range(20_000), [(n << 20, f"text {n}", n) for n in range(20_000)])
    writer.commit()
    for _ in range(2):
        reader = store.begin()
        assert len(by_column(reader.tree(3), (0, 2))) == 20_000
    cache = store.cache
    cache.recount(store.roots([]))
    column_bytes, used_bytes = cache.column_bytes, cache.used_bytes
    assert column_bytes
    writer = store.begin(write=True)
    tree = writer.tree(3)
    tree.settle(to_write=True)
    tree.put(10_000, (1, "new", 2))
    cache.recount(store.roots([tree.root]))
    assert cache.column_bytes == column_bytes
    assert cache.used_bytes - used_bytes < column_bytes  # a leaf, and the path to it
    assert len(by_column(tree, (0, 2))) == 20_000
    cache.recount(store.roots([tree.root]))
    assert cache.column_bytes < 2.2 * column_bytes
    writer.rollback()
    reader.rollback()
    store.close()


@pytest.mark.parametrize("kind", [TreeKind.TABLE, TreeKind.CLUSTERED])
def test_a_scan_that_stops_soon_begins_with_rows_and_keeps_columns_the_second_time(
    tmp_path: Path, kind: TreeKind
) -> None:
    count = 30_000
    store = open_store(tmp_path / "store.kvsh")
    writer = store.begin(write=True)
    tree = writer.tree(writer.create_tree(kind))
    number = tree.id
    keys: list[Any] = [*range(count)] if kind is TreeKind.TABLE else [(n,) for n in range(count)]
    tree.load(keys, [(n, f"t{n}", n % 7) for n in range(count)])
    writer.commit()
    store.close()
    store = open_store(tmp_path / "store.kvsh")

    def sizes_of(wanted: int) -> list[int]:
        rows: list[Row] = []
        sizes: list[int] = []
        for batch in store.begin().tree(number).column_batches((2, 0), passing=True):
            rows += zip(*batch, strict=True)
            sizes.append(len(batch[0]))
            if len(rows) >= wanted:
                break
        assert rows == [(n % 7, n) for n in range(len(rows))]
        return sizes

    assert len(sizes_of(10)) == 1
    first = sizes_of(7000)
    assert first[0] <= 256  # a leaf's rows
    assert max(sizes_of(7000)) >= 2048 > first[0]
    assert sizes_of(7000)[0] >= 2048  # kept, though both scans ended before they were through
    assert sum(sizes_of(count)) == count
    store.close()


def test_numbers_of_pages_come_as_they_lie_there(tmp_path: Path) -> None:
    store = open_store(tmp_path / "t.db")
    writing = store.begin(write=True)
    writing.create_tree(TreeKind.TABLE)
    writing.tree(3).load(range(9000), [(n - 200, n / 2, str(n)) for n in range(9000)])
    writing.commit()
    store.close()
    store = open_store(tmp_path / "t.db")
    first, arrays = 0, 0
    for keys, reals, integers, texts in store.begin().tree(3).number_batches((KEY_COLUMN, 1, 0, 2)):
        assert keys.__class__ is range
        rows = range(first, first + len(keys))
        assert keys == rows
        assert reals == array("d", [n / 2 for n in rows])
        assert list(integers) == [n - 200 for n in rows]
        assert texts == list(map(str, rows))
        arrays += isinstance(integers, array)
        first = rows.stop
    assert first == 9000
    assert arrays > 1
    store.close()
