"""The pages of large values, and what leaves keep of such.

head    format | kind of tree | 255 | 0
body    RAW               the value: bytes, or [bytes, expiry]
        TABLE, CLUSTERED  a text or a BLOB of a row, see `long_columns`
"""

from __future__ import annotations

from typing import Any

import msgspec

from btree.codec import FORMAT, HEAD_BYTES, LARGE_LEVEL, encoded_size, not_storable
from btree.errors import UNDECODABLE, senseless
from btree.long_columns import is_long
from btree.node import LargeReference, LargeValues, LongRow, Node
from btree.protocols import TreeKind, Value

_REFERENCE = bytes(12)  # about what a slot, a page and its length take
_encode_into = msgspec.msgpack.Encoder().encode_into
_decode_raw_value = msgspec.msgpack.Decoder(bytes | tuple[bytes, int]).decode
_decode_any: Any = msgspec.msgpack.Decoder().decode


def encode_large(kind: TreeKind, value: Value) -> bytearray:
    """The page of one large value."""
    page = bytearray((FORMAT, kind, LARGE_LEVEL, 0))
    try:
        _encode_into(value, page, HEAD_BYTES)  # behind the head at once: a copy less
    except (TypeError, OverflowError, UnicodeError) as error:
        raise not_storable(error) from error
    return page


def decode_large(kind: TreeKind, payload: bytes | memoryview, page: int) -> Value:
    """The large value in a page."""
    head = bytes((FORMAT, kind, LARGE_LEVEL, 0))
    try:
        if payload[:HEAD_BYTES] != head:
            raise ValueError(f"head {payload[:HEAD_BYTES].hex()}")
        if kind is TreeKind.RAW:
            return _decode_raw_value(memoryview(payload)[HEAD_BYTES:])
        value = _decode_any(memoryview(payload)[HEAD_BYTES:])
        if value.__class__ is not str and value.__class__ is not bytes:
            raise ValueError(f"a value of type {value.__class__.__name__}")
        return value
    except UNDECODABLE as error:
        raise senseless(f"page {page}: not a large value of a {kind.name} tree", error) from error


def average_entry_bytes(leaf: Node) -> float:
    """Bytes that an entry of `leaf` takes in its page, on average; what is in pages of its own not counted."""
    values = leaf.values
    if values.__class__ is LargeValues:
        values = list(map(kept_of, list(values or ())))
    return encoded_size((leaf.keys, values)) / max(len(leaf.keys), 1)


def kept_of(value: Value) -> Value:
    """What takes as many bytes in a leaf as a value does that may be in pages of its own."""
    if isinstance(value, LongRow):
        return (*value.head, value.parts)
    return (value.page, value.size_bytes) if isinstance(value, LargeReference) else value


def average_apart(leaf: Node, bytes_min: int) -> float:
    """`average_entry_bytes`, of values of more than so many bytes what it takes to say where they are."""
    values = [_apart(kept_of(value), bytes_min) for value in list(leaf.values or ())]
    return encoded_size((leaf.keys, values)) / max(len(leaf.keys), 1)


def _apart(value: Value, bytes_min: int) -> Value:
    if value.__class__ is tuple:
        return [_REFERENCE if is_long(part, bytes_min) else part for part in value]
    return _REFERENCE if is_long(value, bytes_min) else value
