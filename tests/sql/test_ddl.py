"""Definitions held to sqlite3: the same errors, the same sqlite_master, after every statement."""

from __future__ import annotations

from functools import partial

import pytest

from tests.sql.engines import EngineError, KvshEngine, same_answers

MASTER = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"


compare = partial(same_answers, at_end=MASTER)
"""Messages, rows and the catalog must be the same."""


@pytest.mark.parametrize(
    "statement",
    [
        "create table t(a,a)",
        "create table t(a int primary key, b primary key)",
        "create table t(a integer primary key autoincrement, b) without rowid",
        "create table t(a) without rowid",
        "create table t(a text primary key autoincrement)",
        "create table t(a, primary key(b))",
        "create table t(a, unique(b))",
        "create table t(a, foreign key(x) references p)",
        "create table t(a, foreign key(a) references p(x,y))",
        "create table t(a, b references p(x,y))",
        "create table t(a foo) strict",
        "create table t(a) strict",
        "create table t(a as (b), b as (a))",
        "create table t(a as (1))",
        "create table t(a int default (b), b)",
        "create table t(a check (zz>1))",
        "create table t(a check ((select 1)))",
        "create table t(a default ((select 1)))",
        "create table t(a collate foo)",
        "create table sqlite_x(a)",
        "create table t(x, a int primary key as (1))",
        "create table t(a int, primary key(a+1))",
        "create table t(a int, primary key(a autoincrement))",
        "create table t(a unique on conflict ignore, unique(a) on conflict replace)",
        "create table main.sqlite_y(a)",
        "create table zz.t(a)",
        "create temp table main.t(a)",
        "create index i on nope(a)",
        "create index i on sqlite_master(name)",
        "create view v as select ?",
        "create trigger tr after insert on nope begin select 1; end",
        "create virtual table v using nope(a)",
        "drop table nope",
        "drop table sqlite_master",
        "drop table zz.t",
        "drop view nope",
        "drop index nope",
        "drop trigger nope",
        "alter table nope rename to x",
        "alter table sqlite_master rename to x",
        "reindex nope",
        "analyze nope",
    ],
)
def test_a_bad_definition_is_refused_in_sqlites_words(statement: str) -> None:
    compare(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "create table t(a)",
        "create view t as select 1",
        "create index t on t(a)",
        "create index i on t(zz)",
        "create index i2 on t(a)",
        "create index i on t(a)",
        "create index if not exists i on t(a)",
        "create table if not exists t(zz)",
        "create table i(a)",
        "create view i as select 1",
        "create index sqlite_foo on t(a)",
        "create index e on t(a+1, random())",
        "create index e on t(a) where random() > 1",
        "create index e on t((select 1))",
        "create index e on t(a) where zz > 1",
        "create index e on v(x)",
        "create trigger tr after insert on t begin select 1; end",
        "create trigger tv after insert on v begin select 1; end",
        "create trigger tv instead of insert on t begin select 1; end",
        "create trigger tv instead of update on v begin select new.x; end",
        "drop table v",
        "drop table if exists v",
        "drop view t",
        "drop view if exists t",
        "drop index sqlite_autoindex_u_1",
        "drop table u",
        "drop table t",
        "drop index i",
        "drop trigger tr",
        "drop view v",
        "drop table sqlite_sequence",
        "alter table t rename to u",
        "alter table t rename to sqlite_z",
        "alter table v rename to v9",
        "alter table v add column c",
        "alter table t add column a",
        "alter table t add column z primary key",
        "alter table t add column z unique",
        "alter table t add column z as (zz)",
        "alter table t rename column nope to b",
        "alter table t rename column a to b",
        "alter table t drop column nope",
        "alter table t drop column a",
        "alter table u drop column a",
        "alter table u drop column b",
        "reindex",
        "reindex t",
        "reindex i",
        "reindex nocase",
        "vacuum",
    ],
)
def test_a_definition_beside_others_does_as_in_sqlite(statement: str) -> None:
    compare(
        "create table t(a, b)",
        "create table u(a unique, b primary key)",
        "create table ai(a integer primary key autoincrement, b)",
        "create view v as select 1 as x",
        "create index i on t(a)",
        "create trigger tr after insert on t begin select 1; end",
        statement,
    )


@pytest.mark.parametrize(
    "definition",
    [
        "(a, b, primary key(a,b), unique(b,a), unique(a,b))",
        "(a unique unique, b, unique(a))",
        "(a int unique primary key)",
        "(a integer primary key unique)",
        "(a integer primary key desc)",
        "(a integer, primary key(a desc))",
        "(a integer, primary key(a autoincrement))",
        "(a, unique(a collate nocase, a))",
        "(a primary key, b unique) without rowid",
        "(a, b, primary key(b, a), unique(b)) without rowid, strict",
        "(a, primary key(a, a)) without rowid",
    ],
)
def test_constraints_make_the_indexes_that_sqlite_makes(definition: str) -> None:
    compare(f"create table t{definition}", "drop table t")


