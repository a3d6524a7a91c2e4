"""Recursive queries: a queue of rows, and the keys of all rows that were ever in it.

Both grow as they like, and go to disk past the memory limit: the queue's middle in chunks, a queue in order
(ORDER BY in the CTE) in sorted runs, the keys in hash tables that are written once and merged when there are
many (a log-structured merge tree: O'Neil et al., Acta Informatica 33, 1996).  What can't be written stays.
"""

from __future__ import annotations

import heapq
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Protocol

from sql.errors import SqlError
from sql.run.hashing import DiskTable
from sql.run.spill import Chunks, RowFile, Unspillable, row_bytes

if TYPE_CHECKING:
    from sql.context import Context

Row = tuple[Any, ...]
Batches = Iterable[list[Row]]

CHUNK_ROWS = 1024
FIRST_ROWS = 32
"""Rows that are handed on together at first."""
FIRST_WEIGHED = 4096
"""Rows or keys at which their memory is looked at for the first time."""
RUN_CHUNK_ROWS = 128
RUNS_MAX = 32
TABLES_MAX = 6


class Queue(Protocol):
    """The rows that are still to be looked at."""

    @property
    def is_empty(self) -> bool:
        """Whether rows may pass it by."""
        ...

    def add(self, rows: list[Row]) -> None: ...

    def take(self) -> list[Row]:
        """The next ones; none at the end."""
        ...


def recursive(
    initial: Batches,
    steps: list[Callable[[], Batches]],
    work: list[list[Row]],
    ctx: Context,
    *,
    distinct: bool,
    key: Callable[[Row], Any] | None,
    order: Callable[[Row], Any] | None,
    one_by_one: bool,
) -> Iterator[list[Row]]:
    """The rows of a recursive CTE: a queue that starts with `initial`; the steps run on what leaves it.

    `work[0]` is what the steps see.  `distinct`: rows that were seen before are dropped (UNION), by their `key`
    where equal rows may differ.
    `order`: the queue gives the least row first (ORDER BY in the CTE)."""
    queue: Queue
    if order is None:
        queue = Fifo(ctx, 1 if one_by_one else CHUNK_ROWS)
    else:
        queue = Priority(ctx, order)
    seen = Seen(ctx, key) if distinct else None
    for batch in initial:
        queue.add(batch if seen is None else seen.new(batch))
    # Rows are handed on more and more at once, so that a LIMIT does not wait for many: of a queue of one row, each
    # would be a batch.  What there is of them goes before an error, for LIMIT may end before it.
    pending: list[Row] = []
    wanted = FIRST_ROWS
    passes = order is None and not one_by_one  # whether rows may go past an empty queue
    only = steps[0] if len(steps) == 1 else None
    chunk = queue.take()
    idle = False  # whether the queue is known to be empty
    while chunk:
        pending += chunk
        if len(pending) >= wanted:
            ctx.check()
            yield pending
            pending, wanted = [], min(2 * wanted, CHUNK_ROWS)
        work[0] = chunk
        try:
            if only is None:
                made = [batch for step in steps for batch in step()]
            elif (found := only()).__class__ is list:
                made = found
            else:
                made = [*found]
        except SqlError:
            if pending:
                yield pending
            raise
        if seen is not None:
            made = [*map(seen.new, made)]
        if len(made) == 1 and passes and (idle or queue.is_empty) and len(made[0]) <= CHUNK_ROWS:
            chunk = made[0]
            idle = True
            if chunk:
                continue
        for batch in made:
            queue.add(batch)
        idle = False
        chunk = queue.take()
    if pending:
        yield pending


def _room(sample: list[Any], count: int, share: int, ctx: Context) -> int:
    """How many rows may be in memory before this is asked again, 0 if they are too many now."""
    allowed = ctx.memory_limit_bytes // share // (row_bytes(sample) + 100)
    return 0 if count >= allowed else min(2 * count, allowed)


