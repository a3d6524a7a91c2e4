"""What the parser says about each statement: dataclasses, canonical trees, slices of the text."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from functools import partial

import pytest
from sqlglot import exp

from btree import open_memory
from sql import Session
from sql.errors import SqlError, SqlSyntaxError
from sql.parse import parse_expression, parse_statement
from sql.parse import statements as s
from tests.threads import in_threads


def tree(text: str) -> exp.Expression:
    statement = parse_statement(text)
    assert isinstance(statement, s.Query)
    return statement.tree


def column(text: str) -> exp.Expression:
    found: exp.Expression = tree(f"SELECT {text}").expressions[0]
    return found


def test_calls_are_anonymous_whatever_sqlglot_knows_of_them() -> None:
    call = column("Count(*)")
    assert isinstance(call, exp.Anonymous) and call.this == "Count"
    assert isinstance(call.expressions[0], exp.Star)
    call = column("sum(DISTINCT a)")
    assert isinstance(call.expressions[0], exp.Distinct)
    call = column("group_concat(a, ',' ORDER BY b DESC)")
    assert isinstance(call.expressions[-1], exp.Order) and len(call.expressions) == 3
    filtered = column("sum(a) FILTER (WHERE b)")
    assert isinstance(filtered, exp.Filter) and isinstance(filtered.expression, exp.Where)
    window = column("sum(a) FILTER (WHERE b) OVER (PARTITION BY c ORDER BY d ROWS 1 PRECEDING)")
    assert isinstance(window, exp.Window) and isinstance(window.this, exp.Filter)
    assert window.args["spec"].args["kind"] == "ROWS"
    for name in (
        "if",
        "substring",
        "date",
        "iif",
        "position",
        "extract",
        "left_",
        "replace",
        "like",
    ):
        assert isinstance(column(f"{name}(a, b)"), exp.Anonymous)
    assert column("current_timestamp").this == "current_timestamp"


def test_tests_have_one_form_each() -> None:
    assert isinstance(column("a IS b"), exp.Is)
    for text in ("a IS NOT b", "a NOTNULL", "a NOT NULL"):
        negated = column(text)
        assert isinstance(negated, exp.Not) and isinstance(negated.this, exp.Is)
    assert isinstance(column("a IS DISTINCT FROM b"), exp.NullSafeNEQ)
    assert isinstance(column("a IS NOT DISTINCT FROM b"), exp.NullSafeEQ)
    assert isinstance(column("a NOT LIKE b ESCAPE c").this, exp.Escape)
    assert isinstance(column("a GLOB b"), exp.Glob)
    assert isinstance(column("a REGEXP b"), exp.RegexpLike)
    assert isinstance(column("a MATCH b"), exp.Match)
    assert isinstance(column("a IN t").args["field"], exp.Table)
    assert isinstance(column("a IN main.t").args["field"].args["db"], exp.Identifier)
    assert column("a IN ()").expressions == []
    assert isinstance(column("a IN (SELECT 1)").args["query"], exp.Subquery)
    assert isinstance(column("a IN ((SELECT 1))").expressions[0], exp.Subquery)
    assert isinstance(column("(1, 2) = (a, b)").this, exp.Tuple)
    assert isinstance(column("a -> '$.b'"), exp.JSONExtract)
    assert isinstance(column("a ->> 'b'").expression, exp.Literal)
    assert type(column("+a")) is exp.Unary
    assert column("x'0aFF'").this == "0aFF"
    assert isinstance(column("true"), exp.Boolean)
    assert isinstance(column('"true"'), exp.Column)


def test_casts_keep_the_type_as_written() -> None:
    for text in ("VARCHAR ( 10 )", "unsigned big int", "DECIMAL(10, -2)", ""):
        assert column(f"CAST(a AS {text})").meta["type"] == text


def test_unaliased_columns_keep_their_text() -> None:
    names = [
        item.meta.get("text") for item in tree("SELECT a+1 , (b) ,\n f( x )  FROM t").expressions
    ]
    assert names == ["a+1", "(b)", "f( x )"]
    items = tree("SELECT 1 AS 'x', 2 y, 3 \"z\", 4 'w', 5 AS left, 6 offset").expressions
    assert [item.alias for item in items] == ["x", "y", "z", "w", "left", "offset"]


def test_names_know_their_quotes_and_places() -> None:
    identifier = column('"a b"').this
    assert (identifier.this, identifier.args["quoted"], identifier.meta["quote"]) == (
        "a b",
        True,
        '"',
    )
    assert (identifier.meta["start"], identifier.meta["end"]) == (7, 12)
    assert column("[a b]").this.meta["quote"] == "["
    assert column("`a``b`").this.this == "a`b"
    assert column("'it''s'").this == "it's"
    assert column("main.t.a").args["db"].this == "main"


def test_parameters_are_numbered_as_sqlite_numbers_them() -> None:
    statement = parse_statement("SELECT ?, ?5, :a, ?, @b, :a, $c, ?2")
    assert isinstance(statement, s.Query)
    assert [item.meta["index"] for item in statement.tree.expressions] == [0, 4, 5, 6, 7, 5, 8, 1]
    assert statement.parameter_names == (None, "?2", None, None, "?5", ":a", None, "@b", "$c")


def test_joins() -> None:
    query = tree(
        "SELECT * FROM a, b CROSS JOIN c NATURAL LEFT JOIN d FULL OUTER JOIN e USING (x) JOIN f ON 1"
    )
    joins = query.args["joins"]
    assert [
        (join.args.get("side"), join.args.get("kind"), join.args.get("method")) for join in joins
    ] == [
        (None, None, None),
        (None, "CROSS", None),
        ("LEFT", "OUTER", "NATURAL"),
        ("FULL", "OUTER", None),
        (None, "INNER", None),
    ]
    nested = tree("SELECT * FROM a LEFT JOIN (b JOIN c ON 1) ON 2").args["joins"][0].this
    assert isinstance(nested, exp.Subquery) and len(nested.args["joins"]) == 1
    aliased = tree("SELECT * FROM (b JOIN c) AS x").args["from_"].this
    assert isinstance(aliased.this, exp.Select) and aliased.alias == "x"
    assert tree("SELECT * FROM t INDEXED BY i").args["from_"].this.meta["indexed_by"] == "i"
    assert tree("SELECT * FROM t NOT INDEXED").args["from_"].this.meta["indexed_by"] is False
    function = tree("SELECT * FROM json_each(a, b) AS j").args["from_"].this
    assert isinstance(function.this, exp.Anonymous) and function.alias == "j"


def test_compounds_are_left_deep_with_their_order_on_top() -> None:
    query = tree(
        "WITH c AS (SELECT 1) SELECT 1 UNION ALL SELECT 2 EXCEPT VALUES (3) UNION SELECT 4 ORDER BY 1 LIMIT 2, 3"
    )
    assert isinstance(query, exp.Union) and query.args["distinct"]
    assert isinstance(query.this, exp.Except) and not query.this.this.args["distinct"]
    assert (
        query.args["limit"].expression.this == "3" and query.args["offset"].expression.this == "2"
    )
    assert query.args["with_"] is not None and query.expression.args.get("order") is None


def test_common_tables() -> None:
    with_ = tree(
        "WITH RECURSIVE a (x, y) AS NOT MATERIALIZED (SELECT 1, 2), b AS MATERIALIZED (SELECT 1), c AS (SELECT 1) SELECT 1"
    ).args["with_"]
    assert with_.args["recursive"]
    assert [cte.args["materialized"] for cte in with_.expressions] == [False, True, None]
    assert [name.name for name in with_.expressions[0].args["alias"].args["columns"]] == ["x", "y"]


def test_windows() -> None:
    query = tree(
        "SELECT sum(a) OVER w, sum(a) OVER (w ROWS CURRENT ROW), sum(a) over FROM t WINDOW w AS (ORDER BY b), v AS (w)"
    )
    bare, based, plain = query.expressions
    assert bare.args["alias"].name == "w" and bare.meta["bare"]
    assert based.args["alias"].name == "w" and not based.meta.get("bare")
    assert isinstance(plain, exp.Alias) and plain.alias == "over"
    assert [window.this.name for window in query.args["windows"]] == ["w", "v"]
    spec = column(
        "sum(a) OVER (GROUPS BETWEEN 2 PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW)"
    ).args["spec"]
    assert spec.args["start"].this == "2" and spec.args["start_side"] == "PRECEDING"
    assert (spec.args["end"], spec.args["end_side"], spec.args["exclude"]) == (
        "UNBOUNDED",
        "FOLLOWING",
        "CURRENT ROW",
    )


def test_inserts() -> None:
    insert = parse_statement(
        "WITH x AS (SELECT 1) INSERT OR IGNORE INTO main.t AS u (a, 'b') VALUES (1, 2) "
        "ON CONFLICT (a COLLATE nocase, b + 1) WHERE a > 1 DO UPDATE SET a = 1, (b, c) = (2, 3) WHERE d "
        "ON CONFLICT DO NOTHING RETURNING *, a + 1 AS z"
    )
    assert isinstance(insert, s.Insert)
    assert (str(insert.table), insert.alias, insert.columns) == ("main.t", "u", ("a", "b"))
    assert insert.or_conflict == "IGNORE" and insert.with_ is not None
    first, second = insert.upserts
    assert [(part.column, part.collation) for part in first.target] == [
        ("a", "nocase"),
        (None, None),
    ]
    assert first.target_where is not None and first.target_where.sql() == "a > 1"
    assert first.where is not None
    assert first.assignments is not None
    assert [assignment.columns for assignment in first.assignments] == [("a",), ("b", "c")]
    assert second == s.Upsert()
    assert len(insert.returning) == 2
    replace = parse_statement("REPLACE INTO t DEFAULT VALUES")
    assert (
        isinstance(replace, s.Insert)
        and replace.or_conflict == "REPLACE"
        and replace.source is None
    )


def test_updates_and_deletes() -> None:
    update = parse_statement(
        "UPDATE OR FAIL t AS z INDEXED BY i SET a = 1, (b, c) = (SELECT 1, 2) FROM u JOIN v WHERE d RETURNING a ORDER BY a LIMIT 3 OFFSET 1"
    )
    assert isinstance(update, s.Update)
    assert (update.or_conflict, update.alias, update.indexed_by) == ("FAIL", "z", "i")
    assert update.from_ is not None and len(update.joins) == 1
    assert update.order is not None and update.limit is not None and update.offset is not None
    delete = parse_statement("DELETE FROM t NOT INDEXED WHERE a RETURNING b")
    assert isinstance(delete, s.Delete) and delete.indexed_by is False and delete.where is not None


def test_tables() -> None:
    text = """CREATE TEMP TABLE IF NOT EXISTS main.t (
        a INTEGER CONSTRAINT k PRIMARY KEY DESC ON CONFLICT FAIL AUTOINCREMENT,
        "b c" VARCHAR( 10 ) NOT NULL ON CONFLICT IGNORE DEFAULT -1.5 COLLATE nocase UNIQUE CHECK (b > 1),
        d UNSIGNED BIG INT GENERATED ALWAYS AS (a + 1) STORED,
        e AS (a) VIRTUAL DEFAULT (1 + 2),
        f REFERENCES u (x) ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED,
        g DEFAULT foo DEFAULT TRUE,
        CONSTRAINT p PRIMARY KEY (a DESC, b COLLATE rtrim) ON CONFLICT REPLACE
        UNIQUE (d), CHECK (a > f), FOREIGN KEY (a, d) REFERENCES v
    ) WITHOUT ROWID, STRICT"""
    table = parse_statement(text)
    assert isinstance(table, s.CreateTable)
    assert table.temporary and table.if_not_exists and table.without_rowid and table.strict
    a, b, d, e, f, g = table.columns
    assert [column.declared_type for column in table.columns] == [
        "INTEGER",
        "VARCHAR( 10 )",
        "UNSIGNED BIG INT",
        None,
        None,
        None,
    ]
    assert a.constraints == (
        s.PrimaryKey(name="k", descending=True, conflict="FAIL", autoincrement=True),
    )
    assert text[b.name_start : b.name_end] == '"b c"' and text[b.start : b.end].endswith("(b > 1)")
    not_null, default, collation, unique, check = b.constraints
    assert isinstance(not_null, s.NotNull) and not_null.conflict == "IGNORE"
    assert (
        isinstance(default, s.Default)
        and default.text == "-1.5"
        and isinstance(default.expression, exp.Neg)
    )
    assert isinstance(collation, s.Collation) and isinstance(unique, s.Unique)
    assert isinstance(check, s.Check) and check.text == "b > 1"
    assert isinstance(d.constraints[0], s.Generated) and d.constraints[0].stored
    assert isinstance(e.constraints[0], s.Generated) and not e.constraints[0].stored
    assert isinstance(e.constraints[1], s.Default) and e.constraints[1].text == "1 + 2"
    key = f.constraints[0]
    assert isinstance(key, s.ForeignKey) and key.deferred and key.parent_columns == ("x",)
    assert (key.on_delete, key.on_update) == ("SET NULL", "CASCADE")
    assert [getattr(item, "expression", None).__class__ for item in g.constraints] == [
        exp.Literal,
        exp.Boolean,
    ]
    primary, unique, check, foreign = table.constraints
    assert isinstance(primary, s.PrimaryKey) and primary.conflict == "REPLACE"
    assert [(part.column, part.descending, part.collation) for part in primary.columns] == [
        ("a", True, None),
        ("b", False, "rtrim"),
    ]
    assert (
        isinstance(foreign, s.ForeignKey)
        and foreign.columns == ("a", "d")
        and foreign.parent_columns is None
    )
    selected = parse_statement("CREATE TABLE t AS SELECT 1")
    assert isinstance(selected, s.CreateTable) and selected.select is not None


def test_indexes_views_and_triggers() -> None:
    index = parse_statement(
        "CREATE UNIQUE INDEX i ON t (a, b COLLATE nocase DESC, c + 1) WHERE d > 1;"
    )
    assert isinstance(index, s.CreateIndex) and index.unique and index.where_text == "d > 1"
    assert [part.text for part in index.columns] == ["a", "b COLLATE nocase", "c + 1"]
    view = parse_statement("CREATE VIEW v (x, y) AS SELECT 1, 2 ;")
    assert (
        isinstance(view, s.CreateView)
        and view.select_text == "SELECT 1, 2"
        and view.columns == ("x", "y")
    )
    trigger = parse_statement(
        "CREATE TRIGGER r INSTEAD OF UPDATE OF a, b ON v FOR EACH ROW WHEN new.a > 1 BEGIN "
        "INSERT INTO t VALUES (new.a); SELECT RAISE(ABORT, 'no'); END"
    )
    assert isinstance(trigger, s.CreateTrigger)
    assert (trigger.timing, trigger.event, trigger.columns) == ("INSTEAD OF", "UPDATE", ("a", "b"))
    assert trigger.when_text == "new.a > 1"
    assert [step.text for step in trigger.body] == [
        "INSERT INTO t VALUES (new.a)",
        "SELECT RAISE(ABORT, 'no')",
    ]
    raised = trigger.body[1].tree.expressions[0]  # type: ignore[attr-defined]
    assert isinstance(raised, exp.Command) and (raised.this, raised.expression.this) == (
        "ABORT",
        "no",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", s.Empty(text="")),
        (" ; -- nothing", s.Empty(text=" ; -- nothing")),
        ("BEGIN", s.Begin(text="BEGIN")),
        ("BEGIN EXCLUSIVE TRANSACTION", s.Begin(text="BEGIN EXCLUSIVE TRANSACTION", mode="EXCLUSIVE")),
        ("END", s.Commit(text="END")),
        ("COMMIT TRANSACTION", s.Commit(text="COMMIT TRANSACTION")),
        ("ROLLBACK", s.Rollback(text="ROLLBACK")),
        ("ROLLBACK TO a", s.Rollback(text="ROLLBACK TO a", savepoint="a")),
        ("ROLLBACK TRANSACTION TO SAVEPOINT a", s.Rollback(text="ROLLBACK TRANSACTION TO SAVEPOINT a", savepoint="a")),
        ("SAVEPOINT a", s.Savepoint(text="SAVEPOINT a", name="a")),
        ("RELEASE a", s.Release(text="RELEASE a", name="a")),
        ("RELEASE SAVEPOINT a", s.Release(text="RELEASE SAVEPOINT a", name="a")),
        ("PRAGMA main.x(-5)", s.Pragma(text="PRAGMA main.x(-5)", name="x", schema="main", value="-5", form="(")),
        ("PRAGMA x = ON", s.Pragma(text="PRAGMA x = ON", name="x", value="ON", form="=")),
        ("PRAGMA x", s.Pragma(text="PRAGMA x", name="x")),
        ("REINDEX", s.Reindex(text="REINDEX")),
        ("VACUUM", s.Vacuum(text="VACUUM")),
        ("ALTER TABLE t RENAME a TO b", s.RenameColumn(text="ALTER TABLE t RENAME a TO b", table=s.ObjectName("t", None, 12, 13), column="a", to="b")),
        ("DROP VIEW IF EXISTS v", s.Drop(text="DROP VIEW IF EXISTS v", kind="VIEW", name=s.ObjectName("v", None, 20, 21), if_exists=True)),
    ],
)  # fmt: skip
def test_small_statements(text: str, expected: s.Statement) -> None:
    assert parse_statement(text) == expected


def test_explain_has_four_modes() -> None:
    for text, mode in (
        ("", "tree"),
        ("QUERY PLAN", "query plan"),
        ("ANALYZE", "analyze"),
        ("CODE", "code"),
    ):
        explain = parse_statement(f"EXPLAIN {text} SELECT 1")
        assert isinstance(explain, s.Explain) and explain.mode == mode
        assert explain.statement.text == "SELECT 1"
    plain = parse_statement("EXPLAIN ANALYZE t")
    assert isinstance(plain, s.Explain) and isinstance(plain.statement, s.Analyze)


def test_an_expression_parses_by_itself() -> None:
    assert isinstance(parse_expression("a + 1"), exp.Add)


def test_threads_parse_side_by_side() -> None:
    def run(number: int) -> None:
        for place in range(200):
            query = tree(f"SELECT a{number}, '{place}' FROM t{number} WHERE x = {place}")
            assert query.expressions[0].name == f"a{number}"

    in_threads(*[partial(run, number) for number in range(4)])


def test_importing_the_package_does_not_import_sqlglot() -> None:
    code = "import sys, sql.parse; sql.parse.lift_literals('SELECT 1'); sql.parse.next_statement('x;'); print('sqlglot' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "False"


def test_an_ordinary_statement_parses_in_some_hundred_calls() -> None:
    text = "SELECT a, b + 1, sum(c) FROM t1 JOIN t2 ON t1.x = t2.y WHERE a > 5 AND b IN (1, 2, 3) GROUP BY 1"
    parse_statement(text)
    calls: Counter[str] = Counter()
    sys.setprofile(lambda frame, event, argument: calls.update([event]))
    try:
        parse_statement(text)
    finally:
        sys.setprofile(None)
    assert calls["call"] + calls["c_call"] < 1500  # 550 where sqlglot is compiled


@pytest.mark.parametrize(
    "text", ["SELECT [a]]", "SELECT 1 AS [a]] b", "SELECT [a]] b", "SELECT '[', [a]]]"]
)
def test_a_bracket_that_closes_nothing_is_no_token(text: str) -> None:
    """sqlglot reads `]]` as an escaped bracket, and its own error came out of `Session.execute`."""
    with pytest.raises(SqlSyntaxError, match=r'unrecognized token: "\]"'):
        parse_statement(text)


def test_an_aggregate_is_distinct_or_ordered() -> None:
    """Their combination was never implemented: it must not give rows as if it were."""
    session = Session(open_memory())
    assert list(session.execute("SELECT group_concat(DISTINCT 1)")) == [("1",)]
    with pytest.raises(SqlError, match="DISTINCT and ORDER BY"):
        session.execute("SELECT group_concat(DISTINCT 1 ORDER BY 2)")
