"""ADD COLUMN and DROP COLUMN of tables with rows, in files and in memory, against sqlite3."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random
from typing import Any

import pytest

import kvsh

ROWS = 1500
DEFAULTS = (
    "",
    "INTEGER",
    "TEXT NOT NULL DEFAULT 'none'",
    "REAL DEFAULT 4",
    "INTEGER DEFAULT '12'",
    "BLOB DEFAULT x'00ff'",
    "DEFAULT -5",
    "INT DEFAULT 9223372036854775807",
    "INT DEFAULT 3 CHECK ({0} < 10)",
    "TEXT COLLATE NOCASE DEFAULT 'Abc'",
    "INT AS (id * 2 + 1)",
    "TEXT AS (a || '-') NOT NULL",
    "INT DEFAULT 30 CHECK ({0} < 10)",
    "INT CHECK (id < 100)",
    "INT NOT NULL",
)


class Pair:
    """The same statements to both."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.ours = kvsh.connect(path, isolation_level=None)
        self.theirs = sqlite3.connect(":memory:", isolation_level=None)

    def run(self, sql: str) -> Any:
        outcomes: list[Any] = []
        for con, error in ((self.ours, kvsh.Error), (self.theirs, sqlite3.Error)):
            try:
                outcomes.append(con.execute(sql).fetchall())
            except error as problem:  # type: ignore[misc]
                outcomes.append(str(problem))
        assert repr(outcomes[0]) == repr(outcomes[1]), sql
        return outcomes[0]

    def check(self, table: str) -> None:
        self.run(f"SELECT * FROM {table}")
        assert self.ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def reopen(self) -> None:
        if self.path != ":memory:":
            self.ours.close()
            self.ours = kvsh.connect(self.path, isolation_level=None)


def _columns(pair: Pair, table: str) -> list[str]:
    return [row[1] for row in pair.theirs.execute(f"PRAGMA table_xinfo({table})")]


@pytest.mark.parametrize("definition", ["", " WITHOUT ROWID"])
@pytest.mark.parametrize("place", ["file", "memory"])
@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_does_as_in_sqlite(
    definition: str, place: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Random(seed)
    monkeypatch.setattr("btree.added.BY_PAGE_ROWS", draw.choice([0, 5000]))
    pair = Pair(":memory:" if place == "memory" else str(tmp_path / "a.kvsh"))
    pair.run(f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b REAL, c){definition}")
    pair.run(
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        f" WHERE i < {ROWS}) SELECT i, 'a' || i % 7, i / 4.0, nullif(i % 5, 0) FROM n"
    )
    pair.run("CREATE INDEX t_a ON t(a)")
    number = 0
    in_transaction = False
    for _ in range(40):
        columns = _columns(pair, "t")
        some = draw.choice(columns)
        match draw.randrange(12):
            case 0 | 1 | 2:
                number += 1
                text = draw.choice(DEFAULTS).format(f"x{number}")
                pair.run(f"ALTER TABLE t ADD COLUMN x{number} {text}")
            case 3:
                pair.run(f"ALTER TABLE t DROP COLUMN {some}")
            case 4:
                plain = [name for name in columns if name.startswith("x") or name == "b"]
                name = draw.choice(plain or ["b"])
                pair.run(f"UPDATE t SET {name} = id % 9 WHERE id % {draw.choice([1, 3, 200])} = 0")
            case 5:
                low = draw.randrange(2 * ROWS)
                pair.run(f"DELETE FROM t WHERE id BETWEEN {low} AND {low + draw.choice([3, 400])}")
            case 6:
                low = draw.randrange(2 * ROWS)
                pair.run(
                    f"INSERT OR REPLACE INTO t (id, a) VALUES ({low}, 'new'), ({low + 1}, 'x')"
                )
            case 7:
                number += 1
                pair.run(f"CREATE INDEX i{number} ON t({some})")
            case 8 if not in_transaction:
                draw.choice([pair.reopen, lambda: pair.run("VACUUM")])()
            case 9:
                pair.run("COMMIT" if in_transaction else "BEGIN")
                in_transaction = not in_transaction
            case 10 if in_transaction:
                pair.run(draw.choice(["ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s"]))
                in_transaction = pair.theirs.in_transaction
            case _:
                pair.run(f"SELECT count(*), count({some}), min({some}), max({some}) FROM t")
                pair.run(f"SELECT {some} FROM t WHERE id IN (5, 77, 900) ORDER BY id")
        if draw.random() < 0.3:
            pair.check("t")
    pair.check("t")


def test_a_dump_and_an_undo_have_the_columns(tmp_path: Path) -> None:
    pair = Pair(str(tmp_path / "a.kvsh"))
    pair.run("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    pair.run(
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < 3000) SELECT i, 'a' || i FROM n"
    )
    pair.reopen()
    pair.run("ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'é'''")
    pair.run("CREATE TABLE copy AS SELECT * FROM t")
    pair.run("SELECT * FROM copy")
    dumped = list(pair.ours.iterdump())
    assert sum(line.endswith("'é''');") for line in dumped if "INTO" in line) >= 1
    copy = sqlite3.connect(":memory:")
    copy.executescript("\n".join(dumped))
    assert copy.execute("SELECT * FROM t").fetchall() == pair.run("SELECT * FROM t")


