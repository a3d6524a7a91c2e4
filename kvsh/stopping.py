"""How what runs is told to stop by Ctrl-C and by other signals.

    interrupt    in the signal's handler: noted while a statement runs, which asks (`stops`) between batches
    tear         a moment later: a query that has not asked is torn off
    terminated   SIGTERM or SIGHUP came: stop as for Ctrl-C, then leave with that status

The main thread alone runs statements, and signals' handlers with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Stoppable:
    """What runs units one at a time, and can be told to stop the one that runs."""

    def __init__(self) -> None:
        self.busy = False  # a unit runs
        self.interrupted = False  # the latest unit was told to stop
        self.terminated = 0  # the exit status, after SIGTERM or SIGHUP while something ran
        self.only_reads = False  # what runs can be torn off anywhere
        self.tearable = False  # so can it, but only after a moment of grace
        self._stop_asked = False  # the unit has not heard of it yet

    def interrupt(self) -> None:
        """Ctrl-C: ask what runs to stop.  Raises KeyboardInterrupt, in the signal's handler, out of a
        command that only reads, and between two units."""
        self.interrupted = True
        if self.only_reads or not self.busy:
            self.only_reads = False
            raise KeyboardInterrupt
        self._stop_asked = True

    def forget_interrupt(self) -> None:
        """Ctrl-C was meant for somebody else, or for what is over."""
        self.interrupted = self._stop_asked = False

    def tear(self) -> None:
        """Ctrl-C was a moment ago: tear a query off that has not heard of it.  Raises KeyboardInterrupt,
        in the signal's handler."""
        if self.tearable and self._stop_asked:
            self.tearable = self._stop_asked = False
            raise KeyboardInterrupt

    def stops(self) -> bool:
        """Whether what runs is to stop; asked by the session between batches, and answered once: what
        undoes the statement runs to its end.

        Asked, not told: a session forgets at the start of a statement what it was told before, and so
        would lose a signal that comes a moment too early."""
        asked, self._stop_asked = self._stop_asked, False
        return asked

    @contextmanager
    def working(self) -> Iterator[None]:
        """While the block runs, Ctrl-C is noted and nothing is torn."""
        outer, self.busy = self.busy, True
        try:
            yield
        finally:
            self.busy = outer

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While the block waits for somebody else, such as the writer of a pipe, a signal ends it at once: by
        KeyboardInterrupt or SystemExit."""
        outer, self.busy = self.busy, False
        try:
            yield
        finally:
            self.busy = outer
