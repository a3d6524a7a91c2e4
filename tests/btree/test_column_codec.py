"""Columns as bytes: what goes in comes out, value by value, in as few bytes as promised."""

from __future__ import annotations

import math
import random
from itertools import chain
from typing import Any

import msgspec
import pytest

from btree.column_codec import decode_column, encode_column, values_to_search
from btree.packed_rows import packed_rows

_EDGES = [0, 1, -1, 127, 128, -128, -129, 32767, 32768, -32768, -32769, (1 << 31) - 1, 1 << 31]
_EDGES += [-(1 << 31), -(1 << 31) - 1, (1 << 63) - 1, -(1 << 63)]
_REALS = [0.0, -0.0, 1.5, -1e308, 5e-324, math.inf, -math.inf]
_TEXTS = ["", "a", "é", "x" * 31, "x" * 32, "x" * 253, "x" * 254, "x" * 300, "\0", "𝄞" * 80]


def _same(found: Any, wanted: list[Any]) -> None:
    found = list(found)
    assert found == wanted
    assert list(map(type, found)) == list(map(type, wanted))
    assert [math.copysign(1, v) for v in found if type(v) is float] == [
        math.copysign(1, v) for v in wanted if type(v) is float
    ]


def _round_trip(values: list[Any]) -> None:
    column = encode_column(values)
    _same(decode_column(column), values)
    _same(values_to_search(column), values)
    if values:
        rows = packed_rows([column])
        _same([rows.row(slot)[0] for slot in range(len(values))], values)
    assert len(column) <= len(msgspec.msgpack.encode(values)) + max(len(values), 1) + 1


@pytest.mark.parametrize("seed", range(60))
def test_columns_come_back_as_they_were(seed: int) -> None:
    draw = random.Random(seed)
    pools: list[list[Any]] = [_EDGES[:3], _EDGES, _REALS, _TEXTS[:6], _TEXTS, [b"", b"\xff" * 400]]
    pool: list[Any] = []
    for part in draw.sample(pools, draw.choice((1, 1, 1, 2, 3))):
        pool += part
    if draw.random() < 0.3:
        pool.append(None)
    for count in (0, 1, 2, 15, 16, 17, 300):
        _round_trip(draw.choices(pool, k=count))


def test_long_columns() -> None:
    _round_trip([1 << 40] * 70_000)
    _round_trip(["é"] * 70_000)


@pytest.mark.parametrize(
    ("values", "bytes_"),
    [
        ([5] * 100, 101),
        ([-100] * 100, 101),
        ([1000] * 100, 201),
        ([100_000] * 100, 401),
        ([1 << 40] * 100, 801),
        ([1.5] * 100, 801),
        ([*([5] * 99), 1 << 40], 111),  # one large number does not make all of them long
    ],
)
def test_numbers_have_the_width_they_need(values: list[Any], bytes_: int) -> None:
    assert len(encode_column(values)) == bytes_


def test_columns_of_before_fixed_widths_are_read() -> None:
    for values in ([1, 2, 3], [1.5] * 20, ["a", None, 7]):
        _same(decode_column(msgspec.msgpack.encode(values)), values)


@pytest.mark.parametrize(
    "column", [b"", b"i123", b"d1234567", b"Zabc", b"\x92\x01", b"\x81\x01\x02"]
)
def test_what_is_no_column_raises(column: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, ValueError, LookupError)):
        decode_column(column)
    with pytest.raises((msgspec.DecodeError, ValueError, LookupError)):
        packed_rows([column])


@pytest.mark.parametrize("value", [1 << 64, "\ud800", object()])
def test_what_no_tree_can_keep_raises(value: Any) -> None:
    with pytest.raises((TypeError, OverflowError, UnicodeError)):
        encode_column([value])


_POOLS: dict[str, list[Any]] = {
    "integers": _EDGES,
    "reals": _REALS,
    "texts": _TEXTS,
    "blobs": [b"", b"\0", b"\xff" * 400],
}


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("with_null", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_packed_rows_of_all_kinds(seed: int, with_null: bool, long: bool) -> None:
    draw = random.Random(f"{seed} {with_null} {long}")
    count = draw.choice([1, 2, 9, 200])
    columns = []
    for name in draw.choices([*_POOLS, "mixed"], k=draw.randrange(1, 7)):
        pool = [*_POOLS.get(name, _EDGES + _TEXTS + _REALS), *[None] * (3 * with_null)]
        column = draw.choices(pool, k=count)
        if long:
            column = [v * 2000 if type(v) in (str, bytes) else v for v in column]
        columns.append(column)
    wanted = [*zip(*columns, strict=True)]
    rows = packed_rows([encode_column(column) for column in columns])
    _same([value for slot in range(count) for value in rows.row(slot)], [*chain(*wanted)])
    _same([value for row in rows.rows(0, count) for value in row], [*chain(*wanted)])
    low, high = sorted([draw.randrange(count + 1), draw.randrange(count + 1)])
    assert rows.cut(low, high) == wanted[low:high]
    assert rows[count - 1] == wanted[-1]
