"""Conditions that compare a column with constants, decided for a whole batch by a few calls.

A batch's values of a column are *coded*: put into at most 254 buckets of neighbours, and each row given the number
of its bucket, a byte.  A condition is a few intervals of values, and so some whole buckets and at the ends of each
interval a few rows of others:

    codes.translate(table)        1 for each row whose bucket lies within, 0.4 ns a row
    int.from_bytes(a) & ...       several conditions
    compress(numbers, mask)       the rows that meet them, whose values are then picked column by column

No value is touched but those of rows that are found, and of the two buckets that an interval's ends cut; a comparison of
each takes 8 to 25 ns, the more the larger the table.  (The idea: column imprints, Sidirourgos and Kersten, SIGMOD
2013; a column of few values is one that is dictionary-coded.)

Buckets are made of one batch and used for the next ones as long as their values spread over them, so that to code a
value that columns share is to ask a dict: 30 ns.  It is done when a column that will be kept has just been decoded, and
its values are in the processor's cache; of one that was kept for other queries at once if most of its values are those of
other batches, else once it has been filtered before.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate, compress, repeat
from operator import ge, gt, itemgetter, le, lt
from typing import Any

from msgspec import Struct

from btree import Column, StoredColumn, as_it_lies, listed
from sql.run.computed import ComputedTest
from sql.run.lying import Interval, mask_of
from sql.run.masks import RowTest
from sql.run.probes import Probe, near, probed

BUCKETS = 254
_ABSENT = 255
"""The code of NULL: no bucket's."""
_SAMPLE_ROWS = 512
_BOUNDS_SAMPLE = 8 * BUCKETS
_SPREAD_SAMPLE = 64
_CROWDED = 6
"""Buckets fit no longer where one of them has more than one in so many rows, and did not when they were made."""
_FEW = 16
"""Rows are found by splitting a mask where at most one in so many is."""
_DENSE = 4
"""Columns are cut by a mask, and not picked by places, where more than one row in so many is found."""
_ONES = b"\1" * 256
_SHARED = 0.5
"""Values have their buckets looked up in a dict where at most this share of a batch's is new to the column."""
_NUMBERS_MAX = 1 << 16

Columns = tuple[Sequence[Any], ...]
Meets = Callable[[Any], bool]