def test_the_stored_text_starts_anew_and_ends_with_the_last_token() -> None:
    compare(
        "create  temp  table hidden(a)",
        'CREATE TABLE IF NOT EXISTS main . "t 1" ( a /* one */ ) -- the end',
        'create unique  index if not exists i on "t 1" (a) ; -- more',
        "create view if not exists [v] (x) as  select 1 /* all */ ;",
        'create trigger tr after insert on "t 1" begin select 1; end ;',
    )


def test_renaming_a_table_renames_it_in_every_definition() -> None:
    compare(
        "create table t(a integer primary key, b unique, c references t(a), check (t.a>0))",
        "create table u(x references t(b))",
        'create table u2(x references "t" (b), foreign key(x) references T)',
        "create index i on t(c)",
        "create view v as select t.a, b from t where t.b>1",
        "create view v2 as select x.a from t as x join u on u.x=x.a",
        "create view v3 as select t from (select 't' as t)",
        "create trigger tr after insert on t begin insert into t(b) values(new.b);"
        " update t set b=1 where t.a=2; delete from t; select t.a from t; end",
        "create trigger tr2 after insert on u begin insert into t select * from t; end",
        'alter table t rename to "new t"',
        'alter table "new t" rename to plain',
    )


def test_renaming_a_column_renames_it_where_it_is_meant() -> None:
    compare(
        "create table t(a integer primary key, b text default 'b' unique, c check(b>1),"
        " d as (b||c), foreign key(c) references t(b), unique(b,c), constraint b check (t.b<9))",
        "create table u(x references t(b), b)",
        "create index i on t(b, c+b) where b>2",
        "create view v as select t.b, b from t where t.b>1 order by b",
        "create view v2 as select x.b as b, u.b from t as x join u on u.x=x.b",
        "create view v5 as select * from t",
        "create view v6(b) as select b from u",
        "create trigger tr after update of b on t when new.b>1 begin"
        " insert into t(b,c) values(new.b,old.b); update t set b=b+1, c=5 where t.b=2;"
        " delete from t where b in (select b from u); select b from t; end",
        "create trigger tr2 after insert on u begin insert into t(b) select new.b from t;"
        " update u set b=1; end",
        'alter table t rename column b to "new b"',
        'alter table t rename column "new b" to b2',
    )


@pytest.mark.parametrize(
    "broken",
    [
        "create view b as select nope from t",
        "create view b as select * from nope",
        "create trigger b after insert on t begin insert into nope values (1); end",
        "create temp view b as select * from nope",
        "create trigger b after insert on t begin update t set nope = 1; end",
    ],
)
def test_nothing_is_altered_while_a_definition_is_broken(broken: str) -> None:
    compare(
        "create table t(a, b)",
        "create table u(a, b)",
        "create temp table tt(a, b)",
        broken,
        "alter table u rename to u2",
        "alter table u rename column a to b",
        "alter table u drop column b",
        "alter table u add column c",
        "alter table tt rename to tt2",
    )


def test_a_temporary_table_is_renamed_where_only_it_is_meant() -> None:
    compare(
        "create table t(a, b)",
        "create table child(a references t)",
        "create view v as select a from t",
        "create temp table t(a, c)",
        "create temp view tv as select a from t",
        "create temp trigger tr after insert on t begin delete from t where a = 1; end",
        "alter table t rename to t2",
        "select type, name, tbl_name, sql from sqlite_temp_master",
        "alter table t rename to main_t",
        "select type, name, tbl_name, sql from sqlite_temp_master",
    )


def test_temporary_definitions_follow_a_table_that_is_renamed_but_for_foreign_keys() -> None:
    """A temporary table whose foreign key names a table of the database was taken for one of it, which nobody
    could write any more; it refers to a temporary table, if there is one."""
    compare(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
        "CREATE TEMP TABLE x(id INTEGER PRIMARY KEY, a REFERENCES t(id) UNIQUE, c)",
        "CREATE TEMP VIEW w AS SELECT id FROM t",
        "CREATE TEMP VIEW z AS SELECT v FROM t",
        "INSERT INTO x VALUES(1, NULL, 2)",
        "ALTER TABLE t RENAME TO t7",
        "UPDATE x SET c = 5 WHERE id = 1",
        "INSERT INTO x VALUES(2, 1, 6)",
        "INSERT INTO t7 VALUES(3, 4)",
        "ALTER TABLE t7 RENAME COLUMN v TO y",
        "SELECT * FROM x, w, z",
        "SELECT name, sql FROM sqlite_temp_master ORDER BY name",
    )


def test_a_column_is_not_renamed_under_a_view_that_would_break() -> None:
    compare(
        "create table t(a, b)",
        "create view v as select b from (select b from t)",
        "alter table t rename b to c",
    )


def test_an_added_column_stands_after_the_last_one() -> None:
    compare(
        "create table t(a, b, primary key(a) ) ",
        "alter table t add column c int default 5 check (c>1)",
        "alter table t add d",
        "create table w(a primary key, b) without rowid",
        "alter table w add column c",
        "create table s(a int -- com\n)",
        "alter table s add column z text",
        "create table s2(a int, check (a>1)) strict",
        "alter table s2 add column z",
        "alter table s2 add z text",
    )


