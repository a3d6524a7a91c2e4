"""Entries of a whole index in order, however many they are: past the memory limit, sorted runs go to a file.

What comes from the table's scan is gathered by column and sorted in memory (`column_sorting`).  Where it gets too
much, it is written as a run, in chunks of columns, and the runs are merged: of the chunks at the front of all
runs, what is not behind the least of their last entries is put together and sorted (Knuth, TAOCP 3, 5.4.1, by
chunks rather than by entries).  Entries are different, for the row's key is a part of them, and runs follow each
other as the rows do, so that a stable sort by the parts before the key puts them in order.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from sys import getsizeof
from typing import TYPE_CHECKING, Any

from btree import order_key
from sql.dml.column_sorting import Gathered, sorted_columns
from sql.dml.packed_columns import in_array
from sql.run.spill import Chunks, RowFile

if TYPE_CHECKING:
    from sql.context import Context

Columns = Sequence[Sequence[Any]]
"""Entries by column."""

_SORT_BYTES = 24
"""What sorting takes for an entry besides its values."""

_SAMPLE = 16
_CHUNK_MAX = 1 << 14
_CHUNK_MIN = 256
_RUNS_MAX = 32
"""Runs merged at once: more of them are merged into one before."""


def sorted_entries(
    ctx: Context, batches: Iterable[Columns], parts: int, rowids: int | None
) -> Iterator[Columns]:
    """The entries of all rows of a table, which come in the order of these, in the order of their first `parts` columns,
    piece by piece.  `rowids`: the place of the column of row ids.  Buffers up to three quarters of the memory limit."""
    gathered: list[Gathered] = []
    size, room = 0, ctx.memory_limit_bytes * 3 // 4
    runs: _Runs | None = None
    try:
        for columns in batches:
            ctx.check()
            if gathered:
                for column, values in zip(gathered, columns, strict=True):
                    column.add(values)
            else:
                gathered = [
                    Gathered(values, are_keys=place == rowids)
                    for place, values in enumerate(columns)
                ]
            size += _memory_of(columns)
            if size > room:
                if runs is None:
                    runs = _Runs(ctx, parts, len(gathered[0].values))
                runs.add(_in_order(gathered, parts))
                gathered, size = [], 0
        ctx.check()
        last = _in_order(gathered, parts) if gathered else iter(())
        yield from last if runs is None else runs.merged(last)
    finally:
        if runs is not None:
            runs.close()


def _in_order(gathered: list[Gathered], parts: int) -> Iterator[Columns]:
    return sorted_columns([column.values for column in gathered], parts)


def _memory_of(columns: Columns) -> int:
    """About what some entries take as they are gathered and sorted.  Numbers lie in arrays, and objects that a column has
    more than once count once."""
    count = len(columns[0])
    size = (_SORT_BYTES + 8 * len(columns)) * count
    for values in columns:
        sample = values[:: count // _SAMPLE + 1]
        objects = {id(value): value for value in sample if value.__class__ not in (int, float)}
        size += sum(map(getsizeof, objects.values())) * count // len(sample)
    return size


class _Runs:
    """Sorted runs in a file."""

    def __init__(self, ctx: Context, parts: int, entries: int) -> None:
        """`entries`: of the first run."""
        self._ctx = ctx
        self._parts = parts
        self._chunk_entries = max(_CHUNK_MIN, min(_CHUNK_MAX, entries // _RUNS_MAX))
        self._file = RowFile()
        self._runs: list[Chunks] = []

    def add(self, pieces: Iterator[Columns]) -> None:
        """Write a run."""
        self._runs.append(self._written(pieces))
        if len(self._runs) == _RUNS_MAX:
            old, self._file = self._file, RowFile()
            try:
                self._runs = [self._written(self.merged(iter(())))]
            finally:
                old.close()

    def _written(self, pieces: Iterator[Columns]) -> Chunks:
        run, waiting, count = Chunks(self._file), list[Columns](), 0
        for piece in pieces:
            waiting.append(piece)
            count += len(piece[0])
            if count >= self._chunk_entries:
                self._ctx.check()
                run.append(_encoded(waiting))
                waiting, count = [], 0
        if waiting:
            run.append(_encoded(waiting))
        return run

    def merged(self, last: Iterator[Columns]) -> Iterator[Columns]:
        """All entries in order; `last` is the latest run, in memory."""
        streams = [*[map(_decoded, run) for run in self._runs], last]
        fronts = [next(stream, None) for stream in streams]
        while True:
            self._ctx.check()
            live = [(front, place) for place, front in enumerate(fronts) if front is not None]
            if len(live) <= 1:
                for front, place in live:
                    yield front
                    yield from streams[place]
                return
            bound = min([_key(front, len(front[0]) - 1) for front, _ in live])
            found: list[Columns] = []
            for front, place in live:
                count = len(front[0])
                end = bisect_right(range(count), bound, key=partial(_key, front))
                if end == count:
                    found.append(front)
                    fronts[place] = next(streams[place], None)
                elif end:
                    found.append([column[:end] for column in front])
                    fronts[place] = [column[end:] for column in front]
            yield _merged(_joined(found), self._parts)

    def close(self) -> None:
        self._file.close()


def _key(columns: Columns, slot: int) -> Any:
    return order_key(tuple([column[slot] for column in columns]))


def _merged(columns: Columns, parts: int) -> Columns:
    """Entries of several runs that follow each other as one run: a sort finds the runs in them."""
    keys: Sequence[Any] = columns[0] if parts == 1 else list(zip(*columns[:parts], strict=True))
    slots = range(len(keys))
    try:
        order = sorted(slots, key=keys.__getitem__)
    except TypeError:  # keys of several kinds
        order = sorted(slots, key=list(map(order_key, keys)).__getitem__)
    return [[column[slot] for slot in order] for column in columns]


def _joined(pieces: Sequence[Columns]) -> list[Any]:
    """Some pieces as one."""
    columns: list[Any] = []
    for parts in zip(*pieces, strict=True):
        values = list(chain.from_iterable(parts))
        columns.append(in_array(values) or values)
    return columns


def _encoded(pieces: Sequence[Columns]) -> list[Any]:
    """The columns of some pieces as they are written: arrays as their bytes behind their type."""
    return [
        column.typecode.encode() + column.tobytes() if column.__class__ is array else column
        for column in _joined(pieces)
    ]


def _decoded(columns: list[Any]) -> Columns:
    return [
        array(chr(column[0]), column[1:]) if column.__class__ is bytes else column
        for column in columns
    ]
