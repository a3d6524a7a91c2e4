"""Random SELECTs over random tables, against sqlite3.

`KVSH_QUERY_SEEDS=1000:1100 pytest tests/sql/test_query_random.py` tries other seeds."""

from __future__ import annotations

import math
import os
import random
import sqlite3
from typing import Any

import pytest

from tests.sql.engines import EngineError, KvshEngine, Rows, SqliteEngine
from tests.sql.query_grammar import QueryMaker, make_tables

FIRST, LAST = map(int, os.environ.get("KVSH_QUERY_SEEDS", "1:11").split(":"))
QUERIES = 60
UNORDERED_CHOICE = ("GROUP", "DISTINCT", "UNION", "EXCEPT", "INTERSECT")
"""Where SQL leaves open which of several equal values (1 and 1.0, 'a' and 'A') is shown."""


@pytest.mark.skipif(
    sqlite3.sqlite_version_info < (3, 39, 0), reason="this sqlite3 has no RIGHT and FULL JOIN"
)
@pytest.mark.parametrize("seed", range(FIRST, LAST))
def test_random_queries_give_what_sqlite_gives(seed: int) -> None:
    rng = random.Random(seed)
    ours, oracle = KvshEngine(leaf_limit=8), SqliteEngine()
    try:
        for statement in make_tables(rng):
            ours.execute(statement)
            oracle.execute(statement)
        maker = QueryMaker(rng)
        for _ in range(QUERIES):
            query, ordered = maker.query()
            try:
                expected = oracle.execute(query)
            except EngineError:
                with pytest.raises(EngineError):
                    ours.execute(query)
                continue
            assert agree(query, ours.execute(query), expected, ordered=ordered), query
    finally:
        ours.close()
        oracle.close()


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
