"""What a program meets through the API is what the sqlite3 module would have it meet."""

from __future__ import annotations

import copy
import pickle
import sqlite3
import threading
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import kvsh

SCHEMA = """
CREATE TABLE item(id INTEGER PRIMARY KEY, n INT, r REAL);
CREATE INDEX by_n ON item(n);
CREATE INDEX by_r ON item(r);
"""
INFINITY = float("inf")


def connected(module: ModuleType) -> Any:
    connection = module.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    connection.executemany(
        "INSERT INTO item VALUES (?, ?, ?)", [(i, i % 50, i * 0.5) for i in range(-300, 300)]
    )
    return connection


def opened(module: ModuleType, path: Path) -> Any:
    """A connection to a file that nobody waits for."""
    if module is kvsh:
        return kvsh.connect(path, isolation_level=None, durability="off")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("PRAGMA synchronous = off")
    return connection


def outcome(connection: Any, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
    """The rows, or the error's class, name and text."""
    try:
        return connection.execute(sql, parameters).fetchall()
    except (sqlite3.Error, kvsh.Error) as error:
        return type(error).__name__, error.sqlite_errorname, str(error)


@pytest.mark.parametrize("mode", ["immediate", "exclusive", "deferred"])
def test_transactions_of_who_may_not_write_begin_where_sqlite3s_do(
    tmp_path: Path, mode: str
) -> None:
    seen = []
    for module in (kvsh, sqlite3):
        path = tmp_path / module.__name__
        connection = module.connect(path, isolation_level=None)
        connection.execute("CREATE TABLE t(a)")
        connection.execute("PRAGMA query_only = 1")
        readonly = module.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        steps = []
        for by in (connection, readonly):
            for sql in (
                f"BEGIN {mode}",
                "SELECT count(*) FROM t",
                "COMMIT",
                "BEGIN",
                "ROLLBACK",
            ) * 2:
                steps.append((sql, outcome(by, sql), by.in_transaction))
        other = module.connect(path, isolation_level=None)  # no lock was left behind
        other.execute("INSERT INTO t VALUES (1)")
        connection.execute("PRAGMA query_only = 0")
        for sql in (f"BEGIN {mode}", "INSERT INTO t VALUES (2)", "COMMIT", "SELECT a FROM t"):
            steps.append((sql, outcome(connection, sql), connection.in_transaction))
        seen.append(steps)
        for by in (connection, readonly, other):
            by.close()
    assert seen[0] == seen[1]


def test_infinite_bounds_of_row_ids_and_indexes_are_bounds() -> None:
    ours, theirs = connected(kvsh), connected(sqlite3)
    for column in ("id", "n", "r"):
        for operator in ("<", "<=", ">", ">=", "="):
            for value in (INFINITY, -INFINITY, 1e19, -1e19):
                for rest in ("", " ORDER BY id DESC LIMIT 3"):
                    sql = f"SELECT id FROM item WHERE {column} {operator} ?{rest}"
                    for _ in range(3):
                        assert outcome(ours, sql, (value,)) == outcome(theirs, sql, (value,)), sql
    sql = "SELECT count(*) FROM item WHERE id BETWEEN ? AND ?"
    assert outcome(ours, sql, (-INFINITY, INFINITY)) == outcome(theirs, sql, (-INFINITY, INFINITY))
    sql = "DELETE FROM item WHERE id > ? RETURNING id"
    assert outcome(ours, sql, (-INFINITY,)) == outcome(theirs, sql, (-INFINITY,))


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO item VALUES ('x', 1, 1)",
        "UPDATE item SET id = 'x' WHERE id = 1",
        "SELECT 1 LIMIT 'x'",
        "SELECT 1 LIMIT 1 OFFSET 1.5",
        "SELECT zeroblob(3000000000)",
        "INSERT INTO item (id) VALUES (1)",
        "SELECT * FROM nope",
    ],
)
def test_errors_have_sqlite3s_classes_and_codes(sql: str) -> None:
    assert outcome(connected(kvsh), sql) == outcome(connected(sqlite3), sql)


