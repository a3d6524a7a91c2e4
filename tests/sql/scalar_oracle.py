"""Random scalar expressions, and sqlite3 as the oracle of what they give.

Each expression is bound once per mask of kinds (nothing known, the kinds in the column, the kinds of the
very row) and compiled as a value, as a condition and as a condition negated.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import strategies as st

from sql.compile.constants import Constants
from sql.compile.scalar import ScalarCompiler
from sql.errors import SqlError
from sql.expressions import (
    ColumnRef,
    Expression,
)
from sql.values import INT_MAX, INT_MIN, kind_of
from tests.sql.sequences.values import quoted

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


literals = st.sampled_from(VALUES).map(quoted)
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
        spelled("({} {}LIKE {})", inner, negated, st.sampled_from(LIKE_PATTERNS).map(quoted)),
        spelled(
            "({} {}LIKE {} ESCAPE '\\')",
            inner,
            negated,
            st.sampled_from(LIKE_PATTERNS).map(quoted),
        ),
        spelled("({} {}GLOB {})", inner, negated, st.sampled_from(GLOB_PATTERNS).map(quoted)),
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

    def close(self) -> None:
        self.sqlite.close()
        self.store.close()

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
