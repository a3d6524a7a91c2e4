"""Window functions of a row's place: ranks, ntile, lag and lead, and values picked from frames."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import TYPE_CHECKING, Any

from sql.errors import SqlError
from sql.values import text_to_number, to_integer, to_number

if TYPE_CHECKING:
    from sql.run.frames import Frames
    from sql.run.windows import Window, WindowSpec

Values = list[Any]


def _row_number(window: Window, spec: WindowSpec) -> Values:
    found: Values = []
    for start, end in window.partitions:
        found += range(1, end - start + 1)
    return found


def _rank(window: Window, spec: WindowSpec) -> Values:
    if window.without_ties:
        return _row_number(window, spec)
    found: Values = []
    for peers in window.peers_by_partition():
        first = peers[0][0] - 1
        for start, end in peers:
            found += repeat(start - first, end - start)
    return found


def _dense_rank(window: Window, spec: WindowSpec) -> Values:
    if window.without_ties:
        return _row_number(window, spec)
    found: Values = []
    for peers in window.peers_by_partition():
        for number, (start, end) in enumerate(peers, 1):
            found += repeat(number, end - start)
    return found


def _percent_rank(window: Window, spec: WindowSpec) -> Values:
    found: Values = []
    for peers in window.peers_by_partition():
        first = peers[0][0]
        others = peers[-1][1] - first - 1
        for start, end in peers:
            found += repeat((start - first) / others if others else 0.0, end - start)
    return found


def _cume_dist(window: Window, spec: WindowSpec) -> Values:
    found: Values = []
    for peers in window.peers_by_partition():
        first = peers[0][0]
        count = peers[-1][1] - first
        for start, end in peers:
            found += repeat((end - first) / count, end - start)
    return found


def _ntile(window: Window, spec: WindowSpec) -> Values:
    found: Values = []
    column = window.column(spec.arguments[0])
    for start, end in window.partitions:
        buckets = to_integer(column[start])
        if buckets is None or buckets <= 0:
            raise SqlError("argument of ntile must be a positive integer")
        size, larger = divmod(end - start, buckets)
        for number in range(1, min(buckets, end - start) + 1):
            found += repeat(number, size + 1 if number <= larger else size)
    return found


def _shifted(window: Window, spec: WindowSpec) -> Values:
    """lag() and lead()."""
    sign = -1 if spec.name == "lag" else 1
    column = window.column(spec.arguments[0])
    count = len(column)
    defaults = window.column(spec.arguments[2]) if len(spec.arguments) > 2 else [None] * count
    distances: Values = [1] * count
    if len(spec.arguments) > 1:
        distances = [_distance(value) for value in window.column(spec.arguments[1])]
    found = list(defaults)
    distance = distances[0]
    if distances.count(distance) == count:
        if distance is None:
            return found
        by = sign * distance
        for start, end in window.partitions:
            if by <= 0:
                found[start - by : end] = column[start : max(start, end + by)]
            elif by < end - start:
                found[start : end - by] = column[start + by : end]
        return found
    for start, end in window.partitions:
        for place in range(start, end):
            distance = distances[place]
            if distance is not None and start <= place + sign * distance < end:
                found[place] = column[place + sign * distance]
    return found


def _distance(value: Any) -> int | None:
    """How many rows away; None for NULL and for what is no whole number, where there is no row."""
    number = to_number(value)
    if isinstance(number, float):
        return int(number) if number == number // 1 else None
    return number


FUNCTIONS: dict[str, Callable[[Window, WindowSpec], Values]] = {
    "row_number": _row_number,
    "rank": _rank,
    "dense_rank": _dense_rank,
    "percent_rank": _percent_rank,
    "cume_dist": _cume_dist,
    "ntile": _ntile,
    "lag": _shifted,
    "lead": _shifted,
}


def picked(window: Window, spec: WindowSpec, frames: Frames) -> Values:
    """first_value(), last_value(), nth_value()."""
    column = window.column(spec.arguments[0])
    if spec.name == "nth_value":
        return _nth_values(window, spec, frames, column)
    if frames.exclude == "NO OTHERS":
        bounds = zip(frames.low, frames.high, strict=True)
        if spec.name == "first_value":
            return [column[low] if low < high else None for low, high in bounds]
        return [column[high - 1] if low < high else None for low, high in bounds]
    at = 0 if spec.name == "first_value" else -1
    found = []
    for place in range(len(column)):
        places = frames.places(place)
        found.append(column[places[at]] if places else None)
    return found


def _nth_values(window: Window, spec: WindowSpec, frames: Frames, column: Values) -> Values:
    found: Values = []
    for place, given in enumerate(window.column(spec.arguments[1])):
        number = text_to_number(given) if given.__class__ is str else given
        places = frames.places(place)
        if not places and frames.exclude != "NO OTHERS":
            found.append(None)
            continue
        if number.__class__ is float and number == number // 1:
            number = int(number)
        if number.__class__ is not int or number <= 0:
            raise SqlError("second argument to nth_value must be a positive integer")
        found.append(column[places[number - 1]] if number <= len(places) else None)
    return found
