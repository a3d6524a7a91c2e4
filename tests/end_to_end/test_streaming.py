"""A long result takes no more memory than a short one, and its first rows are there before its last."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.program import COMMAND, environment

ROWS = 400_000
MORE_KIB_MAX = 30 * 1024


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("streaming") / "long.db"
    script = (
        "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, price REAL);"
        "INSERT INTO t SELECT value, 'name ' || value % 977, value / 4.0"
        f" FROM generate_series(1, {ROWS});"
    )
    subprocess.run([*COMMAND, str(path), script], env=environment(), check=True)
    return path


PEAK = """
import resource, subprocess, sys
with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE) as process:
    lines = 0
    while data := process.stdout.read(1 << 20):
        lines += data.count(b"\\n")
assert process.returncode == 0
print(lines, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""A small program in between: a process's largest size is at least what its parent's was when it began,
and this one's is large."""


def peak_kib(path: Path, mode: str, rows: int) -> int:
    """The largest resident size of a process that prints so many rows."""
    words = [*COMMAND, f"--{mode}", str(path), f"SELECT * FROM t LIMIT {rows}"]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *words], capture_output=True, env=environment(), check=True
    )
    lines, peak = map(int, done.stdout.split())
    assert lines >= rows
    return peak


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="sizes are in KiB on Linux alone")
@pytest.mark.parametrize("mode", ["csv", "jsonl", "table"])
def test_a_long_result_takes_no_more_memory_than_a_short_one(path: Path, mode: str) -> None:
    assert peak_kib(path, mode, ROWS) - peak_kib(path, mode, 1000) < MORE_KIB_MAX


@pytest.mark.parametrize("mode", ["csv", "jsonl", "table", "line", "json", "markdown"])
def test_the_first_rows_come_before_the_last_are_made(path: Path, mode: str) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    words = [*COMMAND, f"--{mode}", str(path), endless]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        assert len(process.stdout.read(10_000)) == 10_000
        process.terminate()
