"""csv and tsv files into a table.

The types of a new table's columns are those of the first chunk.  A later field that does not fit, such
as the first word in a column of numbers, ends that attempt: the whole file is looked at, and loaded again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from kvsh.transfer.fields import Chunk, chunks
from kvsh.transfer.formats import TransferError
from kvsh.transfer.load import column_names
from kvsh.transfer.values import (
    BLOB,
    NUMERIC,
    TEXT,
    Misfit,
    converted,
    kind_of,
    kinds_of,
    row_decoder,
    wider,
    with_nulls,
)

if TYPE_CHECKING:
    from kvsh.transfer.load import Loading

_DELIMITERS = ",;\t|"
_ATTEMPT = "kvsh import attempt"
_LOOKED_AT = 64
_HEADER_MAX = 1 << 20


def guessed_delimiter(first_line: str) -> str:
    """The delimiter by a file's first line: a comma if there is one, else what is most frequent."""
    if "," in first_line:
        return ","
    best = max(_DELIMITERS, key=first_line.count)
    return best if best in first_line else ","


class Layout:
    """What the file's fields are: columns' names and types, and whether a first row names them.

    `sample`: rows that tell what fields of NUMERIC columns, such as dates and prices, are likely to be."""

    def __init__(
        self,
        delimiter: str,
        columns: list[tuple[str, str]],
        sample: list[list[str]],
        *,
        header: bool,
        null: str | None = None,
    ) -> None:
        self.delimiter = delimiter
        self.names = [name for name, _ in columns]
        self.kinds = [kind for _, kind in columns]
        self.header = header
        self.null = null
        self._sample = sample[header : header + _LOOKED_AT]

    def forms(self) -> list[str]:
        """The forms of the columns' fields, for `row_decoder`."""
        likely = _kinds(self._sample, len(self.names), self.null)
        return [
            BLOB if (kind, form) == (NUMERIC, TEXT) else kind
            for kind, form in zip(self.kinds, likely, strict=True)
        ]


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
    layout = _new_layout(sample, delimiter, header, loading.null)
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
        for chunk in chunks(text, delimiter, 0, lambda line, why: None):
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
        named = [by_name[name] for name in first]
        return Layout(delimiter, named, sample, header=True, null=loading.null)
    unknown = [name for name in first if name not in by_name]
    if header and unknown and len(first) != len(existing):
        raise TransferError(f"table {loading.outcome.table} has no column named {unknown[0]}")
    return Layout(delimiter, existing, sample, header=header, null=loading.null)


def _new_layout(
    sample: list[list[str]], delimiter: str, header: bool | None, null: str | None
) -> Layout:
    """Names and types of a new table's columns."""
    first = sample[0]
    if header is None:  # a first row of nothing but numbers is data
        header = not all(kind_of(field.strip()) not in (TEXT, "") for field in first)
    names = column_names(first if header else [""] * len(first))
    kinds = _kinds(sample[header:], len(first), null)
    return Layout(
        delimiter,
        [(name, kind or TEXT) for name, kind in zip(names, kinds, strict=True)],
        sample,
        header=header,
        null=null,
    )


def _kinds(rows: Sequence[Sequence[str]], width: int, null: str | None) -> list[str]:
    whole = [row for row in rows if 0 < len(row) <= width]
    columns = zip_longest(*whole, [""] * width, fillvalue="")
    return [kinds_of(fields, null) for fields in columns]


def _all_kinds(loading: Loading, layout: Layout) -> list[str]:
    """The columns' types by all rows of the file."""
    width = len(layout.names)
    kinds = [""] * width
    with loading.source.text() as text:
        skip = layout.header
        for chunk in chunks(text, layout.delimiter, width, lambda line, why: None):
            if chunk.columns is not None:
                found = [kinds_of(column[skip:], layout.null) for column in chunk.columns]
            else:
                found = _kinds(chunk.rows[skip:], width, layout.null)
            skip = False
            kinds = [wider(known, more) for known, more in zip(kinds, found, strict=True)]
            loading.check(text)
    return [kind or TEXT for kind in kinds]


