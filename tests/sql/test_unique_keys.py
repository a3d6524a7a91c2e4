"""UPDATE and DELETE of the row that a unique key names, one by one and many at once, held to sqlite3."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import kvsh
from btree.rewrite import Rewrite
from tests.btree.fake_pages import counted_puts
from tests.sql.engines import open_both

TABLES = {
    "text": "CREATE TABLE t (k TEXT PRIMARY KEY, a INTEGER, b TEXT, c REAL)",
    "nocase": "CREATE TABLE t (k TEXT COLLATE NOCASE UNIQUE, a INTEGER, b TEXT, c REAL)",
    "number": "CREATE TABLE t (k INTEGER UNIQUE, a INTEGER, b TEXT, c REAL NOT NULL)",
    "real": "CREATE TABLE t (k REAL PRIMARY KEY, a INTEGER, b TEXT, c REAL)",
    "any": "CREATE TABLE t (k, a INTEGER, b TEXT, c REAL, UNIQUE (k))",
    "rowid": "CREATE TABLE t (k INTEGER PRIMARY KEY, a INTEGER, b TEXT, c REAL)",
    "without": "CREATE TABLE t (k TEXT PRIMARY KEY, a INTEGER, b TEXT, c REAL) WITHOUT ROWID",
    "second": "CREATE TABLE t (k TEXT, a INTEGER, b TEXT UNIQUE, c REAL, PRIMARY KEY (k DESC)) WITHOUT ROWID",
}
INDEXES = [
    "CREATE INDEX t_c ON t (c)",
    "CREATE INDEX t_b ON t (b COLLATE NOCASE, a)",
    "CREATE UNIQUE INDEX t_a ON t (a, c)",
    "CREATE INDEX t_part ON t (a) WHERE c > 20",
]
STATEMENTS = [
    ("UPDATE t SET c = ? WHERE k = ?", "ck"),
    ("UPDATE t SET a = a + ?, b = lower(b) WHERE ? = k", "ak"),
    ("UPDATE t AS u SET b = u.k || ?, a = ? WHERE u.k = ?", "bak"),
    ("UPDATE t SET k = ? WHERE k = ?", "kk"),
    ("UPDATE t SET c = NULL WHERE k = ?", "k"),
    ("UPDATE t SET b = ? WHERE k = ? COLLATE BINARY", "bk"),
    ("UPDATE t SET b = ? WHERE k = ? AND a > 20", "bk"),
    ("UPDATE t SET b = ? WHERE k = ? AND k = ?", "bkk"),
    ("UPDATE t SET c = ? WHERE b = ?", "cb"),
    ("UPDATE t SET b = ? WHERE a = ? AND c = ?", "bac"),
    ("UPDATE t SET c = c + 1 WHERE c = ? AND a = ?", "ca"),
    ("DELETE FROM t WHERE k = ?", "k"),
    ("DELETE FROM t WHERE a = ? AND c = ?", "ac"),
    ("INSERT INTO t VALUES (?, ?, ?, ?)", "kabc"),
]


def a_key(numbers: random.Random, kind: str) -> Any:
    number = numbers.randrange(80)
    usual = number if kind in ("number", "real", "rowid", "any") else f"k{number}"
    others = [f"K{number}", str(number), float(number), f"k{number}".encode(), None, number]
    return numbers.choice([usual] * 12 + others)


def a_set(numbers: random.Random, kind: str, form: str) -> tuple[Any, ...]:
    makers = {
        "k": lambda: a_key(numbers, kind),
        "a": lambda: numbers.choice([numbers.randrange(40), numbers.randrange(40), None, "7"]),
        "b": lambda: numbers.choice(["x", "Y", f"b{numbers.randrange(60)}", None, 5]),
        "c": lambda: numbers.choice([float(numbers.randrange(40)), numbers.randrange(40), None]),
    }
    return tuple([makers[letter]() for letter in form])


def outcome(con: Any, run: Any) -> Any:
    try:
        result = run(con)
    except (kvsh.Error, sqlite3.Error) as error:
        result = f"{type(error).__name__}: {error}"
    return result, con.execute("SELECT total_changes()").fetchall()


def table(con: Any) -> list[Any]:
    found = con.execute("SELECT * FROM t ORDER BY k, a, b, c").fetchall()
    return [tuple(map(repr, row)) for row in found]


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rows_named_by_a_unique_key(kind: str, seed: int, tmp_path: Path) -> None:
    numbers = random.Random(f"{kind} {seed}")
    ours, oracle = open_both(tmp_path, [TABLES[kind], *numbers.sample(INDEXES, 2)])
    filling = [a_set(numbers, kind, "kabc") for _ in range(100)]
    if kind == "rowid":
        filling = [values for values in filling if isinstance(values[0], int)]
    for con in (ours, oracle):
        con.executemany("INSERT OR IGNORE INTO t VALUES (?, ?, ?, ?)", filling)
    for _ in range(60):
        statement, form = numbers.choice(STATEMENTS)
        sets = [a_set(numbers, kind, form) for _ in range(numbers.choice([1, 4, 40]))]
        way = numbers.choice(["many", "each", "alone"])

        def run(con: Any, statement: str = statement, sets: Any = sets, way: str = way) -> Any:
            if way == "alone":
                return con.execute(statement, sets[0]).rowcount
            con.execute("BEGIN")
            try:
                if way == "many":
                    return con.executemany(statement, sets).rowcount
                found = []
                for values in sets:
                    try:
                        found.append(con.execute(statement, values).rowcount)
                    except (kvsh.Error, sqlite3.Error) as error:
                        found.append(str(error))
                return found
            finally:
                con.execute("COMMIT")

        assert outcome(ours, run) == outcome(oracle, run), (statement, way, sets)
        assert table(ours) == table(oracle), (statement, way, sets)
    assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ours.close()
    again = kvsh.connect(str(tmp_path / "t.db"))
    assert table(again) == table(oracle)
    assert again.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("kind", ["text", "rowid", "without", "number"])
@pytest.mark.parametrize("indexed", [False, True])
def test_many_rows_of_a_large_table(
    kind: str, indexed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaves are read from the file, and many of them hold rows that are meant; others of the keys are of no row."""
    written = counted_puts(monkeypatch, Rewrite)
    numbers = random.Random(f"{kind} {indexed}")
    ours, oracle = open_both(tmp_path, [TABLES[kind], *INDEXES[: 2 * indexed]])
    as_text = kind in ("text", "without")
    key = (lambda number: f"k{number:06}") if as_text else int
    rows = [(key(number), number, f"b{number % 900}", number / 7) for number in range(0, 40000, 2)]
    for con in (ours, oracle):
        con.execute("BEGIN")
        con.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
        con.execute("COMMIT")
    ours.close()
    ours = kvsh.connect(str(tmp_path / "t.db"), isolation_level=None)
    for statement, form in [
        ("UPDATE t SET a = ? WHERE k = ?", "nk"),
        ("UPDATE t SET b = b || ?, c = c + a WHERE k = ?", "nk"),
        ("DELETE FROM t WHERE k = ?", "k"),
        ("UPDATE t SET c = ?, b = ? WHERE k = ?", "nnk"),
    ]:
        drawn = [numbers.randrange(44000) for _ in range(4000)]
        sets = [tuple([key(n) if letter == "k" else n for letter in form]) for n in drawn]
        for con in (ours, oracle):
            con.execute("BEGIN")
        changed = [con.executemany(statement, sets).rowcount for con in (ours, oracle)]
        assert changed[0] == changed[1] > 0
        assert any(written)
        written.clear()
        for con in (ours, oracle):
            con.execute("COMMIT")
        assert table(ours) == table(oracle)
        assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ours.close()
    again = kvsh.connect(str(tmp_path / "t.db"))
    assert table(again) == table(oracle)
