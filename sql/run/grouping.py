"""What generated grouping code calls: final values, extremes under a collation, groups in key order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from btree import order_key
from sql.errors import SqlError
from sql.values import INT_MAX, INT_MIN, compare

ABSENT = object()
"""In the place of a value that a FILTER keeps from an aggregate."""


def sum_of(total: int | float, count: int) -> int | float | None:
    """sum()'s value: NULL of nothing, an error past 64 bits."""
    if not count:
        return None
    if total.__class__ is int and not INT_MIN <= total <= INT_MAX:
        raise SqlError("integer overflow")
    return total if total == total else None


def sorted_groups(groups: dict[Any, Any], simple: bool) -> Iterable[tuple[Any, Any]]:
    """(key, state) by key.  `simple`: all keys compare with each other."""
    if len(groups) < 2:
        return groups.items()
    keys = list(groups)
    if simple:
        keys.sort()
    else:
        keys.sort(key=order_key)
    return [(key, groups[key]) for key in keys]


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
    """Whether `value` takes the place of `best`; an accumulator counts as what it has found."""
    if value is None:
        return False
    if hasattr(best, "finish"):
        best = best.finish()
    if best is None:
        return True
    if fold is not None:
        value, best = fold(value), fold(best)
    order = compare(value, best)
    return order > 0 if largest else order < 0


def distinct_value(values: dict[Any, Any], name: str, accumulator: Any) -> Any:
    """An aggregate over the distinct values."""
    if name == "count":
        return len(values)
    for value in values.values():
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
