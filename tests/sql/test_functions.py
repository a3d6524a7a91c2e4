"""Text, number, choice and system functions against sqlite3; formats, dates and JSON have files of their own."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kvsh
from sql.functions import Function, FunctionRegistry, builtins
from tests.sql.engines import KvshEngine, SqliteEngine
from tests.sql.function_calls import assert_call, assert_same, engines, outcome

VALUES: list[Any] = [
    None, 0, 1, -1, 2, 3, 10, -(2**63), 2**63 - 1, 0.0, -0.0, 0.5, -0.5, 1.5, -2.7, 1e15, 1e16, 1e19, -1e19, 1e300,
    math.inf, -math.inf, math.pi, "", " ", "a", "abc", "ABC", "Äé", "aXbXc", "éa😀b", "1", "-2.5", " 3 ", "4x", "1e2", "0x10",
    "it's", "a\x00b", "\x00", "  ab  ", "a%b_c", b"", b"a", b"abc", b"\x00b", b"2", "é".encode(),
]  # fmt: skip

ONE = [
    "length", "lower", "upper", "trim", "ltrim", "rtrim", "hex", "quote", "char", "unicode", "typeof", "likely", "unlikely",
    "abs", "round", "sign", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "ceiling", "cos", "cosh", "degrees",
    "exp", "floor", "ln", "log", "log10", "log2", "radians", "sin", "sinh", "sqrt", "tan", "tanh", "trunc", "printf", "soundex",
]  # fmt: skip
TWO = [
    "substr", "substring", "instr", "trim", "ltrim", "rtrim", "like", "glob", "ifnull", "nullif", "coalesce", "min", "max",
    "char", "atan2", "log", "mod", "pow", "power",
]  # fmt: skip


@pytest.mark.parametrize("name", ONE)
def test_functions_of_one_argument_take_every_kind_of_value(name: str) -> None:
    for value in VALUES:
        assert_call(name, value)


@pytest.mark.parametrize("name", TWO)
def test_functions_of_two_arguments_take_every_kind_of_value(name: str) -> None:
    for first in VALUES:
        for second in VALUES:
            assert_call(name, first, second)


@pytest.mark.parametrize("name", ["replace", "substr", "iif", "coalesce", "min", "max"])
def test_functions_of_three_arguments_take_every_kind_of_value(name: str) -> None:
    few = [None, 0, 1, -2, 3.7, "", "b", "abc", "2", b"", b"abc", 2**63 - 1, -(2**63)]
    for first in ["abcabc", "é😀x", b"abcabc", 12345, None, ""]:
        for second in few:
            for third in few:
                assert_call(name, first, second, third)


@pytest.mark.parametrize("escape", ["\\", "%", "a", "é", "", "ab", None, 5, b"\\"])
def test_like_with_an_escape_is_that_of_sqlite(escape: Any) -> None:
    for pattern in ("a\\%b", "%a", "a%%", "\\", "a\\", "é_", "_", "", None, "5\\5", b"a%"):
        for text in ("a%b", "ab", "a", "é%", "\\", "", None, 55, b"ab"):
            assert_call("like", pattern, text, escape)


@pytest.mark.parametrize(
    "expression",
    [
        "zeroblob(3), zeroblob(0), zeroblob(-1), zeroblob('2'), zeroblob(null)",
        "typeof(random()), typeof(randomblob(4)), length(randomblob(5)), length(randomblob(0)), length(randomblob(null))",
        "char(), char(65, 0x1F600, 'x', -1, 1114112), length(char(0))",
        "pi(), sqlite_version()", "likelihood(5, 0.5)", "quote(0.1), quote(1e20), quote(1.0), quote(-1e-7), quote(1/3.0)",
        "quote(123456789.123456789), quote(1e300 * 1e10), quote(5e-324), quote(2e-308)",
        "abs(-9223372036854775808)", "abs('-9223372036854775808'), abs('abc'), abs(x'2d31')",
        "sqlite_compileoption_used('THREADSAFE'), sqlite_compileoption_used('nope'), sqlite_compileoption_used('SQLITE_THREADSAFE=1')",
        "min(1), max(null), min(2, null), max('a', 5, x'00'), min(1, 1.0), max(1, 1.0), min(1.0, 1)",
        "nullif(1, 1.0), nullif('a', 'A' collate nocase), nullif('a' collate nocase, 'A'), max('a' collate nocase, 'B'), min('b', 'A')",
        "substr('hello', 0), substr('hello', -3, 2), substr('hello', 2, -1), substr('hello', 10), substr('hello', -10, 7)",
        "instr('abc', ''), instr('', 'a'), instr(x'616263', x'63'), instr(x'616263', 'c'), instr(123, 2)",
        "length(1.0), length(1e20), length(x'00'), upper(1e20), lower(x'41')", "iif(null, 1, 2), iif('a', 1, 2), iif(0.1, 1, 2)",
        "replace('aaa', 'a', ''), replace('aaa', '', 'b'), replace('abc', 'b', null), replace(x'61', 'a', 5)",
        "length()", "length(1, 2)", "coalesce(1)", "nosuch(1)", "min()", "iif(1, 2)", "substr('a')",
        "unicode(''), unicode('a'), unicode(x'c3a9'), hex('é'), hex(12), hex(1.5), hex(x'ff')",
        "log(2, 8), log(8), log10(100), log2(8), ln(0), log(-1), log(1, 5), log(0, 5), log('x'), mod(7, 0), mod(-7, 2), mod(7.5, 2)",
        "pow(0, 0), pow(-8, 1.0 / 3), pow(10, 400), pow(-10, 401), exp(1000), sqrt(-1), acos(2), acosh(0), atanh(1), atanh(2)",
        "ceil(1.2), ceil(-1.2), floor(1.8), trunc(-1.8), ceil(5), floor('2.5'), trunc('x'), ceil(x'31'), typeof(ceil('3'))",
        "log(0.5, 8), log(1, 8), log(10, 1000), log10(1000), log2(8), log('10', '100x'), log('10x', 100), log(x'3130', 5)",
        "soundex('Robert'), soundex('Rupert'), soundex('Ashcraft'), soundex('Tymczak'), soundex('O''Hara'), soundex('  1lee'), soundex(null)",
        "sign(0.0), sign(-5), sign('3'), sign('x'), sign(null), sign(x'31'), typeof(sign(-0.5))",
    ],
)  # fmt: skip
def test_expressions_give_what_sqlite_gives(expression: str) -> None:
    assert_same(expression)


texts = st.text(alphabet="abAB%_*?[]^-é😀 '\"\\1", max_size=6)
integers = st.one_of(st.integers(-8, 8), st.integers(-(2**63), 2**63 - 1))


@settings(max_examples=300, deadline=None)
@given(texts, texts, texts, integers, integers)
def test_any_texts_and_numbers_give_what_sqlite_gives(
    first: str, second: str, third: str, start: int, size: int
) -> None:
    assert_call("substr", first, start, size)
    assert_call("substr", first.encode(), start, size)
    assert_call("substr", first, start)
    assert_call("instr", first, second)
    assert_call("replace", first, second, third)
    assert_call("trim", first, second)
    assert_call("like", first, second)
    assert_call("glob", first, second)
    assert_call("like", first, second, third)
    assert_call("quote", first)
    assert_call("hex", first)
    assert_call("unicode", first)
    assert_call("soundex", first)
    assert_call("max", first, second, third)


@settings(max_examples=200, deadline=None)
@given(st.floats(allow_nan=False), st.floats(-50, 50), st.integers(-(2**63), 2**63 - 1))
def test_any_numbers_give_what_sqlite_gives(anything: float, small: float, whole: int) -> None:
    for name in ("abs", "sign", "floor", "ceil", "trunc", "typeof", "round", "sqrt"):
        for value in (anything, small, whole):
            assert_call(name, value)
    if not 0 < abs(small) < 1e-250:  # digits that SQLite itself gets wrong
        assert_call("quote", small)
    for name in sorted(set(ONE[17:-1]) - {"atan2", "pow", "power"}):
        assert_call(name, small)
    assert_call("pow", small, anything)
    assert_call("mod", anything, small)


def test_every_function_of_the_oracle_is_there_or_left_out_on_purpose() -> None:
    left_out = {
        "load_extension", "soundex", "sqlite_log", "subtype", "match", "fts3_tokenizer", "fts5", "fts5_source_id", "bm25", "highlight",
        "snippet", "matchinfo", "offsets", "optimize", "rtreecheck", "rtreedepth", "rtreenode", "regexp", "unhex",
    }  # fmt: skip
    rows = engines()[1].execute("select name, narg from pragma_function_list")
    registry = FunctionRegistry()
    core = {(name, count) for name, count in rows if name in builtins()}
    missing = {name for name, _ in rows} - set(builtins()) - left_out
    assert missing <= {name for name in missing if not _is_core(name)}
    for name, count in core:
        if count >= 0:
            assert registry.lookup(name, count) is not None, (name, count)


def _is_core(name: str) -> bool:
    """Whether a plain build of SQLite has the function."""
    return name in {"abs", "json", "date", "lag", "sum", "substr", "iif", "format"}


def test_functions_that_are_null_for_null_say_so() -> None:
    for functions in builtins().values():
        for function in functions:
            if not isinstance(function, Function) or not function.propagates_null:
                continue
            for count in range(function.min_args, (function.max_args or 3) + 1):
                if count and function.name != "->":
                    call = f"{function.name}({', '.join(['null'] * count)})"
                    assert outcome(engines()[1], call) == "[(None,)]", call


def test_the_session_tells_of_its_changes() -> None:
    for statement in (
        "create table told (a)",
        "insert into told values (1), (2)",
        "delete from told where a = 1",
    ):
        for engine in engines():
            engine.execute(statement)
        assert_same("changes(), total_changes(), last_insert_rowid()")
    for engine in engines():
        engine.execute("drop table told")


def test_the_version_is_told() -> None:
    ((version,),) = engines()[0].execute("select kvsh_version()")
    assert version.count(".") >= 1


@pytest.mark.parametrize("nulls", ["", "NOT NULL"])
def test_substr_of_a_column_by_constants(nulls: str) -> None:
    """It is a slice where the column has held texts alone."""
    texts = ["2024-05-17", "", "a", "é😀xyz", "ab\0cd", "\0", " 12 "] + (
        [None] if not nulls else []
    )
    ours, theirs = KvshEngine(), SqliteEngine()
    for each in (ours, theirs):
        each.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT {nulls})")
        for text in texts:
            each.execute("INSERT INTO t (x) VALUES (?)", (text,))
    bounds = [
        "1, 7",
        "1",
        "2, 3",
        "3",
        "1, 0",
        "4, 99",
        "99, 1",
        "0, 3",
        "-2, 2",
        "2, -1",
        "1.0, 2",
        "NULL",
        "1, NULL",
    ]
    for name in ("substr", "substring"):
        for bound in bounds:
            for sql in (
                f"SELECT id, {name}(x, {bound}), typeof({name}(x, {bound})) FROM t ORDER BY id",
                f"SELECT {name}(x, {bound}) AS part, count(*) FROM t GROUP BY part ORDER BY part",
                f"SELECT id FROM t WHERE {name}(x || x, {bound}) > 'a' ORDER BY id",
            ):
                assert ours.execute(sql) == theirs.execute(sql), sql


def test_replace_makes_no_text_longer_than_any_may_be() -> None:
    """Two billion characters; a billion of what is not there cost nothing."""
    con = kvsh.connect(":memory:")
    text, other = "ab" * 50_000, "c" * 40_000
    with pytest.raises(kvsh.DataError, match="string or blob too big"):
        con.execute("SELECT replace(?, 'a', ?)", (text, other))
    assert con.execute("SELECT replace(?, 'z', ?)", (text, other)).fetchone() == (text,)
    con.close()
