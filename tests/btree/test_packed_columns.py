"""Columns of numbers that are packed, once there is no room for more as they are, give what the rows have."""

from __future__ import annotations

import gc
import random
import weakref
from array import array
from pathlib import Path
from typing import Any

import pytest

from btree import StoredColumn, TreeKind, listed, open_store
from btree.codec import KEY_COLUMN
from btree.kept_columns import Column, Columns, Layout
from btree.on_pages import OnPages
from btree.packed_values import PackedColumn, packed
from btree.protocols import Store, Tree

Row = tuple[Any, ...]
ROWS = 20_000
WIDTH = 6
CHOICES = [(0,), (1, 2), (KEY_COLUMN, 3), (4, 5, 1), (2, 0, 3, KEY_COLUMN, 1, 4, 5)]


def row_of(rng: random.Random, number: int) -> Row:
    """Integers of one byte, of eight and of any width, REALs, mixed values, texts."""
    return (
        rng.randrange(-128, 128),
        rng.choice((-(1 << 63), (1 << 63) - 1, number << 20)),
        rng.randrange(1 << rng.choice((7, 15, 31, 62))),
        rng.choice((-0.0, 0.0, 1e300, float("-inf"), rng.random())),
        rng.choice((None, number, 0.5, "text", b"blob")),
        f"a text of the row {number}",
    )


def rows_of(tree: Tree, columns: tuple[int, ...]) -> list[str]:
    return [
        repr([key if column == KEY_COLUMN else row[column] for column in columns])
        for keys, rows in tree.batches()
        for key, row in zip(keys, rows, strict=True)
    ]


def check(tree: Tree) -> None:
    for columns in CHOICES:
        expected = rows_of(tree, columns)
        for stored in (False, True):
            batches = [*tree.column_batches(columns, stored=stored)]
            lists = [[*map(listed, batch)] for batch in batches]
            assert [repr([*row]) for batch in lists for row in zip(*batch, strict=True)] == expected
        numbers = [
            repr([*row])
            for batch in tree.number_batches(columns)
            for row in zip(*batch, strict=True)
        ]
        assert numbers == expected
        found = [
            repr([*row])
            for batch in tree.column_batches(columns, 3_000, 12_000)
            for row in zip(*batch, strict=True)
        ]
        keys = rows_of(tree, (KEY_COLUMN,))
        low, high = (sum(int(key[1:-1]) < bound for key in keys) for bound in (3_000, 12_000))
        assert found == expected[low:high]


def filled(path: str) -> None:
    rng = random.Random(1)
    store = open_store(path, durability="off")
    writing = store.begin(write=True)
    tree_id = writing.create_tree(TreeKind.TABLE)
    assert tree_id == 3
    writing.tree(3).load(range(ROWS), [row_of(rng, number) for number in range(ROWS)])
    writing.commit()
    store.close()


def scanned(store: Store) -> Any:
    """The store's cache, after scans of all columns but for texts, three times."""
    reading = store.begin()
    for _ in range(3):
        for column in (KEY_COLUMN, 0, 1, 2, 3, 4):
            for _ in reading.tree(3).column_batches((column,)):
                pass
    return store.cache  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(3))
def test_packed_columns_give_what_the_rows_have_whatever_is_changed(
    seed: int, tmp_path: Path
) -> None:
    path = str(tmp_path / "db")
    filled(path)
    rng = random.Random(seed)
    store = open_store(path, durability="off", cache_bytes=2 << 20)
    assert scanned(store).packs_columns
    check(store.begin().tree(3))
    for _ in range(4):
        writing = store.begin(write=True)
        tree = writing.tree(3)
        for _ in range(rng.choice((1, 30))):
            key = rng.randrange(ROWS)
            if rng.random() < 0.3:
                tree.delete(key)
            else:
                # What a packed column has no place for, or a wider one.
                tree.put(key, (rng.choice((5, 1 << 40, 0.5, None, "x")), *row_of(rng, key)[1:]))
        check(tree)
        writing.commit()
        check(store.begin().tree(3))
    assert store.check() == []
    store.close()


