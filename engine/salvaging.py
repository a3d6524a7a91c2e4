"""Every readable record of a damaged file, found by looking at all of its bytes.

The file is scanned from its start.  Where no valid record begins, the next one is looked for by the mark that every
record carries; its checksum proves it.  It may begin anywhere: bytes that were inserted or left out have moved all
that follow.  What lies twice in the file counts by its commit, not by its place.  A page record counts if a valid
commit follows it in the file: commits are numbered without gaps, so a later one proves the earlier ones, even those
whose commit record is damaged.  A page table proves as much, and so does a header slot that says where one stands,
even if the file was cut before it: both are written of what was committed, at the log's end.  What follows the newest
of these was never acknowledged.

A transaction may write pages before its end, and then write them again, or delete them; their records say so
(`format.page_mark`).  Such a page counts if nothing can have taken its place: if the record of its commit is there
and all of those that took the place of others are, or if a page table says that the page lies just there.

If both header slots are gone, so is the database id that all checksums start from.  A crc is linear
in its start, so the start can be computed from any whole record; the one that most records agree on
is it.
"""

from __future__ import annotations

import zlib
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from engine.errors import NotADatabaseError, StorageError
from engine.file import File, FileSystem, OsFileSystem
from engine.format import (
    CHAIN_BYTES,
    COMMIT_KINDS,
    KIND_DELETE,
    KIND_PAGE,
    KIND_PAGES,
    KIND_REDO,
    KIND_TABLE,
    LOG_START,
    MARKED_EARLY,
    PAYLOAD_BYTES_MAX,
    RECORD,
    RECORD_BYTES,
    RECORD_MARK,
    TABLE_HEAD,
    TIMES_MAX,
    Record,
    decode_record,
    decode_slot,
    location_span,
    owner_of,
    pack_location,
    padded,
    salt_of,
    times_of,
)

_WINDOW_BYTES = 1 << 20
_MARK_BYTES = bytes((0,)) + RECORD_MARK.to_bytes(2, "little")
_MARK_AT = 25
_SALT_RECORDS = 64
_SALT_RECORD_BYTES_MAX = 1 << 16


@dataclass
class Salvage:
    """What the scan found."""

    file: File
    salt: int
    synced: int = 0
    """How far the log reached once, as the header says."""
    table: tuple[int, int] = (0, 0)
    """(offset, lsn) of a page table, as the header says: all before it was committed."""
    versions: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """page -> (lsn, location) of its committed versions, oldest first; location 0 is a deletion.  See `place`."""
    owners: dict[int, int] = field(default_factory=dict)
    """page -> whose it is (see `Writer.put`), if it is somebody's."""
    redo: list[tuple[int, bytes]] = field(default_factory=list)
    commits: list[int] = field(default_factory=list)
    base_lsn: int = 0
    """The newest commit of pages; the redo after it is not in them."""
    notes: list[str] = field(default_factory=list)
    is_whole: bool = True
    """Whether every record is there that the others tell of; else a page may have been newer than it was found."""

    def read(self, page: int, location: int) -> bytes | None:
        """The page's bytes at `location`, None if they can't be read any more."""
        record = self._record(*place(location))
        return record.payload if record is not None and record.page == page else None

    def _record(self, offset: int, span: int) -> Record | None:
        try:
            return decode_record(self.salt, self.file.read(span, offset))
        except OSError:
            return None  # a bad sector: as good as damaged


def place(location: int) -> tuple[int, int]:
    """Offset and span of the record at a location as it is salvaged: unlike one in a log that is whole, it may
    begin at any byte."""
    return location >> 24, location_span(location)