class Buckets:
    """How values are dealt: bucket n has those from `bounds[n - 1]` to before `bounds[n]`.

    `singles`: buckets all of whose values equal their lower bound; `whole`: whether that is all of them.  `kinds`: the
    classes of the values, which tell what follows on a value.  `crowd`: the share of rows of the fullest bucket of the
    batch that they were made of, without the singles."""

    __slots__ = ("bounds", "crowd", "kinds", "numbers", "singles", "whole")

    bounds: list[Any]
    whole: bool

    def __init__(self, values: Sequence[Any], kinds: set[type], before: Buckets | None) -> None:
        self.kinds = kinds
        distinct: set[Any] = set()
        if len(set(values[:_SAMPLE_ROWS])) <= BUCKETS:
            distinct = {*values, *(before.bounds if before is not None and before.whole else ())}
            distinct.discard(None)
        self.whole = 0 < len(distinct) <= BUCKETS
        if self.whole:
            self.bounds = sorted(distinct)
            self.singles = {*range(1, len(self.bounds) + 1)}
            self.numbers: dict[Any, int] = dict(
                zip(self.bounds, range(1, BUCKETS + 1), strict=False)
            )
            self.numbers[None] = _ABSENT
            self.crowd = 0.0
            return
        step = -(-len(values) // _BOUNDS_SAMPLE) or 1
        sample = sorted([value for value in values[::step] if value is not None])
        counted = Counter(sample[:: -(-len(sample) // BUCKETS) or 1])
        bounds = dict.fromkeys(counted, False)
        if len(kinds) == 1:
            for value, times in counted.items():
                if times > 2:  # it is frequent, and so has a bucket by itself
                    bounds[value] = True
                    bounds.setdefault(_behind(value), False)
        self.bounds = sorted(bounds)
        self.numbers = _Numbers(self.bounds)
        self.singles = {place + 1 for place, value in enumerate(self.bounds) if bounds[value]}
        self.crowd = 1.0

    def codes_of(self, values: Sequence[Any], *, nulls: bool, shared: bool) -> bytes | None:
        """The number of each value's bucket; None if they have none."""
        numbers = self.numbers
        if self.whole:
            try:
                return bytes(map(numbers.__getitem__, values))
            except KeyError:
                return None
        bounds = self.bounds
        if not shared:
            if not nulls:
                return bytes(map(bisect_right, repeat(bounds), values))
            return bytes(
                [_ABSENT if value is None else bisect_right(bounds, value) for value in values]
            )
        if len(numbers) > _NUMBERS_MAX:
            numbers = self.numbers = _Numbers(bounds)
        return bytes(map(numbers.__getitem__, values))

    def fullest(self, codes: bytes) -> float:
        """About what share of rows is in one bucket that is no single."""
        sample = codes[:: len(codes) // _SPREAD_SAMPLE + 1]
        counts = [
            sample.count(number)
            for number in {*sample}
            if number != _ABSENT and number not in self.singles
        ]
        return max(counts, default=0) / max(len(sample), 1)


class _Numbers(dict[Any, int]):
    """The numbers of the buckets of values, as far as somebody has asked."""

    def __init__(self, bounds: list[Any]) -> None:
        self.bounds = bounds
        self[None] = _ABSENT

    def __missing__(self, value: Any) -> int:
        number = self[value] = bisect_right(self.bounds, value)
        return number


def _behind(value: Any) -> Any:
    """What follows on a value among those of its class."""
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return math.nextafter(value, math.inf)
    return value + ("\0" if isinstance(value, str) else b"\0")


class Codes(Struct):
    """A batch's values as numbers of buckets; `nulls`: whether there are some."""

    codes: bytes
    buckets: Buckets
    nulls: bool


def coded(values: Sequence[Any], before: Buckets | None = None, *, shared: bool = False) -> Codes:
    """The codes of values that compare with each other, and of NULLs.

    `before`: the buckets of another batch; `shared`: whether most values are those of other batches."""
    kinds = getattr(values, "classes", None)
    if kinds is None:
        kinds = {*map(type, values)} - {type(None)}
    nulls = None in values
    if before is not None and before.kinds == kinds:
        codes = before.codes_of(values, nulls=nulls, shared=shared)
        if codes is not None and (
            before.whole or before.fullest(codes) <= max(1 / _CROWDED, before.crowd)
        ):
            return Codes(codes, before, nulls)
    buckets = Buckets(values, kinds, before)
    codes = buckets.codes_of(values, nulls=nulls, shared=shared)
    assert codes is not None
    if not buckets.whole:
        buckets.crowd = buckets.fullest(codes)
    return Codes(codes, buckets, nulls)


def codes_of(column: Sequence[Any], before: Codes | None) -> Codes | None:
    """The codes of a batch's column, if it has some, or should.  `before`: those of the last batch that has."""
    if not isinstance(column, Column):
        return None
    known = column.derived("codes")
    if known is None:
        known = _learnt(column, before)
    return known if isinstance(known, Codes) else None


def _learnt(column: Column, before: Codes | None) -> object:
    if not column.is_to_stay:
        return None
    shared = getattr(column, "own_share", 1) <= _SHARED
    if column.is_kept and not shared and column.derived("filtered") is None:
        column.keep("filtered", True, 0)
        return None
    column.keep("codes", False, len(column))
    if column.derived("codes") is None:
        return None  # there is no room
    codes = coded(column, before.buckets if before is not None else None, shared=shared)
    column.keep("codes", codes, 0)
    return codes


class Test:
    """Conditions on one column, the batch's at `place`, all of which have to be met: (operator, value), of IN a tuple
    of values."""

    __slots__ = ("_before", "_buckets", "_cut", "_place", "_table", "intervals")

    def __init__(self, place: int, conditions: Iterable[tuple[str, Any]]) -> None:
        self._place = place
        self._before: Codes | None = None
        self.ask(conditions)

    def ask(self, conditions: Iterable[tuple[str, Any]]) -> None:
        """Ask for other conditions from now on."""
        intervals: list[Interval] = [(None, False, None, False)]
        for operator, value in conditions:
            own = _intervals(operator, value)
            met = [_common(one, other) for one in intervals for other in own]
            intervals = [interval for interval in met if interval is not None]
        self.intervals = intervals
        self._buckets: Buckets | None = None
        self._table = b""
        self._cut: list[tuple[int, Meets]] = []

    def decided(self, batch: Columns) -> bytes | bool | None:
        """`mask` of a batch; None if its column is neither coded nor of numbers as they lie in pages."""
        values = batch[self._place]
        if isinstance(values, StoredColumn):
            numbers = values.numbers()
            return None if numbers is None else mask_of(numbers, self.intervals)
        codes = codes_of(values, self._before)
        if codes is None:
            return None
        self._before = codes
        return self.mask(codes, values)

    def mask(self, codes: Codes, values: Sequence[Any]) -> bytes | bool:
        """A byte for each row, 1 where its value meets the conditions; True for all of them, False for none."""
        if codes.buckets is not self._buckets:
            self._see(codes.buckets)
        if not self._cut:
            if 1 not in self._table:
                return False
            if 0 not in self._table and not codes.nulls:
                return True
        mask = codes.codes.translate(self._table)
        find = codes.codes.find
        for number, meets in self._cut:
            place = find(number)
            if place < 0:
                continue
            changed = bytearray(mask)
            while place >= 0:
                changed[place] = meets(values[place])
                place = find(number, place + 1)
            mask = bytes(changed)
        return mask

    def _see(self, buckets: Buckets) -> None:
        """Find which buckets lie within the intervals, and which are cut by their ends."""
        bounds, singles = buckets.bounds, buckets.singles
        table = bytearray(255)
        cut: dict[int, list[Meets]] = {}
        for low, low_open, high, high_open in self.intervals:
            first, last = 0, len(bounds)
            above = below = -1  # the buckets that are cut
            if low is not None:
                first = bisect_right(bounds, low)
                at_bound = first > 0 and bounds[first - 1] == low
                if first in singles:
                    first += low_open or not at_bound
                elif low_open or not at_bound:
                    above, first = first, first + 1
            if high is not None:
                last = bisect_right(bounds, high)
                at_bound = last > 0 and bounds[last - 1] == high
                if last in singles:
                    last -= high_open and at_bound
                else:
                    below = -1 if high_open and at_bound else last
                    last -= 1
            if first <= last:
                table[first : last + 1] = _ONES[: last + 1 - first]
            is_above: Meets = partial(lt if low_open else le, low)
            is_below: Meets = partial(gt if high_open else ge, high)
            if above >= 0 and above == below:
                cut.setdefault(above, []).append(_both(is_above, is_below))
                continue
            if above >= 0:
                cut.setdefault(above, []).append(is_above)
            if below >= 0:
                cut.setdefault(below, []).append(is_below)
        if buckets.whole:  # there is none before the first value
            table[0] = table[1]
            cut.pop(0, None)
        for number in range(len(bounds) + 1, _ABSENT):
            table[number] = table[0]  # there are no such buckets
        self._buckets = buckets
        # A bucket that one interval cuts may lie within another one.
        self._cut = [(number, _any(meet)) for number, meet in cut.items() if not table[number]]
        self._table = bytes(table) + b"\0"


class Foremost:
    """That a row's value in a column is not behind that of the last row which a LIMIT lets through so far: the first
    of `last`, as soon as there is one, as it is or, where there may be NULLs, as (whether there is one, value).

    Most batches of a kept column are told by the value of theirs that comes first, which is kept with it; what codes
    tell more is not worth making them."""

    __slots__ = ("_first", "_last", "_name", "_operator", "_place", "_test", "_value")

    def __init__(self, place: int, last: Sequence[Any], descending: bool) -> None:
        self._place = place
        self._last = last
        self._operator = ">=" if descending else "<="
        self._name, self._first = ("greatest", max) if descending else ("least", min)
        self._value: Any = None
        self._test = Test(place, ())

    def decided(self, batch: Columns) -> bytes | bool:
        """As of `Test`; True where that can't be told of the batch."""
        if not self._last:
            return True
        value, column = self._last[0], batch[self._place]
        if value.__class__ is tuple:
            value = value[1]
            if value is None or not isinstance(column, StoredColumn):
                return True  # nor of NULLs, which those that lie in pages as numbers are not
        if isinstance(column, Column) and column.is_to_stay and not column.derived("codes"):
            first = column.derived(self._name)
            if first is None:
                first = self._first(column)
                column.keep(self._name, first, 0)
            return bool(first <= value if self._first is min else first >= value)
        if value != self._value:
            self._value = value
            self._test.ask(((self._operator, value),))
        mask = self._test.decided(batch)
        return True if mask is None else mask


def _both(one: Meets, other: Meets) -> Meets:
    return lambda value: one(value) and other(value)


def _any(tests: list[Meets]) -> Meets:
    return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)


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
    tests: Sequence[Test | RowTest | ComputedTest | Foremost],
    one_by_one: Callable[..., list[Any]] | None,
    probes: Sequence[tuple[int, Probe]],
    wanted: Sequence[int],
) -> Iterator[Columns]:
    """Of batches of columns the rows that pass the tests and find something by the probes (of the columns at those
    places); of their columns those at the places that are `wanted`, and behind them what was found.  If that is
    nothing at all, numbers in its stead.

    `one_by_one` gives the places of the rows that pass, too, where the tests can't decide; where one column alone
    is wanted, its values in those rows."""
    alone = len(wanted) == 1 and not probes
    for batch in batches:
        mask = _mask(batch, tests)
        places: Sequence[int] = []
        if mask is None:
            assert one_by_one is not None
            batch = tuple(map(listed, batch))
            mask, places = True, one_by_one(*batch)
            if not places:
                continue
            if alone:
                yield (places,)
                continue
        # Bits are counted in a third of the time that bytes take.
        count = int.from_bytes(mask, "little").bit_count() if isinstance(mask, bytes) else mask
        if not count:
            continue
        if isinstance(mask, bytes):
            dense = count * _DENSE > len(mask)
            if alone and (dense or batch[wanted[0]].__class__ is not StoredColumn):
                yield (list(compress(as_it_lies(batch[wanted[0]]), mask)),)
                continue
            if not probes and not wanted:
                yield (range(count),)
                continue
            if not probes and dense:
                yield tuple([list(compress(as_it_lies(batch[place]), mask)) for place in wanted])
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
            places = places_of(mask, count)
        if not places and not probes:
            yield tuple([listed(batch[place]) for place in wanted]) or (range(len(batch[0])),)
            continue
        joined: list[Sequence[Any]] = []
        if still:
            places, joined = probed(batch, places or numbers_below(len(batch[0])), still)
        if places:
            yield (*_picked(batch, places, wanted), *joined) or (places,)


def _mask(
    batch: Columns, tests: Sequence[Test | RowTest | ComputedTest | Foremost]
) -> bytes | bool | None:
    """The rows that pass all tests, as of one; None where one of them can't decide."""
    mask, both, undecided = b"", 0, False
    for test in tests:
        found = test.decided(batch)
        if isinstance(found, bytes):
            if not mask:
                mask = found
                continue
            both = (both or int.from_bytes(mask, "little")) & int.from_bytes(found, "little")
            if both:
                continue
            return False
        if found is None:
            undecided = True
        elif not found:
            return False
    if undecided:
        return None
    return both.to_bytes(len(mask), "little") if both else mask or True


def places_of(mask: bytes, count: int) -> list[int]:
    """The places of the ones, of which there are so many."""
    if count * _FEW >= len(mask):
        return list(compress(numbers_below(len(mask), at_least=True), mask))
    gaps = map(len, mask.split(b"\1"))
    return [nth + at for nth, at in zip(range(count), accumulate(gaps), strict=False)]


def _picked(batch: Columns, places: Sequence[int], wanted: Sequence[int]) -> Columns:
    if len(places) == len(batch[0]):
        return tuple([listed(batch[at]) for at in wanted])
    columns = [as_it_lies(batch[at]) for at in wanted]
    if len(places) < 2:
        return tuple([[column[place] for place in places] for column in columns])
    pick = itemgetter(*places)
    return tuple([pick(column) for column in columns])


_counted: list[int] = []


def numbers_below(count: int, *, at_least: bool = False) -> list[int]:
    """The numbers below `count`, or some more: an int that exists is had for half of a new one."""
    global _counted
    if len(_counted) < count:
        _counted = list(range(2 * count))
    return _counted if at_least else _counted[:count]
