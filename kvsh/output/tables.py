"""Drawn tables: box, table, markdown, column.  Streaming: widths come from the first rows.

On a terminal columns are fitted to its width and long cells and names wrapped, but numbers never: half a number is
another one.  Texts of several lines are shown as such there; elsewhere a row is a line.  A table that would not be
easy to read that way turns into lines.  In a pipe nothing is ever cut: a later, wider cell just sticks out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice, zip_longest
from typing import Any

from wcwidth import wcswidth

from kvsh.output import Batches, Row, Style, Write
from kvsh.output.plain import write_lines
from kvsh.output.values import (
    cell,
    cell_column,
    cell_lines,
    columns_of,
    literal_column,
    replaced,
)
from kvsh.output.values import shown as on_screen

SAMPLE_ROWS = 500
READABLE = 8
"""Cells that a column of texts has at least, if its words and the parts of its name are as long."""
COUNTER_WIDTH = 7
"""Digits that a column of whole numbers has room for, if more rows follow than those that were looked at."""
NULL_ON_SCREEN = "NULL"
"""What NULL prints as in tables on a terminal, unless it was said: nothing would look like an empty text."""
WRAP_LINES_MAX = 40
"""Lines that a cell has at most."""

Paint = Callable[[str, str], str]
Cells = Callable[[Sequence[Any], str], Sequence[str]]


class Frame:
    """The characters of a table's lines."""

    __slots__ = ("bottom", "cross", "edge", "header_left", "row", "top")

    def __init__(self, row: str, edge: str, top: str, cross: str, bottom: str) -> None:
        self.row = row  # vertical line between cells
        self.edge = edge  # horizontal line
        self.top = top  # left, middle, right
        self.cross = cross
        self.bottom = bottom


BARS = Frame("|", "-", "|||", "|||", "|||")
BOX = Frame("│", "─", "┌┬┐", "├┼┤", "└┴┘")
ASCII = Frame("|", "-", "+++", "+++", "+++")


_NARROW = re.compile(
    r"[\0-~\xa1-\xac\xae-\u02ff\u0370-\u0377\u037a-\u037f\u0384-\u038a\u038e-\u03a1\u03a3-\u0482\u048a-\u052f]*"
)
"""ASCII, Latin, Greek and Cyrillic letters, of a cell each, none of which combines with others."""


def _is_narrow(text: str) -> bool:
    """Whether every character is known to take a cell, without a look at each."""
    return text.isascii() or _NARROW.fullmatch(text) is not None


def width_of(text: str) -> int:
    """Cells that a text takes on a terminal."""
    if _is_narrow(text):
        return len(text)
    width = wcswidth(text)
    return width if width >= 0 else len(text)


def is_wider(text: str, width: int) -> bool:
    """Whether a text takes more than `width` cells; its beginning tells that of a long one."""
    begin = text[: 2 * width]
    return (len(begin) < len(text) and width_of(begin) > width) or width_of(text) > width


def padded(text: str, width: int, *, right: bool) -> str:
    room = width - width_of(text)
    if room <= 0:
        return text
    return " " * room + text if right else text + " " * room


def cut(text: str, width: int) -> str:
    """The text's beginning in at most `width` cells, with an ellipsis if something is left out."""
    if not is_wider(text, width):
        return text
    kept, used = [], 0
    for char in text:
        cells = width_of(char)
        if used + cells > width - 1:
            break
        kept.append(char)
        used += cells
    return "".join(kept) + "…"


def wrapped(text: str, width: int, lines_max: int = WRAP_LINES_MAX) -> list[str]:
    """The text in lines of at most `width` cells, broken at blanks where it can be; past `lines_max` it is cut."""
    lines: list[str] = []
    while is_wider(text, width) and len(lines) < lines_max - 1:
        used = at = 0
        for at, char in enumerate(text):  # noqa: B007
            used += width_of(char)
            if used > width:
                break
        indent = len(text) - len(text.lstrip())
        blank = text.rfind(" ", indent + 1, at + 1)
        word = text[blank + 1 : blank + 2 + width]  # the next one, and perhaps more
        is_short = blank > 0 and (" " in word or len(word) <= width)
        end = blank if is_short or blank > width // 3 else max(at, 1)
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip()
    lines.append(cut(text, width))
    return lines


