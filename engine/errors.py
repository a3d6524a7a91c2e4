"""What can go wrong with a database file, by what the caller can do about it.

Every message is one sentence that names the file and says what to do next.
"""

from __future__ import annotations

import errno
import os
from typing import TypeVar

from engine.journal import Journal

_log = Journal("kvsh.engine")


class EngineError(Exception):
    """Root of the engine's errors."""


class ClosedError(EngineError):
    """The handle was closed, maybe by another thread in the middle of what this one does."""


class BusyError(EngineError):
    """Another writer holds the lock: try again later."""


class ConflictError(EngineError):
    """Something was committed since the snapshot that a writer wanted to build on: start again."""


class ReadOnlyError(EngineError):
    """A write through a read-only handle, or to media that can't be written."""


class NotADatabaseError(EngineError):
    """The file is no database of ours, or of a newer format; it was not changed."""


class CorruptionError(EngineError):
    """Bytes on the disk are not what was written: restore a backup, or salvage with `repair`."""


class TooLargeError(EngineError):
    """What is to be stored in one piece is larger than the file's records are."""

    def __init__(self, size_bytes: int, bytes_max: int) -> None:
        super().__init__(
            f"string or blob too big: {size_bytes:,} bytes with its key, and a file takes at most {bytes_max:,} in one piece"
        )


class StorageError(EngineError):
    """The operating system refused a read, a write or a sync (disk full, I/O error)."""


TRY_AGAIN = "look after the disk, and try again"
"""How the report of a disk's refusal ends."""

WHAT_TO_DO = "restore a backup, or salvage what can be read: kvsh .repair DAMAGED NEW"
"""How the report of damaged bytes ends."""

FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


E = TypeVar("E", bound=EngineError)


def told(error: E) -> E:
    """Tell the log of an error that is about to be raised."""
    _log.error("%s", error)
    return error


def refused(path: str, error: OSError) -> StorageError:
    """The operating system's refusal of a write as one clear sentence."""
    what = error.strerror or str(error)
    if error.errno in FULL_ERRORS:
        return told(
            StorageError(
                f"{path}: database or disk is full ({what}): nothing of this transaction was kept;"
                " free some space and try again"
            )
        )
    return told(StorageError(f"{path}: disk I/O error ({what}); {TRY_AGAIN}"))


def busy(path: str, holder: int, seconds: float) -> BusyError:
    """Process `holder` (0: unknown) kept the lock for longer than `seconds`."""
    who = f"process {holder}" if holder else "another process"
    if holder == os.getpid():
        who = f"another connection of this process ({holder})"
    return told(
        BusyError(
            f"database is locked: {who} is writing {path}, waited {seconds:g} s;"
            " try again or raise the timeout"
        )
    )
