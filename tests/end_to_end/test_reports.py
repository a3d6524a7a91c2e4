"""Forty reports on the sample database: rows and order equal sqlite3's, through the command line."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

import kvsh
from tests.end_to_end.program import SHARED

SCRIPT = SHARED / "data" / "chinook.sql"
REPORTS = Path(__file__).with_name("reports.sql").read_text(encoding="utf-8").splitlines()
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the sample database is not here")


def test_forty_reports_give_the_rows_and_the_order_that_sqlite_gives() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    theirs = sqlite3.connect(":memory:")
    theirs.executescript("PRAGMA foreign_keys = ON;\n" + text)
    ours = kvsh.connect(":memory:")
    ours.executescript("PRAGMA foreign_keys = ON;\n" + text)
    assert len(REPORTS) == 40
    different = []
    for query in REPORTS:
        expected = [_comparable(row) for row in theirs.execute(query)]
        found = [_comparable(row) for row in ours.execute(query)]
        if found != expected:
            different.append((query, found[:5], expected[:5]))
    assert different == []
    theirs.close()
    ours.close()


def _comparable(row: tuple[object, ...]) -> tuple[object, ...]:
    """Sums of REALs may differ in the last digit, since additions may come in another order."""
    return tuple(float(f"{value:.12g}") if isinstance(value, float) else value for value in row)
