"""Random SELECTs over random tables, against sqlite3; see `fuzz`."""

from __future__ import annotations

import sqlite3

import pytest

from tests.sql.fuzz.runs import run_queries


@pytest.mark.skipif(
    sqlite3.sqlite_version_info < (3, 39, 0), reason="this sqlite3 has no RIGHT and FULL JOIN"
)
@pytest.mark.parametrize("seed", range(1, 26))
def test_random_queries_give_what_sqlite_gives(seed: int) -> None:
    unexplained = run_queries(seed).unexplained
    assert not unexplained, "\n".join(map(str, unexplained))
