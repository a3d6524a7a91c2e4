"""A small, forgiving tokenizer of half-typed SQL, for completion and highlighting.

One regular expression, no error: whatever is left open (a quote, a comment) reaches to the end of the
text and is marked `closed=False`.  It knows the shapes of tokens and nothing of grammar, so that it
stays right on text that no parser would take.  About 0.3 us a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

WORD, QUOTED, STRING, BLOB, NUMBER, PARAMETER, OPERATOR, COMMENT = (
    "word",
    "quoted",
    "string",
    "blob",
    "number",
    "parameter",
    "operator",
    "comment",
)

_TOKEN = re.compile(
    r"""
      (?P<comment>  --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<blob>     [xX]'[^']*(?:'|\Z) )
    | (?P<string>   '(?:[^']|'')*(?:'|\Z) )
    | (?P<quoted>   "(?:[^"]|"")*(?:"|\Z) | `(?:[^`]|``)*(?:`|\Z) | \[[^\]]*(?:\]|\Z) )
    | (?P<number>   0[xX][0-9a-fA-F]+ | (?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)? )
    | (?P<parameter>\?\d* | [:@$][\w$]+ )
    | (?P<word>     [^\W\d][\w$]* )
    | (?P<operator> ->>? | <= | >= | <> | != | == | \|\| | << | >> | \S )
    """,
    re.VERBOSE | re.DOTALL,
)

_CLOSERS = {"'": "'", '"': '"', "`": "`", "[": "]"}


class Token(NamedTuple):
    """One token; `start` and `end` are half-open character offsets into the text."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def upper(self) -> str:
        """The text in upper case for words, so that keywords compare; other kinds as they are."""
        return self.text.upper() if self.kind == WORD else self.text

    @property
    def closed(self) -> bool:
        """Whether a quote or block comment that this token opens is closed again."""
        text = self.text
        if self.kind == COMMENT:
            return text.startswith("--") or (len(text) >= 4 and text.endswith("*/"))
        if self.kind == BLOB:
            text = text[1:]
        closer = _CLOSERS.get(text[:1])
        if closer is None:
            return True
        if len(text) < 2 or not text.endswith(closer):
            return False
        if closer == "]":
            return True
        body = text[1:]  # an even run of quotes at the end is an escaped one
        return (len(body) - len(body.rstrip(closer))) % 2 == 1

    @property
    def name(self) -> str:
        """What the token says as an identifier or string: quotes taken off, doubled ones halved."""
        text = self.text
        if self.kind == QUOTED or self.kind == STRING:
            closer = _CLOSERS[text[0]]
            body = text[1:-1] if self.closed else text[1:]
            return body if closer == "]" else body.replace(closer * 2, closer)
        return text


def tokenize(text: str, start: int = 0, end: int | None = None) -> list[Token]:
    """All tokens of `text[start:end]`, white space left out, offsets into `text`."""
    return list(tokens_from(text, start, len(text) if end is None else end))


def tokens_from(text: str, start: int, end: int) -> Iterator[Token]:
    """`tokenize`, as far as it is asked for."""
    for match in _TOKEN.finditer(text, start, end):
        kind = match.lastgroup
        assert kind is not None
        yield Token(kind, match.group(), match.start(), match.end())


def significant(tokens: list[Token]) -> list[Token]:
    """The tokens without comments."""
    return [token for token in tokens if token.kind != COMMENT]


_PLAIN_NAME = re.compile(r"[A-Za-z_\u0080-\U0010ffff][\w$]*\Z")


def is_plain_name(name: str) -> bool:
    """Whether `name` can stand unquoted, reserved words apart."""
    return _PLAIN_NAME.match(name) is not None
