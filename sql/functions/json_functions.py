"""SQLite's JSON functions: https://www.sqlite.org/json1.html, as of SQLite 3.40.

What a function with `returns_json` gives is `JsonText`, which functions with `takes_json` insert as JSON and
not as a string; everything else sees plain text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from sql.errors import SqlError
from sql.expressions import INTEGER, NULL, TEXT
from sql.functions.json_paths import Place, assign, find
from sql.functions.json_quick import UNKNOWN, reader
from sql.functions.json_rows import each_rows, leading_rows, tree_rows
from sql.functions.json_text import (
    REMOVED,
    Given,
    JsonText,
    Members,
    escape,
    is_valid,
    json_of,
    minify,
    parse,
    parse_to_read,
    render,
    sql_of,
    text_of,
    type_of,
)
from sql.functions.registry import JSON, Aggregate, AnyFunction, Function

__all__ = ["FUNCTIONS", "JsonText", "each_rows", "leading_rows", "tree_rows"]

DOCUMENT = TEXT | JSON


# -- documents -----------------------------------------------------------------------------------


def json(value: Any) -> Any:
    """The document without blanks."""
    text = text_of(value) or ""
    if not is_valid(text):
        raise SqlError("malformed JSON")
    return minify(text)


def json_valid(value: Any) -> Any:
    text = text_of(value)
    return int(text is not None and is_valid(text))


def json_quote(value: Any) -> Any:
    return JsonText(json_of(value))


def subtype(value: Any) -> int:
    """What SQLite's functions tell each other of a value: that it is JSON, and no other text."""
    return ord("J") if value.__class__ is JsonText else 0


def json_array(*values: Any) -> Any:
    return JsonText(f"[{','.join(map(json_of, values))}]")


def json_object(*arguments: Any) -> Any:
    if len(arguments) % 2:
        raise SqlError("json_object() requires an even number of arguments")
    parts = []
    for label, value in zip(arguments[::2], arguments[1::2], strict=True):
        if not isinstance(label, str):
            raise SqlError("json_object() labels must be TEXT")
        parts.append(f'"{escape(label)}":{json_of(value)}')
    return JsonText(f"{{{','.join(parts)}}}")


# -- reading -------------------------------------------------------------------------------------


def _place(document: Any, path: str | None) -> Place | None:
    """Where the path leads; None for NULL.  The document is read in any case, and has to be one."""
    text = text_of(document)
    if text is None:
        return None
    root = parse_to_read(text)
    return None if path is None else find(root, path)


def json_type(document: Any, path: Any = "$") -> Any:
    place = _place(document, text_of(path))
    return None if place is None else type_of(place.node)


def json_array_length(document: Any, path: Any = "$") -> Any:
    place = _place(document, text_of(path))
    if place is None:
        return None
    return len(place.node) if place.node.__class__ is list else 0


def json_extract(*arguments: Any) -> Any:
    """The value at the path, or an array of the values at several."""
    if len(arguments) < 2:
        return None
    document, *paths = map(text_of, arguments)
    if len(paths) == 1:
        place = _place(document, paths[0])
        return None if place is None else sql_of(place.node)
    if document is None:
        return None
    places = [_place(document, path) for path in paths]
    parts = ["null" if place is None else render(place.node) for place in places]
    return JsonText(f"[{','.join(parts)}]")


def _short_path(path: Any) -> str | None:
    """The right operand of -> and ->> as a path: a label, or an element's number, may stand alone."""
    text = text_of(path)
    if text is None or text.startswith("$"):
        return text
    if text[:1].isascii() and text[:1].isdigit():
        return f"$[{text}]"
    return f"${text}" if text.startswith("[") else f"$.{text}"


def json_arrow(document: Any, path: Any) -> Any:
    """The operator ->: the node as JSON."""
    place = _place(document, _short_path(path))
    return None if place is None else render(place.node)


def json_double_arrow(document: Any, path: Any) -> Any:
    """The operator ->>: the node as an SQL value."""
    place = _place(document, _short_path(path))
    value = None if place is None else sql_of(place.node)
    return str(value) if value.__class__ is JsonText else value


# -- changing ------------------------------------------------------------------------------------


def _changed(
    name: str, arguments: tuple[Any, ...], *, replaces: bool = False, creates: bool = False
) -> Any:
    """The document with values at paths; a value in the place of the whole is that value itself."""
    if not arguments:
        return None
    if len(arguments) % 2 == 0:
        raise SqlError(f"json_{name}() needs an odd number of arguments")
    document = text_of(arguments[0])
    if document is None:
        return None
    root = [parse(document)]
    for path, value in zip(arguments[1::2], arguments[2::2], strict=True):
        if path is not None:
            assign(root, text_of(path) or "", value, replaces=replaces, creates=creates)
    node = root[0]
    return node.value if node.__class__ is Given else render(node)


def _quick(long_way: Callable[[Any, Any], Any], path: str | None) -> Callable[[Any], Any]:
    """A function of documents that gives what the long way does at a path, and mostly makes no nodes."""
    read = None if path is None else reader(path)
    if read is None:
        return lambda document: long_way(document, path)

    def value(document: Any) -> Any:
        found = read(document)
        return long_way(document, path) if found is UNKNOWN else found

    return value


