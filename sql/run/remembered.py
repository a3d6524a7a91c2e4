"""Values of costly functions and of subqueries that are remembered by what they depend on, for the time of a run.

Dates, which most of such functions are asked about, repeat: the 19,000 orders of seven years have 2,400 of them.
To work one out takes 3 us, to find it among those that are known 0.05.  So do columns that refer to other tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

REMEMBERED_MAX = 1 << 14
"""Values of one function: where there are more, they will not come again soon."""


class Known(dict[Any, Any]):
    """By values that are the same wherever they are equal, what `call` gives for them."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[Any], Any]) -> None:
        self._call = call

    def __missing__(self, key: Any) -> Any:
        value = self._call(key)
        if len(self) < REMEMBERED_MAX:
            self[key] = value
        return value


class Remembered(dict[Any, Any]):
    """By a text, what `call` gives for it.  Of anything else nothing is kept: 1 and 1.0 are one key."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[Any], Any]) -> None:
        self._call = call

    def of_column(self, values: Sequence[Any]) -> tuple[list[Any], bool]:
        """What `call` gives for each of them, and whether it depends on these alone, as far as that is known."""
        return [self[value] for value in values], False

    def __missing__(self, argument: Any) -> Any:
        value = self._call(argument)
        if argument.__class__ is str and len(self) < REMEMBERED_MAX:
            self[argument] = value
        return value
