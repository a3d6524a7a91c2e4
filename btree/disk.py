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

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from btree import codec, directory
from btree.cache import Cache, unflushed_bytes
from btree.collector import CollectorPaused
from btree.columns import Column, kept_with
from btree.errors import ConflictError, CorruptionError, ReadOnlyError, StoreError
from btree.flush import Flush
from btree.node import LargeReference, Node, like
from btree.protocols import RAW_TREE_ID, TreeKind, Value
from btree.redo import encode_put, encode_redo, replay
from btree.spill import Spill
from btree.transaction import RAW_PUTS_MAX, LocalTransaction, Version
from btree.tree import REDO_ENTRIES_MAX, Tree, TreeState
from engine import Journal

if TYPE_CHECKING:
    from btree.pages import PageStore, Snapshot, Writer

_log = Journal("kvsh.btree")

REDO_BYTES_MAX = 256 * 1024
"""A transaction with more redo than this is written as pages."""

REDO_SCATTERED_BYTES_MAX = 8 << 20
"""The same where redo stands for many times as many bytes of pages (see `Tree.load`)."""

CLOSE_REDO_BYTES_MAX = 32 * 1024
"""A store with more redo than this is checkpointed as it closes, so that the next open is quick."""

UNREAD_COMMITS_MAX = 4096
"""So many puts may wait in the log for the trees to take them in: it bounds what a read after them costs."""

PAGE_BYTES = 8192
BRANCH_LIMIT = 256
LEAF_LIMIT_MAX = 256
_FIRST_LEAF_LIMIT = 64
_PUT_OFF_SHARE_BYTES = 2048
MEMORY_PER_PAGE_BYTE = 2
"""About how much more memory a node's objects take than its page."""

_MEASURE_ENTRIES = 24


class View:
    """A version and the engine's snapshot that its pages are read through.

    Shared by all transactions that begin while it is the newest; the snapshot is closed when the last
    of them, and of the iterators that came from them, is gone."""

    __slots__ = ("snapshot", "version")

    def __init__(self, snapshot: Snapshot, version: Version) -> None:
        self.snapshot = snapshot
        self.version = version

    def __del__(self) -> None:
        self.snapshot.close()


