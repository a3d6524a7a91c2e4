"""Joins against sqlite3 under every way to run them: each is made the cheapest in turn."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import kvsh
from sql.optimise import candidates, joins
from tests.sql.engines import KvshEngine, SqliteEngine

WAYS = ("as chosen", "batched", "hash", "looked up")

SCHEMA = (
    "CREATE TABLE a(id INTEGER PRIMARY KEY, k INT, t TEXT COLLATE NOCASE, x)",
    "CREATE TABLE b(id INTEGER PRIMARY KEY, a_id INT, t TEXT, x, y REAL)",
    "CREATE TABLE c(t TEXT, n INT, x, PRIMARY KEY(t, n)) WITHOUT ROWID",
    "CREATE INDEX b_a ON b(a_id, y)",
    "CREATE INDEX b_t ON b(t COLLATE NOCASE)",
    "CREATE INDEX b_x ON b(x)",
    "CREATE UNIQUE INDEX a_k ON a(k)",
    "CREATE INDEX c_n ON c(n)",
)

QUERIES = (
    # Rows as they are stored.
    "SELECT b.* FROM a JOIN b ON b.a_id = a.id",
    "SELECT a.* FROM b JOIN a ON a.id = b.a_id WHERE b.y > 2",
    "SELECT c.* FROM a LEFT JOIN c ON c.n = a.k",
    "SELECT a.* FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id AND b.y > 2)",
    "SELECT b.y, b.x, b.t, b.a_id, b.id FROM a JOIN b ON b.a_id = a.id",
    "SELECT a.* FROM a JOIN b ON b.a_id = a.id ORDER BY b.y DESC, b.id LIMIT 7",
    "SELECT a.id, b.id FROM a JOIN b ON b.id = a.k",
    "SELECT a.id, b.id FROM b JOIN a ON a.id = b.a_id",
    "SELECT a.id, b.y FROM a JOIN b ON b.a_id = a.id",
    "SELECT a.id, b.y FROM a JOIN b ON b.a_id = a.id AND b.y = a.k",
    "SELECT a.id, b.x, b.t FROM a JOIN b ON b.a_id = a.id AND b.y > a.k WHERE b.t <> 'z'",
    "SELECT a.id, b.id FROM b JOIN a ON a.id = b.a_id AND a.x = b.x",
    "SELECT a.id, b.id FROM b JOIN a ON a.t = b.t AND a.k = b.x AND a.x > b.y",
    "SELECT a.id, b.id FROM b LEFT JOIN a ON a.id = b.a_id AND a.t = b.t",
    "SELECT a.id, b.id, d.id FROM b, a, a d WHERE a.id = b.a_id AND d.k = b.x AND d.t = a.t",
    "SELECT a.id, b.id FROM a JOIN b ON b.t = a.t",
    "SELECT a.id, b.id FROM a JOIN b ON a.t = b.t",
    "SELECT a.id, b.id FROM a JOIN b ON b.x = a.x",
    "SELECT a.id, b.id FROM a JOIN b ON b.id = a.x",
    "SELECT a.id, b.id FROM b JOIN a ON a.k = b.x",
    "SELECT a.id, c.n, c.x FROM a JOIN c ON c.t = a.t",
    "SELECT b.id, c.n, c.x FROM b JOIN c ON c.t = b.t AND c.n = b.a_id",
    "SELECT b.id, c.t FROM b JOIN c ON c.n = b.a_id",
    "SELECT a.id, b.id FROM a LEFT JOIN b ON b.id = a.k",
    "SELECT a.id, b.id FROM a LEFT JOIN b ON b.id = a.k AND b.y > 3",
    "SELECT a.id, b.x FROM a LEFT JOIN b ON b.a_id = a.id AND a.k > 5",
    "SELECT a.id, b.x FROM a LEFT JOIN b ON b.a_id = a.id WHERE b.x IS NULL",
    "SELECT a.id, b.id, c.x FROM a LEFT JOIN b ON b.a_id = a.id LEFT JOIN c ON c.t = b.t AND c.n = a.k",
    "SELECT a.id, b.id, c.x FROM a JOIN b ON b.a_id = a.id JOIN c ON c.t = b.t",
    "SELECT count(*), sum(b.y) FROM a JOIN b ON b.a_id = a.id",
    "SELECT a.t, count(*) FROM a JOIN b ON b.a_id = a.id GROUP BY a.t",
    "SELECT a.id, b.id FROM a JOIN b ON b.a_id = a.id ORDER BY a.id, b.id LIMIT 7",
    "SELECT (SELECT count(*) FROM b JOIN c ON c.n = b.a_id WHERE b.t = a.t) FROM a",
    "SELECT a.id, b.rowid FROM a JOIN b ON b.rowid = a.k",
    "SELECT id, x FROM b WHERE x > 3 ORDER BY x, id LIMIT 4",
    "SELECT id, x FROM b WHERE x >= 2 ORDER BY x, id LIMIT 3",
    "SELECT id, x FROM b WHERE x > 'a' ORDER BY x, id LIMIT 3",
    "SELECT id, x FROM b WHERE x > NULL ORDER BY x, id LIMIT 3",
    "SELECT id, x FROM b ORDER BY x, id LIMIT 9",
    "SELECT id, x FROM b WHERE x > 28 ORDER BY x, id LIMIT 900",
    "SELECT id, x FROM b WHERE x > 3 ORDER BY x, id LIMIT 4 OFFSET 2",
    "SELECT a_id, y FROM b WHERE a_id = 5 ORDER BY y LIMIT 2",
    "SELECT a_id, y FROM b WHERE a_id = 5 AND y > 2 ORDER BY y LIMIT 2",
    "SELECT n, t FROM c WHERE n > 3 ORDER BY n, t LIMIT 5",
    "SELECT t, n FROM c WHERE t > 'a' ORDER BY t, n LIMIT 5",
    "SELECT id FROM a WHERE id > 3 ORDER BY id LIMIT 0",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id)",
    "SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id)",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id AND b.y > a.k)",
    "SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id AND b.y > a.k)",
    "SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id AND a.k > 20)",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id AND a.k > 20 AND b.y < 5)",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.t = a.t LIMIT 1)",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE a.t = b.t ORDER BY y)",
    "SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE a.x = b.x)",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.x = a.t)",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b AS o WHERE o.id = a.k) AND x > 3",
    "SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b AS o WHERE o.id = a.k AND o.y > 4)",
    "SELECT id FROM b WHERE EXISTS (SELECT 1 FROM c WHERE c.t = b.t AND c.n = b.a_id)",
    "SELECT id FROM b WHERE NOT EXISTS (SELECT 1 FROM c WHERE c.t = b.t AND c.n = b.a_id)",
    "SELECT id FROM b WHERE EXISTS (SELECT 1 FROM c WHERE c.t = b.t AND c.x <> b.x)",
    "SELECT id FROM a WHERE k IN (SELECT y FROM b WHERE b.a_id = a.id)",
    "SELECT id FROM a WHERE x IN (SELECT x FROM b WHERE b.a_id = a.id)",
    "SELECT id FROM a WHERE x NOT IN (SELECT x FROM b WHERE b.a_id = a.id)",
    "SELECT id FROM a WHERE (k, t) IN (SELECT y, t FROM b WHERE b.a_id = a.id)",
    "SELECT id FROM a WHERE x IN (SELECT x FROM b)",
    "SELECT id FROM a WHERE x NOT IN (SELECT x FROM b WHERE x IS NOT NULL)",
    "SELECT id FROM a WHERE x NOT IN (SELECT x FROM b)",
    "SELECT id FROM a WHERE x NOT IN (SELECT x FROM b WHERE x > 1e9)",
    "SELECT id FROM a WHERE t NOT IN (SELECT t FROM b WHERE t <> 'a')",
    "SELECT a.id, b.id FROM a LEFT JOIN b ON b.a_id = a.id"
    " WHERE NOT EXISTS (SELECT 1 FROM c WHERE c.n = b.y)",
    "SELECT t, count(*) FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id) GROUP BY t",
    "SELECT count(*) FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id)",
    "SELECT max(id) FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id)",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id) ORDER BY id DESC LIMIT 3",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id"
    " AND EXISTS (SELECT 1 FROM c WHERE c.n = b.y AND c.t = a.t))",
    "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM (SELECT DISTINCT a_id AS n FROM b) WHERE n = a.id)",
    "SELECT id, (SELECT count(*) FROM b WHERE NOT EXISTS"
    " (SELECT 1 FROM c WHERE c.n = b.a_id AND c.t = a.t)) FROM a",
)


def _value(rng: random.Random) -> Any:
    return rng.choice([None, rng.randrange(30), rng.randrange(30), 2.0, 2.5, "7", "a", b"a"])


def _rows(rng: random.Random, size: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    texts = ["a", "A", "b", "B ", "b", "", "7", None]
    for number in range(size):
        key = rng.choice([None, number * 7 % 61])
        yield (
            "INSERT OR IGNORE INTO a VALUES (?, ?, ?, ?)",
            (
                rng.randrange(3 * size),
                key,
                rng.choice(texts),
                _value(rng),
            ),
        )
        yield (
            "INSERT INTO b VALUES (?, ?, ?, ?, ?)",
            (
                number,
                rng.choice([None, rng.randrange(2 * size)]),
                rng.choice(texts),
                _value(rng),
                rng.choice([None, float(rng.randrange(9))]),
            ),
        )
        yield (
            "INSERT OR IGNORE INTO c VALUES (?, ?, ?)",
            (
                rng.choice(texts) or "n",
                rng.randrange(40),
                _value(rng),
            ),
        )


def prefer(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one way of joining the cheapest."""
    if way == "as chosen":
        return
    batched = way == "batched"
    monkeypatch.setattr(joins, "BATCHED_ROWS_MIN", 0.0 if batched else 1e18)
    if batched:
        monkeypatch.setattr(joins, "batched_cost", lambda size, lookups: 0.0)
    hashed = candidates.RelationAccesses._hash

    def weighed(*arguments: Any) -> Any:
        made = hashed(*arguments)
        if made is None or way == "looked up":
            return None
        return replace(made, cost=0.0 if way == "hash" else 1e15)

    monkeypatch.setattr(candidates.RelationAccesses, "_hash", weighed)


