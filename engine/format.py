"""The bytes of a database file: constants, headers, records.  Stored on disk, do not change.

    file    = slot A | slot B | live words | zeros to 4096 | record*
    slot    = magic 8 | version u32 | flags u32 | database id 16 | sequence u64
              | table offset u64 | table lsn u64 | synced offset u64 | crc32 u32
              (each in 512 bytes of its own; everything before its synced offset is on the disk)
    record  = crc32 u32 | length u32 | lsn u64 | page u64 | kind u8 | 0 | mark 2 | pages u32 | payload | pad to 8

All integers are little-endian.  A record's crc covers everything after it, payload included, and
starts from the database id's own crc, so that a record of another database never passes.

    PAGE    one page's bytes; `page` is its number, `lsn` the commit it belongs to
    DELETE  the page is gone
    PAGES   a commit of the PAGE and DELETE records before it; payload = chain
    REDO    a commit of an opaque payload; payload = chain | redo
    TABLE   the page table as of commit `lsn`; payload = chain crc u32 | 0 u32 | next page u64 | entries u64*

    chain   = predecessor's crc u32 | crc of the commit's page records' crcs u32 | synced offset u64
              | first record's offset u64 | next page u64 | unix time ms u64

`pages` is the number of page records of a PAGES commit, and its `page` how many of them take the place of an earlier one
of the same commit.  Of a PAGE or DELETE it is what only a repair reads (`page_mark`).  The synced offset is how far the log was
known to be on the disk when the commit was written: damage before it is corruption, damage after it
is a torn tail.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from array import array
from typing import NamedTuple

from engine.errors import NotADatabaseError

MAGIC = b"kvshdb\r\n"
FORMAT_VERSION = 1
_SQLITE_MAGIC = b"SQLite format 3\0"
SLOT_BYTES = 512
WORDS_OFFSET = 1024
LOG_START = 4096
RECORD_MARK = 0xD5A7
PAYLOAD_BYTES_MAX = (1 << 27) - 64
OFFSET_MAX = 1 << 43
"""A location has 40 bits for an offset / 8."""

KIND_PAGE = 1
KIND_DELETE = 2
KIND_PAGES = 3
KIND_REDO = 4
KIND_TABLE = 5
COMMIT_KINDS = (KIND_PAGES, KIND_REDO)
_REDO_FIELDS = struct.pack("<QBBHI", 0, KIND_REDO, 0, RECORD_MARK, 0)

RECORD = struct.Struct("<IIQQBBHI")
_HEAD = struct.Struct("<IQQBBHI")  # a record without its crc
CHAIN = struct.Struct("<IIQQQQ")
_COMMIT = struct.Struct("<IQQBBHIIIQQQQ")  # a record without its crc, and the chain: packed at once
COMMIT = struct.Struct("<IIQQBBHIIIQQQQ")  # with it
_REDO_HEAD = struct.Struct("<IQ16sQQQQQ").pack  # `_COMMIT` with `_REDO_FIELDS`, and no crc of pages
PADS = tuple([bytes(-length & 7) for length in range(8)])
TABLE_HEAD = struct.Struct("<IIQ")
_SLOT = struct.Struct("<8sII16sQQQQ")
_CRC = struct.Struct("<I")
_HEAD_INTO, _CRC_INTO = _HEAD.pack_into, _CRC.pack_into

RECORD_BYTES = RECORD.size
CHAIN_BYTES = CHAIN.size

# Live words: u64 each, in no checksum, changed in place through a shared map.  Only hints.
WORD_VISIBLE = 0  # offset that readers may see up to
WORD_SYNCED = 1  # offset known to be on the disk
WORD_HOLDER = 2  # pid of the process that holds the writer's lock, else 0
WORD_WAITING = 3  # when another process last waited for the lock (unix time in ms)
WORD_COMPACTOR = 4  # pid of the process that writes a file to take this one's place, else 0
WORD_TAKEN_BACK = 5  # how many times unsynced commits that others may have seen were taken back
WORDS = 6

SUPERSEDED = 1 << 63
"""What WORD_VISIBLE holds once a compaction is about to put another file in this one's place: whether it has done
so, the path tells."""


OWNER_MAX = (1 << 24) - 1
TIMES_MAX = 127
MARKED_EARLY = 1 << 31
_TIMES_SHIFT = 24


def page_mark(owner: int, times: int, early: int) -> int:
    """What a page's record says of itself, for a repair: whose page it is (to the layer above; 0 if nobody's), how many times
    its commit had written it before (127: so many or more), and MARKED_EARLY if it was written before what its transaction
    put at its end, and so may have been changed again."""
    return (owner if owner <= OWNER_MAX else 0) | min(times, TIMES_MAX) << _TIMES_SHIFT | early


def owner_of(mark: int) -> int:
    return mark & OWNER_MAX


def times_of(mark: int) -> int:
    return mark >> _TIMES_SHIFT & TIMES_MAX


def padded(length: int) -> int:
    """`length` rounded up to a multiple of 8 bytes."""
    return (length + 7) & ~7


def pack_location(offset: int, length: int) -> int:
    """A record's place as one int: offset / 8 in the upper 40 bits, payload bytes / 8 rounded up below."""
    return (offset >> 3) << 24 | (length + 7) >> 3


