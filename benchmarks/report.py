"""The table and the chart of docs/benchmarks.md, and the lines on the terminal."""

from __future__ import annotations

import os
import platform
import sqlite3

from benchmarks.runner import Outcome


def seconds_text(seconds: float | None) -> str:
    """Seconds in the unit that reads best."""
    if seconds is None:
        return ""
    if seconds < 1e-6:
        return f"{seconds * 1e9:.0f} ns"
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def line(outcome: Outcome) -> str:
    """One row for the terminal."""
    ratio = outcome.ratio
    goal = outcome.workload.goal
    verdict = ""
    if ratio is not None and goal is not None:
        verdict = "reached" if ratio >= goal else "MISSED"
    shown = "" if ratio is None else f"{ratio:6.2f}x"
    aim = "" if goal is None else f"(goal {goal:g}x)"
    text = f"{outcome.workload.title:<52} {shown:>8} {aim:<12} {verdict}"
    return "\n".join([text, *[f"    ! {problem}" for problem in outcome.problems]])


def markdown(outcomes: list[Outcome], *, quick: bool) -> str:
    """The document."""
    peers: list[str] = []
    for outcome in outcomes:
        peers += [peer for peer in outcome.seconds if peer not in peers]
    head = ["workload", "size", "ratio", "goal", *peers]
    lines = [
        "# Benchmarks",
        "",
        "kvsh beside its peers, each run in a fresh process, taking turns; the ratio is the median over the",
        "rounds of (fastest sqlite3 setting's seconds / kvsh's seconds): above 1 kvsh is faster. Answers were",
        "compared before times counted. Absolute times are of one machine and say little.",
        "",
        f"`python -m benchmarks{' --quick' if quick else ''}` on Python {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores, {platform.system()}.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "|".join("---" if at == 0 else "---:" for at in range(len(head))) + "|",
    ]
    for outcome in outcomes:
        ratio, goal = outcome.ratio, outcome.workload.goal
        shown = "" if ratio is None else f"{ratio:.2f}x"
        if ratio is not None and goal is not None and ratio < goal:
            shown = f"**{shown}**"
        cells = [
            outcome.workload.title,
            f"{outcome.size:,}",
            shown,
            "" if goal is None else f"{goal:g}x",
            *[seconds_text(outcome.median(peer)) for peer in peers],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Rows in bold miss their goal.", "", "```", *_chart(outcomes), "```", ""]
    lines += _notes(outcomes)
    return "\n".join(lines)


def _chart(outcomes: list[Outcome]) -> list[str]:
    """Ratios as bars; the line at 1 is sqlite3."""
    lines = []
    for outcome in outcomes:
        ratio = outcome.ratio
        if ratio is not None:
            bar = "#" * max(1, min(round(ratio * 8), 60))
            lines.append(f"{outcome.workload.title[:44]:<44} {ratio:5.2f} {bar}")
    lines.append(f"{'sqlite3':<44} {1:5.2f} {'#' * 8}")
    return lines


def _notes(outcomes: list[Outcome]) -> list[str]:
    lines = ["Notes of the runs:", ""]
    for outcome in outcomes:
        for peer, notes in outcome.notes.items():
            if notes:
                told = ", ".join(f"{name} {value}" for name, value in notes.items())
                lines.append(f"- {outcome.workload.title}, {peer}: {told}")
        if "kvsh" in outcome.peak_mib:
            sizes = ", ".join(f"{peer} {mib:.0f}" for peer, mib in outcome.peak_mib.items())
            lines.append(f"- {outcome.workload.title}: peak MiB {sizes}")
        lines += [f"- {outcome.workload.title}: {problem}" for problem in outcome.problems]
    return [*lines, ""]
