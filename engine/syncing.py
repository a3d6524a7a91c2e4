"""`Syncing`: commits that are appended become durable, in groups.

The first thread that waits for its commit syncs for all that have been appended by then; those that come
meanwhile form the next group.

Small commits are not written when they are appended, but by the thread that syncs, and with the sync: one call, which puts
these bytes on the disk and no others.  So they have to follow what is covered by this handle's own syncs, without
a gap, and to find their blocks written before (then there is room for them).  Whatever else is written
makes the next sync a whole one.

After a failed sync the records past the last synced offset are taken back
and the handle is dead (fact 9): what the page cache says then proves nothing.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterator

from engine.errors import FULL_ERRORS, StorageError
from engine.format import LOG_START, OFFSET_MAX, WORD_SYNCED, WORD_TAKEN_BACK, WORD_VISIBLE
from engine.hurry import HURRY
from engine.journal import Journal
from engine.log import Log, State
from engine.published import Published

_GROW_BYTES_MIN = 64 << 10
_GROW_BYTES_MAX = 8 << 20
_BLOCK_BYTES = 4096
_FILL_BYTES = 64 << 10

_log = Journal("kvsh.engine")


@contextlib.contextmanager
def _room_permitting() -> Iterator[None]:
    """Fact 10: a disk too full to grow ahead may still hold this commit; its own write will tell."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_ERRORS:
            raise


