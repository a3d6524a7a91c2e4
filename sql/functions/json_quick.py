"""Values at one path of many documents, which are read without being taken apart.

    read = reader("$.pos.x")
    read('{"id": 7, "pos": {"x": 3, "y": 4}}')        3

msgspec reads a document strictly by RFC 8259, as the long way does, and makes objects of nothing but what stands at the
path: it takes a fifth of the time.  What it would see otherwise than the long way is left to that: labels that
are there twice (of which the first counts), escapes, and values that are arrays or objects, whose spelling counts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from sql.errors import SqlError
from sql.functions.json_paths import steps_of
from sql.functions.json_text import minify
from sql.values import INT_MAX, INT_MIN

UNKNOWN = object()
"""Of a document that only the long way can read."""
Child = tuple[Any, Any, str, Any]


@lru_cache(maxsize=64)
def reader(path: str) -> Callable[[Any], Any] | None:
    """What gives the SQL value at the path in a document, NULL where there is nothing, or `UNKNOWN`; None for a path
    that is no chain of members, perhaps with elements behind them."""
    way = _way(path)
    if way is None or not way[0]:
        return None
    names, elements = way
    inside = _member(names, Any)

    def read(document: Any) -> Any:
        value = inside(document)
        for number in elements if value is not UNKNOWN else ():
            if value.__class__ is not list or number >= len(value):
                return None
            value = value[number]
        return _plain(value)

    return read


def _way(path: str) -> tuple[list[str], list[int]] | None:
    """The members and the elements that a path leads through, in this order; None of any other path."""
    try:
        steps = steps_of(path)
    except SqlError:
        return None
    names = [step.name for step in steps if step.name]
    elements = [step.number for step in steps[len(names) :]]
    if any(step.bad is not None or step.backward for step in steps):
        return None
    if any(step.name is not None for step in steps[len(names) :]):
        return None  # a member behind an element, or an empty name
    if any(not name.isprintable() or '"' in name or "\\" in name for name in names):
        return None
    return names, elements


def _member(names: list[str], kind: Any) -> Callable[[Any], Any]:
    """What gives a document's member within members, as an object of a kind of msgspec's, None where there is none;
    `UNKNOWN` where it may be there twice."""
    inside = kind
    for name in reversed(names):
        member = ("value", inside, msgspec.field(name=name, default=None))
        inside = msgspec.defstruct("_Inside", [member], gc=False) | None
    decode = msgspec.json.Decoder(inside).decode
    labels = [f'"{name}"' for name in names]

    def member_of(document: Any) -> Any:
        if document.__class__ is not str or "\\" in document:
            return UNKNOWN
        for label in labels:
            if document.count(label) > 1:
                return UNKNOWN
        try:
            value = decode(document)
            for _ in labels:
                if value is None:
                    return None
                value = value.value
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return UNKNOWN
        return value

    return member_of


def _plain(value: Any) -> Any:
    """An SQL value; `UNKNOWN` for an array or an object."""
    kind = value.__class__
    if kind is str or kind is float or value is None:
        return value
    if kind is int:
        return value if INT_MIN <= value <= INT_MAX else float(value)
    return int(value) if kind is bool else UNKNOWN


@lru_cache(maxsize=64)
def children(path: str) -> Callable[[Any], list[Child] | None] | None:
    """What gives the children of the array or object at a path of members as (key, value, type, atom), as json_each()
    has them; of a document that only the long way can read, None."""
    way = _way(path)
    if way is None or way[1]:
        return None
    plain_of = _member(way[0], list[str | int | float | bool | None] | dict[str, msgspec.Raw])
    node_of = _member(way[0], msgspec.Raw)

    def read(document: Any) -> list[Child] | None:
        values = plain_of(document)
        if values is None:
            return []
        if values.__class__ is list:
            found = _elements(values)
            if found is not None:
                return found
        elif values.__class__ is dict and not way[0]:
            return _members(values, document)
        node = node_of(document)
        if node is UNKNOWN:
            return None
        text = str(node, "utf-8").strip()
        if text[0] == "[":
            return [(at, *_child(str(raw, "utf-8"))) for at, raw in enumerate(_ITEMS(text))]
        return _members(_MEMBERS(text), text) if text[0] == "{" else None

    return read


def _elements(values: list[Any]) -> list[Child] | None:
    """The children of an array of plain values, most often all of a kind; None of rarer ones."""
    kinds = {*map(type, values)}
    if kinds <= _TEXTS:
        return [(at, value, "text", value) for at, value in enumerate(values)]
    if not kinds <= _NUMBERS.keys() or not INT_MIN <= min(values) <= max(values) <= INT_MAX:
        return None
    if kinds == _INTEGERS:
        return [(at, value, "integer", value) for at, value in enumerate(values)]
    return [(at, value, _NUMBERS[value.__class__], value) for at, value in enumerate(values)]


def _members(members: dict[str, msgspec.Raw], text: str) -> list[Child] | None:
    """The children of the object that the text is, None where a label may be there twice."""
    inside = [str(raw, "utf-8") for raw in members.values()]
    # A label that is there twice is in the dict once.
    if len(inside) + sum([child.count(":") for child in inside]) != text.count(":"):
        return None
    return [(key, *_child(raw)) for key, raw in zip(members, inside, strict=True)]


_TEXTS, _INTEGERS = {str}, {int}
_NUMBERS: dict[type, str] = {int: "integer", float: "real"}
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw]).decode
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_WORDS: dict[str, tuple[Any, str, Any]] = {
    "t": (1, "true", 1),
    "f": (0, "false", 0),
    "n": (None, "null", None),
}


def _child(text: str) -> tuple[Any, str, Any]:
    """(value, type, atom) of a node's text, which has no escapes."""
    text = text.strip()
    first = text[0]
    if first == '"':
        value: Any = text[1:-1]
        return value, "text", value
    if first in "[{":
        return str(minify(text)), "array" if first == "[" else "object", None
    if first in _WORDS:
        return _WORDS[first]
    if text.isdigit() or text[1:].isdigit():
        value = int(text) if len(text) < 25 else INT_MAX + 1
        value = value if INT_MIN <= value <= INT_MAX else float(text)
        return value, "integer", value
    value = float(text)
    return value, "real", value
