"""Completion of half-typed SQL: the place of the cursor decides what is offered, and in which order.

In the texts `|` is the cursor; without one it is at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import kvsh
from kvsh.complete import (
    ColumnInfo,
    Completer,
    Datum,
    EmptyCatalog,
    ForeignKeyInfo,
    Relation,
    SchemaNames,
    signature_at,
)
from kvsh.complete.words import FUNCTIONS


def relation(name: str, columns: str, *keys: ForeignKeyInfo, kind: str = "table") -> Relation:
    return Relation(name, tuple(map(ColumnInfo, columns.split())), kind, keys)


RELATIONS = [
    relation("Artist", "ArtistId Name"),
    relation(
        "Album", "AlbumId Title ArtistId", ForeignKeyInfo(("ArtistId",), "Artist", ("ArtistId",))
    ),
    relation(
        "Track",
        "TrackId Name AlbumId Milliseconds UnitPrice",
        ForeignKeyInfo(("AlbumId",), "Album", ("AlbumId",)),
    ),
    relation(
        "Employee",
        "EmployeeId LastName ReportsTo",
        ForeignKeyInfo(("ReportsTo",), "Employee", ("EmployeeId",)),
    ),
    relation("order", "id total"),
    relation("kv", "key value"),
    relation("LongTracks", "TrackId Name", kind="view"),
]


class Music(EmptyCatalog):
    """A catalog of a music shop, whose data say what was asked of it."""

    def __init__(self) -> None:
        names = {one.name.lower(): one for one in RELATIONS}
        self.names = SchemaNames(names, {"ix_name": "Artist"}, ["on_sale"], ["my_function"])

    def schema(self) -> SchemaNames:
        return self.names

    def keys(self, prefix: str, limit: int) -> Sequence[Datum]:
        return [Datum("user:", "about 10 keys", whole=False), Datum("user:1")]

    def values(self, relation: str, column: str, prefix: str, limit: int) -> Sequence[Datum]:
        if column == "Milliseconds":
            return [Datum("1000", numeric=True)]
        return [Datum(f"{prefix}'n {relation}.{column}")]


def complete(text: str, **options: object) -> list[str]:
    cursor = text.find("|")
    text = text.replace("|", "")
    completer = Completer(Music(), **options)  # type: ignore[arg-type]
    return [p.insert for p in completer.complete(text, cursor if cursor >= 0 else len(text))]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("sel", ["select"]),
        ("SEL", ["SELECT"]),
        ("SELECT * FROM ar", ["Artist"]),
        ("SELECT | FROM Artist", ["ArtistId", "Name", "*"]),
        ("SELECT na| FROM Artist", ["Name"]),
        ("SELECT a.| FROM Artist a", ["ArtistId", "Name", "*"]),
        ("SELECT a.n| FROM Artist AS a", ["Name"]),
        ("SELECT a. FROM Artist a WHERE a.|", ["ArtistId", "Name"]),
        ("SELECT * FROM Artist WHERE ", ["ArtistId", "Name"]),
        ("SELECT * FROM Artist WHERE Name LIKE 'x' AND art", ["ArtistId"]),
        ("SELECT * FROM Artist a, Album b WHERE b.ti", ["Title"]),
        ("SELECT * FROM main.art", ["Artist"]),
        ("SELECT * FROM main.Artist a WHERE a.", ["ArtistId", "Name"]),
        ('SELECT * FROM "ord', ['"order"']),
        ("SELECT [na| FROM Artist", ["[Name]"]),
        ("SELECT * FROM ord", ['"order"']),
        ("SELECT * FROM Artist gr", ["group by"]),
        ("SELECT * FROM Artist GROUP ", ["BY"]),
        ("SELECT * FROM Artist ORDER BY na", ["Name"]),
        ("SELECT * FROM Artist ORDER BY Name d", ["desc"]),
        ("SELECT count(*) AS total FROM Artist ORDER BY to", ["total"]),
        ("SELECT * FROM Artist left ", ["join", "outer join"]),
        ("SELECT * FROM Artist WHERE Name IS ", ["NULL", "NOT NULL"]),
        ("SELECT * FROM Artist WHERE Name NOT ", ["IN (", "LIKE"]),
        ("SELECT 1 UNION ", ["ALL SELECT", "SELECT"]),
        ("SELECT CAST(Name AS ", ["INTEGER", "TEXT"]),
        ("SELECT CASE WHEN 1 THEN 2 e", ["else", "end"]),
        ("SELECT count(", ["*)"]),
        ("SELECT sum(mill| FROM Track", ["Milliseconds"]),
        ("SELECT substr(| FROM Track", ["TrackId", "Name"]),
        ("SELECT 1; SELECT * FROM tr", ["Track"]),
        ("explain ", ["analyze", "query plan", "code", "select"]),
        ("EXPLAIN SELECT * FROM alb", ["Album"]),
        ("PRAGMA table_i", ["table_info("]),
        ("PRAGMA table_info(art", ["Artist"]),
        ("DROP TABLE tra", ["Track"]),
        ("DROP VIEW ", ["LongTracks"]),
        ("DROP INDEX ", ["ix_name"]),
        ("DROP TRIGGER ", ["on_sale"]),
        ("ALTER TABLE Artist DROP COLUMN na", ["Name"]),
        ("ALTER TABLE Artist ", ["ADD COLUMN", "RENAME TO"]),
        ("CREATE ", ["TABLE", "INDEX"]),
        ("CREATE TABLE t (id ", ["INTEGER", "TEXT"]),
        ("CREATE TABLE t (a INTEGER, b TEXT, PRIMARY KEY (", ["a", "b"]),
        ("CREATE TABLE t (a INTEGER REFERENCES alb", ["Album"]),
        ("CREATE TABLE t (a INTEGER REFERENCES Album(", ["AlbumId", "Title"]),
        ("CREATE INDEX i ON tra", ["Track"]),
        ("CREATE INDEX i ON Track(na", ["Name"]),
    ],
)
def test_the_likeliest_come_first(text: str, first: list[str]) -> None:
    assert complete(text)[: len(first)] == first


def test_columns_are_qualified_where_a_bare_name_would_be_ambiguous() -> None:
    found = complete("SELECT * FROM Artist a JOIN Album b ON a.ArtistId = b.ArtistId WHERE ")
    assert {"a.ArtistId", "b.ArtistId", "Name", "Title"} <= set(found)
    assert "ArtistId" not in found


def test_a_subquery_sees_its_own_columns_first_and_the_outer_ones_qualified() -> None:
    found = complete("SELECT * FROM Album b WHERE EXISTS (SELECT 1 FROM Track t WHERE |)")
    assert found.index("TrackId") < found.index("b.Title")


def test_a_subquery_in_from_does_not_hide_what_comes_after_it() -> None:
    text = "SELECT d.| FROM (SELECT Name AS artist, ArtistId FROM Artist) d"
    assert complete(text) == ["artist", "ArtistId", "*"]


def test_a_derived_star_gives_the_columns_of_its_sources() -> None:
    text = "SELECT d.| FROM (SELECT a.*, Title FROM Artist a JOIN Album USING (ArtistId)) d"
    assert complete(text) == ["ArtistId", "Name", "Title", "*"]


def test_common_table_expressions_are_relations_with_columns() -> None:
    head = "WITH busy AS (SELECT ArtistId, count(*) AS albums FROM Album GROUP BY 1) SELECT "
    assert complete(head + "* FROM ")[0] == "busy"
    assert complete(head + "busy.| FROM busy") == ["ArtistId", "albums", "*"]
    assert complete("WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE |)")[0] == "i"


def test_joins_follow_foreign_keys_in_both_directions() -> None:
    assert "Album ON Album.ArtistId = a.ArtistId" in complete("SELECT * FROM Artist a JOIN ")[:2]
    assert complete("SELECT * FROM Album b JOIN art")[0] == "Artist ON Artist.ArtistId = b.ArtistId"
    assert complete("SELECT * FROM Artist a JOIN Album b ON ")[0] == "b.ArtistId = a.ArtistId"
    assert complete("SELECT * FROM Artist JOIN Album USING (") == ["ArtistId"]


def test_a_self_join_gets_an_alias() -> None:
    found = complete("SELECT * FROM Employee JOIN emp")
    assert found[0] == "Employee e2 ON e2.EmployeeId = Employee.ReportsTo"


def test_insert_offers_the_column_list_and_leaves_out_listed_columns() -> None:
    assert complete("INSERT INTO Artist ")[0] == "(ArtistId, Name) VALUES ("
    assert complete("INSERT INTO Artist (Name, ") == ["ArtistId"]
    assert complete("insert into art") == ["Artist"]


def test_update_and_upsert_offer_the_targets_columns() -> None:
    assert complete("UPDATE Artist SET ") == ["ArtistId = ", "Name = "]
    upsert = "INSERT INTO Artist VALUES (1, 'x') ON CONFLICT "
    assert complete(upsert + "(") == ["ArtistId", "Name"]
    assert complete(upsert + "(ArtistId) DO UPDATE SET na") == ["Name = "]
    assert "excluded." in complete(upsert + "(ArtistId) DO UPDATE SET Name = e")
    assert complete(upsert + "(ArtistId) DO UPDATE SET Name = excluded.") == ["ArtistId", "Name"]
    assert complete("DELETE FROM Artist WHERE na")[0] == "Name"


def test_values_come_from_the_data_with_quotes_doubled() -> None:
    assert complete("SELECT * FROM Artist WHERE Name = 'A") == ["'A''n Artist.Name'"]
    assert complete("SELECT * FROM Artist a WHERE a.Name IN ('x', '") == ["'''n Artist.Name'"]
    assert complete("SELECT * FROM Artist WHERE Name LIKE 'A") == ["'A''n Artist.Name'"]
    assert complete("UPDATE Artist SET Name = 'A") == ["'A''n Artist.Name'"]
    assert complete("SELECT * FROM Track WHERE Milliseconds > ")[0] == "1000"
    assert complete("SELECT 'nothing is known of th") == []


def test_keys_of_the_raw_key_space_are_offered_in_sql() -> None:
    assert complete("SELECT value FROM kv WHERE key = 'us") == ["'user:", "'user:1'"]


def test_nothing_is_offered_in_comments_and_after_finished_tokens() -> None:
    assert complete("-- sel") == []
    assert complete("SELECT /* sel") == []
    assert complete("SELECT 42") == []
    assert complete("SELECT 'x'") == []


def test_keywords_follow_the_case_that_is_typed() -> None:
    assert complete("select * from Artist wh") == ["where"]
    assert complete("SELECT * FROM Artist ")[0] == "WHERE"
    assert complete("select * from Artist ")[0] == "where"
    assert complete("sel", keyword_case="upper") == ["SELECT"]


def test_fuzzy_matches_come_after_prefixes() -> None:
    found = complete("SELECT * FROM Artist JOIN Track WHERE id")
    assert found[:2] == ["ArtistId", "TrackId"]
    assert complete("SELECT * FROM lt") == ["LongTracks"]
    assert "Milliseconds" in complete("SELECT * FROM Track WHERE mlsec")


def test_names_that_were_used_come_before_others_of_their_class() -> None:
    plain = complete("SELECT | FROM Track")
    used = complete("SELECT | FROM Track", used={"unitprice": 3})
    assert plain[0] == "TrackId" and used[0] == "UnitPrice"


def test_columns_of_all_tables_are_offered_before_there_is_a_from() -> None:
    assert complete("SELECT mill")[0] == "Milliseconds"


def test_functions_that_a_program_registered_are_offered() -> None:
    assert "my_function(" in complete("SELECT my_f")


def test_trigger_bodies_know_new_and_old() -> None:
    text = "CREATE TRIGGER t AFTER UPDATE ON Artist BEGIN INSERT INTO Album (Title) VALUES (NEW."
    assert "Name" in complete(text)


@pytest.mark.parametrize(
    "text",
    ["(" * 500, ")" * 50, "SELECT " * 100, "'", '"', "[", "x'", ";;;", "WITH", "WITH x AS", "FROM FROM",
     "SELECT * FROM (SELECT * FROM (", "\x00\x01", "SELECT é FROM ü WHERE ", "INSERT INTO ON CONFLICT"],
)  # fmt: skip
def test_nonsense_is_no_reason_to_fail(text: str) -> None:
    for cursor in range(len(text) + 1):
        Completer(Music()).complete(text, cursor)


def test_every_cursor_in_a_long_statement_gives_an_answer() -> None:
    text = (
        "WITH a AS (SELECT * FROM Artist), b(x, y) AS (VALUES (1, 2)) SELECT DISTINCT a.Name, (SELECT count(*)"
        " FROM Album WHERE ArtistId = a.ArtistId) FROM a LEFT JOIN b ON a.ArtistId = b.x WHERE a.Name LIKE 'A%'"
        " AND EXISTS (SELECT 1 FROM Track WHERE UnitPrice BETWEEN 1 AND 2) GROUP BY 1 HAVING count(*) > 1"
        " ORDER BY a.Name DESC NULLS LAST LIMIT 10 OFFSET 5;"
    )
    completer = Completer(Music())
    for cursor in range(len(text) + 1):
        for proposal in completer.complete(text, cursor):
            assert proposal.start <= cursor


def test_signatures_follow_the_argument_being_typed() -> None:
    signature = signature_at("SELECT substr(Name, 2", 21, Music())
    assert signature is not None
    assert signature.text.startswith("substr(") and signature.argument == 1
    row = signature_at("INSERT INTO Artist VALUES (1, ", 30, Music())
    assert row is not None and row.text == "Artist(ArtistId, Name)" and row.argument == 1
    assert signature_at("SELECT 1", 8, Music()) is None


def test_the_functions_with_signatures_are_those_that_there_are() -> None:
    with kvsh.connect(":memory:") as connection:
        listed = connection.execute("SELECT DISTINCT name FROM pragma_function_list")
        known = {name for (name,) in listed if name.isidentifier()}
    assert set(FUNCTIONS) == known - {"current_date", "current_time", "current_timestamp"}
