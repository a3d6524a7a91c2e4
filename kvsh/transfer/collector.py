"""Python's garbage collector, kept from passing over millions of rows that have no cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_collector() -> Iterator[None]:
    """Switch the collector off; afterwards on again, without the full pass that it would begin with."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()  # what was young is old now
        gc.enable()


def undisturbed(batches: Iterator[list[Any]]) -> Iterator[list[Any]]:
    """The batches of a result.  From the second one on they come without collections, which would take as
    long as reading the rows does."""
    first = next(batches, None)
    if first is None:
        return
    yield first
    with without_collector():
        yield from batches
