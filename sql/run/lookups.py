"""Look-ups of joins: by key or index, of one row or of many at once; and in hash tables of unique keys.

Many at once: the rows before a level are gathered, the keys that they look for are sorted, and the tree is
walked once for all of them (see `btree.lookups`), in order.  Where those rows come in order of the key this is
a merge join; where they don't, it is what a merge join does behind a sort, in chunks that fit the caches.

A hash table of unique keys has key -> the row, no list around it.  It costs a join a third of what a dict of lists
does, to build and to probe.  Past the memory limit it goes to disk as the others do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import compress, islice
from operator import lt
from typing import Any

from btree import CollectorPaused, Tree, order_key
from sql.context import Context
from sql.run.hashing import DiskTable, hash_keys, kept_rows
from sql.run.probes import MembersOf, Probe
from sql.run.ranges import fetched, key_span, led_to, rows_of
from sql.run.sorting import in_batches
from sql.run.spill import row_bytes

RowsGetter = Callable[[list[Any]], list[Any]]
"""`get_many` of a table, of all columns or of those that are wanted."""


def index_rows(
    tree: Tree,
    check: Callable[[], None],
    prefix: tuple[Any, ...],
    table: Tree,
    get_many: RowsGetter,
) -> Iterable[Any]:
    """The rows of a rowid table that an index's keys that start with `prefix` lead to, in their order."""
    rowids = tree.last_parts(prefix)
    if rowids is None:
        return rows_of(fetched(key_span(tree, check, prefix), get_many, -1))
    if len(rowids) == 1:
        return led_to(rowids, [table.get(rowids[0])])
    return led_to(rowids, get_many(rowids)) if rowids else ()


def index_batches(
    tree: Tree,
    check: Callable[[], None],
    prefix: tuple[Any, ...],
    get_many: RowsGetter,
) -> Iterable[tuple[Any, list[Any]]]:
    """The same in the shape of a tree's batches."""
    rowids = tree.last_parts(prefix)
    if rowids is None:
        return fetched(key_span(tree, check, prefix), get_many, -1)
    return ((rowids, led_to(rowids, get_many(rowids))),) if rowids else ()


FIRST_GATHERED = 128
GATHERED_MAX = 1 << 14
"""Rows that are looked up at once: few at first, so that a LIMIT does not wait for many."""


def gathered(batches: Iterable[list[Any]]) -> Iterator[list[Any]]:
    """The rows in batches that grow."""
    wanted = FIRST_GATHERED
    pending: list[Any] = []
    for batch in batches:
        pending += batch
        while len(pending) >= wanted:
            if len(pending) < 2 * wanted:
                yield pending
                pending = []
            else:
                yield pending[:wanted]
                del pending[:wanted]
            wanted = min(4 * wanted, GATHERED_MAX)
    if pending:
        yield pending


def rows_by_key(
    batches: Iterable[list[Any]],
    keys_of: Callable[[list[Any]], list[Any]],
    get_many: Callable[[list[Any]], list[Any]],
    check: Callable[[], None],
) -> Iterator[tuple[list[Any], list[Any]]]:
    """(rows, for each of them the one that it looks up by key, or None)."""
    for outer in gathered(batches):
        check()
        yield outer, get_many(keys_of(outer))


def columns_by_key(
    batches: Iterable[list[Any]],
    keys_of: Callable[[list[Any]], list[Any]],
    tree: Tree,
    columns: tuple[int, ...],
    ctx: Context,
) -> Iterator[tuple[list[Any], list[Any]]]:
    """`rows_by_key` for a large part of a table's rowids: tuples of `columns` of the rows.

    Where no rowid is missing, a rowid's place in a column is its distance from the first: the columns are
    laid end to end, and a look-up is a subscript, in whatever order they come."""
    first, last = tree.first(), tree.last()
    room = 8 * len(tree) * len(columns) <= ctx.memory_limit_bytes // 4
    if not room or first is None or last is None or last[0] - first[0] != len(tree) - 1:
        for outer, rows in rows_by_key(batches, keys_of, tree.get_many, ctx.check):
            made = [None if row is None else tuple([row[at] for at in columns]) for row in rows]
            yield outer, made
        return
    low, high = first[0], last[0]
    whole: list[list[Any]] = [[] for _ in columns]
    for lists in tree.column_batches(columns):
        ctx.check()
        for column, values in zip(whole, lists, strict=True):
            column += values
    for outer in batches:
        ctx.check()
        keys = keys_of(outer)
        places = [key - low if key is not None and low <= key <= high else -1 for key in keys]
        picked: list[Any] = [
            *zip(*[[column[at] for at in places] for column in whole], strict=True)
        ]
        if -1 in places:
            picked = [None if at < 0 else row for at, row in zip(places, picked, strict=True)]
        yield outer, picked


