"""A leaf's column as bytes: numbers in fixed width, so that one can be read without the others.

    'b' 'h' 'i' 'q'   integers of 1, 2, 4 or 8 bytes, two's complement
    'd'               REALs, IEEE 754
    0x90 and above    msgpack: an array of any values
    'L'               a column with values in pages of their own, see `long_columns`

The first byte tells; numbers are little-endian.  Integers are kept in fixed width where that takes at most
a byte more per value than msgpack does, so that one large number does not make all of them long.

Look-ups in leaves whose columns nobody has decoded are the matter of `packed_rows` and `packed_keys`.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from btree.protocols import Value

_INTEGERS = (("b", b"b", 1, 2), ("h", b"h", 2, 3), ("i", b"i", 4, 5), ("q", b"q", 8, 9))
"""Codes, as first bytes, too, widths, and the bytes that msgpack takes at most for such an integer."""

_CODES: dict[int, Any] = {ord(code): code for code in "bhiqd"}
FIXED_WIDTHS = {first: array(code).itemsize for first, code in _CODES.items()}
LONG = ord("L")
"""The first byte of a column with values in pages of their own."""

_HEAD_MAX = 5  # bytes before the first value in msgpack
_ARRAY_16, _ARRAY_32 = 0xDC, 0xDD
_SWAPPED = sys.byteorder == "big"

_ASCII = bytes(range(0x80))
_SHORT, _NULL = 0xA0, 0xC0
"""Heads in msgpack: of a text of less than 32 bytes, whose length is added; of NULL, the number behind those."""
_SHORT_HEADS = bytes(range(_SHORT, _NULL + 1))
_LENGTHS = bytes([max(head - _SHORT, 0) for head in range(256)])
_HIGH = bytes(range(0x80, 256))
_LIST_HEADS = {_ARRAY_16: 3, _ARRAY_32: 5}
"""Bytes of the head of an array in msgpack, where it takes more than one."""
SHORT_NULL = _NULL - _SHORT
"""What `short_lengths` has in the place of NULL's."""
_NO_LENGTH = bytes([SHORT_NULL])

_encode = msgspec.msgpack.Encoder().encode
decode_all: Callable[[Any], list[Value]] = msgspec.msgpack.Decoder(list[Any]).decode
decode_value: Callable[[Any], Value] = msgspec.msgpack.Decoder(Any).decode


def encode_column(values: Sequence[Value]) -> bytes:
    """The bytes of a column.  TypeError, OverflowError or UnicodeError for what no tree can keep."""
    kind = values[0].__class__ if values else None
    if kind is float and set(map(type, values)) == {float}:
        return b"d" + _fixed("d", values)
    plain = _encode(values)
    if kind is int:
        # What msgpack needs on average, some of them need at least.
        count = len(values)
        size, longest = len(plain) - _HEAD_MAX, len(plain) + count
        for code, first, width, least in _INTEGERS:
            if size > least * count:
                continue
            if width * count > longest:
                break
            try:
                return first + _fixed(code, values)
            except (struct.error, OverflowError, TypeError):
                pass  # too narrow for one of them, or one is no integer
    return plain


def encode_array(values: array[Any]) -> bytes:
    """The bytes of a column of numbers that are in an array: as they lie there, unless most of them would do with
    half the width."""
    code, width = values.typecode, values.itemsize
    data = values.tobytes()
    half = width // 2
    if (
        code != "d"
        and half
        and data[half if not _SWAPPED else half - 1 :: width].count(0) > len(values) // 2
    ):
        return encode_column(values.tolist())
    if _SWAPPED:
        values = values[:]
        values.byteswap()
        data = values.tobytes()
    return code.encode() + data


def _fixed(code: str, values: Sequence[Value]) -> bytes:
    if _SWAPPED:
        swapped = array(code, values)
        swapped.byteswap()
        return swapped.tobytes()
    return packer(len(values), code)(*values)


@lru_cache(maxsize=1024)
def packer(count: int, code: str) -> Callable[..., bytes]:
    """What packs so many numbers: most leaves have one of a few lengths, and to read a format takes a third of the
    time."""
    return struct.Struct(f"{count}{code}").pack


def decode_column(column: bytes) -> list[Value]:
    """All values.  msgspec.DecodeError, ValueError or LookupError if it is no column."""
    first = column[0]
    if first >= 0x80:
        return decode_all(column)
    values = array(_CODES[first])
    values.frombytes(memoryview(column)[1:])
    if _SWAPPED:
        values.byteswap()
    return values.tolist()


