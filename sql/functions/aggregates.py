"""SQLite's aggregate functions, and the names of its window functions.

https://www.sqlite.org/lang_aggfunc.html.  Accumulators skip NULLs as SQLite does; `inverse` takes the
oldest row out again, for window frames that move.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from btree import order_key
from sql.errors import SqlError
from sql.expressions import BLOB, INTEGER, NULL, REAL, TEXT
from sql.functions.registry import Aggregate, AnyFunction, Function, WindowFunction
from sql.values import INT_MAX, INT_MIN, OVERFLOWED, real, text_to_number, to_real, value_to_text


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
    """sum(): exact for integers; REAL for good once there was a REAL, or a text that is no integer's.

    Integers that leave 64 bits before that are an error, even if later ones bring the sum back."""

    __slots__ = ("approximate", "count", "overflowed", "total", "whole")

    def __init__(self) -> None:
        self.count = 0
        self.whole = 0
        self.total = 0.0
        self.approximate = False
        self.overflowed = False

    def step(self, value: Any) -> None:
        if value is None:
            return
        self.count += 1
        if value.__class__ is not int:
            value = _measured(value)
        self.total += value
        if value.__class__ is not int:
            self.approximate = True
        elif not self.approximate:
            self.whole += value
            if not INT_MIN <= self.whole <= INT_MAX:
                self.approximate = self.overflowed = True

    def inverse(self, value: Any) -> None:
        if value is None:
            return
        self.count -= 1
        if value.__class__ is not int:
            value = _measured(value)
        self.total -= value
        if value.__class__ is int:
            self.whole -= value

    def finish(self) -> Any:
        if not self.count:
            return None
        if self.overflowed:
            raise SqlError("integer overflow")
        return real(self.total) if self.approximate else self.whole


class UncheckedSum(Sum):
    """sum() of a group that perhaps nobody asks for: OVERFLOWED where sum() fails."""

    __slots__ = ()

    def finish(self) -> Any:
        return OVERFLOWED if self.count and self.overflowed else super().finish()


def checked_sum(value: Any) -> Any:
    """What an UncheckedSum gave.  Raises SqlError for OVERFLOWED."""
    if value.__class__ is bytes:
        raise SqlError("integer overflow")
    return value


def _measured(value: Any) -> int | float:
    """A value as sum() counts it: text that is a whole number's is one, and other text a REAL."""
    if value.__class__ is str:
        number = text_to_number(value)
        if number is not None:
            return number
    return to_real(value) or 0.0


class Total(Sum):
    """total(): REAL always, 0.0 of nothing."""

    __slots__ = ()

    def finish(self) -> Any:
        return real(self.total)


class Average(Sum):
    """avg()."""

    __slots__ = ()

    def finish(self) -> Any:
        return real(self.total / self.count) if self.count else None


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
        between = value_to_text(separator) or ""
        self.parts.append((between, value_to_text(value) or ""))

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


def _minimum() -> Extreme:
    return Extreme(False)


def _maximum() -> Extreme:
    return Extreme(True)


UNCHECKED_SUM = Aggregate("unchecked_sum", UncheckedSum, 1, 1, kinds=NULL | INTEGER | REAL | BLOB)
CHECKED_SUM = Function(
    "checked_sum", checked_sum, 1, 1, propagates_null=True, kinds=NULL | INTEGER | REAL
)
"""The two halves of a sum() that is made before its groups are joined; no statement can name them."""

FUNCTIONS: tuple[AnyFunction, ...] = (
    Aggregate("count", Count, 0, 1, slides=True, kinds=INTEGER),
    Aggregate("sum", Sum, 1, 1, slides=True, kinds=NULL | INTEGER | REAL),
    Aggregate("total", Total, 1, 1, slides=True, kinds=NULL | REAL),
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
