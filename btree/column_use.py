"""Which columns scans ask for, and which of those that are kept have to go for others.

Memory that is taken goes to a newcomer only if somebody can do without: a column that no scan has asked for since the
newcomer was asked for first, three scans of its own ago.  Queries that take turns over more than there is room for leave
what is kept alone (each would drop what the next one wants, which is what least recently used does worst: O'Neil et al.,
"The LRU-K Page Replacement Algorithm", SIGMOD 1993, whose K is 3 here).  When a program turns to other queries, the third
run of each finds room.

Time is counted in scans.  Threads may scan at the same time: what one of them was refused may be taken for the other's,
which costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Scan = tuple[int, tuple[int, ...]]
"""A tree's id, and columns of it."""

SCANS_MAX = 1024
"""So many scans and pages that were refused room are remembered, of those that differ."""

_PAGES_EVERY = 16
_RUNS = 3
_NEVER = (0, 0, 0)


class ColumnUse:
    """When columns were scanned, and what was refused room."""

    __slots__ = ("_current", "_last", "_now", "_pages", "_refused", "_scans", "_trees")

    def __init__(self) -> None:
        self._now = 0
        self._trees: set[int] = set()
        self._scans: dict[Scan, tuple[int, int, int]] = {}  # when they were begun, lately
        self._last: dict[tuple[int, int], int] = {}  # when a column was scanned, by its tree
        self._current: Scan = (0, ())
        self._refused: set[Scan] = set()
        self._pages: dict[int, tuple[int, int]] = {}  # how often, and when first

    def begin(self, tree_id: int, columns: Sequence[int]) -> bool:
        """A scan of some columns begins; whether the tree was scanned before."""
        self._now = now = self._now + 1
        self._current = scan = tree_id, tuple(columns)
        if len(self._scans) >= SCANS_MAX:
            self._scans = {}
            self._refused = set()
        _, second, first = self._scans.get(scan, _NEVER)
        self._scans[scan] = second, first, now
        for column in columns:
            self._last[tree_id, column] = now
        known = tree_id in self._trees
        self._trees.add(tree_id)
        return known

    def refuse(self) -> None:
        """The scan that was begun last could not keep all that it would have."""
        self._refused.add(self._current)

    def short_since(self) -> int:
        """When that scan was begun for the first of three times, if it was refused room in the latest; else 0."""
        scan = self._current
        if scan not in self._refused:
            return 0
        self._refused.discard(scan)
        return self._scans.get(scan, _NEVER)[0]

    def refuse_page(self, page: int) -> int:
        """A leaf that a scan has read could not be kept: the time of the first of three such scans, else 0."""
        if page % _PAGES_EVERY:
            return 0
        if len(self._pages) >= SCANS_MAX:
            self._pages = {}
        count, since = self._pages.get(page, (0, self._now + 1))
        self._pages[page] = count + 1, since
        return since if count + 1 >= _RUNS else 0

    def stale(self, since: int) -> Iterable[tuple[int, int]]:
        """Columns, by their trees, that nobody has asked for since then, the longest unused first."""
        found = [(last, column) for column, last in [*self._last.items()] if last < since]
        return [column for _, column in sorted(found)]

    def forget(self, column: tuple[int, int]) -> None:
        """Nothing of a column is kept any more."""
        self._last.pop(column, None)
