"""Reads of a raw tree with many changes waiting over its nodes, which leave them there.

Where the tree fits into the cache, who wants a range or a count has the changes merged into the nodes (see
`OverlaidTree.settle`), once for all who come later.  Where it does not, the merged leaves would fill the
memory, since they can't go before they are written; so each leaf is merged with what waits for its range as
it is handed on.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from btree.protocols import Value
from btree.tree import DELETED

if TYPE_CHECKING:
    from btree.overlay import OverlaidTree
    from btree.tree_state import TreeState

ABSENT: Any = object()


def ordered(state: TreeState) -> Sequence[bytes]:
    """The keys of all that waits over a state; what commits add meanwhile may be among them."""
    known = state.pending_order
    pending = state.pending
    if len(known) != len(pending):
        # Keys are only ever added, and a dict keeps them in that order: the new ones are the last.
        fresh = islice(pending.copy(), len(known), None)
        state.pending_order = known = sorted([*known, *fresh])  # the first run ascends already
    return known


class Waiting:
    """What waits over a tree within a range, as its transaction sees it now."""

    __slots__ = ("_entries", "_lsn", "_own", "keys")

    def __init__(
        self,
        tree: OverlaidTree,
        lo: bytes | None,
        hi: bytes | None,
        *,
        lo_inclusive: bool,
        hi_inclusive: bool,
    ) -> None:
        self._entries = tree.entries
        self._lsn = tree.lsn
        self._own = dict(tree.own)  # the transaction may go on changing it
        keys = ordered(tree.under)
        if self._own:
            keys = sorted({*keys, *self._own})
        start, end = 0, len(keys)
        if lo is not None:
            start = bisect_left(keys, lo) if lo_inclusive else bisect_right(keys, lo)
        if hi is not None:
            end = bisect_right(keys, hi) if hi_inclusive else bisect_left(keys, hi)
        self.keys = keys[start:end]

    def value(self, key: bytes) -> Value:
        """What the change of a key put, `DELETED`, or `ABSENT` if there is none that can be seen."""
        value = self._own.get(key, ABSENT)
        if value is ABSENT:
            entry = self._entries.get(key)
            while entry is not None:
                if entry[0] <= self._lsn:
                    return entry[1]
                entry = entry[2]
        return value

    def over(
        self, batches: Iterator[tuple[list[Any], list[Value]]], *, reverse: bool
    ) -> Iterator[tuple[list[Any], list[Value]]]:
        """Batches of the nodes with the changes of their ranges made."""
        keys = self.keys
        start, end = 0, len(keys)
        for found, values in batches:
            if reverse:
                cut = bisect_left(keys, found[-1], start, end)
                run, end = keys[cut:end], cut
            else:
                cut = bisect_right(keys, found[-1], start, end)
                run, start = keys[start:cut], cut
            if run:
                found, values = self._merged(found, values, run, reverse=reverse)
            if found:
                yield found, values
        if start < end:
            found, values = self._merged([], [], keys[start:end], reverse=reverse)
            if found:
                yield found, values

    def _merged(
        self, found: list[Any], values: list[Value], run: Sequence[bytes], *, reverse: bool
    ) -> tuple[list[Any], list[Value]]:
        merged = dict(zip(found, values, strict=True))
        for key in run:
            value = self.value(key)
            if value is DELETED:
                merged.pop(key, None)
            elif value is not ABSENT:
                merged[key] = value
        order = sorted(merged, reverse=reverse)
        return order, [merged[key] for key in order]


def batches(
    tree: OverlaidTree,
    lo: Any,
    hi: Any,
    *,
    lo_inclusive: bool = True,
    hi_inclusive: bool = False,
    reverse: bool = False,
) -> Iterator[tuple[list[Any], list[Value]]]:
    """See `Tree.batches`."""
    waiting = Waiting(tree, lo, hi, lo_inclusive=lo_inclusive, hi_inclusive=hi_inclusive)
    found = tree.nodes().batches(
        lo, hi, lo_inclusive=lo_inclusive, hi_inclusive=hi_inclusive, reverse=reverse
    )
    return waiting.over(found, reverse=reverse) if waiting.keys else found


def count(tree: OverlaidTree) -> int:
    """The entries of the tree, counted once for a commit."""
    state = tree.under
    lsn, found = state.counted
    if lsn != tree.lsn or tree.own:
        found = sum([len(keys) for keys, _ in batches(tree, None, None)])
        if lsn < tree.lsn and not tree.own:
            state.counted = tree.lsn, found
    return found


def get_many(tree: OverlaidTree, keys: Sequence[Any]) -> list[Value]:
    """See `Tree.get_many`."""
    found = tree.nodes().get_many(keys)
    waiting = Waiting(tree, b"", b"", lo_inclusive=True, hi_inclusive=False)
    for at, key in enumerate(keys):
        value = waiting.value(key)
        if value is not ABSENT:
            found[at] = None if value is DELETED else value
    return found
