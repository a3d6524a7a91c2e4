"""Triggers of many rows, which run when all rows are written if nobody can tell: held to sqlite3."""

from __future__ import annotations

import random

import pytest

from sql.dml import triggers
from tests.sql.dml_scripts import compare

SCHEMA = """
    create table t(id integer primary key, g int, name text unique, v real);
    create index t_g on t(g);
    create table log(id integer primary key, what text default 'x', rid int, x);
    create index log_x on log(x) where x > 2;
    create table n(g integer primary key, c int check(c < {limit}), names text default '');
    create table u(name text primary key, c int);
    create table w(name text primary key, c int) without rowid;
    insert into n(g, c) values(0, 0), (1, 0), (2, 0), (3, 0);
    insert into t values(100, 1, 'h', 2);
"""

BODIES = (
    "insert into log(what, rid, x) values('a', {row}.id, {row}.g);",
    "insert into log(rid, x) values({row}.id, {row}.v), ({row}.g, null);",
    "insert into log(id, rid) values({row}.id, {row}.g);",
    "insert or ignore into u values({row}.name, {row}.id);",
    "replace into u values({row}.g, {row}.id);",
    "insert into w values({row}.g, 1) on conflict(name) do update set c = c + 1;",
    "insert into w values({row}.g, 1) on conflict(name) do update set c = c * 2 + {row}.id where c < {row}.id;",
    "insert into w values({row}.name, 1);",
    "update n set c = c + 1, names = names || {row}.id where g = {row}.g;",
    "update n set c = c + 1 where c < {row}.g;",
    "update u set c = c + {row}.id where name = {row}.name;",
    "update or ignore u set name = {row}.name where c = {row}.id;",
    "delete from w where name = {row}.name;",
    "delete from log where rid = {row}.id;",
    "insert into log(rid) values((select count(*) from t));",
    "insert into log(rid) values(last_insert_rowid());",
    "update n set names = names || changes();",
    "update t set v = v + 1 where id = {row}.id and v < 5;",
    "delete from log where x > {row}.g and rid in (select id from t);",
    "select raise(ignore) where {row}.v = 3;",
    "select raise(abort, 'no') where {row}.v > 8;",
)


REFUSALS = (
    "select raise(abort, 'no') where {row}.v > 8;",
    "select case when {row}.g > 3 then raise(ignore) when {row}.v = 7 then raise(fail, 'f') end;",
    "select raise(rollback, 'back') where {row}.id = 40;",
    "select raise(abort, 'chosen') where {row}.id = -1 and {row}.v = 6;",
    "select {row}.name || 'x', abs({row}.v);",
    "select raise(abort, 'count') from n where g = {row}.g and c > 2;",
)


def statement(chosen: random.Random) -> str:
    """A statement that writes some rows."""
    g, v = chosen.randrange(4), chosen.randrange(10)
    conflict = chosen.choice(("", "", "", " or ignore", " or replace", " or fail"))
    rows = []
    for _ in range(chosen.choice((3, 9, 15))):
        number = chosen.choice(("null", chosen.randrange(60)))
        name = chosen.choice(("null", f"'k{chosen.randrange(40)}'"))
        rows.append(f"({number}, {chosen.randrange(5)}, {name}, {chosen.randrange(9)})")
    several = ", ".join(rows)
    return chosen.choice(
        (
            f"insert{conflict} into t values{several}",
            f"insert{conflict} into t values{several} returning id, v",
            f"insert into t values{several} on conflict(id) do update set v = 1",
            f"insert{conflict} into t(g, name, v) select (g + 1) % 3, null, v + 1 from t",
            f"insert into t(g, v) select c, {v} from n union all select x, 1 from log",
            f"update{conflict} t set v = {v}",
            f"update{conflict} t set g = (g + 1) % 4, v = v + 0.5 where g <> {g}",
            f"update{conflict} t set name = 'm' || (id % 12) where v > {v}",
            f"update t set name = null, g = (select max(c) from n) where g < {g} returning *",
            f"update t set id = id + 1000 where g = {g}",
            f"delete from t where g = {g}",
            f"delete from t where id % 3 = {g} returning id",
            "delete from t where v in (select x from log)",
        )
    )


