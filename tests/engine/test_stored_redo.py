"""Long redo is kept by where it lies in the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import CorruptionError, PageStore
from engine.stored_redo import LONG_BYTES, StoredRedo


@pytest.mark.parametrize("durability", ["full", "normal", "off"])
def test_it_is_what_was_committed(tmp_path: Path, durability: str) -> None:
    path = tmp_path / "db"
    payloads = [b"short", b"long" * LONG_BYTES, b"a" * LONG_BYTES, b"short, too"]
    with PageStore.open(path, durability=durability) as store:  # type: ignore[arg-type]
        for payload in payloads:
            store.commit_redo(payload)
        with PageStore.open(path, readonly=True) as other, PageStore.open(path, at=3) as older:
            for seen, count in ((store, 4), (other, 4), (older, 3)):
                with seen.snapshot() as snapshot:
                    assert [redo for _, redo in snapshot.redo()] == payloads[:count]
                    assert [redo for _, redo in snapshot.redo(1)] == payloads[1:count]
                kept = [redo.__class__ for _, redo in seen.current_log.redo]
                assert kept == [bytes, StoredRedo, StoredRedo, bytes][:count]
                assert seen.redo_held_bytes < 1000
        writer = store.begin()
        assert [redo for _, redo in writer.redo(2)] == payloads[2:]
        writer.rollback()
        store.compact()
        with store.snapshot() as snapshot:
            assert [redo for _, redo in snapshot.redo()] == payloads


def test_its_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with PageStore.open(path, durability="off") as store:
        store.commit_redo(b"a" * LONG_BYTES)
        data = path.read_bytes()
        with path.open("r+b") as file:
            file.seek(data.index(b"aaaa") + 1000)
            file.write(b"b")
        with store.snapshot() as snapshot, pytest.raises(CorruptionError, match="redo at offset"):
            snapshot.redo()