class Syncing(Published):
    """The part of a `PageStore` that writes to the disk and syncs it."""

    _sync_seconds = 0.0  # what the last sync took, getting the interpreter back included
    _unsynced = 0  # commits appended and not yet synced
    _has_shrunk = False  # the file was found to be smaller than this handle had made it

    def reserve(self, end: int) -> None:
        """Have space allocated up to `end` and some more: syncing into it costs half."""
        log = self.current_log
        if end <= log.allocated:
            return
        if end > OFFSET_MAX:
            raise OSError(
                errno.EFBIG,
                "a file holds 8 TiB at most: a backup of it is as small as what is in it",
            )
        file = log.file
        size = file.size()
        self._has_shrunk |= size < log.allocated
        log.allocated = min(size, OFFSET_MAX)
        if end > log.allocated:
            more = min(max(_GROW_BYTES_MIN, end // 8), _GROW_BYTES_MAX)
            wanted = min((end + more + 4095) & ~4095, OFFSET_MAX)
            with _room_permitting():
                file.allocate(wanted)
                log.allocated = wanted

    def claim(self, end: int) -> None:
        """`reserve` for what is to find room for sure, once this has returned: OSError if there is none."""
        self.reserve(end)
        log = self.current_log
        if end > log.allocated:
            log.file.allocate(end)
            log.allocated = end

    def make_ready(self, end: int) -> None:
        """`reserve` for a small commit, and blocks that were written before, if it is to be synced.

        A file system notes in its journal that an allocated block is no longer empty, and the sync that
        reaches one waits for the journal, too: it takes twice as long.  Commits smaller than a block would
        pay that for each block, so zeros are written ahead, many blocks under one sync.  A larger commit fills
        its blocks itself."""
        self.reserve(end)
        log = self.current_log
        if self.durability != "full":
            log.ready = log.allocated
            return
        if end - log.end > _BLOCK_BYTES:
            return
        start = (log.end + _BLOCK_BYTES - 1) & -_BLOCK_BYTES
        if not log.ready:
            log.ready = start  # other handles, too, may append: none fills for a commit or two
        if end > log.ready:
            self.reserve(start + _FILL_BYTES)
            stop = min(start + _FILL_BYTES, log.allocated)
            if end <= stop:
                with _room_permitting():  # a file system that allocates nothing ahead
                    log.file.write(bytes(stop - start), start)
                    log.ready = stop
                    log.covering = 0  # the zeros are to be synced once, for all who come into them

    def has_unsynced(self) -> bool:
        """Whether commits wait for their sync; under the mutex."""
        return self._unsynced > 0

    def note_synced(self, log: Log, end: int) -> None:
        """All before `end` is on the disk."""
        log.synced = max(log.synced, end)
        log.words[WORD_SYNCED] = log.synced

    def sync_alone(self, log: Log) -> None:
        """A writer's sync outside of a group; if it fails the handle is dead (fact 9)."""
        try:
            log.file.sync()
        except OSError as error:
            with self.mutex:
                self.die(error)
            raise StorageError(self._dead) from error

    def _wait_synced(self, lsn: int) -> None:
        full = self.durability == "full"
        while not full or self._synced_lsn < lsn:
            with self.syncs:
                # The first that comes syncs for all that have been appended by now.
                if not full or self._synced_lsn < lsn:
                    self._sync_group()
            if not full:
                return

    def settle(self) -> None:
        """Sync what is appended, whoever was to wait for it."""
        if self._unsynced and self._dead is None:
            with self.syncs:
                if self._unsynced and self._dead is None:
                    self._sync_group()

    def _sync_group(self) -> None:
        """Sync for all that have been appended by now; of who has `syncs`.  If Ctrl-C ends it, the next one does all of
        it again."""
        try:
            with self.mutex:
                log = self.current_log
                if log.failure is not None and self._dead is None:
                    self.die(log.failure)
                if self._dead is not None:
                    self.check_usable()
                target, group = log.state(), self._unsynced
                data, offset = log.unwritten, log.unwritten_at
                in_one_call = data and offset == log.covered and offset + len(data) == target.end
                if not in_one_call:
                    # Of its first commit alone no handle has to find out what its file system can do.
                    small_ones_may = (
                        self.durability == "full" and log.covered and log.file.writes_synced()
                    )
                    log.covering = target.end if small_ones_may else 0
                self._syncing = True
            began = time.perf_counter()
            try:
                if in_one_call:
                    log.file.write_synced(data, offset)
                else:
                    if data:
                        log.file.write(data, offset)
                    log.file.sync()
            except OSError as error:
                log.failure = error
            self._sync_seconds = seconds = time.perf_counter() - began
            if HURRY.inside:
                HURRY.synced(seconds)
            with self.mutex:
                self._syncing = False
                self._synced_group(log, target, group, data)
        finally:
            self._syncing = False

    def _synced_group(self, log: Log, target: State, group: int, data: bytes) -> None:
        """After a sync up to `target`, with `data` written: so many commits are durable, if it has not failed."""
        if log is not self.current_log:
            return  # all of it is in the file that a compaction has put in this one's place, and synced there
        if self._dead is not None:
            if data:
                self._cut_unsynced(log)  # it may have been written just now
            self.check_usable()  # another sync failed meanwhile, and these commits were taken back
        if log.failure is not None:
            self.die(log.failure)
            raise StorageError(self._dead) from log.failure
        if data:  # only now: after Ctrl-C they would be written once more
            rest, behind = log.unwritten[len(data) :], log.unwritten_at + len(data)
            log.unwritten, log.unwritten_at = rest, behind
        log.covered = target.end
        self.note_synced(log, target.end)
        if self.durability == "full":
            self.publish(target)
            self._unsynced -= group

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
        log.unwritten = b""
        if self._locked:  # else others may have appended since, behind what the sync was of
            if log.words[WORD_VISIBLE] > log.synced:
                log.words[WORD_TAKEN_BACK] += 1
                log.words[WORD_VISIBLE] = log.synced
            self._cut_unsynced(log)

    def _cut_unsynced(self, log: Log) -> None:
        """Take back what is not known to be on the disk; with the file's lock."""
        try:
            log.file.truncate(max(log.synced, LOG_START))
            log.file.sync()
        except OSError as error:
            _log.error("%s: taking back the unsynced commits failed too: %s", self.path, error)

    def take_back(self, log: Log) -> None:
        """After a failed write: let nothing of it stand where a reopen could see it.

        Synced, because a power cut must not bring back what was reported as failed."""
        log.forget_space()
        try:
            log.file.truncate(log.end)
        except OSError as error:
            with self.mutex:
                self.die(error)
            return
        if self.durability != "off":
            with contextlib.suppress(StorageError):  # the handle is dead then; the caller reports
                self.sync_alone(log)
