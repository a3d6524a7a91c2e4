"""Window functions over materialised rows: sorting, partitions, peers, and the calls computed on them.

https://www.sqlite.org/windowfunctions.html.  Rows are tuples of values that generated code has put in
places; a `WindowSpec` names the places.  Calls of one window are computed together on rows in its order;
different windows one after the other, the last one first, each on the order that the one before it left.
So ties come in the order in which SQLite, which nests them as subqueries, has them.

Buffers all rows, up to the memory limit.  Past it each window's rows are sorted on disk and dealt with
partition by partition; of a partition that is too large in itself the rows are on disk, and in memory are
the columns that its calls read.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from operator import add, itemgetter, ne
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from btree import CollectorPaused
from sql.functions import Aggregate
from sql.run.hashing import DiskRows
from sql.run.sorting import Pass, sort_rows, sorted_batches
from sql.run.spill import RowFile, Unspillable, row_bytes

if TYPE_CHECKING:
    from sql.context import Context

Row = tuple[Any, ...]

FIRST_WEIGHED = 4096
"""Rows at which their memory is looked at for the first time."""
MANY_ROWS = 20_000
"""Rows from which on the garbage collector rests while they are sorted and copied."""
ROW_COPIES_BYTES = 200
"""What sorting and the calls' values take on top of a row."""


class OrderPlace(Struct, frozen=True):
    """A key of the window's ORDER BY: where its comparable and its own value stand."""

    key: int
    raw: int
    descending: bool
    nulls_first: bool


class WindowSpec(Struct, frozen=True):
    """One call with its window.  Offsets are numbers of the run's offset values, -1 for none.

    `fold`: what a text argument of min() and max() is compared by, None for itself."""

    name: str
    function: Any
    arguments: tuple[int, ...]
    where: int
    partition: tuple[int, ...]
    order: tuple[OrderPlace, ...]
    unit: str
    start: str
    end: str
    start_offset: int
    end_offset: int
    exclude: str
    fold: Callable[[Any], Any] | None = None


_FRAMES = {
    "row_number": ("ROWS", "UNBOUNDED", "CURRENT"),
    "rank": ("RANGE", "UNBOUNDED", "CURRENT"),
    "dense_rank": ("RANGE", "UNBOUNDED", "CURRENT"),
    "percent_rank": ("GROUPS", "CURRENT", "UNBOUNDED"),
    "cume_dist": ("GROUPS", "FOLLOWING", "UNBOUNDED"),
    "ntile": ("ROWS", "CURRENT", "UNBOUNDED"),
    "lead": ("ROWS", "UNBOUNDED", "UNBOUNDED"),
    "lag": ("ROWS", "UNBOUNDED", "CURRENT"),
}
"""The frames that SQLite gives these functions, whatever is written: they tell windows apart."""


def _identity(spec: WindowSpec, offsets: Sequence[Any]) -> Hashable:
    """Equal for calls of one window."""
    fixed = _FRAMES.get(spec.name)
    if fixed is not None:
        return (spec.partition, spec.order, fixed)
    bounds = tuple(
        offsets[number] if number >= 0 else None for number in (spec.start_offset, spec.end_offset)
    )
    frame = (spec.unit, spec.start, spec.end, bounds, spec.exclude)
    return (spec.partition, spec.order, frame)


def window_rows(
    batches: Iterable[list[Row]],
    specs: Sequence[WindowSpec],
    offsets: Sequence[Any],
    width: int,
    ctx: Context,
    *,
    in_order: bool = False,
) -> Iterable[Row]:
    """For every row the calls' values, then its first `width` columns (and what else it has, maybe); in the first
    window's order.  `in_order`: they come in that of all windows."""
    rows: list[Row] = []
    batches = iter(batches)
    weigh_at = FIRST_WEIGHED
    for batch in batches:
        rows += batch
        if len(rows) > weigh_at:
            allowed = _rows_allowed(rows, ctx)
            if len(rows) >= allowed:
                break
            weigh_at = min(2 * len(rows), allowed)
    else:
        if len(rows) < MANY_ROWS:
            if not rows:
                return []
            return _in_memory(rows, specs, offsets, width, ctx.check, in_order=in_order)
        with CollectorPaused():
            return _in_memory(rows, specs, offsets, width, ctx.check, in_order=in_order)
    whole = chain((rows,), batches)
    return _on_disk(whole, len(rows[0]), specs, offsets, width, ctx, in_order=in_order)