def location_offset(location: int) -> int:
    return location >> 24 << 3


def location_span(location: int) -> int:
    """Bytes of the whole record, header and padding included."""
    return RECORD_BYTES + ((location & 0xFFFFFF) << 3)


def spans_of(locations: array[int]) -> int:
    """The sum of `location_span` of all but zeros.

    Each byte of the three that count is summed by itself, so that no integer is made of a location: a page table of
    12,000 entries took longer to add up than all else that opening a database does."""
    packed = locations.tobytes()
    if sys.byteorder == "big":
        packed = packed[::-1]
    low, middle, high = sum(packed[::8]), sum(packed[1::8]), sum(packed[2::8])
    records = len(locations) - locations.count(0)
    return RECORD_BYTES * records + ((low + (middle << 8) + (high << 16)) << 3)


InPlace = tuple[memoryview, memoryview, int]
"""A page as it was read, to be changed where it stands: its payload, the bytes that were read with it, and where its record
begins in these."""


class Slot(NamedTuple):
    """One header slot."""

    database_id: bytes
    sequence: int
    table_offset: int = 0
    table_lsn: int = 0
    synced: int = LOG_START
    version: int = FORMAT_VERSION


class Record(NamedTuple):
    """A record whose checksum held."""

    crc: int
    length: int
    lsn: int
    page: int
    kind: int
    pages: int
    payload: bytes

    @property
    def span(self) -> int:
        return RECORD_BYTES + padded(self.length)


class Chain(NamedTuple):
    predecessor: int
    pages_crc: int
    synced: int
    start: int
    next_page: int
    time_ms: int


def new_database_id() -> bytes:
    return os.urandom(16)


def salt_of(database_id: bytes) -> int:
    """The crc that every record's crc of this database starts from."""
    return zlib.crc32(database_id)


def encode_slot(slot: Slot) -> bytes:
    body = _SLOT.pack(
        MAGIC,
        slot.version,
        0,
        slot.database_id,
        slot.sequence,
        slot.table_offset,
        slot.table_lsn,
        slot.synced,
    )
    return (body + _CRC.pack(zlib.crc32(body))).ljust(SLOT_BYTES, b"\0")


def decode_slot(data: bytes) -> Slot | None:
    """The slot, or None if its checksum does not hold."""
    body = data[: _SLOT.size]
    if len(data) < _SLOT.size + 4 or body[:8] != MAGIC:
        return None
    if _CRC.unpack_from(data, _SLOT.size)[0] != zlib.crc32(body):
        return None
    _, version, _, database_id, sequence, table_offset, table_lsn, synced = _SLOT.unpack(body)
    return Slot(database_id, sequence, table_offset, table_lsn, synced, version)


def encode_header(slot: Slot) -> bytes:
    """The file's first 4096 bytes, both slots the same."""
    encoded = encode_slot(slot)
    return (encoded + encoded).ljust(LOG_START, b"\0")


def decode_header(data: bytes, path: str) -> tuple[Slot, ...]:
    """The valid slots, newest first.  NotADatabaseError if there is none, or a newer format's."""
    slots = [
        slot
        for slot in (decode_slot(data[:SLOT_BYTES]), decode_slot(data[SLOT_BYTES : 2 * SLOT_BYTES]))
        if slot is not None
    ]
    if not slots:
        what = (
            "it is one of SQLite's" if data.startswith(_SQLITE_MAGIC) else "it has no kvsh header"
        )
        raise NotADatabaseError(f"{path}: file is not a database: {what}, and was left as it is")
    newest = max(slot.version for slot in slots)
    if newest > FORMAT_VERSION:
        raise NotADatabaseError(
            f"{path}: made by a newer kvsh (format {newest}, this one reads up to"
            f" {FORMAT_VERSION}): upgrade kvsh to open it"
        )
    return tuple(sorted(slots, key=lambda slot: -slot.sequence))


