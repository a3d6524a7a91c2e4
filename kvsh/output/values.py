"""Values as text, per output mode."""

from __future__ import annotations

import json
import re
from typing import Any

from sql.values import real_to_text

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NAMES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def plain(value: Any, null: str = "") -> str:
    """The value as list, csv and the like print it."""
    kind = value.__class__
    if kind is str:
        return value  # type: ignore[no-any-return]
    if value is None:
        return null
    if kind is float:
        return real_to_text(value)
    if kind is bytes:
        try:
            return value.decode()  # type: ignore[no-any-return]
        except UnicodeDecodeError:
            return literal(value)
    return str(value)


def cell(value: Any, null: str = "") -> str:
    """The value as a cell of a drawn table: control characters escaped, blobs in hex."""
    kind = value.__class__
    if kind is str:
        return _CONTROL.sub(_escaped, value) if not value.isprintable() else value
    if kind is bytes:
        return literal(value)
    return plain(value, null)


def _escaped(match: re.Match[str]) -> str:
    return _NAMES.get(match[0], f"\\x{ord(match[0]):02x}")


def literal(value: Any) -> str:
    """The value as an SQL literal."""
    kind = value.__class__
    if value is None:
        return "NULL"
    if kind is str:
        return "'" + value.replace("'", "''") + "'"
    if kind is bytes:
        return f"X'{value.hex()}'"
    if kind is float:
        if value in (float("inf"), float("-inf")):
            return "9e999" if value > 0 else "-9e999"
        return repr(value)
    return str(value)


def json_value(value: Any) -> Any:
    """The value as JSON can say it: blobs are text if they can be, else hex."""
    if value.__class__ is bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    if value.__class__ is float and value - value != 0:
        return "Infinity" if value > 0 else "-Infinity"
    return value


def to_json(value: Any) -> str:
    return json.dumps(json_value(value), ensure_ascii=False)


def name_literal(name: str) -> str:
    """An identifier, quoted if it has to be."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return name
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
