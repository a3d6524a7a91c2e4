"""`Row`: a result row that is indexed by position, slice, or column name without regard to case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Never

if TYPE_CHECKING:
    from kvsh.cursor import Cursor


class Row:
    """Set it as `connection.row_factory`: `row["name"]`, `row[0]`, `row.keys()`, `len(row)`, `tuple(row)`."""

    __slots__ = ("_description", "_values")

    _description: Any
    _values: tuple[Any, ...]

    def __new__(cls, cursor: Cursor, values: tuple[Any, ...], /) -> Row:
        from kvsh.cursor import Cursor

        if not issubclass(type(cursor), Cursor):
            raise TypeError(f"argument 1 must be kvsh.Cursor, not {type(cursor).__name__}")
        if not isinstance(values, tuple):
            raise TypeError(f"argument 2 must be tuple, not {type(values).__name__}")
        self = super().__new__(cls)
        self._description = cursor.description
        self._values = values
        return self

    def keys(self) -> list[str]:
        """The columns' names, in order."""
        return [column[0] for column in self._description or ()]

    def __getitem__(self, index: int | slice | str) -> Any:
        if isinstance(index, str):
            wanted = _folded(index)
            for position, column in enumerate(self._description or ()):
                if column[0] == index or _folded(column[0]) == wanted:
                    return self._values[position]
            raise IndexError("No item with that key")
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
        return hash((self._description, self._values))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return bool(self._description == other._description and self._values == other._values)

    def __repr__(self) -> str:
        return f"<kvsh.Row {dict(zip(self.keys(), self._values, strict=False))!r}>"


def _folded(name: str) -> str:
    """ASCII letters in lower case, others as they are: names compare so in SQL."""
    return name.lower() if name.isascii() else name.encode().lower().decode()


Sequence.register(Row)
