"""The statement reader: one grammar for the terminal, scripts and argv."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsh.arguments import split
from kvsh.reader import Reader, Unit, is_command, is_complete, put_pairs
from sql import next_statement

SCRIPT = """\
#!/usr/bin/env kvsh -- a comment; with a semicolon
select 1; select ';'; -- more
/* over
; lines */ put a b
  get "a; b"
begin
commit; begin immediate;
delete k1 k2
delete from t where a = 'x;
y';
DELETE
FROM t;
.mode csv
quit
create trigger x after insert on t begin select 1; select 2; end;
insert into t values ('it''s', "--", [;], `;`) -- the last
"""

UNITS = [
    ("sql", "select 1;", 2, 1),
    ("sql", "select ';';", 2, 11),
    ("raw", "put a b", 4, 12),
    ("raw", 'get "a; b"', 5, 3),
    ("raw", "begin", 6, 1),
    ("sql", "commit;", 7, 1),
    ("sql", "begin immediate;", 7, 9),
    ("raw", "delete k1 k2", 8, 1),
    ("sql", "delete from t where a = 'x;\ny';", 9, 1),
    ("sql", "DELETE\nFROM t;", 11, 1),
    ("dot", ".mode csv", 13, 1),
    ("dot", "quit", 14, 1),
    ("sql", "create trigger x after insert on t begin select 1; select 2; end;", 15, 1),
    ("sql", "insert into t values ('it''s', \"--\", [;], `;`) -- the last\n", 16, 1),
]


def read(text: str, *, piece: int | None = None, runs: bool = False) -> list[Unit]:
    """All units of a text that arrives in pieces of so many characters."""
    reader = Reader(runs=runs)
    units: list[Unit] = []
    for start in range(0, len(text), piece or len(text) or 1):
        reader.feed(text[start : start + (piece or len(text))])
        units += reader.units()
    return units + list(reader.units(final=True))


def facts(units: list[Unit]) -> list[tuple[str, str, int, int]]:
    return [(unit.kind, unit.text, unit.line, unit.column) for unit in units]


def test_statements_and_commands_are_told_apart_and_located() -> None:
    assert facts(read(SCRIPT)) == UNITS


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7, 16, 64])
def test_it_does_not_matter_in_what_pieces_the_text_arrives(piece: int) -> None:
    assert facts(read(SCRIPT, piece=piece)) == UNITS


def test_a_unit_is_given_out_as_soon_as_it_is_whole() -> None:
    reader = Reader()
    reader.feed("select 1; sel")
    assert [unit.text for unit in reader.units()] == ["select 1;"]
    reader.feed("ect 2")
    assert list(reader.units()) == []
    reader.feed(";put a b")
    assert [unit.text for unit in reader.units()] == ["select 2;"]
    reader.feed("\n")
    assert [unit.text for unit in reader.units()] == ["put a b"]
    assert reader.rest.strip() == ""


def test_a_raw_verb_that_begins_an_sql_statement_is_sql() -> None:
    assert facts(read("delete /* all */ from t;"))[0][0] == "sql"
    assert facts(read("BEGIN;"))[0][0] == "sql"
    assert facts(read("begin"))[0][0] == "raw"
    assert facts(read("begin transaction;"))[0][0] == "sql"


def test_habits_of_other_shells_are_commands_and_not_the_start_of_sql() -> None:
    for line in ("\\d", "\\q", "exit", "quit;", "help", "help put", "KEYS *", "SET k v", "DEL k"):
        assert is_command(line), line
        assert is_complete(line), line


@pytest.mark.parametrize("text", ["select 1;", "select 1; -- x", ".tables", "get k", "", "begin"])
def test_whole_input_is_complete(text: str) -> None:
    assert is_complete(text)


@pytest.mark.parametrize(
    "text",
    [
        "select 1",
        "select 'a;",
        "select 1; select",
        "/* open",
        "create trigger x after insert on t begin select 1;",
    ],
)
def test_half_input_is_not_complete(text: str) -> None:
    assert not is_complete(text)


@pytest.mark.parametrize("text", ["selct * from t", "mget a b", "exit()", "-- x\nls", ":q", "1"])
def test_input_that_no_statement_begins_with_is_refused_at_once(text: str) -> None:
    """Enter began another line, and the error came with the semicolon that nobody thought of."""
    assert is_complete(text)


def test_plain_puts_that_arrived_together_come_as_one_unit() -> None:
    text = "put a 1\nput b \"x y\"\nput c 'z'\nput d it's\nput e x'00'\nput f 6 --ttl 1s\nput g;\n"
    units = read(text, runs=True)
    assert [unit.kind for unit in units] == ["puts", "raw", "raw", "raw"]
    assert put_pairs(units[0].text) == ([b"a", b"b", b"c", b"d"], [b"1", b"x y", b"z", b"it's"])
    assert [unit.line for unit in units] == [1, 5, 6, 7]


_words = st.lists(
    st.sampled_from(["a", "é", "'", "''", '"', "\\", '\\"', "\\n", ";", " ", "-", "{", "x'", "x", ",", "\xa0"]),
    min_size=1,
    max_size=5,
).map("".join)  # fmt: skip
_written = st.one_of(
    _words,
    _words.map(lambda word: "'" + word.replace("'", "''") + "'"),
    _words.map(lambda word: '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'),
)


@given(st.lists(st.tuples(_written, _written), min_size=2, max_size=3))
def test_puts_of_a_run_have_the_words_that_each_has_by_itself(pairs: list[tuple[str, str]]) -> None:
    for unit in read("".join([f"put {key} {value}\n" for key, value in pairs]), runs=True):
        if unit.kind == "puts":
            lines = [split(line) for line in unit.text.splitlines()]
            assert {len(words) for words in lines} == {3}
            assert not any(
                word.text[:1] == "-" and not word.quoted for _, *w in lines for word in w
            )
            assert not any(line.endswith(";") for line in unit.text.splitlines())
            expected = {key.bytes: value.bytes for _, key, value in lines}
            assert dict(zip(*put_pairs(unit.text), strict=True)) == expected


def test_json_is_a_plain_value() -> None:
    run = 'put a {"b":"c;d"}\nput b "{\\"c\\": [1, 2]}"\nput c \'it\'\'s\'\n'
    (unit,) = read(run, runs=True)
    assert put_pairs(unit.text)[1] == [b'{"b":"c;d"}', b'{"c": [1, 2]}', b"it's"]


def test_a_long_statement_in_small_pieces_costs_its_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its end is not looked for from its beginning whenever a piece comes."""
    looked_at = 0

    def counted(text: str, start: int) -> int | None:
        nonlocal looked_at
        end = next_statement(text, start)
        looked_at += (len(text) if end is None else end) - start
        return end

    monkeypatch.setattr("sql.next_statement", counted)
    rows = ",\n".join(f"({i},'text {i}')" for i in range(200_000))
    (unit,) = read(f"insert into t values {rows};", piece=1 << 12)
    assert unit.kind == "sql" and len(unit.text) > 4_000_000
    assert len(unit.text) <= looked_at < 1.1 * len(unit.text)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    units = facts(read("\ufeffselect 1;\r\nput a b\r\nget a\r\n"))
    assert [(kind, text.strip(), line) for kind, text, line, _ in units] == [
        ("sql", "select 1;", 1),
        ("raw", "put a b", 2),
        ("raw", "get a", 3),
    ]


