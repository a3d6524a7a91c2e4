"""Short sequences of random steps, kept state and all, held to sqlite3; see `sequences` for how they are made."""

from __future__ import annotations

import pytest

from tests.sql.sequences.runs import run


@pytest.mark.parametrize(("rows", "seeds"), [(30, range(1, 5)), (300, range(5, 7)), (6000, [7])])
def test_what_is_kept_between_statements_is_what_sqlite3_finds(rows: int, seeds: range) -> None:
    for seed in seeds:
        _, failure = run(seed, 90, rows)
        assert failure is None, f"seed {seed}, {rows} rows: {failure.told}"
