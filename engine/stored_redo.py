"""Redo as a handle keeps it: short records in memory, long ones by where they lie in the log.

Redo is read once, as a rule: by another process, or by a reader that comes to commits that nobody has read.  The
process that made a long one has its changes by then, as objects of their own, and would have them twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine.errors import WHAT_TO_DO, CorruptionError, told
from engine.format import CHAIN_BYTES, KIND_REDO, RECORD_BYTES, decode_record, padded

if TYPE_CHECKING:
    from engine.log import Log

LONG_BYTES = 64 << 10
"""A payload from which on the log is where it is."""


class StoredRedo:
    """The payload of a redo record that lies in a log, whole when it was read or written."""

    __slots__ = ("_length", "_log", "_offset")

    def __init__(self, log: Log, offset: int, length: int) -> None:
        self._log = log
        self._offset = offset
        self._length = length

    def read(self) -> bytes:
        """The payload; CorruptionError if the bytes there are not it."""
        log, span = self._log, RECORD_BYTES + padded(CHAIN_BYTES + self._length)
        record = decode_record(log.salt, log.read(span, self._offset))
        if record is None or record.kind != KIND_REDO or record.span != span:
            raise told(
                CorruptionError(
                    f"{log.path}: the redo at offset {self._offset} is damaged; {WHAT_TO_DO}"
                )
            )
        return record.payload[CHAIN_BYTES:]


Kept = bytes | StoredRedo


def read(kept: Iterable[tuple[int, Kept]]) -> list[tuple[int, bytes]]:
    """The payloads of some commits, by lsn."""
    # The same pairs, where they can be: new ones would have the collector walk over them.
    return [
        commit if commit[1].__class__ is bytes else (commit[0], commit[1].read())  # type: ignore[union-attr, misc]
        for commit in kept
    ]
