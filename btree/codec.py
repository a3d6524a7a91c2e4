"""Nodes as pages: a four-byte head and one msgpack array, coded whole by msgspec.

    head    format | kind of tree | level (0 is a leaf) | form
    branch  [separators, pages]
    leaf    RAW                   [keys, values]
            INDEX                 [keys], or [columns]; the form says which
            TABLE, CLUSTERED      [key part, rows], or [key part, columns]; the form says which, and
                                  how keys are kept

Keys that can be told from little are not written out (`KeyForm`): consecutive row ids are a start,
other row ids their differences, and keys that stand in the row's columns are just those columns'
numbers.  Rows are kept by column where they are of one width: each column is coded by itself
(`column_codec`), so that a scan decodes the columns it needs and no more (10 to 20 ns a value; a whole row
takes 100 to 170).  A RAW leaf with large values has one more element, `[[slot, page, bytes], ...]`; those slots hold
an empty placeholder, and the value itself is in its own page: a head and the value in msgpack.  So are long values of
rows, of which the leaf's columns tell (`long_columns`).

Every decoder is typed, so that a page that is no such node raises instead of giving wrong rows; the
caller has verified the checksum before.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate, compress
from operator import ge, itemgetter, sub
from typing import TYPE_CHECKING, Any

import msgspec

from btree.column_codec import decode_column, encode_column, row_count, values_to_search
from btree.errors import UNDECODABLE, StoreError, senseless
from btree.long_columns import (
    PageNumber,
    Reference,
    decoded_rows,
    encode_columns,
    heads_of,
    long_rows,
    references_of,
)
from btree.node import LargeReference, LargeValues, Node
from btree.packed_keys import PackedKeys
from btree.page_rows import PageRows
from btree.protocols import Key, TreeKind, Value

if TYPE_CHECKING:
    from btree.added import Added

FORMAT = 1
"""First byte of every node's page.  Stored on disk, do not change."""

HEAD_BYTES = 4
LARGE_LEVEL = 255
"""The level of a page that holds one large value.  Stored on disk, do not change."""

LARGE = 0x80
"""Bit of the form: the leaf has large values."""

_BY_COLUMN = 0x40  # bit of the form: rows are kept by column
_ARRAY_OF_3 = 0x93  # in msgpack
_GONE = 0x20  # bit of the form, beside that: some of the rows are deleted
BY_COLUMN_ROWS = 8
"""Rows from which on a leaf is kept by column."""

KEY_COLUMN = -1
"""Stands for the key among the columns of a scan by column."""


class KeyForm(enum.IntEnum):
    """How a leaf keeps its keys.  Stored on disk, do not change."""

    LISTED = 0  # one by one
    CONSECUTIVE = 1  # TABLE: the first row id
    DELTAS = 2  # TABLE: the first row id and the differences
    COLUMNS = 3  # TABLE: the number of the column that is the key; CLUSTERED: their numbers


_Bytes = list[bytes]
_Tuples = list[tuple[Any, ...]]
_Expiring = list[bytes | tuple[bytes, int]]
_LargeList = list[tuple[int, PageNumber, int]]
_Pages = list[PageNumber]
Readers = tuple[Sequence[Key], PageRows]

_encode = msgspec.msgpack.Encoder().encode
_encode_into = msgspec.msgpack.Encoder().encode_into


def _decoder(*parts: Any) -> Any:
    return msgspec.msgpack.Decoder(tuple[parts]).decode  # type: ignore[valid-type]


