"""A committing thread gets the interpreter back soon.

Each system call lets the interpreter go, and a thread that wants it back waits for the switch interval, 5 ms
unless the program has set another, before it asks a computing thread for it.  A durable commit makes four
calls: beside busy readers a writer comes to a few commits a second.  So the interval is short while a durable
commit is under way; how short, follows from how long syncs take, getting the interpreter back included.

Whose commits follow each other is as likely to lose the interpreter between two of them, and would wait for the
usual interval, once for each reader.  So the interval stays short for a moment longer; a thread that lives as
long as that lasts sets it back.  A program without other threads has nobody to get the interpreter back from, and
nothing of this (`other_threads`, which is asked before each commit, takes 13 ns).  What a program sets itself
meanwhile is left alone.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from _thread import _count as other_threads
from _thread import get_ident, start_new_thread

INTERVAL_SECONDS = 10e-6
INTERVAL_SECONDS_MAX = 650e-6
"""Shorter than a quick sync, to switch that often costs readers a tenth of their time, and a writer that is always
back at once takes half of the interpreter from a single one.  So it is as long as commits are quick in spite of it."""

SOON_SECONDS = 0.00065
LATE_SECONDS = 0.00095
"""A sync, and getting the interpreter back: less makes the interval longer, more makes it shorter."""

LINGER_SECONDS = 0.002
"""Commits that follow each other more slowly wait once for the interpreter, and seldom notice."""


class _Hurry:
    """`with HURRY:` around what is to be done soon beside other threads; by any number of threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside: set[int] = set()  # threads
        self.interval_seconds = INTERVAL_SECONDS
        self.committers: set[int] = set()  # inside at any time since the interval became short
        self._usual_seconds = 0.0
        self._short_seconds = 0.0  # what was set here; 0 if the interval is the program's own
        self._left = 0.0  # when the last one went out
        self._lingering = False  # a thread will set the interval back

    def __enter__(self) -> None:
        me = get_ident()
        try:
            with self._lock:
                self.committers.add(me)
                is_first = not self.inside
                # Ctrl-C may keep one that has come from going: it goes with its thread's next commit.
                self.inside.add(me)
                if is_first:
                    self._shorten()
        except BaseException:
            self.inside.discard(me)
            raise

    def _shorten(self) -> None:
        found = sys.getswitchinterval()
        if found != self._short_seconds:
            self._usual_seconds = found
        sys.setswitchinterval(min(self.interval_seconds, self._usual_seconds))
        self._short_seconds = sys.getswitchinterval()

    def __exit__(self, *exception: object) -> None:
        try:
            self._go()
        except BaseException:
            # Of Ctrl-C: else the interval would stay short until its thread's next commit.
            self._go()
            raise

    def _go(self) -> None:
        with self._lock:
            self.inside.discard(get_ident())
            if not self.inside:
                if self._lingering:
                    self._left = time.monotonic()
                else:
                    self._start_lingering()

    @property
    def usual_seconds(self) -> float:
        """The program's own switch interval while a shorter one is set; else 0."""
        return self._usual_seconds if self._short_seconds else 0.0

    def synced(self, seconds: float) -> None:
        """A sync took so long, getting the interpreter back included."""
        if seconds < SOON_SECONDS:
            self.interval_seconds = min(self.interval_seconds * 1.25, INTERVAL_SECONDS_MAX)
        elif seconds > LATE_SECONDS:
            self.interval_seconds = max(self.interval_seconds / 2, INTERVAL_SECONDS)

    def _start_lingering(self) -> None:
        self._left = time.monotonic()
        try:
            start_new_thread(self._linger, ())
            self._lingering = True
        except RuntimeError:  # no more threads, or the interpreter is going down
            self._restore()

    def _linger(self) -> None:
        """A thread's work: set the interval back once nobody has been inside for a moment."""
        while True:
            time.sleep(LINGER_SECONDS)
            with self._lock:
                if not self.inside and time.monotonic() - self._left >= LINGER_SECONDS:
                    self._lingering = False
                    self._restore()
                    return

    def _restore(self) -> None:
        if sys.getswitchinterval() == self._short_seconds:
            sys.setswitchinterval(self._usual_seconds)
        self._short_seconds = 0.0
        self.committers.clear()

    def forked(self) -> None:
        """In a forked child, which has none of the threads that were inside, or were to set it back."""
        self._lock = threading.Lock()
        self.inside.clear()
        self._lingering = False
        self._restore()


HURRY = _Hurry()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=HURRY.forked)

__all__ = ["HURRY", "other_threads"]
