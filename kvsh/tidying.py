"""A program that has finished with a database leaves a file of a fitting size.

The shell compacts while it idles and a script between two statements.  A program's handle does so as it is
closed, where dead bytes far outweigh live ones and the live ones are few enough: to be copied in a second or
two, or to be nothing beside what has been written since it was opened.  Else a file is left to `compact()`.
"""

from __future__ import annotations

from typing import Any

from btree import StoreError
from engine import Journal

LIVE_BYTES_MAX = 256 << 20
"""A close copies as much for the asking."""

GROWN_SHARE = 4
"""And at most this part of what the file has grown by, so that the copy is paid for."""

_log = Journal("kvsh.api")


def tidy(store: Any) -> None:
    """Compact a store that is about to be closed, if that is due, quickly done and in nobody's way."""
    due = getattr(store, "compaction_due", None)
    if due is None:
        return
    live_bytes_max = max(LIVE_BYTES_MAX, store.grown_bytes // GROWN_SHARE)
    try:
        if due(live_bytes_max):
            store.checkpoint(0)  # refused at once while another process writes
            if due(live_bytes_max):  # it may have made the file anew
                store.compact()
    except StoreError as error:
        # Nothing is lost by it: every commit is where it was.
        _log.info("%s: left uncompacted: %s", store.path, error)
