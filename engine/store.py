"""`PageStore`: a durable, transactional key-value store of pages in one append-only file.

    store = PageStore.open("app.db")
    writer = store.begin()            # the one writer, across threads and processes
    page = writer.allocate()
    writer.put(page, b"...")
    writer.commit_pages().wait()      # appended; durable once wait() returns
    with store.snapshot() as seen:    # takes no lock, blocks nobody
        seen.get(page)

Commits.  A writer appends its records in one write behind the newest commit and lets the next writer
of this process start at once; `Commit.wait` then syncs for every commit appended so far (group
commit).  Readers see a commit only once it is as durable as the store promises.  The lock between
processes is held until no commit of this process is waiting to be synced.

Locks.  `_writing` admits one writer of this process; the file's flock one process; `_mutex` guards the
few assignments that publish a state.  Lock order: _writing, flock, _mutex.

After a failed sync the records past the last synced offset are taken back and the handle is dead
(fact 9): what the page cache says then proves nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from engine.errors import EngineError, ReadOnlyError, StorageError, busy, refused
from engine.file import FileSystem, OsFileSystem
from engine.format import (
    KIND_REDO,
    LOG_START,
    SUPERSEDED,
    WORD_HOLDER,
    WORD_SYNCED,
    WORD_VISIBLE,
    WORD_WAITING,
    encode_commit,
)
from engine.journal import Journal
from engine.log import CommitInfo, Log, State
from engine.opening import needs_securing, open_log, secure_tail
from engine.snapshot import Snapshot
from engine.table_snapshot import table_due, table_wanted_at_close, trim, write_table
from engine.writer import Writer

Durability = Literal["full", "normal", "off"]

REDO_TAIL_BYTES_MAX = 4 << 20
REDO_TAIL_SHARE = 4
LONG_REDO_TAIL_BYTES_MAX = 16 << 20
"""Redo past this asks for a checkpoint: it bounds the time to open.  A large database may have a longer
tail, a share of its live bytes: scattered changes then meet in its many pages before those are written."""

COMPACTION_BYTES_MIN = 16 << 20
COMPACTION_FACTOR = 2
"""A compaction is due when more than so many bytes are dead, and so many times the live ones."""

NAME_SEEN_SECONDS = 0.01
"""A writer that has the file's lock again and again looks so often whether the file is still there."""

_GROW_BYTES_MIN = 64 << 10
_GROW_BYTES_MAX = 8 << 20
_POLL_SECONDS_MAX = 0.004
_YIELD_MS = 50
_LONG_WAIT_SECONDS = 0.1

_log = Journal("kvsh.engine")

_open_stores: weakref.WeakSet[PageStore] = weakref.WeakSet()


