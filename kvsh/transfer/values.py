"""Text fields as SQL values: what a column of them can be, and turning a whole column at C speed.

A column is INTEGER if every field is a whole number that its digits give back ("007" is text), REAL if every field is
a decimal number without a plus ("+49301" is a text), else TEXT; empty fields are NULL in numeric columns and empty in
text ones.  A column of numbers is decoded as one JSON array, so that a field costs 20 nanoseconds.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Annotated, Any

import msgspec

from sql import TypedRows

INTEGER, REAL, NUMERIC, TEXT, BLOB = "INTEGER", "REAL", "NUMERIC", "TEXT", "BLOB"

_INTEGER = re.compile(r"(?:0|-?[1-9][0-9]{0,17})\Z")
_WIDE_INTEGER = re.compile(r"-?[1-9][0-9]{18,}\Z")
_REAL = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?\Z")
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1
_REAL_MAX = sys.float_info.max

Column = Sequence[Any]


class Misfit(ValueError):
    """A field does not fit the type that was inferred for its column."""


def kind_of(field: str) -> str:
    """INTEGER, REAL, TEXT, or "" for an empty field."""
    if not field:
        return ""
    if _INTEGER.match(field):
        return INTEGER
    if _WIDE_INTEGER.match(field):  # beyond 64 bits, its digits would be lost
        return INTEGER if len(field) <= 20 and _INT_MIN <= int(field) <= _INT_MAX else TEXT
    if len(field) <= 40 and _REAL.match(field):
        return REAL
    return TEXT


def wider(one: str, other: str) -> str:
    """The narrowest type that holds both; "" is no value at all."""
    if one == other or not other:
        return one
    if not one:
        return other
    return REAL if {one, other} == {INTEGER, REAL} else TEXT


def kinds_of(fields: Iterable[str], null: str | None = None) -> str:
    """The type of a whole column, in which fields that say `null` are NULL."""
    if null:
        fields = ["" if field == null else field for field in fields]
    kind = ""
    for known in set(map(kind_of, fields)):
        kind = wider(kind, known)
    return kind


def with_nulls(fields: Column, null: str | None, convert: Callable[[Column], Column]) -> Column:
    """The column's values as `convert` makes them, and NULL for fields that say `null`."""
    if null not in fields:
        return convert(fields)
    values = iter(convert([field for field in fields if field != null]))
    return [None if field == null else next(values) for field in fields]


def converted(fields: Column, affinity: str, *, exact: bool) -> Column:
    """A column of text fields as values for a column of `affinity`.

    `exact`: the type was inferred, and a field that does not fit it raises Misfit; otherwise it stays
    text, for the table's own rules to decide."""
    if affinity == TEXT:
        return fields
    if affinity != BLOB:
        fast = _as_json(fields, _reals if affinity == REAL else _integers)
        if fast is not None:
            return fast
    if "" in fields:
        present = [field for field in fields if field]
        values = iter(converted(present, affinity, exact=exact)) if present else iter(())
        return [next(values) if field else None for field in fields]
    return fields if affinity == BLOB else _one_by_one(fields, affinity, exact=exact)


_integers = msgspec.json.Decoder(list[Annotated[int, msgspec.Meta(ge=_INT_MIN, le=_INT_MAX)]])
_reals = msgspec.json.Decoder(list[float])


def _as_json(fields: Column, decoder: msgspec.json.Decoder[Any]) -> Column | None:
    """The whole column as numbers, if all fields are numbers as JSON writes them; else None.

    JSON's grammar has no leading zeros or signs, so that what it takes loses nothing; but for -0, white
    space, and a comma within a field.  A field costs 20 ns so, against 80 for `int` and the checks."""
    text = f"[{','.join(fields)}]"
    if "-0," in text or "-0]" in text or any(space in text for space in " \t\r\n"):
        return None
    try:
        numbers: list[Any] = decoder.decode(text)
    except msgspec.DecodeError:
        return None
    return numbers if len(numbers) == len(fields) else None


