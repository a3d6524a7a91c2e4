"""Rounds in which peers take turns, each run in a fresh process; ratios of pairs within a round."""

from __future__ import annotations

import compileall
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.syncs import SyncCounter
from benchmarks.workloads import Workload

NEEDED = {"lmdb": "lmdb", "rocksdict": "rocksdict", "duckdb": "duckdb", "apsw": "apsw"}
PROGRAMS = {"sqlite-cli": "sqlite3", "litecli": "litecli"}
TIMEOUT_SECONDS = 900


def is_there(peer: str) -> bool:
    """Whether the peer is installed."""
    module = NEEDED.get(peer)
    if module is not None:
        return importlib.util.find_spec(module) is not None
    program = PROGRAMS.get(peer)
    return program is None or shutil.which(program) is not None


@dataclass
class Outcome:
    """What a workload gave: per peer the seconds of each round, and the ratios that count.

    `ratios` are, per round, the seconds of the fastest to beat over ours."""

    workload: Workload
    size: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_mib: dict[str, float] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    ratios: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios; None without a baseline."""
        return statistics.median(self.ratios) if self.ratios else None

    def median(self, peer: str) -> float | None:
        """The peer's median seconds."""
        found = self.seconds.get(peer)
        return statistics.median(found) if found else None


def run(workload: Workload, place: Place, *, quick: bool, rounds: int | None = None) -> Outcome:
    """All rounds of one workload.  Peers that no ratio is taken with run in the first round alone."""
    size = workload.quick_size if quick else workload.size
    outcome = Outcome(workload, size)
    peers = [peer for peer in workload.peers if is_there(peer)]
    most = 1 if workload.goal is None else 2
    count = rounds or (min(workload.rounds, most) if quick else workload.rounds)
    ours = workload.peers[0]
    for number in range(count):
        turn = peers[number % len(peers) :] + peers[: number % len(peers)]
        answers: dict[str, str | None] = {}
        times: dict[str, float] = {}
        for peer in turn:
            if number and peer != ours and peer not in workload.against:
                continue
            result = _one(workload, peer, size, place)
            if isinstance(result, str):
                outcome.problems.append(f"{peer}: {result}")
                continue
            answers[peer] = result["answer"]
            times[peer] = result["seconds"]
            outcome.seconds.setdefault(peer, []).append(result["seconds"])
            outcome.peak_mib[peer] = max(outcome.peak_mib.get(peer, 0), result["peak_mib"])
            outcome.notes[peer] = result["notes"]
        wanted = {answer for answer in answers.values() if answer is not None}
        if len(wanted) > 1:
            outcome.problems.append(f"answers differ: {answers}")
            continue
        baseline = [times[peer] for peer in workload.against if peer in times]
        if ours in times and baseline:
            outcome.ratios.append(min(baseline) / max(times[ours], 1e-9))
    return outcome


class Place:
    """Where a run of the benchmarks keeps what all workloads share."""

    def __init__(self, directory: str) -> None:
        self.shared = os.path.join(directory, "prepared")
        os.mkdir(self.shared)
        self.syncs = SyncCounter(directory)


ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@contextmanager
def place() -> Iterator[Place]:
    """A place for one run, deleted with all that is in it.

    What is to be measured is compiled as an installed package is: a new process only loads it, even where
    Python has been told to leave no compiled files behind."""
    for package in ("engine", "btree", "sql", "kvsh"):
        compileall.compile_dir(os.path.join(ROOT, package), quiet=2)
    with tempfile.TemporaryDirectory(prefix="kvsh-bench-") as directory:
        yield Place(directory)


def _one(workload: Workload, peer: str, size: int, place: Place) -> dict[str, Any] | str:
    """One run in its own process: the worker's result, or what went wrong."""
    with tempfile.TemporaryDirectory(prefix="kvsh-bench-") as directory:
        work = os.path.join(directory, "work")
        os.mkdir(work)
        counted = os.path.join(directory, "syncs")
        arguments = [workload.name, peer, str(size), work, place.shared]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.worker", *arguments],
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
                env=place.syncs.environment(counted) if workload.commits else None,
            )
        except subprocess.TimeoutExpired:
            return f"no end within {TIMEOUT_SECONDS} s"
        syncs = place.syncs.count(counted) if workload.commits else None
    if done.returncode:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "failed"
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if syncs is not None:
        result["notes"]["syncs"] = syncs
        if syncs < workload.commits:
            return f"not durable: {syncs} syncs for {workload.commits} commits"
    return result
