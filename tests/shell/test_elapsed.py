"""How long a statement has run is told until it shows something."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TextIO

import pytest

from kvsh.elapsed import Elapsed

Screen = tuple[Elapsed, TextIO, int]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """The sign, the terminal that it is drawn on, and a descriptor that reads what was."""
    reading, writing = os.openpty()
    with os.fdopen(writing, "w") as stream:
        os.set_blocking(reading, False)
        yield Elapsed(stream), stream, reading
    os.close(reading)


def _drawn(reading: int) -> str:
    try:
        return os.read(reading, 1000).decode()
    except BlockingIOError:
        return ""


def _at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr("kvsh.elapsed.time.monotonic", lambda: seconds)


def test_it_appears_after_a_while_counts_and_is_wiped(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    elapsed, _, reading = screen
    _at(monkeypatch, 100.0)
    elapsed.begin()
    for seconds, shown in (
        (101.9, ""),
        (102.1, "running for 2 s"),
        (102.4, ""),
        (165.2, "1 min 5 s"),
    ):
        _at(monkeypatch, seconds)
        elapsed.tick()
        drawn = _drawn(reading)
        assert (shown in drawn) if shown else (drawn == "")
    elapsed.end()
    assert _drawn(reading) == "\r\x1b[2K"


def test_nothing_is_drawn_once_something_is_shown(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    elapsed, _, reading = screen
    _at(monkeypatch, 100.0)
    elapsed.begin()
    elapsed.end()
    _at(monkeypatch, 110.0)
    elapsed.tick()
    assert _drawn(reading) == ""


def test_nothing_is_drawn_where_messages_go_to_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    path = os.path.join(tmp_path, "messages")
    with open(path, "w") as stream:
        elapsed = Elapsed(stream)
        _at(monkeypatch, 100.0)
        elapsed.begin()
        _at(monkeypatch, 110.0)
        elapsed.tick()
        elapsed.end()
    assert os.path.getsize(path) == 0
