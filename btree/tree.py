"""One tree as one transaction sees it.

The hot methods (`get`, `put`, `insert`, `delete`) are each one descent with bare attribute access:
whatever is out of the ordinary - a page not in memory, a large value, keys of two kinds, a node of
another owner - raises or is noticed once, and goes to the slow path below.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from btree import added, edit, few_keys, kept_redo, lookups, ranges, raw_pages
from btree import columns as by_column
from btree.errors import ReadOnlyError
from btree.node import LargeReference, LargeValues, Node, copied, new_leaf
from btree.order import search_left, search_right
from btree.packed import child_to_read, look_up
from btree.protocols import Key, RowColumns, TreeKind, Value
from btree.tree_state import Mark, TreeState

if TYPE_CHECKING:
    from btree.hot import HotRows
    from btree.rewrite import Rewrite
    from btree.transaction import LocalTransaction

DELETED = False
"""Stands in redo for a delete.  Stored on disk, do not change."""


class Tree:
    """A tree of a transaction; see `protocols.Tree` for what the methods promise."""

    __slots__ = (
        "_count",
        "_id",
        "_kind",
        "_kinds",
        "_mark",
        "_opened",
        "_pages",
        "added",
        "base",
        "below",
        "branch_limit",
        "descents",
        "entries",
        "freed",
        "large",
        "leaf_limit",
        "lsn",
        "own",
        "own_max",
        "own_order",
        "redo",
        "redo_max",
        "root",
        "tail",
        "token",
        "top",
        "transaction",
        "under",
    )

    # Of changes that lie over the nodes; see `overlay`.
    under: TreeState
    base: Node
    below: Tree | None
    own: dict[Key, Value]
    own_max: int
    own_order: list[Key] | None  # see `overlay.own_keys`
    entries: dict[Key, Any]
    lsn: int
    top: int | None

    def __init__(self, transaction: LocalTransaction, state: TreeState, root: Node) -> None:
        self.transaction = transaction
        self.under = state
        self._id = state.id
        self.descents = self._pages = 0
        self.begin(state, root)

    def begin(self, state: TreeState, root: Node) -> None:
        """Be what `state` is, with nothing changed yet."""
        transaction = self.transaction
        self.token = transaction.token
        self.branch_limit = transaction.branch_limit
        self.redo: list[Any] | None = transaction.new_redo()
        self.redo_max = kept_redo.REDO_ENTRIES_MAX  # its length at which it is weighed again
        self._kind = state.kind
        self._opened = state.mark
        self.restore(state, root)

    def restore(self, state: TreeState, root: Node) -> None:
        """Go (back) to `state`."""
        self.root = root
        self.tail: Node | None = None  # the rightmost leaf, owned, after an append
        self.leaf_limit = state.leaf_limit
        self.large = state.large
        self.freed = state.freed
        self.added = state.added
        self._count = state.count
        self._kinds = state.kinds
        self._mark: Mark | None = state.mark

    # -- what it is ------------------------------------------------------------------------------

    @property
    def id(self) -> int:
        return self._id

    @property
    def kind(self) -> TreeKind:
        return self._kind

    @property
    def state(self) -> object:
        return self._mark or self._new_mark()

    def settle(self, *, to_write: bool = False) -> None:
        """Nothing: what a tree with changes laid over it has to do.  A method of such a tree that somebody
        has kept finds that it was done."""

    def more_changes(self) -> None:
        """Nothing, likewise."""

    def nodes(self) -> Tree:
        """Itself, likewise."""
        return self

    @property
    def _is_vast(self) -> bool:
        return False

    @property
    def has_changed(self) -> bool:
        """Whether it is another than when the transaction began."""
        return self._mark is not self._opened

    def _new_mark(self) -> Mark:
        self._mark = Mark()
        return self._mark

    @property
    def kinds(self) -> tuple[int, ...]:
        return self._kinds

    def widen(self, kinds: Sequence[int]) -> None:
        old = self._kinds
        new = tuple([have | more for have, more in zip_longest(old, kinds, fillvalue=0)])
        if new != old:
            self.check_writable()
            self._kinds = new
            self._mark = None
            self.transaction.note_widening(self._id, new)

    lengthen = added.lengthen
    drop_column = added.drop_column

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return True  # an empty tree is a tree

    @property
    def pages_read(self) -> int:
        """Nodes visited through this tree so far."""
        return self.descents * self.depth() + self._pages

    def depth(self) -> int:
        """Levels, 1 for a tree that is one leaf."""
        return self.root.level + 1

    def hot_rows(self) -> HotRows | None:
        if self.__class__ is not Tree or not self.root.level:
            return None
        return self.transaction.hot_rows(self)

    # -- single entries --------------------------------------------------------------------------

    def get(self, key: Key, default: Value = None) -> Value:
        self.descents += 1
        try:
            node = self.root
            children = node.children
            while children is not None:
                node = children[bisect_right(node.keys, key)]
                children = node.children
            keys = node.keys
            # A rowid is where its distance from the leaf's first says, if none between is missing: two
            # looks at the leaf instead of a bisection's seven, each of which is likely to miss the cache.
            slot = key - keys[0] if key.__class__ is int else -1
            if not 0 <= slot < len(keys) or keys[slot] != key:
                slot = bisect_left(keys, key)
            if keys[slot] == key:
                values = node.values
                return True if values is None else values[slot]
            return default
        except IndexError:  # beyond the last key
            return default
        except (AttributeError, TypeError):
            return self._get_slowly(key, default)

    def _get_slowly(self, key: Key, default: Value) -> Value:
        if key is None:  # NULL in a column of keys: of no entry
            return default
        if self._kind is TreeKind.RAW:
            return raw_pages.look_up(self, self.root, key, default)
        return look_up(self, self.root, key, default)

    def __contains__(self, key: Key) -> bool:
        self.descents += 1
        keys = self.leaf(key).keys
        try:
            return bool(keys[bisect_left(keys, key)] == key)
        except IndexError:  # beyond the last key
            return False
        except TypeError:  # keys of several kinds
            slot = search_left(keys, key)
            return slot < len(keys) and bool(keys[slot] == key)

    def get_many(self, keys: Sequence[Key]) -> list[Value]:
        count = len(keys)
        if count <= lookups.FEW or (count <= lookups.FEW_ROWS and keys[0].__class__ is int):
            return lookups.get_few(self, keys)
        return lookups.get_many(self, keys)

    def put(self, key: Key, value: Value = None) -> None:
        tail = self.tail
        try:
            if tail is not None and key > tail.keys[-1]:
                keys = tail.keys
                keys.append(key)
                if tail.values is not None:
                    tail.values.append(value)
                self._count += 1
            else:
                node = self.root
                children = node.children
                while children is not None:
                    node = children[bisect_right(node.keys, key)]
                    children = node.children
                if node.owner is not self.token:
                    node = edit.own_path(self, key)[1]
                keys = node.keys
                slot = bisect_left(keys, key)
                if slot < len(keys) and keys[slot] == key:
                    if node.values is not None:
                        node.values[slot] = value
                    keys[slot] = key
                else:
                    keys.insert(slot, key)
                    if node.values is not None:
                        node.values.insert(slot, value)
                    self._count += 1
        except (AttributeError, TypeError, IndexError):
            keys = self._put_slowly(key, value)
        if len(keys) > self.leaf_limit:
            edit.split(self, key)
        self._mark = None
        redo = self.redo
        if redo is not None:
            redo.append(key)
            redo.append(value)
            if len(redo) > self.redo_max:
                kept_redo.weigh(self, redo)

    def _put_slowly(self, key: Key, value: Value) -> list[Key]:
        leaf = edit.own_path(self, key)[1]
        leaf.location = 0
        keys, values = leaf.keys, leaf.values
        slot = search_left(keys, key)
        if slot < len(keys) and keys[slot] == key:
            if values is not None:
                self._forget_large(values, slot)
                list.__setitem__(values, slot, value)
            keys[slot] = key
        else:
            keys.insert(slot, key)
            if values is not None:
                values.insert(slot, value)
            self._count += 1
        return keys

    def insert(self, key: Key, value: Value = None) -> bool:
        tail = self.tail
        try:
            if tail is not None and key > tail.keys[-1]:
                keys = tail.keys
                keys.append(key)
                if tail.values is not None:
                    tail.values.append(value)
            else:
                node = self.root
                children = node.children
                while children is not None:
                    node = children[bisect_right(node.keys, key)]
                    children = node.children
                keys = node.keys
                slot = bisect_left(keys, key)
                if slot < len(keys) and keys[slot] == key:
                    return False
                if node.owner is not self.token:
                    node = edit.own_path(self, key)[1]
                    keys = node.keys
                    slot = bisect_left(keys, key)
                keys.insert(slot, key)
                if node.values is not None:
                    node.values.insert(slot, value)
        except (AttributeError, TypeError, IndexError):
            if key in self:
                return False
            self.put(key, value)
            return True
        self._count += 1
        if len(keys) > self.leaf_limit:
            edit.split(self, key)
        self._mark = None
        redo = self.redo
        if redo is not None:
            redo.append(key)
            redo.append(value)
            if len(redo) > self.redo_max:
                kept_redo.weigh(self, redo)
        return True

    def delete(self, key: Key) -> bool:
        try:
            node = self.root
            children = node.children
            while children is not None:
                node = children[bisect_right(node.keys, key)]
                children = node.children
            keys = node.keys
            slot = bisect_left(keys, key)
            if slot == len(keys) or keys[slot] != key:
                return False
            if node.owner is not self.token:
                node = edit.own_path(self, key)[1]
                keys = node.keys
                slot = bisect_left(keys, key)
            if node.values is not None:
                del node.values[slot]
            del keys[slot]
        except (AttributeError, TypeError):
            if key not in self:
                return False
            node = self._delete_slowly(key)
            keys = node.keys
        self._count -= 1
        if len(keys) * 4 < self.leaf_limit:
            edit.rebalance(self, *edit.own_path(self, key))
        self._mark = None
        redo = self.redo
        if redo is not None:
            redo.append(key)
            redo.append(DELETED)
            if len(redo) > self.redo_max:
                kept_redo.weigh(self, redo)
        return True

    def _delete_slowly(self, key: Key) -> Node:
        leaf = edit.own_path(self, key)[1]
        leaf.location = 0
        slot = search_left(leaf.keys, key)
        if leaf.values is not None:
            self._forget_large(leaf.values, slot)
            list.__delitem__(leaf.values, slot)
        del leaf.keys[slot]
        return leaf

    # -- many entries ----------------------------------------------------------------------------

    def load(self, keys: Sequence[Key], values: Sequence[Value] | None = None) -> None:
        if not keys:
            return
        self.check_writable()
        self._mark = None
        if len(keys) <= edit.SHORT_RUN:
            for slot, key in enumerate(keys):
                self.put(key, None if values is None else values[slot])
            return
        added, leaves = edit.load(self, keys, values)
        self._count += added
        if self.redo is not None:
            kept_redo.record(self, keys, values, leaves)

    def build(self, runs: Iterable[Sequence[Key]]) -> None:
        rewrite = self.rewrite()
        if rewrite is not None and not self._count:
            rewrite.build(runs)
            return
        for run in runs:
            self.load(run)

    def build_rows(self, parts: Iterable[RowColumns]) -> None:
        rewrite = self.rewrite()
        if rewrite is not None and not self._count:
            rewrite.build_rows(parts)
            return
        for keys, columns in parts:
            self.load(keys, list(zip(*columns, strict=True)))

    def delete_many(self, keys: Sequence[Key]) -> int:
        if len(keys) <= edit.SHORT_RUN:
            return sum([self.delete(key) for key in keys])
        self.check_writable()
        self._mark = None
        removed, leaves = edit.delete_many(self, keys)
        self._count -= removed
        if self.redo is not None:
            kept_redo.record(self, keys, [DELETED] * len(keys), leaves)
        return removed

    def rewrite(self) -> Rewrite | None:
        return self.transaction.rewrite(self)

    def note_rewritten(self, removed: int) -> None:
        """Note that pages were written anew, with so many entries less."""
        self._count -= removed
        self._mark = None
        self.tail = None

    def clear(self) -> None:
        self.check_writable()
        self.transaction.note_clear(self)
        self.root = new_leaf([], self.no_values(), self.token)
        self.added = None
        self.tail = None
        self._count = 0
        self._mark = None

    # -- ranges ----------------------------------------------------------------------------------

    prefixed = few_keys.prefixed
    last_parts = few_keys.last_parts
    following = few_keys.following
    preceding = few_keys.preceding
    between = few_keys.between
    few_rows = few_keys.few_rows
    first = few_keys.first
    last = few_keys.last

    def prefixed_many(self, prefixes: Sequence[tuple[Any, ...]]) -> list[list[Key]]:
        return lookups.prefixed_many(self, prefixes)

    def batches(
        self,
        lo: Key | None = None,
        hi: Key | None = None,
        *,
        lo_inclusive: bool = True,
        hi_inclusive: bool = False,
        reverse: bool = False,
    ) -> Iterator[tuple[list[Key], list[Value]]]:
        low, high = ranges.bounds(self, lo, hi, lo_inclusive, hi_inclusive)
        return ranges.batches(self, low, high, reverse=reverse)

    def column_batches(
        self, columns: Sequence[int], start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[list[Value], ...]]:
        return by_column.column_batches(self, columns, start, stop)

    def count(
        self,
        lo: Key | None = None,
        hi: Key | None = None,
        *,
        lo_inclusive: bool = True,
        hi_inclusive: bool = False,
    ) -> int:
        if lo is None and hi is None:
            return self._count
        low, high = ranges.bounds(self, lo, hi, lo_inclusive, hi_inclusive)
        return ranges.count(self, low, high)

    def estimate(
        self,
        lo: Key | None = None,
        hi: Key | None = None,
        *,
        lo_inclusive: bool = True,
        hi_inclusive: bool = False,
    ) -> int:
        if lo is None and hi is None:
            return self._count
        low, high = ranges.bounds(self, lo, hi, lo_inclusive, hi_inclusive)
        return ranges.estimate(self, low, high)

    # -- for this package: nodes ------------------------------------------------------------------

    def visit(self, *, descents: int = 0, pages: int = 0) -> None:
        """Count nodes visited: from the root to a leaf, and single ones."""
        self.descents += descents
        self._pages += pages

    def leaf(self, key: Key) -> Any:
        """The leaf where `key` is or would be, to be read; loads what is not in memory."""
        node: Any = self.root
        try:
            children = node.children
            while children is not None:
                node = children[bisect_right(node.keys, key)]
                children = node.children
            if node.__class__ is Node or self._kind is TreeKind.INDEX:
                return node
        except (AttributeError, TypeError):  # a node to be loaded, or keys of several kinds
            pass
        node = self.root
        while node.children is not None:
            node = child_to_read(self, node, search_right(node.keys, key))
        return node

    def child(self, branch: Node, slot: int) -> Node:
        """Child `slot` of a branch, loaded if need be."""
        assert branch.children is not None
        child: Node | int = branch.children[slot]
        return self.loaded(branch, slot) if isinstance(child, int) else child

    def loaded(self, branch: Node, slot: int) -> Node:
        """Child `slot` that is not in memory, read from its page."""
        return self.transaction.load(self, branch, slot)

    def scanned_child(self, branch: Node, slot: int) -> Node:
        """Child `slot` for a scan, which keeps what it loads only while the cache has room."""
        assert branch.children is not None
        child: Node | int = branch.children[slot]
        if isinstance(child, int):
            return self.transaction.load(self, branch, slot, scan=True)
        return child

    def value(self, leaf: Node, slot: int) -> Value:
        """The value in a slot of a leaf with values, read from its own page if it is large."""
        assert leaf.values is not None
        value = list.__getitem__(leaf.values, slot)
        if value.__class__ is LargeReference:
            return self.transaction.load_large(self, value)
        return value

    def values_of(self, leaf: Node, start: int, end: int) -> list[Value]:
        """A slice of a leaf's values with the large ones read; [] in an INDEX tree."""
        values = leaf.values
        if values is None:
            return []
        if values.__class__ is list:
            return values if end - start == len(values) else values[start:end]
        return [self.value(leaf, slot) for slot in range(start, end)]

    def owned_root(self) -> Node:
        """The root, made the writer's own."""
        root = self.root
        if root.owner is not self.token:
            self.check_writable()
            root = self.root = copied(root, self.token)
        return root

    def check_writable(self) -> None:
        """Raise ReadOnlyError in a read transaction or after the end of one."""
        if not self.transaction.writable:
            raise ReadOnlyError(
                "this transaction is read-only"
                if self.transaction.active
                else "the transaction has ended"
            )

    def no_values(self) -> list[Value] | None:
        """The values of an empty leaf."""
        return None if self._kind is TreeKind.INDEX else []

    def free(self, page: int) -> None:
        """Note that a page is no longer part of the tree."""
        if page:
            self.transaction.freed.append(page)

    def free_large(self, values: Sequence[Value]) -> None:
        """Free the pages of those `values` that are large."""
        for value in values:
            if value.__class__ is LargeReference:
                self.free(value.page)

    def _forget_large(self, values: list[Value], slot: int) -> None:
        if values.__class__ is LargeValues:
            self.free_large([list.__getitem__(values, slot)])

    def measure(self, leaf: Node) -> None:
        """Adapt the limit of a leaf's entries to the size of `leaf`'s."""
        self.transaction.measure(self, leaf)

    def snapshot_state(self) -> TreeState:
        """What a version or a savepoint keeps of this tree."""
        return TreeState(
            self._id,
            self._kind,
            self.root,
            root_page=self.root.page,
            count=self._count,
            kinds=self._kinds,
            large=self.large,
            leaf_limit=self.leaf_limit,
            mark=self._mark or self._new_mark(),
            freed=self.freed,
            added=self.added,
        )
