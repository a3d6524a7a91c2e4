"""INSERTs of literals, read without a parser: what is taken, what is not, and that nothing differs."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btree import open_memory
from sql import ConstraintError, Session, SqlError
from sql.session_forms import REACH_MAX, Run, read_run, without_comments
from sql.session_inserts import insert_form, literal_rows
from tests.sql.engines import SqliteEngine, same_answers
from tests.sql.scripts import run_script


def statement_run(text: str, start: int = 0, reach: int = REACH_MAX) -> Run | None:
    """The INSERTs that begin like the next one from `start` on."""
    for begin in (text[start:], without_comments(text[start:])):
        form = insert_form(begin)
        if form is not None:
            return read_run(text, start, (form,), reach)
    return None


@pytest.mark.parametrize(
    "text",
    [
        "insert into t values (1, 2), (3)",
        "insert into t values (1) returning a",
        "insert into t values (1 + 1)",
        "insert into t values (1) -- comment",
        "insert into t values (1); select 1",
        "insert into t values ('a' 'b')",
        "insert into t values (- 1)",
        "insert into t values (-'1')",
        "insert into t values ()",
        "insert into t values (''')",
        "insert into t values (1 2)",
        "insert into t values (1a)",
        "insert into t values (0x10)",
        "insert into t values (1,)",
        "insert into t values (x'0')",
        "insert into t values (true)",
        "insert into t values (?)",
        'insert into t values ("a")',
        "insert into t select 1",
        "insert into t default values",
        "with x as (select 1) insert into t values (1)",
        "select 1",
    ],
)
def test_what_is_not_certain_goes_the_ordinary_way(text: str) -> None:
    assert literal_rows(text) is None


def test_literals_become_the_values_that_sqlite_reads() -> None:
    literals = (
        "1, -1, +7, 007, 9223372036854775807, -9223372036854775808, 9223372036854775808, 1., .5, 1e3,"
        " -2.5E-3, 9e999, '', 'it''s', '''', 'a;b), (c', null, NULL, x'', X'00fF', 'naïve 😀'"
    )
    found = literal_rows(f"INSERT INTO t VALUES ({literals}),\n ( {literals} ) ;\n")
    assert found is not None
    expected = SqliteEngine().execute(f"select {literals}")[0]
    for row in found[1]:
        assert row == expected
        assert list(map(type, row)) == list(map(type, expected))


def test_heads_keep_their_names_and_clauses() -> None:
    for head in (
        "insert into t values",
        'INSERT OR IGNORE INTO "a ""b" . [c d] (`x`, y_1) VALUES',
        "replace into main.t(a)values",
    ):
        found = literal_rows(f"  {head}(1)")
        assert found == (f"{head} (?)", [(1,)])


def test_a_run_ends_where_something_else_begins() -> None:
    text = (
        "insert into t values(1,';');\n insert into t values(2,'x') ;insert into t values(3,4);"
        "insert into t values(3),(4);insert into t values(5,6)"
    )
    found = statement_run(text, 0)
    assert found is not None
    assert [form.key for form in found.forms] == ["insert into t values (?,?)"]
    assert found.sets == [[(1, ";"), (2, "x"), (3, 4)]]
    assert found.order == [0, 0, 0] and found.last_sets() == 1
    assert text[found.end :].startswith("insert into t values(3),(4)")
    assert statement_run("insert into t values(1);insert into u values(1);", 0) is None


def test_a_run_goes_on_up_to_what_is_something_else() -> None:
    numbers = iter(range(100_000))
    statement = "INSERT INTO t VALUES(%d,'a'),(%d,'b');\n"
    same = "".join([statement % (next(numbers), next(numbers)) for _ in range(5000)])
    text = f"{same}DELETE FROM t;\n{same}"
    at, rows, count = 0, 0, 0
    while (found := statement_run(text, at)) is not None:
        assert found.last_sets() == 2
        at, rows, count = found.end, rows + len(found.sets[0]), count + 1
    assert text[at:].lstrip().startswith("DELETE")
    assert rows == 10_000
    assert count < 10


# What is put together to texts that look like what stands between them.
_PIECES = (
    "'", "''", "a", " ", ",", "),(", "(", ")", "[", "]", "],[", "\\", '"', "\n", "\t", "\r", ";", "NULL",
    "null", "\\u0041", "x'", "--", "/*", "\x01", "\x7f", "é", "😀", ",''", "','", " ''", ");\nINSERT INTO t VALUES(",
)  # fmt: skip
_texts = st.lists(st.sampled_from(_PIECES), max_size=6).map(
    lambda pieces: "'" + "".join(pieces).replace("'", "''") + "'"
)
_others = st.sampled_from(
    [
        "0",
        "1",
        "-7",
        "-0",
        "1.5",
        "-0.0",
        "1e5",
        "2E-3",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "NULL",
        "null",
        "Null",
        "+7",
        "007",
        "1.",
        ".5",
        "9e999",
        "''",
        "x'00'",
        "X'fF'",
    ]
)


_COMMAS = (",", ", ", " , ", ",\n  ", ",\t", "\n,", ",\r\n")
_COMMENTED = (", -- it's\n", "-- '',\n , ")


@st.composite
def _statements(draw: st.DrawFn, commas: tuple[str, ...] = _COMMAS) -> list[str]:
    width = draw(st.integers(1, 3))
    comma = draw(st.sampled_from(commas))
    opening, close = draw(st.sampled_from((("(", ")"), ("(\n  ", "\n)"), ("( ", ")"))))
    between = close + draw(st.sampled_from((",", ", ", ",\n"))) + opening
    row = st.lists(_texts | _others, min_size=width, max_size=width).map(comma.join)
    rows = st.lists(row, min_size=1, max_size=3).map(between.join)
    return [
        f"INSERT INTO t VALUES{opening}{r}{close}"
        for r in draw(st.lists(rows, min_size=1, max_size=4))
    ]


@given(_statements())
def test_whatever_stands_in_texts_the_rows_are_those_of_sqlite(statements: list[str]) -> None:
    sqlite = sqlite3.connect(":memory:")
    expected = [sqlite.execute(s.partition("INTO t ")[2]).fetchall() for s in statements]
    alone = literal_rows(statements[0])
    assert alone is not None
    assert repr(alone[1]) == repr(expected[0])
    text = ";\n".join(statements) + ";\n"
    at, rest = 0, list(expected)
    while (found := statement_run(text, at)) is not None:
        rows: list[object] = []
        for number in range(len(found.order)):
            rows += (last := rest.pop(0))
            start, statement = found.statement(number)
            assert statement == statements[len(expected) - len(rest) - 1] + ";"
            assert text.startswith(statement, start)
        assert repr(found.sets) == repr([rows])
        assert found.last_sets() == len(last)
        at = found.end
    assert len(rest) <= (len(expected) < 2) + (at > 0)


@given(_statements(_COMMAS + _COMMENTED), st.sampled_from(("", "-- so: '\n", " -- (1)")))
def test_comments_in_a_run_are_none_of_its_rows(statements: list[str], comment: str) -> None:
    text = "".join([f"{comment}\n{statement};{comment}\n" for statement in statements])
    found = statement_run(text, 0)
    if found is not None:
        sqlite = sqlite3.connect(":memory:")
        sqlite.execute(f"CREATE TABLE t({','.join('abcdef'[: found.forms[0].key.count('?')])})")
        sqlite.executescript(text[: found.end])
        assert repr([sqlite.execute("SELECT * FROM t").fetchall()]) == repr(found.sets)


def test_a_run_goes_on_behind_comments() -> None:
    statement = (
        "-- row %d isn't long\nINSERT INTO t VALUES (\n\t%d, -- its id\n\tX'%04x'\n);  -- so\n"
    )
    text = "".join([statement % (n, n, n) for n in range(3000)]) + "SELECT 1;"
    at, rows = 0, []
    while (found := statement_run(text, at, 1 << 14)) is not None:
        assert found.last_sets() == 1
        at = found.end
        rows += found.sets[0]
    assert rows == [(n, n.to_bytes(2, "big")) for n in range(len(rows))]
    assert len(rows) == 3000
    assert text[at:] == "  -- so\nSELECT 1;"


@given(_statements(), st.lists(st.tuples(st.integers(0), st.sampled_from(_PIECES)), max_size=3))
def test_what_sqlite_does_not_take_is_not_taken(
    statements: list[str], changes: list[tuple[int, str]]
) -> None:
    text = ";\n".join(statements) + ";\n"
    for place, piece in changes:
        place %= len(text)
        text = text[:place] + piece + text[place + 1 :]
    found = statement_run(text, 0)
    if found is None or not found.forms[0].key.startswith("INSERT INTO t VALUES ("):
        return
    sqlite = sqlite3.connect(":memory:")
    sqlite.execute(f"CREATE TABLE t({','.join('abcdef'[: found.forms[0].key.count('?')])})")
    sqlite.executescript(text[: found.end])
    assert repr([sqlite.execute("SELECT * FROM t").fetchall()]) == repr(found.sets)


MULTI = "insert{} into [t] values " + ", ".join(f"({i}, 'name {i}', {i % 7})" for i in range(500))


@pytest.mark.parametrize("conflict", ["", " or ignore", " or replace", " or fail", " or rollback"])
@pytest.mark.parametrize("explicit", [False, True])
def test_many_rows_of_literals_are_one_statement_all_the_same(
    conflict: str, explicit: bool
) -> None:
    same_answers(
        "create table t(a integer primary key, b unique, c check (c < 7))",
        "insert into t values (250, 'there', 1), (1000, 'name 300', 2)",
        *(["begin"] if explicit else []),
        MULTI.format(conflict),
        "select count(*), sum(a), min(b) from t",
        "select changes(), total_changes(), last_insert_rowid()",
        "insert into [t] values (3000, 'a', 1), (3001, 'b', 9)",
        "select count(*) from t",
        "commit",
        "select count(*) from t",
    )


def test_rows_that_refer_to_later_rows_pass_as_in_one_statement() -> None:
    same_answers(
        "pragma foreign_keys = on",
        'create table "t"(a integer primary key, parent references "t")',
        'insert into "t" values (1, 2), (2, 3), (3, null)',
        'insert into "t" values (4, 5), (6, null)',
        'select * from "t"',
    )


def test_a_wrong_statement_is_told_as_it_stands() -> None:
    session = Session(open_memory())
    session.execute("create table t(a, b)")
    with pytest.raises(SqlError, match="table t has 2 columns but 3 values were supplied"):
        session.execute('insert into "t" values (1, 2, 3), (4, 5, 6)')
    with pytest.raises(SqlError, match="no such table: nope") as raised:
        session.execute('insert into "nope" values (1, 2, 3), (4, 5, 6)')
    assert raised.value.offset == 12


def test_a_script_of_inserts_runs_in_bulk_and_stops_where_one_fails() -> None:
    session = Session(open_memory())
    session.execute("create table t(a integer primary key, b)")
    script = "".join(f"INSERT INTO \"t\" VALUES({i}, '{i}');\n" for i in range(5000))
    run_script(session, f"BEGIN; {script} COMMIT;")
    assert session.execute("select count(*), sum(a) from t").fetch_all() == [(5000, 12497500)]
    assert session.changes == 1
    assert session.total_changes == 5000
    more = script.replace("VALUES(", "VALUES(1").replace("(10,", "(99999,")
    session.execute("delete from t where a > 4000")
    with pytest.raises(ConstraintError, match=r"UNIQUE constraint failed: t\.a"):
        run_script(session, more)
    # 99999 went in, then 11: taken.
    assert session.execute("select count(*), max(a) from t").fetch_all() == [(4002, 99999)]


def test_long_blanks_and_broken_rows_are_given_up_at_once() -> None:
    """Patterns that back up over blanks would take hours for these."""
    blank = " " * 100_000
    for text in (
        f"insert into t{blank}",
        f"insert into t{blank}(a{blank}){blank}x",
        f"insert into t values{blank}({blank}1{blank}",
        "insert into t values " + "(1, 'a')," * 20_000 + "(",
        "insert into t values ('" + "''" * 100_000,
    ):
        assert literal_rows(text) is None
        assert statement_run(text, 0) is None
