"""Ranges of a tree with changes over its nodes, which are left there: a range is read with those that lie in it
merged in as it is handed on.

To put changes into the nodes (`OverlaidTree.settle`) copies a leaf for each and the path above it, 20 us, and
the next commit lays new ones; to merge one into a range takes half a microsecond.  So they stay where they are
until they have been met so often that the leaves are the cheaper place; in a raw tree that does not fit into the
cache they stay in any case, for the merged leaves would fill the memory, since they can't go before they are written.

Most of these are methods of `OverlaidTree`.  One that somebody has kept is called for a tree that has been settled since,
over which there is nothing: so it is the nodes' own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from btree import few_keys, ranges
from btree.changed_keys import (
    cut,
    few_alike,
    few_changed,
    few_ids_changed,
    joined,
    ordered,
    ordering,
)
from btree.few_keys import first_of
from btree.lookups import rows_of_keys
from btree.order import MAX, in_order, less, search_left, search_right
from btree.packed_keys import Pick
from btree.pending import newest_of
from btree.protocols import Key, Row, TreeKind, Value
from btree.ranges import Bound
from btree.tree import DELETED

if TYPE_CHECKING:
    from btree.overlay import OverlaidTree

ABSENT: Any = object()

MET_MAX = 16
"""Changes are met in ranges so often, on average, before they are put into the leaves."""

_FEW_MERGED = 32
"""Up to this many changes of one leaf are put in one by one."""

_FEW_ALONE = 16
"""This many at once are handed on where they lie beside the leaves."""

_MANY_CHANGED = 4
"""Changes for each of many prefixes, between the first and the last of them, up to which those that concern any are picked."""

_INDEX = TreeKind.INDEX


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
            self._add(tree.own_keys(), low, high)
            for keys, start, end in self._parts:  # a copy: the transaction may go on changing them
                run = keys[start:end]
                self._own = {key: tree.own[key] for key in run}
                self._parts = [(run, 0, len(run))]
        if tree.entries:
            with ordering:
                many, lately = ordered(state)
                self._add(lately, low, high)
                self._parts = [
                    (keys[start:end], 0, end - start) for keys, start, end in self._parts
                ]
            self._add(many, low, high)

    def _add(self, keys: list[Key], low: Bound, high: Bound) -> None:
        keys, start, end = cut(keys, low, high)
        if start < end:
            self._parts.append((keys, start, end))

    def __bool__(self) -> bool:
        """Whether there is anything left."""
        return bool(self._parts)

    def _take_to(self, key: Key, *, reverse: bool, inclusive: bool) -> list[Key]:
        """The keys that are left up to one, or down to it, in order."""
        if not self._parts:
            return []
        taken, left = [], []
        search = search_left if reverse is inclusive else search_right
        for keys, start, end in self._parts:
            place = min(max(search(keys, key), start), end)
            if reverse:
                run, end = keys[place:end], place
            else:
                run, start = keys[start:place], place
            if run:
                taken.append(run)
            if start < end:
                left.append((keys, start, end))
        self._parts = left
        return joined(taken) if taken else []

    def is_behind(self, key: Key) -> bool:
        """Whether all that is left comes after a key."""
        return all(less(key, keys[start]) for keys, start, _ in self._parts)

    def changes_to(self, key: Key | None) -> list[tuple[Key, Value]]:
        """What is left up to a key, or all of it, as keys in order and what was put there."""
        if key is None:
            return self._changes(joined([keys[start:end] for keys, start, end in self._parts]))
        return self._changes(self._take_to(key, reverse=False, inclusive=True))

    def _changes(self, run: Sequence[Key]) -> list[tuple[Key, Value]]:
        self._state.pending_met += len(run)
        if not self._own:
            changes = newest_of(self._entries, run, self._lsn)
            if len(changes) == len(run):
                return changes
        return [change for key in run if (change := self.change(key)) is not None]

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
        changes = self._changes(run)
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
        _make(changes, keys, None if self._is_index else kept)
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


def in_range(
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
    waiting = in_range(tree, lo, hi, lo_inclusive, hi_inclusive)
    found = tree.nodes().batches(
        lo, hi, lo_inclusive=lo_inclusive, hi_inclusive=hi_inclusive, reverse=reverse
    )
    return found if waiting is None else waiting.over(found, reverse=reverse)


def _make(
    changes: Sequence[tuple[Key, Value]], keys: list[Key], values: list[Value] | None
) -> None:
    """Make changes, in order, to entries in order."""
    slot = 0
    for key, value in changes:
        slot = search_left(keys, key, slot)
        is_there = slot < len(keys) and keys[slot] == key
        if value is DELETED:
            if is_there:
                del keys[slot]
                if values is not None:
                    del values[slot]
            continue
        keys[slot : slot + is_there] = (key,)
        if values is not None:
            values[slot : slot + is_there] = (value,)


# -- a few keys or rows ----------------------------------------------------------------------------------


def _changes(tree: OverlaidTree, run: Sequence[Key]) -> list[tuple[Key, Value]] | None:
    """What the changes of some keys, in order, put there; None if the tree has been settled, because they have been met
    too often.  As `Waiting.change`, for a look that is over at once."""
    own, entries, lsn = tree.own, tree.entries, tree.lsn
    state = tree.under
    if state.pending_met > MET_MAX * (state.pending_count + len(own)) and not tree._is_vast:
        tree.settle()
        return None
    state.pending_met += len(run)
    if not own:
        changes = newest_of(entries, run, lsn)
        if len(changes) == len(run):
            return changes
    changes = []
    for key in run:
        value = own.get(key, ABSENT) if own else ABSENT
        if value is not ABSENT:
            changes.append((key, value))
            continue
        entry = entries.get(key)
        while entry is not None and entry[0] > lsn:
            entry = entry[2]
        if entry is not None:
            changes.append((entry[3], entry[1]))
    return changes


# Transactions that look for one key, to change its row, are many, and most find a leaf in memory where it is: no tree of
# the nodes alone is made for it.


def prefixed(tree: OverlaidTree, prefix: tuple[Any, ...]) -> list[Key] | None:
    run = few_alike(tree, prefix)
    changes = _changes(tree, run) if run else None
    tree.descents += 1
    found = few_keys.prefixed_below(tree.base, prefix)
    if found is None:
        found = tree.known_nodes().prefixed(prefix)
    if changes and found is not None:
        _make(changes, found, None)
    return found


def last_parts(tree: OverlaidTree, prefix: tuple[Any, ...]) -> list[Any] | None:
    run = few_alike(tree, prefix)
    changes = _changes(tree, run) if run else None
    tree.descents += 1
    found = few_keys.prefixed_below(tree.base, prefix)
    if found is None:
        nodes = tree.known_nodes()
        if not changes:
            return nodes.last_parts(prefix)
        found = nodes.prefixed(prefix)
        if found is None:
            return None
    if changes:
        _make(changes, found, None)
    return [key[-1] for key in found]


def prefixed_many(tree: OverlaidTree, prefixes: Sequence[tuple[Any, ...]]) -> list[list[Key]]:
    if not prefixes:
        return []
    run, is_all = few_changed(
        tree, (prefixes[0], False), ((*prefixes[-1], MAX), False), _MANY_CHANGED * len(prefixes)
    )
    if not is_all:
        tree.settle()
    width = len(prefixes[0])
    if run:
        wanted = {*prefixes}
        run = [key for key in run if key[:width] in wanted]
    changes = _changes(tree, run) if run and is_all else None
    found = tree.known_nodes().prefixed_many(prefixes)
    if changes:
        places = {prefix: place for place, prefix in enumerate(prefixes)}
        for prefix, some in groupby(changes, lambda change: change[0][:width]):
            _make([*some], found[places[prefix]], None)
    return found


def rows_prefixed(
    tree: OverlaidTree,
    prefixes: Sequence[tuple[Any, ...]],
    columns: Collection[int] | None = None,
) -> list[list[Value]]:
    if not prefixes:
        return []
    run, is_all = few_changed(tree, (prefixes[0], False), ((*prefixes[-1], MAX), False), 1)
    if is_all and not run:
        return tree.known_nodes().rows_prefixed(prefixes, columns)
    return rows_of_keys(tree, prefixed_many(tree, prefixes), columns)


def prefixes_present(tree: OverlaidTree, prefixes: Sequence[tuple[Any, ...]]) -> list[bool]:
    if not prefixes:
        return []
    run, is_all = few_changed(tree, (prefixes[0], False), ((*prefixes[-1], MAX), False), 1)
    if is_all and not run:
        return tree.known_nodes().prefixes_present(prefixes)
    return [*map(bool, prefixed_many(tree, prefixes))]


def _are_puts(changes: list[tuple[Key, Value]], known: int) -> bool:
    """Whether each of so many changes that are known of can be seen and put an entry."""
    return len(changes) == known and DELETED not in [change[1] for change in changes]


def _first_with(
    changes: list[tuple[Key, Value]],
    found: list[Key],
    count: int,
    *,
    is_all: bool,
    known: int,
    reverse: bool,
) -> list[Key] | None:
    """The first keys of a range, of which `found` are the first of the nodes, with changes made of which there may be
    more; None if more of either has to be looked at.  `known`: how many changes there are, those that can't be seen
    included."""
    if not is_all and not _are_puts(changes, known):
        return None
    if reverse:
        found.reverse()
    _make(changes, found, None)
    if reverse:
        found.reverse()
    return found[:count] if len(found) >= count else None


def following(
    tree: OverlaidTree,
    start: tuple[Any, ...],
    count: int,
    *,
    beyond: bool = False,
    pick: Pick | None = None,
) -> list[Any] | None:
    found = _following(tree, start, count, beyond=beyond)
    return found if found is None or pick is None else [*map(pick, found)]


def _following(
    tree: OverlaidTree, start: tuple[Any, ...], count: int, *, beyond: bool
) -> list[Key] | None:
    found = tree.known_nodes().following(start, count, beyond=beyond)
    lo = start if start or beyond else None
    if found:
        bounds = ranges.bounds(tree, lo, found[-1], not beyond, True)
        run, is_all = few_changed(tree, *bounds, count)
        if not run:
            return found
        changes = _changes(tree, run)
        if changes is not None:
            some = _first_with(changes, found, count, is_all=is_all, known=len(run), reverse=False)
            if some is not None:
                return some
    return first_of(tree.batches(lo, lo_inclusive=not beyond), count)


def preceding(
    tree: OverlaidTree,
    end: tuple[Any, ...],
    count: int,
    *,
    inclusive: bool = False,
    pick: Pick | None = None,
) -> list[Any] | None:
    found = _preceding(tree, end, count, inclusive=inclusive)
    return found if found is None or pick is None else [*map(pick, found)]


def _preceding(
    tree: OverlaidTree, end: tuple[Any, ...], count: int, *, inclusive: bool
) -> list[Key] | None:
    found = tree.known_nodes().preceding(end, count, inclusive=inclusive)
    hi = end if end or not inclusive else None
    if found:
        bounds = ranges.bounds(tree, found[-1], hi, True, inclusive)
        run, is_all = few_changed(tree, *bounds, count, reverse=True)
        if not run:
            return found
        changes = _changes(tree, run)
        if changes is not None:
            some = _first_with(changes, found, count, is_all=is_all, known=len(run), reverse=True)
            if some is not None:
                return some
    return first_of(tree.batches(None, hi, hi_inclusive=inclusive, reverse=True), count)


def between(
    tree: OverlaidTree,
    lo: tuple[Any, ...],
    hi: tuple[Any, ...],
    *,
    lo_inclusive: bool = True,
    hi_inclusive: bool = False,
) -> Sequence[Key] | None:
    run, _ = few_changed(tree, *ranges.bounds(tree, lo, hi, lo_inclusive, hi_inclusive))
    changes = _changes(tree, run) if run else None
    found = tree.nodes().between(lo, hi, lo_inclusive=lo_inclusive, hi_inclusive=hi_inclusive)
    if not changes or found is None:
        return found
    keys = [*found]
    _make(changes, keys, None)
    return keys


def few_rows(
    tree: OverlaidTree,
    start: int | None,
    stop: int | None,
    count: int,
    pick: Callable[[Row], Row] | None,
    *,
    reverse: bool = False,
) -> list[Row] | None:
    few = few_keys.few_entries(tree.nodes(), start, stop, count, reverse=reverse)
    if few is None:
        return None
    keys, rows = few
    asked = start, stop
    if len(keys) == count:  # what comes behind the last of them is not asked for
        if reverse:
            start = keys[0]
        else:
            stop = keys[-1] + 1
    run, is_all = few_ids_changed(tree, start, stop, count, reverse=reverse)
    if run:
        changes = _changes(tree, run)
        if changes is None:
            return tree.few_rows(*asked, count, pick, reverse=reverse)
        are_puts = _are_puts(changes, len(run))
        if not are_puts and (len(keys) == count or not is_all):
            rows = _first_rows(tree.batches(*asked, reverse=reverse), count)
            return rows if pick is None else [*map(pick, rows)]
        if are_puts and len(run) == count and keys and reverse and run[0] > keys[-1]:
            rows = [value for _, value in changes]  # the newest ones
        else:
            _make(changes, keys, rows)
        if len(rows) > count:
            rows = rows[len(rows) - count :] if reverse else rows[:count]
    if reverse:
        rows.reverse()
    return rows if pick is None else [*map(pick, rows)]


def _first_rows(batches: Iterator[tuple[list[Key], list[Value]]], count: int) -> list[Row]:
    rows: list[Row] = []
    for _, some in batches:
        rows += some[: count - len(rows)]
        if len(rows) == count:
            break
    return rows


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
    lsn, found, known = state.counted
    if lsn != tree.lsn or tree.own:
        found = sum([len(keys) for keys, _ in batches(tree)])
        if lsn < tree.lsn and not tree.own:
            state.counted = tree.lsn, found, known
    return found


def get_many(
    tree: OverlaidTree, keys: Sequence[Key], columns: Collection[int] | None = None
) -> list[Value]:
    found = tree.known_nodes().get_many(keys, columns)
    own, entries, lsn = tree.own, tree.entries, tree.lsn
    try:
        if not own and entries.keys().isdisjoint(keys):
            return found
    except RuntimeError:  # a commit adds some
        pass
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
