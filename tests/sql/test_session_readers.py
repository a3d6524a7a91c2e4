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


@pytest.mark.parametrize("durability", ["off", "full"])
def test_a_look_at_one_row_behind_a_commit_leaves_the_reader_where_it_is_for_a_while(
    durability: Any, tmp_path: Path
) -> None:
    path = str(tmp_path / "a.db")
    con = kvsh.connect(path, isolation_level=None, durability=durability)
    other = kvsh.connect(path, isolation_level=None, durability=durability)
    con.execute("CREATE TABLE a(id INTEGER PRIMARY KEY, v, t TEXT)")
    con.executemany("INSERT INTO a VALUES (?, 0, 'x')", [(n,) for n in range(500)])
    sql = "SELECT v, t FROM a WHERE id = ?"
    for _ in range(4):
        assert con.execute(sql, (3,)).fetchall() == [(0, "x")]
    session, commits, behind = con.session, [], 0
    for run in range(150):
        con.execute("UPDATE a SET v = ? WHERE id = ?", (run, run % 7))
        assert con.execute(sql, (run % 7,)).fetchall() == [(run, "x")]
        assert con.execute(sql, (499,)).fetchall() == [(0, "x")]
        assert con.execute(sql, (700,)).fetchall() == []
        commits.append(session._reader.commit_number)
        newest = session.store.view().lsn if run % 50 == 49 else commits[-1]
        behind = max(behind, newest - commits[-1])
    assert len({*commits}) < 10
    assert 0 < behind < 64
    con.execute("DELETE FROM a WHERE id = 5")
    assert con.execute(sql, (5,)).fetchall() == []
    other.execute(
        "INSERT INTO a VALUES (5, 'text', 'other')"
    )  # a kind that the column did not have
    assert con.execute(sql, (5,)).fetchall() == [("text", "other")]
    con.execute("BEGIN")
    con.execute("UPDATE a SET v = 1.5 WHERE id = 5")
    assert con.execute(sql, (5,)).fetchall() == [(1.5, "other")]
    assert other.execute(sql, (5,)).fetchall() == [("text", "other")]
    con.execute("ROLLBACK")
    assert con.execute(sql, (5,)).fetchall() == [("text", "other")]
    con.execute("ALTER TABLE a DROP COLUMN v")
    con.execute("ALTER TABLE a ADD COLUMN v DEFAULT 'new'")
    con.execute("UPDATE a SET t = 'y' WHERE id = 5")
    assert con.execute(sql, (5,)).fetchall() == [("new", "y")]
    con.close()
    with pytest.raises(kvsh.ProgrammingError):
        con.execute(sql, (5,))
    other.close()


def test_looks_at_rows_of_long_values_and_of_leaves_in_pages(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    con = kvsh.connect(path, isolation_level=None, durability="off")
    con.execute("CREATE TABLE a(id INTEGER PRIMARY KEY, v, t TEXT)")
    rows = [(n, n, f"{n} " * (5000 if n % 50 == 3 else 2)) for n in range(3000)]
    con.executemany("INSERT INTO a VALUES (?, ?, ?)", rows)
    sql = "SELECT t, v FROM a WHERE id = ?"
    for again in range(2):
        numbers = random.Random(again)
        for run in range(400):
            key = numbers.randrange(3000)
            found = numbers.choice(rows)
            con.execute("UPDATE a SET v = ? WHERE id = ?", (run, key))
            rows[key] = (key, run, rows[key][2])
            assert con.execute(sql, (found[0],)).fetchone() == (found[2], rows[found[0]][1])
        con.close()
        con = kvsh.connect(path, isolation_level=None, durability="off")  # nothing is in memory
    con.close()
