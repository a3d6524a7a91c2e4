"""ORDER BY of a column that is kept: against sqlite3, with equal values in the order of their rows."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

import kvsh
from btree import Column
from sql.run.presorted import presorted
from tests.sql.engines import open_both

SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, r REAL NOT NULL, n INTEGER NOT NULL, o REAL, m NUMERIC NOT NULL,
                name TEXT NOT NULL, spare TEXT)
"""
COUNT = 60_000
ORDERS = [
    "r",
    "r DESC",
    "n",
    "n DESC",
    "n, id",
    "r DESC, id",
    "o",
    "o DESC",
    "o NULLS LAST",
    "o DESC NULLS FIRST, n DESC",
    "name, o DESC",
    "spare, o NULLS LAST",
    "m",
    "m DESC",
    "n, r",
    "id DESC",
]
SELECTS = [
    "SELECT id, {column} FROM t ORDER BY {order}",
    "SELECT name, id FROM t ORDER BY {order}",
    "SELECT id FROM t WHERE id BETWEEN 3000 AND 50000 ORDER BY {order}",
    "SELECT id FROM t WHERE n > 5 ORDER BY {order}",
    "SELECT id FROM t ORDER BY {order} LIMIT 30 OFFSET 100",
]


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[kvsh.Connection, sqlite3.Connection]]:
    ours, theirs = open_both(tmp_path_factory.mktemp("presorted"), [SCHEMA])
    draw = random.Random(4)
    rows = [
        (
            number,
            draw.choice([round(draw.gauss(0, 50), 1) + 0.0, draw.random(), 1e300]),
            draw.choice([draw.randrange(-40, 40), 2**60, -(2**63)]),
            draw.choice([None, draw.random()]),
            draw.choice([1, 2, 3.5, 4]),
            draw.choice("abc"),
            None,
        )
        for number in range(COUNT)
    ]
    for each in (ours, theirs):
        each.execute("BEGIN")
        each.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        each.execute("COMMIT")
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("order", ORDERS)
def test_against_sqlite(both: tuple[kvsh.Connection, sqlite3.Connection], order: str) -> None:
    ours, theirs = both
    for select in SELECTS:
        sql = select.format(order=order, column=order.split()[0].rstrip(","))
        wanted = [*map(repr, theirs.execute(sql))]
        for _ in range(4):  # from the file, from memory, and by the order that is kept
            assert [*map(repr, ours.execute(sql))] == wanted, sql


def test_the_order_goes_with_changes(both: tuple[kvsh.Connection, sqlite3.Connection]) -> None:
    ours, theirs = both
    sql = "SELECT id, n FROM t ORDER BY n"
    for change in (
        "UPDATE t SET n = 1 WHERE id % 5000 = 7",
        "DELETE FROM t WHERE id BETWEEN 20000 AND 20100",
        "INSERT INTO t (id, r, n, m, name) VALUES (90000, 1, -7, 1, 'z')",
    ):
        for _ in range(3):
            assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall()
        for each in (ours, theirs):
            each.execute("BEGIN")
            each.execute(change)
        assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall()
        for each in (ours, theirs):
            each.execute("COMMIT")
    assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall()


class Home:
    """What columns are kept in, with so much room."""

    def __init__(self, room: int) -> None:
        self.room = room

    def grow(self, size_bytes: int) -> bool:
        self.room -= size_bytes
        return self.room >= 0


def batch(home: Home | None, keys: list[Any], start: int) -> tuple[Column, list[int]]:
    column = Column(keys)
    if home is not None:
        column.kept_in = home  # type: ignore[assignment]
    return column, [*range(start, start + len(keys))]


def test_what_is_kept_together_is_sorted_together() -> None:
    draw = random.Random(2)
    homes = [Home(1 << 30), Home(1 << 30), Home(100), None]
    batches = []
    for home in homes:
        for _ in range(3):
            keys = [float(draw.randrange(50)) for _ in range(300)]
            batches.append(batch(home, keys, 300 * len(batches)))
    for descending in (False, True, False):
        found = [*presorted(batches, 0, descending, False)]
        assert [len(keys) for keys, _ in found] == [900, 900] + [300] * 6
        assert found[2:] == batches[6:]
        for place, (keys, rows) in enumerate(found[:2]):
            pairs = [
                pair
                for one in batches[3 * place : 3 * place + 3]
                for pair in zip(*one, strict=True)
            ]
            pairs.sort(key=lambda pair: pair[0], reverse=descending)
            assert [*zip(keys, rows, strict=True)] == pairs


@pytest.mark.parametrize("nulls_first", [True, False])
@pytest.mark.parametrize("descending", [True, False])
def test_nulls_stand_where_they_are_wanted(descending: bool, nulls_first: bool) -> None:
    home = Home(1 << 30)
    keys = [3.0, None, 1.0, None, 2.0] * 200
    batches = [batch(home, keys, 0), batch(home, [None] * 10, 1000)]
    for _ in range(2):
        ((found, rows),) = presorted(batches, 0, descending, nulls_first)
        values = sorted([key for key in keys if key is not None], reverse=descending)
        nulls = [None] * 410
        assert found == (nulls + values if nulls_first else values + nulls)
        assert [batches[row >= 1000][0][row % 1000] for row in rows] == found
        assert [row for row in rows if row >= 1000 or keys[row] is None] == [
            row for row in range(1010) if row >= 1000 or keys[row] is None
        ]


@pytest.mark.parametrize("odd", [1, "x", 2**70])
def test_values_of_several_kinds_stay_as_they_come(odd: Any) -> None:
    home = Home(1 << 30)
    batches = [batch(home, [1.0, odd] * 400, 0)]
    for _ in range(2):
        assert [*presorted(batches, 0, False, True)] == batches


def test_an_order_does_not_outlive_the_batches_it_is_of() -> None:
    home = Home(1 << 30)
    before = [batch(home, [3.0, 1.0] * 300, 0), batch(home, [2.0, 0.5] * 300, 600)]
    changed = [before[0], batch(home, [9.0, 0.5] * 300, 600)]
    for batches in (before, changed, before[:1], before):
        ((keys, _),) = presorted(batches, 0, False, True)
        assert keys == sorted(value for values, _ in batches for value in values)
