"""Rows on disk: chunks in anonymous temporary files, for sorts, groups and joins past their memory limit.

A chunk is a list of tuples written by `marshal`: it gives nested tuples, integers of any size, infinities
and texts with lone surrogates back exactly as they were, at about 50 ns a row to write and 80 to read
(msgpack, the other candidate, is as fast but returns inner tuples as lists).  The files have no name, live
as long as the statement, and are read by the process that wrote them alone.
"""

from __future__ import annotations

import marshal
import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from sys import getrefcount, getsizeof
from typing import Any

from sql.errors import SqlError

Row = tuple[Any, ...]
Place = tuple[int, int]
"""(offset, length) of a chunk."""

_FORMAT = 2  # the newest without references between objects, which cost more than they save
_SAMPLE_ROWS = 64

ROOM_PARTS = 4
"""Rows that are written at once may take this part of the memory limit: what is made of them takes twice as much."""

FEW_ROWS = 256
"""So many rows are worth being written at once, however long they are."""


class Unspillable(SqlError):
    """The rows hold something that can't be written: sort keys of a collation that the program added."""


def value_bytes(value: Any, depth: int = 4) -> int:
    """About how much memory a value takes, what it refers to included."""
    size = getsizeof(value) + 8
    kind = value.__class__
    if kind is int or kind is str or kind is float or kind is bytes or value is None or not depth:
        return size
    if kind is tuple or kind is list or kind is set or kind is dict:
        if not value:
            return size
        items = _sample(value.items() if kind is dict else value)
        inner = sum(value_bytes(item, depth - 1) for item in items)
        return size + inner * len(value) // len(items)
    fields = getattr(value, "__dict__", None)
    if fields is not None:
        return size + value_bytes(list(fields.values()), depth - 1)
    names = getattr(kind, "__slots__", ())
    return size + sum(value_bytes(getattr(value, name, None), depth - 1) for name in names)


def _sample(items: Any) -> list[Any]:
    """At most a few of the items, from all over a list, else from the front."""
    if len(items) <= _SAMPLE_ROWS:
        return list(items)
    if isinstance(items, (list, tuple)):
        return list(items[:: len(items) // _SAMPLE_ROWS][:_SAMPLE_ROWS])
    iterator = iter(items)
    return [next(iterator) for _ in range(_SAMPLE_ROWS)]


def row_bytes(rows: Sequence[Row]) -> int:
    """About how much memory one of the rows takes in a list, by a sample; at least 1.

    Rows and values that somebody else holds too (the cache of nodes, whose budget pays for them) count
    as the pointer to them alone, as long as they are held: ask again when rows have come."""
    if not rows:
        return 64
    sample = _sample(rows)
    total = 0
    while sample:
        row = sample.pop()
        if getrefcount(row) <= _OWN_REFERENCES:
            total += _own_bytes(row)
        total += 8
    return total // min(len(rows), _SAMPLE_ROWS) + 1


def rows_within(rows: Sequence[Row], room_bytes: int, most: int) -> int:
    """How many rows such as these, whoever else holds them, take so much room, at most; no fewer than `FEW_ROWS`."""
    sample = _sample(rows)
    size = sum(map(value_bytes, sample)) // max(len(sample), 1) + 1
    return max(FEW_ROWS, min(most, room_bytes // size))


_OWN_REFERENCES = 3  # a row's: the list of rows, the variable, the argument


def _own_bytes(row: Any) -> int:
    """What a row and those of its values that it holds alone take."""
    if row.__class__ is not tuple:
        return value_bytes(row)
    size = getsizeof(row) + 16  # the collector's header
    for value in row:
        if getrefcount(value) <= _OWN_REFERENCES:
            size += value_bytes(value)
    return size


class RowFile:
    """Chunks of rows in a temporary file, which goes with the object.  SqlError when it can't be used."""

    __slots__ = ("_descriptor", "_end")

    def __init__(self) -> None:
        self._descriptor = -1
        try:
            import tempfile  # with what it needs, 2 ms that most processes can do without

            with tempfile.TemporaryFile(prefix="kvsh-", buffering=0) as file:
                self._descriptor = os.dup(file.fileno())
        except OSError as error:
            raise _failed(error) from error
        self._end = 0

    def append(self, rows: list[Any]) -> Place:
        """Write a chunk.  Raises Unspillable, nothing written, where a value can't be."""
        try:
            data = marshal.dumps(rows, _FORMAT)
        except ValueError as error:
            raise Unspillable("rows that cannot be written to a temporary file") from error
        place = (self._end, len(data))
        left = memoryview(data)
        try:
            os.lseek(self._descriptor, self._end, os.SEEK_SET)
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise _failed(error) from error
        self._end += len(data)
        return place

    def read(self, place: Place) -> list[Any]:
        """The chunk at `place`."""
        offset, length = place
        try:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            data = os.read(self._descriptor, length)
            while len(data) < length:
                more = os.read(self._descriptor, length - len(data))
                if not more:
                    raise SqlError("cannot use a temporary file: it ends too early")
                data += more
        except OSError as error:
            raise _failed(error) from error
        rows: list[Any] = marshal.loads(data)
        return rows

    def close(self) -> None:
        """Give the space back; the file is gone."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with suppress(OSError):  # nobody needs what could not be written
                os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def _failed(error: OSError) -> SqlError:
    return SqlError(f"cannot use a temporary file: {error.strerror or error}")


class Chunks:
    """A list of rows on disk that grows at its end and is read from its front, any number of times."""

    def __init__(self, file: RowFile) -> None:
        self._file = file
        self._offsets = array("q")
        self._lengths = array("q")
        self.rows = 0

    def append(self, rows: list[Any]) -> None:
        """Add a chunk."""
        offset, length = self._file.append(rows)
        self._offsets.append(offset)
        self._lengths.append(length)
        self.rows += len(rows)

    def chunk(self, number: int) -> list[Any]:
        """One chunk's rows."""
        return self._file.read((self._offsets[number], self._lengths[number]))

    def __iter__(self) -> Iterator[list[Any]]:
        for place in zip(self._offsets, self._lengths, strict=True):
            yield self._file.read(place)
