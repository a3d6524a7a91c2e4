"""Ranges of a tree: batches of leaves, counts and estimates between two bounds.

A bound is `(key, after)`: the place just before the first key >= `key`, or, `after`, just before the
first key > `key`.  In trees of tuples, where a proper prefix stands for all its extensions, "after
`key`" becomes "before `key + (MAX,)`".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from btree.node import Node
from btree.order import MAX, less, search_left, search_right
from btree.packed import PackedLeaf, child_to_read
from btree.packed_keys import PackedKeys, slice_of
from btree.protocols import Key, TreeKind, Value

if TYPE_CHECKING:
    from btree.tree import Tree

Bound = tuple[Key, bool] | None
Batch = tuple[list[Key], list[Value]]


def bounds(
    tree: Tree, lo: Key | None, hi: Key | None, lo_inclusive: bool, hi_inclusive: bool
) -> tuple[Bound, Bound]:
    """The two bounds of a range as `Tree.batches` takes it."""
    return (
        None if lo is None else _bound(tree, lo, after=not lo_inclusive),
        None if hi is None else _bound(tree, hi, after=hi_inclusive),
    )


def _bound(tree: Tree, key: Key, *, after: bool) -> Bound:
    if after and tree.kind >= TreeKind.CLUSTERED:
        return (*key, MAX), False
    return key, after


def slot_of(keys: Sequence[Key], bound: Bound) -> int:
    """The first slot of sorted keys behind a bound."""
    assert bound is not None
    key, after = bound
    if keys.__class__ is PackedKeys:  # of an INDEX tree, where `after` is never set
        return keys.slot_of(key)
    return search_right(keys, key) if after else search_left(keys, key)


def batches(tree: Tree, low: Bound, high: Bound, *, reverse: bool) -> Iterator[Batch]:
    """See `Tree.batches`.  A range inside one leaf is copied at once; a longer one freezes the
    writer's nodes (a new token), so that neither disturbs the other."""
    root = tree.root
    if root.children is None or (low is not None and high is not None):
        leaf: Any = root if root.children is None or low is None else tree.leaf(low[0])
        tree.visit(descents=1)
        keys = leaf.keys
        start = 0 if low is None else slot_of(keys, low)
        end = len(keys) if high is None else slot_of(keys, high)
        within = end < len(keys) or root.children is None
        if within or (high is not None and tree.leaf(high[0]) is leaf):
            if start >= end:
                return iter(())
            step = -1 if reverse else 1
            return iter(((keys[start:end][::step], tree.values_of(leaf, start, end)[::step]),))
    tree.transaction.freeze()
    walk = _backward if reverse else _forward
    return walk(tree, root, low, high)


def _forward(tree: Tree, root: Node, low: Bound, high: Bound) -> Iterator[Batch]:
    path: list[tuple[Node, int]] = []
    node: Any = root
    tree.visit(descents=1, pages=-1)  # the loop counts the leaf
    while node.children is not None:
        slot = 0 if low is None else search_right(node.keys, low[0])
        path.append((node, slot))
        node = child_to_read(tree, node, slot)
    start = 0 if low is None else slot_of(node.keys, low)
    while True:
        tree.visit(pages=1)
        keys = node.keys
        end = len(keys)
        if high is not None and end and not less(keys[-1], high[0]):
            end = slot_of(keys, high)
        if start < end:
            whole = start == 0 and end == len(keys)
            yield (keys if whole else slice_of(keys, start, end)), tree.values_of(node, start, end)
        if end < len(keys):
            return
        start = 0
        while path and path[-1][1] + 1 == len(path[-1][0].children or ()):
            path.pop()
        if not path:
            return
        node, slot = path.pop()
        path.append((node, slot + 1))
        node = _next(tree, node, slot + 1)
        while node.children is not None:
            path.append((node, 0))
            node = _next(tree, node, 0)


def _next(tree: Tree, branch: Node, slot: int) -> Node | PackedLeaf:
    """Child `slot` of a branch, where a scan goes on."""
    assert branch.children is not None
    child: Any = branch.children[slot]
    if child.__class__ is PackedLeaf and tree.kind is TreeKind.INDEX:
        return child
    return tree.scanned_child(branch, slot)


def _backward(tree: Tree, root: Node, low: Bound, high: Bound) -> Iterator[Batch]:
    path: list[tuple[Node, int]] = []
    node: Any = root
    tree.visit(descents=1, pages=-1)  # the loop counts the leaf
    while node.children is not None:
        slot = len(node.keys) if high is None else search_right(node.keys, high[0])
        path.append((node, slot))
        node = child_to_read(tree, node, slot)
    end = len(node.keys) if high is None else slot_of(node.keys, high)
    while True:
        tree.visit(pages=1)
        keys = node.keys
        start = 0
        if low is not None and end and less(keys[0], low[0]) | (keys[0] == low[0]):
            start = slot_of(keys, low)
        if start < end:
            values = tree.values_of(node, start, end)
            yield slice_of(keys, start, end, reverse=True), values[::-1]
        if start > 0:
            return
        while path and path[-1][1] == 0:
            path.pop()
        if not path:
            return
        node, slot = path.pop()
        path.append((node, slot - 1))
        node = _next(tree, node, slot - 1)
        while node.children is not None:
            path.append((node, len(node.keys)))
            node = _next(tree, node, len(node.keys))
        end = len(node.keys)


def count(tree: Tree, low: Bound, high: Bound) -> int:
    """Entries in the range, by reading its leaves."""
    return sum([len(keys) for keys, _ in batches(tree, low, high, reverse=False)])


def estimate(tree: Tree, low: Bound, high: Bound) -> int:
    """About how many entries are in the range: from the places of its ends in the branches, exact
    when both are in one leaf."""
    tree.visit(descents=2)
    low_leaf, low_slot, low_place = _place(tree, low, default=0.0)
    high_leaf, high_slot, high_place = _place(tree, high, default=1.0)
    if low_leaf is not None and low_leaf is high_leaf:
        return max(high_slot - low_slot, 0)
    return max(round((high_place - low_place) * len(tree)), 0)


def _place(
    tree: Tree, bound: Bound, *, default: float
) -> tuple[Node | PackedLeaf | None, int, float]:
    """The leaf and slot of a bound, and what share of the tree is about below it."""
    if bound is None:
        return None, 0, default
    node: Any = tree.root
    place, share = 0.0, 1.0
    while node.children is not None:
        slot = search_right(node.keys, bound[0])
        share /= len(node.children)
        place += slot * share
        node = child_to_read(tree, node, slot)
    slot = slot_of(node.keys, bound)
    return node, slot, place + share * slot / max(len(node.keys), 1)
