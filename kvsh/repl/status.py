"""What the prompt and the toolbar say: database, transaction, mode, read-only, pending work, last timing.

Pure: a `Status` in, fragments of (role, text) out.  Too narrow a window loses the least important parts.
"""

from __future__ import annotations

from dataclasses import dataclass

from kvsh.complete import Signature

Fragments = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the shell at the moment the prompt is painted."""

    database: str = "memory"
    in_transaction: bool = False
    changes: int = 0  # rows changed in the open transaction
    readonly: bool = False
    mode: str = "box"
    pending: str = ""  # work not yet checkpointed, as "12 commits"
    last_seconds: float | None = None
    at: int | None = None  # commit number of a look into the past
    vi_mode: str = ""  # INSERT, NORMAL, ... with vi keys


def prompt_text(template: str, status: Status) -> str:
    """The prompt after the user's template; unknown placeholders stay as they are.

    >>> prompt_text("{database}{transaction}> ", Status("app.db", in_transaction=True))
    'app.db*> '
    """
    values = {
        "database": status.database,
        "transaction": "*" if status.in_transaction else "",
        "mode": status.mode,
        "readonly": "[ro]" if status.readonly else "",
        "time": duration(status.last_seconds) if status.last_seconds is not None else "",
    }
    for name, value in values.items():
        template = template.replace("{" + name + "}", value)
    return template


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(0.000_04), duration(0.0123), duration(2.5), duration(75), duration(3700)
    ('40 us', '12.3 ms', '2.50 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def toolbar(status: Status, width: int, *, hint: str = "", unicode: bool = True) -> Fragments:
    """The status line, at most `width` cells: parts in their order, the least important left out first."""
    separator = " │ " if unicode else " | "
    parts: list[tuple[int, str, str]] = [(0, "toolbar.key", status.database)]
    if status.in_transaction:
        count = (
            f", {status.changes:,} row{'' if status.changes == 1 else 's'} changed"
            if status.changes
            else ""
        )
        parts.append((1, "toolbar.warning", f"in transaction{count}"))
    if status.readonly:
        parts.append((1, "toolbar.warning", "read-only"))
    if status.at is not None:
        parts.append((1, "toolbar.warning", f"as of commit {status.at}"))
    if status.vi_mode:
        parts.append((2, "toolbar", status.vi_mode))
    parts.append((4, "toolbar", status.mode))
    if status.pending:
        parts.append((6, "toolbar", status.pending))
    if status.last_seconds is not None:
        parts.append((3, "toolbar", duration(status.last_seconds)))
    if hint:
        parts.append((5, "dim", hint))
    while len(parts) > 1 and _size(parts, separator) > width:
        parts.remove(max(parts, key=lambda part: part[0]))
    out: Fragments = []
    for number, (_, role, text) in enumerate(parts):
        out.append(("frame", separator if number else " "))
        out.append((role, text[: max(width - 2, 1)]))
    return out


def _size(parts: list[tuple[int, str, str]], separator: str) -> int:
    return 1 + sum(len(text) for _, _, text in parts) + len(separator) * (len(parts) - 1)


def signature_line(signature: Signature, width: int) -> Fragments:
    """A call's signature with the argument being typed set off."""
    text = signature.text[: width - 2]
    open_at, close_at = text.find("("), text.rfind(")")
    if open_at < 0 or close_at < open_at or " | " in text:
        return [("toolbar", " " + text)]
    arguments = _split_arguments(text[open_at + 1 : close_at])
    current = min(signature.argument, len(arguments) - 1)
    out: Fragments = [("toolbar", " " + text[: open_at + 1])]
    for number, argument in enumerate(arguments):
        out.append(("toolbar.key" if number == current else "toolbar", argument))
        if number < len(arguments) - 1:
            out.append(("toolbar", ","))
    out.append(("toolbar", text[close_at:]))
    return out


def _split_arguments(text: str) -> list[str]:
    """Split at commas, whatever brackets of optional parts they stand in; not inside parentheses."""
    parts, depth, start = [], 0, 0
    for position, letter in enumerate(text):
        if letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return parts
