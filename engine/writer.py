"""`Writer`: the one transaction that writes, and `Commit`: its promise.

Page records are collected and written behind the newest commit, early and in large pieces when they
outgrow a buffer (they count for nobody until the commit record stands; if the transaction rolls
back, the next one writes over them).  The commit record goes out with the last piece, so a small
transaction is one write.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterable, Sequence
from itertools import groupby, repeat
from typing import TYPE_CHECKING, Any

from engine.errors import StorageError, TooLargeError, refused
from engine.format import (
    COMMIT,
    KIND_DELETE,
    KIND_PAGE,
    KIND_PAGES,
    MARKED_EARLY,
    PADS,
    PAYLOAD_BYTES_MAX,
    RECORD_BYTES,
    InPlace,
    encode_around,
    encode_commit,
    location_offset,
    pack_location,
    padded,
    page_mark,
    renew_record,
)
from engine.log import redo_start
from engine.stored_redo import read

if TYPE_CHECKING:
    from engine.log import Log
    from engine.store import PageStore

_BUFFER_BYTES = 1 << 20
_WINDOWS_BYTES = 1 << 17
"""The same of what was changed where it was read, which is not put together: as soon as a window is written, its memory
serves for the next one.  With a megabyte of them the allocator gave it back to the system each time, and the page
faults took as long as reading."""


_WRITTEN_ALONE = 1 << 15
"""A piece of so many bytes is quicker written by itself than copied to stand beside others."""

_Bytes = bytes | bytearray | memoryview


def _joined(pieces: Sequence[_Bytes]) -> Sequence[Any]:
    """The pieces, those that are short put together."""
    if max(map(len, pieces)) < _WRITTEN_ALONE:
        return (b"".join(pieces),)
    parts: list[Any] = []
    for long, some in groupby(pieces, lambda piece: len(piece) >= _WRITTEN_ALONE):
        if long:
            parts += some
        else:
            parts.append(b"".join(some))
    return parts


class Commit:
    """A commit that stands in the log and may not be durable yet."""

    __slots__ = ("_changes", "_store", "lsn")

    def __init__(self, store: PageStore, lsn: int, changes: dict[int, int] | None) -> None:
        self._store = store
        self._changes = changes
        self.lsn = lsn

    def location(self, page: int) -> int:
        """Where this commit put the page."""
        assert self._changes is not None, "a redo commit has no pages"
        return self._changes[page]

    def wait(self) -> None:
        """Block until the commit is as durable as the store promises.

        StorageError if the sync failed; then the commit was taken back and the handle is dead."""
        self._store.wait_durable(self.lsn, pages=self._changes is not None)


class Writer:
    """Made by `PageStore.begin`; ends with a commit or `rollback`, and belongs to one thread."""

    __slots__ = (
        "_again",
        "_buffer",
        "_buffered",
        "_changes",
        "_early",
        "_ended",
        "_failed",
        "_log",
        "_next_page",
        "_pages_crc",
        "_position",
        "_records",
        "_store",
        "epoch",
        "lsn",
    )

    def __init__(self, store: PageStore, log: Log) -> None:
        self._store = store
        self._log = log
        self.lsn = log.lsn
        self.epoch = log.epoch
        self._next_page = log.next_page
        self._buffer: list[_Bytes] = []
        self._buffered = 0
        self._position = log.end  # of the buffer's first byte
        self._changes: dict[int, int] = {}
        self._pages_crc = 0
        self._records = 0
        self._again: dict[int, int] = {}  # how many times, beyond the first, pages were written
        self._early = MARKED_EARLY
        self._ended = False
        self._failed = ""  # what is told of the first write that failed

    @property
    def base_lsn(self) -> int:
        """The newest pages commit that this writer builds on."""
        return self._log.base_lsn

    @property
    def end(self) -> int:
        """How far it has written."""
        return self._position

    def redo(self, after: int = 0) -> list[tuple[int, bytes]]:
        """(lsn, payload) of the redo commits after `after` and after the newest pages commit."""
        commits = self._log.redo
        return read(commits[redo_start(commits, after) :])

    def allocate(self) -> int:
        """A page number that was never used; void if the writer rolls back."""
        page = self._next_page
        self._next_page += 1
        return page

    def locate(self, page: int) -> int:
        """Where the page lies that this writer builds on; 0 if there is no such page.

        Of a page that this writer has put anew it is the committed version: `put_early` says where the new one
        lies, to the callers that want it."""
        location = self._log.table.locate(page, self._log.table.overlays)
        return location or self._changes.get(page, 0)

    def has(self, page: int) -> bool:
        """Whether this writer has put the page."""
        return page in self._changes

    def newest(self, page: int) -> int:
        """Where the page lies that this writer has put last, or else the one that it builds on; 0 if there is
        none."""
        location = self._changes.get(page)
        return self.locate(page) if location is None else location

    def read(self, page: int, location: int) -> bytes:
        """The version of `page` at `location`, this writer's own early ones included."""
        if location_offset(location) >= self._position:
            self.flush()
        if self._failed:
            self._check_whole()
        return self._log.read_page(page, location)

    def read_owned(self, page: int, location: int) -> tuple[bytes, int]:
        """`read`, and whose page it is."""
        if location_offset(location) >= self._position:
            self.flush()
        self._check_whole()
        return self._log.read_owned(page, location)

    def read_many(
        self,
        pages: Sequence[int],
        locations: Sequence[int],
        in_place: dict[int, InPlace] | None = None,
    ) -> Sequence[bytes | memoryview]:
        """`read` for several pages; of those that lie close together in one go.  `in_place`: see `Log.read_pages`."""
        if location_offset(max(locations)) >= self._position:
            self.flush()
        if self._failed:
            self._check_whole()
        return self._log.read_pages(pages, locations, in_place)

    def read_in_place(self, pages: Sequence[int], locations: Sequence[int]) -> dict[int, InPlace]:
        """`read_many`, by page, as bytes that the caller may write over, and then have written by `put_in_place`."""
        found: dict[int, InPlace] = {}
        self.read_many(pages, locations, found)
        return found

    def put_last(self) -> None:
        """What is put from now on is what the commit leaves; what was put before may have been changed again, which
        a repair has to know (`format.page_mark`)."""
        self._early = 0

    def put(self, page: int, payload: bytes | bytearray, owner: int = 0) -> None:
        """Insert or replace a page, at most 128 MB less a header.

        `owner`: whose page it is, for a repair to know; what a page is to the layer above is its own affair."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise TooLargeError(len(payload), PAYLOAD_BYTES_MAX)
        offset = self._add(KIND_PAGE, page, payload, owner)
        self._changes[page] = pack_location(offset, len(payload))

    def put_early(self, page: int, payload: bytes | bytearray, owner: int = 0) -> int:
        """`put`, and where the page will lie: this writer can read it from there before the commit."""
        self.put(page, payload, owner)
        return self._changes[page]

    def put_many(
        self,
        pages: Sequence[int],
        payloads: Sequence[bytes | bytearray | memoryview],
        owner: int = 0,
    ) -> list[int]:
        """`put_early` for many pages: half the time for each."""
        assert not self._ended, "the writer has ended"
        self._check_whole()
        if (longest := max(map(len, payloads))) > PAYLOAD_BYTES_MAX:
            raise TooLargeError(longest, PAYLOAD_BYTES_MAX)
        salt, lsn = self._log.salt, self.lsn + 1
        pieces: list[_Bytes] = []
        crcs, locations = [], []
        offset = self._position + self._buffered
        for page, payload, mark in zip(pages, payloads, self._marks(pages, owner), strict=True):
            head, pad, crc = encode_around(salt, KIND_PAGE, lsn, page, payload, mark)
            pieces += (head, payload, pad)
            crcs.append(crc)
            length = len(payload)
            locations.append(pack_location(offset, length))
            offset += len(head) + length + len(pad)
        self._note_put(pages, locations, crcs, offset)
        self._buffer += pieces
        if self._buffered > _BUFFER_BYTES:
            self.flush()
        return locations

    def put_in_place(
        self,
        pages: Sequence[int],
        places: Sequence[InPlace],
        lengths: Sequence[int],
        tails: Sequence[bytes],
        owner: int = 0,
    ) -> list[int]:
        """`put_many` for pages that have been changed where they were read: so many bytes of each are kept, and a tail
        follows them.

        Nothing is put together: neighbours without a tail go to the file as one piece of what was read, and only their
        records' heads and checksums are made anew.  Nobody may change those bytes from now on."""
        assert not self._ended, "the writer has ended"
        self._check_whole()
        salt, lsn = self._log.salt, self.lsn + 1
        pieces = self._buffer
        crcs, locations = [], []
        offset = self._position + self._buffered
        run, begin, until = memoryview(b""), 0, 0
        for page, (_, window, start), length, tail, mark in zip(
            pages, places, lengths, tails, self._marks(pages, owner), strict=True
        ):
            size = length + len(tail)
            crc, end = renew_record(salt, lsn, page, mark, window, start, length, tail)
            crcs.append(crc)
            locations.append(pack_location(offset, size))
            offset += RECORD_BYTES + padded(size)
            if window is not run or start != until:
                pieces.append(run[begin:until])
                run, begin = window, start
            until = end
            pad = PADS[size & 7]
            if tail or end + len(pad) > len(window):
                pieces += (run[begin:until], tail, pad)
                begin = until
            elif pad:
                until = end + len(pad)
                window[end:until] = pad
        pieces.append(run[begin:until])
        self._note_put(pages, locations, crcs, offset)
        if self._buffered > _WINDOWS_BYTES:
            self.flush()
        return locations

    def _marks(self, pages: Sequence[int], owner: int) -> Iterable[int]:
        """What the records of some pages are to say of themselves."""
        if self._changes.keys().isdisjoint(pages):
            return repeat(page_mark(owner, 0, self._early), len(pages))
        return [self._mark(page, owner) for page in pages]

    def _mark(self, page: int, owner: int) -> int:
        times = 0
        if page in self._changes:
            times = self._again[page] = self._again.get(page, 0) + 1
        return page_mark(owner, times, self._early)

    def _note_put(
        self, pages: Sequence[int], locations: Sequence[int], crcs: Sequence[int], end: int
    ) -> None:
        """The buffer has these pages' records now, and so goes on to `end` in the file."""
        self._changes.update(zip(pages, locations, strict=True))
        self._pages_crc = zlib.crc32(struct.pack(f"<{len(crcs)}I", *crcs), self._pages_crc)
        self._records += len(crcs)
        self._buffered = end - self._position

    def delete(self, page: int) -> None:
        """Remove a page; harmless if it is not there."""
        if self.newest(page):
            self._add(KIND_DELETE, page, b"", 0)
            self._changes[page] = 0

    def _add(self, kind: int, page: int, payload: bytes | bytearray, owner: int) -> int:
        assert not self._ended, "the writer has ended"
        self._check_whole()
        mark = self._mark(page, owner)
        head, pad, crc = encode_around(self._log.salt, kind, self.lsn + 1, page, payload, mark)
        self._pages_crc = zlib.crc32(crc.to_bytes(4, "little"), self._pages_crc)
        self._records += 1
        offset = self._position + self._buffered
        self._buffer += (head, payload, pad)
        self._buffered += len(head) + len(payload) + len(pad)
        if self._buffered > _BUFFER_BYTES:
            self.flush()
        return offset

    def _check_whole(self) -> None:
        """Who undoes half of a statement that failed, or tries another, hears what went wrong first."""
        if self._failed:
            raise StorageError(self._failed)

    def flush(self) -> None:
        """Write the buffer behind what is written."""
        if not self._buffer:
            return
        parts = _joined(self._buffer)
        end = self._position + sum(map(len, parts))
        store = self._store
        with store.writes:
            store.check_usable()  # a fork's child stops here, and whose handle another thread has closed
            try:
                store.reserve(end)
                at = self._position
                for part in parts:
                    self._log.file.write(part, at)
                    at += len(part)
            except OSError as error:
                raise self._refused(error) from error
        self._position = end
        self._buffer = []
        self._buffered = 0

    def claim(self, payload_bytes: int = 0) -> None:
        """Write what is put, and have room on the disk for the commit, of so long a redo payload if it is one."""
        self.flush()
        store = self._store
        with store.writes:
            store.check_usable()
            try:
                store.claim(self._position + padded(COMMIT.size + payload_bytes))
            except OSError as error:
                raise self._refused(error) from error

    def _refused(self, error: OSError) -> StorageError:
        """The error for a write that failed; what was written early is gone, too.

        It is made where no frame of its traceback holds it, and only what it says is kept: else it would keep this writer,
        and so the file and its room on the disk, until the collector comes."""
        failure = refused(self._store.path, error)
        self._failed = str(failure)
        self._store.take_back(self._log)
        return failure

    def commit_redo(self, payload: bytes) -> Commit:
        """Append an opaque redo payload; no pages may have been put."""
        return Commit(self._store, self.append_redo(payload), None)

    def append_redo(self, payload: bytes) -> int:
        """The same: the commit's number, for who waits for it by `PageStore.wait_durable`."""
        assert not self._records, "a redo commit has no pages"
        assert not self._ended, "the writer has ended"
        if len(payload) > PAYLOAD_BYTES_MAX - 4096:
            raise TooLargeError(len(payload), PAYLOAD_BYTES_MAX - 4096)
        store = self._store
        try:
            with store.mutex:
                store.check_usable()  # a fork's child stops here
                lsn = store.append_redo(self._log, (payload,))
            self._ended = True  # one step with the release: Ctrl-C comes before both, or after
            store._writing.release()
        except BaseException:
            store.settle()  # interrupted: what is appended is not left without its sync
            raise
        return lsn

    def commit_pages(self) -> Commit:
        """Make every put and delete count, and end the redo tail."""
        assert not self._ended, "the writer has ended"
        log, store = self._log, self._store
        self._check_whole()
        lsn = self.lsn + 1
        record, crc = encode_commit(
            log.salt,
            KIND_PAGES,
            lsn,
            self._records,
            log.chain_crc,
            self._pages_crc,
            log.synced,
            log.end,
            self._next_page,
            time.time_ns() // 1_000_000,
            b"",
            sum(self._again.values()),
        )
        self._buffer.append(record)
        with store.writes:
            self.flush()
            with store.mutex:
                try:
                    log.take_pages(lsn, self._changes, self._next_page, crc, self._position)
                    store.appended_pages(lsn)
                except BaseException:
                    if log.lsn == lsn:  # Ctrl-C came too late to take it back
                        store.appended_pages(lsn)
                        self._ended = True
                        store._writing.release()
                    raise
        self._ended = True  # one step with the release: Ctrl-C comes before both, or after
        store._writing.release()
        return Commit(store, lsn, self._changes)

    def rollback(self) -> None:
        """End without a trace.  Harmless when ended already; a commit that nobody has waited for is made durable then.

        Who has begun it calls this where all went well and again where anything did not: Ctrl-C comes as a function
        begins, too, and nobody else would ever give the writer's lock back."""
        store = self._store
        try:
            if self._ended:
                store.settle()
            elif store.is_own():  # else the parent's; see `forked`
                self._buffer = []
                self._ended = True  # one step with the release, as above
                store._active = False
                store._writing.release()
        finally:
            store.unlock_if_idle()
