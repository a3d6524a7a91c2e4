"""Aggregates over frames: whole partitions and running totals in one go, moving frames by what enters and
leaves, and where neither serves each frame anew.

Columns of integers alone or REALs alone need no accumulators.  REALs are added, and taken out of a moving
sum again, one by one in order, so that sums are SQLite's to the last digit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import reduce
from itertools import accumulate, repeat
from operator import add, le
from typing import TYPE_CHECKING, Any

from btree import order_key
from sql.values import INT_MAX, INT_MIN

if TYPE_CHECKING:
    from sql.run.frames import Frames
    from sql.run.windows import Window, WindowSpec

Values = list[Any]


def aggregated(window: Window, spec: WindowSpec, frames: Frames) -> Values:
    """The aggregate's value for every row."""
    if spec.function.builtin and spec.where < 0 and len(spec.arguments) <= 1:
        if not spec.arguments:
            return _counted(window, frames)
        column = window.column(spec.arguments[0])
        kinds = set(map(type, column))
        if spec.name in ("sum", "avg", "total") and kinds in ({int}, {float}):
            found = _summed(window, spec.name, column, kinds == {int}, frames)
            if found is not None:
                return found
        if spec.name in ("min", "max"):
            return _extremes(window, spec, column, kinds, frames)
    if spec.function.builtin and spec.name in ("min", "max") and spec.where >= 0:
        column = window.column(spec.arguments[0])
        wanted = window.column(spec.where)
        kept = [value if use else None for value, use in zip(column, wanted, strict=True)]
        return _extremes(window, spec, kept, {type(None)}, frames)
    return _stepped(window, spec, frames)


def _spread(runs: Iterable[tuple[int, int]], value: Callable[[int, int], Any]) -> Values:
    """A value per run of rows, for each of its rows."""
    found: Values = []
    for start, end in runs:
        found += repeat(value(start, end), end - start)
    return found


def _counted(window: Window, frames: Frames) -> Values:
    """count(*)."""
    if frames.whole:
        return _spread(window.partitions, lambda start, end: end - start)
    if frames.exclude == "NO OTHERS":
        return [
            high - low if high > low else 0
            for low, high in zip(frames.low, frames.high, strict=True)
        ]
    return [len(frames.places(place)) for place in range(len(window.rows))]


def _summed(
    window: Window, name: str, column: Values, whole_numbers: bool, frames: Frames
) -> Values | None:
    """sum(), total() and avg() of numbers; None where only accumulators give the right answer."""
    if frames.exclude != "NO OTHERS":
        return None
    if whole_numbers and name != "sum":
        column = list(map(float, column))
        whole_numbers = False
    if frames.whole:
        sums = _spread(window.partitions, lambda start, end: reduce(add, column[start:end]))
        counts: Iterable[int] = _spread(window.partitions, lambda start, end: end - start)
    elif frames.running:
        sums = []
        for start, end in window.partitions:
            sums += accumulate(column[start:end])
        if not frames.by_row:
            totals = sums
            sums = _spread(window.peers, lambda start, end: totals[end - 1])
        starts = _spread(window.partitions, lambda start, end: start)
        counts = map(int.__sub__, frames.high, starts) if name == "avg" else ()
    elif whole_numbers:
        totals = list(accumulate(column, initial=0))
        pairs = zip(frames.low, frames.high, strict=True)
        sums = [totals[high] - totals[low] if high > low else None for low, high in pairs]
        if _beyond(totals):  # sums on the way count too
            return None
        return sums
    else:
        return _moving_sums(window, name, column, frames)
    if whole_numbers:
        return None if _beyond(sums) else sums
    if any(total != total for total in sums):  # infinities of both signs
        return None
    if name == "avg":
        return [total / count for total, count in zip(sums, counts, strict=True)]
    return sums


def _beyond(sums: Values) -> bool:
    return bool(min(sums) < INT_MIN or max(sums) > INT_MAX)


def _moving_sums(window: Window, name: str, column: Values, frames: Frames) -> Values | None:
    """Sums of REALs over frames whose ends only move on."""
    if not _forward(window, frames):
        return None
    nothing = 0.0 if name == "total" else None
    average = name == "avg"
    found: Values = []
    starts = {start for start, _ in window.partitions}
    low = high = 0
    total = 0.0
    for place, (new_low, new_high) in enumerate(zip(frames.low, frames.high, strict=True)):
        if place in starts:  # rows before the first frame are added and taken out like all others
            total = 0.0
            low = high = place
        # Rows leave before others enter, as SQLite takes them out behind each row it gives.
        while low < new_low and low < high:
            total -= column[low]
            low += 1
        while high < new_high:
            total += column[high]
            high += 1
        while low < new_low and low < high:
            total -= column[low]
            low += 1
        if new_low >= new_high:
            found.append(nothing)
            continue
        if total != total:
            return None
        found.append(total / (high - low) if average else total)
    return found


