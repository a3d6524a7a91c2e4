"""`Grouping`: threads that commit redo records at the same time are written, and synced, together.

A commit that finds nobody at work leads: it appends its record, syncs, and is done.  Those that come
meanwhile line up, and when the sync is done the first of them leads all who wait by then: one lock of the file,
one write and one sync for them, and nobody competes for the mutex.

Those whose sync is done go on to their next commit, which takes them some microseconds, and would find the
next sync under way: groups of all but one and of one would take turns.  So a leader waits for as many as
were at work just before, for half of the time that a sync takes at most.  Half is what PostgreSQL's manual
advises for the same delay: https://www.postgresql.org/docs/current/wal-configuration.html

Each thread that waits has a lock of its own to be woken by; then it looks whether its commit has ended, or it leads.  To
wake a thread costs more than to commit, so that it is done as seldom as can be, and not all at once: the last one that
a leader waits for takes over from it, and of a group whose commits have ended each wakes the next, or all would wait
for the interpreter, and ask for it, together.

Ctrl-C may come at any call, to the main thread, and so may an exception that a debugger sends to another one.  So nothing
hangs on what a call has returned: who leads stands in `_leader`, and what becomes of a commit in its `Waiting`.  What is said
below to be one step has no call in it: the interpreter lets neither another thread nor Ctrl-C in between.
"""

from __future__ import annotations

import contextlib
import time
from _thread import allocate_lock
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from itertools import repeat
from time import time_ns
from typing import TYPE_CHECKING

from engine.at_once import append_unsynced
from engine.errors import BusyError, EngineError, StorageError, refused
from engine.format import WORD_VISIBLE, encode_redo
from engine.hurry import HURRY, other_threads
from engine.locking import Locking
from engine.log import Log, State
from engine.stored_redo import LONG_BYTES, Kept

if TYPE_CHECKING:
    from engine.writer import Writer

GATHER_SECONDS_MAX = 0.001
"""A leader waits for others no longer than that, however long a sync takes."""


class Waiting:
    """A commit that has no end yet: in the line, or taken by the leader."""

    __slots__ = ("ended", "error", "gone", "lsn", "next", "payload", "since", "turn", "woken")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.lsn = 0  # once it is appended
        self.error: EngineError | None = None
        self.ended = False  # it is durable, or has failed
        self.gone = False  # its thread waits no more: Ctrl-C
        self.next: Waiting | None = None  # whom its thread wakes when it has ended
        self.since = time.monotonic()
        self.turn = allocate_lock()
        self.turn.acquire()
        self.woken = False  # since it waited last

    def outcome(self) -> int:
        """The number of the commit.  Raises what it failed of."""
        if self.error is not None:
            raise self.error
        return self.lsn

    def wait(self, seconds: float = -1) -> None:
        """Until it is woken, or so many seconds (negative: however long); there need not be a reason."""
        if self.turn.acquire(timeout=seconds):
            self.woken = False

    def wake(self) -> None:
        """Let its thread go on; harmless if it does already."""
        if not self.woken:  # from here on one step
            self.woken = True
            self.turn.release()

    def wake_next(self) -> None:
        """Wake who waits to be woken by this one."""
        if self.next is not None:
            self.next.wake()


