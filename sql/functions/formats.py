"""printf() as SQLite has it: https://www.sqlite.org/printf.html."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sql.values import to_integer, to_real, value_to_text

_FIELD = re.compile(r"%([-+ 0#!,]*)(\*|\d+)?(?:\.(\*|\d+)?)?(?:l{0,2})(.?)", re.DOTALL)
WIDTH_MAX = 1_000_000


def format_text(form: str, arguments: Sequence[Any]) -> str:
    """The format with its conversions filled in; missing arguments are 0 or empty."""
    values = iter(arguments)
    parts: list[str] = []
    at = 0
    for match in _FIELD.finditer(form):
        if match.start() < at:
            continue
        parts.append(form[at : match.start()])
        at = match.end()
        made = _converted(match, values)
        if made is None:  # an unknown conversion ends the output
            return "".join(parts)
        parts.append(made)
    parts.append(form[at:])
    return "".join(parts)


def _number(text: str | None, values: Iterator[Any]) -> int | None:
    if text is None:
        return None
    if text == "*":
        return to_integer(next(values, 0)) or 0
    return int(text)


def _converted(match: re.Match[str], values: Iterator[Any]) -> str | None:
    flags, kind = match[1], match[4]
    width = _number(match[2], values)
    precision = _number(match[3], values)
    if precision is None and "." in match[0][: match.end(0) - match.start(0) - 1].replace(kind, ""):
        precision = 0
    left = "-" in flags
    if width is not None and width < 0:
        left, width = True, -width
    width = min(width or 0, WIDTH_MAX)
    if precision is not None:
        precision = min(abs(precision), WIDTH_MAX)
    if kind == "%":
        return "%"
    if kind == "":
        return "%"
    zero = "0" in flags and not left
    if kind in "diu":
        text = _integer(next(values, 0), flags, kind, precision, width if zero else 0)
    elif kind in "xXop":
        text = _based(next(values, 0), flags, kind, precision, width if zero else 0)
    elif kind in "fFeEgG":
        text = _real(next(values, 0), flags, kind, precision, width if zero else 0)
    elif kind in "sz":
        text = value_to_text(next(values, None)) or ""
        text = text if precision is None else text[:precision]
    elif kind == "c":
        text = (value_to_text(next(values, None)) or "")[:1]
        text *= max(precision or 1, 1)
    elif kind in "qQw":
        text = _quoted(next(values, None), kind, precision)
    elif kind == "n":
        return ""
    else:
        return None
    if len(text) < width:
        return text.ljust(width) if left else text.rjust(width)
    return text


def _signed(negative: bool, flags: str) -> str:
    return "-" if negative else "+" if "+" in flags else " " if " " in flags else ""


def _padded(sign: str, digits: str, width: int) -> str:
    return sign + digits.rjust(max(width - len(sign), 0), "0")


def _integer(value: Any, flags: str, kind: str, precision: int | None, width: int) -> str:
    number = to_integer(value) or 0
    if kind == "u":
        number &= (1 << 64) - 1
    digits = str(abs(number)).rjust(precision or 0, "0")
    sign = _signed(number < 0, flags if kind != "u" else "")
    if "," in flags:
        digits = _grouped(digits.rjust(max(width - len(sign), 0), "0") if width else digits)
        return sign + digits
    return _padded(sign, digits, width)


def _grouped(digits: str) -> str:
    head = len(digits) % 3
    parts = [digits[:head]] if head else []
    parts += [digits[at : at + 3] for at in range(head, len(digits), 3)]
    return ",".join(parts)


def _based(value: Any, flags: str, kind: str, precision: int | None, width: int) -> str:
    number = (to_integer(value) or 0) & ((1 << 64) - 1)
    digits = f"{number:o}" if kind == "o" else f"{number:x}"
    if kind in "Xp":
        digits = digits.upper()
    digits = digits.rjust(precision or 0, "0")
    prefix = ""
    if "#" in flags and number:
        prefix = {"o": "0", "x": "0x", "X": "0X", "p": "0x"}[kind]
    return prefix + digits.rjust(max(width - len(prefix), 0), "0")


def _real(value: Any, flags: str, kind: str, precision: int | None, width: int) -> str:
    number = to_real(value) or 0.0
    places = 6 if precision is None else precision
    if number != number:
        return "NaN"
    sign = _signed(number < 0, flags)
    number = abs(number)
    if number == float("inf"):
        return sign + "Inf"
    if kind in "gG":
        digits = _general(number, max(places, 1), flags)
    elif kind in "eE":
        digits = f"{number:.{places}e}"
    else:
        digits = f"{number:.{places}f}"
        if "!" not in flags:
            digits = _significant(number, digits)
    if "#" in flags and "." not in digits:
        digits = _with_point(digits)
    if "!" in flags:
        if "." not in digits:
            digits = (
                _with_point(digits) + "0" if "e" not in digits else digits.replace("e", ".0e", 1)
            )
    if "," in flags and "e" not in digits:
        whole, point, fraction = digits.partition(".")
        digits = _grouped(whole) + point + fraction
    if kind in "EG":
        digits = digits.upper()
    return _padded(sign, digits, width)


def _with_point(digits: str) -> str:
    return digits + "." if "e" not in digits else digits.replace("e", ".e", 1)


def _general(number: float, places: int, flags: str) -> str:
    text = f"{number:#.{places}g}" if "#" in flags else f"{number:.{places}g}"
    return text


def _significant(number: float, digits: str) -> str:
    """SQLite prints 16 significant digits and zeros behind them."""
    whole = digits.split(".", 1)[0]
    if len(whole) + (len(digits) - len(whole) - 1 if "." in digits else 0) <= 16:
        return digits
    exact = f"{number:.15e}"
    mantissa, _, exponent = exact.partition("e")
    figures = mantissa.replace(".", "")
    power = int(exponent)
    places = len(digits.split(".", 1)[1]) if "." in digits else 0
    if power >= 0:
        figures = figures.ljust(power + 1 + places, "0")
        whole, fraction = figures[: power + 1], figures[power + 1 : power + 1 + places]
    else:
        figures = "0" * (-power - 1) + figures
        whole, fraction = "0", figures.ljust(places, "0")[:places]
        if len(figures) > places:
            return digits
    return f"{whole}.{fraction}" if places else whole


def _quoted(value: Any, kind: str, precision: int | None) -> str:
    if value is None:
        return "NULL" if kind == "Q" else "(NULL)"
    text = value_to_text(value) or ""
    if precision is not None:
        text = text[:precision]
    if kind == "w":
        return text.replace('"', '""')
    text = text.replace("'", "''")
    return f"'{text}'" if kind == "Q" else text
