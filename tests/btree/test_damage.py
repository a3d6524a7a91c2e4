"""Bytes of a file change, vanish or move: right rows or one clear error, never anything else."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import sqlite3
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from btree import NotADatabaseError, StorageError, StoreError, TreeKind, open_store
from engine.format import (
    KIND_PAGE,
    Slot,
    decode_header,
    decode_record,
    encode_header,
    encode_record,
    new_database_id,
    salt_of,
)
from engine.format import (
    WORDS as LIVE_WORDS,
)
from tests.engine.simulated import SimulatedDisk
from tests.engine.workload import Content, content_of, opened, small_limits

WORDS = [0] * LIVE_WORDS


def small_database(seed: int = 0, *, redo: bool = True) -> tuple[bytes, Content]:
    """A closed database of a few kilobytes, and its content."""
    rng = random.Random(seed)
    disk = SimulatedDisk()
    with small_limits():
        store = opened(disk, page_bytes=200)
        for _ in range(6):
            transaction = store.begin(write=True)
            if 3 not in transaction.tree_ids():
                transaction.create_tree(TreeKind.TABLE)
            for _ in range(6):
                transaction.tree(1).put(b"%d" % rng.randrange(40), rng.randbytes(9))
                transaction.tree(3).put(rng.randrange(40), (rng.randrange(99), "text", None))
            transaction.tree(1).put(b"large", rng.randbytes(500))
            transaction.commit()
        store.checkpoint()
        if redo:
            transaction = store.begin(write=True)
            transaction.tree(1).put(b"last", b"redo")
            transaction.commit()
        content = content_of(store.begin())
        store.close()
    return disk.content("db"), content


def examine(data: bytes, content: Content | tuple[Content, ...], what: str) -> bool:
    """Open the bytes, read everything; whether the content was there.  Anything but a StoreError is a bug."""
    disk = SimulatedDisk.found({"db": 1}, {1: (data, list(WORDS))})
    try:
        store = opened(disk)
    except StoreError as error:
        assert "\n" not in str(error)
        return False
    try:
        found = content_of(store.begin())
        right = content if isinstance(content, tuple) else (content,)
        assert found in right, f"{what}: wrong content"
        transaction = store.begin(write=True)
        transaction.tree(1).put(b"new", b"entry")
        transaction.commit()
    except StoreError as error:
        assert "\n" not in str(error)
        return False
    finally:
        with contextlib.suppress(StoreError):
            store.check()
        store.close()
    return True


@pytest.mark.parametrize("redo", [False, True])
def test_every_flipped_byte_gives_right_rows_or_a_clear_error(redo: bool) -> None:
    data, content = small_database(redo=redo)
    rng = random.Random(1)
    used = [*range(80), *range(512, 592), *range(1024, 1056), *range(4096, len(data))]
    noticed = 0
    for at in used:
        damaged = bytearray(data)
        damaged[at] ^= rng.randrange(1, 256)
        noticed += not examine(bytes(damaged), content, f"byte {at}")
    assert noticed > 1000, noticed


def test_every_truncation_gives_right_rows_or_a_clear_error() -> None:
    data, content = small_database()
    for size in range(1, len(data)):
        whole = examine(data[:size], content, f"{size} bytes")
        assert whole == (size > len(data) - 8)  # the last record is padded


@pytest.mark.parametrize("seed", range(3))
def test_blocks_zeroed_swapped_or_repeated_give_right_rows_or_a_clear_error(seed: int) -> None:
    data, content = small_database(seed)
    rng = random.Random(seed)
    for _ in range(250):
        damaged = bytearray(data)
        size = rng.choice([8, 32, 512, 1000])
        one, other = (rng.randrange(0, len(data) - size) // 8 * 8 for _ in range(2))
        choice = rng.randrange(4)
        if choice == 0:
            damaged[one : one + size] = bytes(size)
        elif choice == 1:
            damaged[one : one + size] = data[other : other + size]
            damaged[other : other + size] = data[one : one + size]
        elif choice == 2:
            damaged[one : one + size] = data[other : other + size]
        else:
            damaged[one:one] = data[other : other + size]
        examine(bytes(damaged), content, f"blocks {choice} {one} {other} {size}")


def test_two_files_spliced_give_right_rows_or_a_clear_error() -> None:
    data, content = small_database(1)
    other, others = small_database(2)
    rng = random.Random(3)
    for _ in range(200):
        at = rng.randrange(0, len(data)) // 8 * 8
        both = (content, others) if at < 4096 else (content,)  # whose header it is decides
        examine(data[:at] + other[at:], both, f"spliced at {at}")
        start = rng.randrange(4096, len(other)) // 8 * 8
        examine(data + other[start:], content, f"continued from {start}")


def test_an_older_copy_of_a_tail_does_not_continue_a_newer_log() -> None:
    data, content = small_database(1)
    for start in range(4096, len(data), 8):
        examine(data + data[start:], content, f"repeated from {start}")


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_for_pages_never_decode_to_anything_but_nodes_or_errors(seed: int) -> None:
    from btree import CorruptionError
    from btree.codec import decode_node
    from btree.directory import decode_directory
    from btree.large_values import decode_large
    from btree.redo import decode_redo

    rng = random.Random(seed)
    for _ in range(3000):
        kind = rng.choice(list(TreeKind))
        head = bytes(
            (
                1,
                kind,
                rng.choice((0, 1, 255)),
                rng.choice((0, 1, 2, 3, 65, 128, 129, 130, 192, 193, 194, 195)),
            )
        )
        payload = head + rng.randbytes(rng.randrange(40))
        if rng.random() < 0.5:
            payload = head + b"\x92" + rng.randbytes(rng.randrange(12))
        for decode in (
            lambda: decode_node(kind, payload, 1, 0),  # noqa: B023
            lambda: decode_large(kind, payload, 1),  # noqa: B023
            lambda: decode_directory(b"\3\0\xfe\0" + payload),  # noqa: B023
            lambda: decode_redo(payload),  # noqa: B023
        ):
            with contextlib.suppress(CorruptionError):
                decode()  # type: ignore[no-untyped-call]


def test_damaged_lengths_ask_for_no_memory_out_of_proportion() -> None:
    """Of records, and of what msgpack says is in a page; each record's checksum is made to fit."""
    data, content = small_database()
    salt = salt_of(decode_header(data[:4096], "db")[0].database_id)
    position = 4096
    while (record := decode_record(salt, data, position)) is not None:
        lying = []
        for length in (1 << 16, (1 << 27) - 64, (1 << 32) - 1):
            lying.append(data[position : position + 4] + length.to_bytes(4, "little"))
        for size in (b"\xdd\xff\xff\xff\xff", b"\xc6\x7f\xff\xff\xff"):  # 2^32 entries, 2^31 bytes
            payload = record.payload[:4] + size + record.payload[4:][len(size) :]
            if len(payload) == len(record.payload) and record.kind == KIND_PAGE:
                fields = (record.kind, record.lsn, record.page, payload, record.pages)
                lying.append(encode_record(salt, *fields)[0])
        for start in lying:
            damaged = data[:position] + start + data[position + len(start) :]
            tracemalloc.start()
            examine(damaged, content, f"the length at {position}")
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < 4_000_000, f"{peak} bytes of memory for the record at {position}"
        position += record.span
    assert position == len(data)


