"""What is stored: a value for each column's letter.

    i  a row's number            a  a small INTEGER, many rows have the same
    b  a text, some are others in another case     c  a REAL, or a whole number
    d  anything                  e  a wide INTEGER, hardly any twice          n  a count
    k  what a row's number is compared with: a number of any kind, or none

Some of each letter are of another kind: it is from those that what was made for one kind has to find back."""

from __future__ import annotations

import random
from typing import Any

ODD: tuple[Any, ...] = (None, "", "12", "1e1", " 7", "abc", b"", b"ab", b"\x02z", 2.5, -1, 0)
HUGE: tuple[Any, ...] = (2**63 - 1, -(2**63), 2**53 + 1, -0.0, 1e300, 1e-300, 9.0e18, 3.0)
KEYS: tuple[Any, ...] = (
    *(None, "", "1", "7 ", " 12", "1e1", "2.0", "3.5", "0x10", b"1", 2.5, -1, -0.5, 1e300, -1e300),
    *(float("inf"), float("-inf"), 2**63 - 1, -(2**63), 2**53 + 1, 9.007199254740993e15, 9.3e18),
)
WORDS = (
    "ant",
    "Ant",
    "bee",
    "BEE ",
    "cat",
    "Éclair",
    "éclair",
    "dog",
    "日本",
    "zz\U0001f600",
    "eel",
)


def value(rng: random.Random, letter: str, rows: int) -> Any:
    """A value for a column of that letter in a table of about `rows` rows."""
    if letter == "i":
        return rng.randrange(rows + rows // 8 + 3)
    if letter == "n":
        return rng.randrange(12)
    roll = rng.random()
    if letter == "k":
        number = rng.randrange(rows + 3)
        return rng.choice(
            (number, number, float(number), str(number), number + 0.5, *KEYS[:: 1 + int(roll * 9)])
        )
    if roll < 0.03:
        return rng.choice(ODD)
    if letter == "a":
        return rng.randrange(40) if roll < 0.93 else None
    if letter == "b":
        word = rng.choice(WORDS)
        return word if roll < 0.3 else f"{word}{rng.randrange(200)}"
    if letter == "c":
        return rng.randrange(4000) / 4 if roll < 0.85 else rng.randrange(1000)
    if letter == "e":
        return rng.randrange(1 << 44)
    return rng.choice((*ODD, *HUGE, rng.randrange(99), rng.random(), f"t{rng.randrange(99)}"))


def rows(kinds: str, seed: int, start: int, count: int, span: int) -> list[tuple[Any, ...]]:
    """`count` rows of one value per letter; `I` is `start`, `start` + 1 and so on."""
    rng = random.Random(seed)
    mixed = rng.random() < 0.4  # else of the kinds that most are of, so that all of a page is
    found = []
    for number in range(start, start + count):
        row = []
        for letter in kinds:
            if letter == "I":
                row.append(number)
                continue
            made = value(rng, letter, span)
            if not mixed:
                made = _plain(made, letter)
            row.append(made)
        found.append(tuple(row))
    return found


def _plain(made: Any, letter: str) -> Any:
    kind = {"a": int, "b": str, "c": float, "d": int, "e": int}.get(letter)
    if kind is None or made.__class__ is kind:
        return made
    return {"a": 3, "b": "fox", "c": 0.5, "d": 17, "e": 5}[letter]


def quoted(made: Any) -> str:
    """The value as a literal."""
    if made is None:
        return "NULL"
    if isinstance(made, str):
        return "'" + made.replace("'", "''") + "'"
    if isinstance(made, bytes):
        return f"x'{made.hex()}'"
    if made == -(2**63) and isinstance(made, int):
        return "(-9223372036854775807 - 1)"
    if made in (float("inf"), float("-inf")):
        return "9e999" if made > 0 else "-9e999"
    return repr(made)
