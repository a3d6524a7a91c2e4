"""Foreign keys held to sqlite3."""

from __future__ import annotations

from tests.sql.dml_scripts import compare
from tests.sql.engines import same_answers


def test_actions_follow_every_change_of_a_parent() -> None:
    compare(
        """
        pragma foreign_keys=on;
        create table p(id integer primary key, u unique, v);
        create table c(id integer primary key, pid references p(id));
        insert into c values(1,5);
        insert into p values(1,'a',1),(2,'b',2);
        insert into c values(1,1),(2,null),(3,2);
        update c set pid=7 where id=1;
        update c set pid=2 where id=1;
        delete from p where id=2;
        delete from p where id=1;
        update p set id=9 where id=2;
        update p set v=9 where id=2;
        insert or replace into p values(2,'b',3);
        delete from c where pid=2;
        delete from p where id=2;
        create table cc(id, pu references p(u) on delete cascade on update cascade);
        insert into p values(1,'k',0),(2,'l',0);
        insert into cc values(1,'k'),(2,'l'),(3,'l');
        update p set u='kk' where id=1;
        select * from cc;
        delete from p where id=2;
        select * from cc;
        insert into cc values(4,'zz');
        create table cn(id, pu references p(u) on delete set null on update set null);
        insert into cn values(1,'kk');
        update p set u='kkk';
        select * from cn; select * from cc;
        insert into cn values(2,'kkk');
        delete from p;
        select * from cn; select * from cc;
        create table cd(id, pu default 'dflt' references p(u) on delete set default on update set default);
        insert into p values(1,'m',0),(2,'dflt',0);
        insert into cd values(1,'m');
        delete from p where u='m';
        select * from cd;
        delete from p;
        create table cr(id, pu references p(u) on delete restrict on update restrict);
        insert into p values(5,'r',1);
        insert into cr values(1,'r');
        delete from p where id=5;
        update p set u='rr' where id=5;
        update p set u='r' where id=5;
        update p set v=2 where id=5;
        """
    )


def test_deferred_self_referring_and_mismatched_keys_behave_as_in_sqlite() -> None:
    compare(
        """
        pragma foreign_keys=on;
        create table n(id integer primary key, parent references n(id) on delete cascade);
        insert into n values(1,null),(2,1),(3,2),(4,4);
        insert into n values(5,6),(6,5);
        insert into n values(9,8);
        delete from n where id=1;
        select * from n;
        delete from n where id=4;
        update n set parent=6 where id=6;
        delete from n;
        create table p(a,b,c,primary key(a,b));
        create table c(x,y,z, foreign key(x,y) references p(a,b) deferrable initially deferred);
        begin;
        insert into c values(1,1,1);
        commit;
        insert into p values(1,1,1);
        commit;
        begin;
        delete from p;
        select count(*) from p;
        commit;
        rollback;
        begin;
        delete from p;
        insert into p values(1,1,2);
        commit;
        begin;
        insert into c values(2,2,2);
        savepoint s;
        insert into p values(2,2,2);
        rollback to s;
        commit;
        delete from c where x=2;
        commit;
        insert into c values(null,5,5),(5,null,5);
        select * from c;
        create table m(a);
        create table mc(x references m(a));
        insert into mc values(1);
        insert into mc values(null);
        delete from m;
        insert into m values(1);
        create table nc(x references nowhere(a));
        insert into nc values(1);
        insert into nc values(null);
        delete from nc;
        create table mp(x references p);
        insert into mp values(1);
        pragma foreign_key_check;
        pragma foreign_keys=off;
        insert into c values(77,78,79);
        insert into n values(50,51);
        pragma foreign_key_check(n);
        pragma foreign_key_check(c);
        pragma foreign_keys=on;
        update c set z=80 where x=77;
        delete from c where x=77;
        create table s(t text primary key);
        create table sc(i int references s);
        insert into s values('1'),('x');
        insert into sc values(1);
        insert into sc values(2);
        create table sn(t text collate nocase primary key);
        create table snc(i text references sn on update cascade);
        insert into sn values('Abc');
        insert into snc values('aBC');
        update sn set t='ABC';
        select * from snc;
        update sn set t='zzz';
        select * from snc;
        begin;
        pragma defer_foreign_keys=on;
        delete from sn;
        commit;
        rollback;
        drop table sn;
        drop table snc;
        drop table sn;
        """
    )