def _rows_allowed(rows: list[Row], ctx: Context) -> int:
    """How many rows may be in memory."""
    return ctx.memory_limit_bytes // 2 // (row_bytes(rows) + ROW_COPIES_BYTES)


def _windows(specs: Sequence[WindowSpec], offsets: Sequence[Any]) -> list[list[int]]:
    """The numbers of each window's calls."""
    windows: dict[Hashable, list[int]] = {}
    for number, spec in enumerate(specs):
        windows.setdefault(_identity(spec, offsets), []).append(number)
    return list(windows.values())


def _in_memory(
    rows: list[Row],
    specs: Sequence[WindowSpec],
    offsets: Sequence[Any],
    width: int,
    check: Callable[[], None],
    *,
    in_order: bool,
) -> list[Row]:
    windows = _windows(specs, offsets)
    end = len(rows[0])
    places = [0] * len(specs)
    for numbers in reversed(windows):
        check()
        if not in_order:
            sort_rows(rows, _passes(specs[numbers[0]]))
        window = Window(rows, specs[numbers[0]], check)
        values = [computed(window, specs[number], offsets) for number in numbers]
        if len(windows) == 1:
            return list(map(add, zip(*values, strict=True), rows))
        rows = list(map(add, rows, zip(*values, strict=True)))
        for number in numbers:
            places[number] = end
            end += 1
    return list(map(itemgetter(*places, *range(width)), rows))


