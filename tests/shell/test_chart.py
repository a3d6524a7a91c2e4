"""Charts of rows as text."""

from __future__ import annotations

import math
from typing import Any

import pytest
from wcwidth import wcswidth

from kvsh.chart import KINDS, Canvas, ChartError, draw, nice_step, short

ASCII = Canvas(60, 16, unicode=False)
UNICODE = Canvas(60, 16)


def test_bars_have_labels_values_and_an_axis() -> None:
    assert draw("bar", ["genre", "tracks"], [("Rock", 40), ("Jazz", 10), (None, None)], ASCII) == [
        "tracks by genre",
        "Rock |################################################## 40",
        "Jazz |############ 10",
        "NULL | NULL",
        "     +-----------+------------+------------+-----------+",
        "     0          10           20           30          40",
    ]


def test_negative_bars_grow_to_the_left_of_zero() -> None:
    lines = draw("bar", ["k", "n"], [("a", 10), ("b", -10)], ASCII)
    up, down = lines[1], lines[2]
    assert up.index("#") == down.rindex("#") + 1


def test_several_series_have_a_legend() -> None:
    lines = draw("bar", ["k", "n", "m"], [("a", 1, 2)], UNICODE)
    assert lines[0] == "■ n  ■ m"
    assert lines[2].strip().startswith("│")


def test_a_line_chart_has_both_axes() -> None:
    lines = draw("line", ["x", "y"], [(i, i * i) for i in range(11)], ASCII)
    assert lines[0] == "y by x"
    assert lines[1].startswith("100 +") and lines[1].endswith("*")
    assert lines[-3].startswith("  0 +*")
    assert lines[-1].split() == ["0", "5", "10"]


def test_a_line_chart_of_text_labels_keeps_the_order_of_rows() -> None:
    lines = draw("line", ["month", "y"], [("Mar", 3), ("Jan", 1), ("Feb", 2)], UNICODE)
    assert lines[-1].split() == ["Mar", "Jan", "Feb"]


def test_gaps_in_a_line_stay_gaps() -> None:
    lines = draw("line", ["x", "y"], [(0, 1), (1, None), (2, 1)], ASCII)
    assert sum(line.count("*") for line in lines) == 2


def test_a_histogram_counts_every_value_once() -> None:
    values = [(i % 37,) for i in range(1000)]
    lines = draw("hist", ["n"], values, ASCII)
    assert lines[0].startswith("n: 1,000 values, min 0, median")
    counts = [int(line.split()[-1]) for line in lines[1:-2]]
    assert sum(counts) == 1000


def test_sparks_show_each_numeric_column_in_a_line() -> None:
    lines = draw("spark", ["day", "a", "b"], [(f"d{i}", i, -i) for i in range(8)], UNICODE)
    assert lines == ["a  ▁▂▃▄▅▆▇█  min 0  max 7  last 7", "b  █▇▆▅▄▃▂▁  min -7  max 0  last -7"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [24, 80, 200])
@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize(
    "rows",
    [
        [("a", 0)],
        [("a", 1.5), ("b", -2)],
        [("x" * 100, 1e300), ("y", -1e300)],
        [("日本" * 30, 5)],
        [(1, 2)] * 3,
        [(None, None), (1, 3)],
        [(b"x", 1e-9)],
        [("a\nb", 9e18), ("b", 1)],
        [("i", i) for i in range(500)],
    ],
)
def test_no_line_is_wider_than_the_canvas(
    kind: str, width: int, unicode: bool, rows: list[tuple[Any, ...]]
) -> None:
    for line in draw(kind, ["a", "b"], rows, Canvas(width, 24, unicode)):
        assert 0 <= wcswidth(line) <= width
        assert unicode or all(ord(c) < 128 for c in line if c not in "日本")


def test_what_cant_be_drawn_is_said_clearly() -> None:
    with pytest.raises(ChartError, match="no numeric column to draw among a"):
        draw("bar", ["a"], [("x",)], ASCII)
    with pytest.raises(ChartError, match="no rows"):
        draw("bar", ["a"], [], ASCII)
    with pytest.raises(ChartError, match="no such chart: pie; there are bar, line, hist, spark"):
        draw("pie", ["a"], [(1,)], ASCII)
    with pytest.raises(ChartError):
        draw("bar", ["a", "b"], [("x", math.inf)], ASCII)


def test_colour_goes_through_the_painter() -> None:
    painted = draw(
        "bar", ["k", "n"], [("a", 3)], Canvas(40, 10, paint=lambda role, text: f"<{role}:{text}>")
    )
    assert any("<chart1:█" in line for line in painted)


def test_steps_and_numbers_are_round() -> None:
    assert [nice_step(span, 5) for span in (10, 23, 70, 0.4, 0)] == [2.0, 5.0, 20.0, 0.1, 1.0]
    assert [short(n) for n in (0, 12, 1204, 1_234_567, 0.25)] == [
        "0",
        "12",
        "1,204",
        "1.23M",
        "0.25",
    ]
