"""Columns packed into planes (`planes`), the bytes by which their values order:

integers         their bytes, but for those that are the same in all of them
few values       which of them it is, in their order
REALs            their bytes, those of negative ones turned
texts, blobs     their bytes as digits (`packed_texts`)
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from typing import Any

from btree import order_key
from sql.dml.packed_texts import packed_texts
from sql.dml.planes import (
    LITTLE,
    PACKED_AT_ONCE,
    SAMPLE_ENTRIES,
    Column,
    PackedColumn,
    Planes,
    array_of,
    counted,
    interleaved,
    is_constant,
    planes_of,
)

BASE_MAX = 1 << 20
_FEW_OF_SAMPLE = 8
"""With fewer values than one in so many of a sample, it is packed which of them it is."""

_FEW_VALUES_MAX = 1 << 14
_FLIPPED = bytes(value ^ 0x80 for value in range(256))
_MASK = bytes(0xFF if value & 0x80 else 0 for value in range(256))
_ORDERED = bytes(0xFF - value if value & 0x80 else value | 0x80 for value in range(256))
_DISORDERED = bytes(value ^ 0x80 if value & 0x80 else 0xFF - value for value in range(256))
"""A REAL's highest byte as one that orders, and back."""

_INTEGERS = (("b", 1), ("h", 2), ("i", 4), ("q", 8))


def in_array(values: Sequence[Any]) -> Any:
    """The values in an array, if they are all integers, or all REALs; else None.  One that is given stays what it is."""
    if values.__class__ is array:
        return values
    if not values:
        return None
    kind = values[0].__class__
    if kind is int:
        try:
            return array("q", struct.pack(f"{len(values)}q", *values))
        except struct.error:
            return None
    if kind is float and set(map(type, values)) == {float}:
        return array("d", struct.pack(f"{len(values)}d", *values))
    return None


def _numbers_of(planes: Planes, size: int) -> list[int]:
    """Small numbers of their planes."""
    if len(planes) == 1:
        return list(planes[0])
    return array_of("i" if len(planes) < 4 else "q", planes).tolist()  # type: ignore[no-any-return]


def packed_column(column: Column, room: int, *, first: bool) -> PackedColumn | None:
    """How a column is packed, texts in no more than so many planes; None if that would tell too little.  `first`: nothing
    stands before it."""
    if column.__class__ is array:
        if column.typecode != "d":
            return _integers(column)
        return _few_values(column) or _reals(column)
    if column.__class__ is range:
        return _range(column)
    return _few_values(column) or packed_texts(column, room, first=first)


def _of_array(values: Any) -> Planes:
    """The planes of an array of numbers, as if they were of eight bytes."""
    starts = range(0, len(values), PACKED_AT_ONCE)
    packed = (values[start : start + PACKED_AT_ONCE].tobytes() for start in starts)
    planes = planes_of(packed, values.itemsize)
    if LITTLE:
        planes.reverse()
    if len(planes) < 8:
        planes[:0] = [planes[0].translate(_MASK)] * (8 - len(planes))  # the sign
    return planes


def _range(values: Any) -> PackedColumn:
    """Consecutive integers."""
    if not 0 <= values.start <= BASE_MAX:
        return _integers(array("q", values))
    planes = counted(values.start, len(values))
    code, _ = _narrowest(0, values.stop - 1)
    return PackedColumn(planes, lambda planes, size: array_of(code, planes))


