"""Pauses of Python's garbage collector while many rows are made.

Rows and index entries are tuples of plain values: no cycles, nothing to collect.  But every 700 of them
start a collection, and every so often one of all objects there are; filling an index of a million
entries took 0.35 s with it and 0.19 s without.  What was made in a pause goes to the oldest generation
unseen (freezing and thawing join lists, they visit nothing); else the first allocation after it would
have the collector go through all of it.  https://docs.python.org/3/library/gc.html
"""

from __future__ import annotations

import gc
from collections.abc import Iterable
from types import TracebackType
from typing import Any

Row = tuple[Any, ...]


def gathered(batches: Iterable[list[Row]]) -> list[Row]:
    """All rows of a query's batches in one list."""
    if batches.__class__ is list:  # of one row: the pause would cost more than it saves
        return [row for batch in batches for row in batch]
    with CollectorPaused():
        return [row for batch in batches for row in batch]


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
            if gc.get_freeze_count() == 0:  # else somebody's frozen objects would thaw
                gc.freeze()
                gc.unfreeze()
            gc.enable()
