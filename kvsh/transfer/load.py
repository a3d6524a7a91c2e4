"""Loading a file into the database in one transaction: all rows or, with `strict`, none.

Rows go in by chunks of one INSERT each, which the session loads in bulk.  A chunk that breaks a constraint
is undone and its rows are tried one by one, so that the bad ones can be named by their lines.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from btree import CollectorPaused
from kvsh.transfer.formats import KVSH_HEAD, SQLITE_HEAD, Endless, TransferError, checked_format
from kvsh.transfer.progress import Progress
from kvsh.transfer.source import Source
from kvsh.transfer.sqlite_files import begins, load_sqlite
from sql import ConstraintError, quoted

if TYPE_CHECKING:
    from sql import Session

REPORTED_MAX = 20
"""Rejected rows that are named one by one; beyond, they are only counted."""

_SAVEPOINT = "kvsh import"
_CHUNK = "kvsh import chunk"


class ImportOutcome:
    """What was loaded: `rows` into `table` (None for a script), of which `filled` ended in NULLs since they had too few
    fields; `rejected` were not."""

    __slots__ = ("created", "filled", "rejected", "rows", "seconds", "table")

    def __init__(self, table: str | None) -> None:
        self.table = table
        self.rows = 0
        self.rejected = 0
        self.filled = 0
        self.created = False
        self.seconds = 0.0

    def __str__(self) -> str:
        rows = f"{self.rows:,} row{'' if self.rows == 1 else 's'}"
        if self.table is not None:
            rows += f" into {self.table}" + (" (made)" if self.created else "")
        rejected = f", {self.rejected:,} rejected" if self.rejected else ""
        return f"{rows}{rejected}, {self.seconds:.2f} s"


def import_file(
    session: Session,
    path: str,
    table: str | None = None,
    *,
    format: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    skip: int = 0,
    null: str | None = None,
    strict: bool = False,
    report: Callable[[str], object] | None = None,
    progress: TextIO | None = None,
) -> ImportOutcome:
    """Load the file at `path` ("-": standard input; "|COMMAND": what that prints) into `table` (None: named after the file).

    `format`: csv, tsv, json, jsonl, sql or sqlite; None: by the file's ending, or as a file of SQLite's begins.
    `header`: whether the first row of csv and tsv names the columns; None: found out.  `skip`: how many lines stand
    before it, of text that is no part of the table.  `null`: what fields of csv and tsv that are NULL say.  `report`
    gets a sentence for each rejected row; `strict`: the first one is an error.  `progress`: where to draw a bar after
    a second.  In an open transaction it is a part of that.  Raises TransferError, SqlError, the store's errors."""
    kind = _kind_of(path, format)
    if delimiter is not None and len(delimiter) != 1:
        raise TransferError(f"a delimiter is one character, not {delimiter!r}")
    if skip and kind not in ("csv", "tsv"):
        raise TransferError(f"lines are skipped in csv and tsv, not in {kind}")
    if null is not None and kind not in ("csv", "tsv"):
        raise TransferError(f"a text stands for NULL in csv and tsv, not in {kind}")
    started = time.monotonic()
    source: Source | None = None
    try:
        if kind not in ("sql", "sqlite"):
            table = table or _table_name(path)
        source = Source(path, encoding, session.cancellation.check, skip=skip)
        outcome = ImportOutcome(None if kind == "sql" else table)
        loading = Loading(session, source, outcome, strict, report or _to_stderr, progress)
        loading.null = null
        with loading.transaction():
            if kind == "sqlite":
                load_sqlite(loading, path, table)
            else:
                _load_text(loading, kind, delimiter, header)
        outcome.seconds = time.monotonic() - started
        return outcome
    except Endless as error:
        name = "stdin" if path == "-" else path
        raise TransferError(f"{name}:{error.line}: {error}") from error
    except UnicodeError as error:
        if source is None:
            raise
        raise source.wrong_encoding(error) from error
    finally:
        if source is not None:
            source.close()


def _kind_of(path: str, format: str | None) -> str:
    """What a file is to be read as: `format`, if that is one.  Raises TransferError."""
    if format in (None, "sqlite") and begins(path, SQLITE_HEAD):
        return "sqlite"
    if begins(path, KVSH_HEAD):
        raise TransferError(
            f"{path} is a database of kvsh's: ATTACH '{path}' AS other; and INSERT INTO ... SELECT, or .read '|kvsh {path} .dump'"
        )
    if format == "sqlite":
        raise TransferError(f"{path} is no database of SQLite's")
    return checked_format(format, path)


def _load_text(loading: Loading, kind: str, delimiter: str | None, header: bool | None) -> None:
    """Load a file of text."""
    if kind == "sql":
        from kvsh.transfer.scripts import load_script

        load_script(loading)
    elif kind in ("json", "jsonl"):
        from kvsh.transfer.documents import load_documents

        load_documents(loading, by_line=kind == "jsonl")
    else:
        from kvsh.transfer.delimited import load_delimited

        load_delimited(loading, delimiter or ("\t" if kind == "tsv" else None), header)


def _table_name(path: str) -> str:
    if path == "-":
        return "stdin"
    if path.startswith("|"):
        raise TransferError("say which table: a command's output has no name")
    return os.path.basename(path).partition(".")[0] or "data"


