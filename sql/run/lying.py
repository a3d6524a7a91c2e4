"""Conditions on numbers that lie in an array, as a scan that keeps nothing finds them, without making objects of them.

    array('i')  ->  bytes ->  planes: the highest bytes of all numbers, the second highest, ...

A number is less than another if its highest byte is, or if that is the same and the next one is, and so on.  So one
`translate` of a plane tells for most rows, the masks of several planes are an AND and an OR of large integers, and the few
rows that are still open are compared one by one: 3 to 6 ns a row, where to make an object takes 16 and to compare it 30.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

Interval = tuple[Any, bool, Any, bool]
"""Low, whether that is left out, high, whether that is; None where there is no bound."""

INTERVALS_MAX = 4
_FEW = 128
"""Open rows are compared one by one where they are at most one of so many."""
_EXACT = 1 << 53
"""Integers up to this are REALs, too."""


def mask_of(numbers: array[Any], intervals: Sequence[Interval]) -> bytes | bool | None:
    """A byte for each number, 1 where it lies in one of the intervals; True for all of them, False for none; None where that
    is not told here: of too many intervals, or bounds of other kinds."""
    if len(intervals) > INTERVALS_MAX:
        return None
    bounds = [_steps(numbers.typecode, interval) for interval in intervals]
    planes = _Planes(numbers)
    found = 0
    for pair in bounds:
        if pair is None:
            return None
        low, high = pair
        within = planes.ones if high is None else planes.below(high)
        if low is not None:
            within &= ~planes.below(low)
        found |= within
    if not found:
        return False
    if found == planes.ones:
        return True
    return found.to_bytes(len(numbers), "little")


def _steps(code: str, interval: Interval) -> tuple[Any, Any] | None:
    """An interval as two bounds that its values are not below, and below, in the numbers of an array of that type; None for
    no bound.  None if a bound is nothing to compare these with by their bytes."""
    low, low_open, high, high_open = interval
    step = _real_step if code == "d" else _integer_step
    made = []
    for bound, behind in ((low, low_open), (high, not high_open)):
        if bound is not None:
            bound = step(bound, behind)
            if bound is None:
                return None
        made.append(bound)
    return made[0], made[1]


def _integer_step(bound: Any, behind: bool) -> int | None:
    """The least integer that is not below the bound; `behind`: that is above it."""
    if isinstance(bound, int):
        return bound + behind
    if not isinstance(bound, float):
        return None
    if math.isinf(bound):
        return _FAR if bound > 0 else -_FAR
    return math.floor(bound) + 1 if behind else math.ceil(bound)


_FAR = 1 << 64


def _real_step(bound: Any, behind: bool) -> float | None:
    """The least REAL that is not below the bound; `behind`: that is above it.  -0.0, not 0.0, in the order of their bytes."""
    if isinstance(bound, int):
        if abs(bound) > _EXACT:
            return None
        bound = float(bound)
    if not isinstance(bound, float) or (behind and bound == math.inf):
        return None
    return math.nextafter(bound, math.inf) if behind else bound or -0.0


class _Planes:
    """The bytes of numbers by their rank; masks are integers with a byte for each number."""

    __slots__ = ("_data", "_numbers", "_rows", "ones")

    def __init__(self, numbers: array[Any]) -> None:
        self._numbers = numbers
        self._data = numbers.tobytes()
        self._rows = len(numbers)
        self.ones = int.from_bytes(b"\1" * self._rows, "little")

    def below(self, bound: Any) -> int:
        """Which numbers are less."""
        numbers, data, rows = self._numbers, self._data, self._rows
        width = numbers.itemsize
        if numbers.typecode != "d":
            limit = 1 << (8 * width - 1)
            if not -limit < bound < limit:
                return self.ones if bound >= limit else 0
        less, open_rows = 0, self.ones
        for rank, (byte, is_less, is_same) in enumerate(_tables(numbers.typecode, bound)):
            plane = data[rank if sys.byteorder == "big" else width - 1 - rank :: width]
            same = plane.count(byte)
            if same == rows:
                continue
            less |= open_rows & int.from_bytes(plane.translate(is_less), "little")
            if not same:
                return less
            open_rows &= int.from_bytes(plane.translate(is_same), "little")
            still = open_rows.bit_count()
            if not still:
                return less
            if still * _FEW <= rows:
                return less | self._one_by_one(open_rows, bound)
        return less

    def _one_by_one(self, open_rows: int, bound: Any) -> int:
        numbers = self._numbers
        mask = bytearray(open_rows.to_bytes(self._rows, "little"))
        place = mask.find(1)
        while place >= 0:
            mask[place] = numbers[place] < bound
            place = mask.find(1, place + 1)
        return int.from_bytes(mask, "little")


@lru_cache(maxsize=256)
def _tables(code: str, bound: Any) -> list[tuple[int, bytes, bytes]]:
    """Of each byte of a bound, from the highest on: itself, and tables for which bytes in its place are those of lesser
    numbers, if all higher ones are the same, and for the same byte."""
    packed = array(code, [bound]).tobytes()
    if sys.byteorder == "little":
        packed = packed[::-1]
    is_real, is_negative = code == "d", packed[0] >= 0x80
    found = []
    for rank, byte in enumerate(packed):
        less: Iterable[int] = range(byte)
        if is_real and is_negative:  # its sign, and what it is without
            less = range(byte + 1, 256)
        elif not rank:
            less = range(0x80, byte) if is_negative else [*range(byte), *range(0x80, 256)]
        table = bytearray(256)
        for each in less:
            table[each] = 1
        same = bytearray(256)
        same[byte] = 1
        found.append((byte, bytes(table), bytes(same)))
    return found