_decode_plain_raw = _decoder(_Bytes, _Bytes)
_decode_raw = _decoder(_Bytes, _Expiring)
RAW_LEAF_HEAD = bytes((FORMAT, TreeKind.RAW, 0, KeyForm.LISTED, 0x92))
"""How the page of a RAW leaf without large values begins: its head, and that of an array of two."""
_decode_index = _decoder(_Tuples)
_decode_index_columns = _decoder(_Bytes)
_DECODE_LEAF = {
    TreeKind.TABLE: {
        KeyForm.LISTED: _decoder(list[int], _Tuples),
        KeyForm.CONSECUTIVE: _decoder(int, _Tuples),
        KeyForm.DELTAS: _decoder(list[int], _Tuples),
        KeyForm.COLUMNS: _decoder(int, _Tuples),
    },
    TreeKind.CLUSTERED: {
        KeyForm.LISTED: _decoder(_Tuples, _Tuples),
        KeyForm.COLUMNS: _decoder(list[int], _Tuples),
    },
}


def _column_decoders(*parts: Any) -> dict[TreeKind, dict[KeyForm, Any]]:
    """What decodes a key part of each form, and the parts behind it."""
    return {
        TreeKind.TABLE: {
            KeyForm.LISTED: _decoder(list[int], *parts),
            KeyForm.CONSECUTIVE: _decoder(int, *parts),
            KeyForm.DELTAS: _decoder(list[int], *parts),
            KeyForm.COLUMNS: _decoder(int, *parts),
        },
        TreeKind.CLUSTERED: {
            KeyForm.LISTED: _decoder(_Tuples, *parts),
            KeyForm.COLUMNS: _decoder(list[int], *parts),
        },
    }


_DECODE_COLUMNS_LEAF = _column_decoders(_Bytes)
_DECODE_GONE_LEAF = _column_decoders(_Bytes, list[int])
_DECODE_LONG_LEAF = _column_decoders(_Tuples, list[Reference])


def _by_head(columns: Any, gone: Any) -> dict[bytes, tuple[KeyForm, Any]]:
    forms = ((_BY_COLUMN, columns), (_BY_COLUMN | _GONE, gone), (_BY_COLUMN | LARGE, columns))
    return {
        bytes((FORMAT, kind, 0, form | bits)): (form, decode)
        for bits, kinds in forms
        for kind, decoders in kinds.items()
        for form, decode in decoders.items()
    }


COLUMN_LEAVES = _by_head(_DECODE_COLUMNS_LEAF, _DECODE_GONE_LEAF)
_Views = list[memoryview]


@cache
def column_views() -> dict[bytes, tuple[KeyForm, Any]]:
    """By the head of a leaf that keeps its rows by column, how it keeps its keys, and what decodes its key part and its
    columns, these as views of the page: where that may be written over, so may they."""
    return _by_head(_column_decoders(_Views), _column_decoders(_Views, list[int]))


_COLUMNS_HEADS = {
    (kind, form, bits): bytes((FORMAT, kind, 0, form | _BY_COLUMN | bits))
    for kind in (TreeKind.TABLE, TreeKind.CLUSTERED)
    for form in KeyForm
    for bits in (0, _GONE, LARGE)
}
_decode_large_raw = _decoder(_Bytes, _Expiring, _LargeList)
_DECODE_BRANCH = {
    TreeKind.RAW: _decoder(_Bytes, _Pages),
    TreeKind.TABLE: _decoder(list[int], _Pages),
    TreeKind.CLUSTERED: _decoder(_Tuples, _Pages),
    TreeKind.INDEX: _decoder(_Tuples, _Pages),
}
_INDEX_COLUMNS_HEAD = bytes((FORMAT, TreeKind.INDEX, 0, _BY_COLUMN))


def encode_node(kind: TreeKind, node: Node) -> bytes:
    """The page of a node.  For large values `InPages` must stand, a branch's `pages` be all given."""
    if node.children is not None:
        return _page(kind, node.level, 0, (node.keys, node.pages))
    keys, values = node.keys, node.values
    if values is None:
        columns = _columns(keys)
        if columns is None:
            return _page(kind, 0, 0, (keys,))
        return _page(kind, 0, _BY_COLUMN, (columns,))
    if kind is TreeKind.RAW:
        if values.__class__ is LargeValues:
            return _encode_large_raw(keys, list(values))
        return _page(kind, 0, 0, (keys, values))
    if values.__class__ is LargeValues:
        return _encode_long_rows(kind, keys, values)
    form, part = _key_part(kind, keys, values)
    columns = _columns(values)
    if columns is None:
        return _page(kind, 0, form, (part, values))
    return _page(kind, 0, form | _BY_COLUMN, (part, columns))


