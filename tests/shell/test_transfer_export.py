"""`kvsh.transfer.export_file` and `dump`: what is written can be loaded again, by sqlite3 too."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btree import open_memory
from kvsh.transfer import TransferError, dump, export_file, import_file
from kvsh.transfer.writers import WRITERS
from sql import Session, SqlError

AWKWARD: list[tuple[Any, ...]] = [
    (1, "plain", 1.5, b"blob"),
    (2, "None", None, None),
    (3, 'q"uote', -0.0, b"\xff\x00"),
    (4, "com,ma", 1e300, b""),
    (5, "new\nline\r\n", 0.1 + 0.2, b"'"),
    (6, "", 5e-324, b"x'"),
    (7, "it's é \U0001f600 %s", float("inf"), None),
    (8, "tab\t", -1.0, b"b'x'"),
]


@pytest.fixture
def session() -> Session:
    opened = Session(open_memory())
    opened.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, s TEXT, r REAL, b BLOB)")
    opened.execute_many("INSERT INTO t VALUES (?, ?, ?, ?)", AWKWARD)
    return opened


def written(session: Session, source: str | None, kind: str | None) -> str:
    out = io.StringIO()
    export_file(session, out, source, format=kind)
    return out.getvalue()


def shown(blob: bytes | None, other: str = "X'ff00'") -> str:
    """A blob as its text; `other` for the one that is none."""
    return "" if blob is None else other if blob == b"\xff\x00" else blob.decode()


@pytest.mark.parametrize(("kind", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_csv_reads_back_what_was_written(session: Session, kind: str, delimiter: str) -> None:
    text = written(session, "t", kind)
    header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    assert header == ["a", "s", "r", "b"]
    assert rows == [[str(a), s, "" if r is None else repr(r), shown(b)] for a, s, r, b in AWKWARD]


def test_plain_rows_and_careful_ones_look_the_same(session: Session) -> None:
    whole = written(session, "SELECT a, s, r, b FROM t", "csv")
    single = "".join(
        [
            written(session, f"SELECT a, s, r, b FROM t WHERE a = {row[0]}", "csv").split("\n", 1)[
                1
            ]
            for row in AWKWARD
        ]
    )
    assert whole == "a,s,r,b\n" + single


_pieces = st.lists(st.sampled_from("a,é\"\n\r\t\0\1\\[]'N"), max_size=4).map("".join)
_values = st.none() | st.integers(-9, 9) | st.floats(allow_nan=False) | _pieces | st.just("null")


@pytest.mark.parametrize(("kind", "delimiter"), [("csv", ","), ("tsv", "\t")])
@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[_values] * n), min_size=1)))
def test_any_rows_read_back(kind: str, delimiter: str, batch: list[tuple[Any, ...]]) -> None:
    out = io.StringIO()
    WRITERS[kind](out, ["n"] * len(batch[0]), "t")(batch)
    _, *read = csv.reader(io.StringIO(out.getvalue(), newline=""), delimiter=delimiter)
    assert read == [["" if value is None else str(value) for value in row] for row in batch]


def test_a_lone_empty_field_is_no_empty_line(session: Session) -> None:
    text = written(session, "SELECT s FROM t WHERE a IN (1, 6) UNION ALL SELECT NULL", "csv")
    assert list(csv.reader(io.StringIO(text))) == [["s"], ["plain"], [""], [""]]
    assert written(session, "SELECT 'x' AS s UNION ALL SELECT ''", "csv") == 's\nx\n""\n'


def test_json_is_json(session: Session) -> None:
    rows = json.loads(written(session, "t", "json").replace("1e999", "Infinity"))
    assert [(row["a"], row["s"], row["r"]) for row in rows] == [row[:3] for row in AWKWARD]
    assert [row["b"] for row in rows] == [
        None if row[3] is None else shown(row[3], "ff00") for row in AWKWARD
    ]
    lines = written(session, "SELECT a, s FROM t", "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == [{"a": row[0], "s": row[1]} for row in AWKWARD]
    assert json.loads(written(session, "SELECT 1 AS x WHERE 0", "json")) == []
    assert written(session, "SELECT 1 AS x WHERE 0", "jsonl") == ""
    odd_name = """SELECT 1 AS "a %s ""b\"\"\""""
    assert json.loads(written(session, odd_name, "jsonl")) == {'a %s "b"': 1}


