"""Readers beside a committing writer, writers beside each other in threads, and readers in processes."""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
from statistics import median
from typing import Any

from benchmarks.peers import open_peer
from benchmarks.workloads import Job, workload
from benchmarks.workloads_kv import key_of, pairs_of, put_all, value_of

SECONDS = 1.0
TURNS = 3
"""Of one and the other, of which the median counts."""


def _filled(job: Job) -> Any:
    import kvsh

    db = kvsh.open(job.path(), durability="full")
    with db.transaction():
        for number in range(job.size):
            db.put(key_of(number), value_of(number))
    return db


def _read(db: Any, size: int, stop: threading.Event, counts: list[int]) -> None:
    numbers = random.Random(threading.get_ident())
    keys = [key_of(numbers.randrange(size)) for _ in range(1000)]
    done = 0
    while not stop.is_set():
        for key in keys:
            db.get(key)
        done += len(keys)
    counts.append(done)


def _write(db: Any, stop: threading.Event, counts: list[int]) -> None:
    done = 0
    while not stop.is_set():
        db.put(key_of(done), b"w" * 100)
        done += 1
    counts.append(done)


def _measured(db: Any, size: int, readers: int, writers: int) -> tuple[float, float]:
    """Reads and commits per second."""
    stop = threading.Event()
    reads: list[int] = []
    commits: list[int] = []
    threads = [threading.Thread(target=_read, args=(db, size, stop, reads)) for _ in range(readers)]
    threads += [threading.Thread(target=_write, args=(db, stop, commits)) for _ in range(writers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    stop.set()
    for thread in threads:
        thread.join()
    # Each thread goes on until it has the interpreter once more: eight that read, 5 ms each, take a while to stop.
    took = time.perf_counter() - began
    return sum(reads) / took, sum(commits) / took


@workload(
    "threads-readers",
    "readers beside a durable writer (goals: 80 % of reads, 1,000 commits/s)",
    goal=None,
    peers=("kvsh",),
    size=100_000,
    rounds=1,
)
def _readers(job: Job) -> Any:
    db = _filled(job)
    with job.watch:
        for readers in (1, 4, 8):
            shares, rates = [], []
            for _ in range(TURNS):
                alone, _ = _measured(db, job.size, readers, 0)
                beside, commits = _measured(db, job.size, readers, 1)
                shares.append(beside / alone)
                rates.append(commits)
            job.notes[f"{readers} readers: share of reads kept"] = round(median(shares), 2)
            job.notes[f"{readers} readers: commits/s"] = round(median(rates))
    db.close()
    return None


@workload(
    "threads-commits",
    "8 threads commit, durability full (goal: 4x one thread)",
    goal=None,
    peers=("kvsh",),
    size=1000,
    rounds=1,
)
def _commits(job: Job) -> Any:
    db = _filled(job)
    with job.watch:
        pairs = [
            (_measured(db, job.size, 0, 1)[1], _measured(db, job.size, 0, 8)[1])
            for _ in range(TURNS)
        ]
    job.notes["commits/s, 1 thread"] = round(median(one for one, _ in pairs))
    job.notes["commits/s, 8 threads"] = round(median(eight for _, eight in pairs))
    job.notes["ratio"] = round(median(eight / one for one, eight in pairs), 2)
    db.close()
    return None


def _read_alone(peer: str, path: str, size: int, go: Any, counts: Any) -> None:
    """Reads of one process for `SECONDS`, once all are ready."""
    get = open_peer(peer, path).get
    numbers = random.Random(os.getpid())
    keys = [key_of(numbers.randrange(size)) for _ in range(1000)]
    for key in keys:
        get(key)
    go.wait()
    done, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        for key in keys:
            get(key)
        done += len(keys)
    counts.put(done)


@workload(
    "processes-readers",
    "reader processes: reads per second, one and as many as cores",
    goal=None,
    peers=("kvsh", "sqlite", "lmdb"),
    size=100_000,
    rounds=1,
)
def _reader_processes(job: Job) -> Any:
    peer = open_peer(job.peer, job.path())
    put_all(peer, pairs_of(range(job.size)))
    peer.close()
    context = multiprocessing.get_context("spawn")
    for readers in sorted({1, os.cpu_count() or 1}):
        go, counts = context.Barrier(readers), context.Queue()
        arguments = (job.peer, job.path(), job.size, go, counts)
        processes = [context.Process(target=_read_alone, args=arguments) for _ in range(readers)]
        for process in processes:
            process.start()
        total = sum(counts.get() for _ in processes)
        for process in processes:
            process.join()
        job.notes[f"reads/s, {readers} processes"] = round(total / SECONDS)
        job.watch.seconds = SECONDS / total  # a read, by as many processes as cores
    return None