def test_actions_and_triggers_work_together() -> None:
    compare(
        """
        pragma foreign_keys=on;
        create table p(id integer primary key);
        create table c(id integer primary key, p references p on delete cascade);
        create table g(id integer primary key, c references c on delete set null);
        create table log(t,x);
        create trigger cd after delete on c begin insert into log values('c',old.id); end;
        create trigger gu after update on g begin insert into log values('g',old.c||'>'||coalesce(new.c,'null')); end;
        insert into p values(1),(2);
        insert into c values(10,1),(11,1),(12,2);
        insert into g values(100,10),(101,11),(102,12);
        delete from p where id=1;
        select * from log; select * from g;
        replace into p values(2);
        select * from c; select * from log;
        insert into c values(20,2);
        insert into c values(21,99);
        insert or ignore into c values(22,99),(23,2);
        insert into c values(24,2),(25,99),(26,2);
        update or ignore c set p=99;
        update p set id=3;
        create trigger pd before delete on p begin delete from c where p=old.id; end;
        delete from p;
        select * from c;
        create table a(id primary key, o references b(id) deferrable initially deferred);
        create table b(id primary key, o references a(id) deferrable initially deferred);
        begin; insert into a values(1,2); insert into b values(2,1); commit;
        begin; delete from a; delete from b; commit;
        create table self(id integer primary key, s references self on update cascade);
        insert into self values(1,1),(2,1);
        update self set id=10 where id=1;
        select * from self;
        update self set id=id+1;
        select * from self;
        drop table p;
        drop table c;
        """
    )


def test_violations_of_a_dropped_parent_go_with_their_table_as_in_sqlite() -> None:
    compare(
        """
        pragma foreign_keys=on;
        create table p(a, b, primary key(a, b));
        create table q(id integer primary key);
        create table c(x, y, foreign key(x, y) references p deferrable initially deferred);
        create table d(id integer primary key references q deferrable initially deferred, n) ;
        create table e(k primary key, x references q deferrable initially deferred) without rowid;
        create table f(n, x as (n + 1) references q deferrable initially deferred);
        insert into p values(1,1),(2,2);
        insert into q values(1),(2),(3);
        insert into c values(1,1),(2,2),(null,1),(1,null);
        insert into d values(1,'a'),(3,'c');
        insert into e values('k',2),('l',null);
        insert into f(n) values(0),(null);
        begin;
        drop table p;
        commit;
        drop table c;
        commit;
        begin;
        drop table q;
        drop table d;
        commit;
        drop table e;
        commit;
        drop table f;
        commit;
        select name from sqlite_schema;
        """
    )


def test_what_an_action_changes_it_changes_under_abort() -> None:
    """ON CONFLICT clauses of the child's constraints, and of what its triggers do, held for SET NULL and CASCADE as well."""
    same_answers(
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE p (id INTEGER PRIMARY KEY)",
        "INSERT INTO p VALUES (0), (1), (2), (3), (4), (5)",
        "CREATE TABLE tot (g PRIMARY KEY, n)",
        "CREATE TABLE q (id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE SET NULL)",
        "CREATE TABLE d (id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE)",
        "CREATE TRIGGER g0 AFTER UPDATE ON q BEGIN INSERT OR IGNORE INTO tot VALUES (OLD.p, OLD.id); END",
        "CREATE TRIGGER g1 AFTER DELETE ON d BEGIN INSERT OR REPLACE INTO tot VALUES (OLD.p, OLD.id); END",
        "INSERT INTO q VALUES (1, 1), (2, 1)",
        "INSERT INTO d VALUES (1, 2), (2, 2)",
        "DELETE FROM p WHERE id = 1",
        "DELETE FROM p WHERE id = 2",
        "SELECT * FROM tot",
        "CREATE TABLE n (p NOT NULL ON CONFLICT REPLACE DEFAULT 0 REFERENCES p ON DELETE SET NULL)",
        "INSERT INTO n VALUES (3)",
        "DELETE FROM p WHERE id = 3",
        "CREATE TABLE r (p UNIQUE ON CONFLICT REPLACE DEFAULT 0 REFERENCES p ON DELETE SET DEFAULT ON UPDATE CASCADE)",
        "INSERT INTO r VALUES (4), (0)",
        "DELETE FROM p WHERE id = 4",
        "UPDATE OR REPLACE p SET id = 4 WHERE id = 0",
        "UPDATE p SET id = 6 WHERE id = 4",
        "SELECT * FROM r",
        "SELECT * FROM n",
        "SELECT * FROM p",
    )
