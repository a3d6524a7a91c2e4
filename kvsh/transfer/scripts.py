"""SQL files: their statements, run within one transaction.

BEGIN, COMMIT and END in the file, as dumps have them, are passed over; a ROLLBACK is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kvsh.transfer.formats import TransferError
from sql import Interrupted, SqlError, next_statement

if TYPE_CHECKING:
    from kvsh.transfer.load import Loading

_SKIPPED = r"(?:[\s;]|--[^\n]*(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*(?:\*/|\Z))*"
_BLANK = re.compile(_SKIPPED + r"\Z")
_CONTROL = re.compile(
    _SKIPPED + r"(BEGIN|COMMIT|END|ROLLBACK)(?:\s+(?:DEFERRED|IMMEDIATE|EXCLUSIVE))?"
    r"(?:\s+TRANSACTION)?\s*;?\s*\Z",
    re.IGNORECASE,
)


def load_script(loading: Loading) -> None:
    """Run the file's statements.  Errors name the line that the statement begins at."""
    session = loading.session
    before = session.total_changes
    with loading.source.text() as handle:
        text = handle.read()
    start = 0
    while start < len(text) and not _BLANK.match(text, start):
        end = next_statement(text, start)
        statement = text[start : len(text) if end is None else end]
        try:
            _run(loading, statement)
        except SqlError as error:
            raise _located(loading, error, text, start) from error
        start += len(statement)
        session.runs.learn(statement)
        while (ran := session.runs.execute(text, start, joins=True)) is not None:
            if ran.error is not None:
                raise _located(loading, ran.error, text, ran.start) from ran.error
            start = ran.end
            _note(loading, before, start, len(text))
        _note(loading, before, start, len(text))


def _run(loading: Loading, statement: str) -> None:
    control = _CONTROL.match(statement)
    if control is not None:
        if control.group(1).upper() == "ROLLBACK":
            raise SqlError("ROLLBACK in a file that is loaded as one transaction")
        return
    result = loading.session.execute(statement)
    if result.columns is not None:
        for _ in result.batches():
            pass
    result.close()


def _note(loading: Loading, before: int, done: int, total: int) -> None:
    loading.outcome.rows = loading.session.total_changes - before
    loading.progress.update(loading.outcome.rows, done=done, total=total)
    loading.session.cancellation.check()


_LEADING = re.compile(_SKIPPED)


def _located(loading: Loading, error: Exception, text: str, start: int) -> Exception:
    if isinstance(error, Interrupted):
        return error
    blank = _LEADING.match(text, start)
    line = text.count("\n", 0, start if blank is None else blank.end()) + 1
    return TransferError(f"{loading.source.name}:{line}: {error}; nothing was loaded")
