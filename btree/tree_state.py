"""A tree in one committed version: what a version of the store knows of each of its trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from btree.protocols import Key, TreeKind

if TYPE_CHECKING:
    from btree.added import Added
    from btree.changed_keys import ByPrefix

PENDING_MIN = 1024
PENDING_MAX = 1 << 15
PENDING_SHARE = 16
"""Committed changes that wait over the nodes: for so many entries of the tree one, within bounds."""


class Mark:
    """An opaque token: the same object means the same content."""

    __slots__ = ()


class TreeState:
    """A tree in one committed version, or in several that differ in how much of `pending` they see.
    `root` is a Node, or an int as a branch's child is."""

    __slots__ = (
        "added",
        "count",
        "counted",
        "freed",
        "id",
        "kind",
        "kinds",
        "large",
        "leaf_limit",
        "mark",
        "nodes_top",
        "pending",
        "pending_bytes",
        "pending_count",
        "pending_lsn",
        "pending_max",
        "pending_met",
        "pending_order",
        "pending_prefixes",
        "pending_top",
        "root",
        "root_page",
    )

    def __init__(
        self,
        tree_id: int,
        kind: TreeKind,
        root: Any,
        *,
        root_page: int = 0,
        count: int = 0,
        kinds: tuple[int, ...] = (),
        large: int = 0,
        leaf_limit: int,
        mark: Mark,
        freed: tuple[int, ...] = (),
        added: Added | None = None,
    ) -> None:
        self.id = tree_id
        self.kind = kind
        self.root = root
        self.root_page = root_page
        self.count = count
        self.kinds = kinds
        self.large = large  # not 0 if any value ever went to a page of its own; of rows, the bits of their columns
        self.leaf_limit = leaf_limit
        self.mark = mark
        self.added = added  # columns that pages may lack
        self.freed = freed  # pages that went as `pending` was merged, to be given back
        # A commit, and the entries as of it; how many changes there were then, or before, and of how many keys.
        self.counted = -1, count, (0, 0)
        self.pending: dict[Key, Any] = {}  # changes laid over the nodes, see `overlay`
        self.pending_max = min(max(count // PENDING_SHARE, PENDING_MIN), PENDING_MAX)
        self.pending_count = 0  # of them, those over which others lie included
        self.pending_lsn = -1  # of the newest of them
        self.pending_bytes = 0  # of the raw tree: of their redo
        self.pending_order: tuple[list[Key], list[Key]] = [], []  # the keys, see `waiting`
        # The same by how they begin: in how many parts, and so.
        self.pending_prefixes: dict[int, ByPrefix] = {}
        self.pending_met = 0  # how often one of them was met in a range
        self.nodes_top: int | None = (
            None  # the largest row id in the nodes, once somebody has asked
        )
        self.pending_top: int | None = None  # the largest row id that was ever among them