def test_a_reader_of_before_sees_the_table_without_the_column(tmp_path: Path) -> None:
    path = str(tmp_path / "a.kvsh")
    one, two = (kvsh.connect(path, isolation_level=None) for _ in range(2))
    one.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    one.executemany("INSERT INTO t VALUES (?, ?)", [(number, "a") for number in range(5000)])
    two.execute("BEGIN")
    assert two.execute("SELECT * FROM t WHERE id = 4000").fetchall() == [(4000, "a")]
    one.execute("ALTER TABLE t ADD COLUMN b INT DEFAULT 5")
    assert one.execute("SELECT * FROM t WHERE id = 4000").fetchall() == [(4000, "a", 5)]
    assert two.execute("SELECT * FROM t WHERE id IN (1, 4000)").fetchall() == [
        (1, "a"),
        (4000, "a"),
    ]
    assert two.execute("SELECT count(*), sum(length(a)) FROM t").fetchall() == [(5000, 5000)]
    two.execute("COMMIT")
    assert two.execute("SELECT sum(b) FROM t").fetchall() == [(25000,)]


def test_a_blob_handle_reads_an_added_column(tmp_path: Path) -> None:
    con = kvsh.connect(str(tmp_path / "a.kvsh"), isolation_level=None)
    con.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    con.executemany("INSERT INTO t VALUES (?, ?)", [(number, "a") for number in range(3000)])
    con.execute("ALTER TABLE t ADD COLUMN b BLOB DEFAULT x'010203'")
    with con.blobopen("t", "b", 77) as blob:
        assert blob.read() == b"\1\2\3"
    with con.blobopen("t", "b", 78) as blob:
        blob.write(b"\7")
    found = con.execute("SELECT b FROM t WHERE id BETWEEN 77 AND 79").fetchall()
    assert found == [(b"\1\2\3",), (b"\7\2\3",), (b"\1\2\3",)]


GENERATED = (
    "INT AS (id * 2 + 1)",
    "TEXT AS (a || '-') VIRTUAL",
    "AS (b + c)",
    "REAL AS (id / 3)",
    "INTEGER AS (b || '')",
    "AS (7)",
    "AS (NULL)",
    "TEXT AS (d)",
    "NUMERIC AS (a)",
    "AS (CASE WHEN id % 2 THEN a WHEN id % 3 THEN b ELSE x'01' END)",
    "TEXT AS (lower(a) || typeof(d)) CHECK ({0} <> 'x')",
    "AS (abs(b)) NOT NULL",
    "INT AS (b) CHECK ({0} < 40)",
)


@pytest.mark.parametrize("tail", ["", " WITHOUT ROWID"])
@pytest.mark.parametrize("rows", [0, 5, ROWS, 12_000])
@pytest.mark.parametrize("place", ["file", "memory"])
def test_generated_columns_are_computed_of_all_rows(
    tail: str, rows: int, place: str, tmp_path: Path
) -> None:
    pair = Pair(str(tmp_path / "db") if place == "file" else ":memory:")
    draw = Random(rows)
    pair.run(f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INT, c REAL, d){tail}")
    made = [
        (
            number * 3 + draw.randrange(3),
            draw.choice((None, f"{number}", "Some Text")),
            draw.choice((None, number, 7 << 60)) if draw.random() < 0.01 else number % 50,
            number / 8,
            draw.choice((None, 1, 1.5, "12", "x", b"x")),
        )
        for number in range(rows)
    ]
    for con in (pair.ours, pair.theirs):
        con.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", made)
    pair.reopen()
    for number, definition in enumerate(GENERATED):
        name = f"g{number}"
        if number % 3 == 0:
            pair.run("BEGIN")
            pair.run("UPDATE t SET b = 5 WHERE id % 7 = 0")
            pair.run("DELETE FROM t WHERE id % 50 = 1")
            pair.run(f"ALTER TABLE t ADD COLUMN {name} {definition.format(name)}")
            pair.check("t")
            pair.run("ROLLBACK" if number % 2 else "COMMIT")
            pair.check("t")
        if number % 3 or number % 2:
            pair.run(f"ALTER TABLE t ADD COLUMN {name} {definition.format(name)}")
        pair.check("t")
        if number % 4 == 0:
            pair.reopen()
            pair.check("t")
    pair.run("ALTER TABLE t ADD COLUMN later AS (g0 + g9)")
    pair.run("CREATE INDEX i ON t(later, g1)")
    pair.run("UPDATE t SET b = b - 1, a = 'new' WHERE id % 5 = 0")
    pair.check("t")
    pair.run("SELECT later, g1 FROM t INDEXED BY i ORDER BY 1, 2")
    pair.reopen()
    pair.check("t")