@pytest.fixture(scope="module", params=[(1, 6), (2, 60), (3, 400)], ids=str)
def engines(request: pytest.FixtureRequest) -> Iterator[tuple[KvshEngine, SqliteEngine]]:
    seed, size = request.param
    ours, oracle = KvshEngine(leaf_limit=8), SqliteEngine()
    for engine in (ours, oracle):
        for statement in SCHEMA:
            engine.execute(statement)
        for statement, values in _rows(random.Random(seed), size):
            engine.execute(statement, values)
    yield ours, oracle
    ours.close()
    oracle.close()


def _sortable(row: tuple[Any, ...]) -> list[tuple[str, str]]:
    return [(value.__class__.__name__, repr(value)) for value in row]


@pytest.mark.parametrize("way", WAYS)
def test_joins_give_what_sqlite_gives(
    engines: tuple[KvshEngine, SqliteEngine], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, oracle = engines
    prefer(way, monkeypatch)
    for query in QUERIES:
        text = f"/* {way} */ {query}"
        found, expected = ours.execute(text), oracle.execute(query)
        if "ORDER BY" not in query:
            found, expected = sorted(found, key=_sortable), sorted(expected, key=_sortable)
        assert found == expected, text


@pytest.mark.parametrize("cost", [joins.COLUMN_LOOKUP, 0.0, 1e9])
def test_tables_large_enough_to_be_read_by_column(
    cost: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joins, "COLUMN_LOOKUP", cost)
    ours, oracle = KvshEngine(), SqliteEngine()
    for engine in (ours, oracle):
        engine.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, k INT, x INT, y REAL, z TEXT)")
        engine.execute("CREATE TABLE u(k INT, v INT, w TEXT)")
        engine.execute(
            "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
            " SELECT i, nullif(i * 7 % 5200, 3), i % 10, i * 0.5, 'z' || i % 5 FROM n"
        )
        engine.execute("INSERT INTO u SELECT k + 100, x, z FROM t WHERE id < 4000")
    for query in (
        "SELECT count(*), sum(b.y) FROM t AS a JOIN t AS b ON b.id = a.k",
        "SELECT count(*), sum(a.y), sum(b.y) FROM t AS a JOIN t AS b ON b.id = a.k WHERE b.x < 3",
        "SELECT sum(a.k), count(*) FROM t AS a JOIN t AS b ON b.id = a.k WHERE b.x < 3 AND a.x <> 2",
        "SELECT sum(a.y), count(*) FROM t AS a JOIN t AS b ON b.id = a.k WHERE b.x < 3 AND a.x = 2",
        "SELECT b.x, count(*), max(a.y) FROM t AS a JOIN t AS b ON b.id = a.k GROUP BY b.x",
        "SELECT a.y, b.y FROM t AS a LEFT JOIN t AS b ON b.id = a.k AND b.x = 1 ORDER BY a.id",
        "SELECT a.z, u.v FROM t AS a JOIN u ON u.k = a.k WHERE u.w = 'z1' ORDER BY a.id, u.v",
        "SELECT count(*) FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND v > 4)",
        "SELECT count(*) FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND v > t.x)",
        "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND w = z) ORDER BY y LIMIT 9",
        "SELECT count(*), sum(b.rowid) FROM u AS a JOIN u AS b ON b.rowid = a.k",
        "SELECT a.id, b.y, b.z FROM t AS a LEFT JOIN t AS b ON b.id = a.k + 0 AND b.y > a.id",
        "SELECT count(*) FROM t AS a WHERE EXISTS (SELECT 1 FROM t AS b WHERE b.id = a.k AND b.y < a.y)",
        "SELECT count(*), sum(b.y) FROM t AS a JOIN t AS b ON b.id = a.y",
    ):
        found, expected = ours.execute(query), oracle.execute(query)
        if "ORDER BY" not in query:
            found, expected = sorted(found), sorted(expected)
        assert found == expected, query
    by_column = "SELECT count(*), sum(b.y) FROM t AS a JOIN t AS b ON b.id = a.k WHERE a.x = 3"
    if not cost:
        assert ", by column" in str(ours.execute(f"EXPLAIN {by_column}"))
    for engine in (ours, oracle):  # rowids are missing: the rows are looked up by key
        engine.execute("DELETE FROM t WHERE id % 9 = 4")
    assert ours.execute(by_column) == oracle.execute(by_column)


