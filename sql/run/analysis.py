"""What EXPLAIN ANALYZE counts: rows, starts, time and pages of each operator of one run.

Code compiled for it calls `timed` and `hit` at the levels of its joins, and a function that `watch` made
at every other stage.  Time and pages include what an operator's own inputs took.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from btree import Transaction


class Counter:
    """One operator's figures.  `passed`: rows that its conditions let through, of a join's level."""

    __slots__ = ("loops", "pages", "passed", "rows", "seconds")

    def __init__(self) -> None:
        self.rows = 0
        self.passed = 0
        self.loops = 0
        self.seconds = 0.0
        self.pages = 0


class Analysis:
    """One instrumented run: counters by key.

    A level's key is what `keys` has for its identity, else made of the block that is being compiled
    (`block`) and its relation.  `transaction` is set before the run."""

    def __init__(self) -> None:
        self.transaction: Transaction | None = None
        self.block = 0
        self.keys: dict[int, Hashable] = {}
        self.counters: dict[Hashable, Counter] = {}
        self._numbered: list[Counter] = []
        self._levels: list[Any] = []  # so that identities stay unique

    def counter(self, key: Hashable) -> Counter:
        """The counter of an operator."""
        found = self.counters.get(key)
        if found is None:
            found = self.counters[key] = Counter()
        return found

    def number(self, level: Any) -> int:
        """A level's number in calls of `timed` and `hit`."""
        self._levels.append(level)
        key = self.keys.get(id(level))
        if key is None:  # what a hash table is built from
            key = (self.block, "built", level.relation.source)
        self._numbered.append(self.counter(key))
        return len(self._numbered) - 1

    def hit(self, number: int) -> bool:
        """A row has passed the level; always true."""
        self._numbered[number].passed += 1
        return True

    def tried(self, number: int) -> bool:
        """A semi-join or an anti-join is about to look; always true."""
        self._numbered[number].loops += 1
        return True

    def timed(self, number: int, items: Any) -> Iterator[Any]:
        """A level's items (or those that a call of `items` gives), counted."""
        make = items if callable(items) else lambda: items
        return self._counted(self._numbered[number], make, _rows_in)

    def counting(
        self, number: int, function: Callable[[Any], list[Any]], *, first: bool, last: bool
    ) -> Callable[[Any], list[Any]]:
        """A batched level's look-up, counted.  It may take two: the last one gives the level's rows."""
        counter = self._numbered[number]

        def counted(keys: Any) -> list[Any]:
            began, pages = perf_counter(), self._pages()
            found = function(keys)
            counter.seconds += perf_counter() - began
            counter.pages += self._pages() - pages
            counter.loops += first
            if last:
                counter.rows += sum([_found_in(item) for item in found])
            return found

        return counted

    def watch(
        self, key: Hashable, rows_in: Callable[[Any], int]
    ) -> Callable[[Callable[[], Iterable[Any]]], Iterator[Any]]:
        """A function that iterates what its argument makes and counts `rows_in` each item."""
        counter = self.counter(key)
        return lambda make: self._counted(counter, make, rows_in)

    def _pages(self) -> int:
        return 0 if self.transaction is None else self.transaction.pages_read

    def _counted(
        self,
        counter: Counter,
        make: Callable[[], Iterable[Any]],
        rows_in: Callable[[Any], int],
    ) -> Iterator[Any]:
        counter.loops += 1
        began, pages = perf_counter(), self._pages()
        iterator = iter(make())
        try:
            while True:
                try:
                    item = next(iterator)
                except StopIteration:
                    break
                finally:
                    counter.seconds += perf_counter() - began
                    counter.pages += self._pages() - pages
                counter.rows += rows_in(item)
                yield item
                began, pages = perf_counter(), self._pages()
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()


def _rows_in(item: Any) -> int:
    """Of a level's item: a tree's batch is a tuple of lists, a lookup that finds nothing gives None."""
    if item is None:
        return 0
    if item.__class__ is tuple and item and item[0].__class__ is list:
        return len(item[0])
    return 1


def _found_in(item: Any) -> int:
    """Of what a batched look-up gives for one row: a list of rows or keys, a row, or None."""
    return len(item) if item.__class__ is list else item is not None


def rows_of_batch(batch: Any) -> int:
    """Of a batch of rows."""
    return len(batch)


def one_row(row: Any) -> int:
    """Of a row."""
    return 1
