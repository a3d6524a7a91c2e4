"""Compaction and backup: what is live, copied to a new file in the order in which it is read.

    1  copy a snapshot's pages and redo to a temporary file beside the database        no lock
    2  copy the commits appended meanwhile, until few are left                         no lock
    3  copy the last of them, write the page table, sync, rename, sync the directory   writer's lock
    4  mark the old file as superseded: other handles follow at their next begin

Until the rename the old file is the database; from then on the new one is, whole and synced (fact 2).
A crash before that leaves a temporary file; a live word says who was writing one, so that the next to open the
database or to take its lock removes it.
Readers of older snapshots go on reading the old file, which stays until they let go of it.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import EngineError, NotADatabaseError, StorageError, busy, told
from engine.file import File, FileSystem, temporary_name
from engine.format import (
    CHAIN_BYTES,
    KIND_DELETE,
    KIND_PAGE,
    KIND_PAGES,
    KIND_TABLE,
    LOG_START,
    SUPERSEDED,
    WORD_COMPACTOR,
    WORD_HOLDER,
    WORD_VISIBLE,
    Slot,
    decode_chain,
    decode_header,
    encode_header,
    new_database_id,
    owner_of,
)
from engine.journal import Journal
from engine.log import Log
from engine.table_snapshot import write_table
from engine.temporary import remove_leftovers

if TYPE_CHECKING:
    from engine.snapshot import Snapshot
    from engine.store import PageStore
    from engine.writer import Writer

Progress = Callable[[int, int], None]
"""Called with (pages done, pages in all) now and then; what it raises abandons the work."""

_CATCH_UP_ROUNDS = 8
_CATCH_UP_BYTES = 1 << 20
_PROGRESS_PAGES = 16
_SYNC_BYTES = 8 << 20
_POLL_SECONDS = 0.001
_TAKEN_BACK = "what it has copied was taken back by another process since, or is damaged"
_log = Journal("kvsh.engine")


_Page = tuple[int, bytes | None, int]
"""A page, its bytes (None: deleted), and whose it is."""


@dataclass(frozen=True, slots=True)
class _LoggedCommit:
    """One commit of a log, to be copied."""

    lsn: int
    crc: int
    predecessor: int  # its crc
    end: int
    next_page: int
    pages: list[_Page] | None  # of a redo commit None
    redo: bytes


class Replacement:
    """A new file on its way to the place of a store's: some pages as of one commit, and the commits after it.

    It may be written bit by bit, while others commit to the old one.  `close` ends it, whatever became of it."""

    def __init__(self, store: PageStore, seen: Snapshot) -> None:
        remove_leftovers(store.place, store.files)
        self._store = store
        self._seen = seen
        self._old = seen.log
        self._target = temporary_name(store.place, "compact")
        self._position = seen.state.end  # of the old log: commits up to there are in the new one
        self._copied_crc: int | None = None  # of the newest of them that came after the snapshot
        self._writer: Writer | None = None
        self._sync: threading.Thread | None = None
        self._sync_begun = 0  # up to there
        self._sync_failed: OSError | None = None
        self._old.words[WORD_COMPACTOR] = os.getpid()
        # A process that ends without a word leaves no file behind either, but if it is killed.
        self._remove = weakref.finalize(self, _remove, self._target, store.files, os.getpid())
        try:
            self.copy = _created(self._target, store.files, like=store.place)
        except BaseException:
            self._end()
            raise

    def begin(self, lsn: int) -> Writer:
        """The new file's first writer, which puts pages as of commit `lsn`."""
        log = self.copy.current_log
        log.lsn = lsn - 1
        log.next_page = self._seen.log.next_page
        self._writer = self.copy.begin()
        self._writer.put_last()
        return self._writer

    def sync(self) -> None:
        """Have what the first writer has written so far synced meanwhile, so that there is little left to sync at
        the end."""
        assert self._writer is not None
        self._writer.flush()
        log = self.copy.current_log
        written = max(self._writer.end, log.end)
        if written - self._sync_begun > _SYNC_BYTES:
            self._end_sync()
            self._sync_begun = written
            sync = threading.Thread(target=self._synced, args=(log.file,))
            with contextlib.suppress(RuntimeError):  # no more threads: it is all synced at the end
                sync.start()
                self._sync = sync

    def _synced(self, file: File) -> None:
        try:
            file.sync()
        except OSError as error:
            self._sync_failed = error

    def _end_sync(self) -> None:
        """Wait for a sync that is under way."""
        sync, self._sync = self._sync, None
        if sync is not None:
            sync.join()
        if self._sync_failed is not None:
            raise self._sync_failed  # fact 9: what a second one said would prove nothing

    def write_table(self) -> None:
        """Behind the pages, if they are committed, and all that there is: whoever opens the new file reads only what
        follows it."""
        self._end_sync()
        if self.copy.current_log.base_lsn and not self.copy.current_log.redo:
            write_table(self.copy, ahead=False)

    def catch_up(self) -> None:
        """Copy the commits since, until few are left, or as many again: who writes as fast as this copies them is to wait for
        the rest, rather than be run after for as long as rounds that grow take."""
        old = self._old
        left: float = math.inf
        for _ in range(_CATCH_UP_ROUNDS):
            visible = old.words[WORD_VISIBLE]
            before, left = left, visible - self._position
            if visible >= SUPERSEDED or left < _CATCH_UP_BYTES or left * 2 > before:
                break
            self._copy_commits(visible)

    def take_place(self) -> None:
        """Copy the last commits, and be the store's file; called with its one writer begun."""
        store, old, copy = self._store, self._old, self.copy
        if store.current_log is not old:
            raise StorageError(f"{store.path}: another compaction was faster; nothing was changed")
        store.settle()
        self._copy_commits(old.end)
        self._check_newest(old.chain_crc)
        self._end_sync()
        copy.seal()  # everything on the disk, the page table and the header's slot included
        # From now on whoever has the old file open looks at the path: also if the rename fails, which may have
        # been done then, or this process is killed behind it.
        old.words[WORD_VISIBLE] = SUPERSEDED
        # Fact 2: written, synced, renamed, directory synced; all before anything is acknowledged.
        store.files.rename(self._target, store.place)
        with store.mutex:
            store.follow_own_rename()

    def _copy_commits(self, end: int) -> None:
        """Copy the commits of the old log up to an offset."""
        for commit in _commits(self._old, self._position, end, self._seen.lsn):
            self._check_newest(commit.predecessor)
            _append(self.copy, commit.lsn, commit.next_page, commit.pages, commit.redo)
            self._position = commit.end
            self._copied_crc = commit.crc

    def _check_newest(self, crc: int) -> None:
        """StorageError if the newest commit that was copied after the snapshot is not the one of this crc."""
        if self._copied_crc not in (None, crc):
            raise StorageError(f"{self._old.path}: {_TAKEN_BACK}")

    def close(self) -> None:
        """Let go of the new file, which is the database by now, or removed."""
        with contextlib.suppress(OSError):
            self._end_sync()
        self.copy.discard()
        self._end()

    def _end(self) -> None:
        self._remove()
        if self._store.current_log is self._old:
            self._old.words[WORD_COMPACTOR] = 0


