"""Attached databases in the shell: listings as sqlite3's shell has them, commands that name a database, completion."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from btree import open_memory
from kvsh.complete import Completer
from kvsh.guard import danger_of, question, rows_of
from kvsh.repl.live import LiveCatalog
from kvsh.undo import UndoError, UndoLog, dry_run, said
from sql import Session
from tests.shell.running import kvsh

SCRIPT = """
CREATE TABLE t (a, b);
ATTACH 'aux.db' AS aux;
CREATE TABLE aux.t (a, c);
CREATE TABLE aux.only (x UNIQUE);
CREATE INDEX aux.by_a ON t (a);
CREATE TRIGGER aux.tr AFTER INSERT ON t BEGIN SELECT 1; END;
INSERT INTO aux.t VALUES (1, 2), (3, 4);
CREATE TEMP TABLE scratch (z);
"""
SQLITE3 = shutil.which("sqlite3")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    outcome = kvsh("main.db", stdin=SCRIPT, cwd=tmp_path)
    assert outcome == (0, "", "")
    return tmp_path


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session(open_memory())
    for statement in (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, mainly)",
        "ATTACH ':memory:' AS aux",
        "CREATE TABLE aux.t (id INTEGER PRIMARY KEY, elsewhere)",
        "CREATE TABLE aux.only (x)",
        "INSERT INTO aux.t (elsewhere) VALUES (1), (2), (3)",
    ):
        session.execute(statement).close()
    yield session
    session.close()


@pytest.mark.skipif(SQLITE3 is None, reason="there is no sqlite3 shell")
@pytest.mark.parametrize(
    "command", [".tables", ".tables t%", ".indexes", ".indexes t", ".schema t"]
)
def test_listings_are_those_of_the_sqlite3_shell(command: str, tmp_path: Path) -> None:
    (tmp_path / "sqlite").mkdir()
    script = f"{SCRIPT}{command}\n"
    expected = subprocess.run(
        [str(SQLITE3), "main.db"],
        input=script,
        capture_output=True,
        cwd=tmp_path / "sqlite",
        text=True,
        check=True,
    ).stdout
    ours = kvsh("main.db", stdin=script, cwd=tmp_path)
    assert ours.err == ""
    if command.startswith(".schema"):
        assert ours.out.splitlines() == expected.splitlines()
    else:
        assert sorted(ours.out.split()) == sorted(expected.split())


def test_commands_take_the_name_of_a_database(folder: Path) -> None:
    attach = "ATTACH 'aux.db' AS aux;"
    asked = f"""{attach}
