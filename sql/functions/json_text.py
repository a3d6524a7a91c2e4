"""JSON text read into nodes, nodes written as JSON text, and SQL values to and from both.

Nodes keep what the text spelled, so that `1.50` and `"\\u0041"` come out as they went in:

    null, true, false    None, True, False
    a number             `Whole` or `Real`, its digits
    a string             str: what stands between the quotes, escapes and all
    an array             list of nodes
    an object            `Members`: (label, node) pairs in their order, doubles included

Reading is the standard library's scanner in C, with escapes doubled so that it leaves them alone.
SQLite 3.40's JSON is strict RFC 8259, and so is this.  Limitation: documents nested some 900 levels deep
(where Python's stack ends; SQLite allows 2000) count as malformed.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, NoReturn

from sql.errors import SqlError
from sql.values import INT_MAX, INT_MIN, bytes_to_text, real_to_text, value_to_text

CACHED_LENGTH_MAX = 1 << 16
"""Characters of a document that is worth keeping for the next call."""


class JsonText(str):
    """Text that a JSON function made: as another's argument it is JSON, and not a string.

    Expressions turn it into plain text everywhere else; no row ever holds one."""

    __slots__ = ()


class Whole(str):
    """A JSON number without point and exponent."""

    __slots__ = ()


class Real(str):
    """A JSON number with a point or an exponent."""

    __slots__ = ()


class Members(list[Any]):
    """A JSON object: (label, node) pairs; labels as they are spelled, without quotes."""

    __slots__ = ()


class NewLabel(str):
    """A label that a path gave: the text itself, still to be escaped."""

    __slots__ = ()


class Given:
    """A node that an SQL value has taken the place of; paths don't lead into it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


REMOVED = Given(None)
"""In the place of a removed element or member."""

_ESCAPE = re.compile(r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})?')
_BLANKS = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\n\r]+')
_UNESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_SPECIAL = re.compile(r'["\\\x00-\x1f]')
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LONG = {'"': '\\"', "\\": "\\\\", **{char: f"\\{name}" for name, char in _SHORT.items()}}


# -- reading -------------------------------------------------------------------------------------


def text_of(value: Any) -> str | None:
    """An argument as text, which ends at the first NUL character; None for NULL."""
    if value is None:
        return None
    if value.__class__ is bytes:
        value = bytes_to_text(value)
    elif not isinstance(value, str):
        value = value_to_text(value)
    return value if "\0" not in value else str(value.partition("\0")[0])


def parse(text: str) -> Any:
    """The document's nodes, the caller's own.  SqlError("malformed JSON") if it is none."""
    if "\\" in text:
        text = _ESCAPE.sub(_doubled, text)
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise SqlError("malformed JSON") from None


@lru_cache(maxsize=16)
def _kept(text: str) -> Any:
    return parse(text)


def parse_to_read(text: str) -> Any:
    """Like `parse`, but others hold the nodes too: they must not be changed."""
    return _kept(text) if len(text) <= CACHED_LENGTH_MAX else parse(text)


def is_valid(text: str) -> bool:
    try:
        _PLAIN_DECODER.decode(_ESCAPE.sub(_doubled, text) if "\\" in text else text)
    except (ValueError, RecursionError, SqlError):
        return False
    return True


def _doubled(match: re.Match[str]) -> str:
    """An escape sequence as the scanner must see it in order to give it back untouched."""
    escape = match[1]
    if escape is None:
        raise SqlError("malformed JSON")
    return "\\\\" + (f"\\{escape}" if escape in '"\\' else escape)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity, which Python would read


_DECODER = json.JSONDecoder(
    object_pairs_hook=Members, parse_int=Whole, parse_float=Real, parse_constant=_refuse
)
_PLAIN_DECODER = json.JSONDecoder(
    object_pairs_hook=bool, parse_int=bool, parse_float=bool, parse_constant=_refuse
)


# -- writing -------------------------------------------------------------------------------------


def minify(text: str) -> JsonText:
    """Valid JSON without the blanks between its tokens."""
    return JsonText(_BLANKS.sub(lambda match: match[1] or "", text))


def escape(text: str) -> str:
    """The text as it stands between the quotes of a JSON string."""
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(lambda match: _LONG.get(match[0]) or f"\\u{ord(match[0]):04x}", text)


def render(node: Any) -> JsonText:
    """The node as JSON text, removed parts left out."""
    parts: list[str] = []
    pending = [node]  # nodes, and `_Verbatim` text, last first
    while pending:
        node = pending.pop()
        kind = node.__class__
        if kind is _Verbatim or kind is Whole or kind is Real:
            parts.append(node)
        elif kind is str:
            parts.append(f'"{node}"')
        elif kind is list:
            pending += _array_parts(node)
        elif kind is Members:
            pending += _object_parts(node)
        elif kind is Given:
            parts.append(json_of(node.value))
        else:
            parts.append(_CONSTANTS[node])
    return JsonText("".join(parts))


class _Verbatim(str):
    __slots__ = ()


_COMMA, _CLOSE_ARRAY, _CLOSE_OBJECT = _Verbatim(","), _Verbatim("]"), _Verbatim("}")
_CONSTANTS = {None: "null", True: "true", False: "false"}


def _array_parts(items: list[Any]) -> list[Any]:
    """What an array is written as, last first."""
    parts: list[Any] = [_CLOSE_ARRAY]
    for item in reversed(items):
        if item is not REMOVED:
            parts += (item, _COMMA)
    parts[-1 if len(parts) > 1 else 1 :] = [_Verbatim("[")]
    return parts


def _object_parts(members: Members) -> list[Any]:
    parts: list[Any] = [_CLOSE_OBJECT]
    for label, item in reversed(members):
        if item is not REMOVED:
            spelled = escape(label) if label.__class__ is NewLabel else label
            parts += (item, _Verbatim(f'"{spelled}":'), _COMMA)
    parts[-1 if len(parts) > 1 else 1 :] = [_Verbatim("{")]
    return parts


def json_of(value: Any) -> str:
    """An SQL value as JSON text.  SqlError for a blob."""
    kind = value.__class__
    if kind is int:
        return str(value)
    if kind is str:
        return f'"{escape(value)}"'
    if kind is float:
        return real_to_text(value)
    if value is None:
        return "null"
    if kind is bytes:
        raise SqlError("JSON cannot hold BLOB values")
    return str(value)  # JSON already


def sql_of(node: Any) -> Any:
    """The node as an SQL value: arrays and objects as `JsonText`."""
    kind = node.__class__
    if kind is str:
        return unescape(node) if "\\" in node else node
    if kind is Whole:
        whole = int(node) if len(node) < 25 else INT_MAX + 1
        return whole if INT_MIN <= whole <= INT_MAX else float(node)
    if kind is Real:
        return float(node)
    if kind is bool:
        return int(node)
    return None if node is None else render(node)


def type_of(node: Any) -> str:
    """The node's type as json_type() names it."""
    if node.__class__ is bool:
        return "true" if node else "false"
    return _TYPES[node.__class__]


_TYPES = {
    type(None): "null",
    Whole: "integer",
    Real: "real",
    str: "text",
    list: "array",
    Members: "object",
}


def unescape(raw: str) -> str:
    """The text that a JSON string stands for; it ends at an escaped NUL.

    Halves of surrogate pairs that stand alone become U+FFFD."""
    text = _UNESCAPED.sub(_character, raw)
    if "\\u" in raw:
        text = text.partition("\0")[0]
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _character(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    return _SHORT.get(match[2], match[2])
