"""Sorting batches of rows: in memory, to temporary files past a limit, or only the first k.

A sort is given as *passes*, the most significant last: each is a key function and a direction, and the
sort is stable, so that passes of different directions add up.  Past the memory limit sorted runs go to
a temporary file and are merged (Knuth, TAOCP 3, 5.4.1).
"""

from __future__ import annotations

import heapq
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any

import msgspec

Row = tuple[Any, ...]
Pass = tuple[Callable[[Row], Any], bool]
"""(key function, descending)."""

BATCH_ROWS = 1024
_SAMPLE_ROWS = 16
_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], list[Row]] = msgspec.msgpack.Decoder(list[tuple[Any, ...]]).decode


def row_bytes(rows: Sequence[Row]) -> int:
    """About how much memory a row takes, by a sample."""
    if not rows:
        return 64
    sample = rows[:: max(1, len(rows) // _SAMPLE_ROWS)]
    total = sum(sys.getsizeof(row) + 16 + sum(map(sys.getsizeof, row)) for row in sample)
    return total // len(sample) + 8


def sort_rows(rows: list[Row], passes: Sequence[Pass]) -> None:
    """Sort in place."""
    for key, descending in passes:
        rows.sort(key=key, reverse=descending)


def sorted_batches(
    batches: Iterable[list[Row]],
    passes: Sequence[Pass],
    check: Callable[[], None],
    memory_limit_bytes: int,
) -> Iterator[list[Row]]:
    """All rows in order.  Buffers up to the limit (a third of it for rows: keys and copies come on top)."""
    rows: list[Row] = []
    runs: list[_Run] = []
    room = memory_limit_bytes // 3
    used = 0
    try:
        for batch in batches:
            rows += batch
            used += row_bytes(batch) * len(batch)
            if used > room:
                sort_rows(rows, passes)
                runs.append(_Run(rows, check))
                rows, used = [], 0
        check()
        sort_rows(rows, passes)
        check()
        if not runs:
            yield from in_batches(rows, check)
            return
        streams = [run.rows() for run in runs]
        merged = heapq.merge(*streams, rows, key=_merge_key(passes))
        yield from in_batches(merged, check)
    finally:
        for run in runs:
            run.close()


def in_batches(rows: Iterable[Row], check: Callable[[], None]) -> Iterator[list[Row]]:
    """Rows in batches of a moderate size."""
    if isinstance(rows, list):
        if len(rows) <= BATCH_ROWS:
            if rows:
                yield rows
            return
        for at in range(0, len(rows), BATCH_ROWS):
            check()
            yield rows[at : at + BATCH_ROWS]
        return
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) >= BATCH_ROWS:
            check()
            yield batch
            batch = []
    if batch:
        yield batch


class _Run:
    """A sorted run in a temporary file."""

    def __init__(self, rows: list[Row], check: Callable[[], None]) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile(prefix="kvsh-sort-")  # noqa: SIM115
        try:
            for at in range(0, len(rows), BATCH_ROWS):
                check()
                data = _encode(rows[at : at + BATCH_ROWS])
                self.file.write(len(data).to_bytes(4, "little"))
                self.file.write(data)
            self.file.seek(0)
        except BaseException:
            self.file.close()
            raise

    def rows(self) -> Iterator[Row]:
        while head := self.file.read(4):
            yield from _decode(self.file.read(int.from_bytes(head, "little")))

    def close(self) -> None:
        self.file.close()


class Descending:
    """A key that compares the other way round."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key

    def __lt__(self, other: Descending) -> bool:
        return bool(other.key < self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descending) and bool(self.key == other.key)


def _merge_key(passes: Sequence[Pass]) -> Callable[[Row], Any]:
    if len(passes) == 1 and not passes[0][1]:
        return passes[0][0]
    significant = list(reversed(passes))
    return lambda row: tuple(
        [Descending(key(row)) if descending else key(row) for key, descending in significant]
    )


def top_rows(
    batches: Iterable[list[Row]],
    passes: Sequence[Pass],
    count: int,
    check: Callable[[], None],
) -> list[Row]:
    """The first `count` rows in order.  Buffers a few times as many.

    Once so many are known, a row whose most significant key lies behind the last one's is dropped
    before anything else is done with it."""
    if count <= 0:
        return []
    kept: list[Row] = []
    room = max(2 * count, 1024)
    first, descending = passes[-1]
    threshold: Any = None
    for batch in batches:
        if threshold is None:
            kept += batch
        elif descending:
            kept += [row for row in batch if not first(row) < threshold]
        else:
            kept += [row for row in batch if not threshold < first(row)]
        if len(kept) > room:
            check()
            sort_rows(kept, passes)
            del kept[count:]
            threshold = first(kept[-1])
    sort_rows(kept, passes)
    return kept[:count]
