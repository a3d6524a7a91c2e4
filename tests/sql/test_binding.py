"""What binding a statement does to its tree: nothing, so that plans made anew need no copy of it."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from sqlglot import exp

import kvsh
from btree import open_memory
from sql.bind.queries import bind_query
from sql.bind.scope import table_item
from sql.parse import parse_statement
from sql.parse.statements import Query
from sql.session import Session
from tests.sql.scripts import run_script

SCHEMA = """
CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT COLLATE nocase, c REAL);
CREATE TABLE u(x TEXT PRIMARY KEY, a INTEGER, y) WITHOUT ROWID;
CREATE TABLE w(a INTEGER);
CREATE VIEW v(p, q) AS SELECT a, max(c) FROM t GROUP BY a;
"""

QUERIES = [
    "SELECT *, t.*, a + 1 AS n, 'x', -5, - - a FROM t WHERE (a = 1 OR b LIKE 'x%') AND c BETWEEN 1 AND 2",
    "SELECT t.a, y FROM t LEFT JOIN u ON t.a = u.a AND t.b = u.x WHERE u.a IS NOT NULL ORDER BY 2 DESC",
    "SELECT a, b, y FROM t NATURAL JOIN u",
    "SELECT * FROM t JOIN u USING (a) FULL JOIN v ON v.p = u.a",
    "SELECT * FROM (t JOIN u ON t.a = u.a), (SELECT 1 AS one) AS s",
    "SELECT a, count(*) AS n, sum(c) FILTER (WHERE c > 0) FROM t GROUP BY a, b HAVING n > 1 ORDER BY n",
    "SELECT (SELECT max(y) FROM u WHERE u.a = t.a), EXISTS (SELECT 1 FROM v WHERE p = t.a) FROM t",
    "SELECT a IN (1, 2), a IN w, (a, b) IN (SELECT a, x FROM u), a NOT IN (SELECT p FROM v) FROM t",
    "SELECT a IN (SELECT a FROM u) FROM t UNION ALL SELECT y FROM u EXCEPT SELECT 1 ORDER BY 1 LIMIT 3",
    "SELECT sum(a) OVER w, rank() OVER (PARTITION BY b ORDER BY c) FROM t WINDOW w AS (ORDER BY id)",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 9), s AS (SELECT n FROM r)"
    " SELECT s.n, z.n FROM s, s AS z WHERE s.n < (SELECT max(n) FROM r)",
    "SELECT CASE a WHEN 1 THEN b ELSE CAST(c AS TEXT) END, b COLLATE binary, x'ab' || ?, :n FROM t",
    "SELECT j.value FROM t, json_each(t.b) AS j ORDER BY t.b COLLATE nocase LIMIT ? OFFSET 1",
    "SELECT * FROM ((SELECT a FROM t ORDER BY a LIMIT 2))",
]


def session() -> Session:
    made = Session(open_memory())
    run_script(made, SCHEMA)
    return made


def taken_apart(node: Any) -> Any:
    """All that a tree consists of."""
    if isinstance(node, list):
        return [taken_apart(item) for item in node]
    if not isinstance(node, exp.Expression):
        return node
    arguments = {name: taken_apart(value) for name, value in node.args.items()}
    return type(node), dict(node.meta), arguments


@pytest.mark.parametrize("query", QUERIES)
def test_a_bound_tree_is_as_it_was_and_binds_again_to_the_same(query: str) -> None:
    with_tables = session()
    statement = parse_statement(query)
    assert isinstance(statement, Query)
    before = taken_apart(statement.tree)
    transaction = with_tables.begin_transaction(write=False)
    bound = [bind_query(statement.tree, with_tables.environment(transaction))[:2] for _ in range(2)]
    assert taken_apart(statement.tree) == before
    assert repr(bound[0]) == repr(bound[1])
    transaction.rollback()


def test_columns_that_are_remembered_are_those_of_the_table_and_of_its_kinds() -> None:
    with_tables = session()
    table = with_tables.schema.find_table("t")
    other = with_tables.schema.find_table("u")
    assert table is not None and other is not None
    some = table_item(table, 3, "t", (2, 2, 8, 4))
    again = table_item(table, 3, "z", (2, 2, 8, 4))
    assert (some.alias, again.alias) == ("t", "z")
    assert again.columns == some.columns and again.by_name == some.by_name
    assert [column.expression.kinds for column in some.columns] == [2, 2, 8, 4]
    wider = table_item(table, 3, "t", (2, 3, 8, 4))
    assert [column.expression.kinds for column in wider.columns] == [2, 3, 8, 4]
    assert {
        column.expression.source for column in table_item(table, 5, "t", (31,) * 4).columns
    } == {5}
    assert [column.name for column in table_item(other, 3, "u", (31,) * 3).columns] == [
        "x",
        "a",
        "y",
    ]
    again.merged.add("a")
    assert not table_item(table, 3, "t", (2, 2, 8, 4)).merged


def test_nothing_that_is_remembered_keeps_a_function_of_a_program_alive() -> None:
    class Double:
        def __call__(self, value: Any) -> Any:
            return 2 * value

    con = kvsh.connect(":memory:")
    con.executescript(SCHEMA)
    function = Double()
    con.create_function("double", 1, function)
    con.execute("SELECT * FROM t JOIN u ON double(t.a) = u.a WHERE double(t.id) > 3").fetchall()
    con.execute("SELECT * FROM t WHERE a IN (SELECT double(a) FROM u WHERE u.a = t.a)").fetchall()
    alive = weakref.ref(function)
    del function
    con.close()
    del con
    gc.collect()
    assert alive() is None
