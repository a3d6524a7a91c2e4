"""Columns that are equal by what other equalities imply, against sqlite3."""

from __future__ import annotations

import random
import sqlite3
from itertools import permutations

import pytest

import kvsh
from tests.sql.engines import KvshEngine, SqliteEngine

_SCHEMA = (
    "CREATE TABLE a (id INTEGER PRIMARY KEY, k INT, s TEXT, x)",
    "CREATE TABLE b (id INTEGER PRIMARY KEY, k INT, s TEXT COLLATE NOCASE, x)",
    "CREATE TABLE c (k INT, n INT, s TEXT, x, PRIMARY KEY (k, n)) WITHOUT ROWID",
    "CREATE TABLE d (k REAL, s TEXT, x TEXT)",
    "CREATE INDEX a_k ON a (k)",
    "CREATE INDEX b_s ON b (s)",
    "CREATE INDEX d_k ON d (k)",
    "CREATE INDEX d_x ON d (x)",
)


def _filled(engine: KvshEngine | SqliteEngine) -> None:
    draw = random.Random(8)
    for statement in _SCHEMA:
        engine.execute(statement)
    values = [None, *range(12), 2.0, "5", "x", "X", b"x", 1 << 53]
    for number in range(60):
        k, x = draw.choice([None, *range(25)]), draw.choice(values)
        s = draw.choice(["x", "X", "5", "y", None])
        engine.execute("INSERT INTO a (k, s, x) VALUES (?, ?, ?)", (k, s, x))
        k, x = draw.choice([None, *range(25)]), draw.choice(values)
        engine.execute("INSERT INTO b (k, s, x) VALUES (?, ?, ?)", (k, s, x))
        x = draw.choice(values)
        engine.execute("INSERT OR IGNORE INTO c VALUES (?, ?, ?, ?)", (number % 17, number, s, x))
        engine.execute("INSERT INTO d VALUES (?, ?, ?)", (number % 13 + number % 2 / 2, s, x))


_CHAINS = (
    "{a}.k = {b}.k AND {b}.k = {c}.k",
    "{a}.k = {b}.k AND {b}.k = {c}.k AND {c}.k = {d}.k",
    "{a}.k = {b}.k AND {b}.k = {c}.k AND {a}.k = {c}.k",
    "{a}.k = {b}.k AND {b}.k = {c}.k AND {a}.x = {b}.x",
    "{a}.x = {b}.x AND {b}.x = {c}.x",
    "{a}.x = {b}.x AND {b}.x = {c}.x AND {c}.x = {d}.x",
    "{a}.s = {b}.s AND {b}.s = {c}.s",
    "{a}.k = {b}.k AND {b}.k = {c}.k AND {a}.s = {b}.s AND {b}.s = {c}.s AND {c}.s = {d}.s",
    "{a}.k = {b}.k AND {b}.k = {c}.k AND {c}.x = {a}.k",
    "{a}.k = {b}.k AND {b}.k = {c}.k AND {a}.k < 9 AND {c}.k + 0 > 3",
)