CONDITIONAL = [
    "CREATE TABLE IF NOT EXISTS item(a)",
    "CREATE TABLE IF NOT EXISTS shown(a)",
    "CREATE INDEX IF NOT EXISTS by_n ON item(r)",
    "CREATE INDEX IF NOT EXISTS by_n ON nope(r)",
    "CREATE INDEX IF NOT EXISTS by_n ON shown(r)",
    "CREATE VIEW IF NOT EXISTS shown AS SELECT 2",
    "CREATE VIEW IF NOT EXISTS item AS SELECT 2",
    "CREATE TRIGGER IF NOT EXISTS fires AFTER INSERT ON item BEGIN SELECT 1; END",
    "CREATE TRIGGER IF NOT EXISTS fires AFTER INSERT ON nope BEGIN SELECT 1; END",
    "DROP TABLE IF EXISTS nope",
    "DROP TABLE IF EXISTS shown",
    "DROP TABLE IF EXISTS sqlite_master",
    "DROP VIEW IF EXISTS nope",
    "DROP VIEW IF EXISTS item",
    "DROP INDEX IF EXISTS nope",
    "DROP TRIGGER IF EXISTS nope",
    "DROP TABLE IF EXISTS other.nope",
]


@pytest.mark.parametrize("begins", [False, True])
def test_a_definition_with_nothing_to_do_waits_for_no_writer(begins: bool, tmp_path: Path) -> None:
    found = {}
    for module in (kvsh, sqlite3):
        path = tmp_path / f"{module.__name__}.db"
        writer: Any = module.connect(str(path), isolation_level=None)
        writer.execute("PRAGMA journal_mode = wal")
        writer.executescript(SCHEMA + "CREATE VIEW shown AS SELECT 1 AS one;")
        writer.execute("CREATE TRIGGER fires AFTER INSERT ON item BEGIN SELECT 1; END")
        writer.execute("BEGIN IMMEDIATE")
        for mode in ("rw", "ro"):
            uri = f"file:{path}?mode={mode}"
            other: Any = module.connect(uri, uri=True, timeout=0, isolation_level=None)
            if begins:
                other.execute("BEGIN")
            found[module, mode] = [outcome(other, sql) for sql in CONDITIONAL]
            error = outcome(other, "CREATE TABLE IF NOT EXISTS another(a)")
            assert error[1] == ("SQLITE_BUSY" if mode == "rw" else "SQLITE_READONLY")
            other.close()
        writer.close()
    for mode in ("rw", "ro"):
        ours, theirs = found[kvsh, mode], found[sqlite3, mode]
        assert dict(zip(CONDITIONAL, ours, strict=True)) == dict(
            zip(CONDITIONAL, theirs, strict=True)
        )


CHANGING = """
CREATE TABLE t(a, b, c);
CREATE TABLE log(x);
CREATE TABLE parent(id INTEGER PRIMARY KEY);
CREATE TABLE child(id REFERENCES parent(id));
CREATE VIEW v AS SELECT a AS x FROM t;
CREATE TRIGGER fires AFTER INSERT ON t BEGIN INSERT INTO log VALUES ('fires'); END;
CREATE INDEX by_b ON t(b);
PRAGMA foreign_keys = on;
"""
REPEATED = [
    "SELECT * FROM t",
    "SELECT a FROM t WHERE rowid = 1",
    "SELECT * FROM t WHERE b = 5",
    "SELECT * FROM v",
    "SELECT count(*) FROM log",
    "INSERT INTO t VALUES (1, 2, 3)",
    "INSERT INTO t(a) VALUES (2)",
    "UPDATE t SET b = 5 WHERE rowid = 1",
    "INSERT INTO child VALUES (1)",
    "DELETE FROM t WHERE a = 2",
    "DELETE FROM t",
]
CHANGES = [
    ["ALTER TABLE t RENAME TO u"],
    ["ALTER TABLE t RENAME COLUMN a TO z"],
    ["ALTER TABLE t ADD COLUMN d DEFAULT 9"],
    ["ALTER TABLE t DROP COLUMN c"],
    ["ALTER TABLE parent RENAME TO parents"],
    ["CREATE TRIGGER more AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.a); END"],
    ["DROP TRIGGER fires"],
    ["DROP VIEW v"],
    ["DROP VIEW v", "CREATE VIEW v AS SELECT 42 AS y"],
    ["CREATE UNIQUE INDEX by_a ON t(a)"],
    ["DROP INDEX by_b"],
    ["DROP TABLE t", "CREATE TABLE t(z, y)"],
    ["CREATE TEMP TABLE t(x)"],
    ["CREATE TEMP TRIGGER more AFTER INSERT ON t BEGIN INSERT INTO log VALUES ('temp'); END"],
]


