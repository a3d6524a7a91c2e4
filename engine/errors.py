"""What can go wrong with a database file, by what the caller can do about it.

Every message is one sentence that names the file and says what to do next.
"""

from __future__ import annotations


class EngineError(Exception):
    """Root of the engine's errors."""


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


class StorageError(EngineError):
    """The operating system refused a read, a write or a sync (disk full, I/O error)."""