def row_decoder(
    forms: Sequence[str], delimiter: str, *, exact: bool = False
) -> Callable[[str], list[tuple[Any, ...]] | None]:
    """What makes rows of a block of lines without quotes, for columns of these forms: an affinity, of which NUMERIC
    is numbers alone.

    Every field becomes a JSON string, and the decoder reads numbers out of strings: 0.2 us for a row of four
    values, where splitting, one array a column and joining the columns take 0.4.  A number is read
    if it is one in JSON's grammar, and an integer for INTEGER also from 1.0 and 1e3, as the column would do
    itself, unless `exact`.  An empty field is NULL but in TEXT.  None where a field is anything else, and where a line
    has another number of fields."""
    if exact:
        whole = [place for place, form in enumerate(forms) if form == INTEGER]
        forms = [NUMERIC if form == INTEGER else form for form in forms]
    else:
        whole = []
    texts = [place for place, form in enumerate(forms) if form == TEXT]
    classes = [_CLASSES.get(form) for form in forms]
    classes_beside_null = [str if form == TEXT else None for form in forms]
    # Lines with empty fields are tried first as what those before them were.
    decoders = [_rows_decoder(tuple(forms), nulls=nulls).decode for nulls in (False, True)]
    expects_nulls = False
    between = '","'

    def rows(block: str) -> list[tuple[Any, ...]] | None:
        nonlocal expects_nulls
        if "\\" in block:
            block = block.replace("\\", r"\\")
        text = block[:-1].replace(delimiter, between).replace("\n", '"],["')
        if "-" in text and '-0"' in text:
            return None  # a REAL
        text = f'[["{text}"]]'
        ways = (expects_nulls, not expects_nulls) if '""' in text else (False,)
        for with_nulls in ways:
            body = text.replace('""', "null") if with_nulls else text
            try:
                found: list[tuple[Any, ...]] = decoders[with_nulls](body)
            except (msgspec.DecodeError, UnicodeError):
                continue
            expects_nulls = with_nulls
            for place in whole:
                if not set(map(type, map(itemgetter(place), found))) <= _INTEGER_OR_NULL:
                    return None
            if with_nulls:
                return TypedRows(_with_empty_texts(found, texts), classes_beside_null)
            return TypedRows(found, classes)
        return None

    return rows


_CLASSES: dict[str, type] = {TEXT: str, REAL: float, BLOB: str, INTEGER: int}
_INTEGER_OR_NULL = {int, type(None)}


def _with_empty_texts(rows: list[tuple[Any, ...]], texts: Sequence[int]) -> list[tuple[Any, ...]]:
    """The rows with empty texts in place of NULL in these columns."""
    columns: dict[int, list[str]] = {}
    for place in texts:
        column = list(map(itemgetter(place), rows))
        if None in column:
            columns[place] = ["" if field is None else field for field in column]
    if not columns:
        return rows
    width = len(rows[0])
    return list(
        zip(
            *[columns.get(place) or map(itemgetter(place), rows) for place in range(width)],
            strict=True,
        )
    )


@lru_cache(maxsize=8)
def _rows_decoder(forms: tuple[str, ...], *, nulls: bool) -> msgspec.json.Decoder[list[Any]]:
    whole: Any = Annotated[int, msgspec.Meta(ge=_INT_MIN, le=_INT_MAX)]
    real = Annotated[float, msgspec.Meta(ge=-_REAL_MAX, le=_REAL_MAX)]
    types = {
        TEXT: str,
        REAL: real,
        NUMERIC: whole | real,
        BLOB: Annotated[str, msgspec.Meta(min_length=1)],
        INTEGER: whole,
    }
    row = tuple([types[form] | None if nulls else types[form] for form in forms])
    return msgspec.json.Decoder(list[tuple[row]], strict=False)  # type: ignore[valid-type]


def _one_by_one(fields: Column, affinity: str, *, exact: bool) -> Column:
    values: list[Any] = []
    for field in fields:
        kind = kind_of(field)
        if kind == REAL or (kind == INTEGER and affinity == REAL):
            if exact and affinity == INTEGER:
                raise Misfit(field)
            values.append(float(field))
        elif kind == INTEGER:
            values.append(int(field))
        elif exact:
            raise Misfit(field)
        else:
            values.append(field)
    return values
