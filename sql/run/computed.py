"""Values of expressions on one column, a batch at once, kept with the column where it is kept.

    for b3_5, b3_100000,  in computed(by_column(t3, check, (3, 5)), (1,), o2):

A column of moments or of texts is asked for its days, months or first letters again and again: what was worked out
stays beside it, where its values repeat, as masks of conditions do (`sql.run.masks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from btree import Column, listed

Columns = tuple[Sequence[Any], ...]

_LISTS_MAX = 4
"""Expressions that are kept for a column; the oldest one goes then."""
_REPEATS = 4
"""Values for each that is different, from which on they are kept."""
_TEXT_BYTES = 64
_NUMBER_BYTES = 40


class Computed(Struct):
    """An expression on the column at `place`: `make` gives its values for those of a batch, and whether they depend on
    these alone.  `key` tells it from all others on the column; it is "" for one that is not to be kept."""

    key: str
    place: int
    make: Callable[[Sequence[Any]], tuple[list[Any], bool]]

    def of(self, column: Sequence[Any]) -> list[Any]:
        """The values of a batch."""
        if not self.key or not isinstance(column, Column) or not column.is_to_stay:
            return self.make(column)[0]
        lists = column.derived("computed")
        known = lists.get(self.key) if isinstance(lists, dict) else None
        if known is not None:
            values: list[Any] = known or self.make(column)[0]
            return values
        values, same = self.make(column)
        kept: list[Any] = []  # not worth it
        added = 0
        different = {*values} if same else ()
        if different and len(different) * _REPEATS <= len(values):
            added = len(values) * 8
            if {*map(type, different)} <= {str, type(None)}:
                shared = dict(zip(different, different, strict=True))
                values = [shared[value] for value in values]
                added += len(different) * _TEXT_BYTES
            else:  # 1 and 1.0 are equal, and not the same
                added += len(values) * _NUMBER_BYTES
            kept = values
        lists = dict(lists) if isinstance(lists, dict) else {}
        if len(lists) >= _LISTS_MAX:
            gone = lists.pop(next(iter(lists)))
            added = max(0, added - 8 * len(gone))
        lists[self.key] = kept
        column.keep("computed", lists, added)
        return values


class ComputedTest:
    """A condition on the value of an expression on one column: `decide` gives a byte for each of a batch's values."""

    __slots__ = ("_computed", "_decide")

    def __init__(self, made: Computed, decide: Callable[[list[Any]], bytes]) -> None:
        self._computed = made
        self._decide = decide

    def decided(self, batch: Columns) -> bytes | bool:
        """A byte for each row, 1 where it meets the condition; False if none does."""
        mask = self._decide(self._computed.of(listed(batch[self._computed.place])))
        return mask if 1 in mask else False


def computed(
    batches: Iterable[Columns], places: Sequence[int], made: Sequence[Computed]
) -> Iterator[Columns]:
    """Of each batch the columns at these places, and behind them what is computed."""
    for batch in batches:
        columns = [batch[place] for place in places]
        columns += [each.of(batch[each.place]) for each in made]
        yield tuple(columns)
