"""Drawings of trees: all of them in a table, one by its levels and pages, the path to a key, a page's cells."""

from __future__ import annotations

from collections.abc import Sequence

from kvsh.draw.pen import (
    Pen,
    cells,
    counted,
    cut,
    hex_dump,
    key_text,
    padded,
    printable,
    size_text,
    table,
)
from kvsh.draw.shapes import Cell, PageShape, PathStep, TreeShape

CHILDREN_SHOWN = 8
CELLS_SHOWN = 20


def forest(pen: Pen, trees: Sequence[TreeShape]) -> list[str]:
    """Every tree in a line: entries, pages, depth, bytes and how full its pages are."""
    rows = []
    for tree in trees:
        about = "~" if tree.is_sampled else ""
        rows.append(
            (
                tree.name,
                f"{tree.entries:,}",
                f"{about}{tree.pages:,}",
                str(len(tree.levels)),
                about + size_text(tree.size_bytes),
                f"{about}{tree.fill:.0%}" if tree.pages else "",
            )
        )
    return table(
        pen, ("tree", "entries", "pages", "depth", "bytes", "fill"), rows, right=(1, 2, 3, 4, 5)
    )


def tree(
    pen: Pen, shape: TreeShape, root: PageShape | None, children: Sequence[PageShape | int]
) -> list[str]:
    """One tree: its levels with their fill, then the root and its children.

    An int among `children` stands for so many that are left out."""
    about = "about " if shape.is_sampled else ""
    head = (
        f"{shape.name} (tree {shape.tree_id}): {counted(shape.entries, shape.noun)},"
        f" {about}{counted(shape.pages, 'page')}, {size_text(shape.size_bytes)}"
    )
    out = [pen.paint("title", cut(head, pen.width, _dots(pen))), ""]
    out.extend(_levels(pen, shape))
    if root is not None and not root.is_leaf:
        out += ["", _page_line(pen, root, shape, indent=0)]
        for position, child in enumerate(children):
            is_last = position == len(children) - 1
            if isinstance(child, int):
                noun = "page" if len(shape.levels) > 2 else "leaf"
                text = f"{pen.bar}{pen.dots} {counted(child, noun)} more"
                out.append(pen.paint("dim", cut(text, pen.width, _dots(pen))))
            else:
                lead = pen.paint("frame", pen.last if is_last else pen.branch)
                out.append(lead + _page_line(pen, child, shape, indent=3))
    elif root is not None:
        out += ["", _page_line(pen, root, shape, indent=0)]
    return out


def _dots(pen: Pen) -> str:
    return pen.dots if pen.unicode else "~"


def _levels(pen: Pen, shape: TreeShape) -> list[str]:
    out = []
    for number, level in enumerate(shape.levels):
        kind = counted(level.pages, "leaf" if level.is_leaf else "branch")
        each = level.entries / level.pages if level.pages else 0
        noun = shape.noun if level.is_leaf else "child"
        plural = "children" if noun == "child" else counted(2, noun).split()[1]
        fill = level.size_bytes / (level.pages * shape.capacity_bytes) if level.pages else 0.0
        role = "page.leaf" if level.is_leaf else "page.branch"
        text = pen.paint(role, padded(kind, 18, _dots(pen)))
        room = pen.width - (48 if pen.unicode else 50)
        average = cut(f"{each:,.0f} {plural} a page", room, _dots(pen))
        out.append(
            f"  level {number}  {text} {pen.gauge(fill)} {min(fill, 9.99):4.0%}  {average}".rstrip()
        )
    return out


def _page_line(pen: Pen, page: PageShape, shape: TreeShape, indent: int) -> str:
    kind = "leaf" if page.is_leaf else "branch"
    role = "page.leaf" if page.is_leaf else "page.branch"
    entries = counted(page.entries, shape.noun) if page.is_leaf else f"{page.entries:,} children"
    name = f"page {page.page}" if page.page else "unwritten"
    head = f"{name:<10} {kind:<6} {entries:>12}  {size_text(page.size_bytes):>8} "
    gauge_cells = 8
    gauge = pen.gauge(page.size_bytes / shape.capacity_bytes, gauge_cells)
    used = indent + len(head) + gauge_cells + (0 if pen.unicode else 2)
    keys = ""
    if page.low is not None or page.high is not None:
        room = pen.width - used - 3
        keys = "  " + key_range(pen, page.low, page.high, room)
    return pen.paint(role, head) + gauge + keys.rstrip()


