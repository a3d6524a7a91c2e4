"""Random SELECTs over random tables, against sqlite3; see `fuzz`."""

from __future__ import annotations

import sqlite3

import pytest

from sql.compile import by_column
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
