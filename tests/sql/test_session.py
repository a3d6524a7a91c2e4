"""Sessions: transactions, savepoints, snapshots of results, parameters, and the raw key space."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from btree import RAW_TREE_ID, BusyError, ConflictError, ReadOnlyError, open_memory, open_store
from sql import Interrupted, MisuseError, Session, SqlError, SqlNameError, SqlSyntaxError
from sql.session_plans import QueryPlan
from tests.sql.engines import EngineError, KvshEngine, SqliteEngine


def names(session: Session) -> list[str]:
    return [row[0] for row in session.execute("SELECT name FROM sqlite_master ORDER BY name")]


def put(session: Session, key: bytes, value: bytes) -> None:
    with session.writing() as transaction:
        transaction.tree(RAW_TREE_ID).put(key, value)


def get(session: Session, key: bytes) -> bytes | None:
    with session.reading() as transaction:
        value: bytes | None = transaction.tree(RAW_TREE_ID).get(key)
        return value


# -- importing ------------------------------------------------------------------------------------------


def test_the_raw_path_imports_neither_parser_nor_planner() -> None:
    script = (
        "import sys; from btree import open_memory; from sql import Session\n"
        "session = Session(open_memory())\n"
        "with session.writing() as txn: txn.tree(1).put(b'k', b'v')\n"
        "with session.reading() as txn: assert txn.tree(1).get(b'k') == b'v'\n"
        "session.begin(); session.savepoint('s'); session.rollback_to('s'); session.commit()\n"
        "heavy = ('sql.parse', 'sql.schema', 'sql.functions', 'sql.plan')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    root = Path(__file__).resolve().parents[2]
    output = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"


# -- transactions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        ["commit"],
        ["rollback"],
        ["begin", "begin"],
        ["begin", "commit", "commit"],
        ["begin immediate", "end transaction"],
        ["begin exclusive", "rollback"],
        ["release nope"],
        ["rollback to nope"],
        ["savepoint a", "begin"],
        ["savepoint a", "release a", "commit"],
        ["savepoint a", "savepoint b", "release a", "rollback"],
        ["savepoint a", "savepoint A", "release savepoint a", "release a", "release a"],
        ["begin", "savepoint a", "release a", "commit"],
        ["begin", "savepoint a", "commit", "release a"],
        ["savepoint a", "commit", "rollback"],
        ["savepoint a", "rollback to a", "release a"],
        ["begin", "vacuum", "rollback"],
        ["begin", "savepoint a", "savepoint b", "rollback to a", "release b"],
        ["", ";", "-- nothing", "select 1;", "select 1; select 2"],
    ],
)
def test_transaction_statements_answer_as_in_sqlite(script: list[str]) -> None:
    ours, theirs = KvshEngine(), SqliteEngine()
    for statement in script:
        results = []
        for engine in (ours, theirs):
            try:
                results.append(str(engine.execute(statement)))
            except EngineError as error:
                results.append(str(error))
        if "one statement at a time" not in results[1]:
            assert results[0] == results[1], statement
        assert ours.in_transaction == theirs.in_transaction, statement


def test_a_rolled_back_savepoint_takes_tables_and_raw_keys_with_it() -> None:
    session = Session(open_memory())
    session.begin()
    session.execute("create table a(x)")
    put(session, b"one", b"1")
    session.savepoint("s")
    session.execute("create table b(x)")
    put(session, b"two", b"2")
    session.rollback_to("s")
    assert (names(session), get(session, b"one"), get(session, b"two")) == (["a"], b"1", None)
    put(session, b"two", b"22")
    session.rollback_to("s")
    session.commit()
    assert (names(session), get(session, b"one"), get(session, b"two")) == (["a"], b"1", None)


def test_a_savepoint_before_the_first_write_is_one_all_the_same() -> None:
    session = Session(open_memory())
    put(session, b"k", b"old")
    session.begin()
    session.savepoint("empty")
    assert get(session, b"k") == b"old"
    session.savepoint("read")
    put(session, b"k", b"new")
    session.rollback_to("read")
    assert get(session, b"k") == b"old"
    put(session, b"k", b"newer")
    session.rollback_to("empty")
    session.commit()
    assert get(session, b"k") == b"old"


def test_a_deferred_transaction_reads_one_snapshot() -> None:
    store = open_memory()
    reader, writer = Session(store), Session(store)
    put(writer, b"k", b"1")
    reader.begin()
    assert get(reader, b"k") == b"1"
    put(writer, b"k", b"2")
    assert get(reader, b"k") == b"1"
    reader.commit()
    assert get(reader, b"k") == b"2"


def test_a_deferred_transaction_that_read_cannot_write_after_another_commit() -> None:
    store = open_memory()
    first, second = Session(store), Session(store)
    first.begin()
    assert get(first, b"k") is None
    put(second, b"k", b"theirs")
    with pytest.raises(ConflictError, match="database is locked"):
        put(first, b"k", b"ours")
    assert first.in_transaction
    first.rollback()
    put(first, b"k", b"ours")


def test_a_deferred_transaction_begins_at_its_first_statement() -> None:
    store = open_memory()
    first, second = Session(store), Session(store)
    first.begin()
    put(second, b"k", b"theirs")
    put(first, b"k2", b"ours")
    first.commit()
    assert get(second, b"k2") == b"ours"


def test_begin_immediate_waits_for_the_writer_as_long_as_it_may() -> None:
    store = open_memory()
    first, second = Session(store), Session(store, busy_timeout=0.0)
    first.begin("IMMEDIATE")
    with pytest.raises(BusyError, match="locked"):
        second.begin("IMMEDIATE")
    assert not second.in_transaction
    first.rollback()
    second.begin("IMMEDIATE")


def test_closing_rolls_back_and_a_closed_session_refuses() -> None:
    store = open_memory()
    session = Session(store)
    session.begin()
    put(session, b"k", b"v")
    session.close()
    session.close()
    with pytest.raises(MisuseError, match="closed"):
        session.execute("select 1")
    with pytest.raises(MisuseError, match="closed"):
        session.begin()
    assert get(Session(store), b"k") is None


def test_writing_undoes_its_own_transaction_on_an_error() -> None:
    session = Session(open_memory())
    with pytest.raises(ZeroDivisionError), session.writing() as transaction:
        transaction.tree(RAW_TREE_ID).put(b"k", b"v")
        raise ZeroDivisionError
    assert get(session, b"k") is None


def test_query_only_refuses_every_write() -> None:
    session = Session(open_memory())
    session.execute("pragma query_only = on")
    with pytest.raises(ReadOnlyError, match="attempt to write a readonly database"):
        session.execute("create table t(a)")
    with pytest.raises(ReadOnlyError):
        put(session, b"k", b"v")


def test_a_readonly_store_still_has_temporary_tables(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with_store = open_store(path)
    Session(with_store).execute("create table t(a)")
    with_store.close()
    store = open_store(path, readonly=True)
    session = Session(store)
    session.execute("create temp table mine(a, b unique)")
    assert names(session) == ["t"]
    with pytest.raises(ReadOnlyError):
        session.execute("create table other(a)")
    session.close()
    store.close()


# -- the schema -------------------------------------------------------------------------------------------


def test_a_schema_is_shared_until_it_changes() -> None:
    store = open_memory()
    first, second = Session(store), Session(store)
    first.execute("create table a(x)")
    assert first.schema is second.schema
    before = first.schema.tables["a"]
    second.execute("create table b(x)")
    assert set(first.schema.tables) == {"a", "b"}
    assert first.schema.tables["a"] is before


def test_another_sessions_uncommitted_table_is_not_seen() -> None:
    store = open_memory()
    first, second = Session(store), Session(store)
    first.begin()
    first.execute("create table a(x)")
    with pytest.raises(SqlNameError, match="no such table: a"):
        second.execute("select * from a")
    first.commit()
    assert second.execute("select * from a").fetch_all() == []


def test_a_plan_follows_the_schema() -> None:
    session = Session(open_memory())
    session.execute("create table t(a)")
    assert [column.name for column in session.execute("select * from t").columns or ()] == ["a"]
    session.execute("alter table t add column b")
    result = session.execute("select * from t")
    assert [column.name for column in result.columns or ()] == ["a", "b"]
    session.execute("drop table t")
    with pytest.raises(SqlNameError, match="no such table: t"):
        session.execute("select * from t")


def test_a_plan_outlives_changes_that_do_not_concern_it() -> None:
    session = Session(open_memory())
    session.execute("create table t(a)")
    query = "select * from t"
    session.execute(query)
    plan = session.prepare(query)
    assert isinstance(plan, QueryPlan)

    def is_kept(statement: str) -> bool:
        with session.reading() as transaction:
            before = plan.compiled(session, transaction, ())
        session.execute(statement)
        with session.reading() as transaction:
            return bool(plan.compiled(session, transaction, ()) is before)

    assert is_kept("create table other(a)")
    assert is_kept("pragma user_version = 3")
    assert is_kept("create index o on other(a)")
    assert not is_kept("create index i on t(a)")
    assert not is_kept("drop index i")
    assert not is_kept("alter table t rename column a to b")
    assert not is_kept("create temp table t(x)")


def test_the_schema_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    store = open_store(path)
    Session(store).execute("create table t(a integer primary key, b default 'x' unique)")
    store.close()
    store = open_store(path)
    session = Session(store)
    assert session.execute("pragma table_info(t)").fetch_all() == [
        (0, "a", "INTEGER", 0, None, 1),
        (1, "b", "", 0, "'x'", 0),
    ]
    assert names(session) == ["sqlite_autoindex_t_1", "t"]
    store.close()


# -- results ------------------------------------------------------------------------------------------------


def series(session: Session) -> list[int]:
    return [row[0] for row in session.execute("select value from generate_series(1, 5000)")]


def test_an_open_result_keeps_its_rows_when_the_transaction_ends() -> None:
    session = Session(open_memory())
    for i in range(3000):
        put(session, b"%05d" % i, b"v")
    for end, left in ((session.commit, 3000), (session.rollback, 3000)):
        session.begin()
        put(session, b"more", b"v")
        rows = iter(session.execute("select key from kv"))
        assert next(rows) == ("00000",)
        end()
        assert len(list(rows)) == left
        with session.writing() as transaction:
            transaction.tree(RAW_TREE_ID).delete(b"more")


def test_an_open_result_reads_its_own_snapshot() -> None:
    session = Session(open_memory())
    for i in range(3000):
        put(session, b"%05d" % i, b"v")
    rows = iter(session.execute("select key from kv"))
    next(rows)
    with session.writing() as transaction:
        transaction.tree(RAW_TREE_ID).clear()
    assert len(list(rows)) == 2999
    assert session.execute("select count(*) from kv").fetch_all() == [(0,)]


def test_a_closed_result_gives_no_more_rows() -> None:
    session = Session(open_memory())
    result = session.execute("select value from generate_series(1, 5000)")
    rows = iter(result)
    next(rows)
    result.close()
    result.close()
    assert len(list(rows)) < 4999


def test_errors_of_the_first_batch_are_raised_by_execute() -> None:
    session = Session(open_memory())
    with pytest.raises(SqlError, match="integer overflow"):
        session.execute("select abs(-9223372036854775807 - value) from generate_series(1, 5)")


# -- parameters ---------------------------------------------------------------------------------------------


def test_parameters_bind_by_position_and_name() -> None:
    session = Session(open_memory())
    assert session.execute("select ?, ?2, ?1", (1, "x")).fetch_all() == [(1, "x", 1)]
    assert session.execute("select :a, @b, $c", {"a": 1, "b": 2, "c": 3}).fetch_all() == [(1, 2, 3)]
    assert session.execute("select :a, :b", (1, 2)).fetch_all() == [(1, 2)]


def test_the_wrong_number_of_parameters_is_told_as_the_sqlite3_module_does() -> None:
    session = Session(open_memory())
    with pytest.raises(
        MisuseError, match=r"The current statement uses 1, and there are 0 supplied"
    ):
        session.execute("select ?")
    with pytest.raises(MisuseError, match=r"uses 1, and there are 2 supplied"):
        session.execute("select ?", (1, 2))
    with pytest.raises(MisuseError, match=r"uses 0, and there are 1 supplied"):
        session.execute("select 1", (1,))
    with pytest.raises(MisuseError, match="did not supply a value for binding parameter :a"):
        session.execute("select :a", {"b": 1})
    with pytest.raises(MisuseError, match="Binding 1 has no name"):
        session.execute("select ?", {"b": 1})


def test_a_mapping_may_make_its_values_up() -> None:
    class Doubling(dict[str, object]):
        def __missing__(self, name: str) -> object:
            return name * 2

    session = Session(open_memory())
    for _ in range(2):
        assert session.execute("select :x", Doubling()).fetch_all() == [("xx",)]


def test_several_statements_are_refused() -> None:
    session = Session(open_memory())
    for statement in ("select 1; select 2", "select 1; // no comment", "select 1; /* */ a"):
        with pytest.raises(MisuseError, match="You can only execute one statement at a time"):
            session.execute(statement)
    assert session.execute("select 1; -- comment\n ; /* another */").fetch_all() == [(1,)]


def test_python_values_become_sqls() -> None:
    session = Session(open_memory())
    values = (True, float("nan"), bytearray(b"x"), memoryview(b"y"), 2.0)
    row = session.execute("select ?, ?, ?, ?, ?", values).fetch_all()[0]
    assert row == (1, None, b"x", b"y", 2.0)
    assert [type(value) for value in row] == [int, type(None), bytes, bytes, float]
    with pytest.raises(MisuseError):
        session.execute("select ?", (1 << 63,))
    with pytest.raises(MisuseError):
        session.execute("select ?", (object(),))


def test_plans_are_kept_by_the_types_of_their_parameters() -> None:
    session = Session(open_memory())
    query = "select typeof(?), ? < 'a'"
    for values in [(1, 2), ("x", "y"), (None, None), (1.5, b"z"), (1, 2)]:
        expected = SqliteEngine().execute(query, values)
        assert session.execute(query, values).fetch_all() == expected


# -- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "offset"),
    [
        ("select * from nope", 14),
        ("select 1 from sqlite_master where name = 5 and nope = 'a'", 47),
        ("selec 1", 0),
        ("select * from sqlite_master where rootpage = 123456 and 7 = nope", 60),
    ],
)
def test_offsets_are_those_of_the_statements_own_text(statement: str, offset: int) -> None:
    """Plans are made from a statement's shape, where literals are shorter or longer."""
    with pytest.raises((SqlNameError, SqlSyntaxError)) as raised:
        Session(open_memory()).execute(statement)
    assert raised.value.offset == offset


