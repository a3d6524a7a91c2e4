"""Batches of rows as text: csv, tsv, json, jsonl, INSERTs.

Speed is what decides between these files and sqlite3's: csv and tsv are written as the shell's modes are
(`kvsh.output.plain`), but that REALs keep all of their digits; the others by one `%` template per row, after
each column has been looked at as a whole.
Blobs are written as the texts that their bytes are, others (and in sql all) as the modes of the shell write them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, TextIO

from btree import Kind
from kvsh.output.objects import object_lines
from kvsh.output.plain import csv_column
from kvsh.output.values import (
    bare_lines,
    columns_of,
    exact_real_column,
    plain,
    plain_column,
)

Batch = list[tuple[Any, ...]]
Writer = Callable[[Batch], object]
WriterMaker = Callable[[TextIO, Sequence[str], str], Writer]

_ANY = int(Kind.NULL | Kind.INTEGER | Kind.REAL | Kind.TEXT | Kind.BLOB)


def _delimited(delimiter: str) -> WriterMaker:
    """RFC 4180, but lines end with a newline alone.  NULL is an empty field, an empty text has its quotes."""

    def start(out: TextIO, names: Sequence[str], table: str) -> Writer:
        # An empty line is no row: a single empty field has its quotes.
        null = '""' if len(names) == 1 else ""

        def fields(column: Sequence[Any]) -> Sequence[str]:
            return csv_column(column, null, delimiter, texts_of=_texts)

        def write(batch: Batch) -> None:
            text = bare_lines(batch, delimiter, null, _ANY, empty='""', reals=exact_real_column)
            if text is None:
                rows = map(delimiter.join, zip(*map(fields, columns_of(batch)), strict=True))
                text = "\n".join(rows) + "\n"
            out.write(text)

        out.write(delimiter.join(fields(names)) + "\n")
        return write

    return start


def _texts(column: Sequence[Any], null: str) -> Iterable[str]:
    """The values as texts that lose nothing."""
    kinds = set(map(type, column))
    if kinds == {float}:
        return exact_real_column(column)
    if float not in kinds:
        return plain_column(column, null)
    return [repr(value) if value.__class__ is float else plain(value) for value in column]


# -- json ------------------------------------------------------------------------------------------------


def _json_lines(out: TextIO, names: Sequence[str], table: str) -> Writer:
    objects = object_lines(names)
    return lambda batch: out.write(objects(batch) + "\n" if batch else "")


def _json_array(out: TextIO, names: Sequence[str], table: str) -> Writer:
    objects = object_lines(names)
    between = "[\n"

    def write(batch: Batch) -> None:
        nonlocal between
        if batch:
            out.write(between + objects(batch).replace("\n", ",\n"))
            between = ",\n"

    return write


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
