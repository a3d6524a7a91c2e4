"""Ranges of a tree with changes over its nodes, which are left there: a range is read with those that lie in it
merged in as it is handed on.

To put changes into the nodes (`OverlaidTree.settle`) copies a leaf for each and the path above it, 20 us, and
the next commit lays new ones; to merge one into a range takes half a microsecond.  So they stay where they are
until they have been met so often that they had better be in the leaves; in a raw tree that does not fit into the
cache they stay in any case, for the merged leaves would fill the memory, since they can't go before they are written.

Most of these are methods of `OverlaidTree`.  One that somebody has kept is called for a tree that has been settled since,
over which there is nothing: so it is the nodes' own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from threading import RLock
from typing import TYPE_CHECKING, Any

from btree import ranges
from btree.few_keys import first_of
from btree.lookups import FEW
from btree.order import in_order, less, search_left, search_right
from btree.protocols import Key, Row, TreeKind, Value
from btree.ranges import Bound
from btree.tree import DELETED

if TYPE_CHECKING:
    from btree.overlay import OverlaidTree
    from btree.tree_state import TreeState

ABSENT: Any = object()

MET_MAX = 16
"""Changes are met in ranges so often, on average, before they are put into the leaves."""

LATELY_MAX = 64
LATELY_SHARE = 32
"""So many keys are sorted in among those that were changed lately, or for so many of all that wait one, before these
are sorted in among all."""

_FEW_FRESH = 8
"""So many new keys have their places among the others looked for one by one."""

_FEW_MERGED = 32
"""So many changes of one leaf are put in one by one."""

_FEW_ALONE = 16
"""So many at once are handed on where they lie beside the leaves."""

_INDEX = TreeKind.INDEX


_ordering = RLock()
"""Held while the keys that were changed lately are put in order, or picked.

They are put into a list that is there: a copy of it, for each commit that somebody reads after, would touch each of
its keys, which are seldom in the processor's cache."""


