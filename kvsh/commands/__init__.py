"""The one table of commands: the raw commands and the dot commands, for the executor, help and completion."""

from __future__ import annotations

from kvsh.commands.command import Command
from kvsh.commands.table import COMMANDS, GROUPS

HINTS: dict[str, str] = {
    "\\q": ".quit",
    "\\d": ".describe [NAME]",
    "\\dt": ".tables",
    "\\dv": ".tables",
    "\\di": ".indexes",
    "\\c": ".open FILE",
    "\\connect": ".open FILE",
    "\\copy": ".import FILE TABLE or .export FILE TABLE",
    "\\e": ".edit",
    "\\g": "a semicolon",
    "\\!": ".system COMMAND",
    "\\echo": ".print TEXT",
    "\\set": ".param set NAME VALUE",
    "\\pset": ".mode, .nullvalue or .headers",
    "\\watch": ".watch TIME STATEMENT",
    "\\l": ".databases",
    "\\i": ".read FILE",
    "\\o": ".output FILE",
    "\\x": ".mode line",
    "\\timing": ".timer on",
    "\\h": ".help",
    "\\?": ".help",
    "keys": "scan --keys [--prefix P]",
    ".attach": ".import FILE, or .open FILE",
    ".clone": ".backup FILE",
    ".save": ".backup FILE",
    ".restore": ".open FILE: a backup is a database",
    ".recover": ".repair FILE TARGET",
    ".eqp": ".explain plan",
    ".fullschema": ".schema",
    ".dbinfo": ".stats",
    ".prompt": ".config prompt TEXT",
    ".expert": "EXPLAIN ANALYZE",
    ".excel": ".once FILE.csv behind .mode csv",
    ".lint": ".check",
}
"""What users of other shells try, and what it is called here."""


def find(name: str) -> Command:
    """The command of that name or alias, or the only one that so begins: `.ta` is `.tables`.  Raises UsageError, with
    the nearest name."""
    command = COMMANDS.get(name.lower())
    if command is not None:
        return command
    from kvsh.arguments import UsageError

    hint = HINTS.get(name.lower().rstrip("+"))
    if hint is None and name.startswith(".") and len(name) > 1:
        meant = {item.name: item for key, item in COMMANDS.items() if key.startswith(name.lower())}
        if len(meant) == 1:
            return meant.popitem()[1]
        if meant:
            raise UsageError(f"{name} could be {', '.join(sorted(meant))}")
    if hint is not None:
        raise UsageError(f"{name} is not known here: use {hint}")
    if name.startswith("\\"):
        raise UsageError(f"unknown command: {name}: commands begin with a dot; see .help")
    from kvsh.themes import nearest

    raise UsageError(f"unknown command: {name}{nearest(name, list(COMMANDS))}; see .help")


__all__ = ["COMMANDS", "GROUPS", "HINTS", "Command", "find"]