def salvage(path: str, files: FileSystem | None = None) -> Salvage:
    """Scan the file at `path`, which is only read.

    NotADatabaseError if not one record of a database is in it, StorageError if it can't be read at all."""
    system: FileSystem = OsFileSystem() if files is None else files
    try:
        file = system.open(path, readonly=True)
        size = file.size()
        header = file.read(LOG_START, 0)
    except OSError as error:
        what = error.strerror or str(error)
        raise StorageError(f"{path}: unable to open database file: {what}") from error
    slots = [decode_slot(header[at : at + 512]) for at in (0, 512)]
    found = [slot for slot in slots if slot is not None]
    if found:
        synced = max(slot.synced for slot in found)
        table = max((slot.table_offset, slot.table_lsn) for slot in found)
        salvaged = Salvage(file, salt_of(found[0].database_id), synced, table)
    else:
        salt = _guessed_salt(file, size)
        if salt is None:
            file.close()
            raise NotADatabaseError(f"{path}: nothing of a kvsh database was found in it")
        salvaged = Salvage(file, salt)
        salvaged.notes.append("the header is damaged; the records in the log do without it")
    if salvaged.synced > size:
        salvaged.notes.append(
            f"the file was cut short: it has {size} bytes, its log reached {salvaged.synced}"
        )
    _Scan(salvaged, size).run()
    return salvaged


class _Version(NamedTuple):
    """A page as a commit, perhaps, left it."""

    lsn: int
    times: int  # the commit had written it before
    location: int  # 0: deleted
    page: int
    is_early: bool


