"""Texts and blobs packed: their bytes as digits, each with as many values as there are at its place.

Of a date's ten bytes two are always the same, and a digit takes one of ten values, the first of a month one of
two.  So each plane of bytes becomes one of *ranks* among the values that it has, and ranks of neighbours become one
number as long as it fits in a byte, `rank * values there + rank`, and then ranks among the numbers that there are: a
few words take one plane.  That orders as the texts do.  Five bytes tell a second of some years, nine hexadecimal
digits, or a word and a number; texts that are told wholly are made anew from their planes, which takes a third of fetching
them from all over the memory.

A plane is an integer of a million bytes while it is multiplied: no byte of it overflows into the next.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import compress, count, starmap
from operator import ne

from sql.dml.planes import (
    PACKED_AT_ONCE,
    SAMPLE_ENTRIES,
    TOP,
    Column,
    PackedColumn,
    Planes,
    is_constant,
    ranked,
)

GROUPS_OF_SAMPLE = 100
"""Beginnings of values tell enough if none of them is more than such a share of a sample's."""

_ALIKE_MAX = 40
_WIDTH_MAX = 40
"""Bytes that are packed of each value, at most: that are the same in all of a sample, and behind them."""

_PAD = 0xFF
"""Stands behind a text that is made anew, until it is taken out: no text in UTF-8 has this byte, nor has one that is
packed a NUL, which divides them."""


