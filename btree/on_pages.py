"""What transactions on a file share with a replay: how nodes, columns and large values come from pages.

A `Replay` applies the redo of commits that were made elsewhere, or that nobody has read yet.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

from btree import codec
from btree.column_pages import OpenPage, open_pages
from btree.errors import CorruptionError
from btree.kept_columns import Layout, Lists, kept_with, packed_among
from btree.large_values import average_apart, average_entry_bytes, decode_large
from btree.long_columns import LONG_LEAF_BYTES, LongValues
from btree.node import InPages, LargeReference, LongRow, Node, like
from btree.overlay import FEW_LOADED, OverlaidTree
from btree.packed import PackedLeaf, packed_index_leaf, packed_leaf
from btree.packed_rows import READS_MAX
from btree.protocols import CATALOG_TREE_ID, TreeKind, Value
from btree.transaction import LocalTransaction
from btree.tree import Tree
from btree.tree_nodes import TreeNodes
from btree.tree_state import TreeState
from btree.version import Version

if TYPE_CHECKING:
    from btree.added import Added
    from btree.disk import DiskStore
    from btree.hot import HotRows
    from btree.pages import Snapshot, Writer

PUTS_SCATTERED = 2
"""With this many entries of the raw tree for each put of a transaction, or more, the puts count as scattered."""

LEAF_LIMIT_MAX = 256
FEW_ENTRIES = 4
"""With fewer of them in a page it is looked at how many there may be with long ones apart."""
_MEASURE_ENTRIES = 24


class OnPages(LocalTransaction):
    """What transactions and replay share: nodes are read from pages."""

    store: DiskStore
    reader: Any  # a Snapshot or a Writer: locate and read
    _recounted = False  # whether the cache was, for columns' sake

    @property
    def is_over(self) -> bool:
        """Whether the cache's nodes and what this transaction holds are more than the budget."""
        return self.store.cache.is_over(self.held)

    @property
    def _is_of_cache(self) -> bool:
        """Whether the cache tells pages by where they lie in the file that this reads: a snapshot from before a
        compaction reads the old one."""
        return self.reader.epoch is self.store.cache_epoch

    def load(self, tree: TreeNodes, branch: Node, slot: int, *, scan: bool = False) -> Node:
        assert branch.children is not None and branch.pages is not None
        child: Any = branch.children[slot]
        if child.__class__ is Node:
            return child  # another thread has loaded it
        location, page = int(child), branch.pages[slot]
        node = self.store.cache.revived(location) if location and self._is_of_cache else None
        if node is None or getattr(node, "added", None) is not tree.added:
            node = self._read(tree.id, tree.kind, page, location, tree.added)
            if node.level != branch.level - 1:
                raise CorruptionError(
                    f"page {page}: level {node.level} under a branch of level {branch.level}"
                )
            if scan and node.children is None and not self.store.cache.keeps_scanned(page):
                self.store.cache.used_bytes -= node.bytes
                if since := self.store.cache.use.refuse_page(page):
                    self._drop_stale(since)
                return node
            branch.children[slot] = node
            if self.is_over:
                self.make_room()
        else:
            branch.children[slot] = node
        return node

    def load_packed(self, tree: TreeNodes, branch: Node, slot: int) -> Node | PackedLeaf:
        assert branch.children is not None and branch.pages is not None
        cache = self.store.cache
        child, page = branch.children[slot], branch.pages[slot]
        if child.__class__ is Node:
            return child  # another thread has loaded it
        if child.__class__ is PackedLeaf:
            if child.values is None:
                return child
            if child.values.is_turning:
                cache.used_bytes += child.turn()
            if child.values.reads <= READS_MAX:
                return child
            if not cache.has_room:
                child.values.reads = 0
                return child
            cache.used_bytes -= child.bytes
            return self.load(tree, branch, slot)
        location = child or self.reader.locate(page)
        leaf = None
        if location and not (cache.is_cooling(location) and self._is_of_cache):
            payload = self.reader.read(page, location)
            leaf = _packed(tree, payload, page, location)
        if leaf is None:
            return self.load(tree, branch, slot)
        branch.children[slot] = leaf
        cache.used_bytes += leaf.bytes
        if self.is_over:
            self.make_room()
        return leaf

    def raw_page(self, branch: Node, slot: int) -> bytes | None:
        assert branch.children is not None and branch.pages is not None
        cache, child, number = self.store.cache, branch.children[slot], branch.pages[slot]
        if child.__class__ is Node or cache.has_room or not self._is_of_cache:
            return None
        location = child or self.reader.locate(number)
        page = cache.pages.get(location)
        if page is None:
            if not location or cache.is_cooling(location):
                return None
            page = self.reader.read(number, location)
            cache.keep_page(location, page)
            if self.is_over:
                self.make_room()
        return page

    def hot_rows(self, state: TreeState) -> HotRows | None:
        if self._writable or state.kind not in (TreeKind.TABLE, TreeKind.INDEX):
            return None
        return self.store.cache.hot.of(state.id, state.mark, has_large=state.large != 0)

    def _read(
        self, tree_id: int, kind: TreeKind, page: int, location: int, added: Added | None = None
    ) -> Node:
        location = location or self.reader.locate(page)
        if not location:
            raise CorruptionError(f"page {page} of tree {tree_id} is missing")
        payload = self.reader.read(page, location)
        node = codec.decode_node(kind, payload, page, location, added)
        self.store.cache.account(tree_id, node, len(payload))
        return node

    def open_pages(
        self, tree: Tree, branch: Node, slots: Sequence[int], columns: Sequence[int]
    ) -> list[OpenPage | None]:
        assert branch.children is not None and branch.pages is not None
        found: list[OpenPage | None] = [None] * len(slots)
        wanted, pages, locations = [], [], []
        for at, slot in enumerate(slots):
            child, page = branch.children[slot], branch.pages[slot]
            if child.__class__ is Node:
                continue  # another thread has loaded it
            location = child
            if not location:
                location = self.reader.locate(page)
                if not location:
                    raise CorruptionError(f"page {page} of tree {tree.id} is missing")
                if branch.children[slot] is child:
                    branch.children[slot] = location
            wanted.append(at)
            pages.append(page)
            locations.append(location)
        payloads = self.reader.read_many(pages, locations) if pages else ()
        opened = open_pages(
            payloads, pages, columns, tree.kind, tree.added, long_values=self.long_values(tree)
        )
        for at, leaf in zip(wanted, opened, strict=True):
            found[at] = leaf
        return found

    def long_values(self, tree: TreeNodes) -> LongValues:
        """What reads the long values of a tree's columns."""
        return partial(self._large_values, tree.id, tree.kind)

    def scans_again(self, tree: Tree, columns: Sequence[int]) -> bool:
        cache = self.store.cache
        known = cache.use.begin(tree.id, columns)
        packed = packed_among(tree.root, columns)
        if packed:
            cache.use.refuse()  # objects, which would be quicker
        if since := cache.use.short_since():
            self._drop_stale(since)
            for column in packed:
                cache.unpack(tree.id, column, since, partial(self.store.roots, []))
        return known

    def _drop_stale(self, since: int) -> None:
        self.store.cache.drop_stale(since, partial(self.store.roots, []))

    def column_room(self) -> float:
        cache = self.store.cache
        if cache.column_room <= 0 and not self._recounted:
            self._recounted = True
            cache.recount(self.store.roots([]))
        return cache.column_room

    def number_room(self) -> float:
        return self.store.cache.number_room

    @property
    def packs_columns(self) -> bool:
        return self.store.cache.packs_columns

    def pack_columns(self, *, has_numbers: bool) -> bool:
        return self.store.cache.pack_columns(self.store.roots([]), has_numbers=has_numbers)

    def keep_columns(self, branch: Node, fresh: Lists, layout: Layout, size_bytes: int) -> None:
        cache = self.store.cache
        kept_with(branch, fresh, layout, size_bytes, cache.claim_for_columns)
        cache.used_bytes += size_bytes
        cache.column_bytes += size_bytes
        if self.is_over:
            self.make_room()

    def fresh_node(self, tree: Tree, page: int, location: int) -> Node:
        location = location or self.reader.locate(page)
        if not location:
            raise CorruptionError(f"page {page} of tree {tree.id} is missing")
        payload = self.reader.read(page, location)
        return codec.decode_node(tree.kind, payload, page, location, tree.added)

    def all_pages(self) -> set[int] | None:
        live = getattr(self.store.pages, "live_pages", None)
        return None if live is None else set(live())

    def load_root(self, state: TreeState) -> Node:
        location: Any = state.root
        if location.__class__ is Node:
            return location  # another thread has loaded it
        root = self._read(state.id, state.kind, state.root_page, location, state.added)
        state.root = root
        return root

    def load_large(
        self, tree: TreeNodes, values: Sequence[InPages], columns: Container[int] | None
    ) -> list[Value]:
        if tree.kind is TreeKind.RAW:
            pages = [page for value in values for page in value.pages]
            known = [value.location for value in values if isinstance(value, LargeReference)]
            return self._large_values(tree.id, tree.kind, pages, known)
        rows, wanted, pages = [], [], []
        for at, value in enumerate(values):
            assert isinstance(value, LongRow)
            rows.append(list(value.head))
            for column, page, _ in value.parts:
                if columns is None or column in columns:
                    wanted.append((at, column))
                    pages.append(page)
        found = self._large_values(tree.id, tree.kind, pages)
        for (at, column), part in zip(wanted, found, strict=True):
            rows[at][column] = part
        return list(map(tuple, rows))

    def _large_values(
        self, tree_id: int, kind: TreeKind, pages: Sequence[int], known: Sequence[int] = ()
    ) -> list[Value]:
        """What is in pages of large values; `known`: where they lie, 0 of those of which that is not known."""
        if not pages:
            return []
        locate = self.reader.locate
        if known:
            locations = [at or locate(page) for at, page in zip(known, pages, strict=True)]
        else:
            locations = list(map(locate, pages))
        if 0 in locations:
            page = pages[locations.index(0)]
            raise CorruptionError(f"page {page} of tree {tree_id} is missing")
        if len(pages) == 1:  # a look-up's, in half the steps
            return [decode_large(kind, self.reader.read(pages[0], locations[0]), pages[0])]
        payloads = self.reader.read_many(pages, locations)
        return list(map(decode_large, repeat(kind), payloads, pages))

    def is_vast(self, state: TreeState) -> bool:
        return state.kind is TreeKind.RAW and self.store.is_vast(state)

    def is_full(self, state: TreeState, more: int) -> bool:
        if state.kind is TreeKind.RAW:
            return self.store.waits_full(state)
        return super().is_full(state, more)

    def are_few(self, tree: OverlaidTree, puts: Mapping[bytes, Value]) -> bool:
        """Whether raw puts, if they are scattered, are better left to wait for others with which to meet in the
        leaves, rather than taken into these."""
        return tree.under.count >= len(puts) * PUTS_SCATTERED

    def is_within(self, tree: OverlaidTree, key: bytes) -> bool:
        """Whether the nodes have a key that is larger than one of those that were put: else these are appended."""
        node = tree.base
        while node.children is not None:
            node = tree.child(node, len(node.children) - 1)
        return bool(node.keys) and key < node.keys[-1]

    def merging(self) -> Replay:
        return Replay(self.store, self.reader, self.version)

    def replace_state(self, old: TreeState, made: TreeState) -> TreeState:
        return self.store.replaced_state(self, old, made)

    def measure(self, tree: TreeNodes, leaf: Node) -> None:
        sample = leaf
        step = len(leaf.keys) // _MEASURE_ENTRIES
        if step > 1:
            sample = Node()
            sample.keys = leaf.keys[::step]
            sample.values = like(leaf.values, step=step)
        entry_bytes = average_entry_bytes(sample)
        entries = int(self.store.page_bytes / entry_bytes)
        if entries < FEW_ENTRIES and tree.kind in (TreeKind.TABLE, TreeKind.CLUSTERED):
            kept = average_apart(sample, self.store.page_bytes // 2)
            entries = int(min(self.store.page_bytes / kept, LONG_LEAF_BYTES / entry_bytes))
        tree.leaf_limit = min(max(entries, 2), LEAF_LIMIT_MAX)
        more = self.store.cache.weigh(tree.id, sample)
        if more > 0:  # what the leaf has got was taken for smaller than it is
            self.held += more * len(leaf.keys)

    def hold(self, tree: TreeNodes, entries: float) -> None:
        self.held += entries * self.entry_bytes(tree)

    def entry_bytes(self, tree: TreeNodes) -> float:
        """Bytes of memory that an entry takes, about."""
        return self.store.cache.entry_bytes.get(tree.id) or self.store.leaf_bytes / tree.leaf_limit

    def pages_below(self, root: Any, kind: TreeKind, *, has_large: bool) -> Iterator[int]:
        """Every page of a tree, in key order; leaves are read only for the sake of large values."""
        yield root.page
        yield from self._pages_of(root, kind, has_large)

    def _pages_of(self, node: Node, kind: TreeKind, has_large: bool) -> Iterator[int]:
        if node.children is None:
            for value in list(node.values or ()) if has_large else ():
                if isinstance(value, InPages):
                    yield from value.pages
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
        self.store.make_room([], self.held)

    def successor(self, lsn: int, base_lsn: int) -> Version:
        """The version that this transaction's work makes of the one it began at."""
        old = self.version
        shape = self.shape
        return Version(
            lsn,
            self.states_at(lsn),
            self.next_tree_id,
            (*old.freed, *self.freed) if self.freed else old.freed,
            (*old.cleared, *self.cleared) if self.cleared else old.cleared,
            base_lsn,
            shape,
        )


def _packed(tree: TreeNodes, payload: bytes, page: int, location: int) -> PackedLeaf | None:
    """The packed leaf of a page, None if it can't be packed."""
    if tree.kind is TreeKind.INDEX:
        columns = codec.key_columns(payload, page)
        return None if columns is None else packed_index_leaf(location, columns, len(payload))
    found = codec.readers(tree.kind, payload, page, tree.added)
    return None if found is None else packed_leaf(location, *found)


class Replay(OnPages):
    """Applies redo records to a version."""

    def __init__(self, store: DiskStore, snapshot: Snapshot | Writer, version: Version) -> None:
        super().__init__(store, version, writable=True)
        self.reader = snapshot

    def is_full(self, state: TreeState, more: int) -> bool:
        # Here it would go into nodes, which take far more.
        return state.kind is not TreeKind.RAW and super().is_full(state, more)

    def lies_over(self, tree: OverlaidTree, changes: Mapping[Any, Value]) -> bool:
        if tree.kind is not TreeKind.RAW:
            return tree.id != CATALOG_TREE_ID and not self.is_full(tree.under, len(changes))
        return (
            len(changes) > FEW_LOADED
            and self.are_few(tree, changes)
            and self.is_within(tree, next(iter(changes)))
        )

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
