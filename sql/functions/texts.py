"""SQLite's functions on text and blobs, and those that choose among values.

https://www.sqlite.org/lang_corefunc.html
"""

from __future__ import annotations

from typing import Any

from sql.errors import SqlError, TooBigError
from sql.expressions import BLOB, INTEGER, NULL, TEXT
from sql.functions.formats import c_int, format_text, formatted
from sql.functions.registry import AnyFunction, Function, strict
from sql.values import (
    compare,
    real_to_text,
    to_integer,
    value_to_text,
)

LENGTH_MAX = 1_000_000_000
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_SOUNDS = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "01230120022455012623010202", strict=True))
_UPPER = {lower: lower - 32 for lower in range(ord("a"), ord("z") + 1)}


def _text(value: Any) -> str:
    return value if value.__class__ is str else value_to_text(value) or ""


def length(value: Any) -> Any:
    if value.__class__ is str:
        end = value.find("\0")
        return len(value) if end < 0 else end
    if value.__class__ is bytes:
        return len(value)
    return len(_text(value))


def lower(value: Any) -> Any:
    text = _text(value)
    return text.lower() if text.isascii() else text.translate(_LOWER)


def upper(value: Any) -> Any:
    text = _text(value)
    return text.upper() if text.isascii() else text.translate(_UPPER)


def substr(value: Any, start: Any, size: Any = None) -> Any:
    """Characters (of a blob: bytes) from `start`, counted from 1, or from the end if negative."""
    source = value if value.__class__ is bytes else _text(value).partition("\0")[0]
    if source == b"":
        return None
    first = c_int(to_integer(start) or 0)
    count = None if size is None else c_int(to_integer(size) or 0)
    total = len(source)
    back = count is not None and count < 0
    wanted = LENGTH_MAX if count is None else abs(count)
    if first < 0:
        first += total
        if first < 0:
            wanted = max(wanted + first, 0)
            first = 0
    elif first > 0:
        first -= 1
    elif wanted > 0 and not back:
        wanted -= 1
    if back:
        first -= wanted
        if first < 0:
            wanted += first
            first = 0
    if first < 0 or wanted <= 0:
        return source[:0]
    return source[first : first + wanted]


def instr(haystack: Any, needle: Any) -> Any:
    if haystack.__class__ is bytes and needle.__class__ is bytes:
        return haystack.find(needle) + 1
    return _text(haystack).find(_text(needle)) + 1


def replace(value: Any, old: Any, new: Any) -> Any:
    """Nothing to replace leaves the value as it is, whatever `new` is.  TooBigError."""
    if value is None or old is None:
        return None
    pattern = _text(old)
    if not pattern or pattern[0] == "\0":
        return _text(value) if value.__class__ is bytes else value
    if new is None:
        return None
    text, other = _text(value), _text(new)
    more = len(other) - len(pattern)
    if len(text) * more > LENGTH_MAX and len(text) + text.count(pattern) * more > LENGTH_MAX:
        raise TooBigError
    return text.replace(pattern, other)


def _trimmed(value: Any, characters: Any, *, left: bool, right: bool) -> str:
    text, chars = _text(value), _text(characters).partition("\0")[0]
    if left:
        text = text.lstrip(chars) if chars else text
    if right:
        text = text.rstrip(chars) if chars else text
    return text


def trim(value: Any, characters: Any = " ") -> Any:
    return _trimmed(value, characters, left=True, right=True)


def ltrim(value: Any, characters: Any = " ") -> Any:
    return _trimmed(value, characters, left=True, right=False)


def rtrim(value: Any, characters: Any = " ") -> Any:
    return _trimmed(value, characters, left=False, right=True)


def hex_(value: Any) -> Any:
    if value is None:
        return ""
    data = value if value.__class__ is bytes else _text(value).encode("utf-8", "surrogatepass")
    return data.hex().upper()


def quote(value: Any) -> Any:
    """The value as an SQL literal."""
    if value is None:
        return "NULL"
    if value.__class__ is int:
        return str(value)
    if value.__class__ is float:
        return _quoted_real(value)
    if value.__class__ is bytes:
        return f"X'{value.hex().upper()}'"
    text = str(value)
    end = text.find("\0")
    return "'" + (text if end < 0 else text[:end]).replace("'", "''") + "'"


def _quoted_real(value: float) -> str:
    """Fifteen digits if they are enough to read the same value again, else 21."""
    text = real_to_text(value)
    return text if float(text) == value else format_text("%!.20e", [value])


def char(*codes: Any) -> Any:
    made = []
    for code in codes:
        number = to_integer(code) or 0
        if not 0 <= number <= 0x10FFFF or 0xD800 <= number <= 0xDFFF:
            number = 0xFFFD
        made.append(chr(number))
    return "".join(made)


def unicode_(value: Any) -> Any:
    text = _text(value)
    return ord(text[0]) or None if text else None


