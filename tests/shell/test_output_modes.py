"""Output modes: what each looks like, what is quoted and escaped, widths, streaming."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from kvsh.output import DRAWN, HEADERS_BY_DEFAULT, MODES, Style, write_rows
from kvsh.output.objects import object_lines
from kvsh.output.tables import (
    WRAP_LINES_MAX,
    cell_in_lines,
    hanging,
    is_wider,
    name_lines,
    width_of,
    wrapped,
)
from kvsh.output.target import Target
from kvsh.output.values import literal, literal_column, plain, real_column, real_text

Row = tuple[Any, ...]

NAMES = ["id", "name", "note"]
ROWS: list[Row] = [(1, "Ada", None), (2, 'O"Hara, Jr.', ""), (3, "two\nlines", b"\xff\x00")]


def shown(
    mode: str,
    names: Sequence[str] = NAMES,
    rows: Sequence[Row] = ROWS,
    *,
    screen: int | None = None,
    unicode: bool = True,
    batch: int = 2,
    **style: Any,
) -> str:
    parts: list[str] = []
    style.setdefault("headers", mode in HEADERS_BY_DEFAULT)
    batches = [list(rows[at : at + batch]) for at in range(0, len(rows), batch)]
    write_rows(parts.append, mode, names, batches, Style(**style), screen=screen, unicode=unicode)
    return "".join(parts)


def test_list_puts_a_separator_between() -> None:
    assert shown("list", rows=ROWS[:1]) == "1|Ada|\n"
    assert shown("list", rows=ROWS[:1], null="-", separator=", ") == "1, Ada, -\n"


def test_csv_quotes_what_needs_it_and_tells_null_from_the_empty_text() -> None:
    text = shown("csv")
    assert text == 'id,name,note\n1,Ada,\n2,"O""Hara, Jr.",""\n3,"two\nlines",X\'ff00\'\n'
    assert list(csv.reader(io.StringIO(text)))[2] == ["2", 'O"Hara, Jr.', ""]


def test_csv_of_every_awkward_text_comes_back_from_a_csv_reader() -> None:
    texts = ["", "a", "a,b", 'a"b', '"', "\n", "\r\n", "a\rb", " a ", "日本", "\t", ",", "'", "#"]
    rows = [(one, other, 1.5) for one in texts for other in texts]
    for batch in (1, 7, 1000):
        text = shown("csv", ["a", "b", "c"], rows, batch=batch)
        read = list(csv.reader(io.StringIO(text, newline="")))
        assert read == [["a", "b", "c"], *[[one, other, "1.5"] for one, other, _ in rows]]


_PLAIN_PIECES = ("a", "", ",", "[", "]", "null", "|", ";", "é", "\x7f")
_PIECES = (*_PLAIN_PIECES, '"', "\\", "\n", "\r", "\t", "\x01", "\x02", "\udcff")
_texts = st.one_of(
    [st.lists(st.sampled_from(some), max_size=3).map("".join) for some in (_PLAIN_PIECES, _PIECES)]
)
_values = {
    1: st.none(),
    2: st.integers(-(1 << 63), (1 << 63) - 1),
    4: st.floats(allow_nan=False),
    8: _texts,
    16: st.binary(max_size=3),
}


@given(
    st.sampled_from([1, 2, 8, 9, 10, 11, 31]).flatmap(
        lambda kinds: st.tuples(
            st.just(kinds),
            st.integers(1, 3).flatmap(
                lambda width: st.lists(
                    st.tuples(*[st.one_of([_values[k] for k in _values if k & kinds])] * width),
                    min_size=1,
                    max_size=3,
                )
            ),
        )
    ),
    st.sampled_from(["", "NULL", "\\N", "-"]),
    st.sampled_from([None, ",", "|", ";"]),
)
def test_values_are_put_side_by_side_whatever_they_are(
    case: tuple[int, list[Row]], null: str, separator: str | None
) -> None:
    kinds, rows = case
    names = ["a", "b", "c"][: len(rows[0])]
    plain_rows = [[plain(value, null) for value in row] for row in rows]

    def of_csv(value: Any) -> str:
        text = plain(value, null)
        if value is None or (text and not set(text) & {'"', "\n", "\r", separator or ","}):
            return text
        return '"' + text.replace('"', '""') + '"'

    escapes = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
    expected = {
        "list": [(separator or "|").join(row) for row in plain_rows],
        "csv": [(separator or ",").join(map(of_csv, row)) for row in rows],
        "tsv": ["\t".join([text.translate(escapes) for text in row]) for row in plain_rows],
    }
    for known in {kinds, 31}:
        for mode, lines in expected.items():
            text = shown(
                mode, names, rows, headers=False, null=null, separator=separator, kinds=known
            )
            assert text == "".join([f"{line}\n" for line in lines])


def test_tsv_has_one_line_a_row() -> None:
    rows = [("a\tb", "c\nd", "e\\f")]
    assert shown("tsv", rows=rows) == "id\tname\tnote\na\\tb\tc\\nd\te\\\\f\n"


def test_json_is_json() -> None:
    rows: list[Row] = [*ROWS, (1 << 62, "100%", 1.5), (None, "\x00\x1f\u2028", float("inf"))]
    parsed = json.loads(shown("json", rows=rows))
    assert [list(row) for row in parsed] == [NAMES] * 5
    assert parsed[1] == {"id": 2, "name": 'O"Hara, Jr.', "note": ""}
    assert parsed[3] == {"id": 1 << 62, "name": "100%", "note": 1.5}
    assert parsed[4] == {"id": None, "name": "\x00\x1f\u2028", "note": float("inf")}
    assert json.loads(shown("json", rows=[])) == []


def test_jsonl_is_an_object_a_line() -> None:
    lines = shown("jsonl", ["a%s", 'b"'], [(1, "x"), (2, "y\nz")]).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"a%s": 1, 'b"': "x"},
        {"a%s": 2, 'b"': "y\nz"},
    ]


def test_insert_and_quote_write_literals_that_sqlite_reads_back() -> None:
    rows: list[Row] = [*ROWS, (1 << 62, "a\0b", 0.1), (-1, "'", float("-inf"))]
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t(id, name, note)")
    connection.executescript(shown("insert", rows=rows, headers=True))
    assert connection.execute("SELECT * FROM t").fetchall() == rows
    line = shown("quote", rows=rows[3:4]).strip()
    assert connection.execute(f"SELECT {line}").fetchall() == rows[3:4]
    connection.close()


def test_line_has_a_line_a_column() -> None:
    assert shown("line", ["a", "long"], [(1, 2), (3, None)], null="NULL", batch=1) == (
        "   a = 1\nlong = 2\n\n   a = 3\nlong = NULL\n"
    )


def test_html_escapes() -> None:
    assert shown("html", ["<a>"], [("b & c",)]) == (
        "<table>\n<tr><th>&lt;a&gt;</th></tr>\n<tr><td>b &amp; c</td></tr>\n</table>\n"
    )


def test_markdown_aligns_numbers_and_escapes_bars() -> None:
    assert shown("markdown", ["n", "text"], [(1, "a|b"), (20, "c")]) == (
        "|   n | text |\n| --: | ---- |\n|   1 | a\\|b |\n|  20 | c    |\n"
    )


def test_box_pads_wide_characters_rightly_and_escapes_control_characters() -> None:
    rows = [("日本語", 1), ("e\u0301a", 22), ("👩‍👩‍👧 x", 3), ("tab\there", 4), ("\x1b[31m", 5)]
    lines = shown("box", ["名", "n"], rows).splitlines()
    assert lines[0][0] == "┌" and lines[-1][0] == "└"
    assert "tab\\there" in "".join(lines) and "\\x1b[31m" in "".join(lines)
    assert len({width_of(line) for line in lines}) == 1


def test_table_is_plain_ascii_and_so_is_box_without_unicode() -> None:
    expected = "+---+\n| a |\n+---+\n| 1 |\n+---+\n"
    assert shown("table", ["a"], [(1,)]) == expected
    assert shown("box", ["a"], [(1,)], unicode=False) == expected


@pytest.mark.parametrize("mode", sorted(HEADERS_BY_DEFAULT - {"html"}))
def test_an_empty_result_still_has_its_headers(mode: str) -> None:
    text = shown(mode, ["a", "long name"], [])
    assert "a" in text and "long name" in text


@pytest.mark.parametrize("mode", MODES)
def test_without_headers_there_are_none(mode: str) -> None:
    if mode in ("json", "jsonl", "line", "markdown"):
        return  # there they are part of the form
    assert "zebra" not in shown(mode, ["zebra"], [(1,), (2,)], headers=False)


@pytest.mark.parametrize("mode", MODES)
def test_batches_make_no_difference(mode: str) -> None:
    rows = [(i, f"text {i}", None if i % 3 else i / 4) for i in range(1200)]
    whole = shown(mode, rows=rows, batch=1200)
    assert shown(mode, rows=rows, batch=1) == whole
    assert shown(mode, rows=rows, batch=500) == whole


@pytest.mark.parametrize("mode", MODES)
def test_empty_batches_are_not_seen(mode: str) -> None:
    parts: list[str] = []
    write_rows(parts.append, mode, ["a"], [[], [(1,)], [], [(2,)]], Style())
    assert "".join(parts) == shown(mode, ["a"], [(1,), (2,)], headers=True)


@pytest.mark.parametrize("mode", MODES)
def test_output_starts_before_the_result_ends(mode: str) -> None:
    seen: list[str] = []
    when_half: list[int] = []

    def batches() -> Iterator[list[Row]]:
        for number in range(20):
            if number == 10:
                when_half.append(len(seen))
            yield [(number, "x")] * 100

    write_rows(seen.append, mode, ["a", "b"], batches(), Style())
    assert when_half[0] > 0


def test_a_table_is_fitted_to_the_screen_and_long_cells_wrapped() -> None:
    words = "the quick brown fox jumps over the lazy dog " * 4
    text = shown("box", ["n", "text"], [(1, words), (2, "short")], screen=40)
    lines = text.splitlines()
    assert {len(line) for line in lines} == {40}
    cells = [line.split("│")[2] for line in lines if "│" in line]
    assert " ".join(cells).split() == ["text", *words.split(), "short"]


def test_columns_of_one_width_are_cut_alike() -> None:
    row = ("a" * 30, "b" * 30, "c" * 5, "d" * 29)
    lines = shown("box", ["w", "x", "y", "z"], [row], screen=62).splitlines()
    assert [len(part) - 2 for part in lines[0].strip("┌┐").split("┬")] == [15, 15, 5, 14]
    assert {width_of(line) for line in lines} == {62}


@pytest.mark.parametrize("screen", range(30, 90))
def test_a_table_too_wide_takes_the_whole_screen(screen: int) -> None:
    row = ("x" * 12, "y" * 40, "z" * 7, "v" * 40, "w")
    lines = shown("box", list("abcde"), [row], screen=screen).splitlines()
    if lines[0].startswith("┌"):
        assert {width_of(line) for line in lines} == {screen}
        assert "".join(re.findall("y+", "\n".join(lines))) == "y" * 40
    else:
        assert screen < 8 + 8 + 7 + 8 + 1 + 16


def test_a_plans_line_is_wrapped_under_its_text() -> None:
    line = "│  ├─ Hash lookup of Artist as r (r.ArtistId = a.ArtistId)   ~115 rows; 27 rows"
    assert hanging(line, 50) == [
        "│  ├─ Hash lookup of Artist as r (r.ArtistId =",
        "│  │      a.ArtistId)   ~115 rows; 27 rows",
    ]
    assert hanging("└─ short", 50) == ["└─ short"]


def test_a_table_that_can_not_fit_turns_into_lines() -> None:
    names = [f"column{i}" for i in range(30)]
    text = shown("box", names, [tuple(range(30))], screen=60)
    assert " column0 = 0\n" in text and "column29 = 29\n" in text


def test_the_lines_of_a_wide_table_show_null_are_wrapped_and_tell_the_terminal_nothing() -> None:
    names = ["n", *(f"column{i}" for i in range(9))]
    values = (None, "one two three " * 3 + "one two three", "\x1b[2J", *range(7))
    lines = shown("box", names, [values], screen=40).splitlines()
    assert lines[0] == "      n = NULL"
    assert lines[1:3] == [
        "column0 = one two three one two three",
        "          one two three one two three",
    ]
    assert lines[3] == "column1 = \\x1b[2J"
    huge = "x" * 5000
    assert huge in shown("box", names, [(huge, *values[1:])], screen=40)


@pytest.mark.parametrize("mode", ["box", "table", "column"])
@pytest.mark.parametrize("screen", range(20, 70))
def test_numbers_are_never_broken(mode: str, screen: int) -> None:
    names = ["MediaTypeId", "text", "max", "mean"]
    rows: list[Row] = [(1, "some words here", "text", 33510200.0), (2, "x" * 30, 1059546140, None)]
    text = shown(mode, names, rows, screen=screen)
    assert "1059546140" in text and "33510200.0" in text
    if "MediaTypeId =" not in text:
        lines = text.splitlines()
        assert max(map(len, lines)) <= screen
        rule = next(i for i, line in enumerate(lines) if i and re.match(r"[├+-]-*─*", line))
        assert "mean" in "".join(lines[:rule])


def test_names_are_broken_between_their_parts() -> None:
    assert name_lines("MediaTypeId", 5) == ["Media", "Type", "Id"]
    assert name_lines("MediaTypeId", 9) == ["MediaType", "Id"]
    assert name_lines("first_name", 6) == ["first_", "name"]
    assert name_lines("Milliseconds", 5) == ["Milli", "secon", "ds"]
    assert name_lines("count(*)", 8) == ["count(*)"]
    assert name_lines("sum(UnitPrice * Quantity)", 10) == ["sum(Unit", "Price *", "Quantity)"]
    for width in range(1, 12):
        for name in ("表の名前です", "HTTPServer2Name", "", "a b  c", "  "):
            lines = name_lines(name, max(width, 2))
            assert "".join(lines).replace(" ", "") == name.replace(" ", "")
            assert all(width_of(line) <= max(width, 2) for line in lines) or name in lines


def test_a_column_of_numbers_that_grow_has_room_for_them() -> None:
    rows: list[Row] = [(i, "x") for i in range(1, 2001)]
    lines = shown("box", ["id", "a"], rows, screen=40).splitlines()
    assert len({len(line) for line in lines}) == 1 and "│    2000 │ x │" in lines
    assert shown("box", ["id", "a"], rows[:400], screen=40).splitlines()[0] == "┌─────┬───┐"


def test_in_a_pipe_nothing_is_cut() -> None:
    rows: list[Row] = [("a",)] * 600 + [("x" * 300,)]
    assert "x" * 300 in shown("box", ["a"], rows)


def test_widths_that_were_set_count() -> None:
    lines = shown("column", ["a", "b"], [(1, "x")], widths=[5, 0]).splitlines()
    assert lines == ["    a  b", "-----  -", "    1  x"]


def test_reals_look_as_sql_casts_them() -> None:
    reals = [0.1, 1 / 3, 1e15, 123456789012345.0, 1e-5, 12345.678, -0.5, 1e300, 3.0, 2**53 + 0.0]
    connection = sqlite3.connect(":memory:")
    expected = [connection.execute("SELECT CAST(? AS TEXT)", (x,)).fetchone()[0] for x in reals]
    connection.close()
    rows = [(x,) for x in reals]
    assert shown("list", ["a"], rows, batch=100).splitlines() == expected
    assert shown("list", ["a"], rows, batch=1).splitlines() == expected


@given(
    st.lists(
        st.one_of(
            st.floats(),
            st.builds(
                lambda digits, places: digits / 10**places,
                st.integers(-(10**17), 10**17),
                st.integers(0, 25),
            ),
            st.builds(  # half-way between two decimals of 15 digits
                lambda digits, places: (digits * 10 + 5) / 10**places,
                st.integers(10**14, 10**15 - 1),
                st.integers(1, 19),
            ),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_a_column_of_reals_is_each_real_by_itself(column: list[float]) -> None:
    for batch in (column, [*column, -0.0, 0.1], [0.0001, 0.00001, 1e15, 1e16, 1e-5], [1e-4, 100.0]):
        assert list(real_column(batch)) == [real_text(value) for value in batch]


def test_null_and_the_empty_text_differ_on_a_screen_and_are_bare_in_a_pipe() -> None:
    rows = [(None, "")]
    assert "│ NULL │   │" in shown("box", ["a", "b"], rows, screen=80)
    assert "NULL" not in shown("box", ["a", "b"], rows)
    assert "│ -" in shown("box", ["a", "b"], rows, screen=80, null="-")


@given(
    st.lists(st.sampled_from(["a", "b", "é", 'q"', "%s", "", "c0", "n\n"]), min_size=2, max_size=2),
    st.lists(st.tuples(st.one_of(*_values.values()), st.one_of(*_values.values())), min_size=1),
)
def test_objects_of_many_rows_are_those_of_each_row(
    names: list[str], rows: list[tuple[Any, ...]]
) -> None:
    lines = object_lines(names)
    alone = [lines([row]) for row in rows]
    assert lines(rows * 64).split("\n") == alone * 64
    with_reals = [(*row[:1], 0.5) for row in rows]
    assert lines(with_reals * 64).split("\n") == [lines([row]) for row in with_reals] * 64


@given(st.sampled_from(sorted(_values)), st.booleans(), st.data())
def test_literals_of_a_column_are_those_of_each_value(
    kind: int, nulls: bool, data: st.DataObject
) -> None:
    values = _values[kind] | st.none() if nulls else _values[kind]
    column = data.draw(st.lists(values, min_size=1))
    assert list(literal_column(column)) == list(map(literal, column))


def test_texts_of_several_lines_are_shown_as_such_on_a_terminal() -> None:
    rows: list[Row] = [(1, "CREATE TABLE t\n(\n\ta INTEGER,\n\tb TEXT\n)"), (2, "x\x1by")]
    assert shown("box", ["n", "sql"], rows, screen=40).splitlines()[3:] == [
        "│ 1 │ CREATE TABLE t │",
        "│   │ (              │",
        "│   │     a INTEGER, │",
        "│   │     b TEXT     │",
        "│   │ )              │",
        "│ 2 │ x\\x1by         │",
        "└───┴────────────────┘",
    ]
    assert "(\\n\\ta INTEGER" in shown("box", ["n", "sql"], rows)  # elsewhere a row is a line


def test_a_word_that_is_wider_than_its_column_fills_lines() -> None:
    assert wrapped("abcdefghij", 4, 5) == ["abcd", "efgh", "ij"]
    assert wrapped("日本語", 4, 5) == ["日本", "語"]


def test_lines_of_a_cell_are_wrapped_each_and_cut_past_the_last() -> None:
    text = "    indented words that are long\n" + "\n".join(map(str, range(100)))
    lines = shown("column", ["t"], [(text,)], screen=20).splitlines()
    assert lines[2:6] == ["    indented words", "that are long", "0", "1"]
    assert len(lines) == 2 + WRAP_LINES_MAX and lines[-1] == "…"


@pytest.mark.parametrize("screen", [None, 40])
def test_names_of_line_are_flush_whatever_their_width(screen: int | None) -> None:
    row = (1, "word " * 20)
    lines = shown("line", ["名前", "a"], [row], screen=screen).splitlines()
    assert [width_of(line.partition("=")[0]) for line in lines[:2]] == [5, 5]
    if screen is not None:
        assert len(lines) > 2 and max(map(width_of, lines)) <= screen
        assert all(line.startswith(" " * 7) for line in lines[2:])


_CHARS = st.text(st.sampled_from("ab \"'\\&<>|\t\n\0é€日́ \u200b{}$[];"), max_size=6)
_VALUES = st.one_of(_CHARS, st.none(), st.integers(), st.floats(width=16), st.binary(max_size=3))


def cells_in(mode: str, text: str) -> list[str]:
    """The words of a drawn table's rows."""
    lines = text.splitlines()[2:] if mode == "markdown" else text.splitlines()
    return " ".join(line for line in lines if line.strip("┌─┬┐└┴┘+-")).split()