class Grouping(Locking, ABC):
    """The part of a `PageStore` that appends redo records, those of several threads together."""

    _changed = False  # this handle has appended a commit
    own_commits = 0  # that it has appended
    _pages_lsn = -1  # of its latest commit of pages
    _at_work = 0  # how many were committed last, or were waiting then
    _leader: object = None  # the `Waiting` that leads, or something else of a thread alone
    _gathers = False  # who leads waits for others, one of which may take over

    @abstractmethod
    def begin(self, timeout: float | None = None) -> Writer:
        """The one writer."""

    def append_redo(
        self, log: Log, payloads: Sequence[bytes], appended: list[tuple[int, bytes]] | None = None
    ) -> int:
        """Append redo commits; the last one's lsn.  The writer's work, under the mutex.  Where there is no sync
        to wait for, readers see them, and the file's lock is given back.

        `appended` gets their numbers: in one step with the commits, and so also if Ctrl-C ends this."""
        lsn, start, crc = log.lsn, log.end, log.chain_crc
        time_ms = time_ns() // 1_000_000
        salt, synced, next_page = log.salt, log.synced, log.next_page
        end, data = start, b""
        commits: list[tuple[int, bytes]] = []
        for payload in payloads:
            lsn += 1
            record, crc = encode_redo(salt, lsn, crc, synced, end, next_page, time_ms, payload)
            data = data + record if data else record
            end += len(record)
            commits.append((lsn, payload))
        kept: Sequence[tuple[int, Kept]] = commits
        full = self.durability == "full"
        later = False
        try:
            if end > log.ready:
                self.make_ready(end)
            if full:
                later = start == log.covering and end <= log.ready and log.unwritten_reach(start)
            if not later:
                log.file.write(data, start)
            if end - start > LONG_BYTES and not later:
                kept = log.stored(commits, start)
        except BaseException as error:
            # Of Ctrl-C, too: whoever opens the file now would take the records in.
            self.take_back(log)
            if isinstance(error, OSError):
                raise refused(self.path, error) from error
            raise
        made = lsn - log.lsn
        # Up to the next call Ctrl-C comes before all of this or after it.
        if later:
            if not log.unwritten:
                log.unwritten_at = start
            log.unwritten += data
            log.covering = end
        log.redo_bytes += end - start
        log.chain_crc = crc
        log.end = end
        log.lsn = lsn
        log.redo += kept
        self._changed = True
        self.own_commits += made
        self._active = False
        if appended is not None:
            appended += commits
        if full:
            self._unsynced += made
            return lsn
        # The state is frozen when somebody asks for it: of commits that nobody reads between, most of them, none is.
        self._visible = None
        self._visible_end = end
        self._synced_lsn = lsn
        log.words[WORD_VISIBLE] = end
        if not self._syncing:  # else it goes with that: see `unlock_if_idle`
            self._unlock()
        return lsn

    def append_at_once(
        self,
        payloads: Sequence[bytes],
        after: tuple[int, object] | None = None,
        appended: list[tuple[int, bytes]] | None = None,
    ) -> int:
        """`append_redo`, if no other writer and nothing out of the ordinary is in the way, and the newest commit is
        that of a number and epoch; else 0.

        The steps of `begin` and `Writer.commit_redo` without their objects, for transactions that take a few
        microseconds."""
        lsn = 0
        try:
            with self.mutex:
                log = self.current_log
                if (
                    not self._writing.locked()  # who gets it from now on waits for the mutex
                    and self._dead is None
                    and not self.readonly
                    and (after is None or (after[0] == log.lsn and after[1] is log.epoch))
                    and self._lock_unchanged_file(log)
                ):
                    lsn = self.append_redo(log, payloads, appended)
        except OSError as error:
            raise refused(self.path, error) from error
        except BaseException:
            self.settle()  # interrupted: what is appended is not left without its sync
            raise
        finally:
            if not lsn:
                self.unlock_if_idle()
        return lsn

    def appended_pages(self, lsn: int) -> None:
        """A commit of pages stands in the log; called by its writer under the mutex.  Where there is no sync
        to wait for, the file's lock is given back.  Harmless when done already."""
        is_full = self.durability == "full"
        if self._pages_lsn != lsn:  # from here on one step
            self._pages_lsn = lsn
            self._changed = True
            self.own_commits += 1
            self._active = False
            self._unsynced += is_full
        if is_full:
            return
        self.publish(self.current_log.state())
        if self.durability == "off":
            self._unlock()

    # -- the line ------------------------------------------------------------------------------------

    def commit_in_group(self, payload: bytes) -> int:
        """Commit a redo record, together with those of other threads; its lsn once it is durable."""
        alone = object()
        if self._leader is None and self._at_work < 2 and not self.waiting:
            self._leader = alone  # one step with the look at it
            try:
                lsn = self._commit_alone(payload)
                self._at_work = 1 + len(self.waiting)
                self._hand_over()
            except BaseException:
                if self._leader is alone:
                    self._hand_over()
                raise
            if lsn:
                return lsn
        mine = Waiting(payload)
        try:
            self.waiting.append(mine)
            all_are_there = len(self.waiting) >= self._at_work
            if self._leader is None or (all_are_there and self._gathers):
                self._leader = mine  # one step with the look at it
                self._gathers = False
            while not mine.ended:
                if self._leader is not mine:
                    mine.wait()
                elif self._gather(mine):
                    self._lead(mine)
            mine.wake_next()
            if self._leader is mine:
                self._hand_over()
        except BaseException:  # Ctrl-C
            self._leave(mine)
            raise
        return mine.outcome()

    def commit_redo_since(self, payload: bytes, since: State) -> int:
        """A transaction that is one redo record, made of what it has read in a state that was visible: its lsn, 0 and
        nothing done if something was committed since, or is in the way."""
        after = since.lsn, since.epoch
        if self.durability != "full":
            return append_unsynced(self, payload, after) or self.append_at_once((payload,), after)
        if not other_threads():
            return self._commit_alone(payload, after)
        with HURRY:
            return self._commit_alone(payload, after)

    def append_after(self, payload: bytes, lsn: int, epoch: object) -> int:
        """Append a redo record that builds on a commit, if that is the newest one and nothing is in the way: its lsn,
        else 0.  It is durable after `wait_durable`."""
        after = lsn, epoch
        if self.durability != "full":
            return append_unsynced(self, payload, after) or self.append_at_once((payload,), after)
        return self.append_at_once((payload,), after)

    def newest_appended(self) -> tuple[int, object]:
        """Number and epoch of the newest commit that this handle knows; it may still wait for its sync."""
        log = self.current_log
        return log.lsn, log.epoch

    def _commit_alone(self, payload: bytes, after: tuple[int, object] | None = None) -> int:
        """What `_lead` does, for a thread that nobody has been beside; 0 if something is in its way."""
        try:
            lsn = self.append_at_once((payload,), after)
            if lsn:
                self.await_durable(lsn)
        except EngineError:
            raise
        except BaseException:  # Ctrl-C, maybe between the steps
            self.settle_interrupted()
            raise
        return lsn

    def _gather(self, mine: Waiting) -> bool:
        """Wait, to lead, for as many as were at work before: whether `mine` still leads, and has not ended.  The last of
        them does otherwise, for whom nobody has to be woken."""
        if len(self.waiting) < self._at_work:
            self._gathers = True
            mine.wait(min(self._sync_seconds / 2, GATHER_SECONDS_MAX))
            if self._leader is not mine:
                return False
            self._gathers = False
        return not mine.ended

    def _hand_over(self) -> None:
        """Let the first who waits lead, if anybody does."""
        waiting = self.waiting
        self._gathers = False
        while waiting:
            first = waiting[0]
            if not first.gone:
                self._leader = first  # from the look at it on one step
                if not first.woken:
                    first.woken = True
                    first.turn.release()
                return
            with contextlib.suppress(ValueError):
                waiting.remove(first)
        self._leader = None  # one step with the look at the line

    def _leave(self, mine: Waiting) -> None:
        """Its thread goes: nobody is left waiting for it.  If its commit has been taken, that will have an end."""
        mine.gone = True
        with contextlib.suppress(ValueError):
            self.waiting.remove(mine)
        if mine.ended:
            mine.wake_next()
        if self._leader is mine:
            self._hand_over()

    def _lead(self, mine: Waiting) -> None:
        """Commit all who wait, `mine` among them."""
        taken: list[Waiting] = []
        appended: list[tuple[int, bytes]] = []
        try:
            self._take_line(taken)
            try:
                self.await_durable(self._append_line(taken, mine, appended))
            except EngineError as error:
                for entry in taken:
                    entry.error = error
            self._at_work = len(self.waiting) + len(taken)
            self._end_all(taken, mine)
        except BaseException:  # Ctrl-C
            self._end_interrupted(taken, mine, appended)
            raise

    def _end_interrupted(
        self, taken: list[Waiting], mine: Waiting, appended: list[tuple[int, bytes]]
    ) -> None:
        """Those that have been appended are made durable; the others go back into the line."""
        mine.gone = True
        with contextlib.suppress(StorageError):  # each is told below
            self.settle()
        self.unlock_if_idle()
        for entry, (lsn, _) in zip(taken, appended, strict=False):
            entry.lsn = lsn
        if self._dead is not None:
            for entry in taken:
                if not 0 < entry.lsn <= self._synced_lsn:
                    entry.error = StorageError(self._dead)
        self._put_back([entry for entry in taken if not entry.lsn and entry.error is None])
        self._end_all([entry for entry in taken if entry.lsn or entry.error is not None], mine)

    @staticmethod
    def _end_all(taken: list[Waiting], mine: Waiting) -> None:
        """Wake those whose commits have ended: the first, who wakes the next one.  All at once would get into each other's
        way on their way to the interpreter."""
        following = None
        for entry in reversed(taken):
            # One step: a thread that goes finds that it has to wake the next one, or nobody relies on it.
            if entry is not mine and not entry.gone:
                entry.next = following
                following = entry
            entry.ended = True
        if following is not None:
            following.wake()

    def _append_line(
        self, taken: list[Waiting], mine: Waiting, appended: list[tuple[int, bytes]]
    ) -> int:
        """Append what was `taken` of the line; the last one's lsn.  If somebody else writes for too long,
        that is BusyError for `mine` alone."""
        lsn = self.append_at_once([entry.payload for entry in taken], None, appended)
        if not lsn:
            try:
                writer = self.begin(max(self.timeout - (time.monotonic() - mine.since), 0))
            except BusyError:
                self._put_back([entry for entry in taken if entry is not mine])
                taken[:] = [mine]
                raise
            try:
                self._take_line(taken)
                payloads = [entry.payload for entry in taken]
                with self.mutex:
                    lsn = self.append_redo(self.current_log, payloads, appended)
                writer.rollback()
            except BaseException:  # see `Writer.rollback`
                writer.rollback()
                raise
        for at, entry in enumerate(taken, lsn - len(taken) + 1):
            entry.lsn = at
        return lsn

    def _take_line(self, taken: list[Waiting]) -> None:
        # One step: a profiler, which is called with each call, would let other threads in between two.
        with contextlib.suppress(IndexError):  # one of them has left
            taken += map(deque.popleft, repeat(self.waiting, len(self.waiting)))

    def _put_back(self, entries: list[Waiting]) -> None:
        """Into the line, those that are not there already, and that somebody waits for."""
        waiting = self.waiting
        waiting.extendleft([e for e in reversed(entries) if not e.gone and e not in waiting])

    def leave_line(self) -> None:
        """In a forked child, which has none of the threads that are in it."""
        self.waiting.clear()
        self._leader = None
        self._gathers = False
