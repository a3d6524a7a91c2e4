"""Changes to the shape of a tree: path copying, splits, merges, bulk loading and bulk deleting.

`Tree` changes one entry of a leaf that it owns by itself; everything else comes here.  All functions
work on paths that the writer owns: `[(root, slot), (branch, slot), ...]` and the leaf they lead to.
Every structural change is one `splice`: some pieces take the place of one node, and where the parent
grows too wide it is cut in pieces that take its place in turn.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from itertools import compress, islice, pairwise
from operator import eq, ne
from typing import TYPE_CHECKING

from btree.appending import leaves_of, lies_behind
from btree.node import LargeValues, Node, copied, like, new_branch, new_leaf
from btree.order import order_key, search_left, search_right, separator, values_at
from btree.protocols import Key, Value

if TYPE_CHECKING:
    from btree.tree import Tree

Path = list[tuple[Node, int]]
Pieces = list[tuple[Key, Node]]
"""(separator below, node), in order; the first separator is not used."""

COPIED_BYTES = 300
COPIED_ENTRY_BYTES = 16
"""What a copied node holds of its own: itself and its lists; the entries are shared."""

SHORT_RUN = 4
"""Keys of a bulk operation that fall in one leaf, up to which they are put one by one."""

FEW_REMOVED = 6
"""With this many entries of a leaf for each that is removed, or more, they are taken out one by one."""

NEAR = 256
"""Keys of a bulk operation among which the end of those for one leaf is looked for first."""

FEW = 8
"""Up to so many keys of a run are put into their leaf one by one."""

SPARSE = 4
"""With up to this many entries of a leaf for each key put, each key is put in its own slot."""


def own_path(tree: Tree, key: Key) -> tuple[Path, Node]:
    """The path to the leaf of `key`, every node of it owned by the tree's writer.

    A transaction that holds too much in memory writes some leaves first, so slots found before may
    be wrong after."""
    transaction = tree.transaction
    if transaction.held > transaction.held_max:
        transaction.spill()
    transaction.hold(tree, 1.5)  # the entry that is about to be put
    node = tree.owned_root()
    path: Path = []
    while node.children is not None:
        slot = search_right(node.keys, key)
        path.append((node, slot))
        node = own_child(tree, node, slot)
    return path, node


def own_child(tree: Tree, branch: Node, slot: int) -> Node:
    """Child `slot` of an owned branch, loaded and copied as needed."""
    children = branch.children
    assert children is not None
    child = children[slot]
    if child.__class__ is not Node:
        child = tree.loaded(branch, slot)
    node: Node = child
    if node.owner is not tree.token:
        node = children[slot] = copied(node, tree.token)
        tree.transaction.held += COPIED_BYTES + COPIED_ENTRY_BYTES * len(node.keys)
        tree.transaction.copies += 1
    return node


def upper_bound(path: Path) -> tuple[Key] | None:
    """The separator above the leaf that `path` leads to, boxed; None at the right edge."""
    for branch, slot in reversed(path):
        if slot < len(branch.keys):
            return (branch.keys[slot],)
    return None


def splice(tree: Tree, path: Path, pieces: Pieces, *, full: bool = False) -> None:
    """Put `pieces` in the place of the node at the end of `path`; none removes it.

    `full`: pieces of a branch that grows too wide are filled to the brim, as befits appends."""
    while path:
        branch, slot = path.pop()
        replace_child(branch, slot, pieces)
        width = len(branch.pages or ())
        if width == 0:
            tree.free(branch.page)
            pieces = []
        elif width <= tree.branch_limit:
            return
        else:
            pieces = cut_branch(branch, tree.branch_limit, full=full)
    plant(tree, pieces, full=full)


def replace_child(branch: Node, slot: int, pieces: Pieces) -> None:
    """Put `pieces` in the place of one child of an owned branch; none removes it."""
    keys, children, pages = branch.keys, branch.children, branch.pages
    assert children is not None and pages is not None
    children[slot : slot + 1] = [node for _, node in pieces]
    branch.pages = [*pages[:slot], *[node.page for _, node in pieces], *pages[slot + 1 :]]
    if pieces:
        branch.keys = [*keys[:slot], *[key for key, _ in pieces[1:]], *keys[slot:]]
    else:
        gone = max(slot - 1, 0)
        branch.keys = keys[:gone] + keys[gone + 1 :]
    branch.location = 0


def plant(tree: Tree, pieces: Pieces, *, full: bool) -> None:
    """Make `pieces` the root, under as many new levels as they need."""
    if not pieces:
        tree.root = new_leaf([], tree.no_values(), tree.token)
        return
    while len(pieces) > 1:
        nodes = [node for _, node in pieces]
        keys = [key for key, _ in pieces[1:]]
        root = new_branch(
            keys,
            list(nodes),
            [node.page for node in nodes],
            level=nodes[0].level + 1,
            owner=tree.token,
        )
        low = pieces[0][0]
        pieces = cut_branch(root, tree.branch_limit, full=full)
        pieces[0] = (low, pieces[0][1])
    tree.root = pieces[0][1]


def cut_ends(count: int, limit: int, *, full: bool, least: int) -> list[int]:
    """Where to cut `count` entries into parts of at most `limit`: filled up, or even."""
    parts = -(-count // limit)
    if not full:
        return [count * part // parts for part in range(1, parts + 1)]
    ends = [*range(limit, count, limit), count]
    if len(ends) > 1 and ends[-1] - ends[-2] < least:
        ends[-2] = count - least
    return ends


def remove_children(tree: Tree, path: Path, branch: Node, slots: Collection[int]) -> None:
    """Take some children of an owned branch, to which `path` leads, out of the tree."""
    keys, children, pages = branch.keys, branch.children, branch.pages
    assert children is not None and pages is not None
    left = [slot for slot in range(len(pages)) if slot not in slots]
    branch.keys = [keys[slot - 1] for slot in left[1:]]
    branch.children = [children[slot] for slot in left]
    branch.pages = [pages[slot] for slot in left]
    branch.location = 0
    while not branch.pages:
        tree.free(branch.page)
        if not path:
            plant(tree, [], full=False)
            return
        branch, slot = path.pop()
        replace_child(branch, slot, [])
    rebalance(tree, path, branch)


def cut_branch(branch: Node, limit: int, *, full: bool) -> Pieces:
    """`branch` cut to pieces no wider than the limit; the first is `branch` itself."""
    keys, children, pages = branch.keys, branch.children, branch.pages
    assert children is not None and pages is not None
    ends = cut_ends(len(children), limit, full=full, least=2)
    pieces: Pieces = [(None, branch)]
    for start, end in pairwise(ends):
        right = new_branch(
            keys[start : end - 1],
            children[start:end],
            pages[start:end],
            level=branch.level,
            owner=branch.owner,
        )
        pieces.append((keys[start - 1], right))
    end = ends[0]
    branch.keys, branch.pages = keys[: end - 1], pages[:end]
    branch.children = children[:end]
    branch.location = 0
    return pieces


def cut_leaf(leaf: Node, ends: list[int], *, owner: object) -> Pieces:
    """`leaf` cut at `ends`; the first piece is `leaf` itself."""
    keys, values = leaf.keys, leaf.values
    pieces: Pieces = [(None, leaf)]
    for start, end in pairwise(ends):
        right = new_leaf(keys[start:end], like(values, start, end), owner)
        pieces.append((separator(keys[start - 1], keys[start]), right))
    leaf.keys = keys[: ends[0]]
    leaf.values = like(values, 0, ends[0])
    return pieces


def split(tree: Tree, key: Key) -> None:
    """Split the leaf that `key` was just put into and made too long.

    The rightmost leaf, grown at its end, stays full and a new one takes the new entry, so that
    ascending keys fill their pages; others are halved."""
    path, leaf = own_path(tree, key)
    tree.measure(leaf)
    count = len(leaf.keys)
    if count <= tree.leaf_limit:
        return
    appended = upper_bound(path) is None and leaf.keys[-1] == key
    ends = [count - 1, count] if appended else cut_ends(count, tree.leaf_limit, full=False, least=1)
    pieces = cut_leaf(leaf, ends, owner=tree.token)
    # What went into the leaf since it was split from its neighbour: half of its entries where they come in no order.
    tree.transaction.hold(tree, count if appended else count / 2)
    splice(tree, path, pieces, full=appended)
    tree.tail = pieces[-1][1] if appended else None


def rebalance(tree: Tree, path: Path, node: Node) -> None:
    """After deletes: merge a node that is less than a quarter full with a neighbour, or let it
    take half of what both have, and so on upwards."""
    tree.tail = None
    while path:
        branch, slot = path.pop()
        if not _underfull(tree, node):
            return
        siblings = branch.children
        assert siblings is not None
        if len(siblings) > 1:
            slot = max(slot - 1, 0)
            left, right = own_child(tree, branch, slot), own_child(tree, branch, slot + 1)
            _share(tree, branch, slot, left, right)
        node = branch
    _lower_root(tree)


def _joined(left: list[Value] | None, right: list[Value] | None) -> list[Value] | None:
    if left is None or right is None:
        return None
    joined = [*left, *right]
    lazy = left.__class__ is LargeValues or right.__class__ is LargeValues
    return LargeValues(joined) if lazy else joined


def _underfull(tree: Tree, node: Node) -> bool:
    children = node.children
    if children is None:
        return len(node.keys) * 4 < tree.leaf_limit
    return len(children) < 2 or len(children) * 4 < tree.branch_limit


def _share(tree: Tree, branch: Node, slot: int, left: Node, right: Node) -> None:
    """Merge children `slot` and `slot + 1` of `branch`, or even them out if they are too many."""
    is_leaf = left.children is None
    below = branch.keys[slot]
    keys = left.keys + right.keys if is_leaf else [*left.keys, below, *right.keys]
    values = _joined(left.values, right.values)
    children = (left.children or []) + (right.children or [])
    pages = (left.pages or []) + (right.pages or [])
    count = len(keys) if is_leaf else len(children)
    limit = tree.leaf_limit if is_leaf else tree.branch_limit
    left.location = right.location = 0
    if count * 4 <= limit * 3 or count < 2:
        left.keys, left.values = keys, values
        if not is_leaf:
            left.children, left.pages = children, pages
        tree.free(right.page)
        replace_child(branch, slot + 1, [])
        return
    half = count // 2
    branch.location = 0
    if is_leaf:
        middle = separator(keys[half - 1], keys[half])
        left.keys, right.keys = keys[:half], keys[half:]
        left.values, right.values = like(values, 0, half), like(values, half, count)
    else:
        middle = keys[half - 1]
        left.keys, right.keys = keys[: half - 1], keys[half:]
        left.children, right.children = children[:half], children[half:]
        left.pages, right.pages = pages[:half], pages[half:]
    branch.keys = [*branch.keys[:slot], middle, *branch.keys[slot + 1 :]]


def _lower_root(tree: Tree) -> None:
    root = tree.owned_root()
    while root.children is not None and len(root.children) == 1:
        tree.free(root.page)
        root = own_child(tree, root, 0)
        tree.root = root


def _next_leaf(tree: Tree, path: Path, key: Key) -> tuple[Path, Node, tuple[Key] | None]:
    """The path to the leaf of `key`, the leaf, and the separator above it.

    `path` leads to the leaf of a smaller key, or is empty: keys in order mostly go to the next leaf of
    the same branch, which takes no descent."""
    transaction = tree.transaction
    if path and transaction.held <= transaction.held_max:
        branch, slot = path[-1]
        slot = search_right(branch.keys, key, slot)
        if slot < len(branch.keys):
            path[-1] = branch, slot
            return path, own_child(tree, branch, slot), (branch.keys[slot],)
    path, leaf = own_path(tree, key)
    return path, leaf, upper_bound(path)


def run_end(keys: Sequence[Key], upper: tuple[Key] | None, start: int) -> int:
    """The end of the run of ascending keys from `start` on that are below `upper`: it is near."""
    if upper is None:
        return len(keys)
    near = min(start + NEAR, len(keys))
    try:
        end = bisect_left(keys, upper[0], start, near)
    except TypeError:
        return search_left(keys, upper[0], start)
    return end if end < near else search_left(keys, upper[0], near)


def load(tree: Tree, keys: Sequence[Key], values: Sequence[Value] | None) -> tuple[int, int]:
    """Put ascending `keys`, leaf by leaf; how many of them are new, and of leaves that they went to."""
    start, count, added, leaves = 0, len(keys), 0, 0
    path: Path = []
    while start < count:
        path, leaf, upper = _next_leaf(tree, path, keys[start])
        if upper is None and count - start > tree.leaf_limit and lies_behind(leaf, keys[start]):
            pieces = leaves_of(tree, leaf, keys, values, start)
            tree.transaction.hold(tree, count - start)
            splice(tree, path, pieces, full=True)
            added += count - start
            leaves += len(pieces)
            break
        end = run_end(keys, upper, start)
        run = keys[start:end]
        run_values = None if values is None else values[start:end]
        before = len(leaf.keys)
        _, sparse = put_run(tree, leaf, run, run_values)
        tree.transaction.hold(tree, len(run))
        leaf.location = 0
        added += len(leaf.keys) - before
        if not sparse or len(leaf.keys) > tree.leaf_limit:
            tree.measure(leaf)
        if len(leaf.keys) > tree.leaf_limit:
            full = upper is None
            ends = cut_ends(len(leaf.keys), tree.leaf_limit, full=full, least=1)
            splice(tree, path, cut_leaf(leaf, ends, owner=tree.token), full=full)
            path = []
        start = end
        leaves += 1
    tree.tail = None
    return added, leaves


def put_run(
    tree: Tree, leaf: Node, run: Sequence[Key], run_values: Sequence[Value] | None
) -> tuple[bool, bool]:
    """Put ascending keys into a leaf.  Whether they were appended to it, and whether they were few beside
    those that it has, each put in its slot."""
    before = len(leaf.keys)
    if lies_behind(leaf, run[0]):
        leaf.keys.extend(run)
        if leaf.values is not None and run_values is not None:
            leaf.values.extend(run_values)  # LargeValues stay what they are
        return True, False
    sparse = len(run) * SPARSE <= before
    if _put_run(leaf, run, run_values, sparse=sparse):
        return False, sparse
    _merge_run(tree, leaf, run, run_values)
    return False, False


def _put_run(
    leaf: Node, run: Sequence[Key], run_values: Sequence[Value] | None, *, sparse: bool
) -> bool:
    """Put ascending keys into a leaf, each in its slot: entries that are all there already, or a few
    (`sparse`).  False, with nothing put, where that takes more than plain comparisons or a merge is
    cheaper."""
    keys, values = leaf.keys, leaf.values
    if values.__class__ is LargeValues or (values is not None and run_values is None):
        return False
    slots = _consecutive_slots(keys, run)
    if slots is not None:
        if values is not None and run_values is not None:
            for slot, value in zip(slots, run_values, strict=True):
                values[slot] = value
        return True
    try:
        if len(run) <= FEW:
            _put_each(keys, values, run, run_values, [bisect_left(keys, key) for key in run])
            return True
        first = bisect_left(keys, run[0])
        end = first + len(run)
        if keys[first:end] == run:  # neighbours, as in a change of all rows: one assignment
            keys[first:end] = run
            if values is not None and run_values is not None:
                values[first:end] = run_values
            return True
        count = len(keys)
        if not sparse:
            for key in (run[0], run[len(run) // 2], run[-1]):
                slot = bisect_left(keys, key)
                if slot == count or keys[slot] != key:
                    return False  # not all of them are there, which is told by a few
        slots = [bisect_left(keys, key, first) for key in run]
    except TypeError:
        return False
    if slots[-1] < count and [keys[slot] for slot in slots] == run:
        for slot, key in zip(slots, run, strict=True):
            keys[slot] = key
        if values is not None and run_values is not None:
            for slot, value in zip(slots, run_values, strict=True):
                values[slot] = value
        return True
    if not sparse:
        return False
    _put_each(keys, values, run, run_values, slots)
    return True


def _put_each(
    keys: list[Key],
    values: list[Value] | None,
    run: Sequence[Key],
    run_values: Sequence[Value] | None,
    slots: list[int],
) -> None:
    """Put each of some ascending keys into its slot, as the slots were before any of them went in."""
    count = len(keys)
    for at in range(len(run) - 1, -1, -1):  # from the right: slots on the left stay what they are
        slot, key = slots[at], run[at]
        if slot < count and keys[slot] == key:
            keys[slot] = key
            if values is not None and run_values is not None:
                values[slot] = run_values[at]
        else:
            keys.insert(slot, key)
            if values is not None and run_values is not None:
                values.insert(slot, run_values[at])


def _consecutive_slots(keys: list[Key], run: Sequence[Key]) -> list[int] | None:
    """The slots of an ascending run's keys where the leaf's are row ids without a gap and have them all,
    as most do in a table that was filled in order: told without a look at the keys in between."""
    low, high = keys[0], keys[-1]
    if low.__class__ is not int or high - low != len(keys) - 1:
        return None
    if run[0] < low or run[-1] > high:
        return None
    return [key - low for key in run]


def _slots_there(keys: list[Key], run: Sequence[Key]) -> list[int]:
    """The slots of those of an ascending run's keys that a leaf has."""
    slots = _consecutive_slots(keys, run)
    if slots is not None:
        return slots
    count = len(keys)
    try:
        slots = [bisect_left(keys, key) for key in run]
    except TypeError:  # keys of several kinds
        slots = [search_left(keys, key) for key in run]
    if slots[-1] < count and [keys[slot] for slot in slots] == run:
        return slots
    return [
        slot for slot, key in zip(slots, run, strict=True) if slot < count and keys[slot] == key
    ]


