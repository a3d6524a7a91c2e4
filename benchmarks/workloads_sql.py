"""SQL through the Python API, warm: the connection has seen the data once before anything is timed.

Each query stands a second time as `fresh-...`: a new process reads the table for the first time, from
pages that nobody has decoded.  What comes before that is not the table's and is timed by itself: such
a query first reads a table of a few rows, which loads what the statement needs of the library, and the
milliseconds of that stand in the notes; `fresh-first` is that first statement as a row of its own."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.peers import connect, insert
from benchmarks.workloads import Job, workload

ROW = ("kvsh", "sqlite", "sqlite-tuned")
PEERS = (*ROW, "apsw", "duckdb")
MILLION = 1_000_000
QUICK = 200_000
WARM_RUNS = 3
"""Untimed runs of a query before the timed one: caches that learn from use have learnt by then."""
FEW = 10
"""Rows of the table that a new process reads first."""
SCHEMA = (
    "CREATE TABLE item (id INTEGER PRIMARY KEY, grp INTEGER NOT NULL, price DOUBLE NOT NULL,"
    " name TEXT NOT NULL, tag INTEGER NOT NULL)"
)


def rows_of(count: int) -> list[tuple[int, int, float, str, int]]:
    """Deterministic rows: 1,000 groups, prices up to 1,000, names of two words."""
    numbers = random.Random(7)
    words = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath"]
    return [
        (
            number,
            numbers.randrange(1000),
            round(numbers.random() * 1000, 2),
            f"{words[numbers.randrange(8)]} {numbers.randrange(count)}",
            numbers.randrange(count),
        )
        for number in range(1, count + 1)
    ]


def item_path(job: Job, *, indexed: bool = False, to_write: bool = False) -> str:
    """A database with the table `item`, and `few` beside it, of the same columns and a few rows."""

    def build(path: str) -> None:
        con = connect(job.peer, path, durable=True)
        con.execute(SCHEMA)
        con.execute(of_few(SCHEMA))
        insert(con, job.peer, "item", rows_of(job.size))
        insert(con, job.peer, "few", rows_of(FEW))
        if indexed:
            con.execute("CREATE INDEX item_tag ON item(tag)")
            con.execute("CREATE INDEX item_name ON item(name)")
        con.close()

    return job.prepared("item-indexed" if indexed else "item", build, to_write=to_write)


def of_few(sql: str) -> str:
    """The statement, about the table `few` instead of `item`."""
    return re.sub(r"\bitem\b", "few", sql)


def filled(job: Job, *, indexed: bool = False, to_write: bool = False) -> Any:
    """A connection with the table `item`, all of it read once."""
    con = connect(job.peer, item_path(job, indexed=indexed, to_write=to_write))
    con.execute("SELECT sum(id), sum(tag), sum(length(name)) FROM item").fetchall()
    return con


def rounded(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows whose REALs are rounded, so that orders of summation don't matter: times pi, since sums of
    decimals would often stand halfway between two roundings."""
    return [
        tuple(f"{value * math.pi:.9g}" if isinstance(value, float) else value for value in row)
        for row in rows
    ]


def query(
    name: str,
    title: str,
    sql: str,
    goal: float,
    *,
    indexed: bool = False,
    ordered: bool = True,
    repeat: int = 1,
) -> None:
    """Register a query over `item` as a workload."""

    def run(job: Job) -> Any:
        con = filled(job, indexed=indexed)
        for _ in range(WARM_RUNS):
            con.execute(sql).fetchall()
        with job.watch:
            for _ in range(repeat):
                rows = con.execute(sql).fetchall()
        return rounded(rows if ordered else sorted(rows))

    def run_fresh(job: Job) -> Any:
        con = connect(job.peer, item_path(job, indexed=indexed))
        started = time.perf_counter()
        con.execute(of_few(sql)).fetchall()
        job.notes["first_statement_ms"] = round((time.perf_counter() - started) * 1000, 1)
        with job.watch:
            rows = con.execute(sql).fetchall()
        return rounded(rows if ordered else sorted(rows))

    workload(name, title, goal=goal, peers=PEERS, size=MILLION, quick_size=QUICK, rounds=3)(run)
    workload(
        name.replace("sql-", "fresh-"),
        f"{title}, pages undecoded",
        goal=0.5,
        peers=ROW,
        size=MILLION,
        quick_size=QUICK,
        rounds=3,
    )(run_fresh)


