"""Who has finished with a database leaves a file of a fitting size.

The shell compacts while it idles and a script between two statements.  A program's handle, and a shell that is
left, do so as the database is closed: where dead bytes far outweigh live ones, or where this handle has written more
than the copy takes and left a good part of it dead, as a load in many transactions does.  Files whose copy would take
long are left to `compact()`, unless that is nothing beside what has been written.
"""

from __future__ import annotations

from typing import Any

from btree import StoreError
from engine import Journal

_log = Journal("kvsh.api")


def tidy(store: Any) -> None:
    """Compact a store that is about to be closed, if that is due, quickly done and in nobody's way."""
    due = getattr(store, "compaction_due", None)
    if due is None:
        return
    try:
        store.settle()
        if due(quick=True, closing=True):
            store.checkpoint(0)  # refused at once while another process writes
            if due(quick=True, closing=True):  # it may have made the file anew
                store.compact()
    except StoreError as error:
        # Nothing is lost by it: every commit is where it was.
        _log.info("%s: left uncompacted: %s", store.path, error)
