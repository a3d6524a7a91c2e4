"""Work on a system like macOS: see `as_macos`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

WORK = """
import multiprocessing, os, sys, threading
from tests.engine import as_macos
as_macos.refused = sys.argv[1] == "refused"
import kvsh
from btree import open_store

db = kvsh.open("a.db")
assert len(as_macos.full_syncs if sys.argv[1] != "refused" else as_macos.weak_syncs) >= 2  # the file, its directory
before = len(as_macos.full_syncs), len(as_macos.weak_syncs)
for number in range(50):
    db.put(b"%d" % number, bytes(3000))
after = len(as_macos.full_syncs), len(as_macos.weak_syncs)
kind = as_macos.refused
assert after[kind] - before[kind] >= 50 and after[not kind] == before[not kind], (before, after)

threads = [threading.Thread(target=lambda at: [db.put(b"%d/%d" % (at, n), b"v") for n in range(20)], args=(at,)) for at in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
con = kvsh.connect("a.db")
con.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
con.executemany("INSERT INTO t VALUES (?, ?)", [(n, "x" * n) for n in range(200)])
con.execute("CREATE INDEX t_b ON t(b)")
con.commit()
db.compact()
db.backup("copy.db")
db.update((b"+%d" % number, bytes(500)) for number in range(5000))
assert db.check() == []
con.close()
child = os.fork()
if not child:
    with kvsh.open("a.db") as own:
        own.put("child", "was here")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert db.get("child") == b"was here"
child = os.fork()
if not child:  # killed in the middle of a transaction
    own = kvsh.open("a.db")
    with own.transaction():
        own.put("never", "was here")
        os.kill(os.getpid(), 9)
assert os.waitpid(child, 0)[1] == 9
assert db.get("never") is None
db.put("after", b"it")
db.close()
for name, keys in (("a.db", 5132), ("copy.db", 130)):
    with kvsh.open(name) as db:
        assert len(db) == keys, len(db)
        assert db.execute("SELECT count(*), sum(length(b)) FROM t WHERE b >= 'x'").fetchall() == [(199, 19900)]
        assert db.check() == []
assert sorted(os.listdir(".")) == ["a.db", "copy.db"]
assert not as_macos.weak_syncs or as_macos.refused
"""


@pytest.mark.parametrize("full_sync", ["done", "refused"])
def test_a_little_of_everything(tmp_path: Path, full_sync: str) -> None:
    """Files, directories and commits are synced to the disk, or as far as their file system goes."""
    _run(tmp_path, WORK, full_sync)


def test_a_sync_that_fails_is_no_refusal(tmp_path: Path) -> None:
    code = """
import errno, fcntl, os
from tests.engine import as_macos
import kvsh
db = kvsh.open("a.db")
db.put("k", "v")
full = fcntl.fcntl
def fail(descriptor, command, *argument):
    if command == fcntl.F_FULLFSYNC:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return full(descriptor, command, *argument)
fcntl.fcntl = fail
try:
    db.put("l", "v")
except kvsh.OperationalError as error:
    assert "sync failed" in str(error), error
else:
    raise AssertionError
assert not as_macos.weak_syncs
"""
    _run(tmp_path, code)


def _run(directory: Path, code: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
