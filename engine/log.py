"""The log of one file (one inode): reading it in, recovering its end, and what it adds up to.

A `Log` knows the newest commit that it has seen appended; `state()` freezes that for readers.  It is
changed by one thread at a time (its owner, a `PageStore`, sees to that).

Recovery.  The log alone suffices: it is scanned from the newest table snapshot that a header slot
points to, or from its start.  Page records count once their commit record is there, whole and
chained to its predecessor.  Where the scan meets bytes that are no valid next record, the log ends.
That end is a torn tail, unless a later valid commit (or a header slot) proves that the bytes had
been on the disk once: then it is corruption, reported with its offset (fact 7).  Before the first new
commit the writer rewrites and syncs what may be in the page cache only, and cuts the tail (fact 9).
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, MutableSequence, Sequence
from operator import add
from typing import NamedTuple, NoReturn

from engine.errors import TRY_AGAIN, WHAT_TO_DO, CorruptionError, StorageError, told
from engine.file import File
from engine.format import (
    CHAIN_BYTES,
    COMMIT,
    COMMIT_KINDS,
    KIND_DELETE,
    KIND_PAGE,
    KIND_PAGES,
    KIND_REDO,
    KIND_TABLE,
    LOG_START,
    OFFSET_MAX,
    PAYLOAD_BYTES_MAX,
    RECORD,
    RECORD_BYTES,
    RECORD_MARK,
    TABLE_HEAD,
    WORD_SYNCED,
    WORD_TAKEN_BACK,
    WORD_VISIBLE,
    WORDS,
    Chain,
    InPlace,
    Record,
    Slot,
    decode_chain,
    decode_header,
    decode_record,
    location_offset,
    location_span,
    owner_of,
    pack_location,
    padded,
    page_at,
    salt_of,
    spans_of,
)
from engine.stored_redo import LONG_BYTES, Kept, StoredRedo, read
from engine.table import Overlay, PageTable

_WINDOW_BYTES = 1 << 20
_READ_BYTES_MAX = 256 << 10
"""Pages read at once: few enough to stay in the processor's cache until they are decoded."""
_GAP_BYTES_MAX = 4096
"""What lies between two pages that are read at once: to read it is quicker than to ask again."""
_MARK_BYTES = bytes((0,)) + RECORD_MARK.to_bytes(2, "little")
_MARK_AT = 25  # the zero byte and the mark stand here in a record


class State(NamedTuple):
    """What a reader of one commit sees."""

    lsn: int
    base_lsn: int
    end: int
    overlays: tuple[Overlay, ...]
    redo: list[tuple[int, Kept]]
    redo_count: int
    epoch: object

    def redo_after(self, after: int) -> list[tuple[int, bytes]]:
        """(lsn, payload) of the redo commits after `after` and after the newest pages commit."""
        return read(self.redo[redo_start(self.redo, after) : self.redo_count])


class CommitInfo(NamedTuple):
    """One commit in the file, for people who look inside."""

    lsn: int
    kind: str  # "pages" or "redo"; "damaged": bytes after commit `lsn` that are no records any more
    offset: int
    bytes: int
    pages: int
    time_ms: int


