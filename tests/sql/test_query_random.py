"""Random SELECTs over random tables, against sqlite3; see `fuzz`."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import pytest

from sql.compile import by_column
from sql.compile import coded as conditions
from sql.optimise import joins
from sql.run import coded
from tests.sql.fuzz.runs import run_queries

needs_outer_joins = pytest.mark.skipif(
    sqlite3.sqlite_version_info < (3, 39, 0), reason="this sqlite3 has no RIGHT and FULL JOIN"
)


@needs_outer_joins
@pytest.mark.parametrize("seed", range(1, 26))
def test_random_queries_give_what_sqlite_gives(seed: int) -> None:
    unexplained = run_queries(seed).unexplained
    assert not unexplained, "\n".join(map(str, unexplained))


@needs_outer_joins
@pytest.mark.parametrize("seed", [*range(41, 51), 152])
def test_random_queries_by_column(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables, too, are scanned by column."""
    monkeypatch.setattr(by_column, "ROWS_MIN", 0)
    unexplained = run_queries(seed).unexplained
    assert not unexplained, "\n".join(map(str, unexplained))


@needs_outer_joins
@pytest.mark.parametrize("seed", [*range(3041, 3052), 3053, 3054])
def test_random_queries_by_codes_and_probes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All conditions that can be are decided by codes, in few buckets, and all joins that can be are by column."""
    draw = random.Random(seed)
    monkeypatch.setattr(by_column, "ROWS_MIN", 0)
    monkeypatch.setattr(conditions, "SHARE_MAX", 1.0)
    monkeypatch.setattr(coded, "BUCKETS", draw.choice([254, 7, 2, 1]))

    def codes_of(column: list[Any], before: coded.Codes | None) -> coded.Codes | None:
        if draw.random() < 0.1:
            return None
        buckets = before.buckets if before is not None else None
        return coded.coded(column, buckets, shared=draw.random() < 0.5)

    monkeypatch.setattr(coded, "codes_of", codes_of)
    for threshold in ("BATCHED_ROWS_MIN", "COLUMN_ROWS_MIN", "COLUMN_LOOKUP", "LATE_SHARE"):
        monkeypatch.setattr(joins, threshold, 0.0)
    monkeypatch.setattr(joins, "COLUMNS_SHARE", 1e9)
    monkeypatch.setattr(joins, "PROBED_ROW", -1e3)
    unexplained = run_queries(seed).unexplained
    assert not unexplained, "\n".join(map(str, unexplained))
