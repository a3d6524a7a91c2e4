"""Paths into JSON documents: `$.name`, `$."any name"`, `$[3]`, `$[#-1]`, one after another.

https://www.sqlite.org/json1.html#path_arguments.  A path is read as far as the document lets it lead: what
is wrong behind a member that isn't there is no error, as in SQLite.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from sql.errors import SqlError
from sql.functions.json_text import REMOVED, Given, Members, NewLabel

_MEMBER = re.compile(r'\.(?:"([^"]*)"|([^".\[][^.\[]*))', re.DOTALL)
_ELEMENT = re.compile(r"\[([0-9]+)\]")
_FROM_END = re.compile(r"\[#(?:-([0-9]+))?\]")


class Step(NamedTuple):
    """`name`: a member; else `number`: an element, from the end if `backward`; else an error near `bad`.

    `into`: the class of nodes that the step is looked at for at all (None: any)."""

    into: type | None
    name: str | None = None
    number: int = 0
    backward: bool = False
    bad: str | None = None
    makes_array: bool = False


class Place(NamedTuple):
    """Where a node stands: `container[slot]`, as a member's second half in an object."""

    container: list[Any]
    slot: int

    @property
    def node(self) -> Any:
        item = self.container[self.slot]
        return item[1] if self.container.__class__ is Members else item

    def put(self, node: Any) -> None:
        if self.container.__class__ is Members:
            node = (self.container[self.slot][0], node)
        self.container[self.slot] = node


def path_error(near: str) -> SqlError:
    quoted = near.replace("'", "''")
    return SqlError(f"JSON path error near '{quoted}'")


@lru_cache(maxsize=512)
def steps_of(path: str) -> tuple[Step, ...]:
    """The path's steps; the last one is an error where it can't be read on.  SqlError where it can't begin."""
    if not path.startswith("$"):
        raise path_error(path)
    steps: list[Step] = []
    at = 1
    while at < len(path):
        step, at = _step(path, at)
        steps.append(step)
        if step.bad is not None:
            break
    return tuple(steps)


def _step(path: str, at: int) -> tuple[Step, int]:
    if path[at] == ".":
        member = _MEMBER.match(path, at)
        if member is None:
            return Step(Members, bad=path[at + 1 :]), at
        return Step(Members, member[2] if member[1] is None else member[1]), member.end()
    if path[at] != "[":
        return Step(None, bad=path[at:]), at
    element = _ELEMENT.match(path, at)
    if element is not None:
        made = path.startswith("[0]", at)
        return Step(list, number=int(element[1]), makes_array=made), element.end()
    if not path.startswith("[#", at):
        return Step(None, bad=path[at:]), at
    last = _FROM_END.match(path, at)
    if last is None:
        return Step(list, bad=path[at:]), at
    return Step(list, number=int(last[1] or 0), backward=True), last.end()


def find(root: Any, path: str) -> Place | None:
    """The node that the path leads to.  SqlError for a path that can't be read."""
    place = Place([root], 0)
    for step in steps_of(path):
        found = _index(place.node, step)
        if found is None or found < 0:
            return None
        place = Place(place.node, found)
    return place


def _index(node: Any, step: Step) -> int | None:
    """The step's index in the node; -1 where a new one could be appended; None: nowhere."""
    kind = node.__class__
    if kind is Given or (step.into is not None and kind is not step.into):
        return None
    if step.bad is not None:
        raise path_error(step.bad)
    if step.name is not None:
        name = step.name
        return next((at for at, (label, _) in enumerate(node) if label == name), -1)
    number = step.number
    if REMOVED not in node:
        count = len(node)
        wanted = count - number if step.backward else number
        return wanted if 0 <= wanted < count else -1 if wanted == count else None
    kept = [at for at, item in enumerate(node) if item is not REMOVED]
    wanted = len(kept) - number if step.backward else number
    return kept[wanted] if 0 <= wanted < len(kept) else -1 if wanted == len(kept) else None


def assign(root: list[Any], path: str, value: Any, *, replaces: bool, creates: bool) -> None:
    """Have the SQL value at the path in the document `root[0]`, where there is something or nothing yet."""
    place = Place(root, 0)
    steps = steps_of(path)
    for at, step in enumerate(steps):
        node = place.node
        found = _index(node, step)
        if found is None:
            return
        if found < 0:
            made = _made(steps[at + 1 :], value) if creates else None
            if made is not None:
                node.append(made if step.name is None else (NewLabel(step.name), made))
            return
        place = Place(node, found)
    if replaces:
        place.put(Given(value))


def _made(steps: tuple[Step, ...], value: Any) -> Any:
    """The value inside what the steps need around it; None where they can't begin in nothing."""
    node: Any = Given(value)
    for step in steps:
        if step.into is Members and step.bad is not None:
            raise path_error(step.bad)
        if step.name is None and not step.makes_array:
            return None
    for step in reversed(steps):
        node = [node] if step.name is None else Members([(NewLabel(step.name), node)])
    return node
