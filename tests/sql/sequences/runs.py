"""A seed's sequence, taken until its end or the first difference, and cut down to the steps that it takes."""

from __future__ import annotations

import random
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.sql.sequences.maker import Maker, settings
from tests.sql.sequences.pair import Mismatch, Pair
from tests.sql.sequences.steps import Do, Settings, Step

SIZES = (30, 200, 1000, 5000, 30_000)


class Failure(NamedTuple):
    """The first difference of a sequence, and what led to it."""

    kind: str
    told: str
    settings: Settings
    span: int
    steps: list[Step]


def run(seed: int, count: int, rows_max: int | None = None) -> tuple[int, Failure | None]:
    """How many steps were taken, and what went wrong."""
    rng = random.Random(seed)
    span = rows_max or rng.choice(SIZES)
    chosen = settings(rng, span)
    taken: list[Step] = []
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(Path(folder), chosen, span=span)
        maker = Maker(rng, pair, span)
        try:
            while len(taken) < count:
                taken.append(maker.next())
                pair.take(taken[-1])
            for step in END:
                taken.append(step)
                pair.take(step)
            pair.close()
        except Exception as error:  # whatever it is, it is to be found out
            return len(taken), Failure(_kind(error), _told(error), chosen, span, taken)
    return len(taken), None


END: tuple[Step, ...] = (
    Do("drain"),
    Do("contents"),
    Do("check", "abc"),
    Do("kill"),
    Do("reopen"),
    Do("contents"),
    Do("check", "a"),
)


def replay(steps: Sequence[Step], chosen: Settings, span: int) -> tuple[int, Exception] | None:
    """Take the steps once more: the place of the first that fails, and how."""
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(Path(folder), chosen, span=span)
        for place, step in enumerate(steps):
            try:
                pair.take(step)
            except Exception as error:  # as in `run`
                return place, error
        pair.close()
    return None


def shrunk(failure: Failure, seconds: float) -> Failure:
    """The same kind of failure by fewer steps: parts are left out as long as it stays (delta debugging)."""
    ends = time.monotonic() + seconds
    steps = failure.steps
    told = failure.told
    part = max(1, len(steps) // 2)
    while True:
        place, progress = 0, False
        while place < len(steps) and time.monotonic() < ends:
            fewer = [*steps[:place], *steps[place + part :]]
            found = replay(fewer, failure.settings, failure.span)
            if found is not None and _kind(found[1]) == failure.kind:
                steps, told, progress = fewer[: found[0] + 1], _told(found[1]), True
            else:
                place += part
        if part > 1:
            part //= 2
        elif not progress or time.monotonic() > ends:
            return failure._replace(steps=steps, told=told)


def _kind(error: Exception) -> str:
    return error.kind if isinstance(error, Mismatch) else type(error).__name__


def _told(error: Exception) -> str:
    if isinstance(error, Mismatch):
        return str(error)
    return "".join(traceback.format_exception(error))[-1200:]
