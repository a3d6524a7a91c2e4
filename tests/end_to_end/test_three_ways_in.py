"""argv, a script and SQL see the same keys; a million of them load, scan and reopen."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import kvsh
from engine import OsFile
from tests.end_to_end.program import COMMAND, environment, lines, start
from tests.end_to_end.program import kvsh as run

MILLION = 1_000_000


def test_a_key_put_from_argv_is_read_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    assert lines(path, "put", "user:1", "Ada Lovelace") == []
    assert lines(path, "get", "user:1") == ["Ada Lovelace"]
    assert lines(path, stdin="get user:1\n") == ["Ada Lovelace"]
    script = "CREATE TABLE visit(who TEXT, page TEXT);\nINSERT INTO visit VALUES('user:1', '/a'), ('user:2', '/b');\n"
    assert lines(path, stdin=script) == []
    assert lines(path, "SELECT value FROM kv WHERE key LIKE 'user:%'") == ["Ada Lovelace"]
    query = "SELECT value, page FROM visit JOIN kv ON kv.key = visit.who"
    assert lines(path, query) == ["Ada Lovelace|/a"]


def test_raw_commands_and_sql_share_a_transaction(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    script = "CREATE TABLE t(a);\nbegin\nput k 1\nINSERT INTO t VALUES (2);\nrollback\n"
    assert lines(path, stdin=script) == []
    assert lines(path, "SELECT (SELECT count(*) FROM kv), (SELECT count(*) FROM t)") == ["0|0"]


def test_a_script_on_a_pipe_runs_as_it_arrives(tmp_path: Path) -> None:
    with start(tmp_path / "app.db") as process:
        assert process.stdin is not None and process.stdout is not None
        for number in range(3):
            process.stdin.write(f"SELECT {number} + 1;\n".encode())
            process.stdin.flush()
            assert process.stdout.readline() == f"{number + 1}\n".encode()
        process.stdin.close()
        assert process.wait() == 0


def test_output_into_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    command = " ".join(COMMAND) + f" '{tmp_path / 'app.db'}' | head -n 1"
    query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n LIMIT 300000;"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        input=query.encode(),
        capture_output=True,
        env=environment(),
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == (b"1\n", b"")


def test_output_that_cannot_be_written_shows_in_the_status(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, str(tmp_path / "app.db"), "SELECT 1"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            check=False,
        )
    assert done.returncode == 1
    assert b"No space left" in done.stderr and b"Traceback" not in done.stderr


def test_a_million_keys_load_scan_in_order_and_reopen_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "app.db"
    script = "begin\n" + "".join(
        f"put key:{number:07} value-{number}\n" for number in range(MILLION)
    )
    done = run(path, stdin=script + "commit\n", timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    read_bytes: list[int] = []
    read = OsFile.read

    def counted(file: OsFile, length: int, offset: int) -> bytes:
        data = read(file, length, offset)
        read_bytes.append(len(data))
        return data

    monkeypatch.setattr(OsFile, "read", counted)
    database = kvsh.open(path, readonly=True)
    opening_bytes = sum(read_bytes)
    keys = list(database)
    assert len(keys) == MILLION and keys == sorted(keys)
    assert database.get("key:0777777") == b"value-777777"
    assert database.check() == []
    database.close()
    assert 0 < opening_bytes < 1 << 20, "the page table is read, and not the pages"
    assert path.stat().st_size < 100 * MILLION
