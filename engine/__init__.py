"""A durable, transactional key-value store of pages in one append-only file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import (
    BusyError,
    ClosedError,
    ConflictError,
    CorruptionError,
    EngineError,
    NotADatabaseError,
    ReadOnlyError,
    StorageError,
    TooLargeError,
)
from engine.file import File, FileSystem, OsFile, OsFileSystem, temporary_name
from engine.forking import call_in_child
from engine.hurry import other_threads
from engine.journal import Journal
from engine.log import CommitInfo
from engine.published import Durability
from engine.snapshot import Snapshot
from engine.store import PageStore, check_options
from engine.writer import Commit, Writer

if TYPE_CHECKING:
    from engine.compaction import Progress
    from engine.salvaging import Salvage, salvage
    from engine.temporary import remove_leftovers

_LATER = {
    "Progress": "engine.compaction",
    "Salvage": "engine.salvaging",
    "remove_leftovers": "engine.temporary",
    "salvage": "engine.salvaging",
}
"""What is seldom needed is imported when it is first asked for."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LATER[name]), name)
    return value


__all__ = [
    "BusyError",
    "ClosedError",
    "Commit",
    "CommitInfo",
    "ConflictError",
    "CorruptionError",
    "Durability",
    "EngineError",
    "File",
    "FileSystem",
    "Journal",
    "NotADatabaseError",
    "OsFile",
    "OsFileSystem",
    "PageStore",
    "Progress",
    "ReadOnlyError",
    "Salvage",
    "Snapshot",
    "StorageError",
    "TooLargeError",
    "Writer",
    "call_in_child",
    "check_options",
    "other_threads",
    "remove_leftovers",
    "salvage",
    "temporary_name",
]
