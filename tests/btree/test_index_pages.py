"""Pages of INDEX leaves: by column or key by key, with whatever kinds the keys hold."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btree.codec import FORMAT, decode_node, encode_node
from btree.errors import CorruptionError
from btree.node import new_leaf
from btree.order import order_key
from btree.protocols import TreeKind

numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300) | st.floats(allow_nan=False)
values = st.none() | numbers | st.text(max_size=300) | st.binary(max_size=20)
keys_of_one_width = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.tuples(*[values] * width), max_size=40, unique_by=order_key)
)
keys_of_any_width = st.lists(
    st.lists(values, max_size=3).map(tuple), max_size=20, unique_by=order_key
)


def page_of(keys: list[Any]) -> bytes:
    return encode_node(TreeKind.INDEX, new_leaf(keys, None, None))


@settings(max_examples=200, deadline=None)
@given(keys_of_one_width | keys_of_any_width)
def test_keys_come_back_as_they_were(keys: list[tuple[Any, ...]]) -> None:
    keys = sorted(keys, key=order_key)
    node = decode_node(TreeKind.INDEX, page_of(keys), 7, 8)
    assert node.keys == keys
    assert node.values is None
    assert node.children is None
    for key, was in zip(node.keys, keys, strict=True):
        assert [(part.__class__, str(part)) for part in key] == [
            (part.__class__, str(part)) for part in was
        ]
        for part, before in zip(key, was, strict=True):
            if part.__class__ is float:
                assert math.copysign(1, part) == math.copysign(1, before)


def test_pages_that_list_their_keys_can_still_be_read() -> None:
    keys = [(number, f"text {number}", number * 7) for number in range(200)]
    page = bytes((FORMAT, TreeKind.INDEX, 0, 0)) + msgspec.msgpack.encode((keys,))
    assert decode_node(TreeKind.INDEX, page, 7, 8).keys == keys
    assert page_of(keys) != page


def test_columns_of_different_lengths_are_corruption() -> None:
    whole = page_of([(number, number) for number in range(20)])
    assert len(decode_node(TreeKind.INDEX, whole, 7, 8).keys) == 20
    columns = [b"b" + bytes(20), b"b" + bytes(19)]
    page = whole[:4] + msgspec.msgpack.encode((columns,))
    with pytest.raises(CorruptionError):
        decode_node(TreeKind.INDEX, page, 7, 8)
