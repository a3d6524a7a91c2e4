"""Pages changed where they were read: each is what a dict says, beside whatever others, before and after the commit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engine import CorruptionError, PageStore
from engine.format import location_offset
from tests.engine.test_read_many import filled, some


def _change(payload: memoryview, rng: random.Random) -> tuple[int, bytes]:
    """Write over some of a page: how much of it stays, and what is to follow."""
    for _ in range(rng.randrange(3) if payload else 0):
        payload[rng.randrange(len(payload))] = rng.randrange(256)
    length, tail = len(payload), b""
    if rng.random() < 0.3:
        tail = rng.randbytes(rng.choice((1, 7, 8, 500)))
    if rng.random() < 0.2:
        length = rng.randrange(length + 1)
    return length, tail


@pytest.mark.parametrize("seed", range(6))
def test_pages_are_what_they_were_changed_to(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    store, contents = filled(tmp_path / "db", rng)
    for _ in range(8):
        before = dict(contents)
        reader = store.snapshot()
        writer = store.begin()
        now: dict[int, int] = {}
        for _ in range(rng.randrange(1, 4)):
            wanted = [(page, now.get(page, place)) for page, place in some(writer, contents, rng)]
            found = writer.read_in_place(*zip(*wanted, strict=True))
            assert {page: bytes(place[0]) for page, place in found.items()} == {
                page: contents[page] for page, _ in wanted
            }
            changed = [page for page, _ in wanted if rng.random() < 0.8]
            if rng.random() < 0.3:
                rng.shuffle(changed)
            if not changed:
                continue
            lengths, tails = zip(*[_change(found[page][0], rng) for page in changed], strict=True)
            for page, length, tail in zip(changed, lengths, tails, strict=True):
                contents[page] = bytes(found[page][0][:length]) + tail
            places = [found[page] for page in changed]
            now.update(
                zip(changed, writer.put_in_place(changed, places, lengths, tails), strict=True)
            )
            for page, location in now.items():
                if rng.random() < 0.2:
                    assert writer.read(page, location) == contents[page]
        if rng.random() < 0.3:
            writer.rollback()
            contents = before
        else:
            writer.commit_pages().wait()
        assert {page: reader.get(page) for page in before} == before
        reader.close()
        with store.snapshot() as snapshot:
            assert {page: snapshot.get(page) for page in contents} == contents
        assert store.check() == []
        if rng.random() < 0.5:
            store.close()
            store = PageStore.open(str(tmp_path / "db"), durability="off")
    store.close()


def test_a_damaged_page_is_not_given_to_be_changed(tmp_path: Path) -> None:
    store, contents = filled(tmp_path / "db", random.Random(5))
    writer = store.begin()
    places = [(page, writer.locate(page)) for page in sorted(contents)]
    at = location_offset(places[3][1]) + 40
    data = bytearray((tmp_path / "db").read_bytes())
    data[at] ^= 1
    (tmp_path / "db").write_bytes(data)
    with pytest.raises(CorruptionError, match=f"page {places[3][0]} "):
        writer.read_in_place(*zip(*places, strict=True))
    writer.rollback()
    store.close()
