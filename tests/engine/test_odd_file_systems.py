"""File systems that lack what others have, files that were cut, grown, linked or swapped, and very large ones."""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
from array import array
from pathlib import Path
from typing import Any

import pytest

from btree import CorruptionError, StorageError, StoreError, open_store
from engine import PageStore
from engine.file import OsFileSystem
from engine.format import (
    KIND_TABLE,
    LOG_START,
    OFFSET_MAX,
    TABLE_HEAD,
    Slot,
    decode_header,
    encode_header,
    encode_record,
    salt_of,
)
from engine.log import Log
from tests.engine.system_calls import held, system_calls
from tests.engine.test_surroundings import run_without_privileges
from tests.engine.test_takeovers import put


class Without:
    """Calls that are not to be had, as the system says it."""

    def __init__(self, error: int, *names: str) -> None:
        self.error, self.names = error, names

    def before(self, name: str) -> int | None:
        if name in self.names:
            raise OSError(self.error, os.strerror(self.error))
        return None


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES])
@pytest.mark.parametrize("unnamed", [False, True])
def test_without_hard_links_databases_are_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, unnamed: bool
) -> None:
    """On a memory stick (FAT), none could be: a new file got its name by a link."""
    if not unnamed:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    with system_calls(Without(error, "link").before):
        store = open_store(tmp_path / "db")
        put(store, b"k")
        store.compact()
        store.backup(str(tmp_path / "copy"))
        assert held(store) == {b"k": b"v"}
        store.close()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy", "db"]


def test_without_hard_links_a_name_that_others_take_meanwhile_is_theirs(tmp_path: Path) -> None:
    path = tmp_path / "db"
    first: list[Any] = []

    def before(name: str) -> int | None:
        if name == "link":
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        if name == "flock" and not first and path.exists():
            assert path.stat().st_size == 0  # the name is taken, and no database yet
            first.append(None)
            first[0] = open_store(path)
            put(first[0], b"theirs")
        return None

    with system_calls(before):
        store = open_store(path)
    assert held(store) == held(first[0]) == {b"theirs": b"v"}
    for handle in (store, first[0]):
        handle.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["db"]


@pytest.mark.parametrize("error", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_without_allocation_synced_writes_and_synced_directories_all_goes_on(
    tmp_path: Path, error: int
) -> None:
    def before(name: str) -> int | None:
        if name in ("posix_fallocate", "pwritev"):
            raise OSError(error, os.strerror(error))
        return None

    path = tmp_path / "db"
    with system_calls(before):
        store = open_store(path)
        for number in range(50):
            put(store, b"%d" % number, b"x" * 3000)
        store.compact()
        put(store, b"after")
        assert len(held(store)) == 51 and store.check() == []
        store.close()


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("flock", errno.ENOLCK, "can't be locked by flock"),
        ("flock", errno.ENOSYS, "can't be locked by flock"),
        ("flock", errno.EOPNOTSUPP, "can't be locked by flock"),
        ("mmap", errno.ENODEV, "can't be shared by mmap"),
        ("mmap", errno.EINVAL, "can't be shared by mmap"),
    ],
)
def test_without_locks_or_shared_maps_a_file_is_not_opened_and_the_error_says_why(
    tmp_path: Path, name: str, error: int, words: str
) -> None:
    path = tmp_path / "db"
    store = open_store(path)
    put(store, b"k")
    with system_calls(Without(error, name).before):
        for readonly in (False, True):
            with pytest.raises(StorageError, match=f"db: .*{words}: {os.strerror(error)}"):
                open_store(path, readonly=readonly)
        if name == "flock":
            for _ in range(2):
                with pytest.raises(StorageError, match=words):
                    put(store, b"l")
            assert held(store) == {b"k": b"v"}
    put(store, b"m")
    assert held(store) == {b"k": b"v", b"m": b"v"}
    store.close()


