"""Ctrl-C at every point where a file is opened, made, renamed or closed: no descriptor is left, and none is closed twice."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import engine
from btree import open_store
from engine.file import OsFile, OsFileSystem
from tests.interrupting import Interrupting, Stop, folders

PLACES = folders(engine)
EVERY = int(os.environ.get("KVSH_TEST_POINTS", "11"))
FILES = "/proc/self/fd"
needs_proc = pytest.mark.skipif(not os.path.isdir(FILES), reason="open descriptors can't be listed")


def descriptors() -> set[int]:
    """Those that are open."""
    found = set()
    for name in os.listdir(FILES):
        with suppress(OSError):  # that of the list itself
            os.fstat(int(name))
            found.add(int(name))
    return found


def each_point(monkeypatch: pytest.MonkeyPatch, work: Callable[[int], Any], every: int = 1) -> int:
    """Do the work with Ctrl-C at each point in turn, or each of so many; how many there were."""
    unheard: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unheard.append)
    monkeypatch.setattr(
        logging.root.manager, "disable", logging.CRITICAL
    )  # pytest keeps the errors
    at = 1
    before = descriptors()
    while True:
        others: list[int] = []
        unheard.clear()
        try:
            with Interrupting(at, PLACES, but=("__del__", "forget", "acquire")) as interrupting:
                work(at)
        except Stop:
            # Whoever closes a descriptor once more now closes one of these.
            others = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
        gc.collect()
        for other in others:
            os.fstat(other)
            os.close(other)
        left = descriptors() - before
        if unheard:  # it came in a finalizer, which nobody calls again
            for descriptor in left:
                os.close(descriptor)
        else:
            assert not left, f"point {at}"
        if interrupting.count < at:
            return at
        at += every


@needs_proc
def test_a_file_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = OsFileSystem()
    path = str(tmp_path / "file")

    def work(at: int) -> None:
        with suppress(FileExistsError):
            system.create(path, bytes(4096), replace=bool(at % 2) and os.path.exists(path))
        file: OsFile = system.open(path, readonly=False)
        file.words()[0] = at
        file.sync()
        file.close()
        file.close()

    assert each_point(monkeypatch, work) > 20
    assert [name for name in os.listdir(tmp_path) if name != "file"] == []


@needs_proc
def test_a_file_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are neither files without a name nor hard links."""
    monkeypatch.setattr("engine.file._create_unnamed", lambda *_: False)
    system = OsFileSystem()

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "no hard links")

    monkeypatch.setattr(os, "link", refuse)

    def work(at: int) -> None:
        path = str(tmp_path / f"file{at}")
        system.create(path, bytes(4096), replace=False)
        system.open(path, readonly=True).close()

    assert each_point(monkeypatch, work) > 20


@needs_proc
def test_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(at: int) -> None:
        path = tmp_path / "db"
        path.unlink(missing_ok=True)
        for value in (b"1", b"2"):
            store = open_store(path)
            try:
                store.put(b"key", value)
            finally:
                store.close()

    assert each_point(monkeypatch, work, EVERY) > 200