def _extracting(path: Any) -> Callable[[Any], Any]:
    """json_extract() at one path."""
    return _quick(json_extract, text_of(path))


def _pointing(path: Any) -> Callable[[Any], Any]:
    """The operator ->> at one path."""
    return _quick(json_double_arrow, _short_path(path))


def json_insert(*arguments: Any) -> Any:
    return _changed("insert", arguments, creates=True)


def json_replace(*arguments: Any) -> Any:
    return _changed("replace", arguments, replaces=True)


def json_set(*arguments: Any) -> Any:
    return _changed("set", arguments, replaces=True, creates=True)


def json_remove(*arguments: Any) -> Any:
    document = text_of(arguments[0]) if arguments else None
    if document is None:
        return None
    root = parse(document)
    everything = False
    for argument in arguments[1:]:
        path = text_of(argument)
        if path is None:
            return None
        place = find(root, path)
        if place is not None:
            everything = everything or place.node is root
            place.put(REMOVED)
    return None if everything else render(root)


def json_patch(document: Any, patch: Any) -> Any:
    """RFC 7396's merge: objects member by member, null removes, anything else replaces."""
    text, changes = text_of(document), text_of(patch)
    if text is None:
        return None
    target = parse(text)  # which is looked at first, as SQLite does
    return None if changes is None else render(_merged(target, parse(changes)))


def _merged(target: Any, patch: Any) -> Any:
    if patch.__class__ is not Members:
        return patch
    if target.__class__ is not Members:
        return _without_nulls(patch)
    places: dict[str, int] = {}
    for at, (label, _) in enumerate(target):
        places.setdefault(label, at)
    done = set()
    for label, change in patch:
        place = places.get(label)
        if place is None:
            if change is not None:
                target.append((label, _without_nulls(change)))
        elif place not in done:
            before = target[place][1]
            merged = REMOVED if change is None else _merged(before, change)
            if merged is not before:
                done.add(place)
            target[place] = (label, merged)
    return target


def _without_nulls(node: Any) -> Any:
    if node.__class__ is not Members:
        return node
    return Members((label, _without_nulls(item)) for label, item in node if item is not None)


# -- aggregates ----------------------------------------------------------------------------------


class GroupArray:
    """json_group_array(x): NULLs too.  There may be as many as there are groups, most of few values."""

    __slots__ = ("gone", "step", "values")

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.step: Callable[[Any], None] = self.values.append
        self.gone = 0  # of the first values, those that have left the window

    def inverse(self, value: Any) -> None:
        self.gone += 1
        if self.gone > _GONE_MAX:
            del self.values[: self.gone]
            self.gone = 0

    def finish(self) -> Any:
        values = self.values[self.gone :] if self.gone else self.values
        return f"[{','.join(map(json_of, values))}]"


_GONE_MAX = 256


class GroupObject:
    """json_group_object(label, value); a label that is NULL is empty."""

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: deque[str] = deque()

    def step(self, label: Any, value: Any) -> None:
        self.parts.append(f'"{escape(text_of(label) or "")}":{json_of(value)}')

    def inverse(self, label: Any, value: Any) -> None:
        self.parts.popleft()

    def finish(self) -> Any:
        return f"{{{','.join(self.parts)}}}"


# -- what is registered --------------------------------------------------------------------------


def _maker(
    name: str, call: Any, low: int, high: int | None, kinds: int = NULL | DOCUMENT
) -> Function:
    """A function whose arguments may be JSON, and whose value is."""
    return Function(name, call, low, high, kinds=kinds, returns_json=True, takes_json=True)


FUNCTIONS: tuple[AnyFunction, ...] = (
    Function("json", json, 1, 1, propagates_null=True, kinds=NULL | DOCUMENT, returns_json=True),
    Function("json_valid", json_valid, 1, 1, kinds=INTEGER),
    _maker("json_quote", json_quote, 1, 1, DOCUMENT),
    Function("subtype", subtype, 1, 1, kinds=INTEGER, takes_json=True),
    _maker("json_array", json_array, 0, None, DOCUMENT),
    _maker("json_object", json_object, 0, None, DOCUMENT),
    Function("json_type", json_type, 1, 2, kinds=NULL | TEXT),
    Function("json_array_length", json_array_length, 1, 2, kinds=NULL | INTEGER),
    Function(
        "json_extract",
        json_extract,
        0,
        None,
        kinds=15,
        returns_json=True,
        by_second=_extracting,
    ),
    Function("->", json_arrow, 2, 2, kinds=NULL | DOCUMENT, returns_json=True),
    Function("->>", json_double_arrow, 2, 2, kinds=15, by_second=_pointing),
    _maker("json_insert", json_insert, 0, None, 31),
    _maker("json_replace", json_replace, 0, None, 31),
    _maker("json_set", json_set, 0, None, 31),
    Function("json_remove", json_remove, 0, None, kinds=NULL | DOCUMENT, returns_json=True),
    Function("json_patch", json_patch, 2, 2, kinds=NULL | DOCUMENT, returns_json=True),
    Aggregate(
        "json_group_array",
        GroupArray,
        1,
        1,
        slides=True,
        kinds=DOCUMENT,
        takes_json=True,
    ),
    Aggregate(
        "json_group_object",
        GroupObject,
        2,
        2,
        slides=True,
        kinds=DOCUMENT,
        takes_json=True,
    ),
)