def row_count(column: bytes) -> int:
    """How many values the column has, by its head and its length.  Errors as `decode_column`."""
    first = column[0]
    if first < 0x80:
        if first == LONG:
            return row_count(column[2:8])
        count, rest = divmod(len(column) - 1, FIXED_WIDTHS[first])
        if rest:
            raise ValueError("a column that ends within a value")
        return count
    if first == _ARRAY_16:
        return column[1] << 8 | column[2]
    if first == _ARRAY_32:
        return int.from_bytes(column[1:5])
    if first & 0xF0 == 0x90:
        return first & 0x0F
    raise ValueError("no column")


def decode_joined(columns: Sequence[bytes]) -> list[Value]:
    """All values of several columns, one after the other: those of one fixed width in one go.

    Each has to have a `row_count`.  Errors as `decode_column`."""
    values = array_joined(columns)
    if values is not None:
        return values.tolist()
    found: list[Value] = []
    for column in columns:
        found += decode_column(column)
    return found


def array_joined(columns: Sequence[bytes]) -> array[Any] | None:
    """The same as an array; None where they are not all numbers of one fixed width."""
    first = columns[0][0]
    if first not in _CODES or {column[0] for column in columns} != {first}:
        return None
    values = array(_CODES[first])
    values.frombytes(b"".join([column[1:] for column in columns]))
    if _SWAPPED:
        values.byteswap()
    return values


def short_lengths(column: bytes, count: int) -> bytes:
    """The lengths of a column's texts, `SHORT_NULL` for NULLs, if it is of nothing but texts of ASCII, each shorter than 32
    bytes, and NULLs; else nothing.  Before each value in the column stands a head of one byte, which these are made of."""
    if column[0] != _ARRAY_16:  # of 16 entries and more
        return b""
    heads = column[3:].translate(None, _ASCII)
    # No other value begins so, and text beyond ASCII has bytes of 0xc2 and more: so these are the heads of all
    # values that are no small integers, which have none.
    if len(heads) != count or heads.translate(None, _SHORT_HEADS):
        return b""
    return heads.translate(_LENGTHS)


def short_texts(column: bytes) -> str:
    """The texts of a column that has `short_lengths`, put together."""
    return column[3:].translate(None, _HIGH).decode()


def shortened(column: bytes, slots: Sequence[int], left: int) -> bytes:
    """A column without the values in some slots, ascending, which leaves so many; where it has no `short_lengths`, nothing."""
    lengths = short_lengths(column, left + len(slots)).replace(_NO_LENGTH, b"\0")
    if not lengths:
        return b""
    pieces, start, first = [bytes([_ARRAY_16]), left.to_bytes(2)], 3, 0
    for slot in slots:
        end = start + slot - first + sum(lengths[first:slot])
        pieces.append(column[start:end])
        start, first = end + 1 + lengths[slot], slot + 1
    pieces.append(column[start:])
    return b"".join(pieces)


def texts_between(
    columns: Sequence[bytes], count: int, separator: str, *, folded: bool
) -> str | None:
    """The `count` values of several columns, one after the other, if they are nothing but texts of ASCII, each shorter than
    32 bytes and without the separator, and NULLs; else None.  See `StoredColumn.text_between`."""
    mark = separator.encode("ascii")
    if min([column[:1] for column in columns]) < b"\x80":  # numbers, or nothing, which is no column
        return None
    block = b"".join([column[_LIST_HEADS.get(column[0], 1) :] for column in columns])
    if mark in block:
        return None
    block = block.translate(_between(mark, folded))
    # What is left beyond ASCII is a head of something else, or begins a character beyond it; and what has no head is a
    # small integer.
    if not block.isascii() or block.count(mark) != count:
        return None
    return block.decode("ascii") + separator


@lru_cache(maxsize=4)
def _between(mark: bytes, folded: bool) -> bytes:
    """Heads of short texts and of NULL as the mark, all other bytes as they are, or in lower case."""
    table = bytes(range(256))
    if folded:
        table = table.lower()
    return table[:_SHORT] + mark * len(_SHORT_HEADS) + table[_NULL + 1 :]


def values_to_search(column: bytes) -> Sequence[Value]:
    """The column's values as something that is quick to bisect: numbers in fixed width as they are, a list of
    others.  Errors as `decode_column`."""
    code = _CODES.get(column[0])
    if code is None:
        return decode_all(column)
    # Not a memoryview of the bytes: it reads through three objects, each another miss of the processor's cache.
    values = array(code)
    values.frombytes(memoryview(column)[1:])
    if _SWAPPED:
        values.byteswap()
    return values


def encoded_lengths(column: bytes, values: list[Value]) -> list[int]:
    """How many bytes stand before the first value of a column in msgpack, and how many each takes."""
    head = _LIST_HEADS.get(column[0], 1)
    lengths = [head, *map(len, map(_encode, values))]
    if sum(lengths) != len(column):
        raise ValueError("a column in another msgpack than is written here")
    return lengths
