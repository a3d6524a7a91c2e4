"""The rows of csv and tsv text in chunks, each with the line that it begins at.

Text without quotes is taken by blocks of some thousand rows: decoded in one call where that is possible, else
split straight into columns, where each line end has become a field of its own, which tells whether all rows
have one width.  From the first
quote on, the csv module reads; what is added to it is the account of lines, and of rows that are no
rows: a quote that is never closed, text after a closing quote.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, TextIO

from kvsh.transfer.formats import LINE_MAX, Endless

ROWS_PER_CHUNK = 4096
BLOCK_CHARACTERS = 1 << 18
_LINE_END = re.compile(r"\r\n|\r|\n")

Rejected = Callable[[int, str], None]
Decode = Callable[[str], list[tuple[Any, ...]] | None]


class Chunk:
    """Some rows; or, of rows that have one width and are one line each, the columns or the `values`.

    `line_of(i)` is the line (from 1) that row `i` begins at."""

    __slots__ = ("_first", "_last", "_lines", "columns", "rows", "values")

    def __init__(
        self,
        first_line: int,
        last_line: int,
        *,
        rows: list[list[str]] | None = None,
        columns: list[list[str]] | None = None,
        values: list[tuple[Any, ...]] | None = None,
    ) -> None:
        self.rows = rows or []
        self.columns = columns
        self.values = values
        self._first = first_line
        self._last = last_line
        self._lines: list[int] | None = None

    def line_of(self, place: int) -> int:
        if self.rows == [] or self._last - self._first + 1 == len(self.rows):
            return self._first + place
        if self._lines is None:
            line = self._first
            self._lines = []
            for row in self.rows:
                self._lines.append(line)
                line += 1 + sum([len(_LINE_END.findall(field)) for field in row])
        return self._lines[place]

    def without_first(self) -> Chunk:
        """The columns or values without their first row."""
        if self.values is not None:
            return Chunk(self._first + 1, self._last, values=self.values[1:])
        assert self.columns is not None
        columns = [column[1:] for column in self.columns]
        return Chunk(self._first + 1, self._last, columns=columns)


def chunks(
    text: TextIO,
    delimiter: str,
    width: int,
    rejected: Rejected,
    decode: Decode | None = None,
    line: int = 1,
) -> Iterator[Chunk]:
    """The rows of `text`, empty ones included.  `width`: of rows to give as columns, 0 for none;
    `decode` gives the values of a block of lines without quotes, or None; `line`: the first one's number.  Raises
    Endless."""
    carry = ""
    while block := text.read(BLOCK_CHARACTERS):
        block = carry + block
        end = block.rfind("\n") + 1
        if '"' in block or width < 2 or not end:
            carry = block
            break
        carry = block[end:]
        block = block[:end].replace("\r\n", "\n")
        if not block:
            continue
        rows = block.count("\n")
        values = columns = None
        if "\r" not in block:
            values = None if decode is None else decode(block)
            if values is None:
                columns = _columns(block, delimiter, width, rows)
        if values is None and columns is None:
            yield from _by_csv(io.StringIO(block, newline=""), delimiter, line, rejected)
        else:
            yield Chunk(line, line + rows - 1, columns=columns, values=values)
        line += rows
    if carry:
        rest = text.readline(LINE_MAX)
        if len(rest) == LINE_MAX:
            raise Endless(line + carry.count("\n"), "the line")
        begun = io.StringIO(carry + rest, newline="")
        lines = chain(begun, iter(partial(text.readline, LINE_MAX), ""))
        yield from _by_csv(lines, delimiter, line, rejected)


def _columns(block: str, delimiter: str, width: int, rows: int) -> list[list[str]] | None:
    """The columns of `block`, if all its lines have `width` fields."""
    fields = block[:-1].replace("\n", f"{delimiter}\n{delimiter}").split(delimiter)
    step = width + 1
    if len(fields) != rows * step - 1 or fields[width::step].count("\n") != rows - 1:
        return None
    return [fields[place::step] for place in range(width)]


def _by_csv(
    lines: Iterable[str], delimiter: str, first_line: int, rejected: Rejected
) -> Iterator[Chunk]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    limit = csv.field_size_limit(LINE_MAX - 1)
    try:
        while True:
            first = first_line + reader.line_num
            rows: list[list[str]] = []
            failure = ""
            try:
                rows.extend(islice(reader, ROWS_PER_CHUNK))
            except csv.Error as error:
                failure = str(error)
            if not rows and not failure:
                return
            chunk = Chunk(first, first_line - 1 + reader.line_num - bool(failure), rows=rows)
            if rows:
                yield chunk
            if failure:
                after = _line_after(chunk) if rows else first
                if "field larger than field limit" in failure:
                    raise Endless(after, "a field")
                rejected(after, _sentence(failure, delimiter))
    finally:
        csv.field_size_limit(limit)


def _line_after(chunk: Chunk) -> int:
    last = len(chunk.rows) - 1
    breaks = sum([len(_LINE_END.findall(field)) for field in chunk.rows[last]])
    return chunk.line_of(last) + 1 + breaks


def _sentence(failure: str, delimiter: str) -> str:
    if "unexpected end of data" in failure:
        return "a quote is opened and never closed"
    if "expected after" in failure:
        return f"text between a closing quote and the next {delimiter!r}"
    return failure
