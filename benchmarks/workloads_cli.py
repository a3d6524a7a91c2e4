"""Scripts through the command line, start-up included: kvsh beside the sqlite3 shell."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.workloads import Job, workload

PEERS = ("kvsh", "sqlite-cli")


def command(job: Job) -> list[str]:
    """The peer's command line on the job's database."""
    if job.peer == "kvsh":
        return [sys.executable, "-m", "kvsh", job.path()]
    program = shutil.which("sqlite3")
    assert program is not None
    return [program, job.path()]


def feed(job: Job, script: str, *, timed: bool = True, arguments: tuple[str, ...] = ()) -> str:
    """Run a script to its end; its output."""
    path = Path(job.directory) / "script.sql"
    path.write_text(script, encoding="utf-8")
    started = time.perf_counter()
    with path.open("rb") as source:
        done = subprocess.run(
            [*command(job), *arguments], stdin=source, capture_output=True, check=True
        )
    if timed:
        job.watch.seconds += time.perf_counter() - started
    return done.stdout.decode()


def total(job: Job, sql: str) -> str:
    """The answer of a query, untimed."""
    return feed(job, sql + "\n", timed=False).strip()


@workload("cli-put", "100k put lines, one transaction", goal=2, peers=PEERS, size=100_000, rounds=3)
def _put(job: Job) -> Any:
    pairs = [(f"key:{number:08}", f"value-{number}") for number in range(job.size)]
    if job.peer == "kvsh":
        feed(job, "begin\n" + "".join(f"put {key} {value}\n" for key, value in pairs) + "commit\n")
        return total(job, "SELECT count(*) FROM kv;")
    feed(
        job,
        "PRAGMA synchronous=OFF;\nCREATE TABLE kv(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;\nBEGIN;\n"
        + "".join(f"INSERT INTO kv VALUES('{key}','{value}');\n" for key, value in pairs)
        + "COMMIT;\n",
    )
    return total(job, "SELECT count(*) FROM kv;")


TABLE = "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, price REAL, tag INTEGER);\n"


def _values(number: int) -> str:
    return f"({number},'name {number % 977}',{number % 1000 / 4},{number * 7919 % 1000003})"


@workload(
    "cli-insert",
    "INSERTs with literals, one transaction",
    goal=1.1,
    peers=PEERS,
    size=1_000_000,
    quick_size=200_000,
    rounds=3,
)
def _insert(job: Job) -> Any:
    statements = "".join(f"INSERT INTO t VALUES{_values(n)};\n" for n in range(job.size))
    feed(job, TABLE + "BEGIN;\n" + statements + "COMMIT;\n")
    return total(job, "SELECT count(*), sum(tag) FROM t;")


@workload(
    "cli-insert-100",
    "INSERTs of 100 rows each",
    goal=0.8,
    peers=PEERS,
    size=1_000_000,
    quick_size=200_000,
    rounds=3,
)
def _insert_100(job: Job) -> Any:
    parts = []
    for start in range(0, job.size, 100):
        rows = ",".join(_values(number) for number in range(start, start + 100))
        parts.append(f"INSERT INTO t VALUES{rows};\n")
    feed(job, TABLE + "BEGIN;\n" + "".join(parts) + "COMMIT;\n")
    return total(job, "SELECT count(*), sum(tag) FROM t;")


@workload(
    "cli-select",
    "100k point SELECTs with literals",
    goal=1.5,
    peers=PEERS,
    size=100_000,
    quick_size=50_000,
    rounds=3,
)
def _select(job: Job) -> Any:
    rows = ",".join(_values(number) for number in range(20_000))
    feed(job, TABLE + f"INSERT INTO t VALUES{rows};\n", timed=False)
    numbers = random.Random(2)
    script = "".join(
        f"SELECT tag FROM t WHERE id = {numbers.randrange(20_000)};\n" for _ in range(job.size)
    )
    return sum(map(int, feed(job, script).split()))


def _autocommit(job: Job, durability: str) -> Any:
    """Two tables take turns, so that with durability full each statement is a commit of its own: kvsh makes a single
    one of a run of INSERTs into one table.  With durability off it makes one of a run of several tables, too, so
    that row shows how scripts are batched, where sqlite3 commits each statement."""
    script = TABLE + TABLE.replace(" t(", " u(")
    script += "".join(f"INSERT INTO {'tu'[n % 2]} VALUES{_values(n)};\n" for n in range(job.size))
    if job.peer == "kvsh":
        feed(job, script, arguments=("--durability", durability))
    else:
        level = "FULL" if durability == "full" else "OFF"
        feed(job, f"PRAGMA synchronous={level};\n" + script)
    return total(job, "SELECT count(*), sum(tag) FROM (SELECT * FROM t UNION ALL SELECT * FROM u);")


@workload(
    "cli-autocommit-full",
    "autocommit INSERTs, durability full",
    goal=1.1,
    peers=PEERS,
    size=3000,
    quick_size=1000,
    rounds=3,
    commits=1000,
)
def _autocommit_full(job: Job) -> Any:
    return _autocommit(job, "full")


@workload(
    "cli-autocommit-off",
    "autocommit INSERTs, durability off",
    goal=1.2,
    peers=PEERS,
    size=20_000,
    rounds=3,
)
def _autocommit_off(job: Job) -> Any:
    return _autocommit(job, "off")


def _csv(job: Job) -> str:
    path = Path(job.directory) / "t.csv"
    with path.open("w", encoding="utf-8") as target:
        target.write("id,name,price,tag\n")
        for number in range(job.size):
            target.write(
                f"{number},name {number % 977},{number % 1000 / 4},{number * 7919 % 1000003}\n"
            )
    return str(path)


@workload(
    "cli-import", "CSV import", goal=0.8, peers=PEERS, size=1_000_000, quick_size=200_000, rounds=3
)
def _import(job: Job) -> Any:
    path = _csv(job)
    if job.peer == "kvsh":
        feed(job, TABLE + f".import {path} t\n")
    else:
        feed(job, TABLE + f".import --csv --skip 1 {path} t\n")
    return total(job, "SELECT count(*), sum(tag) FROM t;")


@workload(
    "cli-export", "CSV export", goal=0.8, peers=PEERS, size=1_000_000, quick_size=200_000, rounds=3
)
def _export(job: Job) -> Any:
    path = _csv(job)
    skip = "" if job.peer == "kvsh" else "--csv --skip 1 "
    feed(job, TABLE + f".import {skip}{path} t\n", timed=False)
    out = feed(job, ".mode csv\n.headers off\nSELECT id, name, tag FROM t;\n")
    return len(out.splitlines())
