"""What a plan assumes of its parameters: about how many entries the ranges have that they are the ends of.

A plan is made for the values of its first run and kept for others.  A range of ten rows is best found by an index, one
of a million scanned for, and the plan for either takes a hundred times as long as the other where it does not fit.  So
who runs a plan asks the trees once more, which takes some microseconds, and has another made where the answer is
another by far.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from sql.expressions import Expression, Literal
from sql.run.ranges import text_after
from sql.settled import settled_value
from sql.values import INT_MAX, INT_MIN

if TYPE_CHECKING:
    from btree import Transaction, Tree

_FACTOR, _FEW = 8, 256
"""A plan is made for up to eight times as many entries, or as few, and does not mind some hundreds."""


class EntryRange(Struct, frozen=True):
    """Entries of a tree that begin with the values of `equal` and go on between two bounds; of `scalar` keys, which are
    row ids, those between the bounds alone.  `is_text`: they go on with a text that begins as `low` does."""

    tree_id: int
    equal: tuple[Expression, ...] = ()
    low: Expression | None = None
    high: Expression | None = None
    scalar: bool = False
    is_text: bool = False

    def depends_on_parameters(self) -> bool:
        """Whether it may be another one at the next run."""
        ends = (*self.equal, self.low, self.high)
        return any(not isinstance(end, (Literal, type(None))) for end in ends)

    def entries(self, tree: Tree, parameters: Sequence[Any] | None) -> int | None:
        """About how many there are, at least 1; None where the values are not known, or NULL."""
        key: list[Any] = []
        for expression in self.equal:
            value = settled_value(expression, parameters)
            if value is NotImplemented or value is None:
                return None
            key.append(value)
        ends: list[Any] = []
        for end in (self.low, self.high):
            value = None if end is None else settled_value(end, parameters)
            if value is NotImplemented or (end is not None and value is None):
                return None
            if value is not None and self.scalar:
                if not isinstance(value, (int, float)):
                    return None
                value = int(min(max(value, INT_MIN), INT_MAX))  # infinite ones, too
            ends.append(value)
        lo, hi = ends
        if self.is_text:
            if lo.__class__ is not str:
                return None
            return max(1, tree.estimate((*key, lo), (*key, text_after(lo))))
        if not self.scalar:
            lo = (*key, lo) if lo is not None else (tuple(key) or None)
            hi = (*key, hi) if hi is not None else (tuple(key) or None)
        return max(1, tree.estimate(lo, hi, hi_inclusive=True))


Assumed = tuple[EntryRange, float]
"""A range, and how many entries it had."""


def were_enough(assumed: Sequence[Assumed], rows: int) -> bool:
    """Whether so many rows are about what ranges had at most."""
    return all(rows <= then * _FACTOR + _FEW for _, then in assumed)


def still_fit(
    assumed: Sequence[Assumed], transaction: Transaction, parameters: Sequence[Any]
) -> bool:
    """Whether ranges have about as many entries under these parameters."""
    for entry_range, then in assumed:
        now = entry_range.entries(transaction.tree(entry_range.tree_id), parameters)
        if now is not None and (now > then * _FACTOR + _FEW or then > now * _FACTOR + _FEW):
            return False
    return True
