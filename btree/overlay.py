"""Small changes laid over a tree, so that a small transaction copies no leaf.

To change one entry of a tree takes a copy of its leaf and of the path above it: some 20 us, most of
them cache misses, where the change itself is one.  So the changes of a small transaction stay apart, in
a dict per tree that looks by key ask first; its commit adds them to the dict of changes `pending` over
the committed state that it began at, and what it makes visible is a new `lsn` up to which they count:

    get(key)  ->  own  ->  pending, the newest entry up to the reader's lsn  ->  nodes

    pending   {key: (lsn, value, the entry before it or None, key)}     value False: deleted

All versions since the state was made share it and `pending`; none of their readers sees the entries
of later ones.  Whatever is not a look at one key (a range, a count, the last entry after a delete)
needs the nodes, unless the changes are few and lie outside of what is asked for: `settle` merges what the reader
may see into copies of them, each leaf once, and puts the outcome in the place of the state in all versions
from the reader's on.  So does the writer when there is enough of it, several changes for each leaf:
`TreeState.pending_max`.  The dict itself is the business of `pending`.

An `OverlaidTree` turns into a plain `Tree` as it is settled, by its class: what works on nodes need not
know of all this, since to ask for the root is to settle.  It lies over the state again when its
transaction is rolled back to an earlier savepoint.

Threads: entries are only ever added to `pending`, newest first, by the thread that appends a commit, under the store's
lock; to look at it takes none.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from itertools import chain, islice
from sys import getsizeof
from typing import TYPE_CHECKING, Any

from btree import raw_pages, waiting, waiting_columns
from btree.collector import FEW_NODES, CollectorPaused
from btree.hot import HotRowsBelow
from btree.node import Node
from btree.order import in_order, less, search_right, values_at
from btree.packed import found_at, look_up
from btree.pending import changes_seen, since_counted
from btree.protocols import Key, TreeKind, Value
from btree.tree import DELETED, Tree
from btree.tree_state import TreeState

if TYPE_CHECKING:
    from btree.added import Added
    from btree.transaction import LocalTransaction

OWN_MAX = 256
"""Changes of one tree that a transaction holds apart, unless they are few for each leaf: then it goes on in copies
of the nodes.  A savepoint copies no more of them."""

LONG_OWN_MAX = 1 << 15
"""The same where they are few for each leaf, or the nodes would not fit into the cache."""

LONG_OWN_BYTES = 4 << 20
"""What those take, about, if there are more than `OWN_MAX`."""

_SAMPLE = 8

_FEW_FRESH = 16
"""Up to this many new keys have their places among the others looked for one by one."""

FEW_LOADED = 64
"""Entries of a bulk operation up to which they are changes like others."""

SCATTERED_MAX, _APART = 512, 32
"""The same of keys to delete that are one in so many between the first and the last: a leaf's node takes 100 us, a change 20."""

COUNTED_CHANGES = 256
"""Changes that are counted one by one rather than settled."""

NO_ROW = -(1 << 63) - 1
"""Less than every row id."""

_INDEX = TreeKind.INDEX  # to ask an enumeration for a member takes as long as what is done with it
_ABSENT: Any = object()
_SETTLED: Any = None


