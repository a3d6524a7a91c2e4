"""A fuzzer on every decoder of bytes from the disk: the right thing, or the decoder's own error.

Valid encodings are made first and then bent: bytes changed, cut out, repeated, put in, the end cut off;
msgpack is also made up from nothing.  A decoder that is given such bytes must neither raise anything else,
nor hang, nor ask for memory out of proportion to them.  What it accepts is of the right types.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btree import CorruptionError, NotADatabaseError, TreeKind
from btree.codec import decode_node, encode_node
from btree.directory import decode_directory, encode_directory, initial_trees
from btree.large_values import decode_large, encode_large
from btree.node import new_branch, new_leaf
from btree.order import order_key
from btree.redo import decode_redo, encode_redo
from engine.format import (
    KIND_DELETE,
    KIND_TABLE,
    LOG_START,
    RECORD_BYTES,
    Slot,
    decode_chain,
    decode_header,
    decode_record,
    decode_slot,
    encode_header,
    encode_record,
    encode_slot,
)
from tests.btree.test_model import KEYS, VALUES

MEMORY_BYTES_MAX = 2_000_000
"""For some hundred bytes of input."""

kinds = st.sampled_from(TreeKind)
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@st.composite
def bent(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with up to three changes."""
    bytes_ = bytearray(data)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(len(bytes_) - 1, 0)))
        size = draw(st.integers(1, 9))
        match draw(st.integers(0, 4)):
            case 0:
                bytes_[at : at + 1] = bytes((draw(st.integers(0, 255)),))
            case 1:
                del bytes_[at : at + size]
            case 2:
                bytes_[at:at] = bytes_[at : at + size]
            case 3:
                bytes_[at:at] = draw(st.binary(max_size=9))
            case 4:
                del bytes_[at:]
    return bytes(bytes_)


@st.composite
def node_pages(draw: st.DrawFn) -> tuple[TreeKind, bytes]:
    """A node's page, bent, or a head with msgpack behind it that nobody ever wrote."""
    kind = draw(kinds)
    if draw(st.booleans()):
        head = bytes((1, kind, draw(st.sampled_from([0, 1, 2, 255])), draw(st.integers(0, 255))))
        return kind, head + msgspec.msgpack.encode(draw(junk))
    keys = sorted(draw(st.lists(KEYS[kind], max_size=12, unique_by=order_key)), key=order_key)
    if draw(st.booleans()):
        values = [draw(VALUES[kind]) for _ in keys]
        node = new_leaf(list(keys), None if kind is TreeKind.INDEX else values, None)
    else:
        pages = list(range(7, 8 + len(keys)))
        node = new_branch(list(keys), list(pages), pages, level=draw(st.integers(1, 9)), owner=None)
    return kind, draw(bent(encode_node(kind, node)))


def within_bounds(size: int, decode: Callable[[], Any], *errors: type[Exception]) -> Any:
    """What `decode` gives, None for one of its own errors; memory in proportion to `size` bytes."""
    tracemalloc.start()
    try:
        return decode()
    except errors as error:
        assert "\n" not in str(error)
        return None
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < MEMORY_BYTES_MAX + 50 * size, f"{peak} bytes for {size}"


@settings(max_examples=300, deadline=None)
@given(node_pages())
def test_the_bytes_of_nodes(page: tuple[TreeKind, bytes]) -> None:
    kind, payload = page
    node = within_bounds(
        len(payload), lambda: decode_node(kind, payload, 7, 8 << 24), CorruptionError
    )
    if node is None:
        return
    if node.children is None:
        assert kind is TreeKind.INDEX or len(node.values) == len(node.keys)
    else:
        assert len(node.pages) == len(node.children) == len(node.keys) + 1
    if kind in (TreeKind.RAW, TreeKind.TABLE):
        assert all(key.__class__ is (bytes if kind is TreeKind.RAW else int) for key in node.keys)
    else:
        assert all(key.__class__ is tuple for key in node.keys)


