"""Conditions on numbers as they lie in pages: against each number by itself, and whole queries against sqlite3."""

from __future__ import annotations

import math
import random
import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kvsh
from sql.run import lying
from sql.run.lying import INTERVALS_MAX, Interval, mask_of

SMALLEST = math.ulp(0.0)
REALS = (0.0, -0.0, SMALLEST, -SMALLEST, 1.0, -1.0, 2.5, 1e300, -1e300, math.inf, -math.inf)


def numbers_of(code: str, draw: random.Random, size: int) -> array[Any]:
    if code == "d":
        kinds = (
            lambda: draw.choice(REALS),
            lambda: draw.gauss(0, 100),
            lambda: round(draw.random() * 1000, 2),
            lambda: float(draw.randrange(-3, 3)),
        )
        value: Any = draw.choice(kinds)
    else:
        limit = 1 << (8 * array(code).itemsize - 1)
        reach = draw.choice([2, 100, limit, limit])
        value = lambda: draw.randrange(max(-reach, -limit), min(reach, limit))  # noqa: E731
    made = array(code, [value() for _ in range(size)])
    if size and draw.random() < 0.3:
        made = array(code, [made[0]] * size)
    return made


def is_within(value: Any, intervals: Iterable[Interval]) -> bool:
    return any(
        (low is None or (value > low if low_open else value >= low))
        and (high is None or (value < high if high_open else value <= high))
        for low, low_open, high, high_open in intervals
    )


@pytest.mark.parametrize("code", "bhiqd")
@pytest.mark.parametrize("few", [1, 128, 1 << 20])
def test_masks_of_numbers(code: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lying, "_FEW", few)
    draw, told = random.Random(f"{code} {few}"), 0
    for _ in range(150):
        numbers = numbers_of(code, draw, draw.choice((1, 2, 40, 300)))
        extremes = [1 << 62, -(1 << 63), 1 << 63, 1 << 70, 127, -128, 255, 256, -32768, *REALS]

        def bound(near: array[Any] = numbers, far: list[Any] = extremes) -> Any:
            if draw.random() < 0.2:
                return None
            picked = draw.choice(far if draw.random() < 0.3 else near.tolist())
            moved = picked + draw.choice((0, 0, 1, -1, 0.5))
            return draw.choice((picked, moved))

        intervals = [
            (bound(), draw.random() < 0.5, bound(), draw.random() < 0.5)
            for _ in range(draw.randrange(INTERVALS_MAX + 1))
        ]
        expected = bytes([is_within(value, intervals) for value in numbers])
        mask = mask_of(numbers, intervals)
        if mask is None:
            continue
        told += 1
        if mask is True or mask is False:
            mask = bytes([mask]) * len(numbers)
        assert mask == expected, (numbers, intervals)
    assert told > 50


def test_other_bounds_are_not_told() -> None:
    numbers = array("i", [1, 2, 3])
    assert mask_of(numbers, [("a", False, None, False)]) is None
    assert mask_of(array("d", [1.0]), [((1 << 53) + 1, False, None, False)]) is None
    assert mask_of(array("d", [1.0]), [(None, False, math.inf, False)]) is None
    assert mask_of(numbers, [(None, False, None, False)] * (INTERVALS_MAX + 1)) is None


QUERIES = (
    "SELECT count(*), sum(id) FROM t WHERE n < ?",
    "SELECT id, n FROM t WHERE n BETWEEN ? AND ? + 300 ORDER BY id",
    "SELECT sum(n), total(r), group_concat(s) FROM t WHERE n = ?",
    "SELECT id, r FROM t WHERE r >= ? AND n <> ? ORDER BY id",
    "SELECT count(*), total(r) FROM t WHERE r <= ?",
    "SELECT id, s, m FROM t WHERE n IN (?, 7, 8, 9) ORDER BY id",
    "SELECT count(*), min(s), max(id) FROM t WHERE m > ?",
    "SELECT count(m), total(r) FROM t WHERE w < ?",
    "SELECT id, r FROM t WHERE n > ? ORDER BY id LIMIT 3",
    "SELECT r FROM t WHERE n > ? AND id BETWEEN 3000 AND 7000 ORDER BY id",
    "SELECT count(*) FROM t WHERE r > ? AND s LIKE 'a%'",
    "SELECT id, r FROM t WHERE s LIKE '%B_' AND n <= ? ORDER BY id",
    "SELECT n, id FROM t WHERE s LIKE 'ab%' ORDER BY id",
    "SELECT count(*) FROM t WHERE s LIKE '%'",
    "SELECT count(*) FROM t WHERE s LIKE ''",
    "SELECT id, s FROM t WHERE s GLOB '*b[ab]*' ORDER BY id",
    "SELECT id, s FROM t WHERE s GLOB 'ab*' ORDER BY id",
    "SELECT count(*), total(b.r) FROM t a JOIN t b ON b.id = a.n + 1 WHERE a.r < ?",
    "SELECT count(*), total(b.r), sum(b.n), max(b.s) FROM t a JOIN t b ON b.id = a.k WHERE a.r < ?",
    "SELECT * FROM t WHERE n = ? ORDER BY id",
    "SELECT id FROM t WHERE n < ? AND id % 7 = 0 ORDER BY id DESC LIMIT 5",
)


def rows(draw: random.Random, kind: str) -> Iterator[tuple[Any, ...]]:
    odd = {"short": "", "beyond": "\u00e9"}[kind]
    for number in range(1, 8001):
        text = "".join(draw.choice("abcABC") for _ in range(draw.randrange(6)))
        if draw.random() < 0.1:
            text += odd + ("x" * 40 if odd else "")
        yield (
            number,
            draw.randrange(100) if number < 3000 else draw.randrange(9000),
            round(draw.gauss(0, 50), 1),
            None if draw.random() < 0.1 else text,
            draw.choice((None, 1, 2.5, "x", 70000)),
            draw.choice((1, 2.5)),
            draw.randrange(1, 8001),
        )


@pytest.mark.parametrize("kind", ["short", "beyond"])
def test_queries_of_files_just_opened(kind: str, tmp_path: Path) -> None:
    draw = random.Random(kind)
    path = str(tmp_path / "t.db")
    theirs = sqlite3.connect(":memory:")
    ours = kvsh.connect(path)
    made = list(rows(draw, kind))
    for con in (theirs, ours):
        con.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, r REAL, s TEXT, m, w NUMERIC, k INTEGER)"
        )
        con.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", made)
        con.execute("DELETE FROM t WHERE id BETWEEN 4000 AND 4100")
        con.commit()
        con.execute("DELETE FROM t WHERE id % 10 = 3 AND id > 6000")
        con.commit()
    ours.close()
    for sql in QUERIES:
        for value in draw.sample(
            (draw.randrange(9000), draw.randrange(100), 0, -1, 12.5, 1e9, None, "a"), 2
        ):
            values = (value,) * sql.count("?")
            expected = theirs.execute(sql, values).fetchall()
            con = kvsh.connect(path)
            try:
                for _ in range(3):  # nothing is kept; columns are kept; they are there
                    found = con.execute(sql, values).fetchall()
                    assert repr(found) == repr(expected) or approximately(found, expected), sql
            finally:
                con.close()


def approximately(found: list[Any], expected: list[Any]) -> bool:
    """Whether rows differ by sums of REALs alone, in the last digits."""
    return len(found) == len(expected) and all(
        one == other
        or (isinstance(one, float) and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6))
        for row, known in zip(found, expected, strict=True)
        for one, other in zip(row, known, strict=True)
    )
