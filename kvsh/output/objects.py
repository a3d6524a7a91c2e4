"""Rows as JSON objects, a line each.

A batch is encoded in one call, from objects of a class that is made for its names: 0.08 us a row of three values, where a
template filled with the columns' texts takes 0.45.  That writes what the template does unless there are blobs, or REALs
whose shortest digits JSON writes otherwise, or names that no field can have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain, starmap
from json.encoder import encode_basestring
from typing import Any

import msgspec

from kvsh.output.values import columns_of, json_column, json_reals

_MANY = 64
"""Rows for which a class is made: that takes as long as some hundred rows."""

_PLAIN = {int, str, float, type(None)}
_encode_lines = msgspec.json.Encoder().encode_lines

Batch = Sequence[Sequence[Any]]


def object_lines(names: Sequence[str]) -> Callable[[Batch], str]:
    """What gives the lines of a batch that is not empty, without an end behind the last."""
    keys = [encode_basestring(name).replace("%", "%%") for name in names]
    template = "{" + ",".join([f"{key}:%s" for key in keys]) + "}"

    @cache
    def record() -> Callable[..., Any] | None:
        fields = [f"c{place}" for place in range(len(names))]
        try:
            return msgspec.defstruct(
                "Record", fields, rename=dict(zip(fields, names, strict=True)), gc=False
            )
        except ValueError:  # names alike, or with a character that has an escape
            return None

    def lines(batch: Batch) -> str:
        if len(batch) >= _MANY and _is_plain(batch):
            make = record()
            if make is not None:
                try:
                    return _encode_lines(list(starmap(make, batch))).decode()[:-1]
                except (
                    UnicodeError
                ):  # bytes that are no UTF-8 have come as halves of surrogate pairs
                    pass
        columns: list[Iterable[Any]] = [
            json_column(column, encode_basestring) for column in columns_of(batch)
        ]
        return "\n".join(map(template.__mod__, zip(*columns, strict=True)))

    return lines


def _is_plain(batch: Batch) -> bool:
    """Whether `msgspec` writes all values as `json_column` does."""
    kinds = set(map(type, chain.from_iterable(batch)))
    if not kinds <= _PLAIN:
        return False
    if float not in kinds:
        return True
    for column in columns_of(batch):
        reals = [value for value in column if value.__class__ is float]
        if reals and json_reals(reals) is None:
            return False
    return True
