"""A committing thread gets the interpreter back soon.

Each system call lets the interpreter go, and a thread that wants it back waits for the switch interval, 5 ms
unless the program has set another, before it asks a computing thread for it.  A durable commit makes four
calls: beside busy readers a writer comes to a few commits a second.  So the interval is short while a durable
commit is under way, and what it was afterwards; a program without other threads notices nothing.
"""

from __future__ import annotations

import sys
import threading

INTERVAL_SECONDS = 50e-6
"""Shorter than a sync; switching that often costs readers a tenth of their time, and only meanwhile."""


class _Hurry:
    """`with HURRY:` around what is to be done soon; by any number of threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._usual_seconds = 0.0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._usual_seconds = sys.getswitchinterval()
                sys.setswitchinterval(min(INTERVAL_SECONDS, self._usual_seconds))

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                sys.setswitchinterval(self._usual_seconds)


HURRY = _Hurry()
