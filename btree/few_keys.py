"""A few neighbouring keys in one descent: ranges of an index that lie within one leaf or a few, and a tree's ends.

Each of these gives None where the answer may go on in other leaves and be long, or the keys are of several kinds:
the caller then reads the range by `Tree.batches`.  They are methods of `Tree`; see `protocols.Tree` for what they
promise.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from btree import lookups
from btree.node import Node
from btree.order import MAX, less, search_left, search_right
from btree.packed import PackedLeaf, child_to_read, packed_child
from btree.packed_keys import KeySpan, PackedKeys, Pick, cut, key_parts
from btree.protocols import Key, Row, TreeKind, Value

if TYPE_CHECKING:
    from btree.tree import Tree

_RUN_MAX = 256
"""Keys of one prefix that are given together."""
_LEAVES_MAX, _SPAN_LEAVES_MAX = 4, 16
"""Leaves that a few rows may lie in, and keys, of which none is made."""


def prefixed(tree: Tree, prefix: tuple[Any, ...]) -> list[Key] | None:
    """The keys that start with `prefix`."""
    tree.descents += 1
    try:
        node: Any = tree.root
        children = node.children
        while children is not None:
            node = children[bisect_right(node.keys, prefix)]
            children = node.children
        found = lookups.prefixed_in(node.keys, prefix)
    except (AttributeError, TypeError):  # a node to be loaded, or keys of several kinds
        found = lookups.prefixed_in(tree.leaf(prefix).keys, prefix)
    return _run(tree, prefix) if found is None else found


def prefixed_below(node: Any, prefix: tuple[Any, ...]) -> list[Key] | None:
    """The keys below a node that start with `prefix`, where that takes no more than a leaf that is in memory as a node;
    None: ask the tree."""
    root = node
    try:
        children = node.children
        while children is not None:
            node = children[bisect_right(node.keys, prefix)]
            children = node.children
        keys = node.keys
    except (AttributeError, TypeError):
        return None
    if keys.__class__ is PackedKeys:
        return None
    found = lookups.prefixed_in(keys, prefix)
    return _at_end(root, prefix) if found is None else found


def one_below(node: Any, prefix: tuple[Any, ...]) -> Any:
    """The first key below a node that starts with `prefix`, () if there is none; None: as `prefixed_below`."""
    root = node
    try:
        children = node.children
        while children is not None:
            node = children[bisect_right(node.keys, prefix)]
            children = node.children
        keys = node.keys
        if keys.__class__ is PackedKeys:
            found = keys.prefixed(prefix)
        else:
            slot = bisect_left(keys, prefix)
            if slot < len(keys):
                key = keys[slot]
                return key if key[: len(prefix)] == prefix else ()
            last = root
            while last.children is not None:
                last = last.children[-1]
            if last is node:  # where keys that ascend are looked for before they are put
                return ()
            found = _at_end(root, prefix)
    except (AttributeError, TypeError):  # a node to be loaded, or keys of several kinds
        return None
    return found[0] if found else found if found is None else ()


def _at_end(node: Any, prefix: tuple[Any, ...]) -> list[Key] | None:
    """The keys below a node that start with `prefix`, of which a leaf has none or its last ones, if what follows begins
    with others, or nothing follows: most often it is the last leaf, where keys that ascend are looked for before they
    are put.  None if nobody knows."""
    behind = None
    try:
        children = node.children
        while children is not None:
            separators = node.keys
            slot = bisect_right(separators, prefix)
            if slot < len(separators):
                behind = separators[slot]
            node = children[slot]
            children = node.children
        if behind is not None and behind[: len(prefix)] == prefix:
            return None
        keys = node.keys
        if keys.__class__ is PackedKeys:
            return None
        found: list[Any] = keys[bisect_left(keys, prefix) :]
        return None if found and found[-1][: len(prefix)] != prefix else found
    except (AttributeError, TypeError):  # a node to be loaded, or keys of several kinds
        return None


def last_parts(tree: Tree, prefix: tuple[Any, ...]) -> list[Any] | None:
    """The last parts of the keys that start with `prefix`."""
    tree.descents += 1
    try:
        node: Any = tree.root
        children = node.children
        while children is not None:
            node = children[bisect_right(node.keys, prefix)]
            children = node.children
    except (AttributeError, TypeError):  # a node to be loaded, or keys of several kinds
        node = tree.leaf(prefix)
    keys = node.keys
    try:
        parts = keys.last_parts(prefix) if keys.__class__ is PackedKeys else None
    except TypeError:
        parts = None
    if parts is not None:
        return parts
    found: Sequence[Key] | None = lookups.prefixed_in(keys, prefix)
    if found is None:
        found = _at_end(tree.root, prefix)
    if found is None:
        found = between(tree, prefix, prefix, hi_inclusive=True)
    if found is None:
        found = _long_run(tree, prefix)
    return None if found is None else [*key_parts(found, -1)]


def _run(tree: Tree, prefix: tuple[Any, ...]) -> list[Key] | None:
    """The keys that start with `prefix`, which may lie in several leaves, or among keys of several kinds; None if
    they are many."""
    found = _at_end(tree.root, prefix)
    if found is not None:
        return found
    near = _span(tree, prefix, prefix, True, True, _LEAVES_MAX)
    if near is None:
        return _long_run(tree, prefix)
    return [*near] if len(near) <= _RUN_MAX else None


def _long_run(tree: Tree, prefix: tuple[Any, ...]) -> list[Key] | None:
    """The same where no few leaves below one branch have them."""
    found = _gathered(tree.batches(prefix, prefix, hi_inclusive=True), _RUN_MAX + 1)
    return found if len(found) <= _RUN_MAX else None


def _gathered(batches: Iterable[tuple[Sequence[Key], list[Value]]], enough: int) -> list[Key]:
    """The keys of batches until there are enough, or a few more."""
    found: list[Key] = []
    for keys, _ in batches:
        found += keys
        if len(found) >= enough:
            break
    return found


def first_of(batches: Iterable[tuple[Sequence[Key], list[Value]]], count: int) -> list[Key] | None:
    """The first `count` keys of batches; None if there are fewer."""
    found = _gathered(batches, count)
    return found[:count] if len(found) >= count else None


def following(
    tree: Tree,
    start: tuple[Any, ...],
    count: int,
    *,
    beyond: bool = False,
    pick: Pick | None = None,
) -> list[Any] | None:
    """The first `count` keys from `start` on; `beyond`: after all that start with it."""
    if start or beyond:
        keys, slot = _place(tree, start, after=beyond)
    else:
        keys, slot = outer_leaf(tree, 0).keys, 0
    found = cut(keys, slot, slot + count, pick)
    if len(found) == count:
        return found
    lo = start if start or beyond else None
    whole = (*start, MAX) if beyond else lo
    pieces = _few_pieces(tree, whole, None, count, reverse=False)
    if pieces and pieces[-1][0] is None:
        some = first_of(tree.batches(lo, lo_inclusive=not beyond), count)
        return some if some is None or pick is None else [*map(pick, some)]
    found = [key for leaf, low, high in pieces for key in cut(leaf.keys, low, high, pick)]
    return found if len(found) == count else None


def preceding(
    tree: Tree,
    end: tuple[Any, ...],
    count: int,
    *,
    inclusive: bool = False,
    pick: Pick | None = None,
) -> list[Any] | None:
    """The last `count` keys before `end`, descending; `inclusive`: those that start with it, too."""
    if end or not inclusive:
        keys, slot = _place(tree, end, after=inclusive)
    else:
        keys = outer_leaf(tree, -1).keys
        slot = len(keys)
    if slot >= count:
        return cut(keys, slot - count, slot, pick)[::-1]
    hi = end if end or not inclusive else None
    whole = (*end, MAX) if inclusive and end else hi
    pieces = _few_pieces(tree, None, whole, count, reverse=True)
    if pieces and pieces[-1][0] is None:
        some = first_of(tree.batches(None, hi, hi_inclusive=inclusive, reverse=True), count)
        return some if some is None or pick is None else [*map(pick, some)]
    found = [key for leaf, low, high in pieces for key in cut(leaf.keys, low, high, pick)[::-1]]
    return found if len(found) == count else None


def between(
    tree: Tree,
    lo: tuple[Any, ...],
    hi: tuple[Any, ...],
    *,
    lo_inclusive: bool = True,
    hi_inclusive: bool = False,
) -> Sequence[Key] | None:
    """The keys of a range: of one leaf, or of some below the same branch."""
    return _span(tree, lo, hi, lo_inclusive, hi_inclusive, _SPAN_LEAVES_MAX)


def _span(
    tree: Tree,
    lo: tuple[Any, ...],
    hi: tuple[Any, ...],
    lo_inclusive: bool,
    hi_inclusive: bool,
    leaves_max: int,
) -> KeySpan | None:
    if tree.kind is not TreeKind.INDEX:
        return None
    first = lo if lo_inclusive else (*lo, MAX)
    bound = (*hi, MAX) if hi_inclusive else hi
    tree.descents += 1
    node: Any = tree.root
    branch, slot = node, 0
    try:
        children = node.children
        while children is not None:
            branch, slot = node, bisect_right(node.keys, first)
            node = children[slot]
            children = node.children
    except (AttributeError, TypeError):  # a node to be loaded, or keys of several kinds
        node = branch = tree.root
        while node.children is not None:
            branch, slot = node, search_right(node.keys, first)
            node = _few_child(tree, branch, slot)
    behind = slot + leaves_max
    if branch.level and behind < len(branch.keys) and less(branch.keys[behind], bound):
        return None  # it goes on in more leaves than that
    pieces: list[tuple[Sequence[Key], int, int]] = []
    keys = node.keys
    start = _slot(keys, lo, first, after=not lo_inclusive)
    for _ in range(leaves_max):
        children = branch.children
        # Up to a separator before the bound all keys are.
        if children is not None and slot + 1 < len(children) and less(branch.keys[slot], bound):
            end = len(keys)
        else:
            end = _slot(keys, hi, bound, after=hi_inclusive)
        if start < end:
            # A leaf that is no page's own may change before anybody looks at its keys.
            is_packed = keys.__class__ is PackedKeys
            piece = (keys, start, end) if is_packed else (keys[start:end], 0, end - start)
            pieces.append(piece)
        if end < len(keys):
            return KeySpan(pieces)
        slot += 1
        if children is None or slot == len(children):
            return None
        if not less(branch.keys[slot - 1], bound):
            return KeySpan(pieces)
        keys, start = _few_child(tree, branch, slot).keys, 0
    return None


def _slot(keys: Any, key: tuple[Any, ...], whole: tuple[Any, ...], *, after: bool) -> int:
    """The slot of `key` in a leaf, or `after` all that start with it, which is the slot of `whole`."""
    if keys.__class__ is PackedKeys:
        slot: int = keys.place(key, after=after)
        return slot
    return search_left(keys, whole)


def few_rows(
    tree: Tree,
    start: int | None,
    stop: int | None,
    count: int,
    pick: Callable[[Row], Row] | None,
    *,
    reverse: bool = False,
) -> list[Row] | None:
    """Some neighbouring rows, of one leaf or of a few below the same branch.  Leaves that are not in memory stay
    packed."""
    found: list[Row] = []
    for leaf, low, high in _few_pieces(tree, start, stop, count, reverse=reverse):
        if leaf is None:
            return None
        rows = _rows_between(tree, leaf, low, high, pick)
        found += rows[::-1] if reverse else rows
    return found


def few_entries(
    tree: Tree, start: int | None, stop: int | None, count: int, *, reverse: bool = False
) -> tuple[list[int], list[Row]] | None:
    """The same rows with their keys, both in the tree's order even if they are the last ones."""
    keys: list[int] = []
    found: list[Row] = []
    pieces = _few_pieces(tree, start, stop, count, reverse=reverse)
    for leaf, low, high in reversed(pieces) if reverse else pieces:
        if leaf is None:
            return None
        keys += leaf.keys[low:high]
        found += _rows_between(tree, leaf, low, high, None)
    return keys, found


