"""Highlighting of SQL and commands, while typing and in print: text -> spans of roles.

It shares the tokenizer of completion, so it is right on half-typed text and imports nothing heavy.  Roles are
those of `kvsh.themes`.  About 1 us a token; text past `HIGHLIGHT_MAX` characters stays plain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from kvsh.complete.tokens import (
    BLOB,
    COMMENT,
    NUMBER,
    OPERATOR,
    PARAMETER,
    QUOTED,
    STRING,
    WORD,
    Token,
    tokenize,
    tokens_from,
)
from kvsh.complete.words import FUNCTIONS, KEYWORDS, TABLE_FUNCTIONS, word_set

HIGHLIGHT_MAX = 100_000

_ROLES = {
    STRING: "string",
    BLOB: "string",
    QUOTED: "name",
    NUMBER: "number",
    PARAMETER: "parameter",
    OPERATOR: "operator",
    COMMENT: "comment",
}
_TYPE_NAMES = frozenset(
    ("INTEGER", "INT", "TEXT", "REAL", "BLOB", "NUMERIC", "VARCHAR", "BOOLEAN", "DATE", "DATETIME")
)
_ARGUMENT = re.compile(r"'(?:[^']|'')*'?|\"(?:[^\"]|\"\")*\"?|\S+")


class Span(NamedTuple):
    """`text[start:end]` is painted as `role`."""

    role: str
    start: int
    end: int


def spans(text: str, is_command: Callable[[str], bool] | None = None) -> Iterator[Span]:
    """The spans of the text in order, without overlap; what lies between is plain.

    `is_command` says whether a line at the start of a statement is a raw or dot command."""
    position, size = 0, min(len(text), HIGHLIGHT_MAX)
    while position < size:
        while position < size and text[position].isspace():
            position += 1
        line_end = text.find("\n", position)
        line_end = size if line_end < 0 else min(line_end, size)
        line = text[position:line_end]
        if line.startswith(".") or (is_command is not None and line and is_command(line)):
            yield from _command_spans(text, position, line_end)
            position = line_end
            continue
        position = yield from _statement_spans(text, position, size)


def _statement_spans(text: str, start: int, size: int) -> Generator[Span, None, int]:
    """Spans up to the `;` that ends the statement; the generator's value is where that is."""
    tokens = tokens_from(text, start, size)
    token = next(tokens, None)
    while token is not None:
        following = next(tokens, None)
        role = _role(token, "" if following is None else following.text)
        yield Span(role, token.start, token.end)
        if token.text == ";":
            return token.end
        token = following
    return size


def _role(token: Token, following: str) -> str:
    if token.kind != WORD:
        return _ROLES[token.kind]
    lowered = token.text.lower()
    if following == "(" and (lowered in FUNCTIONS or lowered in TABLE_FUNCTIONS):
        return "function"
    upper = token.upper
    return "keyword" if upper in KEYWORDS or upper in _TYPE_NAMES else "name"


def _command_spans(text: str, start: int, end: int) -> Iterator[Span]:
    """A command line: the verb, options, quoted words; a SELECT or other statement inside as SQL."""
    is_first = True
    for match in _ARGUMENT.finditer(text, start, end):
        word = match.group()
        if is_first:
            yield Span("command", *match.span())
            is_first = False
        elif word.upper() in _SQL_STARTS:
            for token in tokenize(text, match.start(), end):
                yield Span(_role(token, text[token.end : token.end + 1]), token.start, token.end)
            return
        elif word.startswith("--"):
            yield Span("option", *match.span())
        elif word[0] in "'\"":
            yield Span("string", *match.span())


_SQL_STARTS = word_set("SELECT WITH INSERT UPDATE DELETE VALUES CREATE DROP REPLACE")


def highlighted(text: str, paint: Callable[[str, str], str]) -> str:
    """The text painted for printing."""
    out, position = [], 0
    for span in spans(text):
        out.append(text[position : span.start])
        out.append(paint(span.role, text[span.start : span.end]))
        position = span.end
    out.append(text[position:])
    return "".join(out)


def matching_bracket(text: str, cursor: int) -> int | None:
    """The offset of the bracket that matches the one at or just before `cursor`, quotes and comments left out."""
    brackets = [
        token
        for token in tokenize(text[:HIGHLIGHT_MAX])
        if token.kind == OPERATOR and token.text in "()"
    ]
    wanted = next((token.start for token in brackets if token.start == cursor), None)
    if wanted is None:
        wanted = next((token.start for token in brackets if token.start == cursor - 1), None)
    if wanted is None:
        return None
    stack: list[int] = []
    for token in brackets:
        if token.text == "(":
            stack.append(token.start)
        elif stack:
            opener = stack.pop()
            if opener == wanted:
                return token.start
            if token.start == wanted:
                return opener
    return None
