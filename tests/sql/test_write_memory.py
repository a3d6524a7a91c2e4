"""Statements that write many rows stay inside the store's budget, about, measured on a process of its own for each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.sql.peak import printed_by

BUDGET = 16 << 20
ROWS = 150_000
MEASURED = """
import random, sys
from btree import open_store
from sql import Session
from tests.sql.peak import peak

path, budget, rows, statements = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
draw = random.Random(5)

def many():
    for number in range(rows):
        yield number, "%016x" % draw.getrandbits(64), number % 1000, number * 0.5

store = open_store(path, durability="off", cache_bytes=budget)
session = Session(store)
session.execute("create table warm(a integer primary key, b text unique)").close()
session.execute_many("insert into warm values (?, ?)", [(n, str(n)) for n in range(100)])
session.execute("create table t(a integer primary key, b text, c integer, d real)").close()
before = peak()
for statement in statements:
    if statement.startswith("insert into t values"):
        session.execute_many(statement, many())
    else:
        session.execute(statement).close()
print(peak() - before)
assert store.check() == []
store.close()
"""

FILL = "insert into t values (?, ?, ?, ?)"
COPIED = ["create table s(a integer primary key, b text, c, d)", "create index i on s(b)"]
CASES: dict[str, tuple[float, list[str]]] = {
    "rows": (1, [FILL]),
    "rows in a savepoint": (3, ["begin", "savepoint s", "create index i on t(c)", FILL, "commit"]),
    "rows with indexes": (
        3.5,
        ["create unique index u on t(b)", "create index i on t(c, b)", FILL],
    ),
    "an index": (3.5, [FILL, "create index i on t(b)"]),
    "a copy in another order": (4, [FILL, *COPIED, "insert into s select * from t order by b"]),
    "changes": (
        5,
        [
            FILL,
            "create unique index u on t(b)",
            "create index i on t(c)",
            "update t set d = d + 1, c = c + 1",
            "update t set b = substr(b, 3) || a",
            "delete from t where c % 3 = 0",
        ],
    ),
}
"""Statements, and how many budgets they may take, what the process takes without them left out.  Half of one holds what
is changed, the other what was read; a sort, and rows that are written at once, may take as much again; and the
allocator gives little back."""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("case", CASES)
def test_what_writes_stays_inside_the_budget(case: str, tmp_path: Path) -> None:
    budgets, statements = CASES[case]
    (took,) = printed_by(MEASURED, tmp_path / "a.kvsh", BUDGET, ROWS, *statements)
    assert took < budgets * BUDGET, f"{took >> 20} MB beside a budget of {BUDGET >> 20}"
