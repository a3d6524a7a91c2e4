"""Queries that ask a large table for a few rows: pages by key, the first rows of a range, against sqlite3.

Each is asked with many values of its parameters, so that ranges end within a leaf, at its end and in the next one."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import pytest

import kvsh
from kvsh import Connection

SCHEMA = """
CREATE TABLE o(id INTEGER PRIMARY KEY, customer INT, status TEXT, day TEXT, total REAL);
CREATE TABLE i(id INTEGER PRIMARY KEY, o_id INT, n INT);
CREATE INDEX o_status ON o(status);
CREATE INDEX o_customer ON o(customer, day);
CREATE INDEX o_day ON o(day);
CREATE INDEX i_o ON i(o_id);
"""
STATUSES = ["new", "paid", "done", None]
ROWS = 3000


@pytest.fixture(scope="module")
def both() -> tuple[Connection, sqlite3.Connection]:
    draw = random.Random(31)
    orders = [
        (
            number,
            draw.randrange(1, 200),
            draw.choices(STATUSES, [1, 3, 20, 1])[0],
            None if draw.random() < 0.02 else f"2024-{draw.randrange(1, 13):02}",
            round(draw.random() * 100, 2),
        )
        for number in range(1, 3 * ROWS, 3)
    ]
    items = [(number, draw.randrange(1, 3 * ROWS), number % 7) for number in range(2 * ROWS)]
    cons = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    for con in cons:
        con.executescript(SCHEMA)
        con.executemany("INSERT INTO o VALUES (?, ?, ?, ?, ?)", orders)
        con.executemany("INSERT INTO i VALUES (?, ?, ?)", items)
    return cons


def number(draw: random.Random) -> Any:
    return draw.choice([draw.randrange(3 * ROWS), -1, 3 * ROWS, 4000.5, "4000", "x", None])


def day(draw: random.Random) -> Any:
    return draw.choice([f"2024-{draw.randrange(1, 13):02}", "2024-06-1", "", "3", 7, None])


def status(draw: random.Random) -> Any:
    return draw.choice([*STATUSES, "none of them"])


def customer(draw: random.Random) -> Any:
    return draw.choice([draw.randrange(1, 200), 500, "7", None])


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("SELECT id FROM o WHERE status = ? AND id > ? ORDER BY id LIMIT 20", (status, number)),
        ("SELECT * FROM o WHERE status = ? AND id <= ? ORDER BY id DESC LIMIT 7", (status, number)),
        ("SELECT id, total FROM o WHERE status = ? AND id BETWEEN ? AND ?", (status, number, number)),
        ("SELECT count(*) FROM o WHERE status IN ('new', ?) AND rowid >= ?", (status, number)),
        ("SELECT total FROM o WHERE customer = ? AND day = ? AND id < ?", (customer, day, number)),
        ("SELECT id FROM o WHERE customer = ? AND day < ? ORDER BY day DESC LIMIT 4", (customer, day)),
        ("SELECT id FROM o WHERE customer = ? AND day >= ? ORDER BY day LIMIT 5", (customer, day)),
        (
            "SELECT id FROM o WHERE customer = ? AND day > ? AND day <= ? ORDER BY day DESC LIMIT 4",
            (customer, day, day),
        ),
        (
            "SELECT id, (SELECT count(*) FROM i WHERE i.o_id = o.id) FROM o WHERE id > ?"
            " ORDER BY id LIMIT 20",
            (number,),
        ),
        (
            "SELECT id FROM o WHERE id > ? AND EXISTS (SELECT 1 FROM i WHERE i.o_id = o.id AND n > 3)"
            " ORDER BY id LIMIT 3",
            (number,),
        ),
        ("SELECT id FROM o WHERE total > 90 AND id > ? LIMIT ?", (number, lambda draw: 2000)),
        ("SELECT id FROM o WHERE total > 90 AND id > ? LIMIT ?", (number, lambda draw: -1)),
        ("SELECT id FROM o WHERE total > 90 AND id > ? LIMIT 0", (number,)),
    ],
)  # fmt: skip
def test_few_rows_of_many_are_those_of_sqlite(
    both: tuple[Connection, sqlite3.Connection], sql: str, values: tuple[Any, ...]
) -> None:
    ours, theirs = both
    draw = random.Random(5)
    for _ in range(60):
        parameters = tuple(value(draw) for value in values)
        expected = theirs.execute(sql, parameters).fetchall()
        assert ours.execute(sql, parameters).fetchall() == expected, parameters


def test_a_range_of_row_ids_bounds_the_entries_of_an_index(
    both: tuple[Connection, sqlite3.Connection],
) -> None:
    ours, _ = both
    plan = str(
        ours.execute(
            "EXPLAIN SELECT id FROM o WHERE status = ? AND id > ? ORDER BY id LIMIT 20",
            ("new", 100),
        ).fetchall()
    )
    assert "o_status (status = ?1 and id > ?2)" in plan


def test_what_limit_leaves_out_is_not_counted_for_a_subquery(
    both: tuple[Connection, sqlite3.Connection],
) -> None:
    """Thousands of rows stand behind the page, and a hash table of all items was made for them."""
    ours, _ = both
    sql = (
        "EXPLAIN SELECT id, (SELECT count(*) FROM i WHERE i.o_id = o.id) FROM o ORDER BY id LIMIT 5"
    )
    assert "i_o" in str(ours.execute(sql).fetchall())


PATTERNS = [
    "ab%",
    "%b",
    "",
    None,
    5,
    b"ab",
    "a\u00e9%",
    "AB_c%",
    "zz%",
    "a",
    "b*",
    "*a",
    "a[bc]*",
    "\U0010ffff%",
    "1%",
]


@pytest.mark.parametrize("case", ["NOCASE", "BINARY"])
@pytest.mark.parametrize("first", ["ab%", "%b", "a[bc]*", 5])
def test_a_pattern_that_is_a_parameter_is_a_range_where_it_begins_with_a_text(
    case: str, first: Any
) -> None:
    draw = random.Random(3)
    texts = ["".join(draw.choices("abcABC\u00e9%1", k=draw.randrange(5))) for _ in range(2500)]
    cons = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    for con in cons:
        con.execute(f"CREATE TABLE w(id INTEGER PRIMARY KEY, k INT, t TEXT COLLATE {case}, n INT)")
        con.execute(
            f"CREATE TABLE c(k INT, t TEXT COLLATE {case}, n, PRIMARY KEY (t, k)) WITHOUT ROWID"
        )
        rows = [(i, i % 5, text or None, i) for i, text in enumerate(texts)]
        con.executemany("INSERT INTO w VALUES (?, ?, ?, ?)", rows)
        con.executemany("INSERT INTO c VALUES (?, ?, ?)", [(i, t, i) for i, t in enumerate(texts)])
        con.execute("CREATE INDEX w_t ON w(t)")
        con.execute("CREATE INDEX w_k ON w(k, t)")
    ours, theirs = cons
    for op in ("LIKE", "GLOB"):
        for sql in (
            f"SELECT id, n FROM w WHERE t {op} ?",
            f"SELECT id, t FROM w WHERE t {op} ? ORDER BY t, id LIMIT 6",
            f"SELECT id, t, n FROM w WHERE t {op} ? ORDER BY t DESC, id DESC LIMIT 6",
            f"SELECT count(*) FROM w WHERE t {op} ?",
            f"SELECT id, n FROM w WHERE k = 3 AND t {op} ?",
            f"SELECT id, n FROM w WHERE k IN (1, 3) AND t {op} ?",
            f"SELECT n FROM c WHERE t {op} ?",
            f"SELECT a.id, b.id FROM w a JOIN w b ON b.id = a.n AND b.t {op} ? WHERE a.k = 2",
        ):
            for pattern in [first, *PATTERNS]:
                expected = theirs.execute(sql, (pattern,)).fetchall()
                found = ours.execute(sql, (pattern,)).fetchall()
                if "ORDER" not in sql:
                    expected.sort()
                    found.sort()
                assert found == expected, (sql, pattern)


def test_a_pattern_s_beginning_is_looked_up_in_an_index() -> None:
    con = kvsh.connect(":memory:")
    con.execute("CREATE TABLE w(id INTEGER PRIMARY KEY, t TEXT)")
    con.execute("CREATE INDEX w_t ON w(t)")
    con.executemany("INSERT INTO w(t) VALUES (?)", [(f"{n:05}",) for n in range(5000)])
    plan = str(con.execute("EXPLAIN SELECT * FROM w WHERE t GLOB ?", ("0123*",)).fetchall())
    assert "w_t (t starts with glob_prefix(?1))" in plan


@pytest.mark.parametrize("order", ["", " ORDER BY id", " ORDER BY id LIMIT 5", " LIMIT 5"])
@pytest.mark.parametrize("bound", ["id > ?", "id >= ? AND id < 900000", "id < 900000 - ?"])
def test_a_bound_of_row_ids_is_one_however_few_rows_it_leaves_out(bound: str, order: str) -> None:
    """The plan of a first page, `id > 0`, is kept for the pages that follow: as a scan each would read all before it."""
    con = kvsh.connect(":memory:")
    con.execute("CREATE TABLE wide (id INTEGER PRIMARY KEY, a, b, c, d)")
    con.executemany("INSERT INTO wide VALUES (?, 1, 2, 3, 4)", [(i,) for i in range(1, 5000)])
    for columns in ("id", "a, c", "*"):
        sql = f"SELECT {columns} FROM wide WHERE {bound}{order}"
        plan = "\n".join(row[0] for row in con.execute(f"EXPLAIN {sql}", (0,)))
        assert "Search wide by primary key" in plan, plan
    pages = [
        con.execute(f"SELECT id FROM wide WHERE {bound} ORDER BY id", (n,)).fetchall()
        for n in (0, 4000)
    ]
    assert len(pages[0]) == 4999
    assert pages[1] == pages[0] if "<" in bound[:4] else pages[1][0][0] in (4000, 4001)


@pytest.mark.parametrize("order", ["", " ORDER BY id"])
@pytest.mark.parametrize("limit", [1, 20])
def test_a_queue_is_not_scanned(order: str, limit: int) -> None:
    """The plan is made while all jobs are new, and kept when most are done: a scan would have to pass those each time."""
    con = kvsh.connect(":memory:")
    con.execute("CREATE TABLE job (id INTEGER PRIMARY KEY, state TEXT, what TEXT)")
    con.execute("CREATE INDEX job_state ON job (state, id)")
    con.executemany("INSERT INTO job VALUES (?, 'new', 'x')", [(i,) for i in range(1, 5000)])
    sql = f"SELECT id, what FROM job WHERE state = 'new'{order} LIMIT {limit}"
    plan = "\n".join(row[0] for row in con.execute(f"EXPLAIN {sql}"))
    assert "job_state" in plan, plan
    # Where no index has it, the order of the row ids finds the first ones before a sort has begun.
    plan = "\n".join(row[0] for row in con.execute("EXPLAIN " + sql.replace("state", "what")))
    assert "Sort" not in plan, plan


@pytest.mark.parametrize("end", ["min", "max"])
def test_an_end_of_a_queue_is_not_scanned_for(end: str) -> None:
    con = kvsh.connect(":memory:")
    con.execute("CREATE TABLE job (id INTEGER PRIMARY KEY, state TEXT)")
    con.execute("CREATE INDEX job_state ON job (state, id)")
    con.executemany("INSERT INTO job VALUES (?, 'new')", [(i,) for i in range(1, 5000)])
    sql = f"SELECT {end}(id) FROM job WHERE state = 'new'"
    plan = "\n".join(row[0] for row in con.execute(f"EXPLAIN {sql}"))
    assert "job_state" in plan, plan


TAKEN = [
    "id = (SELECT id FROM job WHERE state = 'new' ORDER BY id LIMIT 1)",
    "id = (SELECT id FROM job WHERE state = 'new' ORDER BY id LIMIT 1 OFFSET 2)",
    "id = (SELECT min(id) FROM job WHERE state = 'new')",
    "id = (SELECT max(id) FROM job WHERE state IS NULL)",
    "id IN (SELECT id FROM job WHERE state IS NULL ORDER BY id LIMIT 7)",
    "id IN (SELECT id FROM job WHERE state = 'new' AND what = 1 ORDER BY id LIMIT 4 OFFSET 1)",
]


@pytest.mark.parametrize("taken", TAKEN)
@pytest.mark.parametrize("index", ["state, id", "state, what, id", "state"])
def test_a_queue_is_worked_off_as_in_sqlite(taken: str, index: str) -> None:
    """To its end, behind which there are other states, or nothing; some of it is put back."""
    cons = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    told: list[list[Any]] = []
    for con in cons:
        con.execute("CREATE TABLE job (id INTEGER PRIMARY KEY, state TEXT, what INT)")
        con.execute(f"CREATE INDEX job_state ON job ({index})")
        jobs = [(i, "new" if i % 3 else None, i % 5 and 1) for i in range(1, 120)]
        con.executemany("INSERT INTO job VALUES (?, ?, ?)", jobs)
        told.append([])
        for turn in range(130):
            sql = f"UPDATE job SET state = 'taken' WHERE {taken} RETURNING id"
            told[-1].append(sorted(con.execute(sql)))
            if not turn % 9:
                con.execute("UPDATE job SET state = 'new' WHERE id = ?", (turn + 1,))
            con.commit()
    assert told[0] == told[1]
    assert [] in told[0] and sum(map(len, told[0])) > 30
