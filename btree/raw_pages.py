"""Look-ups in leaves of the raw tree that are not in memory: made in the bytes of their pages.

Where the tree does not fit into the cache, nearly every look-up of a random key meets a leaf that has to be read.  To
decode it makes a hundred objects for the sake of one, and to keep them drives a hundred others out.  So such a
page is kept as it lies (`RecentPages`, the least recently used go first), and the key is looked for in it: where
all keys of a leaf are of one length, as most are, a search of bytes finds the slot, and where the values are, the
slot tells the place.  What is of several lengths is decoded for the while.

    page     head | 92 | keys: an array of bin | values: an array of bin, or [bin, expires_ms]

A leaf that has values in pages of their own is left to those who decode it.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec

from btree.codec import HEAD_BYTES, RAW_LEAF_HEAD, decode_raw_leaf
from btree.node import Node
from btree.order import search_left, search_right
from btree.protocols import Value

if TYPE_CHECKING:
    from btree.tree import Tree

_UNKNOWN: Any = object()
"""The page is to be decoded."""

_ABSENT: Any = object()

_ENTRY_BYTES = 180
"""What a page that is kept takes beside itself."""

_KEYS_HEAD = struct.Struct(">5sBHBB").unpack_from
"""The head of a leaf and of an array of two, the head of the keys, the mark and the length of the first of them."""
_KEYS_BYTES = 8
_VALUES_HEAD = struct.Struct(">BHBBB").unpack_from
"""The head of the values, the mark and two bytes of length of the first of them."""
_ARRAY16, _BIN8, _BIN16 = 0xDC, 0xC4, 0xC5


class RecentPages:
    """Pages by their locations, those that were asked for last at the end."""

    def __init__(self) -> None:
        self.bytes = 0
        self._pages: OrderedDict[int, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pages)

    def get(self, location: int) -> bytes | None:
        """The page at a location, if it is kept."""
        page = self._pages.get(location)
        if page is None:
            return None
        try:
            self._pages.move_to_end(location)
        except KeyError:  # another thread has just let it go
            return page
        return page

    def keep(self, location: int, page: bytes) -> int:
        """Keep a page; how many bytes it takes."""
        if self._pages.setdefault(location, page) is not page:
            return 0
        size = len(page) + _ENTRY_BYTES
        self.bytes += size
        return size

    def drop(self, bytes_wanted: float) -> int:
        """Let the oldest go, of at least so many bytes if there are; how many."""
        dropped = 0
        while dropped < bytes_wanted and self._pages:
            try:
                _, page = self._pages.popitem(last=False)
            except KeyError:  # another thread had the last one
                break
            dropped += len(page) + _ENTRY_BYTES
        self.bytes -= dropped
        return dropped

    def clear(self) -> None:
        """Forget all."""
        self._pages = OrderedDict()
        self.bytes = 0


def look_up(tree: Tree, root: Node, key: Any, default: Value) -> Value:
    """The value at `key` in the nodes of a raw tree, of which some have to be read; else `default`."""
    node = root
    children = node.children
    while children is not None:
        slot = (
            search_right(node.keys, key)
            if key.__class__ is not bytes
            else bisect_right(node.keys, key)
        )
        child = children[slot]
        if child.__class__ is not Node:
            if node.level == 1 and key.__class__ is bytes:
                page = tree.transaction.raw_page(node, slot)
                if page is not None:
                    value = value_in(page, key)
                    if value is not _UNKNOWN:
                        return default if value is _ABSENT else value
            child = tree.child(node, slot)
        node = child
        children = node.children
    slot = search_left(node.keys, key)
    if slot == len(node.keys) or node.keys[slot] != key:
        return default
    return tree.value(node, slot)


def value_in(page: bytes, key: bytes) -> Value:
    """The value at `key` in the page of a raw leaf, or `_ABSENT`; `_UNKNOWN` where it can't be told so."""
    try:
        head, array, count, mark, width = _KEYS_HEAD(page)
        if head != RAW_LEAF_HEAD:
            return _UNKNOWN
        # If each byte is a bin's mark where such marks would be if all were as long as the first one, all are: so
        # it is with the second if it is with the first, and so on.
        stride = 2 + width
        stop = _KEYS_BYTES + count * stride
        if (
            array != _ARRAY16
            or mark != _BIN8
            or stop >= len(page)
            or page[_KEYS_BYTES:stop:stride].count(_BIN8) != count
            or page[_KEYS_BYTES + 1 : stop : stride].count(width) != count
        ):
            return _value_decoded(page, key)
        if len(key) != width:
            return _ABSENT
        at = page.find(key, _KEYS_BYTES, stop)
        while at >= 0 and (at - _KEYS_BYTES) % stride != 2:  # across two keys, or over a mark
            at = page.find(key, at + 1, stop)
        if at < 0:
            return _ABSENT
        slot = (at - _KEYS_BYTES) // stride
        array, there, mark, high, low = _VALUES_HEAD(page, stop)
        begin = stop + 3
        if mark == _BIN8:
            skip, stride = 2, 2 + high
            uniform = page[begin + 1 :: stride].count(high) == count
        else:
            skip, stride = 3, 3 + (high << 8 | low)
            uniform = (
                mark == _BIN16
                and page[begin + 1 :: stride].count(high) == count
                and page[begin + 2 :: stride].count(low) == count
            )
        if (
            not uniform
            or there != count
            or array != _ARRAY16
            or len(page) != begin + count * stride
            or page[begin::stride].count(mark) != count
        ):
            return _value_decoded(page, key)
        begin += slot * stride
        return page[begin + skip : begin + stride]
    except (struct.error, msgspec.DecodeError):  # decoding it as a node will tell what is wrong
        return _UNKNOWN


def _value_decoded(page: bytes, key: bytes) -> Value:
    """The same where keys or values are of several lengths."""
    keys, values = decode_raw_leaf(memoryview(page)[HEAD_BYTES:])
    slot = bisect_left(keys, key)
    if slot == len(keys) or keys[slot] != key:
        return _ABSENT
    return values[slot] if slot < len(values) else _UNKNOWN
