"""The rows of json_each() and json_tree(): https://www.sqlite.org/json1.html#jeach.

A node's `id` is its number in the document read from left to right, labels counted too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sql.functions.json_paths import find, steps_of
from sql.functions.json_quick import children
from sql.functions.json_text import Members, parse_to_read, sql_of, text_of, type_of, unescape

Row = tuple[Any, ...]
"""(key, value, type, atom, id, parent, fullkey, path)"""

_BARE_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9]*")


class _Seen(NamedTuple):
    """A node with its surroundings."""

    key: Any
    node: Any
    number: int
    parent: int | None
    fullkey: str
    path: str


def each_rows(document: Any, path: Any = "$") -> Iterator[Row]:
    """One row for each element or member of the node at the path, or one for a scalar."""
    return _rows(document, path, deep=False)


def leading_rows(arguments: Row) -> Sequence[Row]:
    """The first four columns of `each_rows`: (key, value, type, atom)."""
    if not arguments or arguments[0] is None:
        return ()
    document, path = arguments[0], arguments[1] if len(arguments) > 1 else "$"
    read = children(path) if path.__class__ is str else None
    found = None if read is None else read(document)
    return [row[:4] for row in each_rows(document, path)] if found is None else found


def tree_rows(document: Any, path: Any = "$") -> Iterator[Row]:
    """One row for the node at the path and for each one inside it, parents first."""
    return _rows(document, path, deep=True)


def _rows(document: Any, path: Any, *, deep: bool) -> Iterator[Row]:
    text, way = text_of(document), text_of(path)
    if text is None:
        return
    root = parse_to_read(text)
    if way is None:
        return
    start = _start(root, way)
    if start is None:
        return
    scalar = start.node.__class__ not in _CONTAINERS
    if deep:
        first = start._replace(key=None) if scalar or not isinstance(start.key, str) else start
        yield _row(first._replace(parent=None))
        yield from map(_row, _inside(start, deep=True))
    elif scalar:
        yield _row(_Seen(None, start.node, start.number, None, way, way))
    else:
        begin = start._replace(fullkey=way)
        yield from (_row(seen._replace(parent=None)) for seen in _inside(begin, deep=False))


_CONTAINERS = (list, Members)


def _start(root: Any, path: str) -> _Seen | None:
    """The node at the path, its own key and place worked out from the document's root."""
    if find(root, path) is None:
        return None
    seen = _Seen(None, root, 0, None, "$", "$")
    way = "$"
    for step in steps_of(path):
        way = f'{way}."{step.name}"' if step.name is not None else ""
        seen = _entered(seen, step)
    return seen


def _entered(seen: _Seen, step: Any) -> _Seen:
    """The child that the step leads to, which is there."""
    count = len(seen.node)
    for at, child in enumerate(_children(seen)):
        if step.name is not None:
            if seen.node[at][0] == step.name:
                return child
        elif at == (count - step.number if step.backward else step.number):
            return child
    raise AssertionError(step)


def _children(seen: _Seen) -> Iterator[_Seen]:
    number = seen.number + 1
    if seen.node.__class__ is Members:
        for label, node in seen.node:
            key = unescape(label) if "\\" in label else label
            inside = f"{seen.fullkey}.{_spelled(label)}"
            yield _Seen(key, node, number + 1, seen.number, inside, seen.fullkey)
            number += 1 + _size(node)
    elif seen.node.__class__ is list:
        for at, node in enumerate(seen.node):
            yield _Seen(at, node, number, seen.number, f"{seen.fullkey}[{at}]", seen.fullkey)
            number += _size(node)


def _inside(start: _Seen, *, deep: bool) -> Iterator[_Seen]:
    """The nodes below, from left to right; only the next level unless `deep`."""
    levels = [_children(start)]
    while levels:
        seen = next(levels[-1], None)
        if seen is None:
            levels.pop()
            continue
        yield seen
        if deep and seen.node.__class__ in _CONTAINERS:
            levels.append(_children(seen))


def _size(node: Any) -> int:
    """How many numbers the node and all in it take."""
    if node.__class__ not in _CONTAINERS:
        return 1
    size = 0
    pending = [node]
    while pending:
        node = pending.pop()
        size += 1
        if node.__class__ is list:
            pending += node
        elif node.__class__ is Members:
            size += len(node)
            pending += [item for _, item in node]
    return size


def _spelled(label: str) -> str:
    return label if _BARE_LABEL.fullmatch(label) else f'"{label}"'


def _row(seen: _Seen) -> Row:
    value = sql_of(seen.node)
    container = seen.node.__class__ in _CONTAINERS
    if container:
        value = str(value)
    atom = None if container else value
    kind = type_of(seen.node)
    return (seen.key, value, kind, atom, seen.number, seen.parent, seen.fullkey, seen.path)
