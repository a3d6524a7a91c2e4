"""One grammar for the terminal, scripts and argv: text in, statements and commands out.

    SQL           ends at `;` or `\\g` outside quotes and comments, and may span lines; behind `\\G` or `\\gx`, as of
                  the MySQL and PostgreSQL shells, the result is shown a column a line
    raw command   put, get, delete ...: ends at the newline
    dot command   .help, .tables ...: ends at the newline

`begin`, `commit` and `rollback` alone on a line are raw commands, with a semicolon SQL; they mean the same. `delete`
is raw unless FROM follows, or a name and WHERE: who has forgotten FROM wants to hear of it; and `--prefix` is its option,
no comment.  Between statements a
line may be a comment that begins with `#` (as in `#!/usr/bin/env kvsh`).  Nothing here imports a parser: raw commands
never wait for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from operator import lt

RAW_WORDS = frozenset(
    (
        "put", "set", "get", "delete", "del", "exists", "scan", "count", "incr",
        "expire", "ttl", "persist", "begin", "commit", "rollback", "keys",
    )
)  # fmt: skip
"""First words of raw commands; `kvsh.commands` has the same names."""

STATEMENT_WORDS = frozenset(
    (
        "select", "values", "with", "explain", "pragma", "insert", "replace", "update", "delete", "create",
        "drop", "alter", "begin", "commit", "end", "rollback", "savepoint", "release", "vacuum", "analyze",
        "reindex", "attach", "detach",
    )
)  # fmt: skip
"""First words of SQL statements."""

KEY_LINES = ("put ", "get ", "delete ")
"""How lines of keys begin that may run together."""

_TRANSACTION_WORDS = frozenset(("begin", "commit", "rollback"))
_ALONE = frozenset(("quit", "exit"))  # typed from habit; no SQL statement is one word of these
_HABITS = _ALONE | {"help"}
_GAP = re.compile(r"(?:[\s;\ufeff]+|(?:--|\#)[^\n]*(?:\n|\Z)|/\*.*?\*/)*+", re.DOTALL)
_COMMENT = re.compile("--|#")
_WORD = re.compile(r"[A-Za-z]+(?=[\s;]|\Z)")
_FIRST_WORD = re.compile(r"[A-Za-z]+(?!\w)")
_DELETES_ROWS = re.compile(
    r"\s*(?:FROM(?!\w)|\Z|--(?!prefix(?!\w))|/\*|[\w.\"]+\s+WHERE\s)", re.IGNORECASE
)
"""What follows DELETE where it is a statement."""
_BARE = r"(?![xX]')[^\s'\";\\-]\S*"  # as `kvsh.arguments` has it, but for what may be an option
# The same of ASCII alone is tried first: `\s` asks for each character whether Unicode has it for a space.
_BARE_ASCII = r"(?![xX]')[!#-&(-,./-:<-\[\]-~][!-~]*+"
PLAIN_WORD = (
    rf"""(?:{_BARE_ASCII}|{_BARE}|'[^'\n]*+(?:''[^'\n]*+)*+'|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+")"""
)
"""A word of a raw command that is no option and no bytes: bare or quoted, on one line."""
_NULS = re.compile("\0+")
_MARK = re.compile(r"\\(?:gx?|G)(?=[\s;]|\Z)")
"""What may end a statement in the place of a semicolon."""
_SHORT = 1 << 16


@cache
def _put_run() -> re.Pattern[str]:
    """Lines of `put`; made when there are some, since a process of one command would wait for it."""
    return re.compile(rf"(?:put {PLAIN_WORD} {PLAIN_WORD}(?<!;)\n){{2,}}+")


@cache
def _put_lines() -> re.Pattern[str]:
    return re.compile(rf"put ({PLAIN_WORD}) ({PLAIN_WORD})\n")


class Unit:
    """A statement or command: `kind` is sql, raw, dot, or puts (a run of plain `put K V` lines).  `is_expanded`: its
    result is to be shown a column a line."""

    __slots__ = ("column", "is_expanded", "kind", "line", "text")

    def __init__(
        self, kind: str, text: str, line: int, column: int, *, is_expanded: bool = False
    ) -> None:
        self.kind = kind
        self.text = text
        self.line = line
        self.column = column
        self.is_expanded = is_expanded

    def __repr__(self) -> str:
        return f"Unit({self.kind!r}, {self.text!r}, {self.line}, {self.column})"


class Reader:
    """Takes text as it arrives and gives the units that are whole.

    Reading a statement costs its length, however many pieces it arrives in: while an SQL statement is open,
    pieces without a `;` or a backslash are only kept."""

    def __init__(self, *, runs: bool = False) -> None:
        """`runs`: several plain `put` lines may come as one unit."""
        self._text = ""
        self._at = 0  # what is before has been given out
        self._line = 1  # of the character at `_counted`
        self._line_at = 0  # where that line begins in the text
        self._counted = 0
        self._runs = runs
        self._is_open = False  # an SQL statement has begun and no `;` ended it
        self._kept: list[str] = []
        self._end_of: Callable[[str, int], int | None] | None = None

    def feed(self, text: str) -> None:
        """More input."""
        if self._is_open and ";" not in text and "\\" not in text:
            self._kept.append(text)
            return
        if self._kept:
            text = "".join((*self._kept, text))
            self._kept.clear()
        if self._at > _SHORT:
            self._count_lines(self._at)
            self._text = self._text[self._at :] + text
            self._line_at -= self._at
            self._at = self._counted = 0
        else:
            self._text += text
        self._is_open = False

    def units(self, *, final: bool = False) -> Iterator[Unit]:
        """The whole units of what was fed; with `final` the rest counts as whole."""
        if self._is_open and not final:
            return
        if self._kept:
            self._text += "".join(self._kept)
            self._kept.clear()
        while True:
            found = self._next(final)
            if found is None:
                return
            yield found

    def begins(self, heads: tuple[str, ...]) -> bool:
        """Whether what comes next has arrived and begins with one of these."""
        gap = _GAP.match(self._text, self._at)
        assert gap is not None
        return self._text.startswith(heads, gap.end())

    def run_on(self, execute: Callable[[str, int], int]) -> bool:
        """Let `execute(text, start) -> end` take statements off the text; whether it took any."""
        before = self._at
        self._at = execute(self._text, before)
        return self._at > before

    @property
    def rest(self) -> str:
        """What was fed and not given out yet."""
        return "".join((self._text[self._at :], *self._kept))

    @property
    def pending(self) -> int:
        """How many characters wait for the end of their statement."""
        return len(self._text) - self._at + sum(map(len, self._kept))

    def place(self) -> tuple[int, int]:
        """Line and column (from 1) that have been reached."""
        return self.place_of(self._at)

    def place_of(self, offset: int) -> tuple[int, int]:
        """Line and column (from 1) of a place in the text that `run_on` gives, past what has been given out."""
        self._count_lines(offset)
        return self._line, offset - self._line_at + 1

    def waiting(self) -> tuple[int, int]:
        """Line and column (from 1) where what waits for its end begins."""
        gap = _GAP.match(self._text, self._at)
        assert gap is not None
        self._at = gap.end()
        return self.place()

    def end(self) -> tuple[int, int]:
        """Line and column (from 1) just past all that was fed."""
        text = "".join((self._text, *self._kept))
        line = self._line + text.count("\n", self._counted)
        return line, len(text) - max(text.rfind("\n") + 1, self._line_at) + 1

    def _count_lines(self, to: int) -> None:
        count = self._text.count("\n", self._counted, to)
        if count:
            self._line += count
            self._line_at = self._text.rindex("\n", self._counted, to) + 1
        self._counted = to

    def _next(self, final: bool) -> Unit | None:
        text = self._text
        gap = _GAP.match(text, self._at)
        assert gap is not None
        start = gap.end()
        if start >= len(text):
            if not final and "\n" not in text[-1:] and _COMMENT.search(text, self._at):
                return None  # perhaps in the middle of a comment: it is looked at again
            self._at = start
            return None
        if self._runs and text.startswith("put ", start):
            run = _put_run().match(text, start)
            if run is not None:
                return self._unit("puts", start, run.end())
        if text[start] == "\0":  # no statement goes on here, however much of this /dev/zero has
            nuls = _NULS.match(text, start)
            assert nuls is not None
            return self._unit("sql", start, nuls.end())
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
        end_of = self._end_of
        if end_of is None:  # an import takes 0.6 us, also of what is there
            from sql import next_statement

            end_of = self._end_of = next_statement
        found = end_of(text, start)
        end = len(text) if found is None else found
        mark = _mark_in(text, start, end)
        if mark is not None:
            unit = self._unit("sql", start, mark.start())
            unit.is_expanded = mark[0] != "\\g"
            self._at = mark.end()
            return unit
        if found is None and not final:
            self._is_open = True
            return None
        return self._unit("sql", start, end)

    def _unit(self, kind: str, start: int, end: int) -> Unit:
        self._count_lines(start)
        unit = Unit(kind, self._text[start:end], self._line, start - self._line_at + 1)
        self._at = end
        return unit


def _mark_in(text: str, start: int, end: int) -> re.Match[str] | None:
    """What ends a statement in the place of a semicolon before `end`, if anything does."""
    if text.find("\\", start, end) < 0:
        return None
    while True:
        found = _until_backslash().match(text, start, end)
        assert found is not None
        start = found.end()
        if start == end or text[start] != "\\":  # a quote that nothing closes
            return None
        mark = _MARK.match(text, start)
        if mark is not None:
            return mark
        start += 1


@cache
def _until_backslash() -> re.Pattern[str]:
    """Everything up to the first backslash that is neither quoted nor commented, or to an unclosed quote."""
    return re.compile(
        r"""(?:[^\\'"`\[/-]+|'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*(?:\n|\Z)|/\*.*?\*/|/(?!\*)|-(?!-))*+""",
        re.DOTALL,
    )


def put_pairs(run: str) -> tuple[list[bytes], list[bytes]]:
    """Keys, ascending, and values of a run of plain `put` lines; of equal keys the last one counts."""
    is_quoted = "'" in run or '"' in run  # one character is looked for ten times as fast as two
    if not is_quoted or (" '" not in run and ' "' not in run):
        words = run.encode().split()
        keys, values = words[1::3], words[2::3]
    else:
        pairs = _put_lines().findall(run)
        keys = [unquoted(key) for key, _ in pairs]
        values = [unquoted(value) for _, value in pairs]
    if all(map(lt, keys, keys[1:])):
        return keys, values
    latest = dict(zip(keys, values, strict=True))
    keys = sorted(latest)
    return keys, list(map(latest.__getitem__, keys))


def unquoted(word: str) -> bytes:
    """The bytes that a plain word stands for."""
    if word[0] == "'":
        word = word[1:-1].replace("''", "'")
    elif word[0] == '"':
        word = word[1:-1]
        if "\\" in word:
            if word.count("\\") == word.count('\\"'):
                return word.replace('\\"', '"').encode()  # nothing but quotes, as in JSON
            from kvsh.arguments import unescaped

            word = unescaped(word)
    return word.encode()


def line_kind(text: str, start: int, *, final: bool = True) -> str | None:
    """What stands at a statement's start: sql, raw or dot; None if more input is needed to tell."""
    if text[start] in ".\\":
        return "dot"
    word = _WORD.match(text, start)
    if word is None:
        return "sql"
    lowered = word[0].lower()
    if lowered not in RAW_WORDS and lowered not in _HABITS:
        return "sql"
    end = text.find("\n", start)
    if end < 0:
        if not final:
            return None
        end = len(text)
    rest = text[word.end() : end]
    if lowered == "help":
        return "dot"
    if lowered in _ALONE:
        return "dot" if not rest.strip(" \t\r;") else "sql"
    if lowered in _TRANSACTION_WORDS:
        return "raw" if not rest.strip() else "sql"
    if lowered == "delete" and _DELETES_ROWS.match(rest):
        return "sql"
    return "raw"


def is_complete(text: str) -> bool:
    """Whether the text is nothing but whole statements and commands, or can't become that: what Enter decides on."""
    reader = Reader()
    reader.feed(text + "\n")
    for _ in reader.units():
        pass
    rest = reader.rest
    gap = _GAP.match(rest)
    assert gap is not None
    if rest.startswith("/*", gap.end()):
        return False
    word = _FIRST_WORD.match(rest, gap.end())
    return word is None or word[0].lower() not in STATEMENT_WORDS


def is_command(line: str) -> bool:
    """Whether a line at a statement's start is a raw or dot command rather than SQL."""
    stripped = line.lstrip()
    return bool(stripped) and line_kind(stripped, 0) != "sql"
