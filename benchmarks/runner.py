"""Rounds in which peers take turns, each run in a fresh process; ratios of pairs within a round."""

from __future__ import annotations

import importlib.util
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from typing import Any

from benchmarks.workloads import Workload

NEEDED = {"lmdb": "lmdb", "rocksdict": "rocksdict", "duckdb": "duckdb", "apsw": "apsw"}
PROGRAMS = {"sqlite-cli": "sqlite3", "litecli": "litecli"}
BASELINES = ("sqlite", "sqlite-tuned", "sqlite-cli")
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

    `ratios` are, per round, the fastest baseline's seconds over kvsh's."""

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


def run(workload: Workload, *, quick: bool, rounds: int | None = None) -> Outcome:
    """All rounds of one workload."""
    size = workload.quick_size if quick else workload.size
    outcome = Outcome(workload, size)
    peers = [peer for peer in workload.peers if is_there(peer)]
    count = rounds or (min(workload.rounds, 3) if quick else workload.rounds)
    for number in range(count):
        turn = peers[number % len(peers) :] + peers[: number % len(peers)]
        answers: dict[str, str | None] = {}
        times: dict[str, float] = {}
        for peer in turn:
            result = _one(workload, peer, size)
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
        baseline = [times[peer] for peer in BASELINES if peer in times]
        if "kvsh" in times and baseline:
            outcome.ratios.append(min(baseline) / max(times["kvsh"], 1e-9))
    return outcome


def _one(workload: Workload, peer: str, size: int) -> dict[str, Any] | str:
    """One run in its own process: the worker's result, or what went wrong."""
    directory = tempfile.mkdtemp(prefix="kvsh-bench-")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.worker", workload.name, peer, str(size), directory],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end within {TIMEOUT_SECONDS} s"
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "failed"
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