def _few_pieces(
    tree: Tree, start: Key | None, stop: Key | None, count: int, *, reverse: bool
) -> Sequence[tuple[Any, int, int]]:
    """Leaves, and from which slot to which they have some neighbouring entries from `start` to before `stop`; the last
    leaf is None if there may be more of them in others."""
    tree.descents += 1
    if tree.kind is TreeKind.TABLE:
        left_of: Callable[..., int] = bisect_left
        right_of: Callable[..., int] = bisect_right
        place: Callable[..., int] = bisect_left
    else:
        left_of, right_of, place = search_left, search_right, _slot_of
    node: Any = tree.root
    branch, slot, is_outermost = node, 0, True
    while node.children is not None:
        if reverse:
            slot = len(node.keys) if stop is None else left_of(node.keys, stop)
            is_outermost = is_outermost and slot == 0
        else:
            slot = 0 if start is None else right_of(node.keys, start)
            is_outermost = is_outermost and slot == len(node.keys)
        branch, node = node, _few_child(tree, node, slot)
    pieces: list[tuple[Any, int, int]] = []
    found = 0
    for _ in range(_LEAVES_MAX):
        keys = node.keys
        low = 0 if start is None else place(keys, start)
        high = len(keys) if stop is None else place(keys, stop)
        is_last = low > 0 if reverse else high < len(keys)
        if low < high:
            if reverse:
                low = max(low, high - count + found)
            else:
                high = min(high, low + count - found)
            found += high - low
            pieces.append((node, low, high))
        if is_last or found == count:
            return pieces
        slot += -1 if reverse else 1
        if branch.children is None or not 0 <= slot < len(branch.children):
            return pieces if is_outermost or branch.children is None else _IN_OTHERS
        node = _few_child(tree, branch, slot)
    return _IN_OTHERS


