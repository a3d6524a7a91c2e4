"""Live statistics for the planner: sizes, ranges and distinct counts, read from the trees themselves.

Nothing is stored: a tree knows its length and estimates a range in O(depth) page reads.  How many
entries share a key prefix is sampled at up to `SAMPLES` places of the index, and remembered per tree
and size class (the power of two of its length).
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sql.optimise.costs import COLUMN_ROWS_MIN, LEAF_ROWS

if TYPE_CHECKING:
    from btree import Tree
    from sql.bind import BindEnvironment

SAMPLES = 6
SAMPLE_LEAVES = 8
SPREAD_ENTRIES = 32
"""Entries of an index of which it is looked where their rows are."""
DEFAULT_RANGE_SHARE = 0.25
FILTER_SHARE = 0.33
ROWS_OF_UNKNOWN = 100.0

_prefix_rows: dict[tuple[object, int, int, int], float] = {}
_CACHE_ENTRIES_MAX = 4096


class Statistics:
    """What the trees of a preparation's transaction look like."""

    __slots__ = (
        "_columns",
        "_ends",
        "_env",
        "_leaves",
        "_prefixes",
        "_ratios",
        "_samples",
        "_spreads",
        "_units",
    )

    def __init__(self, env: BindEnvironment) -> None:
        self._env = env
        # What is asked again for each way to join, and each block that a query is tried as.
        self._ends: dict[int, tuple[Any, Any]] = {}
        self._prefixes: dict[tuple[int, int], float] = {}
        self._spreads: dict[tuple[int, int, tuple[Any, ...]], float] = {}
        self._ratios: dict[tuple[int, int], float] = {}
        self._samples: dict[int, list[Any]] = {}
        self._leaves: dict[int, list[int]] = {}  # where each leaf of a sample ends
        self._units: dict[tuple[int, int], int] = {}
        self._columns: dict[tuple[int, int], list[Any]] = {}

    def tree(self, tree_id: int) -> Tree:
        return self._env.transaction.tree(tree_id)

    def forget_samples(self) -> None:
        """Let go of the rows that were looked at."""
        self._samples.clear()
        self._leaves.clear()
        self._columns.clear()

    def rows(self, tree_id: int) -> int:
        return len(self.tree(tree_id))

    def is_for_columns(self, tree_id: int) -> bool:
        """Whether a scan of some of a table's columns had better go by column: a small table is in memory as rows in any
        case, but for long values."""
        tree = self.tree(tree_id)
        return len(tree) >= COLUMN_ROWS_MIN or tree.has_long

    def ends(self, tree_id: int) -> tuple[Any, Any]:
        """The first and the last entry of a tree, each None if it has none."""
        known = self._ends.get(tree_id)
        if known is None:
            tree = self.tree(tree_id)
            known = self._ends[tree_id] = tree.first(), tree.last()
        return known

    def rows_of_first(self, tree_id: int, *, reverse: bool) -> float:
        """How many entries of an index share the first element of its first key, or of its last one."""
        entry = self.ends(tree_id)[1 if reverse else 0]
        if entry is None:
            return 0.0
        prefix = entry[0][:1]
        return float(self.tree(tree_id).estimate(prefix, prefix, hi_inclusive=True))

    def rows_per_prefix(self, tree_id: int, parts: int) -> float:
        """On average, how many entries share their first `parts` key elements."""
        known = self._prefixes.get((tree_id, parts))
        if known is None:
            known = self._prefixes[tree_id, parts] = self._rows_per_prefix(tree_id, parts)
        return known

    def _rows_per_prefix(self, tree_id: int, parts: int) -> float:
        tree = self.tree(tree_id)
        size = len(tree)
        if size < 2:
            return 1.0
        first, last = self.ends(tree_id)
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

    def spread(self, index_id: int, table_id: int, start: tuple[Any, ...]) -> float:
        """How many leaves of its table the entries of an index about a key lead to, as a share of the entries.

        Rows are taken to lie evenly between the first and the last row id."""
        key = index_id, table_id, start
        known = self._spreads.get(key)
        if known is None:
            known = self._spreads[key] = self._spread(*key)
        return known

    def _spread(self, index_id: int, table_id: int, start: tuple[Any, ...]) -> float:
        index, table = self.tree(index_id), self.tree(table_id)
        first, last = self.ends(table_id)
        entries = index.following(start, SPREAD_ENTRIES)
        if (
            not entries or len(entries) < SPREAD_ENTRIES
        ):  # they are in two leaves, or there are no more
            entries = index.preceding(start, SPREAD_ENTRIES, inclusive=True)
        if not entries or first is None or last is None:
            return 1.0
        rowids = [key[-1] for key in entries]
        leaf = max(1.0, (last[0] - first[0]) / len(table) * LEAF_ROWS)
        return len({(rowid - first[0]) // leaf for rowid in rowids}) / len(rowids)

    def sample(self, tree_id: int) -> list[Any]:
        """Rows of a few leaves of a table."""
        tree = self.tree(tree_id)
        known = self._samples.get(tree_id)
        if known is None:
            known, ends = [], []
            for start in _leaf_starts(tree):
                for _, values in tree.batches(start):
                    known += values
                    ends.append(len(known))
                    break
            if len(known) < len(tree) and len(known) < SAMPLE_LEAVES * 16:
                for _, values in tree.batches(reverse=True):
                    known += values
                    ends.append(len(known))
                    break
            self._samples[tree_id], self._leaves[tree_id] = known, ends
        return known

    def independent(self, tree_id: int, column: int) -> int:
        """As how many independent values a column of the sample counts where a range is compared with it.

        Where values ascend with the rows, as times in a log do, a leaf's values are one: what lies between two leaves of
        the sample is a part of the table, not one row of it."""
        known = self._units.get((tree_id, column))
        if known is None:
            values = self.column(tree_id, column)
            ends = self._leaves[tree_id]
            known = len(values)
            if len(ends) > 2 and known < len(self.tree(tree_id)):
                firsts = [values[start] for start in (0, *ends[:-1])]
                lasts = [values[end - 1] for end in ends]
                with suppress(TypeError):  # of several kinds
                    if all(a <= b for a, b in zip(lasts, firsts[1:], strict=False)):
                        known = len(ends)
            self._units[tree_id, column] = known
        return known

    def column(self, tree_id: int, column: int) -> list[Any]:
        """A column of the sample's rows; NULL where a row is from before the column."""
        known = self._columns.get((tree_id, column))
        if known is None:
            sample = self.sample(tree_id)
            try:
                known = [row[column] for row in sample]
            except IndexError:
                known = [row[column] if column < len(row) else None for row in sample]
            self._columns[tree_id, column] = known
        return known

    def values(self, tree_id: int, column: int) -> list[Any]:
        """A sample of a column's values."""
        return [row[column] for row in self.sample(tree_id) if column < len(row)]

    def distinct_share(self, tree_id: int, column: int) -> float:
        """Distinct values of a column as a share of the rows, judged by a few leaves of the table.

        How many values the sample did not meet is told by how many it met once and twice (Chao 1984)."""
        known = self._ratios.get((tree_id, column))
        if known is not None:
            return known
        tree = self.tree(tree_id)
        size = max(1, len(tree))
        values = self.values(tree_id, column)
        counts = Counter(values)
        together = sum(a == b for a, b in pairwise(values))
        if not values:
            share = 1.0
        elif len(values) >= size or together > len(values) / 4:
            share = len(counts) / len(values)  # all seen; or equal values lie together
        else:
            times = Counter(counts.values())
            once, twice = times[1], times[2]
            unseen = once * once / (2 * twice) if twice else once * (once - 1) / 2
            share = 1.0 if len(counts) == len(values) else (len(counts) + unseen) / size
        share = min(1.0, max(share, 1.0 / size))
        self._ratios[(tree_id, column)] = share
        return share


def _leaf_starts(tree: Tree) -> list[Any]:
    """Keys spread over a tree, to read a leaf at each; None for the start."""
    first, last = tree.first(), tree.last()
    if first is None or last is None:
        return []
    low, high = first[0], last[0]
    if len(tree) < 512:
        return [None]
    if isinstance(low, int) and isinstance(high, int):
        return [low + (high - low) * place // SAMPLE_LEAVES for place in range(SAMPLE_LEAVES)]
    return [None, *_starts(tree, low, high)]


def _anchor(key: Any) -> object:
    """Something cheap that tells databases apart in the cache."""
    return repr(key)[:40]


def _starts(tree: Tree, first: Any, last: Any) -> list[Any]:
    """Keys to sample at: spread evenly where the first element is a number, else those behind the first one, which
    may be NULL or the empty text, and stand for more rows than any other."""
    low, high = first[0], last[0]
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and high > low:
        # Not at the ends: what is there (no one, the first user) is seldom like the others.
        step = (high - low) / SAMPLES
        return [(low + step * (place + 0.5),) for place in range(SAMPLES)]
    starts = [first]
    current = first
    for _ in range(SAMPLES):
        following = None
        for keys, _values in tree.batches(current[:1], lo_inclusive=False):
            following = keys[min(len(keys) - 1, 5)]
            break
        if following is None:
            break
        starts.append(following)
        current = following
    return starts[1:] if len(starts) > 2 else starts


def _first_at(tree: Tree, start: Any) -> Any:
    for keys, _ in tree.batches(start):
        if keys:
            return keys[0]
    return None
