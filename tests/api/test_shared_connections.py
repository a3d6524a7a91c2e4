"""One connection in several threads at once (`check_same_thread=False`): their statements take turns."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import kvsh
from tests.threads import in_threads

ROWS, ACCOUNTS = 3000, 50


@pytest.fixture(params=[None, ""])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    connection = kvsh.connect(
        tmp_path / "shared.db",
        check_same_thread=False,
        isolation_level=request.param,
        durability="off",
    )
    connection.executescript(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT); CREATE INDEX ta ON t(a);"
        "CREATE TABLE account(id INTEGER PRIMARY KEY, n INT)"
    )
    connection.executemany("INSERT INTO account VALUES(?, 100)", [(i,) for i in range(ACCOUNTS)])
    connection.executemany(
        "INSERT INTO t VALUES(?, ?, ?)", [(i, i % 7, str(i)) for i in range(ROWS)]
    )
    connection.commit()
    yield connection
    connection.close()


def test_no_statement_meets_another(shared: Any) -> None:
    added = [0] * 5

    def work(number: int) -> None:
        rng = random.Random(number)
        for _ in range(60):
            match rng.randrange(8):
                case 0:
                    shared.execute("INSERT INTO t(a, b) VALUES(?, 'one')", (number,))
                    added[number] += 1
                case 1:
                    sets = [(number,)] * 5
                    shared.executemany("INSERT INTO t(a, b) VALUES(?, 'many')", sets)
                    added[number] += 5
                case 2:
                    one, other = rng.sample(range(ACCOUNTS), 2)
                    shared.execute(
                        "UPDATE account SET n = n + CASE id WHEN ? THEN 1 ELSE -1 END"
                        " WHERE id IN (?, ?)",
                        (one, one, other),
                    )
                case 3:
                    (total,) = shared.execute("SELECT sum(n) FROM account").fetchone()
                    assert total == ACCOUNTS * 100
                case 4:
                    shared.execute(f"UPDATE t SET b = b || 'x' WHERE a = {number} AND id < 100")
                case 5:
                    found = shared.execute("SELECT id FROM t WHERE id = ?", (number,)).fetchall()
                    assert found == [(number,)]
                case 6:
                    ids = [i for (i,) in shared.execute("SELECT id FROM t WHERE id < ?", (ROWS,))]
                    assert ids == [*range(ROWS)]
                case 7:
                    shared.commit()

    in_threads(*[partial(work, number) for number in range(len(added))])
    shared.commit()
    assert shared.execute("SELECT count(*) FROM t").fetchone() == (ROWS + sum(added),)
    assert shared.execute("SELECT sum(n) FROM account").fetchone() == (ACCOUNTS * 100,)
    assert shared.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_thread_may_read_on_while_others_commit_and_stop_a_statement(shared: Any) -> None:
    cursor = shared.execute("SELECT id FROM t ORDER BY id")
    seen = [row for row, _ in zip(cursor, range(5), strict=False)]

    def work(number: int) -> None:
        shared.execute("DELETE FROM t WHERE id % 4 = ?", (number,))
        shared.commit()

    in_threads(*[partial(work, number) for number in range(4)])
    seen += cursor
    assert [i for (i,) in seen] == sorted({i for (i,) in seen})
    assert len(seen) >= ROWS - 1  # one row was taken by zip()
    shared.interrupt()  # which waits for no turn
    assert shared.execute("SELECT count(*) FROM t").fetchone() == (0,)


@pytest.mark.parametrize("sql", ["SELECT id FROM t", "SELECT id FROM t ORDER BY b"])
def test_threads_that_fetch_from_one_cursor_get_each_row_once(shared: Any, sql: str) -> None:
    cursor = shared.execute(sql)
    found: list[int] = []

    def work(number: int) -> None:
        if number == 0:
            found.extend(i for (i,) in cursor)
        while rows := cursor.fetchmany(number) if number else cursor.fetchall():
            found.extend(i for (i,) in rows)
            row = cursor.fetchone()
            if row is not None:
                found.append(row[0])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        in_threads(*[partial(work, number) for number in range(5)])
    finally:
        sys.setswitchinterval(interval)
    assert sorted(found) == [*range(ROWS)]
