"""Many entries of an index removed and put, page by page, without making tuples of the others.

Where a statement changes a part of a table's rows, the entries that it changes in an index lie in all of its
leaves, a few in each.  As nodes these take 75 us a leaf: tuples are made of all entries, and columns of the tuples
again.  Here a leaf's columns are taken apart, the entries are looked for in them, numbers are taken out of and
put into the bytes that they lie in, and only columns of other values are encoded again: 25 us a leaf, 10 of them
for the page (`rewritten_pages`).

Leaves may grow a quarter longer than others do, since to split one takes nodes.  What has to be changed as nodes
(leaves with changes in memory; too long, too short) waits until the end, when nobody looks for a page any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, compress, count
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from btree.codec import encode_index_page, index_columns
from btree.column_codec import decode_column
from btree.edit import run_end
from btree.errors import UNDECODABLE, CorruptionError, senseless
from btree.node import Node
from btree.order import search_left, search_right
from btree.protocols import Key, Value
from btree.rewritten_leaf import Place, edited, without
from btree.rewritten_pages import LEAVES_MIN, RewrittenPages

if TYPE_CHECKING:
    from btree.disk_transaction import DiskTransaction
    from btree.tree import Tree

LONGER = 1.25
"""How many times the usual number of entries may stand in a leaf."""

_LEAVES_AT_ONCE = 64


class _Leaf(Place):
    """A leaf with the runs of entries that go and that come.  `done`: it has been changed, in its page."""

    __slots__ = ("done", "gone", "new", "opened")

    def __init__(
        self, branch: Node, slot: int, location: int, gone: Sequence[Key], new: Sequence[Key]
    ) -> None:
        assert branch.children is not None and branch.pages is not None
        super().__init__(branch, slot, branch.children[slot], branch.pages[slot], location)
        self.gone = gone
        self.new = new
        self.done = False

    @property
    def rows(self) -> int:  # type: ignore[override]
        return len(self.gone)

    def keys(self) -> Sequence[Key]:
        return self.gone or self.new


def rewrite_entries(
    tree: Tree, transaction: DiskTransaction, gone: Sequence[Key], new: Sequence[Key]
) -> bool:
    """Remove some entries of an INDEX tree and then put others, both ascending; False, with nothing done, where
    so few leaves are concerned that they are better changed as nodes."""
    root = tree.root
    if root.children is None or len(gone) + len(new) < LEAVES_MIN:
        return False
    written = RewrittenPages(tree, transaction)
    leaves = list(_leaves(tree, root, gone, new, written))
    if not written.is_worth(len(leaves), len(gone) + len(new)):
        return False
    _change(tree, transaction.reader, written, leaves)
    return True


def _leaves(
    tree: Tree, branch: Node, gone: Sequence[Key], new: Sequence[Key], pages: RewrittenPages
) -> Iterator[_Leaf]:
    """The leaves below a branch that some entries belong in."""
    keys, at_gone, at_new = branch.keys, 0, 0
    assert branch.children is not None and branch.pages is not None
    slot = 0
    while at_gone < len(gone) or at_new < len(new):
        slot = min(
            [
                search_right(keys, entries[at], slot)
                for entries, at in ((gone, at_gone), (new, at_new))
                if at < len(entries)
            ]
        )
        upper = (keys[slot],) if slot < len(keys) else None
        end_gone = run_end(gone, upper, at_gone) if at_gone < len(gone) else at_gone
        end_new = run_end(new, upper, at_new) if at_new < len(new) else at_new
        some_gone, some_new = gone[at_gone:end_gone], new[at_new:end_new]
        if branch.level > 1:
            child = tree.scanned_child(branch, slot)
            yield from _leaves(tree, child, some_gone, some_new, pages)
        else:
            location = pages.location(branch.children[slot], branch.pages[slot])
            yield _Leaf(branch, slot, location, some_gone, some_new)
        at_gone, at_new = end_gone, end_new
        slot += 1


def _change(tree: Tree, reader: Any, written: RewrittenPages, leaves: Sequence[_Leaf]) -> None:
    """Take out of leaves what goes, and put what comes."""
    there = [leaf for leaf in leaves if leaf.location]
    emptied: list[_Leaf] = []
    for start in range(0, len(there), _LEAVES_AT_ONCE):
        some = there[start : start + _LEAVES_AT_ONCE]
        payloads = reader.read_many([leaf.page for leaf in some], [leaf.location for leaf in some])
        for leaf, payload in zip(some, payloads, strict=True):
            kept = index_columns(payload, leaf.page)
            page = None if kept is None else _page(tree, leaf, kept)
            if page:
                leaf.done = written.put(leaf, page)
                if leaf.done:
                    tree.note_rewritten(len(leaf.gone) - len(leaf.new))
            elif page is not None:
                leaf.done = True
                emptied.append(leaf)
        written.write()
    written.take_away(emptied)
    later = [leaf for leaf in leaves if not leaf.done]
    tree.delete_many(list(chain.from_iterable([leaf.gone for leaf in later])))
    tree.load(list(chain.from_iterable([leaf.new for leaf in later])))


def _page(tree: Tree, leaf: _Leaf, kept: list[bytes]) -> bytes | bytearray | None:
    """The page of a changed leaf; b"" if nothing is left; None if it has to be changed as a node."""
    try:
        columns = list(map(decode_column, kept))
    except UNDECODABLE as error:
        raise senseless(f"page {leaf.page}: columns that can't be decoded", error) from error
    rows = len(columns[0])
    if any(len(column) != rows for column in columns):
        raise CorruptionError(f"page {leaf.page}: columns of different lengths")
    slots = _slots_of(columns, leaf.gone) if leaf.gone else ()
    if slots is None:
        return None
    left_over = rows - len(slots) + len(leaf.new)
    if not left_over:
        return b""
    if left_over > tree.leaf_limit * LONGER or left_over * 4 < tree.leaf_limit:
        return None
    if leaf.new:
        left = [without(column, slots) for column in columns]
        puts = _places_of(left, leaf.new)
        if puts is None:
            return None
        new = list(zip(*leaf.new, strict=True))
        made = [
            edited(column, values, slots, puts, more)
            for column, values, more in zip(kept, left, new, strict=True)
        ]
    else:
        made = [edited(column, values, slots) for column, values in zip(kept, columns, strict=True)]
    return encode_index_page(made)


def _slots_of(columns: list[list[Value]], entries: Sequence[Key]) -> Sequence[int] | None:
    """The slots of ascending entries; None if not all of them are there."""
    parts = list(zip(*entries, strict=True))
    # The last part is the rowid, which is in the leaf once, or else they are looked for.
    slots = list(compress(count(), map({*parts[-1]}.__contains__, columns[-1])))
    if len(slots) == len(entries):
        if len(slots) > 1:
            found = list(map(itemgetter(*slots), columns))
        else:
            found = [(column[slots[0]],) for column in columns]
        if found == parts:
            return slots
    keys = list(zip(*columns, strict=True))
    slots, slot = [], 0
    for key in entries:
        slot = search_left(keys, key, slot)
        if slot == len(keys) or keys[slot] != key:
            return None
        slots.append(slot)
    return slots


def _places_of(columns: list[list[Value]], entries: Sequence[Key]) -> list[int] | None:
    """The slots that ascending entries belong before; None if one of them is there."""
    keys = list(zip(*columns, strict=True))
    slots, slot = [], 0
    for key in entries:
        slot = search_left(keys, key, slot)
        if slot < len(keys) and keys[slot] == key:
            return None
        slots.append(slot)
    return slots
