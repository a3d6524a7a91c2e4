"""`kvsh.transfer.import_file`: csv, tsv, json, jsonl and sql files into tables."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import sqlite3
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from btree import open_memory
from kvsh.transfer import ImportOutcome, TransferError, import_file
from kvsh.transfer.progress import Progress
from kvsh.transfer.values import row_decoder
from sql import ConstraintError, Interrupted, Session, TypedRows


@pytest.fixture
def session() -> Session:
    return Session(open_memory())


Load = Callable[..., ImportOutcome]


@pytest.fixture
def load(session: Session, tmp_path: Path) -> Load:
    """Write a file and load it; what was reported is in `load.reports`."""

    def run(name: str, content: str | bytes, table: str | None = None, **options: Any) -> Any:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        reports: list[str] = []
        run.reports = reports  # type: ignore[attr-defined]
        return import_file(
            session,
            str(path),
            table,
            report=lambda line: reports.append(line.replace(f"{tmp_path}/", "")),
            **options,
        )

    return run


def rows(session: Session, query: str) -> list[tuple[Any, ...]]:
    return session.execute(query).fetch_all()


def definition(session: Session) -> str:
    return str(rows(session, "SELECT sql FROM sqlite_master")[0][0])


def test_a_new_table_gets_names_and_types_from_the_file(session: Session, load: Load) -> None:
    outcome = load("people.csv", "id,name,height,zip\n1,Ada,1.7,01234\n2,Bob,,00007\n")
    assert definition(session) == (
        'CREATE TABLE "people"("id" INTEGER, "name" TEXT, "height" REAL, "zip" TEXT)'
    )
    assert rows(session, "SELECT * FROM people") == [
        (1, "Ada", 1.7, "01234"),
        (2, "Bob", None, "00007"),
    ]
    assert str(outcome).startswith("2 rows into people (made), ")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (["1", "-5", "0", "9223372036854775807"], "INTEGER"),
        (["1", "9223372036854775808"], "TEXT"),
        (["007", "1"], "TEXT"),
        (["-0", "1"], "REAL"),
        (["1", "2.5", "1e3", "-.5"], "REAL"),
        (["1.5", "007"], "TEXT"),
        (["1", "", "2"], "INTEGER"),
        (["", ""], "TEXT"),
        (["1 ", "2"], "TEXT"),
        (["1_000"], "TEXT"),
        (["٣"], "TEXT"),
        (["inf", "nan"], "TEXT"),
        (["+1", "2"], "TEXT"),  # a telephone number, of which a plus would be lost
        (["1.5", "+2.5"], "TEXT"),
        (["0x10"], "TEXT"),
        (["-"], "TEXT"),
        (["e1", "."], "TEXT"),
        (["1\n"], "TEXT"),
    ],
)
def test_a_columns_type_loses_nothing(
    session: Session, load: Load, fields: list[str], kind: str
) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["v", "w"], *[[field, "x"] for field in fields]])
    load("a.csv", text.getvalue())
    assert f'"v" {kind}' in definition(session)
    values = [value for value, _ in rows(session, "SELECT * FROM a")]
    if kind == "TEXT":
        assert values == fields
    else:
        number = int if kind == "INTEGER" else float
        assert values == [number(field) if field else None for field in fields]


def test_a_field_that_does_not_fit_the_first_rows_type_widens_the_column(
    session: Session, load: Load
) -> None:
    """The first 4096 rows look like integers: the file is looked at again, and nothing is lost."""
    lines = [f"{number},{number}" for number in range(5000)]
    outcome = load("a.csv", "n,m\n" + "\n".join([*lines, "007,1.5"]) + "\n")
    assert outcome.rows == 5001
    assert definition(session) == 'CREATE TABLE "a"("n" TEXT, "m" REAL)'
    assert rows(session, "SELECT n, m FROM a WHERE rowid = 5001") == [("007", 1.5)]
    assert rows(session, "SELECT n, m FROM a WHERE rowid = 5000") == [("4999", 4999.0)]


def test_quotes_newlines_and_delimiters_within_fields(session: Session, load: Load) -> None:
    load("a.csv", 'a,b\r\n"x, ""y""\r\nz",1\r\n,2\r\n')
    assert rows(session, "SELECT * FROM a") == [('x, "y"\r\nz', 1), ("", 2)]


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("\ufeffn;ö\n1;é\n".encode(), {}),
        ("n;ö\n1;é\n".encode("utf-16"), {}),
        ("n;ö\n1;é\n".encode("utf-16-le"), {"encoding": "utf-16-le"}),
        ("n;ö\n1;é\n".encode("latin-1"), {"encoding": "latin-1"}),
        ("n\tö\n1\té\n".encode(), {}),
        ("n|ö\n1|é\n".encode(), {"delimiter": "|"}),
        ("\ufeffn,ö\n1,é\n".encode(), {"encoding": "utf8"}),
    ],
)
def test_encodings_marks_and_delimiters(
    session: Session, load: Load, data: bytes, options: dict[str, str]
) -> None:
    load("a.csv", data, **options)
    assert rows(session, 'SELECT n, "ö" FROM a') == [(1, "é")]


def test_bytes_of_another_encoding_are_an_error_that_says_what_to_do(load: Load) -> None:
    with pytest.raises(TransferError, match=r"byte 0xe9 is not utf-8: .* --encoding latin-1"):
        load("a.csv", "n\né\n".encode("latin-1"))
    with pytest.raises(TransferError, match=r"/a\.csv:3: byte 0xe9 is not utf-8"):
        load("a.csv", "n\nü\n".encode() + b"x\xe9\n")
    long = "n\n" + "ü,x\n" * 400_000
    with pytest.raises(TransferError, match=r"/a\.csv:400002: byte 0xff is not utf-8"):
        load("a.csv", long.encode() + b"\xff\n")
    for encoding in ("utf-16-le", "utf-16-be"):  # without a mark
        with pytest.raises(TransferError, match=f"is not utf-8: .* --encoding {encoding}"):
            load("a.csv", "n,m\nü,é\n".encode(encoding))
    with pytest.raises(TransferError, match="unknown encoding 'klingon'"):
        load("a.csv", "n\n", encoding="klingon")


def test_rows_of_more_fields_are_rejected_by_their_lines_and_of_fewer_filled(
    session: Session, load: Any
) -> None:
    outcome = load("a.csv", 'a,b\n1,"x\ny"\n2\n\n3,z,extra\n4,"q"q\n5,ok\n6,"open\nend')
    assert rows(session, "SELECT * FROM a") == [(1, "x\ny"), (2, None), (5, "ok")]
    assert load.reports == [
        "a.csv:6: 3 fields, expected 2",
        "a.csv:7: text between a closing quote and the next ','",
        "a.csv:9: a quote is opened and never closed",
        "a.csv:4: 1 field, expected 2: NULL for the rest",
    ]
    assert (outcome.rows, outcome.filled, outcome.rejected) == (3, 1, 3)


def test_short_rows_are_filled_in_every_column_and_told_in_one_line(
    session: Session, load: Any
) -> None:
    load("a.csv", "n,s,r\n1,x,0.5\n2\n3,\n,y\n")
    assert rows(session, "SELECT * FROM a") == [
        (1, "x", 0.5),
        (2, None, None),
        (3, "", None),
        (None, "y", None),
    ]
    assert load.reports == ["a.csv:3: 1 field, expected 3: NULL for the rest, as in 2 more rows"]
    load.reports.clear()
    load("na.csv", "n,s\nNA,x\n2\n", null="NA")
    assert rows(session, "SELECT * FROM na") == [(None, "x"), (2, None)]


def test_a_field_of_a_short_row_far_down_decides_a_columns_type(
    session: Session, load: Any
) -> None:
    lines = [f"{number},{number}" for number in range(200_000)]
    lines[150_000] = "word"
    outcome = load("far.csv", "\n".join(["n,m", *lines]))
    assert rows(session, "SELECT DISTINCT typeof(n) FROM far") == [("text",)]
    assert rows(session, "SELECT * FROM far WHERE m IS NULL") == [("word", None)]
    assert (outcome.rows, outcome.filled) == (200_000, 1)


def test_short_rows_go_into_a_table_as_its_constraints_allow(session: Session, load: Any) -> None:
    session.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT NOT NULL, c)")
    outcome = load("t.csv", "1,x\n2\n3,z\n", header=False)
    assert rows(session, "SELECT * FROM t") == [(1, "x", None), (3, "z", None)]
    assert load.reports == [
        "t.csv:2: NOT NULL constraint failed: t.b",
        "t.csv:1: 2 fields, expected 3: NULL for the rest, as in 2 more rows",
    ]
    assert outcome.rejected == 1


def test_rows_that_break_a_constraint_are_rejected_by_their_lines(
    session: Session, load: Any
) -> None:
    session.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT NOT NULL CHECK (b <> 'bad'))")
    lines = [f"{number},x" for number in range(5000)]
    lines[1] = "0,twice"
    lines[4500] = "4500,bad"
    lines[4501] = "word,x"
    outcome = load("t.csv", "\n".join(lines))
    assert load.reports == [
        "t.csv:2: UNIQUE constraint failed: t.a",
        "t.csv:4501: CHECK constraint failed: b <> 'bad'",
        "t.csv:4502: datatype mismatch",
    ]
    assert (outcome.rows, outcome.rejected, outcome.created) == (4997, 3, False)
    assert rows(session, "SELECT count(*) FROM t") == [(4997,)]


def test_strict_stops_at_the_first_rejected_row_and_loads_nothing(
    session: Session, load: Load
) -> None:
    with pytest.raises(TransferError, match=r"a\.csv:3: 1 field, expected 2; nothing was loaded"):
        load("a.csv", "a,b\n1,x\n2\n3\n", strict=True)
    assert rows(session, "SELECT * FROM sqlite_master") == []
    session.execute("CREATE TABLE t(a UNIQUE)")
    with pytest.raises(TransferError, match=r"t\.csv:2: UNIQUE constraint failed: t\.a; nothing"):
        load("t.csv", "1\n1\n2\n", strict=True)
    assert rows(session, "SELECT * FROM t") == []


def test_many_rejected_rows_are_counted_after_the_first_twenty(load: Any) -> None:
    outcome = load("a.csv", "a,b\n" + "x,y,z\n" * 50 + "1,2\n")
    assert len(load.reports) == 21
    assert load.reports[-1].endswith("a.csv: 30 more rows rejected")
    assert outcome.rejected == 50


def test_it_is_a_part_of_an_open_transaction(session: Session, load: Load) -> None:
    session.execute("CREATE TABLE t(a)")
    session.begin()
    session.execute("INSERT INTO t VALUES (0)")
    load("t.csv", "1\n2\n")
    with pytest.raises(TransferError):
        load("u.csv", "a,b\n1\n", strict=True)
    assert session.in_transaction
    assert rows(session, "SELECT a FROM t") == [(0,), ("1",), ("2",)]
    session.rollback()
    assert rows(session, "SELECT a FROM t") == []


def test_headers_name_the_columns_of_a_table_that_is_there(session: Session, load: Load) -> None:
    session.execute("CREATE TABLE t(a INTEGER, b TEXT DEFAULT 'd', c AS (a * 2))")
    load("t.csv", "B,A\nx,1\n")
    load("t.csv", "2,y\n")
    load("t.csv", "a\n3\n")
    load("t.csv", "q,w\n4,z\n", header=True)
    assert rows(session, "SELECT * FROM t") == [
        (1, "x", 2),
        (2, "y", 4),
        (3, "d", 6),
        (4, "z", 8),
    ]
    with pytest.raises(TransferError, match="table t has no column named q"):
        load("t.csv", "a,q,b\n1,2,3\n", header=True)


def test_a_first_row_of_numbers_is_data(session: Session, load: Load) -> None:
    load("a.csv", "1,2\n3,4\n")
    assert rows(session, "SELECT c1, c2 FROM a") == [(1, 2), (3, 4)]
    load("b.csv", "1,2\n3,4\n", header=True)
    assert rows(session, 'SELECT "1", "2" FROM b') == [(3, 4)]
    load("c.csv", "x,y\n3,4\n", header=False)
    assert rows(session, "SELECT c1, c2 FROM c") == [("x", "y"), ("3", "4")]


def test_odd_headers_become_usable_names(session: Session, load: Load) -> None:
    load("a.csv", 'x,X,,"a ""b"" %s",x\n1,2,3,4,5\n')
    assert definition(session) == (
        'CREATE TABLE "a"("x" INTEGER, "X_2" INTEGER, "c3" INTEGER, "a ""b"" %s" INTEGER, "x_3" INTEGER)'
    )


def test_affinity_decides_in_a_table_that_is_there_as_in_sqlite3(
    session: Session, load: Load
) -> None:
    schema = "CREATE TABLE t(i INTEGER, r REAL, n NUMERIC, x TEXT, b BLOB)"
    fields = ["1", "007", "1.0", "1.5", "abc", "1e3", " 2", "-0", "9223372036854775808", "+4"]
    oracle = sqlite3.connect(":memory:")
    oracle.execute(schema)
    oracle.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", [(field,) * 5 for field in fields])
    session.execute(schema)
    load("t.csv", "".join([",".join([field] * 5) + "\n" for field in fields]), header=False)
    query = "SELECT typeof(i), i, typeof(r), r, typeof(n), n, typeof(x), x, typeof(b), b FROM t"
    assert rows(session, query) == oracle.execute(query).fetchall()


_FIELDS = (
    "1", "0", "-1", "007", "+7", "-0", "-0.0", "1.0", "1e3", "1E3", "1.5", ".5", "5.", "1e400", "-1e400", "1e-400",
    "nan", "NaN", "inf", "Infinity", "true", "null", "x'00'", "1_000", "0x10", "0.1", "123456789012345.678",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "1" * 23,
    "0" * 40 + "1.5", "", " ", " 1", "1 ", "\t", "a", "a b", "\\", "\\n", "\\u0041", "][", "}", "é", "😀", "\x7f", "\x01",
)  # fmt: skip


@pytest.mark.parametrize("strict", [False, True])
def test_blocks_of_lines_are_decoded_to_what_field_by_field_gives(
    session: Session, load: Load, strict: bool
) -> None:
    kinds = ("INTEGER", "TEXT", "REAL", "ANY" if strict else "NUMERIC", "BLOB")
    columns = ", ".join(f"c{place} {kind}" for place, kind in enumerate(kinds))
    for name in ("lines", "quoted"):
        session.execute(f"CREATE TABLE {name}({columns}){' STRICT' * strict}")
    for place, field in product(range(len(kinds)), _FIELDS):
        for usual in ("7", "2024-01-31"):
            plain = [["5", "a", "2.5", usual, "z"]] * 3
            row = plain[0].copy()
            row[place] = field
            table = [*plain, row, *plain]
            load("a.csv", "".join(",".join(row) + "\n" for row in table), "lines", header=False)
            quoted = "".join('"' + '","'.join(row) + '"\n' for row in table)
            load("b.csv", quoted, "quoted", header=False)
            found = rows(session, "SELECT * FROM lines")
            assert repr(found) == repr(rows(session, "SELECT * FROM quoted"))
            for name in ("lines", "quoted"):
                session.execute(f"DELETE FROM {name}")


def test_decoded_rows_know_the_classes_of_their_values() -> None:
    decode = row_decoder(["INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB"], ",")
    rows = decode("5,7,2,1e2,x\n-1,8,0.5,3,9\n")
    assert rows == [(5, "7", 2.0, 100.0, "x"), (-1, "8", 0.5, 3, "9")]
    assert isinstance(rows, TypedRows) and rows.classes == [int, str, float, None, str]
    rows = decode(",,,,\n-1,8,0.5,3,9\n")
    assert rows == [(None, "", None, None, None), (-1, "8", 0.5, 3, "9")]
    assert isinstance(rows, TypedRows) and rows.classes == [None, str, None, None, None]
    exactly = row_decoder(["INTEGER", "REAL"], ",", exact=True)
    assert exactly("5,7\n,7.5\n") == [(5, 7.0), (None, 7.5)]
    assert exactly("5.0,7\n") is None


def test_a_header_of_texts_is_no_row_of_a_table_of_texts(session: Session, load: Load) -> None:
    session.execute("CREATE TABLE t(a TEXT, b TEXT)")
    outcome = load("t.csv", "b,a\n1,2\n3\n5,6\n", "t")
    assert rows(session, "SELECT * FROM t") == [("2", "1"), (None, "3"), ("6", "5")]
    assert load.reports == ["t.csv:3: 1 field, expected 2: NULL for the rest"]  # type: ignore[attr-defined]
    outcome = load("u.csv", "a,b\n1,2\n", "t")
    assert outcome.rows == 1


def test_random_tables_come_back_as_they_were_written(session: Session, load: Load) -> None:
    seed = random.randrange(1 << 30)
    random_source = random.Random(seed)
    pieces = ["a", "é", '"', ",", "\n", "\r\n", ";", "\t", " ", "0", "7", "-", ".", "None", "b'"]
    for round_number in range(20):
        width = random_source.randrange(2, 5)
        table = [
            [
                "".join(random_source.choices(pieces, k=random_source.randrange(6)))
                for _ in range(width)
            ]
            for _ in range(random_source.randrange(1, 30))
        ]
        text = io.StringIO()
        csv.writer(text).writerows([[f"n{place}" for place in range(width)], *table])
        load("a.csv", text.getvalue(), f"t{round_number}")
        loaded = rows(session, f"SELECT * FROM t{round_number}")
        shown = [["" if value is None else value for value in row] for row in loaded]
        for row, wanted in zip(shown, table, strict=True):
            for value, field in zip(row, wanted, strict=True):
                same = value == field or (isinstance(value, int | float) and value == float(field))
                assert same, f"seed {seed}: {value!r} for {field!r}"


def test_json_objects_become_rows(session: Session, load: Any) -> None:
    load(
        "a.json",
        '[{"n": 1, "s": "x", "deep": {"k": [1, "é"]}},\n {"n": 2.5, "t": true}, {"s": null}]',
    )
    assert definition(session) == ('CREATE TABLE "a"("n" REAL, "s" TEXT, "deep" TEXT, "t" INTEGER)')
    assert rows(session, "SELECT * FROM a") == [
        (1.0, "x", '{"k":[1,"é"]}', None),
        (2.5, None, None, 1),
        (None, None, None, None),
    ]


def test_jsonl_rejects_by_line(session: Session, load: Any) -> None:
    outcome = load("a.jsonl", '{"n": 1}\n\n{"n": 2\n[1]\n"x"\n{"n": 3}')
    assert rows(session, "SELECT n FROM a") == [(1,), (3,)]
    assert [report.split(": ")[0] for report in load.reports] == [
        "a.jsonl:3",
        "a.jsonl:4",
        "a.jsonl:5",
    ]
    assert outcome.rejected == 3


def test_jsonl_is_read_across_blocks(
    session: Session, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvsh.transfer.documents._BLOCK_CHARACTERS", 50)
    lines = [f'{{"n": {number}, "s": "é{"x" * (number % 9)}"}}' for number in range(99)]
    lines[50] = "oops"
    lines[70] = ""
    load("a.jsonl", "\r\n".join(lines))
    assert rows(session, "SELECT count(*), sum(n), max(s) FROM a") == [(97, 4731, "éxxxxxxxx")]
    assert load.reports == ["a.jsonl:51: no JSON: Expecting value at column 1"]


def test_a_json_array_is_read_across_blocks(
    session: Session, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvsh.transfer.documents._BLOCK_CHARACTERS", 7)
    objects = ",\n".join(
        [f'{{"n": {number}, "s": "{"x" * (number % 9)}"}}' for number in range(99)]
    )
    load("a.json", f"[{objects}]\n")
    assert rows(session, "SELECT sum(n), max(s) FROM a") == [(4851, "xxxxxxxx")]
    with pytest.raises(TransferError, match=r"b\.json:3: no JSON"):
        load("b.json", '[{"n": 1},\n{"n": 2},\n{"n" 3}]')
    with pytest.raises(TransferError, match="never closed"):
        load("b.json", '[{"n": 1},\n{"n": 2}')


_LAYOUTS: tuple[dict[str, Any], ...] = ({}, {"separators": (",", ":")}, {"indent": 2})


@pytest.mark.parametrize("block", [60, 1 << 20])
@pytest.mark.parametrize("seed", range(6))
def test_arrays_decoded_at_once_are_what_each_object_says(
    session: Session, load: Any, monkeypatch: pytest.MonkeyPatch, block: int, seed: int
) -> None:
    monkeypatch.setattr("kvsh.transfer.documents._BLOCK_CHARACTERS", block)
    numbers = random.Random(seed)
    nested = [{"a": 1}, {"a": [{"a": 2}, {"a": 3}]}]
    odd = [
        None,
        True,
        2**63,
        -(2**63),
        1.5,
        1e300,
        nested,
        "",
        "x",
        '},\n{"a"',
        "},{",
        "\U0001f600",
        "]",
    ]
    usual = numbers.choice([1, "x", 2.5, nested])
    table: list[Any] = []
    for _ in range(60):
        values = [numbers.choice(odd) if numbers.random() < 0.1 else usual for _ in "ab"]
        table.append(dict(zip(numbers.choice(["ab", "ab", "ba"]), values, strict=True)))
    table[numbers.randrange(2, 60)] = 7
    text = json.dumps(table, ensure_ascii=False, **_LAYOUTS[seed % 3])
    session.execute("CREATE TABLE t(a, b)")
    load("t.json", text, "t")
    lines = [words.strip(" ,") for words in text.split("\n")]
    line = lines.index("7") + 1 if len(lines) > 1 else 1
    assert load.reports[0] == f"t.json:{line}: the value 7, expected an object"
    load("t.jsonl", "\n".join(map(json.dumps, table)), "u")

    def stored(value: Any) -> Any:
        if isinstance(value, list):
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        is_wide = isinstance(value, int) and not -(2**63) <= value < 2**63
        return float(value) if is_wide else value

    expected = [(stored(row["a"]), stored(row["b"])) for row in table if row != 7]
    assert repr(rows(session, "SELECT * FROM t")) == repr(
        [tuple([int(v) if v is True else v for v in row]) for row in expected]
    )
    assert rows(session, "SELECT count(*) FROM u") == [(len(expected),)]


def test_half_a_surrogate_pair_is_no_text(session: Session, load: Any) -> None:
    load("a.jsonl", '{"s": "\\ud83d\\ude00"}\n{"s": "\\ud800"}\n')
    assert rows(session, "SELECT s FROM a") == [("\U0001f600",)]
    assert load.reports == ["a.jsonl:2: text with half of a surrogate pair"]


def test_names_that_are_no_columns_are_rejected(session: Session, load: Any) -> None:
    session.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
    load("t.json", '[{"A": 1, "b": 2},\n{"a": 2, "z": 3}]')
    assert rows(session, "SELECT * FROM t") == [(1, 2)]
    assert load.reports == ["t.json:2: there is no column 'z'"]


def test_a_script_is_one_transaction(session: Session, load: Load) -> None:
    outcome = load(
        "a.sql",
        "BEGIN TRANSACTION;\nCREATE TABLE t(a);\nINSERT INTO t VALUES (1);\n"
        "INSERT INTO t VALUES (2);\n-- a comment\nCOMMIT;\n",
    )
    assert rows(session, "SELECT * FROM t") == [(1,), (2,)]
    assert (outcome.rows, outcome.table) == (2, None)
    with pytest.raises(TransferError, match=r"b\.sql:3: no such table: u; nothing was loaded"):
        load("b.sql", "INSERT INTO t VALUES (3);\n\nINSERT INTO u VALUES (1);")
    assert rows(session, "SELECT count(*) FROM t") == [(2,)]


def test_what_is_no_file_is_said_so(session: Session, tmp_path: Path, load: Load) -> None:
    with pytest.raises(TransferError, match="no such file"):
        import_file(session, str(tmp_path / "none.csv"))
    with pytest.raises(TransferError, match="is a directory"):
        import_file(session, str(tmp_path))
    with pytest.raises(TransferError, match="is empty"):
        load("a.csv", "")
    with pytest.raises(TransferError, match="unknown format 'xml'"):
        load("a.csv", "a\n", format="xml")
    session.execute("CREATE VIEW v AS SELECT 1 a")
    with pytest.raises(TransferError, match="v is a view"):
        load("v.csv", "a\n1\n")


def test_an_interrupt_leaves_nothing_half_done(
    session: Session, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kvsh.transfer.load import Loading

    insert = Loading.insert

    def interrupted(self: Loading, *arguments: Any) -> None:
        insert(self, *arguments)
        self.session.interrupt()

    monkeypatch.setattr(Loading, "insert", interrupted)
    with pytest.raises(Interrupted):
        load("a.csv", "a,b\n" + "1,2\n" * 10_000)
    assert not session.in_transaction
    assert rows(session, "SELECT * FROM sqlite_master") == []


def test_a_foreign_key_is_checked_row_by_row(session: Session, load: Any) -> None:
    session.execute("PRAGMA foreign_keys = ON")
    session.execute("CREATE TABLE p(a INTEGER PRIMARY KEY)")
    session.execute("INSERT INTO p VALUES (1)")
    session.execute("CREATE TABLE t(a REFERENCES p)")
    load("t.csv", "1\n2\n1\n", header=False)
    assert load.reports == ["t.csv:2: FOREIGN KEY constraint failed"]
    assert rows(session, "SELECT count(*) FROM t") == [(2,)]
    with pytest.raises(ConstraintError):
        session.execute("INSERT INTO t VALUES (5)")


def test_the_bar_shows_share_rate_and_what_is_left() -> None:
    bar = Progress(None, "loading a.csv")
    line = bar.line(10.0, 500_000, 25, 100)
    assert (
        line == "loading a.csv [######------------------]  25%  500,000 rows  50,000/s  0:30 left"
    )
    assert "left" not in bar.line(10.0, 5, 0, None)


def test_the_bar_appears_after_a_second_and_is_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    out = io.StringIO()
    bar = Progress(out, "loading")
    bar.update(10, done=1, total=10)
    assert out.getvalue() == ""
    now[0] = 1.5
    bar.update(10, done=1, total=10)
    drawn = out.getvalue()
    assert "10%" in drawn
    bar.update(10, done=2, total=10)
    assert out.getvalue() == drawn
    bar.finish()
    assert out.getvalue().endswith("\r\x1b[2K")


def test_a_compressed_file_is_loaded_as_what_it_holds(session: Session, load: Load) -> None:
    load("people.csv.gz", gzip.compress(b"name,age\nAda,36\n"))
    load("more.jsonl.gz", gzip.compress(b'{"name": "Grace", "age": 85}\n'), "people")
    load("unnamed", gzip.compress("name,age\nJos\xe9,7\n".encode("utf-16")), "people")
    assert rows(session, "SELECT * FROM people") == [("Ada", 36), ("Grace", 85), ("Jos\xe9", 7)]


@pytest.mark.parametrize("cut", [5, 20, -4])
def test_a_compressed_file_that_is_damaged_loads_nothing(
    session: Session, load: Load, cut: int
) -> None:
    whole = gzip.compress(b"name,age\n" + b"Ada,36\n" * 100)
    with pytest.raises(TransferError, match=r"people\.csv\.gz is damaged: "):
        load("people.csv.gz", whole[:cut])
    assert rows(session, "SELECT * FROM sqlite_master") == []


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_lines_before_the_table_are_skipped(session: Session, load: Load, ending: str) -> None:
    lines = ["Report, of 2026", '"', "name;age", "Ada;36", "Grace;;", "Linus;x"]
    outcome = load("people.csv", ending.join([*lines, ""]), skip=2)
    assert rows(session, "SELECT * FROM people") == [("Ada", "36"), ("Linus", "x")]
    assert (outcome.rows, outcome.rejected) == (2, 1)
    assert load.reports == ["people.csv:5: 3 fields, expected 2"]  # type: ignore[attr-defined]


def test_lines_are_skipped_in_tables_alone_and_no_more_than_there_are(load: Load) -> None:
    with pytest.raises(TransferError, match="lines are skipped in csv and tsv, not in json"):
        load("people.json", "[]", skip=1)
    with pytest.raises(TransferError, match=r"people\.csv is empty"):
        load("people.csv", "a\nb\n", skip=3)


def test_a_text_may_stand_for_null(session: Session, load: Load) -> None:
    """`NA` made a column of numbers one of texts, and texts that were NULL came back empty."""
    text = 'n,r,s,d\n1,NA,"a,b",2024-01-01\nNA,2.5,NA,\n3,,NAN,NA\n'
    load("plain.csv", text)
    assert rows(session, "SELECT DISTINCT typeof(n), typeof(r) FROM plain") == [("text", "text")]
    load("told.csv", text, null="NA")
    assert rows(session, "SELECT * FROM told") == [
        (1, None, "a,b", "2024-01-01"),
        (None, 2.5, None, ""),
        (3, None, "NAN", None),
    ]
    load("empty.csv", text, null="")
    assert rows(session, "SELECT s, d FROM empty LIMIT 2 OFFSET 1") == [("NA", None), ("NAN", "NA")]


def test_a_text_stands_for_null_in_later_chunks_and_tables_that_are_there(
    session: Session, load: Load
) -> None:
    lines = [f"{number},x" for number in range(200_000)]
    lines[150_000] = "NA,NA"
    load("long.csv", "\n".join(["n,s", *lines]), null="NA")
    query = "SELECT count(*), count(n), count(s), count(DISTINCT typeof(n)) FROM long"
    assert rows(session, query) == [(200_000, 199_999, 199_999, 2)]
    session.execute("CREATE TABLE there (n INT NOT NULL, s TEXT)")
    outcome = load("there.csv", "n,s\n1,NA\nNA,x\n", null="NA")
    assert rows(session, "SELECT * FROM there") == [(1, None)] and outcome.rejected == 1


def test_a_text_stands_for_null_in_tables_alone(load: Load) -> None:
    with pytest.raises(TransferError, match="a text stands for NULL in csv and tsv, not in jsonl"):
        load("people.jsonl", "{}", null="NA")


def test_a_row_with_quotes_behind_blanks_is_told_why_it_does_not_fit(load: Any) -> None:
    load("a.csv", 'a,b\n1, "x, y"\n2, "z"\n')
    assert load.reports == [
        "a.csv:2: 3 fields, expected 2: a quote behind a blank is a part of the field"
    ]
