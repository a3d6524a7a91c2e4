"""Conditions on a row's own columns that no codes decide, remembered with the columns that are kept.

    RowTest(key, places, decide, ...)          decide: a batch's columns -> a byte for each row

`c_commitdate < c_receiptdate`, an arithmetic condition, an OR of several columns take 30 to 200 ns a row, and the same
batch of columns gives the same bytes again, for as long as it is kept.  A condition that is asked for again, with the same
values from outside, leaves them with the first of its columns; from then on it is an AND of bytes like those that
codes decide.  (The idea: predicate caching, Schmidt, Durner, Giceva and Neumann, SIGMOD 2024.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import is_
from typing import Any

from msgspec import Struct

from btree import Column

_MASKS_MAX = 8
"""Conditions that are remembered for a column; the oldest one goes then."""
_ASKED_MAX = 512

_asked: dict[str, None] = {}
"""Conditions that somebody has asked for, the latest ones last."""


class _Known(Struct):
    """What a condition gave for a batch, and the other columns that it looked at."""

    mask: bytes | bool
    others: list[Sequence[Any]]


class RowTest:
    """A condition that depends on a row's values in some columns, and on values that are known when a run begins.

    `key` tells it from all others on the table; `outside` are those values."""

    __slots__ = ("_again", "_decide", "_key", "_places")

    def __init__(
        self,
        key: str,
        places: tuple[int, ...],
        decide: Callable[..., bytes],
        outside: tuple[Any, ...] = (),
    ) -> None:
        self._key = f"{key} {outside!r}" if outside else key
        self._places = places
        self._decide = decide
        self._again = self._key in _asked
        if not self._again and len(_asked) >= _ASKED_MAX:
            _asked.pop(next(iter(_asked)), None)
        _asked[self._key] = None

    def decided(self, batch: tuple[Sequence[Any], ...]) -> bytes | bool | None:
        """A byte for each row, 1 where it meets the condition; True for all of them, False for none; None where
        that is not remembered."""
        column = batch[self._places[0]]
        if not isinstance(column, Column):
            return None
        masks = column.derived("masks")
        others = [batch[place] for place in self._places[1:]]
        if isinstance(masks, dict):
            known = masks.get(self._key)
            if known is not None and all(map(is_, known.others, others)):
                mask: bytes | bool = known.mask
                return mask
        if not self._again or not column.is_to_stay:
            return None
        mask = self._decide(column, *others)
        if 1 not in mask:
            mask = False
        elif 0 not in mask:
            mask = True
        masks = dict(masks) if isinstance(masks, dict) else {}
        added = len(column) if len(masks) < _MASKS_MAX else 0
        if not added:
            del masks[next(iter(masks))]
        masks[self._key] = _Known(mask, others)
        column.keep("masks", masks, added)
        return mask
