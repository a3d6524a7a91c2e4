"""Conditions that compare a column with constants, decided for a whole batch by a few calls.

A batch's values of a column are *coded*: sorted, cut into at most 255 buckets of neighbours, and each row given
the number of its bucket, a byte.  A condition is a few intervals of values, and so some whole buckets and at the
ends of each interval a few rows of others:

    codes.translate(table)        1 for each row whose bucket lies within, 0.4 ns a row
    int.from_bytes(a) & ...       several conditions
    compress(numbers, mask)       the rows that meet them, whose values are then picked column by column

No value is touched but those of rows that are found; a comparison of each takes 8 to 25 ns, the more the
larger the table.  Coding takes about as long as five such scans, so that columns are coded that are kept in
memory, once they have been filtered before.  (The idea: column imprints, Sidirourgos and Kersten, SIGMOD 2013;
a column of few values is one that is dictionary-coded.)
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, compress
from operator import itemgetter
from typing import Any

from msgspec import Struct

from btree import Column
from sql.run.probes import Probe, near, probed

BUCKETS = 255
_ABSENT = 255
"""The code of NULL: no bucket's."""
_SAMPLE_ROWS = 512
_FEW = 16
"""Rows are found by splitting a mask where at most one in so many is."""
_ONES = b"\1" * 256
_ABOUT_BYTES = 13
"""What a row's code, its place and its place in order take."""

Interval = tuple[Any, bool, Any, bool]
"""Low, whether that is left out, high, whether that is; None where there is no bound."""
Columns = tuple[Sequence[Any], ...]


class Codes(Struct):
    """A batch's values as numbers of buckets.

    `ordered`: the values in order, each once where they are few and have a bucket each (`places` is None then);
    else each as often as it is there, `places` being where, and `step` of them share a bucket."""

    codes: bytes
    ordered: list[Any]
    nulls: bool
    step: int = 1
    places: array[int] | None = None