def _load(loading: Loading, layout: Layout, *, exact: bool) -> None:
    width = len(layout.names)
    statement = loading.insert_statement(layout.names)
    header = layout.header
    first_line = 1 + loading.source.skip
    is_behind = header and _header_is_a_line(loading)
    with loading.source.text() as text:
        if is_behind:
            text.readline()
            header, first_line = False, first_line + 1
        decode = None  # whole rows at once are read where no text stands for NULL
        if layout.null is None:
            decode = row_decoder(layout.forms(), layout.delimiter, exact=exact)
        for chunk in chunks(text, layout.delimiter, width, loading.reject, decode, first_line):
            line_of: Callable[[int], int] = chunk.line_of
            has_fillers = False
            if chunk.values is not None:
                if header:
                    header = False
                    chunk = chunk.without_first()
                loading.insert(statement, chunk.values or [], chunk.line_of)
                loading.check(text)
                continue
            if chunk.columns is None:
                rows = chunk.rows
                if header or set(map(len, rows)) != {width}:
                    places = _whole_rows(loading, chunk, width, skips_first=header)
                    header = header and not any(rows)
                    rows = [chunk.rows[place] for place in places]
                    has_fillers = any(map(width.__ne__, map(len, rows)))
                    if has_fillers:
                        rows = [row + _FILLERS * (width - len(row)) for row in rows]
                    line_of = _lines_at(chunk, places)
                columns = [list(map(itemgetter(place), rows)) for place in range(width)]
            else:
                if header:
                    header = False
                    chunk = chunk.without_first()
                    line_of = chunk.line_of
                columns = chunk.columns or []
            if not columns[0]:
                continue
            values = [
                _values(fields, kind, layout.null, exact=exact, has_fillers=has_fillers)
                for fields, kind in zip(columns, layout.kinds, strict=True)
            ]
            loading.insert(statement, list(zip(*values, strict=True)), line_of)
            loading.check(text)


_FILLERS: list[Any] = [None]
"""What stands for a field that a row does not have."""


def _values(
    fields: Sequence[str], kind: str, null: str | None, *, exact: bool, has_fillers: bool
) -> Sequence[object]:
    def present(others: Sequence[str]) -> Sequence[object]:
        if null is None:
            return converted(others, kind, exact=exact)
        return with_nulls(others, null, lambda some: converted(some, kind, exact=exact))

    return with_nulls(fields, None, present) if has_fillers else present(fields)


def _header_is_a_line(loading: Loading) -> bool:
    """Whether the first line is all of the header: it may begin behind empty lines, or have quotes."""
    with loading.source.text() as text:
        line = text.readline(_HEADER_MAX)
    return line.endswith("\n") and '"' not in line and bool(line.strip())


def _whole_rows(loading: Loading, chunk: Chunk, width: int, *, skips_first: bool) -> list[int]:
    """The places of the rows with no more fields than there are columns; the others are rejected, but for empty lines
    and the header."""
    places: list[int] = []
    for place, row in enumerate(chunk.rows):
        if not row:
            continue
        if skips_first:
            skips_first = False
        elif len(row) == width:
            places.append(place)
        else:
            is_short = len(row) < width
            fields = f"{len(row)} field{'' if len(row) == 1 else 's'}"
            why = f"{fields}, expected {width}"
            if any(field[:1] == " " and field.lstrip(" ")[:1] == '"' for field in row):
                why += ": a quote behind a blank is a part of the field"
            (loading.fill if is_short else loading.reject)(chunk.line_of(place), why)
            if is_short:
                places.append(place)
    return places


def _lines_at(chunk: Chunk, places: list[int]) -> Callable[[int], int]:
    return lambda place: chunk.line_of(places[place])
