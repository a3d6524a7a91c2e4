"""Results as text: fourteen modes, all of them streaming in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kvsh.output.plain import (
    Batches,
    Style,
    Write,
    write_csv,
    write_html,
    write_insert,
    write_json,
    write_jsonl,
    write_lines,
    write_list,
    write_quote,
    write_tsv,
)

MODES = (
    "box",
    "table",
    "column",
    "list",
    "line",
    "csv",
    "tsv",
    "json",
    "jsonl",
    "markdown",
    "insert",
    "quote",
    "html",
)

_BY_ROW = {
    "list": write_list,
    "line": write_lines,
    "csv": write_csv,
    "tsv": write_tsv,
    "json": write_json,
    "jsonl": write_jsonl,
    "insert": write_insert,
    "quote": write_quote,
    "html": write_html,
}

HEADERS_BY_DEFAULT = frozenset(("box", "table", "column", "csv", "tsv", "markdown", "html"))
"""Modes that print the columns' names unless told not to; the others unless told to."""


def write_rows(
    write: Write,
    mode: str,
    names: Sequence[str],
    batches: Batches,
    style: Style,
    *,
    screen: int | None = None,
    unicode: bool = True,
    paint: Callable[[str, str], str] | None = None,
) -> None:
    """Write one result in the mode.  `screen`: the terminal's width, None where there is none."""
    by_row = _BY_ROW.get(mode)
    if by_row is not None:
        by_row(write, names, batches, style)
        return
    from kvsh.output import tables

    if mode == "markdown":
        tables.write_markdown(write, names, batches, style)
        return
    frame = None
    if mode == "box":
        frame = tables.BOX if unicode else tables.ASCII
    elif mode == "table":
        frame = tables.ASCII
    tables.TableWriter(write, style, frame=frame, screen=screen, paint=paint).table(names, batches)


__all__ = ["HEADERS_BY_DEFAULT", "MODES", "Style", "write_rows"]
