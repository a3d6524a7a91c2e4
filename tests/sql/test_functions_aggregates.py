"""Aggregates and window functions against sqlite3, over all rows, in groups and in frames that move."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sql.engines import Engine
from tests.sql.function_calls import assert_same, engines, outcome

AGGREGATES = [
    "count(*)", "count(v)", "sum(v)", "total(v)", "avg(v)", "min(v)", "max(v)", "group_concat(v)", "group_concat(v, '-')",
    "group_concat(v, k)", "json_group_array(k)", "json_group_object(v, k)", "group_concat(v, null)",
]  # fmt: skip
RANKINGS = [
    "row_number()", "rank()", "dense_rank()", "percent_rank()", "cume_dist()", "ntile(3)", "lag(v)", "lag(v, 2, 'none')",
    "lead(v)", "lead(v, 1, k)", "first_value(v)", "last_value(v)", "nth_value(v, 2)",
]  # fmt: skip
FRAMES = [
    "", "rows between 1 preceding and 1 following", "rows between 2 preceding and 1 preceding",
    "rows between unbounded preceding and current row", "rows between current row and unbounded following",
    "groups between 1 preceding and current row", "range between 1 preceding and 1 following",
    "rows between 1 following and 2 following", "rows between 1 preceding and 1 following exclude current row",
    "groups between 1 preceding and 1 following exclude ties",
]  # fmt: skip

VALUE_LISTS: list[list[Any]] = [
    [],
    [None],
    [1, 2, 3],
    [1, None, 2.5],
    ["a", "b", None, "c"],
    ["1", "2", "3x", " 4 ", "1e2", ""],
    [b"1", b"x", b""],
    [2**63 - 1, 1],
    [2**63 - 1, 1, -1],
    [0.5, 2**63 - 1, 1],
    [2**63 - 1, 1, 0.5],
    [-(2**63), -1],
    [math.inf, -math.inf],
    [math.inf, 1],
    [0.1] * 10,
    [1e300, 1e300, -1e300],
    [1, "1", 1.0, b"1", None],
    ["", ""],
    [3, 1, 2, 1, 3],
    ["B", "a", "A"],
    [2**53, 1, 1, 0.5],
]

WINDOW_VALUE_LISTS = [
    [None],
    [1, 2, 3, None, 2.5, 7],
    ["a", "b", None, "c"],
    ["1", "2", "3x", " 4 ", "1e2"],
    [b"1", b"x"],
    [0.5, 2**53, 1],
    [0.1] * 10,
    [1e300, 1e300, -1e300, 5],
    ["B", "a", "A"],
]
"""Without what depends on how SQLite moves its frames: sums that overflow on the way, ties of 1 and 1.0, and
group_concat() of empty texts, which 3.40 makes NULL in a window alone."""


def rows_of(values: list[Any]) -> str:
    """A FROM clause of rows (k, g, v) in that order."""
    if not values:
        return "(select 1 k, 1 g, 1 v where 0)"
    rows = [f"select {at} k, {at % 2} g, ?{at + 1} v" for at in range(len(values))]
    return f"({' union all '.join(rows)})"


@pytest.mark.parametrize("values", VALUE_LISTS, ids=str)
def test_aggregates_of_any_values_are_those_of_sqlite(values: list[Any]) -> None:
    source = rows_of(values)
    quiet = [call for call in AGGREGATES if call != "sum(v)"]
    if None in values:
        quiet.remove("json_group_object(v, k)")  # 3.40 writes bad JSON for a NULL label
    if any(isinstance(value, bytes) for value in values):
        assert_same(f"json_group_array(v) from {source}", *values)
    else:
        quiet.append("json_group_array(v)")
    columns = ", ".join(quiet)
    for call in ("sum(v)", columns):
        assert_same(f"{call} from {source}", *values)
        assert_same(f"g, {call} from {source} group by g", *values)
    filtered = ", ".join(f"{call} filter (where k > 0)" for call in quiet)
    assert_same(f"{filtered} from {source}", *values)
    for call in ("count", "sum", "total", "avg", "min", "max", "group_concat"):
        assert_same(f"{call}(distinct v) from {source}", *values)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("values", WINDOW_VALUE_LISTS, ids=str)
def test_windows_over_any_values_are_those_of_sqlite(frame: str, values: list[Any]) -> None:
    if (
        "1 following and" in frame
    ):  # SQLite adds what such a frame leaves out, and takes it off again
        values = [value for value in values if value.__class__ is not float and value != 2**53] or [
            1
        ]
    source = rows_of(values)
    calls = [*AGGREGATES, *RANKINGS]
    if None in values:
        calls.remove("json_group_object(v, k)")
    columns = ", ".join(f"{call} over w" for call in calls)
    for window in (f"order by k {frame}", f"partition by g order by k {frame}"):
        assert_same(f"k, {columns} from {source} window w as ({window}) order by k", *values)


@pytest.mark.parametrize("order", ["v", "v desc", "v, k", "g", "g desc, v"])
def test_windows_over_peers_are_those_of_sqlite(order: str) -> None:
    values = [3, 1, 2, 1, 3, None, 2, 2]
    calls = [call for call in [*AGGREGATES[:7], *RANKINGS] if "(v" not in call or order == "v, k"]
    columns = ", ".join(f"{call} over w" for call in calls)
    for frame in FRAMES:
        if "range" not in frame and ("rows" not in frame or order == "v, k"):
            window = f"order by {order} {frame}"
            assert_same(
                f"k, {columns} from {rows_of(values)} window w as ({window}) order by k", *values
            )


@pytest.mark.parametrize(
    "expression",
    ["ntile(0) over () from (select 1)", "ntile('x') over () from (select 1)", "nth_value(1, 0) over () from (select 1)",
     "lag(1, -1) over (order by 1) from (select 1)", "sum(1, 2)", "count(1, 2)", "group_concat()", "row_number()", "total()"],
)  # fmt: skip
def test_wrong_calls_are_refused_as_in_sqlite(expression: str) -> None:
    ours, theirs = (outcome(engine, expression) for engine in engines())
    assert ours.startswith("error") == theirs.startswith("error"), (ours, theirs)


numbers = st.lists(
    st.one_of(
        st.none(),
        st.integers(-5, 5),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(-100, 100),
        st.sampled_from(["1", "2.5", "x", b"3"]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(numbers, st.sampled_from(AGGREGATES[:10]), st.sampled_from(FRAMES))
def test_any_list_of_values_aggregates_as_in_sqlite(
    values: list[Any], aggregate: str, frame: str
) -> None:
    assert_same(f"{aggregate} from {rows_of(values)}", *values)
    whole = [value for value in values if value.__class__ is not int or abs(value) < 10]
    if whole and "1 following and" not in frame:
        source = rows_of(whole)
        assert_same(f"{aggregate} over (order by k {frame}) from {source} order by k", *whole)


class Joined:
    """A program's aggregate with everything a moving frame needs."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def step(self, value: Any) -> None:
        self.parts.append(str(value))

    def inverse(self, value: Any) -> None:
        self.parts.pop(0)

    def value(self) -> str:
        return "+".join(self.parts)

    def finish(self) -> str:
        return self.value()


