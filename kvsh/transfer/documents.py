"""json and jsonl files: objects into the rows of a table.

json is an array of objects (read piece by piece, not as a whole), one object, or objects one after the
other; jsonl has one on each line.  An object's names are columns; what it lacks is NULL.  Arrays and
objects inside of it go in as JSON text, true and false as 1 and 0.

The names and types of a new table's columns are found by reading the whole file once before.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from operator import itemgetter, ne
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from kvsh.transfer.formats import LINE_MAX, Endless, TransferError
from kvsh.transfer.load import column_names
from kvsh.transfer.values import INTEGER, REAL, TEXT, wider

if TYPE_CHECKING:
    from kvsh.transfer.load import Loading

_ROWS_PER_CHUNK = 4096
_BLOCK_CHARACTERS = 1 << 20
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1
_SPACE = re.compile(r"[ \t\r\n]*")
_SEPARATORS = re.compile(r"[ \t\r\n,]*")

Row = tuple[Any, ...]
Batch = tuple[list[Any], Callable[[int], int]]
"""Values, and the line that each begins at."""


def load_documents(loading: Loading, *, by_line: bool) -> None:
    """Load a json (or, `by_line`, jsonl) file."""
    existing = loading.existing_columns()
    if existing is None:
        columns = _surveyed(loading, by_line=by_line, typed=True)
        if not columns:
            raise TransferError(f"{loading.source.name} has no objects to make a table of")
        names = dict(zip(columns, column_names(list(columns)), strict=True))
        loading.create([(names[name], kind or TEXT) for name, kind in columns.items()])
        fields = names
    else:
        by_name = {name.lower(): name for name, _ in existing}
        present = _surveyed(loading, by_line=by_line, typed=False)
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
    names = tuple(fields)
    with loading.source.text() as text:
        for documents, line_of in _documents(loading, text, by_line=by_line, rejects=True):
            rows = _rows_alike(documents, names)
            if rows is not None:
                loading.insert(statement, rows, line_of)
            else:
                rows, lines = _rows_that_fit(loading, documents, line_of, fields)
                if rows:
                    loading.insert(statement, rows, lines.__getitem__)
            loading.check(text)


def _rows_that_fit(
    loading: Loading,
    documents: list[Any],
    line_of: Callable[[int], int],
    fields: dict[str, str],
) -> tuple[list[Row], list[int]]:
    """The rows of those documents that make some, and their lines; the others are rejected."""
    rows: list[Row] = []
    lines: list[int] = []
    known = fields.keys()
    for place, document in enumerate(documents):
        if not isinstance(document, dict):
            loading.reject(line_of(place), f"{_named(document)}, expected an object")
        elif not document.keys() <= known:
            unknown = next(name for name in document if name not in known)
            loading.reject(line_of(place), f"there is no column {unknown!r}")
        else:
            row = tuple([_value(document.get(name)) for name in fields])
            if _has_lone_surrogate(row):
                loading.reject(line_of(place), "text with half of a surrogate pair")
            else:
                rows.append(row)
                lines.append(line_of(place))
    return rows, lines


def _rows_alike(documents: list[Any], names: tuple[str, ...]) -> list[Row] | None:
    """The rows, column by column, if all documents are objects of these names in this order and nothing is to be
    rejected; else None."""
    if set(map(type, documents)) != {dict} or set(map(tuple, documents)) != {names}:
        return None
    rows = list(map(tuple, map(dict.values, documents)))
    changed: dict[int, list[Any]] = {}
    for place in range(len(names)):
        column = list(map(itemgetter(place), rows))
        kinds = set(map(type, column))
        if not kinds <= _PLAIN or _is_wide(column, kinds):
            changed[place] = column = list(map(_value, column))
        if str in kinds:
            texts = "".join([value for value in column if value.__class__ is str])
            if not texts.isascii() and _has_lone_surrogate((texts,)):
                return None
    if not changed:
        return rows
    return list(
        zip(
            *[changed.get(place) or map(itemgetter(place), rows) for place in range(len(names))],
            strict=True,
        )
    )


def _is_wide(column: list[Any], kinds: set[type]) -> bool:
    """Whether an integer is beyond 64 bits, or a REAL is none."""
    if int in kinds:
        try:
            array("q", [value for value in column if value.__class__ is int])
        except OverflowError:
            return True
    return float in kinds and any(map(ne, column, column))


def _surveyed(loading: Loading, *, by_line: bool, typed: bool) -> dict[str, str]:
    """The names that occur, in the order of their first occurrence, and, if `typed`, the types of their values."""
    kinds: dict[str, str] = {}
    with loading.source.text() as text:
        for documents, _ in _documents(loading, text, by_line=by_line, rejects=False):
            objects = [document for document in documents if document.__class__ is dict]
            for name in dict.fromkeys(chain.from_iterable(objects)):
                kind = kinds.get(name, "")
                if typed and kind != TEXT:
                    values = [document[name] for document in objects if name in document]
                    kind = wider(kind, _kind_of(values))
                kinds[name] = kind
            loading.check(text)
    return kinds


def _kind_of(values: list[Any]) -> str:
    found = set(map(type, values))
    if not found <= _PLAIN or _is_wide(values, found):
        found = set(map(type, map(_value, values)))
    kind = ""
    for known in found:
        kind = wider(kind, _KINDS[known])
    return kind


_KINDS: dict[type, str] = {type(None): "", int: INTEGER, float: REAL, str: TEXT}
_PLAIN = _KINDS.keys()


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


def _documents(loading: Loading, text: TextIO, *, by_line: bool, rejects: bool) -> Iterator[Batch]:
    if not by_line:
        return _pieces(loading.source.name, text)
    return _lines(loading, text, rejects=rejects)


def _lines(loading: Loading, text: TextIO, *, rejects: bool) -> Iterator[Batch]:
    """The documents of a block are decoded at once; of one with an odd line, line by line."""
    line = 1
    carry = ""
    while True:
        read = text.read(
            max(_BLOCK_CHARACTERS, len(carry))
        )  # as much again: a long line is read in linear time
        block = carry + read
        end = block.rfind("\n") + 1 if read else len(block)
        block, carry = block[:end], block[end:]
        if len(carry) > LINE_MAX:
            raise Endless(line + block.count("\n"), "the line")
        if not read and not block:
            return
        count = block.count("\n") + (not read)
        documents = _decoded(block)
        if documents is not None and len(documents) == count:
            if documents:
                yield documents, range(line, line + count).__getitem__
        else:
            found = list(_one_by_one(loading, block, line, rejects=rejects))
            if found:
                lines = [place for place, _ in found]
                yield [document for _, document in found], lines.__getitem__
        line += count


_decode_lines = msgspec.json.Decoder().decode_lines


def _decoded(block: str) -> list[Any] | None:
    try:
        return _decode_lines(block)
    except msgspec.DecodeError:
        return None


def _one_by_one(
    loading: Loading, block: str, first_line: int, *, rejects: bool
) -> Iterator[tuple[int, Any]]:
    for line, words in enumerate(block.split("\n"), first_line):
        if not words or words.isspace():
            continue
        try:
            yield line, json.loads(words)
        except json.JSONDecodeError as error:
            if rejects:
                loading.reject(line, f"no JSON: {error.msg} at column {error.colno}")


def _pieces(name: str, text: TextIO) -> Iterator[Batch]:
    """The elements of an array, or values one after the other, decoded from a sliding buffer.

    What is between the first two objects of an array, `},\\n  {"id"`, is most likely between all of them: the buffer is
    decoded at once up to where it has that last.  JSON has but one reading, so what is decoded are whole elements."""
    buffer = text.read(_BLOCK_CHARACTERS)
    place = _end_of(_SPACE, buffer, 0)
    line = 1 + buffer.count("\n", 0, place)
    in_array = buffer.startswith("[", place)
    place += in_array
    between = ""
    is_tried = False  # whether the buffer was decoded at once
    values: list[Any] = []
    lines: list[int] = []
    while True:
        start = _end_of(_SEPARATORS, buffer, place)
        line += buffer.count("\n", place, start)
        place = start
        if place == len(buffer):
            buffer, place, is_tried = text.read(_BLOCK_CHARACTERS), 0, False
            if not buffer:
                if in_array:
                    raise TransferError(f"{name}:{line}: the array is never closed")
                break
            continue
        if in_array and buffer[place] == "]":
            rest = buffer[place + 1 :] + text.read(_BLOCK_CHARACTERS)
            if rest.strip():
                raise TransferError(f"{name}:{line}: text after the end of the array")
            break
        if between and not is_tried:
            is_tried = True
            stretch = buffer[place : buffer.rfind(between, place) + 1]
            elements = _decoded_array(stretch)
            if elements:
                if values:
                    yield values, lines.__getitem__
                    values, lines = [], []
                yield elements, _lines_in(stretch, line)
                line += stretch.count("\n")
                place += len(stretch)
                continue
        try:
            value, end = _decode(buffer, place)
        except json.JSONDecodeError as error:
            if len(buffer) - place > LINE_MAX and not _is_final(error):
                raise Endless(line, "the value") from error
            more = (
                "" if _is_final(error) else text.read(max(_BLOCK_CHARACTERS, len(buffer) - place))
            )
            if not more:
                bad = line + buffer.count("\n", place, error.pos)
                raise TransferError(f"{name}:{bad}: no JSON: {error.msg}") from error
            buffer, place, is_tried = buffer[place:] + more, 0, False
            continue
        values.append(value)
        lines.append(line)
        if in_array and not between:
            following = _NEXT_OBJECT.match(buffer, end - 1)
            between = "" if following is None else following.group()
        if len(values) == _ROWS_PER_CHUNK:
            yield values, lines.__getitem__
            values, lines = [], []
        line += buffer.count("\n", place, end)
        place = end
    if values:
        yield values, lines.__getitem__


def _is_final(error: json.JSONDecodeError) -> bool:
    """Whether no text behind what was read can mend it: an error is at the very end then, or within a text."""
    return error.pos + _WORD_MAX < len(error.doc) and not error.msg.startswith("Unterminated")


_WORD_MAX = 32
"""Characters at the end of what was read that a word, an exponent or an escape may be cut off in."""

_decode = json.JSONDecoder().raw_decode
_NEXT_OBJECT = re.compile(r'\}\s*,\s*\{\s*"(?:[^"\\]|\\.)*"')
_decode_array = msgspec.json.Decoder(list[Any]).decode


def _decoded_array(elements: str) -> list[Any] | None:
    try:
        return _decode_array(f"[{elements}]")
    except (msgspec.DecodeError, UnicodeError):
        return None


def _lines_in(stretch: str, first_line: int) -> Callable[[int], int]:
    """The lines at which the elements of a stretch begin, counted when one is asked for."""

    @cache
    def lines() -> list[int]:
        found: list[int] = []
        place, line = 0, first_line
        while place < len(stretch):
            start = _end_of(_SEPARATORS, stretch, place)
            _, end = _decode(stretch, start)
            found.append(line + stretch.count("\n", place, start))
            line += stretch.count("\n", place, end)
            place = end
        return found

    return lambda place: lines()[place]


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return start if match is None else match.end()
