"""When it is tried whether statements go together with those that follow them.

Whether they do is known when it has been tried, and a try costs about what a statement does.  So where they did not, a
few run by themselves before the next try.
"""

from __future__ import annotations

ALONE_MAX = 8
"""So many statements run by themselves before it is tried again."""


class Tries:
    """How many statements of an input are yet to run by themselves."""

    def __init__(self, alone: int = 0) -> None:
        self.alone = alone

    def due(self) -> bool:
        """Whether to try, behind a statement that has run by itself."""
        if self.alone:
            self.alone -= 1
            return False
        return True

    def failed(self, alone: int = ALONE_MAX) -> None:
        """The next `alone` statements run by themselves."""
        self.alone = alone
