"""Rows that were asked for lately, by their keys: a hash index beside a tree.  Beside the tree of an index it is row
ids, by the parts of keys that they were asked for by.

A look-up in a tree of a million rows goes through three nodes and a dozen objects, most of which the
processor has to wait for; a look-up in a dict goes through three.  Of what programs ask for, most is asked for
again.  The rows here are those of one tree in one state, which never changes: whoever reads that state shares
them, and a commit that changes the tree leaves them behind.

They take a share of the cache's budget.  What a row takes is measured at one in `_SAMPLE_EVERY`; when the share is
used up, all go.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping

from btree.protocols import Key, Value
from engine import call_in_child

HOT_SHARE = 0.1
"""Share of the budget that such rows may take."""

_SAMPLE_EVERY = 32
_SHORT_BYTES = 2048
_ENTRY_BYTES = 140
"""What a row takes beside itself: its place in the dict, which is a third empty, and its key."""


class HotRows:
    """Some rows of a tree's state, to be looked for by `finder` and kept by `keeper`."""

    __slots__ = ("_has_large", "_hot", "bytes", "mark", "rows", "tree_id")

    def __init__(self, hot: Hot, tree_id: int, mark: object, has_large: bool) -> None:
        self._hot = hot
        self.tree_id = tree_id
        self.mark = mark
        self._has_large = has_large
        self.rows: dict[Key, Value] = {}
        self.bytes = 0

    def keep(self, key: Key, row: Value) -> None:
        """Keep the row of a key for the next one that asks."""
        rows = self.rows
        if not len(rows) % _SAMPLE_EVERY:
            self._hot.weigh(self, (*key, *row) if key.__class__ is tuple else row)
        rows[key] = row

    @property
    def finder(self) -> Callable[[Key], Value]:
        """What gives the row of a key, None if it is not here."""
        return self.rows.get

    @property
    def keeper(self) -> Callable[[Key, Value], None]:
        """What keeps rows: all, or in a tree that has large values those that have none."""
        return self._keep_short if self._has_large else self.keep

    def _keep_short(self, key: Key, row: Value) -> None:
        if sum(map(sys.getsizeof, row)) <= _SHORT_BYTES:
            self.keep(key, row)


class HotRowsBelow:
    """Those of a state over which small changes lie: single commits leave it and them as they are.  Of the keys that
    `changes` names none is found here or kept."""

    __slots__ = ("_changes", "_hot")

    def __init__(self, hot: HotRows, changes: Mapping[Key, object]) -> None:
        self._hot = hot
        self._changes = changes

    @property
    def finder(self) -> Callable[[Key], Value]:
        """See `HotRows`."""
        changes, find = self._changes, self._hot.finder
        return lambda key: None if key in changes else find(key)

    @property
    def keeper(self) -> Callable[[Key, Value], None]:
        """See `HotRows`."""
        changes, keep_below = self._changes, self._hot.keeper

        def keep(key: Key, row: Value) -> None:
            if key not in changes:
                keep_below(key, row)

        return keep


class Hot:
    """Those of all trees, each in its latest state, within a budget."""

    def __init__(self, budget_bytes: int) -> None:
        self.bytes = 0
        self._budget_bytes = budget_bytes
        self._trees: dict[int, HotRows] = {}
        self._renew_lock()
        call_in_child(self, Hot._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def of(self, tree_id: int, mark: object, *, has_large: bool = False) -> HotRows:
        """The rows of the tree in the state of `mark`, which is its latest one; those of others go."""
        rows = self._trees.get(tree_id)
        if rows is None or rows.mark is not mark:
            with self._lock:
                if rows is not None:
                    self._clear(rows)
                rows = self._trees[tree_id] = HotRows(self, tree_id, mark, has_large)
        return rows

    def weigh(self, rows: HotRows, row: Value) -> None:
        """Count some rows like `row`, and make room for them."""
        size = (sys.getsizeof(row) + sum(map(sys.getsizeof, row)) + _ENTRY_BYTES) * _SAMPLE_EVERY
        with self._lock:
            if self._trees.get(rows.tree_id) is not rows:
                rows.rows.clear()  # of an older state: its readers keep few
                return
            if self.bytes + size > self._budget_bytes:
                for each in self._trees.values():
                    self._clear(each)
            rows.bytes += size
            self.bytes += size

    def _clear(self, rows: HotRows) -> None:
        rows.rows.clear()
        self.bytes -= rows.bytes
        rows.bytes = 0