@pytest.mark.parametrize("whose", ["own", "another's", "own, rolled back"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change[-1])
def test_a_repeated_statement_sees_that_the_schema_has_changed(
    change: list[str], whose: str, tmp_path: Path
) -> None:
    found = []
    for module in (kvsh, sqlite3):
        path = tmp_path / f"{module.__name__}.db"
        connection = opened(module, path)
        connection.executescript(CHANGING)
        for _ in range(3):  # the first time widens kinds of values, which is noticed, too
            for sql in REPEATED:
                connection.execute(sql) if "child" not in sql else outcome(connection, sql)
        seen = []
        for sql in REPEATED:  # each as the latest before the change
            connection.execute("INSERT INTO t VALUES (1, 5, 3)")
            outcome(connection, sql)
            other = connection
            if whose == "another's":
                other = opened(module, path)
            other.execute("BEGIN")
            for step in change:
                outcome(other, step)
            if whose == "own, rolled back":
                seen.append(outcome(connection, sql))
                connection.execute("ROLLBACK")
            else:
                other.execute("COMMIT")
            seen += [outcome(connection, sql), outcome(connection, "SELECT * FROM log")]
            if whose != "own, rolled back":
                break
        seen += [outcome(connection, sql) for sql in REPEATED]
        found.append(seen)
        connection.close()
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "sql", ["INSERT INTO item VALUES (?, ?, ?)", "INSERT OR IGNORE INTO item VALUES (?, ?, ?)"]
)
@pytest.mark.parametrize("bad", [("x", 1, 1.0), (1, 1, 1.0)])
def test_sets_before_one_that_fails_are_of_any_kind(sql: str, bad: Any, tmp_path: Path) -> None:
    found = []
    for module in (kvsh, sqlite3):
        connection = opened(module, tmp_path / module.__name__)
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO item VALUES (1, 1, 1.0)")
        update = "UPDATE item SET n = n + 1 WHERE id >= ?"
        connection.execute(update, (0,))
        sets = [(2, "text", 2.0), (3, 2.5, None), bad, (4, "4x", 4.0)]
        with pytest.raises(module.Error) if "IGNORE" not in sql or bad[0] == "x" else nullcontext():
            connection.executemany(sql, sets)
        connection.execute(update, (0,))
        found.append(outcome(connection, "SELECT * FROM item"))
        connection.close()
    assert found[0] == found[1]


def test_a_query_that_was_made_for_few_rows_may_find_many() -> None:
    found = []
    for module in (kvsh, sqlite3):
        connection: Any = module.connect(":memory:", isolation_level=None)
        connection.executescript(SCHEMA)
        rows = [(i, i if i < 1000 else i % 2, i) for i in range(1, 20_000)]
        connection.executemany("INSERT INTO item VALUES (?, ?, ?)", rows)
        seen = []
        for sql in ("SELECT * FROM item WHERE n = ? ORDER BY id", "SELECT * FROM item WHERE n = ?"):
            seen += [outcome(connection, sql, (n,)) for n in (7, 8, 9, "1", 1, 1.0, 0, 7, b"")]
        found.append(seen)
    assert found[0] == found[1]


