"""Many pages are read as one by one: whatever lies where, and with the same errors where one is damaged."""

from __future__ import annotations

import random
from array import array
from pathlib import Path
from typing import Any

import pytest

from engine import CorruptionError, PageStore, Snapshot
from engine.format import location_span, spans_of


def filled(path: Path, rng: random.Random) -> tuple[PageStore, dict[int, bytes]]:
    """Pages of some hundred bytes to some ten thousand, in an order of their own, written in several commits."""
    store = PageStore.open(str(path), durability="off")
    contents: dict[int, bytes] = {}
    numbers: list[int] = []
    for _ in range(4):
        writer = store.begin()
        numbers += [writer.allocate() for _ in range(40)]
        for page in rng.sample(numbers, len(numbers) * 3 // 4):
            contents[page] = rng.randbytes(rng.choice((1, 300, 6000, 6001, 40_000)))
            writer.put(page, contents[page])
        writer.commit_pages().wait()
    return store, contents


def some(reader: Any, contents: dict[int, bytes], rng: random.Random) -> list[tuple[int, int]]:
    """Some of the pages and their locations: in order, backwards, or in none."""
    pages = sorted(rng.sample(sorted(contents), rng.randrange(1, len(contents))))
    if rng.random() < 0.3:
        pages.reverse()
    if rng.random() < 0.3:
        rng.shuffle(pages)
    return [(page, reader.locate(page)) for page in pages]


def read(reader: Any, places: list[tuple[int, int]]) -> list[bytes]:
    return [bytes(payload) for payload in reader.read_many(*zip(*places, strict=True))]


@pytest.mark.parametrize("seed", range(3))
def test_many_pages_are_what_each_of_them_is(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    store, contents = filled(tmp_path / "db", rng)
    with store.snapshot() as snapshot:
        for _ in range(50):
            places = some(snapshot, contents, rng)
            assert read(snapshot, places) == [contents[page] for page, _ in places]
    store.close()


def test_a_writer_reads_its_own_early_pages_among_others(tmp_path: Path) -> None:
    rng = random.Random(4)
    store, contents = filled(tmp_path / "db", rng)
    writer = store.begin()
    early: dict[int, int] = {}
    for page in rng.sample(sorted(contents), 20):
        contents[page] = rng.randbytes(500)
        early[page] = writer.put_early(page, contents[page])
    for _ in range(20):
        places = [(page, early.get(page, at)) for page, at in some(writer, contents, rng)]
        assert read(writer, places) == [contents[page] for page, _ in places]
    writer.rollback()
    store.close()


def damaged_at(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes((byte[0] ^ 0x10,)))


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_page_is_an_error_as_when_it_is_read_alone(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = tmp_path / "db"
    store, contents = filled(path, rng)
    with store.snapshot() as snapshot:
        places = some(snapshot, contents, rng)
        page, location = rng.choice(places)
        span = 32 + len(contents[page])  # the record's head and the page
        damaged_at(path, (location >> 24 << 3) + rng.randrange(span))
        with pytest.raises(CorruptionError, match=f"page {page} at offset"):
            snapshot.read(page, location)
        with pytest.raises(CorruptionError, match=f"page {page} at offset"):
            read(snapshot, places)
        rest = [place for place in places if place[0] != page]
        if rest:
            assert read(snapshot, rest) == [contents[page] for page, _ in rest]
    store.close()


def test_a_page_where_another_one_should_be_is_an_error(tmp_path: Path) -> None:
    store, contents = filled(tmp_path / "db", random.Random(5))
    with store.snapshot() as snapshot:
        first, second, third = sorted(contents)[:3]
        places = [(first, snapshot.locate(first)), (second, snapshot.locate(third))]
        with pytest.raises(CorruptionError, match=f"page {second} at offset"):
            read(snapshot, places)
    store.close()


def test_a_file_that_ends_within_a_page_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store, contents = filled(path, random.Random(6))
    with store.snapshot() as snapshot:
        assert isinstance(snapshot, Snapshot)
        places = sorted(
            ((page, snapshot.locate(page)) for page in contents), key=lambda place: place[1]
        )
        for kept in (0, 3, 31, 32):
            with path.open("r+b") as file:
                file.truncate((places[-1][1] >> 24 << 3) + kept)
            with pytest.raises(CorruptionError, match=f"page {places[-1][0]} at offset"):
                read(snapshot, places)
            assert read(snapshot, places[:-1]) == [contents[page] for page, _ in places[:-1]]
    with pytest.raises(CorruptionError, match="cut by another program"):
        store.close()


@pytest.mark.parametrize("seed", range(20))
def test_the_bytes_of_all_records_of_a_table_are_the_sum_of_each(seed: int) -> None:
    rng = random.Random(seed)
    spans = [0, 1, 255, 256, 65_535, 65_536, 0xFFFFFF]
    locations = [
        rng.choice((0, rng.randrange(1 << 40) << 24 | rng.choice(spans))) for _ in range(seed * 7)
    ]
    locations += [(1 << 40) - 1 << 24 | 0xFFFFFF, 0, 1 << 24]
    assert spans_of(array("Q", locations)) == sum(map(location_span, filter(None, locations)))
