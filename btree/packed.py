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
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from btree.node import Node
from btree.order import search_right
from btree.packed_keys import PackedKeys
from btree.packed_rows import PackedRows
from btree.protocols import TreeKind, Value

if TYPE_CHECKING:
    from btree.tree import Tree

_OWN_BYTES = 500
"""What a packed leaf takes beside the bytes of what it holds."""


class PackedLeaf(int):
    """A leaf of a TABLE or an INDEX tree, of which look-ups use as much as there is.  Who wants more takes the
    slow path, as for an int: a writer by the lack of an `owner`, a scan by the class."""

    children = None
    level = 0
    keys: Any  # of a TABLE tree a sequence of ints, of an INDEX tree `PackedKeys`
    values: PackedRows | None
    bytes: int  # about what it takes in memory


def packed_leaf(location: int, keys: Sequence[int], rows: PackedRows) -> PackedLeaf:
    """The leaf of a page with at least one entry."""
    leaf = PackedLeaf(location)
    leaf.keys = keys
    leaf.values = rows
    leaf.bytes = rows.bytes + sys.getsizeof(keys) + _OWN_BYTES
    return leaf


def packed_index_leaf(location: int, columns: list[Sequence[Value]], page_bytes: int) -> PackedLeaf:
    """The leaf of an INDEX tree's page with at least one entry."""
    leaf = PackedLeaf(location)
    leaf.keys = PackedKeys(columns)
    leaf.values = None
    leaf.bytes = page_bytes + _OWN_BYTES + leaf.keys.bytes_of_objects()
    return leaf


def child_to_read(tree: Tree, branch: Node, slot: int) -> Node | PackedLeaf:
    """Child `slot` of a branch, for who does not change it: an INDEX leaf that is not in memory packed."""
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


def leaf_to_look_at(tree: Tree, key: Any) -> Node | PackedLeaf:
    """The leaf where `key` is or would be; one that is not in memory packed, if that can be."""
    node = tree.root
    while node.children is not None:
        slot = search_right(node.keys, key)
        child = node.children[slot]
        if isinstance(child, int):
            if node.level == 1 and key.__class__ is int:
                return tree.transaction.load_packed(tree, node, slot)
            child = child_to_read(tree, node, slot)
        node = child
    return node
