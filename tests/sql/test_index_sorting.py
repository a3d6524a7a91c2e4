"""Index entries in SQL's order, whatever way they are sorted; indexes of large tables against sqlite3."""

from __future__ import annotations

import math
import random
import sqlite3
import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from btree import open_memory, order_key
from sql import ConstraintError, Session
from sql.dml import column_sorting, entry_runs
from sql.dml.column_sorting import Gathered, sorted_columns
from sql.dml.entry_runs import sorted_entries
from sql.dml.entry_sorting import sort_entries

COUNT = 3000
MANY = 12_000
Make = Callable[[random.Random], Any]

FIRSTS: dict[str, Make] = {
    "few integers": lambda rng: rng.randrange(20),
    "integers": lambda rng: rng.randrange(-COUNT, COUNT),
    "integers of 64 bits": lambda rng: rng.choice((-(1 << 63), (1 << 63) - 1, rng.getrandbits(62))),
    "one far away": lambda rng: 1 << 60 if rng.random() < 0.001 else rng.randrange(900),
    "one value": lambda rng: 7,
    "reals": lambda rng: rng.uniform(-1e9, 1e9),
    "reals of all sizes": lambda rng: rng.choice((-1, 1)) * 10.0 ** rng.randrange(-300, 300),
    "infinities": lambda rng: rng.choice((math.inf, -math.inf, rng.random())),
    "zeros": lambda rng: rng.choice((0.0, -0.0, 5e-324)),
    "numbers": lambda rng: rng.choice((rng.randrange(99), rng.random() * 99)),
    "integers and nulls": lambda rng: rng.choice((None, rng.randrange(999))),
    "reals and nulls": lambda rng: rng.choice((None, rng.random())),
    "texts": lambda rng: f"{rng.randrange(999):x}",
    "texts that begin alike": lambda rng: f"begins alike {rng.randrange(99_999)}",
    "texts that are alike for long": lambda rng: "x" * 50 + f"{rng.randrange(999)}",
    "all letters": lambda rng: "".join(rng.choices("aäß€𝄞\ud800\uffff", k=rng.randrange(4))),
    "few texts": lambda rng: rng.choice(("", "one", "two")),
    "texts and nulls": lambda rng: rng.choice((None, f"{rng.randrange(999)}")),
    "mostly one text": lambda rng: "often" if rng.random() < 0.6 else f"of{rng.randrange(9999)}",
    "long texts and nulls": lambda rng: rng.choice((None, "y" * 60 + f"{rng.randrange(9999)}")),
    "mostly one number": lambda rng: 5 if rng.random() < 0.7 else rng.randrange(-9999, 9999),
    "numbers that floats don't tell apart": lambda rng: rng.choice(
        ((1 << 53) + rng.randrange(9), float((1 << 53) + rng.randrange(9)), rng.randrange(1 << 60))
    ),
    "integers of all sizes": lambda rng: rng.getrandbits(rng.randrange(1, 63)),
    "blobs": lambda rng: rng.randbytes(2),
    "few blobs": lambda rng: rng.choice((b"", b"\0", b"\xff")),
    "everything": lambda rng: rng.choice((None, 1, 1.5, "a", b"a", rng.randrange(9))),
}
SECONDS: dict[str, Make] = {
    "texts": lambda rng: f"{rng.randrange(9)}",
    "everything": lambda rng: rng.choice((None, 1, "a", b"a")),
}


@pytest.mark.parametrize("second", SECONDS)
@pytest.mark.parametrize("first", FIRSTS)
def test_entries_are_sorted_as_by_order_key(first: str, second: str) -> None:
    rng = random.Random(5)
    entries = [(FIRSTS[first](rng), SECONDS[second](rng), number) for number in range(COUNT)]
    expected = sorted(entries, key=order_key)
    rng.shuffle(entries)
    sort_entries(entries)
    assert entries == expected


@pytest.mark.parametrize("second", FIRSTS)
def test_entries_of_three_parts_whose_first_ones_are_few(second: str) -> None:
    rng = random.Random(6)
    entries = [
        (rng.choice((None, "a", "b")), FIRSTS[second](rng), SECONDS["everything"](rng), number)
        for number in range(3 * COUNT)
    ]
    expected = sorted(entries, key=order_key)
    assert _by_column(entries, 3) == expected
    rng.shuffle(entries)
    sort_entries(entries)
    assert entries == expected


