"""Counters of EXPLAIN ANALYZE: rows that each level of a join let through, and the time it took to find them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any


class Analysis:
    """One instrumented run.  Levels are numbered as they are compiled."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.seconds: list[float] = []
        self.numbers: dict[int, int] = {}  # id of a Level -> its number

    def number(self, level: object) -> int:
        """The level's number."""
        known = self.numbers.get(id(level))
        if known is None:
            known = self.numbers[id(level)] = len(self.rows)
            self.rows.append(0)
            self.seconds.append(0.0)
        return known

    def hit(self, number: int) -> bool:
        """A row has passed the level; always true."""
        self.rows[number] += 1
        return True

    def timed(self, number: int, items: Iterable[Any]) -> Iterator[Any]:
        """The items, with the time it takes to get each of them."""
        clock = time.perf_counter
        seconds = self.seconds
        source = iter(items)
        while True:
            started = clock()
            try:
                item = next(source)
            except StopIteration:
                seconds[number] += clock() - started
                return
            seconds[number] += clock() - started
            yield item
