"""What generated grouping code calls: final values, extremes under a collation, groups in key order;
and how GROUP BY goes on past its memory limit.

Groups are a dict of states.  When it outgrows the limit, rows of known groups go on being taken in, and
rows of others go to partitions on disk by the hash of their key; each partition is then grouped by
itself, with a fresh dict (hybrid hashing: Shapiro, TODS 11(3), 1986).  Results are sorted runs, merged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from operator import itemgetter
from typing import Any

from btree import order_key
from sql.context import Context
from sql.errors import SqlError
from sql.run.partitions import FIRST_ROOM, PARTITIONS, Partitions, overfull
from sql.run.sorting import SortedRuns, in_batches
from sql.run.spill import Chunks, Unspillable
from sql.values import INT_MAX, INT_MIN, OVERFLOWED, bytes_to_text, compare, value_to_text

ABSENT = object()
"""In the place of a value that a FILTER keeps from an aggregate."""

Row = tuple[Any, ...]
Groups = dict[Any, Any]
Missing = Callable[[Any, Row], None]


def sum_of(total: int | float, count: int) -> int | float | None:
    """sum()'s value: NULL of nothing, an error past 64 bits."""
    if not count:
        return None
    if total.__class__ is int and not INT_MIN <= total <= INT_MAX:
        raise SqlError("integer overflow")
    return total if total == total else None


def unchecked_sum_of(total: int | float, count: int) -> int | float | bytes | None:
    """sum()'s value of a group that perhaps nobody asks for: OVERFLOWED past 64 bits."""
    if count and total.__class__ is int and not INT_MIN <= total <= INT_MAX:
        return OVERFLOWED
    return sum_of(total, count)


def in_key_order(groups: Groups, rows: list[Row], alone: bool) -> list[Row]:
    """The groups' rows, which come in the order of the dict, in the order of their keys, as from SQLite's
    sorter.  `alone`: a row begins with its key.

    Rows are made before they are sorted: in the dict's order states lie one behind the other in memory."""
    if len(rows) < 2:
        return rows
    if alone:
        _sort_by(rows, itemgetter(0))
        return rows
    pairs = list(zip(groups, rows, strict=True))
    _sort_by(pairs, itemgetter(0))
    return [row for _, row in pairs]


def in_order_of_columns(rows: list[Row], count: int) -> list[Row]:
    """The same of rows of some of the groups, which begin with their keys' columns."""
    if count == 1:
        return in_key_order({}, rows, True)
    _sort_by(rows, itemgetter(*range(count)))
    return rows


def _sort_by(rows: list[Row], key: Callable[[Row], Any]) -> None:
    """Sort by keys that mostly compare as they are: NULLs and values of several kinds are ranked first, which takes
    three times as long, only once two of them have met."""
    try:
        rows.sort(key=key)
    except TypeError:
        rows.sort(key=lambda row: order_key(key(row)))


def sorted_keys(groups: Groups, simple: bool) -> list[Any]:
    """The groups' keys in order."""
    return sorted(groups) if simple else sorted(groups, key=order_key)


# -- past the memory limit -------------------------------------------------------------------------


