"""Queries of a few rows that are kept ready: they give what sqlite3 gives, whatever happens in between."""

from __future__ import annotations

import random
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import kvsh

ROWS = 3000
SCHEMA = """
CREATE TABLE item(id INTEGER PRIMARY KEY, n INT, price REAL, name TEXT, word TEXT COLLATE NOCASE, x);
CREATE INDEX by_n ON item(n);
CREATE INDEX by_price ON item(price DESC);
CREATE INDEX by_name ON item(name, n);
CREATE INDEX by_word ON item(word);
CREATE INDEX by_x ON item(x);
CREATE INDEX few ON item(n, id) WHERE n > 50;
CREATE TABLE gaps(a, b INT);
CREATE TABLE clustered(k TEXT, n INT, v, PRIMARY KEY (k, n)) WITHOUT ROWID;
CREATE INDEX clustered_v ON clustered(v);
"""
QUERIES = {
    "SELECT * FROM item WHERE id = ?": 1,
    "SELECT name FROM item WHERE id = ?": 1,
    "SELECT x, id, x FROM item WHERE rowid = ?": 1,
    "SELECT * FROM gaps WHERE rowid = ?": 1,
    "SELECT rowid, a FROM gaps WHERE rowid = ?": 1,
    "SELECT id, name FROM item WHERE n = ?": 1,
    "SELECT id FROM item WHERE n = ?": 1,
    "SELECT n, rowid FROM item WHERE n = ?": 1,
    "SELECT * FROM item WHERE price = ?": 1,
    "SELECT id, word FROM item WHERE word = ?": 1,
    "SELECT id, x FROM item WHERE x = ?": 1,
    "SELECT id, price FROM item WHERE x IS ?": 1,
    "SELECT id, price FROM item WHERE name = ? AND n = ?": 2,
    "SELECT id, price FROM item WHERE name = ?": 1,
    "SELECT id, price FROM item WHERE name = 'name 7' AND n = ?": 1,
    "SELECT n, price FROM item WHERE name = ? AND n > ? ORDER BY n LIMIT 3": 2,
    "SELECT id, n FROM item WHERE n > ? ORDER BY n LIMIT 10": 1,
    "SELECT id, n FROM item WHERE n >= ? ORDER BY n LIMIT 10 OFFSET 2": 1,
    "SELECT id, n, name FROM item WHERE n < ? ORDER BY n DESC LIMIT 10": 1,
    "SELECT n, name FROM item WHERE n <= ? ORDER BY n DESC LIMIT ?": 2,
    "SELECT id, name, n FROM item WHERE n < ? ORDER BY n LIMIT 4": 1,
    "SELECT id, name, n FROM item WHERE n > ? ORDER BY n DESC LIMIT 4": 1,
    "SELECT id, n FROM item WHERE n > ? ORDER BY n, id LIMIT 4": 1,
    "SELECT id, n FROM item WHERE n BETWEEN ? AND ? ORDER BY n LIMIT 5": 2,
    "SELECT id, x FROM item WHERE x > ? ORDER BY x LIMIT 5": 1,
    "SELECT id, n FROM item ORDER BY n LIMIT 3": 0,
    "SELECT id, n, name FROM item ORDER BY n DESC LIMIT 3": 0,
    "SELECT id, price FROM item WHERE price > ? ORDER BY price LIMIT 5": 1,
    "SELECT id, name, price FROM item WHERE id > ? ORDER BY id LIMIT 10": 1,
    "SELECT * FROM item WHERE id >= ? LIMIT 10": 1,
    "SELECT id, name FROM item WHERE id < ? ORDER BY id DESC LIMIT 10": 1,
    "SELECT id, name, price FROM item WHERE id BETWEEN ? AND ?": 2,
    "SELECT name FROM item WHERE id > ? AND id < ? ORDER BY id DESC": 2,
    "SELECT * FROM gaps WHERE rowid BETWEEN ? AND ?": 2,
    "SELECT rowid, b FROM gaps WHERE rowid > ? LIMIT ?": 2,
    "SELECT * FROM item ORDER BY id LIMIT 3": 0,
    "SELECT * FROM item WHERE id >= ?1 - 3 AND id < ?1 + 3": 1,
    "SELECT id, n FROM item WHERE id BETWEEN ? - 9223372036854775807 AND 9 + ?": 2,
    "SELECT n, id FROM item WHERE n = ? + 1": 1,
    "SELECT id, n FROM item WHERE n > ? - 2 ORDER BY n LIMIT 4": 1,
    "SELECT id FROM item WHERE id = ? - 1": 1,
    "SELECT b FROM gaps LIMIT ?": 1,
    "SELECT rowid, b FROM gaps ORDER BY rowid DESC LIMIT ? OFFSET 1": 1,
    "SELECT * FROM item ORDER BY id DESC LIMIT 3": 0,
    "SELECT id, name FROM item WHERE id IN (?, ?, 7, ?)": 3,
    "SELECT name, id FROM item WHERE id IN (?, ?) ORDER BY id DESC": 2,
    "SELECT name, id FROM item WHERE id IN (?, '7', 8.0, 8.5, NULL)": 1,
    "SELECT min(n) FROM item": 0,
    "SELECT max(n) FROM item": 0,
    "SELECT min(n), max(n) FROM item": 0,
    "SELECT min(x), max(x), min(name) FROM item": 0,
    "SELECT min(price), max(id), min(id), max(price) FROM item": 0,
    "SELECT max(a), min(rowid), max(rowid) FROM gaps": 0,
    "SELECT min(n) FROM item UNION ALL SELECT max(n) FROM item": 0,
    "SELECT max(x) FROM item UNION ALL SELECT min(x) FROM item": 0,
    "SELECT min(n) FROM item WHERE name = ?": 1,
    "SELECT max(n) FROM item WHERE n < ?": 1,
    "SELECT max(n) + 1, 'x' FROM item": 0,
    "SELECT v FROM clustered WHERE k = ? AND n = ?": 2,
    "SELECT n, v FROM clustered WHERE k = ?": 1,
    "SELECT k, n FROM clustered WHERE v = ?": 1,
    "SELECT k FROM clustered WHERE k > ? ORDER BY k, n LIMIT 7": 1,
    "SELECT count(*) FROM item WHERE n = ?": 1,
    "SELECT count(*) AS many FROM item WHERE word = ? AND id > 5": 1,
    "SELECT count(*) FROM item WHERE name = ? AND n BETWEEN ? AND 40": 2,
    "SELECT count(*) FROM item WHERE x >= ? AND x < ?": 2,
    "SELECT count(*) FROM item WHERE price > ? AND price <= ?": 2,
    "SELECT count(*) FROM item WHERE n > 50 AND n = ?": 1,
    "SELECT count(*) FROM clustered WHERE k = ?": 1,
    "SELECT count(*) FROM clustered WHERE v = ?": 1,
    "SELECT count(x) FROM item WHERE n = ?": 1,
    "SELECT count(*) FROM item WHERE n = ? HAVING count(*) > 2": 1,
    "SELECT count(*) FROM item WHERE n = ? LIMIT 0": 1,
    "SELECT count(*) FROM item WHERE n = ? GROUP BY n": 1,
    "SELECT id, n FROM item WHERE n IS NOT NULL ORDER BY n LIMIT 3": 0,
    "SELECT n, price FROM item WHERE name = ? AND n IS NOT NULL ORDER BY n LIMIT 20": 1,
    "SELECT count(*), min(x) FROM item WHERE x IS NOT NULL": 0,
    "SELECT max(n) FROM item WHERE name = ?": 1,
    "SELECT a.id FROM item a JOIN item b ON b.name = a.name AND b.n IS NOT NULL WHERE a.id = ?": 1,
}
CHANGES = [
    ("INSERT INTO item VALUES (NULL, ?, ?, ?, ?, ?)", "nrtwx"),
    ("INSERT INTO item(n, name) VALUES (?, ?)", "nt"),
    ("UPDATE item SET price = ?, x = ? WHERE id = ?", "rxi"),
    ("UPDATE item SET n = ? WHERE id = ?", "ni"),
    ("UPDATE item SET name = 'changed' WHERE n = ?", "n"),
    ("DELETE FROM item WHERE id = ?", "i"),
    ("DELETE FROM item WHERE n = ?", "n"),
    ("INSERT OR REPLACE INTO gaps(rowid, a, b) VALUES (?, ?, ?)", "ixn"),
    ("DELETE FROM gaps WHERE rowid BETWEEN ? AND ? + 5", "ii"),
    ("INSERT OR REPLACE INTO clustered VALUES (?, ?, ?)", "tnx"),
    ("DELETE FROM item WHERE n = (SELECT max(n) FROM item)", ""),
    ("DELETE FROM item WHERE n = (SELECT min(n) FROM item)", ""),
]
OTHERS = [
    "BEGIN",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "ROLLBACK",
    "ALTER TABLE item ADD COLUMN extra DEFAULT 7",
    "ALTER TABLE item DROP COLUMN extra",
    "DROP INDEX by_n",
    "CREATE INDEX by_n ON item(n)",
    "ANALYZE",
    "CREATE TEMP TABLE gaps(a, b)",
    "DROP TABLE temp.gaps",
    "PRAGMA case_sensitive_like = 1",
]


