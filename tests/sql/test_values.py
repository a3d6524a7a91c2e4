"""Values: affinities, casts, truth, texts of numbers and the order of kinds, against sqlite3."""

from __future__ import annotations

import sqlite3
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sql.collations import CollatedText, collation_key, comparing, folding
from sql.errors import SqlError, SqlNameError
from sql.expressions import Affinity
from sql.values import (
    INT_MAX,
    INT_MIN,
    affinity_of_type,
    apply_affinity,
    cast,
    compare,
    kind_of,
    real_to_text,
    remainder,
    sort_key,
    text_to_number,
    to_integer,
    to_number,
    truth,
    value_to_text,
)

TYPES = {
    Affinity.BLOB: "BLOB",
    Affinity.TEXT: "TEXT",
    Affinity.NUMERIC: "NUMERIC",
    Affinity.INTEGER: "INTEGER",
    Affinity.REAL: "REAL",
}
SPECIAL_TEXTS = (
    *(
        "",
        " ",
        "abc",
        "1",
        " 1",
        "1 ",
        "\t-2\n",
        "1.0",
        "1e2",
        "0x10",
        "1abc",
        "-5x",
        "+7",
        "-",
        ".",
    ),
    *(".5", "5.", "1e", "1e+", "1.5e3", "9223372036854775807", "9223372036854775808", "1_0", "nan"),
    *("-9223372036854775808", "-9223372036854775809", "1e400", "-1e400", "inf", "10.0", "\u0663"),
    *(
        "2251799813685247.0",
        "2251799813685248.0",
        "-2251799813685248.0",
        "1e18",
        "-0",
        "-0.0",
        "1.e2",
    ),
    *("9" * 5000, "-" + "0" * 5000 + "7", "1" + "0" * 5000 + "e-5000", "\xa01", "1\xa0"),
)
SPECIAL_NUMBERS = (
    *(
        0,
        1,
        -1,
        63,
        2**53 + 1,
        INT_MAX,
        INT_MIN,
        0.0,
        -0.0,
        0.5,
        1e18,
        9.3e18,
        1e20,
        -1e308,
        1e-300,
    ),
    *(
        9223372036854775807.0,
        -9223372036854775808.0,
        float("inf"),
        float("-inf"),
        100000.0,
        1e15,
        1e-5,
    ),
)
numerals = st.text(alphabet="0123456789.eE+- ", max_size=14)
values = st.one_of(
    st.none(),
    st.sampled_from(SPECIAL_NUMBERS),
    st.integers(INT_MIN, INT_MAX),
    st.integers(-(2**20), 2**20).map(lambda eighths: eighths / 8),
    st.sampled_from(SPECIAL_TEXTS),
    numerals,
    st.text(max_size=5).filter(lambda text: "\0" not in text),
    numerals.map(str.encode),
    st.sampled_from((b"", b"abc", b" 1 ", b"1.5e1x", "é".encode())),
)
deterministic = settings(derandomize=True, database=None, deadline=None, max_examples=300)


@pytest.fixture(scope="module")
def sqlite() -> Any:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    columns = ", ".join(f"a{int(affinity)} {name}" for affinity, name in TYPES.items())
    connection.execute(f"CREATE TABLE t ({columns})")
    yield connection
    connection.close()


def asked(connection: sqlite3.Connection, expression: str, *parameters: object) -> Any:
    return connection.execute(f"SELECT {expression}", parameters).fetchone()[0]


def same(ours: Any, theirs: Any) -> bool:
    return type(ours) is type(theirs) and bool(ours == theirs)


@deterministic
@given(values)
def test_columns_convert_what_they_store_as_in_sqlite(sqlite: Any, value: Any) -> None:
    sqlite.execute("DELETE FROM t")
    sqlite.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?)", [value] * len(TYPES))
    stored = sqlite.execute("SELECT * FROM t").fetchone()
    for affinity, theirs in zip(TYPES, stored, strict=True):
        ours = apply_affinity(value, affinity)
        assert same(ours, theirs), (affinity, ours, theirs)


@deterministic
@given(values)
def test_casts_give_what_sqlite_gives(sqlite: Any, value: Any) -> None:
    for affinity, name in TYPES.items():
        theirs = asked(sqlite, f"CAST(? AS {name})", value)
        ours = cast(value, affinity)
        assert same(ours, theirs), (affinity, ours, theirs)


@deterministic
@given(values)
def test_arithmetic_and_conditions_read_values_as_sqlite_does(sqlite: Any, value: Any) -> None:
    number = to_number(value)
    assert same(number, asked(sqlite, "? + 0", value)) or number in (float("inf"), float("-inf"))
    true = truth(value)
    assert asked(sqlite, "? IS TRUE", value) == (true is True)
    assert asked(sqlite, "? IS FALSE", value) == (true is False)
    assert same(value_to_text(value), asked(sqlite, "CAST(? AS TEXT)", value))


@deterministic
@given(values, values)
def test_remainders_are_those_of_sqlite(sqlite: Any, left: Any, right: Any) -> None:
    assert same(remainder(left, right), asked(sqlite, "? % ?", left, right))


