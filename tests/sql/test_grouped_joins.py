"""Groups that are made before a join of one to many: the same rows, in the same order, as sqlite3 gives.

Inner joins among `OTHERS` have theirs made so where the table of many has an index."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import pytest

import kvsh

MADE_BEFORE = (
    "SELECT c.id, c.name, count(o.id), max(o.at) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
    "SELECT c.id, count(*), sum(o.v), total(o.v), avg(o.v) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
    "SELECT c.name, c.id, count(o.v), min(o.v + o.w) FROM c LEFT JOIN o ON c.id = o.c GROUP BY c.name, c.id ORDER BY c.name, c.id",
    "SELECT c.id, count(DISTINCT o.at) n FROM c LEFT JOIN o ON o.c = c.id AND o.w > 3 GROUP BY c.id ORDER BY n DESC LIMIT 20",
    "SELECT c.id, count(o.w) FROM c LEFT JOIN o ON o.c = c.id WHERE c.name <> 'n3' GROUP BY c.id HAVING count(o.w) BETWEEN 0 AND 9",
    "SELECT c.name, max(o.at) m FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id HAVING m IS NULL",
    "SELECT c.id, sum(o.v) FILTER (WHERE o.w = 2), count(o.id) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
    "SELECT sum(n) FROM (SELECT c.id, count(o.id) n FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id) WHERE n > 2",
    "SELECT c.rowid, max(o.v), c.name FROM c LEFT JOIN o ON o.c = c.rowid GROUP BY c.rowid",
)
OTHERS = (
    "SELECT c.id, count(*) FROM c JOIN o ON o.c = c.id GROUP BY c.id HAVING count(*) > 9 ORDER BY 2 DESC, 1",
    "SELECT c.name || 'x', sum(coalesce(o.v, 1)), count(*) FROM c, o WHERE o.c = c.id AND o.w < 5 AND c.id % 2 = 0 GROUP BY c.id",
    "SELECT c.id + 1, count(o.id) * 2 FROM c LEFT JOIN o ON o.c = c.id AND o.w = c.name GROUP BY c.id ORDER BY count(o.id), c.name DESC LIMIT 40 OFFSET 3",
    "SELECT c.id, sum(coalesce(o.v, 1)) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
    "SELECT c.name, count(o.id) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.name",
    "SELECT c.id, count(c.name), count(o.id) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
    "SELECT c.id, sum(o.v * c.id) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
    "SELECT c.id, count(*) FILTER (WHERE o.w IS NULL) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
    "SELECT c.id, max(o.id), o.at FROM c JOIN o ON o.c = c.id GROUP BY c.id",
    "SELECT c.id, count(o.id) FROM c LEFT JOIN o ON o.c = c.id WHERE o.w > 3 GROUP BY c.id",
    "SELECT c.id, count(o.id) FROM c LEFT JOIN o ON o.c > c.id AND o.c < c.id + 3 GROUP BY c.id",
    "SELECT c.id, count(o.id) FROM c LEFT JOIN o ON o.t = c.id GROUP BY c.id",
    "SELECT c.id, count(o.id) FROM c LEFT JOIN o ON o.c = c.id AND c.id > 300 GROUP BY c.id",
    "SELECT c.id, o.w, count(o.id) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id, o.w",
    "SELECT c.id, group_concat(o.id) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
    "SELECT c.id, (SELECT count(*) FROM c d WHERE d.id < c.id), count(o.id) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
    "SELECT c.id, count(o.id), sum(count(o.id)) OVER (ORDER BY c.id) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
    "SELECT DISTINCT count(o.id) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id ORDER BY 1",
)


@pytest.fixture(scope="module")
def pair() -> Any:
    """kvsh and sqlite3 with 600 rows of c, to half of which there are some of the 9,000 of o."""
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    draw = random.Random(3)
    ones = [(key, draw.choice(["n1", "n2", "n3", 4, None])) for key in draw.sample(range(900), 600)]
    keys = [None, *range(0, 1100, 2)]
    many = [
        (
            draw.choice(keys),
            draw.choice([None, "2020", "2021", "2022-05"]),
            draw.choice([None, 1, 2.5, -7, 1 << 40]),
            draw.randrange(6),
            draw.choice(["5", "6", "x"]),
        )
        for _ in range(9000)
    ]
    for con in (ours, theirs):
        con.execute("CREATE TABLE c(id INTEGER PRIMARY KEY, name)")
        con.execute("CREATE TABLE o(id INTEGER PRIMARY KEY, c INT, at, v, w, t TEXT)")
        con.executemany("INSERT INTO c VALUES (?, ?)", ones)
        con.executemany("INSERT INTO o(c, at, v, w, t) VALUES (?, ?, ?, ?, ?)", many)
        con.commit()
    return ours, theirs


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("query", [*MADE_BEFORE, *OTHERS])
def test_groups_are_those_of_sqlite(pair: Any, query: str, indexed: bool) -> None:
    for con in pair:
        con.execute("DROP INDEX IF EXISTS o_c")
        if indexed:
            con.execute("CREATE INDEX o_c ON o(c, at)")
    ours, theirs = [con.execute(query).fetchall() for con in pair]
    if "group_concat" in query:
        ours, theirs = [
            [(key, sorted((listed or "").split(","))) for key, listed in rows]
            for rows in (ours, theirs)
        ]
    assert list(map(repr, ours)) == list(map(repr, theirs))


@pytest.mark.parametrize("query", [*MADE_BEFORE, *OTHERS])
def test_which_groups_are_made_before_the_join(pair: Any, query: str) -> None:
    ours = pair[0]
    ours.execute("DROP INDEX IF EXISTS o_c")
    plan = "\n".join(row[0] for row in ours.execute(f"EXPLAIN {query}"))
    assert ("hash lookup of subquery" in plan.lower()) == (query in MADE_BEFORE), plan


def test_no_function_is_asked_of_rows_that_nothing_is_joined_with(pair: Any) -> None:
    query = "SELECT c.id, max(abs(o.v)) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id"
    found = []
    for con in pair:
        con.execute("INSERT INTO o(c, v) VALUES (-1, -9223372036854775807 - 1)")
        found.append(con.execute(query).fetchall())
        con.rollback()
    assert found[0] == found[1]


SUMS = (
    "SELECT c.id, sum(o.v) s FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
    "SELECT c.id, sum(o.v) FILTER (WHERE o.w < 9) + 1 FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id ORDER BY 2, 1",
    "SELECT c.id, sum(DISTINCT o.v) s FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id HAVING s > 0 OR s IS NULL",
    "SELECT c.id, sum(o.n) s, typeof(sum(o.n)) FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id",
)


@pytest.mark.parametrize("query", SUMS)
@pytest.mark.parametrize("joined", [False, True])
def test_a_sum_that_overflows_fails_where_something_is_joined_with_its_group(
    query: str, joined: bool
) -> None:
    """It failed over groups that nothing was joined with, too, where sqlite3 never adds them up."""
    found: list[Any] = []
    for con in (kvsh.connect(":memory:"), sqlite3.connect(":memory:")):
        con.execute("CREATE TABLE c(id INTEGER PRIMARY KEY)")
        con.execute("CREATE TABLE o(id INTEGER PRIMARY KEY, c INT, v, w, n INT)")
        con.executemany("INSERT INTO c VALUES (?)", [(key,) for key in range(600)])
        con.executemany(
            "INSERT INTO o(c, v, w, n) VALUES (?, ?, ?, ?)",
            [(key % 700 - 50, key % 7 or None, key % 9, key) for key in range(9000)],
        )
        group = 5 if joined else -1
        large = [(group, (1 << 63) - 1 - part, 0, (1 << 63) - 1) for part in range(2)]
        con.executemany("INSERT INTO o(c, v, w, n) VALUES (?, ?, ?, ?)", large)
        if isinstance(con, kvsh.Connection):
            plan = "\n".join(row[0] for row in con.execute(f"EXPLAIN {query}"))
            assert "hash lookup of subquery" in plan.lower(), plan
        try:
            found.append(con.execute(query).fetchall())
        except (kvsh.Error, sqlite3.Error) as error:
            found.append(str(error))
    assert found[0] == found[1]
    assert (found[0] == "integer overflow") == joined


@pytest.mark.parametrize(
    "query",
    [
        "SELECT s.k, g.t, g.n FROM s LEFT JOIN (SELECT t, count(*) n FROM m GROUP BY t) g ON g.t = s.k ORDER BY 1, 2",
        "SELECT s.k, g.n FROM s JOIN (SELECT t, count(*) n FROM m GROUP BY t) g ON g.t = s.k COLLATE NOCASE ORDER BY 1, 2",
        "SELECT s.k, g.n FROM s JOIN (SELECT t COLLATE NOCASE t, count(*) n FROM m GROUP BY 1) g ON g.t = s.k ORDER BY 1, 2",
        "SELECT s.k, g.n FROM s JOIN (SELECT v, count(*) n FROM m GROUP BY v) g ON g.v = s.i ORDER BY 1, 2",
        "SELECT s.k, g.n FROM s JOIN (SELECT v, t, count(*) n FROM m GROUP BY v, t) g ON g.v = s.i ORDER BY 1, 2",
        "SELECT s.k, g.n FROM s JOIN (SELECT t, count(*) n FROM m GROUP BY t) g ON g.n = s.i ORDER BY 1, 2",
        "SELECT g.n, h.n FROM (SELECT v, count(*) n FROM m GROUP BY v) g JOIN (SELECT v, max(t) n FROM m GROUP BY v) h ON g.v = h.v ORDER BY 1, 2",
    ],
)
def test_a_subquery_that_is_grouped_by_what_it_is_joined_by(query: str) -> None:
    """It has one row for each value, unless the comparison takes several for one."""
    found = []
    for con in (kvsh.connect(":memory:"), sqlite3.connect(":memory:")):
        con.execute("CREATE TABLE s(k TEXT, i INT)")
        con.execute("CREATE TABLE m(t TEXT, v)")
        con.executemany("INSERT INTO s VALUES (?, ?)", [("a", 1), ("B", 2), ("c", 3), (None, None)])
        values = [1, 1.0, "1", "2", 2, None, b"1"]
        rows = [("aAbBcd"[n % 6], values[n % 7]) for n in range(84)]
        con.executemany("INSERT INTO m VALUES (?, ?)", rows)
        found.append(con.execute(query).fetchall())
    assert list(map(repr, found[0])) == list(map(repr, found[1]))