def test_a_path_that_can_be_looked_at_no_more_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who commits again and again met it on the short way, and it was no error of ours."""
    monkeypatch.setattr("engine.locking.Locking.name_seen_ms", 0)
    store = open_store(tmp_path / "db")
    put(store, b"k")
    put(store, b"k")
    for durability in ("full", "off"):
        other = open_store(tmp_path / "db", durability=durability)  # type: ignore[arg-type]
        with system_calls(Without(errno.EACCES, "stat").before):
            for handle in (store, other):
                with pytest.raises(StorageError, match=r"db: .*Permission denied"):
                    put(handle, b"l")
        assert b"l" not in held(other)
        put(other, b"k")
        other.close()
    store.close()


def test_a_directory_that_may_not_be_listed_does_for_a_database(tmp_path: Path) -> None:
    """Its name could not be synced, so nothing could be committed."""
    run_without_privileges(
        tmp_path,
        """
os.chmod(".", 0o300)
store = open_store("db")
put(store, b"k", 9)
store.compact()
store.backup("copy")
put(store, b"l", 9)
assert sizes(store) == {b"k": 9, b"l": 9}
store.close()
assert sizes(open_store("copy")) == {b"k": 9}
""",
    )


def grown_to(path: Path, offset: int) -> bool:
    """Have the log of a database go on near an offset, behind a hole; whether the file system has such files."""
    content = path.read_bytes()
    slot = decode_header(content[:LOG_START], "db")[0]
    file = OsFileSystem().open(str(path), readonly=True)
    log = Log(file, "db")
    log.scan()
    assert not log.redo, "to be closed with a page table"
    entries: array[int] = log.table.flattened(log.table.overlays)
    payload = TABLE_HEAD.pack(log.chain_crc, 0, log.next_page) + entries.tobytes()
    record, _ = encode_record(salt_of(slot.database_id), KIND_TABLE, log.lsn, 0, payload)
    file.close()
    offset -= offset % 8
    synced = offset + len(record)
    header = encode_header(
        Slot(slot.database_id, slot.sequence + 1, offset, log.lsn, synced, slot.version)
    )
    with path.open("r+b") as changed:
        try:
            changed.seek(offset)
            changed.write(record)
            changed.flush()
        except OSError as error:
            assert error.errno in (errno.EFBIG, errno.EINVAL)
            return False
        changed.seek(0)
        changed.write(header)
    return True


@pytest.mark.parametrize("offset", [(1 << 31) - 1000, (1 << 32) - 1000, 5 << 40])
def test_offsets_of_gigabytes_and_terabytes(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "db"
    store = open_store(path)
    for number in range(20):
        put(store, b"%d" % number, b"x" * 300)
    store.checkpoint()
    store.close()
    expected = {b"%d" % number: b"x" * 300 for number in range(20)}
    if not grown_to(path, offset):
        pytest.skip("no file is so large here")
    store = open_store(path)
    reader = open_store(path, readonly=True)
    assert held(store) == held(reader) == expected
    for number in range(20):
        put(store, b"%d/" % number, b"y" * 900)
        expected[b"%d/" % number] = b"y" * 900
        if number == 10:
            store.checkpoint()
    assert path.stat().st_size > offset
    assert held(store) == held(reader) == expected
    store.close()
    store = open_store(path)
    assert held(store) == expected
    store.compact()
    assert held(store) == held(reader) == expected and store.check() == []
    assert path.stat().st_size < 1 << 20
    store.close()
    reader.close()


def test_a_log_that_has_no_more_room_for_offsets_says_so_and_can_be_backed_up(
    tmp_path: Path,
) -> None:
    """A page's place in the file has 40 bits for an offset / 8; a larger one was an OverflowError."""
    path = tmp_path / "db"
    store = open_store(path)
    put(store, b"k")
    store.checkpoint()
    store.close()
    if not grown_to(path, OFFSET_MAX - 200_000):
        pytest.skip("no file is so large here")
    store = open_store(path)
    done = 0
    with pytest.raises(StorageError, match="8 TiB at most"):
        for number in range(100):
            put(store, b"%d" % number, b"x" * 5000)
            done += 1
    assert done > 10
    with pytest.raises(StorageError, match="8 TiB"):
        put(store, b"large", b"x" * 300_000)
    assert len(held(store)) == done + 1
    store.backup(str(tmp_path / "copy"))
    store.close()
    store = open_store(tmp_path / "copy")
    put(store, b"large", b"x" * 300_000)
    assert len(held(store)) == done + 2 and store.check() == []
    store.close()