_IN_OTHERS = ((None, 0, 0),)


def _slot_of(keys: Any, key: tuple[Any, ...]) -> int:
    """The slot of the first key that is not below `key`."""
    return keys.slot_of(key) if keys.__class__ is PackedKeys else search_left(keys, key)


def _few_child(tree: Tree, branch: Node, slot: int) -> Any:
    assert branch.children is not None
    child = branch.children[slot]
    return child if child.__class__ is Node else packed_child(tree, branch, slot)


def _rows_between(
    tree: Tree,
    leaf: Any,
    low: int,
    high: int,
    pick: Callable[[Row], Row] | None,
) -> list[Row]:
    is_packed = leaf.__class__ is PackedLeaf
    rows = leaf.values.cut(low, high) if is_packed else tree.values_of(leaf, low, high)
    return rows if pick is None else [*map(pick, rows)]


def _place(tree: Tree, key: tuple[Any, ...], *, after: bool) -> tuple[Any, int]:
    """The keys of the leaf where `key` is or would be, and its slot there; `after`: where all that start
    with it end."""
    whole = (*key, MAX) if after else key
    tree.descents += 1
    node: Any = tree.root
    try:
        children = node.children
        while children is not None:
            node = children[bisect_right(node.keys, whole)]
            children = node.children
    except (AttributeError, TypeError):  # a node to be loaded, or keys of several kinds
        node = tree.leaf(whole)
    keys = node.keys
    if keys.__class__ is PackedKeys:
        return keys, keys.place(key, after=after)
    return keys, search_left(keys, whole)


def first(tree: Tree) -> tuple[Key, Value] | None:
    """The first entry; None in an empty tree."""
    return _entry(tree, outer_leaf(tree, 0), 0)


def last(tree: Tree) -> tuple[Key, Value] | None:
    """The last entry; None in an empty tree."""
    leaf = tree.tail  # where rows are being appended: who gives them their row ids asks before each
    if leaf is None:
        leaf = outer_leaf(tree, -1)
    return _entry(tree, leaf, len(leaf.keys) - 1)


def outer_leaf(tree: Tree, side: int) -> Any:
    """The first leaf (0) or the last one (-1), to be read."""
    tree.descents += 1
    node: Any = tree.root
    while node.children is not None:
        child = node.children[side]
        if child.__class__ is not Node:
            child = child_to_read(tree, node, side % len(node.children))
        node = child
    return node


def _entry(tree: Tree, leaf: Node, slot: int) -> tuple[Key, Value] | None:
    if not leaf.keys:
        return None
    return leaf.keys[slot], True if leaf.values is None else tree.value(leaf, slot)
