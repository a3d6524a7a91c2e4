"""A sort and a GROUP BY of 2M rows stay inside a memory limit of 64 MB, measured on a process of its own."""

from __future__ import annotations

import sys

import pytest

from tests.sql.peak import printed_by

LIMIT = 64 << 20

MEASURED = """
import sys
from btree import open_memory
from sql import Session
from tests.sql.peak import peak

limit = int(sys.argv[1])
session = Session(open_memory(), memory_limit_bytes=limit)
session.execute("create table n(x integer primary key)").close()
session.execute_many("insert into n values (?)", [(x,) for x in range(1415)])
source = "from n as a, n as b"
key = "(a.x * 7919 + b.x * 104729) % 2000003"
list(session.execute(f"select {key}, count(*) {source} where a.x < 20 group by 1 order by 2, 1"))
before = peak()

rows, last, total = 0, -1, 0
for found, x, y in session.execute(f"select {key} as k, a.x, 'row ' || b.x {source} order by k"):
    assert found >= last
    last = found
    rows += 1
    total += x
assert rows == 1415 * 1415 and total == 1415 * sum(range(1415)), (rows, total)
after_sort = peak()

rows, groups, last = 0, 0, -1
for found, count, smallest in session.execute(
    f"select {key} as k, count(*), min('row ' || a.x) {source} group by k"
):
    assert found > last and smallest.startswith("row ")
    last = found
    rows += count
    groups += 1
assert rows == 1415 * 1415 and groups > 500_000, (rows, groups)
print(after_sort - before, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
def test_a_sort_and_a_group_by_of_two_million_rows_stay_inside_64_mb() -> None:
    by_sort, in_all = printed_by(MEASURED, LIMIT)
    assert by_sort < LIMIT, f"the sort took {by_sort >> 20} MB"
    assert in_all < LIMIT, f"the GROUP BY took {in_all >> 20} MB"
