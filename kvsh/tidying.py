"""A handle that has finished with a database leaves a file of a fitting size.

The shell compacts while it idles and a script between two statements.  A program's handle, and a shell that is
left, do so as the database is closed: where dead bytes far outweigh live ones, or where this handle has written more
than the copy takes and left a good part of it dead, as a load in many transactions does.  Files whose copy would take
long are left to `compact()`, unless that is nothing beside what has been written.
"""

from __future__ import annotations

from typing import Any


def tidy(store: Any) -> None:
    """Compact a store that is about to be closed, if that is due, quickly done and in nobody's way."""
    renewals = getattr(store, "renewals", None)
    if renewals is not None:  # else it is in memory
        store.settle()
        renewals.compact(store, closing=True)
