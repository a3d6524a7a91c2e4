"""Scalar expressions: random and chosen ones give what they give in sqlite3."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings

from sql.errors import SqlError
from tests.sql.scalar_oracle import (
    ANY,
    GLOB_PATTERNS,
    LIKE_PATTERNS,
    VALUES,
    Oracle,
    Row,
    check,
    check_all,
    expressions,
    rows_of_values,
)
from tests.sql.sequences.values import quoted


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with closing(Oracle()) as pair:
        yield pair


@settings(derandomize=True, database=None, deadline=None, max_examples=1200)
@given(expressions, rows_of_values)
def test_any_expression_gives_what_sqlite_gives(oracle: Oracle, text: str, rows: list[Row]) -> None:
    check(oracle, text, rows)


@pytest.mark.parametrize(
    "operator", ["+", "-", "*", "/", "%", "<", "<=", "=", "IS", "||", "&", "<<", ">>"]
)
def test_every_pair_of_values_gives_what_sqlite_gives(oracle: Oracle, operator: str) -> None:
    distinct = {repr(value): value for value in VALUES}.values()
    pairs = list(itertools.product(distinct, repeat=2))
    rows = [(left, None, None, None, right, None, None) for left, right in pairs]
    check_all(oracle, f"(b {operator} n)", rows)


@pytest.mark.parametrize("op", ["LIKE", "GLOB"])
def test_every_pattern_matches_what_it_matches_in_sqlite(oracle: Oracle, op: str) -> None:
    for pattern in {*LIKE_PATTERNS, *GLOB_PATTERNS}:
        rows = [(value, None, None, pattern, None, None, None) for value in VALUES]
        check_all(oracle, f"(b {op} {quoted(pattern)})", rows)
        check_all(oracle, f"(b {op} x)", rows)


@pytest.mark.parametrize(
    "text",
    [
        "b LIKE 'a%' ESCAPE 'ab'",
        "b LIKE x ESCAPE ''",
        "b LIKE x ESCAPE NULL",
        "b LIKE 'a%%' ESCAPE '%'",
        "b LIKE 'x_a' ESCAPE 'x'",
        "5 LIKE b ESCAPE 7",
        "x NOT LIKE NULL",
        "b BETWEEN 'a' COLLATE NOCASE AND c",
        "(i, r) = (1, 2.5)",
        "n IN ('1', '10', x'31', NULL)",
        "c IN ('ABC', 'x') AND c NOT IN ('abd', e)",
        "CASE c WHEN 'ABC' THEN 1 WHEN NULL THEN 2 ELSE 3 END",
    ],
)
def test_chosen_expressions_give_what_sqlite_gives(oracle: Oracle, text: str) -> None:
    rows = [(value, value, value, value, value, value, value) for value in VALUES]
    check(oracle, f"({text})", rows)


def test_a_pattern_of_many_wildcards_takes_no_exponential_time(oracle: Oracle) -> None:
    """Each `%` but the last is settled where its piece first occurs; nothing is tried again."""
    function, _ = oracle.compile(oracle.bind("x LIKE '%a%a%a%a%a%a%a%a%a%a%a%ab'", [ANY] * 7))
    assert function((None, None, None, "a" * 3000)) == 0
    with pytest.raises(SqlError, match="pattern too complex"):
        pattern = "a" * 60_000
        oracle.compile(oracle.bind("x LIKE b", [ANY] * 7))[0]((pattern, None, None, "a"))
