"""Live statistics for the planner: sizes, ranges and distinct counts, read from the trees themselves.

Nothing is stored: a tree knows its length and estimates a range in O(depth) page reads.  How many
entries share a key prefix is sampled at up to `SAMPLES` places of the index, and remembered per tree
and size class (the power of two of its length).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from btree import Transaction, Tree

SAMPLES = 6
DEFAULT_RANGE_SHARE = 0.25
DEFAULT_EQUAL_SHARE = 0.1
FILTER_SHARE = 0.33

_prefix_rows: dict[tuple[object, int, int, int], float] = {}
_CACHE_ENTRIES_MAX = 4096


class Statistics:
    """What one transaction's trees look like at plan time."""

    __slots__ = ("_ratios", "transaction")

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self._ratios: dict[tuple[int, int], float] = {}

    def tree(self, tree_id: int) -> Tree:
        return self.transaction.tree(tree_id)

    def rows(self, tree_id: int) -> int:
        return len(self.tree(tree_id))

    def rows_per_prefix(self, tree_id: int, parts: int) -> float:
        """On average, how many entries share their first `parts` key elements."""
        tree = self.tree(tree_id)
        size = len(tree)
        if size < 2:
            return 1.0
        first, last = tree.first(), tree.last()
        assert first is not None and last is not None
        cache_key = (_anchor(first[0]), tree_id, size.bit_length(), parts)
        known = _prefix_rows.get(cache_key)
        if known is not None:
            return known
        found = []
        for start in _starts(tree, first[0], last[0]):
            entry = _first_at(tree, start)
            if entry is None:
                continue
            prefix = entry[:parts]
            found.append(max(1, tree.estimate(prefix, prefix, hi_inclusive=True)))
        average = sum(found) / len(found) if found else 1.0
        if len(_prefix_rows) >= _CACHE_ENTRIES_MAX:
            _prefix_rows.clear()
        _prefix_rows[cache_key] = average
        return average

    def distinct_share(self, tree_id: int, column: int) -> float:
        """Distinct values of a column as a share of the rows, judged by the table's first leaf and last."""
        known = self._ratios.get((tree_id, column))
        if known is not None:
            return known
        tree = self.tree(tree_id)
        rows: list[Any] = []
        for reverse in (False, True):
            for _, values in tree.batches(reverse=reverse):
                rows += values
                break
        size = max(1, len(tree))
        sample = {row[column] for row in rows if row is not None and column < len(row)}
        if not rows:
            share = 1.0
        elif len(sample) * 2 < len(rows):
            # Few values: those seen are about all there are, unless equal ones lie together.
            run = sum(1 for a, b in pairwise(rows) if a[column] == b[column])
            clustered = run > len(rows) / 4
            share = len(sample) / len(rows) if clustered else len(sample) / size
        else:
            share = len(sample) / len(rows)
        share = min(1.0, max(share, 1.0 / size))
        self._ratios[(tree_id, column)] = share
        return share


def _anchor(key: Any) -> object:
    """Something cheap that tells databases apart in the cache."""
    return repr(key)[:40]


def _starts(tree: Tree, first: Any, last: Any) -> list[Any]:
    """Keys to sample at: spread evenly where the first element is a number, else from the start on."""
    low, high = first[0], last[0]
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and high > low:
        step = (high - low) / SAMPLES
        return [(low + step * place,) for place in range(SAMPLES)]
    starts = [first]
    current = first
    for _ in range(SAMPLES - 1):
        following = None
        for keys, _values in tree.batches(current[:1], lo_inclusive=False):
            following = keys[min(len(keys) - 1, 5)]
            break
        if following is None:
            break
        starts.append(following)
        current = following
    return starts


def _first_at(tree: Tree, start: Any) -> Any:
    for keys, _ in tree.batches(start):
        if keys:
            return keys[0]
    return None
