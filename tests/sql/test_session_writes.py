"""What becomes of a transaction when its statements write, fail and are undone; sqlite3 is the oracle."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial

import pytest

from btree import open_memory
from sql import ConstraintError, MisuseError, Session
from tests.sql.engines import COUNTERS, same_answers

compare = partial(same_answers, after_each=COUNTERS)

TABLE = "create table t(a integer primary key, b unique, c check(c > 0) default 1)"


@pytest.mark.parametrize(
    "conflict", ["", "or abort", "or rollback", "or fail", "or ignore", "or replace"]
)
@pytest.mark.parametrize("explicit", [False, True])
def test_conflict_clauses_undo_what_they_should(conflict: str, explicit: bool) -> None:
    compare(
        TABLE,
        "insert into t values (1, 'x', 1)",
        *(["begin", "insert into t values (2, 'y', 1)"] if explicit else []),
        f"insert {conflict} into t values (3, 'z', 1), (4, 'x', 1), (5, 'w', 1)",
        "select * from t order by a",
        f"insert {conflict} into t values (6, 'v', 1), (7, 'u', -1), (8, 's', 1)",
        "select * from t order by a",
        f"update {conflict} t set b = 'same' where a > 0",
        "select * from t order by a",
        "commit",
        "select * from t order by a",
    )


def test_a_failing_statement_undoes_itself_alone() -> None:
    compare(
        TABLE,
        "begin",
        "insert into t values (1, 'x', 1)",
        "insert into t values (2, 'y', 1), (3, 'x', 1)",
        "select * from t",
        "savepoint s",
        "insert into t values (2, 'y', 1), (3, 'q', -1)",
        "insert into t values (2, 'y', 1), (3, 'q', 1)",
        "rollback to s",
        "insert into t select a + 10, b || 'x', 0 from t",
        "select * from t",
        "commit",
        "select * from t",
    )


def test_raise_in_a_trigger_ends_what_it_names() -> None:
    for action in ("abort", "rollback", "fail"):
        compare(
            "create table t(a)",
            "create table log(a)",
            "create trigger tr before insert on t when new.a = 3 begin"
            f" select raise({action}, 'no threes'); insert into log values ('seen'); end",
            "begin",
            "insert into t values (1)",
            "insert into t values (2), (3), (4)",
            "select * from t",
            "select * from log",
            "commit",
            "insert into t values (2), (3), (4)",
            "select * from t",
        )


def test_deferred_foreign_keys_are_held_at_the_commit() -> None:
    compare(
        "pragma foreign_keys = on",
        "create table p(a integer primary key)",
        "create table c(a references p deferrable initially deferred)",
        "insert into c values (1)",
        "begin",
        "insert into c values (1)",
        "commit",
        "insert into p values (1)",
        "commit",
        "select * from c",
        "begin",
        "savepoint s",
        "insert into c values (9)",
        "rollback to s",
        "commit",
        "savepoint outer",
        "insert into c values (9)",
        "release outer",
        "delete from c where a = 9",
        "release outer",
        "select * from c",
        "begin",
        "pragma defer_foreign_keys = on",
        "delete from p",
        "commit",
        "rollback",
        "pragma defer_foreign_keys",
        "select * from p",
    )


def test_counters_follow_sqlites_rules() -> None:
    compare(
        TABLE,
        "create table log(a integer primary key, b)",
        "create trigger tr after insert on t begin insert into log(b) values (new.a); end",
        "insert into t(b) values ('a'), ('b'), ('c')",
        "update t set c = 5 where a > 1",
        "select 1",
        "create index i on t(c)",
        "delete from t where a = 99",
        "replace into t values (1, 'b', 1)",
        "insert or ignore into t values (1, 'q', 1)",
        "delete from t",
        "begin",
        "insert into t(b) values ('z')",
        "rollback",
    )


def test_statements_with_literals_share_plans_and_keep_their_values() -> None:
    compare(
        TABLE,
        "insert into t values (1, 'one', 1)",
        "insert into t values (2, 'two', 2)",
        "insert into t values (3, 'it''s', 3)",
        "insert into t values (4, 4.5, 4)",
        "insert into t values (5, null, 4.0)",
        "insert into t values (6, x'00', '5')",
        "select a, typeof(b), typeof(c) from t where a = 4",
        "select a, typeof(b), typeof(c) from t where a = 5",
        "select a from t where b = 'it''s'",
        "select a from t where b = 'two' and c = 2",
        "select a from t where a < 3 limit 1",
        "select a from t where a < 3 limit 2 offset 1",
        "select a from t where c > 2.5 order by 1 limit 1",
        "update t set b = 'TWO' where a = 2",
        "update t set b = 'THREE' where a = 3",
        "delete from t where b = 'TWO'",
        "delete from t where b = 'nope'",
        "select * from t order by a",
    )


def test_a_plan_sees_values_of_new_kinds() -> None:
    compare(
        "create table t(a, b)",
        "insert into t values (1, 2)",
        "select a < 5, a + b from t",
        "insert into t values ('x', 2.5)",
        "select a < 5, a + b from t",
        "insert into t values (null, x'01')",
        "select a < 5, a + b from t",
        "begin",
        "insert into t values (1e300, 1)",
        "select a < 5, a * a from t",
        "rollback",
        "select a < 5, a * a from t",
    )


# -- execute_many -------------------------------------------------------------------------------------------


def rows(session: Session) -> list[tuple[object, ...]]:
    return session.execute("select a, b from t order by a").fetch_all()


def test_execute_many_keeps_the_sets_before_the_one_that_fails() -> None:
    """As the sqlite3 module does, which runs the statement once for each set."""
    sets = [(1, "x"), (2, "y"), (3, "x"), (4, "z")]
    for explicit in (False, True):
        session = Session(open_memory())
        theirs = sqlite3.connect(":memory:", isolation_level=None)
        for execute in (session.execute, theirs.execute):
            execute("create table t(a integer primary key, b unique)")
            if explicit:
                execute("begin")
        with pytest.raises(ConstraintError, match=r"UNIQUE constraint failed: t\.b"):
            session.execute_many("insert into t values (?, ?)", sets)
        with pytest.raises(sqlite3.IntegrityError):
            theirs.executemany("insert into t values (?, ?)", sets)
        assert rows(session) == theirs.execute("select a, b from t order by a").fetchall()
        assert session.total_changes == theirs.total_changes


def test_execute_many_runs_what_it_was_given_before_a_bad_set() -> None:
    session = Session(open_memory())
    session.execute("create table t(a integer primary key, b)")
    with pytest.raises(MisuseError, match="uses 2, and there are 1 supplied"):
        session.execute_many("insert into t values (?, ?)", [(1, "x"), (2,)])
    assert rows(session) == [(1, "x")]

    def sets() -> Iterator[tuple[int, str]]:
        yield 2, "y"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        session.execute_many("insert into t values (?, ?)", sets())
    assert rows(session) == [(1, "x"), (2, "y")]


def test_execute_many_takes_sets_of_every_form() -> None:
    session = Session(open_memory())
    session.execute("create table t(a integer primary key, b)")
    many = session.execute_many("insert into t values (:a, :b)", [{"a": 1, "b": True}])
    assert many.rowcount == 1
    assert session.execute_many("insert into t values (?, ?)", [[2, float("nan")]]).rowcount == 1
    assert session.execute_many("insert into t values (?, ?)", ((i, i) for i in range(3, 9000)))
    assert session.execute_many("update t set b = ? where a = ?", [(0, 5), (0, 6)]).rowcount == 2
    assert session.execute_many("delete from t where a > ?", [(6,)]).rowcount == 8993
    assert rows(session) == [(1, 1), (2, None), (3, 3), (4, 4), (5, 0), (6, 0)]
    assert session.execute_many("insert into t values (?, ?)", []).rowcount == 0


# -- definitions on filled tables -----------------------------------------------------------------------------


FILLED = [
    "create table t(a integer primary key, b text, c int default 7)",
    "insert into t(b) values ('one'), ('two'), ('three'), ('two')",
]


def test_an_index_is_filled_and_unique_ones_are_checked() -> None:
    compare(
        *FILLED,
        "create unique index u on t(b)",
        "create unique index u on t(a, b)",
        "create index i on t(b collate nocase desc, a + c) where a > 1",
        "select a from t where b = 'two' and a > 1",
        "select b from t indexed by i where b = 'TWO' collate nocase and a > 1",
        "reindex",
        "pragma integrity_check",
        "begin",
        "drop index i",
        "rollback",
        "pragma integrity_check",
    )


@pytest.mark.parametrize(
    "column",
    [
        "d",
        "d int default '12'",
        "d not null",
        "d not null default -5",
        "d default current_timestamp",
        "d default (1 + 1)",
        "d as (a * 2)",
        "d as (a * 2) stored",
        "d as (b || c) not null",
        "d as (null) not null",
        "d int check (d > 3) default 4",
        "d int check (d > 5) default 4",
        "d int check (d > 5)",
        "d references t",
        "d references t default 1",
        "d text collate nocase default abc",
        "d default x'00ff'",
        "d real default 3",
    ],
)
def test_an_added_column_has_its_values_in_the_rows_that_are_there(column: str) -> None:
    compare(
        "pragma foreign_keys = on",
        *FILLED,
        f"alter table t add column {column}",
        "select * from t",
        "insert into t(a, b) values (100, 'hundred')",
        "select * from t where a = 100",
        "pragma integrity_check",
    )


def test_a_dropped_column_is_gone_from_the_rows() -> None:
    compare(
        *FILLED,
        "create index i on t(c, a)",
        "create table w(a, b, c, primary key(c, a)) without rowid",
        "insert into w select a, b, c from t",
        "alter table t drop column b",
        "select * from t where c = 7",
        "alter table w drop column b",
        "select * from w",
        "insert into w values (0, 0)",
        "select * from w where c = 0",
        "pragma integrity_check",
    )


def test_renamed_things_keep_their_rows() -> None:
    compare(
        *FILLED,
        "create table ai(a integer primary key autoincrement)",
        "insert into ai values (10)",
        "alter table ai rename to ai2",
        "insert into ai2 default values",
        "select * from ai2",
        "select * from sqlite_sequence",
        "alter table t rename column b to text",
        "select text from t where text > 'p'",
        "drop table ai2",
        "select * from sqlite_sequence",
    )


def test_dropping_a_parent_table_deletes_its_rows_first() -> None:
    compare(
        "pragma foreign_keys = on",
        "create table p(a integer primary key)",
        "create table c(a references p)",
        "insert into p values (1)",
        "insert into c values (1)",
        "drop table p",
        "delete from c",
        "insert into p values (2), (3)",
        "drop table p",
        "pragma foreign_keys = off",
        "insert into c values (2)",
        "pragma foreign_key_check",
    )


def test_temporary_tables_take_part_in_transactions() -> None:
    compare(
        "create table t(a)",
        "begin",
        "insert into t values (1)",
        "create temp table tt(a unique)",
        "insert into tt values (1), (2)",
        "savepoint s",
        "insert into tt values (3)",
        "insert into t select a from tt",
        "select * from t",
        "insert into tt values (4), (1)",
        "rollback to s",
        "select * from t",
        "select * from tt",
        "commit",
        "begin",
        "delete from tt",
        "rollback",
        "select * from tt join t",
        "create temp trigger tr after insert on t begin insert into tt values (new.a * 100); end",
        "insert into t values (7)",
        "select * from tt",
        "insert into t values (7)",
        "select * from t",
        "drop table tt",
        "select * from tt",
    )


def test_a_savepoint_holds_for_temporary_tables_read_before_they_are_written() -> None:
    """Found by fuzzing: the savepoint was taken at the first write of the database, too late."""
    compare(
        "create table t(a)",
        "create temp table tt(a)",
        "savepoint s",
        "select * from t",
        "drop table tt",
        "insert into t values (1)",
        "rollback to s",
        "select * from tt",
        "select * from t",
    )