@pytest.mark.parametrize("seed", range(150))
def test_many_rows_and_their_triggers(seed: int) -> None:
    chosen = random.Random(seed)
    script = [SCHEMA.format(limit=chosen.choice((4, 30, 1000)))]
    for number in range(chosen.randrange(1, 4)):
        event = chosen.choice(("insert", "insert", "update", "update of v, g", "delete"))
        row = (
            "old"
            if event == "delete"
            else chosen.choice(("new", "new", "old"))
            if "up" in event
            else "new"
        )
        when = chosen.choice(
            ("", "", f"when {row}.g > 0", f"when {row}.id > 57", f"when {row}.v < (select 4)")
        )
        texts = BODIES if chosen.random() < 0.4 else BODIES[:14]
        timing = chosen.choice(("after", "after", "before"))
        if timing == "before" and chosen.random() < 0.8:
            texts = REFUSALS
        body = [text.format(row=row) for text in chosen.sample(texts, chosen.randrange(1, 4))]
        script.append(
            f"create trigger x{number} {timing} {event} on t {when} begin {' '.join(body)} end;"
        )
    script += [statement(chosen) + ";" for _ in range(12)]
    compare("\n".join(script))


def test_which_triggers_wait_until_all_rows_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[bool] = []
    run = triggers.fire_for_all

    def noted(*arguments: object) -> bool:
        done.append(run(*arguments))  # type: ignore[arg-type]
        return done[-1]

    for kind in ("insert", "update", "delete"):
        monkeypatch.setattr(f"sql.dml.{kind}.fire_for_all", noted)
    rows = "select value from (with recursive c(value) as (select 1 union all select value + 1 from c where value < 20) select * from c)"
    compare(
        f"""
        create table t(a integer primary key, b);
        create table log(a, b);
        create table n(a integer primary key, c);
        insert into n values(0, 0), (1, 0);
        create trigger i after insert on t begin
            insert into log values(new.a, new.b); update n set c = c + 1 where a = new.a % 2; end;
        create trigger u after update on t when new.b > 3 begin insert into log values(old.b, new.b); end;
        create trigger d after delete on t begin update n set c = c - 1 where a = old.a % 2; end;
        insert into t(b) {rows};
        update t set b = b + 1;
        delete from t where a > 5;
        select * from log;
        create trigger i2 after insert on t begin insert into log values(new.a, 0); end;
        insert into t(b) {rows};
        drop trigger i2;
        create unique index log_a on log(a) where b = 500;
        create trigger i3 after insert on t when new.b = 20 begin update n set a = 0; end;
        insert into t(b) {rows};
        drop trigger i3;
        create trigger b before insert on t when new.b > 20 or new.a > 0 begin select raise(abort, 'large'); end;
        create trigger b2 before insert on t begin
            select case when new.b is null then raise(abort, 'null') when new.b < 0 then raise(ignore) end; end;
        create trigger b3 before update on t when new.b < 0 begin insert into n values(new.b, 0); end;
        create trigger b4 before delete on t begin insert into log values(old.a, old.b); end;
        insert into t(b) select null from ({rows});
        insert into t(b) {rows};
        update t set b = abs(b);
        update t set b = 10 - b;
        update t set b = 10 + abs(b);
        delete from t where b > 12;
        """
    )
    assert done == [True, True, True, False, False, False, True, True, False, True, False]


@pytest.mark.parametrize("event", ["insert", "update", "delete"])
def test_what_a_program_inserts_of_many_rows(event: str) -> None:
    """Computed for all of them at once, also where expressions have parts that are named before they are used."""
    row = "old" if event == "delete" else "new"
    values = [
        f"upper({row}.name) || date('2020-01-01'), {row}.rowid, coalesce({row}.v, 0) / 2",
        f"case {row}.g when 1 then 'one' when 2 then {row}.name else typeof({row}.v) end, {row}._rowid_, {row}.g in (1, 3)",
        f"{row}.name like 'k1%' or {row}.g between 1 and {row}.v, abs({row}.id - 20), round({row}.v * {row}.g, 1)",
    ]
    if event == "update":
        values.append("old.name || new.name, new.id - old.id, new.v - old.v")
    body = " ".join(
        f"insert into log{at}(what, rid, x) values({of});" for at, of in enumerate(values)
    )
    tables = "".join(
        f"create table log{at}(id integer primary key, what, rid int, x);"
        for at in range(len(values))
    )
    names = ["null" if n % 7 == 0 else f"'k{n}'" for n in range(41)]
    rows = ", ".join(f"({n}, {n % 4}, {names[n]}, {n / 4})" for n in range(1, 41))
    compare(
        f"""
        create table t(id integer primary key, g int, name text unique, v real);
        {tables}
        create trigger x after {event} on t begin {body} end;
        insert into t values{rows};
        update t set v = v + 1.5, name = name || g where g <> 2;
        delete from t where g < 3;
        """
    )
