"""SQLite's tokens out of sqlglot's tokenizer.

sqlglot's compiled tokenizer, with its keyword table emptied, cuts the text at native speed; what it
sees otherwise than SQLite is put right here in one pass: keywords, blob literals (`x'ab'`), parameters
(`?1`, `:a`, `@a`, `$a`), numbers (`.5`, `0x1F`) and everything that SQLite refuses
(`unrecognized token`).  Tokens are four parallel lists, so that the parser's look-ahead is an index
into a list of strings.

Kinds: an upper-case keyword, `ID` (a name, quoted or not), `STRING`, `NUMBER`, `BLOB`, `PARAMETER`, an
operator (`==` is `=`, `!=` is `<>`), and `""` at the end of the input.  A value is the name, the string
or the blob's digits without quotes, else the text.  One lexer may be used by one thread at a time;
`tokens_of` keeps one for each.
"""

from __future__ import annotations

import re
import threading
from typing import ClassVar

from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import TokenType
from sqlglot.tokens import Tokenizer

from sql.errors import SqlSyntaxError
from sql.parse.split import WORD


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Keywords that can't be names (SQLite's reserved ones), and those that can where they mean nothing else.
RESERVED = _words(
    """
    ADD ALL ALTER AND AS AUTOINCREMENT BETWEEN CASE CHECK COLLATE COMMIT CONSTRAINT CREATE
    DEFAULT DEFERRABLE DELETE DISTINCT DROP ELSE ESCAPE EXCEPT EXISTS FOREIGN FROM GROUP
    HAVING IN INDEX INSERT INTERSECT INTO IS ISNULL JOIN LIMIT NOT NOTHING NOTNULL NULL ON OR
    ORDER PRIMARY REFERENCES RETURNING SELECT SET TABLE THEN TO TRANSACTION UNION UNIQUE
    UPDATE USING VALUES WHEN WHERE
    """
)
JOIN_WORDS = _words(
    """
    CROSS FULL INNER LEFT NATURAL OUTER RIGHT
    """
)
FALLBACK = _words(
    """
    ABORT ACTION AFTER ALWAYS ANALYZE ASC ATTACH BEFORE BEGIN BY CASCADE CAST COLUMN CONFLICT
    CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP DATABASE DEFERRED DESC DETACH DO EACH
    END EXCLUDE EXCLUSIVE EXPLAIN FAIL FILTER FIRST FOLLOWING FOR GENERATED GLOB GROUPS IF
    IGNORE IMMEDIATE INDEXED INITIALLY INSTEAD KEY LAST LIKE MATCH MATERIALIZED NO NULLS OF
    OFFSET OTHERS OVER PARTITION PLAN PRAGMA PRECEDING QUERY RAISE RANGE RECURSIVE REGEXP
    REINDEX RELEASE RENAME REPLACE RESTRICT ROLLBACK ROW ROWS SAVEPOINT TEMP TIES TRIGGER
    UNBOUNDED VACUUM VIEW VIRTUAL WINDOW WITH WITHOUT
    """
)

_KINDS = {word: word for word in RESERVED | JOIN_WORDS | FALLBACK}
_KINDS["TEMPORARY"] = "TEMP"
_KINDS.update({word.lower(): kind for word, kind in list(_KINDS.items())})

_OPERATORS = {
    text: text for text in _words("( ) , . ; + - * / % & | ~ < > <= >= = <> << >> || -> ->>")
}
_DIGITS = frozenset("0123456789")
_OPERATORS["=="] = "="
_OPERATORS["!="] = "<>"

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_PARAMETER = re.compile(rf"\?\d*|[:@#$](?:{WORD}|::)+(?:\([^)\s]*\))?")
_WORD = re.compile(rf"{WORD}+")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*\Z")
# Closed quotes and comments; what it stops at is the one left open.  Compiled when they are needed, which is seldom.
_CLOSED = (
    r"""(?:[^'"`\[/-]+|'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|/(?!\*)|-(?!-))*+"""
)
# An exponent before a sign, of a number that sqlglot goes on reading behind the sign; and what may look like one.
_EXPONENT = re.compile(rf"(?<!{WORD})(?:\d+(?:\.\d*)?|\.\d+)[eE]\d+(?=[+-])", re.ASCII)
_QUOTED_OR_EXPONENT = (
    rf"""'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|({_EXPONENT.pattern})"""
)
_BRACKET = r"""'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z)|['"`\[].*|(\])"""


class SqliteTokenizer(Tokenizer):
    """SQLite's quotes, comments and operators, and no keywords: those are looked up afterwards.

    Not sqlglot's own of SQLite, of which nothing would be left, and whose parser and generator would be loaded; nor has
    it a dialect of its own, which would differ from the base in nothing and takes half a millisecond to define."""

    QUOTES: ClassVar = ["'"]
    STRING_ESCAPES: ClassVar = ["'"]
    IDENTIFIERS: ClassVar = ['"', ("[", "]"), "`"]
    HEX_STRINGS: ClassVar = []
    COMMENTS: ClassVar = ["--", ("/*", "*/")]
    NESTED_COMMENTS = False
    COMMENTS_TERMINATE_AT_NEWLINE_ONLY = True
    COMMANDS: ClassVar = set()
    COMMAND_PREFIX_TOKENS: ClassVar = set()
    VAR_SINGLE_TOKENS: ClassVar = {"$"}
    KEYWORDS: ClassVar = {
        "==": TokenType.EQ,
        "<>": TokenType.NEQ,
        "!=": TokenType.NEQ,
        "<=": TokenType.LTE,
        ">=": TokenType.GTE,
        "||": TokenType.DPIPE,
        "<<": TokenType.LT,
        ">>": TokenType.GT,
        "->": TokenType.ARROW,
        "->>": TokenType.DARROW,
    }