def packed_texts(values: Column, room: int, *, first: bool) -> PackedColumn | None:
    """Texts, or blobs, by the bytes that tell them apart, in no more than so many planes; None if they tell too little.

    `first`: nothing stands before them."""
    kind = values[0].__class__
    sample = values[:: len(values) // SAMPLE_ENTRIES + 1]
    if room <= 0 or kind not in (str, bytes) or set(map(type, sample)) != {kind}:
        return None
    try:
        alike, longest = _extent(sample)
        if alike > _ALIKE_MAX:
            return None
        width = min(longest, alike + _WIDTH_MAX)
        if first and not _packed(sample, kind, width, room, first=True).is_telling():
            return None
        packed = _packed(values, kind, width, room, first=first)
    except (struct.error, TypeError, UnicodeEncodeError):  # other values, or halves of characters
        return None
    if not packed.planes and not packed.is_whole:
        return None
    return PackedColumn(packed.planes, packed.texts if packed.is_whole else None)


def _extent(sample: Sequence[str | bytes]) -> tuple[int, int]:
    """How many bytes all begin with, and the longest one's length."""
    texts = [text.encode() if isinstance(text, str) else text for text in sample]
    ends = zip(min(texts), max(texts), strict=False)
    alike = next(compress(count(), starmap(ne, ends)), len(min(texts)))
    return alike, max(map(len, texts))


class _Packed:
    """Planes, and what they tell; `is_whole`: all bytes of the texts."""

    def __init__(self, width: int) -> None:
        self.planes: Planes = []
        self.is_whole = False
        self._likeness = bytearray(width)  # what is the same in all of them
        self._used: dict[int, bytes] = {}  # of each other place, the bytes that there are
        self._digits: list[_Digits] = []

    def digits_at(self, place: int, plane: bytes) -> _Digits:
        """The bytes at a place as ranks."""
        ranks, used = ranked(plane)
        self._used[place] = _table(used.replace(b"\0", bytes((_PAD,))))
        return _Digits(ranks, len(used), [(place, bytes(range(256)))])

    def add(self, digits: _Digits) -> None:
        """Go on with a plane."""
        self.planes.append(digits.plane)
        self._digits.append(digits)

    def note_alike(self, place: int, value: int) -> None:
        """All have this byte at a place."""
        self._likeness[place] = value or _PAD

    def is_telling(self) -> bool:
        """Whether few of them have the same planes but for those that are equal."""
        if self.is_whole:
            return True
        found = Counter(zip(*self.planes, strict=True))
        return max(found.values(), default=0) * GROUPS_OF_SAMPLE <= sum(found.values())

    def texts(self, planes: Planes, size: int) -> Column:
        """The texts that have these planes."""
        ranks: dict[int, bytes] = {}
        for plane, digits in zip(planes, self._digits, strict=True):
            for place, table in digits.tables:
                part = plane.translate(table)
                if place in ranks:
                    part = _sum(int.from_bytes(ranks[place]), part)
                ranks[place] = part
        step = len(self._likeness) + 1
        made = bytearray((self._likeness + b"\0") * size)
        for place, of_place in ranks.items():
            made[place::step] = of_place.translate(self._used[place])
        del made[-1:]
        return made.translate(None, bytes((_PAD,))).decode().split("\0")


class _Digits:
    """What becomes one plane: ranks, `many` of them, among what there is at some places together.

    `tables`: places, and of each value of the plane the rank there, or the part of it that is told here."""

    def __init__(self, plane: bytes, many: int, tables: Iterable[tuple[int, bytes]]) -> None:
        self.plane = plane
        self.many = many
        self.tables = list(tables)

    def split(self, most: int) -> tuple[_Digits, _Digits]:
        """Two numbers in the place of these of one place, the first one with no more values than that."""
        low = -(-self.many // most)
        ((place, _),) = self.tables
        numbers = range(256)
        high_of, low_of = bytes([at // low for at in numbers]), bytes([at % low for at in numbers])
        many = -(-self.many // low)
        high_ranks = _table([at * low for at in range(many)])
        return (
            _Digits(self.plane.translate(high_of), many, [(place, high_ranks)]),
            _Digits(self.plane.translate(low_of), low, [(place, bytes(numbers))]),
        )

    def join(self, other: _Digits) -> None:
        """Take in the digits of places behind; so many as there may be together have to fit in a byte."""
        low = other.many
        self.plane, used = ranked(_sum(int.from_bytes(self.plane) * low, other.plane))
        self.many = len(used)
        self.tables = [
            *[(at, _table([table[value // low] for value in used])) for at, table in self.tables],
            *[(at, _table([table[value % low] for value in used])) for at, table in other.tables],
        ]


def _sum(numbers: int, plane: bytes) -> bytes:
    return (numbers + int.from_bytes(plane)).to_bytes(len(plane))


def _table(values: Sequence[int]) -> bytes:
    return bytes(values).ljust(256, b"\0")


def _packed(values: Column, kind: type, width: int, room: int, *, first: bool) -> _Packed:
    """The values' first bytes as digits, in no more than so many planes; in the first one no more than are to be on
    top.  struct.error, TypeError or UnicodeEncodeError for other values."""
    records = [
        _Records(values[start : start + PACKED_AT_ONCE], kind, width)
        for start in range(0, len(values), PACKED_AT_ONCE)
    ]
    made = _Packed(width)
    last: _Digits | None = None
    limit = len(TOP) if first else 256
    for place in range(width):
        plane = b"".join([some.plane(place) for some in records])
        if is_constant(plane):
            made.note_alike(place, plane[0])
            continue
        digits = made.digits_at(place, plane)
        if last is not None:
            most = limit // last.many
            if digits.many <= most:
                last.join(digits)
                continue
            if most > 1:
                high, digits = digits.split(most)
                last.join(high)
            made.add(last)
            limit = 256
            if len(made.planes) == room:
                return made
        last = digits
    if last is not None:
        made.add(last)
    made.is_whole = all(some.are_whole for some in records)
    return made


class _Records:
    """Some values' bytes, of each as many; `are_whole`: there are no more, and no NUL is among them."""

    def __init__(self, values: Column, kind: type, width: int) -> None:
        self._count = many = len(values)
        if kind is str:
            joined = "\0".join(values).encode()
            step = len(joined) // many + 1
            plain = joined.count(0) == many - 1
            if (
                plain
                and len(joined) == step * many - 1
                and joined[step - 1 :: step].count(0) == many - 1
            ):
                self._bytes, self._step = joined, step
                self.are_whole = step - 1 <= width
                return
            values = joined.split(b"\0") if plain else list(map(str.encode, values))
        else:
            plain = False
        self._step = width + 1  # a byte behind tells of longer ones
        self._bytes = _packer(many, width + 1)(*values)
        self.are_whole = plain and not self._bytes[width :: width + 1].strip(b"\0")

    def plane(self, place: int) -> bytes:
        """The byte at this place of each."""
        if place < self._step - 1:
            return self._bytes[place :: self._step]
        return bytes(self._count)


@lru_cache(maxsize=16)
def _packer(many: int, width: int) -> Callable[..., bytes]:
    return struct.Struct(f"{width}s" * many).pack