def test_sql_loads_into_sqlite3(session: Session) -> None:
    oracle = sqlite3.connect(":memory:")
    oracle.executescript(written(session, "t", "sql"))
    assert oracle.execute("SELECT * FROM t").fetchall() == AWKWARD
    oracle.execute("DELETE FROM t")
    inserts = written(session, "SELECT * FROM t WHERE a < 3", "sql")
    oracle.executescript(inserts)
    assert oracle.execute("SELECT * FROM t").fetchall() == AWKWARD[:2]


@pytest.mark.parametrize("name", ["o.csv", "o.tsv", "o.json", "o.jsonl", "o.sql"])
def test_what_is_exported_can_be_imported(session: Session, tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    query = "SELECT a, s, coalesce(r, 0.5) AS r FROM t WHERE a <> 7"
    assert export_file(session, path, query) == 7
    other = Session(open_memory())
    if name == "o.sql":
        other.execute("CREATE TABLE t(a, s, r)")
    import_file(other, path, None if name == "o.sql" else "t")
    assert other.execute("SELECT * FROM t").fetch_all() == session.execute(query).fetch_all()


def test_a_file_appears_only_when_it_is_complete(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text("before")
    query = "SELECT a, abs(CASE WHEN a = 8 THEN -9223372036854775807 - 1 ELSE a END) FROM t"
    with pytest.raises(Exception, match="integer overflow"):
        export_file(session, str(path), query)
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["o.csv"]
    export_file(session, str(path), "SELECT 1 AS a")
    assert path.read_text() == "a\n1\n"


def test_mistakes_are_said_in_a_sentence(session: Session, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="unknown format 'xml'"):
        export_file(session, "o", "t", format="xml")
    with pytest.raises(TransferError, match="is a directory"):
        export_file(session, str(tmp_path), "t", format="csv")
    with pytest.raises(TransferError, match="no such directory"):
        export_file(session, str(tmp_path / "no" / "o.csv"), "t")
    with pytest.raises(TransferError, match="which table or query"):
        export_file(session, "o.csv", None, format="csv")
    with pytest.raises(Exception, match="no such table: nothing"):
        export_file(session, str(tmp_path / "o.csv"), "nothing")
    assert list(tmp_path.iterdir()) == []


def test_a_name_as_long_as_names_may_be_is_written_to(session: Session, tmp_path: Path) -> None:
    """The file it is written to first had the whole name and more, which was too long."""
    for name in ("n" * 255, "ü" * 125 + ".csv", "x" * 251 + ".csv"):
        assert export_file(session, str(tmp_path / name), "t", format="csv") == len(AWKWARD)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_symbolic_link_stays_one_and_permissions_stay(session: Session, tmp_path: Path) -> None:
    """The new file took the place of the link, and what was private could be read by everybody."""
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to("real.csv")
    export_file(session, str(link), "t")
    assert link.is_symlink()
    assert real.read_text().startswith("a,s,r,b\n")
    assert real.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_made_is_named_as_it_was_given(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = "n" * 256
    with pytest.raises(OSError, match="File name too long") as raised:
        export_file(session, path, "t", format="csv")
    assert raised.value.filename == path


def test_a_table_may_be_named_like_a_query(session: Session, tmp_path: Path) -> None:
    session.execute('CREATE TABLE "select x"(a)')
    session.execute('INSERT INTO "select x" VALUES (1)')
    assert written(session, "select x", "csv") == "a\n1\n"


def dumped(session: Session, *tables: str) -> str:
    out = io.StringIO()
    dump(session, out.write, tables)
    return out.getvalue()


def test_a_dump_loaded_again_gives_the_same_dump(session: Session, tmp_path: Path) -> None:
    session.execute("CREATE TABLE u(x, y AS (x * 2))")
    session.execute("INSERT INTO u VALUES (1), (NULL)")
    session.execute("CREATE INDEX i ON t(s)")
    session.execute("CREATE VIEW v AS SELECT a FROM t")
    session.execute("CREATE TRIGGER tr AFTER INSERT ON u BEGIN DELETE FROM t WHERE a = 99; END")
    with session.writing() as transaction:
        transaction.tree(1).put(b"key", b"it's")
    text = dumped(session)
    path = tmp_path / "d.sql"
    path.write_text(text)
    other = Session(open_memory())
    import_file(other, str(path))
    assert dumped(other) == text
    oracle = sqlite3.connect(":memory:")
    oracle.executescript(text)
    assert oracle.execute("SELECT * FROM t").fetchall() == AWKWARD
    assert oracle.execute("SELECT * FROM kv").fetchall() == [("key", "it's")]


def test_a_dump_of_some_tables_has_their_indexes_and_triggers(session: Session) -> None:
    session.execute("CREATE TABLE u(x)")
    session.execute("CREATE TABLE users(x)")
    session.execute("CREATE INDEX i ON t(s)")
    session.execute("CREATE INDEX j ON u(x)")
    session.execute("CREATE TRIGGER tr AFTER INSERT ON u BEGIN DELETE FROM t WHERE a = 99; END")
    text = dumped(session, "U")
    assert "CREATE TABLE u(x)" in text
    assert "INDEX j" in text
    assert "TRIGGER tr" in text
    assert "TABLE t(" not in text
    assert "INDEX i " not in text
    assert "TABLE users" not in text
    assert "TABLE users" in dumped(session, "u%")
    with pytest.raises(TransferError, match="no such table: nothing"):
        dumped(session, "nothing")


@pytest.mark.parametrize(
    "source",
    [
        "WITH q AS (SELECT 1) DELETE FROM t",
        "PRAGMA user_version = 7",
        "WITH q AS (SELECT 1) INSERT INTO t DEFAULT VALUES",
    ],
)
def test_what_would_change_the_database_is_refused_before_it_does(
    session: Session, tmp_path: Path, source: str
) -> None:
    """It was done, and then refused since it gave no rows."""
    before = session.execute("SELECT count(*) FROM t").fetch_all()
    with pytest.raises(TransferError, match="would change"):
        export_file(session, str(tmp_path / "out.csv"), source)
    assert session.execute("SELECT count(*) FROM t").fetch_all() == before
    assert session.execute("PRAGMA user_version").fetch_all() == [(0,)]
    session.execute("DELETE FROM t")  # may write again


def test_tables_of_markdown_and_html_are_written_as_all_others(
    session: Session, tmp_path: Path
) -> None:
    """Names with blanks were taken for queries, DELETE was executed, and the file began to change before the
    result was there."""
    session.execute('CREATE TABLE "my table"(a)')
    session.execute("""INSERT INTO "my table" VALUES ('x')""")
    path = tmp_path / "out.md"
    assert export_file(session, str(path), "my table") == 1
    assert path.read_text() == "| a   |\n| --- |\n| x   |\n"
    for source in ("DELETE FROM t", "SELECT nope FROM t", None):
        with pytest.raises((TransferError, SqlError)):
            export_file(session, str(path), source)
    assert path.read_text() == "| a   |\n| --- |\n| x   |\n"
    assert session.execute("SELECT count(*) FROM t").fetch_all() == [(len(AWKWARD),)]
    assert export_file(session, str(tmp_path / "out.html"), "VALUES(1)") == 1
    assert "<td>1</td>" in (tmp_path / "out.html").read_text()


def test_a_file_whose_ending_needs_a_table_gets_no_sql(session: Session, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="which table or query"):
        export_file(session, str(tmp_path / "all.csv"))
    assert export_file(session, str(tmp_path / "all")) > 0


def test_an_empty_text_and_null_look_different(session: Session) -> None:
    rows = "SELECT 1 AS a, '' AS b, NULL AS c UNION ALL SELECT NULL, 'x,y', ''"
    assert written(session, rows, "csv") == 'a,b,c\n1,"",\n,"x,y",""\n'
    assert written(session, rows, "tsv") == 'a\tb\tc\n1\t""\t\n\tx,y\t""\n'


def test_what_ends_in_gz_is_packed_and_read_back(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    assert export_file(session, str(path), "SELECT a, s FROM t WHERE s > ''") > 1
    with gzip.open(path, "rt", encoding="utf-8", newline="") as packed:
        assert packed.read() == written(session, "SELECT a, s FROM t WHERE s > ''", "csv")
    import_file(session, str(path), "again")
    assert (
        session.execute("SELECT a, s FROM again").fetch_all()
        == session.execute("SELECT a, s FROM t WHERE s > ''").fetch_all()
    )


@pytest.mark.parametrize("name", ["t.xlsx", "t.parquet", "t.sqlite", "t.ZIP"])
def test_no_file_is_written_whose_name_promises_another_format(
    session: Session, tmp_path: Path, name: str
) -> None:
    with pytest.raises(TransferError, match=r"no .* files are written: the endings are csv"):
        export_file(session, str(tmp_path / name), "t")
    assert list(tmp_path.iterdir()) == []
    export_file(session, str(tmp_path / name), "t", format="csv")
    assert (tmp_path / name).read_text().startswith("a,")
