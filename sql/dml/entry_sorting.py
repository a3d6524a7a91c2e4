"""Index entries that are tuples already put in SQL's order, many at once; those of a whole index go by column
(`column_sorting`).

Comparisons of tuples that lie all over the memory wait for it, and ties among first elements break the runs that
a sort lives on: a million random entries of three elements took 0.87 s in one sort.  So entries are *dealt* into
buckets of some hundreds first: numbers by their distance to the smallest, texts by their beginnings, values of
which there are few by themselves, NULLs, numbers, texts and blobs apart.  A large bucket is dealt again, by the next
element where all of it have the same.  0.36 s so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, compress, count, islice, starmap
from math import inf
from operator import eq, itemgetter, le, ne
from typing import Any

from btree import order_key

Row = tuple[Any, ...]
Buckets = tuple[list[list[Row]], bool]
"""Entries dealt, and whether those of a bucket all have the same value."""

_SORTED_WHOLE = 1000
"""Entries up to which a sort of whole tuples is not worth taking apart."""

_BUCKET_ENTRIES = 256
_SAMPLE_ENTRIES = 1000
_BUCKETS_OF_SAMPLE = 200
"""Texts are dealt by as much of their beginnings as makes no bucket larger than such a share of a sample, but for
those of one text."""

_FEW_OF_SAMPLE = 8
"""With fewer values than one in so many of a sample, texts are dealt as they are."""

_PREFIX_MAX = 40
_PATIENCE = 2
"""So often entries are dealt although most of them come into one bucket."""

NULL = type(None)
_RANKS = {NULL: 0, bool: 1, int: 1, float: 1, str: 2, bytes: 3}


def sort_entries(entries: list[Any], parts: int = 0) -> None:
    """Sort tree keys in SQL's order.

    `parts`: promises that entries that are alike in so many parts are in order already, as they come
    from a scan of the table; what tells them apart is the tree key behind the parts."""
    if len(entries) > _SORTED_WHOLE and entries[0].__class__ is tuple:
        entries[:] = chain.from_iterable(_buckets(entries, 0, parts or len(entries[0])))
        return
    try:
        entries.sort()
    except TypeError:
        entries.sort(key=order_key)


def in_key_order(found: Sequence[Row]) -> list[Row]:
    """Rows that begin with their tree keys, in the order of these.

    What a statement does row by row goes in this order, whatever index found the rows: where one row's change
    gets in the way of another's, the outcome is no matter of the plan, and it is SQLite's, which collects
    rowids before it changes anything that triggers or other rows could see."""
    try:
        return sorted(found, key=itemgetter(0))
    except TypeError:
        return sorted(found, key=lambda item: order_key(item[0]))


def alike_behind(entries: Sequence[Row], parts: int) -> bool:
    """Whether two sorted entries that follow each other are alike in so many parts, none of them NULL."""
    firsts = list(map(itemgetter(0), entries))
    same = map(eq, firsts, islice(firsts, 1, None))
    if parts == 1:
        return any(first is not None for first in compress(firsts, same))
    for at in compress(range(len(firsts)), same):
        prefix = entries[at][:parts]
        if prefix == entries[at + 1][:parts] and None not in prefix:
            return True
    return False


def _buckets(
    entries: list[Row], place: int, parts: int, patience: int = _PATIENCE
) -> Iterator[list[Row]]:
    """Entries that are alike before `place`, as lists that are in order."""
    if place >= parts or len(entries) <= _SORTED_WHOLE:
        yield _sorted(entries, place, parts)
        return
    values = list(map(itemgetter(place), entries))
    kinds = set(map(type, values))
    ranks = {_RANKS[kind] for kind in kinds}
    if len(ranks) > 1:
        for rank in sorted(ranks):
            mask = [_RANKS[value.__class__] == rank for value in values]
            yield from _buckets(list(compress(entries, mask)), place, parts, patience)
        return
    if all(map(le, values, islice(values, 1, None))) if NULL not in kinds else False:
        yield _sorted(entries.copy(), place, parts)
        return
    dealt = ([entries], True) if NULL in kinds else _dealt(entries, values, kinds)
    if dealt is None:
        yield _sorted(entries.copy(), place, parts)
        return
    buckets, alike = dealt
    if alike:
        place += 1
    elif max(map(len, buckets)) * 2 > len(entries):
        if not patience:
            yield _sorted(entries.copy(), place, parts)
            return
        patience -= 1
    for bucket in buckets:
        if len(bucket) > _SORTED_WHOLE:
            yield from _buckets(bucket, place, parts, patience)
        elif bucket:
            yield _sorted(bucket, place, parts)


def _sorted(entries: list[Row], place: int, parts: int) -> list[Row]:
    """Entries that are alike before `place`, put in order.  Plain values are compared four times as fast as
    tuples."""
    try:
        if place == parts - 1:
            entries.sort(key=itemgetter(place))
        elif place < parts:
            entries.sort()
    except TypeError:
        _sort_by_rank(entries, place)
    return entries


def _sort_by_rank(entries: list[Row], place: int) -> None:
    """The same where there are values of several kinds: stable sorts by one element after the other, the last
    first, of each kind by itself."""
    for at in range(len(entries[0]) - 1, place - 1, -1):
        by_rank: defaultdict[int, list[Row]] = defaultdict(list)
        for entry in entries:
            by_rank[_RANKS[entry[at].__class__]].append(entry)
        for rank, some in by_rank.items():
            if rank:
                some.sort(key=itemgetter(at))
        entries[:] = chain.from_iterable([by_rank[rank] for rank in sorted(by_rank)])


def _dealt(entries: list[Row], values: list[Any], kinds: set[type]) -> Buckets | None:
    """The entries in buckets that ascend by these values, which compare with each other; None where that is of no
    use."""
    if kinds == {str} or kinds == {bytes}:
        return _dealt_by_prefix(entries, values)
    low, high = min(values), max(values)
    if low == high:
        return [entries], True
    about = len(values) // _BUCKET_ENTRIES + 1
    buckets: list[list[Row]]
    if kinds == {int}:
        shift = max(0, (high - low).bit_length() - about.bit_length())
        buckets = [[] for _ in range((high - low >> shift) + 1)]
        deal = [bucket.append for bucket in buckets]
        for entry, value in zip(entries, values, strict=True):
            deal[value - low >> shift](entry)
        return buckets, not shift
    # Rounding keeps the order, so what a bucket's bounds are exactly does not matter; as long as all are rounded
    # alike, integers beside REALs, too.
    if int in kinds:
        values = list(map(float, values))
        low, high = float(low), float(high)
    scale = about / (high - low) if high - low > 0 else 0.0
    if not 0.0 < scale < inf:
        return None
    buckets = [[] for _ in range(int((high - low) * scale) + 1)]
    deal = [bucket.append for bucket in buckets]
    for entry, value in zip(entries, values, strict=True):
        deal[int((value - low) * scale)](entry)
    return buckets, False


def telling_prefix(sample: Sequence[Any], different: Collection[Any], groups: int) -> int:
    """How long a beginning of texts, or blobs, tells them apart: so that no more than one of `groups` parts of a
    sample begins alike, but for those that are equal; 0 if they differ too late.  `different`: its values."""
    ends = zip(min(sample), max(sample), strict=False)
    alike = next(compress(count(), starmap(ne, ends)), len(min(sample)))
    for length in range(alike + 1, alike + _PREFIX_MAX):
        texts = Counter([value[:length] for value in different])
        found = Counter([value[:length] for value in sample])
        largest = max([found[prefix] for prefix, many in texts.items() if many > 1], default=0)
        if largest * groups <= len(sample):
            return length
    return 0


def _dealt_by_prefix(entries: list[Row], values: list[Any]) -> Buckets | None:
    """The same for texts, or blobs: one bucket for all that begin alike, as far as it takes to tell a few
    hundredths of them apart, or for each where they are few; None if they differ too late."""
    sample = values[:: len(values) // _SAMPLE_ENTRIES + 1]
    different = set(sample)
    by_value: defaultdict[Any, list[Row]] = defaultdict(list)
    if len(different) * _FEW_OF_SAMPLE <= len(sample):
        for entry, value in zip(entries, values, strict=True):
            by_value[value].append(entry)
        return [by_value[value] for value in sorted(by_value)], True
    length = telling_prefix(sample, different, _BUCKETS_OF_SAMPLE)
    if not length:
        return None
    for entry, value in zip(entries, values, strict=True):
        by_value[value[:length]].append(entry)
    return [by_value[prefix] for prefix in sorted(by_value)], False
