"""Triggers and writable views held to sqlite3."""

from __future__ import annotations

import gc
import sys
import weakref

from btree import open_memory
from sql import Session
from tests.sql.dml_scripts import compare


def test_triggers_fire_around_rows_and_may_refuse_them() -> None:
    compare(
        """
        create table t(a integer primary key,b);
        create table log(x,y,z);
        create trigger bi before insert on t begin insert into log values('bi',new.a,new.b); end;
        create trigger ai after insert on t begin insert into log values('ai',new.a,new.b); end;
        create trigger bu before update on t begin insert into log values('bu',old.a||'-'||new.a,old.b||'-'||new.b); end;
        create trigger au after update of b on t when new.b>5 begin insert into log values('au',old.a,new.b); end;
        create trigger bd before delete on t begin insert into log values('bd',old.a,old.b); end;
        create trigger ad after delete on t begin insert into log values('ad',old.a,(select count(*) from t)); end;
        insert into t values(1,1),(2,2);
        insert into t(b) values(3);
        update t set b=b+3;
        update t set a=a+10 where a=1;
        delete from t where a=2;
        insert or replace into t values(3,33);
        pragma recursive_triggers=on;
        insert or replace into t values(3,333);
        delete from t;
        select * from log;
        insert into t values(9,9) on conflict(a) do update set b=b+1;
        insert into t values(9,9) on conflict(a) do update set b=b+1;
        select * from log;
        drop trigger bi;
        create trigger bi before insert on t when new.b='stop' begin select raise(ignore); end;
        insert into t values(20,'stop'),(21,'go');
        create trigger bi2 before insert on t when new.b='abort' begin select raise(abort,'no way'); end;
        create trigger bi3 before insert on t when new.b='fail' begin select raise(fail,'failing'); end;
        create trigger bi4 before insert on t when new.b='roll' begin select raise(rollback,'rolling'); end;
        insert into t values(30,'x'),(31,'abort');
        insert into t values(40,'x'),(41,'fail'),(42,'x');
        begin;
        insert into t values(50,'x');
        insert into t values(51,'roll');
        commit;
        select * from t;
        create trigger bd2 before delete on t when old.a=21 begin select raise(ignore); end;
        delete from t;
        select * from t;
        create trigger bu2 before update on t when new.b='ign' begin select raise(ignore); end;
        update t set b='ign';
        select * from log;
        """
    )


def test_programs_nest_count_their_own_changes_and_recur_only_when_asked() -> None:
    compare(
        """
        create table a(x integer primary key, y);
        create table b(x integer primary key, y);
        create trigger t1 after insert on a begin insert into b values(new.x,changes()); update b set y=y+100 where x<new.x; insert into b(y) values(changes()); end;
        insert into a values(1,1),(2,2),(3,3);
        select * from b;
        select last_insert_rowid(), changes();
        create trigger t2 after insert on b when new.x<20 begin insert into b values(new.x+10, last_insert_rowid()); end;
        insert into a values(7,7);
        select * from b;
        pragma recursive_triggers=on;
        insert into b values(8,8);
        select * from b;
        delete from b;
        create table r(n);
        create trigger rr after insert on r when new.n<50 begin insert into r values(new.n+1); end;
        insert into r values(1);
        select count(*) from r;
        pragma recursive_triggers=off;
        insert into r values(1);
        select count(*) from r;
        create trigger upd before update on a begin update a set y=y+1000 where x=old.x; end;
        update a set y=5 where x=1;
        select * from a;
        update a set x=x+100 where x=2;
        select * from a;
        drop trigger upd;
        create trigger upd2 before update on a begin delete from a where x=old.x; end;
        update a set y=6;
        select * from a;
        create trigger del2 before delete on b begin delete from b where x=old.x; end;
        insert into b values(1,1),(2,2);
        delete from b;
        create table o(k unique, v);
        create trigger oo before insert on o begin insert or ignore into o values(new.k, 'trig'); end;
        insert into o values(1,1);
        insert or replace into o values(1,1);
        insert or ignore into o values(2,2);
        select * from o;
        create table au(id integer primary key autoincrement, v);
        create trigger aut after insert on au begin insert into a(y) values(new.id); end;
        insert into au(v) values('a'),('b');
        select last_insert_rowid();
        select * from a;
        create trigger two after delete on r begin insert into log2 select old.n; end;
        create table log2(v);
        delete from r where n<5;
        select count(*) from log2;
        """
    )


