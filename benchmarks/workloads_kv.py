"""Raw key-value workloads through the Python API: 16-byte keys, 100-byte values."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable

from benchmarks.peers import KeyValuePeer, open_peer
from benchmarks.workloads import Job, workload

SQLITE = ("kvsh", "sqlite", "sqlite-tuned")
ALL = (*SQLITE, "lmdb", "rocksdict")

VALUE_SUFFIX = b"-" * 84


def key_of(number: int) -> bytes:
    return b"%016d" % number


def value_of(number: int) -> bytes:
    return b"%016d" % number + VALUE_SUFFIX


def pairs_of(numbers: Iterable[int]) -> list[tuple[bytes, bytes]]:
    return [(key_of(number), value_of(number)) for number in numbers]


def put_all(peer: KeyValuePeer, pairs: Iterable[tuple[bytes, bytes]]) -> None:
    """Put the pairs in one transaction."""
    put = peer.put
    peer.begin()
    for key, value in pairs:
        put(key, value)
    peer.commit()


def loaded(job: Job, *, to_write: bool = False) -> KeyValuePeer:
    """A peer with `job.size` ascending keys, all of them read once."""

    def build(path: str) -> None:
        peer = open_peer(job.peer, path, durable=True)
        put_all(peer, pairs_of(range(job.size)))
        peer.close()

    peer = open_peer(job.peer, job.prepared("pairs", build, to_write=to_write))
    for _ in peer.scan(None, None):
        pass
    return peer


def shuffled(count: int, seed: int = 1) -> list[int]:
    numbers = list(range(count))
    random.Random(seed).shuffle(numbers)
    return numbers


def _get(job: Job) -> int:
    peer = loaded(job)
    keys = [key_of(number) for number in shuffled(job.size)[:100_000]]
    get = peer.get
    found = 0
    for key in keys:  # warm: every page the timed loop needs has been seen once
        get(key)
    with job.watch:
        for key in keys:
            if get(key) is not None:
                found += 1
    return found


workload("kv-get-100k", "get, hit, 100k keys", goal=4, peers=ALL, size=100_000, quick_size=30_000)(
    _get
)
workload(
    "kv-get-1m",
    "get, hit, 1M keys, warm",
    goal=4,
    peers=ALL,
    size=1_000_000,
    quick_size=100_000,
    rounds=3,
)(_get)


def _put_at_once(job: Job, numbers: Iterable[int]) -> None:
    """Put the keys of `numbers` into an empty database, in one transaction."""
    peer = open_peer(job.peer, job.path())
    pairs = pairs_of(numbers)
    with job.watch:
        put_all(peer, pairs)
    peer.close()
    job.notes["bytes_per_entry"] = round(job.bytes_on_disk() / job.size, 1)


@workload(
    "kv-put-sequential",
    "put, sequential, one transaction",
    goal=2,
    peers=ALL,
    size=500_000,
    quick_size=100_000,
)
def _put_sequential(job: Job) -> None:
    _put_at_once(job, range(job.size))


@workload(
    "kv-put-random",
    "put, random, one transaction",
    goal=2.5,
    peers=ALL,
    size=500_000,
    quick_size=100_000,
)
def _put_random(job: Job) -> None:
    _put_at_once(job, shuffled(job.size))


def _put_autocommit(job: Job, *, durable: bool) -> int:
    peer = open_peer(job.peer, job.path(), durable=durable)
    put_all(peer, pairs_of(range(10_000)))
    put = peer.put
    numbers = shuffled(job.size)
    with job.watch:
        for number in numbers:
            put(key_of(number), value_of(number))
    return sum(1 for _ in peer.scan(None, None))


@workload(
    "kv-put-autocommit-off", "put, autocommit, durability off", goal=2, peers=ALL, size=20_000
)
def _put_autocommit_off(job: Job) -> int:
    return _put_autocommit(job, durable=False)


@workload(
    "kv-put-autocommit-full",
    "put, autocommit, durability full",
    goal=1.2,
    peers=ALL,
    size=2_000,
    quick_size=1_000,
    commits=1_000,
)
def _put_autocommit_full(job: Job) -> int:
    return _put_autocommit(job, durable=True)


@workload(
    "kv-put-8-threads-full",
    "8 threads, autocommit, full, against one thread",
    goal=4,
    peers=("kvsh", "kvsh-one-thread"),
    size=4_000,
    quick_size=2_000,
    against=("kvsh-one-thread",),
)
def _put_threads(job: Job) -> int:
    peer = open_peer("kvsh", job.path(), durable=True)
    threads = 8 if job.peer == "kvsh" else 1
    share = job.size // threads

    def work(first: int) -> None:
        for number in range(first, first + share):
            peer.put(key_of(number), value_of(number))

    workers = [threading.Thread(target=work, args=(index * share,)) for index in range(threads)]
    with job.watch:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    return sum(1 for _ in peer.scan(None, None))


@workload("kv-scan", "scan all", goal=1.3, peers=ALL, size=1_000_000, quick_size=300_000, rounds=3)
def _scan(job: Job) -> tuple[int, int]:
    peer = loaded(job)
    count = length = 0
    with job.watch:
        for _, value in peer.scan(None, None):
            count += 1
            length += len(value)
    return count, length


@workload("kv-ranges", "ranges of 100", goal=2, peers=ALL, size=100_000)
def _ranges(job: Job) -> int:
    peer = loaded(job)
    starts = shuffled(job.size - 100)[:2_000]
    total = 0
    with job.watch:
        for start in starts:
            for _ in peer.scan(key_of(start), key_of(start + 100)):
                total += 1
    return total


@workload(
    "kv-delete", "delete 10 %, one transaction", goal=2, peers=ALL, size=300_000, quick_size=100_000
)
def _delete(job: Job) -> int:
    peer = loaded(job, to_write=True)
    keys = [key_of(number) for number in shuffled(job.size)[: job.size // 10]]
    delete = peer.delete
    with job.watch:
        peer.begin()
        for key in keys:
            delete(key)
        peer.commit()
    return sum(1 for _ in peer.scan(None, None))


@workload(
    "kv-put-into-1m",
    "put, random, into 1M keys",
    goal=3,
    peers=ALL,
    size=1_000_000,
    quick_size=300_000,
    rounds=3,
)
def _put_into(job: Job) -> None:
    peer = loaded(job, to_write=True)
    pairs = [(key_of(number) + b"x", value_of(number)) for number in shuffled(job.size)[:100_000]]
    with job.watch:
        put_all(peer, pairs)


def _growth(job: Job) -> None:
    """Random puts in transactions of 10,000: the last third, with all that the file is made to go through."""
    peer = open_peer(job.peer, job.path())
    numbers = shuffled(job.size)
    timed, longest = 0, 0.0
    for start in range(0, job.size, 10_000):
        part = pairs_of(numbers[start : start + 10_000])
        if (start + len(part)) * 3 <= job.size * 2:
            put_all(peer, part)
            continue
        before = job.watch.seconds
        with job.watch:
            put_all(peer, part)
        timed += len(part)
        longest = max(longest, job.watch.seconds - before)
    job.notes["us_per_put"] = round(job.watch.seconds / timed * 1e6, 2)
    job.notes["longest_transaction_ms"] = round(longest * 1e3, 1)


workload(
    "kv-growth-10k",
    "put, random, growing to 10k keys",
    goal=None,
    peers=SQLITE,
    size=10_000,
    rounds=3,
)(_growth)
workload(
    "kv-growth-3m",
    "put, random, growing to 3M keys",
    goal=3,
    peers=SQLITE,
    size=3_000_000,
    quick_size=300_000,
    rounds=1,
)(_growth)


@workload(
    "kv-get-32mb-cache",
    "get, random, 1M keys, 32 MB cache",
    goal=None,
    peers=("kvsh-32mb", "kvsh", "sqlite"),
    size=1_000_000,
    quick_size=300_000,
    rounds=3,
)
def _get_small_cache(job: Job) -> int:
    peer = loaded(job)
    keys = [key_of(number) for number in shuffled(job.size)[:20_000]]
    with job.watch:
        return sum(1 for key in keys if peer.get(key) is not None)


@workload(
    "kv-overwrite",
    "tenfold random overwriting: file size",
    goal=None,
    peers=("kvsh", "sqlite"),
    size=100_000,
    quick_size=30_000,
    rounds=1,
)
def _overwrite(job: Job) -> int:
    peer = loaded(job, to_write=True)
    for turn in range(10):
        numbers = shuffled(job.size, seed=turn)
        for start in range(0, job.size, 1_000):
            with job.watch:
                peer.begin()
                for number in numbers[start : start + 1_000]:
                    peer.put(key_of(number), value_of(number + turn))
                peer.commit()
    count = sum(1 for _ in peer.scan(None, None))
    peer.close()
    job.notes["bytes_per_entry"] = round(job.bytes_on_disk() / job.size, 1)
    return count
