"""Groups in lists at their keys: the lists against a dict, and queries against sqlite3."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import kvsh
from sql.context import Context
from sql.run.dense import in_lists

SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER NOT NULL, signed INTEGER NOT NULL, late INTEGER NOT NULL,
                far INTEGER NOT NULL, skewed INTEGER NOT NULL, n INTEGER NOT NULL, r REAL NOT NULL,
                o INTEGER, x REAL, name TEXT NOT NULL, spare TEXT);
CREATE TABLE u (k INTEGER PRIMARY KEY, w INTEGER NOT NULL);
"""
COUNT = 30_000
KEYS = ["k", "signed", "late", "far", "skewed", "id"]
QUERIES = [
    "SELECT {k}, count(*) FROM t GROUP BY {k}",
    "SELECT {k}, sum(r) FROM t GROUP BY {k}",
    "SELECT {k}, sum(n) FROM t GROUP BY {k}",
    "SELECT count(*), {k} FROM t WHERE name <> 'b' GROUP BY {k} HAVING count(*) > 1",
    "SELECT {k}, sum(r) FROM t WHERE n <> 0 GROUP BY {k} HAVING sum(r) > 0",
    "SELECT {k}, sum(n), count(o), avg(x), min(r), max(name), total(o) FROM t GROUP BY {k}",
    "SELECT {k}, count(*) FILTER (WHERE n > 0), max(n) FILTER (WHERE n < 0) FROM t GROUP BY {k}",
    "SELECT {k}, min(n) FROM t WHERE r >= 0 GROUP BY {k} ORDER BY 2 DESC, 1 LIMIT 50",
    "SELECT {k}, sum(x * (1 - x)) FROM t GROUP BY {k} HAVING max(n) > 3",
    "SELECT {k}, count(DISTINCT n), group_concat(name) FROM t GROUP BY {k}",
    "SELECT t.{k}, sum(w), count(*) FROM t JOIN u ON u.k = t.n GROUP BY t.{k}",
    "SELECT count(*), sum(s) FROM (SELECT sum(n) AS s FROM t GROUP BY {k})",
]


def rows() -> list[tuple[Any, ...]]:
    draw = random.Random(5)
    return [
        (
            number,
            draw.randrange(12_000),
            draw.randrange(-9_000, 9_000),
            draw.randrange(8_000) if number < COUNT - 500 else -number * 10**9,
            draw.randrange(10**15),
            draw.choice([3, -3, draw.randrange(10_000)]),
            draw.randrange(-3, 4),
            draw.choice([0.0, 0.1, -0.1, draw.random()]),
            draw.choice([None, 1, -1]),
            draw.choice([None, 1.5, 1e308, -1e308, draw.random()]),
            draw.choice("abc"),
            None,
        )
        for number in range(1, COUNT + 1)
    ]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    path = tmp_path_factory.mktemp("dense") / "t.db"
    ours, theirs = kvsh.connect(str(path)), sqlite3.connect(":memory:")
    values = rows()
    for each in (ours, theirs):
        each.executescript(SCHEMA)
        each.executemany(f"INSERT INTO t VALUES ({', '.join('?' * 12)})", values)
        each.executemany("INSERT INTO u VALUES (?, ?)", [(k, k * k) for k in range(-3, 3)])
        each.commit()
    return ours, theirs, path


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("query", QUERIES)
def test_groups_are_those_of_sqlite3_in_its_order(
    both: tuple[Any, Any, Path], query: str, key: str
) -> None:
    ours, theirs, path = both
    sql = query.format(k=key)
    wanted = [*map(repr, theirs.execute(sql))]
    for _ in range(2):  # the second time columns may be kept
        assert [*map(repr, ours.execute(sql))] == wanted
    again = kvsh.connect(str(path))
    assert [*map(repr, again.execute(sql))] == wanted


def test_an_error_of_a_row_is_not_taken_for_a_count_past_a_byte(
    both: tuple[Any, Any, Path],
) -> None:
    ours, _, _ = both

    def refused(value: int) -> bool:
        if value > 29_000:
            raise ValueError("too much")
        return True

    ours.create_function("refused", 1, refused)
    with pytest.raises(kvsh.OperationalError, match="user-defined function raised exception"):
        ours.execute("SELECT skewed, count(*) FROM t WHERE refused(id) GROUP BY skewed").fetchall()


@pytest.mark.parametrize("counts", [True, False])
def test_lists_grow_and_go_back_to_a_dict(counts: bool) -> None:
    draw = random.Random(9)
    groups = dict.fromkeys(range(50), 1)
    context = Context.__new__(Context)
    context.memory_limit_bytes = 1 << 20
    lists = in_lists(groups, (0,), 0, counts, True, 2_000, context)
    assert lists is not None
    for spread in (10, 100, 3000, 3900, 3990, 100_000):
        keys = [draw.randrange(-spread, spread) for _ in range(40)]
        if not lists.hold(keys):
            assert spread == 100_000
            continue
        assert spread < 100_000
        (state,) = lists.states
        for key in keys:
            state[key] += 1
            groups[key] = groups.get(key, 0) + 1
    assert lists.as_dict() == groups
    assert [*lists.groups()] == sorted(groups.items())


def test_keys_far_apart_stay_in_a_dict() -> None:
    context = Context.__new__(Context)
    context.memory_limit_bytes = 1 << 30
    assert in_lists({1: 1, 10**9: 1}, (0,), 0, True, True, 1000, context) is None
    context.memory_limit_bytes = 1 << 10
    assert in_lists({1: 1, 100: 1}, (0,), 0, True, True, 1000, context) is None
