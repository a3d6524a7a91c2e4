"""LIMIT ends what comes group by group, or in runs of ORDER BY's first keys, and what DISTINCT picks of rows in order;
joins by what lies between two columns; against sqlite3."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import kvsh
from tests.sql.engines import KvshEngine, SqliteEngine, filled

_SCHEMA = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b INT, c TEXT, d REAL)",
    "CREATE INDEX t_ab ON t (a, b)",
    "CREATE INDEX t_c ON t (c COLLATE NOCASE)",
    "CREATE TABLE u (t_id INT, n INT, v, PRIMARY KEY (t_id, n)) WITHOUT ROWID",
    "CREATE TABLE s (id INTEGER PRIMARY KEY, lo, hi INT)",
)
_ENDED = (
    "SELECT a, count(*) FROM t GROUP BY a",
    "SELECT a, count(*) FROM t GROUP BY a ORDER BY a DESC",
    "SELECT a, b, sum(d), max(c) FROM t GROUP BY a, b",
    "SELECT a, b, count(d) FROM t GROUP BY a, b ORDER BY a DESC, b DESC",
    "SELECT b, a, min(d), max(d) FROM t GROUP BY b, a ORDER BY a, b",
    "SELECT b, count(*) FROM t WHERE a = 3 GROUP BY a, b",
    "SELECT a, group_concat(id, ' ') FROM t WHERE a > 2 GROUP BY a",
    "SELECT a, max(id), c FROM t GROUP BY a",
    "SELECT a, count(DISTINCT b) n FROM t GROUP BY a HAVING n > 3",
    "SELECT id, count(*), sum(n) FROM t JOIN u ON u.t_id = t.id GROUP BY id",
    "SELECT id, a, total(v) s FROM t LEFT JOIN u ON u.t_id = t.id GROUP BY id, a HAVING s > 10",
    "SELECT t_id, count(*) FROM u GROUP BY t_id",
    "SELECT t_id, avg(v) FROM u GROUP BY t_id ORDER BY 1 DESC",
    "SELECT id, a, b FROM t ORDER BY a, b DESC, id",
    "SELECT id, a, b FROM t ORDER BY a DESC, d, id",
    "SELECT id, b FROM t WHERE a > 4 AND d < 50 ORDER BY a, d DESC, id DESC",
    "SELECT * FROM t ORDER BY a, b, c, id",
    "SELECT t.id, u.n FROM t JOIN u ON u.t_id = t.id ORDER BY a, u.v, t.id, n",
    "SELECT id, (SELECT count(*) FROM u WHERE t_id = t.id) FROM t ORDER BY a DESC, b, id",
    "SELECT id FROM t WHERE a = 3 ORDER BY a, b, d, id",
    "SELECT DISTINCT a FROM t ORDER BY a DESC",
    "SELECT DISTINCT a, b FROM t ORDER BY a, b",
    "SELECT DISTINCT a FROM t WHERE b > 3 ORDER BY a",
    "SELECT DISTINCT c COLLATE NOCASE IS NULL, a FROM t ORDER BY a, 1",
)
_OTHERS = (
    "SELECT c, count(*) FROM t GROUP BY c COLLATE NOCASE",
    "SELECT a, count(*) n FROM t GROUP BY a ORDER BY n DESC, a",
    "SELECT a, b, count(*) FROM t GROUP BY a, b ORDER BY a, b DESC",
    "SELECT c, count(*) FROM t GROUP BY c ORDER BY c DESC",
    "SELECT d > 30, count(*) FROM t GROUP BY 1",
    "SELECT a, row_number() OVER (ORDER BY a) FROM t GROUP BY a ORDER BY a",
)
_SPANS = (
    "SELECT s.id, count(*) FROM s JOIN t ON t.b BETWEEN s.lo AND s.hi GROUP BY s.id",
    "SELECT s.id, t.id FROM s JOIN t ON t.a >= s.lo AND t.a <= s.hi ORDER BY 1, 2",
    "SELECT s.id, t.id FROM t JOIN s ON t.id > s.lo AND t.id < s.hi WHERE t.d < 20 ORDER BY 1, 2",
    "SELECT s.id, t.id FROM s LEFT JOIN t ON t.id BETWEEN s.lo AND s.hi ORDER BY 1, 2",
)


@pytest.fixture(scope="module", params=["small leaves", "large leaves"])
def engines(request: pytest.FixtureRequest) -> tuple[KvshEngine, SqliteEngine]:
    leaf_limit = 4 if request.param == "small leaves" else 64
    draw = random.Random(5)
    rows = [
        (
            draw.choice([None, *range(40), 7, 7, 7, 7, 7, 7, 7]),
            draw.choice([None, *range(12)]),
            draw.choice([None, "x", "X", "Ax", "aX", "ax", "y", "z", "Z"]),
            draw.choice([None, draw.randrange(400) / 4]),
        )
        for _ in range(1500)
    ]
    spans = [(n * 7 % 50, n * 7 % 50 + n % 5) for n in range(60)]
    filling = {
        "INSERT INTO t (a, b, c, d) VALUES (?, ?, ?, ?)": rows,
        "INSERT INTO u VALUES (?, ?, ?)": [
            (t, n, t * n % 13) for t in range(1500) for n in range(t % 4)
        ],
        "INSERT INTO s (lo, hi) VALUES (?, ?)": [*spans, (None, 3), (5, None), ("text", 9), (9, 2)],
    }
    return filled(_SCHEMA, filling, leaf_limit=leaf_limit)


@pytest.mark.parametrize("sql", [*_ENDED, *_OTHERS])
def test_what_limit_picks_is_what_sqlite_picks(
    sql: str, engines: tuple[KvshEngine, SqliteEngine]
) -> None:
    ours, oracle = engines
    for limit in ("1", "5", "40", "12 OFFSET 7", "0", "-1", "?1", "3 OFFSET 2000", "100 OFFSET 3"):
        parameters = (9,) if "?1" in limit else ()
        query = f"{sql} LIMIT {limit}"
        expected = oracle.execute(query, parameters)
        if "COLLATE NOCASE" in sql and "GROUP" in sql:  # which of equal texts is shown is open
            got = ours.execute(query, parameters)
            assert [(c and c.upper(), n) for c, n in got] == [
                (c and c.upper(), n) for c, n in expected
            ]
            continue
        assert ours.execute(query, parameters) == expected, query


@pytest.mark.parametrize("sql", _SPANS)
def test_joins_by_what_lies_between_two_columns(
    sql: str, engines: tuple[KvshEngine, SqliteEngine]
) -> None:
    ours, oracle = engines
    for limit in ("", " LIMIT 20", " LIMIT 5 OFFSET 30"):
        assert ours.execute(sql + limit) == oracle.execute(sql + limit)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> kvsh.Connection:
    con = kvsh.connect(str(Path(tmp_path_factory.mktemp("early")) / "large.db"))
    con.executescript(";".join(_SCHEMA))
    rows = [(n * 7919 % 10_007, n % 12, f"c{n % 3000}", n / 7) for n in range(40_000)]
    con.executemany("INSERT INTO t (a, b, c, d) VALUES (?, ?, ?, ?)", rows)
    con.executemany("INSERT INTO u VALUES (?, ?, 1)", [(n // 2, n % 2) for n in range(60_000)])
    spans = [(n * 97 % 40_000, n * 97 % 40_000 + 20) for n in range(4000)]
    con.executemany("INSERT INTO s (lo, hi) VALUES (?, ?)", spans)
    con.execute("CREATE INDEX t_b ON t (b)")
    con.commit()
    return con


def _plan(con: kvsh.Connection, sql: str) -> str:
    return "\n".join(str(row[-1]) for row in con.execute(f"EXPLAIN QUERY PLAN {sql}"))


_SORTS = ("GROUP BY", "B-TREE FOR ORDER BY", "DISTINCT")


@pytest.mark.parametrize("sql", [*_ENDED, *_OTHERS])
def test_which_queries_end_early(sql: str, large: kvsh.Connection) -> None:
    scanned = ("WHERE a = 3", "IS NULL, a")  # all rows of one value; keys that no index has
    expected = sql in _ENDED and not any(part in sql for part in scanned)
    plan = _plan(large, f"{sql} LIMIT 5")
    sorts = "B-TREE FOR GROUP BY" in plan or "B-TREE FOR ORDER BY" in plan
    if expected or sql in _OTHERS:
        assert sorts != expected, plan
    # All rows are grouped in an index's order only if that has all columns: the rows lie all over the table.
    if "GROUP BY" in sql:
        plan = _plan(large, sql)
        assert ("B-TREE FOR GROUP BY" in plan) == (" t USING COVERING" not in plan), plan


def test_a_join_asks_an_index_for_what_lies_between(large: kvsh.Connection) -> None:
    plan = _plan(
        large, "SELECT s.id, count(*) FROM s JOIN t ON t.id BETWEEN s.lo AND s.hi GROUP BY 1"
    )
    assert "SEARCH t USING INTEGER PRIMARY KEY" in plan, plan
    assert plan.index("SCAN s") < plan.index("SEARCH t"), plan


def test_groups_that_come_one_by_one_are_counted_by_explain_analyze(large: kvsh.Connection) -> None:
    rows = large.execute("EXPLAIN ANALYZE SELECT a, count(*) FROM t GROUP BY a LIMIT 5").fetchall()
    text = "\n".join(str(row[0]) for row in rows)
    assert "Group by a" in text


def test_large_first_groups_are_not_walked_through(large: kvsh.Connection) -> None:
    # Half of the rows, and of the last groups none, are of the first value.
    large.execute("CREATE TABLE uneven (k INT, v INT)")
    large.executemany(
        "INSERT INTO uneven VALUES (?, ?)", [(max(0, n - 20_000), n) for n in range(40_000)]
    )
    large.execute("CREATE INDEX uneven_k ON uneven (k)")
    large.commit()
    upwards = "SELECT k, sum(v) FROM uneven GROUP BY k ORDER BY k LIMIT 3"
    downwards = "SELECT k, sum(v) FROM uneven GROUP BY k ORDER BY k DESC LIMIT 3"
    assert "B-TREE FOR GROUP BY" in _plan(large, upwards)
    assert "B-TREE" not in _plan(large, downwards)
    assert large.execute(upwards).fetchall()[1:] == [(1, 20_001), (2, 20_002)]
    assert large.execute(downwards).fetchall()[0] == (19_999, 39_999)
