"""Page 1: the directory of trees, rewritten by every pages commit.

head   format | 0 | 254 | 0
body   [next tree id, [[tree id, kind, root page, count, kinds, leaf limit, large values], ...]]

Where trees have columns that pages may lack (see `added`), the format is 2, which programs that know nothing of such
trees refuse, and the body has a third element, [[tree id, width, values], ...].
"""

from __future__ import annotations

from typing import Any

import msgspec

from btree.added import Added
from btree.codec import FORMAT
from btree.errors import CorruptionError
from btree.node import new_leaf
from btree.protocols import CATALOG_TREE_ID, RAW_TREE_ID, TreeKind
from btree.tree_state import Mark, TreeState

DIRECTORY_PAGE = 1
"""Stored on disk, do not change."""

FIRST_TREE_ID = 3
"""The first id that `create_tree` gives.  Stored on disk, do not change."""

_HEAD = bytes((FORMAT, 0, 254, 0))
_HEAD_WITH_ADDED = bytes((2, 0, 254, 0))
_Entry = tuple[int, TreeKind, int, int, tuple[int, ...], int, int]
_decode: Any = msgspec.msgpack.Decoder(tuple[int, list[_Entry]]).decode
_decode_with_added: Any = msgspec.msgpack.Decoder(
    tuple[int, list[_Entry], list[tuple[int, int, list[Any]]]]
).decode
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
    if added:
        return _HEAD_WITH_ADDED + _encode((next_tree_id, entries, added))
    return _HEAD + _encode((next_tree_id, entries))


def decode_directory(payload: bytes) -> tuple[int, dict[int, TreeState]]:
    """The next tree id and the trees, their roots not in memory."""
    try:
        head, body = payload[: len(_HEAD)], memoryview(payload)[len(_HEAD) :]
        if head == _HEAD:
            next_tree_id, entries = _decode(body)
            lengthened = {}
        elif head == _HEAD_WITH_ADDED:
            next_tree_id, entries, added = _decode_with_added(body)
            lengthened = {tree_id: Added(width, values) for tree_id, width, values in added}
        else:
            raise ValueError(f"head {head.hex()}")
    except (msgspec.DecodeError, ValueError) as error:
        raise CorruptionError(
            f"page {DIRECTORY_PAGE}: not a directory of trees ({error})"
        ) from error
    trees = {
        tree_id: TreeState(
            tree_id,
            kind,
            0,
            root_page=root_page,
            count=count,
            kinds=kinds,
            leaf_limit=max(leaf_limit, 2),
            large=large,
            mark=Mark(),
            added=lengthened.get(tree_id),
        )
        for tree_id, kind, root_page, count, kinds, leaf_limit, large in entries
    }
    return next_tree_id, trees
