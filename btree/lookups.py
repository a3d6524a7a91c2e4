"""Many look-ups at once: ascending keys walk the leaves once, instead of a descent from the root for each.

A run is what of the wanted keys lies in one leaf.  The walk goes down to a parent of leaves, serves every run
below it, and descends again for what is beyond; so a leaf is visited once, however many keys it serves, and in
a tree larger than the processor's caches its neighbours are read in the order they lie in.  Looking up 100,000
random keys in a million rows: 1.7 us a key by descents, 0.6 us sorted first, 0.05 us a run of neighbours.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from itertools import islice, pairwise
from operator import lt
from typing import TYPE_CHECKING, Any

from btree.node import Node
from btree.order import MAX, search_left, search_right
from btree.packed import PackedLeaf, child_to_read, look_up_part, packed_child
from btree.packed_keys import PackedKeys
from btree.page_rows import PageRows
from btree.protocols import Key, Value

if TYPE_CHECKING:
    from btree.tree import Tree

FEW, FEW_ROWS = 16, 64
"""Keys up to which they are looked up as they come, and row ids, of which a few may lie in one leaf."""
_DENSE = 6
"""A leaf's entries per wanted key up to which it is made a dict of."""
_FEW_EQUAL = 8
"""Keys of one prefix that are counted one by one, before their end is searched for."""
_NEAR = 64
"""How far the end of a run is looked for nearby."""
_SAMPLED, _NEIGHBOURS = 33, 64
"""Keys that are looked at to tell how they lie, and the distance of neighbours."""
_APART = 16
"""Entries from one wanted key to the next from which on a walk gains nothing."""
_EQUAL_STEPS = 16
"""Entries of one prefix that are counted one by one, before their end is searched for."""


def get_few(tree: Tree, keys: Sequence[Key], columns: Collection[int] | None = None) -> list[Value]:
    """The values at `keys` in their order, None where there is none: a descent for each that the leaf of the one
    before has not.  `columns`: see `Tree.get_many`.

    Rows that were inserted together are looked up together, as what belongs to one row of another table: 0.5 us for
    each that lies in the same leaf, 0.2 where none is missing between them, and 0.9 by a descent of its own."""
    if not keys or keys[0].__class__ is not int:
        get = tree.get
        return [get(key) for key in keys]
    whole = _neighbours(tree, keys)
    return _one_by_one(tree, keys, columns) if whole is None else whole


def _neighbours(tree: Tree, keys: Sequence[Any]) -> list[Value] | None:
    """The values of consecutive row ids of one leaf; None if they are none."""
    first, count = keys[0], len(keys)
    try:
        if count == 1 or keys[-1] - first != count - 1 or keys != [*range(first, first + count)]:
            return None
        tree.descents += 1
        node: Any = tree.root
        children = node.children
        while children is not None:
            node = children[bisect_right(node.keys, first)]
            children = node.children
        there, values = node.keys, node.values
        slot = first - there[0]
        if not 0 <= slot < len(there) or there[slot] != first:
            slot = bisect_left(there, first)
        end = slot + count
        if there[end - 1] != keys[-1] or there[slot] != first:
            return None
        found: list[Value] = values[slot:end] if values.__class__ is list else values.cut(slot, end)
        return found
    except (AttributeError, IndexError, TypeError):
        return None  # a node to be loaded, the next leaf; no integers


def _one_by_one(tree: Tree, keys: Sequence[Any], columns: Collection[int] | None) -> list[Value]:
    found: list[Value] = []
    node: Any
    there: Sequence[Any] = ()
    values: Any = ()
    first = count = 0
    root = tree.root
    for key in keys:
        try:
            slot = key - first
            if not 0 <= slot < count or there[slot] != key:
                tree.descents += 1
                node = root
                children = node.children
                while children is not None:
                    node = children[bisect_right(node.keys, key)]
                    children = node.children
                there, values = node.keys, node.values
                first, count = there[0], len(there)
                slot = key - first  # see `Tree.get`
                if not 0 <= slot < count or there[slot] != key:
                    slot = bisect_left(there, key)
            if there[slot] != key:
                found.append(None)
            elif columns is None or values.__class__ is not PageRows:
                found.append(values[slot])
            else:
                found.append(values.part(slot, columns))
        except (AttributeError, IndexError, TypeError):
            # A node to be loaded, or a leaf to be decoded; beyond the last key; NULL or several kinds.
            found.append(_one(tree, key, columns))
            root = tree.root
            count = 0
    return found


