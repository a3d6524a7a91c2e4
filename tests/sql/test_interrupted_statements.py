"""A signal's handler that raises, as that of Ctrl-C does, in the middle of a statement about many rows of an open transaction:
the statement was done, or was not, or the whole transaction was rolled back; nothing of it is there by half."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import btree
import kvsh
import sql
from tests.interrupting import Interrupting, Stop, folders

POINTS = int(os.environ.get("KVSH_TEST_POINTS", "6"))
"""So many points of each statement are tried, at random; `KVSH_TEST_POINTS=0` tries all."""

PLACES = (*folders(btree, sql), "<kvsh plan")

SCHEMA = """
CREATE TABLE p(id INTEGER PRIMARY KEY, n INT);
CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT UNIQUE, n INT, p INT REFERENCES p ON DELETE CASCADE);
CREATE INDEX tn ON t(n);
CREATE INDEX tp ON t(p);
CREATE TABLE w(k TEXT PRIMARY KEY, n INT, u INT UNIQUE) WITHOUT ROWID;
CREATE INDEX wn ON w(n) WHERE n > 3;
CREATE TABLE g(id INTEGER PRIMARY KEY, k TEXT, n INT);
CREATE INDEX gn ON g(n);
CREATE TABLE log(id INTEGER PRIMARY KEY, k TEXT, UNIQUE (k, id));
CREATE TRIGGER gi AFTER INSERT ON g BEGIN INSERT INTO log(k) VALUES (NEW.k); END;
CREATE TRIGGER gd AFTER DELETE ON g BEGIN DELETE FROM log WHERE k = OLD.k; END;
CREATE TRIGGER gu AFTER UPDATE ON g BEGIN UPDATE log SET k = k || NEW.n WHERE k = OLD.k; END;
CREATE TABLE l(id INTEGER PRIMARY KEY, v TEXT, n INT);
CREATE INDEX ln ON l(n);
CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT, k UNIQUE);
CREATE TABLE e(a INT, b INT);
INSERT INTO p WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 40) SELECT i, i FROM c;
INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 300)
    SELECT i, 'k' || i, i % 7, i % 40 + 1 FROM c;
