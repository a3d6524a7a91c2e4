"""Threads that read beside a committing one take turns, so that it waits for one of them and not for all.

A durable commit lets the interpreter go for its sync and asks for it back from whoever computes (`hurry`).  CPython
gives it to the thread that has waited longest: beside four readers that is one of them three times out of four, and each of
these turns, as short as the writer's haste has made the switch interval, costs a change of cores.  The interpreter
runs one thread at a time in any case; so one reader goes on for as long as a switch interval usually lasts, while
the others stand by outside of the line for the interpreter.

A reader passes here when it finds that something was committed since it last looked.  The one whose turn it is
goes on; another one stands by until it is handed the turn.  That is of use among threads that compute all the time, and in
the way of others: so a thread that computes little passes freely, and a turn has to be made use of.  If the one that had it
computed for less than half of it, or has not passed for twice as long, all go on, and turns are left alone for a while,
longer each time.  (It waits for something else, then: for the network, for a lock that one of those who stand by
holds, or for a thread that computes and never passes here.)
"""

from __future__ import annotations

import os
import time
from _thread import LockType, allocate_lock, get_ident
from collections import deque

from engine.hurry import HURRY

BUSY_SHARE = 0.5
"""Of a processor: a process whose threads take less in all is not short of the interpreter."""

COMPUTING_SHARE = 0.08
"""Of a processor: a thread that takes less, with others beside it, computes little."""

USED_SHARE = 0.5
"""Of its turn a reader has to compute for so much."""

PAUSE_SECONDS = 0.02
PAUSE_SECONDS_MAX = 2.0
"""For how long turns are left alone after one that was made no use of: at first, and at most; it doubles with each of these, and
halves with each that was made use of."""

_THREADS_MAX = 256


class _ReaderTurns:
    """Who reads and who stands by; of all stores of the process, which share one interpreter."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Also in a forked child, which has none of the threads that were here, one of which may have had the lock."""
        self._lock = allocate_lock()
        self._reader = 0  # thread identifier; 0: nobody has had a turn
        self._began = 0.0
        self._began_used = (
            0.0  # the reader's processor time then, or, of a first turn, the process's
        )
        self._is_first = False  # nobody stood by when the turn began
        self._seen = 0.0  # when the reader passed last
        # When each thread passed last, and its processor time then.
        self._passed: dict[int, tuple[float, float]] = {}
        self._waiting: deque[tuple[int, LockType]] = deque()
        self._measured = 0.0
        self._measured_used = 0.0
        self._is_busy = False
        self._off_until = 0.0
        self._pause = PAUSE_SECONDS

    def wait(self) -> None:
        """Called by a thread that is about to read what is newest, and holds no lock of the store's: returns when
        it is its turn, at once if there is no haste."""
        turn_seconds = HURRY.usual_seconds
        me = get_ident()
        if not turn_seconds or me in HURRY.committers:
            return
        now, used = time.monotonic(), time.thread_time()
        with self._lock:
            if now - self._measured >= turn_seconds:
                self._measure(now)
            if not self._is_busy or now < self._off_until:
                self._let_all_go()
                return
            computes = self._computes(me, now, used)
            if me == self._reader:
                self._seen = now
                if now - self._began < turn_seconds:
                    return
                if not self._waiting:
                    self._begin_first(me, now)
                    return
                if self._is_first:
                    used = time.process_time()
                if used - self._began_used < USED_SHARE * (now - self._began):
                    self._leave_alone(now)
                    return
                self._hand_over(now)
            elif not computes:
                return
            elif now - self._seen >= turn_seconds:
                self._begin_first(me, now)
                return
            entry = me, allocate_lock()
            entry[1].acquire()
            self._waiting.append(entry)
            patience = turn_seconds * (len(self._waiting) + 1)
        self._stand_by(entry, patience, turn_seconds)

    def _stand_by(self, entry: tuple[int, LockType], patience: float, turn_seconds: float) -> None:
        """Until the turn is handed over, or was made no use of."""
        me, lock = entry
        try:
            while not lock.acquire(timeout=patience):
                with self._lock:
                    now = time.monotonic()
                    if entry in self._waiting and now - self._seen >= 2 * turn_seconds:
                        self._leave_alone(now)
            with self._lock:
                now, used = time.monotonic(), time.thread_time()
                self._passed[me] = now, used
                if self._reader == me:
                    self._begin(me, now, used)
        except BaseException:  # Ctrl-C
            with self._lock:
                if entry in self._waiting:
                    self._waiting.remove(entry)
                elif self._waiting and self._reader == me:
                    self._hand_over(time.monotonic())
            raise

    def _measure(self, now: float) -> None:
        """Find out whether the process has kept a processor busy since this was last asked."""
        used = time.process_time()
        self._is_busy = used - self._measured_used > BUSY_SHARE * (now - self._measured)
        self._measured, self._measured_used = now, used

    def _computes(self, ident: int, now: float, used: float) -> bool:
        """Whether a thread has computed much since it passed last."""
        before = self._passed.get(ident)
        if len(self._passed) >= _THREADS_MAX:
            self._passed.clear()  # most have ended
        self._passed[ident] = now, used
        return before is not None and used - before[1] >= COMPUTING_SHARE * (now - before[0])

    def _begin(self, ident: int, now: float, used: float) -> None:
        self._reader = ident
        self._began = self._seen = now
        self._began_used = used
        self._is_first = False

    def _begin_first(self, ident: int, now: float) -> None:
        """While the others come into line they compute as well, so what counts is that anybody does."""
        self._begin(ident, now, time.process_time())
        self._is_first = True

    def _hand_over(self, now: float) -> None:
        """To the first in line, who notes its own processor time when it wakes."""
        ident, lock = self._waiting.popleft()
        self._begin(ident, now, 0.0)
        self._pause = max(self._pause / 2, PAUSE_SECONDS)
        lock.release()

    def _leave_alone(self, now: float) -> None:
        """A turn was made no use of."""
        self._off_until = now + self._pause
        self._pause = min(2 * self._pause, PAUSE_SECONDS_MAX)
        self._let_all_go()

    def _let_all_go(self) -> None:
        while self._waiting:
            self._waiting.popleft()[1].release()


READER_TURNS = _ReaderTurns()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=READER_TURNS.begin_anew)

__all__ = ["READER_TURNS"]
