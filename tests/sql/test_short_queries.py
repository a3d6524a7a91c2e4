"""Queries of a few rows: all of them at once, whatever was expected, and the same as sqlite3's."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import kvsh
from btree import TreeKind, open_memory
from sql import Session
from sql.compile.query import SHORT_BATCHES
from sql.result import OwningResult, Result

SCHEMA = """
CREATE TABLE a(id INTEGER PRIMARY KEY, name TEXT, boss INT);
CREATE TABLE b(id INTEGER PRIMARY KEY, a_id INT, x REAL, note TEXT COLLATE NOCASE);
CREATE TABLE c(b_id INT, n INT, t TEXT, PRIMARY KEY(b_id, n)) WITHOUT ROWID;
CREATE INDEX b_a ON b(a_id);
CREATE INDEX b_note ON b(note);
CREATE INDEX b_x ON b(x);
"""


def pair() -> tuple[Any, Any]:
    """The same tables in kvsh and in sqlite3: some keys have one row, one has thousands."""
    draw = random.Random(17)
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    persons = [(i, f"name {i % 50}", draw.choice([None, i // 2])) for i in range(1, 301)]
    notes = [
        (i, 7 if i % 2 else draw.randrange(300), draw.choice([None, i / 4]), f"Note {i % 900}")
        for i in range(1, 6001)
    ]
    lines = [(i // 3, i % 3, draw.choice(["p", "q", None])) for i in range(9000)]
    for con in (ours, theirs):
        con.executescript(SCHEMA)
        con.executemany("INSERT INTO a VALUES (?, ?, ?)", persons)
        con.executemany("INSERT INTO b VALUES (?, ?, ?, ?)", notes)
        con.executemany("INSERT INTO c VALUES (?, ?, ?)", lines)
        con.commit()
    return ours, theirs


QUERIES = (
    "SELECT a.name, b.id, b.x FROM a JOIN b ON b.a_id = a.id WHERE a.id = ?",
    "SELECT a.name, b.id FROM a JOIN b ON b.a_id = a.id WHERE a.id = ? ORDER BY b.x DESC, b.id",
    "SELECT a.name, c.t FROM a JOIN b ON b.a_id = a.id JOIN c ON c.b_id = b.id WHERE a.id = ?",
    "SELECT a.name, count(b.id) FROM a LEFT JOIN b ON b.a_id = a.id WHERE a.id = ? GROUP BY a.id",
    "SELECT DISTINCT b.note FROM b WHERE b.a_id = ? ORDER BY 1",
    "SELECT a.id, boss.name FROM a LEFT JOIN a boss ON boss.id = a.boss WHERE a.name = 'name ' || ?",
    "SELECT id FROM b WHERE a_id = ? AND x > 100 UNION ALL SELECT id FROM a WHERE boss = 5",
    "SELECT id FROM b WHERE a_id = ? EXCEPT SELECT id FROM b WHERE x < 900",
    "SELECT b_id, max(n) FROM c WHERE b_id = ? GROUP BY b_id",
)


@pytest.mark.parametrize("sql", QUERIES)
def test_a_short_query_is_right_for_keys_of_any_number_of_rows(sql: str) -> None:
    ours, theirs = pair()
    for key in (3, 7, 12, 3, 3, 7, 7, 400, 12, 7):
        expected = theirs.execute(sql, (key,)).fetchall()
        found = ours.execute(sql, (key,)).fetchall()
        if "ORDER BY" in sql:
            assert found == expected
        else:
            assert sorted(found, key=repr) == sorted(expected, key=repr)


def test_a_short_query_leaves_nothing_open_and_a_long_one_streams() -> None:
    session = Session(open_memory())
    session.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, k INT)")
    session.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO t SELECT i, 0 FROM n"
    )
    assert type(session.execute("SELECT k FROM t WHERE id > 90")) is Result
    # A handful of rows is expected of a recursion; there are many batches of them.
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    found = session.execute(many)
    assert type(found) is OwningResult
    batches = found.batches()
    assert [row for _ in range(2 * SHORT_BATCHES) for row in next(batches)][:3] == [
        (1,),
        (2,),
        (3,),
    ]
    found.close()


PAGES = (
    "SELECT id, note FROM b ORDER BY id LIMIT ? OFFSET ?",
    "SELECT id, note FROM b ORDER BY id DESC LIMIT ? OFFSET ?",
    "SELECT id, note FROM b WHERE id > 77 ORDER BY id LIMIT ? OFFSET ?",
    "SELECT id, x FROM b ORDER BY x, id LIMIT ? OFFSET ?",
    "SELECT id, note FROM b ORDER BY x DESC, id DESC LIMIT ? OFFSET ?",
    "SELECT id, a_id FROM b WHERE x BETWEEN 200 AND 900.5 ORDER BY x, id LIMIT ? OFFSET ?",
    "SELECT a_id, id FROM b WHERE a_id = 7 ORDER BY id LIMIT ? OFFSET ?",
    "SELECT * FROM c ORDER BY b_id, n LIMIT ? OFFSET ?",
    "SELECT t FROM c WHERE b_id > 30 ORDER BY b_id, n LIMIT ? OFFSET ?",
    "SELECT id FROM b WHERE x > 500 ORDER BY id LIMIT ? OFFSET ?",
    "SELECT id FROM a WHERE id IN (SELECT a_id FROM b ORDER BY id LIMIT 5 OFFSET 3) ORDER BY id LIMIT ? OFFSET ?",
)


@pytest.mark.parametrize("sql", PAGES)
def test_pages_are_those_of_sqlite(sql: str) -> None:
    ours, theirs = pair()
    for limit in (0, 1, 10, 700, 5000, -1):
        for offset in (0, 1, 9, 130, 1000, 2999, 3000, 6000, 9000, 10_000, -1):
            values = (limit, offset)
            assert ours.execute(sql, values).fetchall() == theirs.execute(sql, values).fetchall()
            literal = sql.replace("LIMIT ? OFFSET ?", f"LIMIT {limit} OFFSET {offset}")
            assert ours.execute(literal).fetchall() == theirs.execute(literal).fetchall()


CUT = (
    "SELECT a.name, b.id FROM b JOIN a ON a.id = b.a_id",
    "SELECT a.name, b.id FROM b JOIN a ON a.id = b.a_id WHERE b.x > 700 AND a.name <> 'name 7'",
    "SELECT b.id, c.t FROM a JOIN b ON b.a_id = a.id JOIN c ON c.b_id = b.id WHERE a.id > 5",
    "SELECT a.id, b.note FROM a LEFT JOIN b ON b.a_id = a.id WHERE a.id < 9",
    "SELECT id, note FROM b WHERE x > 400",
    "SELECT id, x FROM b WHERE x > 1490",
    "SELECT id FROM b WHERE note LIKE '%9%'",
    "SELECT b_id, t FROM c WHERE t = 'q'",
    "SELECT b.x, a.name FROM b JOIN a ON a.id = b.a_id WHERE b.x > 5 ORDER BY b.x",
    "SELECT b.x, a.name FROM b JOIN a ON a.id = b.a_id ORDER BY b.x DESC",
    "SELECT b.id FROM b WHERE EXISTS (SELECT 1 FROM c WHERE c.b_id = b.id AND c.t = 'p')",
)


@pytest.mark.parametrize("sql", CUT)
def test_a_limit_takes_as_many_of_the_rows_as_there_are(sql: str) -> None:
    ours, theirs = pair()
    rows = theirs.execute(sql).fetchall()  # once: without indexes it takes long there
    whole = Counter(rows)
    for limit in (0, 1, 20, 300, 1500, 5000, -1):
        for offset in (0, 3, 40):
            expected = rows[offset:][: None if limit < 0 else limit]
            for text, values in (
                (f"{sql} LIMIT ? OFFSET ?", (limit, offset)),
                (f"{sql} LIMIT {limit} OFFSET {offset}", ()),
            ):
                found = ours.execute(text, values).fetchall()
                assert len(found) == len(expected)
                assert Counter(found) <= whole
                if "ORDER BY" in sql:
                    assert [row[0] for row in found] == [row[0] for row in expected]


FOLDED = (
    "SELECT count(*) FROM b WHERE note = ?",
    "SELECT id FROM b WHERE note = ? ORDER BY id",
    "SELECT max(id), count(*) FROM b WHERE note >= ?",
    "SELECT note, id FROM b WHERE note = ? ORDER BY id",
    "SELECT count(*) FROM b WHERE note = ? AND note <> 'note 5'",
    "SELECT count(*) FROM b WHERE note = ? AND note = 'Note 5' COLLATE BINARY",
    "SELECT a.id, EXISTS (SELECT 1 FROM b WHERE note = ?) FROM a WHERE a.id < 4",
    "SELECT count(*) FROM b WHERE note IN (?, 'nOTE 6')",
    "SELECT b.id FROM a JOIN b ON b.note = 'NOTE ' || a.id WHERE a.name = ? OR a.id < 9 ORDER BY 1",
    "SELECT count(note) FROM b WHERE note = ?",
)


@pytest.mark.parametrize("sql", FOLDED)
def test_texts_under_a_collation_are_read_as_they_are_written(sql: str) -> None:
    ours, theirs = pair()
    for value in ("Note 5", "NOTE 5", "note 17", "name 3", "", None, 5):
        assert ours.execute(sql, (value,)).fetchall() == theirs.execute(sql, (value,)).fetchall()
    plan = str(
        ours.execute("EXPLAIN QUERY PLAN SELECT count(*) FROM b WHERE note = 'x'").fetchall()
    )
    assert "COVERING INDEX b_note" in plan


def test_row_ids_that_were_asked_for_lately_are_those_of_the_newest_commit(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    con: Any = kvsh.connect(path, isolation_level=None)
    con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, k INT, n TEXT)")
    con.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, i % 4000, "n") for i in range(12000)])
    con.execute("CREATE INDEX t_k ON t(k)")
    con.close()
    con, other = (kvsh.connect(path, isolation_level=None) for _ in range(2))
    by_key = "SELECT id FROM t WHERE k = ? AND n = n ORDER BY id"
    asked = "SELECT id, n FROM t WHERE k = ?"

    def check(key: float) -> None:
        wanted = [row[0] for row in con.execute(by_key, (key,))]
        for _ in range(3):
            assert sorted(row[0] for row in con.execute(asked, (key,))) == wanted

    for key in (7, 7.0, 8, 4001):
        check(key)
    index = next(
        tree
        for tree in con._session.lent_reader().open_trees.values()
        if tree.kind is TreeKind.INDEX
    )
    assert index.hot_rows().rows[(7,)] == (7, 4007, 8007)
    other.execute("UPDATE t SET k = 8 WHERE id = 4007")
    check(7)
    check(8)
    con.execute("DELETE FROM t WHERE k = 7")
    con.execute("UPDATE t SET k = k + 1")  # the trees' nodes are others now
    for key in (7, 8, 9):
        check(key)
    con.close()
    other.close()


@pytest.mark.parametrize("sql", CUT)
def test_a_plan_for_no_rows_is_one_for_some(sql: str) -> None:
    """The next run may want them."""
    ours, _ = pair()
    none, one = [ours.execute(f"EXPLAIN {sql} LIMIT {limit}").fetchall()[1:] for limit in (0, 1)]
    assert none == one


@pytest.mark.parametrize("durability", ["full", "off"])
def test_what_is_ready_in_a_reading_transaction_follows_what_becomes_of_it(
    tmp_path: Path, durability: Any
) -> None:
    """It reads as of its beginning, then it writes, then it is rolled back to a savepoint; the next one reads anew."""
    path = tmp_path / "t.db"
    one = kvsh.connect(path, isolation_level=None, durability=durability)
    other = kvsh.connect(path, isolation_level=None, durability=durability)
    one.execute("CREATE TABLE t(k TEXT PRIMARY KEY, n INT)")
    one.executemany("INSERT INTO t VALUES (?, ?)", [(f"k{n}", n) for n in range(2000)])
    query = "SELECT n FROM t WHERE k = ?"

    def asked() -> list[Any]:
        found = [one.execute(query, (key,)).fetchall() for key in ("k7", "k7", "k1999", "new")]
        assert found[0] == found[1]
        return found[1:]

    before = [[(7,)], [(1999,)], []]
    for _ in range(3):
        one.execute("BEGIN")
        assert asked() == asked() == before
        other.execute("UPDATE t SET n = -1 WHERE k = 'k7'")
        other.execute("INSERT INTO t VALUES ('new', 5)")
        assert asked() == before
        one.execute("COMMIT")
        assert asked() == asked() == [[(-1,)], [(1999,)], [(5,)]]

        one.execute("BEGIN")
        assert asked()[0] == [(-1,)]
        one.execute("SAVEPOINT s")
        one.execute("UPDATE t SET n = 7 WHERE k = 'k7'")
        assert asked()[0] == [(7,)]
        one.execute("DELETE FROM t WHERE k = 'new'")
        assert asked() == before
        one.execute("ROLLBACK TO s")
        assert asked() == [[(-1,)], [(1999,)], [(5,)]]
        one.execute("UPDATE t SET n = 7 WHERE k = ?", ("k7",))
        one.execute("DELETE FROM t WHERE k = ?", ("new",))
        assert asked() == before
        one.execute("COMMIT")
        assert asked() == before
    one.close()
    other.close()
