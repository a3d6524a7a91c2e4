"""Several processes on one file: killed writers, killed compactors, a bank, locks, forks."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from btree import BusyError, StoreError, open_store
from tests.engine.test_threads import ACCOUNTS, FUNDS, balance, bank

ROOT = Path(__file__).resolve().parent.parent.parent
ROUNDS = int(os.environ.get("KVSH_TEST_KILLS", "20"))

PRELUDE = """
import random, sys
from btree import open_store
from tests.engine.test_threads import ACCOUNTS, FUNDS, balance, transfer
path, seed = sys.argv[1], int(sys.argv[2])
rng = random.Random(seed)
store = open_store(path, page_bytes=512, timeout=60)
"""

WRITER = """
while True:
    transaction = store.begin(write=True)
    tree = transaction.tree(1)
    number = int(tree.get(b"number", b"0")) + 1
    tree.put(b"number", b"%d" % number)
    for _ in range(rng.choice([1, 1, 1, 60])):
        tree.put(b"key %d" % rng.randrange(500), rng.randbytes(rng.choice([5, 50, 2000])))
    tree.put(b"again", b"%d" % number)
    transaction.commit()
    print(number, flush=True)
"""

COMPACTOR = """
from btree import StorageError
print("ready", flush=True)
while True:
    try:
        store.compact()
    except StorageError as error:
        assert "another compaction was faster" in str(error), error
    else:
        print("compacted", flush=True)
"""

BACKUPS = """
import os
while True:
    store.backup(os.path.join(os.path.dirname(path), "copy"))
    print("backed up", flush=True)
"""

TRANSFERS = """
for _ in range(40):
    transfer(store, rng)
store.close()
"""

BALANCES = """
for _ in range(150):
    assert balance(store) == ACCOUNTS * FUNDS
"""

HOLDER = """
writer = store.begin(write=True)
print("locked", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def running(code: str, path: Path, seed: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, str(path), str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_killed_writers_compactors_and_backups_lose_no_acknowledged_commit(tmp_path: Path) -> None:
    path, copy = tmp_path / "db", tmp_path / "copy"
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    open_store(path).close()
    acknowledged = compactions = backups = 0
    for number in range(ROUNDS):
        with (
            running(WRITER, path, seed + number) as writer,
            running(COMPACTOR, path) as compactor,
            running(BACKUPS, path) as backing_up,
        ):
            assert writer.stdout is not None
            for _ in range(rng.randint(1, 30)):
                acknowledged = int(writer.stdout.readline())
            victim = (writer, compactor, backing_up)[number % 3]
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            if victim is not writer:  # the others go on
                for _ in range(5):
                    acknowledged = int(writer.stdout.readline())
            writer.kill()
            out, err = writer.communicate()
            assert b"Error" not in err, err.decode()
            numbers = [int(line) for line in out.split(b"\n")[:-1] if line]
            acknowledged = max([acknowledged, *numbers])
            for process in (compactor, backing_up):
                process.kill()
                out, err = process.communicate()
                assert b"Error" not in err, err.decode()
                compactions += out.count(b"compacted")
                backups += out.count(b"backed up")
        assert whole(path) >= acknowledged, f"seed {seed}, round {number}"
        if copy.exists():
            whole(copy)
    assert compactions and backups
    store = open_store(path)
    store.compact()  # removes what killed compactions and backups left
    store.close()
    assert {entry.name for entry in tmp_path.iterdir()} <= {"db", "copy"}


def whole(path: Path) -> int:
    """The newest transaction in the file, of which nothing is missing."""
    store = open_store(path)
    tree = store.begin().tree(1)
    number = int(tree.get(b"number", b"0"))  # type: ignore[arg-type]
    assert int(tree.get(b"again", b"0")) == number, "half a transaction"  # type: ignore[arg-type]
    assert store.check() == []
    store.close()
    return number


def test_a_bank_keeps_its_funds_with_writers_and_readers_in_processes_and_compactions(
    tmp_path: Path,
) -> None:
    path = tmp_path / "db"
    bank(path).close()
    with contextlib.ExitStack() as stack:
        at_work = [
            stack.enter_context(running(code, path, seed))
            for seed, code in enumerate([TRANSFERS] * 4 + [BALANCES] * 4)
        ]
        for _ in range(2):
            stack.enter_context(running(COMPACTOR, path))
        for process in at_work:
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err.decode()
    store = open_store(path)
    assert balance(store) == ACCOUNTS * FUNDS
    assert store.check() == []
    store.close()


def test_a_busy_error_names_the_holder_and_its_death_gives_the_lock_back(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = open_store(path, timeout=0.05)
    with running(HOLDER, path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(BusyError, match=f"process {holder.pid} is writing"):
            store.begin(write=True)
        store.begin().rollback()  # readers are not disturbed
        holder.kill()
        holder.wait()
        transaction = store.begin(write=True, timeout=5)
        transaction.tree(1).put(b"k", b"v")
        transaction.commit()
    store.close()


def test_a_forked_child_is_refused_and_disturbs_nobody(tmp_path: Path) -> None:
    store = open_store(tmp_path / "db")
    writer = store.begin(write=True)
    writer.tree(1).put(b"k", b"v")
    with warnings.catch_warnings():  # the runner has threads; the child touches none of theirs
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            store.begin()
        except StoreError as error:
            status = 0 if "fork" in str(error) else 2
        with contextlib.suppress(StoreError):
            writer.rollback()
        with contextlib.suppress(StoreError):
            store.close()
        os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    other = open_store(tmp_path / "db", timeout=0.01)
    with pytest.raises(BusyError):  # the lock is still the parent's
        other.begin(write=True)
    other.close()
    writer.commit()
    assert store.begin().tree(1).get(b"k") == b"v"
    store.close()