@workload("fresh-first", "first statement of a process", goal=None, peers=ROW, size=1, rounds=3)
def _first(job: Job) -> Any:
    con = connect(job.peer, item_path(job))
    with job.watch:
        return con.execute("SELECT id, name FROM few WHERE price < 500 ORDER BY id").fetchall()


query("sql-count", "count(*)", "SELECT count(*) FROM item", 1, repeat=50)
query("sql-sum", "sum with filter", "SELECT sum(price), count(*) FROM item WHERE tag < 500000", 1.3)
query(
    "sql-topk",
    "ORDER BY price LIMIT 10",
    "SELECT id, price FROM item ORDER BY price, id LIMIT 10",
    1.3,
)
query(
    "sql-like-prefix", "LIKE 'cedar 1%'", "SELECT count(*) FROM item WHERE name LIKE 'cedar 1%'", 1
)
query("sql-like-inside", "LIKE '%fjord%'", "SELECT count(*) FROM item WHERE name LIKE '%fjord%'", 1)
query("sql-order", "ORDER BY of all rows", "SELECT id, price FROM item ORDER BY price, id", 3)
query("sql-distinct", "DISTINCT", "SELECT DISTINCT grp FROM item", 3, ordered=False)
query(
    "sql-group-few",
    "GROUP BY, 1,000 groups",
    "SELECT grp, count(*), sum(price), max(tag) FROM item GROUP BY grp",
    3,
    ordered=False,
)
query(
    "sql-group-many",
    "GROUP BY, many groups",
    "SELECT tag, count(*) FROM item GROUP BY tag",
    2.5,
    ordered=False,
)
query("sql-fetch", "fetch 100k rows", "SELECT * FROM item WHERE id <= 100000", 1.5)
query(
    "sql-minmax",
    "min and max by index",
    "SELECT min(tag) FROM item UNION ALL SELECT max(tag) FROM item",
    1,
    indexed=True,
    repeat=200,
)
query(
    "sql-join-hash",
    "join without an index",
    "SELECT count(*), sum(a.price) FROM item a JOIN item b ON b.tag = a.id WHERE a.grp < 100",
    1.5,
)
query(
    "sql-join-key",
    "join by primary key",
    "SELECT count(*), sum(b.price) FROM item a JOIN item b ON b.id = a.tag WHERE a.grp < 100",
    1.5,
)


def points(
    name: str, title: str, sql: str, goal: float, keys: Callable[[int], list[tuple[Any, ...]]]
) -> None:
    """Register many executions of one prepared statement."""

    def run(job: Job) -> Any:
        con = filled(job, indexed=True)
        found = 0
        parameters = keys(job.size)
        execute = con.execute
        for values in parameters:
            execute(sql, values).fetchall()
        with job.watch:
            for values in parameters:
                found += len(execute(sql, values).fetchall())
        return found

    workload(name, title, goal=goal, peers=ROW, size=MILLION, quick_size=QUICK, rounds=3)(run)


def _random_keys(size: int) -> list[tuple[int]]:
    numbers = random.Random(3)
    return [(numbers.randrange(1, size + 1),) for _ in range(30_000)]


points("sql-key", "primary-key lookup", "SELECT * FROM item WHERE id = ?", 1.5, _random_keys)
points("sql-index", "index lookup", "SELECT id, name FROM item WHERE tag = ?", 1.3, _random_keys)
points(
    "sql-range-limit",
    "range by index, LIMIT 10",
    "SELECT id, tag FROM item WHERE tag > ? ORDER BY tag LIMIT 10",
    1,
    _random_keys,
)


