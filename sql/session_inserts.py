"""INSERTs of literals, read without a parser: what loads scripts and dumps fast.

    INSERT INTO "t"(a, b) VALUES (1, 'x'), (2, NULL), (-3.5, x'00ff')

is the statement `INSERT INTO "t"(a, b) VALUES (?,?)` run for three rows, and so is a run of statements
that begin alike.  Only what is certain is taken: literals with an optional sign, rows of one length,
nothing after the rows; comments only in a run of statements.  The statement with its parameters is parsed as any
other; text that is not certain goes the ordinary way.

Most rows are JSON but for their quotes and parentheses, so a stretch of text is made JSON by a few
replacements and decoded in one call (`_as_json`): 0.3 us for a row of four values, where a regular expression
and a conversion of each literal take 2.5.  Literals that JSON does not have, such as `.5`, go that
second way (`_one_by_one`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from operator import itemgetter
from typing import Annotated, Any

import msgspec

from sql.parse.split import WORD

Value = None | int | float | str | bytes
Row = tuple[Value, ...]

_FIRST = r"[^\x00-\x40\x5b-\x5e\x60\x7b-\x7f]"  # of a name, said as `WORD` is
_NAME = rf"""(?:{_FIRST}{WORD}*|"(?:[^"]|"")*+"|`[^`]*+`|\[[^\]]*+\])"""
_HEAD = re.compile(
    rf"\s*+((?:INSERT(?:\s++OR\s++\w++)?|REPLACE)\s++INTO\s++{_NAME}(?:\s*+\.\s*+{_NAME})?"
    rf"\s*+(?:\(\s*+{_NAME}(?:\s*+,\s*+{_NAME})*+\s*+\)\s*+)?VALUES)\s*+(?=\()",
    re.IGNORECASE,
)
# Long values go by stretches: a step of a repeated group takes ten times as long as one of a repeated character.
_LITERAL_TEXT = (
    r"(?:'[^']*+(?:''[^']*+)*+'|[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
    r"|[Nn][Uu][Ll][Ll]|[xX]'(?:[0-9a-fA-F]{64})*+(?:[0-9a-fA-F]{2})*+')"
)
_LITERAL = re.compile(_LITERAL_TEXT)
_FIRST_ROW = re.compile(rf"\(\s*+{_LITERAL_TEXT}\s*+(?:,\s*+{_LITERAL_TEXT}\s*+)*+\)")
_SPACES = re.compile(r"\s*+")
_ROW_GAP = re.compile(r"\s*+\)\s*+,\s*+\(\s*+")
_CLOSING = re.compile(r"(\s*+\)\s*+);?\s*+\Z")
_CLOSING_MAX = 64
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1
_DIGITS_MAX = 18  # so many certainly fit 64 bits


class InsertForm:
    """INSERTs of literals that begin alike, and have the layout of the first one that was seen.

    `key`: the statement for one row, with parameters.  `opening`: from INSERT to the first literal, of which `start`
    is the place; `first`: the literals of the first row, which goes up to `end`; `closing`: what is behind the last
    literal.  `row_gap`: what rows have between them; `commas`: what literals have, if that is more than a comma, a
    space, or both."""

    __slots__ = (
        "closing",
        "commas",
        "end",
        "first",
        "key",
        "open",
        "opening",
        "row_gap",
        "start",
        "width",
    )

    def __init__(self, text: str, head: re.Match[str], first: re.Match[str]) -> None:
        self.open = head.end()
        self.start = _SPACES.match(text, self.open + 1).end()  # type: ignore[union-attr]
        self.opening = text[head.start(1) : self.start]
        self.first = _LITERAL.findall(first.group())
        self.width = len(self.first)
        self.key = f"{head.group(1)} ({','.join('?' * self.width)})"
        self.end = first.end()
        inside = text[self.start : self.end - 1].rstrip()
        commas = set(_LITERAL.sub("\0", inside).split("\0"))
        self.commas = sorted(commas - {"", ",", ", "}, key=len, reverse=True)
        gap = _ROW_GAP.match(text, self.start + len(inside))
        self.row_gap = "),(" if gap is None else gap.group()
        closing = _CLOSING.search(text, max(self.start, len(text) - _CLOSING_MAX))
        self.closing = ")" if closing is None else closing.group(1)

    def take(self, statement: str) -> str | None:
        """The statement, which has no semicolon, if it begins so; what it goes on with is for `sets` to say."""
        return statement if statement.startswith(self.opening) else None

    def take_certain(self, statement: str) -> str | None:
        """The same for a statement that may be of another layout, or not all of literals."""
        if self.take(statement) is None:
            return None
        found = literal_rows(statement)
        return None if found is None or found[0] != self.key else statement

    def sets(self, taken: list[str]) -> list[Row] | None:
        """The rows of the statements, if all of them are of literals."""
        rows = self.rows(";".join(taken), ";")
        if rows is not None:
            return rows
        rows = []
        for statement in taken:
            found = literal_rows(statement)
            if found is None or found[0] != self.key:
                return None
            rows += found[1]
        return rows

    def rows(self, text: str, gap: str) -> list[Row] | None:
        """The rows of the statements in `text`, which have `gap` between them, if their literals have a form in JSON and
        their layout is that of the first."""
        if not text.endswith(self.closing):
            return None
        inside = text[len(self.opening) : len(text) - len(self.closing)]
        return _as_json(inside, self.closing + gap + self.opening, self)


def insert_form(text: str) -> InsertForm | None:
    """The form of an INSERT whose first row is of literals."""
    head = _HEAD.match(text)
    if head is None:
        return None
    first = _FIRST_ROW.match(text, head.end())
    return None if first is None else InsertForm(text, head, first)


