"""Signals end what waits for somebody else, and what was started from argv, as they end a statement."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvsh.commands import files
from kvsh.environment import Environment, Options
from tests.shell.running import command, environ, kvsh

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.fixture
def started() -> Iterator[Any]:
    """Starts processes, and sees to their end."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*words: str | Path, **more: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command(*map(str, words)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ(),
            **more,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("words", [(".read",), (".import", "--csv")])
@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_who_reads_a_pipe_hears_of_a_signal_while_nothing_comes(
    tmp_path: Path, started: Any, words: tuple[str, ...], number: int, status: int
) -> None:
    """`.read` and `.import` of a pipe whose writer is slow could be ended by SIGKILL alone."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = started(tmp_path / "a.db", *words, pipe)
    with pipe.open("wb"):  # opens once kvsh has
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == status
    assert kvsh(tmp_path / "a.db", "SELECT count(*) FROM sqlite_schema").out == "0\n"


def test_a_command_from_argv_that_only_reads_is_stopped_anywhere(tmp_path: Path) -> None:
    """Ctrl-C did not stop `kvsh app.db .crash 1000000`, but stopped the same line at the prompt."""
    kvsh(tmp_path / "a.db", "put", "k", "v")
    environment = Environment(
        str(tmp_path / "a.db"), Options(), out=io.BytesIO(), err=io.StringIO()
    )
    environment.busy = True

    def check() -> list[str]:
        environment.interrupt()
        return []

    environment.store.check = check  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        environment.run_words([".check"])
    environment.close()


def test_an_interrupted_repair_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kvsh(tmp_path / "a.db", "put", "k", "v")
    environment = Environment(None, Options(), out=io.BytesIO(), err=io.StringIO())
    environment.source = "<test>"
    environment.busy = True

    from btree import repair

    module = sys.modules[repair.__module__]

    class Repair(module._Repair):  # type: ignore[name-defined,misc]
        def _fill(self, transaction: Any) -> None:
            environment.interrupt()

    monkeypatch.setattr(module, "_Repair", Repair)
    with pytest.raises(KeyboardInterrupt):
        environment.run_words([".repair", str(tmp_path / "a.db"), str(tmp_path / "b.db")])
    assert os.listdir(tmp_path) == ["a.db"]


def test_a_hang_up_ends_a_script_and_leaves_nothing_half_written(
    tmp_path: Path, started: Any
) -> None:
    """SIGHUP killed the process: `.export` left its unfinished file."""
    process = started(tmp_path / "a.db", cwd=tmp_path)
    process.stdin.write(
        b"CREATE TABLE t(a); INSERT INTO t SELECT value FROM generate_series(1, 300);"
        b"\n.export out.csv SELECT 1 FROM t a, t b, t c, t d, t e, t f\n"
    )
    process.stdin.flush()
    while not any(name.endswith(".part") for name in os.listdir(tmp_path)):
        assert process.poll() is None
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 129
    assert os.listdir(tmp_path) == ["a.db"]


def test_who_was_told_to_ignore_hang_ups_does(tmp_path: Path, started: Any) -> None:
    """As nohup does it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = started(tmp_path / "a.db")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.stdin.write(b"SELECT 'one';\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"one\n"
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(b"SELECT 'two';\n", timeout=60)
    assert (out, process.returncode) == (b"two\n", 0)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_command_of_the_system_ends_with_the_shell(
    tmp_path: Path, started: Any, number: int, status: int
) -> None:
    process = started(tmp_path / "a.db", ".system", "echo started; exec sleep 600")
    assert process.stdout.readline() == b"started\n"
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == status


def test_a_signal_that_comes_before_the_command_is_waited_for_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = Environment(None, Options(), out=io.BytesIO(), err=io.StringIO())
    begin = subprocess.Popen.__init__

    def begun(self: Any, *given: Any, **options: Any) -> None:
        begin(self, *given, **options)
        environment.terminated = 143
        environment.interrupt()

    monkeypatch.setattr(subprocess.Popen, "__init__", begun)
    with environment.working(), pytest.raises(SystemExit) as left:
        files._status_of(environment, "exec sleep 600")
    assert left.value.code == 143


def test_ctrl_c_is_the_business_of_the_command_that_runs(tmp_path: Path, started: Any) -> None:
    """An editor or a pager may have another use for it."""
    process = started(tmp_path / "a.db")
    process.stdin.write(b".system echo started; read answer; echo $answer\nSELECT 2;\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"started\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out == b"\n2\n" or out.endswith(b"2\n")


def test_a_pipe_is_imported_as_a_file_is(tmp_path: Path) -> None:
    """`kvsh app.db .import <(command) t` failed with an illegal seek."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen(["sh", "-c", f"printf 'a,b\\n1,x\\n2,1.5\\n' > {pipe}"])
    assert kvsh(tmp_path / "a.db", ".import", pipe, "t", "--csv") == (0, "", "")
    assert writer.wait(timeout=60) == 0
    assert kvsh(tmp_path / "a.db", "SELECT * FROM t").out == "1|x\n2|1.5\n"
