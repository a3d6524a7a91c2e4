"""json and jsonl files: objects into the rows of a table.

json is an array of objects (read piece by piece, not as a whole), one object, or objects one after the
other; jsonl has one on each line.  An object's names are columns; what it lacks is NULL.  Arrays and
objects inside of it go in as JSON text, true and false as 1 and 0.

The names and types of a new table's columns are found by reading the whole file once before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from kvsh.transfer.formats import TransferError
from kvsh.transfer.load import column_names
from kvsh.transfer.values import BLOB, INTEGER, REAL, TEXT, wider

if TYPE_CHECKING:
    from kvsh.transfer.load import Loading

_ROWS_PER_CHUNK = 4096
_BLOCK_CHARACTERS = 1 << 20
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1
_SPACE = re.compile(r"[ \t\r\n]*")
_SEPARATORS = re.compile(r"[ \t\r\n,]*")

Document = tuple[int, Any]
"""The line that a value begins at, and the value."""


def load_documents(loading: Loading, *, by_line: bool) -> None:
    """Load a json (or, `by_line`, jsonl) file."""
    existing = loading.existing_columns()
    if existing is None:
        columns = _surveyed(loading, by_line=by_line)
        if not columns:
            raise TransferError(f"{loading.source.name} has no objects to make a table of")
        names = dict(zip(columns, column_names(list(columns)), strict=True))
        loading.create([(names[name], kind or TEXT) for name, kind in columns.items()])
        fields = names
    else:
        by_name = {name.lower(): name for name, _ in existing}
        present = _surveyed(loading, by_line=by_line)
        fields = {name: by_name[name.lower()] for name in present if name.lower() in by_name}
        if not fields:
            if present:
                raise TransferError(
                    f"{loading.source.name} has no name that is a column of {loading.outcome.table}"
                )
            return
    _load(loading, fields, by_line=by_line)


def _load(loading: Loading, fields: dict[str, str], *, by_line: bool) -> None:
    """`fields`: the objects' names -> columns."""
    statement = loading.insert_statement(list(fields.values()))
    known = fields.keys()
    with loading.source.text() as text:
        documents = _documents(loading, text, by_line=by_line, rejects=True)
        while batch := list(islice(documents, _ROWS_PER_CHUNK)):
            rows: list[tuple[Any, ...]] = []
            lines: list[int] = []
            for line, document in batch:
                if not isinstance(document, dict):
                    loading.reject(line, f"{_named(document)}, expected an object")
                elif not document.keys() <= known:
                    unknown = next(name for name in document if name not in known)
                    loading.reject(line, f"there is no column {unknown!r}")
                else:
                    row = tuple([_value(document.get(name)) for name in fields])
                    if _has_lone_surrogate(row):
                        loading.reject(line, "text with half of a surrogate pair")
                    else:
                        rows.append(row)
                        lines.append(line)
            if rows:
                loading.insert(statement, rows, lines.__getitem__)
            loading.check(text)


def _surveyed(loading: Loading, *, by_line: bool) -> dict[str, str]:
    """The names that occur and the types of their values, in the order of their first occurrence."""
    kinds: dict[str, str] = {}
    with loading.source.text() as text:
        documents = _documents(loading, text, by_line=by_line, rejects=False)
        while batch := list(islice(documents, _ROWS_PER_CHUNK)):
            for _, document in batch:
                if isinstance(document, dict):
                    for name, value in document.items():
                        kinds[name] = wider(kinds.get(name, ""), _KINDS[_value(value).__class__])
            loading.check(text)
    return kinds


_KINDS: dict[type, str] = {type(None): "", int: INTEGER, float: REAL, str: TEXT, bytes: BLOB}


def _value(value: Any) -> Any:
    """A JSON value as an SQL value."""
    kind = value.__class__
    if kind is str or value is None:
        return value
    if kind is int:
        return value if _INT_MIN <= value <= _INT_MAX else float(value)
    if kind is float:
        return None if value != value else value
    if kind is bool:
        return int(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _has_lone_surrogate(row: tuple[Any, ...]) -> bool:
    """Whether a text came from an escape that is half of a surrogate pair: it has no UTF-8 form."""
    for value in row:
        if value.__class__ is str and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return True
    return False


def _named(value: Any) -> str:
    if isinstance(value, list):
        return "an array"
    return "null" if value is None else f"the value {json.dumps(value, ensure_ascii=False)}"


def _documents(
    loading: Loading, text: TextIO, *, by_line: bool, rejects: bool
) -> Iterator[Document]:
    if not by_line:
        return _pieces(loading.source.name, text)
    return _lines(loading, text, rejects=rejects)


def _lines(loading: Loading, text: TextIO, *, rejects: bool) -> Iterator[Document]:
    """The documents of a block are decoded at once; of one with an odd line, line by line."""
    line = 1
    carry = ""
    while True:
        read = text.read(_BLOCK_CHARACTERS)
        block = carry + read
        end = block.rfind("\n") + 1 if read else len(block)
        block, carry = block[:end], block[end:]
        if not read and not block:
            return
        count = block.count("\n") + (not read)
        documents = _decoded(block)
        if documents is not None and len(documents) == count:
            yield from enumerate(documents, line)
        else:
            yield from _one_by_one(loading, block, line, rejects=rejects)
        line += count


_decode_lines = msgspec.json.Decoder().decode_lines


def _decoded(block: str) -> list[Any] | None:
    try:
        return _decode_lines(block)
    except msgspec.DecodeError:
        return None


def _one_by_one(
    loading: Loading, block: str, first_line: int, *, rejects: bool
) -> Iterator[Document]:
    for line, words in enumerate(block.split("\n"), first_line):
        if not words or words.isspace():
            continue
        try:
            yield line, json.loads(words)
        except json.JSONDecodeError as error:
            if rejects:
                loading.reject(line, f"no JSON: {error.msg} at column {error.colno}")


def _pieces(name: str, text: TextIO) -> Iterator[Document]:
    """The elements of an array, or values one after the other, decoded from a sliding buffer."""
    decode = json.JSONDecoder().raw_decode
    buffer = text.read(_BLOCK_CHARACTERS)
    place = _end_of(_SPACE, buffer, 0)
    line = 1 + buffer.count("\n", 0, place)
    in_array = buffer.startswith("[", place)
    place += in_array
    while True:
        start = _end_of(_SEPARATORS, buffer, place)
        line += buffer.count("\n", place, start)
        place = start
        if place == len(buffer):
            buffer, place = text.read(_BLOCK_CHARACTERS), 0
            if not buffer:
                if in_array:
                    raise TransferError(f"{name}:{line}: the array is never closed")
                return
            continue
        if in_array and buffer[place] == "]":
            rest = buffer[place + 1 :] + text.read(_BLOCK_CHARACTERS)
            if rest.strip():
                raise TransferError(f"{name}:{line}: text after the end of the array")
            return
        try:
            value, end = decode(buffer, place)
        except json.JSONDecodeError as error:
            more = text.read(max(_BLOCK_CHARACTERS, len(buffer) - place))
            if not more:
                bad = line + buffer.count("\n", place, error.pos)
                raise TransferError(f"{name}:{bad}: no JSON: {error.msg}") from error
            buffer, place = buffer[place:] + more, 0
            continue
        yield line, value
        line += buffer.count("\n", place, end)
        place = end


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return start if match is None else match.end()
