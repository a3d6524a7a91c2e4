"""Date and time functions against sqlite3."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kvsh
from tests.sql.function_calls import assert_call, assert_same, engines, outcome

NAMES = ("date", "time", "datetime", "julianday", "unixepoch")
FORMAT = "%d|%f|%H|%j|%J|%m|%M|%s|%S|%w|%W|%Y|%%"

VALUES: list[Any] = [
    None, 0, 1, -1, 4786, 2451545, 2451545.25, 2460000.123456, 1700000000, 1700000000.5, -1.5, 5373484.4999,
    5373484.5, 1e300, -1e300, 253402300799, 253402300800, -210866760000, -210866760001, b"2000-01-01", b"12:30",
    "2000-01-01", "-4713-11-24", "-4713-11-24 12:00", "-4713-11-23", "-0001-02-29", "0000-01-01", "9999-12-31",
    "9999-12-31 23:59:59.999", "9999-12-31 23:59:59.9999", "2000-02-30", "2001-02-31", "2000-13-01", "2000-00-10",
    "2000-01-32", "2000-1-1", "20000101", "2000-01-01T12:34:56", "2000-01-01TT12:34", "2000-01-01   12:34",
    "2000-01-01 12:34:56.789", "2000-01-01 12:34:56.7899", "2000-01-01 12:34:56.9996", "2000-01-01 12:34:56.",
    "2000-01-01 12:34:60", "2000-01-01 24:00:00", "2000-01-01 24:59:59", "2000-01-01 25:00", "2000-01-01 12:60",
    "2000-01-01 12:34Z", "2000-01-01 12:34 z ", "2000-01-01 12:34:56+02:30", "2000-01-01 12:34 -14:59",
    "2000-01-01 12:34 +15:00", "2000-01-01 12:34+00:00", "2000-01-01 12:34 PM", "2000-01-01 junk", "12:00",
    "12:00:01", "12:00:01.5", "12:00 +01:00", "1:00", "", " ", "2451545", " 2451545.5 ", "2451545x", "1e3", "now ",
    "+5", "-5", "2451545.5.5", "2000-01-01\x0012:00", "2000-01-01 12:34:56.123456789", "２０００-01-01",
    "2000-01-01 23:59:59.9999", "2000-12-31 23:59:59.99999", "1969-12-31 23:59:59.9", "1582-10-10", "1900-02-29",
    "2000-01-01 ", "2000-01-01\t12:00", "-2000-01-01", "--2000-01-01", "2000-01-01Z", "2000-01-01 +01:00",
]  # fmt: skip

MODIFIERS: list[Any] = [
    "+1 day", "-1 day", "1 days", "+1.5 days", "-0.5 day", "+1 month", "-1 months", "+13 months", "-13 month",
    "+1.5 months", "-1.5 month", "+0.5 months", "+1 year", "-1 years", "+1.25 years", "-0.25 year", "+100 hours",
    "+90 minutes", "-1e3 seconds", "+1.0005 seconds", "+0.0005 second", "-0.0004 seconds", "+1 DAY", "+1day",
    "+1  day ", "+ 1 day", "1 fortnight", "+1", "+1 d", "5373484 days", "5373485 days", "-5373485 days",
    "+14712 years", "-14713 years", "+14713 years", "+176545 months", "start of month", "start of year",
    "start of day", "START OF DAY", "start of week", "start of  day", "start of", "weekday 0", "weekday 6",
    "weekday 3.0", "weekday 3.5", "weekday 7", "weekday -1", "weekday", "weekday x", "weekday  2 ", "unixepoch",
    "UnixEpoch", "julianday", "auto", "utc", "localtime", "UTC", "+01:30", "-01:30", "01:30", "+01:30:15.5",
    "-25:00", "+24:59", "+1:30", "+01:30 ", "+01:30Z", "+01:30 +01:00", "", " ", None, 5, 1.5, "junk",
    "+1 second\x00junk", "subsec", "ceiling", "floor", "+0001-00-00", "+1 dayss", "+1 centuries",
    "-0 day", "+999999 seconds", "-999999 days", "999999 hours", "+9999999 days", "+01 minute",
    "+1.5e1 days", "+.5 days", "+5. days", "-.5 month", "1e2 hours", "+1 daY", "+1 minutesx", "++1 day",
]  # fmt: skip


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone that is not UTC and has summer time."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_time_value_is_read_as_sqlite_reads_it(name: str) -> None:
    for value in VALUES:
        assert_call(name, value)


@pytest.mark.parametrize("modifier", MODIFIERS)
def test_every_modifier_moves_every_moment_as_in_sqlite(modifier: Any) -> None:
    for value in VALUES:
        assert_call("strftime", FORMAT, value, modifier)


@pytest.mark.parametrize("second", MODIFIERS)
def test_modifiers_after_one_another_do_as_in_sqlite(second: Any) -> None:
    for first in MODIFIERS:
        for value in ("2024-01-31 23:59:59.999", 1700000000, "12:00", "-4713-11-24 12:00"):
            assert_call("strftime", FORMAT, value, first, second)


@pytest.mark.parametrize(
    "form",
    ["", "%", "plain", "%Y%", "%q", "a%db%%c%", "%%%", "%e", "é%Y", "%Y\x00%d", None, 5, b"%Y", "%f", "% Y"],
)  # fmt: skip
def test_formats_are_filled_in_as_in_sqlite(form: Any) -> None:
    assert_call("strftime", form, "2024-02-29 01:02:03.0456")
    assert_call("strftime", form, "-0044-03-15 23:59:59.9999")
    assert_call("strftime", form, None)


amounts = st.one_of(
    st.integers(-10_000, 10_000).map(str),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: f"{x:.7g}"),
)
shifts = st.builds(
    lambda sign, amount, unit: f"{sign}{amount} {unit}",
    st.sampled_from(["", "+", "-"]),
    amounts,
    st.sampled_from(["days", "day", "hours", "minutes", "seconds", "months", "years", "month"]),
)
moments = st.one_of(
    st.builds(
        lambda y, m, d, h, n, s: f"{y:04}-{m:02}-{d:02} {h:02}:{n:02}:{s:07.4f}",
        st.integers(-4713, 9999),
        st.integers(1, 12),
        st.integers(1, 31),
        st.integers(0, 24),
        st.integers(0, 59),
        st.floats(0, 59.9999),
    ),
    st.floats(-1e5, 6e6),
    st.integers(-300_000_000_000, 300_000_000_000),
)
modifiers = st.lists(st.one_of(shifts, st.sampled_from([m for m in MODIFIERS if m])), max_size=4)


@settings(max_examples=300, deadline=None)
@given(moments, modifiers)
def test_any_moment_and_modifiers_give_what_sqlite_gives(value: Any, chosen: list[Any]) -> None:
    assert_call("strftime", FORMAT, value, *chosen)
    assert_call("julianday", value, *chosen)
    assert_call("unixepoch", value, *chosen)
    assert_call("datetime", value, *chosen)


def test_now_is_one_moment_throughout_a_statement() -> None:
    ours, theirs = engines()
    query = "select strftime('%J', 'now') = strftime('%J'), julianday() = julianday('NOW')"
    assert ours.execute(query) == theirs.execute(query) == [(1, 1)]
    current = (
        "select current_date = date(), current_time = time('now'), current_timestamp = datetime()"
    )
    assert ours.execute(current) == [(1, 1, 1)]
    (found,), (expected,) = (engine.execute("select unixepoch()")[0] for engine in engines())
    assert 0 <= expected - found <= 5


def test_a_wrong_number_of_arguments_is_an_error() -> None:
    assert outcome(engines()[0], "current_date(1)").startswith("error")
    assert_same("strftime()")
    assert_same("strftime('%Y') = strftime('%Y', 'now')")


def test_plain_moments_and_those_that_nearly_are() -> None:
    """Moments as they are mostly written take a shorter way."""
    draw = random.Random(41)
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    forms = [
        "%Y",
        "%m-%d",
        "%Y%%",
        "x%H:%M:%S y",
        "%d/%m/%Y",
        "%j",
        "%",
        "%Y-%",
        "%q",
        "",
        "%Y\0%m",
    ]
    ends = [
        "",
        " 10:11:12",
        "T24:00:59",
        " 10:60:12",
        " 10:11",
        "  10:11:12",
        " 10:11:12.5",
        "Z",
        "\n",
    ]
    for _ in range(3000):
        day = f"{draw.randrange(10_000):04}-{draw.randrange(14):02}-{draw.randrange(33):02}"
        text = draw.choice(["", "", "-", " "]) + day + draw.choice(ends)
        values = (draw.choice(forms), text)
        sql = "SELECT strftime(?1, ?2), date(?2), time(?2), datetime(?2)"
        assert ours.execute(sql, values).fetchall() == theirs.execute(sql, values).fetchall(), (
            values
        )


def test_moments_of_many_rows_are_remembered_by_their_text() -> None:
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    days = [
        "2024-02-29",
        "1999-12-31 23:59:59",
        "x",
        None,
        2460000,
        2460000.0,
        "2460000",
        b"2024-02-29",
        1,
    ]
    for con in (ours, theirs):
        con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, at)")
        con.executemany("INSERT INTO t VALUES (?, ?)", [(i, days[i % 9]) for i in range(5000)])
    for sql in (
        "SELECT strftime('%Y', at) y, count(*), typeof(at) FROM t GROUP BY y, 3 ORDER BY 1, 3",
        "SELECT date(at, '+1 month'), julianday(at) FROM t WHERE id % 700 < 9 ORDER BY id",
        "SELECT count(*) FROM t WHERE strftime('%m', at) = '02'",
        "SELECT unixepoch(at) FROM t WHERE date(at) > '2000' ORDER BY id DESC LIMIT 12",
        "SELECT strftime('%Y', date(at)), max(id) FROM t GROUP BY 1 ORDER BY 1",
    ):
        assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall()
