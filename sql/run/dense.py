"""Groups whose key is one integer, in lists at the key instead of in a dict.

Keys are mostly dense: row ids, numbers of orders, what something counts up.  A group's state is then found by a
subscript, with no hash and no dict's slot to wait for in the processor's cache, and the groups come in key order by
themselves, where a dict's have to be sorted.

    states[0][key] += 1          a list for each field of a state, with a place for each key from 0 on

Negative keys count from a list's end, as Python has it.  A GROUP BY begins with a dict, goes over to lists when it
has many groups, and back before a batch with a key for which they would have to be too long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress, islice, repeat
from operator import is_not
from typing import Any

from btree import Column
from sql.context import Context

_ENTRY_BYTES = 40
"""What a field of a group takes: its place in a list, and a number."""
_BYTE_MAX = 255

States = list[list[Any] | bytearray]


def in_lists(
    groups: dict[int, Any],
    starts: tuple[Any, ...],
    witness: int,
    counts: bool,
    bare: bool,
    rows: int,
    ctx: Context,
) -> Lists | None:
    """The groups so far in lists, None if these would be longer than the table's number of `rows` makes good, or
    take more than their share of the memory.

    The dict's states are lists of fields, or, `bare`, the only one; a field is one of `starts` before its first row.
    `witness`: a field that every row makes another object, -1 if there is none; `counts`: it counts the rows."""
    fields = len(starts) + (witness < 0)
    size_max = min(4 * rows, ctx.memory_limit_bytes // 3 // (fields * _ENTRY_BYTES))
    high, low = max(0, max(groups)), min(0, min(groups))
    if high - low >= size_max:
        return None
    return Lists(groups, starts, witness, counts, bare, low, high, size_max)


class Lists:
    """States of groups by key: `states[field][key]`."""

    __slots__ = (
        "_bare",
        "_counts",
        "_greatest",
        "_high",
        "_least",
        "_low",
        "_size_max",
        "_starts",
        "_witness",
        "states",
    )

    def __init__(
        self,
        groups: dict[int, Any],
        starts: tuple[Any, ...],
        witness: int,
        counts: bool,
        bare: bool,
        low: int,
        high: int,
        size_max: int,
    ) -> None:
        self._starts = starts
        self._witness = witness
        self._counts = counts
        self._bare = bare
        self._low, self._high = low, high  # there are places for keys from ... to
        self._least, self._greatest = low, high  # of these some may be groups
        self._size_max = size_max
        size = high + 1 - low
        self.states: States = [[start] * size for start in starts]
        if bare:
            state = self.states[0]
            for key, value in groups.items():
                state[key] = value
            if counts and max(groups.values()) <= _BYTE_MAX:
                self.states[0] = bytearray(state)  # an eighth of the memory to go through
        else:
            for key, values in groups.items():
                for state, value in zip(self.states, values, strict=True):
                    state[key] = value
        if witness < 0:
            seen = bytearray(size)
            for key in groups:
                seen[key] = 1
            self.states.append(seen)

    def hold(self, keys: Sequence[int]) -> bool:
        """Whether there is a place for each of the keys; `states` may be others now."""
        low, high = _bounds(keys)
        if low >= self._low and high <= self._high:
            return True
        self._least, self._greatest = min(low, self._least), max(high, self._greatest)
        size = self._greatest + 1 - self._least
        if size > self._size_max:
            return False
        # Keys that ascend should not have the lists made anew with every batch.
        spare = min(self._size_max - size, size)
        if high > self._high:
            self._lay_out(self._least, self._greatest + spare)
        else:
            self._lay_out(self._least - spare, self._greatest)
        return True

    def _lay_out(self, low: int, high: int) -> None:
        """Give the lists places for the keys from `low` to `high`."""
        end = min(self._high, high) + 1
        start = self._high + 1 + max(0, low - self._low)
        added = high + 1 - low - end - (self._high + 1 - self._low - start)
        starts = (*self._starts, 0)
        for place, state in enumerate(self.states):
            if isinstance(state, bytearray):
                self.states[place] = state[:end] + bytes(added) + state[start:]
            else:
                self.states[place] = [*state[:end], *[starts[place]] * added, *state[start:]]
        self._low, self._high = low, high

    def widened(self, key: int, row: Any, rest: Iterator[Any]) -> Iterator[Any]:
        """Called where a row could not be counted because counts were bytes so far: the row and the rest again.
        An error of the row's own goes on."""
        state = self.states[0]
        if not isinstance(state, bytearray) or state[key] < _BYTE_MAX:
            raise
        self.states[0] = list(state)
        return chain((row,), rest)

    def _there(self) -> Sequence[Any]:
        """What is true at the keys of groups."""
        if self._witness < 0:
            return self.states[-1]
        state = self.states[self._witness]
        if self._counts:
            return state
        return list(map(is_not, state, repeat(self._starts[self._witness])))

    def groups(self) -> Iterable[tuple[Any, ...]]:
        """(key, fields of the state) of each group, in key order."""
        low, end, there = self._low, self._high + 1, self._there()
        states = self.states[: len(self._starts)]
        positive = _picked(range(end), states, there, 0)
        if not any(islice(there, end, None)):
            return positive
        return chain(_picked(range(low, 0), states, there, end), positive)

    def as_dict(self) -> dict[int, Any]:
        """The groups as they were before they came into lists."""
        if self._bare:
            return dict(self.groups())
        return {key: state for key, *state in self.groups()}


def _picked(
    keys: range, states: Sequence[Sequence[Any]], there: Sequence[Any], start: int
) -> Iterable[tuple[Any, ...]]:
    """The groups of those keys, whose places begin at `start`."""

    def part(values: Sequence[Any]) -> Iterator[Any]:
        return islice(values, start, start + len(keys))

    picked = [
        filter(None, part(state)) if state is there else compress(part(state), part(there))
        for state in states
    ]
    return zip(compress(keys, part(there)), *picked, strict=True)


def _bounds(keys: Sequence[int]) -> tuple[int, int]:
    """The least and the greatest key, which a column remembers."""
    if not isinstance(keys, Column):
        return min(keys), max(keys)
    known = keys.derived("bounds")
    if not isinstance(known, tuple):
        known = min(keys), max(keys)
        keys.keep("bounds", known, 0)
    return known
