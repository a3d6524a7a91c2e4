"""What drawings show, read from an open database: trees by their names, paths, pages, the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from btree import RAW_TREE_ID, inspect
from kvsh.draw.shapes import (
    Cell,
    CommitShape,
    LevelShape,
    LogShape,
    PageShape,
    PathStep,
    Place,
    TreeShape,
)

if TYPE_CHECKING:
    from btree import Transaction
    from kvsh.opened import OpenDatabase
    from sql import Schema

CATALOG_NAME = "schema"
CAPACITY_BYTES = 8192
CELLS_AROUND = 3


class TreeName:
    """A tree by what a user calls it."""

    __slots__ = ("kind", "name", "noun", "tree_id")

    def __init__(self, tree_id: int, kind: str, name: str, noun: str) -> None:
        self.tree_id = tree_id
        self.kind = kind
        self.name = name
        self.noun = noun

    @property
    def title(self) -> str:
        """As "table track" or "raw keys"."""
        return f"{self.kind} {self.name}" if self.kind else self.name


def tree_names(schema: Schema) -> list[TreeName]:
    """Every tree of the database, in the order of their making; those of others left out."""
    schema = schema.main
    names = [TreeName(RAW_TREE_ID, "", "raw keys", "key"), TreeName(2, "", CATALOG_NAME, "entry")]
    for table in schema.tables.values():
        names.append(TreeName(table.tree_id, "table", table.name, "row"))
    for index in schema.indexes.values():
        title = f"{index.name} on {index.table}"
        names.append(TreeName(index.tree_id, "index", title, "entry"))
    return sorted(names, key=lambda name: name.tree_id)


def find_tree(schema: Schema, wanted: str) -> TreeName | None:
    """The tree of a table or index, or `kv`."""
    wanted = wanted.lower()
    if wanted in ("kv", "raw", "raw keys") and "kv" not in schema.tables:
        wanted = "raw keys"
    for name in tree_names(schema):
        if wanted in (name.name.lower(), name.name.lower().partition(" on ")[0]):
            return name
    return None


def tree_shape(transaction: Transaction, name: TreeName) -> TreeShape:
    """A tree's levels."""
    tree: Any = transaction.tree(name.tree_id)
    found = inspect.outline(tree)
    levels = [
        LevelShape(level.pages, level.entries, level.size_bytes, level.is_leaf)
        for level in found.levels
    ]
    return TreeShape(
        name.title, name.tree_id, len(tree), name.noun, levels, CAPACITY_BYTES, found.is_sampled
    )


def page_shape(page: inspect.PageView) -> PageShape:
    """A page without its cells."""
    low, high = (page.keys[0], page.keys[-1]) if page.keys else (None, None)
    return PageShape(page.page, page.is_leaf, page.entries, page.size_bytes, low, high)


def root_and_children(
    transaction: Transaction, name: TreeName, shown: int
) -> tuple[PageShape, list[PageShape | int]]:
    """The root, and of its children the first and last ones; a number stands for those between."""
    tree: Any = transaction.tree(name.tree_id)
    root = inspect.root_view(tree)
    count = len(root.children or ())
    slots: Sequence[int] = range(count)
    gap = count - shown
    if gap > 1:
        first = shown - shown // 2
        slots = [*range(first), *range(count - shown // 2, count)]
    children: list[PageShape | int] = [page_shape(inspect.child_view(tree, slot)) for slot in slots]
    if gap > 1:
        children.insert(shown - shown // 2, gap)
    return page_shape(root), children


def path_steps(
    transaction: Transaction, name: TreeName, key: Any
) -> tuple[list[PathStep], list[Cell], bool]:
    """The way to a key, the leaf's cells around it, and whether it is there."""
    tree: Any = transaction.tree(name.tree_id)
    steps = []
    path = inspect.path_to(tree, key)
    for page, slot in path:
        before = after = None
        if not page.is_leaf:
            before = page.keys[slot - 1] if slot else None
            after = page.keys[slot] if slot < len(page.keys) else None
        steps.append(PathStep(page_shape(page), slot, before, after))
    leaf, slot = path[-1]
    first = max(slot - CELLS_AROUND, 0)
    cells = list(page_cells(leaf))[first : slot + CELLS_AROUND + 1]
    found = slot < len(leaf.keys) and leaf.keys[slot] == key
    return steps, cells, found


def page_cells(page: inspect.PageView) -> Iterator[Cell]:
    """What is on a page."""
    if page.children is not None:
        for slot, child in enumerate(page.children):
            yield Cell(slot, page.keys[slot - 1] if slot else None, None, 0, child)
        return
    values = page.values
    for slot, key in enumerate(page.keys):
        value = None if values is None else values[slot]
        size = inspect.entry_bytes(key, value)
        note = ""
        if isinstance(value, inspect.LargePage):
            note = f"{value.size_bytes:,} bytes in page {value.page}"
            value = None
        elif isinstance(key, bytes) and isinstance(value, tuple):
            value, moment = value
            note = f"{_short(value)}, expires at {moment / 1000:.0f}"
        yield Cell(slot, key, value, size, note=note)


def _short(value: bytes) -> str:
    from kvsh.draw.pen import key_text

    text = key_text(value)
    return text if len(text) <= 40 else text[:39] + "…"


def find_page(
    transaction: Transaction, schema: Schema, number: int
) -> tuple[TreeName, inspect.PageView] | None:
    """A page and the tree that it belongs to."""
    for name in tree_names(schema):
        tree: Any = transaction.tree(name.tree_id)
        page = inspect.find_page(tree, number)
        if page is not None:
            return name, page
    return None


def place(transaction: Transaction, name: TreeName, key: Any) -> Place | None:
    """Where an entry lies; None if it is not there."""
    tree: Any = transaction.tree(name.tree_id)
    path = inspect.path_to(tree, key)
    leaf, slot = path[-1]
    if slot >= len(leaf.keys) or leaf.keys[slot] != key:
        return None
    value = None if leaf.values is None else leaf.values[slot]
    pages = tuple(page.page for page, _ in path)
    return Place(name.title, key, leaf.page, slot, inspect.entry_bytes(key, value), pages)


def log_shape(database: OpenDatabase) -> LogShape:
    """The commits in the file, and what its bytes are good for.  For stores in a file."""
    store: Any = database.store
    figures = store.stats()
    commits = [
        CommitShape(
            info.lsn, info.kind, info.offset, info.bytes, info.pages, info.time_ms / 1000 or None
        )
        for info in store.log()
    ]
    begin = commits[0].offset if commits else 0
    ahead = figures["file_bytes"] - figures["log_bytes"] - begin
    return LogShape(
        database.path or "",
        figures["file_bytes"],
        figures["live_bytes"],
        figures["dead_bytes"],
        commits,
        figures["redo_commits"],
        figures["redo_bytes"],
        max(ahead, 0),
    )
