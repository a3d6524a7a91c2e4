"""Columns beside min() or max() that are in no key: of the row that has it, as in sqlite3."""

import random
import sqlite3
from itertools import product

import pytest

import kvsh

ARGUMENTS = ("a", "b", "c", "d", "a + d", "-b", "c COLLATE NOCASE", "a / (d - 1)", "d * 2")
FILTERS = (
    "",
    "FILTER (WHERE d > 1)",
    "FILTER (WHERE a IS NOT NULL)",
    "FILTER (WHERE e < 0)",
)
GROUPS = (
    "",
    "GROUP BY g",
    "GROUP BY g HAVING e > 100",
    "GROUP BY g, d",
    "GROUP BY c COLLATE NOCASE",
)
OTHERS = ("", ", max(a)", ", count(*), sum(d)", ", min(d)")


@pytest.mark.parametrize("function", ["min", "max"])
@pytest.mark.parametrize("argument", ARGUMENTS)
def test_they_are_of_the_row_that_sqlite_shows(function: str, argument: str) -> None:
    draw = random.Random(argument)
    rows = [
        (
            draw.randrange(6),
            draw.choice([None, 1, 2, 3]),
            draw.choice([None, 0.5, 1.5]),
            draw.choice([None, "a", "B", "b"]),
            draw.randrange(4),
            number,
        )
        for number in range(300)
    ]
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    for con in (ours, theirs):
        con.execute("CREATE TABLE t (g INT, a INT, b REAL, c TEXT, d INT NOT NULL, e)")
        con.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", rows)
    for where, group, other in product(FILTERS, GROUPS, OTHERS):
        query = f"SELECT g, e, {function}({argument}) {where} {other} FROM t {group}"
        found = sorted(map(repr, ours.execute(query).fetchall()))
        assert found == sorted(map(repr, theirs.execute(query).fetchall())), query
