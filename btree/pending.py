"""Changes of commits that lie over a tree's state: who adds them, and what a reader sees of them.

`TreeState.pending` is `{key: (lsn, value, the entry before it or None, key)}`, in the order in which the keys were
first changed.  Entries are only ever added, by the thread that appends a commit, under the store's lock; to look at it takes
none.  See `overlay`, whose trees read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from btree.protocols import RAW_TREE_ID, Key, Value
from btree.tree_state import TreeState


def add_pending(
    states: Mapping[int, TreeState], changes: Mapping[int, dict[Key, Value]], lsn: int
) -> None:
    """Lay the changes of commit `lsn`, by tree, over the states; called under the store's lock.

    One that is interrupted half-way is taken out by `remove_pending`, or made anew: see `states_at`."""
    for tree_id, own in changes.items():
        state = states[tree_id]
        assert lsn > state.pending_lsn
        state.pending_lsn = lsn
        state.pending_count += len(own)
        pending = state.pending
        for key, value in own.items():
            pending[key] = lsn, value, pending.get(key), key
        if key.__class__ is int:  # a row's
            if len(own) > 1:
                key = max(own)
            top = state.pending_top
            if top is None or key > top:
                state.pending_top = key


def add_single(changes: Iterable[tuple[TreeState, tuple[Key, Value]]], lsn: int) -> None:
    """The same of trees with one change each: the state, and what is put by which key."""
    for state, (key, value) in changes:
        assert lsn > state.pending_lsn
        state.pending_lsn = lsn
        state.pending_count += 1
        pending = state.pending
        pending[key] = lsn, value, pending.get(key), key
        if key.__class__ is int:
            top = state.pending_top
            if top is None or key > top:
                state.pending_top = key


def add_if_few(
    states: Mapping[int, TreeState], changes: Mapping[int, dict[Key, Value]], lsn: int, few: int
) -> bool:
    """`add_pending`, if the changes of each tree are that few and it has room for them; else False, and nothing done."""
    for tree_id, own in changes.items():
        state = states.get(tree_id)
        if state is None or state.pending_lsn >= lsn or len(own) > few:
            return False  # an older version that is made after a newer one, for one
        if tree_id != RAW_TREE_ID and state.pending_count + len(own) > state.pending_max:
            return False
    add_pending(states, changes, lsn)
    return True


def remove_pending(state: TreeState, lsn: int) -> None:
    """Take out what `add_pending` added of the newest commit, which could not be made."""
    state.pending_lsn = min(state.pending_lsn, lsn - 1)
    state.pending_order, state.pending_prefixes = ([], []), {}
    for key, entry in list(state.pending.items()):
        if entry[0] == lsn:
            if entry[2] is None:
                del state.pending[key]
            else:
                state.pending[key] = entry[2]


def newest_of(pending: Mapping[Key, Any], keys: Iterable[Key], lsn: int) -> list[tuple[Key, Value]]:
    """What the newest changes of some keys put, each with its key, but for those that came after commit `lsn`: a reader
    of the newest commit, as most are, need look no further."""
    entries = map(pending.get, keys)
    return [(entry[3], entry[1]) for entry in entries if entry is not None and entry[0] <= lsn]


def since_counted(
    state: TreeState, known: tuple[int, int], lsn: int
) -> tuple[list[Any], tuple[int, int]]:
    """Entries of `pending` among which are all that came since there were so many changes, of so many keys; and how
    many there are now, if none of them came after commit `lsn`.

    Where each change since was of another key than those before, as most are, these are the last ones."""
    pending = state.pending
    keys = len(pending)
    changes = state.pending_count  # who adds some counts them first: it is never behind
    if changes - known[0] == keys - known[1]:
        try:
            entries = [*islice(reversed(pending.values()), keys - known[1])]
        except RuntimeError:  # a commit adds some
            entries = [*pending.copy().values()]
    else:
        entries = [*pending.copy().values()]
    if len(pending) != keys:  # or has done so
        return [*pending.copy().values()], known
    return entries, (changes, keys) if state.pending_lsn <= lsn else known


def changes_seen(state: TreeState, lsn: int) -> dict[Key, Value]:
    """What is pending over a state up to commit `lsn`."""
    entries = state.pending.copy().values()
    if state.pending_lsn <= lsn:  # which who adds to them sets first: all are seen
        return {entry[3]: entry[1] for entry in entries}
    visible: dict[Key, Value] = {}
    for entry in entries:
        while entry is not None and entry[0] > lsn:
            entry = entry[2]
        if entry is not None:
            visible[entry[3]] = entry[1]
    return visible


def take_newer(made: TreeState, state: TreeState, lsn: int) -> None:
    """Lay over `made` what is pending over `state` from commits after `lsn`; under the store's lock."""
    if state.pending_lsn > lsn:
        made.pending = {key: entry for key, entry in state.pending.items() if entry[0] > lsn}
        made.pending_count = len(made.pending)
        made.pending_lsn, made.pending_top = state.pending_lsn, state.pending_top