def literal_rows(text: str) -> tuple[str, list[Row]] | None:
    """(the statement for one row, the rows) if `text` is an INSERT of nothing but literals."""
    begun = insert_form(text)
    if begun is None:
        return None
    if not text[begun.end :].strip(" \t\n\r;"):
        return begun.key, [tuple(map(_value, begun.first))]
    body = text[begun.start :].rstrip().removesuffix(";").rstrip()
    if not body.endswith(")"):
        return None
    rows = _as_json(body[:-1].rstrip(), "", begun)
    if rows is not None:
        return begun.key, rows
    if _rows_pattern(begun.width).fullmatch(text, begun.open) is None:
        return None
    return begun.key, _one_by_one(body, begun.width)


# -- as JSON ---------------------------------------------------------------------------------------------

_NEXT_ROW = "]\r,["


def _as_json(body: str, gap: str, begun: InsertForm) -> list[Row] | None:
    """The rows in `body`, with `gap` between statements and `begun.row_gap` between rows, if all of
    their literals have a form in JSON; else None.

    No JSON string has a control character in it, or two strings side by side.  So whatever is put in the
    place of something that was meant to stand between literals, but did stand in a text, brings a
    carriage return into a string, which makes all of it invalid; and so does an escape that gets
    between literals.  What is valid in the end has been understood as SQL has it:

        ),(     ]\\r,[        between rows; so is what is between statements
        ,\\n     ,\\r          between literals, if the first row has it there
        "  \\    \\"  \\\\      only within texts
        x'      "\\u0001      after a comma: a blob
        ''      ""\\r         after a comma: an empty text;  \\u0027 within texts
        NULL    null\\r
        '       "

    Brackets of the text's own could make rows, and a carriage return of its own is no mark: where there
    are any, what stands between rows is counted."""
    counts = "[" in body or "]" in body or "\r" in body
    count, returns = 1, body.count("\r") if counts else 0
    for between in (gap, begun.row_gap):
        if not between:
            continue
        if counts:
            found = body.count(between)
            count += found
            returns -= found * between.count("\r")
        body = body.replace(between, _NEXT_ROW)
    befores = [",", ", ", "["]
    for comma in begun.commas:
        if counts:
            returns -= body.count(comma) * comma.count("\r")
        befores.append(comma.replace("\n", "\r").replace("\t", "\r"))
        body = body.replace(comma, befores[-1])
    if returns:
        return None
    body = f"[[{body}]]"
    for character, escape in _ESCAPES:
        if character in body:
            body = body.replace(character, escape)
    has_blobs = "x'" in body or "X'" in body
    if has_blobs:
        for before in befores:
            for mark in "xX":
                body = body.replace(f"{before}{mark}'", rf"{before}'\u0001")
    if "''" in body:
        for before in befores:
            body = body.replace(f"{before}''", f'{before}""\r')
        body = body.replace("''", r"\u0027")
    if "NULL" in body:
        body = body.replace("NULL", "null\r")
    try:
        rows = _decoder(begun.width).decode(body.replace("'", '"'))
    except (msgspec.DecodeError, UnicodeError):
        return None
    if counts and len(rows) != count:
        return None
    return _with_blobs(rows, begun.width) if has_blobs else rows


def _with_blobs(rows: list[Row], width: int) -> list[Row] | None:
    """The rows with blobs in the places of their digits, if all of these are some."""
    columns: list[list[Value]] = []
    try:
        for place in range(width):
            column = list(map(itemgetter(place), rows))
            kinds = set(map(type, column))
            columns.append(list(map(_blob, column)) if str in kinds else column)
    except ValueError:
        return None
    return list(zip(*columns, strict=True))


def _blob(value: Value) -> Value:
    """What JSON has as digits behind a control character is meant for a blob: no text that was decoded has any."""
    if not isinstance(value, str) or value[:1] != "\1":
        return value
    blob = bytes.fromhex(value[1:])
    if 2 * len(blob) != len(value) - 1:
        raise ValueError(value)  # with spaces
    return blob


_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"))


@lru_cache(maxsize=64)
def _decoder(width: int) -> msgspec.json.Decoder[list[Any]]:
    value = Annotated[int, msgspec.Meta(ge=_INT_MIN, le=_INT_MAX)] | float | str | None
    return msgspec.json.Decoder(list[tuple[(value,) * width]])  # type: ignore[misc]


# -- one by one ------------------------------------------------------------------------------------------


def _row_text(width: int) -> str:
    more = rf"(?:,\s*+{_LITERAL_TEXT}\s*+){{{width - 1}}}" if width > 1 else ""
    row = rf"\(\s*+{_LITERAL_TEXT}\s*+{more}\)"
    return rf"{row}\s*+(?:,\s*+{row}\s*+)*+"


@lru_cache(maxsize=64)
def _rows_pattern(width: int) -> re.Pattern[str]:
    return re.compile(rf"{_row_text(width)};?\s*+")


def _one_by_one(text: str, width: int) -> list[Row]:
    """The rows of text that is known to be literals and what is between them."""
    values = list(map(_value, _LITERAL.findall(text)))
    columns = [iter(values)] * width
    return list(zip(*columns, strict=True))


def _value(literal: str) -> Value:
    first = literal[0]
    if first == "'":
        return literal[1:-1].replace("''", "'")
    if first in "nN":
        return None
    if first in "xX":
        return bytes.fromhex(literal[2:-1])
    if literal.isdigit() and len(literal) <= _DIGITS_MAX:
        return int(literal)
    if literal.lstrip("+-").isdigit():
        number = int(literal)
        return number if _INT_MIN <= number <= _INT_MAX else float(literal)
    return float(literal)
