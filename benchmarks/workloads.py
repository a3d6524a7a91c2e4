"""What a workload is, and the registry of all of them.

A workload's `run(peer, size, directory)` does its own set-up, times the part that counts with
`Stopwatch`, and returns an answer that all peers must agree on (None: nothing to compare).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class Stopwatch:
    """Sums the seconds spent inside its `with` blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0

    def __enter__(self) -> Stopwatch:
        self._since = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        self.seconds += time.perf_counter() - self._since


Run = Callable[["Job"], Any]


@dataclass
class Job:
    """One run of a workload by one peer: where it may write, how large it is, its stopwatch."""

    peer: str
    size: int
    directory: str
    watch: Stopwatch = field(default_factory=Stopwatch)
    notes: dict[str, Any] = field(default_factory=dict)

    def path(self, name: str = "bench.db") -> str:
        return f"{self.directory}/{name}"


@dataclass(frozen=True)
class Workload:
    """A row of the table.  `goal`: kvsh's speed over the best sqlite peer's that is aimed at."""

    name: str
    title: str
    goal: float | None
    run: Run
    peers: tuple[str, ...]
    size: int
    quick_size: int
    rounds: int = 5


WORKLOADS: dict[str, Workload] = {}


def workload(
    name: str,
    title: str,
    *,
    goal: float | None,
    peers: tuple[str, ...],
    size: int,
    quick_size: int | None = None,
    rounds: int = 5,
) -> Callable[[Run], Run]:
    """Register the decorated function as a workload."""

    def register(run: Run) -> Run:
        WORKLOADS[name] = Workload(name, title, goal, run, peers, size, quick_size or size, rounds)
        return run

    return register
