"""Look-ups of a join for a whole batch: what becomes of the list of keys.

    found, columns = probe(keys)

`found` tells which of the keys have a match, None that all have; `columns` are of those that have: the rows of a
hash table, nothing where a match is all that is asked for, or columns of a table by rowid.  No statement of ours runs
for a key: `map(table.get, keys)` takes 30 ns a key, and where the keys are small integers as most primary keys are,
so that the table can be a list, `itemgetter(*keys)(table)` takes 6.

Where equal keys lie together, as those of rows do that were inserted with what they refer to, a column that is kept
remembers its runs of them, and each run is looked up once: see `near`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain, compress, islice
from operator import itemgetter, ne, not_
from typing import Any, Literal

from msgspec import Struct

from btree import Column, Tree, as_it_lies
from sql.context import Context

Probe = Callable[[Sequence[Any]], tuple[Sequence[Any] | None, tuple[Sequence[Any], ...]]]

GAPS_MAX, BYTE_GAPS_MAX = 8, 64
"""A list may have so many places for each key that is there, a list of bytes so many."""
_LIST_MIN = 4096
_SAMPLE = 64
_RUN_MIN = 2
"""Values that a run has on average, for runs to be kept."""
_RUN_BYTES = 24
_RUNS_SHARE = 3
"""Asking for a run takes a third of what picking a row's key and asking for that does."""


def _list_size(keys: Iterable[Any], gaps_max: int) -> int:
    """How long a list has to be that has a place for each of the keys; 0 if they are no integers for that.

    Its second half is for negative numbers, which count from its end."""
    listed = [*keys]
    if not listed or {*map(type, listed)} != {int} or min(listed) < 0:
        return 0
    size = max(listed) + 1
    return 2 * size if size <= gaps_max * len(listed) + _LIST_MIN else 0


