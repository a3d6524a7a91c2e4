"""The clauses of a comprehension taken apart."""

from __future__ import annotations


def split_clauses(source: str) -> list[str]:
    """A comprehension's clauses one by one; brackets and quotes are respected."""
    parts: list[str] = []
    depth = 0
    quote = ""
    start = 0
    at = 0
    while at < len(source):
        char = source[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif depth == 0 and at > start and char == " ":
            rest = source[at + 1 :]
            if rest.startswith(("for ", "if ")):
                parts.append(source[start:at])
                start = at + 1
        at += 1
    parts.append(source[start:])
    return parts
