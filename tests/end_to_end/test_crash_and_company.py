"""kill -9 at random moments, and several processes on one file."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import kvsh
from tests.end_to_end.program import COMMAND, ROOT, environment, lines

KILLS = int(os.environ.get("KVSH_TEST_KILLS", "100"))


def started(path: Path, script: bytes) -> subprocess.Popen[bytes]:
    """A process that runs `script` and then waits for more of it."""
    process = subprocess.Popen(
        [*COMMAND, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdin is not None
    process.stdin.write(script)
    process.stdin.flush()
    return process


_NURSERY = textwrap.dedent(
    """
    import os, sys, kvsh
    from kvsh.cli import main

    path, feed, told = sys.argv[1:]
    with kvsh.connect(":memory:") as con:
        con.execute("SELECT 1").fetchall()
    con.close()
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            os.dup2(os.open(feed, os.O_RDONLY), 0)
            os.dup2(os.open(told, os.O_WRONLY), 1)
            sys.argv = ["kvsh", path]
            main()
        print(child, flush=True)
        os.waitpid(child, 0)
    """
)
"""Runs `kvsh PATH` for each line that it reads, one after the other, between two named pipes: what a start imports is
imported once."""


def test_kill_dash_nine_loses_no_acknowledged_commit(tmp_path: Path) -> None:
    """A script commits pairs of keys and a row, and prints each number once it is committed; its transactions arrive a few
    at a time, since what arrives together is told together."""
    path, feed, told = tmp_path / "app.db", tmp_path / "feed", tmp_path / "told"
    assert lines(path, stdin="CREATE TABLE t(n INTEGER PRIMARY KEY, twice INTEGER);\n") == []
    for pipe in (feed, told):
        os.mkfifo(pipe)
    seed = random.randrange(1 << 30)
    random_numbers = random.Random(seed)
    nursery = subprocess.Popen(
        [sys.executable, "-c", _NURSERY, str(path), str(feed), str(told)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        cwd=ROOT,
    )
    assert nursery.stdin is not None and nursery.stdout is not None
    acknowledged = -1
    base = in_the_middle = 0
    for _ in range(KILLS):
        nursery.stdin.write(b"\n")
        nursery.stdin.flush()
        child = int(nursery.stdout.readline())
        with feed.open("wb", buffering=0) as script, told.open("rb") as output:
            script.write(_transactions(base, base + 1))
            first = output.readline()
            sent = base + 1
            until = time.monotonic() + random_numbers.random() * 0.03
            while time.monotonic() < until and sent < base + 400:
                more = random_numbers.randint(1, 20)
                script.write(_transactions(sent, sent + more))
                sent += more
                time.sleep(random_numbers.random() * 0.004)
            os.kill(child, signal.SIGKILL)
            out = output.read()
        seen = [int(line) for line in (first + out).split(b"\n")[:-1] if line]
        acknowledged = max([acknowledged, *seen])
        with kvsh.open(path, readonly=True) as database:
            rows = database.execute("SELECT n, twice FROM t ORDER BY n")
            numbers = [n for n, _ in rows]
            assert all(twice == 2 * n for n, twice in rows), seed
            assert numbers == list(range(len(numbers))), f"seed {seed}"
            assert len(numbers) > acknowledged, f"seed {seed}"
            for prefix in ("a:", "b:"):
                keys = {int(key[2:]) for key, _ in database.scan(prefix=prefix)}
                assert keys == set(numbers), f"seed {seed}: half a transaction is there"
        base = len(numbers)
        in_the_middle += base < sent
    nursery.communicate()
    assert in_the_middle, "every process had done all that it was sent"
    with kvsh.open(path) as database:
        assert database.check() == []


def _transactions(first: int, end: int) -> bytes:
    return "".join(
        f"begin\nput a:{n} {n}\nINSERT INTO t VALUES ({n}, {2 * n});\nput b:{n} {n}\ncommit\nSELECT {n};\n"
        for n in range(first, end)
    ).encode()


_WRITER = textwrap.dedent(
    """
    import sys, kvsh
    path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    db = kvsh.open(path, timeout=60)
    for n in range(count):
        with db.transaction():
            db.put(f"{name}:{n}", str(n))
            total = int(db.get("total") or b"0")
            db.put("total", str(total + 1))
    db.close()
    """
)


def test_two_writers_lose_nothing_and_a_reader_sees_whole_commits(tmp_path: Path) -> None:
    path, count = tmp_path / "app.db", 300
    kvsh.open(path).close()

    def launch(program: str, *arguments: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            env=environment(),
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )

    writers = [launch(_WRITER, path, name, count) for name in ("left", "right")]
    reader = launch(_SNAPSHOT_READER, path, 2 * count)
    for process in (*writers, reader):
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors.decode()) == (0, "")
    with kvsh.open(path) as database:
        assert database.get("total") == str(2 * count).encode()
        assert database.count(prefix="left:") == database.count(prefix="right:") == count


_SNAPSHOT_READER = textwrap.dedent(
    """
    import sys, time, kvsh
    path, wanted = sys.argv[1], int(sys.argv[2])
    end = time.monotonic() + 100
    db = kvsh.open(path, readonly=True)
    total = 0
    while time.monotonic() < end and total < wanted:
        pairs = dict(db.scan())
        total = int(pairs.pop(b"total", b"0"))
        assert len(pairs) == total, (len(pairs), total)
    assert total == wanted
    db.close()
    """
)


def test_a_terminated_script_rolls_back_and_leaves_cleanly(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    process = started(path, b"put kept 1\nbegin\nput lost 1\nSELECT 1;\n")
    assert process.stdout is not None
    assert process.stdout.readline() == b"1\n"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143 and b"Traceback" not in errors
    with kvsh.open(path) as database:
        assert list(database) == [b"kept"]


_AT_WORK = textwrap.dedent(
    """
    import os, random, sys, kvsh
    path, work, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    rng = random.Random(seed)
    con = kvsh.connect(path, isolation_level=None, timeout=60)
    con.execute("ATTACH ? AS other", (path + ".other",))

    def number():
        return con.execute("SELECT n FROM done").fetchone()[0]

    def one():
        n = number() + 1
        con.execute("BEGIN IMMEDIATE")
        con.execute("UPDATE done SET n = ?", (n,))
        con.execute("UPDATE other.done SET n = ?", (n,))
        con.execute("INSERT INTO t(a, b) SELECT a, b + 1 FROM t ORDER BY id DESC LIMIT ?", (rng.choice([1, 9, 300]),))
        con.execute("DELETE FROM t WHERE id % 50 = ?", (n % 50,))
        con.execute("COMMIT")
        print(n, flush=True)

    def altered():
        n = number() + 1
        con.execute("BEGIN IMMEDIATE")
        columns = [row[1] for row in con.execute("PRAGMA table_info(t)")]
        if len(columns) < 8:
            con.execute(f"ALTER TABLE t ADD COLUMN c{n} DEFAULT {n}")
        else:
            con.execute(f"ALTER TABLE t DROP COLUMN {columns[3]}")
        con.execute(f"ALTER TABLE renamed{n - 1} RENAME TO renamed{n}")
        con.execute("UPDATE done SET n = ?", (n,))
        con.execute("COMMIT")
        print(n, flush=True)

    def indexed():
        n = number() + 1
        con.execute("BEGIN IMMEDIATE")
        con.execute("DROP INDEX IF EXISTS tb")
        con.execute("CREATE INDEX tb ON t(b, a)")
        con.execute("UPDATE t SET b = b + 1 WHERE id % 7 = ?", (n % 7,))
        con.execute("UPDATE done SET n = ?", (n,))
        con.execute("COMMIT")
        print(n, flush=True)

    def kept():
        step = rng.randrange(3)
        if step == 0:
            con.execute("VACUUM")
        elif step == 1:
            con.execute("PRAGMA wal_checkpoint")
        else:
            with kvsh.connect(path + ".copy", isolation_level=None, timeout=60) as copy:
                con.backup(copy)
            copy.close()
        print("kept", flush=True)

    while True:
        if work == "mixed":
            rng.choice([one, indexed, kept])()
        else:
            globals()[work]()
    """
)


@pytest.mark.parametrize("work", ["one", "altered", "indexed", "kept", "mixed"])
def test_statements_of_all_kinds_are_killed_and_done_or_not(tmp_path: Path, work: str) -> None:
    """A process that does them is killed, while another one counts and makes the file's checkpoints."""
    path = tmp_path / "app.db"
    seed = random.randrange(1 << 30)
    random_numbers = random.Random(seed)
    con = kvsh.connect(path, isolation_level=None, timeout=60)
    con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER)")
    con.execute("CREATE TABLE done(n INTEGER)")
    con.execute("CREATE TABLE renamed0(x)")
    con.execute("CREATE INDEX ta ON t(a)")
    con.execute("INSERT INTO done VALUES (0)")
    con.executemany("INSERT INTO t(a, b) VALUES (?, ?)", [(f"a{n % 97}", n) for n in range(1500)])
    with kvsh.connect(tmp_path / "app.db.other", isolation_level=None) as other:
        other.execute("CREATE TABLE done(n INTEGER)")
        other.execute("INSERT INTO done VALUES (0)")
    other.close()
    acknowledged = 0
    for _ in range(max(3, KILLS // 20)):
        process = subprocess.Popen(
            [sys.executable, "-c", _AT_WORK, str(path), work, str(random_numbers.randrange(999))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        for _ in range(random_numbers.randrange(4)):
            con.execute("SELECT count(*), sum(b) FROM t").fetchall()
            con.execute("INSERT INTO t(a, b) VALUES ('theirs', 1)")
            time.sleep(random_numbers.random() * 0.03)
            con.execute("PRAGMA wal_checkpoint")
        process.kill()
        out, err = process.communicate()
        assert b"Error" not in err, err.decode()
        seen = [int(line) for line in (first + out).split() if line.isdigit()]
        acknowledged = max([acknowledged, *seen])
        with kvsh.connect(path, isolation_level=None) as again:
            assert again.execute("PRAGMA integrity_check").fetchall() == [("ok",)], seed
            (n,) = again.execute("SELECT n FROM done").fetchone()
            assert n in (acknowledged, acknowledged + 1), f"seed {seed}"
            least, acknowledged = acknowledged, n  # the next one may not come to say so either
            again.execute("ATTACH ? AS other", (f"{path}.other",))
            (their,) = again.execute("SELECT n FROM other.done").fetchone()
            tables = {name for (name,) in again.execute("SELECT name FROM sqlite_master")}
            if work == "one":
                assert their in (n - 1, n) and their >= least, f"seed {seed}"
            if work == "altered":
                assert f"renamed{n}" in tables and f"renamed{n - 1}" not in tables, f"seed {seed}"
            counts = {
                again.execute(f"SELECT count(*) FROM t {which}").fetchone()
                for which in ("", "NOT INDEXED", "INDEXED BY ta WHERE a IS NULL OR a >= ''")
            }
            assert len(counts) == 1, f"seed {seed}: {counts}"
        again.close()
    con.close()
    for file in tmp_path.glob("*.copy"):
        with kvsh.connect(file) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)], seed
        copy.close()
