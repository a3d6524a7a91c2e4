"""Columns out of leaves with rows: out of their pages, several at once and without making their nodes.

A scan *opens* pages: what they keep is taken apart, not decoded.  Leaves together make a batch, and of
those one column is decoded at a time, in one call where all of them keep it in the same fixed width:

    open_pages(...)    3 us a leaf, whatever it holds
    joined(...)        9 ns a number, 20 a text
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, compress
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from btree.codec import (
    COLUMN_LEAVES,
    HEAD_BYTES,
    KEY_COLUMN,
    LARGE,
    KeyForm,
    column_leaf_decoder,
    column_views,
    mask_without,
)
from btree.column_codec import LONG, decode_column, decode_joined, row_count
from btree.errors import UNDECODABLE, senseless
from btree.long_columns import LongValues, decoded
from btree.node import Node
from btree.protocols import Key, TreeKind, Value

if TYPE_CHECKING:
    from btree.added import Added
    from btree.tree import Tree

_FORM_AT = 3
_FEW_GONE = 16
"""Up to one of so many values is taken out of a column by itself, which takes 0.3 us; to go through all of them 8 ns each."""

_PAGES_AHEAD = 32
"""Leaves that are read at once, with one call of the system where they lie together."""


class OpenPage(msgspec.Struct, gc=False):
    """A leaf that is kept by column, taken apart."""

    page: int
    rows: int
    key_form: KeyForm
    key_part: Any
    kept: list[bytes]
    gone: Sequence[int] = ()  # slots of deleted rows, which the columns still have
    long_values: LongValues | None = None  # of a leaf with long columns, what reads their values

    def is_long(self, column: int) -> bool:
        """Whether the column has values in pages of their own."""
        return self.long_values is not None and column >= 0 and self.kept[column][0] == LONG


def open_pages(
    payloads: Sequence[bytes | memoryview],
    pages: Sequence[int],
    columns: Sequence[int],
    kind: TreeKind = TreeKind.TABLE,
    added: Added | None = None,
    *,
    as_views: bool = False,
    long_values: LongValues | None = None,
) -> list[OpenPage | None]:
    """Leaves' pages for the sake of some columns: `KEY_COLUMN` for the keys.  None for one that does not keep
    its rows by column; CorruptionError if one is no node of such a tree.  `as_views`: the columns are views of the
    pages, not copies.  `long_values`: what reads them, in a tree that has any."""
    decoders = column_views() if as_views else COLUMN_LEAVES
    stored = [column for column in columns if column != KEY_COLUMN]
    with_keys = len(stored) < len(columns)
    others = stored if with_keys else stored[1:]
    found: list[OpenPage | None] = []
    decoder, latest = None, b""
    page = 0
    try:
        for payload, page in zip(payloads, pages, strict=True):
            head = bytes(payload[:HEAD_BYTES])
            if head != latest:  # most leaves have the head of the one before
                decoder, latest = column_leaf_decoder(kind, head, decoders), head
            if decoder is None:
                found.append(None)
                continue
            key_form, decode = decoder
            parts = decode(payload[HEAD_BYTES:])
            part, kept = parts[0], parts[1]
            if added is not None:
                kept = added.columns(kept)
            rows = _key_count(key_form, part, kept) if with_keys else row_count(kept[stored[0]])
            for column in others:
                if row_count(kept[column]) != rows:
                    raise ValueError("columns of different lengths")
            gone: Sequence[int] = ()
            if len(parts) > 2:
                gone = parts[2]
                rows = mask_without(gone, rows).count(1)
            long = long_values if head[_FORM_AT] & LARGE else None
            found.append(OpenPage(page, rows, key_form, part, kept, gone, long))
    except UNDECODABLE as error:
        raise senseless(f"page {page}: not a node of a {kind.name} tree", error) from error
    return found


def _key_count(key_form: KeyForm, part: Any, kept: list[bytes]) -> int:
    if key_form is KeyForm.CONSECUTIVE:
        return row_count(kept[0])
    if key_form is not KeyForm.COLUMNS:
        return len(part)
    # Of a CLUSTERED tree there are several; they have to be as long as each other when they are decoded.
    return row_count(kept[part if part.__class__ is int else part[0]])


def joined(leaves: Sequence[OpenPage], column: int) -> list[Value]:
    """The column's values in all of the leaves, one after the other.  Errors as `open_pages`."""
    if not leaves:
        return []
    try:
        if column == KEY_COLUMN:
            found = _joined_keys(leaves)
        elif any(leaf.long_values for leaf in leaves):
            found = [value for leaf in leaves for value in decoded_column(leaf, column)]
        else:
            found = decode_joined([leaf.kept[column] for leaf in leaves])
        if not any(leaf.gone for leaf in leaves):
            return found
        if has_few_gone(leaves):
            return without_few_gone(found, leaves)
        return list(compress(found, _there(leaves)))
    except UNDECODABLE as error:
        pages = f"page {leaves[0].page} to {leaves[-1].page}"
        raise senseless(f"{pages}: columns that can't be decoded", error) from error


