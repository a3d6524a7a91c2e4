"""The frames of a window's rows: for each row the range of places that its calls look at."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import repeat
from math import isfinite
from typing import TYPE_CHECKING, Any

from sql.errors import SqlError
from sql.values import text_to_number

if TYPE_CHECKING:
    from sql.run.windows import Window, WindowSpec

Peers = list[tuple[int, int]]


class Frames:
    """`low` and `high` of every row: a half-open range of places, empty where low >= high.

    SqlError, in SQLite's words, for offsets that are none."""

    def __init__(self, window: Window, spec: WindowSpec, offsets: Sequence[Any]) -> None:
        self.window = window
        self.spec = spec
        self.exclude = spec.exclude
        self.start = _offset(spec, spec.start_offset, offsets, "starting")
        self.end = _offset(spec, spec.end_offset, offsets, "ending")
        # Where no rows are peers, groups are rows, and so is RANGE without offsets.
        self.by_row = spec.unit == "ROWS" or (bool(spec.order) and window.without_ties)

    @property
    def whole(self) -> bool:
        """Whether every frame is the whole partition."""
        spec = self.spec
        if self.exclude != "NO OTHERS":
            return False
        if spec.start == spec.end == "UNBOUNDED":
            return True
        return (
            spec.unit != "ROWS"
            and not spec.order
            and spec.start in ("UNBOUNDED", "CURRENT")
            and spec.end in ("UNBOUNDED", "CURRENT")
        )

    @property
    def running(self) -> bool:
        """Whether every frame reaches from the partition's start to the row or its last peer."""
        spec = self.spec
        return self.exclude == "NO OTHERS" and spec.start == "UNBOUNDED" and spec.end == "CURRENT"

    @cached_property
    def low(self) -> list[int]:
        spec, window = self.spec, self.window
        found: list[int] = []
        if spec.start == "UNBOUNDED":
            for first, last in window.partitions:
                found += repeat(first, last - first)
        elif spec.start == "CURRENT":
            if self.by_row:
                return list(range(len(window.rows)))
            for start, end in window.peers:
                found += repeat(start, end - start)
        else:
            by = -self.start if spec.start == "PRECEDING" else self.start
            if self.by_row and spec.unit != "RANGE":
                for first, last in window.partitions:
                    found += _clipped(first, last, by)
            else:
                for peers in window.peers_by_partition():
                    self._add_low(found, peers, by)
        return found

    @cached_property
    def high(self) -> list[int]:
        spec, window = self.spec, self.window
        found: list[int] = []
        if spec.end == "UNBOUNDED":
            for first, last in window.partitions:
                found += repeat(last, last - first)
        elif spec.end == "CURRENT":
            if self.by_row:
                return list(range(1, len(window.rows) + 1))
            for start, end in window.peers:
                found += repeat(end, end - start)
        else:
            by = -self.end if spec.end == "PRECEDING" else self.end
            if self.by_row and spec.unit != "RANGE":
                for first, last in window.partitions:
                    found += _clipped(first, last, by + 1)
            else:
                for peers in window.peers_by_partition():
                    self._add_high(found, peers, by)
        return found

    def _add_low(self, found: list[int], peers: Peers, by: Any) -> None:
        """The frames' starts in a partition, by an offset of groups or of distance."""
        if self.spec.unit == "GROUPS":
            last = peers[-1][1]
            for number, (start, end) in enumerate(peers):
                group = max(number + by, 0)
                found += repeat(peers[group][0] if group < len(peers) else last, end - start)
            return
        distances = _Distances(self.window, self.spec, peers)
        for start, end in peers:
            found += repeat(distances.low(start, end, by), end - start)

    def _add_high(self, found: list[int], peers: Peers, by: Any) -> None:
        if self.spec.unit == "GROUPS":
            for number, (start, end) in enumerate(peers):
                group = number + by
                limit = peers[0][0] if group < 0 else peers[min(group, len(peers) - 1)][1]
                found += repeat(limit, end - start)
            return
        distances = _Distances(self.window, self.spec, peers)
        for start, end in peers:
            found += repeat(distances.high(start, end, by), end - start)

    @cached_property
    def _peers_of(self) -> list[tuple[int, int]]:
        """Every row's peers."""
        found: list[tuple[int, int]] = []
        for run in self.window.peers:
            found += repeat(run, run[1] - run[0])
        return found

    def places(self, place: int) -> Sequence[int]:
        """The places in a row's frame, what EXCLUDE names left out."""
        low, high = self.low[place], self.high[place]
        if self.exclude == "NO OTHERS" or low >= high:
            return range(low, high)
        if self.exclude == "CURRENT ROW":
            return [at for at in range(low, high) if at != place]
        first, last = self._peers_of[place]
        if self.exclude == "GROUP":
            return [at for at in range(low, high) if not first <= at < last]
        return [at for at in range(low, high) if at == place or not first <= at < last]


def _clipped(first: int, last: int, by: int) -> list[int]:
    """Places of a partition moved by some rows, not beyond its ends."""
    moved = [*repeat(first, min(-by, last - first))] if by < 0 else []
    moved += range(max(first, first + by), max(first, min(last, last + by)))
    return moved + [last] * (last - first - len(moved))


def _offset(spec: WindowSpec, number: int, offsets: Sequence[Any], which: str) -> Any:
    if number < 0:
        return None
    value = offsets[number]
    if value.__class__ is str:
        value = text_to_number(value)
    if spec.unit == "RANGE":
        if value.__class__ not in (int, float) or value < 0:
            raise SqlError(f"frame {which} offset must be a non-negative number")
        return value
    if value.__class__ is float and value == value // 1:
        value = int(value)
    if value.__class__ is not int or value < 0:
        raise SqlError(f"frame {which} offset must be a non-negative integer")
    return value


def _sum(value: Any, by: Any) -> Any:
    """The sum; exact where a float would be another integer than its neighbour, so that a row stays in its frame."""
    if by.__class__ is float and value.__class__ is int and abs(value) >> 53 and isfinite(by):
        from fractions import Fraction

        return Fraction(value) + Fraction(by)
    return value + by


class _Distances:
    """RANGE with offsets: distances of the only ORDER BY value; NULLs and texts frame their peers."""

    def __init__(self, window: Window, spec: WindowSpec, peers: Peers) -> None:
        order = spec.order[0]
        self.values = window.column(order.raw)
        self.sign = -1 if order.descending else 1
        numbers = [run for run in peers if self.values[run[0]].__class__ in (int, float)]
        self.starts = [start for start, _ in numbers]
        self.ends = [end for _, end in numbers]
        self.keys = [self.sign * self.values[start] for start in self.starts]

    def low(self, start: int, end: int, by: Any) -> int:
        """Where the frame of the peers from `start` to `end` begins."""
        value = self.values[start]
        if value.__class__ is not int and value.__class__ is not float:
            return start
        at = bisect_left(self.keys, _sum(self.sign * value, by))
        return self.starts[at] if at < len(self.starts) else self.ends[-1]

    def high(self, start: int, end: int, by: Any) -> int:
        """Where it ends."""
        value = self.values[start]
        if value.__class__ is not int and value.__class__ is not float:
            return end
        at = bisect_right(self.keys, _sum(self.sign * value, by))
        return self.ends[at - 1] if at else self.starts[0]