def test_the_end_of_what_was_fed_has_a_line_and_a_column() -> None:
    reader = Reader()
    reader.feed("select 1;\nselect '")
    assert len(list(reader.units())) == 1
    assert reader.end() == (2, 9)


@pytest.mark.parametrize("value", ["x", "'x y'"])
def test_put_lines_are_sorted_and_of_equal_keys_the_last_one_counts(value: str) -> None:
    run = f"put b 1\nput a\u00e9 {value}\nput b \u2603\nput a 3\n"
    assert put_pairs(run) == (
        [b"a", "a\u00e9".encode(), b"b"],
        [b"3", value.strip("'").encode(), "\u2603".encode()],
    )


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_a_statement_may_end_in_the_marks_of_other_shells(piece: int) -> None:
    text = (
        "SELECT 1\\g SELECT 2\\G\nSELECT '\\G ', [\\g ] -- \\G \n /* \\gx */;\\d t\n"
        "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END\\gx;\nSELECT \\Gx"
    )
    reader = Reader()
    units = []
    for at in range(0, len(text), piece):
        reader.feed(text[at : at + piece])
        units += reader.units()
    units += reader.units(final=True)
    assert [(unit.kind, unit.text, unit.is_expanded) for unit in units] == [
        ("sql", "SELECT 1", False),
        ("sql", "SELECT 2", True),
        ("sql", "SELECT '\\G ', [\\g ] -- \\G \n /* \\gx */;", False),
        ("dot", "\\d t", False),
        ("sql", "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END", True),
        ("sql", "SELECT \\Gx", False),
    ]
    assert units[-1].line == 5


def test_marks_within_quotes_cost_no_more_than_their_length() -> None:
    text = f"SELECT '{chr(92)}g ' || " * 50_000 + "'';"
    reader = Reader()
    reader.feed(text)
    assert [unit.text for unit in reader.units()] == [text]


@pytest.mark.parametrize("text", ["SELECT 1\\G", "SELECT 1 \\gx", "SELECT '\\G '\\g"])
def test_a_mark_makes_input_complete(text: str) -> None:
    assert is_complete(text)
    assert not is_complete(text.replace("1", "'1 ").replace("'\\G '", "'\\G "))
