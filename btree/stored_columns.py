"""Columns of a batch that still lie in their pages: for scans that keep nothing and may not want every value.

    leaves of 200 rows      |i.3.9.2..|i.7.7.1..|i.0.4.4..|      their columns, as bytes
    `numbers`               array('i', 3 9 2 ... 7 7 1 ... 0 4 4)     one copy; an object a value takes 16 ns
    `text_between("\\0")`    "\\0amber\\0birch\\0cedar..."               from msgpack's heads, 1 ns a byte; 20 ns a value

A condition can be decided where the values lie, and those that are wanted of the rows that it leaves are made then.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, overload

from btree.codec import KEY_COLUMN, KeyForm
from btree.column_codec import array_joined, shortened, texts_between
from btree.column_pages import OpenPage, has_few_gone, joined, without_few_gone
from btree.packed_values import PackedValues
from btree.protocols import Value


class StoredColumn(Sequence[Value]):
    """One column of several leaves' pages.

    As a sequence it is its values, which are made when the first one is asked for.  CorruptionError, whatever is asked,
    if they can't be."""

    __slots__ = ("_leaves", "_number", "_numbers", "_packed", "_rows", "_values")

    def __init__(self, leaves: Sequence[OpenPage], number: int, rows: int) -> None:
        self._leaves = leaves
        self._number = number
        self._rows = rows
        self._numbers: array[Any] | None = None
        self._packed: PackedValues | None = None
        self._values: list[Value] | None = None

    @classmethod
    def of(cls, values: array[Any] | PackedValues) -> StoredColumn:
        """A column of these values, which lie in no page."""
        made = cls((), 0, len(values))
        if isinstance(values, PackedValues):
            made._packed = values
        else:
            made._numbers = values
        return made

    def __len__(self) -> int:
        return self._rows

    @overload
    def __getitem__(self, place: int) -> Value: ...
    @overload
    def __getitem__(self, place: slice) -> list[Value]: ...
    def __getitem__(self, place: int | slice) -> Value:
        return self.values()[place]

    def __iter__(self) -> Iterator[Value]:
        return iter(self.values())

    def values(self) -> list[Value]:
        """All values."""
        if self._values is None:
            packed = self._numbers if self._packed is None else self._packed
            self._values = joined(self._leaves, self._number) if packed is None else packed.tolist()
        return self._values

    def numbers(self) -> array[Any] | None:
        """The values in an array (codes b h i q d), if all are integers, or all REALs, of one width in all of the
        leaves, and few rows of these are deleted ones."""
        leaves, number = self._leaves, self._number
        if not leaves or number == KEY_COLUMN:
            return self._numbers
        if self._numbers is None and has_few_gone(leaves):
            found = array_joined([leaf.kept[number] for leaf in leaves])
            self._numbers = None if found is None else without_few_gone(found, leaves)
        return self._numbers

    def text_between(self, separator: str, *, folded: bool) -> str | None:
        """The values in one text, the separator (a character of ASCII) before each and behind the last, nothing in place of
        NULL; `folded`: ASCII letters in lower case.  None if they are not all short texts of ASCII without that
        character, and NULLs, or many rows are deleted ones."""
        if self._packed is not None:
            return self._packed.text_between(separator, folded=folded)
        leaves, number = self._leaves, self._number
        if number == KEY_COLUMN or not leaves or not has_few_gone(leaves):
            return None
        columns = [
            shortened(leaf.kept[number], leaf.gone, leaf.rows) if leaf.gone else leaf.kept[number]
            for leaf in leaves
        ]
        return texts_between(columns, self._rows, separator, folded=folded)

    def as_it_lies(self) -> Sequence[Value]:
        """The values in what costs least to make: an array, a range of consecutive row ids, or else a list."""
        if self._number == KEY_COLUMN:
            found: Sequence[Value] | None = self._consecutive()
        else:
            found = self.numbers()
        return self.values() if found is None else found

    def _consecutive(self) -> range | None:
        leaves = self._leaves
        if any(leaf.gone or leaf.key_form is not KeyForm.CONSECUTIVE for leaf in leaves):
            return None
        first = leaves[0].key_part
        last = leaves[-1].key_part + leaves[-1].rows
        # Keys ascend, so that there are as many as rows only if none is missing.
        return range(first, last) if last - first == self._rows else None


def as_it_lies(column: Sequence[Value]) -> Sequence[Value]:
    """A batch's column in what costs least to make of it: see `StoredColumn.as_it_lies`."""
    return column.as_it_lies() if isinstance(column, StoredColumn) else column


def listed(column: Sequence[Value]) -> Sequence[Value]:
    """A batch's column in what costs least to be gone through: a list, if it is a `StoredColumn`."""
    return column.values() if isinstance(column, StoredColumn) else column
