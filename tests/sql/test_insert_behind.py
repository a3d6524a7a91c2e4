"""INSERT ... SELECT behind the rows that a table has, by column, beside sqlite3."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import kvsh

INSERTS = (
    "INSERT INTO d SELECT * FROM s WHERE id > ?",
    "INSERT INTO d SELECT * FROM s WHERE id % 3 AND id > ?",
    "INSERT OR IGNORE INTO d SELECT id, x, y FROM s WHERE x IS NOT NULL OR id < ?",
    "INSERT INTO d SELECT * FROM s WHERE y > 'n5' OR id > ?",
    "INSERT INTO d(y, x) SELECT y || id, x FROM s WHERE id > ?",
    "INSERT INTO d(x, id) SELECT y, id + 100000 FROM s WHERE id > ?",
    "INSERT INTO d(y) SELECT id FROM s WHERE x > ?",
    "INSERT INTO d(id, x) SELECT NULL, id * 2 FROM s WHERE id > ?",
)
CHANGES = (
    "DELETE FROM d WHERE id % 5 = 0",
    "UPDATE d SET y = y || 'q' WHERE id % 4 = 1",
    "INSERT INTO d(x) VALUES (5)",
    "SELECT 1",
)


class _Both:
    """kvsh and sqlite3, which have to answer alike."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self.kvsh = self._opened()
        self._sqlite = sqlite3.connect(":memory:", isolation_level=None)

    def _opened(self) -> Any:
        return kvsh.connect(self._path, isolation_level=None, durability="off")

    def reopen(self) -> None:
        self.kvsh.close()
        self.kvsh = self._opened()

    def __call__(self, sql: str, parameters: tuple[Any, ...] = ()) -> None:
        assert _outcome(self.kvsh, sql, parameters) == _outcome(self._sqlite, sql, parameters), sql

    def fill(self, sql: str, rows: list[Any]) -> None:
        for con in (self.kvsh, self._sqlite):
            con.executemany(sql, rows)


def _outcome(con: Any, sql: str, parameters: tuple[Any, ...]) -> object:
    try:
        cursor = con.execute(sql, parameters)
    except (kvsh.Error, sqlite3.Error) as error:
        return str(error)
    last = cursor.lastrowid if sql.startswith("INSERT") else None
    return cursor.fetchall(), cursor.rowcount, last


@pytest.mark.parametrize("rows_in_memory", [0, 300, 1 << 12])
@pytest.mark.parametrize("seed", range(8))
def test_rows_are_put_behind_those_that_are_there(
    seed: int, rows_in_memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("btree.build.ROWS_IN_MEMORY", rows_in_memory)
    monkeypatch.setattr("sql.dml.sources._READ_MIN", 0)
    draw = random.Random(f"{seed} {rows_in_memory}")
    both = _Both(tmp_path / "db")
    key = draw.choice(("id INTEGER PRIMARY KEY", "id INT"))
    count = draw.choice((10, 500, 6000))
    large = draw.random() < 0.3
    for name in "sd":
        both(f"CREATE TABLE {name}({key}, x, y TEXT)")
    rows = [
        (
            n + n // 1000 * 7,
            draw.choice((None, n, n / 3, "t")),
            "z" * 9000 if large and n % 97 == 0 else f"n{n}",
        )
        for n in range(1, count + 1)
    ]
    both.fill("INSERT INTO s VALUES (?, ?, ?)", rows)
    both("INSERT INTO d SELECT * FROM s LIMIT ?", (draw.choice((0, 1, 400, 5000)),))
    grouped = draw.random() < 0.6
    if grouped:
        both("BEGIN")
    for _ in range(4):
        nested = grouped and draw.random() < 0.5
        if nested:
            both("SAVEPOINT p")
        both(draw.choice(INSERTS), (draw.choice((0, 400, 10**6, count // 2)),))
        both(draw.choice(CHANGES))
        if nested:
            both(draw.choice(("ROLLBACK TO p", "RELEASE p")))
        both("SELECT count(*), sum(id), sum(length(y)) FROM d")
    if grouped:
        both(draw.choice(("COMMIT", "COMMIT", "ROLLBACK")))
    for _ in range(2):
        both("SELECT * FROM d ORDER BY rowid")
        both("SELECT * FROM d WHERE rowid = ?", (count // 2,))
        assert both.kvsh.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        both.reopen()
    both("INSERT INTO d(x) VALUES (7)")
    both("SELECT count(*), max(rowid) FROM d")


@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR IGNORE", "INSERT OR FAIL", "REPLACE"])
@pytest.mark.parametrize(
    "indexes",
    [
        ("CREATE INDEX i ON d(y, x)",),
        ("CREATE UNIQUE INDEX i ON d(y COLLATE NOCASE)", "CREATE INDEX j ON d(x)"),
        ("CREATE INDEX i ON d(x) WHERE y < 'n3'", "CREATE UNIQUE INDEX j ON d(lower(y), id)"),
    ],
)
def test_a_table_without_rows_gets_its_indexes_afterwards(
    indexes: tuple[str, ...],
    verb: str,
    built: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sql.dml.sources._READ_MIN", 0)
    monkeypatch.setattr("btree.rewritten_pages.LEAVES_MIN", 2)
    both = _Both(tmp_path / "db")
    both("CREATE TABLE s(id INTEGER PRIMARY KEY, x, y TEXT)")
    both("CREATE TABLE d(id INTEGER PRIMARY KEY, x, y TEXT NOT NULL)")
    for index in indexes:
        both(index)
    rows = [(n, (None, n, n / 3, "t")[n % 4], f"n{n * 7 % 6000}") for n in range(1, 5000)]
    both.fill("INSERT INTO s VALUES (?, ?, ?)", rows)
    both.reopen()
    built.clear()

    def compare() -> None:
        both("SELECT * FROM d ORDER BY id")
        both("SELECT * FROM d WHERE y > 'n5' ORDER BY y, id")
        assert both.kvsh.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    both(f"{verb} INTO d SELECT * FROM s WHERE id % 3")
    assert len(built) == len(indexes)
    compare()
    both(
        f"{verb} INTO d(x, y) SELECT x, y || 'z' FROM s WHERE id < 900"
    )  # behind rows that have entries
    assert len(built) == len(indexes)
    compare()
    for broken in ("UPDATE s SET y = 'N14' WHERE id = 4999", "UPDATE s SET y = NULL WHERE id = 7"):
        both("DELETE FROM d")
        both(broken)
        both("BEGIN")
        both("SAVEPOINT p")
        both(f"{verb} INTO d SELECT * FROM s")
        compare()
        both("ROLLBACK TO p")
        compare()
        both(f"{verb} INTO d SELECT id + 5, x, y FROM s")
        both("COMMIT")
        compare()
    both.reopen()
    compare()
