"""Hash tables, kept rows, partitions and outer joins past the memory limit, against dicts and lists."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from btree import order_key
from sql.context import Context
from sql.run import grouping
from sql.run.grouping import Groups, Missing, spilled_groups
from sql.run.hashing import (
    DiskKeys,
    DiskRows,
    DiskTable,
    hash_keys,
    hash_repeats,
    hash_table,
    kept_rows,
)
from sql.run.joins import outer_joined
from sql.run.partitions import overfull
from sql.run.stages import distinct_keys, distinct_rows, set_operation

Row = tuple[Any, ...]


def context(limit: int) -> Context:
    """As much of a context as sorts, groups and joins see."""
    return cast("Context", SimpleNamespace(check=lambda: None, memory_limit_bytes=limit))


def in_batches(rows: list[Any], size: int = 500) -> Iterator[list[Any]]:
    for at in range(0, len(rows), size):
        yield rows[at : at + size]


def some_key(rng: random.Random) -> Any:
    return rng.choice(
        [None, rng.randrange(3000), float(rng.randrange(3000)), f"k{rng.randrange(3000)}", b"\x00"]
    )


@pytest.mark.parametrize("width", [1, 2])
def test_rows_without_columns_are_as_many_as_their_keys(width: int) -> None:
    draw = random.Random(width)
    values = [None, "x", 1.0, *range(9000)]
    keys: list[Any] = [
        draw.choice(values) if width == 1 else (draw.choice(values[:90]), draw.choice(values[:90]))
        for _ in range(30_000)
    ]
    pairs = [(key, ()) for key in keys]
    for nullable in (True, False):
        wanted = hash_table(in_batches(pairs), width, nullable, context(1 << 30))
        for limit in (1 << 30, 300_000):
            found = hash_repeats(in_batches(keys), width, nullable, context(limit))
            assert isinstance(found, DiskTable) == (limit < 1 << 30)
            for key in {*keys, -1}:
                assert [*found.get(key, ())] == [*wanted.get(key, ())]


def test_a_hash_table_on_disk_gives_the_same_rows_in_the_same_order() -> None:
    rng = random.Random(1)
    pairs = [(some_key(rng), (place, f"row {place}")) for place in range(20_000)]
    small = hash_table(in_batches(pairs), 1, True, context(1 << 30))
    large = hash_table(in_batches(pairs), 1, True, context(300_000))
    assert isinstance(small, dict) and isinstance(large, DiskTable)
    for key in [*{key for key, _ in pairs}, "absent", -5, 2.5]:
        if key is not None:
            assert large.get(key, ()) == small.get(key, ()), key
    assert large.get(None, ()) == ()


def test_a_set_of_keys_on_disk_has_the_same_keys() -> None:
    rng = random.Random(2)
    for width, make in ((1, lambda: some_key(rng)), (2, lambda: (some_key(rng), rng.randrange(9)))):
        keys = [make() for _ in range(30_000)]
        small = hash_keys(in_batches(keys), width, True, context(1 << 30))
        large = hash_keys(in_batches(keys), width, True, context(300_000))
        assert type(small) is set and isinstance(large, DiskKeys)
        for key in [*keys, "absent", -5, (None, 3)]:
            expected = key in small
            assert (key in large) == expected, key
            assert not expected or key is not None


def test_keys_of_several_columns_with_a_null_are_left_out() -> None:
    pairs = [((place % 7 or None, place), place) for place in range(30_000)]
    for limit in (1 << 30, 300_000):
        table = hash_table(in_batches(pairs), 2, True, context(limit))
        assert table.get((None, 7), ()) == ()
        assert table.get((1, 8), ()) == [8]


def test_many_rows_of_one_key_stay_together() -> None:
    pairs = [(place % 3, place) for place in range(30_000)]
    table = hash_table(in_batches(pairs), 1, False, context(300_000))
    assert isinstance(table, DiskTable)
    for key in range(3):
        assert table.get(key) == list(range(key, 30_000, 3))
    assert table.get(3) is None


def test_kept_rows_can_be_iterated_any_number_of_times() -> None:
    rows = [(place, "x" * 50) for place in range(20_000)]
    kept = kept_rows(in_batches(rows), context(400_000))
    assert isinstance(kept, DiskRows)
    assert len(kept) == len(rows)
    assert list(kept) == rows and list(kept) == rows
    assert kept_rows(in_batches(rows), context(1 << 30)) == rows


def number_or_seven(rng: random.Random) -> Any:
    """Values of one kind, which one of them is most of."""
    return rng.choice([7, 7, 7.0, rng.randrange(20_000), rng.randrange(20_000) / 1])


@pytest.mark.parametrize("limit", [1 << 30, 300_000])
def test_distinct_rows_come_once_whatever_the_limit(limit: int) -> None:
    rng = random.Random(2)
    rows: list[Row] = [(some_key(rng), rng.randrange(2)) for _ in range(40_000)]
    found = [row for batch in distinct_rows(in_batches(rows), context(limit)) for row in batch]
    assert len(found) == len(set(rows)) and set(found) == set(rows)

    def folded(row: Row) -> Any:
        return str(row[0]).lower()

    keyed = [
        row for batch in distinct_keys(in_batches(rows), folded, context(limit)) for row in batch
    ]
    assert sorted(map(folded, keyed)) == sorted({folded(row) for row in rows})


@pytest.mark.parametrize("operator", ["UNION", "INTERSECT", "EXCEPT"])
@pytest.mark.parametrize("sorted_after", [True, False])
@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("draw", [some_key, number_or_seven])
def test_set_operations_on_disk_show_the_same_rows(
    operator: str, sorted_after: bool, folded: bool, draw: Callable[[random.Random], Any]
) -> None:
    rng = random.Random(7)
    left: list[Row] = [(draw(rng),) for _ in range(30_000)]
    right: list[Row] = [(draw(rng),) for _ in range(20_000)]

    def key(row: Row) -> Any:
        value = row[0]
        return (value.upper()[:-1] if isinstance(value, str) else value,)

    found = []
    for limit in (1 << 30, 1_000_000, 100_000):
        batches = set_operation(
            operator, in_batches(left), in_batches(right), key if folded else None,
            sorted_after=sorted_after, ctx=context(limit),
        )  # fmt: skip
        found.append([repr(row) for batch in batches for row in batch])
    assert found[0] == found[1] == found[2]
    assert found[0]


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("limit", [1 << 30, 200_000])
def test_outer_joins_match_the_definition(full: bool, keyed: bool, limit: int) -> None:
    rng = random.Random(3)
    size = 9000 if keyed else 60
    left = [(rng.randrange(size), f"l{place}") for place in range(size)]
    right = [(rng.randrange(size), f"r{place}") for place in range(size)]

    def matches(a: Row, b: Row) -> bool:
        return bool(a[0] == b[0] and a[1] != "l7")

    def key(row: Row) -> Any:
        return row[0]

    found = [
        row
        for batch in outer_joined(
            in_batches(left), in_batches(right), matches,
            key if keyed else None, key if keyed else None, 2, 2, full, context(limit),
        )
        for row in batch
    ]  # fmt: skip
    by_key: dict[Any, list[Row]] = {}
    for other in right:
        by_key.setdefault(other[0], []).append(other)
    wanted: list[Row] = []
    used = set()
    for row in left:
        matched = [other for other in by_key.get(row[0], []) if matches(row, other)]
        used.update(matched)
        wanted += [row + other for other in matched] or [(*row, None, None)]
    if full:
        wanted += [(None, None, *other) for other in right if other not in used]
    assert found == wanted


def test_keys_of_groups_are_ranked_only_where_they_do_not_compare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Keys of columns that may hold NULL, or whose kinds are not known, were ranked each time."""
    ranked = 0

    def counting(key: Any) -> Any:
        nonlocal ranked
        ranked += 1
        return order_key(key)

    monkeypatch.setattr(grouping, "order_key", counting)
    for key in (lambda n: (str(n), n), lambda n: n / 2, lambda n: (n % 7, -n)):
        keys = [key(n) for n in random.Random(1).sample(range(900), 900)]
        groups = dict.fromkeys(keys)
        bare = keys[0].__class__ is not tuple
        rows: list[Row] = [(each, 1) if bare else (*each, 1) for each in keys]
        found = grouping.in_key_order(groups, [*rows], bare)
        assert found == sorted(rows)
        assert grouping.in_order_of_columns([*rows], len(rows[0]) - 1) == sorted(rows)
    assert not ranked
    mixed: list[Row] = [(None, 1), ("b", 2), (3, 3), (b"a", 4), ("a", 5), (2.5, 6), (None, 0)]
    wanted = sorted(mixed, key=lambda row: order_key(row[0]))
    assert grouping.in_key_order({}, [*mixed], True) == wanted
    assert ranked


