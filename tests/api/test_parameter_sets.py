"""What each set of `executemany`, and each statement of a script, has to leave behind by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

import kvsh

INSERTS = "INSERT INTO t VALUES (?, ?)", [(1, None), (2, 3), (3, None), (4, 9)]
DELETES = "DELETE FROM t WHERE a = ?", [(6,), (5,), (1000,), (1001,)]
UPDATES = "UPDATE t SET a = ? WHERE a = ?", [(60, 6), (700, 5), (5, 700)]


def _left(module: Any, constraint: str, *, begun: bool, many: int, write: Any) -> list[Any]:
    """The table that refers to itself, and what was said, after all sets at once and after a script of them."""
    told: list[Any] = []
    for as_script in (False, True):
        con = module.connect(":memory:", isolation_level=None)
        con.execute("PRAGMA foreign_keys = ON")
        con.execute(f"CREATE TABLE t (a INTEGER PRIMARY KEY, b REFERENCES t {constraint})")
        sql, sets = write
        if write is INSERTS:
            sets = [*((number, None) for number in range(100, 100 + many)), *sets]
        else:
            rows = [*((number, None) for number in range(10 + many)), (1000, 5), (1001, 1000)]
            con.executemany("INSERT INTO t VALUES (?, ?)", rows)
        try:
            if as_script:
                texts = [
                    sql.replace("?", "{}").format(*one).replace("None", "NULL") for one in sets
                ]
                con.executescript("BEGIN;" * begun + ";".join(texts) + ";")
            else:
                if begun:
                    con.execute("BEGIN")
                con.executemany(sql, sets)
        except module.IntegrityError as error:
            told.append(str(error))
        told.append(con.in_transaction)
        told.append(con.execute("SELECT * FROM t").fetchall())
        if con.in_transaction:
            try:
                con.commit()
            except module.IntegrityError as error:
                told.append(str(error))
        con.close()
    return told


@pytest.mark.parametrize("write", [INSERTS, DELETES, UPDATES], ids=("insert", "delete", "update"))
@pytest.mark.parametrize("many", [0, 300])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("constraint", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_a_later_set_repairs_no_foreign_key(
    constraint: str, begun: bool, many: int, write: Any
) -> None:
    """They were run as one statement, at whose end alone the keys were looked at; and outside of a transaction as one
    transaction, so that all was undone where one set violated a deferred key."""
    ours, theirs = (
        _left(module, constraint, begun=begun, many=many, write=write) for module in (kvsh, sqlite3)
    )
    assert ours == theirs


@pytest.mark.parametrize("level", ["", None])
def test_who_gives_the_sets_may_use_the_connection(level: str | None) -> None:
    found = []
    for module in (sqlite3, kvsh):
        con = module.connect(":memory:", isolation_level=level)
        con.execute("CREATE TABLE author(id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        con.execute("CREATE TABLE book(title TEXT, author INT)")

        def author_of(number: int, con: Any = con) -> int:
            name = f"author {number % 50}"
            con.execute("INSERT OR IGNORE INTO author(name) VALUES(?)", (name,))
            (found,) = con.execute("SELECT id FROM author WHERE name = ?", (name,)).fetchone()
            return int(found)

        sets = ((f"title {number}", author_of(number)) for number in range(10_000))
        assert con.executemany("INSERT INTO book VALUES(?, ?)", sets).rowcount == 10_000
        con.commit()
        joined = "SELECT a.name, count(*) FROM book b JOIN author a ON a.id = b.author GROUP BY 1"
        found.append(con.execute(joined).fetchall())
    assert found[0] == found[1]
    assert len(found[1]) == 50


def test_who_gives_the_sets_may_commit_early_but_not_under_a_statement_at_work() -> None:
    con = kvsh.connect(":memory:")
    con.execute("CREATE TABLE t(x)")

    def numbers(every: int) -> Iterator[tuple[int]]:
        for number in range(10_000):
            if number % every == every - 1:
                con.commit()
            yield (number,)

    assert con.executemany("INSERT INTO t VALUES(?)", numbers(1000)).rowcount == 10_000
    assert not con.in_transaction
    assert con.execute("SELECT count(*) FROM t").fetchone() == (10_000,)
    with pytest.raises(kvsh.ProgrammingError, match="what gives the parameters has ended"):
        con.executemany("INSERT INTO t VALUES(?)", numbers(5000))
    assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
