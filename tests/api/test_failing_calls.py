"""Each system call beneath some statements fails in turn, those of VACUUM and of a sort's temporary files too.

The statement is an error of the module's, as if it had never been run, and works when it is run again."""

from __future__ import annotations

import errno
import os
import random
import tempfile
from typing import Any

import pytest

import kvsh
from tests.engine.system_calls import is_left_over, system_calls
from tests.engine.test_system_calls import Failing
from tests.engine.workload import small_limits

EVERY = int(os.environ.get("KVSH_TEST_CALLS", "149"))
"""Of the calls, each one of so many is tried; `KVSH_TEST_CALLS=1` tries all."""

ROWS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)"
STEPS: tuple[tuple[str, ...], ...] = (
    ("CREATE TABLE t(a INTEGER PRIMARY KEY, b, c UNIQUE)",),
    (f"{ROWS} INSERT INTO t SELECT i, i % 7, 'text ' || i FROM n",),
    ("CREATE INDEX tb ON t(b, c)",),
    ("INSERT INTO kv VALUES(x'01', x'02')",),
    ("BEGIN", "UPDATE t SET b = b + 1", "SAVEPOINT s", "DELETE FROM t", "ROLLBACK TO s", "COMMIT"),
    ("DELETE FROM t WHERE a % 3 = 0",),
    ("ALTER TABLE t ADD COLUMN d DEFAULT 5",),
    ("VACUUM",),
    ("CREATE TABLE u AS SELECT c, a, b FROM t ORDER BY c DESC, b",),
    ("UPDATE t SET c = 'new ' || a, d = a WHERE b < 4",),
    ("DROP TABLE u",),
    ("PRAGMA wal_checkpoint",),
    ("VACUUM",),
    ("INSERT INTO t VALUES(1000, 1, 'last', 2)",),
)
READ = "SELECT b, count(*), group_concat(c) FROM (SELECT * FROM t ORDER BY c, a) GROUP BY b ORDER BY 2, 1"


def connected(path: str) -> Any:
    connection = kvsh.connect(path, isolation_level=None, timeout=0)
    connection.execute("PRAGMA cache_size = -64")
    connection._session.memory_limit_bytes = 4000
    return connection


def run(connection: Any, step: tuple[str, ...]) -> None:
    try:
        for statement in step:
            connection.execute(statement).fetchall()
            if connection.in_transaction is False and "t" in tables(connection):
                connection.execute(READ).fetchall()
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise


def tables(connection: Any) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return [name for (name,) in found]


def content(path: str) -> list[Any]:
    """All that stands in the database, as another connection sees it."""
    connection = kvsh.connect(f"file:{path}?mode=ro", uri=True)
    try:
        names = [*tables(connection), "kv", "sqlite_master"]
        rows = "SELECT * FROM {} ORDER BY 1, 2"
        return [(name, connection.execute(rows.format(name)).fetchall()) for name in names]
    finally:
        connection.close()


def contents() -> tuple[list[list[Any]], int]:
    """What stands there after each step, and how many calls all make."""
    with small_limits(), tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "db")
        with system_calls(lambda name: None) as calls:
            connection = connected(path)
            found = [content(path)]
            before = calls.count
            for step in STEPS:
                run(connection, step)
        count = calls.count - before
        connection.close()
        connection = connected(path)
        connection.close()
    with small_limits(), tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "db")
        connection = connected(path)
        for step in STEPS:
            run(connection, step)
            found.append(content(path))
        connection.close()
    return found, count


@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EMFILE"])
def test_a_statement_that_meets_a_failing_call_was_never_run(error: str) -> None:
    after, count = contents()
    start = random.Random(error).randrange(EVERY)
    for at in range(1 + start, count, EVERY):
        with small_limits(), tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "db")
            connection = connected(path)
            failing = Failing(at, getattr(errno, error), lasting=at % 2 == 0)
            try:
                with system_calls(failing.before):
                    for done, step in enumerate(STEPS):
                        try:
                            run(connection, step)
                        except kvsh.Error as problem:
                            failing.over = True
                            assert failing.hit, problem
                            now = content(path)
                            if now == after[done + 1]:  # a read of what it had done failed
                                continue
                            assert now == after[done], f"{step}: {problem}"
                            connection = on(connection, path)
                            run(connection, step)
                        if failing.over:
                            assert content(path) == after[done + 1], step
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                connection.close()
                assert content(path) == after[-1]
                left = [name for name in os.listdir(directory) if is_left_over(name)]
                assert not left or failing.hit in ("unlink", "open"), left
            except BaseException as problem:
                problem.add_note(f"call {at} ({failing.hit})")
                raise


def on(connection: Any, path: str) -> Any:
    """The connection, if it is of use yet, else another one."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()
    except kvsh.Error as problem:
        assert "dead" in str(problem), problem
        connection.close()
        return connected(path)
    return connection
