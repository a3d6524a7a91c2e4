"""`Locking`: the one writer's lock on the file, and what a handle makes sure of when it gets it.

The lock is the file's flock, which belongs to the open file and dies with the process.  It is held until
no commit of this process is waiting to be synced.  Whoever gets it takes in what others have appended,
and, if the holder before died with it, makes sure of the log's end first.

Processes that write at the same time take turns of some milliseconds each: a process that waits says so in a live word,
and one that has had its turn then stays away until another has the lock.  A turn of one commit would cost each of
them the wait for the next look of whoever sleeps, and taking in what the others wrote.
"""

from __future__ import annotations

import os
import time
from time import monotonic

from engine.errors import WHAT_TO_DO, CorruptionError, EngineError, busy, refused, told
from engine.format import (
    SUPERSEDED,
    WORD_COMPACTOR,
    WORD_HOLDER,
    WORD_SYNCED,
    WORD_TAKEN_BACK,
    WORD_VISIBLE,
    WORD_WAITING,
    WORDS,
    WORDS_OFFSET,
    padded,
)
from engine.hurry import HURRY, other_threads
from engine.journal import Journal
from engine.log import Log
from engine.opening import needs_securing, secure_tail
from engine.syncing import Syncing

TURN_SECONDS = 0.01
"""So long a writer goes on whom others wait for: ten times as long as it takes on average until one of them
looks again, takes the lock, and takes in what is new."""

_POLL_SECONDS = 0.001
_LONG_POLL_SECONDS = 0.004
"""The pause between two looks, and the one of a process that has waited for longer than turns take."""

_AWAY_SECONDS = 0.005
_WAITING_MS = 50
"""A process that was waiting so recently still waits, unless somebody has got the lock since."""

_LONG_WAIT_SECONDS = 0.1

_log = Journal("kvsh.engine")


