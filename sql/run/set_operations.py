"""UNION, INTERSECT and EXCEPT past the memory limit: both arms sorted on disk, then compared piece by piece.

A piece is what both arms have below a bound, so that all equal rows are in it; it becomes two dicts, and the
operation is one of theirs.  Rows compare as tuples wherever their values do, which takes a tenth of what it takes
to rank them first: 1 is less than "a" in SQL only.  Where both ways are possible they agree, so that a sorted
run may have been sorted either way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from btree import order_key
from sql.context import Context
from sql.run.sorting import Pass, Row, sorted_batches

BATCH_ROWS = 1024

Arm = tuple[dict[Any, Row], Iterator[list[Row]]]
"""Rows by their keys, which came first, and the rest of the rows."""


def sorted_operation(
    operator: str,
    arms: tuple[Arm, Arm],
    key: Callable[[Row], Any] | None,
    *,
    first: bool,
    ctx: Context,
) -> Iterator[list[Row]]:
    """The operation's rows in order, rows being equal when their keys are; of equal ones in an arm the first
    counts or the last."""
    # A row stands for itself, or has its key before it.
    place: Callable[[Row], Any] | None = None if key is None else itemgetter(0)
    rank = order_key if key is None else _ranked_key
    sorted_arms = [
        sorted_batches(
            _entries(known, batches, key),
            [(rank, False)],
            ctx.check,
            ctx.memory_limit_bytes // 4,
            _sort_rows if key is None else _sort_pairs,
        )
        for known, batches in arms
    ]

    def distinct(entries: list[Row]) -> dict[Any, Row]:
        return _distinct(entries, place, first)

    for left, right in _pieces(sorted_arms[0], sorted_arms[1], rank, distinct):
        ctx.check()
        mine, others = distinct(left), distinct(right)
        if operator == "UNION":
            mine.update(others)
            found = list(mine.values())
            (_sort_rows if key is None else _sort_pairs)(found, [(rank, False)])
        elif operator == "INTERSECT":
            found = [entry for each, entry in mine.items() if each in others]
        else:
            found = [entry for each, entry in mine.items() if each not in others]
        if found:
            yield found if key is None else [row for _, row in found]


def _entries(
    known: dict[Any, Row], batches: Iterable[list[Row]], key: Callable[[Row], Any] | None
) -> Iterator[list[Row]]:
    """All of an arm's rows; those that are known are taken out of the dict as they go."""
    keys = list(known)
    for at in range(0, len(keys), BATCH_ROWS):
        part = [(each, known.pop(each)) for each in keys[at : at + BATCH_ROWS]]
        yield [row for _, row in part] if key is None else part
    for batch in batches:
        yield batch if key is None else list(zip(map(key, batch), batch, strict=True))


def _ranked_key(entry: Row) -> Any:
    return order_key(entry[0])


def _sort_rows(rows: list[Row], passes: Sequence[Pass]) -> None:
    try:
        rows.sort()
    except TypeError:  # values of several kinds
        rows.sort(key=passes[0][0])


def _sort_pairs(pairs: list[Row], passes: Sequence[Pass]) -> None:
    try:
        pairs.sort(key=itemgetter(0))
    except TypeError:
        pairs.sort(key=passes[0][0])


def _distinct(
    entries: list[Row], place: Callable[[Row], Any] | None, first: bool
) -> dict[Any, Row]:
    """Entries by their keys."""
    keys: Iterable[Any] = entries if place is None else map(place, entries)
    if not first:
        return dict(zip(keys, entries, strict=True))
    found: dict[Any, Row] = {}
    for each, entry in zip(keys, entries, strict=True):
        found.setdefault(each, entry)
    return found


def _pieces(
    left: Iterator[list[Row]],
    right: Iterator[list[Row]],
    rank: Callable[[Row], Any],
    distinct: Callable[[list[Row]], dict[Any, Row]],
) -> Iterator[tuple[list[Row], list[Row]]]:
    """Both streams cut at the same keys, ascending; equal entries lie in one piece."""
    streams = (left, right)
    fronts: list[list[Row]] = [[], []]
    live = [True, True]
    while True:
        for arm, stream in enumerate(streams):
            if live[arm] and not fronts[arm]:
                fronts[arm] = next(stream, [])
                live[arm] = bool(fronts[arm])
        bounds = [rank(front[-1]) for front, more in zip(fronts, live, strict=True) if more]
        if not bounds:
            yield fronts[0], fronts[1]
            return
        bound = min(bounds)  # what equals it may go on
        cuts = [bisect_left(front, bound, key=rank) for front in fronts]
        if any(cuts):
            yield fronts[0][: cuts[0]], fronts[1][: cuts[1]]
            fronts = [front[cut:] for front, cut in zip(fronts, cuts, strict=True)]
        for arm, stream in enumerate(streams):
            if live[arm] and rank(fronts[arm][-1]) == bound:
                more = next(stream, [])
                # They may be equal for long.
                fronts[arm] = list(distinct(fronts[arm] + more).values())
                live[arm] = bool(more)
