"""LIKE and GLOB: patterns turned into predicates, and into Python source where they are constant.

LIKE folds ASCII letters only, as SQLite's does; GLOB is case-sensitive and knows `*`, `?`, `[...]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from sql.compile.constants import Constants
from sql.errors import SqlError
from sql.expressions import SqlValue
from sql.values import value_to_text

Predicate = Callable[[str], object]
"""Truthy iff the text matches."""


def like(
    text: SqlValue, pattern: SqlValue, escape: SqlValue = None, escaped: bool = False
) -> SqlValue:
    """`text LIKE pattern [ESCAPE escape]`; NULL if any of them is."""
    if text is None or pattern is None or (escaped and escape is None):
        return None
    single = None if not escaped else value_to_text(escape)
    if single is not None and len(single) != 1:
        raise SqlError("ESCAPE expression must be a single character")
    matches = like_predicate(value_to_text(pattern) or "", single)
    return 1 if matches(value_to_text(text) or "") else 0


def glob(text: SqlValue, pattern: SqlValue) -> SqlValue:
    """`text GLOB pattern`."""
    if text is None or pattern is None:
        return None
    return 1 if glob_predicate(value_to_text(pattern) or "")(value_to_text(text) or "") else 0


@lru_cache(maxsize=256)
def like_predicate(pattern: str, escape: str | None) -> Predicate:
    """The pattern as a predicate."""
    expression = "".join(
        {"%": ".*", "_": "."}.get(part, re.escape(part)) if wild else re.escape(part)
        for part, wild in _like_parts(pattern, escape)
    )
    return re.compile(expression, re.IGNORECASE | re.ASCII | re.DOTALL).fullmatch


def _like_parts(pattern: str, escape: str | None) -> list[tuple[str, bool]]:
    """Characters of the pattern, and whether each is a wildcard."""
    parts: list[tuple[str, bool]] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == escape:
            at += 1
            if at == len(pattern):
                parts.append(("\ud800", False))  # an escape of nothing matches nothing
            else:
                parts.append((pattern[at], False))
        elif char == "%" and parts and parts[-1] == ("%", True):
            pass
        else:
            parts.append((char, char in "%_"))
        at += 1
    return parts


@lru_cache(maxsize=256)
def glob_predicate(pattern: str) -> Predicate:
    """The pattern as a predicate."""
    expression = _glob_expression(pattern)
    if expression is None:
        return lambda text: False
    return re.compile(expression, re.DOTALL).fullmatch


def _glob_expression(pattern: str) -> str | None:
    """A regular expression; None for a pattern that matches nothing (an unclosed bracket)."""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if not parts or parts[-1] != ".*":
                parts.append(".*")
        elif char == "?":
            parts.append(".")
        elif char == "[":
            inverted = at < len(pattern) and pattern[at] == "^"
            start = at + inverted
            end = pattern.find("]", start + 1)
            if end < 0:
                return None
            parts.append(_bracket(pattern[start:end], inverted))
            at = end + 1
        else:
            parts.append(re.escape(char))
    return "".join(parts)


def _bracket(content: str, inverted: bool) -> str:
    items: list[str] = []
    at = 0
    while at < len(content):
        if at + 2 < len(content) and content[at + 1] == "-":
            if content[at] <= content[at + 2]:
                items.append(f"{re.escape(content[at])}-{re.escape(content[at + 2])}")
            at += 3
        else:
            items.append(re.escape(content[at]))
            at += 1
    if not items:
        return "." if inverted else "(?!)"
    return f"[{'^' if inverted else ''}{''.join(items)}]"


def match_source(op: str, pattern: str, escape: str | None, text: str, constants: Constants) -> str:
    """Python source, truthy iff the text in the simple expression `text` matches a constant pattern."""
    if op == "GLOB":
        return _glob_source(pattern, text, constants)
    parts = _like_parts(pattern, escape)
    wild = [at for at, (_, is_wild) in enumerate(parts) if is_wild]
    body = "".join(char for char, is_wild in parts if not is_wild)
    plain = body.isascii() and not any(part == ("_", True) for part in parts)
    if plain and wild in ([len(parts) - 1], [0, len(parts) - 1]) and body:
        low = body.lower()
        same = low == body.upper()
        name = constants.name(low)
        if len(wild) == 1:
            if same:
                return f"{text}.startswith({name})"
            cut = f"{text}[:{len(body)}]"
            return f"({cut}.lower() == {name} and {cut}.isascii())"
        if same:
            return f"({name} in {text})"
        matches = constants.name(like_predicate(pattern, escape), "like")
        return f"({name} in {text}.lower() if {text}.isascii() else {matches}({text}) is not None)"
    matches = constants.name(like_predicate(pattern, escape), "like")
    return f"({matches}({text}) is not None)"


def _glob_source(pattern: str, text: str, constants: Constants) -> str:
    if pattern.endswith("*") and not any(char in "*?[" for char in pattern[:-1]):
        return f"{text}.startswith({constants.name(pattern[:-1])})"
    if not any(char in "*?[" for char in pattern):
        return f"({text} == {constants.name(pattern)})"
    return f"bool({constants.name(glob_predicate(pattern), 'glob')}({text}))"