def _to_stderr(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


class Loading:
    """One import under way."""

    def __init__(
        self,
        session: Session,
        source: Source,
        outcome: ImportOutcome,
        strict: bool,
        report: Callable[[str], object],
        progress: TextIO | None,
    ) -> None:
        self.session = session
        self.source = source
        self.outcome = outcome
        self.progress = Progress(progress, f"loading {os.path.basename(source.name)}")
        self.null: str | None = None  # what fields that are NULL say, but for empty ones of numbers
        self._first_filled = ""
        self._strict = strict
        self._report = report

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: a transaction, or a part of the open one."""
        session = self.session
        joins = session.in_transaction
        if joins:
            session.savepoint(_SAVEPOINT)
        else:
            session.begin("IMMEDIATE")
        try:
            with CollectorPaused():
                yield
            self._summarise()
        except BaseException:
            if joins and session.in_transaction:
                session.rollback_to(_SAVEPOINT)
                session.release(_SAVEPOINT)
            elif session.in_transaction:
                session.rollback()
            raise
        finally:
            self.progress.finish()
        if joins:
            session.release(_SAVEPOINT)
        else:
            session.commit()

    def reject(self, line: int, why: str) -> None:
        """Note that the row at `line` is not loaded.  Raises TransferError if that must not be."""
        self._note(f"{self.source.name}:{line}: {why}")

    def fill(self, line: int, why: str) -> None:
        """Note that the row at `line` has too few fields, and NULL for the rest.  Raises TransferError if that must not be."""
        sentence = f"{self.source.name}:{line}: {why}"
        self._refuse_if_strict(sentence)
        if not self.outcome.filled:
            self._first_filled = sentence
        self.outcome.filled += 1

    def _refuse_if_strict(self, sentence: str) -> None:
        if self._strict:
            raise TransferError(f"{sentence}; nothing was loaded")

    def _note(self, sentence: str) -> None:
        self._refuse_if_strict(sentence)
        self.outcome.rejected += 1
        if self.outcome.rejected <= REPORTED_MAX:
            self.progress.finish()
            self._report(sentence)

    def leave_out(self, what: str, why: str) -> None:
        """Note that something other than a row is not loaded.  Raises TransferError if that must not be."""
        self._note(f"{self.source.name}: {what}: left out: {why}")

    def _summarise(self) -> None:
        more = self.outcome.rejected - REPORTED_MAX
        if more > 0:
            self._report(
                f"{self.source.name}: {more:,} more row{'' if more == 1 else 's'} rejected"
            )

        if self.outcome.filled:
            more = self.outcome.filled - 1
            others = f", as in {more:,} more row{'' if more == 1 else 's'}" if more else ""
            self._report(f"{self._first_filled}: NULL for the rest{others}")

    def start_over(self) -> None:
        """Forget what was counted: the rows are loaded again."""
        self.outcome.rows = self.outcome.rejected = self.outcome.filled = 0

    def create(self, columns: Sequence[tuple[str, str]]) -> None:
        """Make the table, with (name, type) columns."""
        listed = ", ".join([f"{quoted(name)} {kind}" for name, kind in columns])
        self.session.execute(f"CREATE TABLE {self._spelled()}({listed})").close()
        self.outcome.created = True

    def _spelled(self) -> str:
        """The table, perhaps that of an attached database, as SQL has it."""
        assert self.outcome.table is not None
        return self.session.schema.spelled(self.outcome.table)

    def insert_statement(self, columns: Sequence[str]) -> str:
        """The INSERT of a row of `columns`."""
        names = ", ".join(map(quoted, columns))
        marks = ", ".join("?" * len(columns))
        return f"INSERT INTO {self._spelled()}({names}) VALUES ({marks})"

    def insert(
        self, statement: str, rows: Sequence[tuple[Any, ...]], line_of: Callable[[int], int]
    ) -> None:
        """Insert a chunk of rows; those that break a constraint are rejected."""
        session = self.session
        session.cancellation.check()  # a statement begins by forgetting earlier interrupts
        session.savepoint(_CHUNK)
        try:
            session.execute_many(statement, rows, plain=True)
            self.outcome.rows += len(rows)
        except ConstraintError:
            session.rollback_to(_CHUNK)
            self._insert_one_by_one(statement, rows, line_of)
        session.release(_CHUNK)

    def _insert_one_by_one(
        self, statement: str, rows: Sequence[tuple[Any, ...]], line_of: Callable[[int], int]
    ) -> None:
        for place, row in enumerate(rows):
            try:
                self.session.execute(statement, row).close()
                self.outcome.rows += 1
            except ConstraintError as error:
                self.reject(line_of(place), str(error))

    def check(self, text: TextIO) -> None:
        """Between chunks: draw the progress, notice an interrupt."""
        done = text.buffer.raw.tell() if self.source.size_bytes else 0  # type: ignore[attr-defined]
        self.progress.update(self.outcome.rows, done=done, total=self.source.size_bytes)
        self.session.cancellation.check()

    def existing_columns(self) -> list[tuple[str, str]] | None:
        """(name, affinity) of the table's columns, generated ones left out; None if there is no table."""
        name = self.outcome.table
        assert name is not None
        schema = self.session.schema
        database, bare = schema.parted(name)
        known = schema.find_table(bare, database)
        if known is None:
            if schema.find_view(bare, database) is not None:
                raise TransferError(f"{name} is a view: rows go into tables")
            return None
        self.outcome.table = known.name if database is None else f"{database}.{known.name}"
        return [
            (column.name, column.affinity.name)
            for column in known.columns
            if column.generated is None
        ]


_SPACES = re.compile(r"\s+")


def column_names(names: Sequence[str]) -> list[str]:
    """Names for new columns: trimmed, none empty, none twice (regardless of case)."""
    made: list[str] = []
    taken: set[str] = set()
    for place, name in enumerate(names, 1):
        base = _SPACES.sub(" ", name.strip()) or f"c{place}"
        candidate, number = base, 2
        while candidate.lower() in taken:
            candidate = f"{base}_{number}"
            number += 1
        taken.add(candidate.lower())
        made.append(candidate)
    return made
