"""What a person at the prompt is told of statements.

Changes that follow each other in a long input are told in one line: of 500 pasted INSERTs nobody reads 500."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvsh.reader import Unit
    from sql import SqlNameError

ONE_BY_ONE_MAX = 5
"""An input of so many statements is told one by one."""

_CHANGES = ("insert", "replace", "update", "delete")


def is_change(unit: Unit | None) -> bool:
    """Whether a unit is an INSERT, UPDATE or DELETE that shows nothing."""
    if unit is None or unit.kind != "sql":
        return False
    text = unit.text.lower()
    return text.startswith(_CHANGES) and "returning" not in text


class Told:
    """Rows, statements and seconds of the changes that `say` has not been told of."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self.has_more = False
        """Whether what runs is a change that another one follows."""
        self._statements = self._rows = 0
        self._seconds: float | None = None

    def changed(self, rows: int, seconds: float | None, *, statements: int = 1) -> None:
        """A statement, or several, changed so many rows, and took so long if that is to be told."""
        self._statements += statements
        self._rows += rows
        self._seconds = seconds if self._seconds is None else self._seconds + (seconds or 0.0)
        if not self.has_more:
            self.end()

    def end(self) -> None:
        """Tell now: something else is going to be shown."""
        if not self._statements:
            return
        from kvsh.draw.pen import counted
        from kvsh.repl.status import duration

        text = f"{counted(self._rows, 'row')} changed"
        if self._statements > 1:
            text += f" by {self._statements:,} statements"
        if self._seconds is not None:
            text += f" in {duration(self._seconds)}"
        self._statements = self._rows = 0
        self._seconds = None
        self._say(text)


def texts_told(errors: list[SqlNameError], statement: str) -> Iterator[str]:
    """A note for each name in double quotes that no column has: SQLite, and so we, take it for a text.

    Once for a statement whose plan is kept.  What a view's text says is not the user's own."""
    for name, error in {error.token: error for error in errors}.items():
        if f'"{name}"' in statement:
            near = f"; did you mean {error.suggestions[0]}?" if error.suggestions else ""
            yield f"note: {error}, so \"{name}\" is the text '{name}'{near}"