def encode_columns_page(
    kind: TreeKind,
    form: KeyForm,
    part: Any,
    columns: list[bytes],
    gone: Sequence[int] = (),
    *,
    long: bool = False,
) -> bytearray:
    """The page of a leaf with rows, of its key part, its columns as they are encoded, and the slots of
    those of their rows that are deleted, or whether there are `long` columns among them: not both."""
    page = bytearray(_COLUMNS_HEADS[kind, form, LARGE if long else _GONE if gone else 0])
    body = (part, columns, gone) if gone else (part, columns)
    _encode_into(body, page, HEAD_BYTES)  # behind the head at once: a copy less
    return page


def note_gone(page: memoryview, before: Sequence[int], gone: Sequence[int]) -> tuple[int, bytes]:
    """Have the page of a leaf with rows by column say that other slots are deleted than before, where it stands: how many
    of its bytes stay, and what is to follow them."""
    kept = len(page) - (len(_encode(before)) if before else 0)
    page[3] |= _GONE
    page[HEAD_BYTES] = _ARRAY_OF_3
    return kept, _encode(gone)


def mask_without(gone: Sequence[int], count: int) -> bytearray:
    """What `compress` takes to leave out the slots that are `gone`, ascending, of so many."""
    if gone[0] < 0 or gone[-1] >= count or any(map(ge, gone, gone[1:])):
        raise ValueError("deleted slots that are not there")
    mask = bytearray(b"\1") * count
    for slot in gone:
        mask[slot] = 0
    return mask


def _columns(rows: list[Value]) -> list[bytes] | None:
    """The rows' columns, each in msgpack; None where rows are too few or of different widths."""
    if len(rows) < BY_COLUMN_ROWS:
        return None
    try:
        columns = list(zip(*rows, strict=True))
    except ValueError:
        return None
    try:
        return list(map(encode_column, columns)) or None
    except (TypeError, OverflowError, UnicodeError) as error:
        raise not_storable(error) from error


def _encode_large_raw(keys: list[Key], values: list[Value]) -> bytes:
    references = [
        (slot, value.page, value.size_bytes)
        for slot, value in enumerate(values)
        if value.__class__ is LargeReference
    ]
    for slot, _, _ in references:
        values[slot] = b""
    return _page(TreeKind.RAW, 0, LARGE, (keys, values, references))


def _encode_long_rows(kind: TreeKind, keys: list[Key], rows: LargeValues) -> bytes:
    try:
        columns = encode_columns(rows)
    except (TypeError, OverflowError, UnicodeError) as error:
        raise not_storable(error) from error
    heads = heads_of(rows)
    form, part = _key_part(kind, keys, heads)
    if columns is None:
        return _page(kind, 0, form | LARGE, (part, heads, references_of(rows)))
    return bytes(encode_columns_page(kind, form, part, columns, long=True))


def _page(kind: int, level: int, form: int, body: object) -> bytes:
    return bytes((FORMAT, kind, level, form)) + encoded(body)


def encoded(body: object) -> bytes:
    """`body` in msgpack; StoreError if it holds what no tree can keep."""
    try:
        return _encode(body)
    except (TypeError, OverflowError, UnicodeError) as error:
        raise not_storable(error) from error


def not_storable(error: Exception) -> StoreError:
    """The error for a value that no tree can keep."""
    return StoreError(f"a value can't be stored: {error}")


