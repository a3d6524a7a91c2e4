"""What happens to batches of rows behind the join: distinct, limit, and the ends of pipelines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from btree import CollectorPaused, order_key
from sql.errors import ConstraintError
from sql.run.partitions import FIRST_ROOM, PARTITIONS, Partitions, overfull
from sql.run.set_operations import sorted_operation
from sql.run.sorting import Row
from sql.run.spill import row_bytes

if TYPE_CHECKING:
    from sql.context import Context

Batches = Iterable[list[Row]]

BATCH_ROWS = 1024


def first_batch(rows: Iterable[Row], check: Callable[[], None], wanted: int) -> Batches:
    """As many of a stream of rows as are `wanted`; all in batches where that is unknown or many.

    Few are a list: a session gives back what it has, and keeps its reader, without a look at the stream's end."""
    if not 0 <= wanted <= BATCH_ROWS:
        return batched(rows, check)
    check()
    batch = list(islice(rows, wanted))
    return [batch] if batch else []


def batched(rows: Iterable[Row], check: Callable[[], None]) -> Iterator[list[Row]]:
    """A stream of rows in batches."""
    rows = iter(rows)
    while batch := list(islice(rows, BATCH_ROWS)):
        check()
        yield batch


def distinct_rows(batches: Batches, ctx: Context | None = None) -> Iterator[list[Row]]:
    """Each row once, the first of equals.  Buffers every distinct row, on disk past `ctx`'s memory limit."""
    return _distinct(batches, None, ctx, 0)


def distinct_keys(
    batches: Batches, key: Callable[[Row], Any], ctx: Context | None = None
) -> Iterator[list[Row]]:
    """Like `distinct_rows`, rows being equal when their keys are."""
    return _distinct(batches, key, ctx, 0)


def distinct_values(batches: Iterable[list[Any]], ctx: Context) -> Iterator[list[Row]]:
    """Rows of one column, each once, of batches of bare values: to look up a value takes half of what it
    takes to look up its row."""
    return _distinct(batches, None, ctx, 0, bare=True)


def _distinct(
    batches: Batches,
    key: Callable[[Row], Any] | None,
    ctx: Context | None,
    depth: int,
    *,
    bare: bool = False,
) -> Iterator[list[Row]]:
    """Past the limit, rows that are not known go to partitions by hash, which are treated alike.

    `bare`: the batches are of values that stand for rows of one column."""
    seen: set[Any] = set()
    room = sys.maxsize if ctx is None else FIRST_ROOM
    partitions: Partitions | None = None
    try:
        for batch in batches:
            if key is None:
                if seen.issuperset(batch):
                    continue
                new = [row for row in dict.fromkeys(batch) if row not in seen]
                keys: list[Any] = new
                if bare:
                    new = list(zip(keys, strict=True))
            else:
                fresh: dict[Any, Row] = {}
                for row in batch:
                    fresh.setdefault(key(row), row)
                keys = [folded for folded in fresh if folded not in seen]
                new = [fresh[folded] for folded in keys]
            if partitions is not None:
                for folded, row in zip(keys, new, strict=True):
                    partitions.add(folded, row)
            elif new:
                seen.update(keys)
                yield new
                if ctx is not None and len(seen) > room:
                    room, partitions = overfull(seen, ctx, depth)
        if partitions is not None:
            seen.clear()
            for place in range(PARTITIONS):
                rows = partitions.partition(place)
                yield from _distinct(rows, _the_value if bare else key, ctx, depth + 1)
    finally:
        if partitions is not None:
            partitions.close()


def _the_value(row: Row) -> Any:
    return row[0]


def limit_of(value: Any, *, missing: int) -> int:
    """The value of LIMIT or OFFSET; `missing` for a negative one."""
    if value.__class__ is str:
        from sql.values import text_to_number

        value = text_to_number(value)
    if value.__class__ is float and value == value // 1:
        value = int(value)
    if value.__class__ is not int:
        raise ConstraintError("datatype mismatch", kind="MISMATCH")
    return value if value >= 0 else missing


def limited(batches: Batches, limit: Any, offset: Any) -> Batches:
    """Rows from `offset` on, at most `limit` of them; a list of the one batch that there is stays a list."""
    skip = limit_of(offset, missing=0)
    left = limit_of(limit, missing=1 << 62)
    if batches.__class__ is list and len(batches) <= 1:
        taken = [batch[skip : skip + left] for batch in batches]
        return taken if taken and taken[0] else []
    return _limited(batches, skip, left)