def test_a_programs_aggregate_and_function_hide_the_builtin_ones() -> None:
    from sql import Aggregate, Function
    from tests.sql.engines import KvshEngine

    engine: Engine = KvshEngine()
    registry = engine.session.functions  # type: ignore[attr-defined]
    before = registry.version
    registry.register(Function("abs", lambda value: "own", 1, 1, builtin=False), 1)
    registry.register(Aggregate("joined", Joined, 1, 1, slides=True, builtin=False), 1)
    assert registry.version > before
    assert engine.execute("select abs(-1), ABS(-1)") == [("own", "own")]
    source = "(select 1 x union select 2 union select 3)"
    assert engine.execute(f"select joined(x) from {source}") == [("1+2+3",)]
    window = f"select joined(x) over (order by x rows 1 preceding) from {source}"
    assert engine.execute(window) == [("1",), ("1+2",), ("2+3",)]
    registry.unregister("abs", 1)
    assert engine.execute("select abs(-1)") == [(1,)]
    registry.collations["BACKWARDS"] = lambda a, b: (a < b) - (a > b)
    registry.version += 1
    assert registry.collation("Backwards") is not None
    assert engine.execute("select x from (select 'a' x union select 'b') order by x collate backwards") == [("b",), ("a",)]  # fmt: skip
    engine.close()
