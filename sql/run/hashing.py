"""Hash tables of joins: a dict of lists, or past the memory limit blocks on disk in order of hash.

On disk the pairs are sorted by their keys' hashes and cut into blocks, no hash in two of them; what stays
in memory is each block's first hash, and the blocks used last.  A lookup is a bisection and, where the
block is not at hand, the decoding of some 64 rows.  (Partitioning both sides, as Grace joins do, would
need the probes collected; here they come one by one, from inside the join's comprehension.)

The garbage collector rests while a table is filled: rows form no cycles, and to walk them took half of the time.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from operator import itemgetter
from typing import Any

from btree import CollectorPaused
from sql.context import Context
from sql.run.sorting import sorted_batches
from sql.run.spill import Chunks, RowFile, row_bytes

Batch = list[Any]
"""Pairs (key, row) for a table, rows for a list."""

FIRST_WEIGHED = 4096
"""Rows at which their memory is looked at for the first time."""
BLOCK_ROWS = 64
CHUNK_ROWS = 1024


def hash_table(batches: Iterable[Batch], width: int, nullable: bool, ctx: Context) -> Any:
    """What has `.get(key, default)`: the list of the key's rows, in the order of the pairs.

    `width` is the number of key columns; with `nullable` keys that hold a NULL are left out, since they
    equal nothing."""
    table: defaultdict[Any, list[Any]] = defaultdict(list)
    count, weigh_at = 0, FIRST_WEIGHED
    batches = iter(batches)
    with CollectorPaused():
        for batch in batches:
            if nullable:
                for key, row in batch:
                    if key is not None if width == 1 else None not in key:
                        table[key].append(row)
            else:
                for key, row in batch:
                    table[key].append(row)
            count += len(batch)
            if count > weigh_at:
                weigh_at = _weighed(batch, count, ctx)
                if not weigh_at:
                    break
        else:
            return table
    # Rows under one key stay in order: those in the table come before those that follow.
    return DiskTable(chain(_emptied(table), batches), width, nullable, ctx)


def hash_keys(batches: Iterable[Batch], width: int, nullable: bool, ctx: Context) -> Any:
    """What has `key in`: of batches of keys.  As in `hash_table`, keys with a NULL are left out."""
    found: set[Any] = set()
    weigh_at = FIRST_WEIGHED
    batches = iter(batches)
    for batch in batches:
        found.update(batch)
        if len(found) > weigh_at:
            weigh_at = _weighed(batch, len(found), ctx)
            if not weigh_at:
                break
    else:
        if nullable:
            found = {key for key in found if None not in key} if width > 1 else found - {None}
        return found
    whole = chain(_taken(found), batches)
    return DiskKeys(
        DiskTable(([(key, None) for key in batch] for batch in whole), width, nullable, ctx)
    )


def hash_repeats(batches: Iterable[Batch], width: int, nullable: bool, ctx: Context) -> Any:
    """`hash_table` of batches of keys, whose rows are () each: of those it is enough to know how many there are."""
    counts: Counter[Any] = Counter()
    seen, weigh_at = 0, FIRST_WEIGHED
    batches = iter(batches)
    for batch in batches:
        counts.update(batch)
        seen += len(batch)
        if seen > weigh_at:
            weigh_at = _weighed(batch, seen, ctx)
            if not weigh_at:
                break
    else:
        if nullable:
            absent = [key for key in counts if (key is None if width == 1 else None in key)]
            for key in absent:
                del counts[key]
        return {key: ((),) * count for key, count in counts.items()}
    whole = chain(_repeated(counts), batches)
    return DiskTable(([(key, ()) for key in batch] for batch in whole), width, nullable, ctx)


def _repeated(counts: Counter[Any]) -> Iterator[Batch]:
    """Each key as often as it was counted, in batches."""
    keys = counts.elements()
    while batch := [*islice(keys, CHUNK_ROWS)]:
        yield batch


def _taken(keys: set[Any]) -> Iterator[Batch]:
    """The keys in batches, taken out of the set as they go."""
    while keys:
        yield [keys.pop() for _ in range(min(len(keys), CHUNK_ROWS))]


class DiskKeys:
    """A set in a temporary file, which goes with the object."""

    __slots__ = ("_table",)

    def __init__(self, table: DiskTable) -> None:
        self._table = table

    def __contains__(self, key: Any) -> bool:
        return self._table.get(key) is not None


def _weighed(batch: Batch, count: int, ctx: Context) -> int:
    """When to look again, 0 if the limit is passed: a row costs itself, a list and a dict's slot at most."""
    allowed = ctx.memory_limit_bytes // 2 // (row_bytes(batch) + 180)
    return 0 if count >= allowed else min(2 * count, allowed)


