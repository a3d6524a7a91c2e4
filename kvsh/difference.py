"""What differs between two states of a tree: the ground that `.undo` and `.dry` stand on.

Two snapshots of a tree share the leaves that did not change, so those are passed over without a look at
their entries.  Elsewhere entries that are equal on both sides cancel out as the two scans go along; what is left
is the difference.  Time is in proportion to the leaves that changed where the leaves are in memory, else to the
tree; memory to the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from btree import Key, Tree, Value, order_key

Batch = tuple[list[Key], list[Value]]


@dataclass(slots=True)
class Difference:
    """How to get from the old state to the new one; keys in the tree's order within each part."""

    removed: dict[Key, Value] = field(default_factory=dict)  # key -> old value
    added: dict[Key, Value] = field(default_factory=dict)  # key -> new value
    changed: dict[Key, tuple[Value, Value]] = field(default_factory=dict)  # key -> (old, new)

    def __bool__(self) -> bool:
        return bool(self.removed or self.added or self.changed)

    def __len__(self) -> int:
        return len(self.removed) + len(self.added) + len(self.changed)


def difference(
    old: Iterator[Batch] | None,
    new: Iterator[Batch] | None,
    check: Callable[[], None] = lambda: None,
) -> Difference:
    """The difference between two scans of one tree (None: there is no such tree).

    `check` is called once a leaf and may raise, so that a long comparison can be cancelled."""
    found = Difference()
    sides = _Sides(found)
    left, right = _next(old), _next(new)
    while left is not None or right is not None:
        check()
        if left is not None and right is not None:
            if left[0] is right[0] and left[1] is right[1]:
                left, right = _next(old), _next(new)
                continue
            if order_key(left[0][-1]) <= order_key(right[0][-1]):
                sides.take_old(left)
                left = _next(old)
            else:
                sides.take_new(right)
                right = _next(new)
        elif left is not None:
            sides.take_old(left)
            left = _next(old)
        elif right is not None:
            sides.take_new(right)
            right = _next(new)
    return found


def _next(batches: Iterator[Batch] | None) -> Batch | None:
    """The next batch that holds anything."""
    if batches is None:
        return None
    for keys, values in batches:
        if keys:
            return keys, values or [None] * len(keys)
    return None


class _Sides:
    """Entries seen on one side only so far: `removed` and `added` of the difference being made."""

    def __init__(self, found: Difference) -> None:
        self.found = found

    def take_old(self, batch: Batch) -> None:
        added, removed, changed = self.found.added, self.found.removed, self.found.changed
        for key, value in zip(*batch, strict=True):
            if key in added:
                now = added.pop(key)
                if not _same(value, now):
                    changed[key] = (value, now)
            else:
                removed[key] = value

    def take_new(self, batch: Batch) -> None:
        added, removed, changed = self.found.added, self.found.removed, self.found.changed
        for key, value in zip(*batch, strict=True):
            if key in removed:
                before = removed.pop(key)
                if not _same(before, value):
                    changed[key] = (before, value)
            else:
                added[key] = value


def _same(a: Value, b: Value) -> bool:
    """Equal, and of equal kinds: 1 and 1.0 are not the same value."""
    if a is b:
        return True
    if a != b:
        return False
    if isinstance(a, tuple):
        return all(x.__class__ is y.__class__ for x, y in zip(a, b, strict=True))
    return a.__class__ is b.__class__


def snapshot(tree: Tree) -> list[Batch]:
    """A tree's leaves as they are now, kept for a comparison after they change.  The lists are shared, not copied."""
    return list(tree.batches())


def reverse(tree: Tree, found: Difference) -> None:
    """Put a tree in the new state back into the old one.

    Where no entry stays, the tree begins anew: it may have been given columns, which the older rows must not
    be taken to lack."""
    if len(tree) == len(found.added) + len(found.changed):
        tree.clear()
    elif found.added:
        tree.delete_many(sorted(found.added, key=order_key))
    back = dict(found.removed)
    back.update((key, old) for key, (old, _) in found.changed.items())
    if back:
        keys = sorted(back, key=order_key)
        tree.load(keys, [back[key] for key in keys])