def matched_rows(
    batches: Iterable[list[Any]],
    keys_of: Callable[[list[Any]], list[Any]],
    found: Callable[[Probe], Iterable[list[Any]]],
    ctx: Context,
) -> Iterator[tuple[list[Any], list[bool]]]:
    """(rows, whether each has a match): of the keys that `found` gives, asked for those of all rows."""
    rows = kept_rows(batches, ctx)
    wanted = hash_keys((keys_of(batch) for batch in in_batches(rows, ctx.check)), 1, True, ctx)
    has = hash_keys(found(MembersOf(wanted, True)), 1, True, ctx).__contains__
    for batch in in_batches(rows, ctx.check):
        yield batch, list(map(has, keys_of(batch)))


def lists_by_prefix(
    batches: Iterable[list[Any]],
    prefixes_of: Callable[[list[Any]], list[tuple[Any, ...]]],
    prefixed_many: Callable[[list[tuple[Any, ...]]], list[list[Any]]],
    fetch: Callable[[list[list[Any]]], list[list[Any]]] | None,
    check: Callable[[], None],
) -> Iterator[tuple[list[Any], list[Any]]]:
    """(rows, for each of them the list of what it looks up by the start of a key)."""
    for outer in gathered(batches):
        check()
        with CollectorPaused():
            prefixes = prefixes_of(outer)
            wanted = _ascending(prefixes)
            found = prefixed_many(wanted)
            if fetch is not None:
                found = fetch(found)
            if wanted is not prefixes:
                get = dict(zip(wanted, found, strict=True)).get
                found = [get(prefix) or [] for prefix in prefixes]
        yield outer, found


def matches_by_prefix(
    batches: Iterable[list[Any]],
    prefixes_of: Callable[[list[Any]], list[tuple[Any, ...]]],
    prefixes_present: Callable[[list[tuple[Any, ...]]], list[bool]],
    check: Callable[[], None],
) -> Iterator[tuple[list[Any], list[bool]]]:
    """(rows, for each of them whether a key starts with what it looks for)."""
    for outer in gathered(batches):
        check()
        prefixes = prefixes_of(outer)
        wanted = _ascending(prefixes)
        found = prefixes_present(wanted)
        if wanted is not prefixes:
            present = {*compress(wanted, found)}
            found = [prefix in present for prefix in prefixes]
        yield outer, found


def _ascending(prefixes: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The distinct ones in order, without those that hold a NULL, which equals nothing."""
    try:
        if all(map(lt, prefixes, islice(prefixes, 1, None))):
            # Of single values a NULL could only be the first: it compares with nothing.
            among = prefixes if len(prefixes[0]) > 1 else prefixes[:1]
            if not any(None in prefix for prefix in among):
                return prefixes
    except TypeError:  # of several kinds
        pass
    distinct = [prefix for prefix in set(prefixes) if None not in prefix]
    try:
        return sorted(distinct)
    except TypeError:
        return sorted(distinct, key=order_key)


def fetching(
    get_many: Callable[[list[Any]], list[Any]], at: int | slice
) -> Callable[[list[list[Any]]], list[list[Any]]]:
    """Lists of a table's rows for lists of an index's keys, which hold the table's key at `at`."""

    def fetch(found: list[list[Any]]) -> list[list[Any]]:
        wanted = [key[at] for keys in found for key in keys]
        rows = led_to(wanted, get_many(wanted))
        lists = []
        start = 0
        for keys in found:
            stop = start + len(keys)
            lists.append(rows[start:stop])
            start = stop
        return lists

    return fetch


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
    with CollectorPaused():
        for batch in batches:
            table.update(batch)
            if len(table) > weigh_at:
                weigh_at = _weighed(table, ctx)
                if not weigh_at:
                    break
        else:
            table.pop(None, None)
            return table
    return _OneRow(DiskTable(_pairs(table, batches), 1, True, ctx))


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