def _key_part(kind: TreeKind, keys: list[Key], rows: list[Value]) -> tuple[KeyForm, Any]:
    if not keys:
        return KeyForm.LISTED, keys
    if kind is TreeKind.TABLE:
        form, part = row_id_part(keys)
        if form is not KeyForm.CONSECUTIVE and keys[-1] - keys[0] > 127 * len(keys):
            column = _key_column(keys, rows)
            if column is not None:
                return KeyForm.COLUMNS, column
        return form, part
    columns = _key_columns(keys, rows)
    return (KeyForm.LISTED, keys) if columns is None else (KeyForm.COLUMNS, columns)


def row_id_part(keys: list[int]) -> tuple[KeyForm, Any]:
    """How row ids are kept, and the key part that they make."""
    reach = keys[-1] - keys[0]
    if reach == len(keys) - 1:
        return KeyForm.CONSECUTIVE, keys[0]
    if reach >= 1 << 63:
        return KeyForm.LISTED, keys
    return KeyForm.DELTAS, [keys[0], *map(sub, keys[1:], keys)]


def _key_column(keys: list[int], rows: list[Value]) -> int | None:
    """The column of every row that holds its key, if there is one."""
    for column, value in enumerate(rows[0]):
        if value.__class__ is int and value == keys[0] and _are_keys(column, keys, rows):
            return column
    return None


def _are_keys(column: int, keys: list[int], rows: list[Value]) -> bool:
    try:
        found = [row[column] for row in rows]
    except IndexError:
        return False
    return found == keys and {value.__class__ for value in found} == {int}


def _key_columns(keys: list[Key], rows: list[Value]) -> list[int] | None:
    """The columns that make up the key in every row, if there are such."""
    columns = []
    for element in keys[0]:
        for column, value in enumerate(rows[0]):
            if value.__class__ is element.__class__ and value == element:
                columns.append(column)
                break
        else:
            return None
    if not columns:
        return None
    try:
        found = _picked(columns, rows)
    except IndexError:
        return None
    return columns if found == keys else None


def _picked(columns: Sequence[int], rows: list[Value]) -> list[Key]:
    if len(columns) == 1:
        column = columns[0]
        return [(row[column],) for row in rows]
    return list(map(itemgetter(*columns), rows))


def decode_node(
    kind: TreeKind, payload: bytes, page: int, location: int, added: Added | None = None
) -> Node:
    """The node in a page, its rows with the columns that were `added` since.  CorruptionError if it is no node of
    such a tree."""
    try:
        node = _decode_node(kind, payload, page, location)
        if added is not None and node.values is not None:
            node.values = added.rows(node.values)
            node.added = added
        return node
    except UNDECODABLE as error:
        raise senseless(f"page {page}: not a node of a {kind.name} tree", error) from error


def _decode_node(kind: TreeKind, payload: bytes, page: int, location: int) -> Node:
    fmt, found_kind, level, form = payload[:HEAD_BYTES]
    if fmt != FORMAT or found_kind != kind or level == LARGE_LEVEL:
        raise ValueError(f"head {payload[:HEAD_BYTES].hex()}")
    body = memoryview(payload)[HEAD_BYTES:]
    node = Node()
    node.level = level
    node.bytes = 0
    node.page = page
    node.location = location
    node.owner = None
    node.unflushed = False
    node.values = node.children = node.pages = node.columns = None
    if level:
        node.keys, pages = _DECODE_BRANCH[kind](body)
        if len(node.keys) + 1 != len(pages):
            raise ValueError(f"{len(node.keys)} separators for {len(pages)} children")
        node.pages = pages
        node.children = [0] * len(pages)
        return node
    if kind is TreeKind.INDEX:
        if form == _BY_COLUMN:
            (columns,) = _decode_index_columns(body)
            node.keys = list(zip(*map(decode_column, columns), strict=True))
        else:
            (node.keys,) = _decode_index(body)
        return node
    node.keys, node.values = _decode_leaf(kind, form, body)
    if len(node.keys) != len(node.values):
        raise ValueError(f"{len(node.keys)} keys for {len(node.values)} values")
    return node


