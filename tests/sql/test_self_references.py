"""Tables that refer to themselves: many rows at once have their parents among those before them."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from sql.dml.rows import RowChanges
from tests.sql.test_dml_bulk import Engines

Row = tuple[Any, ...]

TABLES = {
    "rowid": "CREATE TABLE t(id INTEGER PRIMARY KEY, p INTEGER REFERENCES t(id), n)",
    "unique": "CREATE TABLE t(id TEXT UNIQUE, p TEXT REFERENCES t(id), n)",
    "clustered": "CREATE TABLE t(id PRIMARY KEY, p REFERENCES t, n) WITHOUT ROWID",
    "other affinity": "CREATE TABLE t(id INTEGER PRIMARY KEY, p TEXT REFERENCES t(id), n)",
    "folded": "CREATE TABLE t(id TEXT COLLATE NOCASE UNIQUE, p TEXT REFERENCES t(id), n)",
    "deferred": "CREATE TABLE t(id INTEGER PRIMARY KEY,"
    " p REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED, n)",
    "pair": "CREATE TABLE t(id INT, n INT, p INT, PRIMARY KEY(id, n),"
    " FOREIGN KEY(p, n) REFERENCES t(id, n))",
    "cascade": "CREATE TABLE t(id INTEGER PRIMARY KEY, p REFERENCES t ON DELETE CASCADE, n)",
}


@pytest.fixture(params=TABLES.values(), ids=TABLES.keys())
def definition(request: pytest.FixtureRequest) -> str:
    return f"PRAGMA foreign_keys = ON; {request.param}"


def rows_of(seed: int, *, kinds: str) -> list[Row]:
    """Rows of which most have their parent before them; some their own key, and few a missing one or a later one."""
    chosen = Random(seed)
    rows: list[Row] = []
    for number in range(1, 120):
        parent: Any = chosen.choice([None, number, chosen.randrange(1, number + 1)])
        if chosen.random() < 0.01:
            parent = number + chosen.randrange(1, 180)
        key: Any = number
        if kinds == "texts":
            key, parent = f"k{number}", None if parent is None else f"K{parent}".replace("K", "k")
        elif kinds == "mixed" and chosen.random() < 0.1:
            key, parent = float(number), None if parent is None else str(parent)
        rows.append((key, parent, number % 5))
    if chosen.random() < 0.5:
        chosen.shuffle(rows)
    return rows


@pytest.mark.parametrize("kinds", ["integers", "texts", "mixed"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR IGNORE", "REPLACE"])
def test_many_sets(definition: str, kinds: str, seed: int, verb: str) -> None:
    engines = Engines(definition)
    for part in range(2):
        rows = rows_of(seed * 7 + part, kinds=kinds)
        engines.many(f"{verb} INTO t(id, p, n) VALUES (?, ?, ?)", rows)
        engines.compare()
    engines.both("UPDATE t SET p = (SELECT min(id) FROM t) WHERE n < 3")
    engines.both("UPDATE t SET p = p + 1 WHERE n = 1")
    engines.both("UPDATE t SET n = n + 1 WHERE n > 3")
    engines.both("UPDATE t SET id = id + 1000 WHERE n = 2")
    engines.both("DELETE FROM t WHERE n = 4")
    engines.compare()
    engines.close()


@pytest.mark.parametrize("seed", range(4))
def test_one_statement(definition: str, seed: int) -> None:
    engines = Engines(definition)
    rows = rows_of(seed, kinds="integers")[:60]
    values = ", ".join(f"({a}, {'NULL' if b is None else b}, {c})" for a, b, c in rows)
    engines.both(f"INSERT INTO t(id, p, n) VALUES {values}")
    engines.both("INSERT INTO t(id, p, n) SELECT id + 1000, p, n FROM t")
    engines.both("INSERT INTO t(id, p, n) SELECT id + 5000, p + 5000, n FROM t")
    engines.compare()
    engines.close()


def test_they_are_written_in_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("row by row")

    monkeypatch.setattr(RowChanges, "insert", refuse)
    engines = Engines(f"PRAGMA foreign_keys = ON; {TABLES['rowid']}")
    rows = [(n, n // 2 or None, n % 5) for n in range(1, 5000)]
    engines.many("INSERT INTO t VALUES (?, ?, ?)", rows)
    engines.many("INSERT INTO t VALUES (?, ?, ?)", [(n + 6000, n, 0) for n in range(1, 100)])
    engines.compare()
    engines.close()
