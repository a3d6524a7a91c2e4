"""Rows taken apart by the loop that goes over them, where that is cheaper than subscripts.

    [r1[3] for r1 in rows if r1[1] < o1]    ->    [c1_3 for c1_0, c1_1, c1_2, c1_3 in rows if c1_1 < o1]

CPython unpacks a tuple into locals for about a quarter of a subscript per column (1M rows of 6 columns,
sum with a filter: 51 -> 42 ms), so a row whose columns are used often enough is unpacked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

COLUMNS_PER_USE = 4
COLUMNS_MAX = 20

_LOOP = re.compile(r"\bfor (r\d+) in (?:rows|b)\b")
# Any row, and not the one in question: a pattern takes longer to make than to use.
_ROW = re.compile(r"\b(r\d+)\b(?:\[(\d+)\])?")
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")


def unpacked(source: str, widths: Mapping[str, int]) -> str:
    """The source, with the row of its loop over `rows` unpacked if that pays.

    `widths`: how many columns the rows of a variable have."""
    loop = _LOOP.search(source)
    if loop is None:
        return source
    row = loop[1]
    width = widths.get(row, 0)
    if not width or width > COLUMNS_MAX:
        return source
    uses = [column for name, column in _ROW.findall(source) if name == row]
    columns = len(uses) - uses.count("")
    if columns < 2 or columns + 1 != len(uses) or COLUMNS_PER_USE * _weight(source, row) < width:
        return source  # the row itself is used, or few of its columns
    if any(row in text for text in _QUOTED.findall(source)):
        return source
    names = ", ".join(_name(row, place) for place in range(width))
    if width == 1:
        names += ","
    source = _ROW.sub(
        lambda use: _name(row, int(use[2])) if use[1] == row and use[2] else use[0], source
    )
    return source.replace(loop[0], loop[0].replace(f"for {row} in", f"for {names} in"), 1)


def _weight(source: str, row: str) -> float:
    """How often a row's columns are read: behind each condition half as often as before it.

    What makes a new group, and loops inside, count for nothing."""
    head, found, tail = source.partition(" for ")
    text = f"{tail} {head}" if source.startswith("[") and found else source
    weight, share = 0.0, 1.0
    for piece in re.split(r"(\bif\b|\bfor\b|\bexcept KeyError\b.*)", text):
        if piece == "if":
            share /= 2
        elif not piece.startswith("except"):
            weight += share * len({use for use in _ROW.findall(piece) if use[0] == row and use[1]})
    return weight


def _name(row: str, place: int) -> str:
    return f"c{row[1:]}_{place}"
