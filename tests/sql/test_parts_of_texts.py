"""substr() by numbers that each row has, which is a slice where they are plain; against sqlite3."""

from __future__ import annotations

import random

import pytest

from tests.sql.engines import KvshEngine, SqliteEngine, filled

_CALLS = (
    "substr(t, i)",
    "substr(t, i, n)",
    "substr(t, 2, n)",
    "substr(t, n, 2)",
    "substr(t, instr(t, 'b') + 1)",
    "substr(t, 1, instr(t, 'b') - 1)",
    "substr(t, length(t) - 1, i * 2)",
    "substr(t, m)",
    "substr(t, 1, m)",
    "substr(m, i, n)",
    "substr(t, r)",
    "substr(t, r, i)",
    "substr(t, big)",
    "substr(t, big, n)",
    "substr(t, -1 - i, 2)",
    "substr(t, NULL, n)",
    "substring(upper(t), i + 0, n)",
    "substr(substr(t, i), n, 3)",
)


@pytest.fixture(scope="module", params=["no NULL", "with NULL"])
def engines(request: pytest.FixtureRequest) -> tuple[KvshEngine, SqliteEngine]:
    draw = random.Random(4)
    some: list[None] = [None] if request.param == "with NULL" else []
    texts = ["", "a", "abc", "xbyz", "äbü€", "a\0bc", "\0", "bbbb", *some]
    wholes = [*range(-4, 6), *some]
    rows = [
        (
            draw.choice(texts),
            draw.choice(wholes),
            draw.choice(wholes),
            draw.choice([0.0, 1.5, 2.0, -1.0, *some]),
            draw.choice([2, "2", 2.5, "x", b"ab", None]),
            draw.choice([2**30, 2**31, 2**32 + 2, 2**63 - 1, -(2**63), 1, *some]),
        )
        for _ in range(400)
    ]
    schema = ("CREATE TABLE a (t TEXT, i INT, n INT, r REAL, m, big INT)",)
    return filled(schema, {"INSERT INTO a VALUES (?, ?, ?, ?, ?, ?)": rows}, leaf_limit=32)


@pytest.mark.parametrize("call", _CALLS)
def test_the_parts_are_sqlites(call: str, engines: tuple[KvshEngine, SqliteEngine]) -> None:
    ours, oracle = engines
    for sql in (
        f"SELECT rowid, {call} FROM a",
        f"SELECT {call} AS part, count(*) FROM a GROUP BY part ORDER BY part, 2",
        f"SELECT rowid FROM a WHERE {call} = 'b' OR {call} IS NULL",
    ):
        assert ours.execute(sql) == oracle.execute(sql)
