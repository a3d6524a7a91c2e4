"""The history of whole statements, in one file per user that only the user may read.

Each entry is a comment with its time and the statement's lines, each behind a `+` (prompt_toolkit's format):

    # 2025-03-01 12:00:00
    +SELECT *
    +FROM artist;

Appended after each statement, so that several shells share the file.  Past twice `size` entries it is rewritten
with the newest `size`, in a new file renamed over the old one.  A statement that begins with a blank, or repeats
the one before, is not kept.  A history that can't be read or written is no reason to fail: the shell says so once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from prompt_toolkit.history import History


class StatementHistory(History):
    """prompt_toolkit's history over the file at `path` (None: in memory only); `size` entries are kept.

    `complain` is told once if the file can't be used."""

    def __init__(self, path: Path | None, size: int, complain: Callable[[str], None]) -> None:
        super().__init__()
        self.path = path if size else None
        self.size = size
        self._complain = complain

    def load_history_strings(self) -> Iterable[str]:
        """All entries, newest first."""
        entries = self._read()
        if len(entries) > 2 * self.size:
            entries = entries[-self.size :]
            self._rewrite(entries)
        return reversed(entries)

    def _read(self) -> list[str]:
        if self.path is None:
            return []
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        except OSError as error:
            self._give_up(error)
            return []
        return parse(text)

    def append_string(self, string: str) -> None:
        """Keep a statement, unless it starts with a blank or is the newest already."""
        if not string.strip() or string[0] == " ":
            return
        if self._loaded_strings and self._loaded_strings[0] == string:
            return
        super().append_string(string)

    def store_string(self, string: str) -> None:
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(entry(string))
        except OSError as error:
            self._give_up(error)

    def _rewrite(self, entries: list[str]) -> None:
        assert self.path is not None
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.writelines(map(entry, entries))
            os.replace(fresh, self.path)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._complain(f"no history is kept: {error.filename or self.path}: {error.strerror}")
        self.path = None


def entry(statement: str) -> str:
    """One statement as it stands in the file."""
    lines = "".join(f"+{line}\n" for line in statement.split("\n"))
    return f"\n# {time.strftime('%Y-%m-%d %H:%M:%S')}\n{lines}"


def parse(text: str) -> list[str]:
    """The statements of a history file, oldest first; lines of no known form are passed over."""
    entries: list[str] = []
    lines: list[str] = []
    for line in text.split("\n"):
        if line.startswith("+"):
            lines.append(line[1:])
        elif lines:
            entries.append("\n".join(lines))
            lines = []
    if lines:
        entries.append("\n".join(lines))
    return entries