class _Scan:
    def __init__(self, salvaged: Salvage, size: int) -> None:
        self.salvaged = salvaged
        self.size = size
        self.pending: list[_Version] = []
        self.accepted: list[_Version] = []
        self.again: dict[int, int] = {}  # lsn -> how many records took the place of others
        self.counts: dict[int, int] = {}  # lsn -> how many page records there were
        self.found_again: dict[int, set[tuple[int, int, int]]] = {}  # lsn -> those that were found
        self.unproved = ""
        self.table: tuple[int, bytes] = (0, b"")  # lsn and entries of the newest that was found
        self.window = b""
        self.window_at = 0

    def run(self) -> None:
        position = LOG_START
        damaged_from: int | None = None
        damage: list[tuple[int, int]] = []
        while position < self.size:
            record = self._at(position)
            if record is None:
                damaged_from = position if damaged_from is None else damaged_from
                position = self.next_mark(position + 1)
                continue
            if damaged_from is not None:
                damage.append((damaged_from, position))
                damaged_from = None
            self._take(record, position)
            position += record.span
        salvaged = self.salvaged
        if damaged_from is not None and damaged_from < salvaged.synced:
            damage.append((damaged_from, min(salvaged.synced, self.size)))
        # What lies behind its commit's record was moved there.
        self._accept([version for version in self.pending if version.lsn in self.counts])
        self.pending = [version for version in self.pending if version.lsn not in self.counts]
        self._believe_header()
        self._put_in_order()
        for start, end in damage:
            salvaged.notes.append(f"{end - start} bytes at offset {start} are damaged")
            salvaged.is_whole = False
        if self.pending:
            salvaged.notes.append(
                f"{len(self.pending)} pages at the end belong to no commit and were left out"
            )
        if self.unproved:
            salvaged.notes.append(self.unproved)
        self._note_missing_commits()
        self._note_missing_pages()

    def _take(self, record: Record, position: int) -> None:
        salvaged = self.salvaged
        if record.kind in (KIND_PAGE, KIND_DELETE):
            location = position << 24 | padded(record.length) >> 3
            if record.kind == KIND_DELETE:
                location = 0
            elif owner_of(record.pages):
                salvaged.owners[record.page] = owner_of(record.pages)
            times, is_early = times_of(record.pages), bool(record.pages & MARKED_EARLY)
            self.pending.append(_Version(record.lsn, times, location, record.page, is_early))
            if times:
                found = self.found_again.setdefault(record.lsn, set())
                found.add((record.page, times, record.crc))
        elif record.kind in COMMIT_KINDS:
            salvaged.commits.append(record.lsn)
            if record.kind == KIND_PAGES:
                salvaged.base_lsn = max(salvaged.base_lsn, record.lsn)
                self.again[record.lsn] = record.page
                self.counts[record.lsn] = record.pages
            self._accept(self.pending)
            self.pending = []
            if record.kind == KIND_REDO:
                salvaged.redo.append((record.lsn, record.payload[CHAIN_BYTES:]))
        elif record.kind == KIND_TABLE:
            self._accept_up_to(record.lsn, position)
            if record.lsn >= self.table[0]:
                self.table = record.lsn, record.payload[TABLE_HEAD.size :]

    def _accept(self, pages: list[_Version]) -> None:
        """Pages of commits; the newest one is a commit of pages."""
        self.accepted += pages
        newest = max((version.lsn for version in pages), default=0)
        self.salvaged.base_lsn = max(self.salvaged.base_lsn, newest)

    def _accept_up_to(self, newest: int, end: int) -> None:
        """Pages of commits whose records were not found, since a page table at `end` knew of them."""
        proved: list[_Version] = []
        others: list[_Version] = []
        for version in self.pending:
            known = version.lsn <= newest and place(version.location)[0] < end
            (proved if known else others).append(version)
        self._accept(proved)
        self.pending = others
        found = max((version.lsn for version in proved), default=0)
        if found > max(self.salvaged.commits, default=0):
            self.salvaged.commits.append(found)

    def _believe_header(self) -> None:
        """Take what the header knows of for committed, where that is all that there is: half of a commit is worth
        less than the whole one before it."""
        if not self.accepted:
            offset, lsn = self.salvaged.table
            self._accept_up_to(lsn, offset)

    def _put_in_order(self) -> None:
        salvaged = self.salvaged
        complete = {
            lsn for lsn, count in self.again.items() if len(self.found_again.get(lsn, ())) >= count
        }
        table_lsn, entries = self.table
        known = array("Q", entries[: len(entries) & -8])
        unproved = 0
        # What lies twice in the file lies anywhere, so it is not the place that says what came later.
        self.accepted.sort(key=lambda version: (version[:2], not version.location))
        for lsn, _, location, page, is_early in self.accepted:
            if (
                is_early
                and lsn not in complete
                and not (lsn <= table_lsn and _lies_at(known, page, location))
            ):
                unproved += 1
            else:
                salvaged.versions.setdefault(page, []).append((lsn, location))
        if unproved:
            self.unproved = f"{unproved} pages that were written before their commit were left out: it may have changed them again"
        salvaged.redo = sorted(dict(salvaged.redo).items())
        salvaged.commits = sorted(set(salvaged.commits))

    def _note_missing_commits(self) -> None:
        commits = self.salvaged.commits
        for before, after in pairwise(commits):
            if after > before + 1:
                what = f"commits {before + 1} to {after - 1}"
                if after == before + 2:
                    what = f"commit {before + 1}"
                self.salvaged.notes.append(f"the record of {what} is damaged")
                self.salvaged.is_whole = False

    def _note_missing_pages(self) -> None:
        """Count each commit's pages: what other records took the place of left no damaged bytes."""
        salvaged = self.salvaged
        # What lies twice in the file counts once; which of 127 times and more it was, the mark doesn't say.
        once = {
            version[:2] + version[3:4] for version in self.accepted if version.times < TIMES_MAX
        }
        found = Counter(version[0] for version in once)
        found.update(version.lsn for version in self.accepted if version.times >= TIMES_MAX)
        for lsn, count in self.counts.items():
            if found[lsn] < count and salvaged.is_whole:
                salvaged.notes.append(
                    f"of commit {lsn}, {count - found[lsn]} of {count} pages are lost"
                )
                salvaged.is_whole = False

    def _read(self, length: int, offset: int) -> bytes:
        try:
            return self.salvaged.file.read(length, offset)
        except OSError:
            return self._read_sectors(length, offset)

    def _read_sectors(self, length: int, offset: int) -> bytes:
        """What can be read around bad sectors, zeros in their place."""
        parts = []
        for at in range(offset, offset + length, 4096):
            wanted = min(4096, offset + length - at)
            try:
                parts.append(self.salvaged.file.read(wanted, at).ljust(wanted, b"\0"))
            except OSError:
                parts.append(bytes(wanted))
        return b"".join(parts)

    def _at(self, position: int) -> Record | None:
        at = position - self.window_at
        if at < 0 or at + RECORD_BYTES > len(self.window):
            self._load(position, _WINDOW_BYTES)
            at = 0
        if len(self.window) - at < RECORD_BYTES:
            return None
        _, length, *_, mark, _ = RECORD.unpack_from(self.window, at)
        end = RECORD_BYTES + length
        if mark != RECORD_MARK or length > PAYLOAD_BYTES_MAX or position + end > self.size:
            return None
        if at + end > len(self.window):
            self._load(position, max(end, _WINDOW_BYTES))
            at = 0
        return decode_record(self.salvaged.salt, self.window, at)

    def _load(self, position: int, length: int) -> None:
        self.window = self._read(min(length, self.size - position), position)
        self.window_at = position

    def next_mark(self, position: int) -> int:
        """Where a record may begin, at `position` or after it; the size if nowhere."""
        while position < self.size:
            at = position - self.window_at
            if at < 0 or at + RECORD_BYTES > len(self.window):
                self._load(position, _WINDOW_BYTES)
                at = 0
            found = self.window.find(_MARK_BYTES, at + _MARK_AT)
            if found >= 0:
                return self.window_at + found - _MARK_AT
            behind = self.window_at + len(self.window)
            if behind >= self.size or len(self.window) < RECORD_BYTES:  # it is being cut just now
                break
            position = behind - RECORD_BYTES + 1
        return self.size


