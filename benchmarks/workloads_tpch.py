"""Seven queries of TPC-H's shape (Q1, Q3, Q4, Q6, Q10, Q12, Q18) on data like its own, at a small scale.

The tables, the columns that the queries need, and the queries follow the TPC-H specification (revision 3);
the data is drawn by a generator of our own, so the figures are no TPC results.  `size` is the number of orders:
1,500,000 of them would be scale factor 1.  Dates are texts in ISO form, as SQLite users keep them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from benchmarks.peers import connect, insert
from benchmarks.workloads import Job, workload
from benchmarks.workloads_sql import PEERS, WARM_RUNS, rounded

SCHEMA = """
CREATE TABLE nation (n_nationkey INTEGER PRIMARY KEY, n_name TEXT NOT NULL);
CREATE TABLE customer (c_custkey INTEGER PRIMARY KEY, c_name TEXT NOT NULL, c_nationkey INTEGER NOT NULL,
  c_mktsegment TEXT NOT NULL, c_acctbal DOUBLE NOT NULL, c_phone TEXT NOT NULL);
CREATE TABLE orders (o_orderkey INTEGER PRIMARY KEY, o_custkey INTEGER NOT NULL, o_totalprice DOUBLE NOT NULL,
  o_orderdate TEXT NOT NULL, o_orderpriority TEXT NOT NULL, o_shippriority INTEGER NOT NULL);
CREATE TABLE lineitem (l_orderkey INTEGER NOT NULL, l_linenumber INTEGER NOT NULL, l_quantity DOUBLE NOT NULL,
  l_extendedprice DOUBLE NOT NULL, l_discount DOUBLE NOT NULL, l_tax DOUBLE NOT NULL, l_returnflag TEXT NOT NULL,
  l_linestatus TEXT NOT NULL, l_shipdate TEXT NOT NULL, l_commitdate TEXT NOT NULL,
  l_receiptdate TEXT NOT NULL, l_shipmode TEXT NOT NULL);
