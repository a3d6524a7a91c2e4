"""Where statements end: SQLite's completeness rules, with sqlite3.complete_statement as the judge."""

from __future__ import annotations

import random
import sqlite3

import pytest

from sql.parse import is_complete, next_statement

PARTS = [
    "SELECT 1", ";", ";", " ", "\n", "'a;b'", "'it''s'", "'", '"x;y"', "[a;b]", "`;`", "-- c;\n", "/* ; */", "/*",
    "--", "CREATE TRIGGER t AFTER INSERT ON x BEGIN SELECT 1;", "END", "end;", "CREATE TEMP TRIGGER y", "EXPLAIN CREATE TRIGGER w",
    "CREATE TABLE t(a)", " BEGIN ", "CASE WHEN 1 THEN 2 END", "-", "/", "*/", "CREATE TEMPORARY TRIGGER z ",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_completeness_is_sqlites(seed: int) -> None:
    random_ = random.Random(seed)
    for _ in range(3000):
        text = "".join(random_.choice(PARTS) for _ in range(random_.randrange(1, 9)))
        assert is_complete(text) == sqlite3.complete_statement(text), repr(text)


def split(text: str) -> list[str]:
    found, start = [], 0
    while (end := next_statement(text, start)) is not None:
        found.append(text[start:end].strip())
        start = end
    return found


def test_a_script_splits_into_its_statements() -> None:
    script = """
    -- a comment; with a semicolon
    CREATE TABLE t (a);
    INSERT INTO t VALUES ('x;y'), ("p;q");
    CREATE TRIGGER r AFTER INSERT ON t BEGIN
        UPDATE t SET a = CASE WHEN a THEN 1 ELSE 2 END; -- end;
        DELETE FROM t;
    END;
    SELECT 1;
    SELECT 2"""
    found = split(script)
    assert [piece.split()[-1] for piece in found[1:]] == ['("p;q");', "END;", "1;"]
    assert len(found) == 4


def test_an_open_quote_or_trigger_is_unfinished() -> None:
    for text in (
        "SELECT 'a;",
        'SELECT "a;',
        "SELECT 1 /* ;",
        "CREATE TRIGGER t AFTER INSERT ON x BEGIN SELECT 1;",
    ):
        assert next_statement(text) is None


def test_splitting_is_linear() -> None:
    text = "SELECT '" + "a''" * 200_000 + "'/*" + "*" * 200_000 + "*/ " + "- - " * 100_000 + ";"
    assert next_statement(text) == len(text)
