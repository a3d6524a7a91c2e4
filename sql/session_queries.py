"""Runs of queries that differ in nothing but their literals, read by one regular expression per shape.

    SELECT name FROM t WHERE id = 17;
    SELECT name FROM t WHERE id = 4;

are the plan of their shape (see `sql.parse.shape`) run once for each literal.  Reading such a statement by
itself, finding its end and its shape, takes 6 us, and 0.3 as one of many: the pattern for the shape finds
where the run ends, and then all literals in one call.
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

_MARK = re.compile(r"\?(/\*[tr]\*/)?")  # a lifted literal, with its type

# By the mark: a literal of that type in its simplest form, and what makes it a value.
_LITERALS: dict[str | None, tuple[str, Callable[[str], Any]]] = {
    None: (r"([0-9]{1,18}+)", int),
    "/*t*/": (r"'([^']*+)'", str),
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
        self._statement = re.compile(rf"\s*+{statement}")
        self._run = re.compile(rf"(?:\s*+{statement}){{1,{STATEMENTS_MAX}}}+")

    def literals(self, text: str, start: int) -> list[tuple[Any, ...]]:
        """The values of each statement from `start` on."""
        run = self._run.match(text, start)
        if run is None:
            return []
        found = self._statement.findall(text, start, run.end())
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
