"""Ctrl-C while a statement runs: the signal asks the session to stop, and the statement undoes itself.

The handler sets a flag that every operator looks at between batches; nothing is torn out of the middle of a write.
What only reads and has not looked at the flag within `GRACE_SECONDS` (it makes groups or windows of a million rows,
say) is torn off wherever it is.  A statement that does not stop within `PATIENCE_SECONDS` of the first signal (one
long call into C, say) gets KeyboardInterrupt at the next signal.

Until then the timer that tears may tell that time goes by.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE_SECONDS = 2.0
GRACE_SECONDS = 0.04
TICK_SECONDS = 0.25


@contextmanager
def interruptible(
    interrupt: Callable[[], None],
    tear: Callable[[], None] = lambda: None,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """While the block runs, SIGINT calls `interrupt` instead of raising KeyboardInterrupt, and `tear` a
    little later; both in the signal's handler, out of which they may raise.  Before that, `tick` is called
    now and then, in a signal's handler, too.

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
        signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)
        interrupt()

    def on_alarm(_number: int, _frame: FrameType | None) -> None:
        (tick if first_at is None else tear)()

    previous = signal.signal(signal.SIGINT, on_signal)
    previous_alarm = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, TICK_SECONDS, TICK_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous_alarm)
        signal.signal(signal.SIGINT, previous)
