"""Rows that know the classes of their columns' values, so that nobody has to look at every value to find out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


class TypedRows(list[tuple[Any, ...]]):
    """Rows, and of each column the class of all of its values, which are SQL's as they are; None if they have to be
    looked at."""

    __slots__ = ("classes",)

    def __init__(self, rows: Iterable[tuple[Any, ...]], classes: Sequence[type | None]) -> None:
        super().__init__(rows)
        self.classes = classes