_END_TOKENS = 3  # as far as the parser looks ahead
_local = threading.local()


class Tokens:
    """The tokens of one text: `kinds`, `values`, `starts`, `ends` (half-open), all of one length."""

    __slots__ = ("ends", "kinds", "starts", "text", "values")

    def __init__(self, text: str) -> None:
        self.text = text
        self.kinds: list[str] = []
        self.values: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []


def tokens_of(text: str) -> Tokens:
    """Cut `text` into tokens.  Raises `SqlSyntaxError` at the first that SQLite does not know."""
    tokenizer = getattr(_local, "tokenizer", None)
    if tokenizer is None:
        tokenizer = _local.tokenizer = SqliteTokenizer(dialect=Dialect)
    failure = None
    if "]]" in text:
        _check_brackets(text)
    readable = _without_exponents(text) if _EXPONENT.search(text) else text
    try:
        cut = tokenizer.tokenize(readable)
    except TokenError:
        closed = re.match(_CLOSED, text, re.DOTALL)
        assert closed is not None
        failure = closed.end()
        cut = tokenizer.tokenize(readable[:failure])
    found = Tokens(text)
    kinds, values, starts, ends = found.kinds, found.values, found.starts, found.ends
    skip = 0
    for token in cut:
        start = token.start
        if start < skip:
            continue
        end = token.end + 1
        value = token.text
        first = text[start]
        kind = _OPERATORS.get(value)
        if first.isalpha() or first == "_" or first > "\x7f":
            if (first == "n" or first == "N") and end > start + 1 and text[start + 1] == "'":
                # sqlglot's national string is a name and a string here.
                kinds.append("ID")
                values.append(first)
                starts.append(start)
                ends.append(start + 1)
                start, kind = start + 1, "STRING"
            elif text[end : end + 1] == "'" and (first == "x" or first == "X") and end == start + 1:
                value, end = _blob(text, start)
                skip = end
                kind = "BLOB"
            else:
                kind = _KINDS.get(value) or _KINDS.get(value.upper(), "ID")
        elif first == "'":
            kind = "STRING"
        elif first in '"`[':
            kind = "ID"
        elif first in "0123456789" or (first == "." and text[end : end + 1] in _DIGITS):
            value, end = _number(text, start)
            skip = end
            kind = "NUMBER"
        elif first in "?:@$#":
            value, end = _parameter(text, start)
            skip = end
            kind = "PARAMETER"
        elif kind is None:
            raise unrecognized(first, start)
        kinds.append(kind)
        values.append(value)
        starts.append(start)
        ends.append(end)
    if failure is not None and not text.startswith("/*", failure):
        raise unrecognized(text[failure:], failure)
    for _ in range(_END_TOKENS):
        kinds.append("")
        values.append("")
        starts.append(len(text))
        ends.append(len(text))
    return found


def _without_exponents(text: str) -> str:
    """The text with a digit for the E of numbers before a sign (`1e5-1`), which to sqlglot are one number with
    what follows.  A number's value is read from the text itself."""

    def digits(match: re.Match[str]) -> str:
        return match[0] if match[1] is None else match[1].replace("e", "0").replace("E", "0")

    return re.sub(_QUOTED_OR_EXPONENT, digits, text, flags=re.DOTALL | re.ASCII)


def _check_brackets(text: str) -> None:
    """Raise at a `]` that closes nothing: sqlglot takes `]]` for an escape, which SQLite does not know."""
    for match in re.finditer(_BRACKET, text, re.DOTALL):
        if match.group(1) is not None:
            raise unrecognized("]", match.start())


def unrecognized(token: str, start: int) -> SqlSyntaxError:
    return SqlSyntaxError(f'unrecognized token: "{token}"', offset=start, token=token)


def _number(text: str, start: int) -> tuple[str, int]:
    match = _NUMBER.match(text, start)
    word = _WORD.match(text, start if match is None else match.end())
    if match is None or word is not None:
        end = start + 1 if word is None else word.end()
        raise unrecognized(text[start:end], start)
    return match.group(), match.end()


def _blob(text: str, start: int) -> tuple[str, int]:
    close = text.find("'", start + 2)
    end = len(text) if close < 0 else close + 1
    digits = text[start + 2 : end - 1]
    if close < 0 or _HEX.match(digits) is None:
        raise unrecognized(text[start:end], start)
    return digits, end


def _parameter(text: str, start: int) -> tuple[str, int]:
    match = _PARAMETER.match(text, start)
    if match is None or text[start] == "#":
        raise unrecognized(text[start], start)
    return match.group(), match.end()
