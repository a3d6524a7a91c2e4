"""Collating sequences: BINARY, NOCASE, RTRIM, and those that a program adds.

A collation is used as a *key function*: two texts are equal under it when their keys are, and order as
their keys do.  BINARY needs none, since Python compares text by code point as SQLite does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

from sql.errors import SqlNameError
from sql.expressions import SqlValue

_UPPER_TO_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def nocase_key(text: str) -> str:
    """ASCII letters fold, as in SQLite; other letters stay apart."""
    return text.lower() if text.isascii() else text.translate(_UPPER_TO_LOWER)


def rtrim_key(text: str) -> str:
    return text.rstrip(" ")


_BUILTIN: dict[str, Callable[[str], Any] | None] = {
    "BINARY": None,
    "NOCASE": nocase_key,
    "RTRIM": rtrim_key,
}


def is_builtin(name: str) -> bool:
    return name.upper() in _BUILTIN


def collation_key(
    name: str, own: dict[str, Callable[[str, str], int]] | None = None
) -> Callable[[str], Any] | None:
    """The key function of a text under the collation; None for BINARY.

    `own`: the program's collations by upper-case name.  SqlNameError if there is no such collation."""
    upper = name.upper()
    if own and upper in own:
        return cmp_to_key(own[upper])
    if upper in _BUILTIN:
        return _BUILTIN[upper]
    raise SqlNameError(f"no such collation sequence: {name}", token=name)


def folding(
    name: str, own: dict[str, Callable[[str, str], int]] | None = None
) -> Callable[[SqlValue], Any] | None:
    """Like `collation_key`, of a value of any kind: only text is folded."""
    key = collation_key(name, own)
    if key is None:
        return None
    if key is nocase_key:
        return nocase_fold
    if key is rtrim_key:
        return rtrim_fold
    return lambda value: key(value) if value.__class__ is str else value


def nocase_fold(value: SqlValue) -> SqlValue:
    return nocase_key(value) if value.__class__ is str else value


def rtrim_fold(value: SqlValue) -> SqlValue:
    return value.rstrip(" ") if value.__class__ is str else value
