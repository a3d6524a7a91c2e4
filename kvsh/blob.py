"""`Connection.blobopen`: one stored blob (or text) as something like a file of fixed size.

Every read sees the row as it is then, every write is an UPDATE in the connection's transaction."""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING, Any

from kvsh.errors import OperationalError, ProgrammingError

if TYPE_CHECKING:
    from kvsh.connection import Connection


class Blob:
    """Made by `Connection.blobopen`."""

    def __init__(
        self,
        connection: Connection,
        table: str,
        column: str,
        row: int,
        *,
        readonly: bool,
        schema: str,
    ) -> None:
        def quoted(name: str) -> str:
            return '"' + name.replace('"', '""') + '"'

        self._connection = connection
        target = f"{quoted(schema)}.{quoted(table)}"
        self._select = f"SELECT {quoted(column)} FROM {target} WHERE rowid = ?"
        self._update = f"UPDATE {target} SET {quoted(column)} = ? WHERE rowid = ?"
        self._row = row
        self._readonly = readonly
        self._at = 0
        self._closed = False
        self._length = len(self._value())

    def _value(self) -> bytes:
        if self._closed:
            raise ProgrammingError("Cannot operate on a closed blob.")
        found = self._connection._session.execute(self._select, (self._row,)).fetch_all()
        if not found:
            raise OperationalError(f"no such rowid: {self._row}")
        value = found[0][0]
        if isinstance(value, str):
            return value.encode()
        if not isinstance(value, bytes):
            kind = "null" if value is None else "real" if isinstance(value, float) else "integer"
            raise OperationalError(f"cannot open value of type {kind}")
        return value

    def _store(self, value: bytes) -> None:
        if self._readonly:
            raise OperationalError("attempt to write a readonly database")
        self._connection.execute(self._update, (value, self._row))

    def __len__(self) -> int:
        return len(self._value())

    def read(self, length: int = -1, /) -> bytes:
        """Up to `length` bytes from the position on; all that is left if negative."""
        value = self._value()
        end = len(value) if length < 0 else min(self._at + length, len(value))
        data = value[self._at : end]
        self._at = max(end, self._at)
        return data

    def write(self, data: bytes, /) -> None:
        """Overwrite from the position on.  ValueError past the end: a blob keeps its size."""
        value = self._value()
        data = bytes(data)
        if self._at + len(data) > len(value):
            raise ValueError("data longer than blob length")
        self._store(value[: self._at] + data + value[self._at + len(data) :])
        self._at += len(data)

    def seek(self, offset: int, origin: int = os.SEEK_SET, /) -> None:
        """Move the position."""
        length = len(self._value())
        if origin == os.SEEK_CUR:
            offset += self._at
        elif origin == os.SEEK_END:
            offset += length
        elif origin != os.SEEK_SET:
            raise ValueError("'origin' should be os.SEEK_SET, os.SEEK_CUR, or os.SEEK_END")
        if not 0 <= offset <= length:
            raise ValueError("offset out of blob range")
        self._at = offset

    def tell(self) -> int:
        """The position."""
        self._value()
        return self._at

    def _index(self, key: Any) -> int:
        if not hasattr(key, "__index__"):
            raise TypeError("Blob indices must be integers")
        at = int(key.__index__())
        length = len(self._value())
        at = at + length if at < 0 else at
        if not 0 <= at < length:
            raise IndexError("Blob index out of range")
        return at

    def __getitem__(self, key: Any) -> Any:
        value = self._value()
        return value[key] if isinstance(key, slice) else value[self._index(key)]

    def __setitem__(self, key: Any, data: Any) -> None:
        value = bytearray(self._value())
        if not isinstance(key, slice):
            at = self._index(key)
            if not isinstance(data, int):
                raise TypeError(
                    f"'{type(data).__name__}' object cannot be interpreted as an integer"
                )
            if not 0 <= data <= 255:
                raise ValueError("byte must be in range(0, 256)")
            value[at] = data
        else:
            places = range(*key.indices(len(value)))
            data = bytes(data)
            if len(places) != len(data):
                raise IndexError("Blob slice assignment is wrong size")
            for at, byte in zip(places, data, strict=True):
                value[at] = byte
        self._store(bytes(value))

    def __delitem__(self, key: Any) -> None:
        raise TypeError("Blob doesn't support item deletion")

    def close(self) -> None:
        """Let go of it.  Closing twice is harmless."""
        self._closed = True

    def __enter__(self) -> Blob:
        self._value()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._value()
        self.close()
