"""Rows of a hash table under one key, in the order of a value, so that a range of them is found by bisection.

A join by equality and range (`b.user = a.user AND b.at > a.at AND b.at < a.at + 60`) would else go through all rows of
the key for each row before: a quadratic time in the number of rows that share a key.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from operator import itemgetter
from typing import Any

from sql.run.hashing import DiskTable

Ordered = tuple[list[Any], list[Any]]
"""Values that ascend, and the rows that they are of."""

_NOTHING: Ordered = ([], [])


class Spans(dict[Any, Ordered]):
    """key -> its rows in order, none for a key that the table hasn't got; ordered when they are first asked for.

    `values_of` gives the values of a list of rows, all of one class or, if `nullable`, NULL: such a row is in no range.
    The table is emptied as its rows are ordered, but for one on disk: of that the latest key's rows alone are kept."""

    __slots__ = ("_latest", "_nullable", "_table", "_values_of")

    def __init__(
        self, table: Any, values_of: Callable[[list[Any]], list[Any]], nullable: bool
    ) -> None:
        super().__init__()
        self._table = table
        self._values_of = values_of
        self._nullable = nullable
        self._latest: tuple[Any, Ordered] | None = None

    def __missing__(self, key: Any) -> Ordered:
        table = self._table
        if isinstance(table, DiskTable):
            latest = self._latest
            if latest is None or latest[0] != key:
                latest = self._latest = key, self._ordered(table.get(key, []))
            return latest[1]
        rows = table.pop(key, None)
        if rows is None:
            return _NOTHING
        made = self[key] = self._ordered(rows)
        return made

    def _ordered(self, rows: list[Any]) -> Ordered:
        values = self._values_of(rows)
        if self._nullable and None in values:
            rows = [row for row, value in zip(rows, values, strict=True) if value is not None]
            values = [value for value in values if value is not None]
        ascending = sorted(values)
        if ascending != values:
            pairs = sorted(zip(values, rows, strict=True), key=itemgetter(0))
            # Equal values may differ (1 and 1.0): each goes with its row.
            ascending, rows = [value for value, _ in pairs], [row for _, row in pairs]
        return ascending, rows


_MARGIN = 1e-12
"""More than what a sum and a difference round off, as a share of what they are of."""


def at_least(value: float | None, distance: float | None) -> float | None:
    """No more than any number that is `distance` or more above the value, however that was rounded."""
    if value is None or distance is None:
        return None
    least = value + distance - _MARGIN * (abs(value) + abs(distance))
    return least if least == least else -inf


def at_most(value: float | None, distance: float | None) -> float | None:
    """No less than any number that is `distance` or less above the value, however that was rounded."""
    if value is None or distance is None:
        return None
    most = value + distance + _MARGIN * (abs(value) + abs(distance))
    return most if most == most else inf
