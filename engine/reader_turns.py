"""Threads that read beside a committing one take turns, so that it waits for one of them and not for all.

A durable commit lets the interpreter go for its sync and asks for it back from whoever computes (`hurry`).  CPython
gives it to who has waited longest: beside four readers that is one of them three times out of four, and each of
these turns, as short as the writer's haste has made the switch interval, costs a change of cores.  The interpreter
runs one thread at a time in any case; so one reader goes on for as long as a switch interval usually lasts, while
the others stand by outside of the line for the interpreter.

A reader passes here when it finds that something was committed since it last looked.  The one whose turn it is
goes on; another one stands by until it is handed the turn, or until nobody has passed for a turn's time: then that
reader computes something else, waits for something, or has ended.  Nobody knows which, so turns are left alone for a
while after that, longer each time (a reader that stands by might hold a lock that the other one waits for), and nobody stands by
while the process leaves the processor idle.
"""

from __future__ import annotations

import time
from _thread import LockType, allocate_lock, get_ident
from collections import deque

from engine.hurry import HURRY

BUSY_SHARE = 0.5
"""Of a processor: a process whose threads take less is not short of the interpreter."""

PAUSE_SECONDS = 0.05
PAUSE_SECONDS_MAX = 10.0
"""For how long turns are left alone after one that nobody took: at first, and at most."""


class _ReaderTurns:
    """Who reads and who stands by; of all stores of the process, which share one interpreter."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._reader = 0  # thread identifier; 0: nobody has had a turn
        self._began = 0.0
        self._seen = 0.0  # when the one whose turn it is passed last
        self._waiting: deque[tuple[int, LockType]] = deque()
        self._measured = 0.0
        self._processor_seconds = 0.0
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
        now = time.monotonic()
        with self._lock:
            if now - self._measured >= turn_seconds:
                self._measure(now)
            if not self._is_busy or now < self._off_until:
                self._let_all_go()
                return
            if me == self._reader:
                self._seen = now
                if now - self._began < turn_seconds or not self._waiting:
                    return
                self._hand_over(now)
            elif now - self._seen >= turn_seconds:
                self._begin(me, now)
                return
            entry = me, allocate_lock()
            entry[1].acquire()
            self._waiting.append(entry)
            patience = turn_seconds * (len(self._waiting) + 1)
        self._stand_by(entry, patience, turn_seconds)

    def _stand_by(self, entry: tuple[int, LockType], patience: float, turn_seconds: float) -> None:
        """Until the turn is handed over, or nobody takes his."""
        try:
            while not entry[1].acquire(timeout=patience):
                with self._lock:
                    now = time.monotonic()
                    if entry in self._waiting and now - self._seen >= turn_seconds:
                        self._off_until = now + self._pause
                        self._pause = min(2 * self._pause, PAUSE_SECONDS_MAX)
                        self._let_all_go()
        except BaseException:  # Ctrl-C
            with self._lock:
                if entry in self._waiting:
                    self._waiting.remove(entry)
                elif self._waiting and self._reader == entry[0]:
                    self._hand_over(time.monotonic())
            raise

    def _measure(self, now: float) -> None:
        """Find out whether the process has kept a processor busy since this was last asked."""
        used = time.process_time()
        self._is_busy = used - self._processor_seconds > BUSY_SHARE * (now - self._measured)
        self._measured, self._processor_seconds = now, used

    def _begin(self, ident: int, now: float) -> None:
        self._reader = ident
        self._began = self._seen = now

    def _hand_over(self, now: float) -> None:
        ident, lock = self._waiting.popleft()
        self._begin(ident, now)
        self._pause = PAUSE_SECONDS
        lock.release()

    def _let_all_go(self) -> None:
        while self._waiting:
            self._waiting.popleft()[1].release()


READER_TURNS = _ReaderTurns()

__all__ = ["READER_TURNS"]
