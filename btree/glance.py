"""One row as of the newest commit, for who has a transaction on an older one.

A program that changes a row and then reads one would have its reader follow each of its commits: a snapshot of the file, a view
of it, trees that are told.  To look at one row takes none of these where all is in memory: the version that the commit has
made is known by its number, its nodes never change, and the changes that lie over them say of which commit they are.  What is
not at hand, such as a row in a page, is left to the reader.

`row_now` is a method of `DiskStore`; see `protocols.Store`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from btree.protocols import NOT_AT_HAND, Key, Value
from btree.row_access import place_in_memory
from btree.tree import DELETED

if TYPE_CHECKING:
    from btree.disk import DiskStore
    from btree.version import Version


def row_now(store: DiskStore, shape: object, tree_id: int, key: Key) -> Value:
    # Without the lock: both are looked at for what they are at this moment, and a version stays what it is.
    version = store._versions.get(store.pages.newest_number(store._epoch))
    return NOT_AT_HAND if version is None else row_of(version, shape, tree_id, key)


def row_of(version: Version, shape: object, tree_id: int, key: Key) -> Value:
    """`Store.row_now` as of a version."""
    if version.shape is not shape:
        return NOT_AT_HAND
    state, number = version.trees[tree_id], version.lsn
    entry = state.pending.get(key)
    while entry is not None:
        if entry[0] <= number:
            row = entry[1]
            return None if row is DELETED else row
        entry = entry[2]
    if state.large:
        return NOT_AT_HAND
    try:
        leaf, slot = place_in_memory(state.root, key)
        return None if leaf is None else leaf.values[slot]
    except (AttributeError, TypeError):
        return NOT_AT_HAND
