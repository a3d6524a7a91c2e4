"""What can go wrong in a store, by what the caller can do about it: the engine's errors, by our name; and what is made of the
errors of decoders."""

from __future__ import annotations

import sys

import msgspec

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

UNDECODABLE = (msgspec.DecodeError, LookupError, ValueError, OverflowError, RecursionError)
"""What decoders raise of bytes that are none of theirs; the last one of arrays within arrays, a thousand deep."""


def senseless(sentence: str, error: Exception) -> CorruptionError:
    """The error for bytes that a decoder says so of.  A program that has come deep itself is told that, for it may be the
    whole reason."""
    if isinstance(error, RecursionError):
        frame, depth = sys._getframe(), 1
        while frame.f_back is not None:
            frame, depth = frame.f_back, depth + 1
        if depth > sys.getrecursionlimit() // 2:
            raise error
    return CorruptionError(f"{sentence} ({error})")


__all__ = [
    "UNDECODABLE",
    "BusyError",
    "ClosedError",
    "ConflictError",
    "CorruptionError",
    "NotADatabaseError",
    "ReadOnlyError",
    "StorageError",
    "StoreError",
    "TooLargeError",
    "senseless",
]