def _all_of(keys: Sequence[Any], places: Sequence[Any]) -> Sequence[Any]:
    """What is at those places, if these are places at all: IndexError or TypeError if not."""
    if keys and min(keys) < -(len(places) // 2):
        raise IndexError  # so far from the end that it would be a place of the first half
    found: Sequence[Any] = itemgetter(*keys)(places) if len(keys) > 1 else [places[keys[0]]]
    return found


class RowsOf:
    """The probe of a hash table of unique keys, whose rows are tuples."""

    __slots__ = ("_keys_left", "_listed", "_members", "_table")

    def __init__(self, table: Any) -> None:
        self._table = table
        self._listed: list[Any] = []
        # Keys until a list pays.
        self._keys_left = len(table) // 2 if isinstance(table, dict) else 1 << 62
        self._members: MembersOf | None = None

    def members(self) -> MembersOf | None:
        """The probe for whether there is a row; None where that takes as long."""
        if self._members is None and isinstance(self._table, dict):
            self._members = MembersOf(self._table, True)
        return self._members

    def _rows_at(self, keys: Sequence[Any]) -> Sequence[Any]:
        table, listed = self._table, self._listed
        if listed:
            try:
                return _all_of(keys, listed)
            except (IndexError, TypeError):
                return list(map(table.get, keys))
        if self._keys_left >= 0:
            self._keys_left -= len(keys)
            if self._keys_left < 0:
                listed.extend([None] * _list_size(table, GAPS_MAX))
                if listed:
                    for key, row in table.items():
                        listed[key] = row
        return list(map(table.get, keys))

    def __call__(
        self, keys: Sequence[Any]
    ) -> tuple[Sequence[Any] | None, tuple[Sequence[Any], ...]]:
        rows = self._rows_at(keys)
        there = list(filter(None, rows))
        return (None if len(there) == len(rows) else rows), (there,)


class MembersOf:
    """The probe of a set of keys: of a semi-join, or of an anti-join, where those are not `wanted`."""

    __slots__ = ("_flags", "_has", "_wanted")

    def __init__(self, keys: Any, wanted: bool) -> None:
        self._has = keys.__contains__
        self._wanted = wanted
        in_memory = isinstance(keys, (set, frozenset, dict))
        self._flags = bytearray(_list_size(keys, BYTE_GAPS_MAX) if in_memory else 0)
        for key in keys if self._flags else ():
            self._flags[key] = 1

    def members(self) -> MembersOf | None:
        """The probe itself."""
        return self

    def __call__(
        self, keys: Sequence[Any]
    ) -> tuple[Sequence[Any] | None, tuple[Sequence[Any], ...]]:
        found: Sequence[Any] | None = None
        if self._flags:
            with suppress(IndexError, TypeError):
                found = _all_of(keys, self._flags)
        return self._told(list(map(self._has, keys)) if found is None else found), ()

    def of_runs(self, runs: Runs) -> Sequence[Any]:
        """Whether each of the runs has what is wanted."""
        if self._flags and 0 <= runs.first < len(self._flags) // 2 - len(runs.values):
            return self._told(self._flags[runs.first : runs.first + len(runs.values)])
        if self._flags and runs.pick is not None:
            with suppress(IndexError, TypeError):
                if min(runs.values) >= -(len(self._flags) // 2):
                    return self._told(runs.pick(self._flags))
        return self._told(list(map(self._has, runs.values)))

    def _told(self, found: Sequence[Any]) -> Sequence[Any]:
        return found if self._wanted else list(map(not_, found))


class Runs(Struct):
    """Where a batch's values lie together: of each run its value and its first place, and where the last one ends.

    `pick`: `itemgetter` of the values, which takes as long to make as to use; `first`: of integers that follow on
    each other, as where no row that is referred to goes without, the first one; else -1."""

    values: list[Any]
    starts: list[int]
    pick: Callable[[Any], tuple[Any, ...]] | None
    first: int


def runs_of(column: Sequence[Any]) -> Runs | None:
    """The runs of a column that is kept, where there are far fewer than values."""
    if not isinstance(column, Column):
        return None
    known = column.derived("runs")
    if known is None and column.is_to_stay:
        known = _runs(column)
        column.keep("runs", known, _RUN_BYTES * len(known.values) if known else 0)
    return known if isinstance(known, Runs) else None


def _runs(column: Column) -> Runs | Literal[False]:
    sample = column[:_SAMPLE]
    if sum(map(ne, sample, sample[1:])) * _RUN_MIN > len(sample):
        return False
    starts = [0, *compress(range(1, len(column)), map(ne, column, islice(column, 1, None)))]
    if len(starts) * _RUN_MIN > len(column):
        return False
    values = [column[start] for start in starts]
    pick, first = None, -1
    if len(values) > 1 and {*map(type, values)} == {int}:
        pick = itemgetter(*values)
        if values == [*range(values[0], values[0] + len(values))]:
            first = values[0]
    starts.append(len(column))
    return Runs(values, starts, pick, first)


def _places(runs: Runs, found: Sequence[Any]) -> list[int]:
    """The places of the runs that are found."""
    starts, ends = runs.starts, islice(runs.starts, 1, None)
    return list(chain.from_iterable(map(range, compress(starts, found), compress(ends, found))))


def near(
    batch: tuple[Sequence[Any], ...], probes: Sequence[tuple[int, Probe]], count: int
) -> tuple[list[int], Sequence[tuple[int, Probe]]] | None:
    """The places in a batch of the rows for which the first of the probes that can tell has something, if its keys
    lie in runs, of which there are not many more than the `count` of rows that are asked for, and the probes that
    are still to be made; else None."""
    for number, (at, probe) in enumerate(probes):
        if not isinstance(probe, (RowsOf, MembersOf)):
            continue
        runs = runs_of(batch[at])
        if runs is None or len(runs.values) > _RUNS_SHARE * count:
            continue
        members = probe.members()
        if members is None:
            continue
        places = _places(runs, members.of_runs(runs))
        if members is probe:
            probes = [*probes[:number], *probes[number + 1 :]]
        return places, probes
    return None


def _longer(column: Any, values: Sequence[Any], before: int) -> Sequence[Any]:
    """A column with more values: an array as long as all values are numbers in arrays of one kind.  Its first `before`
    places are no values."""
    if isinstance(values, array):
        if len(column) == before:
            column = array(values.typecode, bytes(before * values.itemsize))
        if isinstance(column, array) and column.typecode == values.typecode:
            column += values
            return column
        values = values.tolist()
    if isinstance(column, array):
        column = column.tolist()
    column += values
    made: list[Any] = column
    return made


def columns_at(tree: Tree, columns: tuple[int, ...], ctx: Context) -> Probe:
    """The probe of a large part of a table's rowids, which are no NULLs: columns of the rows.

    Where no rowid is missing, a rowid's place in a column is its distance from the first: the columns are
    laid end to end, and a look-up is a subscript, in whatever order they come."""
    laid_out: list[Sequence[Any]] = []
    low = 0

    def lay_out() -> None:
        nonlocal low
        first, last = tree.first(), tree.last()
        room = 8 * len(tree) * len(columns) <= ctx.memory_limit_bytes // 4
        if not room or first is None or last is None or last[0] - first[0] != len(tree) - 1:
            return
        low = first[0]
        # Behind so many others a rowid is a place by itself.
        before = low if 0 < low <= _LIST_MIN else 0
        laid_out.extend([None] * before for _ in columns)
        for lists in tree.column_batches(columns, stored=True):
            ctx.check()
            for at, values in enumerate(lists):
                laid_out[at] = _longer(laid_out[at], as_it_lies(values), before)

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
        keys = as_it_lies(batch[at])
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
