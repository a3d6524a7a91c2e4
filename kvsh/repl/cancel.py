"""Ctrl-C while a statement runs: the signal asks the session to stop, and the statement undoes itself.

The handler sets a flag that every operator looks at between batches; nothing is torn out of the middle of a
write.  A statement that does not stop within `PATIENCE_SECONDS` of the first signal (one long call into C, say) gets
KeyboardInterrupt at the next signal.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE_SECONDS = 2.0


@contextmanager
def interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """While the block runs, SIGINT calls `interrupt` instead of raising KeyboardInterrupt.

    Outside the main thread, where no handler can be set, the block just runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    first_at: float | None = None

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal first_at
        now = time.monotonic()
        if first_at is None:
            first_at = now
        elif now - first_at > PATIENCE_SECONDS:
            raise KeyboardInterrupt
        interrupt()

    previous = signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
