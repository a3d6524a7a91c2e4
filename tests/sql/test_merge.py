"""Rows that meet others in their way, many at once and one by one, held to sqlite3 (`sql/dml/merge.py`)."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import kvsh
from sql.dml.apart import Apart
from sql.dml.merge import Merge
from tests.sql.engines import open_both

TABLES = {
    "rowid": "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT, c REAL)",
    "bare": "CREATE TABLE t (id INTEGER UNIQUE, a, b TEXT, c REAL)",
    "text": "CREATE TABLE t (id TEXT PRIMARY KEY COLLATE NOCASE, a INTEGER, b TEXT, c REAL)",
    "without": "CREATE TABLE t (id, a INTEGER, b TEXT, c REAL, PRIMARY KEY (id)) WITHOUT ROWID",
    "unique": "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT NOT NULL, c REAL)",
    "two": "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c REAL, UNIQUE (a, b), UNIQUE (c))",
    "check": "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER CHECK (a < 60), b TEXT, c REAL)",
    "own": "CREATE TABLE t (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, a INTEGER UNIQUE ON CONFLICT IGNORE, b, c)",
    "strict": "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT NOT NULL DEFAULT 'd', c REAL) STRICT",
}
INDEXES = [
    "CREATE INDEX t_c ON t (c)",
    "CREATE INDEX t_b ON t (b, a)",
    "CREATE INDEX t_part ON t (a) WHERE c > 20",
    "CREATE INDEX t_low ON t (lower(b))",
]
FORMS = [
    "INSERT OR REPLACE INTO t VALUES (?, ?, ?, ?)",
    "INSERT OR IGNORE INTO t VALUES (?, ?, ?, ?)",
    "INSERT INTO t VALUES (?, ?, ?, ?)",
    "INSERT INTO t VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    "INSERT INTO t VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    "INSERT INTO t VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET c = excluded.c",
    "INSERT INTO t VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET c = coalesce(c, 0) + 1, b = excluded.b || 'x'",
    "INSERT INTO t VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET c = excluded.a WHERE excluded.a > t.a",
    "INSERT INTO t VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET a = excluded.a, b = NULL",
    "INSERT INTO t VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET id = excluded.id + 1",
    "INSERT INTO t VALUES (?, ?, ?, ?) ON CONFLICT (a) DO UPDATE SET c = excluded.c, b = lower(b)",
    "INSERT INTO t VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET b = 'first' ON CONFLICT DO NOTHING",
    "INSERT OR REPLACE INTO t VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET c = 7",
]


def outcome(con: Any, run: Any) -> Any:
    try:
        result = run(con)
    except (kvsh.Error, sqlite3.Error) as error:
        result = f"{type(error).__name__}: {error}"
    counters = con.execute("SELECT total_changes(), last_insert_rowid()").fetchall()
    return result, counters


def table(con: Any, *, rowids: bool) -> list[Any]:
    columns = "rowid, *" if rowids else "*"
    found = con.execute(f"SELECT {columns} FROM t ORDER BY id, a, b, c").fetchall()
    return [tuple(map(repr, row)) for row in found]


def some_rows(numbers: random.Random, kind: str, count: int, largest: int) -> list[tuple[Any, ...]]:
    def key() -> Any:
        number = numbers.randrange(largest)
        if kind == "text":
            return numbers.choice([f"k{number}", f"K{number}", f"k{number}"])
        if kind == "without":
            return numbers.choice([number, f"k{number}", float(number), number, None])
        return numbers.choice([number, number, number, None])

    return [
        (
            key(),
            numbers.choice([numbers.randrange(64), numbers.randrange(64), None]),
            numbers.choice(["x", "Y", "zz", "w", "v"]),
            numbers.choice([float(numbers.randrange(50)), None, 2.5]),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_conflicts_end_as_in_sqlite(kind: str, seed: int, tmp_path: Path) -> None:
    numbers = random.Random(f"{kind} {seed}")
    schema = [TABLES[kind], *numbers.sample(INDEXES, 2), "CREATE TABLE s (id, a, b, c)"]
    ours, oracle = open_both(tmp_path, schema)
    rowids = "WITHOUT" not in TABLES[kind]
    for _ in range(40):
        form = numbers.choice(FORMS)
        rows = some_rows(
            numbers, kind, numbers.choice([1, 3, 9, 30, 60]), numbers.choice([30, 400])
        )
        way = numbers.choice(["many", "each", "values", "query"])

        def run(con: Any, form: str = form, rows: Any = rows, way: str = way) -> Any:
            if way == "many":
                con.execute("BEGIN")
                try:
                    return con.executemany(form, rows).rowcount
                finally:
                    con.execute("COMMIT")
            if way == "each":
                con.execute("BEGIN")
                found = []
                for row in rows:
                    try:
                        found.append(con.execute(form, row).rowcount)
                    except (kvsh.Error, sqlite3.Error) as error:
                        found.append(str(error))
                con.execute("COMMIT")
                return found
            if way == "values":
                more = ", ".join(["(?, ?, ?, ?)"] * len(rows))
                text = form.replace("(?, ?, ?, ?)", more)
                return con.execute(
                    f"{text} RETURNING id, a, b, c", [v for row in rows for v in row]
                ).fetchall()
            con.execute("DELETE FROM s")
            con.executemany("INSERT INTO s VALUES (?, ?, ?, ?)", rows)
            text = form.replace("VALUES (?, ?, ?, ?)", "SELECT * FROM s WHERE true")
            return con.execute(text).rowcount

        assert outcome(ours, run) == outcome(oracle, run), (form, way, rows)
        assert table(ours, rowids=rowids) == table(oracle, rowids=rowids), (form, way, rows)
    assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ours.close()
    again = kvsh.connect(str(tmp_path / "t.db"))
    assert table(again, rowids=rowids) == table(oracle, rowids=rowids)
    assert again.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("rowid", "INSERT INTO t VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET c = t.c + 1"),
        ("unique", "INSERT OR REPLACE INTO t VALUES (?, ?, ?, ?)"),
        ("text", "INSERT INTO t VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET c = 5"),
        ("without", "INSERT INTO t VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET c = 5"),
    ],
)
def test_conflicts_of_many_rows_are_decided_in_memory(
    kind: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided: list[bool] = []
    run = Merge.run

    def watched(self: Merge, *args: Any) -> Any:
        loaded = run(self, *args)
        decided.append(loaded is not None)
        return loaded

    monkeypatch.setattr(Merge, "run", watched)
    ours, oracle = open_both(tmp_path, [TABLES[kind]])
    rows = [(number % 70, number % 50, "x", 1.0) for number in range(500)]
    for con in (ours, oracle):
        con.executemany(form, rows)
    assert table(ours, rowids=False) == table(oracle, rowids=False)
    assert decided and all(decided)


@pytest.mark.parametrize("kind", ["rowid", "bare", "text", "without", "unique", "strict"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_rows_that_are_in_nobody_else_s_way_are_written_by_column(
    kind: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = random.Random(f"{kind} {seed}")
    monkeypatch.setattr("sql.dml.apart._MET_MIN", numbers.choice([1, 100]))
    monkeypatch.setattr("sql.dml.apart._MET_SHARE", 10_000)
    done: list[bool] = []
    run = Apart.run

    def watched(self: Apart, *args: Any, **named: Any) -> Any:
        loaded = run(self, *args, **named)
        done.append(loaded is not None)
        return loaded

    monkeypatch.setattr(Apart, "run", watched)
    schema = [TABLES[kind], *numbers.sample(INDEXES, 2), "CREATE TABLE s (id, a, b, c)"]
    ours, oracle = open_both(tmp_path, schema)
    rowids = "WITHOUT" not in TABLES[kind]

    def key(number: int) -> Any:
        if kind == "text":
            return numbers.choice(["k", "K"]) + str(number)
        return number if kind != "without" else f"k{number:05}"

    def drawn(low: int, high: int, count: int) -> list[tuple[Any, ...]]:
        return [
            (key(n), numbers.choice([n, None, n]), numbers.choice("xyz"), n + numbers.random())
            for n in numbers.sample(range(low, high), count)
        ]

    first = drawn(0, 3000, 2500)
    for con in (ours, oracle):
        con.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", first)
    clashing = [(key(1), 1, "x", 1.0), (key(1), 2, "x", 2.0), (key(4001), 3, "x", 3.0)]
    for number, form in enumerate([FORMS[0], *FORMS[5:7], *FORMS[8:10], *FORMS[11:], FORMS[0]]):
        rows = drawn(number * 1000, number * 1000 + 2000, numbers.choice([300, 1900]))
        if numbers.random() < 0.2:
            rows += clashing
        if kind == "rowid" and numbers.random() < 0.3:
            rows.append((None, None, "new", None))

        def write(con: Any, form: str = form, rows: Any = rows) -> Any:
            con.execute("DELETE FROM s")
            con.executemany("INSERT INTO s VALUES (?, ?, ?, ?)", rows)
            text = form.replace("VALUES (?, ?, ?, ?)", "SELECT * FROM s WHERE true")
            return con.execute(text).rowcount

        assert outcome(ours, write) == outcome(oracle, write), form
        assert table(ours, rowids=rowids) == table(oracle, rowids=rowids), form
    assert any(done)
    assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ours.close()
    again = kvsh.connect(str(tmp_path / "t.db"))
    assert table(again, rowids=rowids) == table(oracle, rowids=rowids)


def test_a_program_s_function_in_an_upsert_is_called_once_for_each_row(tmp_path: Path) -> None:
    values = ", ".join(["(?, ?, ?, ?)"] * 30)
    form = f"INSERT INTO t VALUES {values} ON CONFLICT (id) DO UPDATE SET b = seen(excluded.b)"
    calls: dict[Any, list[Any]] = {}
    ours, oracle = open_both(tmp_path, [TABLES["unique"]])
    rows = [(number % 7, number, str(number), 0) for number in range(30)]
    for con in (ours, oracle):
        found = calls[con] = []
        con.create_function(
            "seen",
            1,
            lambda value, found=found: found.append(value) or (None if value == "20" else value),
        )
        with pytest.raises((kvsh.IntegrityError, sqlite3.IntegrityError)):
            con.execute(form, [value for row in rows for value in row])
    assert calls[ours] == calls[oracle]


def test_parameters_behind_the_rows_are_not_theirs(tmp_path: Path) -> None:
    """VALUES of nothing but parameters took all that were bound: those of DO UPDATE became more rows, or
    did not fit; and `executemany` gave all rows the last set's."""
    ours, oracle = open_both(tmp_path, ["CREATE TABLE t (a UNIQUE)"])
    change = "ON CONFLICT (a) DO UPDATE SET a = a || ?"
    for con in (ours, oracle):
        con.executemany(
            f"INSERT INTO t VALUES (?) {change}", [(n % 12, f"x{n}") for n in range(24)]
        )
        con.execute(f"INSERT INTO t VALUES (?), (?) {change} WHERE a <> ?", (40, 40, "y", "z"))
        con.execute(f"INSERT INTO t VALUES (?) {change}", (41, "y"))
        con.execute("INSERT INTO t VALUES (42) ON CONFLICT (a) DO UPDATE SET a = 7")
        con.execute("INSERT INTO t VALUES (42) ON CONFLICT (a) DO UPDATE SET a = 8")
        assert con.execute("INSERT INTO t VALUES (?) RETURNING a, ?", (50, "r")).fetchall() == [
            (50, "r")
        ]
    rows = "SELECT a FROM t ORDER BY rowid"
    assert ours.execute(rows).fetchall() == oracle.execute(rows).fetchall()
