"""A progress bar on a terminal's error stream: share, rows, rate, and the time that is left.

It appears once a transfer has taken a second, is drawn ten times a second at most, and erased at the end.
"""

from __future__ import annotations

import time
from typing import TextIO

APPEARS_AFTER_SECONDS = 1.0
DRAWN_EVERY_SECONDS = 0.1
_WIDTH = 24


class Progress:
    """`stream` None draws nothing."""

    def __init__(self, stream: TextIO | None, what: str, *, unit: str = "rows") -> None:
        self._stream = stream
        self._what = what
        self._unit = unit
        self._started = time.monotonic()
        self._next = self._started + APPEARS_AFTER_SECONDS
        self._drawn = False

    def update(self, rows: int, *, done: int = 0, total: int | None = None) -> None:
        """`rows` so far, and how much of the input or output is `done` of `total` (None: unknown)."""
        if self._stream is None:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + DRAWN_EVERY_SECONDS
        self._drawn = True
        self._stream.write("\r\x1b[2K" + self.line(now - self._started, rows, done, total))
        self._stream.flush()

    def line(self, seconds: float, rows: int, done: int, total: int | None) -> str:
        """What is drawn after `seconds`."""
        rate = f"{rows:,} {self._unit}  {rows / seconds:,.0f}/s"
        if not total:
            return f"{self._what}  {rate}"
        share = min(done / total, 1.0)
        filled = int(share * _WIDTH)
        bar = "#" * filled + "-" * (_WIDTH - filled)
        left = f"  {_clock(seconds / share - seconds)} left" if share > 0 else ""
        return f"{self._what} [{bar}] {share:4.0%}  {rate}{left}"

    def finish(self) -> None:
        """Erase the bar."""
        if self._drawn and self._stream is not None:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
