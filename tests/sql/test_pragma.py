"""PRAGMAs and their table-valued functions, held to sqlite3 where the answer is not about files."""

from __future__ import annotations

import pytest

from tests.sql.engines import EngineError, KvshEngine, SqliteEngine

SCHEMA = [
    "create table p(a integer primary key, b text not null default 'x', c int unique,"
    " d as (c+1) stored, e generated always as (c+2), f default word, g default (1+1),"
    " foreign key(b) references q(z) on delete cascade, foreign key(c, a) references r)",
    "create table w(a, b, c, primary key(b, a)) without rowid",
    "create index i on p(b desc, c+1) where c>1",
    "create view v as select * from p",
    "create view v2(x, y) as select a, b || 'x' from p",
    "create unique index j on w(a)",
    "create table s(a int) strict",
    "create temp table tt(x)",
    "create table q(z text primary key)",
]


def engines() -> tuple[KvshEngine, SqliteEngine]:
    ours, theirs = KvshEngine(), SqliteEngine()
    for statement in SCHEMA:
        ours.execute(statement)
        theirs.execute(statement)
    return ours, theirs


@pytest.mark.parametrize(
    "query",
    [
        "pragma table_info(p)",
        "pragma table_info(v)",
        "pragma table_info('v2')",
        "pragma table_xinfo(p)",
        "pragma table_info(nope)",
        "pragma table_info",
        "pragma temp.table_info(tt)",
        "pragma main.table_info(tt)",
        "pragma table_list(p)",
        "pragma index_list(p)",
        "pragma index_list(w)",
        "pragma index_list(v)",
        "pragma index_info(i)",
        "pragma index_xinfo(i)",
        "pragma index_info(sqlite_autoindex_p_1)",
        "pragma index_xinfo(sqlite_autoindex_w_1)",
        "pragma index_xinfo(j)",
        "pragma index_info(nope)",
        "pragma foreign_key_list(p)",
        "pragma foreign_key_list(nope)",
        "pragma foreign_keys",
        "pragma database_list",
        "pragma collation_list",
        "pragma user_version",
        "pragma main.application_id",
        "pragma zz.user_version",
        "pragma encoding",
        "pragma recursive_triggers",
        "pragma nope",
        "pragma nope = 1",
        "pragma nope(2)",
        "pragma locking_mode",
        "pragma freelist_count",
        "pragma busy_timeout",
        "pragma busy_timeout = 100",
        "select * from pragma_table_info('p')",
        "select name, arg, schema from pragma_table_info('p')",
        "select t.name, i.name from pragma_table_list t, pragma_index_list(t.name) i"
        " where t.schema = 'main' order by 1, 2",
        "select * from pragma_user_version",
        "select * from pragma_nope",
        "select name from pragma_table_list order by 1",
    ],
)
def test_a_pragma_answers_as_in_sqlite(query: str) -> None:
    ours, theirs = engines()
    try:
        expected = theirs.execute(query)
    except EngineError as error:
        with pytest.raises(EngineError) as raised:
            ours.execute(query)
        assert str(raised.value) == str(error)
        return
    assert ours.execute(query) == expected
    assert ours.columns == theirs.columns


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("user_version", ["5", "'7'", "abc", "-3", "2147483648"]),
        ("application_id", ["99", "-1"]),
        ("foreign_keys", ["1", "off", "yes", "maybe", "on", "false", "true"]),
        ("recursive_triggers", ["on", "0"]),
        ("query_only", ["1", "0"]),
        ("cache_size", ["100", "-2000"]),
    ],
)
def test_a_setting_is_read_back(name: str, values: list[str]) -> None:
    ours, theirs = KvshEngine(), SqliteEngine()
    for value in values:
        for engine in (ours, theirs):
            engine.execute(f"pragma {name} = {value}")
        assert ours.execute(f"pragma {name}") == theirs.execute(f"pragma {name}")


def test_user_version_belongs_to_the_transaction() -> None:
    engine = KvshEngine()
    engine.execute("begin")
    engine.execute("pragma user_version = 3")
    assert engine.execute("pragma user_version") == [(3,)]
    engine.execute("rollback")
    assert engine.execute("pragma user_version") == [(0,)]


def test_foreign_keys_cannot_be_changed_within_a_transaction() -> None:
    engine = KvshEngine()
    engine.execute("begin")
    engine.execute("pragma foreign_keys = on")
    assert engine.execute("pragma foreign_keys") == [(0,)]


def test_the_schemas_version_counts_changes() -> None:
    engine = KvshEngine()
    before = engine.execute("pragma schema_version")[0][0]
    engine.execute("create table t(a)")
    assert engine.execute("pragma schema_version")[0][0] > before


def test_every_listed_pragma_can_be_read() -> None:
    engine = KvshEngine()
    names = [name for (name,) in engine.execute("pragma pragma_list")]
    assert {"table_info", "integrity_check", "user_version"} <= set(names)
    for name in names:
        answer = engine.execute(f"pragma {name}")
        assert all(len(row) == len(answer[0]) for row in answer), name


@pytest.mark.parametrize(
    "table",
    [
        "t(a INTEGER PRIMARY KEY, b UNIQUE, c UNIQUE) WITHOUT ROWID",
        "t(a INTEGER, b UNIQUE, PRIMARY KEY(a), UNIQUE(b, a)) WITHOUT ROWID",
        "t(a INT PRIMARY KEY, b UNIQUE) WITHOUT ROWID",
        "t(a INTEGER PRIMARY KEY DESC, b UNIQUE) WITHOUT ROWID",
        "t(a INTEGER UNIQUE PRIMARY KEY, b UNIQUE) WITHOUT ROWID",
        "t(b UNIQUE, a INTEGER PRIMARY KEY ON CONFLICT REPLACE, c UNIQUE) WITHOUT ROWID",
        "t(a PRIMARY KEY ON CONFLICT REPLACE, b UNIQUE ON CONFLICT REPLACE, c UNIQUE)",
    ],
)
def test_indexes_of_constraints_have_the_names_and_the_order_of_sqlite(table: str) -> None:
    ours, theirs = KvshEngine(), SqliteEngine()
    for statement in (
        f"CREATE TABLE {table}",
        "CREATE INDEX i ON t(b)",
        "PRAGMA index_list(t)",
        "PRAGMA index_info(sqlite_autoindex_t_1)",
        "PRAGMA index_info(sqlite_autoindex_t_2)",
        "SELECT name FROM sqlite_master ORDER BY 1",
    ):
        assert ours.execute(statement) == theirs.execute(statement)
    ours.close()
    theirs.close()