def key_range(pen: Pen, low: object, high: object, room: int) -> str:
    """`low -> high` in at most `room` cells, both cut alike."""
    arrow = f" {pen.arrow} "
    texts = [printable(key_text(low)), printable(key_text(high))]
    each = max((room - cells(arrow)) // 2, 3)
    if sum(map(cells, texts)) + cells(arrow) > room:
        texts = [cut(text, each, _dots(pen)) for text in texts]
    return cut(arrow.join(texts), room, _dots(pen))


def path(
    pen: Pen,
    name: str,
    key: object,
    steps: Sequence[PathStep],
    cells_around: Sequence[Cell],
    found: bool,
) -> list[str]:
    """The way from the root to a key: the slot taken in each branch, then the leaf's entries around it."""
    head = f"{printable(key_text(key))} in {name}: {counted(len(steps), 'page')} from the root"
    out = [pen.paint("title", cut(head, pen.width, _dots(pen))), ""]
    for depth, step in enumerate(steps):
        indent = "   " * (depth - 1) + (pen.last if depth else "")
        kind = "leaf" if step.page.is_leaf else "branch"
        role = "page.leaf" if step.page.is_leaf else "page.branch"
        line = f"page {step.page.page}  {kind}  {step.page.entries:,} {'entries' if step.page.is_leaf else 'children'}"
        line += f"  {size_text(step.page.size_bytes)}"
        out.append(pen.paint("frame", indent) + pen.paint(role, line))
        inner = "   " * depth + "   "
        if not step.page.is_leaf:
            out.append(inner + pen.paint("dim", _choice(pen, step, pen.width - len(inner))))
    inner = "   " * len(steps)
    last = steps[-1].slot if steps else 0
    for cell in cells_around:
        mark = pen.arrow if found and cell.slot == last else " " * cells(pen.arrow)
        text = f"{mark} {cell.slot:>4}  {printable(key_text(cell.key))}"
        if cell.value is not None:
            text += f"  {printable(key_text(cell.value))}"
        line = cut(inner + text, pen.width, _dots(pen))
        out.append(pen.paint("good", line) if found and cell.slot == last else line)
    if not found:
        out.append(cut(f"{inner}not there: it would stand in slot {last}", pen.width, _dots(pen)))
    return out


def _choice(pen: Pen, step: PathStep, room: int) -> str:
    """The separators on either side of the child that was taken."""
    head = f"child {step.slot + 1} of {step.page.entries:,}: "
    left = "any" if step.before is None else printable(key_text(step.before))
    right = "any" if step.after is None else printable(key_text(step.after))
    each = max((room - len(head) - 12) // 2, 4)
    return cut(
        f"{head}{cut(left, each, _dots(pen))} <= key < {cut(right, each, _dots(pen))}",
        room,
        _dots(pen),
    )


def page(
    pen: Pen,
    shape: PageShape,
    owner: str,
    page_cells: Sequence[Cell],
    *,
    raw: bytes | None = None,
    first: int = 0,
) -> list[str]:
    """A page dumped: whose it is, where it lies, its cells by name; its bytes where `raw` is given."""
    kind = "leaf" if shape.is_leaf else "branch"
    facts = [
        f"page {shape.page}: {kind} of {owner}",
        counted(shape.entries, "cell"),
        f"{shape.size_bytes:,} bytes",
    ]
    if shape.offset is not None:
        facts.append(f"at offset {shape.offset:,}")
    if shape.commit is not None:
        facts.append(f"written by commit {shape.commit:,}")
    out = [pen.paint("title", cut(", ".join(facts), pen.width, _dots(pen))), ""]
    shown = page_cells[first : first + CELLS_SHOWN]
    if shape.is_leaf:
        rows = [
            (
                str(c.slot),
                key_text(c.key),
                f"{c.size_bytes:,}",
                c.note or ("" if c.value is None else key_text(c.value)),
            )
            for c in shown
        ]
        out += table(pen, ("slot", "key", "bytes", "value"), rows, right=(0, 2))
    else:
        rows_ = [
            (
                str(c.slot),
                f"page {c.child}",
                "(least)" if c.key is None else f">= {key_text(c.key)}",
            )
            for c in shown
        ]
        out += table(pen, ("slot", "child", "keys"), rows_, right=(0,))
    left = len(page_cells) - first - len(shown)
    if left > 0:
        out.append(pen.paint("dim", f"{pen.dots} {counted(left, 'cell')} more"))
    if raw is not None:
        out += ["", *hex_dump(pen, raw)]
    return out
