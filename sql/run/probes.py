"""Look-ups of a join for a whole batch: what becomes of the list of keys.

    found, columns = probe(keys)

`found` tells which of the keys have a match, None that all have; `columns` are of those that have: the rows of a
hash table, nothing where a match is all that is asked for, or columns of a table by rowid.  No statement of ours runs
for a key: `map(table.get, keys)` takes 30 ns a key, and where the keys are small integers as most primary keys are,
so that the table can be a list, `itemgetter(*keys)(table)` takes 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import compress
from operator import itemgetter, not_
from typing import Any

from btree import Tree
from sql.context import Context

Probe = Callable[[Sequence[Any]], tuple[Sequence[Any] | None, tuple[Sequence[Any], ...]]]

GAPS_MAX, BYTE_GAPS_MAX = 8, 64
"""A list may have so many places for each key that is there, a list of bytes so many."""
_LIST_MIN = 4096


def _list_size(keys: Iterable[Any], gaps_max: int) -> int:
    """How long a list has to be that has a place for each of the keys; 0 if they are no integers for that.

    Its second half is for negative numbers, which count from its end."""
    listed = [*keys]
    if not listed or {*map(type, listed)} != {int} or min(listed) < 0:
        return 0
    size = max(listed) + 1
    return 2 * size if size <= gaps_max * len(listed) + _LIST_MIN else 0


def _all_of(keys: Sequence[Any], places: Sequence[Any]) -> Sequence[Any]:
    """What is at those places, if these are places at all."""
    found: Sequence[Any] = itemgetter(*keys)(places) if len(keys) > 1 else [places[keys[0]]]
    return found


def rows_of(table: Any) -> Probe:
    """The probe of a hash table of unique keys, whose rows are tuples."""
    get = table.get
    listed: list[Any] = []
    left = [len(table) // 2 if isinstance(table, dict) else 1 << 62]  # keys until a list pays

    def rows_at(keys: Sequence[Any]) -> Sequence[Any]:
        if listed:
            try:
                return _all_of(keys, listed)
            except (IndexError, TypeError):
                return list(map(get, keys))
        if left[0] >= 0:
            left[0] -= len(keys)
            if left[0] < 0:
                listed.extend([None] * _list_size(table, GAPS_MAX))
                if listed:
                    for key, row in table.items():
                        listed[key] = row
        return list(map(get, keys))

    def probe(keys: Sequence[Any]) -> tuple[Sequence[Any] | None, tuple[Sequence[Any], ...]]:
        rows = rows_at(keys)
        there = list(filter(None, rows))
        return (None if len(there) == len(rows) else rows), (there,)

    return probe


def members_of(keys: Any, wanted: bool) -> Probe:
    """The probe of a set of keys: of a semi-join, or of an anti-join, where those are not `wanted`."""
    has = keys.__contains__
    flags = bytearray(_list_size(keys, BYTE_GAPS_MAX) if isinstance(keys, set) else 0)
    if flags:
        for key in keys:
            flags[key] = 1

    def probe(keys: Sequence[Any]) -> tuple[Sequence[Any] | None, tuple[Sequence[Any], ...]]:
        found: Sequence[Any] | None = None
        if flags:
            with suppress(IndexError, TypeError):
                found = _all_of(keys, flags)
        if found is None:
            found = list(map(has, keys))
        return (found if wanted else list(map(not_, found))), ()

    return probe


def columns_at(tree: Tree, columns: tuple[int, ...], ctx: Context) -> Probe:
    """The probe of a large part of a table's rowids, which are no NULLs: columns of the rows.

    Where no rowid is missing, a rowid's place in a column is its distance from the first: the columns are
    laid end to end, and a look-up is a subscript, in whatever order they come."""
    laid_out: list[list[Any]] = []
    low = 0

    def lay_out() -> None:
        nonlocal low
        first, last = tree.first(), tree.last()
        room = 8 * len(tree) * len(columns) <= ctx.memory_limit_bytes // 4
        if not room or first is None or last is None or last[0] - first[0] != len(tree) - 1:
            return
        low = first[0]
        before = (
            [None] * low if 0 < low <= _LIST_MIN else []
        )  # then no rowid is to be counted from it
        laid_out.extend([[*before] for _ in columns])
        for lists in tree.column_batches(columns):
            ctx.check()
            for column, values in zip(laid_out, lists, strict=True):
                column += values

    def picked(keys: Sequence[int]) -> tuple[Sequence[Any], ...] | None:
        if min(keys) < low:
            return None
        try:
            places = keys if 0 <= low <= _LIST_MIN else [key - low for key in keys]
            return tuple([_all_of(places, column) for column in laid_out])
        except IndexError:
            return None

    asked = False

    def probe(keys: Sequence[Any]) -> tuple[Sequence[Any] | None, tuple[Sequence[Any], ...]]:
        nonlocal asked
        if not asked:
            asked = True
            lay_out()
        made = picked(keys) if laid_out and keys else None
        if made is not None:
            return None, made
        rows = tree.get_many(keys)
        there = list(filter(None, rows))
        return rows, tuple([[row[at] for row in there] for at in columns])

    return probe


def probed(
    batch: tuple[Sequence[Any], ...],
    places: Sequence[int],
    probes: Sequence[tuple[int, Probe]],
) -> tuple[Sequence[int], list[Sequence[Any]]]:
    """Those of the places in a batch that have matches in all probes (of the keys in the columns at their
    numbers), and the columns that come with these."""
    joined: list[Sequence[Any]] = []
    for at, probe in probes:
        keys = batch[at]
        if len(places) < len(keys):
            keys = itemgetter(*places)(keys) if len(places) > 1 else [keys[places[0]]]
        found, columns = probe(keys)
        if found is not None:
            places = list(compress(places, found))
            joined = [list(compress(column, found)) for column in joined]
        joined += columns
        if not places:
            break
    return places, joined
