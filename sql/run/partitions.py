"""Rows in partitions on disk by the hash of a key, for what outgrows a dict or a set of keys.

Rows of keys that are known go on being dealt with in memory; the others wait in partitions, each of which
is then dealt with by itself (hybrid hashing: Shapiro, TODS 11(3), 1986).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from sql.context import Context
from sql.run.spill import Chunks, RowFile, Unspillable, row_bytes

Row = tuple[Any, ...]

FIRST_ROOM = 4096
"""Keys at which their memory is looked at for the first time."""
PARTITIONS = 16
CHUNK_ROWS = 256
_PAIR_BYTES = 72
"""A pair of key and state, which the sample of a dict's items has and the dict itself has not."""
DEPTH_MAX = 6
"""Partitions of partitions, beyond which keys stay in memory: equal hashes can't be parted."""


def overfull(
    known: dict[Any, Any] | set[Any], ctx: Context, depth: int = 0
) -> tuple[int, Partitions | None]:
    """Called when there are more keys than the room last given.

    (Room from now on, None), or past the limit (no end, the partitions for rows of other keys).  Keys and
    states may take a third of the limit: their sorted results come on top."""
    items = known.items() if isinstance(known, dict) else known
    sample = list(islice(items, 32))
    if isinstance(known, dict):  # the latest keys have seen few rows, the first ones many
        sample += [(key, known[key]) for key in islice(reversed(known), 32)]
    own = row_bytes(sample) - (_PAIR_BYTES if isinstance(known, dict) else 0)
    allowed = ctx.memory_limit_bytes // 3 // (own + 100)
    if len(known) < allowed or depth >= DEPTH_MAX:
        return max(min(2 * len(known), allowed), len(known) + FIRST_ROOM // 4), None
    return sys.maxsize, Partitions(ctx, depth)


class Partitions:
    """Rows of unknown groups, by the hash of their key; nothing of a group is in two partitions."""

    def __init__(self, ctx: Context, depth: int) -> None:
        self.ctx = ctx
        self.depth = depth
        self.file = RowFile()
        self.chunks = [Chunks(self.file) for _ in range(PARTITIONS)]
        self.buffers: list[list[Row]] = [[] for _ in range(PARTITIONS)]
        self.kept: list[list[Row]] = [[] for _ in range(PARTITIONS)]  # what can't be written
        self.chunk_rows = max(16, min(CHUNK_ROWS, ctx.memory_limit_bytes >> 17))

    def add(self, key: Any, row: Row) -> None:
        """Put a row where its group's rows are."""
        place = hash((self.depth, key)) % PARTITIONS
        buffer = self.buffers[place]
        buffer.append(row)
        if len(buffer) >= self.chunk_rows:
            self._write(place)

    def _write(self, place: int) -> None:
        buffer = self.buffers[place]
        self.buffers[place] = []
        self.ctx.check()
        try:
            self.chunks[place].append(buffer)
        except Unspillable:
            self.kept[place] += buffer

    def partition(self, place: int) -> Iterator[list[Row]]:
        """The rows of a partition, in the order in which they came as far as that was kept."""
        yield from self.chunks[place]
        for rows in (self.kept[place], self.buffers[place]):
            if rows:
                yield rows
        self.kept[place] = []
        self.buffers[place] = []

    def close(self) -> None:
        self.file.close()