def _decode_leaf(kind: TreeKind, form: int, body: memoryview) -> tuple[list[Key], list[Value]]:
    if kind is TreeKind.RAW:
        return decode_raw_leaf(body) if not form & LARGE else _decode_large_leaf(form, body)
    if form & LARGE:
        key_form = KeyForm(form & ~(LARGE | _BY_COLUMN))
        if form & _BY_COLUMN:
            part, columns = _DECODE_COLUMNS_LEAF[kind][key_form](body)
            rows = decoded_rows(columns)
        else:
            part, heads, references = _DECODE_LONG_LEAF[kind][key_form](body)
            rows = long_rows(heads, references)
        return _keys(kind, key_form, part, heads_of(rows)), rows
    elif form & _GONE:
        if not form & _BY_COLUMN:
            raise ValueError(f"form {form}")
        key_form = KeyForm(form & ~(_BY_COLUMN | _GONE))
        part, columns, gone = _DECODE_GONE_LEAF[kind][key_form](body)
        values = list(zip(*map(decode_column, columns), strict=True))
        keys = _keys(kind, key_form, part, values)
        if len(keys) != len(values) or not gone:
            raise ValueError(f"{len(keys)} keys for {len(values)} values")
        mask = mask_without(gone, len(keys))
        return list(compress(keys, mask)), list(compress(values, mask))
    elif form & _BY_COLUMN:
        key_form = KeyForm(form & ~_BY_COLUMN)
        part, columns = _DECODE_COLUMNS_LEAF[kind][key_form](body)
        values = list(zip(*map(decode_column, columns), strict=True))
    else:
        key_form = KeyForm(form)
        part, values = _DECODE_LEAF[kind][key_form](body)
    return _keys(kind, key_form, part, values), values


def _decode_large_leaf(form: int, body: memoryview) -> tuple[list[Key], list[Value]]:
    if form != LARGE:
        raise ValueError(f"form {form}")
    keys, values, large = _decode_large_raw(body)
    for slot, page, size_bytes in large:
        values[slot] = LargeReference(page, 0, size_bytes)
    return keys, LargeValues(values)


def decode_raw_leaf(body: bytes | memoryview) -> tuple[list[bytes], list[Value]]:
    """The keys and values of a RAW leaf without large values, from what follows its head."""
    try:
        return _decode_plain_raw(body)  # type: ignore[no-any-return]
    except msgspec.ValidationError:  # some values expire
        return _decode_raw(body)  # type: ignore[no-any-return]


def _keys(kind: TreeKind, form: KeyForm, part: Any, rows: list[Value]) -> list[Key]:
    if form is KeyForm.LISTED:
        return part  # type: ignore[no-any-return]
    if form is KeyForm.CONSECUTIVE:
        return list(range(part, part + len(rows)))
    if form is KeyForm.DELTAS:
        return list(accumulate(part))
    if kind is TreeKind.TABLE:
        return [row[part] for row in rows]
    return _picked(part, rows)


def column_leaf_decoder(
    kind: TreeKind, head: bytes, decoders: Mapping[bytes, tuple[KeyForm, Any]] = COLUMN_LEAVES
) -> tuple[KeyForm, Any] | None:
    """How a leaf of such a tree of rows with this head keeps its keys, and what decodes its key part and
    columns; None for one that keeps its rows otherwise.  ValueError if it is no such leaf."""
    found = decoders.get(head)
    if found is not None and head[1] == kind:
        return found
    fmt, found_kind, level, form = head
    if fmt != FORMAT or found_kind != kind or level:
        raise ValueError(f"head {head.hex()}")
    KeyForm(form & ~LARGE)
    return None


