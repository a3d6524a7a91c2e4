"""Constraints held to sqlite3: which one fails first, and how each conflict ends."""

from __future__ import annotations

from itertools import product

import pytest

from tests.sql.dml_scripts import compare

CONFLICTS = "", " ON CONFLICT REPLACE", " ON CONFLICT IGNORE"


def test_unique_constraints_are_checked_newest_first_and_resolved_each_in_its_way() -> None:
    compare(
        """
        create table t(a unique,b unique);
        insert into t values(1,1);
        insert into t values(1,1);
        create unique index i on t(a,b);
        insert into t values(1,1);
        drop table t;
        create table t(a unique on conflict replace,b unique);
        insert into t values(1,1),(2,2);
        insert into t values(1,2);
        insert into t values(1,3);
        insert into t values(null,4),(null,5);
        select * from t;
        create table u(k integer primary key on conflict replace, v unique on conflict ignore, w unique on conflict fail, x unique on conflict rollback, y unique on conflict abort);
        insert into u values(1,1,1,1,1),(2,2,2,2,2),(3,3,3,3,3);
        insert into u values(1,4,4,4,4);
        insert into u values(5,4,5,5,5);
        insert into u values(6,6,6,6,6),(7,7,4,7,7);
        select * from u;
        begin;
        insert into u values(8,8,8,8,8);
        insert into u values(9,9,9,8,9);
        rollback;
        insert into u values(10,10,10,10,4);
        insert or replace into u values(10,10,10,10,4);
        insert or ignore into u values(10,11,12,13,4);
        update u set v=10, w=200 where k=2;
        update u set k=3 where k=2;
        select * from u;
        create table n(a not null on conflict replace default 7, b not null on conflict ignore, c not null on conflict fail, d not null);
        insert into n values(null,1,1,1);
        insert into n values(1,null,1,1);
        insert into n values(2,2,2,2),(3,3,null,3);
        insert into n values(4,4,4,null);
        insert or replace into n values(5,5,5,null);
        insert or replace into n values(null,6,6,6);
        insert or ignore into n values(7,7,7,null);
        update n set a=null;
        update or ignore n set d=null;
        update n set b=null;
        select * from n;
        """
    )


def test_generated_columns_follow_every_write() -> None:
    compare(
        """
        create table t(a int, b as (a+1), c as (b*2) stored);
        insert into t values(1);
        insert into t values(1,2,3);
        insert into t(b) values(3);
        update t set b=3;
        insert into t(a) values(4) returning *, rowid;
        update t set a=7 returning b,c;
        create unique index tc on t(c);
        update t set a=8 where rowid=1;
        update t set a=8;
        insert into t(a) values(8);
        insert or replace into t(a) values(8);
        create table g(x, y text as (x) unique, z not null as (nullif(x,3)));
        insert into g values(1),(2);
        insert into g values(3);
        insert into g values('1');
        update g set x=x+10;
        select *, typeof(y) from g;
        create table h(a, b as (a) check(b<10));
        insert into h values(5);
        insert into h values(50);
        update h set a=11;
        """
    )


def test_checks_types_defaults_and_affinities_hold_for_every_row() -> None:
    compare(
        """
        create table t(a int check(a>0), b text constraint bc check(length(b)<3));
        insert into t values(0,'a');
        insert into t values(1,'abcd');
        insert or ignore into t values(0,'a');
        insert or replace into t values(0,'a');
        insert into t values(1,'a'),(2,'b');
        insert into t values(null,null);
        insert or ignore into t values(1,'a'),(-1,'b'),(3,'c');
        insert or fail into t values(8,'a'),(-1,'b'),(3,'c');
        update t set a=a-1;
        update or ignore t set a=a-1;
        update or fail t set a=a-1;
        create table s(a int, b text, c any, d real, e blob, f integer primary key) strict;
        insert into s values('x',1,x'00',1,x'',1);
        insert into s values('1',1,x'00',1,x'',1);
        insert into s values(1.5,'a',1,1,x'',2);
        insert into s values(1,x'00',1,1,x'',2);
        insert into s values(1,'a',1,'q',x'',2);
        insert into s values(1,'a',1,1.5,'t',2);
        insert into s values(2.0,'a','1','2',x'',null);
        update s set a='z';
        update s set c='00012', d=3;
        select *,typeof(a),typeof(b),typeof(c),typeof(d) from s;
        create table d(a default 5, b default (1+2), c default 'x', d default (lower('ABCDEFGHIJ')), e default -3.5, f default null, g default x'0102', h default true, i default abc);
        insert into d default values;
        insert into d(a) values(1);
        insert into d(a,b) select 1,2;
        select a,b,c,length(d),e,f,g,h,i from d;
        update d set d=0;
        create table af(i integer, t text, n numeric, r real, b blob, x);
        insert into af values('12','12','12','12','12','12');
        insert into af values(12,12,12,12,12,12);
        insert into af values(1.5,1.5,1.5,1.5,1.5,1.5);
        insert into af values(2.0,2.0,2.0,2.0,2.0,2.0);
        insert into af values('abc','abc','abc','abc','abc','abc');
        insert into af values(x'41',x'41',x'41',x'41',x'41',x'41');
        insert into af values(' 12 ','12 ','1e3','1e400',1e20,9223372036854775807);
        insert into af values('0x10','',' ','9223372036854775808',null,null);
        select *,typeof(i),typeof(t),typeof(n),typeof(r),typeof(b),typeof(x) from af;
        """
    )


