"""A stored blob as a file-like object: `Connection.blobopen`, as the sqlite3 module has it.

The blob is read whole when it is opened; a write changes the copy and updates the row at once, within the
connection's transaction.  The length can't change.  A handle expires when its row is changed by
anybody else, which is noticed at the next use.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from kvsh.errors import LOWER_ERRORS, OperationalError, ProgrammingError, coded, failed, translated
from sql import quoted

if TYPE_CHECKING:
    from kvsh.connection import Connection


class Blob:
    """Made by `Connection.blobopen()`: read, write, seek, tell, close, len, indexing and slices."""

    _connection: Connection
    _readonly: bool
    _closed: bool
    _position: int
    _select: str
    _update: str
    _row: int
    _is_text: bool
    _data: bytes

    def __new__(cls, *arguments: object, **options: object) -> Blob:
        raise TypeError(f"cannot create '{cls.__module__}.{cls.__qualname__}' instances")

    @classmethod
    def on(
        cls,
        connection: Connection,
        table: str,
        column: str,
        row: int,
        *,
        readonly: bool,
        schema: str,
    ) -> Blob:
        """The value of one row's column.  Raises OperationalError if there is none."""
        self = super().__new__(cls)
        _check_names(connection, table, column, schema)
        self._connection = connection
        self._readonly = readonly
        self._closed = False
        self._position = 0
        where = f"{quoted(schema)}.{quoted(table)}"
        self._select = f"SELECT {quoted(column)} FROM {where} WHERE rowid = ?"
        self._update = f"UPDATE {where} SET {quoted(column)} = ? WHERE rowid = ?"
        self._row = row
        value = self._fetch(lambda: failed(f"no such rowid: {row}"))
        if not isinstance(value, bytes | str):
            kind = {type(None): "null", int: "integer", float: "real"}[type(value)]
            raise failed(f"cannot open value of type {kind}")
        self._is_text = isinstance(value, str)
        self._data = value.encode() if isinstance(value, str) else value
        return self

    def _fetch(self, missing: Callable[[], Exception]) -> Any:
        try:
            rows = self._connection.session.execute(self._select, (self._row,)).fetch_all()
        except LOWER_ERRORS as error:
            raise translated(error) from error
        if not rows:
            raise missing()
        return rows[0][0]

    def _check(self) -> None:
        self._connection._check_thread()
        self._connection._check_open()
        if self._closed:
            raise ProgrammingError("Cannot operate on a closed blob.")

    def _check_current(self) -> None:
        """Raise OperationalError if somebody else changed the row."""
        value = self._fetch(_expired)
        data = value.encode() if isinstance(value, str) else value
        if data != self._data:
            raise _expired()

    def close(self) -> None:
        """End the use of the blob; closing twice is harmless."""
        self._connection._check_thread()
        self._connection._check_open()
        self._closed = True

    def read(self, length: int = -1, /) -> bytes:
        """`length` bytes from the position on (-1: all that are left)."""
        self._check()
        self._check_current()
        end = len(self._data) if length < 0 else self._position + length
        data = self._data[self._position : end]
        self._position += len(data)
        return data

    def write(self, data: Any, /) -> None:
        """Put `data` over the bytes at the position, which moves on.  The length can't change."""
        self._check()
        with memoryview(data) as view:
            given = bytes(view)
        if self._position + len(given) > len(self._data):
            raise ValueError("data longer than blob length")
        self._store(self._position, given)
        self._position += len(given)

    def _store(self, start: int, given: bytes) -> None:
        if self._readonly:
            raise coded(OperationalError("attempt to write a readonly database"), "SQLITE_READONLY")
        self._check_current()
        data = self._data[:start] + given + self._data[start + len(given) :]
        try:
            value = data.decode() if self._is_text else data
            self._connection.session.execute(self._update, (value, self._row)).close()
        except LOWER_ERRORS as error:
            raise translated(error) from error
        self._data = data

    def seek(self, offset: int, origin: int = os.SEEK_SET, /) -> None:
        """Move the position, counted from the start, the position, or the end."""
        self._check()
        if origin not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            raise ValueError("'origin' should be os.SEEK_SET, os.SEEK_CUR, or os.SEEK_END")
        base = (0, self._position, len(self._data))[origin]
        if abs(offset) > 2**31 - 1 - base:
            raise OverflowError("seek offset results in overflow")
        if not 0 <= base + offset <= len(self._data):
            raise ValueError("offset out of blob range")
        self._position = base + offset

    def tell(self) -> int:
        """The position, in bytes from the start."""
        self._check()
        return self._position

    def __enter__(self) -> Blob:
        self._check()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self._check()
        self.close()
        return False

    def __len__(self) -> int:
        self._check()
        return len(self._data)

    def __bool__(self) -> bool:
        return bool(len(self))

    def __iter__(self) -> Any:
        raise TypeError("'Blob' object is not iterable")

    def __contains__(self, item: object) -> bool:
        raise TypeError("argument of type 'Blob' is not iterable")

    def __getitem__(self, index: Any) -> int | bytes:
        self._check()
        if isinstance(index, slice):
            index.indices(len(self._data))
            self._check_current()
            return self._data[index]
        place = self._place(index)
        self._check_current()
        return self._data[place]

    def _place(self, index: Any) -> int:
        if not hasattr(index, "__index__"):
            raise TypeError("Blob indices must be integers")
        number = int(index.__index__())
        if abs(number) >= 2**63:
            raise IndexError(f"cannot fit '{type(index).__name__}' into an index-sized integer")
        place = number + len(self._data) if number < 0 else number
        if not 0 <= place < len(self._data):
            raise IndexError("Blob index out of range")
        return place

    def __setitem__(self, index: Any, value: Any) -> None:
        self._check()
        if self._readonly:
            raise OperationalError("Cannot write to a readonly blob")
        if isinstance(index, slice):
            self._set_slice(index, value)
            return
        place = self._place(index)
        if not isinstance(value, int):
            raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
        if not 0 <= value <= 255:
            raise ValueError("byte must be in range(0, 256)")
        self._store(place, bytes([value]))

    def _set_slice(self, index: slice, value: Any) -> None:
        places = range(*index.indices(len(self._data)))
        with memoryview(value) as view:
            if not view.c_contiguous:
                raise BufferError("memoryview: underlying buffer is not C-contiguous")
            given = bytes(view)
        if len(given) != len(places):
            raise IndexError("Blob slice assignment is wrong size")
        if not places:
            return
        changed = bytearray(self._data)
        changed[index] = given
        self._store(0, bytes(changed))

    def __delitem__(self, index: Any) -> None:
        self._check()
        if isinstance(index, slice):
            raise TypeError("Blob doesn't support slice deletion")
        raise TypeError("Blob doesn't support item deletion")


def _check_names(connection: Connection, table: str, column: str, database: str) -> None:
    """Raise OperationalError unless there is such a column, in a table that has rowids."""
    schema = connection.session.schema
    if schema.layer(database) is None:
        raise failed(f"no such database: {database}")
    known = schema.find_table(table, database.lower())
    if known is None:
        if schema.find_view(table, database.lower()) is not None:
            raise failed(f"cannot open view: {table}")
        raise failed(f"no such table: {database}.{table}")
    if known.without_rowid:
        raise failed(f"cannot open table without rowid: {table}")
    if column.lower() not in [field.name.lower() for field in known.columns]:
        raise failed(f'no such column: "{column}"')


def _expired() -> OperationalError:
    return coded(OperationalError("requested query aborted"), "SQLITE_ABORT")
