"""A power cut may take some of the zeros that pad the newest record: the record counts all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

import kvsh

LENGTHS = range(40, 56)
"""Lengths of a value: its commit's record ends at every distance from a multiple of 8."""


@pytest.mark.parametrize("missing", range(1, 8))
def test_a_record_without_its_last_zeros_is_whole_and_gets_them_back(
    tmp_path: Path, missing: int
) -> None:
    met = 0
    for length in LENGTHS:
        path, cut = tmp_path / f"{length}.db", tmp_path / f"{length}-cut.db"
        db = kvsh.open(path, durability="off")
        db.put("first", "kept")
        db.put("last", b"\xff" * length)
        content = path.read_bytes().rstrip(b"\0")  # a file in use, as a crash leaves it
        db.close()
        padding = -len(content) % 8
        if padding < missing:
            continue
        met += 1
        cut.write_bytes(content + bytes(padding - missing))
        with kvsh.open(cut) as again:
            assert dict(again.scan()) == {b"first": b"kept", b"last": b"\xff" * length}
            again.put("next", "written")
        with kvsh.open(cut) as again:
            assert again.check() == []
            assert again.get("next") == b"written"
    assert met
