"""Pauses of Python's garbage collector while many rows or nodes are made.

Rows, keys and nodes form no cycles, there is nothing to collect.  But every 700 new objects start a
collection, which walks the lists of new nodes entry by entry, and every so often one of all objects there
are: filling an index of a million entries took 0.35 s with it and 0.19 s without, scattered puts 10 us
each and 6.5 without.  Many objects that were made in a pause go to the oldest generation unseen (freezing and
thawing join lists, they visit nothing); else the first allocation after it would have the collector go
through all of them.  https://docs.python.org/3/library/gc.html

Freezing sets the collector's counts back, so pauses that come again and again would put its next round off for
good, and with it the end of whatever the program has dropped in cycles, such as connections that it did not
close.  So pauses in which little was made leave all as it is, and what was passed over is counted.
"""

from __future__ import annotations

import gc
from types import TracebackType
from weakref import ref

FEW_OBJECTS = 2_000
"""So many new objects are looked through at once: it takes some 20 us."""

FEW_NODES = 250
"""The same where lists of nodes are among them: to look through one takes as long as a hundred others."""

PASSED_OVER_MAX = 4_000_000
"""Objects that go unseen, at least, before all are looked through."""

FROZEN_ALWAYS_MAX = 1_000
"""As many frozen objects are nobody's: a collection of Python 3.12 freezes those that never go, some 400.  A program that
freezes has many times as many."""


class CollectorPaused:
    """A context manager: no collections while it lasts.

    The collector is the process's, so other threads go without for that time too.  Overlapping pauses of
    two threads end with the first of them, which costs time and nothing else.

    `few`: so many objects that are made meanwhile are little."""

    __slots__ = ("__weakref__", "_few", "_was_enabled")

    def __init__(self, few: int = FEW_OBJECTS) -> None:
        self._few = few

    def __enter__(self) -> None:
        self._was_enabled = gc.isenabled()
        if self._was_enabled:
            # Ctrl-C may come behind the last call here, or before the first step of `__exit__`.
            _Pausing.by = ref(self, _torn_off)
            gc.disable()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._was_enabled:
            resume_collections(self._few)


class _Pausing:
    by: ref[CollectorPaused] | None = None


def _torn_off(_gone: object) -> None:
    resume_collections()


class _PassedOver:
    """How many objects went to the oldest generation unseen since all were looked through, and how many may."""

    count = 0
    most = PASSED_OVER_MAX


def resume_collections(few: int = FEW_OBJECTS) -> None:
    """Switch the collector on, if it is off; if much was made meanwhile, it goes to the oldest generation unseen."""
    if gc.isenabled():
        return
    made = gc.get_count()[0]  # less what has gone again
    if made > few and gc.get_freeze_count() < FROZEN_ALWAYS_MAX:
        # Nobody else has frozen objects, which would thaw.
        gc.freeze()
        gc.unfreeze()
        _PassedOver.count += max(made, FEW_OBJECTS)
        if _PassedOver.count > _PassedOver.most:
            _look_through_all()
    gc.enable()
    _Pausing.by = None


def _look_through_all() -> None:
    """A whole collection, and the next one not before as many objects as there are by then have come."""
    gc.collect()
    gc.freeze()
    _PassedOver.most = max(PASSED_OVER_MAX, gc.get_freeze_count())
    gc.unfreeze()
    _PassedOver.count = 0
