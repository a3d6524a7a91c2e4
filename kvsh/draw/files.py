"""Drawings of the file: the log's commits, a map of its bytes, where rows lie, and what a crash would leave."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from kvsh.draw.pen import Pen, counted, cut, key_text, size_text, table
from kvsh.draw.shapes import LogShape, Place

COMMITS_SHOWN = 20


def log(pen: Pen, shape: LogShape, *, newest: int = COMMITS_SHOWN) -> list[str]:
    """The newest commits, and what the file's bytes are good for."""
    share = shape.dead_bytes / shape.file_bytes if shape.file_bytes else 0.0
    head = (
        f"{shape.path}: {counted(len(shape.commits), 'commit')} in the log, {size_text(shape.file_bytes)};"
        f" compaction would free {size_text(shape.dead_bytes)} ({share:.0%})"
    )
    dots = pen.dots if pen.unicode else "~"
    out = [pen.paint("title", cut(head, pen.width, dots)), *file_map(pen, shape), ""]
    commits = list(shape.commits)
    shown = commits[-newest:] if newest else commits
    if len(shown) < len(commits):
        out.append(
            pen.paint("dim", f"{pen.dots} {counted(len(commits) - len(shown), 'commit')} before")
        )
    with_time = any(commit.when is not None for commit in shown)
    header = ["commit", "kind", "offset", "bytes", "pages"]
    rows = []
    for commit in shown:
        row = [f"{commit.number:,}", commit.kind, f"{commit.offset:,}", size_text(commit.size_bytes), f"{commit.pages:,}" if commit.pages else ""]  # fmt: skip
        if with_time:
            row.append(
                time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(commit.when))
                if commit.when
                else ""
            )
        rows.append(row)
    out += table(pen, [*header, "when"] if with_time else header, rows, right=(0, 2, 3, 4))
    if shape.redo_commits:
        out += [
            "",
            f"to replay at the next open: {counted(shape.redo_commits, 'commit')}, {size_text(shape.redo_bytes)}",
        ]
    return out


def file_map(pen: Pen, shape: LogShape) -> list[str]:
    """The file as one bar: live pages, dead pages, records around them, space allocated ahead."""
    parts = [
        ("live", shape.live_bytes, "good", "█", "#"),
        ("dead", shape.dead_bytes, "bad", "▒", "x"),
        ("commits and redo", shape.overhead_bytes, "warning", "▓", "="),
        ("allocated ahead", shape.preallocated_bytes, "dim", "░", "."),
    ]
    total = sum(size for _, size, *_ in parts) or 1
    room = pen.width - 2
    bar = ""
    used = 0
    seen = 0
    for _, size, role, block, letter in parts:
        seen += size
        upto = max(round(seen / total * room), used + (1 if size else 0))
        upto = min(upto, room)
        bar += pen.paint(role, (block if pen.unicode else letter) * (upto - used))
        used = upto
    return [bar, *_legend(pen, parts)]


def _legend(pen: Pen, parts: Sequence[tuple[str, int, str, str, str]]) -> list[str]:
    """What each part of the map means, as many to a line as fit."""
    lines: list[str] = []
    used = pen.width
    for name, size, role, block, letter in parts:
        if not size:
            continue
        text = f" {name} {size_text(size)}"
        if used + len(text) + 3 > pen.width:
            lines.append("")
            used = 0
        elif lines[-1]:
            lines[-1] += "  "
            used += 2
        lines[-1] += pen.paint(role, block if pen.unicode else letter) + text
        used += len(text) + 1
    return lines


def places(pen: Pen, found: Sequence[Place], *, more: int = 0) -> list[str]:
    """Keys, pages and bytes behind rows and index entries."""
    rows = [
        (
            place.relation,
            key_text(place.key),
            str(place.page) if place.page else "memory",
            str(place.slot),
            f"{place.size_bytes:,}",
            " > ".join(map(str, place.pages)),
        )
        for place in found
    ]
    out = table(pen, ("in", "key", "page", "slot", "bytes", "path"), rows, right=(2, 3, 4))
    if more:
        out.append(pen.paint("dim", f"{pen.dots} {counted(more, 'row')} more"))
    pages = {place.page for place in found if place.page}
    if pages:
        total = sum(place.size_bytes for place in found)
        out += [
            "",
            f"{counted(len(found), 'entry')}, {size_text(total)}, in {counted(len(pages), 'page')}",
        ]
    return out


@dataclass(frozen=True, slots=True)
class Cut:
    """One crash tried: the copy cut at `at` bytes, and what opening it gave."""

    at: int
    commit: int | None  # recovered to; None if it would not open
    verdict: str
    is_sound: bool


def crash(pen: Pen, path: str, file_bytes: int, newest: int, cuts: Sequence[Cut]) -> list[str]:
    """What recovery makes of a copy that was cut at each place."""
    dots = pen.dots if pen.unicode else "~"
    head = f"copies of {path} ({file_bytes:,} bytes, commit {newest:,}), each cut and opened again"
    out = [pen.paint("title", cut(head, pen.width, dots)), ""]
    body = []
    for one in cuts:
        lost = file_bytes - one.at
        commit = "" if one.commit is None else f"{one.commit:,}"
        body.append((f"{one.at:,}", f"{lost:,}", commit, one.verdict))
    lines = table(pen, ("cut at", "bytes lost", "commit", "recovery"), body, right=(0, 1, 2))
    out.append(lines[0])
    for one, line in zip(cuts, lines[1:], strict=True):
        out.append(pen.paint("good" if one.is_sound else "bad", line))
    return out
