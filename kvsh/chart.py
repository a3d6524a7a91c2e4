"""Charts of a query's rows in the terminal: bar, line, hist, spark.

`draw(kind, columns, rows, canvas)` gives the lines of text.  The first column that is not a number names
the bars or the x axis (for a line chart of several columns the first column is x in any case); every other
numeric column is a series.  Works in 80 columns and in ASCII: the canvas says which glyphs may be used.
Buffers what it draws: a bar chart at most `BARS_MAX` rows, the others two numbers a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from wcwidth import wcswidth

BARS_MAX = 200
_LABEL_WIDTH_MAX = 28
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SPARKS = "▁▂▃▄▅▆▇█"
_ASCII_SPARKS = "_.-:=+*#"
_MARKS = "*o+x#@%&"
_SERIES_ROLES = ("chart1", "chart2", "chart3", "chart4", "chart5", "chart6")


class ChartError(ValueError):
    """The rows can't be drawn so: no numbers, no rows, an unknown kind."""


def plain(role: str, text: str) -> str:
    """No colour at all."""
    return text


@dataclass(frozen=True, slots=True)
class Canvas:
    """Size in character cells and means of expression.  `paint(role, text)` colours."""

    width: int = 80
    height: int = 20
    unicode: bool = True
    paint: Callable[[str, str], str] = plain


@dataclass(slots=True)
class Series:
    """One numeric column; `None` where a row has no number."""

    name: str
    values: list[float | None] = field(default_factory=list)

    @property
    def known(self) -> list[float]:
        return [value for value in self.values if value is not None]


KINDS = ("bar", "line", "hist", "spark")
_X_COLUMN = {
    "bar": "if text or several",
    "line": "if several",
    "hist": "if text",
    "spark": "if text",
}


def draw(
    kind: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], canvas: Canvas
) -> list[str]:
    """The chart's lines, none wider than the canvas.  Raises ChartError."""
    if kind not in KINDS:
        raise ChartError(f"no such chart: {kind}; there are {', '.join(KINDS)}")
    data = list(rows)
    if not data:
        raise ChartError("no rows to draw")
    labels, series = split_columns(columns, data, x_column=_X_COLUMN[kind])
    if kind == "bar":
        return bars(labels, series, canvas, title=_title(columns))
    if kind == "line":
        return lines(labels, series, canvas, x_name=columns[0] if len(columns) > 1 else "row")
    if kind == "hist":
        return histogram(series[-1], canvas)
    return sparks(series, canvas)


def split_columns(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, x_column: str
) -> tuple[list[Any], list[Series]]:
    """Labels (or x values) and series; rows are numbered from 1 where nothing labels them.

    `x_column` says when a column is taken for labels: "if text", "if text or several", "if several"."""
    numeric = [
        any(_number(row[i]) is not None for row in rows)
        and all(row[i] is None or _number(row[i]) is not None for row in rows)
        for i in range(len(columns))
    ]
    label_at = next((i for i, is_number in enumerate(numeric) if not is_number), None)
    if len(columns) > 1 and (
        x_column == "if several" or (label_at is None and x_column == "if text or several")
    ):
        label_at = 0
    series = [
        Series(_printable(str(name)), [_number(row[i]) for row in rows])
        for i, name in enumerate(columns)
        if numeric[i] and i != label_at
    ]
    if not series:
        raise ChartError(f"no numeric column to draw among {', '.join(map(str, columns))}")
    labels = (
        [row[label_at] for row in rows] if label_at is not None else list(range(1, len(rows) + 1))
    )
    return labels, series


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _title(columns: Sequence[str]) -> str:
    return (
        " by ".join(_printable(str(name)) for name in reversed(columns))
        if len(columns) == 2
        else ""
    )


# -- numbers and text --------------------------------------------------------------------------------


def nice_step(span: float, count: int) -> float:
    """A step of 1, 2 or 5 times a power of ten that divides `span` into about `count` parts.

    >>> nice_step(100, 5), nice_step(7, 4), nice_step(0.03, 3)
    (20.0, 2.0, 0.01)
    """
    if span <= 0 or not math.isfinite(span):
        return 1.0
    raw = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (1.0, 2.0, 5.0, 10.0):
        if raw <= factor * power * 1.0000001:
            return round(factor * power, 12)
    return 10.0 * power


def short(number: float) -> str:
    """A number in few characters: 1234567 -> `1.23M`, 0.5 -> `0.5`.

    >>> [short(n) for n in (0, 12, 1204, 45_600, 1_234_567, 0.25, -3e9)]
    ['0', '12', '1,204', '45,600', '1.23M', '0.25', '-3G']
    """
    size = abs(number)
    if size >= 1e15 or (0 < size < 1e-4):
        return f"{number:.3g}"
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if size >= limit:
            return f"{number / limit:.3g}{unit}"
    if number == int(number):
        return f"{int(number):,}"
    return f"{number:,.4g}" if size < 1000 else f"{number:,.1f}"


