"""Window functions against sqlite3: random windows over small tables, and the order of ties."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.sql.engines import Engine, EngineError, KvshEngine, Rows, SqliteEngine

AGGREGATES = (
    "sum(v)", "count(*)", "count(v)", "avg(v)", "min(v)", "max(v)", "total(v)", "max(o)", "sum(id)",
    "group_concat(w)", "group_concat(id, '-')",
)  # fmt: skip
RANKS = (
    "row_number()", "rank()", "dense_rank()", "percent_rank()", "cume_dist()", "ntile(3)",
    "ntile(1)", "ntile(id)", "ntile(0)",
)  # fmt: skip
PICKS = (
    "first_value(v)", "last_value(v)", "nth_value(v, 2)", "nth_value(v, 1)", "nth_value(v, id)",
    "nth_value(v, 0)", "first_value(id)", "last_value(id)",
)  # fmt: skip
SHIFTS = ("v", "v, 1", "v, 2, 'd'", "v, 0", "v, -1", "o, id", "v, NULL", "v, 1, id")
ORDERS = (
    "", "ORDER BY o", "ORDER BY o DESC", "ORDER BY o, id", "ORDER BY w, o DESC",
    "ORDER BY o NULLS LAST", "ORDER BY o DESC NULLS FIRST", "ORDER BY id",
)  # fmt: skip


def frame(rng: random.Random) -> str:
    unit = rng.choice(["ROWS", "RANGE", "GROUPS"])

    def offset() -> str:
        if rng.random() > 0.97:
            return rng.choice(["-1", "'a'", "NULL", "1.5"])
        return rng.choice(["0", "1", "2", "3", "1.0", "2.5"] if unit == "RANGE" else list("01234"))

    def bound(unbounded: str) -> str:
        return rng.choice(
            [unbounded, "CURRENT ROW", f"{offset()} PRECEDING", f"{offset()} FOLLOWING"]
        )

    exclude = rng.choice(
        [""] * 4 + ["EXCLUDE CURRENT ROW", "EXCLUDE GROUP", "EXCLUDE TIES"],
    )
    low, high = bound("UNBOUNDED PRECEDING"), bound("UNBOUNDED FOLLOWING")
    return f"{unit} BETWEEN {low} AND {high} {exclude}"


def window(rng: random.Random, framed: float) -> str:
    partition = rng.choice(["", "PARTITION BY g", "PARTITION BY g, w"])
    bounds = frame(rng) if rng.random() < framed else ""
    return f"OVER ({partition} {rng.choice(ORDERS)} {bounds})"


def call(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.45:
        function = rng.choice(AGGREGATES)
        # SQLite forgets the FILTER of min() and max() over frames whose start moves.
        if rng.random() < 0.2 and function[:3] not in ("min", "max"):
            function += rng.choice([" FILTER (WHERE v > 2)", " FILTER (WHERE g IS NULL)"])
        return f"{function} {window(rng, 0.75)}"
    if kind < 0.7:
        return f"{rng.choice(RANKS)} {window(rng, 0.15)}"
    if kind < 0.85:
        return f"{rng.choice(['lag', 'lead'])}({rng.choice(SHIFTS)}) {window(rng, 0.15)}"
    return f"{rng.choice(PICKS)} {window(rng, 0.75)}"


def fill(rng: random.Random, *engines: Engine) -> None:
    mixed = rng.random() < 0.4
    for engine in engines:
        engine.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, g, o, v, w TEXT COLLATE NOCASE)")
    for place in range(rng.choice([0, 1, 5, 12, 25])):
        o: Any = rng.choice([None, rng.randrange(6), rng.randrange(6), rng.randrange(12) / 2])
        v: Any = rng.choice([None, rng.randrange(9), rng.randrange(40) / 4])
        if mixed:
            v = rng.choice([None, 3, 2.5, "7x", "b", b"q"])
            if rng.random() < 0.2:
                o = rng.choice(["a", "5", b"x"])
        row = (place + 1, rng.choice([None, 1, 2, "a"]), o, v, rng.choice(["a", "A", "b", None]))
        for engine in engines:
            engine.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?)", row)


def outcome(engine: Engine, query: str) -> Rows | None:
    """The rows, REALs rounded; None for an error."""
    try:
        rows = engine.execute(query)
    except EngineError:
        return None
    return [
        tuple(round(value, 9) if isinstance(value, float) else value for value in row)
        for row in rows
    ]


@pytest.mark.parametrize("seed", range(24))
def test_windows_have_the_values_and_the_order_that_sqlite_gives(seed: int) -> None:
    rng = random.Random(seed)
    ours, theirs = KvshEngine(), SqliteEngine()
    fill(rng, ours, theirs)
    for _ in range(20):
        calls = ", ".join(call(rng) for _ in range(rng.choice([1, 1, 2, 3])))
        query = f"SELECT id, {calls} FROM t{rng.choice(['', ' WHERE id > 2'])}"
        query += rng.choice(["", " ORDER BY id"])
        found, wanted = outcome(ours, query), outcome(theirs, query)
        assert found == wanted, query
        types = [type(value) for row in found or () for value in row]
        assert types == [type(value) for row in wanted or () for value in row], query
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("sum(x) OVER (ORDER BY x ROWS -1 PRECEDING)", "frame starting offset must be a non-negative integer"),
        ("sum(x) OVER (ORDER BY x GROUPS BETWEEN CURRENT ROW AND 1.5 FOLLOWING)", "frame ending offset must be a non-negative integer"),
        ("sum(x) OVER (ORDER BY x RANGE BETWEEN 'a' PRECEDING AND CURRENT ROW)", "frame starting offset must be a non-negative number"),
        ("ntile(0) OVER ()", "argument of ntile must be a positive integer"),
        ("nth_value(x, 0) OVER ()", "second argument to nth_value must be a positive integer"),
    ],
)  # fmt: skip
def test_bad_offsets_and_arguments_are_refused_in_sqlites_words(call: str, message: str) -> None:
    for engine in (KvshEngine(), SqliteEngine()):
        engine.execute("CREATE TABLE n(x)")
        engine.execute("INSERT INTO n VALUES (1), (2)")
        with pytest.raises(EngineError, match=message):
            engine.execute(f"SELECT {call} FROM n")
        engine.close()


@pytest.mark.parametrize(
    "offset",
    ["1.7", "'1.7'", "2.0", "'2.0'", "'1x'", "x'31'", "-1.5", "1e300", "9e999", "NULL", "id / 2.0", "b"],
)  # fmt: skip
def test_offsets_of_any_kind(offset: str) -> None:
    """Rows that are not a whole number away are none; texts that are numbers are numbers."""
    bounds = "'1'", "' 1'", "'1.0'", "1.0", "'1x'", "''"
    calls = [f"{name}(b, {offset}, 7) OVER (ORDER BY id)" for name in ("lag", "lead")]
    calls += [
        f"sum(id) OVER (ORDER BY id {unit} BETWEEN {bound} PRECEDING AND {bound} FOLLOWING)"
        for unit in ("ROWS", "RANGE", "GROUPS")
        for bound in bounds
    ]
    ours, theirs = KvshEngine(), SqliteEngine()
    for engine in (ours, theirs):
        engine.execute("CREATE TABLE n(id INTEGER PRIMARY KEY, b)")
        engine.execute("INSERT INTO n VALUES (1, 'x'), (2, NULL), (3, 1), (4, '2.0'), (5, 1.5)")
    for call in calls:
        query = f"SELECT id, {call} FROM n ORDER BY id"
        assert outcome(ours, query) == outcome(theirs, query), query


def test_of_equal_extremes_a_growing_frame_shows_the_first_and_a_moving_one_the_last() -> None:
    ours, theirs = KvshEngine(), SqliteEngine()
    frames = (
        "CURRENT ROW AND UNBOUNDED FOLLOWING", "UNBOUNDED PRECEDING AND CURRENT ROW",
        "1 PRECEDING AND CURRENT ROW", "1 PRECEDING AND 1 FOLLOWING",
        "UNBOUNDED PRECEDING AND 1 FOLLOWING", "2 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW",
    )  # fmt: skip
    for engine in (ours, theirs):
        engine.execute("CREATE TABLE n(id INTEGER PRIMARY KEY, x)")
        engine.execute("INSERT INTO n VALUES (1, 5), (2, 5.0), (3, 5), (4, 5.0), (5, 1)")
    for function in ("min(x)", "max(x)"):
        for bounds in frames:
            query = f"SELECT {function} OVER (ORDER BY id ROWS BETWEEN {bounds}) FROM n"
            assert repr(ours.execute(query)) == repr(theirs.execute(query)), query


@pytest.mark.parametrize(
    "window", ["", "PARTITION BY v % 3", "ORDER BY v", "PARTITION BY v ORDER BY w"]
)
def test_many_rows_in_one_window(window: str) -> None:
    engines: list[Engine] = [KvshEngine(), SqliteEngine()]
    found = []
    for engine in engines:
        engine.execute("CREATE TABLE t(v INTEGER, w)")
        engine.execute(
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 25000)"
            " INSERT INTO t SELECT n * 7919 % 30011, n % 5 FROM c"
        )
        found.append(
            engine.execute(
                f"SELECT v, count(*) OVER w, row_number() OVER w FROM t WINDOW w AS ({window})"
            )
        )
    assert found[0] == found[1]