def _limited(batches: Batches, skip: int, left: int) -> Iterator[list[Row]]:
    if left == 0:
        return
    for batch in batches:
        if skip:
            if skip >= len(batch):
                skip -= len(batch)
                continue
            batch = batch[skip:]
            skip = 0
        if len(batch) >= left:
            yield batch[:left]
            return
        left -= len(batch)
        yield batch


def stripped(batches: Batches, width: int) -> Iterator[list[Row]]:
    """The first `width` columns: what was only sorted by falls away."""
    for batch in batches:
        yield [row[:width] for row in batch]


def first_value(batches: Batches, column: int) -> Any:
    """A column of the first row; NULL if there is none."""
    for batch in batches:
        for row in batch:
            _close(batches)
            return row[column]
    return None


def any_row(batches: Batches) -> bool:
    """Whether there is a row at all."""
    for batch in batches:
        if batch:
            _close(batches)
            return True
    return False


def _close(batches: Any) -> None:
    close = getattr(batches, "close", None)
    if close is not None:
        close()


def chained(left: Batches, right: Batches) -> Batches:
    """UNION ALL; of two lists, which are all of the arms' rows already, a list of one batch."""
    if left.__class__ is list and right.__class__ is list:
        rows = [row for batches in (left, right) for batch in batches for row in batch]
        return [rows] if rows else []
    return _chained(left, right)


def _chained(left: Batches, right: Batches) -> Iterator[list[Row]]:
    yield from left
    yield from right


def set_operation(
    operator: str,
    left: Batches,
    right: Batches,
    key: Callable[[Row], Any] | None,
    *,
    sorted_after: bool,
    ctx: Context | None = None,
) -> Iterator[list[Row]]:
    """UNION, INTERSECT or EXCEPT; rows come in their own order, as from SQLite's sorter.

    Which of equal rows (1 and 1.0, or of texts under a collation) is shown is as in SQLite: the last
    one that went into its index; but where ORDER BY makes it merge sorted arms (`sorted_after`) the
    first of its arm, and of a UNION the right arm's.  Buffers both arms' distinct rows; past `ctx`'s
    memory limit they are sorted on disk."""
    rows: dict[Any, Row] = {}
    others: dict[Any, Row] = {}
    for into, batches in ((rows, iter(left)), (others, iter(right))):
        with CollectorPaused():
            is_whole = _taken_in(batches, into, key, sorted_after, rows, ctx)
        if not is_whole:
            assert ctx is not None
            rest = (batches, iter(right)) if into is rows else (iter(()), batches)
            arms = ((rows, rest[0]), (others, rest[1]))
            yield from sorted_operation(operator, arms, key, first=sorted_after, ctx=ctx)
            return
    if operator == "UNION":
        rows.update(others)
    elif operator == "INTERSECT":
        rows = {folded: row for folded, row in rows.items() if folded in others}
    else:
        rows = {folded: row for folded, row in rows.items() if folded not in others}
    found = list(rows)
    try:
        found.sort()
    except TypeError:
        found.sort(key=order_key)
    result = [rows[folded] for folded in found]
    if result:
        yield result


def _taken_in(
    batches: Iterator[list[Row]],
    into: dict[Any, Row],
    key: Callable[[Row], Any] | None,
    first: bool,
    before: dict[Any, Row],
    ctx: Context | None,
) -> bool:
    """Put rows under their keys, the first or the last of equals; False if the memory limit is passed.

    `before` is what has been taken in already (or `into` itself)."""
    room = sys.maxsize if ctx is None else FIRST_ROOM
    for batch in batches:
        keys: Iterable[Any] = batch if key is None else map(key, batch)
        if first:
            for folded, row in zip(keys, batch, strict=True):
                into.setdefault(folded, row)
        else:
            into.update(zip(keys, batch, strict=True))
        held = len(into) if before is into else len(into) + len(before)
        if held > room and ctx is not None:
            allowed = ctx.memory_limit_bytes // 3 // (row_bytes(batch) + 150)
            if held > allowed:
                return False
            room = min(2 * held, allowed)
    return True