def value(rng: random.Random, kind: str) -> Any:
    match kind:
        case "i":
            return rng.randrange(-2, ROWS + 50)
        case "n":
            return rng.choice([None, rng.randrange(300), rng.randrange(300)])
        case "r":
            return rng.choice([None, float(rng.randrange(100)), rng.random()])
        case "t":
            return f"name {rng.randrange(60)}"
        case "w":
            return rng.choice(["Word", "word", "other", "OTHER"]) + str(rng.randrange(90))
        case _:
            return rng.choice(
                [
                    rng.randrange(90),
                    *[None, 2.5, float(rng.randrange(9)), 1 << 62, b"blob", "text", "é"],
                    f"text {rng.randrange(40)}",
                    "long" * rng.randrange(2000),
                ]
            )


def parameter(rng: random.Random) -> Any:
    if rng.random() < 0.1:
        return rng.choice([True, float("nan"), 1 << 63, "\ud800", -(1 << 63), b"name 7", "WORD3"])
    return value(rng, rng.choice("iinnrtwx"))


def fill(con: Any, rng: random.Random) -> None:
    con.executescript(SCHEMA)
    con.executemany(
        "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)",
        [(at, *[value(rng, kind) for kind in "nrtwx"]) for at in range(1, ROWS)],
    )
    con.executemany(
        "INSERT OR IGNORE INTO gaps(rowid, a, b) VALUES (?, ?, ?)",
        [(at * 3 - 50, value(rng, "x"), value(rng, "n")) for at in range(1000)],
    )
    con.executemany(
        "INSERT OR IGNORE INTO clustered VALUES (?, ?, ?)",
        [(value(rng, "t"), at % 50, value(rng, "x")) for at in range(1000)],
    )
    con.commit()


