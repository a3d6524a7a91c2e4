"""Indexes of tables so large that their leaves are written before the statement ends."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import kvsh
from btree.build import IN_MEMORY

COUNT = IN_MEMORY + 15_000


def _opened(path: Path) -> Any:
    return kvsh.connect(str(path), isolation_level=None, durability="off")


def _filled(path: Path) -> tuple[Any, list[tuple[Any, ...]]]:
    draw = random.Random(9)
    rows = [
        (n, draw.randrange(COUNT), f"text {draw.randrange(900)}", draw.choice([None, n / 8]), n)
        for n in range(COUNT)
    ]
    con = _opened(path)
    con.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c, d)")
    con.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
    return con, rows


def _is_whole(con: Any, rows: list[tuple[Any, ...]]) -> None:
    assert con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    draw = random.Random(4)
    for row in draw.sample(rows, 60):
        for place, column in enumerate(["a", "b", "c"], 1):
            expected = [r[0] for r in rows if r[place] is not None and r[place] == row[place]]
            sql = f"SELECT id FROM t WHERE {column} = ? ORDER BY id"
            assert [r[0] for r in con.execute(sql, (row[place],))] == expected


def test_indexes_hold_every_row_now_and_after_opening(tmp_path: Path) -> None:
    con, rows = _filled(tmp_path / "db")
    con.execute("CREATE INDEX by_a ON t(a, b)")
    con.execute("CREATE INDEX by_b ON t(b)")
    con.execute("CREATE INDEX by_c ON t(c DESC, id)")
    con.execute("CREATE UNIQUE INDEX by_d ON t(d, a)")
    _is_whole(con, rows)
    con.execute("REINDEX")
    con.close()
    con = _opened(tmp_path / "db")
    _is_whole(con, rows)
    con.execute("DELETE FROM t WHERE a % 5 = 0")
    con.execute("UPDATE t SET a = a + 1, b = b || 'x' WHERE id % 9 = 0")
    changed = [
        (n, a + 1, f"{b}x", c, d) if n % 9 == 0 else (n, a, b, c, d)
        for n, a, b, c, d in rows
        if a % 5
    ]
    _is_whole(con, changed)
    con.close()


def test_an_index_that_is_rolled_back_leaves_nothing(tmp_path: Path) -> None:
    con, rows = _filled(tmp_path / "db")
    con.execute("BEGIN")
    con.execute("INSERT INTO t VALUES (-1, -1, 'first', NULL, -1)")
    con.execute("SAVEPOINT here")
    con.execute("CREATE INDEX by_a ON t(a, b)")
    assert con.execute("SELECT id FROM t WHERE a = -1").fetchall() == [(-1,)]
    con.execute("ROLLBACK TO here")
    con.execute("CREATE INDEX by_b ON t(b)")
    assert con.execute("SELECT id FROM t WHERE b = 'first'").fetchall() == [(-1,)]
    con.execute("ROLLBACK")
    assert con.execute("SELECT name FROM sqlite_schema WHERE type = 'index'").fetchall() == []
    con.execute("BEGIN")
    con.execute("CREATE INDEX by_a ON t(a)")
    con.execute("ROLLBACK TRANSACTION")
    con.execute("CREATE INDEX by_c ON t(c)")
    _is_whole(con, rows)
    con.close()
    con = _opened(tmp_path / "db")
    _is_whole(con, rows)
    con.close()


@pytest.mark.parametrize("pair", [(0, 1), (COUNT - 2, COUNT - 1), (4095, 4096), (8191, 8192)])
def test_a_value_that_is_there_twice_is_found_wherever_it_is(
    tmp_path: Path, pair: tuple[int, int]
) -> None:
    con, rows = _filled(tmp_path / "db")
    con.execute("UPDATE t SET d = ? WHERE id = ?", (pair[0], pair[1]))
    with pytest.raises(kvsh.IntegrityError, match=r"UNIQUE constraint failed: t\.d"):
        con.execute("CREATE UNIQUE INDEX by_d ON t(d)")
    con.execute("UPDATE t SET d = ? WHERE id = ?", (pair[1], pair[1]))
    con.execute("CREATE UNIQUE INDEX by_d ON t(d)")
    _is_whole(con, rows[:100] + rows[100:])
    con.close()
