"""Results as text: fifteen modes, all of them streaming in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sql import SqlValue

Row = tuple["SqlValue", ...]
Batches = Iterable[list[Row]]
Write = Callable[[str], object]

MODES = (
    "box",
    "table",
    "column",
    "list",
    "line",
    "csv",
    "tsv",
    "json",
    "jsonl",
    "markdown",
    "insert",
    "quote",
    "html",
    "ascii",
    "tcl",
)

DRAWN = frozenset(("box", "table", "column", "markdown"))
"""Modes that escape control characters wherever they are written to, and may be coloured."""

HEADERS_BY_DEFAULT = frozenset(("box", "table", "column", "csv", "tsv", "markdown", "html"))
"""Modes that print the columns' names unless told not to; the others unless told to."""


class Style:
    """What a mode may be told: NULL's text, headers, separator, the table's name for insert, widths, and of drawn
    tables: in lines of how many cells texts are (0: as they come), and whether values are literals of SQL.

    `row_separator` None: what the mode has, mostly a newline.  `kinds`: a mask of `btree.Kind` bits that covers all
    values; all bits if unknown."""

    __slots__ = (
        "headers",
        "kinds",
        "null",
        "quotes",
        "row_separator",
        "separator",
        "table",
        "widths",
        "wrap",
    )

    def __init__(
        self,
        *,
        null: str = "",
        headers: bool = True,
        separator: str | None = None,
        row_separator: str | None = None,
        table: str = "t",
        widths: Sequence[int] = (),
        wrap: int = 0,
        quotes: bool = False,
        kinds: int = 31,
    ) -> None:
        self.kinds = kinds
        self.null = null
        self.headers = headers
        self.separator = separator
        self.row_separator = row_separator
        self.table = table
        self.widths = tuple(widths)
        self.wrap = wrap
        self.quotes = quotes

    def with_null(self, null: str) -> Style:
        """The same with another text for NULL."""
        from copy import copy

        style = copy(self)
        style.null = null
        return style


def write_rows(
    write: Write,
    mode: str,
    names: Sequence[str],
    batches: Batches,
    style: Style,
    *,
    screen: int | None = None,
    unicode: bool = True,
    paint: Callable[[str, str], str] | None = None,
) -> None:
    """Write one result in the mode.  `screen`: the terminal's width, None where there is none."""
    from kvsh.output.plain import WRITERS, write_lines

    batches = filter(None, batches)
    by_row = WRITERS.get(mode)
    if mode == "line":
        write_lines(write, names, batches, style, screen)
        return
    if by_row is not None:
        by_row(write, names, batches, style)
        return
    from kvsh.output import tables

    if mode == "markdown":
        tables.write_markdown(write, names, batches, style)
        return
    frame = None
    if mode == "box":
        frame = tables.BOX if unicode else tables.ASCII
    elif mode == "table":
        frame = tables.ASCII
    tables.TableWriter(write, style, frame=frame, screen=screen, paint=paint).table(names, batches)


__all__ = ["DRAWN", "HEADERS_BY_DEFAULT", "MODES", "Style", "write_rows"]
