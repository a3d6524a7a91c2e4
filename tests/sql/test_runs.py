"""Joins of rows whose keys lie together, which are looked up run by run: against sqlite3, and against each row."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kvsh
from btree import Column
from sql.run.probes import MembersOf, RowsOf, near, runs_of

SCHEMA = """
CREATE TABLE parent (id INTEGER PRIMARY KEY, day TEXT NOT NULL, owner INTEGER NOT NULL, code TEXT UNIQUE);
CREATE TABLE child (parent INTEGER NOT NULL, code TEXT NOT NULL, maybe INTEGER, mixed, n INTEGER NOT NULL,
                    day TEXT NOT NULL, price REAL NOT NULL, spare TEXT);
CREATE TABLE owner (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, spare TEXT);
"""
PARENTS = 3000
CONDITIONS = [
    "day < '2003'",
    "day < '2000-02'",
    "day > '2000-06' AND owner > 50",
    "owner = 7",
    "id > 2900",
    "owner < 0",
]
QUERIES = [
    "SELECT count(*), sum(price) FROM parent AS p JOIN child AS c ON c.parent = p.id WHERE p.{}",
    "SELECT p.day, sum(price) FROM parent AS p JOIN child AS c ON c.parent = p.id WHERE p.{} AND n < 4 GROUP BY 1",
    "SELECT c.n, p.owner, c.day FROM parent AS p JOIN child AS c ON c.parent = p.id WHERE p.{} ORDER BY c.rowid",
    "SELECT count(*), sum(price) FROM parent AS p JOIN child AS c ON c.code = p.code WHERE p.{} AND c.n > 1",
    "SELECT count(*), sum(price) FROM parent AS p JOIN child AS c ON c.maybe = p.id WHERE p.{} AND c.n > 1",
    "SELECT count(*), sum(price) FROM parent AS p JOIN child AS c ON c.mixed = p.id WHERE p.{} AND c.n > 1",
    "SELECT owner, count(*) FROM parent AS p WHERE p.{} AND EXISTS"
    " (SELECT * FROM child AS c WHERE c.parent = p.id AND c.day < c.code) GROUP BY owner",
    "SELECT owner, count(*) FROM parent AS p WHERE p.{} AND NOT EXISTS"
    " (SELECT * FROM child AS c WHERE c.parent = p.id AND n = 3) GROUP BY owner",
    "SELECT count(*), sum(n) FROM child WHERE n > 1 AND parent IN (SELECT id FROM parent AS p WHERE p.{})",
    "SELECT count(*), sum(n) FROM child WHERE n > 1 AND parent NOT IN (SELECT id FROM parent AS p WHERE p.{})",
    "SELECT kind, sum(price) FROM owner AS o, parent AS p, child AS c WHERE p.owner = o.id AND c.parent = p.id"
    " AND p.{} AND kind < 'c' AND c.day > '2001' GROUP BY kind",
]


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[kvsh.Connection, sqlite3.Connection]]:
    path: Path = tmp_path_factory.mktemp("runs") / "t.db"
    ours = kvsh.connect(path, isolation_level=None)
    theirs = sqlite3.connect(":memory:", isolation_level=None)
    draw = random.Random(3)

    def day() -> str:
        return f"{draw.randrange(2000, 2008)}-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}"

    numbers = [number for number in range(-50, PARENTS) if number % 17]
    parents = [(number, day(), draw.randrange(100), f"p{number:05}") for number in numbers]
    children: list[tuple[Any, ...]] = []
    for number in [*numbers, PARENTS + 5, 10**12]:
        maybe = draw.choice([None, number, -number])
        mixed = draw.choice([None, number, float(number), "x", b"x"])
        for n in range(draw.randrange(7)):
            code = f"p{number:05}"
            children.append((number, code, maybe, mixed, n, day(), draw.random(), None))
    for each in (ours, theirs):
        each.executescript(SCHEMA)
        each.execute("BEGIN")
        each.executemany("INSERT INTO parent VALUES (?, ?, ?, ?)", parents)
        each.executemany("INSERT INTO child VALUES (?, ?, ?, ?, ?, ?, ?, ?)", children)
        owners = [(number, "abcd"[number % 4], None) for number in range(100)]
        each.executemany("INSERT INTO owner VALUES (?, ?, ?)", owners)
        each.execute("COMMIT")
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("query", QUERIES)
def test_against_sqlite(
    both: tuple[kvsh.Connection, sqlite3.Connection], query: str, condition: str
) -> None:
    ours, theirs = both
    sql = query.format(condition)
    wanted = [
        tuple(f"{value:.9g}" if isinstance(value, float) else value for value in row)
        for row in theirs.execute(sql)
    ]
    for _ in range(5):  # from the file, from memory, by codes and by runs
        found = [
            tuple(f"{value:.9g}" if isinstance(value, float) else value for value in row)
            for row in ours.execute(sql)
        ]
        assert found == wanted


class Room:
    """What columns are kept in, with room for all."""

    def grow(self, size_bytes: int) -> bool:
        return True


ROOM = Room()


def kept(values: list[Any]) -> Column:
    column = Column(values)
    column.kept_in = ROOM  # type: ignore[assignment]
    return column


@pytest.mark.parametrize(
    "kind", ["numbers", "negative", "texts", "mixed", "huge", "following", "behind"]
)
def test_runs_find_what_rows_do(kind: str) -> None:
    draw = random.Random(kind)
    values: list[Any] = []
    while len(values) < 2000:
        number = draw.randrange(500)
        value: Any = {
            "numbers": number,
            "negative": number - 250,
            "texts": str(number),
            "mixed": draw.choice([number, float(number), str(number), None]),
            "huge": number * 10**15,
            "following": len(values) // 4,
            "behind": 9_000 + len(values) // 4,
        }[kind]
        values += [value] * (4 if kind in ("following", "behind") else draw.randrange(1, 9))
    keys = {value for value in values if value is not None and draw.random() < 0.2} | {9999}
    column = kept(values)
    runs = runs_of(column)
    assert runs is not None and [values[start] for start in runs.starts[:-1]] == runs.values
    for wanted in (True, False):
        found = near((column,), [(0, MembersOf(keys, wanted))], len(values))
        places = [place for place, value in enumerate(values) if (value in keys) is wanted]
        assert found == (places, [])
    probe = RowsOf({key: (key,) for key in keys})
    found = near((column,), [(0, probe)], len(values))
    assert found is not None and found[1] == [(0, probe)]
    assert found[0] == [place for place, value in enumerate(values) if value in keys]


def test_scattered_keys_have_no_runs() -> None:
    draw = random.Random(1)
    assert runs_of(kept([draw.randrange(1000) for _ in range(2000)])) is None
    assert runs_of(kept([1, 1] * 32 + [*range(2000)])) is None
    assert runs_of(Column([1] * 2000)) is None  # not kept
    assert runs_of([1] * 2000) is None
