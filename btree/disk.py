"""The store in a file: versions of the trees over the engine's pages and redo.

    commit     small: its redo record, and the changed nodes stay unflushed in memory
               large: a pages commit (see `flush`), after which there is nothing to replay
    open       the directory as of the newest pages commit, then the redo after it, replayed
    begin      what other processes appended is taken in: their redo replayed on the newest version
               known, or, after a pages commit of theirs, everything loaded anew

Two versions matter: the newest one *appended*, on which the next writer of this process builds, and
the newest one *visible*, which is durable and which readers get.  Between them lie the commits of
threads that wait for the disk together.

Threads: `_lock` guards the versions.  It is held while a commit is appended, so that a writer that
gets the engine's lock next finds the version that belongs to it; never while one waits for the disk.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from btree import directory, glance, single_puts
from btree.cache import Cache
from btree.codec import encoded
from btree.collector import CollectorPaused
from btree.disk_transaction import REDO_BYTES_MAX, DiskTransaction, writer_on
from btree.errors import ClosedError, ReadOnlyError, StoreError
from btree.late_transaction import LateTransaction
from btree.node import Node
from btree.on_pages import Replay
from btree.overlay import OWN_MAX, redo_of
from btree.pending import add_if_few, add_pending, add_single
from btree.protocols import CATALOG_TREE_ID, RAW_TREE_ID, Key, TreeKind, Value
from btree.put_off import RAW_PUTS_MAX
from btree.redo import OP_CHANGES, apply_changes, gathered_changes, replay
from btree.renewals import Renewals
from btree.version import Version
from btree.view import View
from engine import Journal, call_in_child

if TYPE_CHECKING:
    from btree.pages import PageStore, Snapshot, Writer
    from btree.renewal import Renewal
    from btree.transaction import LocalTransaction
    from btree.tree_state import TreeState

_log = Journal("kvsh.btree")
_INDEX = TreeKind.INDEX

CLOSE_REDO_BYTES_MAX = 32 * 1024
"""A store with more redo than this is checkpointed as it closes, so that the next open is quick."""

VERSIONS_MAX = 64
"""How many versions that only writers have seen are kept before those that nobody can want any more go."""

FEW_COMMITS = 32
"""Up to this many commits are laid over the trees one by one, rather than replayed as one bulk change."""

PAGE_BYTES = 8192
BRANCH_LIMIT = 256
_FIRST_LEAF_LIMIT = 64
_PUT_OFF_SHARE_BYTES = 2048
WAITING_SHARE = 0.66
"""Share of the cache's budget up to which raw puts wait for the leaves."""

RENEWAL_LOCK_SECONDS = 0.05
"""So long a renewal that is through waits for another writer; then it takes its place after a later commit."""

WAITING_ENTRY_BYTES = 200
"""What one that waits takes besides its bytes, about: two objects' heads, a tuple, a dict's entry."""

MEMORY_PER_PAGE_BYTE = 2
"""About how much more memory a node's objects take than its page."""


