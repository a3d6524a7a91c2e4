"""Values as text, a value or a whole column at a time.

A column of a batch is nearly always of one type, so the columns' functions look at the types once and go
through the values at C speed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import msgspec

from btree import Kind

_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)
_NO_BREAK = re.compile(r"(?![\t\n])" + _CONTROL.pattern)
_NAMES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STR, _INT, _FLOAT = {str}, {int}, {float}
_TAB = 4  # cells; eight, as on a terminal, are many in a column
_PLAIN_MAX = 16  # 15 digits and a point
_EXACT_MAX = 19  # beyond 10^16 Python writes an exponent, and JSON all digits
_HALF_MAX = 17  # 16 digits and a point
_encode = msgspec.json.Encoder().encode
_BARE = {int, str, type(None)}
_NULL, _NOT_BARE = (
    int(Kind.NULL),
    int(Kind.REAL | Kind.BLOB),
)  # plain integers: an enum takes its time
_encode_lines = msgspec.json.Encoder().encode_lines


def real_text(value: float) -> str:
    """A REAL as SQL's CAST AS TEXT has it."""
    from sql import value_to_text

    return value_to_text(value) or ""


def plain(value: Any, null: str = "") -> str:
    """The value as list, csv and the like print it."""
    kind = value.__class__
    if kind is str:
        return value  # type: ignore[no-any-return]
    if value is None:
        return null
    if kind is float:
        return real_text(value)
    if kind is bytes:
        return bytes_text(value)
    return str(value)


