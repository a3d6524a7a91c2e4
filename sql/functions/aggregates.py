"""SQLite's aggregate functions, and the names of its window functions.

https://www.sqlite.org/lang_aggfunc.html.  Accumulators skip NULLs as SQLite does; `inverse` takes the
oldest row out again, for window frames that move.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from btree import order_key
from sql.errors import SqlError
from sql.functions.registry import Aggregate, AnyFunction, WindowFunction
from sql.values import INT_MAX, INT_MIN, bytes_to_text, text_to_number, to_number, value_to_text


class Count:
    """count(*) and count(x)."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def step(self, *arguments: Any) -> None:
        if not arguments or arguments[0] is not None:
            self.count += 1

    def inverse(self, *arguments: Any) -> None:
        if not arguments or arguments[0] is not None:
            self.count -= 1

    def finish(self) -> Any:
        return self.count


class Sum:
    """sum(): exact for integers, REAL once a REAL (or a text that is none) was seen."""

    __slots__ = ("count", "reals", "total", "whole")

    def __init__(self) -> None:
        self.count = 0
        self.reals = 0
        self.whole = 0
        self.total = 0.0

    def step(self, value: Any) -> None:
        if value is None:
            return
        self.count += 1
        if value.__class__ is not int:
            value = _measured(value)
        if value.__class__ is int:
            self.whole += value
        else:
            self.reals += 1
        self.total += value

    def inverse(self, value: Any) -> None:
        if value is None:
            return
        self.count -= 1
        if value.__class__ is not int:
            value = _measured(value)
        if value.__class__ is int:
            self.whole -= value
        else:
            self.reals -= 1
        self.total -= value

    def finish(self) -> Any:
        if not self.count:
            return None
        if self.reals:
            return self.total if self.total == self.total else None
        if not INT_MIN <= self.whole <= INT_MAX:
            raise SqlError("integer overflow")
        return self.whole


def _measured(value: Any) -> int | float:
    """A value as sum() counts it: text that is an integer's is one."""
    if value.__class__ is float:
        return float(value)
    if value.__class__ is bytes:
        return float(to_number(value) or 0)
    number = text_to_number(value)
    return float(to_number(value) or 0) if number is None else number


class Total(Sum):
    """total(): REAL always, 0.0 of nothing."""

    __slots__ = ()

    def finish(self) -> Any:
        return self.total if self.count and self.total == self.total else 0.0


class Average(Sum):
    """avg()."""

    __slots__ = ()

    def finish(self) -> Any:
        return self.total / self.count if self.count else None


class Extreme:
    """min() and max() by SQL's order."""

    __slots__ = ("best", "key", "largest")

    def __init__(self, largest: bool) -> None:
        self.largest = largest
        self.best: Any = None
        self.key: Any = None

    def step(self, value: Any) -> None:
        if value is None:
            return
        key = order_key(value)
        if self.key is None or (key > self.key if self.largest else key < self.key):
            self.best, self.key = value, key

    def finish(self) -> Any:
        return self.best


class GroupConcat:
    """group_concat(): texts joined by the separator that stands before each but the first."""

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: deque[tuple[str, str]] = deque()

    def step(self, value: Any, separator: Any = ",") -> None:
        if value is None:
            return
        between = "" if separator is None else _text(separator)
        self.parts.append((between, _text(value)))

    def inverse(self, value: Any, separator: Any = ",") -> None:
        if value is not None:
            self.parts.popleft()

    def finish(self) -> Any:
        if not self.parts:
            return None
        first = True
        made = []
        for between, text in self.parts:
            made.append(text if first else between + text)
            first = False
        return "".join(made)


def _text(value: Any) -> str:
    if value.__class__ is bytes:
        return bytes_to_text(value)
    return value_to_text(value) or ""


def _minimum() -> Extreme:
    return Extreme(False)


def _maximum() -> Extreme:
    return Extreme(True)


NULL, INTEGER, REAL, TEXT = 1, 2, 4, 8

FUNCTIONS: tuple[AnyFunction, ...] = (
    Aggregate("count", Count, 0, 1, slides=True, kinds=INTEGER),
    Aggregate("sum", Sum, 1, 1, slides=True, kinds=NULL | INTEGER | REAL),
    Aggregate("total", Total, 1, 1, slides=True, kinds=REAL),
    Aggregate("avg", Average, 1, 1, slides=True, kinds=NULL | REAL),
    Aggregate("min", _minimum, 1, 1),
    Aggregate("max", _maximum, 1, 1),
    Aggregate("group_concat", GroupConcat, 1, 2, slides=True, kinds=NULL | TEXT),
    WindowFunction("row_number", 0, 0, INTEGER),
    WindowFunction("rank", 0, 0, INTEGER),
    WindowFunction("dense_rank", 0, 0, INTEGER),
    WindowFunction("percent_rank", 0, 0, REAL),
    WindowFunction("cume_dist", 0, 0, REAL),
    WindowFunction("ntile", 1, 1, INTEGER),
    WindowFunction("lag", 1, 3),
    WindowFunction("lead", 1, 3),
    WindowFunction("first_value", 1, 1),
    WindowFunction("last_value", 1, 1),
    WindowFunction("nth_value", 2, 2),
)