class Fifo:
    """First in, first out: the ends in memory, what is between them on disk past the limit."""

    def __init__(self, ctx: Context, at_once: int) -> None:
        self.ctx = ctx
        self.at_once = at_once
        self.head: deque[Row] = deque()
        self.tail: list[Row] = []
        self.chunks: Chunks | None = None
        self.next = self.written = 0
        self.room = FIRST_WEIGHED

    @property
    def is_empty(self) -> bool:
        return not self.tail and not self.head and self.next == self.written

    def add(self, rows: list[Row]) -> None:
        self.tail += rows
        if len(self.tail) > self.room:
            self.room = _room(self.tail, len(self.tail), 4, self.ctx)
            if not self.room:
                self._write()

    def _write(self) -> None:
        if self.chunks is None:
            self.chunks = Chunks(RowFile())
        try:
            for at in range(0, len(self.tail), CHUNK_ROWS):
                self.chunks.append(self.tail[at : at + CHUNK_ROWS])
                self.written += 1
        except Unspillable:
            del self.tail[:at]
            self.room = sys.maxsize
        else:
            self.room = max(CHUNK_ROWS, len(self.tail) // 2)
            self.tail = []

    def take(self) -> list[Row]:
        if not self.head and self.next == self.written and len(self.tail) <= self.at_once:
            taken, self.tail = self.tail, []
            return taken
        # As many at once wherever they are: the order of a join inside of a step may depend on it.
        while len(self.head) < self.at_once:
            if self.next < self.written:
                assert self.chunks is not None
                self.head.extend(self.chunks.chunk(self.next))
                self.next += 1
            elif self.tail:
                self.head.extend(self.tail)
                self.tail = []
            else:
                break
        popleft = self.head.popleft
        return [popleft() for _ in range(min(self.at_once, len(self.head)))]


Entry = tuple[Any, int, Row]
"""A row with its place in the order: its key, and when it came."""


class Priority:
    """The least first, of equals the earliest: the least in a heap, the others on disk in sorted runs."""

    def __init__(self, ctx: Context, order: Callable[[Row], Any]) -> None:
        self.ctx = ctx
        self.order = order
        self.heap: list[Entry] = []
        self.count = 0
        self.room = FIRST_WEIGHED
        self.runs: list[Iterator[Entry]] = []
        self.fronts: list[tuple[Entry, int]] = []  # a heap of the runs' first entries

    @property
    def is_empty(self) -> bool:
        return False  # all rows are to be put in order

    def add(self, rows: list[Row]) -> None:
        for row in rows:
            heapq.heappush(self.heap, (self.order(row), self.count, row))
            self.count += 1
        if len(self.heap) > self.room:
            self.room = _room(self.heap, len(self.heap), 4, self.ctx)
            if not self.room:
                self._write()

    def take(self) -> list[Row]:
        heap, fronts = self.heap, self.fronts
        if fronts and not (heap and heap[0] < fronts[0][0]):
            entry, number = fronts[0]
            following = next(self.runs[number], None)
            if following is None:
                heapq.heappop(fronts)
            else:
                heapq.heapreplace(fronts, (following, number))
            return [entry[2]]
        return [heapq.heappop(heap)[2]] if heap else []

    def _write(self) -> None:
        """The larger half becomes a run; many runs become one."""
        self.heap.sort()
        half = len(self.heap) // 2
        entries: Iterable[Entry] = self.heap[half:]
        if len(self.fronts) >= RUNS_MAX:
            rests = [chain((entry,), self.runs[number]) for entry, number in self.fronts]
            entries = heapq.merge(entries, *rests)
            self.runs, self.fronts = [], []
        try:
            run = self._run(iter(entries))
        except Unspillable:
            self.room = sys.maxsize
            return
        del self.heap[half:]
        self.room = max(FIRST_WEIGHED // 4, half * 3 // 2)
        heapq.heappush(self.fronts, (next(run), len(self.runs)))
        self.runs.append(run)

    def _run(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        """Write sorted entries; what reads them again.  Their keys, which may be no plain values, are not
        written but made anew."""
        chunks = Chunks(RowFile())
        while chunk := [(number, row) for _, number, row in islice(entries, RUN_CHUNK_ROWS)]:
            self.ctx.check()
            chunks.append(chunk)
        return ((self.order(row), number, row) for chunk in chunks for number, row in chunk)


class Seen:
    """The keys of all rows so far: a set, and past the limit tables on disk."""

    def __init__(self, ctx: Context, key: Callable[[Row], Any] | None) -> None:
        self.ctx = ctx
        self.key = key
        self.fresh: set[Any] = set()
        self.tables: list[DiskTable] = []
        self.room = FIRST_WEIGHED

    def new(self, rows: list[Row]) -> list[Row]:
        """Those of the rows that are seen for the first time."""
        fresh, key = self.fresh, self.key
        found = []
        for row, seen in zip(rows, rows if key is None else map(key, rows), strict=True):
            if seen in fresh or (
                self.tables and any(table.get(seen) is not None for table in self.tables)
            ):
                continue
            fresh.add(seen)
            found.append(row)
        if len(fresh) > self.room:
            sample = list(islice(fresh, 32))
            self.room = _room(sample, len(fresh), 4, self.ctx)
            if not self.room:
                self._write()
        return found

    def _write(self) -> None:
        keys = list(self.fresh)
        self.fresh.clear()
        batches: Iterable[list[Any]] = (
            [(key, None) for key in keys[at : at + CHUNK_ROWS]]
            for at in range(0, len(keys), CHUNK_ROWS)
        )
        if len(self.tables) >= TABLES_MAX:
            batches = chain(batches, *[table.pairs() for table in self.tables])
            self.tables = []
        table = DiskTable(batches, 1, False, self.ctx, share=TABLES_MAX)
        self.tables.append(table)
        self.room = max(FIRST_WEIGHED // 4, len(keys) // 2)
