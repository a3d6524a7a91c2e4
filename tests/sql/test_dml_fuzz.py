"""Random writing statements held to sqlite3; see `fuzz.writes` for how they are made."""

from __future__ import annotations

import pytest

from tests.sql.fuzz.runs import run_cascades, run_definitions, run_writes

SEEDS_AT_ONCE = 20


@pytest.mark.parametrize("first", [1020, 1040, 1060])
def test_random_statements_leave_the_same_tables_and_messages(first: int) -> None:
    for seed in range(first, first + SEEDS_AT_ONCE):
        unexplained = run_writes(seed).unexplained
        assert not unexplained, "\n".join(map(str, unexplained))


def test_triggers_and_foreign_keys_of_many_rows_do_what_sqlite3_does() -> None:
    for seed in range(1, 11):
        unexplained = run_cascades(seed).unexplained
        assert not unexplained, unexplained[0]


def test_definitions_over_each_other_are_changed_as_sqlite3_changes_them() -> None:
    for seed in range(1, 21):
        unexplained = run_definitions(seed).unexplained
        assert not unexplained, unexplained[0]