class OverlaidTree(Tree):
    """A tree whose latest changes are not in its nodes yet."""

    __slots__ = ()

    def __init__(self, transaction: LocalTransaction, state: TreeState, root: Node) -> None:
        self.transaction = transaction
        self.under = state
        self._id = state.id
        self._kinds = state.kinds
        self.descents = self._pages = 0
        self.base = root
        self.own = {}
        self.entries = state.pending
        self.lsn = transaction.version.lsn
        self.own_max = OWN_MAX if transaction._writable else 0
        self.own_order = self.own_prefixes = None
        self.top = self.below = None

    def _lay(self, root: Node, own: dict[Key, Value]) -> None:
        """Lie over the state, with these changes."""
        transaction = self.transaction
        self.base = root
        self.own = own
        self.entries = self.under.pending
        self.lsn = transaction.version.lsn
        self.own_max = OWN_MAX if transaction.writable else 0
        self.own_order = self.own_prefixes = None
        self.top = self.below = None

    # -- what is the nodes' affair --------------------------------------------------------------------

    @property
    def root(self) -> Node:  # type: ignore[override]
        self.settle()
        return self.root

    @property
    def _count(self) -> int:  # type: ignore[override]
        self.settle()
        return self._count

    @property
    def state(self) -> object:
        if not self.own and not self.entries:
            return self.under.mark
        self.settle()
        return self.state

    @property
    def kind(self) -> TreeKind:
        return self.under.kind

    @property
    def added(self) -> Added | None:  # type: ignore[override]
        return self.under.added

    def depth(self) -> int:
        return self.base.level + 1

    @property
    def has_long(self) -> bool:
        return self.under.large != 0

    def widen(self, kinds: Sequence[int]) -> None:
        self.settle()
        self.widen(kinds)

    def lengthen(self, width: int, values: Sequence[Value]) -> None:
        self.settle(to_write=True)
        self.lengthen(width, values)

    def drop_column(self, column: int, check: Callable[[], None]) -> None:
        self.settle(to_write=True)
        self.drop_column(column, check)

    def estimate(
        self,
        lo: Key | None = None,
        hi: Key | None = None,
        *,
        lo_inclusive: bool = True,
        hi_inclusive: bool = False,
    ) -> int:
        if lo is None and hi is None:
            return self.under.count + len(self.entries) + len(self.own)
        return self.nodes().estimate(lo, hi, lo_inclusive=lo_inclusive, hi_inclusive=hi_inclusive)

    def hot_rows(self) -> HotRowsBelow | None:
        """Rows of the state below.  Of an index's row ids by the first parts of keys nobody knows whether a change lies
        over them."""
        if self.under.kind is not TreeKind.TABLE or not self.base.level:
            return None
        below = self.transaction.hot_rows(self.under)
        return None if below is None else HotRowsBelow(below, self.entries)

    # -- single entries --------------------------------------------------------------------------------

    def get(self, key: Key, default: Value = None, columns: Container[int] | None = None) -> Value:
        self.descents += 1
        try:
            value = self.own.get(key, _ABSENT)
            if value is not _ABSENT:
                return default if value is DELETED else value
            entry = self.entries.get(key)
            while entry is not None:
                if entry[0] <= self.lsn:
                    value = entry[1]
                    return default if value is DELETED else value
                entry = entry[2]
            node = self.base
            children = node.children
            while children is not None:
                node = children[bisect_right(node.keys, key)]
                children = node.children
            keys = node.keys
            slot = key - keys[0] if key.__class__ is int else -1  # see `Tree.get`
            if not 0 <= slot < len(keys) or keys[slot] != key:
                slot = bisect_left(keys, key)
            if keys[slot] == key:
                values = node.values
                return True if values is None else values[slot]
            return default
        except IndexError:  # beyond the last key
            return default
        except (AttributeError, TypeError):
            return self._get_slowly(key, default, columns)

    def _get_slowly(self, key: Key, default: Value, columns: Container[int] | None) -> Value:
        """The same where a page has to be read, or the key is of another kind than the others."""
        if not _is_hashable(key):
            self.settle()
            return self._get_slowly(key, default, columns)
        if self.under.kind is TreeKind.RAW:
            return raw_pages.look_up(self, self.base, key, default)
        return look_up(self, self.base, key, default, columns)

    def __contains__(self, key: Key) -> bool:
        """The way of `get` that ends at the key: where its value lies is two more misses of the cache."""
        self.descents += 1
        try:
            value = self.own.get(key, _ABSENT)
            if value is not _ABSENT:
                return value is not DELETED
            entry = self.entries.get(key)
            while entry is not None:
                if entry[0] <= self.lsn:
                    return entry[1] is not DELETED
                entry = entry[2]
            node = self.base
            children = node.children
            while children is not None:
                node = children[bisect_right(node.keys, key)]
                children = node.children
            keys = node.keys
            slot = key - keys[0] if key.__class__ is int else -1  # see `Tree.get`
            if not 0 <= slot < len(keys) or keys[slot] != key:
                slot = bisect_left(keys, key)
            return bool(keys[slot] == key)
        except IndexError:  # beyond the last key
            return False
        except (AttributeError, TypeError):
            base = self.base
            if base is _SETTLED or self.under.kind is TreeKind.RAW or not _is_hashable(key):
                return self._get_slowly(key, _ABSENT, ()) is not _ABSENT
            return found_at(self.transaction, self, base, key)[1] >= 0

    @property
    def _is_vast(self) -> bool:
        """Whether the nodes, with the changes in them, would not fit into the memory there is."""
        return self.transaction.is_vast(self.under)

    def last(self) -> tuple[Key, Value] | None:
        top = self.top
        if top is None:
            top = self.largest()
            value = None if top is None else self.get(top)
            if value is None:  # it was deleted, or only row ids are kept so
                return waiting.last(self)
            self.top = top
            return top, value
        return top, self.get(top)

    def largest(self) -> int | None:
        """The largest row id that there ever was; None for trees of other kinds, and without any."""
        state = self.under
        if state.kind is not TreeKind.TABLE:
            return None
        top = state.nodes_top
        if top is None:
            node = self.base
            while node.children is not None:
                node = self.child(node, len(node.children) - 1)
            state.nodes_top = top = node.keys[-1] if node.keys else NO_ROW
        if state.pending_top is not None and state.pending_top > top:
            top = state.pending_top
        if self.own:
            top = max(top, self.own_keys()[-1])
        return None if top == NO_ROW else top

    def put(self, key: Key, value: Value = None) -> None:
        own = self.own
        if len(own) >= self.own_max:
            have_room(self)
            self.put(key, value)
            return
        if key.__class__ is tuple and key in own:
            del own[key]  # 1 and 1.0 are one key: what was put last is what stays
            self.own_order = self.own_prefixes = None
        own[key] = True if value is None else value
        top = self.top
        if top is not None and key > top:
            self.top = key

    def change(self, key: Key, row: tuple[Value, ...], columns: Collection[int]) -> None:
        """What lies over the nodes has all of its values; a row in them may have pages of its own, to which the changed one
        is to lead, too."""
        if key in self.own or key in self.entries:
            self.put(key, row)
        else:
            self.settle(to_write=True)
            self.change(key, row, columns)

    def insert(self, key: Key, value: Value = None) -> bool:
        own = self.own
        if len(own) >= self.own_max:
            have_room(self)
            return self.insert(key, value)
        top = self.top
        if top is not None and key > top:
            self.top = key
        elif key in self:
            return False
        elif key.__class__ is tuple and key in own:
            del own[key]
            self.own_order = self.own_prefixes = None
        own[key] = True if value is None else value
        return True

    def delete(self, key: Key) -> bool:
        own = self.own
        if len(own) >= self.own_max:
            have_room(self)
            return self.delete(key)
        if key not in self:
            return False
        own[key] = DELETED
        if key == self.top:
            self.top = None
        return True

    def remove(self, key: Key) -> None:
        own = self.own
        if len(own) >= self.own_max:
            self.delete(key)
            return
        own[key] = DELETED
        if key == self.top:
            self.top = None

    # -- many entries ----------------------------------------------------------------------------------

    get_many = waiting.get_many

    def load(self, keys: Sequence[Key], values: Sequence[Value] | None = None) -> None:
        if len(keys) <= FEW_LOADED:
            for slot, key in enumerate(keys):
                self.put(key, None if values is None else values[slot])
            return
        self.settle(to_write=True)
        self.load(keys, values)

    def delete_many(self, keys: Sequence[Key]) -> int:
        few = len(keys) <= FEW_LOADED or (self._is_vast and self.own_max)
        if not few and len(keys) <= SCATTERED_MAX:
            few = self.known_nodes().estimate(keys[0], keys[-1]) >= len(keys) * _APART
        if few:
            return sum([self.delete(key) for key in keys])
        self.settle(to_write=True)
        return self.delete_many(keys)

    # -- ranges, with the changes merged in: see `waiting` -------------------------------------------------

    def nodes(self) -> Tree:
        """The tree without the changes, to be read."""
        self.transaction.nodes_wanted()
        return self.known_nodes()

    def known_nodes(self) -> Tree:
        """The same for a look at it that is over when its answer is given: not an iterator, which may outlive the
        transaction."""
        below = self.below
        if below is None:
            below = self.below = Tree(self.transaction, self.under, self.base)
        return below

    def __len__(self) -> int:
        if len(self.own) + len(self.entries) > COUNTED_CHANGES:
            if self._is_vast:
                return waiting.count(self)
            self.settle()
            return len(self)
        count = self._committed_count()
        for key, value in self.own.items():
            count += (value is not DELETED) - self._has_committed(key, self.lsn)
        return count

    def _committed_count(self) -> int:
        """The entries without this transaction's changes.  The state keeps what was counted: then only the
        changes of later commits have to be looked at."""
        state, lsn = self.under, self.lsn
        since, count, known = state.counted
        if since == lsn:
            return count
        if since > lsn:
            since, count, known = -1, state.count, (0, 0)
        entries, known = since_counted(state, known, lsn)
        for entry in entries:
            while entry is not None and entry[0] > lsn:
                entry = entry[2]
            if entry is not None and entry[0] > since:
                count += (entry[1] is not DELETED) - self._has_committed(entry[3], since)
        if lsn > state.counted[0]:
            state.counted = lsn, count, known
        return count

    def _has_committed(self, key: Key, lsn: int) -> bool:
        """Whether the key was there as of commit `lsn`, or of the nodes before any change over them."""
        entry = self.entries.get(key)
        while entry is not None and entry[0] > lsn:
            entry = entry[2]
        return key in self.nodes() if entry is None else entry[1] is not DELETED

    prefixed = waiting.prefixed
    prefixed_many = waiting.prefixed_many
    rows_prefixed = waiting.rows_prefixed
    prefixes_present = waiting.prefixes_present
    last_parts = waiting.last_parts
    following = waiting.following
    preceding = waiting.preceding
    between = waiting.between
    few_rows = waiting.few_rows
    first = waiting.first
    batches = waiting.batches

    def count(
        self,
        lo: Key | None = None,
        hi: Key | None = None,
        *,
        lo_inclusive: bool = True,
        hi_inclusive: bool = False,
    ) -> int:
        if lo is None and hi is None:
            return len(self)
        found = self.batches(lo, hi, lo_inclusive=lo_inclusive, hi_inclusive=hi_inclusive)
        return sum([len(keys) for keys, _ in found])

    def column_batches(
        self,
        columns: Sequence[int],
        start: int | None = None,
        stop: int | None = None,
        *,
        passing: bool = False,
        stored: bool = False,
    ) -> Iterator[tuple[Sequence[Value], ...]]:
        return waiting_columns.column_batches(
            self, columns, start, stop, passing=passing, stored=stored
        )

    def number_batches(self, columns: Sequence[int]) -> Iterator[tuple[Sequence[Value], ...]]:
        if self.own or self.entries:
            self.settle()
            return self.number_batches(columns)
        return self.nodes().number_batches(columns)

    def own_keys(self) -> list[Key]:
        """The keys of the transaction's own changes, in order.  The list is the tree's: later ones go into it."""
        own, known = self.own, self.own_order
        if known is None or len(own) > len(known) + _FEW_FRESH:
            known = self.own_order = in_order(own)
            return known
        # Keys are only ever added, and a dict keeps them in that order: the new ones are the last.
        for key in reversed([*islice(reversed(own), len(own) - len(known))]):
            known.insert(search_right(known, key), key)
        return known

    # -- turning into a tree of nodes ------------------------------------------------------------------

    def settle(self, *, to_write: bool = False) -> None:
        """Become a plain tree that holds all this.  Nothing has changed if it fails."""
        transaction = self.transaction
        if to_write:
            self.check_writable()
        if transaction.take_in(self):
            return
        state = transaction.merged(self.under)
        self.become_plain(state, lambda: apply(self, self.own) if self.own else None)

    def become_plain(self, state: TreeState, change: Callable[[], None]) -> None:
        """Become a plain tree that is as `change`, which has a plain tree to do it to, makes `state`'s nodes.
        Nothing has changed if that fails."""
        transaction = self.transaction
        freed = len(transaction.freed)
        self.under = state
        root = self.base = transaction.root_of(state)
        self.entries = state.pending
        self.__class__ = Tree  # type: ignore[assignment]
        try:
            self.begin(state, root)
            change()
        except BaseException:
            del transaction.freed[freed:]
            self.__class__ = OverlaidTree
            raise
        self.own, self.entries, self.own_max = {}, {}, 0
        self.own_order = self.own_prefixes = None
        self.base, self.below = _SETTLED, None


