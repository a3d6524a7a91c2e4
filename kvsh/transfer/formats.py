"""The file formats by name and by ending, and the one error of this package."""

from __future__ import annotations

import os

SQLITE_HEAD = b"SQLite format 3\0"
KVSH_HEAD = b"kvshdb\r\n"
"""What databases begin with, SQLite's and ours (docs/file-format.md)."""

FORMATS = ("csv", "tsv", "json", "jsonl", "sql")

_BY_ENDING = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".sql": "sql",
    ".tab": "tsv",
    ".tsv": "tsv",
    ".txt": "csv",
}


_NOT_WRITTEN = frozenset(
    (
        ".arrow", ".avro", ".bz2", ".db", ".feather", ".ods", ".orc", ".parquet", ".pdf", ".sqlite", ".sqlite3",
        ".xls", ".xlsx", ".xz", ".zip", ".zst",
    )
)  # fmt: skip
"""Endings that promise another format than csv."""

LINE_MAX = 1_000_000_000
"""Bytes or characters that a line, a JSON value or a field may have; a text of the database can't have more."""


class TransferError(Exception):
    """A file that can't be loaded or written as it was asked; the message is one sentence."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Endless(Exception):
    """What begins at `line` has no end within `LINE_MAX`."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"{what} has no end within {LINE_MAX:,} characters")
        self.line = line


def guess_format(path: str) -> str:
    """The format by the file's ending (before `.gz`); csv where that says nothing, as of a |COMMAND."""
    if path.startswith("|"):
        return "csv"
    return promised(path) or "csv"


def promised(path: str) -> str:
    """The format that a file's ending (before `.gz`) promises; "" if none."""
    return _BY_ENDING.get(os.path.splitext(unzipped(path))[1].lower(), "")


def refuse_unwritten(path: str) -> None:
    """Raises TransferError if the file's ending promises a format that is not written here."""
    ending = os.path.splitext(path)[1].lower()
    if ending in _NOT_WRITTEN:
        raise TransferError(
            f"no {ending} files are written: the endings are csv, tsv, json, jsonl, sql, md and html, "
            "with .gz if you like; --format says what else to write into such a file"
        )


def unzipped(path: str) -> str:
    """The name of a compressed file without the ending that says so."""
    return path[:-3] if path.lower().endswith(".gz") else path


def checked_format(name: str | None, path: str) -> str:
    """`name`, or the guess.  Raises TransferError for an unknown one."""
    if name is None:
        return guess_format(path)
    if name not in FORMATS:
        raise TransferError(f"unknown format {name!r}: it is one of {', '.join(FORMATS)}")
    return name
