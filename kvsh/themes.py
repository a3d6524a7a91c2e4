"""Colours: themes as tables of role -> style, and the painting of text with escape sequences.

A style is a blank-separated list: a colour (`#rrggbb`, or one of the terminal's sixteen as `ansired`,
`ansibrightblue`), `bg:COLOUR`, and `bold`, `dim`, `italic`, `underline`, `reverse`: prompt_toolkit's
notation, so one table serves the editor and what is printed.  True colours fall back to the nearest of 256.

`auto` takes the terminal's own sixteen colours, which its user has chosen to be legible on its background.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TextIO

MONOCHROME, SIXTEEN, INDEXED, TRUE_COLOUR = 0, 16, 256, 1 << 24

_HUES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "gray")
_ANSI = [
    *("ansi" + hue for hue in _HUES),
    *("ansibright" + hue for hue in _HUES[:-1]),
    "ansiwhite",
]
_ATTRIBUTES = {"bold": "1", "dim": "2", "italic": "3", "underline": "4", "reverse": "7"}


@dataclass(frozen=True, slots=True)
class Theme:
    """Role -> style.  Roles that a theme leaves out are painted plainly."""

    name: str
    styles: Mapping[str, str]


_PLAIN_TERMINAL = {
    "keyword": "bold ansiblue",
    "function": "ansicyan",
    "string": "ansigreen",
    "number": "ansimagenta",
    "comment": "italic ansibrightblack",
    "parameter": "ansiyellow",
    "command": "bold ansimagenta",
    "option": "ansiyellow",
    "key": "ansicyan",
    "value": "ansigreen",
    "name": "",
    "operator": "",
    "error": "bold ansired",
    "warning": "ansiyellow",
    "good": "ansigreen",
    "bad": "ansired",
    "dim": "ansibrightblack",
    "frame": "ansibrightblack",
    "header": "bold",
    "title": "bold",
    "null": "italic ansibrightblack",
    "prompt": "bold ansigreen",
    "prompt.transaction": "bold ansiyellow",
    "prompt.continuation": "ansibrightblack",
    "toolbar": "",
    "toolbar.key": "bold",
    "toolbar.warning": "bold ansiyellow",
    "suggestion": "ansibrightblack",
    "page.branch": "ansiblue",
    "page.leaf": "ansigreen",
    "page.fill": "ansicyan",
    "chart1": "ansicyan",
    "chart2": "ansimagenta",
    "chart3": "ansiyellow",
    "chart4": "ansigreen",
    "chart5": "ansired",
    "chart6": "ansiblue",
}

THEMES: dict[str, Theme] = {
    "auto": Theme("auto", _PLAIN_TERMINAL),
    "dark": Theme(
        "dark",
        {
            **_PLAIN_TERMINAL,
            "keyword": "bold #7aa2f7",
            "function": "#7dcfff",
            "string": "#9ece6a",
            "number": "#ff9e64",
            "comment": "italic #6b7394",
            "parameter": "#e0af68",
            "command": "bold #bb9af7",
            "option": "#e0af68",
            "key": "#7dcfff",
            "value": "#9ece6a",
            "error": "bold #f7768e",
            "warning": "#e0af68",
            "good": "#9ece6a",
            "bad": "#f7768e",
            "dim": "#7982a9",
            "frame": "#565f89",
            "null": "italic #6b7394",
            "prompt": "bold #9ece6a",
            "prompt.transaction": "bold #e0af68",
            "prompt.continuation": "#565f89",
            "suggestion": "#565f89",
            "page.branch": "#7aa2f7",
            "page.leaf": "#9ece6a",
            "page.fill": "#7dcfff",
            "chart1": "#7dcfff",
            "chart2": "#bb9af7",
            "chart3": "#e0af68",
            "chart4": "#9ece6a",
            "chart5": "#f7768e",
            "chart6": "#7aa2f7",
        },
    ),
    "light": Theme(
        "light",
        {
            **_PLAIN_TERMINAL,
            "keyword": "bold #1e4fb8",
            "function": "#00677f",
            "string": "#37700f",
            "number": "#a34700",
            "comment": "italic #6a6f7d",
            "parameter": "#7f5a00",
            "command": "bold #7b30b0",
            "option": "#7f5a00",
            "key": "#00677f",
            "value": "#37700f",
            "error": "bold #b3122e",
            "warning": "#7f5a00",
            "good": "#37700f",
            "bad": "#b3122e",
            "dim": "#5f6470",
            "frame": "#8a8f9c",
            "null": "italic #6a6f7d",
            "prompt": "bold #37700f",
            "prompt.transaction": "bold #a34700",
            "prompt.continuation": "#8a8f9c",
            "suggestion": "#8a8f9c",
            "page.branch": "#1e4fb8",
            "page.leaf": "#37700f",
            "page.fill": "#00677f",
            "chart1": "#00677f",
            "chart2": "#7b30b0",
            "chart3": "#7f5a00",
            "chart4": "#37700f",
            "chart5": "#b3122e",
            "chart6": "#1e4fb8",
        },
    ),
    "mono": Theme(
        "mono",
        {
            "keyword": "bold",
            "command": "bold",
            "comment": "dim",
            "header": "bold",
            "title": "bold",
            "error": "bold",
            "prompt": "bold",
            "prompt.transaction": "bold underline",
            "toolbar": "reverse",
            "suggestion": "dim",
            "dim": "dim",
        },
    ),
}


class ThemeError(ValueError):
    """No such theme, role or style; the message names the nearest."""


def make_theme(name: str, base: str, changes: Mapping[str, str]) -> Theme:
    """A theme of the user's: `base` with some roles changed.  Raises ThemeError for an unknown role or style."""
    if base not in THEMES:
        raise ThemeError(f"no such theme: {base}{nearest(base, THEMES)}")
    for role, style in changes.items():
        if role not in _PLAIN_TERMINAL:
            raise ThemeError(f"theme {name}: no such role: {role}{nearest(role, _PLAIN_TERMINAL)}")
        sgr(style, TRUE_COLOUR)
    return Theme(name, {**THEMES[base].styles, **changes})