@settings(max_examples=200, deadline=None)
@given(st.data(), kinds)
def test_the_bytes_of_large_values(data: st.DataObject, kind: TreeKind) -> None:
    if kind is TreeKind.INDEX:
        kind = TreeKind.RAW
    value = data.draw(VALUES[kind] if kind is TreeKind.RAW else st.text() | st.binary())
    payload = data.draw(bent(bytes(encode_large(kind, value))))
    within_bounds(len(payload), lambda: decode_large(kind, payload, 7), CorruptionError)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_bytes_of_the_directory(data: st.DataObject) -> None:
    trees = initial_trees(64)
    for number, state in enumerate(trees.values()):
        state.root_page = number + 2
    payload = data.draw(
        bent(encode_directory(3, trees))
        | junk.map(lambda value: b"\1\0\xfe\0" + msgspec.msgpack.encode(value))
    )
    within_bounds(len(payload), lambda: decode_directory(payload), CorruptionError)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_bytes_of_redo(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([TreeKind.RAW, TreeKind.TABLE]))
    pairs = data.draw(st.lists(st.tuples(KEYS[kind], VALUES[kind]), max_size=5))
    changes = [part for pair in pairs for part in pair]
    valid = encode_redo([], [(1, changes)] if changes else [])
    payload = data.draw(
        junk.map(msgspec.msgpack.encode) if valid is None else bent(valid) | st.just(valid)
    )
    within_bounds(len(payload), lambda: list(decode_redo(payload)), CorruptionError)


@settings(max_examples=300, deadline=None)
@given(
    st.data(),
    st.integers(0, 2**32 - 1),
    st.integers(1, KIND_TABLE),
    st.binary(max_size=80),
    st.integers(0, 3),
)
def test_the_bytes_of_records(
    data: st.DataObject, salt: int, kind: int, payload: bytes, padding: int
) -> None:
    encoded, crc = encode_record(salt, kind, 5, 6, payload, 7)
    found = data.draw(bent(encoded))
    at = 8 * padding
    record = within_bounds(len(found), lambda: decode_record(salt, bytes(at) + found, at))
    if found[: RECORD_BYTES + len(payload)] == encoded[: RECORD_BYTES + len(payload)]:
        assert record is not None and (record.crc, record.payload) == (crc, payload)
        assert record.kind == kind and decode_record(salt ^ 1, found) is None
        chain = decode_chain(record)
        assert (chain is None) == (len(payload) < 40)
    else:
        # Up to three changes of a few bytes: one in 2^32 would pass.
        assert record is None
    assert decode_record(salt, found[: RECORD_BYTES - 1]) is None


def test_the_length_of_a_record_is_bounded_before_it_is_used() -> None:
    encoded, _ = encode_record(0, KIND_DELETE, 5, 6, b"")
    for length in (1, 8, (1 << 27) - 64, (1 << 27) - 63, (1 << 32) - 1):
        lying = encoded[:4] + length.to_bytes(4, "little") + encoded[8:]
        assert within_bounds(32, lambda lying=lying: decode_record(0, lying)) is None  # type: ignore[misc]


@settings(max_examples=300, deadline=None)
@given(st.data(), st.binary(min_size=16, max_size=16), st.integers(0, 2**64 - 1))
def test_the_bytes_of_the_header(data: st.DataObject, database_id: bytes, number: int) -> None:
    slot = Slot(database_id, number % 99, number, number, number)
    encoded = encode_slot(slot)
    found = data.draw(bent(encoded[:80]))
    assert decode_slot(found) in (slot, None)
    header = encode_header(slot)
    both = found.ljust(512, b"\0") + header[512:LOG_START]
    assert decode_header(both, "db")[0] == slot  # the other slot is whole
    broken = found.ljust(512, b"\0") * 2
    if decode_slot(found) is None:
        with pytest.raises(NotADatabaseError):
            decode_header(broken, "db")
