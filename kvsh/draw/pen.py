"""The means of drawing: size and glyphs of the terminal, bars, keys and byte counts in few cells.

Every line that a drawing gives is at most `pen.width` cells wide, colour codes left out, so that it is right in
80 columns and makes use of 200.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wcwidth import wcswidth, wcwidth

from kvsh.chart import plain

_PARTS = " ▏▎▍▌▋▊▉█"
_DUMP_LINES_MAX = 16


@dataclass(frozen=True, slots=True)
class Pen:
    """Width in cells, whether beyond ASCII, and how to colour: `paint(role, text)`."""

    width: int = 80
    unicode: bool = True
    paint: Callable[[str, str], str] = plain

    @property
    def branch(self) -> str:
        return "├─ " if self.unicode else "|- "

    @property
    def last(self) -> str:
        return "└─ " if self.unicode else "`- "

    @property
    def bar(self) -> str:
        return "│  " if self.unicode else "|  "

    @property
    def dots(self) -> str:
        return "…" if self.unicode else "..."

    @property
    def arrow(self) -> str:
        return "→" if self.unicode else "->"

    def gauge(self, fraction: float, cells: int = 10) -> str:
        """A bar that is filled by `fraction` (0..1, more is full)."""
        fraction = min(max(fraction, 0.0), 1.0)
        if not self.unicode:
            filled = round(fraction * cells)
            return "[" + "#" * filled + "." * (cells - filled) + "]"
        whole, part = divmod(round(fraction * cells * 8), 8)
        body = "█" * whole + (_PARTS[part] if part else "")
        return self.paint("page.fill", body) + self.paint("dim", "░" * (cells - len(body)))


def cells(text: str) -> int:
    """Width of text in cells; control characters count as none (callers escape them)."""
    size = wcswidth(text)
    return size if size >= 0 else len(text)


def cut(text: str, width: int, dots: str = "…") -> str:
    """`text` in at most `width` cells, ending in dots if something was cut off."""
    if cells(text) <= width:
        return text
    room = width - cells(dots)
    if room < 0:
        return ""
    used = 0
    for position, letter in enumerate(text):
        size = max(wcwidth(letter), 0)
        if used + size > room:
            return text[:position] + dots
        used += size
    return text


def padded(text: str, width: int, dots: str = "…") -> str:
    """`text` cut or filled with blanks to exactly `width` cells."""
    text = cut(text, width, dots)
    return text + " " * (width - cells(text))


def printable(text: str) -> str:
    """Control characters and the like as escapes, so that data can't move the cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def key_text(key: Any) -> str:
    """A key or value as a SQL literal; a tuple's elements with commas between.

    >>> key_text(("Ada", 1, None)), key_text(b"user:1"), key_text(b"\\xff\\x00")
    ("'Ada', 1, NULL", 'user:1', "x'ff00'")
    """
    if isinstance(key, tuple):
        return ", ".join(map(_literal, key))
    if isinstance(key, bytes):
        return _bytes_text(key)
    return _literal(key)


def _bytes_text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"x'{data.hex()}'"
    return text if text.isprintable() and text else f"x'{data.hex()}'"


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + printable(value.replace("'", "''")) + "'"
    if isinstance(value, bytes):
        return f"x'{value[:32].hex()}{'...' if len(value) > 32 else ''}'"
    return str(value)


def size_text(count: float) -> str:
    """Bytes for people, binary units.

    >>> size_text(0), size_text(999), size_text(4096), size_text(5_400_000)
    ('0 B', '999 B', '4.0 KB', '5.1 MB')
    """
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("KB", "MB", "GB", "TB"):
        count /= 1024
        if count < 1000 or unit == "TB":
            return f"{count:.1f} {unit}" if count < 100 else f"{count:.0f} {unit}"
    raise AssertionError("unreachable: TB is the last unit")


def counted(number: int, noun: str) -> str:
    """`1 page`, `1,204 pages`; nouns in -y and -x as English has them.

    >>> counted(1, "page"), counted(1204, "page"), counted(2, "entry"), counted(2, "leaf"), counted(3, "branch")
    ('1 page', '1,204 pages', '2 entries', '2 leaves', '3 branches')
    """
    irregular = {"entry": "entries", "leaf": "leaves", "branch": "branches", "index": "indexes"}
    return f"{number:,} {noun if number == 1 else irregular.get(noun, noun + 's')}"


def table(
    pen: Pen, header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()
) -> list[str]:
    """Columns side by side under a header, the widest cut until all fit; `right` lists right-aligned ones."""
    body = [[printable(cell) for cell in row] for row in rows]
    widths = [max([cells(head), *(cells(row[i]) for row in body)]) for i, head in enumerate(header)]
    while sum(widths) + 2 * (len(widths) - 1) > pen.width and max(widths) > 4:
        widths[widths.index(max(widths))] -= 1
    dots = pen.dots if pen.unicode else "~"

    def line(row: Sequence[str]) -> str:
        parts = []
        for i, cell in enumerate(row):
            text = cut(cell, widths[i], dots)
            gap = " " * (widths[i] - cells(text))
            parts.append(gap + text if i in right else text + gap)
        return "  ".join(parts).rstrip()

    return [pen.paint("header", line(header)), *map(line, body)]


def hex_dump(pen: Pen, data: bytes) -> list[str]:
    """Offset, bytes in hexadecimal, and as text; as many bytes a line as fit."""
    per_line = 16 if pen.width >= 78 else 8
    out = []
    for start in range(0, min(len(data), _DUMP_LINES_MAX * per_line), per_line):
        chunk = data[start : start + per_line]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in chunk)
        digits = chunk.hex(" ").ljust(per_line * 3 - 1)
        out.append(f"{pen.paint('dim', f'{start:08x}')}  {digits}  {shown}")
    left = len(data) - _DUMP_LINES_MAX * per_line
    if left > 0:
        out.append(pen.paint("dim", f"{pen.dots} {counted(left, 'byte')} more"))
    return out
