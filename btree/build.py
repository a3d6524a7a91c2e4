"""An index made of sorted runs of entries: leaves are encoded and written as they fill up.

What was sorted last is in the processor's cache when it is encoded, and nothing of it stays in memory but where
the page lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from btree.codec import encode_node
from btree.edit import cut_branch, plant
from btree.flush import OVERFULL
from btree.node import new_branch, new_leaf
from btree.order import separator
from btree.protocols import Key, TreeKind

if TYPE_CHECKING:
    from btree.disk_transaction import DiskTransaction
    from btree.tree import Tree

IN_MEMORY = 1 << 15
"""Entries of an index up to which its leaves are built in memory, and stay there."""

_LEAVES_AT_ONCE = 64


def build(tree: Tree, transaction: DiskTransaction, runs: Iterable[Sequence[Key]]) -> None:
    """Put runs of keys, each above those before it, into an empty INDEX tree."""
    left, first = iter(runs), list[Key]()
    for run in left:
        first += run
        if len(first) > IN_MEMORY:
            break
    if len(first) <= IN_MEMORY:
        tree.load(first)
        return
    leaves = _Leaves(tree, transaction)
    for run in chain((first,), left):
        leaves.add(run)
    leaves.plant()


class _Leaves:
    """The leaves of one tree."""

    def __init__(self, tree: Tree, transaction: DiskTransaction) -> None:
        tree.check_writable()
        transaction.give_up_redo()
        self._tree = tree
        self._transaction = transaction
        self._bytes_max = transaction.store.page_bytes * OVERFULL
        self._entries: list[Key] = []  # of the next leaf
        self._count = 0
        self._payloads: list[bytes] = []  # to be written
        self._last: Key = ()
        # Of all leaves.
        self._separators: list[Key] = []
        self._pages: list[int] = []
        self._locations: list[int] = []

    def add(self, run: Sequence[Key]) -> None:
        """Go on with a run of entries."""
        tree = self._tree
        tree.measure(new_leaf(list(run), None, None))
        self._count += len(run)
        entries, limit, start = [*self._entries, *run], tree.leaf_limit, 0
        while len(entries) - start > limit:
            self._leaf(entries[start : start + limit])
            start += limit
        self._entries = entries[start:]

    def _leaf(self, entries: list[Key]) -> None:
        payload = encode_node(TreeKind.INDEX, new_leaf(entries, None, None))
        half = len(entries) // 2
        if len(payload) > self._bytes_max and half:
            self._leaf(entries[:half])
            self._leaf(entries[half:])
            return
        if self._last:
            self._separators.append(separator(self._last, entries[0]))
        self._last = entries[-1]
        self._payloads.append(payload)
        if len(self._payloads) == _LEAVES_AT_ONCE:
            self._write()

    def _write(self) -> None:
        pages, locations = self._transaction.put_new_pages(self._payloads)
        self._payloads = []
        self._pages += pages
        self._locations += locations

    def plant(self) -> None:
        """Make them the tree."""
        tree = self._tree
        if self._entries:
            self._leaf(self._entries)
        if self._payloads:
            self._write()
        above = new_branch(
            self._separators, list(self._locations), self._pages, level=1, owner=tree.token
        )
        tree.free(tree.root.page)
        plant(tree, cut_branch(above, tree.branch_limit, full=True), full=True)
        tree.note_rewritten(-self._count)