def _one(tree: Tree, key: Any, columns: Collection[int] | None) -> Value:
    if columns is None or key is None:
        return tree.get(key)
    return look_up_part(tree, tree.root, key, columns)


def get_many(
    tree: Tree, keys: Sequence[Key], columns: Collection[int] | None = None
) -> list[Value]:
    """The values at `keys` in their order, None where there is none.  `columns`: see `Tree.get_many`."""
    if len(keys) * tree.leaf_limit < 2 * len(tree) and _scattered(keys):
        return _one_by_one(tree, keys, columns)
    try:
        if all(map(lt, keys, islice(keys, 1, None))):
            return _ascending(tree, keys, columns)
        wanted = sorted({key for key in keys if key is not None})
    except TypeError:  # keys of several kinds
        return [tree.get(key) for key in keys]
    found = dict(zip(wanted, _ascending(tree, wanted, columns), strict=True))
    return [*map(found.get, keys)]


def _ascending(tree: Tree, keys: Sequence[Key], columns: Collection[int] | None) -> list[Value]:
    """`get_many` of ascending keys."""
    is_apart = len(keys) > 1 and _are_apart(tree, keys[0], keys[-1], len(keys))
    return _one_by_one(tree, keys, columns) if is_apart else _values_at(tree, keys, columns)


def _are_apart(tree: Tree, low: Any, high: Any, count: int) -> bool:
    """Whether so many numbers between two of a tree are so far apart that few leaves have several of them.

    The walk gains nothing then: a descent takes 0.6 to 1.2 us where it takes 0.8 to 1.4, of prefixes 3 where it takes 4."""
    first, last = tree.first(), tree.last()
    if low.__class__ is not int or high.__class__ is not int or first is None or last is None:
        return False
    start, stop = first[0], last[0]
    if start.__class__ is tuple:
        start, stop = start[0], stop[0]
    if start.__class__ is not int or stop.__class__ is not int or start >= stop:
        start, stop = low, high  # NULLs, or others, beside the numbers
    return len(tree) * (high - low) > _APART * count * (stop - start)


def _scattered(keys: Sequence[Key]) -> bool:
    """Whether hardly two of the first keys are neighbours.

    Keys that have a leaf each are looked up by descents of their own, 1.4 us in a million rows: the walk gains nothing
    where it serves a key at a time, and takes 2 to 3 with the sort before it."""
    near = 0
    try:
        for a, b in pairwise(islice(keys, _SAMPLED)):
            near += -_NEIGHBOURS < a - b < _NEIGHBOURS
    except TypeError:  # no numbers
        return False
    return near < _SAMPLED // 8


def _values_at(tree: Tree, keys: Sequence[Key], columns: Collection[int] | None) -> list[Value]:
    found: list[Value] = []
    for leaf, start, stop in _runs(tree, keys):
        if stop - start == 1:
            # The commonest case, bare; a number's slot is guessed from its distance to the first.
            try:
                key, there = keys[start], leaf.keys
                slot = key - there[0] if key.__class__ is int else -1
                if not 0 <= slot < len(there) or there[slot] != key:
                    slot = bisect_left(there, key)
                values: Any = leaf.values
                if there[slot] != key:
                    found.append(None)
                elif columns is None or values.__class__ is not PageRows:
                    found.append(values[slot])
                else:
                    found.append(values.part(slot, columns))
                continue
            except (AttributeError, IndexError, TypeError):
                pass
        found += _of_leaf(tree, leaf, keys[start:stop], columns)
    return found


