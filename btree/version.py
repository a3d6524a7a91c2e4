"""A version: everything that one commit made visible, for every tree its root and its counts."""

from __future__ import annotations

from typing import Any

from btree.tree_state import TreeState

_new = object.__new__


class Version:
    """The trees as one commit left them.  Immutable, but for roots that are loaded or evicted, and for
    states that others of the same content take the place of.

    `shape`: the same object in two versions means the same catalog and the same kinds of value."""

    __slots__ = ("base_lsn", "cleared", "freed", "lsn", "next_tree_id", "shape", "trees")

    def __init__(
        self,
        lsn: int,
        trees: dict[int, TreeState],
        next_tree_id: int,
        freed: tuple[int, ...] = (),
        cleared: tuple[tuple[Any, ...], ...] = (),
        base_lsn: int = 0,
        shape: object = None,
    ) -> None:
        self.lsn = lsn
        self.shape = shape or object()
        self.base_lsn = base_lsn  # the newest pages commit in it
        self.trees = trees
        self.next_tree_id = next_tree_id
        self.freed = freed  # pages that the next pages commit gives back
        self.cleared = cleared  # (root, whether it has large values, kind): trees likewise

    @property
    def moment(self) -> Version:
        """See `protocols.Store.is_newest`; of a store in memory, to which a version is the view."""
        return self

    def later(self, lsn: int, trees: dict[int, TreeState], shape: object) -> Version:
        """The same as of a later commit, which is nothing but changes that lie over the trees.

        Most commits make one, so it is not made by the constructor, which takes twice as long."""
        made = _new(Version)
        made.lsn = lsn
        made.trees = trees
        made.shape = shape
        made.base_lsn = self.base_lsn
        made.next_tree_id = self.next_tree_id
        made.freed = self.freed
        made.cleared = self.cleared
        return made
