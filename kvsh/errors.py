"""The exceptions that leave the package: PEP 249's tree, shaped as the sqlite3 module's.

Every layer below has an exception root of its own (`sql.SqlError`, `btree.StoreError`).  They are
translated here, once, at the public API: `raise translated(error) from error`.  The shell shows the
same sentences.  `sqlite_errorcode` and `sqlite_errorname` are set where a caller of the sqlite3 module
would look for them.
"""

from __future__ import annotations

from typing import TypeVar

from btree import (
    BusyError,
    ClosedError,
    ConflictError,
    CorruptionError,
    NotADatabaseError,
    ReadOnlyError,
    StoreError,
    TooLargeError,
)
from sql import (
    CannotOpenError,
    ConstraintError,
    Interrupted,
    MisuseError,
    NotAuthorizedError,
    SqlError,
    TooBigError,
)

LOWER_ERRORS = (SqlError, StoreError)
"""Roots of the lower layers' errors, for `except` clauses in the API."""


class Warning(Exception):
    """Important warnings (PEP 249)."""


class Error(Exception):
    """Root of every error that leaves the package."""

    sqlite_errorcode: int
    sqlite_errorname: str


class InterfaceError(Error):
    """The interface was used wrongly, rather than the database."""


class DatabaseError(Error):
    """Something is wrong with the database, or with what was asked of it."""


class DataError(DatabaseError):
    """A value is out of range or too large."""


class OperationalError(DatabaseError):
    """A statement could not be done: bad SQL, no such table, locked, read-only, disk full."""


class IntegrityError(DatabaseError):
    """A constraint would be broken."""


class InternalError(DatabaseError):
    """The database met a state of its own that should not be."""


class ProgrammingError(DatabaseError):
    """Wrong number of parameters, use after close, use from another thread."""


class NotSupportedError(DatabaseError):
    """A feature of the sqlite3 module that kvsh does not have."""


class CallbackError(SqlError):
    """A program's function failed inside of a statement."""


_CONSTRAINT_NAMES = {
    "UNIQUE": "SQLITE_CONSTRAINT_UNIQUE",
    "PRIMARY KEY": "SQLITE_CONSTRAINT_PRIMARYKEY",
    "ROWID": "SQLITE_CONSTRAINT_ROWID",
    "PINNED": "SQLITE_CONSTRAINT_PINNED",
    "NOT NULL": "SQLITE_CONSTRAINT_NOTNULL",
    "CHECK": "SQLITE_CONSTRAINT_CHECK",
    "FOREIGN KEY": "SQLITE_CONSTRAINT_FOREIGNKEY",
    "TRIGGER": "SQLITE_CONSTRAINT_TRIGGER",
    "DATATYPE": "SQLITE_CONSTRAINT_DATATYPE",
    "MISMATCH": "SQLITE_MISMATCH",
}


def with_notes(error: BaseException, message: str) -> str:
    """What is told of an error, and what else it has cost."""
    return "; ".join([message, *getattr(error, "__notes__", ())])


def translated(error: Exception, *, opening: bool = False) -> Error:
    """The public exception for a lower layer's; the caller raises it `from error`.

    `opening`: it came while the database was being opened."""
    message = with_notes(error, str(error))
    if isinstance(error, ConstraintError):
        return coded(
            IntegrityError(message), _CONSTRAINT_NAMES.get(error.kind, "SQLITE_CONSTRAINT")
        )
    if isinstance(error, Interrupted):
        return coded(OperationalError(message), "SQLITE_INTERRUPT")
    if isinstance(error, MisuseError):
        return coded(ProgrammingError(message), "SQLITE_MISUSE")
    if isinstance(error, TooBigError | TooLargeError):
        return coded(DataError(message), "SQLITE_TOOBIG")
    if isinstance(error, NotAuthorizedError):
        return coded(DatabaseError(str(error)), "SQLITE_AUTH")
    if isinstance(error, CannotOpenError):
        return coded(OperationalError(message), "SQLITE_CANTOPEN")
    if isinstance(error, SqlError):
        return failed(message)
    if isinstance(error, ClosedError):
        return coded(ProgrammingError("Cannot operate on a closed database."), "SQLITE_MISUSE")
    if isinstance(error, BusyError | ConflictError):
        return coded(OperationalError(message), "SQLITE_BUSY")
    if isinstance(error, ReadOnlyError):
        return coded(OperationalError(message), "SQLITE_READONLY")
    if isinstance(error, NotADatabaseError):
        return coded(DatabaseError(message), "SQLITE_NOTADB")
    if isinstance(error, CorruptionError):
        return coded(DatabaseError(message), "SQLITE_CORRUPT")
    return coded(OperationalError(message), "SQLITE_CANTOPEN" if opening else "SQLITE_IOERR")


Coded = TypeVar("Coded", bound=Error)


def coded(error: Coded, name: str) -> Coded:
    """The error, with SQLite's name for it and its number."""
    from kvsh.codes import CODES

    error.sqlite_errorname = name
    error.sqlite_errorcode = CODES[name]
    return error


def failed(message: str) -> OperationalError:
    """What SQLite has no closer name for."""
    return coded(OperationalError(message), "SQLITE_ERROR")
