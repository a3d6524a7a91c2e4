"""Generated code: made when a plan needs it, and once for each source."""

from __future__ import annotations

import builtins
import linecache
import sqlite3
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

import kvsh
from btree import open_memory
from sql.compile import module
from sql.compile.module import CODES_KEPT, KEPT_MAX, code_of
from sql.session import Session
from tests.sql.engines import KvshEngine, SqliteEngine


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The sources that are compiled from now on."""
    sources: list[str] = []
    compile_ = builtins.compile

    def noted(source: Any, *args: Any, **named: Any) -> Any:
        sources.append(source)
        return compile_(source, *args, **named)

    monkeypatch.setattr(module, "_codes", {})
    monkeypatch.setattr(module, "compile", noted, raising=False)
    yield sources


def session() -> Session:
    made = Session(open_memory())
    made.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT)")
    made.execute("CREATE INDEX ta ON t(a)")
    rows = [(number, number % 7, f"text {number}") for number in range(1, 200)]
    made.execute_many("INSERT INTO t VALUES (?, ?, ?)", rows)
    return made


SHORT = [
    "SELECT b FROM t WHERE id = 17",
    "SELECT * FROM t WHERE id IN (3, 5, 900, 1)",
    "SELECT b FROM t WHERE id = 17 LIMIT 1",
    'SELECT "b" FROM t WHERE id = 17 LIMIT 5 OFFSET 1',
    'SELECT "b" FROM t WHERE "id" = 17',
    "SELECT b, a FROM t WHERE id BETWEEN 5 AND 9",
    "SELECT id FROM t WHERE a = 3",
    "SELECT b FROM t INDEXED BY ta WHERE a = 3 ORDER BY id LIMIT 2 OFFSET 1",
    "SELECT min(a), max(id), count(*) FROM t",
    "SELECT min(a) FROM t UNION ALL SELECT max(a) FROM t",
    "SELECT max(id) FROM t",
    "SELECT min(rowid) FROM t",
    "SELECT max(rowid) FROM t UNION ALL SELECT min(id) FROM t",
]


@pytest.mark.parametrize("query", SHORT)
def test_a_short_query_has_no_code_until_it_pays_and_gives_the_same_with_it(
    query: str, compiled: list[str]
) -> None:
    ours, theirs = KvshEngine(leaf_limit=4), SqliteEngine()
    for engine in (ours, theirs):
        engine.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT)")
        engine.execute("CREATE INDEX ta ON t(a)")
        for number in range(1, 60):
            engine.execute(f"INSERT INTO t VALUES ({number}, {number % 7}, 'text {number}')")
    compiled.clear()
    expected = theirs.execute(query)
    assert ours.execute(query) == expected
    assert not compiled
    for _ in range(6):
        assert ours.execute(query) == expected
    for engine in (ours, theirs):
        engine.execute("INSERT INTO t VALUES (1000, -4, 'more')")
        engine.execute("DELETE FROM t WHERE id IN (5, 17)")
    for _ in range(3):
        assert ours.execute(query) == theirs.execute(query)


def test_what_is_no_short_query_has_code_at_once(compiled: list[str]) -> None:
    with_rows = session()
    compiled.clear()
    assert list(with_rows.execute("SELECT sum(a) FROM t WHERE b LIKE '%9'")) == [(57,)]
    assert len(compiled) == 1


def test_a_short_query_that_meets_what_it_cannot_say_gets_its_code(compiled: list[str]) -> None:
    with_rows = session()
    compiled.clear()
    query = "SELECT count(*) FROM (SELECT id FROM t WHERE id = ? LIMIT 1)"
    assert list(with_rows.execute(query, (3,))) == [(1,)]
    many = "SELECT id FROM t WHERE id > ? LIMIT ?"
    assert list(with_rows.execute(many, (0, 2))) == [(1,), (2,)]
    assert len(list(with_rows.execute(many, (0, 150)))) == 150
    assert list(with_rows.execute(many, (197, 5))) == [(198,), (199,)]
    assert list(with_rows.execute(many, (197, -1))) == [(198,), (199,)]


def test_explain_has_the_code_of_a_short_query_and_of_a_change_by_key() -> None:
    with_rows = session()
    for statement in (
        "SELECT b FROM t WHERE id = 17",
        "UPDATE t SET b = 'x' WHERE id = 17",
        "DELETE FROM t WHERE id = 17",
    ):
        lines = [line for (line,) in with_rows.execute(f"EXPLAIN CODE {statement}")]
        assert lines[0] == "def run(ctx):"
        assert list(with_rows.execute(f"EXPLAIN {statement}"))


def test_a_change_by_key_compiles_one_function_and_its_scan_when_that_is_wanted(
    compiled: list[str],
) -> None:
    with_rows = session()
    compiled.clear()
    assert with_rows.execute("UPDATE t SET b = 'x' WHERE id = ?", (5,)).rowcount == 1
    assert len(compiled) == 1 and "def statement(txn, p, ctx)" in compiled[0]
    assert with_rows.execute("DELETE FROM t WHERE id = ?", (6,)).rowcount == 1
    assert len(compiled) == 2 and "def statement(txn, p, ctx)" in compiled[1]
    # A text that is a number is found by the scan.
    assert with_rows.execute("UPDATE t SET b = 'y' WHERE id = ?", ("5",)).rowcount == 1
    assert with_rows.execute("DELETE FROM t WHERE id = ?", ("7",)).rowcount == 1
    assert any("def run(ctx)" in source for source in compiled)
    assert list(with_rows.execute("SELECT id, b FROM t WHERE id < 9 AND b <> 'z'")) == [
        *[(number, f"text {number}") for number in range(1, 5)],
        (5, "y"),
        (8, "text 8"),
    ]


def test_a_source_is_compiled_once_whatever_its_constants_are(compiled: list[str]) -> None:
    first, second = session(), session()
    compiled.clear()
    for number, with_rows in enumerate((first, second, first)):
        query = f"SELECT a AS name{number}, count(*) FROM t GROUP BY a ORDER BY 2, 1 LIMIT 1"
        assert list(with_rows.execute(query)) == [(0, 28)]
    assert len(compiled) == 1


def test_the_codes_that_are_kept_are_bounded(compiled: list[str]) -> None:
    for number in range(2 * CODES_KEPT):
        code_of(f"def run(ctx): return {number}\n")
    assert len(module._codes) <= CODES_KEPT
    shown = [name for name in linecache.cache if name.startswith("<kvsh plan")]
    assert {code.co_filename for code in module._codes.values()} <= set(shown)
    compiled.clear()
    code_of(f"def run(ctx): return {2 * CODES_KEPT - 1}\n")
    assert not compiled
    long = f"def run(ctx): return [{'1, ' * KEPT_MAX}]\n"
    code_of(long)
    assert long not in module._codes


def test_a_traceback_shows_the_line_of_generated_code() -> None:
    con = kvsh.connect(":memory:")

    def fail(value: object) -> object:
        raise ValueError("no")

    con.create_function("fail", 1, fail)
    with pytest.raises(kvsh.OperationalError) as caught:
        con.execute("SELECT fail(1) FROM (VALUES (1), (2))").fetchall()
    chain: BaseException | None = caught.value
    text = ""
    while chain is not None:
        text += "".join(traceback.format_exception(chain))
        chain = chain.__cause__ or chain.__context__
    assert "<kvsh plan" in text
    con.close()


COSTLY = [
    "a + b",
    "a || b",
    "abs(a)",
    "(SELECT a + n.n)",
    "a BETWEEN b AND 2",
    "-a",
    "nullif(a, b)",
]


@pytest.mark.parametrize("operand", COSTLY)
def test_what_stands_before_between_is_computed_once(operand: str) -> None:
    """As a value, as a condition, negated, and with what it is compared with converted or NULL."""
    ours, theirs = KvshEngine(), SqliteEngine()
    values = ["NULL", "-1", "0", "2.5", "3", "'3'", "'x'", "x'31'"]
    bounds = [("0", "3"), ("n", "'4'"), ("NULL", "2"), ("b", "NULL"), ("'1' COLLATE NOCASE", "'X'")]
    for engine in (ours, theirs):
        engine.execute("CREATE TABLE t (a, b TEXT)")
        engine.execute("CREATE TABLE n (n REAL)")
        engine.execute("INSERT INTO n VALUES (1), (NULL), (2.5)")
        for a in values:
            engine.execute(f"INSERT INTO t VALUES {', '.join(f'({a}, {b})' for b in values)}")
    for low, high in bounds:
        between = f"({operand}) BETWEEN {low} AND {high}"
        for query in (
            f"SELECT a, b, n, {between}, NOT {between} FROM t, n",
            f"SELECT a, b, n FROM t, n WHERE ({between}) OR n IS NULL",
            f"SELECT a, b, n FROM t, n WHERE NOT {between}",
            f"SELECT a, b, n, CASE WHEN {between} THEN 1 WHEN NOT {between} THEN 2 END FROM t, n",
        ):
            mine, expected = (sorted(map(repr, each.execute(query))) for each in (ours, theirs))
            assert (query, mine) == (query, expected)


def test_code_grows_with_nested_betweens_and_no_faster() -> None:
    ours = KvshEngine()
    ours.execute("CREATE TABLE t (a, b)")
    lengths = []
    for depth in (3, 6, 9):
        nested = "(" * depth + "a" + " BETWEEN 0 AND b)" * depth
        for query in (f"SELECT {nested} FROM t", f"SELECT a FROM t WHERE NOT {nested}"):
            lengths.append(sum(len(row[0]) for row in ours.execute(f"EXPLAIN CODE {query}")))
    for first, second, third in (lengths[::2], lengths[1::2]):
        assert third - second < 2 * (second - first)


def test_texts_of_ascii_are_folded_without_a_call() -> None:
    """NOCASE in ORDER BY called two functions for each row, and twice where LIMIT picks from them."""
    found: list[Any] = []
    query = "SELECT id, a FROM t ORDER BY a COLLATE NOCASE DESC, id LIMIT 9"
    for con in (kvsh.connect(":memory:"), sqlite3.connect(":memory:")):
        con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT NOT NULL)")
        texts = [
            ("aB", "Ab", "É", "éZ", "", "z[", "Z_")[key % 7] + str(key % 5) for key in range(900)
        ]
        con.executemany("INSERT INTO t(a) VALUES (?)", [(text,) for text in texts])
        if isinstance(con, kvsh.Connection):
            code = "\n".join(row[0] for row in con.execute(f"EXPLAIN CODE {query}"))
            assert ".lower() if " in code, code
        found.append(con.execute(query).fetchall())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {} VALUES (?, ?, ?)",
        "INSERT INTO {} VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET b = excluded.b",
        "UPDATE {} SET a = a + ?, b = ? WHERE id = ?",
        "UPDATE {} SET b = ? WHERE a = ? AND id > ?",
        "DELETE FROM {} WHERE a = ? AND b > ? AND id <> ?",
        "SELECT b, count(*), max(id + ?) FROM {} WHERE a > ? AND b < ? GROUP BY b",
        "SELECT x.b FROM {} AS x JOIN other AS y ON x.a = y.id + ? WHERE y.a > ? AND x.b <> ? ORDER BY 1",
    ],
)
def test_tables_that_are_alike_have_the_same_code(compiled: list[str], statement: str) -> None:
    con = kvsh.connect(":memory:")
    for name in ("other", "first", "second"):
        con.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER)")
        con.execute(f"CREATE INDEX {name}_a ON {name}(a)")
        con.execute(f"INSERT INTO {name} VALUES (1, 2, 3), (2, 4, 6)")
    found = con.execute(statement.format("first"), (7, 1, 2)).fetchall()
    before = len(compiled)
    assert con.execute(statement.format("second"), (7, 1, 2)).fetchall() == found
    assert compiled[before:] == []
    rows = [con.execute(f"SELECT * FROM {name}").fetchall() for name in ("first", "second")]
    assert rows[0] == rows[1]
