"""Pauses of the garbage collector pass over what is made in bulk, and never put the collector's rounds off for good."""

from __future__ import annotations

import contextlib
import gc
import itertools
import weakref
from collections.abc import Iterator

import pytest

import btree
from btree import CollectorPaused, collector, resume_collections
from tests.interrupting import Interrupting, Stop, folders


class Knot:
    """An object in a cycle: only the collector can let it go."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _collector_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(collector._PassedOver, "count", 0)
    monkeypatch.setattr(collector._PassedOver, "most", collector.PASSED_OVER_MAX)
    gc.collect()
    yield
    assert gc.isenabled()
    assert gc.get_freeze_count() < collector.FROZEN_ALWAYS_MAX


def test_what_is_made_in_bulk_goes_unseen() -> None:
    gc.collect()  # or the last object that is made before the pause may well start a collection
    before = [generation["collections"] for generation in gc.get_stats()]
    with CollectorPaused():
        made = [[number] for number in range(100_000)]
    assert [generation["collections"] for generation in gc.get_stats()] == before
    assert gc.get_count()[0] < 700
    assert len(made) == 100_000


def test_cycles_are_collected_between_pauses_that_come_again_and_again() -> None:
    dropped = weakref.ref(Knot())
    for _ in range(100_000):
        with CollectorPaused():
            Knot()
        if dropped() is None:
            break
    assert dropped() is None


def test_cycles_are_collected_among_pauses_in_which_much_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collector, "PASSED_OVER_MAX", 50_000)
    monkeypatch.setattr(collector._PassedOver, "most", 50_000)
    dropped = weakref.ref(Knot())
    before = len(gc.get_objects())
    kept = []
    for _ in range(20):
        with CollectorPaused():
            kept.append([[number] for number in range(5_000)])
    assert dropped() is None
    # As many as there are objects: the next round is not after a few more.
    assert collector._PassedOver.most > 50_000 + before // 2


def test_ctrl_c_at_any_point_of_a_pause_leaves_the_collector_on() -> None:
    for at in itertools.count(1):
        points = Interrupting(at, folders(btree))
        with contextlib.suppress(Stop), points, CollectorPaused():
            [[number] for number in range(3_000)]
        assert gc.isenabled()
        if points.count < at:
            break
    assert at > 8


def test_a_program_that_has_the_collector_off_keeps_it_off() -> None:
    gc.disable()
    try:
        with CollectorPaused():
            assert not gc.isenabled()
        assert not gc.isenabled()
        resume_collections()
        assert gc.isenabled()
    finally:
        gc.enable()


def test_frozen_objects_of_a_program_stay_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with CollectorPaused():
            made = [[number] for number in range(10_000)]
        assert gc.get_freeze_count() == frozen
        assert len(made) == 10_000
    finally:
        gc.unfreeze()
