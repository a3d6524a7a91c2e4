"""Writing statements held to sqlite3: rows, messages, counters, tables."""

from __future__ import annotations

from tests.sql.dml_scripts import compare


def test_columns_and_values_are_counted_and_matched_as_sqlite_does() -> None:
    compare(
        """
        create table t(a,b,c);
        insert into t values(1,2);
        insert into t(a,b) values(1);
        insert into t(a,zz) values(1,2);
        insert into t(a,a) values(1,2);
        insert into t(rowid,a) values(5,6);
        insert into t values(1,2,3),(1,2);
        insert into t select 1,2;
        insert into t(a) select 1,2;
        insert into t(rowid,rowid,a) values(8,9,1);
        insert into t(oid,a) values('12',1);
        insert into t(oid,a) values('x',1);
        insert into t(_rowid_,a) values(null,1);
        insert into t(_rowid_,a) values(20.0,1);
        insert into t default values;
        insert into nope values(1);
        insert into sqlite_master values(1);
        update nope set a=1;
        delete from nope;
        update t set zz=1;
        update t set a=1,a=2 where b=2;
        update t set (a,b)=(select 1,2,3);
        update t set (a,b)=(select 1,2) where rowid=5;
        update t set (a,b)=(1,2) where c is null;
        update t set a=(1,2);
        update t set rowid=100 where rowid=5;
        update t set oid=null where rowid=100;
        update t set a=b, b=a;
        delete from t where rowid in (1,2);
        insert into t values(1,2,3) returning *;
        insert into t values(1,2,3),(4,5,6) returning rowid, a+b as s, c "x y", 'k';
        update t set a=a+1 where c in (3,6) returning a, b, *;
        delete from t where c=6 returning *, rowid;
        delete from t;
        insert into t select 1,2,3 union all select 4,5,6;
        insert into t select * from t;
        insert into t select a+10,b,c from t where a=1 returning a;
        with w(x) as (values(1),(2)) insert into t(a) select x from w;
        with w(x) as (values(1),(2)) update t set b=99 where a in (select x from w);
        with w(x) as (values(1),(2)) delete from t where a in (select x from w);
        """
    )


def test_rowids_are_chosen_checked_and_replaced() -> None:
    compare(
        """
        create table t(a integer primary key,b unique);
        insert into t values(1,1);
        insert into t values(1,1);
        insert into t values('x',1);
        insert into t(a,b) values(2.0,7);
        insert into t values('3',9);
        insert into t values(x'31',10);
        update t set a=9223372036854775807 where a=3;
        insert into t values(2.5,1);
        update t set a='zz';
        update t set a=null;
        update t set a=2 where a=1;
        update t set a=a+1 where a<10;
        update or replace t set a=2 where b=1;
        update or ignore t set b=7;
        insert or replace into t values(50,1);
        insert or replace into t values(50,7),(51,7);
        insert or ignore into t values(50,3),(60,3),(61,3);
        insert or fail into t values(70,70),(71,71),(70,3),(90,90);
        insert or abort into t values(80,80),(81,81),(70,3),(90,90);
        begin;
        insert into t values(1000,1000);
        insert or rollback into t values(1001,1000);
        commit;
        begin;
        insert or fail into t values(1100,1100),(1000,1),(1101,1);
        insert or abort into t values(1200,1200),(1201,1100);
        commit;
        insert into t(rowid,b) values(-5,-5);
        insert into t(rowid,a,b) values(-6,-7,-8);
        insert into t(a,rowid,b) values(-9,-10,-11);
        delete from t where a>100;
        insert into t(b) values(12345);
        """
    )


def test_tables_without_rowid_are_written_by_their_primary_key() -> None:
    compare(
        """
        create table t(a int primary key,b not null) without rowid;
        insert into t values(1,null);
        insert into t values(null,null);
        insert into t values(1,1),(1,2);
        insert into t default values;
        insert into t(rowid) values(1);
        insert into t values(3,1),(2,5),(1,9);
        select * from t;
        update t set a=a+1;
        update t set a=10 where a=3;
        update or replace t set a=10 where a=2;
        replace into t values(10,'x');
        select * from t;
        create table u(a text collate nocase, b, c unique, primary key(b,a)) without rowid;
        insert into u values('A',1,1),('B',1,2);
        insert into u values('a',1,3);
        insert or replace into u values('a',1,3);
        insert or replace into u values('zz',7,3);
        insert into u values('q',1,2);
        update u set c=c+100;
        update u set a='b' where b=1;
        delete from u where b=1 returning *;
        select * from u;
        insert into u values('s',8,null),('t',8,null);
        insert into u(a,b) select a||'x', b from u;
        """
    )