def test_each_way_is_taken(
    engines: tuple[KvshEngine, SqliteEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = engines
    query = "SELECT b.id, a.id FROM b JOIN a ON a.id = b.a_id"
    for way, words in (
        ("batched", "many at once"),
        ("hash", "Hash lookup"),
        ("looked up", "y key"),
    ):
        with monkeypatch.context() as patched:
            prefer(way, patched)
            plan = str(ours.execute(f"EXPLAIN /* {way} */ {query}"))
            assert words in plan, plan


def test_a_subquery_is_hashed_however_few_rows_the_first_values_find() -> None:
    """A plan is made for the values of its first run: none but one row was expected before the subquery,
    whose rows were then walked for each of the thousands that later values found."""
    engine = KvshEngine()
    engine.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
    engine.execute("INSERT INTO t SELECT value, value FROM generate_series(1, 1000)")
    query = (
        "SELECT count(*), sum(f.n) FROM t JOIN (SELECT a, count(*) AS n FROM t GROUP BY a) AS f"
        " ON f.a = t.id WHERE t.id > ?"
    )
    for least, count in ((1000, 0), (10, 990)):
        assert engine.execute(query, (least,)) == [(count, count or None)]
    plan = "\n".join(map(str, engine.execute(f"EXPLAIN {query}", (1000,))))
    assert "Hash lookup" in plan
    engine.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_hash_table_of_the_rows_of_an_indexs_equal_keys(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the INTEGER PRIMARY KEY, which the keys of those batches are."""
    prefer(way, monkeypatch)
    ours, oracle = KvshEngine(), SqliteEngine()
    for engine in (ours, oracle):
        engine.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b NUMERIC)")
        engine.execute("CREATE INDEX t_a ON t (a)")
        for number in range(800):
            engine.execute("INSERT INTO t VALUES (?, ?, ?)", (number, number % 100, number / 4))
    query = "SELECT count(*), min(y.b) FROM t AS x JOIN t AS y ON y.id = x.b WHERE y.a = 3"
    for _ in range(3):
        assert ours.execute(f"/* {way} */ {query}") == oracle.execute(query) == [(2, 0.75)]


ANTI = (
    "SELECT a.id FROM a LEFT JOIN b ON b.x = a.x WHERE b.id IS NULL",
    "SELECT a.id FROM a LEFT JOIN b ON b.x = a.x WHERE b.x IS NULL AND a.y > 3",
    "SELECT a.id FROM a LEFT JOIN b ON b.x = a.x AND b.y > 2 WHERE b.must IS NULL",
    "SELECT a.id FROM a LEFT JOIN b ON a.x = b.x AND b.y < a.y WHERE b.y ISNULL",
    "SELECT a.y, count(*) FROM a LEFT JOIN b ON b.x = a.x LEFT JOIN b c ON c.y = b.y WHERE c.id IS NULL GROUP BY a.y",
    "SELECT a.id FROM a LEFT JOIN b ON b.x = a.x JOIN a d ON d.id = a.y WHERE b.rowid IS NULL ORDER BY a.id DESC",
    "SELECT count(*) FROM a LEFT JOIN b ON b.x = a.x LEFT JOIN b c ON c.x = a.y WHERE b.id IS NULL AND c.id IS NULL",
)
STILL_LEFT = (
    "SELECT a.id FROM a LEFT JOIN b ON b.x = a.x WHERE b.y IS NULL",
    "SELECT a.id, b.y FROM a LEFT JOIN b ON b.x = a.x WHERE b.id IS NULL",
    "SELECT a.id FROM a LEFT JOIN b ON b.x IS a.x WHERE b.x IS NULL",
    "SELECT a.id FROM a LEFT JOIN b ON b.x = a.x WHERE b.id IS NULL AND b.y IS NULL",
    "SELECT a.id FROM a LEFT JOIN b ON b.x = a.x LEFT JOIN b c ON c.id = b.y WHERE b.id IS NULL ORDER BY 1",
    "SELECT a.id FROM a LEFT JOIN b ON b.x = a.x WHERE b.id IS NULL AND (SELECT b.y) IS NULL",
    "SELECT a.id FROM a LEFT JOIN b ON b.x = a.x WHERE b.id IS 5",
    "SELECT a.id FROM a LEFT JOIN b ON b.x = a.x WHERE b.id IS NULL OR a.y = 3",
)


@pytest.mark.parametrize("sql", [*ANTI, *STILL_LEFT])
def test_a_left_join_of_the_rows_without_a_match_is_an_anti_join(sql: str) -> None:
    draw = random.Random(12)
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    for con in (ours, theirs):
        con.executescript(
            "CREATE TABLE a(id INTEGER PRIMARY KEY, x, y INT);"
            "CREATE TABLE b(id INTEGER PRIMARY KEY, x, y INT, must TEXT NOT NULL);"
        )
    values = [None, *range(60), "7", 7.0, "x"]
    rows = [(draw.choice(values), draw.choice([None, 1, 2, 3, 4, 5])) for _ in range(300)]
    for con in (ours, theirs):
        con.executemany("INSERT INTO a(x, y) VALUES (?, ?)", rows)
        con.executemany("INSERT INTO b(x, y, must) VALUES (?, ?, 'm')", rows[::5])
    plan = "\n".join(row[0] for row in ours.execute(f"EXPLAIN {sql}"))
    assert ("Anti-join" in plan) == (sql in ANTI), plan
    wanted = theirs.execute(sql).fetchall()
    found = ours.execute(sql).fetchall()
    if "ORDER BY" not in sql:
        found, wanted = sorted(found, key=repr), sorted(wanted, key=repr)
    assert found == wanted


@pytest.mark.parametrize("where", ["in memory", "on disk", "below changes"])
def test_many_rows_ask_an_index_whether_they_have_a_match(where: str, tmp_path: Path) -> None:
    path = ":memory:" if where == "in memory" else str(tmp_path / "asked.db")
    ours, theirs = kvsh.connect(path), sqlite3.connect(":memory:")
    draw = random.Random(where)
    values = [None, *range(900), "7", 7.0, 2.5, "x", "y", b"x"]
    many = [(draw.choice(values), draw.choice([None, 1, 2, "3"])) for _ in range(2000)]
    few = [(draw.choice(values), draw.choice([None, 1, 2, "3"])) for _ in range(700)]
    for con in (ours, theirs):
        con.executescript(
            "CREATE TABLE a(id INTEGER PRIMARY KEY, x, y, t TEXT); CREATE TABLE b(x, y, z); CREATE INDEX b_x ON b(x);"
            "CREATE INDEX b_yx ON b(y, x); CREATE TABLE c(x, y, n, PRIMARY KEY (x, y, n)) WITHOUT ROWID"
        )
        con.executemany("INSERT INTO a(x, y, t) VALUES (?1, ?2, ?1)", many)
        con.executemany(
            "INSERT INTO b VALUES (?, ?, 'long enough to be left where it is')", few * 9
        )
        con.executemany("INSERT OR IGNORE INTO c VALUES (ifnull(?, 0), ifnull(?, 0), 1)", few)
        con.executemany("INSERT OR IGNORE INTO c VALUES (ifnull(?, 0), ifnull(?, 0), 2)", few)
        con.commit()
    if where != "in memory":
        ours.close()
        ours = kvsh.connect(path)
    if where == "below changes":
        for con in (ours, theirs):
            con.execute("DELETE FROM b WHERE x = 8")
            con.execute("INSERT INTO b VALUES (901, 1, 'new'), ('y', 2, 'new')")
            con.execute("UPDATE b SET x = x + 1 WHERE rowid = 12")
            con.commit()
    asked = set()
    for exists in (
        "SELECT 1 FROM b WHERE b.x = a.x",
        "SELECT 1 FROM b WHERE b.y = a.y AND b.x = a.x",
        "SELECT 1 FROM b WHERE b.x = a.t",
        "SELECT 1 FROM b WHERE b.x = a.x AND b.z > 'm'",
        "SELECT 1 FROM c WHERE c.x = a.x",
        "SELECT 1 FROM c WHERE c.x = a.x AND c.y = a.y",
    ):
        for word in ("EXISTS", "NOT EXISTS"):
            for rest in ("ORDER BY id LIMIT 900", "AND a.id % 3 = 0 ORDER BY a.x, a.id LIMIT 400"):
                sql = f"SELECT id, x FROM a WHERE {word} ({exists}) {rest}"
                assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall(), sql
                if "prefixes_present" in "".join(
                    row[0] for row in ours.execute(f"EXPLAIN CODE {sql}")
                ):
                    asked.add((word, exists))
    assert len(asked) > 3
    assert not any("b.z" in exists for _, exists in asked)


@pytest.mark.parametrize("changed", [False, True])
def test_rows_of_a_table_without_row_ids_are_found_with_their_keys(changed: bool) -> None:
    """First the keys had been looked up that begin with what a row looks for, then a row by each of them."""
    found: list[Any] = []
    queries = (
        "SELECT o.id, i.line, i.qty FROM o JOIN i ON i.o = o.id WHERE o.k < 3 ORDER BY 1, 2",
        "SELECT o.id, count(i.qty), sum(i.qty) FROM o LEFT JOIN i ON i.o = o.ref GROUP BY o.id",
        "SELECT o.id, i.line FROM o LEFT JOIN i ON i.o = o.ref AND i.qty > 4 ORDER BY 1, 2",
    )
    for con in (kvsh.connect(":memory:"), sqlite3.connect(":memory:")):
        con.execute("CREATE TABLE o(id INTEGER PRIMARY KEY, k INT, ref INT)")
        con.execute("CREATE TABLE i(o INT, line, qty, PRIMARY KEY(o, line)) WITHOUT ROWID")
        draw = random.Random(8)
        orders = [
            (key, key % 40, draw.choice([None, "t", 2.5, *range(3000)])) for key in range(3000)
        ]
        con.executemany("INSERT INTO o VALUES (?, ?, ?)", orders)
        items = [(key, line, draw.randrange(9)) for key in range(0, 3000, 2) for line in range(3)]
        con.executemany("INSERT INTO i VALUES (?, ?, ?)", [*items, ("t", 1, 5), (2.5, 1, 7)])
        con.executemany("INSERT INTO i VALUES (?, 5, 1)", [(key,) for key in range(3000, 30_000)])
        con.commit()
        if changed:
            con.execute("DELETE FROM i WHERE o = 40")
            con.execute("UPDATE i SET qty = 70 WHERE o = 80 AND line = 1")
            con.execute("INSERT INTO i VALUES (81, 1, 6)")
        found.append([con.execute(query).fetchall() for query in queries])
        if isinstance(con, kvsh.Connection):
            code = "".join(row[0] for row in con.execute(f"EXPLAIN CODE {queries[0]}"))
            assert "rows_prefixed" in code and "fetching" not in code, code
    assert found[0] == found[1]


def test_what_no_row_asks_for_is_not_made() -> None:
    con = kvsh.connect(":memory:")
    calls: list[int] = []

    def noted(value: int) -> int:
        calls.append(value)
        return value

    con.create_function("noted", 1, noted)
    con.execute("CREATE TABLE one (id INTEGER PRIMARY KEY, k INTEGER)")
    con.execute("CREATE TABLE many (id INTEGER PRIMARY KEY, k INTEGER, n INTEGER)")
    con.executemany("INSERT INTO one VALUES (?, ?)", [(n, n % 7) for n in range(50)])
    con.executemany("INSERT INTO many VALUES (?, ?, ?)", [(n, n % 7, n) for n in range(70)])
    grouped = "(SELECT k, max(noted(n)) AS most FROM many GROUP BY k) m"
    for condition, wanted in (("one.id = ?", 1), ("one.id < 10 AND one.k = ?", 0)):
        sql = f"SELECT one.id, most FROM one LEFT JOIN {grouped} ON m.k = one.k WHERE {condition}"
        calls.clear()
        assert con.execute(sql, (99,)).fetchall() == []
        assert calls == [], sql
        assert con.execute(sql, (2,)).fetchall() == [(2, 65), (9, 65)][: 2 - wanted]
        assert len(calls) == 70, "made once"
