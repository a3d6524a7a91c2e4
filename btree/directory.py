"""Page 1: the directory of trees, rewritten by every pages commit.

head   3 | 0 | 254 | 0
body   [next tree id, [[tree id, kind, root page, count, kinds, leaf limit, large values], ...],
        [[tree id, width, values], ...]]

The last list is of the trees with columns that pages may lack (see `added`).  Formats 1 (without that list) and 2 are
those of databases whose rows went to pages of their own as a whole if they were long; one without such rows is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from btree.added import Added
from btree.errors import UNDECODABLE, senseless
from btree.node import new_leaf
from btree.protocols import CATALOG_TREE_ID, RAW_TREE_ID, Kind, TreeKind
from btree.tree_state import Mark, TreeState
from engine import NotADatabaseError

DIRECTORY_PAGE = 1
"""Stored on disk, do not change."""

FIRST_TREE_ID = 3
"""The first id that `create_tree` gives.  Stored on disk, do not change."""

_NUMBER_MAX = (1 << 62) - 1
_KINDS_MAX = sum(Kind)
_HEAD = bytes((3, 0, 254, 0))
_OLDER_HEADS = bytes((1, 0, 254, 0)), bytes((2, 0, 254, 0))
_AddedColumns = tuple[int, int, list[Any]]
_Entry = tuple[int, TreeKind, int, int, tuple[int, ...], int, int]
_OlderEntry = tuple[int, TreeKind, int, int, tuple[int, ...], int, bool]
_decode: Any = msgspec.msgpack.Decoder(tuple[int, list[_Entry], list[_AddedColumns]]).decode
_decode_older: dict[bytes, Any] = {
    _OLDER_HEADS[0]: msgspec.msgpack.Decoder(tuple[int, list[_OlderEntry]]).decode,
    _OLDER_HEADS[1]: msgspec.msgpack.Decoder(
        tuple[int, list[_OlderEntry], list[_AddedColumns]]
    ).decode,
}
_encode = msgspec.msgpack.Encoder().encode


def initial_trees(leaf_limit: int) -> dict[int, TreeState]:
    """The trees that every database has, empty."""
    kinds = ((RAW_TREE_ID, TreeKind.RAW), (CATALOG_TREE_ID, TreeKind.TABLE))
    return {
        tree_id: TreeState(
            tree_id, kind, new_leaf([], [], None), leaf_limit=leaf_limit, mark=Mark()
        )
        for tree_id, kind in kinds
    }


def encode_directory(next_tree_id: int, trees: dict[int, TreeState]) -> bytes:
    """The directory page; the states must know their root pages."""
    entries = [
        (
            state.id,
            state.kind,
            state.root_page,
            state.count,
            state.kinds,
            state.leaf_limit,
            state.large,
        )
        for state in trees.values()
    ]
    added = [
        (state.id, state.added.width, state.added.values)
        for state in trees.values()
        if state.added is not None
    ]
    return _HEAD + _encode((next_tree_id, entries, added))


def decode_directory(payload: bytes) -> tuple[int, dict[int, TreeState]]:
    """The next tree id and the trees, their roots not in memory.  CorruptionError if it is none; NotADatabaseError if it
    leads to long rows of an older form."""
    try:
        head, body = payload[: len(_HEAD)], memoryview(payload)[len(_HEAD) :]
        if head == _HEAD:
            next_tree_id, entries, added = _decode(body)
        elif head in _decode_older:
            next_tree_id, entries, *rest = _decode_older[head](body)
            added = rest[0] if rest else []
        else:
            raise ValueError(f"head {head.hex()}")
        _check(next_tree_id, entries)
    except UNDECODABLE as error:
        raise senseless(f"page {DIRECTORY_PAGE}: not a directory of trees", error) from error
    if head != _HEAD and any(entry[-1] and entry[1] is not TreeKind.RAW for entry in entries):
        raise NotADatabaseError(
            "made by an older kvsh, with long rows in a form that this one does not read:"
            " dump it with the kvsh that made it, and load the dump"
        )
    lengthened = {tree_id: Added(width, values) for tree_id, width, values in added}
    trees = {
        tree_id: TreeState(
            tree_id,
            kind,
            0,
            root_page=root_page,
            count=count,
            kinds=kinds,
            leaf_limit=max(leaf_limit, 2),
            large=int(large),
            mark=Mark(),
            added=lengthened.get(tree_id),
        )
        for tree_id, kind, root_page, count, kinds, leaf_limit, large in entries
    }
    return next_tree_id, trees


def _check(next_tree_id: int, entries: Sequence[_Entry | _OlderEntry]) -> None:
    """ValueError if no store can have such trees."""
    trees = {tree_id: kind for tree_id, kind, *_ in entries}
    first = {tree_id: trees.get(tree_id) for tree_id in (RAW_TREE_ID, CATALOG_TREE_ID)}
    if first != {RAW_TREE_ID: TreeKind.RAW, CATALOG_TREE_ID: TreeKind.TABLE}:
        raise ValueError("it lacks one of the first two trees")
    for tree_id, _, root_page, count, kinds, *_ in entries:
        if not (0 < tree_id < next_tree_id <= _NUMBER_MAX and 0 <= root_page <= _NUMBER_MAX):
            raise ValueError(f"tree {tree_id} with root page {root_page}")
        if count < 0 or not all(0 <= mask <= _KINDS_MAX for mask in kinds):
            raise ValueError(f"tree {tree_id} of {count} entries, of kinds {kinds}")
