"""What can go wrong in a store, by what the caller can do about it."""

from __future__ import annotations


class StoreError(Exception):
    """Root of the store's errors."""


class BusyError(StoreError):
    """Another writer holds the lock; try again later."""


class ConflictError(StoreError):
    """Something was committed since the transaction began: roll back and start again."""


class ReadOnlyError(StoreError):
    """A write through a read transaction or a read-only store."""


class CorruptionError(StoreError):
    """Bytes on the disk are not what was written: restore a backup, or salvage with `repair`."""


class NotADatabaseError(StoreError):
    """The file is no database of ours; it was not changed."""