def cell_in_lines(text: str, width: int) -> list[str]:
    """The cell's own lines, each wrapped; at most `WRAP_LINES_MAX`."""
    if "\n" not in text:
        return wrapped(text, width)
    lines: list[str] = []
    for line in text.split("\n"):
        lines += wrapped(line, width)
        if len(lines) > WRAP_LINES_MAX:
            return [*lines[: WRAP_LINES_MAX - 1], "…"]
    return lines


class TableWriter:
    """Writes one result as a table."""

    def __init__(
        self,
        write: Write,
        style: Style,
        *,
        frame: Frame | None,
        screen: int | None,
        paint: Paint | None = None,
    ) -> None:
        """`frame` None: columns with two blanks between.  `screen`: cells to fit into, None: no limit."""
        self.write = write
        self.style = style
        self.frame = frame
        self.screen = screen
        self.paint = paint
        self.wraps = screen is not None or style.wrap > 0

    def table(self, names: Sequence[str], batches: Batches) -> None:
        """Write everything."""
        rows = chain.from_iterable(batches)
        sample = list(islice(rows, SAMPLE_ROWS))
        null = self.style.null or ("" if self.screen is None else NULL_ON_SCREEN)
        cells = cells_of(self.style, cell_column if self.screen is None else cell_lines)
        columns = [cells(column, null) for column in columns_of(sample)] or [()] * len(names)
        headers = [cell(name) for name in names]
        shown = headers if self.style.headers else [""] * len(names)
        right = [_is_numeric(sample, place) for place in range(len(names))]
        values = [_widest(column) for column in columns]
        if self.style.wrap:
            values = [
                width if at_right else min(width, self.style.wrap)
                for width, at_right in zip(values, right, strict=True)
            ]
        if len(sample) == SAMPLE_ROWS:
            values = [
                max(width, COUNTER_WIDTH) if sample[0][place].__class__ is int else width
                for place, width in enumerate(values)
            ]
        natural = [max(width_of(name), width) for name, width in zip(shown, values, strict=True)]
        fitted = self._fitted(
            natural, lambda: list(map(_least_width, shown, columns, columns_of(sample) or columns))
        )
        if fitted is None:
            assert self.screen is not None
            style = self.style.with_null(null)
            write_lines(
                lambda text: self.write(on_screen(text)),
                names,
                chain([sample], _batched(rows)),
                style,
                self.screen,
            )
            return
        widths = fitted
        for place, width in enumerate(self.style.widths[: len(widths)]):
            if width:
                widths[place] = abs(width)
        self._head(headers, widths, right)
        self._rows(columns, sample, widths, right)
        for batch in _batched(rows):
            columns = [cells(column, null) for column in columns_of(batch)]
            self._rows(columns, batch, widths, right)
        if self.frame is not None:
            self.write(self._line(self.frame.bottom, widths))

    def _fitted(self, widths: list[int], least: Callable[[], list[int]]) -> list[int] | None:
        """Widths that the screen holds; None if columns would get too narrow to read, that is, than `least`."""
        if self.screen is None:
            return widths
        overhead = 3 * len(widths) + 1 if self.frame is not None else 2 * (len(widths) - 1)
        room = self.screen - overhead
        if sum(widths) <= room:
            return widths
        bounds = least()
        return None if sum(bounds) > room else _levelled(widths, room, bounds)

    def _line(self, corners: str, widths: Sequence[int]) -> str:
        assert self.frame is not None
        inner = corners[1].join(self.frame.edge * (width + 2) for width in widths)
        return self._painted("frame", f"{corners[0]}{inner}{corners[2]}") + "\n"

    def _painted(self, role: str, text: str) -> str:
        return text if self.paint is None else self.paint(role, text)

    def _head(self, headers: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> None:
        frame = self.frame
        if frame is not None:
            self.write(self._line(frame.top, widths))
        if not self.style.headers:
            return
        parts = list(map(name_lines, headers, widths))
        for line in zip_longest(*parts, fillvalue=""):
            cells = [
                self._painted("header", padded(name, width, right=at_right))
                for name, width, at_right in zip(line, widths, right, strict=True)
            ]
            if frame is not None:
                self.write(self._joined(cells))
            else:
                self.write("  ".join(cells).rstrip() + "\n")
        if frame is not None:
            self.write(self._line(frame.cross, widths))
        else:
            self.write("  ".join("-" * width for width in widths) + "\n")

    def _joined(self, cells: Sequence[str]) -> str:
        assert self.frame is not None
        bar = self._painted("frame", self.frame.row)
        return f"{bar} {f' {bar} '.join(cells)} {bar}\n"

    def _rows(
        self,
        columns: Sequence[Sequence[str]],
        rows: Sequence[Row],
        widths: Sequence[int],
        right: Sequence[bool],
    ) -> None:
        if not rows:
            return
        if self.paint is None and (not self.wraps or all(map(_are_lines, columns, widths))):
            self.write(_lines(self.frame, columns, widths, right))
            return
        out: list[str] = []
        for texts, row in zip(zip(*columns, strict=True), rows, strict=True):
            if not self.wraps or all(map(_fits, texts, widths)):
                out.append(self._row([texts], row, widths, right))
                continue
            parts = [
                [text]
                if value.__class__ is int or value.__class__ is float
                else cell_in_lines(text, width)
                for text, value, width in zip(texts, row, widths, strict=True)
            ]
            height = max(map(len, parts))
            lines = [[part[at] if at < len(part) else "" for part in parts] for at in range(height)]
            out.append(self._row(lines, row, widths, right))
        self.write("".join(out))

    def _row(
        self, lines: Sequence[Sequence[str]], row: Row, widths: Sequence[int], right: Sequence[bool]
    ) -> str:
        made = []
        for texts in lines:
            cells = []
            for text, value, width, at_right in zip(texts, row, widths, right, strict=True):
                shown = padded(text, width, right=at_right)
                if self.paint is not None:
                    if value is None:
                        shown = self.paint("null", shown)
                    elif at_right:
                        shown = self.paint("number", shown)
                cells.append(shown)
            if self.frame is not None:
                made.append(self._joined(cells))
            else:
                made.append("  ".join(cells).rstrip() + "\n")
        return "".join(made)


def _levelled(widths: Sequence[int], room: int, least: Sequence[int]) -> list[int]:
    """Widths that add up to `room`: all that are wider than some cap are cut to it, or to what they need at `least`;
    the others stay."""
    bounded = [0] * len(widths)  # those that need more than the cap
    while True:
        left, cap = room - sum(bounded), 0
        free = [width for width, bound in zip(widths, bounded, strict=True) if not bound]
        for place, width in enumerate(sorted(free)):
            cap = left // (len(free) - place)
            if width > cap:
                break
            left -= width
        found = [
            bound or (need if width > cap and need > cap else 0)
            for width, bound, need in zip(widths, bounded, least, strict=True)
        ]
        if found == bounded:
            break
        bounded = found
    fitted = [bound or min(width, cap) for width, bound in zip(widths, bounded, strict=True)]
    spare = room - sum(fitted)
    for place, width in enumerate(widths):
        if spare and width > fitted[place]:
            fitted[place] += 1
            spare -= 1
    return fitted


def _least_width(name: str, texts: Sequence[str], values: Sequence[object]) -> int:
    """What a column needs to be read: its numbers whole, of its words and of its name's parts the first cells."""
    numbers = [
        len(text)
        for text, value in zip(texts, values, strict=True)
        if value.__class__ is int or value.__class__ is float
    ]
    words = {part for text in texts for part in text.split()}
    words.update(_PARTS.findall(name))
    longest = max(map(width_of, words), default=0)
    return max(max(numbers, default=0), min(longest, READABLE), 1)


_PARTS = re.compile(r"[A-Z]*[^A-Z\W_]+[\W_]*|[A-Z]+[\W_]*|[\W_]+")
"""The parts of a name: `MediaTypeId` has three, `first_name` two, `count(*)` one."""


def name_lines(name: str, width: int) -> list[str]:
    """A column's name in lines of at most `width` cells, broken between its parts where it can be."""
    if width_of(name) <= width:
        return [name]
    lines = [""]
    for part in _PARTS.findall(name):
        rest = part
        if width_of(lines[-1] + rest.rstrip()) > width and lines[-1]:
            lines.append("")
        while width_of(rest.rstrip()) > width:
            head = cut(rest, width + 1)[:-1] or rest[0]
            lines[-1] = head
            lines.append("")
            rest = rest[len(head) :]
        lines[-1] += rest
    return [line.rstrip() for line in lines if line.strip()]


def plan_on_screen(lines: list[str], screen: int | None, *, unicode: bool) -> list[str]:
    """The lines of EXPLAIN, those of a tree fitted to a terminal."""
    if screen and not (lines and lines[0].startswith("def ")):
        lines = [part for line in lines for part in hanging(line, screen)]
    return lines if unicode else [line.translate(_ASCII_BRANCHES) for line in lines]


_ASCII_BRANCHES = str.maketrans("│├└─", "||`-")


def hanging(line: str, width: int) -> list[str]:
    """A line of a drawn tree in lines of at most `width` cells: what goes on stands a little to the right of
    where the text began, and the branches go on beside it."""
    if width_of(line) <= width:
        return [line]
    import textwrap

    text = line.lstrip(" │├└─")
    head = line[: len(line) - len(text)]
    indent = head.replace("├─", "│ ").replace("└─", "  ") + "    "
    if width < 2 * len(indent):
        return [line]
    return textwrap.wrap(
        text, width, initial_indent=head, subsequent_indent=indent, break_on_hyphens=False
    )


def _lines(
    frame: Frame | None,
    columns: Sequence[Sequence[str]],
    widths: Sequence[int],
    right: Sequence[bool],
) -> str:
    """Rows of cells that are a line each.  Where a character is a cell, `%` fills a row's cells up in one call."""
    signs: list[str] = []
    filled: list[Sequence[str]] = []
    for column, width, at_right in zip(columns, widths, right, strict=True):
        if _is_narrow("".join(column)):
            signs.append(f"%{width}s" if at_right else f"%-{width}s")
            filled.append(column)
        else:
            signs.append("%s")
            filled.append([padded(text, width, right=at_right) for text in column])
    bar = None if frame is None else frame.row
    template = "  ".join(signs) if bar is None else f"{bar} {f' {bar} '.join(signs)} {bar}"
    lines: Iterable[str] = map(template.__mod__, zip(*filled, strict=True))
    if frame is None:
        lines = (line.rstrip(" ") for line in lines)
    return "\n".join(lines) + "\n"


def _are_lines(column: Sequence[str], width: int) -> bool:
    """Whether no cell is broken into several lines."""
    joined = "".join(column)
    if "\n" in joined:
        return False
    if _is_narrow(joined):
        return max(map(len, column), default=0) <= width
    return not any(is_wider(text, width) for text in column)


def _fits(text: str, width: int) -> bool:
    return "\n" not in text and not is_wider(text, width)


def _widest(column: Sequence[str]) -> int:
    if not column:
        return 0
    joined = "".join(column)
    if "\n" in joined:
        column = [line for text in column for line in text.split("\n")]
    if _is_narrow(joined):
        return max(map(len, column))
    return max(map(width_of, column))


def _is_numeric(sample: Sequence[Row], place: int) -> bool:
    kinds = {row[place].__class__ for row in sample}
    kinds.discard(type(None))
    return bool(kinds) and kinds <= {int, float}


def cells_of(style: Style, plain: Cells) -> Cells:
    """What makes cells of a column and NULL's text: `plain`, or the literals of SQL."""
    if not style.quotes:
        return plain

    def literals(column: Sequence[Any], null: str) -> Sequence[str]:
        return cell_column(list(literal_column(column)), null)

    return literals


def _batched(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, SAMPLE_ROWS)):
        yield batch