def encode_record(
    salt: int, kind: int, lsn: int, page: int, payload: bytes, pages: int = 0
) -> tuple[bytes, int]:
    """The record's bytes, padded, and its crc."""
    head, pad, crc = encode_around(salt, kind, lsn, page, payload, pages)
    return head + payload + pad, crc


def encode_around(
    salt: int,
    kind: int,
    lsn: int,
    page: int,
    payload: bytes | bytearray | memoryview,
    pages: int = 0,
) -> tuple[bytes, bytes, int]:
    """What stands before and behind the payload in its record, and the record's crc: whoever writes many at once
    puts them together once, and not each by itself before."""
    length = len(payload)
    head = _HEAD.pack(length, lsn, page, kind, 0, RECORD_MARK, pages)
    crc = zlib.crc32(payload, zlib.crc32(head, salt))
    return _CRC.pack(crc) + head, PADS[length & 7], crc


def renew_record(
    salt: int,
    lsn: int,
    page: int,
    mark: int,
    window: memoryview,
    start: int,
    length: int,
    tail: bytes,
) -> tuple[int, int]:
    """Make the page record at `start` of a window one of commit `lsn`, with what its payload has there now: `length` bytes
    of it, and a `tail` that is to stand behind them.  Its crc, and the end of those bytes in the window."""
    _HEAD_INTO(window, start + 4, length + len(tail), lsn, page, KIND_PAGE, 0, RECORD_MARK, mark)
    end = start + RECORD_BYTES + length
    crc = zlib.crc32(window[start + 4 : end], salt)
    if tail:
        crc = zlib.crc32(tail, crc)
    _CRC_INTO(window, start, crc)
    return crc, end


def encode_commit(
    salt: int,
    kind: int,
    lsn: int,
    pages: int,
    predecessor: int,
    pages_crc: int,
    synced: int,
    start: int,
    next_page: int,
    time_ms: int,
    payload: bytes,
    again: int = 0,
) -> tuple[bytes, int]:
    """The record of a commit with its chain fields, padded, and its crc."""
    length = CHAIN_BYTES + len(payload)
    body = (
        _COMMIT.pack(
            length,
            lsn,
            again,
            kind,
            0,
            RECORD_MARK,
            pages,
            predecessor,
            pages_crc,
            synced,
            start,
            next_page,
            time_ms,
        )
        + payload
    )
    crc = zlib.crc32(body, salt)
    return _CRC.pack(crc) + body + PADS[length & 7], crc


def encode_redo(
    salt: int,
    lsn: int,
    predecessor: int,
    synced: int,
    start: int,
    next_page: int,
    time_ms: int,
    payload: bytes,
) -> tuple[bytes, int]:
    """`encode_commit` for a commit without pages; what is the same in all of them is packed already."""
    length = CHAIN_BYTES + len(payload)
    body = _REDO_HEAD(length, lsn, _REDO_FIELDS, predecessor, synced, start, next_page, time_ms)
    body += payload
    crc = zlib.crc32(body, salt)
    return _CRC.pack(crc) + body + PADS[length & 7], crc


def decode_record(salt: int, data: bytes | memoryview, at: int = 0) -> Record | None:
    """The record at `at` of `data`, or None if it is not whole and valid there."""
    if len(data) - at < RECORD_BYTES:
        return None
    crc, length, lsn, page, kind, _, mark, pages = RECORD.unpack_from(data, at)
    if mark != RECORD_MARK or length > PAYLOAD_BYTES_MAX or not KIND_PAGE <= kind <= KIND_TABLE:
        return None
    end = at + RECORD_BYTES + length
    if end > len(data):
        return None
    if zlib.crc32(memoryview(data)[at + 4 : end], salt) != crc:
        return None
    return Record(crc, length, lsn, page, kind, pages, bytes(data[at + RECORD_BYTES : end]))


def page_at(salt: int, window: memoryview, page: int, start: int, end: int) -> memoryview | None:
    """The payload of the page record in `window[start:end]`; None if it is not this page's, whole and
    valid.  For callers that read many: it makes no `Record`, and copies nothing."""
    end = min(end, len(window))  # the file may end within a record
    if end - start < RECORD_BYTES:
        return None
    crc, length, _, number, kind, _, mark, _ = RECORD.unpack_from(window, start)
    begin = start + RECORD_BYTES
    if number != page or kind != KIND_PAGE or mark != RECORD_MARK or length > end - begin:
        return None
    stop = begin + length
    if zlib.crc32(window[start + 4 : stop], salt) != crc:
        return None
    return window[begin:stop]


def decode_chain(record: Record) -> Chain | None:
    """A commit record's chain fields."""
    if len(record.payload) < CHAIN_BYTES:
        return None
    return Chain(*CHAIN.unpack_from(record.payload))
