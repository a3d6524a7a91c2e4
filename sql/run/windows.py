"""Window functions over materialised rows: partitions, peers, frames, and what is computed in them.

https://www.sqlite.org/windowfunctions.html.  Rows are tuples of values that generated code has put in
places; a `WindowSpec` names the places.  Buffers all rows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from sql.errors import SqlError
from sql.functions import Aggregate
from sql.values import to_integer

Row = tuple[Any, ...]


class OrderPlace(Struct, frozen=True):
    """A key of the window's ORDER BY: where its comparable and its own value stand."""

    key: int
    raw: int
    descending: bool
    nulls_first: bool


class WindowSpec(Struct, frozen=True):
    """One call with its window.  Offsets are numbers of the run's offset values, -1 for none."""

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


def window_rows(
    batches: Iterable[list[Row]],
    specs: Sequence[WindowSpec],
    offsets: Sequence[Any],
    width: int,
    check: Callable[[], None],
) -> list[Row]:
    """For every row the calls' values, then its first `width` columns; in the first window's order."""
    rows = [row for batch in batches for row in batch]
    if not rows:
        return []
    orders: dict[Any, list[int]] = {}
    results: list[list[Any]] = []
    for spec in specs:
        key = (spec.partition, spec.order)
        order = orders.get(key)
        if order is None:
            order = orders[key] = _sorted(rows, spec)
        results.append(_computed(rows, order, spec, offsets, check))
    first = orders[specs[0].partition, specs[0].order]
    columns = list(zip(*results, strict=True))
    return [columns[at] + rows[at][:width] for at in first]


def _sorted(rows: list[Row], spec: WindowSpec) -> list[int]:
    order = list(range(len(rows)))
    for place in reversed(spec.order):
        order.sort(key=lambda at, key=place.key: rows[at][key], reverse=place.descending)  # type: ignore[misc]
    for partition in reversed(spec.partition):
        order.sort(key=lambda at, key=partition: rows[at][key])  # type: ignore[misc]
    return order


def _computed(
    rows: list[Row],
    order: list[int],
    spec: WindowSpec,
    offsets: Sequence[Any],
    check: Callable[[], None],
) -> list[Any]:
    values: list[Any] = [None] * len(rows)
    partition: list[int] = []
    before: Any = None
    for at in order:
        row = rows[at]
        key = tuple([row[place] for place in spec.partition])
        if partition and key != before:
            check()
            _partition(rows, partition, spec, offsets, values)
            partition = []
        before = key
        partition.append(at)
    _partition(rows, partition, spec, offsets, values)
    return values


class _Peers:
    """The peer groups of a partition: rows that are equal under ORDER BY; all of them without one."""

    def __init__(self, rows: list[Row], partition: list[int], spec: WindowSpec) -> None:
        self.starts: list[int] = []
        self.group: list[int] = []
        before: Any = None
        for place, at in enumerate(partition):
            row = rows[at]
            key = tuple([row[order.key] for order in spec.order])
            if place == 0 or key != before:
                self.starts.append(place)
            before = key
            self.group.append(len(self.starts) - 1)
        self.count = len(partition)

    def start(self, group: int) -> int:
        return self.starts[group] if group < len(self.starts) else self.count

    def end(self, group: int) -> int:
        return self.starts[group + 1] if group + 1 < len(self.starts) else self.count


def _partition(
    rows: list[Row],
    partition: list[int],
    spec: WindowSpec,
    offsets: Sequence[Any],
    values: list[Any],
) -> None:
    peers = _Peers(rows, partition, spec)
    if isinstance(spec.function, Aggregate):
        frames = _Frames(rows, partition, spec, offsets, peers)
        _aggregated(rows, partition, spec, frames, values)
        return
    ranked = _RANKING.get(spec.name)
    if ranked is not None:
        for at, value in zip(partition, ranked(rows, partition, spec, peers), strict=True):
            values[at] = value
        return
    if spec.name in ("lag", "lead"):
        _shifted(rows, partition, spec, values)
        return
    frames = _Frames(rows, partition, spec, offsets, peers)
    _picked(rows, partition, spec, frames, values)


# -- functions of a row's place in its partition ---------------------------------------------------


def _row_number(
    rows: list[Row], partition: list[int], spec: WindowSpec, peers: _Peers
) -> list[Any]:
    return list(range(1, peers.count + 1))


