"""A table or a query written to a file: csv, tsv, json, jsonl, sql, and tables of Markdown and HTML.

The file appears only when it is complete: it is written beside its place and renamed.  Rows are
written a batch at a time, as they come from the query.
"""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from btree import CollectorPaused, ReadOnlyError
from kvsh.output import Style, write_rows
from kvsh.transfer.formats import (
    FORMATS,
    TransferError,
    checked_format,
    refuse_unwritten,
    unzipped,
)
from kvsh.transfer.progress import Progress
from kvsh.transfer.writers import WRITERS
from sql import SqlError

if TYPE_CHECKING:
    from sql import Parameters, Result, Session

_QUERY = re.compile(
    r"(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/|\()*(SELECT|WITH|VALUES|PRAGMA|EXPLAIN)\b",
    re.IGNORECASE,
)
_BUFFER_BYTES = 1 << 18
_NAME_BYTES_MAX = 255


def export_file(
    session: Session,
    path: str | TextIO,
    source: str | None = None,
    *,
    format: str | None = None,
    parameters: Parameters = (),
    progress: TextIO | None = None,
) -> int:
    """Write `source` (a table's or view's name, or a query with its `parameters`; None: the database, as SQL) to `path`.

    `path`: a file, "-" for standard output, or a text stream.  The INSERTs of a query's rows name a table "t".
    Returns the number of rows (for a whole database: of statements)."""
    kind = _kind_of(format, path if isinstance(path, str) else "", source)
    if source is None and kind != "sql":
        raise TransferError(f"say which table or query to write as {kind}")
    bar = Progress(progress, "writing")
    try:
        if source is None:
            return _write_database(session, path, bar)
        is_query = _QUERY.match(source) is not None and not _is_name(session, source)
        with only_reading(session):
            result = session.execute(source, parameters) if is_query else _table(session, source)
        try:
            if result.columns is None:
                raise TransferError("the statement gives no rows to write")
            name = "t" if is_query else session.schema.parted(source)[1]
            head = "" if is_query or kind != "sql" else _definition(session, source)
            with _target(path) as out:
                return _write(result, out, kind, name, head, bar)
        finally:
            result.close()
    finally:
        bar.finish()


_DRAWN = {"md": "markdown", "markdown": "markdown", "html": "html"}
"""Formats that are output modes of the shell."""


def _kind_of(format: str | None, path: str, source: str | None) -> str:
    if format is None:
        refuse_unwritten(path)
    ending = os.path.splitext(unzipped(path))[1].lower().removeprefix(".")
    drawn = _DRAWN.get(format or ending)
    if drawn is not None:
        return drawn
    if source is None and format is None and ending not in FORMATS:
        return "sql"
    return checked_format(format, path)


@contextmanager
def only_reading(session: Session) -> Iterator[None]:
    """Refuse what would change the database, such as a DELETE behind a WITH."""
    before, session.query_only = session.query_only, True
    try:
        yield
    except ReadOnlyError as error:
        if before:
            raise
        raise TransferError(
            "a table or a query is wanted: this would change the database"
        ) from error
    finally:
        session.query_only = before


def _is_name(session: Session, name: str) -> bool:
    schema = session.schema
    database, bare = schema.parted(name)
    return bool(schema.find_table(bare, database) or schema.find_view(bare, database))


def _table(session: Session, name: str) -> Result:
    """All of a table or view; a place that an error names is one in the name."""
    before = "SELECT * FROM "
    try:
        return session.execute(before + session.schema.spelled(name))
    except SqlError as error:
        if error.offset is not None:
            error.offset -= len(before)
        raise


def _definition(session: Session, name: str) -> str:
    database, bare = session.schema.parted(name)
    table = session.schema.find_table(bare, database)
    return "" if table is None else f"{table.sql};\n"


def _write_database(session: Session, path: str | TextIO, bar: Progress) -> int:
    from kvsh.transfer.dumping import pieces

    count = 0
    with _target(path) as out, CollectorPaused():
        for piece in pieces(session):
            out.write("\n".join(piece) + "\n")
            count += len(piece)
            bar.update(count)
    return count


def _write(result: Result, out: TextIO, kind: str, name: str, head: str, bar: Progress) -> int:
    assert result.columns is not None
    names = [column.name for column in result.columns]
    count = 0

    def batches() -> Iterator[list[tuple[Any, ...]]]:
        nonlocal count
        for batch in result.batches():
            yield batch
            count += len(batch)
            bar.update(count)

    with CollectorPaused():
        if kind not in WRITERS:
            write_rows(out.write, kind, names, batches(), Style())
            return count
        write = WRITERS[kind](out, names, name)
        out.write(head)
        for batch in batches():
            write(batch)
    if kind == "json":
        out.write("\n]\n" if count else "[]\n")
    return count


@contextmanager
def _named(path: str, *others: str) -> Iterator[None]:
    """What the system says of an open file, with its name; `others` are what it is called until it is complete."""
    try:
        yield
    except OSError as error:
        name = path if error.filename in (None, *others) else error.filename
        raise OSError(error.errno, error.strerror, name) from error


def _beside(path: str) -> str:
    """A name for what is to become `path`; of a long name it has the beginning, since names are bounded."""
    directory, name = os.path.split(path)
    end = f".{os.getpid()}.part"
    return os.path.join(
        directory, os.fsdecode(os.fsencode(name)[: _NAME_BYTES_MAX - len(end)]) + end
    )


def _opened(path: str, *, is_packed: bool) -> TextIO:
    """A new file to write text to, packed by gzip or as it is."""
    if not is_packed:
        return open(path, "w", encoding="utf-8", newline="", buffering=_BUFFER_BYTES)
    import gzip

    packed = gzip.open(path, "wb", compresslevel=6)  # noqa: SIM115 - closed with the text
    return io.TextIOWrapper(packed, encoding="utf-8", newline="")


@contextmanager
def _target(path: str | TextIO) -> Iterator[TextIO]:
    """The stream to write to.  A file takes its place when it is complete."""
    if not isinstance(path, str):
        yield path
        path.flush()
        return
    if path == "-":
        yield sys.stdout
        sys.stdout.flush()
        return
    if os.path.isdir(path):
        raise TransferError(f"{path} is a directory")
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe, a device: no renaming
        with _named(path), open(path, "w", encoding="utf-8", newline="") as out:
            yield out
        return
    named, path = path, os.path.realpath(path)  # a symbolic link stays one
    beside = _beside(path)
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise TransferError(f"no such directory: {os.path.dirname(path)}")
    try:
        with _named(named, beside, path):
            with _opened(beside, is_packed=unzipped(path) != path) as out:
                yield out
            with suppress(FileNotFoundError):
                os.chmod(beside, stat.S_IMODE(os.stat(path).st_mode))
            os.replace(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.unlink(beside)
        raise
