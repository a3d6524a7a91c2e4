"""What a workload is, and the registry of all of them.

A workload's `run(peer, size, directory)` does its own set-up, times the part that counts with
`Stopwatch`, and returns an answer that all peers must agree on (None: nothing to compare).
"""

from __future__ import annotations

import os
import shutil
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

BASELINES = ("sqlite", "sqlite-tuned", "sqlite-cli")
"""The peers to beat: the fastest of those that run a workload counts."""


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
    """One run of a workload by one peer: where it may write, how large it is, its stopwatch.

    `shared` is a directory that all runs of all workloads share, for databases made once."""

    peer: str
    size: int
    directory: str
    shared: str
    watch: Stopwatch = field(default_factory=Stopwatch)
    notes: dict[str, Any] = field(default_factory=dict)

    def path(self, name: str = "bench.db") -> str:
        return f"{self.directory}/{name}"

    def prepared(self, name: str, build: Callable[[str], None], *, to_write: bool = False) -> str:
        """The path of a database that `build(path)` fills: made by the first run that asks for it, in a
        process of its own, so that this one has loaded and read nothing.

        To be written to, it is copied into the run's own directory first."""
        folder = f"{self.shared}/{self.peer}-{name}-{self.size}"
        if not os.path.isdir(folder):
            shutil.rmtree(folder + ".new", ignore_errors=True)
            os.mkdir(folder + ".new")
            _run_apart(lambda: build(f"{folder}.new/bench.db"))
            os.rename(folder + ".new", folder)
        if to_write:
            shutil.copytree(folder, self.directory, dirs_exist_ok=True)
            return self.path()
        return f"{folder}/bench.db"

    def bytes_on_disk(self, path: str | None = None) -> int:
        """The size of everything beside the database at `path` (default: in the run's directory)."""
        top = self.directory if path is None else os.path.dirname(path)
        return sum(
            os.path.getsize(os.path.join(folder, name))
            for folder, _, names in os.walk(top)
            for name in names
        )


def _run_apart(work: Callable[[], None]) -> None:
    """Call `work` in a child process.  Raises RuntimeError if it fails there."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1] != 0:
        raise RuntimeError("a database could not be made: see above")


@dataclass(frozen=True)
class Workload:
    """A row of the table.  `goal`: the speed of the first peer over that of the best of `against`.

    `commits`: as many times the disk has to be synced at least, by every peer that is counted."""

    name: str
    title: str
    goal: float | None
    run: Run
    peers: tuple[str, ...]
    size: int
    quick_size: int
    rounds: int = 5
    commits: int = 0
    against: tuple[str, ...] = BASELINES


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
    commits: int = 0,
    against: tuple[str, ...] = BASELINES,
) -> Callable[[Run], Run]:
    """Register the decorated function as a workload."""

    def register(run: Run) -> Run:
        WORKLOADS[name] = Workload(
            name, title, goal, run, peers, size, quick_size or size, rounds, commits, against
        )
        return run

    return register