def _forward(window: Window, frames: Frames) -> bool:
    """Whether frames never reach back, partition by partition."""
    low, high = frames.low, frames.high
    return all(map(le, low, low[1:])) and all(map(le, high, high[1:]))


# -- min and max -----------------------------------------------------------------------------------


def _extremes(
    window: Window, spec: WindowSpec, column: Values, kinds: set[type], frames: Frames
) -> Values:
    """min() and max(): of equals the first, but in frames whose start moves the last, as in SQLite."""
    largest = spec.name == "max"
    keys = column
    if not (kinds <= {int, float} or kinds == {bytes} or (kinds == {str} and spec.fold is None)):
        fold = spec.fold
        keys = [
            None if value is None else order_key(value if fold is None else fold(value))
            for value in column
        ]
    if frames.exclude != "NO OTHERS" or not (
        frames.whole or spec.start == "UNBOUNDED" or _forward(window, frames)
    ):
        return [
            _extreme(column, keys, frames.places(place), largest) for place in range(len(column))
        ]
    if frames.whole:
        return _spread(
            window.partitions,
            lambda start, end: _extreme(column, keys, range(start, end), largest),
        )
    if spec.start == "UNBOUNDED":
        return _growing_extremes(column, keys, frames, largest)
    return _moving_extremes(column, keys, frames, largest)


def _extreme(column: Values, keys: Values, places: Iterable[int], largest: bool) -> Any:
    best = value = None
    for place in places:
        key = keys[place]
        if key is not None and (best is None or (key > best if largest else key < best)):
            best, value = key, column[place]
    return value


def _growing_extremes(column: Values, keys: Values, frames: Frames, largest: bool) -> Values:
    """Frames from their partition's start."""
    found: Values = []
    low, high = -1, 0
    best = value = None
    for new_low, new_high in zip(frames.low, frames.high, strict=True):
        if new_low != low or new_high < high:
            low = high = new_low
            best = value = None
        while high < new_high:
            key = keys[high]
            if key is not None and (best is None or (key > best if largest else key < best)):
                best, value = key, column[high]
            high += 1
        found.append(value)
    return found


def _moving_extremes(column: Values, keys: Values, frames: Frames, largest: bool) -> Values:
    """Frames whose ends only move on: a queue of places, each better than all behind it."""
    found: Values = []
    queue: deque[int] = deque()
    high = 0
    for new_low, new_high in zip(frames.low, frames.high, strict=True):
        high = max(high, new_low)
        while high < new_high:
            key = keys[high]
            if key is not None:
                if largest:
                    while queue and keys[queue[-1]] <= key:
                        queue.pop()
                else:
                    while queue and keys[queue[-1]] >= key:
                        queue.pop()
                queue.append(high)
            high += 1
        while queue and queue[0] < new_low:
            queue.popleft()
        found.append(column[queue[0]] if queue and queue[0] < new_high else None)
    return found


# -- any aggregate ---------------------------------------------------------------------------------


def _stepped(window: Window, spec: WindowSpec, frames: Frames) -> Values:
    """By accumulators."""
    columns = [window.column(place) for place in spec.arguments]
    count = len(window.rows)
    arguments: list[tuple[Any, ...]] = list(zip(*columns, strict=True)) or [()] * count
    used: Values = [True] * count if spec.where < 0 else window.column(spec.where)
    make, slides = spec.function.make, spec.function.slides
    values: Values = []
    if frames.exclude != "NO OTHERS":
        for place in range(count):
            state = make()
            for other in frames.places(place):
                if used[other]:
                    state.step(*arguments[other])
            values.append(state.finish())
        return values
    starts = {start for start, _ in window.partitions}
    state, value = make(), None
    low = high = 0
    for place, (new_low, new_high) in enumerate(zip(frames.low, frames.high, strict=True)):
        new_high = max(new_high, new_low)
        fresh = place in starts
        if fresh or new_high < high or new_low < low or (new_low > low and not slides):
            window.check()
            state = make()
            # What slides takes in the rows before its first frame too, and lets them go: a sum that
            # has seen a REAL stays REAL.
            low = high = place if fresh and slides else new_low
            fresh = True
        if fresh or new_low != low or new_high != high:
            # Rows leave before others enter, as SQLite takes them out behind each row it gives.
            leaving = min(new_low, high)
            for other in range(low, leaving):
                if used[other]:
                    state.inverse(*arguments[other])
            for other in range(high, new_high):
                if used[other]:
                    state.step(*arguments[other])
            for other in range(max(low, leaving), new_low):
                if used[other]:
                    state.inverse(*arguments[other])
            low, high = new_low, new_high
            value = state.finish()
        values.append(value)
    return values