class PageStore:
    """One handle on a database file.  Its methods may be called from any thread."""

    def __init__(
        self,
        path: str,
        log: Log,
        files: FileSystem,
        *,
        place: str,
        durability: Durability,
        readonly: bool,
        timeout: float,
    ) -> None:
        self.path = path  # as the caller names it
        self.place = place  # the same, whatever becomes of the working directory
        self.durability = durability
        self.readonly = readonly
        self.timeout = timeout
        self.files = files
        self.current_log = log
        self._words = log.words
        self._visible: State | None = log.state()
        self._visible_end = log.end
        self.mutex = threading.RLock()
        self.synced = threading.Condition(self.mutex)  # notified after a sync
        self._writing = threading.Lock()
        self._active = False  # a writer is at work; it has `_writing`
        self._locked = False  # this handle has the file's lock
        self._locked_last = False  # it was the last to have it, as far as it knows
        self._name_synced = False
        self._name_seen = 0.0  # when the path was last seen to name the file
        self._syncing = False
        self._unsynced = 0  # commits appended and not yet synced
        self._synced_lsn = log.lsn
        self._live: dict[int, int] = {}  # id of a live snapshot -> its lsn
        self._dead: str | None = None
        self._changed = False
        self._pid = os.getpid()
        _open_stores.add(self)

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
        if durability not in ("full", "normal", "off"):
            raise EngineError(f"durability is full, normal or off, not {durability!r}")
        readonly = readonly or at is not None
        try:
            place = system.resolve(path)
        except (OSError, ValueError) as error:
            raise StorageError(f"{path!r}: unable to open database file: {error}") from error
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
        return cls(
            path,
            log,
            system,
            place=place,
            durability=durability,
            readonly=readonly,
            timeout=timeout,
        )

    # -- reading ---------------------------------------------------------------------------------

    def is_current(self, snapshot: Snapshot) -> bool:
        """Whether `snapshot()` would give the very same state.  Costs no system call."""
        return snapshot.state is self._visible and self._words[0] <= self._visible_end

    def snapshot(self) -> Snapshot:
        """The newest commit that may be seen, whoever wrote it."""
        self.check_usable()
        with self.mutex:
            if not self._locked:
                self._take_in_others()
            assert self._visible is not None
            snapshot = Snapshot(self, self.current_log, self._visible)
            self._live[id(snapshot)] = self._visible.lsn
            return snapshot

    def forget(self, snapshot: Snapshot) -> None:
        """A snapshot was closed: what was kept for it alone may go."""
        # No lock: one dict operation, and the collector may call this anywhere.
        self._live.pop(id(snapshot), None)

    def _take_in_others(self) -> None:
        """What other processes published since; under the mutex, without the file's lock."""
        log = self.current_log
        visible = log.words[WORD_VISIBLE]
        if visible >= SUPERSEDED:
            self.follow_rename()
        elif visible > log.end:
            log.scan(visible, oldest_lsn=self._oldest_lsn())
            self._set_visible(log.state())

    def _oldest_lsn(self) -> int:
        newest = 0 if self._visible is None else self._visible.lsn
        return min(list(self._live.values()), default=newest)

    def _set_visible(self, state: State) -> None:
        self._visible = state
        self._visible_end = state.end
        self._synced_lsn = state.lsn

    def follow_rename(self) -> None:
        """A compaction put another file in this one's place: go on with that one; under the mutex."""
        log = open_log(
            self.path,
            self.files,
            place=self.place,
            readonly=self.readonly,
            durable=self.durability != "off",
        )
        _log.info("%s: follows a compaction to its new file", self.path)
        self.switch_to(log)

    def switch_to(self, log: Log) -> None:
        """Go on with another log, whose file stands at our path now; under the mutex.

        The old one stays open for the snapshots that read it; it goes with the last of them."""
        self.current_log = log
        self._words = log.words
        self._name_synced = False
        self._name_seen = 0.0
        self._set_visible(log.state())

    # -- writing ---------------------------------------------------------------------------------

    def begin(self, timeout: float | None = None) -> Writer:
        """The one writer, on top of the newest commit.

        Waits at most `timeout` seconds (None: the store's), then BusyError names the holder."""
        self.check_usable()
        if self.readonly:
            raise ReadOnlyError(
                f"{self.path}: attempt to write a readonly database: open it without readonly"
            )
        seconds = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        if not self._writing.acquire(timeout=max(seconds, 0)):
            raise busy(self.path, os.getpid(), seconds)
        try:
            self.check_usable()
            with self.mutex:
                locked = self._lock_unchanged_file()
            if not locked:
                self._lock_file(deadline, seconds)
            if table_due(self):
                write_table(self)
            return Writer(self, self.current_log)
        except OSError as error:
            self.writer_ended()
            self.unlock_if_idle()
            raise refused(self.path, error) from error
        except BaseException:
            self.writer_ended()
            self.unlock_if_idle()
            raise

    def commit_redo(self, payload: bytes) -> int:
        """A whole transaction that is one redo record and needs no look at what is there; its lsn.

        The steps of `begin`, `Writer.commit_redo` and `Commit.wait` without their objects, for
        transactions that take a few microseconds.  What is out of the ordinary goes their way."""
        lsn = 0
        if self._writing.acquire(blocking=False):
            try:
                with self.mutex:
                    if self._dead is None and not self.readonly and self._lock_unchanged_file():
                        lsn = self.append_redo(self.current_log, payload)
            except BaseException:
                self._settle()  # interrupted: what is appended is not left without its sync
                raise
            finally:
                self._active = False
                self._writing.release()
                if not lsn:
                    self.unlock_if_idle()
        if not lsn:
            writer = self.begin()
            try:
                commit = writer.commit_redo(payload)
            finally:
                writer.rollback()
            commit.wait()
            return commit.lsn
        if self.durability == "full":
            self.wait_durable(lsn, pages=False)
        return lsn

    def append_redo(self, log: Log, payload: bytes) -> int:
        """Append a redo commit; its lsn.  The writer's work, under the mutex."""
        lsn, start = log.lsn + 1, log.end
        time_ms = time.time_ns() // 1_000_000
        chain = (log.chain_crc, 0, log.synced, start, log.next_page, time_ms)
        record, crc = encode_commit(log.salt, KIND_REDO, lsn, 0, chain, payload)
        end = start + len(record)
        try:
            if end > log.allocated:
                self.reserve(end)
            log.file.write(record, start)
        except OSError as error:
            self.take_back(log)
            raise refused(self.path, error) from error
        log.chain_crc = crc
        log.end = end
        log.take_redo(lsn, payload)
        self.appended(pages=False)
        return lsn

    def _lock_unchanged_file(self) -> bool:
        """What `_lock_file` does where nobody is in the way and nothing is new since this handle had
        the lock: by far the most frequent case, in as few steps as the same checks take.  Under the
        mutex."""
        log = self.current_log
        words = log.words
        if words[WORD_WAITING] and self._others_wait():
            return False
        if not self._locked:
            file = log.file
            if not file.try_lock():
                return False
            unchanged = False
            try:
                unchanged = (
                    words[WORD_HOLDER] == 0
                    and words[WORD_VISIBLE] == log.end == self._visible_end
                    and (self._name_synced or self.durability == "off")
                    and self._has_its_name(log)
                )
            finally:
                if not unchanged:
                    file.unlock()
            if not unchanged:
                return False
            words[WORD_HOLDER] = self._pid
            synced = words[WORD_SYNCED]
            if log.synced < synced <= log.end:
                log.synced = synced
            words[WORD_SYNCED] = log.synced
            self._locked = self._locked_last = True
        self._active = True
        return True

    def _has_its_name(self, log: Log) -> bool:
        """Whether the path still names the log's file (fact 11).

        The words, which are looked at each time, tell of every compaction, that of a process that
        died within one included.  What is left to find out is that somebody has moved the file, or
        removed it: that is asked once in `NAME_SEEN_SECONDS`, for the question costs twice as much as the
        write: after it the file system takes the next write's time more exactly."""
        now = time.monotonic()
        if now - self._name_seen > NAME_SEEN_SECONDS:
            if self.files.identity(self.place) != log.identity:
                return False
            self._name_seen = now
        return True

    def _lock_file(self, deadline: float, seconds: float) -> None:
        """Take the file's lock if this handle has it not yet, and take in what is new."""
        with self.mutex:
            if self._locked and not self._others_wait():
                self._active = True
                return
        if self._locked:
            self._settle()  # let the group end, then others in
            with self.mutex:
                self.check_usable()
                if self._locked and not self._unsynced:
                    self._unlock()
                elif self._locked:
                    self._active = True
                    return
        if self._locked_last and self._others_wait():
            time.sleep(0.001)
        began = time.monotonic()
        self._await_lock(deadline, seconds)
        waited = time.monotonic() - began
        if waited > _LONG_WAIT_SECONDS:
            _log.info("%s: waited %.2f s for the lock", self.path, waited)
        with self.mutex:
            self._locked = self._locked_last = self._active = True
            try:
                self._catch_up()
            except OSError as error:
                self._unlock()
                raise refused(self.path, error) from error
            except BaseException:
                self._unlock()
                raise

    def _await_lock(self, deadline: float, seconds: float) -> None:
        pause = 0.0005
        while True:
            log = self.current_log
            if log.file.try_lock():
                # Fact 11: the path may name another file by now.
                there = self.files.identity(self.place)
                if there == log.identity:
                    return
                log.file.unlock()
                if there is None:
                    raise StorageError(f"{self.path}: the file was removed while it was open")
                with self.mutex:
                    self.follow_rename()
                continue
            self._locked_last = False
            left = deadline - time.monotonic()
            if left <= 0:
                raise busy(self.path, log.words[WORD_HOLDER], seconds)
            log.words[WORD_WAITING] = time.time_ns() // 1_000_000
            time.sleep(min(pause, left))
            pause = min(pause * 2, _POLL_SECONDS_MAX)

    def _others_wait(self) -> bool:
        """Whether another process has waited for the lock just now."""
        since = self.current_log.words[WORD_WAITING]
        return since != 0 and abs(time.time_ns() // 1_000_000 - since) < _YIELD_MS

    def _catch_up(self) -> None:
        """With the file's lock just taken: see everything, and make sure of the log's end."""
        log = self.current_log
        log.allocated = 0  # others may have cut what was allocated
        words = log.words
        clean = words[WORD_HOLDER] == 0  # whoever had the lock before gave it back himself
        visible = words[WORD_VISIBLE]
        taken_back = visible < log.end
        if visible != log.end or not clean:
            log.scan(oldest_lsn=self._oldest_lsn())
        if taken_back or log.end < visible < SUPERSEDED:
            # Without full durability commits are seen before they are synced.
            self._dead = (
                f"{self.path}: commits that this handle had seen were taken back by another process"
                " after a failed sync: open the database again"
            )
            raise StorageError(self._dead)
        if not clean:
            if words[WORD_HOLDER] != 0:
                _log.info("%s: takes over from process %d", self.path, words[WORD_HOLDER])
            log.check_tail()
            if needs_securing(log):
                secure_tail(log, durable=self.durability != "off")
        log.synced = max(log.synced, min(words[WORD_SYNCED], log.end))
        if not self._name_synced and self.durability != "off":
            # Fact 1: whoever created the file may have died before its name was on the disk.
            self.files.sync_directory(self.place)
            self._name_synced = True
        words[WORD_HOLDER] = os.getpid()
        words[WORD_SYNCED] = log.synced
        words[WORD_VISIBLE] = log.end
        if self._visible is None or self._visible.end != log.end or self._visible.lsn != log.lsn:
            self._set_visible(log.state())

    def reserve(self, end: int) -> None:
        """Have space allocated up to `end` and some more: syncing into it costs half."""
        log = self.current_log
        if end <= log.allocated:
            return
        file = log.file
        log.allocated = file.size()
        if end > log.allocated:
            more = min(max(_GROW_BYTES_MIN, end // 8), _GROW_BYTES_MAX)
            wanted = (end + more + 4095) & ~4095
            try:
                file.allocate(wanted)
                log.allocated = wanted
            except OSError as error:
                # Fact 10: a disk too full to grow ahead may still hold this commit; its own write
                # will tell.
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise

    def appended(self, *, pages: bool) -> None:
        """A commit stands in the log; called by its writer under the mutex.  Where there is no sync to
        wait for, the file's lock is given back."""
        self._changed = True
        self._active = False
        if self.durability == "full":
            self._unsynced += 1
            return
        self.publish(self.current_log.state())
        if not (pages and self.durability == "normal"):
            self._unlock()

    def publish(self, state: State) -> None:
        """Let readers see `state`; under the mutex."""
        log = self.current_log
        self._set_visible(state)
        log.words[WORD_VISIBLE] = state.end
        if log.table.overlays:
            log.table.sink(self._oldest_lsn())

    def note_synced(self, end: int) -> None:
        log = self.current_log
        log.synced = max(log.synced, end)
        log.words[WORD_SYNCED] = log.synced

    def wait_durable(self, lsn: int, *, pages: bool) -> None:
        """Until commit `lsn` is as durable as the store promises."""
        if self.durability == "off" or (self.durability == "normal" and not pages):
            return
        try:
            self._wait_synced(lsn)
        except EngineError:
            raise
        except BaseException:
            # Interrupted (Ctrl-C): a commit left without its sync would keep others out for good.
            self._settle()
            raise
        finally:
            self.unlock_if_idle()

    def _wait_synced(self, lsn: int) -> None:
        full = self.durability == "full"
        with self.mutex:
            while not full or self._synced_lsn < lsn:
                if self._dead is not None:
                    raise StorageError(self._dead)
                if self._syncing:
                    self.synced.wait()
                    continue
                # The first that comes syncs for all that have been appended by now.
                self._sync_group()
                if not full:
                    return

    def _settle(self) -> None:
        """Sync what is appended, whoever was to wait for it."""
        with self.mutex:
            while self._unsynced and self._dead is None:
                if self._syncing:
                    self.synced.wait(0.01)
                else:
                    self._sync_group()

    def _sync_group(self) -> None:
        """Sync for all that have been appended by now; under the mutex, which is let go meanwhile."""
        self._syncing = True
        log = self.current_log
        target, group = log.state(), self._unsynced
        self.mutex.release()
        failure: OSError | None = None
        try:
            log.file.sync()
        except OSError as error:
            failure = error
        finally:
            self.mutex.acquire()
            self._syncing = False
            self.synced.notify_all()
        if failure is not None:
            self.die(failure)
            raise StorageError(self._dead) from failure
        self.note_synced(target.end)
        if self.durability == "full":
            self._unsynced -= group
            self.publish(target)

    def die(self, error: OSError) -> None:
        """Fact 9: never retry a failed sync and believe it.  Take the records back; under the mutex."""
        log = self.current_log
        self._dead = (
            f"{self.path}: a sync failed ({error.strerror or error}): the commits that waited for"
            " it were taken back, and this handle is dead; open the database again"
        )
        _log.error("%s", self._dead)
        self._unsynced = 0
        self._visible = None
        try:
            if self._locked:
                log.words[WORD_VISIBLE] = min(log.words[WORD_VISIBLE], log.synced)
            log.file.truncate(max(log.synced, LOG_START))
            log.file.sync()
        except OSError as second:
            _log.error("%s: taking back the unsynced commits failed too: %s", self.path, second)

    def sync_alone(self, log: Log) -> None:
        """A writer's sync outside of a group; if it fails the handle is dead (fact 9)."""
        try:
            log.file.sync()
        except OSError as error:
            with self.mutex:
                self.die(error)
            raise StorageError(self._dead) from error

    def take_back(self, log: Log) -> None:
        """After a failed write: let nothing of it stand where a reopen could see it.

        Synced, because a power cut must not bring back what was reported as failed."""
        log.allocated = 0
        try:
            log.file.truncate(log.end)
        except OSError as error:
            with self.mutex:
                self.die(error)
            return
        if self.durability != "off":
            with contextlib.suppress(StorageError):  # the handle is dead then; the caller reports
                self.sync_alone(log)

    def writer_ended(self) -> None:
        """A writer is done (committed or rolled back)."""
        if self._pid != os.getpid():
            return  # the parent's writer; see `forked`
        self._active = False
        self._writing.release()

    def unlock_if_idle(self) -> None:
        """Give the file's lock back if no writer is at work and no commit waits for its sync."""
        if self._pid != os.getpid():
            return  # fact 11: a child's unlock would drop its parent's lock
        with self.mutex:
            if self._locked and not self._unsynced and not self._active:
                self._unlock()

    def _unlock(self) -> None:
        self._locked = False
        log = self.current_log
        if self._dead is None:
            log.words[WORD_HOLDER] = 0
        log.file.unlock()

    def compaction_due(self) -> bool:
        """Whether a compaction would free much: dead bytes far outweigh live ones."""
        log = self.current_log
        live = log.live_bytes + log.redo_bytes
        dead = log.end - LOG_START - live
        return dead > COMPACTION_BYTES_MIN and dead > COMPACTION_FACTOR * live

    def checkpoint_due(self) -> bool:
        """Whether the redo tail has outgrown its bound."""
        log = self.current_log
        return log.redo_bytes > REDO_TAIL_BYTES_MAX and (
            log.redo_bytes > min(log.live_bytes // REDO_TAIL_SHARE, LONG_REDO_TAIL_BYTES_MAX)
        )

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
        self, order: Sequence[int] = (), *, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Copy what is live to a new file, pages in `order` first, and put it in this one's place."""
        from engine.compaction import compact

        compact(self, order, progress)

    def backup(
        self,
        path: str | os.PathLike[str],
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """A consistent copy of the newest commit at `path`; a database there is replaced."""
        from engine.compaction import backup

        with self.snapshot() as seen:
            target = self.files.resolve(os.fspath(path))
            backup(seen, target, self.files, progress, like=self.place)

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
        """Let go of the file; a clean end is noted in its header.  Closing twice is harmless."""
        if self._dead == "closed":
            return
        try:
            if self._changed and self._dead is None and not self.readonly:
                self._close_cleanly()
        finally:
            with self.mutex:
                self._dead = "closed"
                self._visible = None
                if not self._live:
                    self.current_log.file.close()
            _open_stores.discard(self)

    def _close_cleanly(self) -> None:
        try:
            writer = self.begin(timeout=0)
        except EngineError as error:
            _log.info("%s: left without trimming: %s", self.path, error)
            return
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
        finally:
            writer.rollback()

    def seal(self) -> None:
        """Everything on the disk, whatever the handle's durability, and the header up to date."""
        writer = self.begin()
        try:
            trim(self)
            self._changed = False
        finally:
            writer.rollback()

    def has_unsynced(self) -> bool:
        """Whether commits wait for their sync; under the mutex."""
        return self._unsynced > 0

    def unlocked_by_rename(self) -> None:
        """The lock went with the file that a compaction replaced; under the mutex."""
        self._locked = False

    def check_usable(self) -> None:
        """EngineError if the handle is closed or dead."""
        if self._dead is not None:
            if self._dead == "closed":
                raise EngineError(f"{self.path}: the database handle is closed")
            raise StorageError(self._dead)

    def forked(self) -> None:
        """In a forked child: refuse everything from now on."""
        # Fact 11: the child shares the parent's open file and its lock; it must touch neither.
        self._dead = (
            f"{self.path}: this handle was opened before a fork and can't be used in the child;"
            " open the database again there"
        )
        self._visible = None
        self.mutex = threading.RLock()
        self.synced = threading.Condition(self.mutex)
        self._writing = threading.Lock()

    def __enter__(self) -> PageStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _after_fork_in_child() -> None:
    for store in list(_open_stores):
        store.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
