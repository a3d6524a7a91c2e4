"""Output modes that write each row by itself: list, csv, tsv, json, jsonl, insert, quote, line, html."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from kvsh.output.values import json_value, literal, name_literal, plain

Row = tuple[Any, ...]
Batches = Iterable[list[Row]]
Write = Callable[[str], None]

_AS_TEXT = frozenset((str, int))


class Style:
    """What a mode may be told: NULL's text, headers, separator, the table's name for insert."""

    __slots__ = ("headers", "null", "separator", "table", "widths")

    def __init__(
        self,
        *,
        null: str = "",
        headers: bool = True,
        separator: str | None = None,
        table: str = "t",
        widths: Sequence[int] = (),
    ) -> None:
        self.null = null
        self.headers = headers
        self.separator = separator
        self.table = table
        self.widths = tuple(widths)


def _texts(batch: list[Row], null: str) -> Iterable[Iterable[str]]:
    """The batch's values as text."""
    kinds = set(map(type, chain.from_iterable(batch)))
    if kinds <= {str}:
        return batch
    if kinds <= _AS_TEXT:
        return [map(str, row) for row in batch]
    return [[plain(value, null) for value in row] for row in batch]


def write_list(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    separator = style.separator if style.separator is not None else "|"
    if style.headers:
        write(separator.join(names) + "\n")
    for batch in batches:
        write("\n".join(map(separator.join, _texts(batch, style.null))) + "\n")


def write_csv(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    separator = style.separator if style.separator is not None else ","
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator[:1] or ",", lineterminator="\n")
    if style.headers:
        writer.writerow(names)
    for batch in batches:
        kinds = set(map(type, chain.from_iterable(batch)))
        if float in kinds or bytes in kinds or (style.null and type(None) in kinds):
            writer.writerows(_texts(batch, style.null))
        else:
            writer.writerows(batch)
        write(buffer.getvalue())
        buffer.seek(0)
        buffer.truncate()
    if buffer.tell():
        write(buffer.getvalue())


def write_tsv(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """Tab-separated; tabs, newlines and backslashes in values are escaped."""

    def escaped(text: str) -> str:
        if "\\" in text or "\t" in text or "\n" in text or "\r" in text:
            text = text.replace("\\", "\\\\").replace("\t", "\\t")
            text = text.replace("\n", "\\n").replace("\r", "\\r")
        return text

    if style.headers:
        write("\t".join(map(escaped, names)) + "\n")
    for batch in batches:
        lines = ["\t".join(map(escaped, row)) for row in _texts(batch, style.null)]
        write("\n".join(lines) + "\n")


def write_json(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """One array of objects, a row a line."""
    before = "["
    for batch in batches:
        rows = _objects(names, batch)
        write(before + ",\n".join(rows))
        before = ",\n"
    write("[]\n" if before == "[" else "]\n")


def write_jsonl(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """One object a line."""
    for batch in batches:
        write("\n".join(_objects(names, batch)) + "\n")


def _objects(names: Sequence[str], batch: list[Row]) -> list[str]:
    kinds = set(map(type, chain.from_iterable(batch)))
    dumps = _ENCODER.encode
    if bytes in kinds or float in kinds:
        return [dumps(dict(zip(names, map(json_value, row), strict=True))) for row in batch]
    return [dumps(dict(zip(names, row, strict=True))) for row in batch]


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def write_insert(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    table = name_literal(style.table)
    columns = f"({','.join(map(name_literal, names))})" if style.headers else ""
    for batch in batches:
        lines = [
            f"INSERT INTO {table}{columns} VALUES({','.join(map(literal, row))});" for row in batch
        ]
        write("\n".join(lines) + "\n")


def write_quote(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    separator = style.separator if style.separator is not None else ","
    if style.headers:
        write(separator.join(literal(name) for name in names) + "\n")
    for batch in batches:
        write("\n".join(separator.join(map(literal, row)) for row in batch) + "\n")


def write_lines(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """`name = value`, a line a column, an empty line between rows."""
    width = max(map(len, names), default=0)
    first = True
    for batch in batches:
        parts = []
        for row in batch:
            if not first:
                parts.append("")
            first = False
            for name, value in zip(names, row, strict=True):
                parts.append(f"{name.rjust(width)} = {plain(value, style.null)}")
        write("\n".join(parts) + "\n")


def write_html(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    write("<table>\n")
    if style.headers:
        cells = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        write(f"<tr>{cells}</tr>\n")
    for batch in batches:
        lines = []
        for row in _texts(batch, style.null):
            cells = "".join(f"<td>{html.escape(text)}</td>" for text in row)
            lines.append(f"<tr>{cells}</tr>\n")
        write("".join(lines))
    write("</table>\n")
