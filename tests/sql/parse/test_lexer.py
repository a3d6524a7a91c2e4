"""Tokens as SQLite cuts them: sqlite3 says what a piece of text is, or that it is none."""

from __future__ import annotations

import pytest

from sql.parse.lexer import tokens_of
from tests.sql.engines import EngineError, KvshEngine, SqliteEngine

PIECES = [
    *(
        "1",
        "1.",
        ".5",
        "1.5",
        "1e5",
        "1E+5",
        "1e-5",
        "1.e5",
        "0x1F",
        "1e5-1",
        "1.5.3",
        ".51.5",
        "1--5",
    ),
    *("0x", "1e", "1e+", "1a", "1.a", "1_0", "0xg", "1é", "1²", "1$"),
    *("'a'", "''", "'it''s'", "''''", "'a", "'a''", "'''", "'a'b'", "N'a'", "'a\nb'"),
    *('"a"', '"a""b"', '"a', '"a""', "`a`", "`a``b`", "`a", "[a]", "[a", "[a]]", "[a[b]", "]"),
    *("x'ab'", "X'AB'", "x''", "x'a'", "x'ag'", "x'ab", "x'", "X'ab'a", "x 'ab'"),
    *("a$b", "$", ":", "@", "::", "$::", "$a(b", "a:b", "!", "!1", "^", "{", "\\", "\x01", "a\x01"),
    *(
        "\xa0",
        "\xa01",
        "1\xa0",
        "\ufeff1",
        "1\ufeff",
        "\v1",
        " \v1",
        "ſelect",
        "é",
        "_",
        "1 -",
        "1 |",
    ),
    *(
        "1 /*",
        "1 /**",
        "1 /**/",
        "1 /**/ + 1",
        "1 /***/ + 1",
        "1 /*/ + 1 */ + 2",
        "1 /*/",
        "1 /* a */ + 1",
        "1 -- a\n+ 1",
        "1 --",
        "1 / 2",
        "1 - -2",
    ),
    *(
        "1 == 1",
        "1 != 2",
        "1 <> 2",
        "1 << 2",
        "1 >> 1",
        "1 <= 2",
        "1 || 2",
        "1 < > 2",
        "1 = = 1",
        "~1",
    ),
]


@pytest.mark.parametrize("piece", PIECES)
def test_a_piece_is_what_it_is_to_sqlite(piece: str) -> None:
    told = []
    for engine in (SqliteEngine(), KvshEngine()):
        try:
            told.append(repr(engine.execute(f"SELECT {piece}")))
        except EngineError as error:
            told.append(str(error))
        engine.close()
    assert told[1] == told[0]


def test_places_are_those_of_the_text() -> None:
    text = "SELECT  [a b], 'it''s',\n x'0aff'/* c */+ :n -- end\n != 1.5e3"
    tokens = tokens_of(text)
    pieces = [text[a:b] for a, b in zip(tokens.starts, tokens.ends, strict=True)]
    assert pieces == (
        ["SELECT", "[a b]", ",", "'it''s'", ",", "x'0aff'", "+", ":n", "!=", "1.5e3", "", "", ""]
    )
    assert tokens.values[1:6] == ["a b", ",", "it's", ",", "0aff"]
    assert tokens.kinds == (
        ["SELECT", "ID", ",", "STRING", ",", "BLOB", "+", "PARAMETER", "<>", "NUMBER", "", "", ""]
    )


STATEMENTS = [
    "no such statement!",
    "SELECT 1 FROM a b c !",
    "SELECT 1 2 'left open",
    "SELECT 1 x'''",
    "EXPLAIN QUERY !",
    "SELECT 1 !",
    "CREATE TABLE t (a b c d [e)",
    "CREATE TABLE t (a) STRICT !",
    "CREATE VIRTUAL TABLE t USING m (a !)",
    "SELECT * FROM (SELECT 1 ! x y z",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_of_two_errors_the_first_is_told(statement: str) -> None:
    """The parser comes before a token that is none, and behind the text only then."""
    told = []
    for engine in (SqliteEngine(), KvshEngine()):
        with pytest.raises(EngineError) as refused:
            engine.execute(statement)
        told.append(str(refused.value))
        engine.close()
    assert told[1] == told[0]
