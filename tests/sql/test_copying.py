"""Whole rows of a large table copied by INSERT ... SELECT and CREATE TABLE AS, held to sqlite3."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import kvsh
from sql.dml import copying

ROWS = 3000
TABLES = {
    "alias": "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c REAL)",
    "bare": "CREATE TABLE t (id INTEGER, a INTEGER, b TEXT, c REAL)",
    "without": "CREATE TABLE t (id INTEGER, a INTEGER, b TEXT, c REAL, PRIMARY KEY (b, id)) WITHOUT ROWID",
    "anything": "CREATE TABLE t (id, a, b, c)",
}
STATEMENTS = [
    "INSERT INTO u SELECT * FROM t WHERE a < 100",
    "INSERT INTO u SELECT id, a, b, c FROM t WHERE b LIKE 'row 1%' AND a % 3 = 1",
    "INSERT INTO u (c, b, a, id) SELECT c, upper(b), -a, id + 10000 FROM t AS x WHERE x.id > 1000",
    "INSERT INTO u SELECT * FROM t",
    "INSERT INTO u SELECT * FROM t WHERE a = 5 OR c IS NULL ORDER BY c, id LIMIT 20",
    "INSERT INTO u SELECT max(id), a, b, c FROM t GROUP BY a",
    "INSERT INTO u SELECT DISTINCT 1, a, NULL, c > id FROM t WHERE b IS NOT NULL",
    "INSERT INTO u SELECT id, a, b, c FROM t WHERE id IN (SELECT a FROM t WHERE c > 900)",
    "INSERT INTO u SELECT id, (SELECT count(*) FROM u), b, c + a FROM t WHERE a < 50",
    "INSERT INTO t SELECT id + 100000, a + 1, b || id, c FROM t WHERE a < 300",
    "CREATE TABLE v AS SELECT * FROM t WHERE a > 700",
    "CREATE TABLE v AS SELECT id AS k, a, b, c, c * 2 AS d, 'x' FROM t",
    "CREATE TABLE v AS SELECT * FROM t WHERE id BETWEEN 1000 AND 1100 AND a <> 3",
]


def open_both(path: Path, kind: str) -> tuple[Any, Any]:
    numbers = random.Random(kind)
    odd = [None, 2**40, "text", b"blob", 1.5] if kind == "anything" else [None, 2**40]
    rows = [
        (
            number,
            numbers.choice([*odd, *range(990)]),
            f"row {numbers.randrange(ROWS)} {'x' * numbers.choice([0, 0, 5, 3000 * (number % 500 == 0)])}",
            numbers.choice([None, number / 7, 5.0, 1e300]),
        )
        for number in range(1, ROWS + 1)
    ]
    ours = kvsh.connect(str(path / "t.db"), isolation_level=None)
    oracle = sqlite3.connect(":memory:", isolation_level=None)
    for con in (ours, oracle):
        con.execute(TABLES[kind])
        con.execute("CREATE TABLE u (id INTEGER, a INTEGER, b TEXT, c REAL)")
        con.execute("BEGIN")
        con.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
        con.execute("COMMIT")
        con.execute("DELETE FROM t WHERE id % 7 = 3 AND id < 2000")
    ours.close()
    return kvsh.connect(str(path / "t.db"), isolation_level=None), oracle


def contents(con: Any, table: str) -> list[Any]:
    try:
        found = con.execute(f"SELECT rowid, * FROM {table} ORDER BY 1").fetchall()
    except (kvsh.Error, sqlite3.Error):
        found = con.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4").fetchall()
    return [tuple(map(repr, row)) for row in found]


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("statement", STATEMENTS)
def test_what_is_copied(kind: str, statement: str, tmp_path: Path) -> None:
    ours, oracle = open_both(tmp_path, kind)
    written = "v" if statement.startswith("CREATE") else statement.split()[2]
    for change in (None, "UPDATE t SET c = c + 1, a = a - 1 WHERE id % 400 = 1"):
        for con in (ours, oracle):
            con.execute("BEGIN")
            if change is not None:  # leaves with changes in memory
                con.execute(change)
        results = []
        for con in (ours, oracle):
            try:
                results.append(con.execute(statement).rowcount)
            except (kvsh.Error, sqlite3.Error) as error:
                results.append(str(error))
        assert results[0] == results[1]
        for con in (ours, oracle):
            con.execute("COMMIT")
        if "CREATE" not in statement or isinstance(results[0], int):
            assert contents(ours, written) == contents(oracle, written)
        for con in (ours, oracle):
            con.execute("DROP TABLE IF EXISTS v")
    assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ours.close()


def test_whole_rows_are_read_from_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    batches = copying._read

    def watched(*args: Any) -> Any:
        read.append(1)
        return batches(*args)

    monkeypatch.setattr(copying, "_read", watched)
    ours, oracle = open_both(tmp_path, "alias")
    for con in (ours, oracle):
        con.execute("CREATE TABLE log (n)")
        con.execute(
            "CREATE TRIGGER g AFTER INSERT ON u BEGIN"
            " INSERT INTO log VALUES (new.id); UPDATE t SET a = 0 WHERE id = new.id + 1; END"
        )
        con.execute("INSERT INTO u SELECT * FROM t WHERE a BETWEEN ? AND ?", (50, 60))
    assert read == [1]
    for table in ("t", "u", "log"):
        assert contents(ours, table) == contents(oracle, table)


def test_a_table_made_of_a_query_is_what_sqlite_makes(tmp_path: Path) -> None:
    ours, oracle = open_both(tmp_path, "anything")
    statements = [
        "CREATE TABLE many AS WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " SELECT i, i / 3.0 AS r, CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN i ELSE 't' || i END AS m FROM n",
        "CREATE TABLE wide AS SELECT i, printf('%.*c', 1 + 30000 * (i % 500 = 0), 'x') AS t FROM many",
        "CREATE TABLE joined AS SELECT a.i, b.m, b.r FROM many AS a JOIN many AS b ON b.i = a.i * 2",
        "CREATE TABLE cast_ AS SELECT m, CAST(m AS INTEGER) AS c FROM many WHERE i % 2",
        "CREATE TABLE none AS SELECT * FROM many WHERE i < 0",
        "CREATE TEMP TABLE passing AS SELECT * FROM many WHERE i > 5",
    ]
    names = ["many", "wide", "joined", "cast_", "none", "passing"]
    for name, statement in zip(names, statements, strict=True):
        for con in (ours, oracle):
            con.execute(statement)
        assert contents(ours, name) == contents(oracle, name)
    for con in (ours, oracle):
        con.execute("BEGIN")
        con.execute("CREATE TABLE kept AS SELECT * FROM many")
        with pytest.raises((kvsh.Error, sqlite3.Error), match="overflow"):
            con.execute(
                "CREATE TABLE gone AS SELECT abs(CASE i WHEN 19000 THEN -9223372036854775808"
                " ELSE i END) AS v FROM many"
            )
        con.execute("DELETE FROM kept WHERE i > 3 AND i % 3")
        con.execute("COMMIT")
        with pytest.raises((kvsh.Error, sqlite3.Error), match="no such table"):
            con.execute("SELECT * FROM gone")
    assert contents(ours, "kept") == contents(oracle, "kept")
    assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ours.close()


FILLED = [
    "CREATE TABLE u (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c REAL)",
    "CREATE TABLE u (id INTEGER, a TEXT, b, c INTEGER)",
    "CREATE TABLE u (id INTEGER, a INTEGER, b TEXT, c REAL NOT NULL)",
    "CREATE TABLE u (id INTEGER, a INTEGER PRIMARY KEY, b TEXT, c REAL)",
    "CREATE TABLE u (id INTEGER NOT NULL, a INTEGER, b TEXT, c REAL) STRICT",
    "CREATE TABLE u (id INTEGER PRIMARY KEY AUTOINCREMENT, a INTEGER, b TEXT, c REAL)",
    "CREATE TABLE u (id INTEGER, a INTEGER CHECK (a < 500), b TEXT, c REAL)",
]


@pytest.mark.parametrize("kind", ["alias", "bare", "anything"])
@pytest.mark.parametrize("definition", FILLED)
@pytest.mark.parametrize("words", ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"])
def test_a_table_without_rows_is_filled(
    definition: str, kind: str, words: str, tmp_path: Path
) -> None:
    ours, oracle = open_both(tmp_path, kind)
    for con in (ours, oracle):
        con.execute("DROP TABLE u")
        con.execute(definition)
        con.execute("CREATE TABLE first (n)")
        con.execute("INSERT INTO first VALUES (1)")  # both begin with the same last rowid
    for select in ("SELECT * FROM t WHERE a < ?", "SELECT id + 5000, a, b, c FROM t WHERE a > ?"):
        outcomes = []
        for con in (ours, oracle):
            try:
                cursor = con.execute(f"{words} INTO u {select}", (900,))
                outcomes.append((cursor.rowcount, cursor.lastrowid))
                con.execute(f"{words} INTO u (b) VALUES ('next')")
            except (kvsh.Error, sqlite3.Error) as error:
                outcomes.append(str(error).removeprefix("kvsh: "))
            for sql in ("SELECT changes(), last_insert_rowid()",):
                outcomes.append(con.execute(sql).fetchall())
        assert outcomes[: len(outcomes) // 2] == outcomes[len(outcomes) // 2 :]
        assert contents(ours, "u") == contents(oracle, "u")
        for con in (ours, oracle):
            con.execute("DELETE FROM u")
    assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ours.close()