def _runs(tree: Tree, keys: Sequence[Key]) -> Iterator[tuple[Node | PackedLeaf, int, int]]:
    """(leaf, start, stop) for ascending keys: `keys[start:stop]` are in that leaf or nowhere.

    A prefix of tuples counts as the key that it is."""
    start, count = 0, len(keys)
    while start < count:
        node, bound = tree.root, None
        while node.level > 1:
            slot = search_right(node.keys, keys[start])
            if slot < len(node.keys):
                bound = node.keys[slot]
            node = tree.child(node, slot)
        end = count if bound is None else search_left(keys, bound, start)
        tree.visit(pages=tree.root.level)
        if node.children is None:
            tree.visit(pages=1)
            yield node, start, end
            return
        separators, children = node.keys, node.children
        last = len(separators)
        slot = pages = 0
        try:
            while start < end:
                slot = bisect_right(separators, keys[start], slot)
                stop = start + 1
                if slot == last:
                    stop = end
                elif stop < end and not separators[slot] <= keys[stop]:
                    near = min(stop + _NEAR, end)
                    if near < end and keys[near] < separators[slot]:
                        stop = bisect_left(keys, separators[slot], near, end)
                    else:
                        stop = bisect_left(keys, separators[slot], stop, near)
                leaf = children[slot]
                if leaf.__class__ is not Node:
                    if (stop - start) * _DENSE > tree.leaf_limit:
                        leaf = child_to_read(tree, node, slot)
                    else:
                        leaf = packed_child(tree, node, slot)
                pages += 1
                yield leaf, start, stop
                start = stop
        except TypeError:  # keys of several kinds
            while start < end:
                slot = search_right(separators, keys[start])
                stop = end if slot == last else search_left(keys, separators[slot], start)
                pages += 1
                yield child_to_read(tree, node, slot), start, stop
                start = stop
        tree.visit(pages=pages)


def _of_leaf(
    tree: Tree, leaf: Any, wanted: Sequence[Key], columns: Collection[int] | None
) -> list[Value]:
    """The values of distinct ascending keys of one leaf."""
    keys, values = leaf.keys, leaf.values
    if not keys:
        return [None] * len(wanted)
    if leaf.__class__ is PackedLeaf and values is not None:
        return values.rows_at(keys, wanted, columns)  # type: ignore[no-any-return]
    try:
        if values is None:
            present = set(keys)
            return [True if key in present else None for key in wanted]
        first, last = keys[0], keys[-1]
        gapless = first.__class__ is int and last - first == len(keys) - 1
        if gapless and first <= wanted[0] and wanted[-1] <= last:
            low, high = wanted[0] - first, wanted[-1] - first  # a key's slot is its distance
            if high - low == len(wanted) - 1 and values.__class__ is list:
                return values[low : high + 1]
            return [values[key - first] for key in wanted]
        if len(wanted) * _DENSE > len(keys):
            whole = tree.values_of(leaf, 0, len(keys), columns)
            return [*map(dict(zip(keys, whole, strict=True)).get, wanted)]
    except (AttributeError, TypeError):  # large values; keys of several kinds
        pass
    found = []
    for key in wanted:
        slot = search_left(keys, key)
        there = slot < len(keys) and keys[slot] == key
        if there and values is not None:
            found.append(tree.value(leaf, slot, columns))
        else:
            found.append(there or None)
    return found


def prefixed_in(keys: Sequence[Key], prefix: tuple[Any, ...]) -> list[Key] | None:
    """Those of a leaf's keys that start with `prefix`; None if the next leaf may have some, too, or the keys are
    of several kinds."""
    try:
        if keys.__class__ is PackedKeys:
            return keys.prefixed(prefix)
        end = first = bisect_left(keys, prefix)
        width, count = len(prefix), len(keys)
        enough = min(first + _FEW_EQUAL, count)
        while end < enough and keys[end][:width] == prefix:
            end += 1
        if end - first == _FEW_EQUAL:
            end = bisect_left(keys, (*prefix, MAX), end)
    except TypeError:  # keys of several kinds
        return None
    return None if end == count else keys[first:end]  # type: ignore[return-value]


