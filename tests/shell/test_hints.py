"""What is said of what can't be understood: where it is wrong, what was meant, and what others' names for it are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kvsh.arguments import UsageError
from kvsh.commands import COMMANDS, HINTS, find
from kvsh.commands.elsewhere import FUNCTIONS, STATEMENTS, WORDS
from kvsh.output.tables import width_of
from kvsh.reader import RAW_WORDS, STATEMENT_WORDS
from tests.shell.conftest import Shell
from tests.shell.running import kvsh


@pytest.mark.parametrize("name", sorted(HINTS))
def test_what_other_shells_call_it_is_hinted(shell: Shell, name: str) -> None:
    assert f"use {HINTS[name]}" in shell.error(f"{name} x")


@pytest.mark.parametrize(
    ("typed", "meant"), [(".tabels", ".tables"), (".impotr", ".import"), (".schmea", ".schema")]
)
def test_a_misspelt_command_gets_the_nearest_name(typed: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean {meant}"):
        find(typed)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("SELECT * FROM track a JOIN track b USING (genrid);", "genreid"),
        ("CREATE INDEX i ON track (nme);", "name"),
        ("CREATE INDEX i ON trak (name);", "track"),
        ("CREATE TABLE t (abc, PRIMARY KEY (abd));", "abc"),
        ("ALTER TABLE track RENAME COLUMN nme TO x;", "name"),
        ("ALTER TABLE track DROP COLUMN pryce;", "price"),
        ("ALTER TABLE trak RENAME TO x;", "track"),
    ],
)
def test_a_misspelt_name_in_a_definition_gets_the_nearest(
    shell: Shell, typed: str, meant: str
) -> None:
    assert f"^ did you mean {meant}" in shell.error(typed)


@pytest.mark.parametrize("typed", [".archive", ".auth", ".binary", ".selftest", ".vfslist"])
def test_no_command_is_proposed_that_is_not_near(typed: str) -> None:
    with pytest.raises(UsageError, match=f"unknown command: {typed}; see .help"):
        find(typed)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("\\dt", ".tables"),
        ("\\d+ track", ".describe track"),
        ("\\echo a b", ".print a b"),
        ("\\?", ".help"),
    ],
)
def test_what_psql_calls_otherwise_is_the_same_command(
    shell: Shell, typed: str, meant: str
) -> None:
    assert shell(typed) == shell(meant) != ""
    assert shell.err.getvalue() == ""


def test_no_hint_stands_in_the_way_of_a_command() -> None:
    assert not HINTS.keys() & COMMANDS.keys()
    assert not STATEMENTS.keys() & (STATEMENT_WORDS | RAW_WORDS)


def test_every_command_that_is_hinted_at_is_there() -> None:
    for hint in (*HINTS.values(), *STATEMENTS.values(), *WORDS.values()):
        assert set(re.findall(r"(?<!\w)\.[a-z]+", hint)) <= COMMANDS.keys(), hint


@pytest.mark.parametrize("hint", sorted({*FUNCTIONS.values()}))
def test_what_is_hinted_at_instead_of_a_function_runs(shell: Shell, hint: str) -> None:
    for expression in hint.removeprefix("use ").split(" or "):
        relation = "(SELECT 1 AS a, 2 AS b, 3 AS c, 4 AS n, ',' AS separator, '%Y' AS format)"
        if expression.startswith("SELECT"):
            query = expression.replace(" FROM ", f" FROM {relation}, ")
        else:
            query = f"SELECT {expression} FROM {relation}"
        assert shell(f"{query};"), query


def test_what_is_hinted_at_instead_of_a_function_is_none_of_ours(shell: Shell) -> None:
    for name in FUNCTIONS:
        for arguments in ("", "1", "1, 2", "1, 2, 3"):
            assert "error: " in shell.error(f"SELECT {name}({arguments});")


@pytest.mark.parametrize("name", ["headers", "timer", "bail", "changes", "echo", "explain"])
def test_a_switch_without_a_word_says_how_it_stands(shell: Shell, name: str) -> None:
    before = shell(f".{name}")
    after = "off" if before == "on\n" else "on"
    assert shell(f".{name} {after}\n.print\n.{name}").splitlines()[-1] in (after, "plan")


@pytest.mark.parametrize(
    ("typed", "meant"), [(".q", ".quit"), (".ta", ".tables"), (".SC", ".schema"), (".h", ".help")]
)
def test_the_beginning_of_a_command_is_enough(typed: str, meant: str) -> None:
    assert find(typed).name == meant


def test_a_beginning_of_several_commands_names_them(shell: Shell) -> None:
    assert ".da could be .databases" not in shell.error(".da")
    assert "error: .ti could be .timeout, .timer" in shell.error(".ti")
    assert "unknown command: ." in shell.error(".")


@pytest.mark.parametrize(("typed", "meant"), [(".vers", ".version"), (".EXC x", ".excel")])
def test_the_beginning_of_what_others_have_gets_its_hint(
    shell: Shell, typed: str, meant: str
) -> None:
    assert f"{meant} is not known here: use {HINTS[meant]}" in shell.error(typed)


def test_a_missing_table_gets_the_nearest_name(shell: Shell) -> None:
    assert "is called trak; did you mean track?" in shell.error(".schema trak")
    assert "no such table: invioce; did you mean invoice?" in shell.error(".indexes invioce")
    assert "no such table: trcak; did you mean track?" in shell.error(".dump trcak")


def test_a_parameter_that_was_never_set_says_how_to(shell: Shell) -> None:
    how = ".param set NAME VALUE, or --param NAME=VALUE"
    assert f"  :n is not set: {how}" in shell.error("SELECT :n;")
    assert f"  @a, ? are not set: {how}" in shell.error("SELECT @a, ':b', ?, @a -- :c\n;")


def test_what_has_no_end_is_told_where_it_begins(shell: Shell) -> None:
    complaint = shell.error(
        "SELECT 1;\nCREATE TRIGGER t AFTER INSERT ON track\nBEGIN SELECT 1;\n\n"
    )
    assert "incomplete input" in complaint
    assert "what has no end begins with: CREATE TRIGGER t AFTER INSERT ON track" in complaint
    assert "usage: delete KEY... | --prefix P" in shell.error("delete\n")


def test_a_file_in_the_place_of_a_statement_says_what_reads_it(shell: Shell) -> None:
    Path("load.sql").write_text("SELECT 1;")
    Path("rows.csv").write_text("a,b\n1,2\n")
    assert "^ .read load.sql runs the file" in shell.error("load.sql;")
    assert "^ .import rows.csv loads the file" in shell.error("rows.csv;")
    shell(".backup other.db")
    assert "^ .open other.db opens the file" in shell.error("other.db;")
    assert "is a database of kvsh's: ATTACH 'other.db'" in shell.error(".import other.db")
    assert "is a database of kvsh's; .open opens it" in shell.error(".read other.db")


def test_an_error_in_a_parameters_expression_is_at_its_place(shell: Shell) -> None:
    complaint = shell.error(".param set x (SELECT nme FROM track)")
    assert "<test>:1:22: error: no such column: nme" in complaint
    assert "this would change" not in complaint


def test_too_few_and_too_many_arguments_show_the_usage(shell: Shell) -> None:
    assert "usage: get KEY" in shell.error("get")
    assert "usage: get KEY" in shell.error("get a b")
    assert "unknown option: --limits; did you mean --limit?" in shell.error("scan --limits 3")
    assert "--limit needs a value" in shell.error("scan --limit")


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        (".watch", "usage: .watch TIME"),
        (".watch soon SELECT 1", "'soon' is no duration"),
        ("expire user:1 99999999999999d", "'99999999999999d' is too long"),
        (f"put k v --ttl {'9' * 400}", "is too long"),
        (f".timeout {'9' * 400}", "is too long"),
    ],
)
def test_times_that_are_none_are_refused(shell: Shell, typed: str, complaint: str) -> None:
    assert complaint in shell.error(typed)
    assert shell("ttl user:1; get k") == ""


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("selct 1;", "did you mean select?"),
        ("gte k;", "did you mean get?"),
        ("SHOW TABLES;", "use .tables"),
        ("show create table track;", "use .schema NAME"),
        ("SHOW nothing;", "use .tables, .schema"),
        ("describe track;", "use .describe TABLE"),
        ("CREATE DATABASE foo;", "a database is a file"),
        ("CREATE FUNCTION f();", "functions are Python's"),
        ("DO $$ x $$;", "there are no blocks"),
        ("SETNX a 1;", "use INSERT OR IGNORE INTO kv"),
        ("SELECT 1\nSELECT 2;", "is a semicolon missing before it?"),
        ("SELECT name FROM track t\n  .tables\n;", "is a semicolon missing before it?"),
        ("SELECT name FROM track\n  .tables\n;", "is a semicolon missing before .tables?"),
        ("SELECT * FROM track were trackid > 1;", "did you mean where?"),
        ("SELECT * form track;", "did you mean from?"),
        ("SELECT name FROM track oder by 1;", "did you mean order?"),
        ("SELECT * FROM trak;", "did you mean track?"),
        ("SELECT nme FROM track;", "did you mean name?"),
        ("SELECT name FROM track AS t, track AS u;", "did you mean t.name or u.name?"),
        ("SELECT t.nme FROM track AS t, (SELECT 1 AS nm) AS u;", "did you mean name?"),
        ("SELECT lenght(name) FROM track;", "did you mean length?"),
        ("tables", "did you mean .tables?"),
        ("import people.csv", "did you mean .import?"),
        ("exit()", "did you mean .quit?"),
        (":q", "use .quit"),
        ("GETSET a b", "use get KEY and put"),
        ("SELECT now();", "use datetime('now')"),
        ("SELECT left('abc', 2);", "use substr(a, 1, n)"),
        ("SELECT name::text FROM track;", "use CAST"),
        ("SELECT TOP 5 * FROM track;", "use LIMIT"),
        ("SELECT * FROM track FETCH FIRST 5 ROWS ONLY;", "use LIMIT"),
        ("SELECT name FROM track WHERE name ILIKE 'x';", "LIKE does not tell"),
    ],
)
def test_a_misspelt_statement_gets_a_hint(shell: Shell, typed: str, hint: str) -> None:
    assert hint in shell.error(typed)


def test_the_caret_stands_under_the_place_behind_wide_characters(shell: Shell) -> None:
    lines = shell.error("SELECT '日本語', nme FROM track;").splitlines()
    assert width_of(lines[1].partition("nme")[0]) == lines[2].index("^")


@pytest.mark.parametrize(
    "text",
    [
        ".dry DELETE FROM nonsense",
        ".chart bar SELECT a, b FROM nonsense",
        ".watch 1s --times 1 SELECT * FROM nonsense",
        ".where SELECT * FROM nonsense WHERE a = 1",
        ".explain plan\nSELECT * FROM nonsense;",
    ],
)
def test_the_caret_stands_under_the_place_in_a_command(shell: Shell, text: str) -> None:
    lines = shell.error(text).splitlines()
    assert "no such table: nonsense" in lines[0]
    assert lines[2].index("^") == lines[1].index("nonsense")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (".mode josn", "josn"),
        (".timer maybe", "maybe"),
        (".explain often", "often"),
        (".timeout soon", "soon"),
        (".width 3 wide", "wide"),
        (".once -x", "-x"),
        (".quit 700", "700"),
        ("expire user:1 soon", "soon"),
        ("incr visits many", "many"),
    ],
)
def test_the_caret_stands_under_the_word_that_is_wrong(shell: Shell, line: str, word: str) -> None:
    lines = shell.error(line).splitlines()
    assert lines[1] == f"  {line}" and lines[2].index("^") == 2 + line.index(word)


def test_a_name_without_a_place_is_pointed_at_where_it_stands_once(shell: Shell) -> None:
    lines = shell.error("INSERT INTO track (trackid, nme) VALUES (1, 2);").splitlines()
    assert lines[2] == "  " + " " * 28 + "^ did you mean name?"
    lines = shell.error("ALTER TABLE track RENAME COLUMN nme TO nme;").splitlines()
    assert lines[1:] == ["  did you mean name?"]  # without a caret


def test_help_finds_commands_by_what_they_do(shell: Shell) -> None:
    assert shell("help put") == shell(".help put") == shell(".help PUT")
    assert shell(".help imp") == shell(".help .import")
    assert ".width" in shell(".help drawn") and ".echo" not in shell(".help drawn")
    assert ".backup" in shell(".help copy") and shell(".help -all") == shell(".help all")
    assert "unknown command: nonsense" in shell.error(".help nonsense")


def test_options_of_commands_may_have_one_dash(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "people.txt").write_text("name,age\nAda,36\n")
    assert shell(".import -csv people.txt people\nSELECT * FROM people;") == "Ada|36\n"
    assert shell("put dashed -ttl\nget dashed\n.print -csv") == "-ttl\n-csv\n"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("SELECT * FROM track ORDER name;", "did you mean ORDER BY?"),
        ("SELECT count(*) FROM track GROUP genreid;", "did you mean GROUP BY?"),
        ("INSERT track VALUES (9, 'x', 1, 1);", "did you mean INSERT INTO?"),
        ("DELETE track WHERE trackid = 1;", "did you mean DELETE FROM?"),
        ("CREATE TABLE t (a TEXT PRIMARY);", "did you mean PRIMARY KEY?"),
        ("BEGIN transation;", "did you mean transaction?"),
        ("SELECT x.name FROM track t;", "did you mean t.name?"),
        ("SELECT trak.name FROM track, invoice;", "did you mean track.name?"),
        ("SELECT track.nme FROM track;", "did you mean name?"),
        ("SELECT * FROM app.track;", "did you mean track?"),
        ("SELECT substr('a');", "substr(text, start [, length])"),
        ("INSERT INTO invoice VALUES (1, 2, 3);", "invoice (id, total)"),
    ],
)
def test_half_of_what_two_words_say_and_wrong_calls_are_told_how_it_is_done(
    shell: Shell, typed: str, meant: str
) -> None:
    assert shell.error(typed).rstrip().endswith(meant)


def test_delete_without_from_deletes_no_keys(shell: Shell) -> None:
    """`delete track where ...` was three keys to delete, none of them there, and so said nothing."""
    shell("put where x")
    assert 'near "track": syntax error' in shell.error("delete track where trackid = 1")
    assert shell("exists where") == "1\n"
    shell("delete where 'where' x")
    assert shell("exists where") == "0\n"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("delete track", "no such key: track; the table's rows: DELETE FROM track;"),
        ("get track", "no such key: track; the table's rows: SELECT * FROM track;"),
        ("get cheap", "no such key: cheap; the table's rows: SELECT * FROM cheap;"),
        ('delete "odd name"', 'no such key: odd name; the table\'s rows: DELETE FROM "odd name";'),
        ("delete nothing", "no such key: nothing"),
        ("delete cheap", "no such key: cheap"),
        ("ttl track", "no such key: track"),
    ],
)
def test_a_key_that_is_not_there_but_a_table_is_hinted_at_the_table(
    shell: Shell, typed: str, meant: str
) -> None:
    """Who typed `delete track` was told of a key and left to guess that raw keys were asked."""
    shell('CREATE TABLE "odd name" (a);')
    shell.environment.interactive = True
    assert shell.error(typed) == f"{meant}\n"
    shell.environment.interactive = False
    assert shell.error(typed) == ""
    assert shell.environment.unfulfilled is (not typed.startswith("delete"))


@pytest.mark.parametrize(
    ("name", "text", "meant"),
    [
        ("load.sql", "SELECT 1;\n", "; `kvsh FILE.db -f load.sql` runs it"),
        ("load.sql.gz", "packed", "; `kvsh FILE.db .import load.sql.gz` loads it"),
        ("script", "#!/usr/bin/env kvsh\n", "; `kvsh FILE.db -f script` runs it"),
        ("rows.csv", "a,b\n" * 2000, "; `kvsh FILE.db .import rows.csv` loads it"),
        ("rows.jsonl.gz", "packed", "; `kvsh FILE.db .import rows.jsonl.gz` loads it"),
        ("notes", "a text", "was left as it is"),
        ("cut.sql", "kvshdb\r\n", "restore a backup"),
    ],
)
def test_a_file_in_a_databases_place_is_told_what_reads_it(
    shell: Shell, name: str, text: str, meant: str
) -> None:
    """`kvsh load.sql` was told no more than that the file is too short for a database."""
    Path(name).write_text(text)
    done = kvsh(name, ".tables", cwd=Path.cwd())
    assert (done.status, done.out) == (1, "") and done.err.endswith(f"{meant}\n")
    assert f"{meant}\n" in shell.error(f".open {name}")


def test_what_is_no_file_gets_no_advice(shell: Shell) -> None:
    Path("rows.csv").mkdir()
    assert "Is a directory\n" in shell.error(".open rows.csv")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("SELECT * FROM 'rows.csv';", ".import rows.csv loads the file"),
        ("SELECT * FROM read_csv('rows.csv');", "use .import FILE TABLE"),
        ("FROM track;", "use SELECT * FROM TABLE;"),
        ("SELECT * FROM track WHERE name = Oslo;", "a text stands in quotes: 'Oslo'"),
        ("SELECT * FROM track WHERE name LIKE Oslo AND 1;", "a text stands in quotes: 'Oslo'"),
        ("SELECT * FROM track WHERE name IN (Oslo, 'x');", "a text stands in quotes: 'Oslo'"),
        ("SELECT * FROM track WHERE name = nme;", "did you mean name?"),
        ("SELECT oslo FROM track;", ""),
        ("SELECT * FROM track WHERE name = zz.top;", ""),
        ("SELECT * FROM nowhere;", ""),
    ],
)
def test_what_duckdb_reads_and_a_text_without_quotes_get_a_hint(
    shell: Shell, typed: str, meant: str
) -> None:
    Path("rows.csv").write_text("a,b\n1,2\n")
    told = shell.error(typed).rstrip().partition("^")[2].strip()
    assert told == meant


def test_a_negative_limit_is_told_what_may_stand_there(shell: Shell) -> None:
    """It was told that -1 is no number."""
    told = "needs a whole number from 0 on, not '-1'"
    assert f"--limit {told}" in shell.error("scan --limit -1")
    assert f"--times {told}" in shell.error(".watch 1s --times -1 SELECT 1;")


def test_an_unknown_setting_is_told_which_there_are(shell: Shell) -> None:
    assert "no such setting: nope; there are theme, keys, mode," in shell.error(".config nope")


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ("scan --limit many", "many"),
        ("put a b --ttl soon", "soon"),
        (".log few", "few"),
        (".page one", "one"),
        (".indexes trak", "trak"),
        (".schema trak", "trak"),
    ],
)
def test_the_caret_stands_under_the_wrong_word(shell: Shell, typed: str, wrong: str) -> None:
    _, line, caret = shell.error(typed).splitlines()
    assert line[caret.index("^") :] == wrong


def test_an_unknown_theme_is_told_which_there_are(shell: Shell) -> None:
    assert "no such theme: x; there are auto, dark, light, mono" in shell.error(".theme x")


@pytest.mark.parametrize(
    ("statement", "note"),
    [
        ('SELECT "nme" FROM track;', """no such column: nme, so "nme" is the text 'nme'; did you mean name?"""),
        ('SELECT * FROM track WHERE name = "One" AND price > 0;', """so "One" is the text 'One'"""),
        ("UPDATE track SET name = \"Uno\" WHERE trackid = 1;", """so "Uno" is the text 'Uno'"""),
        ('DELETE FROM kv WHERE key = "a";', """so "a" is the text 'a'"""),
    ],
)  # fmt: skip
def test_a_name_in_quotes_that_is_taken_for_a_text_is_told(
    shell: Shell, statement: str, note: str
) -> None:
    shell.environment.interactive = True
    (line,) = [text for text in shell.error(statement).splitlines() if text.startswith("note")]
    assert note in line


def test_a_script_is_told_of_no_name_that_is_taken_for_a_text(shell: Shell) -> None:
    assert shell.error('SELECT "nme" FROM track;') == ""


@pytest.mark.parametrize(
    "statement",
    [
        'SELECT "name" FROM track;',
        'SELECT name AS "x" FROM track ORDER BY "x";',
        'INSERT INTO invoice (id, total) VALUES (9, "nine");',  # nothing has columns here
        'SELECT "a";',
        "SELECT 'nme' FROM track;",
        "SELECT * FROM of_a_view;",
    ],
)
def test_a_name_in_quotes_that_means_something_is_not_told_of(shell: Shell, statement: str) -> None:
    shell('CREATE VIEW of_a_view AS SELECT "no column" FROM track;')
    shell.environment.interactive = True
    assert "note" not in shell.error(statement)
