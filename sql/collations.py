"""Collating sequences: BINARY, NOCASE, RTRIM, and those that a program adds.

A collation is used as a *key function*: two texts are equal under it when their keys are, and order as
their keys do.  BINARY needs none, since Python compares text by code point as SQLite does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sql.errors import SqlError, SqlNameError
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


class CollatedText:
    """A text that compares by a program's collation.

    It passes for a str (`__class__`), so that the order of all kinds ranks it with text: it never
    leaves a comparison.  Equal texts must have equal hashes, and a comparison function tells nothing
    of that: they all have the same one, and sets of such texts are searched one by one."""

    __slots__ = ("compare", "text")

    def __init__(self, text: str, compare: Callable[[str, str], int]) -> None:
        self.text = text
        self.compare = compare

    __class__ = property(lambda self: str)

    def __eq__(self, other: object) -> bool:
        return type(other) is CollatedText and self.compare(self.text, other.text) == 0

    def __lt__(self, other: object) -> bool:
        if type(other) is not CollatedText:
            return NotImplemented
        return self.compare(self.text, other.text) < 0

    def __le__(self, other: object) -> bool:
        if type(other) is not CollatedText:
            return NotImplemented
        return self.compare(self.text, other.text) <= 0

    def __gt__(self, other: object) -> bool:
        if type(other) is not CollatedText:
            return NotImplemented
        return self.compare(self.text, other.text) > 0

    def __ge__(self, other: object) -> bool:
        if type(other) is not CollatedText:
            return NotImplemented
        return self.compare(self.text, other.text) >= 0

    def __hash__(self) -> int:
        return 0


Own = Mapping[str, Callable[[str, str], int]]
"""A program's collations by upper-case name."""


def collation_key(name: str, own: Own | None = None) -> Callable[[str], Any] | None:
    """The key function of a text under the collation; None for BINARY.

    SqlNameError if there is no such collation."""
    upper = name.upper()
    if own and upper in own:
        compare = own[upper]
        return lambda text: CollatedText(text, compare)
    if upper in _BUILTIN:
        return _BUILTIN[upper]
    raise SqlNameError(f"no such collation sequence: {name}", token=name)


def folding(name: str, own: Own | None = None) -> Callable[[SqlValue], Any] | None:
    """Like `collation_key`, of a value of any kind (only text is folded), for keys that are stored.

    SqlError for a program's collation: what is stored must keep its order without the program."""
    if own and name.upper() in own:
        raise SqlError(f"no key can be stored in the order of a program's collation: {name}")
    return comparing(name, own)


def comparing(name: str, own: Own | None = None) -> Callable[[SqlValue], Any] | None:
    """Like `folding`, for keys that only live while a statement runs: any collation will do."""
    key = collation_key(name, own)
    if key is None:
        return None
    if key is nocase_key:
        return nocase_fold
    if key is rtrim_key:
        return rtrim_fold
    return lambda value: key(value) if value.__class__ is str else value


def nocase_fold(value: SqlValue) -> SqlValue:
    if value.__class__ is not str:
        return value
    return value.lower() if value.isascii() else value.translate(_UPPER_TO_LOWER)  # `nocase_key`


def rtrim_fold(value: SqlValue) -> SqlValue:
    return value.rstrip(" ") if value.__class__ is str else value
