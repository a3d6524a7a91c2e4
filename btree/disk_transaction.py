"""Transactions on a file: what a commit takes, and what is written before it.

Readers share a view (see `view`).  The writer reads through its own `Writer`, which also knows the pages that it wrote early.
What is read, and how, is in `on_pages`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Any

from btree import directory
from btree.cache import unflushed_bytes
from btree.collector import CollectorPaused
from btree.errors import ConflictError, StoreError
from btree.flush import Flush
from btree.kept_redo import REDO_ENTRIES_MAX
from btree.on_pages import OnPages
from btree.overlay import OverlaidTree, redo_of
from btree.pending import changes_seen
from btree.protocols import RAW_TREE_ID, TreeKind
from btree.redo import encode_redo
from btree.rewrite import Rewrite
from btree.spill import Spill
from btree.streaming import take_in
from btree.transaction import LocalTransaction
from btree.tree import Tree
from btree.version import Version
from btree.view import ENDED, View

if TYPE_CHECKING:
    from btree.disk import DiskStore
    from btree.node import Node
    from btree.pages import PageStore, Writer

REDO_BYTES_MAX = 256 * 1024
"""A transaction with more redo than this is written as pages."""

REDO_SCATTERED_BYTES_MAX = 8 << 20
"""The same where redo stands for many times as many bytes of pages (see `Tree.load`)."""

TAKEN_IN = 1024
"""This many changes that wait over the raw tree, or more, are taken in page by page, not by way of nodes, when all that has
changed is written as pages."""


_ROOM_PARTS = 4
"""Leaves that are kept for savepoints leave this part of the room for changes."""

_begin = LocalTransaction.__init__


class DiskTransaction(OnPages):
    """A transaction on a `DiskStore`."""

    flushed: Flush | None = None
    """Its pages, if they are put before its commit: see `prepare`."""

    def __init__(
        self, store: DiskStore, version: Version, view: View | None, writer: Writer | None
    ) -> None:
        # Not by `super`, which would take as long as what is called.
        _begin(self, store, version, writer is not None)
        self.has_rewritten = False
        self._redo_kept = True
        self._view = view
        self._writer = writer
        self.reader = writer if view is None else view.snapshot

    @property
    def held_max(self) -> float:
        most = self.store.held_max
        return max(most - self.left_behind, most / _ROOM_PARTS)

    @property
    def first_puts_max(self) -> int:
        return self.store.raw_puts_max

    def upgrade(self, timeout: float | None = None) -> None:
        if self._writable:
            return
        if not self.active:
            raise StoreError("the transaction has ended")
        assert self._view is not None
        self._writer = self.reader = self.store.upgraded(self._view, timeout)
        self._writable = True
        self.became_writable()

    def follow(self, view: View) -> bool:
        self._view, self.reader = view, view.snapshot
        return self._follow(view.version)

    # -- redo ----------------------------------------------------------------------------------------

    def new_redo(self) -> list[Any] | None:
        return [] if self._redo_kept else None

    def give_up_redo(self) -> None:
        self._redo_kept = False
        for tree in self.open_trees.values():
            tree.redo = None  # of one that is not settled, too: it makes a new one then, or none

    def redo_record(self) -> bytes | None:
        """What to write as this transaction's redo; None if it has to be written as pages."""
        self.carry_out()
        if not self._redo_kept:
            return None
        # It may read pages: behind the commit, which wants it, nothing may fail any more.
        _ = self.shape
        self.settle_full()
        if not self._redo_kept:
            return None
        changes = []
        for tree in self.open_trees.values():
            if isinstance(tree, OverlaidTree):
                redo: Sequence[Any] | None = redo_of(tree.kind, tree.own)
            else:
                redo = tree.redo
            if redo:
                changes.append((tree.id, redo))
        if any(len(redo) > REDO_ENTRIES_MAX for _, redo in changes):
            # Nodes that are committed as redo stay in memory until they are written as pages.
            roots = [state.root for state in self.changed_states().values()]
            if unflushed_bytes(roots) > self.store.cache.budget_bytes // 2:
                return None
            limit = REDO_SCATTERED_BYTES_MAX
        else:
            limit = REDO_BYTES_MAX
        record = encode_redo(self.log, changes)
        if len(record) > limit:
            return None
        # What goes into nodes behind the record can't have leaves written early any more.
        self.held = -inf
        return record

    # -- the end -------------------------------------------------------------------------------------

    def prepare(self) -> None:
        if not self._writable:
            return
        writer = self._writer
        assert writer is not None
        tree = self.held_back()
        if tree.__class__ is OverlaidTree:
            self._lay_puts(tree)
        if self._redo_kept:
            changes = self.changes_laid_over()
            if not (self.has_changed() if changes is None else changes):
                return
        self.store.prepare(self, writer)

    def _publish(self) -> None:
        writer = self._writer
        assert writer is not None
        lsn = tree = None
        if self.open_trees and (self.put_log or self.puts_by_key):
            tree = self.held_back()
            if tree.__class__ is OverlaidTree:
                self._lay_puts(tree)
        if self._redo_kept:
            changes = self.changes_laid_over()
            if changes is None:
                if not self.has_changed():
                    return
            elif not changes:
                return
            elif tree is not None:
                with CollectorPaused():  # an object is made for each put
                    lsn = self.store.append_laid_over(self, writer.append_redo, changes)
            else:
                lsn = self.store.append_laid_over(self, writer.append_redo, changes)
        if lsn is None:
            commit = self.store.append(self, writer)
            commit.wait()
            self._writer = None
            self.store.renewals.compact(self.store)
        else:
            self.store.pages.wait_durable(lsn, pages=False)
            self._writer = None  # till then: ended by Ctrl-C, it makes durable what it has appended
        if self.has_rewritten:
            self.store.view()  # nobody needs the older leaves, if nobody reads
        elif RAW_TREE_ID in self.open_trees:
            self.store.go_on_renewing()

    def _lay_puts(self, tree: OverlaidTree) -> None:
        """Have the raw puts lie over the tree, if they are to wait there, or to be taken in page by page."""
        if not self.is_within(tree, self.a_put()):
            return
        puts = self.raw_puts
        if self.are_few(tree, puts):
            self.lay_puts_over(tree)
        elif len(puts) >= TAKEN_IN and tree.base.children is not None:
            self.lay_puts_over(tree)
            self.give_up_redo()

    def take_in(self, tree: OverlaidTree, *, at_commit: bool = False) -> bool:
        state, own = tree.under, tree.own
        if not self._writable or state.kind is not TreeKind.RAW:
            return False
        if state.pending_count + len(own) < TAKEN_IN:
            return False
        if not at_commit and not self.store.is_vast(state):
            return False
        with self._pages_or_nothing(), CollectorPaused():
            changes = changes_seen(state, self.version.lsn)
            changes.update(own)
            tree.become_plain(state, lambda: take_in(tree, self, changes))
        return True

    def carry_out(self) -> None:
        tree = self.held_back()
        if tree is not None and self.puts_waiting() >= TAKEN_IN:
            if tree.__class__ is OverlaidTree:
                if self.is_vast(tree.under) and self.is_within(tree, self.a_put()):
                    self.lay_puts_over(tree)
                    tree.settle()
            else:
                self._take_in_puts(tree)
        super().carry_out()

    def _take_in_puts(self, tree: Tree) -> None:
        """Take the waiting puts in page by page, if the tree does not fit into memory: one over which so many lay
        before that it is a plain tree by now."""
        state = tree.snapshot_state()
        if not self.is_vast(state):
            return
        self.freeze()  # the nodes of `state` stay as they are
        try:
            with self._pages_or_nothing(), CollectorPaused():
                take_in(tree, self, self.raw_puts)
        except BaseException:
            tree.restore(state, state.root)
            raise
        self.forget_puts()

    @contextmanager
    def _pages_or_nothing(self) -> Iterator[None]:
        """A change that writes pages before the commit, and that is undone if it fails."""
        self.give_up_redo()
        rewritten, spilled, freed = len(self.rewritten), len(self.spilled), len(self.freed)
        try:
            yield
        except BaseException:
            self.orphans += self.spilled[spilled:]
            del self.spilled[spilled:]
            del self.freed[freed:]
            self.restore_pages(rewritten)
            raise

    def settle_all(self) -> None:
        self.carry_out()
        for tree_id, state in self.states.items():
            if state.kind is TreeKind.RAW and state.pending_count >= TAKEN_IN:
                self.tree(tree_id)
        for tree in list(self.open_trees.values()):
            if tree.__class__ is OverlaidTree:
                self.take_in(tree, at_commit=True)
        super().settle_all()

    def _finish(self) -> None:
        writer = self._writer
        if self.flushed is not None:
            self.flushed.undo()
            self.flushed = None
        if writer is not None:
            writer.rollback()
            self._writer = None
            if self.spilled or self.orphans or self.has_rewritten:
                self.store.cache.clear()  # the next writer's pages will lie where this one's lay
        self.reader = ENDED if self._view is None else self._view.snapshot

    def nodes_wanted(self) -> None:
        if self._view is None:
            self._view = self.store.view_of(self.version)

    # -- room ----------------------------------------------------------------------------------------

    def room_bytes(self) -> float:
        return self.held_max - self.held

    def spill(self) -> None:
        assert self._writer is not None
        self.held = 0.0
        self.give_up_redo()
        flush = self.early_flush()
        spill = Spill(self, flush)
        for tree in self.open_trees.values():
            if tree.__class__ is Tree:
                spill.tree(tree)
        self.spilled += flush.allocated
        self.left_behind, self.left_number = spill.left, spill.left_number
        if self.is_over:
            self.make_room()

    def early_flush(self) -> Flush:
        """What writes leaves before the commit."""
        return self._flush(early=True)

    def _flush(self, *, early: bool) -> Flush:
        assert self._writer is not None
        return Flush(
            self._writer,
            self.store.cache,
            page_bytes=self.store.page_bytes,
            branch_limit=self.branch_limit,
            early=early,
        )

    def put_pages(self) -> Flush:
        """Put all that a commit of pages has to put."""
        self.store.renewals.give_up()
        self.settle_all()
        flush = self._flush(early=False)
        flush.transaction(self)
        return flush

    def make_room(self) -> None:
        trees = self.open_trees.values() if self._writable else ()
        roots = [tree.root for tree in trees if tree.__class__ is Tree]
        self.store.make_room(roots, self.held)
        if roots and self.store.cache.is_hopeless and self.is_most(roots):
            self.held = max(self.held, self.store.held_max + 1)  # the next change spills

    def is_most(self, roots: list[Node]) -> bool:
        """Whether copies of leaves, which can't be evicted as they are, take much of the cache."""
        return unflushed_bytes(roots) > self.store.held_max / 2

    # -- pages ---------------------------------------------------------------------------------------

    def put_new_pages(
        self, payloads: Sequence[bytes | bytearray], tree_id: int
    ) -> tuple[list[int], list[int]]:
        """Write pages of a tree with numbers of their own before the commit: their numbers, and where they lie."""
        writer = self._writer
        assert writer is not None
        pages = [writer.allocate() for _ in payloads]
        self.spilled += pages
        return pages, writer.put_many(pages, payloads, tree_id)

    def rewrite(self, tree: Tree) -> Rewrite | None:
        """See `protocols.Tree.rewrite`."""
        return Rewrite(tree, self) if self._writable and tree.kind is not TreeKind.RAW else None

    def rewrite_pages(
        self,
        pages: Sequence[int],
        payloads: Sequence[bytes | bytearray],
        locations: Sequence[int],
        tree_id: int,
    ) -> list[int]:
        """Write a tree's pages of this transaction or an older one anew; `locations`: where they have lain."""
        assert self._writer is not None
        self.note_rewritten(pages, locations)
        return self._writer.put_many(pages, payloads, tree_id)

    def rewrite_in_place(
        self,
        pages: Sequence[int],
        places: Sequence[Any],
        lengths: Sequence[int],
        tails: Sequence[bytes],
        locations: Sequence[int],
        tree_id: int,
    ) -> list[int]:
        """The same for pages that have been changed where they were read: see `pages.Writer.put_in_place`."""
        assert self._writer is not None
        self.note_rewritten(pages, locations)
        return self._writer.put_in_place(pages, places, lengths, tails, tree_id)

    def read_in_place(self, pages: Sequence[int], locations: Sequence[int]) -> dict[int, Any]:
        """See `pages.Writer.read_in_place`."""
        assert self._writer is not None
        return self._writer.read_in_place(pages, locations)

    def note_rewritten(self, pages: Sequence[int], locations: Sequence[int]) -> None:
        """Note that pages that lie at `locations` are about to be written anew, before the commit."""
        self.rewritten += zip(pages, locations, strict=True)
        self.has_rewritten = True

    def restore_pages(self, count: int) -> None:
        # The last record of a page in a commit counts, so older pages are put behind the newer ones.
        writer = self._writer
        restored: set[int] = set()
        for page, location in self.rewritten[count:]:
            if page not in restored:
                assert writer is not None
                restored.add(page)
                writer.put(page, *writer.read_owned(page, location))
        del self.rewritten[count:]

    def page_order(self) -> list[int]:
        """All pages of all trees in the order in which a scan reads them, for compaction."""
        order = [directory.DIRECTORY_PAGE]
        for tree_id in self.tree_ids():
            tree = self.tree(tree_id)
            order += self.pages_below(tree.root, tree.kind, has_large=tree.large != 0)
        return [page for page in order if page]


def writer_on(pages: PageStore, lsn: int, epoch: object, timeout: float | None) -> Writer:
    """The writer's lock, if the newest commit is still that of a number and an epoch; ConflictError if not (fact 12: else
    updates get lost)."""
    writer = pages.begin(timeout)
    try:
        if writer.lsn == lsn and writer.epoch is epoch:
            return writer
        writer.rollback()
    except BaseException:  # of Ctrl-C, maybe before that call
        writer.rollback()
        raise
    raise ConflictError("another transaction was committed since this one began")
