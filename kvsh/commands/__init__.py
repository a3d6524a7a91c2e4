"""The one table of commands: the raw commands and the dot commands, for the executor, help and completion."""

from __future__ import annotations

from kvsh.commands.command import Command
from kvsh.commands.elsewhere import HINTS
from kvsh.commands.table import COMMANDS, GROUPS


def find(name: str) -> Command:
    """The command of that name or alias, or the only one that so begins: `.ta` is `.tables`, and psql's `\\d+` its
    `\\d`.  Raises UsageError, with the nearest name."""
    lowered = name.lower()
    if lowered[:1] == "\\":
        lowered = lowered.rstrip("+")
    command = COMMANDS.get(lowered)
    if command is not None:
        return command
    from kvsh.arguments import UsageError

    known = lowered if lowered in HINTS else None
    if known is None and name.startswith(".") and len(name) > 1:
        meant = {item.name: item for key, item in COMMANDS.items() if key.startswith(lowered)}
        if len(meant) == 1:
            return meant.popitem()[1]
        if meant:
            raise UsageError(f"{name} could be {', '.join(sorted(meant))}")
        begun = [key for key in HINTS if key.startswith(lowered)]
        known = begun[0] if len(begun) == 1 else None
    if known is not None:
        raise UsageError(f"{known} is not known here: use {HINTS[known]}")
    if name.startswith("\\"):
        raise UsageError(f"unknown command: {name}: commands begin with a dot; see .help")
    from kvsh.themes import nearest

    alike = [key for key in COMMANDS if (key[:1] == ".") == (name[:1] == ".")]
    raise UsageError(f"unknown command: {name}{nearest(name, alike)}; see .help")


__all__ = ["COMMANDS", "GROUPS", "HINTS", "Command", "find"]
