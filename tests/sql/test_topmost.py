"""Of what an index has for each row of a join no more is read than LIMIT can pick; against sqlite3."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import kvsh
from tests.sql.engines import KvshEngine, SqliteEngine

_SCHEMA = (
    "CREATE TABLE f (follower INT, followee INT)",
    "CREATE INDEX f_follower ON f (follower)",
    "CREATE TABLE p (id INTEGER PRIMARY KEY, author INT, at INT, score INT, body TEXT)",
    "CREATE INDEX p_author ON p (author, at)",
    "CREATE TABLE w (author INT, at INT, n INT, body TEXT, PRIMARY KEY (author, at, n)) WITHOUT ROWID",
    "CREATE TABLE m (id INTEGER PRIMARY KEY, name TEXT)",
)
_TOPMOST = (
    "SELECT p.id, p.at FROM f JOIN p ON p.author = f.followee WHERE f.follower = ?1 ORDER BY p.at DESC, p.id DESC",
    "SELECT p.id, p.body FROM f JOIN p ON p.author = f.followee WHERE f.follower = ?1 ORDER BY p.at, p.id",
    "SELECT f.followee, p.at FROM f JOIN p ON p.author = f.followee AND p.at > 500 WHERE f.follower = ?1"
    " ORDER BY p.at DESC, p.id DESC",
    "SELECT w.at, w.n, w.body FROM f JOIN w ON w.author = f.followee WHERE f.follower = ?1 ORDER BY w.at, w.n, w.author",
    "SELECT m.name, p.id FROM f JOIN p ON p.author = f.followee JOIN m ON m.id = p.author WHERE f.follower = ?1"
    " ORDER BY p.at DESC, p.id DESC",
    "SELECT p.at FROM (SELECT followee FROM f WHERE follower = ?1 GROUP BY 1) q CROSS JOIN p ON p.author = q.followee"
    " ORDER BY p.at DESC",
    "SELECT id, body FROM p WHERE author IN (3, 7, ?1, 7, 25) ORDER BY at DESC, id DESC",
    "SELECT id, at FROM p WHERE author IN (SELECT followee FROM f WHERE follower = ?1) AND at < 900 ORDER BY at, id",
    "SELECT at, n, body FROM w WHERE author IN (0, 7, ?1) ORDER BY at DESC, n DESC",
    f"SELECT id, at FROM p WHERE author IN ({', '.join(map(str, range(25)))}, ?1) ORDER BY at, id",
)
_OTHERS = (
    "SELECT id FROM p WHERE author IN (3, 7, ?1) ORDER BY author DESC, at, id",
    "SELECT id FROM p WHERE author IN (3, 7, ?1) AND score <> 2 ORDER BY at DESC, id DESC",
    "SELECT p.id FROM f JOIN p ON p.author = f.followee WHERE f.follower = ?1 AND p.score > 3 ORDER BY p.at DESC, p.id",
    "SELECT p.id, p.at FROM f LEFT JOIN p ON p.author = f.followee WHERE f.follower = ?1 ORDER BY p.at DESC, p.id, f.rowid",
    "SELECT p.id FROM f JOIN p ON p.author = f.followee WHERE f.follower = ?1 ORDER BY p.at DESC, p.id ASC",
    "SELECT p.id FROM f JOIN p ON p.author = f.followee WHERE f.follower = ?1 ORDER BY p.at + 0 DESC, p.id",
    "SELECT DISTINCT p.at FROM f JOIN p ON p.author = f.followee WHERE f.follower = ?1 ORDER BY p.at DESC",
    "SELECT p.at, count(*) FROM f JOIN p ON p.author = f.followee WHERE f.follower = ?1 GROUP BY p.at ORDER BY p.at DESC",
    "SELECT p.id, sum(p.at) OVER (ORDER BY p.at, p.id) FROM f JOIN p ON p.author = f.followee WHERE f.follower = ?1"
    " ORDER BY p.at DESC, p.id DESC",
    "SELECT p.id, p.at FROM f JOIN p ON p.author = f.followee WHERE f.follower = ?1 ORDER BY p.at DESC NULLS FIRST, p.id DESC",
)


@pytest.fixture(scope="module", params=["small leaves", "large leaves"])
def engines(request: pytest.FixtureRequest) -> tuple[KvshEngine, SqliteEngine]:
    ours, oracle = (
        KvshEngine(leaf_limit=4 if request.param == "small leaves" else 64),
        SqliteEngine(),
    )
    draw = random.Random(3)
    followed = [(draw.randrange(9), draw.choice([None, *range(40)])) for _ in range(120)]
    posts = [
        (
            draw.choice([None, *range(30), 7, 7, 7, 7, 7]),
            draw.choice([None, draw.randrange(1000)]),
            n % 7,
        )
        for n in range(1500)
    ]
    for engine in (ours, oracle):
        for statement in _SCHEMA:
            engine.execute(statement)
        for row in dict.fromkeys(followed):
            engine.execute("INSERT INTO f VALUES (?, ?)", row)
        for number, (author, at, score) in enumerate(posts):
            engine.execute(
                "INSERT INTO p (author, at, score, body) VALUES (?, ?, ?, ?)",
                (author, at, score, f"b{at}"),
            )
            engine.execute("INSERT INTO w VALUES (?, ?, ?, 'w')", (author or 0, at or 0, number))
        engine.execute(
            "INSERT INTO m SELECT DISTINCT author, 'm' || author FROM p WHERE author % 5 <> 2"
        )
    return ours, oracle


@pytest.mark.parametrize("sql", [*_TOPMOST, *_OTHERS])
def test_the_first_rows_of_a_join_are_what_sqlite_picks(
    sql: str, engines: tuple[KvshEngine, SqliteEngine]
) -> None:
    ours, oracle = engines
    for limit in ("1", "5", "40", "12 OFFSET 7", "0", "-1", "?2", "3 OFFSET 2000"):
        for follower in (0, 3, 8, 99, None):
            parameters = (follower, 9) if "?2" in limit else (follower,)
            query = f"{sql} LIMIT {limit}"
            assert ours.execute(query, parameters) == oracle.execute(query, parameters), query


@pytest.mark.parametrize("sql", [*_TOPMOST, *_OTHERS])
def test_which_joins_read_no_more_than_that(sql: str, tmp_path: Path) -> None:
    con = kvsh.connect(str(tmp_path / "posts.db"))
    con.executescript(";".join(_SCHEMA))
    con.executemany("INSERT INTO f VALUES (?, ?)", [(n % 300, n * 7 % 1000) for n in range(2000)])
    rows = [(n % 1000, n, n % 7, "text") for n in range(40_000)]
    con.executemany("INSERT INTO p (author, at, score, body) VALUES (?, ?, ?, ?)", rows)
    con.execute("INSERT INTO p (author, at) VALUES (1, NULL)")
    con.executemany("INSERT INTO w VALUES (?, ?, ?, ?)", rows)
    con.executemany("INSERT INTO m VALUES (?, 'm')", [(n,) for n in range(1000)])
    query = f"EXPLAIN CODE {sql} LIMIT 10"
    code = "\n".join(row[0] for row in con.execute(query, (5,)))
    assert any(word in code for word in ("head_span(", "head(", "each=")) == (sql in _TOPMOST), code
