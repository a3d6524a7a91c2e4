"""Tree keys that are tuples or numbers, put in SQL's order; those of a whole index are sorted by column (`column_sorting`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, compress, islice
from operator import eq, itemgetter
from typing import Any

from btree import order_key

Row = tuple[Any, ...]

_RANKS = {type(None): 0, bool: 1, int: 1, float: 1, str: 2, bytes: 3}


def sort_entries(entries: list[Any]) -> None:
    """Sort tree keys in SQL's order."""
    try:
        entries.sort()
    except TypeError:  # NULLs, numbers, texts, blobs: these don't compare with each other
        if entries[0].__class__ is tuple:
            _sort_by_rank(entries)
        else:
            entries.sort(key=order_key)


def _sort_by_rank(entries: list[Row]) -> None:
    """Stable sorts by one element after the other, the last first, of each kind by itself."""
    for at in range(len(entries[0]) - 1, -1, -1):
        by_rank: defaultdict[int, list[Row]] = defaultdict(list)
        for entry in entries:
            by_rank[_RANKS[entry[at].__class__]].append(entry)
        for rank, some in by_rank.items():
            if rank:
                some.sort(key=itemgetter(at))
        entries[:] = chain.from_iterable([by_rank[rank] for rank in sorted(by_rank)])


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
