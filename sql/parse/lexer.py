"""SQLite's tokens, cut by one regular expression.

The expression covers every character, blanks and comments too, so that a token's place is the sum of the lengths before
it, and one call of `findall` cuts a text without a match object for each piece.  What SQLite refuses is a piece as well,
and the last token: the parser, which sees what stands before it first, may find a syntax error there.  Tokens are four
parallel lists, so that the parser's look-ahead is an index into a list of strings.

Kinds: an upper-case keyword, `ID` (a name, quoted or not), `STRING`, `NUMBER`, `BLOB`, `PARAMETER`, an
operator (`==` is `=`, `!=` is `<>`), `ILLEGAL` (an unrecognized token), and `""` at the end of the input.  A value is
the name, the string or the blob's digits without quotes, else the text.

Source: sqlite3GetToken() in SQLite's tokenize.c.
"""

from __future__ import annotations

import re

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

# Pieces whose kind the whole of them tells: keywords as they are mostly written, operators, and the commonest blank.
_KINDS = {word: word for word in RESERVED | JOIN_WORDS | FALLBACK}
_KINDS["TEMPORARY"] = "TEMP"
_KINDS.update({word.lower(): kind for word, kind in list(_KINDS.items())})
_KINDS.update(
    {text: text for text in _words("( ) , . ; + - * / % & | ~ < > <= >= = <> << >> || -> ->>")}
)
_KINDS["=="] = "="
_KINDS["!="] = "<>"
_KINDS[" "] = ""

# Letters are said by what they are not (see `split`).  A byte order mark is a blank, a vertical tab one behind another.
_NUMBER = r"(?:0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
_PIECES = re.compile(
    r"[ \t\n\f\r][ \t\n\v\f\r]*"
    r"|[xX]'[^']*'?"  # a blob, or what would have been one
    rf"|{_NUMBER}{WORD}*"  # a number, or what begins like one
    rf"|(?![$\ufeff]){WORD}+"
    r"|[(),;+*%&~.]"
    r"|'(?:[^']++|'')*+'"
    r'|"(?:[^"]++|"")*+"'
    r"|==?|<[=><]?|>[=>]?|!=|\|\|?"
    r"|--[^\n]*|->>?|-"
    r"|\?[0-9]*"
    rf"|[:@#$](?:{WORD}|::)+(?:\([^)\s]*\)?)?"
    r"|`(?:[^`]++|``)*+`"
    r"|\[[^\]]*\]"
    r"|/\*(?!\Z).*?(?:\*/|\Z)|/"
    r"|['\"`\[].*"  # quotes that are left open
    r"|.",
    re.DOTALL,
).findall

_HEX = "0123456789abcdefABCDEF"
_END_TOKENS = 3  # as far as the parser looks ahead


class Tokens:
    """The tokens of one text: `kinds`, `values`, `starts`, `ends` (half-open), all of one length."""

    __slots__ = ("ends", "kinds", "starts", "text", "values")

    def __init__(self, text: str) -> None:
        self.text = text
        self.kinds: list[str] = []
        self.values: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []


class _IllegalError(Exception):
    """A piece begins with `token`, which SQLite does not know."""

    def __init__(self, token: str) -> None:
        super().__init__(token)
        self.token = token


def tokens_of(text: str) -> Tokens:
    """Cut `text` into tokens, as far as SQLite knows them."""
    found = Tokens(text)
    kinds, values, starts, ends = found.kinds, found.values, found.starts, found.ends
    known = _KINDS.get
    start = end = 0
    try:
        for piece in _PIECES(text):
            start = end
            end += len(piece)
            kind = known(piece)
            value = piece
            if kind is None:
                read = _READERS.get(piece[0])
                if read is None:  # a word
                    kind = known(piece.upper(), "ID") if piece.isascii() else "ID"
                else:
                    kind, value = read(piece)
            if kind:
                kinds.append(kind)
                values.append(value)
                starts.append(start)
                ends.append(end)
    except _IllegalError as error:
        kinds.append("ILLEGAL")
        values.append(error.token)
        starts.append(start)
        ends.append(start + len(error.token))
    for _ in range(_END_TOKENS):
        kinds.append("")
        values.append("")
        starts.append(end)
        ends.append(end)
    return found


# Pieces that their first character tells, as kind and value; one without a kind is left out.


def _blank(piece: str) -> tuple[str, str]:
    return "", piece


def _number(piece: str) -> tuple[str, str]:
    try:
        int(piece, 16) if piece[1:2] in ("x", "X") else float(piece)
    except ValueError:
        raise _IllegalError(piece) from None
    if "_" in piece or not piece.isascii():  # which Python takes
        raise _IllegalError(piece)
    return "NUMBER", piece


def _quoted(piece: str) -> tuple[str, str]:
    quote = piece[0]
    count = piece.count(quote)
    if count % 2:
        raise _IllegalError(piece)
    value = piece[1:-1]
    if count > 2:
        value = value.replace(quote * 2, quote)
    return "STRING" if quote == "'" else "ID", value


def _bracketed(piece: str) -> tuple[str, str]:
    if piece[-1] != "]":
        raise _IllegalError(piece)
    return "ID", piece[1:-1]


def _blob_or_word(piece: str) -> tuple[str, str]:
    if piece[1:2] != "'":
        return "ID", piece
    digits = piece[2:-1]
    if len(piece) % 2 == 0 or piece[-1] != "'" or digits.strip(_HEX):
        raise _IllegalError(piece)
    return "BLOB", digits


def _parameter(piece: str) -> tuple[str, str]:
    if (piece[0] != "?" and ("(" in piece) != (piece[-1] == ")")) or not piece.strip(":@$"):
        raise _IllegalError(piece)
    return "PARAMETER", piece


def _illegal(piece: str) -> tuple[str, str]:
    raise _IllegalError(piece[0])


_READERS = dict.fromkeys(map(chr, range(128)), _illegal)
_READERS.update(
    dict.fromkeys(" \t\n\f\r-/\ufeff", _blank)
)  # a minus that is no operator begins a comment
_READERS.update(dict.fromkeys("0123456789.", _number))
_READERS.update(dict.fromkeys("'\"`", _quoted))
_READERS.update(dict.fromkeys("xX", _blob_or_word))
_READERS.update(dict.fromkeys("?:@$", _parameter))
_READERS["["] = _bracketed
for _letter in "abcdefghijklmnopqrstuvwyzABCDEFGHIJKLMNOPQRSTUVWYZ_":
    del _READERS[_letter]
