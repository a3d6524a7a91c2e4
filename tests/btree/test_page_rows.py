"""Single rows out of a leaf's columns as they lie in the page: the same as when they are turned round."""

from __future__ import annotations

import random
from typing import Any

import pytest

from btree.codec import KeyForm, decode_node, encode_columns_page, readers
from btree.column_codec import encode_column
from btree.errors import CorruptionError
from btree.node import NotInMemoryError
from btree.packed_rows import packed_rows
from btree.page_rows import ROWS_MAX, PageRows
from btree.protocols import TreeKind

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
    "short texts and many NULLs": ["x" * 31, None, None, None, ""],
    "NULL": [None],
    "long texts and NULL": ["a" * 40, None, ""],
    "texts beyond ASCII and NULL": ["é", None],
    "NULL and small integers": [None, 0x20, "abc"],
    "bytes and NULL": [b"\xc0", None, b""],
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
        row = PageRows(1, columns).row(slot)
        assert repr(row) == repr((column[slot], slot))
        assert repr(packed_rows(columns).row(slot)) == repr(row)


@pytest.mark.parametrize("more", range(-2, 3))
def test_a_null_behind_as_many_bytes_as_two_can_tell(more: int) -> None:
    """The end of what was put together is told by so many bytes, and a NULL's first end is one more."""
    column = (
        ["x" * 31] * 2113 + ["y" * (32 + more - 1)] + ["z"] * (0xFFFF - 2113 * 31 - 31) + [None]
    )
    assert sum(map(len, filter(None, column))) == 0xFFFF + more
    rows = packed_rows([encode_column(column)])
    assert [row[0] for row in rows.rows(0, len(column))] == column


def test_the_leaf_is_turned_round_after_a_few() -> None:
    columns = [encode_column([f"text {n}" for n in range(100)]), encode_column(list(range(100)))]
    rows = PageRows(1, columns)
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
    assert PageRows(1, columns).rows(3, 9) == expected[3:9]
    assert PageRows(1, columns).cut(3, 9) == expected[3:9]
    assert PageRows(1, columns).rows_at(range(10, 110), [12, 9, 109]) == [
        expected[2],
        None,
        expected[99],
    ]


@pytest.mark.parametrize("gone", [(), (0, 7, 39)])
@pytest.mark.parametrize("values", _VALUES.values(), ids=_VALUES.keys())
def test_a_row_of_which_some_columns_are_wanted(values: list[Any], gone: tuple[int, ...]) -> None:
    draw = random.Random(len(values))
    kept = [[draw.choice(values) for _ in range(40)] for _ in range(3)]
    columns = [*map(encode_column, kept), encode_column(list(range(40)))]
    there = [slot for slot in range(40) if slot not in gone]
    for wanted in ((), (0,), (3,), (1, 3), (0, 1, 2)):
        rows = PageRows(1, columns, there if gone else None)
        keys = range(10, 10 + len(there))
        asked = [12, 9, 10 + len(there), 11]
        expected = [
            tuple([[*kept, range(40)][c][there[n]] if c in wanted else None for c in range(4)])
            for n in (2, 1)
        ]
        found = rows.rows_at(keys, asked, wanted)
        assert repr(found) == repr([expected[0], None, None, expected[1]])
        assert repr(rows.part(2, wanted)) == repr(expected[0])


def test_wanted_columns_are_weighed_as_parts_of_rows() -> None:
    columns = [encode_column(list(range(100)))] * 4
    rows = PageRows(1, columns)
    for slot in range(4 * ROWS_MAX):
        assert rows.part(slot, (2,)) == (None, None, slot, None)
    with pytest.raises(NotInMemoryError):
        rows.part(0, (2,))
    assert rows.is_turning
    turned = rows.turned()
    assert rows.row(7, (2,)) == turned.row(7, (2,)) == (7, 7, 7, 7)
    assert turned.rows_at(range(100), [7, 100], (2,)) == [(7, 7, 7, 7), None]
    many = PageRows(1, columns)
    assert many.rows_at(range(100), list(range(100)), (2,)) == [(n,) * 4 for n in range(100)]


def test_columns_of_different_lengths() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        PageRows(1, [encode_column(["a"] * 20), encode_column([1] * 19)])


@pytest.mark.parametrize("form", ["consecutive", "deltas", "listed", "columns"])
@pytest.mark.parametrize("seed", range(6))
def test_rows_of_a_page_with_deleted_ones_are_those_of_its_node(form: str, seed: int) -> None:
    draw = random.Random(seed)
    count = draw.choice([8, 100, 256])
    step = 1 if form == "consecutive" else draw.choice([2, 1000])
    keys = list(range(7, 7 + count * step, step))
    part: Any = {
        "consecutive": 7,
        "deltas": [7, *[step] * (count - 1)],
        "listed": keys,
        "columns": 1,
    }[form]
    kept = [[f"text {key}" for key in keys], keys, [draw.choice([None, 1.5, "x"]) for _ in keys]]
    gone = sorted(draw.sample(range(count), draw.choice([1, count // 2, count - 1])))
    page = bytes(
        encode_columns_page(
            TreeKind.TABLE, KeyForm[form.upper()], part, list(map(encode_column, kept)), gone
        )
    )
    node = decode_node(TreeKind.TABLE, page, 5, 0)
    found = readers(TreeKind.TABLE, page, 5)
    assert found is not None and node.values is not None
    left, rows = found
    assert list(left) == node.keys == [key for at, key in enumerate(keys) if at not in gone]
    assert [rows.row(slot) for slot in range(len(left))] == node.values
    low, high = sorted(draw.choices(range(len(left) + 1), k=2))
    assert rows.rows(low, high) == node.values[low:high]
    assert [rows.turned().row(slot) for slot in range(len(left))] == node.values
    wanted = draw.choices(keys, k=9)
    by_key = dict(zip(node.keys, node.values, strict=True))
    assert rows.rows_at(left, wanted) == list(map(by_key.get, wanted))


def test_a_page_says_no_nonsense_of_its_deleted_rows() -> None:
    kept = [encode_column(list(range(20)))]
    for gone in ([25], [3, 3], [5, 4]):
        page = bytes(encode_columns_page(TreeKind.TABLE, KeyForm.CONSECUTIVE, 1, kept, gone))
        with pytest.raises(CorruptionError, match="page 5"):
            readers(TreeKind.TABLE, page, 5)
    page = bytes(encode_columns_page(TreeKind.TABLE, KeyForm.CONSECUTIVE, 1, kept, list(range(20))))
    assert readers(TreeKind.TABLE, page, 5) is None


@pytest.mark.parametrize(
    "column",
    [
        encode_column(["a" * 40] * 20)[:-1],  # ends too early
        encode_column(["a" * 40] * 20).replace(b"a", b"\xff"),  # no UTF-8
        encode_column(["a" * 40] * 19 + [None])[:-1] + b"\xc1",  # no msgpack
        encode_column(["a"] * 20)[:-2] + b"\xa2\xff\xff",  # longer than it says, no UTF-8
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_columns_that_cannot_be_decoded_name_their_page(column: bytes, turned: bool) -> None:
    """It is found out by the look-up of a row, or when the leaf is turned round."""
    rows = PageRows(77, [encode_column(list(range(20))), column])
    with pytest.raises(CorruptionError, match="page 77: columns that can't be decoded"):
        if turned:
            rows.turned()
        else:
            rows.row(19)
