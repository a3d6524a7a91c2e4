"""The power is cut at every kind of moment; thousands of disks are found afterwards.

`python -m tests.engine.crash --states 1000000 --seed N` does the same for hours.
"""

from __future__ import annotations

import random

import pytest

from tests.engine.crash import BrokenPromiseError, crash_round, examine
from tests.engine.simulated import Operation, SimulatedDisk
from tests.engine.workload import Workload, small_limits


@pytest.mark.parametrize("seed", range(26))
def test_acknowledged_commits_survive_every_power_cut_and_no_transaction_is_half_there(
    seed: int,
) -> None:
    assert crash_round(seed) > 300


@pytest.mark.parametrize("durability", ["normal", "off"])
@pytest.mark.parametrize("seed", range(4))
def test_when_a_process_dies_nothing_is_lost_at_any_durability(durability: str, seed: int) -> None:
    with small_limits():
        workload = Workload(seed, durability=durability).run(12)
        for cut in workload.disk.cuts():
            examine(workload, cut, Everything(0))


@pytest.mark.parametrize("durability", ["normal", "off"])
@pytest.mark.parametrize("seed", range(4))
def test_with_less_durability_a_power_cut_loses_whole_transactions_at_the_end_alone(
    durability: str, seed: int
) -> None:
    rng = random.Random(seed)
    with small_limits():
        workload = Workload(seed, durability=durability).run(12)
        workload.acknowledged = workload.backups = []
        for cut in workload.disk.cuts():
            examine(workload, cut, rng)


class Everything(random.Random):
    """Chooses that all of the pending operations survive: the kernel lives on."""

    def randrange(self, *bounds: int) -> int:  # type: ignore[override]
        return 1 if bounds == (8,) or bounds == (4,) else 0

    def random(self) -> float:
        return 0.9


def test_the_simulation_itself_notices_a_disk_whose_syncs_do_nothing() -> None:
    assert_noticed("sync")


def test_the_simulation_itself_notices_directory_syncs_that_do_nothing() -> None:
    assert_noticed("sync_directory")


def assert_noticed(forgotten: str) -> None:
    class Forgetful(list[Operation]):
        def append(self, operation: Operation) -> None:
            if operation.kind != forgotten:
                super().append(operation)

    rng = random.Random(1)
    with small_limits():
        disk = SimulatedDisk()
        disk.operations = Forgetful()
        workload = Workload(3, disk=disk).run(20)
        with pytest.raises(BrokenPromiseError, match=r"lost|can't be opened"):
            for cut in workload.disk.cuts():
                for _ in range(20):
                    examine(workload, cut, rng)