def _integers(values: Any) -> PackedColumn:
    planes = _of_array(values)
    if not is_constant(planes[0]):  # negative ones, and others
        low, high = min(values), max(values)
        code, width = _narrowest(low, high)
        planes = planes[8 - width :]
        planes[0] = planes[0].translate(_FLIPPED)

        def with_signs(planes: Planes, size: int) -> Any:
            planes[0] = planes[0].translate(_FLIPPED)
            found = array(code)
            found.frombytes(interleaved(planes, width))
            return found

        return PackedColumn(planes, with_signs)
    varying = [at for at, plane in enumerate(planes) if not is_constant(plane)]
    lowest, highest = bytearray(8), bytearray(b"\xff" * 8)
    for at, plane in enumerate(planes):
        if at not in varying:
            lowest[at] = highest[at] = plane[0]
    if varying:
        highest[varying[0]] = max(set(planes[varying[0]]))
    low, high = (int.from_bytes(bound, "big", signed=True) for bound in (lowest, highest))
    code, width = _narrowest(low, high)

    def column(planes: Planes, size: int) -> Any:
        given = iter(planes)
        whole = [
            next(given) if at in varying else bytes(lowest[at : at + 1]) * size
            for at in range(8 - width, 8)
        ]
        found = array(code)
        found.frombytes(interleaved(whole, width))
        return found

    return PackedColumn([planes[at] for at in varying], column)


def _narrowest(low: int, high: int) -> tuple[str, int]:
    """The code and the width of the narrowest array that holds these numbers."""
    for code, width in _INTEGERS:
        half = 1 << 8 * width - 1
        if -half <= low and high < half:
            return code, width
    raise OverflowError("integers of more than 64 bits")


def _reals(values: Any) -> PackedColumn | None:
    """REALs: those that are not negative order as their bytes do, the others in the opposite way.  None if -0.0 may be
    among them, which is what 0.0 is."""
    planes = _of_array(values)
    if 0x80 in planes[0]:
        return None
    planes = [planes[0].translate(_ORDERED), *_inverted(planes[0].translate(_MASK), planes[1:])]
    varying = [at for at, plane in enumerate(planes) if not is_constant(plane)]
    rest = [plane[:1] for plane in planes]

    def column(planes: Planes, size: int) -> Any:
        given = iter(planes)
        top, *whole = [next(given) if at in varying else rest[at] * size for at in range(8)]
        top = top.translate(_DISORDERED)
        found = array("d")
        found.frombytes(interleaved([top, *_inverted(top.translate(_MASK), whole)]))
        return found

    return PackedColumn([planes[at] for at in varying], column)


def _inverted(mask: bytes, planes: Planes) -> Planes:
    """Planes in which the bytes are turned that the mask has all bits of."""
    if 0xFF not in mask:
        return planes
    bits, size = int.from_bytes(mask), len(mask)
    return [(int.from_bytes(plane) ^ bits).to_bytes(size) for plane in planes]


def _few_values(values: Column) -> PackedColumn | None:
    """Any values of which there are few."""
    sample = values[:: len(values) // SAMPLE_ENTRIES + 1]
    if len(set(sample)) * _FEW_OF_SAMPLE > len(sample):
        return None
    different = set(values)
    numbers = set(map(type, different)) & {bool, int, float}
    if numbers:  # of all values: a set has one of two that are equal
        numbers = set(map(type, values)) & {bool, int, float}
    # One of two that are equal and not the same (1 and 1.0, 0.0 and -0.0) would stand for both.
    if (
        len(different) > _FEW_VALUES_MAX
        or len(numbers) > 1
        or (numbers == {float} and 0.0 in different)
    ):
        return None
    try:
        ordered = sorted(different)
    except TypeError:
        ordered = sorted(different, key=order_key)
    number_of = {value: number for number, value in enumerate(ordered)}.__getitem__
    if len(ordered) == 1:
        planes: Planes = []
    elif len(ordered) <= 256:
        planes = [bytes(map(number_of, values))]
    else:
        packed = array("H", map(number_of, values)).tobytes()
        planes = [packed[1::2], packed[::2]] if LITTLE else [packed[::2], packed[1::2]]

    def column(planes: Planes, size: int) -> Column:
        if not planes:
            return ordered * size
        return list(map(ordered.__getitem__, _numbers_of(planes, size)))

    return PackedColumn(planes, column)
