"""Single rows out of a leaf's columns as they lie in the page: the same as when they are turned round."""

from __future__ import annotations

import random
from typing import Any

import pytest

from btree.column_codec import encode_column
from btree.node import NotInMemoryError
from btree.packed_rows import packed_rows
from btree.page_rows import ROWS_MAX, PageRows

_VALUES: dict[str, list[Any]] = {
    "small integers": [0, 1, 127, 128, 255],
    "integers": [-1, 5, 1 << 40, -(1 << 63)],
    "reals": [1.5, -0.0, float("inf")],
    "short texts": ["", "a", "x" * 31],
    "texts": ["", "a", "x" * 32, "x" * 300],
    "texts beyond ASCII": ["", "é", "naïve", "中文", "\x7f", "\x80"],
    "texts and small integers": ["", "abc", 5, 0x40],
    "texts beyond ASCII and small integers": ["é", 5, "", 7],
    "texts and NULL": ["a", None, ""],
    "bytes": [b"", b"\xa1a", b"\xff"],
    "anything": [None, 1, -5, 2.5, "a", "é", b"\xa0", 1 << 50],
}


@pytest.mark.parametrize("count", [1, 15, 16, 17, 200, 70_000])
@pytest.mark.parametrize("values", _VALUES.values(), ids=_VALUES.keys())
def test_rows_are_what_was_put(values: list[Any], count: int) -> None:
    draw = random.Random(count)
    column = [draw.choice(values) for _ in range(count)]
    numbers = list(range(count))
    columns = [encode_column(column), encode_column(numbers)]
    for slot in {0, count - 1, draw.randrange(count), draw.randrange(count)}:
        row = PageRows(columns).row(slot)
        assert repr(row) == repr((column[slot], slot))
        assert repr(packed_rows(columns).row(slot)) == repr(row)


def test_the_leaf_is_turned_round_after_a_few() -> None:
    columns = [encode_column([f"text {n}" for n in range(100)]), encode_column(list(range(100)))]
    rows = PageRows(columns)
    for slot in range(ROWS_MAX):
        assert rows[slot] == (f"text {slot}", slot)
    assert not rows.is_turning
    with pytest.raises(NotInMemoryError):
        rows[0]
    assert rows.is_turning
    turned = rows.turned()
    assert rows.turned() is turned
    assert turned.reads == ROWS_MAX
    assert rows.row(7) == turned.row(7) == ("text 7", 7)


def test_several_rows_are_asked_of_the_turned_leaf() -> None:
    columns = [encode_column([f"text {n}" for n in range(100)]), encode_column(list(range(100)))]
    expected = [(f"text {n}", n) for n in range(100)]
    assert PageRows(columns).rows(3, 9) == expected[3:9]
    assert PageRows(columns).cut(3, 9) == expected[3:9]
    assert PageRows(columns).rows_at(range(10, 110), [12, 9, 109]) == [
        expected[2],
        None,
        expected[99],
    ]


def test_columns_of_different_lengths() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        PageRows([encode_column(["a"] * 20), encode_column([1] * 19)])
