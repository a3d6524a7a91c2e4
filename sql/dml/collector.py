"""Rows of a whole query in one list, without the pauses that Python's collector would make of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from btree import CollectorPaused

Row = tuple[Any, ...]


def gathered(batches: Iterable[list[Row]]) -> list[Row]:
    """All rows of a query's batches in one list."""
    if batches.__class__ is list:  # of one row: the pause would cost more than it saves
        return [row for batch in batches for row in batch]
    found: list[Row] = []
    with CollectorPaused():
        for batch in batches:
            found += batch
    return found
