"""How long a statement has run by now, on the terminal's line below it, until it has something to show.

    app.db> SELECT count(*) FROM a JOIN b ON a.x < b.y;
    running for 3 s; Ctrl-C stops it

A timer's signal draws it, in the main thread between two steps of the statement, by one call to the system: so it never
gets between what that thread writes, whatever it was about to do.
"""

from __future__ import annotations

import os
import time
from typing import TextIO

APPEARS_AFTER_SECONDS = 2


class Elapsed:
    """`stream`: where messages go; nothing is drawn unless that is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._since: float | None = None
        self._drawn = 0

    def begin(self) -> None:
        """A statement begins."""
        self._since = time.monotonic()

    def tick(self) -> None:
        """Some time has passed; called by a signal's handler."""
        since = self._since
        if since is None or not self._stream.isatty():
            return
        seconds = int(time.monotonic() - since)
        if seconds >= APPEARS_AFTER_SECONDS and seconds != self._drawn:
            self._drawn = seconds
            self._draw(f"running for {_clock(seconds)}; Ctrl-C stops it")

    def end(self) -> None:
        """Something is shown, or the statement is over."""
        self._since = None
        if self._drawn:
            self._drawn = 0
            self._draw("")

    def _draw(self, text: str) -> None:
        os.write(self._stream.fileno(), f"\r\x1b[2K{text}".encode())


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds} s"
