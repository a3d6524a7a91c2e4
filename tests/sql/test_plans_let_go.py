"""Plans that are kept keep nothing of the transaction that they were made in: no version of the trees, no row."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from btree import open_memory, open_store
from sql import Session
from tests.sql.scripts import run_script

SCHEMA = """
CREATE TABLE t(id INTEGER PRIMARY KEY, a, b UNIQUE, c DEFAULT (abs(-3)));
CREATE INDEX t_a ON t(a);
CREATE TABLE log(id INTEGER PRIMARY KEY, what);
CREATE TABLE watched(id INTEGER PRIMARY KEY, a);
CREATE TRIGGER noted AFTER UPDATE ON watched WHEN new.a > (SELECT 0) BEGIN
    INSERT INTO log(what) SELECT max(id) FROM t; UPDATE t SET a = a + 1 WHERE id = new.id; END;
CREATE TABLE parent(id INTEGER PRIMARY KEY, u UNIQUE);
CREATE TABLE child(id INTEGER PRIMARY KEY, p REFERENCES parent(u) ON UPDATE CASCADE ON DELETE SET NULL);
"""
STATEMENTS = {
    "UPDATE t SET a = a + ? WHERE id = ?": (1, 2),
    "UPDATE t SET a = a + ? WHERE b > ?": (1, 100),
    "UPDATE t SET a = (SELECT count(*) FROM log WHERE log.id = t.id) WHERE a BETWEEN ? AND ?": (3, 5),
    "UPDATE t SET a = l.id FROM log AS l WHERE l.id = t.id AND t.a > ?": (3,),
    "UPDATE t SET c = ? WHERE a IN (SELECT id FROM log) RETURNING id": (3,),
    "DELETE FROM t WHERE id = ?": (2,),
    "DELETE FROM t WHERE a = ? AND b < ?": (7, 500),
    "INSERT INTO log(what) VALUES (?)": ("one",),
    "INSERT INTO log(what) SELECT a FROM t WHERE a > ? ORDER BY b": (3,),
    "INSERT INTO t(id, a, b) VALUES (?, 1, 9) ON CONFLICT DO UPDATE SET a = excluded.a + t.a": (5,),
    "INSERT INTO t(a, b) SELECT id, -id FROM log WHERE true ON CONFLICT DO NOTHING": (),
    "REPLACE INTO t(id, a, b) VALUES (?, ?, ?)": (4, 4, 4),
    "UPDATE watched SET a = a + 1 WHERE id < ?": (4,),
    "UPDATE parent SET u = u + 1000 WHERE id = ?": (4,),
    "DELETE FROM parent WHERE u > ?": (40,),
    "SELECT * FROM t WHERE id = ?": (3,),
    "SELECT count(*), max(a) FROM t JOIN log ON log.id = t.a WHERE b > ?": (3,),
}  # fmt: skip


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made = open_memory() if request.param == "memory" else open_store(tmp_path / "db")
    yield made
    made.close()


def filled(store: Any) -> Session:
    session = Session(store)
    run_script(session, SCHEMA)
    session.execute("PRAGMA foreign_keys = 1")
    session.execute_many(
        "INSERT INTO t(id, a, b) VALUES (?, ?, ?)", [(n, n % 50, n) for n in range(2000)]
    )
    for table in ("log", "watched", "parent"):
        session.execute_many(f"INSERT INTO {table} VALUES (?, ?)", [(n, n) for n in range(50)])
    session.execute_many("INSERT INTO child VALUES (?, ?)", [(n, n) for n in range(50)])
    return session


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("sql", STATEMENTS)
def test_a_kept_plan_lets_its_transaction_go(store: Any, sql: str, explicit: bool) -> None:
    session = filled(store)
    session.drop_reader()
    begun: list[ref[Any]] = []
    begin = store.begin

    def noting(**how: Any) -> Any:
        transaction = begin(**how)
        begun.append(ref(transaction))
        return transaction

    gc.collect()
    gc.disable()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(store), "begin", lambda self, **how: noting(**how))
            for _ in range(3):
                if explicit:
                    session.execute("BEGIN IMMEDIATE")
                session.execute(sql, STATEMENTS[sql]).close()
                if explicit:
                    session.execute("COMMIT")
        session.drop_reader()
        assert begun and session.prepare(sql) is session.prepare(sql)
        assert [transaction for transaction in begun if transaction() is not None] == []
    finally:
        gc.enable()
    session.close()


def test_a_kept_plan_keeps_no_rows(store: Any) -> None:
    """Those that the planner samples to see how many a condition leaves."""
    session = filled(store)
    for sql, values in STATEMENTS.items():
        session.execute(sql, values).close()
    kept = [plan for plan in session._plans.values() if hasattr(plan, "_plan")]
    assert kept
    for plan in kept:
        query = getattr(plan._plan, "query", None)
        if query is not None:
            assert not query.planner.statistics._samples
    session.close()
