"""Python's garbage collector, kept from passing over millions of rows that have no cycles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from btree import CollectorPaused


def undisturbed(batches: Iterator[list[Any]]) -> Iterator[list[Any]]:
    """The batches of a result.  From the second one on they come without collections, which would take as
    long as reading the rows does."""
    first = next(batches, None)
    if first is None:
        return
    yield first
    with CollectorPaused():
        yield from batches