def fit(text: str, width: int) -> str:
    """`text` padded with spaces, or cut, to exactly `width` cells."""
    text = _printable(text)
    size = wcswidth(text)
    if size <= width:
        return text + " " * (width - size)
    while text and wcswidth(text) > width - 1:
        text = text[:-1]
    return text + "~" + " " * (width - 1 - wcswidth(text))


def _label(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value[:8].hex()}'"
    if isinstance(value, float):
        return short(value)
    return _printable(str(value))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


# -- bars --------------------------------------------------------------------------------------------


def bars(
    labels: Sequence[Any], series: Sequence[Series], canvas: Canvas, *, title: str = ""
) -> list[str]:
    """Horizontal bars, one a row and series, with values, a zero line and an axis."""
    dropped = max(0, len(labels) - BARS_MAX)
    texts = [_label(value) for value in labels[:BARS_MAX]]
    label_width = min(max(map(_width, texts), default=1), _LABEL_WIDTH_MAX, canvas.width // 3)
    known = [value for one in series for value in one.values[:BARS_MAX] if value is not None]
    low, high = min(0.0, min(known, default=0.0)), max(0.0, max(known, default=0.0))
    value_width = max((len(short(value)) for value in known), default=1)
    span = max(canvas.width - label_width - value_width - 4, 3)
    scale = _Scale(low, high if high > low else low + 1, span)
    out = [title] if title else []
    out.extend(_legend(series, canvas))
    axis = "│" if canvas.unicode else "|"
    for row, text in enumerate(texts):
        for number, one in enumerate(series):
            value = one.values[row]
            name = fit(text if number == 0 else "", label_width)
            drawn = _bar(value, scale, canvas, _SERIES_ROLES[number % len(_SERIES_ROLES)])
            out.append(f"{name} {axis}{drawn}".rstrip())
    out.extend(_bar_axis(scale, label_width + 1, canvas))
    if dropped:
        out.append(fit(f"({dropped:,} more rows not drawn)", canvas.width).rstrip())
    return out


def _width(text: str) -> int:
    return max(wcswidth(_printable(text)), 0)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Numbers to cells: `low` at cell 0, `high` at cell `cells`."""

    low: float
    high: float
    cells: int

    def at(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low) * self.cells


def _bar(value: float | None, scale: _Scale, canvas: Canvas, role: str) -> str:
    if value is None:
        return " NULL"
    zero, end = scale.at(0.0), scale.at(value)
    if value >= 0:
        lead, size = round(zero), end - zero
    else:
        lead, size = round(end), zero - end
    if canvas.unicode and value >= 0:
        whole, part = divmod(round(size * 8), 8)
        body = "█" * whole + (_EIGHTHS[part] if part else "")
    else:
        body = ("█" if canvas.unicode else "#") * (round(size) or (1 if value else 0))
    if not body and value:
        body = "▏" if canvas.unicode else "#"
    return " " * lead + canvas.paint(role, body) + " " + short(value)


def _bar_axis(scale: _Scale, indent: int, canvas: Canvas) -> list[str]:
    step = nice_step(scale.high - scale.low, max(2, scale.cells // 12))
    first = math.ceil(scale.low / step - 1e-9)
    ticks = [
        (first + i) * step for i in range(40) if (first + i) * step <= scale.high + step * 1e-9
    ]
    rule = ["─" if canvas.unicode else "-"] * (scale.cells + 1)
    text = [" "] * (indent + scale.cells + 14)
    free_from = 0
    for tick in ticks:
        at = round(scale.at(tick))
        rule[at] = ("┴" if at else "└") if canvas.unicode else "+"
        label = short(tick)
        start = max(indent + at - len(label) // 2, 0)
        if start >= free_from and start + len(label) <= canvas.width:
            text[start : start + len(label)] = label
            free_from = start + len(label) + 1
    corner = "└" if canvas.unicode else "+"
    line = corner + "".join(rule[1:])
    return [" " * indent + canvas.paint("frame", line), canvas.paint("dim", "".join(text).rstrip())]


def _legend(series: Sequence[Series], canvas: Canvas) -> list[str]:
    if len(series) < 2:
        return []
    mark = "■" if canvas.unicode else "#"
    parts = [
        canvas.paint(_SERIES_ROLES[i % len(_SERIES_ROLES)], mark) + " " + one.name
        for i, one in enumerate(series)
    ]
    return ["  ".join(parts)]


# -- histogram ---------------------------------------------------------------------------------------


def histogram(series: Series, canvas: Canvas) -> list[str]:
    """How often values fall into ranges of equal, round width; counts as bars."""
    values = series.known
    low, high = min(values), max(values)
    bins = max(4, min(canvas.height - 4, math.ceil(math.log2(len(values)) + 1), 30))
    step = nice_step(high - low, bins) if high > low else 1.0
    whole = all(value == int(value) for value in values)
    if whole:
        step = max(1.0, math.ceil(step))
    start = math.floor(low / step) * step
    count = int((high - start) // step) + 1
    counts = [0] * count
    for value in values:
        counts[min(int((value - start) // step), count - 1)] += 1
    labels = [_range(start + i * step, step, whole=whole) for i in range(count)]
    mean = sum(values) / len(values)
    ordered = sorted(values)
    median = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    facts = f"{len(values):,} values, min {short(low)}, median {short(median)}, mean {short(mean)}, max {short(high)}"
    missing = len(series.values) - len(values)
    if missing:
        facts += f", {missing:,} NULL"
    head = fit(f"{series.name}: {facts}", canvas.width).rstrip()
    return [head, *bars(labels, [Series("count", [float(n) for n in counts])], canvas)]


def _range(low: float, step: float, *, whole: bool) -> str:
    if whole and step == 1:
        return short(low)
    if whole:
        return f"{short(low)}..{short(low + step - 1)}"
    return f"{short(low)}..{short(low + step)}"


# -- lines -------------------------------------------------------------------------------------------


def lines(
    labels: Sequence[Any], series: Sequence[Series], canvas: Canvas, *, x_name: str = ""
) -> list[str]:
    """A line chart: y axis on the left, x below.  Dots of Braille, or letters in ASCII.

    x is to scale where it is numeric, else the rows stand at equal distances in their order."""
    numbers = [_number(value) for value in labels]
    is_scaled = all(number is not None for number in numbers) and len(set(numbers)) > 1
    xs = [float(n or 0.0) for n in numbers] if is_scaled else [float(i) for i in range(len(labels))]
    known = [value for one in series for value in one.known]
    low, high = _nice_bounds(min(known), max(known), canvas.height)
    rows = max(canvas.height - 3, 4)
    ticks = _ticks(low, high, rows)
    margin = max(len(short(tick)) for tick in ticks)
    columns = max(canvas.width - margin - 2, 10)
    grid = _Grid(columns, rows, braille=canvas.unicode)
    span = (max(xs) - min(xs)) or 1.0
    for number, one in enumerate(series):
        points = [
            ((x - min(xs)) / span, (value - low) / (high - low)) if value is not None else None
            for x, value in zip(xs, one.values, strict=True)
        ]
        grid.polyline(points, number)
    out = _legend(series, canvas) or [f"{series[0].name} by {x_name}" if x_name else series[0].name]
    if not canvas.unicode and len(series) > 1:
        out = ["  ".join(f"{_MARKS[i % len(_MARKS)]} {one.name}" for i, one in enumerate(series))]
    by_row = {round((high - tick) / (high - low) * (rows - 1)): short(tick) for tick in ticks}
    side, tee = ("│", "┤") if canvas.unicode else ("|", "+")
    for row in range(rows):
        label = by_row.get(row, "")
        axis = tee if label else side
        out.append(
            f"{label:>{margin}} {canvas.paint('frame', axis)}{grid.row(row, canvas)}".rstrip()
        )
    rule = ("└" + "─" * columns) if canvas.unicode else "+" + "-" * columns
    out.append(" " * (margin + 1) + canvas.paint("frame", rule[: columns + 1]))
    out.append(
        " " * (margin + 2) + canvas.paint("dim", _x_labels(labels, columns, is_scaled=is_scaled))
    )
    return out


def _nice_bounds(low: float, high: float, height: int) -> tuple[float, float]:
    if low == high:
        low, high = low - 1, high + 1
    if 0 < low < (high - low):
        low = 0.0
    step = nice_step(high - low, max(height // 4, 2))
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def _ticks(low: float, high: float, rows: int) -> list[float]:
    step = nice_step(high - low, max(rows // 4, 2))
    count = round((high - low) / step)
    return [low + i * step for i in range(count + 1)]


def _x_labels(labels: Sequence[Any], columns: int, *, is_scaled: bool) -> str:
    """First, middle and last label under their points, as far as they fit."""
    texts = [_label(labels[0]), _label(labels[-1])]
    if is_scaled:
        low, high = min(labels), max(labels)
        texts = [short(low), short(high)]
    width = sum(map(_width, texts)) + 2
    if len(labels) == 1 or width > columns:
        return fit(texts[0], columns).rstrip()
    gap = columns - sum(map(_width, texts))
    middle = _label(labels[len(labels) // 2]) if len(labels) > 2 else ""
    if is_scaled and middle:
        middle = short((min(labels) + max(labels)) / 2)
    if middle and _width(middle) + 4 <= gap:
        left = max(columns // 2 - _width(texts[0]) - _width(middle) // 2, 2)
        left = min(left, gap - _width(middle) - 2)
        right = gap - left - _width(middle)
        return texts[0] + " " * left + middle + " " * right + texts[1]
    return texts[0] + " " * gap + texts[1]


class _Grid:
    """Cells of dots: 2 x 4 dots a cell in Braille, one mark a cell in ASCII."""

    _BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))

    def __init__(self, columns: int, rows: int, *, braille: bool) -> None:
        self.columns, self.rows, self.braille = columns, rows, braille
        self.cells = [[0] * columns for _ in range(rows)]
        self.owner = [[0] * columns for _ in range(rows)]
        self.width = columns * 2 if braille else columns
        self.height = rows * 4 if braille else rows

    def polyline(self, points: Sequence[tuple[float, float] | None], series: int) -> None:
        """Points in the unit square, y upwards, joined; None is a gap."""
        last: tuple[int, int] | None = None
        for point in points:
            if point is None:
                last = None
                continue
            x = round(point[0] * (self.width - 1))
            y = round((1 - point[1]) * (self.height - 1))
            if last is None:
                self._dot(x, y, series)
            else:
                self._segment(*last, x, y, series)
            last = (x, y)

    def _segment(self, x0: int, y0: int, x1: int, y1: int, series: int) -> None:
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(steps + 1):
            self._dot(round(x0 + (x1 - x0) * i / steps), round(y0 + (y1 - y0) * i / steps), series)

    def _dot(self, x: int, y: int, series: int) -> None:
        if self.braille:
            self.cells[y // 4][x // 2] |= self._BITS[y % 4][x % 2]
            self.owner[y // 4][x // 2] = series
        else:
            self.cells[y][x] = 1
            self.owner[y][x] = series

    def row(self, row: int, canvas: Canvas) -> str:
        out, run, run_series = [], "", -1
        for bits, series in zip(self.cells[row], self.owner[row], strict=True):
            if not bits:
                glyph, series = " ", run_series
            else:
                glyph = chr(0x2800 | bits) if self.braille else _MARKS[series % len(_MARKS)]
            if series != run_series and run:
                out.append(_painted(run, run_series, canvas))
                run = ""
            run, run_series = run + glyph, series
        out.append(_painted(run.rstrip(), run_series, canvas))
        return "".join(out)


def _painted(run: str, series: int, canvas: Canvas) -> str:
    if not run.strip():
        return run
    return canvas.paint(_SERIES_ROLES[max(series, 0) % len(_SERIES_ROLES)], run)


# -- sparks ------------------------------------------------------------------------------------------


def sparks(series: Sequence[Series], canvas: Canvas) -> list[str]:
    """One line a series: its course in small blocks, with the least, the greatest and the last value."""
    name_width = min(max(_width(one.name) for one in series), _LABEL_WIDTH_MAX, canvas.width // 3)
    glyphs = _SPARKS if canvas.unicode else _ASCII_SPARKS
    out = []
    for number, one in enumerate(series):
        known = one.known
        if not known:
            continue
        low, high = min(known), max(known)
        facts = f"min {short(low)}  max {short(high)}  last {short(known[-1])}"
        room = canvas.width - name_width - len(facts) - 4
        if room < 8:
            facts, room = "", max(canvas.width - name_width - 2, 1)
        course = "".join(
            " " if value is None else glyphs[_level(value, low, high, len(glyphs))]
            for value in _resample(one.values, room)
        )
        drawn = canvas.paint(_SERIES_ROLES[number % len(_SERIES_ROLES)], course)
        tail = "  " + canvas.paint("dim", facts) if facts else ""
        out.append(f"{fit(one.name, name_width)}  {drawn}{tail}")
    return out


def _level(value: float, low: float, high: float, count: int) -> int:
    if high == low:
        return count // 2
    return min(int((value - low) / (high - low) * count), count - 1)


def _resample(values: Sequence[float | None], room: int) -> list[float | None]:
    """At most `room` values, each the mean of its stretch."""
    if len(values) <= room:
        return list(values)
    out: list[float | None] = []
    for i in range(room):
        stretch = values[i * len(values) // room : (i + 1) * len(values) // room]
        known = [value for value in stretch if value is not None]
        out.append(sum(known) / len(known) if known else None)
    return out
