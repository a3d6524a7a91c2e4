"""One tree as one transaction sees it.

The hot methods (`get`, `put`, `insert`, `delete`) are each one descent with bare attribute access:
whatever is out of the ordinary - a page not in memory, a large value, keys of two kinds, a node of
another owner - raises or is noticed once, and goes to the slow path below.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from btree import added, edit, few_keys, kept_redo, lookups, ranges, raw_pages
from btree import columns as by_column
from btree.long_columns import may_be_long
from btree.node import LongRow, Node, new_leaf
from btree.order import search_left
from btree.packed import look_up
from btree.protocols import Key, RowColumns, TreeKind, Value
from btree.tree_nodes import TreeNodes

if TYPE_CHECKING:
    from btree.hot import HotRows, HotRowsBelow
    from btree.rewrite import Rewrite

DELETED = False
"""Stands in redo for a delete.  Stored on disk, do not change."""


class Tree(TreeNodes):
    """A tree of a transaction; see `protocols.Tree` for what the methods promise."""

    __slots__ = ()

    # -- what it is ------------------------------------------------------------------------------

    @property
    def state(self) -> object:
        return self._mark or self._new_mark()

    def settle(self, *, to_write: bool = False) -> None:
        """Nothing: what a tree with changes laid over it has to do.  A method of such a tree that somebody
        has kept finds that it was done."""

    def nodes(self) -> Tree:
        """Itself, likewise."""
        return self

    def known_nodes(self) -> Tree:
        """Itself, likewise."""
        return self

    @property
    def _is_vast(self) -> bool:
        return False

    @property
    def has_changed(self) -> bool:
        """Whether it is another than when the transaction began."""
        return self._mark is not self._opened

    @property
    def has_long(self) -> bool:
        return self.large != 0

    def has_long_in(self, columns: Iterable[int]) -> bool:
        return self.has_long and may_be_long(self.known_nodes().large, columns)

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

    def hot_rows(self) -> HotRows | HotRowsBelow | None:
        under = self.under
        if self.__class__ is not Tree or not self.root.level or self.state is not under.mark:
            return None
        return self.transaction.hot_rows(under)

    # -- single entries --------------------------------------------------------------------------
    # An entry, the count and the redo are changed without a call between them, behind which Ctrl-C would come.

    def get(self, key: Key, default: Value = None, columns: Container[int] | None = None) -> Value:
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
            return self._get_slowly(key, default, columns)

    def _get_slowly(self, key: Key, default: Value, columns: Container[int] | None) -> Value:
        if key is None:  # NULL in a column of keys: of no entry
            return default
        if self._kind is TreeKind.RAW:
            return raw_pages.look_up(self, self.root, key, default)
        return look_up(self, self.root, key, default, columns)

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

    def get_many(self, keys: Sequence[Key], columns: Collection[int] | None = None) -> list[Value]:
        count = len(keys)
        if count <= lookups.FEW or (count <= lookups.FEW_ROWS and keys[0].__class__ is int):
            return lookups.get_few(self, keys, columns)
        return lookups.get_many(self, keys, columns)

    def put(self, key: Key, value: Value = None) -> None:
        tail = self.tail
        try:
            if tail is not None and key > tail.keys[-1]:
                keys, values = tail.keys, tail.values
                if values is not None:
                    values += (value,)
                keys += (key,)
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
                    if node.values is not None:
                        node.values[slot:slot] = (value,)
                    keys[slot:slot] = (key,)
                    self._count += 1
        except (AttributeError, TypeError, IndexError):
            keys = self._put_slowly(key, value)
        self._mark = None
        redo = self.redo
        if redo is not None:
            redo += key, value
        if len(keys) > self.leaf_limit:
            edit.split(self, key)
        if redo is not None and len(redo) > self.redo_max:
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
            if values is not None:
                values[slot:slot] = (value,)
            keys[slot:slot] = (key,)
            self._count += 1
        return keys

    def change(self, key: Key, row: tuple[Value, ...], columns: Collection[int]) -> None:
        leaf = edit.own_path(self, key)[1]
        keys, values = leaf.keys, leaf.values
        slot = search_left(keys, key)
        stored: Value = None
        if slot < len(keys) and keys[slot] == key:
            assert values is not None
            stored = list.__getitem__(values, slot)
        if not isinstance(stored, LongRow):
            self.put(key, row)
            return
        assert values is not None
        kept = tuple([part for part in stored.parts if part[0] not in columns])
        gone = [page for column, page, _ in stored.parts if column in columns]
        head = list(row)
        for column, _, _ in kept:
            head[column] = None
        made = LongRow(tuple(head), kept) if kept else row
        changed = {column: row[column] for column in columns}
        redo, transaction = self.redo, self.transaction
        transaction.freed += gone
        # All that follows without a call between, behind which Ctrl-C would come.
        if redo is not None:
            redo += key, changed
        leaf.location = 0
        self._mark = None
        list.__setitem__(values, slot, made)
        if redo is not None and len(redo) > self.redo_max:
            kept_redo.weigh(self, redo)

    def insert(self, key: Key, value: Value = None) -> bool:
        tail = self.tail
        try:
            if tail is not None and key > tail.keys[-1]:
                keys, values = tail.keys, tail.values
                if values is not None:
                    values += (value,)
                keys += (key,)
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
                if node.values is not None:
                    node.values[slot:slot] = (value,)
                keys[slot:slot] = (key,)
        except (AttributeError, TypeError, IndexError):
            if key in self:
                return False
            self.put(key, value)
            return True
        self._count += 1
        self._mark = None
        redo = self.redo
        if redo is not None:
            redo += key, value
        if len(keys) > self.leaf_limit:
            edit.split(self, key)
        if redo is not None and len(redo) > self.redo_max:
            kept_redo.weigh(self, redo)
        return True

    def remove(self, key: Key) -> None:
        self.delete(key)

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
        self._mark = None
        redo = self.redo
        if redo is not None:
            redo += key, DELETED
        if len(keys) * 4 < self.leaf_limit:
            edit.rebalance(self, *edit.own_path(self, key))
        if redo is not None and len(redo) > self.redo_max:
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

    def build(self, runs: Iterable[Sequence[Sequence[Value]]]) -> None:
        rewrite = self.rewrite()
        if rewrite is not None and not self._count:
            rewrite.build(runs)
            return
        for run in runs:
            self.load(list(zip(*run, strict=True)))

    def build_rows(self, parts: Iterable[RowColumns]) -> None:
        rewrite = self.rewrite()
        if rewrite is not None:
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

    def rows_prefixed(
        self, prefixes: Sequence[tuple[Any, ...]], columns: Collection[int] | None = None
    ) -> list[list[Value]]:
        return lookups.rows_prefixed(self, prefixes, columns)

    def prefixes_present(self, prefixes: Sequence[tuple[Any, ...]]) -> list[bool]:
        return lookups.prefixes_present(self, prefixes)

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
        self,
        columns: Sequence[int],
        start: int | None = None,
        stop: int | None = None,
        *,
        passing: bool = False,
        stored: bool = False,
    ) -> Iterator[tuple[Sequence[Value], ...]]:
        return by_column.column_batches(self, columns, start, stop, passing=passing, stored=stored)

    def number_batches(self, columns: Sequence[int]) -> Iterator[tuple[Sequence[Value], ...]]:
        return by_column.number_batches(self, columns)

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