def _on_disk(
    batches: Iterable[list[Row]],
    end: int,
    specs: Sequence[WindowSpec],
    offsets: Sequence[Any],
    width: int,
    ctx: Context,
    *,
    in_order: bool,
) -> Iterator[Row]:
    """As `_in_memory`, with one window's sort and partitions after the other's as a stream of rows, of
    `end` columns at first."""
    windows = _windows(specs, offsets)
    places = [0] * len(specs)
    for numbers in reversed(windows):
        passes = [] if in_order else _passes(specs[numbers[0]])
        if passes:
            batches = sorted_batches(batches, passes, ctx.check, ctx.memory_limit_bytes // 2)
        batches = _with_values(batches, [specs[number] for number in numbers], offsets, ctx)
        for number in numbers:
            places[number] = end
            end += 1
    places += range(width)
    for batch in batches:
        if len(places) == 1:
            yield from [(row[places[0]],) for row in batch]
        else:
            yield from map(itemgetter(*places), batch)


def _with_values(
    batches: Iterable[list[Row]], specs: Sequence[WindowSpec], offsets: Sequence[Any], ctx: Context
) -> Iterator[list[Row]]:
    """The rows, in their window's order, each with the values of the window's calls behind it."""
    spec = specs[0]
    for rows in _whole_partitions(iter(batches), spec.partition, ctx):
        window = Window(rows, spec, ctx.check)
        values = zip(*[computed(window, call, offsets) for call in specs], strict=True)
        del window  # its columns: they are no longer needed, and the rows are still to be used
        whole = map(add, rows, values)
        while batch := list(islice(whole, FIRST_WEIGHED)):
            yield batch


def _whole_partitions(
    batches: Iterator[list[Row]], places: tuple[int, ...], ctx: Context
) -> Iterator[list[Row] | DiskRows]:
    """Sorted rows in pieces that end where partitions do: several small ones at once, or a single one on
    disk."""
    key = itemgetter(*places) if places else _same_for_all
    pending: list[Row] = []
    room = 0
    for batch in batches:
        pending += batch
        while len(pending) >= FIRST_WEIGHED:
            latest = key(pending[-1])
            cut = bisect_left(pending, latest, key=key)
            if cut:
                yield pending[:cut]
                del pending[:cut]
            room = room or _room(pending, ctx)
            if len(pending) < room:
                break
            behind: list[Row] = []
            yield DiskRows(_of_one(pending, batches, key, behind), ctx)
            pending = behind
    if pending:
        yield pending


def _room(rows: list[Row], ctx: Context) -> int:
    """How many rows of one partition may be in memory: all of them if they can't be written."""
    try:
        RowFile().append(rows[:1])
    except Unspillable:
        return sys.maxsize
    return _rows_allowed(rows, ctx)


def _of_one(
    rows: list[Row],
    batches: Iterator[list[Row]],
    key: Callable[[Row], Any],
    behind: list[Row],
) -> Iterator[list[Row]]:
    """`rows` and what follows of their partition; what comes after it is put `behind`."""
    own = key(rows[-1])
    yield rows
    for batch in batches:
        cut = bisect_right(batch, own, key=key)
        yield batch[:cut]
        if cut < len(batch):
            behind += batch[cut:]
            return


def _same_for_all(row: Row) -> int:
    return 0


def _passes(spec: WindowSpec) -> list[Pass]:
    """The sort that brings rows into the window's order."""
    passes: list[Pass] = [(itemgetter(key.key), key.descending) for key in reversed(spec.order)]
    if spec.partition:
        passes.append((itemgetter(*spec.partition), False))
    return passes


def computed(window: Window, spec: WindowSpec, offsets: Sequence[Any]) -> list[Any]:
    """A call's values, in the order of the window's rows."""
    from sql.run import frames, ranking, window_aggregates

    ranked = ranking.FUNCTIONS.get(spec.name)
    if ranked is not None:
        return ranked(window, spec)
    bounds = frames.Frames(window, spec, offsets)
    if isinstance(spec.function, Aggregate):
        return window_aggregates.aggregated(window, spec, bounds)
    return ranking.picked(window, spec, bounds)


class Window:
    """Rows in a window's order.  Places of rows are counted through all partitions.

    `partitions`: (start, end) of each."""

    def __init__(
        self, rows: list[Row] | DiskRows, spec: WindowSpec, check: Callable[[], None]
    ) -> None:
        self.rows = rows
        self.check = check
        self.partitions = self._runs(spec.partition)
        self._order = tuple(key.key for key in spec.order)
        self._by = spec.partition
        self._peers: list[tuple[int, int]] | None = None
        self._columns: dict[int, list[Any]] = {}

    def _runs(self, places: tuple[int, ...]) -> list[tuple[int, int]]:
        """(start, end) of runs of rows with equal values in the places."""
        if not places:
            return [(0, len(self.rows))]
        keys: Iterable[Any] = map(itemgetter(*places), self.rows)
        if isinstance(self.rows, list):
            keys = list(keys)
            changes: Iterable[bool] = map(ne, islice(keys, 1, None), keys)
        else:  # half as fast, without all keys at once
            changes = (before != now for before, now in pairwise(keys))
        starts = [0, *[place for place, change in enumerate(changes, 1) if change]]
        return list(zip(starts, [*starts[1:], len(self.rows)], strict=True))

    @property
    def peers(self) -> list[tuple[int, int]]:
        """(start, end) of rows that ORDER BY does not tell apart; without one whole partitions."""
        if self._peers is None:
            self._peers = self._runs((*self._by, *self._order)) if self._order else self.partitions
        return self._peers

    @property
    def without_ties(self) -> bool:
        """Whether every row is its only peer."""
        return len(self.peers) == len(self.rows)

    def peers_by_partition(self) -> Iterable[list[tuple[int, int]]]:
        """Each partition's peers."""
        found: list[tuple[int, int]] = []
        ends = iter(self.partitions)
        end = next(ends)[1]
        for run in self.peers:
            found.append(run)
            if run[1] == end:
                yield found
                found = []
                end = next(ends, (0, 0))[1]

    def column(self, place: int) -> list[Any]:
        """A column's values in the window's order."""
        found = self._columns.get(place)
        if found is None:
            found = self._columns[place] = [row[place] for row in self.rows]
        return found
