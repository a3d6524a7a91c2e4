"""What the engine does is told to the logging module: with -v on standard error, with --log-file in a file,
and to nobody without either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import kvsh
from tests.end_to_end.program import kvsh as run
from tests.end_to_end.program import start


def test_nothing_is_logged_unless_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    script = "put a 1\nput b 2\n.checkpoint\n.compact\n"
    silent = run(path, stdin=script)
    assert silent.returncode == 0
    assert b"checkpointed" not in silent.stderr and b"compacted" not in silent.stderr
    loud = run("-v", path, stdin=script)
    assert loud.returncode == 0
    for word in (b"checkpointed commit", b"compacted from"):
        assert word in loud.stderr, loud.stderr
    assert loud.stdout == silent.stdout


def test_recoveries_lock_waits_backups_and_errors_are_in_the_log_file(tmp_path: Path) -> None:
    path, log = tmp_path / "app.db", tmp_path / "log"

    def logged(*arguments: object) -> str:
        log.unlink(missing_ok=True)
        run("--log-file", log, *arguments)
        return log.read_text() if log.exists() else ""

    with kvsh.open(path) as db:
        db.put("k", "v")
    holder = start(path)
    assert holder.stdin is not None and holder.stdout is not None
    holder.stdin.write(b"begin\nput k w\nSELECT 1;\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == b"1\n"
    told = logged("--timeout", "0.2", path, "put", "k", "x")
    assert f"process {holder.pid} is writing" in told and "ERROR" in told
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with open(path, "ab") as file:
        file.write(b"torn tail")
    assert "recovery cut a torn tail" in logged(path, "put", "k", "y")
    assert "backed up to" in logged(path, ".backup", tmp_path / "copy.db")
    os.truncate(path, path.stat().st_size - 100)
    told = logged(path, "get", "k")
    assert "is damaged at offset" in told and "ERROR" in told


WHILE_IT_IS_IMPORTED = """
import importlib.machinery, sys, threading
half, on = threading.Event(), threading.Event()

class Slow(importlib.machinery.SourceFileLoader):
    def exec_module(self, module):
        half.set()
        on.wait(30)
        super().exec_module(module)

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "logging":
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            spec.loader = Slow(name, spec.origin)
            return spec

sys.meta_path.insert(0, Finder)
from engine.journal import Journal
importing = threading.Thread(target=__import__, args=("logging",))
importing.start()
half.wait(30)
threading.Timer(0.1, on.set).start()
Journal("kvsh.engine").info("%s", "told")
importing.join()
"""


def test_what_is_told_while_another_thread_imports_logging_waits_for_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WHILE_IT_IS_IMPORTED], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
