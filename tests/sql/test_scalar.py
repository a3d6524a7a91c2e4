"""Scalar expressions: random ones compiled for what is and is not known of their operands, against sqlite3.

Each expression is bound once per mask of kinds (nothing known, the kinds in the column, the kinds of the
very row) and compiled as a value, as a condition and as a condition negated.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sql.compile.constants import Constants
from sql.compile.scalar import ScalarCompiler
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
from sql.values import INT_MAX, INT_MIN, kind_of

DDL = """CREATE TABLE t(b, i INTEGER, r REAL, x TEXT, n NUMERIC, c TEXT COLLATE NOCASE,
         e TEXT COLLATE RTRIM)"""
COLUMNS = "birxnce"
NULL, INTEGER, REAL, TEXT, BLOB, ANY = 1, 2, 4, 8, 16, 31

Row = tuple[Any, ...]
VALUES: Row = (
    *(None, None, 0, 1, -1, 2, 3, 10, 63, 64, -64, 65, 2**31, 2**53 + 1, 2**62, INT_MAX, INT_MIN),
    *(
        0.0,
        -0.0,
        1.0,
        0.5,
        -0.5,
        2.5,
        1e18,
        9223372036854775807.0,
        1e20,
        1e308,
        -1e308,
        0.1,
        1e-300,
    ),
    *(
        float("inf"),
        float("-inf"),
        "",
        " ",
        "a",
        "A",
        "abc",
        "ABC",
        "aBc ",
        "abc  ",
        "b",
        "1",
        " 1",
    ),
    *(
        "1.0",
        "1e2",
        "0x10",
        "1abc",
        "-5x",
        ".5",
        "5.",
        "1e+",
        "9223372036854775808",
        "1e400",
        "nan",
    ),
    *("é", "É", "K", "\u212a", "ſ", "s", "%", "a%", "a_c", "a\nb", "[a]", "*", "-", "k", "]", "a-"),
    *(b"", b"a", b"abc", b"1", b"1.5", b"12x", b"%", "é".encode()),
)
LIKE_PATTERNS = (
    *(
        "a%",
        "%a",
        "%a%",
        "abc",
        "ABC%",
        "%",
        "_",
        "__",
        "a_c",
        "%b%c",
        "1%",
        "%1%",
        "%.0%",
        "É%",
        "%É%",
    ),
    *(
        "",
        "%c",
        "%k%",
        "k%",
        "%s",
        "%\n%",
        "%%",
        "%_",
        "_%",
        "-%",
        "%a%b%c%",
        "a\\%",
        "\\%%",
        "%\\_%",
    ),
    *("%\\", "\\", "%\\%", "a\\_c"),
)
GLOB_PATTERNS = (
    *(
        "a*",
        "*a",
        "*a*",
        "abc",
        "*",
        "**",
        "?",
        "*?",
        "[a-c]*",
        "[^a]*",
        "[]]*",
        "[a",
        "[^]",
        "*[0-9]",
    ),
    *(
        "[c-a]",
        "[a-]*",
        "[]",
        "[^]a]*",
        "[!a]*",
        "[*]",
        "a[",
        "[--0]*",
        "[a-cA]*",
        "",
        "[]-a]*",
        "K*",
    ),
)


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if value == INT_MIN and isinstance(value, int):
        return "(-9223372036854775807 - 1)"
    return repr(value).replace("inf", "9e999")


literals = st.sampled_from(VALUES).map(literal)
columns = st.sampled_from(COLUMNS)


def spelled(template: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda made: template.format(*made))


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions one operator larger."""

    def one_of(*words: str) -> st.SearchStrategy[str]:
        return st.sampled_from(words)

    negated = one_of("", "NOT ")
    items = st.lists(literals | literals | inner, max_size=4).map(", ".join)
    return st.one_of(
        spelled("({} {} {})", inner, one_of("+", "-", "*", "/", "||", "&", "|", "<<", ">>"), inner),
        spelled("({} % {})", columns, inner),
        spelled("({} {} {})", inner, one_of("=", "<>", "<", "<=", ">", ">="), inner),
        spelled("({} {} (+{}))", inner, one_of("IS", "IS NOT"), inner),
        spelled("({} IS {}{})", inner, negated, one_of("TRUE", "FALSE", "NULL")),
        spelled("({} {} {})", inner, one_of("AND", "OR"), inner),
        spelled("({} {})", one_of("NOT", "-", "~", "+"), inner),
        spelled("({} {}IN ({}))", inner, negated, items),
        spelled("({} {}BETWEEN {} AND {})", inner, negated, inner, inner),
        spelled("({} {}LIKE {})", inner, negated, st.sampled_from(LIKE_PATTERNS).map(literal)),
        spelled(
            "({} {}LIKE {} ESCAPE '\\')",
            inner,
            negated,
            st.sampled_from(LIKE_PATTERNS).map(literal),
        ),
        spelled("({} {}GLOB {})", inner, negated, st.sampled_from(GLOB_PATTERNS).map(literal)),
        spelled("({} {}{} {})", inner, negated, one_of("LIKE", "GLOB"), inner),
        spelled("(CASE WHEN {} THEN {} ELSE {} END)", inner, inner, inner),
        spelled("(CASE {} WHEN {} THEN {} END)", inner, inner, inner),
        spelled("CAST({} AS {})", inner, one_of("INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC")),
        spelled("({} COLLATE {})", inner, one_of("NOCASE", "RTRIM", "BINARY")),
        spelled("{}({}, {})", one_of("coalesce", "ifnull", "nullif", "min", "max"), inner, inner),
        spelled("iif({}, {}, {})", inner, inner, inner),
    )


