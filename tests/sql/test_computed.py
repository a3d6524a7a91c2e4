"""Calls that are made for a batch of a column at once, and kept with it: against sqlite3, run by run and after changes."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

import kvsh
from sql.functions.datetimes import _PLAIN
from sql.functions.plain_moments import CLOCK_LENGTH, DATE_LENGTH, plain_moments
from tests.sql.engines import open_both

SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT NOT NULL, day TEXT, odd, n INTEGER, name TEXT, long TEXT)"
COUNT = 9000
QUERIES = (
    "SELECT date(at) d, count(*) FROM t GROUP BY d",
    "SELECT date(at), sum(n) FROM t GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 7",
    "SELECT date(day), max(n), count(*) FROM t GROUP BY date(day)",
    "SELECT strftime('%Y-%m', at) m, strftime('%H', at) h, count(*) FROM t GROUP BY m, h",
    "SELECT strftime('%d.%m.', day), count(*) FROM t WHERE n > 5 GROUP BY 1",
    "SELECT date(at, 'start of month'), date(at, 'weekday 1'), count(*) FROM t GROUP BY 1, 2",
    "SELECT date(odd), count(*) FROM t GROUP BY 1",
    "SELECT strftime('%H:%M', odd), count(*) FROM t GROUP BY 1",
    "SELECT julianday(odd), unixepoch(odd), id FROM t ORDER BY id",
    "SELECT id, julianday(at) - julianday(day), unixepoch(at) % 60 FROM t",
    "SELECT max(julianday(at) - julianday(day)), count(julianday(day)), min(unixepoch(odd)) FROM t",
    "SELECT DISTINCT date(at) FROM t",
    "SELECT DISTINCT upper(substr(name, 1, 1)), length(name) FROM t",
    "SELECT upper(name), count(*), min(at) FROM t GROUP BY upper(name)",
    "SELECT length(long), count(*) FROM t GROUP BY 1 HAVING count(*) > 2",
    "SELECT length(odd), typeof(odd), count(*) FROM t GROUP BY 1, 2",
    "SELECT round(odd), count(*) FROM t GROUP BY 1",
    "SELECT sum(length(long)), avg(length(name)), count(lower(name)) FROM t",
    "SELECT substr(at, 1, 7) || '!', id FROM t ORDER BY substr(at, 6), id LIMIT 20",
    "SELECT id FROM t WHERE id BETWEEN 1000 AND 8000 ORDER BY upper(name) DESC, date(at), id",
    "SELECT count(*) FILTER (WHERE upper(name) = 'B'), max(upper(name)) FROM t",
    "SELECT CASE WHEN n < 50 THEN date(at) ELSE upper(name) END x, count(*) FROM t GROUP BY x",
    "SELECT date(at) d, (SELECT count(*) FROM t u WHERE u.id < t.n) FROM t WHERE id % 1000 = 1",
    "SELECT strftime(?, at), count(*) FROM t GROUP BY 1",
    "SELECT x, y FROM (SELECT date(at) x, count(*) y FROM t GROUP BY 1) JOIN (SELECT date(day) z FROM t LIMIT 3) ON x = z",
    "SELECT date(at), count(*) FROM t WHERE date(at) > '2024-02-01' GROUP BY 1",
    "SELECT id, at FROM t WHERE date(at) = '2024-01-15'",
    "SELECT * FROM t WHERE date(day) IN ('2024-01-02', '2024-02-03')",
    "SELECT * FROM t WHERE '2024-03-20' = date(odd) ORDER BY id",
    "SELECT count(*), sum(n) FROM t WHERE strftime('%H', odd) >= '12' AND n > 5",
    "SELECT id FROM t WHERE julianday(odd) > 2460000.5",
    "SELECT count(*) FROM t WHERE unixepoch(at) < 1706000000 AND date(day) IS NULL",
    "SELECT id FROM t WHERE date(odd) IS NULL AND date(at, '+1 day') = '2024-02-01'",
    "SELECT id, n FROM t WHERE strftime(?, day) < '2024 03' AND date(at) <> date(day)",
    "SELECT id FROM t WHERE upper(name) = 'B' AND strftime('%d', at) = '03' LIMIT 500",
)
CHANGES = (
    "UPDATE t SET at = '2020-02-31 00:00:00', name = NULL WHERE id % 4000 = 7",
    "UPDATE t SET at = 'now and then' WHERE id = 4567",
    "DELETE FROM t WHERE id BETWEEN 2000 AND 2050",
    "INSERT INTO t VALUES (20000, '1999-12-31T23:59:59', '1999-12-31', 0, 1, 'ä', 'b')",
)


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[kvsh.Connection, sqlite3.Connection]]:
    ours, theirs = open_both(tmp_path_factory.mktemp("computed"), [SCHEMA])
    draw = random.Random(9)
    rows = []
    for number in range(COUNT):
        day = f"2024-{draw.randrange(1, 4):02}-{draw.randrange(1, 30):02}"
        clock = f"{draw.randrange(24):02}:{draw.randrange(60):02}:{draw.randrange(60):02}"
        odd = [None, 1, 1.0, 2460000.5, "x", b"y", day, f"{day}T{clock}", f"{day} 24:00:00", ""]
        rows.append(
            (
                number,
                f"{day} {clock}",
                draw.choice([None, day]),
                draw.choice(odd),
                draw.randrange(100),
                draw.choice(["a", "b", "B", "äb", "a\0b", None]),
                "x" * draw.randrange(400),
            )
        )
    for each in (ours, theirs):
        each.execute("BEGIN")
        each.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        each.execute("COMMIT")
    yield ours, theirs
    ours.close()
    theirs.close()


def found(con: Any, sql: str) -> list[str]:
    rows = con.execute(sql, ("%Y %j",) if "?" in sql else ()).fetchall()
    listed = [repr(tuple(round(v, 9) if isinstance(v, float) else v for v in row)) for row in rows]
    return listed if "ORDER BY" in sql else sorted(listed)


def test_against_sqlite(both: tuple[kvsh.Connection, sqlite3.Connection]) -> None:
    ours, theirs = both
    for change in ("", *CHANGES):
        if change:
            for con in both:
                con.execute(change)
        for sql in QUERIES:
            wanted = found(theirs, sql)
            for _ in range(2 if change else 4):  # from the file, from memory, from what is kept
                assert found(ours, sql) == wanted, (change, sql)


def test_what_is_computed_is_a_column_in_the_code(
    both: tuple[kvsh.Connection, sqlite3.Connection],
) -> None:
    def code(sql: str) -> str:
        return "\n".join(row[0] for row in both[0].execute(f"EXPLAIN CODE {sql}"))

    assert "groups.update(b3_100000)" in code("SELECT date(at), count(*) FROM t GROUP BY 1")
    assert "in b3_100000" in code("SELECT sum(length(at)) FROM t")
    # Not where some rows ask for it alone, or a subquery speaks of the column.
    assert "100000" not in code("SELECT date(at) FROM t WHERE abs(random()) > 1")
    assert "100000" not in code("SELECT upper(name) FROM t LIMIT 5")
    assert "100000" not in code("SELECT upper(name), (SELECT t.name) FROM t")


def test_conditions_on_moments_are_decided_for_a_batch(
    both: tuple[kvsh.Connection, sqlite3.Connection],
) -> None:
    def code(sql: str) -> str:
        return "\n".join(row[0] for row in both[0].execute(f"EXPLAIN CODE {sql}"))

    assert "ComputedTest(" in code("SELECT id FROM t WHERE date(at) = '2024-01-15'")
    # What few rows meet is fetched, though all columns are wanted.
    assert "found_rows(" in code("SELECT * FROM t WHERE julianday(at) = 2460325.5")
    assert "ComputedTest(" not in code("SELECT id FROM t WHERE date(at) = day")


def test_plain_moments_are_read_as_others_are() -> None:
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    draw = random.Random(8)
    values: list[Any] = [
        *("2023-02-30", "2023-02-31 10:00:00", "0000-01-01", "0001-01-01", "9999-12-31T23:59:59"),
        *("2023-W01-1T10:11:12", "20231120T101112.123", "2023-11-20 10:11+01", "2023-1120"),
        *(
            "2023-11-20x10:11:12",
            "2023-11-20 24:00:00",
            "2023-11-20 23:60:00",
            "2023-11-20 1:11:12",
        ),
        *("2023-11-20 10:11:1٢", "２023-11-20", "2023-13-01", "2023-00-10", "2023-11-20\n10:11:12"),
        *(
            "2023-11-20 10:11:60",
            "-023-11-20",
            "2023-11-2 ",
            " 2023-11-20",
            "2024-02-29",
            2460000,
            None,
        ),
    ]
    for _ in range(500):
        day = f"{draw.randrange(10000):04}-{draw.randrange(14):02}-{draw.randrange(33):02}"
        clock = f"{draw.randrange(25):02}:{draw.randrange(61):02}:{draw.randrange(61):02}"
        values += [day, f"{day}{draw.choice(' T')}{clock}"]
    for value in values:
        for sql in ("SELECT julianday(?)", "SELECT unixepoch(?)", "SELECT strftime('%s', ?)"):
            wanted = theirs.execute(sql, (value,)).fetchall()
            assert ours.execute(sql, (value,)).fetchall() == wanted, (sql, value)


def test_moments_of_rows_are_read_by_their_parts() -> None:
    odd = [
        *("2023-11-20 10:11", "2023-11-20T10:11", "2023-11-20 10:11:12.5", "2023-11-20 10:11:60"),
        *("2023-11-20 24:00:00", "2023-02-30", "2023-11-20 10:1", "2023-11-20:12", "12:30", ""),
        *("0000-01-01 00:00:01", "9999-12-31 23:59:59", "2023-11-2010:11:12", " 2023-11-20"),
        *(b"2023-11-20", 2460000, 2460000.25, None, "2023-11-20 10:11:12Z", "2023-11-20 10:11:1\n"),
    ]
    draw = random.Random(10)
    rows = [(odd[n] if n < len(odd) else moment(draw), n % 40) for n in range(300)]
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    for con in (ours, theirs):
        con.execute("CREATE TABLE m (at, n INTEGER)")
        con.executemany("INSERT INTO m VALUES (?, ?)", rows)
    sql = (
        "SELECT a.at, julianday(a.at) - julianday(b.at), unixepoch(a.at), strftime('%s', b.at)"
        " FROM m a JOIN m b ON b.n = a.n AND b.rowid > a.rowid ORDER BY a.rowid, b.rowid"
    )
    assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall()


def moment(draw: random.Random) -> str:
    day = f"{draw.randrange(1990, 2040)}-{draw.randrange(1, 13):02}-{draw.randrange(1, 32):02}"
    return f"{day}{draw.choice(' T')}{draw.randrange(24):02}:{draw.randrange(60):02}:{draw.randrange(60):02}"


@pytest.mark.parametrize("odd", [[], [None], [-(10**12), 2**62, 0.5, "1700000000", None, -1]])
def test_seconds_from_1970_are_grouped_by_days_and_hours(odd: list[Any]) -> None:
    draw = random.Random(11)
    rows = [(draw.randrange(-(10**9), 2 * 10**9),) for _ in range(6000)]
    rows += [(draw.randrange(1_700_000_000, 1_700_300_000),) for _ in range(3000)]
    rows += [(value,) for value in odd]
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    for con in (ours, theirs):
        con.execute("CREATE TABLE s (at)")
        con.executemany("INSERT INTO s VALUES (?)", rows)
    for call in (
        "strftime('%H', at, 'unixepoch')",
        "strftime('%H:%M', at, 'unixepoch')",
        "strftime('%M', at, 'unixepoch', '+1 day')",
        "strftime('%w %H', at, 'unixepoch')",
        "strftime('x', at, 'unixepoch')",
        "strftime('%Y-%m', at, 'unixepoch', 'start of month')",
        "date(at, 'unixepoch')",
    ):
        for sql in (
            f"SELECT {call}, count(*), sum(at > 0) FROM s GROUP BY 1 ORDER BY 1",
            f"SELECT count(*) FROM s WHERE {call} > '12'",
        ):
            wanted = theirs.execute(sql).fetchall()
            for _ in range(3):
                assert ours.execute(sql).fetchall() == wanted, sql


def test_moments_are_plain_together_if_each_of_them_is() -> None:
    draw = random.Random(3)
    texts: list[Any] = []
    for _ in range(4000):
        text = f"{draw.randrange(10000):04}-{draw.randrange(14):02}-{draw.randrange(34):02}"
        if draw.random() < 0.7:
            text += f"{draw.choice(' T')}{draw.randrange(26):02}:{draw.randrange(63):02}:{draw.randrange(63):02}"
        if draw.random() < 0.2:
            at = draw.randrange(len(text))
            text = text[:at] + draw.choice(["x", "٣", "\n", "T", "", "é", " "]) + text[at + 1 :]
        texts.append(text)
    plain = [text for text in texts if _PLAIN(text)]
    for text in texts:
        assert (plain_moments([text]) is not None) == (_PLAIN(text) is not None), text
        if len(text) in (DATE_LENGTH, CLOCK_LENGTH):
            alike = [each for each in plain if len(each) == len(text)][:20]
            among = plain_moments([*alike, text, *alike])
            assert (among is not None) == (_PLAIN(text) is not None), text
    moments = plain_moments([each for each in plain if len(each) == CLOCK_LENGTH])
    assert moments is not None
    assert moments.day_seconds() == [
        int(each[11:13]) * 3600 + int(each[14:16]) * 60 + int(each[17:])
        for each in plain
        if len(each) == CLOCK_LENGTH
    ]
    for others in (
        [],
        [None],
        ["2024-01-01", None],
        ["2024-01-01", 5],
        ["2024-01-01", "\ud800" * 10],
    ):
        assert plain_moments(others) is None
