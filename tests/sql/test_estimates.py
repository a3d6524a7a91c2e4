"""How many rows the planner expects of conditions: what an index counts, and what ascends with the rows."""

import re
import sqlite3
from typing import Any

import pytest

import kvsh

ROWS = 20_000


@pytest.fixture(scope="module")
def log() -> Any:
    """A log whose times ascend with its rows, with an index on them and without, and a table by two keys."""
    con = kvsh.connect(":memory:")
    con.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, at TEXT, day TEXT, kind INT)")
    rows = []
    for number in range(ROWS):
        day = f"{2000 + number // 2000}-{number // 200 % 10 + 1:02}-{number // 10 % 20 + 1:02}"
        rows.append((number, day, day, number % 7))
    con.executemany("INSERT INTO log VALUES (?, ?, ?, ?)", rows)
    con.execute("CREATE INDEX log_at ON log (at)")
    con.execute("CREATE TABLE line (a INT, b INT, qty INT, PRIMARY KEY (a, b)) WITHOUT ROWID")
    lines = [(n // 4, n % 4, n // 2000) for n in range(ROWS)]
    con.executemany("INSERT INTO line VALUES (?, ?, ?)", lines)
    con.commit()
    return con


def expected(con: Any, query: str) -> float:
    """The rows that the plan's top line expects."""
    rows = con.execute(f"EXPLAIN {query}").fetchall()
    found = re.search(r"~([\d,]+) rows?", rows[0][0])
    assert found is not None, rows
    return float(found[1].replace(",", ""))


def test_an_index_tells_how_many_rows_conditions_leave(log: Any) -> None:
    query = "SELECT * FROM log WHERE at >= '2003-01-01' AND at < '2003-03-01'"
    there = len(log.execute(query).fetchall())
    assert there / 2 <= expected(log, query) <= there * 2
    beside = expected(log, f"{query} AND kind = 3")
    assert there / 20 <= beside <= there / 3


def test_a_range_between_two_leaves_of_the_sample_is_no_single_row(log: Any) -> None:
    query = "SELECT * FROM log WHERE day >= '2003-01-01' AND day < '2003-03-01'"
    there = len(log.execute(query).fetchall())
    assert there / 8 <= expected(log, query) <= there * 8


def test_tables_without_row_ids_are_sampled_all_over(log: Any) -> None:
    query = "SELECT * FROM line WHERE qty > 4"
    there = len(log.execute(query).fetchall())
    assert there / 2 <= expected(log, query) <= there * 2


@pytest.mark.parametrize("declared", ["INTEGER", "INTEGER NOT NULL", ""])
def test_a_left_join_for_rows_without_a_match_is_an_anti_join(declared: str) -> None:
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    for con in (ours, theirs):
        con.execute("CREATE TABLE a (id INTEGER PRIMARY KEY)")
        con.execute(f"CREATE TABLE b (x {declared}, y INTEGER)")
        con.executemany("INSERT INTO a VALUES (?)", [(n,) for n in range(50)])
        con.executemany("INSERT INTO b VALUES (?, ?)", [(n % 20, n % 3 or None) for n in range(60)])
    query = "SELECT a.id FROM a LEFT JOIN b ON b.x = a.id WHERE b.{} IS NULL ORDER BY 1"
    for column in ("x", "y"):
        asked = query.format(column)
        assert ours.execute(asked).fetchall() == theirs.execute(asked).fetchall()
        plan = str(ours.execute(f"EXPLAIN {asked}").fetchall())
        assert ("Anti-join" in plan) is (column == "x")


def test_what_offset_leaves_out_is_passed_over_in_an_index(log: Any) -> None:
    query = "SELECT id, kind FROM log ORDER BY at DESC, id DESC LIMIT 5 OFFSET 9000"
    assert log.execute(query).fetchall() == [(n, n % 7) for n in range(10_999, 10_994, -1)]
    plan = "\n".join(row[0] for row in log.execute(f"EXPLAIN {query}"))
    assert "index log_at backwards" in plan
    filtered = query.replace("ORDER", "WHERE kind = 3 ORDER").replace("9000", "2000")
    assert "index log_at" not in "\n".join(row[0] for row in log.execute(f"EXPLAIN {filtered}"))
