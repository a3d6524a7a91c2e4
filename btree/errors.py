"""What can go wrong in a store, by what the caller can do about it: the engine's errors, by our name."""

from __future__ import annotations

from engine import (
    BusyError,
    ClosedError,
    ConflictError,
    CorruptionError,
    NotADatabaseError,
    ReadOnlyError,
    StorageError,
    TooLargeError,
)
from engine import EngineError as StoreError

__all__ = [
    "BusyError",
    "ClosedError",
    "ConflictError",
    "CorruptionError",
    "NotADatabaseError",
    "ReadOnlyError",
    "StorageError",
    "StoreError",
    "TooLargeError",
]