def _merge_run(
    tree: Tree, leaf: Node, run: Sequence[Key], run_values: Sequence[Value] | None
) -> None:
    """Merge an ascending run into a leaf; equal keys take the new key and value."""
    values = leaf.values
    if run[0].__class__ is bytes and values.__class__ is list and run_values is not None:
        # Raw keys that are equal are the same bytes: the old one may stay, and no pairs are needed.
        newest = dict(zip(leaf.keys, values, strict=True))
        newest.update(zip(run, run_values, strict=True))
        leaf.keys = sorted(newest)  # two ascending runs: linear
        leaf.values = list(values_at(newest, leaf.keys))
        return
    if values is None and _merge_keys(leaf, run):
        return
    old_values = [None] * len(leaf.keys) if values is None else list(values)
    merged = dict(zip(leaf.keys, zip(leaf.keys, old_values, strict=True), strict=True))
    if values.__class__ is LargeValues:
        tree.free_large([merged[key][1] for key in run if key in merged])
    new_values = [None] * len(run) if run_values is None else run_values
    merged.update(zip(run, zip(run, new_values, strict=True), strict=True))
    try:
        order = sorted(merged)  # two ascending runs: linear
    except TypeError:
        order = sorted(merged, key=order_key)
    entries = [merged[key] for key in order]
    leaf.keys = [key for key, _ in entries]
    if values is not None:
        leaf.values = values.__class__([value for _, value in entries])


