"""Statements with programs that fail after some of their rows were written: nothing of them stays, but for OR FAIL."""

from __future__ import annotations

import random

import pytest

from tests.sql.dml_scripts import compare

SCHEMA = """
    create table t(id integer primary key, g int, name text unique, v real);
    create index t_g on t(g);
    create table log(id integer primary key, what text, rid int unique, x);
    create index log_x on log(x) where x > 2;
    create table n(g integer primary key, c int check(c < 4), names text);
    create table w(name text primary key, c int) without rowid;
    insert into n values(0, 0, ''), (1, 0, ''), (2, 0, '');
    insert into log(what) values('first');
    create table k(id integer primary key, tid int references t on delete cascade on update cascade, z int);
    create index k_tid on k(tid);
"""

BODIES = (
    "insert into log(what, rid, x) values('a', {row}.id, {row}.g);",
    "insert into log(what, rid, x) values('b', {row}.id % 3, {row}.v);",
    "insert or ignore into log(what, rid, x) values('c', {row}.id % 3, {row}.v);",
    "update n set c = c + 1, names = names || coalesce({row}.name, '-') where g = {row}.g;",
    "update n set c = c - 1 where names > '' and g <> {row}.g;",
    "insert into w values({row}.name, 1) on conflict(name) do update set c = c + 1;",
    "replace into w values({row}.g, {row}.id);",
    "insert into w values({row}.id % 4, 0);",
    "delete from w where name = {row}.name;",
    "delete from log where rid = {row}.id;",
    "delete from log where x > {row}.g;",
    "insert into k(tid, z) values({row}.id, {row}.g);",
    "update k set z = z + 1 where tid = {row}.id;",
    "update t set v = v + 1 where id = {row}.id and v < 5;",
    "insert into log(what, rid, x) select 'd', 100 + id, g from t where g = {row}.g;",
    "select raise(ignore) where {row}.v = 3;",
    "select raise(abort, 'no') where {row}.v > 8;",
    "select raise(fail, 'failing') where {row}.v = 7;",
    "select raise(rollback, 'rolling') where {row}.v = 6 and {row}.g = 2;",
)


def statement(chosen: random.Random) -> str:
    """A writing statement."""
    number, g, v = chosen.randrange(9), chosen.randrange(3), chosen.randrange(10)
    name = chosen.choice(("'a'", "'b'", "'c'", "null"))
    conflict = chosen.choice(("", "", "", " or ignore", " or replace", " or fail"))
    return chosen.choice(
        (
            f"insert{conflict} into t values({number}, {g}, {name}, {v})",
            f"insert{conflict} into t(g, name, v) values({g}, {name}, {v})",
            f"insert{conflict} into t values({number}, {g}, {name}, {v}), ({number} + 1, {g}, null, {v})",
            f"insert into t select id + 10, g, null, v from t where g = {g}",
            f"update{conflict} t set v = {v} where id = {number}",
            f"update{conflict} t set g = {g}, name = {name} where id = {number}",
            f"update{conflict} t set g = (g + 1) % 3, v = v + 1 where g = {g}",
            f"update t set v = v + 1 where name = {name}",
            f"update{conflict} t set id = {number} where id = {number} + 1",
            f"delete from t where id = {number}",
            f"delete from t where g = {g}",
            f"delete from t where name = {name}",
            f"insert into t values({number}, {g}, {name}, {v}) on conflict(id) do update set v = v + 1",
            f"insert into k(tid, z) values({number}, {g})",
        )
    )


@pytest.mark.parametrize("seed", range(150))
def test_what_fails_half_way_is_taken_back(seed: int) -> None:
    chosen = random.Random(seed)
    script = [SCHEMA]
    if chosen.random() < 0.5:
        script.append("pragma foreign_keys = on;")
    if chosen.random() < 0.2:
        script.append("pragma recursive_triggers = on;")
    for number in range(chosen.randrange(1, 4)):
        event = chosen.choice(("insert", "update", "delete"))
        row = "old" if event == "delete" else "new"
        when = chosen.choice(("", "", f"when {row}.g > 0"))
        body = [text.format(row=row) for text in chosen.sample(BODIES, chosen.randrange(1, 4))]
        timing = chosen.choice(("after", "after", "after", "before"))
        script.append(
            f"create trigger x{number} {timing} {event} on t {when} begin {' '.join(body)} end;"
        )
    for number in range(40):
        if number in (10, 25):
            script.append("begin;")
        if number in (20, 35):
            script.append("commit;")
        script.append(statement(chosen) + ";")
    text = "\n".join(script)
    if seed % 3 == 0:
        # Which numbers have been used is kept as well; OR FAIL leaves others in sqlite3, where triggers note them later.
        text = text.replace(
            "log(id integer primary key,", "log(id integer primary key autoincrement,"
        )
        text = text.replace(" or fail", "").replace("raise(fail", "raise(abort")
    compare(text)