expressions = st.recursive(columns | columns | literals, grown, max_leaves=6)
rows_of_values = st.lists(
    st.tuples(*[st.sampled_from(VALUES)] * len(COLUMNS)), min_size=1, max_size=4
)


class Oracle:
    """One table in sqlite3 and in kvsh; sqlite3 holds the rows, kvsh the definition."""

    def __init__(self) -> None:
        from btree import open_memory
        from sql import Session

        self.sqlite = sqlite3.connect(":memory:", isolation_level=None)
        self.sqlite.execute(DDL)
        self.store = open_memory()
        self.session = Session(self.store)
        self.session.execute(DDL)
        table = self.session.schema.table("t")
        assert table is not None
        self.table = table

    def stored(self, rows: Sequence[Row]) -> list[Row]:
        """The rows as the columns' affinities change them."""
        self.sqlite.execute("DELETE FROM t")
        self.sqlite.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        return self.sqlite.execute("SELECT * FROM t").fetchall()

    def answers(self, text: str) -> list[Row]:
        """Per row: the value, whether it is true, whether it is false."""
        return self.sqlite.execute(
            f"SELECT {text}, CASE WHEN {text} THEN 1 ELSE 0 END,"
            f" CASE WHEN NOT ({text}) THEN 1 ELSE 0 END FROM t"
        ).fetchall()

    def bind(self, text: str, kinds: Sequence[int]) -> Expression:
        """The expression bound to a row whose columns may hold these kinds."""
        from sql.bind import BindEnvironment
        from sql.bind.expressions import ExpressionBinder
        from sql.bind.queries import Binder
        from sql.bind.scope import Scope, table_item
        from sql.parse import parse_statement

        statement: Any = parse_statement(f"SELECT {text} FROM t")
        tree = getattr(statement, "tree", statement)
        with self.session.reading() as transaction:
            env = BindEnvironment(self.session.schema, self.session.functions, transaction)
            binder, scope = Binder(env), Scope()
            item = table_item(self.table, binder.next_source(), "t", tuple(kinds))
            scope.items.append(item)
            return ExpressionBinder(binder, scope).bind(tree.expressions[0])

    def compile(self, bound: Expression, form: str = "value") -> tuple[Callable[..., Any], int]:
        """A function (row, parameters) and the mask of kinds that it may give."""
        compiler, constants = scalar_compiler(functions=self.session.functions)
        source = getattr(compiler, form)(bound)
        return made(source, constants), compiler.kinds(bound)


def scalar_compiler(**options: Any) -> tuple[ScalarCompiler, Constants]:
    constants = Constants()

    def no_subquery(node: object) -> str:
        raise AssertionError("no subqueries here")

    compiler = ScalarCompiler(
        lambda column: f"r[{column.column if isinstance(column, ColumnRef) else column.slot}]",
        no_subquery,
        constants,
        **options,
    )
    return compiler, constants


def made(source: str, constants: Constants) -> Callable[..., Any]:
    namespace = dict(constants.namespace)
    exec(f"def f(r, p=(), ctx=None):\n    return {source}", namespace)
    function: Callable[..., Any] = namespace["f"]
    return function


@pytest.fixture(scope="module")
def oracle() -> Any:
    pair = Oracle()
    yield pair
    pair.sqlite.close()
    pair.store.close()


