"""Power cuts, as many as you like:  python -m tests.engine.crash --states 1000000 --seed 1

Each round runs a random workload on the simulated disk, cuts the power at its operations and opens
what is left.  Every acknowledged commit has to be there, no transaction half there, the trees whole;
recovery may itself be cut, and what it has shown must stay; then writing goes on, and is cut again.  Each
disk that is found after a cut is a state.  A failure prints the command that repeats it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
from collections.abc import Iterator

from tests.engine.simulated import Cut, SimulatedDisk
from tests.engine.workload import (
    BACKUP,
    Content,
    Workload,
    broken_promises,
    opened,
    small_limits,
)

FIRST_CUTS_PER_ROUND = 400
STATES_TOLD = 100_000
"""A run without a terminal says how far it is whenever so many more have been examined."""


class BrokenPromiseError(AssertionError):
    """A state in which the store did not keep its word."""


def acknowledged_at(events: list[tuple[int, int]], point: int) -> int:
    """The newest commit acknowledged when `point` operations were done."""
    return max((lsn for done, lsn in events if done <= point), default=0)


def crash_round(seed: int, states: int = FIRST_CUTS_PER_ROUND) -> int:
    """One workload and about `states` first cuts of it; how many states were examined in all."""
    rng = random.Random(seed ^ 0x5EED)
    with small_limits():
        workload = Workload(seed).run(rng.choice([4, 12, 30]))
        points = len(workload.disk.operations) + 1
        count = 0
        for cut in workload.disk.cuts():
            wanted = states / points
            repeats = int(wanted) + (rng.random() < wanted % 1)
            for _ in range(repeats):
                count += examine(workload, cut, rng)
    return count


def examine(workload: Workload, cut: Cut, rng: random.Random) -> int:
    """The state after one cut, maybe one after a second, and one after more work; how many there were."""
    at_least = acknowledged_at(workload.acknowledged, cut.point)
    disk = cut.state(rng)
    commits = dict(workload.commits)
    problems, lsn = broken_promises(disk, commits, at_least)
    if not problems and BACKUP in disk.names:
        backed_up = acknowledged_at(workload.backups, cut.point)
        problems = [
            f"the backup: {p}" for p in broken_promises(disk, commits, backed_up, path=BACKUP)[0]
        ]
    states = 1
    if not problems and rng.random() < 0.5:
        problems = second_cut(disk, commits, at_least, lsn, rng)
        states += 1
    if not problems:
        problems = write_on(disk, commits, lsn)
        states += 1
    if problems:
        raise BrokenPromiseError(f"cut after operation {cut.point}: " + "; ".join(problems))
    return states


def second_cut(
    disk: SimulatedDisk, commits: dict[int, Content], at_least: int, seen: int, rng: random.Random
) -> list[str]:
    """The power is cut again, during the recovery or after it."""
    names, files = disk.start
    again = SimulatedDisk.found(names, files)
    store = opened(again)
    shown = len(again.operations)
    store.begin().rollback()
    point = rng.randint(0, shown)
    for cut in again.cuts():
        if cut.point == point:
            # What a reader has seen must stay.
            least = seen if point == shown else at_least
            problems, _ = broken_promises(cut.state(rng), commits, least)
            return [f"after a second cut at {point} of {shown}: {p}" for p in problems]
    raise AssertionError("no such point")


def write_on(disk: SimulatedDisk, commits: dict[int, Content], lsn: int) -> list[str]:
    """Commits go on, and survive a cut of their own."""
    store = opened(disk)
    start = store.begin().commit_number
    transaction = store.begin(write=True)
    transaction.tree(1).put(b"after", b"the cut")
    transaction.commit()
    content = {tree_id: dict(entries) for tree_id, entries in commits[lsn].items()}
    content[1][b"after"] = b"the cut"
    rng = random.Random(lsn)
    *_, last = disk.cuts()
    problems, _ = broken_promises(last.state(rng), {start + 1: content}, start + 1)
    store.close()
    return [f"writing on: {p}" for p in problems]


def rounds(seed: int, states: int, jobs: int = 1) -> Iterator[int]:
    """The numbers of states of rounds until `states` have been examined, in `jobs` processes."""
    done = 0
    seeds = range(
        seed, seed + states // FIRST_CUTS_PER_ROUND + 2
    )  # as many cuts as states, at most
    with multiprocessing.Pool(jobs) as pool:
        counts = pool.imap(crash_round, seeds)
        for number in seeds:
            try:
                done += next(counts)
            except BaseException:
                repeat = f"python -m tests.engine.crash --states 1 --seed {number}"
                print(f"repeat with: {repeat}", flush=True)
                raise
            yield done
            if done >= states:
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes to spread the work over")
    options = parser.parse_args()
    began, told = time.monotonic(), 0
    last = options.seed - 1
    for done in rounds(options.seed, options.states, options.jobs):
        last += 1
        if sys.stderr.isatty():
            print(f"\r{done:,} states", end="", file=sys.stderr)
        elif done - told >= STATES_TOLD:
            told = done
            print(f"{done:,} states so far", file=sys.stderr, flush=True)
    print(
        f"{done:,} states, workloads {options.seed} to {last},"
        f" {time.monotonic() - began:.0f} s, every promise kept"
    )


if __name__ == "__main__":
    main()