def spilled_groups(
    groups: Groups,
    partitions: Partitions,
    rest: Iterable[Row],
    take_in: Callable[[list[Row], Groups, Missing | None], None],
    finish: Callable[[Groups], list[Row]],
    simple: bool,
    ctx: Context,
) -> Iterator[Row]:
    """The groups' rows in key order: of those in memory, and of those in the partitions.

    `rest` are the rows that were not yet taken in.  `take_in(rows, groups, missing)` groups rows, and
    hands rows of unknown groups to `missing` unless that is None; `finish(groups)` gives their output
    rows in key order."""
    results = SortedRuns([(itemgetter(0), False)], ctx.check, ctx.memory_limit_bytes // 3 // 300)
    kept: list[Row] = []

    def put(done: Groups) -> None:
        keys = sorted_keys(done, simple)
        run = Chunks(results.file)
        # A few at a time, out of the dict: all their rows at once would take as much memory again.
        for at in range(0, len(keys), results.chunk_rows):
            part = keys[at : at + results.chunk_rows]
            rows = finish({key: done.pop(key) for key in part})
            pairs = list(zip(part if simple else map(order_key, part), rows, strict=True))
            try:
                run.append(pairs)
            except Unspillable:
                kept.extend(pairs)
        results.put(run)

    try:
        for batch in in_batches(rest, ctx.check):
            take_in(batch, groups, partitions.add)
        put(groups)
        _regroup(partitions, take_in, put, ctx)
        kept.sort(key=itemgetter(0))
        for batch in results.merged(kept):
            for _, row in batch:
                yield row
    finally:
        results.close()
        partitions.close()


def _regroup(
    partitions: Partitions,
    take_in: Callable[[list[Row], Groups, Missing | None], None],
    put: Callable[[Groups], None],
    ctx: Context,
) -> None:
    """Group each partition by itself."""
    for place in range(PARTITIONS):
        groups: Groups = {}
        room = FIRST_ROOM
        inner: Partitions | None = None
        try:
            for rows in partitions.partition(place):
                ctx.check()
                take_in(rows, groups, None if inner is None else inner.add)
                if len(groups) > room:
                    room, inner = overfull(groups, ctx, partitions.depth + 1)
            if groups:
                put(groups)
            if inner is not None:
                _regroup(inner, take_in, put, ctx)
        finally:
            if inner is not None:
                inner.close()


# -- aggregates ------------------------------------------------------------------------------------


class Extreme:
    """min() or max() of texts under a collation, and of anything else."""

    __slots__ = ("best", "fold", "largest")

    def __init__(self, largest: bool, fold: Callable[[Any], Any] | None) -> None:
        self.largest = largest
        self.fold = fold
        self.best: Any = None

    def step(self, value: Any) -> None:
        if beats(value, self.best, self.largest, self.fold):
            self.best = value

    def finish(self) -> Any:
        return self.best


def beats(value: Any, best: Any, largest: bool, fold: Callable[[Any], Any] | None) -> bool:
    """Whether `value` takes the place of `best`; an accumulator counts as what it has found, and NULL is found
    as long as nothing else is."""
    if hasattr(best, "finish"):
        best = best.finish()
    if best is None:
        return True
    if value is None:
        return False
    if fold is not None:
        value, best = fold(value), fold(best)
    order = compare(value, best)
    return order > 0 if largest else order < 0


def total_of(total: int | float) -> float | None:
    """total()'s value: NULL for infinities of both signs."""
    return float(total) if total == total else None


def average_of(total: int | float, count: int) -> float | None:
    """avg()'s value."""
    average = total / count if count else None
    return average if average == average else None


def joined(values: list[Any], separator: str, texts: bool) -> str | None:
    """group_concat()'s value; `texts`: there are only texts."""
    if not values:
        return None
    if not texts:
        values = [
            value
            if value.__class__ is str
            else bytes_to_text(value)
            if value.__class__ is bytes
            else value_to_text(value) or ""
            for value in values
        ]
    return separator.join(values)


def distinct_value(values: Collection[Any], name: str, accumulator: Any) -> Any:
    """An aggregate over the distinct values."""
    if name == "count":
        return len(values)
    for value in values:
        accumulator.step(value)
    return accumulator.finish()


def ordered_value(
    entries: list[tuple[Any, ...]], directions: tuple[bool, ...], accumulator: Any
) -> Any:
    """An aggregate over rows sorted by its own ORDER BY."""
    for place in range(len(directions), 0, -1):
        entries.sort(key=lambda entry, place=place: entry[place], reverse=directions[place - 1])  # type: ignore[misc]
    for entry in entries:
        accumulator.step(*entry[0])
    return accumulator.finish()
