"""The keys of what lies over a tree's nodes, in order: which of them a range has.

They are put into a list that is there: a copy of it, for each commit that somebody reads after, would touch each of
its keys, which are seldom in the processor's cache.  So there are two lists, of all that waits and of what was changed
lately, and only the second one ever changes.  Who looks for what begins with a prefix finds it in a dict.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from threading import RLock
from typing import TYPE_CHECKING, Any

from btree import ranges
from btree.order import MAX, in_order, search_right
from btree.protocols import Key
from btree.ranges import Bound

if TYPE_CHECKING:
    from btree.overlay import OverlaidTree
    from btree.tree_state import TreeState

LATELY_MAX = 64
LATELY_SHARE = 32
"""Keys that were changed lately are sorted in among all that wait when they are more than this, and more than one for
this many of all."""

_FEW_FRESH = 8
"""Up to this many new keys have their places among the others looked for one by one."""

_NEAR = 16
"""How far the end of a range is looked for nearby: most are short, and to search all keys again would be a dozen
misses of the processor's cache."""

_SHORT = 64
"""Row ids that are asked for one by one."""

_FEW_ALIKE = 16
"""Changes that begin alike, up to which they are put in order each time."""

ordering = RLock()
"""Held while the keys that were changed lately are put in order, or picked."""


def ordered(state: TreeState) -> tuple[list[Key], list[Key]]:
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
            # The oldest first: if it is interrupted, the earlier ones are there.
            for key in reversed(fresh):
                lately.insert(search_right(lately, key), key)
        state.pending_order = many, lately
    return many, lately


def cut(keys: list[Key], low: Bound, high: Bound) -> tuple[list[Key], int, int]:
    """Those of some keys that lie in a range: a list, and from where to where they are in it."""
    if low is None:
        start = 0
    else:
        try:
            start = ranges.slot_of(keys, low) if low[1] else bisect_left(keys, low[0])
        except TypeError:  # keys of several kinds
            start = ranges.slot_of(keys, low)
    end = len(keys)
    if high is not None and start < end:
        near = keys[start : start + _NEAR]
        end = ranges.slot_of(near, high)
        if end < _NEAR:
            return near, 0, end
        end = ranges.slot_of(keys, high)
    return keys, start, end


def few_changed(
    tree: OverlaidTree, low: Bound, high: Bound, most: int | None = None, *, reverse: bool = False
) -> tuple[list[Key], bool]:
    """The keys of changes over a tree within a range, in order, and whether these are all of them: no more than `most`
    are given, the last ones if `reverse`."""
    found = []
    if tree.own:
        found.append(cut(tree.own_keys(), low, high))
    if tree.entries:
        with ordering:
            many, lately = ordered(tree.under)
            keys, start, end = cut(lately, low, high)
            found.append((keys[start:end], 0, end - start))  # it may change
        found.append(cut(many, low, high))
    runs, is_all = [], True
    for keys, start, end in found:
        if start >= end:
            continue
        if most is not None and end - start > most:
            is_all = False
            if reverse:
                start = end - most
            else:
                end = start + most
        runs.append(keys[start:end])
    run = joined(runs)
    if most is not None and len(run) > most:
        is_all = False
        run = run[len(run) - most :] if reverse else run[:most]
    return run, is_all


def few_ids_changed(
    tree: OverlaidTree, start: int | None, stop: int | None, most: int, *, reverse: bool = False
) -> tuple[list[Key], bool]:
    """`few_changed` of row ids from `start` to before `stop`.  Of a short range each of them is asked for: that takes
    one call, where to find places in order goes to a dozen keys."""
    if start is None or stop is None or stop - start > _SHORT:
        low = None if start is None else (start, False)
        high = None if stop is None else (stop, False)
        return few_changed(tree, low, high, most, reverse=reverse)
    ids = range(start, stop)
    try:
        found = tree.entries.keys() & ids
    except RuntimeError:  # a commit adds some
        return few_changed(tree, (start, False), (stop, False), most, reverse=reverse)
    if tree.own:
        found |= tree.own.keys() & ids
    return sorted(found) if len(found) > 1 else [*found], True


def joined(runs: list[list[Key]]) -> list[Key]:
    """Several runs of keys as one, in order."""
    if len(runs) == 1:
        return runs[0]
    return in_order(dict.fromkeys(chain.from_iterable(runs))) if runs else []


class ByPrefix:
    """The keys of a dict to which keys are only ever added, by how they begin: as `width` parts."""

    __slots__ = ("_alike", "_known", "_width")

    def __init__(self, width: int) -> None:
        self._width = width
        self._alike: dict[Key, Any] = {}  # a key, or a list of several
        self._known = 0

    def found(self, changes: Mapping[Key, Any], prefix: tuple[Any, ...]) -> Any:
        """The key that begins with `prefix`, or a list of several, in no order; None if there is none."""
        if len(changes) != self._known:
            self._add_new(changes)
        return self._alike.get(prefix)

    def keys(self, changes: Mapping[Key, Any], prefix: tuple[Any, ...]) -> Sequence[Key]:
        """All that begin so, in no order."""
        found = self.found(changes, prefix)
        if found is None:
            return ()
        return found if found.__class__ is list else (found,)

    def _add_new(self, changes: Mapping[Key, Any]) -> None:
        width, alike = self._width, self._alike
        with ordering:
            while (count := len(changes)) != self._known:
                new = count - self._known
                try:
                    if new == 1:
                        fresh = [next(reversed(changes))]
                    else:
                        fresh = [*islice(reversed(changes), new)]  # see `ordered`
                except RuntimeError:
                    continue  # a commit adds some
                if len(changes) != count:
                    continue  # or has done so
                while fresh:
                    key = fresh.pop()
                    other = alike.setdefault(key[:width], key)
                    if other.__class__ is list:
                        other.append(key)
                    elif other is not key:
                        alike[key[:width]] = [other, key]
                    self._known += 1


def few_alike(tree: OverlaidTree, prefix: tuple[Any, ...]) -> list[Key]:
    """The keys of changes over an index that begin with `prefix`, in order.

    They are not looked for among those in order: to search two lists takes as long as to look into the leaf."""
    own, width = tree.own, len(prefix)
    found: list[Key] = []
    if own:
        by_prefix = tree.own_prefixes
        if by_prefix is None:
            by_prefix = tree.own_prefixes = {}
        known = by_prefix.get(width)
        if known is None:
            known = by_prefix[width] = ByPrefix(width)
        found += known.keys(own, prefix)
    if tree.entries:
        state = tree.under
        known = state.pending_prefixes.get(width)
        if known is None:
            known = state.pending_prefixes.setdefault(width, ByPrefix(width))
        found += known.keys(state.pending, prefix)
    if len(found) <= 1:
        return found
    if len(found) > _FEW_ALIKE:
        return few_changed(tree, (prefix, False), ((*prefix, MAX), False))[0]
    return in_order(dict.fromkeys(found))