def test_updates_and_deletes_find_their_rows_by_any_query() -> None:
    compare(
        """
        create table t(a integer primary key,b,c);
        create table s(x,y);
        insert into t values(1,1,1),(2,2,2),(3,3,3);
        insert into s values(1,'p'),(2,'q'),(2,'r'),(9,'z');
        update t set b=y from s where a=x;
        select * from t;
        update t set c=s.y||s2.y from s join s as s2 on s.x=s2.x where t.a=s.x;
        update t as tt set b=tt.c from s where tt.a=s.x returning a,b;
        update t set b=v.n from (select x, count(*) n from s group by x) v where v.x=t.a;
        update t set a=a+10 from s where s.x=a;
        update t set b=1 limit 1;
        update t set b='lim' where a>0 order by a desc limit 2;
        update t set b='off' order by a limit 1 offset 1;
        delete from t order by a desc limit 1;
        delete from t where a>0 order by a limit 1 offset 1;
        select * from t;
        update t set b=(select max(y) from s), c=(select count(*) from t);
        update t set c=c+(select sum(a) from t);
        delete from t where a not in (select x from s);
        update t set b=(select y from s where x=t.a);
        delete from s where exists(select 1 from t where a=x);
        create index sx on s(x);
        create table big(a integer primary key, b, c);
        with recursive r(i) as (select 1 union all select i+1 from r where i<300) insert into big select i, i%10, i*2 from r;
        create index bb on big(b,c);
        update big set c=c+1;
        update big set b=b+1 where a%3=0;
        update big set a=a+1000 where a%2=0;
        update big set a=-a;
        delete from big where b=4;
        delete from big where a<-1100 or c>500;
        insert into big select a+5000,b,c from big;
        select count(*),sum(a),sum(b),sum(c) from big;
        select b,count(*) from big group by b;
        """
    )


def test_conflicts_are_turned_into_updates() -> None:
    compare(
        """
        create table t(k integer primary key, a unique, b, c default 0);
        insert into t values(1,'x',1,0) on conflict(k) do update set b=excluded.b+100;
        insert into t values(1,'y',2,0) on conflict(k) do update set b=excluded.b+100;
        insert into t values(1,'y',2,0) on conflict(k) do nothing;
        insert into t values(2,'x',2,0) on conflict(k) do nothing;
        insert into t values(2,'x',2,0) on conflict(a) do update set c=c+1, b=excluded.b returning *;
        insert into t values(2,'x',2,0) on conflict do nothing;
        insert into t values(3,'x',2,0) on conflict do update set c=c+1;
        insert into t values(4,'x',9,0) on conflict(a) do update set c=c+1 where excluded.b>100;
        insert into t values(4,'z',9,0),(5,'z',10,0),(4,'x',11,0) on conflict(a) do update set b=excluded.b on conflict(k) do update set b=-excluded.b;
        insert into t values(4,'q',9,0) on conflict(a) do nothing;
        insert into t(a) values('x') on conflict(a) do update set k=k+100;
        insert into t(a) values('x') on conflict(a) do update set (b,c)=(7,8);
        insert into t(a) values('x') on conflict(a) do update set (b,c)=(select 17,max(k) from t);
        insert into t(a) values('x') on conflict(b) do nothing;
        insert into t(a) values('x') on conflict(a) do update set zz=1;
        insert into t as tt(a,b) values('x',55) on conflict(a) do update set b=tt.b+excluded.b;
        insert into t(a) select 'x' where true on conflict(a) do update set a='new';
        insert into t(a,b) values('new',1),('new',2),('new2',3),('new2',4) on conflict(a) do update set b=coalesce(t.b,0)+1 returning k,a,b;
        create table u(x collate nocase, y, z, unique(x,y));
        create unique index uz on u(z) where z>10;
        create unique index ue on u(y+0);
        insert into u values('a',1,1),('b',2,11);
        insert into u values('A',1,5) on conflict(x,y) do update set z=excluded.z;
        insert into u values('A',1,5) on conflict(y,x) do update set z=excluded.z+1;
        insert into u values('q',9,11) on conflict(z) where z>10 do update set x='hit';
        insert into u values('q',9,11) on conflict(z) do update set x='hit';
        insert into u values('q',2,99) on conflict(y+0) do update set x='expr';
        select * from u;
        create table w(a,b,primary key(a,b)) without rowid;
        insert into w values(1,1) on conflict do nothing;
        insert into w values(1,1) on conflict do nothing;
        insert into w values(1,1) on conflict(b,a) do update set b=b+1;
        insert into w values(1,2),(1,2) on conflict(b,a) do update set b=excluded.b+1;
        select * from w;
        insert or ignore into t(k,a) values(1,'new') on conflict(a) do update set b='or';
        insert or replace into t(k,a) values(4,'new') on conflict(a) do update set b='or2';
        select * from t;
        """
    )