.databases
.schema aux.only
.indexes aux.t
.describe aux.only
.summarize aux.only
.dump
"""
    outcome = kvsh("main.db", stdin=asked, cwd=folder)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "main: main.db (read/write)",
        "aux: aux.db (read/write)",
        "CREATE TABLE aux.only (x UNIQUE);",
        "aux.by_a",
        "x||yes||unique",
        "x||0|0|||",
        "BEGIN TRANSACTION;",
        "CREATE TABLE t (a, b);",
        "COMMIT;",
    ]
    (folder / "rows.csv").write_text("a,c\n5,6\n")
    done = kvsh(
        "main.db",
        stdin=f"{attach}\n.import rows.csv aux.t\n.import rows.csv aux.made\n"
        ".export out.csv aux.t\nSELECT count(*) FROM main.t;\nSELECT * FROM aux.made;\n",
        cwd=folder,
    )
    assert done.status == 0
    assert done.out.splitlines()[-2:] == ["0", "5|6"]
    assert (folder / "out.csv").read_text() == "a,c\n1,2\n3,4\n5,6\n"
    for name in ("aux.nope", "nope.t"):
        wrong = kvsh("main.db", stdin=f"{attach}\n.describe {name}\n", cwd=folder)
        assert wrong.status == 1
        assert f"no such table: {name}" in wrong.err


def test_one_statement_a_command(folder: Path) -> None:
    outcome = kvsh(
        "main.db",
        "ATTACH 'aux.db' AS aux",
        "SELECT * FROM aux.t",
        "SELECT count(*) FROM t",
        cwd=folder,
    )
    assert outcome == (0, "1|2\n3|4\n0\n", "")


def test_safe_attaches_no_file(folder: Path) -> None:
    refused = kvsh("--safe", "main.db", "ATTACH 'aux.db' AS aux", cwd=folder)
    assert refused.status != 0
    assert "not available with --safe" in refused.err
    allowed = kvsh(
        "--safe",
        "main.db",
        "ATTACH ':memory:' AS m; CREATE TABLE m.t AS SELECT 7; SELECT * FROM m.t",
        cwd=folder,
    )
    assert allowed == (0, "7\n", "")


def test_no_output_over_an_attached_database(folder: Path) -> None:
    outcome = kvsh("main.db", stdin="ATTACH 'aux.db' AS aux;\n.output aux.db\n", cwd=folder)
    assert outcome.status == 1
    assert "aux.db is an attached database itself" in outcome.err


def _completions(session: Session, text: str) -> list[str]:
    return [found.insert for found in Completer(LiveCatalog(session)).complete(text)]


def test_completion_knows_databases(session: Session) -> None:
    assert "aux." in _completions(session, "SELECT * FROM a")
    assert set(_completions(session, "SELECT * FROM aux.")) == {"t", "only"}
    assert "elsewhere" in _completions(session, "SELECT * FROM aux.t WHERE el")
    assert "elsewhere" not in _completions(session, "SELECT * FROM main.t WHERE el")
    assert "mainly" in _completions(session, "SELECT * FROM t WHERE ma")
    session.execute("DETACH aux").close()
    assert "aux." not in _completions(session, "SELECT * FROM a")


def test_guards_count_the_rows_of_the_right_table(session: Session) -> None:
    for text, rows in (("DELETE FROM aux.t", 3), ("DELETE FROM t", 0), ("DROP TABLE main.t", 0)):
        danger = danger_of(text)
        assert danger is not None
        with session.reading() as transaction:
            total = rows_of(danger, session.schema, transaction)
        assert total == rows
        assert question(danger, session.schema, touched=rows, total=total)


def test_a_dry_run_tells_of_all_databases_and_changes_none(session: Session) -> None:
    changes = dry_run(session, lambda: session.execute("DELETE FROM aux.t WHERE id > 1").close())
    assert said(changes, ("deletes", "inserts", "changes")) == ["deletes 2 of 3 rows of aux.t"]
    changes = dry_run(session, lambda: session.execute("CREATE TABLE aux.new (a)").close())
    assert changes.created == ["table aux.new"]
    assert session.execute("SELECT count(*) FROM aux.t").fetch_all() == [(3,)]


def test_undo_refuses_what_was_written_elsewhere(session: Session) -> None:
    history = UndoLog(session.store)
    for statement in ("INSERT INTO t VALUES (1, 1)", "DELETE FROM aux.t"):
        history.before(session)
        session.execute(statement).close()
        history.after(session, statement)
    with pytest.raises(UndoError, match="has written to aux"):
        history.undo(session)
    assert session.execute("SELECT count(*) FROM t").fetch_all() == [(1,)]
    history.before(session)
    session.execute("INSERT INTO t VALUES (2, 2)").close()
    history.after(session, "INSERT INTO t VALUES (2, 2)")
    history.undo(session)
    assert session.execute("SELECT id FROM main.t").fetch_all() == [(1,)]
    history.forget()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["file:none.db?mode=rw", "SELECT 1"],
            "kvsh: file:none.db?mode=rw: unable to open database file",
        ),
        (
            ["file:main.db?mode=foo", "SELECT 1"],
            "kvsh: file:main.db?mode=foo: no such access mode: foo",
        ),
        (["file:main.db?mode=ro", "DELETE FROM t"], "error: the database is open read-only"),
        (
            ["-c", "ATTACH 'file:main.db?mode=ro' AS m", "-c", "DELETE FROM m.t"],
            "attempt to write a readonly",
        ),
        (["-c", "ATTACH 'file:main.db?mode=foo' AS m"], "no such access mode: foo"),
        (
            ["-c", "ATTACH 'file:none.db?mode=rw' AS m"],
            "unable to open database: file:none.db?mode=rw",
        ),
        (
            ["-c", ".open file:none.db?mode=rw"],
            "error: file:none.db?mode=rw: unable to open database file",
        ),
    ],
)
def test_what_a_uri_does_not_allow(folder: Path, words: list[str], message: str) -> None:
    status, out, err = kvsh(*words, cwd=folder)
    assert (status, out) == (1, "")
    assert message in err
    assert not (folder / "none.db").exists()


def test_databases_named_by_uris(folder: Path) -> None:
    (folder / "below").mkdir()
    script = """
ATTACH 'file:aux.db?mode=ro' AS a;
.cd below
ATTACH 'file:../aux.db' AS b;
ATTACH 'file:made.db' AS c;
SELECT count(*) FROM a.t JOIN b.t USING (a);
.open file:../main.db?mode=ro
.databases
.open file:x?mode=memory
CREATE TABLE x (a);
.open :memory:
.tables
"""
    status, out, err = kvsh("file:main.db", stdin=script, cwd=folder)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "2"
    assert out.splitlines()[1].endswith("main.db (read-only)")
    assert len(out.splitlines()) == 2
    made = sorted(path.name for path in (*folder.iterdir(), *(folder / "below").iterdir()))
    assert made == ["aux.db", "below", "made.db", "main.db"]
