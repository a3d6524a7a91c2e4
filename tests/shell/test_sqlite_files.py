"""A database of SQLite's taken over by `.import`; its own dump is the oracle."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from btree import open_memory
from kvsh.transfer import TransferError, dump, import_file
from sql import Session
from tests.shell.running import kvsh

Make = Callable[[str], Path]

SCHEMA = """
CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT COLLATE NOCASE UNIQUE, double AS (id * 2));
CREATE TABLE "chi ld" (pid INT REFERENCES parent(id) ON DELETE CASCADE, v, CHECK (v <> 'bad'));
CREATE TABLE pair (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE INDEX by_v ON "chi ld"(v, pid DESC) WHERE v IS NOT NULL;
CREATE VIEW both AS SELECT name, v FROM parent JOIN "chi ld" ON pid = id;
CREATE TRIGGER gone AFTER DELETE ON parent BEGIN DELETE FROM pair WHERE a = old.id; END;
INSERT INTO parent (name) VALUES ('Ada'), (NULL), ('naïve');
DELETE FROM parent WHERE id = 3;
INSERT INTO "chi ld" VALUES (1, 1), (1, 1.5), (2, 'x''y'), (NULL, x'00ff'), (1, NULL), (2, -9223372036854775808),
    (1, 9e999), (2, char(10) || char(0) || '"');
INSERT INTO pair VALUES (1, 2), ('b', 'a');
PRAGMA user_version = 7;
"""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(script: str) -> Path:
        path = tmp_path / "app data?.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(script)
        return path

    return made


def contents(
    execute: Callable[[str], list[tuple[object, ...]]],
) -> dict[str, list[tuple[object, ...]]]:
    """All that can be seen from outside, as either of the two engines gives it."""
    objects = execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql NOT NULL ORDER BY 1, 2"
    )
    found = {"objects": [row for row in objects if row[1] != "kv"]}
    for kind, name, *_ in objects:
        if kind in ("table", "view"):
            found[str(name)] = sorted(execute(f'SELECT * FROM "{name}"'), key=repr)
    found["version"] = execute("PRAGMA user_version")
    return found


def session_of(path: Path, table: str | None = None) -> tuple[Session, list[str]]:
    session, reports = Session(open_memory()), []
    import_file(session, str(path), table, report=reports.append)
    return session, reports


def test_all_of_it_is_there(make: Make) -> None:
    path = make(SCHEMA)
    session, reports = session_of(path)
    assert reports == []
    with closing(sqlite3.connect(path)) as connection:
        expected = contents(lambda query: connection.execute(query).fetchall())
    assert contents(lambda query: session.execute(query).fetch_all()) == expected


def test_what_was_taken_over_goes_on_alike(make: Make) -> None:
    """AUTOINCREMENT does not give an id again, triggers fire, SQLite reads the dump."""
    session, _ = session_of(make(SCHEMA))
    session.execute("INSERT INTO parent (name) VALUES ('Bob')").close()
    session.execute("DELETE FROM parent WHERE id = 1").close()
    assert session.execute("SELECT id FROM parent").fetch_all() == [(2,), (4,)]
    assert session.execute("SELECT * FROM pair").fetch_all() == [("b", "a")]
    pieces: list[str] = []
    dump(session, pieces.append)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript("".join(pieces))
        assert connection.execute('SELECT count(*) FROM "chi ld"').fetchone() == (8,)


def test_one_table_of_it(make: Make) -> None:
    session, _ = session_of(make(SCHEMA), "CHI LD")
    names = session.execute("SELECT name FROM sqlite_master ORDER BY 1").fetch_all()
    assert names == [("by_v",), ("chi ld",)]
    with pytest.raises(TransferError, match="has no table called pear"):
        session_of(make(""), "pear")


def test_what_has_no_meaning_here_is_left_out_and_said(make: Make) -> None:
    path = make(
        "CREATE TABLE t (a, n INT); INSERT INTO t VALUES (CAST(x'ff41' AS TEXT), 1), ('ok', 2);"
    )
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("twice", 1, lambda number: 2 * number, deterministic=True)
        connection.execute("CREATE INDEX doubled ON t(twice(n))")
        connection.execute("CREATE VIRTUAL TABLE box USING rtree(id, x0, x1)")
        connection.commit()
    session, reports = session_of(path)
    assert [report.replace(f"{path}: ", "") for report in reports] == [
        "table box: left out: it is virtual",
        "index doubled: left out: no such function: twice",
    ]
    assert session.execute("SELECT a FROM t").fetch_all() == [(b"\xffA",), ("ok",)]
    assert [table.name for table in session.schema.tables.values()] == ["t"]


def test_nothing_is_loaded_if_a_table_is_there_already(make: Make, tmp_path: Path) -> None:
    path = make("CREATE TABLE first (a); CREATE TABLE track (a); INSERT INTO first VALUES (1);")
    assert kvsh(tmp_path / "app.db", "CREATE TABLE track (b)").status == 0
    done = kvsh(tmp_path / "app.db", ".import", path)
    assert done.status == 1 and "table track already exists; nothing was loaded" in done.err
    assert kvsh(tmp_path / "app.db", ".tables").out == "track\n"


def test_a_damaged_file_is_a_sentence(make: Make, tmp_path: Path) -> None:
    path = make(SCHEMA)
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))
    done = kvsh(tmp_path / "app.db", ".import", path)
    assert done.status == 1 and done.err.startswith(f"kvsh: {path}: ") and "malformed" in done.err
    assert kvsh(tmp_path / "app.db", ".tables").out == ""


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_text("not a database")
    done = kvsh(tmp_path / "app.db", ".import", tmp_path / "a.sqlite", "--format", "sqlite")
    assert done.status == 1 and done.err.endswith("a.sqlite is no database of SQLite's\n")


def test_opening_one_says_what_to_do(make: Make, tmp_path: Path) -> None:
    path = make(SCHEMA)
    advice = f"`kvsh NEW.db .import {path}` makes a database of it"
    assert advice in kvsh(path, "SELECT 1").err
    assert advice in kvsh(tmp_path / "app.db", f".open '{path}'").err
    uri = f"file:{quote(str(path))}"
    assert advice in kvsh(uri, "SELECT 1").err
    assert advice in kvsh(tmp_path / "app.db", f".open '{uri}?mode=ro'").err