def test_a_file_that_grows_by_garbage_is_cut_to_its_log(tmp_path: Path) -> None:
    """Zeros, noise, pages of its own, and what another database has logged."""
    rng = random.Random(1)
    other = open_store(tmp_path / "other")
    path = tmp_path / "db"
    store = open_store(path)
    for number in range(10):
        put(store, b"%d" % number, rng.randbytes(200))
        put(other, b"%d" % number, b"others")
    other.close()
    expected = held(store)
    own, others = path.read_bytes(), (tmp_path / "other").read_bytes()
    for garbage in (bytes(70_000), rng.randbytes(70_000), own[LOG_START:], others[LOG_START:]):
        with path.open("ab") as file:  # under the open handle
            file.write(garbage)
        put(store, b"0", b"again")
        expected[b"0"] = b"again"
        assert held(store) == expected
        store.close()
        with path.open("ab") as file:  # and a closed one
            file.write(garbage)
        reader = open_store(path, readonly=True)
        assert held(reader) == expected and reader.check() == []
        reader.close()
        store = open_store(path)
        assert held(store) == expected and store.check() == []
    store.close()


def test_a_file_that_is_cut_under_its_handles_is_damaged_and_nothing_is_made_up(
    tmp_path: Path,
) -> None:
    path = tmp_path / "db"
    store = open_store(path, cache_bytes=4000, page_bytes=200)
    for number in range(100):
        put(store, b"%d" % number, b"x" * 300)
    store.checkpoint()
    put(store, b"newest")
    store.close()
    store, reader = (open_store(path, cache_bytes=4000, page_bytes=200) for _ in range(2))
    os.truncate(path, path.stat().st_size // 2)
    for handle in (store, reader):
        with pytest.raises(CorruptionError, match="db: "):
            held(handle)
    for readonly in (False, True):
        with pytest.raises(CorruptionError, match="damaged at offset"):
            open_store(path, readonly=readonly)
    store.close()
    reader.close()


@pytest.mark.parametrize("durability", ["full", "off"])
@pytest.mark.parametrize("size", [1, 1200, LOG_START, LOG_START + 5000])
@pytest.mark.parametrize("puts", [0, 1, 5, 400])
def test_a_file_that_is_cut_under_its_writer_takes_no_more_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Any, size: int, puts: int
) -> None:
    """They would stand behind a hole, and be acknowledged.  The writer looks once in so many milliseconds; what it has
    written between has the file's old size again, but not the space that was allocated behind it."""
    store = open_store(tmp_path / "db", durability=durability)
    for number in range(100):
        put(store, b"%d" % number, b"x" * 100)
    expected = held(store)
    monkeypatch.setattr("engine.locking.Locking.name_seen_ms", 1 << 62)
    os.truncate(tmp_path / "db", size)
    with pytest.raises(CorruptionError, match="cut by another program"):
        for number in range(puts):
            put(store, b"%d" % number, b"y" * 100)
            expected[b"%d" % number] = b"y" * 100
        monkeypatch.setattr("engine.locking.Locking.name_seen_ms", 0)
        put(store, b"k")
    assert held(store) == expected  # from memory
    with pytest.raises(CorruptionError, match="cut by another program"):
        store.compact()
    with pytest.raises(CorruptionError, match="cut by another program"):
        store.close()


def test_a_handle_whose_spare_space_another_one_has_trimmed_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.locking.Locking.name_seen_ms", 0)
    store, other = open_store(tmp_path / "db"), open_store(tmp_path / "db")
    put(other, b"k")
    put(store, b"l")
    put(store, b"m")
    before = (tmp_path / "db").stat().st_size
    os.truncate(tmp_path / "db", store.pages.current_log.end)  # as `trim` does
    assert (tmp_path / "db").stat().st_size < before
    for number in range(400):
        put(store, b"%d" % number, b"x" * 300)
    assert len(held(other)) == 403 and store.check() == []
    other.close()
    store.close()


