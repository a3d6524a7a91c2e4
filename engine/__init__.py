"""A durable, transactional key-value store of pages in one append-only file."""

from engine.compaction import Progress
from engine.errors import (
    BusyError,
    ConflictError,
    CorruptionError,
    EngineError,
    NotADatabaseError,
    ReadOnlyError,
    StorageError,
)
from engine.file import File, FileSystem, OsFile, OsFileSystem
from engine.log import CommitInfo
from engine.salvage import Salvage, salvage
from engine.snapshot import Snapshot
from engine.store import Durability, PageStore
from engine.writer import Commit, Writer

__all__ = [
    "BusyError",
    "Commit",
    "CommitInfo",
    "ConflictError",
    "CorruptionError",
    "Durability",
    "EngineError",
    "File",
    "FileSystem",
    "NotADatabaseError",
    "OsFile",
    "OsFileSystem",
    "PageStore",
    "Progress",
    "ReadOnlyError",
    "Salvage",
    "Snapshot",
    "StorageError",
    "Writer",
    "salvage",
]
