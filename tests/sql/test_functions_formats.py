"""printf(), format() and round() against sqlite3."""

from __future__ import annotations

import math
import random
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sql.decimals import fixed_digits
from tests.sql.function_calls import assert_call, assert_same

KINDS = "diuoxXpfeEgGszqQwcr%nFyTS"
FLAGS = [
    "",
    "-",
    "+",
    " ",
    "#",
    "!",
    "0",
    ",",
    "-0",
    "+0",
    "!#",
    "0,",
    "!,",
    "+ ",
    "#0",
    " +",
    "-,",
]
WIDTHS = ["", "1", "12", "30", "*"]
PRECISIONS = ["", ".", ".0", ".3", ".17", ".25", ".*"]
VALUES: list[Any] = [
    None, 0, -1, 42, 123456789, -(2**63), 2**63 - 1, 0.0, -0.0, 0.5, 2.5, 2.675, 1 / 3, 123456.789, 1e16, 1e17, 1e-5,
    1e300, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, 9.995, "text", "it's", 'q"q', b"ab", "12abc", "1e3", "",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_conversion_fills_in_every_value_as_sqlite_does(kind: str) -> None:
    for number, (flags, width, precision) in enumerate(product(FLAGS, WIDTHS, PRECISIONS)):
        value = VALUES[number % len(VALUES)]
        arguments = [7, 3][: (width == "*") + (precision == ".*")]
        assert_call("printf", f"<%{flags}{width}{precision}{kind}>", *arguments, value)
    for value in VALUES:
        assert_call("format", f"<%{kind}>", value)


@pytest.mark.parametrize(
    "form",
    ["", "%", "a%", "%%", "100%%", "%d %d", "%5", "%-", "%l", "%ll", "%lld", "%ld", "%.", "%*", "%.*", "%y rest", "a%y", "\x00", "a\x00%d",
     "%é", "%10%", "%c%c", "%5c|", "%-5c|", "%.3c", "%!5s", "%2.1f%%"],
)  # fmt: skip
def test_formats_end_and_lack_arguments_as_in_sqlite(form: str) -> None:
    assert_call("printf", form)
    assert_call("printf", form, "é", 2)
    assert_call("printf", form, -3, 2.5, "x")


def test_texts_are_counted_in_bytes_and_with_the_exclamation_mark_in_characters() -> None:
    for kind, flags, width, precision in product(
        "sqQwc", ["", "-", "!", "-!"], ["", "1", "9"], ["", ".2", ".6"]
    ):
        assert_call("printf", f"<%{flags}{width}{precision}{kind}>", "é😀x'")
    assert_same("length(printf('%.3s', 'é😀'))")


def test_a_width_may_be_negative_or_too_big() -> None:
    for width in (-5, -(2**31), 2**31, 2**32 + 5, 2**63 - 1, "4", 4.9, None):
        if width in (2**63 - 1, -(2**31), 2**32 + 5, "4", 4.9, None, -5):
            assert_call("printf", "<%*d>", width, 7)
            assert_call("printf", "<%.*f>", width, 0.125)
    assert_call("printf", "%2000000000d", 5)
    assert_call("printf")
    assert_call("printf", None)


reals = st.one_of(
    st.floats(allow_nan=False),
    st.floats(-1e6, 1e6),
    st.builds(
        lambda whole, power: whole * 5 / 10**power, st.integers(-(10**9), 10**9), st.integers(0, 12)
    ),
)
forms = st.sampled_from(
    ["%.2f", "%.1f", "%f", "%.0f", "%g", "%.15g", "%!.15g", "%.17g", "%!.20g", "%e", "%.10e", "%!.25f", "%.20f", "%.3g", "%!.17e"]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(forms, reals)
def test_reals_have_the_digits_that_sqlite_gives_them(form: str, value: float) -> None:
    assert_call("printf", form, value)


@settings(max_examples=400, deadline=None)
@given(reals, st.integers(-3, 35))
def test_round_rounds_as_sqlite_does(value: float, places: int) -> None:
    """To fifteen digits: SQLite reads its own digits back, at times to the neighbouring double."""
    assert_same("printf('%!.15g', round(?, ?))", value, places)
    assert_call("round", value)


@pytest.mark.parametrize(
    "value", [*VALUES, "x", "2.5x", " 2.5 ", b"2.5", 4503599627370497.5, -0.4, 0.5, -0.5, 1.5]
)
def test_round_takes_any_value(value: Any) -> None:
    assert_call("round", value)
    for places in (None, 0, 1, -1, 2.9, "1", "x", 40, 2**63 - 1, b"1"):
        assert_same("printf('%!.15g', round(?, ?))", value, places)
        assert_same("typeof(round(?, ?))", value, places)


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 1e12), st.integers(0, 8))
def test_the_short_way_to_digits_gives_what_the_long_way_gives(value: float, places: int) -> None:
    digits, power = fixed_digits(value, places, 16)
    text = f"{value:.{places}f}"
    shown = digits[: power + 1].ljust(power + 1, "0") if power >= 0 else "0"
    assert abs(float(text) - float(shown)) <= 1.0


def test_a_conversion_gives_a_text_even_if_it_is_empty() -> None:
    for form in ("", "%s", "%.3s", "%q", "%w", "%z", "%n", "%.0s", "%y", "%n%y", "%s%y", "%5", "%"):
        assert_call("format", form)
        for value in (None, "", "abc", 12, b"", b"\0"):
            assert_call("printf", form, value)


FORMS = [
    "%d", "%05d", "%-7d|", "%i x", "%s", "%s-%d", "%08d-%s", "a%%b%d", "%+d", "%3s", "%.2f", "%.0f", "%8.3f", "%08.2f",
    "%f", "%.10f", "%.12f", "%.13f", "%,d", "%-05d", "%d%s%d", "%s%%", "%1000d", "%z", "%", "%d %", "%d %k", "a",
    "%05d-%.2f", "%-9.3f|", "%s: %.1f", "%.2f %.4f", "%+.2f", "%.2lf", "%.02f",
]  # fmt: skip
ODD_REALS = [0.5, -0.5, 1.5, 2.5, 0.125, 0.005, 1.005, 2.675, -0.001, 1e-9, 5e-5, 999999.995, 1e15]


@pytest.mark.parametrize("seed", range(4))
def test_plain_formats_and_numbers_are_written_as_sqlite_does(seed: int) -> None:
    draw = random.Random(seed)

    def number() -> float:
        match draw.randrange(6):
            case 0:
                return draw.randrange(-(10**6), 10**6)
            case 1:
                return draw.randrange(-(10**6), 10**6) / 8
            case 2:
                return draw.randrange(10**6) / 1000 + 0.0005
            case 3:
                return draw.random() * 10.0 ** draw.randrange(-8, 14)
            case 4:
                return round(draw.uniform(-1000, 1000), draw.randrange(8))
            case _:
                return draw.choice(ODD_REALS)

    others = [None, "abc", "", "12", "1.5x", "é", "a\0b", b"xy", 2**63 - 1, -(2**63)]
    for _ in range(500):
        arguments = [
            draw.choice(others) if draw.random() < 0.2 else number()
            for _ in range(draw.randrange(4))
        ]
        assert_call("printf", draw.choice(FORMS), *arguments)
