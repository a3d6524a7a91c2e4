"""When a store's file is made anew, at once or bit by bit, and who does what of it; how, is in `renewal`.

A renewal is begun while there is still some room for raw puts to wait, and each commit that leaves more of them
does its share, so that it is through before there is no more.  It is given up when pages are committed to the old file
meanwhile, since those are not in the new one.  And it is not begun where most of what it would copy stays as it
is: there leaves are written anew in their file.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING

from btree.collector import CollectorPaused
from btree.errors import BusyError, StoreError
from btree.node import Node
from btree.protocols import RAW_TREE_ID
from btree.version import Version
from engine import Journal

if TYPE_CHECKING:
    from btree.disk import DiskStore
    from btree.renewal import Renewal
    from btree.tree_state import TreeState

BEGIN_AT, END_AT = 0.7, 0.9
"""How full of waiting puts memory or redo is when a renewal begins, and when it is through.  The later it begins the
more it takes in at once, and the more each commit has to do meanwhile."""

LEAVES_MIN = 4096
"""Leaves of the raw tree below which all can be written within one commit."""

PATIENCE_SECONDS = 0.1
"""How long a compaction waits for the lock: some turns of other processes.  When each process gave way at once to
the one that had it, no compaction was ever done, and the file grew."""

TOUCHED_SHARE = 0.5
RAW_SHARE = 0.5
"""The share of the leaves that have to be changed, and of the raw tree in the file: from these on a renewal is no more
work than it saves."""

_log = Journal("kvsh.btree")


class Renewals:
    """When a store's file is made anew, and who does what of it.

    The store is told with each call, and not kept: with a reference to it, a store that is dropped would stay, with its file
    open, until it is collected, and a weak one is empty already where a finalizer closes what it has."""

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._renewal: Renewal | None = None
        self._begun_at = self._fullness = 0.0  # when it was begun, and after the commit before
        self._failed_at = -1  # the pages commit over which one has failed
        self.compacts = False  # by itself, behind large commits

    def go_on(self, store: DiskStore, state: TreeState) -> None:
        """Do a part of a renewal, if one is under way or due; `state`: the raw tree's, in which a commit has just
        left changes to wait.  The commit is made: nothing is raised but what interrupts."""
        if self._renewal is None and (
            state.pending_count < LEAVES_MIN * TOUCHED_SHARE
            or not self._is_worth_it(store, state)
            or store.fullness(state) < BEGIN_AT
            or store.closed
        ):
            return
        with self._one_at_a_time(store) as free:
            if free:  # else another thread is doing it
                self._do_part(store, store.fullness(state))
                renewal = self._renewal
                if renewal is not None and not store.is_base(renewal.view):
                    _log.debug("%s: a renewal was overtaken", store.path)
                    self._give_up()

    def compact(self, store: DiskStore, *, closing: bool = False) -> None:
        """Compact the file if that is due and quick, and others let this one: behind a large commit, if the store does so
        (a program that overwrites the same keys for hours would else take ever more room), or before it is
        closed."""
        if not (self.compacts or closing) or not store.compaction_due(quick=True, closing=closing):
            return
        with self._one_at_a_time(store) as free:
            if not free:
                return
            self._give_up()
            try:
                store.compact(timeout=PATIENCE_SECONDS)
            except BusyError:
                return  # it was no turn, but a long transaction: after one of the next commits, then
            except StoreError:
                if store.compaction_due(quick=True, closing=closing):  # else another was faster
                    self.compacts = False  # not again and again; the close tries once more
                    raise

    def run(self, store: DiskStore) -> None:
        """Do a whole one at once, if that is no more work than to take what waits into the leaves of the file that
        there is.  What has been done of one that is under way is as of an older commit, and of no use."""
        with self._one_at_a_time(store) as free:
            if free:
                self._give_up()
                if self._is_worth_it(store, store.view().version.trees[RAW_TREE_ID]):
                    self._do_part(store, inf)
                    self._give_up()

    @contextmanager
    def _one_at_a_time(self, store: DiskStore) -> Iterator[bool]:
        """Whether this thread is the one that does it, meanwhile.  Errors are noted, no more."""
        free = self._busy.acquire(blocking=False)
        try:
            yield free
        except (StoreError, OSError) as error:
            # Every commit is where it was.  What waits is taken in when there is no more room.
            _log.info("%s: the file was not made anew: %s", store.path, error)
            self._give_up(failed=True)
        except BaseException:
            self._give_up()
            raise
        finally:
            if free:
                self._busy.release()

    def give_up(self) -> None:
        """Pages are about to be committed, or the store is closed: stay with the file that there is."""
        # The thread at work does not hold the store's lock and may want it: nobody waits for it, and it finds out.
        if self._renewal is not None and self._busy.acquire(blocking=False):
            try:
                self._give_up()
            finally:
                self._busy.release()

    def _give_up(self, *, failed: bool = False) -> None:
        renewal, self._renewal = self._renewal, None
        if renewal is not None:
            if failed:
                self._failed_at = renewal.version.base_lsn
            renewal.close()

    def _is_worth_it(self, store: DiskStore, state: TreeState) -> bool:
        """Whether most of the file would be written anew, one way or the other."""
        leaves = state.count / state.leaf_limit  # full ones
        return (
            leaves >= LEAVES_MIN
            and state.pending_count > leaves * TOUCHED_SHARE
            and leaves * store.page_bytes > store.pages.live_bytes * RAW_SHARE
        )

    def _do_part(self, store: DiskStore, fullness: float) -> None:
        renewal = self._renewal
        if renewal is None:
            reading = store.begin()
            try:
                reading.tree(RAW_TREE_ID)  # its root is in memory then
            finally:
                reading.rollback()
            view = store.view()
            version = view.version
            if version.base_lsn == self._failed_at or not _is_clean(version):
                return
            from btree.renewal import Renewal  # few stores ever need it

            renewal = self._renewal = Renewal(store, view)
            # So much is to be spread over what is left: more than usual if it begins late.
            self._begun_at = self._fullness = min(fullness, (BEGIN_AT + END_AT) / 2)
        elif not store.is_base(renewal.view):
            return
        # Another commit as large as the last one is to find room.
        in_time = 2 * fullness - self._fullness < 1
        self._fullness = fullness
        with CollectorPaused():
            share = (fullness - self._begun_at) / (END_AT - self._begun_at)
            if not renewal.go_on(share, step_by_step=in_time):
                return
        try:
            store.renewed(renewal)
        except BusyError:
            return  # another writer has begun: after the next commit, then
        self._renewal = None
        renewal.close()


def _is_clean(version: Version) -> bool:
    """Whether all that waits is in the raw tree: of others the pages are copied as they are."""
    if not version.base_lsn or version.freed or version.cleared:
        return False
    for state in version.trees.values():
        root = state.root
        if state.id == RAW_TREE_ID:
            if root.__class__ is not Node or root.children is None:
                return False
        elif state.pending or (root.__class__ is Node and root.unflushed):
            return False
    return True
