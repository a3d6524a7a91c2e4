"""Ascending keys behind the last one of a tree become leaves as they are.

Were they put into the last leaf and that then cut, each entry would be handled three times; and of a load, most of whose
objects have left the processor's cache by the commit, each time is a miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from btree.node import Node, new_leaf
from btree.order import less, separator
from btree.protocols import Key, Value

if TYPE_CHECKING:
    from btree.edit import Pieces
    from btree.tree import Tree

MEASURED = 64
"""Entries of a long run by which the length of the others is judged."""


def lies_behind(leaf: Node, key: Key) -> bool:
    """Whether a key lies behind all those of a leaf."""
    return not leaf.keys or less(leaf.keys[-1], key)


def leaves_of(
    tree: Tree, last: Node, keys: Sequence[Key], values: Sequence[Value] | None, start: int
) -> Pieces:
    """The last leaf of a tree, which the writer owns, filled up with `keys` from `start` on, and full leaves of the
    others."""
    count = len(keys)
    filled = last.values
    if filled is None:  # of an index
        values = None
    step = (count - start) // MEASURED + 1
    sample = new_leaf(list(keys[start::step]), None, None)
    if values is not None:
        sample.values = list(values[start::step])
    tree.measure(sample)
    limit = tree.leaf_limit
    end = min(start + max(limit - len(last.keys), 0), count)
    last.keys.extend(keys[start:end])
    if filled is not None and values is not None:
        filled.extend(values[start:end])  # LargeValues stay what they are
    last.location = 0
    pieces: Pieces = [(None, last)]
    before = last
    for low in range(end, count, limit):
        some = keys[low : low + limit]
        leaf = new_leaf(some if isinstance(some, list) else list(some), None, tree.token)
        if values is not None:
            some = values[low : low + limit]
            leaf.values = some if isinstance(some, list) else list(some)
        pieces.append((separator(before.keys[-1], leaf.keys[0]), leaf))
        before = leaf
    return pieces