def _merge_keys(leaf: Node, run: Sequence[Key]) -> bool:
    """The same for keys that are all there is to their entries; False, with nothing done, for keys of several kinds."""
    merged = [*leaf.keys, *run]
    try:
        merged.sort()  # two ascending runs: linear; of equal keys the new one comes second
    except TypeError:
        return False
    following = islice(merged, 1, None)
    if any(map(eq, merged, following)):
        different = map(ne, merged, islice(merged, 1, None))
        merged = [*compress(merged, different), merged[-1]]
    leaf.keys = merged
    return True


def delete_many(tree: Tree, keys: Sequence[Key]) -> tuple[int, int]:
    """Remove ascending `keys`, leaf by leaf; how many of them were there, and of their leaves."""
    start, count, removed, leaves = 0, len(keys), 0, 0
    path: Path = []
    while start < count:
        path, leaf, upper = _next_leaf(tree, path, keys[start])
        end = run_end(keys, upper, start)
        gone = remove_run(tree, leaf, keys[start:end])
        removed += gone
        if gone and _underfull(tree, leaf):
            rebalance(tree, path, leaf)
            path = []
        start = end
        leaves += 1
    return removed, leaves


def remove_run(tree: Tree, leaf: Node, run: Sequence[Key]) -> int:
    """Remove those of an ascending run that the leaf has; how many."""
    keys, values = leaf.keys, leaf.values
    count = len(keys)
    slots = _slots_there(keys, run) if keys else []
    if not slots:
        return 0
    leaf.location = 0
    if values.__class__ is LargeValues:
        tree.free_large([list.__getitem__(values, slot) for slot in slots])
    if values.__class__ is not LargeValues and len(slots) * FEW_REMOVED <= count:
        slots.reverse()  # from the right: slots on the left stay what they are
        for slot in slots:
            del keys[slot]
        if values is not None:
            for slot in slots:
                del values[slot]
        return len(slots)
    kept = bytearray(b"\1") * count
    for slot in slots:
        kept[slot] = 0
    leaf.keys = list(compress(keys, kept))
    if values is not None:
        leaf.values = values.__class__(compress(values, kept))
    return len(slots)