class Locking(Syncing):
    """The part of a `PageStore` that keeps other processes' writers out."""

    _active = False  # a writer is at work
    _locked_last = False  # this handle was the last to have the lock, as far as it knows
    _turn_ends = 0.0  # until then others may be kept waiting
    name_seen_ms = 10
    """A writer that has the file's lock again and again looks so often whether the file is still there."""

    def _lock_unchanged_file(self, log: Log) -> bool:
        """What `_lock_file` does where nobody is in the way and nothing is new since this handle had
        the lock: by far the most frequent case, in as few steps as the same checks take.  Under the
        mutex."""
        words = log.words
        if words[WORD_WAITING] and self._turn_is_over():
            return False
        if self._locked:
            return True
        file, end = log.file, log.end
        if not file.try_lock():
            return False
        unchanged = False
        try:
            time_ms = time.time_ns() // 1_000_000
            unchanged = (
                words[WORD_HOLDER] == 0
                and words[WORD_VISIBLE] == end == self._visible_end
                and words[WORD_TAKEN_BACK] == log.taken_back
                and (self._name_synced or self.durability == "off")
                and (
                    0 <= time_ms - self._name_seen < self.name_seen_ms
                    or self._sees_name(log, time_ms)
                )
            )
        finally:
            if not unchanged:
                file.unlock()
        if not unchanged:
            return False
        words[WORD_HOLDER] = self._pid
        synced = words[WORD_SYNCED]
        if synced != log.synced:
            if log.synced < synced <= end:
                log.synced = synced
            words[WORD_SYNCED] = log.synced
        self._locked = self._locked_last = True
        return True

    def _sees_name(self, log: Log, time_ms: int) -> bool:
        """Whether the path still names the log's file (fact 11).

        The words, which are looked at each time, tell of every compaction, that of a process that
        died within one included.  What is left to find out is that somebody has moved the file, or
        removed it: that is asked once in `name_seen_ms`, for the question costs twice as much as the
        write: after it the file system takes the next write's time more exactly."""
        if self.files.identity(self.place) != log.identity:
            return False
        self._check_not_cut(log, all_of_it=True)
        self._name_seen = time_ms
        self._tidy_up(log)
        return True

    def _check_not_cut(self, log: Log, *, all_of_it: bool) -> None:
        """CorruptionError if another program has cut the file: what is written from then on would follow a hole.  Under the
        file's lock.

        `all_of_it`: also if it has grown again since, by what this handle has written, which has the lock again without
        anybody else's commit in between.  The space that it had allocated is missing then."""
        size, whole = log.file.size(), log.end - len(log.unwritten)
        if size >= WORDS_OFFSET + 8 * WORDS:
            has_shrunk = all_of_it and (self._has_shrunk or size < log.allocated)
            taken_back = log.words[WORD_TAKEN_BACK] != log.taken_back
            reaches = padded(size) >= whole
            if taken_back or (reaches and not has_shrunk):
                return
            if reaches and log.has_newest():  # another handle that was closed has trimmed it
                log.allocated, self._has_shrunk = size, False
                return
        raise told(
            CorruptionError(
                f"{self.path}: the file, whose log reached {whole} bytes, was cut by another program while it was open;"
                f" {WHAT_TO_DO}"
            )
        )

    def _tidy_up(self, log: Log) -> None:
        """Remove what a compaction of a process that was killed has left."""
        if log.words[WORD_COMPACTOR]:
            from engine.temporary import remove_dead_compactors

            remove_dead_compactors(log, self.place, self.files)

    def _lock_file(self, deadline: float, seconds: float) -> None:
        """Take the file's lock if this handle has it not yet, and take in what is new."""
        with self.mutex:
            if self._locked and not self._turn_is_over():
                self._active = True
                return
        if self._locked:
            self.settle()  # let the group end, then others in
            with self.mutex:
                self.check_usable()
                if self._locked and not self._unsynced:
                    self._unlock()
                elif self._locked:
                    self._active = True
                    return
        if self._locked_last and self._turn_is_over():
            self._let_others_in()
        began = time.monotonic()
        self._await_lock(deadline, seconds)
        waited = time.monotonic() - began
        if waited > _LONG_WAIT_SECONDS:
            _log.info("%s: waited %.2f s for the lock", self.path, waited)
        with self.mutex:
            self._locked = self._locked_last = self._active = True
            try:
                self.check_usable()
                self._catch_up()
            except OSError as error:
                self._unlock()
                raise refused(self.path, error) from error
            except BaseException:
                self._unlock()
                raise

    def _await_lock(self, deadline: float, seconds: float) -> None:
        began = monotonic()
        has_waited = False
        while True:
            log = self.current_log
            self.check_usable()  # another thread may have closed the handle
            if log.file.try_lock():
                # Fact 11: the path may name another file by now.
                is_there = False
                try:
                    is_there = self.has_its_name(log)
                finally:
                    if not is_there:
                        log.file.unlock()
                if is_there:
                    if has_waited:
                        log.words[WORD_WAITING] = 0  # others who do will say so again
                    self._turn_ends = monotonic() + TURN_SECONDS
                    return
                with self.mutex:
                    self.follow_rename()
                continue
            self._locked_last = False
            now = monotonic()
            if now >= deadline:
                raise busy(self.path, log.words[WORD_HOLDER], seconds)
            log.words[WORD_WAITING] = time.time_ns() // 1_000_000
            has_waited = True
            pause = _POLL_SECONDS if now - began < _LONG_WAIT_SECONDS else _LONG_POLL_SECONDS
            time.sleep(min(pause, deadline - now))

    def _turn_is_over(self) -> bool:
        """Whether another process waits for the lock, and this one has had it for long enough."""
        since = self.current_log.words[WORD_WAITING]
        if since == 0 or abs(time.time_ns() // 1_000_000 - since) >= _WAITING_MS:
            return False
        return monotonic() >= self._turn_ends

    def _let_others_in(self) -> None:
        """Stay away until another process has the lock; not for long, since the one that waited may have given up."""
        log = self.current_log
        words, end = log.words, log.end
        until = monotonic() + _AWAY_SECONDS
        while words[WORD_HOLDER] == 0 and words[WORD_VISIBLE] == end and monotonic() < until:
            time.sleep(_POLL_SECONDS / 4)

    def _catch_up(self) -> None:
        """With the file's lock just taken: see everything, and make sure of the log's end."""
        log = self.current_log
        self._has_shrunk = False
        log.forget_space()
        words = log.words
        clean = words[WORD_HOLDER] == 0  # whoever had the lock before gave it back himself
        visible = words[WORD_VISIBLE]
        if visible <= log.end:  # else another handle, which has looked, has written since
            self._check_not_cut(log, all_of_it=False)
        taken_back = visible < log.end or not log.still_has_newest()
        if visible != log.end or not clean:
            log.scan(oldest_lsn=self._oldest_lsn())
        if taken_back or log.end < visible < SUPERSEDED:
            self.die_of_taken_back()
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
        self._tidy_up(log)
        words[WORD_HOLDER] = os.getpid()
        words[WORD_SYNCED] = log.synced
        words[WORD_VISIBLE] = log.end
        if self._visible is None or self._visible.end != log.end or self._visible.lsn != log.lsn:
            self._set_visible(log.state())

    def wait_durable(self, lsn: int, *, pages: bool) -> None:
        """Until commit `lsn` is as durable as the store promises."""
        if self.durability == "off" or (self.durability == "normal" and not pages):
            return
        if not other_threads():
            self.await_durable(lsn)
            return
        with HURRY:
            self.await_durable(lsn)

    def await_durable(self, lsn: int) -> None:
        """Until commit `lsn` is synced; the file's lock is given back once none waits for that."""
        try:
            self._wait_synced(lsn)
        except EngineError:
            raise
        except BaseException:
            # Interrupted (Ctrl-C): a commit left without its sync would keep others out for good.
            self.settle()
            raise
        finally:
            self.unlock_if_idle()

    def settle_interrupted(self) -> None:
        """Behind Ctrl-C: make durable what is appended, whoever was to wait for it, and give the file's lock back."""
        try:
            self.settle()
        finally:
            self.unlock_if_idle()

    def unlock_if_idle(self) -> None:
        """Give the file's lock back if no writer is at work and no commit waits for its sync."""
        if self._locked and self._pid == os.getpid():
            # Fact 11: a child's unlock would drop its parent's lock.
            with self.mutex:
                # A sync that is under way may write yet, and what it covers be taken back.
                if self._locked and not (self._unsynced or self._active or self._syncing):
                    self._unlock()
        if self._dead is not None:
            self.close_file()

    def close_file(self) -> None:
        """Of a handle that is closed: as soon as no thread is about to do something with the file, whose descriptor
        may be another file's by then.  A snapshot's file is closed when the last one is gone."""
        with self.mutex:
            if self._dead == "closed" and not self._live and not self._writing.locked():
                self.current_log.file.close()

    def _unlock(self) -> None:
        self._locked = False
        log = self.current_log
        if self._dead is None:
            log.words[WORD_HOLDER] = 0
        try:
            log.file.unlock()
        except BaseException:  # Ctrl-C before the call
            log.file.unlock()
            raise

    def follow_own_rename(self) -> None:
        """Go on with the file that this handle has put in the place of the one it has locked; under the mutex.

        Not with the new one's lock: others may have had it since, and there is nothing left to write."""
        replaced = self.current_log
        try:
            self.follow_rename()
        finally:
            if self.current_log is not replaced:
                self._locked = False
                replaced.words[WORD_HOLDER] = 0
                try:
                    replaced.file.unlock()
                except BaseException:  # as above
                    replaced.file.unlock()
                    raise