def test_the_collector_rests_while_arms_are_taken_in() -> None:
    """Every so many rows it went through all that is in memory, half of the time of an INTERSECT of joins."""
    seen = []

    def arm() -> Iterator[list[Row]]:
        seen.append(gc.isenabled())
        yield [(number,) for number in range(9)]

    assert gc.isenabled()
    found = set_operation("INTERSECT", arm(), arm(), None, sorted_after=False, ctx=context(1 << 30))
    assert [row for batch in found for row in batch] == [(number,) for number in range(9)]
    assert seen == [False, False] and gc.isenabled()


@pytest.mark.parametrize("limit", [1 << 30, 3_000_000, 200_000])
def test_groups_past_the_limit_are_grouped_from_disk_in_key_order(limit: int) -> None:
    rng = random.Random(4)
    rows: list[Row] = [(rng.randrange(20_000), rng.randrange(100)) for _ in range(60_000)]
    ctx = context(limit)

    def take_in(batch: list[Row], groups: Groups, missing: Missing | None) -> None:
        for key, number in batch:
            state = groups.get(key)
            if state is None:
                if missing is not None:
                    missing(key, (key, number))
                    continue
                state = groups[key] = [0, 0]
            state[0] += 1
            state[1] += number

    def finish(groups: Groups) -> list[Row]:
        return [(key, *groups[key]) for key in sorted(groups)]

    wanted: dict[Any, list[int]] = {}
    take_in(rows, wanted, None)
    groups: Groups = {}
    batches = in_batches(rows)
    room = 0
    spill = None
    for batch in batches:
        take_in(batch, groups, None)
        if len(groups) > room:
            room, spill = overfull(groups, ctx)
            if spill is not None:
                break
    if limit == 1 << 30:
        assert spill is None
        return
    assert spill is not None
    rest = (row for batch in batches for row in batch)
    found = list(spilled_groups(groups, spill, rest, take_in, finish, True, ctx))
    assert found == finish(wanted)
