"""The code that scalar expressions become: how bare it is, how it grows, what it asks of functions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from sql.errors import ConstraintError, SqlError
from sql.expressions import Affinity as A
from sql.expressions import (
    And,
    Arithmetic,
    Call,
    Case,
    Collate,
    ColumnRef,
    Compare,
    Expression,
    InList,
    Literal,
    Match,
    Not,
    Or,
    Parameter,
    Raise,
    Truth,
)
from sql.values import INT_MAX
from tests.sql.scalar_oracle import (
    ANY,
    INTEGER,
    NULL,
    REAL,
    TEXT,
    VALUES,
    Oracle,
    check,
    check_all,
    made,
    scalar_compiler,
)


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with closing(Oracle()) as pair:
        yield pair


def column(place: int, kinds: int, affinity: A = A.BLOB, collation: str = "BINARY") -> ColumnRef:
    return ColumnRef(0, place, f"c{place}", "t", affinity, collation, kinds)


@pytest.mark.parametrize(
    ("condition", "source"),
    [
        (Compare("<", column(0, INTEGER), Literal(5)), "(r[0] < 5)"),
        (Compare(">=", column(0, INTEGER | REAL), column(1, REAL)), "(r[0] >= r[1])"),
        (Compare("=", column(0, ANY), Literal("a")), "(r[0] == 'a')"),
        (Compare("<", column(0, TEXT), Literal("b")), "(r[0] < 'b')"),
        (Compare("<", column(0, NULL | INTEGER), Literal(5)), "(r[0] is not None and r[0] < 5)"),
        (Compare("IS", column(0, NULL | TEXT), Literal(None)), "(r[0] is None)"),
        (Compare("=", column(0, ANY), Literal(None)), "False"),
        (And((Truth(column(0, INTEGER), True, False), Literal(1))), "(r[0] and True)"),
        (Not(Compare("<", column(0, INTEGER), Literal(5))), "(r[0] >= 5)"),
        (InList(column(0, INTEGER), (Literal(1), Literal(2))), "(r[0] in _items0)"),
        (InList(column(0, ANY), ()), "False"),
        (Match("GLOB", column(0, TEXT), Literal("ab*")), "(r[0].startswith(_k0))"),
        (Match("LIKE", column(0, TEXT), Literal("%12%")), "((_k0 in r[0]))"),
    ],
)
def test_what_is_known_of_the_operands_makes_conditions_bare(
    condition: Expression, source: str
) -> None:
    assert scalar_compiler()[0].true(condition) == source


def test_arithmetic_of_reals_and_texts_is_bare() -> None:
    compiler, _ = scalar_compiler()
    assert compiler.value(Arithmetic("||", column(0, TEXT), column(1, TEXT))) == "(r[0] + r[1])"
    product = compiler.value(Arithmetic("*", column(0, REAL), column(1, REAL)))
    assert "(r[0] * r[1])" in product and "multiply" not in product


@pytest.mark.parametrize("text", ["-i", "-r", "i / 7", "i % 7", "n % 1", "(i + 0) / 2", "-(i * 1)"])
def test_division_and_sign_of_known_integers_give_what_sqlite_gives(
    oracle: Oracle, text: str
) -> None:
    numbers = [value for value in VALUES if isinstance(value, (int, float))]
    rows = [
        (None, value, value, None, value, None, None) for value in (None, -7, 13, -13, *numbers)
    ]
    check_all(oracle, f"({text})", rows)


def test_integers_that_leave_64_bits_become_real() -> None:
    compiler, constants = scalar_compiler()
    total = made(compiler.value(Arithmetic("+", column(0, INTEGER), column(1, INTEGER))), constants)
    assert total((INT_MAX, -1)) == INT_MAX - 1
    assert repr(total((INT_MAX, 1))) == "9.223372036854776e+18"


def test_kinds_of_parameters_are_used_and_unknown_ones_are_any() -> None:
    condition = Compare("<", column(0, INTEGER), Parameter(0))
    assert scalar_compiler(parameter_kinds=(INTEGER,))[0].true(condition) == "(r[0] < p[0])"
    compiler, constants = scalar_compiler()
    test = made(compiler.true(condition), constants)
    assert [bool(test((1,), (value,))) for value in (2, 0.5, "a", b"", None)] == [
        *(True, False, True, True, False)
    ]


def test_parameters_in_lists_are_converted_and_may_be_null() -> None:
    listed = InList(
        column(0, TEXT | NULL), (Parameter(0), Literal("b")), affinity=A.TEXT, collation="NOCASE"
    )
    compiler, constants = scalar_compiler()
    function = made(compiler.value(listed), constants)
    assert [function((value,), (5,)) for value in ("5", "B", "c", None)] == [1, 1, 0, None]
    assert [function((value,), (None,)) for value in ("5", "B", None)] == [None, 1, None]


def test_a_programs_collation_decides_comparisons(oracle: Oracle) -> None:
    functions = oracle.session.functions
    functions.collations["LENGTH"] = lambda left, right: len(left) - len(right)
    try:
        compiler, constants = scalar_compiler(functions=functions)
        value = column(0, ANY)
        same = Compare("=", value, Literal("abc"), collation="LENGTH")
        less = Compare("<", value, Literal("abc"), collation="LENGTH")
        listed = InList(value, (Literal("a"), Literal("xyz")), collation="LENGTH")
        tests = [compiler.true(each) for each in (same, less, listed)]
        found = [made(source, constants) for source in tests]
        for item, wanted in (
            ("xyz", (True, False, True)),
            ("ab", (False, True, False)),
            (7, (False, True, False)),
            (b"xyz", (False, False, False)),
            (None, (False, False, False)),
        ):
            assert tuple(bool(function((item,))) for function in found) == wanted
    finally:
        del functions.collations["LENGTH"]


def test_min_gives_the_last_of_equals_and_max_the_first(oracle: Oracle) -> None:
    for text in ("min(c, 'ABC')", "max(c, 'ABC')", "min(i, r)", "max(i, r)"):
        check(oracle, text, [(None, 1, 1.0, None, None, "abc", None)])


def test_raise_tells_the_action() -> None:
    compiler, constants = scalar_compiler()
    stop = made(compiler.value(Raise("ABORT", Literal("no"))), constants)
    with pytest.raises(ConstraintError, match="no") as caught:
        stop(())
    assert (caught.value.kind, getattr(caught.value, "action", None)) == ("TRIGGER", "ABORT")
    ignore = made(compiler.value(Raise("IGNORE", None)), constants)
    with pytest.raises(SqlError):
        ignore(())


def test_operators_of_user_functions_are_looked_up(oracle: Oracle) -> None:
    from sql.functions import Function

    functions = oracle.session.functions
    regexp = Match("REGEXP", column(0, ANY), Literal("b+"))
    with pytest.raises(SqlError, match="no such function: REGEXP"):
        scalar_compiler(functions=functions)[0].true(regexp)
    called: list[tuple[Any, ...]] = []

    def search(*arguments: Any) -> int:
        called.append(arguments)
        return 1

    functions.register(Function("regexp", search, 2, 2, builtin=False), 2)
    try:
        compiler, constants = scalar_compiler(functions=functions)
        assert made(compiler.true(regexp), constants)(("abb",))
    finally:
        functions.unregister("regexp", 2)
    assert called == [("b+", "abb")]


def test_functions_get_the_context_and_are_spared_nulls() -> None:
    from sql.functions import Function

    strict = Function("strict", lambda value: [value], 1, 1, propagates_null=True)
    told = Function("told", lambda ctx, value: (ctx, value), 1, 1, needs_context=True)
    compiler, constants = scalar_compiler()
    of_strict = made(compiler.value(Call("strict", (column(0, ANY),), strict)), constants)
    of_told = made(compiler.value(Call("told", (column(0, ANY),), told)), constants)
    assert (of_strict((None,)), of_strict((3,))) == (None, [3])
    assert of_told((3,), (), "the context") == ("the context", 3)


def test_operands_used_twice_are_evaluated_once() -> None:
    from sql.functions import Function

    seen: list[Any] = []

    def noted(value: Any) -> Any:
        seen.append(value)
        return value

    call = Call("noted", (column(0, ANY),), Function("noted", noted, 1, 1, builtin=False))
    compiler, constants = scalar_compiler()
    for e in (
        Compare("<", call, Literal(5)),
        Match("LIKE", Collate(call, "NOCASE"), Literal("a%")),
        Or((Truth(call, True, False),)),
        Case(((call, Literal(1)),), None),
        InList(call, (Literal(1), Literal(None)), negated=True),
    ):
        seen.clear()
        made(compiler.value(e), constants)((7,))
        assert seen == [7], e


@pytest.mark.parametrize("operator", ["+", "||", "%", "/"])
@pytest.mark.parametrize("kinds", [ANY, INTEGER, INTEGER | NULL, REAL, TEXT])
def test_long_chains_compile_quickly_to_what_python_can_read(operator: str, kinds: int) -> None:
    """Python reads no more than some 200 nested parentheses, and recurses a thousand deep."""
    for length in (20, 24, 25, 900):
        chain: Expression = column(0, kinds)
        for _ in range(length):
            chain = Arithmetic(operator, chain, column(0, kinds))
        compiler, constants = scalar_compiler()
        function = made(compiler.value(chain), constants)
        one: Any = {REAL: 1.0, TEXT: "1"}.get(kinds, 1)
        wanted = {"+": one * (length + 1), "||": "1" * (length + 1), "%": 0, "/": 1}[operator]
        if kinds == REAL and operator == "||":
            wanted = "1.0" * (length + 1)
        if kinds == TEXT and operator == "+":
            wanted = length + 1
        assert function((one,)) == wanted


def test_lists_within_lists_do_not_multiply_the_code() -> None:
    e: Expression = column(0, ANY)
    for _ in range(12):
        e = InList(e, (Literal(1), column(1, ANY), Literal(None)))
    source = scalar_compiler()[0].value(e)
    assert len(source) < 5000