def soundex(value: Any) -> Any:
    """The Soundex code of the text.  What is no letter ends a run of equal sounds, as a vowel does; as in SQLite
    the bytes of letters beyond ASCII count as what their lower seven bits are."""
    data = (
        b"" if value is None else _text(value).partition("\0")[0].encode("utf-8", "surrogatepass")
    )
    start = next(
        (place for place, byte in enumerate(data) if byte < 128 and chr(byte).isalpha()), None
    )
    if start is None:
        return "?000"
    code = chr(data[start]).upper()
    latest = _SOUNDS[code]
    for byte in data[start + 1 :]:
        sound = _SOUNDS.get(chr(byte & 127).upper(), "0")
        if sound not in ("0", latest):
            code += sound
            if len(code) == 4:
                break
        latest = sound
    return code.ljust(4, "0")


def typeof(value: Any) -> Any:
    if value is None:
        return "null"
    kind = value.__class__
    if kind is int:
        return "integer"
    if kind is float:
        return "real"
    return "blob" if kind is bytes else "text"


def zeroblob(size: Any) -> Any:
    count = max(to_integer(size) or 0, 0)
    if count > LENGTH_MAX:
        raise TooBigError
    return bytes(count)


def coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def nullif(left: Any, right: Any) -> Any:
    return None if left is not None and right is not None and compare(left, right) == 0 else left


def iif(condition: Any, then: Any, otherwise: Any) -> Any:
    from sql.values import truth

    return then if truth(condition) else otherwise


def _extreme(largest: bool, values: tuple[Any, ...]) -> Any:
    best = values[0]
    for value in values:
        if value is None:
            return None
        order = compare(value, best)
        if order > 0 if largest else order < 0:
            best = value
    return best


def least(*values: Any) -> Any:
    return _extreme(False, values)


def greatest(*values: Any) -> Any:
    return _extreme(True, values)


def itself(value: Any, *_: Any) -> Any:
    return value


def like(pattern: Any, value: Any, *escape: Any) -> Any:
    """The operator LIKE as a function; blobs match nothing."""
    from sql.compile.patterns import like as matches

    if bytes in (pattern.__class__, value.__class__):
        return 0
    if escape and escape[0] is not None and len(_text(escape[0])) != 1:
        raise SqlError("ESCAPE expression must be a single character")
    value, pattern = _c_text(value), _c_text(pattern)
    return matches(value, pattern, *escape, *([True] if escape else []))


def _c_text(value: Any) -> Any:
    """The value as text that ends at the first NUL character; NULL stays NULL."""
    return None if value is None else _text(value).partition("\0")[0]


def glob(pattern: Any, value: Any) -> Any:
    """The operator GLOB as a function; blobs match nothing."""
    from sql.compile.patterns import glob as matches

    if bytes in (pattern.__class__, value.__class__):
        return 0
    return matches(_c_text(value), _c_text(pattern))


def printf(form: Any = None, *arguments: Any) -> Any:
    """The format filled in; NULL if it is empty."""
    return None if form is None else formatted(_text(form), arguments)


FUNCTIONS: tuple[AnyFunction, ...] = (
    strict("length", length, 1, 1, INTEGER),
    strict("lower", lower, 1, 1, TEXT),
    strict("upper", upper, 1, 1, TEXT),
    strict("substr", substr, 2, 3),
    strict("substring", substr, 2, 3),
    strict("instr", instr, 2, 2, INTEGER),
    Function("replace", replace, 3, 3),
    strict("trim", trim, 1, 2, TEXT),
    strict("ltrim", ltrim, 1, 2, TEXT),
    strict("rtrim", rtrim, 1, 2, TEXT),
    Function("hex", hex_, 1, 1, kinds=TEXT),
    Function("quote", quote, 1, 1, kinds=TEXT),
    Function("char", char, 0, None, kinds=TEXT),
    strict("unicode", unicode_, 1, 1, INTEGER),
    Function("soundex", soundex, 1, 1, kinds=TEXT),
    Function("typeof", typeof, 1, 1, kinds=TEXT),
    Function("zeroblob", zeroblob, 1, 1, kinds=BLOB),
    Function("coalesce", coalesce, 2, None),
    Function("ifnull", coalesce, 2, 2),
    Function("nullif", nullif, 2, 2),
    Function("iif", iif, 3, 3),
    Function("min", least, 2, None),
    Function("max", greatest, 2, None),
    Function("likely", itself, 1, 1),
    Function("unlikely", itself, 1, 1),
    Function("likelihood", itself, 2, 2),
    Function("like", like, 2, 3, kinds=NULL | INTEGER),
    Function("glob", glob, 2, 2, kinds=NULL | INTEGER),
    Function("printf", printf, 0, None, kinds=NULL | TEXT),
    Function("format", printf, 0, None, kinds=NULL | TEXT),
)