def test_partial_and_expression_indexes_follow_every_write() -> None:
    compare(
        """
        create table t(a,b);
        create index p on t(a) where b>5;
        create unique index q on t(b) where a is not null;
        create index e on t(a+b, b collate nocase desc);
        insert into t values(1,1),(2,6),(null,1),(null,1);
        insert into t values(3,1);
        update t set a=9 where b=1;
        update t set a=null where b=1;
        update t set a=1 where rowid=3;
        update t set a=1 where rowid=4;
        delete from t where a=1;
        replace into t values(7,6);
        select * from t;
        create unique index bad on t(a+0);
        create unique index bad2 on t(b);
        reindex;
        """
    )


@pytest.mark.parametrize("key", ["a INTEGER PRIMARY KEY", "a INT PRIMARY KEY"])
@pytest.mark.parametrize("behind", ["", " WITHOUT ROWID"])
def test_a_primary_key_has_its_place_among_the_unique_constraints(key: str, behind: str) -> None:
    forms = (
        "{0}, c UNIQUE{1}, d UNIQUE{2}",
        "c UNIQUE{1}, {0}, d UNIQUE{2}",
        "c UNIQUE{1}, d UNIQUE{2}, {0}",
    )
    for form, own, *others in product(forms, CONFLICTS, CONFLICTS, CONFLICTS):
        columns = form.format(key + own, *others)
        compare(
            f"""
            create table t(b, {columns}){behind};
            create unique index i on t(b);
            insert into t(a, b, c, d) values(1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3), (4, 4, 4, 4);
            insert or fail into t(a, b, c, d) values(1, 5, 3, 4);
            insert or fail into t(a, b, c, d) values(9, 3, 3, 4);
            update or abort t set a = 4, b = 9, c = 4, d = 4 where a = 3;
            insert into t(a, b, c, d) values(1, 5, 3, 4);
            update t set a = 4, b = 9, c = 4, d = 4 where a = 3;
            select a, b, c, d from t;
            """
        )


@pytest.mark.parametrize(
    "columns",
    [
        "a INTEGER PRIMARY KEY, b INT NOT NULL, c TEXT UNIQUE",
        "a INTEGER PRIMARY KEY ON CONFLICT REPLACE, b INT, c TEXT UNIQUE",
        "a INTEGER PRIMARY KEY ON CONFLICT IGNORE, b INT CHECK(b < 9), c TEXT UNIQUE",
        "a INT PRIMARY KEY, b INT, c TEXT UNIQUE",
    ],
)
def test_types_of_a_strict_row_come_between_its_row_id_and_its_other_constraints(
    columns: str,
) -> None:
    rows = "(1, 'x', 'n')", "(1, 'x', 'c')", "(2, 'x', 'c')", "(1, NULL, x'00')", "(1, 99, x'00')"
    ends = "", " on conflict(a) do nothing", " on conflict(a) do update set b = 'q'"
    for row, end, verb in product(rows, ends, ("insert", "insert or ignore", "insert or replace")):
        compare(
            f"""
            create table t({columns}) STRICT;
            insert into t values(1, 1, 'c'), (5, 5, '5');
            {verb} into t values{row}{end};
            {verb} into t values(8, 8, '8'), {row}{end};
            update t set (a, b, c) = (select * from (values{row})) where a = 5;
            select * from t;
            """
        )
