"""Scans by column, and equal values as one object.

What a column's lists refer to lies all over the memory, a page of it or a cache line for each value: picking 4 %
of the rows of 300,000 took 200 ns a value.  Texts, dates, keys of other tables are often the same few values, and
then the lists of a column that is kept are made to share them, once: the values are then in the processor's
cache, hashed already, and compared by their addresses.  Picking them takes 30 ns, and they take less memory.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import filterfalse, repeat
from math import ceil, copysign, floor
from typing import Any

from btree import Column, StoredColumn, Tree, as_it_lies, listed
from sql.run.ranges import UNBOUND

Columns = tuple[Sequence[Any], ...]

ROWIDS_END = 1 << 63

KNOWN_MAX = 1 << 16
"""Values that a scan remembers of a column: the rest of the memory is for others."""
_DISTINCT_SHARE = 0.9


def by_column(
    tree: Tree, check: Callable[[], None], columns: tuple[int, ...], stored: bool = False
) -> Iterator[Columns]:
    """All of a table as lists of the values of some columns, -1 standing for the rowid.  `stored`: those that are not
    kept may come as `StoredColumn`s."""
    return _sharing(tree.column_batches(columns, stored=stored), check, columns)


def _sharing(
    batches: Iterable[Columns], check: Callable[[], None], columns: tuple[int, ...]
) -> Iterator[Columns]:
    """The batches, the columns among them that stay in memory made to share their values."""
    sharing = {place: _Sharing() for place, column in enumerate(columns) if column >= 0}
    for batch in batches:
        check()
        for place in [*sharing]:
            if not sharing[place].shares(batch[place]):
                del sharing[place]
        yield batch


def as_they_lie(batches: Iterable[Columns], listed_at: Container[int]) -> Iterator[Columns]:
    """Batches of columns as they lie in pages in what costs least to go through once: arrays of numbers, from which
    objects come as they are wanted, where a list of them takes a third longer; lists at the places `listed_at`."""
    for batch in batches:
        if StoredColumn not in map(type, batch):  # they are kept
            yield batch
            continue
        yield tuple(
            [
                listed(column) if place in listed_at else as_it_lies(column)
                for place, column in enumerate(batch)
            ]
        )


def few_by_column(
    tree: Tree, check: Callable[[], None], columns: tuple[int, ...], stored: bool = False
) -> Iterator[Columns]:
    """`by_column` for queries that may want a few of the first rows alone."""
    return _sharing(tree.column_batches(columns, passing=True, stored=stored), check, columns)


def span_by_column(
    tree: Tree,
    check: Callable[[], None],
    columns: tuple[int, ...],
    low: Any,
    high: Any,
    low_inclusive: bool = True,
    high_inclusive: bool = True,
    stored: bool = False,
) -> Iterator[Columns]:
    """The rowids between two values by column; NULL as a bound gives nothing."""
    span = rowid_span(low, high, low_inclusive, high_inclusive)
    if span is not None:
        for batch in tree.column_batches(columns, *span, stored=stored):
            check()
            yield batch


def repeated(found: list[int], count: int, period: int) -> Sequence[int]:
    """Positions that repeat: those among the first `period` of so many, and then on."""
    if len(found) == 1:
        return range(found[0], count, period)
    positions = [0] * (len(found) * -(-count // period))
    for at, place in enumerate(found):
        positions[at :: len(found)] = range(
            place, place + len(positions) // len(found) * period, period
        )
    while positions and positions[-1] >= count:
        positions.pop()
    return positions


def rowid_span(
    low: Any, high: Any, low_inclusive: bool, high_inclusive: bool
) -> tuple[int | None, int | None] | None:
    """The first rowid between two values, and the one behind the last; None of both where there is no bound;
    None if no rowid can be there."""
    if low is None or high is None:
        return None
    start = None if low is UNBOUND else _first_rowid(low, after=not low_inclusive)
    stop = None if high is UNBOUND else _first_rowid(high, after=high_inclusive)
    return start, stop


def _first_rowid(value: Any, *, after: bool) -> int:
    """The first rowid that is at least the value, or, `after`, greater; 2^63 if there can be none."""
    if isinstance(value, int):
        return value + after
    if not isinstance(value, float) or value >= ROWIDS_END:
        return ROWIDS_END  # texts and blobs are greater than numbers
    if value < -ROWIDS_END:
        return -ROWIDS_END
    return floor(value) + 1 if after else ceil(value)


def _has_negative_zero(values: list[Any]) -> bool:
    """Whether -0.0 is among REALs and NULLs, which equals 0.0."""
    zeros = [value for value in filterfalse(None, values) if value is not None]
    return min(map(copysign, repeat(1.0), zeros), default=1.0) < 0


class _Sharing:
    """The values of one column that a scan has seen, by their class."""

    __slots__ = ("known", "seen")

    def __init__(self) -> None:
        self.known: dict[type, dict[Any, Any]] = {}
        self.seen = 0

    def shares(self, column: Sequence[Any]) -> bool:
        """Make a batch's column share its values, if it stays in memory and does not yet; whether to go on."""
        if not isinstance(column, Column) or not column.is_to_stay:
            return True
        if getattr(column, "shared", False):
            return True
        column.shared = True
        column.classes = classes = {*map(type, column)} - {type(None)}
        if len(classes) != 1:  # 1 and 1.0 are equal
            return True
        (kind,) = classes
        known = self.known.setdefault(kind, {})
        before = len(known)
        made = list(map(known.setdefault, column, column))
        if kind is float and 0.0 in known and _has_negative_zero(column):
            made = [known.setdefault(value, value) if value else value for value in column]
        column[:] = made
        column.shed(1 - (len(known) - before) / len(column))
        self.seen += len(column)
        if len(known) > _DISTINCT_SHARE * self.seen:
            return False
        if len(known) > KNOWN_MAX:
            known.clear()
        return True