def coded(values: Sequence[Any]) -> Codes:
    """The codes of values that compare with each other, and of NULLs."""
    if len(set(values[:_SAMPLE_ROWS])) <= BUCKETS:
        distinct = set(values)
        nulls = None in distinct
        distinct.discard(None)
        if len(distinct) <= BUCKETS:
            ordered = sorted(distinct)
            numbers = dict(zip(ordered, range(BUCKETS), strict=False))
            numbers[None] = _ABSENT
            return Codes(bytes(map(numbers.__getitem__, values)), ordered, nulls)
    places = [place for place, value in enumerate(values) if value is not None]
    places.sort(key=values.__getitem__)
    codes = bytearray([_ABSENT]) * len(values)
    step = -(-len(places) // BUCKETS)
    for number, start in enumerate(range(0, len(places), step)):
        for place in places[start : start + step]:
            codes[place] = number
    ordered = [values[place] for place in places]
    return Codes(bytes(codes), ordered, len(places) < len(values), step, array("I", places))


def codes_of(column: Sequence[Any]) -> Codes | None:
    """The codes of a batch's column, if it has some, or should."""
    if not isinstance(column, Column):
        return None
    known = column.derived("codes")
    if known is None:
        known = _learnt(column)
    return known if isinstance(known, Codes) else None


def _learnt(column: Column) -> object:
    if column.derived("filtered") is None:
        column.keep("filtered", True, 0)
        return None
    if getattr(column, "kept_in", None) is None:
        return None
    column.keep("codes", False, _ABOUT_BYTES * len(column))
    if column.derived("codes") is None:
        return None  # there is no room
    codes = coded(column)
    column.keep("codes", codes, 0)
    return codes


class Test:
    """Conditions on one column, all of which have to be met: (operator, value), of IN a tuple of values."""

    __slots__ = ("intervals",)

    def __init__(self, conditions: Iterable[tuple[str, Any]]) -> None:
        intervals: list[Interval] = [(None, False, None, False)]
        for operator, value in conditions:
            own = _intervals(operator, value)
            met = [_common(one, other) for one in intervals for other in own]
            intervals = [interval for interval in met if interval is not None]
        self.intervals = intervals

    def mask(self, codes: Codes) -> bytes | bool:
        """A byte for each row, 1 where its value meets the conditions; True for all of them, False for none."""
        ordered, step, places = codes.ordered, codes.step, codes.places
        table = bytearray(256)
        apart: list[int] = []  # rows of buckets that are cut
        found = 0
        for low, low_open, high, high_open in self.intervals:
            start, end = 0, len(ordered)
            if low is not None:
                start = (bisect_right if low_open else bisect_left)(ordered, low)
            if high is not None:
                end = (bisect_left if high_open else bisect_right)(ordered, high)
            if start >= end:
                continue
            found += end - start
            if places is None:
                table[start:end] = _ONES[: end - start]
                continue
            first, last = -(-start // step), end // step  # buckets that lie within
            if end == len(ordered):
                last = -(-end // step)
            if first <= last:
                table[first:last] = _ONES[: last - first]
                apart += places[start : first * step]
                apart += places[last * step : end]
            else:
                apart += places[start:end]
        if not found:
            return False
        if found == len(ordered) and not codes.nulls:
            return True
        mask = codes.codes.translate(table)
        if not apart:
            return mask
        cut = bytearray(mask)
        for place in apart:
            cut[place] = 1
        return bytes(cut)


def _intervals(operator: str, value: Any) -> list[Interval]:
    """Where `x OPERATOR value` is true."""
    if operator == "IN":
        return [(item, False, item, False) for item in sorted({*value} - {None})]
    if value is None:
        return []
    match operator:
        case "=":
            return [(value, False, value, False)]
        case "<>":
            return [(None, False, value, True), (value, True, None, False)]
        case "<" | "<=":
            return [(None, False, value, operator == "<")]
        case _:
            return [(value, operator == ">", None, False)]


def _common(one: Interval, other: Interval) -> Interval | None:
    """What lies in both."""
    low, low_open, high, high_open = one
    if other[0] is not None and (low is None or other[0] >= low):
        low_open = other[1] or (low_open and other[0] == low)
        low = other[0]
    if other[2] is not None and (high is None or other[2] <= high):
        high_open = other[3] or (high_open and other[2] == high)
        high = other[2]
    if low is None or high is None or low < high:
        return low, low_open, high, high_open
    return None if low > high or low_open or high_open else (low, False, high, False)


def selected(
    batches: Iterable[Columns],
    tests: Sequence[tuple[int, Test]],
    one_by_one: Callable[..., list[Any]] | None,
    probes: Sequence[tuple[int, Probe]],
    wanted: Sequence[int],
) -> Iterator[Columns]:
    """Of batches of columns the rows that pass the tests (of the columns at those places) and find something by
    the probes; of their columns those at the places that are `wanted`, and behind them what was found.  If that is
    nothing at all, numbers in its stead.

    `one_by_one` gives the places of the rows that pass, too, of columns that are not coded; where one column alone
    is wanted, its values in those rows."""
    alone = len(wanted) == 1 and not probes
    for batch in batches:
        all_codes = [codes_of(batch[place]) for place, _ in tests]
        mask: bytes | bool
        places: Sequence[int]
        if None in all_codes:
            assert one_by_one is not None
            mask, places = True, one_by_one(*batch)
            if not places:
                continue
            if alone:
                yield (places,)
                continue
        else:
            mask, places = _mask(batch, tests, all_codes), []
        # Bits are counted in a third of the time that bytes take.
        count = int.from_bytes(mask, "little").bit_count() if isinstance(mask, bytes) else mask
        if not count:
            continue
        if isinstance(mask, bytes):
            if alone:
                yield (list(compress(batch[wanted[0]], mask)),)
                continue
            if not probes and not wanted:
                yield (range(count),)
                continue
        still = probes
        if probes and not places:
            found = near(batch, probes, len(batch[0]) if mask is True else count)
            if found is not None:
                places, still = found
                if isinstance(mask, bytes):
                    places = [place for place in places if mask[place]]
                if not places:
                    continue
        if isinstance(mask, bytes) and not places:
            places = _places(mask, count)
        if not places and not probes:
            yield tuple([batch[place] for place in wanted]) or (range(len(batch[0])),)
            continue
        joined: list[Sequence[Any]] = []
        if still:
            places, joined = probed(batch, places or numbers_below(len(batch[0])), still)
        if places:
            yield (*_picked(batch, places, wanted), *joined) or (places,)


def _mask(
    batch: Columns, tests: Sequence[tuple[int, Test]], all_codes: Sequence[Codes | None]
) -> bytes | bool:
    """The rows that pass all tests, as of one."""
    mask, both = b"", 0
    for (_, test), codes in zip(tests, all_codes, strict=True):
        assert codes is not None
        found = test.mask(codes)
        if isinstance(found, bytes):
            if not mask:
                mask = found
                continue
            both = (both or int.from_bytes(mask, "little")) & int.from_bytes(found, "little")
            if both:
                continue
            return False
        if not found:
            return False
    return both.to_bytes(len(mask), "little") if both else mask or True


def _places(mask: bytes, count: int) -> list[int]:
    """The places of the ones, of which there are so many."""
    if count * _FEW >= len(mask):
        return list(compress(numbers_below(len(mask), at_least=True), mask))
    gaps = map(len, mask.split(b"\1"))
    return [nth + at for nth, at in zip(range(count), accumulate(gaps), strict=False)]


def _picked(batch: Columns, places: Sequence[int], wanted: Sequence[int]) -> Columns:
    if len(places) == len(batch[0]):
        return tuple([batch[at] for at in wanted])
    if len(places) < 2:
        return tuple([[batch[at][place] for place in places] for at in wanted])
    pick = itemgetter(*places)
    return tuple([pick(batch[at]) for at in wanted])


_counted: list[int] = []


def numbers_below(count: int, *, at_least: bool = False) -> list[int]:
    """The numbers below `count`, or some more: an int that exists is had for half of a new one."""
    global _counted
    if len(_counted) < count:
        _counted = list(range(2 * count))
    return _counted if at_least else _counted[:count]