def _ordered(state: TreeState) -> tuple[list[Key], list[Key]]:
    """The keys of all that waits over a state, and those changed lately, each in order; what commits add meanwhile
    may be among them.  Under the lock; only the second list ever changes."""
    many, lately = state.pending_order
    pending = state.pending
    while (count := len(pending)) != len(many) + len(lately):
        # Keys are only ever added, and a dict keeps them in that order: the new ones are the last.
        try:
            fresh = list(islice(reversed(pending), count - len(many) - len(lately)))
        except RuntimeError:
            continue  # a commit adds some
        if len(pending) != count:
            continue  # or has done so
        if len(lately) + len(fresh) > max(LATELY_MAX, len(many) // LATELY_SHARE):
            many, lately = in_order([*many, *in_order([*lately, *fresh])]), []
        elif len(fresh) > _FEW_FRESH:
            lately = in_order([*lately, *fresh])
        else:
            for key in reversed(
                fresh
            ):  # the oldest first: if it is interrupted, those of before are there
                lately.insert(search_right(lately, key), key)
        state.pending_order = many, lately
    return many, lately


class Waiting:
    """What waits over a tree within a range, as its transaction sees it now."""

    __slots__ = ("_entries", "_is_index", "_lsn", "_own", "_parts", "_state")

    def __init__(self, tree: OverlaidTree, low: Bound, high: Bound) -> None:
        state = self._state = tree.under
        self._entries = tree.entries
        self._lsn = tree.lsn
        self._is_index = state.kind is _INDEX
        self._parts: list[tuple[list[Key], int, int]] = []
        """Keys in order, and which of them are still to be handed on; those of the transaction's own changes come first."""
        self._own: dict[Key, Value] = {}
        if tree.own:
            keys = in_order(tree.own)
            self._add(keys, low, high)
            for keys, start, end in self._parts:  # a copy: the transaction may go on changing them
                self._own = {key: tree.own[key] for key in keys[start:end]}
        if tree.entries:
            with _ordering:
                many, lately = _ordered(state)
                self._add(lately, low, high)
                self._parts = [
                    (keys[start:end], 0, end - start) for keys, start, end in self._parts
                ]
            self._add(many, low, high)

    def _add(self, keys: list[Key], low: Bound, high: Bound) -> None:
        start = 0 if low is None else ranges.slot_of(keys, low)
        end = len(keys)
        if high is not None:
            # Most ranges are short.  To search all keys again would be a dozen misses of the processor's cache.
            near = keys[start : start + _FEW_ALONE]
            end = ranges.slot_of(near, high)
            if end < _FEW_ALONE:
                keys, start = near, 0
            else:
                end = ranges.slot_of(keys, high)
        if start < end:
            self._parts.append((keys, start, end))

    def __bool__(self) -> bool:
        """Whether there is anything left."""
        return bool(self._parts)

    def take(self) -> list[Key]:
        """All keys that are left, in order."""
        parts, self._parts = self._parts, []
        return _joined([keys[start:end] for keys, start, end in parts])

    def _take_to(self, key: Key, *, reverse: bool, inclusive: bool) -> list[Key]:
        """The keys that are left up to one, or down to it, in order."""
        if not self._parts:
            return []
        taken, left = [], []
        search = search_left if reverse is inclusive else search_right
        for keys, start, end in self._parts:
            cut = min(max(search(keys, key), start), end)
            if reverse:
                run, end = keys[cut:end], cut
            else:
                run, start = keys[start:cut], cut
            if run:
                taken.append(run)
            if start < end:
                left.append((keys, start, end))
        self._parts = left
        return _joined(taken) if taken else []

    def change(self, key: Key) -> tuple[Key, Value] | None:
        """A key as the change of it put it (1 and 1.0 are equal), and the value; None if there is none that can be
        seen."""
        value = self._own.get(key, ABSENT)
        if value is not ABSENT:
            return key, value
        entry = self._entries.get(key)
        while entry is not None:
            if entry[0] <= self._lsn:
                return entry[3], entry[1]
            entry = entry[2]
        return None

    def over(
        self, batches: Iterator[tuple[Sequence[Key], list[Value]]], *, reverse: bool
    ) -> Iterator[tuple[list[Key], list[Value]]]:
        """Batches of the nodes with the changes of their ranges made."""
        for found, values in batches:
            if self._parts:
                yield from self._alone(found[0], reverse=reverse)
                run = self._take_to(found[-1], reverse=reverse, inclusive=True)
                if run:
                    found, values = self.merged(found, values, run, reverse=reverse)
            if found:
                yield found, values  # type: ignore[misc]
        yield from self._alone(None, reverse=reverse)

    def _alone(self, until: Key, *, reverse: bool) -> Iterator[tuple[list[Key], list[Value]]]:
        """What was put before an entry of the nodes that comes next, or beyond the last of them: a few at once, since
        who wants the newest entries wants no more."""
        while parts := self._parts:
            if until is not None and not any(
                less(until, keys[end - 1]) if reverse else less(keys[start], until)
                for keys, start, end in parts
            ):
                return
            # As far as there are as many of one part.
            if reverse:
                ends = [keys[max(start, end - _FEW_ALONE)] for keys, start, end in parts]
                last = ends[0] if len(ends) == 1 else in_order(ends)[-1]
                is_beyond = until is not None and not less(until, last)
            else:
                ends = [keys[min(end, start + _FEW_ALONE) - 1] for keys, start, end in parts]
                last = ends[0] if len(ends) == 1 else in_order(ends)[0]
                is_beyond = until is not None and not less(last, until)
            if is_beyond:
                run = self._take_to(until, reverse=reverse, inclusive=False)
            else:
                run = self._take_to(last, reverse=reverse, inclusive=True)
            if run:
                found = self.merged([], [], run, reverse=reverse)
                if found[0]:
                    yield found
            if is_beyond:
                return

    def merged(
        self,
        found: Sequence[Key],
        values: Sequence[Value],
        run: Sequence[Key],
        *,
        reverse: bool = False,
    ) -> tuple[list[Key], list[Value]]:
        """A run of entries with the changes of some keys made."""
        self._state.pending_met += len(run)
        changes = [change for key in run if (change := self.change(key)) is not None]
        if not found:
            changes = [change for change in changes if change[1] is not DELETED]
            if reverse:
                changes.reverse()
            keys = [key for key, _ in changes]
            return keys, [] if self._is_index else [value for _, value in changes]
        if len(changes) > _FEW_MERGED:
            return self._merged_many(found, values, changes, reverse=reverse)
        keys, kept = [*found], [*values]
        if reverse:
            keys.reverse()
            kept.reverse()
        slot = 0
        for key, value in changes:
            slot = search_left(keys, key, slot)
            is_there = slot < len(keys) and keys[slot] == key
            if value is DELETED:
                if is_there:
                    del keys[slot]
                    del kept[slot : slot + 1]
                continue
            keys[slot : slot + is_there] = (key,)
            if not self._is_index:
                kept[slot : slot + is_there] = (value,)
        if reverse:
            keys.reverse()
            kept.reverse()
        return keys, kept

    def _merged_many(
        self,
        found: Sequence[Key],
        values: Sequence[Value],
        changes: Sequence[tuple[Key, Value]],
        *,
        reverse: bool,
    ) -> tuple[list[Key], list[Value]]:
        merged: dict[Key, Value]
        merged = dict.fromkeys(found) if self._is_index else dict(zip(found, values, strict=True))
        for key, value in changes:
            merged.pop(key, None)
            if value is not DELETED:
                merged[key] = value
        order = in_order(merged)
        if reverse:
            order.reverse()
        return order, [] if self._is_index else [merged[key] for key in order]


def _joined(runs: list[list[Key]]) -> list[Key]:
    if len(runs) == 1:
        return runs[0]
    return in_order(dict.fromkeys(chain.from_iterable(runs)))


def _in_range(
    tree: OverlaidTree, lo: Key | None, hi: Key | None, lo_inclusive: bool, hi_inclusive: bool
) -> Waiting | None:
    """What waits over a range that is to be read; None if there is nothing."""
    waiting = Waiting(tree, *ranges.bounds(tree, lo, hi, lo_inclusive, hi_inclusive))
    if not waiting:
        return None
    state = tree.under
    if state.pending_met > MET_MAX * (state.pending_count + len(tree.own)) and not tree._is_vast:
        tree.settle()
        return None
    return waiting


def batches(
    tree: OverlaidTree,
    lo: Key | None = None,
    hi: Key | None = None,
    *,
    lo_inclusive: bool = True,
    hi_inclusive: bool = False,
    reverse: bool = False,
) -> Iterator[tuple[list[Key], list[Value]]]:
    waiting = _in_range(tree, lo, hi, lo_inclusive, hi_inclusive)
    found = tree.nodes().batches(
        lo, hi, lo_inclusive=lo_inclusive, hi_inclusive=hi_inclusive, reverse=reverse
    )
    return found if waiting is None else waiting.over(found, reverse=reverse)


def prefixed(tree: OverlaidTree, prefix: tuple[Any, ...]) -> list[Key] | None:
    waiting = _in_range(tree, prefix, prefix, True, True)
    found = tree.nodes().prefixed(prefix)
    if waiting is None or found is None:
        return found
    return waiting.merged(found, [], waiting.take())[0]


def last_parts(tree: OverlaidTree, prefix: tuple[Any, ...]) -> list[Any] | None:
    found = prefixed(tree, prefix)
    return None if found is None else [key[-1] for key in found]


def prefixed_many(tree: OverlaidTree, prefixes: Sequence[tuple[Any, ...]]) -> list[list[Key]]:
    if len(prefixes) <= FEW:
        found = [prefixed(tree, prefix) for prefix in prefixes]
        if None not in found:
            return found  # type: ignore[return-value]
    tree.settle()
    return tree.nodes().prefixed_many(prefixes)


def following(
    tree: OverlaidTree, start: tuple[Any, ...], count: int, *, beyond: bool = False
) -> list[Key] | None:
    found = tree.nodes().following(start, count, beyond=beyond)
    lo = start if start or beyond else None
    if found and not Waiting(tree, *ranges.bounds(tree, lo, found[-1], not beyond, True)):
        return found
    return first_of(batches(tree, lo, lo_inclusive=not beyond), count)


def preceding(
    tree: OverlaidTree, end: tuple[Any, ...], count: int, *, inclusive: bool = False
) -> list[Key] | None:
    found = tree.nodes().preceding(end, count, inclusive=inclusive)
    hi = end if end or not inclusive else None
    if found and not Waiting(tree, *ranges.bounds(tree, found[-1], hi, True, inclusive)):
        return found
    return first_of(batches(tree, None, hi, hi_inclusive=inclusive, reverse=True), count)


def between(
    tree: OverlaidTree,
    lo: tuple[Any, ...],
    hi: tuple[Any, ...],
    *,
    lo_inclusive: bool = True,
    hi_inclusive: bool = False,
) -> Sequence[Key] | None:
    waiting = _in_range(tree, lo, hi, lo_inclusive, hi_inclusive)
    found = tree.nodes().between(lo, hi, lo_inclusive=lo_inclusive, hi_inclusive=hi_inclusive)
    if waiting is None or found is None:
        return found
    return waiting.merged(found, [], waiting.take())[0]


def few_rows(
    tree: OverlaidTree,
    start: int | None,
    stop: int | None,
    count: int,
    pick: Callable[[Row], Row] | None,
    *,
    reverse: bool = False,
) -> list[Row] | None:
    waiting = _in_range(tree, start, stop, True, False)
    nodes = tree.nodes()
    if waiting is None:
        return nodes.few_rows(start, stop, count, pick, reverse=reverse)
    found: list[Row] = []
    some = waiting.over(nodes.batches(start, stop, reverse=reverse), reverse=reverse)
    for _, rows in some:
        found += rows[: count - len(found)]
        if len(found) == count:
            break
    return found if pick is None else [*map(pick, found)]


def first(tree: OverlaidTree) -> tuple[Key, Value] | None:
    for keys, values in batches(tree):
        return keys[0], values[0] if values else True
    return None


def last(tree: OverlaidTree) -> tuple[Key, Value] | None:
    for keys, values in batches(tree, reverse=True):
        return keys[0], values[0] if values else True
    return None


def count(tree: OverlaidTree) -> int:
    """The entries of a vast tree, counted once for a commit."""
    state = tree.under
    lsn, found = state.counted
    if lsn != tree.lsn or tree.own:
        found = sum([len(keys) for keys, _ in batches(tree)])
        if lsn < tree.lsn and not tree.own:
            state.counted = tree.lsn, found
    return found


def get_many(tree: OverlaidTree, keys: Sequence[Key]) -> list[Value]:
    if len(keys) <= FEW:
        get = tree.get
        return [get(key) for key in keys]
    found = tree.nodes().get_many(keys)
    own, entries, lsn = tree.own, tree.entries, tree.lsn
    for at, key in enumerate(keys):
        value = own.get(key, ABSENT)
        if value is ABSENT:
            entry = entries.get(key)
            while entry is not None and entry[0] > lsn:
                entry = entry[2]
            if entry is None:
                continue
            value = entry[1]
        found[at] = None if value is DELETED else value
    return found