def bytes_text(value: bytes) -> str:
    """Bytes as the text that they are, else as a literal."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return literal(value)


def plain_column(column: Sequence[Any], null: str) -> Iterable[str]:
    """`plain` of every value."""
    kinds = set(map(type, column))
    if kinds == _STR:
        return column
    if kinds == _INT:
        return map(str, column)
    if kinds == _FLOAT:
        return real_column(column)
    if kinds == {str, type(None)}:
        return [null if value is None else value for value in column]
    if len(kinds) == 2 and type(None) in kinds:
        return beside_null(column, null, lambda values: plain_column(values, null))
    return [plain(value, null) for value in column]


def beside_null(
    column: Sequence[Any], null: str, render: Callable[[list[Any]], Iterable[str]]
) -> list[str]:
    """The texts of the values that are not NULL, and `null` in between."""
    texts = iter(render([value for value in column if value is not None]))
    return [null if value is None else next(texts) for value in column]


def real_column(column: Sequence[float]) -> Iterable[str]:
    """`real_text` of every value.  JSON says the same, at half of `repr`'s time, wherever 15 digits and no
    exponent are enough; but it has no exponent where REALs have one from 0.0001 down, a sign of zero, and no
    infinity.

    Longer ones are rounded by one `%` for all.  That is what SQLite does unless a value is half-way between two
    decimals of 15 digits, or so nearly that its errors decide: the shortest text of such a value has 16
    digits, the last one a 5."""
    text = _encode(column).decode()
    if "e" in text or "0.0000" in text or "null" in text or "-0.0," in text or "-0.0]" in text:
        return list(map(real_text, column))
    texts = text[1:-1].split(",")
    if max(map(len, texts)) <= _PLAIN_MAX:
        return texts
    long = [value for value, text in zip(column, texts, strict=True) if len(text) > _PLAIN_MAX]
    bulk = "%.15g," * len(long) % tuple(long)
    if "e" in bulk or bulk.count(".") != len(long):
        return list(map(real_text, column))
    rounded = iter(bulk.split(","))
    halves = [
        place
        for place, text in enumerate(texts)
        if text[-1] == "5" and len(text) > _PLAIN_MAX and len(text.lstrip("-0.")) <= _HALF_MAX
    ]
    texts = [next(rounded) if len(text) > _PLAIN_MAX else text for text in texts]
    for place in halves:
        texts[place] = real_text(column[place])
    return texts


def exact_real_column(column: Sequence[float]) -> Iterable[str]:
    """`repr` of every value."""
    return json_reals(column) or map(repr, column)


def json_reals(column: Sequence[float]) -> list[str] | None:
    """The values as JSON writes them, if that is `repr` of every one."""
    text = _encode(column).decode()
    if "e" in text or "0.0000" in text or "null" in text:
        return None
    texts = text[1:-1].split(",")
    return None if max(map(len, texts)) > _EXACT_MAX else texts


def cell(value: Any, null: str = "") -> str:
    """The value as a cell of a drawn table: control characters escaped, blobs in hex."""
    kind = value.__class__
    if kind is str:
        return value if value.isprintable() else escaped(value)
    if kind is bytes:
        return literal(value)
    return plain(value, null)


def cell_column(column: Sequence[Any], null: str) -> Sequence[str]:
    """`cell` of every value."""
    kinds = set(map(type, column))
    if kinds == _INT:
        return list(map(str, column))
    if kinds == _FLOAT:
        return list(real_column(column))
    if kinds == _STR and "".join(column).isprintable():
        return column
    if len(kinds) == 2 and type(None) in kinds:
        return beside_null(column, null, lambda values: cell_column(values, null))
    return [cell(value, null) for value in column]


def cell_lines(column: Sequence[Any], null: str) -> Sequence[str]:
    """`cell_column`, but that texts of several lines keep them, and have blanks for tabs."""
    cells = cell_column(column, null)
    if cells is column:
        return cells
    return [
        shown(value).expandtabs(_TAB)
        if value.__class__ is str and ("\n" in value or "\t" in value)
        else text
        for text, value in zip(cells, column, strict=True)
    ]


def escaped(text: str) -> str:
    """Control characters, and those that turn the direction of writing, as escapes."""
    return _CONTROL.sub(_escape, text)


def shown(text: str) -> str:
    """A text of several lines as a terminal may have it: like `escaped`, but for line ends and tabs."""
    return _NO_BREAK.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return _NAMES.get(match[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def literal(value: Any) -> str:
    """The value as an SQL literal."""
    kind = value.__class__
    if value is None:
        return "NULL"
    if kind is str:
        if "\0" in value:
            return f"CAST(X'{value.encode('utf-8', 'surrogateescape').hex()}' AS TEXT)"
        doubled: str = value.replace("'", "''")
        return f"'{doubled}'"
    if kind is bytes:
        return f"X'{value.hex()}'"
    if kind is float:
        if value - value != 0:
            return "9.0e+999" if value > 0 else "-9.0e+999"
        return repr(value)
    return str(value)


def literal_column(column: Sequence[Any]) -> Iterable[str]:
    """`literal` of every value."""
    kinds = set(map(type, column))
    if kinds == _INT:
        return map(str, column)
    if kinds == _STR:
        if "\0" not in "".join(column):
            return [f"'{text}'" for text in replaced(column, (("'", "''"),))]
    elif kinds == _FLOAT:
        return json_reals(column) or map(literal, column)
    elif len(kinds) == 2 and type(None) in kinds:
        return beside_null(column, "NULL", literal_column)
    return map(literal, column)


def json_column(column: Sequence[Any], encode: Callable[[str], str]) -> Iterable[str]:
    """Every value as JSON; `encode` is for strings.  Blobs are text if they can be, else hex."""
    kinds = set(map(type, column))
    if kinds == _STR:
        return map(encode, column)
    if kinds == _INT:
        return map(str, column)
    return [json_value(value, encode) for value in column]


def json_value(value: Any, encode: Callable[[str], str]) -> str:
    """One value as JSON; see `json_column`."""
    if value is None:
        return "null"
    kind = value.__class__
    if kind is str:
        return encode(value)
    if kind is bytes:
        try:
            return encode(value.decode())
        except UnicodeDecodeError:
            return encode(value.hex())
    if kind is float and value - value != 0:
        return "1e999" if value > 0 else "-1e999"
    return repr(value)


class Attempts:
    """When to try what pays only if it succeeds: after each failure in a row not for twice as many times."""

    __slots__ = ("_pause", "_pauses")

    def __init__(self) -> None:
        self._pause = self._pauses = 0

    def are_due(self) -> bool:
        """Whether to try now."""
        if self._pauses:
            self._pauses -= 1
            return False
        return True

    def note(self, *, success: bool) -> None:
        """How it went."""
        self._pause = self._pauses = 0 if success else min(2 * self._pause + 1, _PAUSE_MAX)


_PAUSE_MAX = 31


def bare_lines(
    batch: Sequence[Sequence[Any]],
    separator: str,
    null: str,
    kinds: int,
    *,
    empty: str = "",
    reals: Callable[[Sequence[float]], Iterable[str]] = real_column,
) -> str | None:
    """Rows of integers, reals and texts, their plain values side by side, a row a line; `empty` stands for an empty
    text, and `reals` makes texts of a column.  None where there are other kinds of value, or a text has a character
    that means something between values or in JSON.  `kinds`: of values that may occur; they are looked at only if
    that says little.

    What JSON writes is that but for its quotes and brackets, and those go in one call: a row of three
    values costs 0.1 us, column by column 0.3.  With no backslash in it nothing was escaped, so no
    text has a quote or an end of a line; with as many commas and brackets as rows need, all of them stand
    between values.  So `null` after one of these is NULL."""
    rows = batch
    if kinds & _NOT_BARE and not set(map(type, chain.from_iterable(batch))) <= _BARE:
        with_texts = _with_real_texts(batch, reals)
        if with_texts is None:
            return None
        rows = with_texts
    try:
        lines = _encode_lines(rows)
    except UnicodeError:  # bytes that are no UTF-8 have come as halves of surrogate pairs
        return None
    count = len(batch)
    if (
        b"\\" in lines
        or lines.count(b",") != count * (len(batch[0]) - 1)
        or lines.count(b"[") != count
        or lines.count(b"]") != count
    ):
        return None
    has_nulls = bool(kinds & _NULL) and b"null" in lines
    if has_nulls:
        lines = lines.replace(b",null", b",\x01").replace(b"[null", b"[\x01")
    has_empty = empty and b'""' in lines
    if has_empty:
        lines = lines.replace(b'""', b"\x02")
    text = lines.translate(None, b'[]"').decode()
    if separator != ",":
        text = text.replace(",", separator)
    if has_empty:
        text = text.replace("\x02", empty)
    return text.replace("\x01", null) if has_nulls else text


def _with_real_texts(
    batch: Sequence[Sequence[Any]], reals: Callable[[Sequence[float]], Iterable[str]]
) -> Sequence[Sequence[Any]] | None:
    """The rows with columns of REALs as texts; None if there are other kinds of value, or REALs among others but NULL."""
    columns: list[Iterable[Any]] = []
    for column in columns_of(batch):
        kinds = set(map(type, column))
        if kinds == _FLOAT:
            columns.append(reals(column))
        elif kinds == {float, type(None)}:
            texts = iter(reals([value for value in column if value is not None]))
            columns.append([None if value is None else next(texts) for value in column])
        elif kinds <= _BARE:
            columns.append(column)
        else:
            return None
    return list(zip(*columns, strict=True))


def replaced(texts: Sequence[str], signs: Sequence[tuple[str, str]]) -> Sequence[str]:
    """The texts with each of the signs, one after the other, replaced by another: in all texts at once."""
    joined = "\0".join(texts)
    found = [(sign, other) for sign, other in signs if sign in joined]
    if not found:
        return texts
    made = _with_others(joined, found).split("\0")
    if len(made) != len(texts):  # there are NULs
        made = [_with_others(text, found) for text in texts]
    return made


def _with_others(text: str, signs: Sequence[tuple[str, str]]) -> str:
    for sign, other in signs:
        text = text.replace(sign, other)
    return text


def columns_of(batch: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The batch turned on its side."""
    return list(zip(*batch, strict=True))


def name_literal(name: str) -> str:
    """An identifier, quoted if it has to be."""
    if _NAME.fullmatch(name):
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