def nearest(name: str, names: Mapping[str, object] | list[str]) -> str:
    """`; did you mean X?` for the nearest of the names, or "".

    Who mistypes a word seldom misses its first letter: a name with another one has to be nearer."""
    wanted = name.lower().lstrip(_MARKS)
    by_word = {known.lower().lstrip(_MARKS): known for known in reversed(list(names))}
    near = get_close_matches(wanted, by_word, n=3, cutoff=0.6)
    alike = [word for word in near if word[:1] == wanted[:1]]
    alike = alike or get_close_matches(wanted, by_word, n=1, cutoff=0.75)
    return f"; did you mean {by_word[alike[0]]}?" if alike else ""


_MARKS = ".-\\"
"""What commands and options begin with."""


def colour_depth(stream: TextIO, environ: Mapping[str, str] | None = None) -> int:
    """How many colours may be sent to `stream`: none where it is no terminal, dumb, or NO_COLOR is set.

    https://no-color.org: any value that is not empty counts."""
    env = os.environ if environ is None else environ
    terminal = env.get("TERM", "")
    if env.get("NO_COLOR") or terminal in ("dumb", "unknown") or not stream.isatty():
        return MONOCHROME
    if env.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return TRUE_COLOUR
    return INDEXED if "256" in terminal else SIXTEEN


def sgr(style: str, depth: int) -> str:
    """The escape sequence that turns a style on, "" if it is plain.  Raises ThemeError for an unknown word.

    >>> sgr("bold ansired", SIXTEEN), sgr("#ff0000", INDEXED), sgr("bold", MONOCHROME)
    ('\\x1b[1;31m', '\\x1b[38;5;196m', '')
    """
    codes: list[str] = []
    for word in style.split():
        if word in _ATTRIBUTES:
            codes.append(_ATTRIBUTES[word])
            continue
        is_background = word.startswith("bg:")
        codes.extend(
            _colour_codes(word.removeprefix("bg:").removeprefix("fg:"), depth, is_background)
        )
    if depth == MONOCHROME or not codes:
        return ""
    return f"\x1b[{';'.join(codes)}m"


def _colour_codes(colour: str, depth: int, is_background: bool) -> list[str]:
    if colour in _ANSI:
        number = _ANSI.index(colour)
        base = 30 + number if number < 8 else 90 + number - 8
        return [str(base + (10 if is_background else 0))]
    digits = colour[1:] if colour.startswith("#") else ""
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    try:
        if len(digits) != 6:
            raise ValueError
        red, green, blue = (int(digits[i : i + 2], 16) for i in (0, 2, 4))
    except ValueError:
        raise ThemeError(
            f"no such style: {colour}{nearest(colour, [*_ANSI, *_ATTRIBUTES])}"
        ) from None
    start = "48" if is_background else "38"
    if depth >= TRUE_COLOUR:
        return [start, "2", str(red), str(green), str(blue)]
    if depth >= INDEXED:
        return [start, "5", str(_indexed(red, green, blue))]
    return []  # sixteen colours can't come near: better plain than wrong


def _indexed(red: int, green: int, blue: int) -> int:
    """The nearest colour of the 6 x 6 x 6 cube, or of the grey ramp.

    >>> _indexed(255, 0, 0), _indexed(128, 128, 128)
    (196, 244)
    """
    levels = (0, 95, 135, 175, 215, 255)
    near = [min(range(6), key=lambda i, c=c: abs(levels[i] - c)) for c in (red, green, blue)]  # type: ignore[misc]
    cube = 16 + 36 * near[0] + 6 * near[1] + near[2]
    grey = min(23, max(0, round(((red + green + blue) / 3 - 8) / 10)))

    def distance(r: int, g: int, b: int) -> int:
        return (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2

    shade = 8 + 10 * grey
    if distance(shade, shade, shade) < distance(*(levels[i] for i in near)):
        return 232 + grey
    return cube


class Painter:
    """Paints text by role; `Painter(None)` leaves it plain."""

    def __init__(self, theme: Theme | None, depth: int = MONOCHROME) -> None:
        self.theme = theme
        self.depth = depth if theme is not None else MONOCHROME
        self._codes: dict[str, str] = {}
        if theme is not None and depth != MONOCHROME:
            self._codes = {role: sgr(style, depth) for role, style in theme.styles.items()}

    def __call__(self, role: str, text: str) -> str:
        code = self._codes.get(role)
        return f"{code}{text}\x1b[0m" if code and text else text

    def __bool__(self) -> bool:
        return bool(self._codes)
