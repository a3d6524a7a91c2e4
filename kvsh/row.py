"""`Row`: a result row that is indexed by position, slice, or column name without regard to case.

What the rows of one result have in common, where each column's name leads to, is made once and kept by the
connection for the statement's next execution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Never

if TYPE_CHECKING:
    from kvsh.cursor import Cursor, Description

_new: Any = object.__new__


class Row:
    """Set it as `connection.row_factory`: `row["name"]`, `row[0]`, `row.keys()`, `len(row)`, `tuple(row)`."""

    __slots__ = ("_places", "_values")

    _places: Places
    _values: tuple[Any, ...]

    def __new__(cls, cursor: Cursor, values: tuple[Any, ...], /) -> Row:
        try:
            places = cursor._places
        except AttributeError:
            kind = type(cursor).__name__
            raise TypeError(f"argument 1 must be kvsh.Cursor, not {kind}") from None
        if not isinstance(values, tuple):
            raise TypeError(f"argument 2 must be tuple, not {type(values).__name__}")
        self: Row = _new(cls)
        self._places = places
        self._values = values
        return self

    def keys(self) -> list[str]:
        """The columns' names, in order."""
        return self._places.names.copy()

    def __getitem__(self, index: int | slice | str) -> Any:
        if isinstance(index, str):
            return self._values[self._places[index]]
        if isinstance(index, int | slice) or hasattr(index, "__index__"):
            try:
                return self._values[index]
            except OverflowError:
                raise IndexError("Index out of range") from None
        raise IndexError("Index must be int or string")

    def __reduce__(self) -> Never:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __hash__(self) -> int:
        return hash((self._places.description, self._values))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return bool(
            self._places.description == other._places.description and self._values == other._values
        )

    def __repr__(self) -> str:
        return f"<kvsh.Row {dict(zip(self.keys(), self._values, strict=False))!r}>"


class Places(dict[str, int]):
    """The columns' places by their names: the first of those that differ by ASCII letters' case alone."""

    def __init__(self, description: Description) -> None:
        self.description = description
        self.names = [column[0] for column in description]
        for place, name in enumerate(self.names):
            self[name] = self.setdefault(_folded(name), place)

    def __missing__(self, name: str) -> int:
        place = self.get(_folded(name))
        if place is None:
            raise IndexError("No item with that key")
        self[str(name)] = place
        return place

    def row(self, values: tuple[Any, ...]) -> Row:
        """A row of these columns: `Row` itself as a row factory, without a look at the cursor."""
        made: Row = _new(Row)
        made._places = self
        made._values = values
        return made


def _folded(name: str) -> str:
    """ASCII letters in lower case, others as they are: names compare so in SQL."""
    return name.lower() if name.isascii() else name.encode().lower().decode()


Sequence.register(Row)
