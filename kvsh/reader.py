"""One grammar for the terminal, scripts and argv: text in, statements and commands out.

    SQL           ends at `;` outside quotes and comments, and may span lines
    raw command   put, get, delete ...: ends at the newline
    dot command   .help, .tables ...: ends at the newline

`begin`, `commit` and `rollback` alone on a line are raw commands, with a semicolon SQL; they mean the same.
`delete` is raw unless FROM follows.  Nothing here imports a parser: raw commands never wait for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

RAW_WORDS = frozenset(
    (
        "put", "set", "get", "delete", "del", "exists", "scan", "count", "incr",
        "expire", "ttl", "persist", "begin", "commit", "rollback", "keys",
    )
)  # fmt: skip
"""First words of raw commands; `kvsh.commands` has the same names."""

_TRANSACTION_WORDS = frozenset(("begin", "commit", "rollback"))
_GAP = re.compile(r"(?:[\s;\ufeff]+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+(?=[\s;]|\Z)")
_NEXT_WORD = re.compile(r"\s*(\w*)")
_PUT_RUN = re.compile(r"(?:put [\w:./@+=-]+ [\w:./@+=-]+\n){2,}")


class Unit:
    """A statement or command: `kind` is sql, raw, dot, or puts (a run of plain `put K V` lines)."""

    __slots__ = ("column", "kind", "line", "text")

    def __init__(self, kind: str, text: str, line: int, column: int) -> None:
        self.kind = kind
        self.text = text
        self.line = line
        self.column = column

    def __repr__(self) -> str:
        return f"Unit({self.kind!r}, {self.text!r}, {self.line}, {self.column})"


class Reader:
    """Takes text as it arrives and gives the units that are whole."""

    def __init__(self, *, runs: bool = False) -> None:
        """`runs`: several plain `put` lines may come as one unit."""
        self._text = ""
        self._at = 0
        self._line = 1
        self._line_at = 0  # where line `_line` begins in the text
        self._runs = runs

    def feed(self, text: str) -> None:
        """More input."""
        if self._at > 1 << 16:
            self._advance(self._at)
            self._text = self._text[self._at :] + text
            self._line_at -= self._at
            self._at = 0
        else:
            self._text += text

    def units(self, *, final: bool = False) -> Iterator[Unit]:
        """The whole units of what was fed; with `final` the rest counts as whole."""
        while True:
            found = self._next(final)
            if found is None:
                return
            yield found

    @property
    def rest(self) -> str:
        """What was fed and not given out yet."""
        return self._text[self._at :]

    @property
    def line(self) -> int:
        """The line that has been reached."""
        return self._line

    def _advance(self, to: int) -> None:
        """Count lines up to offset `to`."""
        count = self._text.count("\n", max(self._line_at, 0), to)
        if count:
            self._line += count
            self._line_at = self._text.rindex("\n", 0, to) + 1

    def _next(self, final: bool) -> Unit | None:
        text = self._text
        gap = _GAP.match(text, self._at)
        assert gap is not None
        start = gap.end()
        if start >= len(text):
            self._at = start
            return None
        if text.startswith("/*", start) and not final:
            self._at = start
            return None
        if self._runs and text.startswith("put ", start):
            run = _PUT_RUN.match(text, start)
            if run is not None:
                return self._unit("puts", start, run.end())
        kind = line_kind(text, start, final=final)
        if kind is None:
            return None
        if kind != "sql":
            end = text.find("\n", start)
            if end < 0:
                if not final:
                    return None
                end = len(text)
            return self._unit(kind, start, end)
        from sql import next_statement

        found = next_statement(text, start)
        if found is None:
            if not final:
                return None
            found = len(text)
        return self._unit("sql", start, found)

    def _unit(self, kind: str, start: int, end: int) -> Unit:
        self._advance(start)
        unit = Unit(kind, self._text[start:end], self._line, start - self._line_at + 1)
        self._at = end
        return unit


def line_kind(text: str, start: int, *, final: bool = True) -> str | None:
    """What stands at a statement's start: sql, raw or dot; None if more input is needed to tell."""
    if text[start] in ".\\":
        return "dot"
    word = _WORD.match(text, start)
    if word is None:
        return "sql"
    lowered = word[0].lower()
    if lowered not in RAW_WORDS:
        return "sql"
    end = text.find("\n", start)
    if end < 0:
        if not final:
            return None
        end = len(text)
    rest = text[word.end() : end]
    if lowered in _TRANSACTION_WORDS:
        return "raw" if not rest.strip() else "sql"
    if lowered == "delete":
        following = _NEXT_WORD.match(rest)
        assert following is not None
        if following[1].lower() == "from" or (not following[1] and not rest.strip()):
            return "sql"
    return "raw"


def is_complete(text: str) -> bool:
    """Whether the text is nothing but whole statements and commands: what Enter decides on."""
    reader = Reader()
    reader.feed(text + "\n")
    for _ in reader.units():
        pass
    return not reader.rest.strip()


def is_command(line: str) -> bool:
    """Whether a line at a statement's start is a raw or dot command rather than SQL."""
    stripped = line.lstrip()
    return bool(stripped) and line_kind(stripped, 0) != "sql"
