"""The clauses of a comprehension taken apart."""

from __future__ import annotations

import re

_PIECE = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[(\[{]|[)\]}]|\ (?=for\ |if\ )""", re.DOTALL
)


def split_clauses(source: str) -> list[str]:
    """A comprehension's clauses one by one; brackets and quotes are respected."""
    parts: list[str] = []
    depth = start = 0
    for piece in _PIECE.finditer(source):
        first = piece[0][0]
        if first in "([{":
            depth += 1
        elif first in ")]}":
            depth -= 1
        elif first == " " and depth == 0 and piece.start() > start:
            parts.append(source[start : piece.start()])
            start = piece.end()
    parts.append(source[start:])
    return parts
