"""printf() as SQLite has it: https://www.sqlite.org/printf.html.

Widths and precisions of %s, %q and their kin count bytes of UTF-8, and characters with the flag `!`.
Where a count of bytes cuts a character in two, U+FFFD stands for the part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from operator import contains
from typing import Any

from msgspec import Struct

from sql.decimals import (
    DIGITS_MAX,
    DIGITS_MAX_ALTERNATE,
    fixed_digits,
    general_digits,
)
from sql.values import to_integer, to_real, value_to_text

LENGTH_MAX = 1_000_000_000
PRECISION_MAX = 100_000_000
_PLACES_PLAIN = 12
"""Up to so many decimal places a number is written by Python."""

_PLACES = frozenset(str(places) for places in range(1, _PLACES_PLAIN + 1))

_FIELD = re.compile(
    r"""(?P<flags>[-+\ \#!0,]*)
        (?P<width>\*|[1-9][0-9]*)?
        (?:\.(?P<precision>\*|[0-9]*))?
        l{0,2}
        (?P<kind>.?)""",
    re.DOTALL | re.VERBOSE,
)


class Field(Struct):
    """One conversion: its flags, its width (0: none) and its precision (-1: none)."""

    flags: str
    width: int
    precision: int
    kind: str

    @property
    def left(self) -> bool:
        return "-" in self.flags

    @property
    def alternate(self) -> bool:
        return "!" in self.flags

    @property
    def sign(self) -> str:
        """What stands before a number that is not negative: the last of the flags that ask for it."""
        return next((flag for flag in reversed(self.flags) if flag in "+ "), "")


def format_text(form: str, arguments: Sequence[Any]) -> str:
    """`formatted`, with an empty text for None."""
    return formatted(form, arguments) or ""


def formatted(form: str, arguments: Sequence[Any]) -> str | None:
    """The format with its conversions filled in; missing arguments are 0 or NULL.  None if the format holds
    nothing that could give a text: an empty text comes of '%s', none of ''.

    The format ends at a NUL character, and an unknown conversion ends the output; a width of more than
    `LENGTH_MAX` leaves nothing at all."""
    template = _template(form)
    if (
        template is not None
        and len(arguments) == len(template.accepted)
        and all(map(contains, template.accepted, map(type, arguments)))
        and _are_plain(template.decimals, arguments)
    ):
        made = template.text % tuple(arguments)
        if "\0" not in made:
            return made
    form = form.partition("\0")[0]
    values = iter(arguments)
    parts: list[str] = []
    at = 0
    while (found := form.find("%", at)) >= 0:
        if found > at:
            parts.append(form[at:found])
        if found + 1 == len(form):
            return "".join([*parts, "%"])
        match = _FIELD.match(form, found + 1)
        assert match is not None
        at = match.end()
        field = _field(match, values)
        if field is None:
            return None
        convert = _CONVERSIONS.get(field.kind)
        if convert is None:
            return "".join(parts) if parts else None
        parts.append(convert(field, values))
    return "".join([*parts, form[at:]]) if parts else form[at:] or None


class _Template(Struct):
    """A format of Python's own, and for each of its arguments the classes that it takes as SQLite does; `decimals`: places of
    the arguments of %f, each with the power of ten that its last place is one of."""

    text: str
    accepted: list[frozenset[type]]
    decimals: list[tuple[int, float]]


_WHOLE, _SHOWN, _NUMBERS = frozenset([int]), frozenset([int, str]), frozenset([int, float])


@lru_cache(maxsize=256)
def _template(form: str) -> _Template | None:
    """The format as Python's, where it has nothing but plain %d, %s and %.2f; else None."""
    made = _Template("", [], [])
    at = 0
    while (found := form.find("%", at)) >= 0:
        match = _FIELD.match(form, found + 1)
        assert match is not None
        flags, width, kind = match["flags"], match["width"] or "", match["kind"]
        precision = match["precision"]
        is_narrow = len(width) < 4 and width != "*"
        is_plain = precision is None and is_narrow
        if kind in ("d", "i") and is_plain and flags in ("", "0", "-"):
            made.text += f"{form[at:found]}%{flags}{width}d"
            made.accepted.append(_WHOLE)
        elif kind == "s" and is_plain and not flags and not width:
            made.text += f"{form[at:found]}%s"
            made.accepted.append(_SHOWN)
        elif kind == "f" and is_narrow and precision in _PLACES and flags in ("", "0", "-"):
            made.text += f"{form[at:found]}%{flags}{width}.{precision}f"
            made.decimals.append((len(made.accepted), 10.0 ** int(precision)))
            made.accepted.append(_NUMBERS)
        else:
            return None
        at = match.end()
    made.text += form[at:]
    return made if made.accepted and "\0" not in form else None


def _are_plain(decimals: list[tuple[int, float]], arguments: Sequence[Any]) -> bool:
    """Whether Python writes the numbers at some places as SQLite does; not said of 0, which may have a sign."""
    for at, scale in decimals:
        number = arguments[at]
        if not number or not is_far_from_tie(abs(number) * scale):
            return False
    return True


def _field(match: re.Match[str], values: Iterator[Any]) -> Field | None:
    """The conversion with its arguments; None if it would be longer than any text may be."""
    flags, width, precision = match["flags"], 0, -1
    if match["width"] == "*":
        width = c_int(to_integer(next(values, 0)) or 0)
        if width < 0:
            flags += "-"
            width = -width if width >= -0x7FFFFFFF else 0
    elif match["width"]:
        width = int(match["width"]) & 0x7FFFFFFF
    if match["precision"] == "*":
        precision = c_int(to_integer(next(values, 0)) or 0)
        if precision < 0:
            precision = -precision if precision >= -0x7FFFFFFF else -1
    elif match["precision"] is not None:
        precision = int(match["precision"] or 0) & 0x7FFFFFFF
    if width > LENGTH_MAX or (precision > LENGTH_MAX and match["kind"] in "diuxXopr"):
        return None
    return Field(flags, width, precision, match["kind"])


def c_int(value: int) -> int:
    """The low 32 bits, signed."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def _padded(field: Field, text: str) -> str:
    return text.ljust(field.width) if field.left else text.rjust(field.width)


# -- numbers -------------------------------------------------------------------------------------


def _decimal(field: Field, values: Iterator[Any]) -> str:
    number = to_integer(next(values, 0)) or 0
    if field.kind == "u":
        return _integer(field, "", str(number & (1 << 64) - 1), comma="," in field.flags)
    sign = "-" if number < 0 else field.sign
    return _integer(field, sign, str(abs(number)), comma="," in field.flags)


def _ordinal(field: Field, values: Iterator[Any]) -> str:
    """%r: 1st, 2nd, 3rd."""
    number = to_integer(next(values, 0)) or 0
    last = abs(number) % 10
    if last >= 4 or abs(number) // 10 % 10 == 1:
        last = 0
    sign = "-" if number < 0 else field.sign
    return _integer(field, sign, str(abs(number)) + ("th", "st", "nd", "rd")[last])


def _based(field: Field, values: Iterator[Any]) -> str:
    number = (to_integer(next(values, 0)) or 0) & (1 << 64) - 1
    digits = format(number, {"o": "o", "x": "x"}.get(field.kind, "X"))
    prefix = ""
    if "#" in field.flags and number:
        prefix = {"o": "0", "X": "0X"}.get(field.kind, "0x")
    return _integer(field, "", digits, prefix=prefix)


def _integer(field: Field, sign: str, digits: str, *, prefix: str = "", comma: bool = False) -> str:
    least = field.precision
    if "0" in field.flags:
        least = max(least, field.width - len(sign))
    digits = digits.rjust(least, "0")
    return _padded(field, prefix + sign + (_grouped(digits) if comma else digits))


def _grouped(digits: str) -> str:
    head = len(digits) % 3
    parts = [digits[:head]] if head else []
    parts += [digits[at : at + 3] for at in range(head, len(digits), 3)]
    return ",".join(parts)


def _real(field: Field, values: Iterator[Any]) -> str:
    number = to_real(next(values, 0)) or 0.0
    sign = "-" if number < 0 else field.sign
    number = abs(number)
    if number == float("inf"):
        return _padded(field, sign + "Inf")
    text = real_digits(number, field.kind, field.precision, field.flags)
    if "0" in field.flags and not field.left:
        text = text.rjust(field.width - len(sign), "0")
    return _padded(field, sign + text)


def is_far_from_tie(scaled: float) -> bool:
    """Whether a number >= 0, times a power of ten, is rounded by SQLite as it is by Python: it has few digits, and is not
    about a half."""
    return scaled < 1e14 and abs(scaled % 1.0 - 0.5) > scaled * 2e-15 + 1e-9


def real_digits(number: float, kind: str, precision: int, flags: str = "") -> str:
    """A finite number >= 0 by %f, %e, %E, %g or %G; a precision of -1 is 6."""
    alternate = "!" in flags
    places = 6 if precision < 0 else min(precision, PRECISION_MAX)
    is_plain = kind == "f" and 0 < places <= _PLACES_PLAIN and not alternate
    if is_plain and is_far_from_tie(number * 10.0**places):
        return f"{number:.{places}f}"
    count_max = DIGITS_MAX_ALTERNATE if alternate else DIGITS_MAX
    exponential, trims = kind in "eE", alternate
    if kind == "f":
        digits, power = fixed_digits(number, places, count_max)
    else:
        if kind in "gG":
            places = max(places - 1, 0)
        digits, power = general_digits(number, places, count_max)
        if kind in "gG":
            trims = "#" not in flags
            exponential = power < -4 or power > places
            places -= 0 if exponential else power
    point = places > 0 or "#" in flags or alternate
    first = 0 if exponential else power
    whole = "0" if first < 0 else digits[: first + 1].ljust(first + 1, "0")
    rest = "0" * (-first - 1) + digits if first < 0 else digits[first + 1 :]
    text = whole
    if point:
        text += "." + rest[:places].ljust(places, "0")
        if trims:
            text = text.rstrip("0")
            if text.endswith("."):
                text = text + "0" if alternate else text[:-1]
    if exponential:
        text += f"{'e' if kind in 'eg' else 'E'}{'-' if power < 0 else '+'}{abs(power):02}"
    return text


# -- text ----------------------------------------------------------------------------------------


def _argument(values: Iterator[Any]) -> str | None:
    text = value_to_text(next(values, None))
    return None if text is None else text.partition("\0")[0]


def _cut(field: Field, text: str, count: int) -> str:
    """The text's first characters or bytes; all of it if `count` is negative."""
    if count < 0:
        return text
    if field.alternate or text.isascii():
        return text[:count]
    return text.encode("utf-8", "surrogatepass")[:count].decode("utf-8", "replace")


def _filled(field: Field, text: str) -> str:
    """The text padded to the field's width in bytes, or with `!` in characters."""
    if not field.width or field.alternate or text.isascii():
        return _padded(field, text)
    lacking = max(field.width - len(text.encode("utf-8", "surrogatepass")), 0)
    return text + " " * lacking if field.left else " " * lacking + text


def _string(field: Field, values: Iterator[Any]) -> str:
    return _filled(field, _cut(field, _argument(values) or "", field.precision))


def _character(field: Field, values: Iterator[Any]) -> str:
    """%c: the first character, `precision` times; a NUL where there is none."""
    character = (_argument(values) or "")[:1] or "\0"
    return _padded(field, character * max(field.precision, 1))


def _quoted(field: Field, values: Iterator[Any]) -> str:
    """%q, %Q and %w: quote marks doubled."""
    text = _argument(values)
    mark = '"' if field.kind == "w" else "'"
    if text is None:
        text, quoted = "NULL" if field.kind == "Q" else "(NULL)", False
    else:
        quoted = field.kind == "Q"
    text = _cut(field, text, field.precision).replace(mark, mark * 2)
    return _filled(field, f"{mark}{text}{mark}" if quoted else text)


def _percent(field: Field, values: Iterator[Any]) -> str:
    return _padded(field, "%")


def _nothing(field: Field, values: Iterator[Any]) -> str:
    return ""


_CONVERSIONS: dict[str, Callable[[Field, Iterator[Any]], str]] = {
    **dict.fromkeys("diu", _decimal),
    **dict.fromkeys("oxXp", _based),
    **dict.fromkeys("feEgG", _real),
    **dict.fromkeys("sz", _string),
    **dict.fromkeys("qQw", _quoted),
    "r": _ordinal,
    "c": _character,
    "n": _nothing,
    "%": _percent,
}