def _emptied(table: dict[Any, list[Any]]) -> Iterator[Batch]:
    """The table's pairs in batches, taken out of it as they go."""
    while table:
        batch: Batch = []
        while table and len(batch) < CHUNK_ROWS:
            key, rows = table.popitem()
            batch += [(key, row) for row in rows]
        yield batch


class DiskTable:
    """A hash table in a temporary file, which goes with the object.

    `share`: how many such tables are to live within one memory limit."""

    def __init__(
        self,
        batches: Iterable[Batch],
        width: int,
        nullable: bool,
        ctx: Context,
        share: int = 1,
    ) -> None:
        self._file = RowFile()
        self._blocks = Chunks(self._file)
        self._firsts = array("q")
        self._cache: dict[int, dict[Any, list[Any]]] = {}
        hashed = (
            [
                (hash(key), key, row)
                for key, row in batch
                if not (nullable and (key is None if width == 1 else None in key))
            ]
            for batch in batches
        )
        by_hash = itemgetter(0)
        pending: Batch = []
        size = 0
        for batch in sorted_batches(
            hashed, [(by_hash, False)], ctx.check, ctx.memory_limit_bytes // 2
        ):
            pending += batch
            size = size or row_bytes(batch)
            at = 0
            while len(pending) - at > BLOCK_ROWS:
                cut = bisect_right(pending, pending[at + BLOCK_ROWS - 1][0], at, key=by_hash)
                if cut == len(pending):
                    break  # the last hash may go on in the next batch
                self._put(pending[at:cut])
                at = cut
            del pending[:at]
        if pending:
            self._put(pending)
        cached = ctx.memory_limit_bytes // 4 // share
        self._cache_max = max(4, cached // (BLOCK_ROWS * (size + 200) + 1))

    def _put(self, block: Batch) -> None:
        self._firsts.append(block[0][0])
        self._blocks.append([(key, row) for _, key, row in block])

    def pairs(self) -> Iterable[Batch]:
        """All (key, row), in no order."""
        return self._blocks

    def get(self, key: Any, default: Any = None) -> Any:
        """The rows of the key."""
        place = bisect_right(self._firsts, hash(key)) - 1
        if place < 0:
            return default
        block = self._cache.get(place)
        if block is None:
            block = self._load(place)
        return block.get(key, default)

    def _load(self, place: int) -> dict[Any, list[Any]]:
        cache = self._cache
        if len(cache) >= self._cache_max:
            del cache[next(iter(cache))]  # the one that came first
        block: dict[Any, list[Any]] = {}
        for key, row in self._blocks.chunk(place):
            block.setdefault(key, []).append(row)
        cache[place] = block
        return block


def kept_rows(batches: Iterable[Batch], ctx: Context) -> Any:
    """All rows, to be iterated any number of times: a list, or past the memory limit `DiskRows`."""
    rows: Batch = []
    weigh_at = FIRST_WEIGHED
    batches = iter(batches)
    with CollectorPaused():
        for batch in batches:
            rows += batch
            if len(rows) > weigh_at:
                weigh_at = _weighed(batch, len(rows), ctx)
                if not weigh_at:
                    break
        else:
            return rows
    return DiskRows(chain((rows,), batches), ctx)


class DiskRows:
    """A list of rows in a temporary file, which goes with the object."""

    def __init__(self, batches: Iterable[Batch], ctx: Context) -> None:
        self._check = ctx.check
        self._chunks = Chunks(RowFile())
        pending: Batch = []
        for batch in batches:
            pending += batch
            while len(pending) >= CHUNK_ROWS:
                self._chunks.append(pending[:CHUNK_ROWS])
                del pending[:CHUNK_ROWS]
        if pending:
            self._chunks.append(pending)

    def __len__(self) -> int:
        return self._chunks.rows

    def __iter__(self) -> Iterator[Any]:
        for rows in self._chunks:
            self._check()
            yield from rows
