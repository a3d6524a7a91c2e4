"""INSERTs of literals, read by regular expression: what loads scripts and dumps fast.

    INSERT INTO "t"(a, b) VALUES (1, 'x'), (2, NULL), (-3.5, x'00ff')

is the statement `INSERT INTO "t"(a, b) VALUES (?,?)` run for three rows, and so is a run of statements
that begin alike.  Only what is certain is taken: literals with an optional sign, rows of one length,
no comments, nothing after the rows.  The statement with its parameters is parsed as any other;
text that is not certain goes the ordinary way.
"""

from __future__ import annotations

import re
from functools import lru_cache

Value = None | int | float | str | bytes
Row = tuple[Value, ...]

# Letters, `_` and all that is not ASCII, then digits and `$` too.  Said by what they are not: folding the
# case of a range up to U+10FFFF would take the compiler of patterns a tenth of a second.
_FIRST = r"[^\x00-\x40\x5b-\x5e\x60\x7b-\x7f]"
_MORE = r"[^\x00-\x23\x25-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]"
_NAME = rf"""(?:{_FIRST}{_MORE}*|"(?:[^"]|"")*+"|`[^`]*+`|\[[^\]]*+\])"""
_HEAD = re.compile(
    rf"\s*+((?:INSERT(?:\s++OR\s++\w++)?|REPLACE)\s++INTO\s++{_NAME}(?:\s*+\.\s*+{_NAME})?"
    rf"\s*+(?:\(\s*+{_NAME}(?:\s*+,\s*+{_NAME})*+\s*+\)\s*+)?VALUES)\s*+(?=\()",
    re.IGNORECASE,
)
_LITERAL_TEXT = (
    r"(?:'(?:[^']|'')*+'|[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
    r"|[Nn][Uu][Ll][Ll]|[xX]'(?:[0-9a-fA-F]{2})*+')"
)
_LITERAL = re.compile(_LITERAL_TEXT)
_FIRST_ROW = re.compile(rf"\(\s*+{_LITERAL_TEXT}\s*+(?:,\s*+{_LITERAL_TEXT}\s*+)*+\)")
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1
_DIGITS_MAX = 18  # so many certainly fit 64 bits


def literal_rows(text: str) -> tuple[str, list[Row]] | None:
    """(the statement for one row, the rows) if `text` is an INSERT of nothing but literals."""
    head = _HEAD.match(text)
    if head is None:
        return None
    first = _FIRST_ROW.match(text, head.end())
    if first is None:
        return None
    width = len(_LITERAL.findall(first.group()))
    rows = _rows_pattern(width).fullmatch(text, head.end())
    if rows is None:
        return None
    return _statement(head.group(1), width), _rows(text[head.end() :], width)


def statement_run(text: str, start: int, count_max: int) -> tuple[int, str, list[Row]] | None:
    """(end, the statement for one row, the rows) of the INSERTs of one row each that begin alike from
    `start` on, at most `count_max` of them; None if there are not two.  Each ends with a `;`."""
    head = _HEAD.match(text, start)
    if head is None:
        return None
    first = _FIRST_ROW.match(text, head.end())
    if first is None:
        return None
    width = len(_LITERAL.findall(first.group()))
    statement = _statement_pattern(head.group(1), width)
    bodies: list[str] = []
    end = start
    while len(bodies) < count_max:
        match = statement.match(text, end)
        if match is None:
            break
        bodies.append(match.group(1))
        end = match.end()
    if len(bodies) < 2:
        return None
    return end, _statement(head.group(1), width), _rows(",".join(bodies), width)


def _statement(head: str, width: int) -> str:
    return f"{head} ({','.join('?' * width)})"


def _row_text(width: int) -> str:
    more = rf"(?:,\s*+{_LITERAL_TEXT}\s*+){{{width - 1}}}" if width > 1 else ""
    return rf"\(\s*+{_LITERAL_TEXT}\s*+{more}\)"


@lru_cache(maxsize=64)
def _rows_pattern(width: int) -> re.Pattern[str]:
    row = _row_text(width)
    return re.compile(rf"{row}\s*+(?:,\s*+{row}\s*+)*+;?\s*+")


@lru_cache(maxsize=64)
def _statement_pattern(head: str, width: int) -> re.Pattern[str]:
    return re.compile(rf"\s*+{re.escape(head)}\s*+({_row_text(width)})\s*+;")


def _rows(text: str, width: int) -> list[Row]:
    values = [
        literal[1:-1]
        if literal[0] == "'" and "''" not in literal
        else int(literal)
        if literal.isdigit() and len(literal) <= _DIGITS_MAX
        else _value(literal)
        for literal in _LITERAL.findall(text)
    ]
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
    if literal.lstrip("+-").isdigit():
        number = int(literal)
        return number if _INT_MIN <= number <= _INT_MAX else float(literal)
    return float(literal)