@pytest.mark.parametrize("chain", _CHAINS)
def test_chains_of_equalities_join_what_sqlite_joins(chain: str) -> None:
    ours, oracle = KvshEngine(leaf_limit=8), SqliteEngine()
    for engine in (ours, oracle):
        _filled(engine)
    for a, b, c, d in permutations("abcd"):
        if "{d}" not in chain and d != "d":
            continue
        where = chain.format(a=a, b=b, c=c, d=d)
        used = [a, b, c, *([d] if "{d}" in chain else [])]
        for rest in ("", f" AND {b}.s > '4'", f" AND {used[-1]}.k = 5", f" AND {a}.k IN (3, 4, 7)"):
            columns = ", ".join([f"{name}.k, {name}.x" for name in used])
            sql = f"SELECT {columns} FROM {', '.join(used)} WHERE {where}{rest}"
            assert sorted(ours.execute(sql), key=repr) == sorted(oracle.execute(sql), key=repr), sql
        sql = (
            f"SELECT count(*), sum({c}.k), count(e.id) FROM {a} JOIN {b} JOIN {c} {f', {d}' if d in used else ''}"
            f" LEFT JOIN a e ON e.k = {c}.k AND e.k = {a}.k AND {where}"
            f" WHERE {where} AND EXISTS (SELECT 1 FROM b f WHERE f.k = {a}.k AND f.k = {c}.k)"
        )
        assert ours.execute(sql) == oracle.execute(sql), sql


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*), sum(n) FROM a JOIN b USING (k) JOIN c USING (k) JOIN d USING (k)",
        "SELECT count(*) FROM a NATURAL JOIN c NATURAL JOIN d",
        "SELECT a.id, (SELECT count(*) FROM b JOIN c ON c.k = b.k WHERE b.k = a.k AND c.k = a.k) FROM a ORDER BY 1",
        "SELECT a.id FROM a CROSS JOIN b CROSS JOIN c WHERE c.k = b.k AND b.k = a.k ORDER BY a.id, b.id, c.n",
        "SELECT a.id FROM a JOIN b ON b.k = a.k JOIN c ON c.k = b.k AND c.n = a.id ORDER BY 1 LIMIT 7",
        "SELECT count(*) FROM a JOIN (SELECT k, max(n) AS m FROM c GROUP BY k) q ON q.k = a.k JOIN b ON b.k = q.k",
        "SELECT count(*) FROM a x JOIN a y ON y.k = x.k JOIN a z ON z.k = y.k JOIN a w ON w.k = z.k AND w.id = x.id",
    ],
)
def test_ways_to_write_such_joins(sql: str) -> None:
    ours, oracle = KvshEngine(leaf_limit=8), SqliteEngine()
    for engine in (ours, oracle):
        _filled(engine)
    assert ours.execute(sql) == oracle.execute(sql)


def test_names_of_the_followed_are_looked_up_before_their_posts() -> None:
    con = kvsh.connect(":memory:")
    con.executescript(
        "CREATE TABLE member (id INTEGER PRIMARY KEY, name TEXT);"
        "CREATE TABLE follow (follower INT, followee INT, PRIMARY KEY (follower, followee)) WITHOUT ROWID;"
        "CREATE TABLE post (id INTEGER PRIMARY KEY, author INT, body TEXT);"
        "CREATE INDEX post_author ON post (author)"
    )
    con.executemany("INSERT INTO member VALUES (?, 'm')", [(n,) for n in range(500)])
    con.executemany("INSERT INTO follow VALUES (?, ?)", [(n, n * 7 % 500) for n in range(500)])
    con.executemany(
        "INSERT INTO post (author, body) VALUES (?, 'b')", [(n % 500,) for n in range(20_000)]
    )
    sql = (
        "SELECT m.name, p.body FROM follow f JOIN post p ON p.author = f.followee JOIN member m ON m.id = p.author"
        " WHERE f.follower = ?"
    )
    plan = [row[0] for row in con.execute(f"EXPLAIN {sql}", (5,))]
    assert "member as m by primary key (id = f.followee)" in plan[2]
    assert "post as p by index post_author (author = f.followee)" in plan[3]
    rows = int(plan[3].rpartition("~")[2].split()[0])
    assert 20 < rows < 60  # what holds by itself leaves all of them
    assert len(con.execute(sql, (5,)).fetchall()) == 40
    code = "\n".join(row[0] for row in con.execute(f"EXPLAIN CODE {sql}", (5,)))
    assert "==" not in code  # nor is it asked


def test_values_that_are_not_equal_in_one_sense_imply_nothing() -> None:
    """5 = '5' by the affinity of a column, 'x' = 'X' under NOCASE: what both equal need not be equal."""
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    for con in (ours, theirs):
        con.executescript(
            "CREATE TABLE t (v TEXT); CREATE TABLE n (v INT); CREATE TABLE o (v); CREATE TABLE u (v TEXT COLLATE NOCASE);"
            "INSERT INTO t VALUES ('5'), ('05'), ('x'), ('X'); INSERT INTO n VALUES (5), ('x');"
            "INSERT INTO o VALUES ('5'), (5), ('05'), ('x'), ('X'); INSERT INTO u VALUES ('x'), ('X'), ('5')"
        )
    for a, b, c in permutations("tnou", 3):
        sql = f"SELECT {a}.v, {b}.v, {c}.v FROM {a}, {b}, {c} WHERE {a}.v = {b}.v AND {b}.v = {c}.v"
        assert sorted(ours.execute(sql), key=repr) == sorted(theirs.execute(sql), key=repr), sql
