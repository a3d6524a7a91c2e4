"""A plan as a tree of operators to look at, topmost what runs last."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from sql.plan.operators import Level


@dataclass(slots=True)
class Node:
    """One operator: what it does, about how many rows it gives, and what feeds it.

    `key` names the counter that an instrumented run keeps for it (None: it has none); a level's
    counter is also that of the `filter` above it, whose level is then `filtered`."""

    title: str
    rows: float | None = None
    key: Hashable = None
    children: list[Node] = field(default_factory=list)
    level: Level | None = None
    filter: bool = False
    filtered: bool = False


def drawn(root: Node) -> Iterator[tuple[str, Node]]:
    """(line of the drawing, node) from top to bottom."""
    yield root.title, root
    yield from _children(root, "")


def _children(node: Node, indent: str) -> Iterator[tuple[str, Node]]:
    for place, child in enumerate(node.children):
        last = place == len(node.children) - 1
        yield f"{indent}{'└─' if last else '├─'} {child.title}", child
        yield from _children(child, indent + ("   " if last else "│  "))


def walk(root: Node) -> Iterator[Node]:
    yield root
    for child in root.children:
        yield from walk(child)


def rows_text(count: float) -> str:
    """`1 row`, `2,000 rows`; an estimate above zero is at least one."""
    whole = max(round(count), 1) if count > 0 else 0
    return f"{whole:,} row{'' if whole == 1 else 's'}"


def estimate_text(node: Node) -> str:
    """What stands behind a line of the drawing."""
    return "" if node.rows is None else f"   ~{rows_text(node.rows)}"
