"""What users of sqlite3's newer shells type: options of `.mode` and `.schema`, quoted names, a semicolon at the end."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsh.commands.schema import indented
from tests.shell.conftest import Shell

WORDS = """
CREATE TABLE w (n, said);
INSERT INTO w VALUES (1, 'hello world and more words'), (2, NULL), (3, x'00ff'), (12345678901, 'it''s');
"""


def test_a_semicolon_at_the_end_is_no_part_of_a_parameter(shell: Shell) -> None:
    out = shell(
        ".param set a 5;\n.param set b 'x;y';\n.param set c (SELECT 7);\n.param set d ';'\nSELECT :a + 1, :b, :c, :d;"
    )
    assert out == "6|x;y|7|;\n"


def test_wrapped_cells(shell: Shell) -> None:
    shell(WORDS)
    assert shell(".mode box --wrap 10\nSELECT * FROM w;").splitlines() == [
        "┌─────────────┬────────────┐",
        "│           n │ said       │",
        "├─────────────┼────────────┤",
        "│           1 │ hello      │",
        "│             │ world and  │",
        "│             │ more words │",
        "│           2 │            │",
        "│           3 │ X'00ff'    │",
        "│ 12345678901 │ it's       │",
        "└─────────────┴────────────┘",
    ]
    assert shell(".mode column -wrap 10 -ww\nSELECT said FROM w LIMIT 1;").splitlines() == [
        "said",
        "----------",
        "hello",
        "world and",
        "more words",
    ]


@pytest.mark.parametrize("mode", ["box", "table", "column", "markdown"])
def test_quoted_cells(shell: Shell, mode: str) -> None:
    shell(WORDS)
    out = shell(f".mode {mode} --quote\nSELECT said FROM w;")
    for literal in ("'hello world and more words'", "NULL", "X'00ff'", "'it''s'"):
        assert literal in out
    assert "NULL" not in shell(f".mode {mode} --noquote\nSELECT said FROM w;")


def test_options_last_until_the_next_mode(shell: Shell) -> None:
    assert shell(".mode qbox\n.mode") == "box --wrap 60 --quote\n"
    assert shell(".mode --wrap 20 --noquote\n.mode") == "box --wrap 20\n"
    assert "mode: box --wrap 20\n" in shell(".show")
    assert shell(".mode table\n.mode") == "table\n"


def test_headers_with_the_mode(shell: Shell) -> None:
    assert shell(".mode csv -noheader\nSELECT 1 AS a;") == "1\n"
    assert shell(".mode list --header\nSELECT 1 AS a;") == "a\n1\n"
    assert shell(".mode csv\nSELECT 1 AS a;") == "a\n1\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (".mode box --wrap x", "--wrap needs a whole number from 0 on, not 'x'"),
        (".mode box --wordwrap off", "--wordwrap on is all there is"),
        (".mode box --zz", "unknown option: --zz"),
        (".mode --wrap 3 nonsense", "no such mode: nonsense"),
        (".summarize track invoice", "one table, or a query"),
        ('.describe "no such".t', "no such table: no such.t"),
    ],
)
def test_what_is_wrong_is_named(shell: Shell, line: str, message: str) -> None:
    assert message in shell.error(line)
    assert shell(".mode") == "list\n"


@pytest.mark.parametrize(
    "name", ['"my db".t', '"my db"."t"', 'main."odd name"', '"main"."odd name"']
)
def test_names_in_databases_may_be_quoted(shell: Shell, name: str) -> None:
    shell('ATTACH ":memory:" AS "my db"; CREATE TABLE "my db".t (x); CREATE TABLE "odd name" (x);')
    assert shell(f".describe {name}").startswith("x|")
    assert shell(f".summarize {name}").startswith("x||0|0")
    assert "TABLE" in shell(f".schema {name}")
    assert len(shell(f".tables {name}").splitlines()) == 1
    assert shell.err.getvalue() == ""


def test_patterns_with_a_database(shell: Shell) -> None:
    assert shell(".schema main.invoice") == shell(".schema invoice")
    assert shell(".tables main.inv%") == "invoice\n"


def test_a_line_for_each_column(shell: Shell) -> None:
    shell(
        'CREATE TABLE "a(b" ("x,y" int default (1+(2)), -- one, two\n c varchar(10,2) DEFAULT \'),(\','
        " CHECK (c IN (1,2)));"
    )
    assert shell('.schema "a(b" --indent').splitlines() == [
        'CREATE TABLE "a(b" (',
        '  "x,y" int default (1+(2)), -- one, two',
        "  c varchar(10,2) DEFAULT '),(',",
        "  CHECK (c IN (1,2))",
        ");",
    ]
    assert shell(".schema cheap -indent -nosys") == shell(".schema cheap")


_NAMES = st.sampled_from(["a", '"b,c"', "[d(e]", "`f)`", '"g--h"'])
_TYPES = st.sampled_from(
    ["", " int", " varchar(10, 2)", " text default ')('", " check (1 in (1,2))", " /* x, ( */"]
)
_ENDS = st.sampled_from([", ", ",\n\n ", ",  -- said, (\n", " -- said\n, "])


@given(st.lists(st.tuples(_NAMES, _TYPES, _ENDS), min_size=1, max_size=4, unique_by=lambda c: c[0]))
def test_an_indented_table_is_the_same(columns: list[tuple[str, str, str]]) -> None:
    parts = [name + kind + end for name, kind, end in columns[:-1]]
    statement = f"CREATE TABLE t ({''.join(parts)}{columns[-1][0]}{columns[-1][1]} )"
    made = []
    for sql in (statement, indented(statement)):
        con = sqlite3.connect(":memory:")
        con.execute(sql)
        made.append(con.execute("PRAGMA table_info(t)").fetchall())
        con.close()
    assert made[0] == made[1]
    assert indented(indented(statement)) == indented(statement)


def test_parameters_need_no_table(shell: Shell) -> None:
    assert shell(".param init\n.param set :n 5\nSELECT :n;") == "5\n"
    assert shell.error(".param init") == ""