@pytest.mark.parametrize("mode", sorted(set(MODES) - {"json", "html", "line"}))
@given(rows=st.lists(st.tuples(_VALUES, _CHARS), min_size=1, max_size=12))
def test_columns_at_once_are_as_one_row_after_the_other(mode: str, rows: list[Row]) -> None:
    alone = [shown(mode, ["x", "y"], [row], headers=False) for row in rows]
    together = shown(mode, ["x", "y"], rows, headers=False, batch=len(rows))
    if mode in DRAWN:
        assert cells_in(mode, together) == [word for text in alone for word in cells_in(mode, text)]
    else:
        assert together == "".join(alone)


@given(st.lists(_CHARS, min_size=1, max_size=8))
def test_html_and_tcl_are_read_back(texts: list[str]) -> None:
    rows = [(text, text) for text in texts]
    page = shown("html", ["x", "y"], rows, headers=False, batch=len(rows))
    found = re.findall(r"<td>(.*?)</td>", page, re.DOTALL)
    assert [html.unescape(text) for text in found[::2]] == texts
    assert "<td>".join(html.escape(text, quote=False) for text in texts) == "<td>".join(found[1::2])
    lines = shown("tcl", ["x"], [(text,) for text in texts], headers=False, batch=len(texts))
    words = re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), lines)
    assert words.replace("000", "\0") == "".join(f'"{text}"\n' for text in texts)


