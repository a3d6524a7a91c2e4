"""FULL and RIGHT joins of two materialised sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