@pytest.mark.parametrize(
    ("definition", "more"),
    [
        ("(a, b int, c)", ""),
        ("(a, c, b default (1+1))", ""),
        ("(b, /* x */ a, c)", ""),
        ("(a, b, check(b>1))", ""),
        ("(a, b check(b>1))", ""),
        ("(a, b)", "create index i on t(b)"),
        ("(a, b)", "create index i on t(a) where b > 1"),
        ("(a, b)", "create view v as select b from t"),
        ("(a, b)", "create trigger tr after insert on t begin select new.b; end"),
        ("(a, b)", "create trigger tr after insert on t begin update t set b = 1; end"),
        ("(a, b)", "create trigger tr after insert on t begin update t set a = 1 where b = 2; end"),
        ("(a, b)", "create trigger tr after insert on p begin delete from t where b = 2; end"),
        ("(a, b)", "create trigger tr after update of b on t begin select 1; end"),
        ("(b)", ""),
        ("(a, b, unique(a, b))", ""),
        ("(a, b as (a))", ""),
        ("(b, a as (b))", ""),
        ("(a, b references p)", ""),
        ("(a, b, foreign key(b) references p)", ""),
    ],
)
def test_dropping_a_column_is_refused_where_something_uses_it(definition: str, more: str) -> None:
    compare(
        f"create table t{definition}",
        "create table p(x)",
        more or "select 1",
        "alter table t drop column b",
    )


def test_the_text_without_the_last_column_ends_before_its_comma() -> None:
    compare(
        "create table t(a, b int , c )",
        "create table u(a,b,c /* x */)",
        "create table v(a,b,\n  c\n)",
        "create table w(a,b , c int default 5 , check (a > 0))",
        "alter table t drop column c",
        "alter table u drop column c",
        "alter table v drop column c",
        "alter table w drop column c",
    )


def test_create_table_as_takes_names_and_affinities_of_the_result() -> None:
    compare(
        "create table t(a int, b text, c, d real, e decimal(5))",
        "create table x1 as select * from t",
        "create table x2 as select 1 as a, 'x' b, 1.5, a+1, a, a from t",
        'create table "select" as select a as "from", b as "a b" from t',
        "create table x3 as select 1 as one, 2.5 as two, 'three' as three, null as four",
        "select * from x3",
        "create table x3 as select 1",
        "create table if not exists x3 as select 1",
        'create table x4 as select 1 as "é", 2 as "a$b", 3 as "9x", 4 as _q, 5 as "order"',
    )


def test_create_table_as_stores_many_rows_of_all_kinds_by_their_affinities() -> None:
    mixed = "CASE n % 5 WHEN 0 THEN n WHEN 1 THEN n / 2.0 WHEN 2 THEN '7' WHEN 3 THEN x'37' END"
    compare(
        "create table t(a int, b text, c, d real, e decimal(5))",
        "with recursive r(n) as (values(1) union all select n + 1 from r where n < 40000)"
        f" insert into t select {', '.join([mixed] * 5)} from r",
        "create table x as select e, d, c, b, a, a || 'x' as f from t",
        "select rowid, *, typeof(a), typeof(b), typeof(c), typeof(d), typeof(e) from x",
        "create temp table y as select * from t where a is null order by rowid desc",
        "select rowid, * from y",
    )


def test_definitions_roll_back_with_their_transaction() -> None:
    compare(
        "create table t(a)",
        "begin",
        "create table u(a unique)",
        "alter table t rename to v",
        "savepoint one",
        "drop table u",
        "create index i on v(a)",
        "rollback to one",
        "select name from sqlite_master order by name",
        "rollback",
    )


def test_temporary_objects_hide_others_and_vanish_with_the_session() -> None:
    compare(
        "create table t(a)",
        "create temp table t(b, c)",
        "select * from t",
        "alter table t add column d",
        "create index i on t(b)",
        "create temp trigger tr after insert on t begin select 1; end",
        "select type, name, tbl_name, sql from sqlite_temp_master",
        "drop table t",
        "select type, name from sqlite_temp_master",
        "drop table t",
        "create temp view tv as select 1 as one",
        "select * from tv",
        "begin",
        "create temp table u(a)",
        "rollback",
        "select * from u",
    )


def test_kv_is_there_already_for_a_dump_and_else_a_name_like_others() -> None:
    engine = KvshEngine()
    engine.execute("create table if not exists kv(key primary key, value) without rowid")
    assert engine.execute("select name from sqlite_master") == []
    engine.execute("create table kv(k, v)")
    assert engine.execute("select k, v from kv") == []


def test_a_loop_of_generated_columns_is_refused_at_once() -> None:
    """SQLite accepts the table and refuses every statement that uses it."""
    engine = KvshEngine()
    with pytest.raises(EngineError, match='generated column loop on "a"'):
        engine.execute("create table t(x, a as (b), b as (a))")


def test_analyze_stores_nothing_for_statistics_are_read_live() -> None:
    engine = KvshEngine()
    engine.execute("create table t(a)")
    for statement in ("analyze", "analyze t", "analyze main"):
        engine.execute(statement)
    assert engine.execute("select name from sqlite_master") == [("t",)]
