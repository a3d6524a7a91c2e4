"""Several processes on one file: killed writers, killed compactors, a bank, locks, forks, limits."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from btree import BusyError, StorageError, StoreError, open_store
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
print("ready", flush=True)
while True:
    store.compact()
    print("compacted", flush=True)
"""

TRANSFERS = """
for _ in range(60):
    transfer(store, rng)
store.close()
"""

BALANCES = """
for _ in range(200):
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


def test_killed_writers_and_compactors_lose_no_acknowledged_commit(tmp_path: Path) -> None:
    path = tmp_path / "db"
    rng = random.Random(7)
    open_store(path).close()
    acknowledged = compactions = 0
    for seed in range(ROUNDS):
        with running(WRITER, path, seed) as writer, running(COMPACTOR, path) as compactor:
            assert writer.stdout is not None and compactor.stdout is not None
            for _ in range(rng.randint(1, 30)):
                acknowledged = int(writer.stdout.readline())
            victim = writer if seed % 2 else compactor
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            if victim is compactor:  # the other one goes on
                compactions += compactor.stdout.read().count(b"compacted")
                for _ in range(5):
                    acknowledged = int(writer.stdout.readline())
            writer.kill()
            out, err = writer.communicate()
            assert b"Error" not in err, err.decode()
            numbers = [int(line) for line in out.split(b"\n")[:-1] if line]
            acknowledged = max([acknowledged, *numbers])
        store = open_store(path)
        tree = store.begin().tree(1)
        assert int(tree.get(b"number")) >= acknowledged, f"round {seed}"
        assert tree.get(b"number") == tree.get(b"again"), f"round {seed}: half a transaction"
        assert store.check() == []
        store.close()
    assert compactions
    store = open_store(path)
    store.compact()  # removes what a killed compaction left
    store.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["db"]


def test_a_bank_keeps_its_funds_with_writers_and_readers_in_processes_and_compactions(
    tmp_path: Path,
) -> None:
    path = tmp_path / "db"
    bank(path).close()
    with (
        running(TRANSFERS, path, 1) as one,
        running(TRANSFERS, path, 2) as two,
        running(BALANCES, path) as three,
        running(BALANCES, path) as four,
        running(COMPACTOR, path),
    ):
        for process in (one, two, three, four):
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


def test_a_file_size_limit_is_a_full_disk_and_work_goes_on_once_it_is_lifted(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path / "db")
    transaction = store.begin(write=True)
    transaction.tree(1).put(b"kept", b"v")
    transaction.commit()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        transaction = store.begin(write=True)
        for number in range(40):
            transaction.tree(1).put(b"%d" % number, b"x" * 100_000)
        with pytest.raises(StorageError, match="full"):
            transaction.commit()
        transaction = store.begin(write=True)  # a small one still fits
        transaction.tree(1).put(b"small", b"v")
        transaction.commit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    transaction = store.begin(write=True)
    transaction.tree(1).put(b"large", b"x" * 4_000_000)
    transaction.commit()
    assert [key for keys, _ in store.begin().tree(1).batches() for key in keys] == [
        b"kept",
        b"large",
        b"small",
    ]
    assert store.check() == []
    store.close()


def test_without_file_descriptors_opening_is_one_clear_error(tmp_path: Path) -> None:
    open_store(tmp_path / "db").close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        with pytest.raises(StorageError, match="Too many open files"):
            open_store(tmp_path / "db")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
