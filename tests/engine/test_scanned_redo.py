"""Redo commits are taken in many at once: exactly those, whatever is damaged, that are taken in one by one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from engine import OsFileSystem, PageStore, log
from engine.log import Log


def of_commits(path: Path, numbers: random.Random) -> None:
    """A file with runs of redo commits, and pages commits between some of them."""
    with PageStore.open(path, durability="off") as store:
        for _ in range(numbers.randrange(1, 6)):
            if numbers.random() < 0.5:
                writer = store.begin()
                for _ in range(numbers.randrange(1, 4)):
                    writer.put(writer.allocate(), numbers.randbytes(numbers.randrange(300)))
                writer.commit_pages()
            for _ in range(numbers.choice((1, 3, 40))):
                store.commit_redo(numbers.randbytes(numbers.randrange(200)))


def taken_in(path: Path, *, one_by_one: bool) -> dict[str, Any]:
    file = OsFileSystem().open(str(path), readonly=True)
    # A commit to stop at, which never comes, has each of them looked at by itself.
    found = Log(file, str(path), stop_lsn=1 << 60 if one_by_one else None, from_start=True)
    stopped_at = found.scan()
    file.close()
    kept = ("lsn", "base_lsn", "chain_crc", "next_page", "end", "synced", "redo", "redo_bytes")
    return {"stopped at": stopped_at, **{name: getattr(found, name) for name in kept}}


@pytest.mark.parametrize("seed", range(40))
def test_many_at_once_are_those_one_by_one(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = random.Random(seed)
    monkeypatch.setattr(log, "_WINDOW_BYTES", numbers.choice((500, 2000, 1 << 20)))
    path = tmp_path / "a.db"
    of_commits(path, numbers)
    whole = taken_in(path, one_by_one=False)
    assert whole == taken_in(path, one_by_one=True)
    assert whole["lsn"] > 0
    content = path.read_bytes()
    for _ in range(20):
        damaged = bytearray(content)
        at = numbers.randrange(4096, whole["end"])
        match numbers.randrange(4):
            case 0:
                damaged[at] ^= 1 << numbers.randrange(8)
            case 1:
                del damaged[at:]
            case 2:
                damaged[at:] = bytes(len(damaged) - at)
            case _:  # an older record in the place of a newer one
                other = numbers.randrange(4096, whole["end"]) & -8
                damaged[at & -8 : (at & -8) + 160] = damaged[other : other + 160]
        path.write_bytes(damaged)
        assert taken_in(path, one_by_one=False) == taken_in(path, one_by_one=True)
