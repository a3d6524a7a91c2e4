"""Windows whose rows come out of a covering index in their order: no sort, and the rows that sqlite3 gives."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import pytest

import kvsh

BY_INDEX = (
    "SELECT c, at, at - lag(at) OVER (PARTITION BY c ORDER BY at) FROM e",
    "SELECT c, row_number() OVER w, count(*) OVER w FROM e WINDOW w AS (PARTITION BY c ORDER BY at)",
    "SELECT id, rank() OVER (PARTITION BY c ORDER BY at, id) FROM e",
    "SELECT c, sum(at) OVER (PARTITION BY c ORDER BY at ROWS 2 PRECEDING), max(at) OVER (PARTITION BY c ORDER BY at) FROM e",
    "SELECT c, n FROM (SELECT c, lead(at) OVER (PARTITION BY c ORDER BY at) n FROM e) WHERE n > 50 ORDER BY n DESC, c",
    "SELECT c, first_value(at) OVER (PARTITION BY c ORDER BY at) FROM e LIMIT 30",
    "SELECT c, ntile(3) OVER (ORDER BY c, at) FROM e",
)
OTHERS = (
    "SELECT c, count(*) OVER (PARTITION BY c) FROM e",
    "SELECT c, at, lag(at) OVER (PARTITION BY c ORDER BY at DESC) FROM e",
    "SELECT c, kind, row_number() OVER (PARTITION BY c ORDER BY at) FROM e",
    "SELECT k, n, row_number() OVER (PARTITION BY k ORDER BY n) FROM longer",
    "SELECT c, row_number() OVER (PARTITION BY at ORDER BY c), sum(at) OVER (PARTITION BY c ORDER BY at) FROM e",
    "SELECT c, rank() OVER (PARTITION BY c ORDER BY at NULLS LAST) FROM e",
    "SELECT c, sum(n) OVER (ORDER BY c) FROM (SELECT c, count(*) n FROM e GROUP BY c)",
)


@pytest.fixture(scope="module")
def pair() -> Any:
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    draw = random.Random(5)
    events = [
        (draw.choice([None, *range(300)]), draw.choice([None, *range(90)]), draw.choice("abc"))
        for _ in range(6000)
    ]
    rows = [(draw.randrange(60), draw.randrange(5), draw.random()) for _ in range(3000)]
    for con in (ours, theirs):
        con.execute("CREATE TABLE e(id INTEGER PRIMARY KEY, c INT, at INT, kind TEXT)")
        con.execute("CREATE INDEX e_c ON e(c, at)")
        con.executemany("INSERT INTO e(c, at, kind) VALUES (?, ?, ?)", events)
        con.execute("CREATE TABLE longer(id INTEGER PRIMARY KEY, k INT, n INT, x REAL)")
        con.execute("CREATE INDEX longer_k ON longer(k, n, x)")
        con.executemany("INSERT INTO longer(k, n, x) VALUES (?, ?, ?)", rows)
        con.commit()
    return ours, theirs


@pytest.mark.parametrize("query", [*BY_INDEX, *OTHERS])
def test_rows_are_those_of_sqlite(pair: Any, query: str) -> None:
    ours, theirs = [con.execute(query).fetchall() for con in pair]
    assert ours == theirs


@pytest.mark.parametrize("query", [*BY_INDEX, *OTHERS])
def test_windows_that_have_an_index_in_their_order_sort_nothing(pair: Any, query: str) -> None:
    """They were sorted by each of their keys, in a table's rows that lie all over the memory by then."""
    code = "\n".join(row[0] for row in pair[0].execute(f"EXPLAIN CODE {query}"))
    assert ("in_order=True" in code) == (query in BY_INDEX), code


@pytest.mark.parametrize("query", BY_INDEX)
def test_past_the_memory_limit_too(pair: Any, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sql.run.windows.FIRST_WEIGHED", 64)
    monkeypatch.setattr("sql.run.windows._rows_allowed", lambda rows, ctx: 500)
    ours, theirs = [con.execute(query).fetchall() for con in pair]
    assert ours == theirs
