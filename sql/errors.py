"""Errors of the SQL layer.  Messages follow SQLite's wording.

Subclasses are by what the caller can do: mend the statement (`SqlSyntaxError`, `SqlNameError`), mend the
data (`ConstraintError`), try again (`BusyError` comes from below), or give up (`Interrupted`).
"""

from __future__ import annotations


class SqlError(Exception):
    """Root.  `offset` is a character offset into the statement's text, or None if unknown.

    `conflict` says what becomes of a writing statement: ABORT undoes it, FAIL keeps what it has done
    (`changes` rows), ROLLBACK undoes the whole transaction.

    It is made where it is raised, and not kept in a variable there: with its traceback that would be a cycle, and what the
    caller drops, a connection with a transaction open, be kept until it is collected."""

    conflict: str = "ABORT"
    changes: int = 0
    is_of_preparation = False
    """Whether the statement could not even be begun: it is none, or names what is not there."""

    def __init__(
        self, message: str, *, offset: int | None = None, token: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.token = token


class SqlSyntaxError(SqlError):
    """The text is no statement: `near "x": syntax error`."""

    is_of_preparation = True


class SqlNameError(SqlError):
    """`no such table: x`, `no such column: x`, `ambiguous column name: x`, `no such function: x`.

    `suggestions` holds the nearest existing names, best first."""

    def __init__(
        self,
        message: str,
        *,
        offset: int | None = None,
        token: str | None = None,
        suggestions: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, offset=offset, token=token)
        self.suggestions = suggestions


class ConstraintError(SqlError):
    """`UNIQUE constraint failed: t.a` and its kin.  `kind` is UNIQUE, NOT NULL, CHECK, FOREIGN KEY, PRIMARY KEY, ROWID (of a table without one),
    TRIGGER (also ON DELETE RESTRICT), DATATYPE (of a STRICT column) or MISMATCH (no integer where it has to be one)."""

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class NotAuthorizedError(SqlError):
    """The session's authorizer has refused what the statement is to do."""

    is_of_preparation = True


class CannotOpenError(SqlError):
    """`unable to open database: x`, of ATTACH."""


class PartialCommitError(SqlError):
    """A transaction on several databases has been committed in some and failed in one: `name`; the rest is rolled back."""

    def __init__(self, name: str, committed: list[str], error: Exception) -> None:
        super().__init__(
            f"what was written to {', '.join(committed)} is committed, "
            f"but what was written to {name} is not: {error}"
        )


class TooBigError(SqlError):
    """A text or a blob would be longer than any may be."""

    def __init__(self) -> None:
        super().__init__("string or blob too big")


class MisuseError(SqlError):
    """Wrong number of bindings, a cursor used after its transaction ended, ..."""


class SeveralStatementsError(MisuseError):
    """More than one statement was given where one is to be executed."""

    is_of_preparation = True

    def __init__(self, offset: int | None) -> None:
        super().__init__("You can only execute one statement at a time.", offset=offset)


class Interrupted(SqlError):
    """Cancelled or past its deadline: `interrupted`."""
