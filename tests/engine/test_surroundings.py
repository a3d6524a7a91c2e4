"""Real surroundings: a disk that fills up and is freed, media, directories and files that can't be written,
a limit on the file's size, no file descriptors left."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from btree import ConflictError, StorageError, StoreError, open_store
from engine import OsFile, OsFileSystem

ROOT = Path(__file__).resolve().parent.parent.parent
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def can_mount() -> bool:
    """Whether this system lets us have a small disk of our own."""
    if shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as directory:
        mount = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", directory]
        return subprocess.run(mount, capture_output=True, check=False).returncode == 0


needs_mount = pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here")

PRELUDE = """
import os, subprocess, sys
from pathlib import Path
from btree import open_store, StorageError, ReadOnlyError

def put(store, key, size):
    transaction = store.begin(write=True)
    try:
        transaction.tree(1).put(key, b"x" * size)
        transaction.commit()
    except BaseException:
        transaction.rollback()
        raise

def sizes(store):
    reader = store.begin()
    found = {k: len(v) for keys, values in reader.tree(1).batches() for k, v in zip(keys, values)}
    reader.rollback()
    return found

def refused(work, *words):
    try:
        work()
    except StorageError as error:
        assert "\\n" not in str(error), error
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError("that was to fail")

def kvsh(*arguments):
    done = subprocess.run([sys.executable, "-m", "kvsh", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.strip(), done.stderr.strip()
"""


def run_on_small_disk(directory: Path, code: str) -> None:
    """Run the code where `directory` is a disk of eight megabytes."""
    mount = 'mount -t tmpfs -o size=8m tmpfs "$0" && cd "$0" && exec "$@"'
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", mount, directory, sys.executable, "-c", PRELUDE + code],
        env={**os.environ, "PYTHONPATH": str(ROOT), "KVSH_CONFIG": "", "KVSH_HISTORY": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@needs_mount
def test_a_full_disk_costs_the_transaction_that_met_it_and_work_goes_on_once_it_is_freed(
    tmp_path: Path,
) -> None:
    run_on_small_disk(
        tmp_path,
        """
store = open_store("db")
put(store, b"kept", 10)
Path("ballast").write_bytes(bytes(6_800_000))
acknowledged = {b"kept": 10}
try:
    for number in range(100):
        put(store, b"%d" % number, 50_000)
        acknowledged[b"%d" % number] = 50_000
except StorageError as error:
    assert "db: database or disk is full" in str(error) and "free some space" in str(error), error
else:
    raise AssertionError("the disk was not full")
assert len(acknowledged) > 10
assert sizes(store) == acknowledged
assert store.check() == []
refused(store.compact, "db: ", "No space left")
refused(lambda: store.backup("copy"), "copy: the backup can't be written", "No space left")
assert sorted(os.listdir(".")) == ["ballast", "db"]
for readonly in (True, False):
    other = open_store("db", readonly=readonly)
    assert sizes(other) == acknowledged
    other.close()
store.close()
Path("more").write_bytes(b"") ; left = os.statvfs(".").f_bavail * os.statvfs(".").f_bsize
Path("more").write_bytes(bytes(max(left - 8192, 0)))
status, out, err = kvsh("db", "put", "large", "y" * 60_000)
assert status == 1 and err.startswith("kvsh: db: ") and "full" in err and err.count("\\n") == 0, err
assert kvsh("db", "count") == (0, str(len(acknowledged)), "")
refused(lambda: open_store("another/db"), "unable to open database file")
store = open_store("db")
refused(lambda: put(store, b"x", 60_000), "full")
os.unlink("more"), os.unlink("ballast")
put(store, b"after", 60_000)
store.compact()
store.backup("copy")
assert sizes(store) == acknowledged | {b"after": 60_000} == sizes(open_store("copy"))
assert store.check() == []
store.close()
assert kvsh("db", "put", "k", "v") == (0, "", "")
""",
    )


@needs_mount
@pytest.mark.parametrize(("rows", "size", "room"), [(5, 4000, 200_000), (400, 2000, 3_000_000)])
def test_a_full_disk_costs_a_transaction_on_several_databases_all_of_it(
    tmp_path: Path, rows: int, size: int, room: int
) -> None:
    """Small commits, which are redo, and large ones, which are pages: as there was more and more room, there were commits that
    the first of the databases had alone."""
    run_on_small_disk(
        tmp_path,
        f"""
import kvsh as api
ours = api.connect("main.db", isolation_level=None)
for name in ("second", "third"):
    ours.execute(f"ATTACH '{{name}}.db' AS {{name}}")
tables = ("main.t", "second.t", "third.t")
for table in tables:
    ours.execute(f"CREATE TABLE {{table}} (a INTEGER PRIMARY KEY, b)")

def counts():
    return [ours.execute(f"SELECT count(*) FROM {{table}}").fetchone()[0] for table in tables]

def leave(room):
    Path("ballast").write_bytes(b"")
    system = os.statvfs(".")
    Path("ballast").write_bytes(bytes(max(system.f_bavail * system.f_bsize - room, 0)))

kept, refusals = 0, []
for room in range(0, {room}, {room} // 40):
    leave(room)
    try:
        ours.execute("BEGIN")
        for table in tables:
            ours.executemany(f"INSERT INTO {{table}} (b) VALUES (?)", [("x" * {size},)] * {rows})
        ours.execute("COMMIT")
        kept += {rows}
    except api.OperationalError as error:
        assert "nothing of this transaction was kept" in str(error), error
        assert "is committed" not in str(error), error
        assert not ours.in_transaction
        refusals.append(str(error).split(":")[0])
    assert counts() == [kept] * 3, (room, counts())
    if kept * {size} > 1_200_000:
        kept = 0
        Path("ballast").write_bytes(b"")
        for table in tables:
            ours.execute(f"DELETE FROM {{table}}")
            ours.execute("VACUUM " + table[:-2])
assert len(set(refusals)) >= 2, refusals
os.unlink("ballast")
assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
ours.execute("INSERT INTO third.t (b) VALUES (1)")
ours.close()
for name in ("main", "second", "third"):
    assert kvsh(f"{{name}}.db", "-c", "PRAGMA integrity_check")[:2] == (0, "ok")
""",
    )


@needs_mount
def test_a_new_database_on_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    run_on_small_disk(
        tmp_path,
        """
try:
    with open("ballast", "wb", buffering=0) as ballast:
        while True: ballast.write(bytes(4096))
except OSError: pass
refused(lambda: open_store("db"), "db: unable to open database file: No space left")
Path("empty").touch()
refused(lambda: open_store("empty"), "empty: unable to open database file: No space left")
assert sorted(os.listdir(".")) == ["ballast", "empty"]
os.unlink("ballast")
put(open_store("db"), b"k", 9)
""",
    )


@needs_mount
def test_media_that_cannot_be_written_are_read_and_refuse_to_be_written(tmp_path: Path) -> None:
    run_on_small_disk(
        tmp_path,
        """
store = open_store("db")
put(store, b"k", 9)
store.close()
torn = Path("db").read_bytes() + b"torn tail"
Path("db").write_bytes(torn)
subprocess.run(["mount", "-o", "remount,ro", os.getcwd()], check=True)
store = open_store("db", readonly=True)
assert sizes(store) == {b"k": 9} and store.check() == []
refused(lambda: store.backup("copy"), "Read-only file system")
store.close()
refused(lambda: open_store("db"), "db: unable to open database file: Read-only file system")
refused(lambda: open_store("new"), "new: unable to open database file: Read-only file system")
assert Path("db").read_bytes() == torn
assert kvsh("--readonly", "db", "get", "k") == (0, "x" * 9, "")
status, out, err = kvsh("db", "put", "k", "v")
assert status == 1 and "Read-only file system" in err and err.count("\\n") == 0, err
assert kvsh("db", "SELECT count(*) FROM kv") == (0, "1", "")
""",
    )


def run_without_privileges(directory: Path, code: str) -> None:
    """Run the code in `directory`; root gives up its right to write everywhere for it."""
    command = [sys.executable, "-c", PRELUDE + code]
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root can't give up its privileges here")
        dropped = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}", *command]
    done = run(command, directory)
    directory.chmod(0o755)
    assert done.returncode == 0, done.stderr


def run(command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_directory_that_cannot_be_written_costs_compactions_and_backups_but_no_commits(
    tmp_path: Path,
) -> None:
    run_without_privileges(
        tmp_path,
        """
store = open_store("db")
put(store, b"k", 9)
store.checkpoint()
os.chmod(".", 0o555)
put(store, b"l", 9)
refused(store.compact, "compaction was abandoned, the database is as it was (Permission denied)")
refused(lambda: store.backup("copy"), "copy: the backup can't be written: Permission denied")
refused(lambda: open_store("new"), "new: unable to open database file: Permission denied")
store.close()
store = open_store("db")
put(store, b"m", 9)
assert sizes(store) == {b"k": 9, b"l": 9, b"m": 9}
assert os.listdir(".") == ["db"]
""",
    )


def test_a_file_that_may_not_be_written_is_read(tmp_path: Path) -> None:
    run_without_privileges(
        tmp_path,
        """
store = open_store("db")
put(store, b"k", 9)
store.close()
os.chmod("db", 0o444)
assert sizes(open_store("db", readonly=True)) == {b"k": 9}
refused(lambda: open_store("db"), "db: unable to open database file: Permission denied")
assert kvsh("db", "get", "k") == (0, "x" * 9, "")
message = "kvsh: the database is open read-only: db may not be written (Permission denied)"
assert kvsh("db", "put", "k", "v") == (1, "", message)
os.chmod("db", 0)
refused(lambda: open_store("db", readonly=True), "Permission denied")
""",
    )


def test_without_file_descriptors_work_goes_on_and_what_needs_one_is_one_clear_error(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path / "db")
    transaction = store.begin(write=True)
    transaction.tree(1).put(b"k", b"v")
    transaction.commit()
    import engine.compaction  # noqa: F401, not loaded yet: needs a descriptor, too

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        with pytest.raises(StorageError, match="Too many open files"):
            open_store(tmp_path / "db")
        with pytest.raises(StorageError, match=r"as it was \(Too many open files\)"):
            store.compact()
        with pytest.raises(StorageError, match="can't be written: Too many open files"):
            store.backup(str(tmp_path / "copy"))
        transaction = store.begin(write=True)
        transaction.tree(1).put(b"l", b"v" * 100_000)
        transaction.commit()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    store.compact()
    assert store.check() == []
    assert len(store.begin().tree(1)) == 2
    store.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["db"]


def test_statements_that_need_a_descriptor_to_be_imported_fail_by_an_error_of_ours(
    tmp_path: Path,
) -> None:
    """What a statement of its kind first needs is imported then: a plain OSError came out."""
    code = """
import resource
import kvsh
con = kvsh.connect("db", isolation_level=None)
con.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b)")
con.execute("INSERT INTO t (b) VALUES (1)")
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
statements = ["UPDATE t SET b = 2", "DELETE FROM t WHERE b = 7", "CREATE INDEX tb ON t (b)", "VACUUM"]
for statement in statements:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        con.execute(statement)
    except kvsh.OperationalError as error:
        assert "Too many open files" in str(error), error
        assert error.sqlite_errorname == "SQLITE_CANTOPEN" or statement == "VACUUM", error
    else:
        raise AssertionError(statement)
    assert not con.in_transaction
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    con.execute(statement)
assert con.execute("SELECT * FROM t").fetchall() == [(1, 2)]
"""
    done = run([sys.executable, "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr


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


def test_a_statement_that_is_undone_after_a_full_disk_says_what_was_wrong(tmp_path: Path) -> None:
    """What undid its half read pages of the failed transaction, and that error took the place of the first."""
    path = tmp_path / "db"
    rows = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 30000)"
    script = f"""
        CREATE TABLE t (a INTEGER PRIMARY KEY, b);
        {rows} INSERT INTO t SELECT i, hex(randomblob(60)) FROM c;
    """
    subprocess.run(
        [sys.executable, "-m", "kvsh", path], input=script, text=True, cwd=ROOT, check=True
    )
    blocks = path.stat().st_size // 512 + 100
    words = [sys.executable, "-m", "kvsh", str(path), "DELETE FROM t WHERE a % 2"]
    done = subprocess.run(
        ["sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 1
    assert "database or disk is full (File too large)" in done.stderr
    count = subprocess.run(
        [sys.executable, "-m", "kvsh", path, "SELECT count(*) FROM t"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert count.stdout == "30000\n"


def test_every_fact_of_the_ground_is_named_where_the_code_relies_on_it() -> None:
    table = (ROOT / "docs" / "durability.md").read_text(encoding="utf-8")
    facts = re.findall(r"^\| (\d+) [A-Z]", table, re.MULTILINE)
    assert facts == [str(number) for number in range(1, 13)]
    sources = [*(ROOT / "engine").glob("*.py"), *(ROOT / "btree").glob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources).lower()
    assert [fact for fact in facts if not re.search(rf"\bfact {fact}\b", text)] == []


def test_a_file_that_is_moved_removed_or_replaced_while_it_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path's file is the database: writers follow it, and go nowhere if there is none."""
    monkeypatch.setattr("engine.locking.Locking.name_seen_ms", 0)
    for name in ("one", "other"):
        store = open_store(tmp_path / name)
        for number in range(3):
            transaction = store.begin(write=True)
            transaction.tree(1).put(b"name", b"%s %d" % (name.encode(), number))
            transaction.commit()
        store.close()
    store = open_store(tmp_path / "one")
    reader, upgrading = store.begin(), store.begin()
    os.replace(tmp_path / "other", tmp_path / "one")
    with pytest.raises(ConflictError):  # the commit's number is the same, the commit isn't
        upgrading.upgrade()
    assert reader.tree(1).get(b"name") == b"one 2"
    writer = store.begin(write=True)
    assert writer.tree(1).get(b"name") == b"other 2"
    writer.rollback()
    assert store.check() == []
    (tmp_path / "one").unlink()
    with pytest.raises(StorageError, match="the file was removed while it was open"):
        store.begin(write=True)
    (tmp_path / "one").write_bytes(b"hello " * 1000)
    with pytest.raises(StoreError, match="file is not a database"):
        store.begin(write=True)
    store.close()  # and lets what is there alone
    assert (tmp_path / "one").read_bytes() == b"hello " * 1000


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_file_that_may_only_be_read_is_said_to_be_one(tmp_path: Path, number: int) -> None:
    """Permission denied was all that was said, also of a file that `--readonly` opens."""

    class Guarded(OsFileSystem):
        def open(self, path: str, *, readonly: bool) -> OsFile:
            if not readonly:
                raise OSError(number, os.strerror(number))
            return super().open(path, readonly=readonly)

    open_store(tmp_path / "db").close()
    with pytest.raises(StorageError, match="open it read-only"):
        open_store(tmp_path / "db", files=Guarded())
    open_store(tmp_path / "db", files=Guarded(), readonly=True).close()
    with pytest.raises(StorageError, match=os.strerror(number)) as refused:
        open_store(tmp_path / "nothing", files=Guarded())
    assert "read-only (" not in str(refused.value)


def test_a_handle_that_met_a_full_disk_lets_go_of_its_file_when_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of the write that failed kept the file open, and a file that a compaction had replaced kept its room on
    the full disk, until the collector came."""
    store = open_store(tmp_path / "db")

    def put_many(store: Any) -> None:
        transaction = store.begin(write=True)
        transaction.tree(1).load([b"%06d" % at for at in range(20_000)], [b"v" * 100] * 20_000)
        try:
            transaction.commit()
        finally:
            transaction.rollback()

    with monkeypatch.context() as patched:

        def full(file: OsFile, data: bytes, offset: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patched.setattr(OsFile, "write", full)
        logging.disable(logging.CRITICAL)  # pytest keeps what is logged
        gc.disable()
        try:
            told = ""
            try:  # `raises` would hold the error
                put_many(store)
            except StorageError as error:
                told = str(error)
            assert "disk is full" in told
            store.close()
            assert not [name for name in open_files() if name.startswith(str(tmp_path))]
        finally:
            logging.disable(logging.NOTSET)
            gc.enable()


def open_files() -> list[str]:
    """What the descriptors of this process lead to."""
    names = []
    for number in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):
            names.append(os.readlink(f"/dev/fd/{number}"))
    return names