def test_two_databases_that_change_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer goes by the name; a reader keeps its snapshot, and what others commit isn't mixed up."""
    monkeypatch.setattr("engine.locking.Locking.name_seen_ms", 0)
    stores = {}
    for name in (b"a", b"b"):
        stores[name] = open_store(tmp_path / name.decode())
        for number in range(3 if name == b"a" else 7):
            put(stores[name], b"%d" % number, name)
    before = {name: store.begin() for name, store in stores.items()}
    os.rename(tmp_path / "a", tmp_path / "between")
    os.rename(tmp_path / "b", tmp_path / "a")
    os.rename(tmp_path / "between", tmp_path / "b")
    for name, reading in before.items():
        assert reading.tree(1).get(b"0") == name
        reading.rollback()
    for name, store in stores.items():
        put(store, b"by", name)
    assert held(stores[b"a"]) == {**{b"%d" % n: b"b" for n in range(7)}, b"by": b"a"}
    assert held(stores[b"b"]) == {**{b"%d" % n: b"a" for n in range(3)}, b"by": b"b"}
    for store in stores.values():
        assert store.check() == []
        store.close()


def test_links_lead_to_one_database_and_a_hard_link_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = open_store(path)
    put(store, b"k")
    (tmp_path / "soft").symlink_to("db")
    os.link(path, tmp_path / "hard")
    soft, hard = open_store(tmp_path / "soft", timeout=0.05), open_store(tmp_path / "hard")
    put(soft, b"l")
    put(hard, b"m")
    everything = {b"k": b"v", b"l": b"v", b"m": b"v"}
    assert held(store) == held(soft) == held(hard) == everything
    soft.compact()
    put(store, b"n")
    assert held(soft) == held(store) == {**everything, b"n": b"v"}
    put(hard, b"o")  # the old file by its other name is a database by itself from now on
    assert held(hard) == {**everything, b"o": b"v"}
    assert held(store) == {**everything, b"n": b"v"}
    for handle in (store, soft, hard):
        assert handle.check() == []
        handle.close()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StorageError, match="loop: unable to open database file"):
        open_store(tmp_path / "loop")


def test_a_file_with_no_name_any_more_is_read_and_refuses_to_be_written(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store, reader = open_store(path), open_store(path)
    put(store, b"k")
    shutil.move(path, tmp_path / "elsewhere")
    assert held(reader) == {b"k": b"v"}
    with pytest.raises(StorageError, match="removed while it was open"):
        put(reader, b"l")
    with pytest.raises(StoreError, match="removed while it was open"):
        reader.compact()
    assert not path.exists()
    shutil.move(tmp_path / "elsewhere", path)
    put(reader, b"l")
    assert held(store) == {b"k": b"v", b"l": b"v"}
    for handle in (store, reader):
        handle.close()


def test_a_clock_that_goes_backwards_orders_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1 << 60]
    monkeypatch.setattr("time.time_ns", lambda: now[0])
    path = tmp_path / "db"
    store, other = open_store(path), open_store(path)
    for number in range(20):
        now[0] //= 3
        put((store, other)[number % 2], b"%d" % number)
        store.pages.current_log.words[3] = 1 << 50  # somebody waits, says a clock of another day
    store.compact()
    assert len(held(other)) == 20 and other.check() == []
    times = [commit.time_ms for commit in store.log()]
    assert times and re.fullmatch(r"[0-9, ]*", str(times)[1:-1])
    for handle in (store, other):
        handle.close()


def test_the_same_page_store_may_be_closed_while_a_snapshot_is_read(tmp_path: Path) -> None:
    store = PageStore.open(tmp_path / "db")
    writer = store.begin()
    writer.put(2, b"page")
    writer.commit_pages().wait()
    seen = store.snapshot()
    store.compact()
    store.close()
    assert seen.get(2) == b"page"
    seen.close()
