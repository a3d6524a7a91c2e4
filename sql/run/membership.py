"""`x IN (SELECT ...)`, three-valued, for one value and for row values; and subqueries' first rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sql.expressions import Affinity
from sql.run.arithmetic import as_numeric, as_text

Row = tuple[Any, ...]
Convert = Callable[[Any], Any]


def conversion(affinity: Affinity | None, fold: Convert | None) -> Convert | None:
    """What is done to a value before it is compared: affinity, then collation."""
    change: Convert | None = None
    if affinity == Affinity.TEXT:
        change = as_text
    elif affinity is not None and affinity != Affinity.BLOB:
        change = as_numeric
    if change is None or fold is None:
        return change or fold
    first, second = change, fold
    return lambda value: second(first(value))


def first_row(batches: Iterable[list[Row]]) -> Row | None:
    """The first row, or None."""
    for batch in batches:
        for row in batch:
            return row
    return None


def column_of(row: Row | None, column: int) -> Any:
    return None if row is None else row[column]


def first_column(batches: Iterable[list[Row]]) -> list[Any]:
    """All values of the first column."""
    return [row[0] for batch in batches for row in batch]


def value_set(
    batches: Iterable[list[Row]], convert: Convert | None
) -> tuple[frozenset[Any], bool, bool]:
    """(values that are not NULL, whether NULL is among them, whether there are none at all)."""
    values = first_column(batches)
    if convert is not None:
        values = [convert(value) for value in values]
    found = set(values)
    null = None in found
    found.discard(None)
    return frozenset(found), null, not values


class _Everything:
    """Has every value."""

    __slots__ = ()

    def __contains__(self, value: object) -> bool:
        return True


def excluded(batches: Iterable[list[Row]], convert: Convert | None) -> Any:
    """What has the values of which `x NOT IN (...)` is not true: those there are, and NULL if there are any;
    every value, if NULL is among them."""
    values, null, empty = value_set(batches, convert)
    if empty:
        return values
    return _Everything() if null else values | {None}


def in_values(value: Any, among: tuple[frozenset[Any], bool, bool]) -> int | None:
    """1, 0, or None where NULL leaves it open."""
    values, null, empty = among
    if empty:
        return 0
    if value is None:
        return None
    if value in values:
        return 1
    return None if null else 0


def row_set(
    batches: Iterable[list[Row]], converts: Sequence[Convert | None]
) -> tuple[frozenset[Row], list[Row]]:
    """(rows without NULL, rows with one)."""
    whole: set[Row] = set()
    holed: list[Row] = []
    for batch in batches:
        for row in batch:
            made = tuple(
                [
                    value if convert is None else convert(value)
                    for value, convert in zip(row, converts, strict=True)
                ]
            )
            if None in made:
                holed.append(made)
            else:
                whole.add(made)
    return frozenset(whole), holed


def in_rows(row: Row, among: tuple[frozenset[Row], list[Row]]) -> int | None:
    """1, 0, or None where NULL leaves it open."""
    whole, holed = among
    if None not in row:
        if row in whole:
            return 1
        return None if any(_may_equal(row, other) for other in holed) else 0
    if any(_may_equal(row, other) for other in (*whole, *holed)):
        return None
    return 0


def _may_equal(row: Row, other: Row) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(row, other, strict=True))


def negated(value: int | None) -> int | None:
    """NOT of 1, 0 or None."""
    return None if value is None else 1 - value