# -- files that are something else -------------------------------------------------------------------


def newer_format() -> bytes:
    return encode_header(Slot(new_database_id(), 1, version=2))


JUNK = {
    "one byte": b"x",
    "random bytes": random.Random(0).randbytes(9000),
    "zeros": bytes(9000),
    "a truncated header": encode_header(Slot(new_database_id(), 1))[:600],
    "an image": b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 9, 9) * 200,
    "a text": b"INSERT INTO t VALUES (1);\n" * 300,
    "a newer format": newer_format(),
}


@pytest.mark.parametrize("what", JUNK)
@pytest.mark.parametrize("readonly", [False, True])
def test_a_file_that_is_something_else_is_refused_and_not_changed(
    tmp_path: Path, what: str, readonly: bool
) -> None:
    path = tmp_path / "file"
    path.write_bytes(JUNK[what])
    os.utime(path, (1, 1))
    with pytest.raises(NotADatabaseError) as caught:
        open_store(path, readonly=readonly)
    assert str(path) in str(caught.value)
    assert ("newer" in str(caught.value)) == (what == "a newer format")
    assert path.read_bytes() == JUNK[what]
    assert path.stat().st_mtime == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("readonly", [False, True])
def test_a_database_that_was_cut_within_its_header_is_not_called_something_else(
    tmp_path: Path, readonly: bool
) -> None:
    path = tmp_path / "file"
    open_store(path).close()
    whole = path.read_bytes()
    for length in range(1, 4096, 7):
        path.write_bytes(whole[:length])
        says = f"cut off after {length} bytes" if length >= 8 else f"only {length} byte"
        with pytest.raises(NotADatabaseError, match=says):
            open_store(path, readonly=readonly)
    path.write_bytes(b"")
    with pytest.raises(NotADatabaseError, match="it is empty"):
        open_store(path, readonly=True)


def test_a_sqlite_file_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NotADatabaseError, match="SQLite"):
        open_store(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("readonly", [False, True])
def test_directories_fifos_sockets_and_devices_are_refused_without_waiting(
    tmp_path: Path, readonly: bool
) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(tmp_path)  # the name of a socket is short
    listener.bind("socket")
    os.chdir(here)
    for path in (tmp_path / "directory", tmp_path / "fifo", tmp_path / "socket", "/dev/null"):
        with pytest.raises((NotADatabaseError, StorageError)) as caught:
            open_store(path, readonly=readonly)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    listener.close()


def test_an_empty_file_becomes_a_database_unless_it_is_opened_to_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(StoreError):
        open_store(path, readonly=True)
    assert path.read_bytes() == b""
    store: Any = open_store(path)
    store.close()
    assert path.stat().st_size >= 4096


def test_a_file_that_is_not_there_is_not_made_by_opening_it_to_read(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        open_store(tmp_path / "file", readonly=True)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="unable to open database file"):
        open_store(tmp_path / "no" / "file")