def decoded_column(leaf: OpenPage, column: int) -> list[Value]:
    """The column's values, of deleted rows, too.  Errors as `decode_column`."""
    kept = leaf.kept[column]
    if leaf.long_values is None or kept[0] != LONG:
        return decode_column(kept)
    return decoded(kept, leaf.long_values)


_Values = TypeVar("_Values", "list[Value]", "array[Any]")


def has_few_gone(leaves: Sequence[OpenPage]) -> bool:
    """Whether so few rows of the leaves are deleted ones, if any, that they are best taken out of a column one by one."""
    gone = sum([len(leaf.gone) for leaf in leaves])
    return not gone or gone * _FEW_GONE <= sum([leaf.rows for leaf in leaves])


def without_few_gone(values: _Values, leaves: Sequence[OpenPage]) -> _Values:
    """A column of all of the leaves' rows, which is the caller's own, without those of the few deleted rows."""
    start, places = 0, []
    for leaf in leaves:
        if leaf.gone:
            places += [start + slot for slot in leaf.gone]
        start += leaf.rows + len(leaf.gone)
    for place in reversed(places):
        del values[place]
    return values


def _there(leaves: Sequence[OpenPage]) -> bytearray:
    """Which of the leaves' rows are not deleted."""
    mask = bytearray()
    for leaf in leaves:
        if leaf.gone:
            mask += mask_without(leaf.gone, leaf.rows + len(leaf.gone))
        else:
            mask += b"\1" * leaf.rows
    return mask


def _joined_keys(leaves: Sequence[OpenPage]) -> list[Value]:
    found: list[Value] = []
    for leaf in leaves:
        part = leaf.key_part
        match leaf.key_form:
            case KeyForm.CONSECUTIVE:
                found += range(part, part + leaf.rows + len(leaf.gone))
            case KeyForm.DELTAS:
                found += accumulate(part)
            case KeyForm.COLUMNS:
                if part.__class__ is int:
                    found += decode_column(leaf.kept[part])
                else:
                    parts = [decode_column(leaf.kept[column]) for column in part]
                    found += zip(*parts, strict=True)
            case KeyForm.LISTED:
                found += part
    return found


def leaves_to_read(
    tree: Tree, branch: Node, slots: range, columns: Sequence[int]
) -> Iterator[OpenPage | Node]:
    """What stands below a lowest branch, in order: pages of leaves that are not in memory, else nodes."""
    children = branch.children
    assert children is not None
    slot = slots.start
    while slot < slots.stop:
        child = children[slot]
        if child.__class__ is Node:
            yield child
            slot += 1
            continue
        end, stop = slot + 1, min(slots.stop, slot + _PAGES_AHEAD)
        while end < stop and children[end].__class__ is not Node:
            end += 1
        run = range(slot, end)
        for at, page in zip(
            run, tree.transaction.open_pages(tree, branch, run, columns), strict=True
        ):
            yield tree.scanned_child(branch, at) if page is None else page
        slot = end


def extend(
    batch: Sequence[list[Value]], columns: Sequence[int], leaves: Sequence[OpenPage]
) -> None:
    """Add what the leaves have of each column."""
    if leaves:
        for values, column in zip(batch, columns, strict=True):
            values += joined(leaves, column)


def picked(keys: list[Key], rows: list[Value], columns: Sequence[int]) -> list[list[Value]]:
    """The columns of a leaf that is in memory."""
    return [
        keys if column == KEY_COLUMN else list(map(itemgetter(column), rows)) for column in columns
    ]
