"""A batch's values of one column in a few bytes each.

    PackedColumn       array('h', 1000 1001 ...)                  integers, or REALs: 1 to 8 bytes; an object each takes 10 ns
    PackedWithNulls    the same, with 0 for NULL, and which       20 ns
    PackedTexts        "\\0amber\\0birch\\0\\0cedar\\0", and which    a byte beside its characters; 20 ns

As objects a number takes 36 bytes, a text 57 and its characters; to read and check the pages anew takes 70 ns a value.  What
looks for a text within all of them needs no objects (`PackedTexts.text_between`).
"""

from __future__ import annotations

import struct
import sys
from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from typing import overload

from btree.column_codec import packer
from btree.protocols import Value

SEPARATOR = "\0"

_FEW = 16
"""So few different texts among a sample are few altogether: as objects that are made one each they take 8 bytes a value, and who
groups by them or compares them does so once each."""

_MOST = 0.5
"""Of what the objects take: else nothing is packed."""


class PackedColumn(array):  # type: ignore[type-arg]  # which Python 3.11 has not
    """A batch's values of one column, all integers or all REALs."""

    __slots__ = ()


def packed(values: Sequence[Value]) -> PackedColumn | None:
    """The values packed, as narrow as they are; None if they are not all integers, or all REALs."""
    if isinstance(values, array):
        return PackedColumn(values.typecode, values)
    sample = values[:: len(values) // _SAMPLE_VALUES + 1]
    classes = set(map(type, sample))
    if classes == {float}:
        # Their place would take integers, too.
        return _packed("d", values) if set(map(type, values)) == {float} else None
    if classes != {int}:
        return None
    # To try takes 7 ns a value, half as much as an array does; to ask all for their types, the least and the largest, 30.
    low, high = min(sample), max(sample)
    for code, most in _INTEGERS:
        if -most <= low and high < most:
            try:
                return _packed(code, values)
            except struct.error:
                pass  # too narrow for one of them, or one is no integer
    return None


def _packed(code: str, values: Sequence[Value]) -> PackedColumn:
    return PackedColumn(code, packer(len(values), code)(*values))


_INTEGERS = [("b", 1 << 7), ("h", 1 << 15), ("i", 1 << 31), ("q", 1 << 63)]
_SAMPLE_VALUES = 32


class PackedValues(ABC):
    """Values that are not all of one kind of number.  As a sequence, what it was made of."""

    __slots__ = ("bytes",)

    bytes: int
    """About what it takes in memory."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def tolist(self) -> list[Value]:
        """The values."""

    @property
    @abstractmethod
    def unpacked_bytes(self) -> int:
        """About what its values take as objects."""

    @overload
    def __getitem__(self, place: int) -> Value: ...
    @overload
    def __getitem__(self, place: slice) -> list[Value]: ...
    def __getitem__(self, place: int | slice) -> Value:
        return self.tolist()[place]

    def text_between(self, separator: str, *, folded: bool) -> str | None:
        """See `StoredColumn.text_between`."""
        return None


class PackedWithNulls(PackedValues):
    """Integers, or REALs, and NULLs."""

    __slots__ = ("_nulls", "_numbers")

    def __init__(self, numbers: PackedColumn, nulls: array[int]) -> None:
        self._numbers = numbers
        self._nulls = nulls
        self.bytes = sys.getsizeof(numbers) + sys.getsizeof(nulls)

    def __len__(self) -> int:
        return len(self._numbers)

    def tolist(self) -> list[Value]:
        found: list[Value] = self._numbers.tolist()
        for place in self._nulls:
            found[place] = None
        return found

    @property
    def unpacked_bytes(self) -> int:
        return len(self) * _NUMBER_BYTES


_NUMBER_BYTES = sys.getsizeof(1.0) + 8
_TEXT_BYTES = sys.getsizeof("") + 8


class PackedTexts(PackedValues):
    """Texts and NULLs."""

    __slots__ = ("_count", "_nulls", "_text")

    def __init__(self, text: str, count: int, nulls: array[int]) -> None:
        self._text = text  # a separator before each, and behind the last
        self._count = count
        self._nulls = nulls
        self.bytes = sys.getsizeof(text) + sys.getsizeof(nulls)

    def __len__(self) -> int:
        return self._count

    def tolist(self) -> list[Value]:
        found: list[Value] = [*self._text.split(SEPARATOR)]
        del found[0], found[-1]
        for place in self._nulls:
            found[place] = None
        return found

    @property
    def unpacked_bytes(self) -> int:
        return len(self._text) + self._count * _TEXT_BYTES

    def text_between(self, separator: str, *, folded: bool) -> str | None:
        if separator != SEPARATOR or not self._text.isascii():
            return None
        return self._text.lower() if folded else self._text


def pack(values: Sequence[Value]) -> PackedValues | None:
    """Texts, numbers of one kind that have NULLs among them, and texts that have; None for others, and where that gains little."""
    sample = values[:: len(values) // _SAMPLE_VALUES + 1]
    made: PackedValues | None = None
    if str in {*map(type, sample)}:
        if len({*sample}) >= _FEW:
            made = _packed_texts(values)
    elif None in values:
        made = _packed_with_nulls(values)
    return made if made is not None and made.bytes < _MOST * made.unpacked_bytes else None


def _packed_with_nulls(values: Sequence[Value]) -> PackedWithNulls | None:
    nulls = _nulls_of(values)
    filler = next((0 * value for value in values if value.__class__ in (int, float)), None)
    if filler is None or filler != 0:
        return None
    numbers = packed([filler if value is None else value for value in values])
    return None if numbers is None else PackedWithNulls(numbers, nulls)


def _packed_texts(values: Sequence[Value]) -> PackedTexts | None:
    nulls = array("I")
    texts = values
    if None in values:
        nulls = _nulls_of(values)
        texts = ["" if value is None else value for value in values]
    try:
        text = SEPARATOR.join(["", *texts, ""])
    except TypeError:
        return None
    if text.count(SEPARATOR) != len(values) + 1:
        return None  # it is in one of them
    return PackedTexts(text, len(values), nulls)


def _nulls_of(values: Sequence[Value]) -> array[int]:
    return array("I", [place for place, value in enumerate(values) if value is None])
