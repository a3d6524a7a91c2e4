"""csv and tsv files: their rows in chunks, each with the line that it begins at, into a table.

The csv module reads; what is added here is the account of lines, and of rows that are no rows: a quote
that is never closed, text after a closing quote, fields too few or too many.

The types of a new table's columns are those of the first chunk.  A later field that does not fit, such
as the first word in a column of numbers, ends that attempt: the whole file is looked at, and loaded again.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TextIO

from kvsh.transfer.formats import TransferError
from kvsh.transfer.load import column_names
from kvsh.transfer.values import TEXT, Misfit, converted, kind_of, kinds_of, wider

if TYPE_CHECKING:
    from kvsh.transfer.load import Loading

ROWS_PER_CHUNK = 4096
_LINE_END = re.compile(r"\r\n|\r|\n")
_DELIMITERS = ",;\t|"
FIELD_CHARACTERS_MAX = 1 << 30

_ATTEMPT = "kvsh import attempt"

Rejected = Callable[[int, str], None]


class Chunk:
    """Some rows; `line_of(i)` is the line (from 1) that row `i` begins at."""

    __slots__ = ("_first", "_last", "_lines", "rows")

    def __init__(self, rows: list[Any], first_line: int, last_line: int) -> None:
        self.rows = rows
        self._first = first_line
        self._last = last_line
        self._lines: list[int] | None = None

    def line_of(self, place: int) -> int:
        if self._last - self._first + 1 == len(self.rows):
            return self._first + place
        if self._lines is None:
            line = self._first
            self._lines = []
            for row in self.rows:
                self._lines.append(line)
                line += 1 + sum([len(_LINE_END.findall(field)) for field in row])
        return self._lines[place]


def guessed_delimiter(first_line: str) -> str:
    """The delimiter by a file's first line: a comma if there is one, else what is most frequent."""
    if "," in first_line:
        return ","
    best = max(_DELIMITERS, key=first_line.count)
    return best if best in first_line else ","


def chunks(text: TextIO, delimiter: str, rejected: Rejected) -> Iterator[Chunk]:
    """The rows of `text`, empty ones included, at most ROWS_PER_CHUNK at a time."""
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    limit = csv.field_size_limit(FIELD_CHARACTERS_MAX)
    try:
        while True:
            first = reader.line_num + 1
            rows: list[list[str]] = []
            failure = ""
            try:
                rows.extend(islice(reader, ROWS_PER_CHUNK))
            except csv.Error as error:
                failure = str(error)
            if not rows and not failure:
                return
            chunk = Chunk(rows, first, reader.line_num - bool(failure))
            if rows:
                yield chunk
            if failure:
                after = _line_after(chunk) if rows else first
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


class Layout:
    """What the file's fields are: columns' names and types, and whether a first row names them."""

    def __init__(self, delimiter: str, columns: list[tuple[str, str]], *, header: bool) -> None:
        self.delimiter = delimiter
        self.names = [name for name, _ in columns]
        self.kinds = [kind for _, kind in columns]
        self.header = header


def load_delimited(loading: Loading, delimiter: str | None, header: bool | None) -> None:
    """Load a csv or tsv file; `delimiter` and `header` None: found out."""
    if delimiter is None:
        with loading.source.text() as text:
            delimiter = guessed_delimiter(text.readline(1 << 20))
    sample = _sample(loading, delimiter)
    existing = loading.existing_columns()
    if not sample:
        if existing is None:
            raise TransferError(f"{loading.source.name} is empty")
        return
    if existing is not None:
        _load(loading, _layout_of(loading, sample, existing, delimiter, header), exact=False)
        return
    layout = _new_layout(sample, delimiter, header)
    session = loading.session
    session.savepoint(_ATTEMPT)
    loading.create(list(zip(layout.names, layout.kinds, strict=True)))
    try:
        _load(loading, layout, exact=True)
    except Misfit:
        session.rollback_to(_ATTEMPT)
        loading.start_over()
        layout.kinds = _all_kinds(loading, layout)
        loading.create(list(zip(layout.names, layout.kinds, strict=True)))
        _load(loading, layout, exact=True)
    session.release(_ATTEMPT)