def outcome(con: Any, sql: str, parameters: Any) -> Any:
    try:
        cursor = con.execute(sql, parameters)
        rows = cursor.fetchall()
    except (sqlite3.Error, kvsh.Error, OverflowError, UnicodeError):
        return "an error"
    names = [name[0] for name in cursor.description or ()]
    rows = [[*map(repr, row)] for row in rows]
    if (order := re.search(r"ORDER BY (\w+).* LIMIT", sql)) is None:
        return names, sorted(rows)
    if order[1] == "id":
        return names, rows
    # LIMIT may cut through equal keys, of which either engine takes any.
    return names, [row[names.index(order[1])] for row in rows]


@pytest.mark.parametrize("seed", range(6))
def test_random_statements_are_answered_as_by_sqlite3(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    path = tmp_path / "db"
    ours: Any = kvsh.connect(path, isolation_level=None, durability="off")
    theirs: Any = sqlite3.connect(":memory:", isolation_level=None)
    for con in (ours, theirs):
        fill(con, random.Random(seed))
    if rng.random() < 0.7:  # pages that nobody has decoded
        ours.close()
        ours = kvsh.connect(path, isolation_level=None, durability="off")
    other: Any = kvsh.connect(path, isolation_level=None, durability="off")
    chosen = rng.sample(sorted(QUERIES), 12)
    for _ in range(1500):
        draw = rng.random()
        if draw < 0.94:
            sql = rng.choice(chosen)
            parameters = tuple(parameter(rng) for _ in range(QUERIES[sql]))
            if rng.random() < 0.02:
                parameters = (*parameters, 1)
            for _ in range(rng.choice([1, 1, 3])):
                assert outcome(ours, sql, parameters) == outcome(theirs, sql, parameters), (
                    sql,
                    parameters,
                )
        elif draw < 0.985:
            sql, kinds = rng.choice(CHANGES)
            parameters = tuple(value(rng, kind) for kind in kinds)
            alone = ours.in_transaction or bool(ours.session.others)
            writer = ours if alone or rng.random() < 0.5 else other
            assert outcome(writer, sql, parameters) == outcome(theirs, sql, parameters)
        else:
            sql = rng.choice(OTHERS)
            assert outcome(ours, sql, ()) == outcome(theirs, sql, ()), sql
            if rng.random() < 0.5:
                chosen = rng.sample(sorted(QUERIES), 12)
    for con in (ours, theirs, other):
        con.close()


def test_a_row_that_was_kept_is_not_given_after_a_commit(tmp_path: Path) -> None:
    path = tmp_path / "db"
    con: Any = kvsh.connect(path, isolation_level=None, durability="off")
    con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    con.executemany("INSERT INTO t VALUES (?, ?)", [(at, at) for at in range(5000)])
    other: Any = kvsh.connect(path, isolation_level=None, durability="off")
    query = "SELECT a FROM t WHERE id = ?"
    for turn in range(5):
        for _ in range(4):
            assert con.execute(query, (77,)).fetchall() == [(77 + turn,)]
        assert con.session.ready(query) is not None
        if turn == 2:
            other.execute("UPDATE t SET a = a + 1")
        else:
            other.execute("UPDATE t SET a = a + 1 WHERE id = ?", (77,))
    other.execute("DELETE FROM t WHERE id = 77")
    assert con.execute(query, (77,)).fetchall() == []


def test_what_watches_statements_sees_those_that_are_ready(tmp_path: Path) -> None:
    con: Any = kvsh.connect(tmp_path / "db", isolation_level=None, durability="off")
    con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    con.execute("INSERT INTO t VALUES (1, 2)")
    query = "SELECT a FROM t WHERE id = ?"
    for _ in range(4):
        con.execute(query, (1,))
    seen: list[str] = []
    con.set_trace_callback(seen.append)
    assert con.execute(query, (1,)).fetchall() == [(2,)]
    assert seen == [query]
    con.set_trace_callback(None)
    con.row_factory = kvsh.Row
    assert con.execute(query, (1,)).fetchone()["a"] == 2
    con.row_factory = None
    con.create_function("f", 0, lambda: 1)
    assert con.execute(query, (1,)).fetchall() == [(2,)]
    con.close()
    with pytest.raises(kvsh.ProgrammingError):
        con.execute(query, (1,))


READY = [
    ("SELECT * FROM item WHERE id = ?", (5,)),
    ("SELECT id, name FROM item WHERE n = ?", (5,)),
    ("SELECT id FROM item WHERE n = ?", (5,)),
    ("SELECT id, word FROM item WHERE word = ?", ("WORD3",)),
    ("SELECT id, price FROM item WHERE name = 'name 7' AND n = ?", (5,)),
    ("SELECT id, price FROM item WHERE n = ? ORDER BY id LIMIT 2", (5,)),
    ("SELECT id, n FROM item WHERE n > ? ORDER BY n LIMIT 10", (5,)),
    ("SELECT id, name, n FROM item WHERE n < ? ORDER BY n DESC LIMIT ?", (90, 4)),
    ("SELECT id, name, price FROM item WHERE id > ? ORDER BY id LIMIT 10", (5,)),
    ("SELECT id, name FROM item WHERE id < ? ORDER BY id DESC LIMIT 10", (90,)),
    ("SELECT id, name, price FROM item WHERE id BETWEEN ? AND ?", (3, 9)),
    ("SELECT id, name FROM item WHERE id IN (?, ?, 7, ?)", (3, 5000, 3)),
    ("SELECT v FROM clustered WHERE k = ? AND n = ?", ("name 7", 3)),
    ("SELECT min(n), max(n), count(*) FROM item", ()),
    ("SELECT min(n) FROM item", ()),
    ("SELECT min(n) FROM item UNION ALL SELECT max(n) FROM item", ()),
]


@pytest.mark.parametrize("in_transaction", [False, True])
def test_short_queries_are_made_ready(in_transaction: bool, tmp_path: Path) -> None:
    con: Any = kvsh.connect(tmp_path / "db", isolation_level=None, durability="off")
    theirs: Any = sqlite3.connect(":memory:")
    for each in (con, theirs):
        fill(each, random.Random(1))
    for sql, parameters in READY:
        if in_transaction:
            con.execute("BEGIN IMMEDIATE")
        for _ in range(4):
            assert outcome(con, sql, parameters) == outcome(theirs, sql, parameters), sql
        assert (con.session.ready(sql) is None) == in_transaction, sql
        if in_transaction:
            con.execute("COMMIT")
        else:
            make, _ = con.session.ready(sql)
            assert make(parameters) is not None, sql


def test_what_is_made_for_a_transaction_goes_with_its_savepoints(tmp_path: Path) -> None:
    """What a query is made ready for are trees, which changes, savepoints and definitions put others in the place of."""
    con: Any = kvsh.connect(tmp_path / "db", isolation_level=None, durability="off")
    theirs: Any = sqlite3.connect(":memory:", isolation_level=None)
    rng = random.Random(3)
    for each in (con, theirs):
        fill(each, random.Random(1))
        if each.in_transaction:
            each.execute("COMMIT")
    asked = [
        ("SELECT id, n FROM item WHERE n = ?", 1),
        ("SELECT id, name FROM item WHERE n = ? ORDER BY id DESC LIMIT 3", 1),
        ("SELECT count(*) FROM item WHERE n BETWEEN ? AND ?", 2),
        ("SELECT * FROM item WHERE id BETWEEN ? AND ?", 2),
        ("SELECT * FROM made WHERE a = ?", 1),
    ]
    steps = [
        ("SAVEPOINT s", 0),
        ("ROLLBACK TO s", 0),
        ("RELEASE s", 0),
        ("CREATE TABLE made(a INT, b); CREATE INDEX made_a ON made(a)", 0),
        ("DROP TABLE made", 0),
        ("INSERT INTO made VALUES (?, ?)", 2),
        ("UPDATE item SET n = ? WHERE id = ?", 2),
        ("DELETE FROM item WHERE n = ?", 1),
        ("INSERT INTO item(n, name) VALUES (?, ?)", 2),
        ("UPDATE item SET n = n + 1 WHERE id < ?", 1),
        ("COMMIT", 0),
        ("BEGIN IMMEDIATE", 0),
        ("BEGIN IMMEDIATE", 0),
    ]
    for _ in range(600):
        sql, count = rng.choice(steps if rng.random() < 0.4 else asked)
        values = tuple([rng.randrange(60) for _ in range(count)])
        for part in sql.split("; "):
            found: list[Any] = []
            for each in (con, theirs):
                try:
                    found.append(sorted(each.execute(part, values).fetchall()))
                except (kvsh.Error, sqlite3.Error) as error:
                    found.append(type(error).__name__)
            assert (part, values, found[0]) == (part, values, found[1])
            assert con.in_transaction == theirs.in_transaction


def test_a_query_of_literals_that_comes_again_is_known_by_its_text(tmp_path: Path) -> None:
    con: Any = kvsh.connect(tmp_path / "db", isolation_level=None, durability="off")
    theirs: Any = sqlite3.connect(":memory:")
    for each in (con, theirs):
        fill(each, random.Random(1))
    sql = "SELECT id, name FROM item WHERE n = 5 AND price > 1.5 ORDER BY id LIMIT 20"
    for number in range(20):
        assert outcome(con, sql, ()) == outcome(theirs, sql, ())
        assert outcome(con, sql.replace("5", "6", 1), ()) == outcome(
            theirs, sql.replace("5", "6", 1), ()
        )
        for each in (con, theirs):
            each.execute("UPDATE item SET n = 5 WHERE id = ?", (number,))
    assert con.session.known_plan(sql) is not None
    for each in (con, theirs):
        each.execute("DROP INDEX by_n")
        each.execute("ALTER TABLE item RENAME COLUMN name TO title")
    assert outcome(con, sql, ()) == outcome(theirs, sql, ())
