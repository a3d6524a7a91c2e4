"""What of the trees stays in memory: a budget of bytes, and eviction that costs a hit nothing.

Nodes hang in their parents' `children` themselves ("swizzled"), so a hit passes no cache and leaves
no trace.  When the budget is exceeded, a sweep over the trees puts locations back in the place of
randomly chosen clean nodes and keeps those nodes in a cooling stage for a while.  A node that is
wanted meanwhile is put back from there; what stays until the stage is full is forgotten.  So rarely
used nodes go, often used ones stay, and nothing is counted on a hit.  Branches go once nothing below
them is in memory, and do not cool: the same page of a branch stands for different children in
different versions, so a branch that comes back has to be read anew and its children located anew.
Source: Leis et al., "LeanStore: In-Memory Data Management beyond Main Memory", ICDE 2018.

Sizes: the memory of a node is estimated from the bytes of its page by a factor per tree, which is
measured on a sample of nodes with `sys.getsizeof`.

Threads: any thread may load and sweep.  A sweep changes only slots of nodes that no writer owns (a
list item is assigned in one step), and one sweep runs at a time.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from operator import methodcaller
from typing import Any

from btree.column_use import ColumnUse
from btree.hot import HOT_SHARE, Hot
from btree.kept_columns import Columns
from btree.node import LongRow, Node
from btree.packed import PackedLeaf
from btree.packed_values import PackedValues
from btree.raw_pages import RecentPages

COOLING_SHARE = 0.10
"""Share of the budget that a sweep moves to the cooling stage, and that the stage may hold."""

COLUMN_SHARE = 0.5
"""Share of the budget up to which scans by column have other nodes evicted.  A column takes a fifth of what
its rows do, so that scans come into memory sooner; but they must not drive out all that is looked up."""

FILLED_SHARE = 0.9
"""Share of the budget up to which scans keep what they read."""

NUMBER_SHARE = 0.25
"""Share of the budget that is for columns of numbers alone, once they are packed: they take the least, and save as much."""

PAGE_SHARE = 0.75
"""Share of the budget from which on a page of the raw tree that look-ups have read takes the place of older ones;
until then a sweep makes room for it."""

_DROPPED_SHARE = 1 / 8
"""Share of the budget of which columns that nobody asks for are dropped at once."""

_WORTHWHILE_SHARE = 1 / 32
"""Share of the budget that is worth another try."""

_HOPELESS_SHARE = 0.03
SEEN_MAX = 1 << 17
"""Leaves that are remembered for a while, so that the second scan of them keeps them."""

_SAMPLE_EVERY = 64
_WEIGHED_EVERY = 8
_GC_HEADER_BYTES = 16


class Cache:
    """The budget of one store.

    `scans_once`: most scans come once, so a leaf that one loads is kept only if a scan has loaded it
    before (the idea of 2Q: Johnson and Shasha, VLDB 1994).  A result of a million rows then streams in
    little memory."""

    def __init__(self, budget_bytes: int, *, scans_once: bool = False) -> None:
        self.budget_bytes = budget_bytes
        self._scans_once = scans_once
        self._seen: set[int] = set()  # pages of leaves that scans have loaded
        self.used_bytes = 0  # `hot` beside it
        self.hot = Hot(int(budget_bytes * HOT_SHARE))
        self.pages = RecentPages()  # part of `used_bytes`
        self.column_bytes = 0  # part of `used_bytes`
        self.packs_columns = False  # there was no room for more of them as they are
        self._limits_others = False  # nor for numbers that are packed
        self.waiting_bytes = 0  # likewise: changes that are not in the nodes yet
        self.use = ColumnUse()
        self.rewritten: set[int] = set()  # trees whose pages were written for a few rows each
        self.evictions = 0
        self.loads = 0
        self._cooling: dict[int, Node] = {}
        self._factors: dict[int, float] = {}
        self.entry_bytes: dict[int, float] = {}  # by tree, about, of what writers put
        self._sweeping = threading.Lock()
        self._draws = 0x9E3779B9
        self._hopeless_bytes = 0.0  # what the latest sweep left in use, if that was too much
        self._weighed = 0

    @property
    def has_room(self) -> bool:
        """Whether a scan may keep what it loads."""
        return self.used_bytes + self.hot.bytes < self.budget_bytes * FILLED_SHARE

    @property
    def column_room(self) -> float:
        """Bytes of columns that a scan may keep: what is free, and up to their share of the budget."""
        free = self.budget_bytes * FILLED_SHARE - self.used_bytes - self.hot.bytes
        return max(free, self.budget_bytes * COLUMN_SHARE - self.column_bytes)

    @property
    def number_room(self) -> float:
        """Bytes of it that are for numbers alone; 0 as long as others have not been in their way."""
        return self.budget_bytes * NUMBER_SHARE if self._limits_others else 0.0

    def pack_columns(self, roots: Iterable[Node], *, has_numbers: bool) -> bool:
        """There is no room for more columns: pack the numbers among those that are kept, and those that come from now on.
        Where that makes no room for numbers (`has_numbers`), which take the least and save as much, others are left what
        is not theirs.  Whether there is more room now."""
        self.use.refuse()
        if not self._sweeping.acquire(blocking=False):
            return False
        try:
            roots = list(roots)
            if not self.packs_columns:
                self.packs_columns = True
                before = self.column_bytes
                self._have_less(roots, before)
                if before - self.column_bytes > self.budget_bytes * _WORTHWHILE_SHARE:
                    return True
            if not has_numbers or self._limits_others:
                return False
            self._limits_others = True
            nodes = self.used_bytes - self.column_bytes + self.hot.bytes
            free = self.budget_bytes * FILLED_SHARE - nodes
            share = self.budget_bytes * COLUMN_SHARE
            self._have_less(roots, int(max(free, share) - self.number_room))
            return True
        finally:
            self._sweeping.release()

    def drop_stale(
        self, since: int, roots_of: Callable[[int], Iterable[Node]], wanted: int = 0
    ) -> None:
        """Make room for so many bytes of columns that nobody has asked for since then, if there is none: they are packed, and
        where that is not enough dropped.  `roots_of`: those of a tree."""
        if not self._sweeping.acquire(blocking=False):
            return
        try:
            enough = max(wanted, self.budget_bytes * _DROPPED_SHARE)
            if self.column_room - self.number_room > enough and self.has_room:
                return
            enough -= max(0, self.column_room - self.number_room) if wanted else 0
            stale = [*self.use.stale(since)]
            for drops in (False, True):
                for tree_id, number in stale:
                    change = methodcaller("with_packed", number)
                    if drops:
                        self.use.forget((tree_id, number))
                        change = methodcaller("without", number)
                    enough += self._change(roots_of(tree_id), number, change)
                    if enough < 0:
                        return
        finally:
            self._sweeping.release()

    def unpack(
        self, tree_id: int, number: int, since: int, roots_of: Callable[[int], Iterable[Node]]
    ) -> None:
        """Keep a column that is packed as objects, if there is room for all of it, or can be made: see `drop_stale`."""
        more = sum(
            [
                column.unpacked_bytes - column.bytes
                for root in roots_of(tree_id)
                for branch in _with_columns(root)
                if isinstance(branch.columns, Columns)
                for column in branch.columns.lists.get(number, ())
                if isinstance(column, PackedValues)
            ]
        )
        if not 0 < more < self.budget_bytes * COLUMN_SHARE:
            return
        self.drop_stale(since, roots_of, more)
        if more < self.column_room - self.number_room and self._sweeping.acquire(blocking=False):
            try:
                self._change(roots_of(tree_id), number, methodcaller("with_objects", number))
            finally:
                self._sweeping.release()

    def _change(
        self,
        roots: Iterable[Node],
        number: int,
        change: Callable[[Columns], Columns | None],
    ) -> int:
        """Have something else kept of the branches that keep a column; how many bytes more that takes."""
        more = 0
        for branch in dict.fromkeys([each for root in roots for each in _with_columns(root)]):
            kept = branch.columns
            if isinstance(kept, Columns) and number in kept.lists:
                branch.columns = made = change(kept)
                more += (0 if made is None else made.bytes) - kept.bytes
        self.used_bytes += more
        self.column_bytes += more
        return more

    def _have_less(self, roots: list[Node], others_max: int) -> None:
        """Pack the numbers of the columns that are kept, and drop others beyond so many bytes."""
        for branch in dict.fromkeys([each for root in roots for each in _with_columns(root)]):
            columns = branch.columns
            if isinstance(columns, Columns):
                branch.columns, taken = columns.in_less(others_max)
                others_max -= taken
        self.recount(roots)

    def is_over(self, held: float = 0.0) -> bool:
        """Whether a sweep is due, with bytes that a writer holds beside the cache.  After one that could not make enough
        room, since most of what there is has still to be written, not before somewhat more has come."""
        used, budget = self.used_bytes + self.hot.bytes + held, self.budget_bytes
        return used > budget and used > self._hopeless_bytes * (1 + _HOPELESS_SHARE)

    @property
    def is_hopeless(self) -> bool:
        """Whether the latest sweep could not make enough room."""
        return self._hopeless_bytes > 0

    def claim_for_columns(self, size_bytes: int) -> bool:
        """Make columns that are kept longer by so much, unless there is no room; or shorter."""
        if size_bytes > max(0, self.column_room):
            self.use.refuse()
            return False
        self.used_bytes += size_bytes
        self.column_bytes += size_bytes
        return True

    def keep_page(self, location: int, page: bytes) -> None:
        """Keep a page as it lies, in the place of older ones where there is no room."""
        self.used_bytes += self.pages.keep(location, page)
        over = self.used_bytes + self.hot.bytes - self.budget_bytes * 0.95
        if over > 0 and self.pages.bytes > self.budget_bytes * PAGE_SHARE:
            self.used_bytes -= self.pages.drop(over)

    def keeps_scanned(self, page: int) -> bool:
        """Whether the leaf of `page`, which a scan has loaded, is to be kept."""
        if not self.has_room:
            return False
        if not self._scans_once or page in self._seen:
            return True
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen.add(page)
        return False

    def revived(self, location: int) -> Node | None:
        """The node of `location` if it is still cooling."""
        return self._cooling.pop(location, None)

    def is_cooling(self, location: int) -> bool:
        """Whether `revived` would give the node of `location`."""
        return location in self._cooling

    def account(self, tree_id: int, node: Node, page_bytes: int) -> None:
        """Note a node that came into memory, or changed its size, as a page of `page_bytes`."""
        self.loads += 1
        factor = self._factors.get(tree_id)
        if factor is None or self.loads % _SAMPLE_EVERY == 0:
            measured = memory_of(node) / page_bytes
            factor = measured if factor is None else factor * 0.75 + measured * 0.25
            self._factors[tree_id] = factor
        size = int(page_bytes * factor)
        self.used_bytes += size - node.bytes
        node.bytes = size

    def weigh(self, tree_id: int, some: Node) -> float:
        """Take some entries as what a writer puts into a tree; by how much they are taken for larger than before."""
        known = self.entry_bytes.get(tree_id)
        self._weighed += 1
        if known is not None and self._weighed % _WEIGHED_EVERY:
            return 0.0
        measured = (_memory_of_all(some.keys) + _memory_of_all(some.values)) / max(
            len(some.keys), 1
        )
        self.entry_bytes[tree_id] = found = measured if known is None else (known + measured) / 2
        return found - (known or found)

    def clear(self) -> None:
        """Forget the cooling nodes and the pages: their locations mean nothing any more."""
        self._cooling = {}
        self.pages.clear()

    def sweep(self, roots: Iterable[Node], held: float = 0.0) -> None:
        """Make room.  `roots`: of the trees in which nodes may be evicted.  `held`: see `is_over`."""
        if not self._sweeping.acquire(blocking=False):
            return
        try:
            self._sweep(list(roots), held)
        finally:
            self._sweeping.release()

    def recount(self, roots: Iterable[Node]) -> None:
        """Take stock: what went with older versions is not noted as it goes."""
        roots = list(roots)
        cooling_bytes = sum([node.bytes for node in list(self._cooling.values())])
        seen: set[int] = set()  # a writer's tree shares most nodes with the one it came from
        node_bytes = sum([_bytes_below(root, seen) for root in roots])
        self.used_bytes = node_bytes + cooling_bytes + self.waiting_bytes + self.pages.bytes
        counted: set[int] = set()
        self.column_bytes = sum([_column_bytes_below(root, counted) for root in roots])

    def _sweep(self, roots: list[Node], held: float) -> None:
        self.recount(roots)
        cooling = self._cooling
        cooling_bytes = sum([node.bytes for node in list(cooling.values())])
        used = self.used_bytes - cooling_bytes
        goal = int(self.budget_bytes * (1 - COOLING_SHARE) - self.hot.bytes - held)
        wanted = used - goal + int(self.budget_bytes * COOLING_SHARE)
        if wanted > 0:
            chance = wanted / max(used, 1)
            # Each sweep goes on where the one before it ended, as a clock's hand: one that began anywhere would
            # often come to where others have just been, and find little.
            self._draws = self._draws - int(chance * 0x100000000) & 0xFFFFFFFF
            surplus = used + cooling_bytes - goal
            used -= self.pages.drop(surplus * self.pages.bytes / max(used + cooling_bytes, 1))
            for root in roots:
                used -= self._drop_columns(root, chance) + self._drop_packed(root, chance)
                cooled = self._cool(root, chance)
                used -= cooled
                cooling_bytes += cooled
        while cooling and used + cooling_bytes > goal:
            try:
                location = next(iter(cooling))
            except (RuntimeError, StopIteration):  # another thread has just revived one
                continue
            node = cooling.pop(location, None)
            if node is not None:
                cooling_bytes -= node.bytes
                self.evictions += 1
        self.used_bytes = used + cooling_bytes
        in_all = self.used_bytes + self.hot.bytes + held
        self._hopeless_bytes = in_all if self.used_bytes > goal else 0.0

    def _draw(self, page: int) -> float:
        """A number in [0, 1) to choose a node by; in one sweep the same for a page in whichever tree it
        is met, or what one lets go the other would keep.  (The multiples of the golden ratio are
        spread evenly: Knuth, TAOCP 3, 6.4.)"""
        return (page * 0x9E3779B1 + self._draws & 0xFFFFFFFF) / 0x100000000

    def _drop_columns(self, branch: Node, chance: float) -> int:
        """Take some of the columns that lowest branches keep away; how many bytes.  Only who uses them
        holds them then."""
        if branch.level > 1:
            below = [child for child in branch.children or () if child.__class__ is Node]
            return sum([self._drop_columns(child, chance) for child in below])
        columns = branch.columns
        if columns is None or self._draw(branch.page) >= chance:
            return 0
        branch.columns = None
        self.column_bytes -= columns.bytes
        self.evictions += 1
        return columns.bytes

    def _drop_packed(self, branch: Node, chance: float) -> int:
        """Take some packed leaves away; how many bytes.  They don't cool: a page is soon packed again."""
        children, pages = branch.children, branch.pages
        if children is None or pages is None:
            return 0
        if branch.level > 1:
            below = [child for child in children if child.__class__ is Node]
            return sum([self._drop_packed(child, chance) for child in below])
        dropped = 0
        for slot, child in enumerate(children):
            if child.__class__ is PackedLeaf and self._draw(pages[slot]) < chance:
                children[slot] = int(child)
                dropped += child.bytes
                child.bytes = 0  # another version's branch may have it, too
                self.evictions += 1
        return dropped

    def _cool(self, branch: Node, chance: float) -> int:
        """Move some clean nodes below `branch` to the cooling stage; how many bytes."""
        children = branch.children
        pages = branch.pages
        if children is None or pages is None:
            return 0
        cooled = 0
        draw = self._draw
        for slot, child in enumerate(children):
            if child.__class__ is not Node:
                continue
            below = child.children
            if below is not None:
                cooled += self._cool(child, chance)
            if draw(pages[slot]) >= chance:
                continue
            if below is not None and (
                child.columns is not None
                or any(grandchild.__class__ is not int for grandchild in below)
            ):
                continue
            if child.unflushed or not child.location or child.page != pages[slot]:
                continue  # unwritten, or numbered after this branch was left to older versions
            children[slot] = child.location
            if below is not None:
                # It does not cool: two versions of it, whose leaves were written anew under the numbers that they
                # had, are one page, so that its location does not tell which of them to revive.
                self.evictions += 1
            elif self._cooling.get(child.location) is child:
                continue  # it went from another version's tree, too
            else:
                self._cooling[child.location] = child
            cooled += child.bytes
        return cooled


