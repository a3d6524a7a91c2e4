"""How operators group is SQLite's business: sqlite3 evaluates the original and the parenthesised text."""

from __future__ import annotations

import random
import sqlite3

import pytest

from sql.parse import parse_expression
from tests.sql.parse.regenerate import regenerate

OPERATORS_TEXT = """
OR AND = == <> != IS LIKE GLOB < <= > >= & | << >> + - * / % || IS_NOT NOT_LIKE NOT_GLOB
IS_DISTINCT_FROM IS_NOT_DISTINCT_FROM
"""
OPERATORS = OPERATORS_TEXT.split()
OPERANDS = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "NULL",
    "'a'",
    "'1'",
    "'A'",
    "2.5",
    "a",
    "b",
    "c",
    "x'31'",
    "TRUE",
]
PREFIXES = ["", "", "", "", "- ", "+ ", "~ ", "NOT ", "NOT NOT ", "- ~ ", "- NOT "]
POSTFIXES = [
    "ISNULL",
    "NOTNULL",
    "NOT NULL",
    "COLLATE nocase",
    "IN (1, 'a')",
    "NOT IN (0, NULL)",
    "IN ()",
]


@pytest.fixture(scope="module")
def oracle() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (a INTEGER, b TEXT, c)")
    rows = [(1, "a", None), (0, "1", 2.5), (None, "A", "a"), (3, None, b"1")]
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    return connection


def flat_expression(random_: random.Random, depth: int = 0) -> str:
    """A run of operands and operators with few parentheses, so that precedence decides."""
    parts: list[str] = []
    for place in range(random_.randrange(1, 6)):
        if place:
            parts.append(random_.choice(OPERATORS).replace("_", " "))
        operand = random_.choice(OPERANDS)
        if depth < 2 and random_.random() < 0.1:
            inner = flat_expression(random_, depth + 1)
            operand = random_.choice(
                [f"({inner})", f"abs({inner})", f"CASE WHEN {inner} THEN 1 END"]
            )
        parts.append(random_.choice(PREFIXES) + operand)
        while random_.random() < 0.15:
            parts.append(random_.choice(POSTFIXES))
        if random_.random() < 0.08:
            negate = random_.choice(["", "NOT "])
            low, high = random_.choice(OPERANDS), random_.choice(OPERANDS)
            extra = random_.choice(["", "", " + 1", " = 1", " < 2", " || 'a'"])
            parts.append(f"{negate}BETWEEN {low}{extra} AND {high}")
        elif random_.random() < 0.05:
            parts.append(f"LIKE {random_.choice(OPERANDS)} ESCAPE '!'")
    return " ".join(parts)


def outcome(connection: sqlite3.Connection, expression: str) -> object:
    try:
        return connection.execute(f"SELECT ({expression}) FROM t").fetchall()
    except sqlite3.Error as error:
        return str(error)


@pytest.mark.parametrize("seed", range(8))
def test_the_tree_groups_as_sqlite_does(oracle: sqlite3.Connection, seed: int) -> None:
    random_ = random.Random(seed)
    for _ in range(400):
        text = flat_expression(random_)
        grouped = regenerate(parse_expression(text))
        assert outcome(oracle, grouped) == outcome(oracle, text), f"{text}   ->   {grouped}"


@pytest.mark.parametrize(
    ("text", "grouped"),
    [
        ("b > 'x' NOT IN (1)", "(NOT ((b > 'x') IN (1)))"),
        ("a IN (1) || 2", "((a IN (1)) || 2)"),
        ("a = b ISNULL", "((a = b) IS NULL)"),
        ("a < b = c", "((a < b) = c)"),
        ("a = b < c", "(a = (b < c))"),
        ("a BETWEEN 1 AND 2 AND 3", "((a BETWEEN 1 AND 2) AND 3)"),
        ("a BETWEEN 1 = 2 AND 3 < 4", "(a BETWEEN (1 = 2) AND (3 < 4))"),
        ("NOT a = b", "(NOT (a = b))"),
        ("- a || b", "((-a) || b)"),
        ("1 + NOT 2 = 3", "(1 + (NOT (2 = 3)))"),
        ("a LIKE b ESCAPE c || 'd'", "(a LIKE b ESCAPE (c || 'd'))"),
        ("a IS NOT b AND c", "((NOT (a IS b)) AND c)"),
        ("a COLLATE nocase = b", "((a COLLATE nocase) = b)"),
        ("a || b COLLATE nocase", "(a || (b COLLATE nocase))"),
        ("~ a + b", "((~a) + b)"),
        ("1 - 2 - 3", "((1 - 2) - 3)"),
        ("a OR b AND c", "(a OR (b AND c))"),
        ("- - 1", "(-(-1))"),
        ("a IS NOT DISTINCT FROM b = c", "((a IS NOT DISTINCT FROM b) = c)"),
    ],
)
def test_operators_group_by_their_level(text: str, grouped: str) -> None:
    assert regenerate(parse_expression(text)) == grouped