def _is_hashable(key: Key) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True


def have_room(tree: OverlaidTree) -> None:
    """Let a tree have room for more changes, or go on in copies of the nodes; nothing if it does so by now."""
    if 0 < tree.own_max < LONG_OWN_MAX and tree.transaction.is_vast(tree.under):
        tree.own_max = LONG_OWN_MAX
    elif 0 < tree.own_max < tree.under.pending_max and _are_scattered(tree):
        tree.own_max = min(2 * tree.own_max, tree.under.pending_max)
    else:
        tree.settle(to_write=True)


def _are_scattered(tree: OverlaidTree) -> bool:
    """Whether the changes of a transaction lie all over the tree, rather than at its end, and are not long.

    To put a change into a copy of its leaf takes 20 us, and to read the leaf before 70; what waits over it meets others
    there.  What is appended fills leaves, and is quicker in them."""
    own, branch = tree.own, tree.base
    if branch.children is None:
        return False
    while branch.level > 1 and branch.children[-1].__class__ is Node:
        branch = branch.children[-1]
    end = branch.keys[-1]  # where the last leaf begins, or what of the tree is in memory ends
    some = _sample(own)
    within = sum([less(key, end) for key, _ in some])
    return 2 * within > len(some) and size_of(own) <= LONG_OWN_BYTES // 2


