"""Statements about one row that start programs: the functions made of them leave what sqlite3 leaves."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

import kvsh
from sql.dml.programs import Program
from sql.dml.rows import RowChanges
from tests.sql.one_by_one import contents, same_one_by_one, tried

TABLE = "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT COLLATE NOCASE, c);"
LOG = "CREATE TABLE log(id INTEGER PRIMARY KEY, what TEXT, x, y);"
SCHEMAS = {
    "a time": TABLE + "CREATE TRIGGER u AFTER UPDATE OF a, b ON t BEGIN"
    " UPDATE t SET c = ifnull(OLD.a, 0) || '>' || NEW.b WHERE id = NEW.id; END;",
    "a time, whatever changes": TABLE
    + "CREATE TRIGGER u AFTER UPDATE ON t WHEN NEW.c IS OLD.c BEGIN"
    " UPDATE t SET c = NEW.a WHERE rowid = OLD.rowid; END;",
    "a log": TABLE + LOG + "CREATE TRIGGER i AFTER INSERT ON t BEGIN"
    " INSERT INTO log(what, x, y) VALUES ('in', NEW.rowid, NEW.b); END;"
    "CREATE TRIGGER u AFTER UPDATE ON t BEGIN"
    " INSERT INTO log(what, x, y) VALUES ('up', OLD.a, NEW.a); END;"
    "CREATE TRIGGER d AFTER DELETE ON t WHEN OLD.a > 2 BEGIN"
    " INSERT INTO log(what, x, y) VALUES ('de', OLD.id, OLD.b); END;",
    "a log of few": TABLE
    + "CREATE TABLE log(x INT UNIQUE, y TEXT NOT NULL, n DEFAULT 0 CHECK (n < 5));"
    "CREATE TRIGGER i AFTER INSERT ON t BEGIN"
    " INSERT INTO log(x, y) VALUES (NEW.a, NEW.b) ON CONFLICT (x) DO UPDATE SET n = n + 1, y = y || NEW.c; END;"
    "CREATE TRIGGER u AFTER UPDATE ON t BEGIN"
    " INSERT OR REPLACE INTO log VALUES (NEW.a, OLD.b, 1); END;"
    "CREATE TRIGGER d AFTER DELETE ON t BEGIN DELETE FROM log WHERE x = OLD.a; END;",
    "counters": TABLE
    + "CREATE TABLE g(a INT PRIMARY KEY, n INT CHECK (n BETWEEN 0 AND 6)) WITHOUT ROWID;"
    "INSERT INTO g VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0);"
    "CREATE TRIGGER i AFTER INSERT ON t BEGIN UPDATE g SET n = n + 1 WHERE a = NEW.a; END;"
    "CREATE TRIGGER d AFTER DELETE ON t BEGIN UPDATE g SET n = n - 1 WHERE a = OLD.a; END;"
    "CREATE TRIGGER u AFTER UPDATE OF a ON t WHEN NEW.a IS NOT OLD.a BEGIN"
    " UPDATE g SET n = n - 1 WHERE a = OLD.a; UPDATE g SET n = n + 1 WHERE a = NEW.a; END;",
    "refusals": TABLE
    + LOG
    + "CREATE TRIGGER i BEFORE INSERT ON t WHEN NEW.a < 2 OR NEW.id = -1 AND NEW.c = 5 BEGIN"
    " SELECT RAISE(ABORT, 'too small'); END;"
    "CREATE TRIGGER u BEFORE UPDATE ON t BEGIN SELECT CASE WHEN NEW.a = 4 THEN RAISE(FAIL, 'four')"
    " WHEN NEW.b = 'X' THEN RAISE(IGNORE) END; END;"
    "CREATE TRIGGER d BEFORE DELETE ON t BEGIN SELECT RAISE(ROLLBACK, 'kept') WHERE OLD.c = 7; SELECT 1; END;"
    "CREATE TRIGGER a AFTER UPDATE ON t BEGIN INSERT INTO log(x) VALUES (NEW.a);"
    " SELECT RAISE(ABORT, 'three') WHERE NEW.a = 3; INSERT INTO log(x) VALUES (NEW.c); END;",
    "programs of programs": TABLE
    + LOG
    + "CREATE TABLE s(id INTEGER PRIMARY KEY, n INT); INSERT INTO s VALUES (1, 0);"
    "CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO log(what, x) VALUES (NEW.b, NEW.id); END;"
    "CREATE TRIGGER l AFTER INSERT ON log BEGIN UPDATE s SET n = n + NEW.x WHERE id = 1; END;"
    "CREATE TRIGGER n AFTER UPDATE ON s WHEN NEW.n % 3 = 0 BEGIN DELETE FROM log WHERE id = NEW.n; END;"
    "CREATE TRIGGER u AFTER UPDATE ON t BEGIN"
    " UPDATE t SET a = a + 1 WHERE id = NEW.id + 1; UPDATE s SET n = n + 1 WHERE id = 1; END;",
    "through itself": "PRAGMA recursive_triggers = ON;"
    + TABLE
    + "CREATE TRIGGER u AFTER UPDATE ON t WHEN NEW.a < 6 BEGIN UPDATE t SET a = a + 1 WHERE id = NEW.id; END;",
    "asks for what was written": TABLE + LOG + "CREATE TRIGGER i AFTER INSERT ON t BEGIN"
    " INSERT INTO log(what, x, y) VALUES ('in', last_insert_rowid(), changes()); END;",
    "children": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c);"
    "CREATE TABLE k(id INTEGER PRIMARY KEY, t INT REFERENCES t ON DELETE CASCADE, v); CREATE INDEX kt ON k(t);"
    "CREATE TABLE l(id INTEGER PRIMARY KEY, k INT REFERENCES k ON DELETE CASCADE); CREATE INDEX lk ON l(k);"
    "CREATE TABLE m(id INTEGER PRIMARY KEY, k INT REFERENCES k ON DELETE SET NULL); CREATE INDEX mk ON m(k);"
    "CREATE TRIGGER i AFTER INSERT ON t WHEN NEW.a <> 4 BEGIN"
    " INSERT INTO k(t, v) VALUES (NEW.id, NEW.b); INSERT INTO k(t, v) VALUES (NEW.id, NEW.c);"
    " INSERT INTO l(k) VALUES (NEW.a); INSERT INTO m(k) VALUES (NEW.a + 1); END;",
    "children that stay": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c);"
    "CREATE TABLE k(id INTEGER PRIMARY KEY, t INT REFERENCES t ON DELETE CASCADE, v); CREATE INDEX kt ON k(t);"
    "CREATE TABLE l(k INT REFERENCES k, t INT REFERENCES t ON DELETE SET NULL CHECK (t IS NOT NULL OR k > 2));"
    "CREATE INDEX lk ON l(k); CREATE INDEX lt ON l(t);"
    "CREATE TRIGGER i AFTER INSERT ON t BEGIN"
    " INSERT INTO k(t) VALUES (NEW.id); INSERT OR IGNORE INTO l(k, t) VALUES (NEW.a, NEW.id); END;"
    "CREATE TRIGGER d AFTER DELETE ON t BEGIN DELETE FROM l WHERE k = OLD.a; END;",
    "a tree": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT REFERENCES t ON DELETE CASCADE, b TEXT, c); CREATE INDEX ta ON t(a);"
    + LOG
    + "CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO log(x) VALUES (NEW.a); END;",
}
STATEMENTS = [
    ("INSERT INTO t VALUES (?, ?, ?, ?)", "iabc"),
    ("INSERT INTO t(a, b, c) VALUES (?, ?, ?)", "abc"),
    ("INSERT INTO t(a, b) VALUES (?, ?) RETURNING id, a, c", "ab"),
    ("INSERT OR IGNORE INTO t(id, a, b) VALUES (?, ?, ?)", "iab"),
    ("INSERT OR REPLACE INTO t(id, a, b) VALUES (?, ?, ?)", "iab"),
    ("UPDATE t SET a = ? WHERE id = ?", "ai"),
    ("UPDATE t SET b = ?, a = a + 1 WHERE id = ?", "bi"),
    ("UPDATE t SET c = ? WHERE id = ? AND a > 1 RETURNING *", "ci"),
    ("UPDATE OR IGNORE t SET a = ?, b = ? WHERE id = ?", "abi"),
    ("UPDATE OR FAIL t SET a = ? WHERE rowid = ?", "ai"),
    ("DELETE FROM t WHERE id = ?", "i"),
    ("DELETE FROM t WHERE id = ? RETURNING a, b", "i"),
    ("DELETE FROM t WHERE id = ? AND a < 4", "i"),
]
VALUES: dict[str, list[Any]] = {
    "i": [None, *range(1, 16), *range(1, 16), "3"],
    "a": [*range(7), *range(7), None, "3", 2.5],
    "b": ["x", "X", "y", "z", "3", None, b"z"],
    "c": [*range(9), None, "5", 0.5],
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_rows_one_by_one(name: str, tmp_path: Path) -> None:
    path, schema = tmp_path / "t.db", SCHEMAS[name]
    same_one_by_one(path, schema, STATEMENTS, VALUES, _outcome, seed=name, error=_error)


def _outcome(connection: Any, sql: str, values: tuple[Any, ...]) -> Any:
    cursor = connection.execute(sql, values)
    rows = [list(map(repr, row)) for row in cursor]
    counts = connection.execute("SELECT changes(), last_insert_rowid()").fetchall()
    return rows, cursor.rowcount, counts, connection.total_changes


def _error(connection: Any, raised: Exception) -> Any:
    return str(raised), connection.in_transaction


@pytest.mark.parametrize(
    ("name", "sql", "values"),
    [
        ("a time", "UPDATE t SET a = ? WHERE id = ?", (7, 1)),
        ("a time, whatever changes", "UPDATE t SET a = ? WHERE id = ?", (7, 1)),
        ("a log", "INSERT INTO t(a, b, c) VALUES (?, ?, ?)", (1, "x", 2)),
        ("a log", "UPDATE t SET a = ? WHERE id = ?", (1, 1)),
        ("a log", "DELETE FROM t WHERE id = ?", (1,)),
        ("a log of few", "INSERT INTO t(a, b, c) VALUES (?, ?, ?) RETURNING id", (1, "x", 2)),
        ("counters", "UPDATE t SET a = ? WHERE id = ?", (2, 1)),
        ("refusals", "INSERT INTO t(a, b, c) VALUES (?, ?, ?)", (3, "x", 2)),
        ("refusals", "DELETE FROM t WHERE id = ?", (1,)),
        ("programs of programs", "INSERT INTO t(a, b, c) VALUES (?, ?, ?)", (1, "x", 2)),
        ("children", "DELETE FROM t WHERE id = ?", (1,)),
        ("children that stay", "INSERT INTO t(a, b, c) VALUES (?, ?, ?)", (1, "x", 2)),
    ],
)
def test_no_program_is_run(
    name: str, sql: str, values: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the functions are what is run: the tests above would not tell."""
    connection = kvsh.connect(":memory:", isolation_level=None)
    connection.executescript(f"PRAGMA foreign_keys = ON; {SCHEMAS[name]}")
    connection.execute("INSERT INTO t VALUES (1, ?, 'x', 3)", (1 if "child" in name else 2,))

    def general(*_: object) -> None:
        raise AssertionError("the general way")

    monkeypatch.setattr(Program, "run", general)
    monkeypatch.setattr(RowChanges, "__init__", general)
    assert connection.execute(sql, values).rowcount in (1, -1)
    connection.close()