def prefixed_many(tree: Tree, prefixes: Sequence[tuple[Any, ...]]) -> list[list[Key]]:
    """For each of the ascending prefixes the keys that start with it."""
    found: list[list[Key]] = []
    single = bool(prefixes) and len(prefixes[0]) == 1
    if (
        single
        and len(prefixes) > 1
        and _are_apart(tree, prefixes[0][0], prefixes[-1][0], len(prefixes))
    ):
        return _prefixed_apart(tree, prefixes)
    for leaf, start, stop in _runs(tree, prefixes):
        keys = leaf.keys
        count = len(keys)
        if keys.__class__ is PackedKeys:
            wanted = prefixes[start:stop]
            is_last = False
            for prefix, few in zip(wanted, _prefixed_each(keys, wanted), strict=True):
                if few is not None:
                    found.append(few)
                    continue
                is_last = is_last or leaf is _last_leaf(tree)
                if not is_last:
                    found.append(_beyond(tree, prefix))
                    continue
                slot = keys.slot_of(prefix)
                if slot == count:  # nor is there anything of those that follow
                    found += [[] for _ in range(len(prefixes) - len(found))]
                    break
                # Beside keys of other kinds it may be that nothing was said of it: what follows need not be its own.
                found.append(keys[slot : keys.slot_of((*prefix, MAX))])
            continue
        firsts: list[Any] = []
        if single and (stop - start) * _DENSE > count:
            # Elements compare for a third of what tuples do: worth picking them where many are looked for.
            firsts = [key[0] for key in keys]
        slot = 0
        for prefix in prefixes[start:stop]:
            try:
                if firsts:
                    (value,) = prefix
                    slot = bisect_left(firsts, value, slot)
                    end = bisect_right(firsts, value, slot)
                else:
                    end = slot = bisect_left(keys, prefix, slot)
                    if single:
                        (value,) = prefix
                        enough = slot + _EQUAL_STEPS
                        while end < count and keys[end][0] == value and end < enough:
                            end += 1
                    if not single or end == slot + _EQUAL_STEPS:
                        end = bisect_left(keys, (*prefix, MAX), end)
            except TypeError:  # keys of several kinds
                slot = search_left(keys, prefix)
                end = search_left(keys, (*prefix, MAX), slot)
            found.append(keys[slot:end] if end < count else _beyond(tree, prefix))
    return found


def _prefixed_apart(tree: Tree, prefixes: Sequence[tuple[Any]]) -> list[list[Key]]:
    """`prefixed_many` of prefixes of one part by descents of their own, without a call for each."""
    tree.descents += len(prefixes)
    found: list[list[Key]] = []
    node: Any
    for prefix in prefixes:
        try:
            node = tree.root
            children = node.children
            while children is not None:
                node = children[bisect_right(node.keys, prefix)]
                children = node.children
            columns, (value,) = node.keys.columns, prefix
            column = columns[0]
            start = end = bisect_left(column, value)
            while column[end] == value:
                end += 1
            if start == end:
                found.append([])
            elif end - start == 1:
                found.append([tuple([column[start] for column in columns])])
            else:
                found.append([*zip(*[column[start:end] for column in columns], strict=True)])
        except (AttributeError, IndexError, TypeError):
            # A node to be loaded, or whose keys are tuples; they may go on in the next leaf; several kinds.
            run = tree.prefixed(prefix)
            found.append(_beyond(tree, prefix) if run is None else run)
    return found


def rows_prefixed(
    tree: Tree, prefixes: Sequence[tuple[Any, ...]], columns: Collection[int] | None = None
) -> list[list[Value]]:
    """For each of the ascending prefixes the values of the keys that start with it, in one walk.  Of CLUSTERED trees."""
    found: list[list[Value]] = []
    single = bool(prefixes) and len(prefixes[0]) == 1
    for leaf, start, stop in _runs(tree, prefixes):
        keys: Any = leaf.keys
        values, wanted = leaf.values, prefixes[start:stop]
        if values.__class__ is not list or keys.__class__ is PackedKeys:
            lists = [prefixed_in(keys, prefix) for prefix in wanted]
            found += rows_of_keys(
                tree,
                [
                    _beyond(tree, prefix) if of_leaf is None else of_leaf
                    for prefix, of_leaf in zip(wanted, lists, strict=True)
                ],
                columns,
            )
            continue
        count = len(keys)
        firsts = [key[0] for key in keys] if single and len(wanted) * _DENSE > count else None
        slot = 0
        for prefix in wanted:
            try:
                if firsts is not None:
                    (value,) = prefix
                    slot = bisect_left(firsts, value, slot)
                    end = bisect_right(firsts, value, slot)
                else:
                    end = slot = bisect_left(keys, prefix, slot)
                    width, enough = len(prefix), min(slot + _EQUAL_STEPS, count)
                    while end < enough and keys[end][:width] == prefix:
                        end += 1
                    if end == slot + _EQUAL_STEPS:
                        end = bisect_left(keys, (*prefix, MAX), end)
            except TypeError:  # keys of several kinds
                slot = search_left(keys, prefix)
                end = search_left(keys, (*prefix, MAX), slot)
            if end < count:
                found.append(values[slot:end])
            else:
                found += rows_of_keys(tree, [_beyond(tree, prefix)], columns)
    return found


