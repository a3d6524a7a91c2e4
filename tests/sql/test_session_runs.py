"""Runs of statements that are alike but for their literals, however they take turns; sqlite3 is the oracle."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btree import Row, open_memory
from sql import ResultColumn, Session, SqlError
from sql.session_forms import REACH_MAX, read_run
from sql.session_inserts import insert_form
from sql.session_runs import Ran

SCHEMA = (
    "create table t(id integer primary key, a, b)",
    "create table u(id integer primary key, a text unique, b)",
    "insert into t values (1, 'x', 0.5), (2, 'y', 1.5), (3, 'it''s', 2.5)",
)


class Shown:
    """What queries gave."""

    joins = True

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def __call__(self, columns: tuple[ResultColumn, ...], batches: Iterator[list[Row]]) -> None:
        self.rows += [row for batch in batches for row in batch]


@pytest.fixture
def session() -> Session:
    made = Session(open_memory())
    for statement in SCHEMA:
        made.execute(statement)
    return made


def run(session: Session, known: str, text: str) -> tuple[Ran | None, list[Row]]:
    """What runs of `text` after the statements of `known`, each by itself."""
    for statement in filter(None, known.replace(";\n", ";\0").split("\0")):
        session.execute(statement).fetch_all()
        session.runs.learn(statement)
    shown = Shown()
    return session.runs.execute(text, joins=True, show=shown), shown.rows


def rest(session: Session, known: str, text: str) -> str | None:
    """What is left of `text`; None if nothing has run."""
    ran, _ = run(session, known, text)
    assert ran is None or ran.error is None
    return None if ran is None else text[ran.end :]


def test_queries_of_one_shape_run_together(session: Session) -> None:
    def queried(first: str, text: str) -> tuple[list[Row], str] | None:
        ran, rows = run(session, first, text)
        return None if ran is None else (rows, text[ran.end :])

    by_id = "select a from t where id = 1;"
    assert queried(by_id, "\n select a from t where id = 2;select a from t where id = 7;") == (
        [("y",)],
        "",
    )
    two = "select a from t where id = 3; select a from t where id = 2;"
    assert queried(by_id, f"{two} select a from t where id = 1.0;") == (
        [("it's",), ("y",)],
        " select a from t where id = 1.0;",
    )
    assert queried(by_id, by_id) is None
    for other in ("x'00'", "'2'", "2 or 1", "-2", "2.", "2e0", "99999999999999999999", "?"):
        found = queried(by_id, f"{by_id}{by_id}select a from t where id = {other};")
        assert found == ([("x",), ("x",)], f"select a from t where id = {other};")
    assert queried(by_id, f"--\n-- {by_id}\n{by_id}--\n{by_id} select 1;") == (
        [("x",), ("x",)],
        " select 1;",
    )
    for odd in ("1\n2", "1 or 2", "'1'", "1 -- so\n", "id"):
        text = f"{by_id}{by_id}select a from t where id = {odd};{by_id}"
        found = queried(by_id, text)
        assert found == ([("x",), ("x",)], text[2 * len(by_id) :]), odd
    lines = "select a\nfrom t where id = 1\nand a = 'x';\n"
    other = lines.replace("'x'", "'y\n'").replace("1", "2")
    assert queried(lines, lines + other + lines) == ([("x",), ("x",)], "\n")
    both = "select id from t where id = 1 and a = 'x' and b > 0.25;"
    others = both.replace("id = 1", "id = 3").replace("'x'", "'it''s'")
    assert queried(both, both + others) == ([(1,), (3,)], "")
    numbers = "with recursive n(x) as (select 1 union all select x + 1 from n) select x from n"
    long = f"{numbers} limit 3000;{numbers} limit 2000;"
    assert queried(f"{numbers} limit 4000;", long) == (
        [(x,) for limit in (3000, 2000) for x in range(1, limit + 1)],
        "",
    )
    session.begin()
    session.execute("update t set a = 'new' where id = 2")
    assert queried(by_id, 2 * "select a from t where id = 2;") == ([("new",)] * 2, "")
    session.rollback()
    assert queried(by_id, 2 * "select a from t where id = 2;") == ([("y",)] * 2, "")
    session.timeout = 60
    assert queried(by_id, by_id + by_id) is None


def test_changes_of_one_shape_run_together(session: Session) -> None:
    change = "update t set a = 'z' where id = 1;"
    more = " update t set a = 'it''s; no' where id = 2;\n"
    last = "update t set a = '' where id = 9;"
    assert rest(session, change, more + last + " select 1") == " select 1"
    assert session.changes == 0
    assert rest(session, change, f"{more}-- it's said\n\n-- so;\n{change} -- the last\n;") == (
        " -- the last\n;"
    )
    assert session.changes == 1
    assert rest(session, change, more + "update t set a = 5 where id = 2;") is None
    assert rest(session, change, more) is None
    assert session.execute("select a from t").fetch_all() == [("z",), ("it's; no",), ("it's",)]
    put = "insert into t(id, a) values (7, 1) on conflict(id) do update set a = a + excluded.a;"
    assert rest(session, put, f"{put} {put}{put}") == ""
    assert session.execute("select a from t where id = 7").fetch_all() == [(4,)]
    counted = "update t set b = changes() where id = 1;"
    assert rest(session, counted, f"{counted}{counted}") is None


def test_what_is_returned_is_shown_in_its_order(session: Session) -> None:
    known = "insert into t values (20, 1, 1) returning id, 'is 20';\nselect a from t where id = 2;"
    text = (
        "insert into t values (21, 2, 2) returning id, 'is 20';\nselect a from t where id = 21;\n"
    )
    ran, rows = run(session, known, text + text.replace("21", "22"))
    assert ran is not None and ran.error is None
    assert rows == [(21, "is 20"), (2,), (22, "is 20"), (2,)]
    one = "update t set a = a + 1 where id = 20 returning a;"
    ran, rows = run(session, one, one + one)
    assert ran is not None and rows == [(3,), (4,)]


def test_whole_transactions_are_runs(session: Session) -> None:
    one = "begin;\ninsert into t values ({0}, 1, 1);\nupdate t set a = a + 1 where id = {0};\ncommit;\n"
    text = "".join([one.format(number) for number in range(30, 40)])
    again = "begin;\nrollback;\nbegin;\ninsert into t values (30, 1, 1);\ncommit;\n"
    ran, _ = run(session, one.format(20), text + again)
    assert ran is not None and ran.error is None
    assert (text + again)[ran.end :] == again[len("begin;\n") - 1 :]  # ROLLBACK has not run before
    assert session.in_transaction
    session.execute("rollback;")
    session.runs.learn("rollback;")
    ran, _ = run(session, "begin;\nrollback;", again)
    assert ran is not None and str(ran.error) == "UNIQUE constraint failed: t.id"
    assert (ran.text, again[ran.end :]) == ("insert into t values (30, 1, 1);", "\ncommit;\n")
    assert session.in_transaction
    session.rollback()
    assert session.execute("select count(*), sum(a) from t where id > 3").fetch_all() == [(11, 22)]


def test_what_fails_is_told_with_its_place(session: Session) -> None:
    known = "update t set id = 8 where id = 1;"
    fine = "update t set id = 9 where id = 8;"
    fails = "update t set id = 2 where id = 9;"
    text = f"{fine}\n{fails}\n{fine}\n"
    ran, _ = run(session, known, text)
    assert ran is not None
    assert str(ran.error) == "UNIQUE constraint failed: t.id"
    assert (text[: ran.start], ran.text, text[ran.end :]) == (f"{fine}\n", fails, f"\n{fine}\n")
    assert session.execute("select id from t").fetch_all() == [(2,), (3,), (9,)]


def test_tables_that_take_turns_are_one_commit(session: Session) -> None:
    known = "insert into t values (10, 1, 1);\ninsert into u values (10, '1', 1);"
    pair = "insert into t values ({0}, 'a', 1.5);\ninsert into u values ({0}, 'a{0}', null);\n"
    text = "".join([pair.format(number) for number in range(20, 40)])
    before = session.store.view()
    assert rest(session, known, text) == "\n"
    assert session.execute("select count(*), sum(id) from u").fetch_all() == [(21, 600)]
    assert session.execute("select count(*), sum(id) from t").fetch_all() == [(24, 606)]
    assert session.counters == (1, 45, 39)
    assert before is not session.store.view()


NOT_APART = {
    "a trigger writes to the other table": (
        "create trigger after insert on t begin insert into u(a) values ('t' || new.id); end",
        "insert into t values ({k}, 1, 1);\ninsert into u(a) values ('{k}');",
    ),
    "a row may be ignored": (
        "insert into u values (59, 'there', 0)",
        "insert into t values ({k}, 1, 1);\ninsert or ignore into u values ({k}, 'a{k}', 1);",
    ),
    "a table's own clause ignores it": (
        "create table i(id integer primary key, a not null on conflict ignore, b)",
        "insert into t values ({k}, 1, 1);\ninsert into i values ({k}, nullif({k}, 59), 1);",
    ),
    "what is inserted is changed": (
        "",
        "insert into t values ({k}, 1, 1);\nupdate t set a = id where b = {n};\nupdate t set b = 2 where id = {k};",
    ),
    "another table is asked": (
        "create table one(id integer primary key);\n"
        "insert into u with n(x) as (values (1) union all select x + 1 from n where x < 60) select x, x, 0 from n",
        "insert into one values ({k});\nupdate u set b = b + 1 where id in one and id > 0;",
    ),
    "another table is asked, without values": (
        "create table one(id integer primary key);\n"
        "insert into u with n(x) as (values (1) union all select x + 1 from n where x < 60) select x, x, 0 from n",
        "insert into one values ({k});\nupdate u set b = b + id where id in one;",
    ),
    "the tables' first rows are told": (
        "create table s(id integer primary key autoincrement, a);\n"
        "create table r(id integer primary key autoincrement, a)",
        "insert into r(a) values ({n});\ninsert into s(a) values ({n});\ninsert into r(a) values ({k});",
    ),
    "a row refers to a later one": (
        "pragma foreign_keys = on;\ncreate table c(id integer primary key, t references t)",
        "insert into c values ({k}, {n});\ninsert into t values ({k}, 1, 1);",
    ),
}


@pytest.mark.parametrize("transaction", [False, True])
@pytest.mark.parametrize("name", NOT_APART)
def test_what_can_be_told_from_another_order_is_done_in_its_order(
    session: Session, name: str, transaction: bool
) -> None:
    more, lines = NOT_APART[name]
    sqlite = sqlite3.connect(":memory:", isolation_level=None)
    for statement in SCHEMA:
        sqlite.execute(statement)
    for statement in filter(None, more.split(";\n")):
        session.execute(statement)
        sqlite.execute(statement)
    script = "".join([lines.format(k=k, n=k % 7 + 1) + "\n" for k in range(20, 60)])
    head = "\n".join(script.split("\n")[: lines.count("\n") + 1])
    text = script[len(head) + 1 :]
    if transaction:
        session.begin()
        sqlite.execute("BEGIN")
    forgets = ["delete from sqlite_sequence"] * ("autoincrement" in more)
    for statement in head.split("\n"):
        with suppress(SqlError):
            session.execute(statement)
        session.runs.learn(statement)
    for statement in forgets:
        session.execute(statement)
    start = 0
    while start < len(text):
        ran = session.runs.execute(text, start, joins=True)
        if ran is not None:
            start = ran.end
            continue
        end = text.index("\n", start) + 1
        with suppress(SqlError):
            session.execute(text[start:end])
        start = end
    for line in (*head.split("\n"), *forgets, *text.splitlines()):
        with suppress(sqlite3.Error):
            sqlite.execute(line)
    for (name,) in sqlite.execute("select name from sqlite_master where type = 'table'").fetchall():
        query = f"select rowid, * from {name}"
        assert session.execute(query).fetch_all() == sqlite.execute(query).fetchall()
    counters = "select changes(), total_changes(), last_insert_rowid()"
    assert session.execute(counters).fetch_all() == sqlite.execute(counters).fetchall()


_VALUES = st.sampled_from(
    (
        "0", "-7", "1.5", "NULL", "null", ".5", "+3", "x'0f'", "''", "'a'", "'it''s'", "';\n'", "'--'", "'(\r,['",
        "');\nINSERT INTO u VALUES('", "'/*'", "'x; INSERT INTO t VALUES(1,'", '\'"[{\\u0002\'',
    )
)  # fmt: skip
_GAPS = st.sampled_from(
    [";\n", "; ", ";", ";\n\n", "; -- it's\n", ";\n-- (1);\n", ";\r\n", ";/* ; */"]
)


@given(
    st.lists(
        st.tuples(st.sampled_from("tuv"), st.lists(_VALUES, min_size=1, max_size=2)), min_size=2
    ),
    _GAPS,
    st.lists(st.tuples(st.integers(0), _GAPS), max_size=2),
    st.sampled_from((",", ", ", " , ", ",\n")),
)
def test_a_run_is_what_sqlite_reads(
    wanted: list[tuple[str, list[str]]],
    gap: str,
    others: list[tuple[int, str]],
    comma: str,
) -> None:
    """`v` is not known; what is known of the others is a row of one value."""
    statements = [f"INSERT INTO {name} VALUES({comma.join(row)})" for name, row in wanted]
    gaps = [gap] * len(statements)
    for place, other in others:
        gaps[place % len(gaps)] = other
    text = "".join([a + b for a, b in zip(statements, gaps, strict=True)])
    forms = [
        insert_form(f"INSERT INTO {name} VALUES({row});")
        for name in "ut"
        for row in ("1", f"1{comma}2")
    ]
    assert None not in forms
    found = read_run(text, 0, [form for form in forms if form is not None], REACH_MAX)
    if found is None:
        return
    sqlite = sqlite3.connect(":memory:")
    sets = list(map(iter, found.sets))
    for number, place in enumerate(found.order):
        name, row = wanted[number]
        start, statement = found.statement(number)
        assert statement == statements[number] + ";"
        assert text[start:].startswith(statement)
        values: Any = next(sets[place])
        assert found.forms[place].key == f"INSERT INTO {name} VALUES ({','.join('?' * len(row))})"
        assert repr(values) == repr(sqlite.execute(f"VALUES ({', '.join(row)})").fetchone())
    assert [next(rest, None) for rest in sets] == [None] * len(sets)
    assert found.end == found.end_of(len(found.order))