@workload(
    "sql-load",
    "load by executemany",
    goal=0.8,
    peers=ROW,
    size=MILLION,
    quick_size=QUICK,
    rounds=3,
)
def _load(job: Job) -> Any:
    rows = rows_of(job.size)
    con = connect(job.peer, job.path())
    con.execute(SCHEMA)
    with job.watch:
        con.execute("BEGIN")
        con.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?)", rows)
        con.execute("COMMIT")
    answer = con.execute("SELECT count(*), sum(tag) FROM item").fetchall()
    con.close()
    job.notes["bytes_per_row"] = round(job.bytes_on_disk() / job.size, 1)
    return answer


def change(name: str, title: str, sql: str, goal: float, *, indexed: bool = False) -> None:
    """Register one statement that writes."""

    def run(job: Job) -> Any:
        con = filled(job, indexed=indexed, to_write=True)
        with job.watch:
            con.execute(sql)
        return rounded(con.execute("SELECT count(*), sum(price), sum(tag) FROM item").fetchall())

    workload(name, title, goal=goal, peers=ROW, size=MILLION, quick_size=QUICK, rounds=3)(run)


change("sql-create-index", "CREATE INDEX", "CREATE INDEX by_tag ON item(tag, name)", 0.5)
change("sql-update", "UPDATE 10 %", "UPDATE item SET price = price + 1 WHERE id % 10 = 0", 1)
change("sql-delete", "DELETE 10 %", "DELETE FROM item WHERE id % 10 = 0", 1)


def _tpcb(job: Job, *, durable: bool, count: int) -> Any:
    """Transactions of three updates and an insert (TPC-B's shape)."""
    con = connect(job.peer, job.path(), durable=durable)
    con.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, branch INTEGER, balance INTEGER)")
    con.execute("CREATE TABLE teller (id INTEGER PRIMARY KEY, balance INTEGER)")
    con.execute("CREATE TABLE branch (id INTEGER PRIMARY KEY, balance INTEGER)")
    con.execute(
        "CREATE TABLE history (teller INTEGER, branch INTEGER, account INTEGER, delta INTEGER)"
    )
    con.execute("BEGIN")
    con.executemany("INSERT INTO account VALUES (?, ?, 0)", [(n, n % 10) for n in range(job.size)])
    con.executemany("INSERT INTO teller VALUES (?, 0)", [(n,) for n in range(100)])
    con.executemany("INSERT INTO branch VALUES (?, 0)", [(n,) for n in range(10)])
    con.execute("COMMIT")
    numbers = random.Random(5)
    execute = con.execute
    with job.watch:
        for _ in range(count):
            account, teller = numbers.randrange(job.size), numbers.randrange(100)
            delta = numbers.randrange(-500, 500)
            execute("BEGIN IMMEDIATE")
            execute("UPDATE account SET balance = balance + ? WHERE id = ?", (delta, account))
            execute("SELECT balance FROM account WHERE id = ?", (account,)).fetchone()
            execute("UPDATE teller SET balance = balance + ? WHERE id = ?", (delta, teller))
            execute("UPDATE branch SET balance = balance + ? WHERE id = ?", (delta, teller % 10))
            execute(
                "INSERT INTO history VALUES (?, ?, ?, ?)", (teller, teller % 10, account, delta)
            )
            execute("COMMIT")
    return con.execute("SELECT sum(balance) FROM account").fetchall()


@workload(
    "sql-tpcb-off",
    "TPC-B-like transactions, durability off",
    goal=1,
    peers=ROW,
    size=100_000,
    rounds=3,
)
def _tpcb_off(job: Job) -> Any:
    return _tpcb(job, durable=False, count=5000)


@workload(
    "sql-tpcb-full",
    "TPC-B-like transactions, durability full",
    goal=1.2,
    peers=ROW,
    size=100_000,
    rounds=3,
    commits=1500,
)
def _tpcb_full(job: Job) -> Any:
    return _tpcb(job, durable=True, count=1500)