def _sample(changes: Mapping[Key, Value]) -> list[tuple[Key, Value]]:
    step = len(changes) // _SAMPLE
    return [*islice(changes.items(), step // 2, None, step)]


def size_of(changes: Mapping[Key, Value]) -> int:
    """About how many bytes of memory the values of many changes take."""
    return sum([_size(value) for _, value in _sample(changes)]) * len(changes) // _SAMPLE


def _size(value: Value) -> int:
    return sum(map(getsizeof, value)) if value.__class__ is tuple else getsizeof(value)


def lay_over(tree: Tree, own: dict[Key, Value]) -> None:
    """Turn a tree of a transaction back into one with nothing in copies of nodes, but for `own`."""
    root = tree.transaction.root_of(tree.under)
    tree.__class__ = OverlaidTree
    assert isinstance(tree, OverlaidTree)
    tree._kinds = tree.under.kinds  # a tree that has been widened has been a plain one since
    tree._lay(root, own)


def apply(tree: Tree, changes: Mapping[Key, Value]) -> None:
    """Make changes to a plain tree, each leaf once."""
    keys = in_order(changes)
    values = values_at(changes, keys)
    if DELETED in values:
        gone = [key for key in keys if changes[key] is DELETED]
        tree.delete_many(gone)
        keys = [key for key in keys if changes[key] is not DELETED]
        values = values_at(changes, keys)
    tree.load(keys, None if tree.kind is TreeKind.INDEX else values)


# -- changes that were committed -------------------------------------------------------------------------


def redo_of(kind: TreeKind, own: dict[Key, Value]) -> Sequence[Any]:
    """The changes of a transaction to one tree as redo: keys and values by turns."""
    if kind is _INDEX:
        redo: list[Any] = []
        for key, value in own.items():
            redo += key, DELETED if value is DELETED else None
        return redo
    return list(chain.from_iterable(own.items()))


def merged_state(merging: LocalTransaction, state: TreeState, lsn: int) -> TreeState:
    """A state whose nodes hold what was pending over `state` up to commit `lsn`; `state` if nothing was.

    `merging`: a transaction to do it in, which nobody commits."""
    visible = changes_seen(state, lsn)
    if not visible:
        return state
    tree = Tree(merging, state, merging.root_of(state))
    if len(visible) > FEW_LOADED:
        with CollectorPaused(FEW_NODES):
            apply(tree, visible)
    else:
        apply(tree, visible)
    made = tree.snapshot_state()
    made.freed = (*made.freed, *merging.freed)
    return made