def readers(
    kind: TreeKind, payload: bytes, page: int, added: Added | None = None
) -> Readers | None:
    """The leaf of a tree of rows as something to be subscripted: its keys, and its rows.  None if it does not
    keep its rows, and keys that are no numbers, by column or has none, or has keys that are no numbers and deleted
    rows; CorruptionError as from `decode_node`."""
    try:
        fmt, found_kind, level, form = payload[:HEAD_BYTES]
        if fmt != FORMAT or found_kind != kind or level:
            raise ValueError(f"head {payload[:HEAD_BYTES].hex()}")
        if form & (LARGE | _BY_COLUMN) != _BY_COLUMN:
            return None
        key_form = KeyForm(form & ~(_BY_COLUMN | _GONE))
        if kind is TreeKind.CLUSTERED and (key_form is not KeyForm.COLUMNS or form & _GONE):
            return None
        decoders = _DECODE_GONE_LEAF if form & _GONE else _DECODE_COLUMNS_LEAF
        part, kept, *gone = decoders[kind][key_form](memoryview(payload)[HEAD_BYTES:])
        if added is not None:
            kept = added.columns(kept)
        count = row_count(kept[0])
        keys: Sequence[Key]
        if kind is TreeKind.CLUSTERED:
            keys = PackedKeys([values_to_search(kept[column]) for column in part])
        elif key_form is KeyForm.CONSECUTIVE:
            keys = range(part, part + count)
        elif key_form is KeyForm.COLUMNS:
            keys = values_to_search(kept[part])
        else:
            keys = array("q", part if key_form is KeyForm.LISTED else accumulate(part))
        if len(keys) != count:
            raise ValueError("keys and columns of different lengths")
        if not gone:
            return (keys, PageRows(page, kept)) if count else None
        if not gone[0]:
            raise ValueError("no deleted slots")
        mask = mask_without(gone[0], count)
        there = array("I", compress(range(count), mask))
        return (array("q", compress(keys, mask)), PageRows(page, kept, there)) if there else None
    except UNDECODABLE as error:
        raise senseless(f"page {page}: not a node of a {kind.name} tree", error) from error


def key_columns(payload: bytes, page: int) -> list[Sequence[Value]] | None:
    """An INDEX tree's leaf by column, its numbers as they lie in the page.  None if it does not keep its
    keys by column; CorruptionError as from `decode_node`."""
    if payload[:HEAD_BYTES] != _INDEX_COLUMNS_HEAD:
        return None
    try:
        (kept,) = _decode_index_columns(memoryview(payload)[HEAD_BYTES:])
        columns = list(map(values_to_search, kept))
        if len(set(map(len, columns))) != 1:
            raise ValueError("columns of different lengths")
        return columns if len(columns[0]) else None
    except UNDECODABLE as error:
        raise senseless(f"page {page}: not a node of an INDEX tree", error) from error


def index_columns(payload: bytes | memoryview, page: int) -> list[bytes] | None:
    """The columns of an INDEX tree's leaf as they are encoded.  None if it does not keep its keys by column;
    CorruptionError as from `decode_node`."""
    head = bytes(payload[:HEAD_BYTES])
    try:
        if head == _INDEX_COLUMNS_HEAD:
            (kept,) = _decode_index_columns(memoryview(payload)[HEAD_BYTES:])
            if not kept or not all(kept):
                raise ValueError("no columns")
            return kept  # type: ignore[no-any-return]
        fmt, kind, level, _ = head
        if fmt != FORMAT or kind != TreeKind.INDEX or level:
            raise ValueError(f"head {head.hex()}")
        return None
    except UNDECODABLE as error:
        raise senseless(f"page {page}: not a node of an INDEX tree", error) from error


def encode_index_page(columns: list[bytes]) -> bytearray:
    """The page of an INDEX tree's leaf, of its columns as they are encoded."""
    page = bytearray(_INDEX_COLUMNS_HEAD)
    _encode_into((columns,), page, HEAD_BYTES)
    return page


def encoded_size(value: Value) -> int:
    """Bytes of a key or value in a page."""
    return len(encoded(value))
