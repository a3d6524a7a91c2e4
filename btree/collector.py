"""Pauses of Python's garbage collector while many rows or nodes are made.

Rows, keys and nodes form no cycles, there is nothing to collect.  But every 700 new objects start a
collection, which walks the lists of new nodes entry by entry, and every so often one of all objects there
are: filling an index of a million entries took 0.35 s with it and 0.19 s without, scattered puts 10 us
each and 6.5 without.  What was made in a pause goes to the oldest generation unseen (freezing and thawing
join lists, they visit nothing); else the first allocation after it would have the collector go through
all of it.  https://docs.python.org/3/library/gc.html
"""

from __future__ import annotations

import gc
from types import TracebackType


class CollectorPaused:
    """A context manager: no collections while it lasts.

    The collector is the process's, so other threads go without for that time too.  Overlapping pauses of
    two threads end with the first of them, which costs time and nothing else."""

    __slots__ = ("_was_enabled",)

    def __enter__(self) -> None:
        self._was_enabled = gc.isenabled()
        if self._was_enabled:
            gc.disable()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._was_enabled:
            resume_collections()


def resume_collections() -> None:
    """Switch the collector on, if it is off; what there is by now goes to the oldest generation unseen."""
    if gc.isenabled():
        return
    if gc.get_freeze_count() == 0:  # else somebody's frozen objects would thaw
        gc.freeze()
        gc.unfreeze()
    gc.enable()
