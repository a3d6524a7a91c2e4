"""The reader that a session keeps: it follows commits, whoever makes them, and never under a statement's feet."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import kvsh

SCHEMA = """
CREATE TABLE item (id INTEGER PRIMARY KEY, grp INTEGER, name TEXT);
CREATE INDEX by_grp ON item(grp, name);
CREATE TABLE word (word TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID;
"""

QUERIES = (
    "SELECT * FROM item WHERE id = ?",
    "SELECT name FROM item WHERE id = ?",
    "SELECT id, name FROM item WHERE grp = ? ORDER BY name, id",
    "SELECT id FROM item WHERE id > ? ORDER BY id LIMIT 3",
    "SELECT count(*), sum(grp) FROM item WHERE grp < ?",
    "SELECT max(id) FROM item WHERE grp <> ?",
    "SELECT n FROM word WHERE word = 'w' || ?",
    "SELECT word.n, item.name FROM word JOIN item ON item.id = word.n WHERE word.n >= ? ORDER BY 1",
)


def changes(numbers: random.Random) -> tuple[str, tuple[Any, ...]]:
    """A statement that writes."""
    key, other = numbers.randrange(60), numbers.randrange(8)
    return numbers.choice(
        (
            (
                "INSERT OR REPLACE INTO item(id, grp, name) VALUES (?, ?, ?)",
                (key, other, f"name {other}"),
            ),
            ("INSERT INTO item(grp, name) VALUES (?, ?)", (other, None)),
            ("UPDATE item SET grp = ? WHERE id = ?", (other, key)),
            ("UPDATE item SET name = name || 'x' WHERE grp = ?", (other,)),
            ("DELETE FROM item WHERE id = ?", (key,)),
            ("INSERT OR REPLACE INTO word VALUES ('w' || ?, ?)", (other, key)),
            ("DELETE FROM word WHERE n < ?", (key,)),
        )
    )


@pytest.mark.parametrize("seed", range(6))
def test_a_reader_sees_every_commit(seed: int, tmp_path: Path) -> None:
    numbers = random.Random(seed)
    path = str(tmp_path / "a.db")
    first = kvsh.connect(path, isolation_level=None, durability="off")
    first.executescript(SCHEMA)
    other_handle = kvsh.connect(path, isolation_level=None, durability="off")
    with kvsh.open(path, durability="off") as database, sqlite3.connect(":memory:") as oracle:
        oracle.isolation_level = None
        oracle.executescript(SCHEMA)
        readers = (first.execute, other_handle.execute, database.execute)
        for step in range(300):
            for _ in range(numbers.choice((0, 1, 1, 3))):
                sql, values = changes(numbers)
                numbers.choice(readers)(sql, values)
                oracle.execute(sql, values)
            if step % 90 == 89:
                sql = f"CREATE TABLE more{step} AS SELECT * FROM item"
                first.execute(sql)
                oracle.execute(sql)
            if step % 70 == 69:
                sql = f"ALTER TABLE item ADD COLUMN c{step} DEFAULT {step}"
                other_handle.execute(sql)
                oracle.execute(sql)
            if step % 120 == 119:
                database.checkpoint()
            key = numbers.randrange(9)
            for sql in numbers.sample(QUERIES, 3):
                expected = oracle.execute(sql, (key,)).fetchall()
                for execute in readers:
                    assert execute(sql, (key,)).fetchall() == expected, (step, sql, key)
    first.close()
    other_handle.close()


def test_a_statement_reads_on_where_it_began(tmp_path: Path) -> None:
    """One of its functions commits, and begins a query of its own that is to see that."""
    con = kvsh.connect(str(tmp_path / "a.db"), isolation_level=None, durability="off")
    con.execute("CREATE TABLE a(id INTEGER PRIMARY KEY)")
    con.execute("CREATE TABLE b(id INTEGER PRIMARY KEY, v)")
    con.executemany("INSERT INTO a VALUES (?)", [(n,) for n in range(5)])
    con.executemany("INSERT INTO b VALUES (?, ?)", [(n, n * n) for n in range(5)])
    sql = "SELECT v FROM b WHERE id = ?"
    seen = []

    def changed(key: int) -> int:
        for each in range(5):
            con.execute("UPDATE b SET v = v + 100 WHERE id = ?", (each,))
        seen.append(con.execute(sql, (key,)).fetchone()[0])
        return key

    con.create_function("changed", 1, changed)
    queries = (
        "SELECT (SELECT v FROM b WHERE b.id = changed(a.id)) FROM a",
        "SELECT group_concat((SELECT v FROM b WHERE b.id = changed(a.id))) FROM a",
        "SELECT (SELECT v FROM b WHERE b.id = changed(a.id)) FROM a ORDER BY id LIMIT 10",
        "SELECT v FROM b WHERE id IN (changed(0), changed(1), changed(2), changed(3), changed(4))",
    )
    more = 0
    for query in queries * 2:
        for _ in range(3):  # `sql` is ready
            assert con.execute(sql, (2,)).fetchone() == (4 + more,)
        seen.clear()
        found = con.execute(query).fetchall()
        if len(found) == 1:
            found = [(int(value),) for value in found[0][0].split(",")]
        assert found == [(n * n + more,) for n in range(5)], query
        assert seen == [n * n + more + (n + 1) * 100 for n in range(5)]
        more += 500
    con.close()


def test_a_result_that_is_fetched_bit_by_bit_stays_as_of_its_moment(tmp_path: Path) -> None:
    con = kvsh.connect(str(tmp_path / "a.db"), isolation_level=None, durability="off")
    con.execute("CREATE TABLE a(id INTEGER PRIMARY KEY, v)")
    con.executemany("INSERT INTO a VALUES (?, 0)", [(n,) for n in range(5000)])
    rows = con.execute("SELECT v FROM a")
    assert rows.fetchone() == (0,)
    for run in range(1, 4):
        con.execute("UPDATE a SET v = ? WHERE id = 4999", (run,))
        assert con.execute("SELECT v FROM a WHERE id = 4999").fetchone() == (run,)
    assert set(rows) == {(0,)}
    con.close()


def test_readers_of_a_store_in_memory_follow() -> None:
    con = kvsh.connect(":memory:", isolation_level=None)
    con.execute("CREATE TABLE a(id INTEGER PRIMARY KEY, v)")
    for run in range(200):
        con.execute("INSERT INTO a VALUES (?, ?)", (run, run))
        assert con.execute("SELECT v FROM a WHERE id = ?", (run,)).fetchone() == (run,)
        assert con.execute("SELECT count(*) FROM a WHERE id <= ?", (run,)).fetchone() == (run + 1,)
    con.close()