# -- stopping -----------------------------------------------------------------------------------------------


def test_an_interrupted_statement_stops_and_the_session_goes_on() -> None:
    session = Session(open_memory())
    rows = iter(session.execute("select value from generate_series(1, 1000000)"))
    next(rows)
    session.interrupt()
    with pytest.raises(Interrupted, match="interrupted"):
        list(rows)
    assert session.execute("select 1").fetch_all() == [(1,)]


def test_a_statement_past_its_deadline_stops() -> None:
    session = Session(open_memory())
    session.timeout = 0.0
    with pytest.raises(Interrupted):
        list(session.execute("select count(*) from generate_series(1, 10000000)"))
    session.timeout = None
    assert session.execute("select 1").fetch_all() == [(1,)]


def test_columns_of_a_table_tell_the_kinds_of_value_that_they_may_hold() -> None:
    session = Session(open_memory())
    session.execute("create table t(id integer primary key, a, b)")
    session.execute("insert into t(a, b) values (1, 'x'), (null, 'y')")

    def kinds(sql: str) -> list[int]:
        return [column.kinds for column in session.execute(sql).columns or ()]

    null, integer, text, blob, unknown = 1, 2, 8, 16, 31
    assert kinds("select * from t") == [integer, null | integer, text]
    assert kinds("select id + 1, b from t") == [unknown, text]
    assert kinds("select y.b from t as x left join t as y on x.id = y.a") == [null | text]
    assert kinds("select b from t union all select a from t") == [unknown]
    session.execute("insert into t(b) values (x'00')")
    assert kinds("select * from t") == [integer, null | integer, text | blob]
