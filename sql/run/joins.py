"""FULL and RIGHT joins of two materialised sides, and recursive queries."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from sql.run.hashing import hash_table, kept_rows
from sql.run.sorting import in_batches

if TYPE_CHECKING:
    from sql.context import Context

Row = tuple[Any, ...]
Batches = Iterable[list[Row]]
CHUNK_ROWS = 1024


def outer_joined(
    left: Batches,
    right: Batches,
    matches: Callable[[Row, Row], Any],
    left_key: Callable[[Row], Any] | None,
    right_key: Callable[[Row], Any] | None,
    left_width: int,
    right_width: int,
    full: bool,
    ctx: Context,
) -> Iterator[list[Row]]:
    """Matching pairs and left rows without a match, as the left rows come; of a FULL join then right ones.

    With keys (a hash of the right side) only rows of equal keys are tried.  The right side is buffered,
    on disk past the memory limit."""
    nulls_left, nulls_right = (None,) * left_width, (None,) * right_width
    used = bytearray()

    def numbered() -> Iterator[list[Any]]:
        for batch in right:
            pairs = list(enumerate(batch, len(used)))
            used.extend(bytes(len(batch)))
            yield pairs

    everything = kept_rows(numbered(), ctx)
    table: Any = None
    if right_key is not None:
        keyed = (
            [(right_key(row), (place, row)) for place, row in batch]
            for batch in (in_batches(everything, ctx.check))
        )
        table = hash_table(keyed, 1, False, ctx)
    out: list[Row] = []
    for batch in left:
        for row in batch:
            found = False
            if left_key is None:
                candidates = everything
            else:
                candidates = table.get(left_key(row), ())
            for place, other in candidates:
                if matches(row, other):
                    found = True
                    used[place] = 1
                    out.append(row + other)
            if not found:
                out.append(row + nulls_right)
            if len(out) >= CHUNK_ROWS:
                yield out
                out = []
            ctx.check()
    if full:
        for place, row in everything:
            if not used[place]:
                out.append(nulls_left + row)
                if len(out) >= CHUNK_ROWS:
                    yield out
                    out = []
    if out:
        yield out


def recursive(
    initial: Batches,
    steps: list[Callable[[], Batches]],
    work: list[list[Row]],
    check: Callable[[], None],
    *,
    distinct: Callable[[Row], Any] | None,
    order: Callable[[Row], Any] | None,
    one_by_one: bool,
) -> Iterator[list[Row]]:
    """The rows of a recursive CTE: a queue that starts with `initial`; the steps run on what leaves it.

    `work[0]` is what the steps see.  `distinct`: rows whose key was seen before are dropped (UNION).
    `order`: the queue gives the least row first (ORDER BY in the CTE)."""
    seen: set[Any] = set()
    numbers = count()
    queue: deque[Row] = deque()
    heap: list[tuple[Any, int, Row]] = []

    def add(rows: Iterable[Row]) -> None:
        for row in rows:
            if distinct is not None:
                key = distinct(row)
                if key in seen:
                    continue
                seen.add(key)
            if order is None:
                queue.append(row)
            else:
                heapq.heappush(heap, (order(row), next(numbers), row))

    for batch in initial:
        add(batch)
    while queue or heap:
        check()
        if order is not None:
            chunk = [heapq.heappop(heap)[2]]
        elif one_by_one:
            chunk = [queue.popleft()]
        else:
            chunk = [queue.popleft() for _ in range(min(len(queue), CHUNK_ROWS))]
        yield chunk
        made: list[list[Row]] = []
        for step in steps:
            work[0] = chunk
            made += list(step())
        for batch in made:
            add(batch)