@pytest.mark.parametrize("temporary", ["", "TEMP "])
@pytest.mark.parametrize("sql", ["UPDATE t SET b = ? WHERE a = 7", "DELETE FROM t WHERE b = ?"])
@pytest.mark.parametrize("size", [10, 5000])
def test_a_change_goes_on_after_a_rollback_of_what_dropped_its_table(
    sql: str, temporary: str, size: int, tmp_path: Path
) -> None:
    found = []
    for module in (kvsh, sqlite3):
        connection = opened(module, tmp_path / module.__name__)
        connection.execute(f"CREATE {temporary}TABLE t(a, b)")
        connection.executemany("INSERT INTO t VALUES (?, 1)", [(i,) for i in range(size)])
        connection.execute("BEGIN")
        connection.execute(sql, (2,))
        connection.execute("DROP TABLE t")
        connection.execute("ROLLBACK")
        connection.execute(sql, (2.5,))
        connection.execute(sql, ("text",))
        found.append(outcome(connection, "SELECT * FROM t"))
        connection.close()
    assert found[0] == found[1]


def test_savepoints_that_were_set_before_anything_was_read_go_back_beside_temporary_tables() -> (
    None
):
    found = []
    for module in (kvsh, sqlite3):
        connection: Any = connected(module)
        seen = []
        for sql in (
            "CREATE TEMP TABLE own(a)",
            "SAVEPOINT outer",
            "SELECT count(*) FROM item",
            "SAVEPOINT inner",
            "INSERT INTO own VALUES (1)",
            "DELETE FROM item WHERE id > 0",
            "ROLLBACK TO inner",
            "SELECT count(*) FROM item",
            "INSERT INTO own VALUES (2)",
            "ROLLBACK TO outer",
            "SELECT count(*) FROM own",
            "RELEASE outer",
            "SELECT count(*) FROM item",
        ):
            seen.append(outcome(connection, sql))
        found.append(seen)
    assert found[0] == found[1]


WRITES = [
    "INSERT INTO item VALUES (?, ?, ?)",
    "INSERT INTO nope VALUES (?)",
    "INSERT INTO item (nope) VALUES (?)",
    "INSERT INTO item VALUES (?)",
    "INSERT INTO item VALUES (?,",
    "INSERT INTO item VALUES (?, ?, ?) RETURNING id",
    "INSERT INTO item SELECT *, ? FROM nope",
    "UPDATE item SET n = ? WHERE id = ?",
    "UPDATE item SET nope = ?",
    "DELETE FROM nope WHERE id = ?",
    "REPLACE INTO item VALUES (?, 1, 1); SELECT 1",
]


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("sql", WRITES)
def test_a_statement_that_can_not_be_prepared_begins_no_transaction(sql: str, many: bool) -> None:
    found = []
    for module in (kvsh, sqlite3):
        connection: Any = module.connect(":memory:")
        connection.executescript(SCHEMA)
        seen: list[Any] = []
        try:
            if many:
                seen.append(connection.executemany(sql, []).rowcount)
            else:
                seen.append(connection.execute(sql, (1,) * sql.count("?")).fetchall())
        except module.Error as error:
            seen.append((type(error).__name__, str(error)))
        seen.append(connection.in_transaction)
        connection.execute("INSERT INTO item VALUES (7, 7, 7)")
        outcome(connection, "INSERT INTO nope VALUES (1)")
        seen.append(connection.in_transaction)  # what was done before is still to be committed
        found.append(seen)
    assert found[0] == found[1]