def test_a_query_in_a_trigger_counts_as_no_change() -> None:
    """SELECT CASE ... RAISE() was counted as a row more in total_changes()."""
    counts = []
    for module in (sqlite3, kvsh):
        connection = module.connect(":memory:", isolation_level=None)
        connection.executescript(
            """
            CREATE TABLE t(a INTEGER PRIMARY KEY, b);
            CREATE TABLE log(b);
            CREATE TRIGGER logs AFTER INSERT ON t BEGIN
              INSERT INTO log VALUES (NEW.b);
              SELECT CASE WHEN NEW.b = 7 THEN RAISE(IGNORE) END;
              SELECT NEW.b WHERE NEW.b = 2;
            END;
            """
        )
        for value in (1, 2, 7, 3):
            connection.execute("INSERT INTO t(b) VALUES (?)", (value,))
        counts.append(connection.execute("SELECT changes(), total_changes()").fetchone())
        connection.close()
    assert counts[0] == counts[1] == (1, 8)


@pytest.mark.parametrize("in_transaction", [False, True])
def test_more_is_taken_back_than_is_noted(in_transaction: bool, tmp_path: Path) -> None:
    """Fifty children go with their entries of two indexes: a savepoint is taken half-way, and then the last program fails."""
    ours = kvsh.connect(tmp_path / "t.db", isolation_level=None, durability="off")
    theirs = sqlite3.connect(":memory:", isolation_level=None)
    outcomes = []
    for connection in (ours, theirs):
        connection.executescript(
            "PRAGMA foreign_keys = ON; CREATE TABLE t(id INTEGER PRIMARY KEY, n INT, next INT);"
            "CREATE TABLE k(id INTEGER PRIMARY KEY, t INT REFERENCES t ON DELETE CASCADE, v UNIQUE);"
            "CREATE INDEX kt ON k(t);"
            "CREATE TRIGGER d AFTER DELETE ON t BEGIN UPDATE t SET n = n + 1 WHERE id = OLD.next;"
            " SELECT RAISE(ABORT, 'third') WHERE OLD.id % 3 = 0; END;"
        )
        connection.executemany("INSERT INTO t VALUES (?, 0, ?)", [(i, i + 1) for i in range(200)])
        connection.executemany(
            "INSERT INTO k(t, v) VALUES (?, ?)", [(i % 200, i) for i in range(10_000)]
        )
        if in_transaction:
            connection.execute("BEGIN")
            connection.execute("INSERT INTO k(t, v) VALUES (3, 'own')")
        found = [
            tried(connection, "DELETE FROM t WHERE id = ?", (i,), _outcome, _error)
            for i in (1, 2, 3, 3, 4, 6)
        ]
        if in_transaction:
            connection.execute("COMMIT")
        outcomes.append((found, contents(connection)))
    assert outcomes[0] == outcomes[1]
    assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ours.close()
    theirs.close()
