"""Reads between a program's own commits, and processes that commit beside each other.

What a program does that keeps its state in a database: it changes one thing, which is a commit, and reads the next.
No commit waits for the disk, so that what counts is what reads and commits cost each other."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from typing import Any

from benchmarks.peers import KeyValuePeer, connect, open_peer
from benchmarks.workloads import Job, workload
from benchmarks.workloads_kv import key_of, loaded, value_of

PEERS = ("kvsh", "sqlite", "sqlite-tuned")
STEPS = 10_000
SECONDS = 1.0


def _keys(job: Job, seed: int) -> list[bytes]:
    numbers = random.Random(seed)
    return [key_of(numbers.randrange(job.size)) for _ in range(STEPS)]


def _raw(name: str, title: str, goal: float | None, step: Callable[..., Any]) -> None:
    """A workload that takes a step for each of some random keys: (peer, key, another key, value)."""

    def run(job: Job) -> list[bytes | None]:
        peer = loaded(job, to_write=True)
        keys, others = _keys(job, 1), _keys(job, 2)
        with job.watch:
            for number in range(STEPS):
                step(peer, keys[number], others[number], value_of(number))
        return [peer.get(key) for key in keys]

    workload(name, title, goal=goal, peers=PEERS, size=100_000, rounds=3)(run)


def _put_get(peer: KeyValuePeer, key: bytes, other: bytes, value: bytes) -> None:
    peer.put(key, value)
    peer.get(other)


def _read_modify_write(peer: KeyValuePeer, key: bytes, other: bytes, value: bytes) -> None:
    old = peer.get(key) or b""
    peer.put(key, value[:16] + old[16:])


def _put_scan(peer: KeyValuePeer, key: bytes, other: bytes, value: bytes) -> None:
    peer.put(key, value)
    for _ in peer.scan(other, key_of(int(other) + 10)):
        pass


_raw("mixed-put-get", "put and get by turns, autocommit, durability off", 1, _put_get)
_raw("mixed-rmw", "read, modify, write, autocommit, durability off", 1, _read_modify_write)
_raw("mixed-put-scan", "put and a range of 10 by turns, autocommit", None, _put_scan)


def _sql(name: str, title: str, change: str, query: str) -> None:
    def run(job: Job) -> Any:
        def build(path: str) -> None:
            con = connect(job.peer, path, durable=True)
            con.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, n INTEGER, name TEXT)")
            con.execute("BEGIN")
            rows = [(number, number, f"item {number}") for number in range(job.size)]
            con.executemany("INSERT INTO item VALUES (?, ?, ?)", rows)
            con.execute("COMMIT")
            con.close()

        con = connect(job.peer, job.prepared("mixed-sql", build, to_write=True))
        numbers = random.Random(1)
        ids = [numbers.randrange(job.size) for _ in range(STEPS)]
        con.execute("SELECT sum(n) FROM item").fetchall()
        execute, takes_one = con.execute, "?" in query
        with job.watch:
            for number in ids:
                execute(change, (number,))
                execute(query, (number,) if takes_one else ()).fetchall()
        return con.execute("SELECT count(*), sum(n) FROM item").fetchall()

    workload(name, title, goal=None, peers=PEERS, size=100_000, rounds=3)(run)


_UPDATE = "UPDATE item SET n = n + 1 WHERE id = ?"
_sql(
    "mixed-update-select",
    "UPDATE and SELECT of its row by turns, autocommit",
    _UPDATE,
    "SELECT * FROM item WHERE id = ?",
)
_sql(
    "mixed-update-range",
    "UPDATE and SELECT of 10 rows about it by turns, autocommit",
    _UPDATE,
    "SELECT * FROM item WHERE id >= ?1 - 5 AND id < ?1 + 5",
)
_sql(
    "mixed-insert-latest",
    "INSERT and SELECT of the latest 10 by turns, autocommit",
    "INSERT INTO item(n) VALUES (?)",
    "SELECT * FROM item ORDER BY id DESC LIMIT 10",
)


def _write_beside(peer: str, path: str, size: int, durable: bool, go: Any, counts: Any) -> None:
    """Commits of one process for `SECONDS`, once all are ready."""
    opened = open_peer(peer, path, durable=durable)
    opened.put(key_of(0), value_of(0))
    go.wait()
    done, longest = 0, 0.0
    now = time.monotonic()
    end = now + SECONDS
    while now < end:
        opened.put(key_of(done % size), value_of(done))
        done += 1
        before, now = now, time.monotonic()
        longest = max(longest, now - before)
    counts.put((done, longest))


@workload(
    "processes-writers",
    "writer processes: commits per second of 1, 2 and 4, and the longest",
    goal=None,
    peers=("kvsh", "sqlite-tuned"),
    size=20_000,
    rounds=1,
)
def _writer_processes(job: Job) -> Any:
    """Its time is that of a commit in each of the settings, added."""
    context = multiprocessing.get_context("spawn")
    path = job.path()
    open_peer(job.peer, path).close()
    for durable in (False, True):
        for writers in (1, 2, 4):
            go, counts = context.Barrier(writers), context.Queue()
            arguments = (job.peer, path, job.size, durable, go, counts)
            processes = [
                context.Process(target=_write_beside, args=arguments) for _ in range(writers)
            ]
            for process in processes:
                process.start()
            found = [counts.get() for _ in processes]
            for process in processes:
                process.join()
            done = [count for count, _ in found]
            job.watch.seconds += SECONDS / sum(done)
            title = f"{writers} writers, durability {'full' if durable else 'off'}"
            job.notes[f"{title}: commits/s"] = round(sum(done) / SECONDS)
            job.notes[f"{title}: least and most of one"] = f"{min(done)}, {max(done)}"
            job.notes[f"{title}: longest ms"] = round(max(wait for _, wait in found) * 1000)
    return None