class DiskStore:
    """A database file; see `protocols.Store`."""

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
        self.readonly = readonly
        self.pages = pages
        self.cache = Cache(cache_bytes, scans_once=scans_once)
        self.page_bytes = page_bytes
        self.branch_limit = max(4, min(BRANCH_LIMIT, page_bytes // 16))
        self.leaf_limit = max(2, min(_FIRST_LEAF_LIMIT, page_bytes // 64))
        self.raw_puts_max = max(64, min(RAW_PUTS_MAX, cache_bytes // _PUT_OFF_SHARE_BYTES))
        self.held_max = max(4, cache_bytes // 2 // int(page_bytes * MEMORY_PER_PAGE_BYTE))
        self.closed = False
        self._lock = threading.RLock()
        self._epoch: object = None
        self._versions: dict[int, Version] = {}  # of this epoch, from the visible one on
        self._view: View | None = None

    # -- transactions ------------------------------------------------------------------------------

    def begin(self, *, write: bool = False, timeout: float | None = None) -> DiskTransaction:
        if write:
            return self._begin_write(timeout)
        return DiskTransaction(self, self.view(), None)

    def put(self, key: bytes, value: bytes) -> None:
        """One raw key put, as a transaction of its own.

        Such a put reads nothing, so it is written to the log and that is all: the trees take it in,
        with others like it, when somebody reads next, as if another process had made the commit.  A
        burst of puts costs its writes, and one pass over the leaves for every `UNREAD_COMMITS_MAX`."""
        view = self._view
        if (
            view is None
            or view.version.base_lsn == 0
            or len(value) > REDO_BYTES_MAX // 2
            or self.closed
            or self.readonly
            or self.pages.checkpoint_due()
        ):
            transaction = self._begin_write(None)
            try:
                transaction.tree(RAW_TREE_ID).put(key, value)
                transaction.commit()
            finally:
                transaction.rollback()
            return
        lsn: int = self.pages.commit_redo(encode_put(RAW_TREE_ID, key, value))
        if lsn - view.version.lsn > UNREAD_COMMITS_MAX:
            self.view()

    def view(self) -> View:
        """The newest durable version, to read."""
        view = self._view
        if view is not None and self.pages.is_current(view.snapshot):
            return view
        return self._renewed_view()

    def _renewed_view(self) -> View:
        self.check_open()
        with self._lock:
            snapshot: Snapshot = self.pages.snapshot()
            try:
                version = self._version_of(snapshot)
            except BaseException:
                snapshot.close()
                raise
            self._view = View(snapshot, version)
            for lsn in [lsn for lsn in self._versions if lsn < version.lsn]:
                del self._versions[lsn]
            return self._view

    def _begin_write(self, timeout: float | None) -> DiskTransaction:
        self.check_open()
        if self.readonly:
            raise ReadOnlyError("the database is open read-only")
        writer: Writer = self.pages.begin(timeout)
        try:
            view = self._view_to_build_on(writer)
        except BaseException:
            writer.rollback()
            raise
        return DiskTransaction(self, view, writer)

    def _view_to_build_on(self, writer: Writer) -> View:
        with self._lock:
            view = self.view()
            if view.version.lsn == writer.lsn and view.snapshot.epoch is writer.epoch:
                return view
            if self._epoch is not writer.epoch:
                raise StoreError(
                    f"commit {writer.lsn} is unknown here (the newest is {view.version.lsn})"
                )
            return _Borrowed(view, self._version_of(writer))

    def upgraded(self, view: View, timeout: float | None) -> Writer:
        """The writer's lock, if `view` is still the newest commit (fact 12: else updates get lost)."""
        self.check_open()
        if self.readonly:
            raise ReadOnlyError("the database is open read-only")
        writer: Writer = self.pages.begin(timeout)
        if writer.lsn != view.version.lsn or writer.epoch is not view.snapshot.epoch:
            writer.rollback()
            raise ConflictError("another transaction was committed since this one began")
        return writer

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
        records = snapshot.redo(version.lsn)
        if records or version.lsn != snapshot.lsn:
            replaying = Replay(self, snapshot, version)
            with CollectorPaused():
                replay(replaying, [record for _, record in records])
            version = replaying.successor(snapshot.lsn, version.base_lsn)
        self._versions[version.lsn] = version
        return version

    def append(self, transaction: DiskTransaction, writer: Writer) -> Any:
        """Append the transaction's commit, as redo or as pages; the engine's commit."""
        with self._lock:
            payload = transaction.redo_record()
            if payload is None or self.pages.checkpoint_due() or transaction.version.base_lsn == 0:
                commit, version = self._append_pages(transaction, writer)
            else:
                commit = writer.commit_redo(payload)
                version = transaction.successor(commit.lsn, transaction.version.base_lsn)
            self._versions[version.lsn] = version
        return commit

    def _append_pages(self, transaction: DiskTransaction, writer: Writer) -> tuple[Any, Version]:
        flush = Flush(
            writer, self.cache, page_bytes=self.page_bytes, branch_limit=self.branch_limit
        )
        old = transaction.successor(0, 0)
        try:
            trees = flush.trees(old.trees)
            flush.directory(old.next_tree_id, trees)
            for page in (*old.freed, *transaction.orphans):
                writer.delete(page)
            for root, has_large, kind in old.cleared:
                pages = list(transaction.pages_below(root, kind, has_large=has_large))
                for page in filter(None, pages):
                    writer.delete(page)
            commit = writer.commit_pages()
        except BaseException:
            flush.undo()
            raise
        flush.settle(commit)
        _log.info("%s: checkpointed commit %d: %d pages", self.path, commit.lsn, flush.count)
        return commit, Version(commit.lsn, trees, old.next_tree_id, base_lsn=commit.lsn)

    def make_room(self, extra: list[Node]) -> None:
        """Evict from the visible version, and from `extra` roots, the calling writer's own."""
        self.cache.sweep(self.roots(extra))

    def roots(self, extra: list[Node]) -> list[Node]:
        """The roots in memory of the visible version, and `extra` ones."""
        view = self._view
        states = [] if view is None else list(view.version.trees.values())
        roots = [state.root for state in states if state.root.__class__ is Node]
        known = set(map(id, roots))
        return [*roots, *[root for root in extra if id(root) not in known]]

    # -- the file ------------------------------------------------------------------------------------

    def check_open(self) -> None:
        """Raise StoreError once the store is closed."""
        if self.closed:
            raise StoreError("the database is closed")

    def checkpoint(self, timeout: float | None = None) -> None:
        """Write everything unflushed as pages, so that the next open has nothing to replay."""
        with_writer = self._begin_write(timeout)
        try:
            if with_writer.version.lsn != with_writer.version.base_lsn:
                with_writer.give_up_redo()
                with_writer.commit()
        finally:
            with_writer.rollback()

    @property
    def durability(self) -> str:
        """When a commit counts as made: "full", "normal" or "off"."""
        durability: str = self.pages.durability
        return durability

    def pending_commits(self) -> int:
        """Commits that are not checkpointed yet."""
        return int(self.pages.redo_commits())

    def compaction_due(self) -> bool:
        """Whether `compact` would free much; a shell asks while it idles, and compacts in the background."""
        return not self.closed and not self.readonly and self.pages.compaction_due()

    def compact(self, *, progress: Callable[[int, int], None] | None = None) -> None:
        self.check_open()
        if self.readonly:
            raise ReadOnlyError("the database is open read-only")
        self.checkpoint()
        transaction = self.begin()
        order = transaction.page_order()
        try:
            self.pages.compact(order, progress=progress)
        finally:
            transaction.rollback()
        self._view = None

    def backup(self, path: str, *, progress: Callable[[int, int], None] | None = None) -> None:
        self.check_open()
        self.pages.backup(path, progress=progress)

    def check(self) -> list[str]:
        from btree.check import check_store

        self.check_open()
        return check_store(self)

    def close(self, *, ends: bool = False) -> None:
        if self.closed:
            return
        if not self.readonly and self.pages.checkpoint_due_at_close(CLOSE_REDO_BYTES_MAX):
            try:
                self.checkpoint(0)
            except StoreError as error:
                # Every commit is durable as it is; the next open has more to replay.
                _log.info("%s: left without a checkpoint: %s", self.path, error)
        self.closed = True
        self._view = None
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


class _Borrowed(View):
    """A version newer than the view whose snapshot it is read through: the writer reads by itself."""

    __slots__ = ("_lender",)

    def __init__(self, lender: View, version: Version) -> None:
        self._lender = lender
        super().__init__(lender.snapshot, version)

    def __del__(self) -> None:
        pass


class _Ended:
    """The reader of a transaction that ended and whose version was never read through a snapshot."""

    def locate(self, page: int) -> int:
        raise StoreError("the transaction has ended")

    def read(self, page: int, location: int) -> bytes:
        raise StoreError("the transaction has ended")


class _OnPages(LocalTransaction):
    """What transactions and replay share: nodes are read from pages."""

    store: DiskStore
    reader: Any  # a Snapshot or a Writer: locate and read
    _recounted = False  # whether the cache was, for columns' sake

    def load(self, tree: Tree, branch: Node, slot: int, *, scan: bool = False) -> Node:
        assert branch.children is not None and branch.pages is not None
        location: int = branch.children[slot]
        page = branch.pages[slot]
        node = self.store.cache.revived(location) if location else None
        if node is None:
            node = self._read(tree.id, tree.kind, page, location)
            if node.level != branch.level - 1:
                raise CorruptionError(
                    f"page {page}: level {node.level} under a branch of level {branch.level}"
                )
            if scan and node.children is None and not self.store.cache.keeps_scanned(page):
                self.store.cache.used_bytes -= node.bytes
                return node
            branch.children[slot] = node
            if self.store.cache.is_over:
                self.make_room()
        else:
            branch.children[slot] = node
        return node

    def _read(self, tree_id: int, kind: TreeKind, page: int, location: int) -> Node:
        location = location or self.reader.locate(page)
        if not location:
            raise CorruptionError(f"page {page} of tree {tree_id} is missing")
        payload = self.reader.read(page, location)
        node = codec.decode_node(kind, payload, page, location)
        self.store.cache.account(tree_id, node, len(payload))
        return node

    def load_columns(
        self, tree: Tree, branch: Node, slot: int, columns: Sequence[int]
    ) -> list[list[Value]] | None:
        assert branch.children is not None and branch.pages is not None
        page, child = branch.pages[slot], branch.children[slot]
        if child.__class__ is Node:
            return None  # another thread has loaded it
        location = child or self.reader.locate(page)
        if not location:
            raise CorruptionError(f"page {page} of tree {tree.id} is missing")
        return codec.decode_columns(tree.kind, self.reader.read(page, location), page, columns)

    def scans_again(self, tree: Tree) -> bool:
        scanned = self.store.cache.scanned
        known = tree.id in scanned
        scanned.add(tree.id)
        return known

    def column_room(self) -> float:
        cache = self.store.cache
        if cache.column_room <= 0 and not self._recounted:
            self._recounted = True
            cache.recount(self.store.roots([]))
        return cache.column_room

    def keep_columns(self, branch: Node, fresh: dict[int, list[Column]], size_bytes: int) -> None:
        cache = self.store.cache
        kept_with(branch, fresh, size_bytes, cache.claim_for_columns)
        cache.used_bytes += size_bytes
        cache.column_bytes += size_bytes
        if cache.is_over:
            self.make_room()

    def fresh_node(self, tree: Tree, page: int, location: int) -> Node:
        location = location or self.reader.locate(page)
        if not location:
            raise CorruptionError(f"page {page} of tree {tree.id} is missing")
        return codec.decode_node(tree.kind, self.reader.read(page, location), page, location)

    def all_pages(self) -> set[int] | None:
        live = getattr(self.store.pages, "live_pages", None)
        return None if live is None else set(live())

    def load_root(self, state: TreeState) -> Node:
        root = self._read(state.id, state.kind, state.root_page, state.root)
        state.root = root
        return root

    def load_large(self, tree: Tree, reference: LargeReference) -> Value:
        location = reference.location
        if not location:
            location = reference.location = self.reader.locate(reference.page)
        if not location:
            raise CorruptionError(f"page {reference.page} of tree {tree.id} is missing")
        payload = self.reader.read(reference.page, location)
        return codec.decode_large(tree.kind, payload, reference.page)

    def measure(self, tree: Tree, leaf: Node) -> None:
        sample = leaf
        step = len(leaf.keys) // _MEASURE_ENTRIES
        if step > 1:
            sample = Node()
            sample.keys = leaf.keys[::step]
            sample.values = like(leaf.values, step=step)
        entries = int(self.store.page_bytes / codec.average_entry_bytes(sample))
        old_limit, new_limit = tree.leaf_limit, max(entries, 2)
        tree.leaf_limit = min(new_limit, LEAF_LIMIT_MAX)
        if new_limit < old_limit:  # what the leaf has got was taken for smaller than it is
            self.held += len(leaf.keys) / new_limit - len(leaf.keys) / old_limit

    def pages_below(self, root: Any, kind: TreeKind, *, has_large: bool) -> Iterator[int]:
        """Every page of a tree, in key order; leaves are read only for the sake of large values."""
        yield root.page
        yield from self._pages_of(root, kind, has_large)

    def _pages_of(self, node: Node, kind: TreeKind, has_large: bool) -> Iterator[int]:
        if node.children is None:
            for value in list(node.values or ()) if has_large else ():
                if value.__class__ is LargeReference:
                    yield value.page
            return
        assert node.pages is not None
        for slot, child in enumerate(node.children):
            page = child.page if isinstance(child, Node) else node.pages[slot]
            if page:
                yield page
            if node.level == 1 and not has_large:
                continue
            if not isinstance(child, Node):
                child = self._read(0, kind, page, child)
            yield from self._pages_of(child, kind, has_large)

    def make_room(self) -> None:
        """The cache is over its budget."""
        self.store.make_room([])

    def successor(self, lsn: int, base_lsn: int) -> Version:
        """The version that this transaction's work makes of the one it began at."""
        old = self.version
        return Version(
            lsn,
            self.changed_states(),
            self.next_tree_id,
            (*old.freed, *self.freed) if self.freed else old.freed,
            (*old.cleared, *self.cleared) if self.cleared else old.cleared,
            base_lsn,
        )


class Replay(_OnPages):
    """Applies redo records to a version."""

    def __init__(self, store: DiskStore, snapshot: Snapshot | Writer, version: Version) -> None:
        super().__init__(
            version,
            writable=True,
            leaf_limit=store.leaf_limit,
            branch_limit=store.branch_limit,
        )
        self.store = store
        self.reader = snapshot

    def new_redo(self) -> list[Any] | None:
        return None

    def give_up_redo(self) -> None:
        pass

    def upgrade(self, timeout: float | None = None) -> None:
        pass

    def _publish(self) -> None:
        raise AssertionError("a replay is not committed")

    def spill(self) -> None:
        pass

    def _finish(self) -> None:
        pass


class DiskTransaction(_OnPages):
    """A transaction on a `DiskStore`."""

    def __init__(self, store: DiskStore, view: View, writer: Writer | None) -> None:
        self._redo_kept = True
        super().__init__(
            view.version,
            writable=writer is not None,
            leaf_limit=store.leaf_limit,
            branch_limit=store.branch_limit,
        )
        self.store = store
        self._view = view
        self._writer = writer
        self.reader = view.snapshot if writer is None else writer
        self.held_max = store.held_max
        self.raw_puts_max = store.raw_puts_max

    def upgrade(self, timeout: float | None = None) -> None:
        if self._writable:
            return
        if not self.active:
            raise StoreError("the transaction has ended")
        self._writer = self.reader = self.store.upgraded(self._view, timeout)
        self._writable = True

    # -- redo ----------------------------------------------------------------------------------------

    def new_redo(self) -> list[Any] | None:
        return [] if self._redo_kept else None

    def give_up_redo(self) -> None:
        self._redo_kept = False
        for tree in self.open_trees.values():
            tree.redo = None

    def redo_record(self) -> bytes | None:
        """What to write as this transaction's redo; None if it has to be written as pages."""
        self.carry_out()
        if not self._redo_kept:
            return None
        changes = [(tree.id, tree.redo) for tree in self.open_trees.values() if tree.redo]
        if any(len(redo) > REDO_ENTRIES_MAX for _, redo in changes):
            # Nodes that are committed as redo stay in memory until they are written as pages.
            roots = [state.root for state in self.changed_states().values()]
            if unflushed_bytes(roots) > self.store.cache.budget_bytes // 2:
                return None
            limit = REDO_SCATTERED_BYTES_MAX
        else:
            limit = REDO_BYTES_MAX
        record = encode_redo(self.log, changes)
        return record if len(record) <= limit else None

    # -- the end -------------------------------------------------------------------------------------

    def _publish(self) -> None:
        writer = self._writer
        assert writer is not None
        if self._redo_kept and not self.has_changed():
            return
        commit = self.store.append(self, writer)
        self._writer = None
        commit.wait()

    def _finish(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.rollback()
            if self.spilled or self.orphans:
                self.store.cache.clear()  # the next writer's pages will lie where this one's lay
        if self._view.__class__ is _Borrowed:
            self.reader = _Ended()
        else:
            self.reader = self._view.snapshot

    # -- room ----------------------------------------------------------------------------------------

    def spill(self) -> None:
        assert self._writer is not None
        self.held = 0.0
        self.give_up_redo()
        flush = Flush(
            self._writer,
            self.store.cache,
            page_bytes=self.store.page_bytes,
            branch_limit=self.branch_limit,
            early=True,
        )
        spill = Spill(self, flush)
        for tree in self.open_trees.values():
            spill.tree(tree)
        self.spilled += flush.allocated
        if self.store.cache.is_over:
            self.make_room()

    def make_room(self) -> None:
        roots = [tree.root for tree in self.open_trees.values()] if self._writable else []
        self.store.make_room(roots)

    # -- pages ---------------------------------------------------------------------------------------

    def page_order(self) -> list[int]:
        """All pages of all trees in the order in which a scan reads them, for compaction."""
        order = [directory.DIRECTORY_PAGE]
        for tree_id in self.tree_ids():
            tree = self.tree(tree_id)
            order += self.pages_below(tree.root, tree.kind, has_large=tree.large)
        return [page for page in order if page]
