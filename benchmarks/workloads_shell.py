"""The shell: completion in a large database, the first prompt, memory while a long result streams."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

from benchmarks.workloads import Job, workload

TABLES = 500
COMPLETED_IN_MS = {"median": 10, "95th percentile": 30}
"""What a completion may take, wall clock."""

HALF_TYPED = (
    "sel", "SELECT ", "SELECT * FROM ", "SELECT * FROM table_4", "SELECT * FROM tbl17",
    "SELECT * FROM table_7 WHERE ", "SELECT * FROM table_7 WHERE na", "SELECT a.| FROM table_7 a",
    "SELECT * FROM table_7 a JOIN table_8 b ON ", "SELECT * FROM table_8 JOIN ",
    "SELECT * FROM table_7 WHERE name = '", "SELECT * FROM table_7 WHERE name = 'name 1",
    "SELECT * FROM table_7 WHERE kind = '", "SELECT * FROM table_7 WHERE kind IN ('red', 'b",
    "SELECT * FROM kv WHERE key = '", "SELECT * FROM kv WHERE key LIKE 'user:4",
    "INSERT INTO table_9(", "UPDATE table_9 SET ", "DELETE FROM table_1", "ALTER TABLE table_49",
    "WITH recent AS (SELECT id, name FROM table_3) SELECT r.| FROM recent r",
    "SELECT (SELECT max(b.) FROM table_5 b WHERE b.", "SELECT count(", "SELECT sub", "CREATE INDEX i ON table_2(",
    "get ", "get u", "get user:", "get user:12", "get user:123456", "put order:9", "delete 'order:5",
    "scan ", "scan --prefix ", "scan --prefix session/", "get x'75", "count --prefix us",
    ".", ".sch", ".schema table_2", ".mode ", ".tree ta", ".help ", ".config ",
)  # fmt: skip
"""Inputs as they are when Tab is pressed, at `|` or at their end."""


def _large(path: str, keys: int) -> None:
    import kvsh

    con = kvsh.connect(path)
    for number in range(TABLES):
        parent = f" REFERENCES table_{number - 1}(id)" if number else ""
        con.execute(
            f"CREATE TABLE table_{number} (id INTEGER PRIMARY KEY, name TEXT, kind TEXT, parent INT{parent})"
        )
    con.execute("CREATE INDEX table_7_name ON table_7(name)")
    con.executemany(
        "INSERT INTO table_7 VALUES (?, ?, ?, ?)",
        [(n, f"name {n}", ("red", "green", "blue")[n % 3], n % 10) for n in range(keys // 10)],
    )
    con.commit()
    con.close()
    with kvsh.open(path) as database, database.transaction():
        for number in range(keys):
            kind = ("user:", "order:", "session/2026/")[number % 3]
            database.put(f"{kind}{number}", b"x")


@workload(
    "shell-complete",
    "completion: 1M keys, 500 tables (all of the list once)",
    goal=None,
    peers=("kvsh",),
    size=1_000_000,
    quick_size=100_000,
    rounds=3,
)
def _complete(job: Job) -> Any:
    from kvsh.complete import Completer
    from kvsh.environment import Environment, Options
    from kvsh.reader import is_command
    from kvsh.repl.live import LiveCatalog
    from kvsh.repl.run import command_specs

    path = job.prepared("shell", lambda where: _large(where, job.size))
    environment = Environment(path, Options(), out=sys.stdout.buffer, err=sys.stderr)
    catalog = LiveCatalog(environment.session)
    catalog.preload()  # as the shell does behind the first prompt
    completer = Completer(catalog, command_specs(), None, is_command)
    walls, cpus = [], []
    for text in HALF_TYPED:
        cursor = text.find("|")
        wall, cpu = time.perf_counter(), time.process_time()
        completer.complete(text.replace("|", ""), cursor if cursor >= 0 else len(text))
        cpus.append(time.process_time() - cpu)
        walls.append(time.perf_counter() - wall)
    environment.close()
    job.watch.seconds = sum(walls)
    for name, seconds in (("wall", walls), ("CPU", cpus)):
        seconds.sort()
        figures = {
            "median": seconds[len(seconds) // 2],
            "95th percentile": seconds[-len(seconds) // 20],
        }
        for figure, value in figures.items():
            job.notes[f"{figure} ms, {name} (goal {COMPLETED_IN_MS[figure]})"] = round(
                value * 1e3, 2
            )
    job.notes["slowest ms, CPU"] = round(cpus[-1] * 1e3, 2)
    return None


@workload(
    "shell-prompt",
    "first prompt painted, against python -c pass",
    goal=0.06,
    peers=("kvsh", "python"),
    size=1,
    rounds=3,
    against=("python",),
)
def _prompt(job: Job) -> Any:
    if job.peer == "python":
        with job.watch:
            subprocess.run([sys.executable, "-c", "pass"], check=True)
        return
    import pty

    environ = {**os.environ, "TERM": "xterm", "KVSH_CONFIG": "", "KVSH_HISTORY": ""}
    with job.watch:
        process, terminal = pty.fork()
        if process == 0:
            os.execve(sys.executable, [sys.executable, "-m", "kvsh", job.path()], environ)
        seen = b""
        while b"bench.db> " not in seen.replace(b"\x1b[0m", b""):
            seen += os.read(terminal, 4096)
    os.write(terminal, b"\x04")
    os.close(terminal)
    os.waitpid(process, 0)
    job.notes["prompt ms (goal 250)"] = round(job.watch.seconds * 1e3)


@workload(
    "shell-stream",
    "SELECT of 1M rows as CSV, JSON lines and a table",
    goal=None,
    peers=("kvsh",),
    size=1_000_000,
    quick_size=200_000,
    rounds=2,
)
def _stream(job: Job) -> Any:
    def build(path: str) -> None:
        # In a process of its own: a child's largest size is at least what its parent had when it began.
        script = (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, price REAL);"
            "INSERT INTO t SELECT value, 'name ' || value % 977, value / 4.0"
            f" FROM generate_series(1, {job.size})"
        )
        subprocess.run([sys.executable, "-m", "kvsh", path, script], check=True)

    path = job.prepared("stream", build)
    for mode in ("csv", "jsonl", "table"):
        few, _ = _peak_mib(path, mode, 1000)
        with job.watch:
            many, first = _peak_mib(path, mode, job.size)
        job.notes[f"{mode}: MiB more than for 1,000 rows (goal 30)"] = round(many - few, 1)
        job.notes[f"{mode}: first row after ms"] = round(first * 1e3)
    return None


def _peak_mib(path: str, mode: str, rows: int) -> tuple[float, float]:
    """The process's largest resident size, and the seconds until it has printed something."""
    words = [f"--{mode}", path, f"SELECT * FROM t LIMIT {rows}"]
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "kvsh", *words], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        first = time.perf_counter() - started
        while process.stdout.read(1 << 20):
            pass
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    return usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10), first