def test_views_are_written_by_instead_of_triggers() -> None:
    compare(
        """
        create table t(a integer primary key,b text);
        create view v as select a, b, a*2 as c from t;
        create view v2(p,q) as select a,b from t;
        insert into v values(1,2,3);
        update v set a=1;
        delete from v;
        create trigger vi instead of insert on v begin insert into t values(new.a,new.b); end;
        create trigger vu instead of update on v begin update t set b=new.b||'/'||old.b||'/'||new.c where a=old.a; end;
        create trigger vd instead of delete on v begin delete from t where a=old.a; end;
        insert into v values(1,'x',9),(2,'y',9);
        insert into v(b,a) values('z',3);
        insert into v(b) values('w');
        insert into v(zz) values('w');
        insert into v values(1);
        insert into v select a+10,b,c from v;
        update v set b='new' where a<3;
        update v set c=77 where a=3;
        delete from v where a>10;
        insert into v default values;
        select * from v;
        update v set nope=1;
        create trigger v2u instead of update of q on v2 begin update t set b=new.q where a=new.p; end;
        update v2 set p=5;
        update v2 set q='Q' where p=1;
        insert into v2 values(1,2);
        select * from t;
        insert into v values(50,'r',1) returning a,b,c;
        delete from v where a=50 returning *;
        """
    )


def test_programs_nest_a_thousand_deep_and_no_deeper() -> None:
    frames = sys.getrecursionlimit()
    compare(
        """
        pragma recursive_triggers = on;
        create table r(n);
        create trigger again after insert on r when new.n <> 900 begin
          insert into r values(new.n + 1);
        end;
        insert into r values(1);
        select count(*) from r;
        insert into r values(901);
        select count(*) from r;
        """
    )
    assert sys.getrecursionlimit() == frames


def test_programs_end_with_their_session() -> None:
    """The programs of triggers refer to their session: a table of them outside of it kept it alive."""
    session = Session(open_memory())
    session.execute("CREATE TABLE t(a)")
    session.execute("CREATE TABLE log(a)")
    session.execute("CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO log VALUES(NEW.a); END")
    session.execute("INSERT INTO t VALUES(1)")
    session.close()
    reference = weakref.ref(session)
    del session
    gc.collect()
    assert reference() is None


def test_views_new_rows_have_their_columns_affinities() -> None:
    """An UPDATE's do, of an INSERT's the numbers of REAL columns."""
    types = ", ".join(f"typeof(new.{column})" for column in "abcdef")
    compare(
        f"""
        create table t(a text, b real, c integer, d);
        insert into t values('x',1.5,3,4),('y',2.5,5,6);
        create view v as select a,b,c,d,a||'' as e,c+0 as f from t;
        create table log(what,a,b,c,d,e,f);
        create trigger vu instead of update on v begin insert into log select 'u', {types}; end;
        create trigger vi instead of insert on v begin insert into log select 'i', {types}; end;
        update v set a=5; update v set b=5; update v set c='7'; update v set d='7'; update v set e=7, f='7';
        update v set b='5.0', c='4.0' where a='x';
        update v set a=x.z from (select 9 as z) x;
        insert into v values(1,2,'3','4',5,'6');
        insert into v(b,c) values('2','3'),(null,4),(2.5,5);
        insert into v select 1,2,'3','4',5,'6' union all select 1.0,2.0,3.0,4.0,5.0,6.0;
        select * from log;
        """
    )


def test_old_is_what_the_row_was_before_the_triggers_that_run_first() -> None:
    """An AFTER trigger saw as OLD what a BEFORE trigger had made of the row."""
    for options in ("", " without rowid"):
        compare(
            f"""
            create table t(id integer primary key, a, b, g as (a || b)){options};
            create table log(n integer primary key, w, x, y, z);
            create index t_a on t(a);
            create trigger b before update of b on t begin update t set a = a + 10 where id = new.id; end;
            create trigger f after update on t when old.a < 10
            begin insert into log(w, x, y, z) values(old.a, new.a, old.g, new.g); end;
            insert into t(id, a, b) values(1, 1, 1), (2, 2, 2), (3, null, 3);
            update t set b = b + 1;
            select * from t;
            select * from log;
            insert into t(id, a, b) values(4, 5, 5);
            insert into t(id, a, b) values(4, 5, 5) on conflict(id) do update set b = 7;
            update t set b = 0, id = id + 10 where id > 2;
            select * from t;
            select * from log;
            select id from t where a > 5 order by a;
            pragma integrity_check;
            """
        )
