"""Runs of statements that differ in nothing but their literals, read by one regular expression per shape.

    SELECT name FROM t WHERE id = 17;
    SELECT name FROM t WHERE id = 4;

are the plan of their shape (see `sql.parse.shape`) run once for each literal.  Reading such a statement by
itself, finding its end and its shape, takes 6 us, and 0.3 as one of many: the pattern for the shape finds
where the run ends, and then all literals in one call.  So are UPDATEs, DELETEs and upserts, whose plan then
executes many sets of parameters at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from sql.errors import Interrupted
    from sql.plan import ResultColumn

Row = tuple[Any, ...]

STATEMENTS_MAX = 1024
WRITES_MAX = 1 << 16

ASKS_BEFORE = re.compile("changes|last_insert_rowid", re.IGNORECASE)
"""What depends on the statement before, which has to be over."""

_BETWEEN = r"(?:\s++|--[^\n]*+\n)*+"
_MARK = re.compile(r"\?(/\*[tr]\*/)?")  # a lifted literal, with its type

# By the mark: a literal of that type in its simplest form, and what makes it a value.
_LITERALS: dict[str | None, tuple[str, Callable[[str], Any]]] = {
    None: (r"([0-9]{1,18}+)", int),
    "/*t*/": (r"'([^']*+(?:''[^']*+)*+)'", lambda text: text.replace("''", "'")),
    "/*r*/": (r"([0-9]++\.[0-9]++)", float),
}


class QueryRun(NamedTuple):
    """Queries that have run: the place after them, their columns, all their rows; `error` stopped them."""

    end: int
    columns: tuple[ResultColumn, ...]
    rows: list[Row]
    error: Interrupted | None


class Shape:
    """What finds statements of one shape."""

    def __init__(self, shape: str) -> None:
        parts = _MARK.split(shape)
        texts, marks = list(map(re.escape, parts[::2])), parts[1::2]
        literals = [_LITERALS[mark] for mark in marks]
        self.opening = parts[0]
        self._types = [make for _, make in literals]
        patterns = [pattern for pattern, _ in literals]
        statement = "".join([a + b for a, b in zip(texts, [*patterns, ""], strict=True)])
        statement = _BETWEEN + statement
        self._statement = re.compile(statement)
        self._run = re.compile(rf"(?:{statement}){{1,{STATEMENTS_MAX}}}+")
        self._writes = re.compile(rf"(?:(?P<last>){statement}){{2,{WRITES_MAX}}}+")

    def literals(self, text: str, start: int) -> list[tuple[Any, ...]]:
        """The values of each statement from `start` on."""
        run = self._run.match(text, start)
        return [] if run is None else self._between(text, start, run.end())

    def literals_but_last(self, text: str, start: int) -> tuple[list[tuple[Any, ...]], int]:
        """The values of each statement from `start` on but the last one's, and where that one begins."""
        run = self._writes.match(text, start)
        if run is None:
            return [], start
        end = run.end("last")
        return self._between(text, start, end), end

    def _between(self, text: str, start: int, end: int) -> list[tuple[Any, ...]]:
        found = self._statement.findall(text, start, end)
        if len(self._types) == 1:
            return list(zip(map(self._types[0], found)))
        columns = zip(*found, strict=True)
        return list(zip(*map(map, self._types, columns), strict=True))

    def after(self, text: str, start: int, count: int) -> int:
        """The place after so many statements."""
        for _ in range(count):
            match = self._statement.match(text, start)
            assert match is not None
            start = match.end()
        return start


@lru_cache(maxsize=64)
def finder(shape: str) -> Shape:
    """The `Shape` of a statement that ends with its semicolon."""
    return Shape(shape)
