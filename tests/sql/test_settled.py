"""Expressions of literals and parameters alone, and date functions of many moments, against sqlite3."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import kvsh
from tests.sql.engines import SqliteEngine

CONDITIONS = (
    ("day < date(?, '+3 months')", ("1999-11-30",)),
    ("day BETWEEN date(?, ?) AND date('2001-02-03', 'start of year')", ("1999-11-30", "-7 days")),
    ("day >= date(?) AND v > ? - 0.5", ("no date", 10)),
    ("day > strftime(?, ?)", ("%Y-%m-%d", 2451545)),
    ("n < ? * 3 - ? % 7", (40, 9)),
    ("n < ? / 0", (40,)),
    ("n = -(?)", (3,)),
    ("n < ? || ?", ("1", "2")),
    ("v < CAST(? AS REAL)", ("12.5",)),
    ("n IN (? + 1, length(?), NULL)", (4, "abc")),
    ("lower(t) = lower(?)", ("ÄAB",)),
    ("t LIKE '%' || ? || '%'", ("b",)),
    ("t LIKE lower(?) || '%'", ("A",)),
    ("t = trim(?) COLLATE NOCASE", (" AB ",)),
    ("n % 10 = ? - 3", (7,)),
    ("n > coalesce(?, ?)", (None, 30)),
    ("day > datetime(?, 'unixepoch') OR n < unixepoch(?) % 7", (946684800, "1970-01-01 00:00:05")),
    ("CASE WHEN n > 1000000 THEN abs(?) END IS NULL", (-(2**63),)),
    ("n > 10 OR json_extract(?, '$') = 1", ('{"a": 1}',)),
)


def rows() -> list[tuple[Any, ...]]:
    draw = random.Random(8)
    found: list[tuple[Any, ...]] = []
    for number in range(6000):
        day = f"{draw.randrange(1995, 2005)}-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}"
        text = draw.choice(["ab", "AB", "äab", "ABC", None, "", "xby"])
        found.append((number, None if draw.random() < 0.1 else day, draw.uniform(0, 40), text))
    return found


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(("condition", "parameters"), CONDITIONS)
def test_conditions(condition: str, parameters: tuple[Any, ...], indexed: bool) -> None:
    ours, theirs = kvsh.connect(":memory:"), SqliteEngine().connection
    for con in (ours, theirs):
        con.execute("CREATE TABLE t(n INTEGER, day TEXT, v REAL, t TEXT)")
        con.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows())
        if indexed:
            con.execute("CREATE INDEX t_day ON t(day)")
            con.execute("CREATE INDEX t_n ON t(n)")
    sql = f"SELECT n, v FROM t WHERE {condition}"
    wanted = sorted(theirs.execute(sql, parameters).fetchall())
    for _ in range(4):  # the third run codes the columns
        assert sorted(ours.execute(sql, parameters).fetchall()) == wanted


def test_what_may_fail_does_not_unless_it_is_asked_for() -> None:
    con = kvsh.connect(":memory:")
    con.execute("CREATE TABLE t(n INTEGER)")
    sql = "SELECT abs(?) FROM t WHERE n > json_extract(?, '$')"
    assert con.execute(sql, (-(2**63), "no JSON")).fetchall() == []


def test_the_planner_knows_what_is_settled() -> None:
    con = kvsh.connect(":memory:")
    con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, day TEXT, v)")
    con.execute("CREATE INDEX t_day ON t(day)")
    con.execute(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000)"
        " INSERT INTO t SELECT n, date('2000-01-01', n || ' days'), n FROM c"
    )
    plan = "EXPLAIN QUERY PLAN SELECT sum(v) FROM t WHERE day > date(?, '-1 day')"
    assert "t_day" in str(con.execute(plan, ("2054-09-30",)).fetchall())
    assert "t_day" not in str(con.execute(f"{plan} AND 1", ("2000-01-02",)).fetchall())


MOMENTS = (
    *("2000-02-29 23:59:59", "2001-02-28T00:00:00", "2000-12-31", "1999-01-01 24:00:00"),
    *(
        "2000-01-01 12:30",
        "2000-01-01 12:30:45.678",
        "2000-01-01 12:30:45Z",
        "2000-13-01",
        "now then",
    ),
    *("2000-02-31 10:00:00", "0000-01-01 00:00:00", "9999-12-31 23:59:59", "12:30:00", "", None),
    *(0, 1, -1, 86399, 86400, 946684800, -86401, 951868799, 253402300799, 253402300800),
    *(
        -210866760000,
        -210866760001,
        2**62,
        -(2**63),
        1.5,
        946684799.9994,
        -0.5,
        b"2000-01-01",
        "1e9",
    ),
)
CALLS = (
    *("date(m)", "datetime(m)", "julianday(m)", "date(m, 'start of month')", "date(m, '+1 month')"),
    *("date(m, '-1 day', 'weekday 1')", "date(m, '+30 hours')", "date(m, '1.5 days')", "time(m)"),
    *("strftime('%Y-%m', m)", "strftime('%H', m)", "strftime('%H:%M', m)", "strftime('%S', m)"),
    *("strftime('%j %W %w', m)", "strftime('%d%%', m)", "strftime('%', m)", "strftime('', m)"),
    *("strftime('%H', m, 'start of day')", "strftime('%M', m, '+1 year')", "strftime('%x', m)"),
    *("date(m, 'unixepoch')", "date(m, 'unixepoch', '+1 month')", "datetime(m, 'unixepoch')"),
    *("strftime('%H', m, 'unixepoch')", "strftime('%Y-%m-%d %H:%M', m, 'unixepoch')"),
    *("date(m, 'unixepoch', '-1 hour')", "strftime('%M', m, 'unixepoch', 'weekday 0')"),
    *("unixepoch(m)", "unixepoch(m, 'start of month')", "date('2000-01-01', m)", "strftime(m, 0)"),
)


@pytest.mark.parametrize("call", CALLS)
def test_many_moments(call: str, tmp_path: Path) -> None:
    ours, theirs = kvsh.connect(tmp_path / "a.db"), sqlite3.connect(":memory:")
    draw = random.Random(2)
    moments: list[Any] = [*MOMENTS]
    for _ in range(3000):
        second = draw.randrange(0, 2 * 10**9)
        (text,) = theirs.execute("SELECT datetime(?, 'unixepoch')", (second,)).fetchone()
        moments.append(draw.choice([text, text[:10], second]))
    draw.shuffle(moments)
    for con in (ours, theirs):
        con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, m)")
        con.executemany("INSERT INTO t(m) VALUES (?)", [(m,) for m in moments])
    sql = f"SELECT id, {call} FROM t"
    assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall()