def _by_column(entries: list[tuple[Any, ...]], parts: int, batch: int = 700) -> list[Any]:
    columns = []
    for place, values in enumerate(zip(*entries, strict=True)):
        column = Gathered(_of_pages(values[:batch]), are_keys=place >= parts)
        for start in range(batch, len(values), batch):
            some = values[start : start + batch]
            column.add(some if start % (3 * batch) else _of_pages(some))
        columns.append(column.values)
    return [entry for piece in sorted_columns(columns, parts) for entry in zip(*piece, strict=True)]


def _of_pages(values: Sequence[Any]) -> Sequence[Any]:
    """Values as a scan gives them: integers and REALs in the narrowest array."""
    if set(map(type, values)) == {float}:
        return array("d", values)
    for code in "bhiq" if set(map(type, values)) == {int} else "":
        with suppress(OverflowError):
            return array(code, values)
    return values


@pytest.mark.parametrize("second", [*FIRSTS, None])
@pytest.mark.parametrize("first", FIRSTS)
def test_entries_by_column_are_sorted_as_by_order_key(
    first: str, second: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(column_sorting, "_RUN_ENTRIES", 512)
    rng = random.Random(f"{first} {second}")
    makes = [FIRSTS[name] for name in (first, second) if name is not None]
    for count in (1, 300, rng.choice((700, COUNT))):
        key, step = rng.choice((0, 1, 70_000, -5, 1 << 40)), rng.choice((1, 1, 3))
        entries = [(*[make(rng) for make in makes], key + number * step) for number in range(count)]
        expected = sorted(entries, key=order_key)
        # Not equal but the same: 1 and 1.0 are different values, and so are 0.0 and -0.0.
        assert repr(_by_column(entries, len(makes))) == repr(expected)


@pytest.mark.parametrize("second", [*SECONDS, None])
@pytest.mark.parametrize("first", FIRSTS)
def test_runs_on_disk_are_merged_in_order(
    first: str, second: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more entries than the memory limit lets be gathered, and more runs than are merged at once."""
    monkeypatch.setattr(entry_runs, "_CHUNK_MIN", 16)
    rng = random.Random(f"{first} {second}")
    makes = [(FIRSTS | SECONDS)[name] for name in (first, second) if name is not None]
    key, step = rng.choice(((0, 1), (-5, 3), (1 << 40, 1)))
    entries = [(*[make(rng) for make in makes], key + number * step) for number in range(COUNT)]
    expected = sorted(entries, key=order_key)
    parts = len(makes)
    for runs_max, limit in ((4, 12_000), (32, 40_000), (32, 1 << 20)):
        monkeypatch.setattr(entry_runs, "_RUNS_MAX", runs_max)
        batches: list[list[Any]] = [
            list(map(list, zip(*entries[start : start + 100], strict=True)))
            for start in range(0, COUNT, 100)
        ]
        pieces = sorted_entries(_context(limit), batches, parts, parts)
        found = [entry for piece in pieces for entry in zip(*piece, strict=True)]
        assert repr(found) == repr(expected)


def _context(limit: int) -> Any:
    return SimpleNamespace(check=lambda: None, memory_limit_bytes=limit)


def test_what_is_gathered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of long texts are written as runs before they take more than the limit."""
    rng = random.Random(9)
    largest = 0
    plain = entry_runs._in_order

    def in_order(gathered: list[Gathered], parts: int) -> Any:
        nonlocal largest
        size = sum([sum(map(sys.getsizeof, column.values)) for column in gathered])
        largest = max(largest, size)
        return plain(gathered, parts)

    monkeypatch.setattr(entry_runs, "_in_order", in_order)
    limit = 1 << 20
    batches: Iterable[list[Any]] = (
        [[f"{rng.random()}" * 10 for _ in range(256)], list(range(start, start + 256))]
        for start in range(0, 256 * 100, 256)
    )
    pieces = sorted_entries(_context(limit), batches, 1, 1)
    found = [entry for piece in pieces for entry in zip(*piece, strict=True)]
    assert len(found) == 256 * 100 and found == sorted(found)
    assert limit // 4 < largest < limit


def test_few_values_of_which_some_are_equal_and_not_the_same() -> None:
    """All integers stand before the REALs that equal them."""
    values = [*[number % 5 for number in range(600)], *[float(number % 5) for number in range(9)]]
    entries = [(value, number) for number, value in enumerate(values)]
    assert repr(_by_column(entries, 1)) == repr(sorted(entries, key=order_key))


def test_more_entries_by_column_than_are_packed_at_once() -> None:
    rng = random.Random(8)
    count = 70_000
    for make in (
        lambda n: (rng.randrange(count), n),
        lambda n: (rng.randrange(9), f"{rng.randrange(count)}", n),
        lambda n: (n // 3, rng.choice((None, "x")), n),
        lambda n: (f"{rng.randrange(count)}", -rng.random(), n),
    ):
        entries: list[tuple[Any, ...]] = [make(n) for n in range(count)]
        expected = sorted(entries, key=order_key)
        assert _by_column(entries, len(entries[0]) - 1) == expected


@pytest.mark.parametrize(
    "index",
    [
        "a",
        "b",
        "c",
        "d, a",
        "c, e",
        "e, a",
        "e",
        "a, b DESC, a",
        "c COLLATE NOCASE",
        "a, id",
        "d || 'x'",
        "a) WHERE (a % 3 = 1",
        "lower(c), a % 7",
        "abs(a - 100) DESC, c COLLATE NOCASE, id",
        "coalesce(b, d), id",
        "e) WHERE (c = 'A3' OR b IS NULL AND d",
        "d, a || c) WHERE (id BETWEEN 100 AND 9000",
    ],
)
@pytest.mark.parametrize("without_rowid", [False, True])
def test_an_index_of_a_large_table_holds_what_sqlite3_finds(
    index: str, without_rowid: bool
) -> None:
    rng = random.Random(3)
    rows = [
        (
            number,
            rng.randrange(MANY),
            rng.choice((None, rng.random())),
            rng.choice(("A", "a")) + str(rng.randrange(500)),
            rng.choice((None, 1, 2.5, "x", b"y")),
            f"e {number}",
        )
        for number in range(MANY)
    ]
    session, connection = Session(open_memory()), sqlite3.connect(":memory:")
    for execute, many in (
        (session.execute, session.execute_many),
        (connection.execute, connection.executemany),
    ):
        suffix = " WITHOUT ROWID" if without_rowid else ""
        execute(f"CREATE TABLE t(id INTEGER PRIMARY KEY, a, b REAL, c TEXT, d, e TEXT){suffix}")
        many("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", rows)
        execute(f"CREATE INDEX i ON t({index})")
    assert list(session.execute("PRAGMA integrity_check")) == [("ok",)]
    for condition in ("a BETWEEN 100 AND 130", "b < 0.01", "c = 'a7'", "d IS NULL AND a < 900"):
        query = f"SELECT id, a FROM t WHERE {condition} ORDER BY id"
        assert list(session.execute(query)) == connection.execute(query).fetchall()


def test_an_index_of_expressions_is_filled_whatever_the_table_is_called() -> None:
    session = Session(open_memory())
    session.execute("CREATE TABLE t(x)")
    for kind in ("", "TEMP"):
        name = '"select ""t"' if kind else '"t t"'
        session.execute(f'CREATE {kind} TABLE {name}("a b", c TEXT COLLATE NOCASE)')
        session.execute(f"INSERT INTO {name} VALUES (3, 'x'), (-3, 'X'), (NULL, 'y'), (1, NULL)")
        session.execute(f'CREATE INDEX i{kind} ON {name}(abs("a b"), c) WHERE "a b" <> 1')
        session.execute(f'CREATE UNIQUE INDEX u{kind} ON {name}(c || "a b")')
        assert list(session.execute("PRAGMA integrity_check")) == [("ok",)]
        if not kind:
            session.execute("REINDEX i")
        assert list(session.execute("PRAGMA integrity_check")) == [("ok",)]
        with pytest.raises(ConstraintError, match="UNIQUE constraint failed: index"):
            session.execute(f'CREATE UNIQUE INDEX v{kind} ON {name}(abs("a b"), lower(c))')


def test_a_unique_index_finds_the_one_value_that_is_there_twice() -> None:
    session = Session(open_memory())
    session.execute("CREATE TABLE t(a, b)")
    numbers = list(range(MANY))
    random.Random(1).shuffle(numbers)
    session.execute_many("INSERT INTO t VALUES (?, ?)", [(n, n // 2 * 2) for n in numbers])
    session.execute("CREATE UNIQUE INDEX ia ON t(a)")
    with pytest.raises(Exception, match=r"UNIQUE constraint failed: t\.b"):
        session.execute("CREATE UNIQUE INDEX ib ON t(b)")