def test_autoincrement_never_gives_a_rowid_twice() -> None:
    compare(
        """
        create table t(a integer primary key autoincrement, b unique);
        insert into t(b) values(1),(2);
        delete from t;
        insert into t(b) values(3);
        insert into t values(100,4);
        delete from t where a=100;
        insert into t(b) values(5);
        insert or ignore into t(b) values(5);
        insert into t(b) values(6);
        insert into t(b) values(6);
        insert into t(b) values(7);
        update t set a=500 where b=7;
        insert into t(b) values(8);
        select * from sqlite_sequence;
        update sqlite_sequence set seq=1000;
        insert into t(b) values(9);
        delete from sqlite_sequence;
        insert into t(b) values(10);
        select * from sqlite_sequence;
        insert into t values(9223372036854775807,11);
        insert into t(b) values(12);
        insert into t values(-5,13);
        select * from sqlite_sequence;
        create table v(a integer primary key autoincrement, b);
        insert into v(b) select b from t;
        insert into v values(-10,0);
        select * from sqlite_sequence;
        """
    )


def test_returning_gives_the_rows_as_written() -> None:
    compare(
        """
        create table t(a integer primary key, b default 'd');
        insert into t default values returning *;
        insert into t(b) values('x'),('y') returning a as id, upper(b), (select count(*)*0 from t);
        insert into t values(1,'z') on conflict do nothing returning *;
        insert into t values(1,'z') on conflict(a) do update set b=excluded.b returning *;
        update t set b=b||'!' returning a, b, old.b;
        update t set b=b||'!' returning t.a, t.b, rowid, oid;
        delete from t where a=1 returning a, t.b;
        insert or ignore into t values(2,'q'),(9,'q') returning *;
        insert or replace into t values(2,'q') returning *;
        insert into t values(20,1) returning t.*;
        insert into t values(21,1) returning nope;
        update t set a=a+1 where a=9 returning a;
        update t as q set b='al' where a=10 returning q.b;
        update t as q set b='al' where a=10 returning t.b;
        insert into t as z values(30,1) returning z.a;
        """
    )


def test_temporary_tables_are_written_beside_the_database() -> None:
    compare(
        """
        create temp table tt(a integer primary key,b unique);
        insert into tt values(1,1),(2,2);
        insert into tt values(3,1);
        create table m(a,b);
        insert into m select * from tt;
        create temp trigger tr after insert on m begin insert into tt(b) values(new.a*100); end;
        insert into m values(5,5);
        select * from tt; select * from m;
        update tt set b=b+1;
        delete from tt where a=1;
        insert into main.m values(9,9);
        insert into temp.tt values(50,50);
        """
    )


def test_a_table_of_keys_and_values_is_upserted() -> None:
    compare(
        """
        create table kv2(key primary key, value);
        insert into kv2 values('a',1);
        insert or replace into kv2 values('a',2),('b',3);
        insert into kv2 values('a',5) on conflict(key) do update set value=excluded.value+value;
        select * from kv2;
        """
    )