def check(oracle: Oracle, text: str, rows: Sequence[Row]) -> None:
    stored = oracle.stored(rows)
    try:
        answers = oracle.answers(text)
    except sqlite3.OperationalError:
        with pytest.raises(SqlError):
            function, _ = oracle.compile(oracle.bind(text, [ANY] * len(COLUMNS)))
            for row in stored:
                function(row)
        return
    union = [0] * len(COLUMNS)
    for row in stored:
        union = [mask | kind_of(value) for mask, value in zip(union, row, strict=True)]
    own = [[kind_of(value) for value in row] for row in stored]
    for kinds in ([ANY] * len(COLUMNS), union, *own):
        bound = oracle.bind(text, kinds)
        forms = [oracle.compile(bound, form) for form in ("value", "true", "false")]
        for row, row_kinds, (value, true, false) in zip(stored, own, answers, strict=True):
            if any(have & ~may for have, may in zip(row_kinds, kinds, strict=True)):
                continue
            ours, true_here, false_here = [function(row) for function, _ in forms]
            shown = f"{text} of {row} with {kinds}: {ours!r}, not {value!r}"
            assert type(ours) is type(value) and ours == value, shown
            assert kind_of(ours) & forms[0][1], f"{shown}: its kind was ruled out"
            assert (bool(true_here), bool(false_here)) == (bool(true), bool(false)), shown


@settings(derandomize=True, database=None, deadline=None, max_examples=1200)
@given(expressions, rows_of_values)
def test_any_expression_gives_what_sqlite_gives(oracle: Oracle, text: str, rows: list[Row]) -> None:
    check(oracle, text, rows)


@pytest.mark.parametrize(
    "operator", ["+", "-", "*", "/", "%", "<", "<=", "=", "IS", "||", "&", "<<", ">>"]
)
def test_every_pair_of_values_gives_what_sqlite_gives(oracle: Oracle, operator: str) -> None:
    distinct = {repr(value): value for value in VALUES}.values()
    pairs = list(itertools.product(distinct, repeat=2))
    rows = [(left, None, None, None, right, None, None) for left, right in pairs]
    check_all(oracle, f"(b {operator} n)", rows)


def check_all(oracle: Oracle, text: str, rows: Sequence[Row]) -> None:
    """Many rows at once, for every combination of kinds that they have."""
    stored = oracle.stored(rows)
    compiled: dict[tuple[int, ...], Callable[..., Any]] = {}
    blind, _ = oracle.compile(oracle.bind(text, [ANY] * len(COLUMNS)))
    for row, (value, _, _) in zip(stored, oracle.answers(text), strict=True):
        kinds = tuple(map(kind_of, row))
        function = compiled.get(kinds)
        if function is None:
            function = compiled[kinds] = oracle.compile(oracle.bind(text, kinds))[0]
        for ours in (function(row), blind(row)):
            assert type(ours) is type(value) and ours == value, (text, row, ours, value)


@pytest.mark.parametrize("op", ["LIKE", "GLOB"])
def test_every_pattern_matches_what_it_matches_in_sqlite(oracle: Oracle, op: str) -> None:
    for pattern in {*LIKE_PATTERNS, *GLOB_PATTERNS}:
        rows = [(value, None, None, pattern, None, None, None) for value in VALUES]
        check_all(oracle, f"(b {op} {literal(pattern)})", rows)
        check_all(oracle, f"(b {op} x)", rows)


@pytest.mark.parametrize(
    "text",
    [
        "b LIKE 'a%' ESCAPE 'ab'",
        "b LIKE x ESCAPE ''",
        "b LIKE x ESCAPE NULL",
        "b LIKE 'a%%' ESCAPE '%'",
        "b LIKE 'x_a' ESCAPE 'x'",
        "5 LIKE b ESCAPE 7",
        "x NOT LIKE NULL",
        "b BETWEEN 'a' COLLATE NOCASE AND c",
        "(i, r) = (1, 2.5)",
        "n IN ('1', '10', x'31', NULL)",
        "c IN ('ABC', 'x') AND c NOT IN ('abd', e)",
        "CASE c WHEN 'ABC' THEN 1 WHEN NULL THEN 2 ELSE 3 END",
    ],
)
def test_chosen_expressions_give_what_sqlite_gives(oracle: Oracle, text: str) -> None:
    rows = [(value, value, value, value, value, value, value) for value in VALUES]
    check(oracle, f"({text})", rows)


def test_a_pattern_of_many_wildcards_takes_no_exponential_time(oracle: Oracle) -> None:
    """Each `%` but the last is settled where its piece first occurs; nothing is tried again."""
    function, _ = oracle.compile(oracle.bind("x LIKE '%a%a%a%a%a%a%a%a%a%a%a%ab'", [ANY] * 7))
    assert function((None, None, None, "a" * 3000)) == 0
    with pytest.raises(SqlError, match="pattern too complex"):
        pattern = "a" * 60_000
        oracle.compile(oracle.bind("x LIKE b", [ANY] * 7))[0]((pattern, None, None, "a"))


# -- the code itself ---------------------------------------------------------------------------------


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
