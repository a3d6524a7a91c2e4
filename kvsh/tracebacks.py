"""Whether errors in callbacks are shown: `enable_callback_tracebacks`, as in the sqlite3 module.

An exception in a caller's function, aggregate, progress handler or trace callback reaches SQL only as
a failure with a fixed sentence.  With tracebacks on, the exception itself goes to
`sys.unraisablehook` besides.
"""

from __future__ import annotations

import sys
from typing import Any


class _Setting:
    enabled = False


def enable_callback_tracebacks(flag: bool, /) -> None:
    """Hand exceptions of callbacks to `sys.unraisablehook` (on), or drop them (off, the default)."""
    _Setting.enabled = bool(flag)


class _Unraisable:
    """What `sys.unraisablehook` is called with."""

    def __init__(self, error: BaseException, callback: Any) -> None:
        self.exc_type = type(error)
        self.exc_value = error
        self.exc_traceback = error.__traceback__
        self.err_msg = None
        self.object = callback


def note(error: BaseException, callback: Any) -> None:
    """Show `error`, which `callback` raised, if tracebacks are enabled."""
    if _Setting.enabled:
        sys.unraisablehook(_Unraisable(error, callback))  # type: ignore[arg-type]