INSERT INTO w SELECT k, n, id FROM t;
INSERT INTO g SELECT id, k, n FROM t WHERE id < 60;
INSERT INTO l SELECT id, printf('%.*c', id % 3 * 3000, 'x'), n FROM t WHERE id < 50;
INSERT INTO a(k) SELECT k FROM t WHERE id < 20;
"""

TABLES = ("p", "t", "w", "g", "log", "l", "a", "e", "sqlite_sequence", "sqlite_master", "o.t")

STATEMENTS = [
    "UPDATE t SET n = n + 1",
    "UPDATE t SET n = n + 1 WHERE n = 3",
    "UPDATE t SET n = n + 1 WHERE id IN (3, 5)",
    "UPDATE t SET k = k || 'x', n = n + 1 WHERE n < 4",
    "UPDATE t SET k = k || 'x', n = n + 1 WHERE n < 4 RETURNING k",
    "UPDATE t SET n = p.n + 50 FROM p WHERE p.id = t.p AND p.n < 20",
    "UPDATE t SET id = id + 1000 WHERE n = 2",
    "UPDATE OR REPLACE t SET k = 'k' || (id + 1) WHERE id BETWEEN 20 AND 40",
    "UPDATE w SET n = n + 2, u = u + 1000",
    "UPDATE w SET k = k || 'y' WHERE n = 1",
    "UPDATE g SET n = n + 1 WHERE n < 3",
    "UPDATE l SET v = v || 'long', n = n + 1",
    "UPDATE p SET n = n + 1",
    "DELETE FROM t",
    "DELETE FROM t WHERE n < 4",
    "DELETE FROM t WHERE n = 4 RETURNING id",
    "DELETE FROM t WHERE id IN (5, 6, 7)",
    "DELETE FROM w WHERE n < 5",
    "DELETE FROM g WHERE n = 2",
    "DELETE FROM l WHERE n < 5",
    "DELETE FROM p WHERE n % 3 = 0",
    "DELETE FROM p WHERE id = 3",
    "INSERT INTO t(k, n, p) SELECT 'new' || id, n, p FROM t WHERE n < 3",
    "INSERT INTO t(k, n, p) VALUES ('n1', 1, 1), ('n2', 2, 2), ('n3', 3, 3)",
    "INSERT INTO t(k, n, p) VALUES " + ", ".join(f"('n{n}', {n}, {n})" for n in range(1, 30)),
    "INSERT OR REPLACE INTO t(k, n, p) SELECT 'k' || (id + 100), n, p FROM t WHERE n < 3",
    "INSERT OR IGNORE INTO w SELECT k || (id % 2), n, id + 9000 FROM t",
    "INSERT INTO t(k, n) SELECT 'k' || (id * 2), 70 FROM t WHERE n < 5"
    " ON CONFLICT (k) DO UPDATE SET n = n + 50",
    "INSERT INTO g(k, n) SELECT k, 5 FROM t WHERE n = 1",
    "INSERT INTO l(v, n) SELECT v || 'z', n FROM l",
    "INSERT INTO a(k) SELECT k || 'a' FROM t",
    "INSERT INTO e SELECT id, n FROM t",
    "INSERT INTO o.t(k, n) SELECT k || 'z', n FROM main.t",
    "UPDATE o.t SET n = n + 1, k = k || 'o'",
    "DELETE FROM o.t WHERE n < 3",
    "ALTER TABLE t ADD COLUMN more INT DEFAULT 5",
    "ALTER TABLE w RENAME COLUMN n TO m",
    "ALTER TABLE e DROP COLUMN b",
    "ALTER TABLE l RENAME TO l2",
    "CREATE INDEX tk ON t(n, k)",
    "CREATE TABLE c AS SELECT * FROM t",
    "DROP TABLE w",
    "DROP INDEX tn",
    "REINDEX t",
]
MANY = {
    "INSERT INTO t(k, n, p) VALUES (?, ?, 3)": [(f"m{n}", n) for n in range(60)],
    "INSERT INTO g(k, n) VALUES (?, ?)": [(f"m{n}", n) for n in range(30)],
    "UPDATE t SET k = k || ? WHERE id = ?": [("x", n) for n in range(20, 70)],
    "DELETE FROM t WHERE k = ?": [(f"k{n}",) for n in range(20, 70)],
    "DELETE FROM p WHERE id = ?": [(n,) for n in range(20, 30)],
}


def content(connection: Any) -> dict[str, list[Any]]:
    found = {}
    for table in TABLES:
        try:
            found[table] = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
        except kvsh.OperationalError:
            found[table] = ["none"]
    return found


def run(connection: Any, statement: str) -> None:
    if statement in MANY:
        connection.executemany(statement, MANY[statement])
    else:
        connection.execute(statement).fetchall()


def whole(connection: Any) -> None:
    """The transaction's state is whole."""
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.fixture(params=["memory", "disk"])
def connection(request: Any, tmp_path: Path) -> Iterator[Any]:
    path = ":memory:" if request.param == "memory" else str(tmp_path / "db")
    made = kvsh.connect(path, isolation_level=None)
    made.executescript(SCHEMA)
    made.execute("ATTACH ? AS o", (":memory:" if path == ":memory:" else path + "2",))
    made.execute("CREATE TABLE o.t(id INTEGER PRIMARY KEY, k TEXT UNIQUE, n INT)")
    made.execute("INSERT INTO o.t SELECT id, k, n FROM main.t WHERE id < 100")
    made.execute("PRAGMA foreign_keys = ON")
    yield made
    made.close()


def begin(connection: Any) -> None:
    """An open transaction that has changed a little of all tables."""
    connection.execute("BEGIN")
    connection.execute("INSERT INTO t(k, n, p) VALUES ('first', 3, 3)")
    connection.execute("UPDATE w SET n = n + 1 WHERE k = 'k7'")
    connection.execute("INSERT INTO g(k, n) VALUES ('first', 1)")
    connection.execute("UPDATE l SET v = v || 'first' WHERE id = 8")


