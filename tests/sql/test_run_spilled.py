"""Windows, groups and recursive queries past the memory limit: the rows of a small limit are those of a large one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from btree import open_memory
from sql import Session
from sql.context import Context
from sql.run import spill
from sql.run.recursion import Fifo, Priority, Seen, recursive

SMALL = 256 << 10
ROWS = 12_000

WINDOWS = [
    "sum(v) OVER (PARTITION BY g ORDER BY id)",
    "count(*) OVER (PARTITION BY g), row_number() OVER (PARTITION BY g ORDER BY v, id)",
    "sum(v) OVER (ORDER BY v, id), rank() OVER (ORDER BY v)",
    "max(v) OVER (), ntile(7) OVER (ORDER BY id)",
    "lag(v, 3) OVER (ORDER BY id), first_value(s) OVER (PARTITION BY v % 3 ORDER BY id DESC)",
    "avg(v) OVER (PARTITION BY one ORDER BY id ROWS BETWEEN 5 PRECEDING AND 5 FOLLOWING)",
    "sum(v) OVER (PARTITION BY g, v ORDER BY id), count(s) OVER (PARTITION BY v ORDER BY s DESC)",
    "cume_dist() OVER (PARTITION BY one ORDER BY v DESC), group_concat(id) OVER (PARTITION BY g, v)",
]


GROUPS = [
    "SELECT id, sum(v) FROM t GROUP BY id HAVING sum(v) > 890",
    "SELECT s, id, count(*), max(v) FROM t GROUP BY id, s HAVING max(v) % 100 = 3 OR id < 5",
    "SELECT id + 0, count(*) FROM t GROUP BY 1 HAVING count(*) = 1 AND max(g) = 'a'",
]


@pytest.fixture(scope="module")
def sessions() -> Iterator[tuple[Session, Session]]:
    """Two on one store: with room for everything, and with little."""
    store = open_memory()
    large, small = Session(store), Session(store, memory_limit_bytes=SMALL)
    large.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, g, v, s, one)").close()
    rng = random.Random(3)
    rows = [
        (place, rng.choice((None, "a", 2, 3.5)), rng.randrange(900), f"text {place % 700:>40}", 1)
        for place in range(ROWS)
    ]
    large.execute_many("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
    yield large, small
    store.close()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the chunks that go to temporary files."""
    lengths: list[int] = []
    append = spill.RowFile.append

    def noted(self: spill.RowFile, rows: list[Any]) -> spill.Place:
        place = append(self, rows)
        lengths.append(len(rows))
        return place

    monkeypatch.setattr(spill.RowFile, "append", noted)
    return lengths


@pytest.mark.parametrize("sql", GROUPS)
def test_groups(sessions: tuple[Session, Session], sql: str, written: list[int]) -> None:
    large, small = sessions
    wanted = list(large.execute(sql))
    assert not written
    assert list(small.execute(sql)) == wanted
    assert written and wanted


@pytest.mark.parametrize("calls", WINDOWS)
def test_windows_give_the_same_rows_in_the_same_order(
    sessions: tuple[Session, Session], written: list[int], calls: str
) -> None:
    query = f"SELECT id, s, {calls} FROM t WHERE id % 11 <> 3"
    expected = list(sessions[0].execute(query))
    assert not written
    found = list(sessions[1].execute(query))
    assert sum(written) >= ROWS * 10 // 11
    assert found == expected


def test_a_window_of_a_single_column_is_a_row_of_one(sessions: tuple[Session, Session]) -> None:
    query = "SELECT row_number() OVER (ORDER BY s, id) FROM t"
    assert list(sessions[1].execute(query)) == [(number,) for number in range(1, ROWS + 1)]


def test_keys_of_a_program_s_collation_stay_in_memory(sessions: tuple[Session, Session]) -> None:
    query = "SELECT id, count(*) OVER (PARTITION BY s COLLATE backwards) FROM t"
    for session in sessions:
        session.functions.collations["BACKWARDS"] = lambda a, b: (a < b) - (a > b)
    expected = list(sessions[0].execute(query))
    assert list(sessions[1].execute(query)) == expected