@deterministic
@given(st.lists(values, max_size=12))
def test_values_of_all_kinds_sort_as_in_sqlite(sqlite: Any, items: list[Any]) -> None:
    rows = " UNION ALL ".join(["SELECT ?, ?"] * len(items)) or "SELECT 1, 1 WHERE 0"
    parameters = [part for place, item in enumerate(items) for part in (item, place)]
    query = f"WITH t(v, n) AS ({rows}) SELECT v FROM t ORDER BY v, n"
    theirs = [row[0] for row in sqlite.execute(query, parameters)]
    assert [repr(item) for item in sorted(items, key=sort_key)] == [repr(item) for item in theirs]
    assert sorted(items, key=cmp_to_key(compare)) == theirs


@deterministic
@given(
    st.floats(allow_nan=False)
    | st.integers(10**14, 10**15).map(lambda whole: whole + 0.5)
    | st.builds(
        lambda digits, scale: digits / 10**scale, st.integers(0, 10**16), st.integers(0, 40)
    )
    | st.builds(
        lambda digits, scale: (digits * 10 + 5) / 10**scale,
        st.integers(10**14, 10**15 - 1),
        st.integers(0, 320),
    )
)
def test_reals_print_as_in_sqlite(sqlite: Any, value: float) -> None:
    """Also those half-way between two decimals of 15 digits, which SQLite rounds by its own errors."""
    assert real_to_text(value) == asked(sqlite, "CAST(? AS TEXT)", value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (-0.0, "0.0"),
        (1e20, "1.0e+20"),
        (1e15, "1.0e+15"),
        (123456789012345.0, "123456789012345.0"),
        (1e-5, "1.0e-05"),
        (0.1 + 0.2, "0.3"),
        (563922579530868.5, "563922579530869.0"),
        (5026296473274915.0, "5.02629647327491e+15"),
        (1.5e300, "1.5e+300"),
        (float("inf"), "Inf"),
        (float("-inf"), "-Inf"),
    ],
)
def test_reals_have_fifteen_digits_and_a_point(value: float, text: str) -> None:
    assert real_to_text(value) == text


@pytest.mark.parametrize(
    ("declared", "affinity"),
    [
        (None, Affinity.BLOB),
        ("", Affinity.BLOB),
        ("int", Affinity.INTEGER),
        ("UNSIGNED BIG INT", Affinity.INTEGER),
        ("CHARINT", Affinity.INTEGER),
        ("floating point", Affinity.INTEGER),
        ("VARCHAR(20)", Affinity.TEXT),
        ("clob", Affinity.TEXT),
        ("BLOB", Affinity.BLOB),
        ("double precision", Affinity.REAL),
        ("FLOAT", Affinity.REAL),
        ("DECIMAL(10,5)", Affinity.NUMERIC),
        ("STRING", Affinity.NUMERIC),
        ("boolean", Affinity.NUMERIC),
    ],
)
def test_declared_types_have_sqlites_affinities(declared: str | None, affinity: Affinity) -> None:
    assert affinity_of_type(declared) == affinity


def test_thousands_of_digits_are_a_number_too() -> None:
    """Python refuses to make an int of more than 4300 digits."""
    assert text_to_number("9" * 5000) == float("inf")
    assert text_to_number("-" + "0" * 5000 + "7") == -7
    assert to_integer("9" * 5000 + "x") == INT_MAX
    assert to_integer("-" + "9" * 5000) == INT_MIN


def test_every_value_has_one_kind() -> None:
    assert [kind_of(value) for value in (None, 1, 1.0, "1", b"1")] == [1, 2, 4, 8, 16]


def test_builtin_collations_fold_text_alone() -> None:
    assert collation_key("binary") is None
    nocase, rtrim = folding("nocase"), folding("RTRIM")
    assert nocase is not None and rtrim is not None
    assert [nocase(value) for value in ("ÀB c", 1, None, b"A")] == ["Àb c", 1, None, b"A"]
    assert [rtrim(value) for value in ("a \t ", b"a ", 2.5)] == ["a \t", b"a ", 2.5]
    with pytest.raises(SqlNameError, match="no such collation sequence: klingon"):
        collation_key("klingon")


def by_length(left: str, right: str) -> int:
    return (len(left) > len(right)) - (len(left) < len(right))


def test_texts_in_a_programs_collation_compare_hash_and_rank() -> None:
    fold = comparing("length", {"LENGTH": by_length})
    assert fold is not None
    assert fold("abc") == fold("xyz") and hash(fold("abc")) == hash(fold("xyz"))
    assert fold("abc") != fold("ab") and fold("abc") != "abc"
    assert fold("b") < fold("aa") <= fold("bb") < fold("aaa") > fold("z") >= fold("a")
    assert {fold("ab"), fold("cd"), 1, None} == {1, None, fold("xx")}
    mixed = [b"", "aaa", None, "z", 1.5, 2]
    ranked = sorted(mixed, key=lambda value: sort_key(fold(value)))
    assert ranked == [None, 1.5, 2, "z", "aaa", b""]
    assert type(fold("a")) is CollatedText and fold(5) == 5


def test_no_stored_key_can_follow_a_programs_collation() -> None:
    with pytest.raises(SqlError, match="a program's collation: length"):
        folding("length", {"LENGTH": by_length})