class DiskStore:
    """A database file; see `protocols.Store`."""

    name: str | None = None

    def __init__(
        self,
        pages: PageStore,
        path: str,
        *,
        readonly: bool = False,
        cache_bytes: int = 256 << 20,
        page_bytes: int = PAGE_BYTES,
        scans_once: bool = False,
    ) -> None:
        self.path: str | None = path
        self.place = os.path.realpath(path)
        self.readonly = readonly
        self.pages = pages
        self.cache = Cache(cache_bytes, scans_once=scans_once)
        self.page_bytes = page_bytes
        self.branch_limit = max(4, min(BRANCH_LIMIT, page_bytes // 16))
        self.leaf_limit = max(2, min(_FIRST_LEAF_LIMIT, page_bytes // 64))
        self.raw_puts_max = max(64, min(RAW_PUTS_MAX, cache_bytes // _PUT_OFF_SHARE_BYTES))
        self.leaf_bytes = page_bytes * MEMORY_PER_PAGE_BYTE  # what a full leaf takes in memory
        self.held_max = max(4 * self.leaf_bytes, cache_bytes // 2)  # by one transaction
        self.closed = False
        self._renew_lock()
        self._epoch: object = None
        self._versions: dict[int, Version] = {}  # of this epoch, from the visible one on
        self.known_view: View | None = None
        self.put_allowance = 0  # see `single_puts`
        self.own_puts: dict[int, tuple[bytes, Any]] = {}
        self.renewals = Renewals()
        call_in_child(self, DiskStore._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()

    # -- transactions ------------------------------------------------------------------------------

    def begin(self, *, write: bool = False, timeout: float | None = None) -> DiskTransaction:
        if not write:
            view = self.view()
            return DiskTransaction(self, view.version, view, None)
        if self.closed:
            self.check_open()
        if self.readonly:
            raise ReadOnlyError("the database is open read-only")
        writer: Writer = self.pages.begin(timeout)
        try:
            # Without the lock: who changes one of the two changes both before it is another thread's turn.
            version = self._versions.get(writer.lsn) if self._epoch is writer.epoch else None
            if version is None:
                version = self._version_to_build_on(writer)
            return DiskTransaction(self, version, None, writer)
        except BaseException:
            writer.rollback()
            raise

    def begin_late(self, timeout: float | None = None) -> DiskTransaction:
        if not self.closed and not self.readonly:
            lsn, epoch = self.pages.newest_appended()
            version = self._versions.get(lsn) if self._epoch is epoch else None
            if version is not None:
                return LateTransaction(self, version, timeout)
        return self.begin(write=True, timeout=timeout)

    row_now = glance.row_now
    put = single_puts.put
    put_since = single_puts.put_since
    raw_changes = single_puts.raw_changes

    def view(self) -> View:
        """The newest durable version, to read."""
        view = self.known_view
        if view is not None and self.pages.is_newest(view.snapshot.state):
            return view
        return self._renewed_view()

    @property
    def memory_bytes(self) -> int:
        return self.cache.budget_bytes

    @property
    def is_newest(self) -> Callable[[Any], bool]:
        return self.pages.is_newest

    def await_turn(self) -> None:
        self.pages.await_turn()

    def _renewed_view(self) -> View:
        self.check_open()
        with self._lock:
            snapshot: Snapshot = self.pages.snapshot()
            known, lsn = self._versions, snapshot.lsn
            version = known.get(lsn) if snapshot.epoch is self._epoch else None
            if version is None:
                try:
                    version = self._version_of(snapshot)
                except BaseException:
                    snapshot.close()
                    raise
                known = self._versions
            view = self.known_view = View(snapshot, version)
            for old in [old for old in known if old < lsn]:
                del known[old]
            return view

    def _version_to_build_on(self, writer: Writer) -> Version:
        with self._lock:
            if self._epoch is writer.epoch:
                return self._version_of(writer)
            newest = self.view().version
            if self._epoch is not writer.epoch:
                raise StoreError(
                    f"commit {writer.lsn} is unknown here (the newest is {newest.lsn})"
                )
            return self._version_of(writer)

    def view_of(self, version: Version) -> View | None:
        """The view of a version that is the newest durable one; None if another is."""
        view = self.view()
        return view if view.version is version else None

    def _waiting_bytes(self, state: TreeState) -> int:
        """About what memory the changes that wait over a state take, with the redo that they came in."""
        held = min(self.pages.redo_held_bytes, state.pending_bytes)
        return state.pending_bytes + held + WAITING_ENTRY_BYTES * state.pending_count

    def is_vast(self, state: TreeState) -> bool:
        """Whether a tree does not fit into the cache, with what waits over it."""
        leaves = state.count / state.leaf_limit
        return leaves * self.leaf_bytes + self._waiting_bytes(state) > self.cache.budget_bytes

    def waits_full(self, state: TreeState) -> bool:
        """Whether as many changes wait over a raw tree as there is memory for."""
        return self._waiting_bytes(state) > self.cache.budget_bytes * WAITING_SHARE

    @property
    def cache_epoch(self) -> object:
        """Of the snapshots whose pages the cache holds."""
        return self._epoch

    def fullness(self, state: TreeState) -> float:
        """How much of the room that there is for changes to wait over the raw tree, in memory and in the redo tail,
        they take: above 1 they are taken in."""
        memory = self._waiting_bytes(state) / (self.cache.budget_bytes * WAITING_SHARE)
        return max(memory, self.pages.redo_fullness(state.pending_bytes))

    def go_on_renewing(self) -> None:
        """Changes of the raw tree were left to wait: do a part of what is to be done about it, see `renewal`."""
        if versions := list(self._versions.values()):  # else another thread has closed the store
            self.renewals.go_on(self, versions[-1].trees[RAW_TREE_ID])

    def is_base(self, view: View) -> bool:
        """Whether there is nothing but redo after a view."""
        newest = list(self._versions.values())[-1:]
        return view.snapshot.epoch is self._epoch and all(
            version.base_lsn == view.version.base_lsn for version in newest
        )

    def renewed(self, renewal: Renewal) -> None:
        """Have the file of a renewal in the place of the store's.  BusyError if another writer is at work."""
        view, before = renewal.view, renewal.version
        writer = self.pages.begin(RENEWAL_LOCK_SECONDS)
        try:
            with self._lock:
                if writer.epoch is not view.snapshot.epoch or writer.base_lsn != before.base_lsn:
                    raise StoreError("pages were committed meanwhile")
                newest = self._versions.get(writer.lsn) if self._epoch is writer.epoch else None
                renewal.made.take_place()
                self.known_view = None
                snapshot: Snapshot = self.pages.snapshot()
                after = None if newest is None else renewal.version_after(newest)
                if after is not None and after.lsn == snapshot.lsn:  # else who wants it loads it
                    self._epoch = snapshot.epoch
                    self._versions = {after.lsn: after}
                    self.cache.clear()
                    self._count_waiting(after.trees[RAW_TREE_ID])
                    self.cache.recount(self.roots([]))
            writer.rollback()
        except BaseException:  # of Ctrl-C, maybe before that call
            writer.rollback()
            raise

    def checkpoint_due(self, version: Version, more: int = 0) -> bool:
        """Whether the redo is long enough to be ended.  That of raw puts may be longer, since they wait for their
        leaves whoever replays it."""
        if not self.pages.checkpoint_due(more):
            return False
        return self.pages.checkpoint_due(more, version.trees[RAW_TREE_ID].pending_bytes)

    def _count_waiting(self, state: TreeState) -> None:
        """Have the memory of what waits over the newest raw tree in the cache's budget."""
        cache = self.cache
        size = self._waiting_bytes(state)
        cache.used_bytes += size - cache.waiting_bytes
        cache.waiting_bytes = size

    def upgraded(self, view: View, timeout: float | None) -> Writer:
        """The writer's lock, if `view` is still the newest commit."""
        self.check_open()
        if self.readonly:
            raise ReadOnlyError("the database is open read-only")
        return writer_on(self.pages, view.version.lsn, view.snapshot.epoch, timeout)

    # -- versions ------------------------------------------------------------------------------------

    def _version_of(self, snapshot: Snapshot | Writer) -> Version:
        """The version of the snapshot's commit (of a writer, the one it builds on): known, or
        replayed, or loaded."""
        if snapshot.epoch is self._epoch:
            version = self._versions.get(snapshot.lsn)
            if version is not None:
                return version
            known = [
                version
                for lsn, version in self._versions.items()
                if lsn < snapshot.lsn and version.base_lsn == snapshot.base_lsn
            ]
            if known:
                newest = max(known, key=lambda version: version.lsn)
                return self._replayed(snapshot, newest)
        return self._loaded(snapshot)

    def _loaded(self, snapshot: Snapshot | Writer) -> Version:
        self.cache.clear()
        location = snapshot.locate(directory.DIRECTORY_PAGE)
        if location:
            payload = snapshot.read(directory.DIRECTORY_PAGE, location)
            next_tree_id, trees = directory.decode_directory(payload)
        else:
            next_tree_id = directory.FIRST_TREE_ID
            trees = directory.initial_trees(self.leaf_limit)
        base = snapshot.base_lsn
        version = Version(base, trees, next_tree_id, base_lsn=base)
        self._epoch = snapshot.epoch
        self._versions = {}
        return self._replayed(snapshot, version)

    def _replayed(self, snapshot: Snapshot | Writer, version: Version) -> Version:
        commits = snapshot.redo(version.lsn)
        records = [record for _, record in commits]
        if records or version.lsn != snapshot.lsn:
            older = version
            puts = single_puts.puts_of(self, commits)
            changes = None if puts is None else {RAW_TREE_ID: puts}
            if len(records) > FEW_COMMITS or not self._lay_over(
                older, records, changes, snapshot.lsn
            ):
                replaying = Replay(self, snapshot, older)
                with CollectorPaused():
                    if changes is None:
                        replay(replaying, records)
                    else:
                        apply_changes(replaying, changes)
                    replaying.settle_full()
                    version = replaying.successor(snapshot.lsn, older.base_lsn)
                replaying.open_trees.clear()  # they refer to it: else all nodes would wait for the collector
            else:
                version = older.later(snapshot.lsn, older.trees, older.shape)
            raw = version.trees[RAW_TREE_ID]
            if raw.pending:
                raw.pending_bytes += sum(map(len, records))
        self._versions[version.lsn] = version
        self._count_waiting(version.trees[RAW_TREE_ID])
        return version

    def _lay_over(
        self,
        version: Version,
        records: list[bytes],
        changes: dict[int, dict[Any, Value]] | None,
        lsn: int,
    ) -> bool:
        """Lay a few commits that only put and delete over the trees of a version, without a transaction to do it in; False, with
        nothing done, if they are others, or many.  `changes`: what they did, if that is known."""
        if sum(map(len, records)) > single_puts.TOLD_BYTES_MAX:
            return False
        if changes is None:
            changes = gathered_changes(records)
        if changes is None or CATALOG_TREE_ID in changes:
            return False
        return add_if_few(version.trees, changes, lsn, OWN_MAX)

    def append_laid_over(
        self,
        transaction: DiskTransaction,
        append: Callable[[bytes], int | None],
        changes: Mapping[int, dict[Key, Value]],
    ) -> int | None:
        """Append a commit that is nothing but changes that lie over the trees; its number, which `append` gives.

        None, with nothing done, if that is not to be a redo record of its own, or `append` gives None."""
        version = transaction.version
        if version.base_lsn == 0:
            return None
        if self.pages.checkpoint_due() and self.checkpoint_due(version):
            return None
        lsn = version.lsn + 1
        raw: TreeState | None = None
        shape = version.shape
        operations: list[Any] = []
        single: list[tuple[TreeState, tuple[Key, Value]]] = []
        several: dict[int, dict[Key, Value]] = {}
        redo: Any
        with self._lock:
            states = transaction._states or version.trees
            for tree_id, own in changes.items():
                state = states[tree_id]
                count = len(own)
                # What `is_full` asks of all but raw trees.
                if tree_id <= CATALOG_TREE_ID or state.pending_count + count > state.pending_max:
                    if transaction.is_full(state, count):
                        return None
                    if tree_id == RAW_TREE_ID:
                        raw = state
                    elif tree_id == CATALOG_TREE_ID:
                        shape = object()
                if count == 1 and state.kind is not _INDEX:
                    (redo,) = own.items()  # most have one change, of which the redo is the pair
                    single.append((state, redo))
                else:
                    redo = redo_of(state.kind, own)
                    several[tree_id] = own
                operations.append((OP_CHANGES, tree_id, redo))
            record = encoded(operations)
            if len(record) > REDO_BYTES_MAX and (
                max(map(len, changes.values())) <= OWN_MAX  # long, rather than many
                or self.checkpoint_due(version, len(record))
            ):
                return None
            if append(record) is None:
                return None
            add_single(single, lsn)
            if several:
                add_pending(states, several, lsn)
            if raw is not None:
                raw.pending_bytes += len(record)
                self._count_waiting(raw)
            made = version.later(lsn, states, shape)
            if self.pages.durability != "full":
                # It is seen by now, and nobody is to be given an older one.
                self._versions = {lsn: made}
            else:
                self._versions[lsn] = made
                if len(self._versions) > VERSIONS_MAX:
                    self.view()
        if raw is not None and self.cache.is_over():
            self.make_room([])
        return lsn

    def append(self, transaction: DiskTransaction, writer: Writer) -> Any:
        """Append the transaction's commit, as redo or as pages; the engine's commit."""
        with self._lock:
            payload = self._redo_record(transaction)
            if payload is None:
                commit, version = self._append_pages(transaction, writer)
            else:
                commit = writer.commit_redo(payload)
                version = transaction.successor(commit.lsn, transaction.version.base_lsn)
                raw = version.trees[RAW_TREE_ID]
                if raw.pending_lsn == commit.lsn:
                    raw.pending_bytes += len(payload)
            self._versions[version.lsn] = version
            self._count_waiting(version.trees[RAW_TREE_ID])
        return commit

    def prepare(self, transaction: DiskTransaction, writer: Writer) -> None:
        """Do what `append` does up to the commit itself, which will find room on the disk."""
        with self._lock:
            payload = self._redo_record(transaction)
            if payload is None:
                transaction.give_up_redo()
                transaction.flushed = transaction.put_pages()
            writer.claim(len(payload or b""))

    def _redo_record(self, transaction: DiskTransaction) -> bytes | None:
        version = transaction.version
        redo = version.base_lsn and not self.checkpoint_due(version)
        return transaction.redo_record() if redo else None

    def _append_pages(self, transaction: DiskTransaction, writer: Writer) -> tuple[Any, Version]:
        flush = transaction.flushed or transaction.put_pages()
        try:
            commit = writer.commit_pages()
        except BaseException:
            flush.undo()
            raise
        transaction.flushed = None
        flush.settle(commit)
        _log.info("%s: checkpointed commit %d: %d pages", self.path, commit.lsn, flush.count)
        return commit, flush.version(commit.lsn)

    def replaced_state(
        self, transaction: LocalTransaction, old: TreeState, made: TreeState
    ) -> TreeState:
        """See `Backend.replace_state`."""
        with self._lock:
            made = transaction.swap_state(self._versions.values(), old, made)
            if made.id == RAW_TREE_ID:
                self._count_waiting(made)
            return made

    def make_room(self, extra: list[Node], held: float = 0.0) -> None:
        """Evict from the visible version, the newest one, and from `extra` roots, the calling writer's own, which holds
        bytes of changes itself."""
        self.cache.sweep(self.roots(extra), held)

    def roots(self, extra: list[Node], tree_id: int | None = None) -> list[Node]:
        """The roots in memory of the visible version and of the newest one, or those of one tree, and `extra` ones."""
        view = self.known_view
        versions = [] if view is None else [view.version]
        # Of a process that only writes, the visible version may be one of long ago.
        versions += list(self._versions.values())[-1:]
        states = [state for version in versions for state in version.trees.values()]
        roots = [state.root for state in states if tree_id is None or state.id == tree_id]
        found = {id(root): root for root in (*roots, *extra) if root.__class__ is Node}
        return list(found.values())

    # -- the file ------------------------------------------------------------------------------------

    def check_open(self) -> None:
        """Raise StoreError once the store is closed."""
        if self.closed:
            raise ClosedError("the database is closed")

    def checkpoint(self, timeout: float | None = None) -> None:
        """Write everything unflushed as pages, so that the next open has nothing to replay."""
        if not self.closed and not self.readonly:
            self.renewals.run(self)
        with_writer = self.begin(write=True, timeout=timeout)
        try:
            if with_writer.version.lsn != with_writer.version.base_lsn:
                with_writer.give_up_redo()
                with_writer.commit()
            with_writer.rollback()
        except BaseException:  # of Ctrl-C, maybe before that call
            with_writer.rollback()
            raise

    @property
    def durability(self) -> str:
        """When a commit counts as made: "full", "normal" or "off"."""
        return str(self.pages.durability)

    def pending_commits(self) -> int:
        """Commits that are not checkpointed yet."""
        return int(self.pages.redo_commits())

    def own_commits(self) -> int:
        """Commits that this handle has made: all others are of other handles, which a program may want to know of."""
        return int(self.pages.own_commits)

    def compaction_due(self, *, quick: bool = False, closing: bool = False) -> bool:
        """Whether `compact` would free much; a shell asks while it idles, and compacts in the background.
        `quick`, `closing`: see the engine."""
        if self.closed or self.readonly:
            return False
        return self.pages.compaction_due(quick=quick, closing=closing)

    def compact(
        self,
        *,
        progress: Callable[[int, int], None] | None = None,
        timeout: float | None = None,
    ) -> None:
        self.check_open()
        if self.readonly:
            raise ReadOnlyError("the database is open read-only")
        self.renewals.give_up()
        self.checkpoint(timeout)
        transaction = self.begin()
        order = transaction.page_order()
        try:
            self.pages.compact(order, progress=progress, timeout=timeout)
        finally:
            transaction.rollback()
        self.known_view = None

    def backup(self, path: str, *, progress: Callable[[int, int], None] | None = None) -> None:
        self.check_open()
        self.pages.backup(path, progress=progress)

    def check(self) -> list[str]:
        from btree.check import check_store

        self.check_open()
        return check_store(self)

    def settle(self) -> None:
        """Leave the next open little to replay, if nobody else writes; closing does."""
        if self.readonly or not self.pages.checkpoint_due_at_close(CLOSE_REDO_BYTES_MAX):
            return
        try:
            self.checkpoint(0)
        except StoreError as error:
            # Every commit is durable as it is.
            _log.info("%s: left without a checkpoint: %s", self.path, error)

    def close(self, *, ends: bool = False) -> None:
        if self.closed:
            return
        self.settle()
        self.closed = True
        self.renewals.give_up()
        self.known_view = None
        if not ends:  # else freeing a million rows one by one would take 0.1 s
            self._versions = {}
            self.cache.clear()
        self.pages.close()

    def log(self) -> Any:
        """What the file's log holds, commit by commit (see the engine)."""
        return self.pages.log()

    def stats(self) -> Any:
        """Figures of the file (see the engine)."""
        return self.pages.stats()