def compact(
    store: PageStore,
    order: Sequence[int],
    progress: Progress | None = None,
    timeout: float | None = None,
) -> None:
    """Put a compacted file in the place of the store's; see the module."""
    with store.snapshot() as seen:
        before = seen.log.file.size()
        try:
            made = Replacement(store, seen)
            try:
                _copy_pages(made.copy, seen, order, progress)
                made.write_table()
                _copy_redo(made.copy, seen)
                made.catch_up()
                writer = store.begin(timeout)
                try:
                    made.take_place()
                    writer.rollback()
                except BaseException:  # see `Writer.rollback`
                    writer.rollback()
                    raise
            finally:
                made.close()
        except (OSError, StorageError) as error:
            store.check_usable()
            raise told(
                StorageError(
                    f"{store.path}: the compaction was abandoned, the database is as it was"
                    f" ({_reason(error)})"
                )
            ) from error
    after = store.current_log.file.size()
    _log.info("%s: compacted from %d to %d bytes", store.path, before, after)


def _reason(error: OSError | StorageError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _remove(path: str, files: FileSystem, pid: int) -> None:
    """Remove a temporary file of process `pid` if it is there; one that stays is removed some time later."""
    if pid != os.getpid():
        return  # a fork's child: the file is its parent's
    try:
        files.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        _log.warning("%s: can't be removed: %s", path, error)


def backup(
    seen: Snapshot,
    path: str,
    files: FileSystem,
    progress: Progress | None = None,
    *,
    like: str,
    timeout: float,
) -> None:
    """A consistent copy of the snapshot at `path`, all or nothing, readable to whom `like` is.

    `timeout`: seconds to wait for whoever writes to the older backup there; then BusyError."""
    target = temporary_name(path, "backup")
    try:
        if files.identity(path) is not None:
            _check_replaceable(path, files, seen.log)
        remove_leftovers(path, files)
        try:
            copy = _created(target, files, like=like)
            try:
                _copy_pages(copy, seen, (), progress)
                _copy_redo(copy, seen)
                copy.seal()
            finally:
                copy.close()
            _take_place_of_backup(target, path, files, timeout)
        finally:
            _remove(target, files, os.getpid())
    except (OSError, StorageError) as error:
        raise told(
            StorageError(f"{path}: the backup can't be written: {_reason(error)}")
        ) from error
    _log.info("%s: backed up to %s as of commit %d", seen.log.path, path, seen.lsn)


def _take_place_of_backup(target: str, path: str, files: FileSystem, timeout: float) -> None:
    """Rename the new file over an older one, if there is one: with its writer's lock, and whoever has it open is to
    look at the path, as after a compaction."""
    try:
        old = files.open(path, readonly=False)
    except OSError:  # there is none, or it may only be read: then nobody but its owner writes to it
        files.rename(target, path)
        return
    try:
        words = old.words() if old.size() >= LOG_START else None
        deadline = time.monotonic() + timeout
        while not old.try_lock():
            if time.monotonic() >= deadline:
                raise busy(path, 0 if words is None else words[WORD_HOLDER], timeout)
            time.sleep(_POLL_SECONDS)
        if words is not None:
            words[WORD_VISIBLE] = SUPERSEDED
        files.rename(target, path)
    finally:
        old.close()


def _check_replaceable(path: str, files: FileSystem, own: Log) -> None:
    """A backup takes the place of an older one, never of anything else, nor of the database."""
    try:
        file = files.open(path, readonly=True)
        header = file.read(LOG_START, 0)
    except OSError as error:
        raise StorageError(f"{path}: what is there can't be read: {_reason(error)}") from error
    try:
        if file.identity() == own.file.identity():
            raise EngineError(f"{path}: a database can't be backed up onto itself")
        if header:
            try:
                decode_header(header, path)
            except NotADatabaseError:
                raise NotADatabaseError(
                    f"{path}: is there already and no kvsh database: it was left as it is;"
                    " name another file for the backup"
                ) from None
    finally:
        file.close()


def _created(target: str, files: FileSystem, *, like: str) -> PageStore:
    """A new store at `target`, readable to whom `like` is."""
    from engine.store import PageStore

    header = encode_header(Slot(new_database_id(), 1))
    files.create(target, header, replace=False, like=like)
    return PageStore.open(target, durability="off", files=files)


def _copy_redo(copy: PageStore, seen: Snapshot) -> None:
    """Copy the snapshot's redo to a new store, behind the pages."""
    for lsn, payload in seen.redo():
        _append(copy, lsn, seen.log.next_page, None, payload)


def _copy_pages(
    copy: PageStore, seen: Snapshot, order: Sequence[int], progress: Progress | None
) -> None:
    """Copy the snapshot's pages to a new store: those in `order`, then the rest."""
    if not seen.base_lsn:
        return
    locations = dict(seen.pages())
    total = len(locations)
    log = copy.current_log
    log.lsn = seen.base_lsn - 1
    log.next_page = seen.log.next_page
    writer = copy.begin()
    writer.put_last()
    try:
        done = 0
        for page in (*order, *locations):
            location = locations.get(page)
            if location is None or writer.has(page):
                continue
            writer.put(page, *seen.read_owned(page, location))
            done += 1
            if progress is not None and done % _PROGRESS_PAGES == 0:
                progress(done, total)
        writer.commit_pages().wait()
    finally:
        writer.rollback()


def _commits(old: Log, position: int, end: int, after_lsn: int) -> Iterator[_LoggedCommit]:
    reader = Log(old.file, old.path, stop_lsn=after_lsn)  # a window of its own
    pages: list[_Page] = []
    while position < end:
        record = reader.record_at(position, end)
        if record is None:
            raise StorageError(f"{old.path}: {_TAKEN_BACK}")
        position += record.span
        if record.kind == KIND_PAGE:
            pages.append((record.page, record.payload, owner_of(record.pages)))
        elif record.kind == KIND_DELETE:
            pages.append((record.page, None, 0))
        elif record.kind != KIND_TABLE:
            chain = decode_chain(record)
            assert chain is not None, "the log was scanned before"
            yield _LoggedCommit(
                lsn=record.lsn,
                crc=record.crc,
                predecessor=chain.predecessor,
                end=position,
                next_page=chain.next_page,
                pages=pages if record.kind == KIND_PAGES else None,
                redo=record.payload[CHAIN_BYTES:],
            )
            pages = []


def _append(
    copy: PageStore,
    lsn: int,
    next_page: int,
    pages: list[_Page] | None,
    redo: bytes,
) -> None:
    """Commit `lsn` of another log as it is there: these pages, or if None, the redo."""
    copy.current_log.lsn = lsn - 1
    copy.current_log.next_page = next_page
    writer = copy.begin()
    try:
        if pages is None:
            writer.commit_redo(redo).wait()
            return
        writer.put_last()
        newest = {page: (payload, owner) for page, payload, owner in pages}
        for page, (payload, owner) in newest.items():
            if payload is None:
                writer.delete(page)
            else:
                writer.put(page, payload, owner)
        writer.commit_pages().wait()
    finally:
        writer.rollback()
