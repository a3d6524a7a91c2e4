"""What each set of `executemany`, and each statement of a script, has to leave behind by itself."""

from __future__ import annotations

import sqlite3
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