class Log:
    """The log of one open file."""

    def __init__(
        self,
        file: File,
        path: str,
        *,
        stop_lsn: int | None = None,
        from_start: bool = False,
    ) -> None:
        """`stop_lsn`: take in no later commit.  `from_start`: do without the table snapshot."""
        self.file = file
        self.identity = file.identity()
        self.path = path
        self.words: MutableSequence[int] = [0] * WORDS if stop_lsn is not None else file.words()
        self.taken_back = self.words[WORD_TAKEN_BACK]  # before anything is read
        self.damaged_tables: list[int] = []  # offsets of page table snapshots that were skipped
        self.slots = decode_header(self.read(LOG_START, 0), path)
        self.salt = salt_of(self.slots[0].database_id)
        self.stop_lsn = stop_lsn
        self.table = PageTable()
        self.lsn = self.base_lsn = 0
        self.chain_crc = 0
        self.next_page = 2  # page 1 is for the layer above to start from
        self.end = LOG_START
        self.synced = LOG_START  # known to be on the disk
        self.allocated = 0  # the file has at least this size, as far as its writer knows
        self.ready = 0  # small commits up to here find their blocks written before
        self.failure: OSError | None = None  # of a sync, which is not tried again
        self.unwritten = b""  # newest commits, to be written with their sync
        self.unwritten_at = 0
        self.covered = 0  # this handle's own syncs cover all before
        self.covering = 0  # the same with those that are under way, or to come with `unwritten`
        self.redo: list[tuple[int, Kept]] = []
        self.redo_bytes = 0
        self.redo_stored_bytes = 0  # of them, those that are not in memory
        self.live_bytes = 0
        self.table_end = LOG_START  # end of the newest table snapshot
        self.table_hint = (0, 0)  # (offset, lsn) of the newest table snapshot
        self.epoch: object = object()
        self._window = b""
        self._window_at = 0
        if not from_start:
            self._load_table()

    @property
    def slot(self) -> Slot:
        """The newest header slot."""
        return self.slots[0]

    def forget_space(self) -> None:
        """What was allocated behind the log's end may have been cut."""
        self.allocated = self.ready = self.covered = self.covering = 0

    def state(self) -> State:
        """The newest commit taken in, frozen."""
        # Not by the class's own constructor, a Python function: a reader beside a writer asks once a commit.
        redo = self.redo
        return tuple.__new__(
            State,
            (
                self.lsn,
                self.base_lsn,
                self.end,
                self.table.overlays,
                redo,
                len(redo),
                self.epoch,
            ),
        )

    # -- reading records -------------------------------------------------------------------------

    def read(self, length: int, offset: int) -> bytes:
        """Bytes of the file; StorageError if the operating system refuses."""
        try:
            return self.file.read(length, offset)
        except OSError as error:
            raise self._unreadable(length, offset, error) from error

    def _read_to_change(self, length: int, offset: int) -> bytearray:
        """`read` as bytes that may be written over."""
        data = bytearray(length)
        try:
            got = self.file.read_into(data, offset)
        except OSError as error:
            raise self._unreadable(length, offset, error) from error
        del data[got:]
        return data

    def _unreadable(self, length: int, offset: int, error: OSError) -> Exception:
        return told(
            StorageError(
                f"{self.path}: disk I/O error: {length} bytes at offset {offset} can't be read"
                f" ({error.strerror or error}); {TRY_AGAIN}, or {WHAT_TO_DO}"
            )
        )

    def read_page(self, page: int, location: int) -> bytes:
        """The page's bytes at `location`; CorruptionError if they are not what was written there."""
        # Fact 12: a record carries its page's number, so a write that went elsewhere shows.
        offset, span = location_offset(location), location_span(location)
        window = self.read(span, offset)
        payload = page_at(self.salt, memoryview(window), page, 0, span)
        if payload is not None:
            return bytes(payload)
        record = decode_record(self.salt, window)
        found = "no valid record" if record is None else f"page {record.page}"
        raise told(
            CorruptionError(
                f"{self.path}: page {page} at offset {offset} is damaged: expected its record,"
                f" found {found}; {WHAT_TO_DO}"
            )
        )

    def read_owned(self, page: int, location: int) -> tuple[bytes, int]:
        """What `read_page` gives, and whose page it is."""
        window = self.read(location_span(location), location_offset(location))
        record = decode_record(self.salt, window)
        if record is None or record.page != page or record.kind != KIND_PAGE:
            return self.read_page(page, location), 0
        return record.payload, owner_of(record.pages)

    def read_pages(
        self,
        pages: Sequence[int],
        locations: Sequence[int],
        in_place: dict[int, InPlace] | None = None,
        owners: dict[int, int] | None = None,
    ) -> list[bytes | memoryview]:
        """What `read_page` gives for each of them; what lies close together is read at once.

        A tree's leaves mostly lie side by side, in one order or the other, as they were written together.
        `in_place` takes, by page, what may be written over, `owners` whose pages they are."""
        payloads: dict[int, memoryview | None] = {}
        window, start, end = memoryview(b""), 0, 0
        salt, in_file = self.salt, sorted(zip(locations, pages, strict=True))
        begins = [location_offset(location) for location, _ in in_file]
        spans = [location_span(location) for location, _ in in_file]
        ends = list(map(add, begins, spans))
        for at, (_, page) in enumerate(in_file):
            offset, stop = begins[at], ends[at]
            if stop > end:
                start, end = offset, stop
                for begin, stop_then in zip(begins[at + 1 :], ends[at + 1 :], strict=True):
                    if begin - end > _GAP_BYTES_MAX or stop_then - start > _READ_BYTES_MAX:
                        break
                    end = stop_then
                read = self.read if in_place is None else self._read_to_change
                window = memoryview(read(end - start, start))
            payload = page_at(salt, window, page, offset - start, stop - start)
            payloads[page] = payload
            if owners is not None and payload is not None:
                owners[page] = owner_of(RECORD.unpack_from(window, offset - start)[-1])
            if in_place is not None and payload is not None:
                in_place[page] = (payload, window, offset - start)
        return [
            payloads[page] or self.read_page(page, location)
            for page, location in zip(pages, locations, strict=True)
        ]

    def record_at(self, position: int, size: int) -> Record | None:
        """The record at `position`, or None if there is no whole and valid one before `size`."""
        if position + RECORD_BYTES > size:
            return None
        at = position - self._window_at
        if at < 0 or at + RECORD_BYTES > len(self._window):
            self._window = self.read(min(_WINDOW_BYTES, size - position), position)
            self._window_at, at = position, 0
        if len(self._window) - at < RECORD_BYTES:
            return None
        length = RECORD.unpack_from(self._window, at)[1]
        if length > PAYLOAD_BYTES_MAX or position + RECORD_BYTES + length > size:
            return None  # fact 6: a length is bounded before it is used
        if at + RECORD_BYTES + length > len(self._window):
            wanted = max(RECORD_BYTES + length, min(_WINDOW_BYTES, size - position))
            self._window = self.read(wanted, position)
            self._window_at, at = position, 0
        return decode_record(self.salt, self._window, at)

    def _load_table(self) -> None:
        """Start from the newest usable table snapshot that a slot points to."""
        size = self.file.size()
        for slot in self.slots:
            if not slot.table_offset or (
                self.stop_lsn is not None and slot.table_lsn > self.stop_lsn
            ):
                continue
            record = self.record_at(slot.table_offset, size)
            if (
                record is None
                or record.kind != KIND_TABLE
                or record.lsn != slot.table_lsn
                or (len(record.payload) - TABLE_HEAD.size) % 8
                or len(record.payload) < TABLE_HEAD.size
            ):
                continue
            self.chain_crc, _, self.next_page = TABLE_HEAD.unpack_from(record.payload)
            entries = array("Q")
            entries.frombytes(record.payload[TABLE_HEAD.size :])
            self.table = PageTable(entries)
            self.live_bytes = spans_of(entries)
            self.lsn = self.base_lsn = record.lsn
            self.end = self.table_end = slot.table_offset + record.span
            self.table_hint = (slot.table_offset, slot.table_lsn)
            self.synced = min(slot.synced, self.end)
            return

    def scan(self, until: int | None = None, *, oldest_lsn: int | None = None) -> int:
        """Take in the commits from `end` on, up to offset `until`; the offset where that stopped.

        Page versions that only readers older than `oldest_lsn` need apart are kept, None: all merge."""
        # Fact 4: what was never synced may be zeros or garbage behind a size that has grown; only what
        # has its checksum and continues the chain is taken in.
        size = self.file.size()
        if until is not None:
            size = min(size, until)
        self._window = b""
        position = self.end
        changes: dict[int, int] = {}
        pages_crc = count = 0
        while self.stop_lsn is None or self.lsn < self.stop_lsn:
            record = self.record_at(position, size)
            if record is None:
                span = self._damaged_table(position, size)
                if not span:
                    break
                self.end = position = position + span
                continue
            if record.kind == KIND_PAGE or record.kind == KIND_DELETE:
                location = pack_location(position, record.length)
                changes[record.page] = location if record.kind == KIND_PAGE else 0
                pages_crc = zlib.crc32(record.crc.to_bytes(4, "little"), pages_crc)
                count += 1
            elif record.kind == KIND_TABLE:
                if changes or record.lsn != self.lsn:
                    break
                self.end = self.table_end = position + record.span
                self.table_hint = (position, record.lsn)
            else:
                chain = decode_chain(record)
                if chain is None or not self._continues(record, chain, pages_crc, count):
                    break
                self.synced = max(self.synced, min(chain.synced, position))
                end = position + record.span
                if record.kind == KIND_PAGES:
                    self.take_pages(record.lsn, changes, chain.next_page, record.crc, end, object())
                    changes = {}
                    self.table.sink(record.lsn if oldest_lsn is None else oldest_lsn)
                else:
                    self._take_redo(record, end)
                pages_crc = count = 0
                if record.kind == KIND_REDO and self.stop_lsn is None:
                    position = self._scan_redo()
                    continue
            position += record.span
        self._window = b""
        self.synced = max(self.synced, min(self.slot.synced, self.end))
        return position

    def _scan_redo(self) -> int:
        """Take in the redo commits that follow in the window; where that stopped.

        They are most of what one takes in of another process, or opens a file with.  This asks of them all
        that `scan` does, without the objects; the first of which something does not hold is left to it."""
        window, salt = memoryview(self._window), self.salt
        redo: list[tuple[int, Kept]] = []
        position, size = self.end, len(window)
        lsn, crc, reached = self.lsn, self.chain_crc, self.synced
        at = begin = position - self._window_at
        while at + COMMIT.size <= size:
            fields = COMMIT.unpack_from(window, at)
            found, length, number, _, kind, _, mark, _, predecessor, _, synced, start, _, _ = fields
            stop = at + RECORD_BYTES + length
            if (
                kind != KIND_REDO
                or mark != RECORD_MARK
                or length < CHAIN_BYTES
                or stop > size
                or number != lsn + 1
                or predecessor != crc
                or start != position
                or zlib.crc32(window[at + 4 : stop], salt) != found
            ):
                break
            lsn, crc = number, found
            redo.append((lsn, self._kept(bytes(window[at + COMMIT.size : stop]), position)))
            if synced > reached:
                reached = min(synced, position)
            at += RECORD_BYTES + (length + 7 & -8)
            position = self._window_at + at
        # Up to here Ctrl-C has changed nothing.
        self.redo += redo
        self.redo_bytes += at - begin
        self.lsn, self.chain_crc, self.synced, self.end = lsn, crc, reached, position
        return position

    def _damaged_table(self, position: int, size: int) -> int:
        """The span of a table snapshot at `position` whose bytes are damaged; 0 if there is none.

        A header slot, which has a checksum of its own, says that it is there.  It holds nothing but
        what the scan has added up itself, its length included, and so can be done without."""
        if position != self.end or self.redo:
            return 0
        if all((slot.table_offset, slot.table_lsn) != (position, self.lsn) for slot in self.slots):
            return 0
        entries = self.table.size(self.table.overlays)
        span = RECORD_BYTES + padded(TABLE_HEAD.size + 8 * entries)
        if position + span > size:
            return 0
        self.damaged_tables.append(position)
        return span

    @property
    def stopped(self) -> bool:
        """Whether the commit to stop at is taken in."""
        return self.stop_lsn is not None and self.lsn >= self.stop_lsn

    def _continues(self, record: Record, chain: Chain, pages_crc: int, count: int) -> bool:
        """Whether the commit is the next one of this log, and its page records are whole."""
        if chain.predecessor != self.chain_crc or chain.start != self.end:
            return False
        if record.lsn != self.lsn + 1 and not (self.lsn == 0 and self.chain_crc == 0):
            return False
        if record.kind == KIND_PAGES:
            return count == record.pages and pages_crc == chain.pages_crc
        return count == 0

    def check_tail(self) -> None:
        """CorruptionError if what follows `end` is damage rather than a torn tail."""
        size = self.file.size()
        end = self.end
        if self.stopped:
            return
        known = max(self.slot.synced, self._known_synced())
        if known > end:
            short = f", the file {size}" if size < known else ""
            self.corrupt(f"the header says that the log reaches {known}{short}")
        for offset in self._marks(end, size):
            self._check_later_commit(offset, size, end)

    def _marks(self, start: int, size: int) -> Iterator[int]:
        """Where records may begin, from `start` on: the mark that each of them carries is there."""
        position = start
        while position < size:
            window = self.read(min(_WINDOW_BYTES, size - position), position)
            found = window.find(_MARK_BYTES)
            while found >= 0:
                offset = position + found - _MARK_AT
                if offset >= start and offset % 8 == 0:
                    yield offset
                found = window.find(_MARK_BYTES, found + 1)
            if len(window) <= RECORD_BYTES or position + len(window) >= size:
                break
            position += len(window) - RECORD_BYTES

    def _known_synced(self) -> int:
        """How far the log had been synced for sure, as the live words say; 0 if they may be damaged.

        They have no checksum, but two of them have to agree.  Either is set after the sync that it
        speaks of, so whatever value of it a power cut has left was true once."""
        synced, visible = self.words[WORD_SYNCED], self.words[WORD_VISIBLE]
        plausible = synced <= visible < OFFSET_MAX and synced % 8 == visible % 8 == 0
        return synced if plausible else 0

    def _check_later_commit(self, offset: int, size: int, end: int) -> None:
        self._window = b""
        record = self.record_at(offset, size)
        if record is None or record.kind not in COMMIT_KINDS or record.lsn <= self.lsn:
            return
        chain = decode_chain(record)
        if chain is not None and chain.synced > end:
            self.corrupt(f"commit {record.lsn} at offset {offset} follows it")

    def still_has_newest(self) -> bool:
        """Whether the newest commit taken in is still in the file, after some were taken back; lock held."""
        count = self.words[WORD_TAKEN_BACK]
        if count != self.taken_back:
            if not self.has_newest():
                return False
            self.taken_back = count
        return True

    def has_newest(self) -> bool:
        """Whether a scan finds the newest commit taken in.  Offsets don't tell: others of the same sizes may stand there."""
        there = Log(self.file, self.path, stop_lsn=self.lsn)
        there.scan()
        return (there.lsn, there.chain_crc) == (self.lsn, self.chain_crc)

    def corrupt(self, proof: str) -> NoReturn:
        """The scan ended before the log does, as `proof` shows."""
        raise told(
            CorruptionError(
                f"{self.path}: the log is damaged at offset {self.end} after commit {self.lsn}"
                f" ({proof}); {WHAT_TO_DO}"
            )
        )

    def _next_record(self, position: int, size: int) -> int:
        """Where the first whole record at or behind `position` begins; `size` if there is none."""
        for offset in self._marks(position, size):
            if self.record_at(offset, size) is not None:
                return offset
        return size

    # -- what commits add up to ------------------------------------------------------------------

    def take_pages(
        self,
        lsn: int,
        changes: dict[int, int],
        next_page: int,
        crc: int,
        end: int,
        epoch: object = None,
    ) -> None:
        """A pages commit, whose record has the crc and ends there: its locations count, and there is nothing left to
        replay.  `epoch`: the new one, if another process made the commit."""
        table = self.table
        overlays = table.overlays
        live = self.live_bytes
        for page, location in changes.items():
            old = table.locate(page, overlays)
            live += (location_span(location) if location else 0) - (
                location_span(old) if old else 0
            )
        # No calls from here on: Ctrl-C comes before all of this or after it.
        table.overlays = (*overlays, (lsn, changes))
        self.live_bytes = live
        self.lsn = self.base_lsn = lsn
        self.next_page = next_page
        self.redo, self.redo_bytes = [], 0  # a new list: older states keep theirs
        self.redo_stored_bytes = 0
        self.chain_crc = crc
        self.end = end
        if epoch is not None:
            self.epoch = epoch

    def unwritten_reach(self, offset: int) -> bool:
        """Whether commits at `offset` may wait for their sync with those that do.

        Not if it is on its way, and something else has been appended behind them since."""
        unwritten = self.unwritten
        return not unwritten or self.unwritten_at + len(unwritten) == offset

    def _take_redo(self, record: Record, end: int) -> None:
        """A redo commit, whose record is the one at the log's end."""
        kept = [(record.lsn, self._kept(record.payload[CHAIN_BYTES:], self.end))]
        # As in `take_pages`.
        self.redo += kept
        self.redo_bytes += end - self.end
        self.lsn = record.lsn
        self.chain_crc = record.crc
        self.end = end

    def _kept(self, payload: bytes, offset: int) -> Kept:
        """How the payload of the redo record at `offset` is kept."""
        length = len(payload)
        if length < LONG_BYTES:
            return payload
        self.redo_stored_bytes += length
        return StoredRedo(self, offset, length)

    def stored(self, commits: list[tuple[int, bytes]], offset: int) -> list[tuple[int, Kept]]:
        """How redo commits are kept whose records were written from `offset` on."""
        kept = []
        for lsn, payload in commits:
            kept.append((lsn, self._kept(payload, offset)))
            offset += RECORD_BYTES + padded(CHAIN_BYTES + len(payload))
        return kept

    # -- looking inside --------------------------------------------------------------------------

    def commits(self, end: int) -> Iterator[CommitInfo]:
        """Every commit in the file up to offset `end`, oldest first, and what is damaged between them."""
        position, size = LOG_START, end
        start, lsn = position, 0
        while position < size:
            record = self.record_at(position, size)
            if record is None:
                begin, position = position, self._next_record(position + 8, size)
                yield CommitInfo(lsn, "damaged", begin, position - begin, 0, 0)
                start = position
                continue
            lsn = max(lsn, record.lsn if record.kind in COMMIT_KINDS else 0)
            if record.kind in COMMIT_KINDS:
                chain = decode_chain(record)
                time_ms = 0 if chain is None else chain.time_ms
                kind = "pages" if record.kind == KIND_PAGES else "redo"
                bytes_ = position + record.span - start
                yield CommitInfo(record.lsn, kind, position, bytes_, record.pages, time_ms)
                start = position + record.span
            elif record.kind == KIND_TABLE:
                start = position + record.span
            position += record.span


def redo_start(commits: list[tuple[int, Kept]], after: int) -> int:
    """Where the redo commits after commit `after` begin in a list of them: lsns have no gaps."""
    return max(after + 1 - commits[0][0], 0) if commits else 0
