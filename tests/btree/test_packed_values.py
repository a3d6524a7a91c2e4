"""Texts, and numbers with NULLs, that are kept packed give what the rows have; what is asked for again is kept as objects."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from btree import StoredColumn, TreeKind, open_store
from btree.codec import KEY_COLUMN
from btree.columns import parts_of
from btree.kept_columns import Column, Columns, Layout
from btree.packed_values import PackedColumn, PackedTexts, PackedWithNulls, pack
from tests.btree.test_packed_columns import rows_of

Row = tuple[Any, ...]
ROWS = 20_000
WIDTH = 7
CHOICES = [(0,), (1, 2), (KEY_COLUMN, 3), (4, 5), (6,), (2, 0, 3, KEY_COLUMN, 1, 4, 5, 6)]


def row_of(rng: random.Random, number: int) -> Row:
    """Texts of ASCII and others, with NULLs, empty ones and separators; integers and REALs with NULLs."""
    return (
        f"a text of the row {number}",
        rng.choice((None, "", f"über {number}", "\U0001f600" * 3, f"plain {number}")),
        rng.choice((None, rng.randrange(-128, 1 << 40))),
        rng.choice((None, rng.random(), -0.0, float("inf"))),
        rng.choice(("few", "of", "them")),
        f"with\0a separator {number}" if number % 3_000 == 7 else f"without one {number}",
        rng.choice((None, number, 0.5, "text", b"blob")),
    )


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "db")
    rng = random.Random(1)
    store = open_store(path, durability="off")
    writing = store.begin(write=True)
    assert writing.create_tree(TreeKind.TABLE) == 3
    writing.tree(3).load(range(ROWS), [row_of(rng, number) for number in range(ROWS)])
    writing.commit()
    store.close()
    return path


def scan(store: Any, columns: tuple[int, ...]) -> None:
    for _ in store.begin().tree(3).column_batches(columns):
        pass


def kept(store: Any) -> Iterator[Any]:
    tree = store.begin().tree(3)
    for part in parts_of(tree, tree.root, None, None):
        if isinstance(part.branch.columns, Columns):
            for batches in part.branch.columns.lists.values():
                yield from batches


def check(tree: Any) -> None:
    for columns in CHOICES:
        expected = rows_of(tree, columns)
        for stored in (False, True):
            found = [
                repr([*row])
                for batch in tree.column_batches(columns, stored=stored)
                for row in zip(*batch, strict=True)
            ]
            assert found == expected
        found = [
            repr([*row])
            for batch in tree.column_batches(columns, 3_000, 12_000)
            for row in zip(*batch, strict=True)
        ]
        keys = rows_of(tree, (KEY_COLUMN,))
        low, high = (sum(int(key[1:-1]) < bound for key in keys) for bound in (3_000, 12_000))
        assert found == expected[low:high]


@pytest.mark.parametrize("seed", range(3))
def test_packed_values_are_those_of_the_rows_whatever_is_changed(seed: int, path: str) -> None:
    rng = random.Random(seed)
    store: Any = open_store(path, durability="off", cache_bytes=6 << 20)
    for _ in range(3):
        for column in range(WIDTH):
            scan(store, (column,))
    classes = {column.__class__ for column in kept(store)}
    assert {PackedTexts, PackedWithNulls} <= classes
    check(store.begin().tree(3))
    for _ in range(4):
        writing = store.begin(write=True)
        tree = writing.tree(3)
        for _ in range(rng.choice((1, 30))):
            key = rng.randrange(ROWS)
            if rng.random() < 0.3:
                tree.delete(key)
            else:
                # What a packed column has no place for.
                first = rng.choice((5, None, "\0", "text"))
                tree.put(key, (first, *row_of(rng, key)[1:]))
        check(tree)
        writing.commit()
        check(store.begin().tree(3))
        for _ in range(rng.randrange(5)):
            scan(store, (rng.randrange(WIDTH),))
    assert store.check() == []
    store.close()


def test_what_is_asked_for_again_and_again_is_kept_as_objects(path: str) -> None:
    store: Any = open_store(path, durability="off", cache_bytes=7 << 20)
    for _ in range(2):
        for column in range(WIDTH):
            scan(store, (column,))
    packed = {column.__class__ for column in kept(store)}
    assert PackedTexts in packed
    for _ in range(8):
        scan(store, (0,))
    tree = store.begin().tree(3)
    for (batch,) in tree.column_batches((0,), stored=True):
        assert isinstance(batch, Column)
    assert store.cache.used_bytes <= 7 << 20
    store.close()


@pytest.mark.parametrize(
    "values",
    [
        [f"text {number}" for number in range(100)],
        [f"text {number}" if number % 3 else None for number in range(100)],
        [f"text {number}" if number % 3 else "" for number in range(100)],
        [f"tëxt {number}" for number in range(100)],
        [f"text {number} \ud800" for number in range(100)],
        [number if number % 3 else None for number in range(100)],
        [number / 7 if number % 3 else None for number in range(100)],
        [None, *[-0.0, float("inf"), -1.5] * 30],
    ],
)
def test_values_come_back_as_they_were(values: list[Any]) -> None:
    made = pack(values)
    assert made is not None
    assert len(made) == len(values)
    assert repr(made.tolist()) == repr(values)
    assert repr(made[3:70]) == repr(values[3:70])
    assert made.bytes < made.unpacked_bytes / 2
    column = StoredColumn.of(made)
    assert repr([*column]) == repr(values)
    assert column.numbers() is None
    objects = Column(values)
    objects.value_bytes = 5_000
    columns = Columns({0: [objects]}, Layout([], [], []), 10_000, lambda size: True)
    less = columns.with_packed(0)
    assert less.lists[0][0].__class__ is made.__class__
    assert less.bytes < columns.bytes
    assert less.with_packed(0) is less
    again = less.with_objects(0)
    assert repr(again.lists[0]) == repr([values])
    assert again.bytes > less.bytes


@pytest.mark.parametrize(
    "values",
    [
        [],
        [None] * 100,
        ["one", "two"] * 50,
        [*map(str, range(99)), b"blob"],
        [*map(str, range(99)), 99],
        [*map(str, range(99)), "a\0b"],
        [*[None, 1] * 50, 0.5],
        [*[None, 0.5] * 50, 1],
        [*[None, 1] * 50, "text"],
        [None, float("inf"), 1 << 70],
        [b"blob"] * 100,
        [*range(100)],
    ],
)
def test_what_is_of_several_kinds_or_gains_nothing_is_not_packed(values: list[Any]) -> None:
    assert pack(values) is None
    columns = Columns({0: [Column(values)]}, Layout([], [], []), 10_000, lambda size: True)
    assert columns.with_packed(0) is columns


def test_texts_are_looked_for_in_what_they_are_packed_to() -> None:
    texts = [f"Text {number}" if number % 3 else None for number in range(100)]
    made = pack(texts)
    assert made is not None
    column = StoredColumn.of(made)
    together = "\0".join(["", *[text or "" for text in texts], ""])
    assert column.text_between("\0", folded=False) == together
    assert column.text_between("\0", folded=True) == together.lower()
    assert column.text_between("\n", folded=False) is None
    made = pack([f"Ü {number}" for number in range(100)])
    assert made is not None
    assert StoredColumn.of(made).text_between("\0", folded=True) is None


def test_others_are_packed_before_they_are_dropped() -> None:
    texts = [f"text {number}" for number in range(1_000)]
    batches: dict[int, Any] = {0: [Column(texts)], 1: [Column(range(1_000))]}
    for column in (batches[0][0], batches[1][0]):
        column.value_bytes = 60_000
    columns = Columns(batches, Layout([], [], []), 140_000, lambda size: True)
    less, taken = columns.in_less(20_000)
    assert [each[0].__class__ for each in less.lists.values()] == [PackedColumn, PackedTexts]
    assert taken < 20_000
    less, taken = columns.in_less(1_000)
    assert [*less.lists] == [1]
    assert taken == 0
