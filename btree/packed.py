"""Leaves for look-ups alone: a page's columns as they lie in the file, and no objects made of them.

A row of five columns takes some 330 bytes as a tuple of objects and 33 in its page.  A table much larger than
the cache would be decoded again at nearly every look-up, 200 rows for the sake of one.  So a look-up that
meets a TABLE leaf that is not in memory keeps what its page says, row by row (`packed_rows`), and makes the one row
of it: 0.6 us where reading and decoding the leaf takes 50, and a million rows fit into 40 MB.  A leaf that is
looked at again and again is decoded after all, if there is room.  An INDEX leaf stays packed: so it is quicker to search, too
(`packed_keys`).

A `PackedLeaf` is an int, the location of its page, and stands where a leaf that is not in memory has its
location.  So whoever knows nothing of it takes the leaf for one that is not in memory, and is right.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Container, Sequence
from typing import TYPE_CHECKING, Any

from btree.node import Node
from btree.order import search_left, search_right
from btree.packed_keys import PackedKeys
from btree.packed_rows import PackedRows
from btree.page_rows import PageRows
from btree.protocols import TreeKind, Value

if TYPE_CHECKING:
    from btree.backend import Backend
    from btree.tree import Tree
    from btree.tree_nodes import TreeNodes

_OWN_BYTES = 500
"""What a packed leaf takes beside the bytes of what it holds."""


class PackedLeaf(int):
    """A leaf of a TABLE or an INDEX tree, of which look-ups use as much as there is.  Callers that want more take the
    slow path, as for an int: a writer by the lack of an `owner`, a scan by the class."""

    children = None
    level = 0
    keys: Any  # of a TABLE tree a sequence of ints, else `PackedKeys`
    values: PackedRows | None
    bytes: int  # about what it takes in memory

    def turn(self) -> int:
        """Have the rows side by side; how many bytes more it takes."""
        rows = self.values
        if rows.__class__ is PageRows:  # else another thread has done it
            turned = rows.turned()
            grown = turned.bytes - rows.bytes
            self.bytes += grown
            self.values = turned
            return grown
        return 0


def packed_leaf(location: int, keys: Sequence[Any], rows: PackedRows) -> PackedLeaf:
    """The leaf of a page of rows with at least one."""
    leaf = PackedLeaf(location)
    leaf.keys = keys
    leaf.values = rows
    key_bytes = keys.bytes() if isinstance(keys, PackedKeys) else sys.getsizeof(keys)
    leaf.bytes = rows.bytes + key_bytes + _OWN_BYTES
    return leaf


def packed_index_leaf(location: int, columns: list[Sequence[Value]], page_bytes: int) -> PackedLeaf:
    """The leaf of an INDEX tree's page with at least one entry."""
    leaf = PackedLeaf(location)
    leaf.keys = PackedKeys(columns)
    leaf.values = None
    leaf.bytes = page_bytes + _OWN_BYTES + leaf.keys.bytes_of_objects()
    return leaf


def child_to_read(tree: TreeNodes, branch: Node, slot: int) -> Node | PackedLeaf:
    """Child `slot` of a branch, for a caller that does not change it: an INDEX leaf that is not in memory packed."""
    assert branch.children is not None
    child: Any = branch.children[slot]
    if child.__class__ is Node:
        return child
    if branch.level == 1 and tree.kind is TreeKind.INDEX:
        if child.__class__ is PackedLeaf:
            return child
        return tree.transaction.load_packed(tree, branch, slot)
    return tree.loaded(branch, slot)


def packed_child(tree: Tree, branch: Node, slot: int) -> Node | PackedLeaf:
    """Child `slot` of a branch, for a few look-ups: a leaf that is not in memory packed."""
    if branch.level == 1 and tree.kind in (TreeKind.TABLE, TreeKind.INDEX):
        return tree.transaction.load_packed(tree, branch, slot)
    return child_to_read(tree, branch, slot)


def leaf_to_look_at(transaction: Backend, tree: Any, node: Node, key: Any) -> Node | PackedLeaf:
    """The leaf below a node of a tree, or of its state, where `key` is or would be; one that is not in memory packed,
    if that can be."""
    while node.children is not None:
        slot = search_right(node.keys, key)
        child = node.children[slot]
        if isinstance(child, int):
            if node.level == 1:
                return transaction.load_packed(tree, node, slot)
            child = transaction.load(tree, node, slot)
        node = child
    return node


def found_at(
    transaction: Backend, tree: Any, node: Node, key: Any
) -> tuple[Node | PackedLeaf, int]:
    """The leaf below a node of a tree, or of its state, where `key` is or would be, and its slot there; -1 if it is
    absent.  A page may have to be read."""
    leaf = leaf_to_look_at(transaction, tree, node, key)
    keys = leaf.keys
    slot = keys.slot_of(key) if keys.__class__ is PackedKeys else search_left(keys, key)
    return leaf, slot if slot < len(keys) and keys[slot] == key else -1


def look_up(
    tree: Tree, node: Node, key: Any, default: Value, columns: Container[int] | None = None
) -> Value:
    """The value at `key` below a node, for which a page may have to be read; `columns`: see `TreeNodes.value`."""
    leaf, slot = found_at(tree.transaction, tree, node, key)
    if slot < 0:
        return default
    if leaf.values is None:
        return True
    return (
        leaf.values.row(slot) if isinstance(leaf, PackedLeaf) else tree.value(leaf, slot, columns)
    )


def look_up_part(tree: Tree, node: Node, key: Any, columns: Collection[int]) -> Value:
    """The row at `key` below a node, with NULLs in other columns than these where that saves something; None if there is none."""
    leaf, slot = found_at(tree.transaction, tree, node, key)
    if slot < 0:
        return None
    if isinstance(leaf, PackedLeaf):
        assert leaf.values is not None
        return leaf.values.row(slot, columns)
    return tree.value(leaf, slot, columns)
