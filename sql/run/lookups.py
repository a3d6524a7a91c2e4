"""Look-ups of joins: by an index, and in hash tables of unique keys: key -> the row, no list around it.

Such a table costs a join a third of what a dict of lists does, to build and to probe.  Past the memory
limit it goes to disk as the others do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from btree import Tree
from sql.context import Context
from sql.run.hashing import DiskTable
from sql.run.ranges import fetched, key_span, rows_of
from sql.run.spill import row_bytes


def index_rows(
    tree: Tree,
    check: Callable[[], None],
    prefix: tuple[Any, ...],
    get_many: Callable[[list[Any]], list[Any]],
    at: int,
) -> Iterable[Any]:
    """The rows of the rowids (at `at`) of an index's keys that start with `prefix`, in their order."""
    keys = tree.prefixed(prefix)
    if keys is None:
        return rows_of(fetched(key_span(tree, check, prefix), get_many, at))
    return get_many([key[at] for key in keys]) if keys else ()


FIRST_WEIGHED = 4096
"""Rows at which their memory is looked at for the first time."""
_SLOT_BYTES = 100
_CHUNK_ROWS = 1024


def unique_table(batches: Iterable[Any], ctx: Context) -> Any:
    """What has `.get(key, default)`: the row of the key.  NULL is no key.

    A batch is anything that `dict.update` takes: a dict, or pairs."""
    table: dict[Any, Any] = {}
    weigh_at = FIRST_WEIGHED
    batches = iter(batches)
    for batch in batches:
        table.update(batch)
        if len(table) > weigh_at:
            weigh_at = _weighed(table, ctx)
            if not weigh_at:
                return _OneRow(DiskTable(_pairs(table, batches), 1, True, ctx))
    table.pop(None, None)
    return table


def _weighed(table: dict[Any, Any], ctx: Context) -> int:
    """When to look again, 0 if half of the limit is taken."""
    sample = list(islice(reversed(table.values()), 64))
    allowed = ctx.memory_limit_bytes // 2 // (row_bytes(sample) + _SLOT_BYTES)
    return 0 if len(table) >= allowed else min(2 * len(table), allowed)


def _pairs(table: dict[Any, Any], batches: Iterator[Any]) -> Iterator[list[Any]]:
    """All pairs in batches; the table is emptied as they go."""
    while table:
        yield [table.popitem() for _ in range(min(len(table), _CHUNK_ROWS))]
    for batch in batches:
        yield list(batch.items() if isinstance(batch, dict) else batch)


class _OneRow:
    """A table of lists of rows, of which each has one."""

    __slots__ = ("_table",)

    def __init__(self, table: DiskTable) -> None:
        self._table = table

    def get(self, key: Any, default: Any = None) -> Any:
        """The row of the key."""
        rows = self._table.get(key)
        return rows[0] if rows else default
