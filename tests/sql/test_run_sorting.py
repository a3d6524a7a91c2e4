"""Sorting, in memory and past the memory limit, against Python's own sort."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cmp_to_key
from operator import itemgetter
from typing import Any

import pytest

from sql.run import sorting
from sql.run.sorting import Pass, sorted_batches, top_rows
from sql.run.spill import RowFile, Unspillable, row_bytes
from sql.values import sort_key

Row = tuple[Any, ...]


def unchecked() -> None:
    """No cancellation."""


def in_batches(rows: list[Row], size: int) -> Iterator[list[Row]]:
    for at in range(0, len(rows), size):
        yield rows[at : at + size]


def sorted_by(rows: list[Row], passes: list[Pass]) -> list[Row]:
    wanted = list(rows)
    for key, descending in passes:
        wanted.sort(key=key, reverse=descending)
    return wanted


PASSES: list[list[Pass]] = [
    [(itemgetter(0), False)],
    [(itemgetter(0), True)],
    [(itemgetter(0, 1), False)],
    [(itemgetter(1), True), (itemgetter(0), False)],
    [(itemgetter(2), False), (itemgetter(1), False), (itemgetter(0), True)],
]


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("values", [4, 300, 1 << 40])
def test_nulls_are_set_apart_where_pairs_would_put_them(
    values: int, descending: bool, last: bool
) -> None:
    rng = random.Random(values)
    apart = sorting.NullsApart(0, last)
    for nulls in (0.0, 0.3, 1.0):
        rows: list[Row] = [
            (None if rng.random() < nulls else rng.randrange(values), rng.choice([None, 1, 2]), n)
            for n in range(25_000)
        ]
        for others in ([], [(sorting.NullsApart(1, not last), not descending)]):
            passes: list[Pass] = [*others, (apart, descending)]
            pairs: list[Pass] = [(lambda row, key=key: key(row), down) for key, down in passes]
            wanted = sorted_by(rows, pairs)
            for limit in (1 << 30, 300_000):
                batches = sorted_batches(in_batches(rows, 777), passes, unchecked, limit)
                assert [row for batch in batches for row in batch] == wanted


@pytest.mark.parametrize("number", range(len(PASSES)))
def test_a_spilled_sort_gives_the_rows_of_a_sort_in_memory_equals_in_order_of_arrival(
    number: int,
) -> None:
    rng = random.Random(number)
    passes = PASSES[number]
    rows: list[Row] = [
        (rng.randrange(30), rng.randrange(5), rng.random(), f"x{place}") for place in range(30_000)
    ]
    wanted = sorted_by(rows, passes)
    for limit in (1 << 30, 3_000_000, 300_000):
        found = [
            row
            for batch in sorted_batches(in_batches(rows, 777), passes, unchecked, limit)
            for row in batch
        ]
        assert found == wanted, f"limit {limit}"


def test_more_runs_than_are_merged_at_once_are_merged_in_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sorting, "RUNS_MAX", 3)
    rng = random.Random(5)
    rows: list[Row] = [(rng.randrange(100), place) for place in range(40_000)]
    passes: list[Pass] = [(itemgetter(0), True)]
    batches = sorted_batches(in_batches(rows, 500), passes, unchecked, 400_000)
    assert [row for batch in batches for row in batch] == sorted_by(rows, passes)


def test_values_of_every_kind_and_their_sort_keys_come_back_from_disk_as_they_were() -> None:
    values = [
        None, 0, -1, 1 << 62, -(1 << 63), (1 << 63) - 1, 1.5, float("inf"), -float("inf"), -0.0,
        "", "\ud800", "text", b"", b"\x00\xff",
    ]  # fmt: skip
    rows: list[Row] = [(value, sort_key(value), place) for place, value in enumerate(values * 900)]
    passes: list[Pass] = [(itemgetter(1), True)]
    batches = sorted_batches(in_batches(rows, 300), passes, unchecked, 600_000)
    found = [row for batch in batches for row in batch]
    assert found == sorted_by(rows, passes)
    assert {type(row[0]) for row in found} == {type(value) for value in values}


def test_keys_that_cannot_be_written_are_sorted_in_memory() -> None:
    def compared(left: str, right: str) -> int:
        return (left > right) - (left < right)

    fold = cmp_to_key(compared)
    rows: list[Row] = [(place, fold(str(place))) for place in range(20_000)]
    passes: list[Pass] = [(itemgetter(1), False)]
    batches = sorted_batches(in_batches(rows, 100), passes, unchecked, 100_000)
    found = [row[0] for batch in batches for row in batch]
    assert found == sorted(range(20_000), key=str)
    file = RowFile()
    with pytest.raises(Unspillable):
        file.append(rows[:3])
    file.close()


def test_the_first_k_rows_are_those_of_the_whole_sort() -> None:
    rng = random.Random(9)
    for passes in PASSES:
        rows: list[Row] = [
            (rng.randrange(50), rng.randrange(5), rng.random(), place) for place in range(5000)
        ]
        for count in (0, 1, 10, 700, 4999, 6000):
            found = top_rows(in_batches(rows, 300), passes, count, unchecked)
            assert found == sorted_by(rows, passes)[:count]


def test_an_interrupted_sort_lets_its_file_go() -> None:
    rows: list[Row] = [(place,) for place in range(50_000)]
    calls = 0

    def interrupted() -> None:
        nonlocal calls
        calls += 1
        if calls == 30:
            raise KeyboardInterrupt

    passes: list[Pass] = [(itemgetter(0), False)]
    with pytest.raises(KeyboardInterrupt):
        list(sorted_batches(in_batches(rows, 1000), passes, interrupted, 200_000))
    abandoned = sorted_batches(in_batches(rows, 1000), passes, unchecked, 200_000)
    next(abandoned)
    abandoned.close()  # type: ignore[attr-defined]


def test_the_weight_of_rows_grows_with_what_they_alone_hold() -> None:
    numbers: list[Row] = [(place, place + 1000) for place in range(1000, 1010)]
    texts: list[Row] = [(place, f"number {place} " * 5) for place in range(1000, 1010)]
    assert 50 < row_bytes(numbers) < row_bytes(texts)
    assert row_bytes([("x" * size,) for size in range(1000, 1010)]) > 1000
    cache = [list(texts)]
    assert row_bytes(texts) < 20, "the cache holds the rows as well"
    cache[0] = [(text,) for _, text in texts]
    assert row_bytes(texts) < row_bytes(numbers) + 20, "now their texts only"
    assert len(cache) == 1


def test_rows_of_few_keys_are_sorted_in_buckets_and_stay_in_order() -> None:
    rng = random.Random(11)
    for values in (3, 40, 900):
        rows: list[Row] = [
            (rng.randrange(values), rng.randrange(4), place) for place in range(25_000)
        ]
        for passes in PASSES[:4]:
            found = list(rows)
            sorting.sort_rows(found, passes)
            assert found == sorted_by(rows, passes)
