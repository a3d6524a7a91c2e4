"""Files that are damaged or something else, through the shell, a script, a command and Python: one clear
sentence each, that names the file; no traceback, no hang, nothing changed."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import kvsh
from tests.shell.running import command, environ
from tests.shell.running import kvsh as run

ROWS = 3000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of a few hundred kilobytes with a table, an index and keys."""
    path = tmp_path_factory.mktemp("whole") / "whole.db"
    rng = random.Random(1)
    with kvsh.open(path) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
        db.execute("CREATE INDEX ta ON t (a)")
        for _ in range(3):
            with db.transaction():
                for _ in range(ROWS // 3):
                    db.execute("INSERT INTO t (a) VALUES (?)", (rng.randbytes(20).hex(),))
                    db.put(f"key {rng.randrange(500)}", "v" * 100)
    return path


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwritten(at: float, size: int = 3000) -> Callable[[Path], None]:
    """Garbage at a share of the file."""

    def damage(path: Path) -> None:
        with open(path, "r+b") as file:
            file.seek(int(path.stat().st_size * at) if at else 0)
            file.write(random.Random(0).randbytes(size))

    return damage


def replaced(content: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.write_bytes(content)

    return damage


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def a_link_to_a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/full")


def sqlites(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.close()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut in the middle": cut,
    "the header is garbage": overwritten(0),
    "one byte": replaced(b"x"),
    "a part of a header": lambda path: os.truncate(path, 700),
    "a text": replaced(b"hello world\n" * 1000),
    "zeros": replaced(bytes(20_000)),
    "SQLite's": sqlites,
    "a directory": a_directory,
    "a FIFO": a_fifo,
    "a link to itself": a_link_to_itself,
    "a link to a device": a_link_to_a_device,
}


def content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@pytest.mark.parametrize("what", DAMAGES)
def test_a_file_that_cannot_be_opened_is_one_sentence_everywhere(
    what: str, whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.db"
    shutil.copy(whole, path)
    DAMAGES[what](path)
    before = content(path)
    for arguments, script in (
        (("SELECT count(*) FROM t",), ""),
        (("put", "k", "v"), ""),
        ((), "SELECT 1;\nput k v\n"),
    ):
        outcome = run(path, *arguments, stdin=script)
        assert outcome.status == 1, outcome
        assert outcome.out == ""
        assert outcome.err.startswith("kvsh: ") and outcome.err.count("\n") == 1, outcome.err
        assert str(path) in outcome.err or os.path.realpath(path) in outcome.err
    for opening in (kvsh.open, kvsh.connect):
        for readonly in (False, True):
            with pytest.raises(kvsh.Error) as caught:
                opening(path, readonly=readonly)
            told = str(caught.value)
            assert (str(path) in told or os.path.realpath(path) in told) and "\n" not in told
    assert content(path) == before


@pytest.mark.parametrize("at", [0.05, 0.4, 0.8, 0.95])
def test_a_file_with_garbage_in_it_gives_right_rows_or_one_sentence(
    at: float, whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.db"
    shutil.copy(whole, path)
    overwritten(at)(path)
    with kvsh.open(whole, readonly=True) as db:
        expected = {
            "SELECT count(*), min(a), max(a) FROM t": db.execute(
                "SELECT count(*), min(a), max(a) FROM t"
            ).fetchall(),
            "SELECT sum(id) FROM t WHERE a > 'c'": db.execute(
                "SELECT sum(id) FROM t WHERE a > 'c'"
            ).fetchall(),
        }
    for query, rows in expected.items():
        try:
            with kvsh.open(path) as db:
                assert db.execute(query).fetchall() == rows
        except kvsh.Error as error:
            assert "damaged at offset" in str(error) or "is damaged" in str(error)
            assert str(path) in str(error) and ".repair" in str(error)
            outcome = run(path, query)
            assert (outcome.status, outcome.out) == (1, "")
            assert outcome.err.count("\n") == 1 and ".repair" in outcome.err
    checked = run(path, ".check")
    assert checked.status == 1 and "damaged" in checked.out + checked.err
    assert "Traceback" not in checked.err
    repaired = run(path, ".repair", tmp_path / "new.db")
    assert repaired.status == 0 and "entries salvaged" in repaired.out, repaired.err
    with kvsh.open(tmp_path / "new.db") as db:
        problems = [problem for problem in db.check() if "index" not in problem]
        assert problems == []


def test_a_damaged_file_is_repaired_from_outside_without_being_opened(
    whole: Path, tmp_path: Path
) -> None:
    """`.repair` once needed the damaged database to open before it was reached."""
    path = tmp_path / "a.db"
    shutil.copy(whole, path)
    overwritten(0)(path)
    before = path.read_bytes()
    for number, arguments in enumerate(
        ([path, ".repair", "{}"], [path, ".repair {}"], [path, ".repair", path, "{}"])
    ):
        target = tmp_path / f"new{number}.db"
        outcome = run(*[str(argument).format(target) for argument in arguments])
        assert outcome.status == 0, outcome.err
        assert "the header is damaged" in outcome.out
        with kvsh.open(target) as db:
            assert db.execute("SELECT count(*) FROM t").fetchone() == (ROWS,)
            assert db.check() == []
    assert path.read_bytes() == before


def test_without_file_descriptors_there_is_one_sentence_and_no_traceback(whole: Path) -> None:
    """Whatever is opened last: a module, the database."""
    for limit in range(3, 8):
        limited = ["sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh"]
        done = subprocess.run(
            [*limited, *command(str(whole), "SELECT 1")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environ(),
            timeout=60,
            check=False,
        )
        if done.returncode == 0:
            assert done.stdout == "1\n"
        elif "kvsh: " in done.stderr:  # else Python itself could not start
            assert "Too many open files" in done.stderr and "Traceback" not in done.stderr
