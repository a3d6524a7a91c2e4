"""`.describe` and `.summarize`: what a table is made of, and what is in it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.shell.conftest import Shell
from tests.shell.running import kvsh

SCRIPT = """
CREATE TABLE artist (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, born INT DEFAULT 1900);
CREATE TABLE album (
    id INTEGER PRIMARY KEY, artist_id INT REFERENCES artist(id) ON DELETE CASCADE,
    title TEXT, size REAL, label AS (upper(title)), CHECK (size > 0)
);
CREATE TABLE pair (a, b, PRIMARY KEY (b, a)) WITHOUT ROWID;
CREATE INDEX by_title ON album(title, length(title)) WHERE size > 1;
CREATE VIEW big AS SELECT id, title FROM album WHERE size > 10;
CREATE TRIGGER looked AFTER UPDATE ON album BEGIN SELECT 1; END;
INSERT INTO artist (name) VALUES ('Ada'), ('Bob');
INSERT INTO album (artist_id, title, size) VALUES (1, 'x', 1.5), (1, 'y', NULL), (2, 'x', 20), (2, NULL, 'much');
put user:1 Ada
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "music.db"
    assert kvsh(path, stdin=SCRIPT) == (0, "", "")
    return path


def test_names_of_databases_are_quoted_where_they_must_be(shell: Shell) -> None:
    shell(
        'ATTACH \':memory:\' AS "my db"; CREATE TABLE "my db".t (a); CREATE VIEW "my db".v AS SELECT 1 AS b, 2;'
    )
    lines = shell(".describe").splitlines()
    assert '"my db".t|table|0|1|0' in lines and '"my db".v|view||2|0' in lines
    assert shell(".describe 'my db.t'") == "a||yes||\n"


def test_a_tables_columns_and_what_is_to_be_said_of_it(database: Path) -> None:
    assert kvsh(database, "--mode", "column", "--null", "-", ".describe album") == (0, """\
column     type     null  default              key
---------  -------  ----  -------------------  -----------------
id         INTEGER  no    -                    primary key
artist_id  INT      yes   -                    references artist
title      TEXT     yes   -                    -
size       REAL     yes   -                    -
label               yes   always upper(title)  -
4 rows
index by_title (title, length(title)) where size > 1
check (size > 0)
foreign key (artist_id) references artist(id) on delete cascade
trigger looked after update
""", "")  # fmt: skip


def test_no_default_is_empty_for_people_and_null_for_programs(shell: Shell) -> None:
    """Both were NULL on a terminal, as a default that is NULL is."""
    shell("CREATE TABLE d (a, b DEFAULT NULL, c DEFAULT '');")
    assert shell(".describe d") == "a||yes||\nb||yes|NULL|\nc||yes|''|\n"
    shell.environment.target.set_terminal(True)
    shell.environment.screen = 80
    lines = shell(".mode column\n.describe d").splitlines()
    assert [line.split() for line in lines[2:5]] == [
        ["a", "yes"],
        ["b", "yes", "NULL"],
        ["c", "yes", "''"],
    ]


def test_keys_of_several_columns_and_what_refers_to_a_table(database: Path) -> None:
    artist = kvsh(database, "--mode", "column", ".describe ARTIST").out
    assert "name    TEXT     no             unique\n" in artist
    assert "born    INT      yes   1900" in artist
    assert (
        "2 rows\nunique index sqlite_autoindex_artist_1 (name)\nreferenced by album (artist_id)\n"
        in artist
    )
    pair = kvsh(database, "--csv", ".describe pair").out
    assert pair.splitlines()[1:] == [
        'a,"",no,,"primary key, 2 of 2"',
        'b,"",no,,"primary key, 1 of 2"',
    ]


def test_a_program_gets_the_columns_alone(database: Path) -> None:
    rows = json.loads(kvsh(database, "--json", ".describe artist").out)
    assert [row["column"] for row in rows] == ["id", "name", "born"]
    assert kvsh(database, ".describe big").out == "id\ntitle\n"
    assert kvsh(database, ".describe kv").out == "key\nvalue\n"


def test_without_a_name_all_relations_with_their_sizes(database: Path) -> None:
    assert kvsh(database, ".describe").out.splitlines() == [
        "album|table|4|5|1", "artist|table|2|3|1", "big|view||2|0", "pair|table|0|2|0", "kv|raw keys|1|2|0",
    ]  # fmt: skip


def test_a_misspelt_table_gets_the_nearest_name(database: Path) -> None:
    for command in (".describe", ".summarize"):
        done = kvsh(database, command, "albim")
        assert done == (1, "", "kvsh: no such table: albim; did you mean album?\n")


def test_the_figures_of_a_table_are_those_that_sqlite_counts(database: Path) -> None:
    rows = json.loads(kvsh(database, "--json", ".summarize album").out)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCRIPT.partition("put")[0])
        for row in rows:
            column = row["column"]
            expected = connection.execute(
                f"SELECT count(*) - count({column}), count(DISTINCT {column}), min({column}), max({column}) FROM album"
            ).fetchone()
            assert tuple(row[name] for name in ("nulls", "distinct", "min", "max")) == expected
    about = {row["column"]: (row["types"], row["mean"]) for row in rows}
    assert about["id"] == ("integer", 2.5) and about["title"] == ("text", None)
    assert about["size"] == ("real,text", 10.75)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("SELECT id, id AS id FROM artist;", "id|integer|0|2|1|2|1.5\nid|integer|0|2|1|2|1.5\n"),
        (
            "WITH x AS (SELECT 1 AS a) SELECT a, NULL FROM x",
            "a|integer|0|1|1|1|1.0\nNULL||1|0|||\n",
        ),
        ("VALUES (1), (3)", "column1|integer|0|2|1|3|2.0\n"),
        ('"artist"', "id|integer|0|2|1|2|1.5\n"),
        ("kv", "key|text|0|1|user:1|user:1|\n"),
        ("SELECT id FROM artist WHERE id > :least", "id|integer|0|1|2|2|2.0\n"),
    ],
)
def test_a_query_is_summed_up_as_a_table_is(database: Path, source: str, expected: str) -> None:
    done = kvsh(database, "--param", "least=1", f".summarize {source}")
    assert done.out.startswith(expected), done.err


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("SELECT nme FROM artist", "<argument>:1:19: error: no such column: nme"),
        ("WITH x AS (SELECT 1) DELETE FROM artist", "this would change the database"),
        ("SELECT 1) FROM (SELECT 2", "error: near"),
        ("", "usage: .summarize TABLE"),
    ],
)
def test_what_is_no_query_is_refused(database: Path, source: str, complaint: str) -> None:
    done = kvsh(database, f".summarize {source}")
    assert done.status in (1, 2) and complaint in done.err, done.err
    assert kvsh(database, "SELECT count(*) FROM artist").out == "2\n"
