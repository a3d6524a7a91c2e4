"""The n-th operation on the disk fails, for every n of a workload.

Whatever fails: one clear error, nothing acknowledged is lost, nothing is half there, a failed commit is
not there at all; after a failed sync the handle is dead, after anything else it goes on.
"""

from __future__ import annotations

import errno
import os
import random
from typing import Any

import pytest

from btree import StorageError, StoreError
from tests.engine.crash import acknowledged_at
from tests.engine.simulated import ShortWrite, SimulatedDisk
from tests.engine.workload import (
    Content,
    Workload,
    broken_promises,
    content_of,
    opened,
    small_limits,
)

SEEDS = range(11, 11 + int(os.environ.get("KVSH_TEST_FAULTS", "2")))
"""Workloads of which every operation fails once; `KVSH_TEST_FAULTS=40` for more of them."""

KINDS = {
    "open", "create", "write", "write_synced", "sync", "rename", "sync_directory", "read", "allocate", "truncate", "list",
}  # fmt: skip
SPACE_KINDS = ("write", "allocate", "create")


class Fault:
    """Makes operation `at` fail, and those of its kind after it while `lasting`."""

    def __init__(self, disk: SimulatedDisk, at: int, error: int, *, lasting: bool) -> None:
        self.at = at
        self.error = error
        self.lasting = lasting
        self.count = 0
        self.hit = ""
        disk.before = self.before

    def before(self, kind: str) -> None:
        self.count += 1
        if self.error in (errno.ENOSPC, errno.EDQUOT) and kind in ("read", "open", "list"):
            return
        if (self.count >= self.at and not self.hit) or (self.lasting and self._like(kind)):
            self.hit = self.hit or kind
            cls = ShortWrite if self.count % 2 else OSError
            raise cls(self.error, os.strerror(self.error))

    def _like(self, kind: str) -> bool:
        return kind == self.hit or (kind in SPACE_KINDS and self.hit in SPACE_KINDS)


class FaultyWorkload(Workload):
    """A workload that lives through a fault."""

    def live_through(self, steps: int, fault: Fault) -> None:
        self.fault = fault
        self.doubtful: list[tuple[int, int, Content]] = []  # (failed at operation, lsn, content)
        self.stores = [self._opened_at_last()]
        for _ in range(steps):
            try:
                self.step()
            except StoreError as error:
                self.failed(error)
        for store in self.stores:
            store.close()
        self.commits.setdefault(self.newest() + 1, self.model)  # a checkpoint as it closed
        self.disk.before = None
        store = opened(self.disk)
        assert content_of(store.begin()) == self.model
        assert store.check() == []

    def _opened_at_last(self) -> Any:
        try:
            return self._opened()
        except StoreError as error:
            self.clear(error)
            self.disk.before = None
            return self._opened()

    def clear(self, error: StoreError) -> None:
        """The error is one sentence that names the file."""
        assert isinstance(error, StorageError), repr(error)
        assert self.fault.hit, f"without a fault: {error}"
        assert "db" in str(error) or "backup" in str(error)
        assert "\n" not in str(error)

    def failed(self, error: StoreError) -> None:
        """A step failed: look at what is there, by another handle, and go on."""
        self.clear(error)
        self.disk.before = None  # the space is freed
        acknowledged = max((lsn for _, lsn in self.acknowledged), default=0)
        try:
            self.stores[0].begin(write=True).rollback()
            alive = True
        except StoreError as second:
            assert "dead" in str(second) or "closed" in str(second), str(second)
            alive = False
        if str(error).startswith("db: a sync failed"):
            assert not alive, "it believed in a sync after one that failed"
        attempts = [
            (lsn, self.commits.pop(lsn)) for lsn in list(self.commits) if lsn > acknowledged
        ]
        failed_at = len(self.disk.operations)
        self.doubtful += [(failed_at, *attempt) for attempt in (*attempts, self.attempt)]
        # Upkeep may have failed with a checkpoint of the same content.
        self.doubtful.append((failed_at, acknowledged + 1, self.commits[acknowledged]))
        if not alive:
            self.stores[0].close()
            self.stores[0] = self._opened()
        other = opened(self.disk, readonly=True)
        reader = other.begin()
        assert reader.commit_number >= acknowledged
        assert content_of(reader) == self.commits[acknowledged]
        self.model = self.commits[acknowledged]
        other.close()
        self.note_newest()


def operations_of(seed: int, steps: int) -> int:
    disk = SimulatedDisk()
    fault = Fault(disk, 1 << 60, errno.EIO, lasting=False)
    FaultyWorkload(seed, disk=disk).live_through(steps, fault)
    return fault.count


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EDQUOT", "EINTR"])
def test_whatever_operation_fails_nothing_acknowledged_is_lost(error: str, lasting: bool) -> None:
    number = getattr(errno, error)
    hit = set()
    with small_limits():
        for seed in SEEDS:
            for at in range(1, operations_of(seed, 10) + 1):
                disk = SimulatedDisk()
                fault = Fault(disk, at, number, lasting=lasting)
                try:
                    FaultyWorkload(seed, disk=disk).live_through(10, fault)
                except BaseException as problem:
                    problem.add_note(f"seed {seed}, operation {at} ({fault.hit})")
                    raise
                hit.add(fault.hit)
    assert hit >= (KINDS if error in ("EIO", "EINTR") else KINDS - {"read", "open", "list"})


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_no_power_cut_brings_back_a_commit_that_was_reported_as_failed(error: str) -> None:
    number = getattr(errno, error)
    rng = random.Random(number)
    with small_limits():
        for seed in range(40, 60):
            disk = SimulatedDisk()
            at = rng.randint(1, 120)
            fault = Fault(disk, at, number, lasting=False)
            workload = FaultyWorkload(seed, disk=disk)
            workload.live_through(8, fault)
            for cut in disk.cuts():
                doubtful = [entry[1:] for entry in workload.doubtful if cut.point <= entry[0]]
                least = acknowledged_at(workload.acknowledged, cut.point)
                # A checkpoint as a handle closed, which fails in silence: the same content once more.
                commits = workload.commits.items()
                doubtful += [(lsn + 1, content) for lsn, content in commits if lsn >= least]
                problems, _ = broken_promises(cut.state(rng), workload.commits, least, doubtful)
                assert not problems, f"seed {seed}, operation {at}, cut at {cut.point}: {problems}"
