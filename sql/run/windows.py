"""Window functions over materialised rows: sorting, partitions, peers, and the calls computed on them.

https://www.sqlite.org/windowfunctions.html.  Rows are tuples of values that generated code has put in
places; a `WindowSpec` names the places.  Calls of one window are computed together on rows in its order;
different windows one after the other, the last one first, each on the order that the one before it left.
So ties come in the order in which SQLite, which nests them as subqueries, has them.  Buffers all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import add, itemgetter, ne
from typing import Any

from sql.functions import Aggregate

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class OrderPlace:
    """A key of the window's ORDER BY: where its comparable and its own value stand."""

    key: int
    raw: int
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class WindowSpec:
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
    check: Callable[[], None],
) -> list[Row]:
    """For every row the calls' values, then its first `width` columns; in the first window's order."""
    rows = list(chain.from_iterable(batches))
    if not rows:
        return []
    windows: dict[Hashable, list[int]] = {}
    for number, spec in enumerate(specs):
        windows.setdefault(_identity(spec, offsets), []).append(number)
    end = len(rows[0])
    places = [0] * len(specs)
    for numbers in reversed(windows.values()):
        window = Window(rows, specs[numbers[0]], check)
        values = [computed(window, specs[number], offsets) for number in numbers]
        if len(windows) == 1:
            kept = rows if width == end else [row[:width] for row in rows]
            return list(map(add, zip(*values, strict=True), kept))
        rows = list(map(add, rows, zip(*values, strict=True)))
        for number in numbers:
            places[number] = end
            end += 1
    return list(map(itemgetter(*places, *range(width)), rows))


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

    `partitions`: (start, end) of each.  Sorts `rows` in place."""

    def __init__(self, rows: list[Row], spec: WindowSpec, check: Callable[[], None]) -> None:
        for key in reversed(spec.order):
            check()
            rows.sort(key=itemgetter(key.key), reverse=key.descending)
        if spec.partition:
            check()
            rows.sort(key=itemgetter(*spec.partition))
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
        keys = list(map(itemgetter(*places), self.rows))
        changes = map(ne, islice(keys, 1, None), keys)
        starts = [0, *[place for place, change in enumerate(changes, 1) if change]]
        return list(zip(starts, [*starts[1:], len(keys)], strict=True))

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