def _rank(rows: list[Row], partition: list[int], spec: WindowSpec, peers: _Peers) -> list[Any]:
    return [peers.starts[group] + 1 for group in peers.group]


def _dense_rank(
    rows: list[Row], partition: list[int], spec: WindowSpec, peers: _Peers
) -> list[Any]:
    return [group + 1 for group in peers.group]


def _percent_rank(
    rows: list[Row], partition: list[int], spec: WindowSpec, peers: _Peers
) -> list[Any]:
    others = peers.count - 1
    return [peers.starts[group] / others if others else 0.0 for group in peers.group]


def _cume_dist(rows: list[Row], partition: list[int], spec: WindowSpec, peers: _Peers) -> list[Any]:
    return [peers.end(group) / peers.count for group in peers.group]


def _ntile(rows: list[Row], partition: list[int], spec: WindowSpec, peers: _Peers) -> list[Any]:
    buckets = to_integer(rows[partition[0]][spec.arguments[0]])
    if buckets is None or buckets <= 0:
        raise SqlError("argument of ntile must be a positive integer")
    size, larger = divmod(peers.count, buckets)
    found = []
    for place in range(peers.count):
        if place < larger * (size + 1):
            found.append(place // (size + 1) + 1)
        else:
            found.append(larger + (place - larger * (size + 1)) // size + 1)
    return found


_RANKING: dict[str, Callable[[list[Row], list[int], WindowSpec, _Peers], list[Any]]] = {
    "row_number": _row_number,
    "rank": _rank,
    "dense_rank": _dense_rank,
    "percent_rank": _percent_rank,
    "cume_dist": _cume_dist,
    "ntile": _ntile,
}


def _shifted(rows: list[Row], partition: list[int], spec: WindowSpec, values: list[Any]) -> None:
    """lag() and lead()."""
    sign = -1 if spec.name == "lag" else 1
    value_at = spec.arguments[0]
    for place, at in enumerate(partition):
        row = rows[at]
        distance: Any = 1
        if len(spec.arguments) > 1:
            distance = to_integer(row[spec.arguments[1]])
        target = -1 if distance is None else place + sign * distance
        if 0 <= target < len(partition):
            values[at] = rows[partition[target]][value_at]
        elif len(spec.arguments) > 2:
            values[at] = row[spec.arguments[2]]


# -- frames ----------------------------------------------------------------------------------------


class _Frames:
    """For every row of a partition the half-open range of places that its frame covers."""

    def __init__(
        self,
        rows: list[Row],
        partition: list[int],
        spec: WindowSpec,
        offsets: Sequence[Any],
        peers: _Peers,
    ) -> None:
        self.peers = peers
        self.exclude = spec.exclude
        self.low: list[int] = []
        self.high: list[int] = []
        start = self._offset(spec, spec.start_offset, offsets, "starting")
        end = self._offset(spec, spec.end_offset, offsets, "ending")
        unit = spec.unit
        ranges = None
        if unit == "RANGE" and (start is not None or end is not None):
            ranges = _RangeOffsets(rows, partition, spec, peers)
        for place in range(peers.count):
            self.low.append(self._low(place, unit, spec.start, start, ranges))
            self.high.append(self._high(place, unit, spec.end, end, ranges))

    def _offset(self, spec: WindowSpec, number: int, offsets: Sequence[Any], which: str) -> Any:
        if number < 0:
            return None
        value = offsets[number]
        if spec.unit == "RANGE":
            if value.__class__ not in (int, float) or value < 0:
                raise SqlError(f"frame {which} offset must be a non-negative number")
            return value
        if value.__class__ is float and value == value // 1:
            value = int(value)
        if value.__class__ is not int or value < 0:
            raise SqlError(f"frame {which} offset must be a non-negative integer")
        return value

    def _low(self, place: int, unit: str, bound: str, offset: Any, ranges: Any) -> int:
        if bound == "UNBOUNDED":
            return 0
        peers = self.peers
        group = peers.group[place]
        if bound == "CURRENT":
            return place if unit == "ROWS" else peers.starts[group]
        sign = -1 if bound == "PRECEDING" else 1
        if unit == "ROWS":
            return int(min(max(place + sign * offset, 0), peers.count))
        if unit == "GROUPS":
            return peers.start(max(group + sign * offset, 0))
        return int(ranges.low(place, sign * offset))

    def _high(self, place: int, unit: str, bound: str, offset: Any, ranges: Any) -> int:
        peers = self.peers
        if bound == "UNBOUNDED":
            return peers.count
        group = peers.group[place]
        if bound == "CURRENT":
            return place + 1 if unit == "ROWS" else peers.end(group)
        sign = -1 if bound == "PRECEDING" else 1
        if unit == "ROWS":
            return int(min(max(place + sign * offset + 1, 0), peers.count))
        if unit == "GROUPS":
            return peers.end(group + sign * offset) if group + sign * offset >= 0 else 0
        return int(ranges.high(place, sign * offset))

    def places(self, place: int) -> Sequence[int]:
        """The places in the frame, what EXCLUDE names left out."""
        low, high = self.low[place], self.high[place]
        if self.exclude == "NO OTHERS" or low >= high:
            return range(low, high)
        group = self.peers.group[place]
        first, last = self.peers.starts[group], self.peers.end(group)
        if self.exclude == "CURRENT ROW":
            return [at for at in range(low, high) if at != place]
        if self.exclude == "GROUP":
            return [at for at in range(low, high) if not first <= at < last]
        return [at for at in range(low, high) if at == place or not first <= at < last]


class _RangeOffsets:
    """RANGE with offsets: distances of the only ORDER BY value; NULLs and texts frame their peers."""

    def __init__(
        self, rows: list[Row], partition: list[int], spec: WindowSpec, peers: _Peers
    ) -> None:
        order = spec.order[0]
        self.peers = peers
        self.values = [rows[at][order.raw] for at in partition]
        self.sign = -1 if order.descending else 1
        numbers = [
            place
            for place, value in enumerate(self.values)
            if value.__class__ is int or value.__class__ is float
        ]
        self.first = numbers[0] if numbers else 0
        self.last = numbers[-1] + 1 if numbers else 0
        self.keys = [self.sign * self.values[place] for place in numbers]

    def low(self, place: int, offset: Any) -> int:
        if not self.first <= place < self.last:
            return self.peers.starts[self.peers.group[place]]
        return self.first + bisect_left(self.keys, self.sign * self.values[place] + offset)

    def high(self, place: int, offset: Any) -> int:
        if not self.first <= place < self.last:
            return self.peers.end(self.peers.group[place])
        return self.first + bisect_right(self.keys, self.sign * self.values[place] + offset)


# -- what is computed in a frame -------------------------------------------------------------------


def _picked(
    rows: list[Row], partition: list[int], spec: WindowSpec, frames: _Frames, values: list[Any]
) -> None:
    """first_value(), last_value(), nth_value()."""
    value_at = spec.arguments[0]
    for place, at in enumerate(partition):
        wanted = 0
        if spec.name == "nth_value":
            number = rows[at][spec.arguments[1]]
            if number.__class__ is float and number == number // 1:
                number = int(number)
            if number.__class__ is not int or number <= 0:
                raise SqlError("second argument to nth_value must be a positive integer")
            wanted = number - 1
        elif spec.name == "last_value":
            wanted = -1
        places = frames.places(place)
        if places and (wanted == -1 or wanted < len(places)):
            values[at] = rows[partition[places[wanted]]][value_at]


def _aggregated(
    rows: list[Row], partition: list[int], spec: WindowSpec, frames: _Frames, values: list[Any]
) -> None:
    """An aggregate over each row's frame."""
    arguments = [tuple([rows[at][place] for place in spec.arguments]) for at in partition]
    used = [spec.where < 0 or bool(rows[at][spec.where]) for at in partition]
    make = spec.function.make
    if frames.exclude != "NO OTHERS":
        for place, at in enumerate(partition):
            state = make()
            for other in frames.places(place):
                if used[other]:
                    state.step(*arguments[other])
            values[at] = state.finish()
        return
    low = high = 0
    state = make()
    value = state.finish()
    slides = spec.function.slides
    for place, at in enumerate(partition):
        new_low, new_high = frames.low[place], max(frames.high[place], frames.low[place])
        if (new_low, new_high) != (low, high):
            if new_high < high or new_low < low or (new_low > low and not slides) or new_low > high:
                state, low, high = make(), new_low, new_low
            for other in range(
                low, new_low
            ):  # rows leave first, as in SQLite: REAL sums round alike
                if used[other]:
                    state.inverse(*arguments[other])
            for other in range(high, new_high):
                if used[other]:
                    state.step(*arguments[other])
            low, high = new_low, new_high
            value = state.finish()
        elif place == 0:
            value = state.finish()
        values[at] = value
