"""LIKE and GLOB: patterns turned into predicates, and into Python source where they are constant.

LIKE folds ASCII letters only, as SQLite's does; GLOB is case-sensitive and knows `*`, `?`, `[...]`.
Numbers are matched as the text they print as.  Blobs match nothing: SQLite as distributions build it
(SQLITE_LIKE_DOESNT_MATCH_BLOBS, which its authors recommend), and 0 even where the other side is NULL.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

from sql.compile.constants import Constants
from sql.errors import SqlError
from sql.expressions import SqlValue
from sql.values import value_to_text

PATTERN_BYTES_MAX = 50_000
Predicate = Callable[[str], object]
"""Truthy iff the text matches."""


def like(
    text: SqlValue, pattern: SqlValue, escape: SqlValue = None, escaped: bool = False
) -> SqlValue:
    """`text LIKE pattern [ESCAPE escape]`: 0 with a blob among the first two, else NULL with a NULL."""
    if text.__class__ is bytes or pattern.__class__ is bytes:
        return 0
    spelled = value_to_text(pattern)
    _check_length(spelled)
    single = value_to_text(escape)
    if escaped:
        if single is None:
            return None
        if len(single) != 1:
            raise SqlError("ESCAPE expression must be a single character")
    if text is None or spelled is None:
        return None
    return 1 if like_predicate(spelled, single)(value_to_text(text) or "") else 0


def like_exactly(pattern: SqlValue, text: SqlValue, *escape: SqlValue) -> SqlValue:
    """LIKE under PRAGMA case_sensitive_like, with the arguments of the function like()."""
    escaped = escape[0] if escape else None
    folded = like(text, pattern, escaped, bool(escape))
    if not folded:
        return folded
    single = value_to_text(escaped)
    matches = like_predicate(value_to_text(pattern) or "", single, sensitive=True)
    return 1 if matches(value_to_text(text) or "") else 0


def glob(text: SqlValue, pattern: SqlValue) -> SqlValue:
    """`text GLOB pattern`: 0 with a blob among them, else NULL with a NULL."""
    if text.__class__ is bytes or pattern.__class__ is bytes:
        return 0
    spelled = value_to_text(pattern)
    _check_length(spelled)
    if text is None or spelled is None:
        return None
    return 1 if glob_predicate(spelled)(value_to_text(text) or "") else 0


def text_test(
    op: str, pattern: SqlValue, escape: SqlValue = None, escaped: bool = False
) -> Callable[[str], SqlValue]:
    """LIKE or GLOB by a pattern that is known when a run begins, as a function of texts: what `like` and `glob` give, or a
    bool.  What is wrong with the pattern is told when a text is asked about."""
    spelled, single = value_to_text(pattern), value_to_text(escape)
    if spelled is None or pattern.__class__ is bytes or len(spelled) * 4 > PATTERN_BYTES_MAX:
        return partial(_asked, op, pattern, escape, escaped)
    if escaped and len(single or "") != 1:
        return partial(_asked, op, pattern, escape, escaped)
    return _text_test(op, spelled, single)


def value_test(
    op: str, pattern: SqlValue, escape: SqlValue = None, escaped: bool = False
) -> Callable[[SqlValue], SqlValue]:
    """The same as a function of values of any kind, which gives no bool."""
    of_text = text_test(op, pattern, escape, escaped)

    def found(value: SqlValue) -> SqlValue:
        if value.__class__ is not str:
            return _asked(op, pattern, escape, escaped, value)
        matches = of_text(value)
        return None if matches is None else int(matches)

    return found


def _asked(
    op: str, pattern: SqlValue, escape: SqlValue, escaped: bool, value: SqlValue
) -> SqlValue:
    return glob(value, pattern) if op == "GLOB" else like(value, pattern, escape, escaped)


@lru_cache(maxsize=256)
def _text_test(op: str, pattern: str, escape: str | None) -> Callable[[str], SqlValue]:
    if op == "GLOB":
        fits = glob_predicate(pattern)
        return lambda text: bool(fits(text))
    plain = _plain_like(pattern, escape)
    if plain is None:
        matches = like_predicate(pattern, escape)
        return lambda text: matches(text) is not None
    body, (before, after) = plain
    low, size = body.lower(), len(body)
    if before and after:
        if low == body.upper():
            return lambda text: body in text

        def is_within(text: str) -> bool:
            if text.isascii():
                return low in text.lower()
            return like_predicate(pattern, escape)(text) is not None

        return is_within
    if after:
        return lambda text: text[:size].lower() == low and text[:size].isascii()
    if before:
        return lambda text: text[-size:].lower() == low and text[-size:].isascii()
    return lambda text: text.lower() == low and text.isascii()


def _check_length(pattern: str | None) -> None:
    if pattern is not None and len(pattern) * 4 > PATTERN_BYTES_MAX:
        size = len(pattern.encode("utf-8", "surrogatepass"))
        if size > PATTERN_BYTES_MAX:
            raise SqlError("LIKE or GLOB pattern too complex")


@lru_cache(maxsize=256)
def like_predicate(pattern: str, escape: str | None, *, sensitive: bool = False) -> Predicate:
    """The pattern as a predicate."""
    pieces: list[list[str]] = [[]]  # between the %
    for char, is_wild in _like_parts(pattern, escape):
        if is_wild and char == "%":
            pieces.append([])
        else:
            pieces[-1].append("." if is_wild else re.escape(char))
    expression = _joined(["".join(piece) for piece in pieces])
    flags = re.DOTALL if sensitive else re.IGNORECASE | re.ASCII | re.DOTALL
    return re.compile(expression, flags).fullmatch


def _joined(pieces: list[str]) -> str:
    """Pieces with any text between them.  Whatever matches, matches with every piece but the last as far
    left as it can stand: so nothing is tried again (atomic groups), and time does not explode."""
    if len(pieces) == 1:
        return pieces[0]
    first, *middle, last = pieces
    return f"{first}{''.join(f'(?>.*?{piece})' for piece in middle if piece)}.*{last}"


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
    pieces: list[str] = [""]  # between the *
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            pieces.append("")
        elif char == "?":
            pieces[-1] += "."
        elif char == "[":
            inverted = at < len(pattern) and pattern[at] == "^"
            start = at + inverted
            end = pattern.find("]", start + 1)
            if end < 0:
                return None
            pieces[-1] += _bracket(pattern[start:end], inverted)
            at = end + 1
        else:
            pieces[-1] += re.escape(char)
    return _joined(pieces)


def _bracket(content: str, inverted: bool) -> str:
    """What stands in brackets, never empty.  The start of a range is a member whatever the end; a `]`
    that comes first starts none, nor does the end of another."""
    items: list[str] = []
    low = ""
    at = 0
    while at < len(content):
        char = content[at]
        if char == "-" and low and at + 1 < len(content):
            at += 1
            if low <= content[at]:
                items.append(f"{re.escape(low)}-{re.escape(content[at])}")
            low = ""
        else:
            items.append(re.escape(char))
            low = "" if char == "]" and at == 0 else char
        at += 1
    return f"[{'^' if inverted else ''}{''.join(items)}]"


def match_source(op: str, pattern: str, escape: str | None, text: str, constants: Constants) -> str:
    """Python source, truthy iff the str in the simple expression `text` matches a constant pattern."""
    if op == "GLOB":
        return _glob_source(pattern, text, constants)
    plain = _plain_like(pattern, escape)
    if plain is not None:
        return _like_source(plain, like_predicate(pattern, escape), text, constants)
    matches = constants.name(like_predicate(pattern, escape), "like")
    return f"({matches}({text}) is not None)"


class _Plain(NamedTuple):
    """A LIKE pattern that is ASCII text, with `%` at the ends where `open_ends` says so."""

    body: str
    open_ends: tuple[bool, bool]


def _plain_like(pattern: str, escape: str | None) -> _Plain | None:
    """The pattern as such a one, None if it is none."""
    parts = _like_parts(pattern, escape)
    body = "".join([char for char, is_wild in parts if not is_wild])
    wild = [at for at, (_, is_wild) in enumerate(parts) if is_wild]
    if ("_", True) in parts or not body.isascii():
        return None
    ends = wild[:1] == [0], wild[-1:] == [len(parts) - 1]
    if not body and wild:
        return _Plain("", (True, True))
    return _Plain(body, ends) if len(wild) == sum(ends) else None


def _like_source(plain: _Plain, matches: Predicate, text: str, constants: Constants) -> str:
    """Source for a plain pattern; `matches`: for texts beyond ASCII."""
    body, open_ends = plain
    if not body and open_ends == (True, True):
        return "True"
    low = body.lower()
    name = constants.name(low)
    same = low == body.upper()
    if open_ends == (True, True):
        if same:
            return f"({name} in {text})"
        anywhere = constants.name(matches, "like")
        return f"({name} in {text}.lower() if {text}.isascii() else {anywhere}({text}) is not None)"
    if open_ends == (False, True):
        test, cut = f"{text}.startswith({name})", f"{text}[:{len(body)}]"
    elif open_ends == (True, False):
        test, cut = f"{text}.endswith({name})", f"{text}[-{len(body)}:]"
    else:
        test, cut = f"({text} == {name})", text
    return test if same else f"({cut}.lower() == {name} and {cut}.isascii())"


def _glob_source(pattern: str, text: str, constants: Constants) -> str:
    body = pattern.strip("*")
    if not any(char in "*?[" for char in body):
        name = constants.name(body)
        match pattern.startswith("*"), pattern.endswith("*"):
            case _, _ if not body:
                return "True" if pattern else f"({text} == {name})"
            case True, True:
                return f"({name} in {text})"
            case True, False:
                return f"{text}.endswith({name})"
            case False, True:
                return f"{text}.startswith({name})"
            case _:
                return f"({text} == {name})"
    return f"bool({constants.name(glob_predicate(pattern), 'glob')}({text}))"
