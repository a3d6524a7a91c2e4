"""How long one-shot commands take from start to end, beside `python -c pass`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from typing import Any

from benchmarks.workloads import Job, workload

REPEATS = 15


def _timed(job: Job, command: list[str]) -> None:
    subprocess.run(command, capture_output=True, check=True)
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    job.watch.seconds = sorted(times)[REPEATS // 2]


def _command(job: Job, *, sql: bool) -> list[str]:
    match job.peer:
        case "python":
            return [sys.executable, "-c", "pass"]
        case "kvsh":
            base = [sys.executable, "-m", "kvsh", job.path()]
            subprocess.run([*base, "put", "k", "v"], check=True)
            return [*base, "SELECT 1 + 1"] if sql else [*base, "get", "k"]
        case "sqlite-cli":
            return [shutil.which("sqlite3") or "sqlite3", job.path(), "SELECT 1 + 1"]
        case "litecli":
            return [shutil.which("litecli") or "litecli", job.path(), "-e", "SELECT 1 + 1"]
        case _:
            return [sys.executable, "-c", "import duckdb; duckdb.sql('SELECT 1 + 1').fetchall()"]


@workload(
    "start-get",
    "one-shot get, against python -c pass",
    goal=0.25,
    peers=("kvsh", "python"),
    size=1,
    rounds=3,
    against=("python",),
)
def _get(job: Job) -> Any:
    _timed(job, _command(job, sql=False))


@workload(
    "start-sql",
    "one-shot SQL, against python -c pass",
    goal=0.09,
    peers=("kvsh", "python", "sqlite-cli", "litecli", "duckdb"),
    size=1,
    rounds=3,
    against=("python",),
)
def _sql(job: Job) -> Any:
    _timed(job, _command(job, sql=True))


@workload(
    "start-open",
    "open a database of 1M rows (goal: 10 ms)",
    goal=None,
    peers=("kvsh", "sqlite"),
    size=1_000_000,
    quick_size=200_000,
    rounds=3,
)
def _open(job: Job) -> Any:
    from benchmarks.peers import connect
    from benchmarks.workloads_sql import item_path

    path = item_path(job)
    connect(job.peer, job.path()).execute("SELECT 1").fetchall()  # what is imported is imported
    with job.watch:
        con = connect(job.peer, path)
        row = con.execute("SELECT name FROM item WHERE id = 777").fetchone()
    return row