def test_rows_are_fetched_in_any_number_and_by_one_thread() -> None:
    found = []
    for module in (kvsh, sqlite3):
        cursor = connected(module).execute("SELECT id FROM item WHERE id BETWEEN 1 AND 9")
        seen: list[Any] = [cursor.fetchmany(2), cursor.fetchmany(-1)]
        for size in ("x", 1.5):
            with pytest.raises(TypeError):
                cursor.fetchmany(size)
        cursor.execute("SELECT id FROM item WHERE id BETWEEN 1 AND 9")

        def fetch(rows: Any = cursor, seen: list[Any] = seen) -> None:
            try:
                seen.append(next(row for row in rows))
            except Exception as error:
                seen.append(type(error).__name__)

        thread = threading.Thread(target=fetch)
        thread.start()
        thread.join()
        found.append(seen)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (?)",
        "WITH q AS (SELECT ? AS x) INSERT INTO t SELECT x FROM q",
        "WITH q AS (SELECT ? AS x) SELECT x FROM q",
        "CREATE TABLE IF NOT EXISTS u (a, b DEFAULT 5)",
        "CREATE TABLE u (a)",
        "DROP TABLE IF EXISTS nope",
        "ALTER TABLE t RENAME TO t",
        "SELECT ?",
        "VALUES (?)",
        "BEGIN",
        "PRAGMA user_version",
        "EXPLAIN SELECT ?",
    ],
)
def test_executemany_runs_what_writes(sql: str) -> None:
    seen = []
    for module in (kvsh, sqlite3):
        connection: Any = module.connect(":memory:")
        connection.execute("CREATE TABLE t (a)")
        result: Any
        try:
            cursor = connection.executemany(sql, [(1,), (2,)] if "?" in sql else [(), ()])
            result = cursor.rowcount, cursor.lastrowid, cursor.fetchall()
        except (sqlite3.Error, kvsh.Error) as error:
            result = type(error).__name__, str(error)
        names = connection.execute("SELECT name FROM sqlite_master").fetchall()
        rows = connection.execute(f"SELECT * FROM {names[0][0]}").fetchall()
        seen.append((result, connection.in_transaction, names, rows))
        connection.close()
    assert seen[0] == seen[1]


def test_hints_and_quoted_types_choose_converters() -> None:
    seen = []
    for module in (kvsh, sqlite3):
        module.register_converter("hinted", lambda data: ("converted", data))
        both = module.PARSE_DECLTYPES | module.PARSE_COLNAMES
        connection: Any = module.connect(":memory:", detect_types=both)
        connection.execute(
            "CREATE TABLE t (a \"hinted x\", b 'hinted(3)', c [hinted], d `x hinted`, e hinted (2))"
        )
        connection.execute("INSERT INTO t VALUES (1, 2, 3, 4, 5)")
        rows = connection.execute("SELECT * FROM t").fetchall()
        types = connection.execute("PRAGMA table_info(t)").fetchall()
        names = ("x [hinted]", "x[hinted]", "x  [hinted]", "x [a] [hinted]", "[hinted] x", "x [y")
        listed = ", ".join(f'1 AS "{name}"' for name in names)
        cursor = connection.execute(f"SELECT {listed}")
        seen.append((rows, types, [entry[0] for entry in cursor.description], cursor.fetchall()))
        connection.close()
        with pytest.raises(TypeError, match="must be str"):
            module.register_converter(5, int)
    del kvsh.converters["HINTED"], sqlite3.converters["HINTED"]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("order", [None, "x", 1.5, 0])
def test_a_collation_that_gives_no_integer_finds_all_texts_equal(order: Any) -> None:
    for module in (kvsh, sqlite3):
        connection = connected(module)
        connection.create_collation("odd", lambda left, right: order)
        for query, expected in (
            ("SELECT 'a' < 'b' COLLATE odd, 'a' = 'b' COLLATE odd", [(0, 1)]),
            (
                "SELECT count(DISTINCT g) FROM (SELECT 'a' COLLATE odd AS g UNION ALL SELECT 'b')",
                [(1,)],
            ),
        ):
            assert connection.execute(query).fetchall() == expected
        connection.close()


def test_what_belongs_to_a_connection_is_not_copied() -> None:
    for module in (kvsh, sqlite3):
        connection: Any = module.connect(":memory:")
        connection.row_factory = module.Row
        row = connection.execute("SELECT 1 AS a").fetchone()
        for what in (connection, connection.cursor(), row):
            for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="cannot pickle"):
                    attempt(what)
        connection.close()
