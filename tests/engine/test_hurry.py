"""The interpreter's switch interval is short during durable commits, and the program's own afterwards."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import kvsh
from engine.file import OsFile
from engine.hurry import HURRY, INTERVAL_SECONDS

USUAL_SECONDS = 0.003


@pytest.fixture(autouse=True)
def interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(USUAL_SECONDS)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize(("durability", "during"), [("full", INTERVAL_SECONDS), ("off", None)])
def test_a_durable_commit_is_hurried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str, during: float | None
) -> None:
    found = set()
    sync = OsFile.sync

    def watched(self: OsFile) -> None:
        found.add(round(sys.getswitchinterval(), 6))
        sync(self)

    with kvsh.open(tmp_path / "a.db", durability=durability) as db:  # type: ignore[arg-type]
        db.put("a", "b")
        monkeypatch.setattr(OsFile, "sync", watched)
        db.put("a", "c")
        assert found == (set() if during is None else {during})
        assert sys.getswitchinterval() == pytest.approx(USUAL_SECONDS)
        monkeypatch.undo()


def test_the_last_one_out_restores_it() -> None:
    inside, leave = threading.Event(), threading.Event()

    def commit() -> None:
        with HURRY:
            inside.set()
            leave.wait()

    other = threading.Thread(target=commit)
    with pytest.raises(ZeroDivisionError), HURRY:
        other.start()
        inside.wait()
        raise ZeroDivisionError
    assert sys.getswitchinterval() == pytest.approx(INTERVAL_SECONDS)
    leave.set()
    other.join()
    assert sys.getswitchinterval() == pytest.approx(USUAL_SECONDS)