@pytest.mark.parametrize("error", [Stop, MemoryError])
@pytest.mark.parametrize("statement", [*STATEMENTS, *MANY])
def test_a_statement_that_is_interrupted_is_done_or_is_not(
    connection: Any, statement: str, error: type[BaseException]
) -> None:
    base = content(connection)
    begin(connection)
    undone = content(connection)
    with Interrupting(0, PLACES, error) as counting:
        run(connection, statement)
    done = content(connection)
    connection.execute("ROLLBACK")
    rng = random.Random(statement)
    every = range(1, counting.count + 1)
    points = sorted(rng.sample(every, min(POINTS or counting.count, counting.count)))
    for at in points:
        begin(connection)
        try:
            with Interrupting(at, PLACES, error):
                run(connection, statement)
        except error:
            pass
        except kvsh.Error as told:
            assert "rolled back" in str(told)
        if not connection.in_transaction:
            assert content(connection) == base, f"point {at} of {counting.count}"
            whole(connection)
            continue
        found = content(connection)
        try:
            if at % 3:
                connection.execute("SAVEPOINT a")
            assert found in (undone, done), f"point {at} of {counting.count}"
            whole(connection)
        except kvsh.OperationalError as told:
            assert "rolled back" in str(told)
            assert content(connection) == base, f"point {at} of {counting.count}"
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        assert content(connection) == base, f"point {at} of {counting.count}"
    whole(connection)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), btree.StoreError("the disk is gone")])
def test_what_an_interruption_costs_is_told(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    connection = kvsh.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    base = list(connection.iterdump())

    def stopped(*_: Any) -> None:
        raise error

    connection.execute("BEGIN")
    connection.execute("UPDATE t SET p = 7 WHERE n = 3")
    with monkeypatch.context() as patched:
        patched.setattr("sql.dml.bulk.change_entries", stopped)
        with pytest.raises((KeyboardInterrupt, kvsh.OperationalError)) as caught:
            connection.execute("DELETE FROM t WHERE n < 4")
    told = getattr(caught.value, "__notes__", None) or [str(caught.value)]
    assert "the transaction was rolled back" in told[0]
    assert not connection.in_transaction
    assert list(connection.iterdump()) == base
    connection.execute("UPDATE t SET n = n + 0")  # and the lock is free


def test_a_statement_that_nobody_could_undo_is_not_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = kvsh.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    session = connection._session

    def torn(*_: Any) -> None:
        raise Stop

    for statement in ("COMMIT", "INSERT INTO e VALUES (1, 2)", "ROLLBACK"):
        connection.execute("BEGIN")
        with monkeypatch.context() as patched:
            patched.setattr("sql.dml.bulk.change_entries", torn)
            patched.setattr(type(session), "end_torn", torn)  # interrupted again
            with pytest.raises(Stop):
                connection.execute("DELETE FROM t WHERE n < 4")
        if statement == "ROLLBACK":
            connection.execute(statement)
        else:
            with pytest.raises(kvsh.OperationalError, match="half-way: the transaction was"):
                connection.execute(statement)
        assert not connection.in_transaction
        whole(connection)
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (300,)


def test_a_savepoint_before_it_undoes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = kvsh.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)

    def torn(*_: Any) -> None:
        raise Stop

    connection.execute("BEGIN")
    connection.execute("UPDATE t SET p = 7 WHERE n = 3")
    connection.execute("SAVEPOINT a")
    before = content(connection)
    with monkeypatch.context() as patched:
        patched.setattr("sql.dml.bulk.change_entries", torn)
        patched.setattr("sql.session.Session.end_torn", torn)
        with pytest.raises(Stop):
            connection.execute("DELETE FROM t WHERE n < 4")
    connection.execute("ROLLBACK TO a")
    connection.execute("COMMIT")
    assert content(connection) == before
    whole(connection)