"""

INDEXES = """
CREATE INDEX orders_custkey ON orders(o_custkey);
CREATE INDEX lineitem_orderkey ON lineitem(l_orderkey);
"""

SEGMENTS = ("AUTOMOBILE", "BUILDING", "FURNITURE", "HOUSEHOLD", "MACHINERY")
PRIORITIES = ("1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW")
MODES = ("AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK")
FIRST_DAY = date(1992, 1, 1)
DAYS = 2_406
TODAY = "1995-06-17"


def customers(count: int) -> Iterator[tuple[Any, ...]]:
    """`count` rows of customer."""
    draw = random.Random(11)
    for key in range(1, count + 1):
        yield (
            key,
            f"Customer#{key:09}",
            draw.randrange(25),
            draw.choice(SEGMENTS),
            round(draw.uniform(-999, 9999), 2),
            f"{draw.randrange(10, 35)}-{draw.randrange(10**7):07}",
        )


def orders_and_lines(count: int) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """`count` rows of orders, and theirs of lineitem (four on average)."""
    draw = random.Random(12)
    days = [(FIRST_DAY + timedelta(days=day)).isoformat() for day in range(DAYS + 160)]
    orders: list[tuple[Any, ...]] = []
    lines: list[tuple[Any, ...]] = []
    for key in range(1, count + 1):
        ordered = draw.randrange(DAYS)
        total = 0.0
        for number in range(1, draw.randrange(1, 8) + 1):
            quantity = float(draw.randrange(1, 51))
            price = round(quantity * draw.uniform(900, 2100), 2)
            shipped = ordered + draw.randrange(1, 122)
            received = shipped + draw.randrange(1, 31)
            back = days[received] <= TODAY
            total += price
            lines.append(
                (
                    key,
                    number,
                    quantity,
                    price,
                    draw.randrange(11) / 100,
                    draw.randrange(9) / 100,
                    draw.choice("RA") if back else "N",
                    "F" if days[shipped] <= TODAY else "O",
                    days[shipped],
                    days[ordered + draw.randrange(30, 91)],
                    days[received],
                    draw.choice(MODES),
                )
            )
        customer = draw.randrange(1, max(count // 10, 2))
        orders.append((key, customer, round(total, 2), days[ordered], draw.choice(PRIORITIES), 0))
    return orders, lines


def _build(job: Job, path: str) -> None:
    con = connect(job.peer, path, durable=True)
    for statement in filter(str.strip, SCHEMA.split(";")):
        con.execute(statement)
    orders, lines = orders_and_lines(job.size)
    nations = [(key, f"NATION {key}") for key in range(25)]
    for table, rows in (
        ("nation", nations),
        ("customer", list(customers(job.size // 10))),
        ("orders", orders),
        ("lineitem", lines),
    ):
        insert(con, job.peer, table, rows)
    for statement in filter(str.strip, INDEXES.split(";")):
        con.execute(statement)
    con.execute("ANALYZE")
    con.close()


def query(name: str, title: str, sql: str) -> None:
    """Register one query; the goal is that of the median of all seven."""

    def run(job: Job) -> Any:
        con = connect(job.peer, job.prepared("tpch", lambda path: _build(job, path)))
        for _ in range(WARM_RUNS):
            con.execute(sql).fetchall()
        with job.watch:
            rows = con.execute(sql).fetchall()
        return rounded(rows)

    workload(name, title, goal=1.5, peers=PEERS, size=75_000, quick_size=15_000, rounds=3)(run)


query(
    "tpch-q01",
    "TPC-H-like Q1: pricing summary",
    """SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice),
      sum(l_extendedprice * (1 - l_discount)), sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)),
      avg(l_quantity), avg(l_extendedprice), avg(l_discount), count(*)
    FROM lineitem WHERE l_shipdate <= '1998-09-02'
    GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus""",
)
query(
    "tpch-q03",
    "TPC-H-like Q3: shipping priority",
    """SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority
    FROM customer, orders, lineitem
    WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey AND l_orderkey = o_orderkey
      AND o_orderdate < '1995-03-15' AND l_shipdate > '1995-03-15'
    GROUP BY l_orderkey, o_orderdate, o_shippriority ORDER BY revenue DESC, o_orderdate LIMIT 10""",
)
query(
    "tpch-q04",
    "TPC-H-like Q4: order priority",
    """SELECT o_orderpriority, count(*) AS order_count FROM orders
    WHERE o_orderdate >= '1993-07-01' AND o_orderdate < '1993-10-01'
      AND EXISTS (SELECT * FROM lineitem
                  WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)
    GROUP BY o_orderpriority ORDER BY o_orderpriority""",
)
query(
    "tpch-q06",
    "TPC-H-like Q6: revenue forecast",
    """SELECT sum(l_extendedprice * l_discount) AS revenue FROM lineitem
    WHERE l_shipdate >= '1994-01-01' AND l_shipdate < '1995-01-01'
      AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24""",
)
query(
    "tpch-q10",
    "TPC-H-like Q10: returned items",
    """SELECT c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) AS revenue, c_acctbal, n_name, c_phone
    FROM customer, orders, lineitem, nation
    WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey
      AND o_orderdate >= '1993-10-01' AND o_orderdate < '1994-01-01'
      AND l_returnflag = 'R' AND c_nationkey = n_nationkey
    GROUP BY c_custkey, c_name, c_acctbal, c_phone, n_name ORDER BY revenue DESC, c_custkey LIMIT 20""",
)
query(
    "tpch-q12",
    "TPC-H-like Q12: shipping modes",
    """SELECT l_shipmode,
      sum(CASE WHEN o_orderpriority = '1-URGENT' OR o_orderpriority = '2-HIGH' THEN 1 ELSE 0 END) AS high,
      sum(CASE WHEN o_orderpriority <> '1-URGENT' AND o_orderpriority <> '2-HIGH' THEN 1 ELSE 0 END) AS low
    FROM orders, lineitem
    WHERE o_orderkey = l_orderkey AND l_shipmode IN ('MAIL', 'SHIP')
      AND l_commitdate < l_receiptdate AND l_shipdate < l_commitdate
      AND l_receiptdate >= '1994-01-01' AND l_receiptdate < '1995-01-01'
    GROUP BY l_shipmode ORDER BY l_shipmode""",
)
query(
    "tpch-q18",
    "TPC-H-like Q18: large orders",
    """SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, sum(l_quantity)
    FROM customer, orders, lineitem
    WHERE o_orderkey IN (SELECT l_orderkey FROM lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 250)
      AND c_custkey = o_custkey AND o_orderkey = l_orderkey
    GROUP BY c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice
    ORDER BY o_totalprice DESC, o_orderdate LIMIT 100""",
)