def test_of_a_long_text_no_more_is_measured_than_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = 0

    def counting(text: str) -> int:
        nonlocal measured
        measured += len(text)
        return wcswidth(text)

    monkeypatch.setattr("kvsh.output.tables.wcswidth", counting)
    text = "日本 " * 20_000
    lines = cell_in_lines(text, 80)
    assert len(lines) == WRAP_LINES_MAX and measured < 40_000
    assert not is_wider("日本", 4) and is_wider("日本", 3) and is_wider("e\u0301" * 9 + "x", 9)
    assert not is_wider("e\u0301" * 9, 9)


def test_all_the_time_that_goes_by_in_the_pager_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As it is left, and before, while it has no room for the end of what it is given."""
    now = [0.0]

    class Pager(io.BytesIO):
        def __init__(self, *_: object, **__: object) -> None:
            super().__init__()
            self.stdin = self

        def write(self, data: object) -> int:
            now[0] += 1
            return 0

        def close(self) -> None:
            now[0] += 10

        def wait(self) -> None:
            now[0] += 100

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(subprocess, "Popen", Pager)
    target = Target(io.BytesIO())
    target.set_terminal(True)
    target.pager, target.screen_lines = "less", 3
    target.start_pages()
    target.write("a\nb\nc\n")
    target.end_pages()
    assert (now[0], target.pager_seconds) == (111.0, 111.0)