def _bytes_below(node: Node, seen: set[int]) -> int:
    """Bytes of a node and of all below it, but for nodes that are in `seen` by their ids."""
    if id(node) in seen:
        return 0
    seen.add(id(node))
    total = node.bytes + _column_bytes_of(node, seen)
    for child in node.children or ():
        if child.__class__ is Node:
            total += _bytes_below(child, seen)
        elif child.__class__ is PackedLeaf and id(child) not in seen:
            seen.add(id(child))
            total += child.bytes
    return total


def unflushed_bytes(nodes: Iterable[Any]) -> int:
    """Bytes of the leaves below `nodes` that can't be evicted, since they have still to be written."""
    total = 0
    for node in nodes:
        if node.__class__ is Node and node.unflushed:
            children = node.children
            total += node.bytes if children is None else unflushed_bytes(children)
    return total


def _with_columns(node: Node) -> Iterator[Node]:
    """The branches below a node, or itself, that keep columns."""
    if node.level > 1:
        for child in node.children or ():
            if child.__class__ is Node:
                yield from _with_columns(child)
    elif node.columns is not None:
        yield node


def _column_bytes_below(node: Node, seen: set[int]) -> int:
    if node.level > 1:
        below = [child for child in node.children or () if child.__class__ is Node]
        return sum([_column_bytes_below(child, seen) for child in below])
    return _column_bytes_of(node, seen)


def _column_bytes_of(node: Node, seen: set[int]) -> int:
    """Bytes of the columns that a node keeps, unless they are in `seen`: a changed copy has those of the original."""
    columns = node.columns
    if columns is None or id(columns.origin) in seen:
        return 0
    seen.add(id(columns.origin))
    return columns.bytes


def memory_of(node: Node) -> int:
    """Bytes that a node's objects take, its children excluded."""
    size = sys.getsizeof(node) + _GC_HEADER_BYTES
    for part in (node.keys, node.values, node.pages):
        size += _memory_of_all(part)
    if node.children is not None:
        size += sys.getsizeof(node.children) + 32 * len(node.children)
    return size


def _memory_of_all(values: list[Any] | None) -> int:
    return 0 if values is None else sys.getsizeof(values) + sum(map(_memory_of_value, list(values)))


def _memory_of_value(value: Any) -> int:
    size = sys.getsizeof(value)
    if value.__class__ is tuple:
        return size + _GC_HEADER_BYTES + sum(map(sys.getsizeof, value))
    if value.__class__ is LongRow:
        return size + _memory_of_value(value.head) + sum(map(_memory_of_value, value.parts))
    return size
