"""Bytes by which values order, a *plane* at a time: the k-th byte of every value.

Planes are had by slices with a step, and dropped, translated, put together, cut off at the end (the values are in
order then, as far as what is left tells them apart) without a look at any value.  `packed_columns` and `packed_texts`
make them of columns.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

Column = Sequence[Any]
"""Values of entries: integers that fit in 64 bits, and REALs, may come and go in an `array`, consecutive ones as a
range."""

Planes = list[bytes]
"""A column's bytes, one of each value; the highest first."""

PACKED_AT_ONCE = 8192
SAMPLE_ENTRIES = 1000
LITTLE = sys.byteorder == "little"
AT = tuple(range(8)) if LITTLE else tuple(range(7, -1, -1))
"""Where in eight bytes the lowest byte is, and so on."""

TOP = bytes(range(0x40, 0x7E))
"""The highest byte of what is read as a REAL: it is positive, a normal number, and no infinity."""


_NO_RANK = 0xFF
"""Of a value that a plane has not; the last of 256 values has it, too."""


class PackedColumn:
    """A column that is packed.

    `columns`: (planes of some values, how many) -> the values, where the planes tell them; None where they don't, and
    only put them in order as far as they tell them apart."""

    __slots__ = ("column", "planes")

    def __init__(self, planes: Planes, column: Callable[[Planes, int], Column] | None) -> None:
        self.planes = planes
        self.column = column


def interleaved(planes: Planes, width: int = 8) -> bytearray:
    """Numbers of so many bytes, by their planes; the lowest bytes may be missing."""
    made = bytearray(width * len(planes[0]))
    for at, plane in enumerate(planes):
        made[width - 1 - at if LITTLE else at :: width] = plane
    return made


def on_top(planes: Planes, size: int) -> tuple[Planes, bytes]:
    """Planes of which the first has none but values of `TOP`: with another one before, or by translating it; and how
    that is translated back, b"" if it isn't."""
    if planes:
        ranks, used = ranked(planes[0])
        if len(used) <= len(TOP):
            top = TOP[: len(used)]
            lifted = ranks.translate(bytes.maketrans(bytes(range(len(top))), top))
            return [lifted, *planes[1:]], bytes.maketrans(top, used)
    return [TOP[:1] * size, *planes], b""


def counted(first: int, size: int) -> Planes:
    """The planes of as many consecutive numbers, none negative."""
    planes: Planes = []
    length, end = 1, first + size
    while not planes or length < end:
        plane = b"".join([bytes((value,)) * length for value in range(256)])
        planes.insert(0, (plane * (end // len(plane) + 1))[first:end])
        length *= 256
    return planes


def array_of(code: str, planes: Planes) -> Any:
    """Numbers of which there are the lowest planes."""
    found = array(code)
    width = found.itemsize
    zeros = [bytes(len(planes[0]))] * (width - len(planes))
    found.frombytes(interleaved([*zeros, *planes], width))
    return found


def planes_of(packed: Iterable[bytes], width: int) -> Planes:
    """The planes of values of so many bytes each, the first bytes first."""
    planes = [bytearray() for _ in range(width)]
    for some in packed:
        for at, plane in enumerate(planes):
            plane += some[at::width]
    return list(map(bytes, planes))


def is_constant(plane: bytes) -> bool:
    """Whether it has one value."""
    return not plane.strip(plane[:1])


def ranked(plane: bytes) -> tuple[bytes, bytes]:
    """A plane of the ranks of its values among those that there are, and these."""
    used = set(plane[:: len(plane) // SAMPLE_ENTRIES + 1])
    while True:
        values = bytes(sorted(used))
        ranks = plane.translate(_ranks_of(values))
        if len(values) == 256 or _NO_RANK not in ranks:
            return ranks, values
        used.update(plane.translate(None, values)[:SAMPLE_ENTRIES])


@lru_cache(maxsize=256)
def _ranks_of(values: bytes) -> bytes:
    """Of each byte its rank."""
    table = bytearray((_NO_RANK,)) * 256
    for rank, value in enumerate(values):
        table[value] = rank
    return bytes(table)