def _lies_at(known: Sequence[int], page: int, location: int) -> bool:
    """Whether a page table says that a page lies at a location as it is salvaged."""
    offset, units = location >> 24, location & 0xFFFFFF
    return page < len(known) and not offset & 7 and known[page] == pack_location(offset, units << 3)


def _guessed_salt(file: File, size: int) -> int | None:
    """The start of the checksums that most of the first records agree on."""
    scan = _Scan(Salvage(file, 0), size)
    votes: Counter[int] = Counter()
    position = scan.next_mark(LOG_START)
    while position < size and votes.total() < _SALT_RECORDS:
        window = scan.window[position - scan.window_at :][:RECORD_BYTES]
        if len(window) == RECORD_BYTES:
            crc, length, *_, kind, _, _, _ = RECORD.unpack(window)
            plausible = KIND_PAGE <= kind <= KIND_TABLE and length <= _SALT_RECORD_BYTES_MAX
            if plausible and position + RECORD_BYTES + length <= size:
                data = file.read(RECORD_BYTES - 4 + length, position + 4)
                votes[start_of_crc(data, crc)] += 1
                position += padded(length) + RECORD_BYTES - 1
        position = scan.next_mark(position + 1)
    if not votes:
        return None
    salt, count = votes.most_common(1)[0]
    return salt if count > 1 else None


def start_of_crc(data: bytes, crc: int) -> int:
    """The `start` for which zlib.crc32(data, start) == crc."""
    # crc32(data, start) = crc32(data) ^ M(start), M linear over bits: solved by elimination.
    zeros = bytes(len(data))
    nothing = zlib.crc32(zeros)
    rows: dict[int, tuple[int, int]] = {}  # top bit -> (image, start)
    for bit in range(32):
        image, start = zlib.crc32(zeros, 1 << bit) ^ nothing, 1 << bit
        while image:
            top = image.bit_length()
            if top not in rows:
                rows[top] = (image, start)
                break
            image, start = image ^ rows[top][0], start ^ rows[top][1]
    wanted, result = crc ^ zlib.crc32(data), 0
    while wanted:
        image, start = rows[wanted.bit_length()]
        wanted, result = wanted ^ image, result ^ start
    return result
