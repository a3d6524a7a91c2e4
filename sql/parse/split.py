"""Where one statement ends and the next begins, by SQLite's completeness rules.

A statement ends at the first `;` outside of quotes ('...', "...", `...`, [...]) and comments; a
CREATE TRIGGER ends at the `;` after an END that itself follows a `;`.  One possessive regular expression runs
over the text at C speed and never backtracks.  Nothing here imports the parser.

Source: sqlite3_complete() in SQLite's complete.c.
"""

from __future__ import annotations

import re
from functools import cache

WORD = r"[^\x00-\x23\x25-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]"
"""A character of a word: a letter, a digit, `_`, `$` or anything that is not ASCII.  It is said by what it is not:
a range up to U+10FFFF takes the compiler of patterns a millisecond or two, each time the process starts."""

_BLANK = r"(?:\s|--[^\n]*(?:\n|\Z)|/\*(?s:.*?)(?:\*/|\Z))"

# Everything up to the first `;` that is neither quoted nor commented; an unclosed quote stops it too.
_UNTIL_SEMICOLON = re.compile(
    r"""(?:[^;'"`\[/-]+|'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*(?:\n|\Z)|/\*.*?\*/|/(?!\*)|-(?!-))*+""",
    re.DOTALL,
)


# The others are made when they are needed: a process of one statement may never ask where it ends.
@cache
def _trigger() -> re.Pattern[str]:
    return re.compile(
        rf"{_BLANK}*+(?:EXPLAIN\b{_BLANK}*+(?:QUERY{_BLANK}++PLAN\b{_BLANK}*+)?)?"
        rf"CREATE\b{_BLANK}*+(?:TEMP(?:ORARY)?\b{_BLANK}*+)?TRIGGER\b",
        re.IGNORECASE,
    )


@cache
def _end() -> re.Pattern[str]:
    return re.compile(rf"(?:{_BLANK}|;)*+END{_BLANK}*+;", re.IGNORECASE)


@cache
def _nothing() -> re.Pattern[str]:
    return re.compile(r"(?:[\s;]|--[^\n]*(?:\n|\Z)|/\*(?s:.*?)\*/)*+")


def next_statement(text: str, start: int = 0) -> int | None:
    """The offset just past the `;` that ends the statement beginning at `start`; None if none does.

    Blanks and comments before the statement belong to it.  O(length of the statement)."""
    end = _semicolon(text, start)
    if end is None or _trigger().match(text, start) is None:
        return end
    while end is not None:
        close = _end().match(text, end)
        if close is not None:
            return close.end()
        end = _semicolon(text, end)
    return None


def is_complete(text: str) -> bool:
    """Whether `text` ends with a finished statement (blanks and comments may follow it)."""
    start = 0
    while True:
        end = next_statement(text, start)
        if end is None:
            return start > 0 and is_blank(text, start)
        start = end


def is_blank(text: str, start: int = 0) -> bool:
    """Whether nothing but whitespace, closed comments and semicolons follows `start`."""
    match = _nothing().match(text, start)
    assert match is not None
    return match.end() == len(text)


def _semicolon(text: str, start: int) -> int | None:
    match = _UNTIL_SEMICOLON.match(text, start)
    assert match is not None
    end = match.end()
    return end + 1 if end < len(text) and text[end] == ";" else None