def write_markdown(write: Write, names: Sequence[str], batches: Batches, style: Style) -> None:
    """A GitHub-flavoured table."""
    stream = chain.from_iterable(batches)
    cells = cells_of(style, cell_column)
    sample = list(islice(stream, SAMPLE_ROWS))

    def columns(rows: Sequence[Row]) -> list[Sequence[str]]:
        return [replaced(cells(column, style.null), _MARKDOWN_SIGNS) for column in columns_of(rows)]

    texts = columns(sample) or [[]] * len(names)
    headers = replaced([cell(name) for name in names], _MARKDOWN_SIGNS)
    widths = [
        max(3, width_of(name), _widest(column)) for name, column in zip(headers, texts, strict=True)
    ]
    right = [_is_numeric(sample, place) for place in range(len(names))]

    rule = [
        "-" * (width - 1) + ":" if at_right else "-" * width
        for width, at_right in zip(widths, right, strict=True)
    ]
    heads = _lines(BARS, [[name] for name in headers], widths, right)
    write(heads + f"| {' | '.join(rule)} |\n")
    if sample:
        write(_lines(BARS, texts, widths, right))
    for batch in _batched(stream):
        write(_lines(BARS, columns(batch), widths, right))


_MARKDOWN_SIGNS = (("\\", "\\\\"), ("|", "\\|"))
