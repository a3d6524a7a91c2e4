"""INSERT of one row of VALUES, in a loop: the short way leaves what sqlite3 leaves."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import kvsh
from tests.sql.one_by_one import same_one_by_one

TABLES = {
    "plain": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c)",
    "no alias": "CREATE TABLE t(id INT, a INT, b TEXT, c); CREATE UNIQUE INDEX ti ON t(id)",
    "converted": "CREATE TABLE t(id INTEGER PRIMARY KEY, a REAL, b DATE, c NUMERIC NOT NULL)",
    "strict": "CREATE TABLE t(id INTEGER PRIMARY KEY, a REAL, b TEXT, c ANY NOT NULL) STRICT",
    "checked": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT CHECK (a < 8), b TEXT DEFAULT 'd', c, CHECK (length(b) < 4))",
    "unique": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT UNIQUE, b TEXT COLLATE NOCASE, c); CREATE UNIQUE INDEX tb ON t(b, c)",
    "partial": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c); CREATE UNIQUE INDEX ta ON t(a) WHERE c > 3;"
    " CREATE INDEX tb ON t(b) WHERE b IS NOT NULL",
    "expression": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c); CREATE UNIQUE INDEX ta ON t(a % 7, b)",
    "autoincrement": "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a INT UNIQUE, b TEXT, c)",
    "parents": "CREATE TABLE p(k INTEGER PRIMARY KEY, n TEXT UNIQUE); INSERT INTO p VALUES (3, 'b'), (4, 'x'), (5, '3');"
    " CREATE TABLE t(id INTEGER PRIMARY KEY, a INT REFERENCES p, b TEXT REFERENCES p(n), c)",
    "own parents": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT REFERENCES t, b TEXT, c)",
    "deferred": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT REFERENCES t DEFERRABLE INITIALLY DEFERRED, b TEXT, c)",
    "trigger": "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a INT CHECK (a < 8), b TEXT, c);"
    " CREATE TABLE log(id INTEGER PRIMARY KEY AUTOINCREMENT, x, y UNIQUE ON CONFLICT IGNORE);"
    " CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO log(x, y) VALUES (NEW.id, NEW.a); END",
    "without rowid": "CREATE TABLE t(id INT, a INT, b TEXT, c, PRIMARY KEY (b, id)) WITHOUT ROWID; CREATE INDEX tc ON t(c)",
}
STATEMENTS = [
    ("INSERT INTO t VALUES (?, ?, ?, ?)", "iabc"),
    ("INSERT INTO t(id, a, b, c) VALUES (?, ?, ?, ?) RETURNING *", "iabc"),
    ("INSERT INTO t(a, b, c) VALUES (?, ?, ?)", "abc"),
    ("INSERT INTO t(b, a, c) VALUES (?, ?, 5) RETURNING rowid AS r, a + 1, upper(b)", "ba"),
    ("INSERT INTO t(a, c, b) VALUES (? + 1, ?, ?)", "acb"),
    ("INSERT INTO t(c, b) VALUES (abs(?), 'x' || ?)", "cb"),
    ("INSERT INTO t(id, c, b, a) VALUES (NULL, ?, ?, ?)", "cba"),
    ("INSERT OR IGNORE INTO t VALUES (?, ?, ?, ?)", "iabc"),
    ("INSERT OR IGNORE INTO t(a, b, c) VALUES (?, ?, ?) RETURNING a", "abc"),
    ("INSERT INTO t(id, a, b, c) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", "iabc"),
    ("INSERT OR REPLACE INTO t VALUES (?, ?, ?, ?)", "iabc"),
    ("INSERT OR FAIL INTO t(id, a, c, b) VALUES (?, ?, 1, ?)", "iab"),
    ("INSERT INTO t DEFAULT VALUES", ""),
    ("REPLACE INTO t(id, b) VALUES (?, ?)", "ib"),
    ("INSERT OR REPLACE INTO t(a, b, c) VALUES (?, ?, ?) RETURNING a, upper(b)", "abc"),
    (
        "INSERT INTO t VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET c = ifnull(c, 0) + 1 RETURNING *",
        "iabc",
    ),
    (
        "INSERT INTO t(id, a, b, c) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
        " SET a = excluded.a, b = t.b || excluded.b WHERE excluded.a > 2",
        "iabc",
    ),
    (
        "INSERT INTO t AS x(a, b, c) VALUES (?, ?, ?) ON CONFLICT (a) DO UPDATE"
        " SET c = x.a + excluded.c, b = ? RETURNING id, a, b, c",
        "abcb",
    ),
    ("INSERT INTO t(a, c) VALUES (?, ?) ON CONFLICT (a) DO UPDATE SET a = a + 1, c = 9", "ac"),
    (
        "INSERT INTO t(b, c, id) VALUES (?, ?, ?) ON CONFLICT (b, id) DO UPDATE SET c = excluded.c",
        "bci",
    ),
    ("DELETE FROM t WHERE a = ?", "a"),
]
LEFT_OUT = {
    "strict": "IGNORE|CONFLICT",  # sqlite3 looks at the types later
    "trigger": "OR FAIL",  # where a program fails, the row stays and sqlite_sequence does not hear of it
}
VALUES: dict[str, list[Any]] = {
    "i": [None, None, None, *range(1, 40), "7", 3.0, "x"],
    "a": [*range(60), *range(8), None, "3", 2.0, 2.5, "x"],
    "b": ["b", "B", "x", "3", "long text", None, "2024-01-01", 4, 1.5, b"z"],
    "c": [*range(9), None, "5", 0.5, "y"],
}


@pytest.mark.parametrize("name", TABLES)
def test_rows_one_by_one(name: str, tmp_path: Path) -> None:
    schema, left_out = TABLES[name], LEFT_OUT.get(name, "^$")
    statements = [each for each in STATEMENTS if not re.search(left_out, each[0])]
    before_end = "SELECT 1"
    if name == "deferred":
        before_end = "UPDATE t SET a = NULL WHERE a NOT IN (SELECT id FROM t)"
    # That an INSERT fails because of a foreign key shows in sqlite3's rowid.
    counted = "changes()" if "REFERENCES" in schema else "changes(), last_insert_rowid()"

    def outcome(connection: Any, sql: str, values: tuple[Any, ...]) -> Any:
        cursor = connection.execute(sql, values)
        names = [entry[0] for entry in cursor.description or ()]
        # An integer that became a REAL is still one in sqlite3's RETURNING.
        rows = [[x if "REAL" in schema else repr(x) for x in row] for row in cursor]
        counts = connection.execute(f"SELECT {counted}").fetchall()
        return rows, names, cursor.rowcount, counts, connection.total_changes

    def error(connection: Any, raised: Exception) -> str:
        return "strict" if name == "strict" else str(raised)

    same_one_by_one(
        tmp_path / "t.db",
        schema,
        statements,
        VALUES,
        outcome,
        seed=name,
        error=error,
        before_end=before_end,
    )


def test_a_program_s_function_is_called_once() -> None:
    """Its value has to be converted, or is refused: the short way would have to give up after the call."""
    connection = kvsh.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT NOT NULL UNIQUE)")
    calls: list[object] = []
    connection.create_function("called", 1, lambda value: calls.append(value) or value)
    for value in ("5", 6, None, 6):
        try:
            connection.execute("INSERT INTO t(a) VALUES (called(?)) RETURNING a", (value,))
        except kvsh.IntegrityError:
            calls.append("refused")
    assert calls == ["5", 6, None, "refused", 6, "refused"]
    assert connection.execute("SELECT a FROM t").fetchall() == [(5,), (6,)]
    connection.close()


def test_numbers_of_autoincrement_follow_what_is_done_to_them() -> None:
    tables = []
    for module in (kvsh, sqlite3):
        connection: Any = module.connect(":memory:", isolation_level=None)
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a)")
        found: list[Any] = []

        found += _added(connection, 3)
        connection.execute("DELETE FROM t")
        found += _added(connection, 3)
        connection.execute("UPDATE sqlite_sequence SET seq = 100")
        found += _added(connection, 2)
        connection.execute("DELETE FROM sqlite_sequence")
        found += _added(connection, 2)
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t VALUES (500, 1)")
        found += _added(connection, 2)
        connection.execute("ROLLBACK")
        found += _added(connection, 2)
        connection.execute("UPDATE sqlite_sequence SET seq = 9223372036854775807")
        with pytest.raises(module.Error, match="full"):
            found += _added(connection, 1)
        found += connection.execute("SELECT * FROM sqlite_sequence").fetchall()
        tables.append(found)
        connection.close()
    assert tables[0] == tables[1]


def _added(connection: Any, times: int) -> list[Any]:
    insert = "INSERT INTO t(a) VALUES (?) RETURNING id"
    return [connection.execute(insert, (number,)).fetchone() for number in range(times)]