RECURSIVE = [
    "WITH c (n, s) AS (SELECT 1, 'a' UNION ALL SELECT n * 2 + k, s || k FROM c, (SELECT 0 AS k UNION ALL"
    " SELECT 1) WHERE n < 9000) SELECT n, s FROM c",
    "WITH c (n, s) AS (SELECT 1, 'a' UNION SELECT (n * 7 + k) % 20011, 'x' || n % 3 FROM c,"
    " (SELECT 1 AS k UNION ALL SELECT 5)) SELECT n, s FROM c LIMIT 40000",
    "WITH c (n, s) AS (SELECT 1, 1 UNION ALL SELECT n * 2 + k, n % 97 FROM c, (SELECT 0 AS k UNION ALL"
    " SELECT 1) WHERE n < 9000 ORDER BY 1, 2 DESC) SELECT n, s FROM c",
    "WITH c (n, s) AS (SELECT 1, 1 UNION SELECT n * 2, n % 97 FROM c WHERE n < 9000 UNION SELECT"
    " n * 2 + 1, n % 89 FROM c WHERE n < 9000) SELECT n, s FROM c",
]


@pytest.mark.parametrize("query", RECURSIVE)
def test_recursive_queries_give_the_same_rows_in_the_same_order(
    sessions: tuple[Session, Session], written: list[int], query: str
) -> None:
    expected = list(sessions[0].execute(query))
    assert not written
    assert list(sessions[1].execute(query)) == expected
    assert len(expected) > 10_000
    assert sum(written) > 2000


def context(limit: int) -> Context:
    """As much of a context as a recursive query sees."""
    return cast("Context", SimpleNamespace(check=lambda: None, memory_limit_bytes=limit))


@pytest.mark.parametrize("limit", [1 << 14, 1 << 30])
def test_queues_keep_their_orders(limit: int) -> None:
    rng = random.Random(5)
    fifo, least = Fifo(context(limit), 100), Priority(context(limit), lambda row: row[0])
    model: list[tuple[Any, ...]] = []
    heap: list[tuple[Any, ...]] = []
    for step in range(120):
        made = [(rng.randrange(50), step, place) for place in range(rng.randrange(1000))]
        fifo.add(made)
        least.add(made)
        model += made
        heap += made
        for _ in range(rng.randrange(12)):
            taken = fifo.take()
            assert taken == model[: len(taken)]
            del model[: len(taken)]
        heap.sort(key=lambda row: row[0])
        for _ in range(rng.randrange(600)):
            assert least.take() == heap[:1]
            del heap[:1]
    while taken := fifo.take():
        assert taken == model[: len(taken)]
        del model[: len(taken)]
    heap.sort(key=lambda row: row[0])
    assert [row for row in iter(least.take, []) for row in row] == heap
    assert not model


def test_rows_are_new_once() -> None:
    rng = random.Random(7)
    seen, model = Seen(context(1 << 14), None), set()
    for _ in range(200):
        rows = [(rng.choice((None, 1.0, "x")), rng.randrange(30_000)) for _ in range(500)]
        expected = [row for row in dict.fromkeys(rows) if row not in model]
        model.update(rows)
        assert seen.new(rows) == expected
    assert seen.tables and len(seen.fresh) < len(model)


def test_a_step_sees_the_rows_that_left_the_queue() -> None:
    work: list[list[Any]] = [[]]

    def step() -> Iterator[list[Any]]:
        yield [(row[0] + 1,) for row in work[0] if row[0] < 5]

    batches = recursive(
        [[(1,)]],
        [step],
        work,
        context(1 << 20),
        distinct=True,
        key=None,
        order=None,
        one_by_one=False,
    )
    assert [row for batch in batches for row in batch] == [(number,) for number in range(1, 6)]