def rows_of_keys(
    tree: Tree, lists: list[list[Key]], columns: Collection[int] | None
) -> list[list[Value]]:
    """The values at the keys of each list."""
    rows = iter(tree.get_many([key for keys in lists for key in keys], columns))
    return [[*islice(rows, len(keys))] for keys in lists]


def prefixes_present(tree: Tree, prefixes: Sequence[tuple[Any, ...]]) -> list[bool]:
    """For each of the ascending prefixes whether any key starts with it."""
    if not prefixes:
        return []
    single = len(prefixes[0]) == 1
    if single and _are_apart(tree, prefixes[0][0], prefixes[-1][0], len(prefixes)):
        return _present_apart(tree, prefixes)
    found: list[bool] = []
    for leaf, start, stop in _runs(tree, prefixes):
        keys: Any = leaf.keys
        wanted = prefixes[start:stop]
        there: set[Any] = set()
        if single and len(wanted) * _DENSE > len(keys):
            is_packed = isinstance(keys, PackedKeys)
            there.update(keys.columns[0] if is_packed else [key[0] for key in keys])
        for prefix in wanted:
            found.append(prefix[0] in there or _is_present(tree, keys, prefix))
    return found


def _present_apart(tree: Tree, prefixes: Sequence[tuple[Any, ...]]) -> list[bool]:
    """`prefixes_present` of prefixes of one part by descents of their own."""
    tree.descents += len(prefixes)
    found: list[bool] = []
    node: Any
    for prefix in prefixes:
        try:
            node = tree.root
            children = node.children
            while children is not None:
                node = children[bisect_right(node.keys, prefix)]
                children = node.children
            column, (value,) = node.keys.columns[0], prefix
            found.append(column[bisect_left(column, value)] == value)
        except (AttributeError, IndexError, TypeError):
            # A node to be loaded, or whose keys are tuples; the next leaf may have it; several kinds.
            found.append(_is_present(tree, tree.leaf(prefix).keys, prefix))
    return found


def _is_present(tree: Tree, keys: Sequence[Any], prefix: tuple[Any, ...]) -> bool:
    """Whether a key starts with it, which stands in the leaf of these keys or at the beginning of the next."""
    slot = keys.slot_of(prefix) if isinstance(keys, PackedKeys) else search_left(keys, prefix)
    if slot < len(keys):
        return bool(keys[slot][: len(prefix)] == prefix)
    if not keys:
        return False
    return any(found for found, _ in tree.batches(prefix, prefix, hi_inclusive=True))


def _prefixed_each(keys: PackedKeys, prefixes: Sequence[tuple[Any, ...]]) -> list[list[Key] | None]:
    try:
        if len(prefixes[0]) == 1:
            return keys.prefixed_each(prefixes)
    except TypeError:  # of several kinds
        pass
    return [prefixed_in(keys, prefix) for prefix in prefixes]


def _last_leaf(tree: Tree) -> Any:
    """The last leaf, behind which no key can be; None where it is not in memory."""
    node: Any = tree.root
    try:
        while node.children is not None:
            node = node.children[-1]
    except AttributeError:
        return None
    return node


def _beyond(tree: Tree, prefix: tuple[Any, ...]) -> list[Key]:
    """The keys of a prefix that may go on in the next leaf."""
    found: list[Key] = []
    for keys, _ in tree.batches(prefix, prefix, hi_inclusive=True):
        found += keys
    return found
