"""`PageStore`: a durable, transactional key-value store of pages in one append-only file.

    store = PageStore.open("app.db")
    writer = store.begin()            # the one writer, across threads and processes
    page = writer.allocate()
    writer.put(page, b"...")
    writer.commit_pages().wait()      # appended; durable once wait() returns
    with store.snapshot() as seen:    # takes no lock, blocks nobody
        seen.get(page)

Commits.  A writer appends its records in one write behind the newest commit and lets the next writer
of this process start at once; `Commit.wait` then syncs for every commit appended so far (`syncing`).
Readers see a commit only once it is as durable as the store promises (`published`).  The lock between
processes is held until no commit of this process is waiting to be synced (`locking`).

Locks.  `_writing` admits one writer of this process; the file's flock one process; `writes` keeps the handle from
being closed while the writer writes; `mutex` guards the few assignments that publish a state.  Lock order: _writing,
flock, writes, syncs, mutex.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from engine.at_once import append_unsynced
from engine.errors import CorruptionError, EngineError, ReadOnlyError, StorageError, busy, refused
from engine.file import FileSystem, OsFileSystem
from engine.forking import call_in_child
from engine.format import LOG_START
from engine.grouping import Grouping
from engine.hurry import HURRY, other_threads
from engine.journal import Journal
from engine.log import CommitInfo, Log
from engine.opening import open_log
from engine.published import Durability
from engine.table_snapshot import table_due, table_wanted_at_close, trim, write_table
from engine.writer import Writer

REDO_TAIL_BYTES_MAX = 4 << 20
REDO_TAIL_SHARE = 4
LIGHT_REDO_TAIL_SHARE = 2
LONG_REDO_TAIL_BYTES_MAX = 16 << 20
LIGHT_REDO_TAIL_BYTES_MAX = 64 << 20
"""Redo past this asks for a checkpoint: it bounds the time to open.  A large database may have a longer
tail, a share of its live bytes: scattered changes then meet in its many pages before those are written.  And
longer still by the part of it that costs the next open no more than reading it."""

COMPACTION_BYTES_MIN = 16 << 20
COMPACTION_FACTOR = 2
"""A compaction is due when more than this many bytes are dead, and this many times the live ones."""
CLOSING_BYTES_MIN = 256 << 10
CLOSING_SHARE = 4
"""Of what it wrote itself a handle that is closed leaves at most this many bytes dead, or this share of the live ones."""
QUICK_LIVE_BYTES_MAX = 256 << 20
QUICK_GROWN_FACTOR = 4
"""This much is copied in a second or two.  More is copied where a handle has written this many times as much."""

if TYPE_CHECKING:
    from engine.compaction import Replacement
    from engine.snapshot import Snapshot

_log = Journal("kvsh.engine")


def check_options(durability: str, timeout: float, at: int | None) -> None:
    """Raise EngineError or TypeError for what is none of the options that a database is opened with."""
    if durability not in ("full", "normal", "off"):
        raise EngineError(f"durability is full, normal or off, not {durability!r}")
    if not isinstance(timeout, int | float):
        raise TypeError(f"timeout is a number of seconds, not {type(timeout).__name__}")
    if not isinstance(at, int | None):
        raise TypeError(f"at is the number of a commit, not {type(at).__name__}")


class PageStore(Grouping):
    """One handle on a database file.  Its methods may be called from any thread."""

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "full",
        readonly: bool = False,
        timeout: float = 5.0,
        at: int | None = None,
        files: FileSystem | None = None,
    ) -> PageStore:
        """Open or create the database at `path`.

        `at`: as it was at that commit, read-only.  A read-only open writes nothing, not even a
        recovery.  Raises NotADatabaseError, CorruptionError, StorageError."""
        path = os.fspath(path)
        system: FileSystem = OsFileSystem() if files is None else files
        check_options(durability, timeout, at)
        readonly = readonly or at is not None
        place = cls._resolved(path, system)
        log = open_log(
            path,
            system,
            place=place,
            readonly=readonly,
            stop_lsn=at,
            durable=durability != "off",
            timeout=timeout,
        )
        if at is not None and log.lsn != at:
            log.file.close()
            what = "newest it holds" if log.lsn < at else "oldest it still holds after a compaction"
            raise EngineError(f"{path}: has no commit {at}; the {what} is {log.lsn}")
        store = cls(
            path,
            log,
            system,
            place=place,
            durability=durability,
            readonly=readonly,
            timeout=timeout,
        )
        call_in_child(store, cls.forked)
        return store

    @staticmethod
    def _resolved(path: str, files: FileSystem) -> str:
        try:
            return files.resolve(path)
        except (OSError, ValueError) as error:
            raise StorageError(f"{path!r}: unable to open database file: {error}") from error

    # -- writing ---------------------------------------------------------------------------------

    def begin(self, timeout: float | None = None) -> Writer:
        """The one writer, on top of the newest commit.

        Waits at most `timeout` seconds (None: the store's), then BusyError names the holder."""
        has = False
        try:
            for got in self._attempts:
                has = got
                break
            if has and self._dead is None and not self.readonly:
                # The usual case in as few steps as it takes: nobody is in the way.
                with self.mutex:
                    log = self.current_log
                    if self._dead is None and self._lock_unchanged_file(log):
                        self._active = True
                        if not table_due(self):
                            return Writer(self, log)
            self.check_usable()
            if self.readonly:
                raise ReadOnlyError(
                    f"{self.path}: attempt to write a readonly database: open it without readonly"
                )
            seconds = self.timeout if timeout is None else timeout
            deadline = time.monotonic() + seconds
            if not has:
                for got in map(self._writing.acquire, (True,), (max(seconds, 0),)):
                    has = got  # in one step with the lock, see `_attempts`
                if not has:
                    raise busy(self.path, os.getpid(), seconds)
                self.check_usable()
            with self.mutex:
                locked = self._active = self._lock_unchanged_file(self.current_log)
            if not locked:
                self._lock_file(deadline, seconds)
            if table_due(self):
                with self.writes:
                    self.check_usable()
                    write_table(self)
            return Writer(self, self.current_log)
        except BaseException as error:
            if has:
                self.writer_ended()
                self.unlock_if_idle()
            if isinstance(error, OSError):
                raise refused(self.path, error) from error
            raise

    def commit_redo(self, payload: bytes) -> int:
        """A whole transaction that is one redo record and needs no look at what is there; its lsn."""
        if self.durability == "full":
            if not other_threads():
                return self.commit_in_group(payload)
            with HURRY:
                return self.commit_in_group(payload)
        if lsn := append_unsynced(self, payload) or self.append_at_once((payload,)):
            return lsn
        writer = self.begin()
        try:
            lsn = writer.commit_redo(payload).lsn
            writer.rollback()
        except BaseException:  # see `Writer.rollback`
            writer.rollback()
            raise
        return lsn

    def writer_ended(self) -> None:
        """A writer is done (rolled back)."""
        if self.is_own():  # else the parent's; see `forked`
            self._active = False
            self._writing.release()

    def is_own(self) -> bool:
        """Whether this process has opened the handle."""
        return self._pid == os.getpid()

    def compaction_due(self, *, quick: bool = False, closing: bool = False) -> bool:
        """Whether a compaction would free much: dead bytes far outweigh live ones.

        `quick`: and takes not long, or has been written for much longer.  `closing`: whether one is due
        to a handle that is about to go, besides; then a quarter as much as what lives is much, if what
        the handle has written pays for the copy."""
        log = self.current_log
        live = log.live_bytes + log.redo_bytes
        dead = log.end - LOG_START - live
        due = dead > COMPACTION_BYTES_MIN and dead > COMPACTION_FACTOR * live
        if not quick:
            return due
        grown = max(log.end - self._end_at_open, 0)  # as far as no compaction shortened it
        if live > max(QUICK_LIVE_BYTES_MAX, grown // QUICK_GROWN_FACTOR):
            return False
        paid = closing and dead > CLOSING_BYTES_MIN and grown > live
        return due or (paid and dead > live // CLOSING_SHARE)

    def checkpoint_due(self, more: int = 0, light: int = 0) -> bool:
        """Whether the redo tail, of which so many bytes are light, has outgrown its bound; with `more`, whether
        so large a transaction would take it past the largest bound."""
        log = self.current_log
        size = log.redo_bytes
        if size <= REDO_TAIL_BYTES_MAX and not more:
            return False
        if more:
            return size + more > max(self._redo_bound(light), LONG_REDO_TAIL_BYTES_MAX)
        return self.redo_fullness(light) > 1

    def redo_fullness(self, light: int = 0) -> float:
        """How long the redo tail is beside its bound, as `checkpoint_due` weighs it: above 1 it is outgrown."""
        size = self.current_log.redo_bytes
        return max(size / self._redo_bound(light), (size - light) / self._redo_bound(0))

    def _redo_bound(self, light: int) -> int:
        """How long the redo tail may be, if some of it is light or none."""
        live = self.current_log.live_bytes
        if light:
            bound = min(live // LIGHT_REDO_TAIL_SHARE, LIGHT_REDO_TAIL_BYTES_MAX)
        else:
            bound = min(live // REDO_TAIL_SHARE, LONG_REDO_TAIL_BYTES_MAX)
        return max(bound, REDO_TAIL_BYTES_MAX)

    @property
    def redo_held_bytes(self) -> int:
        """What the redo tail takes in memory."""
        log = self.current_log
        return log.redo_bytes - log.redo_stored_bytes

    @property
    def live_bytes(self) -> int:
        """What the newest pages take in the file."""
        return self.current_log.live_bytes

    def checkpoint_due_at_close(self, redo_bytes_max: int) -> bool:
        """Whether the handle should leave no redo behind: there is much, or it is in the way of a small
        page table, which holds the pages only."""
        log = self.current_log
        if log.redo_bytes > redo_bytes_max:
            return True
        in_the_way = self._changed and self.durability != "off" and bool(log.redo)
        return in_the_way and table_wanted_at_close(log)

    def redo_commits(self) -> int:
        """Commits that the next open would have to replay."""
        return len(self.current_log.redo)

    # -- the whole file --------------------------------------------------------------------------

    def compact(
        self,
        order: Sequence[int] = (),
        *,
        progress: Callable[[int, int], None] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Copy what is live to a new file, pages in `order` first, and put it in this one's place.  `timeout`: how
        long to wait for the lock in the end, as `begin` has it."""
        from engine.compaction import compact

        compact(self, order, progress, timeout)

    def replacement(self, seen: Snapshot) -> Replacement:
        """A compaction that somebody does bit by bit, of the pages as of a snapshot; see there."""
        from engine.compaction import Replacement

        return Replacement(self, seen)

    def backup(
        self,
        path: str | os.PathLike[str],
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """A consistent copy of the newest commit at `path`; a database there is replaced."""
        from engine.compaction import backup

        with self.snapshot() as seen:
            target = self._resolved(os.fspath(path), self.files)
            backup(seen, target, self.files, progress, like=self.place, timeout=self.timeout)

    def check(self) -> list[str]:
        """Read every live page and the chain of commits; every problem as one sentence."""
        from engine.inspection import check

        with self.snapshot() as seen:
            return check(seen)

    def live_pages(self) -> set[int]:
        """The numbers of all pages of the newest commit."""
        with self.snapshot() as seen:
            return {page for page, _ in seen.pages()}

    def stats(self) -> dict[str, int]:
        """Figures of the file: bytes in all, live and dead, redo tail, pages, newest commit."""
        from engine.inspection import stats

        with self.snapshot() as seen:
            return stats(seen)

    def log(self) -> Iterator[CommitInfo]:
        """Every commit that the file holds, oldest first."""
        with self.snapshot() as seen:
            yield from Log(seen.log.file, self.path, stop_lsn=seen.lsn).commits(seen.state.end)

    def close(self) -> None:
        """Let go of the file; a clean end is noted in its header.  Closing twice is harmless.

        Other threads are refused what they do from now on.  What they have appended counts; a transaction that one of
        them has open does not, and the file's lock is given back at once."""
        if self._dead == "closed":
            return
        try:
            if self._changed and self._dead is None and not self.readonly:
                self.settle()  # also beside another thread's transaction, which the clean end can't be made beside
                self._close_cleanly()
        finally:
            with self.writes, self.syncs, self.mutex:
                try:
                    self.settle()  # what others have appended since
                finally:
                    self._end()

    def _end(self) -> None:
        """Be closed; under the mutex, with nobody writing or syncing."""
        if self._locked and not self._active:
            self._unlock()
        self._dead = "closed"
        self._visible = None
        if self._locked:
            self._unlock()  # dead: who takes the lock next cuts what the writer has written early
        self.close_file()

    def discard(self) -> None:
        """`close` for a file that nobody is going to open by its name."""
        self._changed = False
        self.close()

    def _close_cleanly(self) -> None:
        self._name_seen = 0  # a last look at whether the file is whole
        try:
            writer = self.begin(timeout=0)
        except CorruptionError:
            raise
        except EngineError as error:
            _log.info("%s: left without trimming: %s", self.path, error)
            return
        try:
            self._trim_at_close()
            writer.rollback()
        except BaseException:  # see `Writer.rollback`
            writer.rollback()
            raise

    def _trim_at_close(self) -> None:
        try:
            if self.durability == "off":
                self.current_log.file.truncate(self.current_log.end)
            else:
                trim(self)
        except OSError as error:
            # Every commit is as durable as promised; a trim that fails loses space, not data.
            _log.warning("%s: not trimmed at close: %s", self.path, error)
        except StorageError:
            if self.durability == "normal":  # here its last commits were to reach the disk
                raise

    def seal(self) -> None:
        """Everything on the disk, whatever the handle's durability, and the header up to date."""
        writer = self.begin()
        try:
            trim(self)
            self._changed = False
            writer.rollback()
        except BaseException:  # see `Writer.rollback`
            writer.rollback()
            raise

    def forked(self) -> None:
        """In a forked child: refuse everything from now on."""
        # Fact 11: the child shares the parent's open file and its lock; it must touch neither.
        if self._dead == "closed":
            return
        self._dead = (
            f"{self.path}: this handle was opened before a fork and can't be used in the child;"
            " open the database again there"
        )
        self._visible = None
        self._locked = self._syncing = False
        self.writes = threading.RLock()
        self.syncs = threading.RLock()
        self.mutex = threading.RLock()
        self._renew_writing()
        self.leave_line()

    def __enter__(self) -> PageStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