def _sample(loading: Loading, delimiter: str) -> list[list[str]]:
    """The rows of the first chunk that has any."""
    with loading.source.text() as text:
        for chunk in chunks(text, delimiter, lambda line, why: None):
            rows = [row for row in chunk.rows if row]
            if rows:
                return rows
    return []


def _layout_of(
    loading: Loading,
    sample: list[list[str]],
    existing: list[tuple[str, str]],
    delimiter: str,
    header: bool | None,
) -> Layout:
    """How the file's fields go into the columns of a table that is there."""
    first = [field.strip().lower() for field in sample[0]]
    by_name = {name.lower(): (name, kind) for name, kind in existing}
    are_names = len(set(first)) == len(first) and set(first) <= set(by_name)
    if header is None:
        header = are_names
    if header and are_names:
        return Layout(delimiter, [by_name[name] for name in first], header=True)
    unknown = [name for name in first if name not in by_name]
    if header and unknown and len(first) != len(existing):
        raise TransferError(f"table {loading.outcome.table} has no column named {unknown[0]}")
    return Layout(delimiter, existing, header=header)


def _new_layout(sample: list[list[str]], delimiter: str, header: bool | None) -> Layout:
    """Names and types of a new table's columns."""
    first = sample[0]
    if header is None:  # a first row of nothing but numbers is data
        header = not all(kind_of(field.strip()) not in (TEXT, "") for field in first)
    names = column_names(first if header else [""] * len(first))
    kinds = _kinds(sample[header:], len(first))
    return Layout(
        delimiter,
        [(name, kind or TEXT) for name, kind in zip(names, kinds, strict=True)],
        header=header,
    )


def _kinds(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    whole = [row for row in rows if len(row) == width]
    return [kinds_of(fields) for fields in zip(*whole, strict=True)] if whole else [""] * width


def _all_kinds(loading: Loading, layout: Layout) -> list[str]:
    """The columns' types by all rows of the file."""
    width = len(layout.names)
    kinds = [""] * width
    with loading.source.text() as text:
        skip = layout.header
        for chunk in chunks(text, layout.delimiter, lambda line, why: None):
            found = _kinds(chunk.rows[skip:], width)
            skip = False
            kinds = [wider(known, more) for known, more in zip(kinds, found, strict=True)]
            loading.check(text)
    return [kind or TEXT for kind in kinds]


def _load(loading: Loading, layout: Layout, *, exact: bool) -> None:
    width = len(layout.names)
    statement = loading.insert_statement(layout.names)
    needs_conversion = any(kind != TEXT for kind in layout.kinds)
    header = layout.header
    with loading.source.text() as text:
        for chunk in chunks(text, layout.delimiter, loading.reject):
            rows = chunk.rows
            line_of: Callable[[int], int] = chunk.line_of
            if header or set(map(len, rows)) != {width}:
                places = _whole_rows(loading, chunk, width, skips_first=header)
                header = header and not any(rows)
                rows = [chunk.rows[place] for place in places]
                line_of = _lines_at(chunk, places)
            if not rows:
                continue
            if needs_conversion:
                columns = [
                    converted(list(map(itemgetter(place), rows)), kind, exact=exact)
                    for place, kind in enumerate(layout.kinds)
                ]
                loading.insert(statement, list(zip(*columns, strict=True)), line_of)
            else:
                loading.insert(statement, list(map(tuple, rows)), line_of)
            loading.check(text)


def _whole_rows(loading: Loading, chunk: Chunk, width: int, *, skips_first: bool) -> list[int]:
    """The places of the rows with as many fields as there are columns; the others are rejected, but
    for empty lines and the header."""
    places: list[int] = []
    for place, row in enumerate(chunk.rows):
        if not row:
            continue
        if skips_first:
            skips_first = False
        elif len(row) == width:
            places.append(place)
        else:
            fields = f"{len(row)} field{'' if len(row) == 1 else 's'}"
            loading.reject(chunk.line_of(place), f"{fields}, expected {width}")
    return places


def _lines_at(chunk: Chunk, places: list[int]) -> Callable[[int], int]:
    return lambda place: chunk.line_of(places[place])
