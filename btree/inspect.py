"""Looking inside a tree: its levels, the way to a key, a page and whose it is.

Everything is read through a transaction of this process.  Branches are all read, leaves only so many as
are asked for: a level of leaves is then estimated from the ones that were looked at, spread evenly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from btree import codec
from btree.node import InPages, Node
from btree.order import search_left, search_right
from btree.protocols import Key, TreeKind
from btree.tree import Tree

LEAVES_MAX = 200
"""Leaves that `outline` reads of a tree."""


@dataclass(frozen=True, slots=True)
class LevelOutline:
    """All pages at one depth.  `entries` are a leaf's entries or a branch's children."""

    pages: int
    entries: int
    size_bytes: int
    is_leaf: bool


@dataclass(frozen=True, slots=True)
class Outline:
    """A tree's levels from the root down; `is_sampled`: the leaves' bytes are an estimate."""

    levels: tuple[LevelOutline, ...]
    is_sampled: bool


@dataclass(frozen=True, slots=True)
class PageView:
    """A page: its number (0: not written yet), its keys or separators, and below a branch its children.

    `values` of a leaf are None in an INDEX tree; a large value is shown by the number of its own page."""

    page: int
    level: int
    size_bytes: int
    keys: list[Key]
    values: list[Any] | None = None
    children: list[int] | None = None

    @property
    def is_leaf(self) -> bool:
        return self.children is None

    @property
    def entries(self) -> int:
        """A leaf's entries, a branch's children."""
        return len(self.keys) if self.children is None else len(self.children)


@dataclass(frozen=True, slots=True)
class LargePage:
    """Stands for a value that lies in a page of its own."""

    page: int
    size_bytes: int


def outline(tree: Tree) -> Outline:
    """The levels of a tree; at most about `LEAVES_MAX` leaves are read."""
    level = [tree.root]
    levels: list[LevelOutline] = []
    while level[0].level > 1:
        levels.append(_figures(tree, level))
        level = [
            tree.scanned_child(branch, slot) for branch in level for slot in range(_count(branch))
        ]
    if level[0].level == 0:
        levels.append(_figures(tree, level))
        return Outline(tuple(levels), is_sampled=False)
    levels.append(_figures(tree, level))
    total = sum(map(_count, level))
    stride = -(-total // LEAVES_MAX)
    slots = [(branch, slot) for branch in level for slot in range(_count(branch))]
    leaves = [tree.scanned_child(branch, slot) for branch, slot in slots[::stride]]
    sampled = _figures(tree, leaves)
    size_bytes = sampled.size_bytes * total // max(len(leaves), 1)
    levels.append(LevelOutline(total, len(tree), size_bytes, is_leaf=True))
    return Outline(tuple(levels), is_sampled=stride > 1)


def _count(branch: Node) -> int:
    assert branch.children is not None
    return len(branch.children)


def _figures(tree: Tree, nodes: list[Node]) -> LevelOutline:
    is_leaf = nodes[0].children is None
    entries = sum(len(node.keys) if is_leaf else _count(node) for node in nodes)
    return LevelOutline(len(nodes), entries, sum(_size(tree.kind, n) for n in nodes), is_leaf)


def _size(kind: TreeKind, node: Node) -> int:
    """Bytes that the node's page takes, its large values' own pages left out."""
    if node.children is not None:
        return 4 + codec.encoded_size((node.keys, _pages(node)))
    return len(codec.encode_node(kind, node))


def _pages(node: Node) -> list[int]:
    assert node.children is not None and node.pages is not None
    return [
        child.page if isinstance(child, Node) else page
        for child, page in zip(node.children, node.pages, strict=True)
    ]


def view(tree: Tree, node: Node) -> PageView:
    """A node as people look at it."""
    size_bytes = _size(tree.kind, node)
    if node.children is not None:
        return PageView(node.page, node.level, size_bytes, list(node.keys), children=_pages(node))
    values = None if node.values is None else [_shown(value) for value in list(node.values)]
    return PageView(node.page, 0, size_bytes, list(node.keys), values)


def _shown(value: Any) -> Any:
    if isinstance(value, InPages):
        return LargePage(value.pages[0], value.size_bytes)
    return value


def root_view(tree: Tree) -> PageView:
    """The root page."""
    return view(tree, tree.root)


def child_view(tree: Tree, slot: int) -> PageView:
    """Child `slot` of the root."""
    return view(tree, tree.child(tree.root, slot))


def path_to(tree: Tree, key: Key) -> list[tuple[PageView, int]]:
    """The pages from the root to the leaf where `key` is or would be, each with the slot taken."""
    path: list[tuple[PageView, int]] = []
    node = tree.root
    while node.children is not None:
        slot = search_right(node.keys, key)
        path.append((view(tree, node), slot))
        node = tree.child(node, slot)
    path.append((view(tree, node), search_left(node.keys, key)))
    return path


def entry_bytes(key: Key, value: Any) -> int:
    """Bytes of one entry, alone."""
    if isinstance(value, LargePage):
        return codec.encoded_size(key) + value.size_bytes
    return codec.encoded_size(key) + (0 if value is None else codec.encoded_size(value))


def find_page(tree: Tree, page: int) -> PageView | None:
    """The page, if it is one of this tree's.  Reads the branches, not the leaves."""
    if tree.root.page == page:
        return root_view(tree)
    for branch in _branches(tree, tree.root):
        pages = _pages(branch)
        if page in pages:
            return view(tree, tree.child(branch, pages.index(page)))
    return None


def _branches(tree: Tree, node: Node) -> Iterator[Node]:
    if node.children is None:
        return
    yield node
    if node.level > 1:
        for slot in range(len(node.children)):
            yield from _branches(tree, tree.scanned_child(node, slot))
