"""When two engines' rows are the same answer, and which differences are known to be sqlite3's own."""

from __future__ import annotations

import math
import re
from typing import Any

from tests.sql.engines import Rows

UNORDERED_CHOICE = ("GROUP", "DISTINCT", "UNION", "EXCEPT", "INTERSECT")
"""Where SQL leaves open which of several equal values (1 and 1.0, 'a' and 'A') is shown."""

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.IGNORECASE)


def agree(query: str, ours: Rows, expected: Rows, *, ordered: bool) -> bool:
    """Whether the rows are the same; rows that compare as equal may stand in for each other only where
    SQL leaves the choice open."""
    if same(ours, expected, ordered=ordered):
        return True
    if not ordered and not any(word in query for word in UNORDERED_CHOICE):
        return False
    return same([*map(folded, ours)], [*map(folded, expected)], ordered=ordered)


def same(ours: Rows, expected: Rows, *, ordered: bool) -> bool:
    if len(ours) != len(expected):
        return False
    if not ordered:
        ours, expected = sorted(ours, key=sortable), sorted(expected, key=sortable)
    return all(
        len(a) == len(b) and all(map(alike, a, b)) for a, b in zip(ours, expected, strict=True)
    )


def alike(a: Any, b: Any) -> bool:
    """Equal in kind and value; REALs but for the order of their summation."""
    if a.__class__ is not b.__class__:
        return False
    if isinstance(a, float):
        return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12)
    return bool(a == b)


def sortable(row: tuple[Any, ...]) -> list[Any]:
    return [
        (value is None, value.__class__.__name__, 0 if value is None else value) for value in row
    ]


def folded(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row without what equal values may differ in: INTEGER or REAL, case, spaces at the end."""
    return tuple(
        float(value)
        if isinstance(value, (int, float))
        else value.rstrip(" ").lower()
        if isinstance(value, str)
        else value
        for value in row
    )


def numeric(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row with texts that are numbers as these, and the rest folded."""
    return folded(
        tuple(
            float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
            for value in row
        )
    )


def explanation(ours: Rows | str, expected: Rows | str) -> str | None:
    """Why sqlite3 gives other rows, or an error, where it is sqlite3 that is wrong; docs/sql.md tells of each."""
    if isinstance(expected, str):
        if "ON clause references tables to its right" in expected:
            return "sqlite3 moves a subquery's RIGHT JOIN before a table that its ON needs"
        if "ambiguous column name" in expected and not isinstance(ours, str):
            return "sqlite3 takes a star's column of USING for any column of that name"
        if expected == "error: integer overflow" and not isinstance(ours, str):
            return "sum() of sqlite3 overflows if it does so on the way"
        return None
    if isinstance(ours, str):
        return None
    if any(isinstance(value, str) and "\0" in value for row in (*ours, *expected) for value in row):
        return "NOCASE of sqlite3 compares texts up to a NUL"
    if {*map(numeric, ours)} == {*map(numeric, expected)}:
        return "sqlite3 shows a text as the number that a comparison converted it to"
    return None
