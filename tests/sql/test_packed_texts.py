"""Texts as planes: their order is the texts', and those that are told wholly come back as they were."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from sql.dml.packed_texts import packed_texts
from sql.dml.planes import ranked

COUNT = 20_000
Make = Callable[[random.Random], Any]

WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath"]
WHOLE: dict[str, Make] = {
    "dates": lambda rng: (
        f"20{rng.randrange(30):02}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
    ),
    "hours": lambda rng: f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}",
    "words and numbers": lambda rng: f"{rng.choice(WORDS)} {rng.randrange(100_000)}",
    "numbers": lambda rng: f"{rng.randrange(10**6)}",
    "hexadecimal": lambda rng: f"{rng.getrandbits(32):08x}",
    "letters of several alphabets": lambda rng: "".join(rng.choices("aäß€𝄞", k=rng.randrange(3))),
    "texts that begin alike": lambda rng: "begins alike: " + f"{rng.randrange(99_999):x}",
    "one character": lambda rng: chr(rng.randrange(1, 0x250)),
    "empty, mostly": lambda rng: "x" if rng.random() < 0.01 else "",
}
PARTLY: dict[str, Make] = {
    "random bits": lambda rng: f"{rng.getrandbits(128):032x}",
    "letters": lambda rng: "".join(rng.choices("abcdefghijklmnopqrstuvwxyz ", k=rng.randrange(60))),
    "with NULs": lambda rng: "".join(rng.choices("\0ab", k=rng.randrange(8))),
    "a NUL at the end": lambda rng: f"{rng.randrange(99)}" + rng.choice(("", "\0")),
    "one long one": lambda rng: "a" * rng.choice((3, 3, 3, 4, 90)),
    "blobs": lambda rng: rng.randbytes(rng.randrange(6)),
    "blobs of two bytes": lambda rng: rng.randbytes(2),
}


def _values(make: Make, count: int = COUNT) -> list[Any]:
    rng = random.Random(count)
    return [make(rng) for _ in range(count)]


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


@pytest.mark.parametrize("count", [1, 2, 700, COUNT])
@pytest.mark.parametrize("name", [*WHOLE, *PARTLY])
@pytest.mark.parametrize("room", [1, 2, 5, 8])
def test_planes_order_as_texts_do(name: str, room: int, count: int) -> None:
    values = _values((WHOLE | PARTLY)[name], count)
    found = packed_texts(values, room, first=False)
    assert found is None or len(found.planes) <= room
    if found is None or not found.planes:
        return
    codes = list(zip(*found.planes, strict=True))
    order = sorted(range(count), key=codes.__getitem__)
    for one, other in pairwise(order):
        if codes[one] < codes[other]:
            assert _bytes(values[one]) < _bytes(values[other])
        elif found.column is not None:
            assert values[one] == values[other]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", WHOLE)
def test_texts_that_are_told_wholly_come_back(name: str, first: bool) -> None:
    values = _values(WHOLE[name])
    found = packed_texts(values, 5, first=first)
    assert found is not None
    assert found.column is not None
    assert found.column(found.planes, COUNT) == values
    rng = random.Random(2)
    slots = rng.choices(range(COUNT), k=900)
    some = [bytes([plane[slot] for slot in slots]) for plane in found.planes]
    assert found.column(some, len(slots)) == [values[slot] for slot in slots]


@pytest.mark.parametrize("name", PARTLY)
def test_texts_that_are_not_told_wholly_say_so(name: str) -> None:
    found = packed_texts(_values(PARTLY[name]), 5, first=False)
    assert found is None or found.column is None


def test_a_longer_one_outside_of_the_sample_is_noticed() -> None:
    values = [f"{number % 1000:03}" for number in range(COUNT)]
    values[7] = "123 and more"
    found = packed_texts(values, 5, first=False)
    assert found is not None
    assert found.column is None
    values[7] = "12"
    found = packed_texts(values, 5, first=False)
    assert found is not None
    assert found.column is not None
    assert found.column(found.planes, COUNT) == values


@pytest.mark.parametrize("other", [None, 5, b"blob", "half \ud800"])
def test_other_values_are_not_packed(other: Any) -> None:
    values: list[Any] = [f"{number}" for number in range(COUNT)]
    values[9001] = other
    assert packed_texts(values, 5, first=False) is None


def test_the_first_plane_has_no_more_values_than_may_be_on_top() -> None:
    values = _values(WHOLE["hexadecimal"])
    found = packed_texts(values, 5, first=True)
    assert found is not None
    assert len(set(found.planes[0])) <= 62


def test_beginnings_that_tell_too_little_are_not_packed_first() -> None:
    values = ["x" * 30 + value for value in _values(PARTLY["random bits"])]
    assert packed_texts(values, 2, first=True) is not None
    values = [f"{'ab'[number % 2]}{'x' * 20}{value}" for number, value in enumerate(values)]
    assert packed_texts(values, 2, first=True) is None
    assert packed_texts(values, 2, first=False) is not None


def test_ranks() -> None:
    rng = random.Random(4)
    for many in (1, 2, 255, 256):
        used = bytes(sorted(rng.sample(range(256), many)))
        plane = bytes(rng.choices(used, k=5000)) + used
        ranks, found = ranked(plane)
        assert found == used
        assert bytes([used[rank] for rank in ranks]) == plane