def test_numbers_that_have_no_room_as_objects_are_kept_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "db")
    filled(path)
    budget = 3 << 20  # five columns as objects take twice as much
    store = open_store(path, durability="off", cache_bytes=budget)
    cache = scanned(store)
    assert cache.packs_columns
    reading = store.begin()
    tree = reading.tree(3)

    def fail(*arguments: Any) -> None:
        raise AssertionError("a page was read")

    monkeypatch.setattr(OnPages, "open_pages", fail)
    for batch in tree.column_batches((0, 1, 2, 3), stored=True):
        for column in batch:
            assert isinstance(column, StoredColumn)
            assert isinstance(column.numbers(), array)
            assert column.text_between("\0", folded=False) is None
    assert cache.used_bytes < 1.2 * budget
    store.close()


def test_columns_are_kept_as_objects_as_long_as_there_is_room(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    filled(path)
    store = open_store(path, durability="off")
    assert not scanned(store).packs_columns
    batches = store.begin().tree(3).column_batches((0, 1, 2, 3), stored=True)
    assert {column.__class__ for batch in batches for column in batch} == {Column}
    store.close()


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([127, -128], "b"),
        ([128], "h"),
        ([-129, 0], "h"),
        ([1 << 15], "i"),
        ([-(1 << 31)], "i"),
        ([1 << 31], "q"),
        ([(1 << 63) - 1, -(1 << 63)], "q"),
        ([0.5, -0.0, float("inf")], "d"),
        (array("h", [5]), "h"),
        (range(200, 300), "h"),
        # Of values that are many some are looked at first.
        ([*[0] * 999, 128, *[0] * 1000], "h"),
        ([*[0] * 999, -(1 << 62), *[0] * 1000], "q"),
    ],
)
def test_numbers_are_packed_as_narrow_as_they_are(values: Any, code: str) -> None:
    made = packed(values)
    assert made is not None
    assert made.typecode == code
    assert repr(made.tolist()) == repr([*values])


RARE: list[list[Any]] = [
    [*[usual] * 999, rare, *[usual] * 1000]
    for usual, rare in [(1, None), (1, 0.5), (0.5, 1), (1, 1 << 63), (0.5, "x"), (1, b"")]
]


@pytest.mark.parametrize("values", [[], [1, None], [1, 0.5], ["1"], [b"1"], [None], *RARE])
def test_what_is_not_all_integers_or_all_reals_is_not_packed(values: list[Any]) -> None:
    assert packed(values) is None


def test_others_are_dropped_where_they_take_too_much() -> None:
    def columns() -> Columns:
        numbers, texts = Column(range(1000, 3000)), Column(map(str, range(2000)))
        numbers.value_bytes = 2000 * 28
        lists: Any = {0: [numbers], 1: [texts]}
        return Columns(lists, Layout([], [2000], [1]), 200_000, lambda size: True)

    made, taken = columns().in_less(1 << 20)
    assert isinstance(made.lists[0][0], PackedColumn)
    assert isinstance(made.lists[1][0], Column)
    assert 100_000 < taken < made.bytes < 150_000
    made, taken = columns().in_less(1000)
    assert [*made.lists] == [0]
    assert taken == 0
    assert made.bytes < 5000


class Text(str):
    """A value that can be told to be gone."""


def test_columns_that_are_let_go_are_freed_at_once() -> None:
    """The garbage collector rests while scans run, and would find them long after."""
    value = Text("a")
    gone = weakref.ref(value)
    columns = Columns({0: [Column([value])]}, Layout([], [1], [1]), 100, lambda size: True)
    column = columns.lists[0][0]
    assert isinstance(column, Column)
    assert column.is_kept
    gc.disable()
    try:
        del columns, column, value
        assert gone() is None
    finally:
        gc.enable()
