"""Batches of rows as text: csv, tsv, json, jsonl, INSERTs.

Speed is what decides between these files and sqlite3's: a batch is formatted by one `%` template per row, after
each column has been looked at as a whole.  What a template can't do right goes the slow way, by batch.
Blobs are written as the texts that their bytes are, others (and in sql all) as the modes of the shell write them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, TextIO

from kvsh.output.values import bytes_text, json_value

Batch = list[tuple[Any, ...]]
Writer = Callable[[Batch], object]
WriterMaker = Callable[[TextIO, Sequence[str], str], Writer]

_json_text = json.encoder.encode_basestring


def _delimited(delimiter: str) -> WriterMaker:
    """RFC 4180, but lines end with a newline alone.  NULL is an empty field."""

    def start(out: TextIO, names: Sequence[str], table: str) -> Writer:
        width = len(names)
        template = delimiter.join(["%s"] * width) + "\n"

        def carefully(rows: Batch) -> str:
            text = io.StringIO()
            csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
            return text.getvalue()

        def write(batch: Batch) -> None:
            text = "".join(map(template.__mod__, batch))
            if not _needs_care(text, delimiter, len(batch), width):
                out.write(text)
                return
            text = carefully(batch)
            if "b'" in text or 'b""' in text:  # perhaps a blob's repr
                text = carefully([tuple(map(_without_blob, row)) for row in batch])
            out.write(text)

        out.write(carefully([tuple(names)]))
        return write

    return start


def _needs_care(text: str, delimiter: str, rows: int, width: int) -> bool:
    """Whether a batch of fields put side by side may be no csv: something to quote, a NULL, a blob, an
    empty line."""
    return (
        '"' in text
        or "\r" in text
        or text.count("\n") != rows
        or text.count(delimiter) != rows * (width - 1)
        or "None" in text
        or "b'" in text
        or (width == 1 and ("\n\n" in text or text.startswith("\n")))
    )


def _without_blob(value: Any) -> Any:
    return bytes_text(value) if value.__class__ is bytes else value


# -- json ------------------------------------------------------------------------------------------------


def _json_lines(out: TextIO, names: Sequence[str], table: str) -> Writer:
    objects = _objects(names)
    return lambda batch: out.write("\n".join(objects(batch)) + "\n" if batch else "")


def _json_array(out: TextIO, names: Sequence[str], table: str) -> Writer:
    objects = _objects(names)
    between = "[\n"

    def write(batch: Batch) -> None:
        nonlocal between
        if batch:
            out.write(between + ",\n".join(objects(batch)))
            between = ",\n"

    return write


def _objects(names: Sequence[str]) -> Callable[[Batch], list[str]]:
    """Rows as JSON objects."""
    keys = [_json_text(name).replace("%", "%%") for name in names]
    template = "{" + ",".join([f"{key}:%s" for key in keys]) + "}"
    return lambda batch: _filled(template, batch, len(names), _json_column)


def _json_column(column: list[Any]) -> Sequence[Any]:
    kinds = set(map(type, column))
    if kinds == {int}:
        return column
    if kinds == {str}:
        return list(map(_json_text, column))
    if kinds == {float}:
        texts = list(map(repr, column))
        return texts if "inf" not in "".join(texts) else list(map(_json_value, column))
    if kinds == {type(None)}:
        return ["null"] * len(column)
    return list(map(_json_value, column))


def _json_value(value: Any) -> str:
    return json_value(value, _json_text)


# -- sql -------------------------------------------------------------------------------------------------


def _inserts(out: TextIO, names: Sequence[str], table: str) -> Writer:
    from sql import literals, quoted

    start = f"INSERT INTO {quoted(table)} VALUES(".replace("%", "%%")
    template = start + ",".join(["%s"] * len(names)) + ");\n"
    return lambda batch: out.write("".join(_filled(template, batch, len(names), literals)))


def _filled(
    template: str, batch: Batch, width: int, rendered: Callable[[list[Any]], Sequence[Any]]
) -> list[str]:
    """The template filled with each row, its columns rendered before."""
    columns = [rendered(list(map(itemgetter(place), batch))) for place in range(width)]
    return list(map(template.__mod__, zip(*columns, strict=True)))


WRITERS: dict[str, WriterMaker] = {
    "csv": _delimited(","),
    "json": _json_array,
    "jsonl": _json_lines,
    "sql": _inserts,
    "tsv": _delimited("\t"),
}
